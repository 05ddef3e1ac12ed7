//! The tools that need no server: what they print, and how they exit.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use valuta_tests::server::valuta;

const QUEUE: &str = r#"{"accounts":[{"participant":"AAAAUS33","asset":"USD","amount":"1.00"}],
"queue":[{"id":"T1","legs":[{"debtor":"AAAAUS33","creditor":"BBBBDEFF","asset":"USD","amount":"1.00"}]},
{"id":"T2","legs":[{"debtor":"AAAAUS33","creditor":"BBBBDEFF","asset":"USD","amount":"0.50"}]}]}"#;
const SHEET: &str = "id;debtor;creditor;asset;amount\nT1;AAAAUS33;BBBBDEFF;USD;1,00\n\
                     T2;AAAAUS33;BBBBDEFF;USD;0,50\n";
const ACCOUNTS: &str = "participant;asset;amount\nAAAAUS33;USD;1,00\n";

fn run(dir: &Path, words: &str, input: &str) -> Output {
    let mut child = Command::new(valuta())
        .args(words.split_whitespace())
        .current_dir(dir)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child
        .stdin
        .take()
        .unwrap()
        .write_all(input.as_bytes())
        .unwrap();
    child.wait_with_output().unwrap()
}

/// Runs words that must exit so, and answers what they printed, or told as an error.
fn check(dir: &Path, words: &str, input: &str, code: i32) -> String {
    let output = run(dir, words, input);
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let (printed, told) = (text(&output.stdout), text(&output.stderr));
    assert_eq!(output.status.code(), Some(code), "{words}: {printed}{told}");
    if code == 0 { printed } else { told }
}

#[test]
fn a_queue_is_solved_checked_and_netted_offline() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path();
    for (name, content) in [("q.json", QUEUE), ("q.csv", SHEET), ("a.csv", ACCOUNTS)] {
        std::fs::write(path.join(name), content).unwrap();
    }
    let result = check(path, "solve q.json --output json", "", 0);
    assert_eq!(result.lines().count(), 1);
    assert!(
        result.starts_with(
            r#"{"order":"kept","settled":["T1"],"waiting":[{"id":"T2","test":"floor","#
        )
    );
    assert_eq!(check(path, "solve - --output json", QUEUE, 0), result);
    assert_eq!(
        check(path, "solve q.csv --accounts a.csv --output json", "", 0),
        result
    );
    std::fs::write(path.join("r.json"), &result).unwrap();
    assert!(check(path, "solve q.json --check r.json", "", 0).contains("holds"));
    let other = result.replace(r#""settled":["T1"]"#, r#""settled":["T2"]"#);
    std::fs::write(path.join("other.json"), other).unwrap();
    let told = check(path, "solve q.json --check other.json", "", 1);
    assert!(
        told.contains("settled[0] must be \"T1\", not \"T2\""),
        "{told}"
    );
    let nets = check(path, "net q.json --output json", "", 0);
    assert!(
        nets.contains(r#""pay_in":[{"participant":"AAAAUS33","asset":"USD","amount":"0.50"}]"#)
    );
    assert!(check(path, "net q.json --suggest", "", 0).contains("liquidity"));
    assert!(check(path, "solve q.json", "", 0).contains("smallest pay in"));
}

#[test]
fn a_wrong_file_gets_one_error() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path();
    let told = check(path, "solve -", &QUEUE.replace("\"0.50\"", "0.50"), 2);
    let expected =
        "error: -: line 3, field queue[1].legs[0].amount: must be text in quotes, not 0.50\n";
    assert_eq!(told, expected);
    let told = check(path, "net -", &SHEET.replace("0,50", "0,505"), 2);
    assert!(
        told.starts_with("error: -: line 3, field amount: "),
        "{told}"
    );
    let told = check(path, "solve missing.json", "", 2);
    assert!(told.starts_with("error: missing.json: "), "{told}");
    let told = check(path, "solve - --accounts missing.csv", QUEUE, 2);
    assert!(
        told.contains("--accounts goes with a queue in CSV"),
        "{told}"
    );
}
