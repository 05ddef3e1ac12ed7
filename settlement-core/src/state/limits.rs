//! Limits on what accounts may pay, and what they pay each counterparty per value date.

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

/// What accounts pay counterparties, net of what comes back, by value date:
///
/// | sum     | counted when                                                      | read by               |
/// |---------|-------------------------------------------------------------------|-----------------------|
/// | counted | accepted; given back when rejected or cancelled                   | acceptance            |
/// | settled | settled                                                           | entry, release, runs  |
///
/// Both are needed: what was accepted may count money back that never comes.
#[derive(Clone, Default)]
pub(crate) struct Usage {
    dates: BTreeMap<Date, Paid>,
}

#[derive(Clone, Default)]
struct Paid {
    cells: Table,
    sums: Chunks<PaidSums, 64>,
}

/// Minor units.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct PaidSums {
    pub(crate) counted: i128,
    pub(crate) settled: i128,
}

fn cell(account: AccountId, counterparty: ParticipantId) -> u64 {
    u64::from(account.0) << 16 | u64::from(counterparty.0)
}

impl Usage {
    pub(crate) fn get(
        &self,
        date: Date,
        account: AccountId,
        counterparty: ParticipantId,
    ) -> PaidSums {
        let sums = || {
            let paid = self.dates.get(&date)?;
            let at = paid.cells.get(cell(account, counterparty))?;
            Some(paid.sums[at as usize])
        };
        sums().unwrap_or_default()
    }

    /// To be added to.
    #[inline]
    pub(crate) fn get_mut(
        &mut self,
        date: Date,
        account: AccountId,
        counterparty: ParticipantId,
    ) -> &mut PaidSums {
        let Paid { cells, sums } = self.dates.entry(date).or_default();
        let key = cell(account, counterparty);
        let at = cells.get(key).map_or(sums.len(), |at| at as usize);
        if at == sums.len() {
            cells.insert(key);
            sums.push(PaidSums::default());
        }
        &mut sums[at]
    }

    /// Forgets dates of which nothing can be accepted or settle any more: what is given back to them
    /// later does no harm.
    pub(crate) fn forget_before(&mut self, date: Date) {
        self.dates = self.dates.split_off(&date);
    }

    /// All that is not zero, by date and cell.
    pub(crate) fn iter(&self) -> impl Iterator<Item = ((Date, u64), PaidSums)> {
        self.dates.iter().flat_map(|(&date, paid)| {
            let cells = paid.cells.sorted().into_iter();
            let sums = cells.map(move |(cell, at)| ((date, cell), paid.sums[at as usize]));
            sums.filter(|(_, sums)| *sums != PaidSums::default())
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
        self.iter().try_for_each(|((date, cell), sums)| {
            let PaidSums { counted, settled } = sums;
            (date, cell, i128Cbor(counted), i128Cbor(settled)).encode(e, ctx)
        })
    }
}

impl<'b, C> Decode<'b, C> for Usage {
    fn decode(d: &mut Decoder<'b>, ctx: &mut C) -> Result<Self, minicbor::decode::Error> {
        let mut usage = Self::default();
        for line in d.array_iter_with(ctx)? {
            let (date, cell, i128Cbor(counted), i128Cbor(settled)): (Date, u64, _, _) = line?;
            let Paid { cells, sums } = usage.dates.entry(date).or_default();
            cells.insert(cell);
            sums.push(PaidSums { counted, settled });
        }
        Ok(usage)
    }
}
