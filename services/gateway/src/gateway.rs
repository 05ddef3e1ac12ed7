//! What every service shares: the ports, the shutdown signal, and the way of a query and a command.

use crate::audit::FOLLOWERS_MAX;
use crate::auth;
use crate::deadline::Deadline;
use crate::errors;
use crate::fields;
use crate::ports::{Answered, Engine, Reads};
use fx::AssetCode;
use prost::Message;
use prost_types::Timestamp as WireTime;
use settlement_core::command::{Action, Caller, Command, Refusal};
use settlement_core::ids::Sequence;
use settlement_core::instruction::Digest;
use settlement_core::state::FrozenView;
use settlement_core::view::{AssetView, CommandAnswer, Query, SchemeView};
use sha2::{Digest as _, Sha256};
use std::sync::Arc;
use tokio::sync::{Semaphore, watch};
use tonic::metadata::MetadataMap;
use tonic::{Request, Status};

/// The bank-facing edge over its two ports. Each service is implemented on it.
#[derive(Clone, Debug)]
pub struct Gateway<E, R> {
    pub(crate) engine: E,
    pub(crate) reads: R,
    /// Becomes true when open streams are to end.
    pub(crate) shutdown: watch::Receiver<bool>,
    /// Places for the proofs of callers without a token.
    pub(crate) strangers: Arc<Semaphore>,
    /// One for each follower of the journal that there is room for.
    pub(crate) followers: Arc<Semaphore>,
}

/// Proofs made at once for callers without a token: each may have a batch read again from the journal.
pub(crate) const STRANGERS_PROOFS_MAX: usize = 2;

/// Who calls, and how long it waits.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Call {
    pub(crate) caller: Caller,
    pub(crate) deadline: Deadline,
}

/// What every write carries: `request_id`, creation time, and a digest of the rest of the request.
pub(crate) struct Write<'a> {
    request_id: &'a str,
    created: Option<WireTime>,
    digest: Digest,
}

impl<'a> Write<'a> {
    /// `content` is the request without its id and creation time; `method` tells requests of one
    /// shape apart.
    pub(crate) fn new(
        request_id: &'a str,
        created: Option<WireTime>,
        method: &str,
        content: &impl Message,
    ) -> Self {
        let mut hash = Sha256::new();
        hash.update(method);
        hash.update([0]);
        hash.update(content.encode_to_vec());
        let mut digest = [0; 16];
        digest.copy_from_slice(&hash.finalize()[..16]);
        Self {
            request_id,
            created,
            digest: Digest(digest),
        }
    }
}

/// Takes a view of one variant out of an answer; another variant is the engine's mistake.
macro_rules! view {
    ($answered:expr, $variant:ident) => {
        match $answered.view {
            settlement_core::view::View::$variant(view) => Ok(view),
            _ => Err($crate::errors::internal(concat!(
                "the engine's answer is not ",
                stringify!($variant)
            ))),
        }
    };
}
pub(crate) use view;

impl<E: Engine, R: Reads> Gateway<E, R> {
    /// A gateway over its ports; `shutdown` becomes true once, when open streams are to end.
    pub fn new(engine: E, reads: R, shutdown: watch::Receiver<bool>) -> Self {
        Self {
            engine,
            reads,
            shutdown,
            strangers: Arc::new(Semaphore::new(STRANGERS_PROOFS_MAX)),
            followers: Arc::new(Semaphore::new(FOLLOWERS_MAX)),
        }
    }

    /// Authenticates, and parts the call from its message.
    pub(crate) fn open<T>(&self, request: Request<T>) -> Result<(Call, T), Status> {
        let call = self.call(request.metadata())?;
        Ok((call, request.into_inner()))
    }

    pub(crate) fn call(&self, metadata: &MetadataMap) -> Result<Call, Status> {
        Ok(Call {
            caller: auth::caller(&self.engine, metadata)?,
            deadline: Deadline::of(metadata),
        })
    }

    /// Asks the engine, waiting for `min_sequence` within the call's deadline.
    pub(crate) async fn query(
        &self,
        call: Call,
        query: Query,
        min_sequence: u64,
    ) -> Result<Answered, Status> {
        let answer = self.engine.query(query, Sequence(min_sequence));
        call.deadline
            .wait(&format!("sequence {min_sequence}"), answer)
            .await?
            .map_err(errors::engine)
    }

    /// Answers a question over the frozen state on a thread of its own.
    pub(crate) async fn ask<T: Send + 'static>(
        &self,
        call: Call,
        min_sequence: u64,
        question: impl FnOnce(&FrozenView) -> T + Send + 'static,
    ) -> Result<T, Status> {
        let answer = async {
            let frozen = self.engine.frozen(Sequence(min_sequence)).await;
            let frozen = frozen.map_err(errors::engine)?;
            let answered = tokio::task::spawn_blocking(move || question(&frozen)).await;
            answered.map_err(|_| errors::internal("a question over the frozen state failed"))
        };
        call.deadline
            .wait(&format!("sequence {min_sequence}"), answer)
            .await?
    }

    pub(crate) async fn scheme(
        &self,
        call: Call,
        min_sequence: u64,
    ) -> Result<(SchemeView, u64), Status> {
        let answered = self.query(call, Query::Scheme, min_sequence).await?;
        let sequence = answered.sequence.0;
        Ok((*view!(answered, Scheme)?, sequence))
    }

    /// An asset of the scheme; `NOT_FOUND` names the field otherwise.
    pub(crate) fn asset(
        scheme: &SchemeView,
        field: &str,
        code: AssetCode,
    ) -> Result<AssetView, Status> {
        scheme
            .assets
            .iter()
            .find(|line| line.code == code)
            .map(|line| AssetView {
                code,
                decimals: line.decimals,
            })
            .ok_or_else(|| errors::not_found(field, format!("the scheme has no asset {code}")))
    }

    /// Sends a command; a refusal becomes the call's failure.
    pub(crate) async fn command(
        &self,
        call: Call,
        write: Write<'_>,
        action: Action,
    ) -> Result<CommandAnswer, Status> {
        self.try_command(call, write, action)
            .await?
            .map_err(|refused| errors::refusal(&refused))
    }

    /// Sends a command, and leaves a refusal to the caller.
    pub(crate) async fn try_command(
        &self,
        call: Call,
        write: Write<'_>,
        action: Action,
    ) -> Result<Result<CommandAnswer, Refusal>, Status> {
        let request_id = fields::short_text("request_id", write.request_id)?;
        let created = fields::optional_time("created", write.created)?;
        let command = Command {
            caller: call.caller,
            request_id,
            created: created.unwrap_or_else(|| self.engine.now()),
            digest: write.digest,
            action,
        };
        let answer = self.engine.command(command).await.map_err(errors::engine)?;
        if let Err(refused) = &answer {
            tracing::debug!(caller = ?call.caller, %refused, "command refused");
            metrics::counter!("valuta_commands_total", "outcome" => "refused").increment(1);
        } else {
            metrics::counter!("valuta_commands_total", "outcome" => "taken").increment(1);
        }
        Ok(answer)
    }

    /// Waits until the read model has a sequence.
    pub(crate) async fn projected(&self, call: Call, min_sequence: u64) -> Result<u64, Status> {
        let mut projected = self.reads.projected();
        reach(
            &mut projected,
            min_sequence,
            call.deadline,
            "the read model",
        )
        .await
    }
}

/// Waits until a follower has come to `value`, and answers where it is.
pub(crate) async fn reach(
    follower: &mut watch::Receiver<u64>,
    value: u64,
    deadline: Deadline,
    name: &str,
) -> Result<u64, Status> {
    let arrived = follower.wait_for(|at| *at >= value);
    let arrived = deadline
        .wait(&format!("{name} at {value}"), arrived)
        .await?;
    match arrived {
        Ok(at) => Ok(*at),
        Err(_) => Err(errors::stopping()),
    }
}

/// Completes when open streams are to end; a signal that nobody can give any more is one too.
pub(crate) async fn stopped(shutdown: &mut watch::Receiver<bool>) {
    let _ = shutdown.wait_for(|stop| *stop).await;
}
