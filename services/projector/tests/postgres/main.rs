//! What only the read model on PostgreSQL has: views, roles, migrations, rebuilding beside readers, and a
//! server that goes away.
#![cfg(feature = "cluster")]
#![allow(clippy::unwrap_used)]

mod faults;
mod proxy;
mod rebuild;
mod roles;
mod schema;
#[path = "../support/mod.rs"]
#[allow(unused_macros, unused_imports)]
mod support;
mod views;
