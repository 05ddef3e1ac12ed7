//! What users come for, over real gRPC: payments, cycles, trades, watches and proofs.

mod calendar;
mod conditions;
mod cycles;
mod fx;
mod pvp;
mod reading;
mod treasury;

use crate::support::{
    A, B, C, CYCLE, D, HOUR_MS, Step, Town, failure, get, outcome, shown, submit,
};
use valuta_proto::v1;
use valuta_tests::scheme::{MORNING_MS, TODAY, payment, uetr_text};

/// A net payment of today.
fn net(uetr: u128, from: &str, to: &str, amount: &str, asset: &str) -> v1::Instruction {
    v1::Instruction {
        lane: v1::Lane::Net.into(),
        ..payment(uetr, from, to, amount, asset)
    }
}

/// One side of a trade: `legs` are (debtor, creditor, amount, asset).
fn side(
    uetr: u128,
    instructing: &str,
    reference: &str,
    legs: [(&str, &str, &str, &str); 2],
) -> v1::Instruction {
    let legs = legs.map(|(debtor, creditor, amount, asset)| v1::Leg {
        debtor: debtor.to_owned(),
        creditor: creditor.to_owned(),
        amount: amount.to_owned(),
        asset: asset.to_owned(),
        kind: 0,
    });
    v1::Instruction {
        kind: v1::Kind::TradeSide.into(),
        lane: v1::Lane::Net.into(),
        trade_reference: reference.to_owned(),
        legs: legs.to_vec(),
        ..payment(uetr, instructing, instructing, "1", "USD")
    }
}

async fn send(town: &Town, instruction: v1::Instruction) -> String {
    let mut client = town.client(&instruction.instructing.clone()).await;
    submit(&mut client, instruction).await
}

async fn status(town: &Town, bic: &str, uetr: u128) -> String {
    get(&mut town.client(bic).await, &uetr_text(uetr)).await
}

async fn cancel(town: &Town, bic: &str, uetr: u128, kind: v1::Kind) -> String {
    let request = v1::CancelInstructionRequest {
        request_id: town.request_id(),
        uetr: uetr_text(uetr),
        kind: kind.into(),
        created: None,
    };
    match town
        .client(bic)
        .await
        .payments
        .cancel_instruction(request)
        .await
    {
        Ok(answer) => shown(&answer.into_inner().status.unwrap()),
        Err(status) => failure(&status),
    }
}

async fn set_state(town: &Town, bic: &str, state: v1::ParticipantState, reason: &str) {
    let request = v1::SetParticipantStateRequest {
        request_id: town.request_id(),
        created: None,
        bic: bic.to_owned(),
        state: state.into(),
        reason: reason.to_owned(),
    };
    town.operator()
        .admin
        .set_participant_state(request)
        .await
        .unwrap();
}

#[tokio::test]
async fn a_gross_payment_settles_at_once() {
    let town = Town::start().await;
    town.deposit(A, "100.00", "USD").await;
    assert_eq!(send(&town, payment(1, A, B, "60.00", "USD")).await, "ACSC");
    let books = town.books().await;
    assert_eq!(
        (books.balance(A, "USD"), books.balance(B, "USD")),
        ("40.00", "60.00")
    );
    assert_eq!(status(&town, B, 1).await, "ACSC");
    // Out again: the agent's mirror follows.
    let withdrawal = v1::MovementKind::Withdrawal;
    assert_eq!(
        town.movement(withdrawal, B, "60.00", "USD", "").await,
        "ACSC"
    );
    let books = town.books().await;
    let total = books
        .totals
        .iter()
        .find(|total| total.asset == "USD")
        .unwrap();
    assert_eq!(
        (&*total.r#in, &*total.out, &*total.closing, &*total.mirror),
        ("100.00", "60.00", "40.00", "40.00")
    );
}

#[tokio::test]
async fn what_waits_is_released_in_order() {
    let town = Town::start().await;
    assert_eq!(
        send(&town, payment(1, A, B, "50.00", "USD")).await,
        "PDNG LIQUIDITY"
    );
    assert_eq!(
        send(&town, payment(2, A, C, "10.00", "USD")).await,
        "PDNG ORDER"
    );
    let mut urgent = payment(3, A, D, "20.00", "USD");
    urgent.priority = v1::Priority::Urgent.into();
    assert_eq!(send(&town, urgent).await, "PDNG LIQUIDITY");
    assert_eq!(
        status(&town, A, 1).await,
        "PDNG ORDER",
        "the urgent one is before it"
    );
    let position = town.books().await.position(A, "USD").clone();
    assert_eq!(
        (&*position.queued_out, &*position.projected),
        ("80.00", "-80.00")
    );

    town.deposit(A, "20.00", "USD").await;
    let now = [
        status(&town, A, 3).await,
        status(&town, A, 1).await,
        status(&town, A, 2).await,
    ];
    assert_eq!(now, ["ACSC", "PDNG LIQUIDITY", "PDNG ORDER"]);
    town.deposit(A, "49.99", "USD").await;
    assert_eq!(
        status(&town, A, 2).await,
        "PDNG ORDER",
        "10.00 would fit, and does not overtake"
    );
    town.deposit(A, "0.01", "USD").await;
    assert_eq!(status(&town, A, 1).await, "ACSC");
    // An incoming payment is liquidity too.
    assert_eq!(send(&town, payment(4, B, A, "10.00", "USD")).await, "ACSC");
    assert_eq!(status(&town, A, 2).await, "ACSC");
    assert_eq!(town.books().await.balance(A, "USD"), "0.00");
}

#[tokio::test]
async fn a_tick_clears_gridlock() {
    let town = Town::start().await;
    town.deposit(A, "1.00", "USD").await;
    assert_eq!(
        send(&town, payment(1, A, B, "10.00", "USD")).await,
        "PDNG LIQUIDITY"
    );
    assert_eq!(
        send(&town, payment(2, B, C, "10.00", "USD")).await,
        "PDNG LIQUIDITY"
    );
    assert_eq!(
        send(&town, payment(3, C, A, "9.00", "USD")).await,
        "PDNG LIQUIDITY"
    );
    town.set_time(MORNING_MS + 1_000).await;
    for (bic, uetr) in [(A, 1), (B, 2), (C, 3)] {
        assert_eq!(status(&town, bic, uetr).await, "ACSC", "{uetr}");
    }
    let books = town.books().await;
    assert_eq!(
        (books.balance(A, "USD"), books.balance(C, "USD")),
        ("0.00", "1.00")
    );
}

#[tokio::test]
async fn what_is_queued_past_its_value_date_expires() {
    let town = Town::start().await;
    assert_eq!(
        send(&town, payment(1, A, B, "10.00", "USD")).await,
        "PDNG LIQUIDITY"
    );
    town.set_time(MORNING_MS + 16 * HOUR_MS - 1).await;
    assert_eq!(status(&town, A, 1).await, "PDNG LIQUIDITY");
    town.set_time(MORNING_MS + 16 * HOUR_MS).await;
    assert_eq!(status(&town, A, 1).await, "RJCT AB03 EXPIRED_IN_QUEUE");
    town.deposit(A, "10.00", "USD").await;
    assert_eq!(town.books().await.balance(A, "USD"), "10.00");
}

#[tokio::test]
async fn a_quoted_payment_moves_both_currencies_at_once() {
    let town = Town::start().await;
    town.deposit(A, "110.00", "USD").await;
    town.deposit(B, "99.99", "EUR").await;
    town.lock_quote("Q1").await;
    let mut quoted = payment(1, A, B, "110.00", "USD");
    quoted.quote_id = "Q1".to_owned();
    quoted.legs.push(v1::Leg {
        debtor: B.to_owned(),
        creditor: D.to_owned(),
        amount: "100.00".to_owned(),
        asset: "EUR".to_owned(),
        kind: 0,
    });
    assert_eq!(send(&town, quoted).await, "PDNG LIQUIDITY");
    let before = town.books().await;
    assert_eq!(
        (before.balance(A, "USD"), before.balance(B, "EUR")),
        ("110.00", "99.99"),
        "both legs, or none"
    );
    town.deposit(B, "0.01", "EUR").await;
    assert_eq!(status(&town, D, 1).await, "ACSC");
    let books = town.books().await;
    assert_eq!(
        (books.balance(A, "USD"), books.balance(B, "USD")),
        ("0.00", "110.00")
    );
    assert_eq!(
        (books.balance(B, "EUR"), books.balance(D, "EUR")),
        ("0.00", "100.00")
    );
    let get = v1::GetQuoteRequest {
        provider: B.to_owned(),
        quote_id: "Q1".to_owned(),
        min_sequence: 0,
    };
    let quote = town
        .client(A)
        .await
        .fx
        .get_quote(get)
        .await
        .unwrap()
        .into_inner()
        .quote
        .unwrap();
    assert_eq!(quote.state(), v1::QuoteState::Accepted);
}

#[tokio::test]
async fn a_quote_that_is_not_settled_in_time_is_expired() {
    let town = Town::start().await;
    town.lock_quote("Q1").await;
    let mut quoted = payment(1, A, B, "110.00", "USD");
    quoted.quote_id = "Q1".to_owned();
    quoted.legs.push(v1::Leg {
        debtor: B.to_owned(),
        creditor: D.to_owned(),
        amount: "100.00".to_owned(),
        asset: "EUR".to_owned(),
        kind: 0,
    });
    assert_eq!(send(&town, quoted).await, "PDNG LIQUIDITY");
    town.set_time(MORNING_MS + 12 * HOUR_MS + 1).await;
    assert_eq!(
        status(&town, A, 1).await,
        "RJCT NARR QUOTE_EXPIRED quote_id"
    );
}

#[tokio::test]
async fn both_sides_of_a_trade_settle_together() {
    let town = Town::funded().await;
    let legs = [(A, B, "110.00", "USD"), (B, A, "100.00", "EUR")];
    let gross = |instruction: v1::Instruction| v1::Instruction {
        lane: v1::Lane::Gross.into(),
        ..instruction
    };
    assert_eq!(
        send(&town, gross(side(1, A, "T", legs))).await,
        "PDNG UNMATCHED"
    );
    assert_eq!(town.books().await.balance(A, "USD"), "1000000.00");
    // Not the other side: another amount, reference or lane.
    let other = [(A, B, "110.01", "USD"), (B, A, "100.00", "EUR")];
    assert_eq!(
        send(&town, gross(side(2, B, "T", other))).await,
        "PDNG UNMATCHED"
    );
    assert_eq!(
        send(&town, gross(side(3, B, "U", legs))).await,
        "PDNG UNMATCHED"
    );
    assert_eq!(send(&town, side(4, B, "T", legs)).await, "PDNG UNMATCHED");
    assert_eq!(send(&town, gross(side(5, B, "T", legs))).await, "ACSC");
    assert_eq!(status(&town, A, 1).await, "ACSC");
    let books = town.books().await;
    assert_eq!(
        (books.balance(A, "USD"), books.balance(A, "EUR")),
        ("999890.00", "1000100.00")
    );
    assert_eq!(
        (books.balance(B, "USD"), books.balance(B, "EUR")),
        ("1000110.00", "999900.00")
    );
    // What stays alone is rejected at its cut-off; the gross ones at the day's end.
    town.set_time(crate::support::CUT_OFF_MS).await;
    assert_eq!(status(&town, B, 4).await, "RJCT NARR UNMATCHED");
    assert_eq!(status(&town, B, 2).await, "PDNG UNMATCHED");
    town.set_time(MORNING_MS + 16 * HOUR_MS).await;
    assert_eq!(status(&town, B, 2).await, "RJCT NARR UNMATCHED");
}

#[tokio::test]
async fn what_is_not_irrevocable_can_be_cancelled() {
    let town = Town::start().await;
    town.open_cycle(CYCLE).await;
    let (payment_kind, trade) = (v1::Kind::Payment, v1::Kind::TradeSide);
    send(&town, payment(1, A, B, "10.00", "USD")).await;
    assert_eq!(
        send(&town, payment(2, A, B, "5.00", "USD")).await,
        "PDNG ORDER"
    );
    town.deposit(A, "5.00", "USD").await;
    assert_eq!(cancel(&town, A, 1, payment_kind).await, "CANC");
    assert_eq!(status(&town, A, 2).await, "ACSC", "the next was behind it");
    assert_eq!(cancel(&town, A, 1, payment_kind).await, "CANC", "again");
    assert_eq!(
        cancel(&town, A, 2, payment_kind).await,
        "FailedPrecondition WRONG_STATE - -"
    );

    send(&town, net(3, A, B, "10.00", "USD")).await;
    assert_eq!(cancel(&town, A, 3, payment_kind).await, "CANC");
    let legs = [(A, B, "110.00", "USD"), (B, A, "100.00", "EUR")];
    send(&town, side(4, A, "T", legs)).await;
    assert_eq!(cancel(&town, A, 4, trade).await, "CANC");
    send(&town, side(5, A, "U", legs)).await;
    send(&town, side(6, B, "U", legs)).await;
    assert_eq!(
        cancel(&town, A, 5, trade).await,
        "FailedPrecondition WRONG_STATE - -",
        "matched"
    );
    send(&town, net(7, A, B, "10.00", "USD")).await;
    town.set_time(crate::support::CUT_OFF_MS).await;
    town.step(Step::Close, CYCLE).await;
    assert_eq!(status(&town, A, 7).await, format!("ACSP {CYCLE}"));
    assert_eq!(
        cancel(&town, A, 7, payment_kind).await,
        "FailedPrecondition WRONG_STATE - -"
    );
    assert_eq!(town.cycle(CYCLE).await.members, 3, "a trade counts as two");
    // A cancelled one stays what it was.
    assert_eq!(send(&town, payment(1, A, B, "10.00", "USD")).await, "CANC");
}

#[tokio::test]
async fn a_suspended_bank_is_held_and_let_go() {
    let town = Town::start().await;
    send(&town, payment(1, A, B, "10.00", "USD")).await;
    send(&town, payment(2, C, A, "10.00", "USD")).await;
    send(&town, payment(3, C, B, "10.00", "USD")).await;
    set_state(&town, A, v1::ParticipantState::Suspended, "insolvent").await;
    assert_eq!(status(&town, A, 1).await, "PDNG HELD");
    assert_eq!(status(&town, C, 2).await, "PDNG HELD");
    assert_eq!(
        status(&town, C, 3).await,
        "PDNG LIQUIDITY",
        "no longer behind"
    );
    assert_eq!(
        send(&town, payment(4, A, B, "10.00", "USD")).await,
        "RJCT AG10 DEBTOR_SUSPENDED legs[0].debtor"
    );
    assert_eq!(
        send(&town, payment(5, B, A, "10.00", "USD")).await,
        "RJCT AG11 CREDITOR_SUSPENDED legs[0].creditor"
    );
    town.deposit(A, "10.00", "USD").await;
    assert_eq!(
        status(&town, A, 1).await,
        "PDNG HELD",
        "money does not let it go"
    );
    town.deposit(C, "10.00", "USD").await;
    assert_eq!(status(&town, C, 3).await, "ACSC");
    set_state(&town, A, v1::ParticipantState::Active, "").await;
    assert_eq!(status(&town, A, 1).await, "ACSC");
    assert_eq!(status(&town, C, 2).await, "PDNG LIQUIDITY");
    town.books().await;
}

#[tokio::test]
async fn limits_count_what_came_back() {
    let town = Town::funded().await;
    let set = |amount: &str| v1::SetLimitRequest {
        request_id: town.request_id(),
        created: None,
        limit: Some(v1::Limit {
            participant: A.to_owned(),
            asset: "USD".to_owned(),
            counterparty: B.to_owned(),
            amount: amount.to_owned(),
        }),
    };
    town.operator()
        .admin
        .set_limit(set("100.00"))
        .await
        .unwrap();
    assert_eq!(send(&town, payment(1, A, B, "60.00", "USD")).await, "ACSC");
    assert_eq!(
        send(&town, payment(2, A, B, "40.01", "USD")).await,
        "RJCT AM14 ABOVE_BILATERAL_CAP legs[0].amount"
    );
    assert_eq!(
        send(&town, payment(3, A, C, "500.00", "USD")).await,
        "ACSC",
        "another counterparty"
    );
    assert_eq!(send(&town, payment(4, B, A, "10.00", "USD")).await, "ACSC");
    assert_eq!(send(&town, payment(5, A, B, "50.00", "USD")).await, "ACSC");
    assert_eq!(
        send(&town, payment(6, A, B, "0.01", "USD")).await,
        "RJCT AM14 ABOVE_BILATERAL_CAP legs[0].amount"
    );
    let answer = town.operator().admin.set_limit(set("")).await;
    assert_eq!(outcome(&answer), "ok");
    assert_eq!(send(&town, payment(7, A, B, "0.01", "USD")).await, "ACSC");
    assert_eq!(TODAY, "2026-11-20");
}
