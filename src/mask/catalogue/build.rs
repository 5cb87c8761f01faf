//! From what was read to what is protected. Protection flows along the ways that values take: from
//! a table to its partitions and back, from columns to what is generated from them, from tables to
//! the views over them, from a table to columns that hold its rows.
//!
//! Each column has two places in the flow. The upper one is what rules say of it or of an ancestor
//! of its table; the lower one adds what its table's descendants say. They are apart so that a rule
//! about one partition speaks of the parent, which reads it, but not of its other partitions.

use std::collections::HashMap;

use foldhash::fast::RandomState;

use crate::mask::catalogue::raw::{Attribute, Kind, Raw, Relation, Source, TypeInfo, TypeKind};
use crate::mask::catalogue::{
    Catalogue, Known, KnownColumn, Named, Row, RowField, RowShape, State, Together, USER_OID_FIRST,
    samples_protection,
};
use crate::model::mask::{Protection, Strategy};

type Rules<'a> = &'a dyn Fn(&str, &str, &str) -> Option<Protection>;
type Map<V> = HashMap<u32, V, RandomState>;

pub(super) fn build(raw: &Raw, protect: Rules<'_>) -> Catalogue {
    let types: Map<TypeInfo> = raw.types.iter().map(|one| (one.oid, one.info.clone())).collect();
    let mut flow = Flow::new(raw);
    flow.apply(protect);
    flow.connect(&types);
    flow.settle();
    let relations: Map<Known> =
        raw.relations.iter().map(|relation| (relation.oid, flow.known(relation))).collect();
    let names = names(raw, &relations, &flow);
    Catalogue { unreadable: false, protections: flow.protections.into(), relations, names, types }
}

/// What is known of a place: the greatest of what flows into it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Load {
    unknown: bool,
    protection: Option<u32>,
}

struct Flow<'a> {
    raw: &'a Raw,
    by_oid: Map<&'a Relation>,
    /// The first place of each relation. That one is for the relation as a whole, then come two
    /// for each attribute number from 1 on.
    first: Map<usize>,
    loads: Vec<Load>,
    /// From where to where.
    edges: Vec<(usize, usize)>,
    protections: Vec<Protection>,
}

impl<'a> Flow<'a> {
    fn new(raw: &'a Raw) -> Self {
        let mut first = Map::default();
        let mut places = 0;
        for relation in &raw.relations {
            first.insert(relation.oid, places);
            places += 1 + 2 * width(relation);
        }
        Self {
            raw,
            by_oid: raw.relations.iter().map(|relation| (relation.oid, relation)).collect(),
            first,
            loads: vec![Load::default(); places],
            edges: Vec::new(),
            protections: Vec::new(),
        }
    }

    /// What the rules say themselves. Samples are protected as soon as anything is.
    fn apply(&mut self, protect: Rules<'_>) {
        let raw = self.raw;
        for relation in raw.relations.iter().filter(|relation| relation.is_named_by_rules()) {
            for column in live(relation) {
                if let Some(found) = protect(&relation.schema, &relation.name, &column.name) {
                    let place = self.intern(found);
                    self.pour(self.upper(relation.oid, column.number), place);
                }
            }
        }
        if self.protections.is_empty() {
            return;
        }
        let place = self.intern(samples_protection());
        for relation in &raw.relations {
            for column in live(relation).filter(|column| column.samples) {
                self.pour(self.upper(relation.oid, column.number), place);
            }
        }
    }

    fn connect(&mut self, types: &Map<TypeInfo>) {
        let raw = self.raw;
        for relation in &raw.relations {
            for column in live(relation) {
                self.edge(
                    self.upper(relation.oid, column.number),
                    self.lower(relation.oid, column.number),
                );
                self.edge(self.lower(relation.oid, column.number), self.whole(relation.oid));
                self.connect_source(relation, column);
                for row in rows_within(types, column.type_oid) {
                    self.edge(self.whole(row), self.lower(relation.oid, column.number));
                }
            }
            self.connect_reads(relation);
            for parent in &relation.parents {
                self.connect_parent(relation, *parent);
            }
        }
    }

    /// A child's column is its parent's of the same name.
    fn connect_parent(&mut self, relation: &Relation, parent: u32) {
        let Some(above) = self.by_oid.get(&parent).copied() else { return };
        for column in live(above) {
            let below = live(relation).find(|below| below.name == column.name);
            let Some(below) = below else { continue };
            self.edge(self.upper(parent, column.number), self.upper(relation.oid, below.number));
            self.edge(self.lower(relation.oid, below.number), self.lower(parent, column.number));
        }
    }

    /// What a view only selects or joins by is in no column of it, but an error while it runs may
    /// quote it, so whoever reads the view touches it.
    fn connect_reads(&mut self, relation: &Relation) {
        if !matches!(relation.kind, Kind::View | Kind::MaterializedView) {
            return;
        }
        for (from, number) in &relation.reads {
            if *number > 0 || relation.whole_rows {
                let number = if relation.whole_rows { 0 } else { *number };
                self.edge(self.origin(*from, number), self.whole(relation.oid));
            }
        }
    }

    fn connect_source(&mut self, relation: &Relation, column: &Attribute) {
        let own = self.lower(relation.oid, column.number);
        match &column.source {
            Source::Own => {}
            Source::Generated(from) => {
                for number in from {
                    self.edge(self.lower(relation.oid, *number), own);
                }
            }
            // System columns tell nothing.
            Source::Bare { number, .. } if *number < 0 => {}
            Source::Bare { relation: from, number } => match self.origin(*from, *number) {
                Some(origin) => self.edge(Some(origin), own),
                None if *from < USER_OID_FIRST => {}
                None => self.mark_unknown(own),
            },
            Source::Computed => {
                for (from, number) in &relation.reads {
                    if *number > 0 || relation.whole_rows {
                        let number = if relation.whole_rows { 0 } else { *number };
                        self.edge(self.origin(*from, number), own);
                    }
                }
            }
        }
    }

    /// Lets everything flow until nothing changes. Each place can only grow, and there are few
    /// values, so this ends, whatever circles there are.
    fn settle(&mut self) {
        loop {
            let mut changed = false;
            for at in 0..self.edges.len() {
                let Some(&(from, to)) = self.edges.get(at) else { break };
                let Some(load) = self.loads.get(from).copied() else { continue };
                let Some(there) = self.loads.get(to).copied() else { continue };
                let joined = self.join(there, load);
                if joined != there
                    && let Some(place) = self.loads.get_mut(to)
                {
                    *place = joined;
                    changed = true;
                }
            }
            if !changed {
                return;
            }
        }
    }

    fn edge(&mut self, from: Option<usize>, to: Option<usize>) {
        if let (Some(from), Some(to)) = (from, to) {
            self.edges.push((from, to));
        }
    }

    fn pour(&mut self, at: Option<usize>, protection: u32) {
        let Some(there) = at.and_then(|at| self.loads.get(at)).copied() else { return };
        let joined = self.join(there, Load { unknown: false, protection: Some(protection) });
        if let Some(place) = at.and_then(|at| self.loads.get_mut(at)) {
            *place = joined;
        }
    }

    fn mark_unknown(&mut self, at: Option<usize>) {
        if let Some(place) = at.and_then(|at| self.loads.get_mut(at)) {
            place.unknown = true;
        }
    }

    fn intern(&mut self, protection: Protection) -> u32 {
        let known = self.protections.iter().position(|known| *known == protection);
        let place = known.unwrap_or_else(|| {
            self.protections.push(protection);
            self.protections.len() - 1
        });
        u32::try_from(place).unwrap_or(u32::MAX)
    }

    fn join(&self, a: Load, b: Load) -> Load {
        let protection = match (a.protection, b.protection) {
            (Some(x), Some(y)) => Some(if self.strategy(y) < self.strategy(x) { y } else { x }),
            (x, y) => x.or(y),
        };
        Load { unknown: a.unknown || b.unknown, protection }
    }

    fn strategy(&self, place: u32) -> Strategy {
        let protection = self.protections.get(place as usize);
        protection.map_or(Strategy::Null, |protection| protection.strategy)
    }

    fn whole(&self, relation: u32) -> Option<usize> {
        self.first.get(&relation).copied()
    }

    fn upper(&self, relation: u32, number: i16) -> Option<usize> {
        let number = usize::try_from(number).ok().filter(|number| *number > 0)?;
        let known = self.by_oid.get(&relation)?;
        (number <= width(known)).then_some(self.whole(relation)? + 2 * number - 1)
    }

    fn lower(&self, relation: u32, number: i16) -> Option<usize> {
        Some(self.upper(relation, number)? + 1)
    }

    /// Where the values of a column come from; column 0 is the whole row.
    fn origin(&self, relation: u32, number: i16) -> Option<usize> {
        if number == 0 { self.whole(relation) } else { self.lower(relation, number) }
    }

    fn load(&self, at: Option<usize>) -> Load {
        at.and_then(|at| self.loads.get(at)).copied().unwrap_or_default()
    }

    fn state(&self, relation: &Relation, number: i16) -> State {
        match self.load(self.lower(relation.oid, number)) {
            Load { unknown: true, .. } => State::Unknown,
            Load { protection: Some(place), .. } => State::Protected(place),
            Load { unknown: false, protection: None } => State::Free,
        }
    }

    fn known(&self, relation: &Relation) -> Known {
        let mut states = vec![State::Unknown; width(relation)];
        for column in live(relation) {
            let slot = usize::try_from(column.number - 1).ok().and_then(|at| states.get_mut(at));
            if let Some(slot) = slot {
                *slot = self.state(relation, column.number);
            }
        }
        let columns = live(relation).map(|column| KnownColumn {
            number: column.number,
            name: column.name.clone(),
            type_oid: column.type_oid,
            typmod: column.typmod,
            generated: matches!(column.source, Source::Generated(_)),
        });
        Known {
            copied: relation.is_named_by_rules(),
            states: states.into(),
            columns: columns.collect(),
            row: self.row(relation),
        }
    }

    fn row(&self, relation: &Relation) -> Row {
        let load = self.load(self.whole(relation.oid));
        if load.unknown {
            return Row::Unknown;
        }
        let strictest = load.protection.and_then(|place| self.protections.get(place as usize));
        let Some(strictest) = strictest else { return Row::Free };
        let fields = live(relation).map(|column| RowField {
            type_oid: column.type_oid,
            typmod: column.typmod,
            strategy: match self.state(relation, column.number) {
                State::Protected(place) => Some(self.strategy(place)),
                State::Free | State::Unknown => None,
            },
        });
        Row::Protected(RowShape { fields: fields.collect(), strictest: strictest.clone() })
    }

    fn add_to(&self, together: &mut Together, relation: &Relation) {
        together.oids.push(relation.oid);
        let load = self.load(self.whole(relation.oid));
        let sum = Load { unknown: together.unknown, protection: together.strictest };
        let sum = self.join(sum, load);
        (together.unknown, together.strictest) = (sum.unknown, sum.protection);
        for column in live(relation) {
            let protected = matches!(self.state(relation, column.number), State::Protected(_));
            if protected && !together.columns.contains(&column.name) {
                together.columns.push(column.name.clone());
            }
        }
    }
}

fn names(
    raw: &Raw,
    relations: &Map<Known>,
    flow: &Flow<'_>,
) -> HashMap<Box<str>, Named, RandomState> {
    let mut names: HashMap<Box<str>, Named, RandomState> = HashMap::default();
    for relation in raw.relations.iter().filter(|one| relations.contains_key(&one.oid)) {
        let named = names.entry(relation.name.clone()).or_default();
        flow.add_to(&mut named.every, relation);
        let at = named.schemas.iter().position(|(schema, _)| *schema == relation.schema);
        let at = at.unwrap_or_else(|| {
            named.schemas.push((relation.schema.clone(), Together::default()));
            named.schemas.len() - 1
        });
        if let Some((_, together)) = named.schemas.get_mut(at) {
            flow.add_to(together, relation);
        }
    }
    names
}

/// Relations whose whole rows a value of the type holds.
fn rows_within(types: &Map<TypeInfo>, type_oid: u32) -> Vec<u32> {
    let mut rows = Vec::new();
    let (mut left, mut seen) = (vec![type_oid], Vec::new());
    while let Some(oid) = left.pop() {
        let Some(info) = types.get(&oid) else { continue };
        if seen.contains(&oid) {
            continue;
        }
        seen.push(oid);
        match &info.kind {
            TypeKind::Base | TypeKind::Enum { .. } => {}
            TypeKind::Domain { base: inner, .. }
            | TypeKind::Array { element: inner }
            | TypeKind::Range { subtype: inner }
            | TypeKind::Multirange { range: inner } => left.push(*inner),
            TypeKind::Composite { relation, fields } => {
                rows.push(*relation);
                left.extend(fields.iter().map(|field| field.type_oid));
            }
        }
    }
    rows
}

fn live(relation: &Relation) -> impl Iterator<Item = &Attribute> {
    relation.columns.iter().filter(|column| !column.dropped && column.number > 0)
}

/// The highest attribute number.
fn width(relation: &Relation) -> usize {
    let highest = relation.columns.iter().map(|column| column.number).max().unwrap_or_default();
    usize::try_from(highest).unwrap_or_default()
}
