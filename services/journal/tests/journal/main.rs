//! The journal from outside: what it promises, and what faults get.
#![allow(clippy::unwrap_used)]

mod copied;
mod damage;
mod double;
mod faults;
mod full_disk;
mod order;
mod support;
mod sync_order;
