//! The life of a cycle, step by step; each step as often as a job asks.

use super::{net, send, status};
use crate::support::{
    A, B, C, COMPLETION_MS, CUT_OFF_MS, CYCLE, D, PAY_IN_MS, Step, Town, failure,
};
use valuta_proto::v1;
use valuta_tests::scheme::MORNING_MS;

const NEXT: &str = "2026-11-20/2";

async fn open_later(town: &Town, name: &str, hours: i64) {
    let at = |ms: i64| {
        Some(valuta_tests::scheme::timestamp(
            ms + hours * crate::support::HOUR_MS,
        ))
    };
    let request = v1::OpenCycleRequest {
        cycle: name.to_owned(),
        cut_off: at(CUT_OFF_MS),
        pay_in_deadline: at(PAY_IN_MS),
        completion_deadline: at(COMPLETION_MS),
        created: None,
        request_id: town.request_id(),
    };
    town.operator()
        .settlement
        .open_cycle(request)
        .await
        .unwrap();
}

/// Without what a repeat may change: nothing.
async fn twice(town: &Town, step: Step, name: &str) -> v1::Cycle {
    let first = town.step(step, name).await;
    assert_eq!(town.step(step, name).await, first, "{step:?} twice is once");
    first
}

#[tokio::test]
async fn each_step_is_idempotent_and_has_its_time() {
    let town = Town::start().await;
    let opened = town.open_cycle(CYCLE).await;
    assert_eq!(town.open_cycle(CYCLE).await, opened);
    let at = |time: Option<prost_types::Timestamp>| time.unwrap().seconds * 1_000;
    assert_eq!(
        [
            at(opened.cut_off),
            at(opened.pay_in_deadline),
            at(opened.completion_deadline)
        ],
        [CUT_OFF_MS, PAY_IN_MS, COMPLETION_MS]
    );
    assert_eq!(
        send(&town, net(1, A, B, "100.00", "USD")).await,
        format!("ACTC {CYCLE}")
    );
    assert_eq!(
        send(&town, net(2, B, C, "70.00", "USD")).await,
        format!("ACTC {CYCLE}")
    );
    let early = town.try_step(Step::Close, CYCLE).await.unwrap_err();
    assert_eq!(failure(&early), "FailedPrecondition TOO_EARLY - -");

    town.set_time(CUT_OFF_MS).await;
    assert_eq!(
        send(&town, net(3, A, B, "1.00", "USD")).await,
        "RJCT TM01 PAST_CUT_OFF value_date"
    );
    assert_eq!(
        twice(&town, Step::Close, CYCLE).await.state(),
        v1::CycleState::Closed
    );
    assert_eq!(status(&town, A, 1).await, format!("ACSP {CYCLE}"));
    let netted = twice(&town, Step::Net, CYCLE).await;
    assert_eq!(
        (netted.state(), netted.schedule_version),
        (v1::CycleState::Settling, 1)
    );
    let early = town.try_step(Step::Settle, CYCLE).await.unwrap_err();
    assert_eq!(failure(&early), "FailedPrecondition TOO_EARLY - -");

    town.pay_in(A, "60.00", "USD", CYCLE).await;
    town.deposit(A, "40.00", "USD").await;
    let transfer = v1::MovementKind::Transfer;
    assert_eq!(
        town.movement(transfer, A, "40.01", "USD", CYCLE).await,
        "RJCT AM04 BALANCE_INSUFFICIENT amount"
    );
    assert_eq!(
        town.movement(transfer, A, "40.00", "USD", CYCLE).await,
        "ACSC"
    );
    // Funded: it need not wait for the deadline.
    let settled = twice(&town, Step::Settle, CYCLE).await;
    assert_eq!(
        (settled.state(), settled.settled),
        (v1::CycleState::Completed, 2)
    );
    for (bic, uetr) in [(A, 1), (B, 2)] {
        assert_eq!(status(&town, bic, uetr).await, "ACSC");
    }
    assert_eq!(twice(&town, Step::Close, CYCLE).await, settled);
    assert_eq!(twice(&town, Step::Net, CYCLE).await, settled);
    let books = town.books().await;
    assert_eq!(
        (books.balance(B, "USD"), books.balance(C, "USD")),
        ("30.00", "70.00")
    );
}

#[tokio::test]
async fn a_fund_is_the_cycles_alone() {
    let town = Town::start().await;
    town.open_cycle(CYCLE).await;
    town.pay_in(A, "50.00", "USD", CYCLE).await;
    let position = town.books().await.position(A, "USD").clone();
    assert_eq!(
        (
            &*position.balance,
            &*position.available,
            &*position.reserved
        ),
        ("50.00", "0.00", "50.00")
    );
    assert_eq!(
        send(
            &town,
            valuta_tests::scheme::payment(1, A, B, "50.00", "USD")
        )
        .await,
        "PDNG LIQUIDITY"
    );
    let withdrawal = v1::MovementKind::Withdrawal;
    assert_eq!(
        town.movement(withdrawal, A, "50.00", "USD", "").await,
        "RJCT AM04 BALANCE_INSUFFICIENT amount"
    );
    // An empty cycle completes when it is asked to settle; then the fund is free, and releases.
    town.set_time(CUT_OFF_MS).await;
    town.step(Step::Close, CYCLE).await;
    town.step(Step::Net, CYCLE).await;
    assert_eq!(
        town.step(Step::Settle, CYCLE).await.state(),
        v1::CycleState::Completed
    );
    assert_eq!(status(&town, A, 1).await, "ACSC");
    assert_eq!(town.books().await.balance(A, "USD"), "0.00");
}

#[tokio::test]
async fn what_is_left_behind_rolls_over_and_settles_there() {
    let town = Town::start().await;
    town.open_cycle(CYCLE).await;
    assert_eq!(
        send(&town, net(1, A, B, "100.00", "USD")).await,
        format!("ACTC {CYCLE}")
    );
    assert_eq!(
        send(&town, net(2, C, D, "10.00", "USD")).await,
        format!("ACTC {CYCLE}")
    );
    town.set_time(CUT_OFF_MS).await;
    town.step(Step::Close, CYCLE).await;
    town.step(Step::Net, CYCLE).await;
    town.pay_in(C, "10.00", "USD", CYCLE).await;
    open_later(&town, NEXT, 6).await;
    town.set_time(PAY_IN_MS).await;
    let cycle = town.step(Step::Settle, CYCLE).await;
    assert_eq!((cycle.settled, cycle.left_behind), (1, 1));
    town.pay_in(A, "30.00", "USD", CYCLE).await;
    town.set_time(COMPLETION_MS).await;
    let cycle = town.step(Step::Settle, CYCLE).await;
    assert_eq!(cycle.state(), v1::CycleState::Completed);
    assert_eq!(
        status(&town, A, 1).await,
        format!("ACTC {NEXT}"),
        "revocable again"
    );
    assert_eq!(
        town.books().await.position(A, "USD").available,
        "30.00",
        "what remains is free again"
    );
    let six = 6 * crate::support::HOUR_MS;
    town.set_time(CUT_OFF_MS + six).await;
    town.step(Step::Close, NEXT).await;
    town.step(Step::Net, NEXT).await;
    assert_eq!(
        town.movement(v1::MovementKind::Transfer, A, "30.00", "USD", NEXT)
            .await,
        "ACSC"
    );
    town.pay_in(A, "70.00", "USD", NEXT).await;
    assert_eq!(town.step(Step::Settle, NEXT).await.settled, 1);
    assert_eq!(status(&town, B, 1).await, "ACSC");
}

#[tokio::test]
async fn what_is_left_behind_is_rejected_without_a_next_cycle() {
    let town = Town::start().await;
    town.open_cycle(CYCLE).await;
    send(&town, net(1, A, B, "100.00", "USD")).await;
    town.set_time(CUT_OFF_MS).await;
    town.step(Step::Close, CYCLE).await;
    town.step(Step::Net, CYCLE).await;
    town.pay_in(A, "99.99", "USD", CYCLE).await;
    town.set_time(PAY_IN_MS).await;
    town.step(Step::Settle, CYCLE).await;
    town.set_time(COMPLETION_MS).await;
    assert_eq!(
        town.step(Step::Settle, CYCLE).await.state(),
        v1::CycleState::Completed
    );
    assert_eq!(status(&town, A, 1).await, "RJCT AB03 EXPIRED_IN_QUEUE");
    let books = town.books().await;
    assert_eq!(
        (books.balance(A, "USD"), books.balance(B, "USD")),
        ("99.99", "0.00"),
        "nobody lost principal"
    );
    let pay_in = v1::MovementKind::PayIn;
    assert_eq!(
        town.movement(pay_in, A, "1.00", "USD", CYCLE).await,
        "RJCT NARR CYCLE_NOT_TAKING cycle"
    );
}

#[tokio::test]
async fn killed_between_the_steps_it_goes_on() {
    let mut town = Town::start().await;
    town.open_cycle(CYCLE).await;
    send(&town, net(1, A, B, "100.00", "USD")).await;
    send(&town, net(2, B, A, "40.00", "USD")).await;
    town.set_time(CUT_OFF_MS).await;
    for (step, state) in [
        (Step::Close, v1::CycleState::Closed),
        (Step::Net, v1::CycleState::Settling),
        (Step::Settle, v1::CycleState::Completed),
    ] {
        if let Step::Settle = step {
            town.pay_in(A, "60.00", "USD", CYCLE).await;
        }
        let books = town.books().await;
        town.world.server.kill();
        town.start_again().await;
        assert_eq!(town.books().await, books);
        assert_eq!(twice(&town, step, CYCLE).await.state(), state);
    }
    let cycle = town.cycle(CYCLE).await;
    town.restart().await;
    assert_eq!(town.cycle(CYCLE).await, cycle);
    assert_eq!(town.books().await.balance(B, "USD"), "60.00");
    assert_eq!(MORNING_MS, CUT_OFF_MS - 5 * crate::support::HOUR_MS);
}
