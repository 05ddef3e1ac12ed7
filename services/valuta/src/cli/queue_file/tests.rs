#![allow(clippy::unwrap_used)]
use super::*;
use settlement_core::run::FLOOR_NONE;

fn file(queue: &str) -> Result<QueueFile, String> {
    let sources = Sources {
        queue,
        ..Sources::default()
    };
    read(&sources).map_err(|fault| fault.to_string())
}

/// Everything that a file may say; each line of the tests below changes one place of it.
const GOOD: &str = r#"{
 "base": "USD", "order": "kept", "goal": "value",
 "rates": {"EUR/USD": "1.10",
           "USD/JPY": "125"},
 "haircuts": {"EUR": "0.05"},
 "assets": [{"code": "XYZT", "decimals": 4}],
 "participants": [{"bic": "AAAAUS33", "aggregate_short_limit": "60.00", "account_value_test": true}],
 "accounts": [{"participant": "AAAAUS33", "asset": "USD", "amount": "-1.50", "short_limit": null},
              {"participant": "BBBBDEFF", "asset": "XYZT", "amount": "0.0001", "short_limit": "2"}],
 "bilateral_caps": [{"from": "BBBBDEFF", "to": "AAAAUS33", "asset": "JPY", "amount": "500"}],
 "queue": [
  {"id": "T1", "priority": "high", "group": "g1", "legs": [
   {"debtor": "AAAAUS33", "creditor": "BBBBDEFF", "asset": "USD", "amount": "1.00"}]},
  {"id": "T2", "legs": [
   {"debtor": "BBBBDEFF", "creditor": "AAAAUS33", "asset": "JPY", "amount": "7"}]}
 ]}"#;

#[test]
fn everything_is_numbered_as_it_first_appears() {
    let file = file(GOOD).unwrap();
    let assets: Vec<_> = file
        .assets
        .iter()
        .map(|a| (a.code.to_string(), a.decimals))
        .collect();
    assert_eq!(
        assets,
        [("USD".into(), 2), ("XYZT".into(), 4), ("JPY".into(), 0)]
    );
    let rates: Vec<_> = file
        .assets
        .iter()
        .map(|a| a.rate.map(|r| r.to_string()))
        .collect();
    let rate = |text: &str| Some(text.to_owned());
    assert_eq!(
        rates,
        [rate("1.000000000000"), None, rate("0.008000000000")]
    );
    let accounts: Vec<_> = (0..4)
        .map(|at| (file.names(at), file.accounts[at as usize]))
        .map(|((bic, asset), account)| (bic, asset, account.balance, account.floor))
        .collect();
    let account =
        |bic: &str, asset: &str, balance, floor| (bic.to_owned(), asset.to_owned(), balance, floor);
    let expected = [
        account("AAAAUS33", "USD", -150, FLOOR_NONE),
        account("BBBBDEFF", "XYZT", 1, -20_000),
        account("BBBBDEFF", "JPY", 0, 0),
        account("AAAAUS33", "JPY", 0, 0),
    ];
    assert_eq!(accounts, expected);
    assert_eq!(file.accounts.len(), 5);
    let participant = &file.participants[0];
    assert_eq!(
        (participant.aggregate_short_max, participant.account_value),
        (Some(6_000), true)
    );
    assert_eq!(
        (
            file.caps[0].debtor,
            file.caps[0].creditor,
            file.caps[0].amount
        ),
        (2, 3, 500)
    );
}

#[test]
fn what_is_left_out_is_neutral() {
    let empty = file("{}").unwrap();
    assert_eq!(
        (empty.order, empty.goal, empty.base),
        (Order::Kept, Goal::Value, None)
    );
    let short = file(
        r#"{"accounts":[{"participant":"AAAAUS33","asset":"USD"}],"participants":[{"bic":"AAAAUS33"}],
            "queue":[{"id":"T1","legs":[{"debtor":"AAAAUS33","creditor":"BBBBDEFF","asset":"USD","amount":"1"}]}]}"#,
    );
    let short = short.unwrap();
    assert_eq!((short.accounts[0].balance, short.accounts[0].floor), (0, 0));
    assert_eq!(
        (
            short.participants[0].aggregate_short_max,
            short.participants.len()
        ),
        (None, 2)
    );
}

/// `queue` is "id priority group", one each; `units` are told in queue order.
fn check_units(queue: &[&str], units: &[&[&str]]) {
    let item = |text: &&str| {
        let words: Vec<&str> = text.split(' ').collect();
        let leg = r#"{"debtor":"AAAAUS33","creditor":"BBBBDEFF","asset":"USD","amount":"1"}"#;
        let (id, priority, group) = (words[0], words[1], words[2]);
        format!(r#"{{"id":"{id}","priority":"{priority}","group":{group},"legs":[{leg}]}}"#)
    };
    let items: Vec<String> = queue.iter().map(item).collect();
    let file = file(&format!(r#"{{"queue":[{}]}}"#, items.join(","))).unwrap();
    let told: Vec<Vec<&str>> = file
        .units
        .iter()
        .map(|unit| {
            unit.iter()
                .map(|&at| &file.instructions[at as usize].id[..])
                .collect()
        })
        .collect();
    assert_eq!(told, units, "{queue:?}");
}

#[test]
fn the_queue_is_by_priority_then_place_and_a_group_is_where_its_last_is() {
    check_units(
        &[
            "T1 normal null",
            "T2 urgent null",
            "T3 high null",
            "T4 urgent null",
        ],
        &[&["T2"], &["T4"], &["T3"], &["T1"]],
    );
    let queue = [
        r#"T1 normal "g""#,
        "T2 normal null",
        r#"T3 normal "g""#,
        "T4 normal null",
    ];
    check_units(&queue, &[&["T2"], &["T1", "T3"], &["T4"]]);
    // Of different priorities: the last in queue order, not in the file.
    let queue = [r#"T1 normal "g""#, "T2 normal null", r#"T3 urgent "g""#];
    check_units(&queue, &[&["T3", "T1"], &["T2"]]);
}

/// Where and why a file is refused, when `from` is replaced in the good one.
fn check_fault(from: &str, to: &str, expected: &str) {
    let text = GOOD.replacen(from, to, 1);
    assert_ne!(text, GOOD, "{from}");
    assert_eq!(file(&text).unwrap_err(), expected, "{to}");
}

#[test]
fn a_fault_is_told_with_line_field_and_reason() {
    check_fault("{\n", "[\n", "line 1: must be an object");
    check_fault(
        "\"queue\"",
        "\"queues\"",
        "line 11: unknown field `queues`, expected one of `base`, `rates`, `haircuts`, `order`, `goal`, `assets`, `participants`, `accounts`, `bilateral_caps`, `queue`",
    );
    check_fault("\"T2\", ", "\"T2\" ", "line 14: expected `,` or `}`");
    check_fault(
        "\"1.00\"",
        "1.00",
        "line 13, field queue[0].legs[0].amount: must be text in quotes, not 1.00",
    );
    check_fault(
        "\"1.00\"",
        "\"1.001\"",
        "line 13, field queue[0].legs[0].amount: more decimals than the asset has",
    );
    check_fault(
        "\"1.00\"",
        "\"0.00\"",
        "line 13, field queue[0].legs[0].amount: the amount is zero",
    );
    check_fault(
        "\"1.00\"",
        "\"-1.00\"",
        "line 13, field queue[0].legs[0].amount: the amount is negative",
    );
    check_fault(
        "\"1.00\"",
        "\"1,00\"",
        "line 13, field queue[0].legs[0].amount: not a decimal: byte 1 is not a digit or a point between digits",
    );
    check_fault(
        ", \"amount\": \"1.00\"",
        "",
        "line 13, field queue[0].legs[0].amount: missing",
    );
    check_fault(
        "\"amount\": \"1.00\"",
        "\"amout\": \"1.00\"",
        "line 13, field queue[0].legs[0]: unknown field `amout`, expected one of `debtor`, `creditor`, `asset`, `amount`",
    );
    check_fault(
        "\"id\": \"T2\"",
        "\"id\": \"T1\"",
        "line 14, field queue[1].id: T1 is used already, on line 12",
    );
    check_fault(
        "\"id\": \"T2\"",
        "\"id\": \"T2\", \"id\": \"T3\"",
        "line 14, field queue[1]: duplicate field `id`",
    );
    check_fault(
        "\"high\"",
        "\"soon\"",
        "line 12, field queue[0].priority: \"soon\" is not one of urgent, high, normal",
    );
    check_fault(
        "\"kept\"",
        "\"keep\"",
        "line 2, field order: \"keep\" is not one of kept, bypassed",
    );
    check_fault(
        "\"asset\": \"JPY\", \"amount\": \"7\"",
        "\"asset\": \"JPX\", \"amount\": \"7\"",
        "line 15, field queue[1].legs[0].asset: a currency that is not known, nor a token under assets",
    );
    check_fault(
        "\"creditor\": \"BBBBDEFF\", \"asset\": \"USD\"",
        "\"creditor\": \"AAAAUS33\", \"asset\": \"USD\"",
        "line 13, field queue[0].legs[0].creditor: the same as the debtor",
    );
    check_fault(
        "\"debtor\": \"AAAAUS33\"",
        "\"debtor\": \"Bank A\"",
        "line 13, field queue[0].legs[0].debtor: not a BIC",
    );
    check_fault(
        "\"asset\": \"XYZT\", \"amount\": \"0.0001\", \"short_limit\": \"2\"",
        "\"asset\": \"XYZT\", \"short_limit\": \"-2\"",
        "line 9, field accounts[1].short_limit: below zero",
    );
    check_fault(
        "{\"participant\": \"BBBBDEFF\", \"asset\": \"XYZT\"",
        "{\"participant\": \"AAAAUS33\", \"asset\": \"USD\"",
        "line 9, field accounts[1].asset: the participant has an account in this asset already",
    );
    check_fault(
        "\"decimals\": 4",
        "\"decimals\": 9",
        "line 6, field assets[0].decimals: above 8",
    );
    check_fault(
        "\"XYZT\", \"decimals\": 4",
        "\"JPY\", \"decimals\": 2",
        "line 6, field assets[0].decimals: JPY is a currency with other decimals",
    );
    check_fault(
        "\"0.05\"",
        "\"1\"",
        "line 5, field haircuts.EUR: not from 0 to below 1",
    );
    check_fault(
        "\"EUR\": \"0.05\"",
        "\"USD\": \"0.05\"",
        "line 5, field haircuts.USD: the base currency has no haircut",
    );
    check_fault(
        "\"USD/JPY\"",
        "\"USD/EUR\"",
        "line 4, field rates.USD/EUR: USD/EUR is held as its inverse",
    );
    check_fault(
        "\"USD/JPY\"",
        "\"EUR/USD\"",
        "line 4, field rates.EUR/USD: EUR/USD is there twice",
    );
    check_fault(
        "\"125\"",
        "125.0",
        "line 4, field rates.USD/JPY: must be text in quotes, not 125.0",
    );
    check_fault(
        "\"125\"",
        "\"0\"",
        "line 4, field rates.USD/JPY: the rate is not above zero",
    );
    check_fault(
        "\"USD/JPY\"",
        "\"USD/CHF\"",
        "line 7, field participants[0].aggregate_short_limit: needs a rate of JPY/USD for AAAAUS33",
    );
    check_fault(
        "\"base\": \"USD\", ",
        "",
        "line 7, field participants[0].aggregate_short_limit: needs a base currency",
    );
    check_fault(
        "\"account_value_test\": true",
        "\"account_value_test\": \"yes\"",
        "line 7, field participants[0].account_value_test: invalid type: string \"yes\", expected a boolean",
    );
    check_fault(
        "\"to\": \"AAAAUS33\"",
        "\"to\": \"BBBBDEFF\"",
        "line 10, field bilateral_caps[0].to: the same as from",
    );
}

#[test]
fn the_goal_value_needs_one_currency() {
    let bypassed = |base: &str, second: &str| {
        let leg = |asset: &str| {
            format!(
                r#"[{{"debtor":"AAAAUS33","creditor":"BBBBDEFF","asset":"{asset}","amount":"1"}}]"#
            )
        };
        let queue = format!(
            r#"{{"order":"bypassed",{base}"queue":[{{"id":"T1","legs":{}}},
            {{"id":"T2","legs":{}}}]}}"#,
            leg("EUR"),
            leg(second)
        );
        file(&queue).map(|file| file.weights().len())
    };
    assert_eq!(bypassed("", "EUR"), Ok(2));
    let refused = "line 2, field queue[1].legs[0].asset: the goal value needs a base currency";
    assert_eq!(bypassed("", "JPY"), Err(refused.to_owned()));
    let refused = "line 1, field queue[0].legs[0].asset: the goal value needs a rate of EUR/USD";
    assert_eq!(bypassed(r#""base":"USD","#, "USD"), Err(refused.to_owned()));
    assert_eq!(
        bypassed(r#""base":"USD","rates":{"EUR/USD":"1.1"},"#, "USD"),
        Ok(2)
    );
}

fn sheets(queue: &str, accounts: &str) -> Result<QueueFile, String> {
    let sources = Sources {
        queue,
        accounts: Some(accounts),
        ..Sources::default()
    };
    read(&sources).map_err(|fault| format!("{} {fault}", fault.is_in_accounts))
}

#[test]
fn a_spreadsheet_says_the_same_as_json() {
    let json = file(
        r#"{"accounts":[{"participant":"AAAAUS33","asset":"USD","amount":"1000.50","short_limit":null}],
            "queue":[{"id":"T1","priority":"urgent","legs":[
              {"debtor":"AAAAUS33","creditor":"BBBBDEFF","asset":"USD","amount":"10.00"},
              {"debtor":"BBBBDEFF","creditor":"AAAAUS33","asset":"EUR","amount":"9"}]},
             {"id":"a \"b\"; c","group":"g","legs":[
              {"debtor":"AAAAUS33","creditor":"BBBBDEFF","asset":"USD","amount":"2.5"}]}]}"#,
    );
    let comma = sheets(
        "id,priority,group,debtor,creditor,asset,amount\r\n\
         T1,urgent,,AAAAUS33,BBBBDEFF,USD,10.00\r\n\
         T1,,,BBBBDEFF,AAAAUS33,EUR,9\r\n\
         \"a \"\"b\"\"; c\",,g,AAAAUS33,BBBBDEFF,USD,2.5\r\n",
        "participant,asset,amount,short_limit\nAAAAUS33,USD,1000.50,none\n",
    );
    let semicolon = sheets(
        "\u{feff}amount;id;debtor;creditor;asset;priority;group\n\
         10,00;T1;AAAAUS33;BBBBDEFF;USD;urgent;\n\
         9;T1;BBBBDEFF;AAAAUS33;EUR;;\n\
         2,5;\"a \"\"b\"\"; c\";AAAAUS33;BBBBDEFF;USD;;g\n",
        "\u{feff}participant;asset;amount;short_limit\nAAAAUS33;USD;1000,50;none\n",
    );
    assert_eq!(comma, json);
    assert_eq!(semicolon, json);
}

#[test]
fn a_fault_of_a_spreadsheet_has_line_and_column() {
    let header = "id,debtor,creditor,asset,amount,group\n";
    let row = "T1,AAAAUS33,BBBBDEFF,USD,1.00,\n";
    for (queue, accounts, expected) in [
        (
            format!("{header}{row}T2,AAAAUS33,BBBBDEFF,USD,,\n"),
            "",
            "false line 3, field amount: empty",
        ),
        (
            format!("{header}{row}T2,AAAAUS33,BBBBDEFF\n"),
            "",
            "false line 3: 3 fields, but the header has 6",
        ),
        (
            format!("{header}{row}T2,AAAAUS33,BBBBDEFF,USD,\"1,00\",\n"),
            "",
            "false line 3, field amount: not a decimal: byte 1 is not a digit or a point between digits",
        ),
        (
            format!("{header}{row}T2,AAAAUS33,BBBBDEFF,USD,1,\n{row}"),
            "",
            "false line 4, field id: T1 is used already, on line 2",
        ),
        (
            format!("{header}{row}T1,AAAAUS33,BBBBDEFF,USD,1,g\n"),
            "",
            "false line 3, field group: differs from that of the instruction's first row",
        ),
        (
            "id,debtor,creditor,asset\n".to_owned(),
            "",
            "false line 1, field amount: the column is missing",
        ),
        (
            "id,debtor,debtor\n".to_owned(),
            "",
            "false line 1, field debtor: there are two columns of this name",
        ),
        (
            "id,value\n".to_owned(),
            "",
            "false line 1, field value: unknown column; there are id, debtor, creditor, asset, amount, priority, group",
        ),
        (
            format!("{header}{row}"),
            "participant,asset\nAAAAUS33,USD\nAAAAUS33,USD\n",
            "true line 3, field asset: the participant has an account in this asset already",
        ),
        (
            format!("{header}{row}"),
            "participant;asset;amount\nAAAAUS33;USD;1.000,00\n",
            "true line 2, field amount: not a decimal: byte 5 is not a digit or a point between digits",
        ),
    ] {
        let accounts = if accounts.is_empty() {
            "participant,asset\n"
        } else {
            accounts
        };
        assert_eq!(sheets(&queue, accounts).unwrap_err(), expected, "{queue}");
    }
}
