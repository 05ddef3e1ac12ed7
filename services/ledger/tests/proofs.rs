//! Proofs of balances, postings, conservation and disclosure: checked by what the formats say, in a few
//! lines of their own, and for what they tell to those who may not know.
#![allow(clippy::unwrap_used, missing_docs)]

use std::collections::{BTreeMap, BTreeSet};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use curve25519_dalek::ristretto::{CompressedRistretto, RistrettoPoint};
use curve25519_dalek::scalar::Scalar;
use curve25519_dalek::traits::Identity as _;
use sha2::{Digest as _, Sha512};
use valuta_ledger::{
    Balance, BatchInput, BatchTrees, Hash, Header, Ledger, LedgerError, LogKey, MemberContent,
    Posting, ReceiptContent, leaf_hash, root_from_path, sha256,
};

const ACCOUNTS: [(&str, &str, i128); 7] = [
    ("DEUTDEFF", "EUR", -500),
    ("BNPAFRPP", "EUR", 200),
    ("CHASUS33", "USD", 40_000_000_000_000_000_000),
    ("DEUTDEFF", "USD", -40_000_000_000_000_000_000),
    ("INGBNL2A", "EUR", 300),
    ("DEUTDEFF", "JPY", 0),
    ("INGBNL2A", "JPY", 0),
];

fn batch(number: u64) -> BatchInput {
    let postings = ACCOUNTS.iter().map(|(participant, asset, amount)| Posting {
        participant: (*participant).into(),
        asset: (*asset).into(),
        amount: *amount * i128::from(number),
    });
    let balances = ACCOUNTS.iter().map(|(participant, asset, amount)| Balance {
        participant: (*participant).into(),
        asset: (*asset).into(),
        amount: *amount - 7,
    });
    BatchInput {
        scheme: "demo".into(),
        number,
        time_ms: 1_763_640_000_000,
        cycle: None,
        seed: sha256(&number.to_be_bytes()),
        members: (0..5).map(|index| member(number, index)).collect(),
        postings: postings.collect(),
        balances: balances.collect(),
        certificate_hash: None,
        sequence: number * 100,
        chain: [3; 32],
    }
}

fn content(number: u64, index: u64) -> Vec<u8> {
    format!("instruction {index} of batch {number}").into_bytes()
}

fn member(number: u64, index: u64) -> MemberContent {
    if index == 3 {
        return MemberContent::Two(sha256(&content(number, 3)), sha256(b"other side"));
    }
    MemberContent::One(content(number, index))
}

fn opened(number: u64, index: u64) -> ReceiptContent {
    if index == 3 {
        return ReceiptContent::SideOfTwo {
            side: valuta_ledger::Side::First,
            content: content(number, 3),
            other: sha256(b"other side"),
        };
    }
    ReceiptContent::One(content(number, index))
}

fn ledger(batches: &[BatchInput]) -> (tempfile::TempDir, Ledger) {
    let dir = tempfile::tempdir().unwrap();
    let key = LogKey::from_seed("valuta.example/log", &[1; 32]).unwrap();
    let mut ledger = Ledger::open(dir.path(), key).unwrap();
    for batch in batches {
        ledger.add(batch).unwrap();
    }
    (dir, ledger)
}

/// The lines of the extra text.
struct Extra(Vec<(String, String)>);

impl Extra {
    /// Checks what all have in common: the header, and that it is the entry of the note below.
    fn of(file: &str, format: &str, header: &Header) -> Self {
        let mut lines = file.lines();
        assert_eq!(lines.next(), Some("c2sp.org/tlog-proof@v1"));
        let extra = lines.next().unwrap().strip_prefix("extra ").unwrap();
        let index = lines.next().unwrap().strip_prefix("index ").unwrap();
        let path: Vec<Hash> = lines
            .by_ref()
            .take_while(|line| !line.is_empty())
            .map(hash)
            .collect();
        let note: Vec<_> = lines.collect();
        let text = String::from_utf8(STANDARD.decode(extra).unwrap()).unwrap();
        let (first, rest) = text.split_once('\n').unwrap();
        assert_eq!(first, format);
        let lines = rest.lines().map(|line| line.split_once(' ').unwrap());
        let mut lines: Vec<_> = lines
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect();
        lines.reverse();
        let mut extra = Self(lines);
        assert_eq!(extra.bytes("header"), header.text().into_bytes());
        let leaf = leaf_hash(header.text().as_bytes());
        assert_eq!(extra.hash("entry"), leaf);
        let (index, size) = (index.parse().unwrap(), note[1].parse().unwrap());
        assert_eq!(
            root_from_path(leaf, index, size, &path),
            Some(hash(note[2]))
        );
        extra
    }

    fn value(&mut self, name: &str) -> String {
        let (found, value) = self.0.pop().unwrap();
        assert_eq!(found, name);
        value
    }

    fn has(&self, name: &str) -> bool {
        self.0.last().is_some_and(|(found, _)| found == name)
    }

    fn bytes(&mut self, name: &str) -> Vec<u8> {
        STANDARD.decode(self.value(name)).unwrap()
    }

    fn hash(&mut self, name: &str) -> Hash {
        self.bytes(name).try_into().unwrap()
    }

    fn path(&mut self) -> Vec<Hash> {
        std::iter::from_fn(|| self.has("path").then(|| self.hash("path"))).collect()
    }

    fn place(&mut self, name: &str) -> (u64, u64) {
        let value = self.value(name);
        let (index, count) = value.split_once(' ').unwrap();
        (index.parse().unwrap(), count.parse().unwrap())
    }
}

fn hash(text: &str) -> Hash {
    STANDARD.decode(text).unwrap().try_into().unwrap()
}

fn committed(salt: &Hash, content: &[u8]) -> Hash {
    sha256(&[salt.as_slice(), content].concat())
}

fn blinding_base() -> RistrettoPoint {
    let hash = Sha512::digest(b"valuta.pedersen/v1 blinding base");
    RistrettoPoint::from_uniform_bytes(&hash.into())
}

fn scalar(amount: i128) -> Scalar {
    let magnitude = Scalar::from(amount.unsigned_abs());
    if amount < 0 { -magnitude } else { magnitude }
}

#[test]
fn every_balance_is_proven() {
    let (_dir, ledger) = ledger(&[batch(1), batch(2)]);
    let reader = ledger.reader();
    let trees = BatchTrees::new(&batch(2));
    let header = reader.header(2).unwrap();
    for (at, (participant, asset, amount)) in (0..).zip(ACCOUNTS) {
        let proof = trees.balance(participant, asset).unwrap();
        let file = reader.balance(2, &proof).unwrap();
        let mut extra = Extra::of(&file, "valuta.balance/v1", &header);
        let (index, count) = extra.place("balance");
        assert_eq!((index, count), (at, header.balances.count));
        let content = extra.bytes("content");
        assert_eq!(
            content,
            format!("{participant} {asset} {}", amount - 7).into_bytes()
        );
        assert_eq!(extra.hash("digest"), sha256(&content));
        let salt = extra.hash("salt");
        let commitment = extra.hash("commitment");
        assert_eq!(commitment, committed(&salt, &content));
        let root = root_from_path(leaf_hash(&commitment), index, count, &extra.path());
        assert_eq!(root, Some(header.balances.root));
        assert!(extra.0.is_empty());
        assert!(matches!(
            reader.balance(1, &proof),
            Err(LedgerError::LineForeign { .. })
        ));
        let mut other = proof.clone();
        other.balance.amount += 1;
        assert!(matches!(
            reader.balance(2, &other),
            Err(LedgerError::LineForeign { .. })
        ));
        assert!(!format!("{proof:?}").contains(participant));
    }
    assert!(trees.balance("DEUTDEFF", "GBP").is_none());
}

#[test]
fn every_posting_is_proven() {
    let (_dir, ledger) = ledger(&[batch(1), batch(2)]);
    let reader = ledger.reader();
    let trees = BatchTrees::new(&batch(2));
    let header = reader.header(2).unwrap();
    let mut seen = BTreeSet::new();
    for (participant, asset, amount) in ACCOUNTS {
        let proofs = trees.postings(participant);
        assert!(
            proofs
                .iter()
                .all(|proof| proof.posting.participant == participant)
        );
        let proof = proofs
            .iter()
            .find(|proof| proof.posting.asset == asset)
            .unwrap();
        let file = reader.posting(2, proof).unwrap();
        let mut extra = Extra::of(&file, "valuta.posting/v1", &header);
        let (index, count) = extra.place("posting");
        assert_eq!(count, header.postings.count);
        seen.insert(index);
        let content = extra.bytes("content");
        assert_eq!(
            content,
            format!("{participant} {asset} {}", amount * 2).into_bytes()
        );
        let commitment = committed(&extra.hash("salt"), &content);
        let blinding = Scalar::from_canonical_bytes(extra.hash("blinding")).unwrap();
        let point = RistrettoPoint::mul_base(&scalar(amount * 2)) + blinding * blinding_base();
        let encoded = [point.compress().to_bytes(), commitment].map(|hash| STANDARD.encode(hash));
        let leaf = leaf_hash(format!("{asset} {} {}", encoded[0], encoded[1]).as_bytes());
        let root = root_from_path(leaf, index, count, &extra.path());
        assert_eq!(root, Some(header.postings.root));
        assert!(extra.0.is_empty());
        let foreign = |proof| {
            matches!(
                reader.posting(2, &proof),
                Err(LedgerError::LineForeign { .. })
            )
        };
        let mut other = proof.clone();
        other.posting.amount -= 1;
        assert!(foreign(other.clone()));
        other = proof.clone();
        other.blinding[0] ^= 1;
        assert!(foreign(other.clone()));
        other.blinding = [0xff; 32];
        assert!(foreign(other), "not a scalar");
    }
    assert_eq!(seen.len(), ACCOUNTS.len());
}

#[test]
fn conservation_is_proven_without_a_line() {
    let (_dir, ledger) = ledger(&[batch(1), batch(2)]);
    let reader = ledger.reader();
    let header = reader.header(2).unwrap();
    let sums = BatchTrees::new(&batch(2)).conservation();
    let file = reader.conservation(2, &sums).unwrap();
    let mut extra = Extra::of(&file, "valuta.conservation/v1", &header);
    let (mut leaves, mut points) = (Vec::new(), BTreeMap::new());
    while extra.has("posting") {
        let text = extra.value("posting");
        leaves.push(leaf_hash(text.as_bytes()));
        let fields: Vec<_> = text.split(' ').collect();
        let point = CompressedRistretto(hash(fields[1])).decompress().unwrap();
        let sum = points
            .entry(fields[0].to_owned())
            .or_insert(RistrettoPoint::identity());
        *sum += point;
    }
    let tree: valuta_ledger::Tree = leaves.into_iter().collect();
    assert_eq!(
        (tree.size(), tree.root(tree.size())),
        (7, Some(header.postings.root))
    );
    for (asset, sum) in points {
        let line = extra.value("sum");
        let blinding = line.strip_prefix(&format!("{asset} 0 ")).unwrap();
        let blinding = Scalar::from_canonical_bytes(hash(blinding)).unwrap();
        assert_eq!(sum, blinding * blinding_base(), "{asset}");
    }
    assert!(extra.0.is_empty());
    assert!(matches!(
        reader.conservation(1, &sums),
        Err(LedgerError::LineForeign { .. })
    ));
}

#[test]
fn a_batch_without_postings_conserves() {
    let empty = BatchInput {
        postings: Vec::new(),
        ..batch(1)
    };
    let (_dir, ledger) = ledger(std::slice::from_ref(&empty));
    let sums = BatchTrees::new(&empty).conservation();
    let header = ledger.reader().header(1).unwrap();
    let file = ledger.reader().conservation(1, &sums).unwrap();
    assert!(
        Extra::of(&file, "valuta.conservation/v1", &header)
            .0
            .is_empty()
    );
}

#[test]
fn chosen_members_are_disclosed() {
    let (_dir, ledger) = ledger(&[batch(1)]);
    let (reader, trees) = (ledger.reader(), BatchTrees::new(&batch(1)));
    let header = reader.header(1).unwrap();
    let proof = |index| (trees.members.proof(index).unwrap(), opened(1, index));
    let file = reader
        .disclosure(1, &[proof(3), proof(0), proof(3)])
        .unwrap();
    let mut extra = Extra::of(&file, "valuta.disclosure/v1", &header);
    assert_eq!(extra.value("count"), "5");
    for index in [0, 3] {
        assert_eq!(extra.value("member"), index.to_string());
        let mut committed_to = content(1, index);
        if extra.has("side") {
            assert_eq!(extra.value("side"), "first");
            committed_to = [sha256(&committed_to), extra.hash("other")].concat();
        }
        assert_eq!(extra.bytes("content"), content(1, index));
        assert_eq!(extra.hash("digest"), sha256(&content(1, index)));
        let commitment = committed(&extra.hash("salt"), &committed_to);
        assert_eq!(extra.hash("commitment"), commitment);
        let root = root_from_path(leaf_hash(&commitment), index, 5, &extra.path());
        assert_eq!(root, Some(header.members.root));
    }
    assert!(extra.0.is_empty());
    let wrong = [(trees.members.proof(0).unwrap(), opened(1, 1))];
    assert!(matches!(
        reader.disclosure(1, &wrong),
        Err(LedgerError::MemberForeign { .. })
    ));
}

/// What a file tells, with everything that is inside in base64.
fn told(text: &str) -> BTreeSet<Vec<u8>> {
    let mut told = BTreeSet::new();
    for word in text.split_whitespace() {
        told.insert(word.as_bytes().to_vec());
        if let Ok(bytes) = STANDARD.decode(word) {
            if let Ok(text) = std::str::from_utf8(&bytes) {
                told.extend(self::told(text));
            }
            told.insert(bytes);
        }
    }
    told
}

#[test]
fn receipts_tell_nothing_of_another_member() {
    let (_dir, ledger) = ledger(&[batch(1)]);
    let (reader, trees) = (ledger.reader(), BatchTrees::new(&batch(1)));
    let receipt = |index| {
        let proof = trees.members.proof(index).unwrap();
        told(&reader.receipt(1, &proof, &opened(1, index)).unwrap())
    };
    let two: BTreeSet<_> = receipt(0).union(&receipt(2)).cloned().collect();
    let third = trees.members.proof(1).unwrap();
    let content = content(1, 1);
    let commitment = committed(&third.salt, &content);
    for secret in [&content[..], &third.salt, &sha256(&content), &commitment] {
        assert!(!two.contains(secret));
        assert!(receipt(1).contains(secret), "so it would have been found");
    }
    // They have in common what is public, and hashes of subtrees, none of them with a known salt.
    let leaf = leaf_hash(&commitment);
    assert!(
        two.contains(&leaf[..]),
        "its leaf is in the path of its sibling"
    );
}

/// One payment alone in its batch, its text known but for the amount; two postings. Its banks are in no other
/// batch, whose receipts would tell of them.
fn lonely(amount: i128) -> BatchInput {
    let posting = |participant: &str, amount| Posting {
        participant: participant.into(),
        asset: "EUR".into(),
        amount,
    };
    BatchInput {
        number: 3,
        seed: [0x77; 32],
        members: vec![MemberContent::One(lonely_text(amount))],
        postings: vec![posting("NDEAFIHH", -amount), posting("ESSESESS", amount)],
        balances: vec![Balance {
            participant: "ESSESESS".into(),
            asset: "EUR".into(),
            amount,
        }],
        ..batch(3)
    }
}

fn lonely_text(amount: i128) -> Vec<u8> {
    format!("NDEAFIHH pays ESSESESS {amount} EUR").into_bytes()
}

/// All that an outsider with receipts of other batches holds of the ledger.
#[test]
fn a_lonely_payment_cannot_be_guessed() {
    let amount = 4_711;
    let (dir, ledger) = ledger(&[batch(1), batch(2), lonely(amount)]);
    let reader = ledger.reader();
    let trees = BatchTrees::new(&batch(2));
    let mut files: Vec<String> = (0..5)
        .map(|index| {
            let proof = trees.members.proof(index).unwrap();
            reader.receipt(2, &proof, &opened(2, index)).unwrap()
        })
        .collect();
    for participant in ["DEUTDEFF", "BNPAFRPP"] {
        files.push(
            reader
                .balance(2, &trees.balance(participant, "EUR").unwrap())
                .unwrap(),
        );
        files.push(reader.posting(2, &trees.postings(participant)[0]).unwrap());
    }
    let own = BatchTrees::new(&lonely(amount));
    files.push(reader.conservation(3, &own.conservation()).unwrap());
    files.push(reader.header(3).unwrap().text());
    let mut told: BTreeSet<_> = files.iter().flat_map(|file| told(file)).collect();
    for tile in ["tile/0/000.p/3", "checkpoint"] {
        let bytes = std::fs::read(dir.path().join("public").join(tile)).unwrap();
        told.extend(bytes.chunks(32).map(<[u8]>::to_vec));
    }
    // Whatever is 32 bytes may be tried as a salt or a blinding.
    let mut keys: Vec<Hash> = told
        .iter()
        .filter_map(|bytes| bytes[..].try_into().ok())
        .collect();
    keys.push([0; 32]);
    let blindings: Vec<_> = keys
        .iter()
        .filter_map(|key| Option::from(Scalar::from_canonical_bytes(*key)))
        .map(|blinding: Scalar| blinding * blinding_base())
        .collect();
    assert!(keys.len() > 30 && blindings.len() > 5);
    let points: BTreeSet<_> = told.iter().filter(|bytes| bytes.len() == 32).collect();
    let is_found = |amount: i128, keys: &[Hash]| {
        let texts = [
            lonely_text(amount),
            format!("NDEAFIHH EUR {}", -amount).into_bytes(),
            format!("ESSESESS EUR {amount}").into_bytes(),
        ];
        texts.iter().any(|text| {
            keys.iter().any(|key| {
                let commitment = committed(key, text);
                let tried = [
                    commitment,
                    leaf_hash(&commitment),
                    leaf_hash(text),
                    sha256(text),
                ];
                tried.iter().any(|hash| told.contains(&hash[..]))
            })
        })
    };
    for guess in 0..10_000 {
        assert!(!is_found(guess, &keys), "{guess}");
    }
    // Points are dearer, so that every blinding is tried on the right amount alone.
    for amount in [amount, -amount] {
        let bare = RistrettoPoint::mul_base(&scalar(amount));
        for blinding in blindings.iter().chain([&RistrettoPoint::identity()]) {
            for tried in [bare + blinding, bare - blinding] {
                assert!(!points.contains(&tried.compress().to_bytes().to_vec()));
            }
        }
    }
    // The search would find it: with the salt that only the parties have.
    let salt = own.members.proof(0).unwrap().salt;
    assert!(is_found(amount, &[salt]));
    assert!(!is_found(amount + 1, &[salt]));
    let blinding = own.postings("ESSESESS")[0].blinding;
    let blinding = Scalar::from_canonical_bytes(blinding).unwrap();
    let point = RistrettoPoint::mul_base(&scalar(amount)) + blinding * blinding_base();
    assert!(points.contains(&point.compress().to_bytes().to_vec()));
}
