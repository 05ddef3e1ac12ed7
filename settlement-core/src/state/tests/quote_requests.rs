//! Asking for quotes, the best of the offers, what providers may reserve, and what rounding gave.

use super::quotes::terms;
use super::*;
use fx::Fraction;
use rust_decimal::Decimal;

fn request(id: &str) -> QuoteRequest {
    QuoteRequest {
        id: short(id),
        source_asset: code("USD"),
        target_asset: code("JPY"),
        fixed_side: FixedSide::Source,
        amount: 100_01,
        value_date: MORNING.date(),
        offers_until: Timestamp(MORNING.0 + HOUR_MS),
        providers: Vec::new(),
    }
}

fn ask(world: &mut World, request: QuoteRequest) -> Result<CommandAnswer, Refusal> {
    let taker = Caller::Participant(bic("A"));
    world.command(taker, Action::RequestQuote(request))
}

/// A quote at a rate by a provider.
fn offer(
    world: &mut World,
    provider: &str,
    id: &str,
    rate: &str,
) -> Result<CommandAnswer, Refusal> {
    let terms = QuoteTerms {
        rate: Decimal::from_str_exact(rate).unwrap(),
        quote_request: Some(short("R1")),
        ..terms(id)
    };
    world.command(Caller::Participant(bic(provider)), Action::LockQuote(terms))
}

fn offers(world: &World) -> Vec<String> {
    let query = Query::QuoteRequest(bic("A"), short("R1"));
    let View::QuoteRequest(Some(view)) = world.state.query(&query, world.now) else {
        panic!("no request")
    };
    let offers = view.offers.iter();
    offers
        .map(|offer| offer.terms.quote_id.to_string())
        .collect()
}

#[test]
fn the_best_offer_comes_first() {
    let mut world = World::new();
    ask(&mut world, request("R1")).unwrap();
    offer(&mut world, "B", "B1", "125.5").unwrap();
    offer(&mut world, "C", "C1", "125.7").unwrap();
    offer(&mut world, "D", "D1", "125.7").unwrap();
    offer(&mut world, "B", "B2", "125.6").unwrap();
    assert_eq!(
        offers(&world),
        ["C1", "D1", "B2", "B1"],
        "of equals the first"
    );
    world.money("deposit A 200.00 USD");
    world.money("deposit C 20000 JPY");
    // 100.01 x 125.7 = 12571.257.
    let accepted = "A -> C 100.01 USD + C -> A 12571 JPY, quote=C1";
    assert_eq!(world.send(accepted), "settled 1");
    assert_eq!(offers(&world), ["D1", "B2", "B1", "C1"], "open ones first");
    world.at(1);
    assert_eq!(offers(&world), ["C1", "D1", "B2", "B1"], "none is open");
    world.finish();
}

#[test]
fn of_a_fixed_target_the_cheapest_comes_first() {
    let mut world = World::new();
    let fixed = QuoteRequest {
        fixed_side: FixedSide::Target,
        amount: 12_551,
        ..request("R1")
    };
    ask(&mut world, fixed).unwrap();
    for (provider, id, rate) in [("B", "B1", "125.5"), ("C", "C1", "126"), ("D", "D1", "125")] {
        let terms = QuoteTerms {
            fixed_side: FixedSide::Target,
            amount: 12_551,
            rate: Decimal::from_str_exact(rate).unwrap(),
            quote_request: Some(short("R1")),
            ..terms(id)
        };
        let provider = Caller::Participant(bic(provider));
        world.command(provider, Action::LockQuote(terms)).unwrap();
    }
    assert_eq!(offers(&world), ["C1", "B1", "D1"]);
    world.finish();
}

#[test]
fn refuses_requests_and_answers_that_cannot_be() {
    let mut world = World::new();
    ask(&mut world, request("R1")).unwrap();
    let with = |change: &dyn Fn(&mut QuoteRequest)| {
        let mut request = request("R2");
        change(&mut request);
        request
    };
    for (bad, expected) in [
        (request("R1"), "quote_request: came before"),
        (
            with(&|it| it.source_asset = code("GBP")),
            "source_asset: GBP is not enabled",
        ),
        (
            with(&|it| it.target_asset = code("USD")),
            "target_asset: is the source asset",
        ),
        (with(&|it| it.amount = 0), "amount: is not above zero"),
        (
            with(&|it| it.value_date.0 += 1),
            "value_date: is no business day of JPY (weekend)",
        ),
        (
            with(&|it| it.offers_until = MORNING),
            "offers_until: is not in the future",
        ),
        (
            with(&|it| it.providers = vec![bic("B"), bic("A")]),
            "providers[1]: is the taker itself",
        ),
        (
            with(&|it| it.providers = vec![bic("XXXXUS33")]),
            "providers[0]: no such participant: XXXXUS33",
        ),
    ] {
        assert_eq!(ask(&mut world, bad).unwrap_err().to_string(), expected);
    }
    let answer = |change: &dyn Fn(&mut QuoteTerms)| {
        let mut terms = QuoteTerms {
            quote_request: Some(short("R1")),
            ..terms("Q1")
        };
        change(&mut terms);
        terms
    };
    ask(&mut world, with(&|it| it.providers = vec![bic("C")])).unwrap();
    let unknown = "quote_request: no such request of the taker to the caller";
    let other = "quote_request: asks for something else";
    for (bad, expected) in [
        (answer(&|it| it.quote_request = Some(short("R9"))), unknown),
        (answer(&|it| it.quote_request = Some(short("R2"))), unknown),
        (answer(&|it| it.taker = bic("C")), unknown),
        (answer(&|it| it.amount += 1), other),
        (answer(&|it| it.value_date.0 += 4), other),
    ] {
        let refusal = world.command(Caller::Participant(bic("B")), Action::LockQuote(bad));
        assert_eq!(refusal.unwrap_err().to_string(), expected);
    }
    world.at(1);
    let late = answer(&|it| it.accept_until.0 += HOUR_MS);
    let refusal = world.command(Caller::Participant(bic("B")), Action::LockQuote(late));
    let expected = "quote_request: R1 takes no offer any more";
    assert_eq!(refusal.unwrap_err().to_string(), expected);
    world.finish();
}

#[test]
fn providers_see_what_they_are_asked() {
    let mut world = World::new();
    ask(&mut world, request("R1")).unwrap();
    let to_c = QuoteRequest {
        providers: vec![bic("C")],
        ..request("R2")
    };
    ask(&mut world, to_c).unwrap();
    // Page by page, one request each: as from one page.
    let seen = |world: &World, of: Option<&str>| {
        let page = |after, limit| {
            let query = Query::OpenQuoteRequests(QuoteRequestQuestion {
                provider: of.map(bic),
                after,
                limit,
            });
            let View::QuoteRequests(requests) = world.state.query(&query, world.now) else {
                panic!("no requests")
            };
            let place = |it: &QuoteRequestView| (it.taker, it.request.id);
            requests.iter().map(place).collect::<Vec<_>>()
        };
        let all = page(None, 99);
        let mut paged = Vec::new();
        while let [next] = page(paged.last().copied(), 1)[..] {
            paged.push(next);
        }
        assert_eq!(paged, all);
        let ids: Vec<_> = all.iter().map(|(_, id)| id.to_string()).collect();
        ids.join(" ")
    };
    for (of, expected) in [
        (None, "R1 R2"),
        (Some("A"), ""),
        (Some("B"), "R1"),
        (Some("C"), "R1 R2"),
    ] {
        assert_eq!(seen(&world, of), expected, "{of:?}");
    }
    world.at(1);
    assert_eq!(seen(&world, None), "");
    world.finish();
}

fn limit(world: &mut World, amount: Option<i64>) -> Result<CommandAnswer, Refusal> {
    world.operate(Action::SetQuoteLimit(QuoteLimitLine {
        provider: bic("B"),
        asset: code("JPY"),
        amount,
    }))
}

fn reserved(world: &World) -> i128 {
    let query = Query::QuoteLimits(Some(bic("B")));
    let View::QuoteLimits(limits) = world.state.query(&query, world.now) else {
        panic!("no limits")
    };
    limits[0].reserved
}

fn lock(world: &mut World, id: &str) -> Result<CommandAnswer, Refusal> {
    world.command(Caller::Participant(bic("B")), Action::LockQuote(terms(id)))
}

#[test]
fn a_limit_is_reserved_at_lock_and_released_in_the_end() {
    let mut world = World::new();
    limit(&mut world, Some(30_000)).unwrap();
    lock(&mut world, "Q1").unwrap();
    lock(&mut world, "Q2").unwrap();
    assert_eq!(reserved(&world), 25_102);
    assert_eq!(
        lock(&mut world, "Q3").unwrap_err().to_string(),
        "the quote would reserve 12551 JPY; 25102 of the provider's limit of 30000 are reserved"
    );
    // Accepted and waiting, it still reserves.
    let line = "A -> B 100.01 USD + B -> A 12551 JPY, quote=Q1";
    let first = world.submit(line);
    assert_eq!(reserved(&world), 25_102);
    // Q2 expires at the hour.
    world.at(1);
    assert_eq!(reserved(&world), 12_551);
    let cancel = Action::Cancel {
        uetr: first.identity.uetr,
        kind: first.identity.kind,
    };
    world
        .command(Caller::Participant(bic("A")), cancel)
        .unwrap();
    assert_eq!(reserved(&world), 0);
    world.finish();
}

#[test]
fn settlement_and_rejection_release_a_limit() {
    let mut world = World::new();
    limit(&mut world, Some(25_102)).unwrap();
    world.money("deposit A 150.00 USD");
    world.money("deposit B 13000 JPY");
    lock(&mut world, "Q1").unwrap();
    lock(&mut world, "Q2").unwrap();
    assert_eq!(
        world.send("A -> B 100.01 USD + B -> A 12551 JPY, quote=Q1"),
        "settled 1"
    );
    assert_eq!(reserved(&world), 12_551);
    let waits = world.submit("A -> B 100.01 USD + B -> A 12551 JPY, quote=Q2");
    // The provider fails after acceptance: held, and rejected once its time is over.
    world
        .operate(Action::SetParticipantState {
            bic: bic("B"),
            state: ParticipantState::Suspended,
            reason: String::new(),
        })
        .unwrap();
    assert_eq!(world.status(waits.sequence), "held");
    let of_quote = |world: &World| {
        let query = Query::Quote(bic("B"), short("Q2"));
        let View::Quote(Some(view)) = world.state.query(&query, world.now) else {
            panic!("no quote")
        };
        (view.state, view.instruction.unwrap().status)
    };
    let held = Status::Waiting(Waiting::Held);
    assert_eq!(of_quote(&world), (QuoteState::Accepted, held));
    assert_eq!(reserved(&world), 12_551);
    assert!(
        lock(&mut world, "Q3")
            .unwrap_err()
            .to_string()
            .contains("is suspended")
    );
    world.at(2).tick();
    assert_eq!(
        world.status(waits.sequence),
        "held",
        "settle_by is the last instant"
    );
    world.now.0 += 1;
    world.tick();
    assert_eq!(world.status(waits.sequence), "NARR QuoteExpired");
    assert!(matches!(of_quote(&world).1, Status::Rejected(_)));
    assert_eq!(reserved(&world), 0);
    world.finish();
}

#[test]
fn a_limit_is_set_lifted_and_checked() {
    let mut world = World::new();
    lock(&mut world, "Q1").unwrap();
    limit(&mut world, Some(0)).unwrap();
    assert_eq!(
        reserved(&world),
        12_551,
        "what was locked before it is honoured"
    );
    assert!(lock(&mut world, "Q2").is_err());
    assert_eq!(limit(&mut world, Some(0)).unwrap().changes, 0);
    limit(&mut world, None).unwrap();
    lock(&mut world, "Q2").unwrap();
    assert_eq!(
        limit(&mut world, Some(-1)).unwrap_err().to_string(),
        "amount: is below zero"
    );
    let line = |provider: &str, asset: &str| QuoteLimitLine {
        provider: bic(provider),
        asset: code(asset),
        amount: Some(1),
    };
    for (line, expected) in [
        (line("XXXXUS33", "USD"), "provider: no such participant"),
        (line("E", "JPY"), "asset: the provider has no account in it"),
    ] {
        let refusal = world.operate(Action::SetQuoteLimit(line)).unwrap_err();
        assert_eq!(refusal.to_string(), expected);
    }
    world.finish();
}

fn ledger(world: &World, question: RoundingQuestion) -> Vec<RoundingLine> {
    let query = Query::RoundingLedger(question);
    let View::RoundingLedger(lines) = world.state.query(&query, world.now) else {
        panic!("no ledger")
    };
    lines
}

#[test]
fn the_rounding_ledger_is_exact() {
    let mut world = World::new();
    world.money("deposit A 1000.00 USD");
    world.money("deposit B 100000 JPY");
    // 100.01 x 125.5 = 12551.255: the provider pays 0.255 less than exactly.
    lock(&mut world, "Q1").unwrap();
    // 12552 / 125.5 = 100.0159...: 100.02, so the provider gets more than exactly.
    let fixed = QuoteTerms {
        fixed_side: FixedSide::Target,
        amount: 12_552,
        ..terms("Q2")
    };
    world
        .command(Caller::Participant(bic("B")), Action::LockQuote(fixed))
        .unwrap();
    lock(&mut world, "Q3").unwrap();
    lock(&mut world, "Q4").unwrap();
    assert!(
        ledger(&world, RoundingQuestion::default()).is_empty(),
        "nothing has settled"
    );
    for line in [
        "A -> B 100.01 USD + B -> A 12551 JPY, quote=Q1",
        "A -> B 100.02 USD + B -> A 12552 JPY, quote=Q2",
        "A -> B 100.01 USD + B -> A 12551 JPY, quote=Q3",
    ] {
        assert!(world.send(line).starts_with("settled"));
    }
    let shown = |lines: Vec<RoundingLine>| {
        let line = |line: &RoundingLine| {
            let gained = line.gained.as_ref().map(Fraction::to_string);
            format!("{} {} {}", line.asset.code, line.quotes, gained.unwrap())
        };
        lines.iter().map(line).collect::<Vec<_>>().join(", ")
    };
    // 2 x 0.255 yen; 100.02 - 12552/125.5 = 0.0040637... dollars.
    let all = ledger(&world, RoundingQuestion::default());
    assert_eq!(shown(all), "JPY 2 51/100, USD 1 51/12550");
    for (provider, date, expected) in [
        ("B", MORNING.date(), "JPY 2 51/100, USD 1 51/12550"),
        ("C", MORNING.date(), ""),
        ("B", date("2026-11-23"), ""),
    ] {
        let question = RoundingQuestion {
            provider: Some(bic(provider)),
            date: Some(date),
        };
        assert_eq!(
            shown(ledger(&world, question)),
            expected,
            "{provider} {date}"
        );
    }
    world.finish();
}

/// Sixty rates whose mantissas are primes: their common denominator has thousands of bits.
#[test]
fn a_sum_that_does_not_fit_is_left_out_and_its_parts_are_not() {
    let mut world = World::new();
    world.money("deposit A 100000.00 USD");
    world.money("deposit B 10000000 JPY");
    let is_prime = |number: &u64| (2..100).all(|divisor| !number.is_multiple_of(divisor));
    for (at, prime) in (1_250_001..).filter(is_prime).take(30).enumerate() {
        let id = format!("Q{at}");
        let fixed = QuoteTerms {
            fixed_side: FixedSide::Target,
            amount: 12_552,
            rate: Decimal::new(prime as i64, 4),
            ..terms(&id)
        };
        world
            .command(Caller::Participant(bic("B")), Action::LockQuote(fixed))
            .unwrap();
        let query = Query::Quote(bic("B"), short(&id));
        let View::Quote(Some(quote)) = world.state.query(&query, world.now) else {
            panic!("no quote")
        };
        let (cents, id) = (quote.source_amount, id);
        let line = format!(
            "A -> B {}.{:02} USD + B -> A 12552 JPY, quote={id}",
            cents / 100,
            cents % 100
        );
        assert!(world.send(&line).starts_with("settled"), "{line}");
    }
    let lines = ledger(&world, RoundingQuestion::default());
    assert_eq!(
        (lines.len(), lines[0].quotes, lines[0].gained),
        (1, 30, None)
    );
    assert!(lines[0].parts.len() > 20);
    world.finish();
}
