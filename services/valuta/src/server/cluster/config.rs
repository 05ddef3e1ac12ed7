//! What a service of a cluster is told beyond what `valuta up` is: the same file for all of them.

use crate::server::config::{Config, ConfigErrors, File, UpArgs, merge};
use anyhow::Context as _;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;
use valuta_kafka::{KafkaConfig, TopicSettings};
use valuta_link::{LinkOptions, Secret};
use valuta_projector::PostgresAddress;

/// Brokers that each message is on if nothing says otherwise.
const REPLICATION_DEFAULT: i32 = 3;
/// A caller without a deadline is held so long while no engine leads.
const HOLD_MAX: Duration = Duration::from_secs(30);
/// Topics of a rehearsal are others, so that it never meets real time.
const REHEARSAL_PREFIX: &str = "rehearsal-";

/// What every service takes. Everything but `--config` may stand in the file too.
#[derive(clap::Args, Clone, Debug, Default)]
pub struct ServiceArgs {
    #[command(flatten)]
    pub up: UpArgs,
    #[command(flatten)]
    pub kafka: KafkaArgs,
    /// The read model's database, `postgres://user@host:port/name`
    #[arg(
        long,
        env = "VALUTA_POSTGRES",
        value_name = "URL",
        hide_env_values = true
    )]
    pub postgres: Option<String>,
    /// PEM file of the authority that signed PostgreSQL's certificate; with it connections are encrypted
    #[arg(long, env = "VALUTA_POSTGRES_CA", value_name = "FILE")]
    pub postgres_ca: Option<PathBuf>,
    /// File with the secret that the scheme's processes share
    #[arg(long, env = "VALUTA_LINK_SECRET_FILE", value_name = "FILE")]
    pub link_secret_file: Option<PathBuf>,
    /// Where others reach this process, if not where it listens: http:// or https://
    #[arg(long, env = "VALUTA_LINK_ADVERTISE", value_name = "URL")]
    pub link_advertise: Option<String>,
    /// PEM file of the authority that signed the other processes' certificates
    #[arg(long, env = "VALUTA_LINK_CA", value_name = "FILE")]
    pub link_ca: Option<PathBuf>,
    /// The ledger's processes, for receipts: http:// or https://, several with commas
    #[arg(long, env = "VALUTA_LINK_LEDGER", value_name = "URLS")]
    pub link_ledger: Option<String>,
}

/// How to reach topics; what librdkafka is told beside stands in the file.
#[derive(clap::Args, Clone, Debug, Default)]
pub struct KafkaArgs {
    /// Kafka's brokers, `host:port,...`
    #[arg(long, env = "VALUTA_KAFKA", value_name = "BROKERS")]
    pub kafka: Option<String>,
    /// Before the name of each topic [default: none]
    #[arg(long, env = "VALUTA_KAFKA_PREFIX", value_name = "PREFIX")]
    pub kafka_prefix: Option<String>,
    /// On how many brokers each message is: 1 or 3 [default: 3]
    #[arg(long, env = "VALUTA_KAFKA_REPLICATION", value_name = "N")]
    pub kafka_replication: Option<i32>,
}

/// `[kafka]`
#[derive(Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub struct KafkaFile {
    brokers: Option<String>,
    prefix: Option<String>,
    replication: Option<i32>,
    /// librdkafka's own: TLS, SASL.
    #[serde(default)]
    properties: BTreeMap<String, String>,
}

/// `[postgres]`
#[derive(Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub struct PostgresFile {
    url: Option<String>,
    ca: Option<PathBuf>,
}

/// `[link]`
#[derive(Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub struct LinkFile {
    secret_file: Option<PathBuf>,
    advertise: Option<String>,
    ca: Option<PathBuf>,
    ledger: Option<String>,
}

/// A whole configuration of one service.
#[derive(Clone, Debug)]
pub struct ServiceConfig {
    /// What `valuta up` has too.
    pub common: Config,
    pub kafka: Kafka,
    /// The read model's database, where the service has use for it.
    pub postgres: Option<PostgresAddress>,
    pub link: LinkOptions,
    pub advertise: Option<String>,
    pub ledgers: Vec<String>,
}

impl ServiceConfig {
    /// The read model's database, of a service that cannot do without.
    pub fn database(&self) -> anyhow::Result<PostgresAddress> {
        let address = self.postgres.clone();
        address.context("postgres: missing; give --postgres URL, or url under [postgres]")
    }
}

/// How to reach topics.
#[derive(Clone, Debug)]
pub struct Kafka {
    config: KafkaConfig,
    prefix: String,
}

impl Kafka {
    /// The journal's topic.
    pub fn journal(&self) -> KafkaConfig {
        self.topic("journal", 1)
    }

    /// One of the pipeline's.
    pub fn topic(&self, name: &str, partitions: i32) -> KafkaConfig {
        let mut config = self.config.with_topic(format!("{}{name}", self.prefix));
        config.settings.partitions = partitions;
        config
    }
}

impl ServiceConfig {
    /// Puts file, environment and flags together; names everything that is wrong at once.
    pub fn load(args: ServiceArgs) -> Result<Self, ConfigErrors> {
        let file = File::of(&args.up)?;
        Self::merge(args, file)
    }

    fn merge(args: ServiceArgs, mut file: File) -> Result<Self, ConfigErrors> {
        let (kafka, postgres, link) = (file.kafka.take(), file.postgres.take(), file.link.take());
        let mut errors = Vec::new();
        let common = merge(args.up, file)
            .map_err(|ConfigErrors(found)| errors.extend(found))
            .ok();
        let rehearsal = common.as_ref().is_some_and(|common| common.rehearsal);
        let kafka = topics(args.kafka, kafka, rehearsal, &mut errors);
        let postgres = postgres.unwrap_or_default();
        let (url, ca) = (
            args.postgres.or(postgres.url),
            args.postgres_ca.or(postgres.ca),
        );
        let postgres = url.and_then(|url| database(&url, ca, &mut errors));
        let link = link.unwrap_or_default();
        let secret = secret(args.link_secret_file.or(link.secret_file), &mut errors);
        let authority = authority("link.ca", args.link_ca.or(link.ca), &mut errors);
        let advertise = args.link_advertise.or(link.advertise);
        let ledgers = args.link_ledger.or(link.ledger).unwrap_or_default();
        let ledgers = ledgers.split(',').map(|url| url.trim().to_owned());
        let ledgers: Vec<_> = ledgers.filter(|url| !url.is_empty()).collect();
        check_url("link.advertise", advertise.as_deref(), &mut errors);
        for ledger in &ledgers {
            check_url("link.ledger", Some(ledger), &mut errors);
        }
        match (common, secret) {
            (Some(common), Some(secret)) if errors.is_empty() => Ok(Self {
                common,
                kafka,
                postgres,
                link: LinkOptions {
                    secret,
                    authority,
                    hold_max: HOLD_MAX,
                },
                advertise,
                ledgers,
            }),
            _ => Err(ConfigErrors(errors)),
        }
    }
}

/// `None`: the file is not a cluster's. Else what it says, by field, or all that is wrong with it. Services
/// take `data` as a flag.
pub fn check(path: &Path) -> Result<Option<Vec<(&'static str, String)>>, ConfigErrors> {
    let args = ServiceArgs {
        up: UpArgs {
            config: Some(path.to_owned()),
            ..UpArgs::default()
        },
        ..ServiceArgs::default()
    };
    let mut file = File::of(&args.up)?;
    if file.kafka.is_none() && file.postgres.is_none() && file.link.is_none() {
        return Ok(None);
    }
    let data = file
        .data
        .get_or_insert_with(|| "(a flag of each service)".into());
    let data = data.display().to_string();
    ServiceConfig::merge(args, file).map(|config| Some(config.said(data)))
}

impl ServiceConfig {
    fn said(&self, data: String) -> Vec<(&'static str, String)> {
        let or_none = |text: Option<&str>| text.unwrap_or("none").to_owned();
        let journal = self.kafka.journal();
        vec![
            ("data", data),
            ("listen", self.common.listen.to_string()),
            ("rehearsal", self.common.rehearsal.to_string()),
            ("reflection", self.common.reflection.to_string()),
            ("tls", self.common.tls.is_some().to_string()),
            ("kafka", journal.brokers),
            ("journal", journal.topic),
            ("replication", journal.settings.replication.to_string()),
            (
                "postgres",
                or_none(self.postgres.as_ref().map(ToString::to_string).as_deref()),
            ),
            ("advertise", or_none(self.advertise.as_deref())),
            (
                "ledger",
                or_none(Some(&*self.ledgers.join(",")).filter(|all| !all.is_empty())),
            ),
        ]
    }
}

fn topics(
    args: KafkaArgs,
    file: Option<KafkaFile>,
    rehearsal: bool,
    errors: &mut Vec<String>,
) -> Kafka {
    let mut kafka = file.unwrap_or_default();
    kafka.brokers = args.kafka.or(kafka.brokers);
    kafka.replication = args.kafka_replication.or(kafka.replication);
    kafka.prefix = args.kafka_prefix.or(kafka.prefix);
    let brokers = kafka.brokers.unwrap_or_default();
    if brokers.is_empty() {
        errors.push(
            "kafka.brokers: missing; give brokers under [kafka], VALUTA_KAFKA, or --kafka host:port,..."
                .to_owned(),
        );
    }
    for broker in brokers.split(',').filter(|_| !brokers.is_empty()) {
        if !is_host_and_port(broker.trim()) {
            errors.push(format!("kafka.brokers: {broker:?} is not host:port"));
        }
    }
    let replication = kafka.replication.unwrap_or(REPLICATION_DEFAULT);
    if !matches!(replication, 1 | 3) {
        errors.push(format!(
            "kafka.replication: {replication} is neither 1 nor 3"
        ));
    }
    let prefix = kafka.prefix.unwrap_or_default();
    if !prefix
        .chars()
        .all(|c| c.is_ascii_alphanumeric() || "._-".contains(c))
    {
        errors.push(format!(
            "kafka.prefix: {prefix:?}: topics' names have letters, digits, '.', '_' and '-'"
        ));
    }
    let mut config = KafkaConfig::new(brokers, "");
    config.settings = TopicSettings::on(usize::try_from(replication).unwrap_or(0));
    // One by one, so that each that is wrong is named.
    for (name, value) in kafka.properties {
        config.properties.insert(name.clone(), value);
        if let Err(error) = config.check_properties() {
            errors.push(format!("kafka.properties: {error}"));
            config.properties.remove(&name);
        }
    }
    let mode = if rehearsal { REHEARSAL_PREFIX } else { "" };
    Kafka {
        config,
        prefix: format!("{prefix}{mode}"),
    }
}

fn is_host_and_port(text: &str) -> bool {
    text.rsplit_once(':').is_some_and(|(host, port)| {
        !host.is_empty() && !host.contains('/') && port.parse::<u16>().is_ok_and(|port| port > 0)
    })
}

fn check_url(field: &str, url: Option<&str>, errors: &mut Vec<String>) {
    let Some(text) = url else { return };
    let rest = ["http://", "https://"]
        .iter()
        .find_map(|scheme| text.strip_prefix(scheme));
    if !rest.is_some_and(|rest| is_host_and_port(rest.trim_end_matches('/'))) {
        errors.push(format!(
            "{field}: {text:?} is neither http://host:port nor https://host:port"
        ));
    }
}

fn secret(path: Option<PathBuf>, errors: &mut Vec<String>) -> Option<Secret> {
    let Some(path) = path else {
        errors.push(
            "link.secret_file: missing; give secret_file under [link], or --link-secret-file FILE, \
             the same for all services"
                .to_owned(),
        );
        return None;
    };
    let text = std::fs::read_to_string(&path).map_err(|error| error.to_string());
    match text.and_then(|text| Secret::new(&text)) {
        Ok(secret) => Some(secret),
        Err(error) => {
            errors.push(format!("link.secret_file: {}: {error}", path.display()));
            None
        }
    }
}

fn database(url: &str, ca: Option<PathBuf>, errors: &mut Vec<String>) -> Option<PostgresAddress> {
    let encrypted = ca.is_some();
    let authority = authority("postgres.ca", ca, errors);
    if encrypted && authority.is_none() {
        return None;
    }
    let address = PostgresAddress::parse(url).and_then(|address| match authority {
        Some(pem) => address.trusting(pem.as_bytes()),
        None => Ok(address),
    });
    address
        .map_err(|error| errors.push(format!("postgres.url: {error}")))
        .ok()
}

fn authority(field: &str, path: Option<PathBuf>, errors: &mut Vec<String>) -> Option<String> {
    let path = path?;
    let pem = std::fs::read_to_string(&path).map_err(|error| error.to_string());
    match pem {
        Ok(pem) if pem.contains("-----BEGIN CERTIFICATE-----") => Some(pem),
        Ok(_) => {
            errors.push(format!("{field}: {}: no certificate in it", path.display()));
            None
        }
        Err(error) => {
            errors.push(format!("{field}: {}: {error}", path.display()));
            None
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    /// A cluster's file over these lines, and what is wrong with it.
    fn check_file(lines: &str, expected: &[&str]) {
        let dir = tempfile::tempdir().unwrap();
        let file = |name: &str, text: &str| {
            let path = dir.path().join(name);
            std::fs::write(&path, text).unwrap();
            path.display().to_string()
        };
        let text = lines
            .replace("SECRET", &file("secret", "sixteen letters and more"))
            .replace("SHORT", &file("short", "short"))
            .replace("NOT_PEM", &file("pem", "not a certificate"));
        let path = PathBuf::from(file("cluster.toml", &text));
        let said = match check(&path) {
            Ok(said) => {
                let said = said.expect("it is a cluster's");
                said.into_iter()
                    .map(|(field, said)| format!("{field} {said}"))
                    .collect()
            }
            Err(ConfigErrors(errors)) => errors,
        };
        for expected in expected {
            assert!(
                said.iter().any(|said| said.contains(expected)),
                "{lines}: {said:?}"
            );
        }
        if !expected.contains(&"listen 127.0.0.1:7400") {
            assert_eq!(said.len(), expected.len(), "{lines}: {said:?}");
        }
    }

    const GOOD: &str = "[kafka]\nbrokers = \"a:1,b:2\"\n[link]\nsecret_file = \"SECRET\"\n";

    #[test]
    fn a_good_file_is_told_without_data_and_password() {
        let more = "[postgres]\nurl = \"postgres://u:hidden@h:5/d\"\n";
        check_file(
            &format!("rehearsal = true\n{GOOD}ledger = \"http://l:1, https://m:2\"\n{more}"),
            &[
                "data (a flag",
                "listen 127.0.0.1:7400",
                "kafka a:1,b:2",
                "journal rehearsal-journal",
                "replication 3",
                "postgres postgres://h:5/d schema valuta",
                "ledger http://l:1,https://m:2",
            ],
        );
        check_file(
            &format!("data = \"d\"\n{GOOD}"),
            &["data d", "listen 127.0.0.1:7400"],
        );
    }

    #[test]
    fn every_wrong_field_is_named() {
        check_file(
            "[kafka]\n",
            &["kafka.brokers: missing", "link.secret_file: missing"],
        );
        check_file(
            "[postgres]\nurl = \"nonsense\"\n",
            &["kafka.brokers", "postgres.url", "link.secret_file"],
        );
        check_file(
            "listen = \"x\"\n[kafka]\nbrokers = \"a,b:0,c:1\"\nreplication = 2\nprefix = \"a/\"\n\
             [kafka.properties]\nacks = \"1\"\n\"no.such\" = \"x\"\n\"security.protocol\" = \"ssl\"\n\
             [link]\nsecret_file = \"SHORT\"\nca = \"NOT_PEM\"\nadvertise = \"host:1\"\nledger = \"http://l:1,http://host\"\n",
            &[
                "listen: \"x\"",
                "kafka.brokers: \"a\"",
                "kafka.brokers: \"b:0\"",
                "kafka.replication: 2",
                "kafka.prefix: \"a/\"",
                "acks is set by Valuta",
                "no.such",
                "short: has less than 16",
                "pem: no certificate",
                "link.advertise: \"host:1\"",
                "link.ledger: \"http://host\"",
            ],
        );
        check_file("[kafka]\nbroker = \"a:1\"\n", &["unknown field `broker`"]);
        check_file(
            "[link]\nsecret_file = \"/no/such\"\n",
            &["kafka.brokers", "/no/such"],
        );
    }
}
