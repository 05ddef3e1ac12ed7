//! Rows on their way from the thread that projects to the one that writes, in portions of bounded size.
//!
//! | portion | of [`PORTIONS`] at most | where |
//! |---|---|---|
//! | filled | 1 | with the thread that projects |
//! | full | the others | in the channel, in order; the first is being written |
//! | empty | the others | on their way back, with their memory |
//!
//! One that hands on a portion waits for an empty one: that bounds what is held, and while the store is busy with
//! little, what comes next gathers to one transaction.

use crate::rows::Rows;
use crate::store::{Store, StoreError};
use settlement_core::ids::Sequence;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use valuta_journal::Cursor;

/// Portions in all: one is filled, one waits, so that the store never does, and one is written.
pub(super) const PORTIONS: usize = 3;

/// Rows of one transaction, in the order of the journal.
struct Portion {
    rows: Rows,
    /// The transaction ends with these rows, here.
    commit: Option<Cursor>,
}

/// The side that fills portions.
pub(super) struct Filling<'a> {
    full: SyncSender<Portion>,
    empty: Receiver<Rows>,
    writer_gone: &'a AtomicBool,
}

/// The side that writes them.
pub(super) struct Writing<'a> {
    full: Receiver<Portion>,
    empty: Sender<Rows>,
    _gone: Gone<'a>,
}

/// The store has failed: its error is with the side that writes.
#[derive(Clone, Copy, Debug)]
pub(super) struct WriterGone;

/// Says so when it is dropped, by an error or a panic: one that waits for new records sees no channel close.
struct Gone<'a>(&'a AtomicBool);

impl Drop for Gone<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Both sides. `writer_gone` is theirs, and false.
pub(super) fn portions(writer_gone: &AtomicBool) -> (Filling<'_>, Writing<'_>) {
    let (full, written) = sync_channel(PORTIONS);
    let (returned, empty) = channel();
    for _ in 1..PORTIONS {
        returned
            .send(Rows::default())
            .expect("its receiver is here");
    }
    let filling = Filling {
        full,
        empty,
        writer_gone,
    };
    let writing = Writing {
        full: written,
        empty: returned,
        _gone: Gone(writer_gone),
    };
    (filling, writing)
}

impl Filling<'_> {
    /// Hands on the rows, as the end of a transaction or not, and waits for an empty portion in their place.
    pub(super) fn hand_on(
        &self,
        rows: &mut Rows,
        commit: Option<Cursor>,
    ) -> Result<(), WriterGone> {
        // Sorted and cleared here: it is the store that is to be kept busy.
        rows.sort();
        let portion = Portion {
            rows: std::mem::take(rows),
            commit,
        };
        self.full.send(portion).map_err(|_| WriterGone)?;
        *rows = self.empty.recv().map_err(|_| WriterGone)?;
        rows.clear();
        Ok(())
    }

    pub(super) fn writer_gone(&self) -> bool {
        self.writer_gone.load(Ordering::Relaxed)
    }
}

impl Writing<'_> {
    /// Writes all that comes, until the other side ends. What it did not say to commit is not committed.
    pub(super) fn write_to(
        self,
        store: &mut impl Store,
        progress: &mut impl FnMut(Sequence),
    ) -> Result<(), StoreError> {
        for Portion { rows, commit } in &self.full {
            if !rows.is_empty() {
                store.write(&rows)?;
            }
            if let Some(cursor) = commit {
                store.commit(&cursor)?;
                progress(Sequence(cursor.sequence));
            }
            // The other side may have ended: then nobody needs it.
            drop(self.empty.send(rows));
        }
        Ok(())
    }
}
