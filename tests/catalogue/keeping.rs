//! When catalogues are read, who shares them, and what stands in when none can be read.

use std::sync::Arc;
use std::time::Duration;

use narrows::control::catalogue::{Catalogues, Pace, Place, Rules, read_once};
use narrows::mask::catalogue::{Cell, Column, Touch};
use narrows::model::mask::Strategy;
use narrows::observe::sink::EventQueue;

use crate::support::postgres::{Postgres, Role, Version};
use crate::support::shared::pki;
use crate::world::{World, database, lessor, place, rules, run, server};

const SSN: &[(&str, Strategy)] = &[("public.customers.ssn", Strategy::Redact)];
const CUSTOMERS: &str = "CREATE TABLE customers (id int, name text, ssn text);";

fn pace() -> Pace {
    Pace {
        refresh: Duration::from_millis(500),
        gap: Duration::from_millis(20),
        gap_max: Duration::from_millis(100),
        stale: Duration::from_secs(600),
        kept: Duration::from_millis(300),
    }
}

fn slow() -> Pace {
    Pace { refresh: Duration::from_secs(600), ..pace() }
}

fn catalogues(pace: Pace) -> Catalogues {
    Catalogues::new(lessor(), pace, EventQueue::discarding())
}

async fn cell(catalogues: &Catalogues, place: &Place, rules: &Rules) -> Arc<Cell> {
    catalogues.cell(place.clone(), &Arc::from("version"), rules).await
}

/// Waits until `cell` is as `ready` says, or fails.
async fn until(what: &str, mut ready: impl FnMut() -> bool) {
    for _ in 0..1_000 {
        if ready() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("not within twenty seconds: {what}");
}

/// How often the gateway has read `database`.
fn readings(database: &str) -> usize {
    let connected = format!("database={database} application_name=narrows catalogue");
    server().log().matches(&connected).count()
}

#[tokio::test]
async fn callers_share_one_reading_and_one_cell() {
    let server = server();
    database(server, "shared", CUSTOMERS);
    let (place, rules) = (place(server, Role::App, "shared"), rules(SSN));
    let catalogues = catalogues(slow());
    let (a, b) = tokio::join!(cell(&catalogues, &place, &rules), cell(&catalogues, &place, &rules));
    let c = cell(&catalogues, &place, &rules).await;
    assert!(Arc::ptr_eq(&a, &b) && Arc::ptr_eq(&a, &c));
    assert!(matches!(a.load().touch(None, "customers"), Touch::Protected { .. }));
    assert_eq!(readings("shared"), 1);
    let other = catalogues.cell(place.clone(), &Arc::from("newer"), &rules).await;
    assert!(!Arc::ptr_eq(&a, &other));
    assert_eq!(catalogues.count(), 2);
}

#[tokio::test]
async fn what_sessions_want_is_read() {
    let server = server();
    database(server, "wanted", CUSTOMERS);
    let (place, rules) = (place(server, Role::App, "wanted"), rules(SSN));
    let catalogues = catalogues(slow());
    let cell = cell(&catalogues, &place, &rules).await;
    let before = cell.generation();
    run(server, "wanted", "CREATE VIEW fresh AS SELECT ssn AS s FROM customers;");
    assert_eq!(cell.load().touch(None, "fresh"), Touch::Unknown);
    let wants = Arc::clone(&cell);
    std::thread::spawn(move || wants.want()).join().unwrap();
    until("a new generation", || cell.generation() > before).await;
    assert!(matches!(cell.load().touch(None, "fresh"), Touch::Protected { .. }));
}

#[tokio::test]
async fn a_view_that_is_made_anew_is_not_believed_until_read() {
    let server = server();
    let sql = format!("{CUSTOMERS} CREATE VIEW v AS SELECT id FROM customers;");
    database(server, "anew", &sql);
    let (place, rules) = (place(server, Role::App, "anew"), rules(SSN));
    let catalogues = catalogues(slow());
    let cell = cell(&catalogues, &place, &rules).await;
    let world = World::read(&place, &rules).await.unwrap();
    let view = world.relation("v").oid;
    assert_eq!(cell.load().column(view, 1), Column::Free);
    let before = cell.generation();
    run(server, "anew", "CREATE OR REPLACE VIEW v AS SELECT ssn::int AS id FROM customers;");
    let change = cell.changed();
    assert!(!cell.knows(change));
    until("a new generation", || cell.knows(change)).await;
    assert!(cell.generation() > before);
    assert!(matches!(cell.load().column(view, 1), Column::Protected(_)));
}

#[tokio::test]
async fn wants_without_news_are_answered_ever_more_seldom() {
    let server = server();
    database(server, "greedy", CUSTOMERS);
    let (place, rules) = (place(server, Role::App, "greedy"), rules(SSN));
    let pace = Pace { gap_max: Duration::from_secs(60), ..slow() };
    let catalogues = catalogues(pace);
    let cell = cell(&catalogues, &place, &rules).await;
    let (before, generation) = (cell.reads(), cell.generation());
    for _ in 0..100 {
        cell.want();
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    // Pauses of 20, 40, 80, 160, 320 ms and so on.
    let reads = cell.reads() - before;
    assert!((1..=6).contains(&reads), "{reads} readings in a second");
    assert_eq!(cell.generation(), generation);
}

#[tokio::test]
async fn used_catalogues_are_refreshed_and_others_forgotten() {
    let server = server();
    database(server, "fading", CUSTOMERS);
    let (place, rules) = (place(server, Role::App, "fading"), rules(SSN));
    let catalogues = catalogues(pace());
    let cell = cell(&catalogues, &place, &rules).await;
    run(server, "fading", "CREATE TABLE late (id int);");
    until("a table nobody asked for", || cell.load().touch(None, "late") == Touch::None).await;
    assert_eq!(catalogues.count(), 1);
    drop(cell);
    until("an unused catalogue is gone", || catalogues.count() == 0).await;
}

#[tokio::test]
async fn an_unreachable_server_protects_everything_and_is_tried_again() {
    let mut own = Postgres::start(Version::V15, pki());
    database(&own, "away", CUSTOMERS);
    let (place, rules) = (place(&own, Role::App, "away"), rules(SSN));
    let catalogues = catalogues(pace());
    own.stop();
    let cell = cell(&catalogues, &place, &rules).await;
    assert!(cell.load().is_unreadable());
    assert_eq!(cell.load().column(16_400, 1), Column::Unknown);
    assert!(matches!(cell.load().touch(None, "anything"), Touch::Protected { .. }));
    own.start_again();
    until("the catalogue is read", || !cell.load().is_unreadable()).await;
    assert!(matches!(cell.load().touch(None, "customers"), Touch::Protected { .. }));
}

#[tokio::test]
async fn what_was_read_is_believed_for_a_while_and_no_longer() {
    let mut own = Postgres::start(Version::V15, pki());
    database(&own, "gone", CUSTOMERS);
    let (place, rules) = (place(&own, Role::App, "gone"), rules(SSN));
    let of = |stale| catalogues(Pace { stale, ..pace() });
    let (patient, hasty) = (of(Duration::from_secs(600)), of(Duration::ZERO));
    let (patient, hasty) =
        (cell(&patient, &place, &rules).await, cell(&hasty, &place, &rules).await);
    assert!(!patient.load().is_unreadable() && !hasty.load().is_unreadable());
    own.stop();
    let reads = patient.reads();
    until("a failed reading", || patient.reads() > reads).await;
    assert!(matches!(patient.load().touch(None, "customers"), Touch::Protected { .. }));
    until("nothing is believed", || hasty.load().is_unreadable()).await;
    patient.changed();
    let reads = patient.reads();
    until("another failed reading", || patient.reads() > reads + 1).await;
    assert!(!patient.load().is_unreadable());
}

#[tokio::test]
async fn rules_that_match_nothing_are_reported() {
    let server = server();
    database(server, "misspelt", CUSTOMERS);
    let place = place(server, Role::App, "misspelt");
    let mut patterns = vec!["public.customers.ssn", "public.customers.snn", "public.custmers.ssn"];
    let raw = read_once(&lessor(), &place).await.unwrap();
    for (schema, relation, column) in raw.columns() {
        let name = format!("{schema}.{relation}.{column}");
        patterns.retain(|pattern| *pattern != name);
    }
    assert_eq!(patterns, ["public.customers.snn", "public.custmers.ssn"]);
}
