//! Answers to questions: names instead of numbers, ready for an edge to print.

use super::State;
use super::identities::{EntryId, Standing};
use super::pending::GroupKey;
use crate::command::{AccountLine, LimitLine};
use crate::conditions::Progress;
use crate::ids::{AccountId, AssetId, Bic, Timestamp};
use crate::instruction::{Identity, Priority};
use crate::remembered::Key;
use crate::view::{
    AssetView, ConditionsView, ControlTotal, CycleState, InstructionAnswer, PositionView, Query,
    QuoteState, QuoteView, SchemeView, Statistics, Status, View, Waiting,
};

impl State {
    /// Answers a question at record time `now`.
    pub fn query(&self, query: &Query, now: Timestamp) -> View {
        match query {
            Query::Instructions(uetr) => {
                let mut ids: Vec<EntryId> = self.identities.probe(*uetr).collect();
                ids.sort_unstable();
                ids.dedup();
                let held = ids.into_iter().map(|id| self.answer(id, false));
                let left = self.recalled_under(Key::of_uetr(*uetr));
                let left = left.filter_map(|remembered| remembered.answer(false));
                let mut answers: Vec<InstructionAnswer> = held.chain(left).collect();
                answers.sort_by_key(|answer| answer.sequence);
                answers.dedup_by_key(|answer| answer.sequence);
                View::Instructions(answers)
            }
            Query::Positions(of) => View::Positions(self.positions(*of)),
            Query::Conditions(identity) => View::Conditions(self.conditions_view(identity)),
            Query::Cycle(name, of) => {
                let cycle = self.cycle(*name);
                View::Cycle(cycle.map(|cycle| Box::new(self.cycle_view(cycle, *of, true))))
            }
            Query::Cycles => {
                let mut cycles: Vec<_> = self.cycles.iter().collect();
                cycles.sort_by_key(|cycle| cycle.name);
                let view = |cycle| self.cycle_view(cycle, None, false);
                View::Cycles(cycles.into_iter().map(view).collect())
            }
            Query::Quote(provider, id) => {
                let provider_id = self.directory.participant_id(*provider);
                let quote = provider_id.and_then(|provider| self.quotes.get(provider, *id));
                View::Quote(quote.map(|quote| Box::new(self.quote_view(*provider, quote, now))))
            }
            Query::RateBook(question) => {
                View::RateBook(Box::new(self.rate_book_view(question, now)))
            }
            Query::QuoteRequest(taker, id) => {
                View::QuoteRequest(self.quote_request_view(*taker, *id, now).map(Box::new))
            }
            Query::OpenQuoteRequests(question) => {
                View::QuoteRequests(self.open_quote_requests(question, now))
            }
            Query::QuoteLimits(of) => View::QuoteLimits(self.quote_limit_views(*of, now)),
            Query::RoundingLedger(question) => View::RoundingLedger(self.rounding_ledger(question)),
            Query::Scheme => View::Scheme(Box::new(self.scheme_view())),
            Query::ControlTotals => View::ControlTotals(self.control_totals()),
            Query::Statistics => View::Statistics(Statistics {
                batches: self.batches,
                ..self.statistics
            }),
            Query::Acknowledged(bic) => {
                let participant = self.directory.participant_id(*bic);
                let position = participant.and_then(|id| self.acknowledged.get(&id));
                View::Acknowledged(position.copied().unwrap_or_default())
            }
        }
    }

    /// The current answer to an instruction.
    pub(super) fn answer(&self, id: EntryId, repeated: bool) -> InstructionAnswer {
        let partner = self.identities.partner(id);
        InstructionAnswer {
            identity: self.identities.identity(id),
            sequence: self.identities.sequence(id),
            status: self.status(id),
            matched_with: partner.map(|other| self.identities.sequence(other)),
            repeated,
        }
    }

    /// The status of an instruction by its number; `None` if that input is none that is remembered.
    pub fn status_of(&self, sequence: crate::ids::Sequence) -> Option<Status> {
        self.identities
            .by_sequence(sequence)
            .map(|id| self.status(id))
    }

    fn status(&self, id: EntryId) -> Status {
        match self.identities.standing(id) {
            Standing::Settled(batch) => Status::Settled {
                batch: u64::from(batch),
            },
            Standing::Rejected(rejection) => Status::Rejected(rejection),
            Standing::Cancelled => Status::Cancelled,
            _ if self.identities.is_held(id) => Status::Waiting(Waiting::Held),
            Standing::Unmatched => Status::Waiting(Waiting::Unmatched),
            Standing::Pending => {
                let unit = self.pending.get(self.identities.trade_of(id));
                Status::Waiting(unit.expect("it stands there").waits_for())
            }
            Standing::Queued => Status::Waiting(self.waiting_reason(id)),
            Standing::Member(cycle) => {
                let cycle = &self.cycles[cycle as usize];
                match cycle.state {
                    CycleState::Open => Status::Member(cycle.name),
                    _ => Status::Irrevocable(cycle.name),
                }
            }
        }
    }

    fn conditions_view(&self, identity: &Identity) -> Option<ConditionsView> {
        let id = self.identities.find(identity)?;
        let unit = self.pending.get(self.identities.trade_of(id))?;
        Some(self.progress_view(unit.terms.group.as_ref(), unit.progress.as_ref()))
    }

    pub(super) fn progress_view(
        &self,
        group: Option<&GroupKey>,
        progress: Option<&Progress>,
    ) -> ConditionsView {
        let mut view = ConditionsView {
            group_ready: group.map_or(0, |key| self.instructions_of(self.groups.ready(key))),
            ..ConditionsView::default()
        };
        let Some(progress) = progress else {
            return view;
        };
        view.preimage_shown = progress.is_preimage_shown();
        if let Some(approvals) = &progress.conditions().approvals {
            let named = approvals.of.iter().copied().enumerate();
            for (approver, bic) in named {
                if progress.has_approved(approver) {
                    view.approved_by.push(bic);
                } else {
                    view.approvals_missing.push(bic);
                }
            }
            let needed = u32::from(approvals.needed);
            view.approvals_outstanding = needed.saturating_sub(progress.approved().count_ones());
        }
        view
    }

    /// What names the unit that an instruction is part of: a trade queues under its second side, a
    /// group under the last that was ready.
    pub(super) fn unit_of(&self, id: EntryId) -> EntryId {
        self.groups.unit_of(self.identities.trade_of(id))
    }

    fn waiting_reason(&self, id: EntryId) -> Waiting {
        let (place, unit) = self.queues.by_id(self.unit_of(id)).expect("queued");
        if self.is_first(place, unit) {
            Waiting::Liquidity
        } else {
            Waiting::Order
        }
    }

    pub(super) fn asset_view(&self, id: AssetId) -> AssetView {
        let line = self.directory.asset(id);
        AssetView {
            code: line.code,
            decimals: line.decimals,
        }
    }

    pub(super) fn account_ids(&self) -> impl Iterator<Item = AccountId> + use<> {
        (0..u32::try_from(self.accounts.len()).expect("numbered with u32")).map(AccountId)
    }

    /// Accounts of one participant, or all, by participant, then asset.
    pub(super) fn accounts_of(&self, of: Option<Bic>) -> Vec<AccountId> {
        let wanted = of.map(|bic| self.directory.participant_id(bic));
        let mut accounts: Vec<AccountId> = self
            .account_ids()
            .filter(|&account| wanted.is_none_or(|wanted| wanted == Some(self.owner(account))))
            .collect();
        accounts.sort_by_key(|&account| {
            let entry = self.directory.account(account);
            (entry.participant, entry.asset)
        });
        accounts
    }

    fn positions(&self, of: Option<Bic>) -> Vec<PositionView> {
        let mut queued = vec![(0_i128, 0_i128); self.accounts.len()];
        for (_, unit) in self.queues.iter() {
            for leg in unit.legs.iter() {
                queued[leg.debtor.0 as usize].0 += i128::from(leg.amount);
                queued[leg.creditor.0 as usize].1 += i128::from(leg.amount);
            }
        }
        let position = |account: AccountId| {
            let held = &self.accounts[account.0 as usize];
            let entry = self.directory.account(account);
            let (queued_out, queued_in) = queued[account.0 as usize];
            let live = self
                .cycles_live
                .iter()
                .map(|&index| &self.cycles[index as usize]);
            PositionView {
                participant: self.directory.participant(entry.participant).bic,
                asset: self.asset_view(entry.asset),
                balance: held.balance(),
                reserved: i128::from(held.reserved),
                queued_out,
                queued_in,
                instruction_limit: self.limits.instruction(account),
                kept_urgent: self.limits.reservation(account, Priority::Urgent),
                kept_high: self.limits.reservation(account, Priority::High),
                cycles: live
                    .filter_map(|cycle| self.fund_view(cycle, account))
                    .collect(),
            }
        };
        self.accounts_of(of).into_iter().map(position).collect()
    }

    /// An asset that a quote or a limit names.
    pub(super) fn code_view(&self, code: fx::AssetCode) -> AssetView {
        let id = self.directory.asset_id(code);
        self.asset_view(id.expect("decided: the asset is there"))
    }

    pub(super) fn quote_state(&self, quote: &super::quotes::Quote, now: Timestamp) -> QuoteState {
        if quote.used_by.is_some() {
            QuoteState::Accepted
        } else if now >= quote.terms.accept_until {
            QuoteState::Expired
        } else {
            QuoteState::Locked
        }
    }

    pub(super) fn quote_view(
        &self,
        provider: Bic,
        quote: &super::quotes::Quote,
        now: Timestamp,
    ) -> QuoteView {
        QuoteView {
            provider,
            terms: quote.terms.clone(),
            source: self.code_view(quote.terms.source_asset),
            target: self.code_view(quote.terms.target_asset),
            source_amount: quote.source_amount,
            target_amount: quote.target_amount,
            residual: quote.residual,
            state: self.quote_state(quote, now),
            instruction: quote.used_by.map(|by| self.answer(by, false)),
        }
    }

    fn scheme_view(&self) -> SchemeView {
        let limit = |account: AccountId, counterparty: Option<Bic>, amount: i64| {
            let (participant, asset) = self.directory.account_names(account);
            LimitLine {
                participant,
                asset,
                counterparty,
                amount: Some(amount),
            }
        };
        let instruction = self
            .limits
            .instructions()
            .map(|(account, amount)| limit(account, None, amount));
        let bilateral = self.limits.bilaterals().map(|((account, other), amount)| {
            limit(account, Some(self.directory.participant(other).bic), amount)
        });
        SchemeView {
            name: self.scheme.map(|(name, _)| name),
            base_asset: self.scheme.map(|(_, base)| base),
            rehearsal: self.rehearsal,
            assets: self.directory.assets().to_vec(),
            participants: self.directory.participants().to_vec(),
            accounts: self
                .account_ids()
                .map(|account| self.account_line(account))
                .collect(),
            limits: instruction.chain(bilateral).collect(),
            risk: self.risk_lines(),
            cut_offs: self.cut_offs.clone(),
            asset_cut_offs: self.asset_cut_offs.values().copied().collect(),
            days: self.day_lines(),
            tokens: self.tokens.values().copied().collect(),
        }
    }

    fn account_line(&self, account: AccountId) -> AccountLine {
        let (participant, asset) = self.directory.account_names(account);
        let state = self.directory.account(account).state;
        AccountLine {
            participant,
            asset,
            state,
        }
    }

    fn control_totals(&self) -> Vec<ControlTotal> {
        let mut closing = vec![0; self.mirrors.len()];
        for (account, entry) in self.accounts.iter().zip(self.directory.accounts()) {
            closing[usize::from(entry.asset.0)] += account.balance();
        }
        let total = |(index, (mirror, closing)): (u16, (&super::Mirror, i128))| ControlTotal {
            asset: self.asset_view(AssetId(index)),
            agent: self.directory.asset(AssetId(index)).agent,
            total_in: mirror.total_in,
            total_out: mirror.total_out,
            closing,
            mirror: mirror.balance(),
        };
        (0..)
            .zip(self.mirrors.iter().zip(closing))
            .map(total)
            .collect()
    }
}
