//! `net`: what a queue file comes to when its instructions are netted, whatever can settle.
//!
//! | part           | what it is                                                     |
//! |----------------|----------------------------------------------------------------|
//! | `bilateral`    | what each bank nets against each other one, per asset          |
//! | `multilateral` | what each bank nets against all others                         |
//! | `pay_in`       | what a bank owes beyond what its accounts hold                 |
//! | `pay_out`      | what it is owed                                                |
//! | `efficiency`   | the share of the gross value that needs no funding, a fraction |

mod suggest;
#[cfg(test)]
mod tests;

use super::queue_file::{Account, Asset, Order, QueueFile};
use super::solve::{InputArgs, problem};
use crate::client::CliError;
use crate::output::{Cell, Format, Section, print, print_text};
use clap::Args;
use serde::{Serialize, Serializer};
use settlement_core::netting::{
    BilateralNet, MultilateralNets, NettingError, Owner, Owners, RATE_SCALE, Valuation, bilateral,
    multilateral,
};
use settlement_core::run::Problem;
use suggest::{Suggestions, suggest};

/// What `net` takes.
#[derive(Args)]
pub struct NetArgs {
    #[command(flatten)]
    input: InputArgs,
    /// The day's liquidity curve too, swaps that lower pay-ins, and circles that can be taken out
    #[arg(long)]
    suggest: bool,
}

/// The nets, fields in the order of the format.
#[derive(Debug, Serialize)]
struct Nets {
    bilateral: Vec<Bilateral>,
    multilateral: Vec<Multilateral>,
    pay_in: Vec<Payment>,
    pay_out: Vec<Payment>,
    efficiency: ByAsset<Option<String>>,
    #[serde(flatten)]
    suggestions: Option<Suggestions>,
}

#[derive(Debug, Serialize)]
struct Bilateral {
    of: String,
    against: String,
    net: ByAsset<String>,
}

#[derive(Debug, Serialize)]
struct Multilateral {
    participant: String,
    net: ByAsset<String>,
}

#[derive(Debug, Serialize)]
struct Payment {
    participant: String,
    asset: String,
    amount: String,
}

/// An object whose keys keep their order.
#[derive(Debug)]
struct ByAsset<T>(Vec<(String, T)>);

impl<T: Serialize> Serialize for ByAsset<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(key, value)| (key, value)))
    }
}

/// Runs `net`. Reads files alone; no server is asked.
///
/// # Errors
/// A file that cannot be used.
pub fn net(args: &NetArgs, format: Format) -> Result<(), CliError> {
    // Nets ask nothing of the order.
    let file = args.input.read(Some(Order::Kept), None)?;
    let unusable = |error: &dyn std::fmt::Display| CliError::Usage(error.to_string());
    let problem = args.suggest.then(|| problem(&file)).transpose();
    let problem = problem.map_err(|error| unusable(&error))?;
    let nets = nets(&file, problem.as_ref()).map_err(|error| unusable(&error))?;
    match format {
        Format::Json => {
            let line = serde_json::to_string(&nets).expect("nets are plain data");
            print_text(&format!("{line}\n"));
        }
        Format::Table | Format::Csv => print(format, &nets.sections()),
    }
    Ok(())
}

/// Suggestions come where there is a problem to make them for.
fn nets(file: &QueueFile, problem: Option<&Problem>) -> Result<Nets, NettingError> {
    let numbered = |length: usize| u32::try_from(length).expect("numbered by the file");
    let owner = |account: &Account| Owner {
        participant: account.participant,
        asset: account.asset,
    };
    let owners = Owners::new(
        file.accounts.iter().map(owner).collect(),
        numbered(file.participants.len()),
        numbered(file.assets.len()),
    )?;
    let legs = || {
        file.instructions
            .iter()
            .flat_map(|instruction| &instruction.legs)
            .copied()
    };
    let nets = multilateral(legs(), &owners)?;
    let held = held(file);
    let held = |participant: u32, asset: u32| {
        held[participant as usize * file.assets.len() + asset as usize]
    };
    let (pay_in, pay_out) = payments(file, &nets, held);
    let suggestions = problem.map(|problem| suggest(file, problem, &owners, &nets, held));
    Ok(Nets {
        bilateral: by_pair(file, &bilateral(legs(), &owners)?),
        multilateral: by_participant(file, &nets),
        pay_in,
        pay_out,
        efficiency: efficiency(file, &nets)?,
        suggestions: suggestions.transpose()?,
    })
}

fn amount(file: &QueueFile, asset: u32, minor: i128) -> String {
    fx::format_minor_units(minor, file.assets[asset as usize].decimals)
}

fn by_pair(file: &QueueFile, nets: &[BilateralNet]) -> Vec<Bilateral> {
    let same = |one: &BilateralNet, other: &BilateralNet| {
        (one.participant, one.against) == (other.participant, other.against)
    };
    let pair = |nets: &[BilateralNet]| Bilateral {
        of: file.bic(nets[0].participant),
        against: file.bic(nets[0].against),
        net: ByAsset(
            nets.iter()
                .map(|net| (file.code(net.asset), amount(file, net.asset, net.net)))
                .collect(),
        ),
    };
    nets.chunk_by(same).map(pair).collect()
}

/// Banks that net to nothing in every asset are left out, as are assets that one nets to nothing in.
fn by_participant(file: &QueueFile, nets: &MultilateralNets) -> Vec<Multilateral> {
    let not_zero: Vec<_> = nets.iter().filter(|&(_, _, net)| net != 0).collect();
    let bank = |nets: &[(u32, u32, i128)]| Multilateral {
        participant: file.bic(nets[0].0),
        net: ByAsset(
            nets.iter()
                .map(|&(_, asset, net)| (file.code(asset), amount(file, asset, net)))
                .collect(),
        ),
    };
    not_zero
        .chunk_by(|one, other| one.0 == other.0)
        .map(bank)
        .collect()
}

/// What the accounts hold, by participant and asset: what was paid in.
fn held(file: &QueueFile) -> Vec<i128> {
    let mut held = vec![0; file.participants.len() * file.assets.len()];
    for account in &file.accounts {
        let cell = account.participant as usize * file.assets.len() + account.asset as usize;
        held[cell] += i128::from(account.balance);
    }
    held
}

fn payments(
    file: &QueueFile,
    nets: &MultilateralNets,
    held: impl Fn(u32, u32) -> i128,
) -> (Vec<Payment>, Vec<Payment>) {
    let payment = |participant, asset, minor| {
        (minor != 0).then(|| Payment {
            participant: file.bic(participant),
            asset: file.code(asset),
            amount: amount(file, asset, minor),
        })
    };
    let funding: Vec<_> = nets.funding(held).collect();
    let ins = funding
        .iter()
        .filter_map(|f| payment(f.participant, f.asset, f.pay_in));
    let outs = funding
        .iter()
        .filter_map(|f| payment(f.participant, f.asset, f.pay_out));
    (ins.collect(), outs.collect())
}

/// Per asset that has legs, and in total: `null` unless each of them has a rate.
fn efficiency(
    file: &QueueFile,
    nets: &MultilateralNets,
) -> Result<ByAsset<Option<String>>, NettingError> {
    let moved: Vec<u32> = (0..)
        .zip(&file.assets)
        .map(|(place, _)| place)
        .filter(|&place| nets.gross(place) != 0)
        .collect();
    let mut shares: Vec<(String, Option<String>)> = moved
        .iter()
        .map(|&asset| {
            (
                file.code(asset),
                nets.efficiency(asset).map(|share| share.to_string()),
            )
        })
        .collect();
    let is_valued = moved
        .iter()
        .all(|&asset| file.assets[asset as usize].rate.is_some());
    let total = if is_valued {
        nets.efficiency_total(&valuations(file))?
    } else {
        None
    };
    shares.push(("total".to_owned(), total.map(|share| share.to_string())));
    Ok(ByAsset(shares))
}

/// An asset without a rate has no legs here, and counts for nothing.
fn valuations(file: &QueueFile) -> Vec<Valuation> {
    let valuation = |asset: &Asset| Valuation {
        rate_scaled: asset
            .rate
            .map_or(RATE_SCALE, |rate| rate.scaled().unsigned_abs()),
        decimals: asset.decimals,
    };
    file.assets.iter().map(valuation).collect()
}

impl Nets {
    fn sections(&self) -> Vec<Section> {
        let suggested = self.suggestions.iter().flat_map(Suggestions::sections);
        let bilateral = self.bilateral.iter().flat_map(|pair| {
            pair.net.0.iter().map(|(asset, net)| {
                vec![
                    Cell::text(&pair.of),
                    Cell::text(&pair.against),
                    Cell::text(asset),
                    Cell::amount(net),
                ]
            })
        });
        let multilateral = self.multilateral.iter().flat_map(|bank| {
            let cells = |(asset, net): &(String, String)| {
                vec![
                    Cell::text(&bank.participant),
                    Cell::text(asset),
                    Cell::amount(net),
                ]
            };
            bank.net.0.iter().map(cells)
        });
        let payments = |payments: &[Payment]| {
            let row = |payment: &Payment| {
                vec![
                    Cell::text(&payment.participant),
                    Cell::text(&payment.asset),
                    Cell::amount(&payment.amount),
                ]
            };
            payments.iter().map(row).collect()
        };
        let efficiency = self.efficiency.0.iter().map(|(asset, share)| {
            vec![
                Cell::text(asset),
                Cell::text(share.as_deref().unwrap_or_default()),
            ]
        });
        let account = ["participant", "asset", "net"];
        let payment = ["participant", "asset", "amount"];
        let nets = [
            Section::rows(
                "bilateral",
                &["of", "against", "asset", "net"],
                bilateral.collect(),
            ),
            Section::rows("multilateral", &account, multilateral.collect()),
            Section::rows("pay_in", &payment, payments(&self.pay_in)),
            Section::rows("pay_out", &payment, payments(&self.pay_out)),
            Section::rows("efficiency", &["asset", "share"], efficiency.collect()),
        ];
        nets.into_iter().chain(suggested).collect()
    }
}
