//! A scheme's description between the wire and the core.

use crate::convert;
use crate::errors::{self, invalid};
use crate::fields::{self, optional};
use crate::risk;
use fx::AssetCode;
use fx::calendar::{CutoffError, DayChange, LocalCutoff};
use settlement_core::command::{
    AccountLine, AccountState, AssetCutOff, AssetDay, AssetLine, Caller, CutOffPurpose, CutOffs,
    LimitLine, ParticipantLine, ParticipantState, Scheme,
};
use settlement_core::ids::Bic;
use settlement_core::view::{AssetView, SchemeView};
use tonic::Status;
use valuta_proto::v1;

/// Of a participant's name.
const NAME_CHARS_MAX: usize = 70;
/// Of a zone's name; IANA's longest has 32.
const ZONE_CHARS_MAX: usize = 64;

/// Reads a description; limits of assets that it does not describe are in those of `current`.
pub(crate) fn from_wire(wire: &v1::Scheme, current: &SchemeView) -> Result<Scheme, Status> {
    let assets = list("scheme.assets", &wire.assets, asset)?;
    let decimals = |code| {
        let described = assets
            .iter()
            .chain(&current.assets)
            .find(|line| line.code == code);
        let described = described.map(|line| line.decimals);
        described.ok_or_else(|| {
            errors::not_found("scheme.limits", format!("the scheme has no asset {code}"))
        })
    };
    let base_asset = fields::asset("scheme.base_asset", &wire.base_asset)?;
    Ok(Scheme {
        risk: list("scheme.risk", &wire.risk, |path, wire| {
            risk::from_wire(path, wire, base_asset, decimals)
        })?,
        name: fields::short_text("scheme.name", &wire.name)?,
        base_asset,
        participants: list("scheme.participants", &wire.participants, participant)?,
        accounts: list("scheme.accounts", &wire.accounts, account)?,
        limits: list("scheme.limits", &wire.limits, |path, wire| {
            limit(path, wire, decimals)
        })?,
        cut_offs: wire.cut_offs.as_ref().map(cut_offs).transpose()?,
        asset_cut_offs: list("scheme.asset_cut_offs", &wire.asset_cut_offs, asset_cut_off)?,
        days: list("scheme.days", &wire.days, asset_day)?,
        assets,
    })
}

/// Reads each line under its own path, `name[3].`.
fn list<W, L>(
    name: &str,
    lines: &[W],
    read: impl Fn(&str, &W) -> Result<L, Status>,
) -> Result<Vec<L>, Status> {
    let read = |(at, line)| read(&format!("{name}[{at}]."), line);
    lines.iter().enumerate().map(read).collect()
}

fn asset(path: &str, wire: &v1::Asset) -> Result<AssetLine, Status> {
    let field = |name: &str| format!("{path}{name}");
    let decimals = u8::try_from(wire.decimals)
        .ok()
        .filter(|decimals| *decimals <= fx::DECIMALS_MAX);
    Ok(AssetLine {
        code: fields::asset(&field("code"), &wire.code)?,
        decimals: decimals
            .ok_or_else(|| invalid(&field("decimals"), "an asset has 0 to 8 decimals"))?,
        agent: fields::bic(&field("agent"), &wire.agent)?,
        enabled: wire.enabled,
    })
}

fn participant(path: &str, wire: &v1::Participant) -> Result<ParticipantLine, Status> {
    let field = |name: &str| format!("{path}{name}");
    let state = participant_state(&field("state"), wire.state)?;
    Ok(ParticipantLine {
        bic: fields::bic(&field("bic"), &wire.bic)?,
        name: fields::text(&field("name"), &wire.name, NAME_CHARS_MAX)?,
        state: state.unwrap_or(ParticipantState::Active),
    })
}

/// `None` if unspecified.
pub(crate) fn participant_state(
    field: &str,
    value: i32,
) -> Result<Option<ParticipantState>, Status> {
    match v1::ParticipantState::try_from(value) {
        Ok(v1::ParticipantState::Unspecified) => Ok(None),
        Ok(v1::ParticipantState::Active) => Ok(Some(ParticipantState::Active)),
        Ok(v1::ParticipantState::Suspended) => Ok(Some(ParticipantState::Suspended)),
        Err(_) => Err(fields::unknown(field)),
    }
}

/// An unspecified state is open.
pub(crate) fn account(path: &str, wire: &v1::Account) -> Result<AccountLine, Status> {
    let field = |name: &str| format!("{path}{name}");
    let state = match v1::AccountState::try_from(wire.state) {
        Ok(v1::AccountState::Unspecified | v1::AccountState::Open) => AccountState::Open,
        Ok(v1::AccountState::Blocked) => AccountState::Blocked,
        Ok(v1::AccountState::Closed) => AccountState::Closed,
        Err(_) => return Err(fields::unknown(&field("state"))),
    };
    Ok(AccountLine {
        participant: fields::bic(&field("participant"), &wire.participant)?,
        asset: fields::asset(&field("asset"), &wire.asset)?,
        state,
    })
}

pub(crate) fn limit(
    path: &str,
    wire: &v1::Limit,
    decimals: impl Fn(AssetCode) -> Result<u8, Status>,
) -> Result<LimitLine, Status> {
    let field = |name: &str| format!("{path}{name}");
    let asset = fields::asset(&field("asset"), &wire.asset)?;
    let decimals = decimals(asset)?;
    Ok(LimitLine {
        participant: fields::bic(&field("participant"), &wire.participant)?,
        asset,
        counterparty: optional(&field("counterparty"), &wire.counterparty, fields::bic)?,
        amount: optional(&field("amount"), &wire.amount, |field, text| {
            fields::amount_or_zero(field, text, decimals)
        })?,
    })
}

fn cut_offs(wire: &v1::CutOffs) -> Result<CutOffs, Status> {
    let zone = fields::text("scheme.cut_offs.zone", &wire.zone, ZONE_CHARS_MAX)?;
    if zone.is_empty() {
        return Err(errors::missing("scheme.cut_offs.zone"));
    }
    Ok(CutOffs {
        zone,
        close_minutes: minutes("scheme.cut_offs.close", &wire.close)?,
        pay_in_minutes: minutes("scheme.cut_offs.pay_in", &wire.pay_in)?,
        completion_minutes: minutes("scheme.cut_offs.completion", &wire.completion)?,
    })
}

fn asset_cut_off(path: &str, wire: &v1::AssetCutOff) -> Result<AssetCutOff, Status> {
    let field = |name: &str| format!("{path}{name}");
    let purpose = match v1::CutOffPurpose::try_from(wire.purpose) {
        Ok(v1::CutOffPurpose::Unspecified) => return Err(errors::missing(&field("purpose"))),
        Ok(v1::CutOffPurpose::Customer) => CutOffPurpose::Customer,
        Ok(v1::CutOffPurpose::Interbank) => CutOffPurpose::Interbank,
        Ok(v1::CutOffPurpose::Cancel) => CutOffPurpose::Cancel,
        Ok(v1::CutOffPurpose::PayIn) => CutOffPurpose::PayIn,
        Ok(v1::CutOffPurpose::Close) => CutOffPurpose::Close,
        Err(_) => return Err(fields::unknown(&field("purpose"))),
    };
    let days_before = u8::try_from(wire.days_before).ok();
    Ok(AssetCutOff {
        asset: fields::asset(&field("asset"), &wire.asset)?,
        purpose,
        cut_off: optional(&field("time"), &wire.time, |time_field, time| {
            minutes(time_field, time)?;
            let parsed = LocalCutoff::parse(time, &wire.zone);
            parsed.map_err(|error| match error {
                CutoffError::Time => invalid(time_field, error.to_string()),
                CutoffError::Zone => invalid(&field("zone"), error.to_string()),
            })
        })?,
        days_before: days_before
            .ok_or_else(|| invalid(&field("days_before"), "a cut-off is 0 to 5 days before"))?,
    })
}

fn asset_day(path: &str, wire: &v1::AssetDay) -> Result<AssetDay, Status> {
    let field = |name: &str| format!("{path}{name}");
    let change = match v1::DayKind::try_from(wire.kind) {
        Ok(v1::DayKind::Unspecified) => return Err(errors::missing(&field("kind"))),
        Ok(v1::DayKind::Holiday) => DayChange::Holiday,
        Ok(v1::DayKind::Business) => DayChange::Business,
        Err(_) => return Err(fields::unknown(&field("kind"))),
    };
    Ok(AssetDay {
        asset: fields::asset(&field("asset"), &wire.asset)?,
        date: fields::date(&field("date"), &wire.date)?,
        change,
    })
}

/// `HH:MM` as minutes after midnight.
fn minutes(field: &str, text: &str) -> Result<u16, Status> {
    let two_digits = |text: &[u8]| match text {
        [tens @ b'0'..=b'9', ones @ b'0'..=b'9'] => {
            Some(u16::from((tens - b'0') * 10 + ones - b'0'))
        }
        _ => None,
    };
    let parsed = match text.as_bytes() {
        [] => return Err(errors::missing(field)),
        [hours @ .., b':', tens, ones] => two_digits(hours).zip(two_digits(&[*tens, *ones])),
        _ => None,
    };
    match parsed {
        Some((hours, minutes)) if hours < 24 && minutes < 60 => Ok(hours * 60 + minutes),
        _ => Err(invalid(field, "a time is HH:MM, 00:00 to 23:59")),
    }
}

fn clock(minutes: u16) -> String {
    format!("{:02}:{:02}", minutes / 60, minutes % 60)
}

/// The scheme as a caller may see it: accounts and limits are their participant's, the operator's and
/// treasury's and an auditor's; a settlement agent sees the accounts in its assets.
pub(crate) fn to_wire(view: &SchemeView, caller: Caller) -> v1::Scheme {
    let agent_of = |agent: Bic, asset| {
        view.assets
            .iter()
            .any(|line| line.code == asset && line.agent == agent)
    };
    let sees_account = |account: &&AccountLine| match caller {
        Caller::Participant(bic) => bic == account.participant,
        Caller::Agent(bic) => agent_of(bic, account.asset),
        Caller::Operator | Caller::Treasury | Caller::Auditor => true,
    };
    let sees_limit = |limit: &&LimitLine| match caller {
        Caller::Participant(bic) => bic == limit.participant,
        Caller::Agent(_) => false,
        Caller::Operator | Caller::Treasury | Caller::Auditor => true,
    };
    v1::Scheme {
        name: view.name.map_or_else(String::new, |name| name.to_string()),
        base_asset: view
            .base_asset
            .map_or_else(String::new, |asset| asset.to_string()),
        assets: view.assets.iter().map(asset_to_wire).collect(),
        participants: view.participants.iter().map(participant_to_wire).collect(),
        accounts: view
            .accounts
            .iter()
            .filter(sees_account)
            .map(account_to_wire)
            .collect(),
        limits: view
            .limits
            .iter()
            .filter(sees_limit)
            .map(|limit| limit_to_wire(limit, view))
            .collect(),
        cut_offs: view.cut_offs.as_ref().map(|cut_offs| v1::CutOffs {
            zone: cut_offs.zone.clone(),
            close: clock(cut_offs.close_minutes),
            pay_in: clock(cut_offs.pay_in_minutes),
            completion: clock(cut_offs.completion_minutes),
        }),
        asset_cut_offs: view
            .asset_cut_offs
            .iter()
            .map(asset_cut_off_to_wire)
            .collect(),
        days: view.days.iter().map(asset_day_to_wire).collect(),
        risk: risk::to_wire(view, caller),
    }
}

fn asset_cut_off_to_wire(line: &AssetCutOff) -> v1::AssetCutOff {
    let (zone, time) = line.cut_off.map_or_else(Default::default, |cut_off| {
        (
            cut_off.zone.name().to_owned(),
            cut_off.time.format("%H:%M").to_string(),
        )
    });
    v1::AssetCutOff {
        asset: line.asset.to_string(),
        purpose: convert::cut_off_purpose(line.purpose) as i32,
        zone,
        time,
        days_before: line.days_before.into(),
    }
}

fn asset_day_to_wire(line: &AssetDay) -> v1::AssetDay {
    v1::AssetDay {
        asset: line.asset.to_string(),
        date: line.date.to_string(),
        kind: match line.change {
            DayChange::Holiday => v1::DayKind::Holiday,
            DayChange::Business => v1::DayKind::Business,
        } as i32,
    }
}

fn asset_to_wire(line: &AssetLine) -> v1::Asset {
    v1::Asset {
        code: line.code.to_string(),
        decimals: line.decimals.into(),
        agent: line.agent.to_string(),
        enabled: line.enabled,
    }
}

fn participant_to_wire(line: &ParticipantLine) -> v1::Participant {
    v1::Participant {
        bic: line.bic.to_string(),
        name: line.name.clone(),
        state: match line.state {
            ParticipantState::Active => v1::ParticipantState::Active,
            ParticipantState::Suspended => v1::ParticipantState::Suspended,
        } as i32,
    }
}

fn account_to_wire(line: &AccountLine) -> v1::Account {
    v1::Account {
        participant: line.participant.to_string(),
        asset: line.asset.to_string(),
        state: match line.state {
            AccountState::Open => v1::AccountState::Open,
            AccountState::Blocked => v1::AccountState::Blocked,
            AccountState::Closed => v1::AccountState::Closed,
        } as i32,
    }
}

fn limit_to_wire(line: &LimitLine, view: &SchemeView) -> v1::Limit {
    let asset = view.assets.iter().find(|asset| asset.code == line.asset);
    let asset = AssetView {
        code: line.asset,
        decimals: asset.map_or(0, |asset| asset.decimals),
    };
    v1::Limit {
        participant: line.participant.to_string(),
        asset: line.asset.to_string(),
        counterparty: line
            .counterparty
            .map_or_else(String::new, |bic| bic.to_string()),
        amount: line
            .amount
            .map_or_else(String::new, |amount| convert::amount(amount, asset)),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::testing::{BANK_A, BANK_B, bic, empty_scheme};

    fn rules() -> Vec<v1::RiskRule> {
        use v1::risk_rule::Rule;
        let rules = [
            Rule::Model(v1::SettlementModel {
                funding: v1::FundingModel::Continuous as i32,
                order: v1::SettlementOrder::BypassedByValue as i32,
            }),
            Rule::Haircut(v1::Haircut {
                asset: "JPY".into(),
                haircut: "0.1000".into(),
            }),
            Rule::ShortLimit(v1::ShortLimit {
                participant: BANK_A.into(),
                asset: "JPY".into(),
                amount: String::new(),
            }),
            Rule::Tests(v1::ParticipantTests {
                participant: BANK_A.into(),
                aggregate_short_limit: "60".into(),
                account_value_test: true,
            }),
        ];
        let rule = |rule| v1::RiskRule { rule: Some(rule) };
        rules.into_iter().map(rule).collect()
    }

    fn wire() -> v1::Scheme {
        v1::Scheme {
            risk: rules(),
            name: "demo".into(),
            base_asset: "JPY".into(),
            assets: vec![v1::Asset {
                code: "JPY".into(),
                decimals: 0,
                agent: "BOJPJPJT".into(),
                enabled: true,
            }],
            participants: vec![v1::Participant {
                bic: BANK_A.into(),
                name: "Bank A".into(),
                state: v1::ParticipantState::Active as i32,
            }],
            accounts: vec![v1::Account {
                participant: BANK_A.into(),
                asset: "JPY".into(),
                state: v1::AccountState::Open as i32,
            }],
            limits: vec![v1::Limit {
                participant: BANK_A.into(),
                asset: "JPY".into(),
                counterparty: BANK_B.into(),
                amount: "1000".into(),
            }],
            cut_offs: Some(v1::CutOffs {
                zone: "Europe/Zurich".into(),
                close: "16:00".into(),
                pay_in: "16:30".into(),
                completion: "23:59".into(),
            }),
            asset_cut_offs: vec![v1::AssetCutOff {
                asset: "JPY".into(),
                purpose: v1::CutOffPurpose::PayIn as i32,
                zone: "Asia/Tokyo".into(),
                time: "09:30".into(),
                days_before: 1,
            }],
            days: vec![v1::AssetDay {
                asset: "JPY".into(),
                date: "2026-12-30".into(),
                kind: v1::DayKind::Holiday as i32,
            }],
        }
    }

    #[test]
    fn a_scheme_round_trips() {
        let scheme = from_wire(&wire(), &empty_scheme()).unwrap();
        let view = SchemeView {
            name: Some(scheme.name),
            base_asset: Some(scheme.base_asset),
            assets: scheme.assets,
            participants: scheme.participants,
            accounts: scheme.accounts,
            limits: scheme.limits,
            cut_offs: scheme.cut_offs,
            asset_cut_offs: scheme.asset_cut_offs,
            days: scheme.days,
            risk: scheme.risk,
            ..empty_scheme()
        };
        assert_eq!(to_wire(&view, Caller::Operator), wire());
        assert_eq!(to_wire(&view, Caller::Participant(bic(BANK_A))), wire());
        let others = to_wire(&view, Caller::Participant(bic(BANK_B)));
        assert!(others.accounts.is_empty() && others.limits.is_empty());
        // The scheme's own rules are everybody's.
        assert_eq!(others.risk, rules()[..2]);
        let agents = to_wire(&view, Caller::Agent(bic("BOJPJPJT")));
        assert!(agents.accounts.len() == 1 && agents.limits.is_empty());
    }

    #[test]
    fn faults_name_their_line() {
        let check = |expected: &str, change: fn(&mut v1::Scheme)| {
            let mut wire = wire();
            change(&mut wire);
            let status = from_wire(&wire, &empty_scheme()).unwrap_err();
            assert!(
                status.message().starts_with(expected),
                "{}",
                status.message()
            );
        };
        check("scheme.assets[0].decimals", |s| s.assets[0].decimals = 9);
        check("scheme.assets[0].decimals", |s| s.assets[0].decimals = 256);
        check("scheme.limits[0].amount", |s| {
            s.limits[0].amount = "0.5".into()
        });
        check("scheme.limits", |s| s.limits[0].asset = "EUR".into());
        check("scheme.participants[0].state", |s| {
            s.participants[0].state = 9
        });
        check("scheme.cut_offs.close", |s| {
            s.cut_offs.as_mut().unwrap().close = "24:00".into()
        });
        check("scheme.cut_offs.pay_in", |s| {
            s.cut_offs.as_mut().unwrap().pay_in = "9:00".into()
        });
        check("scheme.cut_offs.completion", |s| {
            s.cut_offs.as_mut().unwrap().completion.clear()
        });
        check("scheme.asset_cut_offs[0].asset", |s| {
            s.asset_cut_offs[0].asset.clear()
        });
        check("scheme.asset_cut_offs[0].purpose", |s| {
            s.asset_cut_offs[0].purpose = 0
        });
        check("scheme.asset_cut_offs[0].purpose", |s| {
            s.asset_cut_offs[0].purpose = 9
        });
        check("scheme.asset_cut_offs[0].time", |s| {
            s.asset_cut_offs[0].time = "25:00".into()
        });
        check("scheme.asset_cut_offs[0].zone", |s| {
            s.asset_cut_offs[0].zone = "Mars".into()
        });
        check("scheme.asset_cut_offs[0].days_before", |s| {
            s.asset_cut_offs[0].days_before = 256
        });
        check("scheme.days[0].date", |s| {
            s.days[0].date = "2026-02-30".into()
        });
        check("scheme.days[0].kind", |s| s.days[0].kind = 0);
        check("scheme.days[0].kind", |s| s.days[0].kind = 3);
        check("scheme.name", |s| s.name = "x".repeat(36));
    }

    #[test]
    fn an_empty_amount_lifts_and_zero_forbids() {
        let of = |amount: &str| {
            let mut wire = wire();
            wire.limits[0].amount = amount.into();
            from_wire(&wire, &empty_scheme()).unwrap().limits[0].amount
        };
        assert_eq!(of(""), None);
        assert_eq!(of("0"), Some(0));
        assert_eq!(of("7"), Some(7));
    }
}
