//! The receipt file: a C2SP tlog-proof whose `extra` leads from one instruction to the log entry.
//!
//! ```text
//! c2sp.org/tlog-proof@v1
//! extra <base64 of the text below>
//! index <of the batch header in the log>
//! <base64 hash>                          path from the header to the checkpoint's root, any number
//!
//! <checkpoint, a signed note>
//! ```
//!
//! The text in `extra`, hashes and bytes in base64, lines in this order:
//!
//! ```text
//! valuta.receipt/v1
//! header <the batch header's text: the entry>
//! entry <SHA-256(0x00 || header)>
//! member <index> <count>
//! side first|second                      only for a matched trade: which side this bank sent
//! other <SHA-256 of the other side>      only for a matched trade
//! content <this bank's instruction>
//! digest <SHA-256 of the content>
//! salt <salt>
//! commitment <SHA-256(salt || content), of a trade SHA-256(salt || first digest || second digest)>
//! path <hash>                            from the member's leaf to the members root, any number
//! ```
//!
//! `entry`, `digest` and `commitment` follow from the rest and prove nothing by themselves: they let a
//! verifier that refuses a receipt say which part of it was changed.

use std::fmt::Write as _;
use std::sync::Arc;

use crate::batch::MemberContent;
use crate::hash::{Hash, encode, leaf_hash, sha256};
use crate::header::Header;
use crate::member::MemberProof;

/// The content that a receipt discloses.
#[derive(Clone, PartialEq, Eq)]
pub enum ReceiptContent {
    /// An instruction's bytes.
    One(Vec<u8>),
    /// One bank's side of a matched trade.
    SideOfTwo {
        /// Which side it is, in sequence order.
        side: Side,
        /// The side's instruction bytes.
        content: Vec<u8>,
        /// SHA-256 of the other side's bytes.
        other: Hash,
    },
}

/// A side of a matched trade, in sequence order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// The side that came first.
    First,
    /// The side that came second.
    Second,
}

/// From a header to the checkpoint.
pub(crate) struct LogProof {
    pub(crate) header: Header,
    pub(crate) index: u64,
    pub(crate) path: Vec<Hash>,
    pub(crate) checkpoint: Arc<str>,
}

impl ReceiptContent {
    /// What the member leaf commits to.
    pub(crate) fn committed(&self) -> MemberContent {
        match self {
            Self::One(content) => MemberContent::One(content.clone()),
            Self::SideOfTwo {
                side: Side::First,
                content,
                other,
            } => MemberContent::Two(sha256(content), *other),
            Self::SideOfTwo {
                side: Side::Second,
                content,
                other,
            } => MemberContent::Two(*other, sha256(content)),
        }
    }

    /// The disclosed bytes.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        match self {
            Self::One(content) | Self::SideOfTwo { content, .. } => content,
        }
    }
}

/// The text in `extra`, one line after the other.
pub(crate) struct Extra(String);

/// The receipt file's text.
pub(crate) fn text(member: &MemberProof, content: &ReceiptContent, proof: &LogProof) -> String {
    let mut extra = Extra::new("valuta.receipt/v1", &proof.header);
    extra.line("member", &format!("{} {}", member.index, member.count));
    extra.opened(member, content);
    proof.file(extra)
}

impl LogProof {
    /// The C2SP tlog-proof with this extra data.
    pub(crate) fn file(&self, extra: Extra) -> String {
        let extra = encode(extra.0.as_bytes());
        let path = self.path.iter().map(|hash| encode(hash) + "\n");
        let path: String = path.collect();
        let (index, checkpoint) = (self.index, &self.checkpoint);
        format!("c2sp.org/tlog-proof@v1\nextra {extra}\nindex {index}\n{path}\n{checkpoint}")
    }
}

impl Extra {
    /// With the lines that lead from the header to the log.
    pub(crate) fn new(format: &str, header: &Header) -> Self {
        let header = header.text();
        let mut extra = Self(format!("{format}\n"));
        extra.bytes("header", header.as_bytes());
        extra.bytes("entry", &leaf_hash(header.as_bytes()));
        extra
    }

    pub(crate) fn line(&mut self, name: &str, value: &str) {
        writeln!(self.0, "{name} {value}").expect("writing to a String cannot fail");
    }

    pub(crate) fn bytes(&mut self, name: &str, bytes: &[u8]) {
        self.line(name, &encode(bytes));
    }

    pub(crate) fn path(&mut self, path: &[Hash]) {
        path.iter().for_each(|hash| self.bytes("path", hash));
    }

    /// The lines that open one member.
    pub(crate) fn opened(&mut self, member: &MemberProof, content: &ReceiptContent) {
        if let ReceiptContent::SideOfTwo { side, other, .. } = content {
            let side = match side {
                Side::First => "first",
                Side::Second => "second",
            };
            self.line("side", side);
            self.bytes("other", other);
        }
        self.bytes("content", content.bytes());
        self.bytes("digest", &sha256(content.bytes()));
        self.bytes("salt", &member.salt);
        let commitment = content.committed().commitment(&member.salt);
        self.bytes("commitment", &commitment);
        self.path(&member.path);
    }
}
