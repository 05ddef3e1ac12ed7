//! Receipts and other proofs: of what is anchored, and never of less than was asked for.

use super::payment::submit;
use super::*;
use crate::gateway::STRANGERS_PROOFS_MAX;
use settlement_core::view::{Statistics, View};
use std::time::Duration;
use tokio::task::JoinHandle;
use tokio_stream::StreamExt;

const LOOK_EVERY: Duration = Duration::from_millis(1);

fn receipt(wait: bool) -> v1::GetReceiptRequest {
    v1::GetReceiptRequest {
        uetr: payment(1).uetr,
        wait,
        ..Default::default()
    }
}

fn balance(batch: u64, wait: bool) -> v1::GetBalanceProofRequest {
    v1::GetBalanceProofRequest {
        participant: String::new(),
        asset: "USD".into(),
        batch,
        wait,
    }
}

/// The batch whose balance is proved, or why none is.
async fn proved(rig: &Rig, request: v1::GetBalanceProofRequest) -> Result<u64, String> {
    let answer = rig.ledger().get_balance_proof(by(TOKEN_A, request)).await;
    let answer = answer.map_err(|status| shown(&status))?;
    Ok(answer.into_inner().batch)
}

/// Until the call waits for the read model. It is answered only after that.
async fn waits_for_the_read_model<T>(rig: &Rig, call: &JoinHandle<T>) {
    waits(|| rig.double.awaiting_projection(), call).await;
}

async fn waits<T>(awaiting: impl Fn() -> usize, call: &JoinHandle<T>) {
    while awaiting() == 0 {
        assert!(!call.is_finished(), "it did not wait");
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

#[tokio::test]
async fn a_receipt_waits_for_its_anchor() {
    let rig = Rig::start().await;
    submit(&rig, TOKEN_A, payment(1)).await.unwrap();
    let early = rig.ledger().get_receipt(by(TOKEN_B, receipt(false))).await;
    let status = early.unwrap_err();
    assert_eq!(shown(&status), "FailedPrecondition NOT_ANCHORED -");
    let waiting = tokio::spawn({
        let mut client = rig.ledger();
        async move { client.get_receipt(by(TOKEN_B, receipt(true))).await }
    });
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert!(!waiting.is_finished());
    rig.double.list_batches_to(1);
    rig.double.anchor(1);
    let receipt = waiting.await.unwrap().unwrap().into_inner();
    assert_eq!((receipt.batch, receipt.receipt.as_str()), (1, "receipt 1"));
    let checkpoint = rig
        .ledger()
        .get_checkpoint(v1::GetCheckpointRequest {})
        .await;
    assert_eq!(
        shown(&checkpoint.unwrap_err()),
        "FailedPrecondition NOT_ANCHORED -",
        "and needs no token"
    );
}

/// Otherwise it would come with the next batch's anchor, or not at all.
#[tokio::test]
async fn a_receipt_waits_for_the_read_model_too() {
    let rig = Rig::start().await;
    submit(&rig, TOKEN_A, payment(1)).await.unwrap();
    rig.double.anchor(1);
    let waiting = tokio::spawn({
        let mut client = rig.ledger();
        async move { client.get_receipt(by(TOKEN_B, receipt(true))).await }
    });
    waits_for_the_read_model(&rig, &waiting).await;
    rig.double.list_batches_to(1);
    assert_eq!(waiting.await.unwrap().unwrap().into_inner().batch, 1);
}

#[tokio::test]
async fn a_balance_is_of_the_newest_batch_that_was_asked_for() {
    let rig = Arc::new(Rig::start().await);
    rig.double.list_batches_to(1);
    rig.double.anchor(2);
    let behind = Err("Unavailable READS_UNAVAILABLE -".to_owned());
    for (batch, expected) in [(0, &behind), (1, &Ok(1)), (2, &behind)] {
        let found = proved(&rig, balance(batch, false)).await;
        assert_eq!(found, *expected, "up to {batch}");
    }
    // The second one has closed, and is not anchored yet.
    let counts = Statistics {
        batches: 2,
        ..Statistics::default()
    };
    rig.double.show(View::Statistics(counts));
    rig.double.anchor(1);
    assert_eq!(proved(&rig, balance(0, false)).await, Ok(1));
    let waiting = tokio::spawn({
        let rig = Arc::clone(&rig);
        async move { proved(&rig, balance(0, true)).await }
    });
    waits(|| rig.double.awaiting_anchor(), &waiting).await;
    rig.double.list_batches_to(2);
    rig.double.anchor(2);
    assert_eq!(waiting.await.unwrap(), Ok(2));
    for batch in [0, 2] {
        rig.double.list_batches_to(1);
        let waiting = tokio::spawn({
            let rig = Arc::clone(&rig);
            async move { proved(&rig, balance(batch, true)).await }
        });
        waits_for_the_read_model(&rig, &waiting).await;
        rig.double.list_batches_to(2);
        assert_eq!(waiting.await.unwrap(), Ok(2), "up to {batch}");
    }
}

#[tokio::test]
async fn what_is_listed_of_a_batch_is_all_of_it() {
    let rig = Rig::start().await;
    for n in 1..=3 {
        submit(&rig, TOKEN_A, payment(n)).await.unwrap();
    }
    rig.double.anchor(1);
    let request = |wait| by(TOKEN_A, v1::ListReceiptsRequest { batch: 1, wait });
    let early = rig.ledger().list_receipts(request(false)).await;
    assert_eq!(
        shown(&early.unwrap_err()),
        "Unavailable READS_UNAVAILABLE -"
    );
    let waiting = tokio::spawn({
        let mut client = rig.ledger();
        let request = request(true);
        async move { client.list_receipts(request).await }
    });
    waits_for_the_read_model(&rig, &waiting).await;
    rig.double.list_batches_to(1);
    let receipts = waiting.await.unwrap().unwrap().into_inner();
    assert_eq!(receipts.collect::<Vec<_>>().await.len(), 3);
}

#[tokio::test]
async fn a_batch_that_is_waited_for_is_found() {
    let rig = Rig::start().await;
    rig.double.anchor(1);
    let request = v1::GetBatchRequest {
        batch: 1,
        wait: true,
    };
    let waiting = tokio::spawn({
        let mut client = rig.settlement();
        async move { client.get_batch(by(TOKEN_A, request)).await }
    });
    waits_for_the_read_model(&rig, &waiting).await;
    rig.double.list_batches_to(1);
    let found = waiting.await.unwrap().unwrap().into_inner();
    assert_eq!(found.batch.unwrap().number, 1);
}

/// Callers without a token have a few places, which they keep if they go away; others are not counted.
#[tokio::test]
async fn strangers_cannot_keep_the_ledger_reading() {
    let rig = Rig::start().await;
    rig.double.anchor(1);
    rig.double.hold_proofs(true);
    let request = || Request::new(v1::GetConservationProofRequest { batch: 1 });
    let ask = |request| {
        let mut client = rig.ledger();
        tokio::spawn(async move { client.get_conservation_proof(request).await })
    };
    let held = async |count| {
        while rig.double.proofs_held() < count {
            tokio::time::sleep(LOOK_EVERY).await;
        }
    };
    let mut strangers: Vec<_> = (0..STRANGERS_PROOFS_MAX).map(|_| ask(request())).collect();
    held(STRANGERS_PROOFS_MAX).await;
    let gone = strangers.pop().unwrap();
    gone.abort();
    gone.await.unwrap_err();
    let refused = ask(request()).await.unwrap().unwrap_err();
    assert_eq!(shown(&refused), "ResourceExhausted BUSY -");
    let unknown = ask(by("vt_unknown", *request().get_ref())).await;
    let unknown = unknown.unwrap().unwrap_err();
    assert_eq!(shown(&unknown), "Unauthenticated TOKEN_UNKNOWN -");
    strangers.push(ask(by(TOKEN_A, *request().get_ref())));
    held(STRANGERS_PROOFS_MAX + 1).await;

    rig.double.hold_proofs(false);
    for answered in strangers {
        answered.await.unwrap().unwrap();
    }
    while rig.double.proofs_held() > 0 {
        tokio::time::sleep(LOOK_EVERY).await;
    }
    ask(request()).await.unwrap().unwrap();
}
