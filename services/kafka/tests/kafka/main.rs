//! The journal and the topics against real brokers: `scripts/stack up`, then `. target/stack/env`.
#![allow(clippy::unwrap_used)]

mod barrier;
mod copy;
mod election;
mod journal;
mod pipeline;
mod rule;
mod support;
mod tls;
mod topics;
