//! The steps of a cycle: open, close, net, settle. Each may be asked for again, and then changes nothing.

use super::State;
use super::cycles::{Cycle, at};
use super::decide_command::{invalid, not_found};
use crate::command::{CutOffs, Refusal};
use crate::event::{Event, ScheduleLine, i128Cbor};
use crate::ids::{AccountId, AssetId, CycleName, Date, Timestamp};
use crate::netting;
use crate::risk::Funding;
use crate::view::CycleState;
use fx::calendar::LocalCutoff;
use fx::{I256, Pair, Price, ValuationRate, valuation_rate};

impl State {
    pub(super) fn decide_open(
        &self,
        name: CycleName,
        instants: [Option<Timestamp>; 3],
        now: Timestamp,
    ) -> Result<Vec<Event>, Refusal> {
        if let Some(cycle) = self.cycle(name) {
            let held = [
                cycle.cut_off,
                cycle.pay_in_deadline,
                cycle.completion_deadline,
            ];
            let same = |(asked, held): (Option<Timestamp>, Timestamp)| {
                asked.is_none_or(|asked| asked == held)
            };
            return if instants.into_iter().zip(held).all(same) {
                Ok(Vec::new())
            } else {
                Err(Refusal::WrongState(format!(
                    "cycle {name} is open with other deadlines"
                )))
            };
        }
        self.check_new_cycle(name, now)?;
        let [cut_off, pay_in_deadline, completion_deadline] =
            self.deadlines(name.value_date, instants)?;
        if cut_off > pay_in_deadline || pay_in_deadline > completion_deadline {
            return Err(invalid(
                "cycle",
                "deadlines are not in order: cut-off, pay-in, completion",
            ));
        }
        Ok(vec![Event::CycleOpened {
            cycle: name,
            cut_off,
            pay_in_deadline,
            completion_deadline,
            calendar: Some(self.cycle_calendar(name.value_date)?),
        }])
    }

    fn check_new_cycle(&self, name: CycleName, now: Timestamp) -> Result<(), Refusal> {
        if self.scheme.is_none() {
            return Err(Refusal::WrongState("there is no scheme yet".to_owned()));
        }
        self.check_any_open(name.value_date)?;
        if name.value_date < now.date() {
            return Err(invalid("cycle", "the value date is in the past"));
        }
        let date = name.value_date;
        let of_date = self.cycle_numbers.iter_from(|held| held.value_date < date);
        let of_date = of_date.take_while(|(held, _)| held.value_date == date);
        let next = of_date
            .last()
            .map_or(1, |(last, _)| u32::from(last.number) + 1);
        if u32::from(name.number) != next {
            return Err(invalid("cycle", format!("the next number is {next}")));
        }
        Ok(())
    }

    /// Deadlines that are not given are the scheme's local times on the value date.
    fn deadlines(
        &self,
        date: Date,
        instants: [Option<Timestamp>; 3],
    ) -> Result<[Timestamp; 3], Refusal> {
        let mut deadlines = [Timestamp(0); 3];
        for (index, given) in instants.into_iter().enumerate() {
            let field = ["cut_off", "pay_in_deadline", "completion_deadline"][index];
            deadlines[index] = match (given, &self.cut_offs) {
                (Some(given), _) => given,
                (None, None) => {
                    return Err(invalid(field, "is missing, and the scheme has no cut-offs"));
                }
                (None, Some(cut_offs)) => {
                    let instant = local_instant(cut_offs, index, date);
                    instant.ok_or_else(|| invalid(field, "has no instant in the scheme's zone"))?
                }
            };
        }
        Ok(deadlines)
    }

    pub(super) fn decide_close(
        &self,
        name: CycleName,
        now: Timestamp,
    ) -> Result<Vec<Event>, Refusal> {
        let cycle = self.existing(name)?;
        if cycle.state != CycleState::Open {
            return Ok(Vec::new());
        }
        if now < cycle.cut_off {
            return Err(Refusal::TooEarly {
                what: "close".to_owned(),
                not_before: cycle.cut_off,
            });
        }
        let mut events = vec![Event::CycleClosed { cycle: name }];
        events.extend(self.frozen_values(cycle));
        Ok(events)
    }

    pub(super) fn decide_net(&self, name: CycleName) -> Result<Vec<Event>, Refusal> {
        let cycle = self.existing(name)?;
        match cycle.state {
            CycleState::Open => Err(Refusal::WrongState(format!("cycle {name} is not closed"))),
            CycleState::Closed => Ok(vec![self.schedule(cycle, 1, String::new())]),
            CycleState::Settling | CycleState::Completed => Ok(Vec::new()),
        }
    }

    pub(super) fn decide_settle(
        &self,
        name: CycleName,
        now: Timestamp,
    ) -> Result<Vec<Event>, Refusal> {
        let cycle = self.existing(name)?;
        match cycle.state {
            CycleState::Open | CycleState::Closed => {
                return Err(Refusal::WrongState(format!("cycle {name} is not netted")));
            }
            CycleState::Completed => return Ok(Vec::new()),
            CycleState::Settling => {}
        }
        let short = self.short_fund(cycle);
        if cycle.unsettled_count() == 0 && short.is_none() {
            return Ok(self.decide_completion(cycle, now));
        }
        if cycle.model.funding == Funding::Prefunded
            && now < cycle.pay_in_deadline
            && !cycle.is_funded()
        {
            return Err(Refusal::TooEarly {
                what: "settle: pay-ins are outstanding".to_owned(),
                not_before: cycle.pay_in_deadline,
            });
        }
        if now < cycle.completion_deadline {
            return Ok(Vec::new());
        }
        if cycle.waiting_count() > 0 && !self.has_outcome(cycle) {
            // Due, and so on its way: its outcome decides who is left behind.
            return Err(Refusal::RunUnderWay);
        }
        if let Some(account) = short {
            let (bic, asset) = self.directory.account_names(account);
            return Err(Refusal::WrongState(format!(
                "cycle {name} cannot complete: the fund of {bic} in {asset} is short"
            )));
        }
        Ok(self.decide_completion(cycle, now))
    }

    fn existing(&self, name: CycleName) -> Result<&Cycle, Refusal> {
        self.cycle(name)
            .ok_or_else(|| not_found("cycle", format!("no such cycle: {name}")))
    }

    /// A schedule of the members that are not held.
    pub(super) fn schedule(&self, cycle: &Cycle, version: u32, reason: String) -> Event {
        let accounts =
            (0..self.accounts.len()).map(|at| AccountId(u32::try_from(at).expect("an account")));
        let lines: Vec<ScheduleLine> = accounts
            .map(|account| schedule_line(cycle, account))
            .filter(|line| line.net != 0 || line.pay_in_due != 0 || line.pay_out_due != 0)
            .collect();
        let (gross_value, net_value) = self.values(cycle).unwrap_or((0, 0));
        Event::CycleScheduled {
            cycle: cycle.name,
            version,
            reason,
            lines,
            gross_value: i128Cbor(gross_value),
            net_value: i128Cbor(net_value),
        }
    }

    /// Value of legs, and of what net settlement takes, at the rates of now: in 10^-12 of the base
    /// asset's minor unit, rounded down per asset where an asset has more decimals than the base.
    /// `None` if an asset with legs has no rate, or the value does not fit.
    fn values(&self, cycle: &Cycle) -> Option<(i128, i128)> {
        let (_, base) = self.scheme?;
        let base_decimals = self
            .directory
            .asset(self.directory.asset_id(base)?)
            .decimals;
        let (mut gross_value, mut net_value) = (I256::new(0), I256::new(0));
        for (asset, (gross, short)) in self.asset_sums(cycle) {
            if gross == 0 {
                continue;
            }
            let line = self.directory.asset(asset);
            let rate = self.valuation(line.code, base)?;
            gross_value += base_value(gross, rate, line.decimals, base_decimals)?;
            net_value += base_value(short, rate, line.decimals, base_decimals)?;
        }
        Some((
            i128::try_from(gross_value).ok()?,
            i128::try_from(net_value).ok()?,
        ))
    }

    /// Per asset: the sum of legs, and `sum_p max(0, -N)`; of members that are not held.
    pub(super) fn asset_sums(&self, cycle: &Cycle) -> Vec<(AssetId, (i128, i128))> {
        let mut sums = vec![(0, 0); self.mirrors.len()];
        for (index, entry) in (0..).zip(self.directory.accounts()) {
            let (gross, short) = &mut sums[usize::from(entry.asset.0)];
            let net = i128::from(cycle.net(AccountId(index)));
            *gross += i128::from(cycle.credit(AccountId(index)));
            *short += (-net).max(0);
        }
        (0..).map(AssetId).zip(sums).collect()
    }

    /// Base per unit of asset: the middle between bid and ask, exactly halved, then frozen to 12
    /// decimals; direct, inverse, or through the first asset that both are quoted against.
    pub(super) fn valuation(
        &self,
        asset: fx::AssetCode,
        base: fx::AssetCode,
    ) -> Option<ValuationRate> {
        if asset == base {
            return Some(ValuationRate::ONE);
        }
        let pair = Pair {
            base: asset,
            quote: base,
        };
        let mut pivots = self.directory.assets().iter().map(|line| line.code);
        let rate = pivots.find_map(|pivot| {
            self.rates
                .valuation
                .rate_through(pair, pivot, Price::Mid)
                .ok()
        })?;
        valuation_rate(&rate).ok()
    }
}

fn local_instant(cut_offs: &CutOffs, index: usize, date: Date) -> Option<Timestamp> {
    let CutOffs {
        zone,
        close_minutes,
        pay_in_minutes,
        completion_minutes,
    } = cut_offs;
    let minutes = [close_minutes, pay_in_minutes, completion_minutes][index];
    let time = format!("{:02}:{:02}", minutes / 60, minutes % 60);
    let cut_off = LocalCutoff::parse(&time, zone).ok()?;
    cut_off.instant_ms(date.naive()).map(Timestamp)
}

fn schedule_line(cycle: &Cycle, account: AccountId) -> ScheduleLine {
    let net = cycle.net(account);
    let fund = i128::from(at(&cycle.opening_funds, account));
    let fits = |amount: i128| i64::try_from(amount).expect("sums and funds are bounded");
    ScheduleLine {
        account,
        net,
        pay_in_due: fits(netting::pay_in(fund, i128::from(net))),
        pay_out_due: fits(netting::pay_out(fund, i128::from(net))),
    }
}

/// An amount's value in 10^-12 of the base's minor unit.
fn base_value(minor: i128, rate: ValuationRate, decimals: u8, base_decimals: u8) -> Option<I256> {
    // In 10^-20 of the base unit; a minor unit of the base is 10^-base_decimals.
    let value = rate.value(minor, decimals)?;
    let excess = u32::from(fx::DECIMALS_MAX - base_decimals);
    Some(value / I256::from(10_i64.pow(excess)))
}
