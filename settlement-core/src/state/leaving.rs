//! Old identities leave memory: what is final of a day goes to files once the day is old.
//!
//! | # | step                          | who                | a crash here leaves                         |
//! |---|-------------------------------|--------------------|---------------------------------------------|
//! | 1 | `IdentitiesAged`, at a tick   | `decide`           | nothing, or the event: a start goes on at 2 |
//! | 2 | the file, durable             | the files' keeper  | a file for an event: used as it is, or made anew |
//! | 3 | `IdentitiesLeft`, at a tick   | `decide`           | the file, and the entries still in memory   |
//!
//! Step 1 fixes what leaves: inputs before a sequence, without what may still change. All of it is final,
//! so at any later instant before step 3 the same lines come of it, in a replay too. One goes on at a time.
//!
//! What files say is handed in with [`State::recall`] before an input is decided: so `decide` stays a
//! function of what it is given. An entry in memory goes before a line in a file.
//!
//! Quotes, document hashes and completed cycles do not leave, nor does an instruction that a quote names.

use super::State;
use super::identities::EntryId;
use super::identities::leave::is_of;
use crate::command::Caller;
use crate::event::Event;
use crate::ids::{Date, Sequence, Timestamp};
use crate::instruction::{Identity, ShortText};
use crate::remembered::{Final, Key, Remembered, Request};
use minicbor::{Decode, Encode};

/// Days after its last input that a day stays in memory: repeats mostly come within hours, and cycles and
/// trades of a week are looked up often.
pub const HOT_DAYS: i32 = 7;
/// Instructions that leave at a time, at most: it bounds what a tick costs, and the keeper's memory.
const LEAVING_MAX: u32 = if cfg!(test) { 64 } else { 1 << 22 };
/// Days whose lines lie in one file: four or five files for the retention. Each costs a look for every new
/// instruction; fewer would be rewritten for longer, once a day.
const PERIOD_DAYS: i32 = 128;
/// One more than the retention, since a creation time may be a few minutes ahead of receipt.
const REMEMBERED_DAYS: i32 = super::CREATED_AGE_MS_MAX.div_euclid(super::DAY_MS) as i32 + 1;

/// Which file lines go to.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Place {
    /// The file's: 128 days, counted from 1970.
    pub period: i32,
    /// From 1, of all that ever left; a file holds all of its period up to one number.
    pub number: u64,
}

/// Inputs between the first of a day and the first of the next; the first day of all may be several,
/// until instructions come.
#[derive(Clone, Copy, Encode, Decode)]
struct Day {
    /// Of its last input.
    #[n(0)]
    last: Date,
    /// The next ones' numbers as it began.
    #[n(1)]
    sequence: Sequence,
    #[n(2)]
    entry: EntryId,
    #[n(3)]
    trade: u32,
}

/// What is to leave.
#[derive(Clone, Encode, Decode)]
struct Aged {
    #[n(0)]
    day: Date,
    #[n(1)]
    before: Sequence,
    #[n(2)]
    cut: EntryId,
    /// Ascending.
    #[n(3)]
    staying: Vec<EntryId>,
}

/// Days in memory, and how far leaving has come.
#[derive(Clone, Default, Encode, Decode)]
pub(crate) struct Leaving {
    /// That hold instructions that have not left, and the current one.
    #[n(0)]
    days: Vec<Day>,
    /// How often something left.
    #[n(1)]
    left: u64,
    #[n(2)]
    aged: Option<Aged>,
    /// The files that there are: period, and the last that left to it.
    #[n(3)]
    files: Vec<(i32, u64)>,
    /// Of the last day; so that telling days apart costs an event nothing. Worked out.
    #[cbor(skip)]
    day_ends: Timestamp,
    /// Up to which number files hold what left or is to leave; `None`: nobody keeps files, and nothing
    /// leaves. No part of the replicated state.
    #[cbor(skip)]
    kept: Option<u64>,
    /// What files say of what is asked for next. No part of the replicated state.
    #[cbor(skip)]
    recalled: Vec<Remembered>,
}

fn period_of(day: Date) -> i32 {
    day.0.div_euclid(PERIOD_DAYS)
}

impl State {
    /// Takes in what the files of old identities hold under the keys of what comes next
    /// ([`Key::of_batch`], [`Key::of_command`], [`Key::of_query`]); replaces what was taken in before.
    pub fn recall(&mut self, found: Vec<Remembered>) {
        self.leaving.recalled = found;
    }

    /// Files hold all that left, or is to leave, up to this number, and will be asked: from now on old
    /// identities leave.
    pub fn files_hold(&mut self, number: u64) {
        self.leaving.kept = Some(number);
    }

    /// How often something left for the files.
    pub fn left(&self) -> u64 {
        self.leaving.left
    }

    /// The files that must be there, and up to which number each must hold what left.
    pub fn files(&self) -> impl Iterator<Item = Place> {
        let files = self.leaving.files.iter();
        files.map(|&(period, number)| Place { period, number })
    }

    /// What is to leave once a file holds it.
    pub fn aged(&self) -> Option<Place> {
        let aged = self.leaving.aged.as_ref()?;
        Some(Place {
            period: period_of(aged.day),
            number: self.leaving.left + 1,
        })
    }

    /// The lines for the file of [`State::aged`], in no particular order.
    pub fn aged_lines(&self) -> impl Iterator<Item = Remembered> {
        self.leaving.aged.iter().flat_map(|aged| {
            let identities = self.identities.leaving(aged.cut, &aged.staying);
            identities.chain(self.requests.leaving(aged.before))
        })
    }

    /// How many instructions are in memory.
    pub fn held_count(&self) -> u64 {
        self.identities.held()
    }

    /// How an instruction ended that has left, as far as files were asked.
    pub(super) fn left_as(&self, wanted: &Identity) -> Option<Final> {
        match self.recalled(wanted)? {
            Remembered::Instruction { outcome, .. } => Some(*outcome),
            Remembered::Command { .. } => None,
        }
    }

    /// An instruction that has left, as far as files were asked.
    pub(super) fn recalled(&self, wanted: &Identity) -> Option<&Remembered> {
        let mut recalled = self.leaving.recalled.iter();
        recalled.find(|remembered| is_of(remembered, wanted))
    }

    /// All instructions under a key that have left, as far as files were asked.
    pub(super) fn recalled_under(&self, key: Key) -> impl Iterator<Item = &Remembered> {
        let recalled = self.leaving.recalled.iter();
        recalled.filter(move |remembered| remembered.key() == key)
    }

    /// A command that was taken, be it one that has left: the last under its id.
    pub(super) fn taken(&self, caller: Caller, id: ShortText) -> Option<Request> {
        if let Some(request) = self.requests.get(caller, id) {
            return Some(*request);
        }
        if self.leaving.recalled.is_empty() {
            return None;
        }
        let left = self.recalled_under(Key::of_request(caller, id));
        let commands = left.filter_map(|remembered| match remembered {
            Remembered::Command { request, .. } => Some(*request),
            Remembered::Instruction { .. } => None,
        });
        commands.max_by_key(|request| request.sequence)
    }

    /// An event comes: days are told apart by it.
    #[inline]
    pub(super) fn note_day(&mut self, sequence: Sequence, now: Timestamp) {
        if now >= self.leaving.day_ends {
            self.begin_day(sequence, now);
        }
    }

    #[cold]
    fn begin_day(&mut self, sequence: Sequence, now: Timestamp) {
        let today = now.date();
        self.leaving.day_ends = super::end_of(today);
        let entry = self.identities.next();
        let last = self.leaving.days.last();
        // Not again after a start in the middle of the day.
        if last.is_none_or(|day| day.last < today) {
            let live = self.cycles_live.iter();
            let dates = live.map(|&cycle| self.cycles[cycle as usize].name.value_date);
            self.usage.forget_before(dates.fold(today, Date::min));
        }
        match self.leaving.days.last_mut() {
            Some(day) if today <= day.last => {}
            Some(day) if entry == day.entry => day.last = today,
            _ => self.leaving.days.push(Day {
                last: today,
                sequence,
                entry,
                trade: self.identities.next_trade(),
            }),
        }
    }

    /// The next step of leaving, if it is due.
    pub(super) fn decide_leaving(&self, now: Timestamp) -> Option<Event> {
        let Leaving {
            days,
            left,
            aged,
            kept,
            ..
        } = &self.leaving;
        let (number, kept) = (left + 1, (*kept)?);
        if aged.is_some() {
            return (kept >= number).then_some(Event::IdentitiesLeft { number });
        }
        let (day, next) = (days.first()?, days.get(1)?);
        if now.date().0 - day.last.0 < HOT_DAYS {
            return None;
        }
        let most = EntryId(self.identities.first().0.saturating_add(LEAVING_MAX));
        let before = if most < next.entry {
            self.identities.sequence(most)
        } else {
            next.sequence
        };
        Some(Event::IdentitiesAged {
            number,
            day: day.last,
            before,
        })
    }

    /// Step 1: what is to leave is what is final now.
    pub(super) fn age(&mut self, day: Date, before: Sequence) {
        let cut = self.identities.number_from(before);
        self.leaving.aged = Some(Aged {
            day,
            before,
            cut,
            staying: self.identities.staying(cut),
        });
    }

    /// Step 3.
    pub(super) fn let_go(&mut self, number: u64, now: Timestamp) {
        let aged = self.leaving.aged.take();
        let aged = aged.expect("decided: something is to leave");
        let days = &mut self.leaving.days;
        if days.get(1).is_some_and(|next| next.sequence <= aged.before) {
            days.remove(0);
        }
        let trades = days.first().map_or(0, |day| day.trade);
        self.identities.let_go(aged.cut, &aged.staying, trades);
        self.requests.let_go(aged.before);
        self.leaving.left = number;
        let period = period_of(aged.day);
        let files = &mut self.leaving.files;
        files.retain(|&(other, _)| other != period);
        files.push((period, number));
        let over = |period: i32| (period + 1) * PERIOD_DAYS + REMEMBERED_DAYS <= now.date().0;
        files.retain(|&(period, _)| !over(period));
    }

    /// All of it that is replicated, for [`State::digest`].
    pub(super) fn leaving_parts(&self) -> Vec<u8> {
        minicbor::to_vec(&self.leaving).expect("a Vec takes every byte")
    }
}
