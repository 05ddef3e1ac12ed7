//! The server: every service on one port, with health, reflection and metrics.

use crate::gateway::{self, Gateway};
use crate::ports::{Engine, Reads};
use crate::undecodable::blame_the_caller;
use axum::Router;
use axum::middleware::map_response;
use axum::routing::get;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio_stream::wrappers::TcpListenerStream;
use tokio_stream::{Stream, StreamExt};
use tonic::service::Routes;
use tonic::transport::{Identity, Server, ServerTlsConfig};
use valuta_proto::raw::payment_service_server::PaymentServiceServer;
use valuta_proto::v1::admin_service_server::AdminServiceServer;
use valuta_proto::v1::audit_service_server::AuditServiceServer;
use valuta_proto::v1::fx_service_server::FxServiceServer;
use valuta_proto::v1::ledger_service_server::LedgerServiceServer;
use valuta_proto::v1::settlement_service_server::SettlementServiceServer;
use valuta_proto::v1::treasury_service_server::TreasuryServiceServer;

/// Of one received message; a batch of 10,000 plain instructions has some 2 MiB.
pub const MESSAGE_BYTES_MAX: usize = 8 * 1024 * 1024;
/// HTTP/2 flow control: large enough that a stream of batches never waits for a window update.
const STREAM_WINDOW_BYTES: u32 = 4 * 1024 * 1024;
const CONNECTION_WINDOW_BYTES: u32 = 16 * 1024 * 1024;
const FRAME_BYTES_MAX: u32 = 1024 * 1024;
/// What a client that does not read its answers can delay a stop by.
const STOP_GRACE: Duration = Duration::from_secs(10);
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(30);
/// A handshake is a few packets: who takes longer holds no connection.
const HANDSHAKE_WITHIN: Duration = Duration::from_secs(10);

/// Renders the Prometheus text of `GET /metrics`.
pub type RenderMetrics = Arc<dyn Fn() -> String + Send + Sync>;

/// How to serve.
pub struct ServeConfig {
    /// Address and port; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Certificate chain and key. Without them only a loopback address is served.
    pub tls: Option<TlsPem>,
    /// Off in production: it shows the API to anyone who reaches the port.
    pub reflection: bool,
    /// For `GET /metrics`.
    pub metrics: RenderMetrics,
    /// What else plain HTTP is asked for.
    pub http: Router,
}

/// PEM texts.
pub struct TlsPem {
    /// The certificate, then its issuers.
    pub certificate: String,
    /// The certificate's private key.
    pub key: String,
}

/// Why the server did not start, or ended.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The operator: configure TLS, or listen on a loopback address.
    #[error("{0} is not a loopback address: without TLS only loopback is served")]
    TlsRequired(SocketAddr),
    /// The operator: the address is taken, or not this machine's.
    #[error("cannot listen on {address}: {source}")]
    Bind {
        /// What was asked for.
        address: SocketAddr,
        /// What the system says.
        source: std::io::Error,
    },
    /// The operator: certificate or key.
    #[error("TLS: {0}")]
    Tls(#[source] tonic::transport::Error),
    /// Us: the API's description does not decode.
    #[error("reflection: {0}")]
    Reflection(#[from] tonic_reflection::server::Error),
    /// The server ended by itself.
    #[error("the server failed: {0}")]
    Transport(#[source] tonic::transport::Error),
}

/// Serves until `shutdown` becomes true: calls are finished, streams end with `UNAVAILABLE`, and what
/// still hangs after ten seconds is cut. `bound` is called once with the address that is served.
///
/// # Errors
/// See [`ServeError`]; once `bound` was called, only [`ServeError::Transport`].
pub async fn serve<E: Engine, R: Reads>(
    config: ServeConfig,
    engine: E,
    reads: R,
    shutdown: watch::Receiver<bool>,
    bound: impl FnOnce(SocketAddr),
) -> Result<(), ServeError> {
    if config.tls.is_none() && !config.listen.ip().is_loopback() {
        return Err(ServeError::TlsRequired(config.listen));
    }
    let mut server = server(config.tls.as_ref()).map_err(ServeError::Tls)?;
    let (health, health_service) = tonic_health::server::health_reporter();
    let gateway = Gateway::new(engine, reads, shutdown.clone());
    let routes = routes(gateway, &config)?.add_service(health_service);
    let (listener, address) = bind(config.listen).await?;
    set_serving::<E, R>(&health).await;
    bound(address);
    let stopped = stopped(shutdown.clone(), health);
    let serving = server
        .add_routes(routes)
        .serve_with_incoming_shutdown(connections(listener), stopped);
    tokio::select! {
        ended = serving => ended.map_err(ServeError::Transport),
        () = grace_over(shutdown) => {
            tracing::warn!("streams still open after the grace were cut");
            Ok(())
        }
    }
}

/// What every server of ours is before its services are added: an engine's, for gateways, too.
///
/// # Errors
/// If certificate and key cannot be used.
pub fn server(tls: Option<&TlsPem>) -> Result<Server, tonic::transport::Error> {
    let server = Server::builder()
        .accept_http1(true)
        .initial_stream_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .max_frame_size(FRAME_BYTES_MAX)
        .http2_keepalive_interval(Some(KEEPALIVE_INTERVAL));
    match tls {
        Some(tls) => {
            let identity = Identity::from_pem(&tls.certificate, &tls.key);
            let config = ServerTlsConfig::new().identity(identity);
            server.tls_config(config.timeout(HANDSHAKE_WITHIN))
        }
        None => Ok(server),
    }
}

/// Who connects, as [`server`] expects them.
pub fn connections(listener: TcpListener) -> impl Stream<Item = std::io::Result<TcpStream>> {
    TcpListenerStream::new(listener).map(|connection| {
        connection.inspect(|stream| {
            // Answers are whole messages: nothing is gained by waiting for more to send.
            let _ = stream.set_nodelay(true);
        })
    })
}

async fn bind(address: SocketAddr) -> Result<(TcpListener, SocketAddr), ServeError> {
    let failed = |source| ServeError::Bind { address, source };
    let listener = TcpListener::bind(address).await.map_err(failed)?;
    let bound = listener.local_addr().map_err(failed)?;
    Ok((listener, bound))
}

/// Every service, and `/metrics` for plain HTTP.
fn routes<E: Engine, R: Reads>(
    gateway: Gateway<E, R>,
    config: &ServeConfig,
) -> Result<Routes, ServeError> {
    let render = config.metrics.clone();
    let mut routes = Routes::new(
        PaymentServiceServer::new(gateway.clone()).max_decoding_message_size(MESSAGE_BYTES_MAX),
    )
    .add_service(FxServiceServer::new(gateway.clone()))
    .add_service(SettlementServiceServer::new(gateway.clone()))
    .add_service(TreasuryServiceServer::new(gateway.clone()))
    .add_service(LedgerServiceServer::new(gateway.clone()))
    .add_service(AuditServiceServer::new(gateway.clone()))
    .add_service(AdminServiceServer::new(gateway).max_decoding_message_size(MESSAGE_BYTES_MAX));
    if config.reflection {
        let reflection = || {
            tonic_reflection::server::Builder::configure()
                .register_encoded_file_descriptor_set(valuta_proto::DESCRIPTORS)
                .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
                // What the details of an error are.
                .register_encoded_file_descriptor_set(tonic_types::pb::FILE_DESCRIPTOR_SET)
        };
        routes = routes
            .add_service(reflection().build_v1()?)
            .add_service(reflection().build_v1alpha()?);
    }
    let router = routes.axum_router_mut();
    *router = std::mem::take(router)
        .layer(map_response(blame_the_caller))
        .route("/metrics", get(move || async move { render() }))
        .merge(config.http.clone());
    Ok(routes.prepare())
}

async fn set_serving<E: Engine, R: Reads>(health: &tonic_health::server::HealthReporter) {
    health
        .set_serving::<PaymentServiceServer<Gateway<E, R>>>()
        .await;
    health.set_serving::<FxServiceServer<Gateway<E, R>>>().await;
    health
        .set_serving::<SettlementServiceServer<Gateway<E, R>>>()
        .await;
    health
        .set_serving::<TreasuryServiceServer<Gateway<E, R>>>()
        .await;
    health
        .set_serving::<LedgerServiceServer<Gateway<E, R>>>()
        .await;
    health
        .set_serving::<AuditServiceServer<Gateway<E, R>>>()
        .await;
    health
        .set_serving::<AdminServiceServer<Gateway<E, R>>>()
        .await;
}

/// Completes when the server is to stop, having told health watchers.
async fn stopped(
    mut shutdown: watch::Receiver<bool>,
    health: tonic_health::server::HealthReporter,
) {
    gateway::stopped(&mut shutdown).await;
    health
        .set_service_status("", tonic_health::ServingStatus::NotServing)
        .await;
}

async fn grace_over(mut shutdown: watch::Receiver<bool>) {
    gateway::stopped(&mut shutdown).await;
    tokio::time::sleep(STOP_GRACE).await;
}
