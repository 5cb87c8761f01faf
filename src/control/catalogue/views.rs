//! Where the columns of views come from. The server itself says so: it is given a view's own text
//! to prepare, never to run, and describes what the answer would bear.
//!
//! What a view shows through an expression, and any view whose text this role may not prepare,
//! stays computed. A reading reuses what an earlier one learnt from the same text.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio_postgres::types::Type as SqlType;
use tokio_postgres::{Client, Column};

use crate::control::catalogue::read::SAMPLES;
use crate::limits::{
    CATALOGUE_VIEW_BYTES_MAX, CATALOGUE_VIEWS_AT_ONCE, CATALOGUE_VIEWS_MAX, CATALOGUE_VIEWS_MS_MAX,
};
use crate::mask::catalogue::{Kind, Raw, Relation, Source, USER_OID_FIRST};

/// What was learnt of views, by oid.
#[derive(Default)]
pub(super) struct Learnt(HashMap<u32, Arc<Lesson>>);

struct Lesson {
    text: String,
    /// `None` where the server did not describe it.
    sources: Option<Vec<Source>>,
}

/// Fills in the sources of views. Never fails: what cannot be learnt stays as strict as it is.
pub(super) async fn learn(client: &Arc<Client>, raw: &mut Raw, before: &Learnt) -> Learnt {
    let views: Vec<u32> =
        raw.relations.iter().filter(|one| is_view(one)).map(|one| one.oid).collect();
    if views.len() > CATALOGUE_VIEWS_MAX {
        tracing::warn!(
            views = views.len(),
            most = CATALOGUE_VIEWS_MAX,
            "too many views to look into: the columns of the others count as computed"
        );
    }
    let mut learnt = Learnt::default();
    let asking = ask(client, &views, before, &mut learnt);
    let within = Duration::from_millis(CATALOGUE_VIEWS_MS_MAX);
    if tokio::time::timeout(within, asking).await.is_err() {
        tracing::warn!(
            looked_into = learnt.0.len(),
            views = views.len(),
            "no time for all views: the columns of the others count as computed"
        );
    }
    let samples = samples(raw);
    for view in raw.relations.iter_mut().filter(|one| is_view(one)) {
        match learnt.0.get(&view.oid) {
            Some(lesson) => apply(view, lesson, &samples),
            // Nobody knows whether it holds whole rows.
            None => view.whole_rows = true,
        }
    }
    learnt
}

fn is_view(relation: &Relation) -> bool {
    let view = matches!(relation.kind, Kind::View | Kind::MaterializedView);
    view && relation.oid >= USER_OID_FIRST
}

async fn ask(client: &Arc<Client>, views: &[u32], before: &Learnt, learnt: &mut Learnt) {
    let mut left = views.iter().take(CATALOGUE_VIEWS_MAX);
    let mut asked = JoinSet::new();
    loop {
        while asked.len() < CATALOGUE_VIEWS_AT_ONCE
            && let Some(view) = left.next()
        {
            let (client, view) = (Arc::clone(client), *view);
            let known = before.0.get(&view).cloned();
            asked.spawn(async move { (view, look_into(&client, view, known).await) });
        }
        match asked.join_next().await {
            Some(Ok((view, Some(lesson)))) => drop(learnt.0.insert(view, lesson)),
            Some(Ok((_, None)) | Err(_)) => {}
            None => return,
        }
    }
}

async fn look_into(client: &Client, view: u32, known: Option<Arc<Lesson>>) -> Option<Arc<Lesson>> {
    let longest = i32::try_from(CATALOGUE_VIEW_BYTES_MAX).unwrap_or(i32::MAX);
    let sql = "SELECT d FROM pg_get_viewdef($1::oid) d WHERE octet_length(d) <= $2";
    let parameters: [(&(dyn tokio_postgres::types::ToSql + Sync), SqlType); 2] =
        [(&view, SqlType::OID), (&longest, SqlType::INT4)];
    let rows = client.query_typed(sql, &parameters).await.ok()?;
    let text: String = rows.first()?.try_get(0).ok()?;
    if let Some(known) = known.filter(|known| known.sources.is_some() && known.text == text) {
        return Some(known);
    }
    let prepared = client.prepare(&text).await;
    let sources = prepared.ok().map(|prepared| prepared.columns().iter().map(source).collect());
    Some(Arc::new(Lesson { text, sources }))
}

fn source(column: &Column) -> Source {
    match column.table_oid() {
        Some(relation) => Source::Bare { relation, number: column.column_id().unwrap_or(0) },
        None => Source::Computed,
    }
}

fn apply(view: &mut Relation, lesson: &Lesson, samples: &[Samples]) {
    // The server writes a whole row as `name.*` and expands all other stars; and it keeps no note
    // of a whole row beside columns of the same relation.
    view.whole_rows = lesson.text.contains(".*");
    // Nor does it of its oldest relations.
    for held in samples.iter().filter(|held| lesson.text.contains(&*held.name)) {
        view.reads.extend_from_slice(&held.columns);
    }
    let Some(sources) = &lesson.sources else { return };
    let live = view.columns.iter_mut().filter(|column| !column.dropped);
    if sources.len() == live.count() {
        let live = view.columns.iter_mut().filter(|column| !column.dropped);
        for (column, source) in live.zip(sources) {
            if is_read(source, &view.reads) {
                column.source = source.clone();
            }
        }
    }
}

/// Whether the server noted with the view itself that it reads this. Names in its text may have
/// passed to another table between one look and the other.
fn is_read(source: &Source, reads: &[(u32, i16)]) -> bool {
    match source {
        Source::Bare { relation, .. } if *relation < USER_OID_FIRST => true,
        Source::Bare { relation, number } => {
            reads.iter().any(|(of, column)| of == relation && (*number <= 0 || column == number))
        }
        Source::Own | Source::Computed | Source::Generated(_) => true,
    }
}

/// A relation that holds samples of others.
struct Samples {
    name: Box<str>,
    /// Where in it they lie, as a view reads them.
    columns: Vec<(u32, i16)>,
}

fn samples(raw: &Raw) -> Vec<Samples> {
    let system = raw.relations.iter().filter(|relation| relation.oid < USER_OID_FIRST);
    let holders = system.filter(|relation| SAMPLES.contains(&&*relation.name));
    let samples = holders.map(|relation| {
        let columns = relation.columns.iter().filter(|column| column.samples);
        let columns = columns.map(|column| (relation.oid, column.number)).collect();
        Samples { name: relation.name.clone(), columns }
    });
    samples.collect()
}

#[cfg(test)]
mod tests;
