//! Everything that must hold of a cluster when its faults are over.
//!
//! | # | what | against |
//! |---|---|---|
//! | 1 | every answer of every client | the journal |
//! | 2 | each gateway's positions and control totals | the journal, by a model that only adds |
//! | 3 | anchors as consumers take them, and those of the read model | the journal's batches |
//! | 4 | the read model | the same, rebuilt |
//! | 5 | receipts of a sample | the ledger's policy |

use super::check;
use super::clients::Clients;
use super::facts::{Balances, Facts};
use super::stack::psql;
use super::whole::{Follower, Whole};
use crate::history::minor;
use crate::load::Random;
use serde_json::Value;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};
use valuta_proto::v1::{self, Status};
use valuta_verify::Policy;

/// A follower that is not up by then never will be.
const FOLLOWED_WITHIN: Duration = Duration::from_secs(90);
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// What a ledger needs to read the journal.
const WARM_WITHIN: Duration = Duration::from_secs(60);
const RECEIPTS: usize = 12;
/// The read model's schema.
const SCHEMA: &str = "valuta";

/// Sends everything again, and compares all of it.
pub async fn judge(whole: &mut Whole, clients: &Clients) -> Facts {
    let mut facts = judge_clients(whole, clients).await;
    // A call that its caller has given up may be taken yet.
    while !followed(whole, &facts).await {
        facts = judge_clients(whole, clients).await;
    }
    let mut complaints = Vec::new();
    complaints.extend(check::batches(&facts, &topic_anchors(whole)));
    complaints.extend(check::batches(&facts, &shown_anchors(whole)));
    complaints.extend(rebuilt_differs(whole));
    complaints.extend(receipts(whole, clients).await);
    assert!(complaints.is_empty(), "{complaints:#?}\n{}", whole.logs());
    facts
}

/// The first two alone, which cost little.
pub async fn judge_clients(whole: &mut Whole, clients: &Clients) -> Facts {
    clients.all_again().await;
    let end = Instant::now() + FOLLOWED_WITHIN;
    let (facts, books) = loop {
        let facts = read_journal(whole, clients);
        let last = facts.records.last().map_or(0, |record| record.last);
        let books = [books(whole, 0, last).await, books(whole, 1, last).await];
        // A tick may settle what waits, and a call that its caller has given up may be taken yet: then the
        // books have more than the journal had when it was read.
        if books.iter().all(|(sequence, _)| *sequence == last) {
            break (facts, books);
        }
        assert!(Instant::now() < end, "the journal is at {last}, {books:?}");
    };
    let mut complaints = check::clients(&clients.way.seen(), &facts);
    for (_, books) in &books {
        complaints.extend(check::conserved(&facts, books));
    }
    assert!(complaints.is_empty(), "{complaints:#?}\n{}", whole.logs());
    facts
}

fn read_journal(whole: &Whole, clients: &Clients) -> Facts {
    let name = format!("copy-{}", clients.way.answers());
    let journal = whole.copy_journal(&name);
    let facts = Facts::read(&journal);
    std::fs::remove_dir_all(journal.parent().unwrap()).unwrap();
    facts
}

/// Balances by one gateway's word, and at which sequence; its control totals must balance too.
async fn books(whole: &Whole, gateway: usize, min_sequence: u64) -> (u64, Balances) {
    let mut treasury = whole.client(gateway, "TREASURY").await.unwrap().treasury;
    let request = v1::GetControlTotalsRequest { min_sequence };
    let totals = treasury.get_control_totals(request).await.unwrap();
    for total in totals.into_inner().totals {
        assert!(total.balanced, "{total:?}");
    }
    let request = v1::GetPositionsRequest {
        min_sequence,
        ..Default::default()
    };
    let positions = treasury.get_positions(request).await.unwrap().into_inner();
    let balance = |position: v1::Position| {
        let balance = minor(&position.balance, &position.asset);
        ((position.participant, position.asset), balance)
    };
    let balances = positions.positions.into_iter().map(balance).collect();
    (positions.sequence, balances)
}

/// Waits until the read model has all, anchors too; `false`: it has more.
async fn followed(whole: &mut Whole, facts: &Facts) -> bool {
    let sequence = facts.records.last().map_or(0, |record| record.last);
    let batches = facts.batches.len();
    let end = Instant::now() + FOLLOWED_WITHIN;
    loop {
        let sql = format!(
            "SELECT coalesce((SELECT max(sequence) FROM {SCHEMA}.journal_cursor), 0),
                    (SELECT count(*) FROM {SCHEMA}.anchor_rows)"
        );
        let found = psql(&whole.database, &sql);
        if found.trim() == format!("{sequence}|{batches}") {
            return true;
        }
        let at = found
            .split('|')
            .next()
            .and_then(|at| at.parse::<u64>().ok());
        if at.is_some_and(|at| at > sequence) {
            return false;
        }
        let ended = whole.supervise().await;
        let followers = [Follower::Relay, Follower::Ledger, Follower::Projector];
        assert!(
            Instant::now() < end,
            "the read model is at {found:?}, not {sequence}|{batches}; {ended:?}; {:?}",
            followers.map(|which| whole.follower(which).last_words())
        );
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// As a consumer takes them: a repeat, which must say the same, is dropped by its number.
fn topic_anchors(whole: &Whole) -> Vec<(u64, u64)> {
    let text = whole.valuta(&["topics", "tail", "settlement-anchors"]);
    let mut anchors = BTreeMap::new();
    for line in text.lines() {
        let message: Value = serde_json::from_str(line).unwrap();
        let (message, number) = (&message["message"], &message["number"]);
        let header = message["header"].as_str().unwrap().to_owned();
        let index = message["log_index"].as_u64().unwrap();
        assert_eq!(message["batch"], *number, "{line}");
        let number = number.as_u64().unwrap();
        let before = anchors.insert(number, (index, header.clone()));
        assert!(
            before.is_none_or(|before| before == (index, header)),
            "{line}"
        );
    }
    let places = anchors
        .into_iter()
        .map(|(number, (index, _))| (number, index));
    places.collect()
}

/// What the read model shows.
fn shown_anchors(whole: &Whole) -> Vec<(u64, u64)> {
    let sql = format!("SELECT batch, log_index FROM {SCHEMA}.anchor_rows ORDER BY batch");
    let text = psql(&whole.database, &sql);
    let row = |line: &str| {
        let (batch, index) = line.split_once('|')?;
        Some((batch.parse().ok()?, index.parse().ok()?))
    };
    text.lines().map(|line| row(line).unwrap()).collect()
}

/// Rebuilds the read model, and names every table that is another one then.
fn rebuilt_differs(whole: &Whole) -> Vec<String> {
    let before = tables(whole);
    assert!(before.len() > 10, "{before:?}");
    whole.valuta(&["read-model", "rebuild"]);
    let after = tables(whole);
    let names = before.keys().chain(after.keys());
    let differ = names.filter(|name| before.get(*name) != after.get(*name));
    let complaint = |name: &String| format!("rebuilt, {name} differs");
    differ.map(complaint).collect()
}

/// Each table's rows, as a hash and a count. Where a record lies on the topic is not compared, a part of a
/// table only as its whole.
fn tables(whole: &Whole) -> BTreeMap<String, String> {
    let names = format!(
        "SELECT c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
         WHERE n.nspname = '{SCHEMA}' AND c.relkind IN ('r', 'p') AND NOT c.relispartition
           AND c.relname NOT LIKE 'refinery%' AND c.relname NOT LIKE '%_history'"
    );
    let names = psql(&whole.database, &names);
    let hash = |name: &str| {
        let sql = format!(
            "SELECT count(*), md5(coalesce(string_agg(r::text, '|' ORDER BY r::text), ''))
             FROM {SCHEMA}.{name} r"
        );
        (name.to_owned(), psql(&whole.database, &sql))
    };
    names.lines().map(hash).collect()
}

/// Receipts of settled instructions: by both gateways, verified offline, with the content that was sent.
pub async fn receipts(whole: &Whole, clients: &Clients) -> Vec<String> {
    let settled: Vec<_> = {
        let seen = clients.way.seen();
        let newest = seen.newest().into_values();
        newest
            .filter(|answer| answer.status == Status::Acsc)
            .cloned()
            .collect()
    };
    assert!(settled.len() > RECEIPTS, "too few settled");
    let mut random = Random(settled.len() as u64);
    let mut complaints = Vec::new();
    for at in 0..RECEIPTS {
        let answer = random.pick(&settled);
        let mut operator = whole.client(at % 2, "OPERATOR").await.unwrap().ledger;
        let policy = operator.get_checkpoint(v1::GetCheckpointRequest {}).await;
        let policy = Policy::parse(&policy.unwrap().into_inner().policy).unwrap();
        let sent = <v1::Instruction as prost::Message>::decode(&*answer.content).unwrap();
        let mut bank = whole
            .client(at % 2, &sent.instructing)
            .await
            .unwrap()
            .ledger;
        let request = v1::GetReceiptRequest {
            uetr: answer.uetr.clone(),
            instructing: sent.instructing,
            kind: sent.kind,
            wait: false,
        };
        let end = Instant::now() + WARM_WITHIN;
        let answered = loop {
            match bank.get_receipt(request.clone()).await {
                // A ledger that was started reads the journal first.
                Err(status) if status.code() == tonic::Code::Unavailable => {
                    assert!(Instant::now() < end, "{answer:?}: {status:?}");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
                answered => break answered,
            }
        };
        let receipt = match answered {
            Ok(receipt) => receipt.into_inner().receipt,
            // Its batch may be open still.
            Err(status) if status.code() == tonic::Code::FailedPrecondition => continue,
            Err(status) => panic!("{answer:?}: {status:?}"),
        };
        match valuta_verify::verify(receipt.as_bytes(), &policy) {
            Ok(verified) if verified.content == answer.content => {}
            other => complaints.push(format!("receipt of {answer:?}: {other:?}")),
        }
    }
    complaints
}
