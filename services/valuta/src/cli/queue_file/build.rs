//! Form to file: numbers everything, and checks what each word means.

use super::form::{
    AccountForm, CapForm, Form, InstructionForm, LegForm, LimitForm, ParticipantForm, Style, Text,
};
use super::words::{
    GOALS, ORDERS, PRIORITIES, Priority, UNKNOWN_ASSET, code, minor_units, not_negative, numbered,
    word,
};
use super::{
    Account, Asset, Fault, Goal, Instruction, Order, Participant, QueueFile, is_json, json, sheet,
};
use fx::{AssetCode, DecimalText, RateBook};
use settlement_core::ids::Bic;
use settlement_core::instruction::LEGS_MAX;
use settlement_core::run::{Cap, FLOOR_NONE, Leg};
use std::collections::BTreeMap;

/// What a queue file is read from.
#[derive(Clone, Debug, Default)]
pub struct Sources<'a> {
    /// The queue: JSON with everything in it, or CSV.
    pub queue: &'a str,
    /// Accounts beside a queue in CSV.
    pub accounts: Option<&'a str>,
    /// Rates beside a queue in CSV.
    pub rates: Option<RateBook>,
    /// The base currency beside a queue in CSV.
    pub base: Option<AssetCode>,
    /// Instead of what the file says.
    pub order: Option<Order>,
    /// Instead of what the file says.
    pub goal: Option<Goal>,
}

/// Reads and checks everything.
pub(super) fn build(sources: &Sources<'_>) -> Result<QueueFile, Fault> {
    let queue = sources.queue.trim_start_matches('\u{feff}');
    let accounts = sources
        .accounts
        .map(|text| text.trim_start_matches('\u{feff}'));
    let form = if is_json(queue) {
        json::read(queue)?
    } else {
        sheet::read(queue, accounts)?
    };
    let mut builder = Builder::start(&form, sources)?;
    for (at, participant) in form.participants.iter().enumerate() {
        builder.participant(at, participant)?;
    }
    for (at, account) in form.accounts.iter().enumerate() {
        let known = builder.account(at, account);
        known.map_err(|fault| Fault {
            is_in_accounts: form.style == Style::Csv,
            ..fault
        })?;
    }
    for (at, cap) in form.caps.iter().enumerate() {
        builder.cap(at, cap)?;
    }
    builder.queue()?;
    builder.value_assets()?;
    builder.check_rates()?;
    Ok(builder.file)
}

/// A file under way.
pub(super) struct Builder<'f> {
    pub(super) form: &'f Form<'f>,
    pub(super) file: QueueFile,
    pub(super) base: Option<AssetCode>,
    pub(super) book: RateBook,
    pub(super) tokens: BTreeMap<AssetCode, u8>,
    pub(super) haircuts: BTreeMap<AssetCode, u16>,
    pub(super) asset_places: BTreeMap<AssetCode, u32>,
    pub(super) participant_places: BTreeMap<Bic, u32>,
    pub(super) account_places: BTreeMap<(u32, u32), u32>,
}

impl<'f> Builder<'f> {
    /// The top of the file: all that the rest is read by.
    fn start(form: &'f Form<'f>, sources: &Sources<'_>) -> Result<Self, Fault> {
        let order = word(form.order.as_ref(), "order", &ORDERS)?;
        let goal = word(form.goal.as_ref(), "goal", &GOALS)?;
        let mut builder = Self {
            form,
            file: QueueFile {
                order: sources.order.or(order).unwrap_or(Order::Kept),
                goal: sources.goal.or(goal).unwrap_or(Goal::Value),
                base: None,
                assets: Vec::new(),
                participants: Vec::new(),
                accounts: Vec::new(),
                caps: Vec::new(),
                instructions: Vec::new(),
                units: Vec::new(),
            },
            base: None,
            book: sources.rates.clone().unwrap_or_default(),
            tokens: BTreeMap::new(),
            haircuts: BTreeMap::new(),
            asset_places: BTreeMap::new(),
            participant_places: BTreeMap::new(),
            account_places: BTreeMap::new(),
        };
        builder.tokens()?;
        if let Some(base) = &form.base {
            let place = builder.asset(base, || "base".to_owned())?;
            builder.file.base = Some(place);
        } else if let Some(base) = sources.base {
            let text = base.to_string().into();
            let place = builder.asset(&Text { text, line: 1 }, || "base".to_owned())?;
            builder.file.base = Some(place);
        }
        let assets = &builder.file.assets;
        builder.base = builder.file.base.map(|place| assets[place as usize].code);
        builder.rates()?;
        builder.haircuts()?;
        Ok(builder)
    }

    /// A place in the file by its path or its column.
    fn path(&self, list: &str, at: usize, field: &str) -> String {
        match self.form.style {
            Style::Json => format!("{list}[{at}].{field}"),
            Style::Csv => field.to_owned(),
        }
    }

    /// The asset of a text, known from now on.
    fn asset(&mut self, text: &Text<'_>, path: impl Fn() -> String) -> Result<u32, Fault> {
        let code = code(text, &path)?;
        if let Some(&place) = self.asset_places.get(&code) {
            return Ok(place);
        }
        let decimals = self.decimals(code);
        let decimals = decimals.ok_or_else(|| Fault::new(text.line, path(), UNKNOWN_ASSET))?;
        let place = numbered(self.file.assets.len());
        self.asset_places.insert(code, place);
        self.file.assets.push(Asset {
            code,
            decimals,
            rate: None,
            haircut: self.haircuts.get(&code).copied().unwrap_or(0),
        });
        Ok(place)
    }

    /// The participant of a text, known from now on.
    fn bank(&mut self, text: &Text<'_>, path: impl Fn() -> String) -> Result<u32, Fault> {
        let bic = Bic::parse(text.text.as_bytes());
        let bic = bic.ok_or_else(|| Fault::new(text.line, path(), "not a BIC"))?;
        let next = numbered(self.file.participants.len());
        let place = *self.participant_places.entry(bic).or_insert(next);
        if place == next {
            self.file.participants.push(Participant {
                bic,
                aggregate_short_max: None,
                account_value: false,
            });
        }
        Ok(place)
    }

    /// The account of a participant in an asset, known from now on.
    fn account_of(&mut self, participant: u32, asset: u32) -> u32 {
        let next = numbered(self.file.accounts.len());
        let place = *self
            .account_places
            .entry((participant, asset))
            .or_insert(next);
        if place == next {
            self.file.accounts.push(Account {
                participant,
                asset,
                balance: 0,
                floor: 0,
            });
        }
        place
    }

    fn participant(&mut self, at: usize, form: &ParticipantForm<'_>) -> Result<(), Fault> {
        let path = |field: &str| format!("participants[{at}].{field}");
        let place = self.bank(&form.bic, || path("bic"))?;
        if place as usize != at {
            return Err(Fault::new(form.bic.line, path("bic"), "is there twice"));
        }
        let limit = match &form.aggregate_short_limit {
            Some(text) => {
                let field = path("aggregate_short_limit");
                let reason = "needs a base currency";
                let base = self.file.base;
                let base = base.ok_or_else(|| Fault::new(text.line, &field, reason))?;
                let decimals = self.file.assets[base as usize].decimals;
                Some(not_negative(text, decimals, || field.clone())?)
            }
            None => None,
        };
        if form.account_value_test && self.file.base.is_none() {
            let field = path("account_value_test");
            return Err(Fault::new(form.bic.line, field, "needs a base currency"));
        }
        let participant = &mut self.file.participants[at];
        participant.aggregate_short_max = limit;
        participant.account_value = form.account_value_test;
        Ok(())
    }

    fn account(&mut self, at: usize, form: &AccountForm<'_>) -> Result<(), Fault> {
        let path = |field: &str| match self.form.style {
            Style::Json => format!("accounts[{at}].{field}"),
            Style::Csv => field.to_owned(),
        };
        let participant = self.bank(&form.participant, || path("participant"))?;
        let asset = self.asset(&form.asset, || path("asset"))?;
        if self.account_of(participant, asset) as usize != at {
            let reason = "the participant has an account in this asset already";
            return Err(Fault::new(form.asset.line, path("asset"), reason));
        }
        let decimals = self.file.assets[asset as usize].decimals;
        let account = &mut self.file.accounts[at];
        if let Some(text) = &form.amount {
            let minor = minor_units(&text.text, decimals);
            account.balance =
                minor.map_err(|error| Fault::new(text.line, path("amount"), error))?;
        }
        account.floor = match &form.short_limit {
            LimitForm::Zero => 0,
            LimitForm::None => FLOOR_NONE,
            LimitForm::Of(text) => -not_negative(text, decimals, || path("short_limit"))?,
        };
        Ok(())
    }

    fn cap(&mut self, at: usize, form: &CapForm<'_>) -> Result<(), Fault> {
        let path = |field: &str| format!("bilateral_caps[{at}].{field}");
        let (from, to) = (
            self.bank(&form.from, || path("from"))?,
            self.bank(&form.to, || path("to"))?,
        );
        if from == to {
            return Err(Fault::new(form.to.line, path("to"), "the same as from"));
        }
        let asset = self.asset(&form.asset, || path("asset"))?;
        let (debtor, creditor) = (self.account_of(from, asset), self.account_of(to, asset));
        let mut known = self.file.caps.iter();
        if known.any(|cap| (cap.debtor, cap.creditor) == (debtor, creditor)) {
            return Err(Fault::new(form.from.line, path("from"), "is there twice"));
        }
        let decimals = self.file.assets[asset as usize].decimals;
        let amount = not_negative(&form.amount, decimals, || path("amount"))?;
        self.file.caps.push(Cap {
            debtor,
            creditor,
            amount,
        });
        Ok(())
    }

    /// All instructions, in queue order, and the units that they are.
    fn queue(&mut self) -> Result<(), Fault> {
        let mut ids = BTreeMap::new();
        let mut queued: Vec<(Priority, &str, Instruction)> = Vec::new();
        for (at, form) in self.form.queue.iter().enumerate() {
            let path = |builder: &Self, field| builder.path("queue", at, field);
            if form.id.text.is_empty() {
                return Err(Fault::new(form.id.line, path(self, "id"), "empty"));
            }
            if let Some(line) = ids.insert(form.id.text.as_ref(), form.id.line) {
                let reason = format!("{} is used already, on line {line}", form.id.text);
                return Err(Fault::new(form.id.line, path(self, "id"), reason));
            }
            let priority = word(form.priority.as_ref(), &path(self, "priority"), &PRIORITIES)?;
            let instruction = self.instruction(at, form)?;
            let group = form.group.as_ref().map_or("", |group| &group.text);
            queued.push((priority.unwrap_or(Priority::Normal), group, instruction));
        }
        // Stable: within a priority by place in the file.
        queued.sort_by_key(|&(priority, ..)| priority);
        self.units(queued);
        Ok(())
    }

    fn instruction(&mut self, at: usize, form: &InstructionForm<'_>) -> Result<Instruction, Fault> {
        if !(1..=LEGS_MAX).contains(&form.legs.len()) {
            let field = self.path("queue", at, "legs");
            let reason = format!("{} legs, not 1 to {LEGS_MAX}", form.legs.len());
            return Err(Fault::new(form.id.line, field, reason));
        }
        let legs = form.legs.iter().enumerate();
        let legs = legs.map(|(leg, form)| self.leg(at, leg, form));
        Ok(Instruction {
            id: form.id.text.clone().into_owned(),
            legs: legs.collect::<Result<_, _>>()?,
            unit: 0,
        })
    }

    fn leg(&mut self, at: usize, leg: usize, form: &LegForm<'_>) -> Result<Leg, Fault> {
        let style = self.form.style;
        let path = |field: &str| match style {
            Style::Json => format!("queue[{at}].legs[{leg}].{field}"),
            Style::Csv => field.to_owned(),
        };
        let debtor = self.bank(&form.debtor, || path("debtor"))?;
        let creditor = self.bank(&form.creditor, || path("creditor"))?;
        if debtor == creditor {
            let reason = "the same as the debtor";
            return Err(Fault::new(form.creditor.line, path("creditor"), reason));
        }
        let asset = self.asset(&form.asset, || path("asset"))?;
        let decimals = self.file.assets[asset as usize].decimals;
        let amount = DecimalText::parse(form.amount.text.as_bytes())
            .map_err(|error| error.to_string())
            .and_then(|text| {
                text.to_minor_units(decimals)
                    .map_err(|error| error.to_string())
            })
            .map_err(|reason| Fault::new(form.amount.line, path("amount"), reason))?;
        Ok(Leg {
            debtor: self.account_of(debtor, asset),
            creditor: self.account_of(creditor, asset),
            amount,
        })
    }

    /// Each group is one unit, at the place of its last member.
    fn units(&mut self, queued: Vec<(Priority, &str, Instruction)>) {
        let mut members: BTreeMap<&str, Vec<u32>> = BTreeMap::new();
        for (place, (_, group, _)) in queued.iter().enumerate() {
            if !group.is_empty() {
                members.entry(group).or_default().push(numbered(place));
            }
        }
        for (place, (_, group, _)) in queued.iter().enumerate() {
            let place = numbered(place);
            match members.get(group) {
                None => self.file.units.push(vec![place]),
                Some(unit) if unit.last() == Some(&place) => self.file.units.push(unit.clone()),
                Some(_) => {}
            }
        }
        let instructions = queued.into_iter().map(|(_, _, instruction)| instruction);
        self.file.instructions = instructions.collect();
        for (unit, places) in self.file.units.iter().enumerate() {
            for &place in places {
                self.file.instructions[place as usize].unit = numbered(unit);
            }
        }
    }
}
