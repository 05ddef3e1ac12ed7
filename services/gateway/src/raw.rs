//! `PaymentService` is served with the types of [`valuta_proto::raw`]; what it shares with the other
//! services is moved over here.

use crate::convert;
use crate::ports::InstructionRow;
use crate::wire;
use settlement_core::ids::Bic;
use settlement_core::view::{ConditionsView, InstructionAnswer};
use valuta_proto::{raw, v1};

pub(crate) fn rejection(rejection: v1::Rejection) -> raw::Rejection {
    raw::Rejection {
        code: rejection.code,
        reason: rejection.reason,
        field: rejection.field,
        detail: rejection.detail,
    }
}

pub(crate) fn status(answer: &InstructionAnswer) -> raw::InstructionStatus {
    let status = convert::instruction_status(answer);
    raw::InstructionStatus {
        uetr: status.uetr,
        instructing: status.instructing,
        kind: status.kind,
        sequence: status.sequence,
        status: status.status,
        waiting_reason: status.waiting_reason,
        rejection: status.rejection.map(rejection),
        cycle: status.cycle,
        batch: status.batch,
        matched_with: status.matched_with,
    }
}

/// How far conditions have come.
pub(crate) fn progress(view: &ConditionsView) -> raw::ConditionsProgress {
    let names = |bics: &[Bic]| bics.iter().map(Bic::to_string).collect();
    raw::ConditionsProgress {
        approved_by: names(&view.approved_by),
        approvals_missing: names(&view.approvals_missing),
        approvals_outstanding: view.approvals_outstanding,
        preimage_shown: view.preimage_shown,
        group_ready: u32::try_from(view.group_ready).unwrap_or(u32::MAX),
    }
}

pub(crate) fn view(row: &InstructionRow) -> raw::InstructionView {
    raw::InstructionView {
        status: Some(status(&row.answer)),
        instruction: Some(wire::to_message(&row.content)),
        received: Some(convert::time(row.received)),
        conditions: None,
    }
}
