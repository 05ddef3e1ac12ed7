//! What a witness may check beside consistency, before it cosigns.

use valuta_verify::Checkpoint;

/// Looks into what a checkpoint covers. One that may see the batches' content recomputes roots, postings,
/// conservation, balances and certificates.
pub trait Validator: Send + Sync + 'static {
    /// Whether everything between the two checkpoints is right; `old` is `None` for a log's first one. May
    /// block; of one log, one call at a time.
    ///
    /// # Errors
    /// If it is not, or cannot be told yet.
    fn validate(&self, old: Option<&Checkpoint>, new: &Checkpoint) -> Result<(), Invalid>;
}

/// Why a checkpoint is not cosigned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Invalid {
    /// The log is wrong: refused for good, and published.
    Finding(Finding),
    /// What must be read cannot be read now: refused until then.
    Unavailable(String),
}

/// What is wrong with a checkpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// One line.
    pub reason: String,
    /// What shows it to others, in a form that the reason tells.
    pub evidence: Option<String>,
}
