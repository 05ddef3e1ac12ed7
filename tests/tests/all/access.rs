//! Who may call what, and who sees whose data.

mod methods;

use crate::support::{
    A, B, C, CYCLE, D, Town, call_raw, failure, movement_request, outcome, submit,
};
use methods::methods;
use std::time::Duration;
use tonic::Code;
use valuta_proto::v1;
use valuta_tests::scheme::{MORNING_MS, payment, uetr_text};

/// The roles' callers, in the order of the table's letters: an auditor's is U.
const CALLERS: [(char, &str); 5] = [
    ('P', A),
    ('A', "FRNYUS33"),
    ('O', "OPERATOR"),
    ('T', "TREASURY"),
    ('U', "AUDITOR"),
];

/// What a refused token gets is `UNAUTHENTICATED`; a watch that goes on was let in.
async fn call(town: &Town, caller: &str, method: &(&str, &str, Vec<u8>, &str)) -> String {
    let (service, name, message, _) = method;
    let called = call_raw(town, caller, service, name, message.clone());
    match tokio::time::timeout(Duration::from_millis(300), called).await {
        Ok(answer) => outcome(&answer),
        Err(_) => "waits".to_owned(),
    }
}

/// A town with one settled payment, one quote, and the tokens of the table.
async fn town() -> Town {
    let mut town = Town::funded().await;
    let operator = town.world.server.operator_token().unwrap();
    town.world.tokens.insert("OPERATOR".to_owned(), operator);
    let mut client = town.client(A).await;
    assert_eq!(
        submit(&mut client, payment(1, A, B, "10.00", "USD")).await,
        "ACSC"
    );
    let mut waiting = payment(2, A, B, "10.00", "USD");
    waiting.lane = v1::Lane::Net.into();
    assert_eq!(submit(&mut client, waiting).await, format!("ACTC {CYCLE}"));
    town.lock_quote("Q").await;
    town.set_time(MORNING_MS + 500).await;
    town
}

#[tokio::test]
async fn each_method_is_for_its_roles() {
    let town = town().await;
    let mut wrong = Vec::new();
    for method in methods() {
        for (role, caller) in CALLERS {
            let words = call(&town, caller, &method).await;
            let denied = words.starts_with("PermissionDenied NOT_PERMITTED");
            let allowed = !denied && !words.starts_with("Unauthenticated");
            if allowed != method.3.contains(role) {
                wrong.push(format!("{}.{} as {role}: {words}", method.0, method.1));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[tokio::test]
async fn without_a_good_token_nothing_is_answered() {
    let mut town = town().await;
    town.world
        .tokens
        .insert("WRONG".to_owned(), "vt_wrong".to_owned());
    town.world.tokens.insert("NONE".to_owned(), String::new());
    let revoked = town.world.tokens[C].clone();
    town.world.tokens.insert("REVOKED".to_owned(), revoked);
    let revoke = v1::RevokeTokenRequest {
        request_id: town.request_id(),
        created: None,
        label: C.to_owned(),
    };
    town.operator().admin.revoke_token(revoke).await.unwrap();
    for method in methods() {
        for caller in ["WRONG", "NONE", "REVOKED"] {
            let words = call(&town, caller, &method).await;
            assert!(
                words.starts_with("Unauthenticated TOKEN_"),
                "{}: {caller}: {words}",
                method.1
            );
        }
    }
    // No header at all.
    let channel =
        tonic::transport::Endpoint::from_shared(format!("http://{}", town.world.server.address))
            .unwrap()
            .connect()
            .await
            .unwrap();
    let mut admin = v1::admin_service_client::AdminServiceClient::new(channel.clone());
    let status = admin.get_status(v1::GetStatusRequest {}).await.unwrap_err();
    assert_eq!(failure(&status), "Unauthenticated TOKEN_MISSING - -");
    let mut ledger = v1::ledger_service_client::LedgerServiceClient::new(channel);
    let checkpoint = ledger.get_checkpoint(v1::GetCheckpointRequest {}).await;
    assert_eq!(
        outcome(&checkpoint),
        "ok",
        "a checkpoint is there to be compared"
    );
}

/// A stream that a revoked token has opened before is not served on with new requests for ever: at the
/// least every new call is refused.
#[tokio::test]
async fn a_revoked_token_stays_revoked_after_a_restart() {
    let mut town = town().await;
    let revoke = v1::RevokeTokenRequest {
        request_id: town.request_id(),
        created: None,
        label: C.to_owned(),
    };
    town.operator().admin.revoke_token(revoke).await.unwrap();
    town.restart().await;
    let mut client = town.client(C).await;
    let status = client
        .admin
        .get_scheme(v1::GetSchemeRequest::default())
        .await
        .unwrap_err();
    assert_eq!(failure(&status), "Unauthenticated TOKEN_UNKNOWN - -");
    let mut client = town.client(A).await;
    assert_eq!(
        outcome(
            &client
                .admin
                .get_scheme(v1::GetSchemeRequest::default())
                .await
        ),
        "ok"
    );
}

#[tokio::test]
async fn a_bank_sees_its_own_alone() {
    let town = town().await;
    let mut client = town.client(C).await;
    let get = v1::GetInstructionRequest {
        uetr: uetr_text(1),
        min_sequence: 0,
    };
    let answer = client.payments.get_instruction(get).await;
    assert_eq!(outcome(&answer), "NotFound NOT_FOUND uetr -");
    let sequence = town
        .operator()
        .admin
        .get_status(v1::GetStatusRequest {})
        .await
        .unwrap()
        .into_inner()
        .sequence;
    let list = v1::ListInstructionsRequest {
        min_sequence: sequence,
        ..Default::default()
    };
    for (bic, count) in [(A, 2), (B, 2), (C, 0), (D, 0), ("TREASURY", 2)] {
        let answer = town
            .client(bic)
            .await
            .payments
            .list_instructions(list.clone())
            .await;
        assert_eq!(
            answer.unwrap().into_inner().instructions.len(),
            count,
            "{bic}"
        );
    }
    let positions = client
        .treasury
        .get_positions(v1::GetPositionsRequest::default())
        .await
        .unwrap();
    let positions = positions.into_inner().positions;
    assert_eq!(positions.len(), 4);
    assert!(
        positions.iter().all(|position| position.participant == C),
        "{positions:?}"
    );
    let other = v1::GetPositionsRequest {
        participant: A.to_owned(),
        min_sequence: 0,
    };
    let answer = client.treasury.get_positions(other.clone()).await;
    assert_eq!(outcome(&answer), "PermissionDenied NOT_PERMITTED - -");
    let answer = client.treasury.watch_positions(other).await;
    assert_eq!(outcome(&answer), "PermissionDenied NOT_PERMITTED - -");

    let quote = v1::GetQuoteRequest {
        provider: B.to_owned(),
        quote_id: "Q".to_owned(),
        min_sequence: 0,
    };
    for (bic, expected) in [
        (A, "ok"),
        (B, "ok"),
        (C, "NotFound NOT_FOUND quote_id -"),
        ("TREASURY", "ok"),
    ] {
        let answer = town.client(bic).await.fx.get_quote(quote.clone()).await;
        assert_eq!(outcome(&answer), expected, "{bic}");
    }
    let receipt = v1::GetReceiptRequest {
        uetr: uetr_text(1),
        wait: true,
        ..Default::default()
    };
    for (bic, expected) in [
        (A, "ok"),
        (B, "ok"),
        (C, "NotFound NOT_FOUND uetr -"),
        ("TREASURY", "ok"),
    ] {
        let answer = town
            .client(bic)
            .await
            .ledger
            .get_receipt(receipt.clone())
            .await;
        assert_eq!(outcome(&answer), expected, "{bic}");
    }
    let scheme = client
        .admin
        .get_scheme(v1::GetSchemeRequest::default())
        .await
        .unwrap()
        .into_inner();
    let accounts = scheme.scheme.unwrap().accounts;
    assert!(
        accounts.iter().all(|account| account.participant == C),
        "{accounts:?}"
    );
    let batch = v1::GetBatchRequest {
        batch: 1,
        wait: true,
    };
    let postings = client
        .settlement
        .get_batch(batch)
        .await
        .unwrap()
        .into_inner()
        .batch
        .unwrap()
        .postings;
    assert!(
        postings.iter().all(|posting| posting.participant == C),
        "{postings:?}"
    );
}

#[tokio::test]
async fn a_cycle_shows_a_bank_its_own_rows() {
    let town = town().await;
    town.set_time(crate::support::CUT_OFF_MS).await;
    town.step(crate::support::Step::Close, CYCLE).await;
    let all = town.step(crate::support::Step::Net, CYCLE).await;
    assert_eq!(
        (all.positions.len(), all.bilateral.len()),
        (2, 1),
        "a net has two sides: {all:?}"
    );
    for (bic, count) in [(A, 1), (B, 1), (C, 0)] {
        let get = v1::GetCycleRequest {
            cycle: CYCLE.to_owned(),
            min_sequence: 0,
        };
        let cycle = town
            .client(bic)
            .await
            .settlement
            .get_cycle(get)
            .await
            .unwrap()
            .into_inner()
            .cycle
            .unwrap();
        assert_eq!(
            (cycle.positions.len(), cycle.bilateral.len()),
            (count, count),
            "{bic} {cycle:?}"
        );
        assert!(
            cycle
                .positions
                .iter()
                .all(|position| position.participant == bic)
        );
        assert!(cycle.bilateral.iter().all(|net| net.participant == bic));
    }
    town.set_time(crate::support::PAY_IN_MS).await;
    town.step(crate::support::Step::Settle, CYCLE).await;
    for (name, count) in [(A, 1), (B, 1), (C, 0), ("TREASURY", 1)] {
        let list = v1::ListUnsettledRequest {
            cycle: CYCLE.to_owned(),
            ..Default::default()
        };
        let rows = town
            .client(name)
            .await
            .settlement
            .list_unsettled(list)
            .await
            .unwrap()
            .into_inner()
            .unsettled;
        assert_eq!(rows.len(), count, "{name} {rows:?}");
    }
}

#[tokio::test]
async fn an_agent_confirms_only_its_asset() {
    let town = Town::start().await;
    let before = town.books().await;
    for (agent, asset) in [
        ("FRNYUS33", "EUR"),
        ("ECBFDEFF", "USD"),
        ("BOJPJPJT", "KWD"),
    ] {
        for kind in [v1::MovementKind::Deposit, v1::MovementKind::Withdrawal] {
            let mut request = movement_request(kind, A, "1", asset);
            request.request_id = town.request_id();
            let answer = town
                .client(agent)
                .await
                .settlement
                .record_movement(request)
                .await;
            assert_eq!(
                answer.unwrap_err().code(),
                Code::PermissionDenied,
                "{agent} {asset}"
            );
        }
    }
    // A bank does not move another's money into a fund, nor confirm its own deposit.
    town.open_cycle(CYCLE).await;
    for (kind, cycle) in [
        (v1::MovementKind::Transfer, CYCLE),
        (v1::MovementKind::Deposit, ""),
    ] {
        let mut request = movement_request(kind, B, "1", "USD");
        (request.request_id, request.cycle) = (town.request_id(), cycle.to_owned());
        let answer = town
            .client(A)
            .await
            .settlement
            .record_movement(request)
            .await;
        assert_eq!(outcome(&answer), "PermissionDenied NOT_PERMITTED - -");
    }
    assert_eq!(town.books().await.totals, before.totals);
}
