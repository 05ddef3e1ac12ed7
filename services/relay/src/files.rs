//! What proofs of a batch are made of and is dear to find again: which inputs it settled and which accounts
//! it changed, both in leaf order. One file a batch.
//!
//! ```text
//! line = I <sequence>                                   an instruction
//!      | T <sequence> <sequence>                        a matched trade
//!      | M <sequence>                                   a movement
//!      | P <participant> <asset> <posting> <balance>    an account, in minor units; the balance is after it
//! ```
//!
//! The first line is `B <sequence>`, the input that closed the batch. The files come from the journal
//! alone: one that is missing is written again when the relay next starts.

use settlement_core::follow::BatchMember;
use settlement_core::ids::{BatchNumber, Sequence};
use std::fmt::Write as _;
use std::fs::File;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

/// One leaf of a batch.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Member {
    /// An instruction.
    One(Sequence),
    /// A matched trade, in sequence order.
    Trade(Sequence, Sequence),
    /// A movement.
    Movement(Sequence),
}

impl Member {
    /// The inputs that make it.
    pub fn sequences(self) -> impl Iterator<Item = Sequence> {
        let (first, second) = match self {
            Self::One(first) | Self::Movement(first) => (first, None),
            Self::Trade(first, second) => (first, Some(second)),
        };
        std::iter::once(first).chain(second)
    }
}

impl From<BatchMember> for Member {
    fn from(member: BatchMember) -> Self {
        match member {
            BatchMember::Movement(sequence) => Self::Movement(sequence),
            BatchMember::Unit(unit) => match *unit.as_slice() {
                [first, second] => Self::Trade(first, second),
                ref one => Self::One(one[0]),
            },
        }
    }
}

/// An account that a batch changed: its change, and what it then holds.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Line {
    /// A BIC, or the settlement agent's identifier for its mirror account.
    pub participant: String,
    pub asset: String,
    pub posting: i128,
    pub balance: i128,
}

/// One file's content.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct BatchFile {
    /// The input that closed the batch.
    pub closed_by: Sequence,
    pub members: Vec<Member>,
    pub lines: Vec<Line>,
}

/// The directory of these files.
#[derive(Clone, Debug)]
pub struct BatchFiles {
    dir: PathBuf,
}

impl BatchFiles {
    /// Makes the directory if it is not there.
    pub fn open(dir: &Path) -> io::Result<Self> {
        std::fs::create_dir_all(dir)?;
        Ok(Self {
            dir: dir.to_path_buf(),
        })
    }

    fn path(&self, batch: BatchNumber) -> PathBuf {
        self.dir.join(format!("{batch:012}"))
    }

    /// Whether the batch's file is there.
    #[must_use]
    pub fn contains(&self, batch: BatchNumber) -> bool {
        self.path(batch).exists()
    }

    /// Writes by rename, and synced before, so that after a power cut too a file is whole or not there.
    pub(crate) fn write(&self, batch: BatchNumber, file: &BatchFile) -> io::Result<()> {
        let path = self.path(batch);
        let partial = path.with_extension("tmp");
        let mut written = File::create(&partial)?;
        written.write_all(file.text().as_bytes())?;
        written.sync_data()?;
        std::fs::rename(partial, path)
    }

    /// What there is of a batch; `None` if the file is not there.
    pub(crate) fn read(&self, batch: BatchNumber) -> io::Result<Option<BatchFile>> {
        let path = self.path(batch);
        let text = match std::fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        BatchFile::parse(&text).map(Some).ok_or_else(|| {
            io::Error::new(
                io::ErrorKind::InvalidData,
                format!("{}: not a batch; delete it and restart", path.display()),
            )
        })
    }
}

impl BatchFile {
    fn text(&self) -> String {
        let mut text = format!("B {}\n", self.closed_by.0);
        // Writing to a String cannot fail.
        for member in &self.members {
            let _ = match member {
                Member::One(one) => writeln!(text, "I {}", one.0),
                Member::Trade(first, second) => writeln!(text, "T {} {}", first.0, second.0),
                Member::Movement(movement) => writeln!(text, "M {}", movement.0),
            };
        }
        for line in &self.lines {
            let Line {
                participant,
                asset,
                posting,
                balance,
            } = line;
            let _ = writeln!(text, "P {participant} {asset} {posting} {balance}");
        }
        text
    }

    fn parse(text: &str) -> Option<Self> {
        let mut lines = text.lines();
        let mut file = Self {
            closed_by: number(lines.next()?.strip_prefix("B ")?)?,
            members: Vec::new(),
            lines: Vec::new(),
        };
        for line in lines {
            let mut words = line.split(' ');
            match words.next()? {
                "I" => file.members.push(Member::One(number(words.next()?)?)),
                "M" => file.members.push(Member::Movement(number(words.next()?)?)),
                "T" => file.members.push(Member::Trade(
                    number(words.next()?)?,
                    number(words.next()?)?,
                )),
                "P" => file.lines.push(Line {
                    participant: words.next()?.to_owned(),
                    asset: words.next()?.to_owned(),
                    posting: words.next()?.parse().ok()?,
                    balance: words.next()?.parse().ok()?,
                }),
                _ => return None,
            }
            if words.next().is_some() {
                return None;
            }
        }
        Some(file)
    }
}

fn number(text: &str) -> Option<Sequence> {
    text.parse().ok().map(Sequence)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn files_round_trip_and_a_damaged_one_is_named() {
        let dir = std::env::temp_dir().join(format!("valuta-batches-{}", std::process::id()));
        let files = BatchFiles::open(&dir).unwrap();
        let line = |participant: &str, posting, balance| Line {
            participant: participant.to_owned(),
            asset: "EUR".to_owned(),
            posting,
            balance,
        };
        let file = BatchFile {
            closed_by: Sequence(10),
            members: vec![
                Member::One(Sequence(3)),
                Member::Trade(Sequence(4), Sequence(9)),
                Member::Movement(Sequence(5)),
            ],
            lines: vec![line("BANKDEFF", -5, i128::MAX), line("agent", 5, 0)],
        };
        files.write(7, &file).unwrap();
        assert!(files.contains(7) && !files.contains(8));
        assert_eq!(files.read(7).unwrap(), Some(file));
        assert_eq!(files.read(8).unwrap(), None);
        for damaged in [
            "",
            "B x\n",
            "B 1\nI\n",
            "B 1\nI 4 5\n",
            "B 1\nT 4\n",
            "B 1\nX 4\n",
            "B 1\nP BANKDEFF EUR 1\n",
            "B 1\nP BANKDEFF EUR 1 x\n",
        ] {
            std::fs::write(files.path(9), damaged).unwrap();
            let error = files.read(9).unwrap_err().to_string();
            assert!(error.contains("000000000009"), "{damaged:?}: {error}");
        }
        std::fs::remove_dir_all(dir).unwrap();
    }
}
