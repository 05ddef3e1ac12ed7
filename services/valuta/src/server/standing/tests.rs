//! A leader and those who report to it, without the network.
#![allow(clippy::unwrap_used)]

use super::*;
use valuta_journal::Cursor;

fn at(sequence: u64) -> Cursor {
    Cursor {
        sequence,
        ..Cursor::start(JournalId([0xab; 16]))
    }
}

/// Role, sequence, behind, batches behind.
type Said = (ProcessRole, Option<u64>, Option<u64>, Option<u64>);

struct Process {
    board: Board,
    tail: Tail,
    done: Arc<std::sync::atomic::AtomicU64>,
}

impl Process {
    fn new(role: ProcessRole, number: u8) -> Self {
        let tail = Tail::new(at(0));
        let done = Arc::<std::sync::atomic::AtomicU64>::default();
        let (sequence, batch) = (Arc::clone(&done), Arc::clone(&done));
        let read = std::sync::atomic::Ordering::Relaxed;
        let own = Follower::new(role)
            .at(move || sequence.load(read))
            .done(move || batch.load(read) / 10);
        let leader = Leader {
            epoch: 4,
            id: [1; 16],
            address: "http://a:1".to_owned(),
        };
        let (_, leader) = watch::channel(Some(leader));
        let board = Board::new(role, [number; 16], tail.clone(), leader, vec![own]);
        board.serves_at(format!("a:{number}"));
        Self { board, tail, done }
    }

    fn is_at(&self, tail: u64, done: u64) {
        self.tail.publish(at(tail));
        self.done.store(done, std::sync::atomic::Ordering::Relaxed);
        self.board.look(None, None);
    }

    fn reports_to(&self, leader: &Self) {
        let told = leader.board.take(self.board.own());
        self.board.hear(told, leader.board.marks());
    }

    /// Of all that it knows.
    fn says(&self) -> Vec<Said> {
        let processes = self.board.standing().processes;
        let line = |status: &ProcessStatus| {
            let ProcessStatus {
                sequence,
                behind,
                batches_behind,
                ..
            } = status;
            (status.role(), *sequence, *behind, *batches_behind)
        };
        processes.iter().map(line).collect()
    }
}

#[test]
fn everyone_knows_what_all_have_told_the_leader() {
    use ProcessRole::{Gateway, Leader, Projector, Standby};
    let engine = Process::new(Standby, 1);
    engine.is_at(100, 100);
    assert_eq!(
        engine.says(),
        [(Standby, Some(100), Some(0), Some(0))],
        "it stands by"
    );
    engine.board.leads();
    engine.board.look(Some(9), Some(-5));
    let (projector, gateway) = (Process::new(Projector, 2), Process::new(Gateway, 3));
    // Its own tail may be behind too: what counts is the leader's.
    projector.is_at(80, 70);
    gateway.is_at(100, 100);
    projector.reports_to(&engine);
    gateway.reports_to(&engine);
    let leading = (Leader, Some(100), Some(0), None);
    let projecting = (Projector, Some(70), Some(30), Some(2));
    let serving = (Gateway, Some(100), Some(0), Some(0));
    assert_eq!(engine.says(), [leading, projecting, serving]);
    assert_eq!(gateway.says()[..2], [serving, leading]);
    assert!(gateway.says().contains(&projecting));
    assert_eq!(projector.says(), [projecting, leading], "it asked first");
    assert_eq!(gateway.board.marks(), (100, -5, 9));
    let standing = gateway.board.standing();
    assert_eq!(standing.role, Gateway);
    assert_eq!(standing.journal, "ab".repeat(16));
    let leader = standing.leader.unwrap();
    assert_eq!((leader.epoch, leader.process), (4, "01".repeat(16)));
}

/// How far it has come is said by the one that works.
#[test]
fn a_follower_that_stands_by_says_so_and_nothing_more() {
    use std::sync::atomic::{AtomicBool, Ordering};
    let works = Arc::<AtomicBool>::default();
    let asked = Arc::clone(&works);
    let relay = Follower::new(ProcessRole::Relay)
        .at(|| 7)
        .done(|| 3)
        .in_turn(move || asked.load(Ordering::Relaxed));
    let says = || {
        let status = relay.status();
        (status.standing_by, status.sequence, status.batch)
    };
    assert_eq!(says(), (true, None, None));
    works.store(true, Ordering::Relaxed);
    assert_eq!(says(), (false, Some(7), Some(3)));
    assert!(Follower::new(ProcessRole::Standby).status().standing_by);
}

/// Ages in seconds, and who is still known then: by process, silent in brackets.
#[test]
fn who_is_not_heard_of_is_silent_and_forgotten_when_replaced_or_long_gone() {
    let check = |ages: &[(&str, &str, u64)], expected: &str| {
        let leader = Process::new(ProcessRole::Leader, 1);
        let now = Instant::now();
        let mut known = leader.board.known();
        for (process, address, seconds) in ages {
            let status = ProcessStatus {
                process: (*process).to_owned(),
                address: (*address).to_owned(),
                role: ProcessRole::Gateway.into(),
                ..ProcessStatus::default()
            };
            known.hear(
                status,
                now.checked_sub(Duration::from_secs(*seconds)).unwrap(),
            );
        }
        let all = leader.board.all(&mut known, now);
        let said: Vec<String> = all
            .iter()
            .filter(|status| status.role() == ProcessRole::Gateway)
            .map(|status| match status.silent {
                true => format!("({})", status.process),
                false => status.process.clone(),
            })
            .collect();
        assert_eq!(said.join(" "), expected, "{ages:?}");
    };
    check(&[("p", "a", 0), ("q", "b", 5)], "p q");
    check(&[("p", "a", 0), ("q", "b", 6)], "p (q)");
    check(&[("p", "a", 0), ("q", "a", 6)], "p");
    check(&[("p", "a", 6), ("q", "a", 7)], "(p) (q)");
    check(&[("p", "a", 601)], "");
    check(&[("p", "a", 2), ("p", "a", 9)], "p");
}
