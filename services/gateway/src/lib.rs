//! The bank-facing edge: gRPC `valuta.v1` over a submit trait.
//!
//! | module | what |
//! |---|---|
//! | [`ports`] | what the gateway needs: the engine, and what follows the journal |
//! | [`wire`] | one instruction's bytes straight into the core's form |
//! | [`payment`], `rates`, `settlement`, `treasury`, `ledger`, `audit`, `admin` | one service each |
//! | [`auth`] | who calls |
//! | [`errors`], `undecodable`, `rejection` | failures of a call; refusals of an instruction |
//! | `fields`, `convert`, `scheme`, `raw` | wire messages to the core's words and back |
//! | [`serve`](mod@serve) | the server: TLS, health, reflection, metrics, graceful stop |
//!
//! Wire types stop here. The gateway knows the core's types, not the engine, and no SQL.

mod admin;
mod audit;
pub mod auth;
mod convert;
mod deadline;
pub mod errors;
mod fields;
mod gateway;
mod ledger;
mod paging;
pub mod payment;
pub mod ports;
mod quotes;
mod rates;
mod raw;
mod rejection;
mod risk;
mod scheme;
pub mod serve;
mod settlement;
mod treasury;
mod undecodable;
pub mod wire;

pub use convert::instruction_status;
pub use fields::position_text;
pub use gateway::Gateway;
pub use serve::{RenderMetrics, ServeConfig, ServeError, TlsPem, serve};

#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
