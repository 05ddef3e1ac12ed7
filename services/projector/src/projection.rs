//! Records into rows: a pure function of the journal, whatever the database and wherever it was cut.
//!
//! The follower and the parties are memory, rebuilt from the journal's beginning at every start. Rows
//! come only of inputs beyond the store's cursor.

use crate::parties::{LiveParties, parties_of};
use crate::rows::{
    ApprovalAdded, BatchAdded, ChangeAdded, Concern, CycleChange, DirectoryChange,
    InstructionAdded, LegAdded, MemberAdded, MovementAdded, OrderAdded, PartyAdded, PostingAdded,
    QueuePlace, QuoteAdded, Roles, Rows, ScheduleAdded, Standing,
};
use settlement_core::command::{CutOffPurpose, FixedSide, Position, QuoteTerms};
use settlement_core::directory::Directory;
use settlement_core::event::{Batch, CutOffInstant, Event, Order, ScheduleLine, i128Cbor};
use settlement_core::follow::{Fact, Follower};
use settlement_core::ids::{
    AssetId, BatchNumber, Bic, CycleName, Date, ParticipantId, Sequence, Timestamp,
};
use settlement_core::instruction::Identity;
use settlement_core::record::{self, Input, PayloadError};
use settlement_core::rows::RunOrder;
use settlement_core::view::Status;
use valuta_journal::Record;

/// Rows that are handed on at once: some megabytes, also in the midst of a cycle's run.
pub(crate) const ROWS_MAX: usize = 65_536;

/// The journal so far, as far as rows to come need it.
pub(crate) struct Projection {
    follower: Follower,
    parties: LiveParties,
    /// Up to here the store has its rows.
    projected: Sequence,
    /// Of the input at hand.
    changes: u32,
    units: u32,
    done: Vec<Sequence>,
    /// The batch that the movement at hand is in.
    moved_in: Option<BatchNumber>,
    events: Vec<Event>,
    scratch: Vec<(ParticipantId, Roles)>,
}

/// A record that cannot be projected: the journal is not of this program.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// The payload cannot be read.
    #[error(transparent)]
    Payload(#[from] PayloadError),
    /// The payload does not hold the inputs that the header names.
    #[error("{found} inputs, the header names {named}")]
    InputCount {
        /// In the payload.
        found: u64,
        /// By the header.
        named: u64,
    },
    /// An instruction's event, but the input is none.
    #[error("input {0:?} is no instruction, but its event is one's")]
    NoInstruction(Sequence),
}

/// One input, where its rows go.
struct At<'a> {
    sequence: Sequence,
    time: Timestamp,
    content: Option<&'a [u8]>,
}

impl Projection {
    /// A projection whose store has the rows up to `projected`.
    pub(crate) fn new(projected: Sequence) -> Self {
        Self {
            follower: Follower::new(),
            parties: LiveParties::default(),
            projected,
            changes: 0,
            units: 0,
            done: Vec::new(),
            moved_in: None,
            events: Vec::new(),
            scratch: Vec::new(),
        }
    }

    /// Adds a record's rows. `hand_on` takes them, and empties them, whenever they are many.
    pub(crate) fn record<E: From<RecordError>>(
        &mut self,
        record: &Record,
        rows: &mut Rows,
        hand_on: &mut impl FnMut(&mut Rows) -> Result<(), E>,
    ) -> Result<(), E> {
        let header = &record.header;
        let mut events = std::mem::take(&mut self.events);
        let mut entries = record::entries(&record.payload).map_err(RecordError::from)?;
        let mut sequence = Sequence(header.first_sequence);
        while let Some(input) = entries.next_into(&mut events).map_err(RecordError::from)? {
            let at = At {
                sequence,
                time: Timestamp(header.time_ms),
                content: match input {
                    Input::Instruction(content) => Some(content),
                    Input::Command(_) | Input::Tick { .. } | Input::Ran(_) => None,
                },
            };
            (self.changes, self.units) = (0, 0);
            for event in &events {
                self.event(&at, event, rows, hand_on)?;
            }
            sequence.0 += 1;
        }
        self.events = events;
        let found = sequence.0 - header.first_sequence;
        let named = header.last_sequence - header.first_sequence + 1;
        if found != named {
            return Err(RecordError::InputCount { found, named }.into());
        }
        Ok(())
    }

    fn event<E: From<RecordError>>(
        &mut self,
        at: &At<'_>,
        event: &Event,
        rows: &mut Rows,
        hand_on: &mut impl FnMut(&mut Rows) -> Result<(), E>,
    ) -> Result<(), E> {
        let writes = at.sequence > self.projected;
        self.enter(at, event, writes.then_some(&mut *rows))?;
        let mut handed_on = Ok(());
        let (changes, units) = (&mut self.changes, &mut self.units);
        let (parties, done, moved_in) = (&self.parties, &mut self.done, &mut self.moved_in);
        self.follower
            .observe(at.sequence, at.time, event, &mut |fact| {
                if is_final(&fact) {
                    done.extend(status_of(&fact));
                }
                if let Fact::MovementSettled { batch, .. } = fact {
                    *moved_in = Some(batch);
                }
                if writes && handed_on.is_ok() {
                    fact_rows(at, &fact, parties, (changes, units), rows);
                    if rows.count() >= ROWS_MAX {
                        handed_on = hand_on(rows);
                    }
                }
            });
        handed_on?;
        for instruction in self.done.drain(..) {
            self.parties.forget(instruction);
        }
        if writes {
            self.approval(event, rows);
            scheme_rows(at, event, self.follower.directory(), rows);
            if let Event::Moved { .. } = event {
                let batch = self.moved_in.take();
                rows.movements.extend(
                    batch.and_then(|batch| {
                        movement_row(at, event, batch, self.follower.directory())
                    }),
                );
            }
        }
        Ok(())
    }

    fn approval(&self, event: &Event, rows: &mut Rows) {
        let Event::Approved { sequence, approver } = event else {
            return;
        };
        let directory = self.follower.directory();
        let approver = directory.participant_id(*approver);
        rows.approvals
            .extend(approver.map(|participant| ApprovalAdded {
                participant,
                instruction: *sequence,
                day: self.parties.day_of(*sequence),
            }));
    }

    /// A new instruction: its parties are remembered, and it gets its row.
    fn enter(
        &mut self,
        at: &At<'_>,
        event: &Event,
        rows: Option<&mut Rows>,
    ) -> Result<(), RecordError> {
        let directory = self.follower.directory();
        let (identity, order) = match event {
            Event::Accepted { order, .. } => {
                parties_of(order, directory, &mut self.scratch);
                (&order.identity, Some(order))
            }
            Event::Refused { identity, .. } => {
                self.scratch.clear();
                let sender = directory.participant_id(identity.instructing);
                let sender = sender.map(|sender| (sender, Roles::INSTRUCTING));
                self.scratch.extend(sender);
                (identity, None)
            }
            _ => return Ok(()),
        };
        let day = order.map_or(at.time.date(), |order| order.value_date);
        let parties = self.parties.remember(at.sequence, day, &self.scratch);
        if let Some(rows) = rows {
            let added = instruction_row(at, identity, order, directory)?;
            rows.instructions.push(InstructionAdded { day, ..added });
            rows.legs.extend(
                order
                    .into_iter()
                    .flat_map(|order| leg_rows(at, order, directory)),
            );
            rows.parties
                .extend(parties.iter().map(|&(participant, roles)| PartyAdded {
                    participant,
                    instruction: at.sequence,
                    day,
                    roles,
                }));
        }
        Ok(())
    }
}

fn instruction_row(
    at: &At<'_>,
    identity: &Identity,
    order: Option<&Order>,
    directory: &Directory,
) -> Result<InstructionAdded, RecordError> {
    let content = at.content.ok_or(RecordError::NoInstruction(at.sequence))?;
    Ok(InstructionAdded {
        sequence: at.sequence,
        day: at.time.date(),
        identity: *identity,
        order: order.map(|order| OrderAdded {
            lane: order.lane,
            priority: order.priority,
            created: order.created,
            value_date: order.value_date,
            assets: assets(order, directory),
            quote: order.quote,
        }),
        received: at.time,
        content: content.to_vec(),
        standing: Standing::default(),
    })
}

fn leg_rows(at: &At<'_>, order: &Order, directory: &Directory) -> impl Iterator<Item = LegAdded> {
    (0..).zip(order.legs.iter()).map(|(index, leg)| {
        let debtor = directory.account(leg.debtor);
        LegAdded {
            instruction: at.sequence,
            day: order.value_date,
            index,
            kind: leg.kind,
            debtor: debtor.participant,
            creditor: directory.account(leg.creditor).participant,
            asset: debtor.asset,
            amount: leg.amount,
        }
    })
}

/// ` EUR USD `, so that a code is found with its spaces and never inside another.
fn assets(order: &Order, directory: &Directory) -> String {
    let mut text = String::from(" ");
    for leg in order.legs.iter() {
        let code = directory.asset(directory.account(leg.debtor).asset).code;
        let code = code.to_string();
        if !text.split(' ').any(|known| known == code) {
            text += &code;
            text.push(' ');
        }
    }
    text
}

/// The instruction that a status is of.
fn status_of(fact: &Fact<'_>) -> Option<Sequence> {
    match fact {
        Fact::Status { sequence, .. } => Some(*sequence),
        Fact::Queued { .. }
        | Fact::UnitSettled { .. }
        | Fact::MovementSettled { .. }
        | Fact::BatchClosed { .. } => None,
    }
}

/// No status follows this one.
fn is_final(fact: &Fact<'_>) -> bool {
    let Fact::Status { status, .. } = fact else {
        return false;
    };
    match status {
        Status::Settled { .. } | Status::Rejected(_) | Status::Cancelled => true,
        Status::Member(_) | Status::Waiting(_) | Status::Irrevocable(_) => false,
    }
}

fn fact_rows(
    at: &At<'_>,
    fact: &Fact<'_>,
    parties: &LiveParties,
    (changes, units): (&mut u32, &mut u32),
    rows: &mut Rows,
) {
    match *fact {
        Fact::Status {
            sequence,
            status,
            matched_with,
        } => {
            let change = ChangeAdded {
                position: next(at, changes),
                instruction: sequence,
                day: parties.day_of(sequence),
                status,
                matched_with,
                time: at.time,
            };
            change_rows(change, parties, rows);
        }
        Fact::Queued {
            sequence,
            priority,
            rank,
            unit,
        } => {
            let standing = Standing {
                queued: Some(QueuePlace {
                    priority,
                    rank,
                    unit,
                }),
                ..Standing::default()
            };
            rows.stand(sequence, parties.day_of(sequence), &standing);
        }
        Fact::UnitSettled {
            unit,
            batch,
            member_index,
        } => {
            credits(next(at, units), unit, parties, rows);
            for &instruction in unit {
                let day = parties.day_of(instruction);
                member_rows(instruction, day, batch, member_index, rows);
            }
        }
        // A movement is no instruction: its row comes from its event, as a batch's.
        Fact::MovementSettled { .. } | Fact::BatchClosed { .. } => {}
    }
}

fn next(at: &At<'_>, index: &mut u32) -> Position {
    let position = Position {
        sequence: at.sequence,
        index: *index,
    };
    *index += 1;
    position
}

fn change_rows(change: ChangeAdded, parties: &LiveParties, rows: &mut Rows) {
    let cycle = match change.status {
        Status::Member(cycle) | Status::Irrevocable(cycle) => Some(cycle),
        Status::Waiting(_) | Status::Settled { .. } | Status::Rejected(_) | Status::Cancelled => {
            None
        }
    };
    let standing = Standing {
        status: Some((change.status, change.matched_with)),
        cycle,
        ..Standing::default()
    };
    rows.stand(change.instruction, change.day, &standing);
    rows.changes.push(change);
    if !change.is_entry() {
        let parties = parties.of(change.instruction);
        rows.concerns
            .extend(parties.iter().map(|&(participant, _)| Concern {
                participant,
                position: change.position,
                instruction: change.instruction,
                day: change.day,
            }));
    }
}

fn member_rows(
    instruction: Sequence,
    day: Date,
    batch: BatchNumber,
    member_index: u32,
    rows: &mut Rows,
) {
    let standing = Standing {
        member_index: Some(member_index),
        ..Standing::default()
    };
    rows.stand(instruction, day, &standing);
    rows.members.push(MemberAdded {
        batch,
        instruction,
        day,
        member_index,
    });
}

/// Whom a settled unit credits, each once: the two sides of a trade tell the same money twice, and a
/// bank receives the side that is not its own.
fn credits(position: Position, unit: &[Sequence], parties: &LiveParties, rows: &mut Rows) {
    for (side, &instruction) in unit.iter().enumerate() {
        for &(participant, roles) in parties.of(instruction) {
            let own_side_of_trade = unit.len() > 1 && roles.has(Roles::INSTRUCTING);
            if roles.has(Roles::CREDITOR) && !own_side_of_trade {
                rows.credits.push(Concern {
                    participant,
                    position,
                    instruction: unit[side],
                    day: parties.day_of(instruction),
                });
            }
        }
    }
}

/// Rows of batches, cycles and the directory.
fn scheme_rows(at: &At<'_>, event: &Event, directory: &Directory, rows: &mut Rows) {
    match event {
        Event::GrossBatchClosed(batch) | Event::CycleRan { batch, .. } => {
            rows.batches.push(batch_row(at, batch, directory));
        }
        Event::AssetSet(_) | Event::ParticipantSet { .. } | Event::AccountSet(_) => {
            rows.directory.extend(directory_row(event, directory));
        }
        Event::QuoteLocked { .. } => rows.quotes.extend(quote_row(at, event, directory)),
        Event::CycleOpened { .. }
        | Event::CycleClosed { .. }
        | Event::CycleScheduled { .. }
        | Event::CycleCompleted { .. } => rows.cycles.extend(cycle_row(at, event, directory)),
        _ => {}
    }
}

fn movement_row(
    at: &At<'_>,
    event: &Event,
    batch: BatchNumber,
    directory: &Directory,
) -> Option<MovementAdded> {
    let Event::Moved {
        kind,
        account,
        amount,
        cycle,
    } = event
    else {
        return None;
    };
    let entry = directory.account(*account);
    Some(MovementAdded {
        sequence: at.sequence,
        kind: *kind,
        participant: entry.participant,
        asset: entry.asset,
        amount: *amount,
        cycle: *cycle,
        batch,
        time: at.time,
    })
}

/// What a provider is asked to pay less than exactly, or is paid more, it gains: `exact = amount +
/// residual`, and the side that is not fixed was rounded.
fn quote_row(at: &At<'_>, event: &Event, directory: &Directory) -> Option<QuoteAdded> {
    let Event::QuoteLocked {
        provider,
        terms,
        residual_numerator: i128Cbor(numerator),
        residual_denominator: i128Cbor(denominator),
        ..
    } = event
    else {
        return None;
    };
    let (code, gain) = match terms.fixed_side {
        FixedSide::Source => (terms.target_asset, *numerator),
        FixedSide::Target => (terms.source_asset, -*numerator),
    };
    Some(QuoteAdded {
        provider: *provider,
        sequence: at.sequence,
        terms: QuoteTerms::clone(terms),
        asset: directory.asset_id(code)?,
        gain,
        denominator: *denominator,
    })
}

fn batch_row(at: &At<'_>, batch: &Batch, directory: &Directory) -> BatchAdded {
    let accounts = batch.postings.iter().zip(&batch.balances);
    let accounts = accounts.map(|(posting, balance)| {
        let account = directory.account(posting.account);
        PostingAdded {
            holder: directory.participant(account.participant).bic,
            asset: account.asset,
            mirror: false,
            amount: i128::from(posting.amount),
            balance: i128::from(balance.amount),
        }
    });
    let mirrors = batch.mirror_postings.iter().zip(&batch.mirror_balances);
    let mirrors = mirrors.map(|(posting, balance)| PostingAdded {
        holder: agent(posting.asset, directory),
        asset: posting.asset,
        mirror: true,
        amount: posting.amount.0,
        balance: balance.amount.0,
    });
    BatchAdded {
        number: batch.number,
        cycle: batch.cycle,
        time: at.time,
        sequence: at.sequence,
        member_count: batch.member_count,
        certificate_hash: batch.certificate_hash,
        order: RunOrder::of(batch.bypassed),
        postings: accounts.chain(mirrors).collect(),
    }
}

fn agent(asset: AssetId, directory: &Directory) -> Bic {
    directory.asset(asset).agent
}

fn directory_row(event: &Event, directory: &Directory) -> Option<DirectoryChange> {
    match event {
        Event::AssetSet(line) => Some(DirectoryChange::Asset {
            id: directory.asset_id(line.code)?,
            line: *line,
        }),
        Event::ParticipantSet { bic, name, state } => Some(DirectoryChange::Participant {
            id: directory.participant_id(*bic)?,
            bic: *bic,
            name: name.clone(),
            state: *state,
        }),
        Event::AccountSet(line) => {
            let participant = directory.participant_id(line.participant)?;
            let asset = directory.asset_id(line.asset)?;
            Some(DirectoryChange::Account {
                id: directory.account_id(participant, asset)?,
                participant,
                asset,
                state: line.state,
            })
        }
        _ => None,
    }
}

fn cycle_row(
    at: &At<'_>,
    event: &Event,
    directory: &Directory,
) -> Option<(CycleName, CycleChange)> {
    match event {
        Event::CycleOpened {
            cycle,
            cut_off,
            pay_in_deadline,
            completion_deadline,
            calendar,
        } => {
            let cut_offs = calendar.iter().flat_map(|calendar| &calendar.cut_offs);
            let opened = CycleChange::Opened {
                cut_off: *cut_off,
                pay_in_deadline: *pay_in_deadline,
                completion_deadline: *completion_deadline,
                pay_in_cut_offs: cut_offs.filter_map(pay_in_cut_off).collect(),
            };
            Some((*cycle, opened))
        }
        Event::CycleClosed { cycle } => {
            let sequence = at.sequence;
            Some((*cycle, CycleChange::Closed { sequence }))
        }
        Event::CycleScheduled {
            cycle,
            version,
            reason,
            lines,
            ..
        } => {
            let lines = lines.iter().map(|line| schedule_row(line, directory));
            let scheduled = CycleChange::Scheduled {
                version: *version,
                reason: reason.clone(),
                lines: lines.collect(),
            };
            Some((*cycle, scheduled))
        }
        Event::CycleCompleted { cycle, into } => {
            Some((*cycle, CycleChange::Completed { into: *into }))
        }
        _ => None,
    }
}

fn pay_in_cut_off(cut_off: &CutOffInstant) -> Option<(AssetId, Timestamp)> {
    (cut_off.purpose == CutOffPurpose::PayIn).then_some((cut_off.asset, cut_off.instant))
}

fn schedule_row(line: &ScheduleLine, directory: &Directory) -> ScheduleAdded {
    let account = directory.account(line.account);
    ScheduleAdded {
        participant: account.participant,
        asset: account.asset,
        net: line.net,
        pay_in_due: line.pay_in_due,
        pay_out_due: line.pay_out_due,
    }
}
