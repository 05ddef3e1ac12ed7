//! What the processes of one scheme know and nobody else does.

use sha2::{Digest, Sha256};
use tonic::metadata::{Ascii, MetadataMap, MetadataValue};
use tonic::{Request, Status};

const KEY: &str = "x-valuta-link";

/// A shared secret; what is compared and sent is its SHA-256.
#[derive(Clone)]
pub struct Secret(MetadataValue<Ascii>);

impl Secret {
    /// From any text of at least 16 characters.
    ///
    /// # Errors
    /// If it is shorter: says so.
    pub fn new(text: &str) -> Result<Self, String> {
        const CHARS_MIN: usize = 16;
        if text.trim().chars().count() < CHARS_MIN {
            return Err(format!("has less than {CHARS_MIN} characters"));
        }
        let hash = Sha256::digest(text.trim().as_bytes());
        let hex: String = hash.iter().map(|byte| format!("{byte:02x}")).collect();
        Ok(Self(hex.parse().expect("hexadecimal digits are ASCII")))
    }

    /// Signs a request with it.
    pub fn put<T>(&self, request: &mut Request<T>) {
        request.metadata_mut().insert(KEY, self.0.clone());
    }

    /// Whether a request came from one who knows it.
    ///
    /// # Errors
    /// `UNAUTHENTICATED`.
    pub fn check(&self, metadata: &MetadataMap) -> Result<(), Status> {
        // Of hashes: how far they agree tells nothing of the secret.
        match metadata.get(KEY) {
            Some(sent) if sent.as_bytes() == self.0.as_bytes() => Ok(()),
            _ => Err(Status::unauthenticated(
                "the scheme's link secret is missing or another one",
            )),
        }
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret")
    }
}
