#![allow(clippy::unwrap_used)]
//! A journal that the core makes, input by input: deposits, and ticks that close a batch each.

use super::*;
use fx::AssetCode;
use settlement_core::command::{
    AccountLine, AccountState, Action, AssetLine, Caller, Command, Movement, MovementKind,
    ParticipantLine, ParticipantState, Scheme,
};
use settlement_core::event::Event;
use settlement_core::ids::{Bic, Sequence, Timestamp};
use settlement_core::instruction::{Digest, ShortText};
use settlement_core::record::{self, Input};
use settlement_core::state::State;
use valuta_journal::{Journal as _, MemoryJournal, Source as _};

const JOURNAL: JournalId = JournalId([0xab; 16]);
const ORIGIN: &str = "valuta.log/abababababababab";
const MORNING: Timestamp = Timestamp(1_795_161_600_000);
const BANK: &str = "AAAAUS33";
const AGENT: &str = "FRNYUS33";

/// Changes what an input's events are before they are journaled.
type Forge = fn(&mut Vec<Event>);

struct Maker {
    state: State,
    journal: MemoryJournal,
    now: Timestamp,
}

impl Maker {
    fn new() -> Self {
        let mut maker = Self {
            state: State::new(true),
            journal: MemoryJournal::new(JOURNAL),
            now: Timestamp(0),
        };
        maker.command(Caller::Operator, Action::SetTime(MORNING));
        maker.now = MORNING;
        maker.command(Caller::Operator, Action::ApplyScheme(scheme()));
        maker
    }

    fn command(&mut self, caller: Caller, action: Action) {
        let sequence = self.next();
        let command = Command {
            caller,
            request_id: ShortText::parse(format!("r{}", sequence.0).as_bytes()).unwrap(),
            created: self.now,
            digest: Digest([u8::try_from(sequence.0).unwrap(); 16]),
            action,
        };
        let mut events = Vec::new();
        let now = self.now;
        let answer = self
            .state
            .execute_command(&command, sequence, now, &mut events);
        assert!(answer.is_ok(), "{command:?}");
        self.append(&Input::Command(Box::new(command)), &events);
    }

    /// A deposit, and the tick that closes its batch.
    fn batch(&mut self, forge: Forge) {
        let deposit = Movement {
            kind: MovementKind::Deposit,
            participant: bic(BANK),
            asset: AssetCode::parse(b"USD"),
            mantissa: Some(100),
            scale: 2,
            negative: false,
            cycle: None,
        };
        self.command(Caller::Agent(bic(AGENT)), Action::Move(deposit));
        let (seed, sequence, now) = ([7; 32], self.next(), self.now);
        let mut events = Vec::new();
        self.state.execute_tick(seed, sequence, now, &mut events);
        assert!(matches!(events[..], [Event::GrossBatchClosed(_)]));
        forge(&mut events);
        self.append(&Input::Tick { seed }, &events);
    }

    fn next(&self) -> Sequence {
        Sequence(self.journal.tail().sequence + 1)
    }

    fn append(&mut self, input: &Input<'_>, events: &[Event]) {
        let (mut payload, sequence) = (Vec::new(), self.next().0);
        record::push(&mut payload, input, events);
        let appended = self
            .journal
            .append(sequence, sequence, self.now.0, &payload);
        appended.unwrap();
    }

    /// What follows it until all that is there is read.
    fn validator(&self) -> JournalValidator {
        let (mut validator, mut follower) = validating(JOURNAL, self.journal.lookup(), true);
        validator.followed_within = Duration::ZERO;
        let mut reader = self.journal.reader(None).unwrap();
        while let Some(record) = reader.next().unwrap() {
            match follower.record(&record) {
                Ok(()) => {}
                Err(Fault::Wrong(finding)) => {
                    follower.known.end(Ended::Wrong(finding));
                    break;
                }
                Err(Fault::Unreadable(error)) => panic!("{error}"),
            }
        }
        validator
    }

    /// The roots that a log of these batches has: another way than the validator's.
    fn roots(&self) -> Vec<Hash> {
        let dir = tempfile::tempdir().unwrap();
        let key = valuta_ledger::LogKey::from_seed(ORIGIN, &[1; 32]).unwrap();
        let mut ledger = valuta_ledger::Ledger::open(dir.path(), key).unwrap();
        let mut batches = Batches::new(self.journal.lookup());
        let mut reader = self.journal.reader(None).unwrap();
        let mut roots = vec![sha256(b"")];
        while let Some(record) = reader.next().unwrap() {
            for batch in batches.record(&record).unwrap() {
                ledger.add(&batch).unwrap();
                let note = ledger.reader().checkpoint();
                let note = valuta_verify::Note::parse(&note).unwrap();
                roots.push(note.checkpoint.root);
            }
        }
        roots
    }
}

fn bic(text: &str) -> Bic {
    Bic::parse(text.as_bytes()).unwrap()
}

fn scheme() -> Scheme {
    let asset = AssetCode::parse(b"USD").unwrap();
    Scheme {
        name: ShortText::parse(b"test").unwrap(),
        base_asset: asset,
        assets: vec![AssetLine {
            code: asset,
            decimals: 2,
            agent: bic(AGENT),
            enabled: true,
        }],
        participants: vec![ParticipantLine {
            bic: bic(BANK),
            name: BANK.to_owned(),
            state: ParticipantState::Active,
        }],
        accounts: vec![AccountLine {
            participant: bic(BANK),
            asset,
            state: AccountState::Open,
        }],
        limits: Vec::new(),
        cut_offs: None,
        asset_cut_offs: Vec::new(),
        days: Vec::new(),
        risk: Vec::new(),
    }
}

fn checkpoint(size: usize, root: Hash) -> Checkpoint {
    Checkpoint {
        origin: ORIGIN.to_owned(),
        size: size as u64,
        root,
    }
}

/// What is said of a checkpoint: `good`, `unavailable ...`, or `found ...` with its evidence.
fn said(validator: &JournalValidator, size: usize, root: Hash) -> String {
    match validator.validate(None, &checkpoint(size, root)) {
        Ok(()) => "good".to_owned(),
        Err(Invalid::Unavailable(reason)) => format!("unavailable: {reason}"),
        Err(Invalid::Finding(Finding { reason, evidence })) => {
            format!("found: {reason}\n{}", evidence.unwrap_or_default())
        }
    }
}

#[test]
fn a_checkpoint_is_right_if_the_journal_gives_its_root() {
    let mut maker = Maker::new();
    (0..5).for_each(|_| maker.batch(|_| {}));
    let (validator, roots) = (maker.validator(), maker.roots());
    assert_eq!((validator.origin(), roots.len()), (ORIGIN, 6));
    for (size, root) in roots.iter().enumerate() {
        assert_eq!(said(&validator, size, *root), "good", "{size}");
    }
    let check = |size: usize, root: Hash, expected: &[&str]| {
        let said = said(&validator, size, root);
        for expected in expected {
            assert!(said.contains(expected), "{size}: {said}");
        }
    };
    let root = BASE64_STANDARD.encode(roots[3]);
    let entry = "valuta.batch/v1\nscheme test\nbatch 3\n";
    check(3, roots[4], &["found", "of 3 entries", &root, entry]);
    check(0, roots[1], &["found", "of 0 entries"]);
    check(6, roots[5], &["unavailable", "up to batch 5"]);
    // Another log is nothing to this one.
    let other = Checkpoint {
        origin: "other.example/log".to_owned(),
        ..checkpoint(9, [0; 32])
    };
    assert_eq!(validator.validate(None, &other), Ok(()));
}

#[test]
fn after_a_wrong_record_no_larger_size_is_right() {
    let mut maker = Maker::new();
    maker.batch(|_| {});
    maker.batch(|_| {});
    let roots = maker.roots();
    maker.batch(|events| {
        let Event::GrossBatchClosed(batch) = &mut events[0] else {
            panic!("{events:?}");
        };
        batch.balances[0].amount += 1;
    });
    let sequence = maker.journal.tail().sequence;
    let chain = BASE64_STANDARD.encode(maker.journal.tail().chain);
    maker.batch(|_| {});
    let validator = maker.validator();
    assert_eq!(said(&validator, 2, roots[2]), "good");
    for size in [3, 4, 9] {
        let said = said(&validator, size, maker.roots()[3]);
        assert!(said.starts_with("found: the journal is wrong at"), "{said}");
        let event = "event 0, GrossBatchClosed, decided again differs";
        let evidence = format!("sequence {sequence}\nchain {chain}\n");
        assert!(said.contains(event) && said.ends_with(&evidence), "{said}");
        // Of what is published nothing is the scheme's secret.
        assert!(!said.contains("seed") && !said.contains("amount"), "{said}");
    }
}

#[test]
fn it_waits_for_a_journal_that_grows_and_says_when_none_does() {
    let mut maker = Maker::new();
    maker.batch(|_| {});
    let root = maker.roots()[1];
    let (mut validator, follower) = validating(JOURNAL, maker.journal.lookup(), true);
    validator.followed_within = Duration::MAX;
    let (reader, tail) = (maker.journal.reader(None).unwrap(), maker.journal.watch());
    std::thread::scope(|scope| {
        let asked = scope.spawn(|| said(&validator, 1, root));
        let ended = scope.spawn(move || follower.run(reader, &tail));
        assert_eq!(asked.join().unwrap(), "good");
        let asked = scope.spawn(|| said(&validator, 2, root));
        let mut payload = Vec::new();
        record::push(&mut payload, &Input::Tick { seed: [0; 32] }, &[]);
        payload[0] += 1;
        let next = maker.journal.tail().sequence + 1;
        maker
            .journal
            .append(next, next, MORNING.0, &payload)
            .unwrap();
        // A newer program's record is no finding.
        assert!(ended.join().unwrap().is_err());
        let said = asked.join().unwrap();
        assert!(
            said.starts_with("unavailable") && said.contains("version"),
            "{said}"
        );
    });
}

#[test]
fn what_was_given_stays_right_after_the_server_has_denied_it() {
    let mut maker = Maker::new();
    maker.batch(|_| {});
    maker.batch(|_| {});
    let (roots, end) = (maker.roots(), maker.journal.tail());
    let (mut validator, follower) = validating(JOURNAL, maker.journal.lookup(), true);
    validator.followed_within = Duration::MAX;
    let (reader, tail) = (maker.journal.reader(None).unwrap(), maker.journal.watch());
    // Said before anything is read, and true only of what comes after it.
    validator.denied(end.sequence, &end.chain);
    tail.close();
    follower.run(reader, &tail).unwrap();
    assert_eq!(said(&validator, 1, roots[1]), "good");
    assert_eq!(said(&validator, 2, roots[2]), "good");
    let said = said(&validator, 3, roots[2]);
    let evidence = format!(
        "sequence {}\nchain {}\n",
        end.sequence,
        BASE64_STANDARD.encode(end.chain)
    );
    assert!(said.starts_with("found: the server denies"), "{said}");
    assert!(said.ends_with(&evidence), "{said}");
}
