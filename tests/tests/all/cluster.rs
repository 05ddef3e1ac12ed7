//! A cluster of real processes over the brokers and the PostgreSQL that `scripts/test` starts.
//!
//! | module | what |
//! |---|---|
//! | `stack`, `service`, `whole` | servers, processes, a cluster of them |
//! | `attempt`, `clients`, `cycles`, `pledges`, `seen` | clients that retry everything, and what they saw |
//! | `facts`, `check`, `judge` | the journal, and what must agree with it |
//! | `validating` | a witness that decides the journal again |
//! | `scenes`, `engines`, `brokers`, `followers`, `postgres` | faults |

mod attempt;
mod brokers;
mod check;
mod check_tests;
mod clients;
mod cycles;
mod engines;
mod facts;
mod followers;
mod judge;
mod pledges;
mod postgres;
mod scenes;
mod seen;
pub mod service;
pub mod stack;
mod validating;
mod whole;

use crate::load::long;
use scenes::Scenery;
use stack::{Stack, said};
use std::process::Command;
use valuta_tests::server::valuta;

const INSTRUCTIONS: &str = "20000";

/// The whole day, in which the leading engine is killed and then the partition's leading broker: every
/// check of the demo is one of this test.
#[test]
fn the_demo_holds_when_engine_and_broker_are_killed() {
    let stack = Stack::alone();
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/..");
    let demo = Command::new(valuta())
        .current_dir(root)
        .args(["demo", "--instructions", INSTRUCTIONS, "--seed", "3"])
        .arg("--cluster")
        .arg(stack.dir())
        .output()
        .unwrap();
    assert!(demo.status.success(), "{}", said(&demo));
    let said = said(&demo);
    for expected in [
        "leading engine killed",
        "leading broker killed",
        "[ok] no bank has seen its stream break",
    ] {
        assert!(said.contains(expected), "{expected}: {said}");
    }
}

/// Every kind of fault, in the order in which one cluster meets them.
#[derive(Clone, Copy, Debug)]
enum Scene {
    LeaderKilled,
    LeaderKilledAtEachStep,
    LeaderStoppedAndContinued,
    TwoCandidates,
    GatewayKilled,
    FollowersKilled,
    LeadingBrokerKilled,
    LeadingBrokerPaused,
    TwoBrokersStopped,
    AllBrokersKilled,
    SettingsChanged,
    PostgresKilled,
    PostgresPaused,
    PostgresOutOfDisk,
}

const SCENES: [Scene; 14] = [
    Scene::LeaderKilled,
    Scene::LeaderKilledAtEachStep,
    Scene::LeaderStoppedAndContinued,
    Scene::TwoCandidates,
    Scene::GatewayKilled,
    Scene::FollowersKilled,
    Scene::LeadingBrokerKilled,
    Scene::LeadingBrokerPaused,
    Scene::TwoBrokersStopped,
    Scene::AllBrokersKilled,
    Scene::SettingsChanged,
    Scene::PostgresKilled,
    Scene::PostgresPaused,
    Scene::PostgresOutOfDisk,
];

impl Scene {
    async fn play(self, scenery: &mut Scenery, seed: u64) {
        println!("{self:?}, seed {seed}");
        match self {
            Self::LeaderKilled => engines::leader_killed(scenery, seed).await,
            Self::LeaderKilledAtEachStep => {
                engines::leader_killed_at_each_step(scenery, seed).await;
            }
            Self::LeaderStoppedAndContinued => {
                engines::leader_stopped_and_continued(scenery, seed).await;
            }
            Self::TwoCandidates => engines::two_candidates(scenery, seed).await,
            Self::GatewayKilled => engines::gateway_killed(scenery, seed).await,
            Self::FollowersKilled => followers::followers_killed(scenery, seed).await,
            Self::LeadingBrokerKilled => brokers::leading_broker_killed(scenery, seed).await,
            Self::LeadingBrokerPaused => brokers::leading_broker_paused(scenery, seed).await,
            Self::TwoBrokersStopped => brokers::two_brokers_stopped(scenery, seed).await,
            Self::AllBrokersKilled => brokers::all_brokers_killed(scenery, seed).await,
            Self::SettingsChanged => brokers::settings_changed(scenery, seed).await,
            Self::PostgresKilled => postgres::killed(scenery, seed).await,
            Self::PostgresPaused => postgres::paused(scenery, seed).await,
            Self::PostgresOutOfDisk => postgres::out_of_disk(scenery, seed).await,
        }
    }
}

/// Rounds over all scenes, each with seeds of its own; `VALUTA_SCENE` names the only one to play.
#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_lost_or_doubled_whatever_dies() {
    let only = std::env::var("VALUTA_SCENE").unwrap_or_default();
    let mut scenery = Scenery::start().await;
    for round in 0..if long() { 5 } else { 1 } {
        for (at, scene) in (0u64..).zip(SCENES) {
            if only.is_empty() || format!("{scene:?}") == only {
                scene.play(&mut scenery, 100 * round + at).await;
            }
        }
        judge::judge(&mut scenery.whole, &scenery.clients).await;
    }
    let seen = scenery.clients.way.seen();
    let (cycles, members) = seen.cycles_completed();
    assert!(!only.is_empty() || members > 0, "no cycle settled anything");
    for (what, is_so) in pledges::KINDS {
        let settled = seen.settled(is_so);
        assert!(!only.is_empty() || settled > 0, "nothing settled {what}");
        println!("{settled} settled {what}");
    }
    drop(seen);
    println!(
        "{} calls answered, {} tried again; {cycles} cycles settled {members} members",
        scenery.clients.way.answers(),
        scenery.clients.way.failures()
    );
}
