//! The gross batch that is open, as postings gather in it.

use crate::event::{AccountAmount, Batch, MirrorAmount, i128Cbor};
use crate::ids::{AccountId, AssetId, BatchNumber};

/// Changes by a dense number; knows which it touched.
#[derive(Clone, Default)]
struct Changes {
    amounts: Vec<i128>,
    touched: Vec<bool>,
}

impl Changes {
    #[inline]
    fn add(&mut self, index: usize, amount: i128) {
        if index >= self.amounts.len() {
            self.amounts.resize(index + 1, 0);
            self.touched.resize(index + 1, false);
        }
        self.amounts[index] += amount;
        self.touched[index] = true;
    }

    fn iter(&self) -> impl Iterator<Item = (usize, i128)> {
        let pairs = self.amounts.iter().zip(&self.touched).enumerate();
        pairs.filter_map(|(index, (&amount, &touched))| touched.then_some((index, amount)))
    }

    fn clear(&mut self) {
        self.amounts.fill(0);
        self.touched.fill(false);
    }
}

/// Gathers the members of the gross batch between two ticks.
#[derive(Clone, Default)]
pub(crate) struct GrossBatch {
    /// Taken with its first member, so that a status never names a number that another batch gets.
    number: Option<BatchNumber>,
    member_count: u32,
    accounts: Changes,
    mirrors: Changes,
}

/// An account's change in a batch, or its balance, both of which fit.
pub(crate) fn account_amount(account: usize, amount: i128) -> AccountAmount {
    AccountAmount {
        account: AccountId(u32::try_from(account).expect("accounts are numbered with u32")),
        amount: i64::try_from(amount).expect("an asset's total bounds every account"),
    }
}

/// A mirror's change in a batch, or its balance.
pub(crate) fn mirror_amount(asset: usize, amount: i128) -> MirrorAmount {
    MirrorAmount {
        asset: AssetId(u16::try_from(asset).expect("assets are numbered with u16")),
        amount: i128Cbor(amount),
    }
}

impl GrossBatch {
    /// So many members more, in this batch if none is open; answers the open one's number.
    pub(crate) fn admit(&mut self, next: BatchNumber, members: usize) -> BatchNumber {
        self.member_count += u32::try_from(members).expect("a unit has few members");
        *self.number.get_or_insert(next)
    }

    #[inline]
    pub(crate) fn post(&mut self, account: AccountId, amount: i128) {
        self.accounts.add(account.0 as usize, amount);
    }

    pub(crate) fn post_mirror(&mut self, asset: AssetId, amount: i128) {
        self.mirrors.add(usize::from(asset.0), amount);
    }

    /// The batch as it would close now; `None` if it has no members. Balances are asked for by
    /// account and by asset.
    pub(crate) fn closed(
        &self,
        balance: impl Fn(usize) -> i128,
        mirror: impl Fn(usize) -> i128,
        certificate_hash: Option<[u8; 32]>,
        seed: [u8; 32],
    ) -> Option<Batch> {
        let touched = || self.accounts.iter();
        let mirrored = || self.mirrors.iter();
        Some(Batch {
            number: self.number?,
            cycle: None,
            member_count: self.member_count,
            postings: touched()
                .map(|(index, change)| account_amount(index, change))
                .collect(),
            mirror_postings: mirrored()
                .map(|(index, change)| mirror_amount(index, change))
                .collect(),
            balances: touched()
                .map(|(index, _)| account_amount(index, balance(index)))
                .collect(),
            mirror_balances: mirrored()
                .map(|(index, _)| mirror_amount(index, mirror(index)))
                .collect(),
            certificate_hash,
            seed,
        })
    }

    pub(crate) fn clear(&mut self) {
        self.number = None;
        self.member_count = 0;
        self.accounts.clear();
        self.mirrors.clear();
    }
}
