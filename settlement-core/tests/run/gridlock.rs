//! Scenarios of Project Ubin phase 2 (test report, published with the prototypes): one currency, no
//! overdraft; what settles with queue order kept.

use crate::support::*;
use settlement_core::run::{Leg, settle};

/// Opening balances, the queue as (from, to, amount), what settles, closing balances; banks and queue
/// entries count from 1, as in the report.
type Scenario<'a> = (
    &'a str,
    &'a [i64],
    &'a [(u32, u32, i64)],
    &'a [u32],
    &'a [i128],
);

#[rustfmt::skip]
const SCENARIOS: &[Scenario] = &[
    ("1_1", &[0, 0], &[(2, 1, 2), (1, 2, 2)], &[1, 2], &[0, 0]),
    ("1_3", &[5, 6], &[(1, 2, 8), (2, 1, 10), (2, 1, 20), (1, 2, 17)], &[1, 2, 3, 4], &[10, 1]),
    ("2_2", &[10, 8], &[(1, 2, 20), (2, 1, 15), (1, 2, 30), (1, 2, 15), (2, 1, 80)], &[1, 2], &[5, 13]),
    ("3_1", &[0, 0, 0], &[(1, 3, 2), (2, 3, 3), (3, 2, 5), (2, 1, 2)], &[1, 2, 3, 4], &[0, 0, 0]),
    ("3_3", &[3, 4, 5], &[(1, 2, 5), (2, 1, 7), (2, 3, 8), (3, 2, 7)], &[1, 2, 3, 4], &[5, 1, 6]),
    ("4_2", &[5, 6, 7],
     &[(1, 2, 8), (2, 3, 7), (3, 1, 9), (1, 2, 20), (2, 1, 7), (1, 2, 40), (2, 3, 80), (3, 2, 10)],
     &[1, 2, 3, 5], &[13, 0, 5]),
    ("4_4", &[5, 6, 7], &[(3, 2, 9), (2, 3, 8), (1, 2, 7), (2, 1, 20)], &[1, 2], &[5, 7, 6]),
    ("5_2", &[0, 0, 0, 0, 0],
     &[(1, 2, 2), (2, 3, 3), (3, 4, 5), (4, 5, 6), (5, 1, 2), (5, 2, 1), (5, 3, 2), (5, 4, 1)],
     &[1, 2, 3, 4, 5, 6, 7, 8], &[0, 0, 0, 0, 0]),
    ("5_4", &[3, 4, 5, 8, 3],
     &[(5, 1, 8), (5, 4, 9), (4, 5, 15), (1, 2, 14), (2, 3, 15), (3, 1, 10)],
     &[1, 2, 3, 4, 5, 6], &[7, 3, 10, 2, 1]),
    ("6_2", &[3, 4, 5, 4, 3],
     &[(1, 5, 8), (5, 4, 9), (4, 1, 10), (1, 2, 15), (2, 3, 6), (3, 1, 7)],
     &[1, 2, 3], &[5, 4, 5, 3, 2]),
    ("7_1", &[3, 4, 5, 4, 3],
     &[(1, 2, 8), (2, 3, 10), (3, 4, 20), (4, 5, 30), (5, 1, 40)],
     &[], &[3, 4, 5, 4, 3]),
    ("7_3", &[3, 4, 5, 4, 3],
     &[(1, 2, 15), (2, 3, 6), (3, 1, 7), (1, 5, 8), (5, 4, 9), (4, 1, 20)],
     &[], &[3, 4, 5, 4, 3]),
];

#[test]
fn settles_what_the_report_settles_with_order_kept() {
    for &(name, opening, queue, settled, closing) in SCENARIOS {
        let unit = |&(from, to, amount): &(u32, u32, i64)| vec![leg(from - 1, to - 1, amount)];
        let units: Vec<Vec<Leg>> = queue.iter().map(unit).collect();
        let outcome = settle(&problem(opening, &units));
        let found: Vec<u32> = outcome.settled.iter_set().map(|unit| unit + 1).collect();
        assert_eq!(found, settled, "{name}");
        assert_eq!(outcome.closing, closing, "{name}");
    }
}
