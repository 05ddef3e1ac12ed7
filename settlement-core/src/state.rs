//! The live state.
