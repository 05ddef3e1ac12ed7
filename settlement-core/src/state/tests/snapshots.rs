//! A state that went through a snapshot decides as the one that did not; a view stays as it is.

use super::World;
use super::simulation::{Random, seeds, step};
use crate::state::{SnapshotError, State};
use std::collections::VecDeque;
use std::convert::Infallible;

fn pieces_of(state: &State) -> VecDeque<Vec<u8>> {
    let mut pieces = VecDeque::new();
    let mut sink = |piece: &[u8]| {
        pieces.push_back(piece.to_vec());
        Ok::<(), Infallible>(())
    };
    let Ok(()) = state.write_snapshot(&mut sink);
    pieces
}

/// `Err`: the pieces ended too early.
fn read(mut pieces: VecDeque<Vec<u8>>) -> Result<State, SnapshotError<&'static str>> {
    State::read_snapshot(&mut || pieces.pop_front().ok_or("ended"))
}

/// The state as a start would find it.
pub(super) fn reloaded(state: &State) -> State {
    let reloaded = read(pieces_of(state)).unwrap();
    assert_eq!(reloaded.digest(), state.digest());
    assert!(reloaded.conserves());
    reloaded
}

/// Two equal days, one with a restart from a snapshot now and then: the same events come of both.
#[test]
fn a_day_with_restarts_is_the_same_day() {
    for seed in seeds(40) {
        let (mut plain, mut restarted) = (World::new(), World::new());
        let (mut random, mut same) = (Random(seed ^ 0x57a7), Random(seed ^ 0x57a7));
        let mut when = Random(seed);
        let (mut opened, mut opened_too) = (0, 0);
        for _ in 0..250 {
            step(&mut random, &mut plain, &mut opened);
            step(&mut same, &mut restarted, &mut opened_too);
            if when.below(12) == 0 {
                restarted.state = reloaded(&restarted.state.freeze());
            }
        }
        assert_eq!(plain.journal, restarted.journal, "seed {seed}");
        plain.finish();
        restarted.finish();
    }
}

#[test]
fn every_view_of_a_day_stays_as_it_was() {
    for seed in seeds(20) {
        let (mut random, mut world, mut opened) = (Random(seed ^ 0xf0), World::new(), 0);
        let mut views = Vec::new();
        for at in 0..200 {
            step(&mut random, &mut world, &mut opened);
            if at % 20 == 0 {
                let view = world.state.freeze();
                views.push((view.digest(), view));
            }
        }
        for (digest, view) in &views {
            assert_eq!(view.digest(), *digest, "seed {seed}");
        }
        world.finish();
    }
}

/// A view is a state too: it may be given another future, which the live one and the view do not see.
#[test]
fn a_view_and_the_live_state_part_ways() {
    for seed in seeds(20) {
        let (mut world, mut fork) = (World::new(), World::new());
        let (mut opened, mut opened_too) = (0, 0);
        let (mut random, mut same) = (Random(seed ^ 0xf1), Random(seed ^ 0xf1));
        for _ in 0..150 {
            step(&mut random, &mut world, &mut opened);
            step(&mut same, &mut fork, &mut opened_too);
        }
        let view = world.state.freeze();
        fork.state = view.clone();
        let digest = view.digest();
        same = Random(seed ^ 0xf2);
        for _ in 0..50 {
            step(&mut same, &mut fork, &mut opened_too);
            step(&mut random, &mut world, &mut opened);
        }
        assert_eq!(view.digest(), digest, "seed {seed}");
        world.finish();
        fork.finish();
    }
}

#[test]
fn a_snapshot_that_ends_early_or_has_other_pieces_is_refused() {
    let (mut random, mut world, mut opened) = (Random(7), World::new(), 0);
    for _ in 0..200 {
        step(&mut random, &mut world, &mut opened);
    }
    let pieces = pieces_of(&world.state);
    for count in 0..pieces.len() {
        let cut = pieces.iter().take(count).cloned().collect();
        assert!(
            matches!(read(cut), Err(SnapshotError::Source("ended"))),
            "{count} pieces"
        );
        let mut other = pieces.clone();
        other[count] = vec![0xff];
        assert!(
            matches!(read(other), Err(SnapshotError::Malformed { .. })),
            "piece {count}"
        );
    }
    world.finish();
}
