//! What the end-to-end tests share: a real server process on a directory of its own, and real clients.

pub mod cluster;
pub mod load;
pub mod scheme;
pub mod server;

pub use server::{Server, ServerOptions};
