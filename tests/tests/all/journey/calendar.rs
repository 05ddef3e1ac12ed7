//! Cut-offs per asset: an opened cycle keeps them, whatever the calendar becomes, restart included.

use super::{cancel, net, send};
use crate::support::{A, B, CUT_OFF_MS, CYCLE, HOUR_MS, PAY_IN_MS, Step, Town};
use valuta_proto::v1;
use valuta_tests::scheme::{MORNING_MS, payment, scheme, timestamp};

fn cut_off(asset: &str, purpose: v1::CutOffPurpose, time: &str) -> v1::AssetCutOff {
    v1::AssetCutOff {
        asset: asset.to_owned(),
        purpose: purpose.into(),
        zone: "Asia/Tokyo".to_owned(),
        time: time.to_owned(),
        days_before: 0,
    }
}

async fn apply(town: &Town, asset_cut_offs: Vec<v1::AssetCutOff>, days: Vec<v1::AssetDay>) -> u32 {
    let request = v1::ApplySchemeRequest {
        request_id: town.request_id(),
        created: None,
        scheme: Some(v1::Scheme {
            asset_cut_offs,
            days,
            ..scheme()
        }),
    };
    let answer = town.operator().admin.apply_scheme(request).await;
    answer.unwrap().into_inner().changes
}

/// Tokyo is nine hours ahead: 18:00 there is 09:00 UTC, an hour after the morning.
#[tokio::test]
async fn an_opened_cycle_keeps_its_assets_instants() {
    use v1::CutOffPurpose::{Cancel, Close, Customer, PayIn};
    let mut town = Town::start().await;
    let lines = vec![
        cut_off("JPY", Cancel, "17:30"),
        cut_off("JPY", PayIn, "23:00"),
        cut_off("JPY", Close, "18:00"),
        cut_off("EUR", Customer, "18:00"),
    ];
    assert_eq!(apply(&town, lines.clone(), Vec::new()).await, 4);
    assert_eq!(apply(&town, lines, Vec::new()).await, 0);
    let opened = town.open_cycle(CYCLE).await;
    assert_eq!(
        (opened.calendar_version.len(), opened.cut_offs.len()),
        (32, 4)
    );
    let joined = send(&town, net(1, A, B, "1000", "JPY")).await;
    assert_eq!(joined, format!("ACTC {CYCLE}"));
    // Later, earlier, lifted; and a holiday that does not touch today.
    let changed = vec![
        cut_off("JPY", Cancel, "23:30"),
        cut_off("JPY", PayIn, "16:00"),
        cut_off("JPY", Close, ""),
        cut_off("EUR", Customer, "20:00"),
    ];
    let holiday = v1::AssetDay {
        asset: "JPY".to_owned(),
        date: "2026-11-24".to_owned(),
        kind: v1::DayKind::Holiday.into(),
    };
    assert_eq!(apply(&town, changed, vec![holiday]).await, 5);
    town.restart().await;
    let kept = town.cycle(CYCLE).await;
    assert_eq!(kept.cut_offs, opened.cut_offs);
    assert_eq!(kept.calendar_version, opened.calendar_version);
    let next = town.open_cycle("2026-11-25/1").await;
    assert_ne!(next.calendar_version, opened.calendar_version);
    assert_eq!(next.cut_offs.len(), 3);
    town.set_time(MORNING_MS + HOUR_MS).await;
    let late = "RJCT TM01 PAST_ASSET_CUT_OFF legs[0].asset";
    assert_eq!(send(&town, net(2, A, B, "1000", "JPY")).await, late);
    assert_eq!(send(&town, net(3, A, B, "1.00", "EUR")).await, late);
    let refused = cancel(&town, A, 1, v1::Kind::Payment).await;
    assert!(refused.contains("FailedPrecondition"), "{refused}");
    // The gross lane goes by the scheme as it is now: euro until 20:00.
    let gross = |uetr| payment(uetr, A, B, "1.00", "EUR");
    assert!(send(&town, gross(4)).await.starts_with("PDNG"));
    town.set_time(MORNING_MS + 3 * HOUR_MS).await;
    assert_eq!(send(&town, gross(5)).await, late);
    town.set_time(CUT_OFF_MS).await;
    town.step(Step::Close, CYCLE).await;
    let netted = town.step(Step::Net, CYCLE).await;
    let deadline = netted.positions[0].pay_in_deadline;
    assert_eq!(deadline, Some(timestamp(MORNING_MS + 6 * HOUR_MS)));
    const { assert!(MORNING_MS + 6 * HOUR_MS < PAY_IN_MS) };
}
