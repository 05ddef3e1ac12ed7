//! The journal's own thread: one write in flight, and a mark when idle.

use crate::writer::Message;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender};
use std::time::{Duration, Instant};
use valuta_journal::{AppendError, Cursor, Journal, RECORD_BYTES_MAX, framed_bytes};

/// An idle journal is marked within this of its last append, so that damage to what was acknowledged
/// is never taken for a torn tail.
const MARK_AFTER: Duration = Duration::from_millis(5);

/// Two records ahead: the one in flight, and the one that fills meanwhile.
const RESERVE_RECORDS: usize = 2;

/// What the writer asks of the journal's thread.
pub(crate) enum Append {
    /// One step.
    Record {
        first_sequence: u64,
        last_sequence: u64,
        time_ms: i64,
        payload: Vec<u8>,
    },
    /// After a full disk: is there space again?
    TryReserve,
}

/// What became of it.
pub(crate) struct Appended {
    /// The buffer, to be filled again.
    pub payload: Vec<u8>,
    /// Fatal, unless the record is durable: then the journal's end, if there was a record.
    pub result: Result<Option<Cursor>, AppendError>,
    /// There is space for the next two records.
    pub space: bool,
}

/// Runs until the writer hangs up; marks what was acknowledged before it ends.
pub(crate) fn run(
    mut journal: Box<dyn Journal>,
    orders: &Receiver<Append>,
    mailbox: &Sender<Message>,
) {
    let _alarm = Alarm(mailbox);
    let mut unmarked = false;
    loop {
        let order = if unmarked {
            orders.recv_timeout(MARK_AFTER)
        } else {
            orders.recv().map_err(|_| RecvTimeoutError::Disconnected)
        };
        let order = match order {
            Ok(order) => order,
            Err(RecvTimeoutError::Timeout) => {
                unmarked = false;
                if let Err(error) = journal.mark() {
                    report_failure(mailbox, error);
                    return;
                }
                continue;
            }
            // The writer is gone: everything durable was answered. Without this mark a start would
            // only be more lenient with a damaged last record.
            Err(RecvTimeoutError::Disconnected) => {
                if let Err(error) = journal.mark() {
                    tracing::warn!(%error, "the last mark failed");
                }
                return;
            }
        };
        let appended = carry_out(&mut *journal, order);
        unmarked = appended.result.is_ok();
        if mailbox.send(Message::Appended(appended)).is_err() {
            return;
        }
    }
}

fn carry_out(journal: &mut dyn Journal, order: Append) -> Appended {
    let (payload, result) = match order {
        Append::Record {
            first_sequence,
            last_sequence,
            time_ms,
            payload,
        } => {
            let started = Instant::now();
            let result = journal
                .append(first_sequence, last_sequence, time_ms, &payload)
                .map(Some);
            metrics::histogram!("valuta_journal_append_seconds").record(started.elapsed());
            metrics::counter!("valuta_journal_bytes_total").increment(payload.len() as u64);
            (payload, result)
        }
        Append::TryReserve => (Vec::new(), Ok(None)),
    };
    // A journal that fails while it takes space has failed: what it wrote before is durable, but the
    // process must stop, and a start answers for it.
    match result.and_then(|end| Ok((end, has_space(journal)?))) {
        Ok((end, space)) => Appended {
            payload,
            result: Ok(end),
            space,
        },
        Err(error) => Appended {
            payload,
            result: Err(error),
            space: false,
        },
    }
}

/// Takes the space that the next two records may need; false: the disk is full.
pub(crate) fn has_space(journal: &mut dyn Journal) -> Result<bool, AppendError> {
    match journal.reserve(RESERVE_RECORDS * framed_bytes(RECORD_BYTES_MAX)) {
        Ok(()) => Ok(true),
        Err(error @ AppendError::Full(_)) => {
            tracing::error!(%error, "no space for the next step; new work is refused");
            Ok(false)
        }
        Err(error) => Err(error),
    }
}

/// Tells the writer if this thread panics: it would wait for its record for ever.
struct Alarm<'a>(&'a Sender<Message>);

impl Drop for Alarm<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            report_failure(self.0, AppendError::Poisoned);
        }
    }
}

fn report_failure(mailbox: &Sender<Message>, error: AppendError) {
    // If the writer is gone too, nobody is left to tell.
    let _ = mailbox.send(Message::Appended(Appended {
        payload: Vec::new(),
        result: Err(error),
        space: false,
    }));
}
