//! Who is party to each instruction whose status can still change.
//!
//! A scheme has few sets of parties and many instructions, so each set is kept once: a live
//! instruction costs its sequence, its day and the number of its set.

use crate::rows::Roles;
use settlement_core::directory::Directory;
use settlement_core::event::Order;
use settlement_core::ids::{Date, ParticipantId, Sequence};
use std::collections::BTreeMap;
use std::sync::Arc;

/// The parties of an instruction, each once, by participant.
pub(crate) type PartySet = Arc<[(ParticipantId, Roles)]>;

/// The parties of every live instruction.
#[derive(Default)]
pub(crate) struct LiveParties {
    sets: Vec<PartySet>,
    numbers: BTreeMap<PartySet, u32>,
    live: BTreeMap<Sequence, (u32, Date)>,
}

impl LiveParties {
    /// Remembers the parties and the day of an instruction until [`Self::forget`].
    pub(crate) fn remember(
        &mut self,
        instruction: Sequence,
        day: Date,
        parties: &[(ParticipantId, Roles)],
    ) -> &[(ParticipantId, Roles)] {
        let number = match self.numbers.get(parties) {
            Some(&number) => number,
            None => self.intern(parties.into()),
        };
        self.live.insert(instruction, (number, day));
        &self.sets[number as usize]
    }

    fn intern(&mut self, set: PartySet) -> u32 {
        let number = u32::try_from(self.sets.len()).expect("fewer sets than pairs of participants");
        self.sets.push(Arc::clone(&set));
        self.numbers.insert(set, number);
        number
    }

    /// The parties of a live instruction; nobody for another.
    pub(crate) fn of(&self, instruction: Sequence) -> &[(ParticipantId, Roles)] {
        self.live
            .get(&instruction)
            .map_or(&[], |&(number, _)| &self.sets[number as usize])
    }

    /// The day of a live instruction.
    pub(crate) fn day_of(&self, instruction: Sequence) -> Date {
        let (_, day) = self.live[&instruction];
        day
    }

    /// Its status will not change again.
    pub(crate) fn forget(&mut self, instruction: Sequence) {
        self.live.remove(&instruction);
    }
}

/// The parties of an accepted instruction: who sent it, who is debited or credited by a leg, and who may
/// approve it.
pub(crate) fn parties_of(
    order: &Order,
    directory: &Directory,
    parties: &mut Vec<(ParticipantId, Roles)>,
) {
    parties.clear();
    add(parties, order.instructing, Roles::INSTRUCTING);
    for leg in order.legs.iter() {
        add(
            parties,
            directory.account(leg.debtor).participant,
            Roles::DEBTOR,
        );
        add(
            parties,
            directory.account(leg.creditor).participant,
            Roles::CREDITOR,
        );
    }
    let conditions = order.conditions.iter();
    let approvals = conditions.filter_map(|conditions| conditions.approvals.as_ref());
    let approvers = approvals.flat_map(|approvals| &approvals.of);
    for approver in approvers.filter_map(|&bic| directory.participant_id(bic)) {
        add(parties, approver, Roles::APPROVER);
    }
    parties.sort_unstable();
}

fn add(parties: &mut Vec<(ParticipantId, Roles)>, who: ParticipantId, role: Roles) {
    match parties.iter_mut().find(|(party, _)| *party == who) {
        Some((_, roles)) => *roles = roles.and(role),
        None => parties.push((who, role)),
    }
}
