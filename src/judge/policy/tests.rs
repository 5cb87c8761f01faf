//! What policies decide, refuse to mean, and tell.

mod entities;
mod expressions;
mod functions;
mod holding;
mod masking;
mod patterns;

use std::collections::BTreeMap;
use std::sync::Arc;

use super::*;
use crate::judge::Classifier;
use crate::judge::classify::CORPUS;
use crate::model::command::{Language, Lexing};
use crate::model::facts::Facts;
use crate::model::identity::{ClaimValue, Principal};
use crate::model::target::{Labels, PolicyName};
use crate::model::verdict::Verdict;

fn facts(text: &str) -> Arc<Facts> {
    Classifier::new().facts(Language::PostgresSql, Lexing::default(), text.as_bytes())
}

fn documents(toml: &str) -> BTreeMap<PolicyName, PolicyDocument> {
    let read: BTreeMap<String, PolicyDocument> = toml::from_str(toml).unwrap();
    read.into_iter().map(|(name, document)| (name.into(), document)).collect()
}

fn library(toml: &str) -> Library {
    Library::new("v1".into(), documents(toml)).unwrap()
}

fn principal() -> Principal {
    let mut claims = BTreeMap::new();
    claims.insert("repository".to_owned(), ClaimValue::Text("acme/shop".to_owned()));
    claims.insert("kubernetes.namespace".to_owned(), ClaimValue::Text("prod".to_owned()));
    claims
        .insert("groups".to_owned(), ClaimValue::List(vec!["dev".to_owned(), "oncall".to_owned()]));
    Principal {
        account: "deploy".into(),
        issuer: "github".into(),
        subject: "repo:acme/shop".into(),
        token_id: None,
        expires_unix_s: 0,
        claims: Arc::new(claims),
    }
}

/// All policies of `toml`, in the order of their names, bound for one session.
fn session(toml: &str) -> SessionPolicy {
    let library = library(toml);
    let names: Vec<PolicyName> = library.names().cloned().collect();
    let labels = Labels::from([("env".to_owned(), "prod".to_owned())]);
    let principal = principal();
    let circumstances = Circumstances {
        principal: &principal,
        labels: &labels,
        target: "shop-db",
        database: "shop",
    };
    library.bind(&names, &circumstances).unwrap()
}

fn verdict(toml: &str, text: &str) -> String {
    spoken(&session(toml).decide(&facts(text), text.as_bytes(), &[]))
}

fn spoken(verdict: &Verdict) -> String {
    let grounds = verdict.grounds();
    let observed = grounds.observed.as_ref().map(|rule| format!(" observed {rule}"));
    format!("{} {}{}", verdict.word(), grounds.rule, observed.unwrap_or_default())
}

fn faults(toml: &str) -> Vec<Fault> {
    match Library::new("v1".into(), documents(toml)) {
        Ok(library) => library.check().into_iter().map(|problem| problem.fault).collect(),
        Err(problems) => problems.into_iter().map(|problem| problem.fault).collect(),
    }
}

/// The policy that the shipped configuration shows.
const BASELINE: &str = r#"
[baseline]
default = "deny"
[[baseline.rule]]
id = "reads-and-inserts"
when = { effects.only = ["read", "insert", "session_set", "txn"] }
action = "allow"
[[baseline.rule]]
id = "bounded-writes"
when = { effects.only = ["read", "insert", "update", "delete"], flags.none = ["cte_write"] }
action = "allow"
[[baseline.rule]]
id = "no-unbounded-writes"
when = { effects.any = ["update", "delete"], flags.any = ["no_where", "const_true_where"] }
action = "deny"
message = "UPDATE and DELETE need a selective WHERE in production"
[[baseline.rule]]
id = "customers"
when = { objects.write.any = ["public.customers"] }
action = "deny"
[[baseline.rule]]
id = "never"
when = { effects.any = ["program_exec", "file_read", "file_write", "network", "code_exec"] }
action = "deny"
"#;

#[test]
fn the_baseline_policy_decides_as_its_reader_expects() {
    let session = session(BASELINE);
    for (text, expected) in [
        ("SELECT 1", "allow baseline/reads-and-inserts"),
        ("SET search_path = x", "allow baseline/reads-and-inserts"),
        ("INSERT INTO t SELECT * FROM u", "allow baseline/reads-and-inserts"),
        ("UPDATE t SET a = 1 WHERE id = 2", "allow baseline/bounded-writes"),
        ("UPDATE t SET a = 1", "deny baseline/no-unbounded-writes"),
        ("DELETE FROM t WHERE 1 = 1", "deny baseline/no-unbounded-writes"),
        ("WITH x AS (DELETE FROM t WHERE a = 1) SELECT 1", "deny baseline/default"),
        ("WITH x AS (DELETE FROM t) SELECT 1", "deny baseline/no-unbounded-writes"),
        ("SELECT 1; DROP TABLE t", "deny baseline/default"),
        ("DELETE FROM customers WHERE id = 1", "deny baseline/customers"),
        ("DELETE FROM public.customers WHERE id = 1", "deny baseline/customers"),
        ("DELETE FROM U&\"\\0063ustomers\" WHERE id = 1", "deny baseline/customers"),
        ("DELETE FROM crm.customers WHERE id = 1", "allow baseline/bounded-writes"),
        ("SELECT pg_read_file('x')", "deny baseline/never"),
        ("COPY t TO PROGRAM 'sh'", "deny baseline/never"),
        ("EXPLAIN DELETE FROM t", "deny baseline/default"),
        ("SELEC 1", "deny baseline/unknown"),
        ("EXECUTE p", "deny baseline/unknown"),
        ("", "allow baseline/harmless"),
        ("-- nothing", "allow baseline/harmless"),
        ("DEALLOCATE ALL", "allow baseline/harmless"),
    ] {
        assert_eq!(spoken(&session.decide(&facts(text), text.as_bytes(), &[])), expected, "{text}");
    }
}

#[test]
fn a_denial_says_the_rules_words_or_what_was_missing() {
    for (text, expected) in [
        ("DELETE FROM t", "UPDATE and DELETE need a selective WHERE in production"),
        ("DO 'x'", "denied by policy baseline, rule never"),
        ("DROP TABLE t", "policy baseline does not allow: ddl_drop"),
        ("SELEC", "policy baseline refuses what it cannot tell: the text is not valid SQL"),
    ] {
        let verdict = session(BASELINE).decide(&facts(text), text.as_bytes(), &[]);
        let Verdict::Deny { message, .. } = verdict else { panic!("{text} is allowed") };
        assert_eq!(&*message, expected);
    }
}

#[test]
fn several_policies_are_combined_as_the_table_says() {
    let allow = "[NAME]\ndefault = \"allow\"\n";
    let deny = "[NAME]\ndefault = \"deny\"\n";
    let pass = "[NAME]\ndefault = \"pass\"\n";
    let observed = "[NAME]\ndefault = \"deny\"\noptions.mode = \"observe\"\n";
    let denying = "[NAME]\ndefault = \"pass\"\n[[NAME.rule]]\nid = \"no\"\naction = \"deny\"\n\
                   when = { effects.any = [\"read\"] }\n";
    let allowing = "[NAME]\ndefault = \"pass\"\n[[NAME.rule]]\nid = \"yes\"\naction = \"allow\"\n\
                    when = { effects.only = [\"read\"] }\n";
    for (policies, expected) in [
        (vec![allow], "allow a/default"),
        (vec![deny], "deny a/default"),
        (vec![pass], "deny a/default"),
        (vec![pass, pass], "deny a/default"),
        (vec![allow, pass], "allow a/default"),
        (vec![pass, allow], "allow b/default"),
        (vec![allow, deny], "deny b/default"),
        (vec![deny, allow], "deny a/default"),
        (vec![allow, denying], "deny b/no"),
        (vec![allowing, denying], "deny b/no"),
        (vec![denying, allowing], "deny a/no"),
        (vec![allowing, pass], "allow a/yes"),
        (vec![allowing, deny], "deny b/default"),
        (vec![observed], "allow a/default observed a/default"),
        (vec![observed, pass], "allow a/default observed a/default"),
        (vec![allowing, observed], "allow a/yes observed b/default"),
        (vec![observed, denying], "deny b/no observed a/default"),
        (vec![observed, allow], "allow a/default observed a/default"),
    ] {
        let named = policies.iter().zip(["a", "b"]).map(|(p, name)| p.replace("NAME", name));
        let toml: String = named.collect();
        assert_eq!(verdict(&toml, "SELECT 1"), expected, "{toml}");
    }
}

#[test]
fn without_any_policy_everything_with_an_effect_is_denied() {
    let library = library("");
    let labels = Labels::new();
    let principal = principal();
    let circumstances =
        Circumstances { principal: &principal, labels: &labels, target: "t", database: "d" };
    let session = library.bind(&[], &circumstances).unwrap();
    assert_eq!(spoken(&session.decide(&facts("SELECT 1"), b"", &[])), "deny connection/default");
    assert_eq!(spoken(&session.decide(&facts(""), b"", &[])), "allow connection/harmless");
    assert!(library.bind(&["missing".into()], &circumstances).is_err());
}

#[test]
fn what_is_unknown_needs_a_rule_that_names_it() {
    let rules = |only: &str| {
        format!(
            "[p]\ndefault = \"allow\"\n[[p.rule]]\nid = \"all\"\naction = \"allow\"\n\
             when = {{ effects.only = [{only}] }}\n"
        )
    };
    assert_eq!(verdict(&rules("\"read\""), "SELEC"), "deny p/unknown");
    assert_eq!(verdict(&rules("\"read\", \"unknown\""), "SELEC"), "allow p/all");
    let everything = "[p]\n[[p.rule]]\nid = \"mine\"\naction = \"allow\"\n\
                      when = { account = \"deploy\" }\n";
    assert_eq!(verdict(everything, "DROP TABLE t"), "allow p/mine");
    assert_eq!(verdict(everything, "SELEC"), "deny p/unknown");
    let passing = "[p]\ndefault = \"pass\"\n";
    assert_eq!(verdict(passing, "SELEC"), "deny p/default");
    let strict = "[p]\ndefault = \"pass\"\nunknown = \"deny\"\n";
    assert_eq!(verdict(strict, "SELEC"), "deny p/unknown");
}

#[test]
fn denial_takes_what_may_match_and_allowance_what_must() {
    let deny = |when: &str| {
        format!(
            "[p]\ndefault = \"allow\"\n[[p.rule]]\nid = \"r\"\naction = \"deny\"\nwhen = {when}\n"
        )
    };
    let allow =
        |when: &str| format!("[p]\n[[p.rule]]\nid = \"r\"\naction = \"allow\"\nwhen = {when}\n");
    let all = r#"effects.only = ["read", "delete", "ddl_drop", "txn", "insert"]"#;
    let mut wrong = Vec::new();
    for (toml, text, matches) in [
        // An unqualified name may be in any schema.
        (deny(r#"{ objects.any = "public.customers" }"#), "SELECT * FROM customers", true),
        (deny(r#"{ objects.any = "public.customers" }"#), "SELECT * FROM crm.customers", false),
        (deny(r#"{ objects.any = "public.customers" }"#), "SELECT * FROM Customers", true),
        (deny(r#"{ objects.any = "public.customers" }"#), "SELECT * FROM \"Customers\"", false),
        (deny(r#"{ objects.any = "public.c*" }"#), "DROP SCHEMA public", true),
        (deny(r#"{ objects.read.any = "*.t" }"#), "DELETE FROM t WHERE a = 1", false),
        (deny(r#"{ objects.read.any = "*.t" }"#), "DELETE FROM t WHERE a = 1 RETURNING a", true),
        (deny(r#"{ objects.write.any = "*.t" }"#), "TRUNCATE t", true),
        (deny(r#"{ objects.define.any = "*.t" }"#), "ALTER TABLE t ADD a int", true),
        (deny(r#"{ objects.only = "tmp.*" }"#), "SELECT 1", false),
        (
            allow(&format!(r#"{{ {all}, objects.only = "public.*" }}"#)),
            "SELECT * FROM public.t",
            true,
        ),
        (allow(&format!(r#"{{ {all}, objects.only = "public.*" }}"#)), "SELECT * FROM t", false),
        (allow(&format!(r#"{{ {all}, objects.only = "*.t" }}"#)), "SELECT * FROM t", true),
        (allow(&format!(r#"{{ {all}, objects.only = "*.t" }}"#)), "SELECT * FROM t, u", false),
        (allow(&format!(r#"{{ {all}, objects.only = "public.t" }}"#)), "DROP SCHEMA public", false),
        (allow(&format!(r#"{{ {all}, objects.only = "public.t" }}"#)), "SELECT 1", true),
        (
            allow(&format!(r#"{{ {all}, objects.write.only = "*.t" }}"#)),
            "DELETE FROM t USING u WHERE t.a = u.a",
            true,
        ),
        (
            allow(&format!(r#"{{ {all}, objects.write.only = "*.t" }}"#)),
            "DELETE FROM u WHERE a = 1",
            false,
        ),
        // Functions.
        (deny(r#"{ functions.any = "purge" }"#), "SELECT app.purge()", true),
        (deny(r#"{ functions.any = "app.purge" }"#), "SELECT purge()", true),
        (deny(r#"{ functions.any = "app.purge" }"#), "SELECT * FROM other.purge()", false),
        (
            allow(&format!(r#"{{ {all}, functions.only = ["count", "date_part"] }}"#)),
            "SELECT count(*) FROM t",
            true,
        ),
        (
            allow(&format!(r#"{{ {all}, functions.only = ["count"] }}"#)),
            "SELECT count(purge())",
            false,
        ),
        (
            allow(&format!(r#"{{ {all}, functions.only = ["count"] }}"#)),
            "SELECT evil.count()",
            false,
        ),
        (
            allow(&format!(r#"{{ {all}, functions.only = ["count"] }}"#)),
            "SELECT pg_catalog.count(*)",
            true,
        ),
        (allow(&format!(r#"{{ {all}, functions.only = ["app.*"] }}"#)), "SELECT f()", false),
        // Verbs.
        (deny(r#"{ verb = ["drop table"] }"#), "SELECT 1; DROP TABLE t", true),
        (allow(&format!(r#"{{ {all}, verb = "SELECT" }}"#)), "SELECT 1; DROP TABLE t", false),
        (allow(&format!(r#"{{ {all}, verb = ["SELECT", "BEGIN"] }}"#)), "BEGIN; SELECT 1", true),
        // Text.
        (deny(r#"{ text.keywords = ["XP_", "secret"] }"#), "SELECT 'SeCrEt'", true),
        (deny(r#"{ text.keywords = ["secret"] }"#), "SELECT 1", false),
        (deny(r#"{ text.keywords = ["secret"] }"#), "-- secret", true),
        (deny(r#"{ text.matches = ['\b\d{3}-\d{2}-\d{4}\b'] }"#), "SELECT '219-09-9999'", true),
        (deny(r#"{ text.matches = ["^select"] }"#), "SELECT 1", false),
        (deny(r#"{ text.matches = ["(?i)^select"] }"#), "SELECT 1", true),
        // Identity and place.
        (deny(r#"{ claims.repository = "acme/*" }"#), "SELECT 1", true),
        (deny(r#"{ claims.repository = ["other/*", "acme/shop"] }"#), "SELECT 1", true),
        (deny(r#"{ claims.repository = "acme" }"#), "SELECT 1", false),
        (deny(r#"{ claims.kubernetes.namespace = "prod" }"#), "SELECT 1", true),
        (deny(r#"{ claims.groups = "oncall" }"#), "SELECT 1", true),
        (deny(r#"{ claims.missing = "*" }"#), "SELECT 1", false),
        (deny(r#"{ labels.env = "prod" }"#), "SELECT 1", true),
        (deny(r#"{ labels.env = "stage", account = "deploy" }"#), "SELECT 1", false),
        (deny(r#"{ target = "shop-*", database = "shop", account = "deploy" }"#), "SELECT 1", true),
        // Everything that is present must hold.
        (
            deny(r#"{ effects.all = ["read", "insert"], flags.none = ["returning"] }"#),
            "INSERT INTO t SELECT 1",
            true,
        ),
        (
            deny(r#"{ effects.all = ["read", "insert"], flags.none = ["returning"] }"#),
            "INSERT INTO t VALUES (1) RETURNING a",
            false,
        ),
        (
            deny(r#"{ effects.any = ["read"], effects.none = ["insert"] }"#),
            "INSERT INTO t SELECT 1",
            false,
        ),
    ] {
        let rule = verdict(&toml, text).ends_with("p/r");
        if rule != matches {
            wrong.push(format!("{toml}{text}: {}", verdict(&toml, text)));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn lists_stand_for_their_members() {
    let toml = "[p]\ndefault = \"allow\"\nlists.pii = [\"*.customers\", \"crm.*\"]\n[[p.rule]]\n\
                id = \"r\"\naction = \"deny\"\nwhen = { objects.any = [\"@pii\", \"*.cards\"] }\n";
    assert_eq!(verdict(toml, "SELECT * FROM crm.x"), "deny p/r");
    assert_eq!(verdict(toml, "SELECT * FROM cards"), "deny p/r");
    assert_eq!(verdict(toml, "SELECT * FROM shop.x"), "allow p/default");
}

#[test]
fn rules_that_cannot_mean_what_they_say_are_named() {
    let rule = |action: &str, when: &str| {
        format!("[p]\n[[p.rule]]\nid = \"r\"\naction = \"{action}\"\nwhen = {when}\n")
    };
    let mut wrong = Vec::new();
    for (toml, expected) in [
        (rule("allow", r#"{ effects.any = ["read"] }"#), "must say what it allows"),
        (rule("allow", r#"{ verb = "SELECT" }"#), "must say what it allows"),
        (
            rule("allow", r#"{ effects.only = ["read"], objects.any = "*.t" }"#),
            "cannot rest on `objects.any`",
        ),
        (
            rule("allow", r#"{ effects.only = ["read"], text.keywords = "ok" }"#),
            "cannot rest on `text.keywords`",
        ),
        (rule("deny", r#"{ effects.any = ["delte"] }"#), "no effect `delte`"),
        (rule("deny", r#"{ flags.any = ["nowhere"] }"#), "no flag `nowhere`"),
        (rule("deny", r#"{ objects.any = "@pii" }"#), "no list `@pii`"),
        (rule("deny", r#"{ objects.any = "customers" }"#), "names no schema"),
        (rule("deny", r#"{ effects.any = [] }"#), "`effects.any` is an empty list"),
        (rule("deny", r#"{ account = [] }"#), "`account` is an empty list"),
        (rule("deny", "{}"), "has no condition"),
        (rule("deny", r#"{ text.matches = "(" }"#), "regular expression"),
        (rule("deny", r#"{ text.matches = "\\w{900}{900}" }"#), "regular expression"),
        (rule("deny", r#"{ effects.all = ["read"], effects.none = ["read"] }"#), "can never match"),
        (
            rule("deny", r#"{ effects.any = ["insert"], effects.only = ["read"] }"#),
            "can never match",
        ),
        (
            rule("deny", r#"{ effects.all = ["insert"], effects.only = ["read"] }"#),
            "can never match",
        ),
        (
            rule("deny", r#"{ flags.any = ["no_where"], flags.none = ["no_where"] }"#),
            "can never match",
        ),
        ("[p]\n[[p.rule]]\nid = \"default\"\naction = \"deny\"\n".to_owned(), "built-in"),
        (
            format!(
                "{}{}",
                rule("deny", "{ account = \"a\" }"),
                "[[p.rule]]\nid = \"r\"\naction = \"deny\"\n"
            ),
            "used twice",
        ),
    ] {
        let found: Vec<String> = faults(&toml).iter().map(ToString::to_string).collect();
        if !found.iter().any(|fault| fault.contains(expected)) {
            wrong.push(format!("{toml}: {found:?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_misspelt_name_is_met_with_the_nearest() {
    let toml =
        "[p]\n[[p.rule]]\nid = \"r\"\naction = \"deny\"\nwhen = { effects.any = [\"delte\"] }\n";
    let hints: Vec<Option<String>> = faults(toml).iter().map(Fault::hint).collect();
    assert_eq!(hints, [Some("did you mean `delete`?".to_owned())]);
}

#[test]
fn an_allowance_that_a_denial_covers_is_named() {
    let policy = |deny: &str, allow: &str| {
        format!(
            "[p]\n[[p.rule]]\nid = \"no\"\naction = \"deny\"\nwhen = {deny}\n\
             [[p.rule]]\nid = \"yes\"\naction = \"allow\"\nwhen = {allow}\n"
        )
    };
    for (deny, allow, shadowed) in [
        (r#"{ effects.any = ["read"] }"#, r#"{ effects.only = ["read"] }"#, true),
        (r#"{ effects.any = ["read", "txn"] }"#, r#"{ effects.only = ["read"] }"#, true),
        (r#"{ effects.any = ["read"] }"#, r#"{ effects.only = ["read", "txn"] }"#, false),
        (r#"{ effects.only = ["read"] }"#, r#"{ effects.only = ["read"], account = "a" }"#, true),
        (r#"{ effects.only = ["read"], account = "a" }"#, r#"{ effects.only = ["read"] }"#, false),
        (r#"{ account = ["a", "b"] }"#, r#"{ effects.only = ["read"], account = "a" }"#, true),
        (
            r#"{ effects.any = ["read"], flags.any = ["no_where"] }"#,
            r#"{ effects.only = ["read"] }"#,
            false,
        ),
        (
            r#"{ effects.any = ["read"], objects.any = "*.t" }"#,
            r#"{ effects.only = ["read"] }"#,
            false,
        ),
        (
            r#"{ verb = ["SELECT", "INSERT"] }"#,
            r#"{ effects.only = ["read"], verb = "SELECT" }"#,
            true,
        ),
    ] {
        let found = faults(&policy(deny, allow));
        let named =
            found.iter().any(|fault| matches!(fault, Fault::Shadowed { by } if &**by == "no"));
        assert_eq!(named, shadowed, "{deny} {allow}: {found:?}");
    }
}

#[test]
fn what_later_versions_will_know_is_refused_by_its_name() {
    let later = "not available in this version";
    for (toml, expected) in [
        ("unknown = \"allow\"", "by a rule that names them"),
        ("options.derived = \"sometimes\"", "unknown variant `sometimes`"),
        ("[[rule]]\nid = \"r\"\naction = { mask = \"x\" }", "masks are not actions"),
        ("[[mask]]\ncolumns = [\"a.b\"]", "missing field `as`"),
        ("[[mask]]\ncolumns = [\"a.b\"]\nas = \"blur\"", "unknown variant `blur`"),
        ("[[rule]]\nid = \"r\"\naction = \"deny\"\nwhen = { time.outside = \"x\" }", later),
        (
            "[[rule]]\nid = \"r\"\naction = \"deny\"\nwhen = { text.entities.only = [\"pan\"] }",
            "unknown field `only`",
        ),
        ("[[rule]]\nid = \"r\"\naction = \"deny\"\nwhen = { rows_estimate.gt = 5 }", later),
        (
            "[[rule]]\nid = \"r\"\naction = \"deny\"\nwhen = { efects.any = [\"read\"] }",
            "unknown field `efects`",
        ),
        (
            "[[rule]]\nid = \"r\"\naction = \"deny\"\nwhen = { effects.some = [\"read\"] }",
            "unknown field `some`",
        ),
        ("[[rule]]\nid = \"r\"\naction = \"allwo\"", "unknown variant `allwo`"),
        ("[[rule]]\nid = \"r\"", "missing field `action`"),
        ("defualt = \"deny\"", "unknown field `defualt`"),
        ("options.mode = \"watch\"", "unknown variant `watch`"),
    ] {
        let error = toml::from_str::<PolicyDocument>(toml).unwrap_err().to_string();
        assert!(error.contains(expected), "{toml}: {error}");
    }
}

const EVERY_CONDITION: &str = r#"
[a]
default = "pass"
[[a.rule]]
id = "writes"
when = { effects.any = ["delete", "update"], flags.any = ["no_where", "const_true_where"] }
action = "deny"
[[a.rule]]
id = "objects"
when = { objects.any = ["public.customers", "pg_catalog.*"], effects.none = ["txn"] }
action = "deny"
[[a.rule]]
id = "elsewhere"
when = { labels.env = "stage", effects.any = ["read"] }
action = "deny"
[[a.rule]]
id = "text"
when = { text.keywords = ["drop"], effects.any = ["read", "unknown"] }
action = "deny"
[[a.rule]]
id = "pattern"
when = { text.matches = ["[0-9]{4,}"] }
action = "deny"
[[a.rule]]
id = "values"
when = { text.entities.any = ["email", "aws_key"] }
action = "deny"
[[a.rule]]
id = "functions"
when = { functions.any = ["pg_*"] }
action = "deny"
[[a.rule]]
id = "read"
when = { effects.only = ["read", "lock"], functions.only = ["count", "lower"] }
action = "allow"
[[a.rule]]
id = "expression"
when = { effects.any = ["lock", "unknown"] }
cel = "objects.exists(o, o.schema == 'audit') || size(functions) > 1"
action = "deny"
[[a.rule]]
id = "oncall"
cel = "'oncall' in claims.groups && claims.missing == 'x'"
action = "deny"
when = { effects.any = ["kill"] }
[[a.rule]]
id = "define"
when = { effects.only = ["ddl_create", "read"], objects.define.only = ["*.t", "*.v"] }
action = "allow"
[b]
default = "allow"
options.mode = "observe"
[[b.rule]]
id = "roles"
when = { effects.any = ["grant", "role_change"], claims.groups = "oncall" }
action = "deny"
[[b.rule]]
id = "unread"
when = { effects.only = ["unknown"], account = "deploy" }
action = "allow"
"#;

#[test]
fn an_explanation_agrees_with_the_verdict_on_every_text() {
    let session = session(EVERY_CONDITION);
    for (text, ..) in CORPUS {
        let facts = facts(text);
        let verdict = session.decide(&facts, text.as_bytes(), &[]);
        let explained = session.explain(&facts, text.as_bytes(), &[]);
        assert_eq!(explained.verdict, verdict.word(), "{text}");
        assert_eq!(explained.rule, verdict.grounds().rule.to_string(), "{text}");
        for policy in &explained.policies {
            // The rules that explain finds matching are the ones that the policy decided by.
            let matching = |action: &str| {
                let rules = policy.rules.iter();
                rules.filter(|rule| rule.matched && rule.action == action).count()
            };
            let by_rule = policy.rules.iter().find(|rule| Some(&rule.rule) == policy.by.as_ref());
            match by_rule {
                Some(rule) => assert!(rule.matched, "{text}: {policy:?}"),
                None => assert_eq!(matching("deny") + matching("allow"), 0, "{text}: {policy:?}"),
            }
            if matching("deny") > 0 {
                assert_eq!(policy.says, "deny", "{text}");
            }
        }
    }
}

#[test]
fn an_explanation_is_readable_as_text_and_as_json() {
    let text = "DELETE FROM customers";
    let explained = session(BASELINE).explain(&facts(text), text.as_bytes(), &[]);
    let shown = explained.to_string();
    for line in [
        "deny by baseline/no-unbounded-writes",
        "  effects: delete",
        "  flags: no_where",
        "  writes customers",
        "  deny no-unbounded-writes: matches",
        "    + flags.any = [\"no_where\", \"const_true_where\"]",
        "    - effects.only = [\"read\", \"insert\", \"session_set\", \"txn\"]",
    ] {
        assert!(shown.lines().any(|shown| shown == line), "{line:?} is not in\n{shown}");
    }
    let json = serde_json::to_value(&explained).unwrap();
    assert_eq!(json["policies"][0]["rules"][2]["matched"], true);
    assert_eq!(json["facts"]["relations"][0]["access"], "write");
}
