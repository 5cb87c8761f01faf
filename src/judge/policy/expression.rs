//! `cel` conditions: what the language of policies has no key for, in the Common Expression
//! Language. Knows what may stand in an expression and what its variables are worth. What cannot
//! be evaluated counts to the stricter side: a rule that denies or holds matches, one that allows
//! does not.
//!
//! A value that the statement leaves open is absent, not empty: an expression that needs the schema
//! of an unqualified name has no outcome, and so takes the stricter side as well.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock, OnceLock};

use cel::common::ast::{ComprehensionExpr, EntryExpr, Expr, LiteralValue, operators};
use cel::common::types::{CelBool, CelList, CelMap, CelMapKey, CelString};
use cel::common::value::{CowVal, Val};
use cel::context::VariableResolver;
use cel::{Context, Env, ExecutionError, IdedExpr, Program, Value};

use crate::judge::policy::condition::{SERVERS_OWN, Side, names_its_code};
use crate::judge::policy::decide::Circumstances;
use crate::judge::policy::problem::{Fault, nearest};
use crate::limits::{
    EXPRESSION_BYTES_MAX, EXPRESSION_DEPTH_MAX, EXPRESSION_ITEMS_MAX, PARSED_TEXT_BYTES_MAX,
};
use crate::model::facts::{Access, Facts, Origin};
use crate::model::identity::{ClaimValue, Claims};

/// One `cel = "…"`.
#[derive(Debug)]
pub(super) struct Expression {
    source: Box<str>,
    program: Program,
    /// It asks for nothing that differs between the commands of a session.
    of_session: bool,
}

impl Expression {
    pub(super) fn compile(source: &str, side: Side) -> Result<Self, Fault> {
        if source.len() > EXPRESSION_BYTES_MAX {
            return Err(bad(format!("it is longer than {EXPRESSION_BYTES_MAX} bytes")));
        }
        let program = LANGUAGE.compile(source).map_err(|errors| {
            let first = errors.errors.first().map(|error| {
                let (line, column) = error.pos;
                format!("line {line}, column {column}: {}", error.msg)
            });
            bad(first.unwrap_or_else(|| "it cannot be read".to_owned()))
        })?;
        let mut walk = Walk { side, local: Vec::new(), loops: 0, asked: Vec::new() };
        walk.expression(program.expression(), 0)?;
        if walk.asked.is_empty() {
            return Err(bad("it asks for nothing, so it decides nothing".to_owned()));
        }
        if !may_be_boolean(&program.expression().expr) {
            return Err(bad("it is not a condition: its value is never true or false".to_owned()));
        }
        let of_session = walk.asked.iter().all(|name| SESSION_VARIABLES.contains(name));
        Ok(Self { source: source.into(), program, of_session })
    }

    pub(super) const fn source(&self) -> &str {
        &self.source
    }

    pub(super) const fn is_of_session(&self) -> bool {
        self.of_session
    }

    /// Of an expression that asks for the session alone.
    pub(super) fn holds_for(&self, side: Side, scene: &Scene) -> bool {
        counts(&self.evaluate(&scene.context), side)
    }

    pub(super) fn holds(&self, side: Side, scene: &Scene, facts: &Facts, text: &[u8]) -> bool {
        counts(&self.outcome(side, scene, facts, text), side)
    }

    pub(super) fn outcome(
        &self,
        side: Side,
        scene: &Scene,
        facts: &Facts,
        text: &[u8],
    ) -> Result<bool, Unclear> {
        let command = Command::new(side, facts, text);
        let mut context = scene.context.new_inner_scope();
        context.set_variable_resolver(&command);
        self.evaluate(&context)
    }

    fn evaluate(&self, context: &Context<'_, '_>) -> Result<bool, Unclear> {
        let value = Value::resolve_val(self.program.expression(), context)?;
        value.downcast_ref::<CelBool>().map(|value| *value.inner()).ok_or(Unclear::NotBoolean)
    }
}

/// What an outcome comes to on a side.
pub(super) fn counts(outcome: &Result<bool, Unclear>, side: Side) -> bool {
    outcome.as_ref().map_or(side == Side::Deny, |holds| *holds)
}

/// Why an expression has no outcome. Never a value of the statement.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Unclear {
    #[error("there is no `{name}`")]
    Absent { name: String },
    #[error("the outcome is neither true nor false")]
    NotBoolean,
    #[error("values do not fit their operators")]
    Mismatch,
}

impl From<ExecutionError> for Unclear {
    fn from(error: ExecutionError) -> Self {
        if let ExecutionError::NoSuchKey(name) | ExecutionError::UndeclaredReference(name) = error {
            Self::Absent { name: name.to_string() }
        } else {
            Self::Mismatch
        }
    }
}

/// The standard library and its macros: no extensions, nothing that reads a clock.
static LANGUAGE: LazyLock<Arc<Env>> =
    LazyLock::new(|| Arc::new(Env::stdlib().with_optional_support(false)));

/// The variables that a session is worth, made once.
pub(super) struct Scene {
    context: Context<'static, 'static>,
}

impl Scene {
    pub(super) fn new(circumstances: &Circumstances<'_>) -> Self {
        let mut context = Context::with_env(Arc::clone(&LANGUAGE));
        let texts = [
            ("account", &*circumstances.principal.account),
            ("target", circumstances.target),
            ("database", circumstances.database),
        ];
        for (name, value) in texts {
            context.add_variable_as_val(name, owned(value));
        }
        let labels = circumstances.labels.iter();
        let labels = labels.map(|(name, value)| (key(name), owned(value))).collect();
        context.add_variable_as_val("labels", map(labels));
        context.add_variable_as_val("claims", claims(&circumstances.principal.claims));
        Self { context }
    }
}

impl std::fmt::Debug for Scene {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Scene").finish_non_exhaustive()
    }
}

type Entries<'v> = HashMap<CelMapKey<'v>, Box<dyn Val + 'v>>;

/// Every claim by its full name, and nested ones by the parts of their names as well. Where a part
/// is the name of a claim, the claim stands.
fn claims(claims: &Claims) -> Box<dyn Val> {
    nested(claims, "", |name| claims.contains_key(name))
}

fn nested(claims: &Claims, prefix: &str, is_claim: impl Fn(&str) -> bool + Copy) -> Box<dyn Val> {
    let mut entries = Entries::new();
    for (name, value) in claims.iter().filter(|(name, _)| name.starts_with(prefix)) {
        let rest = name.get(prefix.len()..).unwrap_or_default();
        entries.insert(key(rest), claim(value));
        let Some((part, _)) = rest.split_once('.') else { continue };
        let whole = format!("{prefix}{part}");
        if !is_claim(&whole) && !entries.contains_key(&key(part)) {
            entries.insert(key(part), nested(claims, &format!("{whole}."), is_claim));
        }
    }
    map(entries)
}

fn claim(value: &ClaimValue) -> Box<dyn Val> {
    match value {
        ClaimValue::Text(text) => owned(text),
        ClaimValue::List(texts) => list(texts.iter().map(|text| owned(text)).collect()),
    }
}

/// The variables that a command is worth, each made when it is first asked for.
struct Command<'c> {
    side: Side,
    facts: &'c Facts,
    text: &'c [u8],
    values: [OnceLock<Option<Box<dyn Val + 'c>>>; COMMAND_VARIABLES.len()],
}

/// Variables that differ between commands.
const COMMAND_VARIABLES: [&str; 6] = ["effects", "flags", "verbs", "objects", "functions", "text"];
const SESSION_VARIABLES: [&str; 5] = ["claims", "account", "target", "database", "labels"];

impl<'c> Command<'c> {
    fn new(side: Side, facts: &'c Facts, text: &'c [u8]) -> Self {
        Self { side, facts, text, values: [const { OnceLock::new() }; COMMAND_VARIABLES.len()] }
    }

    /// `None` where it cannot be told, or would be too much to go through.
    fn value(&self, name: &str) -> Option<Box<dyn Val + 'c>> {
        let statements = &self.facts.statements;
        match name {
            "effects" => items(self.facts.effects.names().map(borrowed)),
            "flags" => items(self.facts.flags.names().map(borrowed)),
            "text" if self.text.len() <= PARSED_TEXT_BYTES_MAX => {
                std::str::from_utf8(self.text).ok().map(borrowed)
            }
            _ if self.side == Side::Allow && self.facts.unknown.is_some() => None,
            "verbs" => items(statements.iter().map(|statement| borrowed(statement.verb))),
            "objects" => items(statements.iter().flat_map(|s| &s.relations).map(|relation| {
                let access = match relation.access {
                    Access::Read => "read",
                    Access::Write => "write",
                    Access::Define => "define",
                };
                let mut entries = Entries::from([(key("access"), borrowed(access))]);
                put(&mut entries, "schema", relation.schema.as_deref());
                // A whole schema is all of its objects, none of them by name.
                put(&mut entries, "name", Some(&*relation.name).filter(|name| *name != "*"));
                map(entries)
            })),
            "functions" if self.side == Side::Deny || names_its_code(self.facts) => {
                let functions = statements.iter().flat_map(|s| &s.functions);
                items(functions.map(|function| {
                    let is_servers = function.origin == Origin::Server;
                    let mut entries = Entries::from([(key("name"), borrowed(&function.name))]);
                    // What a search path makes of an unqualified name is the server's own or not.
                    let assumed = (is_servers && self.side == Side::Allow).then_some(SERVERS_OWN);
                    put(&mut entries, "schema", function.schema.as_deref().or(assumed));
                    entries.insert(key("builtin"), Box::new(CelBool::from(is_servers)));
                    map(entries)
                }))
            }
            _ => None,
        }
    }
}

impl VariableResolver for Command<'_> {
    fn resolve<'b>(&'b self, name: &str) -> Option<CowVal<'b, 'b>> {
        let index = COMMAND_VARIABLES.iter().position(|variable| *variable == name)?;
        let value = self.values.get(index)?.get_or_init(|| self.value(name));
        value.as_deref().map(CowVal::Borrowed)
    }
}

fn key<'v>(name: &str) -> CelMapKey<'v> {
    CelMapKey::from(name.to_owned())
}

fn owned<'v>(text: &str) -> Box<dyn Val + 'v> {
    Box::new(CelString::from(text.to_owned()))
}

fn borrowed<'v>(text: &'v str) -> Box<dyn Val + 'v> {
    Box::new(CelString::from(text))
}

/// Items to go through, unless they are too many.
fn items<'v>(items: impl Iterator<Item = Box<dyn Val + 'v>>) -> Option<Box<dyn Val + 'v>> {
    let items: Vec<_> = items.take(EXPRESSION_ITEMS_MAX + 1).collect();
    (items.len() <= EXPRESSION_ITEMS_MAX).then(|| list(items))
}

fn list<'v>(items: Vec<Box<dyn Val + 'v>>) -> Box<dyn Val + 'v> {
    Box::new(CelList::from(items))
}

fn map<'v>(entries: Entries<'v>) -> Box<dyn Val + 'v> {
    Box::new(CelMap::from(entries))
}

fn put<'v>(entries: &mut Entries<'v>, name: &str, value: Option<&'v str>) {
    if let Some(value) = value {
        entries.insert(key(name), borrowed(value));
    }
}

/// Goes through an expression before it is ever evaluated.
struct Walk<'e> {
    side: Side,
    /// Names that loops bind, innermost last.
    local: Vec<&'e str>,
    loops: usize,
    /// The variables that it asks for.
    asked: Vec<&'e str>,
}

impl<'e> Walk<'e> {
    fn expression(&mut self, expression: &'e IdedExpr, depth: usize) -> Result<(), Fault> {
        if depth > EXPRESSION_DEPTH_MAX {
            return Err(bad("it is nested too deeply".to_owned()));
        }
        let depth = depth + 1;
        match &expression.expr {
            Expr::Literal(_) => Ok(()),
            Expr::Ident(name) => self.name(name),
            Expr::Select(select) => self.expression(&select.operand, depth),
            Expr::List(list) => list.elements.iter().try_for_each(|it| self.expression(it, depth)),
            Expr::Map(map) => map.entries.iter().try_for_each(|entry| match &entry.expr {
                EntryExpr::StructField(field) => self.expression(&field.value, depth),
                EntryExpr::MapEntry(entry) => {
                    self.expression(&entry.key, depth)?;
                    self.expression(&entry.value, depth)
                }
            }),
            Expr::Call(call) => {
                function(&call.func_name)?;
                let parts = call.target.as_deref().into_iter().chain(&call.args);
                parts.into_iter().try_for_each(|part| self.expression(part, depth))
            }
            Expr::Comprehension(comprehension) => self.comprehension(comprehension, depth),
            Expr::Struct(_) | Expr::Unspecified => {
                Err(bad("values of named types are not made here".to_owned()))
            }
        }
    }

    fn comprehension(&mut self, it: &'e ComprehensionExpr, depth: usize) -> Result<(), Fault> {
        if self.loops > 0 {
            return Err(bad("it goes through a list for each item of another".to_owned()));
        }
        self.expression(&it.iter_range, depth)?;
        self.expression(&it.accu_init, depth)?;
        self.local.push(&it.accu_var);
        self.expression(&it.result, depth)?;
        self.local.push(&it.iter_var);
        self.local.extend(it.iter_var2.as_deref());
        self.loops += 1;
        self.expression(&it.loop_cond, depth)?;
        self.expression(&it.loop_step, depth)?;
        self.loops -= 1;
        let bound = 2 + usize::from(it.iter_var2.is_some());
        self.local.truncate(self.local.len().saturating_sub(bound));
        Ok(())
    }

    fn name(&mut self, written: &'e str) -> Result<(), Fault> {
        let name = written.trim_start_matches('.');
        if self.local.contains(&written) || TYPES.contains(&name) {
            return Ok(());
        }
        let known = || COMMAND_VARIABLES.into_iter().chain(SESSION_VARIABLES);
        if !known().any(|variable| variable == name) {
            return Err(Fault::NoSuchName {
                kind: "variable",
                name: name.to_owned(),
                nearest: nearest(name, known()),
            });
        }
        if name == "text" && self.side == Side::Allow {
            return Err(Fault::AllowByAny { condition: "text in cel" });
        }
        if name == "text" && self.loops > 0 {
            return Err(bad("it goes through the text for each item of a list".to_owned()));
        }
        self.asked.push(name);
        Ok(())
    }
}

fn function(name: &str) -> Result<(), Fault> {
    if OPERATORS.contains(&name) || FUNCTIONS.contains(&name) {
        return Ok(());
    }
    let name = name.to_owned();
    Err(Fault::NoSuchName { kind: "function", nearest: nearest(&name, FUNCTIONS), name })
}

/// False if the outcome can only be something else than true or false.
fn may_be_boolean(expression: &Expr) -> bool {
    match expression {
        Expr::Literal(literal) => matches!(literal, LiteralValue::Boolean(_)),
        Expr::Select(select) => select.test,
        Expr::Call(call) => {
            let made = &*call.func_name;
            !ARITHMETIC.contains(&made)
                && !["size", "int", "uint", "double", "string"].contains(&made)
        }
        Expr::Comprehension(it) => {
            let sums_up = matches!(it.result.expr, Expr::Ident(_));
            may_be_boolean(if sums_up { &it.accu_init.expr } else { &it.result.expr })
        }
        Expr::Ident(_) | Expr::List(_) | Expr::Map(_) | Expr::Struct(_) | Expr::Unspecified => {
            false
        }
    }
}

fn bad(reason: String) -> Fault {
    Fault::BadExpression { reason }
}

const ARITHMETIC: [&str; 6] = [
    operators::ADD,
    operators::SUBSTRACT,
    operators::MULTIPLY,
    operators::DIVIDE,
    operators::MODULO,
    operators::NEGATE,
];

const OPERATORS: [&str; 19] = [
    operators::CONDITIONAL,
    operators::LOGICAL_AND,
    operators::LOGICAL_OR,
    operators::LOGICAL_NOT,
    operators::ADD,
    operators::SUBSTRACT,
    operators::MULTIPLY,
    operators::DIVIDE,
    operators::MODULO,
    operators::NEGATE,
    operators::EQUALS,
    operators::NOT_EQUALS,
    operators::GREATER_EQUALS,
    operators::LESS_EQUALS,
    operators::GREATER,
    operators::LESS,
    operators::INDEX,
    operators::IN,
    operators::NOT_STRICTLY_FALSE,
];

/// `matches` is not among them: it would compile its pattern at each evaluation.
const FUNCTIONS: [&str; 11] = [
    "size",
    "contains",
    "startsWith",
    "endsWith",
    "type",
    "bool",
    "int",
    "uint",
    "double",
    "string",
    "dyn",
];

const TYPES: [&str; 9] =
    ["bool", "int", "uint", "double", "string", "bytes", "list", "map", "null_type"];
