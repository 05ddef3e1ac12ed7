//! One hash over all live state, to compare a replay with what ran live.

use super::State;
use super::cycles::Cycle;
use super::identities::{EntryId, Standing};
use super::limits::PaidSums;
use super::pending::{GroupKey, Terms};
use crate::ids::Timestamp;

use minicbor::Encode;
use sha2::{Digest as _, Sha256};

/// Hashes values one after the other, each in its CBOR form.
struct Feed {
    hasher: Sha256,
    bytes: Vec<u8>,
}

impl Feed {
    fn put(&mut self, value: impl Encode<()>) {
        self.bytes.clear();
        minicbor::encode(value, &mut self.bytes).expect("a Vec takes every byte");
        self.hasher.update(&self.bytes);
    }

    /// A list: its length, then its values.
    fn list<T: Encode<()>>(&mut self, values: impl IntoIterator<Item = T>) {
        let mut count = 0_u64;
        for value in values {
            self.put(value);
            count += 1;
        }
        self.put(count);
    }
}

impl State {
    /// SHA-256 over all that later decisions depend on, in one order. Equal states have equal digests,
    /// however they came to be. Linear in all instructions ever: for tests and checks.
    pub fn digest(&self) -> [u8; 32] {
        let mut feed = Feed {
            hasher: Sha256::new(),
            bytes: Vec::new(),
        };
        self.feed_scheme(&mut feed);
        self.feed_money(&mut feed);
        self.feed_instructions(&mut feed);
        for cycle in self.cycles.iter() {
            feed_cycle(&mut feed, cycle);
        }
        self.feed_rest(&mut feed);
        feed.hasher.finalize().into()
    }

    fn feed_scheme(&self, feed: &mut Feed) {
        feed.put((self.rehearsal, self.rehearsal_time));
        feed.put(self.scheme);
        feed.put(&self.cut_offs);
        feed.list(self.asset_cut_offs.values());
        feed.list(self.day_lines());
        feed.list(self.directory.assets());
        feed.list(self.directory.participants());
        let accounts = self.directory.accounts();
        feed.list(accounts.map(|entry| (entry.participant, entry.asset, entry.state)));
        feed.list(self.limits.instructions());
        feed.list(self.limits.bilaterals());
        feed.list(self.limits.reservations());
        feed.put(self.risk.model);
        feed.list(self.risk_lines());
        feed.list(self.tokens.values());
        feed.put(self.tokens_version);
    }

    fn feed_money(&self, feed: &mut Feed) {
        feed.list(
            self.accounts
                .iter()
                .map(|account| (account.free, account.reserved)),
        );
        let wide = |amount: i128| crate::event::i128Cbor(amount);
        let mirrors = self.mirrors.iter();
        feed.list(mirrors.map(|mirror| (wide(mirror.total_in), wide(mirror.total_out))));
        let sums = |(key, sums): (_, PaidSums)| (key, wide(sums.counted), wide(sums.settled));
        feed.list(self.usage.iter().map(sums));
        let open = self.closed_gross_batch(None, [0; 32]);
        feed.put(open);
        feed.put(self.batches);
    }

    fn feed_instructions(&self, feed: &mut Feed) {
        feed.list(self.identities.ids().map(|id| {
            let standing = standing_code(self.identities.standing(id));
            let partner = self.identities.partner(id).map(|EntryId(other)| other);
            let held = self.identities.is_held(id);
            let identity = self.identities.identity(id);
            let digest = self.identities.digest(id);
            (
                self.identities.sequence(id),
                identity,
                digest,
                standing,
                partner,
                held,
            )
        }));
        feed.list(
            self.queues
                .iter()
                .map(|((priority, rank, EntryId(id)), unit)| {
                    (
                        (priority, rank.parts()),
                        id,
                        &unit.legs,
                        unit.value_date,
                        unit.held,
                        unit.expires_at,
                        unit.expiry,
                    )
                }),
        );
        feed.list(self.unmatched.iter().map(|(EntryId(id), side)| {
            (
                id,
                side.trade,
                &side.legs,
                side.priority,
                side.lane,
                (side.value_date, feed_terms(&side.terms)),
                side.held,
            )
        }));
        self.feed_conditions(feed);
    }

    fn feed_conditions(&self, feed: &mut Feed) {
        feed.list(self.pending.iter().map(|(EntryId(id), unit)| {
            let progress = unit.progress.as_ref();
            let progress = progress.map(|progress| {
                let shown = progress.is_preimage_shown();
                (progress.conditions(), progress.approved(), shown)
            });
            let what = (unit.priority, unit.lane, unit.value_date, unit.trade);
            let how = (feed_terms(&unit.terms), unit.held);
            (id, &unit.legs, what, progress, how)
        }));
        let ids = |ids: &[EntryId]| ids.iter().map(|id| id.0).collect::<Vec<u32>>();
        feed.list(self.groups.forming().map(|(key, ready)| (*key, ids(ready))));
        feed.list(
            self.groups
                .formed()
                .map(|(unit, parts)| (unit.0, ids(parts))),
        );
        let documents = self.documents.iter();
        feed.list(documents.map(|(document, EntryId(id), live)| (document, id, live)));
        let expiries = self.member_expiries.iter();
        feed.list(expiries.map(|(EntryId(id), at)| (id, at)));
    }

    fn feed_rest(&self, feed: &mut Feed) {
        feed.list(self.quotes.iter().map(|(provider, quote)| {
            let used_by = quote.used_by.map(|EntryId(id)| id);
            let residual = (
                crate::event::i128Cbor(quote.residual.0),
                crate::event::i128Cbor(quote.residual.1),
            );
            (
                provider,
                &quote.terms,
                quote.source_amount,
                quote.target_amount,
                residual,
                (quote.locked, used_by),
            )
        }));
        feed.list(self.quotes.requests());
        feed.list(self.quotes.limits());
        let (sets, last, accepted, rules) = self.rates.parts();
        feed.list(sets);
        feed.list(last);
        feed.list(accepted);
        feed.put(rules);
        feed.list(self.requests.iter().map(|((caller, id), request)| {
            (
                caller,
                id,
                request.digest,
                request.sequence,
                request.changes,
            )
        }));
        feed.put(minicbor::bytes::ByteVec::from(self.leaving_parts()));
        feed.list(self.acknowledged.iter());
        let counts = &self.statistics;
        feed.put((
            counts.instructions,
            counts.settled,
            counts.rejected,
            counts.cancelled,
            counts.waiting,
        ));
    }
}

type TermsFed = (
    Timestamp,
    crate::rejection::Rejection,
    Option<Timestamp>,
    bool,
    Option<GroupKey>,
);

fn feed_terms(terms: &Terms) -> TermsFed {
    let Terms {
        expires_at,
        expiry,
        settle_by,
        expires,
        group,
    } = *terms;
    (expires_at, expiry, settle_by, expires, group)
}

fn standing_code(standing: Standing) -> (u8, u32, Option<crate::rejection::Rejection>) {
    match standing {
        Standing::Settled(batch) => (0, batch, None),
        Standing::Queued => (1, 0, None),
        Standing::Unmatched => (2, 0, None),
        Standing::Member(cycle) => (3, cycle, None),
        Standing::Rejected(rejection) => (4, 0, Some(rejection)),
        Standing::Cancelled => (5, 0, None),
        Standing::Pending => (6, 0, None),
    }
}

fn feed_cycle(feed: &mut Feed, cycle: &Cycle) {
    feed.put((
        cycle.name,
        cycle.state as u8,
        cycle.cut_off,
        cycle.pay_in_deadline,
        cycle.completion_deadline,
        &cycle.calendar,
        cycle.model,
        &cycle.values,
        &cycle.rooms,
    ));
    feed.list(cycle.members().map(|member| {
        let legs: Vec<(u32, u32, i64)> = member
            .legs
            .iter()
            .map(|leg| (leg.debtor, leg.creditor, leg.amount))
            .collect();
        (
            (member.place.0, member.rank.parts()),
            member.priority,
            member.held,
            member.settled,
            legs,
        )
    }));
    for values in [
        &cycle.funds,
        &cycle.opening_funds,
        &cycle.paid_in,
        &cycle.paid_out,
    ] {
        // Trailing zeros say nothing.
        let used = (0..values.len()).rfind(|&at| values[at] != 0);
        feed.list(values.iter().take(used.map_or(0, |last| last + 1)));
    }
    feed.put((
        cycle.schedule_version,
        &cycle.schedule_reason,
        &*cycle.lines,
    ));
    let value = (
        crate::event::i128Cbor(cycle.gross_value),
        crate::event::i128Cbor(cycle.net_value),
    );
    feed.put((value, cycle.version, cycle.ran, &cycle.batches));
    feed.put((cycle.members, cycle.settled));
}
