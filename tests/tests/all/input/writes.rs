//! Every other write: malformed fields, what is not there, the wrong state, and reused request ids.

use crate::support::{
    A, B, C, CYCLE, D, HOUR_MS, Step, Town, changed, outcome, quote_request, rejection_words,
    submit,
};

use valuta_proto::v1;
use valuta_tests::scheme::{MORNING_MS, payment, timestamp, uetr_text};

const DAY_MS: i64 = 24 * HOUR_MS;

/// Sends each change of a good request, compares the failure in words, and the books before and after.
macro_rules! check {
    ($town:expr, $caller:expr, $service:ident.$method:ident, $good:expr, [$($expected:literal, $change:expr;)*]) => {{
        let before = $town.books().await;
        let mut client = $caller;
        $({
            let mut good = $good;
            good.request_id = $town.request_id();
            let request = changed(good, $change);
            let answer = client.$service.$method(request.clone()).await;
            assert_eq!(outcome(&answer), $expected, "{request:?}");
        })*
        assert_eq!($town.books().await, before, "the books have moved");
    }};
}

fn movement(kind: v1::MovementKind) -> v1::RecordMovementRequest {
    v1::RecordMovementRequest {
        request_id: String::new(),
        created: Some(timestamp(MORNING_MS)),
        kind: kind.into(),
        participant: A.to_owned(),
        asset: "USD".to_owned(),
        amount: "10.00".to_owned(),
        cycle: String::new(),
    }
}

#[tokio::test]
async fn a_movement_names_its_field() {
    let town = Town::funded().await;
    let agent = town.client("FRNYUS33").await;
    check!(town, agent, settlement.record_movement, movement(v1::MovementKind::Deposit), [
        "InvalidArgument FIELD_MISSING request_id -", |r| r.request_id.clear();
        "InvalidArgument FIELD_INVALID request_id -", |r| r.request_id = "x".repeat(36);
        "InvalidArgument FIELD_INVALID request_id -", |r| r.request_id = "a\nb".into();
        "InvalidArgument FIELD_MISSING kind -", |r| r.kind = 0;
        "InvalidArgument FIELD_INVALID kind -", |r| r.kind = 6;
        "InvalidArgument FIELD_MISSING participant -", |r| r.participant.clear();
        "InvalidArgument FIELD_INVALID participant -", |r| r.participant = "AAAA".into();
        "InvalidArgument FIELD_INVALID cycle -", |r| r.cycle = "today".into();
        "InvalidArgument FIELD_INVALID cycle -", |r| r.cycle = CYCLE.into();
        "InvalidArgument FIELD_MISSING cycle -", |r| r.kind = v1::MovementKind::PayIn.into();
        "InvalidArgument FIELD_INVALID created -", |r| r.created.as_mut().unwrap().nanos = -5;
        "InvalidArgument CREATED_OUT_OF_RANGE created DT02", |r| r.created = Some(timestamp(MORNING_MS + 300_001));
        "InvalidArgument CREATED_OUT_OF_RANGE created DT02", |r| r.created = Some(timestamp(MORNING_MS - 400 * DAY_MS - 1));
        "PermissionDenied NOT_PERMITTED - -", |r| r.asset = "EUR".into();
        "PermissionDenied NOT_PERMITTED - -", |r| {
            r.kind = v1::MovementKind::Transfer.into();
            r.cycle = CYCLE.into();
        };
    ]);
}

#[tokio::test]
async fn a_movement_has_the_codes_of_a_payment() {
    let town = Town::funded().await;
    let before = town.books().await;
    let mut agent = town.client("FRNYUS33").await;
    use v1::MovementKind::{Deposit, PayIn, PayOut, Withdrawal};
    type Change = fn(&mut v1::RecordMovementRequest);
    let table: &[(&str, v1::MovementKind, Change)] = &[
        ("AM01 AMOUNT_MUST_NOT_BE_ZERO amount", Deposit, |r| {
            r.amount = "0".into()
        }),
        ("AM12 AMOUNT_INVALID amount", Deposit, |r| {
            r.amount = "-1".into()
        }),
        ("AM12 AMOUNT_INVALID amount", Deposit, |r| r.amount.clear()),
        ("AM12 AMOUNT_INVALID amount", Deposit, |r| {
            r.amount = "1e3".into()
        }),
        ("AM12 AMOUNT_INVALID amount", Deposit, |r| {
            r.amount = "99999999999999999.00".into()
        }),
        ("CH20 AMOUNT_HAS_TOO_MANY_DECIMALS amount", Deposit, |r| {
            r.amount = "1.001".into()
        }),
        ("AM11 ASSET_UNKNOWN asset", Deposit, |r| {
            r.asset = "XXX".into()
        }),
        ("AM11 ASSET_UNKNOWN asset", Deposit, |r| r.asset.clear()),
        ("CNOR CREDITOR_UNKNOWN participant", Deposit, |r| {
            r.participant = "ZZZZUS33".into()
        }),
        ("DNOR DEBTOR_UNKNOWN participant", Withdrawal, |r| {
            r.participant = "ZZZZUS33".into()
        }),
        ("AM04 BALANCE_INSUFFICIENT amount", Withdrawal, |r| {
            r.amount = "1000000.01".into()
        }),
        ("NARR CYCLE_NOT_TAKING cycle", PayIn, |r| {
            r.cycle = "2026-11-20/2".into()
        }),
        ("NARR CYCLE_NOT_TAKING cycle", PayOut, |r| {
            r.cycle = CYCLE.into()
        }),
    ];
    for (expected, kind, change) in table {
        let mut request = movement(*kind);
        request.request_id = town.request_id();
        change(&mut request);
        let answer = agent
            .settlement
            .record_movement(request.clone())
            .await
            .unwrap()
            .into_inner();
        assert_eq!(
            (answer.status, answer.sequence),
            (v1::Status::Rjct.into(), 0),
            "{request:?}"
        );
        assert_eq!(
            rejection_words(&answer.rejection.unwrap()),
            *expected,
            "{request:?}"
        );
        // Nothing was journaled, so the corrected request keeps its id.
        let again = v1::RecordMovementRequest {
            request_id: request.request_id,
            ..movement(Deposit)
        };
        assert_eq!(
            outcome(&agent.settlement.record_movement(again.clone()).await),
            "ok"
        );
        let back = movement(Withdrawal);
        let back = v1::RecordMovementRequest {
            request_id: town.request_id(),
            ..back
        };
        assert_eq!(outcome(&agent.settlement.record_movement(back).await), "ok");
    }
    let after = town.books().await;
    assert_eq!(after.positions, before.positions);
}

#[tokio::test]
async fn a_total_has_its_bound() {
    let town = Town::start().await;
    let largest = "999999999999999999";
    for bic in [A, B, C, D] {
        town.deposit(bic, largest, "JPY").await;
    }
    let deposit = v1::MovementKind::Deposit;
    let answer = town.movement(deposit, A, largest, "JPY", "").await;
    assert_eq!(answer, "RJCT AM12 BALANCE_TOO_LARGE amount");
    town.books().await;
    // The largest balances may still move, all to one account.
    for bic in [B, C, D] {
        let all = payment(u128::from(bic.as_bytes()[0]), bic, A, largest, "JPY");
        assert_eq!(submit(&mut town.client(bic).await, all).await, "ACSC");
    }
    assert_eq!(town.books().await.balance(A, "JPY"), "3999999999999999996");
    town.set_time(MORNING_MS + 1_000).await;
    town.books().await;
}

#[tokio::test]
async fn a_quote_names_its_field() {
    let town = Town::funded().await;
    let provider = town.client(B).await;
    let good = || quote_request("Q1", "");
    check!(town, provider, fx.lock_quote, good(), [
        "InvalidArgument FIELD_MISSING request_id -", |r| r.request_id.clear();
        "InvalidArgument FIELD_MISSING quote_id -", |r| r.quote_id.clear();
        "InvalidArgument FIELD_INVALID quote_id -", |r| r.quote_id = "x".repeat(36);
        "InvalidArgument FIELD_MISSING taker -", |r| r.taker.clear();
        "InvalidArgument FIELD_INVALID taker -", |r| r.taker = B.into();
        "NotFound NOT_FOUND taker -", |r| r.taker = "ZZZZUS33".into();
        "InvalidArgument FIELD_MISSING source_asset -", |r| r.source_asset.clear();
        "NotFound NOT_FOUND source_asset -", |r| {
            r.source_asset = "XXX".into();
            r.fixed_side = v1::FixedSide::Source.into();
        };
        "NotFound NOT_FOUND target_asset -", |r| r.target_asset = "XXX".into();
        "InvalidArgument FIELD_INVALID target_asset -", |r| r.target_asset = "USD".into();
        "InvalidArgument FIELD_MISSING fixed_side -", |r| r.fixed_side = 0;
        "InvalidArgument FIELD_INVALID fixed_side -", |r| r.fixed_side = 3;
        "InvalidArgument FIELD_MISSING amount -", |r| r.amount.clear();
        "InvalidArgument FIELD_INVALID amount -", |r| r.amount = "0".into();
        "InvalidArgument FIELD_INVALID amount -", |r| r.amount = "-1".into();
        "InvalidArgument FIELD_INVALID amount -", |r| r.amount = "1.001".into();
        "InvalidArgument FIELD_INVALID amount -", |r| r.amount = "9999999999999999.99".into();
        "InvalidArgument FIELD_MISSING pair -", |r| r.pair.clear();
        "InvalidArgument FIELD_INVALID pair -", |r| r.pair = "EURUSD".into();
        "InvalidArgument FIELD_INVALID pair -", |r| r.pair = "EUR/JPY".into();
        "InvalidArgument FIELD_MISSING rate -", |r| r.rate.clear();
        "InvalidArgument FIELD_INVALID rate -", |r| r.rate = "0".into();
        "InvalidArgument FIELD_INVALID rate -", |r| r.rate = "-1.1".into();
        "InvalidArgument FIELD_INVALID rate -", |r| r.rate = "1e2".into();
        "InvalidArgument FIELD_INVALID rate -", |r| r.rate = "0.0000009".into();
        "InvalidArgument FIELD_INVALID rate -", |r| r.rate = "1.1234567890123".into();
        "InvalidArgument FIELD_INVALID rounding -", |r| r.rounding = 4;
        "InvalidArgument FIELD_MISSING value_date -", |r| r.value_date.clear();
        "InvalidArgument FIELD_INVALID value_date -", |r| r.value_date = "2026-11-21".into();
        "InvalidArgument FIELD_INVALID value_date -", |r| r.value_date = "2026-11-19".into();
        "InvalidArgument FIELD_MISSING accept_until -", |r| r.accept_until = None;
        "InvalidArgument FIELD_INVALID accept_until -", |r| r.accept_until = Some(timestamp(MORNING_MS));
        "InvalidArgument FIELD_MISSING settle_by -", |r| r.settle_by = None;
        "InvalidArgument FIELD_INVALID settle_by -", |r| r.settle_by = Some(timestamp(MORNING_MS + 1));
    ]);
    town.lock_quote("Q1").await;
    let answer = town
        .client(B)
        .await
        .fx
        .lock_quote(quote_request("Q1", "other"))
        .await;
    assert_eq!(
        outcome(&answer),
        "InvalidArgument FIELD_INVALID quote_id -",
        "an id is used once"
    );
}

fn rates() -> v1::SetRatesRequest {
    v1::SetRatesRequest {
        request_id: String::new(),
        created: None,
        rates: vec![v1::Rate {
            pair: "EUR/USD".to_owned(),
            bid: "1.10".to_owned(),
            ask: "1.11".to_owned(),
            time: Some(timestamp(MORNING_MS)),
            source: "test".to_owned(),
            ..Default::default()
        }],
    }
}

#[tokio::test]
async fn rates_and_cycles_name_their_fields() {
    let town = Town::funded().await;
    check!(town, town.operator(), fx.set_rates, rates(), [
        "InvalidArgument FIELD_MISSING request_id -", |r| r.request_id.clear();
        "InvalidArgument FIELD_MISSING rates[0].pair -", |r| r.rates[0].pair.clear();
        "InvalidArgument FIELD_INVALID rates[0].pair -", |r| r.rates[0].pair = "EUR/EUR".into();
        "InvalidArgument FIELD_MISSING rates[0].bid -", |r| r.rates[0].bid.clear();
        "InvalidArgument FIELD_INVALID rates[0].bid -", |r| r.rates[0].bid = "one".into();
        "InvalidArgument FIELD_INVALID rates[0].bid -", |r| r.rates[0].bid = "0".into();
        "InvalidArgument FIELD_INVALID rates[0].ask -", |r| r.rates[0].ask = "0.0000001".into();
        "InvalidArgument FIELD_INVALID rates[0].bid -", |r| r.rates[0].bid = "1.12".into();
        "InvalidArgument FIELD_MISSING rates[0].time -", |r| r.rates[0].time = None;
        "InvalidArgument FIELD_INVALID rates[0].source -", |r| r.rates[0].source = "x".repeat(36);
        "InvalidArgument FIELD_INVALID rates[1].pair -", |r| r.rates.push(r.rates[0].clone());
    ]);
    let open = || v1::OpenCycleRequest {
        cycle: "2026-11-23/1".to_owned(),
        ..Default::default()
    };
    check!(town, town.operator(), settlement.open_cycle, open(), [
        "InvalidArgument FIELD_MISSING request_id -", |r| r.request_id.clear();
        "InvalidArgument FIELD_MISSING cycle -", |r| r.cycle.clear();
        "InvalidArgument FIELD_INVALID cycle -", |r| r.cycle = "2026-11-23".into();
        "InvalidArgument FIELD_INVALID cycle -", |r| r.cycle = "2026-11-23/0".into();
        "InvalidArgument FIELD_INVALID cycle -", |r| r.cycle = "2026-11-23/70000".into();
        "InvalidArgument FIELD_INVALID cycle -", |r| r.cycle = "2026-11-23/2".into();
        "InvalidArgument FIELD_INVALID cycle -", |r| r.cycle = "2026-11-21/1".into();
        "InvalidArgument FIELD_INVALID cycle -", |r| r.cycle = "2026-11-19/1".into();
        "InvalidArgument FIELD_INVALID cycle -", |r| r.pay_in_deadline = Some(timestamp(MORNING_MS));
        "InvalidArgument FIELD_INVALID cut_off -", |r| r.cut_off = Some(prost_types::Timestamp { seconds: i64::MAX, nanos: 0 });
        "FailedPrecondition WRONG_STATE - -", |r| {
            r.cycle = CYCLE.into();
            r.cut_off = Some(timestamp(MORNING_MS));
        };
    ]);
    let step = || v1::CycleRequest {
        cycle: CYCLE.to_owned(),
        ..Default::default()
    };
    check!(town, town.operator(), settlement.close_cycle, step(), [
        "InvalidArgument FIELD_MISSING request_id -", |r| r.request_id.clear();
        "InvalidArgument FIELD_MISSING cycle -", |r| r.cycle.clear();
        "NotFound NOT_FOUND cycle -", |r| r.cycle = "2026-11-23/1".into();
        "FailedPrecondition TOO_EARLY - -", |_| {};
    ]);
    check!(town, town.operator(), settlement.net_cycle, step(), [
        "NotFound NOT_FOUND cycle -", |r| r.cycle = "2026-11-23/1".into();
        "FailedPrecondition WRONG_STATE - -", |_| {};
    ]);
    check!(town, town.operator(), settlement.settle_cycle, step(), [
        "NotFound NOT_FOUND cycle -", |r| r.cycle = "2026-11-23/1".into();
        "FailedPrecondition WRONG_STATE - -", |_| {};
    ]);
    let early = town.try_step(Step::Close, CYCLE).await.unwrap_err();
    assert!(
        early.message().contains("2026-11-20T13:00:00.000Z"),
        "{}",
        early.message()
    );
}

fn cut_off(asset: &str, zone: &str, time: &str, days_before: u32) -> v1::AssetCutOff {
    v1::AssetCutOff {
        asset: asset.to_owned(),
        purpose: v1::CutOffPurpose::Customer.into(),
        zone: zone.to_owned(),
        time: time.to_owned(),
        days_before,
    }
}

fn day(asset: &str, date: &str, kind: v1::DayKind) -> v1::AssetDay {
    v1::AssetDay {
        asset: asset.to_owned(),
        date: date.to_owned(),
        kind: kind.into(),
    }
}

#[tokio::test]
async fn the_scheme_names_its_fields() {
    let town = Town::funded().await;
    let apply = || v1::ApplySchemeRequest {
        scheme: Some(valuta_tests::scheme::scheme()),
        ..Default::default()
    };
    fn of(request: &mut v1::ApplySchemeRequest) -> &mut v1::Scheme {
        request.scheme.as_mut().unwrap()
    }
    check!(town, town.operator(), admin.apply_scheme, apply(), [
        "InvalidArgument FIELD_MISSING request_id -", |r| r.request_id.clear();
        "InvalidArgument FIELD_MISSING scheme -", |r| r.scheme = None;
        "InvalidArgument FIELD_INVALID scheme.name -", |r| of(r).name = "other".into();
        "InvalidArgument FIELD_INVALID scheme.base_asset -", |r| of(r).base_asset = "EUR".into();
        "InvalidArgument FIELD_INVALID scheme.assets[0].decimals -", |r| of(r).assets[0].decimals = 3;
        "InvalidArgument FIELD_INVALID scheme.assets[0].decimals -", |r| of(r).assets[0].decimals = 9;
        "InvalidArgument FIELD_INVALID scheme.assets[0].agent -", |r| of(r).assets[0].agent = A.into();
        "InvalidArgument FIELD_INVALID scheme.assets[4] -", |r| {
            let first = of(r).assets[0].clone();
            of(r).assets.push(first);
        };
        "InvalidArgument FIELD_MISSING scheme.participants[1].bic -", |r| of(r).participants[1].bic.clear();
        "InvalidArgument FIELD_INVALID scheme.participants[1].name -", |r| of(r).participants[1].name = "x".repeat(71);
        "NotFound NOT_FOUND scheme.accounts[0].participant -", |r| of(r).accounts[0].participant = "ZZZZUS33".into();
        "NotFound NOT_FOUND scheme.accounts[0].asset -", |r| of(r).accounts[0].asset = "XXX".into();
        "InvalidArgument FIELD_INVALID scheme.accounts[0].state -", |r| of(r).accounts[0].state = 7;
        "InvalidArgument FIELD_INVALID scheme.cut_offs.zone -", |r| of(r).cut_offs.as_mut().unwrap().zone = "Mars".into();
        "InvalidArgument FIELD_INVALID scheme.cut_offs -", |r| of(r).cut_offs.as_mut().unwrap().pay_in = "13:59".into();
        "InvalidArgument FIELD_MISSING scheme.asset_cut_offs[0].asset -", |r| of(r).asset_cut_offs = vec![cut_off("", "Asia/Tokyo", "12:00", 0)];
        "NotFound NOT_FOUND scheme.asset_cut_offs[0].asset -", |r| of(r).asset_cut_offs = vec![cut_off("XXX", "Asia/Tokyo", "12:00", 0)];
        "InvalidArgument FIELD_INVALID scheme.asset_cut_offs[0].zone -", |r| of(r).asset_cut_offs = vec![cut_off("JPY", "Mars", "12:00", 0)];
        "InvalidArgument FIELD_INVALID scheme.asset_cut_offs[0].time -", |r| of(r).asset_cut_offs = vec![cut_off("JPY", "Asia/Tokyo", "24:00", 0)];
        "InvalidArgument FIELD_INVALID scheme.asset_cut_offs[0].days_before -", |r| of(r).asset_cut_offs = vec![cut_off("JPY", "Asia/Tokyo", "12:00", 6)];
        "InvalidArgument FIELD_INVALID scheme.asset_cut_offs[1] -", |r| of(r).asset_cut_offs = vec![cut_off("JPY", "Asia/Tokyo", "12:00", 0); 2];
        "NotFound NOT_FOUND scheme.days[0].asset -", |r| of(r).days = vec![day("XXX", "2026-12-24", v1::DayKind::Holiday)];
        "InvalidArgument FIELD_INVALID scheme.days[0].date -", |r| of(r).days = vec![day("JPY", "2026-02-30", v1::DayKind::Holiday)];
        "InvalidArgument FIELD_MISSING scheme.days[0].kind -", |r| of(r).days = vec![day("JPY", "2026-12-24", v1::DayKind::Unspecified)];
    ]);
    let account = || v1::SetAccountStateRequest {
        participant: A.to_owned(),
        asset: "USD".to_owned(),
        state: v1::AccountState::Closed.into(),
        ..Default::default()
    };
    check!(town, town.operator(), admin.set_account_state, account(), [
        "InvalidArgument FIELD_MISSING state -", |r| r.state = 0;
        "InvalidArgument FIELD_INVALID state -", |r| r.state = 4;
        "NotFound NOT_FOUND participant -", |r| r.participant = "ZZZZUS33".into();
        "NotFound NOT_FOUND asset -", |r| r.asset = "XXX".into();
        "FailedPrecondition WRONG_STATE - -", |_| {};
    ]);
    let state = || v1::SetParticipantStateRequest {
        bic: A.to_owned(),
        state: v1::ParticipantState::Suspended.into(),
        ..Default::default()
    };
    check!(town, town.operator(), admin.set_participant_state, state(), [
        "InvalidArgument FIELD_MISSING bic -", |r| r.bic.clear();
        "NotFound NOT_FOUND bic -", |r| r.bic = "ZZZZUS33".into();
        "InvalidArgument FIELD_MISSING state -", |r| r.state = 0;
        "InvalidArgument FIELD_INVALID state -", |r| r.state = 9;
        "InvalidArgument FIELD_INVALID reason -", |r| r.reason = "x".repeat(141);
    ]);
    let limit = || v1::SetLimitRequest {
        limit: Some(v1::Limit {
            participant: A.to_owned(),
            asset: "USD".to_owned(),
            counterparty: String::new(),
            amount: "1.00".to_owned(),
        }),
        ..Default::default()
    };
    check!(town, town.operator(), admin.set_limit, limit(), [
        "InvalidArgument FIELD_MISSING limit -", |r| r.limit = None;
        "NotFound NOT_FOUND limit.asset -", |r| r.limit.as_mut().unwrap().asset = "XXX".into();
        "InvalidArgument FIELD_INVALID limit.amount -", |r| r.limit.as_mut().unwrap().amount = "1.001".into();
        "InvalidArgument FIELD_INVALID limit.amount -", |r| r.limit.as_mut().unwrap().amount = "-1".into();
        "NotFound NOT_FOUND limit.participant -", |r| r.limit.as_mut().unwrap().participant = "ZZZZUS33".into();
        "InvalidArgument FIELD_INVALID limit.counterparty -", |r| r.limit.as_mut().unwrap().counterparty = A.into();
    ]);
    let token = || v1::CreateTokenRequest {
        role: v1::Role::Participant.into(),
        bic: A.to_owned(),
        label: "new".to_owned(),
        ..Default::default()
    };
    check!(town, town.operator(), admin.create_token, token(), [
        "InvalidArgument FIELD_MISSING role -", |r| r.role = 0;
        "InvalidArgument FIELD_INVALID role -", |r| r.role = 99;
        "InvalidArgument FIELD_MISSING bic -", |r| r.bic.clear();
        "InvalidArgument FIELD_INVALID bic -", |r| r.role = v1::Role::Operator.into();
        "InvalidArgument FIELD_INVALID bic -", |r| r.role = v1::Role::Auditor.into();
        "NotFound NOT_FOUND bic -", |r| r.bic = "ZZZZUS33".into();
        "NotFound NOT_FOUND bic -", |r| r.role = v1::Role::Agent.into();
        "InvalidArgument FIELD_MISSING label -", |r| r.label.clear();
        "InvalidArgument FIELD_INVALID label -", |r| r.label = A.into();
    ]);
    let time = || v1::SetTimeRequest {
        time: Some(timestamp(MORNING_MS)),
        request_id: String::new(),
    };
    check!(town, town.operator(), admin.set_time, time(), [
        "InvalidArgument FIELD_MISSING time -", |r| r.time = None;
        "InvalidArgument FIELD_MISSING request_id -", |r| r.request_id.clear();
        "InvalidArgument FIELD_INVALID time -", |r| r.time = Some(timestamp(MORNING_MS - 1));
    ]);
}

#[tokio::test]
async fn a_cancel_names_its_field() {
    let town = Town::funded().await;
    let mut client = town.client(A).await;
    let settled = payment(1, A, B, "10.00", "USD");
    assert_eq!(submit(&mut client, settled).await, "ACSC");
    let cancel = || v1::CancelInstructionRequest {
        uetr: uetr_text(1),
        kind: v1::Kind::Payment.into(),
        ..Default::default()
    };
    check!(town, client.clone(), payments.cancel_instruction, cancel(), [
        "InvalidArgument FIELD_MISSING request_id -", |r| r.request_id.clear();
        "InvalidArgument FIELD_MISSING uetr -", |r| r.uetr.clear();
        "InvalidArgument FIELD_INVALID uetr -", |r| r.uetr = "1".into();
        "InvalidArgument FIELD_MISSING kind -", |r| r.kind = 0;
        "NotFound NOT_FOUND uetr -", |r| r.uetr = uetr_text(2);
        "NotFound NOT_FOUND uetr -", |r| r.kind = v1::Kind::Cover.into();
        "FailedPrecondition WRONG_STATE - -", |_| {};
    ]);
    // Another bank's, even if it is a party.
    check!(town, town.client(B).await, payments.cancel_instruction, cancel(), [
        "NotFound NOT_FOUND uetr -", |_| {};
    ]);
    let acknowledge = || v1::AcknowledgeReceivedRequest {
        position: "1.0".to_owned(),
        ..Default::default()
    };
    check!(town, client.clone(), payments.acknowledge_received, acknowledge(), [
        "InvalidArgument FIELD_MISSING request_id -", |r| r.request_id.clear();
        "InvalidArgument FIELD_MISSING position -", |r| r.position.clear();
        "InvalidArgument FIELD_INVALID position -", |r| r.position = "last".into();
        "InvalidArgument FIELD_INVALID position -", |r| r.position = "99999999.0".into();
    ]);
}

/// Twice the same request: the same answer, done once. Then with other content: DU05.
macro_rules! reused {
    ($town:expr, $caller:expr, $service:ident.$method:ident, $first:expr, $change:expr) => {{
        let mut client = $caller;
        let mut request = $first;
        request.request_id = $town.request_id();
        let first = client.$service.$method(request.clone()).await;
        assert_eq!(outcome(&first), "ok", "{request:?}");
        let books = $town.books().await;
        let again = client.$service.$method(request.clone()).await;
        assert_eq!(outcome(&again), "ok", "{request:?}");
        assert_eq!(
            sequence_of(again.unwrap().into_inner()),
            sequence_of(first.unwrap().into_inner())
        );
        request = changed(request, $change);
        let reused = client.$service.$method(request.clone()).await;
        assert_eq!(
            outcome(&reused),
            "AlreadyExists REQUEST_ID_REUSED request_id DU05",
            "{request:?}"
        );
        assert_eq!($town.books().await, books);
    }};
}

/// Of any write's answer: they all have the field, but for cycles' views, which have moved on.
fn sequence_of(answer: impl std::fmt::Debug) -> String {
    let text = format!("{answer:?}");
    match text.starts_with("CycleResponse") {
        true => String::new(),
        false => text[text.rfind("sequence: ").unwrap()..].to_owned(),
    }
}

#[tokio::test]
async fn a_request_id_is_for_one_content() {
    let town = Town::funded().await;
    let (operator, bank, agent) = (
        town.operator(),
        town.client(A).await,
        town.client("FRNYUS33").await,
    );
    reused!(
        town,
        agent,
        settlement.record_movement,
        movement(v1::MovementKind::Deposit),
        |r| r.amount = "11.00".into()
    );
    let transfer = v1::RecordMovementRequest {
        cycle: CYCLE.to_owned(),
        ..movement(v1::MovementKind::Transfer)
    };
    reused!(
        town,
        bank.clone(),
        settlement.record_movement,
        transfer,
        |r| r.amount = "11.00".into()
    );
    reused!(
        town,
        town.client(B).await,
        fx.lock_quote,
        quote_request("Q1", ""),
        |r| r.rate = "1.11".into()
    );
    reused!(town, operator.clone(), fx.set_rates, rates(), |r| r.rates
        [0]
    .ask =
        "1.12".into());
    let open = v1::OpenCycleRequest {
        cycle: "2026-11-23/1".to_owned(),
        ..Default::default()
    };
    reused!(town, operator.clone(), settlement.open_cycle, open, |r| r
        .cycle =
        "2026-11-23/2".into());
    // More than the fund has, or the cycle would run as soon as it is netted.
    let mut waiting = payment(1, A, B, "20.00", "USD");
    waiting.lane = v1::Lane::Net.into();
    assert_eq!(
        submit(&mut bank.clone(), waiting.clone()).await,
        format!("ACTC {CYCLE}")
    );
    waiting.uetr = uetr_text(2);
    assert_eq!(
        submit(&mut bank.clone(), waiting).await,
        format!("ACTC {CYCLE}")
    );
    let cancel = v1::CancelInstructionRequest {
        uetr: uetr_text(1),
        kind: v1::Kind::Payment.into(),
        ..Default::default()
    };
    reused!(
        town,
        bank.clone(),
        payments.cancel_instruction,
        cancel,
        |r| r.uetr = uetr_text(2)
    );
    let acknowledge = v1::AcknowledgeReceivedRequest {
        position: "0.0".to_owned(),
        ..Default::default()
    };
    reused!(
        town,
        bank.clone(),
        payments.acknowledge_received,
        acknowledge,
        |r| r.position = "0.1".into()
    );
    let mut scheme = valuta_tests::scheme::scheme();
    scheme.participants[0].name = "Another name".to_owned();
    let apply = v1::ApplySchemeRequest {
        scheme: Some(scheme),
        ..Default::default()
    };
    reused!(town, operator.clone(), admin.apply_scheme, apply, |r| r
        .scheme
        .as_mut()
        .unwrap()
        .accounts
        .clear());
    let state = v1::SetParticipantStateRequest {
        bic: D.to_owned(),
        state: v1::ParticipantState::Suspended.into(),
        ..Default::default()
    };
    reused!(
        town,
        operator.clone(),
        admin.set_participant_state,
        state,
        |r| r.bic = C.into()
    );
    let account = v1::SetAccountStateRequest {
        participant: D.to_owned(),
        asset: "KWD".to_owned(),
        state: v1::AccountState::Blocked.into(),
        ..Default::default()
    };
    reused!(
        town,
        operator.clone(),
        admin.set_account_state,
        account,
        |r| r.asset = "JPY".into()
    );
    let limit = v1::SetLimitRequest {
        limit: Some(v1::Limit {
            participant: A.to_owned(),
            asset: "USD".to_owned(),
            counterparty: String::new(),
            amount: "1.00".to_owned(),
        }),
        ..Default::default()
    };
    reused!(town, operator.clone(), admin.set_limit, limit, |r| r
        .limit
        .as_mut()
        .unwrap()
        .amount
        .clear());
    let revoke = v1::RevokeTokenRequest {
        label: D.to_owned(),
        ..Default::default()
    };
    reused!(town, operator.clone(), admin.revoke_token, revoke, |r| r
        .label =
        C.into());
    let time = v1::SetTimeRequest {
        time: Some(timestamp(MORNING_MS + 1)),
        ..Default::default()
    };
    reused!(town, operator.clone(), admin.set_time, time, |r| r.time =
        Some(timestamp(MORNING_MS + 2)));
    town.set_time(crate::support::CUT_OFF_MS).await;
    let step = v1::CycleRequest {
        cycle: CYCLE.to_owned(),
        ..Default::default()
    };
    reused!(
        town,
        operator.clone(),
        settlement.close_cycle,
        step.clone(),
        |r| r.cycle = "2026-11-23/1".into()
    );
    reused!(
        town,
        operator.clone(),
        settlement.net_cycle,
        step.clone(),
        |r| r.cycle = "2026-11-23/1".into()
    );
    town.set_time(crate::support::PAY_IN_MS).await;
    reused!(town, operator, settlement.settle_cycle, step, |r| r.cycle =
        "2026-11-23/1".into());
    // An id is its caller's: another one may have the same.
    let mut request = movement(v1::MovementKind::Deposit);
    request.request_id = "r-0".to_owned();
    let mut other = town.client("ECBFDEFF").await;
    request.asset = "EUR".to_owned();
    assert_eq!(
        outcome(&other.settlement.record_movement(request).await),
        "ok"
    );
}

#[tokio::test]
async fn a_token_is_answered_once() {
    let town = Town::start().await;
    let mut operator = town.operator();
    let request = v1::CreateTokenRequest {
        request_id: "t".to_owned(),
        role: v1::Role::Treasury.into(),
        label: "desk".to_owned(),
        ..Default::default()
    };
    let first = operator
        .admin
        .create_token(request.clone())
        .await
        .unwrap()
        .into_inner();
    let again = operator.admin.create_token(request.clone()).await;
    assert_eq!(
        outcome(&again),
        "AlreadyExists TOKEN_ANSWERED_ONCE request_id -"
    );
    let other = v1::CreateTokenRequest {
        label: "other".to_owned(),
        ..request
    };
    let reused = operator.admin.create_token(other).await;
    assert_eq!(
        outcome(&reused),
        "AlreadyExists REQUEST_ID_REUSED request_id DU05"
    );
    let mut desk = town.world.server.client(&first.token).await.unwrap();
    assert_eq!(
        outcome(
            &desk
                .treasury
                .get_positions(v1::GetPositionsRequest::default())
                .await
        ),
        "ok"
    );
}
