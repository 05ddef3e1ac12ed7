//! A `valuta up --rehearsal` process on a directory of its own.

use anyhow::{Context, bail};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use tonic::Request;
use tonic::metadata::MetadataValue;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::{Channel, Endpoint};
use valuta_proto::v1;
use valuta_proto::v1::admin_service_client::AdminServiceClient;
use valuta_proto::v1::fx_service_client::FxServiceClient;
use valuta_proto::v1::ledger_service_client::LedgerServiceClient;
use valuta_proto::v1::payment_service_client::PaymentServiceClient;
use valuta_proto::v1::settlement_service_client::SettlementServiceClient;
use valuta_proto::v1::treasury_service_client::TreasuryServiceClient;

/// The program under test, built in the same profile as the test itself.
pub fn valuta() -> PathBuf {
    let test = std::env::current_exe().expect("a test has a file");
    let profile = test
        .ancestors()
        .find(|path| path.join("valuta").is_file())
        .unwrap_or_else(|| {
            panic!(
                "no valuta binary near {}: cargo build -p valuta",
                test.display()
            )
        });
    profile.join("valuta")
}

/// How a server is started.
#[derive(Clone, Debug, Default)]
pub struct ServerOptions {
    /// Runs the program under this one, such as `strace -f ...`.
    pub under: Vec<String>,
    /// Further arguments of `valuta up`.
    pub arguments: Vec<String>,
    /// Live instead of rehearsal: time is the machine's clock.
    pub live: bool,
    /// Where it serves; a free port, if not told.
    pub listen: Option<String>,
}

/// A running server. Dropped, it is killed.
pub struct Server {
    child: Child,
    /// Where it serves.
    pub address: String,
    /// Its data.
    pub data: PathBuf,
}

impl Server {
    /// Starts a rehearsal on `data` and waits until it listens.
    pub fn start(data: &Path) -> anyhow::Result<Self> {
        Self::start_with(data, &ServerOptions::default())
    }

    /// Starts and waits until it listens, or ends: then its last words are the error.
    pub fn start_with(data: &Path, options: &ServerOptions) -> anyhow::Result<Self> {
        let program = valuta();
        let mut words = options.under.clone();
        words.push(program.display().to_string());
        let mut command = Command::new(&words[0]);
        command.args(&words[1..]).arg("up");
        if !options.live {
            command.arg("--rehearsal");
        }
        let log = data.with_extension("log");
        let log_file = std::fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(&log)?;
        let mut child = command
            .args([
                "--listen",
                options.listen.as_deref().unwrap_or("127.0.0.1:0"),
            ])
            .arg("--data")
            .arg(data)
            .args(&options.arguments)
            .stdout(Stdio::piped())
            .stderr(log_file)
            .spawn()
            .with_context(|| format!("starting {words:?}"))?;
        let stdout = child.stdout.take().context("piped")?;
        let mut line = String::new();
        BufReader::new(stdout).read_line(&mut line)?;
        let Some(address) = line.strip_prefix("listening ") else {
            let status = child.wait()?;
            let said = std::fs::read_to_string(&log).unwrap_or_default();
            let last: Vec<_> = said.lines().rev().take(3).collect();
            bail!("the server ended with {status}: {}", last.join(" | "));
        };
        Ok(Self {
            child,
            address: address.trim().to_owned(),
            data: data.to_path_buf(),
        })
    }

    /// The process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Whether the process has not ended.
    pub fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Waits until it has ended by itself; how it did.
    pub fn wait(&mut self) -> anyhow::Result<std::process::ExitStatus> {
        Ok(self.child.wait()?)
    }

    /// What it has logged so far, over all starts on this data.
    pub fn log(data: &Path) -> String {
        std::fs::read_to_string(data.with_extension("log")).unwrap_or_default()
    }

    /// SIGKILL, and waits for the end.
    pub fn kill(&mut self) {
        // It may have ended by itself, which is the same.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// SIGTERM, and waits for the end; its exit code.
    pub fn stop(&mut self) -> anyhow::Result<Option<i32>> {
        let pid = i32::try_from(self.child.id())?;
        Command::new("kill").arg(pid.to_string()).status()?;
        Ok(self.child.wait()?.code())
    }

    /// The first operator's token.
    pub fn operator_token(&self) -> anyhow::Result<String> {
        let path = self.data.join("operator.token");
        let text = std::fs::read_to_string(&path).with_context(|| path.display().to_string())?;
        Ok(text.trim().to_owned())
    }

    /// Clients that carry `token`.
    pub async fn client(&self, token: &str) -> anyhow::Result<Client> {
        Client::connect(&self.address, token).await
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}

type Authorized = InterceptedService<Channel, Bearer>;

/// Adds the token to every call.
#[derive(Clone)]
pub struct Bearer(MetadataValue<tonic::metadata::Ascii>);

impl tonic::service::Interceptor for Bearer {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, tonic::Status> {
        request
            .metadata_mut()
            .insert("authorization", self.0.clone());
        Ok(request)
    }
}

/// Every service, for one caller.
#[derive(Clone)]
#[allow(missing_docs)]
pub struct Client {
    pub payments: PaymentServiceClient<Authorized>,
    pub fx: FxServiceClient<Authorized>,
    pub settlement: SettlementServiceClient<Authorized>,
    pub treasury: TreasuryServiceClient<Authorized>,
    pub ledger: LedgerServiceClient<Authorized>,
    pub admin: AdminServiceClient<Authorized>,
}

impl Client {
    /// A connection of its own.
    pub async fn connect(address: &str, token: &str) -> anyhow::Result<Self> {
        let channel = Endpoint::from_shared(format!("http://{address}"))?
            .initial_stream_window_size(4 << 20)
            .initial_connection_window_size(8 << 20)
            .connect()
            .await?;
        Ok(Self::new(channel, token))
    }

    fn new(channel: Channel, token: &str) -> Self {
        let value = format!("Bearer {token}").parse().expect("a token is ASCII");
        let bearer = Bearer(value);
        let service = || InterceptedService::new(channel.clone(), bearer.clone());
        const BYTES_MAX: usize = 64 << 20;
        Self {
            payments: PaymentServiceClient::new(service())
                .max_decoding_message_size(BYTES_MAX)
                .max_encoding_message_size(BYTES_MAX),
            fx: FxServiceClient::new(service()),
            settlement: SettlementServiceClient::new(service())
                .max_decoding_message_size(BYTES_MAX),
            treasury: TreasuryServiceClient::new(service()).max_decoding_message_size(BYTES_MAX),
            ledger: LedgerServiceClient::new(service()).max_decoding_message_size(BYTES_MAX),
            admin: AdminServiceClient::new(service()).max_decoding_message_size(BYTES_MAX),
        }
    }

    /// Sets a rehearsal's time, from milliseconds since 1970.
    pub async fn set_time(&mut self, ms: i64) -> Result<u64, tonic::Status> {
        let request = v1::SetTimeRequest {
            time: Some(crate::scheme::timestamp(ms)),
            request_id: format!("time-{ms}"),
        };
        Ok(self.admin.set_time(request).await?.into_inner().sequence)
    }
}
