//! The read model of a cluster: a schema of a PostgreSQL database, one writer, readers on any machine.
//!
//! | connection | opened by | does |
//! |---|---|---|
//! | writer | [`PostgresStore`] | rows by binary COPY, and the cursor, one transaction per commit |
//! | anchors | [`PostgresAnchors`] | the ledger's upserts, a row each |
//! | readers | [`PostgresReadModel`] | queries, each in one snapshot; they never wait for a writer |
//! | rebuild | [`rebuild`] | fills a second schema, then exchanges the two in one transaction |
//!
//! | module | what |
//! |---|---|
//! | `session` | one connection: settings, prepared statements, faults; one that opens itself anew |
//! | `watch` | a server that is there and answers nothing |
//! | `schema` | which schema is ours, of which version; migrations |
//! | `binary`, `value` | values as COPY and queries have them |
//! | `copy`, `write` | rows into tables |
//! | `read`, `list`, `history`, `model` | rows back into core types |
//!
//! Who holds what: every transaction first locks `journal_cursor`. Writers exclude each other there, and a
//! writer that finds the cursor moved by another stops; the exchange of schemas excludes everyone.

mod binary;
mod copy;
mod history;
mod list;
mod model;
mod read;
mod rebuild;
mod schema;
mod session;
mod tls;
mod value;
mod watch;
mod write;

pub use model::PostgresReadModel;
pub use rebuild::{RebuildError, rebuild};
pub use session::PostgresAddress;

use crate::rows::Rows;
use crate::store::{Anchors, Store, StoreError};
use session::{Fault, Link, Session, Use};
use settlement_core::ids::BatchNumber;
use valuta_journal::{Cursor, JournalId};
use write::Writer;

/// The writer of the read model.
pub struct PostgresStore {
    address: PostgresAddress,
    session: Session,
    writer: Writer,
    /// What the database is to stand at as long as nobody else writes.
    at: Option<Cursor>,
    /// A transaction is open.
    writing: bool,
}

impl PostgresStore {
    /// Opens the schema, makes it if it is not there, and brings it forward from an older version with
    /// all that it holds. One of a newer version, or that is not ours, is refused.
    pub fn open(address: &PostgresAddress) -> Result<Self, StoreError> {
        let mut session = address.connect(Use::Write)?;
        schema::prepare(&mut session, address)?;
        let opened = Writer::open(&mut session).and_then(|writer| {
            let at = cursor(&mut session)?;
            Ok((writer, at))
        });
        let (writer, at) = opened.map_err(|fault| address.failed(fault))?;
        Ok(Self {
            address: address.clone(),
            session,
            writer,
            at,
            writing: false,
        })
    }

    /// A read model with `readers` connections of its own.
    pub fn read_model(&self, readers: usize) -> Result<PostgresReadModel, StoreError> {
        PostgresReadModel::open(&self.address, readers)
    }

    /// The ledger's way in.
    pub fn anchors(&self) -> Result<PostgresAnchors, StoreError> {
        PostgresAnchors::open(&self.address)
    }

    fn begin(&mut self) -> Result<(), Fault> {
        if self.writing {
            return Ok(());
        }
        self.session
            .batch("BEGIN; LOCK TABLE journal_cursor IN SHARE ROW EXCLUSIVE MODE")?;
        self.writing = true;
        if cursor(&mut self.session)? != self.at {
            return Err(Fault::Moved);
        }
        Ok(())
    }

    fn commit_at(&mut self, to: &Cursor) -> Result<(), Fault> {
        self.begin()?;
        write::set_cursor(&mut self.session, to)?;
        // A crash before this: neither rows nor cursor. After it: both, or, if the server's machine lost
        // power before its log reached the disk, neither. A connection that breaks here leaves it open
        // which of the two: the store is opened anew and asked.
        self.session.batch("COMMIT")?;
        self.writing = false;
        self.at = Some(*to);
        Ok(())
    }

    fn empty(&mut self) -> Result<(), Fault> {
        if self.writing {
            self.session.batch("ROLLBACK")?;
            self.writing = false;
        }
        let tables = schema::TABLES.join(", ");
        self.session.batch(&format!(
            "BEGIN; LOCK TABLE journal_cursor IN ACCESS EXCLUSIVE MODE; TRUNCATE {tables}; COMMIT"
        ))?;
        self.writer = Writer::open(&mut self.session)?;
        self.at = None;
        Ok(())
    }
}

impl Store for PostgresStore {
    fn cursor(&mut self) -> Result<Option<Cursor>, StoreError> {
        let found = cursor(&mut self.session).map_err(|fault| self.address.failed(fault))?;
        self.at = found;
        Ok(found)
    }

    fn write(&mut self, rows: &Rows) -> Result<(), StoreError> {
        self.begin()
            .and_then(|()| self.writer.write(&mut self.session, rows))
            .map_err(|fault| self.address.failed(fault))
    }

    fn commit(&mut self, cursor: &Cursor) -> Result<(), StoreError> {
        let committed = self.commit_at(cursor);
        committed.map_err(|fault| self.address.failed(fault))
    }

    fn reset(&mut self) -> Result<(), StoreError> {
        let emptied = self.empty();
        emptied.map_err(|fault| self.address.failed(fault))
    }
}

/// Writes anchors. A connection that broke is opened anew by the next call.
pub struct PostgresAnchors(Link);

impl PostgresAnchors {
    /// Opens a connection to a schema that a [`PostgresStore`] has prepared.
    pub fn open(address: &PostgresAddress) -> Result<Self, StoreError> {
        Link::open(address, Use::Write).map(Self)
    }
}

impl Anchors for PostgresAnchors {
    fn set_anchor(
        &mut self,
        batch: BatchNumber,
        log_index: u64,
        header: &str,
    ) -> Result<(), StoreError> {
        self.0.run(|session| {
            let set = "INSERT INTO anchor_rows VALUES ($1, $2, $3) ON CONFLICT (batch)
                 DO UPDATE SET log_index = excluded.log_index, header = excluded.header";
            session.execute(set, &[&int(batch), &int(log_index), &header])?;
            Ok(())
        })
    }

    fn anchored(&mut self) -> Result<BatchNumber, StoreError> {
        self.0.run(|session| {
            let newest = "SELECT coalesce(max(batch), 0) FROM anchor_rows";
            let row = session.query_one(newest, &[])?;
            read::natural(&row, 0)
        })
    }
}

fn cursor(session: &mut Session) -> Result<Option<Cursor>, Fault> {
    let select = "SELECT journal, journal_offset, sequence, chain FROM journal_cursor";
    let row = session.query_opt(select, &[])?;
    row.map(|row| {
        Ok(Cursor {
            journal: JournalId(read::bytes(&row, 0)?),
            offset: read::natural(&row, 1)?,
            sequence: read::natural(&row, 2)?,
            chain: read::bytes(&row, 3)?,
        })
    })
    .transpose()
}

/// Sequences, numbers and offsets as SQL has integers. What is stored is counted from 1, and below
/// 2^63; what a caller asks for may be beyond, and then is beyond all that is stored.
fn int(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}
