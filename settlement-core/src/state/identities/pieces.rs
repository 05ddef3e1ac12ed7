//! Identities in a snapshot: one piece for what entries refer to, then the entries, and the index anew.

use super::{Entry, EntryId, Fields, Identities, Trade, Window, hash_of};
use crate::chunks::Chunks;
use crate::ids::Bic;
use crate::rejection::Rejection;
use crate::state::snapshot::{Pieces, SnapshotError, Source};

/// Bytes of one entry with its fields in a snapshot.
const KEPT_BYTES: usize = 48;
/// Entries in one piece of a snapshot: 768 KiB.
const KEPT_ENTRIES: usize = 1 << 14;

/// What a snapshot holds of all identities, before their entries: the first number of those that have
/// not left, the numbers of what is kept before, how many entries follow; and what they refer to.
type Kept = (
    (u32, Vec<u32>, u64),
    Window<Trade>,
    Chunks<Bic>,
    Chunks<Rejection>,
);

impl Identities {
    /// One piece for what entries refer to, then the entries, [`KEPT_ENTRIES`] to a piece.
    pub(in crate::state) fn write_pieces<E>(&self, pieces: &mut Pieces<'_, E>) -> Result<(), E> {
        let Self {
            entries,
            fields,
            shards: _,
            far: _,
            trades,
            senders,
            sender_numbers: _,
            rejections,
            rejection_numbers: _,
        } = self;
        let kept: Vec<u32> = entries.kept().iter().map(|(&number, _)| number).collect();
        let count = kept.len() + (entries.len() - entries.first()) as usize;
        let lies = (entries.first(), kept, count as u64);
        pieces.put((lies, trades, senders, rejections))?;
        let mut bytes = Vec::with_capacity(KEPT_ENTRIES.min(count) * KEPT_BYTES);
        for (at, number) in (1..).zip(entries.numbers()) {
            let (entry, fields) = (entries.at(number), fields.at(number));
            let [upper, lower] = entry.uetr;
            let [digest_upper, digest_lower] = entry.digest;
            for word in [upper, lower, digest_upper, digest_lower, entry.sequence] {
                bytes.extend(word.to_le_bytes());
            }
            bytes.extend(fields.packed.to_le_bytes());
            bytes.extend(fields.detail.to_le_bytes());
            if at % KEPT_ENTRIES == 0 || at == count {
                pieces.put_bytes(&bytes)?;
                bytes.clear();
            }
        }
        Ok(())
    }

    pub(in crate::state) fn read_pieces<E>(
        source: &mut Source<'_, E>,
    ) -> Result<Self, SnapshotError<E>> {
        let ((first, kept, count), trades, senders, rejections): Kept = source.take()?;
        let mut identities = Self {
            entries: Window::starting_at(first),
            fields: Window::starting_at(first),
            trades,
            rejections,
            ..Self::new()
        };
        for &bic in senders.iter() {
            identities.sender_number(bic);
        }
        for (number, &rejection) in (0..).zip(identities.rejections.iter()) {
            identities.rejection_numbers.insert(rejection, number);
        }
        let mut kept = kept.into_iter();
        let mut left = count;
        while left > 0 {
            let piece = source.take_bytes()?;
            let entries = (piece.len() / KEPT_BYTES) as u64;
            if piece.is_empty() || piece.len() % KEPT_BYTES != 0 || entries > left {
                return Err(source.malformed("a piece of entries has whole entries"));
            }
            left -= entries;
            for bytes in piece.chunks_exact(KEPT_BYTES) {
                identities.keep(bytes, kept.next());
            }
        }
        identities.find_far();
        Ok(identities)
    }

    /// One entry as [`Identities::write_pieces`] wrote it, and its number if it is kept from before.
    fn keep(&mut self, bytes: &[u8], number: Option<u32>) {
        let word = |at: usize| {
            let word = bytes[at * 8..at * 8 + 8].try_into();
            u64::from_le_bytes(word.expect("eight bytes"))
        };
        let entry = Entry {
            uetr: [word(0), word(1)],
            digest: [word(2), word(3)],
            sequence: word(4),
        };
        let [packed, detail] = [word(5) as u32, (word(5) >> 32) as u32];
        let fields = Fields { packed, detail };
        let id = number.map_or(self.next(), EntryId);
        if number.is_some() {
            self.entries.put_back(id.0, entry);
            self.fields.put_back(id.0, fields);
        } else {
            self.entries.push(entry);
            self.fields.push(fields);
        }
        self.index(id, hash_of(entry.uetr()));
    }
}
