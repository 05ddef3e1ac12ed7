//! What the calendar says of value dates and cut-offs.
//!
//! | question                              | from                                                     |
//! |---------------------------------------|----------------------------------------------------------|
//! | is it a business day of each leg?     | the calendars as they are now                            |
//! | may a gross instruction still enter?  | the assets' cut-offs as they are now                     |
//! | may a net one, or a cancel of one?    | its cycle's instants, fixed when the cycle opened        |
//! | until when is an asset paid in?       | its cycle's instants too                                 |

use super::State;
use super::cycles::Cycle;
use super::decide_command::invalid;
use super::identities::{EntryId, Standing};
use crate::command::{AssetCutOff, AssetDay, AssetLine, CutOffPurpose, Refusal};
use crate::event::{CutOffInstant, CycleCalendar, OrderLeg};
use crate::ids::{AccountId, AssetId, Date, Timestamp};
use crate::instruction::{Body, Digest, Kind, Lane, Submission, Submissions};
use crate::rejection::Rejection;
use fx::AssetCode;
use fx::calendar::{CalendarError, Day, HOLIDAYS_SOURCE, ZONE_DATA_VERSION, currencies};
use sha2::{Digest as _, Sha256};
use std::collections::BTreeMap;

/// (value date, asset, purpose) of which a cut-off is kept; beyond it all are worked out anew.
const ENTRY_CUT_OFFS_MAX: usize = 4_096;
/// Assets that a refusal names.
const NAMED_MAX: usize = 3;

/// Cut-offs on value dates that instructions were sent for: working out one takes microseconds.
#[derive(Clone, Default)]
pub(super) struct EntryCutOffs(BTreeMap<(Date, AssetId, CutOffPurpose), Option<Timestamp>>);

impl EntryCutOffs {
    pub(super) fn clear(&mut self) {
        self.0.clear();
    }
}

/// The assets that settle today, by id: nearly every instruction asks.
#[derive(Clone, Default)]
pub(super) struct OpenToday {
    date: Option<Date>,
    open: Vec<bool>,
}

impl OpenToday {
    pub(super) fn clear(&mut self) {
        self.date = None;
    }

    /// Whether it is known that an asset settles on a date; if not, the calendar says.
    fn knows(&self, asset: AssetId, date: Date) -> bool {
        self.date == Some(date) && self.open.get(usize::from(asset.0)) == Some(&true)
    }
}

/// A payment carries a customer's money; all else is between banks.
fn purpose_of(kind: Kind) -> CutOffPurpose {
    match kind {
        Kind::Payment => CutOffPurpose::Customer,
        Kind::Cover | Kind::Return | Kind::TradeSide => CutOffPurpose::Interbank,
    }
}

impl State {
    fn asset_of(&self, leg: &OrderLeg) -> AssetId {
        self.directory.account(leg.debtor).asset
    }

    /// The first leg, by the rejection's precedence, whose asset does not settle on a date.
    #[inline]
    pub(super) fn closed_leg(&self, legs: &[OrderLeg], date: Date) -> Option<Rejection> {
        let fault = |(leg, line): (u8, &OrderLeg)| {
            let asset = self.asset_of(line);
            if self.open_today.knows(asset, date) {
                return None;
            }
            let code = self.directory.asset(asset).code;
            match self.calendars.of(code).day(date.naive()) {
                Ok(Day::Business) => None,
                Ok(Day::Weekend) => Some(Rejection::NoBusinessDay),
                Ok(Day::Holiday(_) | Day::Added) => Some(Rejection::HolidayOfAsset { leg }),
                Err(_) => Some(Rejection::BeyondCalendar { leg }),
            }
        };
        (0_u8..).zip(legs).filter_map(fault).min()
    }

    /// Refuses a value date of a quote that one of its assets does not settle on.
    pub(super) fn check_open(&self, assets: &[AssetCode], date: Date) -> Result<(), Refusal> {
        let closed = self.calendars.joint(assets).closed(date.naive());
        let closed = closed.map_err(|error| invalid("value_date", error.to_string()))?;
        match closed.first() {
            None => Ok(()),
            Some((asset, day)) => Err(invalid(
                "value_date",
                format!("is no business day of {asset} ({day})"),
            )),
        }
    }

    /// Refuses a cycle's value date that no enabled asset settles on.
    pub(super) fn check_any_open(&self, date: Date) -> Result<(), Refusal> {
        let enabled = self.directory.assets().iter().filter(|line| line.enabled);
        let mut named = Vec::new();
        for line in enabled {
            let reason = match self.calendars.of(line.code).day(date.naive()) {
                Ok(Day::Business) => return Ok(()),
                Ok(day) => format!("{}: {day}", line.code),
                Err(error) => error.to_string(),
            };
            if named.len() < NAMED_MAX {
                named.push(reason);
            }
        }
        let reason = "the value date is no business day of any enabled asset";
        Err(invalid("cycle", format!("{reason} ({})", named.join("; "))))
    }

    /// Works out, and keeps, which assets settle today. Changes nothing that is seen.
    #[inline]
    pub(super) fn prepare_today(&mut self, today: Date) {
        if self.open_today.date == Some(today) {
            return;
        }
        let opens = |line: &AssetLine| self.calendars.of(line.code).is_business_day(today.naive());
        let assets = self.directory.assets().iter();
        let open = assets.map(|line| opens(line) == Ok(true)).collect();
        let date = Some(today);
        self.open_today = OpenToday { date, open };
    }

    /// Works out, and keeps, the cut-offs that an instruction will be held to. Changes nothing that is
    /// seen: without it each is worked out when it is needed.
    pub(super) fn prepare_cut_offs(
        &mut self,
        batch: &Submissions,
        item: &Submission,
        now: Timestamp,
    ) {
        let Ok(body) = &item.body else { return };
        let is_gross = body.lane == Lane::Gross && body.value_date == now.date();
        if self.asset_cut_offs.is_empty() || !is_gross {
            return;
        }
        let purpose = purpose_of(item.identity.kind);
        for leg in batch.legs_of(item) {
            let Some(asset) = leg.asset.and_then(|code| self.directory.asset_id(code)) else {
                continue;
            };
            let key = (body.value_date, asset, purpose);
            if self.entry_cut_offs.0.contains_key(&key) {
                continue;
            }
            if self.entry_cut_offs.0.len() >= ENTRY_CUT_OFFS_MAX {
                self.entry_cut_offs.clear();
            }
            let instant = self.cut_off_now(asset, purpose, body.value_date);
            self.entry_cut_offs.0.insert(key, instant);
        }
    }

    /// Refuses what comes too late for its value date: for the cycle, or for a leg's asset.
    #[inline]
    pub(super) fn check_cut_offs(
        &self,
        legs: &[OrderLeg],
        kind: Kind,
        body: &Body,
        now: Timestamp,
    ) -> Result<(), Rejection> {
        let purpose = purpose_of(kind);
        let date = body.value_date;
        let late = match body.lane {
            Lane::Gross if self.asset_cut_offs.is_empty() => None,
            Lane::Gross => {
                let past = |leg: &OrderLeg| self.is_past(self.asset_of(leg), purpose, date, now);
                legs.iter().position(past)
            }
            Lane::Net => {
                let cycle = self.taking_cycle(date, now).ok_or(Rejection::PastCutOff)?;
                return self.check_cycle_cut_offs(legs, kind, cycle, now);
            }
        };
        past_cut_off(late)
    }

    /// Refuses what comes too late for a cycle that still takes instructions, by a leg's asset.
    pub(super) fn check_cycle_cut_offs(
        &self,
        legs: &[OrderLeg],
        kind: Kind,
        cycle: &Cycle,
        now: Timestamp,
    ) -> Result<(), Rejection> {
        let purposes = [purpose_of(kind), CutOffPurpose::Close];
        let late = |leg: &OrderLeg| {
            let asset = self.asset_of(leg);
            purposes
                .iter()
                .any(|&purpose| has_passed(cycle.cut_off_of(asset, purpose), now))
        };
        past_cut_off(legs.iter().position(late))
    }

    fn is_past(&self, asset: AssetId, purpose: CutOffPurpose, date: Date, now: Timestamp) -> bool {
        let kept = self.entry_cut_offs.0.get(&(date, asset, purpose));
        let instant = kept
            .copied()
            .unwrap_or_else(|| self.cut_off_now(asset, purpose, date));
        has_passed(instant, now)
    }

    /// Refuses the cancel of an instruction of which an asset's cut-off for that has passed.
    pub(super) fn check_cancel_cut_off(
        &self,
        id: EntryId,
        standing: Standing,
        now: Timestamp,
    ) -> Result<(), Refusal> {
        let purpose = CutOffPurpose::Cancel;
        let id = self.unit_of(id);
        let passed = |asset: AssetId, date: Date| self.is_past(asset, purpose, date, now);
        let debited = |account: AccountId| self.directory.account(account).asset;
        let late = match standing {
            Standing::Member(cycle) => {
                let cycle = &self.cycles[cycle as usize];
                let mut assets = cycle
                    .legs(id)
                    .iter()
                    .map(|leg| debited(AccountId(leg.debtor)));
                assets.find(|&asset| has_passed(cycle.cut_off_of(asset, purpose), now))
            }
            Standing::Queued => {
                let (_, unit) = self
                    .queues
                    .by_id(id)
                    .expect("a queued unit is in the queues");
                let mut assets = unit.legs.iter().map(|leg| self.asset_of(leg));
                assets.find(|&asset| passed(asset, unit.value_date))
            }
            Standing::Unmatched => self.unmatched.get(id).and_then(|side| {
                let mut assets = side.legs.iter().map(|leg| self.asset_of(leg));
                assets.find(|&asset| passed(asset, side.value_date))
            }),
            Standing::Pending => self.pending.get(id).and_then(|unit| {
                let mut assets = unit.legs.iter().map(|leg| self.asset_of(leg));
                assets.find(|&asset| passed(asset, unit.value_date))
            }),
            Standing::Settled(_) | Standing::Rejected(_) | Standing::Cancelled => None,
        };
        late.map_or(Ok(()), |asset| {
            let code = self.directory.asset(asset).code;
            let reason = format!("the cancel cut-off of {code} has passed");
            Err(Refusal::WrongState(reason))
        })
    }

    /// An asset's cut-off on a value date, as the scheme has it now; `None` if it has none.
    fn cut_off_now(&self, asset: AssetId, purpose: CutOffPurpose, date: Date) -> Option<Timestamp> {
        let code = self.directory.asset(asset).code;
        let line = self.asset_cut_offs.get(&(code, purpose))?;
        let instant = self.cut_off_instant(line, date);
        // One that nobody can work out has passed: nothing enters by a gap in the figures.
        instant.unwrap_or(Some(Timestamp(i64::MIN)))
    }

    fn cut_off_instant(
        &self,
        line: &AssetCutOff,
        date: Date,
    ) -> Result<Option<Timestamp>, CalendarError> {
        let day = match line.days_before {
            0 => date.naive(),
            days => {
                let calendar = self.calendars.joint(&[line.asset]);
                calendar.subtract_business_days(date.naive(), days.into())?
            }
        };
        let instant = line.cut_off.and_then(|cut_off| cut_off.instant_ms(day));
        Ok(instant.map(Timestamp))
    }

    /// What a cycle that opens now takes from the calendar.
    pub(super) fn cycle_calendar(&self, date: Date) -> Result<CycleCalendar, Refusal> {
        let mut cut_offs = Vec::new();
        for (&(code, purpose), line) in self.asset_cut_offs.iter() {
            let instant = self.cut_off_instant(line, date);
            let instant = instant.map_err(|error| invalid("cycle", error.to_string()))?;
            let asset = self.directory.asset_id(code);
            cut_offs.push(CutOffInstant {
                asset: asset.expect("decided: a cut-off's asset is known"),
                purpose,
                instant: instant.ok_or_else(|| {
                    invalid(
                        "cycle",
                        format!("a cut-off of {code} has no instant in its zone"),
                    )
                })?,
            });
        }
        cut_offs.sort_unstable_by_key(|at| (at.asset, at.purpose));
        Ok(CycleCalendar {
            version: self.calendar_version(),
            cut_offs,
        })
    }

    /// The first 16 bytes of the SHA-256 of figures, zone data, and the scheme's days and cut-offs.
    fn calendar_version(&self) -> Digest {
        let mut hasher = Sha256::new();
        let mut put = |value: &[u8]| {
            hasher.update((value.len() as u64).to_be_bytes());
            hasher.update(value);
        };
        put(HOLIDAYS_SOURCE.as_bytes());
        put(ZONE_DATA_VERSION.as_bytes());
        for currency in currencies() {
            let days: Vec<u8> = currency
                .days()
                .flat_map(|(day, _)| day.to_epoch_days().to_be_bytes())
                .collect();
            put(currency.code().as_str().as_bytes());
            put(&days);
        }
        let scheme = (
            &self.cut_offs,
            self.asset_cut_offs.values().collect::<Vec<_>>(),
        );
        put(&minicbor::to_vec((scheme, self.day_lines())).expect("a Vec takes every byte"));
        let hash: [u8; 32] = hasher.finalize().into();
        let (first, _) = hash.split_first_chunk().expect("16 of 32 bytes");
        Digest(*first)
    }

    pub(super) fn set_asset_cut_off(&mut self, line: &AssetCutOff) {
        let key = (line.asset, line.purpose);
        match line.cut_off {
            Some(_) => self.asset_cut_offs.insert(key, *line),
            None => self.asset_cut_offs.remove(&key),
        };
        self.entry_cut_offs.clear();
    }

    /// The days that the scheme changed, by asset and date.
    pub(super) fn day_lines(&self) -> Vec<AssetDay> {
        let lines = self.calendars.changes();
        lines
            .map(|(asset, date, change)| AssetDay {
                asset,
                date: Date(date.to_epoch_days()),
                change,
            })
            .collect()
    }

    pub(super) fn cut_off_views(
        &self,
        cycle: &Cycle,
    ) -> Vec<(AssetCode, CutOffPurpose, Timestamp)> {
        let cut_offs = cycle.calendar.cut_offs.iter();
        cut_offs
            .map(|at| (self.directory.asset(at.asset).code, at.purpose, at.instant))
            .collect()
    }
}

/// A leg whose asset is past its cut-off.
fn past_cut_off(late: Option<usize>) -> Result<(), Rejection> {
    late.map_or(Ok(()), |leg| {
        let leg = u8::try_from(leg).expect("at most 16 legs");
        Err(Rejection::PastAssetCutOff { leg })
    })
}

/// A cut-off is exclusive: at its instant it has passed.
fn has_passed(instant: Option<Timestamp>, now: Timestamp) -> bool {
    instant.is_some_and(|instant| now >= instant)
}
