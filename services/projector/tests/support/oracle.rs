//! The naive read model: keeps every row in vectors, and answers each question by looking at all.

use fx::AssetCode;
use settlement_core::command::{AssetLine, Position};
use settlement_core::ids::{BatchNumber, Bic, ParticipantId, Sequence};
use settlement_core::view::{AssetView, InstructionAnswer, Status, Waiting};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use valuta_journal::Cursor;
use valuta_projector::*;

#[derive(Clone, Default)]
pub struct Oracle(Arc<Mutex<Tables>>);

#[derive(Default)]
struct Tables {
    cursor: Option<Cursor>,
    committed: Rows,
    pending: Rows,
    anchors: BTreeMap<BatchNumber, AnchorRow>,
    /// Batches whose order is not known.
    unordered: BTreeSet<BatchNumber>,
}

impl Oracle {
    /// As the next process finds it: nothing that was not committed.
    pub fn reopened(&self) -> Self {
        let mut tables = self.0.lock().unwrap();
        tables.pending = tables.committed.clone();
        self.clone()
    }

    /// All that is committed, in the order of its keys.
    pub fn committed(&self) -> Rows {
        let mut rows = self.0.lock().unwrap().committed.clone();
        rows.sort();
        rows
    }

    /// What an older version did not keep: the order of the cycles' batches that there are.
    pub fn forget_order(&mut self) {
        let mut tables = self.0.lock().unwrap();
        let batches = tables.committed.batches.iter();
        let of_cycles = batches.filter(|batch| batch.cycle.is_some());
        tables.unordered = of_cycles.map(|batch| batch.number).collect();
    }
}

impl Tables {
    fn add(&mut self, rows: &Rows) {
        let all = &mut self.pending;
        all.instructions.extend(rows.instructions.iter().cloned());
        for (instruction, changed) in &rows.standings {
            all.stand(*instruction, changed.day, &changed.standing);
        }
        all.parties.extend(&rows.parties);
        all.approvals.extend(&rows.approvals);
        all.changes.extend(&rows.changes);
        all.concerns.extend(&rows.concerns);
        all.credits.extend(&rows.credits);
        all.members.extend(&rows.members);
        all.batches.extend(rows.batches.iter().cloned());
        all.cycles.extend(rows.cycles.iter().cloned());
        all.directory.extend(rows.directory.iter().cloned());
    }

    fn asset(&self, of: settlement_core::ids::AssetId) -> AssetLine {
        let lines = self.committed.directory.iter().rev();
        let mut lines = lines.filter_map(|change| match change {
            DirectoryChange::Asset { id, line } if *id == of => Some(*line),
            _ => None,
        });
        lines.next().unwrap()
    }

    fn participant(&self, of: Bic) -> Option<ParticipantId> {
        let mut lines = self.committed.directory.iter();
        lines.find_map(|change| match change {
            DirectoryChange::Participant { id, bic, .. } if *bic == of => Some(*id),
            _ => None,
        })
    }

    /// Looked for in the parties, without the concerns that make it fast.
    fn is_party(&self, of: Bic, instruction: Sequence, as_any: Roles) -> bool {
        let id = self.participant(of);
        let mut parties = self.committed.parties.iter();
        parties.any(|party| {
            Some(party.participant) == id
                && party.instruction == instruction
                && party.roles.0 & as_any.0 != 0
        })
    }

    fn is_asked(&self, of: Bic, instruction: Sequence, status: Status) -> bool {
        let id = self.participant(of);
        let mut approvals = self.committed.approvals.iter();
        status == Status::Waiting(Waiting::Approval)
            && self.is_party(of, instruction, Roles::APPROVER)
            && !approvals.any(|approval| {
                Some(approval.participant) == id && approval.instruction == instruction
            })
    }

    fn added(&self, instruction: Sequence) -> Option<&InstructionAdded> {
        let mut all = self.committed.instructions.iter();
        all.find(|added| added.sequence == instruction)
    }

    fn row(&self, added: &InstructionAdded) -> InstructionRow {
        let (status, matched_with) = added.standing.status.unwrap();
        InstructionRow {
            answer: InstructionAnswer {
                identity: added.identity,
                sequence: added.sequence,
                status,
                matched_with,
                repeated: false,
            },
            content: added.content.clone(),
            received: added.received,
        }
    }

    fn passes(&self, filter: &ListFilter, added: &InstructionAdded) -> bool {
        let order = added.order.as_ref();
        let (status, _) = added.standing.status.unwrap();
        let party = |bic| self.is_party(bic, added.sequence, Roles(u8::MAX));
        let principal = |bic| self.is_party(bic, added.sequence, Roles::PRINCIPALS);
        let asked = |bic| self.is_asked(bic, added.sequence, status);
        filter.participant.is_none_or(party)
            && filter.counterparty.is_none_or(principal)
            && (!filter.awaiting_approval || filter.participant.is_some_and(asked))
            && filter
                .status
                .is_none_or(|filter| filter == status_filter(status))
            && filter.kind.is_none_or(|kind| kind == added.identity.kind)
            && filter
                .cycle
                .is_none_or(|cycle| added.standing.cycle == Some(cycle))
            && filter.before.is_none_or(|before| added.sequence < before)
            && filter
                .lane
                .is_none_or(|lane| order.is_some_and(|order| order.lane == lane))
            && filter
                .value_date
                .is_none_or(|date| order.is_some_and(|order| order.value_date == date))
            && filter.asset.is_none_or(|asset| {
                let codes = order.map_or("", |order| &order.assets).split(' ');
                codes.into_iter().any(|code| code == asset.to_string())
            })
    }

    fn unit_row(&self, member: &MemberAdded) -> UnitRow {
        UnitRow {
            instruction: member.instruction,
            matched_with: self
                .added(member.instruction)
                .unwrap()
                .standing
                .status
                .unwrap()
                .1,
            batch: member.batch,
            member_index: member.member_index,
        }
    }

    fn batch_row(&self, batch: &BatchAdded) -> BatchRow {
        BatchRow {
            number: batch.number,
            cycle: batch.cycle,
            time: batch.time,
            members: u64::from(batch.member_count),
            sequence: batch.sequence,
            certificate_hash: batch.certificate_hash,
            order: Some(batch.order).filter(|_| !self.unordered.contains(&batch.number)),
            postings: Vec::new(),
            anchor: self.anchors.get(&batch.number).cloned(),
        }
    }

    fn posting_row(&self, posting: &PostingAdded) -> PostingRow {
        let line = self.asset(posting.asset);
        PostingRow {
            participant: posting.holder,
            asset: AssetView {
                code: line.code,
                decimals: line.decimals,
            },
            mirror: posting.mirror,
            amount: posting.amount,
            balance: posting.balance,
        }
    }
}

pub fn status_filter(status: Status) -> StatusFilter {
    match status {
        Status::Member(_) => StatusFilter::Member,
        Status::Waiting(_) => StatusFilter::Waiting,
        Status::Irrevocable(_) => StatusFilter::Irrevocable,
        Status::Settled { .. } => StatusFilter::Settled,
        Status::Rejected(_) => StatusFilter::Rejected,
        Status::Cancelled => StatusFilter::Cancelled,
    }
}

impl Store for Oracle {
    fn cursor(&mut self) -> Result<Option<Cursor>, StoreError> {
        Ok(self.0.lock().unwrap().cursor)
    }

    fn write(&mut self, rows: &Rows) -> Result<(), StoreError> {
        self.0.lock().unwrap().add(rows);
        Ok(())
    }

    fn commit(&mut self, cursor: &Cursor) -> Result<(), StoreError> {
        let mut tables = self.0.lock().unwrap();
        tables.cursor = Some(*cursor);
        tables.committed = tables.pending.clone();
        Ok(())
    }

    fn reset(&mut self) -> Result<(), StoreError> {
        *self.0.lock().unwrap() = Tables::default();
        Ok(())
    }
}

impl Anchors for Oracle {
    fn set_anchor(
        &mut self,
        batch: BatchNumber,
        log_index: u64,
        header: &str,
    ) -> Result<(), StoreError> {
        let header = header.to_owned();
        let anchors = &mut self.0.lock().unwrap().anchors;
        anchors.insert(batch, AnchorRow { log_index, header });
        Ok(())
    }

    fn anchored(&mut self) -> Result<BatchNumber, StoreError> {
        let tables = self.0.lock().unwrap();
        Ok(tables.anchors.keys().max().copied().unwrap_or(0))
    }
}

impl ReadModel for Oracle {
    fn state(&self) -> Result<Option<Cursor>, StoreError> {
        Ok(self.0.lock().unwrap().cursor)
    }

    /// One page always: it looks at all.
    fn list(&self, filter: &ListFilter) -> Result<ListPage, StoreError> {
        let tables = self.0.lock().unwrap();
        let all = tables.committed.instructions.iter().rev();
        let rows = all
            .filter(|added| tables.passes(filter, added))
            .map(|added| tables.row(added))
            .take(filter.limit)
            .collect();
        Ok(ListPage { rows, next: None })
    }

    fn instruction(&self, sequence: Sequence) -> Result<Option<InstructionRow>, StoreError> {
        let tables = self.0.lock().unwrap();
        Ok(tables.added(sequence).map(|added| tables.row(added)))
    }

    fn changes(
        &self,
        participant: Option<Bic>,
        after: Position,
        limit: usize,
    ) -> Result<Vec<ChangeRow>, StoreError> {
        let tables = self.0.lock().unwrap();
        let mut changes = tables.committed.changes.clone();
        changes.sort_by_key(|change| change.position);
        let rows = changes.into_iter().filter(|change| {
            change.position > after
                && participant
                    .is_none_or(|bic| tables.is_party(bic, change.instruction, Roles(u8::MAX)))
        });
        let rows = rows.take(limit).map(|change| ChangeRow {
            position: change.position,
            answer: InstructionAnswer {
                identity: tables.added(change.instruction).unwrap().identity,
                sequence: change.instruction,
                status: change.status,
                matched_with: change.matched_with,
                repeated: false,
            },
            time: change.time,
        });
        Ok(rows.collect())
    }

    fn received(
        &self,
        participant: Bic,
        after: Position,
        limit: usize,
    ) -> Result<Vec<ReceivedRow>, StoreError> {
        let tables = self.0.lock().unwrap();
        let id = tables.participant(participant);
        let mut credits = tables.committed.credits.clone();
        credits.sort_by_key(|credit| credit.position);
        let rows = credits
            .into_iter()
            .filter(|credit| Some(credit.participant) == id && credit.position > after);
        let rows = rows.take(limit).map(|credit| ReceivedRow {
            position: credit.position,
            row: tables.row(tables.added(credit.instruction).unwrap()),
        });
        Ok(rows.collect())
    }

    fn unit(&self, instruction: Sequence) -> Result<Option<UnitRow>, StoreError> {
        let tables = self.0.lock().unwrap();
        let mut members = tables.committed.members.iter();
        let member = members.find(|member| member.instruction == instruction);
        Ok(member.map(|member| tables.unit_row(member)))
    }

    fn members(
        &self,
        participant: Option<Bic>,
        batch: BatchNumber,
        after: Sequence,
        limit: usize,
    ) -> Result<Vec<UnitRow>, StoreError> {
        let tables = self.0.lock().unwrap();
        let mut members = tables.committed.members.clone();
        members.sort_by_key(|member| member.instruction);
        let rows = members.iter().filter(|member| {
            member.batch == batch
                && member.instruction > after
                && participant
                    .is_none_or(|bic| tables.is_party(bic, member.instruction, Roles(u8::MAX)))
        });
        Ok(rows
            .take(limit)
            .map(|member| tables.unit_row(member))
            .collect())
    }

    fn batch(&self, number: BatchNumber) -> Result<Option<BatchRow>, StoreError> {
        let tables = self.0.lock().unwrap();
        let mut batches = tables.committed.batches.iter();
        let batch = batches.find(|batch| batch.number == number);
        Ok(batch.map(|batch| BatchRow {
            postings: batch
                .postings
                .iter()
                .map(|row| tables.posting_row(row))
                .collect(),
            ..tables.batch_row(batch)
        }))
    }

    fn changed_by(
        &self,
        holder: Bic,
        asset: AssetCode,
        until: BatchNumber,
    ) -> Result<Option<BatchNumber>, StoreError> {
        let tables = self.0.lock().unwrap();
        let batches = tables.committed.batches.iter();
        let changed = batches.filter(|batch| {
            let rows = batch.postings.iter().map(|row| tables.posting_row(row));
            batch.number <= until
                && rows
                    .into_iter()
                    .any(|row| row.participant == holder && row.asset.code == asset)
        });
        Ok(changed.map(|batch| batch.number).max())
    }

    fn batches(&self, filter: &BatchFilter) -> Result<Vec<BatchRow>, StoreError> {
        let tables = self.0.lock().unwrap();
        let mut batches: Vec<&BatchAdded> = tables.committed.batches.iter().collect();
        batches.sort_by_key(|batch| std::cmp::Reverse(batch.number));
        let rows = batches.into_iter().filter(|batch| {
            filter.before.is_none_or(|before| batch.number < before)
                && filter.cycle.is_none_or(|cycle| batch.cycle == Some(cycle))
        });
        Ok(rows
            .take(filter.limit)
            .map(|batch| tables.batch_row(batch))
            .collect())
    }
}
