//! Certificates that were tampered with, over all mixes: each is refused, unless it says the same.

use crate::mixes::{MIXES, Mix, Parts, random_parts};
use crate::support::*;
use fx::ValuationRate;
use settlement_core::certificate::{Certificate, CertificateError, check};
use settlement_core::run::{Bitmap, Cause, FLOOR_NONE, Problem, Removal, settle};

/// Small problems of all mixes of which something is left behind.
fn cases(count: u64, salt: u64) -> impl Iterator<Item = (u64, Parts)> {
    seeds(count).filter_map(move |seed| {
        let mut random = Random(seed ^ salt << 40);
        let parts = random_parts(&mut random, Mix::numbered(seed % MIXES), 6);
        let removals = settle(&parts.build()).removals;
        (!removals.is_empty()).then_some((seed, parts))
    })
}

fn certify(problem: &Problem) -> (Certificate, Bitmap) {
    let outcome = settle(problem);
    (Certificate::new(problem, outcome.removals), outcome.settled)
}

#[test]
fn every_flipped_bit_is_refused() {
    for (seed, parts) in cases(2_000, 1) {
        let problem = parts.build();
        let (certificate, settled) = certify(&problem);
        let bytes = certificate.encode();
        for bit in 0..bytes.len() * 8 {
            let mut flipped = bytes.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            let passes = Certificate::decode(&flipped)
                .is_ok_and(|other| check(&problem, &other, &settled).is_ok());
            assert!(!passes, "seed {seed} bit {bit}");
        }
    }
}

#[test]
fn every_other_settled_set_is_refused() {
    for (seed, parts) in cases(4_000, 2) {
        let problem = parts.build();
        let (certificate, settled) = certify(&problem);
        for bits in 0..1_u64 << problem.unit_count() {
            let mut other = Bitmap::none(problem.unit_count());
            let units = (0..problem.unit_count()).filter(|unit| bits >> unit & 1 == 1);
            units.for_each(|unit| other.set(unit));
            let passes = check(&problem, &certificate, &other).is_ok();
            assert_eq!(passes, other == settled, "seed {seed} set {bits:b}");
        }
    }
}

/// Every trace that is one change away: an entry dropped, doubled, moved, or any of its fields changed.
fn neighbours(trace: &[Removal], problem: &Problem) -> Vec<Vec<Removal>> {
    let mut all = Vec::new();
    for (entry, removal) in trace.iter().enumerate() {
        let mut dropped = trace.to_vec();
        dropped.remove(entry);
        all.push(dropped);
        all.push(trace[..entry].to_vec());
        for place in 0..=trace.len() {
            let mut doubled = trace.to_vec();
            doubled.insert(place, *removal);
            all.push(doubled);
        }
        for other in 0..trace.len() {
            let mut moved = trace.to_vec();
            let removal = moved.remove(entry);
            moved.insert(other, removal);
            all.push(moved);
        }
        for changed in changed_entries(*removal, problem) {
            let mut other = trace.to_vec();
            other[entry] = changed;
            all.push(other);
        }
    }
    all
}

/// The entry with any other unit, step or cause, known or not.
fn changed_entries(removal: Removal, problem: &Problem) -> Vec<Removal> {
    let (units, keys) = (0..=problem.unit_count(), 0..=problem.account_count());
    let orders = keys.clone().flat_map(|key| {
        units
            .clone()
            .map(move |behind| Cause::Order { key, behind })
    });
    let causes = keys.clone().map(|key| Cause::Test { key }).chain(orders);
    let mut all: Vec<Removal> = causes.map(|cause| Removal { cause, ..removal }).collect();
    all.extend(units.map(|unit| Removal { unit, ..removal }));
    let steps = [removal.step + 1, removal.step.wrapping_sub(1)];
    all.extend(steps.map(|step| Removal { step, ..removal }));
    all
}

#[test]
fn every_other_trace_is_refused_even_with_the_set_that_it_leaves() {
    let mut refused = 0;
    for (seed, parts) in cases(1_500, 3) {
        let problem = parts.build();
        let (certificate, settled) = certify(&problem);
        for removals in neighbours(&certificate.removals, &problem) {
            let is_same = removals == certificate.removals;
            let mut left = Bitmap::all(problem.unit_count());
            let known = removals
                .iter()
                .filter(|removal| removal.unit < problem.unit_count());
            known.for_each(|removal| _ = left.take(removal.unit));
            let other = Certificate::new(&problem, removals);
            for set in [&settled, &left] {
                let passes = check(&problem, &other, set).is_ok();
                assert_eq!(passes, is_same, "seed {seed} {other:?}");
            }
            refused += u32::from(!is_same);
        }
    }
    assert!(refused > 50_000, "{refused}");
}

/// Every input that is one change of one field away.
fn other_inputs(parts: &Parts) -> Vec<Parts> {
    let mut all = Vec::new();
    let mut change = |change: &dyn Fn(&mut Parts)| {
        let mut other = parts.clone();
        change(&mut other);
        all.push(other);
    };
    for account in 0..parts.balances.len() {
        change(&|other| other.balances[account] += 1);
        change(&|other| other.balances[account] -= 1);
        change(&|other| other.floors[account] = other.floors[account].wrapping_add(1));
        change(&|other| other.floors[account] ^= FLOOR_NONE);
    }
    change(&|other| other.base_decimals += 1);
    for asset in 0..parts.assets.len() {
        change(&|other| {
            let rate = &mut other.assets[asset].rate;
            *rate = ValuationRate::from_scaled(rate.scaled() + 1).unwrap();
        });
        change(&|other| other.assets[asset].haircut ^= 1);
        change(&|other| other.assets[asset].decimals ^= 1);
    }
    change(&|other| other.assets.truncate(parts.assets.len() - 1));
    for span in 0..parts.spans.len() {
        change(&|other| {
            let limit = &mut other.spans[span].aggregate_short_max;
            *limit = limit.map_or(Some(0), |_| None);
        });
        change(&|other| {
            let limit = &mut other.spans[span].aggregate_short_max;
            *limit = limit.map(|limit| limit + 1);
        });
        change(&|other| other.spans[span].account_value ^= true);
        change(&|other| other.spans[span].accounts.rotate_left(1));
        change(&|other| drop(other.spans.remove(span)));
    }
    for cap in 0..parts.caps.len() {
        change(&|other| other.caps[cap].amount += 1);
        change(&|other| _ = other.caps.remove(cap));
    }
    for unit in 0..parts.units.len() {
        for leg in 0..parts.units[unit].len() {
            change(&|other| other.units[unit][leg].amount += 1);
            change(&|other| {
                let leg = &mut other.units[unit][leg];
                std::mem::swap(&mut leg.debtor, &mut leg.creditor);
            });
        }
        change(&|other| drop(other.units.remove(unit)));
        change(&|other| other.units.swap(unit, 0));
    }
    all
}

#[test]
fn every_other_input_is_refused() {
    let (mut refused, mut same) = (0, 0);
    for (seed, parts) in cases(1_500, 4) {
        let problem = parts.build();
        let (certificate, settled) = certify(&problem);
        let others = other_inputs(&parts).into_iter();
        // What is no problem at all is refused before; a swap may change nothing.
        let others = others.filter_map(|other| other.try_build().ok());
        for other in others.filter(|other| *other != problem) {
            let verdict = check(&other, &certificate, &settled);
            assert_eq!(
                verdict,
                Err(CertificateError::InputDiffers),
                "seed {seed} {other:?}"
            );
            // With the other input's hash it holds only where the run says the very same.
            let forged = Certificate::new(&other, certificate.removals.clone());
            let verdict = check(&other, &forged, &settled);
            let outcome = settle(&other);
            let is_same = outcome.removals == forged.removals && outcome.settled == settled;
            assert_eq!(verdict.is_ok(), is_same, "seed {seed} {other:?}");
            refused += u32::from(!is_same);
            same += u32::from(is_same);
        }
    }
    assert!(refused > 5_000 && same > 5_000, "{refused} {same}");
}
