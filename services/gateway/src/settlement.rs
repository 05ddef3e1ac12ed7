//! `SettlementService`: cycles, movements and batches.

use crate::auth;
use crate::convert;
use crate::deadline::WAIT_DEFAULT;
use crate::errors;
use crate::fields::{self, optional};
use crate::gateway::{Call, Gateway, Write, view};
use crate::paging;
use crate::ports::{BatchFilter, BatchRow, Engine, Reads, RunOrder};
use crate::rejection;
use fx::{AssetCode, DecimalText};
use settlement_core::command::{Action, Caller, Movement, MovementKind, Refusal};
use settlement_core::ids::{Bic, CycleName};
use settlement_core::state::FrozenView;
use settlement_core::view::{CycleState, CycleView, Query};
use tonic::{Request, Response, Status};
use valuta_proto::v1;
use valuta_proto::v1::settlement_service_server::SettlementService;

type Answer<T> = Result<Response<T>, Status>;

const BATCHES: &str = "batches";
const UNSETTLED: &str = "unsettled";
/// Runs that a step waits for: every pay-in meanwhile starts another.
const RUNS_AWAITED_MAX: usize = 8;

#[tonic::async_trait]
impl<E: Engine, R: Reads> SettlementService for Gateway<E, R> {
    async fn open_cycle(
        &self,
        request: Request<v1::OpenCycleRequest>,
    ) -> Answer<v1::CycleResponse> {
        let (call, request) = self.open(request)?;
        let cycle = fields::cycle("cycle", &request.cycle)?;
        let action = Action::OpenCycle {
            cycle,
            cut_off: fields::optional_time("cut_off", request.cut_off)?,
            pay_in_deadline: fields::optional_time("pay_in_deadline", request.pay_in_deadline)?,
            completion_deadline: fields::optional_time(
                "completion_deadline",
                request.completion_deadline,
            )?,
        };
        let content = v1::OpenCycleRequest {
            request_id: String::new(),
            created: None,
            ..request.clone()
        };
        let write = Write::new(&request.request_id, request.created, "OpenCycle", &content);
        let done = self.command(call, write, action).await?;
        self.cycle_response(call, cycle, done.sequence.0).await
    }

    async fn close_cycle(&self, request: Request<v1::CycleRequest>) -> Answer<v1::CycleResponse> {
        let (call, cycle, sequence) = self.step(request, "CloseCycle", Action::CloseCycle).await?;
        self.cycle_response(call, cycle, sequence).await
    }

    async fn net_cycle(&self, request: Request<v1::CycleRequest>) -> Answer<v1::CycleResponse> {
        let (call, cycle, sequence) = self.step(request, "NetCycle", Action::NetCycle).await?;
        self.cycle_response(call, cycle, sequence).await
    }

    async fn settle_cycle(&self, request: Request<v1::CycleRequest>) -> Answer<v1::CycleResponse> {
        let (call, cycle, sequence) = self
            .step(request, "SettleCycle", Action::SettleCycle)
            .await?;
        let at = self.run_done(call, cycle, sequence).await?;
        self.cycle_response(call, cycle, at).await
    }

    async fn get_cycle(&self, request: Request<v1::GetCycleRequest>) -> Answer<v1::CycleResponse> {
        let (call, request) = self.open(request)?;
        let cycle = fields::cycle("cycle", &request.cycle)?;
        self.cycle_response(call, cycle, request.min_sequence).await
    }

    async fn list_cycles(
        &self,
        request: Request<v1::ListCyclesRequest>,
    ) -> Answer<v1::ListCyclesResponse> {
        let (call, request) = self.open(request)?;
        let cycles = view!(
            self.query(call, Query::Cycles, request.min_sequence)
                .await?,
            Cycles
        )?;
        Ok(Response::new(v1::ListCyclesResponse {
            cycles: cycles.into_iter().map(convert::cycle).collect(),
        }))
    }

    async fn list_unsettled(
        &self,
        request: Request<v1::ListUnsettledRequest>,
    ) -> Answer<v1::ListUnsettledResponse> {
        let (call, request) = self.open(request)?;
        let participant = auth::reads_for(call.caller)?;
        let cycle = fields::cycle("cycle", &request.cycle)?;
        let size = paging::size(request.page_size)?;
        let start = paging::start(UNSETTLED, &request.page_token)?.unwrap_or(0);
        let offset =
            usize::try_from(start).map_err(|_| errors::invalid("page_token", "too large"))?;
        let question =
            move |frozen: &FrozenView| frozen.unsettled(cycle, participant, offset, size + 1);
        let mut rows = self.ask(call, request.min_sequence, question).await?;
        if rows.is_empty() {
            self.check_cycle(call, cycle).await?;
        }
        let next = start + size as u64;
        let next_page_token = paging::cut(&mut rows, size, UNSETTLED, |_| next);
        Ok(Response::new(v1::ListUnsettledResponse {
            unsettled: rows
                .iter()
                .map(|row| convert::explanation(row, participant))
                .collect(),
            next_page_token,
        }))
    }

    async fn record_movement(
        &self,
        request: Request<v1::RecordMovementRequest>,
    ) -> Answer<v1::RecordMovementResponse> {
        let (call, request) = self.open(request)?;
        let movement = movement(&request)?;
        let content = v1::RecordMovementRequest {
            request_id: String::new(),
            created: None,
            ..request.clone()
        };
        let write = Write::new(
            &request.request_id,
            request.created,
            "RecordMovement",
            &content,
        );
        let done = self
            .try_command(call, write, Action::Move(movement))
            .await?;
        let response = match done {
            Ok(done) => v1::RecordMovementResponse {
                sequence: done.sequence.0,
                status: v1::Status::Acsc as i32,
                rejection: None,
            },
            Err(Refusal::Rejected(rejected)) => v1::RecordMovementResponse {
                sequence: 0,
                status: v1::Status::Rjct as i32,
                rejection: Some(rejection::movement_to_wire(&rejected)),
            },
            Err(refused) => return Err(errors::refusal(&refused)),
        };
        Ok(Response::new(response))
    }

    async fn get_batch(&self, request: Request<v1::GetBatchRequest>) -> Answer<v1::BatchResponse> {
        let (call, request) = self.open(request)?;
        if request.batch == 0 {
            return Err(errors::missing("batch"));
        }
        if request.wait {
            self.listed(request.batch, Some(call.deadline)).await?;
        }
        let reader = match call.caller {
            Caller::Agent(bic) => Some(bic),
            other => auth::reads_for(other)?,
        };
        let row = self
            .reads
            .batch(request.batch)
            .await
            .map_err(errors::reads)?;
        let row =
            row.ok_or_else(|| errors::not_found("batch", format!("no batch {}", request.batch)))?;
        Ok(Response::new(v1::BatchResponse {
            batch: Some(batch(row, reader)),
        }))
    }

    async fn list_batches(
        &self,
        request: Request<v1::ListBatchesRequest>,
    ) -> Answer<v1::ListBatchesResponse> {
        let (call, request) = self.open(request)?;
        let size = paging::size(request.page_size)?;
        let filter = BatchFilter {
            cycle: optional("cycle", &request.cycle, fields::cycle)?,
            before: paging::start(BATCHES, &request.page_token)?,
            limit: size + 1,
        };
        self.projected(call, request.min_sequence).await?;
        let mut rows = self.reads.batches(filter).await.map_err(errors::reads)?;
        let next_page_token = paging::cut(&mut rows, size, BATCHES, |row| row.number);
        Ok(Response::new(v1::ListBatchesResponse {
            batches: rows.into_iter().map(|row| batch(row, None)).collect(),
            next_page_token,
        }))
    }
}

impl<E: Engine, R: Reads> Gateway<E, R> {
    /// One step of a cycle, journaled: the cycle and the step's sequence.
    async fn step(
        &self,
        request: Request<v1::CycleRequest>,
        method: &str,
        action: fn(CycleName) -> Action,
    ) -> Result<(Call, CycleName, u64), Status> {
        let (call, request) = self.open(request)?;
        let cycle = fields::cycle("cycle", &request.cycle)?;
        let content = v1::CycleRequest {
            request_id: String::new(),
            created: None,
            ..request.clone()
        };
        for _ in 0..RUNS_AWAITED_MAX {
            let write = Write::new(&request.request_id, request.created, method, &content);
            match self.try_command(call, write, action(cycle)).await? {
                Ok(done) => return Ok((call, cycle, done.sequence.0)),
                Err(Refusal::RunUnderWay) => _ = self.run_done(call, cycle, 0).await?,
                Err(refused) => return Err(errors::refusal(&refused)),
            }
        }
        Err(errors::refusal(&Refusal::RunUnderWay))
    }

    /// `NOT_FOUND` if there is no such cycle: an empty list is an answer only for one that is there.
    async fn check_cycle(&self, call: Call, name: CycleName) -> Result<(), Status> {
        let cycles = view!(self.query(call, Query::Cycles, 0).await?, Cycles)?;
        match cycles.iter().any(|cycle| cycle.name == name) {
            true => Ok(()),
            false => Err(no_cycle(name)),
        }
    }

    /// The cycle as the caller may see it: a participant its own positions and nets, a settlement
    /// agent the positions in its assets, others all.
    async fn cycle_response(
        &self,
        call: Call,
        name: CycleName,
        at: u64,
    ) -> Answer<v1::CycleResponse> {
        let reader = match call.caller {
            Caller::Participant(bic) => Some(bic),
            Caller::Agent(_) | Caller::Operator | Caller::Treasury | Caller::Auditor => None,
        };
        let answered = self.query(call, Query::Cycle(name, reader), at).await?;
        let sequence = answered.sequence.0;
        let mut cycle = view!(answered, Cycle)?.ok_or_else(|| no_cycle(name))?;
        if let Caller::Agent(agent) = call.caller {
            self.only_assets_of(call, agent, &mut cycle).await?;
        }
        Ok(Response::new(v1::CycleResponse {
            cycle: Some(convert::cycle(*cycle)),
            sequence,
        }))
    }

    async fn only_assets_of(
        &self,
        call: Call,
        agent: Bic,
        cycle: &mut CycleView,
    ) -> Result<(), Status> {
        let (scheme, _) = self.scheme(call, 0).await?;
        let own: Vec<AssetCode> = scheme
            .assets
            .iter()
            .filter(|line| line.agent == agent)
            .map(|line| line.code)
            .collect();
        cycle
            .positions
            .retain(|position| own.contains(&position.asset.code));
        cycle.bilateral.clear();
        Ok(())
    }

    /// Waits until the run that was asked for is journaled, at most ten seconds; then answers what holds.
    async fn run_done(&self, call: Call, cycle: CycleName, from: u64) -> Result<u64, Status> {
        let mut durable = self.engine.durable();
        let awaited = async {
            let mut at = from;
            loop {
                durable.borrow_and_update();
                let (done, sequence) = self.run_is_done(call, cycle, at).await?;
                if done {
                    return Ok(sequence);
                }
                durable.changed().await.map_err(|_| errors::stopping())?;
                at = sequence;
            }
        };
        let bounded = tokio::time::timeout(WAIT_DEFAULT, awaited);
        match call.deadline.wait("the run", bounded).await? {
            Ok(done) => done,
            // The run goes on; the cycle's view says how far it is.
            Err(_) => Ok(from),
        }
    }

    async fn run_is_done(
        &self,
        call: Call,
        name: CycleName,
        at: u64,
    ) -> Result<(bool, u64), Status> {
        let answered = self.query(call, Query::Cycle(name, None), at).await?;
        let sequence = answered.sequence.0;
        let cycle = view!(answered, Cycle)?.ok_or_else(|| no_cycle(name))?;
        // Nothing counts as left behind until a run's outcome is known for what is paid in now.
        let decided = cycle.settled + cycle.left_behind + cycle.held;
        let done = cycle.state == CycleState::Completed || decided >= cycle.members;
        Ok((done, sequence))
    }
}

fn no_cycle(name: CycleName) -> Status {
    errors::not_found("cycle", format!("no cycle {name}"))
}

/// What is no asset or amount is left to the core, which has codes for that.
fn movement(request: &v1::RecordMovementRequest) -> Result<Movement, Status> {
    let kind = match v1::MovementKind::try_from(request.kind) {
        Ok(v1::MovementKind::Deposit) => MovementKind::Deposit,
        Ok(v1::MovementKind::Withdrawal) => MovementKind::Withdrawal,
        Ok(v1::MovementKind::PayIn) => MovementKind::PayIn,
        Ok(v1::MovementKind::PayOut) => MovementKind::PayOut,
        Ok(v1::MovementKind::Transfer) => MovementKind::Transfer,
        Ok(v1::MovementKind::Unspecified) => return Err(errors::missing("kind")),
        Err(_) => return Err(fields::unknown("kind")),
    };
    let amount = DecimalText::parse(request.amount.as_bytes()).ok();
    let names_cycle = !matches!(kind, MovementKind::Deposit | MovementKind::Withdrawal);
    let cycle = optional("cycle", &request.cycle, fields::cycle)?;
    match (names_cycle, cycle) {
        (true, None) => return Err(errors::missing("cycle")),
        (false, Some(_)) => return Err(errors::invalid("cycle", "not of a deposit or withdrawal")),
        (true, Some(_)) | (false, None) => {}
    }
    Ok(Movement {
        kind,
        participant: fields::bic("participant", &request.participant)?,
        asset: AssetCode::parse(request.asset.as_bytes()),
        mantissa: amount.map(|amount| amount.mantissa),
        scale: amount.map_or(0, |amount| amount.scale),
        negative: amount.is_some_and(|amount| amount.negative),
        cycle,
    })
}

/// With the reader's postings; its header, counts and roots are no secret.
fn batch(row: BatchRow, reader: Option<Bic>) -> v1::Batch {
    let own = row
        .postings
        .iter()
        .filter(|posting| reader.is_none_or(|bic| bic == posting.participant));
    let postings = own
        .map(|posting| v1::Posting {
            participant: posting.participant.to_string(),
            asset: posting.asset.code.to_string(),
            amount: convert::amount(posting.amount, posting.asset),
        })
        .collect();
    let anchored = row.anchor.is_some();
    let (log_index, header) = row
        .anchor
        .map(|anchor| (anchor.log_index, anchor.header))
        .unwrap_or_default();
    v1::Batch {
        number: row.number,
        cycle: row
            .cycle
            .map_or_else(String::new, |cycle| cycle.to_string()),
        time: Some(convert::time(row.time)),
        members: row.members,
        sequence: row.sequence.0,
        postings,
        header,
        anchored,
        log_index,
        order: match row.order {
            None => v1::BatchOrder::Unspecified,
            Some(RunOrder::Kept) => v1::BatchOrder::Kept,
            Some(RunOrder::Bypassed { .. }) => v1::BatchOrder::Bypassed,
        } as i32,
        optimal: row.order.is_some_and(RunOrder::is_optimal),
    }
}
