//! A small scheme for tests: banks A to D, three currencies of 0, 2 and 3 decimals, and their agents.

use crate::server::{Client, Server};
use std::collections::BTreeMap;
use std::path::Path;
use valuta_proto::v1;

/// Friday, 2026-11-20, 08:00 UTC.
pub const MORNING_MS: i64 = 1_795_161_600_000;
/// Its date.
pub const TODAY: &str = "2026-11-20";
/// Banks, all with an account in every asset.
pub const BANKS: [&str; 4] = ["AAAAUS33", "BBBBDEFF", "CCCCJPJT", "DDDDGB2L"];
/// (code, decimals, agent).
pub const ASSETS: [(&str, u32, &str); 4] = [
    ("USD", 2, "FRNYUS33"),
    ("EUR", 2, "ECBFDEFF"),
    ("JPY", 0, "BOJPJPJT"),
    ("KWD", 3, "CBKUKWKW"),
];

/// Milliseconds since 1970 on the wire.
pub fn timestamp(ms: i64) -> prost_types::Timestamp {
    prost_types::Timestamp {
        seconds: ms.div_euclid(1_000),
        nanos: i32::try_from(ms.rem_euclid(1_000)).expect("below 1,000") * 1_000_000,
    }
}

/// The scheme on the wire.
pub fn scheme() -> v1::Scheme {
    v1::Scheme {
        name: "test".to_owned(),
        base_asset: "USD".to_owned(),
        assets: ASSETS
            .iter()
            .map(|&(code, decimals, agent)| v1::Asset {
                code: code.to_owned(),
                decimals,
                agent: agent.to_owned(),
                enabled: true,
            })
            .collect(),
        participants: BANKS
            .iter()
            .map(|&bic| v1::Participant {
                bic: bic.to_owned(),
                name: format!("Bank {}", &bic[..1]),
                state: v1::ParticipantState::Active.into(),
            })
            .collect(),
        accounts: BANKS
            .iter()
            .flat_map(|&bic| {
                ASSETS.iter().map(move |&(asset, ..)| v1::Account {
                    participant: bic.to_owned(),
                    asset: asset.to_owned(),
                    state: v1::AccountState::Open.into(),
                })
            })
            .collect(),
        limits: Vec::new(),
        cut_offs: Some(v1::CutOffs {
            zone: "Europe/Zurich".to_owned(),
            close: "14:00".to_owned(),
            pay_in: "16:00".to_owned(),
            completion: "18:00".to_owned(),
        }),
        ..v1::Scheme::default()
    }
}

/// A server with the scheme applied and a client for everyone.
pub struct World {
    /// The process.
    pub server: Server,
    /// Whoever runs it.
    pub operator: Client,
    /// Tokens by BIC (banks and agents) and by role ("TREASURY", "AUDITOR").
    pub tokens: BTreeMap<String, String>,
}

impl World {
    /// Starts a server on `data`, sets the time to [`MORNING_MS`], applies the scheme, makes tokens.
    pub async fn start(data: &Path) -> anyhow::Result<Self> {
        Self::on(Server::start(data)?).await
    }

    /// The same on a server that runs.
    pub async fn on(server: Server) -> anyhow::Result<Self> {
        let mut operator = server.client(&server.operator_token()?).await?;
        let tokens = prepare(&mut operator).await?;
        Ok(Self {
            server,
            operator,
            tokens,
        })
    }

    /// A client of a bank, an agent, "TREASURY" or "AUDITOR".
    pub async fn client(&self, name: &str) -> anyhow::Result<Client> {
        self.server.client(&self.tokens[name]).await
    }

    /// An agent confirms a deposit.
    pub async fn deposit(&self, bic: &str, asset: &str, amount: &str) -> anyhow::Result<()> {
        let agent = self.client(agent_of(asset)).await?;
        deposit(agent, bic, asset, amount).await
    }

    /// Waits until every batch that closed is anchored and in the read model; their number.
    pub async fn anchored(&self) -> anyhow::Result<u64> {
        let mut operator = self.operator.clone();
        let status = operator.admin.get_status(v1::GetStatusRequest {}).await?;
        let batch = status.into_inner().batches;
        let request = v1::GetBatchRequest { batch, wait: true };
        operator.settlement.get_batch(request).await?;
        Ok(batch)
    }
}

fn agent_of(asset: &str) -> &'static str {
    let agent = ASSETS.iter().find(|(code, ..)| *code == asset);
    agent.map(|(_, _, agent)| *agent).unwrap_or_default()
}

async fn deposit(mut agent: Client, bic: &str, asset: &str, amount: &str) -> anyhow::Result<()> {
    let answer = agent
        .settlement
        .record_movement(v1::RecordMovementRequest {
            request_id: format!("deposit-{bic}-{asset}-{amount}"),
            created: Some(timestamp(MORNING_MS)),
            kind: v1::MovementKind::Deposit.into(),
            participant: bic.to_owned(),
            asset: asset.to_owned(),
            amount: amount.to_owned(),
            cycle: String::new(),
        })
        .await?
        .into_inner();
    anyhow::ensure!(answer.rejection.is_none(), "{answer:?}");
    Ok(())
}

/// Sets the time to [`MORNING_MS`], applies the scheme, makes tokens.
pub async fn prepare(operator: &mut Client) -> anyhow::Result<BTreeMap<String, String>> {
    operator.set_time(MORNING_MS).await?;
    operator
        .admin
        .apply_scheme(v1::ApplySchemeRequest {
            request_id: "scheme".to_owned(),
            created: Some(timestamp(MORNING_MS)),
            scheme: Some(scheme()),
        })
        .await?;
    let banks = BANKS.iter().map(|bic| (v1::Role::Participant, *bic));
    let agents = ASSETS.iter().map(|(_, _, bic)| (v1::Role::Agent, *bic));
    let mut tokens = BTreeMap::new();
    for (role, bic) in banks.chain(agents).chain(READERS) {
        let name = name_of(role, bic);
        let request = v1::CreateTokenRequest {
            request_id: format!("token-{name}"),
            created: Some(timestamp(MORNING_MS)),
            role: role.into(),
            bic: bic.to_owned(),
            label: name.to_owned(),
        };
        let answer = operator.admin.create_token(request).await?.into_inner();
        tokens.insert(name.to_owned(), answer.token);
    }
    Ok(tokens)
}

/// Who reads everything, and is of no bank.
pub const READERS: [(v1::Role, &str); 2] = [(v1::Role::Treasury, ""), (v1::Role::Auditor, "")];

/// What a caller's token is kept under: its BIC, or its role without one.
pub fn name_of(role: v1::Role, bic: &str) -> &str {
    match bic {
        "" => role.as_str_name().trim_start_matches("ROLE_"),
        bic => bic,
    }
}

/// Deposits an amount of every asset for every bank, over a server at `address`.
pub async fn fund(
    address: &str,
    tokens: &BTreeMap<String, String>,
    amount: &str,
) -> anyhow::Result<()> {
    for (asset, _, agent) in ASSETS {
        let agent = Client::connect(address, &tokens[agent]).await?;
        for bic in BANKS {
            deposit(agent.clone(), bic, asset, amount).await?;
        }
    }
    Ok(())
}

/// A gross payment of today; change what the test is about.
pub fn payment(uetr: u128, from: &str, to: &str, amount: &str, asset: &str) -> v1::Instruction {
    v1::Instruction {
        uetr: uetr_text(uetr),
        kind: v1::Kind::Payment.into(),
        lane: v1::Lane::Gross.into(),
        instructing: from.to_owned(),
        created: Some(timestamp(MORNING_MS)),
        value_date: TODAY.to_owned(),
        legs: vec![v1::Leg {
            debtor: from.to_owned(),
            creditor: to.to_owned(),
            amount: amount.to_owned(),
            asset: asset.to_owned(),
            kind: v1::LegKind::Unspecified.into(),
        }],
        instruction_id: format!("I{uetr}"),
        end_to_end_id: format!("E{uetr}"),
        ..v1::Instruction::default()
    }
}

/// A version-4 UUID text that differs for each number below 2^60.
pub fn uetr_text(number: u128) -> String {
    let (high, low) = (number >> 30, number & 0x3fff_ffff);
    format!("{:08x}-0000-4000-8000-{:012x}", high & 0xffff_ffff, low)
}
