#![allow(clippy::unwrap_used)]
//! A server that shows as much of a history with epochs as it is told, and another history, and lies.

use super::*;
use std::sync::{Mutex, MutexGuard};
use tokio::net::TcpListener;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::{Request, Response};
use tonic_types::ErrorDetails;
use valuta_proto::v1::audit_service_server::{AuditService, AuditServiceServer};

const ID: JournalId = JournalId([7; 16]);

type Entry = (RecordHeader, Vec<u8>);
type Answer = Result<v1::FollowJournalResponse, Status>;

#[derive(Clone)]
struct Served(Arc<Mutex<Shown>>);

struct Shown {
    id: JournalId,
    history: Vec<Entry>,
    /// So many of its records.
    visible: usize,
    /// What comes after any place, whatever the place.
    lie: Option<Entry>,
}

impl Served {
    fn shown(&self) -> MutexGuard<'_, Shown> {
        self.0.lock().unwrap()
    }
}

#[tonic::async_trait]
impl AuditService for Served {
    type FollowJournalStream = tokio_stream::Iter<std::vec::IntoIter<Answer>>;

    async fn follow_journal(
        &self,
        request: Request<v1::FollowJournalRequest>,
    ) -> Result<Response<Self::FollowJournalStream>, Status> {
        let after = request.into_inner();
        let shown = self.shown();
        let visible = &shown.history[..shown.visible];
        let is_place = |(header, payload): &Entry| {
            !header.starts_epoch()
                && header.last_sequence == after.after_sequence
                && chain_after(header, payload)[..] == after.after_chain
        };
        let first = match (after.after_sequence, visible.iter().position(is_place)) {
            (0, _) => 0,
            (_, Some(at)) => at + 1,
            (_, None) => {
                let details = ErrorDetails::with_error_info("NOT_IN_JOURNAL", "valuta", []);
                let code = Code::FailedPrecondition;
                return Err(Status::with_error_details(code, "another", details));
            }
        };
        let head = Item::Head(v1::JournalHead {
            journal: shown.id.0.to_vec(),
            rehearsal: true,
        });
        let rest = visible[first..].iter().filter(|_| shown.lie.is_none());
        let records = rest.chain(&shown.lie).map(|(header, payload)| {
            Item::Record(v1::JournalRecord {
                header: header.canonical().to_vec(),
                payload: payload.clone(),
            })
        });
        let answers = [head].into_iter().chain(records);
        let answers: Vec<_> = answers
            .map(|item| Ok(v1::FollowJournalResponse { item: Some(item) }))
            .collect();
        Ok(Response::new(tokio_stream::iter(answers)))
    }
}

/// Records of so many inputs; 0 starts an epoch.
fn history(inputs: &[u64], salt: u8) -> Vec<Entry> {
    let (mut sequence, mut chain, mut epoch) = (0, ID.genesis(), 0);
    let mut record = |count: &u64| {
        epoch += u64::from(*count == 0);
        let header = RecordHeader {
            epoch,
            leader_id: [1; 16],
            first_sequence: sequence + 1,
            last_sequence: sequence + count,
            chain_before: chain,
            time_ms: 5,
        };
        let payload = vec![salt; 10];
        (sequence, chain) = (header.last_sequence, chain_after(&header, &payload));
        (header, payload)
    };
    inputs.iter().map(&mut record).collect()
}

/// The server, and a keeper of a new copy that asks it.
async fn scene(
    dir: &Path,
) -> (
    Served,
    Keeper,
    oneshot::Receiver<anyhow::Result<JournalCopy>>,
) {
    let served = Served(Arc::new(Mutex::new(Shown {
        id: ID,
        history: history(&[0, 2, 0, 0, 1, 3, 0, 0], 9),
        visible: 0,
        lie: None,
    })));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let server = format!("http://{}", listener.local_addr().unwrap());
    let service = AuditServiceServer::new(served.clone());
    let serving = tonic::transport::Server::builder().add_service(service);
    tokio::spawn(serving.serve_with_incoming(TcpListenerStream::new(listener)));
    let (ended, ending) = oneshot::channel();
    let keeper = Keeper {
        copy: JournalCopy::create(dir, ID, true).unwrap(),
        options: Options {
            server,
            token: None,
            token_file: None,
            ca: None,
            output: crate::output::Format::Table,
            timeout: 30,
        },
        runtime: Handle::current(),
        told: None,
        pause: PAUSE_MIN,
        ended,
    };
    (served, keeper, ending)
}

impl Keeper {
    /// Until the stream ends.
    fn once(&mut self) -> String {
        let Err(fault) = self.ask().and_then(|feed| self.follow(feed));
        match fault {
            Fault::Lost(loss, _) => format!("{loss:?}"),
            Fault::Ended(End::Denied(reason)) => format!("denied: {reason}"),
            Fault::Ended(End::Failed(error)) => format!("failed: {error:#}"),
            Fault::Ended(End::Stopped) => "stopped".to_owned(),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_goes_on_after_any_record_and_keeps_what_it_holds() {
    let dir = tempfile::tempdir().unwrap();
    let (served, mut keeper, _ending) = scene(dir.path()).await;
    let check = move || {
        let all = served.shown().history.clone();
        for visible in 0..=all.len() {
            served.shown().visible = visible;
            assert_eq!(keeper.once(), "Connection");
            let last = visible.checked_sub(1).map(|at| &all[at]);
            let chain = last.map_or(ID.genesis(), |(header, payload)| {
                chain_after(header, payload)
            });
            assert_eq!(keeper.copy.journal.end().chain, chain, "{visible}");
        }
        // Another journal's server is no liar.
        served.shown().id = JournalId([8; 16]);
        assert!(keeper.once().contains("the copy is of"));
        served.shown().id = ID;
        // A record that does not continue it.
        let mut other = all[5].clone();
        other.0.chain_before = [3; 32];
        served.shown().lie = Some(other);
        assert!(
            keeper
                .once()
                .starts_with("denied: a record that does not continue")
        );
        served.shown().lie = None;
        // Another history, as good as this one.
        served.shown().history = history(&[0, 2, 0, 0, 1, 3, 0, 0], 10);
        assert_eq!(keeper.once(), "denied: another");
        let end = keeper.copy.journal.end();
        served.shown().history = all;
        drop(keeper);

        // Opened again it is the same.
        let copy = JournalCopy::held(dir.path()).unwrap().unwrap();
        assert_eq!((copy.journal.end(), copy.rehearsal), (end, true));
    };
    tokio::task::spawn_blocking(check).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn it_ends_with_whoever_listens() {
    let dir = tempfile::tempdir().unwrap();
    let (_served, mut keeper, ending) = scene(dir.path()).await;
    drop(ending);
    let once = tokio::task::spawn_blocking(move || keeper.once());
    assert_eq!(once.await.unwrap(), "stopped");
}
