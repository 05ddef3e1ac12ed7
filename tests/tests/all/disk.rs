//! Failing and full disks: the journal's stop the server, with the file's name; those of what follows
//! the journal stop nothing.

use crate::crash::{Fault, directory};
use crate::damage::{SEGMENT, Stopped};
use crate::history::list_all;
use crate::load::Load;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};
use valuta_proto::v1;
use valuta_tests::Server;
use valuta_tests::scheme::{World, payment};

/// A call of the journal fails: the process stops and names the file; nobody was answered for the step.
#[tokio::test(flavor = "multi_thread")]
async fn a_failing_disk_stops_the_server() {
    for (file, call, at, error) in [
        (SEGMENT, "fdatasync", 4, "EIO"),
        (SEGMENT, "pwritev", 5, "EIO"),
        (SEGMENT, "pwritev", 3, "ENOSPC"),
        ("journal/marks", "fdatasync", 2, "EIO"),
    ] {
        let dir = directory();
        let data = dir.path().join("data");
        let mut world = World::start(&data).await.unwrap();
        let load = Load::new();
        load.fund(&world).await.unwrap();
        world.server.kill();
        let fault = Fault {
            effect: if error == "EIO" {
                "error=EIO"
            } else {
                "error=ENOSPC"
            },
            ..Fault::kill(file, call, at)
        };
        world.server = Server::start_with(&data, &fault.options(&data)).unwrap();
        world.operator = world
            .server
            .client(&world.server.operator_token().unwrap())
            .await
            .unwrap();
        load.work(&world, 1, 1_000).await;
        let end = Instant::now() + Duration::from_secs(10);
        while world.server.is_running() && Instant::now() < end {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        assert!(!world.server.is_running(), "it lives on after {fault:?}");
        assert_eq!(world.server.wait().unwrap().code(), Some(1), "{fault:?}");
        let log = Server::log(&data);
        let name = Path::new(file).file_name().unwrap().to_str().unwrap();
        assert!(
            log.contains(name) && log.contains("must stop"),
            "{fault:?}: {log}"
        );
        let mut stopped = Stopped { dir, world, load };
        stopped.check(&data).await;
    }
}

/// Followers' files fail: settlement goes on, and the next start makes up for it.
#[tokio::test(flavor = "multi_thread")]
async fn a_failing_follower_stops_nothing() {
    for (file, call, at) in [
        ("read-model.sqlite-wal", "pwrite64", 9),
        ("ledger/bundle.new", "fsync", 2),
        ("ledger/checkpoint.new", "fsync", 2),
    ] {
        let dir = directory();
        let data = dir.path().join("data");
        let mut world = World::start(&data).await.unwrap();
        let load = Load::new();
        load.fund(&world).await.unwrap();
        world.server.kill();
        let fault = Fault {
            effect: "error=EIO",
            ..Fault::kill(file, call, at)
        };
        world.server = Server::start_with(&data, &fault.options(&data)).unwrap();
        world.operator = world
            .server
            .client(&world.server.operator_token().unwrap())
            .await
            .unwrap();
        for seed in 0..3 {
            load.work(&world, seed, 10).await;
        }
        load.send_again(&world).await.unwrap();
        assert!(world.server.is_running(), "{fault:?}");
        assert_eq!(load.cycles_completed().await, 3, "{fault:?}");
        let log = Server::log(&data);
        assert!(
            log.contains("follower="),
            "nobody was told of {fault:?}: {log}"
        );
        world.server.kill();
        let mut stopped = Stopped { dir, world, load };
        stopped.check(&data).await;
    }
}

/// A small file system in memory, unmounted at the end.
struct SmallDisk(tempfile::TempDir);

impl SmallDisk {
    /// Two segments, since each start copies the last one, and the read model of it with its WAL.
    const BYTES: u64 = 400 << 20;

    /// `None` without the right to mount.
    fn mount() -> Option<Self> {
        let dir = tempfile::tempdir().unwrap();
        let size = format!("size={}", Self::BYTES);
        let mut mount = Command::new("mount");
        mount
            .args(["-t", "tmpfs", "-o", &size, "tmpfs"])
            .arg(dir.path());
        match mount.output() {
            Ok(output) if output.status.success() => Some(Self(dir)),
            _ => {
                println!("not run: mounting a small tmpfs needs root");
                None
            }
        }
    }

    fn ballast(&self) -> PathBuf {
        self.0.path().join("ballast")
    }

    /// Takes what is left.
    fn fill(&self) {
        let mut file = fs::File::create(self.ballast()).unwrap();
        let chunk = vec![1; 1 << 16];
        while file.write_all(&chunk).is_ok() {}
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(self.0.path()).status();
    }
}

/// As large as banks may make them, so that the journal soon needs more space.
fn large(numbers: std::ops::Range<u128>) -> v1::SubmitInstructionsRequest {
    let instructions = numbers.map(|number| v1::Instruction {
        iso_message: vec![b'x'; 8_000],
        ..payment(number, "AAAAUS33", "BBBBDEFF", "0.01", "USD")
    });
    v1::SubmitInstructionsRequest {
        instructions: instructions.collect(),
        full_answers: false,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_refuses_new_work_and_serves_reads() {
    const BATCH: u128 = 500;
    let Some(disk) = SmallDisk::mount() else {
        return;
    };
    let data = disk.0.path().join("data");
    let mut world = World::start(&data).await.unwrap();
    world.deposit("AAAAUS33", "USD", "1000").await.unwrap();
    disk.fill();
    let mut bank = world.client("AAAAUS33").await.unwrap();
    let mut taken = 0;
    let refused = loop {
        let request = large(taken * BATCH + 1..(taken + 1) * BATCH + 1);
        match bank.payments.submit_instructions(request).await {
            Ok(_) => taken += 1,
            Err(status) => break status,
        }
        assert!(taken < 100, "the disk is never full");
    };
    assert_eq!(refused.code(), tonic::Code::Unavailable, "{refused:?}");
    assert!(refused.message().contains("full"), "{refused:?}");
    assert!(taken > 2, "{taken}");

    // Reads from the live state and from the journal go on.
    let get = v1::GetInstructionRequest {
        uetr: payment(1, "AAAAUS33", "BBBBDEFF", "1", "USD").uetr,
        min_sequence: 0,
    };
    let view = bank
        .payments
        .get_instruction(get.clone())
        .await
        .unwrap()
        .into_inner();
    assert_eq!(
        view.instructions[0]
            .instruction
            .as_ref()
            .unwrap()
            .iso_message
            .len(),
        8_000
    );
    let counts = world
        .operator
        .admin
        .get_status(v1::GetStatusRequest {})
        .await
        .unwrap()
        .into_inner();
    assert_eq!(u128::from(counts.instructions), taken * BATCH);

    fs::remove_file(disk.ballast()).unwrap();
    let freed = Instant::now();
    let request = large(taken * BATCH + 1..taken * BATCH + 2);
    while bank
        .payments
        .submit_instructions(request.clone())
        .await
        .is_err()
    {
        assert!(
            freed.elapsed() < Duration::from_secs(10),
            "it never came back"
        );
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    // The read model, which met the full disk too, has come back as well.
    let follows = v1::ListInstructionsRequest {
        min_sequence: counts.sequence + 1,
        ..Default::default()
    };
    let mut operator = world.operator.clone();
    while operator
        .payments
        .list_instructions(follows.clone())
        .await
        .is_err()
    {
        assert!(
            freed.elapsed() < Duration::from_secs(60),
            "the read model never came back: {}",
            Server::log(&data)
        );
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(
        list_all(&mut operator).await.len() as u128,
        taken * BATCH + 1
    );
    world.server.kill();
    world.server = Server::start(&data).unwrap();
    let mut bank = world.client("AAAAUS33").await.unwrap();
    assert_eq!(
        bank.payments
            .get_instruction(get)
            .await
            .unwrap()
            .into_inner()
            .instructions
            .len(),
        1
    );
    drop(world);
}
