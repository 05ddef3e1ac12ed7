//! A queue file as it was written: its texts, each with its line, before anything is known to be right.

use std::borrow::Cow;
use std::fmt;

/// A text of the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Text<'a> {
    pub text: Cow<'a, str>,
    /// From 1.
    pub line: usize,
}

/// Everything that a file may say.
#[derive(Debug, Default)]
pub struct Form<'a> {
    pub style: Style,
    pub base: Option<Text<'a>>,
    pub order: Option<Text<'a>>,
    pub goal: Option<Text<'a>>,
    /// By pair.
    pub rates: Vec<(Text<'a>, Text<'a>)>,
    /// By asset.
    pub haircuts: Vec<(Text<'a>, Text<'a>)>,
    pub assets: Vec<AssetForm<'a>>,
    pub participants: Vec<ParticipantForm<'a>>,
    pub accounts: Vec<AccountForm<'a>>,
    pub caps: Vec<CapForm<'a>>,
    pub queue: Vec<InstructionForm<'a>>,
}

/// How a place in the file is named.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Style {
    /// By its path from the top.
    #[default]
    Json,
    /// By its column.
    Csv,
}

#[derive(Debug)]
pub struct AssetForm<'a> {
    pub code: Text<'a>,
    pub decimals: Text<'a>,
}

#[derive(Debug)]
pub struct ParticipantForm<'a> {
    pub bic: Text<'a>,
    pub aggregate_short_limit: Option<Text<'a>>,
    pub account_value_test: bool,
}

#[derive(Debug)]
pub struct AccountForm<'a> {
    pub participant: Text<'a>,
    pub asset: Text<'a>,
    pub amount: Option<Text<'a>>,
    pub short_limit: LimitForm<'a>,
}

/// A limit that may be left out, which is zero, or said to be none.
#[derive(Debug)]
pub enum LimitForm<'a> {
    Zero,
    None,
    Of(Text<'a>),
}

#[derive(Debug)]
pub struct CapForm<'a> {
    pub from: Text<'a>,
    pub to: Text<'a>,
    pub asset: Text<'a>,
    pub amount: Text<'a>,
}

#[derive(Debug)]
pub struct InstructionForm<'a> {
    pub id: Text<'a>,
    pub priority: Option<Text<'a>>,
    pub group: Option<Text<'a>>,
    pub legs: Vec<LegForm<'a>>,
}

#[derive(Debug)]
pub struct LegForm<'a> {
    pub debtor: Text<'a>,
    pub creditor: Text<'a>,
    pub asset: Text<'a>,
    pub amount: Text<'a>,
}

/// Why a file cannot be used: the first fault in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Whether it is in the file of accounts, where that is one of its own.
    pub is_in_accounts: bool,
    /// From 1.
    pub line: usize,
    /// A path from the top, or a column; empty where the file as a whole is at fault.
    pub field: String,
    pub reason: String,
}

impl Fault {
    pub fn new(line: usize, field: impl Into<String>, reason: impl fmt::Display) -> Self {
        Self {
            is_in_accounts: false,
            line,
            field: field.into(),
            reason: reason.to_string(),
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            line,
            field,
            reason,
            ..
        } = self;
        match field.as_str() {
            "" => write!(f, "line {line}: {reason}"),
            field => write!(f, "line {line}, field {field}: {reason}"),
        }
    }
}
