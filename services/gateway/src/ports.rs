//! What the gateway needs from the rest of the house: narrow traits over the core's types.
//!
//! | trait | stands for | answers |
//! |---|---|---|
//! | [`Engine`] | the single writer and its live state | at the durable watermark |
//! | [`Reads`] | the read model and the ledger, which follow the journal | as far as they have followed |
//! | [`Journal`] | the journal itself | what is durable |
//!
//! The gateway bounds every wait with the call's deadline by dropping the future: a dropped read has
//! no effect, a dropped write may or may not have been journaled (its repeat gets the same answer).

use fx::AssetCode;
use settlement_core::command::{Caller, Command, Position, Refusal};
use settlement_core::ids::{BatchNumber, Bic, Sequence, Timestamp, Uetr};
use settlement_core::instruction::Submissions;
use settlement_core::state::FrozenView;
use settlement_core::view::{CommandAnswer, Query, SubmitAnswer, View};
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use valuta_proto::v1;

pub use settlement_core::rows::{
    AnchorRow, BatchFilter, BatchRow, ChangeRow, InstructionRow, ListFilter, PostingRow,
    ReceivedRow, RunOrder, StatusFilter,
};

/// Why the engine did not take a call; nothing of it was written.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum EngineError {
    /// The caller: try again later, the same way.
    #[error("the engine is unavailable: {reason}")]
    Unavailable {
        /// When a retry makes sense, in milliseconds.
        retry_after_ms: u32,
        /// What it waits for, such as "the disk is full".
        reason: String,
    },
    /// The operator: the engine has stopped and answers nothing more.
    #[error("the engine has stopped")]
    Stopped,
    /// The caller: writes go to another service.
    #[error("this service takes no writes")]
    ReadOnly,
}

/// An answer to a query, and what it was read at.
#[derive(Clone, PartialEq, Debug)]
pub struct Answered {
    /// The durable sequence that the view shows.
    pub sequence: Sequence,
    /// Record time then.
    pub time: Timestamp,
    /// The answer; its variant is the query's.
    pub view: View,
}

/// An instruction as the journal holds it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Content {
    /// Its canonical bytes.
    pub bytes: Vec<u8>,
    /// When its record was written.
    pub time: Timestamp,
}

/// The single writer.
pub trait Engine: Clone + Send + Sync + 'static {
    /// Answers when every instruction's fate is durable. Calls in flight together share records.
    fn submit(
        &self,
        batch: Submissions,
    ) -> impl Future<Output = Result<SubmitAnswer, EngineError>> + Send;

    /// Answers when the command is durable, or was refused and left no trace.
    fn command(
        &self,
        command: Command,
    ) -> impl Future<Output = Result<Result<CommandAnswer, Refusal>, EngineError>> + Send;

    /// Waits until `min_sequence` is durable (as long as the future is polled), then answers.
    fn query(
        &self,
        query: Query,
        min_sequence: Sequence,
    ) -> impl Future<Output = Result<Answered, EngineError>> + Send;

    /// The state at the durable watermark, once that is at least `min_sequence`: for questions that
    /// would cost the writer too much. Callers at one sequence share one view.
    fn frozen(
        &self,
        min_sequence: Sequence,
    ) -> impl Future<Output = Result<Arc<FrozenView>, EngineError>> + Send;

    /// The canonical bytes of the instruction with this number; `None` if that input is none.
    fn content(
        &self,
        sequence: Sequence,
    ) -> impl Future<Output = Result<Option<Content>, EngineError>> + Send;

    /// Whom a token with this SHA-256 stands for. Called on every call: must not wait.
    fn caller(&self, token_hash: &[u8; 32]) -> Option<Caller>;

    /// The durable sequence, as it rises.
    fn durable(&self) -> watch::Receiver<u64>;

    /// Record time now: the clock, or in a rehearsal the time last set.
    fn now(&self) -> Timestamp;

    /// Whether the scheme takes its time only from `SetTime`.
    fn rehearsal(&self) -> bool;
}

/// Why a follower could not be read.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum ReadError {
    /// The caller: try again later; the follower starts, rebuilds or is busy.
    #[error("{0}")]
    Unavailable(String),
    /// Us: the follower's store failed.
    #[error("{0}")]
    Failed(String),
}

/// The newest signed tree head.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CheckpointRow {
    /// C2SP signed note.
    pub checkpoint: String,
    /// C2SP policy with the log's key.
    pub policy: String,
    /// How many entries the quorum of the policy's witnesses has seen in one history; 0 if nobody is asked.
    pub witnessed: u64,
}

/// The receipt of one settled instruction.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ReceiptRow {
    /// The instruction's number.
    pub sequence: Sequence,
    /// The instruction's.
    pub uetr: Uetr,
    /// The batch that settled it.
    pub batch: BatchNumber,
    /// A C2SP tlog-proof file.
    pub text: String,
}

/// Which process this is, who leads, and how far each process has come, as this one knows. In the wire's
/// form: the core knows of no processes.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Standing {
    /// Of this process.
    pub role: v1::ProcessRole,
    /// The journal's id, 32 hex digits.
    pub journal: String,
    /// `None`: not known.
    pub leader: Option<v1::LeaderStatus>,
    /// This one first.
    pub processes: Vec<v1::ProcessStatus>,
}

/// What of a batch is to be proved.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ProofOf {
    /// An account's balance after it.
    Balance(Bic, AssetCode),
    /// The participant's postings.
    Postings(Bic),
    /// That its postings sum to zero.
    Conservation,
    /// These instructions, as far as it settled them, in one file.
    Disclosure(Vec<Sequence>),
}

/// What follows the journal: the read model and the ledger. A blocking store behind it belongs on
/// the runtime's blocking threads.
pub trait Reads: Clone + Send + Sync + 'static {
    /// The sequence up to which everything below, but anchors, is complete; as it rises.
    fn projected(&self) -> watch::Receiver<u64>;

    /// How far this process and all others are.
    fn standing(&self) -> Standing;

    /// The journal, for whoever may follow all of it.
    fn journal(&self) -> Arc<dyn Journal>;

    /// The newest anchored batch's number, as it rises; 0 before the first.
    fn anchored(&self) -> watch::Receiver<u64>;

    /// Instructions, newest (largest sequence) first.
    fn list(
        &self,
        filter: ListFilter,
    ) -> impl Future<Output = Result<Vec<InstructionRow>, ReadError>> + Send;

    /// Changes of every instruction that the participant (`None`: anyone) is party to, in order of
    /// position, strictly after `after`, at most `limit`.
    fn changes(
        &self,
        participant: Option<Bic>,
        after: Position,
        limit: usize,
    ) -> impl Future<Output = Result<Vec<ChangeRow>, ReadError>> + Send;

    /// Settled instructions with a leg that credits the participant, in order of position, strictly
    /// after `after`, at most `limit`.
    fn received(
        &self,
        participant: Bic,
        after: Position,
        limit: usize,
    ) -> impl Future<Output = Result<Vec<ReceivedRow>, ReadError>> + Send;

    /// One batch with its postings.
    fn batch(
        &self,
        number: BatchNumber,
    ) -> impl Future<Output = Result<Option<BatchRow>, ReadError>> + Send;

    /// Batches, newest first, without postings.
    fn batches(
        &self,
        filter: BatchFilter,
    ) -> impl Future<Output = Result<Vec<BatchRow>, ReadError>> + Send;

    /// `None` before the log has an entry.
    fn checkpoint(&self) -> impl Future<Output = Result<Option<CheckpointRow>, ReadError>> + Send;

    /// The receipt of one instruction; `None` until its batch is anchored.
    fn receipt(
        &self,
        instruction: Sequence,
    ) -> impl Future<Output = Result<Option<ReceiptRow>, ReadError>> + Send;

    /// Proof files of an anchored batch, but receipts; none if there is nothing to prove.
    fn proofs(
        &self,
        batch: BatchNumber,
        what: ProofOf,
    ) -> impl Future<Output = Result<Vec<String>, ReadError>> + Send;

    /// The newest batch, up to `until`, that changed the holder's account of an asset.
    fn changed_by(
        &self,
        holder: Bic,
        asset: AssetCode,
        until: BatchNumber,
    ) -> impl Future<Output = Result<Option<BatchNumber>, ReadError>> + Send;

    /// Receipts of an anchored batch's instructions that the participant (`None`: anyone) is party
    /// to, in order of sequence, strictly after `after`, at most `limit`.
    fn receipts(
        &self,
        participant: Option<Bic>,
        batch: BatchNumber,
        after: Sequence,
        limit: usize,
    ) -> impl Future<Output = Result<Vec<ReceiptRow>, ReadError>> + Send;
}

/// A place in the journal: after a record with inputs, or its start.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct JournalPlace {
    /// The last input before it; 0: the start.
    pub sequence: Sequence,
    /// The chain over all records up to there; `None`: from the start, whatever the journal.
    pub chain: Option<[u8; 32]>,
}

/// A durable record as it stands in the journal.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct JournalRecord {
    /// Its header's canonical form, 80 bytes.
    pub header: Vec<u8>,
    /// What the writer appended.
    pub payload: Vec<u8>,
}

/// Why the journal is not followed, or not any further.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum FollowError {
    /// The caller: its place is none of this journal, so it has followed another history.
    #[error("{0}")]
    OtherHistory(String),
    /// The caller: try again later; this process has not come to the place yet.
    #[error("{0}")]
    Behind(String),
    /// The caller: try again later; nothing more can be read here.
    #[error("{0}")]
    Closed(String),
    /// Us: the journal cannot be read.
    #[error("{0}")]
    Failed(String),
}

/// The journal. All of it blocks: it belongs on a thread of the follower's own, and the writer never waits for it.
pub trait Journal: Send + Sync {
    /// Its nonce.
    fn id(&self) -> [u8; 16];

    /// From after a place on. The calling thread reads from here on, and nothing else.
    ///
    /// # Errors
    /// If the place is not, or not yet, one of this journal.
    fn follow(&self, after: JournalPlace) -> Result<Box<dyn JournalFeed>, FollowError>;
}

/// Every record in order, with inputs or without.
pub trait JournalFeed {
    /// The next one that is durable; waits for it no longer than this.
    ///
    /// # Errors
    /// If nothing more can be read.
    fn next(&mut self, patience: Duration) -> Result<Option<JournalRecord>, FollowError>;
}
