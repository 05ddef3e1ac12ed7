//! Quotes: locked once, consumed once, settled in time.

use super::*;
use fx::{Pair, Rounding};
use rust_decimal::Decimal;

pub(super) fn terms(id: &str) -> QuoteTerms {
    QuoteTerms {
        quote_id: short(id),
        taker: bic("A"),
        source_asset: code("USD"),
        target_asset: code("JPY"),
        fixed_side: FixedSide::Source,
        amount: 100_01,
        pair: Pair::parse("USD/JPY").unwrap(),
        rate: Decimal::from_str_exact("125.5").unwrap(),
        rounding: Rounding::HalfEven,
        value_date: MORNING.date(),
        accept_until: Timestamp(MORNING.0 + HOUR_MS),
        settle_by: Timestamp(MORNING.0 + 2 * HOUR_MS),
        quote_request: None,
    }
}

fn lock(world: &mut World, terms: QuoteTerms) -> Result<CommandAnswer, Refusal> {
    world.command(Caller::Participant(bic("B")), Action::LockQuote(terms))
}

fn view(world: &World, id: &str) -> QuoteView {
    let View::Quote(Some(view)) = world
        .state
        .query(&Query::Quote(bic("B"), short(id)), world.now)
    else {
        panic!("no quote {id}");
    };
    *view
}

#[test]
fn a_quote_has_both_amounts_and_its_residual() {
    let mut world = World::new();
    lock(&mut world, terms("Q1")).unwrap();
    let quote = view(&world, "Q1");
    // 100.01 x 125.5 = 12551.255.
    assert_eq!((quote.source_amount, quote.target_amount), (100_01, 12_551));
    assert_eq!(quote.residual.0 * 1000, quote.residual.1 * 255);
    // The other way round: pay 12551 yen's worth of dollars, at JPY per USD.
    let fixed = QuoteTerms {
        fixed_side: FixedSide::Target,
        amount: 12_551,
        ..terms("Q2")
    };
    lock(&mut world, fixed).unwrap();
    assert_eq!(view(&world, "Q2").source_amount, 100_01);
    assert_eq!(view(&world, "Q2").state, QuoteState::Locked);
    world.at(1);
    assert_eq!(view(&world, "Q2").state, QuoteState::Expired);
    world.finish();
}

#[test]
fn refuses_quotes_that_cannot_be() {
    let mut world = World::new();
    lock(&mut world, terms("Q1")).unwrap();
    let with = |change: &dyn Fn(&mut QuoteTerms)| {
        let mut terms = terms("Q2");
        change(&mut terms);
        terms
    };
    for (bad, expected) in [
        (terms("Q1"), "quote_id: came before"),
        (
            with(&|terms| terms.taker = bic("B")),
            "taker: is the provider itself",
        ),
        (
            with(&|terms| terms.taker = bic("XXXXUS33")),
            "taker: no such participant: XXXXUS33",
        ),
        (
            with(&|terms| terms.source_asset = code("XXX")),
            "source_asset: no such asset: XXX",
        ),
        (
            with(&|terms| terms.target_asset = code("GBP")),
            "target_asset: GBP is not enabled",
        ),
        (
            with(&|terms| terms.target_asset = code("USD")),
            "target_asset: is the source asset",
        ),
        (
            with(&|terms| terms.target_asset = code("EUR")),
            "pair: is not of the two assets",
        ),
        (with(&|terms| terms.amount = 0), "amount: is not above zero"),
        (
            with(&|terms| terms.amount = -1),
            "amount: is not above zero",
        ),
        (
            with(&|terms| terms.rate = Decimal::ZERO),
            "rate: the rate is not above zero",
        ),
        (
            with(&|terms| terms.value_date.0 += 1),
            "value_date: is no business day of JPY (weekend)",
        ),
        (
            with(&|terms| terms.value_date.0 -= 1),
            "value_date: is in the past",
        ),
        (
            with(&|terms| terms.accept_until = MORNING),
            "accept_until: is not in the future",
        ),
        (
            with(&|terms| terms.settle_by.0 -= HOUR_MS + 1),
            "settle_by: is before accept_until",
        ),
    ] {
        assert_eq!(lock(&mut world, bad).unwrap_err().to_string(), expected);
    }
    let agent = world.command(Caller::Agent(bic(AGENT)), Action::LockQuote(terms("Q3")));
    assert!(matches!(agent, Err(Refusal::NotPermitted(_))));
    world.finish();
}

#[test]
fn an_instruction_consumes_the_quote_that_it_is() {
    let mut world = World::new();
    lock(&mut world, terms("Q1")).unwrap();
    world.money("deposit A 200.00 USD");
    world.money("deposit B 20000 JPY");
    let good = "A -> B 100.01 USD + B -> C 12551 JPY, quote=Q1";
    for (line, expected) in [
        (
            "A -> B 100.01 USD + B -> C 12551 JPY, quote=Q9",
            "NARR QuoteUnknown",
        ),
        (
            "A -> C 100.01 USD + C -> B 12551 JPY, quote=Q1",
            "NARR QuoteUnknown",
        ),
        (
            "C -> B 100.01 USD + B -> A 12551 JPY, quote=Q1",
            "NARR QuoteUnknown",
        ),
        (
            "A -> B 100.00 USD + B -> C 12551 JPY, quote=Q1",
            "NARR QuoteDiffers",
        ),
        (
            "A -> B 100.01 USD + B -> C 12552 JPY, quote=Q1",
            "NARR QuoteDiffers",
        ),
        (
            "A -> B 100.01 EUR + B -> C 12551 JPY, quote=Q1",
            "NARR QuoteDiffers",
        ),
        ("A -> B 100.01 USD, quote=Q1", "NARR QuoteDiffers"),
        (
            "A -> B 100.01 USD + D -> C 12551 JPY, quote=Q1",
            "NARR QuoteDiffers",
        ),
        (
            "A -> B 100.01 USD + B -> C 12551 JPY + A -> B 1.00 USD, quote=Q1",
            "NARR QuoteDiffers",
        ),
        (
            "A -> B 100.01 USD + B -> C 12551 JPY + C -> B 1.00 USD, quote=Q1, charge",
            "NARR DebtorMustInstruct",
        ),
        // The provider's money moves only by its quote.
        (
            "A -> B 100.01 USD + B -> C 12551 JPY",
            "NARR DebtorMustInstruct",
        ),
    ] {
        assert_eq!(world.send(line), expected, "{line}");
    }
    let charged = "A -> B 100.01 USD + B -> C 12551 JPY + A -> D 1.00 USD, quote=Q1, charge";
    assert_eq!(world.send(charged), "settled 1");
    assert_eq!(view(&world, "Q1").state, QuoteState::Accepted);
    assert_eq!(world.send(good), "NARR QuoteAlreadyUsed");
    lock(&mut world, terms("Q2")).unwrap();
    world.at(1);
    assert_eq!(
        world.send("A -> B 100.01 USD + B -> C 12551 JPY, quote=Q2"),
        "NARR QuoteExpired"
    );
    world.finish();
}

#[test]
fn what_has_not_settled_by_then_is_rejected() {
    let mut world = World::new();
    lock(&mut world, terms("Q1")).unwrap();
    let waits = world
        .submit("A -> B 100.01 USD + B -> C 12551 JPY, quote=Q1")
        .sequence;
    let behind = world.submit("A -> B 1.00 USD").sequence;
    world.money("deposit A 200.00 USD");
    assert_eq!(
        [world.status(waits), world.status(behind)],
        ["liquidity", "order"]
    );
    world.at(2).tick();
    assert_eq!(
        world.status(waits),
        "liquidity",
        "settle_by is the last instant"
    );
    world.now.0 += 1;
    world.money("deposit B 20000 JPY");
    assert_eq!(
        world.status(waits),
        "liquidity",
        "no longer, though it could pay"
    );
    world.tick();
    assert_eq!(world.status(waits), "NARR QuoteExpired");
    assert_eq!(world.status(behind), "settled 2");
    world.finish();
}

#[test]
fn a_cycle_that_completes_too_late_takes_no_quote() {
    let mut world = World::with_cycle();
    let line = "A -> B 100.01 USD + B -> C 12551 JPY, net, quote";
    // It completes at 13:00.
    for (id, hours, expected) in [("Q1", 3, "NARR QuoteExpired"), ("Q2", 4, "member 1")] {
        let settle_by = Timestamp(MORNING.0 + hours * HOUR_MS);
        lock(
            &mut world,
            QuoteTerms {
                settle_by,
                ..terms(id)
            },
        )
        .unwrap();
        assert_eq!(world.send(&format!("{line}={id}")), expected);
    }
    world.finish();
}
