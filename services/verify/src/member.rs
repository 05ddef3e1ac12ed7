//! One member of a batch, as a receipt or a disclosure opens it.

use crate::error::VerifyError;
use crate::header::ListRoot;
use crate::merkle::{Hash, joined, leaf_hash, root_from_path, sha256};
use crate::step::Step;
use crate::text::{self, Lines};

/// The list's name in a header.
const LIST: &str = "members";

/// A side of a matched trade, in the order in which they came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// The side that came first.
    First,
    /// The side that came second.
    Second,
}

/// What a member proves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// Zero-based index of the member in the batch.
    pub index: u64,
    /// The instruction's bytes, as they were journaled.
    pub content: Vec<u8>,
    /// For a matched trade: which side the content is, and the SHA-256 of the other one.
    pub trade: Option<(Side, Hash)>,
}

/// A member's lines, not yet believed.
pub(crate) struct MemberOpening {
    member: Member,
    digest: Hash,
    salt: Hash,
    commitment: Hash,
    path: Vec<Hash>,
}

impl MemberOpening {
    /// The lines after the one that says which member it is.
    pub(crate) fn parse(lines: &mut Lines<'_>, index: u64) -> Result<Self, VerifyError> {
        let trade = match lines.peek("side ") {
            false => None,
            true => {
                let side = lines.take("side ", side, "`side first` or `side second` expected")?;
                let other = lines.take("other ", text::hash, "`other` and a hash expected")?;
                Some((side, other))
            }
        };
        let content = lines.take(
            "content ",
            text::content,
            "`content` and base64 expected, not empty",
        )?;
        Ok(Self {
            member: Member {
                index,
                content,
                trade,
            },
            digest: lines.take("digest ", text::hash, "`digest` and a hash expected")?,
            salt: lines.take(
                "salt ",
                text::hash,
                "`salt` and 32 bytes of base64 expected",
            )?,
            commitment: lines.take(
                "commitment ",
                text::hash,
                "`commitment` and a hash expected",
            )?,
            path: lines.path()?,
        })
    }

    pub(crate) fn index(&self) -> u64 {
        self.member.index
    }

    /// Path, salt and content.
    pub(crate) fn check(
        self,
        members: &ListRoot,
        step: &mut dyn FnMut(Step),
    ) -> Result<Member, VerifyError> {
        let (index, count) = (self.member.index, members.count);
        let root = root_from_path(leaf_hash(&self.commitment), index, count, &self.path);
        if root != Some(members.root) {
            return Err(VerifyError::MemberPath);
        }
        let list = LIST;
        step(Step::Path { list, index, count });
        self.check_content()?;
        step(Step::Content { list, index });
        Ok(self.member)
    }

    fn check_content(&self) -> Result<(), VerifyError> {
        let Self { digest, salt, .. } = self;
        let has_digest = sha256(&self.member.content) == *digest;
        let committed = match &self.member.trade {
            // Without a trade the content itself is committed to, so only the digest tells it from the salt.
            None if !has_digest => return Err(VerifyError::Content),
            None => joined(&[salt, &self.member.content]),
            Some((Side::First, other)) => joined(&[salt, digest, other]),
            Some((Side::Second, other)) => joined(&[salt, other, digest]),
        };
        if committed != self.commitment {
            return Err(VerifyError::Salt);
        }
        if !has_digest {
            return Err(VerifyError::Content);
        }
        Ok(())
    }
}

pub(crate) fn check_count(found: u64, members: &ListRoot) -> Result<(), VerifyError> {
    let header = members.count;
    match found == header {
        true => Ok(()),
        false => Err(VerifyError::MemberCount { found, header }),
    }
}

fn side(text: &str) -> Option<Side> {
    match text {
        "first" => Some(Side::First),
        "second" => Some(Side::Second),
        _ => None,
    }
}
