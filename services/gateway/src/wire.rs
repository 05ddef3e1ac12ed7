//! One wire `Instruction` into the core's form, without an allocation of its own.
//!
//! | # | step | refuses |
//! |---|---|---|
//! | 1 | read protobuf into slices | bytes that are no message: not journaled |
//! | 2 | identity: uetr, instructing, kind | what has no readable identity: not journaled |
//! | 3 | every other field in the order of [`Field`]; the first malformed one is the answer | journaled |
//! | 4 | canonical bytes and their digest | |
//!
//! **Canonical form.** Fields ascending by number, in legs and timestamps too; defaults left out;
//! varints of minimal length; nothing unknown. An enum's explicit default stays as sent. Nearly every
//! client's encoder emits that, and then the bytes are copied as they are; else they are written
//! anew, so that the same content has one digest whoever encoded it. What the form cannot hold
//! (unknown fields, more legs than allowed) is malformed, and journaled byte for byte as it came.

mod check;
mod conditions;
mod protobuf;
mod sent;
#[cfg(test)]
mod tests;

pub use check::{
    AMOUNT_TEXT_BYTES_MAX, CODE_CHARS_MAX, ISO_MESSAGE_BYTES_MAX, REMITTANCE_CHARS_MAX,
};
pub(crate) use check::{kind, timestamp};

use conditions::ConditionsText;
use prost::Message;
use protobuf::Broken;
use sent::{Form, LegText, Sent, number};
use settlement_core::ids::{Bic, Uetr};
use settlement_core::instruction::{Body, Digest, Identity, Kind, Submission, Submissions};
use settlement_core::rejection::{Fault, Field, Malformed};
use sha2::{Digest as _, Sha256};
use std::ops::Range;
use valuta_proto::raw;

/// Of one encoded instruction. A well-formed one has at most some 12 KiB; above this it is not even
/// journaled as refused.
pub const INSTRUCTION_BYTES_MAX: usize = 64 * 1024;

/// Why an instruction has no readable identity. It is not journaled and gets no sequence.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{field}: {detail}")]
pub struct WireError {
    /// Path of the field; empty for the message as a whole.
    pub field: &'static str,
    /// ISO 20022 reason code.
    pub code: &'static str,
    /// Stable name, such as `UETR_MISSING`.
    pub reason: &'static str,
    /// For people.
    pub detail: &'static str,
}

const NARR: &str = "NARR";
const UNDECODABLE: WireError = WireError {
    field: "",
    code: NARR,
    reason: "INSTRUCTION_UNDECODABLE",
    detail: "the bytes are not a protobuf message",
};
const TOO_LARGE: WireError = WireError {
    field: "",
    code: NARR,
    reason: "INSTRUCTION_TOO_LARGE",
    detail: "an instruction has at most 65536 bytes",
};
const UETR_MISSING: WireError = WireError {
    field: "uetr",
    code: NARR,
    reason: "UETR_MISSING",
    detail: "every instruction has a UETR",
};
const UETR_MALFORMED: WireError = WireError {
    field: "uetr",
    code: NARR,
    reason: "UETR_MALFORMED",
    detail: "a UETR is a UUID of version 4 in lower case, 8-4-4-4-12",
};
const KIND_MISSING: WireError = WireError {
    field: "kind",
    code: NARR,
    reason: "KIND_MISSING",
    detail: "the kind is part of the identity: payment, cover, return or trade side",
};
const KIND_UNKNOWN: WireError = WireError {
    field: "kind",
    code: NARR,
    reason: "KIND_UNKNOWN",
    detail: "not a kind that valuta.v1 has",
};
const INSTRUCTING_MISSING: WireError = WireError {
    field: "instructing",
    code: NARR,
    reason: "INSTRUCTING_MISSING",
    detail: "the instructing participant's BIC is part of the identity",
};
const INSTRUCTING_MALFORMED: WireError = WireError {
    field: "instructing",
    code: "RC01",
    reason: "INSTRUCTING_MALFORMED",
    detail: "a BIC has 8 or 11 characters, upper case (ISO 9362)",
};

impl From<Broken> for WireError {
    fn from(_: Broken) -> Self {
        UNDECODABLE
    }
}

/// Decodes one instruction to the end of a batch.
///
/// # Errors
/// No identity can be read; `out` is as it was.
pub fn decode_into(bytes: &[u8], index: u32, out: &mut Submissions) -> Result<(), WireError> {
    if bytes.len() > INSTRUCTION_BYTES_MAX {
        return Err(TOO_LARGE);
    }
    let mut sent = Sent::EMPTY;
    sent.read(bytes)?;
    let identity = identity(&sent)?;
    let legs_start = out.legs.len();
    let decoded = decode_rest(&sent, identity.kind, out);
    let (form, body) = match decoded {
        Ok((form, body)) => (form, body),
        Err(broken) => {
            out.legs.truncate(legs_start);
            return Err(broken.into());
        }
    };
    if body.is_err() {
        out.legs.truncate(legs_start);
    }
    let content = put_content(bytes, &sent, form, &mut out.content);
    let digest = digest(&out.content[content.start as usize..]);
    out.items.push(Submission {
        index,
        identity,
        digest,
        content,
        legs: offset(legs_start)..offset(out.legs.len()),
        body,
    });
    Ok(())
}

/// Takes the last item out again.
pub(crate) fn remove_last(out: &mut Submissions) {
    if let Some(item) = out.items.pop() {
        out.content.truncate(item.content.start as usize);
        out.legs.truncate(item.legs.start as usize);
        if item.body.is_ok_and(|body| body.conditions.is_some()) {
            out.conditions.pop();
        }
    }
}

fn identity(sent: &Sent<'_>) -> Result<Identity, WireError> {
    let uetr = match sent.text(number::UETR) {
        [] => return Err(UETR_MISSING),
        text => Uetr::parse(text).ok_or(UETR_MALFORMED)?,
    };
    let kind = match sent.kind {
        0 => return Err(KIND_MISSING),
        value => kind(value).ok_or(KIND_UNKNOWN)?,
    };
    let instructing = match sent.text(number::INSTRUCTING) {
        [] => return Err(INSTRUCTING_MISSING),
        text => Bic::parse(text).ok_or(INSTRUCTING_MALFORMED)?,
    };
    Ok(Identity {
        uetr,
        instructing,
        kind,
    })
}

/// Legs are read first, for only they can still be broken; they are judged in their place.
fn decode_rest(
    sent: &Sent<'_>,
    kind: Kind,
    out: &mut Submissions,
) -> Result<(Form, Result<Body, Malformed>), Broken> {
    let mut form = sent.form;
    let mut legs = Ok(());
    for (at, bytes) in (0u8..).zip(sent.legs()) {
        let (text, leg_form) = LegText::read(bytes)?;
        form.join(leg_form);
        match check::leg(&text, at) {
            Ok(leg) => out.legs.push(leg),
            Err(malformed) => legs = legs.and(Err(malformed)),
        }
    }
    let conditions = read_conditions(sent, &mut form)?;
    let body = check::head(sent).and_then(|mut body| {
        legs?;
        check::tail(sent, kind, &mut body)?;
        let conditions = match &conditions {
            Some(text) => text.check()?,
            None => None,
        };
        if form.unknown {
            return Err(Malformed {
                field: Field::Message,
                leg: 0,
                fault: Fault::Unknown,
            });
        }
        if let Some(conditions) = conditions {
            body.conditions = Some(offset(out.conditions.len()));
            out.conditions.push(conditions);
        }
        Ok(body)
    });
    // As when there are too many legs: journaled as it came.
    let fits = conditions.is_none_or(|text| text.fits());
    form.join(if fits { Form::CLEAN } else { Form::FOREIGN });
    Ok((form, body))
}

#[inline]
fn read_conditions<'a>(
    sent: &Sent<'a>,
    form: &mut Form,
) -> Result<Option<ConditionsText<'a>>, Broken> {
    match sent.text(number::CONDITIONS) {
        [] => Ok(None),
        bytes => {
            let (text, inner) = ConditionsText::read(bytes)?;
            form.join(inner);
            // Of fields that all have their defaults nothing is left.
            let mut canonical = Vec::new();
            text.put_canonical(&mut canonical);
            form.canonical &= !canonical.is_empty();
            Ok(Some(text))
        }
    }
}

fn put_content(bytes: &[u8], sent: &Sent<'_>, form: Form, out: &mut Vec<u8>) -> Range<u32> {
    let start = out.len();
    let holds = !form.unknown && sent.legs_count == sent.legs().len();
    if form.canonical || !holds {
        out.extend_from_slice(bytes);
    } else {
        sent.put_canonical(out)
            .expect("every leg has been read before");
    }
    offset(start)..offset(out.len())
}

/// Of a batch's vectors; a request is far below 4 GiB.
fn offset(length: usize) -> u32 {
    u32::try_from(length).expect("a batch is bounded by the message limit")
}

fn digest(canonical: &[u8]) -> Digest {
    let hash = Sha256::digest(canonical);
    let mut first = [0; 16];
    first.copy_from_slice(&hash[..16]);
    Digest(first)
}

/// The instruction as its parties read it back. Text that is not UTF-8 (refused, but journaled) is
/// shown with replacement characters.
pub(crate) fn to_message(content: &[u8]) -> raw::Instruction {
    raw::Instruction::decode(content).unwrap_or_else(|_| {
        let mut sent = Sent::EMPTY;
        // Journaled, so it was read once; what cannot be read any more is shown as far as it was.
        let _ = sent.read(content);
        lossy(&sent)
    })
}

fn lossy(sent: &Sent<'_>) -> raw::Instruction {
    let text = |number| String::from_utf8_lossy(sent.text(number)).into_owned();
    raw::Instruction {
        uetr: text(number::UETR),
        kind: sent.kind,
        lane: sent.lane,
        priority: sent.priority,
        instructing: text(number::INSTRUCTING),
        created: sent.created.map(|stamp| prost_types::Timestamp {
            seconds: stamp.seconds,
            nanos: stamp.nanos,
        }),
        value_date: text(number::VALUE_DATE),
        legs: sent.legs().iter().map(|leg| lossy_leg(leg)).collect(),
        instruction_id: text(number::INSTRUCTION_ID),
        end_to_end_id: text(number::END_TO_END_ID),
        quote_id: text(number::QUOTE_ID),
        trade_reference: text(number::TRADE_REFERENCE),
        remittance: text(number::REMITTANCE),
        purpose: text(number::PURPOSE),
        charge_bearer: sent.charge_bearer,
        instructed_amount: text(number::INSTRUCTED_AMOUNT),
        instructed_asset: text(number::INSTRUCTED_ASSET),
        iso_message: sent.text(number::ISO_MESSAGE).to_vec().into(),
        return_reason: text(number::RETURN_REASON),
        conditions: raw::Conditions::decode(sent.text(number::CONDITIONS)).ok(),
    }
}

fn lossy_leg(bytes: &[u8]) -> raw::Leg {
    let (leg, _) = LegText::read(bytes).unwrap_or_else(|_| (LegText::default(), Form::FOREIGN));
    let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
    raw::Leg {
        debtor: text(leg.debtor),
        creditor: text(leg.creditor),
        amount: text(leg.amount),
        asset: text(leg.asset),
        kind: leg.kind,
    }
}

fn approves(sent: &Sent<'_>, named: impl Fn(&[u8]) -> bool) -> bool {
    match sent.text(number::CONDITIONS) {
        [] => false,
        bytes => ConditionsText::read(bytes)
            .is_ok_and(|(text, _)| text.approvers().iter().any(|bic| named(bic))),
    }
}

/// Whether a bank is a party: it instructs, a leg debits or credits it (a quote's provider too), or it
/// is to approve.
pub(crate) fn is_party(content: &[u8], bic: Bic) -> bool {
    let named = |text: &[u8]| Bic::parse(text) == Some(bic);
    let mut sent = Sent::EMPTY;
    if sent.read(content).is_err() {
        return false;
    }
    named(sent.text(number::INSTRUCTING))
        || approves(&sent, named)
        || sent.legs().iter().any(|leg| {
            LegText::read(leg).is_ok_and(|(leg, _)| named(leg.debtor) || named(leg.creditor))
        })
}
