//! Durable intake through a gateway to an engine on Kafka, beside the embedded server; they take turns, the best
//! of each counts.

use crate::FUNDS;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};
use valuta_proto::v1;
use valuta_tests::cluster::Cluster;
use valuta_tests::load::{Load, Measured};
use valuta_tests::scheme::{self, BANKS, World};
use valuta_tests::server::Client;
use valuta_tests::{Server, ServerOptions};

const TURNS: u64 = 3;
/// Instructions of one turn: followers have as many to catch up with.
const FOLLOWED: u64 = 200_000;
const ALONE: u64 = 600_000;
/// Unary calls of one turn.
const UNARY: u64 = 40_000;
const CATCH_UP_WITHIN: Duration = Duration::from_secs(120);

/// Prints rows; answers the embedded server's instructions a second. Ends the cluster's followers.
pub async fn measure(
    cluster: &mut Cluster,
    operator: &mut Client,
    tokens: &BTreeMap<String, String>,
    scale: u64,
) -> anyhow::Result<f64> {
    println!(
        "\n== durable intake through a gateway to an engine on Kafka (limit: the embedded server)"
    );
    println!(
        "{:<28}{:>11}{:>11}{:>7}{:>18}{:>18}",
        "what", "ours", "embedded", "ratio", "p50/p99 ms", "embedded"
    );
    let mut sent = 0;
    let mut both = Both { cluster, tokens };
    let followed = |number| Load::stream(FOLLOWED / scale).after(number);
    both.row(
        "stream, followers running",
        FOLLOWED / scale,
        &followed,
        &mut sent,
        true,
    )
    .await?;
    println!("  {}", caught_up(operator).await?);
    both.cluster.end_followers();
    let alone = |number| Load::stream(ALONE / scale).after(number);
    let embedded = both
        .row(
            "stream, followers paused",
            ALONE / scale,
            &alone,
            &mut sent,
            false,
        )
        .await?;
    let unary = |number| Load::unary(UNARY / scale).after(number);
    both.row(
        "unary, 128 in flight",
        UNARY / scale,
        &unary,
        &mut sent,
        false,
    )
    .await?;
    Ok(embedded)
}

struct Both<'a> {
    cluster: &'a mut Cluster,
    tokens: &'a BTreeMap<String, String>,
}

impl Both<'_> {
    async fn row(
        &mut self,
        name: &str,
        instructions: u64,
        load: &impl Fn(u64) -> Load,
        sent: &mut u64,
        followers: bool,
    ) -> anyhow::Result<f64> {
        let (mut ours, mut limit) = (Measured::default(), Measured::default());
        for _ in 0..TURNS {
            limit = limit.best(embedded(&load(0), followers).await?);
            let address = &self.cluster.gateway.address;
            ours = ours.best(load(*sent).run(address, self.tokens).await?);
            *sent += instructions / BANKS.len() as u64;
        }
        println!(
            "{name:<28}{:>11}{:>11}{:>5.0} %{:>18}{:>18}",
            format!("{:.0}/s", ours.per_second),
            format!("{:.0}/s", limit.per_second),
            100.0 * ours.per_second / limit.per_second,
            format!("{:.1} {:.1}", ours.p50_ms, ours.p99_ms),
            format!("{:.1} {:.1}", limit.p50_ms, limit.p99_ms),
        );
        Ok(limit.per_second)
    }
}

async fn embedded(load: &Load, followers: bool) -> anyhow::Result<Measured> {
    let dir = tempfile::tempdir()?;
    let mut options = ServerOptions::default();
    if !followers {
        options.arguments.push("--without-followers".to_owned());
    }
    let world = World::on(Server::start_with(&dir.path().join("data"), &options)?).await?;
    scheme::fund(&world.server.address, &world.tokens, FUNDS).await?;
    load.run(&world.server.address, &world.tokens).await
}

/// How far the cluster's followers are behind, and when they are no more.
async fn caught_up(operator: &mut Client) -> anyhow::Result<String> {
    let (started, mut first) = (Instant::now(), None);
    loop {
        let status = operator
            .admin
            .get_status(v1::GetStatusRequest {})
            .await?
            .into_inner();
        let behind = status.sequence - status.read_model_sequence;
        let at_first = *first.get_or_insert(behind);
        if behind == 0 {
            let seconds = started.elapsed().as_secs_f64();
            return Ok(format!(
                "read model {at_first} behind at the last answer, caught up {seconds:.1} s later"
            ));
        }
        anyhow::ensure!(
            started.elapsed() < CATCH_UP_WITHIN,
            "the read model stays {behind} behind"
        );
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
