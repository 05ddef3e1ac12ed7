//! The run, its certificate and the nets, against naive oracles and worked figures.
#![allow(clippy::unwrap_used)]
// Cents stand apart from euros: 99_000_000_00 is 99 million.
#![allow(clippy::inconsistent_digit_grouping)]

mod bypass;
mod certificate;
mod corruption;
mod explain;
mod gridlock;
mod metamorphic;
mod mixes;
mod naive;
mod netting;
mod oracle;
mod pvp;
mod suggestions;
mod support;
mod wide;
