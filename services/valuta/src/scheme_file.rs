//! The scheme as a TOML file: what `valuta scheme apply` reads and `valuta scheme sample` prints.
//!
//! Amounts are text, for a float is no amount. An asset's `instruction_limit` holds for each account
//! in it but those that `[[limits]]` names. A participant's `accounts` are the assets that it holds one
//! in. Applying a file adds and changes; it never removes what the file does not name.

use serde::Deserialize;
use valuta_proto::v1;

/// Twelve banks, ten currencies that the ECB publishes rates of, one settlement agent for each.
pub const SAMPLE: &str = include_str!("scheme_sample.toml");

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    name: String,
    base_asset: String,
    cut_offs: Option<CutOffs>,
    #[serde(default)]
    assets: Vec<Asset>,
    #[serde(default)]
    participants: Vec<Participant>,
    #[serde(default)]
    limits: Vec<Limit>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CutOffs {
    zone: String,
    close: String,
    pay_in: String,
    completion: String,
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
/// What the TOML reader says: the line, and the key that is missing, unknown or of another type.
pub fn parse(text: &str) -> Result<v1::Scheme, String> {
    let file: File = toml::from_str(text).map_err(|error| error.to_string())?;
    let accounts = file.accounts();
    let mut limits = file.instruction_limits(&accounts);
    limits.extend(file.limits.into_iter().map(Limit::wire));
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
        ] {
            let error = parse(text).unwrap_err();
            assert!(error.contains(part), "{error}");
        }
    }
}
