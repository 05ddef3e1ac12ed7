//! C2SP tlog-policy: which logs a bank trusts, and how many witnesses it asks for.
//!
//! Lines of items separated by spaces and tabs; empty lines and lines starting with `#` are ignored:
//!
//! ```text
//! log <vkey> [<url>]
//! quorum none
//! ```
//!
//! `witness` and `group` lines, and any other quorum, are refused for now rather than ignored.

use ed25519_dalek::{Signature, VerifyingKey};

use crate::error::PolicyError;
use crate::merkle::sha256;
use crate::text;

/// Longest policy that is taken, in bytes.
pub const POLICY_BYTES_MAX: usize = 64 << 10;
/// Most logs in a policy; the format asks for 32 at least.
pub const LOGS_MAX: usize = 64;
/// C2SP signed-note: the signature type of plain Ed25519.
const TYPE_ED25519: u8 = 0x01;

/// Whom a bank trusts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    logs: Vec<LogKey>,
}

/// A log's verifier key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LogKey {
    pub(crate) name: String,
    pub(crate) id: [u8; 4],
    key: VerifyingKey,
}

impl Policy {
    /// Reads a policy file's text.
    ///
    /// # Errors
    /// A sentence with the line number.
    pub fn parse(text: &str) -> Result<Self, PolicyError> {
        if text.len() > POLICY_BYTES_MAX {
            return Err(PolicyError::TooLong {
                bytes: text.len(),
                max: POLICY_BYTES_MAX,
            });
        }
        let (mut policy, mut has_quorum) = (Self { logs: Vec::new() }, false);
        for (line, content) in (1..).zip(text.split('\n')) {
            let wrong = |reason| PolicyError::Line { line, reason };
            if content
                .bytes()
                .any(|byte| byte.is_ascii_control() && byte != b'\t')
            {
                return Err(wrong("control character"));
            }
            let items: Vec<&str> = content
                .split([' ', '\t'])
                .filter(|item| !item.is_empty())
                .collect();
            match items[..] {
                [] => {}
                [first, ..] if first.starts_with('#') => {}
                ["log", vkey] | ["log", vkey, _] => policy.add(vkey).map_err(wrong)?,
                ["log", ..] => return Err(wrong("`log <vkey> [<url>]` expected")),
                ["quorum", _] if has_quorum => return Err(wrong("a second `quorum` line")),
                ["quorum", "none"] => has_quorum = true,
                ["quorum", _] => {
                    return Err(PolicyError::NotSupportedYet {
                        line,
                        what: "quorum of witnesses",
                    });
                }
                ["quorum", ..] => return Err(wrong("`quorum <name>` expected")),
                ["witness", ..] => {
                    return Err(PolicyError::NotSupportedYet {
                        line,
                        what: "witness",
                    });
                }
                ["group", ..] => {
                    return Err(PolicyError::NotSupportedYet {
                        line,
                        what: "group",
                    });
                }
                _ => return Err(wrong("unknown keyword; `log` or `quorum` expected")),
            }
        }
        match (has_quorum, policy.logs.is_empty()) {
            (false, _) => Err(PolicyError::QuorumMissing),
            (true, true) => Err(PolicyError::LogMissing),
            (true, false) => Ok(policy),
        }
    }

    /// The key with this name and id.
    pub(crate) fn find(&self, name: &str, id: [u8; 4]) -> Option<&LogKey> {
        self.logs
            .iter()
            .find(|log| log.name == name && log.id == id)
    }

    fn add(&mut self, vkey: &str) -> Result<(), &'static str> {
        let log = LogKey::parse(vkey)?;
        if self.logs.iter().any(|other| other.key == log.key) {
            return Err("this key is already in a `log` line");
        }
        if self.find(&log.name, log.id).is_some() {
            return Err("another key in a `log` line has this name and id");
        }
        if self.logs.len() == LOGS_MAX {
            return Err("too many `log` lines");
        }
        self.logs.push(log);
        Ok(())
    }
}

impl LogKey {
    /// `name+hex(key id)+base64(type || public key)`; the base64 may hold a `+`.
    fn parse(vkey: &str) -> Result<Self, &'static str> {
        let mut parts = vkey.splitn(3, '+');
        let (Some(name), Some(id), Some(key)) = (parts.next(), parts.next(), parts.next()) else {
            return Err("key is not `name+id+key`");
        };
        if name.is_empty() || name.contains(char::is_whitespace) {
            return Err("key name is empty or has spaces");
        }
        let key = text::base64(key).ok_or("key is not canonical base64")?;
        let hash = sha256(&[name.as_bytes(), b"\n", &key]);
        let computed = u32::from_be_bytes([hash[0], hash[1], hash[2], hash[3]]);
        if format!("{computed:08x}") != id {
            return Err("key id does not belong to this name and key");
        }
        let (&[TYPE_ED25519], bytes) = key.split_at_checked(1).ok_or("key is empty")? else {
            return Err("key type is not Ed25519 (0x01)");
        };
        let bytes = bytes.try_into().map_err(|_| "key is not 32 bytes long")?;
        let key = VerifyingKey::from_bytes(bytes).map_err(|_| "key is no Ed25519 public key")?;
        if key.is_weak() {
            return Err("key is weak: anyone can sign for it");
        }
        Ok(Self {
            name: name.to_owned(),
            id: computed.to_be_bytes(),
            key,
        })
    }

    /// Whether `signature` is this key's over `text`, by the strict rules: one signature for one text.
    pub(crate) fn verifies(&self, text: &str, signature: &[u8]) -> bool {
        let signature = Signature::from_slice(signature);
        signature.is_ok_and(|signature| self.key.verify_strict(text.as_bytes(), &signature).is_ok())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    // The key and note of Go's sumdb/note tests.
    const VKEY: &str = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";
    const TEXT: &str = "If you think cryptography is the answer to your problem,\n\
                        then you don't know what your problem is.\n";
    const SIGNATURE: &str = "x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6\
                             KE6RyyBwJnAM=";

    #[test]
    fn the_published_note_verifies() {
        let key = LogKey::parse(VKEY).unwrap();
        let blob = text::base64(SIGNATURE).unwrap();
        assert_eq!(blob[..4], key.id);
        assert!(key.verifies(TEXT, &blob[4..]));
        assert!(!key.verifies(&TEXT.replace("answer", "Answer"), &blob[4..]));
        assert!(!key.verifies(TEXT, &blob[3..]));
        for bit in 32..blob.len() * 8 {
            let mut blob = blob.clone();
            blob[bit / 8] ^= 1 << (bit % 8);
            assert!(!key.verifies(TEXT, &blob[4..]), "bit {bit}");
        }
    }

    #[test]
    fn published_bad_keys_are_refused() {
        for start in 0..VKEY.len() {
            for end in start + 1..=VKEY.len() {
                let good = (start, end) == (0, VKEY.len());
                assert_eq!(
                    LogKey::parse(&VKEY[start..end]).is_ok(),
                    good,
                    "{}",
                    &VKEY[start..end]
                );
            }
        }
        for at in 0..VKEY.len() {
            let mut bytes = VKEY.as_bytes().to_vec();
            bytes[at] += 1;
            assert!(
                LogKey::parse(std::str::from_utf8(&bytes).unwrap()).is_err(),
                "byte {at}"
            );
        }
        let check = |vkey: &str, reason: &str| assert_eq!(LogKey::parse(vkey), Err(reason));
        check(
            "PeterNeumann+cc469956+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TWBADKEY==",
            "key is not canonical base64",
        );
        check(
            "PeterNeumann+173116ae+ZRpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
            "key type is not Ed25519 (0x01)",
        );
        check(&vkey("a", &[1; 31]), "key is not 32 bytes long");
        let mut identity = [0; 32];
        identity[0] = 1;
        check(&vkey("a", &identity), "key is weak: anyone can sign for it");
    }

    #[test]
    fn policies() {
        let check = |text: &str, error: &str| {
            let text = text.replace("KEY", VKEY);
            match Policy::parse(&text) {
                Ok(_) => assert_eq!(error, "", "{text}"),
                Err(found) => assert!(
                    !error.is_empty() && found.to_string().contains(error),
                    "{text}: {found}"
                ),
            }
        };
        check("log KEY\nquorum none\n", "");
        check("log KEY\nquorum none", "");
        check("quorum none\nlog KEY https://log.example/\n", "");
        check(
            "# our log\n\n \t # indented\n\tlog\t KEY \nquorum  none\n",
            "",
        );
        check("log KEY\n", "no `quorum` line");
        check("quorum none\n", "no `log` line");
        check("", "no `quorum` line");
        check(
            "log KEY\nquorum none\nquorum none\n",
            "line 3: a second `quorum`",
        );
        check(
            "log KEY\nlog KEY\nquorum none\n",
            "line 2: this key is already",
        );
        check(
            "log\nquorum none\n",
            "line 1: `log <vkey> [<url>]` expected",
        );
        check(
            "log KEY a b\nquorum none\n",
            "line 1: `log <vkey> [<url>]` expected",
        );
        check("log KEY\nquorum\n", "line 2: `quorum <name>` expected");
        check(
            "log KEY\nquorum w\n",
            "line 2: `quorum of witnesses` is not supported yet",
        );
        check("witness w KEY\n", "line 1: `witness` is not supported yet");
        check("group g all w\n", "line 1: `group` is not supported yet");
        check("log KEY\nLog KEY\nquorum none\n", "line 2: unknown keyword");
        check("log KEY\r\nquorum none\r\n", "line 1: control character");
        check("log x\nquorum none\n", "line 1: key is not");
        check(&"#".repeat(POLICY_BYTES_MAX + 1), "too long");
    }

    #[test]
    fn a_policy_may_have_many_logs() {
        let lines = |count: u8| -> String {
            let key = |seed| {
                ed25519_dalek::SigningKey::from_bytes(&[seed; 32])
                    .verifying_key()
                    .to_bytes()
            };
            let lines = (1..=count).map(|seed| format!("log {}\n", vkey("log", &key(seed))));
            lines.chain(["quorum none\n".to_owned()]).collect()
        };
        assert_eq!(
            Policy::parse(&lines(LOGS_MAX as u8)).unwrap().logs.len(),
            LOGS_MAX
        );
        assert!(Policy::parse(&lines(LOGS_MAX as u8 + 1)).is_err());
    }

    fn vkey(name: &str, key: &[u8]) -> String {
        use base64::Engine as _;
        let key = [&[TYPE_ED25519], key].concat();
        let id = sha256(&[name.as_bytes(), b"\n", &key]);
        let id = u32::from_be_bytes([id[0], id[1], id[2], id[3]]);
        format!(
            "{name}+{id:08x}+{}",
            base64::engine::general_purpose::STANDARD.encode(&key)
        )
    }
}
