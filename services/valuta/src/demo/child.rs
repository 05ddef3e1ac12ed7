//! Processes of this program that the demo runs against.

use crate::client::CliError;
use rustix::process::{Pid, Signal, kill_process};
use std::ffi::OsStr;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio::sync::watch;

/// Longer than any start that a person waits for.
const START_TIMEOUT: Duration = Duration::from_secs(60);
/// Longer than any clean end.
const STOP_TIMEOUT: Duration = Duration::from_secs(20);
/// What a process prints when it serves.
const LISTENING: &str = "listening ";

/// One process. It is killed with the demo.
pub struct Process {
    child: Child,
    /// `http://` and its address.
    pub url: String,
    name: &'static str,
    log: PathBuf,
    /// What it printed last.
    #[cfg_attr(
        not(feature = "cluster"),
        expect(dead_code, reason = "a cluster waits for lines")
    )]
    printed: watch::Receiver<String>,
}

impl Process {
    /// Starts one on a free port.
    ///
    /// # Errors
    /// [`CliError::Unavailable`] if it does not come up; names its log.
    pub async fn start<A: AsRef<OsStr>>(
        name: &'static str,
        arguments: impl IntoIterator<Item = A>,
        log: &Path,
    ) -> Result<Self, CliError> {
        let failed = |what: &dyn std::fmt::Display| unwell(name, "did not start", what, log);
        let program = std::env::current_exe().map_err(|error| failed(&error))?;
        let stderr = File::options()
            .create(true)
            .append(true)
            .open(log)
            .map_err(|error| failed(&error))?;
        let mut child = Command::new(program)
            .args([name, "--rehearsal", "--listen", "127.0.0.1:0"])
            .args(arguments)
            .env_remove("VALUTA_CONFIG")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(stderr)
            .kill_on_drop(true)
            .spawn()
            .map_err(|error| failed(&error))?;
        let stdout = child.stdout.take().ok_or_else(|| failed(&"no output"))?;
        let (printing, printed) = watch::channel(String::new());
        let mut lines = BufReader::new(stdout).lines();
        let (address, addressed) = tokio::sync::oneshot::channel();
        // Read to the end: a full pipe would stop it.
        tokio::spawn(async move {
            let mut address = Some(address);
            while let Ok(Some(line)) = lines.next_line().await {
                if let Some(at) = line.strip_prefix(LISTENING) {
                    let _ = address.take().map(|address| address.send(at.to_owned()));
                }
                printing.send_replace(line);
            }
        });
        let address = tokio::time::timeout(START_TIMEOUT, addressed).await;
        let address = address.map_err(|_| failed(&"it took too long"))?;
        let address = address.map_err(|_| failed(&"it ended"))?;
        Ok(Self {
            child,
            url: format!("http://{address}"),
            name,
            log: log.to_owned(),
            printed,
        })
    }

    /// Waits until it has printed a line that begins so.
    ///
    /// # Errors
    /// [`CliError::Unavailable`] if it does not within a minute.
    #[cfg(feature = "cluster")]
    pub async fn until(&mut self, prefix: &str) -> Result<(), CliError> {
        let printed = self.printed.wait_for(|line| line.starts_with(prefix));
        let waited = tokio::time::timeout(START_TIMEOUT, printed).await;
        let come = waited.is_ok_and(|line| line.is_ok());
        match come {
            true => Ok(()),
            false => Err(unwell(self.name, "did not say", &prefix, &self.log)),
        }
    }

    /// SIGKILL, which no process can see coming.
    ///
    /// # Errors
    /// [`CliError::Unavailable`] if the process is gone already.
    pub async fn kill(&mut self) -> Result<(), CliError> {
        let killed = self.child.kill().await;
        killed.map_err(|error| unwell(self.name, "cannot be killed", &error, &self.log))
    }

    /// Asks it to end, and waits until it has.
    ///
    /// # Errors
    /// [`CliError::Unavailable`] if it does not end cleanly; names its log.
    pub async fn stop(mut self) -> Result<(), CliError> {
        let failed = |what: &dyn std::fmt::Display| {
            unwell(self.name, "did not end cleanly", what, &self.log)
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

fn unwell(name: &str, how: &str, what: &dyn std::fmt::Display, log: &Path) -> CliError {
    let log = log.display();
    CliError::Unavailable(format!("valuta {name} {how}: {what}; see {log}"))
}
