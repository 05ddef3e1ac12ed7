//! Whether an instruction enters, and where it goes; or the first reason why not.

use super::decide_conditions::Candidate;
use super::identities::EntryId;
use super::queues::Rank;
use super::quotes::Quote;
use super::unmatched::Side;
use super::{CREATED_AGE_MS_MAX, CREATED_AHEAD_MS_MAX, State, VALUE_DATE_AHEAD_DAYS_MAX};
use crate::command::AccountState;
use crate::conditions::{Conditions, Progress};
use crate::event::{Entry, Event, Legs, Order, OrderLeg};
use crate::ids::{AccountId, Date, ParticipantId, Sequence, Timestamp};
use crate::instruction::{
    Body, Digest, Kind, LEGS_MAX, Lane, LegKind, LegSent, ShortText, Submission, Submissions,
};
use crate::rejection::{Fault, Field, Malformed, Rejection};
use crate::run;
use crate::view::{InstructionAnswer, Status, Waiting};
use fx::AmountError;
use sha2::{Digest as _, Sha256};

const TRADE_DOMAIN: &[u8] = b"valuta-trade-v1";

/// What the rules need to know of an instruction beside its legs.
struct Context<'a> {
    kind: Kind,
    body: &'a Body,
    instructing: Option<ParticipantId>,
    item: &'a Submission,
}

impl Context<'_> {
    /// Whether the instructing participant must be this leg's debtor: always, but for the principal
    /// legs of a quote or a trade.
    fn must_be_debtor(&self, leg: &LegSent) -> bool {
        let quoted = self.body.quote_id.is_some() && leg.kind == LegKind::Principal;
        self.kind != Kind::TradeSide && !quoted
    }
}

impl State {
    /// The refusal of an identity that came before with other content, and its answer.
    pub(super) fn duplicate(item: &Submission, sequence: Sequence) -> (Event, InstructionAnswer) {
        let rejection = Rejection::DuplicateWithOtherContent;
        let event = Event::Refused {
            identity: item.identity,
            digest: item.digest,
            remembered: false,
            rejection,
        };
        let answer = InstructionAnswer {
            identity: item.identity,
            sequence,
            status: Status::Rejected(rejection),
            matched_with: None,
            repeated: false,
        };
        (event, answer)
    }

    pub(super) fn decide_instruction(
        &self,
        batch: &Submissions,
        item: &Submission,
        now: Timestamp,
    ) -> Event {
        match self.admit(batch, item, now) {
            Ok((order, entry)) => Event::Accepted { order, entry },
            Err(rejection) => Event::Refused {
                identity: item.identity,
                digest: item.digest,
                remembered: true,
                rejection,
            },
        }
    }

    fn admit(
        &self,
        batch: &Submissions,
        item: &Submission,
        now: Timestamp,
    ) -> Result<(Order, Entry), Rejection> {
        let body = item
            .body
            .as_ref()
            .map_err(|&malformed| Rejection::Malformed(malformed))?;
        let context = Context {
            kind: item.identity.kind,
            body,
            instructing: self.directory.participant_id(item.identity.instructing),
            item,
        };
        let (buffer, count) = self.resolve(batch.legs_of(item), &context)?;
        let legs = &buffer[..count];
        // Resolved legs have debtors, of whom the instructing participant must be one.
        let instructing = context
            .instructing
            .ok_or(Rejection::DebtorUnknown { leg: 0 })?;
        self.check_limits(legs, &context, instructing)?;
        let conditions = batch.conditions_of(body);
        self.check_dates(legs, &context, conditions, now)?;
        let cycle = match body.lane {
            Lane::Gross => None,
            Lane::Net => self.taking_cycle(body.value_date, now),
        };
        let quote = match body.quote_id {
            Some(id) => Some(self.check_quote(legs, instructing, id, body.value_date, now)?),
            None => None,
        };
        if let (Some((_, quote)), Some(cycle)) = (&quote, cycle)
            && cycle.completion_deadline > quote.terms.settle_by
        {
            return Err(Rejection::QuoteExpired);
        }
        let trade = match context.kind {
            Kind::TradeSide => Some(self.trade_digest(legs, body, conditions)?),
            Kind::Payment | Kind::Cover | Kind::Return => None,
        };
        if let Some(conditions) = conditions {
            self.check_conditions(conditions, body, now)?;
        }
        if cycle.is_some_and(|cycle| !cycle.has_room_for(legs.iter().map(run_leg))) {
            return Err(Rejection::BalanceTooLarge);
        }
        let entry = match (waits(conditions, now), trade, cycle) {
            (Some(Waiting::Group), Some(_), _) | (None, Some(_), _) => Entry::Unmatched,
            (Some(Waiting::Group), None, _) => Entry::Grouped,
            (Some(_), ..) => Entry::Conditional,
            (None, None, Some(cycle)) => Entry::Member(cycle.name),
            (None, None, None) => {
                let id = self.identities.next();
                self.gross_entry((body.priority, Rank::of(id), id), body.value_date, legs)
            }
        };
        let order = Order {
            identity: item.identity,
            instructing,
            digest: item.digest,
            lane: body.lane,
            priority: body.priority,
            created: body.created,
            value_date: body.value_date,
            legs: Legs::new(legs),
            quote: quote.map(|(provider, quote)| (provider, quote.terms.quote_id)),
            trade,
            conditions: conditions.map(|conditions| Box::new(conditions.clone())),
        };
        Ok((order, entry))
    }

    /// Legs between accounts, or the first rule that a leg breaks: rules in order, then legs.
    #[inline]
    fn resolve(
        &self,
        sent: &[LegSent],
        context: &Context<'_>,
    ) -> Result<([OrderLeg; LEGS_MAX], usize), Rejection> {
        let legs = |fault| {
            let (field, leg) = (Field::Legs, 0);
            Err(Rejection::Malformed(Malformed { field, leg, fault }))
        };
        match sent.len() {
            0 => return legs(Fault::Missing),
            1..=LEGS_MAX => {}
            _ => return legs(Fault::TooLong),
        }
        let none = OrderLeg {
            debtor: AccountId(0),
            creditor: AccountId(0),
            amount: 0,
            kind: LegKind::Principal,
        };
        let mut resolved = [none; LEGS_MAX];
        let mut first: Option<Rejection> = self.check_sender(sent, context).err();
        for (index, leg) in (0_u8..).zip(sent) {
            match self.resolve_leg(index, leg, context) {
                Ok(leg) => resolved[usize::from(index)] = leg,
                // Its order is that of precedence.
                Err(found) => first = Some(first.map_or(found, |first| first.min(found))),
            }
        }
        first.map_or(Ok((resolved, sent.len())), Err)
    }

    /// Rules about who sends that no single leg breaks.
    fn check_sender(&self, sent: &[LegSent], context: &Context<'_>) -> Result<(), Rejection> {
        let sender = context.item.identity.instructing;
        if !sent.iter().any(|leg| leg.debtor == sender) {
            return Err(Rejection::DebtorMustInstruct { leg: 0 });
        }
        match context.instructing {
            Some(id) if self.directory.is_suspended(id) => {
                Err(Rejection::DebtorSuspended { leg: 0 })
            }
            _ => Ok(()),
        }
    }

    #[inline]
    fn resolve_leg(
        &self,
        leg: u8,
        sent: &LegSent,
        context: &Context<'_>,
    ) -> Result<OrderLeg, Rejection> {
        let directory = &self.directory;
        let asset_id = sent.asset.and_then(|code| directory.asset_id(code));
        let asset_id = asset_id.ok_or(Rejection::AssetUnknown { leg })?;
        let asset = directory.asset(asset_id);
        if !asset.enabled {
            return Err(Rejection::AssetNotEnabled { leg });
        }
        let amount = sent.amount.ok_or(Rejection::AmountInvalid { leg })?;
        let amount = amount.to_minor_units(asset.decimals);
        let amount = amount.map_err(|error| amount_rejection(error, leg))?;
        if sent.debtor == sent.creditor {
            return Err(Rejection::AccountsMustBeDifferent { leg });
        }
        let debtor = directory.participant_id(sent.debtor);
        let debtor = debtor.ok_or(Rejection::DebtorUnknown { leg })?;
        let creditor = directory.participant_id(sent.creditor);
        let creditor = creditor.ok_or(Rejection::CreditorUnknown { leg })?;
        if context.must_be_debtor(sent) && Some(debtor) != context.instructing {
            return Err(Rejection::DebtorMustInstruct { leg });
        }
        let from = directory.account_id(debtor, asset_id);
        let from = from.ok_or(Rejection::DebtorAccountUnknown { leg })?;
        let to = directory.account_id(creditor, asset_id);
        let to = to.ok_or(Rejection::CreditorAccountUnknown { leg })?;
        self.check_account_states(leg, from, to)?;
        if directory.is_suspended(debtor) {
            return Err(Rejection::DebtorSuspended { leg });
        }
        if directory.is_suspended(creditor) {
            return Err(Rejection::CreditorSuspended { leg });
        }
        Ok(OrderLeg {
            debtor: from,
            creditor: to,
            amount,
            kind: sent.kind,
        })
    }

    fn check_account_states(
        &self,
        leg: u8,
        from: AccountId,
        to: AccountId,
    ) -> Result<(), Rejection> {
        let states = [from, to].map(|account| self.directory.account(account).state);
        match states {
            [AccountState::Open, AccountState::Open] => Ok(()),
            [AccountState::Closed, _] => Err(Rejection::DebtorAccountClosed { leg }),
            [_, AccountState::Closed] => Err(Rejection::CreditorAccountClosed { leg }),
            [AccountState::Blocked, _] | [_, AccountState::Blocked] => {
                Err(Rejection::AccountBlocked { leg })
            }
        }
    }

    /// Limits per instruction, then caps towards counterparties.
    #[inline]
    fn check_limits(
        &self,
        legs: &[OrderLeg],
        context: &Context<'_>,
        instructing: ParticipantId,
    ) -> Result<(), Rejection> {
        let counts = |leg: &&OrderLeg| {
            context.kind != Kind::TradeSide || self.owner(leg.debtor) == instructing
        };
        for (index, leg) in (0_u8..).zip(legs).filter(|(_, leg)| counts(leg)) {
            if let Some(limit) = self.limits.instruction(leg.debtor) {
                let same = legs.iter().filter(|other| other.debtor == leg.debtor);
                let sum: i128 = same.map(|other| i128::from(other.amount)).sum();
                if sum > i128::from(limit) {
                    return Err(Rejection::AboveInstructionLimit { leg: index });
                }
            }
        }
        if !self.limits.has_bilateral() {
            return Ok(());
        }
        for (index, leg) in (0_u8..).zip(legs).filter(|(_, leg)| counts(leg)) {
            let counterparty = self.owner(leg.creditor);
            if let Some(cap) = self.limits.bilateral(leg.debtor, counterparty) {
                let added = self.paid(legs.iter().filter(counts), leg.debtor, counterparty);
                let date = context.body.value_date;
                let paid = self.usage.get(date, leg.debtor, counterparty).counted;
                if added > 0 && paid + added > i128::from(cap) {
                    return Err(Rejection::AboveBilateralCap { leg: index });
                }
            }
        }
        Ok(())
    }

    /// What legs pay from an account to a counterparty, net of what they bring back.
    pub(super) fn paid<'a>(
        &self,
        legs: impl Iterator<Item = &'a OrderLeg>,
        account: AccountId,
        counterparty: ParticipantId,
    ) -> i128 {
        let net = |leg: &OrderLeg| {
            let pays = leg.debtor == account && self.owner(leg.creditor) == counterparty;
            let brings = leg.creditor == account && self.owner(leg.debtor) == counterparty;
            i128::from(leg.amount) * (i128::from(pays) - i128::from(brings))
        };
        legs.map(net).sum()
    }

    /// A value date that no cycle could have is no matter of cut-offs: its own code says more.
    fn check_dates(
        &self,
        legs: &[OrderLeg],
        context: &Context<'_>,
        conditions: Option<&Conditions>,
        now: Timestamp,
    ) -> Result<(), Rejection> {
        let body = context.body;
        let not_before = conditions.and_then(|conditions| conditions.not_before);
        let date = self.value_date_fault(legs, body, not_before, now.date());
        if date.is_none() {
            self.check_cut_offs(legs, context.kind, body, now)?;
        }
        if body.created.0 < now.0 - CREATED_AGE_MS_MAX {
            return Err(Rejection::CreatedTooOld);
        }
        if body.created.0 > now.0 + CREATED_AHEAD_MS_MAX {
            return Err(Rejection::CreatedInFuture);
        }
        date.map_or(Ok(()), Err)
    }

    /// Gross settles on the record date itself, or later where it is not to settle before; net on any
    /// business day from the record date on.
    #[inline]
    fn value_date_fault(
        &self,
        legs: &[OrderLeg],
        body: &Body,
        not_before: Option<Timestamp>,
        today: Date,
    ) -> Option<Rejection> {
        let date = body.value_date;
        let waits = not_before.is_some_and(|since| since.date() >= date);
        let ahead_days_max = match body.lane {
            Lane::Gross if !waits => 0,
            Lane::Gross | Lane::Net => VALUE_DATE_AHEAD_DAYS_MAX,
        };
        let closed = self.closed_leg(legs, date);
        let range = if date.0 > today.0 + ahead_days_max {
            Some(Rejection::ValueDateTooFarAhead)
        } else if date < today {
            Some(Rejection::ValueDateInPast)
        } else {
            None
        };
        // The order of rejections is that of precedence.
        closed.into_iter().chain(range).min()
    }

    /// The quote that the legs name, if they are what it says.
    fn check_quote(
        &self,
        legs: &[OrderLeg],
        taker: ParticipantId,
        id: ShortText,
        value_date: Date,
        now: Timestamp,
    ) -> Result<(ParticipantId, &Quote), Rejection> {
        let principal = |leg: &&OrderLeg| leg.kind == LegKind::Principal;
        let pays = legs
            .iter()
            .filter(principal)
            .find(|leg| self.owner(leg.debtor) == taker);
        let pays = pays.ok_or(Rejection::QuoteUnknown)?;
        let provider = self.owner(pays.creditor);
        let quote = self
            .quotes
            .get(provider, id)
            .ok_or(Rejection::QuoteUnknown)?;
        if self.directory.participant_id(quote.terms.taker) != Some(taker) {
            return Err(Rejection::QuoteUnknown);
        }
        if quote.used_by.is_some() {
            return Err(Rejection::QuoteAlreadyUsed);
        }
        if now >= quote.terms.accept_until || now > quote.terms.settle_by {
            return Err(Rejection::QuoteExpired);
        }
        let asset = |account| self.directory.account_names(account).1;
        let paid =
            (asset(pays.debtor), pays.amount) == (quote.terms.source_asset, quote.source_amount);
        let mut others = legs.iter().filter(principal).filter(|leg| *leg != pays);
        let other = others.next().filter(|leg| {
            self.owner(leg.debtor) == provider
                && asset(leg.debtor) == quote.terms.target_asset
                && leg.amount == quote.target_amount
        });
        let two = legs.iter().filter(principal).count() == 2;
        if !paid || other.is_none() || !two || quote.terms.value_date != value_date {
            return Err(Rejection::QuoteDiffers);
        }
        Ok((provider, quote))
    }

    /// What both sides of a trade have alike, if the legs are a trade's.
    fn trade_digest(
        &self,
        legs: &[OrderLeg],
        body: &Body,
        conditions: Option<&Conditions>,
    ) -> Result<Digest, Rejection> {
        let names = |account| self.directory.account_names(account);
        let ([one, two], Some(reference)) = (legs, body.trade_reference) else {
            return Err(Rejection::TradeMalformed);
        };
        let opposite = self.owner(one.debtor) == self.owner(two.creditor)
            && self.owner(one.creditor) == self.owner(two.debtor);
        let principal = one.kind == LegKind::Principal && two.kind == LegKind::Principal;
        if !opposite || !principal || names(one.debtor).1 == names(two.debtor).1 {
            return Err(Rejection::TradeMalformed);
        }
        let mut sorted =
            [one, two].map(|leg| (names(leg.debtor), names(leg.creditor).0, leg.amount));
        sorted.sort_unstable();
        let mut hasher = Sha256::new();
        hasher.update(TRADE_DOMAIN);
        for ((debtor, asset), creditor, amount) in sorted {
            hasher.update(debtor.packed().to_be_bytes());
            hasher.update(creditor.packed().to_be_bytes());
            hasher.update(asset.packed().to_be_bytes());
            hasher.update(amount.to_be_bytes());
        }
        hasher.update(body.value_date.0.to_be_bytes());
        hasher.update([match body.lane {
            Lane::Gross => 1,
            Lane::Net => 2,
        }]);
        hasher.update(reference.as_str());
        // Sides that name different groups could never settle together.
        if let Some(group) = conditions.and_then(|conditions| conditions.group) {
            hasher.update([0]);
            hasher.update(group.id.as_str());
            hasher.update(group.members.to_be_bytes());
        }
        let hash: [u8; 32] = hasher.finalize().into();
        let (first, _) = hash.split_first_chunk().expect("16 of 32 bytes");
        Ok(Digest(*first))
    }

    /// The match of a side that is ready, if the other side waits.
    pub(super) fn decide_match(
        &self,
        id: EntryId,
        now: Timestamp,
    ) -> Result<Option<Event>, Rejection> {
        let side = self.unmatched.get(id).expect("it stands there");
        let sender = self.identities.identity(id).instructing;
        let ready = |other: &&Side| !other.held && now < other.terms.expires_at;
        let mut others = self.unmatched.of(side.trade).iter().copied();
        let other = others.find(|&other| {
            self.identities.identity(other).instructing != sender
                && self.unmatched.get(other).filter(ready).is_some()
        });
        let Some(other) = other.filter(|_| ready(&side)) else {
            return Ok(None);
        };
        // Neither bank's own payments may be overtaken by what it ranked below them.
        let theirs = self.unmatched.get(other).expect("just found");
        let candidate = Candidate {
            id,
            priority: side.priority.max(theirs.priority),
            lane: side.lane,
            value_date: side.value_date,
            settle_by: None,
            legs: &side.legs,
        };
        let entry = match side.terms.group {
            Some(_) => Entry::Grouped,
            None => match self.lane_entry(&candidate, now) {
                // At the cut-off it is rejected as unmatched.
                Err(Rejection::PastCutOff | Rejection::PastAssetCutOff { .. }) => return Ok(None),
                entry => entry?,
            },
        };
        Ok(Some(Event::Matched {
            first: self.identities.sequence(other),
            second: self.identities.sequence(id),
            entry,
        }))
    }
}

fn amount_rejection(error: AmountError, leg: u8) -> Rejection {
    match error {
        AmountError::TooManyDecimals => Rejection::AmountHasTooManyDecimals { leg },
        AmountError::Negative | AmountError::TooLarge => Rejection::AmountInvalid { leg },
        AmountError::Zero => Rejection::AmountMustNotBeZero { leg },
    }
}

/// What an instruction waits for on entry, beside a trade's match.
fn waits(conditions: Option<&Conditions>, now: Timestamp) -> Option<Waiting> {
    let conditions = conditions?;
    let progress = Progress::new(conditions);
    if !progress.is_ready(now) {
        return Some(progress.waits_for());
    }
    conditions.group.map(|_| Waiting::Group)
}

/// A leg as runs know it: keys are account ids.
pub(super) fn run_leg(leg: &OrderLeg) -> run::Leg {
    run::Leg {
        debtor: leg.debtor.0,
        creditor: leg.creditor.0,
        amount: leg.amount,
    }
}
