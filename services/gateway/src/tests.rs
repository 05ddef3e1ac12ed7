//! The services over a real connection and doubles of the two ports.

#![allow(clippy::unwrap_used)]

mod audit;
mod commands;
mod ledger;
mod payment;
mod server;
mod streams;

use crate::testing::{BANK_A, BANK_B, Double, bic};
use crate::{ServeConfig, serve};
use settlement_core::command::Caller;
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::sync::{oneshot, watch};
use tonic::metadata::MetadataValue;
use tonic::transport::Channel;
use tonic::{Code, Request, Status};
use tonic_types::StatusExt;
use valuta_proto::v1;
use valuta_proto::v1::admin_service_client::AdminServiceClient;
use valuta_proto::v1::audit_service_client::AuditServiceClient;
use valuta_proto::v1::fx_service_client::FxServiceClient;
use valuta_proto::v1::ledger_service_client::LedgerServiceClient;
use valuta_proto::v1::payment_service_client::PaymentServiceClient;
use valuta_proto::v1::settlement_service_client::SettlementServiceClient;

const TOKEN_A: &str = "vt_a";
const TOKEN_B: &str = "vt_b";
const TOKEN_AGENT: &str = "vt_agent";
const TOKEN_OPERATOR: &str = "vt_operator";
const TOKEN_TREASURY: &str = "vt_treasury";
const TOKEN_AUDITOR: &str = "vt_auditor";

/// A server on a free port over a double.
struct Rig {
    double: Double,
    address: SocketAddr,
    channel: Channel,
    stop: watch::Sender<bool>,
    served: tokio::task::JoinHandle<Result<(), crate::ServeError>>,
}

impl Rig {
    async fn start() -> Self {
        let double = Double::default()
            .with_token(TOKEN_A, Caller::Participant(bic(BANK_A)))
            .with_token(TOKEN_B, Caller::Participant(bic(BANK_B)))
            .with_token(TOKEN_AGENT, Caller::Agent(bic("FEDRUS33")))
            .with_token(TOKEN_OPERATOR, Caller::Operator)
            .with_token(TOKEN_TREASURY, Caller::Treasury)
            .with_token(TOKEN_AUDITOR, Caller::Auditor);
        let (stop, shutdown) = watch::channel(false);
        let (bound, address) = oneshot::channel();
        let served = tokio::spawn(serve(
            config("127.0.0.1:0"),
            double.clone(),
            double.clone(),
            shutdown,
            |at| bound.send(at).unwrap(),
        ));
        let address = address.await.unwrap();
        let channel = Channel::from_shared(format!("http://{address}")).unwrap();
        Self {
            double,
            address,
            channel: channel.connect().await.unwrap(),
            stop,
            served,
        }
    }

    fn payment(&self) -> PaymentServiceClient<Channel> {
        PaymentServiceClient::new(self.channel.clone())
    }

    fn settlement(&self) -> SettlementServiceClient<Channel> {
        SettlementServiceClient::new(self.channel.clone())
    }

    fn admin(&self) -> AdminServiceClient<Channel> {
        AdminServiceClient::new(self.channel.clone())
    }

    fn fx(&self) -> FxServiceClient<Channel> {
        FxServiceClient::new(self.channel.clone())
    }

    fn audit(&self) -> AuditServiceClient<Channel> {
        AuditServiceClient::new(self.channel.clone())
    }

    fn ledger(&self) -> LedgerServiceClient<Channel> {
        LedgerServiceClient::new(self.channel.clone())
    }
}

fn config(listen: &str) -> ServeConfig {
    ServeConfig {
        listen: listen.parse().unwrap(),
        tls: None,
        reflection: true,
        metrics: Arc::new(|| "valuta_up 1\n".to_owned()),
        http: axum::Router::new(),
    }
}

/// A request with a token.
fn by<T>(token: &str, message: T) -> Request<T> {
    let mut request = Request::new(message);
    let value: MetadataValue<_> = format!("Bearer {token}").parse().unwrap();
    request.metadata_mut().insert("authorization", value);
    request
}

/// The n-th good payment of bank A to bank B.
fn payment(n: u32) -> v1::Instruction {
    v1::Instruction {
        uetr: format!("eb6305c9-1f7f-49de-aed0-{n:012x}"),
        kind: v1::Kind::Payment as i32,
        lane: v1::Lane::Gross as i32,
        instructing: BANK_A.into(),
        created: Some(prost_types::Timestamp {
            seconds: 1_795_190_400,
            nanos: 0,
        }),
        value_date: "2026-11-20".into(),
        legs: vec![v1::Leg {
            debtor: BANK_A.into(),
            creditor: BANK_B.into(),
            amount: "1.00".into(),
            asset: "USD".into(),
            kind: 0,
        }],
        ..Default::default()
    }
}

fn batch(numbers: impl IntoIterator<Item = u32>) -> v1::SubmitInstructionsRequest {
    v1::SubmitInstructionsRequest {
        instructions: numbers.into_iter().map(payment).collect(),
        full_answers: false,
    }
}

/// `Code REASON field`, from the details.
fn shown(status: &Status) -> String {
    let details = status.get_error_details();
    let info = details
        .error_info()
        .expect("every failure has its ErrorInfo");
    let field = info.metadata.get("field").map_or("-", String::as_str);
    format!("{:?} {} {field}", status.code(), info.reason)
}
