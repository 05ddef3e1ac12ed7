//! Receipts as they are kept by banks: what verifies today must verify for years, and nothing else must.
#![allow(clippy::unwrap_used, missing_docs)]

use valuta_verify::{Policy, Side, verify};

const PAYMENT: &str = include_str!("data/payment.tlog-proof");
const TRADE_FIRST: &str = include_str!("data/trade-first.tlog-proof");
const TRADE_SECOND: &str = include_str!("data/trade-second.tlog-proof");
const RECEIPTS: [&str; 3] = [PAYMENT, TRADE_FIRST, TRADE_SECOND];
/// Random changes per receipt; `VALUTA_LONG` makes it a hundred times as many.
const MUTATIONS: u64 = 3_000;

fn policy() -> Policy {
    Policy::parse(include_str!("data/policy")).unwrap()
}

#[test]
fn stored_receipts_verify() {
    let check = |receipt: &str, content: &str, index, side: Option<Side>| {
        let verified = verify(receipt, &policy()).unwrap();
        assert_eq!(verified.content, content.as_bytes());
        assert_eq!(verified.trade.map(|(side, _)| side), side);
        assert_eq!((verified.member_index, verified.member_count), (index, 6));
        assert_eq!((verified.scheme.as_str(), verified.batch), ("demo", 2));
        assert_eq!(verified.cycle.as_deref(), Some("2026-11-20/2"));
        assert_eq!(
            (verified.time_ms, verified.sequence),
            (1_763_640_000_000, 200)
        );
        assert_eq!(
            (verified.certificate, verified.chain),
            (Some([2; 32]), [3; 32])
        );
        assert_eq!(
            (verified.origin.as_str(), verified.tree_size),
            ("valuta.example/log", 3)
        );
        assert_eq!(verified.log_index, 1);
    };
    check(PAYMENT, "pay 0 of batch 2", 0, None);
    check(TRADE_FIRST, "buy 1 of batch 2", 1, Some(Side::First));
    check(TRADE_SECOND, "sell 1 of batch 2", 1, Some(Side::Second));
}

/// Neither a panic nor a receipt that verifies for something else, whatever is done to it.
#[test]
fn no_mutation_verifies_for_something_else() {
    let count = if std::env::var_os("VALUTA_LONG").is_some() {
        MUTATIONS * 100
    } else {
        MUTATIONS
    };
    let policy = policy();
    let stored = RECEIPTS.map(|receipt| verify(receipt, &policy).unwrap());
    for seed in 0..count {
        for (index, good) in RECEIPTS.into_iter().enumerate() {
            let mut random = SplitMix(seed * 3 + index as u64);
            let mut bytes = good.as_bytes().to_vec();
            for _ in 0..=random.below(3) {
                mutate(&mut bytes, &mut random);
            }
            // Parts of one receipt may make up another one whole; and a signature of an unknown key, as
            // of a copied line with another name, is passed over: the note's format says so.
            let found = verify(&bytes, &policy);
            if let Some(other) = found.ok().filter(|found| !stored.contains(found)) {
                let text = String::from_utf8_lossy(&bytes);
                panic!("seed {seed}: {other:?}\n{text}");
            }
        }
    }
}

#[test]
fn nonsense_is_refused() {
    for seed in 0..500 {
        let mut random = SplitMix(seed);
        let bytes: Vec<u8> = (0..random.below(300))
            .map(|_| random.next() as u8)
            .collect();
        assert!(verify(&bytes, &policy()).is_err(), "seed {seed}");
        let _ = Policy::parse(&String::from_utf8_lossy(&bytes));
    }
    for text in [
        "",
        "\n",
        "\n\n",
        "\n\n\n\n",
        "c2sp.org/tlog-proof@v1\n\n\n\n",
        "extra \nindex 0\n\na\n",
    ] {
        assert!(verify(text, &policy()).is_err(), "{text:?}");
    }
}

fn mutate(bytes: &mut Vec<u8>, random: &mut SplitMix) {
    if bytes.is_empty() {
        return; // cut to one byte, which was taken away
    }
    let at = random.below(bytes.len() as u64) as usize;
    match random.below(6) {
        0 => bytes[at] ^= 1 << random.below(8),
        1 => drop(bytes.remove(at)),
        2 => bytes.insert(at, b"\n A=0\xe2"[random.below(6) as usize]),
        3 => bytes.truncate(at.max(1)),
        4 => move_line(bytes, random),
        _ => splice(bytes, random),
    }
}

/// A line goes to another place, or is there twice.
fn move_line(bytes: &mut Vec<u8>, random: &mut SplitMix) {
    let mut lines: Vec<Vec<u8>> = bytes
        .split_inclusive(|byte| *byte == b'\n')
        .map(<[u8]>::to_vec)
        .collect();
    let from = random.below(lines.len() as u64) as usize;
    let line = if random.below(2) == 0 {
        lines[from].clone()
    } else {
        lines.remove(from)
    };
    lines.insert(random.below(lines.len() as u64 + 1) as usize, line);
    *bytes = lines.concat();
}

/// A line is replaced by one of another receipt.
fn splice(bytes: &mut Vec<u8>, random: &mut SplitMix) {
    let other = RECEIPTS[random.below(3) as usize];
    let mut lines: Vec<&[u8]> = bytes.split_inclusive(|byte| *byte == b'\n').collect();
    let others: Vec<&str> = other.split_inclusive('\n').collect();
    let (to, from) = (
        random.below(lines.len() as u64),
        random.below(others.len() as u64),
    );
    lines[to as usize] = others[from as usize].as_bytes();
    *bytes = lines.concat();
}

struct SplitMix(u64);

impl SplitMix {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }
}
