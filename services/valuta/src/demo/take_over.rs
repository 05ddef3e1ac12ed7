//! Scene 3 of a cluster: the leading engine is killed in mid-stream, then the partition's leading broker.
//! No stream breaks, every instruction is answered once, and sent again it gets the same answer.

use super::receive;
use super::stage::{count, seconds};
use super::stream::{Gate, Streaming, run_all};
use super::*;
use std::sync::atomic::Ordering;
use std::time::Instant;
use tokio::sync::watch;

/// Of the afternoon's streams: small, so that the kills come in their midst.
const BATCH_INSTRUCTIONS: usize = 50;
/// The engine goes when so many are answered, in percent of all.
const ENGINE_AT_PERCENT: u64 = 25;
/// The rest of each stream, from here on, is sent into the dead broker.
const BROKER_FROM_PERCENT: usize = 60;
/// A pause is told by answers that do not come.
const LOOK_EVERY: Duration = Duration::from_millis(1);
/// Answers that have not come back by then will not.
const PAUSE_MAX: Duration = Duration::from_secs(60);

/// Counts answers.
struct Progress {
    answered: Arc<std::sync::atomic::AtomicU64>,
    total: u64,
}

impl Progress {
    fn now(&self) -> u64 {
        self.answered.load(Ordering::Relaxed)
    }

    async fn until_percent(&self, percent: u64) -> Result<(), CliError> {
        self.until(self.total * percent / 100).await
    }

    async fn until(&self, answered: u64) -> Result<(), CliError> {
        let deadline = Instant::now() + PAUSE_MAX;
        while self.now() < answered {
            if Instant::now() > deadline {
                let now = self.now();
                return Err(CliError::Refused(format!(
                    "answers stay out: {now} of {}",
                    self.total
                )));
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
        Ok(())
    }

    /// From a kill until answers come again: what was on its way when it came does not count.
    async fn pause(&self, since: Instant) -> Result<Duration, CliError> {
        let (mut seen, mut last, mut longest) = (self.now(), since, Duration::ZERO);
        while self.now() < self.total && since.elapsed() < PAUSE_MAX {
            tokio::time::sleep(LOOK_EVERY).await;
            if self.now() > seen {
                longest = longest.max(last.elapsed());
                (seen, last) = (self.now(), Instant::now());
            }
            // Answers have come steadily since: the pause is over.
            if longest > Duration::ZERO && since.elapsed() > 4 * longest + Duration::from_secs(1) {
                break;
            }
        }
        match longest {
            Duration::ZERO => Err(CliError::Refused("no answer came after the kill".into())),
            longest => Ok(longest),
        }
    }
}

impl Demo {
    /// Plays the scene. The cluster is whole again after it.
    pub async fn take_over(&mut self) -> Result<(), CliError> {
        self.stage.scene("Take-over");
        let streams: Vec<_> = self.plan.afternoon.iter().cloned().map(Arc::new).collect();
        let (opener, open) = watch::channel(false);
        let streaming = Streaming {
            batch: BATCH_INSTRUCTIONS,
            gate: Some(Gate {
                percent: BROKER_FROM_PERCENT,
                open,
            }),
            ..Streaming::new(&self.world)
        };
        let progress = Progress {
            answered: streaming.answered.clone(),
            total: streams.iter().map(|stream| stream.len() as u64).sum(),
        };
        let connections = self.session.banks.clone();
        let running =
            tokio::spawn(async move { run_all(&streaming, &connections, &streams).await });
        self.kill_engine(&progress).await?;
        let broker = self.kill_broker(&progress, &opener).await?;
        let streamed = running.await;
        let streamed =
            streamed.map_err(|error| CliError::Refused(format!("a stream failed: {error}")))??;
        let broken = streamed.iter().filter_map(|stream| stream.error.as_ref());
        let broken: Vec<_> = broken.map(ToString::to_string).collect();
        self.stage.check(
            "no bank has seen its stream break",
            broken.is_empty(),
            || broken.join("; "),
        )?;
        let before: Vec<_> = streamed
            .into_iter()
            .map(|streamed| streamed.answers)
            .collect();
        self.cluster().start_broker(broker).await?;
        self.send_all_again(&before).await?;
        self.check_books().await?;
        let expected = receive::of_afternoon(&self.plan);
        let received = self.receive_in_background(expected).await;
        self.check_received(received, expected)
    }

    fn cluster(&mut self) -> &mut Cluster {
        match &mut self.server {
            Server::Cluster(cluster) => cluster,
            Server::One(_) => unreachable!("the scene is a cluster's"),
        }
    }

    async fn kill_engine(&mut self, progress: &Progress) -> Result<(), CliError> {
        progress.until_percent(ENGINE_AT_PERCENT).await?;
        let at = progress.now();
        self.cluster().kill_leader().await?;
        let pause = progress.pause(Instant::now()).await?;
        self.cluster().replace_leader().await?;
        self.stage.fact(
            "leading engine killed",
            &format!(
                "after {} of {} answers; writes paused for {}",
                count(at),
                count(progress.total),
                seconds(pause)
            ),
        );
        self.figures.restart = pause;
        Ok(())
    }

    async fn kill_broker(
        &mut self,
        progress: &Progress,
        opener: &watch::Sender<bool>,
    ) -> Result<i32, CliError> {
        let broker = self.cluster().kill_leading_broker().await?;
        let (at, killed) = (progress.now(), Instant::now());
        opener.send_replace(true);
        let pause = progress.pause(killed).await?;
        self.stage.fact(
            "leading broker killed",
            &format!(
                "after {} answers; writes paused for {}",
                count(at),
                seconds(pause)
            ),
        );
        Ok(broker)
    }
}
