//! Writes: what they carry to the core, and how refusals come back.

use super::*;
use crate::testing::{asset, empty_scheme};
use settlement_core::command::{Action, AssetLine, MovementKind, Refusal};
use settlement_core::ids::{CycleName, Timestamp};
use settlement_core::rejection::Rejection;
use settlement_core::risk::Model;
use settlement_core::view::{CycleState, CycleView, SchemeView, View};

fn cycle_view(state: CycleState) -> CycleView {
    CycleView {
        name: CycleName::parse("2026-11-20/1").unwrap(),
        model: Model::default(),
        state,
        cut_off: Timestamp(0),
        pay_in_deadline: Timestamp(0),
        completion_deadline: Timestamp(0),
        members: 0,
        settled: 0,
        held: 0,
        left_behind: 0,
        schedule_version: 0,
        schedule_reason: String::new(),
        positions: Vec::new(),
        totals: Vec::new(),
        bilateral: Vec::new(),
        efficiency: (17, 26),
        gross_value: 0,
        net_value: 0,
        base_asset: asset("USD", 2),
        batches: Vec::new(),
        calendar_version: Default::default(),
        cut_offs: Vec::new(),
    }
}

fn step(request_id: &str) -> v1::CycleRequest {
    v1::CycleRequest {
        cycle: "2026-11-20/1".into(),
        created: None,
        request_id: request_id.into(),
    }
}

#[tokio::test]
async fn a_digest_is_of_the_method_and_the_content_only() {
    let rig = Rig::start().await;
    rig.double
        .show(View::Cycle(Some(Box::new(cycle_view(CycleState::Closed)))));
    let close = async |request: v1::CycleRequest| {
        rig.settlement()
            .close_cycle(by(TOKEN_OPERATOR, request))
            .await
            .unwrap();
        rig.double.last_command()
    };
    let first = close(step("r1")).await;
    assert_eq!(first.caller, Caller::Operator);
    assert_eq!(first.request_id.as_str(), "r1");
    assert_eq!(
        first.created,
        Timestamp(1_795_190_400_000),
        "the engine's time, if the caller gives none"
    );
    let created = Some(prost_types::Timestamp {
        seconds: 5,
        nanos: 0,
    });
    let later = close(v1::CycleRequest {
        created,
        ..step("r2")
    })
    .await;
    assert_eq!(later.created, Timestamp(5_000));
    assert_eq!(later.digest, first.digest);
    let other = close(v1::CycleRequest {
        cycle: "2026-11-20/2".into(),
        ..step("r1")
    })
    .await;
    assert_ne!(other.digest, first.digest);
    rig.settlement()
        .net_cycle(by(TOKEN_OPERATOR, step("r1")))
        .await
        .unwrap();
    assert_ne!(
        rig.double.last_command().digest,
        first.digest,
        "another method, the same message"
    );
}

#[tokio::test]
async fn faults_of_a_request_name_the_field() {
    let rig = Rig::start().await;
    let check = async |expected: &str, request: v1::CycleRequest| {
        let status = rig
            .settlement()
            .close_cycle(by(TOKEN_OPERATOR, request))
            .await
            .unwrap_err();
        assert_eq!(shown(&status), expected);
    };
    check("InvalidArgument FIELD_MISSING request_id", step("")).await;
    check(
        "InvalidArgument FIELD_INVALID request_id",
        step(&"r".repeat(36)),
    )
    .await;
    check(
        "InvalidArgument FIELD_MISSING cycle",
        v1::CycleRequest {
            cycle: String::new(),
            ..step("r")
        },
    )
    .await;
    check(
        "InvalidArgument FIELD_INVALID cycle",
        v1::CycleRequest {
            cycle: "1".into(),
            ..step("r")
        },
    )
    .await;
    let created = Some(prost_types::Timestamp {
        seconds: 0,
        nanos: -1,
    });
    check(
        "InvalidArgument FIELD_INVALID created",
        v1::CycleRequest {
            created,
            ..step("r")
        },
    )
    .await;
    let refusal = Refusal::TooEarly {
        what: "close".to_owned(),
        not_before: Timestamp(0),
    };
    rig.double.refuse(Some(refusal));
    check("FailedPrecondition TOO_EARLY -", step("r")).await;
    rig.double
        .refuse(Some(Refusal::NotPermitted("only the operator".into())));
    check("PermissionDenied NOT_PERMITTED -", step("r")).await;
}

#[tokio::test]
async fn settling_waits_for_the_run() {
    let rig = Rig::start().await;
    let running = CycleView {
        members: 3,
        settled: 1,
        ..cycle_view(CycleState::Settling)
    };
    rig.double
        .show(View::Cycle(Some(Box::new(running.clone()))));
    let waiting = tokio::spawn({
        let mut client = rig.settlement();
        async move { client.settle_cycle(by(TOKEN_OPERATOR, step("s"))).await }
    });
    tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    assert!(!waiting.is_finished());
    let ran = CycleView {
        left_behind: 2,
        ..running
    };
    rig.double.show(View::Cycle(Some(Box::new(ran))));
    rig.double.make_durable(1);
    let cycle = waiting.await.unwrap().unwrap().into_inner().cycle.unwrap();
    assert_eq!((cycle.settled, cycle.left_behind), (1, 2));
    assert_eq!(
        (
            cycle.efficiency_numerator.as_str(),
            cycle.efficiency_denominator.as_str()
        ),
        ("17", "26")
    );
}

#[tokio::test]
async fn a_movement_leaves_bad_amounts_to_the_core() {
    let rig = Rig::start().await;
    let request = v1::RecordMovementRequest {
        request_id: "m".into(),
        kind: v1::MovementKind::PayIn as i32,
        participant: BANK_A.into(),
        asset: "usd".into(),
        amount: "-1.50".into(),
        cycle: "2026-11-20/1".into(),
        created: None,
    };
    let record = async |request| {
        rig.settlement()
            .record_movement(by(TOKEN_AGENT, request))
            .await
    };
    let done = record(request.clone()).await.unwrap().into_inner();
    assert_eq!(done.status(), v1::Status::Acsc);
    let Action::Move(movement) = rig.double.last_command().action else {
        unreachable!()
    };
    assert_eq!(movement.kind, MovementKind::PayIn);
    assert_eq!(movement.asset, None);
    assert_eq!(
        (movement.mantissa, movement.scale, movement.negative),
        (Some(150), 2, true)
    );

    rig.double
        .refuse(Some(Refusal::Rejected(Rejection::AmountInvalid { leg: 0 })));
    let refused = record(request.clone()).await.unwrap().into_inner();
    assert_eq!(refused.status(), v1::Status::Rjct);
    let rejection = refused.rejection.unwrap();
    assert_eq!(
        (rejection.code.as_str(), rejection.field.as_str()),
        ("AM12", "amount")
    );

    let check = async |expected: &str, request| {
        assert_eq!(shown(&record(request).await.unwrap_err()), expected);
    };
    let no_cycle = v1::RecordMovementRequest {
        cycle: String::new(),
        ..request.clone()
    };
    check("InvalidArgument FIELD_MISSING cycle", no_cycle).await;
    let deposit = v1::RecordMovementRequest {
        kind: v1::MovementKind::Deposit as i32,
        ..request.clone()
    };
    check("InvalidArgument FIELD_INVALID cycle", deposit).await;
    check(
        "InvalidArgument FIELD_MISSING kind",
        v1::RecordMovementRequest { kind: 0, ..request },
    )
    .await;
}

#[tokio::test]
async fn a_token_is_answered_once() {
    let rig = Rig::start().await;
    let request = v1::CreateTokenRequest {
        request_id: "t".into(),
        role: v1::Role::Participant as i32,
        bic: BANK_B.into(),
        label: "b-main".into(),
        created: None,
    };
    let create = async |request| rig.admin().create_token(by(TOKEN_OPERATOR, request)).await;
    let token = create(request.clone()).await.unwrap().into_inner().token;
    let first = rig.double.last_command();
    let Action::CreateToken(stored) = first.action else {
        unreachable!()
    };
    assert_eq!(stored.hash, crate::auth::token_hash(&token));
    assert_eq!(stored.caller, Caller::Participant(bic(BANK_B)));
    rig.double.repeat(true);
    let status = create(request.clone()).await.unwrap_err();
    assert_eq!(
        shown(&status),
        "AlreadyExists TOKEN_ANSWERED_ONCE request_id"
    );
    assert_eq!(
        rig.double.last_command().digest,
        first.digest,
        "the digest knows nothing of the token"
    );
    let check = async |expected: &str, change: fn(&mut v1::CreateTokenRequest)| {
        let mut request = request.clone();
        change(&mut request);
        assert_eq!(shown(&create(request).await.unwrap_err()), expected);
    };
    check("InvalidArgument FIELD_MISSING role", |r| r.role = 0).await;
    check("InvalidArgument FIELD_MISSING bic", |r| r.bic.clear()).await;
    check("InvalidArgument FIELD_INVALID bic", |r| {
        r.role = v1::Role::Operator as i32
    })
    .await;
    check("InvalidArgument FIELD_MISSING label", |r| r.label.clear()).await;
}

#[tokio::test]
async fn limits_and_quotes_use_the_assets_decimals() {
    let rig = Rig::start().await;
    let jpy = AssetLine {
        code: asset("JPY", 0).code,
        decimals: 0,
        agent: bic("BOJPJPJT"),
        enabled: true,
    };
    let usd = AssetLine {
        code: asset("USD", 2).code,
        decimals: 2,
        ..jpy
    };
    let scheme = SchemeView {
        assets: vec![jpy, usd],
        ..empty_scheme()
    };
    rig.double.show(View::Scheme(Box::new(scheme)));
    let set = async |asset: &str, amount: &str| {
        let limit = v1::Limit {
            participant: BANK_A.into(),
            asset: asset.into(),
            counterparty: String::new(),
            amount: amount.into(),
        };
        let request = v1::SetLimitRequest {
            request_id: "l".into(),
            created: None,
            limit: Some(limit),
        };
        let done = rig.admin().set_limit(by(TOKEN_OPERATOR, request)).await;
        done.map(|_| rig.double.last_command().action)
    };
    let amount = |action| match action {
        Action::SetLimit(line) => line.amount,
        _ => unreachable!(),
    };
    assert_eq!(amount(set("USD", "1.5").await.unwrap()), Some(150));
    assert_eq!(amount(set("JPY", "15").await.unwrap()), Some(15));
    assert_eq!(amount(set("JPY", "").await.unwrap()), None);
    let shown_of = |result: Result<Action, Status>| shown(&result.unwrap_err());
    assert_eq!(
        shown_of(set("JPY", "1.5").await),
        "InvalidArgument FIELD_INVALID limit.amount"
    );
    assert_eq!(
        shown_of(set("EUR", "1").await),
        "NotFound NOT_FOUND limit.asset"
    );

    let quote = v1::LockQuoteRequest {
        request_id: "q".into(),
        quote_id: "Q-1".into(),
        taker: BANK_A.into(),
        source_asset: "USD".into(),
        target_asset: "JPY".into(),
        fixed_side: v1::FixedSide::Target as i32,
        amount: "0.5".into(),
        ..Default::default()
    };
    let status = rig.fx().lock_quote(by(TOKEN_B, quote)).await.unwrap_err();
    assert_eq!(shown(&status), "InvalidArgument FIELD_INVALID amount");
}

#[tokio::test]
async fn an_empty_list_is_only_of_a_cycle_that_is_there() {
    let rig = Rig::start().await;
    rig.double
        .show(View::Cycles(vec![cycle_view(CycleState::Settling)]));
    let list = async |cycle: &str| {
        let request = v1::ListUnsettledRequest {
            cycle: cycle.into(),
            ..Default::default()
        };
        let answer = rig
            .settlement()
            .list_unsettled(by(TOKEN_OPERATOR, request))
            .await;
        answer.map(|answer| answer.into_inner().unsettled.len())
    };
    assert_eq!(list("2026-11-20/1").await.unwrap(), 0);
    let status = list("2026-11-20/2").await.unwrap_err();
    assert_eq!(shown(&status), "NotFound NOT_FOUND cycle");
}
