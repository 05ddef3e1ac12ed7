//! The events of one input in a record. Many in a row that differ in a number alone, as when a deadline
//! rejects a whole queue, are one item of a few bytes each: else a million would not fit one record.
//!
//! ```text
//! events = CBOR array [item*]
//! item   = event
//!        | CBOR array [event, count, steps bytes]    the first of so many, and the way to each next number
//! step   = the difference of two numbers, wrapping, zigzag, LEB128
//! ```

use crate::event::Event;
use crate::ids::Sequence;
use minicbor::decode::Error;
use minicbor::{Decoder, Encoder};

/// Fewer stay as they are.
const COUNT_MIN: usize = 16;

type Written = Result<(), minicbor::encode::Error<core::convert::Infallible>>;

pub(crate) fn encode(events: &[Event], encoder: &mut Encoder<&mut Vec<u8>>) -> Written {
    let items = events.chunk_by(continues).map(|some| match some.len() {
        COUNT_MIN.. => 1,
        single => single as u64,
    });
    encoder.array(items.sum())?;
    for some in events.chunk_by(continues) {
        if some.len() < COUNT_MIN {
            for event in some {
                encoder.encode(event)?;
            }
            continue;
        }
        let mut steps = Vec::new();
        for pair in some.windows(2) {
            push_step(&mut steps, number(&pair[0]), number(&pair[1]));
        }
        let count = some.len() as u64;
        encoder
            .array(3)?
            .encode(&some[0])?
            .u64(count)?
            .bytes(&steps)?;
    }
    Ok(())
}

/// Appends them to `events`.
pub(crate) fn decode(decoder: &mut Decoder<'_>, events: &mut Vec<Event>) -> Result<(), Error> {
    for _ in 0..decoder.array()?.unwrap_or(0) {
        if decoder.probe().array()? != Some(3) {
            events.push(decoder.decode()?);
            continue;
        }
        decoder.array()?;
        let mut event: Event = decoder.decode()?;
        let (count, mut steps) = (decoder.u64()?, decoder.bytes()?);
        for _ in 1..count {
            events.push(event.clone());
            let at = number_mut(&mut event).ok_or_else(|| malformed("has no number"))?;
            at.0 = next_number(at.0, &mut steps).ok_or_else(|| malformed("lacks a step"))?;
        }
        events.push(event);
        if !steps.is_empty() {
            return Err(malformed("has steps left"));
        }
    }
    Ok(())
}

fn malformed(what: &str) -> Error {
    Error::message(format!("a series of events {what}"))
}

/// Whether they differ in their number alone, at most.
fn continues(one: &Event, next: &Event) -> bool {
    match (one, next) {
        (Event::Settled { .. }, Event::Settled { .. }) => true,
        (
            Event::Rejected { rejection: one, .. },
            Event::Rejected {
                rejection: next, ..
            },
        ) => one == next,
        (Event::Held { held: one, .. }, Event::Held { held: next, .. }) => one == next,
        _ => false,
    }
}

fn number_mut(event: &mut Event) -> Option<&mut Sequence> {
    match event {
        Event::Settled { unit: number }
        | Event::Rejected {
            sequence: number, ..
        }
        | Event::Held { unit: number, .. } => Some(number),
        _ => None,
    }
}

fn number(event: &Event) -> u64 {
    match event {
        Event::Settled { unit: number }
        | Event::Rejected {
            sequence: number, ..
        }
        | Event::Held { unit: number, .. } => number.0,
        _ => unreachable!("only what continues is asked"),
    }
}

fn push_step(steps: &mut Vec<u8>, from: u64, to: u64) {
    let step = to.wrapping_sub(from).cast_signed();
    let mut rest = ((step << 1) ^ (step >> 63)).cast_unsigned();
    while rest >= 0x80 {
        steps.push((rest & 0x7f) as u8 | 0x80);
        rest >>= 7;
    }
    steps.push(rest as u8);
}

/// `None`: the steps end, or one has more than 64 bits.
fn next_number(from: u64, steps: &mut &[u8]) -> Option<u64> {
    let mut zigzag = 0u64;
    for shift in (0..).step_by(7) {
        let (&byte, rest) = steps.split_first()?;
        *steps = rest;
        let bits = u64::from(byte & 0x7f);
        if shift > 63 || (shift == 63 && bits > 1) {
            return None;
        }
        zigzag |= bits << shift;
        if byte < 0x80 {
            break;
        }
    }
    let step = (zigzag >> 1) ^ (zigzag & 1).wrapping_neg();
    Some(from.wrapping_add(step))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{self, Input};
    use crate::rejection::Rejection;

    const TICK: Input<'_> = Input::Tick { seed: [7; 32] };

    fn settled(number: u64) -> Event {
        Event::Settled {
            unit: Sequence(number),
        }
    }

    fn rejected(number: u64, rejection: Rejection) -> Event {
        Event::Rejected {
            sequence: Sequence(number),
            rejection,
        }
    }

    fn payload(events: &[Event]) -> Vec<u8> {
        let mut payload = Vec::new();
        record::push(&mut payload, &TICK, events);
        payload
    }

    fn read(payload: &[u8]) -> Result<Vec<Event>, record::PayloadError> {
        let mut events = Vec::new();
        record::entries(payload)?.next_into(&mut events)?;
        Ok(events)
    }

    /// Both ways of reading give what was written, with another input after it.
    fn check(events: &[Event]) {
        let mut payload = payload(events);
        assert_eq!(read(&payload).unwrap(), events);
        record::push(&mut payload, &TICK, &events[..events.len().min(1)]);
        let (mut entries, mut found) = (record::entries(&payload).unwrap(), Vec::new());
        let count = entries.next_appending(&mut found).unwrap();
        assert_eq!(count, Some(u32::try_from(events.len()).unwrap()));
        assert_eq!(found, events);
        assert!(entries.next_input().unwrap().is_some());
        assert!(entries.next_input().unwrap().is_none());
    }

    #[test]
    fn what_was_written_is_read() {
        let numbers = [0, u64::MAX, 1 << 63, 5, 4, 4, (1 << 63) - 1, 300];
        let edges: Vec<_> = numbers.into_iter().cycle().take(40).map(settled).collect();
        check(&edges);
        for count in [0, 1, COUNT_MIN - 1, COUNT_MIN, COUNT_MIN + 1, 1_000] {
            let series = |first: u64| (first..).take(count);
            check(&series(9).map(settled).collect::<Vec<_>>());
            let held = |number, held| Event::Held {
                unit: Sequence(number),
                held,
            };
            let mixed = series(1)
                .map(|number| held(number, true))
                .chain(series(5).map(|number| held(number, false)))
                .chain([Event::IdentitiesLeft { number: 1 }])
                .chain(series(7).map(|number| rejected(3 * number, Rejection::ExpiredInQueue)))
                .chain(series(8).map(|number| rejected(number, Rejection::QuoteExpired)));
            check(&mixed.collect::<Vec<_>>());
        }
    }

    #[test]
    fn a_record_of_before_reads_as_ever() {
        let events: Vec<_> = (0..100).map(settled).collect();
        let mut before = payload(&[]);
        before.pop();
        let mut encoder = Encoder::new(&mut before);
        encoder.encode(&events).unwrap();
        assert_eq!(read(&before).unwrap(), events);
    }

    #[test]
    fn millions_that_a_deadline_rejects_fit_a_record() {
        let late = |number: u64| rejected(3 * number, Rejection::ExpiredInQueue);
        let events: Vec<_> = (1..=2_000_000).map(late).collect();
        let payload = payload(&events);
        assert!(payload.len() < 4 << 20, "{}", payload.len());
        assert_eq!(read(&payload).unwrap(), events);
    }

    #[test]
    fn damage_is_an_error_or_other_events_but_never_a_panic() {
        let events: Vec<_> = (0..30).map(|number| settled(number * number)).collect();
        let good = payload(&events);
        for at in 2..good.len() {
            assert!(read(&good[..at]).is_err(), "cut at {at}");
            for bit in 0..8 {
                let mut bad = good.clone();
                bad[at] ^= 1 << bit;
                let _ = read(&bad);
            }
        }
        let mut series = payload(&[]);
        series.pop();
        for (count, steps) in [(2, &[][..]), (1, &[2]), (2, &[0x80]), (2, &[0xff; 11])] {
            let mut bad = series.clone();
            let mut encoder = Encoder::new(&mut bad);
            let item = encoder.array(1).unwrap().array(3).unwrap();
            item.encode(settled(1)).unwrap().u64(count).unwrap();
            encoder.bytes(steps).unwrap();
            let said = read(&bad).unwrap_err().to_string();
            assert!(said.contains("a series of events"), "{said}");
        }
    }
}
