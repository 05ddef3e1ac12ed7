//! The body of `add-checkpoint`.

use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use valuta_verify::Hash;

/// Most lines of a consistency proof: a tree of 2^63 leaves.
pub const PROOF_LINES_MAX: usize = 63;
/// Longest body, in bytes: 63 proof lines, and a note with as many signatures as the verifier looks at, some
/// of them post-quantum.
pub const ADD_CHECKPOINT_BYTES_MAX: usize = 256 << 10;

/// A request of the right form, but for the checkpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct AddCheckpoint<'a> {
    pub(crate) old_size: u64,
    pub(crate) proof: Vec<Hash>,
    pub(crate) note: &'a str,
}

impl<'a> AddCheckpoint<'a> {
    /// `old <size>`, proof lines, an empty line, the checkpoint.
    pub(crate) fn parse(body: &'a [u8]) -> Result<Self, &'static str> {
        let body = std::str::from_utf8(body).map_err(|_| "the body is not UTF-8")?;
        let is_bad = |c: char| c.is_ascii_control() && c != '\n';
        if body.contains(is_bad) {
            return Err("the body has control characters");
        }
        let (head, note) = body
            .split_once("\n\n")
            .ok_or("no empty line before the checkpoint")?;
        let mut lines = head.split('\n');
        let old_size = lines.next().and_then(|line| line.strip_prefix("old "));
        let old_size = old_size
            .and_then(number)
            .ok_or("`old` and a size expected")?;
        let mut proof = Vec::new();
        for line in lines {
            if proof.len() == PROOF_LINES_MAX {
                return Err("more than 63 proof lines");
            }
            proof.push(hash(line).ok_or("a proof line is no base64 of 32 bytes")?);
        }
        Ok(Self {
            old_size,
            proof,
            note,
        })
    }
}

/// The body that asks a witness to cosign `note`.
#[must_use]
pub fn request_text(old_size: u64, proof: &[Hash], note: &str) -> String {
    let mut body = format!("old {old_size}\n");
    for hash in proof {
        writeln!(body, "{}", STANDARD.encode(hash)).expect("writing to a String cannot fail");
    }
    body + "\n" + note
}

/// Decimal digits without sign or leading zero.
pub(crate) fn number(text: &str) -> Option<u64> {
    let value: u64 = text.parse().ok()?;
    (value.to_string() == text).then_some(value)
}

/// Canonical: the decoder takes no stray bits and no missing padding.
fn hash(text: &str) -> Option<Hash> {
    STANDARD.decode(text).ok()?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests() {
        let hash = STANDARD.encode([7; 32]);
        let check = |body: &str, wanted: Result<(u64, usize, &str), &str>| {
            let found = AddCheckpoint::parse(body.as_bytes());
            let found = found.map(|request| (request.old_size, request.proof.len(), request.note));
            match wanted {
                Ok(_) => assert_eq!(found, wanted, "{body:?}"),
                Err(reason) => {
                    assert!(found.is_err_and(|found| found.contains(reason)), "{body:?}")
                }
            }
        };
        check("old 0\n\nnote\n", Ok((0, 0, "note\n")));
        check(
            &format!("old 7\n{hash}\n{hash}\n\na\n\nb\n"),
            Ok((7, 2, "a\n\nb\n")),
        );
        check("", Err("no empty line"));
        check("old 0\nnote\n", Err("no empty line"));
        for old in [
            "",
            "0",
            "old",
            "old ",
            "old 00",
            "old 01",
            "old -1",
            "old +1",
            "old 1 ",
            " old 1",
            "old 18446744073709551616",
        ] {
            check(&format!("{old}\n\nnote\n"), Err("`old` and a size"));
        }
        for line in [
            "",
            "x",
            &hash[1..],
            &hash[..43],
            &format!("{hash} "),
            &STANDARD.encode([7; 31]),
        ] {
            check(
                &format!("old 1\n{line}x\n\nnote\n"),
                Err("a proof line is no base64"),
            );
        }
        check("old 1\r\n\r\nnote\n", Err("control characters"));
        let lines = |count: usize| format!("old 1\n{}\nnote\n", format!("{hash}\n").repeat(count));
        check(&lines(63), Ok((1, 63, "note\n")));
        check(&lines(64), Err("more than 63"));
        assert!(AddCheckpoint::parse(b"old 1\n\n\xff\n").is_err());
        let body = request_text(9, &[[7; 32]], "note\n");
        assert_eq!(body, format!("old 9\n{hash}\n\nnote\n"));
    }
}
