//! The views say what the engine's state says.

use crate::support::database::Database;
use crate::support::engine::Engine;
use crate::support::follow::project;
use crate::support::postgres::Postgres;
use crate::support::script::{Script, batch_of, bic, date, leg};
use settlement_core::command::{FixedSide, QuoteTerms};
use settlement_core::event::{Entry, Event, Legs, Order, i128Cbor};
use settlement_core::ids::{ParticipantId, Sequence, Timestamp};
use settlement_core::instruction::{Digest, Kind, Lane, Priority, ShortText};
use settlement_core::record::Input;
use settlement_core::rejection::Rejection;
use settlement_core::view::{CycleState, FundView, Query, Status, View, Waiting};
use std::collections::{BTreeMap, BTreeSet};
use valuta_projector::Anchors;

fn seeds() -> std::ops::Range<u64> {
    0..if std::env::var_os("VALUTA_LONG").is_some() {
        40
    } else {
        2
    }
}

/// Rows of a query as text columns.
fn table(database: &Postgres, query: &str) -> Vec<Vec<String>> {
    let mut client = database.client();
    client
        .batch_execute("SET search_path = valuta; SET timezone = 'UTC'")
        .unwrap();
    let rows = client.query(query, &[]).unwrap();
    let cell = |row: &postgres::Row, at| row.get::<_, Option<String>>(at).unwrap_or("-".to_owned());
    rows.iter()
        .map(|row| (0..row.len()).map(|at| cell(row, at)).collect())
        .collect()
}

#[test]
fn positions_funding_and_reasons_are_the_states() {
    let (mut seen, mut scheduled) = (BTreeSet::new(), 0);
    for seed in seeds() {
        let database = Postgres::new();
        let mut engine = Engine::new(seed + 50);
        let mut steps = 0;
        engine.day(200, |engine| {
            steps += 1;
            if steps % 13 == 0 || steps > 35 {
                // Closes the gross batch: positions are as of closed batches.
                engine.tick();
                engine.record();
                project(&engine.journal, database.store()).unwrap();
                same_positions(engine, &database, seed);
                scheduled += same_funding(engine, &database, seed);
                same_reasons(engine, &database, &mut seen, seed);
            }
        });
    }
    assert!(scheduled > 0, "the days have schedules");
    for reason in ["order", "liquidity", "unmatched", "held"] {
        assert!(seen.contains(reason), "{reason}: {seen:?}");
    }
}

fn same_positions(engine: &Engine, database: &Postgres, seed: u64) {
    let View::Positions(positions) = engine.state.query(&Query::Positions(None), engine.now) else {
        panic!("positions were asked for");
    };
    let mut expected: Vec<Vec<String>> = positions
        .iter()
        .map(|line| {
            let free = line.balance - line.reserved;
            let amounts = [line.balance, line.reserved, free].map(|minor| minor.to_string());
            let names = [line.participant.to_string(), line.asset.code.to_string()];
            [&names[..], &amounts].concat()
        })
        .collect();
    expected.sort();
    let minor = |column| format!("trim_scale({column} * power(10::NUMERIC, a.decimals))::TEXT");
    let found = table(
        database,
        &format!(
            "SELECT p.participant, p.asset, {}, {}, {} FROM positions p
             JOIN asset_rows a ON a.code = p.asset ORDER BY 1, 2",
            minor("p.balance"),
            minor("p.reserved"),
            minor("p.available")
        ),
    );
    assert_eq!(found, expected, "seed {seed}");
}

/// How many lines of schedules there were.
fn same_funding(engine: &Engine, database: &Postgres, seed: u64) -> usize {
    let View::Cycles(cycles) = engine.state.query(&Query::Cycles, engine.now) else {
        panic!("cycles were asked for");
    };
    let mut count = 0;
    for cycle in cycles {
        let query = Query::Cycle(cycle.name, None);
        let View::Cycle(Some(view)) = engine.state.query(&query, engine.now) else {
            panic!("a cycle was asked for");
        };
        let found = funding(database, &cycle.name.to_string());
        let state = match view.state {
            CycleState::Open => "open",
            CycleState::Closed => "closed",
            CycleState::Settling => "settling",
            CycleState::Completed => "completed",
        };
        for line in &view.positions {
            let expected = fund_line(line, view.schedule_version > 0, state == "completed");
            let key = (line.participant.to_string(), line.asset.code.to_string());
            let zero = expected.iter().all(|amount| amount == "0");
            match found.get(&key) {
                Some((amounts, word)) => {
                    assert_eq!(amounts, &expected, "seed {seed}: {line:?}");
                    assert_eq!(word, state);
                    count += usize::from(view.schedule_version > 0);
                }
                None => assert!(zero, "seed {seed}: {line:?}"),
            }
        }
    }
    count
}

fn fund_line(line: &FundView, scheduled: bool, completed: bool) -> Vec<String> {
    let outstanding = |due, paid| {
        if completed {
            0
        } else {
            Ord::max(due - paid, 0)
        }
    };
    let net = if scheduled { line.net } else { 0 };
    [
        net,
        line.pay_in_due,
        line.pay_in_paid,
        outstanding(line.pay_in_due, line.pay_in_paid),
        line.pay_out_due,
        line.pay_out_paid,
        outstanding(line.pay_out_due, line.pay_out_paid),
        line.fund,
    ]
    .map(|minor| minor.to_string())
    .into()
}

type Funding = BTreeMap<(String, String), (Vec<String>, String)>;

fn funding(database: &Postgres, cycle: &str) -> Funding {
    let columns = [
        "net",
        "pay_in_due",
        "paid_in",
        "pay_in_outstanding",
        "pay_out_due",
        "paid_out",
        "pay_out_outstanding",
        "fund",
    ];
    let minor = columns
        .map(|column| format!("trim_scale(f.{column} * power(10::NUMERIC, a.decimals))::TEXT"));
    let query = format!(
        "SELECT f.participant, f.asset, {}, f.cycle_state FROM cycle_funding f
         JOIN asset_rows a ON a.code = f.asset WHERE f.cycle = '{cycle}'",
        minor.join(", ")
    );
    let rows = table(database, &query).into_iter();
    rows.map(|mut row| {
        let state = row.pop().unwrap();
        let amounts = row.split_off(2);
        ((row[0].clone(), row[1].clone()), (amounts, state))
    })
    .collect()
}

fn same_reasons(engine: &Engine, database: &Postgres, seen: &mut BTreeSet<String>, seed: u64) {
    let mut expected = Vec::new();
    for (sequence, uetr, _) in &engine.sent {
        let answer = engine.answer(*sequence, *uetr);
        if let Some(Status::Waiting(waiting)) = answer.map(|answer| answer.status) {
            expected.push(vec![sequence.0.to_string(), word(waiting).to_owned()]);
        }
    }
    let query = "SELECT w.sequence::TEXT, reason FROM waiting_with_reason w ORDER BY w.sequence";
    let found = table(database, query);
    assert_eq!(found, expected, "seed {seed}");
    seen.extend(found.into_iter().map(|mut row| row.remove(1)));
}

fn word(waiting: Waiting) -> &'static str {
    match waiting {
        Waiting::Unmatched => "unmatched",
        Waiting::Order => "order",
        Waiting::Liquidity => "liquidity",
        Waiting::Held => "held",
        Waiting::Approval => "approval",
        Waiting::Preimage => "preimage",
        Waiting::NotBefore => "not before",
        Waiting::Group => "group",
    }
}

/// A later one of higher priority goes first; what names it, and what stands before it, shows.
#[test]
fn who_waits_behind_whom() {
    let mut script = Script::new();
    script.accepted(0, &[leg(0, 1, 0, 100)], Entry::Queued);
    script.accepted(0, &[leg(0, 2, 0, 100)], Entry::Queued);
    script.accepted(1, &[leg(1, 2, 0, 100)], Entry::Queued);
    let (unit, priority) = (Sequence(3), Priority::Urgent);
    script.command(&[Event::PrioritySet { unit, priority }]);
    script.record();
    let database = Postgres::new();
    project(&script.journal, database.store()).unwrap();
    let query = "SELECT sequence::TEXT, reason, behind::TEXT, priority, amounts, debtors
         FROM waiting_with_reason w ORDER BY w.sequence";
    let found = table(&database, query);
    let found: Vec<String> = found.iter().map(|row| row.join(" | ")).collect();
    assert_eq!(
        found,
        [
            "2 | order | 3 | normal | 1.00 EUR | AAAAUS33",
            "3 | liquidity | - | urgent | 1.00 EUR | AAAAUS33",
            "4 | liquidity | - | normal | 1.00 EUR | BBBBDEFF",
        ]
    );
}

#[test]
fn instructions_and_batches_are_readable() {
    let mut script = Script::new();
    script.accepted(0, &[leg(0, 1, 0, 1_234), leg(1, 2, 1, 5)], Entry::Settled);
    script.refused(bic(1), Rejection::CreditorUnknown { leg: 0 });
    script.tick(&[Event::GrossBatchClosed(batch_of(1, 1))]);
    script.record();
    let database = Postgres::new();
    project(&script.journal, database.store()).unwrap();
    database.anchors().set_anchor(1, 0, "header").unwrap();
    let query = "SELECT sequence::TEXT, instructing, kind, lane, value_date::TEXT, status, state,
         reason_code, reason, batch::TEXT, amounts, debtors, creditors FROM instructions i ORDER BY i.sequence";
    let found = table(&database, query);
    let found: Vec<String> = found.iter().map(|row| row.join(" | ")).collect();
    assert_eq!(
        found,
        [
            "2 | AAAAUS33 | payment | gross | 2026-11-20 | ACSC | settled | - | - | 1 | \
             12.34 EUR, 0.05 USD | AAAAUS33, BBBBDEFF | BBBBDEFF, CCCCJPJT",
            "3 | BBBBDEFF | payment | - | - | RJCT | rejected | CNOR | CreditorUnknown { leg: 0 } | - | \
             - | - | -",
        ]
    );
    let query =
        "SELECT batch::TEXT, cycle, closed_at::TEXT, members::TEXT, log_index::TEXT, run_order, optimal::TEXT
         FROM batches";
    assert_eq!(
        table(&database, query)[0].join(" | "),
        "1 | - | 2026-11-20 10:00:00+00 | 1 | 0 | kept | true"
    );
    let query =
        "SELECT holder, amount::TEXT, balance::TEXT FROM posting_rows ORDER BY posting_index";
    let found = table(&database, query);
    assert_eq!(found[0], ["BBBBDEFF", "5.00", "15.00"]);
    assert_eq!(found[1][2], "-11805916207174113034.24", "2^70 minor units");
}

/// Sums of thirds and sevenths of cents, exactly; quotes that did not settle do not count.
#[test]
fn the_rounding_ledger_is_exact() {
    let mut script = Script::new();
    for (id, gain, denominator, side, entry) in [
        ("Q1", 1, 3, FixedSide::Source, Some(Entry::Settled)),
        ("Q2", -1, 7, FixedSide::Source, Some(Entry::Settled)),
        ("Q3", 1, 3, FixedSide::Source, Some(Entry::Settled)),
        ("Q4", 1, 5, FixedSide::Source, Some(Entry::Queued)),
        ("Q5", 1, 5, FixedSide::Source, None),
        ("Q6", 1, 1_000, FixedSide::Target, Some(Entry::Settled)),
    ] {
        let id = ShortText::parse(id.as_bytes()).unwrap();
        script.command(&[locked(id, side, gain, denominator)]);
        if let Some(entry) = entry {
            consumed(&mut script, id, entry);
        }
    }
    script.record();
    let database = Postgres::new();
    project(&script.journal, database.store()).unwrap();
    let query =
        "SELECT provider, asset, value_date::TEXT, quotes::TEXT, gained_exactly, gained::TEXT
         FROM rounding_ledger ORDER BY asset";
    let found = table(&database, query);
    let found: Vec<String> = found.iter().map(|row| row.join(" | ")).collect();
    // 2/3 - 1/7 = 11/21 cents, and a thousandth of a cent that it lost.
    assert_eq!(
        found,
        [
            "BBBBDEFF | EUR | 2026-11-20 | 1 | -1/100000 | -0.00001000000000000000",
            "BBBBDEFF | USD | 2026-11-20 | 3 | 11/2100 | 0.00523809523809523810",
        ]
    );
}

fn locked(id: ShortText, fixed_side: FixedSide, residual: i128, denominator: i128) -> Event {
    let code = |text: &[u8]| fx::AssetCode::parse(text).unwrap();
    Event::QuoteLocked {
        provider: ParticipantId(1),
        terms: QuoteTerms {
            quote_id: id,
            taker: bic(0),
            source_asset: code(b"EUR"),
            target_asset: code(b"USD"),
            fixed_side,
            amount: 100,
            pair: fx::Pair::parse("EUR/USD").unwrap(),
            rate: rust_decimal::Decimal::ONE,
            rounding: fx::Rounding::HalfEven,
            value_date: date(),
            accept_until: Timestamp(0),
            settle_by: Timestamp(0),
            quote_request: None,
        },
        source_amount: 100,
        target_amount: 100,
        residual_numerator: i128Cbor(residual),
        residual_denominator: i128Cbor(denominator),
    }
}

fn consumed(script: &mut Script, quote: ShortText, entry: Entry) {
    let order = Order {
        identity: script.identity(0, Kind::Payment),
        instructing: ParticipantId(0),
        digest: Digest([5; 16]),
        lane: Lane::Gross,
        priority: Priority::Normal,
        created: script.time,
        value_date: date(),
        conditions: None,
        legs: Legs::new(&[leg(0, 1, 0, 100), leg(1, 2, 1, 100)]),
        quote: Some((ParticipantId(1), quote)),
        trade: None,
    };
    let content = script.content();
    let accepted = Event::Accepted { order, entry };
    script.input(&Input::Instruction(&content), &[accepted]);
}

#[test]
fn every_view_and_column_has_a_comment() {
    let database = Postgres::new();
    drop(database.store());
    let query = "SELECT c.relname || coalesce('.' || a.attname, '') FROM pg_class c
         LEFT JOIN LATERAL (SELECT attname, attnum FROM pg_attribute WHERE attrelid = c.oid AND attnum > 0
                            AND c.relname <> 'fund_sums'
                            UNION ALL SELECT NULL, 0) a ON TRUE
         WHERE c.relnamespace = 'valuta'::REGNAMESPACE AND c.relkind = 'v'
         AND col_description(c.oid, a.attnum) IS NULL AND (a.attnum <> 0 OR obj_description(c.oid) IS NULL)";
    assert_eq!(table(&database, query), Vec::<Vec<String>>::new());
    let query = "SELECT relname::TEXT FROM pg_class
         WHERE relnamespace = 'valuta'::REGNAMESPACE AND relkind = 'v' ORDER BY 1";
    let views: Vec<String> = table(&database, query).concat();
    for view in [
        "positions",
        "instructions",
        "cycle_funding",
        "batches",
        "rounding_ledger",
        "waiting_with_reason",
    ] {
        assert!(views.contains(&view.to_owned()), "{views:?}");
    }
}
