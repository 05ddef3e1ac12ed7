//! `net --suggest`: how the day's liquidity runs, and what would make it take less.
//!
//! | part          | what it is                                                                 |
//! |---------------|----------------------------------------------------------------------------|
//! | `liquidity`   | what each account would hold as the queue goes by, and its lowest point    |
//! | `swaps`       | in/out swaps of exactly equal value that lower pay-ins; needs every rate   |
//! | `compression` | circles of obligations that can be taken out, and what is left             |

use super::{amount, valuations};
use crate::cli::queue_file::QueueFile;
use crate::output::{Cell, Section};
use serde::Serialize;
use settlement_core::netting::{
    Compression, Curve, MultilateralNets, NettingError, Owners, Swap, compress, curves, swaps,
};
use settlement_core::run::Problem;

/// The suggestions, fields in the order in which they are printed.
#[derive(Debug, Serialize)]
pub struct Suggestions {
    liquidity: Vec<Day>,
    /// `null` where an asset has no rate.
    swaps: Option<Vec<Exchange>>,
    compression: Circles,
}

/// An account's day.
#[derive(Debug, Serialize)]
struct Day {
    participant: String,
    asset: String,
    opening: String,
    /// `null` where it never falls below the opening.
    lowest: Option<Point>,
    /// What must be there beforehand so that it never falls below zero.
    funding: String,
    closing: String,
    curve: Vec<Point>,
}

#[derive(Debug, Serialize)]
struct Point {
    /// The instruction after which it is so; of a group the last.
    after: String,
    amount: String,
}

#[derive(Debug, Serialize)]
struct Exchange {
    participant: String,
    with: String,
    receives: Money,
    gives: Money,
}

#[derive(Debug, Serialize)]
struct Money {
    asset: String,
    amount: String,
}

#[derive(Debug, Serialize)]
struct Circles {
    circles: Vec<Circle>,
    left: Vec<Obligation>,
}

/// Each owes the next one, the last the first.
#[derive(Debug, Serialize)]
struct Circle {
    asset: String,
    participants: Vec<String>,
    amount: String,
}

#[derive(Debug, Serialize)]
struct Obligation {
    asset: String,
    debtor: String,
    creditor: String,
    amount: String,
}

/// Everything that can be suggested for a file.
pub fn suggest(
    file: &QueueFile,
    problem: &Problem,
    owners: &Owners,
    nets: &MultilateralNets,
    held: impl Fn(u32, u32) -> i128,
) -> Result<Suggestions, NettingError> {
    let is_valued = file.assets.iter().all(|asset| asset.rate.is_some());
    let swaps = if is_valued {
        let found = swaps(nets, held, &valuations(file))?;
        Some(found.iter().map(|swap| exchange(file, swap)).collect())
    } else {
        None
    };
    let compression = compress(problem.legs().iter().copied(), owners)?;
    Ok(Suggestions {
        liquidity: curves(problem)
            .iter()
            .map(|curve| day(file, curve))
            .collect(),
        swaps,
        compression: circles(file, &compression),
    })
}

fn day(file: &QueueFile, curve: &Curve) -> Day {
    let text = |minor| file.amount(curve.account, minor);
    let point = |point: &settlement_core::netting::Point| {
        let last = *file.units[point.unit as usize]
            .last()
            .expect("a unit has members");
        Point {
            after: file.instructions[last as usize].id.clone(),
            amount: text(point.balance),
        }
    };
    let (participant, asset) = file.names(curve.account);
    Day {
        participant,
        asset,
        opening: text(curve.opening),
        lowest: curve.lowest().as_ref().map(point),
        funding: text(curve.funding()),
        closing: text(curve.closing()),
        curve: curve.points.iter().map(point).collect(),
    }
}

fn exchange(file: &QueueFile, swap: &Swap) -> Exchange {
    let money = |asset, minor| Money {
        asset: file.code(asset),
        amount: amount(file, asset, minor),
    };
    Exchange {
        participant: file.bic(swap.participant),
        with: file.bic(swap.with),
        receives: money(swap.received, swap.received_amount),
        gives: money(swap.given, swap.given_amount),
    }
}

fn circles(file: &QueueFile, compression: &Compression) -> Circles {
    let circles = compression.circles.iter().map(|circle| Circle {
        asset: file.code(circle.asset),
        participants: circle
            .participants
            .iter()
            .map(|&bank| file.bic(bank))
            .collect(),
        amount: amount(file, circle.asset, circle.amount),
    });
    let left = compression.left.iter().map(|obligation| Obligation {
        asset: file.code(obligation.asset),
        debtor: file.bic(obligation.debtor),
        creditor: file.bic(obligation.creditor),
        amount: amount(file, obligation.asset, obligation.amount),
    });
    Circles {
        circles: circles.collect(),
        left: left.collect(),
    }
}

impl Suggestions {
    /// For people: of each day its extremes, the whole curve is for machines.
    pub fn sections(&self) -> Vec<Section> {
        let days = self.liquidity.iter().map(|day| {
            let lowest = day.lowest.as_ref();
            vec![
                Cell::text(&day.participant),
                Cell::text(&day.asset),
                Cell::amount(&day.opening),
                Cell::amount(lowest.map_or("", |point| &point.amount)),
                Cell::text(lowest.map_or("", |point| &point.after)),
                Cell::amount(&day.funding),
                Cell::amount(&day.closing),
            ]
        });
        let swaps = self.swaps.iter().flatten().map(|swap| {
            vec![
                Cell::text(&swap.participant),
                Cell::text(&swap.with),
                Cell::text(&swap.receives.asset),
                Cell::amount(&swap.receives.amount),
                Cell::text(&swap.gives.asset),
                Cell::amount(&swap.gives.amount),
            ]
        });
        let circles = self.compression.circles.iter().map(|circle| {
            vec![
                Cell::text(&circle.asset),
                Cell::text(circle.participants.join(" > ")),
                Cell::amount(&circle.amount),
            ]
        });
        let left = self.compression.left.iter().map(|obligation| {
            vec![
                Cell::text(&obligation.asset),
                Cell::text(&obligation.debtor),
                Cell::text(&obligation.creditor),
                Cell::amount(&obligation.amount),
            ]
        });
        let day = [
            "participant",
            "asset",
            "opening",
            "lowest",
            "after",
            "funding",
            "closing",
        ];
        let swap = [
            "participant",
            "with",
            "receives",
            "received",
            "gives",
            "given",
        ];
        let obligation = ["asset", "debtor", "creditor", "amount"];
        vec![
            Section::rows("liquidity", &day, days.collect()),
            Section::rows("swaps", &swap, swaps.collect()),
            Section::rows(
                "circles",
                &["asset", "participants", "amount"],
                circles.collect(),
            ),
            Section::rows("left", &obligation, left.collect()),
        ]
    }
}
