//! How many checkpoints of one log are looked at: a bucket of tokens, one for each.

/// A log's share of the witness.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// Checkpoints a second, for ever.
    pub per_second: u32,
    /// Checkpoints at once, after a pause.
    pub burst: u32,
}

/// One token, in the bucket's units: a thousandth comes each millisecond at one a second.
const TOKEN: u64 = 1_000;

/// Full at the start.
#[derive(Debug, Default)]
pub(crate) struct Bucket {
    /// Taken and not yet refilled.
    missing: u64,
    refilled_ms: u64,
}

impl Bucket {
    /// Takes a token, if there is one.
    pub(crate) fn take(&mut self, rate: Rate, now_ms: u64) -> bool {
        // A clock that goes back refills nothing.
        let elapsed_ms = now_ms.saturating_sub(self.refilled_ms);
        self.refilled_ms = self.refilled_ms.max(now_ms);
        let refilled = elapsed_ms.saturating_mul(u64::from(rate.per_second));
        self.missing = self.missing.saturating_sub(refilled);
        if self.missing + TOKEN > u64::from(rate.burst) * TOKEN {
            return false;
        }
        self.missing += TOKEN;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_come_back_at_their_rate() {
        let rate = Rate {
            per_second: 2,
            burst: 3,
        };
        let mut bucket = Bucket::default();
        let mut check = |now_ms: u64, granted: usize| {
            let taken = (0..10).take_while(|_| bucket.take(rate, now_ms)).count();
            assert_eq!(taken, granted, "at {now_ms}");
        };
        check(1_000_000, 3);
        check(1_000_000, 0);
        check(1_000_499, 0);
        check(1_000_500, 1);
        check(999_000, 0);
        check(1_001_750, 2);
        check(1_002_000, 1);
        check(9_000_000, 3);
    }
}
