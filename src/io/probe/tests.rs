use super::*;

fn report(findings: &[Finding]) -> Report {
    let names = STEPS.iter().map(|(name, _)| *name);
    let features =
        names.zip(findings).map(|(name, finding)| Feature { name, finding: finding.clone() });
    Report { features: features.collect() }
}

fn missing() -> Finding {
    Finding::Missing { why: "io_uring_setup says: no".into(), mend: MEND_KERNEL }
}

#[test]
fn auto_takes_epoll_where_anything_is_missing() {
    let passed = report(&[Finding::Works, Finding::Works]);
    let failed = report(&[Finding::Works, missing()]);
    assert_eq!(passed.choose(Choice::Auto), Ok(DriverKind::Uring));
    assert_eq!(failed.choose(Choice::Auto), Ok(DriverKind::Epoll));
    assert_eq!(passed.choose(Choice::Epoll), Ok(DriverKind::Epoll));
}

#[test]
fn demanding_the_ring_where_it_is_missing_says_what_would_mend_it() {
    let refused = report(&[Finding::Works, missing()]).choose(Choice::Uring).unwrap_err();
    assert_eq!(
        refused.to_string(),
        "io_uring does not work here (ring: io_uring_setup says: no); use Linux 6.1 or newer"
    );
}

#[test]
fn each_way_of_refusing_a_ring_has_its_own_remedy() {
    let mend = |errno, disabled| mend_creation(&io::Error::from_raw_os_error(errno), disabled);
    assert!(mend(libc::EPERM, Some(1)).contains("io_uring_group"));
    assert!(mend(libc::EPERM, None).contains("seccomp"));
    assert!(mend(libc::ENOSYS, Some(0)).contains("seccomp"));
    assert!(mend(libc::EINVAL, None).contains("Linux 6.1"));
    assert!(mend(libc::ENOMEM, None).contains("ulimit -l"));
}

#[test]
fn the_probe_agrees_with_opening_a_shard() {
    let report = probe();
    let opened = UringShard::open().is_ok();
    if report.missing().is_none() {
        assert!(opened);
        assert_eq!(report.features.len(), STEPS.len());
    }
    if !opened {
        assert!(report.missing().is_some(), "{report}");
    }
}
