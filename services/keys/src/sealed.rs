//! The text of a key's file.
//!
//! ```text
//! valuta.key/v1
//! name <name>
//! kind log|witness
//! created <unix seconds>
//! state active|retired
//! public <base64 of 32 bytes>
//! argon2id <memory, KiB> <passes> <lanes> <base64 salt of 16 bytes>
//! sealed <base64 of the 32 secret bytes under ChaCha20-Poly1305>
//! ```
//!
//! The sealing key is Argon2id of passphrase and salt. Each writing takes a new salt, so no key seals
//! twice and the nonce is zero. All lines above the last are bound to it: none can be changed without
//! the passphrase.

use std::path::Path;

use argon2::{Algorithm, Argon2, Params, Version};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chacha20poly1305::aead::{Aead as _, KeyInit as _, Payload};
use chacha20poly1305::{ChaCha20Poly1305, Key, Nonce};

use crate::error::KeyError;
use crate::key::{KeyKind, KeyState, StoredKey};

const FORMAT: &str = "valuta.key/v1";
const NONCE: [u8; 12] = [0; 12];
const SALT_BYTES: usize = 16;

/// What guessing one passphrase costs.
#[derive(Clone, Copy)]
pub(crate) struct Cost {
    memory_kib: u32,
    passes: u32,
    lanes: u32,
}

/// The second recommendation of RFC 9106 section 4.
#[cfg(not(test))]
const COST: Cost = Cost {
    memory_kib: 64 << 10,
    passes: 3,
    lanes: 4,
};
#[cfg(test)]
const COST: Cost = Cost {
    memory_kib: 64,
    passes: 1,
    lanes: 1,
};
/// More than this is damage, not care: 1 GiB and 64 passes.
const COST_MAX: Cost = Cost {
    memory_kib: 1 << 20,
    passes: 64,
    lanes: 64,
};

/// The file's text.
pub(crate) fn seal(key: &StoredKey, passphrase: &str) -> Result<String, KeyError> {
    let mut salt = [0; SALT_BYTES];
    getrandom::fill(&mut salt).map_err(KeyError::Random)?;
    let cost = COST;
    let open = format!(
        "{FORMAT}\nname {}\nkind {}\ncreated {}\nstate {}\npublic {}\nargon2id {} {} {} {}\n",
        key.name,
        kind_text(key.kind),
        key.created,
        state_text(key.state),
        STANDARD.encode(key.signing.verifying_key().as_bytes()),
        cost.memory_kib,
        cost.passes,
        cost.lanes,
        STANDARD.encode(salt),
    );
    let payload = Payload {
        msg: key.signing.as_bytes(),
        aad: open.as_bytes(),
    };
    let cipher = cipher(passphrase, &salt, cost).expect("our own cost is within the limits");
    let sealed = cipher
        .encrypt(&Nonce::from(NONCE), payload)
        .expect("32 bytes are not too many");
    Ok(format!("{open}sealed {}\n", STANDARD.encode(sealed)))
}

/// Reads a file's text; `file` is for errors.
pub(crate) fn open(file: &Path, text: &str, passphrase: &str) -> Result<StoredKey, KeyError> {
    let parsed = parse(text);
    let parsed = parsed.ok_or_else(|| KeyError::malformed(file, "not a valuta.key/v1"))?;
    let wrong = || KeyError::PassphraseWrong {
        file: file.to_owned(),
    };
    let cipher = cipher(passphrase, &parsed.salt, parsed.cost);
    let cipher = cipher.ok_or_else(|| KeyError::malformed(file, "cost out of range"))?;
    let payload = Payload {
        msg: &parsed.sealed,
        aad: parsed.open.as_bytes(),
    };
    let seed = cipher.decrypt(&Nonce::from(NONCE), payload);
    let seed: [u8; 32] = seed
        .ok()
        .and_then(|seed| seed.try_into().ok())
        .ok_or_else(wrong)?;
    let mut key = StoredKey::from_seed(parsed.kind, parsed.name, parsed.created, &seed)?;
    key.state = parsed.state;
    if key.signing.verifying_key().as_bytes()[..] != parsed.public[..] {
        return Err(KeyError::malformed(
            file,
            "the public half is another key's",
        ));
    }
    Ok(key)
}

struct Parsed<'a> {
    /// All above the last line.
    open: &'a str,
    name: &'a str,
    kind: KeyKind,
    created: u64,
    state: KeyState,
    public: Vec<u8>,
    cost: Cost,
    salt: Vec<u8>,
    sealed: Vec<u8>,
}

fn parse(text: &str) -> Option<Parsed<'_>> {
    let (open, sealed) = text.split_at(text.find("\nsealed ")? + 1);
    let mut lines = open.strip_suffix('\n')?.split('\n');
    if lines.next()? != FORMAT {
        return None;
    }
    let mut value = |name: &str| lines.next()?.strip_prefix(name)?.strip_prefix(' ');
    let (name, kind, created) = (value("name")?, value("kind")?, value("created")?);
    let (state, public, argon2id) = (value("state")?, value("public")?, value("argon2id")?);
    if lines.next().is_some() {
        return None;
    }
    let mut cost = argon2id.split(' ');
    let mut number = || cost.next()?.parse().ok();
    let (memory_kib, passes, lanes) = (number()?, number()?, number()?);
    let salt = decode(cost.next()?)?;
    let kinds = [KeyKind::Log, KeyKind::Witness];
    let states = [KeyState::Active, KeyState::Retired];
    Some(Parsed {
        open,
        name,
        kind: kinds.into_iter().find(|known| kind_text(*known) == kind)?,
        created: created.parse().ok()?,
        state: states
            .into_iter()
            .find(|known| state_text(*known) == state)?,
        public: decode(public)?,
        cost: Cost {
            memory_kib,
            passes,
            lanes,
        },
        salt,
        sealed: decode(sealed.strip_prefix("sealed ")?.strip_suffix('\n')?)?,
    })
}

/// `None` if the cost is out of range.
fn cipher(passphrase: &str, salt: &[u8], cost: Cost) -> Option<ChaCha20Poly1305> {
    let is_within = cost.memory_kib <= COST_MAX.memory_kib
        && cost.passes <= COST_MAX.passes
        && cost.lanes <= COST_MAX.lanes;
    let params = Params::new(cost.memory_kib, cost.passes, cost.lanes, Some(32)).ok();
    let params = params.filter(|_| is_within)?;
    let mut key = [0; 32];
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
        .hash_password_into(passphrase.as_bytes(), salt, &mut key)
        .ok()?;
    Some(ChaCha20Poly1305::new(&Key::from(key)))
}

fn kind_text(kind: KeyKind) -> &'static str {
    match kind {
        KeyKind::Log => "log",
        KeyKind::Witness => "witness",
    }
}

fn state_text(state: KeyState) -> &'static str {
    match state {
        KeyState::Active => "active",
        KeyState::Retired => "retired",
    }
}

fn decode(text: &str) -> Option<Vec<u8>> {
    STANDARD.decode(text).ok()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn every_flipped_bit_and_every_other_passphrase_is_refused() {
        let key = StoredKey::from_seed(KeyKind::Log, "log.example", 9, &[3; 32]).unwrap();
        let text = seal(&key, "right").unwrap();
        let file = Path::new("x.key");
        assert_eq!(open(file, &text, "right").unwrap().vkey(), key.vkey());
        let error = open(file, &text, "wrong").unwrap_err();
        assert!(matches!(error, KeyError::PassphraseWrong { .. }), "{error}");
        for bit in 0..text.len() * 8 {
            let mut bytes = text.clone().into_bytes();
            bytes[bit / 8] ^= 1 << (bit % 8);
            let Ok(changed) = String::from_utf8(bytes) else {
                continue;
            };
            assert!(open(file, &changed, "right").is_err(), "{bit}: {changed}");
        }
        for secret in [STANDARD.encode([3; 32]), "03030303".to_owned()] {
            assert!(!text.contains(&secret));
        }
        assert_ne!(text, seal(&key, "right").unwrap(), "a new salt each time");
    }
}
