//! What the tests share: the database under test, the oracle, random rows.
#![allow(dead_code, clippy::unwrap_used)]

pub mod compare;
pub mod database;
pub mod days;
pub mod engine;
pub mod faults;
pub mod follow;
pub mod oracle;
#[cfg(feature = "cluster")]
pub mod postgres;
pub mod random;
pub mod script;
