//! `LedgerService`: the signed tree head, and receipts that verify offline.

use crate::auth;
use crate::errors::{self, Failure};
use crate::fields::{self, optional};
use crate::gateway::{Call, Gateway, reach, view};
use crate::ports::{Engine, Reads, ReceiptRow};
use settlement_core::ids::{BatchNumber, Bic, Sequence};
use settlement_core::view::{InstructionAnswer, Query};
use tokio::sync::mpsc;
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
        if !request.wait {
            return Err(not_anchored(
                "not settled and anchored yet; ask with wait, or later",
            ));
        }
        let mut anchored = self.reads.anchored();
        let awaited = async {
            loop {
                anchored.borrow_and_update();
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
        if request.batch == 0 {
            return Err(errors::missing("batch"));
        }
        self.anchored(call, request.batch, request.wait).await?;
        let (out, outgoing) = mpsc::channel(PAGE_RECEIPTS);
        let gateway = self.clone();
        tokio::spawn(async move { gateway.send_receipts(reader, request.batch, out).await });
        Ok(Response::new(ReceiverStream::new(outgoing)))
    }
}

impl<E: Engine, R: Reads> Gateway<E, R> {
    async fn receipt(&self, instruction: Sequence) -> Result<Option<ReceiptRow>, Status> {
        self.reads.receipt(instruction).await.map_err(errors::reads)
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

    /// Waits until a batch is anchored, or says that it is not.
    pub(crate) async fn anchored(
        &self,
        call: Call,
        batch: BatchNumber,
        wait: bool,
    ) -> Result<(), Status> {
        let mut anchored = self.reads.anchored();
        if *anchored.borrow_and_update() >= batch {
            return Ok(());
        }
        if !wait {
            return Err(not_anchored(format!("batch {batch} is not anchored yet")));
        }
        reach(&mut anchored, batch, call.deadline, "the ledger")
            .await
            .map(drop)
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
