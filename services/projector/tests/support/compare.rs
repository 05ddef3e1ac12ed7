//! Asks two read models everything, and expects the same answers.

use super::oracle::status_filter;
use settlement_core::command::Position;
use settlement_core::ids::{Bic, Sequence};
use settlement_core::instruction::{Kind, Lane};
use valuta_projector::{BatchFilter, ListFilter, ListPage, ReadModel, StatusFilter};

/// All of a list, page by page.
pub fn whole_list(reads: &impl ReadModel, filter: &ListFilter) -> ListPage {
    let mut whole = ListPage::default();
    let mut filter = filter.clone();
    loop {
        let page = reads.list(&filter).unwrap();
        assert!(page.rows.len() <= filter.limit);
        whole.rows.extend(page.rows);
        if page.next.is_none() {
            return whole;
        }
        assert!(
            filter
                .before
                .is_none_or(|before| page.next.unwrap() < before)
        );
        filter.before = page.next;
    }
}

pub fn same_answers(found: &impl ReadModel, expected: &impl ReadModel, bics: &[Bic], name: &str) {
    same_lists(found, expected, bics, name);
    same_histories(found, expected, bics, name);
    same_batches(found, expected, bics, name);
}

fn filters(expected: &impl ReadModel, bics: &[Bic]) -> Vec<ListFilter> {
    let all = ListFilter {
        limit: usize::MAX,
        ..ListFilter::default()
    };
    let some = expected.list(&all).unwrap().rows;
    let mut filters = vec![all.clone()];
    for (at, row) in some.iter().enumerate().step_by(1 + some.len() / 8) {
        let mut filter = all.clone();
        let bic = |at: usize| Some(bics[at % bics.len()]);
        if at % 2 == 0 {
            filter.participant = bic(at);
        }
        match at % 7 {
            0 => filter.status = Some(status_filter(row.answer.status)),
            1 => filter.kind = Some(row.answer.identity.kind),
            2 => filter.counterparty = bic(at + 1),
            3 => filter.lane = Some(Lane::Net),
            4 => filter.asset = fx::AssetCode::parse(b"USD"),
            5 => filter.cycle = settlement_core::ids::CycleName::parse("2026-11-20/1"),
            _ => filter.value_date = settlement_core::ids::Date::parse(b"2026-11-20"),
        }
        filters.push(filter);
    }
    filters.extend(bics.iter().map(|bic| ListFilter {
        participant: Some(*bic),
        ..all.clone()
    }));
    filters.push(ListFilter {
        status: Some(StatusFilter::Rejected),
        kind: Some(Kind::Payment),
        ..all.clone()
    });
    filters.extend(bics.iter().map(|bic| ListFilter {
        participant: Some(*bic),
        awaiting_approval: true,
        ..all.clone()
    }));
    filters.push(ListFilter {
        awaiting_approval: true,
        ..all.clone()
    });
    filters.push(ListFilter {
        participant: Bic::parse(b"NOBODY00"),
        ..all
    });
    filters
}

fn same_lists(found: &impl ReadModel, expected: &impl ReadModel, bics: &[Bic], name: &str) {
    for filter in filters(expected, bics) {
        let rows = expected.list(&filter).unwrap().rows;
        for row in &rows {
            let sequence = row.answer.sequence;
            assert_eq!(found.instruction(sequence).unwrap().as_ref(), Some(row));
        }
        for limit in [1, 7, 1_000] {
            let filter = ListFilter {
                limit,
                ..filter.clone()
            };
            let whole = whole_list(found, &filter);
            assert_eq!(whole.rows, rows, "{name}: {filter:?}");
        }
    }
    assert_eq!(found.instruction(Sequence(0)).unwrap(), None);
}

fn same_histories(found: &impl ReadModel, expected: &impl ReadModel, bics: &[Bic], name: &str) {
    let everyone = bics.iter().copied().map(Some).chain([None]);
    for participant in everyone {
        let changes = expected
            .changes(participant, Position::default(), usize::MAX)
            .unwrap();
        for limit in [3, 1_000] {
            let paged = paged(
                limit,
                |after| found.changes(participant, after, limit).unwrap(),
                |row| row.position,
            );
            assert_eq!(paged, changes, "{name}: changes of {participant:?}");
        }
    }
    for &bic in bics {
        let received = expected
            .received(bic, Position::default(), usize::MAX)
            .unwrap();
        for limit in [2, 1_000] {
            let paged = paged(
                limit,
                |after| found.received(bic, after, limit).unwrap(),
                |row| row.position,
            );
            assert_eq!(paged, received, "{name}: received by {bic}");
        }
    }
}

fn paged<T>(
    limit: usize,
    page: impl Fn(Position) -> Vec<T>,
    position: impl Fn(&T) -> Position,
) -> Vec<T> {
    let mut all: Vec<T> = Vec::new();
    loop {
        let after = all.last().map_or(Position::default(), &position);
        let rows = page(after);
        assert!(rows.len() <= limit);
        let last = rows.len() < limit;
        all.extend(rows);
        if last {
            return all;
        }
    }
}

fn same_batches(found: &impl ReadModel, expected: &impl ReadModel, bics: &[Bic], name: &str) {
    let every = BatchFilter {
        limit: usize::MAX,
        ..BatchFilter::default()
    };
    let batches = expected.batches(&every).unwrap();
    assert_eq!(found.batches(&every).unwrap(), batches, "{name}");
    for row in &batches {
        let filter = BatchFilter {
            cycle: row.cycle,
            before: Some(row.number + 1),
            limit: 2,
        };
        assert_eq!(
            found.batches(&filter).unwrap(),
            expected.batches(&filter).unwrap(),
            "{name}"
        );
        let batch = expected.batch(row.number).unwrap();
        assert_eq!(found.batch(row.number).unwrap(), batch, "{name}");
        for line in batch.iter().flat_map(|batch| &batch.postings) {
            let (holder, asset) = (line.participant, line.asset.code);
            for until in [row.number - 1, row.number] {
                assert_eq!(
                    found.changed_by(holder, asset, until).unwrap(),
                    expected.changed_by(holder, asset, until).unwrap(),
                    "{name}: {line:?}, {until}"
                );
            }
            let newest = found.changed_by(holder, asset, row.number);
            assert_eq!(newest.unwrap(), Some(row.number), "{name}");
        }
        same_members(found, expected, bics, row.number, name);
    }
    assert_eq!(found.batch(0).unwrap(), None);
}

fn same_members(
    found: &impl ReadModel,
    expected: &impl ReadModel,
    bics: &[Bic],
    batch: u64,
    name: &str,
) {
    for participant in bics.iter().copied().map(Some).chain([None]) {
        let members = expected
            .members(participant, batch, Sequence(0), usize::MAX)
            .unwrap();
        for member in &members {
            assert_eq!(
                found.unit(member.instruction).unwrap(),
                Some(*member),
                "{name}"
            );
        }
        let mut after = Sequence(0);
        let mut paged = Vec::new();
        loop {
            let page = found.members(participant, batch, after, 2).unwrap();
            let Some(last) = page.last() else { break };
            after = last.instruction;
            paged.extend(page);
        }
        assert_eq!(
            paged, members,
            "{name}: members of {batch} for {participant:?}"
        );
    }
}
