//! Where a statement begins to matter, what row of the words it opens, and where it ends. A semicolon
//! ends it; in T-SQL the next statement may follow without any.

use crate::judge::classify::dialects::Dialect;
use crate::judge::classify::dialects::lex::Kind;
use crate::judge::classify::dialects::view::View;
use crate::judge::classify::dialects::words::{self, Family, Opening};

/// The first word of consequence of the statement that begins at `start`.
pub(super) fn lead(view: &View, start: usize) -> usize {
    let mut at = start;
    while view.is_mark(at, b'(') {
        at += 1;
    }
    if !view.is(at, "WITH") {
        return at;
    }
    let depth = view.depth(at);
    let verbs = ["SELECT", "INSERT", "UPDATE", "DELETE", "MERGE", "REPLACE", "VALUES", "TABLE"];
    let is_verb = |place: &usize| {
        view.depth(*place) == depth && view.is_any(*place, &verbs) && !view.is_qualified(*place)
    };
    let within = (at + 1..view.tokens.len()).take_while(|place| !view.is_mark(*place, b';'));
    within.into_iter().find(is_verb).unwrap_or(at)
}

/// The row of the statement whose first word is at `lead`; between `CREATE` and what it creates
/// other words may stand.
pub(super) fn opening(view: &View, lead: usize) -> Option<Opening> {
    let defines = view.is_any(lead, &["CREATE", "ALTER", "DROP"]);
    let object = defines.then(|| {
        let mut at = lead + 1;
        for _ in 0..MODIFIERS {
            // `DEFINER = 'user'@'host'`, `ALGORITHM = MERGE`, `SQL SECURITY INVOKER`
            if view.is_mark(at + 1, b'=') {
                at += 3;
                while view.is_mark(at, b'@')
                    || view.follows_mark(at, b'@')
                    || view.kind(at) == Some(Kind::Variable)
                {
                    at += 1;
                }
            } else if view.is_any(at, &["SQL"]) {
                at += 3;
            } else if view.is_any(at, DEFINITION_MODIFIERS) {
                at += 1;
            } else {
                break;
            }
        }
        at
    });
    words::opening(view.dialect, |n, word| match (n, object) {
        (0, _) => view.is(lead, word),
        (1, Some(object)) => view.is(object, word),
        (n, _) => view.is(lead + n, word),
    })
}

/// Behind the statement: at its semicolon, or where the next one begins without any.
pub(super) fn end(view: &View, start: usize, lead: usize, opening: Option<Opening>) -> usize {
    let mut cases = 0_usize;
    let mut so_far = SoFar::default();
    let family = opening.map_or(Family::Control, |opening| opening.family);
    for at in start..view.tokens.len() {
        if view.is_mark(at, b';') {
            return at;
        }
        if view.dialect != Dialect::TSql || view.kind(at) != Some(Kind::Word) {
            continue;
        }
        if view.is(at, "CASE") && at >= lead {
            cases += 1;
        }
        let of_case = cases > 0 && view.is_any(at, &["ELSE", "END"]);
        if of_case && view.is(at, "END") {
            cases -= 1;
        }
        if at > lead
            && view.depth(at) <= view.depth(start)
            && !of_case
            && words::starts_statement(view.dialect, |word| view.is(at, word))
            && !continues(view, at, family, lead, &so_far)
        {
            return at;
        }
        if at > lead && view.depth(at) == view.depth(lead) {
            so_far.set |= view.is(at, "SET");
            so_far.source |= view.is_any(at, &["SELECT", "VALUES", "EXEC", "EXECUTE", "DEFAULT"]);
            so_far.grantee |= view.is_any(at, &["TO", "FROM"]);
        }
    }
    view.tokens.len()
}

/// What a statement without a semicolon has had so far.
#[derive(Default)]
struct SoFar {
    set: bool,
    source: bool,
    grantee: bool,
}

/// True if the word at `at`, which can begin a statement, goes on with the one before it.
fn continues(view: &View, at: usize, family: Family, lead: usize, so_far: &SoFar) -> bool {
    let is = |words: &[&str]| view.is_any(at, words);
    let follows = |words: &[&str]| view.follows(at, words);
    if family == Family::Rights {
        return !so_far.grantee;
    }
    if is(&["SELECT"]) {
        return follows(&["UNION", "ALL", "EXCEPT", "INTERSECT", "AS"])
            || (family == Family::Insert && !so_far.source);
    }
    if is(&["EXEC", "EXECUTE"]) {
        return family == Family::Insert && !so_far.source;
    }
    if is(&["INSERT", "UPDATE", "DELETE"]) {
        return (is(&["INSERT"]) && follows(&["BULK"]))
            || (follows(&["FOR"]) && is(&["UPDATE"]))
            || (family == Family::Merge && follows(&["THEN"]))
            || (follows(&["ON"]) && matches!(family, Family::Relation(_)));
    }
    if is(&["SET"]) {
        return (family == Family::Update && !so_far.set)
            || (family == Family::Merge && follows(&["UPDATE"]))
            || follows(&["DELETE"])
            || (view.is(lead, "ALTER")
                && (view.is(lead + 1, "DATABASE") || view.is_mark(at + 1, b'(')));
    }
    if is(&["DROP", "ALTER"]) {
        let of_table = ["COLUMN", "CONSTRAINT", "PERIOD", "MEMBER", "CREDENTIAL"];
        return follows(&["OR"]) || (view.is(lead, "ALTER") && view.is_any(at + 1, &of_table));
    }
    if is(&["IF"]) {
        return view.is_any(lead, &["CREATE", "ALTER", "DROP"])
            && view.is_any(at + 1, &["EXISTS", "NOT"]);
    }
    (is(&["FETCH"]) && follows(&["ROW", "ROWS"]))
        || (is(&["ROLLBACK"]) && follows(&["WITH"]))
        || (is(&["BULK"]) && follows(&["INSERT"]))
        || (is(&["ENABLE", "DISABLE"]) && !view.is(at + 1, "TRIGGER"))
        || (is(&["DEFAULT"]))
}

const MODIFIERS: usize = 8;
const DEFINITION_MODIFIERS: &[&str] = &[
    "OR",
    "REPLACE",
    "ALTER",
    "TEMP",
    "TEMPORARY",
    "UNIQUE",
    "CLUSTERED",
    "NONCLUSTERED",
    "FULLTEXT",
    "SPATIAL",
    "AGGREGATE",
    "VIRTUAL",
    "ONLINE",
    "OFFLINE",
    "IGNORE",
    "COLUMNSTORE",
];
