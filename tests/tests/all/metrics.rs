//! Metrics: each is described, and the dashboard shows nothing that no process serves.

use crate::support;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::time::Duration;
use valuta_proto::v1;
use valuta_proto::v1::ProcessRole;
use valuta_tests::cluster::{Cluster, Stack};
use valuta_tests::scheme::{self, MORNING_MS, World, payment};
use valuta_tests::server::Client;
use valuta_tests::{Server, ServerOptions};

const DASHBOARD: &str = "scripts/grafana/valuta.json";
const DESCRIBED: &str = "services/valuta/src/server/metrics.rs";
/// Of a gateway's way to an engine elsewhere.
const CLUSTER_ALONE: [&str; 1] = ["valuta_link_sessions_total"];
/// A snapshot after every step.
const SNAPSHOTS: [&str; 2] = ["--snapshot-every-kib", "1"];
const COMES_WITHIN: Duration = Duration::from_secs(20);

/// Names of metrics, and the labels that each has.
type Served = BTreeMap<String, BTreeSet<String>>;

fn root(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path)
}

/// Every `valuta_...` within a text, after one of these words.
fn names<'a>(text: &'a str, after: &'a str) -> impl Iterator<Item = &'a str> {
    text.split(after).skip(1).filter_map(|rest| {
        let name = rest.trim_start().strip_prefix('"')?.split('"').next()?;
        name.starts_with("valuta_").then_some(name)
    })
}

fn sources(dir: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

#[test]
fn every_metric_is_described_and_every_description_is_of_one() {
    let mut files = Vec::new();
    for service in std::fs::read_dir(root("services")).unwrap() {
        sources(&service.unwrap().path().join("src"), &mut files);
    }
    let mut made = BTreeSet::new();
    for file in files {
        let text = std::fs::read_to_string(file).unwrap();
        for kind in ["gauge!(", "counter!(", "histogram!("] {
            made.extend(names(&text, kind).map(str::to_owned));
        }
    }
    let text = std::fs::read_to_string(root(DESCRIBED)).unwrap();
    let described: BTreeSet<_> = names(&text, "(").map(str::to_owned).collect();
    assert_eq!(described, made);
}

/// Each metric that the dashboard asks for, with the labels that its legends show.
fn asked() -> Served {
    let text = std::fs::read_to_string(root(DASHBOARD)).unwrap();
    let dashboard: Value = serde_json::from_str(&text).unwrap();
    let mut asked = Served::new();
    for panel in dashboard["panels"].as_array().unwrap() {
        for target in panel["targets"].as_array().into_iter().flatten() {
            let expression = target["expr"].as_str().unwrap();
            let words = expression.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
            let metrics = words.filter(|word| word.starts_with("valuta_"));
            let legend = target["legendFormat"].as_str().unwrap();
            let labels = legend.split("{{").skip(1);
            let labels: BTreeSet<String> = labels
                .map(|rest| rest.split("}}").next().unwrap().to_owned())
                // Prometheus's own.
                .filter(|label| label != "instance" && label != "job")
                .collect();
            for metric in metrics {
                let known = asked.entry(metric.to_owned()).or_default();
                known.extend(labels.iter().cloned());
            }
        }
    }
    assert!(asked.len() > 20, "{asked:?}");
    asked
}

/// `GET /metrics`
fn served(address: &str) -> Served {
    let mut connection = TcpStream::connect(address).unwrap();
    let request = format!("GET /metrics HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    connection.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    connection.read_to_string(&mut answer).unwrap();
    let mut served = Served::new();
    for line in answer.lines().filter(|line| line.starts_with("valuta_")) {
        let name = line.split(['{', ' ']).next().unwrap();
        let labels = line.split('{').nth(1).unwrap_or_default();
        let labels = labels
            .split("\",")
            .filter_map(|label| label.split('=').next());
        let known = served.entry(name.to_owned()).or_default();
        known.extend(
            labels
                .filter(|label| !label.contains(' '))
                .map(str::to_owned),
        );
    }
    served
}

/// What the dashboard asks for and these do not serve.
fn missing<'a>(addresses: impl Iterator<Item = &'a str>) -> Vec<String> {
    let mut all = Served::new();
    for (name, labels) in addresses.flat_map(served) {
        all.entry(name).or_default().extend(labels);
    }
    let lacks = |(name, labels): (String, BTreeSet<String>)| match all.get(&name) {
        None => Some(name),
        Some(known) if labels.is_subset(known) => None,
        Some(known) => Some(format!("{name}: {labels:?}, has {known:?}")),
    };
    asked().into_iter().filter_map(lacks).collect()
}

/// Something of everything that is counted.
async fn work(bank: &mut Client, operator: &mut Client) {
    let settled = payment(1, "AAAAUS33", "BBBBDEFF", "1.00", "USD");
    for expected in ["ACSC", "ACSC"] {
        let said = support::submit(bank, settled.clone()).await;
        assert!(said.contains(expected), "{said}");
    }
    let refused = payment(2, "AAAAUS33", "BBBBDEFF", "0.00", "USD");
    assert!(support::submit(bank, refused).await.contains("AM01"));
    let nobody = v1::Instruction {
        uetr: "none".to_owned(),
        ..settled
    };
    let request = v1::SubmitInstructionsRequest {
        instructions: vec![nobody],
        full_answers: false,
    };
    let answer = bank.payments.submit_instructions(request).await.unwrap();
    assert_eq!(answer.into_inner().errors.len(), 1);
    let not_mine = payment(3, "BBBBDEFF", "AAAAUS33", "1.00", "USD");
    let _ = support::submit(bank, not_mine).await;
    let funding = v1::GetProjectedFundingRequest::default();
    let frozen = operator.treasury.get_projected_funding(funding).await;
    frozen.unwrap();
    operator.set_time(MORNING_MS + 1_000).await.unwrap();
}

async fn until_nothing_is_missing(missing: impl Fn() -> Vec<String>) {
    let end = std::time::Instant::now() + COMES_WITHIN;
    loop {
        match missing() {
            missing if missing.is_empty() => return,
            missing if std::time::Instant::now() > end => panic!("not served: {missing:#?}"),
            _ => tokio::time::sleep(Duration::from_millis(100)).await,
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_serves_what_the_dashboard_shows() {
    use ProcessRole::{Embedded, Ledger, Projector};
    let dir = tempfile::tempdir().unwrap();
    let options = ServerOptions {
        arguments: SNAPSHOTS.map(str::to_owned).to_vec(),
        ..ServerOptions::default()
    };
    let server = Server::start_with(&dir.path().join("data"), &options).unwrap();
    let world = World::on(server).await.unwrap();
    let address = world.server.address.clone();
    scheme::fund(&address, &world.tokens, "1000").await.unwrap();
    let mut bank = world.client("AAAAUS33").await.unwrap();
    let mut operator = world.operator.clone();
    work(&mut bank, &mut operator).await;
    until_nothing_is_missing(|| {
        let mut missing = missing([address.as_str()].into_iter());
        missing.retain(|name| !CLUSTER_ALONE.contains(&name.as_str()));
        missing
    })
    .await;
    let status = operator.admin.get_status(v1::GetStatusRequest {}).await;
    let status = status.unwrap().into_inner();
    assert_eq!(status.role(), Embedded);
    assert_eq!(status.leader.unwrap().address, address);
    let roles: Vec<_> = status
        .processes
        .iter()
        .map(v1::ProcessStatus::role)
        .collect();
    assert_eq!(roles, [Embedded, Projector, Ledger]);
}

/// Each of them knows of all, who leads, and after a kill that one is silent.
#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_serves_what_the_dashboard_shows_and_tells_how_far_each_process_is() {
    use ProcessRole::{Gateway, Leader, Ledger, Projector, Relay, Standby, Treasury};
    // Others kill its servers.
    let _alone = crate::cluster::stack::Stack::alone();
    let (stack, dir) = (Stack::from_env().unwrap(), tempfile::tempdir().unwrap());
    let name = format!("metrics{}", std::process::id());
    let mut cluster = Cluster::start(&stack, dir.path(), &name, &SNAPSHOTS).unwrap();
    let treasury = cluster.start_treasury().unwrap();
    let address = cluster.gateway.address.clone();
    let mut operator = Client::connect(&address, &cluster.operator_token)
        .await
        .unwrap();
    let tokens = scheme::prepare(&mut operator).await.unwrap();
    scheme::fund(&address, &tokens, "1000").await.unwrap();
    let mut bank = Client::connect(&address, &tokens["AAAAUS33"])
        .await
        .unwrap();
    work(&mut bank, &mut operator).await;
    let processes = cluster.processes().map(|process| process.address.as_str());
    let addresses: Vec<String> = processes.map(str::to_owned).collect();
    until_nothing_is_missing(|| missing(addresses.iter().map(String::as_str))).await;
    // The same names everywhere.
    for address in addresses.iter().chain([&treasury.address]) {
        let served = served(address);
        for name in [
            "valuta_role",
            "valuta_leads",
            "valuta_epoch",
            "valuta_leader",
            "valuta_durable_sequence",
            "valuta_record_time_seconds",
            "valuta_lag_seconds",
        ] {
            assert!(served.contains_key(name), "{address}: {name}: {served:?}");
        }
    }
    let mut other = Client::connect(&treasury.address, &tokens["TREASURY"])
        .await
        .unwrap();
    let all = [Leader, Standby, Gateway, Treasury, Projector, Relay, Ledger];
    let leading = format!("http://{}", cluster.engines[0].address);
    for client in [&mut operator, &mut other] {
        let status = until(client, |status| {
            let followed = status.processes.iter().all(|process| {
                !process.silent
                    && process.behind.is_none_or(|behind| behind == 0)
                    && process.batches_behind.is_none_or(|behind| behind == 0)
            });
            let roles: BTreeSet<i32> = status
                .processes
                .iter()
                .map(|process| process.role)
                .collect();
            followed && roles == all.map(i32::from).into()
        })
        .await;
        assert_eq!(status.processes.len(), all.len(), "{status:?}");
        assert_eq!(status.processes[0].role, status.role, "itself first");
        let leader = status.leader.unwrap();
        assert_eq!((leader.epoch, &leader.address), (1, &leading));
        let first = status
            .processes
            .iter()
            .find(|process| process.role() == Leader);
        assert_eq!(first.unwrap().process, leader.process);
        assert!(status.batches > 0 && status.anchored_batch == status.batches);
    }
    let killed = cluster.engines[0].address.clone();
    cluster.replace_leader().unwrap();
    let status = until(&mut operator, |status| {
        let silent = status.processes.iter().filter(|process| process.silent);
        let silent: Vec<_> = silent.map(|process| process.address.clone()).collect();
        silent == [killed.clone()]
    })
    .await;
    assert!(status.leader.unwrap().epoch > 1);
    let leads = |process: &v1::ProcessStatus| process.role() == Leader && !process.silent;
    assert_eq!(
        status
            .processes
            .iter()
            .filter(|process| leads(process))
            .count(),
        1
    );
}

/// Asks for the status until it is so.
async fn until(
    client: &mut Client,
    is_so: impl Fn(&v1::GetStatusResponse) -> bool,
) -> v1::GetStatusResponse {
    let end = std::time::Instant::now() + COMES_WITHIN;
    loop {
        let status = client.admin.get_status(v1::GetStatusRequest {}).await;
        let status = status.unwrap().into_inner();
        if is_so(&status) {
            return status;
        }
        assert!(std::time::Instant::now() < end, "{status:#?}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}
