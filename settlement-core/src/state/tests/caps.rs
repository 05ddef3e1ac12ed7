//! Bilateral caps where money moves: what settles never exceeds one, whatever became of what was counted
//! as coming back.

use super::simulation::{Random, seeds, step};
use super::*;
use crate::certificate::{Certificate, check as check_certificate};
use crate::record::RunResult;
use crate::risk::{Funding, Model, RiskLine, SettlementOrder};
use crate::run::Cap;

fn cap(from: &str, to: &str, asset: &str, amount: Option<i64>) -> Action {
    Action::SetLimit(LimitLine {
        participant: bic(from),
        asset: code(asset),
        counterparty: Some(bic(to)),
        amount,
    })
}

/// A may pay B 100.00 USD; both have money.
fn capped(mut world: World) -> World {
    world.operate(cap("A", "B", "USD", Some(100_00))).unwrap();
    world.money("deposit A 1000.00 USD");
    world.money("deposit B 10.00 USD");
    world
}

fn cancel(world: &mut World, by: &str, id: u64) {
    let action = Action::Cancel {
        uetr: uetr(1_000_000 + id),
        kind: Kind::Payment,
    };
    world.command(Caller::Participant(bic(by)), action).unwrap();
}

/// `test behind missing account`, then the pay-in that frees it.
fn reason(world: &World, sequence: Sequence) -> String {
    let found = world.frozen().explain(sequence).unwrap();
    format!(
        "{} {:?} {} {} {:?}",
        found.test.name(),
        found.behind.map(|behind| behind.0),
        found.missing,
        found.participant,
        found.smallest_pay_in
    )
}

fn all_settled(world: &World, sequences: &[Sequence]) -> bool {
    let settled = |&sequence: &Sequence| world.status(sequence).starts_with("settled");
    sequences.iter().all(settled)
}

#[test]
fn gross_waits_for_what_comes_back() {
    let mut world = capped(World::new());
    // Accepted, and so counted as coming back.
    let back = world.submit("B -> A 50.00 USD, lock=word, id=1");
    let first = world.submit("A -> B 120.00 USD");
    assert_eq!(words(&first), "liquidity");
    let second = world.submit("A -> C 1.00 USD");
    assert_eq!(words(&second), "order");
    let [back, first, second] = [back, first, second].map(|answer| answer.sequence);
    world.tick();
    assert_eq!(
        reason(&world, first),
        "bilateral_cap None 2000 AAAAUS33 None"
    );
    assert_eq!(
        reason(&world, second),
        "bilateral_cap None 2000 AAAAUS33 None",
        "the last member of A's queue goes first"
    );
    let show = Action::ShowPreimage {
        identity: Identity {
            uetr: uetr(1_000_001),
            instructing: bic("B"),
            kind: Kind::Payment,
        },
        preimage: b"word".to_vec(),
    };
    world.command(Caller::Participant(bic("B")), show).unwrap();
    // B has 10.00: neither can go alone.
    assert_eq!(world.status(back), "liquidity");
    assert_eq!(world.status(first), "liquidity");
    world.tick();
    assert!(all_settled(&world, &[back, first, second]));
    assert_eq!(world.balance("B", "USD"), (80_00, 0));
    world.finish();
}

#[test]
fn what_comes_back_releases_what_waits_for_room() {
    let mut world = capped(World::new());
    world.send("B -> A 50.00 USD, lock=word");
    let waits = world.submit("A -> B 105.00 USD").sequence;
    assert_eq!(world.send("B -> A 4.99 USD"), "settled 1");
    assert_eq!(world.status(waits), "liquidity");
    assert_eq!(world.send("B -> A 0.01 USD"), "settled 1");
    assert_eq!(world.status(waits), "settled 1");
    world.finish();
}

#[test]
fn gridlock_nets_within_the_cap() {
    // Neither can pay alone; together A pays B 90.00 net.
    let mut world = World::new();
    world.operate(cap("A", "B", "USD", Some(90_00))).unwrap();
    world.money("deposit A 90.00 USD");
    let one = world.submit("B -> A 60.00 USD");
    let two = world.submit("A -> B 150.00 USD");
    world.operate(cap("A", "B", "USD", Some(89_99))).unwrap();
    world.tick();
    assert_eq!(world.status(two.sequence), "liquidity");
    assert!(reason(&world, two.sequence).starts_with("bilateral_cap"));
    world.operate(cap("A", "B", "USD", Some(90_00))).unwrap();
    world.tick();
    assert!(all_settled(&world, &[one.sequence, two.sequence]));
    world.finish();
}

#[test]
fn caps_that_are_lowered_stop_what_was_accepted() {
    let mut world = World::new();
    world.operate(cap("A", "B", "USD", Some(100_00))).unwrap();
    let waits = world.submit("A -> B 80.00 USD");
    world.operate(cap("A", "B", "USD", Some(50_00))).unwrap();
    world.money("deposit A 100.00 USD");
    assert_eq!(world.status(waits.sequence), "liquidity");
    for (amount, expected) in [
        (Some(79_99), "liquidity"),
        (Some(80_00), "settled 1"),
        // Below what has settled: it stops more of it, nothing else.
        (Some(1_00), "settled 1"),
    ] {
        world.operate(cap("A", "B", "USD", amount)).unwrap();
        assert_eq!(world.status(waits.sequence), expected, "{amount:?}");
    }
    assert_eq!(world.send("A -> C 1.00 USD"), "settled 1");
    assert_eq!(world.send("B -> A 79.00 USD"), "settled 1");
    let waits = world.submit("A -> B 0.01 USD");
    assert_eq!(words(&waits), "AM14 AboveBilateralCap");
    world.operate(cap("A", "B", "USD", None)).unwrap();
    assert_eq!(world.send("A -> B 19.00 USD"), "settled 1");
    world.finish();
}

/// A's cap in a cycle that has closed: A -> B 150.00 was accepted against 60.00 that come back.
fn settling() -> (World, [Sequence; 3]) {
    let mut world = capped(World::with_cycle());
    let sent = [
        "B -> A 60.00 USD, net, id=1",
        "A -> B 150.00 USD, net",
        "A -> C 5.00 USD, net",
    ];
    let sent = sent.map(|line| world.submit(line).sequence);
    world.at(2).operate(Action::CloseCycle(cycle(1))).unwrap();
    world.operate(Action::NetCycle(cycle(1))).unwrap();
    (world, sent)
}

#[test]
fn a_cycles_run_keeps_the_cap() {
    let (mut world, [back, pays, behind]) = settling();
    world.operate(cap("A", "B", "USD", Some(89_00))).unwrap();
    world.money("pay-in A 95.00 USD 1");
    let request = world.state.take_run_request(world.now).unwrap();
    let [read] = request.problem.caps() else {
        panic!("{:?}", request.problem.caps());
    };
    assert_eq!(read.amount, 89_00);
    // The certificate is of an input with the cap: without it, it is none.
    let (certificate, outcome) = Certificate::of_run(&request.problem);
    assert!(check_certificate(&request.problem, &certificate, &outcome.settled).is_ok());
    let open = world
        .clone_without_caps()
        .take_run_request(world.now)
        .unwrap();
    assert!(check_certificate(&open.problem, &certificate, &outcome.settled).is_err());
    // What comes back has no money without what goes there: the last member goes, and so the first.
    assert_eq!(world.run(), 1);
    for sequence in [back, pays, behind] {
        assert_eq!(world.status(sequence), "irrevocable 1");
    }
    let left = world.frozen().unsettled(cycle(1), None, 0, 10);
    let tests: Vec<_> = left.iter().map(|unit| unit.test.name()).collect();
    assert_eq!(tests, ["floor", "bilateral_cap", "bilateral_cap"]);
    assert_eq!(reason(&world, pays), "bilateral_cap None 100 AAAAUS33 None");
    assert_eq!(world.run(), 0, "nothing changed");
    world.operate(cap("A", "B", "USD", Some(90_00))).unwrap();
    assert_eq!(world.run(), 1);
    assert!(all_settled(&world, &[back, pays, behind]));
    world.finish();
}

#[test]
fn caps_that_cannot_bind_are_no_input() {
    let (mut world, _) = settling();
    world.money("pay-in A 95.00 USD 1");
    world.operate(cap("A", "B", "USD", Some(150_00))).unwrap();
    let request = world.state.take_run_request(world.now).unwrap();
    assert_eq!(request.problem.caps(), []);
    let open = world.clone_without_caps().take_run_request(world.now);
    assert_eq!(request.problem.hash(), open.unwrap().problem.hash());
    world.operate(cap("A", "B", "USD", Some(149_99))).unwrap();
    let request = world.state.take_run_request(world.now).unwrap();
    assert_eq!(request.problem.caps().len(), 1);
}

impl World {
    fn clone_without_caps(&self) -> State {
        let mut state = self.state.clone();
        let mut lines: Vec<_> = state.limits.bilaterals().collect();
        for ((account, counterparty), _) in lines.drain(..) {
            state.limits.set_bilateral(account, counterparty, None);
        }
        state
    }

    fn take_result(&mut self, result: &RunResult) -> bool {
        let mut events = Vec::new();
        self.state
            .execute_ran(result, Sequence(self.next), self.now, &mut events);
        let taken = !events.is_empty();
        self.take(events);
        taken
    }
}

#[test]
fn what_the_gross_lane_settles_meanwhile_counts() {
    // Of 100.00 the run takes 90.00; is its result taken after this?
    for (line, taken) in [
        ("A -> C 10.00 USD", true),
        ("B -> A 5.00 USD", true),
        ("A -> B 10.00 USD", true),
        ("A -> B 10.01 USD", false),
    ] {
        let (mut world, sent) = settling();
        world.money("pay-in A 95.00 USD 1");
        // Acceptance counts it as coming back, nothing else does.
        assert_eq!(world.send("B -> A 50.00 USD, lock=word"), "preimage");
        let request = world.state.take_run_request(world.now).unwrap();
        assert_eq!(request.problem.caps().len(), 1);
        assert!(world.send(line).starts_with("settled"), "{line}");
        assert_eq!(world.take_result(&request.run([9; 32])), taken, "{line}");
        assert_eq!(world.state.run_due(world.now).is_some(), !taken, "{line}");
        world.run();
        let settled = world.status(sent[1]).starts_with("settled");
        assert_eq!(settled, taken, "{line}");
        world.finish();
    }
}

#[test]
fn more_room_calls_for_another_run() {
    let (mut world, [_, pays, _]) = settling();
    world.operate(cap("A", "B", "USD", Some(80_00))).unwrap();
    world.money("pay-in A 95.00 USD 1");
    assert_eq!(world.run(), 1);
    assert_eq!(world.status(pays), "irrevocable 1");
    // Comes back in the gross lane: not enough, then enough.
    for (line, settled) in [("B -> A 9.99 USD", false), ("B -> A 0.01 USD", true)] {
        assert_eq!(world.state.run_due(world.now), None);
        world.send(line);
        assert_eq!(world.run(), 1, "{line}");
        assert_eq!(world.status(pays).starts_with("settled"), settled, "{line}");
    }
    world.finish();
}

#[test]
fn another_run_is_due_where_room_grew_meanwhile() {
    let (mut world, [_, pays, _]) = settling();
    world.operate(cap("A", "B", "USD", Some(80_00))).unwrap();
    world.money("pay-in A 95.00 USD 1");
    let result = world
        .state
        .take_run_request(world.now)
        .unwrap()
        .run([9; 32]);
    world.send("B -> A 10.00 USD");
    assert!(
        world.take_result(&result),
        "it settles nothing, and is recorded"
    );
    assert_eq!(world.status(pays), "irrevocable 1");
    assert_eq!(world.run(), 1);
    assert!(world.status(pays).starts_with("settled"));
    world.finish();
}

#[test]
fn a_cancelled_payment_back_leaves_the_cap_whole() {
    let mut world = capped(World::with_cycle());
    world.send("B -> A 60.00 USD, net, id=1");
    let pays = world.submit("A -> B 150.00 USD, net").sequence;
    cancel(&mut world, "B", 1);
    world.at(2).operate(Action::CloseCycle(cycle(1))).unwrap();
    world.operate(Action::NetCycle(cycle(1))).unwrap();
    world.money("pay-in A 150.00 USD 1");
    assert_eq!(world.run(), 1);
    assert_eq!(
        reason(&world, pays),
        "bilateral_cap None 5000 AAAAUS33 None"
    );
    world.at(4).operate(Action::SettleCycle(cycle(1))).unwrap();
    assert_eq!(world.status(pays), "AB03 ExpiredInQueue");
    world.finish();
}

/// Records of before there were caps in runs are read as such.
#[test]
fn older_results_have_no_caps() {
    let mut bytes = Vec::new();
    let mut encoder = minicbor::Encoder::new(&mut bytes);
    encoder.array(6).unwrap().encode(cycle(1)).unwrap();
    encoder.u64(7).unwrap().bytes(&[1]).unwrap();
    encoder.bytes(&[2; 32]).unwrap().bytes(&[3; 32]).unwrap();
    encoder.null().unwrap();
    let result: RunResult = minicbor::decode(&bytes).unwrap();
    assert_eq!((result.version, result.caps), (7, Vec::<Cap>::new()));
}

/// Minor units that have settled from one bank to another in an asset, by value date: from the events.
type Paid = BTreeMap<(Date, ParticipantId, AccountId), i128>;

fn settled_by_events(world: &World) -> Paid {
    let mut paid = Paid::new();
    let events = world
        .journal
        .iter()
        .flat_map(|(sequence, _, events)| events.iter().map(|event| (*sequence, event)));
    for (sequence, event) in events {
        let Event::Accepted { order, .. } = event else {
            continue;
        };
        let status = world.facts.get(&sequence).map(|(status, _)| *status);
        if !matches!(status, Some(Status::Settled { .. })) {
            continue;
        }
        for leg in order.legs.iter() {
            let owner = |account| world.state.owner(account);
            if order.identity.kind == Kind::TradeSide && owner(leg.debtor) != order.instructing {
                continue;
            }
            let date = order.value_date;
            let amount = i128::from(leg.amount);
            *paid
                .entry((date, owner(leg.creditor), leg.debtor))
                .or_default() += amount;
            *paid
                .entry((date, owner(leg.debtor), leg.creditor))
                .or_default() -= amount;
        }
    }
    paid.retain(|_, paid| *paid != 0);
    paid
}

/// Caps come, go, rise and fall while all else happens too.
fn cap_step(random: &mut Random, world: &mut World) {
    let banks = ["A", "B", "C"];
    let from = random.below(3) as usize;
    let to = (from + 1 + random.below(2) as usize) % 3;
    let asset = ["USD", "EUR"][random.below(2) as usize];
    let amount = match random.below(6) {
        0 => None,
        _ => Some(random.below(20) as i64 * 100),
    };
    world
        .operate(cap(banks[from], banks[to], asset, amount))
        .unwrap();
}

#[test]
fn what_settles_never_exceeds_a_cap() {
    let (mut bound, mut settled) = (0, 0);
    for seed in seeds(60) {
        let mut random = Random(seed ^ 0xca95);
        let mut world = World::new();
        let model = [SettlementOrder::Kept, SettlementOrder::BypassedByCount][seed as usize % 2];
        let funding = [Funding::Prefunded, Funding::Continuous][seed as usize / 2 % 2];
        let model = RiskLine::Model(Model {
            funding,
            order: model,
        });
        world.operate(Action::SetRisk(model)).unwrap();
        let mut opened = 0;
        let mut before = Paid::new();
        for _ in 0..200 {
            match random.below(8) {
                0 => cap_step(&mut random, &mut world),
                _ => step(&mut random, &mut world, &mut opened),
            }
            let after = settled_by_events(&world);
            check_sums(&world, &after, seed);
            for ((account, counterparty), cap) in world.state.limits.bilaterals() {
                let key = (MORNING.date(), counterparty, account);
                let (was, is) = (before.get(&key), after.get(&key).copied().unwrap_or(0));
                let most = i128::from(cap).max(was.copied().unwrap_or(0));
                assert!(
                    is <= most,
                    "seed {seed}: {is} settled of {cap}, {was:?} before"
                );
                bound += usize::from(is == i128::from(cap) && is > 0);
            }
            before = after;
        }
        settled += before.len();
        world.finish();
    }
    assert!(
        settled > 100 && bound > 10,
        "{settled} pairs, {bound} at their caps"
    );
}

/// The state's sums are those of the events.
fn check_sums(world: &World, settled: &Paid, seed: u64) {
    let found = world.state.usage.iter();
    let found = found.filter(|(_, sums)| sums.settled != 0);
    let found: Paid = found
        .map(|((date, cell), sums)| {
            let account = AccountId((cell >> 16) as u32);
            let counterparty = ParticipantId((cell & 0xffff) as u16);
            ((date, counterparty, account), sums.settled)
        })
        .collect();
    assert_eq!(&found, settled, "seed {seed}");
}
