//! Request ids that nobody has to think of.
//!
//! | write                                                        | id if none is given                       |
//! |--------------------------------------------------------------|-------------------------------------------|
//! | adds: deposit, withdrawal, pay-in, pay-out, transfer, quote, cancel | from the content: a job that runs again sends the same request, so nothing is booked twice; to book the same amount once more on purpose, give an id |
//! | sets: scheme, state, limit, rates, time, token, cycle steps  | fresh: setting what already holds changes nothing, and going there and back again must work |

use crate::client::CliError;
use clap::Args;
use prost::Message;
use sha2::{Digest, Sha256};
use std::fmt::Write;

/// Of an id that the client makes: 96 bits, as hexadecimal digits within the 35 characters of one.
const ID_BYTES: usize = 12;

/// The option that every write has.
#[derive(Args, Clone, Default)]
pub struct RequestId {
    /// Names this request: sent again with the same content it is done once. By default derived from
    /// the content where a write adds (movements, quotes, cancel), and fresh where it sets a state
    #[arg(long, value_name = "ID")]
    request_id: Option<String>,
}

impl RequestId {
    /// The given id, or one that only this content has. `request` has no id yet.
    pub fn or_derived(&self, request: &impl Message) -> String {
        self.request_id.clone().unwrap_or_else(|| derived(request))
    }

    /// The given id, or one that nobody has used.
    ///
    /// # Errors
    /// [`CliError::Unavailable`] if the machine gives no random bytes.
    pub fn or_fresh(&self) -> Result<String, CliError> {
        if let Some(id) = &self.request_id {
            return Ok(id.clone());
        }
        let mut bytes = [0; ID_BYTES];
        getrandom::fill(&mut bytes)
            .map_err(|error| CliError::Unavailable(format!("no random bytes: {error}")))?;
        Ok(named("cli-", &bytes))
    }
}

/// The same content always has the same id; 96 bits of SHA-256 over the request's bytes.
pub fn derived(request: &impl Message) -> String {
    let hash = Sha256::digest(request.encode_to_vec());
    named("job-", &hash[..ID_BYTES])
}

fn named(prefix: &str, bytes: &[u8]) -> String {
    bytes.iter().fold(prefix.to_owned(), |mut id, byte| {
        write!(id, "{byte:02x}").expect("writing to a string cannot fail");
        id
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use valuta_proto::v1::RecordMovementRequest;

    #[test]
    fn the_same_content_has_the_same_id() {
        let deposit = |amount: &str| RecordMovementRequest {
            participant: "AAAAUS33".into(),
            amount: amount.into(),
            ..Default::default()
        };
        let none = RequestId::default();
        let id = none.or_derived(&deposit("1.00"));
        assert_eq!(id, none.or_derived(&deposit("1.00")));
        assert_ne!(id, none.or_derived(&deposit("1.01")));
        assert!(id.len() <= 35, "{id}");
        assert_ne!(none.or_fresh().unwrap(), none.or_fresh().unwrap());
        let given = RequestId {
            request_id: Some("mine".into()),
        };
        assert_eq!(given.or_derived(&deposit("1.00")), "mine");
    }
}
