//! A log as an outsider reads it: its static files, over HTTP or from a directory, with nothing believed.
//!
//! | module | room for |
//! |---|---|
//! | `source` | where the files come from |
//! | `tree` | the tree over the entries read so far, in tiles |
//! | [`followed`] | following: signature, every entry, every tile, every header; evidence of a fork |

pub mod followed;
pub mod source;
mod tree;

pub use followed::{Followed, Found};
pub use source::Source;
