//! A small scheme in the core's own form, and journals that a test holds back or finds again.

use fx::{AssetCode, DecimalText};
use settlement_core::command::{
    AccountLine, AccountState, Action, AssetLine, Caller, Command, Movement, MovementKind,
    ParticipantLine, ParticipantState, Refusal, Scheme,
};
use settlement_core::ids::{Bic, Date, Sequence, Timestamp, Uetr};
use settlement_core::instruction::{
    Body, Digest, Identity, Kind, Lane, LegKind, LegSent, Priority, ShortText, Submission,
    Submissions,
};
use settlement_core::state::State;
use settlement_core::view::{
    CommandAnswer, InstructionAnswer, Query, Statistics, Status, SubmitAnswer, View,
};
use sha2::{Digest as _, Sha256};
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use valuta_engine::{
    Clock, Engine, EngineError, Handle, Recovered, Replayed, SnapshotOptions, Snapshots,
    StopReason, recover, replay,
};
use valuta_journal::{
    AppendError, Cursor, Fault, Journal, JournalId, JournalReader, MemoryJournal, ReadError,
    RecordLookup, Source, Tail,
};

/// Friday, 2026-11-20, 08:00 UTC.
pub const MORNING: Timestamp = Timestamp(1_795_161_600_000);
/// Its date.
pub const TODAY: &str = "2026-11-20";
pub const JOURNAL: JournalId = JournalId([7; 16]);
const BANKS: [&str; 2] = ["AAAAUS33", "BBBBDEFF"];
const AGENT: &str = "FRNYUS33";
const ASSET: &str = "USD";
/// What bank A has in the beginning, in cents.
pub const OPENING: i64 = 1_000_000_000;

/// How many seeds a test walks: `few`, or twenty times that with `VALUTA_LONG=1`.
pub fn seeds(few: u64) -> std::ops::Range<u64> {
    0..if is_long() { few * 20 } else { few }
}

pub fn is_long() -> bool {
    std::env::var("VALUTA_LONG").is_ok_and(|value| value == "1")
}

/// splitmix64.
pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }
}

pub fn bic(text: &str) -> Bic {
    Bic::parse(text.as_bytes()).unwrap()
}

fn text(text: &str) -> ShortText {
    ShortText::parse(text.as_bytes()).unwrap()
}

fn digest(bytes: &[u8]) -> Digest {
    let hash: [u8; 32] = Sha256::digest(bytes).into();
    Digest(*hash.first_chunk().unwrap())
}

pub fn command(caller: Caller, request_id: &str, action: Action) -> Command {
    Command {
        caller,
        request_id: text(request_id),
        created: MORNING,
        digest: digest(format!("{action:?}").as_bytes()),
        action,
    }
}

fn scheme() -> Scheme {
    let asset = AssetCode::parse(ASSET.as_bytes()).unwrap();
    Scheme {
        name: text("test"),
        base_asset: asset,
        assets: vec![AssetLine {
            code: asset,
            decimals: 2,
            agent: bic(AGENT),
            enabled: true,
        }],
        participants: BANKS
            .map(|name| ParticipantLine {
                bic: bic(name),
                name: name.to_owned(),
                state: ParticipantState::Active,
            })
            .to_vec(),
        accounts: BANKS
            .map(|name| AccountLine {
                participant: bic(name),
                asset,
                state: AccountState::Open,
            })
            .to_vec(),
        limits: Vec::new(),
        cut_offs: None,
        asset_cut_offs: Vec::new(),
        days: Vec::new(),
        risk: Vec::new(),
    }
}

/// What makes a scheme in which bank A can pay.
pub fn set_up_commands() -> [Command; 3] {
    let deposit = Movement {
        kind: MovementKind::Deposit,
        participant: bic(BANKS[0]),
        asset: AssetCode::parse(ASSET.as_bytes()),
        mantissa: Some(OPENING),
        scale: 2,
        negative: false,
        cycle: None,
    };
    let agent = Caller::Agent(bic(AGENT));
    // A rehearsal starts at time 0, and a command may not be made ahead of it.
    let time = Command {
        created: Timestamp(0),
        ..command(Caller::Operator, "time", Action::SetTime(MORNING))
    };
    [
        time,
        command(Caller::Operator, "scheme", Action::ApplyScheme(scheme())),
        command(agent, "deposit", Action::Move(deposit)),
    ]
}

pub async fn set_up(handle: &Handle) {
    for command in set_up_commands() {
        handle.command(command).await.unwrap().unwrap();
    }
}

/// A payment of bank A to bank B over `cents`, with `padding` bytes of content.
pub fn payments_padded(numbers: std::ops::Range<u64>, cents: i64, padding: usize) -> Submissions {
    let mut batch = Submissions::default();
    for (index, number) in (0..).zip(numbers) {
        let start = batch.content.len() as u32;
        let amount = format!("{}.{:02}", cents / 100, cents % 100);
        batch.content.extend(format!("{number} {amount} ").bytes());
        batch.content.resize(batch.content.len() + padding, b'.');
        let content = start..batch.content.len() as u32;
        let legs = batch.legs.len() as u32;
        batch.legs.push(LegSent {
            kind: LegKind::Principal,
            debtor: bic(BANKS[0]),
            creditor: bic(BANKS[1]),
            asset: AssetCode::parse(ASSET.as_bytes()),
            amount: Some(DecimalText::parse(amount.as_bytes()).unwrap()),
        });
        batch.items.push(Submission {
            index,
            identity: identity(number),
            digest: digest(&batch.content[start as usize..]),
            content,
            legs: legs..legs + 1,
            body: Ok(Body {
                lane: Lane::Gross,
                priority: Priority::Normal,
                created: MORNING,
                value_date: Date::parse(TODAY.as_bytes()).unwrap(),
                quote_id: None,
                trade_reference: None,
                conditions: None,
            }),
        });
    }
    batch
}

pub fn payments(numbers: std::ops::Range<u64>, cents: i64) -> Submissions {
    payments_padded(numbers, cents, 0)
}

pub fn payment(number: u64, cents: i64) -> Submissions {
    payments(number..number + 1, cents)
}

pub fn identity(number: u64) -> Identity {
    let uetr = Uetr((u128::from(number) << 80) | (4 << 76) | (0b10 << 62));
    assert!(Uetr::parse(uetr.to_string().as_bytes()).is_some());
    Identity {
        uetr,
        instructing: bic(BANKS[0]),
        kind: Kind::Payment,
    }
}

/// Every answer as (index, sequence, status).
pub fn flat(answer: &SubmitAnswer) -> Vec<(u32, Sequence, Status)> {
    let ranges = answer.accepted.iter().flat_map(|range| {
        (0..range.count).map(move |at| {
            let sequence = Sequence(range.first_sequence.0 + u64::from(at));
            (range.first_index + at, sequence, range.status)
        })
    });
    let others = answer.others.iter();
    let mut all: Vec<_> = ranges
        .chain(others.map(|(index, answer)| (*index, answer.sequence, answer.status)))
        .collect();
    all.sort_unstable_by_key(|&(index, ..)| index);
    all
}

/// A clock that stands still: a rehearsal does not ask it.
pub struct Still;

impl Clock for Still {
    fn wall_ms(&self) -> i64 {
        MORNING.0
    }
    fn elapsed(&self) -> Duration {
        Duration::ZERO
    }
}

/// An engine that runs.
pub struct Running {
    pub engine: Engine,
    pub handle: Handle,
}

impl Running {
    /// Replays the journal and starts a rehearsal on it.
    pub fn on(journal: impl Journal + 'static) -> Self {
        Self::with(journal, Box::new(Still), true)
    }

    pub fn with(journal: impl Journal + 'static, clock: Box<dyn Clock>, rehearsal: bool) -> Self {
        let (state, replayed) = replayed(&journal, rehearsal);
        let journal: Box<dyn Journal> = Box::new(journal);
        let (engine, handle) =
            Engine::start(journal, state, replayed, clock, rehearsal, None).unwrap();
        Self { engine, handle }
    }

    /// From snapshots, which are taken after so many bytes.
    pub fn with_snapshots(journal: impl Journal + 'static, dir: &Path, every_bytes: u64) -> Self {
        let Recovered {
            state, replayed, ..
        } = recovered(&journal, dir);
        Self::start(journal, state, replayed, dir, every_bytes)
    }

    /// Goes on with a state that a replica kept.
    pub fn leads(
        journal: impl Journal + 'static,
        state: State,
        replayed: Replayed,
        dir: &Path,
    ) -> Self {
        Self::start(journal, state, replayed, dir, u64::MAX)
    }

    fn start(
        journal: impl Journal + 'static,
        state: State,
        replayed: Replayed,
        dir: &Path,
        every_bytes: u64,
    ) -> Self {
        let options = SnapshotOptions {
            dir: dir.to_path_buf(),
            every_bytes,
        };
        let (engine, handle) = Engine::start(
            Box::new(journal),
            state,
            replayed,
            Box::new(Still),
            true,
            Some(options),
        )
        .unwrap();
        Self { engine, handle }
    }

    /// With the scheme set up.
    pub async fn with_scheme(journal: impl Journal + 'static) -> Self {
        let running = Self::on(journal);
        set_up(&running.handle).await;
        running
    }

    /// Ends it in order.
    pub async fn stop(self) -> StopReason {
        self.handle.shut_down();
        self.join().await
    }

    /// Waits for its end, which must come.
    pub async fn join(self) -> StopReason {
        let joined = tokio::task::spawn_blocking(|| self.engine.join());
        tokio::time::timeout(Duration::from_secs(20), joined)
            .await
            .expect("the engine ends")
            .unwrap()
    }
}

/// The state that a journal replays to.
pub fn replayed(journal: &impl Journal, rehearsal: bool) -> (State, Replayed) {
    let mut state = State::new(rehearsal);
    let replayed = replay(&mut *journal.reader(None).unwrap(), &mut state).unwrap();
    assert!(state.conserves());
    (state, replayed)
}

/// The state that a start finds in snapshots and journal.
pub fn recovered(journal: &impl Journal, dir: &Path) -> Recovered {
    recover(journal, &Snapshots::new(dir.to_path_buf()), true).unwrap()
}

/// Asks for one instruction.
pub async fn ask(handle: &Handle, number: u64) -> Vec<InstructionAnswer> {
    let query = Query::Instructions(identity(number).uetr);
    match handle.query(query, Sequence(0)).await.unwrap().view {
        View::Instructions(answers) => answers,
        other => panic!("{other:?}"),
    }
}

/// The counts, and the sequence at which they are true.
pub async fn statistics(handle: &Handle) -> Result<(Statistics, u64), EngineError> {
    let answered = handle.query(Query::Statistics, Sequence(0)).await?;
    match answered.view {
        View::Statistics(statistics) => Ok((statistics, answered.sequence.0)),
        other => panic!("{other:?}"),
    }
}

/// Runs a call beside the test, so that it can be seen to wait.
pub fn submit(
    handle: &Handle,
    batch: Submissions,
) -> tokio::task::JoinHandle<Result<SubmitAnswer, EngineError>> {
    let handle = handle.clone();
    tokio::spawn(async move { handle.submit(batch).await })
}

pub fn send(
    handle: &Handle,
    command: Command,
) -> tokio::task::JoinHandle<Result<Result<CommandAnswer, Refusal>, EngineError>> {
    let handle = handle.clone();
    tokio::spawn(async move { handle.command(command).await })
}

/// Long enough for an answer that leaves too early to be seen.
pub async fn a_while() {
    tokio::time::sleep(Duration::from_millis(40)).await;
}

/// A journal that a test holds, and finds again after the engine is gone.
pub struct Held<J> {
    journal: Arc<Mutex<J>>,
    gate: Arc<Gate>,
}

impl<J> Clone for Held<J> {
    fn clone(&self) -> Self {
        Self {
            journal: Arc::clone(&self.journal),
            gate: Arc::clone(&self.gate),
        }
    }
}

#[derive(Default)]
struct Gate {
    state: Mutex<GateState>,
    moved: Condvar,
}

#[derive(Default)]
struct GateState {
    closed: bool,
    /// Appends that wait at the closed gate.
    waiting: bool,
    appends: u64,
    /// What the last mark covers.
    marked: u64,
    reserve_fails: Option<fn() -> AppendError>,
}

impl<J: Journal> Held<J> {
    pub fn new(journal: J) -> Self {
        Self {
            journal: Arc::new(Mutex::new(journal)),
            gate: Arc::default(),
        }
    }

    fn inner(&self) -> MutexGuard<'_, J> {
        self.journal.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn state(&self) -> MutexGuard<'_, GateState> {
        self.gate.state.lock().unwrap()
    }

    /// From here on an append waits before it writes.
    pub fn close(&self) {
        self.state().closed = true;
    }

    pub fn open(&self) {
        self.state().closed = false;
        self.gate.moved.notify_all();
    }

    /// Until an append waits at the gate.
    pub fn wait_for_append(&self) {
        let state = self.state();
        let waiting = |state: &mut GateState| !state.waiting;
        let waited = self
            .gate
            .moved
            .wait_timeout_while(state, Duration::from_secs(10), waiting);
        assert!(!waited.unwrap().1.timed_out(), "no append came");
    }

    pub fn appends(&self) -> u64 {
        self.state().appends
    }

    /// Whether nothing was appended since the last mark.
    pub fn is_marked(&self) -> bool {
        let state = self.state();
        state.marked == state.appends
    }

    pub fn fail_reserve(&self, with: Option<fn() -> AppendError>) {
        self.state().reserve_fails = with;
    }

    /// The journal itself, once no engine has it.
    pub fn into_inner(self) -> J {
        let journal = Arc::into_inner(self.journal).expect("the engine has let go of it");
        journal.into_inner().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Held<MemoryJournal> {
    pub fn memory() -> Self {
        Self::new(MemoryJournal::new(JOURNAL))
    }

    pub fn fail(&self, fault: Fault) {
        self.inner().fail(fault);
    }
}

impl<J: Journal> Source for Held<J> {
    fn id(&self) -> JournalId {
        self.inner().id()
    }

    fn watch(&self) -> Tail {
        self.inner().watch()
    }

    fn reader(&self, from: Option<Cursor>) -> Result<Box<dyn JournalReader>, ReadError> {
        self.inner().reader(from)
    }

    fn lookup(&self) -> Arc<dyn RecordLookup> {
        self.inner().lookup()
    }
}

impl<J: Journal> Journal for Held<J> {
    fn tail(&self) -> Cursor {
        self.inner().tail()
    }

    fn reserve(&mut self, bytes: usize) -> Result<(), AppendError> {
        if let Some(fails) = self.state().reserve_fails {
            return Err(fails());
        }
        self.inner().reserve(bytes)
    }

    fn append(
        &mut self,
        first_sequence: u64,
        last_sequence: u64,
        time_ms: i64,
        payload: &[u8],
    ) -> Result<Cursor, AppendError> {
        let mut state = self.state();
        state.appends += 1;
        state.waiting = state.closed;
        self.gate.moved.notify_all();
        state = self
            .gate
            .moved
            .wait_while(state, |state| state.closed)
            .unwrap();
        state.waiting = false;
        drop(state);
        self.inner()
            .append(first_sequence, last_sequence, time_ms, payload)
    }

    fn mark(&mut self) -> Result<(), AppendError> {
        let mut state = self.state();
        state.marked = state.appends;
        drop(state);
        self.inner().mark()
    }
}
