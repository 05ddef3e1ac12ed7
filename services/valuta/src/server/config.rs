//! The server's configuration: one TOML file, then `VALUTA_*`, then flags; the later wins.

use serde::Deserialize;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Where the server listens if nothing says otherwise.
pub(crate) const LISTEN_DEFAULT: &str = "127.0.0.1:7400";

/// Where a witness listens if nothing says otherwise.
pub(super) const LISTEN_WITNESS_DEFAULT: &str = "127.0.0.1:7450";

/// Journal between two snapshots if nothing says otherwise, 256 MiB: what is replayed in a few seconds.
const SNAPSHOT_EVERY_KIB_DEFAULT: u32 = 256 << 10;

/// From one re-hashing of the log to the next if nothing says otherwise.
const SCRUB_EVERY_SECONDS_DEFAULT: u32 = 3_600;

/// What `valuta up` takes. Everything but `--config` may stand in the file too.
#[derive(clap::Args, Clone, Debug, Default)]
pub struct UpArgs {
    /// TOML file; flags and VALUTA_* go before it
    #[arg(long, env = "VALUTA_CONFIG")]
    pub config: Option<PathBuf>,
    /// Where the server keeps its data
    #[arg(long, env = "VALUTA_DATA")]
    pub data: Option<PathBuf>,
    /// Address to serve on; port 0 takes a free one [default: 127.0.0.1:7400]
    #[arg(long, env = "VALUTA_LISTEN")]
    pub listen: Option<String>,
    /// Time only from SetTime; fixed at the first start
    #[arg(long, env = "VALUTA_REHEARSAL")]
    pub rehearsal: bool,
    /// PEM file with the server's certificate chain; without TLS only loopback is served
    #[arg(long, env = "VALUTA_TLS_CERT")]
    pub tls_cert: Option<PathBuf>,
    /// PEM file with the certificate's key
    #[arg(long, env = "VALUTA_TLS_KEY")]
    pub tls_key: Option<PathBuf>,
    /// Do not answer gRPC reflection (for production)
    #[arg(long, env = "VALUTA_NO_REFLECTION")]
    pub no_reflection: bool,
    /// What to log, as RUST_LOG [default: info]
    #[arg(long, env = "VALUTA_LOG")]
    pub log: Option<String>,
    /// Log lines as JSON
    #[arg(long, env = "VALUTA_LOG_JSON")]
    pub log_json: bool,
    /// Take a snapshot after so many KiB of journal, for a quick start [default: 262144]
    #[arg(long, env = "VALUTA_SNAPSHOT_EVERY_KIB")]
    pub snapshot_every_kib: Option<u32>,
    /// Re-hash the whole log, so many seconds after the last time [default: 3600]
    #[arg(long, env = "VALUTA_SCRUB_EVERY_SECONDS")]
    pub scrub_every_seconds: Option<u32>,
    /// Policy file (C2SP tlog-policy): the witnesses that are asked to cosign the log, and their quorum
    #[arg(long, env = "VALUTA_WITNESSES")]
    pub witnesses: Option<PathBuf>,
    /// File with the passphrase of the ledger's keys [default: keys.passphrase beside them, made at the first start]
    #[arg(long, env = "VALUTA_PASSPHRASE_FILE")]
    pub passphrase_file: Option<PathBuf>,
    /// Neither read model nor ledger: what intake costs alone is measured so
    #[arg(long, hide = true)]
    pub without_followers: bool,
}

/// The file. Unknown keys are errors: a misspelt limit must not be a silent default.
#[derive(Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub(crate) struct File {
    pub data: Option<PathBuf>,
    listen: Option<String>,
    #[serde(default)]
    pub rehearsal: bool,
    reflection: Option<bool>,
    tls: Option<Tls>,
    log: Option<String>,
    #[serde(default)]
    log_json: bool,
    snapshot_every_kib: Option<u32>,
    scrub_every_seconds: Option<u32>,
    witnesses: Option<PathBuf>,
    passphrase_file: Option<PathBuf>,
    /// Of the services that run alone.
    #[cfg(feature = "cluster")]
    pub kafka: Option<super::cluster::KafkaFile>,
    #[cfg(feature = "cluster")]
    pub postgres: Option<super::cluster::PostgresFile>,
    #[cfg(feature = "cluster")]
    pub link: Option<super::cluster::LinkFile>,
}

/// Both files, or no TLS.
#[derive(Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub(crate) struct Tls {
    pub cert: PathBuf,
    pub key: PathBuf,
}

/// A whole configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Config {
    pub data: PathBuf,
    pub listen: SocketAddr,
    pub rehearsal: bool,
    pub reflection: bool,
    pub tls: Option<Tls>,
    pub log: String,
    pub log_json: bool,
    pub snapshot_every_bytes: u64,
    pub scrub_every: Duration,
    pub witnesses: Option<PathBuf>,
    pub passphrase_file: Option<PathBuf>,
    pub without_followers: bool,
}

/// All that is wrong, each with its key.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", .0.join("\n"))]
pub(crate) struct ConfigErrors(pub Vec<String>);

impl Config {
    /// Puts file, environment and flags together; names everything that is wrong at once.
    pub fn load(args: UpArgs) -> Result<Self, ConfigErrors> {
        let file = File::of(&args)?;
        merge(args, file)
    }
}

impl File {
    /// The file that the arguments name; an empty one if they name none.
    pub fn of(args: &UpArgs) -> Result<Self, ConfigErrors> {
        match &args.config {
            Some(path) => read(path),
            None => Ok(Self::default()),
        }
    }
}

fn read(path: &Path) -> Result<File, ConfigErrors> {
    let text = std::fs::read_to_string(path)
        .map_err(|error| ConfigErrors(vec![format!("{}: {error}", path.display())]))?;
    parse(&text).map_err(|error| ConfigErrors(vec![format!("{}: {error}", path.display())]))
}

fn parse(text: &str) -> Result<File, String> {
    toml::from_str(text).map_err(|error| error.to_string().trim().replace('\n', "\n  "))
}

pub(crate) fn merge(args: UpArgs, file: File) -> Result<Config, ConfigErrors> {
    let mut errors = Vec::new();
    let listen = args.listen.or(file.listen);
    let listen = listen.as_deref().unwrap_or(LISTEN_DEFAULT);
    let listen = listen.parse::<SocketAddr>().unwrap_or_else(|_| {
        errors.push(format!(
            "listen: {listen:?} is not an address and port, such as {LISTEN_DEFAULT}"
        ));
        SocketAddr::from(([127, 0, 0, 1], 0))
    });
    let data = args.data.or(file.data).unwrap_or_else(|| {
        errors.push("data: missing; give --data DIR, VALUTA_DATA, or data in the file".to_owned());
        PathBuf::new()
    });
    let tls = match (args.tls_cert, args.tls_key) {
        (Some(cert), Some(key)) => Some(Tls { cert, key }),
        (None, None) => file.tls,
        _ => {
            errors.push("tls: needs both tls-cert and tls-key".to_owned());
            None
        }
    };
    for path in tls.iter().flat_map(|tls| [&tls.cert, &tls.key]) {
        if let Err(error) = std::fs::File::open(path) {
            errors.push(format!("tls: {}: {error}", path.display()));
        }
    }
    if tls.is_none() && !listen.ip().is_loopback() {
        errors.push(format!(
            "listen: {listen} is not loopback, and without TLS only loopback is served"
        ));
    }
    let log = args.log.or(file.log).unwrap_or_else(|| "info".to_owned());
    if let Err(error) = tracing_subscriber::EnvFilter::try_new(&log) {
        errors.push(format!("log: {error}"));
    }
    let named = [
        (
            "witnesses",
            args.witnesses.as_ref().or(file.witnesses.as_ref()),
        ),
        (
            "passphrase_file",
            args.passphrase_file
                .as_ref()
                .or(file.passphrase_file.as_ref()),
        ),
    ];
    for (key, path) in named {
        if let Some(Err(error)) = path.map(std::fs::File::open) {
            let path = path.map(|path| path.display().to_string());
            errors.push(format!("{key}: {}: {error}", path.unwrap_or_default()));
        }
    }
    let every_kib = args.snapshot_every_kib.or(file.snapshot_every_kib);
    let every_kib = every_kib.unwrap_or(SNAPSHOT_EVERY_KIB_DEFAULT);
    if every_kib == 0 {
        errors.push("snapshot_every_kib: 0 is not a distance; at least 1".to_owned());
    }
    let every_seconds = args.scrub_every_seconds.or(file.scrub_every_seconds);
    let every_seconds = every_seconds.unwrap_or(SCRUB_EVERY_SECONDS_DEFAULT);
    if every_seconds == 0 {
        errors.push("scrub_every_seconds: 0 is no pause; at least 1".to_owned());
    }
    if !errors.is_empty() {
        return Err(ConfigErrors(errors));
    }
    Ok(Config {
        data,
        listen,
        rehearsal: args.rehearsal || file.rehearsal,
        reflection: !args.no_reflection && file.reflection.unwrap_or(true),
        tls,
        log,
        log_json: args.log_json || file.log_json,
        snapshot_every_bytes: u64::from(every_kib) << 10,
        scrub_every: Duration::from_secs(u64::from(every_seconds)),
        witnesses: args.witnesses.or(file.witnesses),
        passphrase_file: args.passphrase_file.or(file.passphrase_file),
        without_followers: args.without_followers,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A file's text, and what is said of it: the data directory, or the errors.
    fn check(text: &str, expected: &[&str]) {
        let said = match parse(text) {
            Err(error) => vec![error],
            Ok(file) => match merge(UpArgs::default(), file) {
                Ok(config) => vec![config.data.display().to_string()],
                Err(ConfigErrors(errors)) => errors,
            },
        };
        assert_eq!(said.len(), expected.len(), "{text}: {said:?}");
        for (said, expected) in said.iter().zip(expected) {
            assert!(said.contains(expected), "{text}: {said}");
        }
    }

    #[test]
    fn every_error_is_named() {
        check("data = \"d\"", &["d"]);
        check("", &["data: missing"]);
        check(
            "data = \"d\"\nlisten = \"nowhere\"",
            &["listen: \"nowhere\""],
        );
        check(
            "data = \"d\"\nlisten = \"0.0.0.0:1\"",
            &["only loopback is served"],
        );
        check("listen = \"x\"", &["listen:", "data: missing"]);
        check("data = \"d\"\nlog = \"valuta=loud\"", &["log:"]);
        check(
            "data = \"d\"\nsnapshot_every_kib = 0",
            &["snapshot_every_kib: 0"],
        );
        check(
            "data = \"d\"\nscrub_every_seconds = 0",
            &["scrub_every_seconds: 0"],
        );
        check("dat = \"d\"", &["unknown field `dat`"]);
        check(
            "data = \"d\"\n[tls]\ncert = \"c\"",
            &["missing field `key`"],
        );
        check(
            "data = \"d\"\n[tls]\ncert = \"/no/c\"\nkey = \"/no/k\"",
            &["/no/c", "/no/k"],
        );
    }

    #[test]
    fn flags_go_before_the_file() {
        let file = parse("data = \"file\"\nlisten = \"127.0.0.1:1\"").expect("parses");
        let args = UpArgs {
            data: Some("flag".into()),
            ..UpArgs::default()
        };
        let config = merge(args, file).expect("merges");
        assert_eq!(config.data, PathBuf::from("flag"));
        assert_eq!(config.listen.port(), 1);
    }
}
