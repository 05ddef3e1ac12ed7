//! Random days by seed: money is counted after every input; a replay ends in the same state; followers
//! and queries agree; and the gross lane does what a naive model of it does.

use super::*;
use crate::rejection::Rejection;

/// splitmix64.
pub(super) struct Random(pub(super) u64);

impl Random {
    pub(super) fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        crate::table::mix(self.0) % end
    }

    fn pick<'a>(&mut self, of: &[&'a str]) -> &'a str {
        of[usize::try_from(self.below(of.len() as u64)).unwrap()]
    }
}

pub(super) fn seeds(short: u64) -> std::ops::Range<u64> {
    match std::env::var_os("VALUTA_LONG") {
        Some(_) => 0..short * 50,
        None => 0..short,
    }
}

/// A unit as the naive model sees it.
#[derive(Clone)]
struct Naive {
    sequence: Sequence,
    priority: u8,
    legs: Vec<(usize, usize, i128)>,
}

/// The gross lane by its definition: lists, and everything tried again from the start.
#[derive(Default)]
struct Model {
    balances: BTreeMap<usize, i128>,
    waiting: Vec<Naive>,
    settled: Vec<Sequence>,
}

impl Model {
    fn can_pay(&self, unit: &Naive) -> bool {
        let mut after = self.balances.clone();
        for &(from, to, amount) in &unit.legs {
            *after.entry(from).or_default() -= amount;
            *after.entry(to).or_default() += amount;
        }
        unit.legs.iter().all(|(from, ..)| after[from] >= 0)
    }

    fn is_behind(&self, unit: &Naive) -> bool {
        self.waiting.iter().any(|other| {
            (other.priority, other.sequence) < (unit.priority, unit.sequence)
                && other
                    .legs
                    .iter()
                    .any(|one| unit.legs.iter().any(|leg| one.0 == leg.0))
        })
    }

    fn settle(&mut self, unit: &Naive) {
        for &(from, to, amount) in &unit.legs {
            *self.balances.entry(from).or_default() -= amount;
            *self.balances.entry(to).or_default() += amount;
        }
        self.settled.push(unit.sequence);
    }

    fn enter(&mut self, unit: Naive) {
        if !self.is_behind(&unit) && self.can_pay(&unit) {
            self.settle(&unit);
        } else {
            self.waiting.push(unit);
            self.waiting
                .sort_by_key(|unit| (unit.priority, unit.sequence));
        }
        self.release();
    }

    fn release(&mut self) {
        let free = |model: &Self| {
            let can = |unit: &Naive| !model.is_behind(unit) && model.can_pay(unit);
            model.waiting.iter().position(can)
        };
        while let Some(at) = free(self) {
            let unit = self.waiting.remove(at);
            self.settle(&unit);
        }
    }

    /// The largest set that keeps order: units leave, from the last, until every account that one of
    /// them debits can pay.
    fn clear_gridlock(&mut self) {
        let mut set = self.waiting.clone();
        loop {
            let mut after = self.balances.clone();
            for (from, to, amount) in set.iter().flat_map(|unit| &unit.legs) {
                *after.entry(*from).or_default() -= amount;
                *after.entry(*to).or_default() += amount;
            }
            let debits =
                |unit: &Naive, account: usize| unit.legs.iter().any(|leg| leg.0 == account);
            let short = set.iter().flat_map(|unit| &unit.legs).map(|leg| leg.0);
            let Some(short) = short.filter(|account| after[account] < 0).min() else {
                break;
            };
            let last = set.iter().rposition(|unit| debits(unit, short)).unwrap();
            let mut gone = vec![set.remove(last)];
            // And all that stands behind what goes.
            let mut at = last;
            while at < set.len() {
                let shares = |unit: &Naive| {
                    gone.iter()
                        .any(|other| other.legs.iter().any(|leg| debits(unit, leg.0)))
                };
                if shares(&set[at]) {
                    gone.push(set.remove(at));
                } else {
                    at += 1;
                }
            }
        }
        for unit in &set {
            self.settle(unit);
        }
        self.waiting
            .retain(|unit| !set.iter().any(|settled| settled.sequence == unit.sequence));
        self.release();
    }
}

const LETTERS: [&str; 4] = ["A", "B", "C", "D"];
const ASSETS: [&str; 2] = ["USD", "EUR"];

/// An account as the model names it.
fn account(bank: usize, asset: usize) -> usize {
    bank * 2 + asset
}

#[test]
fn the_gross_lane_does_as_the_naive_model() {
    for seed in seeds(150) {
        let mut random = Random(seed);
        let mut world = World::new();
        let mut model = Model::default();
        for _ in 0..60 {
            match random.below(12) {
                0 | 1 => {
                    let (bank, asset) = (random.below(4) as usize, random.below(2) as usize);
                    let amount = 1 + random.below(30);
                    let line = format!("deposit {} {amount}.00 {}", LETTERS[bank], ASSETS[asset]);
                    assert_eq!(world.money(&line), "done");
                    *model.balances.entry(account(bank, asset)).or_default() += i128::from(amount);
                    model.release();
                }
                2 => {
                    world.tick();
                    model.clear_gridlock();
                }
                _ => pay(&mut random, &mut world, &mut model),
            }
            compare(&world, &model, seed);
        }
        world.finish();
    }
}

/// One payment of one to three legs, both in the engine and in the model.
fn pay(random: &mut Random, world: &mut World, model: &mut Model) {
    let from = random.below(4) as usize;
    let mut legs = Vec::new();
    let mut texts = Vec::new();
    for _ in 0..=random.below(3).min(random.below(3)) {
        let to = (from + 1 + random.below(3) as usize) % 4;
        let asset = random.below(2) as usize;
        let amount = 1 + random.below(20);
        legs.push((account(from, asset), account(to, asset), i128::from(amount)));
        texts.push(format!(
            "{} -> {} {amount}.00 {}",
            LETTERS[from], LETTERS[to], ASSETS[asset]
        ));
    }
    let priority = random.below(3) as u8;
    let option = [", urgent", ", high", ""][usize::from(priority)];
    let answer = world.submit(&format!("{}{option}", texts.join(" + ")));
    model.enter(Naive {
        sequence: answer.sequence,
        priority,
        legs,
    });
}

fn compare(world: &World, model: &Model, seed: u64) {
    for sequence in &model.settled {
        let status = world.state.status_of(*sequence);
        assert!(
            matches!(status, Some(Status::Settled { .. })),
            "seed {seed} {sequence:?}"
        );
    }
    for unit in &model.waiting {
        let waiting = if model.is_behind(unit) {
            Waiting::Order
        } else {
            Waiting::Liquidity
        };
        let status = world.state.status_of(unit.sequence);
        assert_eq!(status, Some(Status::Waiting(waiting)), "seed {seed}");
    }
    for (bank, name) in LETTERS.iter().enumerate() {
        for (asset, code) in ASSETS.iter().enumerate() {
            let held = model
                .balances
                .get(&account(bank, asset))
                .copied()
                .unwrap_or(0);
            assert_eq!(world.balance(name, code).0, held * 100, "seed {seed}");
        }
    }
}

/// Everything that can happen in a day, in any order, over all of the machine.
#[test]
fn any_day_conserves_replays_and_is_followed() {
    let mut settled = 0;
    for seed in seeds(60) {
        let mut random = Random(seed ^ 0xda7);
        let mut world = World::new();
        let mut opened = 0;
        for _ in 0..250 {
            step(&mut random, &mut world, &mut opened);
        }
        world.finish();
        let View::Statistics(counts) = world.state.query(&Query::Statistics, world.now) else {
            panic!("statistics");
        };
        settled += counts.settled;
    }
    assert!(settled > 1_000, "days in which money moves: {settled}");
}

pub(super) fn step(random: &mut Random, world: &mut World, opened: &mut u16) {
    let number = 1 + random.below(3) as u16;
    match random.below(20) {
        0 => {
            let hours = |after: i64| Some(Timestamp(world.now.0 + after * HOUR_MS / 4));
            let action = Action::OpenCycle {
                cycle: cycle(*opened + 1),
                cut_off: hours(1),
                pay_in_deadline: hours(2),
                completion_deadline: hours(3),
            };
            *opened += u16::from(world.operate(action).is_ok());
        }
        1 => {
            for action in [
                Action::CloseCycle(cycle(number)),
                Action::NetCycle(cycle(number)),
                Action::SettleCycle(cycle(number)),
            ] {
                let _ = world.operate(action);
            }
        }
        2 => world.now.0 += random.below(20) as i64 * 60_000,
        3 => {
            world.tick();
        }
        4 => {
            world.run();
        }
        5 | 6 => {
            let kind = random.pick(&["deposit", "deposit", "withdraw"]);
            let line = format!(
                "{kind} {} {}.00 {}",
                random.pick(&LETTERS),
                random.below(40),
                random.pick(&ASSETS)
            );
            world.money(&line);
        }
        7 | 8 => {
            let kind = random.pick(&["pay-in", "pay-in", "transfer", "pay-out"]);
            let (bank, amount) = (random.pick(&LETTERS), random.below(40));
            let line = format!(
                "{kind} {bank} {amount}.00 {} {number}",
                random.pick(&ASSETS)
            );
            world.money(&line);
        }
        9 if random.below(4) == 0 => {
            let bank = random.pick(&LETTERS);
            if random.below(3) == 0 {
                world.suspend(bank);
            } else {
                world.reinstate(bank);
            }
        }
        10 => {
            let uetr = uetr(1_000_000 + random.below(40));
            let kind = if random.below(2) == 0 {
                Kind::Payment
            } else {
                Kind::TradeSide
            };
            let by = Caller::Participant(bic(random.pick(&LETTERS)));
            let _ = world.command(by, Action::Cancel { uetr, kind });
        }
        11 => {
            for bank in LETTERS.iter().take(2) {
                world.reinstate(bank);
            }
        }
        _ => instruct(random, world),
    }
    check_views(world);
}

fn instruct(random: &mut Random, world: &mut World) {
    let (from, to) = (random.pick(&LETTERS), random.pick(&LETTERS));
    let amount = random.below(12);
    let line = match random.below(4) {
        0 => format!(
            "A -> B {amount}.00 USD + B -> A 2.00 EUR, trade=T, by={}",
            random.pick(&["A", "B"])
        ),
        1 => format!("{from} -> {to} {amount}.00 USD + {from} -> A 3.00 EUR"),
        _ => format!("{from} -> {to} {amount}.00 {}", random.pick(&ASSETS)),
    };
    let lane = random.pick(&["", ", net", ", urgent", ", net, high"]);
    let id = match random.below(3) {
        0 => format!(", id={}", random.below(40)),
        _ => String::new(),
    };
    world.send(&format!("{line}{lane}{id}"));
}

/// What the views say agrees with itself at any time.
fn check_views(world: &World) {
    let View::Cycles(cycles) = world.state.query(&Query::Cycles, world.now) else {
        panic!("cycles");
    };
    for view in cycles {
        assert!(
            view.settled + view.held + view.left_behind <= view.members,
            "{view:?}"
        );
        let left = world.frozen().unsettled(view.name, None, 0, 999);
        for unsettled in left {
            assert!(!matches!(
                unsettled.answer.status,
                Status::Settled { .. } | Status::Rejected(_)
            ));
            if unsettled.test == BindingTest::Floor {
                assert!(unsettled.missing > 0);
            }
        }
        let nets: i128 = view.positions.iter().map(|position| position.net).sum();
        assert_eq!(nets, 0);
    }
}

/// Rejections, remembered among many identities, are given again as they were.
#[test]
fn remembers_many_identities() {
    let mut world = World::new();
    world.money("deposit A 1000000.00 USD");
    let count = 20_000;
    let mut answers = Vec::new();
    for id in 0..count {
        let amount = if id % 3 == 0 { "0.00" } else { "0.01" };
        let batch = world.parse(&format!("A -> B {amount} USD, id={id}"));
        let mut events = Vec::new();
        let sequence = Sequence(world.next);
        let answer = world.state.execute_instruction(
            &batch,
            &batch.items[0],
            sequence,
            world.now,
            &mut events,
        );
        world.next += 1;
        answers.push(answer);
    }
    for (id, first) in answers.iter().enumerate() {
        let amount = if id % 3 == 0 { "0.00" } else { "0.01" };
        let batch = world.parse(&format!("A -> B {amount} USD, id={id}"));
        let mut events = Vec::new();
        let sequence = Sequence(world.next);
        let again = world.state.execute_instruction(
            &batch,
            &batch.items[0],
            sequence,
            world.now,
            &mut events,
        );
        assert!(again.repeated && events.is_empty());
        assert_eq!(
            (again.sequence, again.status),
            (first.sequence, first.status)
        );
        let zero = Status::Rejected(Rejection::AmountMustNotBeZero { leg: 0 });
        assert_eq!(again.status == zero, id % 3 == 0);
    }
    assert_eq!(world.state.instruction_count(), count);
}
