//! How a scheme's cycles are funded, how far shorts may go, and in which order units settle.

use crate::ids::{AssetId, Bic};
use fx::{AssetCode, ValuationRate};
use minicbor::{Decode, Encode};

/// Haircuts count in units of 1 / this.
pub const HAIRCUT_SCALE: u16 = crate::run::HAIRCUT_SCALE;

/// When a cycle runs, and whether its funds may be short meanwhile.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Encode, Decode)]
#[cbor(index_only)]
pub enum Funding {
    /// No fund is ever short; runs when all is funded, else from the pay-in deadline on.
    #[default]
    #[n(1)]
    Prefunded,
    /// Runs on every pay-in from the close, with shorts within the three tests; no fund is short when it
    /// completes.
    #[n(2)]
    Continuous,
}

/// Whether a unit may settle before one that waits ahead of it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Encode, Decode)]
#[cbor(index_only)]
pub enum SettlementOrder {
    /// No.
    #[default]
    #[n(1)]
    Kept,
    /// Yes, where more value settles so, at the cycle's frozen rates.
    #[n(2)]
    BypassedByValue,
    /// Yes, where more units settle so.
    #[n(3)]
    BypassedByCount,
}

/// How cycles settle. A cycle keeps the model that it opened with.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Encode, Decode)]
#[allow(missing_docs)]
pub struct Model {
    #[n(0)]
    pub funding: Funding,
    #[n(1)]
    pub order: SettlementOrder,
}

/// One rule of a scheme's risk management. A later one of the same name replaces it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Encode, Decode)]
#[allow(missing_docs)]
pub enum RiskLine {
    #[n(0)]
    Model(#[n(0)] Model),
    /// What an asset counts less for where it is held, and more where it is owed.
    #[n(1)]
    Haircut {
        #[n(0)]
        asset: AssetCode,
        /// In units of 1 / [`HAIRCUT_SCALE`], below it; 0 for the base asset.
        #[n(1)]
        haircut: u16,
    },
    /// By how much an account's fund may be short in a continuous cycle; 0 without a line.
    #[n(2)]
    ShortLimit {
        #[n(0)]
        participant: Bic,
        #[n(1)]
        asset: AssetCode,
        /// Minor units; `None` is without limit.
        #[n(2)]
        amount: Option<i64>,
    },
    /// The tests that span a participant's accounts in a continuous cycle.
    #[n(3)]
    Tests {
        #[n(0)]
        participant: Bic,
        /// What all shorts may be worth, minor units of the base asset; `None` is not tested.
        #[n(1)]
        aggregate_short: Option<i64>,
        /// Whether what the accounts are worth after haircuts must not be below zero.
        #[n(2)]
        account_value: bool,
    },
}

/// What an asset counts for in one value date's cycles, frozen.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Encode, Decode)]
#[allow(missing_docs)]
pub struct FrozenValue {
    #[n(0)]
    pub asset: AssetId,
    #[n(1)]
    pub rate: ValuationRate,
    /// In units of 1 / [`HAIRCUT_SCALE`].
    #[n(2)]
    pub haircut: u16,
}
