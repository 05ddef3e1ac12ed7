//! C2SP tlog-witness, both ends: a server that cosigns what logs show it, and the log's client that collects
//! cosignatures.
//!
//! The server, for each checkpoint:
//!
//! | # | phase    | touches                     | a crash after it                                     |
//! |---|----------|-----------------------------|------------------------------------------------------|
//! | 1 | verify   | memory: the log's signature | loses nothing                                        |
//! | 2 | validate | what a [`Validator`] reads  | loses nothing: it is asked again                     |
//! | 3 | decide   | the recorded checkpoint     | loses nothing                                        |
//! | 4 | record   | one durable commit of many  | the checkpoint counts as cosigned: asked again, it is|
//! | 5 | cosign   | memory, the answer          | the same                                             |
//!
//! 3 and 4 happen in one transaction of one thread, so no two trees of one size are ever cosigned. Cost: two
//! signature operations, a consistency proof, and a share of a commit.
//!
//! The client: a [`Collector`] asks every witness of a policy in a thread of its own, and hands each
//! checkpoint back as soon as the policy's quorum cosigned it. Nothing ever waits for it.

mod client;
mod collect;
mod key;
mod limit;
mod request;
mod server;
mod store;
mod validate;
mod witness;

pub use client::{AskError, WitnessClient};
pub use collect::{Collector, Log, Pace, Progress};
pub use limit::Rate;
pub use request::{ADD_CHECKPOINT_BYTES_MAX, PROOF_LINES_MAX, request_text};
pub use server::{router, router_within, serve};
pub use store::REFUSALS_MAX;
pub use validate::{Finding, Invalid, Validator};
pub use witness::{Clock, Refused, Witness, WitnessConfig, WitnessError};
