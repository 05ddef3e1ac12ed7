//! The server itself: where it listens, and what it serves beside the API.

use super::*;
use crate::ServeError;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_stream::StreamExt;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;
use tonic_reflection::pb::v1::ServerReflectionRequest;
use tonic_reflection::pb::v1::server_reflection_client::ServerReflectionClient;
use tonic_reflection::pb::v1::server_reflection_request::MessageRequest;
use tonic_reflection::pb::v1::server_reflection_response::MessageResponse;

#[tokio::test]
async fn without_tls_only_loopback_is_served() {
    for address in ["0.0.0.0:0", "[::]:0", "192.0.2.1:0"] {
        let (_stop, shutdown) = watch::channel(false);
        let double = Double::default();
        let served = serve(config(address), double.clone(), double, shutdown, |_| {}).await;
        assert!(
            matches!(served, Err(ServeError::TlsRequired(_))),
            "{address}"
        );
    }
}

#[tokio::test]
async fn a_taken_address_is_named() {
    let rig = Rig::start().await;
    let (_stop, shutdown) = watch::channel(false);
    let taken = config(&rig.address.to_string());
    let served = serve(
        taken,
        rig.double.clone(),
        rig.double.clone(),
        shutdown,
        |_| {},
    )
    .await;
    let error = served.unwrap_err().to_string();
    assert!(error.contains(&rig.address.to_string()), "{error}");
}

#[tokio::test]
async fn metrics_come_over_plain_http() {
    let rig = Rig::start().await;
    let mut stream = TcpStream::connect(rig.address).await.unwrap();
    let request = b"GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    stream.write_all(request).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert!(answer.ends_with("valuta_up 1\n"), "{answer}");
}

#[tokio::test]
async fn health_names_every_service() {
    let rig = Rig::start().await;
    let mut health = HealthClient::new(rig.channel.clone());
    for service in ["", "valuta.v1.PaymentService", "valuta.v1.LedgerService"] {
        let request = HealthCheckRequest {
            service: service.into(),
        };
        let status = health.check(request).await.unwrap().into_inner().status;
        assert_eq!(status, 1, "{service}: SERVING");
    }
}

#[tokio::test]
async fn reflection_lists_the_services() {
    let rig = Rig::start().await;
    let mut client = ServerReflectionClient::new(rig.channel.clone());
    let request = ServerReflectionRequest {
        host: String::new(),
        message_request: Some(MessageRequest::ListServices(String::new())),
    };
    let answers = client
        .server_reflection_info(tokio_stream::once(request))
        .await;
    let answer = answers.unwrap().into_inner().next().await.unwrap().unwrap();
    let Some(MessageResponse::ListServicesResponse(list)) = answer.message_response else {
        panic!("no list of services")
    };
    let names: Vec<_> = list
        .service
        .into_iter()
        .map(|service| service.name)
        .collect();
    for service in [
        "Payment",
        "Fx",
        "Settlement",
        "Treasury",
        "Ledger",
        "Audit",
        "Admin",
    ] {
        let name = format!("valuta.v1.{service}Service");
        assert!(names.contains(&name), "{name} in {names:?}");
    }
}

#[tokio::test]
async fn an_idle_server_stops_at_once() {
    let rig = Rig::start().await;
    rig.stop.send(true).unwrap();
    drop(rig.channel);
    let ended = tokio::time::timeout(std::time::Duration::from_secs(2), rig.served).await;
    ended.expect("nothing holds it").unwrap().unwrap();
}
