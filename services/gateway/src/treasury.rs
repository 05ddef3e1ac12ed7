//! `TreasuryService`: positions and control totals, as the engine holds them; explanations, what-if and
//! projected funding over a frozen view.

mod what_if;

use crate::auth;
use crate::convert;
use crate::errors::{self, denied};
use crate::fields::{self, optional};
use crate::gateway::{Gateway, stopped, view};
use crate::paging;
use crate::ports::{Answered, Engine, Reads};
use settlement_core::command::Caller;
use settlement_core::ids::{Bic, Sequence};
use settlement_core::state::FrozenView;
use settlement_core::view::{ExplanationView, PositionView, Query};
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status};
use valuta_proto::v1;
use valuta_proto::v1::treasury_service_server::TreasuryService;

type Answer<T> = Result<Response<T>, Status>;

/// The list of waiting instructions, in page tokens.
const WAITING: &str = "waiting";
/// Value dates of a projection that names no number.
const FUNDING_DAYS_DEFAULT: u16 = 5;
/// As far ahead as a value date may be.
const FUNDING_DAYS_MAX: u16 = 400;
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
            Caller::Operator | Caller::Treasury | Caller::Auditor => None,
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

    async fn explain(&self, request: Request<v1::ExplainRequest>) -> Answer<v1::ExplainResponse> {
        let (call, request) = self.open(request)?;
        let reader = auth::reads_for(call.caller)?;
        let uetr = fields::uetr("uetr", &request.uetr)?;
        let question = move |frozen: &FrozenView| {
            let views = frozen.explain_uetr(uetr, reader);
            views.map(|views| v1::ExplainResponse {
                sequence: frozen.sequence().0,
                explanations: told(&views, reader),
            })
        };
        let answer = self.ask(call, request.min_sequence, question).await?;
        let unknown = || errors::not_found("uetr", "no instruction of yours has it");
        answer.map(Response::new).ok_or_else(unknown)
    }

    async fn list_waiting(
        &self,
        request: Request<v1::ListWaitingRequest>,
    ) -> Answer<v1::ListWaitingResponse> {
        let (call, request) = self.open(request)?;
        let own = auth::reads_for(call.caller)?;
        let of = whose(call.caller, &request.participant)?;
        let scope = what_if::scope(&request.cycle)?;
        let size = paging::size(request.page_size)?;
        let start = paging::start(WAITING, &request.page_token)?.unwrap_or(0);
        let offset =
            usize::try_from(start).map_err(|_| errors::invalid("page_token", "too large"))?;
        let question = move |frozen: &FrozenView| {
            let mut views = frozen.explain_all(scope, of, offset, size + 1, true)?;
            let next = start + size as u64;
            let next_page_token = paging::cut(&mut views, size, WAITING, |_| next);
            Some(v1::ListWaitingResponse {
                sequence: frozen.sequence().0,
                waiting: told(&views, own),
                next_page_token,
            })
        };
        let answer = self.ask(call, request.min_sequence, question).await?;
        answer.map(Response::new).ok_or_else(what_if::no_cycle)
    }

    async fn what_if(&self, request: Request<v1::WhatIfRequest>) -> Answer<v1::WhatIfResponse> {
        let (call, request) = self.open(request)?;
        if auth::reads_for(call.caller)?.is_some() {
            return Err(denied("what-if shows every participant's accounts"));
        }
        let scope = what_if::scope(&request.cycle)?;
        let (scheme, _) = self.scheme(call, 0).await?;
        let changes = what_if::changes(&scheme, &request.changes)?;
        let question = move |frozen: &FrozenView| {
            let view = frozen.what_if(scope, &changes);
            view.map(|view| view.map(|view| convert::what_if(&view, frozen.sequence())))
        };
        let answer = self.ask(call, request.min_sequence, question).await?;
        let view = answer.map_err(|error| what_if::refused(&error))?;
        view.map(Response::new).ok_or_else(what_if::no_cycle)
    }

    async fn get_projected_funding(
        &self,
        request: Request<v1::GetProjectedFundingRequest>,
    ) -> Answer<v1::GetProjectedFundingResponse> {
        let (call, request) = self.open(request)?;
        let of = whose(call.caller, &request.participant)?;
        let days = match request.days {
            0 => FUNDING_DAYS_DEFAULT,
            days => u16::try_from(days)
                .ok()
                .filter(|&days| days <= FUNDING_DAYS_MAX)
                .ok_or_else(|| errors::invalid("days", "at most 400"))?,
        };
        let question = move |frozen: &FrozenView| {
            let view = frozen.funding(of, days);
            let rows = view.rows.iter();
            v1::GetProjectedFundingResponse {
                sequence: frozen.sequence().0,
                time: Some(convert::time(frozen.time())),
                base_asset: view.base_asset.code.to_string(),
                rows: rows
                    .map(|row| convert::funding(row, view.base_asset))
                    .collect(),
            }
        };
        let answer = self.ask(call, request.min_sequence, question).await?;
        Ok(Response::new(answer))
    }
}

fn told(views: &[ExplanationView], reader: Option<Bic>) -> Vec<v1::Explanation> {
    let views = views.iter();
    views
        .map(|view| convert::explanation(view, reader))
        .collect()
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
