//! A cluster of real processes over the brokers and the PostgreSQL that `scripts/test` starts.

use std::path::PathBuf;
use std::process::{Command, Output};
use valuta_tests::server::valuta;

const INSTRUCTIONS: &str = "20000";

/// Where the servers are.
fn stack() -> PathBuf {
    let dir = std::env::var_os("VALUTA_TEST_STACK");
    dir.expect("no VALUTA_TEST_STACK: run scripts/test, or start scripts/stack and source its env")
        .into()
}

fn said(output: &Output) -> String {
    let (out, err) = (&output.stdout, &output.stderr);
    format!(
        "{}{}",
        String::from_utf8_lossy(out),
        String::from_utf8_lossy(err)
    )
}

/// The whole day, in which the leading engine is killed and then the partition's leading broker: every
/// check of the demo is one of this test.
#[test]
fn the_demo_holds_when_engine_and_broker_are_killed() {
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/..");
    let demo = Command::new(valuta())
        .current_dir(root)
        .args(["demo", "--instructions", INSTRUCTIONS, "--seed", "3"])
        .arg("--cluster")
        .arg(stack())
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
