//! The gateway's ports over engine, read model, ledger and journal, in this process or elsewhere.

use super::standing::Board;
use super::up::come_last;
use fx::AssetCode;
use prost::Message as _;
use settlement_core::command::{Caller, Command, Position, Refusal};
use settlement_core::ids::{BatchNumber, Bic, Sequence, Timestamp, Uetr};
use settlement_core::instruction::Submissions;
use settlement_core::state::FrozenView;
use settlement_core::view::{CommandAnswer, Query, SubmitAnswer};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use valuta_engine::Handle;
use valuta_gateway::ports::{self, EngineError, FollowError, JournalPlace, ProofOf, ReadError};
use valuta_journal::{Cursor, JournalId, JournalReader, RecordLookup, Tail};
use valuta_ledger::LedgerReader;
use valuta_projector::{ReadModel, StoreError};
use valuta_proto::v1;
use valuta_relay::{Receipt, Receipts, RelayError};

/// The engine in this process.
#[derive(Clone)]
pub(crate) struct EnginePort(pub Handle);

pub(super) fn engine_error(error: valuta_engine::EngineError) -> EngineError {
    match error {
        valuta_engine::EngineError::Unavailable {
            retry_after_ms,
            reason,
        } => EngineError::Unavailable {
            retry_after_ms,
            reason,
        },
        valuta_engine::EngineError::Stopped => EngineError::Stopped,
    }
}

impl ports::Engine for EnginePort {
    async fn submit(&self, batch: Submissions) -> Result<SubmitAnswer, EngineError> {
        self.0.submit(batch).await.map_err(engine_error)
    }

    async fn command(
        &self,
        command: Command,
    ) -> Result<Result<CommandAnswer, Refusal>, EngineError> {
        self.0.command(command).await.map_err(engine_error)
    }

    async fn query(
        &self,
        query: Query,
        min_sequence: Sequence,
    ) -> Result<ports::Answered, EngineError> {
        let answered = self.0.query(query, min_sequence).await;
        let answered = answered.map_err(engine_error)?;
        Ok(ports::Answered {
            sequence: answered.sequence,
            time: answered.time,
            view: answered.view,
        })
    }

    async fn frozen(&self, min_sequence: Sequence) -> Result<Arc<FrozenView>, EngineError> {
        self.0.frozen(min_sequence).await.map_err(engine_error)
    }

    async fn content(&self, sequence: Sequence) -> Result<Option<ports::Content>, EngineError> {
        let content = self.0.content(sequence).await.map_err(engine_error)?;
        Ok(content.map(|content| ports::Content {
            bytes: content.bytes,
            time: content.time,
        }))
    }

    fn caller(&self, token_hash: &[u8; 32]) -> Option<Caller> {
        self.0.caller(token_hash)
    }

    fn durable(&self) -> watch::Receiver<u64> {
        self.0.durable()
    }

    fn now(&self) -> Timestamp {
        self.0.now()
    }

    fn rehearsal(&self) -> bool {
        self.0.rehearsal()
    }
}

/// The read model and the log.
#[derive(Clone)]
pub(crate) struct ReadsPort(Arc<Reads>);

/// Where the log is.
pub(crate) enum Log {
    /// In this process.
    Here {
        /// Makes receipts.
        receipts: Arc<Receipts>,
        /// Reads the log.
        ledger: LedgerReader,
        /// For banks: C2SP tlog-policy.
        policy: String,
    },
    /// In the ledger's process.
    #[cfg(feature = "cluster")]
    Elsewhere(super::cluster::LedgerClient),
}

struct Reads {
    model: Box<dyn ReadModel>,
    log: Log,
    projected: watch::Receiver<u64>,
    anchored: watch::Receiver<u64>,
    board: Board,
    journal: Arc<JournalPort>,
}

impl ReadsPort {
    pub fn new(
        model: Box<dyn ReadModel>,
        log: Log,
        projected: watch::Receiver<u64>,
        anchored: watch::Receiver<u64>,
        board: Board,
        journal: JournalPort,
    ) -> Self {
        Self(Arc::new(Reads {
            model,
            log,
            projected,
            anchored,
            board,
            journal: Arc::new(journal),
        }))
    }

    /// Stores block, so they are read on the runtime's blocking threads.
    async fn read<T: Send + 'static>(
        &self,
        read: impl FnOnce(&Reads) -> Result<T, ReadError> + Send + 'static,
    ) -> Result<T, ReadError> {
        let reads = Arc::clone(&self.0);
        tokio::task::spawn_blocking(move || read(&reads))
            .await
            .unwrap_or_else(|error| Err(failed(error)))
    }

    /// Receipts of a batch's instructions, where the log is.
    async fn make(
        &self,
        batch: BatchNumber,
        instructions: Vec<Sequence>,
    ) -> Result<Vec<ports::ReceiptRow>, ReadError> {
        let made = match &self.0.log {
            Log::Here { receipts, .. } => {
                let receipts = Arc::clone(receipts);
                let made =
                    self.read(move |_| receipts.make(batch, &instructions).map_err(unproved));
                made.await?.unwrap_or_default()
            }
            #[cfg(feature = "cluster")]
            Log::Elsewhere(ledger) => ledger.receipts(batch, &instructions).await?,
        };
        made.into_iter().map(receipt_row).collect()
    }
}

/// Proof files of a batch, where the log is.
pub(super) fn prove(
    receipts: &Receipts,
    batch: BatchNumber,
    what: &ProofOf,
) -> Result<Vec<String>, RelayError> {
    Ok(match what {
        ProofOf::Balance(holder, asset) => {
            let proof = receipts.balance(batch, &holder.to_string(), &asset.to_string());
            proof?.into_iter().collect()
        }
        ProofOf::Postings(holder) => receipts
            .postings(batch, &holder.to_string())?
            .unwrap_or_default(),
        ProofOf::Conservation => receipts.conservation(batch)?.into_iter().collect(),
        ProofOf::Disclosure(chosen) => receipts.disclosure(batch, chosen)?.into_iter().collect(),
    })
}

pub(crate) fn failed(error: impl std::fmt::Display) -> ReadError {
    let error = error.to_string();
    tracing::error!(error, "a follower cannot be read");
    ReadError::Failed(error)
}

fn unproved(error: RelayError) -> ReadError {
    match error {
        RelayError::Unread { .. } => ReadError::Unavailable(error.to_string()),
        error => failed(error),
    }
}

impl ports::Reads for ReadsPort {
    fn projected(&self) -> watch::Receiver<u64> {
        self.0.projected.clone()
    }

    fn standing(&self) -> ports::Standing {
        self.0.board.standing()
    }

    fn journal(&self) -> Arc<dyn ports::Journal> {
        Arc::clone(&self.0.journal) as Arc<dyn ports::Journal>
    }

    fn anchored(&self) -> watch::Receiver<u64> {
        self.0.anchored.clone()
    }

    async fn list(
        &self,
        filter: ports::ListFilter,
    ) -> Result<Vec<ports::InstructionRow>, ReadError> {
        self.read(move |reads| list(&*reads.model, &filter).map_err(failed))
            .await
    }

    async fn changes(
        &self,
        participant: Option<Bic>,
        after: Position,
        limit: usize,
    ) -> Result<Vec<ports::ChangeRow>, ReadError> {
        self.read(move |reads| {
            let changes = reads.model.changes(participant, after, limit);
            changes.map_err(failed)
        })
        .await
    }

    async fn received(
        &self,
        participant: Bic,
        after: Position,
        limit: usize,
    ) -> Result<Vec<ports::ReceivedRow>, ReadError> {
        self.read(move |reads| {
            let received = reads.model.received(participant, after, limit);
            received.map_err(failed)
        })
        .await
    }

    async fn batch(&self, number: BatchNumber) -> Result<Option<ports::BatchRow>, ReadError> {
        self.read(move |reads| reads.model.batch(number).map_err(failed))
            .await
    }

    async fn batches(&self, filter: ports::BatchFilter) -> Result<Vec<ports::BatchRow>, ReadError> {
        self.read(move |reads| reads.model.batches(&filter).map_err(failed))
            .await
    }

    async fn checkpoint(&self) -> Result<Option<ports::CheckpointRow>, ReadError> {
        match &self.0.log {
            Log::Here { ledger, policy, .. } => Ok(Some(ports::CheckpointRow {
                checkpoint: ledger.checkpoint().to_string(),
                policy: policy.clone(),
                witnessed: ledger.witnessed_size(),
            })),
            #[cfg(feature = "cluster")]
            Log::Elsewhere(ledger) => ledger.checkpoint().await.map(Some),
        }
    }

    async fn receipt(&self, instruction: Sequence) -> Result<Option<ports::ReceiptRow>, ReadError> {
        let unit = self.read(move |reads| reads.model.unit(instruction).map_err(failed));
        let Some(unit) = unit.await? else {
            return Ok(None);
        };
        Ok(self.make(unit.batch, vec![instruction]).await?.pop())
    }

    async fn proofs(&self, batch: BatchNumber, what: ProofOf) -> Result<Vec<String>, ReadError> {
        match &self.0.log {
            Log::Here { receipts, .. } => {
                let receipts = Arc::clone(receipts);
                self.read(move |_| prove(&receipts, batch, &what).map_err(unproved))
                    .await
            }
            #[cfg(feature = "cluster")]
            Log::Elsewhere(ledger) => ledger.proofs(batch, what).await,
        }
    }

    async fn changed_by(
        &self,
        holder: Bic,
        asset: AssetCode,
        until: BatchNumber,
    ) -> Result<Option<BatchNumber>, ReadError> {
        self.read(move |reads| {
            let changed = reads.model.changed_by(holder, asset, until);
            changed.map_err(failed)
        })
        .await
    }

    async fn receipts(
        &self,
        participant: Option<Bic>,
        batch: BatchNumber,
        after: Sequence,
        limit: usize,
    ) -> Result<Vec<ports::ReceiptRow>, ReadError> {
        let units = self.read(move |reads| {
            let units = reads.model.members(participant, batch, after, limit);
            units.map_err(failed)
        });
        let instructions = units.await?.iter().map(|unit| unit.instruction).collect();
        self.make(batch, instructions).await
    }
}

/// A narrow filter may take the model several calls to fill a page.
fn list(
    model: &dyn ReadModel,
    filter: &ports::ListFilter,
) -> Result<Vec<ports::InstructionRow>, StoreError> {
    let mut asked = filter.clone();
    let mut rows = Vec::new();
    loop {
        asked.limit = filter.limit - rows.len();
        let page = model.list(&asked)?;
        rows.extend(page.rows);
        asked.before = page.next;
        if rows.len() >= filter.limit || page.next.is_none() {
            return Ok(rows);
        }
    }
}

fn receipt_row(receipt: Receipt) -> Result<ports::ReceiptRow, ReadError> {
    let instruction = v1::Instruction::decode(&receipt.content[..]).map_err(failed)?;
    let uetr = Uetr::parse(instruction.uetr.as_bytes())
        .ok_or_else(|| failed("a settled instruction without a UETR"))?;
    Ok(ports::ReceiptRow {
        sequence: receipt.sequence,
        uetr,
        batch: receipt.batch,
        text: receipt.text,
    })
}

type OpenReader = dyn Fn(Option<Cursor>) -> Result<Box<dyn JournalReader>, valuta_journal::ReadError>
    + Send
    + Sync;

/// The journal, in files or on Kafka.
pub(crate) struct JournalPort {
    pub id: JournalId,
    pub tail: Tail,
    pub lookup: Arc<dyn RecordLookup>,
    /// As [`valuta_journal::Source::reader`].
    pub reader: Box<OpenReader>,
}

impl JournalPort {
    /// The journal's own place there.
    fn find(&self, after: JournalPlace) -> Result<Cursor, FollowError> {
        use valuta_journal::ReadError;
        let sequence = after.sequence.0;
        let found = match self.lookup.cursor_after(sequence) {
            Ok(found) => found,
            Err(ReadError::NotDurable { durable, .. }) => {
                return Err(FollowError::Behind(format!(
                    "the journal ends with sequence {durable} here, which is before {sequence}"
                )));
            }
            Err(error) => return Err(unreadable(error)),
        };
        let is_it = |found: &Cursor| after.chain.is_none_or(|chain| chain == found.chain);
        found.filter(is_it).ok_or_else(|| {
            let what = "this journal has another history up to sequence";
            FollowError::OtherHistory(format!("{what} {sequence}: its chain there is another"))
        })
    }
}

impl ports::Journal for JournalPort {
    fn id(&self) -> [u8; 16] {
        self.id.0
    }

    fn follow(&self, after: JournalPlace) -> Result<Box<dyn ports::JournalFeed>, FollowError> {
        come_last("follow");
        let reader = (self.reader)(Some(self.find(after)?)).map_err(unreadable)?;
        let tail = self.tail.clone();
        Ok(Box::new(JournalFeed { reader, tail }))
    }
}

struct JournalFeed {
    reader: Box<dyn JournalReader>,
    tail: Tail,
}

impl JournalFeed {
    fn read(&mut self) -> Result<Option<ports::JournalRecord>, FollowError> {
        let record = self.reader.next_any().map_err(unreadable)?;
        Ok(record.map(|record| ports::JournalRecord {
            header: record.header.canonical().to_vec(),
            payload: record.payload,
        }))
    }
}

impl ports::JournalFeed for JournalFeed {
    fn next(&mut self, patience: Duration) -> Result<Option<ports::JournalRecord>, FollowError> {
        if let Some(record) = self.read()? {
            return Ok(Some(record));
        }
        let read = self.reader.cursor().sequence;
        if !self.tail.wait_past(read, patience) && self.tail.is_closed() {
            let reason = "the journal takes no more records here";
            return Err(FollowError::Closed(reason.to_owned()));
        }
        self.read()
    }
}

fn unreadable(error: valuta_journal::ReadError) -> FollowError {
    FollowError::Failed(error.to_string())
}
