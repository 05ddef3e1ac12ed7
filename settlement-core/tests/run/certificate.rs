//! Certificates hold for what the run decides, and for nothing else.

use crate::support::*;
use settlement_core::certificate::{Certificate, CertificateError, DecodeError, check};
use settlement_core::run::{Bitmap, Cause, Leg, Problem, Removal, settle};
use sha2::{Digest, Sha256};

fn certify(problem: &Problem) -> (Certificate, Bitmap) {
    let outcome = settle(problem);
    (Certificate::new(problem, outcome.removals), outcome.settled)
}

/// Key 0 fails and unit 0 takes 1 and 2 along; then key 3 fails alone. Unit 4 settles.
fn small() -> Problem {
    let units = [
        vec![leg(0, 5, 1), leg(1, 5, 1)],
        vec![leg(1, 5, 1), leg(2, 5, 1)],
        vec![leg(2, 5, 1)],
        vec![leg(3, 5, 50)],
        vec![leg(4, 5, 1)],
    ];
    problem(&[0, 9, 9, 2, 9, 0], &units)
}

#[test]
fn holds_for_every_run() {
    for seed in seeds(8_000) {
        let mut random = Random(seed ^ 0x77);
        let shape = random_shape(&mut random, 60);
        let problem = random_problem(&mut random, shape);
        let (certificate, settled) = certify(&problem);
        assert_eq!(
            check(&problem, &certificate, &settled),
            Ok(()),
            "seed {seed}"
        );
        let bytes = certificate.encode();
        assert_eq!(
            certificate.hash(),
            <[u8; 32]>::from(Sha256::digest(&bytes)),
            "seed {seed}"
        );
        assert_eq!(Certificate::decode(&bytes), Ok(certificate), "seed {seed}");
    }
}

/// Long enough to be replayed in halves.
#[test]
fn a_long_trace_holds_and_a_fault_in_either_half_is_found() {
    let mut random = Random(5);
    let unit = |random: &mut Random| {
        let [debtor, other] = [random.below(300), random.below(299)].map(|at| at as u32);
        let other = if other >= debtor { other + 1 } else { other };
        let amount = 1 + random.below(1_000) as i64;
        vec![leg(debtor, other, amount), leg(other, debtor, amount + 1)]
    };
    let units: Vec<Vec<Leg>> = (0..130_000).map(|_| unit(&mut random)).collect();
    let problem = problem(&[0; 300], &units);
    let (certificate, settled) = certify(&problem);
    assert!(certificate.removals.len() > 120_000);
    assert_eq!(check(&problem, &certificate, &settled), Ok(()));
    let (of_run, outcome) = Certificate::of_run(&problem);
    assert_eq!((&of_run, &outcome.settled), (&certificate, &settled));
    for entry in [0, 1_000, 60_000, 100_000, certificate.removals.len() - 2] {
        let mut other = certificate.clone();
        other.removals.swap(entry, entry + 1);
        let expected = differs(
            entry,
            certificate.removals[entry],
            Some(certificate.removals[entry + 1]),
        );
        assert_eq!(check(&problem, &other, &settled), Err(expected));
    }
}

#[test]
fn every_flipped_bit_and_every_cut_is_refused() {
    let mut problems = vec![small()];
    for seed in 0..40 {
        let mut random = Random(seed ^ 0x3e);
        let shape = random_shape(&mut random, 8);
        problems.push(random_problem(&mut random, shape));
    }
    for problem in &problems {
        let (certificate, settled) = certify(problem);
        let bytes = certificate.encode();
        let refuses = |bytes: &[u8]| match Certificate::decode(bytes) {
            Err(_) => true,
            Ok(other) => check(problem, &other, &settled).is_err(),
        };
        assert!(!refuses(&bytes));
        for bit in 0..bytes.len() * 8 {
            let mut flipped = bytes.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(refuses(&flipped), "bit {bit} of {certificate:?}");
        }
        for length in 0..bytes.len() {
            assert!(
                refuses(&bytes[..length]),
                "length {length} of {certificate:?}"
            );
        }
        assert!(refuses(&[&bytes[..], &[0]].concat()));
    }
}

#[test]
fn every_other_bitmap_is_refused() {
    let problem = small();
    let (certificate, settled) = certify(&problem);
    for unit in 0..problem.unit_count() {
        let mut other = settled.clone();
        if !other.take(unit) {
            other.set(unit);
        }
        let differs = Err(CertificateError::SettledDiffers { unit });
        assert_eq!(check(&problem, &certificate, &other), differs);
    }
    let longer = CertificateError::UnitCountDiffers {
        expected: 5,
        actual: 6,
    };
    assert_eq!(check(&problem, &certificate, &Bitmap::all(6)), Err(longer));
}

#[test]
fn every_other_problem_is_refused() {
    let base = small();
    let (certificate, settled) = certify(&base);
    let units: Vec<Vec<Leg>> = base.units().map(|(_, legs)| legs.to_vec()).collect();
    let (balances, floors) = (base.balances().to_vec(), base.floors().to_vec());
    let refuse = |balances: &[i64], floors: &[i64], units: &[Vec<Leg>]| {
        let other = with_floors(balances, floors, units);
        let differs = Err(CertificateError::InputDiffers);
        assert_eq!(check(&other, &certificate, &settled), differs, "{other:?}");
    };
    for key in 0..balances.len() {
        let (mut richer, mut lower) = (balances.clone(), floors.clone());
        richer[key] += 1;
        lower[key] -= 1;
        refuse(&richer, &floors, &units);
        refuse(&balances, &lower, &units);
    }
    for unit in 0..units.len() {
        let mut other = units.clone();
        other[unit][0].amount += 1;
        refuse(&balances, &floors, &other);
        let mut other = units.clone();
        other.swap(unit, (unit + 1) % units.len());
        refuse(&balances, &floors, &other);
    }
    // The same legs, cut into units differently.
    let merged = [[units[0].clone(), units[1].clone()].concat()];
    refuse(&balances, &floors, &[&merged[..], &units[2..]].concat());
}

fn test(unit: u32, step: u32, key: u32) -> Removal {
    Removal {
        unit,
        step,
        cause: Cause::Test { key },
    }
}

fn order(unit: u32, step: u32, key: u32, behind: u32) -> Removal {
    Removal {
        unit,
        step,
        cause: Cause::Order { key, behind },
    }
}

/// The trace holds `actual` where `forced` must be.
fn differs(entry: usize, forced: Removal, actual: Option<Removal>) -> CertificateError {
    CertificateError::RemovalDiffers {
        entry,
        forced,
        actual,
    }
}

#[test]
fn says_what_is_wrong_with_a_trace() {
    let problem = small();
    let (certificate, settled) = certify(&problem);
    let good = [
        test(0, 0, 0),
        order(1, 0, 1, 0),
        order(2, 0, 2, 1),
        test(3, 1, 3),
    ];
    assert_eq!(certificate.removals, good);
    let [_, one, two, three] = good;
    let check_trace = |removals: &[Removal], error| {
        let other = Certificate {
            removals: removals.to_vec(),
            ..certificate.clone()
        };
        assert_eq!(
            check(&problem, &other, &settled),
            Err(error),
            "{removals:?}"
        );
    };
    // `wrong` follows the first `known` good ones.
    let check_wrong = |known: usize, wrong: Removal| {
        let removals = [&good[..known], &[wrong]].concat();
        check_trace(&removals, differs(known, good[known], Some(wrong)));
    };
    // It ends too soon: while a test fails, while somebody is left behind.
    for known in 0..good.len() {
        check_trace(&good[..known], differs(known, good[known], None));
    }
    // Not the first failing key; a key that passes; keys and units that do not exist; none fails any more.
    check_wrong(0, three);
    check_wrong(0, test(4, 0, 4));
    check_wrong(0, test(0, 0, 99));
    check_wrong(0, test(99, 0, 0));
    let entry = good.len();
    let long = [&good[..], &[test(4, 2, 4)]].concat();
    check_trace(&long, CertificateError::RemovalNotForced { entry });
    // Not the key's last member; one that is gone already; somebody is left behind.
    check_wrong(1, order(2, 0, 1, 0));
    check_wrong(2, one);
    check_wrong(2, three);
    check_wrong(1, two);
    // Behind itself, behind one of another step, on a key which that one does not debit.
    check_wrong(3, order(4, 0, 4, 4));
    check_wrong(3, order(3, 0, 3, 1));
    check_wrong(0, order(0, 0, 0, 1));
    // In another step.
    check_wrong(3, test(3, 0, 3));
    check_wrong(1, order(1, 1, 1, 0));
}

#[test]
fn a_trace_out_of_its_canonical_place_is_refused() {
    // Both orders would prove the same; only one is canonical.
    let units = [
        vec![leg(0, 3, 1), leg(1, 3, 1), leg(2, 3, 1)],
        vec![leg(1, 3, 1)],
        vec![leg(2, 3, 1)],
    ];
    let problem = problem(&[0, 9, 9, 9], &units);
    let (certificate, settled) = certify(&problem);
    let mut swapped = certificate.clone();
    swapped.removals.swap(1, 2);
    assert_eq!(check(&problem, &certificate, &settled), Ok(()));
    let (first, second) = (order(1, 0, 1, 0), order(2, 0, 2, 0));
    let error = Err(differs(1, first, Some(second)));
    assert_eq!(check(&problem, &swapped, &settled), error);
}

/// A forger would send the bitmap that fits the trace.
fn left_by(removals: &[Removal], unit_count: u32) -> Bitmap {
    let mut left = Bitmap::all(unit_count);
    for removal in removals.iter().filter(|removal| removal.unit < unit_count) {
        left.take(removal.unit);
    }
    left
}

#[test]
fn a_forged_trace_with_its_own_bitmap_is_refused() {
    let check_forged = |problem: &Problem, forged: &[Removal], error| {
        let certificate = Certificate::new(problem, forged.to_vec());
        let settled = left_by(forged, problem.unit_count());
        assert_eq!(
            check(problem, &certificate, &settled),
            Err(error),
            "{forged:?}"
        );
    };
    // Unit 0 can pay; to remove it as if it stood behind the later unit 1 would favour its bank.
    let ahead = problem(&[1, 0], &[vec![leg(0, 1, 1)], vec![leg(0, 1, 1)]]);
    check_forged(
        &ahead,
        &[test(1, 0, 0), order(0, 0, 0, 1)],
        CertificateError::RemovalNotForced { entry: 1 },
    );
    // Unit 1 goes in step 0 behind unit 0, although its own test would remove it in step 1.
    let both = problem(
        &[0, 1, 0],
        &[vec![leg(0, 2, 1), leg(1, 2, 1)], vec![leg(1, 2, 5)]],
    );
    check_forged(
        &both,
        &[test(0, 0, 0), test(1, 1, 1)],
        differs(1, order(1, 0, 1, 0), Some(test(1, 1, 1))),
    );
    // Nothing is to be removed at all.
    let fine = problem(&[9, 0], &[vec![leg(0, 1, 1)]]);
    check_forged(
        &fine,
        &[test(0, 0, 0)],
        CertificateError::RemovalNotForced { entry: 0 },
    );
}

#[test]
fn random_changes_of_a_trace_are_refused() {
    let mut refused = 0;
    for seed in seeds(8_000) {
        let mut random = Random(seed ^ 0x99);
        let shape = random_shape(&mut random, if seed % 2 == 0 { 6 } else { 40 });
        let problem = random_problem(&mut random, shape);
        let (certificate, settled) = certify(&problem);
        for _ in 0..4 {
            let mut other = certificate.clone();
            change(&mut other.removals, &problem, &mut random);
            if other != certificate {
                let forged = left_by(&other.removals, problem.unit_count());
                assert!(check(&problem, &other, &settled).is_err(), "seed {seed}");
                assert!(check(&problem, &other, &forged).is_err(), "seed {seed}");
                refused += 1;
            }
        }
    }
    assert!(refused > 10_000, "{refused}");
}

/// One random change; may leave the trace as it was.
fn change(removals: &mut Vec<Removal>, problem: &Problem, random: &mut Random) {
    let count = removals.len() as u64;
    let (units, keys) = (
        u64::from(problem.unit_count()),
        u64::from(problem.account_count()),
    );
    if units == 0 {
        return;
    }
    let unit = random.below(units) as u32;
    let (key, behind) = (random.below(keys) as u32, random.below(units) as u32);
    let step = removals.last().map_or(0, |last| last.step);
    let cause = match random.below(2) {
        0 => test(unit, step + 1, key),
        _ => order(unit, step, key, behind),
    };
    if count == 0 {
        return removals.push(cause);
    }
    let (i, j) = (random.below(count) as usize, random.below(count) as usize);
    match random.below(7) {
        0 => removals.swap(i, j),
        1 => removals.truncate(i),
        2 => drop(removals.remove(i)),
        3 => removals.insert(i, removals[j]),
        4 => removals[i].cause = removals[j].cause,
        5 => removals[i].cause = cause.cause,
        _ => removals.push(cause),
    }
}

#[test]
fn bytes_are_stable() {
    let problem = small();
    let hex = |bytes: &[u8]| {
        bytes
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect::<String>()
    };
    let (certificate, _) = certify(&problem);
    let bytes = certificate.encode();
    assert_eq!(&bytes[..16], b"valuta-run-tr-v1");
    assert_eq!(bytes[16..48], certificate.input_hash);
    let trace = [
        "04000000",                   // removals
        "000000000000000000",         // test: unit 0, key 0
        "01010000000100000000000000", // order: unit 1, key 1, behind 0
        "01020000000200000001000000", // order: unit 2, key 2, behind 1
        "000300000003000000",         // test: unit 3, key 3
    ];
    assert_eq!(hex(&bytes[48..]), trace.concat());
    assert_eq!(problem.hash(), input_hash_by_hand(&problem));
    assert_eq!(
        hex(&problem.hash()),
        "f76387fc80d1f7c5f24d7bd09daf4fdf05d39d054530b229bcd0db956d1e51b3"
    );
    assert_eq!(
        hex(&certificate.hash()),
        "ec1e2e7aacfd22cc2ed902a6d56c5c81351bad896ffa2d385668b755d9bc1795"
    );
}

/// The documented layout, written out naively.
fn input_hash_by_hand(problem: &Problem) -> [u8; 32] {
    let mut bytes = b"valuta-run-in-v2".to_vec();
    let counts = [
        problem.balances().len(),
        problem.assets().len(),
        problem.spans().len(),
        problem.caps().len(),
        problem.unit_count() as usize,
        problem.legs().len(),
    ];
    for count in counts {
        bytes.extend((count as u32).to_le_bytes());
    }
    bytes.push(problem.base_decimals());
    for amount in problem.balances().iter().chain(problem.floors()) {
        bytes.extend(amount.to_le_bytes());
    }
    for asset in problem.assets() {
        bytes.extend(asset.rate.scaled().to_le_bytes());
        bytes.extend(asset.haircut.to_le_bytes());
        bytes.push(asset.decimals);
    }
    for span in problem.spans() {
        bytes.extend((span.accounts.len() as u32).to_le_bytes());
        bytes.push(u8::from(span.aggregate_short_max.is_some()));
        bytes.extend(span.aggregate_short_max.unwrap_or(0).to_le_bytes());
        bytes.push(u8::from(span.account_value));
        for (account, asset) in &span.accounts {
            bytes.extend(account.to_le_bytes());
            bytes.extend(asset.to_le_bytes());
        }
    }
    for cap in problem.caps() {
        bytes.extend(cap.debtor.to_le_bytes());
        bytes.extend(cap.creditor.to_le_bytes());
        bytes.extend(cap.amount.to_le_bytes());
    }
    let mut end = 0;
    for (_, legs) in problem.units() {
        end += legs.len() as u32;
        bytes.extend(end.to_le_bytes());
    }
    for leg in problem.legs() {
        bytes.extend(leg.debtor.to_le_bytes());
        bytes.extend(leg.creditor.to_le_bytes());
        bytes.extend(leg.amount.to_le_bytes());
    }
    Sha256::digest(&bytes).into()
}

#[test]
fn long_inputs_hash_as_documented() {
    let mut random = Random(5);
    let shape = Shape {
        participants: 900,
        assets: 3,
        units_max: 9_000,
        legs_max: 3,
    };
    let problem = random_problem(&mut random, shape);
    assert!(
        problem.legs().len() > 2_048,
        "more than one chunk of each table"
    );
    assert_eq!(problem.hash(), input_hash_by_hand(&problem));
    let (certificate, settled) = certify(&problem);
    assert_eq!(check(&problem, &certificate, &settled), Ok(()));
    let digest = <[u8; 32]>::from(Sha256::digest(certificate.encode()));
    assert_eq!(certificate.hash(), digest);
}

#[test]
fn says_where_bytes_are_wrong() {
    let problem = small();
    let bytes = certify(&problem).0.encode();
    let refuse = |bytes: &[u8], error| assert_eq!(Certificate::decode(bytes), Err(error));
    let changed = |index: usize, value: u8| {
        let mut changed = bytes.clone();
        changed[index] = value;
        changed
    };
    refuse(
        &[],
        DecodeError::Truncated {
            field: "magic",
            offset: 0,
        },
    );
    refuse(
        &bytes[..40],
        DecodeError::Truncated {
            field: "input hash",
            offset: 16,
        },
    );
    refuse(
        &bytes[..51],
        DecodeError::Truncated {
            field: "number of removals",
            offset: 48,
        },
    );
    refuse(
        &bytes[..52],
        DecodeError::Truncated {
            field: "removal's tag",
            offset: 52,
        },
    );
    refuse(
        &bytes[..60],
        DecodeError::Truncated {
            field: "removal's key",
            offset: 57,
        },
    );
    refuse(
        &bytes[..70],
        DecodeError::Truncated {
            field: "removal's unit ahead",
            offset: 70,
        },
    );
    refuse(&changed(0, b'V'), DecodeError::MagicWrong);
    refuse(
        &changed(61, 2),
        DecodeError::TagUnknown { offset: 61, tag: 2 },
    );
    refuse(&changed(52, 1), DecodeError::FirstMustBeTest { offset: 52 });
    refuse(
        &[&bytes[..], &[0]].concat(),
        DecodeError::TrailingBytes {
            offset: bytes.len(),
        },
    );
    // A count that no text of this length can hold claims no memory.
    let count_max = [&bytes[..48], &[0xff; 4]].concat();
    refuse(
        &count_max,
        DecodeError::Truncated {
            field: "removal's tag",
            offset: 52,
        },
    );
}
