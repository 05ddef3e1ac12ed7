//! A treasury's questions: why something waits, what would free it, what would happen if, what is needed.

use super::{net, send};
use crate::support::{A, B, C, CUT_OFF_MS, CYCLE, D, PAY_IN_MS, Step, Town, failure, submit};
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
    town.set_time(CUT_OFF_MS).await;
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

/// One small book, solved from a file and queued in a server: both give the same reasons.
#[tokio::test]
async fn a_file_and_the_server_explain_alike() {
    let book = serde_json::json!({
        "accounts": [
            {"participant": A, "asset": "USD", "amount": "0.50"},
            {"participant": B, "asset": "EUR", "amount": "5.00"},
            {"participant": A, "asset": "KWD", "amount": "10.000"},
        ],
        "bilateral_caps": [{"from": A, "to": B, "asset": "KWD", "amount": "3.000"}],
        "queue": [
            leg("1", "high", "g", A, B, "USD", "25.00"),
            leg("2", "normal", "", A, C, "USD", "1.00"),
            leg("3", "normal", "g", B, C, "EUR", "5.00"),
            leg("4", "urgent", "", D, C, "USD", "2.00"),
            leg("5", "normal", "", B, A, "EUR", "1.00"),
            leg("6", "normal", "", C, A, "USD", "2.00"),
            leg("7", "high", "h", B, A, "KWD", "2.000"),
            leg("8", "normal", "h", D, A, "EUR", "3.00"),
            leg("9", "normal", "", A, B, "KWD", "4.000"),
        ],
    });
    let town = Town::start().await;
    let path = town.dir.path().join("book.json");
    std::fs::write(&path, book.to_string()).unwrap();
    let solved = valuta_tests::server::valuta();
    let solved = std::process::Command::new(solved)
        .args(["solve", "--output", "json"])
        .arg(&path)
        .output()
        .unwrap();
    let solved: serde_json::Value = serde_json::from_slice(&solved.stdout).unwrap();
    assert_eq!(solved["settled"], serde_json::json!([]));

    let mut operator = town.operator();
    let request = v1::SetLimitRequest {
        limit: Some(v1::Limit {
            participant: A.to_owned(),
            asset: "KWD".to_owned(),
            counterparty: B.to_owned(),
            amount: "3.000".to_owned(),
        }),
        created: None,
        request_id: town.request_id(),
    };
    operator.admin.set_limit(request).await.unwrap();
    for line in book["accounts"].as_array().unwrap() {
        let text = |field: &str| line[field].as_str().unwrap();
        town.deposit(text("participant"), text("amount"), text("asset"))
            .await;
    }
    let mut ids = std::collections::BTreeMap::new();
    for (number, line) in (1..).zip(book["queue"].as_array().unwrap()) {
        let client = &mut town
            .client(line["legs"][0]["debtor"].as_str().unwrap())
            .await;
        submit(client, queued(number, line)).await;
        ids.insert(uetr_text(number), line["id"].as_str().unwrap().to_owned());
    }
    town.set_time(valuta_tests::scheme::MORNING_MS + 1_000)
        .await;

    let request = v1::ListWaitingRequest::default();
    let mut treasury = town.client("TREASURY").await.treasury;
    let waiting = treasury.list_waiting(request).await.unwrap().into_inner();
    let sequences: std::collections::BTreeMap<u64, String> = waiting
        .waiting
        .iter()
        .map(|view| view.status.as_ref().unwrap())
        .map(|status| (status.sequence, ids[&status.uetr].clone()))
        .collect();
    let live = waiting.waiting.iter().map(|view| {
        let status = view.status.as_ref().unwrap();
        let behind = sequences.get(&view.behind).cloned().unwrap_or_default();
        format!(
            "{} {} {behind} {} {} {} {}",
            ids[&status.uetr],
            view.test,
            view.participant,
            view.asset,
            view.missing,
            view.smallest_pay_in
        )
    });
    let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
    let offline = solved["waiting"].as_array().unwrap().iter().map(|view| {
        format!(
            "{} {} {} {} {} {} {}",
            text(&view["id"]),
            text(&view["test"]),
            text(&view["behind"]),
            text(&view["participant"]),
            text(&view["asset"]),
            text(&view["missing"]),
            text(&view["smallest_pay_in"]["amount"])
        )
    });
    let (mut live, mut offline): (Vec<_>, Vec<_>) = (live.collect(), offline.collect());
    live.sort();
    offline.sort();
    assert_eq!(live, offline);
    for test in ["group", "order", "floor", "bilateral_cap"] {
        assert!(
            live.iter().any(|line| line.contains(test)),
            "{test}: {live:?}"
        );
    }
    town.books().await;
}

fn leg(
    id: &str,
    priority: &str,
    group: &str,
    debtor: &str,
    creditor: &str,
    asset: &str,
    amount: &str,
) -> serde_json::Value {
    let mut line = serde_json::json!({
        "id": id,
        "priority": priority,
        "legs": [{"debtor": debtor, "creditor": creditor, "asset": asset, "amount": amount}],
    });
    if !group.is_empty() {
        line["group"] = group.into();
    }
    line
}

fn queued(number: u128, line: &serde_json::Value) -> v1::Instruction {
    let leg = |field: &str| line["legs"][0][field].as_str().unwrap();
    let sent = payment(
        number,
        leg("debtor"),
        leg("creditor"),
        leg("amount"),
        leg("asset"),
    );
    v1::Instruction {
        priority: match line["priority"].as_str() {
            Some("urgent") => v1::Priority::Urgent,
            Some("high") => v1::Priority::High,
            _ => v1::Priority::Normal,
        }
        .into(),
        conditions: line["group"].as_str().map(|group| v1::Conditions {
            group_id: group.to_owned(),
            group_members: 2,
            ..Default::default()
        }),
        ..sent
    }
}

async fn waits_for(town: &Town, who: &str, uetr: u128) -> (String, v1::Awaited) {
    let request = v1::ExplainRequest {
        uetr: uetr_text(uetr),
        min_sequence: 0,
    };
    let answer = town.client(who).await.treasury.explain(request).await;
    let mut found = answer.unwrap().into_inner().explanations;
    let view = found.remove(0);
    (view.test, view.awaited.unwrap_or_default())
}

#[tokio::test]
async fn conditions_are_explained_and_listed_to_those_asked() {
    let town = Town::start().await;
    let asks = |conditions: v1::Conditions| v1::Instruction {
        conditions: Some(conditions),
        ..payment(1, A, B, "25.00", "USD")
    };
    send(
        &town,
        asks(v1::Conditions {
            approvers: vec![B.to_owned(), C.to_owned()],
            approvals_needed: 2,
            hash_lock: vec![7; 32],
            ..Default::default()
        }),
    )
    .await;
    for who in [A, C, "TREASURY"] {
        let (test, awaited) = waits_for(&town, who, 1).await;
        let progress = awaited.progress.unwrap();
        assert_eq!(test, "approval", "{who}");
        assert_eq!(progress.approvals_missing, [B, C]);
        assert_eq!(progress.approvals_outstanding, 2);
        assert_eq!(&awaited.hash_lock[..], [7; 32]);
        assert!(awaited.until.is_some());
    }
    let asked = async |who: &str, mine: bool, sequence: u64| {
        let request = v1::ListInstructionsRequest {
            awaiting_my_approval: mine,
            min_sequence: sequence,
            ..Default::default()
        };
        let answer = town
            .client(who)
            .await
            .payments
            .list_instructions(request)
            .await;
        answer.map(|answer| answer.into_inner().instructions.len())
    };
    let sequence = operator_sequence(&town).await;
    for (who, all, mine) in [(A, 1, 0), (B, 1, 1), (C, 1, 1), (D, 0, 0)] {
        assert_eq!(asked(who, false, sequence).await.unwrap(), all, "{who}");
        assert_eq!(asked(who, true, sequence).await.unwrap(), mine, "{who}");
    }
    let refused = failure(&asked("TREASURY", true, 0).await.unwrap_err());
    assert!(refused.contains("participant"), "{refused}");
    let approve = v1::ApproveInstructionRequest {
        request_id: town.request_id(),
        uetr: uetr_text(1),
        instructing: A.to_owned(),
        kind: v1::Kind::Payment.into(),
        created: None,
    };
    let approved = town
        .client(C)
        .await
        .payments
        .approve_instruction(approve)
        .await;
    let sequence = approved.unwrap().into_inner().sequence;
    assert_eq!(
        asked(C, true, sequence).await.unwrap(),
        0,
        "it has approved"
    );
    assert_eq!(asked(B, true, sequence).await.unwrap(), 1);
    let (test, awaited) = waits_for(&town, B, 1).await;
    let progress = awaited.progress.unwrap();
    assert_eq!(
        (test.as_str(), progress.approvals_outstanding),
        ("approval", 1)
    );
    assert_eq!(progress.approved_by, [C]);
}

async fn operator_sequence(town: &Town) -> u64 {
    let request = v1::ListWaitingRequest::default();
    let mut treasury = town.client("TREASURY").await.treasury;
    treasury
        .list_waiting(request)
        .await
        .unwrap()
        .into_inner()
        .sequence
}

/// A cycle's run that passes one payment before another, and caps that hold back a cycle's member.
#[tokio::test]
async fn a_batch_says_that_order_was_bypassed_and_a_member_that_a_cap_binds() {
    let town = Town::start().await;
    let mut operator = town.operator();
    let model = v1::SettlementModel {
        funding: v1::FundingModel::Prefunded.into(),
        order: v1::SettlementOrder::BypassedByCount.into(),
    };
    let request = v1::SetRiskRequest {
        request_id: town.request_id(),
        rule: Some(v1::RiskRule {
            rule: Some(v1::risk_rule::Rule::Model(model)),
        }),
        created: None,
    };
    operator.admin.set_risk(request).await.unwrap();
    town.open_cycle(CYCLE).await;
    for instruction in [
        net(1, A, B, "150.00", "USD"),
        net(2, A, C, "1.00", "USD"),
        net(3, B, C, "7.00", "USD"),
    ] {
        send(&town, instruction).await;
    }
    // It was accepted without one.
    let request = v1::SetLimitRequest {
        limit: Some(v1::Limit {
            participant: A.to_owned(),
            asset: "USD".to_owned(),
            counterparty: B.to_owned(),
            amount: "100.00".to_owned(),
        }),
        created: None,
        request_id: town.request_id(),
    };
    operator.admin.set_limit(request).await.unwrap();
    town.set_time(CUT_OFF_MS).await;
    town.step(Step::Close, CYCLE).await;
    town.step(Step::Net, CYCLE).await;
    town.pay_in(A, "151.00", "USD", CYCLE).await;
    town.set_time(PAY_IN_MS + 60_000).await;
    let batches = async || {
        let request = v1::ListBatchesRequest {
            cycle: CYCLE.to_owned(),
            min_sequence: operator_sequence(&town).await,
            ..Default::default()
        };
        let mut settlement = town.operator().settlement;
        let answer = settlement.list_batches(request).await.unwrap().into_inner();
        answer.batches
    };
    let mut found = batches().await;
    while found.is_empty() {
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        found = batches().await;
    }
    let [batch] = &found[..] else {
        panic!("{found:?}");
    };
    assert_eq!(
        (batch.order(), batch.optimal),
        (v1::BatchOrder::Bypassed, true)
    );
    let request = v1::ListUnsettledRequest {
        cycle: CYCLE.to_owned(),
        ..Default::default()
    };
    let mut settlement = town.operator().settlement;
    let left = settlement
        .list_unsettled(request)
        .await
        .unwrap()
        .into_inner();
    let left: Vec<_> = left
        .unsettled
        .iter()
        .map(|view| format!("{} {} {}", view.test, view.participant, view.missing))
        .collect();
    assert_eq!(
        left,
        ["bilateral_cap AAAAUS33 50.00", "floor BBBBDEFF 7.00"]
    );
    town.books().await;
}
