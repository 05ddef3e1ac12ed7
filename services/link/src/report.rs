//! Processes tell the one that leads how far they are, and hear from it how far all are.

use crate::LinkOptions;
use crate::client::channel;
use prost::Message as _;
use std::sync::Arc;
use std::time::Duration;
use tonic::transport::Channel;
use tonic::{Request, Status};
use valuta_journal::Leader;
use valuta_proto::link::engine_link_client::EngineLinkClient;
use valuta_proto::link::{ProcessReport, Roster};
use valuta_proto::v1::ProcessStatus;

/// A leader that takes longer is as good as none: the next report comes soon.
const ANSWERED_WITHIN: Duration = Duration::from_secs(1);

/// What the leader knows.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Told {
    /// Itself and whoever has reported to it.
    pub processes: Vec<ProcessStatus>,
    /// The watermark.
    pub sequence: u64,
    /// Record time there, in milliseconds.
    pub time_ms: i64,
    /// Batches closed so far.
    pub batches: u64,
}

/// What a leader does with a report.
pub type TakeReport = Arc<dyn Fn(Vec<ProcessStatus>) -> Told + Send + Sync>;

/// A process's way to whoever leads.
pub struct Reporter {
    options: LinkOptions,
    /// Kept from one report to the next.
    open: Option<(String, Channel)>,
}

impl Reporter {
    /// Connects when there is something to report.
    pub fn new(options: LinkOptions) -> Self {
        Self {
            options,
            open: None,
        }
    }

    /// Tells the leader of this process, and hears of all.
    ///
    /// # Errors
    /// If it does not answer, does not lead, or does not know the secret.
    pub async fn report(
        &mut self,
        leader: &Leader,
        processes: &[ProcessStatus],
    ) -> Result<Told, Status> {
        let asked = tokio::time::timeout(ANSWERED_WITHIN, self.ask(leader, processes)).await;
        let answer = asked.unwrap_or_else(|_| Err(Status::deadline_exceeded("no answer")));
        if answer.is_err() {
            self.open = None;
        }
        told(answer?)
    }

    async fn ask(
        &mut self,
        leader: &Leader,
        processes: &[ProcessStatus],
    ) -> Result<Roster, Status> {
        let channel = match self.open.take() {
            Some((address, channel)) if address == leader.address => channel,
            _ => channel(&leader.address, self.options.authority.as_deref()).await?,
        };
        let mut request = Request::new(ProcessReport {
            processes: encoded(processes),
        });
        self.options.secret.put(&mut request);
        let mut client = EngineLinkClient::new(channel.clone());
        let roster = client.report(request).await?.into_inner();
        self.open = Some((leader.address.clone(), channel));
        Ok(roster)
    }
}

/// A leader's side.
pub(crate) fn answer(report: &ProcessReport, take: &TakeReport) -> Result<Roster, Status> {
    let Told {
        processes,
        sequence,
        time_ms,
        batches,
    } = take(decoded(&report.processes)?);
    Ok(Roster {
        processes: encoded(&processes),
        sequence,
        time_ms,
        batches,
    })
}

fn told(roster: Roster) -> Result<Told, Status> {
    Ok(Told {
        processes: decoded(&roster.processes)?,
        sequence: roster.sequence,
        time_ms: roster.time_ms,
        batches: roster.batches,
    })
}

fn encoded(processes: &[ProcessStatus]) -> Vec<bytes::Bytes> {
    let encoded = processes.iter().map(|process| process.encode_to_vec());
    encoded.map(bytes::Bytes::from).collect()
}

fn decoded(processes: &[bytes::Bytes]) -> Result<Vec<ProcessStatus>, Status> {
    let decoded = processes
        .iter()
        .map(|bytes| ProcessStatus::decode(&bytes[..]));
    decoded
        .collect::<Result<_, _>>()
        .map_err(|error| Status::invalid_argument(format!("not a process: {error}")))
}
