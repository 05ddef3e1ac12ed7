//! What an instruction must obey: parties, accounts, limits, dates; and which of two faults is answered.

use super::{
    CAP, DAY_MS, Desk, Door, E, F, LIMIT, Mutate, add_legs, amount, instructed, leg, net, send,
    trade,
};
use crate::support::{A, B, C, CUT_OFF_MS, CYCLE, D};
use valuta_proto::v1;
use valuta_tests::scheme::{MORNING_MS, TODAY, timestamp};

#[tokio::test]
async fn parties_and_accounts_must_be_there_and_open() {
    let mut desk = Desk::open().await;
    desk.check_all(&[
        (
            "RJCT AG12 ACCOUNTS_MUST_BE_DIFFERENT legs[0].creditor",
            |i| leg(i, A, "10.00", "USD"),
        ),
        ("RJCT DNOR DEBTOR_UNKNOWN legs[0].debtor", |i| {
            i.legs[0].debtor = "ZZZZUS33".into()
        }),
        ("RJCT CNOR CREDITOR_UNKNOWN legs[0].creditor", |i| {
            leg(i, "ZZZZUS33", "10.00", "USD")
        }),
        ("RJCT CNOR CREDITOR_UNKNOWN legs[0].creditor", |i| {
            i.legs[0].creditor.push_str("XXX")
        }),
        ("RJCT NARR DEBTOR_MUST_INSTRUCT legs[0].debtor", |i| {
            i.legs[0].debtor = C.into()
        }),
        ("RJCT NARR DEBTOR_MUST_INSTRUCT legs[1].debtor", |i| {
            add_legs(i, 2);
            i.legs[1].debtor = C.into();
        }),
        ("RJCT AC03 CREDITOR_ACCOUNT_UNKNOWN legs[0].creditor", |i| {
            leg(i, F, "10", "JPY")
        }),
        ("RJCT AC07 CREDITOR_ACCOUNT_CLOSED legs[0].creditor", |i| {
            leg(i, F, "10.00", "USD")
        }),
        ("RJCT AC06 ACCOUNT_BLOCKED legs[0]", |i| {
            leg(i, F, "10.00", "EUR")
        }),
        ("RJCT AG11 CREDITOR_SUSPENDED legs[0].creditor", |i| {
            leg(i, E, "10.00", "USD")
        }),
        ("RJCT NARR TRADE_MALFORMED legs", |i| {
            (trade(i), i.legs.truncate(1)).0
        }),
        ("RJCT NARR TRADE_MALFORMED legs", |i| {
            (trade(i), i.legs[1].asset = "USD".into()).0
        }),
        ("RJCT NARR TRADE_MALFORMED legs", |i| {
            (trade(i), i.legs[1].debtor = C.into()).0
        }),
        ("RJCT NARR TRADE_MALFORMED legs", |i| {
            (trade(i), add_legs(i, 3)).0
        }),
        ("RJCT NARR DEBTOR_MUST_INSTRUCT legs[0].debtor", |i| {
            trade(i);
            i.legs[0].debtor = C.into();
            i.legs[1].creditor = C.into();
        }),
        ("RJCT NARR QUOTE_UNKNOWN quote_id", |i| {
            i.quote_id = "none".into()
        }),
    ])
    .await;
    for (caller, expected, mutate) in [
        (
            F,
            "RJCT AC02 DEBTOR_ACCOUNT_UNKNOWN legs[0].debtor",
            (|i| leg(i, B, "10", "JPY")) as Mutate,
        ),
        (F, "RJCT AC05 DEBTOR_ACCOUNT_CLOSED legs[0].debtor", |i| {
            leg(i, B, "10.00", "USD")
        }),
        (F, "RJCT AC06 ACCOUNT_BLOCKED legs[0]", |i| {
            leg(i, B, "10.00", "EUR")
        }),
        (E, "RJCT AG10 DEBTOR_SUSPENDED legs[0].debtor", |i| {
            leg(i, B, "10.00", "USD")
        }),
    ] {
        desk.check(caller, expected, mutate).await;
    }
}

#[tokio::test]
async fn limits_and_dates_hold() {
    let mut desk = Desk::open().await;
    desk.check_all(&[
        ("RJCT AM13 ABOVE_INSTRUCTION_LIMIT legs[0].amount", |i| {
            amount(i, "500000.01")
        }),
        ("RJCT AM13 ABOVE_INSTRUCTION_LIMIT legs[0].amount", |i| {
            amount(i, "250000.01");
            add_legs(i, 2);
        }),
        ("RJCT AM14 ABOVE_BILATERAL_CAP legs[0].amount", |i| {
            leg(i, D, "1000.01", "EUR")
        }),
        ("RJCT TM01 PAST_CUT_OFF value_date", |i| {
            net(i, "2026-11-23")
        }),
        ("RJCT DT02 CREATED_TOO_OLD created", |i| {
            i.created = Some(timestamp(MORNING_MS - 400 * DAY_MS - 1))
        }),
        ("RJCT DT02 CREATED_IN_FUTURE created", |i| {
            i.created = Some(timestamp(MORNING_MS + 300_001))
        }),
        ("RJCT DT03 NO_BUSINESS_DAY value_date", |i| {
            i.value_date = "2026-11-21".into()
        }),
        ("RJCT DT03 NO_BUSINESS_DAY value_date", |i| {
            net(i, "2026-11-22")
        }),
        // Thanksgiving in the United States.
        ("RJCT DT03 HOLIDAY_OF_ASSET legs[0].asset", |i| {
            net(i, "2026-11-26")
        }),
        ("RJCT DT04 VALUE_DATE_TOO_FAR_AHEAD value_date", |i| {
            i.value_date = "2026-11-23".into()
        }),
        ("RJCT DT04 VALUE_DATE_TOO_FAR_AHEAD value_date", |i| {
            net(i, "2027-12-27")
        }),
        ("RJCT DT04 VALUE_DATE_TOO_FAR_AHEAD value_date", |i| {
            net(i, "9999-12-31")
        }),
        ("RJCT DT05 VALUE_DATE_IN_PAST value_date", |i| {
            i.value_date = "2026-11-19".into()
        }),
        ("RJCT DT05 VALUE_DATE_IN_PAST value_date", |i| {
            net(i, "2026-11-19")
        }),
        ("RJCT AM12 BALANCE_TOO_LARGE legs[0].amount", |i| {
            net(i, TODAY);
            leg(i, B, "999999999999999999", "JPY");
            add_legs(i, 16);
        }),
    ])
    .await;
    desk.town.set_time(CUT_OFF_MS - 1).await;
    let last = desk.good(A);
    let mut client = desk.town.client(A).await;
    let mut member = last.clone();
    net(&mut member, TODAY);
    assert_eq!(
        send(&mut client, Door::Alone, member).await,
        format!("ACTC {CYCLE}")
    );
    desk.town.set_time(CUT_OFF_MS).await;
    desk.check(A, "RJCT TM01 PAST_CUT_OFF value_date", |i| net(i, TODAY))
        .await;
}

#[tokio::test]
async fn of_two_faults_the_first_in_order_is_answered() {
    let mut desk = Desk::open().await;
    desk.check_all(&[
        ("RJCT NARR LANE_MISSING lane", |i| {
            (i.lane = 0, amount(i, "0")).0
        }),
        ("RJCT NARR PRIORITY_UNKNOWN priority", |i| {
            (i.priority = 9, i.created = None).0
        }),
        ("RJCT NARR VALUE_DATE_MISSING value_date", |i| {
            (i.value_date.clear(), i.legs.clear()).0
        }),
        ("RJCT NARR LEGS_MISSING legs", |i| {
            (i.legs.clear(), i.instruction_id = "x".repeat(36)).0
        }),
        ("RJCT RC01 LEG_DEBTOR_MALFORMED legs[0].debtor", |i| {
            i.legs[0].debtor = "?".into();
            leg(i, "?", "0", "XXX");
        }),
        ("RJCT NARR REMITTANCE_TOO_LONG remittance", |i| {
            i.remittance = "x".repeat(141);
            leg(i, A, "0", "XXX");
        }),
        // By rule first, then by leg: the second leg's currency goes before the first leg's amount.
        ("RJCT AM11 ASSET_UNKNOWN legs[1].asset", |i| {
            add_legs(i, 2);
            amount(i, "0");
            i.legs[1].asset = "XXX".into();
        }),
        (
            "RJCT CH20 AMOUNT_HAS_TOO_MANY_DECIMALS legs[0].amount",
            |i| {
                add_legs(i, 2);
                amount(i, "1.234");
                i.legs[1].amount = "-1".into();
            },
        ),
        ("RJCT AM01 AMOUNT_MUST_NOT_BE_ZERO legs[0].amount", |i| {
            leg(i, A, "0.00", "USD")
        }),
        (
            "RJCT AG12 ACCOUNTS_MUST_BE_DIFFERENT legs[0].creditor",
            |i| {
                i.legs[0].debtor = "ZZZZUS33".into();
                leg(i, "ZZZZUS33", "10.00", "USD");
            },
        ),
        ("RJCT DNOR DEBTOR_UNKNOWN legs[0].debtor", |i| {
            i.legs[0].debtor = "ZZZZUS33".into();
            leg(i, "YYYYUS33", "10.00", "USD");
        }),
        ("RJCT CNOR CREDITOR_UNKNOWN legs[0].creditor", |i| {
            leg(i, "ZZZZUS33", "900000.00", "USD")
        }),
        ("RJCT AC07 CREDITOR_ACCOUNT_CLOSED legs[0].creditor", |i| {
            leg(i, F, "900000.00", "USD")
        }),
        ("RJCT AG11 CREDITOR_SUSPENDED legs[0].creditor", |i| {
            leg(i, E, "900000.00", "USD")
        }),
        ("RJCT AM13 ABOVE_INSTRUCTION_LIMIT legs[0].amount", |i| {
            amount(i, "900000.00");
            net(i, "2026-11-23");
        }),
        ("RJCT AM14 ABOVE_BILATERAL_CAP legs[0].amount", |i| {
            leg(i, D, "1000.01", "EUR");
            i.value_date = "2026-11-21".into();
        }),
        ("RJCT TM01 PAST_CUT_OFF value_date", |i| {
            net(i, "2026-11-23");
            i.created = Some(timestamp(MORNING_MS - 500 * DAY_MS));
        }),
        ("RJCT DT02 CREATED_TOO_OLD created", |i| {
            i.created = Some(timestamp(MORNING_MS - 500 * DAY_MS));
            i.value_date = "2026-11-21".into();
        }),
        ("RJCT DT03 NO_BUSINESS_DAY value_date", |i| {
            i.value_date = "2026-11-15".into()
        }),
        ("RJCT DT05 VALUE_DATE_IN_PAST value_date", |i| {
            i.value_date = "2026-11-19".into();
            i.quote_id = "none".into();
        }),
    ])
    .await;
}

#[tokio::test]
async fn what_is_just_within_is_taken() {
    let mut desk = Desk::open().await;
    let mut client = desk.town.client(A).await;
    let within: &[(&str, Mutate)] = &[
        ("ACSC", |_| {}),
        ("ACSC", |i| amount(i, LIMIT)),
        ("ACSC", |i| leg(i, D, CAP, "EUR")),
        ("ACSC", |i| leg(i, B, "0.001", "KWD")),
        ("ACSC", |i| leg(i, B, "0000000010", "JPY")),
        ("ACSC", |i| {
            i.created = Some(timestamp(MORNING_MS - 400 * DAY_MS))
        }),
        ("ACSC", |i| {
            i.created = Some(timestamp(MORNING_MS + 300_000))
        }),
        ("ACSC", |i| add_legs(i, 16)),
        ("ACSC", |i| i.remittance = "é".repeat(140)),
        ("ACSC", |i| i.instruction_id = "~".repeat(35)),
        ("ACSC", |i| {
            (i.instruction_id.clear(), i.end_to_end_id.clear()).0
        }),
        ("ACSC", |i| i.iso_message = vec![0xff; 8 * 1024]),
        ("ACSC", |i| instructed(i, "1234.567", "BTC")),
        ("ACSC", |i| {
            (
                i.kind = v1::Kind::Return.into(),
                i.return_reason = "AC04".into(),
            )
                .0
        }),
        ("ACSC", |i| i.kind = v1::Kind::Cover.into()),
        ("ACTC 2026-11-20/1", |i| net(i, TODAY)),
        ("PDNG UNMATCHED", trade),
        ("PDNG LIQUIDITY", |i| leg(i, B, "999999999999999999", "JPY")),
    ];
    for (expected, mutate) in within {
        let mut good = desk.good(A);
        mutate(&mut good);
        assert_eq!(
            send(&mut client, Door::Alone, good.clone()).await,
            *expected,
            "{good:?}"
        );
        desk.town.books().await;
    }
}

/// Sixteen of the largest amounts are more than an account's 64 bits; they wait, and harm nobody.
#[tokio::test]
async fn sums_beyond_64_bits_only_wait() {
    let mut desk = Desk::open().await;
    let mut client = desk.town.client(A).await;
    for _ in 0..3 {
        let mut huge = desk.good(A);
        leg(&mut huge, B, "999999999999999999", "JPY");
        add_legs(&mut huge, 16);
        let answer = send(&mut client, Door::Alone, huge).await;
        assert!(answer.starts_with("PDNG"), "{answer}");
    }
    let queued_out = &desk
        .town
        .books()
        .await
        .position(A, "JPY")
        .queued_out
        .clone();
    assert_eq!(queued_out, &(48 * 999_999_999_999_999_999_i128).to_string());
    desk.town.set_time(MORNING_MS + 1_000).await;
    let mut normal = desk.good(C);
    leg(&mut normal, B, "10", "JPY");
    let mut other = desk.town.client(C).await;
    assert_eq!(send(&mut other, Door::Alone, normal).await, "ACSC");
    desk.town.set_time(MORNING_MS + 2_000).await;
    desk.town.books().await;
}
