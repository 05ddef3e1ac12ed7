//! The log's keys: all under one name, the log's origin.

use std::path::Path;

use valuta_keys::{KeyError, KeyId, KeyKind, KeyRing, KeyState, StoredKey};

/// Signs the log's checkpoints, with every active key: a verifier that knows one of them is content.
/// It knows the retired ones too, which signed what is stored.
#[derive(Debug, Clone)]
pub struct LogKey {
    /// Oldest first; one at least is active.
    keys: Vec<StoredKey>,
}

impl LogKey {
    /// A single key from its 32 secret bytes. Nothing is stored.
    ///
    /// # Errors
    /// If `name` is no key name (C2SP signed-note: not empty, no spaces, no `+`).
    pub fn from_seed(name: &str, seed: &[u8; 32]) -> Result<Self, KeyError> {
        let key = StoredKey::from_seed(KeyKind::Log, name, 0, seed)?;
        Ok(Self { keys: vec![key] })
    }

    /// The log keys of the ring under `name`.
    ///
    /// # Errors
    /// If none of them is active.
    pub fn from_ring(ring: &KeyRing, name: &str) -> Result<Self, KeyError> {
        let of_log = |key: &&StoredKey| key.kind() == KeyKind::Log && key.name() == name;
        let keys: Vec<_> = ring.list().iter().filter(of_log).cloned().collect();
        if keys.iter().all(|key| key.state() == KeyState::Retired) {
            let name = name.to_owned();
            return Err(KeyError::NoneActive { name });
        }
        Ok(Self { keys })
    }

    /// As [`from_ring`](Self::from_ring), with the unencrypted key file of an older ledger taken over, and
    /// a first key made where the ring has none for a log; `now` in unix seconds.
    ///
    /// # Errors
    /// If a key cannot be taken over or made, or the ring's log keys have other names: a log never changes
    /// its origin.
    pub fn open(ring: &mut KeyRing, name: &str, plain: &Path, now: u64) -> Result<Self, KeyError> {
        ring.take_over(plain, now)?;
        if ring.list().iter().all(|key| key.kind() != KeyKind::Log) {
            ring.generate(KeyKind::Log, name, now)?;
        }
        Self::from_ring(ring, name)
    }

    /// The keys' name: the log's origin.
    #[must_use]
    pub fn name(&self) -> &str {
        self.newest().name()
    }

    /// The newest active key, for policies: `name+hex(key id)+base64(0x01 || public key)`.
    #[must_use]
    pub fn vkey(&self) -> String {
        self.newest().vkey()
    }

    /// The id of the newest active key.
    #[must_use]
    pub fn id(&self) -> [u8; 4] {
        self.newest().id().0
    }

    /// The C2SP tlog-policy that trusts this log's signature alone, by any key that is not retired. A bank
    /// takes it from the operator by another way than the receipts.
    #[must_use]
    pub fn policy(&self) -> String {
        let logs = self.active().map(|key| format!("log {}\n", key.vkey()));
        logs.chain(["quorum none\n".to_owned()]).collect()
    }

    /// Signs a note's text, giving a signature line with its newline for each active key.
    pub(crate) fn signature_lines(&self, text: &str) -> String {
        self.active().map(|key| key.signature_line(text)).collect()
    }

    /// The key of this name and id, active or not.
    pub(crate) fn find(&self, name: &str, id: [u8; 4]) -> Option<&StoredKey> {
        let mut keys = self.keys.iter();
        keys.find(|key| key.name() == name && key.id() == KeyId(id))
    }

    fn active(&self) -> impl DoubleEndedIterator<Item = &StoredKey> {
        let keys = self.keys.iter();
        keys.filter(|key| key.state() == KeyState::Active)
    }

    fn newest(&self) -> &StoredKey {
        self.active().next_back().expect("one is active")
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_log_keeps_its_name_and_knows_its_retired_keys() {
        let dir = tempfile::tempdir().unwrap();
        let plain = dir.path().join("key");
        let mut ring = KeyRing::open(&dir.path().join("keys"), "p").unwrap();
        let first = LogKey::open(&mut ring, "log", &plain, 1).unwrap();
        let again = LogKey::open(&mut ring, "log", &plain, 2).unwrap();
        assert_eq!(first.vkey(), again.vkey());
        let other = LogKey::open(&mut ring, "other", &plain, 2);
        assert!(matches!(other, Err(KeyError::NoneActive { .. })));
        ring.generate(KeyKind::Log, "log", 3).unwrap();
        let both = LogKey::from_ring(&ring, "log").unwrap();
        let lines = [first.vkey(), both.vkey()].map(|vkey| format!("log {vkey}\n"));
        assert_eq!(
            both.policy(),
            format!("{}{}quorum none\n", lines[0], lines[1])
        );
        ring.retire(KeyId(first.id())).unwrap();
        let second = LogKey::from_ring(&ring, "log").unwrap();
        assert_eq!(second.policy(), format!("{}quorum none\n", lines[1]));
        assert!(second.find("log", first.id()).is_some());
        assert_eq!(second.signature_lines("x\n").lines().count(), 1);
    }
}
