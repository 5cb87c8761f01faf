//! Statements that define, alter or drop objects, and those about privileges and roles.
//! What defines code that runs later, unseen, counts as running code.

use pg_query::NodeEnum;
use pg_query::protobuf as pg;

use crate::judge::classify::postgres::objects::{self, Kind};
use crate::judge::classify::postgres::session::plain;
use crate::judge::classify::postgres::tree::Walked;
use crate::judge::classify::postgres::walk::{Walk, qualified};
use crate::model::facts::{Access, Draws, Effects};

const CREATE: Effects = Effects::DDL_CREATE;
const ALTER: Effects = Effects::DDL_ALTER;
const DROP: Effects = Effects::DDL_DROP;
const CODE: Effects = Effects::CODE_EXEC;
const NETWORK: Effects = Effects::NETWORK;
const ADMIN: Effects = Effects::SERVER_ADMIN;
const ROLE: Effects = Effects::ROLE_CHANGE;

plain! {
    CreateStmt "CREATE TABLE" CREATE, Define {
        relation table_elts inh_relations partbound partspec of_typename constraints nnconstraints
        options
    }
    CreateForeignTableStmt "CREATE FOREIGN TABLE" CREATE | NETWORK, Define { base_stmt options }
    IndexStmt "CREATE INDEX" CREATE, Define {
        relation index_params index_including_params options where_clause exclude_op_names
    }
    CreateSeqStmt "CREATE SEQUENCE" CREATE, Define { sequence options }
    AlterSeqStmt "ALTER SEQUENCE" ALTER, Define { sequence options }
    CompositeTypeStmt "CREATE TYPE" CREATE, Define { typevar coldeflist }
    CreatePolicyStmt "CREATE POLICY" CREATE | Effects::GRANT, Define { table roles qual with_check }
    AlterPolicyStmt "ALTER POLICY" ALTER | Effects::GRANT, Define { table roles qual with_check }
    RefreshMatViewStmt "REFRESH MATERIALIZED VIEW" Effects::UPDATE, Write { relation }
    RuleStmt "CREATE RULE" CREATE | CODE, Define { relation where_clause actions }

    CreateExtensionStmt "CREATE EXTENSION" CREATE | CODE, Define { options }
    AlterExtensionStmt "ALTER EXTENSION" ALTER | CODE, Define { options }
    CreateFdwStmt "CREATE FOREIGN DATA WRAPPER" CREATE | NETWORK, Define { func_options options }
    AlterFdwStmt "ALTER FOREIGN DATA WRAPPER" ALTER | NETWORK, Define { func_options options }
    CreateForeignServerStmt "CREATE SERVER" CREATE | NETWORK, Define { options }
    AlterForeignServerStmt "ALTER SERVER" ALTER | NETWORK, Define { options }
    CreateUserMappingStmt "CREATE USER MAPPING" CREATE | NETWORK, Define { user options }
    AlterUserMappingStmt "ALTER USER MAPPING" ALTER | NETWORK, Define { user options }
    DropUserMappingStmt "DROP USER MAPPING" DROP | NETWORK, Define { user }
    CreatePublicationStmt "CREATE PUBLICATION" CREATE | NETWORK, Define { options pubobjects }
    AlterPublicationStmt "ALTER PUBLICATION" ALTER | NETWORK, Define { options pubobjects }
    CreateSubscriptionStmt "CREATE SUBSCRIPTION" CREATE | NETWORK, Define { publication options }
    AlterSubscriptionStmt "ALTER SUBSCRIPTION" ALTER | NETWORK, Define { publication options }
    DropSubscriptionStmt "DROP SUBSCRIPTION" DROP | NETWORK, Define {}

    CreateAmStmt "CREATE ACCESS METHOD" CREATE | CODE, Define { handler_name }
    CreatePLangStmt "CREATE LANGUAGE" CREATE | CODE | ADMIN, Define {
        plhandler plinline plvalidator
    }
    AlterEventTrigStmt "ALTER EVENT TRIGGER" ALTER | CODE, Define {}
    CreateTransformStmt "CREATE TRANSFORM" CREATE | CODE, Define { type_name fromsql tosql }

    CreateTableSpaceStmt "CREATE TABLESPACE" CREATE | ADMIN | Effects::FILE_WRITE, Define {
        owner options
    }
    DropTableSpaceStmt "DROP TABLESPACE" DROP | ADMIN, Define {}
    AlterTableSpaceOptionsStmt "ALTER TABLESPACE" ALTER | ADMIN, Define { options }
    AlterTableMoveAllStmt "ALTER TABLE ALL IN TABLESPACE" ALTER | ADMIN, Define { roles }
    CreatedbStmt "CREATE DATABASE" CREATE | ADMIN, Define { options }
    AlterDatabaseStmt "ALTER DATABASE" ALTER | ADMIN, Define { options }
    AlterDatabaseRefreshCollStmt "ALTER DATABASE" ALTER | ADMIN, Define {}
    AlterDatabaseSetStmt "ALTER DATABASE" ALTER | ADMIN, Define { setstmt }
    DropdbStmt "DROP DATABASE" DROP | ADMIN, Define { options }

    CreateRoleStmt "CREATE ROLE" CREATE | ROLE, Define { options }
    AlterRoleStmt "ALTER ROLE" ALTER | ROLE, Define { role options }
    AlterRoleSetStmt "ALTER ROLE" ALTER | ROLE, Define { role setstmt }
    DropRoleStmt "DROP ROLE" DROP | ROLE, Define { roles }
    GrantRoleStmt "GRANT ROLE" Effects::GRANT | ROLE, Define {
        granted_roles grantee_roles opt grantor
    }
    AlterDefaultPrivilegesStmt "ALTER DEFAULT PRIVILEGES" ALTER, Define { options action }
    DropOwnedStmt "DROP OWNED" DROP | Effects::GRANT, Define { roles }
    ReassignOwnedStmt "REASSIGN OWNED" ALTER | Effects::GRANT, Define { roles newrole }

    // Only the server builds it, for `ALTER TABLE ... REPLICA IDENTITY`.
    ReplicaIdentityStmt "ALTER TABLE" ALTER, Define {}
}

/// Statements that name one object by a list of its name's parts.
macro_rules! named {
    ($($node:ident $verb:literal $effects:expr, $name:ident { $($field:ident)* })*) => {
        $(impl Walked for pg::$node {
            fn walk(&self, walk: &mut Walk) {
                walk.commands($verb, $effects);
                objects::defined(&self.$name, walk);
                walk.with_access(Access::Define, |walk| {
                    self.$name.walk(walk);
                    $(self.$field.walk(walk);)*
                });
            }
        })*
    };
}

named! {
    AlterCollationStmt "ALTER COLLATION" ALTER, collname {}
    AlterDomainStmt "ALTER DOMAIN" ALTER, type_name { def }
    CreateStatsStmt "CREATE STATISTICS" CREATE, defnames { stat_types exprs relations }
    AlterStatsStmt "ALTER STATISTICS" ALTER, defnames { stxstattarget }
    CreateDomainStmt "CREATE DOMAIN" CREATE, domainname { type_name coll_clause constraints }
    CreateOpClassStmt "CREATE OPERATOR CLASS" CREATE | CODE, opclassname { opfamilyname datatype items }
    CreateOpFamilyStmt "CREATE OPERATOR FAMILY" CREATE, opfamilyname {}
    AlterOpFamilyStmt "ALTER OPERATOR FAMILY" ALTER | CODE, opfamilyname { items }
    CreateEnumStmt "CREATE TYPE" CREATE, type_name { vals }
    AlterEnumStmt "ALTER TYPE" ALTER, type_name {}
    AlterTsDictionaryStmt "ALTER TEXT SEARCH DICTIONARY" ALTER, dictname { options }
    AlterTsConfigurationStmt "ALTER TEXT SEARCH CONFIGURATION" ALTER, cfgname { tokentype dicts }
    CreateFunctionStmt "CREATE FUNCTION" CREATE | CODE, funcname {
        parameters return_type options sql_body
    }
}

impl Walked for pg::CreateTableAsStmt {
    fn walk(&self, walk: &mut Walk) {
        walk.commands("CREATE TABLE AS", CREATE);
        walk.with_access(Access::Define, |walk| {
            let mut rows = None;
            let mentioned = walk.mentioned(|walk| {
                rows = walk.rows_of(|walk| self.query.walk(walk));
            });
            let whole = rows.map_or(Draws::Anything, |rows| rows.whole);
            // A view that is stored runs again whenever it is refreshed.
            let is_view = self.objtype() == pg::ObjectType::ObjectMatview;
            walk.assigns(&if is_view { whole.union(&mentioned) } else { whole });
            self.into.walk(walk);
        });
    }
}

impl Walked for pg::ViewStmt {
    fn walk(&self, walk: &mut Walk) {
        walk.commands("CREATE VIEW", CREATE);
        walk.with_access(Access::Define, |walk| {
            self.view.walk(walk);
            self.aliases.walk(walk);
            let mut rows = None;
            let mentioned = walk.mentioned(|walk| {
                rows = walk.rows_of(|walk| self.query.walk(walk));
            });
            walk.assigns(&rows.map_or(Draws::Anything, |rows| rows.whole).union(&mentioned));
            self.options.walk(walk);
        });
    }
}

/// The expression of a column is its default, or what it is converted by.
impl Walked for pg::ColumnDef {
    fn walk(&self, walk: &mut Walk) {
        self.type_name.walk(walk);
        computed(&self.raw_default, walk);
        self.identity_sequence.walk(walk);
        self.coll_clause.walk(walk);
        self.constraints.walk(walk);
        self.fdwoptions.walk(walk);
    }
}

/// Walks an expression by which a column is computed. If it looks at others, it copies them.
fn computed(expression: &Option<Box<pg::Node>>, walk: &mut Walk) {
    if walk.drawn(|walk| expression.walk(walk)).has_columns() {
        walk.assigns(&Draws::Anything);
    }
}

impl Walked for pg::CreateTrigStmt {
    fn walk(&self, walk: &mut Walk) {
        walk.commands("CREATE TRIGGER", CREATE | CODE);
        walk.function(&self.funcname);
        walk.with_access(Access::Define, |walk| {
            self.relation.walk(walk);
            self.funcname.walk(walk);
            self.args.walk(walk);
            self.columns.walk(walk);
            self.when_clause.walk(walk);
            self.transition_rels.walk(walk);
            self.constrrel.walk(walk);
        });
    }
}

impl Walked for pg::CreateEventTrigStmt {
    fn walk(&self, walk: &mut Walk) {
        walk.commands("CREATE EVENT TRIGGER", CREATE | CODE);
        walk.function(&self.funcname);
        self.whenclause.walk(walk);
        self.funcname.walk(walk);
    }
}

impl Walked for pg::AlterFunctionStmt {
    fn walk(&self, walk: &mut Walk) {
        walk.commands("ALTER FUNCTION", ALTER | CODE);
        if let Some(function) = &self.func {
            objects::defined(&function.objname, walk);
        }
        self.func.walk(walk);
        self.actions.walk(walk);
    }
}

impl Walked for pg::CreateSchemaStmt {
    fn walk(&self, walk: &mut Walk) {
        walk.commands("CREATE SCHEMA", CREATE);
        objects::whole_schema(&self.schemaname, walk);
        self.authrole.walk(walk);
        walk.with_access(Access::Define, |walk| self.schema_elts.walk(walk));
    }
}

impl Walked for pg::ImportForeignSchemaStmt {
    fn walk(&self, walk: &mut Walk) {
        walk.commands("IMPORT FOREIGN SCHEMA", CREATE | NETWORK);
        objects::whole_schema(&self.local_schema, walk);
        // The tables are the other server's.
        for _ in &self.table_list {
            walk.passed();
        }
        self.options.walk(walk);
    }
}

impl Walked for pg::AlterTableStmt {
    fn walk(&self, walk: &mut Walk) {
        walk.commands(objects::altering(self.objtype()), ALTER);
        walk.with_access(Access::Define, |walk| {
            self.relation.walk(walk);
            self.cmds.walk(walk);
        });
    }
}

impl Walked for pg::AlterTableCmd {
    fn walk(&self, walk: &mut Walk) {
        use pg::AlterTableType as Change;
        let kind = self.subtype();
        if matches!(kind, Change::AtDropColumn) {
            walk.commands("ALTER TABLE", DROP);
        }
        let guards = matches!(
            kind,
            Change::AtChangeOwner
                | Change::AtEnableRowSecurity
                | Change::AtDisableRowSecurity
                | Change::AtForceRowSecurity
                | Change::AtNoForceRowSecurity
        );
        if guards {
            walk.commands("ALTER TABLE", Effects::GRANT);
        }
        let code = matches!(
            kind,
            Change::AtEnableTrig
                | Change::AtEnableAlwaysTrig
                | Change::AtEnableReplicaTrig
                | Change::AtDisableTrig
                | Change::AtEnableTrigAll
                | Change::AtDisableTrigAll
                | Change::AtEnableTrigUser
                | Change::AtDisableTrigUser
                | Change::AtEnableRule
                | Change::AtEnableAlwaysRule
                | Change::AtEnableReplicaRule
                | Change::AtDisableRule
        );
        if code {
            walk.commands("ALTER TABLE", CODE);
        }
        self.newowner.walk(walk);
        if matches!(kind, Change::AtSetExpression) {
            computed(&self.def, walk);
        } else {
            self.def.walk(walk);
        }
    }
}

/// A foreign key reads the table that it points to.
impl Walked for pg::Constraint {
    fn walk(&self, walk: &mut Walk) {
        walk.with_access(Access::Read, |walk| self.pktable.walk(walk));
        if self.contype() == pg::ConstrType::ConstrGenerated {
            computed(&self.raw_expr, walk);
        } else {
            self.raw_expr.walk(walk);
        }
        self.keys.walk(walk);
        self.including.walk(walk);
        self.exclusions.walk(walk);
        self.options.walk(walk);
        self.where_clause.walk(walk);
        self.fk_attrs.walk(walk);
        self.pk_attrs.walk(walk);
        self.fk_del_set_cols.walk(walk);
        self.old_conpfeqop.walk(walk);
    }
}

impl Walked for pg::TableLikeClause {
    fn walk(&self, walk: &mut Walk) {
        walk.with_access(Access::Read, |walk| self.relation.walk(walk));
    }
}

impl Walked for pg::DropStmt {
    fn walk(&self, walk: &mut Walk) {
        let kind = self.remove_type();
        let more = match Kind::of(kind) {
            Kind::Code => CODE,
            Kind::Foreign => NETWORK,
            Kind::Guard => Effects::GRANT,
            Kind::Relation | Kind::Schema | Kind::OfRelation | Kind::Other => Effects::NONE,
        };
        walk.commands(objects::dropping(kind), DROP | more);
        for object in &self.objects {
            objects::object(kind, object, walk);
        }
        self.objects.walk(walk);
    }
}

/// A function under another name, or in another schema, is what other statements call from then on.
const fn renaming_code(kind: pg::ObjectType) -> Effects {
    let is_called = matches!(
        kind,
        pg::ObjectType::ObjectFunction
            | pg::ObjectType::ObjectProcedure
            | pg::ObjectType::ObjectRoutine
            | pg::ObjectType::ObjectAggregate
            | pg::ObjectType::ObjectOperator
    );
    if is_called { CODE } else { Effects::NONE }
}

impl Walked for pg::RenameStmt {
    fn walk(&self, walk: &mut Walk) {
        let kind = self.rename_type();
        let more = if kind == pg::ObjectType::ObjectRole { ROLE } else { renaming_code(kind) };
        walk.commands(objects::altering(kind), ALTER | more);
        walk.with_access(Access::Define, |walk| self.relation.walk(walk));
        match Kind::of(kind) {
            Kind::Schema => {
                objects::whole_schema(&self.subname, walk);
                objects::whole_schema(&self.newname, walk);
            }
            Kind::Relation => {
                let schema = self.relation.as_ref().map(|relation| relation.schemaname.as_str());
                let schema = schema.filter(|name| !name.is_empty());
                walk.object(schema, &self.newname, Access::Define);
            }
            Kind::OfRelation | Kind::Code | Kind::Foreign | Kind::Guard | Kind::Other => {}
        }
        if let Some(object) = &self.object {
            objects::object(kind, object, walk);
        }
        self.object.walk(walk);
    }
}

impl Walked for pg::AlterObjectSchemaStmt {
    fn walk(&self, walk: &mut Walk) {
        let kind = self.object_type();
        walk.commands(objects::altering(kind), ALTER | renaming_code(kind));
        walk.with_access(Access::Define, |walk| self.relation.walk(walk));
        let own_name = self.relation.as_ref().map(|relation| relation.relname.as_str());
        let object = self.object.as_deref();
        if let Some(name) = own_name.or_else(|| object.and_then(objects::last_name)) {
            walk.object(Some(&self.newschema), name, Access::Define);
        }
        if let Some(object) = object {
            objects::object(kind, object, walk);
        }
        self.object.walk(walk);
    }
}

/// Statements about an object of a kind that the statement names.
macro_rules! about {
    ($($node:ident $kind:ident $verb:expr, $effects:expr, { $($field:ident)* })*) => {
        $(impl Walked for pg::$node {
            fn walk(&self, walk: &mut Walk) {
                let kind = self.$kind();
                walk.commands($verb(kind), $effects);
                if let Some(object) = &self.object {
                    objects::object(kind, object, walk);
                }
                walk.with_access(Access::Define, |walk| {
                    self.object.walk(walk);
                    $(self.$field.walk(walk);)*
                });
            }
        })*
    };
}

about! {
    AlterOwnerStmt object_type objects::altering, ALTER | Effects::GRANT, { relation newowner }
    AlterObjectDependsStmt object_type objects::altering, ALTER, { relation }
    AlterExtensionContentsStmt objtype |_| "ALTER EXTENSION", ALTER, {}
    CommentStmt objtype |_| "COMMENT", ALTER, {}
    SecLabelStmt objtype |_| "SECURITY LABEL", ALTER | Effects::GRANT, {}
}

impl Walked for pg::GrantStmt {
    fn walk(&self, walk: &mut Walk) {
        walk.commands(if self.is_grant { "GRANT" } else { "REVOKE" }, Effects::GRANT);
        let whole_schemas = self.targtype() == pg::GrantTargetType::AclTargetAllInSchema
            || self.objtype() == pg::ObjectType::ObjectSchema;
        for object in &self.objects {
            match &object.node {
                Some(NodeEnum::String(name)) if whole_schemas => {
                    objects::whole_schema(&name.sval, walk);
                }
                Some(NodeEnum::ObjectWithArgs(function)) => {
                    let (schema, name) = qualified(&function.objname);
                    walk.object(schema, name.unwrap_or_default(), Access::Define);
                }
                Some(_) | None => {}
            }
        }
        walk.with_access(Access::Define, |walk| self.objects.walk(walk));
        self.privileges.walk(walk);
        self.grantees.walk(walk);
        self.grantor.walk(walk);
    }
}
