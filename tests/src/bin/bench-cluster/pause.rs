//! How long nothing is confirmed after something was killed.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Confirmations come this steadily before and after.
const STEADY: Duration = Duration::from_secs(2);
const OVER_WITHIN: Duration = Duration::from_secs(60);
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// When something was confirmed.
#[derive(Clone, Default)]
pub struct Confirmations(Arc<Mutex<Vec<Instant>>>);

impl Confirmations {
    pub fn note(&self) {
        let mut at = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        at.push(Instant::now());
    }

    /// Kills when confirmations come steadily, waits until they do so again; the longest pause since.
    pub fn pause(&self, kill: impl FnOnce() -> anyhow::Result<()>) -> anyhow::Result<Duration> {
        std::thread::sleep(STEADY);
        anyhow::ensure!(
            self.gaps(Instant::now() - STEADY) < STEADY / 2,
            "not steady before"
        );
        let killed = Instant::now();
        kill()?;
        while killed.elapsed() < OVER_WITHIN {
            std::thread::sleep(LOOK_EVERY);
            let now = Instant::now();
            let steady_since = now.checked_sub(STEADY).unwrap_or(now);
            if steady_since > killed && self.gaps(steady_since) < STEADY / 4 {
                return Ok(self.gaps(killed));
            }
        }
        anyhow::bail!("nothing steady within {OVER_WITHIN:?}")
    }

    /// The longest time without one since then.
    fn gaps(&self, since: Instant) -> Duration {
        let at = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (mut last, mut longest) = (since, Duration::ZERO);
        for &at in at.iter().filter(|at| **at > since).chain([&Instant::now()]) {
            longest = longest.max(at.saturating_duration_since(last));
            last = at;
        }
        longest
    }
}
