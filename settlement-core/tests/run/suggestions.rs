//! Netting products: the day's curve, swaps and compression keep what they must keep.

use std::collections::BTreeMap;

use fx::I256;
use settlement_core::netting::{
    Circle, MultilateralNets, NettingError, Obligation, Owner, Owners, RATE_SCALE, Swap, Valuation,
    compress, curves, multilateral, swaps,
};
use settlement_core::run::Leg;

use crate::naive::Naive;
use crate::support::*;

const PARTICIPANTS: u32 = 5;
const ASSETS: u32 = 3;

fn owners() -> Owners {
    let owner = |key| Owner {
        participant: key / ASSETS,
        asset: key % ASSETS,
    };
    let owners = (0..PARTICIPANTS * ASSETS).map(owner).collect();
    Owners::new(owners, PARTICIPANTS, ASSETS).unwrap()
}

fn shape() -> Shape {
    Shape {
        participants: PARTICIPANTS.into(),
        assets: ASSETS.into(),
        units_max: 30,
        legs_max: 4,
    }
}

fn random_legs(random: &mut Random) -> Vec<Leg> {
    random_problem(random, shape()).legs().to_vec()
}

#[test]
fn a_curve_is_what_an_account_holds_unit_by_unit() {
    let mut below = 0;
    for seed in seeds(1_000) {
        let problem = random_problem(&mut Random(seed ^ 0x11), shape());
        let naive = Naive::new(&problem);
        for curve in curves(&problem) {
            let account = curve.account;
            assert_eq!(
                curve.opening,
                i128::from(problem.balances()[account as usize])
            );
            for point in &curve.points {
                let set = naive.all() & ((2 << point.unit) - 1);
                let held = naive.closing(set)[account as usize];
                assert_eq!(point.balance, held, "seed {seed}");
            }
            assert_eq!(
                curve.closing(),
                naive.closing(naive.all())[account as usize]
            );
            let balances = curve.points.iter().map(|point| point.balance);
            let least = balances.chain([curve.opening]).min().unwrap();
            let lowest = curve.lowest().map_or(curve.opening, |point| point.balance);
            assert_eq!(
                (lowest, curve.funding()),
                (least, (-least).max(0)),
                "seed {seed}"
            );
            below += u32::from(curve.lowest().is_some());
        }
    }
    assert!(below > 100, "{below}");
}

/// Legs of one unit move together: what comes in with what goes out leaves no low point.
#[test]
fn a_unit_moves_at_once() {
    let legs = vec![leg(0, 1, 5), leg(2, 0, 5)];
    let told = curves(&problem(&[0, 0, 5], &[legs, vec![leg(1, 0, 2)]]));
    assert_eq!(
        told[0].points.len(),
        1,
        "an account that nets to nothing does not move"
    );
    assert_eq!((told[0].funding(), told[0].closing()), (0, 2));
    assert_eq!(told[1].lowest(), None);
    assert_eq!(
        told[2].lowest().map(|point| (point.unit, point.balance)),
        Some((0, 0))
    );
}

fn valuations(random: &mut Random) -> Vec<Valuation> {
    let rates = [1, 2, 3, 5, 110].map(|rate| rate * RATE_SCALE / 100);
    let mut valuation = |decimals| Valuation {
        rate_scaled: rates[random.below(5) as usize],
        decimals,
    };
    vec![valuation(2), valuation(2), valuation(1)]
}

/// In 10^-20 of the base currency, as it is defined.
fn value(valuation: &Valuation, minor: i128) -> I256 {
    let rate = I256::from(valuation.rate_scaled);
    rate * I256::from(minor) * I256::from(10_i64.pow(u32::from(8 - valuation.decimals)))
}

type Positions = BTreeMap<(u32, u32), i128>;

fn make(positions: &mut Positions, swap: &Swap) {
    let mut change = |participant, asset, by: i128| {
        *positions.entry((participant, asset)).or_default() += by;
    };
    change(swap.participant, swap.received, swap.received_amount);
    change(swap.with, swap.received, -swap.received_amount);
    change(swap.participant, swap.given, -swap.given_amount);
    change(swap.with, swap.given, swap.given_amount);
}

fn total(positions: &Positions, participant: u32, valuations: &[Valuation]) -> I256 {
    let own = positions
        .iter()
        .filter(|((owner, _), _)| *owner == participant);
    own.map(|(&(_, asset), &minor)| value(&valuations[asset as usize], minor))
        .sum()
}

#[test]
fn swaps_lower_pay_ins_and_change_no_total() {
    let mut made = 0;
    for seed in seeds(1_500) {
        let mut random = Random(seed ^ 0x5a);
        let legs = random_legs(&mut random);
        let valuations = valuations(&mut random);
        let nets = multilateral(legs, &owners()).unwrap();
        let mut funds: Positions = BTreeMap::new();
        for (participant, asset, _) in nets.iter() {
            funds.insert((participant, asset), random.between(-3, 10).into());
        }
        let fund = |participant, asset| funds[&(participant, asset)];
        let suggested = swaps(&nets, fund, &valuations).unwrap();
        let mut positions: Positions = nets
            .iter()
            .map(|(participant, asset, net)| ((participant, asset), fund(participant, asset) + net))
            .collect();
        for swap in &suggested {
            check_swap(&mut positions, swap, &valuations, seed);
        }
        assert!(!any_swap_is_left(&positions, &valuations), "seed {seed}");
        made += suggested.len();
    }
    assert!(made > 500, "{made}");
}

fn check_swap(positions: &mut Positions, swap: &Swap, valuations: &[Valuation], seed: u64) {
    let before = positions.clone();
    make(positions, swap);
    for participant in 0..PARTICIPANTS {
        let totals = [&before, &*positions].map(|at| total(at, participant, valuations));
        assert_eq!(totals[0], totals[1], "seed {seed}");
    }
    for (place, &after) in &*positions {
        let owed = before[place];
        assert!(after >= owed.min(0), "seed {seed}: no pay-in grows");
        assert!(after <= owed.max(0), "seed {seed}: no pay-out grows");
    }
    let received = (swap.participant, swap.received);
    assert!(positions[&received] > before[&received], "seed {seed}");
}

/// Whether two banks could still swap one step of two assets.
fn any_swap_is_left(positions: &Positions, valuations: &[Valuation]) -> bool {
    let held = |participant, asset| positions[&(participant, asset)];
    let mut pairs = (0..PARTICIPANTS).flat_map(|p| (0..PARTICIPANTS).map(move |q| (p, q)));
    pairs.any(|(p, q)| {
        let mut assets = (0..ASSETS).flat_map(|x| (0..ASSETS).map(move |y| (x, y)));
        assets.any(|(x, y)| {
            let take = (-held(p, x)).min(held(q, x));
            let give = held(p, y).min(-held(q, y));
            p != q
                && x != y
                && (1..=take).any(|taken| {
                    let worth = value(&valuations[x as usize], taken);
                    let one = value(&valuations[y as usize], 1);
                    worth % one == I256::ZERO && worth / one <= I256::from(give)
                })
        })
    })
}

fn trade(from: u32, to: u32, asset: u32, amount: i64) -> Leg {
    leg(from * ASSETS + asset, to * ASSETS + asset, amount)
}

fn nets_of(legs: &[Leg]) -> MultilateralNets {
    multilateral(legs.iter().copied(), &owners()).unwrap()
}

/// A is short of dollars and long of euros, B the other way around; a euro is 1.10 dollars.
#[test]
fn the_larger_pay_in_is_lowered_by_whole_steps() {
    let nets = nets_of(&[trade(0, 1, 0, 1_000), trade(1, 0, 1, 500)]);
    let rate = |rate_scaled| Valuation {
        rate_scaled,
        decimals: 2,
    };
    let valuations = [
        rate(RATE_SCALE),
        rate(RATE_SCALE * 11 / 10),
        rate(RATE_SCALE),
    ];
    let swap = Swap {
        participant: 0,
        with: 1,
        received: 0,
        received_amount: 550,
        given: 1,
        given_amount: 500,
    };
    assert_eq!(swaps(&nets, |_, _| 0, &valuations), Ok(vec![swap]));
    // 1.000000000001: eleven digits have no small common measure with one dollar.
    let odd = [rate(RATE_SCALE), rate(RATE_SCALE + 1), rate(RATE_SCALE)];
    assert_eq!(swaps(&nets, |_, _| 0, &odd), Ok(vec![]));
    let missing = NettingError::ValuationsMissing {
        expected: 3,
        actual: 2,
    };
    assert_eq!(swaps(&nets, |_, _| 0, &odd[..2]), Err(missing));
}

#[test]
fn compression_keeps_every_net_and_leaves_no_circle() {
    let mut long = 0;
    for seed in seeds(1_500) {
        let legs = random_legs(&mut Random(seed ^ 0xc0));
        let gross = obligations(&legs);
        let found = compress(legs.iter().copied(), &owners()).unwrap();
        let left: BTreeMap<_, _> = found.left.iter().map(|o| (key(o), o.amount)).collect();
        assert!(found.left.iter().map(key).is_sorted(), "seed {seed}");
        let mut rest = gross.clone();
        for circle in &found.circles {
            for pair in pairs(circle) {
                *rest.get_mut(&pair).unwrap() -= circle.amount;
            }
            assert!(circle.amount > 0 && circle.participants.len() >= 2);
            assert_eq!(
                circle.participants.iter().min(),
                circle.participants.first()
            );
            long += u32::from(circle.participants.len() > 2);
        }
        rest.retain(|_, amount| *amount != 0);
        assert_eq!(rest, left, "seed {seed}");
        assert!(rest.values().all(|&amount| amount > 0), "seed {seed}");
        assert_eq!(nets(&gross), nets(&left), "seed {seed}");
        assert!(has_no_circle(&left), "seed {seed}");
        assert!(found.circles.len() <= gross.len(), "seed {seed}");
    }
    assert!(long > 100, "{long}");
}

/// Asset, debtor, creditor.
type Arrow = (u32, u32, u32);

fn key(obligation: &Obligation) -> Arrow {
    (obligation.asset, obligation.debtor, obligation.creditor)
}

fn pairs(circle: &Circle) -> impl Iterator<Item = Arrow> {
    let banks = &circle.participants;
    let next = banks.iter().cycle().skip(1);
    banks
        .iter()
        .zip(next)
        .map(|(&from, &to)| (circle.asset, from, to))
}

fn obligations(legs: &[Leg]) -> BTreeMap<Arrow, i128> {
    let mut owed = BTreeMap::new();
    for leg in legs {
        let arrow = (
            leg.debtor % ASSETS,
            leg.debtor / ASSETS,
            leg.creditor / ASSETS,
        );
        *owed.entry(arrow).or_default() += i128::from(leg.amount);
    }
    owed
}

fn nets(owed: &BTreeMap<Arrow, i128>) -> BTreeMap<(u32, u32), i128> {
    let mut nets = BTreeMap::new();
    for (&(asset, debtor, creditor), amount) in owed {
        *nets.entry((asset, debtor)).or_default() -= amount;
        *nets.entry((asset, creditor)).or_default() += amount;
    }
    nets.retain(|_, net| *net != 0);
    nets
}

/// Banks whom nobody owes go first; a circle would be left.
fn has_no_circle(owed: &BTreeMap<Arrow, i128>) -> bool {
    let mut arrows: Vec<Arrow> = owed.keys().copied().collect();
    loop {
        let before = arrows.len();
        let all = arrows.clone();
        arrows.retain(|&(asset, debtor, _)| {
            let owed = |&(of, _, creditor): &Arrow| (of, creditor) == (asset, debtor);
            all.iter().any(owed)
        });
        if arrows.len() == before {
            return arrows.is_empty();
        }
    }
}

#[test]
fn circles_of_two_come_first() {
    let legs = [
        trade(0, 1, 0, 10),
        trade(1, 0, 0, 4),
        trade(1, 2, 0, 5),
        trade(2, 0, 0, 7),
        trade(0, 1, 1, 3),
    ];
    let found = compress(legs, &owners()).unwrap();
    let circle = |participants: &[u32], amount| Circle {
        asset: 0,
        participants: participants.to_vec(),
        amount,
    };
    assert_eq!(found.circles, [circle(&[0, 1], 4), circle(&[0, 1, 2], 5)]);
    let left: Vec<_> = found.left.iter().map(|o| (key(o), o.amount)).collect();
    assert_eq!(left, [((0, 0, 1), 1), ((0, 2, 0), 2), ((1, 0, 1), 3)]);
}
