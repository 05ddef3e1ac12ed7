//! The log's key: an Ed25519 key with the log's origin as its name.
//!
//! The key file holds one line in the form of Go's `golang.org/x/mod/sumdb/note`, so that other tools of
//! this family can sign with it: `PRIVATE+KEY+<name>+<key id, hex>+<base64(0x01 || seed)>`.

use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use ed25519_dalek::{Signer as _, SigningKey};

use crate::error::{LedgerError, NoteError};
use crate::hash::{decode, encode, sha256};

/// C2SP signed-note: the signature type of plain Ed25519.
const TYPE_ED25519: u8 = 0x01;
/// Longest key name that we make or take, in bytes.
const NAME_BYTES_MAX: usize = 255;
/// Permission bits of the key file: its owner only.
const KEY_FILE_MODE: u32 = 0o600;
const KEY_FILE_PREFIX: &str = "PRIVATE+KEY+";

/// An Ed25519 signing key, named by the log's origin.
#[derive(Clone)]
pub struct LogKey {
    name: String,
    signing: SigningKey,
}

impl LogKey {
    /// A key from its 32 secret bytes.
    ///
    /// # Errors
    /// If `name` is no key name (C2SP signed-note: not empty, no spaces, no `+`).
    pub fn from_seed(name: &str, seed: &[u8; 32]) -> Result<Self, NoteError> {
        check_name(name)?;
        Ok(Self {
            name: name.to_owned(),
            signing: SigningKey::from_bytes(seed),
        })
    }

    /// Makes a new key and writes it to `path`, readable by its owner only. Durable on return.
    ///
    /// # Errors
    /// If the name is no key name, the file exists, or it cannot be written.
    pub fn create(path: &Path, name: &str) -> Result<Self, LedgerError> {
        let mut seed = [0; 32];
        getrandom::fill(&mut seed).map_err(|error| refuse(path, error))?;
        let key = Self::from_seed(name, &seed)?;
        let unfinished = with_suffix(path, ".new");
        let write = || -> io::Result<()> {
            // Left by a crash here: nobody has used that key, so it goes.
            let _ = fs::remove_file(&unfinished);
            let mut file = OpenOptions::new()
                .write(true)
                .create_new(true)
                .mode(KEY_FILE_MODE)
                .open(&unfinished)?;
            file.write_all(key.text().as_bytes())?;
            file.sync_all()?;
            // A link and not a rename: it fails if the key exists, and so never replaces one.
            let linked = fs::hard_link(&unfinished, path);
            fs::remove_file(&unfinished)?;
            linked?;
            File::open(parent(path))?.sync_all()
        };
        write().map_err(LedgerError::io("create key file", path))?;
        Ok(key)
    }

    /// Reads the key from `path`.
    ///
    /// # Errors
    /// If the file cannot be read, can be read by others than its owner, or holds no key.
    pub fn load(path: &Path) -> Result<Self, LedgerError> {
        let io = |error| LedgerError::io("read key file", path)(error);
        let mode = fs::metadata(path).map_err(io)?.permissions().mode();
        if mode & 0o077 != 0 {
            return Err(refuse(
                path,
                format!("mode {:o} lets others read it; chmod 600", mode & 0o777),
            ));
        }
        let text = fs::read_to_string(path).map_err(io)?;
        Self::parse(&text).ok_or_else(|| refuse(path, "not one line PRIVATE+KEY+name+id+key"))
    }

    /// Reads the key from `path`, or makes one at the first start.
    ///
    /// # Errors
    /// As [`load`](Self::load) and [`create`](Self::create), or if the key there has another name.
    pub fn load_or_create(path: &Path, name: &str) -> Result<Self, LedgerError> {
        if !path.exists() {
            return Self::create(path, name);
        }
        let key = Self::load(path)?;
        if key.name == name {
            return Ok(key);
        }
        Err(refuse(
            path,
            format!("its name is `{}`, not `{name}`", key.name),
        ))
    }

    /// The key's name: the log's origin.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The verifier key for policies: `name+hex(key id)+base64(0x01 || public key)`.
    #[must_use]
    pub fn vkey(&self) -> String {
        format!(
            "{}+{}+{}",
            self.name,
            hex(self.id()),
            encode(&self.typed_public())
        )
    }

    /// The C2SP tlog-policy that trusts this log's signature alone. A bank takes it from the operator by
    /// another way than the receipts.
    #[must_use]
    pub fn policy(&self) -> String {
        format!("log {}\nquorum none\n", self.vkey())
    }

    /// The key id: `SHA-256(name || 0x0A || 0x01 || public key)[..4]`.
    #[must_use]
    pub fn id(&self) -> [u8; 4] {
        let hash = sha256(&[self.name.as_bytes(), b"\n", &self.typed_public()].concat());
        [hash[0], hash[1], hash[2], hash[3]]
    }

    /// Signs a note's text, giving a signature line with its newline.
    pub(crate) fn signature_line(&self, text: &str) -> String {
        let signature = self.signing.sign(text.as_bytes());
        format!(
            "\u{2014} {} {}\n",
            self.name,
            encode(&[&self.id()[..], &signature.to_bytes()].concat())
        )
    }

    fn typed_public(&self) -> Vec<u8> {
        [
            &[TYPE_ED25519],
            self.signing.verifying_key().as_bytes().as_slice(),
        ]
        .concat()
    }

    fn text(&self) -> String {
        let seed = [&[TYPE_ED25519], self.signing.as_bytes().as_slice()].concat();
        format!(
            "{KEY_FILE_PREFIX}{}+{}+{}\n",
            self.name,
            hex(self.id()),
            encode(&seed)
        )
    }

    /// The inverse of `text`; the last newline may be missing.
    fn parse(text: &str) -> Option<Self> {
        let line = text.strip_suffix('\n').unwrap_or(text);
        let mut parts = line.strip_prefix(KEY_FILE_PREFIX)?.splitn(3, '+');
        let (name, _id, seed) = (parts.next()?, parts.next()?, parts.next()?);
        let seed = decode(seed)?;
        let (&[TYPE_ED25519], seed) = seed.split_at_checked(1)? else {
            return None;
        };
        let key = Self::from_seed(name, seed.try_into().ok()?).ok()?;
        // Also compares the key id, which tells a damaged key before it signs anything.
        (key.text().trim_end() == line).then_some(key)
    }
}

/// Shows the public half only.
impl fmt::Debug for LogKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("LogKey").field(&self.vkey()).finish()
    }
}

fn check_name(name: &str) -> Result<(), NoteError> {
    let fits = (1..=NAME_BYTES_MAX).contains(&name.len());
    if fits && !name.contains(|c: char| c.is_whitespace() || c.is_control() || c == '+') {
        return Ok(());
    }
    Err(NoteError::NameMalformed {
        name: name.chars().take(NAME_BYTES_MAX).collect(),
    })
}

fn hex(id: [u8; 4]) -> String {
    format!("{:08x}", u32::from_be_bytes(id))
}

fn refuse(file: &Path, reason: impl ToString) -> LedgerError {
    LedgerError::Key {
        file: file.to_owned(),
        reason: reason.to_string(),
    }
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

fn parent(path: &Path) -> &Path {
    path.parent()
        .filter(|parent| !parent.as_os_str().is_empty())
        .unwrap_or(Path::new("."))
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
        let key = LogKey::parse(SKEY).unwrap();
        assert_eq!(key.vkey(), VKEY);
        assert_eq!(key.text(), SKEY);
        let text = "If you think cryptography is the answer to your problem,\n\
                    then you don't know what your problem is.\n";
        let line = "\u{2014} PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXg\
                    KvqfqdngotpRZb6KE6RyyBwJnAM=\n";
        assert_eq!(key.signature_line(text), line);
        assert_eq!(
            format!("{key:?}"),
            format!("LogKey(\"{VKEY}\")"),
            "no secret in logs"
        );
    }

    #[test]
    fn a_changed_key_file_is_refused() {
        for at in 0..SKEY.len() - 1 {
            let mut bytes = SKEY.as_bytes().to_vec();
            bytes[at] ^= 1;
            let text = String::from_utf8(bytes).unwrap();
            assert!(LogKey::parse(&text).is_none(), "byte {at}: {text}");
        }
        for text in ["", "\n", "PRIVATE+KEY+", &format!("{SKEY}\n"), &SKEY[1..]] {
            assert!(LogKey::parse(text).is_none(), "{text:?}");
        }
    }

    #[test]
    fn names_are_checked() {
        let check = |name: &str, good: bool| {
            assert_eq!(LogKey::from_seed(name, &[1; 32]).is_ok(), good, "{name:?}")
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
    fn the_key_file_is_private_and_never_replaced() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log.key");
        fs::write(dir.path().join("log.key.new"), "left by a crash").unwrap();
        let key = LogKey::load_or_create(&path, "log").unwrap();
        assert_eq!(
            fs::metadata(&path).unwrap().permissions().mode() & 0o777,
            0o600
        );
        assert_eq!(
            LogKey::load_or_create(&path, "log").unwrap().vkey(),
            key.vkey()
        );
        assert!(matches!(
            LogKey::create(&path, "log"),
            Err(LedgerError::Io { .. })
        ));
        assert!(
            LogKey::load_or_create(&path, "other")
                .unwrap_err()
                .to_string()
                .contains("its name is `log`")
        );
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        assert!(
            LogKey::load(&path)
                .unwrap_err()
                .to_string()
                .contains("mode 640")
        );
    }
}
