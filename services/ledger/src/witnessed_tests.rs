//! Checkpoints with the signatures of others, and of other keys of ours.

use super::*;

#[test]
fn cosigned_checkpoints_are_kept_served_and_never_go_back() {
    let place = Place::with(2);
    let mut ledger = place.open().unwrap();
    let reader = ledger.reader();
    let stored = || fs::read_to_string(place.file(CHECKPOINT)).unwrap();
    let plain = reader.checkpoint();
    assert_eq!(
        (reader.witnessed_size(), reader.witnessed_checkpoint()),
        (0, None)
    );
    let a = format!("{plain}{}", cosignature("a", 1));
    reader.witnessed(&a).unwrap();
    assert_eq!((stored(), &*reader.checkpoint()), (a.clone(), &*a));
    // Others join at the same size; the same witness again replaces its line.
    let again = format!("{plain}{}{}", cosignature("b", 1), cosignature("a", 2));
    reader.witnessed(&again).unwrap();
    assert_eq!(stored(), again);
    assert_eq!(reader.witnessed_size(), 2);
    reader.witnessed(&again).unwrap();
    assert_eq!(stored(), again);

    ledger.add(&batch(3)).unwrap();
    let newest = reader.checkpoint();
    assert_eq!((stored(), reader.witnessed_size()), (newest.to_string(), 2));
    // An older one with more, and then a newer one.
    reader
        .witnessed(&format!("{plain}{}", cosignature("c", 1)))
        .unwrap();
    assert_eq!(stored(), *newest);
    let all = format!("{plain}{}", cosignature("c", 1)) + &again[plain.len()..];
    assert_eq!(reader.witnessed_checkpoint().as_deref(), Some(&*all));
    drop(ledger);
    let ledger = place.open().unwrap();
    let reader = ledger.reader();
    assert_eq!(reader.witnessed_checkpoint().as_deref(), Some(&*all));
    assert_eq!((stored(), reader.witnessed_size()), (newest.to_string(), 2));
    witness(&ledger, "a");
    assert_eq!(reader.witnessed_size(), 3);
    reader.witnessed(&a).unwrap();
    assert_eq!(
        (reader.witnessed_size(), stored()),
        (3, witnessed_note_of(&newest))
    );
    drop(ledger);
    let ledger = place.open().unwrap();
    assert_eq!(*ledger.reader().checkpoint(), stored(), "kept over a start");
    assert_eq!(ledger.reader().audit().unwrap(), 3);
}

fn witnessed_note_of(note: &str) -> String {
    format!("{note}{}", cosignature("a", 1))
}

#[test]
fn notes_that_are_not_ours_are_no_witnessed_ones() {
    let place = Place::with(4);
    let ledger = place.open().unwrap();
    let reader = ledger.reader();
    let good = reader.checkpoint();
    let before = place.files();
    let check = |note: String, sentence: &str| {
        let error = reader.witnessed(&note).unwrap_err();
        assert!(error.to_string().contains(sentence), "{error}");
        assert!(!error.stops() && reader.stopped().is_none());
        assert_eq!(place.files(), before);
    };
    let cosigned = |checkpoint: &Checkpoint| checkpoint.sign(&key()) + &cosignature("a", 1);
    check(good.to_string(), "no cosignature");
    check(
        good.replace("\n4\n", "\n3\n") + &cosignature("a", 1),
        "not signed by",
    );
    let mut other = ledger.signed.clone();
    other.root[0] ^= 1;
    check(cosigned(&other), "not the checkpoint's root at size 4");
    other.size = 3;
    check(cosigned(&other), "not the checkpoint's root at size 3");
    other.size = 5;
    check(cosigned(&other), "not the checkpoint's root at size 5");
    let (body, _) = good.split_once("\n\n").unwrap();
    check(
        format!("{body}\n\n{}", cosignature("a", 1)),
        "not signed by",
    );
    check(format!("{good}junk\n"), "signature line expected");
    let foreign = LogKey::from_seed("valuta.example/other", &[1; 32]).unwrap();
    other.origin = foreign.name().to_owned();
    check(other.sign(&foreign) + &cosignature("a", 1), "origin is");
}

/// Of one that was signed elsewhere with the same keys.
#[test]
fn a_checkpoint_of_another_place_is_of_this_log_or_not() {
    let (place, longer) = (Place::with(3), Place::with(4));
    let (ledger, other) = (place.open().unwrap(), longer.open().unwrap());
    let reader = ledger.reader();
    let had = |note: &str| {
        let had = reader.has_had(note);
        had.map_err(|error| error.to_string())
    };
    assert_eq!(
        had(&Place::with(0).open().unwrap().reader().checkpoint()),
        Ok(true)
    );
    assert_eq!(had(&reader.checkpoint()), Ok(true));
    assert_eq!(had(&other.reader().checkpoint()), Ok(false), "not yet");
    let mut forked = ledger.signed.clone();
    forked.root[0] ^= 1;
    let refused = |note: &str, sentence: &str| {
        let error = had(note).unwrap_err();
        assert!(error.contains(sentence), "{error}");
    };
    refused(&forked.sign(&key()), "not the checkpoint's root at size 3");
    let foreign = LogKey::from_seed(key().name(), &[9; 32]).unwrap();
    refused(&ledger.signed.sign(&foreign), "not signed by");
    assert!(reader.stopped().is_none());
}

/// Whatever is left of the two files: never back in size, and no cosignature lost that was there.
#[test]
fn a_crash_while_a_cosigned_checkpoint_is_stored() {
    for target in [Target::Witnessed, Target::Checkpoint] {
        for (step, when) in STEPS
            .into_iter()
            .flat_map(|step| [(step, When::Before), (step, When::After)])
        {
            let place = Place::with(2);
            let ledger = place.open().unwrap();
            witness(&ledger, "a");
            set_fault(&ledger, Some((target, step, when)));
            let note = witnessed_note(&ledger, "b");
            let error = ledger.reader().witnessed(&note).unwrap_err();
            assert!(matches!(error, LedgerError::Io { .. }), "{error}");
            assert!(
                !ledger.reader().checkpoint().contains(" b "),
                "shown before durable"
            );
            drop(ledger);
            let ledger = place.open().unwrap();
            let reader = ledger.reader();
            assert!(reader.checkpoint().contains(" a "));
            let stored = fs::read_to_string(place.file(CHECKPOINT)).unwrap();
            assert_eq!(stored, *reader.checkpoint());
            let is_there = target == Target::Checkpoint
                || (step, when) == (Step::Rename, When::After)
                || step == Step::SyncDirectory;
            assert_eq!(
                stored.contains(" b "),
                is_there,
                "{target:?} {step:?} {when:?}"
            );
            reader.audit().unwrap();
        }
    }
}

#[test]
fn after_a_rotation_the_same_tree_is_signed_by_all_active_keys() {
    let dir = tempfile::tempdir().unwrap();
    let mut ring = valuta_keys::KeyRing::open(&dir.path().join("keys"), "p").unwrap();
    let plain = dir.path().join("key");
    let name = "valuta.example/log";
    let first = LogKey::open(&mut ring, name, &plain, 1).unwrap();
    let at = dir.path().join("ledger");
    let mut ledger = Ledger::open(&at, first.clone()).unwrap();
    ledger.add(&batch(1)).unwrap();
    witness(&ledger, "w");
    let before = ledger.reader().checkpoint();
    drop(ledger);
    ring.generate(valuta_keys::KeyKind::Log, name, 2).unwrap();
    let both = LogKey::from_ring(&ring, name).unwrap();
    let mut ledger = Ledger::open(&at, both.clone()).unwrap();
    let after = ledger.reader().checkpoint();
    let lines = |note: &str| note.lines().map(str::to_owned).collect::<Vec<_>>();
    assert!(
        lines(&before)
            .iter()
            .all(|line| lines(&after).contains(line))
    );
    assert_eq!(lines(&after).len(), lines(&before).len() + 1);
    assert_eq!(*after, fs::read_to_string(at.join(CHECKPOINT)).unwrap());
    ledger.add(&batch(2)).unwrap();
    ledger.reader().audit().unwrap();
    drop(ledger);
    ring.retire(valuta_keys::KeyId(first.id())).unwrap();
    let second = LogKey::from_ring(&ring, name).unwrap();
    let ledger = Ledger::open(&at, second.clone()).unwrap();
    let note = ledger.reader().checkpoint();
    let alone = LogKey::from_ring(&ring, name).unwrap();
    assert!(Checkpoint::open(&note, &alone).is_ok());
    assert_eq!(lines(&note).len(), 5);
    assert!(!ledger.reader().policy().contains(&first.vkey()));
    ledger.reader().audit().unwrap();
    drop(ledger);
    let unknown = Ledger::open(&at, first);
    assert!(matches!(unknown, Err(LedgerError::Checkpoint { .. })));
}
