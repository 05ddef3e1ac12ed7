//! A writer of every format, independent of the ledger's: what it writes is what the documents say.
#![allow(dead_code)]

use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use curve25519_dalek::ristretto::RistrettoPoint;
use curve25519_dalek::scalar::Scalar;
use ed25519_dalek::{Signer as _, SigningKey};
use sha2::{Digest as _, Sha256, Sha512};

pub type Hash = [u8; 32];

pub const ORIGIN: &str = "valuta.example/log";
pub const TIME_S: u64 = 1_763_640_000;

pub fn b64(bytes: &[u8]) -> String {
    STANDARD.encode(bytes)
}

pub fn sha256(parts: &[&[u8]]) -> Hash {
    Sha256::digest(parts.concat()).into()
}

pub fn leaf(data: &[u8]) -> Hash {
    sha256(&[&[0], data])
}

/// RFC 6962 section 2.1.
pub fn root(leaves: &[Hash]) -> Hash {
    match leaves {
        [] => sha256(&[]),
        [leaf] => *leaf,
        _ => {
            let (left, right) = leaves.split_at(left_of(leaves.len()));
            sha256(&[&[1], &root(left), &root(right)])
        }
    }
}

/// RFC 6962 section 2.1.1.
pub fn path(leaves: &[Hash], index: usize) -> Vec<Hash> {
    if leaves.len() == 1 {
        return vec![];
    }
    let (left, right) = leaves.split_at(left_of(leaves.len()));
    let (mut path, sibling) = if index < left.len() {
        (path(left, index), root(right))
    } else {
        (path(right, index - left.len()), root(left))
    };
    path.push(sibling);
    path
}

fn left_of(size: usize) -> usize {
    let mut power = 1;
    while power * 2 < size {
        power *= 2;
    }
    power
}

/// An Ed25519 key that signs notes (type 1) or cosigns checkpoints (type 4).
pub struct Key {
    name: String,
    kind: u8,
    signing: SigningKey,
}

impl Key {
    pub fn log(seed: u8) -> Self {
        Self::new(ORIGIN, 1, seed)
    }

    pub fn witness(seed: u8) -> Self {
        Self::new(&format!("witness{seed}.example"), 4, seed)
    }

    pub fn new(name: &str, kind: u8, seed: u8) -> Self {
        let signing = SigningKey::from_bytes(&[seed; 32]);
        let name = name.to_owned();
        Self {
            name,
            kind,
            signing,
        }
    }

    fn typed(&self) -> Vec<u8> {
        [&[self.kind], &self.signing.verifying_key().to_bytes()[..]].concat()
    }

    fn id(&self) -> [u8; 4] {
        let hash = sha256(&[self.name.as_bytes(), b"\n", &self.typed()]);
        hash[..4].try_into().unwrap()
    }

    pub fn vkey(&self) -> String {
        let id: String = self.id().iter().map(|byte| format!("{byte:02x}")).collect();
        format!("{}+{id}+{}", self.name, b64(&self.typed()))
    }

    /// A signature line over a note's text.
    pub fn sign(&self, body: &str) -> String {
        self.line(&self.signing.sign(body.as_bytes()).to_bytes())
    }

    pub fn cosign(&self, body: &str, time_s: u64) -> String {
        let text = format!("cosignature/v1\ntime {time_s}\n{body}");
        let signature = self.signing.sign(text.as_bytes()).to_bytes();
        self.line(&[&time_s.to_be_bytes(), &signature[..]].concat())
    }

    fn line(&self, signature: &[u8]) -> String {
        let blob = b64(&[&self.id(), signature].concat());
        format!("\u{2014} {} {blob}\n", self.name)
    }
}

pub fn body(origin: &str, size: u64, root: &Hash) -> String {
    format!("{origin}\n{size}\n{}\n", b64(root))
}

/// One log key, three witnesses, two of which must cosign.
pub fn policy_text(quorum: &str) -> String {
    let mut text = format!("log {}\n", Key::log(1).vkey());
    for (name, seed) in [("a", 11), ("b", 12), ("c", 13)] {
        writeln!(text, "witness {name} {}", Key::witness(seed).vkey()).unwrap();
    }
    format!("{text}group two 2 a b c\nquorum {quorum}\n")
}

/// A log of three batches, of which the second is looked at.
pub struct Log {
    pub header: String,
    entries: Vec<Hash>,
}

pub struct Line {
    pub participant: &'static str,
    pub asset: &'static str,
    pub amount: i128,
}

impl Line {
    pub fn text(&self) -> String {
        format!("{} {} {}", self.participant, self.asset, self.amount)
    }
}

pub fn lines() -> Vec<Line> {
    let line = |participant, asset, amount| Line {
        participant,
        asset,
        amount,
    };
    vec![
        line("DEUTDEFF", "USD", -700),
        line("CHASUS33", "USD", 500),
        line("BARCGB22", "EUR", i128::MIN),
        line("BNPAFRPP", "USD", 200),
        line("DEUTDEFF", "EUR", 1),
        line("CHASUS33", "EUR", i128::MAX),
    ]
}

pub fn salt(list: u8, index: usize) -> Hash {
    sha256(&[b"salt", &[list, index as u8]])
}

pub fn blinding(index: usize) -> Scalar {
    Scalar::from_bytes_mod_order(sha256(&[b"blinding", &[index as u8]]))
}

/// An instruction of the batch; every odd one is a trade.
pub fn content(index: usize, side: usize) -> Vec<u8> {
    format!("instruction {index} side {side}").into_bytes()
}

pub const MEMBERS: usize = 5;

pub fn member_commitment(index: usize) -> Hash {
    let salt = salt(1, index);
    match index % 2 {
        0 => sha256(&[&salt, &content(index, 0)]),
        _ => sha256(&[
            &salt,
            &sha256(&[&content(index, 0)]),
            &sha256(&[&content(index, 1)]),
        ]),
    }
}

fn member_leaves() -> Vec<Hash> {
    (0..MEMBERS).map(|i| leaf(&member_commitment(i))).collect()
}

pub fn posting_leaf(index: usize, line: &Line) -> String {
    let base = RistrettoPoint::from_uniform_bytes(
        &Sha512::digest(b"valuta.pedersen/v1 blinding base").into(),
    );
    let magnitude = Scalar::from(line.amount.unsigned_abs());
    let amount = if line.amount < 0 {
        -magnitude
    } else {
        magnitude
    };
    let point = RistrettoPoint::mul_base(&amount) + base * blinding(index);
    let commitment = sha256(&[&salt(2, index), line.text().as_bytes()]);
    let point = point.compress().to_bytes();
    format!("{} {} {}", line.asset, b64(&point), b64(&commitment))
}

fn posting_leaves(lines: &[Line]) -> Vec<Hash> {
    let leaf_of = |(index, line)| leaf(posting_leaf(index, line).as_bytes());
    lines.iter().enumerate().map(leaf_of).collect()
}

pub fn balance_commitment(index: usize, line: &Line) -> Hash {
    sha256(&[&salt(3, index), line.text().as_bytes()])
}

fn balance_leaves(lines: &[Line]) -> Vec<Hash> {
    let leaf_of = |(index, line)| leaf(&balance_commitment(index, line));
    lines.iter().enumerate().map(leaf_of).collect()
}

impl Log {
    pub fn new() -> Self {
        Self::with_postings(&lines())
    }

    pub fn with_postings(postings: &[Line]) -> Self {
        let list = |leaves: &[Hash]| format!("{} {}", leaves.len(), b64(&root(leaves)));
        let hash = b64(&[3; 32]);
        let header = format!(
            "valuta.batch/v1\nscheme demo\nbatch 2\ntime 1763640000000\ncycle 2026-11-20/2\n\
             members {}\npostings {}\nbalances {}\ncertificate -\nsequence 200\nchain {hash}\n\
             previous {hash}\n",
            list(&member_leaves()),
            list(&posting_leaves(postings)),
            list(&balance_leaves(&lines())),
        );
        let entries = vec![leaf(b"first"), leaf(header.as_bytes()), leaf(b"third")];
        Self { header, entries }
    }

    pub fn checkpoint(&self) -> String {
        let body = body(ORIGIN, 3, &root(&self.entries));
        let signed = format!("{body}\n{}", Key::log(1).sign(&body));
        let cosigned = [11, 12].map(|seed| Key::witness(seed).cosign(&body, TIME_S));
        signed + &cosigned.concat()
    }

    /// The proof file around these lines.
    pub fn proof(&self, kind: &str, lines: &str) -> String {
        self.file(&self.extra(kind, lines))
    }

    pub fn extra(&self, kind: &str, lines: &str) -> String {
        let (header, entry) = (b64(self.header.as_bytes()), b64(&self.entries[1]));
        format!("valuta.{kind}/v1\nheader {header}\nentry {entry}\n{lines}")
    }

    pub fn file(&self, extra: &str) -> String {
        let mut text = format!(
            "c2sp.org/tlog-proof@v1\nextra {}\nindex 1\n",
            b64(extra.as_bytes())
        );
        for hash in path(&self.entries, 1) {
            writeln!(text, "{}", b64(&hash)).unwrap();
        }
        format!("{text}\n{}", self.checkpoint())
    }
}

pub fn path_lines(leaves: &[Hash], index: usize) -> String {
    let line = |hash: Hash| format!("path {}\n", b64(&hash));
    path(leaves, index).into_iter().map(line).collect()
}

pub fn balance_lines(index: usize) -> String {
    let lines = lines();
    let line = &lines[index];
    format!(
        "balance {index} {}\ncontent {}\ndigest {}\nsalt {}\ncommitment {}\n{}",
        lines.len(),
        b64(line.text().as_bytes()),
        b64(&sha256(&[line.text().as_bytes()])),
        b64(&salt(3, index)),
        b64(&balance_commitment(index, line)),
        path_lines(&balance_leaves(&lines), index),
    )
}

pub fn posting_lines(index: usize) -> String {
    let lines = lines();
    format!(
        "posting {index} {}\ncontent {}\nsalt {}\nblinding {}\n{}",
        lines.len(),
        b64(lines[index].text().as_bytes()),
        b64(&salt(2, index)),
        b64(blinding(index).as_bytes()),
        path_lines(&posting_leaves(&lines), index),
    )
}

pub fn conservation_lines(postings: &[Line]) -> String {
    let mut text = String::new();
    for (index, line) in postings.iter().enumerate() {
        writeln!(text, "posting {}", posting_leaf(index, line)).unwrap();
    }
    let mut assets: Vec<&str> = postings.iter().map(|line| line.asset).collect();
    assets.sort_unstable();
    assets.dedup();
    for asset in assets {
        let of_asset = postings
            .iter()
            .enumerate()
            .filter(|(_, line)| line.asset == asset);
        let sum: Scalar = of_asset.map(|(index, _)| blinding(index)).sum();
        writeln!(text, "sum {asset} 0 {}", b64(sum.as_bytes())).unwrap();
    }
    text
}

pub fn member_lines(index: usize, side: usize) -> String {
    let trade = match (index % 2, side) {
        (0, _) => String::new(),
        (_, 0) => format!(
            "side first\nother {}\n",
            b64(&sha256(&[&content(index, 1)]))
        ),
        (..) => format!(
            "side second\nother {}\n",
            b64(&sha256(&[&content(index, 0)]))
        ),
    };
    format!(
        "{trade}content {}\ndigest {}\nsalt {}\ncommitment {}\n{}",
        b64(&content(index, side)),
        b64(&sha256(&[&content(index, side)])),
        b64(&salt(1, index)),
        b64(&member_commitment(index)),
        path_lines(&member_leaves(), index),
    )
}

pub fn receipt_lines(index: usize, side: usize) -> String {
    format!("member {index} {MEMBERS}\n{}", member_lines(index, side))
}

pub fn disclosure_lines(members: &[(usize, usize)]) -> String {
    let mut text = format!("count {MEMBERS}\n");
    for (index, side) in members {
        write!(text, "member {index}\n{}", member_lines(*index, *side)).unwrap();
    }
    text
}
