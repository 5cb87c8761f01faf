//! Answers that are shown before they go on: which are, with which columns, and what reaches the
//! bot of those that nobody asked for.

use super::*;
use crate::limits::SHOWN_WORDS_BYTES_MAX;
use crate::wire::{Cause, CopyForm, Edit, Editor, Part, Rewritten, Shown};

/// Edits whatever a drive is shown, by a table of words.
#[derive(Default)]
pub struct Editing {
    /// What is told to the machine when a copy begins.
    pub form: Option<(CopyForm, &'static [u8], bool)>,
    /// The tables of each result that was shown, once for each run of rows of it.
    pub tables: Vec<(u64, Vec<u32>)>,
    pub causes: Vec<Cause>,
    /// Values as the editor got them, and where.
    pub cells: Vec<(usize, Vec<u8>)>,
    pub words: Vec<(String, String)>,
    pub rows: usize,
}

/// Rows of a result with a column of this table pass.
pub const FREE: u32 = 7;
/// Columns of this table pass, whatever is in them.
pub const OPEN: u32 = 8;

impl Editor for Editing {
    fn row(&mut self) {
        self.rows += 1;
    }

    fn cell(&mut self, column: usize, value: &[u8], out: &mut Vec<u8>) -> Edit {
        self.cells.push((column, value.to_vec()));
        if self.passes(column) { Edit::Keep } else { table(value, out) }
    }

    fn passes(&self, column: usize) -> bool {
        self.tables.last().is_some_and(|(_, tables)| tables.get(column) == Some(&OPEN))
    }

    fn words(&mut self, part: Part<'_>, words: &[u8], out: &mut Vec<u8>) -> Edit {
        let part = match part {
            Part::Message { code, points_at_text } => {
                let place = if points_at_text { " at a place" } else { "" };
                format!("message {}{place}", String::from_utf8_lossy(code))
            }
            Part::Addition { .. } => "addition".to_owned(),
            Part::Name => "name".to_owned(),
            Part::Label => "label".to_owned(),
            Part::Aside => "aside".to_owned(),
        };
        self.words.push((part, String::from_utf8_lossy(words).into_owned()));
        table(words, out)
    }
}

fn table(value: &[u8], out: &mut Vec<u8>) -> Edit {
    match value {
        b"secret" => out.extend(b"[gone]!"),
        b"secret-short" => out.extend(b"*"),
        b"secret-empty" => {}
        b"secret-null" => return Edit::Null,
        b"secret-quoted" => out.extend(b"a\t,\"'\\\n|;"),
        b"secret-na" => out.extend(b"NA"),
        b"secret-dot" => out.extend(b"\\."),
        b"secret-zero" => out.extend(b"a\0b"),
        _ => return Edit::Keep,
    }
    Edit::Written
}

impl Drive {
    /// As `relaying`, with answers shown.
    pub fn showing() -> Self {
        let mut drive = Self::relaying();
        drive.machine.show_answers();
        drive.editing = Some(Editing::default());
        drive
    }

    pub fn copying(form: CopyForm, null: &'static [u8], header: bool) -> Self {
        let mut drive = Self::showing();
        drive.editing().form = Some((form, null, header));
        drive
    }

    pub fn editing(&mut self) -> &mut Editing {
        self.editing.as_mut().unwrap()
    }

    /// Deals with bytes that a step has shown. Returns how many of them.
    pub fn edit(&mut self, shown: &Shown, bytes: &[u8]) -> usize {
        let mut editing = self.editing.take().unwrap();
        assert!(!bytes.is_empty(), "nothing is shown");
        let mut passes = false;
        let mut gone = bytes.len();
        match shown {
            Shown::Rows { number, columns } | Shown::RowBegins { number, columns, .. } => {
                let tables: Vec<u32> = columns.iter().map(|column| column.table).collect();
                passes = tables.contains(&FREE);
                editing.tables.push((*number, tables));
            }
            Shown::CopyBegins { columns, .. } => {
                if let Some((form, null, header)) = editing.form {
                    self.machine.copy_form(form, null, *columns, header);
                }
            }
            Shown::Words { cause } => editing.causes.push(*cause),
            Shown::Copied { .. } | Shown::Description | Shown::Aside => {}
        }
        let mut out = Vec::new();
        if passes {
            self.machine.rows_pass();
            self.seen.to_bot.extend(bytes);
        } else {
            match self.machine.rewrite(shown, bytes, &mut editing, &mut out) {
                Ok(Rewritten { bytes: taken, changed }) => {
                    gone = taken;
                    self.seen.to_bot.extend(if changed { &out } else { &bytes[..taken] });
                }
                Err(fault) => self.seen.fault = Some(fault),
            }
        }
        self.editing = Some(editing);
        gone
    }
}

/// A description of text columns of these tables.
pub fn t(tables: &[u32]) -> Vec<u8> {
    let mut body = (tables.len() as u16).to_be_bytes().to_vec();
    for table in tables {
        body.extend(b"label\0");
        body.extend(table.to_be_bytes());
        body.extend([0, 1, 0, 0, 0, 25, 255, 255, 255, 255, 255, 255, 0, 0]);
    }
    frame(b'T', &body)
}

/// A row of these values; "-" is null.
pub fn d(values: &[&str]) -> Vec<u8> {
    let mut body = (values.len() as u16).to_be_bytes().to_vec();
    for value in values {
        if *value == "-" {
            body.extend((-1_i32).to_be_bytes());
        } else {
            body.extend((value.len() as u32).to_be_bytes());
            body.extend(value.as_bytes());
        }
    }
    frame(b'D', &body)
}

/// Describe, of a portal.
pub fn dp(portal: &str) -> Vec<u8> {
    frame(b'D', &[b"P", portal.as_bytes(), b"\0"].concat())
}

/// The values of all rows among the messages.
pub fn values(bytes: &[u8]) -> Vec<Vec<String>> {
    let mut rows = Vec::new();
    let mut rest = bytes;
    while let Some((&[tag, a, b, c, e], _)) = rest.split_first_chunk::<5>() {
        let (message, after) = rest.split_at(u32::from_be_bytes([a, b, c, e]) as usize + 1);
        rest = after;
        if tag != b'D' {
            continue;
        }
        let (count, mut body) = message[5..].split_first_chunk::<2>().unwrap();
        let mut row = Vec::new();
        while let Some((length, after)) = body.split_first_chunk::<4>() {
            let length = i32::from_be_bytes(*length);
            let (value, after) = after.split_at(length.max(0) as usize);
            let text = String::from_utf8(value.to_vec()).unwrap();
            row.push(if length == -1 { "-".to_owned() } else { text });
            body = after;
        }
        assert!(body.is_empty(), "a row is longer than its cells");
        assert_eq!(row.len(), usize::from(u16::from_be_bytes(*count)));
        rows.push(row);
    }
    assert!(rest.is_empty(), "a message is cut");
    rows
}

fn told(drive: &Drive) -> Vec<Vec<String>> {
    values(&drive.seen.to_bot)
}

fn column(rows: &[&str]) -> Vec<Vec<String>> {
    rows.iter().map(|value| vec![(*value).to_owned()]).collect()
}

#[test]
fn every_result_of_a_query_is_shown_with_its_own_columns() {
    let mut drive = Drive::showing();
    drive.bot(&q("SELECT 1; SET a = 1; SELECT 2"));
    drive.target(&join(&[t(&[5]), d(&["secret"]), d(&["-"]), d(&["ok"]), done("SELECT 3")]));
    drive.target(&join(&[done("SET"), t(&[6, 0]), d(&["a", "secret-null"]), done("SELECT 1")]));
    drive.target(&z(b'I'));
    assert_eq!(drive.heard(), "T D D D C C T D C Z(I)");
    assert_eq!(told(&drive), [vec!["[gone]!"], vec!["-"], vec!["ok"], vec!["a", "-"]]);
    assert_eq!(drive.editing().tables, [(1, vec![5]), (1, vec![6, 0])]);
    assert_eq!(drive.seen.fault, None);
}

#[test]
fn what_an_exchange_delivered_is_counted_as_it_went_out() {
    let mut drive = Drive::showing();
    drive.bot(&q("SELECT 1"));
    drive.target(&join(&[t(&[5]), d(&["secret"]), d(&["secret-empty"]), done("SELECT 2")]));
    let before_ready = drive.seen.to_bot.len() as u64;
    drive.target(&z(b'I'));
    assert_eq!(drive.seen.ended[0].1.answer_bytes, before_ready + 6);
    assert_eq!(drive.seen.ended[0].1.rows, 2);
}

#[test]
fn a_portal_that_the_bot_has_described_is_not_described_again() {
    let mut drive = Drive::showing();
    drive.bot(&join(&[p("", "SELECT 1"), b("", ""), dp(""), e(""), sync()]));
    assert_eq!(drive.got(), "P B D E S");
    drive.target(&join(&[ok("12"), t(&[5]), d(&["secret"]), done("SELECT 1"), z(b'I')]));
    assert_eq!(drive.heard(), "1 2 T D C Z(I)");
    assert_eq!(told(&drive), column(&["[gone]!"]));
}

#[test]
fn a_portal_that_nobody_has_described_is_described_for_us_alone() {
    let mut drive = Drive::showing();
    drive.bot(&join(&[pbe("SELECT 1"), b("", ""), e(""), flush()]));
    assert_eq!(drive.got(), "P B D E B D E H");
    drive.target(&join(&[ok("12"), t(&[5]), d(&["secret"]), done("SELECT 1")]));
    assert_eq!(drive.heard(), "1 2 D C");
    drive.target(&join(&[ok("2"), ok("n"), done("SET")]));
    drive.bot(&sync());
    drive.target(&z(b'I'));
    assert_eq!(drive.heard(), "1 2 D C 2 C Z(I)");
    assert_eq!(told(&drive), column(&["[gone]!"]));
    let sum: u64 = drive.seen.ended.iter().map(|(_, outcome)| outcome.answer_bytes).sum();
    assert_eq!(sum + 11, drive.seen.to_bot.len() as u64, "all but ParseComplete and readiness");
}

#[test]
fn a_described_statement_tells_nothing_of_its_portals() {
    let mut drive = Drive::showing();
    drive.bot(&join(&[p("s", "SELECT 1"), frame(b'D', b"Ss\0"), b("", "s"), e(""), sync()]));
    assert_eq!(drive.got(), "P D B D E S");
    let answers = [ok("1"), frame(b't', &[0, 0]), t(&[5]), ok("2"), t(&[6]), d(&["secret"])];
    drive.target(&join(&[join(&answers), done("SELECT 1"), z(b'I')]));
    assert_eq!(drive.heard(), "1 t T 2 D C Z(I)");
    assert_eq!(drive.editing().tables, [(2, vec![6])]);
}

#[test]
fn a_pipeline_gets_one_answer_of_each_kind_in_order() {
    let mut drive = Drive::showing();
    let batch = || join(&[b("", "s"), dp(""), e(""), b("x", "s"), e("x"), sync()]);
    drive.bot(&join(&[p("s", "SELECT 1"), batch(), batch()]));
    assert_eq!(drive.got(), "P B D E B D E S B D E B D E S");
    let answers =
        || join(&[ok("2"), t(&[5]), d(&["secret"]), done("A"), ok("2"), t(&[6]), done("B")]);
    drive.target(&join(&[ok("1"), answers(), z(b'I'), answers(), z(b'I')]));
    assert_eq!(drive.heard(), "1 2 T D C 2 C Z(I) 2 T D C 2 C Z(I)");
    assert_eq!(drive.seen.ended.len(), 4);
}

#[test]
fn an_error_in_a_batch_skips_what_we_asked_too() {
    let mut drive = Drive::showing();
    drive.bot(&join(&[pbe("SELECT 1/0"), b("", ""), e(""), sync(), pbe("SELECT 2"), sync()]));
    drive.target(&join(&[ok("12"), t(&[5]), error("22012"), z(b'I')]));
    assert_eq!(drive.heard(), "1 2 E(22012) Z(I)");
    drive.target(&join(&[ok("12"), t(&[5]), d(&["secret"]), done("SELECT 1"), z(b'I')]));
    assert_eq!(drive.heard(), "1 2 E(22012) Z(I) 1 2 D C Z(I)");
    assert_eq!(drive.seen.fault, None);
    assert_eq!(error_codes(&drive.seen)[..2], [(2, Some("22012")), (3, Some("22012"))]);
}

#[test]
fn an_error_of_our_own_question_answers_the_execute() {
    let mut drive = Drive::showing();
    drive.bot(&join(&[p("", "SELECT 1"), b("c", ""), frame(b'C', b"Pc\0"), e("c"), sync()]));
    assert_eq!(drive.got(), "P B C D E S");
    drive.target(&join(&[ok("123"), error("34000"), z(b'I')]));
    assert_eq!(drive.heard(), "1 2 3 E(34000) Z(I)");
    drive.bot(&join(&[pbe("SELECT 2"), sync()]));
    drive.target(&join(&[ok("12"), t(&[5]), d(&["ok"]), done("SELECT 1"), z(b'I')]));
    assert_eq!(drive.heard(), "1 2 3 E(34000) Z(I) 1 2 D C Z(I)");
    assert_eq!(drive.seen.fault, None);
}

#[test]
fn a_refused_execute_is_refused_whatever_becomes_of_our_question() {
    for answer in [error("34000"), join(&[t(&[5]), error("42601")])] {
        let mut drive = Drive::showing();
        drive.bot(&join(&[q("DECLARE c CURSOR FOR DROP a"), q("SELECT 1")]));
        drive.take();
        drive.target(&join(&[done("SELECT 1"), z(b'I')]));
        drive.bot(&join(&[e("never"), e("later"), sync()]));
        drive.target(&join(&[answer, z(b'I')]));
        let heard = drive.heard();
        assert!(heard.ends_with("E(34000) Z(I)"), "{heard}");
        let bot = String::from_utf8_lossy(&drive.seen.to_bot).into_owned();
        assert!(bot.contains("no drops"), "{bot}");
        assert!(drive.machine.idle());
    }
}

#[test]
fn a_portal_in_parts_is_described_for_each() {
    let mut drive = Drive::showing();
    drive.bot(&join(&[p("", "SELECT 1"), b("c", ""), e("c"), flush()]));
    drive.target(&join(&[ok("12"), t(&[5]), d(&["secret"]), ok("s")]));
    drive.bot(&join(&[e("c"), e("c"), sync()]));
    assert_eq!(drive.got(), "P B D E H D E D E S");
    drive.target(&join(&[t(&[5]), d(&["secret"]), ok("s"), t(&[5]), done("SELECT 0"), z(b'T')]));
    assert_eq!(drive.heard(), "1 2 D s D s C Z(T)");
    assert_eq!(told(&drive), column(&["[gone]!", "[gone]!"]));
}

#[test]
fn portals_that_take_turns_keep_their_own_columns() {
    let mut drive = Drive::showing();
    drive.bot(&join(&[p("s", "SELECT 1"), p("u", "SELECT 2"), b("a", "s"), b("b", "u")]));
    drive.bot(&join(&[e("a"), e("b"), e("a"), e("b"), sync()]));
    assert_eq!(drive.got(), "P P B B D E D E D E D E S");
    let turn = |table, value| join(&[t(&[table]), d(&[value]), ok("s")]);
    drive.target(&join(&[ok("1122"), turn(5, "secret"), turn(6, "b"), turn(5, "a")]));
    drive.target(&join(&[turn(6, "secret"), z(b'T')]));
    assert_eq!(drive.heard(), "1 1 2 2 D s D s D s D s Z(T)");
    let tables = [(3, vec![5]), (4, vec![6]), (3, vec![5]), (4, vec![6])];
    assert_eq!(drive.editing().tables, tables);
}

#[test]
fn a_name_bound_anew_in_a_batch_has_new_columns() {
    for name in ["", "c"] {
        let mut drive = Drive::showing();
        drive.bot(&join(&[p("s", "SELECT 1"), p("u", "SELECT 2"), b(name, "s"), dp(name)]));
        drive.bot(&join(&[e(name), b(name, "u"), e(name), sync()]));
        assert_eq!(drive.got(), "P P B D E B D E S");
        drive.target(&join(&[ok("112"), t(&[5]), d(&["a"]), done("A"), ok("2")]));
        drive.target(&join(&[t(&[6, 6]), d(&["secret", "x"]), done("B"), z(b'I')]));
        assert_eq!(drive.heard(), "1 1 2 T D C 2 D C Z(I)");
        assert_eq!(drive.editing().tables, [(3, vec![5]), (4, vec![6, 6])]);
        assert_eq!(drive.seen.fault, None);
    }
}

#[test]
fn a_cursor_that_sql_declared_is_described_for_each_execute() {
    let mut drive = Drive::showing();
    for name in ["c", "d"] {
        drive.bot(&q(&format!("DECLARE {name} CURSOR FOR SELECT 1")));
        drive.target(&join(&[done("DECLARE CURSOR"), z(b'T')]));
    }
    drive.take();
    drive.bot(&join(&[e("c"), e("d"), e("c"), sync()]));
    assert_eq!(drive.got(), "D E D E D E S");
    drive.target(&join(&[t(&[5]), d(&["secret"]), ok("s"), t(&[6]), d(&["b"]), ok("s")]));
    drive.target(&join(&[t(&[5]), d(&["secret"]), ok("s"), z(b'T')]));
    assert_eq!(drive.heard(), "D s D s D s Z(T)");
    let tables: Vec<u32> = drive.editing().tables.iter().map(|(_, tables)| tables[0]).collect();
    assert_eq!(tables, [5, 6, 5]);
}

/// The server closes portals by SQL, and gives their names to cursors.
#[test]
fn a_cursor_in_the_place_of_a_portal_is_judged_and_shown_as_itself() {
    let mut drive = Drive::showing();
    drive.bot(&join(&[p("", "SELECT 1"), b("c", ""), dp("c"), e("c"), sync()]));
    drive.target(&join(&[ok("12"), t(&[FREE]), d(&["secret"]), ok("s"), z(b'T')]));
    drive.bot(&q("CLOSE c; DECLARE c CURSOR FOR SELECT secrets"));
    drive.target(&join(&[done("CLOSE CURSOR"), done("DECLARE CURSOR"), z(b'T')]));
    drive.take();
    drive.bot(&join(&[e("c"), sync()]));
    assert_eq!(drive.take().1, "D E S");
    let asked = drive.seen.asked.last().unwrap().clone();
    assert!(asked.known && asked.text.contains("secrets"), "{asked:?}");
    drive.target(&join(&[t(&[5]), d(&["secret"]), ok("s"), z(b'T')]));
    assert_eq!(told(&drive), column(&["[gone]!"]));
    assert_eq!(drive.editing().tables, [(2, vec![FREE]), (4, vec![5])]);
}

/// Code inside the server can do the same without a word of it in the text.
#[test]
fn a_description_is_not_believed_once_something_else_has_run() {
    let mut drive = Drive::showing();
    drive.bot(&join(&[p("", "SELECT 1"), b("c", ""), dp("c"), pbe("SELECT f()"), e("c"), sync()]));
    assert_eq!(drive.got(), "P B D P B D E D E S");
    drive.target(&join(&[ok("12"), t(&[FREE]), ok("12"), t(&[0]), d(&["x"]), done("SELECT 1")]));
    drive.target(&join(&[t(&[5]), d(&["secret"]), done("SELECT 1"), z(b'T')]));
    assert_eq!(drive.heard(), "1 2 T 1 2 D C D C Z(T)");
    assert_eq!(told(&drive), column(&["x", "[gone]!"]));
}

#[test]
fn the_rest_of_a_result_that_passes_is_relayed_and_the_next_is_shown() {
    let mut drive = Drive::showing();
    drive.bot(&q("SELECT 1; SELECT 2"));
    drive.target(&join(&[t(&[FREE]), d(&["secret"]), d(&["secret"])]));
    drive.target(&join(&[d(&["secret"]), done("SELECT 3")]));
    drive.target(&join(&[t(&[5]), d(&["secret"]), done("SELECT 1"), z(b'I')]));
    assert_eq!(drive.editing().tables, [(1, vec![FREE]), (1, vec![5])]);
    assert_eq!(told(&drive).last().unwrap(), &["[gone]!"]);
    assert_eq!(told(&drive)[2], ["secret"], "nobody looked at it");
}

#[test]
fn a_passing_part_of_a_portal_says_nothing_of_the_next_portal() {
    let mut drive = Drive::showing();
    drive.bot(&join(&[p("s", "SELECT 1"), b("a", "s"), b("b", "s"), e("a"), e("b"), sync()]));
    drive.target(&join(&[ok("122"), t(&[FREE]), d(&["a"]), d(&["secret"]), ok("s")]));
    drive.target(&join(&[t(&[5]), d(&["secret"]), done("SELECT 1"), z(b'I')]));
    assert_eq!(told(&drive), column(&["a", "secret", "[gone]!"]));
    assert_eq!(drive.editing().tables, [(2, vec![FREE]), (3, vec![5])]);
}

#[test]
fn a_limit_of_rows_cuts_a_result_that_is_shown() {
    let mut drive = Drive::showing();
    drive.limit_rows(2);
    drive.bot(&q("SELECT 1; SELECT 2"));
    let rows = join(&[d(&["secret"]), d(&["b"]), d(&["secret"]), d(&["d"])]);
    drive.target(&join(&[t(&[5]), rows, error("57014"), z(b'I')]));
    assert_eq!(drive.heard(), "T D D E(54000) Z(I)");
    assert_eq!(told(&drive), column(&["[gone]!", "b"]));
    assert_eq!(drive.cancels_wanted, 1);
}

#[test]
fn a_limit_of_rows_holds_for_a_portal_that_we_described() {
    let mut drive = Drive::showing();
    drive.limit_rows(1);
    drive.bot(&join(&[pbe("SELECT 1"), pbe("SELECT 2"), sync()]));
    drive.target(&join(&[ok("12"), t(&[5]), d(&["secret"]), d(&["b"]), done("SELECT 2")]));
    drive.target(&join(&[ok("12"), t(&[5]), d(&["c"]), done("SELECT 1"), z(b'I')]));
    assert_eq!(drive.heard(), "1 2 D E(54000) Z(I)");
    assert!(drive.machine.idle());
}

#[test]
fn a_limit_of_masked_cells_withholds_the_row_that_goes_past_it() {
    let mut drive = Drive::showing();
    drive.limit_masked(3);
    for number in [1, 2] {
        drive.bot(&q("SELECT 1"));
        let rows = [["secret", "a"], ["b", "-"], ["secret-null", "secret"], ["secret", "c"]];
        let rows = join(&rows.map(|row| d(&row)));
        drive.target(&join(&[t(&[5, 5]), rows, d(&["d", "e"]), error("57014"), z(b'I')]));
        assert_eq!(drive.heard(), "T D D D E(54000) Z(I)");
        assert_eq!(told(&drive), [["[gone]!", "a"], ["b", "-"], ["-", "[gone]!"]]);
        assert_eq!(drive.cancels_wanted, number);
        let (ended, outcome) = drive.seen.ended.last().unwrap();
        assert_eq!((*ended, outcome.rows), (u64::from(number), 3));
        let told_bytes = drive.seen.to_bot.len() as u64;
        assert_eq!(outcome.answer_bytes, told_bytes, "what is withheld does not count");
        drive.take();
    }
    assert!(drive.machine.idle());
}

#[test]
fn as_many_masked_cells_as_the_limit_says_pass() {
    let mut drive = Drive::showing();
    drive.limit_masked(2);
    drive.bot(&q("SELECT 1"));
    let rows = join(&[d(&["secret"]), d(&["b"]), d(&["secret-null"]), d(&["c"]), d(&["-"])]);
    drive.target(&join(&[t(&[5]), rows, done("SELECT 5"), z(b'I')]));
    assert_eq!(drive.heard(), "T D D D D D C Z(I)");
    drive.bot(&q("SELECT 2"));
    drive.target(&join(&[t(&[5, 5, 5]), d(&["secret", "secret", "secret"])]));
    assert_eq!(drive.heard(), "T D D D D D C Z(I) T", "the first row may be too much");
    drive.target(&join(&[d(&["a", "b", "c"]), error("57014"), z(b'I')]));
    assert_eq!(drive.heard(), "T D D D D D C Z(I) T E(54000) Z(I)");
}

#[test]
fn a_portals_masked_cells_count_in_all_its_parts() {
    let mut drive = Drive::showing();
    drive.limit_masked(2);
    drive.bot(&join(&[p("", "SELECT 1"), b("c", ""), e("c"), e("c"), e("c"), sync()]));
    let part = || join(&[t(&[5]), d(&["secret"]), ok("s")]);
    drive.target(&join(&[ok("12"), part(), t(&[5]), d(&["secret"]), ok("s")]));
    drive.target(&join(&[t(&[5]), d(&["secret"]), error("57014"), z(b'I')]));
    assert_eq!(drive.heard(), "1 2 D s D s E(54000) Z(I)");
}

#[test]
fn words_and_labels_are_no_cells() {
    let mut drive = Drive::showing();
    drive.limit_masked(1);
    drive.bot(&q("SELECT 1"));
    let notice = frame(b'N', b"SNOTICE\0C01000\0Msecret\0Dsecret\0\0");
    drive.target(&join(&[notice.clone(), t(&[5]), notice, d(&["secret"]), done("SELECT 1")]));
    drive.target(&z(b'I'));
    assert_eq!(drive.heard(), "N T N D C Z(I)");
}

#[test]
fn a_limit_of_bytes_counts_what_the_target_sends() {
    let sent = join(&[t(&[5]), d(&["secret-short"]), d(&["secret-short"])]).len();
    let last = d(&["x"]);
    for (bytes, heard) in
        [(sent + last.len() - 1, "T D D E(54000) Z(I)"), (sent + last.len(), "T D D D C Z(I)")]
    {
        let rows = [d(&["secret-short"]), d(&["secret-short"]), last.clone()];
        let pieces = [vec![t(&[5])], rows.to_vec(), vec![done("SELECT 3"), z(b'I')]].concat();
        for pieces in [vec![pieces.concat()], pieces] {
            let mut drive = Drive::showing();
            drive.limit_bytes(bytes);
            drive.bot(&q("SELECT 1"));
            pieces.iter().for_each(|piece| drive.target(piece));
            assert_eq!(drive.heard(), heard, "{bytes} bytes in {} pieces", pieces.len());
            assert_eq!(told(&drive)[0], ["*"]);
        }
    }
}

#[test]
fn words_too_long_to_be_looked_at_do_not_go_on() {
    let long = |tag, letter| {
        let text = "x".repeat(SHOWN_WORDS_BYTES_MAX);
        frame(tag, format!("SERROR\0VERROR\0C22012\0{letter}{text}\0\0").as_bytes())
    };
    let mut drive = Drive::showing();
    drive.bot(&join(&[pbe("SELECT 1"), sync()]));
    drive.target(&long(b'N', 'M'));
    drive.target(&frame(b'A', &[0; SHOWN_WORDS_BYTES_MAX + 1]));
    drive.target(&join(&[ok("12"), t(&[5]), long(b'E', 'D'), z(b'I')]));
    assert_eq!(drive.heard(), "1 2 E(54000) Z(I)");
    assert!(drive.seen.to_bot.len() < 1000);
    assert!(drive.machine.idle());
}

#[test]
fn an_error_is_shown_with_what_it_is_about() {
    let mut drive = Drive::showing();
    drive.target(&frame(b'N', b"SNOTICE\0\0"));
    drive.bot(&join(&[q("SELECT 1"), p("", "SELECT 2"), sync(), pbe("SELECT 3"), sync()]));
    drive.target(&join(&[error("22012"), z(b'I'), error("42703"), z(b'I')]));
    drive.target(&join(&[ok("1"), error("22003"), z(b'I')]));
    drive.bot(&join(&[pbe("SELECT 4"), sync()]));
    drive.target(&join(&[ok("12"), t(&[5]), done("SELECT 0"), error("23505"), z(b'I')]));
    let expected =
        [Cause::Nothing, Cause::Command(1), Cause::Nothing, Cause::Command(4), Cause::End];
    assert_eq!(drive.editing().causes, expected);
    assert_eq!(drive.seen.fault, None);
}

#[test]
fn a_lying_target_gets_nothing_through() {
    let before = || join(&[pbe("SELECT 1"), sync()]);
    let lies: Vec<(&str, Vec<u8>, Vec<u8>)> = vec![
        ("a row before its description", q("SELECT 1"), d(&["secret"])),
        ("a row of a portal before ours", before(), join(&[ok("12"), d(&["secret"])])),
        ("a row behind no rows", before(), join(&[ok("12n"), d(&["secret"])])),
        ("too few cells", q("SELECT 1"), join(&[t(&[5, 5]), d(&["secret"])])),
        ("too many cells", q("SELECT 1"), join(&[t(&[5]), d(&["a", "secret"])])),
        ("a cell too long", q("SELECT 1"), {
            join(&[t(&[5]), frame(b'D', &[0, 1, 0, 0, 0, 9, b's', b'e'])])
        }),
        ("a cell of an impossible length", q("SELECT 1"), {
            join(&[t(&[5]), frame(b'D', &[0, 1, 255, 255, 255, 254])])
        }),
        ("bytes behind the cells", q("SELECT 1"), {
            join(&[t(&[5]), frame(b'D', &[0, 1, 0, 0, 0, 1, b'a', b's'])])
        }),
        ("an old description", q("SELECT 1"), {
            join(&[t(&[5]), done("SELECT 0"), d(&["secret"])])
        }),
        ("a description that is cut", q("SELECT 1"), frame(b'T', &[0, 1, b'a', 0, 0])),
        ("a description of an unknown format", q("SELECT 1"), {
            let mut lie = t(&[5]);
            *lie.last_mut().unwrap() = 2;
            lie
        }),
        ("an error without an end", q("SELECT 1"), frame(b'E', b"SERROR\0Msecret\0")),
    ];
    for (name, asked, lie) in lies {
        let mut drive = Drive::showing();
        drive.bot(&asked);
        drive.target(&lie);
        assert!(drive.seen.fault.is_some(), "{name}");
        let text = String::from_utf8_lossy(&drive.seen.to_bot).into_owned();
        assert!(!text.contains("secret"), "{name}: {text}");
    }
}
