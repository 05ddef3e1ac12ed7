//! Every caller of the demo, each with its own token and connection, and the writes that scenes share.

use super::home::Home;
use super::world::{self, World};
use crate::cli::request_id::derived;
use crate::client::{CliError, Connection, Options};
use crate::output::Format;
use prost_types::Timestamp;
use std::collections::BTreeMap;
use valuta_proto::v1::{self, MovementKind, Role};

/// Tokens by label. They outlive the server that made them.
pub type Tokens = BTreeMap<String, String>;

/// Connections to one running server.
pub struct Session {
    /// The operator's.
    pub operator: Connection,
    /// By bank.
    pub banks: Vec<Connection>,
    /// By currency: its settlement agent's.
    agents: Vec<Connection>,
    /// Sees everything.
    pub treasury: Connection,
}

async fn open(url: &str, token: &str) -> Result<Connection, CliError> {
    let options = Options {
        server: url.to_owned(),
        token: Some(token.to_owned()),
        token_file: None,
        ca: None,
        output: Format::Table,
        timeout: 60,
    };
    Connection::open(&options).await
}

/// The operator's connection, with the token that the server's first start has written.
pub async fn operator(url: &str, home: &Home) -> Result<Connection, CliError> {
    let path = home.operator_token();
    let token = std::fs::read_to_string(&path).map_err(|error| CliError::file(&path, &error))?;
    open(url, token.trim()).await
}

/// Makes a token for each bank, each agent, and the treasury.
pub async fn create_tokens(operator: &Connection, world: &World) -> Result<Tokens, CliError> {
    let banks = world
        .banks
        .iter()
        .map(|bic| (Role::Participant, bic.clone()));
    let agents = world
        .assets
        .iter()
        .map(|asset| (Role::Agent, asset.agent.clone()));
    let mut callers: Vec<_> = banks.chain(agents).collect();
    callers.dedup();
    callers.push((Role::Treasury, String::new()));
    let mut tokens = Tokens::new();
    for (role, bic) in callers {
        let label = if bic.is_empty() {
            "treasury".to_owned()
        } else {
            bic.clone()
        };
        let mut request = v1::CreateTokenRequest {
            role: role.into(),
            bic,
            label: label.clone(),
            ..Default::default()
        };
        request.request_id = derived(&request);
        let answer = operator.admin().create_token(request).await?.into_inner();
        tokens.insert(label, answer.token);
    }
    Ok(tokens)
}

impl Session {
    /// Connects everybody; each bank has a connection of its own.
    pub async fn open(
        urls: &[&str],
        home: &Home,
        world: &World,
        tokens: &Tokens,
    ) -> Result<Self, CliError> {
        let token = |label: &str| tokens.get(label).map(String::as_str).unwrap_or_default();
        let mut banks = Vec::new();
        // Banks share the gateways, where there are several.
        for (bic, url) in world.banks.iter().zip(urls.iter().cycle()) {
            banks.push(open(url, token(bic)).await?);
        }
        let url = urls[0];
        let mut agents = Vec::new();
        for asset in &world.assets {
            agents.push(open(url, token(&asset.agent)).await?);
        }
        Ok(Self {
            operator: operator(url, home).await?,
            banks,
            agents,
            treasury: open(url, token("treasury")).await?,
        })
    }

    /// Moves the rehearsal's clock, which ticks.
    pub async fn set_time(&self, minutes: i64) -> Result<(), CliError> {
        set_time(&self.operator, world::at(minutes)).await
    }

    /// An agent confirms a movement of minor units. `what` tells movements of one size apart.
    pub async fn confirm(
        &self,
        world: &World,
        kind: MovementKind,
        (bank, asset): (usize, usize),
        minor: i128,
        (cycle, what): (&str, &str),
    ) -> Result<(), CliError> {
        let mut request = v1::RecordMovementRequest {
            kind: kind.into(),
            participant: world.banks[bank].clone(),
            asset: world.assets[asset].code.clone(),
            amount: world.amount(asset, minor),
            cycle: cycle.to_owned(),
            request_id: what.to_owned(),
            ..Default::default()
        };
        request.request_id = derived(&request);
        let answer = self.agents[asset]
            .settlement()
            .record_movement(request)
            .await?
            .into_inner();
        match answer.rejection {
            None => Ok(()),
            Some(rejection) => Err(CliError::Refused(format!(
                "{} {} {}: {} {}",
                kind.as_str_name(),
                world.banks[bank],
                world.amount(asset, minor),
                rejection.code,
                rejection.detail
            ))),
        }
    }

    /// One step of a cycle, by the operator.
    pub async fn step(&self, step: Step, cycle: &str) -> Result<v1::Cycle, CliError> {
        let mut settlement = self.operator.settlement();
        let request = v1::CycleRequest {
            cycle: cycle.to_owned(),
            created: None,
            request_id: super::super::cli::request_id::RequestId::default().or_fresh()?,
        };
        let answer = match step {
            Step::Close => settlement.close_cycle(request).await?,
            Step::Net => settlement.net_cycle(request).await?,
            Step::Settle => settlement.settle_cycle(request).await?,
        };
        Ok(answer.into_inner().cycle.unwrap_or_default())
    }

    /// A cycle as it stands.
    pub async fn cycle(&self, cycle: &str) -> Result<v1::Cycle, CliError> {
        let request = v1::GetCycleRequest {
            cycle: cycle.to_owned(),
            min_sequence: 0,
        };
        let answer = self
            .treasury
            .settlement()
            .get_cycle(request)
            .await?
            .into_inner();
        Ok(answer.cycle.unwrap_or_default())
    }

    /// Every account.
    pub async fn positions(&self) -> Result<Vec<v1::Position>, CliError> {
        let request = v1::GetPositionsRequest::default();
        Ok(self
            .treasury
            .treasury()
            .get_positions(request)
            .await?
            .into_inner()
            .positions)
    }

    /// Per currency.
    pub async fn control_totals(&self) -> Result<Vec<v1::ControlTotal>, CliError> {
        let request = v1::GetControlTotalsRequest::default();
        Ok(self
            .treasury
            .treasury()
            .get_control_totals(request)
            .await?
            .into_inner()
            .totals)
    }

    /// The server's counts.
    pub async fn status(&self) -> Result<v1::GetStatusResponse, CliError> {
        Ok(self
            .operator
            .admin()
            .get_status(v1::GetStatusRequest {})
            .await?
            .into_inner())
    }
}

/// A cycle's steps.
#[derive(Clone, Copy)]
#[allow(missing_docs)]
pub enum Step {
    Close,
    Net,
    Settle,
}

/// Moves the rehearsal's clock.
pub async fn set_time(operator: &Connection, time: Timestamp) -> Result<(), CliError> {
    let mut request = v1::SetTimeRequest {
        time: Some(time),
        request_id: String::new(),
    };
    request.request_id = derived(&request);
    operator.admin().set_time(request).await?;
    Ok(())
}
