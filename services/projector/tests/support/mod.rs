//! What the tests share: the database under test, the oracle, random rows.
#![allow(dead_code, clippy::unwrap_used)]

pub mod compare;
pub mod database;
pub mod engine;
pub mod follow;
pub mod oracle;
#[cfg(feature = "cluster")]
pub mod postgres;
pub mod random;
pub mod script;
