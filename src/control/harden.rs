//! What the process gives up for good once it has all that it needs: core dumps, further rings,
//! and system calls that no part of it makes.

use std::collections::BTreeMap;

use rustix::process::{DumpableBehavior, Resource, Rlimit, set_dumpable_behavior, setrlimit};
use seccompiler::{BpfProgram, SeccompAction, SeccompFilter, TargetArch, apply_filter_all_threads};

/// A part of the hardening that could not be applied. The process serves all the same, and says
/// so: containers often forbid one or the other.
#[derive(Debug, thiserror::Error)]
pub enum HardenError {
    #[error("core dumps could not be forbidden")]
    CoreDumps { source: rustix::io::Errno },
    #[error("the system call filter is not available for this processor")]
    Architecture,
    #[error("the system call filter could not be applied")]
    Filter { source: seccompiler::Error },
}

/// Keeps tokens and leased secrets out of core dumps and out of reach of other processes of the
/// same user.
pub fn forbid_core_dumps() -> Result<(), HardenError> {
    let none = Rlimit { current: Some(0), maximum: Some(0) };
    setrlimit(Resource::Core, none).map_err(|source| HardenError::CoreDumps { source })?;
    set_dumpable_behavior(DumpableBehavior::NotDumpable)
        .map_err(|source| HardenError::CoreDumps { source })
}

/// Refuses, with EPERM and in all threads, the system calls of `FORBIDDEN`. To be called when all
/// rings stand.
pub fn filter_system_calls() -> Result<(), HardenError> {
    let arch =
        TargetArch::try_from(std::env::consts::ARCH).map_err(|_| HardenError::Architecture)?;
    let rules = FORBIDDEN.iter().map(|call| (*call, Vec::new())).collect::<BTreeMap<_, _>>();
    let refuse = SeccompAction::Errno(libc::EPERM.unsigned_abs());
    let program: BpfProgram = SeccompFilter::new(rules, SeccompAction::Allow, refuse, arch)
        .and_then(BpfProgram::try_from)
        .map_err(|error| HardenError::Filter { source: seccompiler::Error::Backend(error) })?;
    apply_filter_all_threads(&program).map_err(|source| HardenError::Filter { source })
}

/// Calls that nothing here makes after start, and that an intruder would want first: new rings
/// escape this very filter, the others reach into other processes or into the kernel.
const FORBIDDEN: &[i64] = &[
    libc::SYS_io_uring_setup,
    libc::SYS_ptrace,
    libc::SYS_process_vm_readv,
    libc::SYS_process_vm_writev,
    libc::SYS_pidfd_getfd,
    libc::SYS_bpf,
    libc::SYS_perf_event_open,
    libc::SYS_userfaultfd,
    libc::SYS_keyctl,
    libc::SYS_add_key,
    libc::SYS_request_key,
    libc::SYS_mount,
    libc::SYS_umount2,
    libc::SYS_pivot_root,
    libc::SYS_chroot,
    libc::SYS_setns,
    libc::SYS_unshare,
    libc::SYS_init_module,
    libc::SYS_finit_module,
    libc::SYS_delete_module,
    libc::SYS_kexec_load,
    libc::SYS_reboot,
    libc::SYS_swapon,
    libc::SYS_swapoff,
    libc::SYS_acct,
    libc::SYS_settimeofday,
    libc::SYS_clock_settime,
    libc::SYS_open_by_handle_at,
];
