//! The settlement core: pure, deterministic, single-writer. No I/O, clock, randomness or float.
//!
//! | module | room for |
//! |---|---|
//! | [`ids`] | BIC, UETR, dates, dense ids of participants, assets, accounts, cycles |
//! | [`instruction`] | what a bank sends, in the core's form; batches of it |
//! | [`conditions`] | what may hold an instruction until it is true |
//! | [`command`] | every other write: scheme, movements, cycles, quotes, tokens |
//! | [`risk`] | how cycles are funded, how far shorts may go |
//! | [`rejection`] | why something was refused: one ordered enum, ISO 20022 codes |
//! | [`remembered`] | what files keep of instructions and commands that are old |
//! | [`event`] | what happened: all that `apply` needs; the journal's payload |
//! | [`record`] | inputs and events of one engine step as bytes |
//! | [`state`] | accounts, queues, cycles, identities; `decide`, `apply`, consequences |
//! | [`directory`] | who and what there is, by name and by number |
//! | [`follow`] | what the events mean for each instruction and batch: for followers |
//! | [`view`] | queries and their answers |
//! | [`rows`] | what the read model is asked, and its rows |
//! | [`run`], [`certificate`], [`netting`] | what settles, the proof of it, the nets |
//!
//! Inside, `chunks`, `sorted` and `table` hold what frozen views share with the writer (`shared`).
//!
//! `decide` may refuse and changes nothing; `apply` cannot fail. A replay calls only `apply`.

pub mod certificate;
mod chunks;
pub mod command;
pub mod conditions;
pub mod directory;
pub mod event;
pub mod follow;
mod forwarded;
pub mod ids;
pub mod instruction;
pub mod netting;
pub mod record;
pub mod rejection;
pub mod remembered;
pub mod risk;
pub mod rows;
pub mod run;
mod series;
mod shared;
mod sorted;
pub mod state;
mod table;
pub mod view;
