//! Where a log's files come from.

use anyhow::{Context as _, anyhow, bail};
use std::io::Read as _;
use std::path::PathBuf;
use std::time::Duration;

/// Of one request: a tile is at most 8 KiB, a bundle of headers some 200 KiB.
const FILE_BYTES_MAX: u64 = 32 << 20;
const REQUEST_WITHIN: Duration = Duration::from_secs(30);

/// A log's static files (C2SP tlog-tiles).
pub enum Source {
    /// Served under this prefix, which ends with a slash.
    Url(String, ureq::Agent),
    /// In this directory.
    Directory(PathBuf),
}

impl Source {
    /// `http://…`, `https://…`, or a directory.
    pub fn new(place: &str) -> Self {
        if !place.starts_with("http://") && !place.starts_with("https://") {
            return Self::Directory(PathBuf::from(place));
        }
        let agent = ureq::Agent::config_builder()
            .timeout_global(Some(REQUEST_WITHIN))
            .http_status_as_error(false)
            .build()
            .new_agent();
        Self::Url(format!("{}/", place.trim_end_matches('/')), agent)
    }

    /// A file that must be there.
    pub fn file(&self, path: &str) -> anyhow::Result<Vec<u8>> {
        let read = || match self {
            Self::Url(prefix, agent) => get(agent, &format!("{prefix}{path}")),
            Self::Directory(dir) => Ok(std::fs::read(dir.join(path))?),
        };
        read().with_context(|| format!("{self}: {path}"))
    }

    /// A tile or bundle of `width`: the partial one, or the full one's beginning, since a log removes a partial
    /// one that has become full.
    pub fn partial(&self, path: &str, full: &str) -> anyhow::Result<Vec<u8>> {
        match self.file(path) {
            Err(error) if path != full => self.file(full).map_err(|_| error),
            read => read,
        }
    }

    /// The newest checkpoint.
    pub fn checkpoint(&self) -> anyhow::Result<String> {
        String::from_utf8(self.file("checkpoint")?)
            .map_err(|_| anyhow!("{self}: checkpoint: not UTF-8"))
    }
}

fn get(agent: &ureq::Agent, url: &str) -> anyhow::Result<Vec<u8>> {
    let mut response = agent.get(url).call()?;
    let status = response.status();
    if !status.is_success() {
        bail!("HTTP status {status}");
    }
    let mut bytes = Vec::new();
    let body = response.body_mut().as_reader();
    body.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > FILE_BYTES_MAX {
        bail!("over {FILE_BYTES_MAX} bytes");
    }
    Ok(bytes)
}

impl std::fmt::Display for Source {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Url(prefix, _) => f.write_str(prefix.trim_end_matches('/')),
            Self::Directory(dir) => write!(f, "{}", dir.display()),
        }
    }
}
