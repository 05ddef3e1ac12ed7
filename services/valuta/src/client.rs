//! The connection to a server, and what its errors mean to a person and to a job.

use crate::output::Format;
use clap::Args;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::service::Interceptor;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint};
use tonic::{Code, Request, Status};
use tonic_types::StatusExt;
use valuta_proto::v1;

/// Above the longest answer to a batch of 10,000 refusals.
const MESSAGE_BYTES_MAX: usize = 64 << 20;
/// HTTP/2 windows: a few batches of 1,000 instructions in flight.
const WINDOW_BYTES: u32 = 4 << 20;
/// A server that is gone without a word is noticed after so long.
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(30);
const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(20);
/// Where Debian keeps what the machine trusts; `SSL_CERT_FILE` names another file.
const SYSTEM_CA_FILE: &str = "/etc/ssl/certs/ca-certificates.crt";

/// One line on stderr; that nobody may be reading any more.
pub fn note(line: &str) {
    let _ = writeln!(std::io::stderr(), "{line}");
}

/// Options of every command that talks to a server.
#[derive(Args, Clone)]
pub struct Options {
    /// The server, http:// or https://
    #[arg(
        long,
        global = true,
        env = "VALUTA_SERVER",
        default_value = "http://127.0.0.1:7400"
    )]
    pub server: String,
    /// The caller's token
    #[arg(long, global = true, env = "VALUTA_TOKEN", hide_env_values = true)]
    pub token: Option<String>,
    /// File with the caller's token, read for each connection; before --token
    #[arg(long, global = true, env = "VALUTA_TOKEN_FILE", value_name = "FILE")]
    pub token_file: Option<PathBuf>,
    /// PEM file of certificate authorities to trust instead of the system's
    #[arg(long, global = true, env = "VALUTA_CA", value_name = "FILE")]
    pub ca: Option<PathBuf>,
    /// How answers are printed
    #[arg(long, global = true, value_enum, default_value = "table")]
    pub output: Format,
    /// How long one call may take, in seconds; streams are not limited
    #[arg(long, global = true, default_value = "30", value_name = "SECONDS")]
    pub timeout: u32,
}

/// Why a command did not do what it was asked; each variant is one exit code.
#[derive(Debug, thiserror::Error)]
pub enum CliError {
    /// The command line, or a file that it names, cannot be used.
    #[error("{0}")]
    Usage(String),
    /// The server refused, or something did not verify.
    #[error("{0}")]
    Refused(String),
    /// The server could not be reached, or could not answer: the same command may be run again.
    #[error("{0}")]
    Unavailable(String),
    /// The step's time has not come.
    #[error("{0}")]
    TooEarly(String),
}

impl CliError {
    /// 1 refused, 2 usage, 3 unavailable, 4 too early.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Refused(_) => 1,
            Self::Usage(_) => 2,
            Self::Unavailable(_) => 3,
            Self::TooEarly(_) => 4,
        }
    }

    /// The same, saying of what.
    #[must_use]
    pub fn with_context(self, of: &str) -> Self {
        match self {
            Self::Usage(text) => Self::Usage(format!("{of}: {text}")),
            Self::Refused(text) => Self::Refused(format!("{of}: {text}")),
            Self::Unavailable(text) => Self::Unavailable(format!("{of}: {text}")),
            Self::TooEarly(text) => Self::TooEarly(format!("{of}: {text}")),
        }
    }

    /// One line on stderr.
    pub fn report(&self) {
        note(&format!("error: {self}"));
    }

    /// A file that cannot be read or written.
    pub fn file(path: &Path, error: &std::io::Error) -> Self {
        Self::Usage(format!("{}: {error}", path.display()))
    }
}

impl From<Status> for CliError {
    fn from(status: Status) -> Self {
        let details = status.get_error_details();
        let reason = details.error_info().map(|info| info.reason.clone());
        let field = details
            .bad_request()
            .and_then(|request| request.field_violations.first())
            .map(|violation| violation.field.clone())
            .filter(|field| !field.is_empty());
        let code = reason
            .clone()
            .unwrap_or_else(|| format!("{:?}", status.code()));
        let field = field
            .map(|field| format!(", field {field}"))
            .unwrap_or_default();
        let line = format!("{} ({code}{field})", message_of(&status));
        let may_retry = details.retry_info().is_some();
        match status.code() {
            Code::FailedPrecondition if reason.as_deref() == Some("TOO_EARLY") => {
                Self::TooEarly(line)
            }
            Code::Unavailable | Code::DeadlineExceeded | Code::Cancelled | Code::Aborted => {
                Self::Unavailable(line)
            }
            // A connection that breaks in mid-call arrives as one of these two.
            Code::Unknown | Code::Internal if from_transport(&status) => Self::Unavailable(line),
            Code::ResourceExhausted if may_retry => Self::Unavailable(line),
            _ => Self::Refused(line),
        }
    }
}

fn from_transport(status: &Status) -> bool {
    std::error::Error::source(status).is_some()
}

/// The server's words, or the cause where the transport has none.
fn message_of(status: &Status) -> String {
    let mut message = status.message().to_owned();
    let mut cause = std::error::Error::source(status);
    while let Some(error) = cause {
        let text = error.to_string();
        if !message.contains(&text) {
            message = format!("{message}: {text}");
        }
        cause = error.source();
    }
    if message.is_empty() {
        message = status.code().description().to_owned();
    }
    message
}

/// Adds the token, and the deadline that the server honours too.
#[derive(Clone)]
pub struct Caller {
    authorization: Option<MetadataValue<Ascii>>,
    timeout: Option<Duration>,
}

impl Interceptor for Caller {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        if let Some(authorization) = &self.authorization {
            request
                .metadata_mut()
                .insert("authorization", authorization.clone());
        }
        if let Some(timeout) = self.timeout {
            request.set_timeout(timeout);
        }
        Ok(request)
    }
}

type Link = InterceptedService<Channel, Caller>;

/// A connection of one caller. Cheap to clone; all clones share one HTTP/2 connection.
#[derive(Clone)]
pub struct Connection {
    channel: Channel,
    caller: Caller,
}

/// One method per service: its client with this caller's token, deadline and message limits.
macro_rules! clients {
    ($($method:ident $client:ty: $doc:literal),* $(,)?) => {
        impl Connection {
            $(
                #[doc = $doc]
                pub fn $method(&self) -> $client {
                    let link = InterceptedService::new(self.channel.clone(), self.caller.clone());
                    <$client>::new(link)
                        .max_decoding_message_size(MESSAGE_BYTES_MAX)
                        .max_encoding_message_size(MESSAGE_BYTES_MAX)
                }
            )*
        }
    };
}

clients! {
    payments v1::payment_service_client::PaymentServiceClient<Link>: "For correspondent banks.",
    fx v1::fx_service_client::FxServiceClient<Link>: "Rates and quotes.",
    settlement v1::settlement_service_client::SettlementServiceClient<Link>: "Cycles, movements, batches.",
    treasury v1::treasury_service_client::TreasuryServiceClient<Link>: "Positions and control totals.",
    ledger v1::ledger_service_client::LedgerServiceClient<Link>: "Checkpoints and receipts.",
    audit v1::audit_service_client::AuditServiceClient<Link>: "The journal, for an auditor.",
    admin v1::admin_service_client::AdminServiceClient<Link>: "The scheme and its callers.",
}

impl Connection {
    /// Connects as the command line says.
    ///
    /// # Errors
    /// [`CliError::Usage`] for an address, token or CA file that cannot be used;
    /// [`CliError::Unavailable`] if nobody answers.
    pub async fn open(options: &Options) -> Result<Self, CliError> {
        let connect_timeout = Duration::from_secs(u64::from(options.timeout.max(1)));
        let mut endpoint = Endpoint::from_shared(options.server.clone())
            .map_err(|error| CliError::Usage(format!("--server {}: {error}", options.server)))?
            .connect_timeout(connect_timeout)
            .tcp_nodelay(true)
            .http2_keep_alive_interval(KEEPALIVE_INTERVAL)
            .keep_alive_timeout(KEEPALIVE_TIMEOUT)
            .initial_stream_window_size(WINDOW_BYTES)
            .initial_connection_window_size(WINDOW_BYTES);
        if options.server.starts_with("https://") {
            endpoint = endpoint
                .tls_config(trust(options.ca.as_deref())?)
                .map_err(|error| CliError::Usage(format!("TLS: {error}")))?;
        }
        let channel = endpoint.connect().await.map_err(|error| {
            let cause = innermost(&error);
            CliError::Unavailable(format!(
                "{} cannot be reached: {cause} (UNAVAILABLE)",
                options.server
            ))
        })?;
        let caller = Caller {
            authorization: token(options)?.as_deref().map(bearer).transpose()?,
            timeout: (options.timeout > 0).then_some(connect_timeout),
        };
        Ok(Self { channel, caller })
    }

    /// The same connection without a deadline: for streams that run as long as they have to.
    pub fn unlimited(&self) -> Self {
        let caller = Caller {
            authorization: self.caller.authorization.clone(),
            timeout: None,
        };
        Self {
            channel: self.channel.clone(),
            caller,
        }
    }
}

fn token(options: &Options) -> Result<Option<String>, CliError> {
    let Some(file) = &options.token_file else {
        return Ok(options.token.clone());
    };
    let text = std::fs::read_to_string(file).map_err(|error| CliError::file(file, &error))?;
    Ok(Some(text))
}

fn bearer(token: &str) -> Result<MetadataValue<Ascii>, CliError> {
    let value: Result<MetadataValue<Ascii>, _> = format!("Bearer {}", token.trim()).parse();
    let mut value =
        value.map_err(|_| CliError::Usage("--token: only visible ASCII characters".into()))?;
    value.set_sensitive(true);
    Ok(value)
}

fn trust(ca: Option<&Path>) -> Result<ClientTlsConfig, CliError> {
    let system = std::env::var_os("SSL_CERT_FILE")
        .map_or_else(|| PathBuf::from(SYSTEM_CA_FILE), PathBuf::from);
    let path = ca.unwrap_or(&system);
    let pem = std::fs::read(path).map_err(|error| CliError::file(path, &error))?;
    Ok(ClientTlsConfig::new().ca_certificate(Certificate::from_pem(pem)))
}

fn innermost(error: &dyn std::error::Error) -> String {
    let mut last = error;
    while let Some(cause) = last.source() {
        last = cause;
    }
    last.to_string()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use tonic_types::ErrorDetails;

    #[test]
    fn each_status_has_one_exit_code() {
        let check = |code: Code, reason: &str, retry: bool, exit_code: u8| {
            let mut details = ErrorDetails::new();
            if !reason.is_empty() {
                details.set_error_info(reason, "valuta", []);
            }
            if retry {
                details.set_retry_info(Some(Duration::from_secs(1)));
            }
            let error = CliError::from(Status::with_error_details(code, "because", details));
            assert_eq!(error.exit_code(), exit_code, "{code:?} {reason}");
            assert!(error.to_string().starts_with("because ("), "{error}");
        };
        check(Code::InvalidArgument, "AMOUNT", false, 1);
        check(Code::NotFound, "", false, 1);
        check(Code::AlreadyExists, "DU05", false, 1);
        check(Code::PermissionDenied, "", false, 1);
        check(Code::Unauthenticated, "", false, 1);
        check(Code::FailedPrecondition, "WRONG_STATE", false, 1);
        check(Code::FailedPrecondition, "TOO_EARLY", false, 4);
        check(Code::ResourceExhausted, "", false, 1);
        check(Code::ResourceExhausted, "", true, 3);
        check(Code::Unavailable, "", false, 3);
        check(Code::DeadlineExceeded, "", false, 3);
        check(Code::Internal, "", false, 1);
    }

    #[test]
    fn an_error_names_reason_and_field() {
        let mut details = ErrorDetails::new();
        details.set_error_info("AMOUNT_INVALID", "valuta", []);
        details.add_bad_request_violation("amount", "not a decimal");
        let status = Status::with_error_details(Code::InvalidArgument, "not a decimal", details);
        assert_eq!(
            CliError::from(status).to_string(),
            "not a decimal (AMOUNT_INVALID, field amount)"
        );
    }

    #[test]
    fn a_token_is_one_header_value() {
        assert!(bearer("vt_abc\n").is_ok());
        assert_eq!(bearer("a\nb").unwrap_err().exit_code(), 2);
    }
}
