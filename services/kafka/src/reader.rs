//! Followers in order: what this process remembers is shared, what is older each fetches for itself.

use std::sync::Arc;

use valuta_journal::{
    Contradiction, Cursor, Damage, JournalReader, ReadError, Record, RecordHeader, chain_after,
};

use crate::config::{Ahead, CALL_TIMEOUT, KafkaConfig};
use crate::error::KafkaError;
use crate::fetch::{Fetch, Fetched};
use crate::log::POLL;
use crate::lookup;
use crate::message::{Kind, RawRecord};
use crate::rule::{Rule, Verdict};
use crate::shared::{After, Place, Shared, cursor_after, record_at};
use crate::topic::Admin;

/// A follower of the journal.
pub(crate) struct KafkaReader {
    shared: Arc<Shared>,
    cursor: Cursor,
    behind: Option<Behind>,
    /// Reads everything, with inputs or without, from the topic: only records with inputs are remembered.
    whole: Option<Behind>,
}

/// Reading what is no longer remembered.
pub(crate) struct Behind {
    fetch: Fetch,
    next_offset: u64,
    rule: Rule,
}

impl KafkaReader {
    pub fn open(shared: &Arc<Shared>, from: Option<Cursor>) -> Result<Self, ReadError> {
        let durable = shared.tail.durable();
        let start = Cursor::start(durable.journal);
        let cursor = match from {
            Some(from) if from.journal != start.journal || from.sequence > 0 => {
                find(shared, &from, &durable)?
            }
            _ => start,
        };
        Ok(Self {
            shared: Arc::clone(shared),
            cursor,
            behind: None,
            whole: None,
        })
    }

    /// A place before the epochs that started right after the cursor.
    fn place_before_epochs(&self) -> Result<Place, ReadError> {
        match self.cursor.sequence {
            0 => Ok(Place::default()),
            sequence => lookup::place_before(&self.shared, sequence),
        }
    }

    /// The next record from the topic; waits while the brokers do not answer, since it is there.
    fn fetch_next(&mut self) -> Result<Record, ReadError> {
        if self.behind.is_none() {
            let place = lookup::place_before(&self.shared, self.cursor.sequence + 1)?;
            self.behind = Some(Behind::open(&self.shared, place, Ahead::Much)?);
        }
        let behind = self.behind.as_mut().expect("just opened");
        loop {
            let record = behind.next(&self.shared)?;
            if record.header.first_sequence > self.cursor.sequence {
                return Ok(record);
            }
        }
    }
}

impl JournalReader for KafkaReader {
    fn next(&mut self) -> Result<Option<Record>, ReadError> {
        let record = match self.shared.after(self.cursor.sequence) {
            After::Nothing => return self.shared.failure().map_or(Ok(None), |r| Err(lost(r))),
            After::Record(record) => {
                self.behind = None;
                Arc::unwrap_or_clone(record)
            }
            After::Forgotten => self.fetch_next()?,
        };
        self.cursor = cursor_after(self.cursor, &record);
        Ok(Some(record))
    }

    fn next_any(&mut self) -> Result<Option<Record>, ReadError> {
        if let Some(reason) = self.shared.failure() {
            return Err(lost(reason));
        }
        let mut whole = match self.whole.take() {
            Some(whole) => whole,
            None => Behind::open(&self.shared, self.place_before_epochs()?, Ahead::Much)?,
        };
        // What is judged is durable.
        let until = self.shared.state().next_offset;
        let mut found = None;
        while let Some((_, record)) = whole.next_until(&self.shared, until)? {
            if record.header.first_sequence > self.cursor.sequence {
                found = Some(record);
                break;
            }
        }
        self.whole = Some(whole);
        if let Some(record) = found.as_ref().filter(|found| !found.header.starts_epoch()) {
            self.cursor = cursor_after(self.cursor, record);
        }
        Ok(found)
    }

    fn cursor(&self) -> Cursor {
        self.cursor
    }
}

impl Behind {
    pub fn open(shared: &Shared, place: Place, ahead: Ahead) -> Result<Self, ReadError> {
        let fetch = Fetch::open(&shared.config, 0, place.offset, ahead);
        Ok(Self {
            fetch: fetch.map_err(|error| lost(error.to_string()))?,
            next_offset: place.offset,
            rule: place.rule,
        })
    }

    /// The next accepted record with inputs, which the caller knows to be there.
    pub fn next(&mut self, shared: &Shared) -> Result<Record, ReadError> {
        Ok(self.next_placed(shared)?.1)
    }

    /// The same, with the place before it.
    pub fn next_placed(&mut self, shared: &Shared) -> Result<(Place, Record), ReadError> {
        loop {
            let found = self.next_until(shared, u64::MAX)?;
            let (place, record) = found.expect("goes on until there is one");
            if !record.header.starts_epoch() {
                return Ok((place, record));
            }
        }
    }

    /// The next accepted record, with or without inputs, and the place before it; `None`: there is none
    /// before the message at `until`.
    pub fn next_until(
        &mut self,
        shared: &Shared,
        until: u64,
    ) -> Result<Option<(Place, Record)>, ReadError> {
        while self.next_offset < until {
            if let Some(reason) = shared.stopped() {
                return Err(lost(reason));
            }
            let fetched = self.fetch.next(POLL);
            let Fetched::Message(message) = fetched.map_err(|error| lost(error.to_string()))?
            else {
                continue;
            };
            let offset = Fetch::offset(&message);
            self.next_offset = offset + 1;
            let Some(raw) = RawRecord::of(&message) else {
                continue;
            };
            let rule = self.rule.clone();
            let (header, chain) = match self.rule.accept(&raw) {
                Verdict::Record(chain) => (raw.header, chain),
                Verdict::Epoch(header) => (header, self.rule.chain()),
                Verdict::Genesis | Verdict::Skipped(_) => continue,
            };
            let record = record_at(offset, header, raw.payload, chain);
            return Ok(Some((Place { rule, offset }, record)));
        }
        Ok(None)
    }
}

/// The cursor as it is on this medium: it stands at its record, or it is a copy's and is found by its
/// sequence. Its chain must be the journal's.
fn find(shared: &Arc<Shared>, from: &Cursor, durable: &Cursor) -> Result<Cursor, ReadError> {
    if from.journal != durable.journal {
        let (expected, found) = (from.journal, durable.journal);
        return Err(contradicted(
            from,
            Contradiction::OtherJournal { expected, found },
        ));
    }
    if from.sequence > durable.sequence {
        let (offset, sequence) = (durable.offset, durable.sequence);
        return Err(contradicted(
            from,
            Contradiction::BeyondEnd { offset, sequence },
        ));
    }
    let found = if from.sequence == durable.sequence {
        *durable
    } else {
        let record = lookup::containing(shared, from.sequence, |_| ())?;
        cursor_after(*durable, &record)
    };
    if found.sequence != from.sequence {
        let reason = Contradiction::NoRecord(Damage::RecordMagic);
        return Err(contradicted(from, reason));
    }
    if found.chain != from.chain {
        return Err(contradicted(from, Contradiction::OtherChain));
    }
    Ok(found)
}

/// The header of the record that ends at the cursor's offset, if that is the cursor's record.
pub(crate) fn record_before(
    config: &KafkaConfig,
    cursor: &Cursor,
) -> Result<Option<RecordHeader>, KafkaError> {
    let Some(offset) = cursor.offset.checked_sub(1) else {
        return Ok(None);
    };
    let (_, end) = Admin::new(config)?.watermarks_from(0, cursor.offset)?;
    if offset >= end {
        return Ok(None);
    }
    let fetch = Fetch::open(config, 0, offset, Ahead::Little)?;
    let deadline = std::time::Instant::now() + 2 * CALL_TIMEOUT;
    while std::time::Instant::now() < deadline {
        if let Fetched::Message(message) = fetch.next(POLL)? {
            let raw = RawRecord::of(&message).filter(|raw| raw.kind == Kind::Record);
            let raw = raw.filter(|raw| {
                Fetch::offset(&message) == offset
                    && raw.journal == cursor.journal
                    && raw.header.last_sequence == cursor.sequence
                    && chain_after(&raw.header, raw.payload) == cursor.chain
            });
            return Ok(raw.map(|raw| raw.header));
        }
    }
    Err(KafkaError::TimedOut(format!("reading offset {offset}")))
}

pub(crate) fn contradicted(cursor: &Cursor, reason: Contradiction) -> ReadError {
    ReadError::Contradicted {
        offset: cursor.offset,
        sequence: cursor.sequence,
        reason,
    }
}

pub(crate) fn lost(reason: String) -> ReadError {
    ReadError::Lost { reason }
}
