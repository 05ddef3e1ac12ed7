//! The engine over journals that fail, wait and fill up.
#![allow(clippy::unwrap_used)]

mod clock;
mod durable;
mod faults;
mod files;
mod frozen;
mod full_disk;
mod identities;
mod replica;
mod shutdown;
mod snapshots;
mod support;
