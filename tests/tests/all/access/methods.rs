//! The table of all methods, and of who may call them.

use crate::support::{A, B, CYCLE, D, movement_request, quote_request};
use prost::Message;
use valuta_proto::v1;
use valuta_tests::scheme::{MORNING_MS, TODAY, payment, timestamp, uetr_text};

/// Every method, a request that is good but for who sends it, and whom it is for: participant, agent,
/// operator, treasury, auditor.
pub(super) fn methods() -> Vec<(&'static str, &'static str, Vec<u8>, &'static str)> {
    let instruction = payment(1, A, B, "10.00", "USD");
    let one = v1::SubmitInstructionRequest {
        instruction: Some(instruction.clone()),
    };
    let many = v1::SubmitInstructionsRequest {
        instructions: vec![instruction],
        full_answers: false,
    };
    let cycle = |request_id: &str| {
        let (cycle, created) = (CYCLE.to_owned(), None);
        v1::CycleRequest {
            cycle,
            created,
            request_id: request_id.to_owned(),
        }
        .encode_to_vec()
    };
    let id = |name: &str| format!("access-{name}");
    let transfer = v1::RecordMovementRequest {
        cycle: CYCLE.to_owned(),
        request_id: id("transfer"),
        ..movement_request(v1::MovementKind::Transfer, A, "1.00", "USD")
    };
    let deposit = v1::RecordMovementRequest {
        request_id: id("deposit"),
        ..movement_request(v1::MovementKind::Deposit, A, "1.00", "USD")
    };
    let limit = v1::Limit {
        participant: A.to_owned(),
        asset: "KWD".to_owned(),
        counterparty: String::new(),
        amount: "1000".to_owned(),
    };
    let rate = v1::Rate {
        pair: "EUR/USD".to_owned(),
        bid: "1.1".to_owned(),
        ask: "1.1".to_owned(),
        time: Some(timestamp(MORNING_MS)),
        source: "test".to_owned(),
        ..Default::default()
    };
    let quote = v1::LockQuoteRequest {
        taker: B.to_owned(),
        ..quote_request("access", "access-quote")
    };
    let pay = "PaymentService";
    let (fx, settlement, treasury) = ("FxService", "SettlementService", "TreasuryService");
    let (ledger, admin) = ("LedgerService", "AdminService");
    vec![
        (pay, "SubmitInstruction", one.encode_to_vec(), "P"),
        (pay, "SubmitInstructions", many.encode_to_vec(), "P"),
        (pay, "StreamInstructions", many.encode_to_vec(), "P"),
        (
            pay,
            "GetInstruction",
            v1::GetInstructionRequest {
                uetr: uetr_text(1),
                min_sequence: 0,
            }
            .encode_to_vec(),
            "POTU",
        ),
        (pay, "ListInstructions", vec![], "POTU"),
        (
            pay,
            "CancelInstruction",
            v1::CancelInstructionRequest {
                request_id: id("cancel"),
                uetr: uetr_text(2),
                kind: v1::Kind::Payment.into(),
                created: None,
            }
            .encode_to_vec(),
            "P",
        ),
        (
            pay,
            "ApproveInstruction",
            v1::ApproveInstructionRequest {
                request_id: id("approve"),
                created: None,
                uetr: uetr_text(1),
                instructing: A.to_owned(),
                kind: v1::Kind::Payment.into(),
            }
            .encode_to_vec(),
            "P",
        ),
        (
            pay,
            "ShowPreimage",
            v1::ShowPreimageRequest {
                request_id: id("preimage"),
                created: None,
                uetr: uetr_text(1),
                instructing: A.to_owned(),
                kind: v1::Kind::Payment.into(),
                preimage: vec![1],
            }
            .encode_to_vec(),
            "PO",
        ),
        (
            pay,
            "SetPriority",
            v1::SetPriorityRequest {
                request_id: id("priority"),
                created: None,
                uetr: uetr_text(1),
                kind: v1::Kind::Payment.into(),
                priority: v1::Priority::High.into(),
            }
            .encode_to_vec(),
            "P",
        ),
        (pay, "WatchInstructions", vec![], "POTU"),
        (pay, "Receive", vec![], "P"),
        (
            pay,
            "AcknowledgeReceived",
            v1::AcknowledgeReceivedRequest {
                request_id: id("ack"),
                position: "0.0".to_owned(),
                created: None,
            }
            .encode_to_vec(),
            "P",
        ),
        (
            fx,
            "SetRates",
            v1::SetRatesRequest {
                request_id: id("rates"),
                created: None,
                rates: vec![rate],
            }
            .encode_to_vec(),
            "O",
        ),
        (
            fx,
            "SetRateRules",
            v1::SetRateRulesRequest {
                request_id: id("rules"),
                created: None,
                rules: Some(v1::RateRules::default()),
            }
            .encode_to_vec(),
            "O",
        ),
        (fx, "GetRates", vec![], "PAOTU"),
        (
            fx,
            "RequestQuote",
            v1::RequestQuoteRequest {
                request_id: id("ask"),
                created: None,
                quote_request_id: "access".to_owned(),
                source_asset: "USD".to_owned(),
                target_asset: "EUR".to_owned(),
                fixed_side: v1::FixedSide::Source.into(),
                amount: "1.00".to_owned(),
                value_date: TODAY.to_owned(),
                offers_until: Some(timestamp(MORNING_MS + 1_000_000)),
                providers: Vec::new(),
            }
            .encode_to_vec(),
            "P",
        ),
        (
            fx,
            "GetQuoteRequest",
            v1::GetQuoteRequestRequest {
                taker: A.to_owned(),
                quote_request_id: "R".to_owned(),
                min_sequence: 0,
            }
            .encode_to_vec(),
            "POTU",
        ),
        (fx, "ListQuoteRequests", vec![], "POTU"),
        (
            fx,
            "SetQuoteLimit",
            v1::SetQuoteLimitRequest {
                request_id: id("quote-limit"),
                created: None,
                provider: B.to_owned(),
                asset: "EUR".to_owned(),
                amount: "1000.00".to_owned(),
            }
            .encode_to_vec(),
            "O",
        ),
        (fx, "ListQuoteLimits", vec![], "POTU"),
        (fx, "GetRoundingLedger", vec![], "POTU"),
        (fx, "LockQuote", quote.encode_to_vec(), "P"),
        (
            fx,
            "RequestQuote",
            v1::RequestQuoteRequest {
                request_id: id("ask"),
                quote_request_id: "access-ask".to_owned(),
                source_asset: "USD".to_owned(),
                target_asset: "EUR".to_owned(),
                fixed_side: v1::FixedSide::Source.into(),
                amount: "5.00".to_owned(),
                value_date: TODAY.to_owned(),
                offers_until: Some(timestamp(MORNING_MS + 3_600_000)),
                ..Default::default()
            }
            .encode_to_vec(),
            "P",
        ),
        (
            fx,
            "GetQuoteRequest",
            v1::GetQuoteRequestRequest {
                taker: A.to_owned(),
                quote_request_id: "access-ask".to_owned(),
                min_sequence: 0,
            }
            .encode_to_vec(),
            "POTU",
        ),
        (fx, "ListQuoteRequests", vec![], "POTU"),
        (
            fx,
            "SetQuoteLimit",
            v1::SetQuoteLimitRequest {
                request_id: id("quote-limit"),
                created: None,
                provider: D.to_owned(),
                asset: "KWD".to_owned(),
                amount: "1.000".to_owned(),
            }
            .encode_to_vec(),
            "O",
        ),
        (fx, "ListQuoteLimits", vec![], "POTU"),
        (fx, "GetRoundingLedger", vec![], "POTU"),
        (
            fx,
            "GetQuote",
            v1::GetQuoteRequest {
                provider: B.to_owned(),
                quote_id: "Q".to_owned(),
                min_sequence: 0,
            }
            .encode_to_vec(),
            "POTU",
        ),
        (
            settlement,
            "OpenCycle",
            v1::OpenCycleRequest {
                cycle: "2026-11-23/1".to_owned(),
                request_id: id("open"),
                ..Default::default()
            }
            .encode_to_vec(),
            "O",
        ),
        (settlement, "CloseCycle", cycle("access-close"), "O"),
        (settlement, "NetCycle", cycle("access-net"), "O"),
        (settlement, "SettleCycle", cycle("access-settle"), "O"),
        (
            settlement,
            "GetCycle",
            v1::GetCycleRequest {
                cycle: CYCLE.to_owned(),
                min_sequence: 0,
            }
            .encode_to_vec(),
            "PAOTU",
        ),
        (settlement, "ListCycles", vec![], "PAOTU"),
        (
            settlement,
            "ListUnsettled",
            v1::ListUnsettledRequest {
                cycle: CYCLE.to_owned(),
                ..Default::default()
            }
            .encode_to_vec(),
            "POTU",
        ),
        (settlement, "RecordMovement", transfer.encode_to_vec(), "P"),
        (settlement, "RecordMovement", deposit.encode_to_vec(), "A"),
        (
            settlement,
            "GetBatch",
            v1::GetBatchRequest {
                batch: 1,
                wait: true,
            }
            .encode_to_vec(),
            "PAOTU",
        ),
        (settlement, "ListBatches", vec![], "PAOTU"),
        (treasury, "GetPositions", vec![], "POTU"),
        (treasury, "WatchPositions", vec![], "POTU"),
        (treasury, "GetControlTotals", vec![], "AOTU"),
        (
            treasury,
            "Explain",
            v1::ExplainRequest {
                uetr: uetr_text(1),
                min_sequence: 0,
            }
            .encode_to_vec(),
            "POTU",
        ),
        (treasury, "ListWaiting", vec![], "POTU"),
        (treasury, "WhatIf", vec![], "OTU"),
        (treasury, "GetProjectedFunding", vec![], "POTU"),
        (
            ledger,
            "GetReceipt",
            v1::GetReceiptRequest {
                uetr: uetr_text(1),
                wait: true,
                ..Default::default()
            }
            .encode_to_vec(),
            "POTU",
        ),
        (
            ledger,
            "ListReceipts",
            v1::ListReceiptsRequest {
                batch: 1,
                wait: true,
            }
            .encode_to_vec(),
            "POTU",
        ),
        (
            ledger,
            "GetBalanceProof",
            v1::GetBalanceProofRequest {
                participant: String::new(),
                asset: "USD".to_owned(),
                batch: 0,
                wait: true,
            }
            .encode_to_vec(),
            "PAOTU",
        ),
        (
            ledger,
            "ListPostingProofs",
            v1::ListPostingProofsRequest {
                batch: 1,
                participant: String::new(),
                wait: true,
            }
            .encode_to_vec(),
            "PAOTU",
        ),
        (
            ledger,
            "Disclose",
            v1::DiscloseRequest {
                batch: 1,
                uetrs: vec![uetr_text(1)],
                wait: true,
            }
            .encode_to_vec(),
            "POTU",
        ),
        ("AuditService", "FollowJournal", vec![], "OU"),
        (admin, "GetScheme", vec![], "PAOTU"),
        (
            admin,
            "ApplyScheme",
            v1::ApplySchemeRequest {
                request_id: id("scheme"),
                created: None,
                scheme: Some(valuta_tests::scheme::scheme()),
            }
            .encode_to_vec(),
            "O",
        ),
        (
            admin,
            "SetParticipantState",
            v1::SetParticipantStateRequest {
                request_id: id("state"),
                bic: D.to_owned(),
                state: v1::ParticipantState::Active.into(),
                ..Default::default()
            }
            .encode_to_vec(),
            "O",
        ),
        (
            admin,
            "SetAccountState",
            v1::SetAccountStateRequest {
                request_id: id("account"),
                created: None,
                participant: D.to_owned(),
                asset: "KWD".to_owned(),
                state: v1::AccountState::Open.into(),
            }
            .encode_to_vec(),
            "O",
        ),
        (
            admin,
            "SetLimit",
            v1::SetLimitRequest {
                request_id: id("limit"),
                created: None,
                limit: Some(limit),
            }
            .encode_to_vec(),
            "O",
        ),
        (
            admin,
            "SetRisk",
            v1::SetRiskRequest {
                request_id: id("risk"),
                created: None,
                rule: Some(v1::RiskRule {
                    rule: Some(v1::risk_rule::Rule::Model(v1::SettlementModel::default())),
                }),
            }
            .encode_to_vec(),
            "O",
        ),
        (
            admin,
            "SetReservation",
            v1::SetReservationRequest {
                request_id: id("reservation"),
                created: None,
                participant: A.to_owned(),
                asset: "USD".to_owned(),
                priority: v1::Priority::Urgent.into(),
                amount: "0.00".to_owned(),
            }
            .encode_to_vec(),
            "PO",
        ),
        (
            admin,
            "CreateToken",
            v1::CreateTokenRequest {
                request_id: id("token"),
                role: v1::Role::Treasury.into(),
                label: "access".to_owned(),
                ..Default::default()
            }
            .encode_to_vec(),
            "O",
        ),
        (
            admin,
            "RevokeToken",
            v1::RevokeTokenRequest {
                request_id: id("revoke"),
                created: None,
                label: "access".to_owned(),
            }
            .encode_to_vec(),
            "O",
        ),
        (
            admin,
            "SetTime",
            v1::SetTimeRequest {
                time: Some(timestamp(MORNING_MS + 1_000)),
                request_id: id("time"),
            }
            .encode_to_vec(),
            "O",
        ),
        (admin, "GetStatus", vec![], "PAOTU"),
    ]
}
