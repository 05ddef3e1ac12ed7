//! `apply`: one event changes the state. Cannot fail: an event that does not fit is our bug, and panics.

use super::cycles::{Amounts, Cycle, at_mut};
use super::decide_instruction::run_leg;
use super::identities::{EntryId, Standing};
use super::pending::{PendingUnit, Terms};
use super::queues::{Place, Queued, Rank};
use super::quotes::Quote;
use super::unmatched::Side;
use super::{Account, Mirror, State};
use crate::command::{LimitLine, MovementKind, Token};
use crate::conditions::Progress;
use crate::event::{Entry, Event, Legs, Order, OrderLeg, i128Cbor};
use crate::ids::{AccountId, CycleName, Date, Sequence, Timestamp};
use crate::instruction::{Digest, Kind, Lane};
use crate::rejection::Rejection;
use crate::remembered::Request;
use std::sync::Arc;

/// How a unit goes on: into its lane, or to wait for something.
pub(super) struct Entrance {
    pub(super) place: Place,
    pub(super) entry: Entry,
    pub(super) lane: Lane,
    pub(super) value_date: Date,
    pub(super) terms: Terms,
    /// Of a trade side that is not matched.
    pub(super) trade: Option<Digest>,
}

impl State {
    /// Applies one event. A replay calls nothing else: `sequence` and `now` are those of the event's
    /// input and record. Panics if the event does not follow from the state: that is our bug.
    pub fn apply(&mut self, sequence: Sequence, now: Timestamp, event: &Event) {
        self.note_day(sequence, now);
        self.requests.count_event(sequence);
        match event {
            Event::Accepted { order, entry } => self.accept(sequence, order, *entry),
            Event::Refused {
                identity,
                digest,
                remembered,
                rejection,
            } => {
                if *remembered {
                    let standing = Standing::Rejected(*rejection);
                    self.identities
                        .insert(sequence, identity, *digest, standing);
                    self.statistics.instructions += 1;
                    self.statistics.rejected += 1;
                }
            }
            Event::Matched {
                first,
                second,
                entry,
            } => self.match_sides(*first, *second, *entry, sequence),
            Event::Settled { unit } => self.settle_queued(*unit),
            Event::Rejected {
                sequence,
                rejection,
            } => {
                let id = self.entry_of(*sequence);
                let count = self.withdraw(id);
                self.statistics.rejected += count;
                self.end(id, Standing::Rejected(*rejection));
            }
            Event::Cancelled { sequence } => {
                let id = self.entry_of(*sequence);
                let count = self.withdraw(id);
                self.statistics.cancelled += count;
                self.end(id, Standing::Cancelled);
            }
            Event::Held { unit, held } => self.hold(*unit, *held),
            Event::Approved { sequence, approver } => {
                let id = self.entry_of(*sequence);
                let progress = self.pending.progress_mut(id);
                let approver = progress.approver(*approver);
                progress.approve(approver.expect("decided: it is named"));
            }
            Event::PreimageShown { sequence, .. } => {
                let id = self.entry_of(*sequence);
                self.pending.progress_mut(id).show_preimage();
            }
            Event::Released {
                sequence: released,
                entry,
            } => self.release_conditional(*released, *entry, sequence),
            Event::GroupFormed { units, entry } => self.form_group(units, *entry, sequence),
            Event::PrioritySet { unit, priority } => {
                let id = self.entry_of(*unit);
                self.queues.set_priority(id, *priority);
            }
            Event::Moved {
                kind,
                account,
                amount,
                cycle,
            } => {
                self.move_money(*kind, *account, *amount, *cycle);
            }
            Event::CycleOpened {
                cycle,
                cut_off,
                pay_in_deadline,
                completion_deadline,
                calendar,
            } => {
                let mut cycle =
                    Cycle::new(*cycle, *cut_off, *pay_in_deadline, *completion_deadline);
                cycle.calendar = calendar.clone().unwrap_or_default();
                cycle.model = self.risk.model;
                self.open_cycle(cycle);
            }
            Event::CycleClosed { cycle } => self.cycle_mut(*cycle).close(),
            Event::CycleScheduled { .. } => self.take_schedule(event),
            Event::CycleRan {
                cycle,
                settled,
                batch,
                caps,
            } => self.take_run(*cycle, settled, batch, caps),
            Event::CycleRanEmpty { cycle, caps, .. } => {
                let before = self.rooms(cycle.value_date, caps);
                self.note_ran(*cycle, caps, &before);
            }
            Event::CycleCompleted { cycle, into } => self.complete_cycle(*cycle, *into),
            Event::GrossBatchClosed(_) => self.gross_batch.clear(),
            Event::SchemeNamed { name, base_asset } => self.scheme = Some((*name, *base_asset)),
            Event::AssetSet(_) | Event::ParticipantSet { .. } | Event::AccountSet(_) => {
                self.set_directory(event);
            }
            Event::LimitSet(line) => self.set_limit(line),
            Event::RiskSet(line) => self.set_risk(line),
            Event::CycleValued { cycle, values } => {
                let cycle = self.cycle_mut(*cycle);
                cycle.values.clone_from(values);
                cycle.version += 1;
            }
            Event::ReservationSet(line) => {
                let account = self.line_account(line.participant, line.asset);
                let account = account.expect("decided: the account is there");
                self.limits
                    .set_reservation(account, line.priority, line.amount);
                // What was kept may be free now.
                self.queues.touch(account);
            }
            Event::CutOffsSet(cut_offs) => self.cut_offs = Some(cut_offs.clone()),
            Event::AssetCutOffSet(line) => self.set_asset_cut_off(line),
            Event::AssetDaySet(line) => {
                Arc::make_mut(&mut self.calendars).set(line.asset, line.date.naive(), line.change);
                self.entry_cut_offs.clear();
                self.open_today.clear();
            }
            Event::TokenSet(token) => self.set_token(token),
            Event::TokenRevoked { label } => {
                let token = self
                    .tokens
                    .remove(label)
                    .expect("decided: the token is there");
                self.token_labels.remove(&token.hash);
                self.tokens_version += 1;
            }
            Event::TimeSet(time) => self.rehearsal_time = Some(*time),
            Event::RatesSet(lines) => Arc::make_mut(&mut self.rates).set_all(lines),
            Event::ProviderRatesSet(lines) => Arc::make_mut(&mut self.rates).set(lines),
            Event::RateRulesSet(rules) => Arc::make_mut(&mut self.rates).set_rules(rules),
            Event::QuoteLocked {
                provider, terms, ..
            } => {
                let quote = locked_quote(sequence, event).expect("the event is a quote's");
                self.forget_reservations(*provider, terms.target_asset, now);
                let taker = self.directory.participant_id(terms.taker);
                let taker = taker.expect("decided: the taker is there");
                self.quotes.insert(*provider, taker, quote);
            }
            Event::QuoteRequested { taker, request } => {
                self.quotes.take_request(*taker, request.clone());
            }
            Event::QuoteLimitSet(line) => {
                let provider = self.directory.participant_id(line.provider);
                let provider = provider.expect("decided: the provider is there");
                self.quotes.set_limit(provider, line.asset, line.amount);
            }
            Event::Requested {
                caller,
                request_id,
                digest,
                created: _,
            } => {
                let request = Request {
                    digest: *digest,
                    sequence,
                    changes: 0,
                };
                self.requests.insert(*caller, *request_id, request);
            }
            Event::IdentitiesAged { day, before, .. } => self.age(*day, *before),
            Event::IdentitiesLeft { number } => self.let_go(*number, now),
            Event::Acknowledged {
                participant,
                position,
            } => {
                self.acknowledged.insert(*participant, *position);
            }
        }
    }

    pub(super) fn entry_of(&self, sequence: Sequence) -> EntryId {
        let found = self.identities.by_sequence(sequence);
        found.expect("decided: the instruction is remembered")
    }

    fn accept(&mut self, sequence: Sequence, order: &Order, entry: Entry) {
        let id =
            self.identities
                .insert(sequence, &order.identity, order.digest, Standing::Unmatched);
        self.statistics.instructions += 1;
        for leg in order.legs.iter() {
            // Of a trade each side counts what it pays itself.
            let own = self.owner(leg.debtor) == order.instructing;
            if own || order.identity.kind != Kind::TradeSide {
                self.count_paid(leg, order.value_date, 1);
            }
        }
        let terms = self.terms(id, order);
        self.groups.name(terms.group, id);
        let document = order.conditions.as_ref().and_then(|given| given.document);
        if let Some(document) = document {
            self.documents.take(document, id);
        }
        if let (Entry::Conditional, Some(conditions)) = (entry, &order.conditions) {
            let unit = PendingUnit {
                legs: order.legs.clone(),
                priority: order.priority,
                lane: order.lane,
                value_date: order.value_date,
                trade: order.trade,
                progress: Some(Progress::new(conditions)),
                terms,
                held: false,
            };
            self.statistics.waiting += 1;
            self.pending.insert(id, unit);
            self.identities.set_standing(id, Standing::Pending);
            return;
        }
        let entrance = Entrance {
            place: (order.priority, Rank::of(id), id),
            entry,
            lane: order.lane,
            value_date: order.value_date,
            terms,
            trade: order.trade,
        };
        let standing = self.enter(entrance, &order.legs, &[id]);
        self.identities.set_standing(id, standing);
    }

    /// A unit goes on; answers where it then stands. Its parts are instructions and matched trades.
    #[inline]
    pub(super) fn enter(&mut self, entrance: Entrance, legs: &Legs, parts: &[EntryId]) -> Standing {
        let Entrance {
            place,
            entry,
            lane,
            value_date,
            terms,
            trade,
        } = entrance;
        let (priority, _, id) = place;
        let instructions = self.instructions_of(parts);
        if entry == Entry::Settled {
            self.statistics.settled += instructions;
            self.keep_documents(parts);
            return Standing::Settled(self.settle_gross(value_date, legs, parts.len()));
        }
        self.statistics.waiting += instructions;
        match entry {
            Entry::Queued => {
                let unit = Queued {
                    legs: legs.clone(),
                    value_date,
                    held: false,
                    expires_at: terms.expires_at,
                    expiry: terms.expiry,
                };
                self.queues.insert(place, unit);
                Standing::Queued
            }
            Entry::Member(name) => {
                if terms.expires {
                    self.member_expiries.insert(id, terms.expires_at);
                }
                let index = self.cycle_index(name);
                let legs = legs.iter().map(run_leg);
                self.cycles[index as usize].push(place, false, instructions, legs);
                Standing::Member(index)
            }
            Entry::Unmatched => {
                let side = Side {
                    trade: trade.expect("decided: only a trade side waits for another"),
                    legs: legs.clone(),
                    priority,
                    lane,
                    value_date,
                    terms,
                    held: false,
                };
                self.unmatched.insert(id, side);
                Standing::Unmatched
            }
            Entry::Grouped => {
                let group = terms.group.expect("decided: it names a group");
                self.groups.add_ready(group, id);
                let unit = PendingUnit {
                    legs: legs.clone(),
                    priority,
                    lane,
                    value_date,
                    trade: None,
                    progress: None,
                    terms,
                    held: false,
                };
                self.pending.insert(id, unit);
                Standing::Pending
            }
            Entry::Settled | Entry::Conditional => {
                panic!("settled above; conditions are waited for once")
            }
        }
    }

    fn match_sides(&mut self, first: Sequence, second: Sequence, entry: Entry, by: Sequence) {
        let (first, second) = (self.entry_of(first), self.entry_of(second));
        let (one, two) = (self.unmatched.remove(first), self.unmatched.remove(second));
        self.statistics.waiting -= 2;
        for id in [first, second] {
            self.groups.forget(two.terms.group, id);
        }
        self.identities.pair(first, second, Standing::Unmatched);
        let terms = Terms {
            // A side without the other expires as unmatched; now it waits like any other.
            expiry: Rejection::ExpiredInQueue,
            ..one.terms.join(two.terms)
        };
        if entry == Entry::Grouped {
            self.groups.name(terms.group, second);
        }
        let entrance = Entrance {
            place: self.place(second, one.priority.max(two.priority), by),
            entry,
            lane: two.lane,
            value_date: two.value_date,
            terms,
            trade: None,
        };
        let standing = self.enter(entrance, &two.legs, &[second]);
        self.identities.set_standing(second, standing);
    }

    fn settle_queued(&mut self, unit: Sequence) {
        let id = self.entry_of(unit);
        let unit = self.queues.remove(id);
        let parts = self.parts(id);
        let batch = self.settle_gross(unit.value_date, &unit.legs, parts.len());
        let count = self.instructions_of(&parts);
        self.statistics.settled += count;
        self.statistics.waiting -= count;
        self.keep_documents(&parts);
        self.end(id, Standing::Settled(batch));
    }

    /// A waiting unit leaves for good: what it counted as paid is given back. Answers how many
    /// instructions it is.
    fn withdraw(&mut self, id: EntryId) -> u64 {
        let parts = self.parts(id);
        let count = self.instructions_of(&parts);
        self.statistics.waiting -= count;
        self.release_documents(&parts);
        match self.identities.standing(id) {
            Standing::Queued => {
                let unit = self.queues.remove(id);
                for leg in unit.legs.iter() {
                    self.count_paid(leg, unit.value_date, -1);
                }
            }
            Standing::Unmatched => {
                let side = self.unmatched.remove(id);
                self.groups.forget(side.terms.group, id);
                self.uncount_side(id, &side.legs, side.value_date);
            }
            Standing::Pending => self.leave_pending(id),
            Standing::Member(cycle) => self.leave_cycle(cycle, id, count),
            Standing::Settled(_) | Standing::Rejected(_) | Standing::Cancelled => {
                panic!("only a waiting unit can leave")
            }
        }
        count
    }

    /// Of a trade each side counted what it pays itself.
    pub(super) fn uncount_side(&mut self, id: EntryId, legs: &Legs, date: Date) {
        let sender = self.identities.identity(id).instructing;
        let sender = self.directory.participant_id(sender);
        for leg in legs.iter() {
            if Some(self.owner(leg.debtor)) == sender {
                self.count_paid(leg, date, -1);
            }
        }
    }

    fn leave_cycle(&mut self, cycle: u32, id: EntryId, count: u64) {
        let cycle = &mut self.cycles[cycle as usize];
        let legs = cycle.legs(id).to_vec();
        let date = cycle.name.value_date;
        cycle.remove(id, count);
        for leg in legs {
            let leg = OrderLeg {
                debtor: AccountId(leg.debtor),
                creditor: AccountId(leg.creditor),
                amount: leg.amount,
                kind: crate::instruction::LegKind::Principal,
            };
            self.count_paid(&leg, date, -1);
        }
    }

    /// Counts a leg towards both accounts' caps.
    #[inline]
    pub(super) fn count_paid(&mut self, leg: &OrderLeg, date: Date, sign: i128) {
        let (debtor, creditor) = (self.owner(leg.debtor), self.owner(leg.creditor));
        let amount = sign * i128::from(leg.amount);
        let usage = &mut self.usage;
        usage.get_mut(date, leg.debtor, creditor).counted += amount;
        usage.get_mut(date, leg.creditor, debtor).counted -= amount;
    }

    fn hold(&mut self, unit: Sequence, held: bool) {
        let id = self.entry_of(unit);
        match self.identities.standing(id) {
            Standing::Queued => self.queues.hold(id, held),
            Standing::Unmatched => self.unmatched.hold(id, held),
            Standing::Pending => self.pending.hold(id, held),
            Standing::Member(cycle) => self.cycles[cycle as usize].hold(id, held),
            Standing::Settled(_) | Standing::Rejected(_) | Standing::Cancelled => {
                panic!("only a waiting unit can be held")
            }
        }
        for part in self.parts(id).iter() {
            self.identities.set_held(*part, held);
        }
    }

    fn move_money(
        &mut self,
        kind: MovementKind,
        account: AccountId,
        amount: i64,
        cycle: Option<CycleName>,
    ) {
        let asset = self.directory.account(account).asset;
        let wide = i128::from(amount);
        let mirror = &mut self.mirrors[usize::from(asset.0)];
        let posted = match kind {
            MovementKind::Deposit | MovementKind::PayIn => {
                mirror.total_in += wide;
                wide
            }
            MovementKind::Withdrawal | MovementKind::PayOut => {
                mirror.total_out += wide;
                -wide
            }
            MovementKind::Transfer => 0,
        };
        if posted != 0 {
            self.gross_batch.post_mirror(asset, -posted);
        }
        self.gross_batch.post(account, posted);
        let held = &mut self.accounts[account.0 as usize];
        match kind {
            MovementKind::Deposit => held.free += amount,
            MovementKind::Withdrawal => held.free -= amount,
            MovementKind::PayIn => held.reserved += amount,
            MovementKind::Transfer => {
                held.free -= amount;
                held.reserved += amount;
            }
            MovementKind::PayOut => {}
        }
        if let Some(name) = cycle {
            self.move_fund(kind, account, amount, name);
        }
        self.admit_to_batch(1);
        self.queues.touch(account);
    }

    fn set_directory(&mut self, event: &Event) {
        self.directory.apply(event);
        let accounts = self.directory.account_count();
        self.accounts.grow(accounts, Account::default());
        let assets = self.directory.assets().len();
        self.mirrors.grow(assets, Mirror::default());
        if let Event::AccountSet(_) = event {
            self.queues.touch_all();
        }
    }

    fn set_limit(&mut self, line: &LimitLine) {
        let account = self.line_account(line.participant, line.asset);
        let account = account.expect("decided: the account is there");
        match line.counterparty {
            None => self.limits.set_instruction(account, line.amount),
            Some(bic) => {
                let counterparty = self.directory.participant_id(bic);
                let counterparty = counterparty.expect("decided: the counterparty is there");
                self.limits
                    .set_bilateral(account, counterparty, line.amount);
                // There may be more room now.
                self.queues.touch(account);
            }
        }
    }

    fn set_token(&mut self, token: &Token) {
        self.tokens.insert(token.label, *token);
        self.token_labels.insert(token.hash, token.label);
        self.tokens_version += 1;
    }
}

fn locked_quote(locked: Sequence, event: &Event) -> Option<Quote> {
    let Event::QuoteLocked {
        terms,
        source_amount,
        target_amount,
        residual_numerator: i128Cbor(numerator),
        residual_denominator: i128Cbor(denominator),
        ..
    } = event
    else {
        return None;
    };
    Some(Quote {
        terms: terms.clone(),
        source_amount: *source_amount,
        target_amount: *target_amount,
        residual: (*numerator, *denominator),
        locked,
        used_by: None,
    })
}

/// Adds to the value at an account.
pub(super) fn add_at(values: &mut Amounts, account: AccountId, amount: i64) {
    *at_mut(values, account) += amount;
}
