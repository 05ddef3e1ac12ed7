//! Value dates, cut-offs per asset and purpose, and what an opened cycle keeps of them.

use super::*;
use crate::rejection::Rejection;
use fx::calendar::{DayChange, LocalCutoff};

/// Whether an instruction enters; not why it then waits.
fn check(world: &mut World, line: &str, expected: &str) {
    let found = world.send(line);
    let is_queued = ["liquidity", "order"].contains(&found.as_str());
    let found = if is_queued { "queued" } else { &found };
    assert_eq!(found, expected, "{line}");
}

/// A date's number-th cycle.
fn on(text: &str, number: u16) -> CycleName {
    CycleName {
        value_date: date(text),
        number,
    }
}

fn cut_off(asset: &str, purpose: CutOffPurpose, time: &str, zone: &str) -> AssetCutOff {
    AssetCutOff {
        asset: code(asset),
        purpose,
        cut_off: Some(LocalCutoff::parse(time, zone).unwrap()),
        days_before: 0,
    }
}

fn day(asset: &str, text: &str, change: DayChange) -> AssetDay {
    AssetDay {
        asset: code(asset),
        date: date(text),
        change,
    }
}

impl World {
    fn with_cut_offs(lines: &[AssetCutOff]) -> Self {
        let mut world = Self::new();
        world.apply_calendar(lines, &[]);
        world
    }

    /// Applies cut-offs and days; answers the number of changes.
    fn apply_calendar(&mut self, cut_offs: &[AssetCutOff], days: &[AssetDay]) -> u32 {
        let scheme = Scheme {
            asset_cut_offs: cut_offs.to_vec(),
            days: days.to_vec(),
            ..scheme()
        };
        let answer = self.operate(Action::ApplyScheme(scheme));
        answer.unwrap().changes
    }

    /// The time of day, UTC, of a date.
    fn set(&mut self, text: &str, hour: i64) {
        self.now = Timestamp(i64::from(date(text).0) * 24 * HOUR_MS + hour * HOUR_MS);
    }

    /// A cycle's instants of its assets, as text.
    fn instants(&self, name: CycleName) -> Vec<String> {
        let cut_offs = self.view(name).cut_offs;
        let line = |(asset, purpose, at): (AssetCode, CutOffPurpose, Timestamp)| {
            let hours = (at.0 - i64::from(name.value_date.0) * 24 * HOUR_MS) / 60_000;
            format!("{asset} {purpose:?} {hours}")
        };
        cut_offs.into_iter().map(line).collect()
    }
}

#[test]
fn a_value_date_is_a_business_day_of_every_leg() {
    let mut world = World::new();
    for (today, line, expected) in [
        // Labor Thanksgiving Day in Japan.
        ("2026-11-23", "A -> B 1 JPY", "DT03 HolidayOfAsset"),
        ("2026-11-23", "A -> B 1.00 USD", "queued"),
        (
            "2026-11-23",
            "A -> B 1.00 USD + A -> B 1 JPY",
            "DT03 HolidayOfAsset",
        ),
        // Thanksgiving in the United States.
        ("2026-11-26", "A -> B 1.00 USD", "DT03 HolidayOfAsset"),
        ("2026-11-26", "A -> B 1.00 EUR + A -> C 1 JPY", "queued"),
        ("2026-12-25", "A -> B 1.00 EUR", "DT03 HolidayOfAsset"),
        // An asset without figures has weekends only.
        ("2026-12-25", "A -> B 1.000 KWD", "queued"),
        ("2026-12-26", "A -> B 1.000 KWD", "DT03 NoBusinessDay"),
        // A weekend says more than a holiday on it.
        ("2026-12-26", "A -> B 1.00 EUR", "DT03 NoBusinessDay"),
        ("2030-12-31", "A -> B 1.00 USD", "queued"),
        ("2031-01-02", "A -> B 1.00 USD", "DT03 BeyondCalendar"),
        ("2031-01-02", "A -> B 1.000 KWD", "queued"),
        (
            "2031-01-02",
            "A -> B 1.00 USD, date=2031-01-03",
            "DT04 ValueDateTooFarAhead",
        ),
    ] {
        world.set(today, 9);
        check(&mut world, line, expected);
    }
    world.set("2031-11-26", 9);
    let answer = world.submit("A -> B 1.000 KWD + A -> B 1.00 USD, date=2031-11-26");
    let beyond = Rejection::BeyondCalendar { leg: 1 };
    assert_eq!(answer.status, Status::Rejected(beyond));
    world.finish();
}

#[test]
fn a_scheme_adds_and_takes_holidays() {
    let mut world = World::new();
    let days = [
        day("EUR", "2026-12-24", DayChange::Holiday),
        day("JPY", "2026-11-23", DayChange::Business),
    ];
    assert_eq!(world.apply_calendar(&[], &days), 2);
    assert_eq!(world.apply_calendar(&[], &days), 0);
    for (today, line, expected) in [
        ("2026-11-23", "A -> B 1 JPY", "queued"),
        ("2026-12-24", "A -> B 1.00 EUR", "DT03 HolidayOfAsset"),
        ("2026-12-24", "A -> B 1.00 USD", "queued"),
    ] {
        world.set(today, 9);
        check(&mut world, line, expected);
    }
    let back = [day("EUR", "2026-12-24", DayChange::Business)];
    assert_eq!(world.apply_calendar(&[], &back), 1);
    check(&mut world, "A -> B 1.00 EUR", "queued");
    world.finish();
}

#[test]
fn a_cycle_opens_where_any_asset_does() {
    let mut world = World::new();
    // Euro and dollar rest at Christmas, the yen does not.
    world.operate(open_action(on("2026-12-25", 1))).unwrap();
    check(&mut world, "A -> B 1 JPY, net, date=2026-12-25", "member 1");
    check(
        &mut world,
        "A -> B 1.00 EUR, net, date=2026-12-25",
        "DT03 HolidayOfAsset",
    );
    world.apply_calendar(&[], &[day("KWD", "2027-01-01", DayChange::Holiday)]);
    for (text, expected) in [
        (
            "2027-01-01",
            "cycle: the value date is no business day of any enabled asset \
             (USD: New Year's Day; EUR: New Year's Day; JPY: Bank Holiday; New Year's Day)",
        ),
        (
            "2026-11-22",
            "cycle: the value date is no business day of any enabled asset \
             (USD: weekend; EUR: weekend; JPY: weekend)",
        ),
    ] {
        let refused = world.operate(open_action(on(text, 1))).unwrap_err();
        assert_eq!(refused.to_string(), expected);
    }
    world.finish();
}

/// Berlin 2026: clocks go forward on 29 March; New York: forward on 8 March, back on 1 November.
#[test]
fn instants_follow_the_clocks_of_their_zone() {
    for (zone, time, days_before, value_date, minutes) in [
        ("Europe/Berlin", "17:00", 0, "2026-03-27", 16 * 60),
        ("Europe/Berlin", "17:00", 0, "2026-03-30", 15 * 60),
        // The business day before Monday is Friday, by winter time.
        ("Europe/Berlin", "17:00", 1, "2026-03-30", (16 - 72) * 60),
        ("America/New_York", "17:00", 0, "2026-03-06", 22 * 60),
        ("America/New_York", "17:00", 0, "2026-03-09", 21 * 60),
        ("America/New_York", "17:00", 0, "2026-10-30", 21 * 60),
        ("America/New_York", "17:00", 0, "2026-11-02", 22 * 60),
        // Over Easter: Thursday 2 April is the business day of the euro before Tuesday 7 April.
        ("Europe/Berlin", "17:00", 1, "2026-04-07", (15 - 120) * 60),
        ("Asia/Tokyo", "00:30", 0, "2026-04-07", -510),
        // A Sunday that the scheme makes a business day: 02:30 does not exist, the clock is at 03:00.
        ("Europe/Berlin", "02:30", 0, "2026-03-29", 60),
    ] {
        let mut world = World::new();
        world.set("2026-02-02", 9);
        let line = AssetCutOff {
            days_before,
            ..cut_off("EUR", CutOffPurpose::Customer, time, zone)
        };
        let sunday = day("EUR", "2026-03-29", DayChange::Business);
        let days = match value_date {
            "2026-03-29" => vec![sunday],
            _ => Vec::new(),
        };
        world.apply_calendar(&[line], &days);
        let name = on(value_date, 1);
        world.operate(open_action(name)).unwrap();
        let expected = format!("EUR Customer {minutes}");
        assert_eq!(world.instants(name), [expected], "{zone} {value_date}");
        world.finish();
    }
}

/// Today's cycle closes at 11:00 UTC, is paid in by 12:00.
#[test]
fn an_opened_cycle_keeps_its_instants() {
    let berlin = "Europe/Berlin";
    let lines = [
        cut_off("JPY", CutOffPurpose::PayIn, "12:30", berlin),
        cut_off("JPY", CutOffPurpose::Close, "11:00", berlin),
        cut_off("EUR", CutOffPurpose::PayIn, "18:00", berlin),
        cut_off("EUR", CutOffPurpose::Customer, "10:30", berlin),
    ];
    let mut world = World::with_cut_offs(&lines);
    world.open(1).unwrap();
    let kept = world.view(cycle(1));
    let fixed = [
        "EUR Customer 570",
        "EUR PayIn 1020",
        "JPY PayIn 690",
        "JPY Close 600",
    ];
    assert_eq!(world.instants(cycle(1)), fixed);
    // All change: a cut-off moves, one is lifted, the scheme's own move to another zone, a day is added.
    let changed = [
        cut_off("JPY", CutOffPurpose::PayIn, "11:00", "Asia/Tokyo"),
        AssetCutOff {
            cut_off: None,
            ..lines[3]
        },
    ];
    let holiday = day("EUR", "2026-12-24", DayChange::Holiday);
    assert_eq!(world.apply_calendar(&changed, &[holiday]), 3);
    let mut other_zone = scheme();
    other_zone.cut_offs.as_mut().unwrap().zone = "Asia/Tokyo".to_owned();
    world.operate(Action::ApplyScheme(other_zone)).unwrap();
    assert_eq!(world.view(cycle(1)), kept);
    world.operate(open_action(on("2026-11-24", 1))).unwrap();
    let next = world.view(on("2026-11-24", 1));
    assert_ne!(next.calendar_version, kept.calendar_version);
    assert_eq!(
        world.instants(on("2026-11-24", 1)),
        ["EUR PayIn 1020", "JPY PayIn 120", "JPY Close 600"]
    );
    // Members are held to the kept ones: 09:30 UTC for customers in euro, 10:00 for the yen.
    for (minutes, line, expected) in [
        (29, "A -> B 1.00 EUR, net", "member 1"),
        (30, "A -> B 1.00 EUR, net", "TM01 PastAssetCutOff"),
        (30, "A -> B 1.00 EUR, net, cover", "member 1"),
        (59, "A -> B 1 JPY, net", "member 1"),
        (60, "A -> B 1 JPY, net", "TM01 PastAssetCutOff"),
        (
            60,
            "A -> B 1.00 USD + A -> B 1 JPY, net",
            "TM01 PastAssetCutOff",
        ),
        (119, "A -> B 1.00 USD, net", "member 1"),
        (120, "A -> B 1.00 USD, net", "TM01 PastCutOff"),
    ] {
        world.now = Timestamp(MORNING.0 + minutes * 60_000);
        check(&mut world, line, expected);
    }
    world.finish();
}

#[test]
fn the_schedule_has_each_assets_deadline() {
    let berlin = "Europe/Berlin";
    let mut world = World::with_cut_offs(&[
        cut_off("JPY", CutOffPurpose::PayIn, "12:30", berlin),
        // Later than the cycle's own, which then holds.
        cut_off("EUR", CutOffPurpose::PayIn, "18:00", berlin),
    ]);
    world.open(1).unwrap();
    for line in ["1 JPY", "1.00 EUR", "1.00 USD"] {
        check(&mut world, &format!("A -> B {line}, net"), "member 1");
    }
    world.at(2);
    world.operate(Action::CloseCycle(cycle(1))).unwrap();
    world.operate(Action::NetCycle(cycle(1))).unwrap();
    let positions = world.view(cycle(1)).positions;
    let of_a = positions.iter().filter(|line| line.participant == bic("A"));
    let deadlines: Vec<_> = of_a
        .map(|line| (line.asset.code.to_string(), line.pay_in_deadline))
        .collect();
    let minutes = |minutes: i64| Timestamp(MORNING.0 + minutes * 60_000);
    assert_eq!(
        deadlines,
        [
            ("USD".to_owned(), minutes(180)),
            ("EUR".to_owned(), minutes(180)),
            ("JPY".to_owned(), minutes(150)),
        ]
    );
    world.finish();
}

/// MORNING is 09:00 UTC: 10:00 in Berlin, 18:00 in Tokyo.
#[test]
fn gross_instructions_have_cut_offs_too() {
    let mut world = World::with_cut_offs(&[
        cut_off("EUR", CutOffPurpose::Customer, "12:00", "Europe/Berlin"),
        cut_off("EUR", CutOffPurpose::Interbank, "13:00", "Europe/Berlin"),
        cut_off("EUR", CutOffPurpose::Close, "10:00", "Europe/Berlin"),
        AssetCutOff {
            days_before: 1,
            ..cut_off("JPY", CutOffPurpose::Customer, "23:00", "Asia/Tokyo")
        },
    ]);
    for (hours, line, expected) in [
        (0, "A -> B 1.00 EUR", "queued"),
        (2, "A -> B 1.00 EUR", "TM01 PastAssetCutOff"),
        (2, "A -> B 1.00 USD", "queued"),
        (2, "A -> B 1.00 EUR, cover", "queued"),
        (2, "A -> B 1.00 EUR, return", "queued"),
        (2, "A -> B 1.00 EUR + B -> A 1.00 USD, trade=T", "unmatched"),
        (3, "A -> B 1.00 EUR, cover", "TM01 PastAssetCutOff"),
        (
            3,
            "A -> B 1.00 EUR + B -> A 1.00 USD, trade=U",
            "TM01 PastAssetCutOff",
        ),
        // Yesterday at 23:00 in Tokyo.
        (0, "A -> B 1 JPY", "TM01 PastAssetCutOff"),
        (0, "A -> B 1 JPY, cover", "queued"),
    ] {
        world.at(hours);
        check(&mut world, line, expected);
    }
    // Lifted, and moved on the same day: no old instant is left.
    world.at(3);
    let lifted = AssetCutOff {
        cut_off: None,
        ..cut_off("EUR", CutOffPurpose::Interbank, "13:00", "Europe/Berlin")
    };
    let moved = cut_off("EUR", CutOffPurpose::Customer, "15:00", "Europe/Berlin");
    assert_eq!(world.apply_calendar(&[lifted, moved], &[]), 2);
    check(&mut world, "A -> B 1.00 EUR", "queued");
    check(&mut world, "A -> B 1.00 EUR, cover", "queued");
    assert_eq!(world.apply_calendar(&[lifted], &[]), 0);
    world.finish();
}

#[test]
fn a_cancel_comes_before_its_cut_off() {
    let berlin = "Europe/Berlin";
    for (line, expected) in [
        (
            "A -> B 1.00 EUR, id=1",
            "the cancel cut-off of EUR has passed",
        ),
        (
            "A -> B 1.00 EUR, id=1, net",
            "the cancel cut-off of EUR has passed",
        ),
        (
            "A -> B 1.00 EUR + B -> A 1 JPY, id=1, trade=T",
            "the cancel cut-off of EUR has passed",
        ),
        (
            "A -> B 1.00 EUR, id=1, approvers=1/B",
            "the cancel cut-off of EUR has passed",
        ),
        ("A -> B 1.00 USD, id=1", "done"),
        ("A -> B 1.00 USD, id=1, net", "done"),
    ] {
        for (minutes, passed) in [(59, false), (60, true)] {
            let mut world =
                World::with_cut_offs(&[cut_off("EUR", CutOffPurpose::Cancel, "11:00", berlin)]);
            world.open(1).unwrap();
            let kind = world.submit(line).identity.kind;
            world.now = Timestamp(MORNING.0 + minutes * 60_000);
            let action = Action::Cancel {
                uetr: uetr(1_000_001),
                kind,
            };
            let answer = world.command(Caller::Participant(bic("A")), action);
            let found = answer.map_or_else(|refusal| refusal.to_string(), |_| "done".to_owned());
            assert_eq!(found, if passed { expected } else { "done" }, "{line}");
            world.finish();
        }
    }
}

#[test]
fn refuses_calendars_that_cannot_be() {
    let zone = "Europe/Berlin";
    let line = cut_off("EUR", CutOffPurpose::Close, "11:00", zone);
    let holiday = day("EUR", "2026-12-24", DayChange::Holiday);
    let open = day("EUR", "2026-12-24", DayChange::Business);
    for (cut_offs, days, expected) in [
        (
            vec![line, line],
            vec![],
            "scheme.asset_cut_offs[1]: comes twice",
        ),
        (
            vec![cut_off("XXX", CutOffPurpose::Close, "11:00", zone)],
            vec![],
            "scheme.asset_cut_offs[0].asset: no such asset",
        ),
        (
            vec![AssetCutOff {
                days_before: 6,
                ..line
            }],
            vec![],
            "scheme.asset_cut_offs[0].days_before: is above 5",
        ),
        (vec![], vec![holiday, open], "scheme.days[1]: comes twice"),
        (
            vec![],
            vec![day("XXX", "2026-12-24", DayChange::Holiday)],
            "scheme.days[0].asset: no such asset",
        ),
    ] {
        let bad = Scheme {
            asset_cut_offs: cut_offs,
            days,
            ..scheme()
        };
        let refused = World::new().operate(Action::ApplyScheme(bad)).unwrap_err();
        assert_eq!(refused.to_string(), expected);
    }
}

/// What was journaled before there were calendars: descriptions of seven fields, openings of four.
#[test]
fn reads_records_from_before_calendars() {
    let Scheme {
        name,
        base_asset,
        assets,
        participants,
        accounts,
        limits,
        cut_offs,
        ..
    } = scheme();
    let fields = (
        name,
        base_asset,
        assets,
        participants,
        accounts,
        limits,
        cut_offs,
    );
    let bytes = minicbor::to_vec(fields).unwrap();
    assert_eq!(minicbor::decode::<Scheme>(&bytes).unwrap(), scheme());
    let opened = (20_u8, (cycle(1), MORNING, MORNING, MORNING));
    let bytes = minicbor::to_vec(opened).unwrap();
    let event = Event::CycleOpened {
        cycle: cycle(1),
        cut_off: MORNING,
        pay_in_deadline: MORNING,
        completion_deadline: MORNING,
        calendar: None,
    };
    assert_eq!(minicbor::decode::<Event>(&bytes).unwrap(), event);
}

/// Accepted in time, but ready only when the asset no longer joins cycles.
#[test]
fn a_condition_may_come_true_too_late_for_an_asset() {
    let close = cut_off("EUR", CutOffPurpose::Close, "10:30", "Europe/Berlin");
    for (line, at_one) in [
        ("A -> B 1.00 EUR, net, after=1h", "TM01 PastAssetCutOff"),
        ("A -> B 1.00 USD, net, after=1h", "member 1"),
    ] {
        let mut world = World::with_cut_offs(&[close]);
        world.open(1).unwrap();
        let sent = world.submit(line);
        assert_eq!(words(&sent), "not before", "{line}");
        world.at(1).tick();
        assert_eq!(world.status(sent.sequence), at_one, "{line}");
        world.finish();
    }
}
