//! What the witness has cosigned, in one file; and the one thread that decides and records.
//!
//! Many requests share a commit: the thread takes what waits, decides each against what is recorded (by those
//! before it in the same commit, too), commits once, and only then answers. Requests that change nothing cost
//! no commit.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread::JoinHandle;

use redb::{Database, ReadableDatabase as _, ReadableTable as _, Table, TableDefinition};
use tokio::sync::oneshot;
use valuta_keys::StoredKey;
use valuta_verify::{
    Checkpoint, Evidence, Hash, Note, Refusal, is_consistent, roots_from_path, sha256,
};

use crate::key::note;
use crate::validate::Finding;
use crate::witness::{Clock, Refused};

/// By origin: the checkpoint that was cosigned last, as a signed note.
const LATEST: TableDefinition<'_, &str, &str> = TableDefinition::new("latest");
/// By number, from 1: refusals, as signed notes.
const REFUSALS: TableDefinition<'_, u64, &str> = TableDefinition::new("refusals");
/// By the hash of a checkpoint's body: the number of its refusal.
const REFUSED: TableDefinition<'_, Hash, u64> = TableDefinition::new("refused");
/// Most refusals that are kept; a log that is wrong for ever does not fill the disk.
pub const REFUSALS_MAX: u64 = 10_000;
/// Requests that wait; more are turned away.
const QUEUE_MAX: usize = 4_096;
/// Requests in one commit; this bounds how long the first of them waits.
const COMMIT_REQUESTS_MAX: usize = 512;

/// A checkpoint that its log signed, and what is asked for it.
pub(crate) struct Job {
    pub(crate) old_size: u64,
    pub(crate) proof: Vec<Hash>,
    pub(crate) note: String,
    pub(crate) checkpoint: Checkpoint,
    /// What a validator found: it is refused, whatever its proof.
    pub(crate) finding: Option<Finding>,
    pub(crate) answer: oneshot::Sender<Result<(), Refused>>,
}

/// Reads, and hands jobs to the thread that writes.
pub(crate) struct Store {
    database: Arc<Database>,
    /// `None` only while it is dropped.
    jobs: Option<SyncSender<Job>>,
    writer: Option<JoinHandle<()>>,
}

struct Writer {
    database: Arc<Database>,
    key: StoredKey,
    clock: Clock,
}

impl Store {
    /// Starts the thread, which ends with the store.
    pub(crate) fn start(
        database: Database,
        key: StoredKey,
        clock: Clock,
    ) -> Result<Self, redb::Error> {
        let transaction = database.begin_write()?;
        transaction.open_table(LATEST)?;
        transaction.open_table(REFUSALS)?;
        transaction.open_table(REFUSED)?;
        transaction.commit()?;
        let database = Arc::new(database);
        let (jobs, queue) = sync_channel(QUEUE_MAX);
        let writer = Writer {
            database: database.clone(),
            key,
            clock,
        };
        let thread = std::thread::Builder::new().name("witness-writer".into());
        let writer = thread.spawn(move || writer.run(&queue));
        let writer = writer.map_err(redb::Error::Io)?;
        Ok(Self {
            database,
            jobs: Some(jobs),
            writer: Some(writer),
        })
    }

    pub(crate) fn send(&self, job: Job) -> Result<(), Refused> {
        let jobs = self.jobs.as_ref().ok_or_else(Refused::stopped)?;
        jobs.try_send(job).map_err(|error| match error {
            TrySendError::Full(_) => Refused::Unavailable("too many requests wait".into()),
            TrySendError::Disconnected(_) => Refused::stopped(),
        })
    }

    /// The checkpoint that was cosigned last.
    pub(crate) fn latest(&self, origin: &str) -> Result<Option<Checkpoint>, redb::Error> {
        let table = self.database.begin_read()?.open_table(LATEST)?;
        let note = table.get(origin)?;
        Ok(note.map(|note| recorded(note.value()).checkpoint))
    }

    /// Numbers of the refusals, ascending.
    pub(crate) fn refusals(&self) -> Result<Vec<u64>, redb::Error> {
        let table = self.database.begin_read()?.open_table(REFUSALS)?;
        let numbers = table
            .iter()?
            .map(|entry| entry.map(|(number, _)| number.value()));
        Ok(numbers.collect::<Result<_, _>>()?)
    }

    pub(crate) fn refusal(&self, number: u64) -> Result<Option<String>, redb::Error> {
        let table = self.database.begin_read()?.open_table(REFUSALS)?;
        Ok(table.get(number)?.map(|note| note.value().to_owned()))
    }
}

/// The file is closed when this returns.
impl Drop for Store {
    fn drop(&mut self) {
        self.jobs = None;
        if let Some(writer) = self.writer.take() {
            // It has said why, if it panicked.
            let _ = writer.join();
        }
    }
}

impl Writer {
    fn run(self, queue: &Receiver<Job>) {
        while let Ok(first) = queue.recv() {
            let mut jobs = vec![first];
            jobs.extend(queue.try_iter().take(COMMIT_REQUESTS_MAX - 1));
            match self.commit(&jobs) {
                Ok(answers) => {
                    for (job, answer) in jobs.into_iter().zip(answers) {
                        // Who asked may be gone: then the checkpoint is recorded, and cosigned when asked again.
                        let _ = job.answer.send(answer);
                    }
                }
                Err(error) => {
                    // May be on disk or not: nothing is cosigned until a restart has read what is.
                    tracing::error!(%error, "the witness stops: its state cannot be written");
                    return;
                }
            }
        }
    }

    /// Decides and records; nobody is answered before it returns.
    fn commit(&self, jobs: &[Job]) -> Result<Vec<Result<(), Refused>>, redb::Error> {
        let transaction = self.database.begin_write()?;
        let mut answers = Vec::with_capacity(jobs.len());
        let mut has_changed = false;
        {
            let mut latest = transaction.open_table(LATEST)?;
            let mut refusals = transaction.open_table(REFUSALS)?;
            let mut refused = transaction.open_table(REFUSED)?;
            for job in jobs {
                let old = latest.get(job.checkpoint.origin.as_str())?;
                let old = old.map(|note| note.value().to_owned());
                let decided = decide(job, old.as_deref());
                match &decided {
                    Ok(()) if is_recorded(job, old.as_deref()) => {}
                    Ok(()) => {
                        latest.insert(job.checkpoint.origin.as_str(), job.note.as_str())?;
                        has_changed = true;
                    }
                    Err((_, Some(finding))) => {
                        has_changed |= self.refuse(job, finding, &mut refusals, &mut refused)?;
                    }
                    Err((_, None)) => {}
                }
                answers.push(decided.map_err(|(refused, _)| refused));
            }
        }
        match has_changed {
            true => transaction.commit()?,
            false => transaction.abort()?,
        }
        Ok(answers)
    }

    /// Publishes a finding, once for each checkpoint; whether anything was written.
    fn refuse(
        &self,
        job: &Job,
        finding: &Finding,
        refusals: &mut Table<'_, u64, &'static str>,
        refused: &mut Table<'_, Hash, u64>,
    ) -> Result<bool, redb::Error> {
        let checkpoint = sha256(job.checkpoint.body().as_bytes());
        let number = refusals.last()?.map_or(0, |(number, _)| number.value()) + 1;
        if refused.get(checkpoint)?.is_some() || number > REFUSALS_MAX {
            return Ok(false);
        }
        let refusal = Refusal {
            time_s: (self.clock)() / 1_000,
            reason: finding.reason.clone(),
            checkpoint: job.note.clone(),
            evidence: finding.evidence.clone(),
        };
        let origin = &job.checkpoint.origin;
        tracing::error!(
            number,
            origin,
            reason = finding.reason,
            "a checkpoint is refused"
        );
        refusals.insert(number, note(&self.key, &refusal.text()).as_str())?;
        refused.insert(checkpoint, number)?;
        Ok(true)
    }
}

/// What the specification says of a checkpoint that its log signed; with a finding if the log is wrong.
fn decide(job: &Job, old_note: Option<&str>) -> Result<(), (Refused, Option<Finding>)> {
    let old = old_note.map(|note| recorded(note).checkpoint);
    decide_size(old.as_ref(), job.old_size, &job.checkpoint).map_err(|refused| (refused, None))?;
    let decided = decide_tree(old.as_ref(), &job.checkpoint, &job.proof);
    let Err(reason) = decided else {
        return match &job.finding {
            None => Ok(()),
            Some(finding) => Err((
                Refused::Unprocessable(finding.reason.clone()),
                Some(finding.clone()),
            )),
        };
    };
    let fork = old
        .zip(old_note)
        .and_then(|(old, note)| fork(&old, note, job));
    let finding = fork.map(|evidence| Finding {
        reason: format!("fork: {reason}"),
        evidence: Some(evidence.to_string()),
    });
    Err((Refused::Unprocessable(reason.to_owned()), finding))
}

/// 400 and 409.
pub(crate) fn decide_size(
    old: Option<&Checkpoint>,
    old_size: u64,
    new: &Checkpoint,
) -> Result<(), Refused> {
    if old_size > new.size {
        let reason = "the old size is larger than the checkpoint's";
        return Err(Refused::BadRequest(reason.to_owned()));
    }
    let size = old.map_or(0, |old| old.size);
    match old_size == size {
        true => Ok(()),
        false => Err(Refused::Conflict { size }),
    }
}

/// 422.
pub(crate) fn decide_tree(
    old: Option<&Checkpoint>,
    new: &Checkpoint,
    proof: &[Hash],
) -> Result<(), &'static str> {
    let empty = sha256(b"");
    if new.size == 0 && new.root != empty {
        return Err("a tree of no entries has another root");
    }
    let (old_size, old_root) = old.map_or((0, &empty), |old| (old.size, &old.root));
    if old_size == 0 && !proof.is_empty() {
        return Err("the proof must be empty where the old size is 0");
    }
    if old_size == new.size && *old_root != new.root {
        return Err("another tree of this size was cosigned");
    }
    match is_consistent((old_size, old_root), (new.size, &new.root), proof) {
        true => Ok(()),
        false => Err("the consistency proof does not verify"),
    }
}

/// Two trees of one size are evidence; a bad proof is only if it shows the newer tree's own past.
fn fork(old: &Checkpoint, old_note: &str, job: &Job) -> Option<Evidence> {
    let new = &job.checkpoint;
    let is_fork = match old.size == new.size {
        true => old.root != new.root,
        false => roots_from_path(old.size, new.size, &job.proof)
            .is_some_and(|(past, root)| root == new.root && past != old.root),
    };
    is_fork.then(|| Evidence {
        older: old_note.to_owned(),
        newer: job.note.clone(),
        path: match old.size == new.size {
            true => Vec::new(),
            false => job.proof.clone(),
        },
    })
}

/// Asked again for the same checkpoint: it needs no commit.
fn is_recorded(job: &Job, old_note: Option<&str>) -> bool {
    old_note.is_some_and(|note| recorded(note).checkpoint == job.checkpoint)
}

fn recorded(note: &str) -> Note<'_> {
    Note::parse(note).expect("only notes that were opened are recorded, and the file has checksums")
}
