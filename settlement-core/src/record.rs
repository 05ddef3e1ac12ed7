//! The payload of one journal record: every input of one engine step with its events.
//!
//! ```text
//! payload = version (1 byte, 1)  entry*
//! entry   = CBOR array [input, events]          events: see `series`
//! input   = CBOR array [0, content bytes]      an instruction's canonical bytes
//!         | [1, command]
//!         | [2, seed bytes]                     a tick
//!         | [3, run result]
//! ```
//!
//! Structs and enums are CBOR arrays by field index; an index is never reused, so an older record
//! is read by a newer program. The n-th entry of a record is the input `first_sequence + n`.

use crate::command::Command;
use crate::event::Event;
use crate::ids::CycleName;
use crate::run::Cap;
use crate::series;
use minicbor::{Decode, Decoder, Encode, Encoder};

/// Of the payload's first byte.
pub const PAYLOAD_VERSION: u8 = 1;

/// What a cycle's run, computed beside the writer, found. Journaled only if its inputs still hold.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode)]
#[allow(missing_docs)]
pub struct RunResult {
    #[n(0)]
    pub cycle: CycleName,
    /// Of the cycle's inputs when they were frozen: every change of members or funds raises it.
    #[n(1)]
    pub version: u64,
    /// One bit per unsettled unit that is not held, in queue order; bit 0 of byte 0 is the first.
    #[cbor(n(2), with = "minicbor::bytes")]
    pub settled: Vec<u8>,
    #[cbor(n(3), with = "minicbor::bytes")]
    pub certificate_hash: [u8; 32],
    /// For the batch's salts.
    #[cbor(n(4), with = "minicbor::bytes")]
    pub seed: [u8; 32],
    /// Of a run that bypassed order: whether nothing larger could have settled.
    #[n(5)]
    pub bypassed: Option<bool>,
    /// Bilateral caps as the run read them, by accounts: they may have changed since. Without those that
    /// could not bind.
    #[cbor(n(6), default)]
    pub caps: Vec<Cap>,
}

/// An input as the journal holds it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Input<'a> {
    /// The canonical bytes of an instruction.
    Instruction(&'a [u8]),
    /// Any other write.
    Command(Box<Command>),
    /// Time passes; the seed is for the gross batch that may close.
    Tick {
        /// Random, and never disclosed.
        seed: [u8; 32],
    },
    /// A run came back.
    Ran(Box<RunResult>),
}

/// Appends one input with its events to a payload; starts the payload if it is empty.
pub fn push(payload: &mut Vec<u8>, input: &Input<'_>, events: &[Event]) {
    if payload.is_empty() {
        payload.push(PAYLOAD_VERSION);
    }
    let mut encoder = Encoder::new(payload);
    let written: Result<(), minicbor::encode::Error<core::convert::Infallible>> = (|| {
        encoder.array(2)?.array(2)?;
        match input {
            Input::Instruction(content) => {
                encoder.u8(0)?.bytes(content)?;
            }
            Input::Command(command) => {
                encoder.u8(1)?.encode(command)?;
            }
            Input::Tick { seed } => {
                encoder.u8(2)?.bytes(seed)?;
            }
            Input::Ran(result) => {
                encoder.u8(3)?.encode(result)?;
            }
        }
        series::encode(events, &mut encoder)
    })();
    written.expect("a Vec takes every byte");
}

/// A command's bytes as a record holds them: what a movement's leaf commits to.
pub fn command_bytes(command: &Command) -> Vec<u8> {
    let mut bytes = Vec::new();
    Encoder::new(&mut bytes)
        .encode(command)
        .expect("a Vec takes every byte");
    bytes
}

/// The payload is not one that this program can read.
#[derive(Debug, thiserror::Error)]
pub enum PayloadError {
    /// Written by a newer program.
    #[error("payload version {0}, this program reads {PAYLOAD_VERSION}")]
    Version(u8),
    /// Not of the form above.
    #[error("payload entry {entry}: {reason}")]
    Malformed {
        /// From 0 within the record.
        entry: usize,
        /// What the decoder says.
        reason: String,
    },
}

/// Reads a payload's inputs and events in order.
pub struct Entries<'a> {
    decoder: Decoder<'a>,
    entry: usize,
}

/// Starts reading a payload.
pub fn entries(payload: &[u8]) -> Result<Entries<'_>, PayloadError> {
    match payload.split_first() {
        Some((&PAYLOAD_VERSION, rest)) => Ok(Entries {
            decoder: Decoder::new(rest),
            entry: 0,
        }),
        Some((&version, _)) => Err(PayloadError::Version(version)),
        None => Err(PayloadError::Version(0)),
    }
}

impl<'a> Entries<'a> {
    /// The next input; its events are put into `events`, which is cleared first. `None` at the end.
    pub fn next_into(
        &mut self,
        events: &mut Vec<Event>,
    ) -> Result<Option<Input<'a>>, PayloadError> {
        events.clear();
        if self.decoder.position() == self.decoder.input().len() {
            return Ok(None);
        }
        let input = self.read(events).map_err(|error| PayloadError::Malformed {
            entry: self.entry,
            reason: error.to_string(),
        })?;
        self.entry += 1;
        Ok(Some(input))
    }

    /// The next input's events, appended to `events`, and how many they are; the input itself is
    /// skipped. `None` at the end. For a replay, which needs no inputs.
    pub fn next_appending(&mut self, events: &mut Vec<Event>) -> Result<Option<u32>, PayloadError> {
        if self.decoder.position() == self.decoder.input().len() {
            return Ok(None);
        }
        let before = events.len();
        let entry = self.entry;
        self.entry += 1;
        let read = |decoder: &mut Decoder<'a>, events: &mut Vec<Event>| {
            if decoder.array()? != Some(2) {
                return Err(minicbor::decode::Error::message(
                    "an entry is an input and its events",
                ));
            }
            decoder.skip()?;
            series::decode(decoder, events)
        };
        read(&mut self.decoder, events).map_err(|error| PayloadError::Malformed {
            entry,
            reason: error.to_string(),
        })?;
        Ok(Some(
            u32::try_from(events.len() - before).unwrap_or(u32::MAX),
        ))
    }

    /// The next input without its events, which are skipped.
    pub fn next_input(&mut self) -> Result<Option<Input<'a>>, PayloadError> {
        if self.decoder.position() == self.decoder.input().len() {
            return Ok(None);
        }
        let entry = self.entry;
        self.entry += 1;
        self.read_input()
            .and_then(|input| self.decoder.skip().map(|()| Some(input)))
            .map_err(|error| PayloadError::Malformed {
                entry,
                reason: error.to_string(),
            })
    }

    fn read(&mut self, events: &mut Vec<Event>) -> Result<Input<'a>, minicbor::decode::Error> {
        let input = self.read_input()?;
        series::decode(&mut self.decoder, events)?;
        Ok(input)
    }

    fn read_input(&mut self) -> Result<Input<'a>, minicbor::decode::Error> {
        let malformed = minicbor::decode::Error::message;
        let decoder = &mut self.decoder;
        if decoder.array()? != Some(2) || decoder.array()? != Some(2) {
            return Err(malformed("an entry is an input and its events"));
        }
        Ok(match decoder.u8()? {
            0 => Input::Instruction(decoder.bytes()?),
            1 => Input::Command(decoder.decode()?),
            2 => Input::Tick {
                seed: decoder
                    .bytes()?
                    .try_into()
                    .map_err(|_| malformed("a seed has 32 bytes"))?,
            },
            3 => Input::Ran(decoder.decode()?),
            _ => return Err(malformed("unknown input")),
        })
    }
}

/// `i128` in CBOR, within structs that are not journaled.
pub(crate) mod wide {
    use crate::event::i128Cbor;
    use minicbor::{Decode, Decoder, Encode, Encoder};

    pub(crate) fn encode<C, W: minicbor::encode::Write>(
        value: &i128,
        e: &mut Encoder<W>,
        ctx: &mut C,
    ) -> Result<(), minicbor::encode::Error<W::Error>> {
        i128Cbor(*value).encode(e, ctx)
    }

    pub(crate) fn decode<C>(
        d: &mut Decoder<'_>,
        ctx: &mut C,
    ) -> Result<i128, minicbor::decode::Error> {
        i128Cbor::decode(d, ctx).map(|value| value.0)
    }
}

/// `Decimal` in CBOR: its text, which keeps scale and value exactly.
pub(crate) mod decimal {
    use minicbor::{Decoder, Encoder};
    use rust_decimal::Decimal;

    pub(crate) fn encode<C, W: minicbor::encode::Write>(
        value: &Decimal,
        e: &mut Encoder<W>,
        _: &mut C,
    ) -> Result<(), minicbor::encode::Error<W::Error>> {
        e.str(&value.to_string())?;
        Ok(())
    }

    pub(crate) fn decode<C>(
        d: &mut Decoder<'_>,
        _: &mut C,
    ) -> Result<Decimal, minicbor::decode::Error> {
        Decimal::from_str_exact(d.str()?)
            .map_err(|_| minicbor::decode::Error::message("not a decimal"))
    }
}

/// The same of one that need not be there: records of before the field existed have none.
pub(crate) mod optional_decimal {
    use super::decimal;
    use minicbor::{Decoder, Encoder};
    use rust_decimal::Decimal;

    pub(crate) fn encode<C, W: minicbor::encode::Write>(
        value: &Option<Decimal>,
        e: &mut Encoder<W>,
        ctx: &mut C,
    ) -> Result<(), minicbor::encode::Error<W::Error>> {
        match value {
            Some(value) => decimal::encode(value, e, ctx),
            None => e.null()?.ok(),
        }
    }

    pub(crate) fn decode<C>(
        d: &mut Decoder<'_>,
        ctx: &mut C,
    ) -> Result<Option<Decimal>, minicbor::decode::Error> {
        if d.datatype()? == minicbor::data::Type::Null {
            d.null()?;
            return Ok(None);
        }
        decimal::decode(d, ctx).map(Some)
    }

    pub(crate) fn nil() -> Option<Option<Decimal>> {
        Some(None)
    }

    pub(crate) fn is_nil(value: &Option<Decimal>) -> bool {
        value.is_none()
    }
}
