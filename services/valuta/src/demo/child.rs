//! The server that the demo runs against: this program's `up --rehearsal`, as a process of its own.

use crate::client::CliError;
use rustix::process::{Pid, Signal, kill_process};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

/// Longer than any start that a person waits for.
const START_TIMEOUT: Duration = Duration::from_secs(60);
/// Longer than any clean end.
const STOP_TIMEOUT: Duration = Duration::from_secs(20);
/// What the server prints when it is ready.
const READY: &str = "listening ";

/// A running server.
pub struct Server {
    child: Child,
    /// `http://` and its address.
    pub url: String,
    log: PathBuf,
}

impl Server {
    /// Starts one on a free port; it is killed with the demo.
    ///
    /// # Errors
    /// [`CliError::Unavailable`] if it does not come up; names its log.
    pub async fn start(data: &Path, log: &Path) -> Result<Self, CliError> {
        let failed = |what: &dyn std::fmt::Display| {
            CliError::Unavailable(format!(
                "the server did not start: {what}; see {}",
                log.display()
            ))
        };
        let program = std::env::current_exe().map_err(|error| failed(&error))?;
        let stderr = File::options()
            .create(true)
            .append(true)
            .open(log)
            .map_err(|error| failed(&error))?;
        let mut child = Command::new(program)
            .args(["up", "--rehearsal", "--listen", "127.0.0.1:0", "--data"])
            .arg(data)
            .env_remove("VALUTA_CONFIG")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(stderr)
            .kill_on_drop(true)
            .spawn()
            .map_err(|error| failed(&error))?;
        let stdout = child.stdout.take().ok_or_else(|| failed(&"no output"))?;
        let mut lines = BufReader::new(stdout).lines();
        let ready = async {
            while let Ok(Some(line)) = lines.next_line().await {
                if let Some(address) = line.strip_prefix(READY) {
                    return Some(address.to_owned());
                }
            }
            None
        };
        let address = tokio::time::timeout(START_TIMEOUT, ready).await;
        let address = address.map_err(|_| failed(&"it took too long"))?;
        let address = address.ok_or_else(|| failed(&"it ended"))?;
        // A full pipe would stop it.
        tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        Ok(Self {
            child,
            url: format!("http://{address}"),
            log: log.to_owned(),
        })
    }

    /// The power cut: SIGKILL, which no process can see coming.
    ///
    /// # Errors
    /// [`CliError::Unavailable`] if the process is gone already.
    pub async fn kill(&mut self) -> Result<(), CliError> {
        let killed = self.child.kill().await;
        killed
            .map_err(|error| CliError::Unavailable(format!("the server cannot be killed: {error}")))
    }

    /// Asks it to end, and waits until it has.
    ///
    /// # Errors
    /// [`CliError::Unavailable`] if it does not end cleanly; names its log.
    pub async fn stop(mut self) -> Result<(), CliError> {
        let failed = |what: &dyn std::fmt::Display| {
            CliError::Unavailable(format!(
                "the server did not end cleanly: {what}; see {}",
                self.log.display()
            ))
        };
        let pid = self
            .child
            .id()
            .and_then(|id| i32::try_from(id).ok())
            .and_then(Pid::from_raw);
        let pid = pid.ok_or_else(|| failed(&"it is gone"))?;
        kill_process(pid, Signal::TERM).map_err(|error| failed(&error))?;
        let ended = tokio::time::timeout(STOP_TIMEOUT, self.child.wait()).await;
        let status = ended
            .map_err(|_| failed(&"it took too long"))?
            .map_err(|error| failed(&error))?;
        if status.success() {
            Ok(())
        } else {
            Err(failed(&status))
        }
    }
}
