//! The last screen: control totals and exceptions first, then value, speed, the checkpoint, and what to try.

use super::stage::{count, seconds};
use super::world::DAY_CYCLE;
use super::*;
use crate::cli::percent;

impl Demo {
    /// Shows it.
    pub async fn sum_up(&mut self) -> Result<(), CliError> {
        let totals = self.session.control_totals().await?;
        let status = self.session.status().await?;
        let cycle = self.session.cycle(DAY_CYCLE).await?;
        let stage = &self.stage;
        stage.heading("The day in one screen");
        self.show_totals(&totals);
        stage.say("");
        stage.fact(
            "exceptions",
            &format!(
                "{} waiting, {} refused",
                count(status.waiting),
                count(status.rejected)
            ),
        );
        stage.fact(
            "settled",
            &format!(
                "{} instructions in {} batches",
                count(status.settled),
                status.batches
            ),
        );
        let is_cluster = self.server.urls().len() > 1;
        if !is_cluster {
            stage.fact(
                "unanswered at the power cut",
                &format!("{}, each settled once", count(self.figures.unanswered)),
            );
        }
        let base = &cycle.base_asset;
        let efficiency = percent(&cycle.efficiency_numerator, &cycle.efficiency_denominator);
        let funding = format!("{base} {} ({efficiency} less)", count(&cycle.net_funding));
        stage.fact(
            "the cycle's gross value",
            &format!("{base} {}", count(&cycle.gross_value)),
        );
        stage.fact("settled with net funding of", &funding);
        stage.fact("durable rate", &self.rate());
        stage.fact("a batch's answer", &self.latency());
        let restart = match is_cluster {
            true => "writes paused for take-over",
            false => "restart after the cut",
        };
        stage.fact(restart, &seconds(self.figures.restart));
        stage.fact("receipts verified offline", &count(self.figures.receipts));
        stage.fact("checks that held", &count(stage.checks()));
        stage.fact("the whole demo", &seconds(stage.elapsed()));
        stage.say("checkpoint (signed tree head of the ledger)");
        for line in self.figures.checkpoint.trim_end().lines() {
            stage.say(&format!("  {line}"));
        }
        self.show_next(is_cluster);
        Ok(())
    }

    fn rate(&self) -> String {
        let millis = self.figures.stream_elapsed.as_millis().max(1);
        let rate = u128::from(self.figures.stream_count) * 1_000 / millis;
        format!(
            "{} instructions a second, clients and followers on the same machine",
            count(rate)
        )
    }

    fn latency(&self) -> String {
        let latencies = &self.figures.latencies;
        let at = |percent: usize| {
            let index = (latencies.len() * percent / 100).min(latencies.len().saturating_sub(1));
            latencies.get(index).map_or(0, Duration::as_millis)
        };
        format!(
            "p50 {} ms, p99 {} ms for up to {} at once",
            at(50),
            at(99),
            stream::BATCH_INSTRUCTIONS
        )
    }

    fn show_next(&self, is_cluster: bool) {
        self.stage.heading("Try next");
        if !self.home.is_kept() {
            self.stage
                .say("valuta demo --keep ./day        keep the data, the receipts and the policy");
            self.stage
                .say("valuta scheme sample            the file that this scheme came from");
            self.stage
                .say("valuta up --data ./data         a server that keeps its data");
            return;
        }
        let root = self.home.root().display();
        let receipt = std::fs::read_dir(self.home.receipts())
            .ok()
            .and_then(|mut files| files.next()?.ok());
        let receipt = receipt
            .map(|file| file.path().display().to_string())
            .unwrap_or_default();
        self.stage.say(&format!(
            "valuta verify {receipt} --policy {root}/policy.txt"
        ));
        if is_cluster {
            return;
        }
        self.stage
            .say(&format!("valuta up --rehearsal --data {root}/data &"));
        self.stage.say(&format!(
            "VALUTA_TOKEN=$(cat {root}/data/operator.token) valuta cycle show {DAY_CYCLE}"
        ));
    }
}
