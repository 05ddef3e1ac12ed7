//! A directory of keys: `<key id>.key` each, readable by its owner only.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use crate::error::KeyError;
use crate::key::{KeyId, KeyKind, KeyState, StoredKey};
use crate::{plain, sealed};

const FILE_MODE: u32 = 0o600;
const DIRECTORY_MODE: u32 = 0o700;

/// The keys of one directory, all under one passphrase.
pub struct KeyRing {
    dir: PathBuf,
    passphrase: String,
    /// Oldest first.
    keys: Vec<StoredKey>,
}

impl KeyRing {
    /// Opens the directory, made if it is not there, and decrypts every key.
    ///
    /// # Errors
    /// If the passphrase is empty or not that of every key, or a file cannot be read or is no key.
    pub fn open(dir: &Path, passphrase: &str) -> Result<Self, KeyError> {
        if passphrase.is_empty() {
            return Err(KeyError::PassphraseMissing);
        }
        let mut builder = DirBuilder::new();
        builder.recursive(true).mode(DIRECTORY_MODE);
        builder.create(dir).map_err(KeyError::io("create", dir))?;
        let io = |error| KeyError::io("read", dir)(error);
        let mut keys = Vec::new();
        for entry in fs::read_dir(dir).map_err(io)? {
            let path = entry.map_err(io)?.path();
            // Anything else is nobody's: a `.new` was being written at a crash.
            if path.extension().is_some_and(|extension| extension == "key") {
                let text = fs::read_to_string(&path).map_err(KeyError::io("read", &path))?;
                keys.push(sealed::open(&path, &text, passphrase)?);
            }
        }
        let mut ring = Self {
            dir: dir.to_owned(),
            passphrase: passphrase.to_owned(),
            keys,
        };
        ring.sort();
        Ok(ring)
    }

    /// All keys, oldest first.
    #[must_use]
    pub fn list(&self) -> &[StoredKey] {
        &self.keys
    }

    /// The keys of a kind that sign, oldest first.
    pub fn active(&self, kind: KeyKind) -> impl Iterator<Item = &StoredKey> {
        self.keys
            .iter()
            .filter(move |key| key.kind == kind && key.state == KeyState::Active)
    }

    /// Makes a new key; `now` in unix seconds. Durable on return. Where there is an active one of that
    /// kind and name, both are active from now on: retire the old one when every verifier has the new.
    ///
    /// # Errors
    /// If the name is no key name, or the file cannot be written.
    pub fn generate(
        &mut self,
        kind: KeyKind,
        name: &str,
        now: u64,
    ) -> Result<&StoredKey, KeyError> {
        let mut seed = [0; 32];
        getrandom::fill(&mut seed).map_err(KeyError::Random)?;
        let key = StoredKey::from_seed(kind, name, now, &seed)?;
        let id = key.id();
        self.add(key)?;
        self.key(id)
    }

    /// Takes over the unencrypted file of an older ledger, if there is one: it is stored encrypted, and
    /// then removed. Whether there was one.
    ///
    /// # Errors
    /// If the file can be read by others than its owner, holds no key, or cannot be removed.
    pub fn take_over(&mut self, plain: &Path, now: u64) -> Result<bool, KeyError> {
        let Some(key) = plain::read(plain, now)? else {
            return Ok(false);
        };
        // A crash between the two leaves both: then it is here already.
        if self.key(key.id()).is_err() {
            self.add(key)?;
        }
        fs::remove_file(plain).map_err(KeyError::io("remove", plain))?;
        Ok(true)
    }

    /// Lets a key sign no more. Durable on return; a retired one is left as it is.
    ///
    /// # Errors
    /// If there is no such key, it is the last active one of its name, or the file cannot be written.
    pub fn retire(&mut self, id: KeyId) -> Result<(), KeyError> {
        let mut key = self.key(id)?.clone();
        if key.state == KeyState::Retired {
            return Ok(());
        }
        let mut others = self.active(key.kind);
        if !others.any(|other| other.id() != id && other.name == key.name) {
            return Err(KeyError::LastActive { id });
        }
        drop(others);
        key.state = KeyState::Retired;
        let unfinished = self.write(&key)?;
        let path = self.path(id);
        let replace = || fs::rename(&unfinished, &path).and_then(|()| sync_directory(&self.dir));
        replace().map_err(KeyError::io("replace", &path))?;
        self.keys.retain(|other| other.id() != id);
        self.keys.push(key);
        self.sort();
        Ok(())
    }

    /// The key with this id.
    ///
    /// # Errors
    /// If there is none.
    pub fn key(&self, id: KeyId) -> Result<&StoredKey, KeyError> {
        let found = self.keys.iter().find(|key| key.id() == id);
        found.ok_or(KeyError::Unknown { id })
    }

    fn add(&mut self, key: StoredKey) -> Result<(), KeyError> {
        let unfinished = self.write(&key)?;
        let path = self.path(key.id());
        let place = || -> io::Result<()> {
            // A link and not a rename: it fails if the file exists, and so never replaces a key.
            let linked = fs::hard_link(&unfinished, &path);
            fs::remove_file(&unfinished)?;
            linked?;
            sync_directory(&self.dir)
        };
        place().map_err(KeyError::io("create", &path))?;
        self.keys.push(key);
        self.sort();
        Ok(())
    }

    /// Writes the key beside its place; synced.
    fn write(&self, key: &StoredKey) -> Result<PathBuf, KeyError> {
        let unfinished = self.dir.join(format!("{}.new", key.id()));
        let text = sealed::seal(key, &self.passphrase)?;
        let write = || -> io::Result<()> {
            // Left by a crash here: nobody has used it, so it goes.
            let _ = fs::remove_file(&unfinished);
            let mut file = OpenOptions::new()
                .write(true)
                .create_new(true)
                .mode(FILE_MODE)
                .open(&unfinished)?;
            file.write_all(text.as_bytes())?;
            file.sync_all()
        };
        write().map_err(KeyError::io("write", &unfinished))?;
        Ok(unfinished)
    }

    fn path(&self, id: KeyId) -> PathBuf {
        self.dir.join(format!("{id}.key"))
    }

    fn sort(&mut self) {
        self.keys.sort_by_key(|key| (key.created, key.id()));
    }
}

fn sync_directory(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    const NAME: &str = "valuta.example/log";

    fn open(dir: &tempfile::TempDir) -> KeyRing {
        KeyRing::open(&dir.path().join("keys"), "passphrase").unwrap()
    }

    fn listed(ring: &KeyRing) -> Vec<(u64, KeyState)> {
        let keys = ring.list().iter();
        keys.map(|key| (key.created(), key.state())).collect()
    }

    #[test]
    fn keys_are_made_rotated_and_retired() {
        let dir = tempfile::tempdir().unwrap();
        let mut ring = open(&dir);
        let first = ring.generate(KeyKind::Log, NAME, 10).unwrap().id();
        assert!(matches!(
            ring.retire(first),
            Err(KeyError::LastActive { .. })
        ));
        let witness = ring.generate(KeyKind::Witness, NAME, 11).unwrap().id();
        assert!(ring.retire(first).is_err(), "another kind is no successor");
        let second = ring.generate(KeyKind::Log, NAME, 12).unwrap().id();
        let active = |ring: &KeyRing| {
            ring.active(KeyKind::Log)
                .map(StoredKey::id)
                .collect::<Vec<_>>()
        };
        assert_eq!(active(&ring), [first, second]);
        ring.retire(first).unwrap();
        ring.retire(first).unwrap();
        let again = open(&dir);
        for ring in [&ring, &again] {
            assert_eq!(active(ring), [second]);
            use KeyState::{Active, Retired};
            assert_eq!(listed(ring), [(10, Retired), (11, Active), (12, Active)]);
        }
        assert_eq!(again.key(witness).unwrap().kind(), KeyKind::Witness);
        let unknown = KeyId([0; 4]);
        assert!(matches!(
            ring.retire(unknown),
            Err(KeyError::Unknown { .. })
        ));
        let wrong = KeyRing::open(&dir.path().join("keys"), "Passphrase");
        assert!(matches!(wrong, Err(KeyError::PassphraseWrong { .. })));
        let none = KeyRing::open(&dir.path().join("keys"), "");
        assert!(matches!(none, Err(KeyError::PassphraseMissing)));
    }

    #[test]
    fn files_are_private_and_leftovers_are_nobodys() {
        let dir = tempfile::tempdir().unwrap();
        let mut ring = open(&dir);
        let id = ring.generate(KeyKind::Log, NAME, 1).unwrap().id();
        let path = dir.path().join("keys").join(format!("{id}.key"));
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&path), FILE_MODE);
        assert_eq!(mode(&dir.path().join("keys")), DIRECTORY_MODE);
        fs::write(dir.path().join("keys/00000000.new"), "cut off").unwrap();
        assert_eq!(listed(&open(&dir)), [(1, KeyState::Active)]);
        fs::write(dir.path().join("keys/00000000.key"), "valuta").unwrap();
        let error = KeyRing::open(&dir.path().join("keys"), "passphrase")
            .err()
            .unwrap();
        assert!(error.to_string().contains("00000000.key"), "{error}");
    }

    #[test]
    fn a_plain_key_is_taken_over_once() {
        let dir = tempfile::tempdir().unwrap();
        let plain = dir.path().join("key");
        let text =
            "PRIVATE+KEY+PeterNeumann+c74f20a3+AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz\n";
        let mut ring = open(&dir);
        assert!(!ring.take_over(&plain, 5).unwrap());
        for _crash_before_the_removal in 0..2 {
            fs::write(&plain, text).unwrap();
            fs::set_permissions(&plain, fs::Permissions::from_mode(0o640)).unwrap();
            assert!(
                ring.take_over(&plain, 5)
                    .unwrap_err()
                    .to_string()
                    .contains("mode 640")
            );
            fs::set_permissions(&plain, fs::Permissions::from_mode(0o600)).unwrap();
            assert!(ring.take_over(&plain, 5).unwrap());
            assert!(!plain.exists());
            assert_eq!(listed(&open(&dir)), [(5, KeyState::Active)]);
        }
        assert_eq!(ring.list()[0].id().to_string(), "c74f20a3");
    }
}
