//! An `Instruction` as slices of the message that brought it, and its canonical form.

use super::conditions::ConditionsText;
use super::protobuf::{self as pb, BYTES, Broken, Key, Reader, VARINT};
use settlement_core::instruction::LEGS_MAX;

/// Field numbers of `valuta.v1.Instruction`.
pub(super) mod number {
    pub(in super::super) const UETR: u32 = 1;
    pub(in super::super) const KIND: u32 = 2;
    pub(in super::super) const LANE: u32 = 3;
    pub(in super::super) const PRIORITY: u32 = 4;
    pub(in super::super) const INSTRUCTING: u32 = 5;
    pub(in super::super) const CREATED: u32 = 6;
    pub(in super::super) const VALUE_DATE: u32 = 7;
    pub(in super::super) const LEGS: u32 = 8;
    pub(in super::super) const INSTRUCTION_ID: u32 = 9;
    pub(in super::super) const END_TO_END_ID: u32 = 10;
    pub(in super::super) const QUOTE_ID: u32 = 11;
    pub(in super::super) const TRADE_REFERENCE: u32 = 12;
    pub(in super::super) const REMITTANCE: u32 = 13;
    pub(in super::super) const PURPOSE: u32 = 14;
    pub(in super::super) const CHARGE_BEARER: u32 = 15;
    pub(in super::super) const INSTRUCTED_AMOUNT: u32 = 16;
    pub(in super::super) const INSTRUCTED_ASSET: u32 = 17;
    pub(in super::super) const ISO_MESSAGE: u32 = 18;
    pub(in super::super) const RETURN_REASON: u32 = 19;
    pub(in super::super) const CONDITIONS: u32 = 20;
}
const FIELD_LAST: usize = number::CONDITIONS as usize;

/// Field numbers of `valuta.v1.Leg`.
const LEG_DEBTOR: u32 = 1;
const LEG_CREDITOR: u32 = 2;
const LEG_AMOUNT: u32 = 3;
const LEG_ASSET: u32 = 4;
const LEG_KIND: u32 = 5;

/// Field numbers of `google.protobuf.Timestamp`.
const SECONDS: u32 = 1;
const NANOS: u32 = 2;

/// How far the bytes are from the canonical form.
#[derive(Clone, Copy)]
pub(super) struct Form {
    /// The bytes are the canonical form.
    pub(super) canonical: bool,
    /// A field number or wire type that `valuta.v1` does not have.
    pub(super) unknown: bool,
}

impl Form {
    pub(super) const CLEAN: Self = Self {
        canonical: true,
        unknown: false,
    };

    pub(super) fn join(&mut self, inner: Self) {
        self.canonical &= inner.canonical;
        self.unknown |= inner.unknown;
    }

    /// With something that nobody reads.
    pub(super) const FOREIGN: Self = Self {
        canonical: false,
        unknown: true,
    };

    fn meets_unknown(&mut self) {
        *self = Self::FOREIGN;
    }
}

/// A `google.protobuf.Timestamp` as sent.
#[derive(Clone, Copy, Default)]
pub(super) struct Stamp {
    pub(super) seconds: i64,
    pub(super) nanos: i32,
}

/// An instruction's fields as sent: text not yet checked, legs not yet read.
pub(super) struct Sent<'a> {
    /// By field number; numbers and messages leave theirs empty.
    texts: [&'a [u8]; FIELD_LAST + 1],
    pub(super) kind: i32,
    pub(super) lane: i32,
    pub(super) priority: i32,
    pub(super) charge_bearer: i32,
    pub(super) created: Option<Stamp>,
    legs: [&'a [u8]; LEGS_MAX],
    /// May be above [`LEGS_MAX`]: those above are counted only.
    pub(super) legs_count: usize,
    pub(super) form: Form,
}

impl<'a> Sent<'a> {
    /// Nothing sent.
    pub(super) const EMPTY: Self = Self {
        texts: [&[]; FIELD_LAST + 1],
        kind: 0,
        lane: 0,
        priority: 0,
        charge_bearer: 0,
        created: None,
        legs: [&[]; LEGS_MAX],
        legs_count: 0,
        form: Form::CLEAN,
    };

    /// Reads the outer message into an empty one: at 600 bytes it is better not moved.
    pub(super) fn read(&mut self, bytes: &'a [u8]) -> Result<(), Broken> {
        let mut reader = Reader::new(bytes);
        let mut previous = 0;
        while let Some(key) = reader.key()? {
            self.field(key, &mut reader)?;
            let ascends =
                key.number > previous || (key.number, previous) == (number::LEGS, number::LEGS);
            self.form.canonical &= ascends;
            previous = key.number;
        }
        self.form.canonical &= reader.minimal;
        Ok(())
    }

    #[inline]
    fn field(&mut self, key: Key, reader: &mut Reader<'a>) -> Result<(), Broken> {
        match (key.number, key.wire) {
            (number::LEGS, BYTES) => {
                let leg = reader.bytes()?;
                if let Some(slot) = self.legs.get_mut(self.legs_count) {
                    *slot = leg;
                }
                self.legs_count += 1;
            }
            (number::CREATED, BYTES) => {
                let inner = read_stamp(reader.bytes()?, self.created.get_or_insert_default())?;
                self.form.join(inner);
            }
            (number::KIND | number::LANE | number::PRIORITY | number::CHARGE_BEARER, VARINT) => {
                let value = reader.int32()?;
                self.form.canonical &= value != 0;
                match key.number {
                    number::KIND => self.kind = value,
                    number::LANE => self.lane = value,
                    number::PRIORITY => self.priority = value,
                    _ => self.charge_bearer = value,
                }
            }
            (number::KIND | number::LANE | number::PRIORITY | number::CHARGE_BEARER, _) => {
                self.unknown(key, reader)?
            }
            // Twice, they would have to be merged, as protobuf has it: nobody sends that.
            (number::CONDITIONS, BYTES) if !self.text(number::CONDITIONS).is_empty() => {
                self.unknown(key, reader)?;
            }
            (text, BYTES) if text as usize <= FIELD_LAST => {
                let bytes = reader.bytes()?;
                self.form.canonical &= !bytes.is_empty();
                self.texts[text as usize] = bytes;
            }
            _ => self.unknown(key, reader)?,
        }
        Ok(())
    }

    #[cold]
    fn unknown(&mut self, key: Key, reader: &mut Reader<'a>) -> Result<(), Broken> {
        self.form.meets_unknown();
        reader.skip(key)
    }

    /// A text or bytes field; empty if it was not sent.
    pub(super) const fn text(&self, number: u32) -> &'a [u8] {
        self.texts[number as usize]
    }

    /// The first [`LEGS_MAX`] legs, each an encoded `Leg`.
    pub(super) fn legs(&self) -> &[&'a [u8]] {
        &self.legs[..self.legs_count.min(LEGS_MAX)]
    }

    /// Appends the canonical form: fields ascending, defaults left out, varints minimal. Only for a
    /// message that it can hold: nothing unknown, at most [`LEGS_MAX`] legs, every leg readable.
    #[cold]
    pub(super) fn put_canonical(&self, out: &mut Vec<u8>) -> Result<(), Broken> {
        let mut inner = Vec::new();
        for number in 1..=number::CONDITIONS {
            match number {
                number::KIND => pb::put_number(out, number, pb::int32_on_wire(self.kind)),
                number::LANE => pb::put_number(out, number, pb::int32_on_wire(self.lane)),
                number::PRIORITY => pb::put_number(out, number, pb::int32_on_wire(self.priority)),
                number::CHARGE_BEARER => {
                    pb::put_number(out, number, pb::int32_on_wire(self.charge_bearer));
                }
                number::CREATED => put_stamp(out, number, self.created),
                number::CONDITIONS => {
                    inner.clear();
                    let (conditions, _) = ConditionsText::read(self.text(number))?;
                    conditions.put_canonical(&mut inner);
                    put_text(out, number, &inner);
                }
                number::LEGS => {
                    for leg in self.legs() {
                        inner.clear();
                        LegText::read(leg)?.0.put_canonical(&mut inner);
                        pb::put_bytes(out, number, &inner);
                    }
                }
                text => put_text(out, text, self.text(text)),
            }
        }
        Ok(())
    }
}

pub(super) fn put_stamp(out: &mut Vec<u8>, number: u32, stamp: Option<Stamp>) {
    if let Some(stamp) = stamp {
        let mut inner = Vec::new();
        pb::put_number(&mut inner, SECONDS, stamp.seconds as u64);
        pb::put_number(&mut inner, NANOS, pb::int32_on_wire(stamp.nanos));
        pb::put_bytes(out, number, &inner);
    }
}

pub(super) fn put_text(out: &mut Vec<u8>, number: u32, text: &[u8]) {
    if !text.is_empty() {
        pb::put_bytes(out, number, text);
    }
}

/// Reads a timestamp over what an earlier occurrence of the field left, as protobuf merges messages.
pub(super) fn read_stamp(bytes: &[u8], stamp: &mut Stamp) -> Result<Form, Broken> {
    let mut form = Form::CLEAN;
    let mut reader = Reader::new(bytes);
    let mut previous = 0;
    while let Some(key) = reader.key()? {
        match (key.number, key.wire) {
            (SECONDS, VARINT) => {
                stamp.seconds = reader.varint()? as i64;
                form.canonical &= stamp.seconds != 0;
            }
            (NANOS, VARINT) => {
                stamp.nanos = reader.int32()?;
                form.canonical &= stamp.nanos != 0;
            }
            _ => {
                form.meets_unknown();
                reader.skip(key)?;
            }
        }
        form.canonical &= key.number > previous;
        previous = key.number;
    }
    form.canonical &= reader.minimal;
    Ok(form)
}

/// A leg's fields as sent.
#[derive(Clone, Copy, Default)]
pub(super) struct LegText<'a> {
    pub(super) debtor: &'a [u8],
    pub(super) creditor: &'a [u8],
    pub(super) amount: &'a [u8],
    pub(super) asset: &'a [u8],
    pub(super) kind: i32,
}

impl<'a> LegText<'a> {
    pub(super) fn read(bytes: &'a [u8]) -> Result<(Self, Form), Broken> {
        let mut leg = Self::default();
        let mut form = Form::CLEAN;
        let mut reader = Reader::new(bytes);
        let mut previous = 0;
        while let Some(key) = reader.key()? {
            let text = match (key.number, key.wire) {
                (LEG_DEBTOR, BYTES) => &mut leg.debtor,
                (LEG_CREDITOR, BYTES) => &mut leg.creditor,
                (LEG_AMOUNT, BYTES) => &mut leg.amount,
                (LEG_ASSET, BYTES) => &mut leg.asset,
                (LEG_KIND, VARINT) => {
                    leg.kind = reader.int32()?;
                    form.canonical &= leg.kind != 0 && key.number > previous;
                    previous = key.number;
                    continue;
                }
                _ => {
                    form.meets_unknown();
                    reader.skip(key)?;
                    continue;
                }
            };
            *text = reader.bytes()?;
            form.canonical &= !text.is_empty() && key.number > previous;
            previous = key.number;
        }
        form.canonical &= reader.minimal;
        Ok((leg, form))
    }

    fn put_canonical(&self, out: &mut Vec<u8>) {
        put_text(out, LEG_DEBTOR, self.debtor);
        put_text(out, LEG_CREDITOR, self.creditor);
        put_text(out, LEG_AMOUNT, self.amount);
        put_text(out, LEG_ASSET, self.asset);
        pb::put_number(out, LEG_KIND, pb::int32_on_wire(self.kind));
    }
}
