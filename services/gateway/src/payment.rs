//! `PaymentService`: what correspondent banks call.
//!
//! | calls | served from |
//! |---|---|
//! | submit one, many, stream | the engine ([`submit`], [`stream`]) |
//! | get, cancel, acknowledge | the engine's index, at the durable watermark |
//! | list, watch, receive | the read model ([`watch`]) |

mod stream;
mod submit;
mod watch;

use crate::auth;
use crate::errors;
use crate::fields::{self, optional};
use crate::gateway::{Call, Gateway, Write, view};
use crate::paging;
use crate::ports::{Engine, InstructionRow, ListFilter, Reads, StatusFilter};
use crate::{raw as moved, wire};
use settlement_core::command::Action;
use settlement_core::ids::{Bic, Sequence};
use settlement_core::instruction::{Identity, Kind, Lane};
use settlement_core::view::{InstructionAnswer, Query, Status as CoreStatus};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, Streaming};
use valuta_proto::raw::payment_service_server::PaymentService;
use valuta_proto::{raw, v1};

pub use submit::BATCH_INSTRUCTIONS_MAX;

type Answer<T> = Result<Response<T>, Status>;
type Outgoing<T> = ReceiverStream<Result<T, Status>>;

const LIST: &str = "instructions";

#[tonic::async_trait]
impl<E: Engine, R: Reads> PaymentService for Gateway<E, R> {
    type StreamInstructionsStream = Outgoing<raw::SubmitInstructionsResponse>;
    type WatchInstructionsStream = Outgoing<raw::InstructionChange>;
    type ReceiveStream = Outgoing<raw::ReceivedInstruction>;

    async fn submit_instruction(
        &self,
        request: Request<raw::SubmitInstructionRequest>,
    ) -> Answer<raw::SubmitInstructionResponse> {
        let (call, request) = self.open(request)?;
        let bank = auth::participant(call.caller)?;
        let status = submit::one(&self.engine, bank, &request.instruction).await?;
        Ok(Response::new(raw::SubmitInstructionResponse {
            status: Some(status),
        }))
    }

    async fn submit_instructions(
        &self,
        request: Request<raw::SubmitInstructionsRequest>,
    ) -> Answer<raw::SubmitInstructionsResponse> {
        let (call, request) = self.open(request)?;
        let bank = auth::participant(call.caller)?;
        let answer = submit::many(&self.engine, bank, &request)?.await?;
        Ok(Response::new(answer))
    }

    async fn stream_instructions(
        &self,
        request: Request<Streaming<raw::SubmitInstructionsRequest>>,
    ) -> Answer<Self::StreamInstructionsStream> {
        let (call, requests) = self.open(request)?;
        let bank = auth::participant(call.caller)?;
        let answers = stream::answer(self.engine.clone(), bank, requests, self.shutdown.clone());
        Ok(Response::new(answers))
    }

    async fn get_instruction(
        &self,
        request: Request<raw::GetInstructionRequest>,
    ) -> Answer<raw::GetInstructionResponse> {
        let (call, request) = self.open(request)?;
        let reader = auth::reads_for(call.caller)?;
        let uetr = fields::uetr("uetr", &request.uetr)?;
        let query = Query::Instructions(uetr);
        let answers = view!(
            self.query(call, query, request.min_sequence).await?,
            Instructions
        )?;
        let mut instructions = Vec::with_capacity(answers.len());
        for answer in answers {
            if let Some(row) = self.readable(reader, answer).await? {
                let conditions = self.progress(call, &answer).await?;
                instructions.push(raw::InstructionView {
                    conditions,
                    ..moved::view(&row)
                });
            }
        }
        if instructions.is_empty() {
            return Err(errors::not_found(
                "uetr",
                format!("no instruction of yours under {uetr}"),
            ));
        }
        Ok(Response::new(raw::GetInstructionResponse { instructions }))
    }

    async fn list_instructions(
        &self,
        request: Request<raw::ListInstructionsRequest>,
    ) -> Answer<raw::ListInstructionsResponse> {
        let (call, request) = self.open(request)?;
        let size = paging::size(request.page_size)?;
        let filter = filter(call, &request, size + 1)?;
        let sequence = self.projected(call, request.min_sequence).await?;
        let durable = *self.engine.durable().borrow();
        let mut rows = self.reads.list(filter).await.map_err(errors::reads)?;
        let next_page_token = paging::cut(&mut rows, size, LIST, |row| row.answer.sequence.0);
        Ok(Response::new(raw::ListInstructionsResponse {
            instructions: rows.iter().map(moved::view).collect(),
            next_page_token,
            read_model: Some(raw::ReadModelState {
                sequence,
                behind: durable.saturating_sub(sequence),
            }),
        }))
    }

    async fn cancel_instruction(
        &self,
        request: Request<raw::CancelInstructionRequest>,
    ) -> Answer<raw::CancelInstructionResponse> {
        let (call, request) = self.open(request)?;
        let instructing = auth::participant(call.caller)?;
        let (uetr, kind) = (
            fields::uetr("uetr", &request.uetr)?,
            fields::kind("kind", request.kind)?,
        );
        let content = raw::CancelInstructionRequest {
            request_id: String::new(),
            created: None,
            ..request.clone()
        };
        let write = Write::new(
            &request.request_id,
            request.created,
            "CancelInstruction",
            &content,
        );
        let action = Action::Cancel { uetr, kind };
        let done = self.command(call, write, action).await?;
        let identity = Identity {
            uetr,
            instructing,
            kind,
        };
        let answer = self.answer_of(call, identity, done.sequence).await?;
        Ok(Response::new(raw::CancelInstructionResponse {
            status: Some(moved::status(&answer)),
            sequence: done.sequence.0,
        }))
    }

    async fn approve_instruction(
        &self,
        request: Request<raw::ApproveInstructionRequest>,
    ) -> Answer<raw::ApproveInstructionResponse> {
        let (call, request) = self.open(request)?;
        let identity = identity(&request.uetr, &request.instructing, request.kind)?;
        let content = raw::ApproveInstructionRequest {
            request_id: String::new(),
            created: None,
            ..request.clone()
        };
        let write = Write::new(
            &request.request_id,
            request.created,
            "ApproveInstruction",
            &content,
        );
        let done = self.command(call, write, Action::Approve(identity)).await?;
        let answer = self.answer_of(call, identity, done.sequence).await?;
        Ok(Response::new(raw::ApproveInstructionResponse {
            status: Some(moved::status(&answer)),
            sequence: done.sequence.0,
        }))
    }

    async fn show_preimage(
        &self,
        request: Request<raw::ShowPreimageRequest>,
    ) -> Answer<raw::ShowPreimageResponse> {
        let (call, request) = self.open(request)?;
        let identity = identity(&request.uetr, &request.instructing, request.kind)?;
        let content = raw::ShowPreimageRequest {
            request_id: String::new(),
            created: None,
            ..request.clone()
        };
        let write = Write::new(
            &request.request_id,
            request.created,
            "ShowPreimage",
            &content,
        );
        let preimage = request.preimage.to_vec();
        let action = Action::ShowPreimage { identity, preimage };
        let done = self.command(call, write, action).await?;
        let answer = self.answer_of(call, identity, done.sequence).await?;
        Ok(Response::new(raw::ShowPreimageResponse {
            status: Some(moved::status(&answer)),
            sequence: done.sequence.0,
        }))
    }

    async fn set_priority(
        &self,
        request: Request<raw::SetPriorityRequest>,
    ) -> Answer<raw::SetPriorityResponse> {
        let (call, request) = self.open(request)?;
        let instructing = auth::participant(call.caller)?;
        let identity = Identity {
            uetr: fields::uetr("uetr", &request.uetr)?,
            instructing,
            kind: fields::kind("kind", request.kind)?,
        };
        let content = raw::SetPriorityRequest {
            request_id: String::new(),
            created: None,
            ..request.clone()
        };
        let write = Write::new(
            &request.request_id,
            request.created,
            "SetPriority",
            &content,
        );
        let action = Action::SetPriority {
            uetr: identity.uetr,
            kind: identity.kind,
            priority: fields::priority("priority", request.priority)?,
        };
        let done = self.command(call, write, action).await?;
        let answer = self.answer_of(call, identity, done.sequence).await?;
        Ok(Response::new(raw::SetPriorityResponse {
            status: Some(moved::status(&answer)),
            sequence: done.sequence.0,
        }))
    }

    async fn watch_instructions(
        &self,
        request: Request<raw::WatchInstructionsRequest>,
    ) -> Answer<Self::WatchInstructionsStream> {
        let (call, request) = self.open(request)?;
        let reader = auth::reads_for(call.caller)?;
        let after = self.resume_position(&request.resume_token)?;
        Ok(Response::new(watch::changes(self, reader, after)))
    }

    async fn receive(&self, request: Request<raw::ReceiveRequest>) -> Answer<Self::ReceiveStream> {
        let (call, request) = self.open(request)?;
        let bank = auth::participant(call.caller)?;
        let named = optional("after_position", &request.after_position, fields::position)?;
        let after = match named {
            Some(after) => self.within_journal("after_position", after)?,
            None => view!(
                self.query(call, Query::Acknowledged(bank), 0).await?,
                Acknowledged
            )?,
        };
        Ok(Response::new(watch::received(self, bank, after)))
    }

    async fn acknowledge_received(
        &self,
        request: Request<raw::AcknowledgeReceivedRequest>,
    ) -> Answer<raw::AcknowledgeReceivedResponse> {
        let (call, request) = self.open(request)?;
        auth::participant(call.caller)?;
        let position = fields::position("position", &request.position)?;
        // Beyond what there is, it would acknowledge what nobody has received.
        let position = self.within_journal("position", position)?;
        let content = raw::AcknowledgeReceivedRequest {
            request_id: String::new(),
            created: None,
            ..request.clone()
        };
        let write = Write::new(
            &request.request_id,
            request.created,
            "AcknowledgeReceived",
            &content,
        );
        let done = self
            .command(call, write, Action::Acknowledge(position))
            .await?;
        Ok(Response::new(raw::AcknowledgeReceivedResponse {
            sequence: done.sequence.0,
        }))
    }
}

impl<E: Engine, R: Reads> Gateway<E, R> {
    /// The instruction with its content, if the reader (`None`: everyone's) is a party to it.
    pub(crate) async fn readable(
        &self,
        reader: Option<Bic>,
        answer: InstructionAnswer,
    ) -> Result<Option<InstructionRow>, Status> {
        let content = self
            .engine
            .content(answer.sequence)
            .await
            .map_err(errors::engine)?;
        let content = content.ok_or_else(|| errors::internal("an instruction without content"))?;
        let party = reader.is_none_or(|bic| wire::is_party(&content.bytes, bic));
        Ok(party.then_some(InstructionRow {
            answer,
            content: content.bytes,
            received: content.time,
        }))
    }

    /// What an instruction's conditions still wait for, if they do.
    async fn progress(
        &self,
        call: Call,
        answer: &InstructionAnswer,
    ) -> Result<Option<raw::ConditionsProgress>, Status> {
        let CoreStatus::Waiting(_) = answer.status else {
            return Ok(None);
        };
        let query = Query::Conditions(answer.identity);
        let view = view!(self.query(call, query, 0).await?, Conditions)?;
        Ok(view.as_ref().map(moved::progress))
    }

    async fn answer_of(
        &self,
        call: Call,
        identity: Identity,
        at: Sequence,
    ) -> Result<InstructionAnswer, Status> {
        let answers = self
            .query(call, Query::Instructions(identity.uetr), at.0)
            .await?;
        view!(answers, Instructions)?
            .into_iter()
            .find(|answer| answer.identity == identity)
            .ok_or_else(|| errors::internal("an instruction that was just written to is not found"))
    }
}

fn identity(uetr: &str, instructing: &str, kind: i32) -> Result<Identity, Status> {
    Ok(Identity {
        uetr: fields::uetr("uetr", uetr)?,
        instructing: fields::bic("instructing", instructing)?,
        kind: fields::kind("kind", kind)?,
    })
}

fn filter(
    call: Call,
    request: &raw::ListInstructionsRequest,
    limit: usize,
) -> Result<ListFilter, Status> {
    let named = optional("participant", &request.participant, fields::bic)?;
    let participant = auth::reads_named(call.caller, named)?;
    if request.awaiting_my_approval && participant.is_none() {
        return Err(errors::missing("participant"));
    }
    Ok(ListFilter {
        participant,
        awaiting_approval: request.awaiting_my_approval,
        status: status_filter(request.status)?,
        lane: lane_filter(request.lane)?,
        kind: kind_filter(request.kind)?,
        value_date: optional("value_date", &request.value_date, fields::date)?,
        asset: optional("asset", &request.asset, fields::asset)?,
        counterparty: optional("counterparty", &request.counterparty, fields::bic)?,
        cycle: optional("cycle", &request.cycle, fields::cycle)?,
        before: paging::start(LIST, &request.page_token)?.map(Sequence),
        limit,
    })
}

fn status_filter(value: i32) -> Result<Option<StatusFilter>, Status> {
    Ok(match v1::Status::try_from(value) {
        Ok(v1::Status::Unspecified) => None,
        Ok(v1::Status::Actc) => Some(StatusFilter::Member),
        Ok(v1::Status::Pdng) => Some(StatusFilter::Waiting),
        Ok(v1::Status::Acsp) => Some(StatusFilter::Irrevocable),
        Ok(v1::Status::Acsc) => Some(StatusFilter::Settled),
        Ok(v1::Status::Rjct) => Some(StatusFilter::Rejected),
        Ok(v1::Status::Canc) => Some(StatusFilter::Cancelled),
        Err(_) => return Err(fields::unknown("status")),
    })
}

fn lane_filter(value: i32) -> Result<Option<Lane>, Status> {
    Ok(match v1::Lane::try_from(value) {
        Ok(v1::Lane::Unspecified) => None,
        Ok(v1::Lane::Gross) => Some(Lane::Gross),
        Ok(v1::Lane::Net) => Some(Lane::Net),
        Err(_) => return Err(fields::unknown("lane")),
    })
}

fn kind_filter(value: i32) -> Result<Option<Kind>, Status> {
    match value {
        0 => Ok(None),
        value => wire::kind(value)
            .map(Some)
            .ok_or_else(|| fields::unknown("kind")),
    }
}
