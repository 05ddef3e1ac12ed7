//! The way from a gateway to the engine that leads, in another process: one gRPC stream, in batches.
//!
//! | module | room for |
//! |---|---|
//! | `client` | a gateway's side: finds the leader, keeps what is not answered, sends it again to the next |
//! | `server` | an engine's side: takes requests in order while it leads |
//! | `report` | how far each process is, told to the one that leads |
//! | `secret` | who may use it |
//!
//! Sending again is safe, since the core remembers each instruction and each request id: what the first
//! leader made durable gets the same answer from the second.

mod client;
mod report;
mod secret;
mod server;

pub use client::{Link, LinkOptions, leads};
pub use report::{Reporter, TakeReport, Told};
pub use secret::Secret;
pub use server::{EngineLinkService, Lead, Leading};

/// In an answer's metadata: the engine leads, but its journal takes no records now.
const HINDERED: &str = "x-valuta-hindered";

/// Of one message: a batch at the gateway's bound, and what the form adds.
const MESSAGE_BYTES_MAX: usize = 32 << 20;
