//! The wire: `valuta.v1` as Rust types, clients and servers, made from `proto/valuta/v1`.
//!
//! | module | what |
//! |---|---|
//! | [`v1`] | every message, client and server |
//! | [`raw`] | `PaymentService`'s server with instructions left as the bytes that came |
//! | [`link`] | between the processes of one scheme |
//!
//! Depends on nothing else of Valuta.

/// Messages, clients and servers of `valuta.v1`.
#[allow(missing_docs, clippy::all, unused_qualifications)]
pub mod v1 {
    tonic::include_proto!("valuta.v1");
}

/// `PaymentService` as the gateway serves it: each instruction is a slice of the received message,
/// so that decoding goes straight into the core's form. Same wire format as [`v1`].
#[allow(missing_docs, clippy::all, unused_qualifications)]
pub mod raw {
    include!(concat!(env!("OUT_DIR"), "/raw/valuta.v1.rs"));
}

/// Messages, clients and servers between the processes of one scheme.
#[allow(missing_docs, clippy::all, unused_qualifications)]
pub mod link {
    tonic::include_proto!("valuta.link.v1");
}

/// The descriptor set of all files, for reflection.
pub const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"));
