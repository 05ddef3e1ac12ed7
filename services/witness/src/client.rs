//! Asks one witness for its cosignature.

use std::time::Duration;

use valuta_verify::{Hash, Note, Witness};

use crate::request::{number, request_text};

/// Longest answer that is read, in bytes: cosignature lines of many keys, or a reason.
const ANSWER_BYTES_MAX: u64 = 64 << 10;
/// Longest part of a reason that is kept, in characters.
const REASON_CHARS_MAX: usize = 200;

/// A witness of a policy, to be asked. Keeps its connection.
pub struct WitnessClient {
    witness: Witness,
    url: String,
    agent: ureq::Agent,
}

/// Why there is no cosignature: split by what to do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AskError {
    /// It cosigned another size last: ask from there.
    #[error("its newest checkpoint has {size} entries")]
    Conflict {
        /// That size.
        size: u64,
    },
    /// It does not cosign this checkpoint: asking the same again is of no use.
    #[error("it refuses, with status {status}: {reason}")]
    Refused {
        /// HTTP status.
        status: u16,
        /// What it says.
        reason: String,
    },
    /// It cannot be reached, or not now: ask later.
    #[error("it cannot be asked: {reason}")]
    Unreachable {
        /// Why not.
        reason: String,
    },
    /// Its answer is not what a witness with this key gives.
    #[error("its answer is wrong: {reason}")]
    Malformed {
        /// What is wrong.
        reason: String,
    },
}

impl WitnessClient {
    /// A client for a witness that has a URL; `None` if it has none. `timeout` bounds a whole request.
    #[must_use]
    pub fn new(witness: &Witness, timeout: Duration) -> Option<Self> {
        let url = witness.url.as_ref()?.trim_end_matches('/');
        let config = ureq::Agent::config_builder()
            .timeout_global(Some(timeout))
            .http_status_as_error(false)
            // A witness that moved is the policy's business.
            .max_redirects(0)
            .user_agent("valuta")
            .build();
        Some(Self {
            witness: witness.clone(),
            url: format!("{url}/add-checkpoint"),
            agent: config.into(),
        })
    }

    /// The witness's name in the policy.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.witness.name
    }

    /// Asks for cosignatures of `note`, which proves to be consistent with the checkpoint of `old_size`. They
    /// are verified; lines of other keys are left out.
    ///
    /// # Errors
    /// Why there is none.
    pub fn ask(&self, old_size: u64, proof: &[Hash], note: &str) -> Result<Vec<String>, AskError> {
        let body = request_text(old_size, proof, note);
        let request = self
            .agent
            .post(&self.url)
            .content_type("text/plain; charset=utf-8");
        let mut response = request.send(body).map_err(unreachable)?;
        let status = response.status().as_u16();
        let is_size = response.headers().get("content-type");
        let is_size = is_size.is_some_and(|value| value.as_bytes() == b"text/x.tlog.size");
        let config = response.body_mut().with_config().limit(ANSWER_BYTES_MAX);
        let text = config
            .lossy_utf8(true)
            .read_to_string()
            .map_err(unreachable)?;
        match status {
            200 => self.cosignatures(note, &text),
            409 if is_size => {
                let size = text.strip_suffix('\n').and_then(number);
                let size = size.ok_or_else(|| malformed("a 409 without a size"))?;
                Err(AskError::Conflict { size })
            }
            408 | 429 | 500.. => Err(AskError::Unreachable {
                reason: format!("status {status}: {}", reason(&text)),
            }),
            _ => Err(AskError::Refused {
                status,
                reason: reason(&text),
            }),
        }
    }

    fn cosignatures(&self, note: &str, answer: &str) -> Result<Vec<String>, AskError> {
        let body = note.rfind("\n\n").map(|at| &note[..=at]);
        let body = body.ok_or_else(|| malformed("what was sent is no note"))?;
        if !answer.ends_with('\n') {
            return Err(malformed("no newline at the end"));
        }
        let mut lines = Vec::new();
        // Each by itself, on our own body: what else the answer holds cannot change what it is for.
        for line in answer.split_inclusive('\n') {
            let single = format!("{body}\n{line}");
            let single = Note::parse(&single).map_err(|error| malformed(&error.to_string()))?;
            let cosigned = single.cosigned_by(std::slice::from_ref(&self.witness));
            match cosigned
                .map_err(|error| malformed(&error.to_string()))?
                .is_empty()
            {
                true => {}
                false => lines.push(line.to_owned()),
            }
        }
        match lines.is_empty() {
            true => Err(malformed(
                "no cosignature by the key that the policy has for it",
            )),
            false => Ok(lines),
        }
    }
}

fn malformed(reason: &str) -> AskError {
    AskError::Malformed {
        reason: reason.to_owned(),
    }
}

fn unreachable(error: ureq::Error) -> AskError {
    AskError::Unreachable {
        reason: error.to_string(),
    }
}

/// The first line of what a stranger wrote.
fn reason(text: &str) -> String {
    let line = text.lines().next().unwrap_or_default();
    let printable = line.chars().filter(|c| !c.is_control());
    printable.take(REASON_CHARS_MAX).collect()
}
