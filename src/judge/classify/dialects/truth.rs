//! Tells conditions that select every row, as far as the text goes: `WHERE 1`, `WHERE id = id`,
//! `WHERE 1 = 1 OR x`. Values of columns, and what functions give, are not seen through.

use std::ops::ControlFlow;

use sqlparser::ast::{BinaryOperator as B, Expr, UnaryOperator, Value, Visit, Visitor};

#[derive(Clone, Copy, PartialEq, Eq)]
enum Selects {
    All,
    None,
    Some,
}

/// True if `condition` lets every row pass.
pub(super) fn selects_all(condition: &Expr) -> bool {
    selects(condition) == Selects::All
}

fn selects(condition: &Expr) -> Selects {
    let told = told(condition);
    // What does not look at the row says the same of each of them.
    if told == Selects::Some && !looks_at_rows(condition) { Selects::All } else { told }
}

fn told(condition: &Expr) -> Selects {
    if let Expr::Nested(inner) = condition {
        return selects(inner);
    }
    if let Expr::UnaryOp { op: UnaryOperator::Not | UnaryOperator::BangNot, expr } = condition {
        return match selects(expr) {
            Selects::All => Selects::None,
            Selects::None => Selects::All,
            Selects::Some => Selects::Some,
        };
    }
    if let Expr::Value(value) = condition {
        return of_value(&value.value);
    }
    if let Expr::IsNull(one) = condition {
        return if looks_at_rows(one) { Selects::Some } else { Selects::All };
    }
    if let Expr::Between { expr, negated: false, low, high } = condition {
        return if expr == low && expr == high { Selects::All } else { Selects::Some };
    }
    if let Expr::InList { expr, list, negated: false } = condition {
        return if list.contains(expr) { Selects::All } else { Selects::Some };
    }
    if let Expr::Like { expr, pattern, negated: false, .. } = condition {
        return like(expr, pattern);
    }
    let Expr::BinaryOp { left, op, right } = condition else { return Selects::Some };
    if is_or(op) {
        let (left_selects, right_selects) = (selects(left), selects(right));
        return match (left_selects, right_selects) {
            (Selects::All, _) | (_, Selects::All) => Selects::All,
            (Selects::None, Selects::None) => Selects::None,
            _ if is_complement(left, right) || is_complement(right, left) => Selects::All,
            _ => Selects::Some,
        };
    }
    if is_and(op) {
        return match (selects(left), selects(right)) {
            (Selects::None, _) | (_, Selects::None) => Selects::None,
            (Selects::All, Selects::All) => Selects::All,
            _ => Selects::Some,
        };
    }
    comparison(left, op, right)
}

fn of_value(value: &Value) -> Selects {
    let zero = |digits: &str| digits.bytes().all(|digit| matches!(digit, b'0' | b'.'));
    let never = matches!(value, Value::Boolean(false) | Value::Null)
        || matches!(value, Value::Number(digits, _) if zero(digits));
    if never { Selects::None } else { Selects::All }
}

fn is_or(op: &B) -> bool {
    matches!(op, B::Or | B::StringConcat)
}

fn is_and(op: &B) -> bool {
    matches!(op, B::And)
}

fn is_complement(one: &Expr, other: &Expr) -> bool {
    if let Expr::UnaryOp { op: UnaryOperator::Not, expr } = other {
        return bare(expr) == bare(one);
    }
    match (bare(one), bare(other)) {
        (Expr::IsNull(one), Expr::IsNotNull(other)) => one == other,
        _ => false,
    }
}

fn bare(expression: &Expr) -> &Expr {
    if let Expr::Nested(inner) = expression { bare(inner) } else { expression }
}

fn like(expression: &Expr, pattern: &Expr) -> Selects {
    if let Expr::Value(value) = pattern
        && let Value::SingleQuotedString(text) | Value::DoubleQuotedString(text) = &value.value
        && !text.is_empty()
        && text.bytes().all(|byte| byte == b'%')
    {
        return Selects::All;
    }
    if expression == pattern { Selects::All } else { Selects::Some }
}

fn comparison(left: &Expr, op: &B, right: &Expr) -> Selects {
    let (left, right) = (bare(left), bare(right));
    if matches!(op, B::Eq | B::LtEq | B::GtEq | B::Spaceship) && same(left, right) {
        return Selects::All;
    }
    let (Some(one), Some(other)) = (integer(left), integer(right)) else { return Selects::Some };
    let comparisons = [
        (B::Eq, one == other),
        (B::Spaceship, one == other),
        (B::NotEq, one != other),
        (B::Lt, one < other),
        (B::LtEq, one <= other),
        (B::Gt, one > other),
        (B::GtEq, one >= other),
    ];
    let holds = comparisons.iter().find(|(known, _)| known == op).is_none_or(|(_, holds)| *holds);
    if holds { Selects::All } else { Selects::None }
}

/// `id` and `t.id` are taken for the same.
fn same(left: &Expr, right: &Expr) -> bool {
    let column = |expression: &Expr| -> Vec<String> {
        if let Expr::Identifier(ident) = expression {
            return vec![ident.value.to_lowercase()];
        }
        let Expr::CompoundIdentifier(parts) = expression else { return Vec::new() };
        parts.iter().rev().map(|part| part.value.to_lowercase()).collect()
    };
    let (one, other) = (column(left), column(right));
    if one.is_empty() || other.is_empty() {
        return left == right;
    }
    one.iter().zip(&other).all(|(one, other)| one == other)
}

fn integer(expression: &Expr) -> Option<i64> {
    let Expr::Value(value) = expression else { return None };
    let Value::Number(digits, _) = &value.value else { return None };
    digits.parse().ok()
}

/// False if nothing in the expression depends on the row.
fn looks_at_rows(expression: &Expr) -> bool {
    struct Columns;
    impl Visitor for Columns {
        type Break = ();
        fn pre_visit_expr(&mut self, expression: &Expr) -> ControlFlow<()> {
            let variable =
                matches!(expression, Expr::Identifier(one) if one.value.starts_with('@'));
            let column = matches!(
                expression,
                Expr::Identifier(_) | Expr::CompoundIdentifier(_) | Expr::MatchAgainst { .. }
            );
            if column && !variable { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        }
    }
    expression.visit(&mut Columns).is_break()
}
