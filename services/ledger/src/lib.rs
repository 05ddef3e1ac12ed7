//! The ledger: settled batches in a Merkle log that any bank can check without trusting its operator.
//!
//! It knows no core. A batch comes as plain data ([`BatchInput`]), becomes a [`Header`] that commits to
//! all of it, and the header's text is one entry of an RFC 6962 log whose checkpoints are C2SP notes.
//!
//! | # | phase  | touches                      | a crash after it                                     |
//! |---|--------|------------------------------|------------------------------------------------------|
//! | 1 | hash   | memory                       | loses nothing: the batch is in the journal           |
//! | 2 | append | `entries`, one write         | at most a torn entry, dropped at the next start      |
//! | 3 | sync   | `entries`                    | a whole entry without checkpoint: signed at the start|
//! | 4 | check  | reads back, re-hashes        | the same                                             |
//! | 5 | sign   | `checkpoint`, by rename      | the same, or all done                                |
//! | 6 | show   | readers' view, the answer    | all done: the repeat is answered `AlreadyThere`      |
//!
//! Cost of a batch of n members: n times six SHA-256 blocks, before any lock is taken; then one write and
//! three syncs. Readers ([`LedgerReader`]) hold a lock only to copy a path of log2(size) hashes.
//!
//! The batch seed, from which the salts come, is never written.

mod batch;
mod error;
mod hash;
mod header;
mod key;
mod ledger;
mod member;
mod note;
mod reader;
mod receipt;
mod store;
mod tree;

pub use batch::{Balance, BatchInput, CONTENT_BYTES_MAX, MemberContent, Posting};
pub use error::{BatchError, HeaderError, LedgerError, NoteError};
pub use hash::{Hash, leaf_hash, node_hash, sha256};
pub use header::{FIRST_BATCH_NUMBER, Header, ListRoot};
pub use key::LogKey;
pub use ledger::{Added, Ledger};
pub use member::{MemberProof, MemberTree, member_proof};
pub use note::Checkpoint;
pub use reader::{Anchor, LedgerReader};
pub use receipt::{ReceiptContent, Side};
pub use tree::{Edge, Tree, root_from_path};
