//! Who calls: `authorization: Bearer <token>`, looked up by the token's SHA-256.

use crate::errors::{Failure, denied};
use crate::ports::Engine;
use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use settlement_core::command::Caller;
use settlement_core::ids::Bic;
use sha2::{Digest, Sha256};
use tonic::metadata::MetadataMap;
use tonic::{Code, Status};

/// Of a token's text, so that one is recognised where it should not be.
const TOKEN_PREFIX: &str = "vt_";
/// Random bytes of a token.
const TOKEN_BYTES: usize = 32;
const SCHEME: &str = "bearer ";

/// SHA-256 of a token's text: all that is ever stored.
pub fn token_hash(text: &str) -> [u8; 32] {
    Sha256::digest(text.as_bytes()).into()
}

/// Makes a token: `vt_` and 32 random bytes as base64url.
///
/// # Errors
/// The operating system gave no random bytes.
pub fn new_token() -> Result<String, getrandom::Error> {
    let mut bytes = [0; TOKEN_BYTES];
    getrandom::fill(&mut bytes)?;
    Ok(format!(
        "{TOKEN_PREFIX}{}",
        BASE64_URL_SAFE_NO_PAD.encode(bytes)
    ))
}

/// The caller of a call.
pub(crate) fn caller(engine: &impl Engine, metadata: &MetadataMap) -> Result<Caller, Status> {
    let Some(value) = metadata.get("authorization") else {
        return Err(unauthenticated(
            "TOKEN_MISSING",
            "a call carries `authorization: Bearer <token>`",
        ));
    };
    let token = value
        .to_str()
        .ok()
        .and_then(|text| text.split_at_checked(SCHEME.len()))
        .filter(|(scheme, _)| scheme.eq_ignore_ascii_case(SCHEME))
        .map(|(_, token)| token.trim());
    let Some(token) = token else {
        return Err(unauthenticated(
            "TOKEN_MALFORMED",
            "the authorization is not `Bearer <token>`",
        ));
    };
    engine
        .caller(&token_hash(token))
        .ok_or_else(|| unauthenticated("TOKEN_UNKNOWN", "no such token, or it is revoked"))
}

fn unauthenticated(reason: &str, message: &str) -> Status {
    Failure::new(Code::Unauthenticated, reason, message).into()
}

/// The participant that calls; nobody else may.
pub(crate) fn participant(caller: Caller) -> Result<Bic, Status> {
    match caller {
        Caller::Participant(bic) => Ok(bic),
        Caller::Agent(_) | Caller::Operator | Caller::Treasury | Caller::Auditor => {
            Err(denied("only a participant may do this, for itself"))
        }
    }
}

/// Whose data the caller reads: `None` is everyone's.
pub(crate) fn reads_for(caller: Caller) -> Result<Option<Bic>, Status> {
    match caller {
        Caller::Participant(bic) => Ok(Some(bic)),
        Caller::Operator | Caller::Treasury | Caller::Auditor => Ok(None),
        Caller::Agent(_) => Err(denied(
            "a settlement agent does not read participants' data",
        )),
    }
}

/// Lets in who may follow the journal: every content is in it, and the seeds behind every commitment.
pub(crate) fn follows_journal(caller: Caller) -> Result<(), Status> {
    match caller {
        Caller::Operator | Caller::Auditor => Ok(()),
        Caller::Participant(_) | Caller::Agent(_) | Caller::Treasury => Err(denied(
            "only an auditor or the operator follows the journal",
        )),
    }
}

/// The same as [`reads_for`], narrowed to the participant that the request names, if it names one.
pub(crate) fn reads_named(caller: Caller, named: Option<Bic>) -> Result<Option<Bic>, Status> {
    match (reads_for(caller)?, named) {
        (Some(own), Some(named)) if own != named => Err(denied(format!(
            "{own} reads only its own data, not that of {named}"
        ))),
        (own, named) => Ok(own.or(named)),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::testing::{BANK_A, BANK_B, Double, bic};
    use tonic_types::StatusExt;

    #[test]
    fn tokens_are_looked_up_by_their_hash() {
        let engine = Double::default().with_token("vt_a", Caller::Participant(bic(BANK_A)));
        let check = |authorization: Option<&str>, expected: &str| {
            let mut metadata = MetadataMap::new();
            if let Some(text) = authorization {
                metadata.insert("authorization", text.parse().unwrap());
            }
            let found = match caller(&engine, &metadata) {
                Ok(caller) => format!("{caller:?}"),
                Err(status) => {
                    assert_eq!(status.code(), Code::Unauthenticated);
                    status
                        .get_error_details()
                        .error_info()
                        .unwrap()
                        .reason
                        .clone()
                }
            };
            assert_eq!(found, expected, "{authorization:?}");
        };
        check(Some("Bearer vt_a"), "Participant(AAAAUS33)");
        check(Some("bearer vt_a"), "Participant(AAAAUS33)");
        check(Some("Bearer vt_b"), "TOKEN_UNKNOWN");
        check(Some("Bearer "), "TOKEN_UNKNOWN");
        check(Some("Basic vt_a"), "TOKEN_MALFORMED");
        check(Some("vt_a"), "TOKEN_MALFORMED");
        check(None, "TOKEN_MISSING");
    }

    #[test]
    fn tokens_are_random() {
        let [one, other] = [new_token().unwrap(), new_token().unwrap()];
        assert_ne!(one, other);
        assert_eq!(one.len(), TOKEN_PREFIX.len() + 43);
        assert!(one.starts_with(TOKEN_PREFIX));
    }

    #[test]
    fn a_participant_reads_only_its_own() {
        let (a, b) = (bic(BANK_A), bic(BANK_B));
        let bank = Caller::Participant(a);
        assert_eq!(reads_named(bank, None).unwrap(), Some(a));
        assert_eq!(reads_named(bank, Some(a)).unwrap(), Some(a));
        assert_eq!(
            reads_named(bank, Some(b)).unwrap_err().code(),
            Code::PermissionDenied
        );
        assert_eq!(reads_named(Caller::Treasury, Some(b)).unwrap(), Some(b));
        assert_eq!(reads_named(Caller::Operator, None).unwrap(), None);
        assert!(reads_named(Caller::Agent(a), Some(a)).is_err());
        assert_eq!(reads_named(Caller::Auditor, Some(b)).unwrap(), Some(b));
        assert!(participant(Caller::Operator).is_err());
        assert!(participant(Caller::Auditor).is_err());
    }
}
