//! Journal to state, at start, from a snapshot if there is one: one thread reads, verifies and decodes, the other applies.

use crate::identities::{FileError, OldIdentities};
use crate::snapshot::{Opened, Place, Snapshots};
use settlement_core::event::Event;
use settlement_core::ids::{Sequence, Timestamp};
use settlement_core::record::{self, PayloadError};
use settlement_core::state::State;
use std::path::Path;
use std::sync::mpsc::{SyncSender, sync_channel};
use valuta_journal::{Cursor, JournalReader, ReadError, Record, Source};

/// Decoded records between the two threads; each is at most a few MiB.
const RECORDS_AHEAD: usize = 8;

/// The journal cannot be replayed; the engine does not start.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    /// The journal is damaged.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// A record's payload is not one of this program's.
    #[error("record at offset {offset}: {error}")]
    Payload {
        /// Of the record, in the journal.
        offset: u64,
        /// What is wrong.
        error: PayloadError,
    },
    /// What is old cannot be written to its file.
    #[error("a file of old identities cannot be written: {0}")]
    Identities(String),
    /// A record says it holds other inputs than it does.
    #[error("record at offset {offset}: holds {found} inputs, its header says {expected}")]
    Count {
        /// Of the record, in the journal.
        offset: u64,
        /// By the payload.
        found: u64,
        /// By the header.
        expected: u64,
    },
}

/// What a replay read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Replayed {
    /// Last sequence.
    pub sequence: u64,
    /// Record time after it: the last record's, or what it was set to.
    pub time: Timestamp,
    /// Records read.
    pub records: u64,
    /// Events applied.
    pub events: u64,
}

pub(crate) struct Decoded {
    time: Timestamp,
    first_sequence: u64,
    /// How many events each input has.
    counts: Vec<u32>,
    events: Vec<Event>,
}

/// A journal's state, and how it was come by.
pub struct Recovered {
    /// At the journal's end.
    pub state: State,
    /// What was read to come there.
    pub replayed: Replayed,
    /// The last sequence of the snapshot that was loaded.
    pub snapshot: Option<u64>,
    /// Goes on where the replay ended: for a [`Replica`](crate::Replica).
    pub reader: Box<dyn JournalReader>,
}

/// The state at the journal's end: the newest snapshot that is whole and that the journal holds, and
/// the records after it. One that is neither is passed over, and the log says why; so is one whose files
/// of old identities, which lie beside it, are not there. They are made anew by the replay.
pub fn recover(
    journal: &dyn Source,
    snapshots: &Snapshots,
    rehearsal: bool,
) -> Result<Recovered, ReplayError> {
    let mut old = Old {
        files: OldIdentities::open(snapshots.dir(), journal),
        journal,
    };
    for (_, path) in snapshots.newest_first() {
        let loaded = load(journal, &path, rehearsal);
        let loaded = loaded.and_then(|loaded| match old.files.missing(&loaded.0) {
            Some(place) => Err(format!(
                "its identities of period {} are gone",
                place.period
            )),
            None => Ok(loaded),
        });
        match loaded {
            Ok((mut state, place)) => {
                let start = Replayed {
                    sequence: place.cursor.sequence,
                    time: place.time,
                    ..Replayed::default()
                };
                // It may be of between deciding what is to leave and its leaving.
                old.keep_at(&state, &place.cursor)?;
                let mut reader = journal.reader(Some(place.cursor))?;
                let replayed =
                    replay_after(start, &mut *reader, &mut state, &mut |state, last| {
                        old.keep(state, last)
                    })?;
                old.files.tidy(&state);
                return Ok(Recovered {
                    replayed,
                    state,
                    snapshot: Some(place.cursor.sequence),
                    reader,
                });
            }
            Err(reason) => {
                tracing::warn!(file = %path.display(), reason, "a snapshot is passed over");
            }
        }
    }
    let mut state = State::new(rehearsal);
    let mut reader = journal.reader(None)?;
    let replayed = replay_after(
        Replayed::default(),
        &mut *reader,
        &mut state,
        &mut |state, last| old.keep(state, last),
    )?;
    old.files.tidy(&state);
    Ok(Recovered {
        replayed,
        state,
        snapshot: None,
        reader,
    })
}

/// A snapshot's state and its place in this journal, or why it is not used.
fn load(journal: &dyn Source, path: &Path, rehearsal: bool) -> Result<(State, Place), String> {
    let opened = Opened::open(path).map_err(|error| error.to_string())?;
    let Place { cursor, time } = opened.place;
    if cursor.journal != journal.id() {
        return Err(format!("it is of journal {}", cursor.journal));
    }
    // In a copy of the journal offsets may differ: the sequence says where, the chain that it is so.
    let here = journal.lookup().cursor_after(cursor.sequence);
    let here = here.map_err(|error| error.to_string())?;
    let Some(here) = here.filter(|here| here.chain == cursor.chain) else {
        return Err(format!("the journal is another at {}", cursor.sequence));
    };
    let state = opened.load().map_err(|error| error.to_string())?;
    if state.is_rehearsal() != rehearsal {
        return Err("a rehearsal's, or not, as the journal is".to_owned());
    }
    Ok((state, Place { cursor: here, time }))
}

/// The files of old identities during a replay.
struct Old<'a> {
    files: OldIdentities,
    journal: &'a dyn Source,
}

impl Old<'_> {
    /// What is to leave is written, unless a file has it already.
    fn keep(&mut self, state: &State, last_sequence: u64) -> Result<(), ReplayError> {
        let cursor = self.journal.lookup().cursor_after(last_sequence)?;
        let cursor = cursor.expect("a record that was read ends there");
        self.keep_at(state, &cursor)
    }

    fn keep_at(&mut self, state: &State, cursor: &Cursor) -> Result<(), ReplayError> {
        if state.aged().is_some_and(|place| !self.files.hold(place)) {
            let unwritten = |error: FileError| ReplayError::Identities(error.to_string());
            let file = self.files.write(state, cursor).map_err(unwritten)?;
            self.files.put(file, state);
        }
        Ok(())
    }
}

/// Called when something is to leave, with the last sequence of its record.
pub(crate) type OnAged<'a> = dyn FnMut(&mut State, u64) -> Result<(), ReplayError> + 'a;

/// Applies every record that `reader` has to `state`; writes no files of old identities.
pub fn replay(reader: &mut dyn JournalReader, state: &mut State) -> Result<Replayed, ReplayError> {
    replay_after(Replayed::default(), reader, state, &mut |_, _| Ok(()))
}

/// Goes on from what was read before.
fn replay_after(
    mut replayed: Replayed,
    reader: &mut dyn JournalReader,
    state: &mut State,
    on_aged: &mut OnAged<'_>,
) -> Result<Replayed, ReplayError> {
    let (sender, decoded) = sync_channel(RECORDS_AHEAD);
    std::thread::scope(|scope| {
        let reading = scope.spawn(move || read(reader, &sender));
        for record in decoded {
            apply(state, &record, &mut replayed, on_aged)?;
        }
        reading.join().expect("the reading thread does not panic")?;
        Ok(replayed)
    })
}

pub(crate) fn apply(
    state: &mut State,
    record: &Decoded,
    replayed: &mut Replayed,
    on_aged: &mut OnAged<'_>,
) -> Result<(), ReplayError> {
    let last_sequence = record.first_sequence + record.counts.len() as u64 - 1;
    state.warm_events(&record.events);
    let mut events = record.events.iter();
    for (at, &count) in (0u64..).zip(&record.counts) {
        let sequence = Sequence(record.first_sequence + at);
        for event in events.by_ref().take(count as usize) {
            state.apply(sequence, record.time, event);
            match event {
                Event::TimeSet(time) => replayed.time = replayed.time.max(*time),
                Event::IdentitiesAged { .. } => on_aged(state, last_sequence)?,
                _ => {}
            }
        }
        replayed.sequence = sequence.0;
    }
    replayed.time = replayed.time.max(record.time);
    replayed.records += 1;
    replayed.events += record.events.len() as u64;
    Ok(())
}

fn read(reader: &mut dyn JournalReader, sender: &SyncSender<Decoded>) -> Result<(), ReplayError> {
    while let Some(record) = reader.next()? {
        // The other side only goes away by a panic, which the join reports.
        if sender.send(decode(&record)?).is_err() {
            break;
        }
    }
    Ok(())
}

pub(crate) fn decode(record: &Record) -> Result<Decoded, ReplayError> {
    let offset = record.offset;
    let payload = |error| ReplayError::Payload { offset, error };
    let mut entries = record::entries(&record.payload).map_err(payload)?;
    let mut decoded = Decoded {
        time: Timestamp(record.header.time_ms),
        first_sequence: record.header.first_sequence,
        counts: Vec::new(),
        events: Vec::new(),
    };
    while let Some(count) = entries
        .next_appending(&mut decoded.events)
        .map_err(payload)?
    {
        decoded.counts.push(count);
    }
    let expected = record.header.last_sequence - record.header.first_sequence + 1;
    let found = decoded.counts.len() as u64;
    if found != expected {
        return Err(ReplayError::Count {
            offset,
            found,
            expected,
        });
    }
    Ok(decoded)
}
