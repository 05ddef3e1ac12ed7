//! C2SP tlog-policy: which logs one trusts, and which of their witnesses must have cosigned.
//!
//! Lines of items separated by spaces and tabs; empty lines and lines starting with `#` are ignored:
//!
//! ```text
//! log <vkey> [<url>]
//! witness <name> <vkey> [<url>]
//! group <name> <k>|any|all <name>...
//! quorum <name>|none
//! ```
//!
//! A name must be defined above the line that uses it, and is a member of at most one group, so that each
//! witness counts in one way. Of the format's octets only UTF-8 is taken.

use crate::error::{PolicyError, VerifyError};
use crate::key::{KeyKind, VerifierKey};
use crate::note::Cosignature;
use crate::text;

/// Longest policy that is taken, in bytes.
pub const POLICY_BYTES_MAX: usize = 64 << 10;
/// Most logs in a policy; the format asks for 32 at least.
pub const LOGS_MAX: usize = 64;
/// Most witnesses in a policy; the format asks for 32 at least. All of them and the log's own signatures fit
/// into one note.
pub const WITNESSES_MAX: usize = 32;
/// Most groups in a policy; the format asks for 32 at least.
pub const GROUPS_MAX: usize = 32;
/// The predefined quorum.
const NONE: &str = "none";

/// Whom one trusts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    logs: Vec<Log>,
    witnesses: Vec<Witness>,
    /// In the order of their lines: a member is always before its group.
    names: Vec<Name>,
    /// Index into `names`.
    quorum: Option<usize>,
}

/// A log of a policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Log {
    /// Its key, named by the log's origin.
    pub key: VerifierKey,
    /// Where it can be read.
    pub url: Option<String>,
}

/// A witness of a policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Witness {
    /// Its name in the policy; its key may have another one.
    pub name: String,
    /// The key that it cosigns with.
    pub key: VerifierKey,
    /// Where it can be asked: the submission prefix.
    pub url: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Name {
    name: String,
    is_member: bool,
    kind: NameKind,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum NameKind {
    Witness,
    /// At least so many of these must have cosigned.
    Group {
        threshold: usize,
        members: Vec<usize>,
    },
}

impl Policy {
    /// Reads a policy file's text.
    ///
    /// # Errors
    /// A sentence with the line number.
    pub fn parse(text: &str) -> Result<Self, PolicyError> {
        let policy = Self::parse_lines(text)?;
        if policy.logs.is_empty() {
            return Err(PolicyError::LogMissing);
        }
        Ok(policy)
    }

    /// Reads a policy whose log is known from elsewhere, as an operator knows its own: the file may name it
    /// too, or no log at all.
    ///
    /// # Errors
    /// A sentence with the line number; 0 is the log's own key.
    pub fn parse_with_log(text: &str, vkey: &str) -> Result<Self, PolicyError> {
        let mut policy = Self::parse_lines(text)?;
        if policy.logs.iter().all(|log| log.key.to_string() != vkey) {
            let added = policy.add_log(vkey, None);
            added.map_err(|reason| PolicyError::Line { line: 0, reason })?;
        }
        Ok(policy)
    }

    /// The logs that are trusted. Several keys of one origin are one log that rotates its keys.
    #[must_use]
    pub fn logs(&self) -> &[Log] {
        &self.logs
    }

    /// The witnesses, in the order of their lines.
    #[must_use]
    pub fn witnesses(&self) -> &[Witness] {
        &self.witnesses
    }

    /// The name of the quorum: a witness, a group or `none`.
    #[must_use]
    pub fn quorum(&self) -> &str {
        self.quorum.map_or(NONE, |index| &self.names[index].name)
    }

    /// Whether the quorum is there, if the witnesses with these names cosigned.
    #[must_use]
    pub fn is_quorum<'a>(&self, cosigned_by: impl IntoIterator<Item = &'a str>) -> bool {
        let cosigned_by: Vec<&str> = cosigned_by.into_iter().collect();
        let mut holds = Vec::with_capacity(self.names.len());
        for name in &self.names {
            let is_there = match &name.kind {
                NameKind::Witness => cosigned_by.contains(&name.name.as_str()),
                NameKind::Group { threshold, members } => {
                    members.iter().filter(|member| holds[**member]).count() >= *threshold
                }
            };
            holds.push(is_there);
        }
        self.quorum.is_none_or(|index| holds[index])
    }

    pub(crate) fn check_quorum(&self, cosigned_by: &[Cosignature]) -> Result<(), VerifyError> {
        let names = cosigned_by.iter().map(|by| by.witness.as_str());
        match self.is_quorum(names.clone()) {
            true => Ok(()),
            false => Err(VerifyError::QuorumMissing {
                quorum: self.quorum().to_owned(),
                cosigned_by: names.collect::<Vec<_>>().join(", "),
            }),
        }
    }

    fn parse_lines(text: &str) -> Result<Self, PolicyError> {
        if text.len() > POLICY_BYTES_MAX {
            return Err(PolicyError::TooLong {
                bytes: text.len(),
                max: POLICY_BYTES_MAX,
            });
        }
        let mut policy = Self {
            logs: Vec::new(),
            witnesses: Vec::new(),
            names: Vec::new(),
            quorum: None,
        };
        let mut has_quorum = false;
        for (line, content) in (1..).zip(text.split('\n')) {
            let wrong = |reason| PolicyError::Line { line, reason };
            let is_bad = |byte: u8| byte.is_ascii_control() && byte != b'\t';
            if content.bytes().any(is_bad) {
                return Err(wrong("control character"));
            }
            let items = content.split([' ', '\t']).filter(|item| !item.is_empty());
            let items: Vec<&str> = items.collect();
            if items.first() == Some(&"quorum") && std::mem::replace(&mut has_quorum, true) {
                return Err(wrong("a second `quorum` line"));
            }
            policy.add(&items).map_err(wrong)?;
        }
        match has_quorum {
            true => Ok(policy),
            false => Err(PolicyError::QuorumMissing),
        }
    }

    fn add(&mut self, items: &[&str]) -> Result<(), &'static str> {
        match items[..] {
            [] => Ok(()),
            [first, ..] if first.starts_with('#') => Ok(()),
            ["log", vkey] => self.add_log(vkey, None),
            ["log", vkey, url] => self.add_log(vkey, Some(url)),
            ["log", ..] => Err("`log <vkey> [<url>]` expected"),
            ["witness", name, vkey] => self.add_witness(name, vkey, None),
            ["witness", name, vkey, url] => self.add_witness(name, vkey, Some(url)),
            ["witness", ..] => Err("`witness <name> <vkey> [<url>]` expected"),
            ["group", name, threshold, ref members @ ..] if !members.is_empty() => {
                self.add_group(name, threshold, members)
            }
            ["group", ..] => Err("`group <name> <k>|any|all <name>...` expected"),
            ["quorum", NONE] => Ok(()),
            ["quorum", name] => {
                self.quorum = Some(self.find(name)?);
                Ok(())
            }
            ["quorum", ..] => Err("`quorum <name>` expected"),
            _ => Err("unknown keyword; `log`, `witness`, `group` or `quorum` expected"),
        }
    }

    fn add_log(&mut self, vkey: &str, url: Option<&str>) -> Result<(), &'static str> {
        let key = VerifierKey::parse(vkey, KeyKind::Note)?;
        if self.logs.iter().any(|log| log.key.is_same_key(&key)) {
            return Err("this key is already in a `log` line");
        }
        let is_named = |log: &Log| log.key.is_named(key.name(), key.id());
        if self.logs.iter().any(is_named) {
            return Err("another key in a `log` line has this name and id");
        }
        if self.logs.len() == LOGS_MAX {
            return Err("too many `log` lines");
        }
        let url = url.map(str::to_owned);
        self.logs.push(Log { key, url });
        Ok(())
    }

    fn add_witness(
        &mut self,
        name: &str,
        vkey: &str,
        url: Option<&str>,
    ) -> Result<(), &'static str> {
        let key = VerifierKey::parse(vkey, KeyKind::Cosignature)?;
        let mut others = self.witnesses.iter();
        // The key, and not only its name: a cosignature does not commit to the name.
        if others.any(|other| other.key.is_same_key(&key)) {
            return Err("this key is already in a `witness` line");
        }
        let is_named = |other: &Witness| other.key.is_named(key.name(), key.id());
        if self.witnesses.iter().any(is_named) {
            return Err("another key in a `witness` line has this name and id");
        }
        if self.witnesses.len() == WITNESSES_MAX {
            return Err("too many `witness` lines");
        }
        self.define(name, NameKind::Witness)?;
        self.witnesses.push(Witness {
            name: name.to_owned(),
            key,
            url: url.map(str::to_owned),
        });
        Ok(())
    }

    fn add_group(
        &mut self,
        name: &str,
        threshold: &str,
        members: &[&str],
    ) -> Result<(), &'static str> {
        if self.names.len() - self.witnesses.len() == GROUPS_MAX {
            return Err("too many `group` lines");
        }
        let threshold = match threshold {
            "any" => 1,
            "all" => members.len(),
            number => text::number(number)
                .and_then(|number| usize::try_from(number).ok())
                .filter(|number| (1..=members.len()).contains(number))
                .ok_or("`any`, `all` or a number from 1 to that of the members expected")?,
        };
        let mut indexes = Vec::with_capacity(members.len());
        for member in members {
            let index = self.find(member)?;
            if std::mem::replace(&mut self.names[index].is_member, true) {
                return Err("a name is a member of a group already");
            }
            indexes.push(index);
        }
        let members = indexes;
        self.define(name, NameKind::Group { threshold, members })
    }

    fn define(&mut self, name: &str, kind: NameKind) -> Result<(), &'static str> {
        if name == NONE {
            return Err("the name `none` is predefined");
        }
        if self.names.iter().any(|other| other.name == name) {
            return Err("this name is already defined");
        }
        self.names.push(Name {
            name: name.to_owned(),
            is_member: false,
            kind,
        });
        Ok(())
    }

    fn find(&self, name: &str) -> Result<usize, &'static str> {
        let mut names = self.names.iter();
        names
            .position(|other| other.name == name)
            .ok_or("a name is not defined above this line")
    }
}

#[cfg(test)]
#[path = "policy_tests.rs"]
mod tests;
