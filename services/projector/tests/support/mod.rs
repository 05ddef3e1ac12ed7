//! What the tests share: the database under test, the oracle, random rows.
#![allow(dead_code, clippy::unwrap_used)]

pub mod compare;
pub mod database;
pub mod engine;
pub mod follow;
pub mod oracle;
pub mod random;
pub mod script;
