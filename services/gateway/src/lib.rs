//! The bank-facing edge: gRPC `valuta.v1` over a submit trait.
//!
//! | module | what |
//! |---|---|
//! | [`ports`] | what the gateway needs: the engine, and what follows the journal |
//! | [`wire`] | one instruction's bytes straight into the core's form |
//!
//! Wire types stop here. The gateway knows the core's types, not the engine, and no SQL.

pub mod ports;
pub mod wire;

#[cfg(test)]
mod testing;
