//! The reader's rule: which messages of the topic are records of the journal.
//!
//! Every process applies it to the same messages in the same order, so all accept the same ones,
//! whatever any producer believes about what it wrote.
//!
//! | message        | accepted if                                                                  |
//! |----------------|------------------------------------------------------------------------------|
//! | genesis        | it is the topic's first                                                      |
//! | `EpochStarted` | its epoch is strictly newer than the current one                             |
//! | record         | exactly the current (epoch, leader), the next sequence, the chain so far     |
//!
//! All else is skipped, with a reason that nobody depends on.

use valuta_journal::{Chain, JournalId, RecordHeader, chain_after};

use crate::message::{Kind, RawRecord};

/// A leader's term.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Term {
    /// Strictly newer with every take-over and every barrier.
    pub epoch: u64,
    /// Which process; drawn anew at each start.
    pub id: [u8; 16],
}

/// Why a message is not a record of the journal; the first that applies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Skip {
    /// Not written by this program.
    Foreign,
    /// Before the topic's genesis.
    BeforeGenesis,
    /// The topic had its genesis.
    SecondGenesis,
    /// Of another journal.
    OtherJournal,
    /// An `EpochStarted` that is not newer than the current epoch: its candidate came second.
    StaleEpoch,
    /// Not of the current leader in its current epoch: a zombie's, or late.
    OtherTerm,
    /// Not the next sequence.
    Gap,
    /// Not after the chain so far.
    OtherChain,
}

/// What a message is to the journal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It names the journal.
    Genesis,
    /// It starts an epoch and is folded into the chain: the header as it stands there.
    Epoch(RecordHeader),
    /// It is the next record; the chain after it.
    Record(Chain),
    /// It is nothing.
    Skipped(Skip),
}

/// Where a reader stands: all that decides about the next message.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rule {
    journal: Option<JournalId>,
    term: Option<Term>,
    sequence: u64,
    chain: Chain,
}

impl Rule {
    /// At the start of a topic.
    pub fn new() -> Self {
        Self::default()
    }

    /// After this record, which the caller knows to be accepted: its chain is that of a cursor.
    pub fn after(journal: JournalId, header: &RecordHeader, chain: Chain) -> Self {
        let term = Term {
            epoch: header.epoch,
            id: header.leader_id,
        };
        Self {
            journal: Some(journal),
            term: Some(term),
            sequence: header.last_sequence,
            chain,
        }
    }

    /// The journal, once its genesis was read.
    pub fn journal(&self) -> Option<JournalId> {
        self.journal
    }

    /// Who leads.
    pub fn term(&self) -> Option<Term> {
        self.term
    }

    /// The newest epoch; 0 before the first.
    pub fn epoch(&self) -> u64 {
        self.term.map_or(0, |term| term.epoch)
    }

    /// The last accepted sequence.
    pub fn sequence(&self) -> u64 {
        self.sequence
    }

    /// The chain over everything accepted.
    pub fn chain(&self) -> Chain {
        self.chain
    }

    /// Judges the next message and goes on behind it.
    pub fn accept(&mut self, raw: &RawRecord<'_>) -> Verdict {
        self.accept_hashed(raw, || chain_after(&raw.header, raw.payload))
    }

    /// As [`Self::accept`], for a writer that has hashed its record already.
    pub fn accept_hashed(&mut self, raw: &RawRecord<'_>, chain: impl FnOnce() -> Chain) -> Verdict {
        if let Err(skip) = self.judge(raw) {
            return Verdict::Skipped(skip);
        }
        match raw.kind {
            Kind::Genesis { term } => {
                self.journal = Some(raw.journal);
                self.term = term;
                self.chain = raw.journal.genesis();
                Verdict::Genesis
            }
            Kind::EpochStarted => Verdict::Epoch(self.start_epoch(raw)),
            Kind::Record => {
                self.sequence = raw.header.last_sequence;
                self.chain = chain();
                Verdict::Record(self.chain)
            }
        }
    }

    fn judge(&self, raw: &RawRecord<'_>) -> Result<(), Skip> {
        let genesis = matches!(raw.kind, Kind::Genesis { .. });
        let Some(journal) = self.journal else {
            return if genesis {
                Ok(())
            } else {
                Err(Skip::BeforeGenesis)
            };
        };
        if raw.journal != journal {
            return Err(Skip::OtherJournal);
        }
        match raw.kind {
            Kind::Genesis { .. } => Err(Skip::SecondGenesis),
            Kind::EpochStarted if raw.header.epoch <= self.epoch() => Err(Skip::StaleEpoch),
            Kind::EpochStarted => Ok(()),
            Kind::Record => self.judge_record(&raw.header),
        }
    }

    fn judge_record(&self, header: &RecordHeader) -> Result<(), Skip> {
        let term = Term {
            epoch: header.epoch,
            id: header.leader_id,
        };
        if self.term != Some(term) {
            return Err(Skip::OtherTerm);
        }
        let is_next = self.sequence.checked_add(1) == Some(header.first_sequence);
        if !is_next || header.last_sequence < header.first_sequence {
            return Err(Skip::Gap);
        }
        if header.chain_before != self.chain {
            return Err(Skip::OtherChain);
        }
        Ok(())
    }

    /// Where it landed is part of what is hashed, not where its candidate thought that it would.
    fn start_epoch(&mut self, raw: &RawRecord<'_>) -> RecordHeader {
        let header = RecordHeader {
            first_sequence: self.sequence + 1,
            last_sequence: self.sequence,
            chain_before: self.chain,
            ..raw.header
        };
        self.chain = chain_after(&header, raw.payload);
        self.term = Some(Term {
            epoch: header.epoch,
            id: header.leader_id,
        });
        header
    }
}

#[cfg(test)]
mod tests;
