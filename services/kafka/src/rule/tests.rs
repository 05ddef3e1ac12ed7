//! The rule as a table of histories, and by seed against a naive oracle.

#![allow(clippy::unwrap_used)]
use super::*;

const ID: JournalId = JournalId([7; 16]);

/// A message that knows its content; its chain is filled in where it says `=`.
#[derive(Clone, Debug, PartialEq)]
struct Sent {
    kind: Kind,
    journal: JournalId,
    header: RecordHeader,
}

impl Sent {
    fn raw(&self) -> RawRecord<'static> {
        RawRecord {
            kind: self.kind,
            journal: self.journal,
            header: self.header,
            payload: b"payload",
        }
    }
}

fn header(epoch: u64, leader: u8, first: u64, last: u64, chain_before: Chain) -> RecordHeader {
    RecordHeader {
        epoch,
        leader_id: [leader; 16],
        first_sequence: first,
        last_sequence: last,
        chain_before,
        time_ms: 5,
    }
}

/// `G`; `E2a`: epoch 2 of leader a; `R2a 3-4`: its record; then `!chain` or `!journal` for a wrong one.
fn parse(text: &str, chain: Chain) -> Sent {
    let mut words = text.split(' ');
    let head = words.next().unwrap();
    let mut bytes = head.bytes().skip(1);
    let (epoch, leader) = (
        bytes.next().map_or(0, |b| b - b'0'),
        bytes.next().unwrap_or(0),
    );
    let (mut first, mut last, mut chain_before, mut journal) = (0, 0, chain, ID);
    for word in words {
        match word {
            "!chain" => chain_before = [9; 32],
            "!journal" => journal = JournalId([8; 16]),
            range => {
                let (from, to) = range.split_once('-').unwrap();
                (first, last) = (from.parse().unwrap(), to.parse().unwrap());
            }
        }
    }
    let kind = match head.as_bytes()[0] {
        b'G' => Kind::Genesis {
            term: (epoch > 0).then_some(Term {
                epoch: epoch.into(),
                id: [leader; 16],
            }),
        },
        b'E' => Kind::EpochStarted,
        _ => Kind::Record,
    };
    Sent {
        kind,
        journal,
        header: header(epoch.into(), leader, first, last, chain_before),
    }
}

/// Each message with what becomes of it: `ok`, or the reason why it is skipped.
fn check(history: &[(&str, &str)]) {
    let mut rule = Rule::new();
    for (at, &(text, expected)) in history.iter().enumerate() {
        let before = rule.clone();
        let verdict = rule.accept(&parse(text, rule.chain()).raw());
        let found = match verdict {
            Verdict::Skipped(skip) => format!("{skip:?}"),
            Verdict::Genesis | Verdict::Epoch(_) | Verdict::Record(_) => "ok".into(),
        };
        assert_eq!(found, expected, "message {at}: {text}");
        assert_eq!(found == "ok", rule != before, "message {at}: {text}");
    }
}

#[test]
fn a_topic_begins_with_its_first_genesis() {
    check(&[
        ("E1a", "BeforeGenesis"),
        ("R1a 1-1", "BeforeGenesis"),
        ("G", "ok"),
        ("G", "SecondGenesis"),
    ]);
    check(&[
        ("G", "ok"),
        ("G !journal", "OtherJournal"),
        ("E1a !journal", "OtherJournal"),
    ]);
}

#[test]
fn nothing_is_accepted_before_an_epoch_but_in_a_copy() {
    check(&[
        ("G", "ok"),
        ("R0a 1-1", "OtherTerm"),
        ("R1a 1-1", "OtherTerm"),
        ("E1a", "ok"),
        ("R1a 1-1", "ok"),
    ]);
    check(&[
        ("G3a", "ok"),
        ("R3a 1-2", "ok"),
        ("E3b", "StaleEpoch"),
        ("E4b", "ok"),
        ("R3a 3-3", "OtherTerm"),
    ]);
}

#[test]
fn an_epoch_must_be_strictly_newer() {
    check(&[
        ("G", "ok"),
        ("E0a", "StaleEpoch"),
        ("E2a", "ok"),
        ("E2a", "StaleEpoch"),
        ("E1b", "StaleEpoch"),
        ("E9b", "ok"),
    ]);
}

#[test]
fn of_two_candidates_the_first_leads() {
    check(&[
        ("G", "ok"),
        ("E1a", "ok"),
        ("E1b", "StaleEpoch"),
        ("R1b 1-1", "OtherTerm"),
        ("R1a 1-1", "ok"),
    ]);
}

#[test]
fn an_epoch_counts_wherever_it_lands() {
    check(&[
        ("G", "ok"),
        ("E1a", "ok"),
        ("R1a 1-4", "ok"),
        ("E2b !chain", "ok"),
        ("R2b 5-5", "ok"),
        ("E3a 1-9 !chain", "ok"),
        ("R3a 6-6", "ok"),
    ]);
}

#[test]
fn a_zombie_is_skipped_whatever_it_writes() {
    check(&[
        ("G", "ok"),
        ("E1a", "ok"),
        ("R1a 1-1", "ok"),
        ("E2b", "ok"),
        ("R1a 2-2", "OtherTerm"),
        ("R2a 2-2", "OtherTerm"),
        ("R1b 2-2", "OtherTerm"),
        ("R2b 2-2", "ok"),
        ("E2a", "StaleEpoch"),
        ("R2b 3-3", "ok"),
    ]);
}

#[test]
fn a_record_is_the_next_one_on_the_chain() {
    check(&[
        ("G", "ok"),
        ("E1a", "ok"),
        ("R1a 2-2", "Gap"),
        ("R1a 1-0", "Gap"),
        ("R1a 1-3", "ok"),
        ("R1a 1-3", "Gap"),
        ("R1a 3-4", "Gap"),
        ("R1a 5-5", "Gap"),
        ("R1a 4-3", "Gap"),
        ("R1a 4-4 !chain", "OtherChain"),
        ("R1a 4-18446744073709551615", "ok"),
        ("R1a 0-0", "Gap"),
    ]);
}

/// The rule as DESIGN says it, over the whole history each time: what is accepted so far, as a list.
#[derive(Default)]
struct Naive {
    genesis: Option<Sent>,
    accepted: Vec<Sent>,
}

impl Naive {
    /// The chain, from the start, with the epochs where they landed.
    fn walk(&self) -> (u64, Chain) {
        let mut at = (0, ID.genesis());
        for sent in &self.accepted {
            let mut header = sent.header;
            if sent.kind == Kind::EpochStarted {
                (header.first_sequence, header.last_sequence) = (at.0 + 1, at.0);
                header.chain_before = at.1;
            }
            at = (header.last_sequence, chain_after(&header, b"payload"));
        }
        at
    }

    fn is_accepted(&self, sent: &Sent) -> bool {
        let Some(genesis) = &self.genesis else {
            return matches!(sent.kind, Kind::Genesis { .. });
        };
        if sent.journal != genesis.journal || matches!(sent.kind, Kind::Genesis { .. }) {
            return false;
        }
        let epochs = || {
            self.accepted
                .iter()
                .filter(|a| a.kind == Kind::EpochStarted)
        };
        let newest = epochs().map(|epoch| epoch.header.epoch).max().unwrap_or(0);
        if sent.kind == Kind::EpochStarted {
            return sent.header.epoch > newest;
        }
        let (sequence, chain) = self.walk();
        let current = epochs()
            .next_back()
            .map(|epoch| (epoch.header.epoch, epoch.header.leader_id));
        let Sent { header, .. } = sent;
        current == Some((header.epoch, header.leader_id))
            && header.first_sequence == sequence + 1
            && header.last_sequence > sequence
            && header.chain_before == chain
    }

    fn take(&mut self, sent: Sent) -> bool {
        let accepted = self.is_accepted(&sent);
        if accepted {
            match sent.kind {
                Kind::Genesis { .. } => self.genesis = Some(sent),
                Kind::EpochStarted | Kind::Record => self.accepted.push(sent),
            }
        }
        accepted
    }
}

struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % bound
    }
}

/// A message that is right in most things, as a confused process would send it.
fn hostile(random: &mut Random, rule: &Rule, chains: &[Chain]) -> Sent {
    let near = |random: &mut Random, value: u64| match random.below(6) {
        0 => value.saturating_sub(1),
        1 => value + 1,
        _ => value,
    };
    let starts = random.below(4) == 0;
    let epoch = if starts {
        rule.epoch() + random.below(3)
    } else {
        near(random, rule.epoch())
    };
    let leader = if random.below(5) == 0 {
        1
    } else {
        epoch as u8 % 3
    };
    let first = near(random, rule.sequence() + 1);
    let length = random.below(2);
    let last = near(random, first + length);
    let chain = match random.below(6) {
        0 => chains[random.below(chains.len() as u64) as usize],
        _ => rule.chain(),
    };
    let kind = match random.below(12) {
        0 => Kind::Genesis { term: None },
        _ if starts => Kind::EpochStarted,
        _ => Kind::Record,
    };
    let journal = if random.below(20) == 0 {
        JournalId([8; 16])
    } else {
        ID
    };
    Sent {
        kind,
        journal,
        header: header(epoch, leader, first, last, chain),
    }
}

#[test]
fn the_rule_accepts_what_the_naive_one_accepts() {
    let mut accepted = 0;
    for seed in 0..2_000 {
        let (mut random, mut rule, mut naive) = (Random(seed), Rule::new(), Naive::default());
        let genesis = parse("G", [0; 32]);
        let mut chains = vec![[0; 32]];
        for step in 0..40 {
            let sent = if step == 3 {
                genesis.clone()
            } else {
                hostile(&mut random, &rule, &chains)
            };
            let sent = if naive.genesis.is_none() {
                Sent {
                    journal: ID,
                    ..sent
                }
            } else {
                sent
            };
            let verdict = rule.accept(&sent.raw());
            let found = !matches!(verdict, Verdict::Skipped(_));
            assert_eq!(
                found,
                naive.take(sent.clone()),
                "seed {seed}, step {step}: {sent:?}"
            );
            if naive.genesis.is_some() {
                assert_eq!(
                    (rule.sequence(), rule.chain()),
                    naive.walk(),
                    "seed {seed}, step {step}"
                );
            }
            chains.push(rule.chain());
            accepted += u32::from(found);
        }
    }
    assert!(accepted > 2_000 * 8, "{accepted}");
}

/// Starting after any accepted record is the same as having read everything.
#[test]
fn a_reader_that_starts_later_judges_alike() {
    for seed in 0..300 {
        let (mut random, mut rule) = (Random(seed), Rule::new());
        rule.accept(&parse("G", [0; 32]).raw());
        let mut late: Vec<Rule> = Vec::new();
        for _ in 0..40 {
            let sent = hostile(&mut random, &rule, &[[0; 32]]);
            let verdict = rule.accept(&sent.raw());
            late.iter_mut()
                .for_each(|late| assert_eq!(late.accept(&sent.raw()), verdict, "seed {seed}"));
            assert!(late.iter().all(|late| *late == rule), "seed {seed}");
            if let Verdict::Record(chain) = verdict {
                late.push(Rule::after(ID, &sent.header, chain));
            }
        }
    }
}
