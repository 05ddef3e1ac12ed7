//! A record as it lies in a segment: a frame of whole 4 KiB pages.
//!
//! | bytes    | field             |                                                       |
//! |----------|-------------------|-------------------------------------------------------|
//! | 0..4     | checksum          | CRC32C of bytes 4 to the end of the payload           |
//! | 4..8     | magic             | `VREC`                                                |
//! | 8..24    | journal id        |                                                       |
//! | 24..32   | offset            | where this frame starts in the journal                |
//! | 32..40   | `durable_through` | all before it was acknowledged when this was written  |
//! | 40..44   | payload bytes     |                                                       |
//! | 44..48   | zero              |                                                       |
//! | 48..80   | `chain_before`    | from here to the end of the payload is what the chain |
//! | 80..88   | epoch             | hashes                                                |
//! | 88..104  | leader id         |                                                       |
//! | 104..112 | first sequence    |                                                       |
//! | 112..120 | last sequence     |                                                       |
//! | 120..128 | time in ms        |                                                       |
//! | 128..    | payload           | then zeros up to the page's end, which are verified   |
//!
//! Integers are little-endian. The journal's id and the offset are under the checksum, so bytes of
//! another journal or place never pass for a record here.

use crate::error::Damage;
use crate::record::{CANONICAL_BYTES, JournalId, RECORD_BYTES_MAX, RecordHeader};

/// Records start on boundaries of this many bytes.
pub const PAGE_BYTES: usize = 4096;

/// Bytes before the payload.
pub(crate) const HEADER_BYTES: usize = 128;

const MAGIC: &[u8; 4] = b"VREC";

/// How many journal bytes a record with this payload takes: whole pages, header included.
pub const fn framed_bytes(payload_bytes: usize) -> usize {
    (HEADER_BYTES + payload_bytes).next_multiple_of(PAGE_BYTES)
}

/// Where a frame lies and whose it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub id: JournalId,
    pub offset: u64,
    pub durable_through: u64,
}

/// A verified frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Frame<'a> {
    pub header: RecordHeader,
    pub durable_through: u64,
    pub payload: &'a [u8],
}

/// The bytes before the payload, checksum included.
pub(crate) fn encode_header(
    place: &Place,
    header: &RecordHeader,
    payload: &[u8],
) -> [u8; HEADER_BYTES] {
    let payload_bytes = u32::try_from(payload.len()).expect("bounded by RECORD_BYTES_MAX");
    let mut bytes = [0; HEADER_BYTES];
    bytes[4..8].copy_from_slice(MAGIC);
    bytes[8..24].copy_from_slice(&place.id.0);
    bytes[24..32].copy_from_slice(&place.offset.to_le_bytes());
    bytes[32..40].copy_from_slice(&place.durable_through.to_le_bytes());
    bytes[40..44].copy_from_slice(&payload_bytes.to_le_bytes());
    bytes[48..].copy_from_slice(&header.canonical());
    let checksum = crc32c::crc32c_append(crc32c::crc32c(&bytes[4..]), payload);
    bytes[..4].copy_from_slice(&checksum.to_le_bytes());
    bytes
}

/// The length of the frame that starts `bytes`, from its header alone; nothing is verified but
/// what makes the length usable.
pub(crate) fn length(bytes: &[u8]) -> Result<usize, Damage> {
    let header = bytes.get(..HEADER_BYTES).ok_or(Damage::RecordCutShort)?;
    if header[4..8] != *MAGIC {
        let empty = header.iter().all(|&byte| byte == 0);
        return Err(if empty {
            Damage::RecordMissing
        } else {
            Damage::RecordMagic
        });
    }
    let payload_bytes = u32::from_le_bytes(array(header, 40));
    match usize::try_from(payload_bytes) {
        Ok(bytes) if bytes <= RECORD_BYTES_MAX => Ok(framed_bytes(bytes)),
        _ => Err(Damage::RecordLength { payload_bytes }),
    }
}

/// The sequence range in a frame's header, unverified.
pub(crate) fn sequences(bytes: &[u8]) -> (u64, u64) {
    (u64_at(bytes, 104), u64_at(bytes, 112))
}

/// Verifies the frame that starts `bytes`: checksum, journal, offset, padding.
pub(crate) fn decode(bytes: &[u8], id: JournalId, offset: u64) -> Result<Frame<'_>, Damage> {
    let frame = bytes.get(..length(bytes)?).ok_or(Damage::RecordCutShort)?;
    let payload_end = HEADER_BYTES + u32::from_le_bytes(array(frame, 40)) as usize;
    let checksum = u32::from_le_bytes(array(frame, 0));
    if crc32c::crc32c(&frame[4..payload_end]) != checksum {
        return Err(Damage::RecordChecksum);
    }
    if frame[8..24] != id.0 {
        return Err(Damage::OtherJournal {
            found: JournalId(array(frame, 8)),
        });
    }
    let found = u64_at(frame, 24);
    if found != offset {
        return Err(Damage::RecordMisplaced { found });
    }
    if frame[payload_end..].iter().any(|&byte| byte != 0) {
        return Err(Damage::RecordPadding);
    }
    let canonical: [u8; CANONICAL_BYTES] = array(frame, 48);
    Ok(Frame {
        header: RecordHeader::from_canonical(&canonical),
        durable_through: u64_at(frame, 32),
        payload: &frame[HEADER_BYTES..payload_end],
    })
}

/// `N` bytes from `at`; the caller knows that they are there.
pub(crate) fn array<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    bytes[at..at + N].try_into().expect("a slice of N bytes")
}

/// Eight little-endian bytes from `at`; the caller knows that they are there.
pub(crate) fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(array(bytes, at))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const ID: JournalId = JournalId([7; 16]);

    fn frame(payload: &[u8]) -> Vec<u8> {
        let place = Place {
            id: ID,
            offset: 8192,
            durable_through: 4096,
        };
        let header = RecordHeader {
            epoch: 1,
            leader_id: [2; 16],
            first_sequence: 3,
            last_sequence: 4,
            chain_before: [5; 32],
            time_ms: 6,
        };
        let mut bytes = encode_header(&place, &header, payload).to_vec();
        bytes.extend_from_slice(payload);
        bytes.resize(framed_bytes(payload.len()), 0);
        bytes
    }

    #[test]
    fn reads_back_at_page_edges() {
        for payload_bytes in [0, 1, 3967, 3968, 3969, 8064, 8065] {
            let payload = vec![0xab; payload_bytes];
            let bytes = frame(&payload);
            assert_eq!(bytes.len() % PAGE_BYTES, 0);
            let decoded = decode(&bytes, ID, 8192).unwrap();
            assert_eq!(
                (decoded.payload, decoded.durable_through),
                (&payload[..], 4096)
            );
            assert_eq!(sequences(&bytes), (3, 4));
        }
    }

    #[test]
    fn every_flipped_bit_is_seen() {
        let good = frame(b"some payload");
        for bit in 0..good.len() * 8 {
            let mut bad = good.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            assert!(decode(&bad, ID, 8192).is_err(), "bit {bit}");
        }
    }

    #[test]
    fn a_frame_of_another_place_is_refused() {
        let bytes = frame(b"x");
        assert_eq!(
            decode(&bytes, JournalId([8; 16]), 8192),
            Err(Damage::OtherJournal { found: ID })
        );
        assert_eq!(
            decode(&bytes, ID, 4096),
            Err(Damage::RecordMisplaced { found: 8192 })
        );
        assert_eq!(
            decode(&bytes[..4095], ID, 8192),
            Err(Damage::RecordCutShort)
        );
        assert_eq!(decode(&[0; 4096], ID, 8192), Err(Damage::RecordMissing));
    }
}
