//! The whole state as bytes, and back: what a start loads instead of replaying from the beginning.
//!
//! A snapshot is a list of pieces of CBOR in one fixed order, at most a few MiB each but for the largest
//! tables, so that neither side holds all of it twice. Whoever keeps it adds checksums, and the place in
//! the journal that it is of. Every field is named on both sides: a new one does not compile until it is
//! kept or said to be worked out.
//!
//! The form is that of one program version ([`SNAPSHOT_VERSION`]): another version's snapshot is not
//! read but replaced by a replay. So it may change with any field, and the number must change with it.

use super::cycles::{Cycle, Cycles};
use super::identities::Identities;
use super::rates::Rates;
use super::{EntryCutOffs, OpenToday, State};
use crate::command::{AssetDay, CutOffs, RateLine, RateRules};
use crate::ids::{BatchNumber, Timestamp};
use crate::instruction::ShortText;
use crate::sorted::Sorted;
use crate::view::{CycleState, Statistics};
use fx::calendar::Calendars;
use fx::{AssetCode, Pair, Rate};
use minicbor::{Decode, Encode};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Of the pieces' form.
pub const SNAPSHOT_VERSION: u32 = 3;

/// Why a snapshot is not read.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotError<E> {
    /// Where the pieces come from failed.
    #[error(transparent)]
    Source(E),
    /// A piece is not what this program wrote.
    #[error("piece {piece}: {reason}")]
    Malformed {
        /// From 0.
        piece: usize,
        /// What the decoder says.
        reason: String,
    },
}

/// Where pieces go.
pub(super) struct Pieces<'a, E> {
    sink: &'a mut dyn FnMut(&[u8]) -> Result<(), E>,
    piece: Vec<u8>,
}

impl<E> Pieces<'_, E> {
    pub(super) fn put(&mut self, value: impl Encode<()>) -> Result<(), E> {
        self.piece.clear();
        minicbor::encode(value, &mut self.piece).expect("a Vec takes every byte");
        (self.sink)(&self.piece)
    }

    pub(super) fn put_bytes(&mut self, bytes: &[u8]) -> Result<(), E> {
        (self.sink)(bytes)
    }
}

/// Where pieces come from.
pub(super) struct Source<'a, E> {
    next: &'a mut dyn FnMut() -> Result<Vec<u8>, E>,
    /// Pieces taken.
    taken: usize,
}

impl<E> Source<'_, E> {
    pub(super) fn take<T: for<'b> Decode<'b, ()>>(&mut self) -> Result<T, SnapshotError<E>> {
        let piece = self.take_bytes()?;
        minicbor::decode(&piece).map_err(|error| self.malformed(&error.to_string()))
    }

    pub(super) fn take_bytes(&mut self) -> Result<Vec<u8>, SnapshotError<E>> {
        let piece = (self.next)().map_err(SnapshotError::Source)?;
        self.taken += 1;
        Ok(piece)
    }

    /// About the piece that was taken last.
    pub(super) fn malformed(&self, reason: &str) -> SnapshotError<E> {
        SnapshotError::Malformed {
            piece: self.taken.saturating_sub(1),
            reason: reason.to_owned(),
        }
    }
}

/// What is not a table.
#[derive(Encode, Decode)]
struct Head {
    #[n(0)]
    rehearsal: bool,
    #[n(1)]
    rehearsal_time: Option<Timestamp>,
    #[n(2)]
    scheme: Option<(ShortText, AssetCode)>,
    #[n(3)]
    cut_offs: Option<CutOffs>,
    #[n(4)]
    tokens_version: u64,
    #[n(5)]
    batches: BatchNumber,
    #[n(6)]
    statistics: Statistics,
}

type RatesKept = (
    Vec<Vec<RateLine>>,
    Vec<RateLine>,
    BTreeMap<Pair, Rate>,
    RateRules,
);

impl State {
    /// Hands the state to `sink`, piece by piece.
    ///
    /// # Errors
    /// Those of `sink`.
    pub fn write_snapshot<E>(&self, sink: &mut dyn FnMut(&[u8]) -> Result<(), E>) -> Result<(), E> {
        let Self {
            rehearsal,
            rehearsal_time,
            scheme,
            cut_offs,
            asset_cut_offs,
            calendars: _, // as its changed days
            entry_cut_offs: _,
            open_today: _,
            directory,
            accounts,
            mirrors,
            limits,
            risk,
            usage,
            identities,
            queues,
            unmatched,
            pending,
            groups,
            documents,
            member_expiries,
            cycles,
            cycle_numbers: _, // by the cycles' names
            cycles_live: _,   // by the cycles' states
            quotes,
            rates,
            tokens,
            token_labels: _, // by the tokens
            tokens_version,
            requests,
            leaving,
            acknowledged,
            gross_batch,
            batches,
            statistics,
        } = self;
        let mut pieces = Pieces {
            sink,
            piece: Vec::new(),
        };
        pieces.put(Head {
            rehearsal: *rehearsal,
            rehearsal_time: *rehearsal_time,
            scheme: *scheme,
            cut_offs: cut_offs.clone(),
            tokens_version: *tokens_version,
            batches: *batches,
            statistics: *statistics,
        })?;
        pieces.put((asset_cut_offs, self.day_lines()))?;
        pieces.put(directory)?;
        pieces.put((accounts, mirrors))?;
        pieces.put((limits, usage, risk))?;
        identities.write_pieces(&mut pieces)?;
        pieces.put(queues)?;
        pieces.put(unmatched)?;
        pieces.put((pending, groups, documents, member_expiries))?;
        pieces.put(cycles)?;
        pieces.put(quotes)?;
        pieces.put(rates.parts())?;
        pieces.put((tokens, acknowledged))?;
        pieces.put((requests, leaving))?;
        pieces.put(gross_batch)
    }

    /// The state whose pieces `next` hands out, in the order in which they were written.
    ///
    /// # Errors
    /// Those of `next`, and pieces that are not of this program's form.
    pub fn read_snapshot<E>(
        next: &mut dyn FnMut() -> Result<Vec<u8>, E>,
    ) -> Result<Self, SnapshotError<E>> {
        let mut source = Source { next, taken: 0 };
        let head: Head = source.take()?;
        let (asset_cut_offs, days): (_, Vec<AssetDay>) = source.take()?;
        let directory = source.take()?;
        let (accounts, mirrors) = source.take()?;
        let (limits, usage, risk) = source.take()?;
        let identities = Identities::read_pieces(&mut source)?;
        let queues = source.take()?;
        let unmatched = source.take()?;
        let (pending, groups, documents, member_expiries) = source.take()?;
        let cycles: Cycles = source.take()?;
        let quotes = source.take()?;
        let (sets, last, accepted, rules): RatesKept = source.take()?;
        let (tokens, acknowledged): (Sorted<ShortText, crate::command::Token>, _) =
            source.take()?;
        let (requests, leaving) = source.take()?;
        let gross_batch = source.take()?;
        Ok(Self {
            rehearsal: head.rehearsal,
            rehearsal_time: head.rehearsal_time,
            scheme: head.scheme,
            cut_offs: head.cut_offs,
            asset_cut_offs,
            calendars: Arc::new(calendars_of(&days)),
            entry_cut_offs: EntryCutOffs::default(),
            open_today: OpenToday::default(),
            directory,
            accounts,
            mirrors,
            limits,
            risk,
            usage,
            identities,
            queues,
            unmatched,
            pending,
            groups,
            documents,
            member_expiries,
            cycle_numbers: (0..).zip(cycles.iter()).map(numbered).collect(),
            cycles_live: live(&cycles),
            cycles,
            quotes,
            rates: Arc::new(Rates::from_parts(sets, last, accepted, rules)),
            token_labels: tokens
                .values()
                .map(|token| (token.hash, token.label))
                .collect(),
            tokens,
            tokens_version: head.tokens_version,
            requests,
            leaving,
            acknowledged,
            gross_batch,
            batches: head.batches,
            statistics: head.statistics,
        })
    }
}

fn calendars_of(days: &[AssetDay]) -> Calendars {
    let mut calendars = Calendars::new();
    for day in days {
        calendars.set(day.asset, day.date.naive(), day.change);
    }
    calendars
}

fn numbered((index, cycle): (u32, &Cycle)) -> (crate::ids::CycleName, u32) {
    (cycle.name, index)
}

/// Cycles that are not completed, in the order of opening.
fn live(cycles: &Cycles) -> Vec<u32> {
    let numbered = (0..).zip(cycles.iter());
    let live = numbered.filter(|(_, cycle)| cycle.state != CycleState::Completed);
    live.map(|(index, _)| index).collect()
}
