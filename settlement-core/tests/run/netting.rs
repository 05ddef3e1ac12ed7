//! Nets against sums taken leg by leg, and what is refused.

use crate::support::*;
use settlement_core::netting::{
    NettingError, Owner, Owners, RATE_SCALE, Valuation, bilateral, multilateral, pay_in, pay_out,
};
use settlement_core::run::Leg;

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

fn random_legs(random: &mut Random) -> Vec<Leg> {
    let units_max = 40;
    let (participants, assets) = (PARTICIPANTS.into(), ASSETS.into());
    let problem = random_problem(
        random,
        Shape {
            participants,
            assets,
            units_max,
            legs_max: 4,
        },
    );
    problem.legs().to_vec()
}

/// `B(p,q,c)` as it is written.
fn net_of_pair(legs: &[Leg], p: u32, q: u32, asset: u32) -> i128 {
    let sum = |from: u32, to: u32| -> i128 {
        let (debtor, creditor) = (from * ASSETS + asset, to * ASSETS + asset);
        let between = legs
            .iter()
            .filter(|leg| leg.debtor == debtor && leg.creditor == creditor);
        between.map(|leg| i128::from(leg.amount)).sum()
    };
    sum(q, p) - sum(p, q)
}

#[test]
fn nets_agree_with_the_formulas() {
    for seed in seeds(2_000) {
        let legs = random_legs(&mut Random(seed));
        let found = bilateral(legs.iter().copied(), &owners()).unwrap();
        let mut rows = found.iter();
        for (p, q) in (0..PARTICIPANTS).flat_map(|p| (p + 1..PARTICIPANTS).map(move |q| (p, q))) {
            for asset in 0..ASSETS {
                let net = net_of_pair(&legs, p, q, asset);
                assert_eq!(net_of_pair(&legs, q, p, asset), -net);
                if net != 0 {
                    let row = rows.next().unwrap();
                    let place = (row.participant, row.against, row.asset, row.net);
                    assert_eq!(place, (p, q, asset, net), "seed {seed}");
                }
            }
        }
        assert_eq!(rows.next(), None, "seed {seed}");
        check_multilateral(&legs, seed);
    }
}

fn check_multilateral(legs: &[Leg], seed: u64) {
    let nets = multilateral(legs.iter().copied(), &owners()).unwrap();
    for asset in 0..ASSETS {
        let net = |p: u32| -> i128 {
            (0..PARTICIPANTS)
                .filter(|&q| q != p)
                .map(|q| net_of_pair(legs, p, q, asset))
                .sum()
        };
        let expected: Vec<i128> = (0..PARTICIPANTS).map(net).collect();
        let found: Vec<i128> = (0..PARTICIPANTS).map(|p| nets.net(p, asset)).collect();
        assert_eq!(found, expected, "seed {seed}");
        assert_eq!(found.iter().sum::<i128>(), 0, "seed {seed}");
        assert_eq!(
            nets.short(asset),
            expected.iter().map(|net| (-net).max(0)).sum::<i128>()
        );
        let of_asset = legs.iter().filter(|leg| leg.debtor % ASSETS == asset);
        assert_eq!(
            nets.gross(asset),
            of_asset.map(|leg| i128::from(leg.amount)).sum::<i128>()
        );
    }
}

#[test]
fn a_fund_counts_against_the_net() {
    for (fund, net, owes, is_owed) in [
        (0, -5, 5, 0),
        (5, -5, 0, 0),
        (4, -5, 1, 0),
        (6, -5, 0, 1),
        (0, 5, 0, 5),
        (-2, 5, 0, 3),
        (-2, 0, 2, 0),
        (i128::MIN, -1, i128::MAX, 0),
    ] {
        assert_eq!(
            (pay_in(fund, net), pay_out(fund, net)),
            (owes, is_owed),
            "{fund} {net}"
        );
    }
    let legs = [Leg {
        debtor: 0,
        creditor: ASSETS,
        amount: 7,
    }];
    let nets = multilateral(legs, &owners()).unwrap();
    let told: Vec<_> = nets
        .funding(|participant, _| if participant == 0 { 3 } else { 0 })
        .map(|f| (f.participant, f.asset, f.net, f.pay_in, f.pay_out))
        .collect();
    let expected = [
        (0, 0, -7, 4, 0),
        (0, 1, 0, 0, 3),
        (0, 2, 0, 0, 3),
        (1, 0, 7, 0, 7),
    ];
    assert_eq!(told, expected);
}

#[test]
fn efficiency_of_nothing_is_unknown_and_of_a_circle_is_one() {
    let value = Valuation {
        rate_scaled: RATE_SCALE,
        decimals: 2,
    };
    let nets = multilateral([], &owners()).unwrap();
    assert_eq!(nets.efficiency(0), None);
    assert_eq!(nets.efficiency_total(&[value; 3]), Ok(None));
    let key = |participant: u32| participant * ASSETS;
    let circle = [
        leg(key(0), key(1), 5),
        leg(key(1), key(2), 5),
        leg(key(2), key(0), 5),
    ];
    let nets = multilateral(circle, &owners()).unwrap();
    assert_eq!(nets.efficiency(0).unwrap().to_string(), "1");
    assert_eq!(
        nets.efficiency_total(&[value; 3])
            .unwrap()
            .unwrap()
            .to_string(),
        "1"
    );
}

#[test]
fn the_largest_values_are_exact_or_refused() {
    let key = |participant: u32| participant * ASSETS;
    let legs = vec![leg(key(0), key(1), i64::MAX); 1_000];
    let nets = multilateral(
        legs.iter().copied().chain([leg(key(1), key(0), i64::MAX)]),
        &owners(),
    );
    let most = Valuation {
        rate_scaled: 10_u128.pow(30) - 1,
        decimals: 0,
    };
    let total = nets.unwrap().efficiency_total(&[most; 3]).unwrap().unwrap();
    assert_eq!(total.to_string(), "2/1001");
}

#[test]
fn refuses_what_cannot_be_netted() {
    let owner = |participant, asset| Owner { participant, asset };
    let range = Err(NettingError::OwnerOutOfRange { key: 1 });
    assert_eq!(Owners::new(vec![owner(0, 0), owner(2, 0)], 2, 1), range);
    assert_eq!(Owners::new(vec![owner(0, 0), owner(1, 1)], 2, 1), range);
    let good = leg(0, ASSETS, 1);
    for (bad, error) in [
        (leg(99, 0, 1), NettingError::KeyUnknown { leg: 1, key: 99 }),
        (leg(0, 15, 1), NettingError::KeyUnknown { leg: 1, key: 15 }),
        (
            leg(0, 1, 1),
            NettingError::AssetsMustBeEqual {
                leg: 1,
                debtor: 0,
                creditor: 1,
            },
        ),
    ] {
        assert_eq!(bilateral([good, bad], &owners()), Err(error));
        assert_eq!(multilateral([good, bad], &owners()), Err(error));
    }
    let nets = multilateral([good], &owners()).unwrap();
    let value = |rate_scaled, decimals| Valuation {
        rate_scaled,
        decimals,
    };
    let fine = value(1, 8);
    assert!(nets.efficiency_total(&[fine; 3]).is_ok());
    let missing = NettingError::ValuationsMissing {
        expected: 3,
        actual: 2,
    };
    assert_eq!(nets.efficiency_total(&[fine; 2]), Err(missing));
    for bad in [
        value(0, 2),
        value(10_u128.pow(30), 2),
        value(u128::MAX, 0),
        value(1, 9),
    ] {
        let error = NettingError::ValuationOutOfRange { asset: 1 };
        assert_eq!(
            nets.efficiency_total(&[fine, bad, fine]),
            Err(error),
            "{bad:?}"
        );
    }
}
