//! What the demo runs against: one process that is all, or a cluster.

use super::child::Process;
#[cfg(feature = "cluster")]
use super::cluster::Cluster;
use super::home::Home;
use crate::client::CliError;
use std::path::PathBuf;

/// The server side.
pub enum Server {
    /// `valuta up`.
    One(Box<Process>),
    /// Each service alone.
    #[cfg(feature = "cluster")]
    Cluster(Box<Cluster>),
}

impl Server {
    /// Starts `valuta up` on the demo's data.
    ///
    /// # Errors
    /// [`CliError::Unavailable`] if it does not come up; names its log.
    pub async fn start(home: &Home) -> Result<Self, CliError> {
        let data = [PathBuf::from("--data"), home.data()];
        let process = Process::start("up", data, &home.log()).await?;
        Ok(Self::One(Box::new(process)))
    }

    /// Where banks reach it; a cluster has several gateways.
    pub fn urls(&self) -> Vec<&str> {
        match self {
            Self::One(process) => vec![&process.url],
            #[cfg(feature = "cluster")]
            Self::Cluster(cluster) => cluster.urls(),
        }
    }

    /// The power cut.
    ///
    /// # Errors
    /// [`CliError::Unavailable`] if the process is gone already.
    pub async fn kill(&mut self) -> Result<(), CliError> {
        match self {
            Self::One(process) => process.kill().await,
            #[cfg(feature = "cluster")]
            Self::Cluster(cluster) => cluster.kill_leader().await,
        }
    }

    /// Asks it to end, and waits until it has.
    ///
    /// # Errors
    /// [`CliError::Unavailable`] if it does not end cleanly.
    pub async fn stop(self) -> Result<(), CliError> {
        match self {
            Self::One(process) => process.stop().await,
            #[cfg(feature = "cluster")]
            Self::Cluster(cluster) => cluster.stop().await,
        }
    }
}
