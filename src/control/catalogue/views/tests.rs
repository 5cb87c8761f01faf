use super::*;
use crate::mask::catalogue::Attribute;

fn view(reads: &[(u32, i16)], columns: i16) -> Relation {
    let column = |number: i16| Attribute {
        number,
        name: format!("c{number}").into(),
        type_oid: 25,
        typmod: -1,
        dropped: false,
        samples: false,
        source: Source::Computed,
    };
    Relation {
        oid: 20_000,
        schema: "public".into(),
        name: "v".into(),
        kind: Kind::View,
        columns: (1..=columns).map(column).collect(),
        parents: Vec::new(),
        reads: reads.to_vec(),
        whole_rows: false,
    }
}

fn lesson(text: &str, sources: &[Source]) -> Lesson {
    Lesson { text: text.to_owned(), sources: Some(sources.to_vec()) }
}

fn bare(relation: u32, number: i16) -> Source {
    Source::Bare { relation, number }
}

#[test]
fn a_source_that_the_view_is_not_noted_to_read_is_not_believed() {
    let mut view = view(&[(20_001, 1), (20_002, 2)], 4);
    let sources = [bare(20_001, 1), bare(20_001, 2), bare(20_003, 1), bare(1259, 2)];
    apply(&mut view, &lesson("SELECT", &sources), &[]);
    let learnt: Vec<_> = view.columns.iter().map(|column| column.source.clone()).collect();
    assert_eq!(learnt, [bare(20_001, 1), Source::Computed, Source::Computed, bare(1259, 2)]);
}

#[test]
fn a_text_of_another_width_is_not_believed() {
    let mut view = view(&[(20_001, 1)], 2);
    apply(&mut view, &lesson("SELECT", &[bare(20_001, 1)]), &[]);
    assert!(view.columns.iter().all(|column| column.source == Source::Computed));
}

#[test]
fn stars_and_statistics_show_in_the_text() {
    let samples = [Samples { name: "pg_statistic".into(), columns: vec![(2619, 27)] }];
    let mut view = view(&[], 1);
    apply(&mut view, &lesson("SELECT to_json(c.*) AS j FROM customers c", &[]), &samples);
    assert!(view.whole_rows);
    assert!(view.reads.is_empty());
    apply(&mut view, &lesson("SELECT stavalues1 AS v FROM pg_statistic", &[]), &samples);
    assert!(!view.whole_rows);
    assert_eq!(view.reads, [(2619, 27)]);
}
