//! The engine on files: segments roll under it, and every start finds all that was answered.

use crate::support::{
    JOURNAL, Random, Running, flat, payments_padded, replayed, seeds, set_up, statistics,
};
use valuta_engine::StopReason;
use valuta_journal::{FileJournal, FileJournalOptions, Journal};

/// The smallest that lets two of the largest records be reserved.
const SEGMENT_BYTES: u64 = 40 << 20;
/// Of each instruction.
const CONTENT_BYTES: usize = 8 << 10;
/// Of each batch: some 2 MiB.
const BATCH: u64 = 250;

fn open(dir: &std::path::Path) -> FileJournal {
    let options = FileJournalOptions {
        segment_bytes: SEGMENT_BYTES,
        id: Some(JOURNAL),
        ..FileJournalOptions::default()
    };
    FileJournal::create_or_open(dir, options).unwrap().0
}

#[tokio::test(flavor = "multi_thread")]
async fn segments_roll_under_load_and_a_restart_finds_everything() {
    let dir = tempfile::tempdir().unwrap();
    for seed in seeds(1) {
        let path = dir.path().join(seed.to_string());
        let mut random = Random(seed);
        let mut sent = 0;
        let mut answers = Vec::new();
        while sent < 60 * BATCH {
            let running = Running::on(open(&path));
            set_up(&running.handle).await;
            let until = sent + (1 + random.below(30)) * BATCH;
            while sent < until {
                let batch = payments_padded(sent..sent + BATCH, 1, CONTENT_BYTES);
                let answer = running.handle.submit(batch).await.unwrap();
                answers.extend(flat(&answer));
                sent += BATCH;
            }
            assert_eq!(running.stop().await, StopReason::ShutDown);
        }
        let segments = std::fs::read_dir(&path).unwrap().filter(|entry| {
            let length = entry.as_ref().unwrap().metadata().unwrap().len();
            length == SEGMENT_BYTES
        });
        assert!(segments.count() >= 3, "seed {seed}");
        check_again(&path, &answers).await;
    }
}

/// Everything sent again gets the answer that it has.
async fn check_again(
    path: &std::path::Path,
    answers: &[(
        u32,
        settlement_core::ids::Sequence,
        settlement_core::view::Status,
    )],
) {
    let journal = open(path);
    let (state, at) = replayed(&journal, true);
    assert_eq!(state.instruction_count(), answers.len() as u64);
    assert_eq!(at.sequence, journal.tail().sequence);
    drop(state);
    let running = Running::on(journal);
    for (number, expected) in (0..).zip(answers.chunks(BATCH as usize)) {
        let batch = payments_padded(number * BATCH..(number + 1) * BATCH, 1, CONTENT_BYTES);
        let answer = running.handle.submit(batch).await.unwrap();
        assert!(answer.accepted.is_empty());
        assert_eq!(flat(&answer), expected);
    }
    assert_eq!(
        statistics(&running.handle).await.unwrap().0.settled,
        answers.len() as u64
    );
    let content = running.handle.content(answers[7].1).await.unwrap().unwrap();
    assert!(content.bytes.starts_with(b"7 0.01 "));
    running.stop().await;
}
