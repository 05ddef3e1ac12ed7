//! Old identities leave for files, and nothing is decided otherwise: against a state that never forgets.

use super::simulation::{Random, seeds};
use super::*;
use crate::remembered::{LINE_BYTES, Remembered};
use std::collections::BTreeSet;

const DAY_MS: i64 = 24 * HOUR_MS;

/// All files, as one.
#[derive(Default)]
pub(super) struct Files {
    lines: BTreeSet<[u8; LINE_BYTES]>,
}

impl Files {
    fn find(&self, key: Key) -> impl Iterator<Item = Remembered> {
        let mut from = [0; LINE_BYTES];
        from[..16].copy_from_slice(&key.0);
        let lines = self.lines.range(from..);
        lines
            .take_while(move |line| line[..16] == key.0)
            .map(|line| Remembered::from_line(line).unwrap())
    }
}

impl World {
    /// With files for what is old.
    fn forgetting() -> Self {
        let mut world = Self::new();
        world.files = Some(Files::default());
        world.state.files_hold(0);
        world
    }

    /// As the engine does before each input.
    pub(super) fn recall(&mut self, keys: impl Iterator<Item = Key>) {
        if let Some(files) = &self.files {
            let found = keys.flat_map(|key| files.find(key));
            self.state.recall(found.collect());
        }
    }

    /// What is to leave is written, as the engine's keeper does.
    fn keep(&mut self) {
        let (Some(place), Some(files)) = (self.state.aged(), &mut self.files) else {
            return;
        };
        let lines: Vec<_> = self.state.aged_lines().map(|left| left.to_line()).collect();
        let again = snapshots::reloaded(&self.state);
        assert!(
            again
                .aged_lines()
                .map(|left| left.to_line())
                .eq(lines.iter().copied())
        );
        files.lines.extend(lines);
        self.state.files_hold(place.number);
    }

    pub(super) fn left(&self, sequence: Sequence) -> Option<InstructionAnswer> {
        let mut lines = self.files.iter().flat_map(|files| &files.lines);
        lines.find_map(|line| {
            let left = Remembered::from_line(line).unwrap();
            let answer = left.answer(false)?;
            (answer.sequence == sequence).then_some(answer)
        })
    }

    /// Days pass, with ticks; until nothing more is to leave.
    fn days(&mut self, days: i64) {
        self.now.0 += days * DAY_MS;
        for _ in 0..40 {
            self.tick();
            self.keep();
        }
    }
}

/// Two worlds that are told the same; only one forgets.
struct Pair {
    never: World,
    forgets: World,
    /// Instructions and requests that were sent.
    lines: Vec<String>,
    names: Vec<(Caller, String, Action)>,
    next: u64,
}

impl Pair {
    fn new() -> Self {
        let mut pair = Self {
            never: World::new(),
            forgets: World::forgetting(),
            lines: Vec::new(),
            names: Vec::new(),
            next: 0,
        };
        for bank in ["A", "B", "C"] {
            pair.both(|world| world.money(&format!("deposit {bank} 50.00 USD")));
        }
        pair
    }

    fn both<T: PartialEq + std::fmt::Debug>(&mut self, act: impl Fn(&mut World) -> T) -> T {
        let (one, other) = (act(&mut self.never), act(&mut self.forgets));
        assert_eq!(one, other);
        // An input that only lets something leave is none in the other world.
        let next = self.never.next.max(self.forgets.next);
        (self.never.next, self.forgets.next) = (next, next);
        one
    }

    fn send(&mut self, line: String) {
        self.both(|world| {
            let answer = world.submit(&line);
            (
                answer.sequence,
                answer.status,
                answer.matched_with,
                answer.repeated,
            )
        });
        self.lines.push(line);
    }

    fn request(&mut self, caller: Caller, name: String, action: Action) {
        let _ = self.both(|world| {
            let answer = world.request(caller, &name, action.clone());
            answer.map(|answer| (answer.sequence, answer.changes, answer.repeated))
        });
        self.names.push((caller, name, action));
    }

    fn step(&mut self, random: &mut Random) {
        self.next += 1;
        let id = self.next;
        let banks = ["A", "B", "C"];
        let from = random.below(3) as usize;
        let (debtor, creditor) = (banks[from], banks[(from + 1) % 3]);
        let amount = random.below(30);
        let pays = format!("{debtor} -> {creditor} {amount}.00 USD, id={id}");
        // A Friday, ahead by one to two weeks, at which what is sent now may settle.
        let days = (self.never.now.0 - MORNING.0) / DAY_MS;
        let days = (days / 7 + 2) * 7;
        let later = Date(MORNING.date().0 + i32::try_from(days).unwrap());
        let later = format!("after={}h, date={later}", days * 24);
        match random.below(18) {
            0..6 => self.send(pays),
            6 => self.send(format!("{pays}, {later}, approvers=1/C")),
            7 => {
                // Its other side comes at another time, or never.
                let side = random.below(6);
                let by = ["A", "B"][random.below(2) as usize];
                let trade = format!("A -> B {side}.00 USD + B -> A {side}.00 EUR");
                self.send(format!("{trade}, trade=T{side}, by={by}, {later}, id={id}"));
            }
            8 => {
                let caller = Caller::Participant(bic(debtor));
                let (uetr, kind) = (uetr(1_000_000 + 1 + random.below(id)), Kind::Payment);
                self.request(caller, format!("C{id}"), Action::Cancel { uetr, kind });
            }
            9 => {
                let identity = Identity {
                    uetr: uetr(1_000_000 + 1 + random.below(id)),
                    instructing: bic(debtor),
                    kind: Kind::Payment,
                };
                let caller = Caller::Participant(bic("C"));
                self.request(caller, format!("P{id}"), Action::Approve(identity));
            }
            10 | 11 if !self.lines.is_empty() => {
                let line = &self.lines[random.below(self.lines.len() as u64) as usize];
                let changed = random.below(3) == 0 && !line.contains("content");
                self.send(format!(
                    "{line}{}",
                    if changed { ", content=x" } else { "" }
                ));
            }
            12 if !self.names.is_empty() => {
                let at = random.below(self.names.len() as u64) as usize;
                let (caller, name, action) = self.names[at].clone();
                self.request(caller, name, action);
            }
            13 => {
                let days = random.below(8) as i64;
                self.both(|world| world.now.0 += days * DAY_MS + HOUR_MS);
            }
            14 | 15 => {
                self.both(|world| {
                    let events = world.tick().into_iter();
                    let leaving = |event: &Event| {
                        matches!(
                            event,
                            Event::IdentitiesAged { .. } | Event::IdentitiesLeft { .. }
                        )
                    };
                    events.filter(|event| !leaving(event)).collect::<Vec<_>>()
                });
            }
            _ => self.forgets.keep(),
        }
        let uetr = uetr(1_000_000 + 1 + random.below(id));
        self.both(|world| {
            let query = Query::Instructions(uetr);
            world.recall(Key::of_query(&query).into_iter());
            world.state.query(&query, world.now)
        });
    }
}

#[test]
fn decides_as_one_that_never_forgets() {
    let (mut left, mut held, mut all) = (0, 0, 0);
    for seed in seeds(30) {
        let (mut random, mut pair) = (Random(seed ^ 0x01d), Pair::new());
        for _ in 0..600 {
            pair.step(&mut random);
            if random.below(40) == 0 {
                // A restart: from a snapshot, and what files hold is told anew.
                let kept = pair
                    .forgets
                    .state
                    .aged()
                    .map_or(0, |place| place.number - 1);
                let kept = kept.max(pair.forgets.state.left());
                pair.forgets.state = snapshots::reloaded(&pair.forgets.state);
                pair.forgets.state.files_hold(kept);
                pair.forgets.keep();
            }
        }
        for bank in ["A", "B", "C"] {
            pair.both(|world| world.balance(bank, "USD"));
        }
        pair.never.finish();
        pair.forgets.finish();
        left += pair.forgets.files.as_ref().unwrap().lines.len();
        held += pair.forgets.state.held_count();
        all += pair.forgets.state.instruction_count();
    }
    assert!(
        left > 500 && held * 3 < all,
        "{left} left, {held} of {all} held"
    );
}

#[test]
fn memory_is_bounded_by_the_days_that_stay() {
    let mut world = World::forgetting();
    world.money("deposit A 100000.00 USD");
    let mut most = 0;
    for day in 0..120 {
        for at in 0..100 {
            world.send(&format!("A -> B 1.00 USD, id={}", day * 100 + at));
        }
        world.days(1);
        most = most.max(world.state.held_count());
    }
    assert!(most <= 100 * 9, "{most}");
    assert_eq!(world.state.instruction_count(), 12_000);
    assert!(world.state.requests.iter().count() < 10);
    assert_eq!(world.send("A -> B 1.00 USD, id=7"), "settled 1 again");
    assert_eq!(
        world.send("A -> B 2.00 USD, id=7"),
        "AM05 DuplicateWithOtherContent"
    );
    world.finish();
}

#[test]
fn what_is_not_final_stays_whatever_its_age() {
    let mut world = World::forgetting();
    world.money("deposit A 10.00 USD");
    world.money("deposit B 10.00 EUR");
    let soon = format!("after={}h, date={}", 70 * 24, Date(MORNING.date().0 + 70));
    let trade = format!("A -> B 1.00 USD + B -> A 1.00 EUR, trade=T, {soon}");
    world.send(&format!("A -> B 1.00 USD, id=1, {soon}, approvers=1/C"));
    world.send(&format!("{trade}, by=A, id=2"));
    assert_eq!(world.send("A -> B 1.00 USD, id=3"), "settled 1");
    let check = |world: &mut World, days: i64, held: u64, id: u64, expected: &str| {
        world.days(days);
        assert_eq!(world.state.held_count(), held, "{days} days, id {id}");
        let query = Query::Instructions(uetr(1_000_000 + id));
        world.recall(Key::of_query(&query).into_iter());
        let View::Instructions(answers) = world.state.query(&query, world.now) else {
            panic!("instructions");
        };
        assert_eq!(words(&answers[0]), expected);
    };
    check(&mut world, 6, 3, 3, "settled 1");
    check(&mut world, 34, 2, 3, "settled 1");
    world.send(&format!("{trade}, by=B, id=4"));
    let identity = Identity {
        uetr: uetr(1_000_001),
        instructing: bic("A"),
        kind: Kind::Payment,
    };
    let by = Caller::Participant(bic("C"));
    world.command(by, Action::Approve(identity)).unwrap();
    world.days(20);
    assert_eq!(world.state.held_count(), 3, "the other side is old too");
    world.days(10);
    world.days(3);
    assert_eq!(world.send("A -> B 1.00 USD, id=5"), "settled 3");
    // Ended, they leave with the next day that does; a trade's sides together.
    world.days(8);
    assert_eq!(world.state.held_count(), 0);
    for (id, side) in [(2, "A"), (4, "B")] {
        let again = world.submit(&format!("{trade}, by={side}, id={id}"));
        assert_eq!(words(&again), "settled 2 again");
        assert!(again.matched_with.is_some());
    }
    world.finish();
}

#[test]
fn a_quote_keeps_its_instruction() {
    let mut world = World::forgetting();
    world.money("deposit A 1000.00 USD");
    world.money("deposit B 1000000 JPY");
    let provider = Caller::Participant(bic("B"));
    world
        .command(provider, Action::LockQuote(quotes::terms("Q1")))
        .unwrap();
    world.send("A -> B 100.01 USD + B -> A 12551 JPY, quote=Q1, id=1");
    world.send("A -> B 1.00 USD, id=2");
    world.days(30);
    assert_eq!(world.state.held_count(), 1);
    let query = Query::Quote(bic("B"), short("Q1"));
    let View::Quote(Some(quote)) = world.state.query(&query, world.now) else {
        panic!("the quote");
    };
    let settled = quote.instruction.map(|answer| status_words(answer.status));
    assert_eq!(settled.as_deref(), Some("settled 1"));
    world.finish();
}

/// After the retention the file goes, and a repeat is too old: never paid again.
#[test]
fn a_repeat_after_the_retention_is_too_old() {
    let mut world = World::forgetting();
    world.money("deposit A 1000.00 USD");
    let (first, line) = (world.now, "A -> B 1.00 USD, id=1");
    assert_eq!(world.send(line), "settled 1");
    let (mut forgotten, mut most) = (None, 0);
    for day in 1..600 {
        world.days(1);
        world.send("A -> B 0.01 USD");
        let files: Vec<_> = world.state.files().collect();
        most = most.max(files.len());
        if forgotten.is_none() && day > 10 && files[0].period != first.date().0 / 128 {
            // As the engine does with a file that the state does not name.
            forgotten = Some((
                day,
                std::mem::take(&mut world.files.as_mut().unwrap().lines),
            ));
        }
        let mut batch = world.parse(line);
        batch.items[0].body.as_mut().unwrap().created = first;
        world.recall(Key::of_batch(&batch));
        let (mut state, mut events) = (world.state.clone(), Vec::new());
        let next = Sequence(world.next);
        let item = &batch.items[0];
        let again = words(&state.execute_instruction(&batch, item, next, world.now, &mut events));
        match &forgotten {
            None => assert_eq!(again, "settled 1 again", "day {day}"),
            Some(_) => assert!(again.starts_with("DT02"), "day {day}: {again}"),
        }
    }
    let (day, lines) = forgotten.expect("the file went");
    assert!((400..400 + 128 + 8).contains(&day), "{day}");
    assert!(most <= 5, "{most}");
    world.files.as_mut().unwrap().lines.extend(lines);
    world.finish();
}
