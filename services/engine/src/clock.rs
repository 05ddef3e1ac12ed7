//! Record time is `max(previous, clock)`. A clock that jumps ahead while the engine runs stops it:
//! deadlines would pass that nobody saw coming.

use settlement_core::ids::Timestamp;
use std::time::{Duration, Instant, SystemTime};

/// A forward jump beyond this, while running, stops the engine.
pub const FORWARD_JUMP_MS_MAX: i64 = 60_000;

/// Where wall time and elapsed time come from; a test brings its own.
pub trait Clock: Send {
    /// Milliseconds since 1970-01-01 UTC.
    fn wall_ms(&self) -> i64;
    /// Time since some fixed instant; never jumps.
    fn elapsed(&self) -> Duration;
}

/// The machine's clocks.
pub struct SystemClock {
    started: Instant,
}

impl Default for SystemClock {
    fn default() -> Self {
        Self {
            started: Instant::now(),
        }
    }
}

impl Clock for SystemClock {
    fn wall_ms(&self) -> i64 {
        SystemTime::now()
            .duration_since(SystemTime::UNIX_EPOCH)
            .ok()
            .and_then(|since| i64::try_from(since.as_millis()).ok())
            .unwrap_or(0)
    }

    fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }
}

/// The clock jumped ahead by so many milliseconds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Jumped(pub i64);

/// Record time, from a clock or (rehearsal) only from what is set.
pub(crate) struct RecordTime {
    clock: Box<dyn Clock>,
    rehearsal: bool,
    now: Timestamp,
    last_wall_ms: i64,
    last_elapsed: Duration,
}

impl RecordTime {
    /// Continues from the last record's time. A jump since then is taken, and logged.
    pub fn start(clock: Box<dyn Clock>, rehearsal: bool, last: Timestamp) -> Self {
        let (wall_ms, elapsed) = (clock.wall_ms(), clock.elapsed());
        if !rehearsal && last.0 > wall_ms {
            tracing::warn!(
                behind_ms = last.0 - wall_ms,
                "the clock is behind the journal; record time stands still until it has caught up"
            );
        }
        Self {
            clock,
            rehearsal,
            now: last,
            last_wall_ms: wall_ms,
            last_elapsed: elapsed,
        }
    }

    /// The time for the next step.
    pub fn advance(&mut self) -> Result<Timestamp, Jumped> {
        if self.rehearsal {
            return Ok(self.now);
        }
        let (wall_ms, elapsed) = (self.clock.wall_ms(), self.clock.elapsed());
        let passed = i64::try_from((elapsed.saturating_sub(self.last_elapsed)).as_millis())
            .unwrap_or(i64::MAX);
        let jump = (wall_ms - self.last_wall_ms).saturating_sub(passed);
        (self.last_wall_ms, self.last_elapsed) = (wall_ms, elapsed);
        if jump > FORWARD_JUMP_MS_MAX {
            return Err(Jumped(jump));
        }
        self.now = self.now.max(Timestamp(wall_ms));
        Ok(self.now)
    }

    /// A journaled `SetTime` of a rehearsal.
    pub fn set(&mut self, now: Timestamp) {
        self.now = self.now.max(now);
    }

    pub fn now(&self) -> Timestamp {
        self.now
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicI64, Ordering};

    #[derive(Clone, Default)]
    struct Hands {
        wall_ms: Arc<AtomicI64>,
        elapsed_ms: Arc<AtomicI64>,
    }

    impl Clock for Hands {
        fn wall_ms(&self) -> i64 {
            self.wall_ms.load(Ordering::Relaxed)
        }
        fn elapsed(&self) -> Duration {
            Duration::from_millis(self.elapsed_ms.load(Ordering::Relaxed).unsigned_abs())
        }
    }

    /// (wall, elapsed) in milliseconds, then what record time becomes.
    fn check(last_ms: i64, steps: &[(i64, i64, Result<i64, i64>)]) {
        let hands = Hands::default();
        hands.wall_ms.store(1_000, Ordering::Relaxed);
        let mut time = RecordTime::start(Box::new(hands.clone()), false, Timestamp(last_ms));
        for &(wall_ms, elapsed_ms, expected) in steps {
            hands.wall_ms.store(wall_ms, Ordering::Relaxed);
            hands.elapsed_ms.store(elapsed_ms, Ordering::Relaxed);
            let found = time.advance().map(|at| at.0).map_err(|jump| jump.0);
            assert_eq!(found, expected, "at wall {wall_ms}");
        }
    }

    #[test]
    fn time_never_goes_back_and_a_jump_stops() {
        check(0, &[(2_000, 1_000, Ok(2_000)), (1_500, 1_001, Ok(2_000))]);
        check(
            5_000,
            &[(2_000, 1_000, Ok(5_000)), (6_000, 5_000, Ok(6_000))],
        );
        check(0, &[(61_000, 0, Ok(61_000))]);
        check(0, &[(61_001, 0, Err(60_001))]);
        // Time that really passed is no jump: a stopped process, a long pause.
        check(0, &[(901_000, 900_000, Ok(901_000))]);
    }

    #[test]
    fn a_rehearsal_takes_its_time_only_from_what_is_set() {
        let hands = Hands::default();
        let mut time = RecordTime::start(Box::new(hands.clone()), true, Timestamp(7));
        hands.wall_ms.store(1 << 40, Ordering::Relaxed);
        assert_eq!(time.advance(), Ok(Timestamp(7)));
        time.set(Timestamp(9));
        time.set(Timestamp(8));
        assert_eq!(time.advance(), Ok(Timestamp(9)));
        assert_eq!(time.now(), Timestamp(9));
    }
}
