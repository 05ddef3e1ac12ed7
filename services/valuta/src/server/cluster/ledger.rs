//! The ledger's process: batches from a topic into the log, anchors onto another, and receipts for
//! gateways.
//!
//! | what arrives | what happens |
//! |---|---|
//! | the next batch | into the log, signed; its anchor is published |
//! | one that is in the log | skipped, if it is the same; another under its number stops the ledger |
//! | one after a gap | stops the ledger: a topic has no gaps |
//!
//! Several processes with the same keys keep the same log, each in files of its own, since one topic says what is in
//! it and in which order: any of them answers for it. The one whose turn it is publishes anchors, once its own log is
//! seen to be the one that was published before.

use super::anchors::{self, Publisher};
use super::config::ServiceConfig;
use super::node::{self, Threads, Turn};
use super::topics::Incoming;
use crate::server::data::DataDir;
use crate::server::log::{open_ledger, routes, scrub};
use crate::server::metrics;
use crate::server::ports::prove;
use crate::server::standing::Follower;
use crate::server::witnessing::Witnessing;
use fx::AssetCode;
use settlement_core::ids::{Bic, Sequence};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::sync::watch;
use tonic::service::Routes;
use tonic::{Request, Response, Status};
use valuta_gateway::ports::ProofOf;
use valuta_journal::Source as _;
use valuta_ledger::{Added, Ledger, LedgerReader};
use valuta_link::Secret;
use valuta_proto::link::ledger_link_server::{LedgerLink, LedgerLinkServer};
use valuta_proto::link::{
    BalanceQuestion, CheckpointAnswer, CheckpointQuestion, ConservationQuestion,
    DisclosureQuestion, LinkedReceipt, ProofsAnswer, ProofsQuestion, ReceiptsAnswer,
    ReceiptsQuestion, proofs_question,
};
use valuta_proto::v1::ProcessRole;
use valuta_relay::topics::{ANCHORS, BATCHES, batch_header};
use valuta_relay::{BatchFiles, FilesOnly, Receipts, Relay, RelayError};

/// Receipts of one answer are a page's.
pub(super) const MESSAGE_BYTES_MAX: usize = 32 << 20;

/// Runs it.
pub async fn ledger(config: ServiceConfig) -> anyhow::Result<()> {
    let render = metrics::install()?;
    let dir = DataDir::open(&config.common.data, config.common.rehearsal)?;
    let log = Arc::new(node::open_log(&config.kafka, None).await?);
    let ledger = open_ledger(&dir, log.id(), config.common.passphrase_file.as_deref())?;
    let files = BatchFiles::open(&dir.batches())?;
    let reader = ledger.reader();
    let published = config.kafka.topic(ANCHORS, 1);
    let turn = Turn::default();
    let publisher = Publisher::new(published.clone(), reader.clone(), turn.clone());
    let mut publisher = tokio::task::spawn_blocking(|| publisher.checked()).await??;
    let receipts = Arc::new(Receipts::new(log.lookup(), reader.clone(), files.clone()));
    let witnessing = Witnessing::start(&reader, config.common.witnesses.as_deref())?;
    // Asks until this process ends.
    let _collector = witnessing.collector;
    let (stop, stopping) = watch::channel(false);
    let service = LedgerService {
        receipts,
        ledger: reader.clone(),
        policy: witnessing.policy,
        secret: config.link.secret.clone(),
    };
    let link = LedgerLinkServer::new(service).max_encoding_message_size(MESSAGE_BYTES_MAX);
    let mut services = Routes::new(link);
    let router = services.axum_router_mut();
    *router = std::mem::take(router).merge(routes(reader.clone()));
    let (serves, _) = node::serve(&config, services, render, stopping).await?;
    let anchored = reader.clone();
    let own = Follower::new(ProcessRole::Ledger)
        .done(move || anchored.next_number() - 1)
        .in_turn(turn.read());
    node::stand(&config, &log, own, serves)?;
    let mut threads = Threads::new();
    let (kafka, batches) = (config.kafka.clone(), config.kafka.topic(BATCHES, 1));
    let (scrubbed, scrub_every) = (reader.clone(), config.common.scrub_every);
    let source = Arc::clone(&log);
    threads.start("ledger", move |stop| {
        let Some(scheme) = node::scheme_name(&source, stop)? else {
            return Ok(());
        };
        let election = node::join(&kafka, ProcessRole::Ledger)?;
        keep(ledger, Incoming::open(&batches)?, stop, || {
            publisher.step(&scheme, *election.named().borrow())
        })
    })?;
    threads.start("anchors", move |stop| {
        anchors::compare(&published, &reader, stop)
    })?;
    threads.start("scrub", move |stop| {
        scrub(&scrubbed, scrub_every, stop);
        Ok(())
    })?;
    let source = Arc::clone(&log);
    threads.start("members", move |stop| {
        let (reader, lookup, tail) = (source.reader(None)?, source.lookup(), source.watch());
        let relay = Relay::new(reader, lookup, tail, FilesOnly, Some(files));
        Ok(relay.run(stop, |_| {})?)
    })?;
    let ended = threads.run(&log).await;
    stop.send_replace(true);
    ended
}

/// Puts batches into the log; `publish` comes after each, and now and then.
fn keep(
    mut ledger: Ledger,
    mut incoming: Incoming,
    stop: &AtomicBool,
    mut publish: impl FnMut() -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    while !stop.load(Ordering::Relaxed) {
        if let Some(payload) = incoming.next()?
            && let Added::New(anchor) = ledger.add_header(batch_header(&payload)?)?
        {
            tracing::info!(batch = anchor.number, index = anchor.index, "anchored");
        }
        publish()?;
    }
    Ok(())
}

#[derive(Clone)]
struct LedgerService {
    receipts: Arc<Receipts>,
    ledger: LedgerReader,
    policy: String,
    secret: Secret,
}

#[tonic::async_trait]
impl LedgerLink for LedgerService {
    async fn get_checkpoint(
        &self,
        request: Request<CheckpointQuestion>,
    ) -> Result<Response<CheckpointAnswer>, Status> {
        self.secret.check(request.metadata())?;
        Ok(Response::new(CheckpointAnswer {
            checkpoint: self.ledger.checkpoint().to_string(),
            policy: self.policy.clone(),
            witnessed: self.ledger.witnessed_size(),
            batch: self.ledger.next_number() - 1,
        }))
    }

    async fn make_receipts(
        &self,
        request: Request<ReceiptsQuestion>,
    ) -> Result<Response<ReceiptsAnswer>, Status> {
        self.secret.check(request.metadata())?;
        let ReceiptsQuestion { batch, sequences } = request.into_inner();
        let receipts = Arc::clone(&self.receipts);
        let made = tokio::task::spawn_blocking(move || {
            let sequences: Vec<_> = sequences.into_iter().map(Sequence).collect();
            receipts.make(batch, &sequences)
        });
        let made = made
            .await
            .map_err(|error| Status::internal(error.to_string()))?;
        let made = made.map_err(unproved)?.unwrap_or_default();
        let receipts = made.into_iter().map(|receipt| LinkedReceipt {
            sequence: receipt.sequence.0,
            text: receipt.text,
            content: receipt.content.into(),
        });
        Ok(Response::new(ReceiptsAnswer {
            receipts: receipts.collect(),
        }))
    }

    async fn make_proofs(
        &self,
        request: Request<ProofsQuestion>,
    ) -> Result<Response<ProofsAnswer>, Status> {
        self.secret.check(request.metadata())?;
        let ProofsQuestion { batch, what } = request.into_inner();
        let what = what.and_then(asked);
        let what = what.ok_or_else(|| Status::invalid_argument("nothing that can be proved"))?;
        let receipts = Arc::clone(&self.receipts);
        let made = tokio::task::spawn_blocking(move || prove(&receipts, batch, &what));
        let made = made
            .await
            .map_err(|error| Status::internal(error.to_string()))?;
        let proofs = made.map_err(unproved)?;
        Ok(Response::new(ProofsAnswer { proofs }))
    }
}

/// What a gateway asks for, as it came.
fn asked(question: proofs_question::What) -> Option<ProofOf> {
    use proofs_question::What;
    let bic = |text: &str| Bic::parse(text.as_bytes());
    Some(match question {
        What::Balance(BalanceQuestion { participant, asset }) => {
            ProofOf::Balance(bic(&participant)?, AssetCode::parse(asset.as_bytes())?)
        }
        What::Postings(participant) => ProofOf::Postings(bic(&participant)?),
        What::Conservation(ConservationQuestion {}) => ProofOf::Conservation,
        What::Disclosure(DisclosureQuestion { sequences }) => {
            ProofOf::Disclosure(sequences.into_iter().map(Sequence).collect())
        }
    })
}

fn unproved(error: RelayError) -> Status {
    match error {
        RelayError::Unread { .. } => Status::failed_precondition(error.to_string()),
        error => Status::internal(error.to_string()),
    }
}
