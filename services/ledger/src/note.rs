//! Checkpoints: C2SP tlog-checkpoint (`origin\nsize\nbase64(root)\n`) as a C2SP signed note.

use crate::error::NoteError;
use crate::hash::{Hash, decode, decode_hash, encode};
use crate::key::LogKey;

/// Most signature lines of a note; the format asks for 16 at least.
const SIGNATURES_MAX: usize = 64;

/// What a checkpoint says: this log had this root at this size.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkpoint {
    /// Which log: the name of its key.
    pub origin: String,
    /// How many entries.
    pub size: u64,
    /// The root of the tree over them.
    pub root: Hash,
}

/// A checkpoint with what others signed of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Opened {
    pub(crate) checkpoint: Checkpoint,
    /// The lines that are not by a key of the log.
    pub(crate) cosignatures: Cosignatures,
}

/// Signature lines of others, with newlines. Who they are is the verifier's business.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Cosignatures(Vec<String>);

impl Cosignatures {
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether all of these are among those.
    pub(crate) fn are_among(&self, others: &Self) -> bool {
        self.0.iter().all(|line| others.0.contains(line))
    }

    /// These, and of the older ones those by other keys.
    pub(crate) fn with_older(mut self, older: &Self) -> Self {
        let signer = |line: &str| signature(line).map(|(name, id)| (name.to_owned(), id));
        let is_new = |line: &&String| self.0.iter().all(|new| signer(new) != signer(line));
        let kept: Vec<_> = older.0.iter().filter(is_new).cloned().collect();
        self.0.extend(kept);
        self
    }
}

impl Checkpoint {
    /// The note's text, which is what is signed.
    #[must_use]
    pub fn body(&self) -> String {
        format!("{}\n{}\n{}\n", self.origin, self.size, encode(&self.root))
    }

    /// The note signed by the log. The caller sees to it that everything it covers is durable.
    pub(crate) fn sign(&self, key: &LogKey) -> String {
        self.sign_with(key, &Cosignatures::default())
    }

    /// The note signed by the log, with what others signed of it.
    pub(crate) fn sign_with(&self, key: &LogKey, cosignatures: &Cosignatures) -> String {
        let body = self.body();
        let lines = key.signature_lines(&body);
        format!("{body}\n{lines}{}", cosignatures.0.concat())
    }

    /// Reads back a note of our own: signed by one of our keys at least, and by none of them wrongly.
    /// Ed25519 signatures are deterministic, so each line of ours must be what signing again gives.
    pub(crate) fn open(note: &str, key: &LogKey) -> Result<Opened, NoteError> {
        let malformed = |reason| NoteError::CheckpointMalformed { reason };
        let (body, signatures) = note
            .split_once("\n\n")
            .ok_or(malformed("no empty line before the signatures"))?;
        let checkpoint = Self::parse(body)?;
        if checkpoint.origin != key.name() {
            return Err(NoteError::OriginForeign {
                expected: key.name().to_owned(),
                found: checkpoint.origin,
            });
        }
        let body = checkpoint.body();
        let mut cosignatures = Cosignatures::default();
        let mut is_ours = false;
        for line in signatures.split_inclusive('\n').take(SIGNATURES_MAX + 1) {
            let (name, id) = signature(line).ok_or(malformed("signature line expected"))?;
            match key.find(name, id) {
                Some(ours) if ours.signature_line(&body) == line => is_ours = true,
                Some(ours) => return Err(NoteError::NotSigned { vkey: ours.vkey() }),
                None => cosignatures.0.push(line.to_owned()),
            }
        }
        if cosignatures.0.len() >= SIGNATURES_MAX {
            return Err(malformed("too many signatures"));
        }
        if !is_ours {
            return Err(NoteError::NotSigned { vkey: key.vkey() });
        }
        Ok(Opened {
            checkpoint,
            cosignatures,
        })
    }

    /// Reads a body without its last newline.
    fn parse(body: &str) -> Result<Self, NoteError> {
        let malformed = |reason| NoteError::CheckpointMalformed { reason };
        let mut lines = body.split('\n');
        let (Some(origin), Some(size), Some(root), None) =
            (lines.next(), lines.next(), lines.next(), lines.next())
        else {
            return Err(malformed("origin, size and root expected"));
        };
        let checkpoint = Self {
            origin: origin.to_owned(),
            size: size.parse().map_err(|_| malformed("size is no number"))?,
            root: decode_hash(root).ok_or(malformed("root is no base64 of 32 bytes"))?,
        };
        if checkpoint.body().trim_end() != body {
            return Err(malformed("not the canonical text"));
        }
        Ok(checkpoint)
    }
}

/// Name and key id of a signature line with its newline: `— <name> <base64(key id || signature)>`.
fn signature(line: &str) -> Option<(&str, [u8; 4])> {
    let line = line.strip_prefix("\u{2014} ")?.strip_suffix('\n')?;
    let (name, blob) = line.split_once(' ')?;
    let blob = decode(blob)?;
    let (id, signature) = blob.split_first_chunk::<4>()?;
    let is_name = !name.is_empty() && !name.contains(|c: char| c.is_whitespace() || c.is_control());
    (is_name && !signature.is_empty()).then_some((name, *id))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn checkpoint() -> Checkpoint {
        Checkpoint {
            origin: "valuta.example/log".to_owned(),
            size: 10,
            root: [3; 32],
        }
    }

    fn key(seed: u8) -> LogKey {
        LogKey::from_seed("valuta.example/log", &[seed; 32]).unwrap()
    }

    #[test]
    fn every_changed_bit_is_refused() {
        let note = checkpoint().sign(&key(7));
        let open = |note: &str| Checkpoint::open(note, &key(7));
        assert_eq!(open(&note).unwrap().checkpoint, checkpoint());
        for bit in 0..note.len() * 8 {
            let mut bytes = note.clone().into_bytes();
            bytes[bit / 8] ^= 1 << (bit % 8);
            if let Ok(text) = String::from_utf8(bytes) {
                assert!(open(&text).is_err(), "bit {bit}: {text}");
            }
        }
        assert_eq!(
            Checkpoint::open(&note, &key(8)),
            Err(NoteError::NotSigned {
                vkey: key(8).vkey()
            })
        );
    }

    #[test]
    fn cosignatures_are_kept_and_joined() {
        let line = |name: &str, id: u8, signature: u8| {
            let blob = encode(&[[id; 4].as_slice(), &[signature; 72]].concat());
            format!("\u{2014} {name} {blob}\n")
        };
        let note = checkpoint().sign(&key(7));
        let open = |lines: &str| {
            let opened = Checkpoint::open(&format!("{note}{lines}"), &key(7));
            opened.map(|opened| opened.cosignatures)
        };
        let [a, b, newer] = [line("a", 1, 1), line("b", 2, 2), line("a", 1, 3)];
        assert!(open("").unwrap().is_empty());
        let both = open(&format!("{a}{b}")).unwrap();
        assert_eq!(
            checkpoint().sign_with(&key(7), &both),
            format!("{note}{a}{b}")
        );
        let joined = open(&newer).unwrap().with_older(&both);
        assert_eq!(
            checkpoint().sign_with(&key(7), &joined),
            format!("{note}{newer}{b}")
        );
        assert!(open(&b).unwrap().are_among(&joined) && !open(&a).unwrap().are_among(&joined));
        for malformed in [
            "\n",
            "x",
            "\u{2014} a\n",
            "\u{2014} a AAAA\n",
            "\u{2014}  AAAAAAAA\n",
        ] {
            assert!(open(malformed).is_err(), "{malformed:?}");
        }
        assert!(open(&a.repeat(SIGNATURES_MAX)).is_err());
        let second = checkpoint().sign(&key(8));
        let (_, second) = second.split_once("\n\n").unwrap();
        assert!(open(&second.replace("log ", "other ")).is_ok());
    }
}
