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

    fn bytes(&self) -> &[u8] {
        match self {
            Self::One(content) | Self::SideOfTwo { content, .. } => content,
        }
    }
}

/// The receipt file's text.
pub(crate) fn text(
    header: &Header,
    member: &MemberProof,
    content: &ReceiptContent,
    proof: &LogProof,
) -> String {
    let extra = encode(extra(header, member, content).as_bytes());
    let mut text = format!(
        "c2sp.org/tlog-proof@v1\nextra {extra}\nindex {}\n",
        proof.index
    );
    for hash in &proof.path {
        text.push_str(&encode(hash));
        text.push('\n');
    }
    text.push('\n');
    text.push_str(&proof.checkpoint);
    text
}

fn extra(header: &Header, member: &MemberProof, content: &ReceiptContent) -> String {
    let header = header.text();
    let mut text = String::from("valuta.receipt/v1\n");
    let mut line = |name: &str, value: String| {
        writeln!(text, "{name} {value}").expect("writing to a String cannot fail");
    };
    line("header", encode(header.as_bytes()));
    line("entry", encode(&leaf_hash(header.as_bytes())));
    line("member", format!("{} {}", member.index, member.count));
    if let ReceiptContent::SideOfTwo { side, other, .. } = content {
        let side = match side {
            Side::First => "first",
            Side::Second => "second",
        };
        line("side", side.to_owned());
        line("other", encode(other));
    }
    line("content", encode(content.bytes()));
    line("digest", encode(&sha256(content.bytes())));
    line("salt", encode(&member.salt));
    line(
        "commitment",
        encode(&content.committed().commitment(&member.salt)),
    );
    for hash in &member.path {
        line("path", encode(hash));
    }
    text
}
