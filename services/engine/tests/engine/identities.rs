//! Old identities leave for files: repeats of any age are known, and nothing but time is lost with a file.

use crate::support::*;
use settlement_core::command::{Action, Caller};
use settlement_core::event::Event;
use settlement_core::ids::{Sequence, Timestamp};
use settlement_core::instruction::Submissions;
use settlement_core::record;
use settlement_core::rejection::Rejection;
use settlement_core::view::{Query, Status, View};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;
use valuta_engine::{OldIdentities, StopReason};
use valuta_journal::{Journal, JournalId, MemoryJournal, Source};

const DAY_MS: i64 = 86_400_000;
/// Payments of one day.
const PAYMENTS: u64 = 150;

/// An engine whose journal can be looked into while it runs.
struct World {
    running: Running,
    journal: Held<MemoryJournal>,
    now: Timestamp,
    requests: u64,
}

impl World {
    fn on(journal: MemoryJournal, dir: &Path) -> Self {
        let (_, at) = replayed(&journal, true);
        let journal = Held::new(journal);
        Self {
            running: Running::with_snapshots(journal.clone(), dir, u64::MAX),
            journal,
            now: at.time,
            requests: at.sequence,
        }
    }

    async fn new(dir: &Path) -> Self {
        let mut world = Self::on(MemoryJournal::new(JOURNAL), dir);
        set_up(&world.running.handle).await;
        world.now = MORNING;
        world
    }

    async fn set_time(&mut self, time: Timestamp) {
        self.requests += 1;
        let mut command = command(
            Caller::Operator,
            &format!("time-{}", self.requests),
            Action::SetTime(time),
        );
        command.created = self.now;
        let answer = self.running.handle.command(command).await;
        answer.unwrap().unwrap();
        self.now = time;
    }

    fn left(&self) -> u64 {
        replayed(&self.journal, true).0.left()
    }

    /// Ticks come until so much has left.
    async fn until_left(&mut self, left: u64) {
        for _ in 0..500 {
            if self.left() >= left {
                return;
            }
            self.set_time(Timestamp(self.now.0 + 1)).await;
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("{} left of {left}", self.left());
    }

    async fn submit(&self, batch: Submissions) -> Vec<(u32, Sequence, Status)> {
        flat(&self.running.handle.submit(batch).await.unwrap())
    }

    /// Weeks with a day of payments each; all but the last leaves.
    async fn weeks(&mut self, weeks: std::ops::Range<u64>) {
        for week in weeks.clone() {
            let time = Timestamp(MORNING.0 + week as i64 * 7 * DAY_MS);
            self.set_time(time).await;
            let sent = self.submit(day(week)).await;
            assert_eq!(sent.len() as u64, PAYMENTS);
        }
        let end = Timestamp(MORNING.0 + weeks.end as i64 * 7 * DAY_MS);
        self.set_time(end).await;
        self.until_left(weeks.end).await;
    }

    async fn stop(self) -> MemoryJournal {
        assert_eq!(self.running.stop().await, StopReason::ShutDown);
        self.journal.into_inner().crash()
    }
}

/// A week's payments, made that week.
fn day(week: u64) -> Submissions {
    let first = week * PAYMENTS;
    let mut batch = payments(first..first + PAYMENTS, 100);
    for item in &mut batch.items {
        let body = item.body.as_mut().unwrap();
        body.created = Timestamp(MORNING.0 + week as i64 * 7 * DAY_MS);
        body.value_date = body.created.date();
    }
    batch
}

fn files(dir: &Path) -> Vec<PathBuf> {
    let checked = OldIdentities::check(dir).into_iter();
    checked.map(|(path, _)| path).collect()
}

/// Files are whole and hold what is not in memory; a start with them is one without.
fn check(journal: &MemoryJournal, dir: &Path) {
    let found = recovered(journal, dir);
    let (state, _) = replayed(journal, true);
    assert_eq!(found.state.digest(), state.digest());
    let checked = OldIdentities::check(dir);
    let lines: u64 = checked
        .iter()
        .map(|(_, lines)| *lines.as_ref().unwrap())
        .sum();
    assert!(lines >= state.instruction_count() - state.held_count());
}

/// Every payment of some weeks is known: sent again, sent with other content, and asked for.
async fn all_are_known(world: &mut World, weeks: std::ops::Range<u64>) {
    for week in weeks {
        let first = flat(&world.running.handle.submit(day(week)).await.unwrap());
        let sequence = world.running.handle.durable().borrow().to_owned();
        for (_, _, status) in &first {
            let known = matches!(status, Status::Settled { .. } | Status::Rejected(_));
            assert!(known, "{status:?}");
        }
        let again = world.submit(day(week)).await;
        assert_eq!(again, first);
        assert_eq!(
            *world.running.handle.durable().borrow(),
            sequence,
            "no trace"
        );
        let number = week * PAYMENTS + 3;
        let answers = ask(&world.running.handle, number).await;
        assert_eq!(answers.len(), 1);
        assert_eq!(
            (answers[0].sequence, answers[0].status),
            (first[3].1, first[3].2)
        );
        let mut changed = payment(number, 200);
        changed.items[0].identity = identity(number);
        let refused = world.submit(changed).await;
        let duplicate = Status::Rejected(Rejection::DuplicateWithOtherContent);
        assert_eq!(refused[0].2, duplicate);
    }
}

async fn settled(world: &World) -> u64 {
    let query = Query::Statistics;
    match world
        .running
        .handle
        .query(query, Sequence(0))
        .await
        .unwrap()
        .view
    {
        View::Statistics(counts) => counts.settled,
        other => panic!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_left_is_known_before_and_after_a_start() {
    let dir = tempfile::tempdir().unwrap();
    let mut world = World::new(dir.path()).await;
    world.weeks(0..14).await;
    assert_eq!(files(dir.path()).len(), 2, "one for each 128 days");
    let before = settled(&world).await;
    assert!(before > 8 * PAYMENTS);
    all_are_known(&mut world, 0..14).await;
    assert_eq!(settled(&world).await, before, "nothing is paid twice");
    // A request of the first day, whose creation is within the retention.
    let [_, scheme, deposit] = set_up_commands();
    for command in [scheme, deposit.clone()] {
        let again = world
            .running
            .handle
            .command(command)
            .await
            .unwrap()
            .unwrap();
        assert!(again.repeated);
    }
    let mut other = deposit;
    other.digest.0[0] ^= 1;
    let refused = world.running.handle.command(other).await.unwrap();
    assert!(refused.unwrap_err().to_string().contains("request"));
    let journal = world.stop().await;
    check(&journal, dir.path());
    assert!(recovered(&journal, dir.path()).snapshot.is_some());
    let (state, _) = replayed(&journal, true);
    assert_eq!(state.held_count(), 0);
    let mut world = World::on(journal, dir.path());
    all_are_known(&mut world, 0..14).await;
    assert_eq!(settled(&world).await, before);
    world.stop().await;
}

/// The journal of some weeks; the directory has their files, and a snapshot.
async fn some_weeks(dir: &Path, weeks: u64) -> MemoryJournal {
    let mut world = World::new(dir).await;
    world.weeks(0..weeks).await;
    world.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_is_missing_or_damaged_is_made_anew() {
    let dir = tempfile::tempdir().unwrap();
    let journal = some_weeks(dir.path(), 4).await;
    let path = files(dir.path())[0].clone();
    let whole = fs::read(&path).unwrap();
    let check_again = |what: &str| {
        let found = recovered(&journal, dir.path());
        assert_eq!(found.snapshot, None, "{what}: a replay from the start");
        check(&journal, dir.path());
        assert_eq!(fs::read(&path).unwrap().len(), whole.len(), "{what}");
        assert!(recovered(&journal, dir.path()).snapshot.is_some(), "{what}");
    };
    fs::remove_file(&path).unwrap();
    check_again("missing");
    let mut random = Random(5);
    // Blocks are checked as they are read; head, filter and index at a start.
    let index = whole.len() as u64 - 200;
    let bits = (0..112 * 8)
        .step_by(37)
        .chain((0..10).map(|_| index * 8 + random.below(200 * 8)));
    for bit in bits.collect::<Vec<u64>>() {
        let mut bytes = fs::read(&path).unwrap();
        bytes[bit as usize / 8] ^= 1 << (bit % 8);
        // The head's reserved word says nothing, but is covered too.
        fs::write(&path, bytes).unwrap();
        check_again(&format!("bit {bit}"));
    }
    for length in [0, 7, 111, 112, whole.len() / 2, whole.len() - 1] {
        fs::write(&path, &whole[..length]).unwrap();
        check_again(&format!("{length} bytes"));
    }
    fs::write(&path, [whole.as_slice(), b"x"].concat()).unwrap();
    check_again("longer");
    fs::write(&path, b"nothing of ours").unwrap();
    check_again("another file");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_of_another_journal_is_not_used() {
    let (dir, elsewhere) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let journal = some_weeks(dir.path(), 2).await;
    let mut other = World::on(MemoryJournal::new(JournalId([8; 16])), elsewhere.path());
    set_up(&other.running.handle).await;
    other.now = MORNING;
    other.weeks(0..2).await;
    let foreign = other.stop().await;
    let path = files(dir.path())[0].clone();
    let name = path.file_name().unwrap();
    let theirs = fs::read(elsewhere.path().join(name)).unwrap();
    // Of another journal; and of the same one's id, with another history.
    fs::write(&path, &theirs).unwrap();
    assert_eq!(recovered(&journal, dir.path()).snapshot, None);
    assert_ne!(fs::read(&path).unwrap(), theirs);
    let mut same_id = World::new(elsewhere.path()).await;
    same_id.submit(payments(900_000..900_001, 7)).await;
    same_id.weeks(0..2).await;
    same_id.stop().await;
    fs::copy(elsewhere.path().join(name), &path).unwrap();
    assert_eq!(recovered(&journal, dir.path()).snapshot, None);
    check(&journal, dir.path());
    drop(foreign);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_turns_bad_stops_the_engine_and_the_next_start_mends_it() {
    let dir = tempfile::tempdir().unwrap();
    let journal = some_weeks(dir.path(), 3).await;
    let path = files(dir.path())[0].clone();
    let mut bytes = fs::read(&path).unwrap();
    // In the first block.
    bytes[300] ^= 4;
    fs::write(&path, bytes).unwrap();
    assert!(OldIdentities::check(dir.path())[0].1.is_err());
    let world = World::on(journal, dir.path());
    let sent = world.running.handle.submit(day(0)).await;
    assert!(
        sent.is_err(),
        "nothing is answered that cannot be looked up"
    );
    let reason = world.running.join().await;
    assert!(matches!(reason, StopReason::Identities(_)), "{reason:?}");
    let journal = world.journal.into_inner().crash();
    let mut world = World::on(journal, dir.path());
    all_are_known(&mut world, 0..3).await;
    check(&world.stop().await, dir.path());
}

/// The first records of a journal, as a crash after the last of them leaves them.
fn cut(journal: &MemoryJournal, records: usize) -> MemoryJournal {
    let mut cut = MemoryJournal::new(JOURNAL);
    let mut reader = journal.reader(None).unwrap();
    for _ in 0..records {
        let Some(record) = reader.next().unwrap() else {
            break;
        };
        let header = &record.header;
        let (first, last) = (header.first_sequence, header.last_sequence);
        cut.append(first, last, header.time_ms, &record.payload)
            .unwrap();
    }
    cut
}

/// After which records a step of leaving is durable.
fn steps(journal: &MemoryJournal) -> Vec<usize> {
    let mut reader = journal.reader(None).unwrap();
    let (mut found, mut events, mut at) = (Vec::new(), Vec::new(), 0);
    while let Some(record) = reader.next().unwrap() {
        at += 1;
        let mut entries = record::entries(&record.payload).unwrap();
        while entries.next_into(&mut events).unwrap().is_some() {
            let step = |event: &Event| {
                matches!(
                    event,
                    Event::IdentitiesAged { .. } | Event::IdentitiesLeft { .. }
                )
            };
            if events.iter().any(step) {
                found.push(at);
            }
        }
    }
    found
}

/// A crash at each step, with each state of the disk that may go with it, loses nothing.
#[tokio::test(flavor = "multi_thread")]
async fn a_crash_at_any_step_of_leaving_loses_nothing() {
    let whole = tempfile::tempdir().unwrap();
    let journal = some_weeks(whole.path(), 3).await;
    let name = files(whole.path())[0].file_name().unwrap().to_owned();
    let steps = steps(&journal);
    assert_eq!(steps.len(), 6, "two for each week");
    for (at, &records) in steps.iter().enumerate() {
        for disk in ["nothing", "half of one", "the last"] {
            let dir = tempfile::tempdir().unwrap();
            match disk {
                "half of one" => {
                    fs::write(dir.path().join("identities.tmp"), b"half of one").unwrap();
                }
                "the last" => {
                    fs::copy(whole.path().join(&name), dir.path().join(&name))
                        .map(|_| ())
                        .unwrap();
                }
                _ => {}
            }
            let left = (at as u64).div_ceil(2);
            let mut world = World::on(cut(&journal, records), dir.path());
            assert!(world.left() >= left, "step {at}, {disk}");
            world.until_left(left.max(1)).await;
            all_are_known(&mut world, 0..left.max(1)).await;
            let after = world.stop().await;
            check(&after, dir.path());
            assert!(!dir.path().join("identities.tmp").exists() || disk == "nothing");
        }
    }
}

/// A file that cannot be written keeps what is old in memory, and stops nothing.
#[tokio::test(flavor = "multi_thread")]
async fn one_that_cannot_be_written_stops_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let blocked = dir.path().join("snapshots");
    fs::write(&blocked, b"in the way").unwrap();
    let mut world = World::new(&blocked).await;
    for week in 0..3 {
        world
            .set_time(Timestamp(MORNING.0 + week as i64 * 7 * DAY_MS))
            .await;
        world.submit(day(week)).await;
    }
    world.set_time(Timestamp(world.now.0 + 30 * DAY_MS)).await;
    for _ in 0..10 {
        world.set_time(Timestamp(world.now.0 + 1)).await;
    }
    assert_eq!(world.left(), 0);
    all_are_known(&mut world, 0..3).await;
    let journal = world.stop().await;
    fs::remove_file(&blocked).unwrap();
    let mut world = World::on(journal, &blocked);
    world.until_left(3).await;
    all_are_known(&mut world, 0..3).await;
    world.stop().await;
}

/// A snapshot of between deciding what is to leave and its leaving, without the file.
#[tokio::test(flavor = "multi_thread")]
async fn a_snapshot_from_the_middle_of_leaving_is_enough() {
    let whole = tempfile::tempdir().unwrap();
    let journal = some_weeks(whole.path(), 2).await;
    for aged in steps(&journal).into_iter().step_by(2) {
        let dir = tempfile::tempdir().unwrap();
        // It stops before its first tick: what is to leave has not left.
        let world = World::on(cut(&journal, aged), dir.path());
        let before = world.left();
        let half_way = world.stop().await;
        assert_eq!(replayed(&half_way, true).0.left(), before);
        let held: Vec<PathBuf> = files(dir.path());
        assert_eq!(held.len(), 1, "a start has written it");
        if before == 0 {
            fs::remove_file(&held[0]).unwrap();
        }
        let found = recovered(&journal, dir.path());
        assert!(found.snapshot.is_some());
        check(&journal, dir.path());
        let mut world = World::on(cut(&journal, usize::MAX), dir.path());
        all_are_known(&mut world, 0..2).await;
        world.stop().await;
    }
}

/// A replica that reads of both steps at once has the file when it is to lead.
#[tokio::test(flavor = "multi_thread")]
async fn a_replica_has_its_own_files_when_it_leads() {
    let whole = tempfile::tempdir().unwrap();
    let journal = some_weeks(whole.path(), 4).await;
    let dir = tempfile::tempdir().unwrap();
    let held = Held::new(cut(&journal, 3));
    let (replica, _handle) = crate::replica::replica(&held, dir.path(), u64::MAX);
    append_rest(&held, &journal, 3);
    let (state, at) = replica.stop().unwrap();
    assert_eq!(state.digest(), replayed(&journal, true).0.digest());
    assert_eq!(state.left(), 4);
    let running = Running::leads(held.clone(), state, at, dir.path());
    let mut world = World {
        running,
        journal: held,
        now: at.time,
        requests: at.sequence,
    };
    all_are_known(&mut world, 0..4).await;
    check(&world.stop().await, dir.path());
}

fn append_rest(held: &Held<MemoryJournal>, journal: &MemoryJournal, after: usize) {
    let mut reader = journal.reader(None).unwrap();
    let mut held = held.clone();
    let mut at = 0;
    while let Some(record) = reader.next().unwrap() {
        at += 1;
        let header = &record.header;
        let (first, last) = (header.first_sequence, header.last_sequence);
        if at > after {
            held.append(first, last, header.time_ms, &record.payload)
                .unwrap();
        }
    }
}
