//! Which inputs each batch settled, in leaf order: one small file a batch.
//!
//! ```text
//! line = I <sequence>                an instruction
//!      | T <sequence> <sequence>     a matched trade
//!      | M <sequence>                a movement
//! ```
//!
//! The first line is `B <sequence>`, the input that closed the batch. The files come from the journal
//! alone: one that is missing is written again when the relay next starts.

use settlement_core::follow::BatchMember;
use settlement_core::ids::{BatchNumber, Sequence};
use std::fmt::Write as _;
use std::io;
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

/// The directory of these files.
#[derive(Clone, Debug)]
pub struct MemberFiles {
    dir: PathBuf,
}

impl MemberFiles {
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
    pub(crate) fn contains(&self, batch: BatchNumber) -> bool {
        self.path(batch).exists()
    }

    /// Writes by rename, so that a file is whole or not there. Not synced: it can be written again.
    pub(crate) fn write(
        &self,
        batch: BatchNumber,
        closed_by: Sequence,
        members: &[Member],
    ) -> io::Result<()> {
        let mut text = format!("B {}\n", closed_by.0);
        for member in members {
            // Writing to a String cannot fail.
            let _ = match member {
                Member::One(one) => writeln!(text, "I {}", one.0),
                Member::Trade(first, second) => writeln!(text, "T {} {}", first.0, second.0),
                Member::Movement(movement) => writeln!(text, "M {}", movement.0),
            };
        }
        let path = self.path(batch);
        let partial = path.with_extension("tmp");
        std::fs::write(&partial, text)?;
        std::fs::rename(partial, path)
    }

    /// The input that closed the batch, and its members; `None` if the file is not there.
    pub(crate) fn read(&self, batch: BatchNumber) -> io::Result<Option<(Sequence, Vec<Member>)>> {
        let path = self.path(batch);
        let text = match std::fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        parse(&text).map(Some).ok_or_else(|| {
            io::Error::new(
                io::ErrorKind::InvalidData,
                format!(
                    "{}: not a list of members; delete it and restart",
                    path.display()
                ),
            )
        })
    }
}

fn parse(text: &str) -> Option<(Sequence, Vec<Member>)> {
    let mut lines = text.lines();
    let closed_by = number(lines.next()?.strip_prefix("B ")?)?;
    let members = lines
        .map(|line| {
            let (kind, rest) = line.split_once(' ')?;
            Some(match kind {
                "I" => Member::One(number(rest)?),
                "M" => Member::Movement(number(rest)?),
                "T" => {
                    let (first, second) = rest.split_once(' ')?;
                    Member::Trade(number(first)?, number(second)?)
                }
                _ => return None,
            })
        })
        .collect::<Option<_>>()?;
    Some((closed_by, members))
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
        let dir = std::env::temp_dir().join(format!("valuta-members-{}", std::process::id()));
        let files = MemberFiles::open(&dir).unwrap();
        let members = [
            Member::One(Sequence(3)),
            Member::Trade(Sequence(4), Sequence(9)),
            Member::Movement(Sequence(5)),
        ];
        files.write(7, Sequence(10), &members).unwrap();
        assert!(files.contains(7) && !files.contains(8));
        let read = files.read(7).unwrap().unwrap();
        assert_eq!(read, (Sequence(10), members.to_vec()));
        assert_eq!(files.read(8).unwrap(), None);
        for damaged in ["", "B x\n", "B 1\nI\n", "B 1\nT 4\n", "B 1\nX 4\n"] {
            std::fs::write(files.path(9), damaged).unwrap();
            let error = files.read(9).unwrap_err().to_string();
            assert!(error.contains("000000000009"), "{damaged:?}: {error}");
        }
        std::fs::remove_dir_all(dir).unwrap();
    }
}
