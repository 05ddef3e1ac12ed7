//! Never two trees of one size: whatever races, and wherever the witness is killed.
#![allow(clippy::unwrap_used, missing_docs)]

mod common;

use std::io;
use std::sync::{Arc, Barrier, Mutex};

use common::*;
use redb::StorageBackend;
use valuta_verify::Policy;
use valuta_witness::{Refused, Witness};

#[test]
fn the_state_is_there_after_every_commit() {
    let dir = tempfile::tempdir().unwrap();
    let (log, other) = (SimLog::new(), SimLog::of("other.example", 2, u64::MAX));
    let open = || Witness::open(&dir.path().join("state"), config(&[&log, &other])).unwrap();
    for size in 0..20 {
        let witness = open();
        block_on(witness.add_checkpoint(log.request(size, size + 1).as_bytes())).unwrap();
        drop(witness);
        let witness = open();
        assert_eq!(
            witness.latest(ORIGIN).unwrap(),
            Some(log.checkpoint(size + 1))
        );
        let fork = SimLog::forked(0).request(size, size + 1);
        let refused = block_on(witness.add_checkpoint(fork.as_bytes()));
        assert_eq!(refused, Err(Refused::Conflict { size: size + 1 }));
        if size % 3 == 0 {
            let old = witness.latest("other.example").unwrap();
            let old = old.map_or(0, |checkpoint| checkpoint.size);
            block_on(witness.add_checkpoint(other.request(old, size + 1).as_bytes())).unwrap();
        }
    }
}

#[test]
fn another_process_cannot_open_it() {
    let dir = tempfile::tempdir().unwrap();
    let open = || Witness::open(&dir.path().join("state"), config(&[&SimLog::new()]));
    let witness = open().unwrap();
    assert!(open().is_err());
    drop(witness);
    assert!(open().is_ok());
}

#[test]
fn of_two_trees_of_one_size_one_is_cosigned() {
    for round in 0..8 {
        let dir = tempfile::tempdir().unwrap();
        let logs = [SimLog::new(), SimLog::forked(2)];
        let witness = Witness::open(&dir.path().join("state"), config(&[&logs[0]])).unwrap();
        let witness = Arc::new(witness);
        let served = Served::witness(witness.clone());
        if round % 2 == 1 {
            block_on(witness.add_checkpoint(logs[0].request(0, 1).as_bytes())).unwrap();
        }
        let barrier = Barrier::new(50);
        let cosigned = Mutex::new([0, 0]);
        std::thread::scope(|scope| {
            for index in 0..50 {
                let (barrier, cosigned, logs, url) = (&barrier, &cosigned, &logs, &served.url);
                scope.spawn(move || {
                    let body = logs[index % 2].request(round as u64 % 2, 5);
                    barrier.wait();
                    let (status, ..) = post(url, body.as_bytes());
                    assert!([200, 409].contains(&status), "{status}");
                    cosigned.lock().unwrap()[index % 2] += usize::from(status == 200);
                });
            }
        });
        let cosigned = cosigned.into_inner().unwrap();
        assert!(cosigned.contains(&0) && cosigned != [0, 0], "{cosigned:?}");
        let winner = usize::from(cosigned[0] == 0);
        assert_eq!(
            witness.latest(ORIGIN).unwrap(),
            Some(logs[winner].checkpoint(5))
        );
    }
}

/// Many logs at once share commits; each gets its own.
#[test]
fn many_logs_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let log = |index: usize| SimLog::of(&format!("log{index}.example"), 1, u64::MAX);
    let logs: Vec<SimLog> = (0..40).map(log).collect();
    let config = config(&logs.iter().collect::<Vec<_>>());
    let witness = Witness::open(&dir.path().join("state"), config).unwrap();
    std::thread::scope(|scope| {
        for log in &logs {
            let witness = &witness;
            scope.spawn(move || {
                let policy = format!(
                    "log {}\nwitness w {}\nquorum w\n",
                    log.vkey(),
                    key(11).vkey()
                );
                let policy = Policy::parse(&policy).unwrap();
                for size in 0..10 {
                    let request = log.request(size, size + 1);
                    let line = block_on(witness.add_checkpoint(request.as_bytes())).unwrap();
                    let note = format!("{}{line}", log.note(size + 1));
                    valuta_verify::open_checkpoint(&note, &policy).unwrap();
                }
            });
        }
    });
    for log in &logs {
        assert_eq!(
            witness.latest(&log.origin).unwrap(),
            Some(log.checkpoint(10))
        );
    }
}

/// What a disk holds, and what it would hold after a crash.
#[derive(Debug, Default)]
struct Disk {
    written: Vec<u8>,
    durable: Vec<u8>,
    /// Since the last sync.
    pending: Vec<Pending>,
    /// Before this one fails and so does everything after it.
    steps_left: u64,
}

#[derive(Debug, Clone)]
enum Pending {
    Length(usize),
    Bytes(usize, Vec<u8>),
}

#[derive(Debug, Clone)]
struct Backend(Arc<Mutex<Disk>>);

/// What of the writes since the last sync is on the disk after a crash.
#[derive(Debug, Clone, Copy)]
enum Crash {
    Nothing,
    All,
    EverySecond,
    EveryOther,
}

impl Disk {
    fn apply(bytes: &mut Vec<u8>, pending: &Pending) {
        match pending {
            Pending::Length(length) => bytes.resize(*length, 0),
            Pending::Bytes(at, data) => {
                if bytes.len() < at + data.len() {
                    bytes.resize(at + data.len(), 0);
                }
                bytes[*at..at + data.len()].copy_from_slice(data);
            }
        }
    }

    fn after(&self, crash: Crash) -> Vec<u8> {
        let mut bytes = self.durable.clone();
        for (index, pending) in self.pending.iter().enumerate() {
            let is_kept = match crash {
                Crash::Nothing => false,
                Crash::All => true,
                Crash::EverySecond => index % 2 == 1,
                Crash::EveryOther => index % 2 == 0,
            };
            if is_kept {
                Self::apply(&mut bytes, pending);
            }
        }
        bytes
    }

    fn step(&mut self) -> io::Result<()> {
        self.steps_left = self.steps_left.checked_sub(1).ok_or(io::ErrorKind::Other)?;
        Ok(())
    }

    fn change(&mut self, pending: Pending) -> io::Result<()> {
        self.step()?;
        Self::apply(&mut self.written, &pending);
        self.pending.push(pending);
        Ok(())
    }
}

impl Backend {
    fn on(bytes: Vec<u8>, steps_left: u64) -> Self {
        Self(Arc::new(Mutex::new(Disk {
            written: bytes.clone(),
            durable: bytes,
            pending: Vec::new(),
            steps_left,
        })))
    }
}

impl StorageBackend for Backend {
    fn len(&self) -> io::Result<u64> {
        Ok(self.0.lock().unwrap().written.len() as u64)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let disk = self.0.lock().unwrap();
        let bytes = disk
            .written
            .get(offset as usize..offset as usize + out.len());
        out.copy_from_slice(bytes.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.0.lock().unwrap().change(Pending::Length(len as usize))
    }

    fn sync_data(&self) -> io::Result<()> {
        let mut disk = self.0.lock().unwrap();
        disk.step()?;
        disk.pending.clear();
        disk.durable = disk.written.clone();
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let change = Pending::Bytes(offset as usize, data.to_vec());
        self.0.lock().unwrap().change(change)
    }
}

/// Killed at every write, length and sync: what was cosigned is recorded, and nothing else of its size is
/// cosigned after the restart.
#[test]
fn killed_at_every_step() {
    let (log, fork) = (SimLog::new(), SimLog::forked(0));
    let opened = Backend::on(Vec::new(), u64::MAX);
    let witness = Witness::with_backend(opened.clone(), config(&[&log])).unwrap();
    block_on(witness.add_checkpoint(log.request(0, 1).as_bytes())).unwrap();
    drop(witness);
    let image = opened.0.lock().unwrap().written.clone();

    let mut is_through = false;
    for steps in 0.. {
        let backend = Backend::on(image.clone(), steps);
        let mut cosigned = 1;
        if let Ok(witness) = Witness::with_backend(backend.clone(), config(&[&log])) {
            for size in 1..5 {
                let request = log.request(size, size + 1);
                match block_on(witness.add_checkpoint(request.as_bytes())) {
                    Ok(_) => cosigned = size + 1,
                    Err(refused) => {
                        assert!(matches!(refused, Refused::Unavailable(_)), "{refused}");
                        // Not after one that may be on the disk or not.
                        let again = block_on(witness.add_checkpoint(request.as_bytes()));
                        assert!(matches!(again, Err(Refused::Unavailable(_))), "{again:?}");
                        break;
                    }
                }
            }
            is_through = cosigned == 5;
        }
        for crash in [
            Crash::Nothing,
            Crash::All,
            Crash::EverySecond,
            Crash::EveryOther,
        ] {
            let bytes = backend.0.lock().unwrap().after(crash);
            let disk = Backend::on(bytes, u64::MAX);
            let witness = Witness::with_backend(disk, config(&[&log])).unwrap();
            let latest = witness.latest(ORIGIN).unwrap().unwrap();
            let what = format!("{steps} steps, {crash:?}: {cosigned}, {latest:?}");
            // One more may be recorded than was answered.
            assert!((cosigned..=cosigned + 1).contains(&latest.size), "{what}");
            assert_eq!(latest, log.checkpoint(latest.size), "{what}");
            for size in 1..=cosigned {
                let forked = fork.request(size.min(latest.size), size);
                assert!(
                    block_on(witness.add_checkpoint(forked.as_bytes())).is_err(),
                    "{what}"
                );
            }
            let next = log.request(latest.size, latest.size + 1);
            assert!(
                block_on(witness.add_checkpoint(next.as_bytes())).is_ok(),
                "{what}"
            );
        }
        if is_through {
            return;
        }
    }
}
