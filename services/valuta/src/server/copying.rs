//! A copy of a scheme's journal in files, kept up from the scheme's server: what a validating witness reads.
//!
//! | # | phase | touches | fails |
//! |---|---|---|---|
//! | 1 | ask | the server, from after the copy's last inputs on | asked again after a while, for ever |
//! | 2 | check | the record must continue the copy | the server denies what it gave: a finding |
//! | 3 | append | one durable write a record | the witness ends |
//!
//! What is in the copy stays what it is: whatever the server says later is compared with it.

use super::data::DataDir;
use super::validating::JournalValidator;
use crate::client::{CliError, Connection, Options};
use anyhow::{Context as _, anyhow, bail};
use std::convert::Infallible;
use std::fs;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::sync::oneshot;
use tokio::time::timeout;
use tonic::{Code, Status};
use tonic_types::StatusExt as _;
use valuta_journal::{
    CANONICAL_BYTES, Cursor, FileJournal, FileJournalOptions, Journal as _, JournalId,
    RECORD_BYTES_MAX, Record, RecordHeader, Source, chain_after,
};
use valuta_proto::v1;
use valuta_proto::v1::follow_journal_response::Item;

/// From a loss to the next attempt; each time twice as long.
const PAUSE_MIN: Duration = Duration::from_millis(250);
/// And at most this.
const PAUSE_MAX: Duration = Duration::from_secs(16);
/// After so long without a record the copy is marked as whole, and the connection taken for a good one.
const QUIET: Duration = Duration::from_secs(1);
/// Of a server's first answer, if calls have no limit otherwise.
const ANSWER_WITHIN: Duration = Duration::from_secs(30);

/// The copy, open for writing.
pub(super) struct JournalCopy {
    journal: FileJournal,
    rehearsal: bool,
}

/// The server's journal, from some place on.
pub(super) struct Feed {
    journal: JournalId,
    rehearsal: bool,
    answers: tonic::Streaming<v1::FollowJournalResponse>,
}

/// Why the copy is not kept up.
enum Fault {
    /// For now.
    Lost(Loss, CliError),
    /// For good.
    Ended(End),
}

enum End {
    /// The server denies what the copy holds.
    Denied(String),
    Failed(anyhow::Error),
    /// The witness stops.
    Stopped,
}

/// What is told once, however often it is tried again.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Loss {
    Connection,
    /// The server's journal ends before the copy does.
    Behind,
    /// Too many follow it.
    Crowded,
    /// The token, or what the command line says.
    Refused,
}

impl Fault {
    fn refused(error: CliError) -> Self {
        match error {
            CliError::Unavailable(_) => Self::Lost(Loss::Connection, error),
            _ => Self::Lost(Loss::Refused, error),
        }
    }

    fn of(status: Status) -> Self {
        let details = status.get_error_details();
        let reason = details.error_info().map_or("", |info| &*info.reason);
        let loss = match (status.code(), reason) {
            (Code::FailedPrecondition, "NOT_IN_JOURNAL") => {
                return denied(status.message().to_owned());
            }
            (Code::Unavailable, "JOURNAL_BEHIND") => Loss::Behind,
            (Code::ResourceExhausted, _) => Loss::Crowded,
            _ => return Self::refused(CliError::from(status)),
        };
        Self::Lost(loss, CliError::from(status))
    }
}

/// The copy under a data directory, and the server's journal if it answers. The first start takes the journal's
/// id from the server; `check` is asked whether it is wanted.
///
/// # Errors
/// If the copy cannot be opened, the token is refused, or there is neither copy nor server.
pub(super) async fn open(
    data: &Path,
    options: &Options,
    check: impl Fn(JournalId) -> anyhow::Result<()>,
) -> anyhow::Result<(JournalCopy, Option<Feed>)> {
    let root = data.to_owned();
    let held = tokio::task::spawn_blocking(move || JournalCopy::held(&root)).await??;
    let place = held.as_ref().map(|copy| copy.journal.tail());
    let asked = ask(options, place).await;
    let (copy, first) = match (held, asked) {
        (_, Err(Fault::Lost(Loss::Refused, error))) => return Err(anyhow!("server: {error}")),
        (_, Err(Fault::Ended(End::Failed(error)))) => return Err(error),
        (Some(copy), Ok(feed)) => {
            copy.check(&feed)?;
            (copy, Some(feed))
        }
        // It is asked again, and says so.
        (Some(copy), Err(_)) => (copy, None),
        (None, Ok(feed)) => {
            check(feed.journal)?;
            let (root, id, rehearsal) = (data.to_owned(), feed.journal, feed.rehearsal);
            let created = move || JournalCopy::create(&root, id, rehearsal);
            let copy = tokio::task::spawn_blocking(created).await??;
            (copy, Some(feed))
        }
        (None, Err(Fault::Lost(_, error))) => {
            bail!("server: {error}; the first start needs it")
        }
        (None, Err(Fault::Ended(End::Denied(reason)))) => bail!("server: {reason}"),
        (None, Err(Fault::Ended(End::Stopped))) => bail!("stopped"),
    };
    check(copy.journal.id())?;
    Ok((copy, first))
}

impl JournalCopy {
    /// What an earlier start made.
    fn held(data: &Path) -> anyhow::Result<Option<Self>> {
        if !data.join("journal").exists() {
            return Ok(None);
        }
        let rehearsal = DataDir::mode(data)?
            .with_context(|| format!("{}: a journal, but no file `mode`", data.display()))?;
        Self::open(&DataDir::open(data, rehearsal)?, rehearsal).map(Some)
    }

    fn create(data: &Path, id: JournalId, rehearsal: bool) -> anyhow::Result<Self> {
        let dir = DataDir::open(data, rehearsal)?;
        let named = || format!("a copy of the journal in {}", data.display());
        let new = data.join("journal.tmp");
        if new.exists() {
            fs::remove_dir_all(&new).with_context(named)?;
        }
        // The seeds of every batch will be in it.
        let mut private = fs::DirBuilder::new();
        private.mode(0o700).create(&new).with_context(named)?;
        let options = FileJournalOptions {
            id: Some(id),
            ..FileJournalOptions::default()
        };
        drop(FileJournal::create_or_open(&new, options).with_context(named)?);
        // Under its name it is one that knows whose copy it is.
        fs::rename(&new, dir.journal()).with_context(named)?;
        fs::File::open(data)
            .and_then(|root| root.sync_all())
            .with_context(named)?;
        Self::open(&dir, rehearsal)
    }

    fn open(dir: &DataDir, rehearsal: bool) -> anyhow::Result<Self> {
        let named = || format!("the copy of the journal in {}", dir.root().display());
        let opened = FileJournal::create_or_open(&dir.journal(), FileJournalOptions::default());
        let (journal, _) = opened.with_context(named)?;
        Ok(Self { journal, rehearsal })
    }

    /// Where it is read.
    pub fn source(&self) -> &dyn Source {
        &self.journal
    }

    pub fn rehearsal(&self) -> bool {
        self.rehearsal
    }

    /// Another journal's server is not one that lies.
    fn check(&self, feed: &Feed) -> anyhow::Result<()> {
        let (copied, served) = (self.journal.id(), feed.journal);
        if copied != served {
            bail!("server: its journal is {served}, the copy is of {copied}");
        }
        if self.rehearsal != feed.rehearsal {
            bail!(
                "server: it says that its journal is another mode's (rehearsal or live) than before"
            );
        }
        Ok(())
    }

    /// Keeps it up on a thread of its own, for ever; completes with the reason when it cannot.
    pub fn start(
        self,
        options: Options,
        first: Option<Feed>,
        validator: Arc<JournalValidator>,
    ) -> std::io::Result<impl Future<Output = anyhow::Error> + Send> {
        let (ended, ending) = oneshot::channel();
        let keeper = Keeper {
            copy: self,
            options,
            runtime: Handle::current(),
            told: None,
            pause: PAUSE_MIN,
            ended,
        };
        std::thread::Builder::new()
            .name("copy".to_owned())
            .spawn(move || keeper.run(first, &validator))?;
        Ok(async move {
            match ending.await {
                // It stays locked while the witness says what it found.
                Ok(Ok(_copy)) => std::future::pending().await,
                Ok(Err(error)) => error,
                Err(_) => anyhow!("copying the journal: panicked"),
            }
        })
    }
}

struct Keeper {
    copy: JournalCopy,
    options: Options,
    runtime: Handle,
    /// The loss that was told last, while it lasts.
    told: Option<Loss>,
    pause: Duration,
    /// Who hears why it ended; gone once the witness stops.
    ended: oneshot::Sender<anyhow::Result<JournalCopy>>,
}

impl Keeper {
    fn run(mut self, first: Option<Feed>, validator: &JournalValidator) {
        let end = self.keep(first);
        let Self { copy, ended, .. } = self;
        let told = match end {
            End::Stopped => return,
            End::Failed(error) => Err(error),
            End::Denied(reason) => {
                let end = copy.journal.tail();
                tracing::error!(
                    sequence = end.sequence,
                    reason,
                    "the server denies the journal that it gave"
                );
                validator.denied(end.sequence, &end.chain);
                // What was given is read to its end; nothing more will come.
                copy.journal.watch().close();
                Ok(copy)
            }
        };
        // Nobody listens if the witness has stopped meanwhile.
        let _ = ended.send(told);
    }

    fn keep(&mut self, mut first: Option<Feed>) -> End {
        loop {
            let followed = match first.take() {
                Some(feed) => self.follow(feed),
                None => self.ask().and_then(|feed| self.follow(feed)),
            };
            let Err(fault) = followed;
            match fault {
                Fault::Lost(loss, error) => self.lost(loss, &error),
                Fault::Ended(end) => return end,
            }
        }
    }

    fn ask(&mut self) -> Result<Feed, Fault> {
        let options = self.options.clone();
        let place = Some(self.copy.journal.tail());
        self.wait(ask(&options, place))?
    }

    /// Unless the witness stops.
    fn wait<T>(&mut self, what: impl Future<Output = T>) -> Result<T, Fault> {
        let (runtime, ended) = (&self.runtime, &mut self.ended);
        runtime.block_on(async {
            tokio::select! {
                () = ended.closed() => Err(Fault::Ended(End::Stopped)),
                done = what => Ok(done),
            }
        })
    }

    fn lost(&mut self, loss: Loss, error: &CliError) {
        if self.told != Some(loss) {
            self.told = Some(loss);
            let sequence = self.copy.journal.tail().sequence;
            tracing::warn!(sequence, %error, "the journal cannot be followed; tried again until it can");
        }
        std::thread::sleep(self.pause);
        self.pause = (self.pause * 2).min(PAUSE_MAX);
    }

    /// The connection is a good one.
    fn well(&mut self) {
        self.pause = PAUSE_MIN;
        if self.told.take().is_some() {
            let sequence = self.copy.journal.tail().sequence;
            tracing::info!(sequence, "the journal is followed again");
        }
    }

    fn follow(&mut self, mut feed: Feed) -> Result<Infallible, Fault> {
        self.copy.check(&feed).map_err(failed)?;
        // Records without inputs, behind the last ones with, come once more.
        let mut is_known = self.copy.journal.tail().chain != self.copy.journal.end().chain;
        loop {
            let next = async { timeout(QUIET, feed.answers.message()).await };
            let Ok(answer) = self.wait(next)? else {
                self.copy.journal.mark().map_err(failed)?;
                self.well();
                continue;
            };
            let Some((header, payload)) = record_of(answer.map_err(Fault::of)?)? else {
                let gone = CliError::Unavailable("the server ended the stream".to_owned());
                return Err(Fault::Lost(Loss::Connection, gone));
            };
            if is_known && header.starts_epoch() {
                is_known = chain_after(&header, &payload) != self.copy.journal.end().chain;
            } else {
                self.append(header, payload)?;
            }
            self.well();
        }
    }

    fn append(&mut self, header: RecordHeader, payload: Vec<u8>) -> Result<(), Fault> {
        let end = self.copy.journal.end();
        let (first, last) = (header.first_sequence, header.last_sequence);
        if header.chain_before != end.chain {
            let what = "a record that does not continue the journal after sequence";
            return Err(denied(format!("{what} {}", end.sequence)));
        }
        if first != end.sequence + 1 || (last < first && !header.starts_epoch()) {
            let what = format!("sequences {first} to {last} after {}", end.sequence);
            return Err(denied(what));
        }
        // Offset and chain are the copy's own.
        let record = Record {
            header,
            payload,
            offset: 0,
            chain_after: end.chain,
        };
        self.copy.journal.append_copied(&record).map_err(failed)
    }
}

fn denied(reason: String) -> Fault {
    Fault::Ended(End::Denied(reason))
}

fn failed(error: impl Into<anyhow::Error>) -> Fault {
    Fault::Ended(End::Failed(error.into().context("copying the journal")))
}

/// The server's answer is not what its description says.
fn strange(what: &str) -> Fault {
    failed(anyhow!("the server sent {what}"))
}

/// Its header and payload; `None` at the stream's end.
fn record_of(
    answer: Option<v1::FollowJournalResponse>,
) -> Result<Option<(RecordHeader, Vec<u8>)>, Fault> {
    let Some(answer) = answer else {
        return Ok(None);
    };
    let Some(Item::Record(record)) = answer.item else {
        return Err(strange("what is no record"));
    };
    let header: Result<[u8; CANONICAL_BYTES], _> = record.header.try_into();
    let header = header.map_err(|_| strange("a record without its header"))?;
    if record.payload.len() > RECORD_BYTES_MAX {
        return Err(strange("a record that is too long"));
    }
    Ok(Some((
        RecordHeader::from_canonical(&header),
        record.payload,
    )))
}

/// Connects, and asks for what comes after a place.
async fn ask(options: &Options, after: Option<Cursor>) -> Result<Feed, Fault> {
    let within = match options.timeout {
        0 => ANSWER_WITHIN,
        seconds => Duration::from_secs(seconds.into()),
    };
    let connection = Connection::open(options).await.map_err(Fault::refused)?;
    let after = after.filter(|after| after.sequence > 0);
    let request = v1::FollowJournalRequest {
        after_sequence: after.map_or(0, |after| after.sequence),
        after_chain: after.map_or_else(Vec::new, |after| after.chain.to_vec()),
    };
    let asked = async {
        let mut client = connection.unlimited().audit();
        let mut answers = client.follow_journal(request).await?.into_inner();
        let head = answers.message().await?;
        Ok((head, answers))
    };
    let silent = || {
        let what = CliError::Unavailable("the server does not answer".to_owned());
        Fault::Lost(Loss::Connection, what)
    };
    let answered: Result<_, Status> = timeout(within, asked).await.map_err(|_| silent())?;
    let (head, answers) = answered.map_err(Fault::of)?;
    let Some(Item::Head(head)) = head.and_then(|answer| answer.item) else {
        return Err(strange("no head at first"));
    };
    let id: Result<[u8; 16], _> = head.journal.try_into();
    let id = id.map_err(|_| strange("a journal's id that is none"))?;
    Ok(Feed {
        journal: JournalId(id),
        rehearsal: head.rehearsal,
        answers,
    })
}

#[cfg(test)]
#[path = "copying/tests.rs"]
mod tests;
