//! A batch as a gateway hands it to an engine in another process: CBOR, decoded once and not checked
//! again, since the gateway is part of the scheme.
//!
//! ```text
//! batch       = [item*]
//! item        = [index, identity, digest, content bytes, body, [leg*], conditions or null]
//! body        = [0, body] | [1, malformed]
//! ```
//!
//! Ranges are not sent: they are made anew, so they cannot point anywhere else.

use crate::conditions::Conditions;
use crate::instruction::{Body, LEGS_MAX, Submission, Submissions};
use minicbor::encode::Write;
use minicbor::{Decode, Decoder, Encode, Encoder, decode, encode};
use std::ops::Range;

const FIELDS: u64 = 7;

impl<C> Encode<C> for Submissions {
    fn encode<W: Write>(
        &self,
        e: &mut Encoder<W>,
        ctx: &mut C,
    ) -> Result<(), encode::Error<W::Error>> {
        e.array(self.items.len() as u64)?;
        for item in &self.items {
            e.array(FIELDS)?.u32(item.index)?;
            item.identity.encode(e, ctx)?;
            item.digest.encode(e, ctx)?;
            e.bytes(self.content_of(item))?.array(2)?;
            let conditions = match &item.body {
                Ok(body) => {
                    e.u8(0)?;
                    body.encode(e, ctx)?;
                    self.conditions_of(body)
                }
                Err(malformed) => {
                    e.u8(1)?;
                    malformed.encode(e, ctx)?;
                    None
                }
            };
            let legs = self.legs_of(item);
            e.array(legs.len() as u64)?;
            legs.iter().try_for_each(|leg| leg.encode(e, ctx))?;
            conditions.encode(e, ctx)?;
        }
        Ok(())
    }
}

impl<'b, C> Decode<'b, C> for Submissions {
    fn decode(d: &mut Decoder<'b>, ctx: &mut C) -> Result<Self, decode::Error> {
        let count = length(d)?;
        let mut batch = Self::default();
        for _ in 0..count {
            item(&mut batch, d, ctx)?;
        }
        Ok(batch)
    }
}

fn item<C>(batch: &mut Submissions, d: &mut Decoder<'_>, ctx: &mut C) -> Result<(), decode::Error> {
    if d.array()? != Some(FIELDS) {
        return Err(decode::Error::message("not an item of a batch"));
    }
    let (index, identity, digest) = (d.u32()?, d.decode_with(ctx)?, d.decode_with(ctx)?);
    let content = append(&mut batch.content, d.bytes()?)?;
    let body = match (d.array()?, d.u8()?) {
        (Some(2), 0) => Ok(Body::decode(d, ctx)?),
        (Some(2), 1) => Err(d.decode_with(ctx)?),
        _ => return Err(decode::Error::message("not an item's body")),
    };
    let count = length(d)?;
    if count > LEGS_MAX as u64 {
        return Err(decode::Error::message("more legs than an instruction has"));
    }
    let start = place(batch.legs.len())?;
    for _ in 0..count {
        batch.legs.push(d.decode_with(ctx)?);
    }
    let legs = start..place(batch.legs.len())?;
    let conditions: Option<Conditions> = d.decode_with(ctx)?;
    let at = place(batch.conditions.len())?;
    let body = body.map(|body| Body {
        conditions: conditions.as_ref().map(|_| at),
        ..body
    });
    batch.conditions.extend(conditions);
    batch.items.push(Submission {
        index,
        identity,
        digest,
        content,
        legs,
        body,
    });
    Ok(())
}

fn length(d: &mut Decoder<'_>) -> Result<u64, decode::Error> {
    d.array()?
        .ok_or_else(|| decode::Error::message("an array without a length"))
}

fn append(all: &mut Vec<u8>, bytes: &[u8]) -> Result<Range<u32>, decode::Error> {
    let start = place(all.len())?;
    all.extend_from_slice(bytes);
    Ok(start..place(all.len())?)
}

fn place(at: usize) -> Result<u32, decode::Error> {
    u32::try_from(at).map_err(|_| decode::Error::message("a batch of over 4 GiB"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conditions::Conditions;
    use crate::ids::{Bic, Date, Timestamp, Uetr};
    use crate::instruction::{Digest, Identity, Kind, Lane, LegKind, LegSent, Priority, ShortText};
    use crate::rejection::{Fault, Field, Malformed};

    fn leg(mantissa: i64) -> LegSent {
        LegSent {
            kind: LegKind::Principal,
            debtor: Bic::parse(b"AAAAUS33").expect("a BIC"),
            creditor: Bic::parse(b"BBBBDEFFXXX").expect("a BIC"),
            asset: fx::AssetCode::parse(b"EUR"),
            amount: fx::DecimalText::parse(format!("{mantissa}.05").as_bytes()).ok(),
        }
    }

    /// Items with 0 to 2 legs; every third malformed, every fourth with conditions.
    fn batch(items: u32) -> Submissions {
        let mut batch = Submissions::default();
        for index in 0..items {
            let legs = place(batch.legs.len()).expect("small");
            batch.legs.extend((0..index % 3).map(|n| leg(i64::from(n))));
            let with_conditions = index % 4 == 0 && index % 3 != 2;
            let conditions = with_conditions.then_some(batch.conditions.len() as u32);
            batch.conditions.extend(with_conditions.then(|| Conditions {
                not_before: Some(Timestamp(i64::from(index))),
                ..Conditions::default()
            }));
            let bytes = vec![index as u8; index as usize];
            let content = append(&mut batch.content, &bytes).expect("small");
            batch.items.push(Submission {
                index,
                identity: Identity {
                    uetr: Uetr(u128::from(index)),
                    instructing: Bic::parse(b"AAAAUS33").expect("a BIC"),
                    kind: Kind::Payment,
                },
                digest: Digest([7; 16]),
                content,
                legs: legs..place(batch.legs.len()).expect("small"),
                body: if index % 3 == 2 {
                    Err(Malformed {
                        field: Field::Remittance,
                        leg: 0,
                        fault: Fault::TooLong,
                    })
                } else {
                    Ok(Body {
                        lane: Lane::Net,
                        priority: Priority::High,
                        created: Timestamp(-5),
                        value_date: Date(20_000),
                        quote_id: ShortText::parse(b"q"),
                        trade_reference: None,
                        conditions,
                    })
                },
            });
        }
        batch
    }

    #[test]
    fn a_batch_comes_out_as_it_went_in() {
        for items in [0, 1, 2, 13] {
            let batch = batch(items);
            let bytes = minicbor::to_vec(&batch).expect("a Vec takes every byte");
            let back: Submissions = decode(&bytes).expect("decodes");
            assert_eq!(back.items, batch.items);
            assert_eq!(back.legs, batch.legs);
            assert_eq!(back.content, batch.content);
            assert_eq!(back.conditions, batch.conditions);
        }
    }

    #[test]
    fn a_cut_batch_is_refused() {
        let bytes = minicbor::to_vec(batch(5)).expect("a Vec takes every byte");
        for end in 0..bytes.len() {
            assert!(decode::<Submissions>(&bytes[..end]).is_err(), "{end}");
        }
    }
}
