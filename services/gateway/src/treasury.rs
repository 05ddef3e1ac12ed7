//! `TreasuryService`: positions and control totals, as the engine holds them.

use crate::auth;
use crate::convert;
use crate::errors::{self, denied};
use crate::fields::{self, optional};
use crate::gateway::{Gateway, stopped, view};
use crate::ports::{Answered, Engine, Reads};
use settlement_core::command::Caller;
use settlement_core::ids::{Bic, Sequence};
use settlement_core::view::{PositionView, Query};
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status};
use valuta_proto::v1;
use valuta_proto::v1::treasury_service_server::TreasuryService;

type Answer<T> = Result<Response<T>, Status>;

/// Between two answers of a watch.
const WATCH_INTERVAL: Duration = Duration::from_millis(250);

#[tonic::async_trait]
impl<E: Engine, R: Reads> TreasuryService for Gateway<E, R> {
    type WatchPositionsStream = ReceiverStream<Result<v1::GetPositionsResponse, Status>>;

    async fn get_positions(
        &self,
        request: Request<v1::GetPositionsRequest>,
    ) -> Answer<v1::GetPositionsResponse> {
        let (call, request) = self.open(request)?;
        let reader = whose(call.caller, &request.participant)?;
        let answered = self
            .query(call, Query::Positions(reader), request.min_sequence)
            .await?;
        Ok(Response::new(positions(answered)?.0))
    }

    async fn watch_positions(
        &self,
        request: Request<v1::GetPositionsRequest>,
    ) -> Answer<Self::WatchPositionsStream> {
        let (call, request) = self.open(request)?;
        let reader = whose(call.caller, &request.participant)?;
        let first = self
            .query(call, Query::Positions(reader), request.min_sequence)
            .await?;
        let (out, outgoing) = mpsc::channel(1);
        let gateway = self.clone();
        tokio::spawn(async move {
            let mut shutdown = gateway.shutdown.clone();
            let ended = tokio::select! {
                ended = gateway.follow_positions(reader, first, &out) => ended,
                () = stopped(&mut shutdown) => Some(errors::stopping()),
                () = out.closed() => None,
            };
            if let Some(status) = ended {
                // No receiver: nobody is left to be told.
                let _ = out.send(Err(status)).await;
            }
        });
        Ok(Response::new(ReceiverStream::new(outgoing)))
    }

    async fn get_control_totals(
        &self,
        request: Request<v1::GetControlTotalsRequest>,
    ) -> Answer<v1::GetControlTotalsResponse> {
        let (call, request) = self.open(request)?;
        let agent = match call.caller {
            Caller::Operator | Caller::Treasury => None,
            Caller::Agent(bic) => Some(bic),
            Caller::Participant(_) => return Err(denied("control totals are not a participant's")),
        };
        let answered = self
            .query(call, Query::ControlTotals, request.min_sequence)
            .await?;
        let sequence = answered.sequence.0;
        let totals = view!(answered, ControlTotals)?;
        let visible = totals
            .iter()
            .filter(|total| agent.is_none_or(|agent| total.agent == agent));
        Ok(Response::new(v1::GetControlTotalsResponse {
            sequence,
            totals: visible.map(convert::control_total).collect(),
        }))
    }
}

fn whose(caller: Caller, participant: &str) -> Result<Option<Bic>, Status> {
    let named = optional("participant", participant, fields::bic)?;
    auth::reads_named(caller, named)
}

/// The answer, and the views it was made from, to tell a change by.
fn positions(answered: Answered) -> Result<(v1::GetPositionsResponse, Vec<PositionView>), Status> {
    let (sequence, time) = (answered.sequence.0, answered.time);
    let views = view!(answered, Positions)?;
    let response = v1::GetPositionsResponse {
        sequence,
        time: Some(convert::time(time)),
        positions: views.iter().map(convert::position).collect(),
    };
    Ok((response, views))
}

impl<E: Engine, R: Reads> Gateway<E, R> {
    /// Answers at once, then whenever the positions have changed; `None` if nobody listens any more.
    async fn follow_positions(
        &self,
        reader: Option<Bic>,
        first: Answered,
        out: &mpsc::Sender<Result<v1::GetPositionsResponse, Status>>,
    ) -> Option<Status> {
        let mut durable = self.engine.durable();
        let mut shown = None;
        let mut answered = first;
        loop {
            let asked = Instant::now();
            let (response, views) = match positions(answered) {
                Ok(found) => found,
                Err(status) => return Some(status),
            };
            if shown.as_ref() != Some(&views) {
                out.send(Ok(response)).await.ok()?;
                shown = Some(views);
            }
            if durable.changed().await.is_err() {
                return Some(errors::stopping());
            }
            sleep_until(asked + WATCH_INTERVAL).await;
            let at = *durable.borrow_and_update();
            answered = match self
                .engine
                .query(Query::Positions(reader), Sequence(at))
                .await
            {
                Ok(answered) => answered,
                Err(error) => return Some(errors::engine(error)),
            };
        }
    }
}
