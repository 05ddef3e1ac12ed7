//! The command line as people and jobs use it: what is printed, and how it exits.
//!
//! 0 done, 1 refused or not verified, 2 usage, 3 unavailable, 4 too early.

use crate::support::{A, B, CUT_OFF_MS, CYCLE, Town};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::Output;
use valuta_tests::scheme::{MORNING_MS, uetr_text};
use valuta_tests::server::valuta;

const HEADER: &str = "uetr,kind,lane,priority,created,value_date,debtor,creditor,asset,amount,\
                      instruction_id,end_to_end_id,quote,remittance";

/// A shell: a server's address, and a token for each who types.
struct Shell {
    server: String,
    dir: PathBuf,
}

impl Shell {
    fn of(town: &Town) -> Self {
        Self {
            server: format!("http://{}", town.world.server.address),
            dir: town.dir.path().to_owned(),
        }
    }

    async fn run(&self, token: &str, words: &str) -> Ran {
        let mut command = tokio::process::Command::new(valuta());
        command
            .args(words.split_whitespace())
            .current_dir(&self.dir);
        command
            .env("VALUTA_SERVER", &self.server)
            .env("VALUTA_TOKEN", token);
        Ran {
            words: words.to_owned(),
            output: command.output().await.unwrap(),
        }
    }

    fn write(&self, name: &str, content: &str) {
        std::fs::write(self.dir.join(name), content).unwrap();
    }

    fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.dir.join(name)).unwrap()
    }
}

/// What came of a command.
struct Ran {
    words: String,
    output: Output,
}

impl Ran {
    fn stdout(&self) -> String {
        String::from_utf8(self.output.stdout.clone()).unwrap()
    }

    /// The exit code; what failed says so on stderr, in one line that has `said`.
    fn exits(&self, code: i32, said: &str) -> &Self {
        let stderr = String::from_utf8_lossy(&self.output.stderr);
        assert_eq!(
            self.output.status.code(),
            Some(code),
            "valuta {}: {stderr}",
            self.words
        );
        assert!(stderr.contains(said), "valuta {}: {stderr}", self.words);
        self
    }

    fn json(&self) -> Value {
        self.exits(0, "");
        serde_json::from_str(&self.stdout())
            .unwrap_or_else(|error| panic!("{error}: {}", self.stdout()))
    }
}

fn token<'a>(town: &'a Town, name: &str) -> &'a str {
    &town.world.tokens[name]
}

/// A day from the sample scheme: applied twice, tokens, a deposit, a payment.
#[tokio::test]
async fn the_sample_scheme_is_a_start() {
    let dir = tempfile::tempdir().unwrap();
    let server = valuta_tests::Server::start(&dir.path().join("data")).unwrap();
    let operator = server.operator_token().unwrap();
    let shell = Shell {
        server: format!("http://{}", server.address),
        dir: dir.path().to_owned(),
    };
    let sample = shell.run("", "scheme sample").await;
    sample.exits(0, "");
    shell.write("scheme.toml", &sample.stdout());
    shell
        .run(&operator, "time set 2026-11-20T08:00:00Z")
        .await
        .exits(0, "");
    let applied = shell
        .run(&operator, "scheme apply scheme.toml --output json")
        .await
        .json();
    assert!(applied["changes"].as_u64().unwrap() > 100, "{applied}");
    let again = shell
        .run(&operator, "scheme apply scheme.toml --output json")
        .await
        .json();
    assert_eq!(again["changes"], 0, "idempotent");
    let shown = shell
        .run(&operator, "scheme show --output json")
        .await
        .json();
    assert!(shown.to_string().contains("\"rehearsal\":true"), "{shown}");
    shell
        .run("vt_wrong", "scheme show")
        .await
        .exits(1, "TOKEN_UNKNOWN");
    shell
        .run(&operator, "scheme apply none.toml")
        .await
        .exits(2, "none.toml");
    shell.write("bad.toml", "name = ");
    shell
        .run(&operator, "scheme apply bad.toml")
        .await
        .exits(2, "bad.toml");
    let participants = shell
        .run(&operator, "participants --output json")
        .await
        .json();
    assert_eq!(participants.as_array().unwrap().len(), 12);
    let created = shell
        .run(&operator, "token create treasury desk --output json")
        .await
        .json();
    let desk = created["token"].as_str().unwrap();
    shell.run(desk, "totals").await.exits(0, "");
    shell
        .run(desk, "time set 2026-11-20T09:00:00Z")
        .await
        .exits(1, "NOT_PERMITTED");
    shell.run(&operator, "token revoke desk").await.exits(0, "");
    shell.run(desk, "totals").await.exits(1, "TOKEN_UNKNOWN");
    let status = shell.run(&operator, "status --output json").await.json();
    assert_eq!(status["rehearsal"], true);
}

fn line(uetr: u128, lane: &str, amount: &str, asset: &str) -> String {
    format!(
        "{},payment,{lane},,2026-11-20T08:00:00Z,2026-11-20,{A},{B},{asset},{amount},I{uetr},E{uetr},,invoice {uetr}",
        uetr_text(uetr)
    )
}

#[tokio::test]
async fn a_file_is_sent_and_sent_again() {
    let town = Town::funded().await;
    let shell = Shell::of(&town);
    let bank = token(&town, A);
    let lines: Vec<_> = (1..=5)
        .map(|uetr| line(uetr, "gross", "10.00", "USD"))
        .collect();
    shell.write(
        "good.csv",
        &format!(
            "{HEADER}\n{}\n{}\n",
            lines.join("\n"),
            line(6, "net", "10.00", "EUR")
        ),
    );
    let dry = shell
        .run("", "send good.csv --dry-run --output json")
        .await
        .json();
    assert_eq!(
        (dry["instructions"].as_u64(), dry["sent"].as_u64()),
        (Some(6), Some(0))
    );
    assert_eq!(town.books().await.balance(A, "USD"), "1000000.00");

    shell.run(bank, "send good.csv").await.exits(0, "");
    let results = shell.read("good.csv.results.csv");
    assert_eq!(results.lines().count(), 7, "{results}");
    assert_eq!(
        results.lines().filter(|line| line.contains("ACSC")).count(),
        5,
        "{results}"
    );
    let sequences = |results: &str| -> Vec<String> {
        results
            .lines()
            .map(|line| line.split(',').nth(4).unwrap().to_owned())
            .collect()
    };
    shell
        .run(bank, "send good.csv --results again.csv")
        .await
        .exits(0, "");
    assert_eq!(
        sequences(&shell.read("again.csv")),
        sequences(&results),
        "the same answers"
    );
    assert_eq!(
        town.books().await.balance(A, "USD"),
        "999950.00",
        "nothing twice"
    );

    shell.write(
        "refused.csv",
        &format!(
            "{HEADER}\n{}\n{}\n",
            line(7, "gross", "0", "USD"),
            line(8, "gross", "0.5", "JPY")
        ),
    );
    shell
        .run(bank, "send refused.csv")
        .await
        .exits(1, "2 refused");
    let results = shell.read("refused.csv.results.csv");
    assert!(
        results.contains("AM01") && results.contains("CH20") && results.contains("legs[0].amount"),
        "{results}"
    );

    shell.write(
        "bad.csv",
        &format!("{HEADER}\n{}\n", line(9, "gross", "ten", "USD")),
    );
    shell.run(bank, "send bad.csv").await.exits(1, "line 2");
    shell.write("headless.csv", "uetr,kind\n");
    shell
        .run(bank, "send headless.csv")
        .await
        .exits(1, "the header must be");
    shell.run(bank, "send none.csv").await.exits(2, "none.csv");

    let json = format!(
        r#"{{"uetr":"{}","kind":"KIND_PAYMENT","lane":"LANE_GROSS","instructing":"{A}","created":"2026-11-20T08:00:00Z","valueDate":"2026-11-20","legs":[{{"debtor":"{A}","creditor":"{B}","amount":"1.00","asset":"USD"}}]}}"#,
        uetr_text(10)
    );
    shell.write("good.jsonl", &format!("{json}\n"));
    shell.run(bank, "send good.jsonl").await.exits(0, "");
    assert_eq!(town.books().await.balance(A, "USD"), "999949.00");
}

#[tokio::test]
async fn reads_print_tables_json_and_csv() {
    let town = Town::funded().await;
    let shell = Shell::of(&town);
    let bank = token(&town, A);
    shell.write(
        "f.csv",
        &format!(
            "{HEADER}\n{}\n{}\n",
            line(1, "gross", "10.00", "USD"),
            line(2, "net", "20.00", "EUR")
        ),
    );
    shell.run(bank, "send f.csv").await.exits(0, "");
    let uetr = uetr_text(1);
    let got = shell
        .run(bank, &format!("get {uetr} --output json"))
        .await
        .json();
    let got = &got["instructions"][0];
    assert_eq!(
        (&got["status"], &got["amount"]),
        (&"ACSC".into(), &"10.00".into()),
        "{got}"
    );
    shell
        .run(bank, &format!("get {}", uetr_text(3)))
        .await
        .exits(1, "NOT_FOUND");
    shell
        .run(bank, "get no-uetr")
        .await
        .exits(1, "FIELD_INVALID, field uetr");
    shell
        .run(token(&town, "CBKUKWKW"), &format!("get {uetr}"))
        .await
        .exits(1, "NOT_PERMITTED");
    let sequence = got["sequence"].as_u64().unwrap() + 1;
    let listed = shell
        .run(
            bank,
            &format!("list --min-sequence {sequence} --output json"),
        )
        .await
        .json();
    assert_eq!(listed.as_array().unwrap().len(), 2, "{listed}");
    let csv = shell
        .run(bank, "list --status ACSC --output csv")
        .await
        .stdout();
    let rows: Vec<Vec<&str>> = csv.lines().map(|line| line.split(',').collect()).collect();
    assert_eq!(rows.len(), 2, "{csv}");
    assert!(rows.iter().all(|row| row.len() == rows[0].len()), "{csv}");
    assert_eq!((rows[0][0], rows[1][0]), ("uetr", uetr.as_str()));
    let positions = shell
        .run(bank, &format!("positions {A} --output json"))
        .await
        .json();
    assert!(
        positions.to_string().contains("\"999990.00\""),
        "{positions}"
    );
    shell
        .run(bank, &format!("positions {B}"))
        .await
        .exits(1, "NOT_PERMITTED");
    let table = shell.run(token(&town, "TREASURY"), "totals").await;
    assert!(
        table.exits(0, "").stdout().contains("4,000,000.00"),
        "{}",
        table.stdout()
    );
    // Usage: what clap finds.
    shell.run(bank, "list --status DONE").await.exits(2, "DONE");
    shell.run(bank, "nonsense").await.exits(2, "nonsense");
    shell.run(bank, "get").await.exits(2, "UETR");
    let cancelled = shell
        .run(bank, &format!("cancel {} --output json", uetr_text(2)))
        .await
        .json();
    assert_eq!(cancelled["status"], "CANC");
    shell
        .run(bank, &format!("cancel {uetr}"))
        .await
        .exits(1, "WRONG_STATE");
}

#[tokio::test]
async fn a_job_runs_a_cycle() {
    let town = Town::funded().await;
    let shell = Shell::of(&town);
    let operator = town.world.server.operator_token().unwrap();
    let (bank, agent) = (token(&town, A), token(&town, "FRNYUS33"));
    shell.write(
        "net.csv",
        &format!("{HEADER}\n{}\n", line(1, "net", "25.00", "USD")),
    );
    shell.run(bank, "send net.csv").await.exits(0, "");
    shell
        .run(&operator, "cycle open 2026-11-23/1")
        .await
        .exits(0, "");
    shell
        .run(&operator, "cycle open 2026-11-23/1")
        .await
        .exits(0, "");
    shell
        .run(&operator, &format!("cycle close {CYCLE}"))
        .await
        .exits(4, "TOO_EARLY");
    shell
        .run(bank, &format!("cycle close {CYCLE}"))
        .await
        .exits(1, "NOT_PERMITTED");
    shell
        .run(&operator, "cycle close 2026-11-20/9")
        .await
        .exits(1, "NOT_FOUND");
    town.set_time(CUT_OFF_MS).await;
    for _ in 0..2 {
        shell
            .run(&operator, &format!("cycle close {CYCLE}"))
            .await
            .exits(0, "");
    }
    for _ in 0..2 {
        shell
            .run(&operator, &format!("cycle net {CYCLE}"))
            .await
            .exits(0, "");
    }
    shell
        .run(&operator, &format!("cycle settle {CYCLE}"))
        .await
        .exits(4, "TOO_EARLY");
    for _ in 0..2 {
        // The id comes from the content: a job that runs again pays in once.
        shell
            .run(agent, &format!("pay-in {CYCLE} {A} USD 10.00"))
            .await
            .exits(0, "");
    }
    shell
        .run(bank, &format!("transfer {CYCLE} {A} USD 15.00"))
        .await
        .exits(0, "");
    shell
        .run(agent, &format!("pay-in {CYCLE} {A} EUR 1.00"))
        .await
        .exits(1, "NOT_PERMITTED");
    for _ in 0..2 {
        shell
            .run(&operator, &format!("cycle settle {CYCLE}"))
            .await
            .exits(0, "");
    }
    let shown = shell
        .run(&operator, &format!("cycle show {CYCLE} --output json"))
        .await
        .json();
    assert_eq!(shown["cycle"]["state"], "completed", "{shown}");
    let unsettled = shell
        .run(&operator, &format!("cycle unsettled {CYCLE} --output json"))
        .await
        .json();
    assert_eq!(unsettled.as_array().map(Vec::len), Some(0), "{unsettled}");
    shell
        .run(agent, &format!("withdraw {B} USD 2000000"))
        .await
        .exits(1, "AM04");
    shell
        .run(agent, &format!("deposit {B} USD 0.001"))
        .await
        .exits(1, "CH20");
    assert_eq!(town.books().await.balance(A, "USD"), "999985.00");
    shell
        .run(&operator, "cycle list --output csv")
        .await
        .exits(0, "");
    shell
        .run(&operator, &format!("suspend {B} --reason test"))
        .await
        .exits(0, "");
    shell
        .run(&operator, &format!("reinstate {B}"))
        .await
        .exits(0, "");
}

fn flip(path: &Path, at: usize) {
    let mut bytes = std::fs::read(path).unwrap();
    bytes[at] ^= 1;
    std::fs::write(path, bytes).unwrap();
}

#[tokio::test]
async fn a_receipt_is_verified_offline() {
    let mut town = Town::funded().await;
    let shell = Shell::of(&town);
    let bank = token(&town, A).to_owned();
    shell.write(
        "f.csv",
        &format!("{HEADER}\n{}\n", line(1, "gross", "10.00", "USD")),
    );
    shell.run(&bank, "send f.csv").await.exits(0, "");
    let uetr = uetr_text(1);
    let fetch = format!("receipt {uetr} --out r.receipt --policy-out policy.txt");
    shell.run(&bank, &fetch).await.exits(1, "NOT_ANCHORED");
    town.set_time(MORNING_MS + 1_000).await;
    shell
        .run(&bank, &format!("{fetch} --wait"))
        .await
        .exits(0, "");
    let batches = shell.run(&bank, "batch list --output json").await.json();
    let newest = &batches.as_array().unwrap()[0];
    assert_eq!(
        (&newest["order"], &newest["optimal"]),
        (&"kept".into(), &true.into())
    );
    shell
        .run(&bank, "batch show 1 --wait --output json")
        .await
        .json();
    shell
        .run(&bank, "batch show 99")
        .await
        .exits(1, "NOT_FOUND");
    let checkpoint = "checkpoint --policy-out again.txt";
    shell.run("", checkpoint).await.exits(0, "");
    assert_eq!(shell.read("again.txt"), shell.read("policy.txt"));
    // Offline: the server is gone.
    town.world.server.kill();
    let verified = shell
        .run("", "verify r.receipt --policy policy.txt --output json")
        .await
        .json();
    assert_eq!(verified["receipt"]["uetr"], uetr.as_str(), "{verified}");
    shell.run("", "verify r.receipt").await.exits(2, "--policy");
    shell
        .run("", "verify none.receipt --policy policy.txt")
        .await
        .exits(2, "none.receipt");
    shell.write("empty.txt", "");
    shell
        .run("", "verify r.receipt --policy empty.txt")
        .await
        .exits(2, "empty.txt");
    flip(&shell.dir.join("r.receipt"), 300);
    shell
        .run("", "verify r.receipt --policy policy.txt")
        .await
        .exits(1, "not verified");
    shell.run(&bank, &format!("get {uetr}")).await.exits(3, "");
    shell.run(&bank, "send f.csv").await.exits(3, "");
}

/// No server, and no clock: the same words print the same dates on any day.
#[tokio::test]
async fn calendars_are_shown_offline() {
    let dir = tempfile::tempdir().unwrap();
    let shell = Shell {
        server: "http://127.0.0.1:1".to_owned(),
        dir: dir.path().to_owned(),
    };
    let sample = shell.run("", "scheme sample").await;
    shell.write("scheme.toml", &sample.stdout());
    for (words, spot) in [
        ("USD/JPY --date 2026-11-20", "2026-11-25"),
        ("EUR/USD --date 2026-11-25", "2026-11-27"),
        ("USD/CAD --date 2026-11-25", "2026-11-27"),
        ("EUR/USD --date 2026-12-22", "2026-12-24"),
        (
            "EUR/USD --date 2026-12-22 --scheme scheme.toml",
            "2026-12-28",
        ),
    ] {
        let words = format!("calendar show {words} --output json");
        let shown = shell.run("", &words).await.json();
        assert_eq!(shown["calendar"]["spot_date"], spot, "{words}");
        let last = shown["chain"].as_array().unwrap().last().unwrap();
        assert_eq!(
            (&last["date"], &last["counts"]),
            (&spot.into(), &true.into())
        );
        assert_eq!(shown["business_days"].as_array().unwrap().len(), 10);
    }
    let year = "calendar show EUR --year 2026 --output json";
    let holidays = shell.run("", year).await.json();
    assert_eq!(holidays.as_array().unwrap().len(), 6);
    assert_eq!(holidays[1]["holiday"], "Good Friday");
    let table = shell
        .run("", "calendar show USD/JPY --date 2026-11-20")
        .await;
    table.exits(0, "");
    assert!(table.stdout().contains("JPY: Labor Thanksgiving Day"));
    for (words, said) in [
        (
            "USD/ILS --date 2030-12-31",
            "calendar of ILS ends with 2030",
        ),
        ("USD --year 2031", "holidays are known for 2020 to 2030"),
        ("usd --date 2026-11-20", "neither a pair"),
        ("USD --date 2026-02-30", "a date is YYYY-MM-DD"),
        ("USD", "--date"),
        ("USD --date 2026-11-20 --scheme none.toml", "none.toml"),
    ] {
        let words = format!("calendar show {words}");
        shell.run("", &words).await.exits(2, said);
    }
}
