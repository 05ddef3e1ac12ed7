//! Scene 4, the day's cycle: its nets, the bank that pays late, and that everything settles in the end.

use super::instruction::Purpose;
use super::receive;
use super::session::Step;
use super::stage::count;
use super::world::{DAY_CYCLE, clock};
use super::*;
use crate::cli::percent;
use std::collections::BTreeMap;
use valuta_proto::v1::{self, CycleState, MovementKind};

/// Pays in after the deadline; another bank does if this one owes nothing.
const LATE_BANK: &str = "FFFFAU2S";
/// Unsettled members that are shown.
const UNSETTLED_SHOWN: usize = 6;

impl Demo {
    /// The day's cycle closes: its members are fixed.
    pub async fn settle_day_close(&mut self) -> Result<(), CliError> {
        let cycle = self.session.step(Step::Close, DAY_CYCLE).await?;
        let members = self
            .plan
            .all()
            .filter(|planned| planned.purpose == Purpose::JoinsCycle)
            .count();
        let name = format!(
            "cycle {DAY_CYCLE} closes with its {} members",
            count(members)
        );
        self.stage
            .check(&name, cycle.members == members as u64, || {
                format!("{}", cycle.members)
            })
    }

    /// Net, pay in but for one bank, settle, pay late, settle, pay out.
    pub async fn settle_day(&mut self) -> Result<(), CliError> {
        self.stage.say("");
        self.stage.say(&format!("The day's cycle {DAY_CYCLE}"));
        let cycle = self.session.step(Step::Net, DAY_CYCLE).await?;
        self.check_nets(&cycle)?;
        self.show_schedule(&cycle);
        let late = self.late_bank(&cycle);
        self.pay_in(&cycle, |bank| bank != late).await?;
        self.session.set_time(clock::PAY_IN).await?;
        let cycle = self.session.step(Step::Settle, DAY_CYCLE).await?;
        self.show_left_behind(&cycle, late).await?;
        self.check_principal(&cycle)?;

        self.session.set_time(clock::LATE).await?;
        let before = self.session.cycle(DAY_CYCLE).await?;
        self.pay_in(&before, |bank| bank == late).await?;
        let cycle = self.session.step(Step::Settle, DAY_CYCLE).await?;
        let name = format!(
            "{} pays late: everything settles and the cycle completes",
            self.world.banks[late]
        );
        self.check_completed(&name, &cycle)?;
        self.pay_out(DAY_CYCLE).await?;
        self.check_balances("all 120 balances are exact after the pay-outs")
            .await?;
        let expected = receive::of_cycle(&self.plan);
        let received = self.receive_in_background(expected).await;
        self.check_received(received, expected)?;
        self.session.set_time(clock::EVENING).await
    }

    fn check_nets(&mut self, cycle: &v1::Cycle) -> Result<(), CliError> {
        let mut nets = self.plan.cycle_nets();
        for position in &cycle.positions {
            let (bank, asset) = self.account(&position.participant, &position.asset);
            nets[bank][asset] -= self.world.minor(asset, &position.net).unwrap_or_default();
        }
        let wrong = nets
            .iter()
            .flatten()
            .filter(|difference| **difference != 0)
            .count();
        self.stage.check(
            "every multilateral net is the one computed here",
            wrong == 0,
            || format!("{wrong} accounts differ"),
        )
    }

    /// Places of a bank and a currency.
    pub fn account(&self, participant: &str, asset: &str) -> (usize, usize) {
        (self.world.bank(participant), self.world.asset(asset))
    }

    /// Per currency: what is settled, and the money that it takes.
    pub fn show_schedule(&self, cycle: &v1::Cycle) {
        let widths = [-8, 22, 20, 11, 8];
        self.stage.row(
            &widths,
            &["currency", "gross", "pay-ins", "efficiency", "payers"],
        );
        for total in &cycle.totals {
            let due = cycle
                .positions
                .iter()
                .filter(|position| position.asset == total.asset && !is_zero(&position.pay_in_due));
            let efficiency = percent(&total.efficiency_numerator, &total.efficiency_denominator);
            let cells = [
                total.asset.clone(),
                count(&total.gross),
                count(&total.net),
                efficiency,
                count(due.count()),
            ];
            self.stage
                .row(&widths, &cells.each_ref().map(String::as_str));
        }
        let efficiency = percent(&cycle.efficiency_numerator, &cycle.efficiency_denominator);
        let base = &cycle.base_asset;
        self.stage.fact(
            "gross value",
            &format!("{base} {}", count(&cycle.gross_value)),
        );
        self.stage.fact(
            "net funding",
            &format!("{base} {}", count(&cycle.net_funding)),
        );
        self.stage.fact("efficiency", &efficiency);
    }

    fn late_bank(&self, cycle: &v1::Cycle) -> usize {
        let owes = |bank: usize| {
            cycle.positions.iter().any(|position| {
                position.participant == self.world.banks[bank] && !is_zero(&position.pay_in_due)
            })
        };
        let first = self.world.bank(LATE_BANK);
        (0..BANKS)
            .map(|at| (first + at) % BANKS)
            .find(|&bank| owes(bank))
            .unwrap_or(first)
    }

    /// Agents confirm what the schedule says, of the banks that `pays` names.
    pub async fn pay_in(
        &mut self,
        cycle: &v1::Cycle,
        pays: impl Fn(usize) -> bool,
    ) -> Result<(), CliError> {
        for position in &cycle.positions {
            let account = self.account(&position.participant, &position.asset);
            let minor = |text: &str| self.world.minor(account.1, text).unwrap_or_default();
            let due = minor(&position.pay_in_due) - minor(&position.pay_in_paid);
            if due > 0 && pays(account.0) {
                self.session
                    .confirm(
                        &self.world,
                        MovementKind::PayIn,
                        account,
                        due,
                        (&cycle.name, ""),
                    )
                    .await?;
                self.books.balance[account.0][account.1] += due;
                self.books.total_in[account.1] += due;
            }
        }
        Ok(())
    }

    /// The nets are in the books now; agents confirm what the banks are owed.
    pub async fn pay_out(&mut self, cycle: &str) -> Result<usize, CliError> {
        let cycle = self.session.cycle(cycle).await?;
        let mut paid = 0;
        for position in &cycle.positions {
            let account = self.account(&position.participant, &position.asset);
            let minor = |text: &str| self.world.minor(account.1, text).unwrap_or_default();
            let due = minor(&position.pay_out_due) - minor(&position.pay_out_paid);
            let net = minor(&position.net);
            self.books.balance[account.0][account.1] += net;
            if due > 0 {
                self.session
                    .confirm(
                        &self.world,
                        MovementKind::PayOut,
                        account,
                        due,
                        (&cycle.name, ""),
                    )
                    .await?;
                self.books.balance[account.0][account.1] -= due;
                self.books.total_out[account.1] += due;
                paid += 1;
            }
        }
        self.stage.fact("pay-outs confirmed", &count(paid));
        Ok(paid)
    }

    async fn show_left_behind(&mut self, cycle: &v1::Cycle, late: usize) -> Result<(), CliError> {
        let late = self.world.banks[late].clone();
        self.stage.say(&format!(
            "{late} does not pay in: at the deadline {} of {} settle, {} are left behind",
            count(cycle.settled),
            count(cycle.members),
            count(cycle.left_behind)
        ));
        let is_split = cycle.left_behind > 0 && cycle.settled + cycle.left_behind == cycle.members;
        self.stage.check(
            "every member has settled or is left behind",
            is_split,
            || {
                format!(
                    "{} and {} of {}",
                    cycle.settled, cycle.left_behind, cycle.members
                )
            },
        )?;
        let unsettled = self.unsettled(&cycle.name).await?;
        // A matched trade is one unit, and two instructions.
        let sides = |unsettled: &v1::Explanation| {
            let status = unsettled.status.as_ref();
            1 + u64::from(status.is_some_and(|status| status.matched_with != 0))
        };
        let explained: u64 = unsettled.iter().map(sides).sum();
        let name = "the server says of each by which test, and where";
        self.stage
            .check(name, explained == cycle.left_behind, || count(explained))?;
        self.show_binding(&unsettled);
        let of_late =
            |unsettled: &&v1::Explanation| is_floor(unsettled) && unsettled.participant == late;
        let binding = unsettled.iter().find(of_late);
        let name = format!("an account of {late} binds");
        self.stage
            .check(&name, binding.is_some(), || "none does".to_owned())?;
        let others = unsettled.iter().take(UNSETTLED_SHOWN);
        self.show_unsettled(binding.into_iter().chain(others).map(|unsettled| {
            let status = unsettled.status.as_ref();
            let sequence = status.map_or(0, |status| status.sequence);
            (format!("#{sequence}"), unsettled)
        }));
        Ok(())
    }

    /// Every member that the last run left behind.
    async fn unsettled(&self, cycle: &str) -> Result<Vec<v1::Explanation>, CliError> {
        let mut request = v1::ListUnsettledRequest {
            cycle: cycle.to_owned(),
            page_size: 1_000,
            ..Default::default()
        };
        let mut settlement = self.session.treasury.settlement();
        let mut unsettled = Vec::new();
        loop {
            let page = settlement
                .list_unsettled(request.clone())
                .await?
                .into_inner();
            unsettled.extend(page.unsettled);
            if page.next_page_token.is_empty() {
                return Ok(unsettled);
            }
            request.page_token = page.next_page_token;
        }
    }

    /// How many members each bank's accounts bind. Others bind than the late one: what they were to
    /// receive is left behind too.
    fn show_binding(&self, unsettled: &[v1::Explanation]) {
        let mut floors: BTreeMap<&str, u64> = BTreeMap::new();
        for unsettled in unsettled.iter().filter(|unsettled| is_floor(unsettled)) {
            *floors.entry(&unsettled.participant).or_default() += 1;
        }
        let behind = unsettled.len() as u64 - floors.values().sum::<u64>();
        let mut floors: Vec<_> = floors.into_iter().collect();
        floors.sort_by_key(|(_, number)| std::cmp::Reverse(*number));
        let words = floors
            .iter()
            .map(|(bank, number)| format!("{bank} {}", count(*number)));
        let words: Vec<String> = words.collect();
        for (at, words) in words.chunks(BANKS / 2).enumerate() {
            let label = if at == 0 { "short of funds at" } else { "" };
            self.stage.fact(label, &words.join("  "));
        }
        self.stage.fact("in order behind those", &count(behind));
    }

    /// Who is left behind, by which test, and what is missing.
    pub fn show_unsettled<'a>(
        &self,
        unsettled: impl Iterator<Item = (String, &'a v1::Explanation)>,
    ) {
        let widths = [-10, -6, -10, -9, 20, -12];
        self.stage.row(
            &widths,
            &["left", "test", "account", "", "missing", "behind"],
        );
        for (name, unsettled) in unsettled {
            let behind = if unsettled.behind == 0 {
                String::new()
            } else {
                format!(" #{}", unsettled.behind)
            };
            let missing = count(&unsettled.missing);
            let cells = [
                &name,
                &unsettled.test,
                &unsettled.participant,
                &unsettled.asset,
                &missing,
                &behind,
            ];
            self.stage.row(&widths, &cells.map(String::as_str));
        }
    }

    /// Nobody lost principal: no fund is short, and each fund total is what was paid in.
    pub fn check_principal(&mut self, cycle: &v1::Cycle) -> Result<(), CliError> {
        let mut sums = [0_i128; ASSETS];
        let mut shortest = 0;
        for position in &cycle.positions {
            let asset = self.world.asset(&position.asset);
            let minor = |text: &str| self.world.minor(asset, text).unwrap_or_default();
            let paid = minor(&position.opening_fund) + minor(&position.pay_in_paid)
                - minor(&position.pay_out_paid);
            sums[asset] += minor(&position.fund) - paid;
            shortest = shortest.min(minor(&position.fund));
        }
        let holds = shortest == 0 && sums == [0; ASSETS];
        self.stage.check(
            "nobody lost principal: no fund is short, all money paid in is there",
            holds,
            || format!("{sums:?}, shortest {shortest}"),
        )
    }

    /// All members have settled.
    pub fn check_completed(&mut self, name: &str, cycle: &v1::Cycle) -> Result<(), CliError> {
        let is_completed = cycle.state == i32::from(CycleState::Completed);
        self.stage
            .check(name, is_completed && cycle.settled == cycle.members, || {
                format!(
                    "{} of {} settled, state {}",
                    cycle.settled, cycle.members, cycle.state
                )
            })
    }
}

fn is_floor(unsettled: &v1::Explanation) -> bool {
    unsettled.test == "floor"
}

fn is_zero(amount: &str) -> bool {
    !amount.bytes().any(|byte| matches!(byte, b'1'..=b'9'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zero_is_zero_with_any_decimals() {
        for (text, zero) in [
            ("0", true),
            ("0.00", true),
            ("", true),
            ("0.01", false),
            ("10", false),
        ] {
            assert_eq!(is_zero(text), zero, "{text}");
        }
    }
}
