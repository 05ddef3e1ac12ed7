//! A log of leaves that are made up, and a witness that serves on a port of its own.
#![allow(dead_code)]

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ed25519_dalek::{Signer as _, SigningKey};
use tokio::sync::oneshot;
use valuta_keys::StoredKey;
use valuta_verify::{
    Checkpoint, Edge, Hash, KeyKind, VerifierKey, consistency_path, leaf_hash, signature_line,
};
use valuta_witness::{Witness, WitnessConfig, request_text, serve};

pub const ORIGIN: &str = "valuta.example/log";

/// A log; two of one origin have the leaves before `fork` in common.
#[derive(Clone)]
pub struct SimLog {
    pub origin: String,
    seed: u8,
    fork: u64,
}

impl SimLog {
    pub fn new() -> Self {
        Self::of(ORIGIN, 1, u64::MAX)
    }

    pub fn forked(fork: u64) -> Self {
        Self::of(ORIGIN, 1, fork)
    }

    pub fn of(origin: &str, seed: u8, fork: u64) -> Self {
        let origin = origin.to_owned();
        Self { origin, seed, fork }
    }

    pub fn vkey(&self) -> String {
        self.key().to_string()
    }

    fn key(&self) -> VerifierKey {
        let public = self.signing().verifying_key().to_bytes();
        VerifierKey::new(&self.origin, KeyKind::Note, &public).unwrap()
    }

    fn signing(&self) -> SigningKey {
        SigningKey::from_bytes(&[self.seed; 32])
    }

    fn subtree(&self, start: u64, end: u64) -> Hash {
        let data = |index: u64| [index, u64::from(index >= self.fork)].map(u64::to_be_bytes);
        let leaf = |index| leaf_hash(&data(index).concat());
        (start..end).map(leaf).collect::<Edge>().root()
    }

    pub fn checkpoint(&self, size: u64) -> Checkpoint {
        Checkpoint {
            origin: self.origin.clone(),
            size,
            root: self.subtree(0, size),
        }
    }

    pub fn sign(&self, body: &str) -> String {
        let signature = self.signing().sign(body.as_bytes()).to_bytes();
        let line = signature_line(&self.origin, self.key().id(), &signature);
        format!("{body}\n{line}")
    }

    pub fn note(&self, size: u64) -> String {
        self.sign(&self.checkpoint(size).body())
    }

    pub fn proof(&self, old: u64, new: u64) -> Vec<Hash> {
        let path = consistency_path(old, new, |start, end| self.subtree(start, end));
        path[usize::from(old.is_power_of_two()).min(path.len())..].to_vec()
    }

    /// The body that asks for `new` after `old`.
    pub fn request(&self, old: u64, new: u64) -> String {
        request_text(old, &self.proof(old, new), &self.note(new))
    }
}

/// A clock that each look puts forward by a second.
pub fn clock() -> valuta_witness::Clock {
    let now_s = AtomicU64::new(1_763_640_000);
    Arc::new(move || now_s.fetch_add(1, Ordering::Relaxed) * 1_000)
}

pub fn key(seed: u8) -> StoredKey {
    StoredKey::from_seed(
        valuta_keys::KeyKind::Witness,
        &format!("witness{seed}.example"),
        0,
        &[seed; 32],
    )
    .unwrap()
}

pub fn config(logs: &[&SimLog]) -> WitnessConfig {
    WitnessConfig {
        key: key(11),
        logs: logs.iter().map(|log| log.vkey()).collect(),
        clock: clock(),
        rate: None,
        validator: None,
    }
}

/// Serves until it is dropped.
pub struct Served {
    pub url: String,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Served {
    pub fn witness(witness: Arc<Witness>) -> Self {
        Self::start(move |listener, stop| async move {
            serve(listener, witness, stop).await.unwrap();
        })
    }

    pub fn router(router: axum::Router) -> Self {
        Self::start(move |listener, stop| async move {
            let serving = axum::serve(listener, router);
            serving.with_graceful_shutdown(stop).await.unwrap();
        })
    }

    fn start<F: Future<Output = ()>>(
        serve: impl FnOnce(tokio::net::TcpListener, Stop) -> F + Send + 'static,
    ) -> Self {
        let (stop, stopped) = oneshot::channel();
        let (bound, port) = std::sync::mpsc::channel();
        let thread = std::thread::spawn(move || {
            let mut runtime = tokio::runtime::Builder::new_multi_thread();
            let runtime = runtime.worker_threads(2).enable_all().build().unwrap();
            runtime.block_on(async move {
                let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
                bound.send(listener.local_addr().unwrap().port()).unwrap();
                let stop: Stop = Box::pin(async move { drop(stopped.await) });
                // Connections that are kept open must not hold the test up.
                let (serving, stop_all) = (serve(listener, Box::pin(std::future::pending())), stop);
                tokio::select! { () = serving => {}, () = stop_all => {} }
            });
            runtime.shutdown_background();
        });
        Self {
            url: format!("http://127.0.0.1:{}", port.recv().unwrap()),
            stop: Some(stop),
            thread: Some(thread),
        }
    }
}

pub type Stop = std::pin::Pin<Box<dyn Future<Output = ()> + Send>>;

impl Drop for Served {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            thread.join().unwrap();
        }
    }
}

/// Status, content type and body of an answer.
pub fn post(url: &str, body: &[u8]) -> (u16, String, String) {
    let agent = agent();
    answer(
        agent
            .post(format!("{url}/add-checkpoint"))
            .send(body)
            .unwrap(),
    )
}

pub fn get(url: &str) -> (u16, String, String) {
    answer(agent().get(url).call().unwrap())
}

fn agent() -> ureq::Agent {
    let config = ureq::Agent::config_builder().http_status_as_error(false);
    config.build().into()
}

fn answer(mut response: ureq::http::Response<ureq::Body>) -> (u16, String, String) {
    let content_type = response.headers()["content-type"]
        .to_str()
        .unwrap()
        .to_owned();
    let body = response.body_mut().read_to_string().unwrap();
    (response.status().as_u16(), content_type, body)
}

pub fn block_on<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().build();
    runtime.unwrap().block_on(future)
}

pub fn b64(bytes: &[u8]) -> String {
    STANDARD.encode(bytes)
}
