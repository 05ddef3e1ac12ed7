//! Core types as columns: the one table of numbers that every SQL store shares. A number is never
//! reused.

use crate::model::StatusFilter;
#[cfg(feature = "cluster")]
use settlement_core::command::MovementKind;
use settlement_core::command::{AccountState, ParticipantState};
use settlement_core::ids::{CycleName, Date};
#[cfg(feature = "cluster")]
use settlement_core::instruction::LegKind;
use settlement_core::instruction::{Kind, Lane, Priority};
use settlement_core::rejection::Rejection;
use settlement_core::rows::RunOrder;
use settlement_core::view::{Status, Waiting};

/// A status in columns.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct StatusColumns {
    /// See [`status_number`].
    pub status: u8,
    /// 1 unmatched, 2 order, 3 liquidity, 4 held.
    pub waiting: Option<u8>,
    /// Of a member.
    pub cycle: Option<CycleName>,
    /// That settled it.
    pub batch: Option<u64>,
    /// CBOR, as the journal's events have it.
    pub rejection: Option<Vec<u8>>,
}

/// 1 member, 2 waiting, 3 irrevocable, 4 settled, 5 rejected, 6 cancelled.
pub fn status_number(filter: StatusFilter) -> u8 {
    match filter {
        StatusFilter::Member => 1,
        StatusFilter::Waiting => 2,
        StatusFilter::Irrevocable => 3,
        StatusFilter::Settled => 4,
        StatusFilter::Rejected => 5,
        StatusFilter::Cancelled => 6,
    }
}

/// A status as columns.
pub fn status_columns(status: &Status) -> StatusColumns {
    let columns = |filter| StatusColumns {
        status: status_number(filter),
        waiting: None,
        cycle: None,
        batch: None,
        rejection: None,
    };
    match status {
        Status::Member(cycle) => StatusColumns {
            cycle: Some(*cycle),
            ..columns(StatusFilter::Member)
        },
        Status::Waiting(waiting) => StatusColumns {
            waiting: Some(waiting_number(*waiting)),
            ..columns(StatusFilter::Waiting)
        },
        Status::Irrevocable(cycle) => StatusColumns {
            cycle: Some(*cycle),
            ..columns(StatusFilter::Irrevocable)
        },
        Status::Settled { batch } => StatusColumns {
            batch: Some(*batch),
            ..columns(StatusFilter::Settled)
        },
        Status::Rejected(rejection) => StatusColumns {
            rejection: Some(rejection_bytes(rejection)),
            ..columns(StatusFilter::Rejected)
        },
        Status::Cancelled => columns(StatusFilter::Cancelled),
    }
}

/// Back from columns; `None` if no status has such.
pub fn status_of(columns: &StatusColumns) -> Option<Status> {
    Some(match columns.status {
        1 => Status::Member(columns.cycle?),
        2 => Status::Waiting(waiting_of(columns.waiting?)?),
        3 => Status::Irrevocable(columns.cycle?),
        4 => Status::Settled {
            batch: columns.batch?,
        },
        5 => Status::Rejected(minicbor::decode(columns.rejection.as_ref()?).ok()?),
        6 => Status::Cancelled,
        _ => return None,
    })
}

pub(crate) fn waiting_number(waiting: Waiting) -> u8 {
    match waiting {
        Waiting::Unmatched => 1,
        Waiting::Order => 2,
        Waiting::Liquidity => 3,
        Waiting::Held => 4,
        Waiting::Approval => 5,
        Waiting::Preimage => 6,
        Waiting::NotBefore => 7,
        Waiting::Group => 8,
    }
}

fn waiting_of(number: u8) -> Option<Waiting> {
    Some(match number {
        1 => Waiting::Unmatched,
        2 => Waiting::Order,
        3 => Waiting::Liquidity,
        4 => Waiting::Held,
        5 => Waiting::Approval,
        6 => Waiting::Preimage,
        7 => Waiting::NotBefore,
        8 => Waiting::Group,
        _ => return None,
    })
}

fn rejection_bytes(rejection: &Rejection) -> Vec<u8> {
    minicbor::to_vec(rejection).expect("a Vec takes every byte")
}

/// 1 kept, 2 bypassed, 3 bypassed and proven optimal.
pub fn run_order_number(order: RunOrder) -> u8 {
    match order {
        RunOrder::Kept => 1,
        RunOrder::Bypassed { optimal: false } => 2,
        RunOrder::Bypassed { optimal: true } => 3,
    }
}

/// Back from the number.
pub fn run_order_of(number: u8) -> Option<RunOrder> {
    Some(match number {
        1 => RunOrder::Kept,
        2 => RunOrder::Bypassed { optimal: false },
        3 => RunOrder::Bypassed { optimal: true },
        _ => return None,
    })
}

/// As on the wire: 1 payment, 2 cover, 3 return, 4 trade side.
pub fn kind_number(kind: Kind) -> u8 {
    match kind {
        Kind::Payment => 1,
        Kind::Cover => 2,
        Kind::Return => 3,
        Kind::TradeSide => 4,
    }
}

/// Back from the number.
pub fn kind_of(number: u8) -> Option<Kind> {
    Some(match number {
        1 => Kind::Payment,
        2 => Kind::Cover,
        3 => Kind::Return,
        4 => Kind::TradeSide,
        _ => return None,
    })
}

/// 1 gross, 2 net.
pub fn lane_number(lane: Lane) -> u8 {
    match lane {
        Lane::Gross => 1,
        Lane::Net => 2,
    }
}

/// 1 urgent, 2 high, 3 normal: in queue order.
pub fn priority_number(priority: Priority) -> u8 {
    match priority {
        Priority::Urgent => 1,
        Priority::High => 2,
        Priority::Normal => 3,
    }
}

/// 1 principal, 2 charge.
#[cfg(feature = "cluster")]
pub fn leg_kind_number(kind: LegKind) -> u8 {
    match kind {
        LegKind::Principal => 1,
        LegKind::Charge => 2,
    }
}

/// 1 deposit, 2 withdrawal, 3 pay-in, 4 pay-out, 5 transfer.
#[cfg(feature = "cluster")]
pub fn movement_kind_number(kind: MovementKind) -> u8 {
    match kind {
        MovementKind::Deposit => 1,
        MovementKind::Withdrawal => 2,
        MovementKind::PayIn => 3,
        MovementKind::PayOut => 4,
        MovementKind::Transfer => 5,
    }
}

/// 1 active, 2 suspended.
pub fn participant_state_number(state: ParticipantState) -> u8 {
    match state {
        ParticipantState::Active => 1,
        ParticipantState::Suspended => 2,
    }
}

/// 1 open, 2 blocked, 3 closed.
pub fn account_state_number(state: AccountState) -> u8 {
    match state {
        AccountState::Open => 1,
        AccountState::Blocked => 2,
        AccountState::Closed => 3,
    }
}

/// A cycle in two columns: days since 1970-01-01, and the number on that date.
pub fn cycle_of(value_date: Option<i32>, number: Option<u16>) -> Option<CycleName> {
    Some(CycleName {
        value_date: Date(value_date?),
        number: number?,
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use settlement_core::rejection::{Fault, Field, Malformed};

    #[test]
    fn every_status_comes_back_from_its_columns() {
        let cycle = CycleName {
            value_date: Date(20_777),
            number: 3,
        };
        let malformed = Malformed {
            field: Field::LegAmount,
            leg: 2,
            fault: Fault::Malformed,
        };
        for status in [
            Status::Member(cycle),
            Status::Waiting(Waiting::Unmatched),
            Status::Waiting(Waiting::Order),
            Status::Waiting(Waiting::Liquidity),
            Status::Waiting(Waiting::Held),
            Status::Waiting(Waiting::Approval),
            Status::Waiting(Waiting::Preimage),
            Status::Waiting(Waiting::NotBefore),
            Status::Waiting(Waiting::Group),
            Status::Irrevocable(cycle),
            Status::Settled { batch: u64::MAX },
            Status::Rejected(Rejection::DuplicateWithOtherContent),
            Status::Rejected(Rejection::Malformed(malformed)),
            Status::Rejected(Rejection::AmountInvalid { leg: 15 }),
            Status::Cancelled,
        ] {
            assert_eq!(status_of(&status_columns(&status)), Some(status));
        }
    }

    #[test]
    fn columns_that_no_status_has_are_refused() {
        let member = status_columns(&Status::Cancelled);
        for status in [0, 1, 2, 3, 4, 5, 7, 255] {
            let columns = StatusColumns {
                status,
                ..member.clone()
            };
            assert_eq!(status_of(&columns), None, "{status}");
        }
        for kind in [Kind::Payment, Kind::Cover, Kind::Return, Kind::TradeSide] {
            assert_eq!(kind_of(kind_number(kind)), Some(kind));
        }
        assert_eq!(kind_of(0), None);
    }
}
