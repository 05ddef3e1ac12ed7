//! The witness over HTTP.
//!
//! | request                 | answer                                                                |
//! |-------------------------|-----------------------------------------------------------------------|
//! | `POST /add-checkpoint`  | 200 and the cosignature line, or a status of C2SP tlog-witness; 408, 413, 429 or 503 beside |
//! | `GET /refusals`         | the numbers of the refusals, one a line, ascending                    |
//! | `GET /refusals/<number>`| the refusal: a note that the witness signed                           |

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, FromRequest as _, Path, Request, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use tokio::net::TcpListener;

use crate::request::ADD_CHECKPOINT_BYTES_MAX;
use crate::witness::{Refused, Witness, WitnessError};

const TEXT: &str = "text/plain; charset=utf-8";
/// C2SP tlog-witness: the body is a tree size.
const TEXT_SIZE: &str = "text/x.tlog.size";

/// How long a caller may take to send a request.
const SENT_WITHIN: Duration = Duration::from_secs(10);

/// The routes; the prefix before them is the caller's.
pub fn router(witness: Arc<Witness>) -> Router {
    router_within(witness, SENT_WITHIN)
}

/// As [`router`], for callers that take at most `within` to send a request: a half one holds no connection.
pub fn router_within(witness: Arc<Witness>, within: Duration) -> Router {
    let add = move |State(witness): State<Arc<Witness>>, request: Request| async move {
        let sent = tokio::time::timeout(within, Bytes::from_request(request, &())).await;
        match sent {
            Ok(Ok(body)) => add_checkpoint(witness, body).await,
            Ok(Err(rejection)) => rejection.into_response(),
            Err(_) => answer(StatusCode::REQUEST_TIMEOUT, TEXT, "late\n".to_owned()),
        }
    };
    Router::new()
        .route("/add-checkpoint", post(add))
        .route("/refusals", get(refusals))
        .route("/refusals/{number}", get(refusal))
        .layer(DefaultBodyLimit::max(ADD_CHECKPOINT_BYTES_MAX))
        .with_state(witness)
}

/// Serves until `stop` is done and the requests under way are answered.
///
/// # Errors
/// If the listener fails.
pub async fn serve(
    listener: TcpListener,
    witness: Arc<Witness>,
    stop: impl Future<Output = ()> + Send + 'static,
) -> std::io::Result<()> {
    let serving = axum::serve(listener, router(witness));
    serving.with_graceful_shutdown(stop).await
}

async fn add_checkpoint(witness: Arc<Witness>, body: Bytes) -> Response {
    // In a task of its own: a caller that goes away leaves nothing half done.
    let added = tokio::spawn(async move { witness.add_checkpoint(&body).await });
    let refused = match added.await {
        Ok(Ok(line)) => return answer(StatusCode::OK, TEXT, line),
        Ok(Err(refused)) => refused,
        Err(_) => Refused::Unavailable("the request failed".into()),
    };
    let status = match &refused {
        Refused::BadRequest(_) => StatusCode::BAD_REQUEST,
        Refused::LogUnknown => StatusCode::NOT_FOUND,
        Refused::Forbidden(_) => StatusCode::FORBIDDEN,
        Refused::TooMany => StatusCode::TOO_MANY_REQUESTS,
        Refused::Conflict { size } => {
            return answer(StatusCode::CONFLICT, TEXT_SIZE, format!("{size}\n"));
        }
        Refused::Unprocessable(_) => StatusCode::UNPROCESSABLE_ENTITY,
        Refused::Unavailable(_) => StatusCode::SERVICE_UNAVAILABLE,
    };
    answer(status, TEXT, format!("{refused}\n"))
}

async fn refusals(State(witness): State<Arc<Witness>>) -> Response {
    match witness.refusals() {
        Ok(numbers) => {
            let lines = numbers.iter().map(|number| format!("{number}\n"));
            answer(StatusCode::OK, TEXT, lines.collect())
        }
        Err(error) => failed(&error),
    }
}

async fn refusal(State(witness): State<Arc<Witness>>, Path(number): Path<u64>) -> Response {
    match witness.refusal(number) {
        Ok(Some(note)) => answer(StatusCode::OK, TEXT, note),
        Ok(None) => answer(StatusCode::NOT_FOUND, TEXT, "no such refusal\n".to_owned()),
        Err(error) => failed(&error),
    }
}

fn failed(error: &WitnessError) -> Response {
    answer(StatusCode::SERVICE_UNAVAILABLE, TEXT, format!("{error}\n"))
}

fn answer(status: StatusCode, content_type: &'static str, body: String) -> Response {
    (status, [(header::CONTENT_TYPE, content_type)], body).into_response()
}
