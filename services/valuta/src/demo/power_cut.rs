//! Scene 3: the server is killed in mid-stream, started again, and everything is sent again.

use super::instruction::{Planned, Purpose};
use super::receive;
use super::stage::{count, seconds};
use super::stream::{Gate, Streamed, Streaming, run_all};
use super::*;
use std::sync::atomic::Ordering;
use std::time::Instant;
use tokio::sync::watch;
use valuta_proto::v1::Status;

/// Of the afternoon's streams: small, so that some are answered, some in doubt, some not sent.
const BATCH_INSTRUCTIONS: usize = 100;
/// The cut comes when so many are answered, in percent of all.
const CUT_AT_PERCENT: u64 = 30;
/// What is sent only into the dead connection, in percent of each stream: from here on.
const HELD_BACK_FROM_PERCENT: usize = 70;
/// A cut that has not come by then will not.
const CUT_TIMEOUT: Duration = Duration::from_secs(30);

impl Demo {
    /// Plays the scene. The demo goes on with another server process on the same data.
    pub async fn power_cut(&mut self) -> Result<(), CliError> {
        self.stage.scene("Power cut");
        let before = self.cut().await?;
        let answered = before.iter().flatten().flatten().count();
        let total: usize = before.iter().map(Vec::len).sum();
        self.figures.unanswered = (total - answered) as u64;
        self.stage.say(&format!(
            "SIGKILL in mid-stream: {} of the afternoon's {} instructions were answered",
            count(answered),
            count(total)
        ));
        let hit = 0 < answered && answered < total;
        self.stage.check("the cut hits a running stream", hit, || {
            format!("{answered} of {total}")
        })?;

        let began = Instant::now();
        self.server = Server::start(&self.home).await?;
        self.session =
            Session::open(&self.server.urls(), &self.home, &self.world, &self.tokens).await?;
        self.figures.restart = began.elapsed();
        self.stage.fact(
            "started again",
            &format!("{} until it serves", seconds(self.figures.restart)),
        );
        self.send_all_again(&before).await?;
        self.check_books().await?;
        let expected = receive::of_afternoon(&self.plan);
        let received = self.receive_in_background(expected).await;
        self.check_received(received, expected)
    }

    /// Streams the afternoon until some is answered, and kills the server.
    async fn cut(&mut self) -> Result<Vec<Vec<Option<Answer>>>, CliError> {
        let streams: Vec<_> = self.plan.afternoon.iter().cloned().map(Arc::new).collect();
        let total: u64 = streams.iter().map(|stream| stream.len() as u64).sum();
        let (opener, open) = watch::channel(false);
        let streaming = Streaming {
            batch: BATCH_INSTRUCTIONS.min(streams[0].len() / 5).max(1),
            gate: Some(Gate {
                percent: HELD_BACK_FROM_PERCENT,
                open,
            }),
            ..Streaming::new(&self.world)
        };
        let answered = streaming.answered.clone();
        let connections = self.session.banks.clone();
        let running =
            tokio::spawn(async move { run_all(&streaming, &connections, &streams).await });
        let deadline = Instant::now() + CUT_TIMEOUT;
        while answered.load(Ordering::Relaxed) * 100 < total * CUT_AT_PERCENT
            && Instant::now() < deadline
        {
            tokio::time::sleep(Duration::from_micros(200)).await;
        }
        self.server.kill().await?;
        // Nobody listens any more: the rest goes nowhere.
        let _ = opener.send(true);
        let streamed = running.await;
        let streamed =
            streamed.map_err(|error| CliError::Refused(format!("a stream failed: {error}")))??;
        let broken = streamed
            .iter()
            .filter(|stream| stream.error.is_some())
            .count();
        self.stage.check(
            "every bank has seen its stream break",
            broken == BANKS,
            || format!("{broken} of {BANKS}"),
        )?;
        Ok(streamed
            .into_iter()
            .map(|streamed| streamed.answers)
            .collect())
    }

    /// Morning, afternoon and late, with the same bytes.
    pub async fn send_all_again(&mut self, before: &[Vec<Option<Answer>>]) -> Result<(), CliError> {
        let plan = self.plan.clone();
        let began = Instant::now();
        let morning = self.send_again(&plan.morning).await?;
        let afternoon = self.send_again(&plan.afternoon).await?;
        let late = self.send_again(&plan.late).await?;
        let number = plan.all().count();
        let elapsed = seconds(began.elapsed());
        self.stage.fact(
            "sent again",
            &format!("all {} in {elapsed}, the same bytes", count(number)),
        );
        self.check_same(
            "the morning's answers are the same",
            &plan.morning,
            &self.answers.morning.clone(),
            &morning,
        )?;
        self.check_same(
            "the late ones stay refused",
            &plan.late,
            &self.answers.late.clone(),
            &late,
        )?;
        self.check_same(
            "what was answered before the cut has the same answer",
            &plan.afternoon,
            before,
            &afternoon,
        )?;
        self.answers.morning = morning;
        self.answers.afternoon = afternoon;
        self.check_answers(
            "what was in doubt or never sent is there once",
            &plan.afternoon,
            |demo| &demo.answers.afternoon,
        )
    }

    async fn send_again(
        &self,
        streams: &[Vec<Planned>],
    ) -> Result<Vec<Vec<Option<Answer>>>, CliError> {
        let streams: Vec<_> = streams.iter().cloned().map(Arc::new).collect();
        let streamed = run_all(&Streaming::new(&self.world), &self.session.banks, &streams).await?;
        let answers = |Streamed { answers, error, .. }: Streamed| match error {
            None => Ok(answers),
            Some(error) => Err(CliError::Unavailable(format!(
                "a bank's stream broke: {error}"
            ))),
        };
        streamed.into_iter().map(answers).collect()
    }

    fn check_same(
        &mut self,
        name: &str,
        streams: &[Vec<Planned>],
        before: &[Vec<Option<Answer>>],
        after: &[Vec<Option<Answer>>],
    ) -> Result<(), CliError> {
        let mut compared = 0;
        let planned = streams.iter().flatten();
        let pairs = planned.zip(before.iter().flatten().zip(after.iter().flatten()));
        let wrong = pairs
            .filter_map(|(planned, (before, after))| {
                Some((planned, before.as_ref()?, after.as_ref()))
            })
            .inspect(|_| compared += 1)
            .find(|(planned, before, after)| {
                after.is_none_or(|after| !is_same(planned, before, after))
            });
        let wrong = wrong
            .map(|(planned, before, after)| format!("{planned:?}: {before:?}, then {after:?}"));
        let name = format!("{name} ({} compared)", count(compared));
        self.stage
            .check(&name, wrong.is_none(), || wrong.clone().unwrap_or_default())
    }

    /// Every account outside the cycle against the demo's own books, and the number of settled instructions.
    pub async fn check_books(&mut self) -> Result<(), CliError> {
        let (out, into) = self.plan.gross_flows();
        for bank in 0..BANKS {
            for asset in 0..ASSETS {
                self.books.balance[bank][asset] += into[bank][asset] - out[bank][asset];
            }
        }
        let gross = self
            .plan
            .all()
            .filter(|planned| planned.purpose == Purpose::Settles)
            .count();
        let settled = self.session.status().await?.settled;
        self.stage.check(
            &format!(
                "{} gross instructions have settled, each once",
                count(gross)
            ),
            settled == gross as u64,
            || format!("{settled}"),
        )?;
        self.check_balances("all 120 balances are exact: nothing is lost, nothing is there twice")
            .await
    }

    /// Holds every account against the demo's own books.
    pub async fn check_balances(&mut self, name: &str) -> Result<(), CliError> {
        let positions = self.session.positions().await?;
        let wrong = positions.iter().find(|position| {
            let (bank, asset) = (
                self.world.bank(&position.participant),
                self.world.asset(&position.asset),
            );
            self.world.minor(asset, &position.balance) != Some(self.books.balance[bank][asset])
        });
        let wrong = wrong.map(|position| {
            let (bank, asset) = (
                self.world.bank(&position.participant),
                self.world.asset(&position.asset),
            );
            let expected = self.world.amount(asset, self.books.balance[bank][asset]);
            format!(
                "{} {}: {} instead of {expected}",
                position.participant, position.asset, position.balance
            )
        });
        let is_all = positions.len() == BANKS * ASSETS;
        self.stage.check(name, is_all && wrong.is_none(), || {
            wrong
                .clone()
                .unwrap_or_else(|| format!("{} accounts", positions.len()))
        })
    }
}

/// The same number and the same kind of answer; what waited may have settled or been matched since.
fn is_same(planned: &Planned, before: &Answer, after: &Answer) -> bool {
    // Other content under a known identity is refused anew each time, and leaves the first as it is.
    let is_again = planned.purpose == Purpose::Refused("AM05");
    let is_same_status = before.status == after.status
        || (before.status == Status::Pdng && matches!(after.status, Status::Acsc | Status::Actc));
    (is_again || before.sequence == after.sequence) && is_same_status && before.code == after.code
}
