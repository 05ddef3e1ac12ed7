//! Every end-to-end test: one binary, real processes, real clients.
#![allow(clippy::unwrap_used)]

mod access;
mod audit;
mod cli;
mod cluster;
mod crash;
mod damage;
mod demo;
mod disk;
mod fuzz;
mod history;
mod house;
mod input;
mod journey;
mod load;
mod log;
mod metrics;
mod offline;
mod refeed;
mod support;
mod validating;
