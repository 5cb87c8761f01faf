//! Which operators and types are the server's own. One of a user's may run a user's function, whose
//! result may hold anything. Names are all there is to go by, as in `functions`.

use pg_query::NodeEnum;
use pg_query::protobuf as pg;

use crate::judge::classify::postgres::tree::Walked;
use crate::judge::classify::postgres::walk::{Walk, qualified};

impl Walked for pg::AExpr {
    fn walk(&self, walk: &mut Walk) {
        let has_operator = match self.kind() {
            pg::AExprKind::AexprBetween
            | pg::AExprKind::AexprNotBetween
            | pg::AExprKind::AexprBetweenSym
            | pg::AExprKind::AexprNotBetweenSym => false,
            pg::AExprKind::Undefined
            | pg::AExprKind::AexprOp
            | pg::AExprKind::AexprOpAny
            | pg::AExprKind::AexprOpAll
            | pg::AExprKind::AexprDistinct
            | pg::AExprKind::AexprNotDistinct
            | pg::AExprKind::AexprNullif
            | pg::AExprKind::AexprIn
            | pg::AExprKind::AexprLike
            | pg::AExprKind::AexprIlike
            | pg::AExprKind::AexprSimilar => true,
        };
        if has_operator && !is_own(&self.name, OPERATORS) {
            walk.draws_anything();
        }
        self.name.walk(walk);
        self.lexpr.walk(walk);
        self.rexpr.walk(walk);
    }
}

/// A constant is read by the type's own input function, which has nothing else to go by.
impl Walked for pg::TypeCast {
    fn walk(&self, walk: &mut Walk) {
        self.arg.walk(walk);
        let arg = self.arg.as_ref().and_then(|arg| arg.node.as_ref());
        match (arg, &self.type_name) {
            (Some(NodeEnum::AConst(_) | NodeEnum::ParamRef(_)), Some(name)) => parts(name, walk),
            (_, name) => name.walk(walk),
        }
    }
}

impl Walked for pg::TypeName {
    fn walk(&self, walk: &mut Walk) {
        let of_information_schema = qualified(&self.names).0 == Some("information_schema");
        if !of_information_schema && !is_own(&self.names, TYPES) {
            walk.draws_anything();
        }
        parts(self, walk);
    }
}

fn parts(name: &pg::TypeName, walk: &mut Walk) {
    name.names.walk(walk);
    name.typmods.walk(walk);
    name.array_bounds.walk(walk);
}

fn is_own(name: &[pg::Node], list: &[&str]) -> bool {
    match qualified(name) {
        (None | Some("pg_catalog"), Some(name)) => {
            let element = name.strip_prefix('_').unwrap_or(name);
            list.binary_search(&name).is_ok() || list.binary_search(&element).is_ok()
        }
        (Some(_) | None, _) => false,
    }
}

/// The operators of `pg_catalog` of PostgreSQL 15 and 18, in the order of their bytes:
/// `select distinct oprname collate "C" from pg_operator order by 1`.
#[rustfmt::skip]
const OPERATORS: &[&str] = &[
    "!!", "!~", "!~*", "!~~", "!~~*", "#", "##", "#-", "#>", "#>>", "%", "&", "&&", "&<",
    "&<|", "&>", "*", "*<", "*<=", "*<>", "*=", "*>", "*>=", "+", "-", "->", "->>", "-|-", "/",
    "<", "<->", "<<", "<<=", "<<|", "<=", "<>", "<@", "<^", "=", ">", ">=", ">>", ">>=", ">^",
    "?", "?#", "?&", "?-", "?-|", "?|", "?||", "@", "@-@", "@>", "@?", "@@", "@@@", "^", "^@",
    "|", "|&>", "|/", "|>>", "||", "||/", "~", "~*", "~<=~", "~<~", "~=", "~>=~", "~>~", "~~",
    "~~*",
];

/// The types of `pg_catalog` that a value can have, of PostgreSQL 15 and 18, in the order of their
/// bytes: `select typname collate "C" from pg_type where typtype in ('b', 'r', 'm') order by 1`,
/// without arrays, whose names begin with `_`.
#[rustfmt::skip]
const TYPES: &[&str] = &[
    "aclitem", "bit", "bool", "box", "bpchar", "bytea", "char", "cid", "cidr", "circle",
    "date", "datemultirange", "daterange", "float4", "float8", "gtsvector", "inet", "int2",
    "int2vector", "int4", "int4multirange", "int4range", "int8", "int8multirange", "int8range",
    "interval", "json", "jsonb", "jsonpath", "line", "lseg", "macaddr", "macaddr8", "money",
    "name", "numeric", "nummultirange", "numrange", "oid", "oidvector", "path", "pg_lsn",
    "pg_snapshot", "point", "polygon", "refcursor", "regclass", "regcollation", "regconfig",
    "regdictionary", "regnamespace", "regoper", "regoperator", "regproc", "regprocedure",
    "regrole", "regtype", "text", "tid", "time", "timestamp", "timestamptz", "timetz",
    "tsmultirange", "tsquery", "tsrange", "tstzmultirange", "tstzrange", "tsvector",
    "txid_snapshot", "uuid", "varbit", "varchar", "void", "xid", "xid8", "xml",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lists_are_in_the_order_that_the_search_needs() {
        assert!(OPERATORS.is_sorted_by(|one, next| one < next));
        assert!(TYPES.is_sorted_by(|one, next| one < next));
    }
}
