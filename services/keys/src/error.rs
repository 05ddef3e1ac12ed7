//! What can go wrong with keys: the operator acts on all of it.

use std::io;
use std::path::{Path, PathBuf};

/// Why a key cannot be made, read or changed.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// Key names must be 1 to 255 bytes, without spaces, control characters and `+`.
    #[error(
        "`{name}` is not a key name: 1 to 255 bytes without spaces, control characters and `+`"
    )]
    NameMalformed {
        /// The name.
        name: String,
    },
    /// An empty passphrase encrypts nothing.
    #[error("the passphrase of the keys must not be empty")]
    PassphraseMissing,
    /// The file was encrypted with another passphrase, or is damaged: nobody can tell which.
    #[error("{}: not the passphrase of this key, or the file is damaged", file.display())]
    PassphraseWrong {
        /// The key's file.
        file: PathBuf,
    },
    /// The file is no key.
    #[error("{}: {reason}", file.display())]
    FileMalformed {
        /// The key's file.
        file: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// No such key here.
    #[error("there is no key {id}")]
    Unknown {
        /// Its id.
        id: crate::KeyId,
    },
    /// No key would be left to sign with: make the next one first.
    #[error("key {id} is the last active one of its name; generate the next one first")]
    LastActive {
        /// Its id.
        id: crate::KeyId,
    },
    /// There is no key to sign with.
    #[error("there is no active key named `{name}`")]
    NoneActive {
        /// The name.
        name: String,
    },
    /// A file could not be read or written.
    #[error("cannot {action} {}: {source}", file.display())]
    Io {
        /// What was being done.
        action: &'static str,
        /// The file.
        file: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// The system has no randomness.
    #[error("no random bytes: {0}")]
    Random(getrandom::Error),
}

impl KeyError {
    /// For `map_err`: an I/O error with what was being done.
    pub(crate) fn io(action: &'static str, file: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io {
            action,
            file: file.to_owned(),
            source,
        }
    }

    pub(crate) fn malformed(file: &Path, reason: impl Into<String>) -> Self {
        Self::FileMalformed {
            file: file.to_owned(),
            reason: reason.into(),
        }
    }
}
