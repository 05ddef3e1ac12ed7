//! The witnesses of the ledger's log: asked for their cosignatures beside everything else.

use anyhow::Context as _;
use std::error::Error;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use valuta_ledger::LedgerReader;
use valuta_verify::{Hash, Policy};
use valuta_witness::{Collector, Log, Pace};

/// How the witnesses are asked. A batch is closed once a second at most, beside cycles' runs.
const PACE: Pace = Pace {
    request_timeout: Duration::from_secs(10),
    poll: Duration::from_millis(100),
    backoff_min: Duration::from_millis(500),
    backoff_max: Duration::from_secs(60),
};

/// Whom the log's readers trust, and who is asked for it.
pub(super) struct Witnessing {
    /// For banks: the log's keys, and the witnesses with their quorum.
    pub policy: String,
    /// Asks until it is dropped.
    pub collector: Option<Collector>,
}

impl Witnessing {
    /// Without a file nobody is asked, and the log's signature stands alone.
    pub fn start(ledger: &LedgerReader, file: Option<&Path>) -> anyhow::Result<Self> {
        let Some(file) = file else {
            return Ok(Self {
                policy: ledger.policy().to_owned(),
                collector: None,
            });
        };
        let named = || format!("witnesses: {}", file.display());
        let text = std::fs::read_to_string(file).with_context(named)?;
        let is_log = |line: &&str| line.split_whitespace().next() == Some("log");
        let own = ledger.policy().lines().filter(is_log);
        let others = text.lines().filter(|line| !is_log(line));
        let policy: String = own.chain(others).map(|line| format!("{line}\n")).collect();
        let parsed = Policy::parse(&policy).with_context(named)?;
        let log = Arc::new(OurLog(ledger.clone()));
        let collector = Collector::start(log, parsed, PACE).context("asking witnesses")?;
        Ok(Self {
            policy,
            collector: Some(collector),
        })
    }
}

struct OurLog(LedgerReader);

impl Log for OurLog {
    fn checkpoint(&self) -> Arc<str> {
        self.0.checkpoint()
    }

    fn consistency(&self, old_size: u64, new_size: u64) -> Option<Vec<Hash>> {
        match self.0.consistency_proof(old_size, new_size) {
            Ok(proof) => Some(proof),
            Err(error) => {
                tracing::warn!(old_size, new_size, %error, "no consistency proof for a witness");
                None
            }
        }
    }

    fn witnessed(&self, note: &str) -> Result<(), Box<dyn Error + Send + Sync>> {
        self.0.witnessed(note)?;
        tracing::info!(entries = self.0.witnessed_size(), "witnessed");
        Ok(())
    }
}
