//! Checkpoints: C2SP tlog-checkpoint (`origin\nsize\nbase64(root)\n`) as a C2SP signed note.

use crate::error::NoteError;
use crate::hash::{Hash, decode_hash, encode};
use crate::key::LogKey;

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

impl Checkpoint {
    /// The note's text, which is what is signed.
    #[must_use]
    pub fn body(&self) -> String {
        format!("{}\n{}\n{}\n", self.origin, self.size, encode(&self.root))
    }

    /// The signed note. The caller sees to it that everything it covers is durable.
    pub(crate) fn sign(&self, key: &LogKey) -> String {
        let body = self.body();
        let line = key.signature_line(&body);
        format!("{body}\n{line}")
    }

    /// Reads back a note of our own. Ed25519 signatures are deterministic, so it must be, byte for byte,
    /// what signing its content again gives.
    pub(crate) fn open(note: &str, key: &LogKey) -> Result<Self, NoteError> {
        let malformed = |reason| NoteError::CheckpointMalformed { reason };
        let (body, _) = note
            .split_once("\n\n")
            .ok_or(malformed("no empty line before the signatures"))?;
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
        if origin != key.name() {
            return Err(NoteError::OriginForeign {
                expected: key.name().to_owned(),
                found: origin.to_owned(),
            });
        }
        if checkpoint.sign(key) != note {
            return Err(NoteError::NotSigned { vkey: key.vkey() });
        }
        Ok(checkpoint)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn every_changed_bit_is_refused() {
        let key = LogKey::from_seed("valuta.example/log", &[7; 32]).unwrap();
        let checkpoint = Checkpoint {
            origin: key.name().to_owned(),
            size: 10,
            root: [3; 32],
        };
        let note = checkpoint.sign(&key);
        assert_eq!(Checkpoint::open(&note, &key), Ok(checkpoint));
        for bit in 0..note.len() * 8 {
            let mut bytes = note.clone().into_bytes();
            bytes[bit / 8] ^= 1 << (bit % 8);
            if let Ok(text) = String::from_utf8(bytes) {
                assert!(Checkpoint::open(&text, &key).is_err(), "bit {bit}: {text}");
            }
        }
        let other = LogKey::from_seed("valuta.example/log", &[8; 32]).unwrap();
        assert_eq!(
            Checkpoint::open(&note, &other),
            Err(NoteError::NotSigned { vkey: other.vkey() })
        );
    }
}
