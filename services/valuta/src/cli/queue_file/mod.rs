//! A queue of instructions, with all that a run over it needs, from one file: what a treasury exports.
//!
//! | step    | from, to                          | refuses                                             |
//! |---------|-----------------------------------|-----------------------------------------------------|
//! | `json`  | JSON to a [`form::Form`]          | syntax, unknown and missing fields, numbers for text |
//! | `sheet` | CSV to the same form              | unknown and missing columns, ragged rows            |
//! | `build` | form to [`QueueFile`]             | everything that the words may still be wrong about  |
//!
//! The first fault is reported, with its line, field and reason. What is left out has its neutral value: no
//! test, a zero balance, a zero short limit, normal priority, order kept, value as the goal.

mod build;
mod form;
mod json;
mod rates;
mod sheet;
#[cfg(test)]
mod tests;
mod words;

use fx::{AssetCode, I256, ValuationRate};
use settlement_core::ids::Bic;
use settlement_core::run::{Cap, Leg};
use std::collections::BTreeMap;

pub use build::Sources;
pub use form::Fault;

/// Whether an instruction may pass those ahead of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// Never.
    Kept,
    /// Where more settles then.
    Bypassed,
}

/// What most is to be had of where order is bypassed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Goal {
    /// Value settled, in the base currency.
    Value,
    /// Instructions settled.
    Count,
}

/// An asset that the file names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asset {
    /// ISO 4217, or a token's.
    pub code: AssetCode,
    /// Of its amounts.
    pub decimals: u8,
    /// Base per unit, frozen, where the rates give one.
    pub rate: Option<ValuationRate>,
    /// In units of 10^-4.
    pub haircut: u16,
}

/// A participant, and the tests that span its accounts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Participant {
    /// Its name.
    pub bic: Bic,
    /// Minor units of the base currency; `None` is not tested.
    pub aggregate_short_max: Option<i64>,
    /// Whether its account value is tested.
    pub account_value: bool,
}

/// One participant's balance in one asset. Participants and assets by their places.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Account {
    /// Whose.
    pub participant: u32,
    /// In what.
    pub asset: u32,
    /// Minor units.
    pub balance: i64,
    /// What it may not go below, minor units, or no floor.
    pub floor: i64,
}

/// An instruction of the queue; its legs name accounts by their places.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Instruction {
    /// Unique in the file.
    pub id: String,
    /// One or more.
    pub legs: Vec<Leg>,
    /// The unit that it is of.
    pub unit: u32,
}

/// A file, checked. Everything in it is numbered in order of first appearance, accounts with those of the
/// file's list first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueueFile {
    /// Whether order is kept.
    pub order: Order,
    /// What counts where it is not.
    pub goal: Goal,
    /// The base currency's place.
    pub base: Option<u32>,
    /// In order of first appearance.
    pub assets: Vec<Asset>,
    /// In order of first appearance.
    pub participants: Vec<Participant>,
    /// Those of the list, then those that caps or legs touch.
    pub accounts: Vec<Account>,
    /// Bilateral caps.
    pub caps: Vec<Cap>,
    /// In queue order: priority, then place in the file.
    pub instructions: Vec<Instruction>,
    /// What settles together, by places of instructions, in order of each unit's last.
    pub units: Vec<Vec<u32>>,
}

impl QueueFile {
    /// An amount of the account's asset as text.
    pub fn amount(&self, account: u32, minor: i128) -> String {
        let asset = self.accounts[account as usize].asset;
        fx::format_minor_units(minor, self.assets[asset as usize].decimals)
    }

    /// The account's participant and asset by name.
    pub fn names(&self, account: u32) -> (String, String) {
        let Account {
            participant, asset, ..
        } = self.accounts[account as usize];
        (self.bic(participant), self.code(asset))
    }

    /// A participant's name.
    pub fn bic(&self, participant: u32) -> String {
        self.participants[participant as usize].bic.to_string()
    }

    /// An asset's name.
    pub fn code(&self, asset: u32) -> String {
        self.assets[asset as usize].code.to_string()
    }

    /// The place of an account by its names.
    pub fn account_named(&self) -> BTreeMap<(String, String), u32> {
        let accounts = 0..u32::try_from(self.accounts.len()).expect("numbered with u32");
        accounts
            .map(|account| (self.names(account), account))
            .collect()
    }

    /// The legs of a unit, its instructions in queue order.
    pub fn unit_legs(&self, unit: u32) -> impl Iterator<Item = &Leg> {
        let instructions = self.units[unit as usize].iter();
        instructions.flat_map(|&place| &self.instructions[place as usize].legs)
    }

    /// What each unit counts for.
    pub fn weights(&self) -> Vec<I256> {
        let units = 0..u32::try_from(self.units.len()).expect("numbered with u32");
        units.map(|unit| self.weight(unit)).collect()
    }

    fn weight(&self, unit: u32) -> I256 {
        match self.goal {
            Goal::Count => I256::from(self.units[unit as usize].len() as u64),
            Goal::Value => self.unit_legs(unit).map(|leg| self.value(leg)).sum(),
        }
    }

    /// What a leg moves, in 10^-20 of the base currency; of the one asset, where there is no base.
    fn value(&self, leg: &Leg) -> I256 {
        let asset = self.accounts[leg.debtor as usize].asset;
        let asset = &self.assets[asset as usize];
        let rate = asset.rate.unwrap_or(ValuationRate::ONE);
        let value = rate.value(leg.amount.into(), asset.decimals);
        value.expect("an amount, a rate below 10^18 and 8 decimals fit 256 bits")
    }
}

/// Reads a file, JSON or CSV as its first character says.
///
/// # Errors
/// The first fault.
pub fn read(sources: &Sources<'_>) -> Result<QueueFile, Fault> {
    build::build(sources)
}

/// Whether a content is JSON: the alternative is CSV, whose header cannot start so.
pub fn is_json(content: &str) -> bool {
    let content = content.trim_start_matches('\u{feff}').trim_start();
    content.starts_with(['{', '['])
}
