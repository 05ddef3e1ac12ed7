#![allow(clippy::unwrap_used)]
use super::*;
use crate::cli::queue_file::{Sources, read};
use serde_json::{Value, json};

fn told(text: &str, with_suggestions: bool) -> String {
    let sources = Sources {
        queue: text,
        order: Some(Order::Kept),
        ..Sources::default()
    };
    let file = read(&sources).unwrap();
    let problem = with_suggestions.then(|| problem(&file).unwrap());
    serde_json::to_string(&nets(&file, problem.as_ref()).unwrap()).unwrap()
}

/// The worked example: three banks, three currencies, five trades.
fn trades(top: &str) -> String {
    let trade = |id: &str, sides: [(&str, &str, &str, &str); 2]| {
        let leg = |(from, to, asset, amount)| json!({"debtor": from, "creditor": to, "asset": asset, "amount": amount});
        json!({"id": id, "legs": sides.map(leg)})
    };
    let (a, b, c) = ("AAAAUS33", "BBBBDEFF", "CCCCJPJT");
    let queue = [
        trade(
            "T1",
            [(a, b, "USD", "99000000.00"), (b, a, "EUR", "90000000.00")],
        ),
        trade(
            "T2",
            [(b, a, "USD", "88000000.00"), (a, b, "EUR", "80000000.00")],
        ),
        trade(
            "T3",
            [(a, c, "USD", "66000000.00"), (c, a, "JPY", "8250000000")],
        ),
        trade(
            "T4",
            [(a, b, "USD", "11000000.00"), (b, a, "EUR", "10000000.00")],
        ),
        trade(
            "T5",
            [(c, b, "USD", "22000000.00"), (b, c, "EUR", "20000000.00")],
        ),
    ];
    format!(r#"{{{top}"queue":{}}}"#, json!(queue))
}

const RATES: &str = r#""base":"USD","rates":{"EUR/USD":"1.10","USD/JPY":"125"},"#;
const NETS: &str = concat!(
    r#"{"bilateral":[{"of":"AAAAUS33","against":"BBBBDEFF","net":{"USD":"-22000000.00","EUR":"20000000.00"}},"#,
    r#"{"of":"AAAAUS33","against":"CCCCJPJT","net":{"USD":"-66000000.00","JPY":"8250000000"}},"#,
    r#"{"of":"BBBBDEFF","against":"CCCCJPJT","net":{"USD":"22000000.00","EUR":"-20000000.00"}}],"#,
    r#""multilateral":[{"participant":"AAAAUS33","net":{"USD":"-88000000.00","EUR":"20000000.00","JPY":"8250000000"}},"#,
    r#"{"participant":"BBBBDEFF","net":{"USD":"44000000.00","EUR":"-40000000.00"}},"#,
    r#"{"participant":"CCCCJPJT","net":{"USD":"44000000.00","EUR":"20000000.00","JPY":"-8250000000"}}],"#,
    r#""pay_in":[{"participant":"AAAAUS33","asset":"USD","amount":"88000000.00"},"#,
    r#"{"participant":"BBBBDEFF","asset":"EUR","amount":"40000000.00"},"#,
    r#"{"participant":"CCCCJPJT","asset":"JPY","amount":"8250000000"}],"#,
    r#""pay_out":[{"participant":"AAAAUS33","asset":"EUR","amount":"20000000.00"},"#,
    r#"{"participant":"AAAAUS33","asset":"JPY","amount":"8250000000"},"#,
    r#"{"participant":"BBBBDEFF","asset":"USD","amount":"44000000.00"},"#,
    r#"{"participant":"CCCCJPJT","asset":"USD","amount":"44000000.00"},"#,
    r#"{"participant":"CCCCJPJT","asset":"EUR","amount":"20000000.00"}],"#,
    r#""efficiency":{"USD":"9/13","EUR":"4/5","JPY":"0","total":"17/26"}}"#,
);

#[test]
fn the_worked_example() {
    assert_eq!(told(&trades(RATES), false), NETS);
    // Without rates the total is unknown.
    let expected = NETS.replace(r#""17/26""#, "null");
    assert_eq!(told(&trades(""), false), expected);
}

#[test]
fn what_is_held_is_paid_in() {
    let held = r#""accounts":[{"participant":"AAAAUS33","asset":"USD","amount":"100000000.00"}],"#;
    let value: Value = serde_json::from_str(&told(&trades(held), false)).unwrap();
    assert_eq!(value["pay_in"][0]["participant"], "BBBBDEFF");
    let expected = json!({"participant": "AAAAUS33", "asset": "USD", "amount": "12000000.00"});
    assert_eq!(value["pay_out"][0], expected);
}

#[test]
fn suggestions_of_the_worked_example() {
    let value: Value = serde_json::from_str(&told(&trades(RATES), true)).unwrap();
    let expected = json!([
        {"participant": "AAAAUS33", "with": "CCCCJPJT",
         "receives": {"asset": "USD", "amount": "44000000.00"},
         "gives": {"asset": "JPY", "amount": "5500000000"}},
        {"participant": "AAAAUS33", "with": "BBBBDEFF",
         "receives": {"asset": "USD", "amount": "22000000.00"},
         "gives": {"asset": "EUR", "amount": "20000000.00"}},
    ]);
    // What is left is a circle of three, which no two banks can swap away.
    assert_eq!(value["swaps"], expected);
    let first = &value["liquidity"][0];
    assert_eq!(
        (&first["participant"], &first["asset"]),
        (&json!("AAAAUS33"), &json!("USD"))
    );
    assert_eq!(
        first["lowest"],
        json!({"after": "T1", "amount": "-99000000.00"})
    );
    assert_eq!(
        (&first["funding"], &first["closing"]),
        (&json!("99000000.00"), &json!("-88000000.00"))
    );
    let circles = &value["compression"]["circles"];
    let expected =
        json!({"asset": "USD", "participants": ["AAAAUS33", "BBBBDEFF"], "amount": "88000000.00"});
    assert_eq!(circles[0], expected);
    let value: Value = serde_json::from_str(&told(&trades(""), true)).unwrap();
    assert_eq!(value["swaps"], Value::Null);
}
