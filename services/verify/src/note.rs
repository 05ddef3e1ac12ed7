//! C2SP signed-note, tlog-checkpoint and tlog-cosignature: the signed and cosigned tree head.

use crate::error::VerifyError;
use crate::key::{KeyKind, VerifierKey};
use crate::merkle::Hash;
use crate::policy::{Policy, Witness};
use crate::text;

/// Most signature lines that are looked at; the format asks for 16 at least.
pub const SIGNATURES_MAX: usize = 64;
/// Longest signature, in bytes, with its key id: post-quantum ones need nearly 5,000.
const SIGNATURE_BYTES_MAX: usize = 8_192;

/// What a checkpoint says: this log had this root at this size.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkpoint {
    /// Which log: the name of its keys.
    pub origin: String,
    /// How many entries.
    pub size: u64,
    /// The root of the tree over them.
    pub root: Hash,
}

/// A witness of the policy that cosigned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cosignature {
    /// Its name in the policy.
    pub witness: String,
    /// When, in unix seconds, as it says itself.
    pub time_s: u64,
}

/// A checkpoint that a log of the policy signed, with the witnesses of the policy that cosigned it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Opened {
    /// What the log signed.
    pub checkpoint: Checkpoint,
    /// The keys of the policy that signed.
    pub signed_by: Vec<VerifierKey>,
    /// One for each witness that cosigned, in the policy's order.
    pub cosigned_by: Vec<Cosignature>,
}

/// A checkpoint note of the right form; nothing in it is believed yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note<'a> {
    /// The text that is signed, with its last newline.
    pub body: &'a str,
    /// What the text says.
    pub checkpoint: Checkpoint,
    signatures: Vec<SignatureLine<'a>>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct SignatureLine<'a> {
    name: &'a str,
    id: [u8; 4],
    blob: Vec<u8>,
}

/// Opens a checkpoint by a log of the policy, cosigned as the policy's quorum asks.
///
/// # Errors
/// As [`Note::parse`] and [`Note::open`], or if the quorum is not there.
pub fn open_checkpoint(note: &str, policy: &Policy) -> Result<Opened, VerifyError> {
    let opened = Note::parse(note)?.open(policy)?;
    policy.check_quorum(&opened.cosigned_by)?;
    Ok(opened)
}

impl<'a> Note<'a> {
    /// Reads a note.
    ///
    /// # Errors
    /// If it has not the form of a signed checkpoint.
    pub fn parse(note: &'a str) -> Result<Self, VerifyError> {
        let (body, lines) = split(note)?;
        let checkpoint = Checkpoint::parse(body)?;
        let first = body.lines().count() + 2;
        if lines.len() > SIGNATURES_MAX {
            return Err(wrong(first, "too many signatures"));
        }
        let mut signatures = Vec::with_capacity(lines.len());
        for (line, text) in (first..).zip(lines) {
            let signature = SignatureLine::parse(text).map_err(|reason| wrong(line, reason))?;
            if signatures.contains(&signature) {
                return Err(wrong(line, "the same signature line twice"));
            }
            signatures.push(signature);
        }
        Ok(Self {
            body,
            checkpoint,
            signatures,
        })
    }

    /// The keys among `keys` that signed, each once. Signatures of other keys say nothing, good or bad.
    ///
    /// # Errors
    /// If a signature claims one of the keys and is not by it, or none is by any.
    pub fn signed_by<'k>(
        &self,
        keys: impl IntoIterator<Item = &'k VerifierKey>,
    ) -> Result<Vec<&'k VerifierKey>, VerifyError> {
        let mut signed = Vec::new();
        for key in keys {
            let mut lines = self.by(key);
            if let Some(bad) = lines.find(|line| !key.verifies(self.body, &line.blob)) {
                let name = bad.name.to_owned();
                return Err(VerifyError::CheckpointSignature { name });
            }
            // A log speaks for itself only: its key's name is its origin.
            if key.name() == self.checkpoint.origin && self.by(key).next().is_some() {
                signed.push(key);
            }
        }
        if signed.is_empty() {
            let origin = self.checkpoint.origin.clone();
            return Err(VerifyError::LogUnknown { origin });
        }
        Ok(signed)
    }

    /// The witnesses that cosigned, each once and at its latest time.
    ///
    /// # Errors
    /// If a cosignature claims one of the witnesses and is not by it.
    pub fn cosigned_by(&self, witnesses: &[Witness]) -> Result<Vec<Cosignature>, VerifyError> {
        let mut cosigned = Vec::new();
        for witness in witnesses {
            let mut latest = None;
            for line in self.by(&witness.key) {
                let time_s = witness.key.cosigned_at(self.body, &line.blob);
                let time_s = time_s.ok_or_else(|| VerifyError::Cosignature {
                    name: witness.name.clone(),
                })?;
                latest = latest.max(Some(time_s));
            }
            cosigned.extend(latest.map(|time_s| Cosignature {
                witness: witness.name.clone(),
                time_s,
            }));
        }
        Ok(cosigned)
    }

    /// Checks every signature by a key of the policy; whether they are a quorum is not asked here.
    ///
    /// # Errors
    /// As [`signed_by`](Self::signed_by) and [`cosigned_by`](Self::cosigned_by).
    pub fn open(&self, policy: &Policy) -> Result<Opened, VerifyError> {
        let signed_by = self.signed_by(policy.logs().iter().map(|log| &log.key))?;
        Ok(Opened {
            checkpoint: self.checkpoint.clone(),
            signed_by: signed_by.into_iter().cloned().collect(),
            cosigned_by: self.cosigned_by(policy.witnesses())?,
        })
    }

    fn by(&self, key: &VerifierKey) -> impl Iterator<Item = &SignatureLine<'a>> {
        let lines = self.signatures.iter();
        lines.filter(|line| key.is_named(line.name, line.id))
    }
}

impl Checkpoint {
    /// The text that is signed, with its last newline.
    #[must_use]
    pub fn body(&self) -> String {
        let root = text::encode(&self.root);
        format!("{}\n{}\n{root}\n", self.origin, self.size)
    }

    /// Lines after the third are extensions: signed, but nothing to us.
    fn parse(body: &str) -> Result<Self, VerifyError> {
        let mut lines = body.lines();
        let (Some(origin), Some(size), Some(root)) = (lines.next(), lines.next(), lines.next())
        else {
            return Err(wrong(1, "origin, size and root expected"));
        };
        if body.lines().any(str::is_empty) {
            return Err(wrong(1, "an empty line before the signatures' one"));
        }
        Ok(Self {
            origin: origin.to_owned(),
            size: text::number(size).ok_or(wrong(2, "tree size expected"))?,
            root: text::hash(root)
                .ok_or(wrong(3, "root hash expected, canonical base64 of 32 bytes"))?,
        })
    }
}

impl<'a> SignatureLine<'a> {
    /// `<em dash> <name> <base64(key id || signature)>`
    fn parse(line: &'a str) -> Result<Self, &'static str> {
        let form = "signature line expected: dash, name, signature";
        let line = line.strip_prefix("\u{2014} ").ok_or(form)?;
        let (name, blob) = line.split_once(' ').ok_or(form)?;
        if !crate::key::is_key_name(name) {
            return Err("the key's name is malformed");
        }
        let mut id = text::base64(blob).ok_or("the signature is not canonical base64")?;
        if id.len() <= 4 || id.len() > SIGNATURE_BYTES_MAX {
            return Err("the signature is too short or too long");
        }
        let blob = id.split_off(4);
        let id = id.try_into().map_err(|_| form)?;
        Ok(Self { name, id, blob })
    }
}

/// The signature line, with its newline, of a key with this name and id.
#[must_use]
pub fn signature_line(name: &str, id: [u8; 4], signature: &[u8]) -> String {
    let blob = text::encode(&[&id[..], signature].concat());
    format!("\u{2014} {name} {blob}\n")
}

/// Opens a note that is no checkpoint: its text, if `key` signed it and nobody else did.
pub(crate) fn open_text<'a>(note: &'a str, key: &VerifierKey) -> Result<&'a str, VerifyError> {
    debug_assert_eq!(key.kind(), KeyKind::Note);
    let (body, lines) = split(note)?;
    let first = body.lines().count() + 2;
    let [line] = lines[..] else {
        return Err(wrong(first, "exactly one signature expected"));
    };
    let line = SignatureLine::parse(line).map_err(|reason| wrong(first, reason))?;
    if !key.is_named(line.name, line.id) || !key.verifies(body, &line.blob) {
        let name = key.name().to_owned();
        return Err(VerifyError::NoteSignature { name });
    }
    Ok(body)
}

/// The text that is signed, with its last newline, and the signature lines without theirs.
fn split(note: &str) -> Result<(&str, Vec<&str>), VerifyError> {
    let at = note
        .rfind("\n\n")
        .ok_or(wrong(1, "no empty line before the signatures"))?;
    let (body, signatures) = (&note[..=at], &note[at + 2..]);
    let last = note.matches('\n').count() + 1;
    let signatures = signatures
        .strip_suffix('\n')
        .ok_or(wrong(last, "no newline at the end"))?;
    Ok((body, signatures.split('\n').collect()))
}

fn wrong(line: usize, reason: &'static str) -> VerifyError {
    VerifyError::Checkpoint { line, reason }
}
