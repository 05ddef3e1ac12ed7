//! What an instruction's fields must be: identity, forms, amounts and currencies.

use super::{Desk, Door, Mutate, add_legs, instructed, leg, send, trade};
use crate::support::{A, B};
#[tokio::test]
async fn an_unreadable_identity_is_not_taken() {
    let mut desk = Desk::open().await;
    desk.check_all(&[
        ("ERROR NARR UETR_MISSING uetr", |i| i.uetr.clear()),
        ("ERROR NARR UETR_MALFORMED uetr", |i| {
            i.uetr = "not-a-uuid".into()
        }),
        ("ERROR NARR UETR_MALFORMED uetr", |i| {
            i.uetr = i.uetr.replace("-4", "-1")
        }),
        ("ERROR NARR UETR_MALFORMED uetr", |i| {
            i.uetr = i.uetr.replace('-', "")
        }),
        ("ERROR NARR UETR_MALFORMED uetr", |i| i.uetr.push('0')),
        ("ERROR NARR UETR_MALFORMED uetr", |i| {
            i.uetr = i.uetr.replacen('0', "A", 1)
        }),
        ("ERROR NARR UETR_MALFORMED uetr", |i| {
            i.uetr = "\0".repeat(36)
        }),
        ("ERROR NARR KIND_MISSING kind", |i| i.kind = 0),
        ("ERROR NARR KIND_UNKNOWN kind", |i| i.kind = 5),
        ("ERROR NARR KIND_UNKNOWN kind", |i| i.kind = -1),
        ("ERROR NARR INSTRUCTING_MISSING instructing", |i| {
            i.instructing.clear()
        }),
        ("ERROR RC01 INSTRUCTING_MALFORMED instructing", |i| {
            i.instructing = "AAAAUS3".into()
        }),
        ("ERROR RC01 INSTRUCTING_MALFORMED instructing", |i| {
            i.instructing = "aaaaus33".into()
        }),
        ("ERROR RC01 INSTRUCTING_MALFORMED instructing", |i| {
            i.instructing.push_str("XXXX")
        }),
        ("ERROR NARR INSTRUCTING_MUST_BE_CALLER instructing", |i| {
            i.instructing = B.into()
        }),
        ("ERROR NARR INSTRUCTING_MUST_BE_CALLER instructing", |i| {
            i.instructing.push_str("XXX")
        }),
        // Two faults: the identity in its order, before everything else.
        ("ERROR NARR UETR_MISSING uetr", |i| {
            (i.uetr.clear(), i.kind = 0, i.lane = 0).0
        }),
        ("ERROR NARR KIND_MISSING kind", |i| {
            (i.kind = 0, i.instructing.clear()).0
        }),
    ])
    .await;
}

#[tokio::test]
async fn a_malformed_field_is_named() {
    let mut desk = Desk::open().await;
    desk.check_all(HEAD).await;
    desk.check_all(LEGS).await;
    desk.check_all(TAIL).await;
}

const HEAD: &[(&str, Mutate)] = &[
    ("RJCT NARR LANE_MISSING lane", |i| i.lane = 0),
    ("RJCT NARR LANE_UNKNOWN lane", |i| i.lane = 3),
    ("RJCT NARR PRIORITY_UNKNOWN priority", |i| i.priority = 4),
    ("RJCT NARR PRIORITY_UNKNOWN priority", |i| {
        i.priority = i32::MIN
    }),
    ("RJCT NARR CREATED_MISSING created", |i| i.created = None),
    ("RJCT NARR CREATED_MALFORMED created", |i| {
        i.created.as_mut().unwrap().nanos = -1
    }),
    ("RJCT NARR CREATED_MALFORMED created", |i| {
        i.created.as_mut().unwrap().nanos = 1_000_000_000
    }),
    ("RJCT NARR CREATED_MALFORMED created", |i| {
        i.created.as_mut().unwrap().seconds = i64::MAX
    }),
    ("RJCT NARR CREATED_MALFORMED created", |i| {
        i.created.as_mut().unwrap().seconds = i64::MIN
    }),
    ("RJCT NARR VALUE_DATE_MISSING value_date", |i| {
        i.value_date.clear()
    }),
    ("RJCT NARR VALUE_DATE_MALFORMED value_date", |i| {
        i.value_date = "20.11.2026".into()
    }),
    ("RJCT NARR VALUE_DATE_MALFORMED value_date", |i| {
        i.value_date = "2026-02-29".into()
    }),
    ("RJCT NARR VALUE_DATE_MALFORMED value_date", |i| {
        i.value_date = "2026-13-01".into()
    }),
    ("RJCT NARR VALUE_DATE_MALFORMED value_date", |i| {
        i.value_date = "2026-11-2".into()
    }),
    ("RJCT NARR VALUE_DATE_MALFORMED value_date", |i| {
        i.value_date.push_str("T00:00:00Z")
    }),
];

const LEGS: &[(&str, Mutate)] = &[
    ("RJCT NARR LEGS_MISSING legs", |i| i.legs.clear()),
    ("RJCT NARR LEGS_TOO_LONG legs", |i| add_legs(i, 17)),
    ("RJCT NARR LEGS_TOO_LONG legs", |i| add_legs(i, 500)),
    ("RJCT NARR LEG_DEBTOR_MISSING legs[0].debtor", |i| {
        i.legs[0].debtor.clear()
    }),
    ("RJCT RC01 LEG_DEBTOR_MALFORMED legs[0].debtor", |i| {
        i.legs[0].debtor = "AAAA".into()
    }),
    ("RJCT RC01 LEG_DEBTOR_MALFORMED legs[0].debtor", |i| {
        i.legs[0].debtor.push_str("XXXX")
    }),
    ("RJCT NARR LEG_CREDITOR_MISSING legs[0].creditor", |i| {
        i.legs[0].creditor.clear()
    }),
    ("RJCT RC01 LEG_CREDITOR_MALFORMED legs[0].creditor", |i| {
        i.legs[0].creditor = "BBBB1EFF".into()
    }),
    ("RJCT NARR LEG_KIND_UNKNOWN legs[0].kind", |i| {
        i.legs[0].kind = 3
    }),
    ("RJCT RC01 LEG_CREDITOR_MALFORMED legs[2].creditor", |i| {
        add_legs(i, 3);
        i.legs[2].creditor = "?".into();
    }),
    ("RJCT NARR LEGS_MISSING legs", |i| i.legs = vec![]),
];

const TAIL: &[(&str, Mutate)] = &[
    ("RJCT NARR INSTRUCTION_ID_TOO_LONG instruction_id", |i| {
        i.instruction_id = "x".repeat(36)
    }),
    ("RJCT NARR INSTRUCTION_ID_MALFORMED instruction_id", |i| {
        i.instruction_id = "Zürich".into()
    }),
    ("RJCT NARR END_TO_END_ID_TOO_LONG end_to_end_id", |i| {
        i.end_to_end_id = "x".repeat(36)
    }),
    ("RJCT NARR END_TO_END_ID_MALFORMED end_to_end_id", |i| {
        i.end_to_end_id = "a\nb".into()
    }),
    ("RJCT NARR QUOTE_ID_TOO_LONG quote_id", |i| {
        i.quote_id = "x".repeat(36)
    }),
    ("RJCT NARR QUOTE_ID_MALFORMED quote_id", |i| {
        i.quote_id = "\0".into()
    }),
    ("RJCT NARR QUOTE_ID_NOT_ALLOWED quote_id", |i| {
        (trade(i), i.quote_id = "Q".into()).0
    }),
    ("RJCT NARR TRADE_REFERENCE_TOO_LONG trade_reference", |i| {
        i.trade_reference = "x".repeat(36)
    }),
    (
        "RJCT NARR TRADE_REFERENCE_NOT_ALLOWED trade_reference",
        |i| i.trade_reference = "T".into(),
    ),
    ("RJCT NARR TRADE_REFERENCE_MISSING trade_reference", |i| {
        (trade(i), i.trade_reference.clear()).0
    }),
    ("RJCT NARR REMITTANCE_TOO_LONG remittance", |i| {
        i.remittance = "é".repeat(141)
    }),
    ("RJCT NARR REMITTANCE_MALFORMED remittance", |i| {
        i.remittance = "a\tb".into()
    }),
    ("RJCT NARR PURPOSE_TOO_LONG purpose", |i| {
        i.purpose = "SALAR".into()
    }),
    ("RJCT NARR PURPOSE_MALFORMED purpose", |i| {
        i.purpose = "S-L".into()
    }),
    ("RJCT NARR CHARGE_BEARER_UNKNOWN charge_bearer", |i| {
        i.charge_bearer = 5
    }),
    (
        "RJCT NARR INSTRUCTED_AMOUNT_MISSING instructed_amount",
        |i| i.instructed_asset = "USD".into(),
    ),
    ("RJCT NARR INSTRUCTED_ASSET_MISSING instructed_asset", |i| {
        i.instructed_amount = "1.00".into()
    }),
    (
        "RJCT NARR INSTRUCTED_AMOUNT_MALFORMED instructed_amount",
        |i| instructed(i, "-1.00", "USD"),
    ),
    (
        "RJCT NARR INSTRUCTED_AMOUNT_MALFORMED instructed_amount",
        |i| instructed(i, "1e2", "USD"),
    ),
    (
        "RJCT NARR INSTRUCTED_AMOUNT_TOO_LONG instructed_amount",
        |i| instructed(i, &"0".repeat(41), "USD"),
    ),
    (
        "RJCT NARR INSTRUCTED_ASSET_MALFORMED instructed_asset",
        |i| instructed(i, "1.00", "us$"),
    ),
    ("RJCT NARR ISO_MESSAGE_TOO_LONG iso_message", |i| {
        i.iso_message = vec![b'<'; 8 * 1024 + 1]
    }),
    ("RJCT NARR RETURN_REASON_NOT_ALLOWED return_reason", |i| {
        i.return_reason = "AC04".into()
    }),
    ("RJCT NARR RETURN_REASON_TOO_LONG return_reason", |i| {
        i.return_reason = "AC041".into()
    }),
    ("RJCT NARR RETURN_REASON_MALFORMED return_reason", |i| {
        i.return_reason = "A 4".into()
    }),
];

#[tokio::test]
async fn a_bad_amount_or_currency_is_refused() {
    let mut desk = Desk::open().await;
    for text in [
        "", "ten", "1e3", "+1", " 1", "1 ", "1,000.00", "1_000", "0x10", "1.", ".5", "1.2.3", "-",
        "NaN",
    ] {
        desk.check_amount("RJCT AM12 AMOUNT_INVALID legs[0].amount", text, "USD")
            .await;
    }
    for (expected, text, asset) in [
        ("RJCT AM12 AMOUNT_INVALID legs[0].amount", "-5.00", "USD"),
        ("RJCT AM12 AMOUNT_INVALID legs[0].amount", "-0.00", "USD"),
        (
            "RJCT AM12 AMOUNT_INVALID legs[0].amount",
            "10000000000000000.00",
            "USD",
        ),
        (
            "RJCT AM12 AMOUNT_INVALID legs[0].amount",
            "1000000000000000000",
            "JPY",
        ),
        (
            "RJCT AM12 AMOUNT_INVALID legs[0].amount",
            "9223372036854775808",
            "JPY",
        ),
        (
            "RJCT AM12 AMOUNT_INVALID legs[0].amount",
            "99999999999999999999999999999999",
            "JPY",
        ),
        (
            "RJCT AM12 AMOUNT_INVALID legs[0].amount",
            &"9".repeat(2_000),
            "JPY",
        ),
        (
            "RJCT AM01 AMOUNT_MUST_NOT_BE_ZERO legs[0].amount",
            "0",
            "USD",
        ),
        (
            "RJCT AM01 AMOUNT_MUST_NOT_BE_ZERO legs[0].amount",
            "0.00",
            "USD",
        ),
        (
            "RJCT AM01 AMOUNT_MUST_NOT_BE_ZERO legs[0].amount",
            "0",
            "JPY",
        ),
        (
            "RJCT CH20 AMOUNT_HAS_TOO_MANY_DECIMALS legs[0].amount",
            "0.5",
            "JPY",
        ),
        (
            "RJCT CH20 AMOUNT_HAS_TOO_MANY_DECIMALS legs[0].amount",
            "1.0",
            "JPY",
        ),
        (
            "RJCT CH20 AMOUNT_HAS_TOO_MANY_DECIMALS legs[0].amount",
            "0.0001",
            "KWD",
        ),
        (
            "RJCT CH20 AMOUNT_HAS_TOO_MANY_DECIMALS legs[0].amount",
            "10.001",
            "USD",
        ),
        ("RJCT AM11 ASSET_UNKNOWN legs[0].asset", "1", ""),
        ("RJCT AM11 ASSET_UNKNOWN legs[0].asset", "1", "XXX"),
        ("RJCT AM11 ASSET_UNKNOWN legs[0].asset", "1", "usd"),
        ("RJCT AM11 ASSET_UNKNOWN legs[0].asset", "1", "USDUSDUSD"),
        ("RJCT AM03 ASSET_NOT_ENABLED legs[0].asset", "1", "GBP"),
        // Two faults: AM11 before CH20 before AM12 before AM01.
        ("RJCT AM11 ASSET_UNKNOWN legs[0].asset", "0.00", "XXX"),
        (
            "RJCT CH20 AMOUNT_HAS_TOO_MANY_DECIMALS legs[0].amount",
            "-0.001",
            "USD",
        ),
        ("RJCT AM12 AMOUNT_INVALID legs[0].amount", "-0", "USD"),
    ] {
        desk.check_amount(expected, text, asset).await;
    }
}

impl Desk {
    async fn check_amount(&mut self, expected: &str, text: &str, asset: &str) {
        let before = self.town.books().await;
        let mut bad = self.good(A);
        leg(&mut bad, B, text, asset);
        let mut client = self.town.client(A).await;
        assert_eq!(
            send(&mut client, Door::Alone, bad).await,
            expected,
            "{text:?} {asset:?}"
        );
        assert_eq!(self.town.books().await, before, "{text:?} {asset:?}");
    }
}
