#![allow(clippy::unwrap_used)]
use super::*;
use crate::cli::queue_file::Sources;

const STEPS: u64 = 1_000_000;

struct Case {
    file: QueueFile,
    problem: Problem,
    answer: Answer,
}

impl Case {
    fn of(text: &str) -> Self {
        let sources = Sources {
            queue: text,
            ..Sources::default()
        };
        let file = read(&sources).unwrap();
        let problem = problem(&file).unwrap();
        let answer = answer(&file, &problem, STEPS);
        Self {
            file,
            problem,
            answer,
        }
    }

    fn text(&self) -> String {
        serde_json::to_string(&self.answer).unwrap()
    }

    fn check(&self, result: &str) -> Result<Verdict, String> {
        check_result(&self.file, &self.problem, result, STEPS)
    }

    /// One line each: "T2 floor AAAAUS33 USD 1.00, AAAAUS33 USD 1.00" or "T3 order>T2 ..., none".
    fn waiting(&self) -> Vec<String> {
        let waiting = self.answer.waiting.iter().map(|waiting| {
            let behind = waiting
                .behind
                .as_ref()
                .map_or(String::new(), |id| format!(">{id}"));
            let pay_in = waiting
                .smallest_pay_in
                .as_ref()
                .map_or("none".to_owned(), |money| {
                    format!("{} {} {}", money.participant, money.asset, money.amount)
                });
            format!(
                "{} {}{behind} {} {} {}, {pay_in}",
                waiting.id, waiting.test, waiting.participant, waiting.asset, waiting.missing
            )
        });
        waiting.collect()
    }
}

/// A queue of yen; banks count from 1, as do ids. `queue` is (from, to, amount).
fn yen(order: &str, goal: &str, opening: &[i64], queue: &[(u32, u32, i64)]) -> Case {
    let bank = |number: u32| format!("{}US33", "ABCDE"[number as usize - 1..][..1].repeat(4));
    let account = |(number, amount): (u32, &i64)| {
        format!(
            r#"{{"participant":"{}","asset":"JPY","amount":"{amount}"}}"#,
            bank(number)
        )
    };
    let item = |(id, &(from, to, amount)): (u32, &(u32, u32, i64))| {
        format!(
            r#"{{"id":"{id}","legs":[{{"debtor":"{}","creditor":"{}","asset":"JPY","amount":"{amount}"}}]}}"#,
            bank(from),
            bank(to)
        )
    };
    let accounts: Vec<String> = (1..).zip(opening).map(account).collect();
    let queue: Vec<String> = (1..).zip(queue).map(item).collect();
    Case::of(&format!(
        r#"{{"order":"{order}","goal":"{goal}","accounts":[{}],"queue":[{}]}}"#,
        accounts.join(","),
        queue.join(",")
    ))
}

/// Project Ubin phase 2 test report: what settles with order kept, and the best value without.
fn check_published(opening: &[i64], queue: &[(u32, u32, i64)], kept: &str, best: &str) {
    for (order, settled) in [("kept", kept), ("bypassed", best)] {
        let case = yen(order, "value", opening, queue);
        assert_eq!(case.answer.settled.join(" "), settled, "{queue:?}");
        assert!(case.answer.optimal, "{queue:?}");
        assert!(case.check(&case.text()).is_ok(), "{queue:?}");
    }
}

const SCENARIO_4_2: [(u32, u32, i64); 8] = [
    (1, 2, 8),
    (2, 3, 7),
    (3, 1, 9),
    (1, 2, 20),
    (2, 1, 7),
    (1, 2, 40),
    (2, 3, 80),
    (3, 2, 10),
];

#[test]
fn published_scenarios() {
    let queue = [(1, 2, 20), (2, 1, 15), (1, 2, 30), (1, 2, 15), (2, 1, 80)];
    check_published(&[10, 8], &queue, "1 2", "1 2");
    check_published(&[5, 6, 7], &SCENARIO_4_2, "1 2 3 5", "2 3 4 5");
    let queue = [
        (1, 5, 8),
        (5, 4, 9),
        (4, 1, 10),
        (1, 2, 15),
        (2, 3, 6),
        (3, 1, 7),
    ];
    check_published(&[3, 4, 5, 4, 3], &queue, "1 2 3", "1 2 3");
    let queue = [
        (5, 1, 8),
        (5, 4, 9),
        (4, 5, 15),
        (1, 2, 14),
        (2, 3, 15),
        (3, 1, 10),
    ];
    check_published(&[3, 4, 5, 8, 3], &queue, "1 2 3 4 5 6", "1 2 3 4 5 6");
    let queue = [(1, 2, 8), (2, 3, 10), (3, 4, 20), (4, 5, 30), (5, 1, 40)];
    check_published(&[3, 4, 5, 4, 3], &queue, "", "");
}

#[test]
fn what_bypass_drops_says_what_it_lacks() {
    let case = yen("bypassed", "value", &[5, 6, 7], &SCENARIO_4_2);
    let proof = &case.answer.certificate;
    assert_eq!(proof.added, Some(vec!["4".to_owned()]));
    assert_eq!(proof.dropped, Some(vec!["1".to_owned()]));
    // A has 5 + 9 + 7 - 20 = 1 of the 8 that 1 moves.
    assert_eq!(case.waiting()[0], "1 floor AAAAUS33 JPY 7, AAAAUS33 JPY 7");
    let count = yen(
        "bypassed",
        "count",
        &[5, 0],
        &[(1, 2, 5), (1, 2, 1), (1, 2, 1)],
    );
    assert_eq!(count.answer.settled, ["2", "3"]);
    let value = yen(
        "bypassed",
        "value",
        &[5, 0],
        &[(1, 2, 5), (1, 2, 1), (1, 2, 1)],
    );
    assert_eq!(value.answer.settled, ["1"]);
}

#[test]
fn a_budget_of_nothing_adds_back_and_claims_nothing() {
    let case = yen("bypassed", "value", &[5, 6, 7], &SCENARIO_4_2);
    let greedy = answer(&case.file, &case.problem, 0);
    assert_eq!(
        (greedy.settled.join(" ").as_str(), greedy.optimal),
        ("1 2 3 5", false)
    );
    let text = serde_json::to_string(&greedy).unwrap();
    assert_eq!(
        case.check(&text).unwrap().optimality,
        Optimality::NotClaimed
    );
    let claimed = text.replace(r#""optimal":false"#, r#""optimal":true"#);
    assert!(case.check(&claimed).unwrap_err().contains("better set"));
    let result = check_result(&case.file, &case.problem, &case.text(), 3);
    assert!(
        result
            .unwrap_err()
            .contains("not proved again within 3 steps")
    );
}

/// The worked example: three banks, three currencies, five trades. `accounts` are "BANK ASSET AMOUNT".
fn trades(accounts: &[&str], more: &str) -> Case {
    let limit = if more.is_empty() {
        ""
    } else {
        r#","short_limit":null"#
    };
    let account = |text: &&str| {
        let words: Vec<&str> = text.split(' ').collect();
        let (bank, asset, amount) = (words[0], words[1], words[2]);
        format!(r#"{{"participant":"{bank}","asset":"{asset}","amount":"{amount}"{limit}}}"#)
    };
    let accounts: Vec<String> = accounts.iter().map(account).collect();
    Case::of(&format!(
        r#"{{"base":"USD","rates":{{"EUR/USD":"1.10","USD/JPY":"125"}},{more}"accounts":[{}],"queue":[
        {{"id":"T1","legs":[{{"debtor":"AAAAUS33","creditor":"BBBBDEFF","asset":"USD","amount":"99000000.00"}},
                            {{"debtor":"BBBBDEFF","creditor":"AAAAUS33","asset":"EUR","amount":"90000000.00"}}]}},
        {{"id":"T2","legs":[{{"debtor":"BBBBDEFF","creditor":"AAAAUS33","asset":"USD","amount":"88000000.00"}},
                            {{"debtor":"AAAAUS33","creditor":"BBBBDEFF","asset":"EUR","amount":"80000000.00"}}]}},
        {{"id":"T3","legs":[{{"debtor":"AAAAUS33","creditor":"CCCCJPJT","asset":"USD","amount":"66000000.00"}},
                            {{"debtor":"CCCCJPJT","creditor":"AAAAUS33","asset":"JPY","amount":"8250000000"}}]}},
        {{"id":"T4","legs":[{{"debtor":"AAAAUS33","creditor":"BBBBDEFF","asset":"USD","amount":"11000000.00"}},
                            {{"debtor":"BBBBDEFF","creditor":"AAAAUS33","asset":"EUR","amount":"10000000.00"}}]}},
        {{"id":"T5","legs":[{{"debtor":"CCCCJPJT","creditor":"BBBBDEFF","asset":"USD","amount":"22000000.00"}},
                            {{"debtor":"BBBBDEFF","creditor":"CCCCJPJT","asset":"EUR","amount":"20000000.00"}}]}}]}}"#,
        accounts.join(",")
    ))
}

fn check_trades(case: &Case, settled: &str, waiting: &[&str]) {
    assert_eq!(case.answer.settled.join(" "), settled);
    assert_eq!(case.waiting(), waiting);
    assert!(case.check(&case.text()).is_ok());
}

#[test]
fn prefunded_trades() {
    let (a, b) = ("AAAAUS33 USD 88000000.00", "BBBBDEFF EUR 40000000.00");
    let case = trades(&[a, b, "CCCCJPJT JPY 8250000000"], "");
    check_trades(&case, "T1 T2 T3 T4 T5", &[]);
    let closing: Vec<_> = case
        .answer
        .closing
        .iter()
        .map(|m| format!("{} {} {}", m.participant, m.asset, m.amount))
        .collect();
    // Zeros are left out; the rest in the order of the file, then of first touch.
    let expected = [
        "BBBBDEFF USD 44000000.00",
        "AAAAUS33 EUR 20000000.00",
        "CCCCJPJT USD 44000000.00",
        "AAAAUS33 JPY 8250000000",
        "CCCCJPJT EUR 20000000.00",
    ];
    assert_eq!(closing, expected);
    check_trades(
        &trades(&[a, b, "CCCCJPJT JPY 8249999999"], ""),
        "T1 T2",
        &[
            "T3 floor CCCCJPJT JPY 1, CCCCJPJT JPY 1",
            "T4 order>T3 CCCCJPJT JPY 1, CCCCJPJT JPY 1",
            "T5 order>T4 CCCCJPJT JPY 1, CCCCJPJT JPY 1",
        ],
    );
    let one_yen = "CCCCJPJT JPY 8249999999, CCCCJPJT JPY 8249999999";
    check_trades(
        &trades(&[a, b, "CCCCJPJT JPY 1"], ""),
        "T1 T2",
        &[
            &format!("T3 floor {one_yen}"),
            &format!("T4 order>T3 {one_yen}"),
            &format!("T5 order>T4 {one_yen}"),
        ],
    );
}

/// The three tests, each bank's queue its own as a whole.
const THREE_TESTS: &str = r#""haircuts":{"EUR":"0.05","JPY":"0.10"},"participants":[
    {"bic":"AAAAUS33","aggregate_short_limit":"60000000.00","account_value_test":true},
    {"bic":"BBBBDEFF","aggregate_short_limit":"60000000.00","account_value_test":true},
    {"bic":"CCCCJPJT","aggregate_short_limit":"60000000.00","account_value_test":true}],"#;

fn continuous(paid: &str) -> Case {
    let jpy = format!("CCCCJPJT JPY {paid}");
    let accounts = [
        "AAAAUS33 USD 44000000.00",
        "BBBBDEFF EUR 20000000.00",
        &jpy,
        "AAAAUS33 EUR 0",
        "AAAAUS33 JPY 0",
        "BBBBDEFF USD 0",
        "CCCCJPJT USD 0",
        "CCCCJPJT EUR 0",
    ];
    trades(&accounts, THREE_TESTS)
}

#[test]
fn trades_within_three_tests() {
    check_trades(
        &continuous("0"),
        "T1 T2",
        &[
            "T3 aggregate_short CCCCJPJT JPY 6000000.00, CCCCJPJT JPY 750000000",
            "T4 order>T3 CCCCJPJT JPY 6000000.00, CCCCJPJT JPY 750000000",
            "T5 aggregate_short CCCCJPJT JPY 6000000.00, CCCCJPJT JPY 875000000",
        ],
    );
    check_trades(
        &continuous("749999999"),
        "T1 T2",
        &[
            "T3 aggregate_short CCCCJPJT JPY 0.01, CCCCJPJT JPY 1",
            "T4 order>T3 CCCCJPJT JPY 0.01, CCCCJPJT JPY 1",
            "T5 aggregate_short CCCCJPJT JPY 0.01, CCCCJPJT JPY 125000001",
        ],
    );
    // Both tests exactly at the boundary.
    let missing = "T5 account_value CCCCJPJT JPY 1100000.00, CCCCJPJT JPY 125000000";
    check_trades(&continuous("750000000"), "T1 T2 T3 T4", &[missing]);
    // The value is short of 22/25 of a cent: told as a cent, and truncated it would pass.
    let missing = "T5 account_value CCCCJPJT JPY 0.01, CCCCJPJT JPY 1";
    check_trades(&continuous("874999999"), "T1 T2 T3 T4", &[missing]);
    check_trades(&continuous("875000000"), "T1 T2 T3 T4 T5", &[]);
}

/// A pays B 5 and C pays B 1 in a group; D waits behind the group on C's account.
#[test]
fn members_of_a_group_tell_whom_they_wait_for() {
    let leg = |from: &str, to: &str, amount: u32| {
        format!(
            r#"[{{"debtor":"{from}US33","creditor":"{to}US33","asset":"USD","amount":"{amount}"}}]"#
        )
    };
    let case = Case::of(&format!(
        r#"{{"accounts":[{{"participant":"CCCCUS33","asset":"USD","amount":"9"}},
                         {{"participant":"EEEEUS33","asset":"USD","amount":"0","short_limit":"3"}}],
            "bilateral_caps":[{{"from":"CCCCUS33","to":"EEEEUS33","asset":"USD","amount":"2.50"}}],"queue":[
            {{"id":"T1","group":"g","legs":{}}},{{"id":"T2","group":"g","legs":{}}},
            {{"id":"T3","legs":{}}},{{"id":"T4","legs":{}}},{{"id":"T5","legs":{}}}]}}"#,
        leg("AAAA", "BBBB", 5),
        leg("CCCC", "BBBB", 1),
        leg("CCCC", "DDDD", 1),
        leg("EEEE", "DDDD", 4),
        leg("CCCC", "EEEE", 3)
    ));
    assert_eq!(
        case.waiting(),
        [
            "T1 floor AAAAUS33 USD 5.00, AAAAUS33 USD 5.00",
            "T2 group>T1 AAAAUS33 USD 5.00, AAAAUS33 USD 5.00",
            "T3 order>T2 AAAAUS33 USD 5.00, AAAAUS33 USD 5.00",
            "T4 short_limit EEEEUS33 USD 1.00, EEEEUS33 USD 1.00",
            "T5 order>T2 AAAAUS33 USD 5.00, none",
        ]
    );
    assert_eq!(case.answer.certificate.trace[0].unit, ["T1", "T2"]);
    assert!(case.check(&case.text()).is_ok());
    let capped = Case::of(
        r#"{"accounts":[{"participant":"CCCCUS33","asset":"USD","amount":"9"}],
            "bilateral_caps":[{"from":"CCCCUS33","to":"EEEEUS33","asset":"USD","amount":"2.50"}],"queue":[
            {"id":"T1","legs":[{"debtor":"CCCCUS33","creditor":"EEEEUS33","asset":"USD","amount":"3"}]}]}"#,
    );
    assert_eq!(
        capped.waiting(),
        ["T1 bilateral_cap CCCCUS33 USD 0.50, none"]
    );
}

#[test]
fn the_answer_is_one_line_in_the_order_of_the_format() {
    let case = yen("kept", "value", &[1, 0], &[(1, 2, 1), (1, 2, 2), (1, 2, 1)]);
    let hash = &case.answer.certificate.input_hash;
    assert_eq!(
        case.text(),
        format!(
            r#"{{"order":"kept","settled":["1"],"waiting":[{{"id":"2","test":"floor","participant":"AAAAUS33","asset":"JPY","missing":"2","smallest_pay_in":{{"participant":"AAAAUS33","asset":"JPY","amount":"2"}}}},{{"id":"3","test":"floor","participant":"AAAAUS33","asset":"JPY","missing":"3","smallest_pay_in":{{"participant":"AAAAUS33","asset":"JPY","amount":"3"}}}}],"closing":[{{"participant":"BBBBUS33","asset":"JPY","amount":"1"}}],"optimal":true,"certificate":{{"input_hash":"{hash}","trace":[{{"unit":["3"],"step":0,"participant":"AAAAUS33","asset":"JPY","test":"floor"}},{{"unit":["2"],"step":1,"participant":"AAAAUS33","asset":"JPY","test":"floor"}}]}}}}"#
        )
    );
}

/// The pay-in settles the instruction, and one minor unit less does not.
#[test]
fn a_smallest_pay_in_is_smallest() {
    for paid in ["0", "1", "749999999", "750000000", "874999999"] {
        let case = continuous(paid);
        for waiting in &case.answer.waiting {
            let pay_in = waiting.smallest_pay_in.as_ref().unwrap();
            let more: i64 = pay_in.amount.parse().unwrap();
            for (amount, settles) in [(more, true), (more - 1, false)] {
                let paid = (paid.parse::<i64>().unwrap() + amount).to_string();
                let settled = continuous(&paid).answer.settled;
                assert_eq!(
                    settled.contains(&waiting.id),
                    settles,
                    "{paid} {}",
                    waiting.id
                );
            }
        }
    }
}

/// Every bit of a result counts, unless what is read of it is the same.
#[test]
fn the_checker_refuses_every_changed_bit() {
    for case in [
        continuous("0"),
        yen("bypassed", "value", &[5, 6, 7], &SCENARIO_4_2),
    ] {
        let text = case.text();
        assert!(case.check(&text).is_ok());
        for at in 0..text.len() * 8 {
            let mut bytes = text.clone().into_bytes();
            bytes[at / 8] ^= 1 << (at % 8);
            let Ok(changed) = String::from_utf8(bytes) else {
                continue;
            };
            let is_same =
                serde_json::from_str::<Answer>(&changed).is_ok_and(|answer| answer == case.answer);
            assert!(
                is_same || case.check(&changed).is_err(),
                "bit {at}: {changed}"
            );
        }
    }
}

#[test]
fn the_checker_says_what_is_wrong() {
    let case = continuous("0");
    let refused = |change: &dyn Fn(&mut Answer), part: &str| {
        let mut answer = case.answer.clone();
        change(&mut answer);
        let error = case
            .check(&serde_json::to_string(&answer).unwrap())
            .unwrap_err();
        assert!(error.contains(part), "{part}: {error}");
    };
    refused(
        &|answer| answer.settled.swap(0, 1),
        "settled[0] must be \"T1\", not \"T2\"",
    );
    refused(
        &|answer| answer.waiting[0].missing = "1".into(),
        "waiting[0].missing must be",
    );
    refused(&|answer| answer.closing.truncate(1), "closing must be");
    refused(&|answer| answer.optimal = false, "optimal must be true");
    refused(&|answer| answer.certificate.trace.truncate(2), "key");
    refused(&|answer| answer.certificate.trace.swap(0, 1), "removal 0");
    refused(
        &|answer| answer.certificate.trace[0].unit = vec!["T9".into()],
        "no unit",
    );
    refused(
        &|answer| answer.certificate.trace[0].asset = Some("USD".into()),
        "no queue of",
    );
    refused(
        &|answer| answer.certificate.input_hash.replace_range(..1, "x"),
        "input_hash",
    );
    refused(&|answer| answer.order = "bypassed".into(), "order must be");
    let other = continuous("1");
    assert!(
        other
            .check(&case.text())
            .unwrap_err()
            .contains("input_hash")
    );
    assert!(
        case.check("{}")
            .unwrap_err()
            .contains("missing field `order`")
    );
}
