//! Kinds of objects: what they are called in a verb, and how their names are written in the tree.

use pg_query::NodeEnum;
use pg_query::protobuf as pg;
use pg_query::protobuf::ObjectType as Object;

use crate::judge::classify::postgres::walk::{Walk, qualified, text};
use crate::model::facts::Access;

/// What matters about an object's kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Relation,
    Schema,
    /// Hangs on a relation, whose name precedes its own.
    OfRelation,
    /// Runs when something else does.
    Code,
    /// Reaches other servers.
    Foreign,
    /// Keeps rows from those who must not see them.
    Guard,
    Other,
}

impl Kind {
    pub(super) const fn of(object: Object) -> Self {
        match object {
            Object::ObjectTable
            | Object::ObjectView
            | Object::ObjectMatview
            | Object::ObjectIndex
            | Object::ObjectSequence
            | Object::ObjectForeignTable => Self::Relation,
            Object::ObjectSchema => Self::Schema,
            Object::ObjectColumn | Object::ObjectTabconstraint => Self::OfRelation,
            Object::ObjectTrigger
            | Object::ObjectRule
            | Object::ObjectEventTrigger
            | Object::ObjectExtension
            | Object::ObjectLanguage
            | Object::ObjectTransform
            | Object::ObjectAccessMethod => Self::Code,
            Object::ObjectPolicy => Self::Guard,
            Object::ObjectFdw
            | Object::ObjectForeignServer
            | Object::ObjectUserMapping
            | Object::ObjectPublication
            | Object::ObjectPublicationNamespace
            | Object::ObjectPublicationRel
            | Object::ObjectSubscription => Self::Foreign,
            Object::Undefined
            | Object::ObjectAggregate
            | Object::ObjectAmop
            | Object::ObjectAmproc
            | Object::ObjectAttribute
            | Object::ObjectCast
            | Object::ObjectCollation
            | Object::ObjectConversion
            | Object::ObjectDatabase
            | Object::ObjectDefault
            | Object::ObjectDefacl
            | Object::ObjectDomain
            | Object::ObjectDomconstraint
            | Object::ObjectFunction
            | Object::ObjectLargeobject
            | Object::ObjectOpclass
            | Object::ObjectOperator
            | Object::ObjectOpfamily
            | Object::ObjectParameterAcl
            | Object::ObjectProcedure
            | Object::ObjectRole
            | Object::ObjectRoutine
            | Object::ObjectStatisticExt
            | Object::ObjectTablespace
            | Object::ObjectTsconfiguration
            | Object::ObjectTsdictionary
            | Object::ObjectTsparser
            | Object::ObjectTstemplate
            | Object::ObjectType => Self::Other,
        }
    }
}

/// Notes the object that `node` names, as defined.
pub(super) fn object(kind: Object, node: &pg::Node, walk: &mut Walk) {
    let hangs_on_relation =
        matches!(kind, Object::ObjectTrigger | Object::ObjectRule | Object::ObjectPolicy)
            || Kind::of(kind) == Kind::OfRelation;
    match &node.node {
        Some(NodeEnum::List(list)) if hangs_on_relation => {
            let relation = list.items.split_last().map(|(_own, relation)| relation);
            defined(relation.unwrap_or_default(), walk);
        }
        Some(NodeEnum::List(list)) => defined(&list.items, walk),
        Some(NodeEnum::String(name)) if kind == Object::ObjectSchema => {
            whole_schema(&name.sval, walk);
        }
        Some(NodeEnum::String(name)) => walk.object(None, &name.sval, Access::Define),
        Some(NodeEnum::TypeName(name)) => defined(&name.names, walk),
        Some(NodeEnum::ObjectWithArgs(function)) => defined(&function.objname, walk),
        Some(_) | None => {}
    }
}

/// The object's own name, without what qualifies it.
pub(super) fn last_name(node: &pg::Node) -> Option<&str> {
    match &node.node {
        Some(NodeEnum::List(list)) => list.items.last().and_then(text),
        Some(NodeEnum::String(name)) => Some(&name.sval),
        Some(NodeEnum::TypeName(name)) => name.names.last().and_then(text),
        Some(NodeEnum::ObjectWithArgs(function)) => function.objname.last().and_then(text),
        Some(_) | None => None,
    }
}

/// Notes the object with this dotted name as defined.
pub(super) fn defined(name: &[pg::Node], walk: &mut Walk) {
    let (schema, name) = qualified(name);
    if let Some(name) = name {
        walk.object(schema, name, Access::Define);
    }
}

/// Notes that everything in a schema is touched: `schema.*`.
pub(super) fn whole_schema(schema: &str, walk: &mut Walk) {
    if !schema.is_empty() {
        walk.object(Some(schema), EVERYTHING, Access::Define);
    }
}

/// Name of a relation that stands for all in its schema.
const EVERYTHING: &str = "*";

macro_rules! verbs {
    ($function:ident $prefix:literal { $($object:ident $word:literal)* }) => {
        pub(super) const fn $function(object: Object) -> &'static str {
            match object {
                $(Object::$object => concat!($prefix, " ", $word),)*
            }
        }
    };
}

macro_rules! kinds {
    ($($function:ident $prefix:literal),*) => {
        $(verbs! { $function $prefix {
            Undefined "OBJECT"
            ObjectAccessMethod "ACCESS METHOD"
            ObjectAggregate "AGGREGATE"
            ObjectAmop "OPERATOR FAMILY"
            ObjectAmproc "OPERATOR FAMILY"
            ObjectAttribute "TYPE"
            ObjectCast "CAST"
            ObjectColumn "TABLE"
            ObjectCollation "COLLATION"
            ObjectConversion "CONVERSION"
            ObjectDatabase "DATABASE"
            ObjectDefault "TABLE"
            ObjectDefacl "DEFAULT PRIVILEGES"
            ObjectDomain "DOMAIN"
            ObjectDomconstraint "DOMAIN"
            ObjectEventTrigger "EVENT TRIGGER"
            ObjectExtension "EXTENSION"
            ObjectFdw "FOREIGN DATA WRAPPER"
            ObjectForeignServer "SERVER"
            ObjectForeignTable "FOREIGN TABLE"
            ObjectFunction "FUNCTION"
            ObjectIndex "INDEX"
            ObjectLanguage "LANGUAGE"
            ObjectLargeobject "LARGE OBJECT"
            ObjectMatview "MATERIALIZED VIEW"
            ObjectOpclass "OPERATOR CLASS"
            ObjectOperator "OPERATOR"
            ObjectOpfamily "OPERATOR FAMILY"
            ObjectParameterAcl "PARAMETER"
            ObjectPolicy "POLICY"
            ObjectProcedure "PROCEDURE"
            ObjectPublication "PUBLICATION"
            ObjectPublicationNamespace "PUBLICATION"
            ObjectPublicationRel "PUBLICATION"
            ObjectRole "ROLE"
            ObjectRoutine "ROUTINE"
            ObjectRule "RULE"
            ObjectSchema "SCHEMA"
            ObjectSequence "SEQUENCE"
            ObjectSubscription "SUBSCRIPTION"
            ObjectStatisticExt "STATISTICS"
            ObjectTabconstraint "TABLE"
            ObjectTable "TABLE"
            ObjectTablespace "TABLESPACE"
            ObjectTransform "TRANSFORM"
            ObjectTrigger "TRIGGER"
            ObjectTsconfiguration "TEXT SEARCH CONFIGURATION"
            ObjectTsdictionary "TEXT SEARCH DICTIONARY"
            ObjectTsparser "TEXT SEARCH PARSER"
            ObjectTstemplate "TEXT SEARCH TEMPLATE"
            ObjectType "TYPE"
            ObjectUserMapping "USER MAPPING"
            ObjectView "VIEW"
        }})*
    };
}

kinds!(altering "ALTER", dropping "DROP");
