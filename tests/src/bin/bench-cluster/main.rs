//! What a cluster does, beside the limit measured in the same run: Kafka and PostgreSQL without Valuta around
//! them. Servers, services and clients share the machine. Prints figures; judges nothing. `--only MODULE` measures
//! one, `--quick` with a tenth of the load.
//!
//! | module | ours | limit |
//! |---|---|---|
//! | `journal` | the journal's appends | the same client, producing raw |
//! | `anchor` | from settled to anchored | - |
//! | `intake` | through a gateway to an engine on Kafka | the embedded server |
//! | `take_over` | pauses when the leading engine, or broker, is killed | a raw producer, when its broker is |
//! | `procedure` | the embedded server's intake, right after `intake` | the same work as a procedure of PostgreSQL |
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

/// What is measured.
struct Choice {
    only: Option<String>,
    /// Loads are divided by it.
    scale: u64,
}

impl Choice {
    fn from_arguments() -> Self {
        let arguments: Vec<_> = std::env::args().skip(1).collect();
        let mut only = arguments.iter().skip_while(|&word| word != "--only");
        let quick = arguments.iter().any(|word| word == "--quick");
        Self {
            only: only.nth(1).cloned(),
            scale: if quick { 10 } else { 1 },
        }
    }

    fn has(&self, module: &str) -> bool {
        self.only.as_ref().is_none_or(|only| only == module)
    }
}

fn main() -> anyhow::Result<()> {
    let choice = Choice::from_arguments();
    let stack = Stack::from_env()?;
    let since = SystemTime::now().duration_since(UNIX_EPOCH)?;
    let name = format!("bench{}", since.as_secs());
    if choice.has("journal") {
        // Blocking clients, so not within the runtime.
        journal::measure(&stack, &name, choice.scale)?;
    }
    let runtime = tokio::runtime::Runtime::new()?;
    let embedded = runtime.block_on(of_a_cluster(&stack, &name, &choice))?;
    if choice.has("take_over") {
        take_over::raw(&stack, &name)?;
    }
    match embedded {
        Some(embedded) => procedure::measure(&stack, &name, choice.scale, embedded),
        None => Ok(()),
    }
}

/// Answers the embedded server's instructions a second, if it was measured.
async fn of_a_cluster(stack: &Stack, name: &str, choice: &Choice) -> anyhow::Result<Option<f64>> {
    let dir = tempfile::tempdir()?;
    let mut cluster = Cluster::start(stack, dir.path(), name, &[])?;
    let address = cluster.gateway.address.clone();
    let mut operator = Client::connect(&address, &cluster.operator_token).await?;
    let tokens = scheme::prepare(&mut operator).await?;
    scheme::fund(&address, &tokens, FUNDS).await?;
    if choice.has("anchor") {
        anchor::measure(&mut operator, &address, &tokens, choice.scale).await?;
    }
    let embedded = if choice.has("intake") {
        Some(intake::measure(&mut cluster, &mut operator, &tokens, choice.scale).await?)
    } else {
        None
    };
    if choice.has("take_over") {
        take_over::ours(stack, &mut cluster, &tokens).await?;
    }
    Ok(embedded)
}

/// Percentiles of milliseconds, which it sorts.
fn percentiles(each: &mut [f64]) -> (f64, f64) {
    each.sort_by(f64::total_cmp);
    let at = |part: usize| each[(each.len() * part / 100).min(each.len() - 1)];
    (at(50), at(99))
}
