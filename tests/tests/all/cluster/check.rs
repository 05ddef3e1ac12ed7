//! Whether what clients saw and what followers hold agrees with the journal.
//!
//! | complaint | means |
//! |---|---|
//! | lost | a client was answered what the journal does not hold |
//! | doubled | the journal holds one identity, or one request, twice |
//! | contradicted | the journal holds something else there, or never had that status |
//! | went back | a later answer is of an earlier state |
//! | not conserved | a batch's postings of an asset, or all balances, do not sum to zero |
//! | batches | the ledger has one twice, or not, or elsewhere |

use super::facts::{Balances, Facts, Instruction, Outcome};
use super::seen::{Answer, Done, Seen};
use std::collections::BTreeMap;
use valuta_proto::v1::Status;

/// Every disagreement of clients with the journal, in words.
pub fn clients(seen: &Seen, facts: &Facts) -> Vec<String> {
    let mut complaints = seen.wrong.clone();
    let firsts = firsts(facts, &mut complaints);
    let commands = commands(facts, &mut complaints);
    for answer in &seen.answers {
        complaints.extend(answer_fits(answer, facts, &firsts).err());
    }
    for done in &seen.commands {
        complaints.extend(command_fits(done, &commands).err());
    }
    for cycle in seen.cycles.values() {
        let reached = facts.cycles.get(&cycle.name);
        if reached.is_none_or(|reached| *reached < cycle.state()) {
            complaints.push(format!("contradicted: {reached:?} is {cycle:?}"));
        }
    }
    let mut by_sequence = BTreeMap::<u64, Vec<&Answer>>::new();
    for answer in &seen.answers {
        by_sequence.entry(answer.sequence).or_default().push(answer);
    }
    for (sequence, answers) in by_sequence {
        if let Some(instruction) = facts.instructions.get(&sequence) {
            complaints.extend(went_back(&answers, &instruction.statuses));
        }
    }
    complaints
}

/// Where each identity first came; each has one such place.
fn firsts<'a>(facts: &'a Facts, complaints: &mut Vec<String>) -> BTreeMap<&'a str, u64> {
    let mut firsts = BTreeMap::new();
    for (sequence, instruction) in facts.firsts() {
        if let Some(before) = firsts.insert(instruction.uetr.as_str(), sequence) {
            let uetr = &instruction.uetr;
            complaints.push(format!("doubled: {uetr} at {before} and {sequence}"));
        }
    }
    firsts
}

/// By caller and request id.
type Commands<'a> = BTreeMap<(&'a str, &'a str), u64>;

fn commands<'a>(facts: &'a Facts, complaints: &mut Vec<String>) -> Commands<'a> {
    let mut commands = BTreeMap::new();
    for command in &facts.commands {
        let key = (command.caller.as_str(), command.request_id.as_str());
        if let Some(before) = commands.insert(key, command.sequence) {
            let at = command.sequence;
            complaints.push(format!("doubled: request {key:?} at {before} and {at}"));
        }
    }
    commands
}

fn answer_fits(answer: &Answer, facts: &Facts, firsts: &BTreeMap<&str, u64>) -> Result<(), String> {
    let Answer { uetr, sequence, .. } = answer;
    let said = format!("{uetr} was told {:?} at {sequence}", answer.status);
    let Some(found) = facts.instructions.get(sequence) else {
        return Err(format!("lost: {said}, where there is no instruction"));
    };
    if found.uetr != *uetr || found.content != answer.content {
        return Err(format!("contradicted: {said}, where other content is"));
    }
    if found.outcome == Outcome::First && firsts.get(uetr.as_str()) != Some(sequence) {
        return Err(format!("contradicted: {said}, which is not its first"));
    }
    match status_fits(answer, found) {
        true => Ok(()),
        false => Err(format!(
            "contradicted: {said}, which was {:?} {}",
            found.statuses, found.code
        )),
    }
}

/// An instruction of other content is only ever refused; a refused one has its code for good.
fn status_fits(answer: &Answer, found: &Instruction) -> bool {
    match found.outcome {
        Outcome::OtherContent => answer.status == Status::Rjct && answer.code == found.code,
        Outcome::First if !found.code.is_empty() => {
            answer.status == Status::Rjct && answer.code == found.code
        }
        Outcome::First => found.statuses.contains(&answer.status),
    }
}

fn command_fits(done: &Done, commands: &Commands<'_>) -> Result<(), String> {
    let key = (done.caller.as_str(), done.request_id.as_str());
    match commands.get(&key) {
        None => Err(format!("lost: request {key:?} was answered")),
        Some(at) if *at != done.sequence => Err(format!(
            "contradicted: request {key:?} was told {}, and is at {at}",
            done.sequence
        )),
        Some(_) => Ok(()),
    }
}

/// One that was told before another was asked for may not be of a later state than it.
fn went_back(answers: &[&Answer], statuses: &[Status]) -> Option<String> {
    let first = |status| statuses.iter().position(|at| *at == status);
    let last = |status| statuses.iter().rposition(|at| *at == status);
    let mut by_told: Vec<_> = answers.to_vec();
    by_told.sort_by_key(|answer| answer.told);
    let mut by_asked = answers.to_vec();
    by_asked.sort_by_key(|answer| answer.asked);
    let (mut told, mut reached) = (by_told.iter().peekable(), None);
    for later in by_asked {
        while let Some(earlier) = told.next_if(|earlier| earlier.told < later.asked) {
            reached = reached.max(first(earlier.status));
        }
        let at = last(later.status);
        if at.is_some() && at < reached {
            return Some(format!("went back: {later:?}, of {statuses:?}"));
        }
    }
    None
}

/// Every batch sums to zero by asset, and the books are what movements and settled instructions make.
pub fn conserved(facts: &Facts, books: &Balances) -> Vec<String> {
    let mut complaints = Vec::new();
    for batch in &facts.batches {
        for (asset, sum) in batch.sums.iter().filter(|(_, sum)| **sum != 0) {
            let number = batch.number;
            complaints.push(format!(
                "not conserved: batch {number} has {sum} of {asset}"
            ));
        }
    }
    let expected = facts.balances();
    let mut books = books.clone();
    books.retain(|_, balance| *balance != 0);
    for (account, balance) in &books {
        if expected.get(account) != Some(balance) {
            let expected = expected.get(account).unwrap_or(&0);
            complaints.push(format!(
                "not conserved: {account:?} has {balance}, not {expected}"
            ));
        }
    }
    for account in expected
        .keys()
        .filter(|account| !books.contains_key(account))
    {
        complaints.push(format!("not conserved: {account:?} is empty"));
    }
    complaints
}

/// `anchored`: (batch, place in the log), each as often as a consumer takes it. Each batch of the journal
/// is there once, in order, without gaps.
pub fn batches(facts: &Facts, anchored: &[(u64, u64)]) -> Vec<String> {
    let closed: Vec<u64> = facts.batches.iter().map(|batch| batch.number).collect();
    let in_order: Vec<u64> = (1..=closed.len() as u64).collect();
    let mut complaints = Vec::new();
    if closed != in_order {
        complaints.push(format!("batches: the journal closed {closed:?}"));
    }
    let found: Vec<u64> = anchored.iter().map(|(batch, _)| *batch).collect();
    if found != in_order {
        complaints.push(format!("batches: anchored are {found:?}"));
    }
    if let Some(wrong) = anchored.iter().find(|(batch, index)| *index + 1 != *batch) {
        complaints.push(format!("batches: {wrong:?} is at the wrong place"));
    }
    complaints
}
