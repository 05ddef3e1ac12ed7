//! The ledger: settled batches in a Merkle log that any bank can check without trusting its operator.
//!
//! It knows no core. A batch comes as plain data ([`BatchInput`]), becomes a [`Header`] that commits to
//! all of it, and the header's text is one entry of an RFC 6962 log whose checkpoints are C2SP notes.
//!
//! | # | phase  | touches                         | a crash after it                                  |
//! |---|--------|---------------------------------|---------------------------------------------------|
//! | 1 | hash   | memory                          | loses nothing: the batch is in the journal        |
//! | 2 | append | the bundle of entries, by rename| an entry without checkpoint: signed at the start  |
//! | 3 | tiles  | the right edge, by renames      | the same; tiles follow from the entries           |
//! | 4 | check  | reads back, re-hashes           | the same                                          |
//! | 5 | sign   | the checkpoint, by rename       | the same, or all done                             |
//! | 6 | show   | readers' view, the answer       | all done: the repeat is answered `AlreadyThere`   |
//!
//! Cost of a batch of n members: n times six SHA-256 blocks, before any lock is taken; then a rename and two
//! syncs for each of three or four files. Memory does not grow with the log: readers ([`LedgerReader`])
//! make a proof from the few tiles that it crosses.
//!
//! The batch seed, from which the salts come, is never written.

mod batch;
mod error;
mod frontier;
mod hash;
mod header;
mod key;
mod ledger;
mod line;
mod member;
mod note;
mod pedersen;
mod proof;
mod reader;
mod receipt;
mod scan;
mod shared;
mod store;
mod tile;
mod tiles;
mod tree;

pub use batch::{Balance, BatchInput, CONTENT_BYTES_MAX, MemberContent, Posting};
pub use error::{BatchError, HeaderError, LedgerError, NoteError};
pub use hash::{Hash, leaf_hash, node_hash, sha256};
pub use header::{FIRST_BATCH_NUMBER, Header, ListRoot};
pub use key::LogKey;
pub use ledger::{Added, ENTRIES_PER_CHECKPOINT_MAX, Ledger};
pub use line::{BalanceProof, BatchTrees, Conservation, PostingProof};
pub use member::{MemberProof, MemberTree, member_proof};
pub use note::Checkpoint;
pub use reader::{Anchor, LedgerReader};
pub use receipt::{ReceiptContent, Side};
pub use tile::{StaticFile, static_file};
pub use tree::{Edge, Tree, root_from_path};
