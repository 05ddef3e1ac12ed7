//! A journal's decisions, made again: what an auditor does who trusts nothing but this program.
//!
//! Each input is decided anew on the state that the records before it gave, and must lead to the very
//! events that the journal holds. A cycle's run, which the engine made beside its writer, is run again. So
//! whatever the operator wrote that the rules do not give (a settlement out of order, a balance, a
//! certificate) is found at its sequence.
//!
//! What leaves memory for files of old identities does so when an engine has files, which is no decision
//! about money: an audit keeps everything in memory (56 bytes an instruction) and passes over those events.

use crate::replay::ReplayError;
use settlement_core::event::Event;
use settlement_core::ids::{Sequence, Timestamp};
use settlement_core::instruction::Submissions;
use settlement_core::record::{self, Input, RunResult};
use settlement_core::state::State;
use valuta_journal::{JournalReader, Record};

/// Of an event in an error: its name and first fields tell enough.
const EVENT_CHARS_MAX: usize = 400;

/// Decodes one instruction's journaled bytes, as the gateway did.
pub type Decode<'a> = dyn Fn(&[u8], &mut Submissions) -> Result<(), String> + 'a;

/// What an audit decided again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Audited {
    /// The last input's.
    pub sequence: u64,
    /// Events that were found as they should be.
    pub events: u64,
    /// Runs of cycles that were run again.
    pub runs: u64,
}

/// Where a journal is not what its inputs lead to.
#[derive(Debug, thiserror::Error)]
pub enum AuditError {
    /// The journal cannot be read, or is damaged.
    #[error(transparent)]
    Replay(#[from] ReplayError),
    /// An instruction's bytes are none.
    #[error("sequence {sequence}: the journaled instruction cannot be decoded: {reason}")]
    Instruction {
        /// Its own.
        sequence: u64,
        /// Of the decoder.
        reason: String,
    },
    /// The journal says one thing, its inputs lead to another.
    #[error(
        "sequence {sequence}: the journal does not hold what its inputs lead to: event {index} is {journaled}, \
         decided again it is {decided}"
    )]
    Differs {
        /// The input's.
        sequence: u64,
        /// From 0, among the input's events.
        index: usize,
        /// As the journal has it; `nothing` if it has no such event.
        journaled: String,
        /// As it should be.
        decided: String,
    },
    /// A run's outcome is not that of its inputs.
    #[error("sequence {sequence}: the run of cycle {cycle}, made again, has another {what}")]
    Run {
        /// Of the result.
        sequence: u64,
        /// Whose.
        cycle: String,
        /// Which part.
        what: &'static str,
    },
}

impl AuditError {
    /// What is wrong and where, for everyone: without contents, names or amounts, and without a batch's seed,
    /// which an event may hold. `None` if nothing was found, but the journal cannot be read.
    pub fn finding(&self) -> Option<(u64, String)> {
        match self {
            Self::Replay(_) => None,
            Self::Instruction { sequence, .. } => {
                Some((*sequence, "the instruction cannot be decoded".to_owned()))
            }
            Self::Differs {
                sequence,
                index,
                journaled,
                decided,
            } => {
                let (journaled, decided) = (event_name(journaled), event_name(decided));
                let what = match journaled == decided {
                    true => format!("event {index}, {journaled}, decided again differs"),
                    false => format!("event {index} is {journaled}, decided again it is {decided}"),
                };
                Some((*sequence, what))
            }
            Self::Run { sequence, what, .. } => Some((
                *sequence,
                format!("the run, made again, has another {what}"),
            )),
        }
    }
}

/// The first word of an event's text.
fn event_name(text: &str) -> &str {
    let end = text.find(|c: char| !c.is_ascii_alphanumeric());
    &text[..end.unwrap_or(text.len())]
}

/// Decides all that `reader` has again. `progress` hears of every record.
///
/// # Errors
/// The first difference.
pub fn audit(
    reader: &mut dyn JournalReader,
    rehearsal: bool,
    decode: &Decode<'_>,
    mut progress: impl FnMut(Audited),
) -> Result<Audited, AuditError> {
    let mut auditor = Auditor::new(rehearsal);
    while let Some(record) = reader.next().map_err(ReplayError::from)? {
        auditor.record(&record, decode)?;
        progress(auditor.audited());
    }
    Ok(auditor.audited())
}

/// An audit, record by record from a journal's first one on.
pub struct Auditor {
    state: State,
    audited: Audited,
}

impl Auditor {
    /// Of a journal that is not yet read.
    pub fn new(rehearsal: bool) -> Self {
        Self {
            state: State::new(rehearsal),
            audited: Audited::default(),
        }
    }

    /// How far it is.
    pub fn audited(&self) -> Audited {
        self.audited
    }

    /// Decides the next record again. After an error nothing more can be told of this journal.
    ///
    /// # Errors
    /// The first difference.
    pub fn record(&mut self, record: &Record, decode: &Decode<'_>) -> Result<(), AuditError> {
        let offset = record.offset;
        let payload = |error| ReplayError::Payload { offset, error };
        let now = Timestamp(record.header.time_ms);
        let mut entries = record::entries(&record.payload).map_err(payload)?;
        let (mut journaled, mut decided) = (Vec::new(), Vec::new());
        let mut sequence = Sequence(record.header.first_sequence);
        while let Some(input) = entries.next_into(&mut journaled).map_err(payload)? {
            journaled.retain(concerns_money);
            decided.clear();
            self.decide(&input, sequence, now, decode, &mut decided)?;
            compare(sequence, &journaled, &decided)?;
            self.audited.sequence = sequence.0;
            self.audited.events += decided.len() as u64;
            sequence.0 += 1;
        }
        Ok(())
    }

    fn decide(
        &mut self,
        input: &Input<'_>,
        sequence: Sequence,
        now: Timestamp,
        decode: &Decode<'_>,
        events: &mut Vec<Event>,
    ) -> Result<(), AuditError> {
        match input {
            Input::Instruction(bytes) => {
                let mut batch = Submissions::default();
                decode(bytes, &mut batch).map_err(|reason| AuditError::Instruction {
                    sequence: sequence.0,
                    reason,
                })?;
                for item in &batch.items {
                    self.state
                        .execute_instruction(&batch, item, sequence, now, events);
                }
            }
            // A refusal has no events, so that its being in the journal is a difference.
            Input::Command(command) => {
                let _ = self.state.execute_command(command, sequence, now, events);
            }
            Input::Tick { seed } => self.state.execute_tick(*seed, sequence, now, events),
            Input::Ran(result) => {
                let is_due = self.run_again(result, sequence)?;
                self.state.execute_ran(result, sequence, now, events);
                if !is_due && events.iter().any(ran) {
                    return Err(differs(result, sequence, "caps than it can have read"));
                }
            }
        }
        Ok(())
    }

    /// Whether there was something to run: a stale result changes nothing.
    fn run_again(&mut self, result: &RunResult, sequence: Sequence) -> Result<bool, AuditError> {
        let Some(request) = self.state.run_request_of(result) else {
            return Ok(false);
        };
        let again = request.run(result.seed);
        let what = if again.settled != result.settled {
            "set of settled instructions"
        } else if again.certificate_hash != result.certificate_hash {
            "certificate"
        } else if again != *result {
            "proof that nothing more could settle"
        } else {
            self.audited.runs += 1;
            return Ok(true);
        };
        Err(differs(result, sequence, what))
    }
}

fn differs(result: &RunResult, sequence: Sequence, what: &'static str) -> AuditError {
    AuditError::Run {
        sequence: sequence.0,
        cycle: result.cycle.to_string(),
        what,
    }
}

fn ran(event: &Event) -> bool {
    matches!(event, Event::CycleRan { .. } | Event::CycleRanEmpty { .. })
}

fn concerns_money(event: &Event) -> bool {
    !matches!(
        event,
        Event::IdentitiesAged { .. } | Event::IdentitiesLeft { .. }
    )
}

fn compare(sequence: Sequence, journaled: &[Event], decided: &[Event]) -> Result<(), AuditError> {
    let count = journaled.len().max(decided.len());
    let differs = (0..count).find(|&index| journaled.get(index) != decided.get(index));
    let text = |events: &[Event], index: usize| match events.get(index) {
        Some(event) => format!("{event:?}").chars().take(EVENT_CHARS_MAX).collect(),
        None => "nothing".to_owned(),
    };
    match differs {
        None => Ok(()),
        Some(index) => Err(AuditError::Differs {
            sequence: sequence.0,
            index,
            journaled: text(journaled, index),
            decided: text(decided, index),
        }),
    }
}
