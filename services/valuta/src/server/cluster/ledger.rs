//! The ledger's process: batches from a topic into the log, anchors onto another, and receipts for
//! gateways.
//!
//! | what arrives | what happens |
//! |---|---|
//! | the next batch | into the log, signed; its anchor is published |
//! | one that is in the log | skipped, if it is the same; another under its number stops the ledger |
//! | one after a gap | stops the ledger: a topic has no gaps |

use super::config::ServiceConfig;
use super::node::{self, Threads};
use super::topics::{Incoming, Outgoing};
use crate::server::data::DataDir;
use crate::server::log::{open_ledger, routes, scrub};
use crate::server::metrics;
use crate::server::ports::{failed, prove};
use crate::server::standing::Follower;
use crate::server::witnessing::Witnessing;
use anyhow::Context;
use fx::AssetCode;
use prost::Message as _;
use settlement_core::ids::{BatchNumber, Bic, Sequence};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::sync::watch;
use tonic::service::Routes;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint};
use tonic::{Request, Response, Status};
use valuta_gateway::ports::{CheckpointRow, ProofOf, ReadError};
use valuta_journal::Source as _;
use valuta_ledger::{Added, FIRST_BATCH_NUMBER, Ledger, LedgerReader};
use valuta_link::{LinkOptions, Secret};
use valuta_proto::link::ledger_link_client::LedgerLinkClient;
use valuta_proto::link::ledger_link_server::{LedgerLink, LedgerLinkServer};
use valuta_proto::link::{
    BalanceQuestion, CheckpointAnswer, CheckpointQuestion, ConservationQuestion,
    DisclosureQuestion, LinkedReceipt, ProofsAnswer, ProofsQuestion, ReceiptsAnswer,
    ReceiptsQuestion, proofs_question,
};
use valuta_proto::v1;
use valuta_proto::v1::ProcessRole;
use valuta_relay::topics::{ANCHORS, BATCHES, batch_header};
use valuta_relay::{BatchFiles, FilesOnly, Receipt, Receipts, Relay, RelayError};

/// Receipts of one answer are a page's.
const MESSAGE_BYTES_MAX: usize = 32 << 20;
const CONNECT_WITHIN: Duration = Duration::from_secs(2);

/// Runs it.
pub async fn ledger(config: ServiceConfig) -> anyhow::Result<()> {
    let render = metrics::install()?;
    let dir = DataDir::open(&config.common.data, config.common.rehearsal)?;
    let log = Arc::new(node::open_log(&config.kafka, None).await?);
    let ledger = open_ledger(&dir, log.id(), config.common.passphrase_file.as_deref())?;
    let files = BatchFiles::open(&dir.batches())?;
    let reader = ledger.reader();
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
    let own = Follower::new(ProcessRole::Ledger).done(move || anchored.next_number() - 1);
    node::stand(&config, &log, own, serves)?;
    let mut threads = Threads::new();
    let (batches, anchors) = (
        config.kafka.topic(BATCHES, 1),
        config.kafka.topic(ANCHORS, 1),
    );
    let (scrubbed, scrub_every) = (reader.clone(), config.common.scrub_every);
    let source = Arc::clone(&log);
    threads.start("ledger", move |stop| {
        let Some(scheme) = node::scheme_name(&source, stop)? else {
            return Ok(());
        };
        let mut outgoing = Outgoing::open(&anchors, &scheme)?;
        publish_missing(&reader, &mut outgoing)?;
        keep(ledger, Incoming::open(&batches)?, outgoing, stop)
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

/// Anchors that an earlier process did not come to publish.
fn publish_missing(ledger: &LedgerReader, outgoing: &mut Outgoing) -> anyhow::Result<()> {
    let from = outgoing.held() + FIRST_BATCH_NUMBER;
    for number in from..ledger.next_number() {
        publish(ledger, number, outgoing)?;
    }
    outgoing.flush()
}

fn publish(
    ledger: &LedgerReader,
    number: BatchNumber,
    outgoing: &mut Outgoing,
) -> anyhow::Result<()> {
    let (header, anchor) = (ledger.header(number)?, ledger.anchor(number)?);
    let message = v1::SettlementAnchor {
        scheme: header.scheme.clone(),
        batch: number,
        log_index: anchor.index,
        header: header.text(),
        checkpoint: anchor.checkpoint.to_string(),
    };
    outgoing.send(number, header.scheme.as_bytes(), &message.encode_to_vec())
}

fn keep(
    mut ledger: Ledger,
    mut incoming: Incoming,
    mut outgoing: Outgoing,
    stop: &AtomicBool,
) -> anyhow::Result<()> {
    let reader = ledger.reader();
    while !stop.load(Ordering::Relaxed) {
        let Some(payload) = incoming.next()? else {
            continue;
        };
        let header = batch_header(&payload)?;
        let number = header.number;
        if let Added::New(anchor) = ledger.add_header(header)? {
            tracing::info!(batch = number, index = anchor.index, "anchored");
            publish(&reader, number, &mut outgoing)?;
            outgoing.flush()?;
        }
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

/// The inverse.
fn question(what: ProofOf) -> proofs_question::What {
    use proofs_question::What;
    match what {
        ProofOf::Balance(participant, asset) => What::Balance(BalanceQuestion {
            participant: participant.to_string(),
            asset: asset.to_string(),
        }),
        ProofOf::Postings(participant) => What::Postings(participant.to_string()),
        ProofOf::Conservation => What::Conservation(ConservationQuestion {}),
        ProofOf::Disclosure(chosen) => What::Disclosure(DisclosureQuestion {
            sequences: chosen.into_iter().map(|sequence| sequence.0).collect(),
        }),
    }
}

/// A gateway's way to it.
#[derive(Clone)]
pub(crate) struct LedgerClient {
    channel: Option<Channel>,
    secret: Secret,
}

impl LedgerClient {
    /// Connects when it is first asked, and again when it must.
    pub fn new(address: Option<&str>, options: &LinkOptions) -> anyhow::Result<Self> {
        let secret = options.secret.clone();
        let Some(address) = address else {
            return Ok(Self {
                channel: None,
                secret,
            });
        };
        let mut endpoint = Endpoint::from_shared(address.to_owned())
            .with_context(|| format!("link_ledger: {address:?} is not http://host:port"))?
            .connect_timeout(CONNECT_WITHIN);
        if let Some(pem) = options
            .authority
            .as_ref()
            .filter(|_| address.starts_with("https"))
        {
            let tls = ClientTlsConfig::new().ca_certificate(Certificate::from_pem(pem));
            endpoint = endpoint.tls_config(tls)?;
        }
        Ok(Self {
            channel: Some(endpoint.connect_lazy()),
            secret,
        })
    }

    fn client(&self) -> Result<LedgerLinkClient<Channel>, ReadError> {
        let channel = self.channel.clone().ok_or_else(|| {
            ReadError::Unavailable("this gateway is not told where the ledger is".to_owned())
        })?;
        Ok(LedgerLinkClient::new(channel).max_decoding_message_size(MESSAGE_BYTES_MAX))
    }

    fn request<T>(&self, message: T) -> Request<T> {
        let mut request = Request::new(message);
        self.secret.put(&mut request);
        request
    }

    /// The newest signed tree head.
    pub async fn checkpoint(&self) -> Result<CheckpointRow, ReadError> {
        let question = self.request(CheckpointQuestion {});
        let answer = self.client()?.get_checkpoint(question).await;
        let answer = answer.map_err(unanswered)?.into_inner();
        Ok(CheckpointRow {
            checkpoint: answer.checkpoint,
            policy: answer.policy,
            witnessed: answer.witnessed,
        })
    }

    /// Other proofs of a batch; none if it is not anchored, or there is nothing to prove.
    pub async fn proofs(
        &self,
        batch: BatchNumber,
        what: ProofOf,
    ) -> Result<Vec<String>, ReadError> {
        let what = Some(question(what));
        let question = self.request(ProofsQuestion { batch, what });
        let answer = self.client()?.make_proofs(question).await;
        Ok(answer.map_err(unanswered)?.into_inner().proofs)
    }

    /// Receipts of a batch's instructions; none if it is not anchored.
    pub async fn receipts(
        &self,
        batch: BatchNumber,
        instructions: &[Sequence],
    ) -> Result<Vec<Receipt>, ReadError> {
        let question = self.request(ReceiptsQuestion {
            batch,
            sequences: instructions.iter().map(|sequence| sequence.0).collect(),
        });
        let answer = self.client()?.make_receipts(question).await;
        let receipts = answer.map_err(unanswered)?.into_inner().receipts;
        let receipts = receipts.into_iter().map(|receipt| Receipt {
            sequence: Sequence(receipt.sequence),
            batch,
            content: receipt.content.to_vec(),
            text: receipt.text,
        });
        Ok(receipts.collect())
    }
}

fn unproved(error: RelayError) -> Status {
    match error {
        RelayError::Unread { .. } => Status::failed_precondition(error.to_string()),
        error => Status::internal(error.to_string()),
    }
}

fn unanswered(status: Status) -> ReadError {
    match status.code() {
        tonic::Code::Internal => failed(status.message()),
        tonic::Code::FailedPrecondition => ReadError::Unavailable(status.message().to_owned()),
        _ => ReadError::Unavailable(format!("the ledger does not answer: {}", status.message())),
    }
}
