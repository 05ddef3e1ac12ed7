//! Scene 4, the example: three banks and five trades, small enough to follow by hand.
//!
//! | trade | sells                   | buys                     |
//! |-------|-------------------------|--------------------------|
//! | T1    | A pays B USD 99,000,000 | B pays A EUR 90,000,000  |
//! | T2    | B pays A USD 88,000,000 | A pays B EUR 80,000,000  |
//! | T3    | A pays C USD 66,000,000 | C pays A JPY 8,250,000,000 |
//! | T4    | A pays B USD 11,000,000 | B pays A EUR 10,000,000  |
//! | T5    | C pays B USD 22,000,000 | B pays C EUR 20,000,000  |

use super::random::Random;
use super::session::Step;
use super::setup::set_rates;
use super::stage::count;
use super::world::{self, DAY, EXAMPLE_CYCLE, clock};
use super::*;
use crate::cli::request_id::derived;
use settlement_core::ids::Uetr;
use valuta_proto::v1::{self, Status};

const A: &str = "AAAAUS33";
const B: &str = "BBBBDEFF";
/// Takes part in the example and in the traffic; shows its receipts.
pub const PROVING_BANK: &str = B;
const C: &str = "CCCCJPJT";
/// Debtor, creditor, currency, amount.
type Payment = (&'static str, &'static str, &'static str, &'static str);
const TRADES: [(&str, [Payment; 2]); 5] = [
    (
        "T1",
        [(A, B, "USD", "99000000.00"), (B, A, "EUR", "90000000.00")],
    ),
    (
        "T2",
        [(B, A, "USD", "88000000.00"), (A, B, "EUR", "80000000.00")],
    ),
    (
        "T3",
        [(A, C, "USD", "66000000.00"), (C, A, "JPY", "8250000000")],
    ),
    (
        "T4",
        [(A, B, "USD", "11000000.00"), (B, A, "EUR", "10000000.00")],
    ),
    (
        "T5",
        [(C, B, "USD", "22000000.00"), (B, C, "EUR", "20000000.00")],
    ),
];
/// Participant, currency, amount: what the schedule must say.
const PAY_INS: [(&str, &str, &str); 3] = [
    (A, "USD", "88000000.00"),
    (B, "EUR", "40000000.00"),
    (C, "JPY", "8250000000"),
];
/// What the funds must hold while C has paid nothing.
const FUNDS_WITHOUT_C: [(&str, &str, &str); 4] = [
    (A, "USD", "77000000.00"),
    (A, "EUR", "10000000.00"),
    (B, "USD", "11000000.00"),
    (B, "EUR", "30000000.00"),
];
/// What the schedule must owe.
const PAY_OUTS: [(&str, &str, &str); 5] = [
    (A, "EUR", "20000000.00"),
    (A, "JPY", "8250000000"),
    (B, "USD", "44000000.00"),
    (C, "USD", "44000000.00"),
    (C, "EUR", "20000000.00"),
];

/// A trade's sides: UETR and sequence of each.
struct Trade {
    name: &'static str,
    sides: [(String, u64); 2],
}

impl Demo {
    /// Plays the example as a cycle of its own.
    pub async fn settle_example(&mut self) -> Result<(), CliError> {
        self.stage.say("");
        self.stage.say(&format!(
            "An example to follow by hand: cycle {EXAMPLE_CYCLE}, three banks, five trades"
        ));
        self.open_example().await?;
        let trades = self.send_trades().await?;
        self.session.set_time(clock::EXAMPLE_CUT_OFF).await?;
        self.session.step(Step::Close, EXAMPLE_CYCLE).await?;
        set_rates(&self.session.operator, world::example_rates()).await?;
        let cycle = self.session.step(Step::Net, EXAMPLE_CYCLE).await?;
        set_rates(&self.session.operator, world::ecb_rates()).await?;
        self.show_schedule(&cycle);
        self.check_amounts("pay-ins as in the example", &cycle, &PAY_INS, |position| {
            &position.pay_in_due
        })?;
        let efficiency = (
            cycle.efficiency_numerator.as_str(),
            cycle.efficiency_denominator.as_str(),
        );
        let name = "efficiency is exactly 17/26 at EUR/USD 1.10, USD/JPY 125";
        self.stage.check(name, efficiency == ("17", "26"), || {
            format!("{efficiency:?}")
        })?;

        let late = self.world.bank(C);
        self.pay_in(&cycle, |bank| bank != late).await?;
        self.session.set_time(clock::EXAMPLE_PAY_IN).await?;
        let cycle = self.session.step(Step::Settle, EXAMPLE_CYCLE).await?;
        self.check_left_behind(&cycle, &trades).await?;

        self.pay_in(&cycle, |bank| bank == late).await?;
        let cycle = self.session.step(Step::Settle, EXAMPLE_CYCLE).await?;
        self.check_completed(
            "C pays late: T3, T4 and T5 settle, the cycle completes",
            &cycle,
        )?;
        self.check_amounts(
            "pay-outs as in the example",
            &cycle,
            &PAY_OUTS,
            |position| &position.pay_out_due,
        )?;
        self.pay_out(EXAMPLE_CYCLE).await?;
        Ok(())
    }

    async fn open_example(&self) -> Result<(), CliError> {
        let mut request = v1::OpenCycleRequest {
            cycle: EXAMPLE_CYCLE.into(),
            cut_off: Some(world::at(clock::EXAMPLE_CUT_OFF)),
            pay_in_deadline: Some(world::at(clock::EXAMPLE_PAY_IN)),
            completion_deadline: Some(world::at(clock::EXAMPLE_COMPLETION)),
            ..Default::default()
        };
        request.request_id = derived(&request);
        self.session
            .operator
            .settlement()
            .open_cycle(request)
            .await?;
        Ok(())
    }

    /// Each trade from both its banks, each under its own UETR.
    async fn send_trades(&mut self) -> Result<Vec<Trade>, CliError> {
        let mut random = Random::new(self.example_seed());
        let mut trades = Vec::new();
        for (name, payments) in TRADES {
            let mut sides = Vec::new();
            for (instructing, ..) in payments {
                let uetr = Uetr(random.uetr()).to_string();
                let instruction = trade_side(&uetr, instructing, name, &payments);
                let bank = &self.session.banks[self.world.bank(instructing)];
                let request = v1::SubmitInstructionRequest {
                    instruction: Some(instruction),
                };
                let answer = bank
                    .payments()
                    .submit_instruction(request)
                    .await?
                    .into_inner();
                let status = answer.status.unwrap_or_default();
                let is_taken = matches!(
                    Status::try_from(status.status),
                    Ok(Status::Actc | Status::Pdng)
                );
                self.stage
                    .check_quietly("a trade side is taken", is_taken, || {
                        format!("{name}: {status:?}")
                    })?;
                sides.push((uetr, status.sequence));
            }
            let sides = sides.try_into().expect("two payments, two sides");
            trades.push(Trade { name, sides });
        }
        Ok(trades)
    }

    /// Of the plan's, so that the trades' UETRs are new in every day.
    fn example_seed(&self) -> u64 {
        let first = self.plan.all().next().map_or(0, |planned| planned.uetr);
        u64::try_from(first >> 64).expect("the high half") ^ 1
    }

    async fn check_left_behind(
        &mut self,
        cycle: &v1::Cycle,
        trades: &[Trade],
    ) -> Result<(), CliError> {
        self.stage.say("C does not pay in. At the deadline:");
        for (at, trade) in trades.iter().enumerate() {
            let expected = if at < 2 { Status::Acsc } else { Status::Acsp };
            for (uetr, _) in &trade.sides {
                let request = v1::GetInstructionRequest {
                    uetr: uetr.clone(),
                    min_sequence: 0,
                };
                let payments = &mut self.session.banks[self.world.bank(A)].payments();
                // T5 is not A's: ask the one who sees all.
                let view = match trade.name {
                    "T5" => {
                        self.session
                            .treasury
                            .payments()
                            .get_instruction(request)
                            .await?
                    }
                    _ => payments.get_instruction(request).await?,
                };
                let status = view
                    .into_inner()
                    .instructions
                    .into_iter()
                    .next()
                    .and_then(|view| view.status);
                let status = status.map(|status| status.status);
                self.stage.check_quietly(
                    "both sides of a trade stand alike",
                    status == Some(expected.into()),
                    || format!("{}: {status:?}", trade.name),
                )?;
            }
        }
        self.stage.check(
            "T1 and T2 settle, both sides; T3, T4 and T5 are left behind",
            cycle.settled == 4,
            || format!("{} settled", cycle.settled),
        )?;
        let request = v1::ListUnsettledRequest {
            cycle: EXAMPLE_CYCLE.into(),
            ..Default::default()
        };
        let page = self
            .session
            .treasury
            .settlement()
            .list_unsettled(request)
            .await?
            .into_inner();
        self.check_first_binding(&page.unsettled)?;
        let mut named: Vec<_> = page
            .unsettled
            .iter()
            .map(|unsettled| (name_of(trades, unsettled), unsettled))
            .collect();
        // A trade is one unit; its sides say the same.
        named.dedup_by(|next, last| next.0 == last.0);
        self.show_unsettled(named.into_iter());
        let name = "the funds are as in the example: A and B have what they were paid, C owes what it owed";
        self.check_amounts(name, cycle, &FUNDS_WITHOUT_C, |position| &position.fund)?;
        self.check_principal(cycle)
    }

    fn check_first_binding(&mut self, unsettled: &[v1::Explanation]) -> Result<(), CliError> {
        let first = unsettled.iter().find(|unsettled| unsettled.test == "floor");
        let (_, asset, missing) = PAY_INS[2];
        let is_c = first.is_some_and(|first| {
            (
                first.participant.as_str(),
                first.asset.as_str(),
                first.missing.as_str(),
            ) == (C, asset, missing)
        });
        let name = format!(
            "what binds is C's account, short of {asset} {}",
            count(missing)
        );
        self.stage.check(&name, is_c, || format!("{first:?}"))
    }

    /// Exactly these accounts have these amounts; all others zero.
    fn check_amounts(
        &mut self,
        name: &str,
        cycle: &v1::Cycle,
        expected: &[(&str, &str, &str)],
        amount: fn(&v1::CyclePosition) -> &String,
    ) -> Result<(), CliError> {
        let found: Vec<_> = cycle
            .positions
            .iter()
            .filter(|position| {
                amount(position)
                    .bytes()
                    .any(|byte| matches!(byte, b'1'..=b'9'))
            })
            .map(|position| {
                (
                    position.participant.as_str(),
                    position.asset.as_str(),
                    amount(position).as_str(),
                )
            })
            .collect();
        let is_all =
            found.len() == expected.len() && expected.iter().all(|line| found.contains(line));
        self.stage.check(name, is_all, || format!("{found:?}"))
    }
}

fn name_of(trades: &[Trade], unsettled: &v1::Explanation) -> String {
    let sequence = unsettled
        .status
        .as_ref()
        .map_or(0, |status| status.sequence);
    let is_of = |trade: &&Trade| trade.sides.iter().any(|(_, side)| *side == sequence);
    match trades.iter().find(is_of) {
        Some(trade) => format!("{} #{sequence}", trade.name),
        None => format!("#{sequence}"),
    }
}

fn trade_side(
    uetr: &str,
    instructing: &str,
    name: &str,
    payments: &[Payment; 2],
) -> v1::Instruction {
    let leg = |&(debtor, creditor, asset, amount): &Payment| v1::Leg {
        debtor: debtor.into(),
        creditor: creditor.into(),
        amount: amount.into(),
        asset: asset.into(),
        kind: v1::LegKind::Principal.into(),
    };
    v1::Instruction {
        uetr: uetr.to_owned(),
        kind: v1::Kind::TradeSide.into(),
        lane: v1::Lane::Net.into(),
        instructing: instructing.into(),
        created: Some(world::at(clock::CUT_OFF)),
        value_date: DAY.into(),
        legs: payments.iter().map(leg).collect(),
        trade_reference: format!("example-{name}"),
        ..Default::default()
    }
}
