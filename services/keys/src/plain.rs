//! Key files of Go's `golang.org/x/mod/sumdb/note`, which older ledgers had: one line
//! `PRIVATE+KEY+<name>+<key id, hex>+<base64(type || seed)>`.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::error::KeyError;
use crate::key::{KeyKind, StoredKey};

const PREFIX: &str = "PRIVATE+KEY+";

/// Reads the key at `path`; `None` if there is no file.
pub(crate) fn read(path: &Path, created: u64) -> Result<Option<StoredKey>, KeyError> {
    if !path.exists() {
        return Ok(None);
    }
    let io = |error| KeyError::io("read", path)(error);
    let mode = fs::metadata(path).map_err(io)?.permissions().mode();
    if mode & 0o077 != 0 {
        let reason = format!("mode {:o} lets others read it; chmod 600", mode & 0o777);
        return Err(KeyError::malformed(path, reason));
    }
    let text = fs::read_to_string(path).map_err(io)?;
    let key = parse(&text, created);
    key.map(Some)
        .ok_or_else(|| KeyError::malformed(path, "not one line PRIVATE+KEY+name+id+key"))
}

/// The inverse of `text`; the last newline may be missing.
fn parse(file: &str, created: u64) -> Option<StoredKey> {
    let line = file.strip_suffix('\n').unwrap_or(file);
    let mut parts = line.strip_prefix(PREFIX)?.splitn(3, '+');
    let (name, _id, seed) = (parts.next()?, parts.next()?, parts.next()?);
    let seed = STANDARD.decode(seed).ok()?;
    let (&[kind], seed) = seed.split_at_checked(1)? else {
        return None;
    };
    let kind = [KeyKind::Log, KeyKind::Witness]
        .into_iter()
        .find(|known| *known as u8 == kind)?;
    let key = StoredKey::from_seed(kind, name, created, seed.try_into().ok()?).ok()?;
    // Also compares the key id, which tells a damaged key before it signs anything.
    (text(&key).trim_end() == line).then_some(key)
}

fn text(key: &StoredKey) -> String {
    let seed = [&[key.kind as u8], key.signing.as_bytes().as_slice()].concat();
    format!(
        "{PREFIX}{}+{}+{}\n",
        key.name,
        key.id(),
        STANDARD.encode(seed)
    )
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    // The key of Go's sumdb/note tests.
    const SKEY: &str =
        "PRIVATE+KEY+PeterNeumann+c74f20a3+AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz\n";
    const VKEY: &str = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";

    #[test]
    fn published_key_and_note_are_ours() {
        let key = parse(SKEY, 7).unwrap();
        assert_eq!(key.vkey(), VKEY);
        assert_eq!(text(&key), SKEY);
        let note = "If you think cryptography is the answer to your problem,\n\
                    then you don't know what your problem is.\n";
        let line = "\u{2014} PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXg\
                    KvqfqdngotpRZb6KE6RyyBwJnAM=\n";
        assert_eq!(key.signature_line(note), line);
        assert_eq!(
            format!("{key:?}"),
            format!("StoredKey(\"{VKEY}\", Active)"),
            "no secret in logs"
        );
    }

    #[test]
    fn a_changed_key_file_is_refused() {
        for at in 0..SKEY.len() - 1 {
            let mut bytes = SKEY.as_bytes().to_vec();
            bytes[at] ^= 1;
            let text = String::from_utf8(bytes).unwrap();
            assert!(parse(&text, 0).is_none(), "byte {at}: {text}");
        }
        for text in ["", "\n", "PRIVATE+KEY+", &format!("{SKEY}\n"), &SKEY[1..]] {
            assert!(parse(text, 0).is_none(), "{text:?}");
        }
    }
}
