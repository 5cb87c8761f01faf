//! Every way in which a session ends, from every phase.

use super::*;

type Bring = fn(&mut Visit<'_>);

/// Phases by what they await, and what brings a visit there.
const PHASES: [(&str, Bring); 6] = [
    ("login", |_| ()),
    ("verifying", |visit| {
        visit.attended = false;
        shown(visit);
    }),
    ("connecting", |visit| {
        visit.attended = false;
        shown(visit);
        let admission = Box::new(visit.house.admission());
        visit.handle(Input::Admitted(admission));
    }),
    ("target login", |visit| visit.knock()),
    ("idle", |visit| {
        visit.knock();
        visit.target(&target_login());
    }),
    ("active", |visit| {
        visit.knock();
        visit.target(&target_login());
        visit.bot(&pg::q("SELECT 1"));
    }),
];

/// Up to the token, with nobody there to verify it.
fn shown(visit: &mut Visit<'_>) {
    visit.bot(&pg::ssl_request());
    visit.handle(Input::TlsStarted { leg: Leg::Downstream, facts: TlsFacts::default() });
    visit.bot(&start_up());
    visit.bot(&password());
}

/// What ends a session, and by phase: the reason, and what the bot and the target hear last.
struct Ending {
    input: fn() -> Input,
    expected: [(CloseReason, &'static str, &'static str); 6],
}

fn check(ending: &Ending) {
    for ((phase, bring), expected) in PHASES.iter().zip(ending.expected) {
        let house = House::new();
        let mut visit = house.visit();
        bring(&mut visit);
        assert_eq!(visit.session.state(), *phase);
        visit.seen = Seen::default();
        visit.handle((ending.input)());
        let seen = &visit.seen;
        let told = (seen.closed.unwrap(), &*seen.heard(), &*seen.got());
        assert_eq!(told, expected, "in phase {phase}");
        assert_eq!(visit.session.state(), "closed");
        // Whatever comes later finds nobody.
        visit.bot(&pg::q("SELECT 1"));
        visit.target(&one_row());
        visit.handle(Input::Eof { leg: Leg::Upstream });
        visit.handle(Input::DeadlinePassed);
        assert!(!visit.session.wants(Leg::Downstream) && !visit.session.wants(Leg::Upstream));
        assert_eq!(visit.session.deadline_ns(), None);
        let opened = matches!(*phase, "idle" | "active");
        drop(visit);
        let told = house.told();
        assert_eq!(told.len(), usize::from(opened), "in phase {phase}");
        for told in told.values() {
            assert_eq!((told.starts, told.end()), (1, expected.0.code()));
            assert_eq!(told.exchanges.len(), usize::from(*phase == "active"));
        }
    }
}

#[test]
fn a_bot_that_hangs_up_ends_the_session_and_the_target_is_told() {
    use CloseReason::BotVanished as Vanished;
    for input in [|| Input::Eof { leg: Leg::Downstream }, || Input::Failed { leg: Leg::Downstream }]
    {
        check(&Ending {
            input,
            expected: [
                (Vanished, "", ""),
                (Vanished, "", ""),
                (Vanished, "", ""),
                (Vanished, "", ""),
                (Vanished, "", "X"),
                (Vanished, "", "X"),
            ],
        });
    }
}

#[test]
fn a_target_that_hangs_up_before_its_login_stands_has_refused_it() {
    use CloseReason::{TargetClosed as Closed, TargetLoginFailed as Refused};
    for input in [|| Input::Eof { leg: Leg::Upstream }, || Input::Failed { leg: Leg::Upstream }] {
        check(&Ending {
            input,
            expected: [
                (Closed, "", ""),
                (Closed, "", ""),
                (Closed, "", ""),
                (Refused, "E(28000)", ""),
                (Closed, "", ""),
                (Closed, "", ""),
            ],
        });
    }
}

#[test]
fn a_kill_is_told_to_both_legs_in_every_phase() {
    use CloseReason::Killed;
    check(&Ending {
        input: || Input::End(Killed),
        expected: [
            (Killed, "", ""),
            (Killed, "E(57P01)", ""),
            (Killed, "E(57P01)", ""),
            (Killed, "E(57P01)", ""),
            (Killed, "E(57P01)", "X"),
            (Killed, "E(57P01)", "X"),
        ],
    });
}

#[test]
fn a_passed_deadline_ends_the_session_in_every_phase() {
    use CloseReason::DeadlinePassed as Passed;
    check(&Ending {
        input: || Input::DeadlinePassed,
        expected: [
            (Passed, "", ""),
            (Passed, "E(57P05)", ""),
            (Passed, "E(57P05)", ""),
            (Passed, "E(57P05)", ""),
            (Passed, "E(57P05)", "X"),
            (Passed, "E(57P05)", "X"),
        ],
    });
}

#[test]
fn a_command_in_flight_at_the_end_has_its_record() {
    let house = House::new();
    let mut visit = house.open();
    visit.bot(&[pg::q("SELECT 1"), pg::q("SELECT 2")].concat());
    visit.target(&one_row());
    visit.handle(Input::Failed { leg: Leg::Upstream });
    assert_eq!(visit.seen.concluded, [false, false]);
    assert_eq!(visit.event_names(), ["ended"]);
    drop(visit);
    let told = house.only();
    let tags: Vec<_> = told.exchanges.iter().map(|exchange| exchange.tag.as_deref()).collect();
    assert_eq!(tags, [Some("SELECT 1"), None]);
}

#[test]
fn a_target_that_ends_the_session_itself_is_heard() {
    let house = House::new();
    let mut visit = house.open();
    visit.target(&pg::severe("57P01", "FATAL"));
    visit.handle(Input::Eof { leg: Leg::Upstream });
    assert_eq!(visit.seen.heard(), "E(57P01)");
    let words = visit.seen.to(Leg::Downstream);
    assert!(memchr::memmem::find(&words, b"server says").is_some());
    assert_eq!(visit.seen.closed, Some(CloseReason::TargetClosed));
}

#[test]
fn a_broken_protocol_ends_the_session_and_says_by_whom() {
    let cases = [
        (Leg::Downstream, CloseReason::BotProtocolError),
        (Leg::Upstream, CloseReason::TargetProtocolError),
    ];
    for (leg, reason) in cases {
        let house = House::new();
        let mut visit = house.open();
        visit.receive(leg, &[b'Q', 0, 0, 0, 1]);
        assert_eq!(visit.seen.closed, Some(reason));
        assert_eq!((&*visit.seen.heard(), &*visit.seen.got()), ("E(08P01)", "X"));
    }
}

#[test]
fn a_recorder_that_stops_ends_the_session_and_nothing_more_goes_on() {
    let house = House::new();
    let mut visit = house.open();
    visit.bot(&pg::q("SELECT 1"));
    visit.target(&one_row());
    house.recorder.stop();
    visit.seen = Seen::default();
    visit.bot(&[pg::q("SELECT 2"), pg::q("SELECT 3")].concat());
    assert_eq!(visit.seen.closed, Some(CloseReason::RecordingFailed));
    assert!(visit.seen.forwarded.is_empty(), "unrecorded bytes went on");
    assert_eq!((&*visit.seen.heard(), &*visit.seen.got()), ("E(53100)", "X"));
}

#[test]
fn a_session_whose_recording_cannot_begin_does_not_begin() {
    let house = House::new();
    let mut visit = house.visit();
    visit.knock();
    house.recorder.stop();
    visit.seen = Seen::default();
    visit.target(&target_login());
    assert_eq!(visit.seen.closed, Some(CloseReason::RecordingFailed));
    assert!(visit.seen.heard().ends_with("E(53100)"), "{}", visit.seen.heard());
    assert!(visit.event_names().is_empty());
}

#[test]
fn a_bot_that_says_goodbye_in_the_place_of_its_token_has_finished() {
    let house = House::new();
    let mut visit = house.visit();
    visit.bot(&pg::ssl_request());
    visit.bot(&start_up());
    visit.bot(&pg::frame(b'X', b""));
    assert_eq!(visit.seen.closed, Some(CloseReason::BotFinished));
    assert_eq!(visit.seen.to(Leg::Upstream), b"");
}

#[test]
fn a_session_that_a_defect_ends_says_nothing_and_keeps_its_records() {
    let house = House::new();
    let mut visit = house.open();
    visit.bot(&pg::q("SELECT 1"));
    visit.seen = Seen::default();
    let mut outputs = VecDeque::new();
    visit.session.end_by_defect(&mut Context {
        now: visit.now,
        classifier: &mut visit.classifier,
        recorder: &visit.link,
        outputs: &mut outputs,
    });
    outputs.into_iter().for_each(|output| drop(visit.perform(output)));
    assert_eq!((&*visit.seen.heard(), &*visit.seen.got()), ("", ""));
    assert_eq!((visit.event_names(), &visit.seen.concluded[..]), (vec!["ended"], &[false][..]));
    drop(visit);
    let told = house.only();
    assert_eq!((told.exchanges.len(), told.end()), (1, "defect"));
}
