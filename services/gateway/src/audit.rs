//! `AuditService`: the journal, record by record, for whoever decides everything again.
//!
//! A follower is a thread that reads ahead by a few records and waits for its client; the writer knows nothing of
//! it. It ends when the client is gone, its token is revoked, or the server stops.

use crate::auth;
use crate::errors;
use crate::gateway::Gateway;
use crate::ports::{Engine, FollowError, JournalFeed, JournalPlace, JournalRecord, Reads};
use settlement_core::command::Caller;
use settlement_core::ids::Sequence;
use std::convert::Infallible;
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, mpsc, oneshot, watch};
use tokio_stream::wrappers::ReceiverStream;
use tonic::metadata::MetadataMap;
use tonic::{Request, Response, Status};
use valuta_proto::v1;
use valuta_proto::v1::audit_service_server::AuditService;
use valuta_proto::v1::follow_journal_response::Item;

/// Each reads the whole journal once, and holds some of the largest records (16 MiB): a few auditors, not the world.
pub(crate) const FOLLOWERS_MAX: usize = 4;
/// Records on their way to one client.
const RECORDS_AHEAD: usize = 2;
/// How often a follower without anything to send looks whether it should end.
const IDLE_TURN: Duration = Duration::from_millis(200);

type Outgoing = mpsc::Sender<Result<v1::FollowJournalResponse, Status>>;

#[tonic::async_trait]
impl<E: Engine, R: Reads> AuditService for Gateway<E, R> {
    type FollowJournalStream = ReceiverStream<Result<v1::FollowJournalResponse, Status>>;

    async fn follow_journal(
        &self,
        request: Request<v1::FollowJournalRequest>,
    ) -> Result<Response<Self::FollowJournalStream>, Status> {
        let metadata = request.metadata().clone();
        let (call, request) = self.open(request)?;
        auth::follows_journal(call.caller)?;
        let after = place(&request)?;
        let room = self.followers.clone().try_acquire_owned();
        let room =
            room.map_err(|_| errors::busy(format!("{FOLLOWERS_MAX} follow the journal already")))?;
        let (out, outgoing) = mpsc::channel(RECORDS_AHEAD);
        let (opened, opening) = oneshot::channel();
        let follower = Follower {
            engine: self.engine.clone(),
            caller: call.caller,
            metadata,
            shutdown: self.shutdown.clone(),
            out,
            _room: room,
        };
        let journal = self.reads.journal();
        let id = journal.id();
        std::thread::Builder::new()
            .name("follow".to_owned())
            .spawn(move || match journal.follow(after) {
                Ok(feed) => {
                    // Who asked is gone if this is not heard, and then nothing else will be.
                    let _ = opened.send(Ok(()));
                    follower.run(id, feed);
                }
                Err(error) => drop(opened.send(Err(error))),
            })
            .map_err(|error| errors::internal(&format!("no thread for a follower: {error}")))?;
        let opened = opening.await;
        opened
            .unwrap_or_else(|_| Err(FollowError::Failed("the follower panicked".to_owned())))
            .map_err(errors::follow)?;
        tracing::info!(caller = ?call.caller, after = request.after_sequence, "follows the journal");
        Ok(Response::new(ReceiverStream::new(outgoing)))
    }
}

fn place(request: &v1::FollowJournalRequest) -> Result<JournalPlace, Status> {
    let chain = match request.after_chain.as_slice() {
        [] if request.after_sequence == 0 => None,
        [] => return Err(errors::missing("after_chain")),
        bytes => {
            let chain = bytes.try_into();
            Some(chain.map_err(|_| errors::invalid("after_chain", "is not of 32 bytes"))?)
        }
    };
    Ok(JournalPlace {
        sequence: Sequence(request.after_sequence),
        chain,
    })
}

struct Follower<E> {
    engine: E,
    caller: Caller,
    metadata: MetadataMap,
    shutdown: watch::Receiver<bool>,
    out: Outgoing,
    /// Until it ends.
    _room: OwnedSemaphorePermit,
}

impl<E: Engine> Follower<E> {
    fn run(self, journal: [u8; 16], mut feed: Box<dyn JournalFeed>) {
        let Err(ended) = self.follow(journal, &mut *feed);
        if let Some(status) = ended {
            // No receiver: nobody is left to be told.
            let _ = self.out.blocking_send(Err(status));
        }
        tracing::info!(caller = ?self.caller, "follows the journal no more");
    }

    /// Runs until there is a last word (`Some`), or nobody to say it to.
    fn follow(
        &self,
        journal: [u8; 16],
        feed: &mut dyn JournalFeed,
    ) -> Result<Infallible, Option<Status>> {
        self.send(Item::Head(v1::JournalHead {
            journal: journal.to_vec(),
            rehearsal: self.engine.rehearsal(),
        }))?;
        loop {
            if *self.shutdown.borrow() {
                return Err(Some(errors::stopping()));
            }
            if self.out.is_closed() {
                return Err(None);
            }
            // What follows is as secret as what came before.
            auth::caller(&self.engine, &self.metadata)?;
            let next = feed.next(IDLE_TURN).map_err(errors::follow)?;
            if let Some(JournalRecord { header, payload }) = next {
                self.send(Item::Record(v1::JournalRecord { header, payload }))?;
            }
        }
    }

    /// Waits while the client does.
    fn send(&self, item: Item) -> Result<(), Option<Status>> {
        let answer = v1::FollowJournalResponse { item: Some(item) };
        self.out.blocking_send(Ok(answer)).map_err(|_| None)
    }
}
