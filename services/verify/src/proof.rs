//! C2SP tlog-proof: the file around every proof of ours, and the way from its entry to the checkpoint.
//!
//! Its `extra` is a text of ours. The first line says what is proved; the next two are the batch header that
//! is the entry in the log, and the entry's hash. Then comes what the kind of proof wants.

use crate::error::VerifyError;
use crate::header::Header;
use crate::merkle::{Hash, PATH_HASHES_MAX, leaf_hash, root_from_path};
use crate::note::{Cosignature, open_checkpoint};
use crate::policy::Policy;
use crate::step::{Kind, Step};
use crate::text::{self, Lines};

/// Longest proof that is looked at, in bytes: above what the longest instruction needs.
pub const RECEIPT_BYTES_MAX: usize = 16 << 20;

/// A proof's parts, of the right form but not yet believed.
pub(crate) struct Proof<'a> {
    pub(crate) extra: String,
    log_index: u64,
    log_path: Vec<Hash>,
    checkpoint: &'a str,
}

/// The first lines of the `extra` text.
pub(crate) struct Opening {
    pub(crate) kind: Kind,
    header: String,
    entry: Hash,
}

/// A batch header that is an entry of a log of the policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The log that signed: its origin, which the policy names.
    pub origin: String,
    /// The log's size at the checkpoint.
    pub tree_size: u64,
    /// Zero-based index of the batch in the log.
    pub log_index: u64,
    /// The witnesses of the policy that cosigned the checkpoint.
    pub cosigned_by: Vec<Cosignature>,
    /// What the entry says.
    pub header: Header,
    /// The entry.
    pub text: String,
}

impl<'a> Proof<'a> {
    pub(crate) fn parse(proof: &'a [u8]) -> Result<Self, VerifyError> {
        let proof = text::plain(proof, RECEIPT_BYTES_MAX)?;
        let wrong = |line, reason| VerifyError::Line { line, reason };
        let (proof, checkpoint) = proof
            .split_once("\n\n")
            .ok_or(wrong(1, "no empty line before the checkpoint"))?;
        let mut lines = (1..).zip(proof.split('\n'));
        let (_, format) = lines.next().unwrap_or_default();
        if format != "c2sp.org/tlog-proof@v1" {
            return Err(wrong(1, "`c2sp.org/tlog-proof@v1` expected"));
        }
        let extra = lines
            .next()
            .and_then(|(_, line)| line.strip_prefix("extra "));
        let extra = extra.ok_or(wrong(2, "`extra` expected"))?;
        let extra = text::base64(extra).ok_or(wrong(2, "`extra` is not canonical base64"))?;
        let extra = String::from_utf8(extra).map_err(|_| wrong(2, "`extra` does not hold text"))?;
        let index = lines
            .next()
            .and_then(|(_, line)| text::number(line.strip_prefix("index ")?));
        let log_index = index.ok_or(wrong(3, "`index` and a number expected"))?;
        let mut log_path = Vec::new();
        for (line, hash) in lines {
            let hash = text::hash(hash)
                .ok_or(wrong(line, "hash expected, canonical base64 of 32 bytes"))?;
            if log_path.len() == PATH_HASHES_MAX {
                return Err(wrong(line, "the log path is too long"));
            }
            log_path.push(hash);
        }
        Ok(Self {
            extra,
            log_index,
            log_path,
            checkpoint,
        })
    }

    /// Signature, cosignatures, log path and header.
    pub(crate) fn check(
        self,
        opening: Opening,
        policy: &Policy,
        step: &mut dyn FnMut(Step),
    ) -> Result<Entry, VerifyError> {
        let opened = open_checkpoint(self.checkpoint, policy)?;
        let checkpoint = opened.checkpoint;
        step(Step::Signature {
            origin: checkpoint.origin.clone(),
            size: checkpoint.size,
            keys: opened.signed_by.iter().map(ToString::to_string).collect(),
        });
        step(Step::Cosignatures {
            quorum: policy.quorum().to_owned(),
            cosigned_by: opened.cosigned_by.clone(),
        });
        let (index, size) = (self.log_index, checkpoint.size);
        if index >= size {
            return Err(VerifyError::IndexBeyondLog { index, size });
        }
        let root = root_from_path(opening.entry, index, size, &self.log_path);
        if root != Some(checkpoint.root) {
            return Err(VerifyError::LogPath);
        }
        step(Step::LogPath { index, size });
        if leaf_hash(opening.header.as_bytes()) != opening.entry {
            return Err(VerifyError::Header);
        }
        let header = Header::parse(&opening.header)?;
        step(Step::Header {
            scheme: header.scheme.clone(),
            batch: header.number,
        });
        Ok(Entry {
            origin: checkpoint.origin,
            tree_size: size,
            log_index: index,
            cosigned_by: opened.cosigned_by,
            header,
            text: opening.header,
        })
    }
}

impl Opening {
    pub(crate) fn parse(lines: &mut Lines<'_>) -> Result<Self, VerifyError> {
        let kind = lines.take(
            "",
            Kind::parse,
            "a kind of proof expected that is known here",
        )?;
        let header = lines.take("header ", text::base64, "`header` and base64 expected")?;
        let header =
            String::from_utf8(header).map_err(|_| lines.wrong("`header` does not hold text"))?;
        let entry = lines.take("entry ", text::hash, "`entry` and a hash expected")?;
        Ok(Self {
            kind,
            header,
            entry,
        })
    }
}
