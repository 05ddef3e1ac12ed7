//! Pedersen commitments in Ristretto255: amounts that nobody sees and everybody can add up.
//!
//! `point = amount * B + blinding * H`, B the Ristretto base point and H a point of which nobody knows what
//! multiple of B it is, since it comes out of a hash. Two openings of one point would tell that multiple.

use curve25519_dalek::ristretto::{CompressedRistretto, RistrettoPoint};
use curve25519_dalek::scalar::Scalar;
use curve25519_dalek::traits::{Identity as _, IsIdentity as _};
use sha2::{Digest as _, Sha512};

use crate::merkle::Hash;
use crate::text;

/// What H is hashed from.
const BLINDING_BASE: &[u8] = b"valuta.pedersen/v1 blinding base";

/// The secret half of a commitment's opening.
pub(crate) type Blinding = Scalar;

/// Base64 of a scalar, below the group's order: one text for one value.
pub(crate) fn blinding(text: &str) -> Option<Blinding> {
    Scalar::from_canonical_bytes(text::hash(text)?).into()
}

/// The point's 32 bytes.
pub(crate) fn point(amount: i128, blinding: &Blinding) -> Hash {
    let magnitude = Scalar::from(amount.unsigned_abs());
    let amount = if amount < 0 { -magnitude } else { magnitude };
    let point = RistrettoPoint::mul_base(&amount) + blinding_base() * blinding;
    point.compress().to_bytes()
}

/// A sum of points.
pub(crate) struct Sum(RistrettoPoint);

impl Sum {
    pub(crate) fn zero() -> Self {
        Self(RistrettoPoint::identity())
    }

    /// `false` if these are no point's bytes; there is one encoding of a point.
    pub(crate) fn add(&mut self, point: &Hash) -> bool {
        let point = CompressedRistretto(*point).decompress();
        point.map(|point| self.0 += point).is_some()
    }

    /// Whether the amounts sum to zero, if the blindings sum to `blinding`.
    pub(crate) fn is_zero(&self, blinding: &Blinding) -> bool {
        (self.0 - blinding_base() * blinding).is_identity()
    }
}

fn blinding_base() -> RistrettoPoint {
    RistrettoPoint::from_uniform_bytes(&Sha512::digest(BLINDING_BASE).into())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn amounts_add_up_behind_their_blindings() {
        let blindings = [7_u64, 11, 1_000_003].map(Scalar::from);
        let check = |amounts: [i128; 3], zero: bool| {
            let mut sum = Sum::zero();
            for (amount, blinding) in amounts.iter().zip(&blindings) {
                assert!(sum.add(&point(*amount, blinding)));
            }
            let blinding = blindings.iter().sum();
            assert_eq!(sum.is_zero(&blinding), zero, "{amounts:?}");
            assert!(!sum.is_zero(&(blinding + Scalar::ONE)), "{amounts:?}");
        };
        check([0, 0, 0], true);
        check([5, -3, -2], true);
        check([5, -3, -1], false);
        check([i128::MIN, i128::MAX, 1], true);
        check([i128::MIN, i128::MAX, 0], false);
    }

    #[test]
    fn one_text_for_one_value() {
        let order_minus_one = text::encode((-Scalar::ONE).as_bytes());
        assert_eq!(blinding(&order_minus_one), Some(-Scalar::ONE));
        let mut order = (-Scalar::ONE).to_bytes();
        order[0] += 1;
        assert_eq!(blinding(&text::encode(&order)), None);
        assert!(!Sum::zero().add(&[0xff; 32]), "no point");
        let mut negative = point(1, &Scalar::ONE);
        negative[0] ^= 1;
        assert!(!Sum::zero().add(&negative), "not the canonical encoding");
    }

    /// Written into the format: a changed base would open nothing that was ever written.
    #[test]
    fn the_bases_stay_what_they_are() {
        let hex = |bytes: Hash| -> String { bytes.iter().map(|b| format!("{b:02x}")).collect() };
        // RFC 9496 appendix A.1.
        assert_eq!(
            hex(point(1, &Scalar::ZERO)),
            "e2f2ae0a6abc4e71a884a961c500515f58e30b6aa582dd8db6a65945e08d2d76"
        );
        assert_eq!(
            hex(point(0, &Scalar::ONE)),
            "02cd7fd0b0618bb137a98c39482fa9be14bd939c91d892cede52f580802bb635"
        );
    }
}
