//! Streams that follow the read model: pages from a position on, then a wait for more.
//!
//! A stream ends when the client goes, when a read fails, or, with `UNAVAILABLE`, when the server
//! stops; the client resumes from the last position that it has.

use super::Outgoing;
use crate::convert;
use crate::errors;
use crate::fields::{self, optional, position_text};
use crate::gateway::{Gateway, stopped};
use crate::ports::{ChangeRow, Engine, ReadError, Reads, ReceivedRow};
use crate::raw as moved;
use settlement_core::command::Position;
use settlement_core::ids::{Bic, Sequence};
use std::future::Future;
use tokio::sync::{mpsc, watch};
use tokio_stream::wrappers::ReceiverStream;
use tonic::Status;
use valuta_proto::raw;

/// Rows read at once.
const PAGE_ROWS: usize = 256;

impl<E: Engine, R: Reads> Gateway<E, R> {
    /// Where a watch begins: after the token's position, or after what is durable now.
    pub(super) fn resume_position(&self, token: &str) -> Result<Position, Status> {
        let durable = *self.engine.durable().borrow();
        let now = Position {
            sequence: Sequence(durable),
            index: u32::MAX,
        };
        let after = optional("resume_token", token, fields::position)?.unwrap_or(now);
        self.within_journal("resume_token", after)
    }

    /// A position that this scheme's journal has come to.
    pub(super) fn within_journal(
        &self,
        field: &str,
        position: Position,
    ) -> Result<Position, Status> {
        // A follower may have read a record a moment before the engine tells that it is durable.
        let durable = *self.engine.durable().borrow();
        if position.sequence.0 > durable.max(*self.reads.projected().borrow()) {
            let why = "beyond the journal: not a position of this scheme";
            return Err(errors::invalid(field, why));
        }
        Ok(position)
    }
}

/// Status changes of a participant's instructions, or of everyone's.
pub(super) fn changes<E: Engine, R: Reads>(
    gateway: &Gateway<E, R>,
    reader: Option<Bic>,
    after: Position,
) -> Outgoing<raw::InstructionChange> {
    let reads = gateway.reads.clone();
    follow(gateway, after, change, move |after| {
        let reads = reads.clone();
        async move { reads.changes(reader, after, PAGE_ROWS).await }
    })
}

fn change(row: &ChangeRow) -> (Position, raw::InstructionChange) {
    let change = raw::InstructionChange {
        resume_token: position_text(row.position),
        status: Some(moved::status(&row.answer)),
        time: Some(convert::time(row.time)),
    };
    (row.position, change)
}

/// Settled instructions that credit a bank.
pub(super) fn received<E: Engine, R: Reads>(
    gateway: &Gateway<E, R>,
    bank: Bic,
    after: Position,
) -> Outgoing<raw::ReceivedInstruction> {
    let reads = gateway.reads.clone();
    follow(gateway, after, receipt, move |after| {
        let reads = reads.clone();
        async move { reads.received(bank, after, PAGE_ROWS).await }
    })
}

fn receipt(row: &ReceivedRow) -> (Position, raw::ReceivedInstruction) {
    let received = raw::ReceivedInstruction {
        position: position_text(row.position),
        instruction: Some(moved::view(&row.row)),
    };
    (row.position, received)
}

fn follow<E, R, Row, Message, Page>(
    gateway: &Gateway<E, R>,
    after: Position,
    convert: fn(&Row) -> (Position, Message),
    page: impl Fn(Position) -> Page + Send + 'static,
) -> Outgoing<Message>
where
    E: Engine,
    R: Reads,
    Row: Send + Sync + 'static,
    Message: Send + 'static,
    Page: Future<Output = Result<Vec<Row>, ReadError>> + Send,
{
    let (out, outgoing) = mpsc::channel(PAGE_ROWS);
    let mut projected = gateway.reads.projected();
    let mut shutdown = gateway.shutdown.clone();
    tokio::spawn(async move {
        let ended = tokio::select! {
            ended = pages(after, convert, page, &mut projected, &out) => ended,
            () = stopped(&mut shutdown) => Some(errors::stopping()),
            () = out.closed() => None,
        };
        if let Some(status) = ended {
            // No receiver: nobody is left to be told.
            let _ = out.send(Err(status)).await;
        }
    });
    ReceiverStream::new(outgoing)
}

/// Runs until a read fails, or nobody listens any more (`None`).
async fn pages<Row, Message, Page>(
    mut after: Position,
    convert: fn(&Row) -> (Position, Message),
    page: impl Fn(Position) -> Page,
    projected: &mut watch::Receiver<u64>,
    out: &mpsc::Sender<Result<Message, Status>>,
) -> Option<Status>
where
    Page: Future<Output = Result<Vec<Row>, ReadError>>,
{
    loop {
        // Seen before the read: what comes while it runs wakes the next one.
        projected.borrow_and_update();
        let rows = match page(after).await {
            Ok(rows) => rows,
            Err(error) => return Some(errors::reads(error)),
        };
        for row in &rows {
            let (position, message) = convert(row);
            out.send(Ok(message)).await.ok()?;
            after = position;
        }
        if rows.len() < PAGE_ROWS && projected.changed().await.is_err() {
            return Some(errors::stopping());
        }
    }
}
