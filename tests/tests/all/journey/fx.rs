//! Rates of many sources, and a quote from the taker's request to the rounding ledger.

use super::send;
use crate::support::{A, B, C, D, HOUR_MS, Town, failure, quote_request};
use valuta_proto::v1;
use valuta_tests::scheme::{MORNING_MS, TODAY, payment, timestamp};
use valuta_tests::server::valuta;

/// `SOURCE PAIR BID ASK [SIZE]`, of the morning.
fn rate(line: &str) -> v1::Rate {
    let words: Vec<_> = line.split(' ').map(str::to_owned).collect();
    v1::Rate {
        source: words[0].clone(),
        pair: words[1].clone(),
        bid: words[2].clone(),
        ask: words[3].clone(),
        size_max: words.get(4).cloned().unwrap_or_default(),
        time: Some(timestamp(MORNING_MS)),
        is_stale: false,
    }
}

async fn set(town: &Town, lines: &[&str]) -> String {
    let request = v1::SetRatesRequest {
        request_id: town.request_id(),
        created: None,
        rates: lines.iter().map(|line| rate(line)).collect(),
    };
    let answer = town.operator().fx.set_rates(request).await;
    answer.map_or_else(|status| failure(&status), |_| "ok".to_owned())
}

/// `bid source / ask source`
async fn best(town: &Town, pair: &str, size: &str) -> String {
    let request = v1::GetRatesRequest {
        min_sequence: 0,
        pair: pair.to_owned(),
        size: size.to_owned(),
    };
    let answer = town.operator().fx.get_rates(request).await.unwrap();
    let side = |best: Option<&v1::BestRate>| match best {
        Some(best) => format!("{} {}", best.rate, best.sources.join("+")),
        None => "none".to_owned(),
    };
    let best = answer.into_inner().best.remove(0);
    format!("{} / {}", side(best.bid.as_ref()), side(best.ask.as_ref()))
}

#[tokio::test]
async fn sources_keep_their_rates_and_rules_hold_after_a_restart() {
    let mut town = Town::start().await;
    assert_eq!(
        set(&town, &["X EUR/USD 1.10 1.12", "X USD/JPY 150 151"]).await,
        "ok"
    );
    assert_eq!(set(&town, &["Y EUR/USD 1.11 1.13 1000000"]).await, "ok");
    let rules = v1::SetRateRulesRequest {
        request_id: town.request_id(),
        created: None,
        rules: Some(v1::RateRules {
            stale_after_seconds: 3_600,
            deviation_max: "0.05".to_owned(),
            valuation_source: "X".to_owned(),
        }),
    };
    town.operator().fx.set_rate_rules(rules).await.unwrap();
    for _ in 0..2 {
        assert_eq!(best(&town, "EUR/USD", "").await, "1.11 Y / 1.12 X");
        assert_eq!(best(&town, "EUR/USD", "1000001").await, "1.1 X / 1.12 X");
        assert_eq!(best(&town, "EUR/JPY", "").await, "166.5 Y+X / 169.12 X+X");
        let refused = set(&town, &["Z EUR/USD 2 2"]).await;
        assert_eq!(refused, "InvalidArgument FIELD_INVALID rates[0].bid -");
        town.restart().await;
    }
    town.set_time(MORNING_MS + HOUR_MS + 1).await;
    assert_eq!(best(&town, "EUR/USD", "").await, "none / none");
}

fn asked() -> v1::RequestQuoteRequest {
    let like = quote_request("Q", "r");
    v1::RequestQuoteRequest {
        request_id: "ask-1".to_owned(),
        created: None,
        quote_request_id: "R1".to_owned(),
        source_asset: like.source_asset,
        target_asset: like.target_asset,
        fixed_side: like.fixed_side,
        amount: like.amount,
        value_date: TODAY.to_owned(),
        offers_until: Some(timestamp(MORNING_MS + HOUR_MS)),
        providers: vec![B.to_owned(), C.to_owned()],
    }
}

async fn offer(town: &Town, provider: &str, id: &str, rate: &str) -> String {
    let request = v1::LockQuoteRequest {
        rate: rate.to_owned(),
        quote_request_id: "R1".to_owned(),
        ..quote_request(id, &town.request_id())
    };
    let answer = town.client(provider).await.fx.lock_quote(request).await;
    answer.map_or_else(|status| failure(&status), |_| "ok".to_owned())
}

async fn offers(town: &Town, caller: &str) -> String {
    let request = v1::GetQuoteRequestRequest {
        taker: A.to_owned(),
        quote_request_id: "R1".to_owned(),
        min_sequence: 0,
    };
    let answer = town
        .client(caller)
        .await
        .fx
        .get_quote_request(request)
        .await;
    match answer {
        Ok(answer) => {
            let found = answer.into_inner().quote_request.unwrap();
            let ids = found.offers.into_iter().map(|offer| offer.quote_id);
            ids.collect::<Vec<_>>().join(" ")
        }
        Err(status) => failure(&status),
    }
}

#[tokio::test]
async fn a_quote_from_its_request_to_the_rounding_ledger() {
    let town = Town::start().await;
    town.deposit(A, "200.00", "USD").await;
    town.deposit(C, "200.00", "EUR").await;
    town.client(A)
        .await
        .fx
        .request_quote(asked())
        .await
        .unwrap();
    let limit = v1::SetQuoteLimitRequest {
        request_id: town.request_id(),
        created: None,
        provider: C.to_owned(),
        asset: "EUR".to_owned(),
        amount: "150.00".to_owned(),
    };
    town.operator().fx.set_quote_limit(limit).await.unwrap();
    assert_eq!(offer(&town, B, "B1", "1.11").await, "ok");
    // 100.00 x 1.09995 = 109.995: a half, to the even 110.00.
    assert_eq!(offer(&town, C, "C1", "1.09995").await, "ok");
    assert_eq!(
        offer(&town, C, "C2", "1.09").await,
        "FailedPrecondition WRONG_STATE - -"
    );
    assert_eq!(
        offer(&town, D, "D1", "1.09").await,
        "NotFound NOT_FOUND quote_request -"
    );
    for (caller, expected) in [
        (A, "C1 B1"),
        (B, "B1"),
        (C, "C1"),
        (D, "NotFound NOT_FOUND quote_request_id -"),
        ("TREASURY", "C1 B1"),
    ] {
        assert_eq!(offers(&town, caller).await, expected, "{caller}");
    }
    let mut quoted = payment(1, A, C, "110.00", "USD");
    quoted.quote_id = "C1".to_owned();
    quoted.legs.push(v1::Leg {
        debtor: C.to_owned(),
        creditor: D.to_owned(),
        amount: "100.00".to_owned(),
        asset: "EUR".to_owned(),
        kind: 0,
    });
    assert_eq!(send(&town, quoted).await, "ACSC");
    let request = v1::GetRoundingLedgerRequest::default();
    let answer = town.client(C).await.fx.get_rounding_ledger(request).await;
    let lines = answer.unwrap().into_inner().lines;
    let shown = |line: &v1::RoundingLine| {
        let gained = line.gained.clone().unwrap();
        let fraction = format!("{}/{}", gained.numerator, gained.denominator);
        format!(
            "{} {} {} {fraction}",
            line.asset, line.quotes, line.gained_text
        )
    };
    // The provider is paid half a cent more than exactly.
    assert_eq!(
        lines.iter().map(shown).collect::<Vec<_>>(),
        ["USD 1 0.005 1/200"]
    );
    let others = v1::GetRoundingLedgerRequest {
        provider: C.to_owned(),
        ..Default::default()
    };
    let refused = town.client(B).await.fx.get_rounding_ledger(others).await;
    assert_eq!(
        failure(&refused.unwrap_err()),
        "PermissionDenied NOT_PERMITTED - -"
    );
}

/// Runs a command in the town's directory; its standard output, and standard error where it fails.
fn shell(town: &Town, token: &str, words: &str) -> String {
    let output = std::process::Command::new(valuta())
        .args(words.split(' '))
        .current_dir(town.dir.path())
        .env(
            "VALUTA_SERVER",
            format!("http://{}", town.world.server.address),
        )
        .env("VALUTA_TOKEN", token)
        .output()
        .unwrap();
    let text = if output.status.success() {
        output.stdout
    } else {
        output.stderr
    };
    String::from_utf8(text).unwrap()
}

#[tokio::test]
async fn the_banks_files_are_imported_day_by_day() {
    let town = Town::start().await;
    let operator = town.world.server.operator_token().unwrap();
    let file = "Date,USD,JPY,SIT,\n2026-11-19,1.1684,186.75,N/A,\n2026-11-18,1.17,187,N/A,\n";
    std::fs::write(town.dir.path().join("hist.csv"), file).unwrap();
    for (words, expected) in [
        (
            "rates import hist.csv --date 2026-11-17 --output json",
            "nor of any day before it",
        ),
        ("rates import hist.csv --output json", "\"days\": 1"),
        ("rates import hist.csv --all --output json", "\"rates\": 4"),
        (
            "rates show USD/JPY --output json",
            "\"bid\": \"159.833960972\"",
        ),
        (
            "rates show USD/JPY --output json",
            "\"bid_source\": \"ECB EUR ECB\"",
        ),
        ("fx rounding --output json", "[]"),
        ("quote limits --output json", "[]"),
        ("quote requests --output json", "[]"),
        (
            "fx convert 100.00 USD JPY --rates hist.csv --output json",
            "\"residual\":[\"1157\",\"2921\"]",
        ),
    ] {
        let found = shell(&town, &operator, words);
        assert!(found.contains(expected), "{words}: {found}");
    }
}
