//! How long a call may wait: its `grpc-timeout`, or ten seconds.

use crate::errors;
use std::future::Future;
use std::time::Duration;
use tokio::time::{Instant, timeout_at};
use tonic::Status;
use tonic::metadata::MetadataMap;

/// Of a call that names no deadline.
pub const WAIT_DEFAULT: Duration = Duration::from_secs(10);
/// Of a wait whatever the caller asks for: a year is forever, and an `Instant` still holds it.
const WAIT_MAX: Duration = Duration::from_secs(365 * 24 * 3600);
/// The answer that names what did not come must reach the caller before its own deadline does.
const ANSWER_MARGIN_MAX: Duration = Duration::from_millis(200);

/// When a call stops waiting.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Deadline(Instant);

impl Deadline {
    pub(crate) fn of(metadata: &MetadataMap) -> Self {
        let timeout = metadata
            .get("grpc-timeout")
            .and_then(|value| parse(value.as_encoded_bytes()));
        let wait = timeout.map_or(WAIT_DEFAULT, |timeout| {
            timeout - ANSWER_MARGIN_MAX.min(timeout / 10)
        });
        Self(Instant::now() + wait)
    }

    /// Waits for `future`; `awaited` names it if it does not come in time.
    pub(crate) async fn wait<T>(
        self,
        awaited: &str,
        future: impl Future<Output = T>,
    ) -> Result<T, Status> {
        timeout_at(self.0, future)
            .await
            .map_err(|_| errors::deadline(awaited))
    }
}

/// `TimeoutValue TimeoutUnit`: at most 8 digits and one of `HMSmun` (gRPC over HTTP/2).
fn parse(value: &[u8]) -> Option<Duration> {
    let (unit, digits) = value.split_last()?;
    if digits.is_empty() || digits.len() > 8 || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let number: u64 = std::str::from_utf8(digits).ok()?.parse().ok()?;
    let duration = match unit {
        b'H' => Duration::from_secs(number * 3600),
        b'M' => Duration::from_secs(number * 60),
        b'S' => Duration::from_secs(number),
        b'm' => Duration::from_millis(number),
        b'u' => Duration::from_micros(number),
        b'n' => Duration::from_nanos(number),
        _ => return None,
    };
    Some(duration.min(WAIT_MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_grpc_timeouts() {
        for (text, expected) in [
            ("5S", Some(Duration::from_secs(5))),
            ("250m", Some(Duration::from_millis(250))),
            ("2M", Some(Duration::from_secs(120))),
            ("99999999H", Some(WAIT_MAX)),
            ("7u", Some(Duration::from_micros(7))),
            ("7n", Some(Duration::from_nanos(7))),
            ("", None),
            ("S", None),
            ("5", None),
            ("-5S", None),
            ("123456789S", None),
            ("5s", None),
        ] {
            assert_eq!(parse(text.as_bytes()), expected, "{text}");
        }
    }

    #[tokio::test]
    async fn names_what_did_not_come() {
        let mut metadata = MetadataMap::new();
        metadata.insert("grpc-timeout", "20m".parse().expect("ASCII"));
        let waited = Deadline::of(&metadata)
            .wait("sequence 9", std::future::pending::<()>())
            .await;
        let status = waited.expect_err("it never comes");
        assert_eq!(status.code(), tonic::Code::DeadlineExceeded);
        assert!(status.message().contains("sequence 9"));
    }
}
