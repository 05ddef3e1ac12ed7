//! The frozen input of one run, and its hash.

use sha2::{Digest, Sha256};
use thiserror::Error;

/// Starts the bytes that [`Problem::hash`] covers: names the layout and its version.
const HASH_DOMAIN: &[u8; 16] = b"valuta-run-in-v1";
/// How many bytes are laid out at a time before they are hashed.
const HASH_CHUNK_BYTES: usize = 16_384;
const LEG_BYTES: usize = 16;

/// One leg of a unit: `amount` moves from `debtor` to `creditor`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Leg {
    /// The key that pays.
    pub debtor: u32,
    /// The key that receives.
    pub creditor: u32,
    /// Minor units, above 0.
    pub amount: i64,
}

/// Balances, floors and ordered units of one run. Keys are dense indices, in an order that the caller
/// chooses and that the hash binds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    balances: Vec<i64>,
    floors: Vec<i64>,
    /// Where each unit's legs end, so no unit has an allocation of its own.
    unit_ends: Vec<u32>,
    legs: Vec<Leg>,
}

/// Why something is not a problem, in order of precedence.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum ProblemError {
    /// Every key has one balance and one floor.
    #[error("{balances} balances but {floors} floors")]
    FloorsMustMatchBalances {
        /// How many balances were given.
        balances: usize,
        /// How many floors were given.
        floors: usize,
    },
    /// Keys, units and legs are numbered with `u32`.
    #[error("too many {what}: at most {} are numbered", u32::MAX)]
    TooMany {
        /// What there is too much of.
        what: &'static str,
    },
    /// A unit without legs would settle nothing.
    #[error("unit {unit} has no legs")]
    LegsMissing {
        /// The refused unit's place.
        unit: u32,
    },
    /// A leg names a key for which there is no balance.
    #[error("unit {unit} leg {leg}: key {key} is unknown")]
    KeyUnknown {
        /// The refused unit's place.
        unit: u32,
        /// The leg within the unit, from 0.
        leg: usize,
        /// The unknown key.
        key: u32,
    },
    /// A leg pays from a key to itself.
    #[error("unit {unit} leg {leg}: debtor and creditor are both key {key}")]
    KeysMustBeDifferent {
        /// The refused unit's place.
        unit: u32,
        /// The leg within the unit, from 0.
        leg: usize,
        /// The key on both sides.
        key: u32,
    },
    /// A leg's amount is zero or negative.
    #[error("unit {unit} leg {leg}: amount {amount} must be above zero")]
    AmountMustBePositive {
        /// The refused unit's place.
        unit: u32,
        /// The leg within the unit, from 0.
        leg: usize,
        /// The refused amount, minor units.
        amount: i64,
    },
}

impl Problem {
    /// A problem without units. `balances` and `floors` are minor units, one per key.
    pub fn new(balances: Vec<i64>, floors: Vec<i64>) -> Result<Self, ProblemError> {
        if balances.len() != floors.len() {
            let (balances, floors) = (balances.len(), floors.len());
            return Err(ProblemError::FloorsMustMatchBalances { balances, floors });
        }
        count(balances.len(), "keys")?;
        Ok(Self {
            balances,
            floors,
            unit_ends: Vec::new(),
            legs: Vec::new(),
        })
    }

    /// Makes room for so many more units and legs.
    pub fn reserve(&mut self, unit_count: usize, leg_count: usize) {
        self.unit_ends.reserve(unit_count);
        self.legs.reserve(leg_count);
    }

    /// Adds a unit at the end of the queue and answers its place; a refused one changes nothing.
    pub fn push_unit(&mut self, legs: &[Leg]) -> Result<u32, ProblemError> {
        let unit = count(self.unit_ends.len(), "units")?;
        count(self.unit_ends.len() + 1, "units")?;
        let leg_end = count(self.legs.len() + legs.len(), "legs")?;
        if legs.is_empty() {
            return Err(ProblemError::LegsMissing { unit });
        }
        for (index, leg) in legs.iter().enumerate() {
            self.check_leg(unit, index, leg)?;
        }
        self.legs.extend_from_slice(legs);
        self.unit_ends.push(leg_end);
        Ok(unit)
    }

    fn check_leg(&self, unit: u32, leg: usize, content: &Leg) -> Result<(), ProblemError> {
        let &Leg {
            debtor,
            creditor,
            amount,
        } = content;
        for key in [debtor, creditor] {
            if key as usize >= self.balances.len() {
                return Err(ProblemError::KeyUnknown { unit, leg, key });
            }
        }
        if debtor == creditor {
            return Err(ProblemError::KeysMustBeDifferent {
                unit,
                leg,
                key: debtor,
            });
        }
        if amount <= 0 {
            return Err(ProblemError::AmountMustBePositive { unit, leg, amount });
        }
        Ok(())
    }

    /// How many keys there are.
    pub fn key_count(&self) -> u32 {
        u32::try_from(self.balances.len()).expect("checked by new")
    }

    /// How many units wait.
    pub fn unit_count(&self) -> u32 {
        u32::try_from(self.unit_ends.len()).expect("checked by push_unit")
    }

    /// What each key holds at the start, minor units.
    pub fn balances(&self) -> &[i64] {
        &self.balances
    }

    /// What each key must hold at the end if one that it pays is to settle, minor units.
    pub fn floors(&self) -> &[i64] {
        &self.floors
    }

    /// All legs, unit after unit in queue order.
    pub fn legs(&self) -> &[Leg] {
        &self.legs
    }

    /// The legs of the unit at place `unit`. Panics past the end.
    pub fn unit(&self, unit: u32) -> &[Leg] {
        let index = unit as usize;
        let start = if index == 0 {
            0
        } else {
            self.unit_ends[index - 1]
        };
        &self.legs[start as usize..self.unit_ends[index] as usize]
    }

    /// Every unit's place and legs, in queue order.
    pub fn units(&self) -> impl Iterator<Item = (u32, &[Leg])> {
        (0..self.unit_count()).map(|unit| (unit, self.unit(unit)))
    }

    /// SHA-256 over the problem's canonical bytes, all integers little-endian:
    ///
    /// | bytes         | content                                                        |
    /// |---------------|----------------------------------------------------------------|
    /// | 16            | `valuta-run-in-v1`                                             |
    /// | 4, 4, 4       | number of keys, of units, of legs (`u32`)                      |
    /// | 8 for a key   | balances (`i64`)                                               |
    /// | 8 for a key   | floors (`i64`)                                                 |
    /// | 4 for a unit  | number of legs up to and with the unit's last (`u32`), in order |
    /// | 16 for a leg  | debtor (`u32`), creditor (`u32`), amount (`i64`), in order      |
    pub fn hash(&self) -> [u8; 32] {
        let leg_count = u32::try_from(self.legs.len()).expect("checked by push_unit");
        let mut hasher = Sha256::new();
        hasher.update(HASH_DOMAIN);
        for count in [self.key_count(), self.unit_count(), leg_count] {
            hasher.update(count.to_le_bytes());
        }
        update(&mut hasher, &self.balances, |balance| balance.to_le_bytes());
        update(&mut hasher, &self.floors, |floor| floor.to_le_bytes());
        update(&mut hasher, &self.unit_ends, |end| end.to_le_bytes());
        update(&mut hasher, &self.legs, leg_bytes);
        hasher.finalize().into()
    }
}

fn count(value: usize, what: &'static str) -> Result<u32, ProblemError> {
    u32::try_from(value).map_err(|_| ProblemError::TooMany { what })
}

fn leg_bytes(leg: &Leg) -> [u8; LEG_BYTES] {
    let mut bytes = [0; LEG_BYTES];
    bytes[..4].copy_from_slice(&leg.debtor.to_le_bytes());
    bytes[4..8].copy_from_slice(&leg.creditor.to_le_bytes());
    bytes[8..].copy_from_slice(&leg.amount.to_le_bytes());
    bytes
}

/// Lays items out one chunk at a time: a call of the hasher per item would cost more than the hash.
fn update<T, const N: usize>(hasher: &mut Sha256, items: &[T], bytes_of: impl Fn(&T) -> [u8; N]) {
    let mut buffer = [0; HASH_CHUNK_BYTES];
    for chunk in items.chunks(HASH_CHUNK_BYTES / N) {
        for (slot, item) in buffer.chunks_exact_mut(N).zip(chunk) {
            slot.copy_from_slice(&bytes_of(item));
        }
        hasher.update(&buffer[..chunk.len() * N]);
    }
}
