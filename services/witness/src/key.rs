//! What a witness's key signs besides cosignatures.

use valuta_keys::{KeyKind, StoredKey};

/// A note of the witness's own, signed by its key as one of a note's (type 0x01). The first lines of what such
/// a key signs tell its two uses apart.
pub(crate) fn note(key: &StoredKey, text: &str) -> String {
    let line = key.of_kind(KeyKind::Log).signature_line(text);
    format!("{text}\n{line}")
}
