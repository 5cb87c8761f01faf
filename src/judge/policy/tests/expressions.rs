//! What `cel` conditions ask, how they lean where they have no outcome, and which are refused.

use super::*;
use crate::limits::{EXPRESSION_BYTES_MAX, EXPRESSION_ITEMS_MAX, PARSED_TEXT_BYTES_MAX};

/// A policy whose one rule asks `cel`, beside `when`.
fn policy(action: &str, when: &str, cel: &str) -> String {
    let default = if action == "allow" { "deny" } else { "allow" };
    format!(
        "[p]\ndefault = \"{default}\"\n[[p.rule]]\nid = \"r\"\naction = \"{action}\"\n\
         when = {{ {when} }}\ncel = {cel:?}\n"
    )
}

/// True if the rule decides on the statement.
fn decides(action: &str, cel: &str, text: &str) -> bool {
    let when = match action {
        "allow" => "effects.only = [\"read\", \"insert\", \"delete\", \"ddl_drop\", \"code_exec\"]",
        _ => "",
    };
    verdict(&policy(action, when, cel), text).ends_with("p/r")
}

#[test]
fn an_expression_sees_the_session_and_the_command() {
    let mut wrong = Vec::new();
    for (cel, text, expected) in [
        ("'oncall' in claims.groups", "SELECT 1", true),
        ("!('oncall' in claims.groups)", "SELECT 1", false),
        ("claims.groups.exists(g, g.startsWith('on'))", "SELECT 1", true),
        ("claims.kubernetes.namespace == 'prod'", "SELECT 1", true),
        ("claims['kubernetes.namespace'] == 'prod'", "SELECT 1", true),
        ("claims.repository.endsWith('/shop')", "SELECT 1", true),
        ("has(claims.environment)", "SELECT 1", false),
        ("has(claims.kubernetes) && !has(claims.kubernetes.pod)", "SELECT 1", true),
        ("account == 'deploy' && target == 'shop-db' && database == 'shop'", "SELECT 1", true),
        ("account == database", "SELECT 1", false),
        ("labels.env == 'prod'", "SELECT 1", true),
        ("effects == ['read']", "SELECT a FROM t", true),
        ("effects.all(e, e in ['read', 'insert'])", "INSERT INTO t SELECT * FROM u", true),
        ("effects.all(e, e in ['read', 'insert'])", "DELETE FROM t", false),
        ("'no_where' in flags", "DELETE FROM t", true),
        ("size(verbs) > 1 && 'DELETE' in verbs", "SELECT 1; DELETE FROM t", true),
        ("size(objects) > 2", "SELECT 1 FROM a, b, c", true),
        ("size(objects) > 2", "SELECT 1 FROM a, b", false),
        ("objects.exists(o, o.schema == 'crm' && o.access == 'write')", "DELETE FROM crm.t", true),
        (
            "objects.exists(o, o.schema == 'crm' && o.access == 'write')",
            "SELECT 1 FROM crm.t",
            false,
        ),
        ("objects.exists_one(o, o.name == 't')", "SELECT 1 FROM s.t, s.u", true),
        ("size(objects.filter(o, o.access == 'read')) == 1", "DELETE FROM a.t USING a.u", true),
        ("functions.exists(f, f.name == 'purge' && !f.builtin)", "SELECT app.purge()", true),
        ("functions.exists(f, f.builtin)", "SELECT count(*) FROM t", true),
        ("text.contains('/* report */')", "SELECT 1 /* report */", true),
        ("size(text) > 10 ? labels.env == 'prod' : account == 'x'", "SELECT 1", false),
        // One claim may name the other: a tenant's bots stay in the tenant's schema.
        (
            "objects.exists(o, o.schema != claims.kubernetes.namespace)",
            "SELECT 1 FROM prod.t",
            false,
        ),
        ("objects.exists(o, o.schema != claims.kubernetes.namespace)", "SELECT 1 FROM dev.t", true),
    ] {
        if decides("deny", cel, text) != expected {
            wrong.push(format!("{cel} on {text}: not {expected}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn what_has_no_outcome_takes_the_stricter_side() {
    let mut wrong = Vec::new();
    let long = format!("INSERT INTO t VALUES ('{}')", "x".repeat(PARSED_TEXT_BYTES_MAX));
    let tables: Vec<String> = (0..=EXPRESSION_ITEMS_MAX).map(|n| format!("s.t{n}")).collect();
    let many = format!("SELECT 1 FROM {}", tables.join(", "));
    for (cel, text) in [
        // No such claim.
        ("claims.environment == 'prod'", "SELECT 1"),
        ("!('oncall' in claims.roles)", "SELECT 1"),
        ("claims.repository.owner == 'acme'", "SELECT 1"),
        // Values that do not fit.
        ("account > size(effects)", "SELECT 1"),
        ("claims.groups.startsWith('x')", "SELECT 1"),
        ("claims.groups[7] == 'x'", "SELECT 1"),
        ("size(verbs) / (size(verbs) - size(verbs)) == 1", "SELECT 1"),
        // Neither true nor false.
        ("size(flags) == 0 ? account : target", "SELECT 1"),
        // The schema is left to the search path.
        ("objects.exists(o, o.schema == 'audit')", "SELECT * FROM log"),
        ("!objects.exists(o, o.schema == 'audit')", "SELECT * FROM log"),
        ("objects.all(o, o.schema == 'public')", "SELECT * FROM log"),
        // All of a schema's objects.
        ("objects.exists(o, o.name == 'log')", "DROP SCHEMA audit"),
        // More than an expression goes through.
        ("size(objects) > 0", &many),
        ("size(objects) == 0", &many),
    ] {
        for (action, expected) in [("deny", true), ("hold", true), ("allow", false)] {
            if decides(action, cel, text) != expected {
                wrong.push(format!("{action}: {cel} on {:.60}", text));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(decides("deny", "text.contains('y')", &long));
}

#[test]
fn a_certain_part_decides_whatever_the_other_part_is() {
    for (cel, text, expected) in [
        ("claims.missing == 'x' && account == 'other'", "SELECT 1", false),
        ("account == 'other' && claims.missing == 'x'", "SELECT 1", false),
        ("objects.exists(o, o.name == 't' && o.schema == 'audit')", "SELECT 1 FROM u", false),
        ("objects.exists(o, o.name == 't' && o.schema == 'audit')", "SELECT 1 FROM t", true),
        ("objects.exists(o, o.schema == 'audit')", "SELECT 1 FROM t, audit.u", true),
    ] {
        assert_eq!(decides("deny", cel, text), expected, "{cel} on {text}");
    }
    assert!(decides("allow", "claims.missing == 'x' || account == 'deploy'", "SELECT 1"));
    assert!(decides("allow", "account == 'deploy' || claims.missing == 'x'", "SELECT 1"));
}

#[test]
fn an_allowance_does_not_rest_on_lists_that_may_be_longer() {
    // A block runs code that has no name.
    assert!(decides("allow", "functions.all(f, f.name == 'count')", "SELECT count(*) FROM t"));
    assert!(!decides("allow", "functions.all(f, f.name == 'count')", "DO 'x'"));
    assert!(!decides("allow", "functions.all(f, f.schema == 'pg_catalog')", "SELECT app.count(1)"));
    assert!(decides("allow", "functions.all(f, f.schema == 'pg_catalog')", "SELECT count(1)"));
    // A denial does not take the server's own for granted.
    assert!(decides("deny", "functions.exists(f, f.schema == 'app')", "SELECT count(1)"));
    let unknown = "[p]\n[[p.rule]]\nid = \"r\"\naction = \"allow\"\n\
        when = { effects.only = [\"unknown\"] }\ncel = \"CEL\"\n";
    for (cel, expected) in [
        ("size(objects) == 0", "deny p/unknown"),
        ("size(verbs) == 0", "deny p/unknown"),
        ("effects == ['unknown']", "allow p/r"),
        ("account == 'deploy'", "allow p/r"),
    ] {
        assert_eq!(verdict(&unknown.replace("CEL", cel), "SELEC"), expected, "{cel}");
    }
}

#[test]
fn all_conditions_of_a_rule_must_hold_beside_its_expression() {
    let toml =
        policy("deny", "labels.env = \"prod\", effects.any = [\"delete\"]", "size(objects) > 1");
    assert_eq!(verdict(&toml, "DELETE FROM t USING u"), "deny p/r");
    assert_eq!(verdict(&toml, "DELETE FROM t"), "allow p/default");
    assert_eq!(verdict(&toml, "SELECT 1 FROM t, u"), "allow p/default");
    let stage = toml.replace("prod", "stage");
    assert_eq!(verdict(&stage, "DELETE FROM t USING u"), "allow p/default");
    let mine = policy("allow", "account = \"deploy\"", "'oncall' in claims.groups");
    assert_eq!(verdict(&mine, "DROP TABLE t"), "allow p/r");
    assert_eq!(verdict(&mine.replace("oncall", "root"), "DROP TABLE t"), "deny p/default");
    assert_eq!(verdict(&mine, "SELEC"), "deny p/unknown");
}

#[test]
fn expressions_that_cannot_mean_anything_are_refused() {
    let deep = format!("{}account == 'a'{}", "(".repeat(400), ")".repeat(400));
    let sum = format!("size(account) == 1{}", "+1".repeat(450));
    let long = format!("account == '{}'", "x".repeat(EXPRESSION_BYTES_MAX));
    let selects = format!("claims{} == 'x'", ".a".repeat(400));
    let mut wrong = Vec::new();
    for (cel, expected) in [
        ("account ==", "line 1, column"),
        ("acount == 'a'", "no variable `acount`"),
        ("claims.exists(c, d == 'a')", "no variable `d`"),
        ("account.lower() == 'a'", "no function `lower`"),
        ("text.matches('^a')", "no function `matches`"),
        ("strings.quote(account) == 'a'", "no "),
        ("timestamp(account) < timestamp('2030-01-01T00:00:00Z')", "no function `timestamp`"),
        ("true", "decides nothing"),
        ("1 + 1 == 2", "decides nothing"),
        ("account", "never true or false"),
        ("claims.admin", "never true or false"),
        ("size(effects)", "never true or false"),
        ("effects.map(e, e)", "never true or false"),
        ("account + target", "never true or false"),
        ("[account]", "never true or false"),
        ("objects.exists(o, claims.groups.exists(g, g == o.name))", "for each item of another"),
        ("objects.exists(o, text.contains(o.name))", "through the text for each item"),
        ("Thing{a: account} == account", "named types"),
        ("claims.?a == 'x'", "line 1, column"),
        (&*deep, "cannot be used"),
        (&*sum, "nested too deeply"),
        (&*long, "longer than 1024 bytes"),
        (&*selects, "nested too deeply"),
    ] {
        let found: Vec<String> =
            faults(&policy("deny", "", cel)).iter().map(ToString::to_string).collect();
        if !found.iter().any(|fault| fault.contains(expected)) {
            wrong.push(format!("{cel:.60}: {found:?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn long_expressions_that_are_not_deep_are_read() {
    let chain = format!("account == 'a'{}", " || account == 'deploy'".repeat(40));
    assert!(decides("deny", &chain, "SELECT 1"));
    assert!(decides("deny", &format!("{}has(claims.a)", "!".repeat(901)), "SELECT 1"));
}

#[test]
fn a_refused_expression_is_met_with_what_would_do() {
    let hint = |cel: &str| faults(&policy("deny", "", cel))[0].hint().unwrap_or_default();
    assert_eq!(hint("acount == 'a'"), "did you mean `account`?");
    assert_eq!(hint("account.startWith('a')"), "did you mean `startsWith`?");
    assert!(hint("account ==").contains("`claims`, `account`"), "{}", hint("account =="));
    let error = "[p]\n[[p.rule]]\nid = \"r\"\naction = \"deny\"\nwhen = { cel = \"true\" }\n";
    let error = toml::from_str::<BTreeMap<String, PolicyDocument>>(error).unwrap_err();
    assert!(error.to_string().contains("unknown field `cel`"), "{error}");
}

#[test]
fn an_allowance_says_its_effects_beside_an_expression() {
    for (when, cel, expected) in [
        ("", "'INSERT' in verbs", "must say what it allows"),
        ("", "account == 'deploy'", "must say what it allows"),
        ("account = \"deploy\"", "'INSERT' in verbs", "must say what it allows"),
        ("effects.only = [\"read\"]", "text.contains('ok')", "cannot rest on `text in cel`"),
    ] {
        let found: Vec<String> =
            faults(&policy("allow", when, cel)).iter().map(ToString::to_string).collect();
        assert!(found.iter().any(|fault| fault.contains(expected)), "{when} {cel}: {found:?}");
    }
    for (when, cel) in [
        ("effects.only = [\"read\"]", "size(objects) < 3"),
        ("account = \"deploy\"", "'oncall' in claims.groups"),
    ] {
        assert_eq!(faults(&policy("allow", when, cel)), [], "{when} {cel}");
    }
    // A denial with an expression says less than its other conditions do.
    let shadow = "[p]\n[[p.rule]]\nid = \"no\"\naction = \"deny\"\n\
        when = { effects.any = [\"read\"] }\ncel = \"account == 'x'\"\n[[p.rule]]\nid = \"yes\"\n\
        action = \"allow\"\nwhen = { effects.only = [\"read\"] }\n";
    assert_eq!(faults(shadow), []);
}

#[test]
fn an_explanation_shows_the_expression_and_its_outcome() {
    let toml = "[p]\ndefault = \"allow\"\n\
        [[p.rule]]\nid = \"a\"\naction = \"deny\"\ncel = \"size(objects) > 1\"\n\
        [[p.rule]]\nid = \"b\"\naction = \"deny\"\ncel = \"claims.team == 'x'\"\n\
        [[p.rule]]\nid = \"c\"\naction = \"deny\"\nwhen.labels.env = \"prod\"\n\
        cel = \"account == 'x'\"\n\
        [[p.rule]]\nid = \"d\"\naction = \"allow\"\nwhen.effects.only = [\"read\"]\n\
        cel = \"objects.all(o, o.schema == 's')\"\n";
    let text = "SELECT 'AKIAIOSFODNN7EXAMPLE' FROM t";
    let shown = session(toml).explain(&facts(text), text.as_bytes(), &[]).to_string();
    for line in [
        "deny by p/b",
        "    - cel = \"size(objects) > 1\"",
        "    + cel = \"claims.team == 'x'\" (there is no `team`: counts as true)",
        "    + labels.env = [\"prod\"]",
        "    - cel = \"account == 'x'\"",
        "    - cel = \"objects.all(o, o.schema == 's')\" (there is no `schema`: counts as false)",
    ] {
        assert!(shown.lines().any(|shown| shown == line), "{line:?} is not in\n{shown}");
    }
    assert!(!shown.contains("AKIA"), "a value is shown\n{shown}");
}

#[test]
fn no_text_of_an_expression_brings_the_reader_down() {
    let seeds = [
        "objects.exists(o, o.schema == 'crm' && o.access != \"write\") || !has(claims.a['b'])",
        "size(verbs) > 1 ? {'a': [1u, 2.5, b'x']}.a == [] : text.contains('\\u00e9') && -1 < 2",
    ];
    let pieces =
        ["(", ")", "[", "{", "'", "\"", ".", "?", ":", "\\", "!", "-", "\u{e9}", "0x", "in"];
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = |below: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        usize::try_from(state % below as u64).unwrap()
    };
    let mut read = 0;
    for round in 0..600 {
        let mut chars: Vec<char> = seeds[round % 2].chars().collect();
        for _ in 0..=next(3) {
            let at = next(chars.len());
            match next(3) {
                0 => drop(chars.remove(at)),
                1 => chars.splice(at..at, pieces[next(pieces.len())].chars()).for_each(drop),
                _ => chars.truncate(at.max(1)),
            }
        }
        let cel: String = chars.into_iter().collect();
        if let Ok(library) = Library::new("v".into(), documents(&policy("deny", "", &cel))) {
            read += 1;
            let names: Vec<PolicyName> = library.names().cloned().collect();
            let (principal, labels) = (principal(), Labels::new());
            let circumstances = Circumstances {
                principal: &principal,
                labels: &labels,
                target: "t",
                database: "d",
            };
            let session = library.bind(&names, &circumstances).unwrap();
            let _verdict = session.decide(&facts("SELECT 1 FROM a.b"), b"SELECT 1 FROM a.b", &[]);
        }
    }
    assert!(read > 0, "no text was an expression");
}
