//! A closed batch as the ledger takes it: contents from the journal, names from the directory.

use crate::closed::Closed;
use crate::files::{Line, Member};
use crate::relay::RelayError;
use settlement_core::directory::Directory;
use settlement_core::event::{Batch, Event};
use settlement_core::ids::{BatchNumber, Sequence};
use settlement_core::record::{self, Input};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::sync::Arc;
use valuta_journal::{Record, RecordLookup};
use valuta_ledger::{Balance, BatchInput, MemberContent, Posting};

/// Builds the ledger's input. Pure in the journal: the same batch gives the same bytes.
pub(crate) fn input(
    closed: &Closed,
    lines: &[Line],
    scheme: &str,
    lookup: &dyn RecordLookup,
) -> Result<BatchInput, RelayError> {
    let batch = &closed.batch;
    Ok(BatchInput {
        scheme: scheme.to_owned(),
        time_ms: closed.time.0,
        cycle: batch.cycle.map(|cycle| cycle.to_string()),
        certificate_hash: batch.certificate_hash,
        sequence: closed.sequence.0,
        chain: closed.chain,
        ..leaves(batch, member_contents(&closed.members, lookup)?, lines)
    })
}

/// As much of the ledger's input as its three trees are made of.
pub(crate) fn leaves(batch: &Batch, members: Vec<MemberContent>, lines: &[Line]) -> BatchInput {
    BatchInput {
        scheme: String::new(),
        number: batch.number,
        time_ms: 0,
        cycle: None,
        seed: batch.seed,
        members,
        postings: lines
            .iter()
            .map(|line| Posting {
                participant: line.participant.clone(),
                asset: line.asset.clone(),
                amount: line.posting,
            })
            .collect(),
        balances: lines
            .iter()
            .map(|line| Balance {
                participant: line.participant.clone(),
                asset: line.asset.clone(),
                amount: line.balance,
            })
            .collect(),
        certificate_hash: None,
        sequence: 0,
        chain: [0; 32],
    }
}

/// What a batch changed: accounts, then mirrors.
pub(crate) fn lines(batch: &Batch, directory: &Directory) -> Vec<Line> {
    let accounts = batch.postings.iter().zip(&batch.balances);
    let accounts = accounts.map(|(posting, balance)| {
        let account = directory.account(posting.account);
        Line {
            participant: directory.participant(account.participant).bic.to_string(),
            asset: directory.asset(account.asset).code.to_string(),
            posting: i128::from(posting.amount),
            balance: i128::from(balance.amount),
        }
    });
    let mirrors = batch.mirror_postings.iter().zip(&batch.mirror_balances);
    let mirrors = mirrors.map(|(posting, balance)| {
        let asset = directory.asset(posting.asset);
        Line {
            participant: asset.agent.to_string(),
            asset: asset.code.to_string(),
            posting: posting.amount.0,
            balance: balance.amount.0,
        }
    });
    accounts.chain(mirrors).collect()
}

/// The leaf contents in member order. Reads each record that holds a member once.
pub(crate) fn member_contents(
    members: &[Member],
    lookup: &dyn RecordLookup,
) -> Result<Vec<MemberContent>, RelayError> {
    let mut sequences: Vec<_> = members
        .iter()
        .copied()
        .flat_map(Member::sequences)
        .collect();
    sequences.sort_unstable();
    let bytes: BTreeMap<Sequence, Vec<u8>> = read_contents(&sequences, lookup)?;
    let bytes_of = |sequence: Sequence| {
        bytes.get(&sequence).ok_or(RelayError::NoInput {
            sequence: sequence.0,
        })
    };
    members
        .iter()
        .map(|member| {
            Ok(match *member {
                Member::One(one) | Member::Movement(one) => {
                    MemberContent::One(bytes_of(one)?.clone())
                }
                Member::Trade(first, second) => {
                    MemberContent::Two(sha256(bytes_of(first)?), sha256(bytes_of(second)?))
                }
            })
        })
        .collect()
}

fn sha256(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(bytes).into()
}

/// The contents of inputs, given in ascending order.
pub(crate) fn read_contents(
    sequences: &[Sequence],
    lookup: &dyn RecordLookup,
) -> Result<BTreeMap<Sequence, Vec<u8>>, RelayError> {
    let mut contents = BTreeMap::new();
    let mut wanted = sequences.iter().copied().peekable();
    while let Some(&first) = wanted.peek() {
        let record: Arc<Record> = lookup.record_containing(first.0)?;
        let mut entries = record::entries(&record.payload)?;
        let mut at = Sequence(record.header.first_sequence);
        while let Some(input) = entries.next_input()? {
            if wanted.next_if_eq(&at).is_some() {
                contents.insert(at, content(&input));
            }
            at.0 += 1;
        }
        // A record that does not hold what the index says it holds would loop for ever.
        if wanted.peek() == Some(&first) {
            return Err(RelayError::NoInput { sequence: first.0 });
        }
    }
    Ok(contents)
}

/// What a leaf commits to: an instruction's canonical bytes, a movement's command as journaled.
fn content(input: &Input<'_>) -> Vec<u8> {
    match input {
        Input::Instruction(bytes) => bytes.to_vec(),
        Input::Command(command) => record::command_bytes(command),
        Input::Tick { .. } | Input::Ran(_) => Vec::new(),
    }
}

/// Finds a batch's closing event again.
pub(crate) fn read_closing(
    number: BatchNumber,
    closed_by: Sequence,
    lookup: &dyn RecordLookup,
) -> Result<Batch, RelayError> {
    let record = lookup.record_containing(closed_by.0)?;
    let mut entries = record::entries(&record.payload)?;
    let mut events = Vec::new();
    let mut at = Sequence(record.header.first_sequence);
    while entries.next_into(&mut events)?.is_some() {
        if at == closed_by {
            let found = events.drain(..).find_map(|event| match event {
                Event::GrossBatchClosed(batch) | Event::CycleRan { batch, .. } => {
                    (batch.number == number).then_some(batch)
                }
                _ => None,
            });
            return found.ok_or(RelayError::NoBatch { number });
        }
        at.0 += 1;
    }
    Err(RelayError::NoBatch { number })
}
