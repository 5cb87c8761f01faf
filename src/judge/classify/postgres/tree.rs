//! Leads a walk through the parts of every node that the grammar can build. Knows which fields
//! hold further nodes; what a node means is in `reads`, `writes`, `defines` and `session`.

use pg_query::NodeEnum;
use pg_query::protobuf as pg;

use crate::judge::classify::postgres::walk::Walk;

/// A part of the tree, able to show itself and everything below it to a walk.
pub(super) trait Walked {
    fn walk(&self, walk: &mut Walk);
}

impl<T: Walked> Walked for Option<T> {
    fn walk(&self, walk: &mut Walk) {
        if let Some(part) = self {
            part.walk(walk);
        }
    }
}

impl<T: Walked> Walked for Box<T> {
    fn walk(&self, walk: &mut Walk) {
        (**self).walk(walk);
    }
}

impl<T: Walked> Walked for Vec<T> {
    fn walk(&self, walk: &mut Walk) {
        for part in self {
            part.walk(walk);
        }
    }
}

impl Walked for pg::Node {
    fn walk(&self, walk: &mut Walk) {
        walk.passed();
        if let Some(node) = &self.node {
            node.walk(walk);
        }
    }
}

/// Nodes whose meaning is that of their parts.
macro_rules! transparent {
    ($($node:ident { $($field:ident)* })*) => {
        $(impl Walked for pg::$node {
            fn walk(&self, _walk: &mut Walk) {
                $(self.$field.walk(_walk);)*
            }
        })*
    };
}

/// The whole choice of nodes. Without a wildcard, so that a grammar with a new node does not
/// compile until somebody has said what it does.
macro_rules! choice {
    (known: $($known:ident)*; foreign: $($foreign:ident)*;) => {
        impl Walked for NodeEnum {
            fn walk(&self, walk: &mut Walk) {
                match self {
                    $(Self::$known(node) => node.walk(walk),)*
                    $(Self::$foreign(_) => walk.unlisted(),)*
                }
            }
        }
    };
}

choice! {
    known:
        MergeSupportFunc JsonArrayQueryConstructor AlterExtensionContentsStmt AlterObjectDependsStmt Alias RangeVar IntoClause GroupingFunc NamedArgExpr BoolExpr SubLink CaseExpr
        CaseWhen RowExpr CoalesceExpr MinMaxExpr SqlvalueFunction XmlExpr JsonFormat
        JsonReturning JsonValueExpr JsonIsPredicate JsonBehavior NullTest BooleanTest
        SetToDefault CurrentOfExpr JoinExpr TypeName ColumnRef ParamRef AExpr TypeCast
        CollateClause RoleSpec FuncCall AStar AIndices AIndirection AArrayExpr ResTarget
        MultiAssignRef SortBy WindowDef RangeSubselect RangeFunction RangeTableFunc
        RangeTableFuncCol RangeTableSample ColumnDef TableLikeClause IndexElem DefElem
        LockingClause XmlSerialize PartitionElem PartitionSpec PartitionBoundSpec
        PartitionRangeDatum PartitionCmd GroupingSet WithClause InferClause
        OnConflictClause CtesearchClause CtecycleClause CommonTableExpr MergeWhenClause
        ReturningOption ReturningClause TriggerTransition JsonOutput JsonArgument
        JsonFuncExpr JsonTablePathSpec JsonTable JsonTableColumn JsonKeyValue
        JsonParseExpr JsonScalarExpr JsonSerializeExpr JsonObjectConstructor
        JsonArrayConstructor JsonAggConstructor JsonObjectAgg JsonArrayAgg RawStmt
        InsertStmt DeleteStmt UpdateStmt MergeStmt SelectStmt ReturnStmt PlassignStmt
        CreateSchemaStmt AlterTableStmt AlterTableCmd AtalterConstraint
        ReplicaIdentityStmt AlterCollationStmt AlterDomainStmt GrantStmt ObjectWithArgs
        AccessPriv GrantRoleStmt AlterDefaultPrivilegesStmt CopyStmt VariableSetStmt
        VariableShowStmt CreateStmt Constraint CreateTableSpaceStmt DropTableSpaceStmt
        AlterTableSpaceOptionsStmt AlterTableMoveAllStmt CreateExtensionStmt
        AlterExtensionStmt CreateFdwStmt AlterFdwStmt CreateForeignServerStmt
        AlterForeignServerStmt CreateForeignTableStmt CreateUserMappingStmt
        AlterUserMappingStmt DropUserMappingStmt ImportForeignSchemaStmt
        CreatePolicyStmt AlterPolicyStmt CreateAmStmt CreateTrigStmt CreateEventTrigStmt
        AlterEventTrigStmt CreatePlangStmt CreateRoleStmt AlterRoleStmt AlterRoleSetStmt
        DropRoleStmt CreateSeqStmt AlterSeqStmt DefineStmt CreateDomainStmt
        CreateOpClassStmt CreateOpClassItem CreateOpFamilyStmt AlterOpFamilyStmt
        DropStmt TruncateStmt CommentStmt SecLabelStmt DeclareCursorStmt ClosePortalStmt
        FetchStmt IndexStmt CreateStatsStmt StatsElem AlterStatsStmt CreateFunctionStmt
        FunctionParameter AlterFunctionStmt DoStmt CallStmt RenameStmt
        AlterObjectSchemaStmt AlterOwnerStmt AlterOperatorStmt AlterTypeStmt RuleStmt
        NotifyStmt ListenStmt UnlistenStmt TransactionStmt CompositeTypeStmt
        CreateEnumStmt CreateRangeStmt AlterEnumStmt ViewStmt LoadStmt CreatedbStmt
        AlterDatabaseStmt AlterDatabaseRefreshCollStmt AlterDatabaseSetStmt DropdbStmt
        AlterSystemStmt ClusterStmt VacuumStmt VacuumRelation ExplainStmt
        CreateTableAsStmt RefreshMatViewStmt CheckPointStmt DiscardStmt LockStmt
        ConstraintsSetStmt ReindexStmt CreateConversionStmt CreateCastStmt
        CreateTransformStmt PrepareStmt ExecuteStmt DeallocateStmt DropOwnedStmt
        ReassignOwnedStmt AlterTsdictionaryStmt AlterTsconfigurationStmt
        PublicationTable PublicationObjSpec CreatePublicationStmt AlterPublicationStmt
        CreateSubscriptionStmt AlterSubscriptionStmt DropSubscriptionStmt Integer Float
        Boolean String BitString List AConst;
    // Nodes that only the server's later stages build.
    foreign:
        TableFunc Var Param Aggref WindowFunc SubscriptingRef FuncExpr
        OpExpr DistinctExpr NullIfExpr ScalarArrayOpExpr SubPlan AlternativeSubPlan
        FieldSelect FieldStore RelabelType CoerceViaIo ArrayCoerceExpr
        ConvertRowtypeExpr CollateExpr CaseTestExpr ArrayExpr RowCompareExpr
        JsonConstructorExpr JsonExpr JsonTablePath JsonTablePathScan
        JsonTableSiblingJoin MergeAction CoerceToDomain CoerceToDomainValue
        NextValueExpr InferenceElem ReturningExpr TargetEntry RangeTblRef FromExpr
        OnConflictExpr Query RangeTblEntry RtepermissionInfo RangeTblFunction
        TableSampleClause WithCheckOption SortGroupClause WindowClause RowMarkClause
        SetOperationStmt CallContext InlineCodeBlock IntList OidList
        WindowFuncRunCondition;
}

transparent! {
    Alias { colnames }
    GroupingFunc { args refs }
    NamedArgExpr { arg }
    BoolExpr { args }
    SubLink { testexpr oper_name subselect }
    CaseExpr { arg args defresult }
    CaseWhen { expr result }
    RowExpr { args colnames }
    CoalesceExpr { args }
    MinMaxExpr { args }
    MergeSupportFunc {}
    SqlValueFunction {}
    XmlExpr { named_args arg_names args }
    JsonFormat {}
    JsonReturning { format }
    JsonValueExpr { raw_expr formatted_expr format }
    JsonIsPredicate { expr format }
    JsonBehavior { expr }
    NullTest { arg }
    BooleanTest { arg }
    SetToDefault {}
    JoinExpr { larg rarg using_clause join_using_alias quals alias }
    ParamRef {}
    CollateClause { arg collname }
    RoleSpec {}
    AStar {}
    AIndices { lidx uidx }
    AArrayExpr { elements }
    ResTarget { indirection val }
    MultiAssignRef { source }
    SortBy { node use_op }
    RangeSubselect { subquery alias }
    RangeTableFunc { docexpr rowexpr namespaces columns alias }
    RangeTableFuncCol { type_name colexpr coldefexpr }
    IndexElem { expr collation opclass opclassopts }
    XmlSerialize { expr type_name }
    PartitionElem { expr collation opclass }
    PartitionSpec { part_params }
    PartitionBoundSpec { listdatums lowerdatums upperdatums }
    PartitionRangeDatum { value }
    PartitionCmd { name bound }
    GroupingSet { content }
    InferClause { index_elems where_clause }
    OnConflictClause { infer target_list where_clause }
    CteSearchClause { search_col_list }
    CteCycleClause { cycle_col_list cycle_mark_value cycle_mark_default }
    MergeWhenClause { condition target_list values }
    ReturningOption {}
    ReturningClause { options exprs }
    TriggerTransition {}
    JsonOutput { type_name returning }
    JsonArgument { val }
    JsonFuncExpr { context_item pathspec passing output on_empty on_error }
    JsonTablePathSpec { string }
    JsonTable { context_item pathspec passing columns on_error alias }
    JsonTableColumn { type_name pathspec format columns on_empty on_error }
    JsonKeyValue { key value }
    JsonParseExpr { expr output }
    JsonScalarExpr { expr output }
    JsonSerializeExpr { expr output }
    JsonObjectConstructor { exprs output }
    JsonArrayConstructor { exprs output }
    JsonArrayQueryConstructor { query output format }
    JsonAggConstructor { output agg_filter agg_order over }
    JsonObjectAgg { constructor arg }
    JsonArrayAgg { constructor arg }
    AtAlterConstraint {}
    ObjectWithArgs { objname objargs objfuncargs }
    AccessPriv { cols }
    StatsElem { expr }
    FunctionParameter { arg_type defexpr }
    VacuumRelation { relation va_cols }
    PublicationTable { relation where_clause columns }
    PublicationObjSpec { pubtable }
    List { items }
    DefElem { arg }
    AConst {}
    Integer {}
    Float {}
    Boolean {}
    String {}
    BitString {}
}
