//! The day's instructions, made from one seed: what each bank sends, and what must come of it.
//!
//! | part        | share                | what must come of it                                    |
//! |-------------|----------------------|---------------------------------------------------------|
//! | afternoon   | a fifth              | gross payments; they settle                             |
//! | trade sides | 14 %, two each       | members of the day's cycle                              |
//! | quotes      | up to 360            | gross payments of two currencies; they settle           |
//! | wrong ones  | up to 50 of each kind | refused, each with its code                            |
//! | net         | 24 %                 | members of the day's cycle                              |
//! | gross       | the rest             | settle; those of one account wait until it is funded    |

use super::instruction::{Fault, Leg, Payload, Planned, Purpose};
use super::random::Random;
use super::world::{ASSETS, BANKS, World};
use fx::Rounding;

/// Fewer could not have one of each kind at every bank.
pub const INSTRUCTIONS_MIN: usize = 600;
/// Its account in [`TIGHT_ASSET`] gets its money late, so that a queue is seen.
pub const TIGHT_BANK: &str = "GGGGCATT";
/// See [`TIGHT_BANK`].
pub const TIGHT_ASSET: &str = "CAD";
/// Largest ordinary amount in euro cents.
const AMOUNT_CENTS_MAX: u64 = 5_000_000;
/// Largest side of a trade in euro cents.
const TRADE_CENTS_MAX: u64 = 100_000_000;

/// A table of amounts in minor units: per bank, per currency.
pub type Amounts = [[i128; ASSETS]; BANKS];

/// A rate that a provider locks for one taker: the source amount is given.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct Quote {
    pub provider: usize,
    pub taker: usize,
    pub source: Money,
    pub target: Money,
}

/// An amount of minor units of one currency.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct Money {
    pub asset: usize,
    pub minor: i64,
}

/// The whole day.
#[derive(PartialEq, Eq, Debug)]
pub struct Plan {
    /// By bank, in the order sent.
    pub morning: Vec<Vec<Planned>>,
    /// By bank; sent after the cut-off, gross only.
    pub afternoon: Vec<Vec<Planned>>,
    /// By bank: net payments that come after the cut-off.
    pub late: Vec<Vec<Planned>>,
    /// Locked by their providers before the traffic.
    pub quotes: Vec<Quote>,
}

impl Plan {
    /// Makes a day of exactly `count` instructions.
    pub fn new(world: &World, seed: u64, count: usize) -> Self {
        let mut maker = Maker {
            world,
            random: Random::new(seed),
            number: 0,
            quotes: Vec::new(),
        };
        let wrong_each = (count / 4_000).clamp(1, 50);
        let (quotes, trades) = ((count / 400).clamp(1, 360), count * 7 / 100);
        let (afternoon, net) = (count / 5, count * 24 / 100);
        // Four kinds of wrong ones, and the late ones.
        let gross = count - afternoon - net - 2 * trades - quotes - 5 * wrong_each;

        let mut morning: Vec<Vec<Planned>> = vec![Vec::new(); BANKS];
        maker.fill(&mut morning, gross, Maker::gross);
        maker.fill(&mut morning, net, Maker::net);
        maker.fill(&mut morning, quotes, Maker::under_quote);
        for trade in 0..trades {
            for side in maker.trade(trade) {
                morning[side.bank].push(side);
            }
        }
        morning
            .iter_mut()
            .for_each(|stream| maker.random.shuffle(stream));
        maker.add_tight(&mut morning[world.bank(TIGHT_BANK)]);
        for number in 0..wrong_each {
            maker.add_wrong(&mut morning, number);
        }
        let mut plan = Self {
            morning,
            afternoon: vec![Vec::new(); BANKS],
            late: vec![Vec::new(); BANKS],
            quotes: Vec::new(),
        };
        maker.fill(&mut plan.afternoon, afternoon, Maker::gross);
        maker.fill(&mut plan.late, wrong_each, Maker::late);
        plan.quotes = maker.quotes;
        plan
    }

    /// Everything that is sent, by bank.
    pub fn all(&self) -> impl Iterator<Item = &Planned> {
        [&self.morning, &self.afternoon, &self.late]
            .into_iter()
            .flatten()
            .flatten()
    }

    /// What the gross instructions take from each account, and bring to it.
    pub fn gross_flows(&self) -> (Amounts, Amounts) {
        flows(
            self.all()
                .filter(|planned| planned.purpose == Purpose::Settles),
        )
    }

    /// The multilateral net of each account in the day's cycle; a trade's legs count once.
    pub fn cycle_nets(&self) -> Amounts {
        let members = self.all().filter(|planned| match planned.payload {
            Payload::TradeSide { is_first, .. } => is_first,
            Payload::Payment | Payload::UnderQuote(_) => planned.purpose == Purpose::JoinsCycle,
        });
        let (out, mut net) = flows(members);
        for (net, out) in net.iter_mut().flatten().zip(out.iter().flatten()) {
            *net -= out;
        }
        net
    }
}

/// Sums of debits and credits.
fn flows<'a>(planned: impl Iterator<Item = &'a Planned>) -> (Amounts, Amounts) {
    let (mut out, mut into) = ([[0; ASSETS]; BANKS], [[0; ASSETS]; BANKS]);
    for leg in planned.flat_map(Planned::legs) {
        out[leg.debtor][leg.asset] += i128::from(leg.minor);
        into[leg.creditor][leg.asset] += i128::from(leg.minor);
    }
    (out, into)
}

pub(super) struct Maker<'a> {
    pub(super) world: &'a World,
    pub(super) random: Random,
    pub(super) number: u32,
    quotes: Vec<Quote>,
}

impl Maker<'_> {
    /// Spreads instructions over the banks.
    fn fill(
        &mut self,
        streams: &mut [Vec<Planned>],
        count: usize,
        make: fn(&mut Self, usize) -> Planned,
    ) {
        for at in 0..count {
            let bank = at % BANKS;
            let planned = make(self, bank);
            streams[bank].push(planned);
        }
    }

    /// An amount in the currency that is worth up to so many euro cents, and at least 1 euro.
    fn minor(&mut self, asset: usize, cents_max: u64) -> i64 {
        // Small ones are more common than large ones.
        let cents = self.random.below(self.random_scale(cents_max)) + 100;
        self.worth(asset, i64::try_from(cents).expect("far below 2^63"))
            .max(1)
    }

    fn random_scale(&self, cents_max: u64) -> u64 {
        cents_max >> (2 * (self.number % 4))
    }

    fn worth(&self, asset: usize, cents: i64) -> i64 {
        let asset = &self.world.assets[asset];
        fx::convert(
            cents,
            2,
            &asset.per_euro,
            asset.decimals,
            Rounding::HalfEven,
        )
        .expect("far below 18 digits")
        .target
    }

    fn plan(
        &mut self,
        bank: usize,
        purpose: Purpose,
        payload: Payload,
        legs: [Option<Leg>; 2],
    ) -> Planned {
        self.number += 1;
        let number = self.number;
        Planned {
            uetr: self.random.uetr(),
            number,
            bank,
            purpose,
            payload,
            legs,
            fault: None,
        }
    }

    pub(super) fn payment(&mut self, bank: usize, purpose: Purpose) -> Planned {
        let creditor = self.random.index_but(BANKS, bank);
        let asset = self.random.index(ASSETS);
        let minor = self.minor(asset, AMOUNT_CENTS_MAX);
        let leg = Leg {
            debtor: bank,
            creditor,
            asset,
            minor,
        };
        self.plan(bank, purpose, Payload::Payment, [Some(leg), None])
    }

    fn gross(&mut self, bank: usize) -> Planned {
        self.payment(bank, Purpose::Settles)
    }

    fn net(&mut self, bank: usize) -> Planned {
        self.payment(bank, Purpose::JoinsCycle)
    }

    fn late(&mut self, bank: usize) -> Planned {
        let planned = self.payment(bank, Purpose::Refused("TM01"));
        Planned {
            fault: Some(Fault::PastCutOff),
            ..planned
        }
    }

    /// The taker pays the provider in one currency, the provider the creditor in another; one is the euro.
    fn under_quote(&mut self, taker: usize) -> Planned {
        let provider = self.random.index_but(BANKS, taker);
        let creditor = self.random.index_but(BANKS, provider);
        let euro = self.world.asset("EUR");
        let other = self.random.index_but(ASSETS, euro);
        let sells_euro = self.random.below(2) == 0;
        let (from, to) = if sells_euro {
            (euro, other)
        } else {
            (other, euro)
        };
        let source = Money {
            asset: from,
            minor: self.minor(from, AMOUNT_CENTS_MAX),
        };
        let target = Money {
            asset: to,
            minor: self.price(source, to),
        };
        let quote = self.quotes.len();
        self.quotes.push(Quote {
            provider,
            taker,
            source,
            target,
        });
        let legs = [
            Some(Leg {
                debtor: taker,
                creditor: provider,
                asset: from,
                minor: source.minor,
            }),
            Some(Leg {
                debtor: provider,
                creditor,
                asset: to,
                minor: target.minor,
            }),
        ];
        self.plan(taker, Purpose::Settles, Payload::UnderQuote(quote), legs)
    }

    /// What the quote must come to: the same rule, computed on this side.
    fn price(&self, source: Money, target: usize) -> i64 {
        let (from, to) = (&self.world.assets[source.asset], &self.world.assets[target]);
        let rate = match from.code.as_str() {
            "EUR" => to.per_euro,
            _ => from.per_euro.inverse(),
        };
        fx::convert(
            source.minor,
            from.decimals,
            &rate,
            to.decimals,
            Rounding::HalfEven,
        )
        .expect("far below 18 digits")
        .target
    }

    /// Both sides of one trade, each under its own UETR.
    fn trade(&mut self, trade: usize) -> [Planned; 2] {
        let first = trade % BANKS;
        let second = self.random.index_but(BANKS, first);
        let sold = self.random.index(ASSETS);
        let bought = self.random.index_but(ASSETS, sold);
        let cents =
            i64::try_from(self.random.below(TRADE_CENTS_MAX) + 100_000).expect("far below 2^63");
        let leg = |debtor, creditor, asset, minor| {
            Some(Leg {
                debtor,
                creditor,
                asset,
                minor,
            })
        };
        let legs = [
            leg(first, second, sold, self.worth(sold, cents)),
            leg(second, first, bought, self.worth(bought, cents)),
        ];
        [(first, true), (second, false)].map(|(bank, is_first)| {
            let payload = Payload::TradeSide { trade, is_first };
            self.plan(bank, Purpose::JoinsCycle, payload, legs)
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use prost::Message;
    use std::collections::BTreeMap;

    #[test]
    fn a_seed_is_a_day() {
        let world = World::sample().unwrap();
        let plan = Plan::new(&world, 1, 5_000);
        assert_eq!(plan, Plan::new(&world, 1, 5_000));
        assert_ne!(plan, Plan::new(&world, 2, 5_000));
        let bytes = |plan: &Plan| -> Vec<Vec<u8>> {
            plan.all()
                .map(|planned| planned.wire(&world).encode_to_vec())
                .collect()
        };
        assert_eq!(bytes(&plan), bytes(&Plan::new(&world, 1, 5_000)));
    }

    #[test]
    fn a_day_has_all_kinds_and_exactly_its_count() {
        let world = World::sample().unwrap();
        for count in [INSTRUCTIONS_MIN, 4_321, 50_000] {
            let plan = Plan::new(&world, 7, count);
            assert_eq!(plan.all().count(), count);
            let mut codes = BTreeMap::new();
            for planned in plan.all() {
                if let Purpose::Refused(code) = planned.purpose {
                    *codes.entry(code).or_insert(0) += 1;
                }
            }
            assert_eq!(
                codes.keys().copied().collect::<Vec<_>>(),
                ["AM05", "AM13", "CH20", "CNOR", "TM01"]
            );
            assert!(!plan.quotes.is_empty());
        }
    }

    #[test]
    fn the_duplicate_comes_after_the_first() {
        let world = World::sample().unwrap();
        for seed in 0..20 {
            let plan = Plan::new(&world, seed, 3_000);
            for stream in &plan.morning {
                for (at, planned) in stream.iter().enumerate() {
                    if planned.fault == Some(Fault::OtherContent) {
                        let first = stream
                            .iter()
                            .position(|other| other.uetr == planned.uetr)
                            .unwrap();
                        assert!(first < at, "seed {seed}");
                    }
                }
            }
        }
    }

    #[test]
    fn nets_sum_to_zero() {
        let world = World::sample().unwrap();
        let nets = Plan::new(&world, 3, 10_000).cycle_nets();
        for asset in 0..ASSETS {
            assert_eq!(nets.iter().map(|bank| bank[asset]).sum::<i128>(), 0);
            assert!(nets.iter().any(|bank| bank[asset] != 0));
        }
    }
}
