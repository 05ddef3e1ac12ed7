//! A gateway's link over real connections: held while nobody leads, sent again to the next leader, and
//! answered once.
#![allow(clippy::unwrap_used)]

#[allow(dead_code)]
#[path = "../../engine/tests/engine/support.rs"]
mod support;

use settlement_core::command::{Action, Caller};
use settlement_core::view::Status;
use std::sync::Arc;
use std::time::Duration;
use support::{Held, Running, a_while, ask, command, flat, payment, payments, statistics};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::transport::Server;
use valuta_engine::{EngineError, Handle};
use valuta_journal::{Fault, FaultPoint, Leader, MemoryJournal};
use valuta_link::{EngineLinkService, Lead, Link, LinkOptions, Reporter, Secret, Told, leads};
use valuta_proto::v1::ProcessStatus;

const SECRET: &str = "a secret of the scheme";

/// A leader that knows what it was told last.
fn mirror(processes: Vec<ProcessStatus>) -> Told {
    Told {
        sequence: processes.len() as u64,
        processes,
        time_ms: -1,
        batches: 7,
    }
}

/// A process that could lead.
struct Process {
    address: String,
    leads: watch::Sender<Option<Lead>>,
    hindrance: watch::Sender<Option<String>>,
    server: tokio::task::JoinHandle<()>,
}

impl Process {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let (leads, leading) = watch::channel(None);
        let service =
            EngineLinkService::server(leading, Secret::new(SECRET).unwrap(), Arc::new(mirror));
        let server = tokio::spawn(async move {
            let incoming = TcpListenerStream::new(listener);
            let server = Server::builder().add_service(service);
            server.serve_with_incoming(incoming).await.unwrap();
        });
        let (hindrance, _) = watch::channel(None);
        Self {
            address,
            leads,
            hindrance,
            server,
        }
    }

    fn lead(&self, engine: &Handle) {
        self.leads.send_replace(Some(Lead {
            engine: engine.clone(),
            hindrance: self.hindrance.subscribe(),
        }));
    }

    fn leader(&self, epoch: u64) -> Option<Leader> {
        Some(Leader {
            epoch,
            id: [epoch as u8; 16],
            address: self.address.clone(),
        })
    }
}

fn options(secret: &str, hold_max: Duration) -> LinkOptions {
    LinkOptions {
        secret: Secret::new(secret).unwrap(),
        authority: None,
        hold_max,
    }
}

fn link(leader: watch::Receiver<Option<Leader>>, secret: &str, hold_max: Duration) -> Link {
    Link::start(leader, options(secret, hold_max))
}

const LONG: Duration = Duration::from_secs(60);

#[tokio::test(flavor = "multi_thread")]
async fn callers_are_held_until_somebody_leads() {
    let (leader, known) = watch::channel(None);
    let link = link(known, SECRET, LONG);
    let asked = tokio::spawn({
        let link = link.clone();
        async move { link.submit(payments(0..300, 100)).await }
    });
    a_while().await;
    let process = Process::start().await;
    leader.send_replace(process.leader(1));
    a_while().await;
    assert!(
        !asked.is_finished(),
        "named as leader, it does not lead yet"
    );
    let running = Running::with_scheme(Held::memory()).await;
    process.lead(&running.handle);
    let answer = asked.await.unwrap().unwrap();
    let settled = flat(&answer);
    assert_eq!(settled.len(), 300);
    assert!(
        settled
            .iter()
            .all(|(_, _, status)| matches!(status, Status::Settled { .. }))
    );
    assert_eq!(link.newest_answered(), settled[299].1);
    // Commands go the same way, refusals too.
    let bad = command(Caller::Treasury, "x", Action::SetRates(Vec::new()));
    let (here, there) = (
        running.handle.command(bad.clone()).await,
        link.command(bad).await,
    );
    assert!(here.as_ref().unwrap().is_err());
    assert_eq!(here, there);
}

/// The leader dies with a batch in flight, whose record is durable or not: the next one answers it, and
/// it is paid once.
#[tokio::test(flavor = "multi_thread")]
async fn a_batch_in_flight_when_the_leader_dies_is_answered_once() {
    for persisted in [false, true] {
        let (first, second) = (Process::start().await, Process::start().await);
        let (leader, known) = watch::channel(first.leader(1));
        let link = link(known, SECRET, LONG);
        let journal: Held<MemoryJournal> = Held::memory();
        let running = Running::with_scheme(journal.clone()).await;
        first.lead(&running.handle);
        link.submit(payment(1, 100)).await.unwrap();
        journal.fail(Fault {
            at: FaultPoint::Write,
            after: journal.appends(),
            persisted,
        });
        let asked = tokio::spawn({
            let link = link.clone();
            async move { link.submit(payments(1..50, 100)).await }
        });
        running.join().await;
        a_while().await;
        assert!(!asked.is_finished(), "nobody knows what became of it");
        let next = Running::on(journal.into_inner().crash());
        second.lead(&next.handle);
        leader.send_replace(second.leader(2));
        let answer = asked.await.unwrap().unwrap();
        let settled = flat(&answer);
        assert_eq!(settled.len(), 49);
        assert!(
            settled
                .iter()
                .all(|(_, _, status)| matches!(status, Status::Settled { .. }))
        );
        let (counts, _) = statistics(&next.handle).await.unwrap();
        assert_eq!(
            (counts.instructions, counts.settled),
            (49, 49),
            "{persisted}"
        );
        assert_eq!(ask(&next.handle, 49).await[0].sequence, settled[48].1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn while_the_journal_is_hindered_new_requests_are_refused_clearly() {
    let process = Process::start().await;
    let running = Running::with_scheme(Held::memory()).await;
    process.lead(&running.handle);
    let (_leader, known) = watch::channel(process.leader(1));
    let link = link(known, SECRET, LONG);
    link.submit(payment(1, 100)).await.unwrap();
    process
        .hindrance
        .send_replace(Some("no broker answers".to_owned()));
    match link.submit(payment(2, 100)).await {
        Err(EngineError::Unavailable { reason, .. }) => assert!(reason.contains("no broker")),
        other => panic!("{other:?}"),
    }
    process.hindrance.send_replace(None);
    link.submit(payment(2, 100)).await.unwrap();
    assert_eq!(statistics(&running.handle).await.unwrap().0.instructions, 2);
}

/// A record that got no report is settled by an epoch of the same leader, which a gateway may read before the
/// leader does, and takes nothing new until then: what it took before is answered all the same.
#[tokio::test(flavor = "multi_thread")]
async fn an_epoch_of_the_same_leader_breaks_nothing() {
    let process = Process::start().await;
    let journal: Held<MemoryJournal> = Held::memory();
    let running = Running::with_scheme(journal.clone()).await;
    process.lead(&running.handle);
    let (leader, known) = watch::channel(process.leader(1));
    let link = link(known, SECRET, LONG);
    link.submit(payment(1, 100)).await.unwrap();
    journal.close();
    let asked = tokio::spawn({
        let link = link.clone();
        async move { link.submit(payment(2, 100)).await }
    });
    journal.wait_for_append();
    let hindered = Some("no report".to_owned());
    process.hindrance.send_replace(hindered);
    let barrier = process
        .leader(1)
        .map(|leader| Leader { epoch: 2, ..leader });
    leader.send_replace(barrier);
    for _ in 0..5 {
        a_while().await;
    }
    assert!(!asked.is_finished(), "{:?}", asked.await);
    process.hindrance.send_replace(None);
    journal.open();
    let answer = asked.await.unwrap().unwrap();
    assert!(matches!(flat(&answer)[0].2, Status::Settled { .. }));
    link.submit(payment(3, 100)).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leader_leads_while_it_answers_and_its_journal_takes_records() {
    let process = Process::start().await;
    let (leader, options) = (process.leader(1).unwrap(), options(SECRET, LONG));
    assert!(!leads(&leader, &options).await, "it stands by");
    let running = Running::with_scheme(Held::memory()).await;
    process.lead(&running.handle);
    assert!(leads(&leader, &options).await);
    process
        .hindrance
        .send_replace(Some("no broker answers".to_owned()));
    assert!(!leads(&leader, &options).await);
    // A process that was stopped: connections are taken, nothing is answered.
    let stopped = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", stopped.local_addr().unwrap());
    assert!(!leads(&Leader { address, ..leader }, &options).await);
}

/// One reporter over the times: nobody leads, one does, it is gone, another does.
#[tokio::test(flavor = "multi_thread")]
async fn reports_go_to_whoever_leads() {
    let (first, second) = (Process::start().await, Process::start().await);
    let running = Running::with_scheme(Held::memory()).await;
    let mut reporter = Reporter::new(options(SECRET, LONG));
    let (one, two) = (first.leader(1).unwrap(), second.leader(2).unwrap());
    let told = [ProcessStatus {
        process: "p".to_owned(),
        sequence: Some(3),
        ..ProcessStatus::default()
    }];
    assert!(reporter.report(&one, &told).await.is_err(), "it stands by");
    first.lead(&running.handle);
    for turn in 0..2 {
        let heard = reporter.report(&one, &told).await.unwrap();
        assert_eq!(heard, mirror(told.to_vec()), "{turn}");
    }
    first.server.abort();
    second.lead(&running.handle);
    let heard = reporter.report(&two, &told).await.unwrap();
    assert_eq!((heard.batches, heard.time_ms), (7, -1));
    let mut stranger = Reporter::new(options("another secret, as long", LONG));
    assert!(stranger.report(&two, &told).await.is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_does_not_know_the_secret_is_not_served() {
    let process = Process::start().await;
    let running = Running::with_scheme(Held::memory()).await;
    process.lead(&running.handle);
    let (_leader, known) = watch::channel(process.leader(1));
    let stranger = link(known, "another secret, as long", Duration::from_millis(200));
    let answer = stranger.submit(payment(7, 100)).await;
    assert!(
        matches!(answer, Err(EngineError::Unavailable { .. })),
        "{answer:?}"
    );
    assert!(ask(&running.handle, 7).await.is_empty());
    assert!(Secret::new("short").is_err());
    process.server.abort();
}
