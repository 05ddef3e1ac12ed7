//! Whom and what the demo's day has: the sample scheme's banks and currencies, one day's rates, the clock.

use crate::client::CliError;
use crate::scheme_file;
use fx::Rate;
use prost_types::Timestamp;
use valuta_proto::v1;

/// Banks in the sample scheme.
pub const BANKS: usize = 12;
/// Currencies in the sample scheme.
pub const ASSETS: usize = 10;

/// ECB euro foreign exchange reference rates of Friday 10 April 2026 (eurofxref-hist): units of the
/// currency for one euro.
pub const ECB_RATES: [(&str, &str); 9] = [
    ("USD", "1.1711"),
    ("JPY", "186.43"),
    ("GBP", "0.87105"),
    ("CHF", "0.9241"),
    ("AUD", "1.6561"),
    ("CAD", "1.6187"),
    ("SEK", "10.836"),
    ("NOK", "11.1165"),
    ("SGD", "1.4919"),
];
/// The day that the rates are of, in words.
pub const ECB_DAY: &str = "Friday 10 April 2026";
/// When they were published: 14:15 of the ECB's time.
const ECB_TIME: &str = "2026-04-10T12:15:00Z";

/// The demo's business day: the Monday after.
pub const DAY: &str = "2026-04-13";
/// Unix time of its midnight in UTC, in seconds.
pub const MIDNIGHT: i64 = 1_776_038_400;
/// The day's cycle.
pub const DAY_CYCLE: &str = "2026-04-13/1";
/// The example's cycle, opened in the afternoon.
pub const EXAMPLE_CYCLE: &str = "2026-04-13/2";

/// The day's instants, in minutes after midnight UTC. The sample's cut-offs are in Zurich: two hours later.
pub mod clock {
    /// The scheme is made.
    pub const SETUP: i64 = 5 * 60;
    /// Traffic begins.
    pub const OPENING: i64 = 6 * 60;
    /// Traffic of the morning has come by then.
    pub const MORNING_END: i64 = 9 * 60 + 50;
    /// The day's cycle takes no more.
    pub const CUT_OFF: i64 = 10 * 60;
    /// The example's cycle takes no more.
    pub const EXAMPLE_CUT_OFF: i64 = 10 * 60 + 30;
    /// The example runs with what is paid in.
    pub const EXAMPLE_PAY_IN: i64 = 11 * 60;
    /// The example may complete with trades left behind.
    pub const EXAMPLE_COMPLETION: i64 = 11 * 60 + 50;
    /// The day's cycle runs with what is paid in.
    pub const PAY_IN: i64 = 12 * 60;
    /// The late bank pays in.
    pub const LATE: i64 = 12 * 60 + 25;
    /// The day's last tick.
    pub const EVENING: i64 = 15 * 60 + 30;
}

/// A currency.
pub struct Asset {
    /// ISO 4217.
    pub code: String,
    /// Of its minor unit.
    pub decimals: u8,
    /// Its settlement agent's BIC.
    pub agent: String,
    /// Units for one euro.
    pub per_euro: Rate,
    /// The same as it was published.
    pub per_euro_text: &'static str,
}

/// The sample scheme, indexed by its order in the file.
pub struct World {
    /// As the file describes it.
    pub scheme: v1::Scheme,
    /// BICs.
    pub banks: Vec<String>,
    /// Currencies.
    pub assets: Vec<Asset>,
}

impl World {
    /// Reads the sample scheme.
    ///
    /// # Errors
    /// [`CliError::Usage`] if the sample cannot be read, which a test keeps from happening.
    pub fn sample() -> Result<Self, CliError> {
        let scheme = scheme_file::parse(scheme_file::SAMPLE).map_err(CliError::Usage)?;
        let assets = scheme.assets.iter().map(|asset| {
            let text = ECB_RATES
                .iter()
                .find(|(code, _)| *code == asset.code)
                .map_or("1", |(_, rate)| rate);
            Asset {
                code: asset.code.clone(),
                decimals: u8::try_from(asset.decimals).expect("at most 8"),
                agent: asset.agent.clone(),
                per_euro: Rate::parse(text).expect("a published rate"),
                per_euro_text: text,
            }
        });
        Ok(Self {
            assets: assets.collect(),
            banks: scheme
                .participants
                .iter()
                .map(|bank| bank.bic.clone())
                .collect(),
            scheme,
        })
    }

    /// A bank's place.
    pub fn bank(&self, bic: &str) -> usize {
        self.banks
            .iter()
            .position(|bank| bank == bic)
            .expect("a bank of the sample")
    }

    /// A currency's place.
    pub fn asset(&self, code: &str) -> usize {
        self.assets
            .iter()
            .position(|asset| asset.code == code)
            .expect("a currency of the sample")
    }

    /// Minor units as the wire's text.
    pub fn amount(&self, asset: usize, minor: i128) -> String {
        fx::format_minor_units(minor, self.assets[asset].decimals)
    }

    /// The wire's text as minor units; `None` if it is no amount in this currency.
    pub fn minor(&self, asset: usize, text: &str) -> Option<i128> {
        let (sign, digits) = text
            .strip_prefix('-')
            .map_or((1, text), |digits| (-1, digits));
        let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
        let is_whole = fraction.len() == usize::from(self.assets[asset].decimals);
        let minor: i128 = format!("{whole}{fraction}").parse().ok()?;
        is_whole.then_some(sign * minor)
    }
}

/// An instant of the demo's day.
pub fn at(minutes: i64) -> Timestamp {
    Timestamp {
        seconds: MIDNIGHT + minutes * 60,
        nanos: 0,
    }
}

/// The ECB's rates as a rate set; a reference rate is bid and ask.
pub fn ecb_rates() -> Vec<v1::Rate> {
    let rates = ECB_RATES
        .iter()
        .map(|(code, rate)| (format!("EUR/{code}"), *rate));
    rate_set(rates, "ECB reference rates")
}

/// The rates of `pvp-example`: its efficiency is exact at these.
pub fn example_rates() -> Vec<v1::Rate> {
    let rates = [("EUR/USD", "1.10"), ("USD/JPY", "125")];
    rate_set(
        rates
            .into_iter()
            .map(|(pair, rate)| (pair.to_owned(), rate)),
        "the example's rates",
    )
}

fn rate_set<'a>(rates: impl Iterator<Item = (String, &'a str)>, source: &str) -> Vec<v1::Rate> {
    let time = crate::cli::text::parse_time(ECB_TIME).ok();
    let rate = |(pair, rate): (String, &str)| v1::Rate {
        pair,
        bid: rate.to_owned(),
        ask: rate.to_owned(),
        time,
        source: source.to_owned(),
        ..Default::default()
    };
    rates.map(rate).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::cli::text;

    #[test]
    fn the_world_is_the_sample() {
        let world = World::sample().unwrap();
        assert_eq!((world.banks.len(), world.assets.len()), (BANKS, ASSETS));
        let rated = world
            .assets
            .iter()
            .filter(|asset| asset.per_euro_text != "1");
        assert_eq!(rated.count(), ASSETS - 1);
    }

    #[test]
    fn midnight_is_the_days() {
        assert_eq!(text::time(Some(&at(0))), format!("{DAY}T00:00:00Z"));
    }

    #[test]
    fn amounts_round_trip() {
        let world = World::sample().unwrap();
        let (usd, jpy) = (world.asset("USD"), world.asset("JPY"));
        for (asset, minor, text) in [
            (usd, -5, "-0.05"),
            (usd, 8_800_000_000, "88000000.00"),
            (jpy, 7, "7"),
        ] {
            assert_eq!(world.amount(asset, minor), text);
            assert_eq!(world.minor(asset, text), Some(minor));
        }
        assert_eq!(
            (world.minor(usd, "1.0"), world.minor(jpy, "1.0")),
            (None, None)
        );
    }
}
