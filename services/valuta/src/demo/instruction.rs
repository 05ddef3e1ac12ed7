//! One planned instruction: small in memory, and the same bytes every time that it is sent.

use super::world::{self, DAY, World, clock};
use prost_types::Timestamp;
use settlement_core::ids::Uetr;
use valuta_proto::v1;

/// A BIC that is not in the sample.
const UNKNOWN_BANK: &str = "NOPENL2A";
/// Creation times are spread over so many seconds before the traffic begins.
const CREATED_SECONDS: i64 = 3_000;

/// What must come of an instruction.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Purpose {
    /// Gross: settles, maybe after a wait.
    Settles,
    /// Net: a member of the day's cycle.
    JoinsCycle,
    /// With this ISO 20022 code.
    Refused(&'static str),
}

/// What is wrong with it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fault {
    /// An earlier one's identity with another amount.
    OtherContent,
    /// The creditor is not in the scheme.
    UnknownCreditor,
    /// Half a yen.
    YenWithDecimals,
    /// Above the account's limit per instruction.
    OverLimit,
    /// Net, after the cut-off.
    PastCutOff,
}

impl Fault {
    /// The code that refuses it.
    pub fn code(self) -> &'static str {
        match self {
            Self::OtherContent => "AM05",
            Self::UnknownCreditor => "CNOR",
            Self::YenWithDecimals => "CH20",
            Self::OverLimit => "AM13",
            Self::PastCutOff => "TM01",
        }
    }

    /// The same for a head of payments.
    pub fn words(self) -> &'static str {
        match self {
            Self::OtherContent => "same identity, other content",
            Self::UnknownCreditor => "unknown bank",
            Self::YenWithDecimals => "yen with decimals",
            Self::OverLimit => "over the limit",
            Self::PastCutOff => "past the cut-off",
        }
    }
}

/// What the instruction is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[allow(missing_docs)]
pub enum Payload {
    Payment,
    /// Index of the quote in the plan.
    UnderQuote(usize),
    TradeSide {
        trade: usize,
        /// The other side has the same legs under its own UETR.
        is_first: bool,
    },
}

/// Banks and currencies by their place in the sample; minor units.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[allow(missing_docs)]
pub struct Leg {
    pub debtor: usize,
    pub creditor: usize,
    pub asset: usize,
    pub minor: i64,
}

/// One instruction of the plan.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Planned {
    /// A UUID of version 4.
    pub uetr: u128,
    /// Unique in the plan; names the bank's own references.
    pub number: u32,
    /// Who sends it.
    pub bank: usize,
    /// What must come of it.
    pub purpose: Purpose,
    /// What it is.
    pub payload: Payload,
    /// One or two.
    pub legs: [Option<Leg>; 2],
    /// `None` if it is right.
    pub fault: Option<Fault>,
}

impl Planned {
    /// One or two.
    pub fn legs(&self) -> impl Iterator<Item = Leg> + '_ {
        self.legs.iter().flatten().copied()
    }

    /// The instruction as it is sent: the same every time.
    pub fn wire(&self, world: &World) -> v1::Instruction {
        let is_net = self.purpose == Purpose::JoinsCycle || self.fault == Some(Fault::PastCutOff);
        let (lane, kind) = match (is_net, self.payload) {
            (_, Payload::TradeSide { .. }) => (v1::Lane::Net, v1::Kind::TradeSide),
            (true, _) => (v1::Lane::Net, v1::Kind::Payment),
            (false, _) => (v1::Lane::Gross, v1::Kind::Payment),
        };
        let created = i64::from(self.number) % CREATED_SECONDS;
        let mut instruction = v1::Instruction {
            uetr: Uetr(self.uetr).to_string(),
            kind: kind.into(),
            lane: lane.into(),
            instructing: world.banks[self.bank].clone(),
            created: Some(Timestamp {
                seconds: world::at(clock::SETUP).seconds + created,
                nanos: 0,
            }),
            value_date: DAY.into(),
            legs: self.legs().map(|leg| self.wire_leg(leg, world)).collect(),
            instruction_id: format!("I{}", self.number),
            end_to_end_id: format!("E2E-{}", self.number),
            ..Default::default()
        };
        match self.payload {
            Payload::Payment => {}
            Payload::UnderQuote(quote) => instruction.quote_id = quote_id(quote),
            Payload::TradeSide { trade, .. } => instruction.trade_reference = format!("T{trade}"),
        }
        instruction
    }

    fn wire_leg(&self, leg: Leg, world: &World) -> v1::Leg {
        let creditor = match self.fault {
            Some(Fault::UnknownCreditor) => UNKNOWN_BANK,
            _ => &world.banks[leg.creditor],
        };
        let mut amount = world.amount(leg.asset, leg.minor.into());
        if self.fault == Some(Fault::YenWithDecimals) {
            amount.push_str(".50");
        }
        v1::Leg {
            debtor: world.banks[leg.debtor].clone(),
            creditor: creditor.to_owned(),
            amount,
            asset: world.assets[leg.asset].code.clone(),
            kind: v1::LegKind::Principal.into(),
        }
    }
}

/// The provider's name for a quote of the plan.
pub fn quote_id(quote: usize) -> String {
    format!("Q{quote}")
}
