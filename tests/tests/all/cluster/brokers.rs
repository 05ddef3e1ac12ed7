//! Faults of brokers.

use super::attempt::Work;
use super::judge::judge_clients;
use super::scenes::{Scenery, WORKS};
use super::stack::Do;
use std::time::{Duration, Instant};
use tonic::Code;
use valuta_proto::v1;
use valuta_tests::scheme::{BANKS, payment};

/// A leader knows that its record stays out after the message's time-out, 10 s.
const HINDERED_WITHIN: Duration = Duration::from_secs(30);
/// What a process logs that has given up the journal, or a topic, for good. An engine that another one overtook says
/// less.
const GIVEN_UP: [&str; 2] = [
    "valuta_kafka::shared: the journal has failed",
    "was recreated",
];
/// A number that no client reaches.
const PROBE: u128 = 1 << 40;

/// The broker that leads the journal's partition is killed, and comes back.
pub async fn leading_broker_killed(scenery: &mut Scenery, seed: u64) {
    leading_broker(scenery, seed, Do::Kill, Do::Start).await;
}

/// It stands still until another leads, and goes on as if it still led.
pub async fn leading_broker_paused(scenery: &mut Scenery, seed: u64) {
    leading_broker(scenery, seed, Do::Pause, Do::Resume).await;
}

async fn leading_broker(scenery: &mut Scenery, seed: u64, gone: Do, back: Do) {
    let given_up_before = given_up(scenery);
    let working = scenery.busy(seed).await;
    let topic = format!("{}rehearsal-journal", scenery.whole.prefix);
    let broker = scenery.whole.stack.leading_broker(&topic);
    scenery.a_moment(200).await;
    scenery.whole.stack.broker(broker, gone);
    let pause = scenery.clients.answered(WORKS).await;
    scenery.whole.stack.broker(broker, back);
    scenery.clients.answered(WORKS).await;
    working.stop().await;
    all_again(scenery, given_up_before).await;
    println!("leading broker, {gone:?}: {WORKS} answers within {pause:?}");
}

/// With two of three brokers gone, writes are refused clearly and reads go on; both come back by themselves.
pub async fn two_brokers_stopped(scenery: &mut Scenery, seed: u64) {
    let given_up_before = given_up(scenery);
    let working = scenery.busy(seed).await;
    let first = 1 + usize::try_from(seed % 3).unwrap();
    let second = 1 + first % 3;
    for broker in [first, second] {
        scenery.whole.stack.broker(broker, Do::Kill);
    }
    let begun = Instant::now();
    let reason = loop {
        match scenery.once(0, BANKS[0], &probe(seed)).await {
            Err(status) if status.message().contains("the journal takes no records") => {
                assert_eq!(status.code(), Code::Unavailable, "{status:?}");
                break status.message().to_owned();
            }
            // What a leader has taken before it knew waits until its caller goes.
            other => assert!(begun.elapsed() < HINDERED_WITHIN, "{other:?}"),
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    };
    let refused_after = begun.elapsed();
    for gateway in 0..2 {
        reads_go_on(scenery, gateway).await;
    }
    let begun = Instant::now();
    scenery.whole.stack.all_up();
    scenery.clients.answered(WORKS).await;
    let back_after = begun.elapsed();
    working.stop().await;
    all_again(scenery, given_up_before).await;
    println!(
        "two brokers stopped: {reason:?} after {refused_after:?}, back {back_after:?} after their start"
    );
}

/// Whoever said so.
fn given_up(scenery: &Scenery) -> Vec<String> {
    GIVEN_UP.map(|words| scenery.whole.logged(words)).concat()
}

/// Starts again what has ended, and judges: brokers that come and go are no journal that is lost, whatever they
/// say when they come back.
async fn all_again(scenery: &mut Scenery, given_up_before: Vec<String>) -> Vec<String> {
    scenery.whole.replace_engines(2).await;
    let ended = scenery.whole.supervise().await;
    judge_clients(&mut scenery.whole, &scenery.clients).await;
    assert_eq!(given_up(scenery), given_up_before);
    ended
}

fn probe(seed: u64) -> Work {
    let number = PROBE + u128::from(seed);
    Work::Submit(payment(number, BANKS[0], BANKS[1], "0.01", "USD").into())
}

/// Positions from the live state, lists from PostgreSQL.
async fn reads_go_on(scenery: &Scenery, gateway: usize) {
    let mut bank = scenery.whole.client(gateway, BANKS[0]).await.unwrap();
    let request = v1::GetPositionsRequest {
        participant: BANKS[0].to_owned(),
        ..Default::default()
    };
    let positions = bank.treasury.get_positions(request).await;
    assert!(!positions.unwrap().into_inner().positions.is_empty());
    let request = v1::ListInstructionsRequest::default();
    let list = bank.payments.list_instructions(request).await;
    assert!(!list.unwrap().into_inner().instructions.is_empty());
}

/// Every broker is killed at once, and all come back: whatever was acknowledged is there.
pub async fn all_brokers_killed(scenery: &mut Scenery, seed: u64) {
    let given_up_before = given_up(scenery);
    let working = scenery.busy(seed).await;
    scenery.a_moment(200).await;
    std::thread::scope(|scope| {
        for broker in 1..=3 {
            let stack = &scenery.whole.stack;
            scope.spawn(move || stack.broker(broker, Do::Kill));
        }
    });
    scenery.a_moment(2_000).await;
    let begun = Instant::now();
    scenery.whole.stack.all_up();
    scenery.clients.answered(WORKS).await;
    let back_after = begun.elapsed();
    working.stop().await;
    let ended = all_again(scenery, given_up_before).await;
    println!(
        "all brokers killed: back {back_after:?} after their start; ended by themselves: {ended:?}"
    );
}

/// The journal's topic is set to forget: every process ends and names the setting. Set right and started again,
/// they go on.
pub async fn settings_changed(scenery: &mut Scenery, seed: u64) {
    let given_up_before = given_up(scenery);
    let working = scenery.busy(seed).await;
    let topic = format!("{}rehearsal-journal", scenery.whole.prefix);
    scenery.whole.stack.set(&topic, "retention.ms=60000");
    for service in scenery.whole.services() {
        let words = service.ended().await;
        // The thread that meets it first says it in its own words.
        let error = words.split_once("error: ").map(|(_, error)| error);
        let why = format!("the topic {topic} cannot be used: retention.ms is 60000, must be -1");
        assert!(error.is_some_and(|error| error.contains(&why)), "{words}");
    }
    assert!(given_up(scenery).len() > given_up_before.len());
    scenery.whole.stack.set(&topic, "retention.ms=-1");
    for service in scenery.whole.services() {
        service.spawn();
    }
    scenery.clients.answered(WORKS).await;
    working.stop().await;
    scenery.whole.replace_engines(2).await;
    judge_clients(&mut scenery.whole, &scenery.clients).await;
    println!("settings changed: everything stopped, and went on");
}
