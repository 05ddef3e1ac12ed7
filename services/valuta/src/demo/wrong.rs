//! What goes wrong in a day: the account that is short, and instructions that must be refused.

use super::instruction::{Fault, Leg, Payload, Planned, Purpose};
use super::plan::{Maker, TIGHT_ASSET};
use super::world::BANKS;

/// The first instruction of the tight account, in minor units: all that follow on it wait behind.
const TIGHT_MINOR: i64 = 12_000_000_000;
/// Far above every limit of the sample, in minor units.
const OVER_LIMIT_MINOR: i64 = 1_000_000_000_000;

impl Maker<'_> {
    /// Turns the stream's first gross payment into the one that the tight account cannot pay.
    pub(super) fn add_tight(&mut self, stream: &mut [Planned]) {
        let asset = self.world.asset(TIGHT_ASSET);
        let is_plain = |planned: &Planned| {
            planned.purpose == Purpose::Settles && planned.payload == Payload::Payment
        };
        let Some(at) = stream.iter().position(is_plain) else {
            return;
        };
        if let Some(leg) = &mut stream[at].legs[0] {
            *leg = Leg {
                asset,
                minor: TIGHT_MINOR,
                ..*leg
            };
        }
        stream[..=at].rotate_right(1);
    }

    /// One wrong instruction of each kind, at the bank whose turn it is.
    pub(super) fn add_wrong(&mut self, streams: &mut [Vec<Planned>], number: usize) {
        let mut turn = (4 * number..).map(|turn| turn % BANKS);
        let mut next_bank = || turn.next().expect("endless");
        for fault in [
            Fault::UnknownCreditor,
            Fault::YenWithDecimals,
            Fault::OverLimit,
        ] {
            let bank = next_bank();
            let mut planned = self.payment(bank, Purpose::Refused(fault.code()));
            if let Some(leg) = &mut planned.legs[0] {
                match fault {
                    Fault::YenWithDecimals => leg.asset = self.world.asset("JPY"),
                    Fault::OverLimit => leg.minor = OVER_LIMIT_MINOR,
                    Fault::UnknownCreditor | Fault::OtherContent | Fault::PastCutOff => {}
                }
            }
            planned.fault = Some(fault);
            let at = self.random.index(streams[bank].len() + 1);
            streams[bank].insert(at, planned);
        }
        let bank = next_bank();
        self.add_other_content(&mut streams[bank]);
    }

    /// An earlier payment's identity with another amount.
    fn add_other_content(&mut self, stream: &mut Vec<Planned>) {
        let plain: Vec<usize> = (0..stream.len())
            .filter(|&at| stream[at].payload == Payload::Payment && stream[at].fault.is_none())
            .collect();
        let at = plain[self.random.index(plain.len())];
        let mut planned = stream[at].clone();
        self.number += 1;
        planned.number = self.number;
        planned.fault = Some(Fault::OtherContent);
        planned.purpose = Purpose::Refused(Fault::OtherContent.code());
        if let Some(leg) = &mut planned.legs[0] {
            leg.minor += 1;
        }
        let later = at + 1 + self.random.index(stream.len() - at);
        stream.insert(later, planned);
    }
}
