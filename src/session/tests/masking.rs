//! Masks at work: what the bot gets, what it may not send, and what is recorded of both.

use super::splits::Cut;
use super::*;
use crate::mask::catalogue::{Attribute, Catalogue, Kind, Raw, Relation, Source};
use crate::wire::postgres::tests::showing::{d, values};

const SECRET: &str = "alice.liddell@wonderland.example";
const CARD: &str = "4111111111111111";
const PEOPLE: u32 = 20_000;
const PRODUCTS: u32 = 20_001;
const TEXT: u32 = 25;
const INT4: u32 = 23;

impl House {
    /// Bots are admitted with masks on a table of people.
    pub fn masked() -> Self {
        let mut house = Self { admits: "masked", ..Self::new() };
        let masks = house.policy("masked").masks().unwrap().clone();
        let people = relation(PEOPLE, "people", &[("id", INT4), ("email", TEXT), ("pin", INT4)]);
        let products = relation(PRODUCTS, "products", &[("id", INT4), ("name", TEXT)]);
        let raw = Raw { relations: vec![people, products], types: Vec::new() };
        let catalogue =
            Catalogue::build(&raw, &|schema, table, column| masks.column(schema, table, column));
        house.catalogue = Some(Arc::new(Cell::new(Arc::new(catalogue), || {})));
        house
    }
}

fn relation(oid: u32, name: &str, columns: &[(&str, u32)]) -> Relation {
    let columns = (1..).zip(columns).map(|(number, (name, type_oid))| Attribute {
        number,
        name: (*name).into(),
        type_oid: *type_oid,
        typmod: -1,
        dropped: false,
        samples: false,
        source: Source::Own,
    });
    Relation {
        oid,
        schema: "public".into(),
        name: name.into(),
        kind: Kind::Table,
        columns: columns.collect(),
        parents: Vec::new(),
        reads: Vec::new(),
        whole_rows: false,
    }
}

/// A description of columns: table, attribute, type, format.
fn described(columns: &[(u32, i16, u32, u16)]) -> Vec<u8> {
    let mut body = (columns.len() as u16).to_be_bytes().to_vec();
    for (table, attribute, type_oid, format) in columns {
        body.extend(b"x\0");
        body.extend(table.to_be_bytes());
        body.extend(attribute.to_be_bytes());
        body.extend(type_oid.to_be_bytes());
        body.extend([255; 6]);
        body.extend(format.to_be_bytes());
    }
    pg::frame(b'T', &body)
}

const EMAIL: (u32, i16, u32, u16) = (PEOPLE, 2, TEXT, 0);
const NAME: (u32, i16, u32, u16) = (PRODUCTS, 2, TEXT, 0);
const COMPUTED: (u32, i16, u32, u16) = (0, 0, TEXT, 0);

fn result(columns: &[(u32, i16, u32, u16)], rows: &[&[&str]]) -> Vec<u8> {
    let count = rows.len();
    let rows: Vec<u8> = rows.iter().flat_map(|row| d(row)).collect();
    [described(columns), rows, pg::done(&format!("SELECT {count}")), pg::z(b'I')].concat()
}

impl Visit<'_> {
    /// The rows that the bot gets of a query's result.
    fn rows(
        &mut self,
        text: &str,
        columns: &[(u32, i16, u32, u16)],
        rows: &[&[&str]],
    ) -> Vec<Vec<String>> {
        self.bot(&pg::q(text));
        assert_eq!(self.seen.got(), "Q", "{text} was refused: {}", self.refusal());
        self.target(&result(columns, rows));
        assert_eq!(self.seen.closed, None, "{text}");
        let told = values(&self.seen.to(Leg::Downstream));
        self.seen.forwarded.clear();
        told
    }

    fn refusal(&self) -> String {
        String::from_utf8_lossy(&self.seen.to(Leg::Downstream)).into_owned()
    }

    fn is_refused(&mut self, text: &str) -> bool {
        self.bot(&pg::q(text));
        let refused = self.seen.got().is_empty() && self.seen.heard() == "E(42501) Z(I)";
        if !refused {
            self.target(&[pg::done("SELECT 0"), pg::z(b'I')].concat());
        }
        self.seen.forwarded.clear();
        refused
    }
}

#[test]
fn a_protected_column_is_masked_in_both_formats_whatever_it_is_called() {
    let house = House::masked();
    let mut visit = house.open();
    let told = visit.rows("SELECT email AS x FROM people", &[EMAIL], &[&[SECRET], &["-"]]);
    assert_eq!(told, [["[redacted]"], ["-"]]);
    let binary = (PEOPLE, 2, TEXT, 1);
    let told = visit.rows("SELECT email AS x FROM people", &[binary], &[&[SECRET]]);
    assert_eq!(told, [["[redacted]"]]);
    let columns = [(PEOPLE, 1, INT4, 1), (PEOPLE, 3, INT4, 1), NAME];
    let told = visit.rows("SELECT * FROM people, products", &columns, &[&["\0\0\0\x07"; 3]]);
    assert_eq!(told, [["\0\0\0\x07", "-", "\0\0\0\x07"]]);
}

#[test]
fn every_result_of_a_text_has_its_own_masks() {
    let house = House::masked();
    let mut visit = house.open();
    visit.bot(&pg::q("SELECT name FROM products; SELECT email FROM people"));
    let (one, two) = (result(&[NAME], &[&["tea"]]), result(&[EMAIL], &[&[SECRET]]));
    visit.target(&[&one[..one.len() - 6], &two].concat());
    assert_eq!(values(&visit.seen.to(Leg::Downstream)), [["tea"], ["[redacted]"]]);
}

#[test]
fn a_portal_that_nobody_described_is_masked() {
    let house = House::masked();
    let mut visit = house.open();
    visit.bot(&[pg::pbe("SELECT email FROM people"), pg::sync()].concat());
    assert_eq!(visit.seen.got(), "P B D E S");
    visit.target(&[pg::ok("12"), result(&[EMAIL], &[&[SECRET]])].concat());
    assert_eq!(visit.seen.heard(), "1 2 D C Z(I)");
    assert_eq!(values(&visit.seen.to(Leg::Downstream)), [["[redacted]"]]);
}

#[test]
fn a_cursor_in_a_portals_place_is_masked() {
    let house = House::masked();
    let mut visit = house.open();
    visit.bot(&[pg::p("", "SELECT upper(name) FROM products"), pg::b("c", "")].concat());
    visit.bot(&[pg::e("c"), pg::sync()].concat());
    let part = |value| [described(&[COMPUTED]), d(&[value]), pg::ok("s"), pg::z(b'T')].concat();
    visit.target(&[pg::ok("12"), part("TEA")].concat());
    visit.bot(&pg::q("CLOSE c; DECLARE c CURSOR FOR SELECT upper(email) FROM people"));
    let done = [pg::done("CLOSE CURSOR"), pg::done("DECLARE CURSOR"), pg::z(b'T')].concat();
    visit.target(&done);
    visit.bot(&[pg::e("c"), pg::sync()].concat());
    visit.target(&part(SECRET));
    let told = values(&visit.seen.to(Leg::Downstream));
    assert_eq!(told, [["TEA"], ["[redacted]"]]);
}

#[test]
fn what_is_computed_from_a_protected_column_is_withheld() {
    let house = House::masked();
    let mut visit = house.open();
    for text in ["SELECT upper(email) FROM people", "SELECT p::text FROM people p"] {
        assert_eq!(visit.rows(text, &[COMPUTED], &[&[SECRET]]), [["[redacted]"]], "{text}");
    }
    let count = (0, 0, 20, 0);
    assert_eq!(visit.rows("SELECT count(*) FROM people", &[count], &[&["7"]]), [["7"]]);
    assert_eq!(visit.rows("SELECT upper(name) FROM products", &[COMPUTED], &[&["A"]]), [["A"]]);
}

#[test]
fn a_value_that_looks_protected_is_replaced_where_it_stands() {
    let house = House::masked();
    let mut visit = house.open();
    let row = format!("card {CARD}.");
    let told = visit.rows("SELECT name FROM products", &[NAME], &[&[&row], &["tea"]]);
    assert_eq!(told, [["card [redacted]."], ["tea"]]);
}

fn failed(code: &str, message: &str, detail: &str) -> Vec<u8> {
    let fields = format!("SERROR\0VERROR\0C{code}\0M{message}\0D{detail}\0Wat {detail}\0\0");
    pg::frame(b'E', fields.as_bytes())
}

#[test]
fn an_error_that_quotes_a_value_keeps_its_code_alone() {
    let house = House::masked();
    let mut visit = house.open();
    visit.bot(&pg::q("SELECT email::int FROM people"));
    let message = format!("invalid input syntax for type integer: \"{SECRET}\"");
    visit.target(&[failed("22P02", &message, SECRET), pg::z(b'I')].concat());
    assert_eq!(visit.seen.heard(), "E(22P02) Z(I)");
    assert!(!visit.refusal().contains(SECRET), "{}", visit.refusal());
    visit.seen.forwarded.clear();
    visit.bot(&pg::q("SELECT name::int FROM products"));
    visit.target(&[failed("22P02", "not a number: \"tea\"", "\"tea\""), pg::z(b'I')].concat());
    assert!(visit.refusal().contains("not a number: \"tea\""), "{}", visit.refusal());
}

#[test]
fn an_error_that_was_put_off_until_the_end_keeps_no_detail() {
    let house = House::masked();
    let detail = format!("Key (email)=({SECRET}) already exists.");
    let broken = || failed("23505", "a constraint is broken", &detail);
    let mut visit = house.open();
    visit.bot(&pg::q("COMMIT"));
    visit.target(&[broken(), pg::z(b'I')].concat());
    visit.bot(&[pg::pbe("UPDATE products SET id = 1"), pg::sync()].concat());
    visit.target(&[pg::ok("12n"), pg::done("UPDATE 1"), broken(), pg::z(b'I')].concat());
    assert_eq!(visit.seen.heard(), "E(23505) Z(I) 1 2 C E(23505) Z(I)");
    assert!(visit.refusal().contains("a constraint is broken"));
    assert!(!visit.refusal().contains(SECRET), "{}", visit.refusal());
}

#[test]
fn protected_values_are_not_written_elsewhere() {
    let house = House::masked();
    let mut visit = house.open();
    for text in [
        "INSERT INTO products SELECT id, email FROM people",
        "CREATE TABLE cheat AS SELECT email FROM people",
        "SELECT email INTO cheat FROM people",
        "UPDATE products SET name = (SELECT email FROM people LIMIT 1)",
        "CREATE VIEW cheat AS SELECT email FROM people",
    ] {
        assert!(visit.is_refused(text), "{text}");
    }
    for text in ["INSERT INTO products VALUES (1, 'tea')", "DELETE FROM people WHERE id = 1"] {
        assert!(!visit.is_refused(text), "{text}");
    }
}

#[test]
fn a_stand_in_is_not_written_back() {
    let house = House::masked();
    let mut visit = house.open();
    for text in [
        "UPDATE people SET email = '[redacted]' WHERE id = 1",
        "UPDATE people SET email = $$[redacted]$$ WHERE id = 1",
        "-- it's\nUPDATE people SET email = '[redacted]' WHERE id = 1",
        "INSERT INTO people VALUES (1, E'[redacted]', 2)",
    ] {
        assert!(visit.is_refused(text), "{text}");
    }
    assert!(!visit.is_refused("UPDATE people SET email = 'bob@example.org' WHERE id = 1"));
}

type Lines<'l> = &'l [&'l [u8]];

/// A copy of the table of people, as the target sends it in messages of its own.
fn copy(binary: u8, lines: Lines<'_>) -> Vec<u8> {
    let mut out = pg::frame(b'H', &[binary, 0, 3, 0, binary, 0, binary, 0, binary]);
    for line in lines {
        out.extend(pg::frame(b'd', line));
    }
    [out, pg::frame(b'c', b""), pg::done("COPY 1"), pg::z(b'I')].concat()
}

fn binary_lines(email: &[u8], pin: &[u8]) -> [Vec<u8>; 2] {
    let head = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0\0\x03\0\0\0\x04\0\0\0\x01";
    let length = (email.len() as u32).to_be_bytes();
    [[&head[..], &length, email, pin].concat(), vec![255, 255]]
}

#[test]
fn a_copy_of_a_protected_table_is_masked_in_every_form() {
    let house = House::masked();
    let mut visit = house.open();
    let text = format!("1\t{SECRET}\t1234\n");
    let csv = format!("1,\"{SECRET}\",1234\n");
    let null = (-1_i32).to_be_bytes();
    let pin = [0, 0, 0, 4, 0, 0, 4, 210];
    let [row, end] = binary_lines(SECRET.as_bytes(), &pin);
    let [told_row, told_end] = binary_lines(b"[redacted]", &null);
    let cases: [(&str, u8, Lines<'_>, Lines<'_>); 3] = [
        ("COPY people TO STDOUT", 0, &[text.as_bytes()], &[b"1\t[redacted]\t\\N\n"]),
        (
            "COPY people TO STDOUT (FORMAT csv, HEADER)",
            0,
            &[b"id,email,pin\n", csv.as_bytes()],
            &[b"id,email,pin\n", b"1,[redacted],\n"],
        ),
        ("COPY people TO STDOUT (FORMAT binary)", 1, &[&row, &end], &[&told_row, &told_end]),
    ];
    for (asked, binary, sent, told) in cases {
        visit.bot(&pg::q(asked));
        assert_eq!(visit.seen.got(), "Q", "{asked} was refused: {}", visit.refusal());
        visit.target(&copy(binary, sent));
        assert_eq!(visit.seen.to(Leg::Downstream), copy(binary, told), "{asked}");
        visit.seen.forwarded.clear();
    }
    assert_eq!(visit.seen.closed, None);
}

#[test]
fn a_copy_in_another_form_than_its_text_says_does_not_go_on() {
    let house = House::masked();
    let mut visit = house.open();
    visit.bot(&pg::q("COPY people TO STDOUT (FORMAT binary)"));
    visit.target(&copy(0, &[format!("1\t{SECRET}\t1\n").as_bytes()]));
    assert!(visit.seen.closed.is_some());
    assert!(!visit.refusal().contains(SECRET));
}

#[test]
fn only_what_the_bot_got_is_recorded() {
    let house = House::masked();
    let mut visit = house.open();
    visit.rows("SELECT email FROM people", &[EMAIL], &[&[SECRET]]);
    visit.bot(&pg::q("SELECT email::int FROM people"));
    visit.target(&[failed("22P02", SECRET, SECRET), pg::z(b'I')].concat());
    visit.bot(&pg::q("COPY people TO STDOUT"));
    visit.target(&copy(0, &[format!("1\t{SECRET}\t1\n").as_bytes()]));
    let heard = visit.seen.to(Leg::Downstream);
    visit.bot(&pg::frame(b'X', b""));
    let told = house.only().of(RunKind::Delivered);
    assert!(told.ends_with(&heard), "the recording differs from what the bot got");
    assert!(house.holds(b"[redacted]"));
    assert!(!house.holds(SECRET.as_bytes()));
    assert!(!house.holds(b"wonderland"));
}

#[test]
fn without_a_catalogue_nothing_runs() {
    let mut house = House::masked();
    house.catalogue = None;
    let mut visit = house.open();
    assert!(visit.is_refused("SELECT name FROM products"));
}

#[test]
fn a_reload_that_changes_the_masks_ends_the_session() {
    let house = House::masked();
    let mut visit = house.open();
    let policy = house.policy("masked");
    visit.handle(Input::PolicyChanged { policy, config_version: "v2".into(), bucket: None });
    assert_eq!(visit.seen.closed, None, "the masks are the same");
    let policy = house.policy("unmasked");
    visit.handle(Input::PolicyChanged { policy, config_version: "v3".into(), bucket: None });
    assert_eq!(visit.seen.closed, Some(CloseReason::Draining));
    let mut house = House::new();
    house.admits = "unmasked";
    let mut visit = house.open();
    let policy = house.policy("masked");
    visit.handle(Input::PolicyChanged { policy, config_version: "v2".into(), bucket: None });
    assert_eq!(visit.seen.closed, Some(CloseReason::Draining));
}

#[test]
fn past_the_limit_of_masked_cells_nothing_goes_on() {
    let mut house = House::masked();
    house.masked_max = Some(2);
    let mut visit = house.open();
    visit.bot(&pg::q("SELECT id, email FROM people"));
    let id = (PEOPLE, 1, INT4, 0);
    let rows: Vec<Vec<u8>> = ["1", "2", "3", "4"].iter().map(|id| d(&[id, SECRET])).collect();
    visit.target(&[described(&[id, EMAIL]), rows.concat()].concat());
    assert_eq!(visit.seen.cancelled.len(), 1, "the target is asked to stop");
    visit.target(&[pg::error("57014"), pg::z(b'I')].concat());
    visit.handle(Input::CancelDone);
    assert_eq!(visit.seen.heard(), "T D D E(54000) Z(I)");
    let told = visit.refusal();
    assert!(told.contains("the result has more than 2 masked cells; the rest is withheld"));
    assert!(told.contains("limits.masked of ci@shop"), "{told}");
    visit.seen.forwarded.clear();
    visit.bot(&pg::q("COPY people TO STDOUT"));
    let line = format!("1\t{SECRET}\t1234\n");
    let lines: Lines<'_> = &[line.as_bytes(), line.as_bytes()];
    let began = copy(0, lines);
    visit.target(&began[..began.len() - pg::done("COPY 1").len() - 6 - 5]);
    visit.target(&[pg::error("57014"), pg::z(b'I')].concat());
    visit.handle(Input::CancelDone);
    assert_eq!(visit.seen.heard(), "H d E(54000) Z(I)", "a value that becomes null counts too");
    visit.seen.forwarded.clear();
    assert_eq!(visit.rows("SELECT name FROM products", &[NAME], &[&["tea"][..]; 9]).len(), 9);
    visit.bot(&pg::frame(b'X', b""));
    let told = house.only();
    let rows: Vec<u64> = told.exchanges.iter().map(|exchange| exchange.rows).collect();
    assert_eq!(rows, [2, 0, 9]);
    assert_eq!(told.exchanges[0].error.as_deref(), Some("54000"));
    assert!(!house.holds(SECRET.as_bytes()));
}

/// Pictures are of no type that is searched, so that the rest of a row streams.
#[test]
fn a_large_value_streams_behind_a_stand_in_in_whatever_pieces_it_comes() {
    const BYTEA: u32 = 17;
    const PICTURE: (u32, i16, u32, u16) = (PRODUCTS, 1, BYTEA, 0);
    let large = "0".repeat(5 * 1024 * 1024);
    let answer = result(&[EMAIL, PICTURE], &[&[SECRET, &large], &[SECRET, "1"]]);
    let house = House::masked();
    let play = |sizes: &[usize]| {
        let mut visit = house.open();
        visit.bot(&pg::q("SELECT email, picture FROM people, products"));
        let (mut rest, mut sizes) = (&answer[..], sizes.iter().cycle());
        while !rest.is_empty() {
            let (piece, behind) = rest.split_at(rest.len().min(*sizes.next().unwrap()));
            visit.target(piece);
            rest = behind;
        }
        assert_eq!(visit.seen.closed, None);
        let told = visit.seen.to(Leg::Downstream);
        visit.bot(&pg::frame(b'X', b""));
        told
    };
    let whole = play(&[answer.len()]);
    assert!(values(&whole) == [["[redacted]", &large], ["[redacted]", "1"]]);
    for sizes in [&[16 * 1024][..], &[1, 40, 30, 100_000], &[77, 65_536, 3]] {
        assert!(play(sizes) == whole, "pieces of {sizes:?}");
    }
    assert!(!house.holds(SECRET.as_bytes()));
}

#[test]
fn a_large_value_that_is_searched_does_not_go_on() {
    let large = "0".repeat(5 * 1024 * 1024);
    let house = House::masked();
    let mut visit = house.open();
    visit.bot(&pg::q("SELECT email, name FROM people, products"));
    visit.target(&result(&[EMAIL, NAME], &[&["a", "b"], &[SECRET, &large]]));
    assert_eq!(visit.seen.heard(), "T D E(54000) Z(I)");
    assert_eq!(visit.seen.closed, None);
}

/// Turns with masks at work; each turn's bytes may come in any pieces.
fn conversation() -> Vec<(Leg, Vec<u8>)> {
    let card = format!("card {CARD}");
    let csv = format!("1,\"{SECRET}\",1234\n");
    let pin = [0, 0, 0, 4, 0, 0, 4, 210];
    let [row, end] = binary_lines(SECRET.as_bytes(), &pin);
    let refused = || [failed("22P02", SECRET, SECRET), pg::z(b'I')].concat();
    let rows = || result(&[EMAIL, NAME], &[&[SECRET, "tea"], &["-", &card], &["", ""]]);
    vec![
        (Leg::Downstream, pg::q("SELECT email, name FROM people, products")),
        (Leg::Upstream, rows()),
        (
            Leg::Downstream,
            [pg::pbe("SELECT email, name FROM people, products"), pg::sync()].concat(),
        ),
        (Leg::Upstream, [pg::ok("12"), rows()].concat()),
        (Leg::Downstream, pg::q("SELECT email::int FROM people")),
        (Leg::Upstream, refused()),
        (Leg::Downstream, pg::q("COPY people TO STDOUT")),
        (Leg::Upstream, copy(0, &[format!("1\t{SECRET}\t1\n").as_bytes(), b"\\N\ta\\tb\t2\n"])),
        (Leg::Downstream, pg::q("COPY people TO STDOUT (FORMAT csv)")),
        (Leg::Upstream, copy(0, &[csv.as_bytes(), b",\"a\nb\",\n"])),
        (Leg::Downstream, pg::q("COPY people TO STDOUT (FORMAT binary)")),
        (Leg::Upstream, copy(1, &[&row, &end])),
    ]
}

#[test]
fn a_cut_anywhere_changes_nothing_of_what_is_masked() {
    a_cut_changes_nothing(None, 11);
}

/// The target has completed each result before it could be asked to stop.
#[test]
fn a_cut_anywhere_changes_nothing_of_what_is_masked_up_to_a_limit() {
    a_cut_changes_nothing(Some(2), 7);
}

fn a_cut_changes_nothing(masked_max: Option<u64>, stand_ins: usize) {
    let mut house = House::masked();
    house.masked_max = masked_max;
    let play = |cut: Cut<'_>| {
        let mut visit = house.open();
        for (turn, (leg, bytes)) in conversation().into_iter().enumerate() {
            for piece in cut(turn, &bytes) {
                visit.receive(leg, &piece);
            }
            if !visit.seen.cancelled.is_empty() {
                visit.handle(Input::CancelDone);
            }
        }
        assert_eq!(visit.seen.closed, None);
        let (bot, target) = (visit.seen.to(Leg::Downstream), visit.seen.to(Leg::Upstream));
        visit.bot(&pg::frame(b'X', b""));
        (bot, target)
    };
    let whole = play(&|_, bytes| vec![bytes.to_vec()]);
    assert!(memchr::memmem::find(&whole.0, SECRET.as_bytes()).is_none());
    assert!(memchr::memmem::find(&whole.0, CARD.as_bytes()).is_none());
    assert_eq!(memchr::memmem::find_iter(&whole.0, b"[redacted]").count(), stand_ins);
    for size in [1, 2, 3, 7] {
        let pieces = |_, bytes: &[u8]| bytes.chunks(size).map(<[u8]>::to_vec).collect();
        assert_eq!(play(&pieces), whole, "pieces of {size}");
    }
    for (turn, (_, bytes)) in conversation().into_iter().enumerate() {
        for at in 1..bytes.len() {
            let cut = move |its: usize, bytes: &[u8]| match its == turn {
                true => vec![bytes[..at].to_vec(), bytes[at..].to_vec()],
                false => vec![bytes.to_vec()],
            };
            assert_eq!(play(&cut), whole, "turn {turn} cut at {at}");
        }
    }
}
