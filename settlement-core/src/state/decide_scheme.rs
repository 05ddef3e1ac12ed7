//! A scheme's description against what there is: only differences become events.

use super::State;
use super::cycles::at;
use super::decide_command::{NAME_CHARS_MAX, invalid, not_found};
use crate::command::{
    AccountLine, AccountState, AssetCutOff, AssetDay, AssetLine, CUT_OFF_DAYS_BEFORE_MAX, CutOffs,
    LimitLine, ParticipantLine, Refusal, Scheme,
};
use crate::event::Event;
use crate::ids::{AccountId, Bic};
use crate::risk::RiskLine;
use fx::calendar::LocalCutoff;
use fx::{AssetCode, DECIMALS_MAX};
use std::collections::BTreeSet;

/// Minutes of a day.
const DAY_MINUTES: u16 = 24 * 60;
/// Participants and assets are numbered with 16 bits.
const NUMBERED_MAX: usize = 1 << 16;

/// The names that lines may refer to: those there are, and those that the description adds.
pub(super) struct Names {
    assets: BTreeSet<AssetCode>,
    participants: BTreeSet<Bic>,
    accounts: BTreeSet<(Bic, AssetCode)>,
}

impl Names {
    fn has(&self, line: &RiskLine) -> bool {
        match line {
            RiskLine::Model(_) => true,
            RiskLine::Haircut { asset, .. } => self.assets.contains(asset),
            RiskLine::ShortLimit {
                participant, asset, ..
            } => self.accounts.contains(&(*participant, *asset)),
            RiskLine::Tests { participant, .. } => self.participants.contains(participant),
        }
    }
}

/// What a line is about: two of one key would contradict each other.
fn risk_key(line: &RiskLine) -> (u8, Option<Bic>, Option<AssetCode>) {
    match *line {
        RiskLine::Model(_) => (0, None, None),
        RiskLine::Haircut { asset, .. } => (1, None, Some(asset)),
        RiskLine::ShortLimit {
            participant, asset, ..
        } => (2, Some(participant), Some(asset)),
        RiskLine::Tests { participant, .. } => (3, Some(participant), None),
    }
}

impl State {
    /// The names that there are.
    pub(super) fn names(&self) -> Names {
        let accounts = 0..u32::try_from(self.accounts.len()).expect("numbered with u32");
        Names {
            assets: self
                .directory
                .assets()
                .iter()
                .map(|line| line.code)
                .collect(),
            participants: self
                .directory
                .participants()
                .iter()
                .map(|line| line.bic)
                .collect(),
            accounts: accounts
                .map(|id| self.directory.account_names(AccountId(id)))
                .collect(),
        }
    }

    pub(super) fn line_account(&self, participant: Bic, asset: AssetCode) -> Option<AccountId> {
        let participant = self.directory.participant_id(participant)?;
        self.directory
            .account_id(participant, self.directory.asset_id(asset)?)
    }

    pub(super) fn decide_scheme(&self, scheme: &Scheme) -> Result<Vec<Event>, Refusal> {
        self.check_named(scheme)?;
        let mut names = self.names();
        let mut events: Vec<Event> = match self.scheme {
            Some(_) => Vec::new(),
            None => vec![Event::SchemeNamed {
                name: scheme.name,
                base_asset: scheme.base_asset,
            }],
        };
        self.asset_changes(&scheme.assets, &mut names, &mut events)?;
        if !names.assets.contains(&scheme.base_asset) {
            return Err(not_found("scheme.base_asset", "is not among the assets"));
        }
        self.participant_changes(&scheme.participants, &mut names, &mut events)?;
        once(&scheme.accounts, "scheme.accounts", |line| {
            (line.participant, line.asset)
        })?;
        for (index, line) in scheme.accounts.iter().enumerate() {
            self.check_account(line, &format!("scheme.accounts[{index}]."), &names)?;
            events.extend(self.account_change(line));
        }
        names.accounts.extend(
            scheme
                .accounts
                .iter()
                .map(|line| (line.participant, line.asset)),
        );
        let limit_key = |line: &LimitLine| (line.participant, line.asset, line.counterparty);
        once(&scheme.limits, "scheme.limits", limit_key)?;
        for (index, line) in scheme.limits.iter().enumerate() {
            self.check_limit(line, &format!("scheme.limits[{index}]"), &names)?;
            events.extend(self.limit_change(line));
        }
        once(&scheme.risk, "scheme.risk", risk_key)?;
        for (index, line) in scheme.risk.iter().enumerate() {
            let (field, base) = (format!("scheme.risk[{index}]"), Some(scheme.base_asset));
            self.check_risk(line, &field, base, |line| names.has(line))?;
            events.extend(self.risk_change(line));
        }
        if let Some(cut_offs) = &scheme.cut_offs {
            check_cut_offs(cut_offs)?;
            let changed = self.cut_offs.as_ref() != Some(cut_offs);
            events.extend(changed.then(|| Event::CutOffsSet(cut_offs.clone())));
        }
        self.cut_off_changes(&scheme.asset_cut_offs, &names, &mut events)?;
        self.day_changes(&scheme.days, &names, &mut events)?;
        Ok(events)
    }

    fn cut_off_changes(
        &self,
        lines: &[AssetCutOff],
        names: &Names,
        events: &mut Vec<Event>,
    ) -> Result<(), Refusal> {
        let key = |line: &AssetCutOff| (line.asset, line.purpose);
        once(lines, "scheme.asset_cut_offs", key)?;
        for (index, line) in lines.iter().enumerate() {
            let field = |name: &str| format!("scheme.asset_cut_offs[{index}].{name}");
            if !names.assets.contains(&line.asset) {
                return Err(not_found(field("asset"), "no such asset"));
            }
            if line.days_before > CUT_OFF_DAYS_BEFORE_MAX {
                return Err(invalid(field("days_before"), "is above 5"));
            }
            let held = self.asset_cut_offs.get(&key(line));
            let same = match held {
                Some(held) => held == line,
                None => line.cut_off.is_none(),
            };
            events.extend((!same).then_some(Event::AssetCutOffSet(*line)));
        }
        Ok(())
    }

    fn day_changes(
        &self,
        lines: &[AssetDay],
        names: &Names,
        events: &mut Vec<Event>,
    ) -> Result<(), Refusal> {
        once(lines, "scheme.days", |line| (line.asset, line.date))?;
        for (index, line) in lines.iter().enumerate() {
            if !names.assets.contains(&line.asset) {
                let field = format!("scheme.days[{index}].asset");
                return Err(not_found(field, "no such asset"));
            }
            let held = self.calendars.change(line.asset, line.date.naive());
            let same = held == Some(line.change);
            events.extend((!same).then_some(Event::AssetDaySet(*line)));
        }
        Ok(())
    }

    fn check_named(&self, scheme: &Scheme) -> Result<(), Refusal> {
        match self.scheme {
            Some((name, _)) if name != scheme.name => {
                Err(invalid("scheme.name", format!("is fixed: {name}")))
            }
            Some((_, base)) if base != scheme.base_asset => {
                Err(invalid("scheme.base_asset", format!("is fixed: {base}")))
            }
            _ => Ok(()),
        }
    }

    fn asset_changes(
        &self,
        lines: &[AssetLine],
        names: &mut Names,
        events: &mut Vec<Event>,
    ) -> Result<(), Refusal> {
        once(lines, "scheme.assets", |line| line.code)?;
        for (index, line) in lines.iter().enumerate() {
            let field = |name: &str| format!("scheme.assets[{index}].{name}");
            if line.decimals > DECIMALS_MAX {
                return Err(invalid(field("decimals"), "is above 8"));
            }
            if let Some(id) = self.directory.asset_id(line.code) {
                let held = self.directory.asset(id);
                if held.decimals != line.decimals {
                    return Err(invalid(field("decimals"), "is fixed at registration"));
                }
                if held.agent != line.agent {
                    return Err(invalid(field("agent"), "is fixed at registration"));
                }
                events.extend((held != line).then_some(Event::AssetSet(*line)));
                continue;
            }
            names.assets.insert(line.code);
            if names.assets.len() > NUMBERED_MAX {
                return Err(invalid("scheme.assets", "are more than 65,536"));
            }
            events.push(Event::AssetSet(*line));
        }
        Ok(())
    }

    fn participant_changes(
        &self,
        lines: &[ParticipantLine],
        names: &mut Names,
        events: &mut Vec<Event>,
    ) -> Result<(), Refusal> {
        once(lines, "scheme.participants", |line| line.bic)?;
        for (index, line) in lines.iter().enumerate() {
            let ParticipantLine {
                bic,
                name,
                mut state,
            } = line.clone();
            let length = name.chars().count();
            if length == 0 || length > NAME_CHARS_MAX {
                let field = format!("scheme.participants[{index}].name");
                return Err(invalid(field, "is not of 1 to 70 characters"));
            }
            if let Some(id) = self.directory.participant_id(bic) {
                let held = self.directory.participant(id);
                state = held.state;
                let changed = held.name != name;
                events.extend(changed.then_some(Event::ParticipantSet { bic, name, state }));
                continue;
            }
            names.participants.insert(bic);
            if names.participants.len() > NUMBERED_MAX {
                return Err(invalid("scheme.participants", "are more than 65,536"));
            }
            events.push(Event::ParticipantSet { bic, name, state });
        }
        Ok(())
    }

    /// `path` leads to the line's fields: `scheme.accounts[3].`, or nothing.
    pub(super) fn check_account(
        &self,
        line: &AccountLine,
        path: &str,
        names: &Names,
    ) -> Result<(), Refusal> {
        if !names.participants.contains(&line.participant) {
            return Err(not_found(
                format!("{path}participant"),
                "no such participant",
            ));
        }
        if !names.assets.contains(&line.asset) {
            return Err(not_found(format!("{path}asset"), "no such asset"));
        }
        let closing = line.state == AccountState::Closed;
        match self.line_account(line.participant, line.asset) {
            Some(account) if closing && self.is_in_use(account) => {
                Err(Refusal::WrongState(format!(
                    "{path}state: an account is closed only at balance zero, with nothing waiting"
                )))
            }
            _ => Ok(()),
        }
    }

    /// Whether an account holds anything, or something waits that pays or credits it.
    fn is_in_use(&self, account: AccountId) -> bool {
        let queued = self.queues.iter().flat_map(|(_, unit)| unit.legs.iter());
        let unmatched = self.unmatched.iter().flat_map(|(_, side)| side.legs.iter());
        let pending = self.pending.iter().flat_map(|(_, unit)| unit.legs.iter());
        let live = self
            .cycles_live
            .iter()
            .map(|&index| &self.cycles[index as usize]);
        let mut members = live
            .flat_map(|cycle| cycle.members())
            .flat_map(|member| member.legs);
        let live_funds = self.cycles_live.iter();
        let mut funds = live_funds.map(|&index| at(&self.cycles[index as usize].funds, account));
        self.accounts[account.0 as usize].balance() != 0
            || funds.any(|fund| fund != 0)
            || queued
                .chain(unmatched)
                .chain(pending)
                .any(|leg| leg.debtor == account || leg.creditor == account)
            || members.any(|leg| leg.debtor == account.0 || leg.creditor == account.0)
    }

    pub(super) fn account_change(&self, line: &AccountLine) -> Vec<Event> {
        let held = self.line_account(line.participant, line.asset);
        let same = held.is_some_and(|id| self.directory.account(id).state == line.state);
        (!same)
            .then_some(Event::AccountSet(*line))
            .into_iter()
            .collect()
    }

    pub(super) fn check_limit(
        &self,
        line: &LimitLine,
        field: &str,
        names: &Names,
    ) -> Result<(), Refusal> {
        if !names.accounts.contains(&(line.participant, line.asset)) {
            return Err(not_found(format!("{field}.participant"), "no such account"));
        }
        match line.counterparty {
            Some(bic) if !names.participants.contains(&bic) => {
                return Err(not_found(
                    format!("{field}.counterparty"),
                    "no such participant",
                ));
            }
            Some(bic) if bic == line.participant => {
                return Err(invalid(
                    format!("{field}.counterparty"),
                    "is the participant itself",
                ));
            }
            _ => {}
        }
        if line.amount.is_some_and(|amount| amount < 0) {
            return Err(invalid(format!("{field}.amount"), "is below zero"));
        }
        Ok(())
    }

    pub(super) fn limit_change(&self, line: &LimitLine) -> Vec<Event> {
        let held = self
            .line_account(line.participant, line.asset)
            .and_then(|account| match line.counterparty {
                None => self.limits.instruction(account),
                Some(bic) => {
                    let counterparty = self.directory.participant_id(bic)?;
                    self.limits.bilateral(account, counterparty)
                }
            });
        (held != line.amount)
            .then_some(Event::LimitSet(*line))
            .into_iter()
            .collect()
    }
}

fn check_cut_offs(cut_offs: &CutOffs) -> Result<(), Refusal> {
    if LocalCutoff::parse("00:00", &cut_offs.zone).is_err() {
        return Err(invalid("scheme.cut_offs.zone", "is no IANA time zone"));
    }
    let CutOffs {
        close_minutes,
        pay_in_minutes,
        completion_minutes,
        ..
    } = *cut_offs;
    if completion_minutes >= DAY_MINUTES {
        return Err(invalid("scheme.cut_offs.completion", "is not below 1440"));
    }
    if close_minutes > pay_in_minutes || pay_in_minutes > completion_minutes {
        return Err(invalid(
            "scheme.cut_offs",
            "are not in order: close, pay-in, completion",
        ));
    }
    Ok(())
}

/// Refuses the second line of two with one key.
fn once<T, K: Ord>(lines: &[T], field: &str, key: impl Fn(&T) -> K) -> Result<(), Refusal> {
    let mut seen = BTreeSet::new();
    match lines.iter().position(|line| !seen.insert(key(line))) {
        Some(index) => Err(invalid(format!("{field}[{index}]"), "comes twice")),
        None => Ok(()),
    }
}
