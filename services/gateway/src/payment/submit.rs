//! A request of instructions into one [`Submissions`], and its answer back by index.

use crate::convert::status_and_reason;
use crate::errors::{self, Failure};
use crate::ports::Engine;
use crate::raw as moved;
use crate::rejection;
use crate::wire::{self, WireError};
use bytes::Bytes;
use settlement_core::ids::{Bic, Sequence};
use settlement_core::instruction::{Identity, Submissions};
use settlement_core::view::{self, AcceptedRange, InstructionAnswer, SubmitAnswer};
use std::future::Future;
use tonic::{Code, Status};
use valuta_proto::raw;

/// Of one request; a larger one is refused as a whole.
pub const BATCH_INSTRUCTIONS_MAX: usize = 10_000;

const NOT_THE_CALLERS: WireError = WireError {
    field: "instructing",
    code: "NARR",
    reason: "INSTRUCTING_MUST_BE_CALLER",
    detail: "a participant instructs only for itself",
};

/// Submits one instruction; what a batch answers by index is the call's failure here.
pub(super) async fn one(
    engine: &impl Engine,
    bank: Bic,
    instruction: &Bytes,
) -> Result<raw::InstructionStatus, Status> {
    let mut batch = Submissions::default();
    decode(instruction, 0, bank, &mut batch).map_err(|error| failure(&error))?;
    let identity = batch.items[0].identity;
    let answer = engine.submit(batch).await.map_err(errors::engine)?;
    count(&answer);
    let found = answer.others.first().map(|(_, answer)| *answer);
    found
        .or_else(|| Some(accepted_answer(identity, answer.accepted.first()?, 0)))
        .map(|answer| moved::status(&answer))
        .ok_or_else(|| errors::internal("the engine left an instruction without answer"))
}

fn failure(error: &WireError) -> Status {
    let code = match error.reason {
        reason if reason == NOT_THE_CALLERS.reason => Code::PermissionDenied,
        _ => Code::InvalidArgument,
    };
    let failure = Failure::new(code, error.reason, error.to_string()).iso(error.code);
    match error.field {
        "" => failure.field("instruction").into(),
        field => failure.field(format!("instruction.{field}")).into(),
    }
}

fn decode(bytes: &[u8], index: u32, bank: Bic, batch: &mut Submissions) -> Result<(), WireError> {
    wire::decode_into(bytes, index, batch)?;
    let own = batch
        .items
        .last()
        .is_some_and(|item| item.identity.instructing == bank);
    if !own {
        wire::remove_last(batch);
        return Err(NOT_THE_CALLERS);
    }
    Ok(())
}

/// Decodes a request now, so that nothing of it is kept; the future submits it and answers.
pub(super) fn many<E: Engine>(
    engine: &E,
    bank: Bic,
    request: &raw::SubmitInstructionsRequest,
) -> Result<
    impl Future<Output = Result<raw::SubmitInstructionsResponse, Status>> + Send + use<E>,
    Status,
> {
    let instructions = &request.instructions;
    if instructions.len() > BATCH_INSTRUCTIONS_MAX {
        let message = format!(
            "a request has at most {BATCH_INSTRUCTIONS_MAX} instructions, not {}",
            instructions.len()
        );
        return Err(
            Failure::new(Code::OutOfRange, "TOO_MANY_INSTRUCTIONS", message)
                .field("instructions")
                .into(),
        );
    }
    let (batch, errors) = decode_all(instructions, bank);
    // The engine takes the batch; full answers need the identities that went with it.
    let identities: Option<Vec<(u32, Identity)>> = request.full_answers.then(|| {
        batch
            .items
            .iter()
            .map(|item| (item.index, item.identity))
            .collect()
    });
    let engine = engine.clone();
    Ok(async move {
        let answer = match batch.items.is_empty() {
            true => SubmitAnswer::default(),
            false => engine.submit(batch).await.map_err(errors::engine)?,
        };
        count(&answer);
        Ok(response(&answer, identities.as_deref(), errors))
    })
}

fn decode_all(instructions: &[Bytes], bank: Bic) -> (Submissions, Vec<raw::IndexedError>) {
    let mut batch = Submissions {
        items: Vec::with_capacity(instructions.len()),
        legs: Vec::with_capacity(instructions.len()),
        content: Vec::with_capacity(instructions.iter().map(Bytes::len).sum()),
        conditions: Vec::new(),
    };
    let mut errors = Vec::new();
    for (index, bytes) in (0..).zip(instructions) {
        if let Err(error) = decode(bytes, index, bank, &mut batch) {
            metrics::counter!("valuta_instructions_undecodable_total", "reason" => error.reason)
                .increment(1);
            errors.push(raw::IndexedError {
                index,
                error: Some(moved::rejection(rejection::wire_error(&error))),
            });
        }
    }
    (batch, errors)
}

/// With `identities` every instruction is answered in full; else accepted ones in ranges.
fn response(
    answer: &SubmitAnswer,
    identities: Option<&[(u32, Identity)]>,
    errors: Vec<raw::IndexedError>,
) -> raw::SubmitInstructionsResponse {
    let full = |(index, answer): &(u32, InstructionAnswer)| raw::IndexedStatus {
        index: *index,
        status: Some(moved::status(answer)),
    };
    let mut others: Vec<_> = answer.others.iter().map(full).collect();
    let Some(identities) = identities else {
        return raw::SubmitInstructionsResponse {
            accepted: answer.accepted.iter().map(range).collect(),
            others,
            errors,
        };
    };
    for range in &answer.accepted {
        let start = identities.partition_point(|(index, _)| *index < range.first_index);
        let members = identities[start..].iter().take(range.count as usize);
        others.extend(
            members.map(|(index, identity)| {
                full(&(*index, accepted_answer(*identity, range, *index)))
            }),
        );
    }
    others.sort_unstable_by_key(|other| other.index);
    raw::SubmitInstructionsResponse {
        accepted: Vec::new(),
        others,
        errors,
    }
}

fn range(range: &AcceptedRange) -> raw::AcceptedRange {
    let (status, waiting_reason) = status_and_reason(&range.status);
    raw::AcceptedRange {
        first_index: range.first_index,
        count: range.count,
        first_sequence: range.first_sequence.0,
        status: status as i32,
        waiting_reason: waiting_reason as i32,
    }
}

/// What a range says of one index within it.
fn accepted_answer(identity: Identity, range: &AcceptedRange, index: u32) -> InstructionAnswer {
    InstructionAnswer {
        identity,
        sequence: Sequence(range.first_sequence.0 + u64::from(index - range.first_index)),
        status: range.status,
        matched_with: None,
        repeated: false,
    }
}

fn count(answer: &SubmitAnswer) {
    for range in &answer.accepted {
        let (status, _) = status_and_reason(&range.status);
        metrics::counter!("valuta_instructions_total", "status" => status.as_str_name())
            .increment(u64::from(range.count));
    }
    for (_, other) in &answer.others {
        let (status, _) = status_and_reason(&other.status);
        match (&other.status, other.repeated) {
            (_, true) => metrics::counter!("valuta_instructions_repeated_total").increment(1),
            (view::Status::Rejected(rejection), false) => {
                metrics::counter!("valuta_refusals_total", "code" => rejection.code()).increment(1);
            }
            (_, false) => {
                metrics::counter!("valuta_instructions_total", "status" => status.as_str_name())
                    .increment(1);
            }
        }
    }
}
