//! Splitting an amount by ratios, so that the shares sum to the whole.

use core::cmp::Reverse;

/// Why an amount cannot be split.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SplitError {
    /// The amount is below zero.
    #[error("a negative amount is not split")]
    TotalNegative,
    /// There is no ratio above zero.
    #[error("no ratio is above zero")]
    NoRatio,
}

/// Splits `total` in proportion to `ratios` by largest remainder; a tie goes to the earlier ratio.
///
/// Each share is the exact one rounded down or up. The shares sum to the total, and a ratio of zero
/// gets nothing. (Largest remainder, also known as Hamilton's method.)
///
/// # Errors
/// In the order of [`SplitError`].
pub fn split(total: i64, ratios: &[u64]) -> Result<Vec<i64>, SplitError> {
    let total = u64::try_from(total).map_err(|_| SplitError::TotalNegative)?;
    let sum: u128 = ratios.iter().copied().map(u128::from).sum();
    if sum == 0 {
        return Err(SplitError::NoRatio);
    }
    // Two factors of 64 bits: the product fits, and no share is above the total.
    let exact = |ratio: &u64| u128::from(total) * u128::from(*ratio);
    let mut shares: Vec<i64> = ratios
        .iter()
        .map(|ratio| (exact(ratio) / sum) as i64)
        .collect();
    let given: i64 = shares.iter().sum();
    // Fewer than the ratios with a remainder, so none without one is reached.
    let left = (total - given as u64) as usize;
    let mut order: Vec<usize> = (0..ratios.len()).collect();
    order.sort_by_key(|index| Reverse(exact(&ratios[*index]) % sum));
    for index in order.into_iter().take(left) {
        shares[index] += 1;
    }
    Ok(shares)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn splits_by_largest_remainder() {
        for (total, ratios, expected) in [
            (100, &[1, 1, 1][..], &[34, 33, 33][..]),
            (101, &[1, 1, 1], &[34, 34, 33]),
            (5, &[3, 7], &[2, 3]),
            (10, &[0, 1, 0, 2], &[0, 3, 0, 7]),
            (1, &[1, 2, 3], &[0, 0, 1]),
            (2, &[0, 5, 0, 5, 5], &[0, 1, 0, 1, 0]),
            (0, &[1, 2], &[0, 0]),
            (7, &[9], &[7]),
            (i64::MAX, &[u64::MAX], &[i64::MAX]),
            (
                i64::MAX,
                &[u64::MAX, u64::MAX],
                &[i64::MAX / 2 + 1, i64::MAX / 2],
            ),
            (1_000_000, &[u64::MAX, 1], &[1_000_000, 0]),
        ] {
            assert_eq!(
                split(total, ratios).as_deref(),
                Ok(expected),
                "{total} by {ratios:?}"
            );
        }
    }

    #[test]
    fn refuses_what_has_no_shares() {
        for (total, ratios, expected) in [
            (-1, &[1][..], SplitError::TotalNegative),
            (-1, &[], SplitError::TotalNegative),
            (5, &[], SplitError::NoRatio),
            (0, &[0, 0], SplitError::NoRatio),
        ] {
            assert_eq!(split(total, ratios), Err(expected), "{total} by {ratios:?}");
        }
    }
}
