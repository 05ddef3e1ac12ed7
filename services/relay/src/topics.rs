//! What is published for others, as messages: the ledger's way in and out, and what banks' own systems
//! follow.
//!
//! | topic | message | from | to |
//! |---|---|---|---|
//! | [`BATCHES`] | [`v1::SettlementBatch`] | relay | ledger |
//! | [`ANCHORS`] | [`v1::SettlementAnchor`] | ledger | read model |
//! | [`STATUSES`] | [`v1::InstructionStatusChanged`] | relay | banks |

pub mod statuses;

use prost::Message as _;
use settlement_core::ids::Timestamp;
use valuta_ledger::{Hash, Header, ListRoot};
use valuta_proto::v1;

/// Of closed batches.
pub const BATCHES: &str = "settlement-batches";
/// Of batches that are in the log.
pub const ANCHORS: &str = "settlement-anchors";
/// Of changes of instructions.
pub const STATUSES: &str = "instruction-statuses";

/// A message is not of its topic's form.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a message of {topic}: {reason}")]
pub struct Undecodable {
    topic: &'static str,
    reason: String,
}

impl Undecodable {
    fn new(topic: &'static str, reason: impl ToString) -> Self {
        Self {
            topic,
            reason: reason.to_string(),
        }
    }
}

/// A record time on the wire.
pub(crate) fn wire_time(time: Timestamp) -> prost_types::Timestamp {
    let nanos = time.0.rem_euclid(1_000) * 1_000_000;
    prost_types::Timestamp {
        seconds: time.0.div_euclid(1_000),
        nanos: i32::try_from(nanos).expect("below a second"),
    }
}

/// A batch as it is published.
pub fn batch_message(header: &Header) -> v1::SettlementBatch {
    let list = |list: &ListRoot| {
        Some(v1::SettlementList {
            count: list.count,
            root: list.root.to_vec(),
        })
    };
    v1::SettlementBatch {
        scheme: header.scheme.clone(),
        number: header.number,
        time: Some(wire_time(Timestamp(header.time_ms))),
        cycle: header.cycle.clone().unwrap_or_default(),
        members: list(&header.members),
        postings: list(&header.postings),
        balances: list(&header.balances),
        certificate_hash: header
            .certificate
            .map_or_else(Vec::new, |hash| hash.to_vec()),
        sequence: header.sequence,
        chain: header.chain.to_vec(),
    }
}

/// The header that a published batch gives, without its link to the one before.
///
/// # Errors
/// If it is not such a message; what the header itself refuses, the ledger will.
pub fn batch_header(payload: &[u8]) -> Result<Header, Undecodable> {
    let failed = |reason: &str| Undecodable::new(BATCHES, reason);
    let message = v1::SettlementBatch::decode(payload).map_err(|e| Undecodable::new(BATCHES, e))?;
    let hash = |bytes: &[u8], field| -> Result<Hash, Undecodable> {
        Hash::try_from(bytes).map_err(|_| failed(field))
    };
    let list = |list: Option<v1::SettlementList>, field| {
        let list = list.ok_or_else(|| failed(field))?;
        Ok(ListRoot {
            count: list.count,
            root: hash(&list.root, field)?,
        })
    };
    let time = message.time.ok_or_else(|| failed("time"))?;
    let time_ms = time
        .seconds
        .checked_mul(1_000)
        .and_then(|ms| ms.checked_add(i64::from(time.nanos / 1_000_000)))
        .ok_or_else(|| failed("time"))?;
    Ok(Header {
        scheme: message.scheme,
        number: message.number,
        time_ms,
        cycle: Some(message.cycle).filter(|cycle| !cycle.is_empty()),
        members: list(message.members, "members")?,
        postings: list(message.postings, "postings")?,
        balances: list(message.balances, "balances")?,
        certificate: match message.certificate_hash.as_slice() {
            [] => None,
            bytes => Some(hash(bytes, "certificate_hash")?),
        },
        sequence: message.sequence,
        chain: hash(&message.chain, "chain")?,
        previous: [0; 32],
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(certificate: Option<Hash>, cycle: Option<&str>) -> Header {
        let list = |n: u8| ListRoot {
            count: u64::from(n),
            root: [n; 32],
        };
        Header {
            scheme: "demo".to_owned(),
            number: 7,
            time_ms: -1,
            cycle: cycle.map(str::to_owned),
            members: list(1),
            postings: list(2),
            balances: list(3),
            certificate,
            sequence: 99,
            chain: [4; 32],
            previous: [0; 32],
        }
    }

    #[test]
    fn a_batch_comes_out_as_it_went_in() {
        for (certificate, cycle) in [(None, None), (Some([9; 32]), Some("2026-11-20/1"))] {
            let header = header(certificate, cycle);
            let payload = batch_message(&header).encode_to_vec();
            assert_eq!(batch_header(&payload).expect("decodes"), header);
        }
    }

    #[test]
    fn what_is_no_batch_is_refused_with_its_field() {
        let check = |spoil: fn(&mut v1::SettlementBatch), field: &str| {
            let mut message = batch_message(&header(None, None));
            spoil(&mut message);
            let error = batch_header(&message.encode_to_vec()).expect_err(field);
            assert!(error.to_string().contains(field), "{error}");
        };
        check(|message| message.time = None, "time");
        check(|message| message.members = None, "members");
        check(|message| message.chain = vec![1; 31], "chain");
        check(
            |message| message.certificate_hash = vec![1],
            "certificate_hash",
        );
        let root = |message: &mut v1::SettlementBatch| {
            message.postings.as_mut().expect("there").root.clear();
        };
        check(root, "postings");
        assert!(batch_header(&[0xff]).is_err());
    }
}
