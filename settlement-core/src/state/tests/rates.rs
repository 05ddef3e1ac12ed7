//! Rates of many providers: sets, the best of each side, staleness, the outlier guard, valuation.

use super::*;
use fx::Pair;
use rust_decimal::Decimal;

/// `PROVIDER PAIR BID ASK [SIZE]`, of an age in hours.
fn line(text: &str, age_hours: i64) -> RateLine {
    let words: Vec<_> = text.split(' ').collect();
    let decimal = |text: &str| Decimal::from_str_exact(text).unwrap();
    RateLine {
        pair: Pair::parse(words[1]).unwrap(),
        bid: decimal(words[2]),
        ask: decimal(words[3]),
        time: Timestamp(MORNING.0 - age_hours * HOUR_MS),
        source: words[0].to_owned(),
        size_max: words.get(4).map(|size| decimal(size)),
    }
}

fn set(world: &mut World, lines: &[&str]) -> Result<CommandAnswer, Refusal> {
    let lines = lines.iter().map(|text| line(text, 0)).collect();
    world.operate(Action::SetRates(lines))
}

fn rules(stale_hours: Option<i64>, deviation: Option<&str>, source: Option<&str>) -> Action {
    Action::SetRateRules(RateRules {
        stale_after_ms: stale_hours.map(|hours| hours * HOUR_MS),
        deviation_max: deviation.map(|text| Decimal::from_str_exact(text).unwrap()),
        valuation_source: source.map(str::to_owned),
    })
}

fn ask(world: &World, pair: Option<&str>, size: Option<&str>) -> RateBookView {
    let question = RateQuestion {
        pair: pair.map(|text| Pair::parse(text).unwrap()),
        size: size.map(|text| DecimalText::parse(text.as_bytes()).unwrap()),
    };
    let view = world.state.query(&Query::RateBook(question), world.now);
    let View::RateBook(book) = view else {
        panic!("not a rate book")
    };
    *book
}

/// `bid provider / ask provider`
fn best(world: &World, pair: &str, size: Option<&str>) -> String {
    let side = |best: Option<fx::BestRate>| match best {
        Some(best) => format!("{} {}", best.rate.to_text(12), best.providers.join("+")),
        None => "none".to_owned(),
    };
    let mut book = ask(world, Some(pair), size);
    let best = book.best.remove(0);
    format!("{} / {}", side(best.bid), side(best.ask))
}

#[test]
fn each_provider_has_its_last_set() {
    let mut world = World::new();
    set(&mut world, &["A EUR/USD 1.10 1.12", "A USD/JPY 150 151"]).unwrap();
    set(&mut world, &["B EUR/USD 1.11 1.13 1000000"]).unwrap();
    for (pair, size, expected) in [
        ("EUR/USD", None, "1.11 B / 1.12 A"),
        ("EUR/USD", Some("1000000.01"), "1.1 A / 1.12 A"),
        ("USD/EUR", None, "0.892857142857 A / 0.900900900901 B"),
        ("EUR/JPY", None, "166.5 B+A / 169.12 A+A"),
        ("EUR/GBP", None, "none / none"),
    ] {
        assert_eq!(best(&world, pair, size), expected, "{pair} {size:?}");
    }
    // A's next set has no yen: the pair is gone, B's rate is not.
    set(&mut world, &["A EUR/USD 1.09 1.125"]).unwrap();
    assert_eq!(best(&world, "EUR/USD", None), "1.11 B / 1.125 A");
    assert_eq!(best(&world, "USD/JPY", None), "none / none");
    let lines = ask(&world, None, None).lines;
    let sources: Vec<_> = lines.iter().map(|(line, _)| line.source.as_str()).collect();
    assert_eq!(sources, ["A", "B"], "the latest set first");
    assert_eq!(
        set(&mut world, &["A EUR/USD 1.09 1.125"]).unwrap().changes,
        0
    );
    world.finish();
}

#[test]
fn a_provider_has_one_rate_for_one_thing() {
    let mut world = World::new();
    set(&mut world, &["A EUR/USD 1.1 1.1", "B USD/EUR 0.9 0.9"]).unwrap();
    for (lines, expected) in [
        (
            ["A EUR/USD 1 1", "A EUR/USD 1 1"],
            "rates[1].pair: A has EUR/USD twice for one size",
        ),
        (
            ["A EUR/USD 1 1", "A USD/EUR 1 1 5"],
            "rates[1].pair: A has USD/EUR as its inverse too",
        ),
        (
            ["B EUR/USD 1 1", "A EUR/USD 1 1 0"],
            "rates[1].size_max: is not an amount above zero, of at most 18 digits",
        ),
        (
            ["B EUR/USD 1 1", "A EUR/USD 1 1 -5"],
            "rates[1].size_max: is not an amount above zero, of at most 18 digits",
        ),
    ] {
        assert_eq!(set(&mut world, &lines).unwrap_err().to_string(), expected);
    }
    // Another provider, or another size, is another rate.
    set(&mut world, &["A EUR/USD 1 1 5", "A EUR/USD 1 1"]).unwrap();
    world.finish();
}

#[test]
fn a_stale_rate_is_no_best_rate() {
    let mut world = World::new();
    let lines = vec![
        line("A EUR/USD 1.10 1.12", 3),
        line("B EUR/USD 1.09 1.13", 1),
    ];
    world.operate(Action::SetRates(lines)).unwrap();
    assert_eq!(best(&world, "EUR/USD", None), "1.1 A / 1.12 A");
    world.operate(rules(Some(2), None, None)).unwrap();
    assert_eq!(best(&world, "EUR/USD", None), "1.09 B / 1.13 B");
    let stale: Vec<_> = ask(&world, None, None)
        .lines
        .into_iter()
        .map(|(line, is_stale)| (line.source, is_stale))
        .collect();
    assert_eq!(stale, [("A".to_owned(), true), ("B".to_owned(), false)]);
    world.at(1);
    assert_eq!(
        best(&world, "EUR/USD", None),
        "1.09 B / 1.13 B",
        "exactly 2 hours old"
    );
    world.now.0 += 1;
    assert_eq!(best(&world, "EUR/USD", None), "none / none");
    world.finish();
}

#[test]
fn an_outlier_is_refused_saying_by_how_much() {
    let mut world = World::new();
    set(&mut world, &["A EUR/USD 1.1684 1.1684"]).unwrap();
    world.operate(rules(None, Some("0.05"), None)).unwrap();
    for (text, expected) in [
        (
            "A EUR/USD 1.30 1.30",
            "EUR/USD is 11.2632660048 % (329/2921) above the last accepted, 1.1684",
        ),
        (
            "B EUR/USD 1.0 1.0",
            "EUR/USD is 14.412872304 % (421/2921) below the last accepted, 1.1684",
        ),
        (
            "C USD/EUR 0.93472 0.93472",
            "USD/EUR is 9.2126848 % (719741/7812500) above the last accepted, 0.85587127696",
        ),
    ] {
        let found = set(&mut world, &[text]).unwrap_err().to_string();
        let expected = format!("rates[0].bid: the middle of {expected}; the guard allows 5 %");
        assert_eq!(found, expected);
    }
    // At the limit it passes: 1.1684 x 1.05 = 1.22682.
    set(&mut world, &["A EUR/USD 1.22682 1.22682"]).unwrap();
    // The last accepted one counts, of any provider, though its set is gone.
    set(&mut world, &["A USD/JPY 150 150"]).unwrap();
    set(&mut world, &["B EUR/USD 1.28 1.28"]).unwrap();
    assert!(set(&mut world, &["A EUR/USD 1.1684 1.1684"]).is_err());
    world.operate(rules(None, None, None)).unwrap();
    set(&mut world, &["A EUR/USD 9 9"]).unwrap();
    world.finish();
}

#[test]
fn refuses_rules_that_cannot_be() {
    let mut world = World::new();
    for (action, expected) in [
        (rules(Some(0), None, None), "stale_after: is not above zero"),
        (
            rules(None, Some("0"), None),
            "deviation_max: is not a part of the rate above zero, such as 0.05",
        ),
        (
            rules(None, Some("-0.1"), None),
            "deviation_max: is not a part of the rate above zero, such as 0.05",
        ),
        (
            rules(None, None, Some("")),
            "valuation_source: is not 1 to 35 characters",
        ),
    ] {
        assert_eq!(world.operate(action).unwrap_err().to_string(), expected);
    }
    let refusal = world.command(Caller::Participant(bic("A")), rules(None, None, None));
    assert!(matches!(refusal, Err(Refusal::NotPermitted(_))));
    assert_eq!(world.operate(rules(None, None, None)).unwrap().changes, 0);
    world.finish();
}

#[test]
fn values_are_taken_at_the_last_request_or_at_a_named_source() {
    let mut world = World::new();
    let usd_in = |world: &World| {
        let pair = Pair::parse("EUR/USD").unwrap();
        let rate = world.state.rates.valuation.rate(pair, fx::Price::Mid);
        rate.map(|rate| rate.to_text(12))
    };
    set(&mut world, &["ECB EUR/USD 1.1684 1.1684"]).unwrap();
    set(&mut world, &["A USD/EUR 0.5 0.5 100", "A USD/EUR 0.8 0.8"]).unwrap();
    assert_eq!(
        usd_in(&world).as_deref(),
        Some("2"),
        "the first of its lines"
    );
    world.operate(rules(None, None, Some("ECB"))).unwrap();
    assert_eq!(usd_in(&world).as_deref(), Some("1.1684"));
    world.operate(rules(None, None, Some("nobody"))).unwrap();
    assert_eq!(usd_in(&world), None);
    world.finish();
}

/// What records of before there were providers hold is read, and means what it meant.
#[test]
fn an_old_record_replaces_the_whole_set() {
    let old = line("A EUR/USD 1.1 1.1", 0);
    let bytes = minicbor::to_vec(&old).unwrap();
    assert_eq!(bytes[0], 0x85, "a line without a size has five fields");
    assert_eq!(minicbor::decode::<RateLine>(&bytes).unwrap(), old);
    let sized = line("A EUR/USD 1.1 1.1 5.0", 0);
    let bytes = minicbor::to_vec(&sized).unwrap();
    assert_eq!(minicbor::decode::<RateLine>(&bytes).unwrap(), sized);
    let mut world = World::new();
    set(&mut world, &["B EUR/USD 1.2 1.2"]).unwrap();
    let event = Event::RatesSet(vec![old]);
    world.state.apply(Sequence(99), MORNING, &event);
    assert_eq!(best(&world, "EUR/USD", None), "1.1 A / 1.1 A");
}
