//! The frozen input of one run, and its hash.

use fx::{DECIMALS_MAX, ValuationRate};
use minicbor::{Decode, Encode};
use sha2::{Digest, Sha256};
use thiserror::Error;

/// Starts the bytes that [`Problem::hash`] covers: names the layout and its version.
const HASH_DOMAIN: &[u8; 16] = b"valuta-run-in-v2";
/// How many bytes are laid out at a time before they are hashed.
const HASH_CHUNK_BYTES: usize = 16_384;
const LEG_BYTES: usize = 16;

/// The floor of an account that may be short without limit.
pub const FLOOR_NONE: i64 = i64::MIN;
/// Haircuts count in units of this part.
pub const HAIRCUT_SCALE: u16 = 10_000;
/// Of a rate in a test that spans accounts, in units of 10^-12: with it every sum fits 256 bits.
pub const RATE_SCALED_MAX: i128 = 10_i128.pow(30);

/// One leg of a unit: `amount` moves from `debtor` to `creditor`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Leg {
    /// The account that pays.
    #[n(0)]
    pub debtor: u32,
    /// The account that receives.
    #[n(1)]
    pub creditor: u32,
    /// Minor units, above 0.
    #[n(2)]
    pub amount: i64,
}

/// What an asset counts for in tests that span accounts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AssetValue {
    /// Base per unit of the asset.
    pub rate: ValuationRate,
    /// In units of 1 / [`HAIRCUT_SCALE`], below it; 0 for the base asset.
    pub haircut: u16,
    /// Of the asset's amounts, 0 to 8.
    pub decimals: u8,
}

/// The tests that span the accounts of one participant, whose queue key is then the participant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Span {
    /// All accounts of the participant, each with its asset (its place among the problem's assets), in
    /// the order in which their floors are tested. The first stands for the key.
    pub accounts: Vec<(u32, u32)>,
    /// The most that all shorts may be worth, minor units of the base asset; `None` is not tested.
    pub aggregate_short_max: Option<i64>,
    /// Whether what the accounts are worth after haircuts must not be below zero.
    pub account_value: bool,
}

/// The most that one account may pay another, net of what comes back, in one run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Cap {
    /// The account that pays.
    #[n(0)]
    pub debtor: u32,
    /// The account that is paid.
    #[n(1)]
    pub creditor: u32,
    /// Minor units, 0 or above.
    #[n(2)]
    pub amount: i64,
}

/// Accounts, tests and ordered units of one run. Accounts are dense indices, in an order that the caller
/// chooses and that the hash binds. A queue key is an account: the debtor's own or, where a [`Span`]
/// covers it, the first of the span.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    balances: Vec<i64>,
    floors: Vec<i64>,
    base_decimals: u8,
    assets: Vec<AssetValue>,
    spans: Vec<Span>,
    /// By account: its key. Empty while every account is its own.
    keys: Vec<u32>,
    /// Sorted by accounts.
    caps: Vec<Cap>,
    /// Where each unit's legs end, so no unit has an allocation of its own.
    unit_ends: Vec<u32>,
    legs: Vec<Leg>,
}

/// Why something is not a problem, in order of precedence.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum ProblemError {
    /// Every account has one balance and one floor.
    #[error("{balances} balances but {floors} floors")]
    FloorsMustMatchBalances {
        /// How many balances were given.
        balances: usize,
        /// How many floors were given.
        floors: usize,
    },
    /// Accounts, units and legs are numbered with `u32`.
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
    /// A leg names an account for which there is no balance.
    #[error("unit {unit} leg {leg}: account {account} is unknown")]
    AccountUnknown {
        /// The refused unit's place.
        unit: u32,
        /// The leg within the unit, from 0.
        leg: usize,
        /// The unknown account.
        account: u32,
    },
    /// A leg pays from an account to itself.
    #[error("unit {unit} leg {leg}: debtor and creditor are both account {account}")]
    AccountsMustBeDifferent {
        /// The refused unit's place.
        unit: u32,
        /// The leg within the unit, from 0.
        leg: usize,
        /// The account on both sides.
        account: u32,
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
    /// An asset's rate, haircut or decimals are out of range.
    #[error("asset {asset}: {field} is out of range")]
    AssetOutOfRange {
        /// The asset's place.
        asset: usize,
        /// What is out of range.
        field: &'static str,
    },
    /// A span without accounts, or with one that is unknown, is in a span already, or names no asset.
    #[error("span {span}: {reason}")]
    SpanInvalid {
        /// The span's place.
        span: usize,
        /// What is wrong.
        reason: &'static str,
    },
    /// A cap on accounts that are unknown, one and the same, or capped already, or one below zero.
    #[error("cap {cap}: {reason}")]
    CapInvalid {
        /// The cap's place.
        cap: usize,
        /// What is wrong.
        reason: &'static str,
    },
}

impl Problem {
    /// A problem without units in which every account is a queue key of its own. `balances` and `floors`
    /// are minor units, one per account; [`FLOOR_NONE`] is no floor.
    pub fn new(balances: Vec<i64>, floors: Vec<i64>) -> Result<Self, ProblemError> {
        if balances.len() != floors.len() {
            let (balances, floors) = (balances.len(), floors.len());
            return Err(ProblemError::FloorsMustMatchBalances { balances, floors });
        }
        count(balances.len(), "accounts")?;
        Ok(Self {
            balances,
            floors,
            base_decimals: 0,
            assets: Vec::new(),
            spans: Vec::new(),
            keys: Vec::new(),
            caps: Vec::new(),
            unit_ends: Vec::new(),
            legs: Vec::new(),
        })
    }

    /// Adds the tests that span accounts: to be called once, before the first unit. `base_decimals` are
    /// those of the base asset, in which aggregate shorts are limited.
    pub fn with_spans(
        mut self,
        base_decimals: u8,
        assets: Vec<AssetValue>,
        spans: Vec<Span>,
    ) -> Result<Self, ProblemError> {
        assert!(self.unit_ends.is_empty(), "spans come before units");
        check_assets(base_decimals, &assets)?;
        let mut keys: Vec<u32> = (0..self.account_count()).collect();
        let mut spanned = vec![false; keys.len()];
        for (span, content) in spans.iter().enumerate() {
            let invalid = |reason| ProblemError::SpanInvalid { span, reason };
            let &(first, _) = content.accounts.first().ok_or(invalid("no accounts"))?;
            for &(account, asset) in &content.accounts {
                let seen = spanned.get_mut(account as usize);
                let seen = seen.ok_or(invalid("an account is unknown"))?;
                if std::mem::replace(seen, true) {
                    return Err(invalid("an account is in a span already"));
                }
                if asset as usize >= assets.len() {
                    return Err(invalid("an asset is unknown"));
                }
                keys[account as usize] = first;
            }
        }
        if !spans.is_empty() {
            self.keys = keys;
        }
        (self.base_decimals, self.assets, self.spans) = (base_decimals, assets, spans);
        Ok(self)
    }

    /// Adds bilateral caps: to be called once, before the first unit.
    pub fn with_caps(mut self, mut caps: Vec<Cap>) -> Result<Self, ProblemError> {
        assert!(self.unit_ends.is_empty(), "caps come before units");
        for (cap, content) in caps.iter().enumerate() {
            let invalid = |reason| ProblemError::CapInvalid { cap, reason };
            if content.debtor.max(content.creditor) >= self.account_count() {
                return Err(invalid("an account is unknown"));
            }
            if content.debtor == content.creditor {
                return Err(invalid("both accounts are the same"));
            }
            if content.amount < 0 {
                return Err(invalid("the amount is below zero"));
            }
        }
        caps.sort_unstable_by_key(|cap| (cap.debtor, cap.creditor));
        let same =
            |pair: &[Cap]| (pair[0].debtor, pair[0].creditor) == (pair[1].debtor, pair[1].creditor);
        if let Some(cap) = caps.windows(2).position(same) {
            let reason = "the accounts are capped already";
            return Err(ProblemError::CapInvalid { cap, reason });
        }
        self.caps = caps;
        Ok(self)
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
        for account in [debtor, creditor] {
            if account as usize >= self.balances.len() {
                return Err(ProblemError::AccountUnknown { unit, leg, account });
            }
        }
        if debtor == creditor {
            let account = debtor;
            return Err(ProblemError::AccountsMustBeDifferent { unit, leg, account });
        }
        if amount <= 0 {
            return Err(ProblemError::AmountMustBePositive { unit, leg, amount });
        }
        Ok(())
    }

    /// How many accounts there are.
    pub fn account_count(&self) -> u32 {
        u32::try_from(self.balances.len()).expect("checked by new")
    }

    /// How many units wait.
    pub fn unit_count(&self) -> u32 {
        u32::try_from(self.unit_ends.len()).expect("checked by push_unit")
    }

    /// The queue key of an account.
    #[inline]
    pub fn key(&self, account: u32) -> u32 {
        if self.keys.is_empty() {
            account
        } else {
            self.keys[account as usize]
        }
    }

    /// Decimals of the base asset.
    pub fn base_decimals(&self) -> u8 {
        self.base_decimals
    }

    /// What assets count for in tests that span accounts.
    pub fn assets(&self) -> &[AssetValue] {
        &self.assets
    }

    /// The tests that span accounts.
    pub fn spans(&self) -> &[Span] {
        &self.spans
    }

    /// Bilateral caps, sorted by accounts.
    pub fn caps(&self) -> &[Cap] {
        &self.caps
    }

    /// The same problem with another opening balance of one account.
    pub fn with_balance(mut self, account: u32, balance: i64) -> Self {
        self.balances[account as usize] = balance;
        self
    }

    /// What each account holds at the start, minor units.
    pub fn balances(&self) -> &[i64] {
        &self.balances
    }

    /// What each account must hold at the end while its key has a member that settles, minor units.
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
    /// | bytes           | content                                                              |
    /// |-----------------|----------------------------------------------------------------------|
    /// | 16              | `valuta-run-in-v2`                                                   |
    /// | 6 times 4       | number of accounts, assets, spans, caps, units, legs (`u32`)         |
    /// | 1               | decimals of the base asset                                           |
    /// | 8 an account    | balances (`i64`)                                                     |
    /// | 8 an account    | floors (`i64`)                                                       |
    /// | 19 an asset     | rate (`i128`, in 10^-12), haircut (`u16`, in 10^-4), decimals        |
    /// | 14 + 8 a span   | number of accounts (`u32`), aggregate limit (1 and `i64`, or nine    |
    /// |                 | zeros), whether value is tested; account and asset (`u32`) of each   |
    /// | 16 a cap        | debtor (`u32`), creditor (`u32`), amount (`i64`), by accounts        |
    /// | 4 a unit        | number of legs up to and with the unit's last (`u32`), in order      |
    /// | 16 a leg        | debtor (`u32`), creditor (`u32`), amount (`i64`), in order           |
    pub fn hash(&self) -> [u8; 32] {
        let leg_count = u32::try_from(self.legs.len()).expect("checked by push_unit");
        let mut hasher = Sha256::new();
        hasher.update(HASH_DOMAIN);
        let numbered = |length| u32::try_from(length).expect("no more than accounts, squared");
        for count in [
            self.account_count(),
            numbered(self.assets.len()),
            numbered(self.spans.len()),
            numbered(self.caps.len()),
            self.unit_count(),
            leg_count,
        ] {
            hasher.update(count.to_le_bytes());
        }
        hasher.update([self.base_decimals]);
        update(&mut hasher, &self.balances, |balance| balance.to_le_bytes());
        update(&mut hasher, &self.floors, |floor| floor.to_le_bytes());
        update(&mut hasher, &self.assets, asset_bytes);
        for span in &self.spans {
            update(&mut hasher, std::slice::from_ref(span), span_bytes);
            update(&mut hasher, &span.accounts, |&(account, asset)| {
                (u64::from(asset) << 32 | u64::from(account)).to_le_bytes()
            });
        }
        update(&mut hasher, &self.caps, |cap| {
            movement_bytes(cap.debtor, cap.creditor, cap.amount)
        });
        update(&mut hasher, &self.unit_ends, |end| end.to_le_bytes());
        update(&mut hasher, &self.legs, |leg| {
            movement_bytes(leg.debtor, leg.creditor, leg.amount)
        });
        hasher.finalize().into()
    }
}

fn check_assets(base_decimals: u8, assets: &[AssetValue]) -> Result<(), ProblemError> {
    for (asset, content) in assets.iter().enumerate() {
        let fields = [
            ("rate", content.rate.scaled() > RATE_SCALED_MAX),
            ("haircut", content.haircut >= HAIRCUT_SCALE),
            (
                "decimals",
                content.decimals.max(base_decimals) > DECIMALS_MAX,
            ),
        ];
        if let Some((field, _)) = fields.into_iter().find(|&(_, wrong)| wrong) {
            return Err(ProblemError::AssetOutOfRange { asset, field });
        }
    }
    Ok(())
}

fn count(value: usize, what: &'static str) -> Result<u32, ProblemError> {
    u32::try_from(value).map_err(|_| ProblemError::TooMany { what })
}

fn movement_bytes(debtor: u32, creditor: u32, amount: i64) -> [u8; LEG_BYTES] {
    let mut bytes = [0; LEG_BYTES];
    bytes[..4].copy_from_slice(&debtor.to_le_bytes());
    bytes[4..8].copy_from_slice(&creditor.to_le_bytes());
    bytes[8..].copy_from_slice(&amount.to_le_bytes());
    bytes
}

fn asset_bytes(asset: &AssetValue) -> [u8; 19] {
    let mut bytes = [0; 19];
    bytes[..16].copy_from_slice(&asset.rate.scaled().to_le_bytes());
    bytes[16..18].copy_from_slice(&asset.haircut.to_le_bytes());
    bytes[18] = asset.decimals;
    bytes
}

fn span_bytes(span: &Span) -> [u8; 14] {
    let mut bytes = [0; 14];
    let count = u32::try_from(span.accounts.len()).expect("no more than accounts");
    bytes[..4].copy_from_slice(&count.to_le_bytes());
    if let Some(limit) = span.aggregate_short_max {
        bytes[4] = 1;
        bytes[5..13].copy_from_slice(&limit.to_le_bytes());
    }
    bytes[13] = u8::from(span.account_value);
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
