//! The data directory: what lies where, and what is fixed at the first start.
//!
//! ```text
//! DIR/mode              "live" or "rehearsal", fixed at the first start
//! DIR/journal/          all that matters: everything else but the keys comes from it
//! DIR/ledger/           the Merkle log: `public/` is what any file server may serve
//! DIR/keys/             the ledger's keys, encrypted
//! DIR/keys.passphrase   what they are encrypted with, unless `passphrase_file` names another
//! DIR/batches/          what each batch settled and changed, for proofs; rebuilt
//! DIR/snapshots/        the state at two places of the journal, for a quick start; identities of older
//!                       days, always asked; rebuilt
//! DIR/read-model.sqlite rebuilt
//! DIR/operator.token    the first token, made at the first start
//! ```

use anyhow::{Context, bail};
use std::fs;
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// Paths in one data directory.
#[derive(Clone, Debug)]
pub(crate) struct DataDir {
    root: PathBuf,
}

impl DataDir {
    /// Makes the directory, readable for its owner only, and settles the mode.
    pub fn open(root: &Path, rehearsal: bool) -> anyhow::Result<Self> {
        let make = |path: &Path| {
            fs::DirBuilder::new()
                .recursive(true)
                .mode(0o700)
                .create(path)
                .with_context(|| format!("data: {}", path.display()))
        };
        make(root)?;
        let dir = Self {
            root: root.to_path_buf(),
        };
        dir.settle_mode(rehearsal)?;
        make(&dir.ledger())?;
        Ok(dir)
    }

    pub fn journal(&self) -> PathBuf {
        self.root.join("journal")
    }

    pub fn ledger(&self) -> PathBuf {
        self.root.join("ledger")
    }

    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Where an older ledger kept its key, unencrypted: it is taken over.
    pub fn ledger_key(&self) -> PathBuf {
        self.root.join("ledger").join("key")
    }

    pub fn batches(&self) -> PathBuf {
        self.root.join("batches")
    }

    pub fn snapshots(&self) -> PathBuf {
        self.root.join("snapshots")
    }

    pub fn read_model(&self) -> PathBuf {
        self.root.join("read-model.sqlite")
    }

    pub fn operator_token(&self) -> PathBuf {
        self.root.join("operator.token")
    }

    /// What an earlier start fixed; `None` before the first.
    pub fn mode(root: &Path) -> anyhow::Result<Option<bool>> {
        let path = root.join("mode");
        match fs::read_to_string(&path) {
            Ok(mode) if mode == "live\n" => Ok(Some(false)),
            Ok(mode) if mode == "rehearsal\n" => Ok(Some(true)),
            Ok(mode) => bail!("{}: neither live nor rehearsal: {mode:?}", path.display()),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error).with_context(|| path.display().to_string()),
        }
    }

    /// A rehearsal's journal must never go on with real time, nor the other way round.
    fn settle_mode(&self, rehearsal: bool) -> anyhow::Result<()> {
        match Self::mode(&self.root)? {
            Some(true) if !rehearsal => bail!(
                "{} holds a rehearsal: start it with --rehearsal",
                self.root.display()
            ),
            Some(false) if rehearsal => bail!(
                "{} is live: a rehearsal needs a directory of its own",
                self.root.display()
            ),
            Some(_) => Ok(()),
            None if self.journal().exists() => bail!(
                "{} holds a journal but no file `mode`: restore it (live or rehearsal)",
                self.root.display()
            ),
            None => {
                let mode = if rehearsal { "rehearsal\n" } else { "live\n" };
                write_durably(&self.root.join("mode"), mode, 0o644)
            }
        }
    }
}

/// Whole or not there, also after a crash.
pub(crate) fn write_durably(path: &Path, text: &str, mode: u32) -> anyhow::Result<()> {
    let partial = path.with_extension("tmp");
    let write = || -> std::io::Result<()> {
        let mut file = fs::OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(mode)
            .open(&partial)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        fs::rename(&partial, path)?;
        // The rename itself is durable once the directory is.
        fs::File::open(path.parent().unwrap_or(Path::new(".")))?.sync_all()
    };
    write().with_context(|| path.display().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mode_is_fixed_at_the_first_start() {
        let root = std::env::temp_dir().join(format!("valuta-mode-{}", std::process::id()));
        let open = |rehearsal| DataDir::open(&root, rehearsal).map(|_| ());
        assert!(open(true).is_ok());
        assert!(open(true).is_ok());
        let error = open(false).expect_err("it is a rehearsal").to_string();
        assert!(error.contains("--rehearsal"), "{error}");
        fs::write(root.join("mode"), "x").expect("written");
        assert!(open(true).is_err());
        fs::remove_file(root.join("mode")).expect("removed");
        fs::create_dir(root.join("journal")).expect("made");
        let error = open(true)
            .expect_err("a journal without a mode")
            .to_string();
        assert!(error.contains("mode"), "{error}");
        fs::remove_dir_all(root).expect("removed");
    }
}
