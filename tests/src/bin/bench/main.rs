//! Durable intake over real gRPC, beside a bare server that decodes the same messages and drops them.
//! Server and client share the machine. Prints figures; judges nothing.
#![allow(clippy::float_arithmetic)] // rates and latencies, not money

mod limit;
mod what_ifs;

use std::path::Path;
use std::process::Command;
use std::time::Instant;
use valuta_tests::load::{Load, Measured};
use valuta_tests::scheme::{ASSETS, BANKS, World};
use valuta_tests::{Server, ServerOptions};

/// Instructions of the first rows.
const INTAKE: u64 = 2_000_000;
/// Of the rows about memory and latency.
const LONG_INTAKE: u64 = 10_000_000;
/// Unary calls.
const UNARY: u64 = 200_000;
/// How often each is measured; ours and the limit take turns, and the best of each counts.
const TURNS: usize = 3;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let quick = std::env::args().any(|argument| argument == "--quick");
    let scale = if quick { 10 } else { 1 };
    println!(
        "what                                        ours        limit  ratio   p50 ms   p99 ms"
    );
    for (name, followers) in [
        ("intake, followers paused", false),
        ("intake, followers running", true),
    ] {
        let (mut ours, mut bare) = (Measured::default(), Measured::default());
        let mut lag = String::new();
        for _ in 0..TURNS {
            let dir = tempfile::tempdir()?;
            let world = world(&dir.path().join("data"), followers).await?;
            let load = Load::stream(INTAKE / scale);
            ours = ours.best(load.run(&world.server.address, &world.tokens).await?);
            if followers {
                lag = follow(&world, INTAKE / scale).await?;
            }
            drop(world);
            bare = bare.best(limited(&load).await?);
        }
        row(name, ours, Some(bare));
        if followers {
            println!("  {lag}");
        }
    }
    let (mut ours, mut bare) = (Measured::default(), Measured::default());
    for _ in 0..TURNS {
        let dir = tempfile::tempdir()?;
        let world = world(&dir.path().join("data"), false).await?;
        let load = Load::unary(UNARY / scale);
        ours = ours.best(load.run(&world.server.address, &world.tokens).await?);
        drop(world);
        bare = bare.best(limited(&load).await?);
    }
    row("unary, 128 in flight", ours, Some(bare));
    what_ifs::measure(scale).await?;
    long(LONG_INTAKE / scale).await
}

async fn world(data: &Path, followers: bool) -> anyhow::Result<World> {
    let mut options = ServerOptions::default();
    if !followers {
        options.arguments.push("--without-followers".to_owned());
    }
    let world = World::on(Server::start_with(data, &options)?).await?;
    for bank in BANKS {
        for (asset, ..) in ASSETS {
            world.deposit(bank, asset, "100000000000").await?;
        }
    }
    Ok(world)
}

async fn limited(load: &Load) -> anyhow::Result<Measured> {
    let (address, server) = limit::serve().await?;
    let tokens = BANKS
        .iter()
        .map(|bank| ((*bank).to_owned(), "none".to_owned()));
    let measured = load.run(&address, &tokens.collect()).await;
    server.abort();
    measured
}

/// How far the followers were behind when the last answer came, and what they do a second.
async fn follow(world: &World, instructions: u64) -> anyhow::Result<String> {
    let mut operator = world.operator.clone();
    let mut first = None;
    let started = Instant::now();
    loop {
        let status = operator
            .admin
            .get_status(valuta_proto::v1::GetStatusRequest {})
            .await?
            .into_inner();
        let behind = status.sequence - status.read_model_sequence;
        let behind_at_first = *first.get_or_insert(behind);
        if behind == 0 && status.anchored_batch == status.batches {
            let seconds = started.elapsed().as_secs_f64();
            return Ok(format!(
                "read model {behind_at_first} of {instructions} behind at the last answer; read model and log caught up {seconds:.1} s later"
            ));
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
}

/// Latency and memory at many instructions, then a restart.
async fn long(instructions: u64) -> anyhow::Result<()> {
    let dir = tempfile::tempdir()?;
    let data = dir.path().join("data");
    let mut world = world(&data, false).await?;
    let before = resident_mib(world.server.id())?;
    let measured = Load::stream(instructions)
        .run(&world.server.address, &world.tokens)
        .await?;
    let after = resident_mib(world.server.id())?;
    row(&format!("intake of {instructions}"), measured, None);
    println!(
        "  resident memory {before} MiB before, {after} MiB after: {} bytes an instruction, buffers included",
        ((after - before) << 20) / instructions
    );
    world.server.kill();
    std::fs::remove_dir_all(data.join("snapshots")).or_else(|error| match error.kind() {
        std::io::ErrorKind::NotFound => Ok(()),
        _ => Err(error),
    })?;
    // The orderly end takes a snapshot.
    restart(&data, "restart, full replay")?;
    restart(&data, "restart, from a snapshot")
}

/// Starts and stops a server, and says how long both took.
fn restart(data: &Path, name: &str) -> anyhow::Result<()> {
    let log = data.with_extension("log");
    std::fs::remove_file(&log)?;
    let options = ServerOptions {
        arguments: vec!["--without-followers".to_owned()],
        ..ServerOptions::default()
    };
    let started = Instant::now();
    let mut server = Server::start_with(data, &options)?;
    let up = started.elapsed().as_secs_f64();
    let started = Instant::now();
    server.stop()?;
    let down = started.elapsed().as_secs_f64();
    println!("  {name}: {up:.1} s; its orderly end: {down:.1} s");
    let said = std::fs::read_to_string(&log)?;
    let told = |line: &&str| line.contains("replayed") || line.contains("snapshot");
    for line in said.lines().filter(told) {
        println!("  {}", line.trim());
    }
    Ok(())
}

fn resident_mib(pid: u32) -> anyhow::Result<u64> {
    let output = Command::new("ps")
        .args(["-o", "rss=", "-p", &pid.to_string()])
        .output()?;
    Ok(String::from_utf8(output.stdout)?.trim().parse::<u64>()? >> 10)
}

fn row(name: &str, ours: Measured, limit: Option<Measured>) {
    let (limit_text, ratio) = match limit {
        Some(limit) => (
            format!("{:.0}/s", limit.per_second),
            format!("{:.0} %", 100.0 * ours.per_second / limit.per_second),
        ),
        None => ("-".to_owned(), "-".to_owned()),
    };
    println!(
        "{name:<36}{:>12}{limit_text:>13}{ratio:>7}{:>9.2}{:>9.2}",
        format!("{:.0}/s", ours.per_second),
        ours.p50_ms,
        ours.p99_ms
    );
}
