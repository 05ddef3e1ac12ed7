//! C2SP signed-note and tlog-checkpoint: the signed tree head.

use crate::error::VerifyError;
use crate::policy::Policy;
use crate::text;

/// Most signature lines that are looked at; the format asks for 16 at least.
const SIGNATURES_MAX: usize = 64;
/// Longest signature, in bytes, with its key id: post-quantum ones need nearly 5,000.
const SIGNATURE_BYTES_MAX: usize = 8_192;
/// Lines of the body: origin, size, root. Extension lines are not used here.
const BODY_LINES: usize = 3;

/// A tree head that a log of the policy signed.
pub(crate) struct Checkpoint {
    pub(crate) origin: String,
    pub(crate) size: u64,
    pub(crate) root: [u8; 32],
}

/// Opens a checkpoint. Nothing in it is believed before a key of the policy has verified it.
pub(crate) fn open(note: &str, policy: &Policy) -> Result<Checkpoint, VerifyError> {
    let wrong = |line, reason| VerifyError::Checkpoint { line, reason };
    let (body, signatures) = split(note)?;
    let mut lines = body.lines();
    let (Some(origin), Some(size), Some(root), None) =
        (lines.next(), lines.next(), lines.next(), lines.next())
    else {
        return Err(wrong(
            1,
            "exactly origin, size and root expected before the empty line",
        ));
    };
    let size = text::number(size).ok_or(wrong(2, "tree size expected"))?;
    let root =
        text::hash(root).ok_or(wrong(3, "root hash expected, canonical base64 of 32 bytes"))?;
    verify(body, origin, signatures, policy)?;
    Ok(Checkpoint {
        origin: origin.to_owned(),
        size,
        root,
    })
}

/// The text that is signed, with its last newline, and the signature lines without theirs.
fn split(note: &str) -> Result<(&str, Vec<&str>), VerifyError> {
    let wrong = |line, reason| VerifyError::Checkpoint { line, reason };
    let at = note
        .rfind("\n\n")
        .ok_or(wrong(1, "no empty line before the signatures"))?;
    let (body, signatures) = (&note[..=at], &note[at + 2..]);
    let last = note.matches('\n').count() + 1;
    let signatures = signatures
        .strip_suffix('\n')
        .ok_or(wrong(last, "no newline at the end"))?;
    Ok((body, signatures.split('\n').collect()))
}

fn verify(
    body: &str,
    origin: &str,
    signatures: Vec<&str>,
    policy: &Policy,
) -> Result<(), VerifyError> {
    if signatures.len() > SIGNATURES_MAX {
        return Err(VerifyError::Checkpoint {
            line: BODY_LINES + 2,
            reason: "too many signatures",
        });
    }
    let mut is_verified = false;
    for (index, line) in signatures.iter().enumerate() {
        let wrong = |reason| VerifyError::Checkpoint {
            line: BODY_LINES + 2 + index,
            reason,
        };
        if signatures[..index].contains(line) {
            return Err(wrong("the same signature line twice"));
        }
        let (name, id, signature) = signature(line).map_err(wrong)?;
        // A signature by a key that the policy does not know says nothing, good or bad.
        let Some(key) = policy.find(name, id) else {
            continue;
        };
        if !key.verifies(body, &signature) {
            return Err(VerifyError::CheckpointSignature {
                name: name.to_owned(),
            });
        }
        // A log speaks for itself only: its key's name is its origin.
        is_verified |= name == origin;
    }
    if is_verified {
        Ok(())
    } else {
        Err(VerifyError::LogUnknown {
            origin: origin.to_owned(),
        })
    }
}

/// `<em dash> <name> <base64(key id || signature)>`
fn signature(line: &str) -> Result<(&str, [u8; 4], Vec<u8>), &'static str> {
    let line = line
        .strip_prefix("\u{2014} ")
        .ok_or("signature line expected: dash, name, signature")?;
    let (name, blob) = line
        .split_once(' ')
        .ok_or("signature line expected: dash, name, signature")?;
    if name.is_empty() || name.contains(|c: char| c.is_whitespace() || c == '+') {
        return Err("the key's name is malformed");
    }
    let mut blob = text::base64(blob).ok_or("the signature is not canonical base64")?;
    if blob.len() <= 4 || blob.len() > SIGNATURE_BYTES_MAX {
        return Err("the signature is too short or too long");
    }
    let signature = blob.split_off(4);
    let id = blob
        .try_into()
        .map_err(|_| "the signature is too short or too long")?;
    Ok((name, id, signature))
}
