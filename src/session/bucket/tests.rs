use super::*;

const fn at(ms: u64) -> Now {
    Now { unix_ns: 0, mono_ns: 1_000 * NS_PER_S + ms * 1_000_000 }
}

fn wait_ms(bucket: &Bucket, count: u32, now: Now) -> u64 {
    match bucket.draw(count, now) {
        Err(Dry::For { ns }) => ns.div_ceil(1_000_000),
        other @ (Ok(()) | Err(Dry::Forever)) => panic!("{other:?}"),
    }
}

fn drawn(bucket: &Bucket, now: Now) -> u32 {
    std::iter::repeat_with(|| bucket.draw(1, now)).take_while(Result::is_ok).count() as u32
}

#[test]
fn a_full_bucket_gives_as_many_as_it_holds_and_then_one_share_at_a_time() {
    for per_minute in [1, 7, 60, 90, 6_001, STATEMENTS_PER_MINUTE_MAX / 60] {
        let bucket = Bucket::new(per_minute);
        assert_eq!(drawn(&bucket, at(0)), per_minute);
        let share_ms = 60_000_u64.div_ceil(u64::from(per_minute));
        assert_eq!(wait_ms(&bucket, 1, at(0)), share_ms, "{per_minute} a minute");
        assert_eq!(drawn(&bucket, at(30_000)), per_minute / 2, "half a minute, half of it");
        assert_eq!(drawn(&bucket, at(600_000)), per_minute, "never more than it holds");
    }
}

#[test]
fn over_ten_minutes_it_gives_eleven_minutes_worth() {
    let bucket = Bucket::new(60);
    let given: u32 = (0..=600).map(|second| drawn(&bucket, at(second * 1_000))).sum();
    assert_eq!(given, 660);
}

#[test]
fn what_is_refused_takes_nothing() {
    let bucket = Bucket::new(60);
    assert_eq!(drawn(&bucket, at(0)), 60);
    for ms in 1..1_000 {
        assert_eq!(wait_ms(&bucket, 1, at(ms)), 1_000 - ms);
    }
    assert_eq!(bucket.draw(1, at(1_000)), Ok(()));
}

#[test]
fn several_are_drawn_together_or_not_at_all() {
    let bucket = Bucket::new(60);
    assert_eq!(bucket.draw(50, at(0)), Ok(()));
    assert_eq!(wait_ms(&bucket, 20, at(0)), 10_000);
    assert_eq!(bucket.draw(10, at(0)), Ok(()));
    assert_eq!(bucket.draw(61, at(600_000)), Err(Dry::Forever));
    assert_eq!(bucket.draw(60, at(600_000)), Ok(()));
}

#[test]
fn what_is_overdrawn_is_owed_for_a_minute_at_most() {
    let bucket = Bucket::new(60);
    bucket.overdraw(1, at(0));
    assert_eq!(drawn(&bucket, at(0)), 59);
    bucket.overdraw(5, at(0));
    assert_eq!(wait_ms(&bucket, 1, at(0)), 6_000);
    for _ in 0..10_000 {
        bucket.overdraw(u32::MAX, at(0));
    }
    assert_eq!(wait_ms(&bucket, 1, at(0)), 61_000);
}

#[test]
fn another_size_leaves_it_as_full_as_it_was() {
    let bucket = Bucket::new(60);
    assert_eq!(bucket.draw(30, at(0)), Ok(()));
    bucket.resize(600);
    assert_eq!(drawn(&bucket, at(0)), 300);
    bucket.resize(6);
    assert_eq!(wait_ms(&bucket, 1, at(0)), 10_000);
}

#[test]
fn a_clock_that_another_worker_read_earlier_gives_nothing_more() {
    let bucket = Bucket::new(60);
    assert_eq!(drawn(&bucket, at(5)), 60);
    assert_eq!(drawn(&bucket, at(0)), 0);
}

#[test]
fn workers_that_draw_at_once_get_no_more_than_there_is() {
    let bucket = Bucket::new(10_000);
    let given: u32 = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..4).map(|_| scope.spawn(|| drawn(&bucket, at(0)))).collect();
        workers.into_iter().map(|worker| worker.join().unwrap()).sum()
    });
    assert_eq!(given, 10_000);
}

#[test]
fn a_refusal_a_minute_is_told_and_the_others_are_counted() {
    let bucket = Bucket::new(1);
    assert!(bucket.tells(at(0)));
    for ms in 1..=500 {
        assert!(!bucket.tells(at(ms)));
    }
    assert_eq!(bucket.untold(at(59_999)), None);
    assert_eq!(bucket.untold(at(60_000)), Some(500));
    assert_eq!(bucket.untold(at(60_000)), None, "it is told once");
    assert!(bucket.tells(at(60_000)));
    assert!(!bucket.tells(at(60_001)));
    assert_eq!(bucket.untold_so_far(), Some(1));
    assert_eq!(bucket.untold_so_far(), None);
}

#[test]
fn it_is_fresh_again_once_it_is_full_and_everything_is_told() {
    let bucket = Bucket::new(60);
    assert!(bucket.is_fresh(at(0)));
    assert_eq!(bucket.draw(2, at(0)), Ok(()));
    assert!(!bucket.is_fresh(at(1_999)));
    assert!(bucket.is_fresh(at(2_000)));
    assert!(bucket.tells(at(2_000)) && !bucket.is_fresh(at(2_000)));
    assert!(bucket.is_fresh(at(62_000)));
}
