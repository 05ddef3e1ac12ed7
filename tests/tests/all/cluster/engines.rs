//! Faults of engines and gateways.

use super::attempt::Work;
use super::facts::Facts;
use super::judge::judge_clients;
use super::scenes::{Scenery, WORKS};
use super::seen::Seen;
use super::service::Service;
use crate::load::long;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// Longer than the group's session and the check of the link.
const PAUSED: Duration = Duration::from_secs(6);
/// A tracer that has not hit by then hits nothing.
const HIT_WITHIN: Duration = Duration::from_secs(20);
/// What a leader that works does on sockets: requests and answers of Kafka, answers to gateways.
const STEPS: [&str; 3] = ["sendmsg", "recvmsg", "writev"];

/// The leader is killed at a random moment; the standby takes over.
pub async fn leader_killed(scenery: &mut Scenery, seed: u64) {
    let working = scenery.busy(seed).await;
    scenery.a_moment(300).await;
    let leader = scenery.whole.leader().await;
    scenery.whole.engines[leader].kill();
    let pause = scenery.clients.answered(WORKS).await;
    scenery.whole.replace_engines(2).await;
    working.stop().await;
    judge_clients(&mut scenery.whole, &scenery.clients).await;
    println!("leader killed: {WORKS} answers within {pause:?}");
}

/// The leader dies on entry to the n-th call of a kind, of any of its threads: before or after its record
/// went out, before or after the brokers' word for it came in, before or after its answer.
pub async fn leader_killed_at_each_step(scenery: &mut Scenery, seed: u64) {
    let working = scenery.busy(seed).await;
    let mut deaths = 0;
    for call in STEPS {
        for n in 0..if long() { 6 } else { 1 } {
            let at = 1 + 7 * n + scenery.random.below(7);
            let leader = scenery.whole.leader().await;
            let engine = &mut scenery.whole.engines[leader];
            deaths += u32::from(dies_at(engine, call, at).await);
            scenery.clients.answered(WORKS).await;
            scenery.whole.replace_engines(2).await;
        }
    }
    working.stop().await;
    let facts = judge_clients(&mut scenery.whole, &scenery.clients).await;
    let taken_along = unanswered_at_an_epochs_end(&facts, &scenery.clients.way.seen());
    println!(
        "{deaths} deaths at a step; the last record of {taken_along} of {} epochs was first answered by \
         the next leader",
        facts.epochs
    );
    assert!(deaths > 0, "strace hits nothing");
}

/// `false`: nothing was hit, and it was simply killed.
async fn dies_at(engine: &mut Service, call: &str, at: u64) -> bool {
    let mut tracer = Command::new("strace")
        .args(["-f", "-qq", "-o", "/dev/null", "-p"])
        .arg(engine.id().to_string())
        .args(["-e", &format!("trace={call}"), "-e"])
        .arg(format!("inject={call}:signal=SIGKILL:when={at}"))
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let end = Instant::now() + HIT_WITHIN;
    while engine.is_running() && Instant::now() < end {
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    let hit = !engine.is_running();
    engine.kill();
    let _ = tracer.kill();
    let _ = tracer.wait();
    hit
}

/// Epochs whose last record holds what was durable, and not yet told, when they ended.
fn unanswered_at_an_epochs_end(facts: &Facts, seen: &Seen) -> usize {
    let mut first_told = std::collections::BTreeMap::new();
    for answer in &seen.answers {
        first_told.entry(answer.sequence).or_insert(answer.told);
    }
    let pairs = facts.records.windows(2);
    let ends = pairs.filter(|pair| pair[0].epoch != pair[1].epoch);
    let told_after = |pair: &&[super::facts::Written]| {
        let told = |sequence| first_told.get(&sequence).copied();
        let of_next = (pair[1].first..=pair[1].last).filter_map(told).min();
        (pair[0].first..=pair[0].last)
            .filter_map(told)
            .any(|mine| of_next.is_some_and(|next| next < mine))
    };
    ends.filter(told_after).count()
}

/// The leader is stopped until another leads, and then goes on: it confirms nothing more, and ends. What it
/// still wrote is skipped by whoever reads.
pub async fn leader_stopped_and_continued(scenery: &mut Scenery, seed: u64) {
    let working = scenery.busy(seed).await;
    let zombie = scenery.whole.leader().await;
    scenery.whole.engines[zombie].pause();
    let begun = Instant::now();
    let leader = scenery.whole.leader().await;
    assert_ne!(leader, zombie);
    let taken_over = begun.elapsed();
    let skipped_before = skipped(&scenery.whole.engines[leader]);
    scenery.clients.answered(WORKS).await;
    tokio::time::sleep(PAUSED.saturating_sub(begun.elapsed())).await;
    scenery.whole.engines[zombie].resume();
    let words = scenery.whole.engines[zombie].ended().await;
    assert!(
        words.contains("another engine leads") || words.contains("newer epoch"),
        "the zombie says {words:?}"
    );
    scenery.clients.answered(WORKS).await;
    let skipped = skipped(&scenery.whole.engines[leader]) - skipped_before;
    scenery.whole.replace_engines(2).await;
    working.stop().await;
    judge_clients(&mut scenery.whole, &scenery.clients).await;
    println!("leader stopped: another led after {taken_over:?}; {skipped} of its messages skipped");
}

/// Messages of the topic that are no records of the journal, as a reader says.
fn skipped(reader: &Service) -> usize {
    reader.logged().matches("skipped a message").count()
}

/// Two stand by, and both see at once that the leader has gone: one leads, the other goes on standing by.
pub async fn two_candidates(scenery: &mut Scenery, seed: u64) {
    let working = scenery.busy(seed).await;
    for _ in 0..2 {
        scenery.whole.replace_engines(3).await;
        let leader = scenery.whole.leader().await;
        scenery.whole.engines[leader].kill();
        scenery.clients.answered(WORKS).await;
    }
    scenery.whole.replace_engines(3).await;
    let standby = scenery.whole.engines.pop();
    drop(standby);
    working.stop().await;
    judge_clients(&mut scenery.whole, &scenery.clients).await;
    println!("two candidates: one leads");
}

/// A gateway is killed with calls in flight: clients go to the other, and come back.
pub async fn gateway_killed(scenery: &mut Scenery, seed: u64) {
    let working = scenery.busy(seed).await;
    for gateway in 0..2 {
        scenery.a_moment(100).await;
        scenery.whole.gateways[gateway].kill();
        scenery.clients.answered(WORKS).await;
        let refused = scenery.once(gateway, "OPERATOR", &Work::Time(1)).await;
        assert!(refused.is_err(), "a dead gateway answers");
        scenery.whole.gateways[gateway].start().await;
        scenery.clients.answered(WORKS).await;
    }
    working.stop().await;
    judge_clients(&mut scenery.whole, &scenery.clients).await;
    println!("gateways killed");
}
