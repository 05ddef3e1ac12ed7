//! The demo as the README runs it, and every receipt of its day.

use std::collections::BTreeSet;
use std::process::Command;
use valuta_proto::v1;
use valuta_tests::Server;
use valuta_tests::server::valuta;
use valuta_verify::{Policy, verify};

const INSTRUCTIONS: &str = "3000";

#[tokio::test(flavor = "multi_thread")]
async fn every_receipt_of_a_whole_demo_verifies() {
    let dir = tempfile::tempdir().unwrap();
    let keep = dir.path().join("day");
    let demo = Command::new(valuta())
        .args([
            "demo",
            "--instructions",
            INSTRUCTIONS,
            "--seed",
            "7",
            "--keep",
        ])
        .arg(&keep)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&demo.stdout);
    assert!(
        demo.status.success(),
        "{said}{}",
        String::from_utf8_lossy(&demo.stderr)
    );
    let policy = std::fs::read_to_string(keep.join("policy.txt")).unwrap();
    let policy = Policy::parse(&policy).unwrap();

    let server = Server::start(&keep.join("data")).unwrap();
    let token = server.operator_token().unwrap();
    let mut operator = server.client(&token).await.unwrap();
    let status = operator.admin.get_status(v1::GetStatusRequest {}).await;
    let status = status.unwrap().into_inner();
    let mut verified = BTreeSet::new();
    for batch in 1..=status.batches {
        let request = v1::ListReceiptsRequest { batch, wait: true };
        let answers = operator.ledger.list_receipts(request).await.unwrap();
        let mut answers = answers.into_inner();
        while let Some(answer) = answers.message().await.unwrap() {
            let proven = verify(&answer.receipt, &policy)
                .unwrap_or_else(|error| panic!("batch {batch}, {}: {error}", answer.uetr));
            assert_eq!(proven.batch, batch);
            assert!(verified.insert(proven.content), "{} twice", answer.uetr);
        }
    }
    assert_eq!(verified.len() as u64, status.settled);
}
