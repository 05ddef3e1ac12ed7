//! When a rising number passed which value: so a follower's lag has a time too, without any clock of its own.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// Beyond, every second one of the older ones is forgotten: lags of days are told less exactly.
const PASSED_MAX: usize = 1_024;

/// A rising number, and when it was seen to rise.
#[derive(Debug, Default)]
pub struct Marks {
    passed: VecDeque<(u64, Instant)>,
}

impl Marks {
    /// It was seen to be at `mark`.
    pub fn note(&mut self, mark: u64, now: Instant) {
        if mark <= self.newest() {
            return;
        }
        if self.passed.len() >= PASSED_MAX {
            let mut keeps = false;
            self.passed.retain(|_| {
                keeps = !keeps;
                keeps
            });
        }
        self.passed.push_back((mark, now));
    }

    /// The highest seen; 0 before any.
    pub fn newest(&self) -> u64 {
        self.passed.back().map_or(0, |(mark, _)| *mark)
    }

    /// For how long something beyond `at` has been there: at least so long, if `at` is from before what is
    /// remembered.
    pub fn waiting(&self, at: u64, now: Instant) -> Duration {
        let beyond = self.passed.partition_point(|(mark, _)| *mark <= at);
        let since = self.passed.get(beyond).map(|(_, since)| *since);
        since.map_or(Duration::ZERO, |since| now.saturating_duration_since(since))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_waits_has_waited_since_it_came() {
        let (mut marks, start) = (Marks::default(), Instant::now());
        let at = |ms| start + Duration::from_millis(ms);
        let check = |marks: &Marks, at_mark, now, waiting_ms| {
            let waiting = marks.waiting(at_mark, at(now));
            assert_eq!(waiting, Duration::from_millis(waiting_ms), "{at_mark}");
        };
        check(&marks, 0, 5, 0);
        for (mark, ms) in [(10, 100), (10, 150), (20, 200), (5, 300)] {
            marks.note(mark, at(ms));
        }
        assert_eq!(marks.newest(), 20);
        check(&marks, 0, 1_000, 900);
        check(&marks, 9, 1_000, 900);
        check(&marks, 10, 1_000, 800);
        check(&marks, 20, 1_000, 0);
        check(&marks, 99, 1_000, 0);
    }

    /// However long it goes on, what is remembered is bounded, and the newest is exact.
    #[test]
    fn memory_is_bounded() {
        let (mut marks, start) = (Marks::default(), Instant::now());
        let at = |mark| start + Duration::from_millis(mark);
        for mark in 1..=10_000 {
            marks.note(mark, at(mark));
            assert!(marks.passed.len() <= PASSED_MAX);
        }
        assert_eq!(marks.waiting(9_999, at(10_001)), Duration::from_millis(1));
        let oldest = marks.waiting(0, at(10_000));
        assert!(oldest >= Duration::from_millis(9_000), "{oldest:?}");
    }
}
