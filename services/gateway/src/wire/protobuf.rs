//! The protobuf wire format, read from a slice and written to a `Vec`; nothing allocated.

/// Of groups within groups within unknown fields, as prost has it.
const GROUP_DEPTH_MAX: u32 = 100;

/// Wire types of <https://protobuf.dev/programming-guides/encoding>.
pub(super) const VARINT: u8 = 0;
const FIXED64: u8 = 1;
pub(super) const BYTES: u8 = 2;
const GROUP_START: u8 = 3;
const GROUP_END: u8 = 4;
const FIXED32: u8 = 5;

/// These bytes are no protobuf message.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Broken;

/// A field's number and wire type.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Key {
    pub(super) number: u32,
    pub(super) wire: u8,
}

/// Reads fields one after the other, and remembers whether every varint was of minimal length.
pub(super) struct Reader<'a> {
    rest: &'a [u8],
    pub(super) minimal: bool,
}

impl<'a> Reader<'a> {
    pub(super) const fn new(bytes: &'a [u8]) -> Self {
        Self {
            rest: bytes,
            minimal: true,
        }
    }

    /// The next field's key; `None` at the end.
    #[inline]
    pub(super) fn key(&mut self) -> Result<Option<Key>, Broken> {
        if self.rest.is_empty() {
            return Ok(None);
        }
        let key = u32::try_from(self.varint()?).map_err(|_| Broken)?;
        let (number, wire) = (key >> 3, (key & 7) as u8);
        if number == 0 || wire > FIXED32 {
            return Err(Broken);
        }
        Ok(Some(Key { number, wire }))
    }

    /// Bytes not yet read.
    #[cfg(test)]
    pub(super) const fn left(&self) -> usize {
        self.rest.len()
    }

    #[inline]
    pub(super) fn varint(&mut self) -> Result<u64, Broken> {
        match self.rest {
            [first, rest @ ..] if *first < 0x80 => {
                self.rest = rest;
                Ok(u64::from(*first))
            }
            _ => self.long_varint(),
        }
    }

    fn long_varint(&mut self) -> Result<u64, Broken> {
        let mut value = 0u64;
        for (at, &byte) in self.rest.iter().enumerate().take(10) {
            if at == 9 && byte > 1 {
                return Err(Broken);
            }
            value |= u64::from(byte & 0x7f) << (7 * at);
            if byte < 0x80 {
                self.minimal &= byte != 0;
                self.rest = &self.rest[at + 1..];
                return Ok(value);
            }
        }
        Err(Broken)
    }

    /// An `int32` or enum value: sign-extended to 64 bits on the wire, higher bits dropped.
    #[inline]
    pub(super) fn int32(&mut self) -> Result<i32, Broken> {
        let wide = self.varint()?;
        let value = wide as u32 as i32;
        self.minimal &= int32_on_wire(value) == wide;
        Ok(value)
    }

    #[inline]
    pub(super) fn bytes(&mut self) -> Result<&'a [u8], Broken> {
        let length = usize::try_from(self.varint()?).map_err(|_| Broken)?;
        self.take(length)
    }

    #[inline]
    fn take(&mut self, length: usize) -> Result<&'a [u8], Broken> {
        let (taken, rest) = self.rest.split_at_checked(length).ok_or(Broken)?;
        self.rest = rest;
        Ok(taken)
    }

    /// Passes over the value of a field that nobody reads.
    #[cold]
    pub(super) fn skip(&mut self, key: Key) -> Result<(), Broken> {
        self.skip_within(key, 0)
    }

    fn skip_within(&mut self, key: Key, depth: u32) -> Result<(), Broken> {
        match key.wire {
            VARINT => self.varint().map(drop),
            FIXED64 => self.take(8).map(drop),
            FIXED32 => self.take(4).map(drop),
            BYTES => self.bytes().map(drop),
            GROUP_START if depth < GROUP_DEPTH_MAX => loop {
                let inner = self.key()?.ok_or(Broken)?;
                if inner.wire == GROUP_END {
                    break if inner.number == key.number {
                        Ok(())
                    } else {
                        Err(Broken)
                    };
                }
                self.skip_within(inner, depth + 1)?;
            },
            _ => Err(Broken),
        }
    }
}

/// An `int32` as the 64 bits that are its varint.
pub(super) const fn int32_on_wire(value: i32) -> u64 {
    value as i64 as u64
}

/// Appends a varint of minimal length.
pub(super) fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// Appends a varint field, unless it has its default.
pub(super) fn put_number(out: &mut Vec<u8>, number: u32, value: u64) {
    if value != 0 {
        put_varint(out, u64::from(number << 3 | u32::from(VARINT)));
        put_varint(out, value);
    }
}

/// Appends a length-delimited field, empty ones too.
pub(super) fn put_bytes(out: &mut Vec<u8>, number: u32, bytes: &[u8]) {
    put_varint(out, u64::from(number << 3 | u32::from(BYTES)));
    put_varint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}
