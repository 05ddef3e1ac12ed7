//! The queue of every key, in two flat arrays; members leave from the end only.

use super::problem::Problem;

/// A key that no unit debits.
const RANK_NONE: u32 = u32::MAX;
/// A queue from which no burst was handed out.
const BURST_NONE: u32 = u32::MAX;

/// How many members a burst has at most.
const BURST_MEMBERS_MAX: u32 = 32;

/// How often each key is debited, and in which order keys first are.
pub(super) struct Census {
    /// One per key.
    keys: Vec<KeyCensus>,
    /// Keys in order of first debit: the order in which failing ones are taken.
    pub(super) ranked: Vec<u32>,
}

#[derive(Clone, Copy)]
struct KeyCensus {
    /// A unit that debits the key with several legs is counted with each: room to spare.
    debits: u32,
    rank: u32,
}

impl Census {
    pub(super) fn new(key_count: u32) -> Self {
        let empty = KeyCensus {
            debits: 0,
            rank: RANK_NONE,
        };
        Self {
            keys: vec![empty; key_count as usize],
            ranked: Vec::new(),
        }
    }

    /// Counts one leg that debits `key`; legs come in queue order.
    pub(super) fn count(&mut self, key: u32) {
        let census = &mut self.keys[key as usize];
        census.debits += 1;
        if census.rank == RANK_NONE {
            census.rank = u32::try_from(self.ranked.len()).expect("at most one a key");
            self.ranked.push(key);
        }
    }

    /// Lays out the queues of the problem that was counted.
    pub(super) fn queues(&self, problem: &Problem) -> Queues {
        let mut end = 0;
        let place = |census: &KeyCensus| {
            let start = end;
            end += census.debits;
            Queue {
                start,
                end: start,
                rank: census.rank,
                burst: BURST_NONE,
            }
        };
        let mut queues: Vec<Queue> = self.keys.iter().map(place).collect();
        let mut members = vec![0; end as usize];
        for (unit, legs) in problem.units() {
            for leg in legs {
                queues[problem.key(leg.debtor) as usize].push(&mut members, unit);
            }
        }
        Queues { queues, members }
    }
}

/// Members of every key that are still in the set, in queue order.
pub(super) struct Queues {
    queues: Vec<Queue>,
    members: Vec<u32>,
}

/// `members[start..end]` are the key's.
#[derive(Clone, Copy)]
struct Queue {
    start: u32,
    end: u32,
    rank: u32,
    /// From where on a burst was handed out; before the first, [`BURST_NONE`].
    burst: u32,
}

impl Queue {
    fn push(&mut self, members: &mut [u32], unit: u32) {
        let end = self.end as usize;
        // A unit that debits the key with several legs is one member.
        if self.start < self.end && members[end - 1] == unit {
            return;
        }
        members[end] = unit;
        self.end += 1;
    }
}

impl Queues {
    /// The key's members still in the set, in queue order.
    pub(super) fn members(&self, key: u32) -> &[u32] {
        let queue = self.queues[key as usize];
        &self.members[queue.start as usize..queue.end as usize]
    }

    /// The key's last member.
    pub(super) fn last(&self, key: u32) -> Option<u32> {
        self.members(key).last().copied()
    }

    /// The members that the key is likely to lose next, one by one, when it fails: nothing the first
    /// time, then a burst from the end, then nothing until those are gone.
    pub(super) fn burst(&mut self, key: u32) -> &[u32] {
        let queue = &mut self.queues[key as usize];
        let end = queue.end;
        let start = match queue.burst {
            BURST_NONE => end,
            burst if end > burst => return &[],
            _ => end.saturating_sub(BURST_MEMBERS_MAX).max(queue.start),
        };
        queue.burst = start;
        &self.members[start as usize..end as usize]
    }

    /// Takes off the key's members at `unit` and behind it, and answers them.
    pub(super) fn cut(&mut self, key: u32, unit: u32) -> &[u32] {
        let queue = &mut self.queues[key as usize];
        let end = queue.end as usize;
        let members = &self.members[queue.start as usize..end];
        let kept = members
            .iter()
            .rposition(|&member| member < unit)
            .map_or(0, |last| last + 1);
        queue.end = queue.start + u32::try_from(kept).expect("below the old end");
        &members[kept..]
    }

    pub(super) fn is_empty(&self, key: u32) -> bool {
        let queue = self.queues[key as usize];
        queue.start == queue.end
    }

    /// The key's place in order of first debit, if it was ever debited.
    pub(super) fn rank(&self, key: u32) -> Option<u32> {
        let rank = self.queues[key as usize].rank;
        (rank != RANK_NONE).then_some(rank)
    }
}
