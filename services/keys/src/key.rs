//! One key, and the lines that it signs (C2SP signed-note, tlog-cosignature).

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ed25519_dalek::{Signer as _, SigningKey};
use sha2::{Digest as _, Sha256};

use crate::error::KeyError;

/// Longest key name that we make or take, in bytes.
const NAME_BYTES_MAX: usize = 255;

/// What a key signs; its number is the signature type of C2SP signed-note.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyKind {
    /// A log's checkpoints: plain Ed25519.
    Log = 0x01,
    /// A witness's cosignatures: Ed25519 with a time.
    Witness = 0x04,
}

/// Whether a key still signs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyState {
    /// It signs.
    Active,
    /// It signs nothing more; what it signed stays good.
    Retired,
}

/// The first four bytes of `SHA-256(name || 0x0A || type || public key)`; shown as eight hex digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct KeyId(pub [u8; 4]);

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:08x}", u32::from_be_bytes(self.0))
    }
}

/// The eight hex digits that a list of keys shows.
impl std::str::FromStr for KeyId {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, KeyError> {
        let id = u32::from_str_radix(text, 16).map(|id| Self(id.to_be_bytes()));
        let id = id.ok().filter(|id| id.to_string() == text);
        id.ok_or_else(|| KeyError::NameMalformed {
            name: text.to_owned(),
        })
    }
}

/// An Ed25519 key with its name.
#[derive(Clone)]
pub struct StoredKey {
    pub(crate) name: String,
    pub(crate) kind: KeyKind,
    pub(crate) created: u64,
    pub(crate) state: KeyState,
    pub(crate) signing: SigningKey,
}

impl StoredKey {
    /// An active key from its 32 secret bytes. Nothing is stored.
    ///
    /// # Errors
    /// If `name` is no key name (C2SP signed-note: not empty, no spaces, no `+`).
    pub fn from_seed(
        kind: KeyKind,
        name: &str,
        created: u64,
        seed: &[u8; 32],
    ) -> Result<Self, KeyError> {
        check_name(name)?;
        Ok(Self {
            name: name.to_owned(),
            kind,
            created,
            state: KeyState::Active,
            signing: SigningKey::from_bytes(seed),
        })
    }

    /// A log's origin, or the witness's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What it signs.
    #[must_use]
    pub fn kind(&self) -> KeyKind {
        self.kind
    }

    /// When it was made, in unix seconds.
    #[must_use]
    pub fn created(&self) -> u64 {
        self.created
    }

    /// Whether it still signs.
    #[must_use]
    pub fn state(&self) -> KeyState {
        self.state
    }

    /// Its id within its name.
    #[must_use]
    pub fn id(&self) -> KeyId {
        let hash = Sha256::digest([self.name.as_bytes(), b"\n", &self.typed_public()].concat());
        KeyId([hash[0], hash[1], hash[2], hash[3]])
    }

    /// The verifier key for policies: `name+hex(key id)+base64(type || public key)`.
    #[must_use]
    pub fn vkey(&self) -> String {
        let public = STANDARD.encode(self.typed_public());
        format!("{}+{}+{public}", self.name, self.id())
    }

    /// The same secret for another use, under another id.
    #[must_use]
    pub fn of_kind(&self, kind: KeyKind) -> Self {
        Self {
            kind,
            ..self.clone()
        }
    }

    /// A log's signature line of a note's text, with its newline.
    ///
    /// # Panics
    /// If it is a witness's key.
    #[must_use]
    pub fn signature_line(&self, text: &str) -> String {
        assert_eq!(self.kind, KeyKind::Log, "{}", self.name);
        self.line(&self.signing.sign(text.as_bytes()).to_bytes())
    }

    /// A witness's cosignature line of a checkpoint's body, with its newline; `time` in unix seconds.
    ///
    /// # Panics
    /// If it is a log's key.
    #[must_use]
    pub fn cosignature_line(&self, body: &str, time: u64) -> String {
        assert_eq!(self.kind, KeyKind::Witness, "{}", self.name);
        let message = format!("cosignature/v1\ntime {time}\n{body}");
        let signature = self.signing.sign(message.as_bytes()).to_bytes();
        self.line(&[&time.to_be_bytes()[..], &signature].concat())
    }

    fn line(&self, signature: &[u8]) -> String {
        let blob = STANDARD.encode([&self.id().0[..], signature].concat());
        format!("\u{2014} {} {blob}\n", self.name)
    }

    fn typed_public(&self) -> Vec<u8> {
        let public = self.signing.verifying_key();
        [&[self.kind as u8], public.as_bytes().as_slice()].concat()
    }
}

/// Shows the public half only.
impl fmt::Debug for StoredKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "StoredKey({:?}, {:?})", self.vkey(), self.state)
    }
}

fn check_name(name: &str) -> Result<(), KeyError> {
    let fits = (1..=NAME_BYTES_MAX).contains(&name.len());
    if fits && !name.contains(|c: char| c.is_whitespace() || c.is_control() || c == '+') {
        return Ok(());
    }
    Err(KeyError::NameMalformed {
        name: name.chars().take(NAME_BYTES_MAX).collect(),
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn names_are_checked() {
        let check = |name: &str, good: bool| {
            let key = StoredKey::from_seed(KeyKind::Log, name, 0, &[1; 32]);
            assert_eq!(key.is_ok(), good, "{name:?}");
        };
        check("valuta.example/log", true);
        check("", false);
        check("a b", false);
        check("a\u{a0}b", false);
        check("a+b", false);
        check("a\nb", false);
        check(&"a".repeat(NAME_BYTES_MAX), true);
        check(&"a".repeat(NAME_BYTES_MAX + 1), false);
    }

    #[test]
    fn a_cosignature_is_of_the_time_and_the_whole_body() {
        let key = StoredKey::from_seed(KeyKind::Witness, "w.example", 0, &[2; 32]).unwrap();
        let body = "log.example\n1\nAAAA\n";
        let line = key.cosignature_line(body, 1_679_315_147);
        let blob = line.strip_prefix("\u{2014} w.example ").unwrap().trim_end();
        let blob = STANDARD.decode(blob).unwrap();
        assert_eq!(blob[..4], key.id().0);
        assert_eq!(blob[4..12], 1_679_315_147_u64.to_be_bytes());
        let signature = ed25519_dalek::Signature::from_slice(&blob[12..]).unwrap();
        let message = format!("cosignature/v1\ntime 1679315147\n{body}");
        let public = key.signing.verifying_key();
        assert!(public.verify_strict(message.as_bytes(), &signature).is_ok());
        assert!(key.vkey().contains("+BI"), "type 4: {}", key.vkey());
    }

    #[test]
    fn ids_are_read_as_they_are_shown() {
        let id = KeyId([0x0a, 0, 1, 0xff]);
        assert_eq!(id.to_string(), "0a0001ff");
        assert_eq!("0a0001ff".parse::<KeyId>().unwrap(), id);
        for text in ["", "0A0001FF", "a0001ff", "+a0001ff", "0a0001ff0"] {
            assert!(text.parse::<KeyId>().is_err(), "{text:?}");
        }
    }
}
