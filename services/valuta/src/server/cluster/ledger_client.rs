//! A gateway's way to the ledger. Of several processes, which keep the same log, the one that answered last is asked
//! first, and the next one when it does not answer.

use super::ledger::MESSAGE_BYTES_MAX;
use crate::server::ports::failed;
use anyhow::Context;
use settlement_core::ids::{BatchNumber, Sequence};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint};
use tonic::{Code, Request, Response, Status};
use valuta_gateway::ports::{CheckpointRow, ProofOf, ReadError};
use valuta_link::{LinkOptions, Secret};
use valuta_proto::link::ledger_link_client::LedgerLinkClient;
use valuta_proto::link::{
    BalanceQuestion, CheckpointQuestion, ConservationQuestion, DisclosureQuestion, ProofsQuestion,
    ReceiptsQuestion, proofs_question,
};
use valuta_relay::Receipt;

const CONNECT_WITHIN: Duration = Duration::from_secs(2);
/// One that does not answer a ping is gone; how long an answer takes is its own affair.
const PING_EVERY: Duration = Duration::from_secs(2);

/// Cheap to clone.
#[derive(Clone)]
pub(crate) struct LedgerClient {
    channels: Arc<[Channel]>,
    /// Who answered last.
    first: Arc<AtomicUsize>,
    secret: Secret,
}

impl LedgerClient {
    /// Connects when it is first asked, and again when it must.
    pub fn new(addresses: &[String], options: &LinkOptions) -> anyhow::Result<Self> {
        let channels = addresses.iter().map(|address| channel(address, options));
        Ok(Self {
            channels: channels.collect::<anyhow::Result<_>>()?,
            first: Arc::default(),
            secret: options.secret.clone(),
        })
    }

    async fn ask<Q: Clone, A>(
        &self,
        question: Q,
        call: impl AsyncFn(LedgerLinkClient<Channel>, Request<Q>) -> Result<Response<A>, Status>,
    ) -> Result<A, ReadError> {
        let first = self.first.load(Ordering::Relaxed);
        let mut refused: Option<Status> = None;
        for at in (0..self.channels.len()).map(|next| (first + next) % self.channels.len()) {
            let client = LedgerLinkClient::new(self.channels[at].clone());
            let client = client.max_decoding_message_size(MESSAGE_BYTES_MAX);
            let mut request = Request::new(question.clone());
            self.secret.put(&mut request);
            match call(client, request).await {
                Ok(answer) => {
                    self.first.store(at, Ordering::Relaxed);
                    return Ok(answer.into_inner());
                }
                // What the first one says is why.
                Err(status) => {
                    refused.get_or_insert(status);
                }
            }
        }
        let Some(status) = refused else {
            let nobody = "this gateway is not told where the ledger is";
            return Err(ReadError::Unavailable(nobody.to_owned()));
        };
        let said = status.message();
        Err(match status.code() {
            Code::Internal => failed(said),
            Code::FailedPrecondition => ReadError::Unavailable(said.to_owned()),
            _ => ReadError::Unavailable(format!("the ledger does not answer: {said}")),
        })
    }

    /// The newest signed tree head.
    pub async fn checkpoint(&self) -> Result<CheckpointRow, ReadError> {
        let answer = self
            .ask(CheckpointQuestion {}, async |mut ledger, question| {
                ledger.get_checkpoint(question).await
            })
            .await?;
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
        let answer = self
            .ask(
                ProofsQuestion { batch, what },
                async |mut ledger, question| ledger.make_proofs(question).await,
            )
            .await?;
        Ok(answer.proofs)
    }

    /// Receipts of a batch's instructions; none if it is not anchored.
    pub async fn receipts(
        &self,
        batch: BatchNumber,
        instructions: &[Sequence],
    ) -> Result<Vec<Receipt>, ReadError> {
        let sequences = instructions.iter().map(|sequence| sequence.0).collect();
        let answer = self
            .ask(
                ReceiptsQuestion { batch, sequences },
                async |mut ledger, question| ledger.make_receipts(question).await,
            )
            .await?;
        let receipts = answer.receipts.into_iter().map(|receipt| Receipt {
            sequence: Sequence(receipt.sequence),
            batch,
            content: receipt.content.to_vec(),
            text: receipt.text,
        });
        Ok(receipts.collect())
    }
}

fn channel(address: &str, options: &LinkOptions) -> anyhow::Result<Channel> {
    let mut endpoint = Endpoint::from_shared(address.to_owned())
        .with_context(|| format!("link.ledger: {address:?} is not http://host:port"))?
        .connect_timeout(CONNECT_WITHIN)
        .http2_keep_alive_interval(PING_EVERY)
        .keep_alive_timeout(CONNECT_WITHIN);
    let authority = options.authority.as_ref();
    if let Some(pem) = authority.filter(|_| address.starts_with("https")) {
        let tls = ClientTlsConfig::new().ca_certificate(Certificate::from_pem(pem));
        endpoint = endpoint.tls_config(tls)?;
    }
    Ok(endpoint.connect_lazy())
}

/// What is to be proved, as it goes over the link.
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
