//! `valuta witness`: cosigns other parties' logs (C2SP tlog-witness). With `--validate` it follows a scheme's
//! journal from its server and decides everything again before it cosigns that scheme's log.

use super::config::{LISTEN_WITNESS_DEFAULT, Tls};
use super::log::{log_origin, open_keys, unix_seconds};
use super::up::{read_tls, signal};
use super::{copying, validating};
use crate::client::Options;
use crate::output::causes;
use anyhow::{Context as _, anyhow, bail};
use std::fs::DirBuilder;
use std::net::SocketAddr;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use tokio::net::TcpListener;
use tonic::service::Routes;
use valuta_gateway::serve::{connections, server};
use valuta_keys::{KeyKind, StoredKey};
use valuta_verify::{Policy, VerifierKey};
use valuta_witness::{Rate, Validator, Witness, WitnessConfig, router};

/// After this a connection ends, once the requests under way are answered: a silent one is not held for ever.
const CONNECTION_AGE_MAX: Duration = Duration::from_secs(300);

/// What `valuta witness` takes.
#[derive(clap::Args, Clone, Debug)]
pub struct WitnessArgs {
    /// Where the witness keeps its key and what it has cosigned
    #[arg(long, env = "VALUTA_DATA")]
    data: PathBuf,
    /// Policy file whose `log` lines are the logs that are cosigned
    #[arg(long, env = "VALUTA_LOGS", value_name = "FILE")]
    logs: PathBuf,
    /// The witness's name, such as example.bank/witness: given at the first start
    #[arg(long, env = "VALUTA_WITNESS_NAME")]
    name: Option<String>,
    /// Address to serve on; port 0 takes a free one
    #[arg(long, env = "VALUTA_LISTEN", default_value = LISTEN_WITNESS_DEFAULT)]
    listen: SocketAddr,
    /// Checkpoints a second that each log may have cosigned; 0 does not limit
    #[arg(long, env = "VALUTA_WITNESS_RATE", default_value = "10")]
    rate: u32,
    /// File with the key's passphrase [default: keys.passphrase beside it, made at the first start]
    #[arg(long, env = "VALUTA_PASSPHRASE_FILE")]
    passphrase_file: Option<PathBuf>,
    /// PEM file with the server's certificate chain; without TLS only loopback is served
    #[arg(long, env = "VALUTA_TLS_CERT", requires = "tls_key")]
    tls_cert: Option<PathBuf>,
    /// PEM file with the certificate's key
    #[arg(long, env = "VALUTA_TLS_KEY", requires = "tls_cert")]
    tls_key: Option<PathBuf>,
    /// Follow the journal of the scheme at --server, with an auditor's token (--token-file), decide it again, and
    /// cosign its log only if that leads to the same root; what is wrong is published. Other logs are checked for
    /// consistency alone. The witness is of the engines' version
    #[arg(long, env = "VALUTA_WITNESS_VALIDATE")]
    validate: bool,
}

/// What is done beside consistency.
struct Validating {
    validator: Option<Arc<dyn Validator>>,
    /// Completes with the reason when it cannot be done any more.
    lost: Pin<Box<dyn Future<Output = anyhow::Error> + Send>>,
}

/// Serves until a signal ends it.
pub async fn witness(args: WitnessArgs, options: &Options) -> ExitCode {
    tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_ansi(false)
        .init();
    match serve(args, options).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {}", causes(&error));
            ExitCode::FAILURE
        }
    }
}

async fn serve(args: WitnessArgs, options: &Options) -> anyhow::Result<()> {
    let tls = match (args.tls_cert.clone(), args.tls_key.clone()) {
        (Some(cert), Some(key)) => Some(read_tls(&Tls { cert, key })?),
        _ if args.listen.ip().is_loopback() => None,
        _ => bail!(
            "listen: {} is not loopback, and without TLS only loopback is served",
            args.listen
        ),
    };
    let logs = read_logs(&args.logs)?;
    let key = key(&args)?;
    let Validating { validator, lost } = validating(&args, options, &logs).await?;
    let witness = open(&args, &key, &logs, validator)?;
    let listener = TcpListener::bind(args.listen)
        .await
        .with_context(|| format!("listen: {}", args.listen))?;
    let address = listener.local_addr()?;
    let mut routes = Routes::default();
    *routes.axum_router_mut() = router(Arc::new(witness));
    let scheme = if tls.is_some() { "https" } else { "http" };
    println!("listening {address}");
    println!("witness {} {} {scheme}://{address}", key.name(), key.vkey());
    let mut failed = Ok(());
    let stopped = async {
        tokio::select! {
            signal = signal() => match signal {
                Ok(signal) => tracing::info!(signal, "stopping"),
                Err(error) => failed = Err(error),
            },
            error = lost => failed = Err(error),
        }
    };
    server(tls.as_ref())?
        .max_connection_age(CONNECTION_AGE_MAX)
        .add_routes(routes.prepare())
        .serve_with_incoming_shutdown(connections(listener), stopped)
        .await
        .context("serving")?;
    failed
}

/// Their verifier keys.
fn read_logs(file: &Path) -> anyhow::Result<Vec<VerifierKey>> {
    let text = std::fs::read_to_string(file).with_context(|| file.display().to_string())?;
    let policy = Policy::parse(&text).with_context(|| file.display().to_string())?;
    Ok(policy.logs().iter().map(|log| log.key.clone()).collect())
}

async fn validating(
    args: &WitnessArgs,
    options: &Options,
    logs: &[VerifierKey],
) -> anyhow::Result<Validating> {
    if !args.validate {
        return Ok(Validating::nothing());
    }
    let is_known = |journal| {
        let origin = log_origin(journal);
        match logs.iter().any(|key| key.name() == origin) {
            true => Ok(()),
            false => bail!("logs: none is {origin}, which is the log of the server's journal"),
        }
    };
    let (copy, first) = copying::open(&args.data, options, is_known).await?;
    let journal = copy.source();
    let (validator, follower) =
        validating::validating(journal.id(), journal.lookup(), copy.rehearsal());
    let origin = validator.origin();
    tracing::info!(origin, "validated by its journal");
    for key in logs.iter().filter(|key| key.name() != origin) {
        tracing::info!(origin = key.name(), "checked for consistency alone");
    }
    let validated = validating::start(follower, journal.reader(None)?, journal.watch())?;
    let validator = Arc::new(validator);
    let copied = copy.start(options.clone(), first, Arc::clone(&validator))?;
    Ok(Validating {
        validator: Some(validator),
        lost: Box::pin(async move {
            tokio::select! {
                error = validated => error,
                error = copied => error,
            }
        }),
    })
}

impl Validating {
    fn nothing() -> Self {
        Self {
            validator: None,
            lost: Box::pin(std::future::pending()),
        }
    }
}

fn open(
    args: &WitnessArgs,
    key: &StoredKey,
    logs: &[VerifierKey],
    validator: Option<Arc<dyn Validator>>,
) -> anyhow::Result<Witness> {
    let config = WitnessConfig {
        key: key.clone(),
        logs: logs.iter().map(ToString::to_string).collect(),
        clock: Arc::new(unix_milliseconds),
        rate: (args.rate > 0).then_some(Rate {
            per_second: args.rate,
            burst: args.rate,
        }),
        validator,
    };
    let state = args.data.join("witness.redb");
    Witness::open(&state, config).map_err(|error| anyhow!("{error}"))
}

/// The newest active key; the first one is made at the first start.
fn key(args: &WitnessArgs) -> anyhow::Result<StoredKey> {
    let mut private = DirBuilder::new();
    let made = private.recursive(true).mode(0o700).create(&args.data);
    made.with_context(|| args.data.display().to_string())?;
    let mut ring = open_keys(&args.data, args.passphrase_file.as_deref())?;
    if let Some(key) = ring.active(KeyKind::Witness).last() {
        if let Some(name) = args.name.as_ref().filter(|name| *name != key.name()) {
            bail!(
                "name: the witness's key is named {}, not {name}",
                key.name()
            );
        }
        return Ok(key.clone());
    }
    let name = args.name.as_ref();
    let name =
        name.context("name: missing; the first start makes the witness's key: give --name")?;
    let made = ring.generate(KeyKind::Witness, name, unix_seconds()?);
    Ok(made.map_err(|error| anyhow!("{error}"))?.clone())
}

fn unix_milliseconds() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    since.map_or(0, |since| {
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
    })
}
