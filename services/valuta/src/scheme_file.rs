//! The scheme as a TOML file: what `valuta scheme apply` reads and `valuta scheme sample` prints.
//!
//! Amounts are text, for a float is no amount. An asset's `instruction_limit` holds for each account
//! in it but those that `[[limits]]` names. A participant's `accounts` are the assets that it holds one
//! in. Applying a file adds and changes; it never removes what the file does not name: an asset's cut-off
//! is lifted by an empty time, and a holiday that was added is taken back by naming it under `remove`.

use crate::cli::text::{parse_funding, parse_order};
use fx::calendar::{CutoffError, LocalCutoff};
use serde::Deserialize;
use settlement_core::command::CUT_OFF_DAYS_BEFORE_MAX;
use settlement_core::ids::Date;
use valuta_proto::v1;
use valuta_proto::v1::risk_rule::Rule;

/// Twelve banks, ten currencies that the ECB publishes rates of, one settlement agent for each.
pub const SAMPLE: &str = include_str!("scheme_sample.toml");

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    name: String,
    base_asset: String,
    cut_offs: Option<CutOffs>,
    #[serde(default)]
    asset_cut_offs: Vec<AssetCutOffs>,
    #[serde(default)]
    holidays: Vec<Holidays>,
    #[serde(default)]
    assets: Vec<Asset>,
    #[serde(default)]
    participants: Vec<Participant>,
    #[serde(default)]
    limits: Vec<Limit>,
    #[serde(default)]
    risk: Risk,
}

/// How cycles are funded, and how far shorts may go.
#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
struct Risk {
    /// `prefunded` or `continuous`.
    funding: String,
    /// `kept`, `bypassed_by_value` or `bypassed_by_count`.
    order: String,
    haircuts: Vec<Haircut>,
    short_limits: Vec<ShortLimit>,
    participants: Vec<Tests>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Haircut {
    asset: String,
    haircut: String,
}

/// Without an amount there is no limit.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ShortLimit {
    participant: String,
    asset: String,
    #[serde(default)]
    amount: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Tests {
    participant: String,
    #[serde(default)]
    aggregate_short_limit: String,
    #[serde(default)]
    account_value_test: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CutOffs {
    zone: String,
    close: String,
    pay_in: String,
    completion: String,
}

/// An asset's own cut-offs; those that are left out stay as they are.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AssetCutOffs {
    asset: String,
    zone: String,
    #[serde(default)]
    days_before: u8,
    customer: Option<String>,
    interbank: Option<String>,
    cancel: Option<String>,
    pay_in: Option<String>,
    close: Option<String>,
}

/// Days of an asset that are holidays here, or business days, whatever is published.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Holidays {
    asset: String,
    #[serde(default)]
    add: Vec<String>,
    #[serde(default)]
    remove: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Asset {
    code: String,
    decimals: u32,
    agent: String,
    #[serde(default = "yes")]
    enabled: bool,
    /// Per instruction, for each account that the file names.
    instruction_limit: Option<String>,
}

fn yes() -> bool {
    true
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Participant {
    bic: String,
    name: String,
    #[serde(default)]
    accounts: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Limit {
    participant: String,
    asset: String,
    #[serde(default)]
    counterparty: String,
    amount: String,
}

/// Reads a scheme file.
///
/// # Errors
/// What the TOML reader says: the line, and the key that is missing, unknown or of another type. Or the
/// path of a time, zone or date that is none.
pub fn parse(text: &str) -> Result<v1::Scheme, String> {
    let file: File = toml::from_str(text).map_err(|error| error.to_string())?;
    let accounts = file.accounts();
    let mut limits = file.instruction_limits(&accounts);
    limits.extend(file.limits.into_iter().map(Limit::wire));
    let mut asset_cut_offs = Vec::new();
    for (index, lines) in file.asset_cut_offs.iter().enumerate() {
        asset_cut_offs.extend(lines.wire(&format!("asset_cut_offs[{index}]"))?);
    }
    let mut days = Vec::new();
    for (index, lines) in file.holidays.iter().enumerate() {
        days.extend(lines.wire(&format!("holidays[{index}]"))?);
    }
    Ok(v1::Scheme {
        accounts,
        name: file.name,
        base_asset: file.base_asset,
        assets: file.assets.into_iter().map(Asset::wire).collect(),
        participants: file
            .participants
            .into_iter()
            .map(Participant::wire)
            .collect(),
        limits,
        cut_offs: file.cut_offs.map(CutOffs::wire),
        asset_cut_offs,
        days,
        risk: file.risk.wire()?,
    })
}

impl File {
    fn accounts(&self) -> Vec<v1::Account> {
        let accounts = self.participants.iter().flat_map(|participant| {
            participant.accounts.iter().map(|asset| v1::Account {
                participant: participant.bic.clone(),
                asset: asset.clone(),
                state: v1::AccountState::Open.into(),
            })
        });
        accounts.collect()
    }

    fn instruction_limits(&self, accounts: &[v1::Account]) -> Vec<v1::Limit> {
        let limit_of = |account: &v1::Account| {
            let asset = self
                .assets
                .iter()
                .find(|asset| asset.code == account.asset)?;
            let is_named = |limit: &Limit| {
                limit.counterparty.is_empty()
                    && (&limit.participant, &limit.asset) == (&account.participant, &account.asset)
            };
            if self.limits.iter().any(is_named) {
                return None;
            }
            Some(v1::Limit {
                participant: account.participant.clone(),
                asset: account.asset.clone(),
                counterparty: String::new(),
                amount: asset.instruction_limit.clone()?,
            })
        };
        accounts.iter().filter_map(limit_of).collect()
    }
}

impl Risk {
    fn wire(self) -> Result<Vec<v1::RiskRule>, String> {
        let named = |key: &str, error: String| format!("risk.{key}: {error}");
        let funding = parse_funding(&self.funding).map_err(|error| named("funding", error))?;
        let order = parse_order(&self.order).map_err(|error| named("order", error))?;
        let described = !self.funding.is_empty() || !self.order.is_empty();
        let model = described.then_some(Rule::Model(v1::SettlementModel { funding, order }));
        let haircuts = self.haircuts.into_iter().map(|line| {
            Rule::Haircut(v1::Haircut {
                asset: line.asset,
                haircut: line.haircut,
            })
        });
        let short = self.short_limits.into_iter().map(|line| {
            Rule::ShortLimit(v1::ShortLimit {
                participant: line.participant,
                asset: line.asset,
                amount: line.amount,
            })
        });
        let tests = self.participants.into_iter().map(|line| {
            Rule::Tests(v1::ParticipantTests {
                participant: line.participant,
                aggregate_short_limit: line.aggregate_short_limit,
                account_value_test: line.account_value_test,
            })
        });
        let rules = model.into_iter().chain(haircuts).chain(short).chain(tests);
        Ok(rules
            .map(|rule| v1::RiskRule { rule: Some(rule) })
            .collect())
    }
}

impl CutOffs {
    fn wire(self) -> v1::CutOffs {
        v1::CutOffs {
            zone: self.zone,
            close: self.close,
            pay_in: self.pay_in,
            completion: self.completion,
        }
    }
}

impl AssetCutOffs {
    fn wire(&self, path: &str) -> Result<Vec<v1::AssetCutOff>, String> {
        if self.days_before > CUT_OFF_DAYS_BEFORE_MAX {
            return Err(format!(
                "{path}.days_before: is above {CUT_OFF_DAYS_BEFORE_MAX}"
            ));
        }
        let times = [
            ("customer", v1::CutOffPurpose::Customer, &self.customer),
            ("interbank", v1::CutOffPurpose::Interbank, &self.interbank),
            ("cancel", v1::CutOffPurpose::Cancel, &self.cancel),
            ("pay_in", v1::CutOffPurpose::PayIn, &self.pay_in),
            ("close", v1::CutOffPurpose::Close, &self.close),
        ];
        let mut lines = Vec::new();
        for (key, purpose, time) in times {
            let Some(time) = time else { continue };
            // An empty one lifts; its zone must be one all the same.
            let checked = if time.is_empty() { "00:00" } else { time };
            LocalCutoff::parse(checked, &self.zone).map_err(|error| {
                let key = match error {
                    CutoffError::Time => key,
                    CutoffError::Zone => "zone",
                };
                format!("{path}.{key}: {error}")
            })?;
            lines.push(v1::AssetCutOff {
                asset: self.asset.clone(),
                purpose: purpose.into(),
                zone: self.zone.clone(),
                time: time.clone(),
                days_before: self.days_before.into(),
            });
        }
        Ok(lines)
    }
}

impl Holidays {
    fn wire(&self, path: &str) -> Result<Vec<v1::AssetDay>, String> {
        let lists = [
            ("add", v1::DayKind::Holiday, &self.add),
            ("remove", v1::DayKind::Business, &self.remove),
        ];
        let mut lines = Vec::new();
        for (key, kind, dates) in lists {
            for (at, date) in dates.iter().enumerate() {
                if Date::parse(date.as_bytes()).is_none() {
                    return Err(format!("{path}.{key}[{at}]: a date is YYYY-MM-DD"));
                }
                lines.push(v1::AssetDay {
                    asset: self.asset.clone(),
                    date: date.clone(),
                    kind: kind.into(),
                });
            }
        }
        Ok(lines)
    }
}

impl Asset {
    fn wire(self) -> v1::Asset {
        v1::Asset {
            code: self.code,
            decimals: self.decimals,
            agent: self.agent,
            enabled: self.enabled,
        }
    }
}

impl Participant {
    fn wire(self) -> v1::Participant {
        v1::Participant {
            bic: self.bic,
            name: self.name,
            state: v1::ParticipantState::Active.into(),
        }
    }
}

impl Limit {
    fn wire(self) -> v1::Limit {
        v1::Limit {
            participant: self.participant,
            asset: self.asset,
            counterparty: self.counterparty,
            amount: self.amount,
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use fx::{AssetCode, DecimalText, iso_minor_units};
    use settlement_core::ids::Bic;

    #[test]
    fn the_sample_is_a_whole_scheme() {
        let scheme = parse(SAMPLE).unwrap();
        assert_eq!((scheme.participants.len(), scheme.assets.len()), (12, 10));
        assert_eq!(scheme.accounts.len(), 120);
        for asset in &scheme.assets {
            let code = AssetCode::parse(asset.code.as_bytes()).unwrap();
            let decimals = iso_minor_units(code).unwrap();
            assert_eq!(asset.decimals, u32::from(decimals), "{}", asset.code);
            assert!(
                Bic::parse(asset.agent.as_bytes()).is_some(),
                "{}",
                asset.agent
            );
        }
        assert_eq!(scheme.limits.len(), 120 + 1);
        let purposes = scheme.asset_cut_offs.iter();
        let purposes: Vec<_> = purposes
            .map(|line| format!("{} {:?} {}", line.asset, line.purpose(), line.time))
            .collect();
        assert_eq!(
            purposes,
            [
                "USD Customer 18:00",
                "USD Interbank 18:45",
                "JPY PayIn 20:30"
            ]
        );
        let days: Vec<_> = scheme
            .days
            .iter()
            .map(|day| (&*day.date, day.kind()))
            .collect();
        assert_eq!(days, [("2026-12-24", v1::DayKind::Holiday)]);
        for limit in &scheme.limits {
            let asset = scheme
                .assets
                .iter()
                .find(|asset| asset.code == limit.asset)
                .unwrap();
            let amount = DecimalText::parse(limit.amount.as_bytes()).unwrap();
            amount
                .to_minor_units(u8::try_from(asset.decimals).unwrap())
                .unwrap();
            assert!(
                scheme
                    .participants
                    .iter()
                    .any(|bank| bank.bic == limit.participant)
            );
        }
    }

    #[test]
    fn errors_name_the_key() {
        for (text, part) in [
            ("base_asset = \"USD\"", "name"),
            ("name = \"x\"\nbase_asset = \"USD\"\ncolour = 1", "colour"),
            (
                "name = \"x\"\nbase_asset = \"USD\"\n[[limits]]\nparticipant=\"A\"\nasset=\"USD\"\namount = 1.5",
                "amount",
            ),
            ("name = ", "line 1"),
            (
                "name = \"x\"\nbase_asset = \"USD\"\n[[asset_cut_offs]]\nasset=\"USD\"\nzone=\"Mars\"\nclose = \"12:00\"",
                "asset_cut_offs[0].zone: the zone is not",
            ),
            (
                "name = \"x\"\nbase_asset = \"USD\"\n[[asset_cut_offs]]\nasset=\"USD\"\nzone=\"UTC\"\npay_in = \"9:00\"",
                "asset_cut_offs[0].pay_in: a cut-off time is HH:MM",
            ),
            (
                "name = \"x\"\nbase_asset = \"USD\"\n[[asset_cut_offs]]\nasset=\"USD\"\nzone=\"UTC\"\ndays_before = 6",
                "asset_cut_offs[0].days_before: is above 5",
            ),
            (
                "name = \"x\"\nbase_asset = \"USD\"\n[[holidays]]\nasset=\"USD\"\nadd = [\"2026-12-24\", \"2026-02-30\"]",
                "holidays[0].add[1]: a date is YYYY-MM-DD",
            ),
        ] {
            let error = parse(text).unwrap_err();
            assert!(error.contains(part), "{error}");
        }
    }
}
