//! The gross batch that is open, as postings gather in it.

use crate::chunks::Chunks;
use crate::event::{AccountAmount, Batch, MirrorAmount, i128Cbor};
use crate::ids::{AccountId, AssetId, BatchNumber};
use crate::shared::Freeze;
use minicbor::{Decode, Decoder, Encode, Encoder};

/// Changes by a dense number. What was touched is a list; a place per number says where in the list,
/// and needs no clearing: it counts only if the list names the number there.
#[derive(Default)]
struct Changes {
    touched: Chunks<(u32, i128), 64>,
    /// Empty while nothing is written: only then are they made from the list.
    places: Vec<u32>,
}

/// Views read the list alone: they neither share nor copy the places.
impl Clone for Changes {
    fn clone(&self) -> Self {
        Self {
            touched: self.touched.clone(),
            places: Vec::new(),
        }
    }
}

impl Changes {
    #[inline]
    fn add(&mut self, index: u32, amount: i128) {
        let at = index as usize;
        if at >= self.places.len() {
            self.make_places(at + 1);
        }
        let place = self.places[at] as usize;
        if self
            .touched
            .get(place)
            .is_some_and(|(held, _)| *held == index)
        {
            self.touched[place].1 += amount;
            return;
        }
        self.places[at] = u32::try_from(self.touched.len()).expect("fewer than numbers");
        self.touched.push((index, amount));
    }

    /// Makes places for so many numbers, and the list's at once if there are none yet.
    #[cold]
    fn make_places(&mut self, count: usize) {
        let unknown = self.places.is_empty();
        let listed = self.touched.iter().filter(|_| unknown);
        let count = listed
            .clone()
            .fold(count, |count, &(index, _)| count.max(index as usize + 1));
        self.places.resize(count, 0);
        for (place, &(index, _)) in (0..).zip(listed) {
            self.places[index as usize] = place;
        }
    }

    /// In the order of numbers.
    fn sorted(&self) -> Vec<(u32, i128)> {
        let mut changes: Vec<(u32, i128)> = self.touched.iter().copied().collect();
        changes.sort_unstable();
        changes
    }
}

impl Freeze for Changes {
    fn freeze(&mut self) {
        let Self { touched, places: _ } = self;
        touched.freeze();
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
        self.accounts.add(account.0, amount);
    }

    pub(crate) fn post_mirror(&mut self, asset: AssetId, amount: i128) {
        self.mirrors.add(u32::from(asset.0), amount);
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
        let number = self.number?;
        let (touched, mirrored) = (self.accounts.sorted(), self.mirrors.sorted());
        let touched = || {
            touched
                .iter()
                .map(|&(index, change)| (index as usize, change))
        };
        let mirrored = || {
            mirrored
                .iter()
                .map(|&(index, change)| (index as usize, change))
        };
        Some(Batch {
            number,
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
            bypassed: None,
        })
    }

    pub(crate) fn clear(&mut self) {
        self.number = None;
        self.member_count = 0;
        self.accounts.touched.clear();
        self.mirrors.touched.clear();
    }
}

impl Freeze for GrossBatch {
    fn freeze(&mut self) {
        let Self {
            number: _,
            member_count: _,
            accounts,
            mirrors,
        } = self;
        accounts.freeze();
        mirrors.freeze();
    }
}

impl<C> Encode<C> for GrossBatch {
    fn encode<W: minicbor::encode::Write>(
        &self,
        e: &mut Encoder<W>,
        ctx: &mut C,
    ) -> Result<(), minicbor::encode::Error<W::Error>> {
        let Self {
            number,
            member_count,
            accounts,
            mirrors,
        } = self;
        e.array(4)?.encode_with(number, ctx)?.u32(*member_count)?;
        for changes in [accounts, mirrors] {
            e.array(changes.touched.len() as u64)?;
            for &(index, amount) in changes.touched.iter() {
                (index, i128Cbor(amount)).encode(e, ctx)?;
            }
        }
        Ok(())
    }
}

impl<'b, C> Decode<'b, C> for GrossBatch {
    fn decode(d: &mut Decoder<'b>, ctx: &mut C) -> Result<Self, minicbor::decode::Error> {
        if d.array()? != Some(4) {
            return Err(minicbor::decode::Error::message(
                "a gross batch has 4 parts",
            ));
        }
        let mut batch = Self {
            number: d.decode_with(ctx)?,
            member_count: d.u32()?,
            ..Self::default()
        };
        for changes in [&mut batch.accounts, &mut batch.mirrors] {
            for change in d.array_iter_with(ctx)? {
                let (index, i128Cbor(amount)): (u32, _) = change?;
                changes.add(index, amount);
            }
        }
        Ok(batch)
    }
}
