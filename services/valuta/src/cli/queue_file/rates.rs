//! What assets are worth, and whether everything that is valued has a rate.

use super::build::Builder;
use super::form::Style;
use super::words::{UNKNOWN_ASSET, code, minor_units};
use super::{Fault, Goal, Order, Participant};
use fx::{
    AssetCode, Pair, Price, Rate, RateBookError, RateQuote, ValuationRate, known_minor_units,
    valuation_rate,
};
use settlement_core::run::{HAIRCUT_SCALE, RATE_SCALED_MAX};
use std::fmt;

/// Decimals of a haircut.
const HAIRCUT_DECIMALS: u8 = 4;
/// What rates of the file itself have as their source; it is not kept.
const SOURCE: &str = "file";

impl Builder<'_> {
    pub(super) fn tokens(&mut self) -> Result<(), Fault> {
        for (at, asset) in self.form.assets.iter().enumerate() {
            let path = |field| format!("assets[{at}].{field}");
            let code = code(&asset.code, || path("code"))?;
            let decimals = asset.decimals.text.parse::<u8>();
            let decimals = decimals
                .ok()
                .filter(|&decimals| decimals <= fx::DECIMALS_MAX);
            let decimals = decimals
                .ok_or_else(|| Fault::new(asset.decimals.line, path("decimals"), "above 8"))?;
            if known_minor_units(code).is_some_and(|known| known != decimals) {
                let reason = format!("{code} is a currency with other decimals");
                return Err(Fault::new(asset.decimals.line, path("decimals"), reason));
            }
            if self.tokens.insert(code, decimals).is_some() {
                let reason = format!("{code} is there twice");
                return Err(Fault::new(asset.code.line, path("code"), reason));
            }
        }
        Ok(())
    }

    pub(super) fn rates(&mut self) -> Result<(), Fault> {
        for (name, text) in &self.form.rates {
            let fault = |reason: &dyn fmt::Display| {
                Fault::new(text.line, format!("rates.{}", name.text), reason)
            };
            let pair = Pair::parse(&name.text).map_err(|error| fault(&error))?;
            if self.book.get(pair).is_some() {
                return Err(fault(&format!("{pair} is there twice")));
            }
            Rate::parse(&text.text).map_err(|error| fault(&error))?;
            let quote = RateQuote::parse(pair, &text.text, &text.text, 0, SOURCE);
            let quote = quote.map_err(|error| fault(&error))?;
            self.book.insert(quote).map_err(|error| fault(&error))?;
        }
        Ok(())
    }

    pub(super) fn haircuts(&mut self) -> Result<(), Fault> {
        for (name, text) in &self.form.haircuts {
            let fault = |reason: &dyn fmt::Display| {
                Fault::new(text.line, format!("haircuts.{}", name.text), reason)
            };
            let code = code(name, || format!("haircuts.{}", name.text))?;
            self.decimals(code).ok_or_else(|| fault(&UNKNOWN_ASSET))?;
            let minor = minor_units(&text.text, HAIRCUT_DECIMALS).map_err(|error| fault(&error))?;
            let haircut = u16::try_from(minor)
                .ok()
                .filter(|&haircut| haircut < HAIRCUT_SCALE);
            let haircut = haircut.ok_or_else(|| fault(&"not from 0 to below 1"))?;
            if haircut > 0 && self.base == Some(code) {
                return Err(fault(&"the base currency has no haircut"));
            }
            if self.haircuts.insert(code, haircut).is_some() {
                return Err(fault(&format!("{code} is there twice")));
            }
        }
        Ok(())
    }

    pub(super) fn decimals(&self, code: AssetCode) -> Option<u8> {
        self.tokens
            .get(&code)
            .copied()
            .or_else(|| known_minor_units(code))
    }

    /// Freezes the rate of every asset that has one.
    pub(super) fn value_assets(&mut self) -> Result<(), Fault> {
        let Some(base) = self.base else {
            return Ok(());
        };
        for asset in &mut self.file.assets {
            let pair = Pair {
                base: asset.code,
                quote: base,
            };
            let fault = |reason: &dyn fmt::Display| Fault::new(1, "rates", reason);
            let rate = match self.book.cross(pair, Price::Mid) {
                Ok(cross) => cross.rate,
                Err(RateBookError::Missing { .. }) => continue,
                Err(error) => return Err(fault(&error)),
            };
            let frozen =
                valuation_rate(&rate).map_err(|error| fault(&format!("{pair}: {error}")))?;
            if frozen.scaled() > RATE_SCALED_MAX {
                return Err(fault(&format!("{pair}: the rate is too large")));
            }
            asset.rate = Some(frozen);
        }
        Ok(())
    }

    /// Whatever is valued has a rate.
    pub(super) fn check_rates(&self) -> Result<(), Fault> {
        for (at, form) in self.form.participants.iter().enumerate() {
            let Participant {
                bic,
                aggregate_short_max,
                account_value,
            } = &self.file.participants[at];
            let field = match (aggregate_short_max, account_value) {
                (Some(_), _) => "aggregate_short_limit",
                (None, true) => "account_value_test",
                (None, false) => continue,
            };
            let mut own = self.file.accounts.iter();
            let missing = own.find(|account| {
                account.participant as usize == at && self.rate(account.asset).is_none()
            });
            if let Some(account) = missing {
                let reason = format!("needs {} for {bic}", self.missing_rate(account.asset));
                return Err(Fault::new(
                    form.bic.line,
                    format!("participants[{at}].{field}"),
                    reason,
                ));
            }
        }
        if self.file.order == Order::Bypassed && self.file.goal == Goal::Value {
            self.check_goal()?;
        }
        Ok(())
    }

    /// Value is counted in one currency: the base, or the only one that there is.
    fn check_goal(&self) -> Result<(), Fault> {
        let mut first = None;
        for (at, form) in self.form.queue.iter().enumerate() {
            for (leg, text) in form.legs.iter().map(|leg| &leg.asset).enumerate() {
                let asset = AssetCode::parse(text.text.as_bytes());
                let asset = asset.and_then(|code| self.asset_places.get(&code));
                let asset = *asset.expect("every leg's asset is known");
                let is_only = *first.get_or_insert(asset) == asset;
                if self.rate(asset).is_none() && !(self.file.base.is_none() && is_only) {
                    let field = match self.form.style {
                        Style::Json => format!("queue[{at}].legs[{leg}].asset"),
                        Style::Csv => "asset".to_owned(),
                    };
                    let reason = format!("the goal value needs {}", self.missing_rate(asset));
                    return Err(Fault::new(text.line, field, reason));
                }
            }
        }
        Ok(())
    }

    fn rate(&self, asset: u32) -> Option<ValuationRate> {
        self.file.assets[asset as usize].rate
    }

    fn missing_rate(&self, asset: u32) -> String {
        match self.base {
            Some(base) => format!("a rate of {}/{base}", self.file.code(asset)),
            None => "a base currency".to_owned(),
        }
    }
}
