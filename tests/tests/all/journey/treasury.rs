//! A treasury's questions: why something waits, what would free it, what would happen if, what is needed.

use super::{net, send};
use crate::support::{A, B, C, CYCLE, PAY_IN_MS, Step, Town, failure};
use valuta_proto::v1;
use valuta_proto::v1::change::Change;
use valuta_tests::scheme::{TODAY, payment, uetr_text};

async fn explained(town: &Town, who: &str, uetr: u128) -> String {
    let request = v1::ExplainRequest {
        uetr: uetr_text(uetr),
        min_sequence: 0,
    };
    let answer = town.client(who).await.treasury.explain(request).await;
    let explanations = match answer {
        Ok(answer) => answer.into_inner().explanations,
        Err(status) => return failure(&status),
    };
    let words = explanations.iter().map(|found| {
        format!(
            "{} {} {} {} {}",
            found.test, found.participant, found.asset, found.missing, found.smallest_pay_in
        )
    });
    words.collect::<Vec<_>>().join("; ")
}

fn pay_in(bic: &str, asset: &str, amount: &str) -> Change {
    Change::PayIn(v1::AccountAmount {
        participant: bic.to_owned(),
        asset: asset.to_owned(),
        amount: amount.to_owned(),
        counterparty: String::new(),
    })
}

async fn supposed(
    town: &Town,
    cycle: &str,
    changes: Vec<Change>,
) -> Result<v1::WhatIfResponse, String> {
    let change = |change| v1::Change {
        change: Some(change),
    };
    let request = v1::WhatIfRequest {
        cycle: cycle.to_owned(),
        changes: changes.into_iter().map(change).collect(),
        min_sequence: 0,
    };
    let answer = town
        .client("TREASURY")
        .await
        .treasury
        .what_if(request)
        .await;
    answer
        .map(tonic::Response::into_inner)
        .map_err(|status| failure(&status))
}

#[tokio::test]
async fn what_waits_says_why_and_what_frees_it() {
    let town = Town::start().await;
    town.deposit(A, "10.00", "USD").await;
    send(&town, payment(1, A, B, "25.00", "USD")).await;
    send(&town, payment(2, B, C, "20.00", "USD")).await;
    assert_eq!(
        explained(&town, A, 1).await,
        "floor AAAAUS33 USD 15.00 15.00"
    );
    // C is to be paid by B, and is not told of B's account.
    assert_eq!(explained(&town, C, 2).await, "floor    ");
    assert_eq!(
        explained(&town, "TREASURY", 2).await,
        "floor BBBBDEFF USD 20.00 20.00"
    );
    // B has no part in an instruction that nobody sent, nor C in the first.
    for (who, uetr) in [(B, 9), (C, 1)] {
        let answer = explained(&town, who, uetr).await;
        assert!(answer.starts_with("NotFound"), "{answer}");
    }
    let waiting = v1::ListWaitingRequest {
        page_size: 1,
        ..Default::default()
    };
    let mut treasury = town.client("TREASURY").await.treasury;
    let first = treasury
        .list_waiting(waiting.clone())
        .await
        .unwrap()
        .into_inner();
    let second = v1::ListWaitingRequest {
        page_token: first.next_page_token.clone(),
        ..waiting
    };
    let second = treasury.list_waiting(second).await.unwrap().into_inner();
    let uetrs = [&first, &second].map(|page| page.waiting[0].status.clone().unwrap().uetr);
    assert_eq!(uetrs, [uetr_text(1), uetr_text(2)]);
    assert!(second.next_page_token.is_empty());

    // As supposed, so it goes: 15.00 for A frees both, for B pays on what it gets.
    let view = supposed(&town, "", vec![pay_in(A, "USD", "15.00")])
        .await
        .unwrap();
    let settles: Vec<_> = view
        .settles
        .iter()
        .map(|status| status.uetr.clone())
        .collect();
    assert_eq!(settles, uetrs);
    assert_eq!(view.funding_in_base, "15.00");
    assert_eq!(view.after.unwrap().waiting, 0);
    town.deposit(A, "14.99", "USD").await;
    assert_eq!(explained(&town, A, 1).await, "floor AAAAUS33 USD 0.01 0.01");
    town.deposit(A, "0.01", "USD").await;
    assert_eq!(explained(&town, A, 1).await, "", "it has settled");
    town.books().await;
}

#[tokio::test]
async fn what_if_names_what_it_cannot_suppose() {
    let town = Town::start().await;
    let check = async |change: Change, expected: &str| {
        let refused = supposed(&town, "", vec![change]).await.unwrap_err();
        assert!(refused.contains(expected), "{refused}");
    };
    check(pay_in(A, "XXX", "1"), "changes[0].pay_in.asset").await;
    check(pay_in("bad", "USD", "1"), "changes[0].pay_in.participant").await;
    check(pay_in(A, "USD", "0.001"), "changes[0].pay_in.amount").await;
    check(Change::Cancel(99), "changes[0].instruction").await;
    check(
        Change::Suspend("ZZZZUS33".to_owned()),
        "changes[0].participant",
    )
    .await;
    let refused = supposed(&town, "2026-11-20/9", vec![]).await.unwrap_err();
    assert!(refused.starts_with("NotFound"), "{refused}");
}

#[tokio::test]
async fn funding_is_known_days_ahead() {
    let town = Town::start().await;
    town.open_cycle(CYCLE).await;
    send(&town, net(1, A, B, "7.00", "USD")).await;
    town.deposit(B, "1.00", "EUR").await;
    send(&town, payment(2, B, C, "3.00", "EUR")).await;
    let request = v1::GetProjectedFundingRequest::default();
    let rows = async |who: &str| {
        let mut treasury = town.client(who).await.treasury;
        let answer = treasury
            .get_projected_funding(request.clone())
            .await
            .unwrap();
        let rows = answer.into_inner().rows.into_iter();
        let words = rows.map(|row| {
            assert_eq!(row.value_date, TODAY);
            format!(
                "{} {} needs {}",
                &row.participant[..1],
                row.asset,
                row.needed
            )
        });
        words.collect::<Vec<_>>()
    };
    assert_eq!(
        rows("TREASURY").await,
        [
            "A USD needs 7.00",
            "B EUR needs 2.00",
            "B USD needs 0.00",
            "C EUR needs 0.00"
        ]
    );
    assert_eq!(rows(A).await, ["A USD needs 7.00"]);
    // In its cycle, the same what-if as the run will find.
    town.set_time(crate::support::CUT_OFF_MS).await;
    town.step(Step::Close, CYCLE).await;
    town.step(Step::Net, CYCLE).await;
    let view = supposed(&town, CYCLE, vec![pay_in(A, "USD", "7.00")])
        .await
        .unwrap();
    assert_eq!(view.settles.len(), 1);
    town.set_time(PAY_IN_MS - 60_000).await;
    town.pay_in(A, "7.00", "USD", CYCLE).await;
    // The run is beside the engine's thread.
    let settled = async {
        while town.cycle(CYCLE).await.settled == 0 {
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
    };
    let settled = tokio::time::timeout(std::time::Duration::from_secs(30), settled);
    settled.await.expect("what the pay-in frees settles");
}
