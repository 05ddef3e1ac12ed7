//! A process's standing as metrics: the same names in each process.

use super::hex;
use std::time::Duration;
use valuta_journal::Leader;
use valuta_proto::v1::{ProcessRole, ProcessStatus};

/// What a process tells of itself.
pub struct Figures<'a> {
    pub role: ProcessRole,
    pub leader: Option<&'a Leader>,
    pub sequence: u64,
    pub time_ms: i64,
    pub batches: u64,
    pub own: &'a [ProcessStatus],
}

/// What was told last: a label that no longer holds is set to 0.
#[derive(Default)]
pub struct Told {
    role: Option<&'static str>,
    leader: Option<[(&'static str, String); 2]>,
}

impl Told {
    /// Sets the gauges.
    pub fn tell(&mut self, figures: &Figures<'_>) {
        self.role(name(figures.role));
        let leads = matches!(figures.role, ProcessRole::Leader | ProcessRole::Embedded);
        metrics::gauge!("valuta_leads").set(f64::from(u8::from(leads)));
        if let Some(leader) = figures.leader {
            self.leader(leader);
        }
        metrics::gauge!("valuta_durable_sequence").set(figures.sequence as f64);
        metrics::gauge!("valuta_record_time_seconds").set(seconds(figures.time_ms.unsigned_abs()));
        metrics::gauge!("valuta_closed_batches").set(figures.batches as f64);
        figures.own.iter().for_each(lag);
    }

    fn role(&mut self, role: &'static str) {
        if let Some(before) = self.role.filter(|before| *before != role) {
            metrics::gauge!("valuta_role", "role" => before).set(0.0);
        }
        self.role = Some(role);
        metrics::gauge!("valuta_role", "role" => role).set(1.0);
    }

    fn leader(&mut self, leader: &Leader) {
        metrics::gauge!("valuta_epoch").set(leader.epoch as f64);
        let labels = [
            ("leader", hex(&leader.id)),
            ("address", leader.address.clone()),
        ];
        if let Some(before) = self.leader.take_if(|before| *before != labels) {
            metrics::gauge!("valuta_leader", &before).set(0.0);
        }
        metrics::gauge!("valuta_leader", &labels).set(1.0);
        self.leader = Some(labels);
    }
}

fn lag(status: &ProcessStatus) {
    let follower = name(status.role());
    let works = f64::from(u8::from(!status.standing_by));
    metrics::gauge!("valuta_follower_works", "follower" => follower).set(works);
    // One that stands by is behind with nothing, whatever it said while it worked.
    let idle = status.standing_by.then_some(0);
    if let Some(behind) = status.behind.or(idle) {
        metrics::gauge!("valuta_lag_inputs", "follower" => follower).set(behind as f64);
    }
    if let Some(behind) = status.batches_behind.or(idle) {
        metrics::gauge!("valuta_lag_batches", "follower" => follower).set(behind as f64);
    }
    if let Some(sequence) = status.sequence {
        metrics::gauge!("valuta_follower_sequence", "follower" => follower).set(sequence as f64);
    }
    if let Some(batch) = status.batch {
        metrics::gauge!("valuta_follower_batch", "follower" => follower).set(batch as f64);
    }
    metrics::gauge!("valuta_lag_seconds", "follower" => follower).set(seconds(status.behind_ms));
}

fn seconds(ms: u64) -> f64 {
    Duration::from_millis(ms).as_secs_f64()
}

/// As `valuta status` and the metrics' labels have it.
pub fn name(role: ProcessRole) -> &'static str {
    match role {
        ProcessRole::Unspecified => "unknown",
        ProcessRole::Embedded => "embedded",
        ProcessRole::Leader => "leader",
        ProcessRole::Standby => "standby",
        ProcessRole::Gateway => "gateway",
        ProcessRole::Treasury => "treasury",
        ProcessRole::Projector => "projector",
        ProcessRole::Relay => "relay",
        ProcessRole::Ledger => "ledger",
    }
}
