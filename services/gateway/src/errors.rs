//! RPC failures: a gRPC code, and `google.rpc` details that a program can act on (AIP-193).
//!
//! | who must act | code | details |
//! |---|---|---|
//! | the caller: change the request | `INVALID_ARGUMENT`, `OUT_OF_RANGE`, `NOT_FOUND`, `ALREADY_EXISTS` | `ErrorInfo`, `BadRequest` |
//! | the caller: another token | `UNAUTHENTICATED`, `PERMISSION_DENIED` | `ErrorInfo` |
//! | the caller: later, or after something else | `FAILED_PRECONDITION`, `DEADLINE_EXCEEDED` | `ErrorInfo` |
//! | the caller: again, the same way | `UNAVAILABLE`, `RESOURCE_EXHAUSTED` | `ErrorInfo`, `RetryInfo` |
//! | us | `INTERNAL` | `ErrorInfo` |

use crate::ports::{EngineError, FollowError, ReadError};
use crate::rejection;
use chrono::{DateTime, SecondsFormat};
use settlement_core::command::Refusal;
use settlement_core::ids::Timestamp;
use std::collections::BTreeMap;
use std::time::Duration;
use tonic::{Code, Status};
use tonic_types::{BadRequest, ErrorDetail, ErrorInfo, FieldViolation, RetryInfo, StatusExt};

/// `ErrorInfo.domain` of every failure.
pub const ERROR_DOMAIN: &str = "valuta";
/// When to come back to something that starts, stops or catches up.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// A failure on its way to become a [`Status`].
#[derive(Debug)]
pub(crate) struct Failure {
    code: Code,
    reason: String,
    message: String,
    field: Option<String>,
    metadata: BTreeMap<String, String>,
    retry_after: Option<Duration>,
}

impl Failure {
    /// `reason` is UPPER_SNAKE and never changes; `message` is for people and may.
    pub(crate) fn new(code: Code, reason: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            code,
            reason: reason.into(),
            message: message.into(),
            field: None,
            metadata: BTreeMap::new(),
            retry_after: None,
        }
    }

    /// Names the request's field at fault.
    pub(crate) fn field(mut self, path: impl Into<String>) -> Self {
        let path = path.into();
        self.metadata.insert("field".into(), path.clone());
        self.field = Some(path);
        self
    }

    /// Adds the ISO 20022 reason code.
    pub(crate) fn iso(self, code: &str) -> Self {
        self.with("iso_code", code)
    }

    pub(crate) fn with(mut self, key: &str, value: impl Into<String>) -> Self {
        self.metadata.insert(key.into(), value.into());
        self
    }

    fn retry_after(mut self, delay: Duration) -> Self {
        self.retry_after = Some(delay);
        self
    }
}

impl From<Failure> for Status {
    fn from(failure: Failure) -> Self {
        metrics::counter!("valuta_rpc_failures_total", "reason" => failure.reason.clone())
            .increment(1);
        let mut info = ErrorInfo::new(failure.reason, ERROR_DOMAIN, []);
        info.metadata.extend(failure.metadata);
        let mut details: Vec<ErrorDetail> = vec![info.into()];
        if let Some(field) = failure.field {
            let violation = FieldViolation::new(field, failure.message.clone());
            details.push(BadRequest::new(vec![violation]).into());
        }
        if failure.retry_after.is_some() {
            details.push(RetryInfo::new(failure.retry_after).into());
        }
        Self::with_error_details_vec(failure.code, failure.message, details)
    }
}

/// A field that is not of its form.
pub(crate) fn invalid(field: &str, why: impl AsRef<str>) -> Status {
    let message = format!("{field}: {}", why.as_ref());
    Failure::new(Code::InvalidArgument, "FIELD_INVALID", message)
        .field(field)
        .into()
}

/// A field that must be there.
pub(crate) fn missing(field: &str) -> Status {
    Failure::new(
        Code::InvalidArgument,
        "FIELD_MISSING",
        format!("{field} is required"),
    )
    .field(field)
    .into()
}

/// Nothing has this name.
pub(crate) fn not_found(field: &str, why: impl AsRef<str>) -> Status {
    let message = format!("{field}: {}", why.as_ref());
    Failure::new(Code::NotFound, "NOT_FOUND", message)
        .field(field)
        .into()
}

/// The caller may not do this.
pub(crate) fn denied(why: impl Into<String>) -> Status {
    Failure::new(Code::PermissionDenied, "NOT_PERMITTED", why).into()
}

/// What was waited for did not come in time.
pub(crate) fn deadline(awaited: &str) -> Status {
    let message = format!("{awaited} did not come before the deadline");
    Failure::new(Code::DeadlineExceeded, "DEADLINE_EXCEEDED", message).into()
}

/// The server ends its streams; the caller may resume elsewhere or later.
pub(crate) fn stopping() -> Status {
    Failure::new(
        Code::Unavailable,
        "STOPPING",
        "the server is stopping; resume after a moment",
    )
    .retry_after(RETRY_AFTER)
    .into()
}

/// As much of this as is done at once is under way.
pub(crate) fn busy(why: impl Into<String>) -> Status {
    Failure::new(Code::ResourceExhausted, "BUSY", why)
        .retry_after(RETRY_AFTER)
        .into()
}

/// Ours: an answer that is not of its question.
pub(crate) fn internal(what: &str) -> Status {
    tracing::error!(what, "internal error");
    Failure::new(Code::Internal, "INTERNAL", what).into()
}

/// The engine took nothing.
pub(crate) fn engine(error: EngineError) -> Status {
    match error {
        EngineError::Unavailable {
            retry_after_ms,
            reason,
        } => Failure::new(Code::Unavailable, "ENGINE_UNAVAILABLE", reason)
            .retry_after(Duration::from_millis(u64::from(retry_after_ms)))
            .into(),
        EngineError::Stopped => Failure::new(
            Code::Unavailable,
            "ENGINE_STOPPED",
            "the engine has stopped; what was answered is kept",
        )
        .retry_after(RETRY_AFTER)
        .into(),
        EngineError::ReadOnly => Failure::new(
            Code::FailedPrecondition,
            "READ_ONLY",
            "this service takes no writes: send them to a gateway",
        )
        .into(),
    }
}

/// The read model or the ledger did not answer.
pub(crate) fn reads(error: ReadError) -> Status {
    match error {
        ReadError::Unavailable(why) => Failure::new(Code::Unavailable, "READS_UNAVAILABLE", why)
            .retry_after(RETRY_AFTER)
            .into(),
        ReadError::Failed(why) => {
            tracing::error!(why, "a read failed");
            Failure::new(
                Code::Internal,
                "READS_FAILED",
                "a read failed; see the server's log",
            )
            .into()
        }
    }
}

/// The journal is not followed, or not any further.
pub(crate) fn follow(error: FollowError) -> Status {
    let unavailable = |reason, why: String| {
        let failure = Failure::new(Code::Unavailable, reason, why);
        failure.retry_after(RETRY_AFTER).into()
    };
    match error {
        FollowError::OtherHistory(why) => {
            Failure::new(Code::FailedPrecondition, "NOT_IN_JOURNAL", why).into()
        }
        FollowError::Behind(why) => unavailable("JOURNAL_BEHIND", why),
        FollowError::Closed(why) => unavailable("JOURNAL_CLOSED", why),
        FollowError::Failed(why) => {
            tracing::error!(why, "the journal cannot be read");
            Failure::new(
                Code::Internal,
                "JOURNAL_FAILED",
                "the journal cannot be read; see the server's log",
            )
            .into()
        }
    }
}

/// A command that the core refused; nothing of it was journaled.
pub(crate) fn refusal(refusal: &Refusal) -> Status {
    let message = refusal.to_string();
    let failure = |code, reason: &str| Failure::new(code, reason, message.clone());
    match refusal {
        Refusal::NotPermitted(_) => failure(Code::PermissionDenied, "NOT_PERMITTED"),
        Refusal::RequestIdReused(_) => failure(Code::AlreadyExists, "REQUEST_ID_REUSED")
            .field("request_id")
            .iso("DU05"),
        Refusal::CreatedOutOfRange(_) => failure(Code::InvalidArgument, "CREATED_OUT_OF_RANGE")
            .field("created")
            .iso("DT02"),
        Refusal::NotFound { field, .. } => failure(Code::NotFound, "NOT_FOUND").field(field),
        Refusal::Invalid { field, .. } => {
            failure(Code::InvalidArgument, "FIELD_INVALID").field(field)
        }
        Refusal::WrongState(_) => failure(Code::FailedPrecondition, "WRONG_STATE"),
        Refusal::TooEarly { what, not_before } => {
            let not_before = instant(*not_before);
            let message = format!("too early: {what} not before {not_before}");
            Failure::new(Code::FailedPrecondition, "TOO_EARLY", message)
                .with("not_before", not_before)
        }
        Refusal::RunUnderWay => failure(Code::FailedPrecondition, "TOO_EARLY"),
        Refusal::Rejected(rejected) => {
            let wire = rejection::to_wire(rejected);
            Failure::new(Code::FailedPrecondition, wire.reason, wire.detail).iso(rejected.code())
        }
    }
    .into()
}

/// RFC 3339 in UTC with milliseconds.
pub(crate) fn instant(time: Timestamp) -> String {
    DateTime::from_timestamp_millis(time.0).map_or_else(
        || format!("{} ms", time.0),
        |time| time.to_rfc3339_opts(SecondsFormat::Millis, true),
    )
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use settlement_core::instruction::ShortText;
    use settlement_core::rejection::Rejection;

    /// `CODE REASON field iso`
    fn shown(status: &Status) -> String {
        let details = status.get_error_details();
        let info = details.error_info().unwrap();
        assert_eq!(info.domain, ERROR_DOMAIN);
        let of = |key: &str| {
            info.metadata
                .get(key)
                .map_or("-", String::as_str)
                .to_owned()
        };
        if let Some(request) = details.bad_request() {
            assert_eq!(request.field_violations[0].field, of("field"));
        }
        format!(
            "{:?} {} {} {}",
            status.code(),
            info.reason,
            of("field"),
            of("iso_code")
        )
    }

    #[test]
    fn refusals_have_their_codes() {
        let text = || "x".to_owned();
        let id = ShortText::parse(b"R1").unwrap();
        let cases = [
            (
                Refusal::NotPermitted(text()),
                "PermissionDenied NOT_PERMITTED - -",
            ),
            (
                Refusal::RequestIdReused(id),
                "AlreadyExists REQUEST_ID_REUSED request_id DU05",
            ),
            (
                Refusal::CreatedOutOfRange("x".to_owned()),
                "InvalidArgument CREATED_OUT_OF_RANGE created DT02",
            ),
            (
                Refusal::NotFound {
                    field: "cycle".into(),
                    reason: text(),
                },
                "NotFound NOT_FOUND cycle -",
            ),
            (
                Refusal::Invalid {
                    field: "rate".into(),
                    reason: text(),
                },
                "InvalidArgument FIELD_INVALID rate -",
            ),
            (
                Refusal::WrongState(text()),
                "FailedPrecondition WRONG_STATE - -",
            ),
            (
                Refusal::TooEarly {
                    what: "close".to_owned(),
                    not_before: Timestamp(0),
                },
                "FailedPrecondition TOO_EARLY - -",
            ),
            (
                Refusal::Rejected(Rejection::BalanceInsufficient),
                "FailedPrecondition BALANCE_INSUFFICIENT - AM04",
            ),
        ];
        for (refused, expected) in cases {
            assert_eq!(shown(&refusal(&refused)), expected, "{refused:?}");
        }
    }

    #[test]
    fn too_early_says_when() {
        let refused = Refusal::TooEarly {
            what: "close".to_owned(),
            not_before: Timestamp(1_795_190_400_000),
        };
        let status = refusal(&refused);
        let details = status.get_error_details();
        let not_before = &details.error_info().unwrap().metadata["not_before"];
        assert_eq!(not_before, "2026-11-20T16:00:00.000Z");
        assert!(status.message().contains(not_before));
    }

    #[test]
    fn unavailable_says_when_to_retry() {
        let status = engine(EngineError::Unavailable {
            retry_after_ms: 250,
            reason: "the disk is full".into(),
        });
        assert_eq!(shown(&status), "Unavailable ENGINE_UNAVAILABLE - -");
        let details = status.get_error_details();
        let delay = details.retry_info().unwrap().retry_delay.unwrap();
        assert_eq!(delay, Duration::from_millis(250));
        for status in [
            engine(EngineError::Stopped),
            stopping(),
            busy("x"),
            reads(ReadError::Unavailable("x".into())),
        ] {
            assert!(status.get_error_details().retry_info().is_some());
        }
    }
}
