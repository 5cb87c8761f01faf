use super::*;

fn table(names: &[&str]) -> Table {
    let mut table = Table::new(&[("NAME", Align::Left), ("N", Align::Right), ("END", Align::Left)]);
    for (index, name) in names.iter().enumerate() {
        let number = 10_usize.pow(index as u32).to_string();
        table.row([Cell::from(*name), Cell::coloured(number, Colour::Red), Cell::from("|")]);
    }
    table
}

#[test]
fn columns_align_whatever_their_script() {
    let rendered = table(&["abc", "für", "表計算", "e\u{301}"]).render(Paint::Plain);
    let expected = "NAME       N  END\n\
                    abc        1  |\n\
                    für       10  |\n\
                    表計算   100  |\n\
                    e\u{301}       1000  |\n";
    assert_eq!(rendered, expected);
    let ends: Vec<usize> =
        rendered.lines().skip(1).map(|line| text::width(line.split_once('|').unwrap().0)).collect();
    assert!(ends.iter().all(|end| *end == ends[0]), "{ends:?}");
}

#[test]
fn colour_changes_no_column() {
    let plain = table(&["a", "bb"]).render(Paint::Plain);
    let mut coloured = table(&["a", "bb"]).render(Paint::Coloured);
    assert_ne!(plain, coloured);
    for code in ["\u{1b}[31m", "\u{1b}[1m", "\u{1b}[0m"] {
        coloured = coloured.replace(code, "");
    }
    assert_eq!(plain, coloured);
}

#[test]
fn a_cell_cannot_pretend_to_be_a_row() {
    let rendered = table(&["x\n0193 admin\u{1b}[1A\u{202e}"]).render(Paint::Plain);
    assert_eq!(rendered.lines().count(), 2);
    assert!(!rendered.contains('\u{1b}') && !rendered.contains('\u{202e}'));
}

#[test]
fn empty_cells_leave_no_blanks_at_a_line_end() {
    let mut table = Table::new(&[("A", Align::Left), ("B", Align::Right)]);
    table.row([Cell::from("x"), Cell::from("")]);
    table.row([Cell::from(""), Cell::from("yy")]);
    table.row([]);
    assert_eq!(table.render(Paint::Plain), "A   B\nx\n   yy\n\n");
}
