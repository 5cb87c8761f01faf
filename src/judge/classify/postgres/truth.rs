//! Tells conditions that select every row, so that `WHERE true` is not taken for a selection.
//! Recovers what stands in the text; a column that happens to hold one value, or a view, or a
//! user's operator, is not seen through.

use pg_query::NodeEnum;
use pg_query::protobuf as pg;

use crate::judge::classify::postgres::tree::Walked;
use crate::judge::classify::postgres::walk::{Walk, text};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Selects {
    /// Every row, or whatever the condition says, it does not look at the row.
    All,
    /// No row.
    None,
    Some,
}

impl Selects {
    const fn inverse(self) -> Self {
        match self {
            Self::All => Self::None,
            Self::None => Self::All,
            Self::Some => Self::Some,
        }
    }
}

/// What `condition` selects. Notes in `walk` when a literal's value mattered.
pub(super) fn selects(condition: &pg::Node, walk: &mut Walk) -> Selects {
    let Some(node) = &condition.node else { return Selects::Some };
    let told = if let NodeEnum::BoolExpr(expression) = node {
        return combined(expression, walk);
    } else if let NodeEnum::AConst(constant) = node {
        of_constant(constant)
    } else if let NodeEnum::AExpr(expression) = node {
        of_operator(expression, walk)
    } else if let NodeEnum::TypeCast(cast) = node {
        return cast.arg.as_ref().map_or(Selects::Some, |arg| of_cast(arg, walk));
    } else if let NodeEnum::BooleanTest(test) = node {
        of_boolean_test(test, walk)
    } else {
        Selects::Some
    };
    if told == Selects::Some && !looks_at_rows(condition) { Selects::All } else { told }
}

fn combined(expression: &pg::BoolExpr, walk: &mut Walk) -> Selects {
    let parts: Vec<Selects> = expression.args.iter().map(|part| selects(part, walk)).collect();
    let (decisive, neutral) = match expression.boolop() {
        pg::BoolExprType::AndExpr => (Selects::None, Selects::All),
        pg::BoolExprType::OrExpr => (Selects::All, Selects::None),
        pg::BoolExprType::NotExpr => {
            return parts.first().map_or(Selects::Some, |part| part.inverse());
        }
        pg::BoolExprType::Undefined => return Selects::Some,
    };
    if parts.contains(&decisive) {
        decisive
    } else if parts.iter().all(|part| *part == neutral) {
        neutral
    } else if decisive == Selects::All && has_complements(&expression.args) {
        Selects::All
    } else {
        Selects::Some
    }
}

/// `x IS NULL OR x IS NOT NULL`, `p OR NOT p`.
fn has_complements(parts: &[pg::Node]) -> bool {
    let few = parts.get(..COMPLEMENTS_CHECKED.min(parts.len())).unwrap_or_default();
    few.iter().any(|one| few.iter().any(|other| is_complement(one, other)))
}

fn is_complement(one: &pg::Node, other: &pg::Node) -> bool {
    match (&one.node, &other.node) {
        (Some(NodeEnum::NullTest(one)), Some(NodeEnum::NullTest(other))) => {
            one.nulltesttype != other.nulltesttype && same(one.arg.as_deref(), other.arg.as_deref())
        }
        (_, Some(NodeEnum::BoolExpr(not))) if not.boolop() == pg::BoolExprType::NotExpr => {
            same(Some(one), not.args.first())
        }
        _ => false,
    }
}

const COMPLEMENTS_CHECKED: usize = 16;

fn of_constant(constant: &pg::AConst) -> Selects {
    match &constant.val {
        Some(pg::a_const::Val::Boolval(truth)) if !truth.boolval => Selects::None,
        Some(_) => Selects::All,
        None => Selects::None,
    }
}

/// `'f'::boolean` selects nothing, but its value is a literal's; only the keyword is believed.
fn of_cast(arg: &pg::Node, walk: &mut Walk) -> Selects {
    match &arg.node {
        Some(NodeEnum::AConst(constant)) => of_constant(constant),
        Some(_) | None => selects(arg, walk),
    }
}

fn of_boolean_test(test: &pg::BooleanTest, walk: &mut Walk) -> Selects {
    let inner = test.arg.as_ref().map_or(Selects::Some, |arg| selects(arg, walk));
    match test.booltesttype() {
        pg::BoolTestType::IsTrue | pg::BoolTestType::IsNotFalse => inner,
        pg::BoolTestType::IsFalse | pg::BoolTestType::IsNotTrue => inner.inverse(),
        pg::BoolTestType::Undefined
        | pg::BoolTestType::IsUnknown
        | pg::BoolTestType::IsNotUnknown => Selects::Some,
    }
}

fn of_operator(expression: &pg::AExpr, walk: &mut Walk) -> Selects {
    let (left, right) = (expression.lexpr.as_deref(), expression.rexpr.as_deref());
    let operator = expression.name.last().and_then(text).unwrap_or_default();
    match expression.kind() {
        pg::AExprKind::AexprOp => match (left.and_then(integer), right.and_then(integer)) {
            (Some(left), Some(right)) => {
                walk.read_literal();
                of_numbers(left, operator, right)
            }
            _ if matches!(operator, "=" | "<=" | ">=" | "~~" | "~~*") && same(left, right) => {
                Selects::All
            }
            _ => Selects::Some,
        },
        pg::AExprKind::AexprNotDistinct if same(left, right) => Selects::All,
        pg::AExprKind::AexprIn if operator == "=" && is_in_itself(left, right) => Selects::All,
        pg::AExprKind::AexprLike | pg::AExprKind::AexprIlike if operator.starts_with('~') => {
            let everything = right.and_then(string).map(|pattern| {
                walk.read_literal();
                !pattern.is_empty() && pattern.bytes().all(|byte| byte == b'%')
            });
            if everything == Some(true) || same(left, right) { Selects::All } else { Selects::Some }
        }
        pg::AExprKind::AexprBetween | pg::AExprKind::AexprBetweenSym
            if items(right).all(|bound| same(left, Some(bound))) =>
        {
            Selects::All
        }
        pg::AExprKind::Undefined
        | pg::AExprKind::AexprOpAny
        | pg::AExprKind::AexprOpAll
        | pg::AExprKind::AexprDistinct
        | pg::AExprKind::AexprNotDistinct
        | pg::AExprKind::AexprNullif
        | pg::AExprKind::AexprIn
        | pg::AExprKind::AexprLike
        | pg::AExprKind::AexprIlike
        | pg::AExprKind::AexprSimilar
        | pg::AExprKind::AexprBetween
        | pg::AExprKind::AexprNotBetween
        | pg::AExprKind::AexprBetweenSym
        | pg::AExprKind::AexprNotBetweenSym => Selects::Some,
    }
}

fn of_numbers(left: i32, operator: &str, right: i32) -> Selects {
    let holds = match operator {
        "=" => left == right,
        "<>" => left != right,
        "<" => left < right,
        "<=" => left <= right,
        ">" => left > right,
        ">=" => left >= right,
        _ => true,
    };
    if holds { Selects::All } else { Selects::None }
}

fn integer(node: &pg::Node) -> Option<i32> {
    match &node.node {
        Some(NodeEnum::AConst(pg::AConst {
            val: Some(pg::a_const::Val::Ival(number)), ..
        })) => Some(number.ival),
        Some(_) | None => None,
    }
}

fn string(node: &pg::Node) -> Option<&str> {
    match &node.node {
        Some(NodeEnum::AConst(pg::AConst { val: Some(pg::a_const::Val::Sval(text)), .. })) => {
            Some(&text.sval)
        }
        Some(_) | None => None,
    }
}

fn items(node: Option<&pg::Node>) -> impl Iterator<Item = &pg::Node> {
    let list = match node.and_then(|node| node.node.as_ref()) {
        Some(NodeEnum::List(list)) => Some(&list.items),
        Some(_) | None => None,
    };
    list.into_iter().flatten()
}

fn is_in_itself(left: Option<&pg::Node>, right: Option<&pg::Node>) -> bool {
    items(right).any(|item| same(left, Some(item)))
}

/// True if both are the same expression over columns; `id` and `t.id` are taken for the same.
fn same(left: Option<&pg::Node>, right: Option<&pg::Node>) -> bool {
    let (Some(left), Some(right)) = (left, right) else { return false };
    match (&left.node, &right.node) {
        (Some(NodeEnum::ColumnRef(left)), Some(NodeEnum::ColumnRef(right))) => {
            let mut pairs = left.fields.iter().rev().zip(right.fields.iter().rev());
            pairs.all(|(left, right)| left == right)
        }
        (Some(NodeEnum::AExpr(left)), Some(NodeEnum::AExpr(right))) => {
            left.kind == right.kind
                && left.name == right.name
                && same(left.lexpr.as_deref(), right.lexpr.as_deref())
                && same(left.rexpr.as_deref(), right.rexpr.as_deref())
        }
        (Some(NodeEnum::TypeCast(left)), _) => same(left.arg.as_deref(), Some(right)),
        (_, Some(NodeEnum::TypeCast(right))) => same(Some(left), right.arg.as_deref()),
        (Some(NodeEnum::NullTest(left)), Some(NodeEnum::NullTest(right))) => {
            left.nulltesttype == right.nulltesttype
                && same(left.arg.as_deref(), right.arg.as_deref())
        }
        _ => false,
    }
}

/// False if nothing in the expression depends on the row: no column, and no cursor's position.
fn looks_at_rows(node: &pg::Node) -> bool {
    let mut columns = Walk::new();
    node.walk(&mut columns);
    columns.columns_seen > 0
}
