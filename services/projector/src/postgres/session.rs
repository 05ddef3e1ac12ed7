//! One connection, and what can go wrong on it.
//!
//! | fault | on the writer | on a reader, or the anchors' connection |
//! |---|---|---|
//! | it broke: server restarted, gone, or told us to go | the store fails; opened anew it stands at its cursor | opened anew, once a call |
//! | it says nothing: stopped, or its machine hangs | the same, after a while | the same |
//! | the server says no: disk full, no right, a table is missing | the store fails | the call fails |

use super::{tls, watch};
use crate::store::StoreError;
use postgres::config::SslMode;
use postgres::error::SqlState;
use postgres::types::ToSql;
use postgres::{Client, Config, CopyInWriter, Row, Statement};
use std::collections::BTreeMap;
use std::error::Error as _;
use std::fmt;
use std::io::Write as _;
use std::str::FromStr;
use std::time::Duration;
use tokio_postgres_rustls::MakeRustlsConnect;

/// The schema that people and programs ask.
const SCHEMA: &str = "valuta";
/// The schema that a rebuild fills.
const REBUILT_SCHEMA: &str = "valuta_rebuilt";
/// How long a server may take to take a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// A server that takes no bytes, or owes an answer, for so long is gone; `tcp_user_timeout` in the address is
/// another time.
const UNANSWERED_MAX: Duration = Duration::from_secs(30);
/// An idle connection is tried after so long, and as often again as fits into [`UNANSWERED_MAX`].
const KEEPALIVE: Duration = Duration::from_secs(10);
/// A statement ends after so long, of the time that the server may owe an answer: so it is the server that
/// says so, while it can.
const STATEMENT_PERCENT: u128 = 90;

/// Where a read model is: a database of a server, and a schema in it.
#[derive(Clone)]
pub struct PostgresAddress {
    config: Config,
    tls: Option<MakeRustlsConnect>,
    pub(super) schema: &'static str,
}

/// What a connection is for.
#[derive(Clone, Copy)]
pub(super) enum Use {
    Write,
    Read,
    /// Of schemas: a statement takes as long as it takes.
    Change,
}

impl PostgresAddress {
    /// Takes a connection string, `postgres://user:password@host:port/database` or `host=... dbname=...`.
    /// Connections are not encrypted, unless [`Self::trusting`] follows.
    pub fn parse(text: &str) -> Result<Self, StoreError> {
        let parsed = Config::from_str(text);
        let mut config = parsed.map_err(|error| StoreError::Database {
            // Without the text: it may hold a password.
            file: "at the address given".to_owned(),
            source: said(&error).into(),
        })?;
        if config.get_connect_timeout().is_none() {
            config.connect_timeout(CONNECT_TIMEOUT);
        }
        if config.get_tcp_user_timeout().is_none() {
            config.tcp_user_timeout(UNANSWERED_MAX);
        }
        config
            .keepalives_idle(KEEPALIVE)
            .keepalives_interval(KEEPALIVE)
            .keepalives_retries(2);
        if config.get_application_name().is_none() {
            config.application_name("valuta");
        }
        let schema = SCHEMA;
        let tls = None;
        Ok(Self {
            config,
            tls,
            schema,
        })
    }

    /// Connections are encrypted, to a server whose certificate is of these authorities (PEM) and names the
    /// host of the address.
    ///
    /// # Errors
    /// The text holds no certificate.
    pub fn trusting(mut self, authorities: &[u8]) -> Result<Self, StoreError> {
        let tls = tls::trusting(authorities).map_err(|reason| StoreError::Database {
            file: self.to_string(),
            source: reason.into(),
        })?;
        self.config.ssl_mode(SslMode::Require);
        self.tls = Some(tls);
        Ok(self)
    }

    /// Makes another database on the same server: `name` is of lower-case letters, digits and `_`.
    ///
    /// # Errors
    /// If the server does not answer, or refuses: it is there, or this user may not.
    pub fn create_database(&self, name: &str) -> Result<(), StoreError> {
        let mut session = self.connect(Use::Write)?;
        let quoted = name.replace('"', "");
        let made = session.batch(&format!("CREATE DATABASE \"{quoted}\""));
        made.map_err(|fault| self.failed(fault))
    }

    /// The same database, and the schema that a rebuild fills.
    pub(super) fn rebuilt(&self) -> Self {
        Self {
            config: self.config.clone(),
            tls: self.tls.clone(),
            schema: REBUILT_SCHEMA,
        }
    }

    pub(super) fn connect(&self, purpose: Use) -> Result<Session, StoreError> {
        if self.tls.is_none() && self.config.get_ssl_mode() == SslMode::Require {
            let reason = "sslmode=require: the authority of its certificate is missing";
            return Err(StoreError::Database {
                file: self.to_string(),
                source: reason.into(),
            });
        }
        let unanswered_max = match purpose {
            Use::Write | Use::Read => self.config.get_tcp_user_timeout().copied(),
            Use::Change => None,
        };
        let connected = watch::connect(&self.config, self.tls.as_ref(), unanswered_max);
        connected
            .map_err(Fault::from)
            .and_then(|client| {
                let mut session = Session {
                    client,
                    statements: BTreeMap::new(),
                };
                session.batch(&self.settings(purpose))?;
                Ok(session)
            })
            .map_err(|fault| self.failed(fault))
    }

    /// Statements walk keys. The planner does not know how many rows it will meet in a table that is
    /// filled while it plans, and a plan that hashes a month's table to find some rows is minutes late.
    fn settings(&self, purpose: Use) -> String {
        let of_purpose = match purpose {
            // The journal is what is durable: after a power cut an older state follows on from its
            // cursor. What is staged is read once, from its beginning to its end, and all else by key.
            Use::Write => "SET synchronous_commit = off; SET enable_seqscan = off",
            Use::Read | Use::Change => "",
        };
        let statement_ms = match (purpose, self.config.get_tcp_user_timeout()) {
            (Use::Write | Use::Read, Some(max)) => max.as_millis() * STATEMENT_PERCENT / 100,
            (Use::Change, _) | (_, None) => 0,
        };
        // A writer that stands still must not keep the tables locked.
        format!(
            "SET search_path = {}, pg_temp; SET timezone = 'UTC'; SET jit = off;
             SET enable_hashjoin = off; SET enable_mergejoin = off;
             SET statement_timeout = {statement_ms};
             SET idle_in_transaction_session_timeout = {statement_ms}; {of_purpose}",
            self.schema
        )
    }

    pub(super) fn failed(&self, fault: Fault) -> StoreError {
        StoreError::Database {
            file: self.to_string(),
            source: fault.to_string().into(),
        }
    }
}

impl fmt::Display for PostgresAddress {
    /// Server, database and schema; no password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let database = self.config.get_dbname().or(self.config.get_user());
        write!(f, "postgres:")?;
        for (at, host) in self.config.get_hosts().iter().enumerate() {
            match host {
                postgres::config::Host::Tcp(name) => write!(f, "//{name}")?,
                postgres::config::Host::Unix(path) => write!(f, "//{}", path.display())?,
            }
            let ports = self.config.get_ports();
            if let Some(port) = ports.get(at).or(ports.first()) {
                write!(f, ":{port}")?;
            }
        }
        write!(f, "/{} schema {}", database.unwrap_or(""), self.schema)
    }
}

impl fmt::Debug for PostgresAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// What went wrong on a connection.
#[derive(Debug)]
pub(super) enum Fault {
    /// The server, or the way to it.
    Postgres(postgres::Error),
    /// In the midst of a COPY.
    Copy(std::io::Error),
    /// A column that no row of ours can hold.
    Damaged(&'static str),
    /// Another writer, or a rebuild, has moved the cursor.
    Moved,
}

impl From<postgres::Error> for Fault {
    fn from(error: postgres::Error) -> Self {
        Self::Postgres(error)
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Postgres(error) => f.write_str(&said(error)),
            Self::Copy(error) => match error.get_ref().and_then(|inner| inner.downcast_ref()) {
                Some(inner) => f.write_str(&said(inner)),
                None => write!(f, "{error}"),
            },
            Self::Damaged(what) => {
                write!(f, "{what} cannot be read; rebuild the read model")
            }
            Self::Moved => f.write_str("another writer, or a rebuild, has moved the cursor"),
        }
    }
}

/// An error with what the server says, or with what it comes from.
fn said(error: &postgres::Error) -> String {
    if let Some(server) = error.as_db_error() {
        let code = server.code().code();
        return format!("{}: {} ({code})", server.severity(), server.message());
    }
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(inner) = source {
        text += &format!(": {inner}");
        source = inner.source();
    }
    text
}

/// An open connection, with its prepared statements.
pub(super) struct Session {
    client: Client,
    statements: BTreeMap<String, Statement>,
}

impl Session {
    /// For whoever needs the client itself.
    pub(super) fn client(&mut self) -> &mut Client {
        &mut self.client
    }

    /// Statements without parameters, one after the other.
    pub(super) fn batch(&mut self, sql: &str) -> Result<(), Fault> {
        Ok(self.client.batch_execute(sql)?)
    }

    fn prepare(&mut self, sql: &str) -> Result<Statement, Fault> {
        if let Some(statement) = self.statements.get(sql) {
            return Ok(statement.clone());
        }
        let statement = self.client.prepare(sql)?;
        self.statements.insert(sql.to_owned(), statement.clone());
        Ok(statement)
    }

    pub(super) fn execute(
        &mut self,
        sql: &str,
        values: &[&(dyn ToSql + Sync)],
    ) -> Result<u64, Fault> {
        let statement = self.prepare(sql)?;
        Ok(self.client.execute(&statement, values)?)
    }

    pub(super) fn query(
        &mut self,
        sql: &str,
        values: &[&(dyn ToSql + Sync)],
    ) -> Result<Vec<Row>, Fault> {
        let statement = self.prepare(sql)?;
        Ok(self.client.query(&statement, values)?)
    }

    pub(super) fn query_opt(
        &mut self,
        sql: &str,
        values: &[&(dyn ToSql + Sync)],
    ) -> Result<Option<Row>, Fault> {
        Ok(self.query(sql, values)?.into_iter().next())
    }

    pub(super) fn query_one(
        &mut self,
        sql: &str,
        values: &[&(dyn ToSql + Sync)],
    ) -> Result<Row, Fault> {
        let row = self.query_opt(sql, values)?;
        row.ok_or(Fault::Damaged("a table without its row"))
    }

    /// Begins a COPY, whose bytes follow, header and trailer included.
    pub(super) fn copy(&mut self, sql: &str) -> Result<Copying<'_>, Fault> {
        let statement = self.prepare(sql)?;
        Ok(Copying(self.client.copy_in(&statement)?))
    }

    fn is_broken(&self, fault: &Fault) -> bool {
        let told_to_go = [
            SqlState::ADMIN_SHUTDOWN,
            SqlState::CRASH_SHUTDOWN,
            SqlState::IDLE_IN_TRANSACTION_SESSION_TIMEOUT,
        ];
        let code = match fault {
            Fault::Postgres(error) => error.code(),
            Fault::Copy(_) | Fault::Damaged(_) | Fault::Moved => None,
        };
        self.client.is_closed() || code.is_some_and(|code| told_to_go.contains(code))
    }
}

/// A COPY that has begun. Dropped before its end, it has copied nothing.
pub(super) struct Copying<'a>(CopyInWriter<'a>);

impl Copying<'_> {
    /// Sends bytes, for the server to work on while the next ones are made.
    pub(super) fn send(&mut self, bytes: &[u8]) -> Result<(), Fault> {
        let sent = self.0.write_all(bytes).and_then(|()| self.0.flush());
        sent.map_err(Fault::Copy)
    }

    pub(super) fn finish(self) -> Result<(), Fault> {
        self.0.finish()?;
        Ok(())
    }
}

/// A connection that is opened anew where it broke, for calls that may be made twice.
pub(super) struct Link {
    address: PostgresAddress,
    purpose: Use,
    /// `None` after a fault.
    session: Option<Session>,
}

impl Link {
    pub(super) fn open(address: &PostgresAddress, purpose: Use) -> Result<Self, StoreError> {
        Ok(Self {
            session: Some(address.connect(purpose)?),
            address: address.clone(),
            purpose,
        })
    }

    /// Calls, and once more on a new connection if the one at hand turns out to be broken.
    pub(super) fn run<T>(
        &mut self,
        mut call: impl FnMut(&mut Session) -> Result<T, Fault>,
    ) -> Result<T, StoreError> {
        let used_before = self.session.is_some();
        match self.once(&mut call)? {
            Ok(done) => Ok(done),
            Err(Failed { broken: true, .. }) if used_before => {
                let again = self.once(&mut call)?;
                again.map_err(|failed| self.address.failed(failed.fault))
            }
            Err(failed) => Err(self.address.failed(failed.fault)),
        }
    }

    /// Whatever failed, the connection is not used again: a transaction may be open on it.
    fn once<T>(
        &mut self,
        call: &mut impl FnMut(&mut Session) -> Result<T, Fault>,
    ) -> Result<Result<T, Failed>, StoreError> {
        let mut session = match self.session.take() {
            Some(session) => session,
            None => self.address.connect(self.purpose)?,
        };
        Ok(match call(&mut session) {
            Ok(done) => {
                self.session = Some(session);
                Ok(done)
            }
            Err(fault) => {
                let broken = session.is_broken(&fault);
                Err(Failed { fault, broken })
            }
        })
    }
}

struct Failed {
    fault: Fault,
    broken: bool,
}
