//! Reads that cannot be answered: each says which field, and why.

use crate::support::{A, CYCLE, Town, changed, outcome};
use tonic::Request;
use valuta_proto::v1;
use valuta_tests::scheme::uetr_text;

/// Sends each change of a good request, and compares the failure in words.
macro_rules! check {
    ($caller:expr, $service:ident.$method:ident, $good:expr, [$($expected:literal, $change:expr;)*]) => {{
        let mut client = $caller;
        $({
            let request = changed($good, $change);
            let answer = client.$service.$method(request.clone()).await;
            assert_eq!(outcome(&answer), $expected, "{request:?}");
        })*
    }};
}

#[tokio::test]
async fn a_read_names_its_field() {
    let town = Town::funded().await;
    let bank = town.client(A).await;
    let get = || v1::GetInstructionRequest {
        uetr: uetr_text(1),
        min_sequence: 0,
    };
    check!(bank.clone(), payments.get_instruction, get(), [
        "InvalidArgument FIELD_MISSING uetr -", |r| r.uetr.clear();
        "InvalidArgument FIELD_INVALID uetr -", |r| r.uetr.push('0');
        "NotFound NOT_FOUND uetr -", |_| {};
    ]);
    check!(bank.clone(), payments.list_instructions, v1::ListInstructionsRequest::default(), [
        "ok", |_| {};
        "ok", |r| r.page_size = i32::MAX;
        "InvalidArgument FIELD_INVALID page_size -", |r| r.page_size = -1;
        "InvalidArgument FIELD_INVALID page_token -", |r| r.page_token = "7".into();
        "InvalidArgument FIELD_INVALID page_token -", |r| r.page_token = "/".repeat(5_000);
        "InvalidArgument FIELD_INVALID status -", |r| r.status = 7;
        "InvalidArgument FIELD_INVALID lane -", |r| r.lane = 3;
        "InvalidArgument FIELD_INVALID kind -", |r| r.kind = -1;
        "InvalidArgument FIELD_INVALID value_date -", |r| r.value_date = "today".into();
        "InvalidArgument FIELD_INVALID asset -", |r| r.asset = "usd".into();
        "InvalidArgument FIELD_INVALID counterparty -", |r| r.counterparty = "B".into();
        "InvalidArgument FIELD_INVALID cycle -", |r| r.cycle = "1".into();
        "InvalidArgument FIELD_INVALID participant -", |r| r.participant = "%".into();
        "ok", |r| r.participant = "AAAAUS33".into();
        "PermissionDenied NOT_PERMITTED - -", |r| r.participant = "BBBBDEFF".into();
    ]);
    check!(bank.clone(), payments.watch_instructions, v1::WatchInstructionsRequest::default(), [
        "InvalidArgument FIELD_INVALID resume_token -", |r| r.resume_token = "x".into();
        "InvalidArgument FIELD_INVALID resume_token -", |r| r.resume_token = "999999999.0".into();
    ]);
    check!(bank.clone(), payments.receive, v1::ReceiveRequest::default(), [
        "InvalidArgument FIELD_INVALID after_position -", |r| r.after_position = "-1.0".into();
    ]);
    check!(bank.clone(), settlement.get_cycle, v1::GetCycleRequest::default(), [
        "InvalidArgument FIELD_MISSING cycle -", |_| {};
        "InvalidArgument FIELD_INVALID cycle -", |r| r.cycle = "2026-11-20/x".into();
        "NotFound NOT_FOUND cycle -", |r| r.cycle = "2026-11-20/2".into();
        "ok", |r| r.cycle = CYCLE.into();
    ]);
    check!(bank.clone(), settlement.list_unsettled, v1::ListUnsettledRequest::default(), [
        "InvalidArgument FIELD_MISSING cycle -", |_| {};
        "NotFound NOT_FOUND cycle -", |r| r.cycle = "2026-11-20/2".into();
    ]);
    check!(bank.clone(), settlement.get_batch, v1::GetBatchRequest::default(), [
        "InvalidArgument FIELD_MISSING batch -", |_| {};
        "NotFound NOT_FOUND batch -", |r| r.batch = 77;
        "NotFound NOT_FOUND batch -", |r| r.batch = u64::MAX;
    ]);
    check!(bank.clone(), settlement.list_batches, v1::ListBatchesRequest::default(), [
        "InvalidArgument FIELD_INVALID cycle -", |r| r.cycle = "x".into();
        "InvalidArgument FIELD_INVALID page_token -", |r| r.page_token = "x".into();
    ]);
    check!(bank.clone(), fx.get_quote, v1::GetQuoteRequest::default(), [
        "InvalidArgument FIELD_MISSING provider -", |_| {};
        "InvalidArgument FIELD_MISSING quote_id -", |r| r.provider = "BBBBDEFF".into();
        "NotFound NOT_FOUND quote_id -", |r| {
            r.provider = "BBBBDEFF".into();
            r.quote_id = "none".into();
        };
    ]);
    check!(bank.clone(), treasury.get_positions, v1::GetPositionsRequest::default(), [
        "ok", |_| {};
        "InvalidArgument FIELD_INVALID participant -", |r| r.participant = "B".into();
    ]);
    check!(bank.clone(), ledger.get_receipt, v1::GetReceiptRequest::default(), [
        "InvalidArgument FIELD_MISSING uetr -", |_| {};
        "NotFound NOT_FOUND uetr -", |r| r.uetr = uetr_text(1);
        "InvalidArgument FIELD_INVALID kind -", |r| {
            r.uetr = uetr_text(1);
            r.kind = 9;
        };
    ]);
    check!(bank, ledger.list_receipts, v1::ListReceiptsRequest::default(), [
        "InvalidArgument FIELD_MISSING batch -", |_| {};
        "FailedPrecondition NOT_ANCHORED - -", |r| r.batch = 77;
    ]);
}

/// A read that waits for what does not come ends at its own deadline, with our words.
#[tokio::test]
async fn a_wait_ends_at_its_deadline() {
    let town = Town::start().await;
    let mut client = town.operator();
    let mut request = Request::new(v1::GetPositionsRequest {
        min_sequence: u64::MAX,
        ..Default::default()
    });
    // The header alone: the client itself does not time out. The transport would say `Cancelled` then.
    request
        .metadata_mut()
        .insert("grpc-timeout", "2S".parse().unwrap());
    let answer = client.treasury.get_positions(request).await;
    assert_eq!(
        answer.as_ref().unwrap_err().code(),
        tonic::Code::DeadlineExceeded,
        "{answer:?}"
    );
    let mut request = Request::new(v1::ListInstructionsRequest {
        min_sequence: u64::MAX,
        ..Default::default()
    });
    request
        .metadata_mut()
        .insert("grpc-timeout", "2S".parse().unwrap());
    let answer = client.payments.list_instructions(request).await;
    assert_eq!(
        answer.as_ref().unwrap_err().code(),
        tonic::Code::DeadlineExceeded,
        "{answer:?}"
    );
}
