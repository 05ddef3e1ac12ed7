//! Credited banks: each reads its stream of settled instructions to where it must end, and acknowledges.

use super::instruction::{Payload, Planned, Purpose};
use super::plan::Plan;
use super::world::{ASSETS, BANKS, World};
use crate::cli::text::present;
use crate::client::{CliError, Connection};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;
use valuta_proto::v1;

/// Longer than the read model can lag behind on any machine.
const RECEIVE_TIMEOUT: Duration = Duration::from_secs(60);

/// What one bank received, or must receive.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub struct Credits {
    /// Instructions with a leg that credits the bank.
    pub instructions: usize,
    /// Sum of those legs, by currency in minor units.
    pub minor: [i128; ASSETS],
}

/// What some instructions bring to each bank. Trades are left out: both sides carry the same legs.
pub fn expected<'a>(planned: impl Iterator<Item = &'a Planned>) -> [Credits; BANKS] {
    let mut credits = [Credits::default(); BANKS];
    for planned in planned.filter(|planned| !is_trade(planned)) {
        let mut seen = [false; BANKS];
        for leg in planned.legs() {
            let credits = &mut credits[leg.creditor];
            credits.minor[leg.asset] += i128::from(leg.minor);
            credits.instructions += usize::from(!seen[leg.creditor]);
            seen[leg.creditor] = true;
        }
    }
    credits
}

fn is_trade(planned: &Planned) -> bool {
    matches!(planned.payload, Payload::TradeSide { .. })
}

/// Everything that settles gross before the afternoon.
pub fn of_morning(plan: &Plan) -> [Credits; BANKS] {
    expected(settling(&plan.morning))
}

/// The payments that settle in the day's cycle.
pub fn of_cycle(plan: &Plan) -> [Credits; BANKS] {
    expected(
        plan.all()
            .filter(|planned| planned.purpose == Purpose::JoinsCycle),
    )
}

/// Everything that settles gross in the afternoon.
pub fn of_afternoon(plan: &Plan) -> [Credits; BANKS] {
    expected(settling(&plan.afternoon))
}

fn settling(streams: &[Vec<Planned>]) -> impl Iterator<Item = &Planned> {
    streams
        .iter()
        .flatten()
        .filter(|planned| planned.purpose == Purpose::Settles)
}

/// Receives until `expected` is there, then acknowledges: the next call starts after it.
///
/// # Errors
/// [`CliError::Refused`] if an instruction comes twice, or not enough come in time.
pub async fn receive(
    world: Arc<World>,
    connection: Connection,
    bank: usize,
    expected: Credits,
) -> Result<Credits, CliError> {
    let mut received = Credits::default();
    let reading = read(
        &world,
        &connection,
        bank,
        expected.instructions,
        &mut received,
    );
    match tokio::time::timeout(RECEIVE_TIMEOUT, reading).await {
        Ok(done) => done.map(|()| received),
        Err(_) => Err(CliError::Refused(format!(
            "{} has received {} of {} instructions in time",
            world.banks[bank], received.instructions, expected.instructions
        ))),
    }
}

async fn read(
    world: &World,
    connection: &Connection,
    bank: usize,
    wanted: usize,
    received: &mut Credits,
) -> Result<(), CliError> {
    let mut seen = BTreeSet::new();
    let mut position = String::new();
    let mut payments = connection.unlimited().payments();
    let mut stream = payments
        .receive(v1::ReceiveRequest::default())
        .await?
        .into_inner();
    while received.instructions < wanted {
        let next = present(stream.message().await?, "next instruction")?;
        position = next.position;
        let view = next.instruction.unwrap_or_default();
        let instruction = present(view.instruction, "content")?;
        if instruction.kind == i32::from(v1::Kind::TradeSide) {
            continue;
        }
        if !seen.insert(instruction.uetr.clone()) {
            return Err(CliError::Refused(format!(
                "{} came twice",
                instruction.uetr
            )));
        }
        received.instructions += 1;
        for leg in instruction
            .legs
            .iter()
            .filter(|leg| leg.creditor == world.banks[bank])
        {
            let asset = world.asset(&leg.asset);
            received.minor[asset] += present(world.minor(asset, &leg.amount), "amount")?;
        }
    }
    if position.is_empty() {
        return Ok(());
    }
    crate::cli::acknowledge(connection, &position).await
}

/// All banks at once.
///
/// # Errors
/// As [`receive`]; the first bank's.
pub async fn receive_all(
    world: Arc<World>,
    connections: Vec<Connection>,
    expected: [Credits; BANKS],
) -> Result<[Credits; BANKS], CliError> {
    let tasks: Vec<_> = connections
        .into_iter()
        .zip(expected)
        .enumerate()
        .map(|(bank, (connection, expected))| {
            tokio::spawn(receive(world.clone(), connection, bank, expected))
        })
        .collect();
    let mut all = [Credits::default(); BANKS];
    for (credits, task) in all.iter_mut().zip(tasks) {
        let received = task.await;
        *credits = received
            .map_err(|error| CliError::Refused(format!("a receiver failed: {error}")))??;
    }
    Ok(all)
}
