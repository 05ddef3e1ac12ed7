//! What a service of a cluster is told beyond what `valuta up` is: the same file for all of them.

use crate::server::config::{Config, ConfigErrors, File, UpArgs, merge};
use anyhow::Context as _;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::PathBuf;
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
    /// Kafka's brokers, `host:port,...`
    #[arg(long, env = "VALUTA_KAFKA", value_name = "BROKERS")]
    pub kafka: Option<String>,
    /// Before the name of each topic [default: none]
    #[arg(long, env = "VALUTA_KAFKA_PREFIX", value_name = "PREFIX")]
    pub kafka_prefix: Option<String>,
    /// On how many brokers each message is: 1 or 3 [default: 3]
    #[arg(long, env = "VALUTA_KAFKA_REPLICATION", value_name = "N")]
    pub kafka_replication: Option<i32>,
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
    /// The ledger's process, for receipts: http:// or https://
    #[arg(long, env = "VALUTA_LINK_LEDGER", value_name = "URL")]
    pub link_ledger: Option<String>,
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
    pub ledger: Option<String>,
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
        let (kafka, postgres, link) =
            (file.kafka.clone(), file.postgres.clone(), file.link.clone());
        let common = merge(args.up, file);
        let mut errors = Vec::new();
        let common = common
            .map_err(|ConfigErrors(found)| errors.extend(found))
            .ok();
        let rehearsal = common.as_ref().is_some_and(|common| common.rehearsal);
        let kafka = kafka.unwrap_or_default();
        let brokers = args.kafka.or(kafka.brokers).unwrap_or_else(|| {
            errors.push("kafka: missing; give --kafka host:port,..., VALUTA_KAFKA, or brokers under [kafka]".to_owned());
            String::new()
        });
        let replication = args
            .kafka_replication
            .or(kafka.replication)
            .unwrap_or(REPLICATION_DEFAULT);
        if !matches!(replication, 1 | 3) {
            errors.push(format!(
                "kafka_replication: {replication} is neither 1 nor 3"
            ));
        }
        let mut config = KafkaConfig::new(brokers, "");
        config.properties = kafka.properties;
        config.settings = TopicSettings::on(usize::try_from(replication).unwrap_or(0));
        let prefix = args.kafka_prefix.or(kafka.prefix).unwrap_or_default();
        let mode = if rehearsal { REHEARSAL_PREFIX } else { "" };
        let postgres = postgres.unwrap_or_default();
        let (url, ca) = (
            args.postgres.or(postgres.url),
            args.postgres_ca.or(postgres.ca),
        );
        let postgres = url.and_then(|url| database(&url, ca, &mut errors));
        let link = link.unwrap_or_default();
        let secret = secret(args.link_secret_file.or(link.secret_file), &mut errors);
        let authority = authority("link_ca", args.link_ca.or(link.ca), &mut errors);
        let (Some(common), Some(secret)) = (common, secret) else {
            return Err(ConfigErrors(errors));
        };
        if !errors.is_empty() {
            return Err(ConfigErrors(errors));
        }
        Ok(Self {
            common,
            kafka: Kafka {
                config,
                prefix: format!("{prefix}{mode}"),
            },
            postgres,
            link: LinkOptions {
                secret,
                authority,
                hold_max: HOLD_MAX,
            },
            advertise: args.link_advertise.or(link.advertise),
            ledger: args.link_ledger.or(link.ledger),
        })
    }
}

fn secret(path: Option<PathBuf>, errors: &mut Vec<String>) -> Option<Secret> {
    let Some(path) = path else {
        errors.push(
            "link_secret_file: missing; give --link-secret-file FILE, the same for all services"
                .to_owned(),
        );
        return None;
    };
    let text = std::fs::read_to_string(&path).map_err(|error| error.to_string());
    match text.and_then(|text| Secret::new(&text)) {
        Ok(secret) => Some(secret),
        Err(error) => {
            errors.push(format!("link_secret_file: {}: {error}", path.display()));
            None
        }
    }
}

fn database(url: &str, ca: Option<PathBuf>, errors: &mut Vec<String>) -> Option<PostgresAddress> {
    let encrypted = ca.is_some();
    let authority = authority("postgres_ca", ca, errors);
    if encrypted && authority.is_none() {
        return None;
    }
    let address = PostgresAddress::parse(url).and_then(|address| match authority {
        Some(pem) => address.trusting(pem.as_bytes()),
        None => Ok(address),
    });
    address
        .map_err(|error| errors.push(format!("postgres: {error}")))
        .ok()
}

fn authority(field: &str, path: Option<PathBuf>, errors: &mut Vec<String>) -> Option<String> {
    let path = path?;
    match std::fs::read_to_string(&path) {
        Ok(pem) => Some(pem),
        Err(error) => {
            errors.push(format!("{field}: {}: {error}", path.display()));
            None
        }
    }
}
