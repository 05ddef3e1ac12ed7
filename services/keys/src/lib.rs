//! Signing keys of logs and witnesses, kept encrypted: made, listed, rotated, retired.
//!
//! | module | room for |
//! |---|---|
//! | `key` | what a key signs: C2SP signed-note and tlog-cosignature lines |
//! | `sealed` | the text of one key's file |
//! | `ring` | the directory: one file a key, each whole or not there |
//! | `plain` | `PRIVATE+KEY+` files of other tools, taken over |
//!
//! Rotation is two steps, so that verifiers have time between them: a second active key signs beside the
//! first, and the first is retired when everyone knows the second. A retired key signs nothing more; its
//! old signatures stay good.

mod error;
mod key;
mod plain;
mod ring;
mod sealed;

pub use error::KeyError;
pub use key::{KeyId, KeyKind, KeyState, StoredKey};
pub use ring::KeyRing;
