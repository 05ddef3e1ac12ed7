//! A journal by hand: checked, and copied between a file and Kafka with id, chain and sequences.

use super::config::{ServiceArgs, ServiceConfig};
use super::node;
use anyhow::{Context, bail};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use valuta_journal::{
    Cursor, FileJournal, FileJournalOptions, FileReader, JournalReader as _, Record, Source as _,
};
use valuta_kafka::{CopyWriter, KafkaLog};

/// How often long work says how far it is.
const PROGRESS_EVERY: Duration = Duration::from_secs(2);

/// What is done by hand.
#[derive(clap::Subcommand, Clone)]
pub enum JournalCommand {
    /// Read the journal on Kafka, or a data directory's, and check chain, sequences and epochs
    Verify {
        /// A data directory of `valuta up`, stopped; else the journal is Kafka's
        #[arg(long, value_name = "DIR")]
        file: Option<PathBuf>,
        #[command(flatten)]
        args: ServiceArgs,
    },
    /// Copy a whole journal, so that its scheme moves with its history
    Copy {
        /// From a data directory of `valuta up`, stopped, to Kafka: its topic must not be there yet, or empty
        #[arg(
            long,
            value_name = "DIR",
            conflicts_with = "to_file",
            required_unless_present = "to_file"
        )]
        from_file: Option<PathBuf>,
        /// From Kafka to a new data directory
        #[arg(long, value_name = "DIR")]
        to_file: Option<PathBuf>,
        #[command(flatten)]
        args: ServiceArgs,
    },
}

impl JournalCommand {
    /// What it is told.
    pub fn args(&self) -> &ServiceArgs {
        match self {
            Self::Verify { args, .. } | Self::Copy { args, .. } => args,
        }
    }
}

/// Does what is asked.
pub async fn journal(command: JournalCommand, config: ServiceConfig) -> anyhow::Result<()> {
    match command {
        JournalCommand::Verify {
            file: Some(data), ..
        } => verify_file(&data),
        JournalCommand::Verify { file: None, .. } => {
            let log = node::open_log(&config.kafka, None).await?;
            tokio::task::spawn_blocking(move || verify_kafka(&log)).await?
        }
        JournalCommand::Copy {
            from_file: Some(data),
            ..
        } => {
            let topic = config.kafka.journal();
            tokio::task::spawn_blocking(move || to_kafka(&data, &topic)).await?
        }
        JournalCommand::Copy { to_file, .. } => {
            let data = to_file.context("one of --from-file and --to-file")?;
            let log = node::open_log(&config.kafka, None).await?;
            let rehearsal = config.common.rehearsal;
            tokio::task::spawn_blocking(move || to_file_from(&log, &data, rehearsal)).await?
        }
    }
}

/// What was read, and how far.
struct Read {
    records: u64,
    epochs: u64,
    sequence: u64,
    chain: [u8; 32],
    told: Instant,
}

impl Read {
    fn new() -> Self {
        Self {
            records: 0,
            epochs: 0,
            sequence: 0,
            chain: [0; 32],
            told: Instant::now(),
        }
    }

    /// The reader has verified it; the rest is counted.
    fn take(&mut self, record: &Record) {
        self.records += 1;
        self.epochs += u64::from(record.header.starts_epoch());
        self.sequence = record.header.last_sequence;
        self.chain = record.chain_after;
        if self.told.elapsed() > PROGRESS_EVERY {
            self.told = Instant::now();
            eprintln!("{} records, sequence {}", self.records, self.sequence);
        }
    }

    fn print(&self, journal: impl std::fmt::Display) {
        let chain: String = self
            .chain
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        println!("journal     {journal}");
        println!(
            "records     {}, of them {} started an epoch",
            self.records, self.epochs
        );
        println!("sequence    {}", self.sequence);
        println!("chain       {chain}");
    }
}

fn reader_of(data: &Path) -> anyhow::Result<FileReader> {
    let dir = data.join("journal");
    let (reader, _) =
        FileReader::open_offline(&dir, None).with_context(|| dir.display().to_string())?;
    Ok(reader)
}

fn verify_file(data: &Path) -> anyhow::Result<()> {
    let mut reader = reader_of(data)?;
    let mut read = Read::new();
    while let Some(record) = reader.next_any()? {
        read.take(&record);
    }
    read.print(reader.cursor().journal);
    Ok(())
}

fn verify_kafka(log: &KafkaLog) -> anyhow::Result<()> {
    let mut reader = log.copy()?;
    let mut read = Read::new();
    while let Some(record) = reader.next_any()? {
        read.take(&record);
    }
    read.print(log.id());
    Ok(())
}

fn to_kafka(data: &Path, topic: &valuta_kafka::KafkaConfig) -> anyhow::Result<()> {
    let mut reader = reader_of(data)?;
    let journal = reader.cursor().journal;
    let mut copy = CopyWriter::create(topic, journal)?;
    let mut read = Read::new();
    while let Some(record) = reader.next_any()? {
        copy.append(&record)?;
        read.take(&record);
    }
    copy.finish()?;
    read.print(journal);
    Ok(())
}

fn to_file_from(log: &KafkaLog, data: &Path, rehearsal: bool) -> anyhow::Result<()> {
    if data.join("journal").exists() {
        bail!("{}: there is a journal already", data.display());
    }
    let dir = crate::server::data::DataDir::open(data, rehearsal)?;
    let options = FileJournalOptions {
        id: Some(log.id()),
        ..FileJournalOptions::default()
    };
    let (mut file, _) = FileJournal::create_or_open(&dir.journal(), options)?;
    let mut reader = log.copy()?;
    let mut read = Read::new();
    while let Some(record) = reader.next_any()? {
        file.append_copied(&record)?;
        read.take(&record);
    }
    valuta_journal::Journal::mark(&mut file)?;
    let end: Cursor = valuta_journal::Journal::tail(&file);
    read.print(end.journal);
    Ok(())
}
