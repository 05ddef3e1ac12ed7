//! One candidate of a role is named at a time; another when it leaves.

use std::time::{Duration, Instant};

use valuta_kafka::{Election, Named};

use crate::support::{SOON, journal};

fn chosen(candidates: &[Election]) -> Vec<usize> {
    let mine = candidates
        .iter()
        .enumerate()
        .filter(|(_, c)| *c.named().borrow() == Named::This);
    mine.map(|(at, _)| at).collect()
}

fn await_one(candidates: &[Election]) -> usize {
    let deadline = Instant::now() + SOON;
    loop {
        if let [one] = chosen(candidates)[..] {
            return one;
        }
        assert!(Instant::now() < deadline, "{:?}", chosen(candidates));
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn one_candidate_is_chosen_and_keeps_it_until_it_leaves() {
    let config = journal();
    let mut candidates = vec![Election::join(&config, "leader").unwrap()];
    assert_eq!(await_one(&candidates), 0);
    candidates.extend((0..2).map(|_| Election::join(&config, "leader").unwrap()));
    // Another role's turn is its own.
    assert_eq!(await_one(&[Election::join(&config, "relay").unwrap()]), 0);
    // The others join, and take nothing.
    for _ in 0..60 {
        std::thread::sleep(Duration::from_millis(50));
        assert_eq!(chosen(&candidates), [0]);
    }
    // And know it.
    for other in &candidates[1..] {
        assert_eq!(*other.named().borrow(), Named::Other);
    }
    while candidates.len() > 1 {
        let leaving = await_one(&candidates);
        let begun = Instant::now();
        drop(candidates.remove(leaving));
        await_one(&candidates);
        println!("another was chosen after {:?}", begun.elapsed());
    }
}
