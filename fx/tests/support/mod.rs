//! What the oracles need: digits by hand, and random numbers by seed.
#![allow(dead_code)]

use std::cmp::Ordering;
use std::fmt;

/// How often a loop over seeds is longer when `VALUTA_LONG=1`.
const LONG_FACTOR: u64 = 50;

/// The seeds of a loop; more with `VALUTA_LONG=1`.
pub fn seeds(count: u64) -> std::ops::Range<u64> {
    let long = std::env::var("VALUTA_LONG").is_ok_and(|value| value == "1");
    0..if long { count * LONG_FACTOR } else { count }
}

/// SplitMix64 (Steele, Lea and Flood, 2014).
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15))
    }

    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    pub fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    pub fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len() as u64) as usize]
    }

    /// At least 1, below `10^digits_max`, with any number of digits equally likely.
    pub fn magnitude(&mut self, digits_max: u64) -> u128 {
        let digits = 1 + self.below(digits_max) as u32;
        let wide = u128::from(self.next()) << 64 | u128::from(self.next());
        1 + wide % (10_u128.pow(digits) - 1)
    }
}

/// A natural number as decimal digits, the lowest first: slow, and simple enough to trust.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Big(Vec<u8>);

impl Big {
    pub fn of(number: impl fmt::Display) -> Self {
        let text = number.to_string();
        assert!(
            text.bytes().all(|byte| byte.is_ascii_digit()),
            "{text} is not natural"
        );
        Self(text.bytes().rev().map(|byte| byte - b'0').collect()).trimmed()
    }

    pub fn power_of_ten(exponent: u8) -> Self {
        Self::of(format!("1{}", "0".repeat(exponent.into())))
    }

    fn trimmed(mut self) -> Self {
        while self.0.last() == Some(&0) {
            self.0.pop();
        }
        self
    }

    fn digit(&self, index: usize) -> u8 {
        self.0.get(index).copied().unwrap_or(0)
    }

    pub fn plus(&self, other: &Self) -> Self {
        let mut digits = Vec::new();
        let mut carry = 0;
        for index in 0..=self.0.len().max(other.0.len()) {
            let sum = self.digit(index) + other.digit(index) + carry;
            digits.push(sum % 10);
            carry = sum / 10;
        }
        Self(digits).trimmed()
    }

    /// `other` must not be larger.
    pub fn minus(&self, other: &Self) -> Self {
        assert!(*self >= *other);
        let mut digits = Vec::new();
        let mut borrow = 0;
        for index in 0..self.0.len() {
            let difference = 10 + self.digit(index) - other.digit(index) - borrow;
            digits.push(difference % 10);
            borrow = 1 - difference / 10;
        }
        Self(digits).trimmed()
    }

    pub fn times(&self, other: &Self) -> Self {
        let mut columns = vec![0_u32; self.0.len() + other.0.len() + 1];
        for (i, left) in self.0.iter().enumerate() {
            for (j, right) in other.0.iter().enumerate() {
                columns[i + j] += u32::from(left * right);
            }
        }
        let mut carry = 0;
        for column in &mut columns {
            carry += *column;
            *column = carry % 10;
            carry /= 10;
        }
        Self(columns.into_iter().map(|digit| digit as u8).collect()).trimmed()
    }

    /// Long division: quotient and remainder.
    pub fn divided_by(&self, divisor: &Self) -> (Self, Self) {
        let mut quotient = vec![0; self.0.len()];
        let mut rest = Self(Vec::new());
        for index in (0..self.0.len()).rev() {
            rest.0.insert(0, self.0[index]);
            rest = rest.trimmed();
            while rest >= *divisor {
                rest = rest.minus(divisor);
                quotient[index] += 1;
            }
        }
        (Self(quotient).trimmed(), rest)
    }

    pub fn is_odd(&self) -> bool {
        self.digit(0) % 2 == 1
    }
}

impl Ord for Big {
    fn cmp(&self, other: &Self) -> Ordering {
        let by_digits = || self.0.iter().rev().cmp(other.0.iter().rev());
        self.0.len().cmp(&other.0.len()).then_with(by_digits)
    }
}

impl PartialOrd for Big {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl fmt::Display for Big {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f.write_str("0");
        }
        self.0
            .iter()
            .rev()
            .try_for_each(|digit| write!(f, "{digit}"))
    }
}
