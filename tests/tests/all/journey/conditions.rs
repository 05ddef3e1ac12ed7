//! Conditions, groups, priorities and what is kept for them, over real gRPC and through a restart.

use super::{send, status};
use crate::support::{A, B, C, HOUR_MS, SECRET, SECRET_HASH, Town, failure, shown};
use valuta_proto::v1;
use valuta_tests::scheme::{MORNING_MS, payment, timestamp, uetr_text};

fn under(instruction: v1::Instruction, conditions: v1::Conditions) -> v1::Instruction {
    v1::Instruction {
        conditions: Some(conditions),
        ..instruction
    }
}

async fn approve(town: &Town, by: &str, of: &str, uetr: u128) -> String {
    let request = v1::ApproveInstructionRequest {
        request_id: town.request_id(),
        created: None,
        uetr: uetr_text(uetr),
        instructing: of.to_owned(),
        kind: v1::Kind::Payment.into(),
    };
    match town
        .client(by)
        .await
        .payments
        .approve_instruction(request)
        .await
    {
        Ok(answer) => shown(&answer.into_inner().status.unwrap()),
        Err(status) => failure(&status),
    }
}

async fn show_preimage(town: &Town, by: &str, of: &str, uetr: u128, preimage: &[u8]) -> String {
    let request = v1::ShowPreimageRequest {
        request_id: town.request_id(),
        created: None,
        uetr: uetr_text(uetr),
        instructing: of.to_owned(),
        kind: v1::Kind::Payment.into(),
        preimage: preimage.to_vec(),
    };
    match town.client(by).await.payments.show_preimage(request).await {
        Ok(answer) => shown(&answer.into_inner().status.unwrap()),
        Err(status) => failure(&status),
    }
}

async fn progress(town: &Town, bic: &str, uetr: u128) -> Option<v1::ConditionsProgress> {
    let request = v1::GetInstructionRequest {
        uetr: uetr_text(uetr),
        min_sequence: 0,
    };
    let mut client = town.client(bic).await;
    let answer = client.payments.get_instruction(request).await.unwrap();
    answer.into_inner().instructions.remove(0).conditions
}

#[tokio::test]
async fn approvals_and_a_preimage_release_a_payment_after_a_restart_too() {
    let mut town = Town::funded().await;
    let conditions = v1::Conditions {
        approvers: vec![B.to_owned(), C.to_owned()],
        approvals_needed: 2,
        hash_lock: SECRET_HASH.to_vec(),
        ..Default::default()
    };
    let waiting = under(payment(1, A, B, "10.00", "USD"), conditions);
    assert_eq!(send(&town, waiting).await, "PDNG APPROVAL");
    assert_eq!(approve(&town, C, A, 1).await, "PDNG APPROVAL");
    // Again, and by nobody that it names.
    assert_eq!(approve(&town, C, A, 1).await, "PDNG APPROVAL");
    let refused = approve(&town, A, A, 1).await;
    assert!(refused.starts_with("PermissionDenied"), "{refused}");
    // An approver is a party: it sees whom it waits for.
    let seen = progress(&town, C, 1).await.unwrap();
    assert_eq!(seen.approved_by, [C]);
    assert_eq!(seen.approvals_missing, [B]);
    assert_eq!(
        (seen.approvals_outstanding, seen.preimage_shown),
        (1, false)
    );
    town.restart().await;
    assert_eq!(approve(&town, B, A, 1).await, "PDNG PREIMAGE");
    let refused = show_preimage(&town, C, A, 1, b"guess").await;
    assert!(refused.starts_with("InvalidArgument"), "{refused}");
    assert_eq!(show_preimage(&town, C, A, 1, SECRET).await, "ACSC");
    assert_eq!(progress(&town, A, 1).await, None);
}

#[tokio::test]
async fn a_group_of_two_banks_settles_together_and_an_expiry_takes_it_whole() {
    let town = Town::funded().await;
    let group = |members, expires_at| v1::Conditions {
        group_id: "e3b0c442".to_owned(),
        group_members: members,
        expires_at,
        ..Default::default()
    };
    let one = under(payment(1, A, B, "10.00", "USD"), group(2, None));
    assert_eq!(send(&town, one).await, "PDNG GROUP");
    assert_eq!(progress(&town, A, 1).await.unwrap().group_ready, 1);
    let two = under(payment(2, B, C, "5.00", "USD"), group(2, None));
    assert_eq!(send(&town, two).await, "ACSC");
    assert_eq!(status(&town, A, 1).await, "ACSC");
    let soon = Some(timestamp(MORNING_MS + HOUR_MS));
    let three = under(payment(3, A, B, "10.00", "USD"), group(3, soon));
    let four = under(payment(4, B, C, "5.00", "USD"), group(3, None));
    assert_eq!(send(&town, three).await, "PDNG GROUP");
    assert_eq!(send(&town, four).await, "PDNG GROUP");
    town.set_time(MORNING_MS + HOUR_MS).await;
    let incomplete = "RJCT NARR GROUP_INCOMPLETE conditions.group_id";
    assert_eq!(status(&town, A, 3).await, incomplete);
    assert_eq!(status(&town, B, 4).await, incomplete);
}

#[tokio::test]
async fn what_is_kept_for_urgent_ones_is_shown_and_left() {
    let town = Town::funded().await;
    let request = v1::SetReservationRequest {
        request_id: town.request_id(),
        created: None,
        participant: A.to_owned(),
        asset: "USD".to_owned(),
        priority: v1::Priority::Urgent.into(),
        amount: "999990.00".to_owned(),
    };
    let mut bank = town.client(A).await;
    bank.admin.set_reservation(request).await.unwrap();
    let position = town.books().await.position(A, "USD").clone();
    assert_eq!(position.kept_urgent, "999990.00");
    assert_eq!(send(&town, payment(1, A, B, "10.00", "USD")).await, "ACSC");
    assert_eq!(
        send(&town, payment(2, A, B, "0.01", "USD")).await,
        "PDNG LIQUIDITY"
    );
    let request = v1::SetPriorityRequest {
        request_id: town.request_id(),
        created: None,
        uetr: uetr_text(2),
        kind: v1::Kind::Payment.into(),
        priority: v1::Priority::Urgent.into(),
    };
    let answer = bank.payments.set_priority(request).await.unwrap();
    assert_eq!(shown(&answer.into_inner().status.unwrap()), "ACSC");
}
