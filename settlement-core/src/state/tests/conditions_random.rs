//! Random days full of conditions: money is kept, a replay ends in the same state, and followers are told
//! what the state says. Nothing settles before its conditions allow.

use super::*;

/// A small generator of numbers by seed.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(1);
        crate::table::mix(self.0) % bound
    }

    fn pick<'a>(&mut self, of: &[&'a str]) -> &'a str {
        let at = usize::try_from(self.below(of.len() as u64)).unwrap();
        of[at]
    }
}

/// What was sent under an id: whose it is, who must approve, and its lock.
struct Sent {
    bank: &'static str,
    id: u64,
    sequence: Sequence,
    locked: bool,
}

const NAMES: [&str; 4] = ["A", "B", "C", "D"];

fn send(world: &mut World, random: &mut Random, id: u64) -> Sent {
    let at = usize::try_from(random.below(4)).unwrap();
    let bank = NAMES[at];
    let other = NAMES[(at + 1 + usize::try_from(random.below(3)).unwrap()) % 4];
    let mut line = format!("{bank} -> {other} {}.00 EUR, id={id}", 1 + random.below(9));
    let locked = random.below(4) == 0;
    for (chance, option) in [
        (3, ", net".to_owned()),
        (3, format!(", approvers=1/{other}/{bank}")),
        (
            4,
            format!(", after={}h{}", random.below(4), random.below(60)),
        ),
        (3, format!(", until={}h", 1 + random.below(8))),
        (
            2,
            format!(", group=g{}/{}", random.below(3), 2 + random.below(2)),
        ),
        (4, format!(", document=d{}", random.below(20))),
        (4, random.pick(&[", high", ", urgent"]).to_owned()),
    ] {
        if random.below(chance) == 0 {
            line += &option;
        }
    }
    if locked {
        line += ", lock=word";
    }
    let sequence = world.submit(&line).sequence;
    Sent {
        bank,
        id,
        sequence,
        locked,
    }
}

/// One input that may do something to one that was sent.
fn touch(world: &mut World, random: &mut Random, sent: &Sent) {
    let status = world.status(sent.sequence);
    match random.below(4) {
        0 | 1 => {
            let by = random.pick(&NAMES);
            let _ = world.approve(by, sent.bank, sent.id);
        }
        2 if sent.locked => {
            let _ = world.show(sent.bank, sent.id, random.pick(&["word", "guess"]));
        }
        _ => {
            let _ = world.cancel(sent.bank, sent.id);
        }
    }
    let after = world.status(sent.sequence);
    let settled = after.starts_with("settled") && !status.starts_with("settled");
    assert!(!settled || !["not before", "held"].contains(&status.as_str()));
}

fn step(world: &mut World, random: &mut Random, sent: &[Sent]) {
    match random.below(12) {
        0..=4 => {
            let at = usize::try_from(random.below(sent.len() as u64)).unwrap();
            touch(world, random, &sent[at]);
        }
        5 | 6 => {
            let (bank, amount) = (random.pick(&NAMES), 1 + random.below(9));
            world.money(&format!("deposit {bank} {amount}.00 EUR"));
        }
        7 => world.suspend(random.pick(&NAMES)),
        8 | 9 => NAMES.iter().for_each(|bank| world.reinstate(bank)),
        _ => {
            world.now.0 += i64::try_from(random.below(20 * 60_000)).unwrap();
            world.tick();
        }
    }
}

/// The cycle's steps, at whatever time it is.
fn work_cycle(world: &mut World, random: &mut Random) {
    for action in [
        Action::CloseCycle(cycle(1)),
        Action::NetCycle(cycle(1)),
        Action::SettleCycle(cycle(1)),
    ] {
        let _ = world.operate(action);
        let bank = random.pick(&NAMES);
        world.money(&format!("pay-in {bank} {}.00 EUR 1", 1 + random.below(40)));
        world.run();
    }
}

#[test]
fn random_days_replay_and_are_followed() {
    for seed in 0..150 {
        let random = &mut Random(seed << 32);
        let mut world = World::with_cycle();
        let mut sent = Vec::new();
        for id in 0..60 {
            sent.push(send(&mut world, random, id));
            step(&mut world, random, &sent);
            step(&mut world, random, &sent);
            if random.below(8) == 0 {
                work_cycle(&mut world, random);
            }
        }
        // At the end of the day nothing waits but what a cycle holds.
        NAMES.iter().for_each(|bank| world.reinstate(bank));
        world.at(15).tick();
        for one in &sent {
            let status = world.status(one.sequence);
            let open = [
                "approval",
                "preimage",
                "not before",
                "group",
                "order",
                "liquidity",
            ];
            assert!(!open.contains(&status.as_str()), "seed {seed}: {status}");
        }
        world.finish();
    }
}
