//! Scene 2: the morning's streams of twelve banks at once, while credited banks receive.

use super::instruction::{Planned, Purpose, quote_id};
use super::plan::{Quote, TIGHT_ASSET, TIGHT_BANK};
use super::receive;
use super::stage::{Meter, count, seconds};
use super::stream::{Streamed, Streaming, run_all, tally};
use super::world::{self, DAY, DAY_CYCLE, clock};
use super::*;
use crate::cli::request_id::derived;
use crate::client::Connection;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use valuta_proto::v1::{self, Status};

/// How often the rehearsal's clock is moved while the streams run; each time is a tick.
const TICK_EVERY: Duration = Duration::from_millis(250);

impl Demo {
    /// Plays the scene.
    pub async fn traffic(&mut self) -> Result<(), CliError> {
        self.stage.scene("A day's traffic");
        self.session.set_time(clock::OPENING).await?;
        let mut request = v1::OpenCycleRequest {
            cycle: DAY_CYCLE.into(),
            ..Default::default()
        };
        request.request_id = derived(&request);
        self.session
            .operator
            .settlement()
            .open_cycle(request)
            .await?;
        self.lock_quotes().await?;

        let receiving = self.receive_in_background(receive::of_morning(&self.plan));
        let streamed = self.stream_morning().await?;
        self.answers.morning = streamed
            .into_iter()
            .map(|streamed| streamed.answers)
            .collect();
        let plan = self.plan.clone();
        self.check_answers("every answer is the planned one", &plan.morning, |demo| {
            &demo.answers.morning
        })?;
        self.release_queue().await?;
        self.session.set_time(clock::CUT_OFF).await?;
        self.send_late().await?;
        self.show_refusals()?;
        self.check_received(receiving.await, receive::of_morning(&plan))
    }

    /// Each provider locks its quotes; the server's price must be the one computed here.
    async fn lock_quotes(&mut self) -> Result<(), CliError> {
        for at in 0..self.plan.quotes.len() {
            let quote = self.plan.quotes[at].clone();
            let request = self.quote_request(at, &quote);
            let answer = self.session.banks[quote.provider]
                .fx()
                .lock_quote(request)
                .await?
                .into_inner();
            let locked = answer.quote.unwrap_or_default();
            let target = self
                .world
                .amount(quote.target.asset, quote.target.minor.into());
            let name = "the server's price is the one computed here";
            self.stage
                .check_quietly(name, locked.target_amount == target, || {
                    format!("{} instead of {target}", locked.target_amount)
                })?;
        }
        self.stage.fact(
            "quotes",
            &format!(
                "{} locked by their providers",
                count(self.plan.quotes.len())
            ),
        );
        Ok(())
    }

    fn quote_request(&self, at: usize, quote: &Quote) -> v1::LockQuoteRequest {
        let code = |asset: usize| self.world.assets[asset].code.clone();
        let (source, target) = (code(quote.source.asset), code(quote.target.asset));
        let other = if source == "EUR" {
            quote.target.asset
        } else {
            quote.source.asset
        };
        let mut request = v1::LockQuoteRequest {
            quote_id: quote_id(at),
            taker: self.world.banks[quote.taker].clone(),
            source_asset: source,
            target_asset: target,
            fixed_side: v1::FixedSide::Source.into(),
            amount: self
                .world
                .amount(quote.source.asset, quote.source.minor.into()),
            pair: format!("EUR/{}", code(other)),
            rate: self.world.assets[other].per_euro_text.into(),
            value_date: DAY.into(),
            accept_until: Some(world::at(clock::CUT_OFF)),
            settle_by: Some(world::at(clock::EVENING)),
            ..Default::default()
        };
        request.request_id = derived(&request);
        request
    }

    async fn stream_morning(&mut self) -> Result<Vec<Streamed>, CliError> {
        let streams: Vec<_> = self.plan.morning.iter().cloned().map(Arc::new).collect();
        let total = streams.iter().map(|stream| stream.len() as u64).sum();
        let streaming = Streaming::new(&self.world);
        let (began, answered) = (std::time::Instant::now(), streaming.answered.clone());
        let streams = run_all(&streaming, &self.session.banks, &streams);
        let streamed = self.tick_while(streams, &answered, total).await?;
        self.figures.stream_elapsed = began.elapsed();
        self.figures.stream_count = total;
        for stream in &streamed {
            self.figures.latencies.extend(&stream.latencies);
            if let Some(error) = &stream.error {
                return Err(CliError::Unavailable(format!(
                    "a bank's stream broke: {error}"
                )));
            }
        }
        self.figures.latencies.sort_unstable();
        let elapsed = seconds(self.figures.stream_elapsed);
        self.stage.fact(
            "streams",
            &format!("12 banks, {} instructions in {elapsed}", count(total)),
        );
        Ok(streamed)
    }

    /// The rehearsal's clock follows the traffic from the opening to the late morning.
    async fn tick_while<T>(
        &self,
        work: impl Future<Output = Result<T, CliError>>,
        answered: &AtomicU64,
        total: u64,
    ) -> Result<T, CliError> {
        tokio::pin!(work);
        let mut meter = Meter::new("answered", total);
        let mut ticks = tokio::time::interval(TICK_EVERY);
        loop {
            tokio::select! {
                done = &mut work => {
                    meter.set(total);
                    self.session.set_time(clock::MORNING_END).await?;
                    return done;
                }
                _ = ticks.tick() => {
                    let answered = answered.load(Ordering::Relaxed);
                    meter.set(answered);
                    let share = i64::try_from(answered * 100 / total.max(1)).unwrap_or(100);
                    let passed = (clock::MORNING_END - clock::OPENING) * share / 100;
                    self.session.set_time(clock::OPENING + passed).await?;
                }
            }
        }
    }

    /// Holds a scene's answers against the plan.
    pub fn check_answers(
        &mut self,
        name: &str,
        streams: &[Vec<Planned>],
        answers: fn(&Self) -> &Vec<Vec<Option<Answer>>>,
    ) -> Result<(), CliError> {
        let given = answers(self).iter().flatten();
        let wrong = streams
            .iter()
            .flatten()
            .zip(given)
            .find(|(planned, answer)| {
                answer
                    .as_ref()
                    .is_none_or(|answer| !is_planned(planned.purpose, answer))
            });
        let wrong = wrong.map(|(planned, answer)| format!("{planned:?} got {answer:?}"));
        let tally = tally(answers(self).iter().flatten().flatten());
        self.stage
            .check(name, wrong.is_none(), || wrong.clone().unwrap_or_default())?;
        let line: Vec<String> = tally
            .iter()
            .map(|(status, number)| format!("{status} {}", count(*number)))
            .collect();
        self.stage.fact("answers", &line.join("   "));
        Ok(())
    }

    /// Money comes for the account that was short: all that waited on it settles at once.
    async fn release_queue(&mut self) -> Result<(), CliError> {
        let tight = (self.world.bank(TIGHT_BANK), self.world.asset(TIGHT_ASSET));
        let given = self
            .plan
            .morning
            .iter()
            .flatten()
            .zip(self.answers.morning.iter().flatten());
        let is_queued = |(planned, answer): &(&Planned, &Option<Answer>)| {
            let is_waiting = answer
                .as_ref()
                .is_some_and(|answer| answer.status == Status::Pdng);
            planned.purpose == Purpose::Settles && is_waiting
        };
        let queued = given.filter(is_queued).count();
        let (outflow, _) = self.plan.gross_flows();
        let needed = outflow[tight.0][tight.1];
        let before = self.session.status().await?.settled;
        self.deposit(tight, needed, "afternoon").await?;
        let after = self.session.status().await?.settled;
        let amount = count(self.world.amount(tight.1, needed));
        self.stage.say(&format!(
            "{TIGHT_BANK} was short of {TIGHT_ASSET}: {} payments queued on entry; a deposit of {amount} \
             released {} at once",
            count(queued),
            count(after - before)
        ));
        let gross = self.plan.morning.iter().flatten();
        let gross = gross
            .filter(|planned| planned.purpose == Purpose::Settles)
            .count() as u64;
        self.stage.check(
            "every gross instruction of the morning has settled",
            after == gross,
            || format!("{after} of {gross}"),
        )
    }

    /// Net payments after the cut-off.
    async fn send_late(&mut self) -> Result<(), CliError> {
        let streams: Vec<_> = self.plan.late.iter().cloned().map(Arc::new).collect();
        let streamed = run_all(&Streaming::new(&self.world), &self.session.banks, &streams).await?;
        self.answers.late = streamed
            .into_iter()
            .map(|streamed| streamed.answers)
            .collect();
        let plan = self.plan.clone();
        self.check_answers(
            "after the cut-off no net payment is taken",
            &plan.late,
            |demo| &demo.answers.late,
        )
    }

    /// One of each refusal, as the bank sees it.
    fn show_refusals(&self) -> Result<(), CliError> {
        let morning = self.plan.morning.iter().zip(&self.answers.morning);
        let late = self.plan.late.iter().zip(&self.answers.late);
        let mut examples = BTreeMap::new();
        for (stream, answers) in morning.chain(late) {
            for (planned, answer) in stream.iter().zip(answers) {
                if let (Some(fault), Some(answer)) = (planned.fault, answer) {
                    examples
                        .entry(answer.code.clone())
                        .or_insert((fault, planned, answer.clone()));
                }
            }
        }
        let widths = [-6, -30, -10, -4];
        self.stage.say("refused, one of each:");
        self.stage
            .row(&widths, &["code", "why", "bank", "what the bank reads"]);
        for (code, (fault, planned, answer)) in &examples {
            let bank = &self.world.banks[planned.bank];
            self.stage
                .row(&widths, &[code, fault.words(), bank, &answer.detail]);
        }
        Ok(())
    }

    /// All banks read what credits them, from where they stopped last.
    pub fn receive_in_background(
        &self,
        expected: [receive::Credits; BANKS],
    ) -> impl Future<Output = Result<[receive::Credits; BANKS], CliError>> + use<> {
        let connections: Vec<Connection> = self.session.banks.clone();
        let receiving = tokio::spawn(receive::receive_all(
            self.world.clone(),
            connections,
            expected,
        ));
        async move {
            let received = receiving.await;
            received.map_err(|error| CliError::Refused(format!("a receiver failed: {error}")))?
        }
    }

    /// Holds what the banks received against the plan.
    pub fn check_received(
        &mut self,
        received: Result<[receive::Credits; BANKS], CliError>,
        expected: [receive::Credits; BANKS],
    ) -> Result<(), CliError> {
        let received = received?;
        let total: usize = received.iter().map(|credits| credits.instructions).sum();
        let name = format!(
            "12 banks have received {} payments on Receive, amounts to the minor unit",
            count(total)
        );
        let wrong = (0..BANKS).find(|&bank| received[bank] != expected[bank]);
        self.stage.check(&name, wrong.is_none(), || {
            let bank = wrong.unwrap_or_default();
            format!(
                "{}: {:?} instead of {:?}",
                self.world.banks[bank], received[bank], expected[bank]
            )
        })
    }
}

fn is_planned(purpose: Purpose, answer: &Answer) -> bool {
    match purpose {
        Purpose::Settles => matches!(answer.status, Status::Acsc | Status::Pdng),
        // A trade side waits until the other has come.
        Purpose::JoinsCycle => matches!(answer.status, Status::Actc | Status::Pdng),
        Purpose::Refused(code) => answer.status == Status::Rjct && answer.code == code,
    }
}
