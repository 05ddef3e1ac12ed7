//! Evidence of a fork: two checkpoints of one log that cannot both be true. Anyone can check it.
//!
//! ```text
//! valuta.fork/v1
//! older <base64 of a signed checkpoint>
//! newer <base64 of another one, of the same size or a larger one>
//! path <hash>                                any number; none if the sizes are the same
//! ```
//!
//! Of two sizes the path is the one of [`roots_from_path`]: it belongs to the newer root, and shows which root
//! the newer tree had at the older size. That a log gave no consistency proof, or a bad one, is no evidence.

use std::fmt;

use crate::error::VerifyError;
use crate::merkle::Hash;
use crate::note::Note;
use crate::policy::Policy;
use crate::proof::RECEIPT_BYTES_MAX;
use crate::text::{self, Lines};
use crate::{Opened, roots_from_path};

/// Two signed checkpoints that are said to contradict each other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Evidence {
    /// The checkpoint of the smaller size, as a signed note.
    pub older: String,
    /// The other one.
    pub newer: String,
    /// From the newer tree, as [`roots_from_path`] takes it.
    pub path: Vec<Hash>,
}

/// A fork that is proved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fork {
    /// One of the two.
    pub older: Opened,
    /// The other.
    pub newer: Opened,
}

impl Evidence {
    /// Reads the text of an evidence file.
    ///
    /// # Errors
    /// The line that is not as the format wants it.
    pub fn parse(evidence: impl AsRef<[u8]>) -> Result<Self, VerifyError> {
        let evidence = text::plain(evidence.as_ref(), RECEIPT_BYTES_MAX)?;
        let mut lines = Lines::new(evidence)?;
        let is_format = |line: &str| (line == "valuta.fork/v1").then_some(());
        lines.take("", is_format, "`valuta.fork/v1` expected")?;
        let evidence = Self {
            older: lines.take(
                "older ",
                note,
                "`older` and base64 of a checkpoint expected",
            )?,
            newer: lines.take(
                "newer ",
                note,
                "`newer` and base64 of a checkpoint expected",
            )?,
            path: lines.path()?,
        };
        lines.end("`path` and a hash expected")?;
        Ok(evidence)
    }

    /// Whether a log of the policy signed both, and they contradict each other. Witnesses are not asked for.
    ///
    /// # Errors
    /// If it is no evidence.
    pub fn verify(&self, policy: &Policy) -> Result<Fork, VerifyError> {
        let older = Note::parse(&self.older)?.open(policy)?;
        let newer = Note::parse(&self.newer)?.open(policy)?;
        let (old, new) = (&older.checkpoint, &newer.checkpoint);
        if old.origin != new.origin {
            return Err(VerifyError::NoFork);
        }
        if old.size == new.size {
            if old.root == new.root {
                return Err(VerifyError::NoFork);
            }
            if !self.path.is_empty() {
                return Err(VerifyError::ForkPath);
            }
            return Ok(Fork { older, newer });
        }
        match roots_from_path(old.size, new.size, &self.path) {
            Some((old_root, new_root)) if new_root == new.root => match old_root == old.root {
                true => Err(VerifyError::NoFork),
                false => Ok(Fork { older, newer }),
            },
            _ => Err(VerifyError::ForkPath),
        }
    }
}

fn note(text: &str) -> Option<String> {
    String::from_utf8(text::base64(text)?).ok()
}

/// The evidence file's text.
impl fmt::Display for Evidence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("valuta.fork/v1\n")?;
        writeln!(f, "older {}", text::encode(self.older.as_bytes()))?;
        writeln!(f, "newer {}", text::encode(self.newer.as_bytes()))?;
        for hash in &self.path {
            writeln!(f, "path {}", text::encode(hash))?;
        }
        Ok(())
    }
}
