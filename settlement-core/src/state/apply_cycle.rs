//! `apply` for cycles: opening, schedules, funds, runs, completion.

use super::State;
use super::apply::add_at;
use super::cycles::{Cycle, at};
use super::identities::Standing;
use crate::command::MovementKind;
use crate::event::{Batch, Event};
use crate::ids::{AccountId, CycleName};
use crate::run::{Bitmap, Cap};
use crate::view::CycleState;
use std::sync::Arc;

impl State {
    pub(super) fn open_cycle(&mut self, cycle: Cycle) {
        let index = u32::try_from(self.cycles.len()).expect("cycles are numbered with u32");
        self.cycle_numbers.insert(cycle.name, index);
        self.cycles_live.push(index);
        self.cycles.push(cycle);
    }

    pub(super) fn take_schedule(&mut self, event: &Event) {
        let Event::CycleScheduled {
            cycle,
            version,
            reason,
            lines,
            gross_value,
            net_value,
        } = event
        else {
            panic!("the event is a schedule's");
        };
        let cycle = self.cycle_mut(*cycle);
        cycle.state = CycleState::Settling;
        cycle.schedule_version = *version;
        cycle.schedule_reason.clone_from(reason);
        cycle.lines = Arc::new(lines.clone());
        cycle.gross_value = gross_value.0;
        cycle.net_value = net_value.0;
    }

    /// The cycle's part of a movement.
    pub(super) fn move_fund(
        &mut self,
        kind: MovementKind,
        account: AccountId,
        amount: i64,
        name: CycleName,
    ) {
        let cycle = self.cycle_mut(name);
        match kind {
            MovementKind::PayIn | MovementKind::Transfer => {
                if cycle.state != CycleState::Open {
                    add_at(&mut cycle.paid_in, account, amount);
                }
                add_at(&mut cycle.funds, account, amount);
                cycle.version += 1;
            }
            MovementKind::PayOut => {
                add_at(&mut cycle.paid_out, account, amount);
                // What is left of funds is free again once the cycle has completed.
                if cycle.state == CycleState::Completed {
                    self.accounts[account.0 as usize].free -= amount;
                } else {
                    add_at(&mut cycle.funds, account, -amount);
                    cycle.version += 1;
                    self.accounts[account.0 as usize].reserved -= amount;
                }
            }
            MovementKind::Deposit | MovementKind::Withdrawal => {}
        }
    }

    pub(super) fn take_run(
        &mut self,
        name: CycleName,
        settled: &[u8],
        batch: &Batch,
        caps: &[Cap],
    ) {
        let before = self.rooms(name.value_date, caps);
        let cycle = self.cycle_mut(name);
        let count =
            u32::try_from(cycle.waiting_count()).expect("a run's units are numbered with u32");
        let settled =
            Bitmap::from_bytes(count, settled).expect("decided: one bit per waiting unit");
        self.count_settled_members(name, &settled);
        let cycle = self.cycle_mut(name);
        let places = cycle.settle(&settled);
        for posting in &batch.postings {
            add_at(&mut cycle.funds, posting.account, posting.amount);
        }
        cycle.batches.push(batch.number);
        // The largest set is settled: a run over what is left would settle nothing more.
        cycle.version += 1;
        self.note_ran(name, caps, &before);
        for posting in &batch.postings {
            self.accounts[posting.account.0 as usize].reserved += posting.amount;
        }
        let number = u32::try_from(batch.number).expect("batches are below 2^32");
        let mut instructions = 0;
        for place in places {
            let parts = self.parts(place);
            instructions += self.instructions_of(&parts);
            self.keep_documents(&parts);
            self.end(place, Standing::Settled(number));
        }
        self.cycle_mut(name).settled += instructions;
        self.statistics.settled += instructions;
        self.statistics.waiting -= instructions;
        self.batches = batch.number;
    }

    pub(super) fn complete_cycle(&mut self, name: CycleName, into: Option<CycleName>) {
        let index = self.cycle_index(name);
        self.free_funds(name);
        if let Some(into) = into {
            self.roll_over(name, into);
        }
        let bilateral = self.bilateral_nets(&self.cycles[index as usize]);
        let cycle = &mut self.cycles[index as usize];
        cycle.bilateral = Arc::new(bilateral);
        cycle.state = CycleState::Completed;
        cycle.drop_members();
        self.cycles.complete(index as usize);
        self.cycles_live.retain(|&live| live != index);
    }

    fn free_funds(&mut self, name: CycleName) {
        let funds = std::mem::take(&mut self.cycle_mut(name).funds);
        for account in (0..funds.len()).map(|at| AccountId(u32::try_from(at).expect("an account")))
        {
            let fund = at(&funds, account);
            if fund != 0 {
                let held = &mut self.accounts[account.0 as usize];
                held.reserved -= fund;
                held.free += fund;
                self.queues.touch(account);
            }
        }
    }

    fn roll_over(&mut self, name: CycleName, into: CycleName) {
        let index = self.cycle_index(into);
        let cycle = self.cycle(name).expect("it completes");
        let unsettled = cycle.members().filter(|member| !member.settled);
        let moved: Vec<_> = unsettled
            .map(|member| {
                let place = (member.priority, member.rank, member.place);
                (place, member.held, member.legs.to_vec())
            })
            .collect();
        for (place, held, legs) in moved {
            let parts = self.parts(place.2);
            let count = self.instructions_of(&parts);
            self.cycles[index as usize].push(place, held, count, legs.into_iter());
            for &part in parts.iter() {
                self.identities.set_standing(part, Standing::Member(index));
            }
        }
    }
}
