//! Faults of PostgreSQL. Settlement goes on through all of them, and the projector makes up for it.

use super::judge::judge;
use super::scenes::{Scenery, WORKS};
use super::stack::{Do, psql};
use super::whole::{Follower, Whole};
use crate::load::long;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

/// Longer than the services of these tests wait for an answer.
const PAUSED: Duration = Duration::from_secs(10);
const GONE: Duration = Duration::from_secs(2);
const GONE_MINUTES: Duration = Duration::from_secs(150);
const SAID_WITHIN: Duration = Duration::from_secs(60);

/// It is killed and started at once; then it is gone for a while, in the first round of a long run for minutes.
pub async fn killed(scenery: &mut Scenery, seed: u64) {
    let working = scenery.busy(seed).await;
    let minutes = long() && seed < 100;
    for gone in [Duration::ZERO, if minutes { GONE_MINUTES } else { GONE }] {
        scenery.a_moment(300).await;
        scenery.whole.stack.postgres(Do::Kill);
        scenery.clients.answered(WORKS).await;
        tokio::time::sleep(gone).await;
        scenery.whole.stack.postgres(Do::Start);
        scenery.clients.answered(WORKS).await;
    }
    working.stop().await;
    judge(&mut scenery.whole, &scenery.clients).await;
    println!("PostgreSQL killed and gone: the read model has all");
}

/// It is stopped: its connections stay, and nothing is answered on them. The projector says so, and is the
/// same process all along.
pub async fn paused(scenery: &mut Scenery, seed: u64) {
    let working = scenery.busy(seed).await;
    let projector = scenery.whole.follower(Follower::Projector).id();
    scenery.whole.stack.postgres(Do::Pause);
    let begun = Instant::now();
    until_said(&mut scenery.whole, "has not answered").await;
    scenery.clients.answered(WORKS).await;
    tokio::time::sleep(PAUSED.saturating_sub(begun.elapsed())).await;
    scenery.whole.stack.postgres(Do::Resume);
    scenery.clients.answered(WORKS).await;
    working.stop().await;
    judge(&mut scenery.whole, &scenery.clients).await;
    assert_eq!(scenery.whole.follower(Follower::Projector).id(), projector);
    println!("PostgreSQL paused: the projector said so, and caught up");
}

/// The read model's disk is full: the projector says so, tries again, and goes on when there is room.
pub async fn out_of_disk(scenery: &mut Scenery, seed: u64) {
    if scenery.whole.small_disk().is_none() {
        println!("not run: mounting a small tmpfs needs root");
        return;
    }
    let working = scenery.busy(seed).await;
    let projector = scenery.whole.follower(Follower::Projector).id();
    let disk = scenery.whole.small_disk().expect("looked at above");
    let ballast = disk.fill();
    until_said(&mut scenery.whole, "No space left on device").await;
    scenery.clients.answered(WORKS).await;
    std::fs::remove_file(ballast).unwrap();
    scenery.clients.answered(WORKS).await;
    working.stop().await;
    judge(&mut scenery.whole, &scenery.clients).await;
    assert_eq!(scenery.whole.follower(Follower::Projector).id(), projector);
    println!("PostgreSQL out of disk: the projector said so, and caught up");
}

async fn until_said(whole: &mut Whole, what: &str) {
    let end = Instant::now() + SAID_WITHIN;
    loop {
        let projector = whole.follower(Follower::Projector);
        if projector.logged().contains(what) {
            return;
        }
        assert!(
            Instant::now() < end && projector.is_running(),
            "the projector does not say {what:?}: {}",
            projector.last_words()
        );
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// A small file system in memory for the tables of one database.
pub struct SmallDisk {
    dir: tempfile::TempDir,
    /// The server that has a tablespace on it, and what else goes at the end.
    server: String,
    database: String,
}

impl SmallDisk {
    /// With the database on it. `None` without the right to mount.
    pub fn with_database(server: &str, database: &str) -> Option<Self> {
        let dir = tempfile::tempdir().unwrap();
        // Room for the read model twice, since it is rebuilt: of one round, or of all.
        let bytes = if long() { 2u64 << 30 } else { 512 << 20 };
        let options = format!("size={bytes},mode=0755");
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", &options, "tmpfs"]);
        let mounted = mount.arg(dir.path()).output();
        if !mounted.is_ok_and(|output| output.status.success()) {
            return None;
        }
        let disk = Self {
            server: server.to_owned(),
            database: database.to_owned(),
            dir,
        };
        let of_server = disk.dir.path().join("tables");
        std::fs::create_dir(&of_server).unwrap();
        let mut chown = Command::new("chown");
        let owned = chown.args(["-R", "postgres"]).arg(disk.dir.path());
        assert!(owned.status().unwrap().success());
        let (name, path) = (disk.tablespace(), of_server.display());
        psql(
            server,
            &format!("CREATE TABLESPACE {name} LOCATION '{path}'"),
        );
        psql(
            server,
            &format!("CREATE DATABASE {database} TABLESPACE {name}"),
        );
        Some(disk)
    }

    fn tablespace(&self) -> String {
        format!("disk_of_{}", self.database)
    }

    /// Takes what is left; the file that does.
    fn fill(&self) -> PathBuf {
        let ballast = self.dir.path().join("ballast");
        let mut file = std::fs::File::create(&ballast).unwrap();
        let chunk = vec![1; 1 << 16];
        while file.write_all(&chunk).is_ok() {}
        while file.write_all(&[1; 512]).is_ok() {}
        ballast
    }
}

impl Drop for SmallDisk {
    /// A server whose tablespace goes under it would not start again.
    fn drop(&mut self) {
        let run = |sql: &str| {
            let mut psql = Command::new("psql");
            let _ = psql.args(["-XAtq", &self.server, "-c", sql]).status();
        };
        run(&format!("DROP DATABASE {} WITH (FORCE)", self.database));
        run(&format!("DROP TABLESPACE {}", self.tablespace()));
        run("CHECKPOINT");
        let _ = Command::new("umount").arg(self.dir.path()).status();
    }
}
