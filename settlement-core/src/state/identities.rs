//! Every instruction that has not left for the files of old identities, by its identity: so that nothing
//! is paid twice.
//!
//! | part    | bytes per instruction | what                                                   | a frozen view     |
//! |---------|-----------------------|--------------------------------------------------------|-------------------|
//! | entries | 40                    | in chunks, written once: identity, digest, sequence     | shares leaves     |
//! | fields  | 8                     | in chunks: sender, kind, standing                       | shares leaves     |
//! | index   | 5 to 10               | open addressing, in shards: a tag and an entry's number | shares all slots |
//! | trades  | 8 for a trade's side  | the two sides and the standing that they share         | shares leaves     |
//!
//! The index is split into shards by the hash's upper bits: each grows on its own, so no insert waits
//! for more than one shard to be laid out again. The tag spares a look at most entries of other
//! identities.
//!
//! Old entries leave at the front (`leave`), but for those that are still needed. Their slots stay until
//! their shard is laid out again: a slot's number is one modulo [`NUMBERS`], and an entry that is kept for
//! so long that its number comes around is found in `far` instead.
//!
//! Slots are never emptied, so a view reads the very slots that the writer goes on filling, and passes
//! over numbers of entries that it does not have. A shard that grows leaves the old slots to the views;
//! a view that is written to copies a shard first.

pub(super) mod leave;
mod pieces;

use super::window::Window;
use crate::chunks::Chunks;
use crate::ids::{Bic, Sequence, Uetr};
use crate::instruction::{Digest, Identity, Kind};
use crate::rejection::Rejection;
use crate::shared::Freeze;
use crate::sorted::Sorted;
use crate::table::{Table, mix};
use minicbor::{Decode, Encode};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

const SHARD_BITS: u32 = 10;
const SHARD_SLOTS_MIN: usize = 8;
/// A shard is laid out again beyond this load, then to less than this: it doubles if nothing has left.
const LOAD_PERCENT_MAX: usize = 80;
const LOAD_PERCENT_LAID: usize = 79;
/// Large, since no entry is written twice: its leaves are never copied, and few enough to be at hand.
const LEAF_ENTRIES: usize = 1024;
/// 1 KiB to a leaf.
const LEAF_FIELDS: usize = 128;
/// An index slot is a tag in the upper bits and an entry's number, modulo [`NUMBERS`], in these.
const NUMBER_BITS: u32 = 28;
const NUMBER_MASK: u32 = (1 << NUMBER_BITS) - 1;
/// At most so many entries that have not left: 268 million. Tests come around sooner.
const NUMBERS: u32 = if cfg!(test) { 20_011 } else { NUMBER_MASK };
const FREE: u32 = u32::MAX;

/// An entry's number, in the order of sequences.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Encode, Decode)]
#[cbor(transparent)]
pub(crate) struct EntryId(#[n(0)] pub(crate) u32);

/// Where an instruction, or both sides of a matched trade, stand.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Standing {
    /// In the batch of this number.
    Settled(u32),
    Queued,
    Unmatched,
    /// Waits for a condition.
    Pending,
    /// Of the cycle with this index.
    Member(u32),
    Rejected(Rejection),
    Cancelled,
}

/// What never changes: 40 bytes.
#[derive(Clone, Copy)]
struct Entry {
    uetr: [u64; 2],
    digest: [u64; 2],
    sequence: u64,
}

impl Entry {
    #[inline]
    fn new(sequence: Sequence, uetr: Uetr, digest: Digest) -> Self {
        Self {
            uetr: split(uetr.0),
            digest: split(u128::from_be_bytes(digest.0)),
            sequence: sequence.0,
        }
    }

    #[inline]
    fn uetr(&self) -> Uetr {
        Uetr(joined(self.uetr))
    }

    fn digest(&self) -> Digest {
        Digest(joined(self.digest).to_be_bytes())
    }
}

/// Upper and lower half: a `u128` would make an entry 48 bytes.
#[inline]
fn split(wide: u128) -> [u64; 2] {
    [(wide >> 64) as u64, wide as u64]
}

#[inline]
fn joined([upper, lower]: [u64; 2]) -> u128 {
    u128::from(upper) << 64 | u128::from(lower)
}

/// Sender (20 bits), kind (3), state (3), matched (1), held (1); and the state's detail.
#[derive(Clone, Copy, Encode, Decode)]
struct Fields {
    #[n(0)]
    packed: u32,
    #[n(1)]
    detail: u32,
}

impl Fields {
    /// The number of the trade that it is a matched side of.
    #[inline]
    fn trade(self) -> Option<u32> {
        (self.packed & MATCHED != 0).then_some(self.detail)
    }
}

const SENDER_BITS: u32 = 20;
const SENDER_MASK: u32 = (1 << SENDER_BITS) - 1;
const KIND_SHIFT: u32 = SENDER_BITS;
const STATE_SHIFT: u32 = KIND_SHIFT + 3;
const STATE_MASK: u32 = 0b111 << STATE_SHIFT;
/// Bit n: state n may still change, as `write` numbers them.
const WAITING: u32 = 0b100_1110;
const MATCHED: u32 = 1 << (STATE_SHIFT + 3);
const HELD: u32 = MATCHED << 1;
/// Another table names the entry by its number, so it does not leave.
const NAMED: u32 = HELD << 1;

#[derive(Clone, Copy, Encode, Decode)]
struct Trade {
    #[n(0)]
    first: EntryId,
    #[n(1)]
    second: EntryId,
    /// Only state and held are used.
    #[n(2)]
    fields: Fields,
}

#[derive(Clone)]
pub(crate) struct Identities {
    entries: Window<Entry, LEAF_ENTRIES>,
    fields: Window<Fields, LEAF_FIELDS>,
    shards: Vec<Shard>,
    /// Entries that are kept, and whose numbers are about to come around.
    far: Sorted<(Uetr, EntryId)>,
    trades: Window<Trade>,
    senders: Chunks<Bic>,
    sender_numbers: Table,
    /// Few different ones occur, so an entry holds a number.
    rejections: Chunks<Rejection>,
    rejection_numbers: Sorted<Rejection, u32>,
}

#[derive(Default)]
struct Shard {
    slots: Arc<[AtomicU32]>,
    used: usize,
    /// Nobody else writes to the slots.
    writes: bool,
}

/// The clone shares the slots, and does not write to them.
impl Clone for Shard {
    fn clone(&self) -> Self {
        Self {
            slots: Arc::clone(&self.slots),
            used: self.used,
            writes: false,
        }
    }
}

fn hash_of(uetr: Uetr) -> u64 {
    mix((uetr.0 >> 64) as u64 ^ mix(uetr.0 as u64))
}

fn shard_of(hash: u64) -> usize {
    (hash >> (64 - SHARD_BITS)) as usize
}

/// The bits below the shard's, above those that choose the slot.
fn tag_of(hash: u64) -> u32 {
    ((hash >> (64 - SHARD_BITS - (32 - NUMBER_BITS))) as u32) << NUMBER_BITS
}

fn kind_bits(kind: Kind) -> u32 {
    match kind {
        Kind::Payment => 1,
        Kind::Cover => 2,
        Kind::Return => 3,
        Kind::TradeSide => 4,
    }
}

impl Identities {
    pub(crate) fn new() -> Self {
        Self {
            entries: Window::default(),
            fields: Window::default(),
            shards: vec![Shard::default(); 1 << SHARD_BITS],
            far: Sorted::default(),
            trades: Window::default(),
            senders: Chunks::default(),
            sender_numbers: Table::default(),
            rejections: Chunks::default(),
            rejection_numbers: Sorted::default(),
        }
    }

    /// The number that the next entry gets.
    pub(crate) fn next(&self) -> EntryId {
        EntryId(self.entries.len())
    }

    pub(crate) fn last(&self) -> Option<EntryId> {
        self.next().0.checked_sub(1).map(EntryId)
    }

    /// How many there ever were.
    pub(crate) fn len(&self) -> usize {
        self.entries.len() as usize
    }

    #[inline]
    fn entry(&self, id: EntryId) -> &Entry {
        self.entries.at(id.0)
    }

    #[inline]
    fn own_fields(&self, id: EntryId) -> Fields {
        *self.fields.at(id.0)
    }

    /// The entry of an identity.
    #[inline]
    pub(crate) fn find(&self, identity: &Identity) -> Option<EntryId> {
        let sender = self.sender_numbers.get(identity.instructing.packed())?;
        let wanted = sender | kind_bits(identity.kind) << KIND_SHIFT;
        let mask = SENDER_MASK | 0b111 << KIND_SHIFT;
        self.probe(identity.uetr)
            .find(|&id| self.own_fields(id).packed & mask == wanted)
    }

    /// Reads where these UETRs would lie, all at once: each is a wait for memory, and waits that do not
    /// depend on each other overlap. Changes nothing.
    pub(crate) fn warm(&self, uetrs: impl Iterator<Item = Uetr>) {
        let slot = |uetr| {
            let hash = hash_of(uetr);
            let slots = &self.shards[shard_of(hash)].slots;
            let mask = slots.len().wrapping_sub(1);
            let slot = slots.get(hash as usize & mask);
            slot.map_or(0, |slot| slot.load(Ordering::Relaxed))
        };
        std::hint::black_box(uetrs.map(slot).fold(0, u32::wrapping_add));
    }

    /// The entries of a UETR, in no particular order.
    pub(crate) fn probe(&self, uetr: Uetr) -> impl Iterator<Item = EntryId> {
        let hash = hash_of(uetr);
        let (slots, tag) = (&self.shards[shard_of(hash)].slots, tag_of(hash));
        let mask = slots.len().wrapping_sub(1);
        let wanted = split(uetr.0);
        let mut slot = hash as usize;
        let ids = std::iter::from_fn(move || {
            loop {
                let held = slots.get(slot & mask)?.load(Ordering::Relaxed);
                slot = slot.wrapping_add(1);
                if held == FREE {
                    return None;
                }
                if held & !NUMBER_MASK == tag {
                    return Some(held & NUMBER_MASK);
                }
            }
        });
        // What the writer indexed after this view was taken is no entry here, nor is what has left.
        ids.filter_map(move |held| {
            let id = self.newest_of(held)?;
            Some((id, self.entries.get(id.0)?))
        })
        .filter(move |(_, entry)| entry.uetr == wanted)
        .map(|(id, _)| id)
        .chain(self.far_of(uetr))
    }

    /// The last entry that a slot's number may stand for.
    #[inline]
    fn newest_of(&self, held: u32) -> Option<EntryId> {
        let last = self.entries.len().checked_sub(1)?;
        let back = (last % NUMBERS + NUMBERS - held) % NUMBERS;
        last.checked_sub(back).map(EntryId)
    }

    /// Remembers an instruction that is not there yet; sequences ascend.
    pub(crate) fn insert(
        &mut self,
        sequence: Sequence,
        identity: &Identity,
        digest: Digest,
        standing: Standing,
    ) -> EntryId {
        let number = self.entries.len();
        assert!(
            number - self.entries.first() < NUMBERS && number < u32::MAX,
            "more instructions than the index numbers"
        );
        let sender = self.sender_number(identity.instructing);
        let kind = kind_bits(identity.kind) << KIND_SHIFT;
        let mut fields = Fields {
            packed: sender | kind,
            detail: 0,
        };
        self.write(&mut fields, standing);
        self.entries
            .push(Entry::new(sequence, identity.uetr, digest));
        self.fields.push(fields);
        self.index(EntryId(number), hash_of(identity.uetr));
        EntryId(number)
    }

    #[inline]
    fn index(&mut self, id: EntryId, hash: u64) {
        let shard = shard_of(hash);
        let Shard {
            slots,
            used,
            writes,
        } = &self.shards[shard];
        if !writes || (used + 1) * 100 > slots.len() * LOAD_PERCENT_MAX {
            self.lay_out(shard, id);
        }
        let shard = &mut self.shards[shard];
        shard.place(tag_of(hash) | (id.0 % NUMBERS), hash);
    }

    /// Lays a shard's entries before `next` out in slots of its own, as many as they need now.
    fn lay_out(&mut self, shard: usize, next: EntryId) {
        let held = self.shards[shard].slots.iter();
        let held = held.map(|held| held.load(Ordering::Relaxed));
        let held = held.filter(|&held| held != FREE);
        let ids = held.filter_map(|held| self.newest_of(held & NUMBER_MASK));
        let mut ids: Vec<EntryId> = ids
            .filter(|&id| id < next && self.entries.get(id.0).is_some())
            .collect();
        // The slot of one that has left may stand for a later one.
        ids.sort_unstable();
        ids.dedup();
        let count = ((ids.len() + 1) * 100).div_ceil(LOAD_PERCENT_LAID);
        let count = count.next_power_of_two().max(SHARD_SLOTS_MIN);
        let mut laid = Shard {
            slots: (0..count).map(|_| AtomicU32::new(FREE)).collect(),
            used: 0,
            writes: true,
        };
        // Each is a wait for memory: all are asked for before the first is placed.
        let hashes: Vec<u64> = ids
            .iter()
            .map(|&id| hash_of(self.entry(id).uetr()))
            .collect();
        for (id, hash) in ids.into_iter().zip(hashes) {
            // A view may have entries of its own by numbers that the writer gave to others: those
            // lie in shards that were laid out before.
            if shard_of(hash) == shard {
                laid.place(tag_of(hash) | (id.0 % NUMBERS), hash);
            }
        }
        self.shards[shard] = laid;
    }

    fn sender_number(&mut self, bic: Bic) -> u32 {
        if let Some(number) = self.sender_numbers.get(bic.packed()) {
            return number;
        }
        let number = self.sender_numbers.insert(bic.packed());
        assert!(number <= SENDER_MASK, "more senders than an entry numbers");
        self.senders.push(bic);
        number
    }

    fn write(&mut self, fields: &mut Fields, standing: Standing) {
        let (state, detail) = match standing {
            Standing::Settled(batch) => (0, batch),
            Standing::Queued => (1, 0),
            Standing::Unmatched => (2, 0),
            Standing::Member(cycle) => (3, cycle),
            Standing::Rejected(rejection) => (4, self.rejection_number(rejection)),
            Standing::Cancelled => (5, 0),
            Standing::Pending => (6, 0),
        };
        fields.packed = fields.packed & !STATE_MASK | state << STATE_SHIFT;
        fields.detail = detail;
    }

    fn read(&self, fields: Fields) -> Standing {
        match (fields.packed & STATE_MASK) >> STATE_SHIFT {
            0 => Standing::Settled(fields.detail),
            1 => Standing::Queued,
            2 => Standing::Unmatched,
            3 => Standing::Member(fields.detail),
            4 => Standing::Rejected(self.rejections[fields.detail as usize]),
            6 => Standing::Pending,
            _ => Standing::Cancelled,
        }
    }

    fn rejection_number(&mut self, rejection: Rejection) -> u32 {
        if let Some(&number) = self.rejection_numbers.get(&rejection) {
            return number;
        }
        let number = u32::try_from(self.rejections.len()).expect("few differ");
        self.rejections.push(rejection);
        self.rejection_numbers.insert(rejection, number);
        number
    }

    #[inline]
    fn trade(&self, id: EntryId) -> Option<u32> {
        self.own_fields(id).trade()
    }

    #[inline]
    fn fields(&self, id: EntryId) -> Fields {
        let fields = self.own_fields(id);
        match fields.trade() {
            Some(trade) => self.trades.at(trade).fields,
            None => fields,
        }
    }

    #[inline]
    fn fields_mut(&mut self, id: EntryId) -> &mut Fields {
        match self.trade(id) {
            Some(trade) => &mut self.trades.at_mut(trade).fields,
            None => self.fields.at_mut(id.0),
        }
    }

    /// Where it stands; a matched side as its trade does.
    #[inline]
    pub(crate) fn standing(&self, id: EntryId) -> Standing {
        self.read(self.fields(id))
    }

    /// Of a matched side: for its whole trade.
    #[inline]
    pub(crate) fn set_standing(&mut self, id: EntryId, standing: Standing) {
        let mut fields = self.fields(id);
        self.write(&mut fields, standing);
        *self.fields_mut(id) = fields;
    }

    pub(crate) fn is_held(&self, id: EntryId) -> bool {
        self.fields(id).packed & HELD != 0
    }

    pub(crate) fn set_held(&mut self, id: EntryId, held: bool) {
        let fields = self.fields_mut(id);
        fields.packed = fields.packed & !HELD | if held { HELD } else { 0 };
    }

    /// Joins two sides into one unit, which stands as given.
    pub(crate) fn pair(&mut self, first: EntryId, second: EntryId, standing: Standing) {
        let detail = self.trades.len();
        let mut fields = Fields {
            packed: 0,
            detail: 0,
        };
        self.write(&mut fields, standing);
        self.trades.push(Trade {
            first,
            second,
            fields,
        });
        for id in [first, second] {
            let fields = self.fields.at_mut(id.0);
            fields.packed |= MATCHED;
            fields.detail = detail;
        }
    }

    /// The other side of its trade.
    pub(crate) fn partner(&self, id: EntryId) -> Option<EntryId> {
        let Trade { first, second, .. } = *self.trades.at(self.trade(id)?);
        Some(if first == id { second } else { first })
    }

    /// What names its trade, which is its second side; of any other instruction, itself.
    pub(crate) fn trade_of(&self, id: EntryId) -> EntryId {
        self.trade(id)
            .map_or(id, |trade| self.trades.at(trade).second)
    }

    /// How many instructions the unit is: two for a matched trade.
    pub(crate) fn instruction_count(&self, id: EntryId) -> u64 {
        1 + u64::from(self.trade(id).is_some())
    }

    pub(crate) fn sequence(&self, id: EntryId) -> Sequence {
        Sequence(self.entry(id).sequence)
    }

    pub(crate) fn digest(&self, id: EntryId) -> Digest {
        self.entry(id).digest()
    }

    pub(crate) fn identity(&self, id: EntryId) -> Identity {
        let packed = self.own_fields(id).packed;
        let kind = match (packed >> KIND_SHIFT) & 0b111 {
            1 => Kind::Payment,
            2 => Kind::Cover,
            3 => Kind::Return,
            _ => Kind::TradeSide,
        };
        Identity {
            uetr: self.entry(id).uetr(),
            instructing: self.senders[(packed & SENDER_MASK) as usize],
            kind,
        }
    }

    /// The entry of an instruction's sequence.
    pub(crate) fn by_sequence(&self, sequence: Sequence) -> Option<EntryId> {
        let id = self.number_from(sequence);
        let entry = self.entries.get(id.0);
        if entry.is_some_and(|entry| entry.sequence == sequence.0) {
            return Some(id);
        }
        self.kept_by_sequence(sequence)
    }

    /// The first entry that has not left whose sequence is this or a later one; the next one's number if
    /// there is none. An input takes at most one entry, so entries lie no further apart than their
    /// sequences: that bounds the search, mostly to a few entries.
    pub(super) fn number_from(&self, sequence: Sequence) -> EntryId {
        let (start, end) = (self.entries.first(), self.entries.len());
        if start == end {
            return EntryId(end);
        }
        let of = |number: u32| self.entries.at(number).sequence;
        let apart = |from: u64, to: u64| u32::try_from(to.saturating_sub(from)).unwrap_or(u32::MAX);
        let back = apart(sequence.0, of(end - 1));
        let mut low = (end - 1).saturating_sub(back).max(start);
        let mut high = end.min(
            start
                .saturating_add(apart(of(start), sequence.0))
                .saturating_add(1),
        );
        while low < high {
            let middle = low + (high - low) / 2;
            if of(middle) < sequence.0 {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        EntryId(low)
    }

    /// All entries that are there, in the order of sequences.
    pub(crate) fn ids(&self) -> impl Iterator<Item = EntryId> {
        self.entries.numbers().map(EntryId)
    }
}

impl Shard {
    #[inline]
    fn place(&mut self, held: u32, hash: u64) {
        self.used += 1;
        let mask = self.slots.len() - 1;
        let mut slot = hash as usize & mask;
        while self.slots[slot].load(Ordering::Relaxed) != FREE {
            slot = (slot + 1) & mask;
        }
        self.slots[slot].store(held, Ordering::Relaxed);
    }
}

impl Freeze for Identities {
    fn freeze(&mut self) {
        let Self {
            entries,
            fields,
            shards: _,
            far,
            trades,
            senders,
            sender_numbers: _,
            rejections,
            rejection_numbers,
        } = self;
        entries.freeze();
        fields.freeze();
        far.freeze();
        trades.freeze();
        senders.freeze();
        rejections.freeze();
        rejection_numbers.freeze();
    }
}
