//! Limits on what accounts may pay, and what they have paid each counterparty per value date.

use crate::chunks::Chunks;
use crate::event::i128Cbor;
use crate::ids::{AccountId, Date, ParticipantId};
use crate::instruction::Priority;
use crate::shared::Freeze;
use crate::sorted::Sorted;
use crate::table::Table;
use minicbor::{Decode, Decoder, Encode, Encoder};
use std::collections::BTreeMap;

/// Limits in minor units.
#[derive(Clone, Default, Encode, Decode)]
pub(crate) struct Limits {
    /// By account: the most that one instruction may debit.
    #[n(0)]
    instruction: Chunks<Option<i64>>,
    /// The most that an account may have paid a counterparty, net, on one value date.
    #[n(1)]
    bilateral: Sorted<(AccountId, ParticipantId), i64>,
    /// What is kept for a priority and above; none is 0.
    #[n(2)]
    reserved: Sorted<(AccountId, Priority), i64>,
}

impl Limits {
    #[inline]
    pub(crate) fn instruction(&self, account: AccountId) -> Option<i64> {
        self.instruction.get(account.0 as usize).copied().flatten()
    }

    #[inline]
    pub(crate) fn has_bilateral(&self) -> bool {
        !self.bilateral.is_empty()
    }

    pub(crate) fn bilateral(&self, account: AccountId, counterparty: ParticipantId) -> Option<i64> {
        self.bilateral.get(&(account, counterparty)).copied()
    }

    pub(crate) fn set_instruction(&mut self, account: AccountId, amount: Option<i64>) {
        let index = account.0 as usize;
        self.instruction.grow(index + 1, None);
        self.instruction[index] = amount;
    }

    pub(crate) fn set_bilateral(
        &mut self,
        account: AccountId,
        counterparty: ParticipantId,
        amount: Option<i64>,
    ) {
        match amount {
            Some(amount) => self.bilateral.insert((account, counterparty), amount),
            None => self.bilateral.remove(&(account, counterparty)),
        };
    }

    pub(crate) fn set_reservation(&mut self, account: AccountId, priority: Priority, amount: i64) {
        match amount {
            0 => self.reserved.remove(&(account, priority)),
            amount => self.reserved.insert((account, priority), amount),
        };
    }

    pub(crate) fn reservation(&self, account: AccountId, priority: Priority) -> i64 {
        self.reserved
            .get(&(account, priority))
            .copied()
            .unwrap_or(0)
    }

    #[inline]
    pub(crate) fn has_reservations(&self) -> bool {
        !self.reserved.is_empty()
    }

    /// What gross instructions of a priority must leave on an account: all that is kept for those above.
    #[inline]
    pub(crate) fn floor(&self, account: AccountId, priority: Priority) -> i64 {
        if self.reserved.is_empty() {
            return 0;
        }
        let kept = self.reserved.iter_from(|key| key.0 < account);
        let above = kept.take_while(|(key, _)| **key < (account, priority));
        above
            .map(|(_, &amount)| amount)
            .fold(0, i64::saturating_add)
    }

    /// Reservations, by account, then priority.
    pub(crate) fn reservations(&self) -> impl Iterator<Item = ((AccountId, Priority), i64)> {
        self.reserved.iter().map(|(&key, &amount)| (key, amount))
    }

    /// Limits per instruction, by account.
    pub(crate) fn instructions(&self) -> impl Iterator<Item = (AccountId, i64)> {
        let numbered = (0..).zip(self.instruction.iter());
        numbered.filter_map(|(account, amount)| Some((AccountId(account), (*amount)?)))
    }

    /// Bilateral caps, by account, then counterparty.
    pub(crate) fn bilaterals(&self) -> impl Iterator<Item = ((AccountId, ParticipantId), i64)> {
        self.bilateral.iter().map(|(&key, &amount)| (key, amount))
    }
}

impl Freeze for Limits {
    fn freeze(&mut self) {
        let Self {
            instruction,
            bilateral,
            reserved,
        } = self;
        instruction.freeze();
        bilateral.freeze();
        reserved.freeze();
    }
}

/// What accounts have paid counterparties, net of what came back: counted when an instruction is
/// accepted, and given back when it is rejected or cancelled.
#[derive(Clone, Default)]
pub(crate) struct Usage {
    dates: BTreeMap<Date, Paid>,
}

#[derive(Clone, Default)]
struct Paid {
    cells: Table,
    sums: Chunks<i128, 64>,
}

fn cell(account: AccountId, counterparty: ParticipantId) -> u64 {
    u64::from(account.0) << 16 | u64::from(counterparty.0)
}

impl Usage {
    /// Minor units.
    pub(crate) fn get(&self, date: Date, account: AccountId, counterparty: ParticipantId) -> i128 {
        let sum = || {
            let paid = self.dates.get(&date)?;
            let at = paid.cells.get(cell(account, counterparty))?;
            Some(paid.sums[at as usize])
        };
        sum().unwrap_or(0)
    }

    /// Adds to what an account has paid. Dates before `today` are forgotten: no instruction of theirs
    /// can be accepted any more, so what is given back to them does no harm.
    #[inline]
    pub(crate) fn add(
        &mut self,
        date: Date,
        today: Date,
        account: AccountId,
        counterparty: ParticipantId,
        amount: i128,
    ) {
        if self
            .dates
            .first_key_value()
            .is_some_and(|(&first, _)| first < today)
        {
            self.dates = self.dates.split_off(&today);
        }
        let Paid { cells, sums } = self.dates.entry(date).or_default();
        let key = cell(account, counterparty);
        match cells.get(key) {
            Some(at) => sums[at as usize] += amount,
            None => {
                cells.insert(key);
                sums.push(amount);
            }
        }
    }

    /// All that is not zero, by date and cell.
    pub(crate) fn iter(&self) -> impl Iterator<Item = ((Date, u64), i128)> {
        self.dates.iter().flat_map(|(&date, paid)| {
            let cells = paid.cells.sorted().into_iter();
            let sums = cells.map(move |(cell, at)| ((date, cell), paid.sums[at as usize]));
            sums.filter(|(_, paid)| *paid != 0)
        })
    }
}

impl Freeze for Usage {
    fn freeze(&mut self) {
        let Self { dates } = self;
        for Paid { cells: _, sums } in dates.values_mut() {
            sums.freeze();
        }
    }
}

impl<C> Encode<C> for Usage {
    fn encode<W: minicbor::encode::Write>(
        &self,
        e: &mut Encoder<W>,
        ctx: &mut C,
    ) -> Result<(), minicbor::encode::Error<W::Error>> {
        e.array(self.iter().count() as u64)?;
        self.iter()
            .try_for_each(|((date, cell), paid)| (date, cell, i128Cbor(paid)).encode(e, ctx))
    }
}

impl<'b, C> Decode<'b, C> for Usage {
    fn decode(d: &mut Decoder<'b>, ctx: &mut C) -> Result<Self, minicbor::decode::Error> {
        let mut usage = Self::default();
        for line in d.array_iter_with(ctx)? {
            let (date, cell, i128Cbor(paid)): (Date, u64, _) = line?;
            let Paid { cells, sums } = usage.dates.entry(date).or_default();
            cells.insert(cell);
            sums.push(paid);
        }
        Ok(usage)
    }
}
