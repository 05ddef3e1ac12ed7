//! Pedersen commitments to amounts, in Ristretto255: `amount * B + blinding * H`.
//!
//! They add up as the amounts do: where an asset's postings sum to zero, their points sum to the sum of the
//! blindings times H, and nobody who does not know how H came from B can make that true of others. A
//! point alone tells nothing of its amount.

use std::sync::LazyLock;

use curve25519_dalek::ristretto::{CompressedRistretto, RistrettoBasepointTable, RistrettoPoint};
use curve25519_dalek::scalar::Scalar;
use curve25519_dalek::traits::IsIdentity as _;
use sha2::{Digest as _, Sha512};

use crate::hash::Hash;

/// H: nobody knows its logarithm to base B, since it is hashed from this text.
static BLINDING_BASE: LazyLock<RistrettoBasepointTable> = LazyLock::new(|| {
    let hash = Sha512::digest(b"valuta.pedersen/v1 blinding base");
    RistrettoBasepointTable::create(&RistrettoPoint::from_uniform_bytes(&hash.into()))
});

/// The point of an amount in minor units, compressed.
pub(crate) fn point(amount: i128, blinding: &Scalar) -> Hash {
    let magnitude = Scalar::from(amount.unsigned_abs());
    let amount = if amount < 0 { -magnitude } else { magnitude };
    let point = RistrettoPoint::mul_base(&amount) + &*BLINDING_BASE * blinding;
    point.compress().to_bytes()
}

/// Whether points are of amounts that sum to zero, given the sum of their blindings.
pub(crate) fn is_zero_sum<'a>(
    points: impl IntoIterator<Item = &'a Hash>,
    blinding: &Scalar,
) -> bool {
    let points = points.into_iter();
    let points = points.map(|point| CompressedRistretto(*point).decompress());
    let sum: Option<Vec<RistrettoPoint>> = points.collect();
    let expected = &*BLINDING_BASE * blinding;
    sum.is_some_and(|points| (points.iter().sum::<RistrettoPoint>() - expected).is_identity())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn amounts_add_up_and_nothing_else_does() {
        let blindings = [5_u64, 7, 11].map(Scalar::from);
        let sum: Scalar = blindings.iter().sum();
        let check = |amounts: [i128; 3], is_zero: bool| {
            let points = amounts.iter().zip(&blindings);
            let points: Vec<_> = points
                .map(|(amount, blinding)| point(*amount, blinding))
                .collect();
            assert_eq!(is_zero_sum(&points, &sum), is_zero, "{amounts:?}");
            assert!(!is_zero_sum(&points, &(sum + Scalar::ONE)), "{amounts:?}");
        };
        check([0, 0, 0], true);
        check([-500, 200, 300], true);
        check([i128::MAX, i128::MIN + 1, 0], true);
        check([i128::MIN, i128::MAX, 1], true);
        check([-500, 200, 301], false);
        check([1, 0, 0], false);
        check([500, 500, 0], false);
        assert!(!is_zero_sum(&[[0xff; 32]], &Scalar::ZERO), "not a point");
        assert!(is_zero_sum([], &Scalar::ZERO));
    }

    /// RFC 9496 appendix A.1: multiples of the generator.
    #[test]
    fn points_are_ristretto255() {
        let hex = |point: Hash| {
            point
                .iter()
                .map(|byte| format!("{byte:02x}"))
                .collect::<String>()
        };
        for (amount, fixed) in [
            (
                0,
                "0000000000000000000000000000000000000000000000000000000000000000",
            ),
            (
                1,
                "e2f2ae0a6abc4e71a884a961c500515f58e30b6aa582dd8db6a65945e08d2d76",
            ),
            (
                2,
                "6a493210f7499cd17fecb510ae0cea23a110e8d5b901f8acadd3095c73a3b919",
            ),
        ] {
            assert_eq!(hex(point(amount, &Scalar::ZERO)), fixed);
        }
        assert_ne!(point(-1, &Scalar::ZERO), point(1, &Scalar::ZERO));
        assert_ne!(
            point(0, &Scalar::ONE),
            point(1, &Scalar::ZERO),
            "another base"
        );
    }
}
