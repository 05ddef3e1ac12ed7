//! Every metric that a process serves at `GET /metrics`: the one place that says what each of them means. Names
//! are the same in every process; one serves those of what it does. Times are in seconds. `follower` is a role
//! ([`standing`](super::standing)). Histograms are served as summaries.

use anyhow::Context;
use metrics::{describe_counter, describe_gauge, describe_histogram};
use std::sync::Arc;
use valuta_gateway::RenderMetrics;

const GAUGES: [(&str, &str); 15] = [
    ("valuta_role", "1 for the role that this process has"),
    ("valuta_leads", "Whether this process takes writes: 1 or 0"),
    (
        "valuta_leader",
        "1 for the process that leads, by id and address, as the journal says",
    ),
    ("valuta_epoch", "The leader's epoch"),
    (
        "valuta_durable_sequence",
        "The watermark: the newest durable sequence that this process knows of",
    ),
    ("valuta_record_time_seconds", "Record time at the watermark"),
    ("valuta_closed_batches", "Batches closed so far"),
    (
        "valuta_follower_works",
        "1 for a follower that works, 0 for one that stands by for another of its role",
    ),
    (
        "valuta_follower_sequence",
        "A follower has followed the journal up to here",
    ),
    (
        "valuta_follower_batch",
        "The newest closed batch that a follower is done with",
    ),
    (
        "valuta_lag_inputs",
        "Sequences from where a follower is to the watermark",
    ),
    (
        "valuta_lag_batches",
        "Closed batches that a follower is not done with",
    ),
    (
        "valuta_lag_seconds",
        "For how long something has been waiting for a follower; 0 if nothing is",
    ),
    (
        "valuta_identities_kept",
        "The number of the newest file of old identities",
    ),
    ("valuta_snapshot_sequence", "The newest snapshot's sequence"),
];

const COUNTERS: [(&str, &str); 11] = [
    (
        "valuta_instructions_total",
        "Instructions answered, by status",
    ),
    (
        "valuta_instructions_repeated_total",
        "Instructions that had been sent before",
    ),
    (
        "valuta_instructions_undecodable_total",
        "Instructions without an identity that can be read, by reason",
    ),
    (
        "valuta_refusals_total",
        "Instructions refused, by ISO 20022 reason code",
    ),
    ("valuta_commands_total", "Other writes, by outcome"),
    ("valuta_rpc_failures_total", "Calls that failed, by reason"),
    (
        "valuta_journal_bytes_total",
        "Payload bytes appended to the journal",
    ),
    (
        "valuta_link_sessions_total",
        "Connections of this gateway to an engine that leads",
    ),
    (
        "valuta_follower_failures_total",
        "Failures of followers, each of which the log explains",
    ),
    (
        "valuta_identities_failures_total",
        "Files of old identities that could not be written",
    ),
    (
        "valuta_snapshot_failures_total",
        "Snapshots that could not be written",
    ),
];

const HISTOGRAMS: [(&str, &str); 3] = [
    (
        "valuta_journal_append_seconds",
        "How long a record took to become durable",
    ),
    ("valuta_step_inputs", "Inputs of one engine step"),
    (
        "valuta_freeze_seconds",
        "How long a frozen view held up the engine, or a gateway's replica",
    ),
];

/// Installs the process's metrics; what renders them.
pub(super) fn install() -> anyhow::Result<RenderMetrics> {
    let metrics = metrics_exporter_prometheus::PrometheusBuilder::new()
        .install_recorder()
        .context("metrics")?;
    for (name, means) in GAUGES {
        describe_gauge!(name, means);
    }
    for (name, means) in COUNTERS {
        describe_counter!(name, means);
    }
    for (name, means) in HISTOGRAMS {
        describe_histogram!(name, means);
    }
    Ok(Arc::new(move || metrics.render()))
}
