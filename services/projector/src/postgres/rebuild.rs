//! Rebuilding while readers go on: a second schema is filled, then the two change places.
//!
//! | # | phase | readers | the live projector | a crash here leaves |
//! |---|---|---|---|---|
//! | 1 | fill `valuta_rebuilt` from the journal's beginning | go on | goes on | the old one, and leftovers |
//! | 2 | stop the live projector, catch up with it | go on | waits | the same |
//! | 3 | exchange, by renaming, in one transaction | wait for it | waits | the old one or the new one |
//! | 4 | drop the old one | go on, on the new one | goes on, or starts anew at the new cursor | the new one, and leftovers |
//!
//! Leftovers are dropped by the next rebuild.

use super::PostgresStore;
use super::schema::{self, Found};
use super::session::{Fault, PostgresAddress, Session, Use};
use crate::projector::{Following, ProjectError};
use crate::store::StoreError;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};
use valuta_journal::{Cursor, JournalReader};

/// The schema that was live before the exchange, until it is dropped.
const OLD_SCHEMA: &str = "valuta_replaced";
/// One rebuilds at a time; any number that nobody else uses.
const REBUILDING: i64 = 0x7265_6275_696c;
/// How long the live projector is kept waiting for a reader that is behind it.
const CATCH_UP_MAX: Duration = Duration::from_secs(5);
/// Between two looks.
const CATCH_UP_WAIT: Duration = Duration::from_millis(10);

/// Why there is no new read model. The old one is as it was.
#[derive(Debug, thiserror::Error)]
pub enum RebuildError {
    /// The journal cannot be projected, or the database failed.
    #[error("rebuild: {0}")]
    Project(#[from] ProjectError),
    /// Another rebuild of this read model is at work.
    #[error("rebuild: {0}: another rebuild is at work")]
    Busy(String),
    /// It was told to stop.
    #[error("rebuild: stopped; the old read model goes on")]
    Stopped,
}

impl From<StoreError> for RebuildError {
    fn from(error: StoreError) -> Self {
        Self::Project(error.into())
    }
}

/// Fills a new read model from the journal's beginning, and puts it in the place of the one at `address`,
/// whose readers go on meanwhile, as does its projector. `reader` starts at the journal's beginning and
/// sees what is durable. Answers where the new one stands. `stop` ends it before the exchange.
pub fn rebuild(
    address: &PostgresAddress,
    reader: Box<dyn JournalReader>,
    stop: &AtomicBool,
) -> Result<Cursor, RebuildError> {
    let mut live = address.connect(Use::Change)?;
    let failed = |fault: Fault| RebuildError::from(address.failed(fault));
    schema::prepare(&mut live, address)?;
    if !alone(&mut live).map_err(failed)? {
        return Err(RebuildError::Busy(address.to_string()));
    }
    drop_leftovers(&mut live, address)?;
    let store = PostgresStore::open(&address.rebuilt())?;
    let mut following = Following::new(reader, store)?;
    if !following.catch_up(stop)? {
        return Err(RebuildError::Stopped);
    }
    // From here on the live projector waits, so that nobody sees the read model go back.
    live.batch("BEGIN; LOCK TABLE journal_cursor IN EXCLUSIVE MODE")
        .map_err(failed)?;
    let shown = super::cursor(&mut live).map_err(failed)?;
    if !catch_up_with(&mut following, shown, stop)? {
        return Err(RebuildError::Stopped);
    }
    exchange(&mut live, address).map_err(failed)?;
    // Whoever still read the old one had ended before the exchange: nothing waits for this.
    live.batch(&format!("DROP SCHEMA {OLD_SCHEMA} CASCADE"))
        .map_err(failed)?;
    Ok(following.cursor())
}

/// A reader in another process may see a little later what the live projector has seen. One that has seen
/// what is no longer in the journal is not waited for: putting that right is what a rebuild is for.
fn catch_up_with(
    following: &mut Following<PostgresStore>,
    shown: Option<Cursor>,
    stop: &AtomicBool,
) -> Result<bool, RebuildError> {
    let until = Instant::now() + CATCH_UP_MAX;
    loop {
        if !following.catch_up(stop)? {
            return Ok(false);
        }
        let at = following.cursor();
        let ahead = |shown: Cursor| shown.journal == at.journal && shown.sequence > at.sequence;
        if !shown.is_some_and(ahead) || Instant::now() > until {
            return Ok(true);
        }
        std::thread::sleep(CATCH_UP_WAIT);
    }
}

/// Until the connection ends.
fn alone(live: &mut Session) -> Result<bool, Fault> {
    let row = live.query_one("SELECT pg_try_advisory_lock($1)", &[&REBUILDING])?;
    Ok(row.get(0))
}

fn drop_leftovers(live: &mut Session, address: &PostgresAddress) -> Result<(), StoreError> {
    for name in [address.rebuilt().schema, OLD_SCHEMA] {
        let found = schema::found(live, name).map_err(|fault| address.failed(fault))?;
        match found {
            Found::Nothing => {}
            Found::Empty | Found::Ours(_) => {
                let dropped = live.batch(&format!("DROP SCHEMA {name} CASCADE"));
                dropped.map_err(|fault| address.failed(fault))?;
            }
            Found::Foreign => {
                let file = format!("{address}: schema {name}");
                return Err(StoreError::Foreign { file });
            }
        }
    }
    Ok(())
}

/// In the transaction that is open. Anchors are the ledger's, which does not offer them again: they come
/// over. What reads or writes meanwhile waits, and then finds the new tables under the old names.
fn exchange(live: &mut Session, address: &PostgresAddress) -> Result<(), Fault> {
    let (name, rebuilt) = (address.schema, address.rebuilt().schema);
    live.batch(&format!(
        "LOCK TABLE journal_cursor IN ACCESS EXCLUSIVE MODE;
         LOCK TABLE anchor_rows IN SHARE ROW EXCLUSIVE MODE;
         INSERT INTO {rebuilt}.anchor_rows SELECT * FROM {name}.anchor_rows;
         ALTER SCHEMA {name} RENAME TO {OLD_SCHEMA};
         ALTER SCHEMA {rebuilt} RENAME TO {name};
         ALTER FUNCTION {name}.make_month(DATE) SET search_path = {name}, pg_temp;
         COMMIT"
    ))
}
