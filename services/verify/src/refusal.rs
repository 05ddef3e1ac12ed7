//! A witness's refusal: what it found wrong with a checkpoint that a log signed, as a note of its own.
//!
//! The text of the note, signed by the witness's key as a plain note (type 0x01). Its first line is never the
//! one of a cosignature, so the one key can be used for both. Lines in this order:
//!
//! ```text
//! valuta.refusal/v1
//! time <unix seconds>
//! reason <one line of text>
//! checkpoint <base64 of the signed checkpoint>
//! evidence <base64 of what shows it, in a form that the reason tells; - if nothing does>
//! ```

use crate::error::VerifyError;
use crate::key::{KeyKind, VerifierKey};
use crate::note::open_text;
use crate::text::{self, Lines};

/// What a witness says when it refuses a checkpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// When, in unix seconds, as it says itself.
    pub time_s: u64,
    /// What it found; one line.
    pub reason: String,
    /// The checkpoint, as the log signed it.
    pub checkpoint: String,
    /// What shows it: of a fork the text of an [`Evidence`](crate::Evidence).
    pub evidence: Option<String>,
}

impl Refusal {
    /// The text that the witness signs. Control characters in the reason become spaces.
    #[must_use]
    pub fn text(&self) -> String {
        let reason = self.reason.replace(char::is_control, " ");
        let evidence = self.evidence.as_ref();
        let evidence = evidence.map_or("-".to_owned(), |text| text::encode(text.as_bytes()));
        format!(
            "valuta.refusal/v1\ntime {}\nreason {reason}\ncheckpoint {}\nevidence {evidence}\n",
            self.time_s,
            text::encode(self.checkpoint.as_bytes()),
        )
    }

    /// Opens a refusal by this witness; `key` is what a policy has for it.
    ///
    /// # Errors
    /// If the witness did not sign it, or it has not the form.
    pub fn open(note: &str, key: &VerifierKey) -> Result<Self, VerifyError> {
        let body = open_text(note, &key.of_kind(KeyKind::Note))?;
        let mut lines = Lines::new(body)?;
        let is_format = |line: &str| (line == "valuta.refusal/v1").then_some(());
        lines.take("", is_format, "`valuta.refusal/v1` expected")?;
        let refusal = Self {
            time_s: lines.take("time ", text::number, "`time` and unix seconds expected")?,
            reason: lines.take("reason ", line, "`reason` and a line of text expected")?,
            checkpoint: lines.take("checkpoint ", utf8, "`checkpoint` and base64 expected")?,
            evidence: lines.take("evidence ", evidence, "`evidence` and base64 or - expected")?,
        };
        lines.end("nothing expected after the evidence")?;
        Ok(refusal)
    }
}

fn line(text: &str) -> Option<String> {
    (!text.contains(char::is_control)).then(|| text.to_owned())
}

fn utf8(text: &str) -> Option<String> {
    String::from_utf8(text::base64(text)?).ok()
}

fn evidence(text: &str) -> Option<Option<String>> {
    match text {
        "-" => Some(None),
        text => utf8(text).map(Some),
    }
}
