//! Cancel requests: which work they may reach, and what waits for them.

use super::*;

#[test]
fn only_work_in_flight_can_be_cancelled() {
    let mut drive = Drive::relaying();
    assert!(drive.machine.cancel().is_none());
    drive.bot(&q("SELECT 1"));
    let key = drive.machine.cancel().unwrap();
    assert_eq!((key.process_id, key.secret.as_slice()), (42, &[1, 2, 3, 4][..]));
    drive.target(&join(&[error("57014"), z(b'I')]));
    assert!(drive.machine.cancel().is_none());
}

#[test]
fn the_next_command_waits_until_the_request_is_delivered() {
    let mut drive = Drive::relaying();
    drive.bot(&q("SELECT 1"));
    drive.machine.cancel().unwrap();
    drive.target(&join(&[done("SELECT 1"), z(b'I')]));
    drive.bot(&q("SELECT 2"));
    assert_eq!(drive.got(), "Q");
    drive.cancel_done();
    assert_eq!(drive.got(), "Q Q");
}

#[test]
fn a_request_that_is_being_delivered_is_not_delivered_twice() {
    let mut drive = Drive::relaying();
    drive.bot(&q("SELECT 1"));
    assert!(drive.machine.cancel().is_some());
    assert!(drive.machine.cancel().is_none());
    drive.cancel_done();
    assert!(drive.machine.cancel().is_some());
}

#[test]
fn a_copy_and_a_sync_go_on_while_a_request_is_delivered() {
    let mut drive = Drive::relaying();
    drive.bot(&q("COPY t FROM STDIN"));
    drive.target(&frame(b'G', &[0, 0, 0]));
    drive.machine.cancel().unwrap();
    drive.bot(&join(&[frame(b'd', b"1\n"), frame(b'c', b""), sync()]));
    assert_eq!(drive.got(), "Q d c S");
}

#[test]
fn an_errand_delivers_its_key_and_waits_for_the_end() {
    let key = CancelKey { process_id: 42, secret: vec![1, 2, 3, 4] };
    let request = packet(80_877_102, &[0, 0, 0, 42, 1, 2, 3, 4]);
    let mut drive = Drive::of(Machine::errand(key.clone()));
    drive.begin_upstream(UpstreamLogin { password: None, ..plain_login() });
    assert_eq!(drive.seen.to_target, request);

    let mut drive = Drive::of(Machine::errand(key));
    drive.begin_upstream(UpstreamLogin { password: None, tls: true, ..plain_login() });
    drive.target(b"S");
    drive.seen.to_target.clear();
    drive.tls(Leg::Upstream, TlsFacts::default());
    assert_eq!(drive.seen.to_target, request);
    drive.target(b"whatever");
    drive.farewell(Farewell::Draining);
    assert_eq!((drive.seen.to_bot.len(), drive.seen.fault), (0, None));
}
