//! What a bank sends, in the core's form. The gateway decodes the wire straight into a [`Submissions`]
//! batch: four vectors a batch, nothing allocated per instruction.

use crate::conditions::Conditions;
use crate::ids::{Bic, Date, Timestamp, Uetr};
use crate::rejection::Malformed;
use fx::{AssetCode, DecimalText};
use minicbor::{Decode, Encode};
use std::fmt;
use std::ops::Range;

/// An instruction has at least one leg and at most this many.
pub const LEGS_MAX: usize = 16;
/// Of identifiers that a bank chooses, in characters (ISO 20022 Max35Text).
pub const SHORT_TEXT_CHARS_MAX: usize = 35;

/// What the instruction is for; part of its identity.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Encode, Decode)]
#[cbor(index_only)]
pub enum Kind {
    /// A payment, of one currency or of two through a quote.
    #[n(1)]
    Payment,
    /// The bank-to-bank cover of a payment that travels elsewhere.
    #[n(2)]
    Cover,
    /// The return of an earlier payment, under its UETR.
    #[n(3)]
    Return,
    /// One bank's side of an FX or asset trade; waits for the other side.
    #[n(4)]
    TradeSide,
}

/// How it settles.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Encode, Decode)]
#[cbor(index_only)]
pub enum Lane {
    /// As soon as liquidity allows.
    #[n(1)]
    Gross,
    /// In a cycle.
    #[n(2)]
    Net,
}

/// Queue order is priority, then sequence: `Urgent` goes first, so it is the smallest.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Encode, Decode)]
#[cbor(index_only)]
pub enum Priority {
    /// Before all others.
    #[n(1)]
    Urgent,
    /// Before normal ones.
    #[n(2)]
    High,
    /// The default.
    #[n(3)]
    Normal,
}

/// A leg pays a principal, or a charge.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Encode, Decode)]
#[cbor(index_only)]
pub enum LegKind {
    /// What is paid.
    #[n(1)]
    Principal,
    /// What paying it costs.
    #[n(2)]
    Charge,
}

/// Which instruction this is. The same UETR travels on every hop, on a cover and in a return.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Encode, Decode)]
pub struct Identity {
    /// End-to-end reference.
    #[n(0)]
    pub uetr: Uetr,
    /// The participant that sends it.
    #[n(1)]
    pub instructing: Bic,
    /// What it is for.
    #[n(2)]
    pub kind: Kind,
}

/// First 16 bytes of the SHA-256 of the canonical instruction bytes: tells the same content from other.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default, Encode, Decode)]
#[cbor(transparent)]
pub struct Digest(#[cbor(n(0), with = "minicbor::bytes")] pub [u8; 16]);

/// A bank's identifier, at most 35 printable ASCII characters, held in place.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ShortText {
    bytes: [u8; SHORT_TEXT_CHARS_MAX],
    length: u8,
}

impl ShortText {
    /// `None` if it is empty, too long, or has a byte outside printable ASCII.
    pub fn parse(text: &[u8]) -> Option<Self> {
        let printable = text.iter().all(|byte| (b' '..=b'~').contains(byte));
        if text.is_empty() || text.len() > SHORT_TEXT_CHARS_MAX || !printable {
            return None;
        }
        let mut bytes = [0; SHORT_TEXT_CHARS_MAX];
        bytes[..text.len()].copy_from_slice(text);
        let length = u8::try_from(text.len()).expect("at most 35");
        Some(Self { bytes, length })
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.bytes[..usize::from(self.length)]).expect("parsed as ASCII")
    }
}

impl fmt::Display for ShortText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for ShortText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.as_str())
    }
}

impl<C> Encode<C> for ShortText {
    fn encode<W: minicbor::encode::Write>(
        &self,
        e: &mut minicbor::Encoder<W>,
        _: &mut C,
    ) -> Result<(), minicbor::encode::Error<W::Error>> {
        e.str(self.as_str())?;
        Ok(())
    }
}

impl<'b, C> Decode<'b, C> for ShortText {
    fn decode(d: &mut minicbor::Decoder<'b>, _: &mut C) -> Result<Self, minicbor::decode::Error> {
        Self::parse(d.str()?.as_bytes()).ok_or_else(|| {
            minicbor::decode::Error::message("not an identifier of 1 to 35 characters")
        })
    }
}

/// A leg as it was sent: names, not yet accounts; text, not yet minor units.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Encode, Decode)]
pub struct LegSent {
    /// Principal or charge.
    #[n(0)]
    pub kind: LegKind,
    /// Who pays.
    #[n(1)]
    pub debtor: Bic,
    /// Who is paid.
    #[n(2)]
    pub creditor: Bic,
    /// `None` if the text is no asset code at all (refused as AM11, like an unknown one).
    #[n(3)]
    pub asset: Option<AssetCode>,
    /// `None` if the text is no decimal (refused as AM12).
    #[n(4)]
    pub amount: Option<DecimalText>,
}

/// What follows the identity, once every field has its form.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Encode, Decode)]
pub struct Body {
    /// Gross or net.
    #[n(0)]
    pub lane: Lane,
    /// Place in the queues.
    #[n(1)]
    pub priority: Priority,
    /// When the sender made it.
    #[n(2)]
    pub created: Timestamp,
    /// When it is to settle.
    #[n(3)]
    pub value_date: Date,
    /// The quote that it consumes.
    #[n(4)]
    pub quote_id: Option<ShortText>,
    /// What both sides of a trade name alike.
    #[n(5)]
    pub trade_reference: Option<ShortText>,
    /// Its place in [`Submissions::conditions`]; most have none.
    #[n(6)]
    pub conditions: Option<u32>,
}

/// One instruction of a batch. Ranges point into the batch's `content` and `legs`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Submission {
    /// Its place in the sender's request.
    pub index: u32,
    /// Which instruction.
    pub identity: Identity,
    /// Of the canonical bytes.
    pub digest: Digest,
    /// The canonical bytes.
    pub content: Range<u32>,
    /// 1 to 16 legs; empty if malformed.
    pub legs: Range<u32>,
    /// The first malformed field is an answer too: identity can be read, so it is journaled.
    pub body: Result<Body, Malformed>,
}

/// Instructions of one caller, decoded. The caller is each identity's `instructing`: the gateway has
/// checked that.
#[derive(Clone, Debug, Default)]
pub struct Submissions {
    /// In the order sent.
    pub items: Vec<Submission>,
    /// Of all items.
    pub legs: Vec<LegSent>,
    /// Canonical bytes of all items.
    pub content: Vec<u8>,
    /// Of the items that have some.
    pub conditions: Vec<Conditions>,
}

impl Submissions {
    /// The legs of one item.
    pub fn legs_of(&self, item: &Submission) -> &[LegSent] {
        &self.legs[item.legs.start as usize..item.legs.end as usize]
    }

    /// The canonical bytes of one item.
    pub fn content_of(&self, item: &Submission) -> &[u8] {
        &self.content[item.content.start as usize..item.content.end as usize]
    }

    /// The conditions of one item that is not malformed.
    pub fn conditions_of(&self, body: &Body) -> Option<&Conditions> {
        body.conditions.map(|at| &self.conditions[at as usize])
    }
}
