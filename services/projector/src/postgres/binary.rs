//! Rows as `COPY ... (FORMAT binary)` takes them: a header, each row as its number of columns and each
//! column as its length and bytes, all big endian, and a trailer.
//!
//! Source: PostgreSQL's documentation of COPY, "Binary Format".

use super::value::{Units, day, instant};
use bytes::{BufMut as _, BytesMut};
use settlement_core::ids::{Date, Timestamp};
use std::fmt::{Display, Write as _};

const SIGNATURE: &[u8] = b"PGCOPY\n\xff\r\n\0";
/// Length of a NULL, and row of the trailer.
const NONE: i32 = -1;

/// The bytes of one COPY.
pub(super) struct CopyBytes {
    bytes: BytesMut,
    rows: usize,
    /// Of the row at hand, still to come.
    columns_left: usize,
}

impl CopyBytes {
    pub(super) fn new() -> Self {
        let mut copy = Self {
            bytes: BytesMut::new(),
            rows: 0,
            columns_left: 0,
        };
        copy.clear();
        copy
    }

    /// Begins again, in the memory that it has.
    pub(super) fn clear(&mut self) {
        self.bytes.clear();
        self.bytes.put_slice(SIGNATURE);
        // No flags, no extension.
        self.bytes.put_i32(0);
        self.bytes.put_i32(0);
        self.rows = 0;
    }

    /// Rows since [`Self::clear`].
    pub(super) fn rows(&self) -> usize {
        self.rows
    }

    /// The bytes so far: of whole rows, since [`Self::clear`] or [`Self::sent`].
    pub(super) fn bytes(&self) -> &[u8] {
        debug_assert_eq!(self.columns_left, 0, "a row lacks columns");
        &self.bytes
    }

    /// Forgets the bytes so far: they are on their way.
    pub(super) fn sent(&mut self) {
        self.bytes.clear();
    }

    /// Adds the trailer: no row comes after it.
    pub(super) fn finish(&mut self) {
        self.bytes.put_i16(-1);
    }

    /// Begins a row. Its columns follow, each by one call.
    pub(super) fn row(&mut self, columns: i16) -> Row<'_> {
        debug_assert_eq!(self.columns_left, 0, "a row lacks columns");
        self.columns_left = usize::from(columns.unsigned_abs());
        self.bytes.put_i16(columns);
        self.rows += 1;
        Row(self)
    }
}

/// A row at hand.
pub(super) struct Row<'a>(&'a mut CopyBytes);

impl Row<'_> {
    fn column(&mut self, length: i32) -> &mut BytesMut {
        let copy = &mut *self.0;
        debug_assert!(copy.columns_left > 0, "a row has too many columns");
        copy.columns_left -= 1;
        copy.bytes.put_i32(length);
        &mut copy.bytes
    }

    /// A column that may be NULL.
    pub(super) fn or_null<T>(
        &mut self,
        value: Option<T>,
        put: impl FnOnce(&mut Self, T) -> &mut Self,
    ) -> &mut Self {
        match value {
            Some(value) => put(self, value),
            None => {
                self.column(NONE);
                self
            }
        }
    }

    pub(super) fn boolean(&mut self, value: bool) -> &mut Self {
        self.column(1).put_u8(value.into());
        self
    }

    /// A SMALLINT.
    pub(super) fn small(&mut self, value: u8) -> &mut Self {
        self.column(2).put_i16(value.into());
        self
    }

    /// An INTEGER.
    pub(super) fn integer(&mut self, value: u16) -> &mut Self {
        self.column(4).put_i32(value.into());
        self
    }

    /// A BIGINT.
    pub(super) fn big(&mut self, value: u64) -> &mut Self {
        self.column(8).put_i64(super::int(value));
        self
    }

    pub(super) fn date(&mut self, value: Date) -> &mut Self {
        self.column(4).put_i32(day(value));
        self
    }

    pub(super) fn time(&mut self, value: Timestamp) -> &mut Self {
        self.column(8).put_i64(instant(value));
        self
    }

    pub(super) fn uuid(&mut self, value: u128) -> &mut Self {
        self.column(16).put_u128(value);
        self
    }

    pub(super) fn bytes(&mut self, value: &[u8]) -> &mut Self {
        let length = i32::try_from(value.len()).expect("a record bounds it");
        self.column(length).put_slice(value);
        self
    }

    /// A TEXT of what prints as it.
    pub(super) fn text(&mut self, value: impl Display) -> &mut Self {
        self.measured(|bytes| write!(bytes, "{value}").expect("memory takes it"))
    }

    /// A NUMERIC.
    pub(super) fn units(&mut self, value: Units) -> &mut Self {
        self.measured(|bytes| value.put(bytes))
    }

    /// A column whose length shows once it is there.
    fn measured(&mut self, put: impl FnOnce(&mut BytesMut)) -> &mut Self {
        let bytes = self.column(0);
        let start = bytes.len();
        put(bytes);
        let length = i32::try_from(bytes.len() - start).expect("a record bounds it");
        bytes[start - 4..start].copy_from_slice(&length.to_be_bytes());
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_counted_columns_of_counted_bytes() {
        let mut copy = CopyBytes::new();
        assert_eq!(copy.rows(), 0);
        copy.row(4)
            .big(7)
            .or_null(None::<u8>, Row::small)
            .text("EUR")
            .boolean(true);
        let header = [SIGNATURE, &[0; 8]].concat();
        let row = [
            &[0, 4][..],
            &[0, 0, 0, 8, 0, 0, 0, 0, 0, 0, 0, 7],
            &[0xff; 4],
            b"\0\0\0\x03EUR",
            &[0, 0, 0, 1, 1],
            &[0xff, 0xff],
        ];
        copy.finish();
        assert_eq!(copy.bytes(), [header, row.concat()].concat());
        copy.sent();
        assert_eq!(copy.bytes(), b"");
        assert_eq!(copy.rows(), 1);
        copy.clear();
        assert_eq!(copy.rows(), 0);
    }
}
