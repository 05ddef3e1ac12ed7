//! C2SP signed-note: the verifier keys of logs and witnesses.

use std::fmt;

use ed25519_dalek::{Signature, VerifyingKey};

use crate::merkle::joined;
use crate::text;

/// A cosignature: time, then Ed25519 signature.
const COSIGNATURE_BYTES: usize = 8 + Signature::BYTE_SIZE;

/// What a key signs; the value is the signature type.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum KeyKind {
    /// Plain Ed25519 over a note's text: a log signs its checkpoints so, a witness its refusals.
    Note = 0x01,
    /// C2SP tlog-cosignature, Ed25519 v1: a witness cosigns checkpoints so.
    Cosignature = 0x04,
}

/// A public key with a name, as `name+hex(key id)+base64(type || key)`. Never a weak one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifierKey {
    name: String,
    id: [u8; 4],
    kind: KeyKind,
    key: VerifyingKey,
}

impl VerifierKey {
    /// Reads a key of this kind.
    ///
    /// # Errors
    /// What is wrong with it, as part of a sentence.
    pub fn parse(vkey: &str, kind: KeyKind) -> Result<Self, &'static str> {
        // The base64 may hold a `+`.
        let mut parts = vkey.splitn(3, '+');
        let (Some(name), Some(id), Some(key)) = (parts.next(), parts.next(), parts.next()) else {
            return Err("key is not `name+id+key`");
        };
        if !is_key_name(name) {
            return Err("key name is empty or has spaces");
        }
        let key = text::base64(key).ok_or("key is not canonical base64")?;
        if hex(key_id(name, &key)) != id {
            return Err("key id does not belong to this name and key");
        }
        let (&[found], bytes) = key.split_at_checked(1).ok_or("key is empty")? else {
            return Err("key is empty");
        };
        if found != kind as u8 {
            return Err(match kind {
                KeyKind::Note => "key type is not Ed25519 (0x01)",
                KeyKind::Cosignature => "key type is not Ed25519 cosignature (0x04)",
            });
        }
        let bytes = bytes.try_into().map_err(|_| "key is not 32 bytes long")?;
        Self::new(name, kind, bytes)
    }

    /// A key from its 32 public bytes.
    ///
    /// # Errors
    /// What is wrong with it, as part of a sentence.
    pub fn new(name: &str, kind: KeyKind, public: &[u8; 32]) -> Result<Self, &'static str> {
        if !is_key_name(name) {
            return Err("key name is empty or has spaces");
        }
        let key = VerifyingKey::from_bytes(public).map_err(|_| "key is no Ed25519 public key")?;
        if key.is_weak() {
            return Err("key is weak: anyone can sign for it");
        }
        let id = key_id(name, &[&[kind as u8], &public[..]].concat());
        Ok(Self {
            name: name.to_owned(),
            id,
            kind,
            key,
        })
    }

    /// The key's name; of a log its origin.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The key id: `SHA-256(name || 0x0A || type || public key)[..4]`.
    #[must_use]
    pub fn id(&self) -> [u8; 4] {
        self.id
    }

    /// What it signs.
    #[must_use]
    pub fn kind(&self) -> KeyKind {
        self.kind
    }

    /// The key with which the same holder signs in the other way; its id is another one.
    #[must_use]
    pub fn of_kind(&self, kind: KeyKind) -> Self {
        Self::new(&self.name, kind, self.key.as_bytes()).expect("it was checked as it came")
    }

    pub(crate) fn is_same_key(&self, other: &Self) -> bool {
        self.key == other.key
    }

    pub(crate) fn is_named(&self, name: &str, id: [u8; 4]) -> bool {
        self.name == name && self.id == id
    }

    /// Whether `signature` is this key's over `text`, by the strict rules: one signature for one text.
    pub(crate) fn verifies(&self, text: &str, signature: &[u8]) -> bool {
        let signature = Signature::from_slice(signature);
        signature.is_ok_and(|signature| self.key.verify_strict(text.as_bytes(), &signature).is_ok())
    }

    /// The unix time, in seconds, at which `blob` says that this key cosigned the checkpoint; `None` if it did
    /// not.
    pub(crate) fn cosigned_at(&self, body: &str, blob: &[u8]) -> Option<u64> {
        if blob.len() != COSIGNATURE_BYTES {
            return None;
        }
        let (time, signature) = blob.split_first_chunk()?;
        let time_s = u64::from_be_bytes(*time);
        let is_time = i64::try_from(time_s).is_ok();
        (is_time && self.verifies(&cosigned_text(time_s, body), signature)).then_some(time_s)
    }
}

/// C2SP tlog-cosignature v1: the text that a witness signs, of a checkpoint's whole body.
#[must_use]
pub fn cosigned_text(time_s: u64, body: &str) -> String {
    format!("cosignature/v1\ntime {time_s}\n{body}")
}

/// C2SP signed-note: not empty, no spaces, no `+`.
#[must_use]
pub fn is_key_name(name: &str) -> bool {
    let is_bad = |c: char| c.is_whitespace() || c.is_control() || c == '+';
    !name.is_empty() && !name.contains(is_bad)
}

fn key_id(name: &str, typed_key: &[u8]) -> [u8; 4] {
    let hash = joined(&[name.as_bytes(), b"\n", typed_key]);
    [hash[0], hash[1], hash[2], hash[3]]
}

fn hex(id: [u8; 4]) -> String {
    format!("{:08x}", u32::from_be_bytes(id))
}

/// The text that [`parse`](VerifierKey::parse) reads.
impl fmt::Display for VerifierKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let typed = [&[self.kind as u8], &self.key.as_bytes()[..]].concat();
        write!(f, "{}+{}+{}", self.name, hex(self.id), text::encode(&typed))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    // The key and note of Go's sumdb/note tests.
    const VKEY: &str = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";
    const TEXT: &str = "If you think cryptography is the answer to your problem,\n\
                        then you don't know what your problem is.\n";
    const SIGNATURE: &str = "x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6\
                             KE6RyyBwJnAM=";

    fn parse(vkey: &str) -> Result<VerifierKey, &'static str> {
        VerifierKey::parse(vkey, KeyKind::Note)
    }

    #[test]
    fn the_published_note_verifies() {
        let key = parse(VKEY).unwrap();
        assert_eq!(key.to_string(), VKEY);
        let blob = text::base64(SIGNATURE).unwrap();
        assert_eq!(blob[..4], key.id);
        assert!(key.verifies(TEXT, &blob[4..]));
        assert!(!key.verifies(&TEXT.replace("answer", "Answer"), &blob[4..]));
        assert!(!key.verifies(TEXT, &blob[3..]));
        for bit in 32..blob.len() * 8 {
            let mut blob = blob.clone();
            blob[bit / 8] ^= 1 << (bit % 8);
            assert!(!key.verifies(TEXT, &blob[4..]), "bit {bit}");
        }
    }

    #[test]
    fn published_bad_keys_are_refused() {
        for start in 0..VKEY.len() {
            for end in start + 1..=VKEY.len() {
                let (part, good) = (&VKEY[start..end], (start, end) == (0, VKEY.len()));
                assert_eq!(parse(part).is_ok(), good, "{part}");
            }
        }
        for at in 0..VKEY.len() {
            let mut bytes = VKEY.as_bytes().to_vec();
            bytes[at] += 1;
            let changed = std::str::from_utf8(&bytes).unwrap();
            assert!(parse(changed).is_err(), "byte {at}");
        }
        let check = |vkey: &str, reason: &str| assert_eq!(parse(vkey), Err(reason));
        check(
            "PeterNeumann+cc469956+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TWBADKEY==",
            "key is not canonical base64",
        );
        check(
            "PeterNeumann+173116ae+ZRpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
            "key type is not Ed25519 (0x01)",
        );
        check(&vkey("a", &[1; 31]), "key is not 32 bytes long");
        check(&vkey("", &[1; 32]), "key name is empty or has spaces");
        let mut identity = [0; 32];
        identity[0] = 1;
        check(&vkey("a", &identity), "key is weak: anyone can sign for it");
    }

    #[test]
    fn a_kind_of_key_is_not_another() {
        let log = parse(VKEY).unwrap();
        let witness = log.of_kind(KeyKind::Cosignature);
        assert_ne!(log.id(), witness.id());
        let check = |vkey: &str, kind, found: Result<&VerifierKey, &str>| {
            assert_eq!(
                VerifierKey::parse(vkey, kind).as_ref(),
                found.as_ref().map(|key| *key)
            );
        };
        check(&witness.to_string(), KeyKind::Cosignature, Ok(&witness));
        let refused = Err("key type is not Ed25519 (0x01)");
        check(&witness.to_string(), KeyKind::Note, refused);
        let refused = Err("key type is not Ed25519 cosignature (0x04)");
        check(VKEY, KeyKind::Cosignature, refused);
        assert_eq!(witness.of_kind(KeyKind::Note), log);
    }

    fn vkey(name: &str, key: &[u8]) -> String {
        let key = [&[KeyKind::Note as u8], key].concat();
        format!("{name}+{}+{}", hex(key_id(name, &key)), text::encode(&key))
    }
}
