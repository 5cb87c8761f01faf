//! Definitions that tie a function to something else, by which it runs later: an operator, an
//! aggregate, a cast, a type. The function is named here and nowhere else, so it counts as called.

use pg_query::NodeEnum;
use pg_query::protobuf as pg;

use crate::judge::classify::postgres::objects;
use crate::judge::classify::postgres::tree::Walked;
use crate::judge::classify::postgres::walk::Walk;
use crate::model::facts::{Access, Effects};

const CREATE: Effects = Effects::DDL_CREATE;
const ALTER: Effects = Effects::DDL_ALTER;
const CODE: Effects = Effects::CODE_EXEC;

/// Options of definitions whose values are functions.
const FUNCTION_OPTIONS: &[&str] = &[
    // Operators.
    "function",
    "procedure",
    "restrict",
    "join",
    // Aggregates.
    "sfunc",
    "sfunc1",
    "finalfunc",
    "combinefunc",
    "serialfunc",
    "deserialfunc",
    "msfunc",
    "minvfunc",
    "mfinalfunc",
    // Types.
    "input",
    "output",
    "receive",
    "send",
    "typmod_in",
    "typmod_out",
    "analyze",
    "subscript",
    "canonical",
    "subtype_diff",
    // Parsers and templates of text search.
    "start",
    "gettoken",
    "end",
    "headline",
    "lextypes",
    "init",
    "lexize",
];

/// The functions among a definition's options. A value may be written as a name, as a list of a
/// name's parts, or in quotes.
fn bound(options: &[pg::Node], walk: &mut Walk) {
    for option in options {
        let Some(NodeEnum::DefElem(option)) = &option.node else { continue };
        if !FUNCTION_OPTIONS.iter().any(|name| option.defname.eq_ignore_ascii_case(name)) {
            continue;
        }
        match option.arg.as_ref().and_then(|value| value.node.as_ref()) {
            Some(NodeEnum::TypeName(name)) => walk.function(&name.names),
            Some(NodeEnum::List(parts)) => walk.function(&parts.items),
            Some(NodeEnum::String(name)) => walk.function_named(&name.sval),
            Some(_) | None => {}
        }
    }
}

/// Definitions by a name and options.
macro_rules! defined {
    ($($node:ident $verb:literal $effects:expr, $name:ident $options:ident { $($field:ident)* })*) => {
        $(impl Walked for pg::$node {
            fn walk(&self, walk: &mut Walk) {
                walk.commands($verb, $effects);
                objects::defined(&self.$name, walk);
                bound(&self.$options, walk);
                walk.with_access(Access::Define, |walk| {
                    self.$name.walk(walk);
                    self.$options.walk(walk);
                    $(self.$field.walk(walk);)*
                });
            }
        })*
    };
}

defined! {
    CreateRangeStmt "CREATE TYPE" CREATE | CODE, type_name params {}
    AlterTypeStmt "ALTER TYPE" ALTER | CODE, type_name options {}
}

/// An operator, an aggregate or a type calls functions that its uses do not name.
impl Walked for pg::DefineStmt {
    fn walk(&self, walk: &mut Walk) {
        let hides_calls = matches!(
            self.kind(),
            pg::ObjectType::ObjectOperator
                | pg::ObjectType::ObjectAggregate
                | pg::ObjectType::ObjectType
        );
        let code = if hides_calls { CODE } else { Effects::NONE };
        walk.commands("CREATE", CREATE | code);
        objects::defined(&self.defnames, walk);
        bound(&self.definition, walk);
        walk.with_access(Access::Define, |walk| {
            self.defnames.walk(walk);
            self.definition.walk(walk);
            self.args.walk(walk);
        });
    }
}

impl Walked for pg::AlterOperatorStmt {
    fn walk(&self, walk: &mut Walk) {
        walk.commands("ALTER OPERATOR", ALTER | CODE);
        bound(&self.options, walk);
        walk.with_access(Access::Define, |walk| {
            self.opername.walk(walk);
            self.options.walk(walk);
        });
    }
}

impl Walked for pg::CreateOpClassItem {
    fn walk(&self, walk: &mut Walk) {
        /// The grammar's number for `FUNCTION`; the others are operators and a type.
        const FUNCTION: i32 = 2;
        walk.commands("CREATE OPERATOR CLASS", Effects::NONE);
        if let Some(function) = self.name.as_ref().filter(|_| self.itemtype == FUNCTION) {
            walk.function(&function.objname);
        }
        walk.with_access(Access::Define, |walk| {
            self.name.walk(walk);
            self.order_family.walk(walk);
            self.class_args.walk(walk);
            self.storedtype.walk(walk);
        });
    }
}

impl Walked for pg::CreateCastStmt {
    fn walk(&self, walk: &mut Walk) {
        walk.commands("CREATE CAST", CREATE | CODE);
        if let Some(function) = &self.func {
            walk.function(&function.objname);
        }
        walk.with_access(Access::Define, |walk| {
            self.sourcetype.walk(walk);
            self.targettype.walk(walk);
            self.func.walk(walk);
        });
    }
}

impl Walked for pg::CreateConversionStmt {
    fn walk(&self, walk: &mut Walk) {
        walk.commands("CREATE CONVERSION", CREATE | CODE);
        objects::defined(&self.conversion_name, walk);
        walk.function(&self.func_name);
        walk.with_access(Access::Define, |walk| {
            self.conversion_name.walk(walk);
            self.func_name.walk(walk);
        });
    }
}
