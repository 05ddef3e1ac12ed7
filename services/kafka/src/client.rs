//! What every client of librdkafka shares: its log lines, its errors, its futures.

use std::future::Future;
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context as TaskContext, Poll, Wake, Waker};
use std::thread::{self, Thread};

use rdkafka::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::ConsumerContext;
use rdkafka::error::KafkaError as ClientError;

use crate::error::KafkaError;

/// librdkafka's log goes where ours goes. It reports each broken connection as an error, which it
/// is not: it connects again by itself. A call that waits for a connection that is refused says only
/// that its time is up, so why one was refused is kept.
#[derive(Clone, Debug, Default)]
pub(crate) struct Context {
    refused: Arc<Mutex<Option<String>>>,
}

impl Context {
    /// Why a connection was refused: a certificate or a password.
    pub fn refused(&self) -> Option<String> {
        let refused = self.refused.lock().unwrap_or_else(PoisonError::into_inner);
        refused.clone()
    }
}

impl ClientContext for Context {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, line: &str) {
        forward_log(level, facility, line);
    }

    fn error(&self, error: ClientError, reason: &str) {
        use rdkafka::types::RDKafkaErrorCode::{Authentication, SSL};
        tracing::debug!(%error, "librdkafka: {reason}");
        if matches!(error.rdkafka_error_code(), Some(Authentication | SSL)) {
            let mut refused = self.refused.lock().unwrap_or_else(PoisonError::into_inner);
            *refused = Some(reason.to_owned());
        }
    }
}

impl ConsumerContext for Context {}

pub(crate) fn forward_log(level: RDKafkaLogLevel, facility: &str, line: &str) {
    use RDKafkaLogLevel::{Alert, Critical, Emerg};
    match level {
        Emerg | Alert | Critical => tracing::warn!("librdkafka: {facility} {line}"),
        _ => tracing::debug!("librdkafka: {facility} {line}"),
    }
}

/// A client could not be made: its properties are at fault.
pub(crate) fn not_made(error: ClientError) -> KafkaError {
    match error {
        ClientError::ClientConfig(_, reason, name, value) => {
            KafkaError::Client(format!("{name}={value}: {reason}"))
        }
        other => KafkaError::Client(other.to_string()),
    }
}

pub(crate) fn unavailable(error: &ClientError) -> KafkaError {
    KafkaError::Unavailable(error.to_string())
}

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// Waits on this thread. librdkafka's admin calls are answered from a thread of its own, so that no
/// runtime is needed, and it may be called from a runtime's blocking threads.
pub(crate) fn block_on<F: Future>(future: F) -> F::Output {
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut context = TaskContext::from_waker(&waker);
    let mut future = pin!(future);
    loop {
        match future.as_mut().poll(&mut context) {
            Poll::Ready(output) => return output,
            Poll::Pending => thread::park(),
        }
    }
}

/// librdkafka's offsets are signed; those of messages are not negative.
pub(crate) fn offset(signed: i64) -> u64 {
    u64::try_from(signed).unwrap_or(0)
}

/// An offset as librdkafka takes it.
pub(crate) fn signed(offset: u64) -> i64 {
    i64::try_from(offset).unwrap_or(i64::MAX)
}
