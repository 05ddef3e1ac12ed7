//! What must not change what settles, and what may change it one way only, over all mixes.

use crate::mixes::{MIXES, Mix, Parts, random_parts};
use crate::naive::Set;
use crate::support::*;
use fx::ValuationRate;
use settlement_core::certificate::{Certificate, check};
use settlement_core::run::{
    AssetValue, Bitmap, Cap, Cause, FLOOR_NONE, Leg, Outcome, RATE_SCALED_MAX, Removal, Span,
    settle,
};

/// Every mix in turn; the random numbers go on after the parts.
fn random_case(seed: u64, salt: u64, units_max: u64) -> (Parts, Random) {
    let mut random = Random(seed ^ salt << 40);
    let parts = random_parts(&mut random, Mix::numbered(seed % MIXES), units_max);
    (parts, random)
}

fn settled(outcome: &Outcome) -> Set {
    outcome.settled.iter_set().map(|unit| 1 << unit).sum()
}

#[test]
fn more_money_or_room_never_settles_less() {
    let mut more = 0;
    for seed in seeds(20_000) {
        let (parts, mut random) = random_case(seed, 1, 30);
        let before = settled(&settle(&parts.build()));
        let mut richer = parts.clone();
        for balance in &mut richer.balances {
            *balance += random.between(0, 4);
        }
        let mut roomier = parts;
        let floors = roomier.floors.iter_mut();
        let floors = floors.filter(|floor| **floor != FLOOR_NONE);
        floors.for_each(|floor| *floor -= random.between(0, 4));
        for span in &mut roomier.spans {
            let limit = span.aggregate_short_max;
            span.aggregate_short_max = limit.map(|limit| limit + random.between(0, 4));
        }
        for cap in &mut roomier.caps {
            cap.amount += random.between(0, 4);
        }
        for other in [richer, roomier] {
            let after = settled(&settle(&other.build()));
            assert_eq!(before & !after, 0, "seed {seed}");
            more += u32::from(after != before);
        }
    }
    assert!(more > 5_000, "{more}");
}

/// All amounts of money times `factor`.
fn scaled(parts: &Parts, factor: i64) -> Parts {
    let mut scaled = parts.clone();
    scaled
        .balances
        .iter_mut()
        .for_each(|balance| *balance *= factor);
    let floors = scaled
        .floors
        .iter_mut()
        .filter(|floor| **floor != FLOOR_NONE);
    floors.for_each(|floor| *floor *= factor);
    for span in &mut scaled.spans {
        span.aggregate_short_max = span.aggregate_short_max.map(|limit| limit * factor);
    }
    scaled.caps.iter_mut().for_each(|cap| cap.amount *= factor);
    scaled
        .units
        .iter_mut()
        .flatten()
        .for_each(|leg| leg.amount *= factor);
    scaled
}

#[test]
fn scaling_all_amounts_changes_no_removal() {
    // The largest makes sums of values that only 256 bits hold.
    for factor in [2, 1_000, 999_999_999_989, 10_000_000_000_000_000] {
        for seed in seeds(4_000) {
            let (parts, _) = random_case(seed, 2, 30);
            let before = settle(&parts.build());
            let problem = scaled(&parts, factor).build();
            let after = settle(&problem);
            assert_eq!(
                after.removals, before.removals,
                "seed {seed} factor {factor}"
            );
            let closing: Vec<i128> = before
                .closing
                .iter()
                .map(|balance| balance * i128::from(factor))
                .collect();
            assert_eq!(after.closing, closing, "seed {seed} factor {factor}");
        }
    }
}

#[test]
fn another_base_asset_of_the_same_worth_changes_no_removal() {
    // All rates times a thousand, and so all limits in the base asset.
    for seed in seeds(10_000) {
        let (parts, _) = random_case(seed, 3, 30);
        let mut other = parts.clone();
        for asset in &mut other.assets {
            asset.rate = ValuationRate::from_scaled(asset.rate.scaled() * 1_000).unwrap();
        }
        for span in &mut other.spans {
            span.aggregate_short_max = span.aggregate_short_max.map(|limit| limit * 1_000);
        }
        let (before, after) = (settle(&parts.build()), settle(&other.build()));
        assert_eq!(after, before, "seed {seed}");
    }
}

/// `from[place]` goes to `places[place]`.
fn permuted<T: Clone>(from: &[T], places: &[u32]) -> Vec<T> {
    let mut to = from.to_vec();
    for (item, &place) in from.iter().zip(places) {
        to[place as usize] = item.clone();
    }
    to
}

fn permutation(random: &mut Random, count: usize) -> Vec<u32> {
    let mut places: Vec<u32> = (0..count as u32).collect();
    for last in (1..count).rev() {
        places.swap(last, random.below(last as u64 + 1) as usize);
    }
    places
}

/// The same, with account `a` called `names[a]`, assets and spans in another order.
fn renamed(parts: &Parts, names: &[u32], random: &mut Random) -> Parts {
    let name = |account: u32| names[account as usize];
    let assets = permutation(random, parts.assets.len());
    let span = |span: &Span| Span {
        accounts: span
            .accounts
            .iter()
            .map(|&(account, asset)| (name(account), assets[asset as usize]))
            .collect(),
        ..span.clone()
    };
    let spans: Vec<Span> = parts.spans.iter().map(span).collect();
    let leg = |held: &Leg| leg(name(held.debtor), name(held.creditor), held.amount);
    let cap = |cap: &Cap| Cap {
        debtor: name(cap.debtor),
        creditor: name(cap.creditor),
        ..*cap
    };
    Parts {
        balances: permuted(&parts.balances, names),
        floors: permuted(&parts.floors, names),
        base_decimals: parts.base_decimals,
        assets: permuted(&parts.assets, &assets),
        spans: permuted(&spans, &permutation(random, spans.len())),
        caps: parts.caps.iter().map(cap).rev().collect(),
        units: parts
            .units
            .iter()
            .map(|legs| legs.iter().map(leg).collect())
            .collect(),
    }
}

#[test]
fn renaming_changes_nothing_but_names() {
    for seed in seeds(20_000) {
        let (parts, mut random) = random_case(seed, 4, 30);
        let names = permutation(&mut random, parts.balances.len());
        let other = renamed(&parts, &names, &mut random);
        let (before, after) = (settle(&parts.build()), settle(&other.build()));
        let rename = |removal: &Removal| Removal {
            cause: match removal.cause {
                Cause::Test { key } => Cause::Test {
                    key: names[key as usize],
                },
                Cause::Order { key, behind } => Cause::Order {
                    key: names[key as usize],
                    behind,
                },
            },
            ..*removal
        };
        let removals: Vec<Removal> = before.removals.iter().map(rename).collect();
        assert_eq!(after.removals, removals, "seed {seed}");
        assert_eq!(
            after.closing,
            permuted(&before.closing, &names),
            "seed {seed}"
        );
        assert_eq!(after.settled, before.settled, "seed {seed}");
    }
}

/// Opening balances (and what caps leave) as after those units have settled; the others stay in line.
fn continued(parts: &Parts, outcome: &Outcome) -> Parts {
    let mut later = parts.clone();
    later.balances = outcome
        .closing
        .iter()
        .map(|&balance| balance as i64)
        .collect();
    let place = |unit: usize| outcome.settled.get(unit as u32);
    for cap in &mut later.caps {
        let legs = (0..parts.units.len()).filter(|&unit| place(unit));
        for leg in legs.flat_map(|unit| &parts.units[unit]) {
            let pair = (leg.debtor, leg.creditor);
            if pair == (cap.debtor, cap.creditor) {
                cap.amount -= leg.amount;
            }
            if pair == (cap.creditor, cap.debtor) {
                cap.amount += leg.amount;
            }
        }
    }
    let units = (0..parts.units.len()).filter(|&unit| !place(unit));
    later.units = units.map(|unit| parts.units[unit].clone()).collect();
    later
}

#[test]
fn what_is_left_after_a_run_does_not_settle_in_another() {
    // Nothing that could settle was left: with the closing balances the rest stays where it is.
    for seed in seeds(20_000) {
        let (parts, _) = random_case(seed, 5, 30);
        let outcome = settle(&parts.build());
        let again = settle(&continued(&parts, &outcome).build());
        assert_eq!(again.settled.set_count(), 0, "seed {seed}");
        assert_eq!(again.closing, outcome.closing, "seed {seed}");
    }
}

#[test]
fn splitting_a_history_changes_nothing() {
    // A first run over a prefix of the queue, then one over all that is left: together they settle what
    // one run does. What settles early is feasible in the whole; the rest debits only keys that are tested.
    let mut split = 0;
    for seed in seeds(20_000) {
        let (parts, mut random) = random_case(seed, 6, 30);
        let whole = settle(&parts.build());
        let count = parts.units.len() as u32;
        let mut first = parts.clone();
        first
            .units
            .truncate(random.below(u64::from(count) + 1) as usize);
        let mut early = settle(&first.build());
        let mut done = Bitmap::none(count);
        early.settled.iter_set().for_each(|unit| done.set(unit));
        early.settled = done;
        let late = settle(&continued(&parts, &early).build());
        let left: Vec<u32> = (0..count)
            .filter(|&unit| !early.settled.get(unit))
            .collect();
        let late_set: Set = late
            .settled
            .iter_set()
            .map(|unit| 1 << left[unit as usize])
            .sum();
        assert_eq!(settled(&early) | late_set, settled(&whole), "seed {seed}");
        assert_eq!(late.closing, whole.closing, "seed {seed}");
        split += u32::from(late_set != 0 && settled(&early) != 0);
    }
    assert!(split > 2_000, "{split}");
}

#[test]
fn threads_and_repetitions_answer_the_same_bytes() {
    let parts: Vec<Parts> = (0..64).map(|seed| random_case(seed * 5, 7, 60).0).collect();
    let answer = |parts: &Parts| {
        let problem = parts.build();
        let outcome = settle(&problem);
        let settled = outcome.settled.to_bytes();
        let bytes = Certificate::new(&problem, outcome.removals).encode();
        (settled, bytes, outcome.closing)
    };
    let expected: Vec<_> = parts.iter().map(answer).collect();
    for threads in [1, 2, 5, 8] {
        std::thread::scope(|scope| {
            for thread in 0..threads {
                let (parts, expected) = (&parts, &expected);
                scope.spawn(move || {
                    // Each thread starts elsewhere, so the same problem is never run in step.
                    for turn in 0..parts.len() {
                        let index = (turn + thread * 11) % parts.len();
                        assert_eq!(answer(&parts[index]), expected[index], "problem {index}");
                    }
                });
            }
        });
    }
}

#[test]
fn the_wide_way_and_the_narrow_way_agree() {
    for seed in seeds(10_000) {
        let (parts, _) = random_case(seed, 8, 30);
        let narrow = settle(&parts.build());
        // One more account, in a span of its own, with a weight and a balance that no 128 bits hold.
        let mut wide = parts.clone();
        let account = wide.balances.len() as u32;
        wide.balances.push(i64::MAX);
        wide.floors.push(FLOOR_NONE);
        wide.assets.push(AssetValue {
            rate: ValuationRate::from_scaled(RATE_SCALED_MAX).unwrap(),
            haircut: 9_999,
            decimals: 0,
        });
        wide.spans.push(Span {
            accounts: vec![(account, wide.assets.len() as u32 - 1)],
            aggregate_short_max: Some(i64::MAX),
            account_value: true,
        });
        let problem = wide.build();
        let outcome = settle(&problem);
        assert_eq!(outcome.removals, narrow.removals, "seed {seed}");
        assert_eq!(
            outcome.closing[..parts.balances.len()],
            narrow.closing,
            "seed {seed}"
        );
        let certificate = Certificate::new(&problem, outcome.removals);
        let verdict = check(&problem, &certificate, &outcome.settled);
        assert_eq!(verdict, Ok(()), "seed {seed}");
    }
}
