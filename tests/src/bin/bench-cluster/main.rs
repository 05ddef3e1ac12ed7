//! What a cluster does, beside the limit measured in the same run: Kafka and PostgreSQL without Valuta around
//! them. Servers, services and clients share the machine. Prints figures; judges nothing.
//!
//! | module | ours | limit |
//! |---|---|---|
//! | `journal` | the journal's appends | the same client, producing raw |
//! | `anchor` | from settled to anchored | - |
//! | `intake` | through a gateway to an engine on Kafka | the embedded server |
//! | `take_over` | pauses when the leading engine, or broker, is killed | a raw producer, when its broker is |
//! | `procedure` | the embedded server's intake | the same work as a procedure of PostgreSQL |
#![allow(clippy::float_arithmetic)] // rates and latencies, not money

mod anchor;
mod intake;
mod journal;
mod pause;
mod procedure;
mod take_over;

use std::time::{SystemTime, UNIX_EPOCH};
use valuta_tests::cluster::{Cluster, Stack};
use valuta_tests::scheme;
use valuta_tests::server::Client;

/// On each account: more than all loads pay.
const FUNDS: &str = "100000000000";

fn main() -> anyhow::Result<()> {
    let quick = std::env::args().any(|argument| argument == "--quick");
    let scale = if quick { 10 } else { 1 };
    let stack = Stack::from_env()?;
    let since = SystemTime::now().duration_since(UNIX_EPOCH)?;
    let name = format!("bench{}", since.as_secs());
    // Blocking clients, so not within the runtime.
    journal::measure(&stack, &name, scale)?;
    let runtime = tokio::runtime::Runtime::new()?;
    let embedded = runtime.block_on(of_a_cluster(&stack, &name, scale))?;
    take_over::raw(&stack, &name)?;
    procedure::measure(&stack, &name, scale, embedded)
}

/// Answers the embedded server's instructions a second.
async fn of_a_cluster(stack: &Stack, name: &str, scale: u64) -> anyhow::Result<f64> {
    let dir = tempfile::tempdir()?;
    let mut cluster = Cluster::start(stack, dir.path(), name, &[])?;
    let address = cluster.gateway.address.clone();
    let mut operator = Client::connect(&address, &cluster.operator_token).await?;
    let tokens = scheme::prepare(&mut operator).await?;
    scheme::fund(&address, &tokens, FUNDS).await?;
    anchor::measure(&mut operator, &address, &tokens, scale).await?;
    let embedded = intake::measure(&mut cluster, &mut operator, &tokens, scale).await?;
    take_over::ours(stack, &mut cluster, &tokens).await?;
    Ok(embedded)
}

/// Percentiles of milliseconds, which it sorts.
fn percentiles(each: &mut [f64]) -> (f64, f64) {
    each.sort_by(f64::total_cmp);
    let at = |part: usize| each[(each.len() * part / 100).min(each.len() - 1)];
    (at(50), at(99))
}
