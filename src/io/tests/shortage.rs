//! Out of file descriptors: connections wait in the kernel, nothing spins, and they are taken once
//! there is room. The limit is the process's, so this runs in a process of its own.

use std::fs::File;
use std::process::Command;

use super::*;

#[test]
fn without_descriptors_accepting_pauses_and_goes_on_by_itself() {
    let child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "io::tests::shortage::in_a_process_of_its_own", "--ignored"])
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&child.stdout);
    assert!(child.status.success() && text.contains("1 passed"), "{text}");
}

#[test]
#[ignore = "lowers the limit of open files; the test above runs it in a process of its own"]
fn in_a_process_of_its_own() {
    // A ring takes the limit when an accept is submitted, so it is lowered before there is one.
    set_open_files_max(OPEN_FILES_MAX);
    under_both(|mut rig| {
        let (_first_peer, first) = rig.peer();
        let peers: Vec<_> = (0..3).map(|_| TcpStream::connect(rig.address).unwrap()).collect();
        let mut files: Vec<_> = std::iter::from_fn(|| File::open("/dev/null").ok()).collect();
        assert!(files.len() < OPEN_FILES_MAX as usize);
        let error = rig.until(|completion| {
            let Completion::AcceptFailed { error, .. } = completion else { return None };
            Some(*error)
        });
        assert_eq!(error, ConnError::Descriptors);
        assert!(rig.idle_wait_ms(20) >= 15);
        let accepted = |completion: &Completion| {
            matches!(completion, Completion::Accepted { .. }).then_some(())
        };
        // A descriptor that comes free is used at once.
        rig.shard.close(first);
        rig.until(accepted);
        files.clear();
        for _ in 1..peers.len() {
            rig.until(accepted);
        }
    });
}

fn set_open_files_max(count: u64) {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: `limit` lives through both calls.
    unsafe {
        assert_eq!(libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit), 0);
        limit.rlim_cur = count;
        assert_eq!(libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit), 0);
    }
}

const OPEN_FILES_MAX: u64 = 256;
