//! What values are made of: gathers, while `tree` leads through an expression, the columns that it
//! mentions and whatever else may bring a stored value into it. Goes by names alone; a view, an
//! inherited table or a name that is no column of the tables at hand is for others to see through.
//!
//! Operators, functions and types are believed to be the server's own where the server has one of
//! that name, as in `functions`.

use pg_query::NodeEnum;
use pg_query::protobuf as pg;

use crate::judge::classify::postgres::functions;
use crate::judge::classify::postgres::tree::Walked;
use crate::judge::classify::postgres::walk::{Walk, text};
use crate::limits::{DISTINCT_NAMES_CHECKED, DRAWN_COLUMNS_MAX, OUTPUT_COLUMNS_MAX};
use crate::model::facts::{Access, Draws, Outputs, Spelling};

/// What a walk keeps about values while it passes through them.
#[derive(Default)]
pub(super) struct Lineage {
    /// What the expressions that are being walked are made of so far.
    drawing: Option<Mix>,
    /// The statement walked next is asked for its rows.
    asked: bool,
    answer: Option<Rows>,
    /// Qualifier and column of mentions of columns, wherever they stand, each pair once.
    spelt: Vec<(Box<str>, Box<str>)>,
    /// What a qualifier may stand for, wherever in the statement.
    named: Vec<Named>,
    /// While a definition is walked that runs later: every column that it mentions, whatever for.
    mentioned: Option<Mix>,
}

struct Named {
    qualifier: Box<str>,
    schema: Option<Box<str>>,
    name: Box<str>,
    is_changed: bool,
}

impl Lineage {
    /// A relation is named where its columns can be mentioned.
    pub(super) fn stands_for(&mut self, relation: &pg::RangeVar, access: Access) {
        if self.named.len() == DISTINCT_NAMES_CHECKED {
            return;
        }
        let alias = relation.alias.as_ref().map(|alias| alias.aliasname.as_str());
        self.named.push(Named {
            qualifier: alias.unwrap_or(&relation.relname).into(),
            schema: Some(relation.schemaname.as_str()).filter(|it| !it.is_empty()).map(Box::from),
            name: relation.relname.as_str().into(),
            is_changed: access == Access::Write,
        });
    }

    /// Notes a mention once; false if there is no room for it.
    fn spell(&mut self, qualifier: &str, column: &str) -> bool {
        let known = self.spelt.iter().any(|(q, c)| **q == *qualifier && **c == *column);
        if known || self.spelt.len() == DRAWN_COLUMNS_MAX {
            return known;
        }
        self.spelt.push((qualifier.into(), column.into()));
        true
    }

    /// What is walked over from here on is no part of the expression around it.
    pub(super) const fn suspended(&mut self) -> Option<Mix> {
        self.drawing.take()
    }

    pub(super) fn resume(&mut self, drawing: Option<Mix>) {
        self.drawing = drawing;
    }
}

/// The rows of a query, or those that a statement returns.
#[derive(Clone, Debug)]
pub(super) struct Rows {
    pub(super) outputs: Outputs,
    /// What all columns together are made of, those with an origin included.
    pub(super) whole: Draws,
    /// They go to a new table.
    pub(super) into: bool,
}

/// What expressions mention.
#[derive(Clone, Default)]
pub(super) struct Mix {
    /// Names without a qualifier: of a column, or of a relation, whose whole row it is then.
    alone: Vec<Box<str>>,
    /// Names of columns behind a qualifier.
    qualified: Vec<Box<str>>,
    /// Something that may bring any value along.
    anything: bool,
    /// A window that is defined elsewhere in the query.
    named_window: bool,
}

impl Mix {
    pub(super) fn merge(&mut self, other: Self) {
        self.anything |= other.anything;
        self.named_window |= other.named_window;
        for name in other.alone {
            self.mention_alone(&name);
        }
        for name in other.qualified {
            self.mention_qualified(&name);
        }
    }

    /// What a value made of this draws on, where the names mean what `scope` says.
    pub(super) fn draws(self, scope: &Scope<'_>) -> Draws {
        if self.anything {
            return Draws::Anything;
        }
        if !self.has_columns() {
            return Draws::Nothing;
        }
        let is_row = |name: &str| scope.rows.contains(&name);
        if !scope.plain || self.alone.iter().any(|name| is_row(name)) {
            return Draws::Anything;
        }
        Draws::columns(self.alone.into_iter().chain(self.qualified).collect())
    }

    pub(super) const fn has_columns(&self) -> bool {
        self.anything || !self.alone.is_empty() || !self.qualified.is_empty()
    }

    fn mention_alone(&mut self, name: &str) {
        self.anything |= !note(&mut self.alone, name);
    }

    fn mention_qualified(&mut self, name: &str) {
        self.anything |= !note(&mut self.qualified, name);
    }
}

/// Notes a name once; false if there is no room for it.
fn note(names: &mut Vec<Box<str>>, name: &str) -> bool {
    let known = names.iter().any(|known| **known == *name);
    if known || names.len() == DRAWN_COLUMNS_MAX {
        return known;
    }
    names.push(name.into());
    true
}

/// What names of columns can mean where an expression stands.
pub(super) struct Scope<'t> {
    /// All columns are those of relations, by their own names.
    plain: bool,
    /// Names that mean a whole row.
    rows: Vec<&'t str>,
    merged: Merged<'t>,
}

/// Columns that a join makes of two others.
enum Merged<'t> {
    None,
    Named(Vec<&'t str>),
    /// `NATURAL` does not say which.
    Unnamed,
}

impl<'t> Scope<'t> {
    /// Where no relation is in sight.
    pub(super) const fn nowhere() -> Self {
        Self { plain: false, rows: Vec::new(), merged: Merged::None }
    }

    /// Behind `FROM`.
    pub(super) fn of(from: &'t [pg::Node], walk: &Walk) -> Self {
        let mut scope = Self { plain: true, ..Self::nowhere() };
        scope.add(from, walk);
        scope.plain &= !scope.rows.is_empty();
        scope
    }

    /// In a statement that changes `target`.
    pub(super) fn of_change(target: Option<&'t pg::RangeVar>, returning: Returning<'t>) -> Self {
        let mut scope = Self { plain: target.is_some(), ..Self::nowhere() };
        if let Some(target) = target {
            scope.relation(target);
        }
        // The row before and after, and the one that was to be inserted.
        scope.rows.extend(["old", "new", "excluded"]);
        for option in returning.into_iter().flat_map(|returning| &returning.options) {
            if let Some(NodeEnum::ReturningOption(option)) = &option.node {
                scope.rows.push(&option.value);
            }
        }
        scope
    }

    /// Adds what else the statement reads.
    pub(super) fn and(mut self, from: &'t [pg::Node], walk: &Walk) -> Self {
        self.add(from, walk);
        self
    }

    fn add(&mut self, from: &'t [pg::Node], walk: &Walk) {
        for item in from {
            self.item(item, walk);
            self.plain &= self.rows.len() <= DISTINCT_NAMES_CHECKED;
            if !self.plain {
                return;
            }
        }
    }

    fn item(&mut self, item: &'t pg::Node, walk: &Walk) {
        match &item.node {
            Some(NodeEnum::RangeVar(relation)) if !walk.is_with_query(relation) => {
                self.relation(relation);
            }
            Some(NodeEnum::RangeTableSample(sample)) => match &sample.relation {
                Some(relation) => self.item(relation, walk),
                None => self.plain = false,
            },
            Some(NodeEnum::JoinExpr(join)) => self.join(join, walk),
            Some(_) | None => self.plain = false,
        }
    }

    fn relation(&mut self, relation: &'t pg::RangeVar) {
        match &relation.alias {
            Some(alias) => {
                self.rows.push(&alias.aliasname);
                self.plain &= alias.colnames.is_empty();
            }
            None => self.rows.push(&relation.relname),
        }
    }

    fn join(&mut self, join: &'t pg::JoinExpr, walk: &Walk) {
        for side in [&join.larg, &join.rarg] {
            match side {
                Some(side) => self.item(side, walk),
                None => self.plain = false,
            }
        }
        self.plain &= join.alias.is_none() && join.join_using_alias.is_none();
        let named = join.using_clause.iter().filter_map(text);
        match &mut self.merged {
            _ if join.is_natural => self.merged = Merged::Unnamed,
            Merged::Unnamed => {}
            Merged::None if join.using_clause.is_empty() => {}
            Merged::None => self.merged = Merged::Named(named.collect()),
            Merged::Named(names) => names.extend(named),
        }
    }

    /// What the columns of `*` are made of that have no origin.
    fn star(&self, is_qualified: bool) -> Draws {
        match &self.merged {
            _ if !self.plain => Draws::Anything,
            Merged::None => Draws::Nothing,
            Merged::Named(_) | Merged::Unnamed if is_qualified => Draws::Nothing,
            Merged::Named(names) => Draws::columns(names.iter().copied().map(Box::from).collect()),
            Merged::Unnamed => Draws::Anything,
        }
    }

    /// True if a column that stands alone has the origin of the relation's.
    const fn keeps_origins(&self) -> bool {
        self.plain && matches!(self.merged, Merged::None)
    }
}

type Returning<'t> = Option<&'t pg::ReturningClause>;

/// Gathers the columns of a result.
pub(super) struct Columns<'t> {
    scope: Scope<'t>,
    window: Draws,
    each: Vec<Draws>,
    /// What those without an origin are made of.
    computed: Draws,
    whole: Draws,
    has_star: bool,
}

impl<'t> Columns<'t> {
    /// In `scope`, with named windows that are made of `window`.
    pub(super) fn new(scope: Scope<'t>, window: Mix) -> Self {
        let window = window.draws(&scope);
        Self {
            scope,
            window,
            each: Vec::new(),
            computed: Draws::Nothing,
            whole: Draws::Nothing,
            has_star: false,
        }
    }

    /// Walks a target and adds what it is made of.
    pub(super) fn walk(&mut self, target: &pg::Node, walk: &mut Walk) {
        let mix = walk.drawn(|walk| target.walk(walk));
        match shape(target) {
            Target::Star { is_qualified } => {
                self.has_star = true;
                self.whole = Draws::Anything;
                let computed = self.scope.star(is_qualified);
                self.computed = self.computed.union(&computed);
            }
            Target::Fields => {
                self.has_star = true;
                self.whole = Draws::Anything;
                self.computed = Draws::Anything;
            }
            shape @ (Target::Column | Target::Computed) => {
                let window = if mix.named_window { self.window.clone() } else { Draws::Nothing };
                let draws = mix.draws(&self.scope).union(&window);
                self.whole = self.whole.union(&draws);
                let has_origin = shape == Target::Column
                    && self.scope.keeps_origins()
                    && matches!(draws, Draws::Columns(_));
                if !has_origin {
                    self.computed = self.computed.union(&draws);
                }
                self.each.push(draws);
            }
        }
    }

    pub(super) fn rows(self, into: bool) -> Rows {
        let outputs = if self.has_star || self.each.len() > OUTPUT_COLUMNS_MAX {
            Outputs::All(self.computed)
        } else {
            Outputs::Each(self.each.into())
        };
        Rows { outputs, whole: self.whole, into }
    }
}

impl Rows {
    /// Rows of constants, and of what else stands in `VALUES`.
    pub(super) fn of_values(width: usize, mix: Mix) -> Self {
        let draws = mix.draws(&Scope::nowhere());
        let outputs = if width > OUTPUT_COLUMNS_MAX {
            Outputs::All(draws.clone())
        } else {
            Outputs::Each(vec![draws.clone(); width].into())
        };
        Self { outputs, whole: draws, into: false }
    }

    /// Rows of two queries together, where no column has an origin.
    pub(super) fn combined(left: Option<Self>, right: Option<Self>) -> Self {
        let (Some(left), Some(right)) = (left, right) else { return Self::unseen() };
        let both = |left: &Draws, right: &Draws| match (left, right) {
            (Draws::Nothing, Draws::Nothing) => Draws::Nothing,
            (Draws::Nothing | Draws::Columns(_) | Draws::Anything, _) => Draws::Anything,
        };
        let whole = both(&left.whole, &right.whole);
        let outputs = match (&left.outputs, &right.outputs) {
            (Outputs::Each(left), Outputs::Each(right)) if left.len() == right.len() => {
                Outputs::Each(left.iter().zip(right).map(|(one, two)| both(one, two)).collect())
            }
            (Outputs::Unknown | Outputs::Each(_) | Outputs::All(_), _) => {
                Outputs::All(whole.clone())
            }
        };
        Self { outputs, whole, into: left.into || right.into }
    }

    const fn unseen() -> Self {
        Self { outputs: Outputs::All(Draws::Anything), whole: Draws::Anything, into: false }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Target {
    Star {
        is_qualified: bool,
    },
    /// `(row).*`
    Fields,
    Column,
    Computed,
}

fn shape(target: &pg::Node) -> Target {
    let Some(NodeEnum::ResTarget(target)) = &target.node else { return Target::Computed };
    match target.val.as_ref().and_then(|value| value.node.as_ref()) {
        Some(NodeEnum::ColumnRef(column)) if column.fields.last().is_some_and(is_star) => {
            Target::Star { is_qualified: column.fields.len() > 1 }
        }
        Some(NodeEnum::ColumnRef(_)) => Target::Column,
        Some(NodeEnum::AIndirection(part)) if part.indirection.last().is_some_and(is_star) => {
            Target::Fields
        }
        Some(_) | None => Target::Computed,
    }
}

fn is_star(node: &pg::Node) -> bool {
    matches!(node.node, Some(NodeEnum::AStar(_)))
}

impl Walk {
    /// Walks expressions and says what they are made of. What is around them is made of it, too.
    pub(super) fn drawn(&mut self, inner: impl FnOnce(&mut Self)) -> Mix {
        let outer = self.lineage.drawing.replace(Mix::default());
        inner(self);
        let mix = std::mem::replace(&mut self.lineage.drawing, outer).unwrap_or_default();
        if let Some(outer) = &mut self.lineage.drawing {
            outer.merge(mix.clone());
        }
        mix
    }

    /// Walks a statement and asks it for its rows.
    pub(super) fn rows_of(&mut self, statement: impl FnOnce(&mut Self)) -> Option<Rows> {
        self.lineage.asked = true;
        self.lineage.answer = None;
        statement(self);
        self.lineage.asked = false;
        self.lineage.answer.take()
    }

    /// Walks a statement whose rows are the result, or go to the new table that it names.
    pub(super) fn outputs_of(&mut self, statement: impl FnOnce(&mut Self)) -> Outputs {
        match self.rows_of(statement) {
            Some(rows) if rows.into => {
                self.assigns(&rows.whole);
                Outputs::Unknown
            }
            Some(rows) => rows.outputs,
            None => Outputs::Unknown,
        }
    }

    /// True if the statement at hand is asked for its rows; what is within it is not.
    pub(super) fn is_asked(&mut self) -> bool {
        std::mem::take(&mut self.lineage.asked)
    }

    /// Says what the rows are of a statement that was asked for them. The last thing that its
    /// walk does.
    pub(super) fn answers_if(&mut self, is_asked: bool, rows: Option<Rows>) {
        if is_asked {
            self.lineage.answer = rows;
        }
    }

    /// What is being walked may be made of anything.
    pub(super) fn draws_anything(&mut self) {
        if let Some(mix) = &mut self.lineage.drawing {
            mix.anything = true;
        }
    }

    pub(super) fn draws_column(&mut self, column: &pg::ColumnRef) {
        if let [.., qualifier, name] = column.fields.as_slice()
            && let (Some(qualifier), Some(name)) = (text(qualifier), text(name))
            && !self.lineage.spell(qualifier, name)
        {
            self.draws_anything();
        }
        if let Some(mix) = &mut self.lineage.mentioned {
            mix.mention(column);
        }
        if let Some(mix) = &mut self.lineage.drawing {
            mix.mention(column);
        }
    }

    /// Walks a definition that runs later, and says what it mentions anywhere: what it is made of, by
    /// what it selects, sorts and joins, which all may end in an error that quotes a value.
    pub(super) fn mentioned(&mut self, inner: impl FnOnce(&mut Self)) -> Draws {
        let outer = self.lineage.mentioned.replace(Mix::default());
        inner(self);
        let mix = std::mem::replace(&mut self.lineage.mentioned, outer).unwrap_or_default();
        if mix.anything {
            return Draws::Anything;
        }
        Draws::columns(mix.alone.into_iter().chain(mix.qualified).collect())
    }

    /// All of the statement has been walked: what its qualifiers stand for is known.
    pub(super) fn settle_spelt(&mut self) {
        let named = std::mem::take(&mut self.lineage.named);
        let full = named.len() == DISTINCT_NAMES_CHECKED;
        for (qualifier, column) in std::mem::take(&mut self.lineage.spelt) {
            // Other names for the rows of the relation that is changed.
            let is_changed = ["old", "new", "excluded"].contains(&&*qualifier);
            let of = named
                .iter()
                .filter(|it| it.qualifier == qualifier || is_changed && it.is_changed)
                .filter(|_| !full)
                .map(|it| (it.schema.clone(), it.name.clone()))
                .collect();
            self.statement.spelt.push(Spelling { column, of });
        }
    }

    pub(super) fn draws_named_window(&mut self) {
        if let Some(mix) = &mut self.lineage.drawing {
            mix.named_window = true;
        }
    }
}

impl Mix {
    fn mention(&mut self, column: &pg::ColumnRef) {
        let mix = self;
        match column.fields.as_slice() {
            [name] => match text(name) {
                Some(name) => mix.mention_alone(name),
                None => mix.anything = true,
            },
            [.., name] => match text(name) {
                Some(name) if !functions::takes_rows(name) => mix.mention_qualified(name),
                Some(_) | None => mix.anything = true,
            },
            [] => mix.anything = true,
        }
    }
}
