//! Commands: roles, request ids, the scheme, tokens, rates, movements, time.

use super::*;
use fx::Pair;
use rust_decimal::Decimal;

fn refused(answer: Result<CommandAnswer, Refusal>) -> String {
    answer.unwrap_err().to_string()
}

#[test]
fn a_request_id_is_taken_once() {
    let mut world = World::new();
    let deposit = |amount| {
        Action::Move(Movement {
            kind: MovementKind::Deposit,
            participant: bic("A"),
            asset: Some(code("USD")),
            mantissa: Some(amount),
            scale: 2,
            negative: false,
            cycle: None,
        })
    };
    let agent = Caller::Agent(bic(AGENT));
    let first = world.request(agent, "X", deposit(100)).unwrap();
    assert_eq!((first.changes, first.repeated), (1, false));
    world.at(1);
    let again = world.request(agent, "X", deposit(100)).unwrap();
    assert_eq!(
        (again.sequence, again.changes, again.repeated),
        (first.sequence, 1, true)
    );
    let other = refused(world.request(agent, "X", deposit(101)));
    assert_eq!(other, "DU05: request_id X came before with other content");
    // Ids are per caller.
    assert!(
        !world
            .request(Caller::Operator, "X", open_action(cycle(1)))
            .unwrap()
            .repeated
    );
    // What was refused may be sent again under its id.
    let zero = refused(world.request(agent, "Y", deposit(0)));
    assert_eq!(zero, "AM01 AmountMustNotBeZero { leg: 0 }");
    assert!(!world.request(agent, "Y", deposit(5)).unwrap().repeated);
    assert_eq!(world.balance("A", "USD"), (105, 0));
    world.finish();
}

#[test]
fn only_who_may_does() {
    let mut world = World::with_cycle();
    let movement = |kind, cycle| Movement {
        kind,
        participant: bic("A"),
        asset: Some(code("USD")),
        mantissa: Some(1),
        scale: 0,
        negative: false,
        cycle,
    };
    let transfer = Action::Move(movement(MovementKind::Transfer, Some(cycle(1))));
    let deposit = Action::Move(movement(MovementKind::Deposit, None));
    let acknowledge = Action::Acknowledge(Position::default());
    let (a, b) = (Caller::Participant(bic("A")), Caller::Participant(bic("B")));
    for (caller, action) in [
        (a, open_action(cycle(2))),
        (Caller::Treasury, open_action(cycle(2))),
        (Caller::Auditor, open_action(cycle(2))),
        (Caller::Agent(bic(AGENT)), Action::SetTime(MORNING)),
        (Caller::Operator, deposit.clone()),
        (a, deposit.clone()),
        (Caller::Agent(bic("A")), deposit),
        (b, transfer.clone()),
        (Caller::Agent(bic(AGENT)), transfer),
        (Caller::Operator, acknowledge.clone()),
        (
            Caller::Operator,
            Action::Cancel {
                uetr: uetr(1),
                kind: Kind::Payment,
            },
        ),
    ] {
        let answer = world.command(caller, action.clone());
        assert!(
            matches!(answer, Err(Refusal::NotPermitted(_))),
            "{caller:?} {action:?}"
        );
    }
    world.command(a, acknowledge).unwrap();
    world.finish();
}

#[test]
fn created_must_be_near() {
    let mut world = World::new();
    for (offset, expected) in [
        (300_000, ""),
        (300_001, "DT02: created is more than 5 minutes ahead"),
        (-34_560_000_000, ""),
        (-34_560_000_001, "DT02: created is more than 400 days ago"),
    ] {
        let command = Command {
            caller: Caller::Operator,
            request_id: short(&format!("T{offset}").replace('-', "m")),
            created: Timestamp(MORNING.0 + offset),
            digest: Digest([0; 16]),
            action: Action::SetTime(MORNING),
        };
        let mut events = Vec::new();
        let sequence = Sequence(world.next);
        let answer = world
            .state
            .execute_command(&command, sequence, MORNING, &mut events);
        world.take(events);
        assert_eq!(
            answer
                .err()
                .map_or(String::new(), |refusal| refusal.to_string()),
            expected
        );
    }
    world.finish();
}

#[test]
fn a_scheme_is_applied_once_and_then_by_its_differences() {
    let mut world = World::new();
    assert_eq!(
        world
            .operate(Action::ApplyScheme(scheme()))
            .unwrap()
            .changes,
        0
    );
    let mut changed = scheme();
    changed.participants[0].name = "Another".to_owned();
    changed.participants[1].state = ParticipantState::Suspended;
    changed.assets[4].enabled = true;
    changed.accounts[0].state = AccountState::Blocked;
    changed.limits = vec![LimitLine {
        participant: bic("A"),
        asset: code("USD"),
        counterparty: None,
        amount: Some(5),
    }];
    // A participant's state is taken at registration only.
    assert_eq!(
        world
            .operate(Action::ApplyScheme(changed.clone()))
            .unwrap()
            .changes,
        4
    );
    assert_eq!(
        world.operate(Action::ApplyScheme(changed)).unwrap().changes,
        0
    );
    let View::Scheme(view) = world.state.query(&Query::Scheme, MORNING) else {
        panic!("scheme");
    };
    assert_eq!(view.participants[1].state, ParticipantState::Active);
    assert_eq!((view.limits.len(), view.accounts.len()), (1, 21));
    world.finish();
}

#[test]
fn refuses_schemes_that_cannot_be() {
    let change = |change: &dyn Fn(&mut Scheme)| {
        let mut scheme = scheme();
        change(&mut scheme);
        Action::ApplyScheme(scheme)
    };
    let limit = |counterparty, amount| LimitLine {
        participant: bic("A"),
        asset: code("USD"),
        counterparty,
        amount: Some(amount),
    };
    for (bad, expected) in [
        (
            change(&|scheme| scheme.name = short("other")),
            "scheme.name: is fixed: test",
        ),
        (
            change(&|scheme| scheme.base_asset = code("EUR")),
            "scheme.base_asset: is fixed: USD",
        ),
        (
            change(&|scheme| scheme.assets[0].decimals = 3),
            "scheme.assets[0].decimals: is fixed at registration",
        ),
        (
            change(&|scheme| scheme.assets[0].decimals = 9),
            "scheme.assets[0].decimals: is above 8",
        ),
        (
            change(&|scheme| scheme.assets[1].agent = bic("A")),
            "scheme.assets[1].agent: is fixed at registration",
        ),
        (
            change(&|scheme| scheme.assets[1] = scheme.assets[0]),
            "scheme.assets[1]: comes twice",
        ),
        (
            change(&|scheme| scheme.participants[2].name.clear()),
            "scheme.participants[2].name: is not of 1 to 70 characters",
        ),
        (
            change(&|scheme| scheme.participants[2].name = "x".repeat(71)),
            "scheme.participants[2].name: is not of 1 to 70 characters",
        ),
        (
            change(&|scheme| scheme.accounts[0].participant = bic("XXXXUS33")),
            "scheme.accounts[0].participant: no such participant",
        ),
        (
            change(&|scheme| scheme.accounts[0].asset = code("XXX")),
            "scheme.accounts[0].asset: no such asset",
        ),
        (
            change(&|scheme| scheme.limits = vec![limit(None, -1)]),
            "scheme.limits[0].amount: is below zero",
        ),
        (
            change(&|scheme| scheme.limits = vec![limit(Some(bic("A")), 1)]),
            "scheme.limits[0].counterparty: is the participant itself",
        ),
        (
            change(&|scheme| scheme.limits = vec![limit(None, 1), limit(None, 2)]),
            "scheme.limits[1]: comes twice",
        ),
        (
            change(&|scheme| scheme.cut_offs.as_mut().unwrap().zone = "Mars".to_owned()),
            "scheme.cut_offs.zone: is no IANA time zone",
        ),
        (
            change(&|scheme| scheme.cut_offs.as_mut().unwrap().pay_in_minutes = 1),
            "scheme.cut_offs: are not in order: close, pay-in, completion",
        ),
        (
            change(&|scheme| scheme.cut_offs.as_mut().unwrap().completion_minutes = 1440),
            "scheme.cut_offs.completion: is not below 1440",
        ),
    ] {
        assert_eq!(refused(World::new().operate(bad)), expected);
    }
    let mut nameless = scheme();
    nameless.base_asset = code("XXX");
    let answer = World::empty().operate(Action::ApplyScheme(nameless));
    assert_eq!(
        refused(answer),
        "scheme.base_asset: is not among the assets"
    );
}

#[test]
fn an_account_closes_only_when_nothing_is_left() {
    let mut world = World::new();
    let close = || {
        let (participant, asset) = (bic("A"), code("USD"));
        Action::SetAccountState(AccountLine {
            participant,
            asset,
            state: AccountState::Closed,
        })
    };
    world.money("deposit A 1.00 USD");
    assert!(matches!(
        world.operate(close()),
        Err(Refusal::WrongState(_))
    ));
    world.send("A -> B 1.00 USD");
    world.send("B -> A 5.00 USD");
    assert!(matches!(
        world.operate(close()),
        Err(Refusal::WrongState(_))
    ));
    world.at(15).tick();
    assert_eq!(world.operate(close()).unwrap().changes, 1);
    world.finish();
}

#[test]
fn tokens_stand_for_callers() {
    let mut world = World::new();
    let token = |label: &str, hash, caller| {
        Action::CreateToken(Token {
            label: short(label),
            hash: [hash; 32],
            caller,
        })
    };
    let a = Caller::Participant(bic("A"));
    assert_eq!(world.operate(token("one", 1, a)).unwrap().changes, 1);
    assert_eq!(world.operate(token("one", 1, a)).unwrap().changes, 0);
    for (bad, expected) in [
        (token("one", 2, a), "label: stands for another token"),
        (token("two", 1, a), "hash: is that of another token"),
        (
            token("two", 2, Caller::Participant(bic("XXXXUS33"))),
            "bic: is no participant, or no asset's agent",
        ),
        (
            token("two", 2, Caller::Agent(bic("A"))),
            "bic: is no participant, or no asset's agent",
        ),
    ] {
        assert_eq!(refused(world.operate(bad)), expected);
    }
    world
        .operate(token("two", 2, Caller::Agent(bic(AGENT))))
        .unwrap();
    assert_eq!(world.state.token(&[1; 32]), Some(a));
    assert_eq!(
        (world.state.tokens().count(), world.state.tokens_version()),
        (2, 2)
    );
    world
        .operate(Action::RevokeToken {
            label: short("one"),
        })
        .unwrap();
    assert_eq!(world.state.token(&[1; 32]), None);
    assert_eq!(world.state.tokens_version(), 3);
    assert_eq!(
        refused(world.operate(Action::RevokeToken {
            label: short("one")
        })),
        "label: no such token"
    );
    world.finish();
}

#[test]
fn rates_replace_the_set() {
    let mut world = World::new();
    let line = |pair: &str, bid: &str, ask: &str| RateLine {
        pair: Pair::parse(pair).unwrap(),
        bid: Decimal::from_str_exact(bid).unwrap(),
        ask: Decimal::from_str_exact(ask).unwrap(),
        time: MORNING,
        source: "ECB".to_owned(),
        size_max: None,
    };
    let good = vec![
        line("EUR/USD", "1.1", "1.1"),
        line("EUR/JPY", "137.5", "137.5"),
    ];
    assert_eq!(
        world
            .operate(Action::SetRates(good.clone()))
            .unwrap()
            .changes,
        1
    );
    assert_eq!(
        world
            .operate(Action::SetRates(good.clone()))
            .unwrap()
            .changes,
        0
    );
    for bad in [
        vec![line("EUR/USD", "1.2", "1.1")],
        vec![line("EUR/USD", "0", "1.1")],
        vec![line("EUR/XXX", "1", "1")],
        vec![line("EUR/USD", "1", "1"), line("EUR/USD", "1", "1")],
        vec![line("EUR/USD", "1", "1"), line("USD/EUR", "1", "1")],
        vec![RateLine {
            source: "x".repeat(36),
            ..line("EUR/USD", "1", "1")
        }],
    ] {
        let last = bad.len() - 1;
        let refusal = refused(world.operate(Action::SetRates(bad)));
        assert!(refusal.starts_with(&format!("rates[{last}].")), "{refusal}");
    }
    let question = Query::RateBook(RateQuestion::default());
    let View::RateBook(book) = world.state.query(&question, MORNING) else {
        panic!("not a rate book")
    };
    let held: Vec<_> = book.lines.into_iter().map(|(line, _)| line).collect();
    assert_eq!(held, good);
    world.finish();
}

#[test]
fn movements_are_refused_in_order() {
    let mut world = World::with_cycle();
    world.suspend("D");
    for (line, expected) in [
        ("deposit A 1.00 XXX", "AM11 AssetUnknown { leg: 0 }"),
        ("deposit A 1.00 GBP", "AM03 AssetNotEnabled { leg: 0 }"),
        (
            "deposit A 0.001 USD",
            "CH20 AmountHasTooManyDecimals { leg: 0 }",
        ),
        ("deposit A -1 USD", "AM12 AmountInvalid { leg: 0 }"),
        ("deposit A x USD", "AM12 AmountInvalid { leg: 0 }"),
        ("deposit A 0 USD", "AM01 AmountMustNotBeZero { leg: 0 }"),
        ("deposit XXXXUS33 1 USD", "CNOR CreditorUnknown { leg: 0 }"),
        ("withdraw XXXXUS33 1 USD", "DNOR DebtorUnknown { leg: 0 }"),
        ("deposit E 1 EUR", "AC03 CreditorAccountUnknown { leg: 0 }"),
        ("withdraw E 1 EUR", "AC02 DebtorAccountUnknown { leg: 0 }"),
        ("deposit D 5 USD", "done"),
        ("withdraw D 1 USD", "AG10 DebtorSuspended { leg: 0 }"),
        ("deposit A 5.00 USD", "done"),
        ("withdraw A 5.01 USD", "AM04 BalanceInsufficient"),
        ("withdraw A 5.00 USD", "done"),
        ("pay-in A 5.00 USD 2", "NARR CycleNotTaking"),
        ("pay-in A 5.00 USD 1", "done"),
        ("withdraw A 0.01 USD", "AM04 BalanceInsufficient"),
        ("transfer A 0.01 USD 1", "AM04 BalanceInsufficient"),
        ("pay-out A 1.00 USD 1", "NARR CycleNotTaking"),
        ("deposit A 3.00 USD", "done"),
        ("transfer A 2.00 USD 1", "done"),
        ("pay-in A 1.00 USD", "cycle: is missing"),
        ("deposit A 1.00 USD 1", "cycle: is not for this movement"),
    ] {
        assert_eq!(world.money(line), expected, "{line}");
    }
    assert_eq!(world.balance("A", "USD"), (1_00, 7_00));
    let View::ControlTotals(totals) = world.state.query(&Query::ControlTotals, MORNING) else {
        panic!("totals");
    };
    let dollars = &totals[0];
    assert_eq!((dollars.total_in, dollars.total_out), (18_00, 5_00));
    assert_eq!((dollars.closing, dollars.mirror), (13_00, -13_00));
    world.tick();
    world.finish();
}

#[test]
fn a_rehearsals_time_goes_forward_only() {
    let mut world = World::new();
    let set = |offset| Action::SetTime(Timestamp(MORNING.0 + offset));
    assert_eq!(world.operate(set(10)).unwrap().changes, 1);
    assert_eq!(world.operate(set(10)).unwrap().changes, 0);
    assert_eq!(refused(world.operate(set(9))), "time: goes back");
    assert_eq!(
        world.state.rehearsal_time(),
        Some(Timestamp(MORNING.0 + 10))
    );
    let mut live = World::new();
    live.state = State::new(false);
    let answer = live.operate(set(10));
    assert_eq!(refused(answer), "only a rehearsal's time can be set");
}

#[test]
fn acknowledgements_only_advance() {
    let mut world = World::new();
    let by = Caller::Participant(bic("A"));
    let at = |sequence, index| Position {
        sequence: Sequence(sequence),
        index,
    };
    for (position, changes) in [
        (at(5, 1), 1),
        (at(5, 1), 0),
        (at(5, 0), 0),
        (at(4, 9), 0),
        (at(5, 2), 1),
    ] {
        assert_eq!(
            world
                .command(by, Action::Acknowledge(position))
                .unwrap()
                .changes,
            changes
        );
    }
    let known = world.state.query(&Query::Acknowledged(bic("A")), MORNING);
    assert_eq!(known, View::Acknowledged(at(5, 2)));
    let nobody = Caller::Participant(bic("XXXXUS33"));
    assert_eq!(
        refused(world.command(nobody, Action::Acknowledge(at(1, 1)))),
        "caller: no such participant"
    );
    world.finish();
}
