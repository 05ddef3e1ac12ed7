//! Where the demo keeps its files: a directory that goes with it, or one to keep.

use crate::client::CliError;
use std::fs;
use std::path::{Path, PathBuf};

/// The demo's directory.
pub struct Home {
    root: PathBuf,
    is_kept: bool,
}

impl Home {
    /// A fresh directory; with `keep`, that one, which must be new or empty.
    ///
    /// # Errors
    /// [`crate::client::CliError::Usage`] if it cannot be made, or has something in it.
    pub fn new(keep: Option<&Path>) -> Result<Self, CliError> {
        let mut random = [0; 4];
        getrandom::fill(&mut random)
            .map_err(|error| CliError::Unavailable(format!("no random bytes: {error}")))?;
        let name = format!("valuta-demo-{:08x}", u32::from_be_bytes(random));
        let root = keep.map_or_else(|| std::env::temp_dir().join(name), Path::to_owned);
        fs::create_dir_all(&root).map_err(|error| CliError::file(&root, &error))?;
        let mut entries = fs::read_dir(&root).map_err(|error| CliError::file(&root, &error))?;
        if entries.next().is_some() {
            return Err(CliError::Usage(format!(
                "--keep {}: the directory is not empty",
                root.display()
            )));
        }
        let home = Self {
            root,
            is_kept: keep.is_some(),
        };
        fs::create_dir(home.receipts()).map_err(|error| CliError::file(&home.root, &error))?;
        Ok(home)
    }

    /// Whether it stays.
    pub fn is_kept(&self) -> bool {
        self.is_kept
    }

    /// The directory.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The server's data.
    pub fn data(&self) -> PathBuf {
        self.root.join("data")
    }

    /// The operator's token, as the server's first start has written it: in a cluster the first engine's.
    pub fn operator_token(&self) -> PathBuf {
        let (one, cluster) = (self.data(), self.data().join("engine-1"));
        let data = if cluster.exists() { cluster } else { one };
        data.join("operator.token")
    }

    /// What the server logs.
    pub fn log(&self) -> PathBuf {
        self.root.join("server.log")
    }

    /// One file for each receipt.
    pub fn receipts(&self) -> PathBuf {
        self.root.join("receipts")
    }

    /// The policy that verifies them.
    pub fn policy(&self) -> PathBuf {
        self.root.join("policy.txt")
    }

    /// Keeps the directory after all: its log says what went wrong.
    pub fn keep(&mut self) {
        self.is_kept = true;
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        if !self.is_kept {
            // Best effort: a temporary directory that stays harms nobody.
            let _ = fs::remove_dir_all(&self.root);
        }
    }
}
