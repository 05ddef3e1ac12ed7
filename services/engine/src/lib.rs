//! The single writer: takes requests in one order, decides and applies them in memory, makes them
//! durable one step at a time, and answers only what is durable.
//!
//! | # | phase   | where           | touches                          |
//! |---|---------|-----------------|----------------------------------|
//! | 1 | take    | writer's thread | the mailbox                      |
//! | 2 | execute | writer's thread | the core's state, in memory      |
//! | 3 | append  | journal thread  | one journal write, one in flight |
//! | 4 | answer  | writer's thread | the callers                      |
//!
//! While a step becomes durable, the next fills with everything that comes: group commit that waits
//! for nothing. A failed append ends the engine, since memory is then ahead of the journal and there
//! is no way back but a replay.
//!
//! | module | room for |
//! |---|---|
//! | [`handle`] | what the rest of the program calls |
//! | `writer` | the loop above |
//! | `step` | one record in the making, with the answers that wait for it |
//! | `appender` | the journal's own thread |
//! | `replay` | journal to state, at start |
//! | [`Replica`] | the state of a journal that another process writes, kept up with it |
//! | `snapshot`, `snapshotter` | the whole state on disk, and when |
//! | `audit` | deciding a whole journal again, for who trusts no engine |
//! | `identities` | what is remembered of other days, on disk |
//! | `clock` | record time: never back, never a silent jump |

mod appender;
mod audit;
mod clock;
pub mod handle;
mod identities;
mod replay;
mod replica;
mod snapshot;
mod snapshotter;
mod step;
mod writer;

pub use audit::{AuditError, Audited, Auditor, Decode, audit};
pub use clock::{Clock, FORWARD_JUMP_MS_MAX, SystemClock};
pub use handle::{Answered, Content, EngineError, Handle, Ticket};
pub use identities::{FileError, OldFile, OldIdentities};
pub use replay::{Recovered, ReplayError, Replayed, recover, replay};
pub use replica::{Replica, ReplicaError};
pub use snapshot::Snapshots;
pub use snapshotter::SnapshotOptions;
pub use writer::{Engine, StopReason};
