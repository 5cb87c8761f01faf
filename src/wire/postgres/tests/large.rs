//! Rows too large to be held: what of them streams, what is replaced in front of that, and what ends
//! its result.

use super::showing::{FREE, OPEN, d, t, values};
use super::*;
use crate::limits::SHOWN_ROW_BYTES_MAX;

const MIB: usize = 1024 * 1024;
/// A row's count, and the length of a cell.
const COUNT_BYTES: usize = 2;
const LENGTH_BYTES: usize = 4;

fn text(bytes: usize) -> String {
    "x".repeat(bytes)
}

/// A query whose result has columns of these tables.
fn asked(tables: &[u32]) -> Drive {
    let mut drive = Drive::showing();
    drive.bot(&q("SELECT 1"));
    drive.target(&t(tables));
    drive
}

/// What the bot gets of a result with this one row, and whether its session is as good as before.
fn told(tables: &[u32], row: &[&str]) -> (String, Vec<Vec<String>>) {
    let mut drive = asked(tables);
    drive.target(&join(&[d(row), done("SELECT 1"), z(b'I')]));
    assert_eq!(drive.seen.fault, None);
    assert!(drive.machine.idle());
    (drive.heard(), values(&drive.seen.to_bot))
}

#[test]
fn a_row_too_large_to_be_looked_at_ends_its_result() {
    let large = d(&[&"x".repeat(SHOWN_ROW_BYTES_MAX - 6)]);
    let larger = d(&[&"x".repeat(SHOWN_ROW_BYTES_MAX - 5)]);
    let mut drive = Drive::showing();
    drive.bot(&q("SELECT 1"));
    drive.target(&join(&[t(&[5]), d(&["secret"]), large.clone()]));
    for piece in larger.chunks(100_000) {
        drive.target(piece);
        assert!(drive.unread(Leg::Upstream) < 100_000, "it is held");
    }
    assert_eq!(drive.cancels_wanted, 1);
    drive.target(&join(&[large, error("57014"), z(b'I')]));
    assert_eq!(drive.heard(), "T D D E(54000) Z(I)");
    assert_eq!(error_codes(&drive.seen), [(1, Some("54000"))]);
    assert!(drive.machine.idle());
}

#[test]
fn a_large_row_of_a_result_that_passes_streams() {
    let mut drive = Drive::showing();
    drive.bot(&q("SELECT 1"));
    drive.target(&join(&[t(&[FREE]), d(&["a"])]));
    let larger = d(&[&"x".repeat(2 * SHOWN_ROW_BYTES_MAX)]);
    drive.target(&larger[..1000]);
    assert_eq!(drive.unread(Leg::Upstream), 0);
    drive.target(&join(&[larger[1000..].to_vec(), done("SELECT 2"), z(b'I')]));
    assert_eq!(drive.heard(), "T D D C Z(I)");
}

#[test]
fn a_large_cell_that_passes_streams_behind_cells_that_are_replaced() {
    let large = text(5 * MIB);
    for (front, its) in [("secret", "[gone]!"), ("secret-null", "-"), ("secret-short", "*")] {
        let mut drive = asked(&[5, OPEN, OPEN, OPEN]);
        let row = d(&[front, &large, "-", "secret"]);
        for piece in row.chunks(100_000) {
            drive.target(piece);
            assert_eq!(drive.unread(Leg::Upstream), 0, "it is held");
        }
        drive.target(&join(&[d(&["secret", "a", "b", "c"]), done("SELECT 2"), z(b'I')]));
        assert_eq!(drive.heard(), "T D D C Z(I)");
        let told = values(&drive.seen.to_bot);
        assert_eq!(told, [vec![its, &large, "-", "secret"], vec!["[gone]!", "a", "b", "c"]]);
        assert_eq!(drive.editing().rows, 2);
        let (_, outcome) = &drive.seen.ended[0];
        assert_eq!((outcome.rows, outcome.error.as_deref()), (2, None));
        assert_eq!(outcome.answer_bytes, drive.seen.to_bot.len() as u64);
    }
}

#[test]
fn the_first_row_of_a_result_that_passes_streams_however_large() {
    let large = text(5 * MIB);
    let row = [large.as_str(), "secret", large.as_str()];
    let (heard, rows) = told(&[5, FREE, 5], &row);
    assert_eq!(heard, "T D C Z(I)");
    assert_eq!(rows, [row]);
}

#[test]
fn a_large_row_with_something_to_look_at_behind_what_is_held_does_not_go_on() {
    let large = text(5 * MIB);
    for (tables, row) in [
        (&[OPEN, 5][..], &[large.as_str(), "secret"][..]),
        (&[OPEN, 5], &[&large, "-"]),
        (&[5, OPEN], &[&large, "a"]),
        (&[OPEN, OPEN, 5], &["a", &large, ""]),
    ] {
        let (heard, rows) = told(tables, row);
        assert_eq!(heard, "T E(54000) Z(I)", "{tables:?}");
        assert_eq!(rows, Vec::<Vec<String>>::new());
    }
}

/// Cells are held that end where the largest row ends that is held.
#[test]
fn as_much_of_a_large_row_is_looked_at_as_of_any_other() {
    let held = SHOWN_ROW_BYTES_MAX - COUNT_BYTES - LENGTH_BYTES;
    for (bytes, heard) in [(held, "T D C Z(I)"), (held + 1, "T E(54000) Z(I)")] {
        let (first, large) = (text(bytes), text(5 * MIB));
        assert_eq!(told(&[5, OPEN], &[&first, &large]).0, heard, "{bytes}");
        let front = text(bytes - LENGTH_BYTES);
        let (said, rows) = told(&[OPEN, 5, OPEN], &[&front, "", &large]);
        assert_eq!(said, heard, "an empty cell behind {} bytes", front.len());
        assert!(rows.is_empty() || rows == [[front.as_str(), "", &large]]);
    }
}

#[test]
fn limits_count_large_rows_as_any_others() {
    let row = d(&["secret", "secret", &text(5 * MIB)]);
    let play = |limit: &dyn Fn(&mut Drive), end: Vec<u8>| {
        let mut drive = Drive::showing();
        limit(&mut drive);
        drive.bot(&q("SELECT 1"));
        drive.target(&join(&[t(&[5, 5, OPEN]), row.clone(), row.clone()]));
        drive.target(&join(&[end, z(b'I')]));
        assert!(drive.machine.idle());
        let (heard, (_, outcome)) = (drive.heard(), &drive.seen.ended[0]);
        (heard, outcome.rows)
    };
    let described = t(&[5, 5, OPEN]).len();
    let (one, none) = ("T D E(54000) Z(I)".to_owned(), "T E(54000) Z(I)".to_owned());
    let stopped = |limit: &dyn Fn(&mut Drive)| play(limit, error("57014"));
    assert_eq!(stopped(&|drive| drive.limit_rows(1)), (one.clone(), 1));
    assert_eq!(stopped(&|drive| drive.limit_masked(3)), (one.clone(), 1));
    assert_eq!(stopped(&|drive| drive.limit_masked(1)), (none.clone(), 0));
    assert_eq!(stopped(&|drive| drive.limit_bytes(described + row.len())), (one, 1));
    assert_eq!(stopped(&|drive| drive.limit_bytes(described + row.len() - 1)), (none, 0));
    let whole = play(&|drive| drive.limit_masked(4), done("SELECT 2"));
    assert_eq!(whole, ("T D D C Z(I)".to_owned(), 2));
}

/// Cuts stand at every byte of the row's beginning, and around where its large cell ends.
#[test]
fn a_split_anywhere_changes_nothing_of_a_large_row() {
    let large = text(SHOWN_ROW_BYTES_MAX);
    let end = join(&[done("SELECT 2"), z(b'I')]);
    for (tables, values) in [
        ([5, 5, OPEN, OPEN], ["secret", "secret-null", &large, "tail"]),
        ([5, OPEN, OPEN, 5], ["secret", "a", &large, "secret"]),
        ([5, FREE, 5, 5], ["secret", "a", &large, "secret"]),
    ] {
        let row = d(&values);
        let last = d(&["secret", "b", "c", "d"]);
        let play = |cuts: &[usize]| {
            let mut drive = asked(&tables);
            drive.limit_masked(4);
            let bytes = join(&[row.clone(), last.clone(), end.clone()]);
            let mut from = 0;
            for cut in cuts.iter().chain([&bytes.len()]) {
                drive.target(&bytes[from..*cut]);
                from = *cut;
            }
            let cells = std::mem::take(&mut drive.editing().cells);
            (drive.seen, cells)
        };
        let whole = play(&[]);
        let front = row.len() - large.len();
        for cut in (1..front + 8).chain(row.len() - 8..row.len() + 8) {
            assert!(play(&[cut]) == whole, "cut at {cut}");
        }
        let bytewise: Vec<usize> = (1..front + 8).chain(row.len() - 8..row.len() + 8).collect();
        assert!(play(&bytewise) == whole, "byte by byte where something is decided");
        let chunks: Vec<usize> = (1..row.len() / 16_384).map(|chunk| chunk * 16_384).collect();
        assert!(play(&chunks) == whole, "in chunks");
    }
}

#[test]
fn inside_a_large_row_the_bot_is_told_nothing() {
    let mut drive = asked(&[5, OPEN]);
    let row = d(&["secret", &text(5 * MIB)]);
    drive.target(&row[..MIB]);
    let told = drive.seen.to_bot.len();
    let mut said = Said::default();
    drive.machine.notice("a word", &mut said);
    drive.machine.farewell(Farewell::Killed, &mut said);
    assert!(said.downstream.is_empty());
    assert_eq!(told, t(&[5, OPEN]).len() + MIB + 1, "the stand-in is one byte longer");
}

#[test]
fn a_large_row_that_is_not_what_it_says_ends_the_session() {
    let large = (5 * MIB) as u32;
    let lie = |count: u16, cells: &[u8]| {
        let length = (large + 100).to_be_bytes();
        [b"D", &length[..], &count.to_be_bytes(), cells].concat()
    };
    let cell = |length: u32| length.to_be_bytes().to_vec();
    for (name, lie) in [
        ("too few cells", lie(1, &cell(large))),
        ("too many cells", lie(3, &cell(large))),
        ("a cell that is longer than its row", lie(2, &cell(large + 200))),
        ("a cell of an impossible length", lie(2, &cell(u32::MAX - 1))),
        ("bytes behind the cells", lie(2, &[cell(u32::MAX), cell(1), vec![b'a']].concat())),
    ] {
        let mut drive = asked(&[5, OPEN]);
        drive.target(&lie);
        assert!(drive.seen.fault.is_some(), "{name}");
        assert_eq!(drive.heard(), "T", "{name}");
    }
}
