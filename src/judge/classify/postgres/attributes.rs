//! Functions that are called in the notation of a column: `('1'::text).f`, and `q.f` where `q` is
//! the result of a function in `FROM`. The server looks for a column first, and then calls.
//! Whether there is such a column only the server knows, so a name that is also one of the
//! server's own functions counts as a call.
//! Limit: `t.f` for a table `t` is not among them. It can only call what takes a whole row, and
//! none of the server's own functions that do more than compute does.

use std::collections::{BTreeMap, BTreeSet};

use pg_query::NodeEnum;
use pg_query::protobuf as pg;

use crate::judge::classify::postgres::tree::Walked;
use crate::judge::classify::postgres::walk::{Walk, text};

/// What one statement mentions of either kind; which is which shows when all of it was seen.
#[derive(Default)]
pub(super) struct Attributes {
    mentions: Vec<Mention>,
    results: BTreeMap<Box<str>, Columns>,
    nameless_result: bool,
}

struct Mention {
    qualifier: Box<str>,
    name: Box<str>,
}

/// The columns that the text gives to the result of a function.
enum Columns {
    Named(BTreeSet<Box<str>>),
    /// Several results bear the name, in different scopes perhaps.
    Ambiguous,
}

impl Attributes {
    fn mention(&mut self, column: &pg::ColumnRef) {
        if let [.., qualifier, name] = column.fields.as_slice()
            && let (Some(qualifier), Some(name)) = (text(qualifier), text(name))
        {
            self.mentions.push(Mention { qualifier: qualifier.into(), name: name.into() });
        }
    }

    fn result(&mut self, result: &pg::RangeFunction) {
        let Some(name) = result_name(result) else {
            self.nameless_result = true;
            return;
        };
        let aliases = result.alias.iter().flat_map(|alias| &alias.colnames).filter_map(text);
        let defined = result.coldeflist.iter().filter_map(|column| match &column.node {
            Some(NodeEnum::ColumnDef(column)) => Some(column.colname.as_str()),
            Some(_) | None => None,
        });
        let columns = aliases.chain(defined).map(Box::from).collect();
        self.results
            .entry(name.into())
            .and_modify(|columns| *columns = Columns::Ambiguous)
            .or_insert(Columns::Named(columns));
    }

    /// Names in mentions that may call.
    fn called(&self) -> BTreeSet<&str> {
        let may_call = |mention: &&Mention| match self.results.get(&mention.qualifier) {
            _ if self.nameless_result => true,
            Some(Columns::Named(columns)) => !columns.contains(&mention.name),
            Some(Columns::Ambiguous) => true,
            None => false,
        };
        self.mentions.iter().filter(may_call).map(|mention| &*mention.name).collect()
    }
}

/// The alias, or else the function's name. What is called by a word of the grammar
/// (`FROM COALESCE(..)`) has a name as well, which is not worth knowing.
fn result_name(result: &pg::RangeFunction) -> Option<&str> {
    if let Some(alias) = &result.alias {
        return Some(&alias.aliasname);
    }
    let Some(NodeEnum::List(first)) = result.functions.first()?.node.as_ref() else { return None };
    let Some(NodeEnum::FuncCall(call)) = first.items.first()?.node.as_ref() else { return None };
    call.funcname.last().and_then(text)
}

impl Walk {
    /// All of the statement has been walked.
    pub(super) fn settle_attributes(&mut self) {
        let attributes = std::mem::take(&mut self.attributes);
        for name in attributes.called() {
            self.function_perhaps(name);
        }
    }
}

impl Walked for pg::ColumnRef {
    fn walk(&self, walk: &mut Walk) {
        walk.columns_seen += 1;
        walk.attributes.mention(self);
        walk.draws_column(self);
        self.fields.walk(walk);
    }
}

impl Walked for pg::AIndirection {
    fn walk(&self, walk: &mut Walk) {
        if self.indirection.iter().any(|part| !matches!(part.node, Some(NodeEnum::AIndices(_)))) {
            walk.draws_anything();
        }
        for name in self.indirection.iter().filter_map(text) {
            walk.function_perhaps(name);
        }
        self.arg.walk(walk);
        self.indirection.walk(walk);
    }
}

impl Walked for pg::RangeFunction {
    fn walk(&self, walk: &mut Walk) {
        walk.attributes.result(self);
        self.functions.walk(walk);
        self.alias.walk(walk);
        self.coldeflist.walk(walk);
    }
}
