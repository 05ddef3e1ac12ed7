//! `LedgerService`: the signed tree head, receipts and other proofs that verify offline.

use crate::auth;
use crate::deadline::Deadline;
use crate::errors::{self, Failure};
use crate::fields::{self, optional};
use crate::gateway::{Call, Gateway, reach, view};
use crate::ports::{BatchFilter, Engine, ProofOf, ReadError, Reads, ReceiptRow};
use settlement_core::command::Caller;
use settlement_core::ids::{BatchNumber, Bic, Sequence};
use settlement_core::view::{InstructionAnswer, Query, Status as InstructionStatus};
use std::sync::Arc;
use tokio::sync::{OwnedSemaphorePermit, mpsc};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Request, Response, Status};
use valuta_proto::v1;
use valuta_proto::v1::ledger_service_server::LedgerService;

type Answer<T> = Result<Response<T>, Status>;

/// Receipts read at once.
const PAGE_RECEIPTS: usize = 256;

#[tonic::async_trait]
impl<E: Engine, R: Reads> LedgerService for Gateway<E, R> {
    type ListReceiptsStream = ReceiverStream<Result<v1::GetReceiptResponse, Status>>;

    /// Needs no token: a checkpoint is there to be compared.
    async fn get_checkpoint(
        &self,
        _: Request<v1::GetCheckpointRequest>,
    ) -> Answer<v1::GetCheckpointResponse> {
        let row = self.reads.checkpoint().await.map_err(errors::reads)?;
        let row = row.ok_or_else(|| not_anchored("no batch is anchored yet"))?;
        Ok(Response::new(v1::GetCheckpointResponse {
            checkpoint: row.checkpoint,
            policy: row.policy,
            witnessed: row.witnessed,
        }))
    }

    async fn get_receipt(
        &self,
        request: Request<v1::GetReceiptRequest>,
    ) -> Answer<v1::GetReceiptResponse> {
        let (call, request) = self.open(request)?;
        let answer = self.one_instruction(call, &request).await?;
        if let Some(row) = self.receipt(answer.sequence).await? {
            return Ok(Response::new(receipt(row)));
        }
        if matches!(
            answer.status,
            InstructionStatus::Rejected(_) | InstructionStatus::Cancelled
        ) {
            return Err(Failure::new(
                Code::FailedPrecondition,
                "NEVER_SETTLES",
                "rejected or cancelled: it has not settled and never will, so there is no receipt",
            )
            .into());
        }
        if !request.wait {
            return Err(not_anchored(
                "not settled and anchored yet, or the read model is behind; ask with wait, or later",
            ));
        }
        let mut anchored = self.reads.anchored();
        let awaited = async {
            loop {
                let newest = *anchored.borrow_and_update();
                self.listed(newest, Some(call.deadline)).await?;
                if let Some(row) = self.receipt(answer.sequence).await? {
                    return Ok(Response::new(receipt(row)));
                }
                anchored.changed().await.map_err(|_| errors::stopping())?;
            }
        };
        call.deadline.wait("the receipt", awaited).await?
    }

    async fn list_receipts(
        &self,
        request: Request<v1::ListReceiptsRequest>,
    ) -> Answer<Self::ListReceiptsStream> {
        let (call, request) = self.open(request)?;
        let reader = auth::reads_for(call.caller)?;
        let wait = request.wait.then_some(call.deadline);
        self.listed(named(request.batch)?, wait).await?;
        let (out, outgoing) = mpsc::channel(PAGE_RECEIPTS);
        let gateway = self.clone();
        tokio::spawn(async move { gateway.send_receipts(reader, request.batch, out).await });
        Ok(Response::new(ReceiverStream::new(outgoing)))
    }

    async fn get_balance_proof(
        &self,
        request: Request<v1::GetBalanceProofRequest>,
    ) -> Answer<v1::GetBalanceProofResponse> {
        let (call, request) = self.open(request)?;
        let holder = holder(call.caller, &request.participant)?;
        let asset = fields::asset("asset", &request.asset)?;
        let wait = request.wait.then_some(call.deadline);
        let newest = *self.reads.anchored().borrow();
        let until = match (request.batch, wait) {
            (0, None) => newest,
            // All that the caller can have been told of is in it.
            (0, Some(_)) => self.closed(call).await?.max(newest),
            (batch, _) => batch,
        };
        self.listed(until, wait).await?;
        let changed = self.reads.changed_by(holder, asset, until).await;
        let unchanged = || {
            let what = format!("no batch up to {until} has changed {asset} of {holder}");
            errors::not_found("asset", what)
        };
        let batch = changed.map_err(errors::reads)?.ok_or_else(unchanged)?;
        let proof = self.proof(batch, ProofOf::Balance(holder, asset)).await?;
        let proof = proof.ok_or_else(unchanged)?;
        Ok(Response::new(v1::GetBalanceProofResponse { batch, proof }))
    }

    async fn list_posting_proofs(
        &self,
        request: Request<v1::ListPostingProofsRequest>,
    ) -> Answer<v1::ListPostingProofsResponse> {
        let (call, request) = self.open(request)?;
        let holder = holder(call.caller, &request.participant)?;
        let batch = named(request.batch)?;
        let wait = request.wait.then_some(call.deadline);
        self.anchored(batch, wait).await?;
        let proofs = self.proofs(batch, ProofOf::Postings(holder)).await?;
        Ok(Response::new(v1::ListPostingProofsResponse { proofs }))
    }

    /// Needs no token: it shows no line, and anyone may check conservation. Callers without one share a few
    /// places, so that they cannot keep the ledger reading, nor the members from their proofs.
    async fn get_conservation_proof(
        &self,
        request: Request<v1::GetConservationProofRequest>,
    ) -> Answer<v1::GetConservationProofResponse> {
        let place = match request.metadata().contains_key("authorization") {
            true => self.call(request.metadata()).map(|_| None)?,
            false => Some(self.strangers_place()?),
        };
        let batch = named(request.into_inner().batch)?;
        let gateway = self.clone();
        // A caller that goes away does not free the place while its batch is still read.
        let proving = tokio::spawn(async move {
            let proof = gateway.proof(batch, ProofOf::Conservation).await;
            drop(place);
            proof
        });
        let failed = |_| errors::internal("the proof was not made");
        let proof = proving.await.map_err(failed)??;
        let proof = proof.ok_or_else(|| batch_not_anchored(batch))?;
        Ok(Response::new(v1::GetConservationProofResponse { proof }))
    }

    async fn disclose(
        &self,
        request: Request<v1::DiscloseRequest>,
    ) -> Answer<v1::DiscloseResponse> {
        let (call, request) = self.open(request)?;
        let batch = named(request.batch)?;
        if request.uetrs.is_empty() {
            return Err(errors::missing("uetrs"));
        }
        let mut chosen = Vec::new();
        for uetr in &request.uetrs {
            chosen.extend(self.settled_by(call, batch, uetr).await?);
        }
        let wait = request.wait.then_some(call.deadline);
        self.anchored(batch, wait).await?;
        let disclosure = self.proof(batch, ProofOf::Disclosure(chosen)).await?;
        let disclosure = disclosure.ok_or_else(|| batch_not_anchored(batch))?;
        Ok(Response::new(v1::DiscloseResponse { disclosure }))
    }
}

impl<E: Engine, R: Reads> Gateway<E, R> {
    async fn receipt(&self, instruction: Sequence) -> Result<Option<ReceiptRow>, Status> {
        self.reads.receipt(instruction).await.map_err(errors::reads)
    }

    async fn proofs(&self, batch: BatchNumber, what: ProofOf) -> Result<Vec<String>, Status> {
        self.reads.proofs(batch, what).await.map_err(errors::reads)
    }

    /// The one that there is at most.
    async fn proof(&self, batch: BatchNumber, what: ProofOf) -> Result<Option<String>, Status> {
        Ok(self.proofs(batch, what).await?.into_iter().next())
    }

    /// The newest batch that has closed, anchored or not.
    async fn closed(&self, call: Call) -> Result<BatchNumber, Status> {
        let counts = view!(self.query(call, Query::Statistics, 0).await?, Statistics)?;
        Ok(counts.batches)
    }

    fn strangers_place(&self) -> Result<OwnedSemaphorePermit, Status> {
        let place = Arc::clone(&self.strangers).try_acquire_owned();
        place.map_err(|_| errors::busy("others without a token are being answered"))
    }

    /// The instructions under a UETR that the caller is party to and that the batch settled; one at least.
    async fn settled_by(
        &self,
        call: Call,
        batch: BatchNumber,
        uetr: &str,
    ) -> Result<Vec<Sequence>, Status> {
        let reader = auth::reads_for(call.caller)?;
        let uetr = fields::uetr("uetrs", uetr)?;
        let answers = view!(
            self.query(call, Query::Instructions(uetr), 0).await?,
            Instructions
        )?;
        let mut found = Vec::new();
        for answer in answers {
            let settled = InstructionStatus::Settled { batch };
            if answer.status == settled && self.readable(reader, answer).await?.is_some() {
                found.push(answer.sequence);
            }
        }
        if found.is_empty() {
            let what = format!("batch {batch} has settled no instruction of yours under {uetr}");
            return Err(errors::not_found("uetrs", what));
        }
        Ok(found)
    }

    /// The one instruction that the request means, if the caller is a party to it.
    async fn one_instruction(
        &self,
        call: Call,
        request: &v1::GetReceiptRequest,
    ) -> Result<InstructionAnswer, Status> {
        let reader = auth::reads_for(call.caller)?;
        let uetr = fields::uetr("uetr", &request.uetr)?;
        let instructing = optional("instructing", &request.instructing, fields::bic)?;
        let kind = match request.kind {
            0 => None,
            value => Some(fields::kind("kind", value)?),
        };
        let answers = view!(
            self.query(call, Query::Instructions(uetr), 0).await?,
            Instructions
        )?;
        let mut found = Vec::new();
        for answer in answers {
            let meant = instructing.is_none_or(|bic| bic == answer.identity.instructing)
                && kind.is_none_or(|kind| kind == answer.identity.kind);
            if meant && self.readable(reader, answer).await?.is_some() {
                found.push(answer);
            }
        }
        match found[..] {
            [] => Err(errors::not_found(
                "uetr",
                format!("no instruction of yours under {uetr}"),
            )),
            [answer] => Ok(answer),
            _ => Err(Failure::new(
                Code::InvalidArgument,
                "UETR_AMBIGUOUS",
                "several instructions share this UETR: name instructing and kind",
            )
            .field("instructing")
            .into()),
        }
    }

    /// Waits until a batch is anchored, or without a deadline says that it is not.
    async fn anchored(&self, batch: BatchNumber, wait: Option<Deadline>) -> Result<(), Status> {
        let mut anchored = self.reads.anchored();
        if *anchored.borrow_and_update() >= batch {
            return Ok(());
        }
        let deadline = wait.ok_or_else(|| batch_not_anchored(batch))?;
        reach(&mut anchored, batch, deadline, "the ledger")
            .await
            .map(drop)
    }

    /// Waits until a batch is anchored and in the read model, or without a deadline says that it is not: the read
    /// model may be behind the log, and what is looked up in it would be of the batches before.
    pub(crate) async fn listed(
        &self,
        batch: BatchNumber,
        wait: Option<Deadline>,
    ) -> Result<(), Status> {
        self.anchored(batch, wait).await?;
        let mut projected = self.reads.projected();
        while self.newest_listed(batch).await? < batch {
            let behind = || format!("the read model has not come to batch {batch} yet");
            let deadline = wait.ok_or_else(|| errors::reads(ReadError::Unavailable(behind())))?;
            let further = deadline.wait("the batch in the read model", projected.changed());
            further.await?.map_err(|_| errors::stopping())?;
        }
        Ok(())
    }

    /// The newest batch, up to `until`, that the read model has; 0 if it has none.
    async fn newest_listed(&self, until: BatchNumber) -> Result<BatchNumber, Status> {
        let filter = BatchFilter {
            cycle: None,
            before: Some(until + 1),
            limit: 1,
        };
        let rows = self.reads.batches(filter).await.map_err(errors::reads)?;
        Ok(rows.first().map_or(0, |row| row.number))
    }

    async fn send_receipts(
        &self,
        reader: Option<Bic>,
        batch: BatchNumber,
        out: mpsc::Sender<Result<v1::GetReceiptResponse, Status>>,
    ) {
        let mut after = Sequence(0);
        loop {
            let page = self
                .reads
                .receipts(reader, batch, after, PAGE_RECEIPTS)
                .await;
            let rows = match page {
                Ok(rows) => rows,
                Err(error) => {
                    // No receiver: nobody is left to be told.
                    let _ = out.send(Err(errors::reads(error))).await;
                    return;
                }
            };
            let full = rows.len() == PAGE_RECEIPTS;
            for row in rows {
                after = row.sequence;
                if out.send(Ok(receipt(row))).await.is_err() {
                    return;
                }
            }
            if !full {
                return;
            }
        }
    }
}

/// Whose account is asked for: one's own, or the one that operator, treasury or auditor name.
fn holder(caller: Caller, participant: &str) -> Result<Bic, Status> {
    let asked = optional("participant", participant, fields::bic)?;
    match (caller, asked) {
        (Caller::Participant(own) | Caller::Agent(own), Some(asked)) if asked != own => {
            Err(errors::denied(format!(
                "{own} reads only its own data, not that of {asked}"
            )))
        }
        (Caller::Participant(own) | Caller::Agent(own), _) => Ok(own),
        (Caller::Operator | Caller::Treasury | Caller::Auditor, Some(asked)) => Ok(asked),
        (Caller::Operator | Caller::Treasury | Caller::Auditor, None) => {
            Err(errors::missing("participant"))
        }
    }
}

fn named(batch: BatchNumber) -> Result<BatchNumber, Status> {
    match batch {
        0 => Err(errors::missing("batch")),
        batch => Ok(batch),
    }
}

fn batch_not_anchored(batch: BatchNumber) -> Status {
    not_anchored(format!("batch {batch} is not anchored yet"))
}

fn not_anchored(why: impl Into<String>) -> Status {
    Failure::new(Code::FailedPrecondition, "NOT_ANCHORED", why).into()
}

fn receipt(row: ReceiptRow) -> v1::GetReceiptResponse {
    v1::GetReceiptResponse {
        uetr: row.uetr.to_string(),
        batch: row.batch,
        receipt: row.text,
    }
}
