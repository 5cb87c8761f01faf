use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use super::load::load_noting_keys;
use super::section::closest;
use super::{Config, Diagnostic, DriverChoice, LogLevel, Sink, Workers, load, load_text, vault_of};
use crate::identity::{Algorithm, KeySource};
use crate::model::identity::{ClaimValue, Claims};
use crate::model::recording::{Durability, OnFailure};
use crate::model::target::{AuditStatements, Protocol, SecretSource, UpstreamTls};
use crate::model::units::{UnitError, duration_ms, size_bytes};

/// A small configuration without fault, a statement a line.
const SOUND: &str = r#"
[node]
name = "edge-1"
[[issuer]]
name = "ci"
issuer = "https://ci.example"
audiences = ["narrows"]
[[service_account]]
name = "deploy"
match = [{ issuer = "ci", claims = { repository = "acme/shop" } }]
[[target]]
name = "shop-db"
protocol = "postgres"
address = "127.0.0.1:5432"
tls = { mode = "disable" }
[[listener]]
target = "shop-db"
bind = "127.0.0.1:6432"
tls = "off"
[[connection]]
service_account = "deploy"
target = "shop-db"
credential = { username = "app", password = { vault = "shop-db/app" } }
policies = ["baseline"]
[policy.baseline]
default = "deny"
"#;

struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn put(&self, name: &str, text: &str) -> std::path::PathBuf {
        let path = self.0.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        path
    }

    fn load(&self, text: &str) -> Result<Config, Vec<Diagnostic>> {
        load(&self.put("narrows.toml", text))
    }

    /// `line: message | hint`, one each.
    fn problems(&self, text: &str) -> Vec<String> {
        let problems = self.load(text).err().unwrap_or_default();
        let shown = |d: &Diagnostic| {
            format!("{}: {} | {}", d.line, d.message, d.hint.as_deref().unwrap_or_default())
        };
        problems.iter().map(shown).collect()
    }
}

/// The line of `SOUND` that begins with `start`, from 1.
fn line_of(text: &str, start: &str) -> usize {
    text.lines().position(|line| line.starts_with(start)).unwrap() + 1
}

#[test]
fn a_sound_configuration_loads_with_its_defaults() {
    let folder = Folder::new();
    let config = folder.load(SOUND).unwrap();
    let state_dir = Path::new("/var/lib/narrows");
    assert_eq!(config.node.name, "edge-1");
    assert_eq!(config.node.workers, Workers::Auto);
    assert_eq!(config.node.driver, DriverChoice::Auto);
    assert_eq!(config.node.log.level, LogLevel::Info);
    assert_eq!(config.node.admin.socket, state_dir.join("admin.sock"));
    assert_eq!(config.node.vault.file(), state_dir.join("vault.age"));
    assert_eq!(config.recording.durability, Durability::Group);
    assert_eq!(config.recording.on_failure, OnFailure::Close);
    assert_eq!(config.recording.segment_bytes, 64 << 20);
    assert_eq!(config.recording.dir, state_dir.join("recordings"));
    assert_eq!(config.issuers[0].keys, KeySource::Discovery);
    assert_eq!(config.issuers[0].algorithms, [Algorithm::Rs256, Algorithm::Es256]);
    assert_eq!(config.targets[0].protocol, Protocol::Postgres);
    assert_eq!(config.connections[0].audit, AuditStatements::Changes);
    assert_eq!(config.connections[0].databases, None);
    let vault = SecretSource::Vault("shop-db/app".into());
    assert_eq!(config.connections[0].credential.password, Some(vault));
    assert_eq!(config.warnings, []);
    assert_eq!(config.version.len(), 12);
}

#[test]
fn upstream_tls_is_verified_unless_it_is_said_otherwise() {
    let folder = Folder::new();
    let config = folder.load(&SOUND.replace("tls = { mode = \"disable\" }\n", "")).unwrap();
    assert_eq!(config.targets[0].tls, UpstreamTls::VerifyFull { ca: None, name: None });
}

/// What is replaced in `SOUND`, by what, and the one problem that this makes.
const FAULTS: &[(&str, &str, &str)] = &[
    // Keys and kinds.
    ("name = \"edge-1\"", "nmae = \"edge-1\"", "`node.name` is missing"),
    ("bind = \"127", "bnid = \"127", "`listener.bnid` is not known | did you mean `bind`?"),
    ("audiences = [\"narrows\"]", "audiences = \"narrows\"", "`issuer.audiences` is not a list"),
    ("audiences = [\"narrows\"]", "audiences = []", "`issuer.audiences` is empty"),
    ("name = \"edge-1\"", "name = 7", "`node.name` is not text in quotes"),
    ("name = \"edge-1\"", "name = \"edge 1\"", "`node.name` is not a usable name"),
    ("name = \"deploy\"", "name = \"de@ploy\"", "`service_account.name` is not a usable name"),
    // Names that resolve to nothing.
    (
        "target = \"shop-db\"\nbind",
        "target = \"shop-dv\"\nbind",
        "there is no target \"shop-dv\" | did you mean \"shop-db\"?",
    ),
    (
        "service_account = \"deploy\"",
        "service_account = \"xyz\"",
        "there is no service account \"xyz\" | known: deploy",
    ),
    (
        "policies = [\"baseline\"]",
        "policies = [\"baselin\"]",
        "there is no policy \"baselin\" | did you mean \"baseline\"?",
    ),
    ("policies = [\"baseline\"]", "policies = []", "`connection.policies` is empty"),
    ("{ issuer = \"ci\"", "{ issuer = \"cj\"", "there is no issuer \"cj\" | did you mean \"ci\"?"),
    // Issuers.
    (
        "https://ci.example",
        "http://ci.example",
        "keys cannot be fetched from this: it is neither https",
    ),
    ("https://ci.example", "ci.example", "keys cannot be fetched from this: it is not a URL"),
    ("https://ci.example", "https://u:p@ci.example", "it carries a user name"),
    (
        "audiences = [\"narrows\"]",
        "audiences = [\"narrows\"]\nalgorithms = [\"HS256\"]",
        "\"HS256\" proves nothing about the issuer",
    ),
    (
        "audiences = [\"narrows\"]",
        "audiences = [\"narrows\"]\nalgorithms = [\"none\"]",
        "\"none\" proves nothing about the issuer",
    ),
    (
        "audiences = [\"narrows\"]",
        "audiences = [\"narrows\"]\nalgorithms = [\"RS265\"]",
        "did you mean \"RS256\"?",
    ),
    (
        "audiences = [\"narrows\"]",
        "audiences = [\"narrows\"]\nmax_age = 60",
        "`issuer.max_age` is not text in quotes",
    ),
    (
        "audiences = [\"narrows\"]",
        "audiences = [\"narrows\"]\nmax_age = \"1 year\"",
        "`issuer.max_age`: the unit is missing or not known",
    ),
    (
        "audiences = [\"narrows\"]",
        "audiences = [\"narrows\"]\njwks_file = \"absent.json\"",
        "No such file",
    ),
    ("audiences = [\"narrows\"]", "audiences = [\"narrows\"]\nca = \"absent.pem\"", "No such file"),
    (
        "audiences = [\"narrows\"]",
        "audiences = [\"narrows\"]\njwks_uri = \"http://10.0.0.1/jwks\"",
        "neither https nor http on a loopback",
    ),
    // Service accounts.
    (
        "claims = { repository = \"acme/shop\" }",
        "claims = {}",
        "the rule lets every token of the issuer in",
    ),
    (
        "claims = { repository = \"acme/shop\" }",
        "claims = { sub = \"*\" }",
        "the rule lets every token of the issuer in",
    ),
    (
        "claims = { repository = \"acme/shop\" }",
        "claims = { sub = [\"a\", \"*\"] }",
        "the rule lets every token of the issuer in",
    ),
    (
        "claims = { repository = \"acme/shop\" }",
        "any_token_of_issuer = true, claims = { sub = \"a\" }",
        "contradict each other",
    ),
    (
        "claims = { repository = \"acme/shop\" }",
        "claims = { sub = [] }",
        "`service_account.match.claims.sub` is empty",
    ),
    (
        "claims = { repository = \"acme/shop\" }",
        "claims = { sub = 1.5 }",
        "is not text, a whole number, true or false",
    ),
    ("claims = { repository = \"acme/shop\" }", "claims = { sub = 'a\\' }", "ends in a backslash"),
    (
        "match = [{ issuer = \"ci\", claims = { repository = \"acme/shop\" } }]",
        "",
        "`service_account.match` is missing",
    ),
    // Humans.
    ("[[issuer]]", "[[group]]\nname = \"dba\"\n[[issuer]]", "the group has no members"),
    (
        "[[issuer]]",
        "[[group]]\nname = \"dba\"\nmatch = [{ issuer = \"ci\" }]\n[[issuer]]",
        "everybody of the issuer would belong to the group",
    ),
    (
        "[[issuer]]",
        "[[group]]\nname = \"dba\"\nmatch = [{ issuer = \"ci\", any_token_of_issuer = true, \
         claims.sub = \"a\" }]\n[[issuer]]",
        "`group.match.any_token_of_issuer` is not known",
    ),
    (
        "name = \"edge-1\"",
        "name = \"edge-1\"\nadmin = { tls = { cert = \"narrows.toml\", key = \"narrows.toml\" } }",
        "the certificate has no address to stand at",
    ),
    // Notifiers.
    (
        "[[issuer]]",
        "[[notifier]]\nname = \"a\"\nkind = \"webhook\"\nurl = \"https://a.example\"\n[[issuer]]",
        "`notifier.secret` is missing",
    ),
    (
        "[[issuer]]",
        "[[notifier]]\nname = \"a\"\nkind = \"slack\"\nurl = \"http://a.example\"\n[[issuer]]",
        "`notifier.url` is not a URL to post to",
    ),
    (
        "[[issuer]]",
        "[[notifier]]\nname = \"a\"\nkind = \"slack\"\nurl = { vault = \"a\" }\n\
         secret = { vault = \"b\" }\n[[issuer]]",
        "Slack checks no signature",
    ),
    // Targets and listeners.
    (
        "protocol = \"postgres\"",
        "protocol = \"mysql\"",
        "`target.protocol` is not available in this version",
    ),
    ("protocol = \"postgres\"", "protocol = \"postgrs\"", "did you mean \"postgres\"?"),
    ("127.0.0.1:5432", "127.0.0.1", "`target.address` is not a host and a port"),
    ("127.0.0.1:5432", "127.0.0.1:0", "`target.address` is not a host and a port"),
    ("127.0.0.1:5432", "::1:5432", "`target.address` is not a host and a port"),
    ("127.0.0.1:5432", "a b:5432", "`target.address` is not a host and a port"),
    ("127.0.0.1:5432", "[::1:5432", "`target.address` is not a host and a port"),
    (
        "mode = \"disable\"",
        "mode = \"disable\", ca = \"x.pem\"",
        "this has a use in mode \"verify-full\" alone",
    ),
    ("mode = \"disable\"", "mode = \"prefer\"", "`target.tls.mode` cannot be \"prefer\""),
    ("mode = \"disable\"", "cert = \"narrows.toml\"", "a certificate and its key belong together"),
    (
        "mode = \"disable\"",
        "mode = \"disable\", cert = \"narrows.toml\", key = \"narrows.toml\"",
        "a client certificate needs TLS",
    ),
    ("127.0.0.1:6432", "0.0.0.0:6432", "this listener would take them unencrypted"),
    ("127.0.0.1:6432", "localhost:6432", "`listener.bind` is not an address"),
    ("tls = \"off\"\n", "", "`listener.tls` is missing"),
    ("tls = \"off\"", "tls = \"on\"", "`listener.tls` cannot be \"on\""),
    ("tls = \"off\"", "tls = { cert = \"a.pem\", key = \"narrows.toml\" }", "No such file"),
    // Connections.
    ("{ vault = \"shop-db/app\" }", "\"hunter2\"", "a secret stands in the configuration"),
    ("{ vault = \"shop-db/app\" }", "{}", "a secret comes from exactly one place"),
    (
        "{ vault = \"shop-db/app\" }",
        "{ vault = \"a\", env = \"B\" }",
        "a secret comes from exactly one place",
    ),
    ("{ vault = \"shop-db/app\" }", "{ vault = \"a b\" }", "is not a name of the vault"),
    ("{ vault = \"shop-db/app\" }", "{ file = \"absent\" }", "No such file"),
    (
        "{ vault = \"shop-db/app\" }",
        "{ env = \"A=B\" }",
        "is not the name of an environment variable",
    ),
    ("{ vault = \"shop-db/app\" }", "{ exec = [\"pass\"] }", "the program is not an absolute path"),
    (
        "policies = [\"baseline\"]",
        "policies = [\"baseline\"]\nlimits = { sessions = 0 }",
        "`connection.limits.sessions` is out of bounds",
    ),
    (
        "policies = [\"baseline\"]",
        "policies = [\"baseline\"]\nlimits = { rows = 0 }",
        "`connection.limits.rows` is out of bounds",
    ),
    (
        "policies = [\"baseline\"]",
        "policies = [\"baseline\"]\nlimits = { bytes = \"0B\" }",
        "`connection.limits.bytes` is out of bounds",
    ),
    (
        "policies = [\"baseline\"]",
        "policies = [\"baseline\"]\nlimits = { masked = 0 }",
        "`connection.limits.masked` is out of bounds",
    ),
    (
        "policies = [\"baseline\"]",
        "policies = [\"baseline\"]\nlimits = { statements = 0 }",
        "`connection.limits.statements` is out of bounds",
    ),
    (
        "policies = [\"baseline\"]",
        "policies = [\"baseline\"]\nlimits = { statements = 60000001 }",
        "`connection.limits.statements` is out of bounds",
    ),
    (
        "policies = [\"baseline\"]",
        "policies = [\"baseline\"]\naudit = { statements = \"none\" }",
        "`connection.audit.statements` cannot be \"none\"",
    ),
    ("username = \"app\", ", "", "`connection.credential.username` is missing"),
    // The node and what is around it.
    ("name = \"edge-1\"", "name = \"edge-1\"\nworkers = 0", "`node.workers` is out of bounds"),
    (
        "name = \"edge-1\"",
        "name = \"edge-1\"\nworkers = \"all\"",
        "`node.workers` cannot be \"all\"",
    ),
    (
        "name = \"edge-1\"",
        "name = \"edge-1\"\nadmin = { bind = \"0.0.0.0:7070\" }",
        "the admin address is not on loopback",
    ),
    (
        "name = \"edge-1\"",
        "name = \"edge-1\"\nadmin = { bind = \"127.0.0.1:7070\", tls = {} }",
        "a certificate and its key belong together",
    ),
    (
        "name = \"edge-1\"",
        "name = \"edge-1\"\nlog = { level = \"inof\" }",
        "did you mean \"info\"?",
    ),
    (
        "name = \"edge-1\"",
        "name = \"edge-1\"\nio = { driver = \"iouring\" }",
        "`node.io.driver` cannot be \"iouring\" | did you mean \"uring\"?",
    ),
    (
        "[[issuer]]",
        "[recording]\nsegment = \"64\"\n[[issuer]]",
        "`recording.segment`: the unit is missing",
    ),
    (
        "[[issuer]]",
        "[recording]\nsegment = \"1KiB\"\n[[issuer]]",
        "`recording.segment` is out of bounds",
    ),
    (
        "[[issuer]]",
        "[recording]\ndurability = \"quick\"\n[[issuer]]",
        "one of: async, group, request, strict",
    ),
    (
        "[[issuer]]",
        "[recording]\nretain = { age = \"90d\" }\n[[issuer]]",
        "`recording.retain` is not available in this version",
    ),
    (
        "[[issuer]]",
        "[[sink]]\nkind = \"syslog\"\npath = \"x\"\n[[issuer]]",
        "`sink.kind` is not available in this version",
    ),
    ("[[issuer]]", "[[sink]]\nkind = \"file\"\n[[issuer]]", "`sink.path` is missing"),
    ("[[issuer]]", "[isuer]\n[[issuer]]", "`isuer` is not known | did you mean `issuer`?"),
];

#[test]
fn each_fault_is_one_problem_that_says_what_to_do() {
    let folder = Folder::new();
    for (good, bad, expected) in FAULTS {
        assert!(SOUND.contains(good), "{good}");
        let text = SOUND.replacen(good, bad, 1);
        let problems = folder.problems(&text);
        assert!(problems.iter().any(|problem| problem.contains(expected)), "{bad}: {problems:#?}");
        // A misspelt key is both unknown and missing.
        assert!(problems.len() <= 2, "{bad}: {problems:#?}");
        for problem in &problems {
            assert!(!problem.starts_with("0:"), "{bad}: no line in {problem}");
        }
    }
}

#[test]
fn no_damage_is_taken_for_silence() {
    let lines: Vec<&str> = SOUND.lines().collect();
    let damaged = |at: usize, replacement: &[&str]| {
        [&lines[..at], replacement, &lines[at + 1..]].concat().join("\n")
    };
    for (at, line) in lines.iter().enumerate() {
        let emptied = line.split_once(" = ").map(|(key, _)| {
            ["\"\"", "0", "[]", "{}", "[[]]", "[{}]", "true"]
                .map(|value| format!("{key} = {value}"))
        });
        let mut versions = vec![damaged(at, &[]), damaged(at, &[line, line])];
        versions.extend(emptied.iter().flatten().map(|line| damaged(at, &[line])));
        versions.extend((0..line.len()).map(|cut| damaged(at, &[&line[..cut]])));
        for text in versions {
            if let Err(problems) = load_text(Path::new("narrows.toml"), &text) {
                assert!(!problems.is_empty(), "{text}");
            }
        }
    }
}

#[test]
fn problems_name_the_line_of_the_fault() {
    let folder = Folder::new();
    for (good, bad, start) in [
        ("protocol = \"postgres\"", "protocol = \"x\"", "protocol"),
        ("{ issuer = \"ci\"", "{ issuer = \"cj\"", "match"),
        ("mode = \"disable\"", "mode = \"x\"", "tls = { mode"),
        ("service_account = \"deploy\"\n", "", "[[connection]]"),
        ("vault = \"shop-db/app\"", "vautl = \"x\"", "credential"),
    ] {
        let text = SOUND.replacen(good, bad, 1);
        let line = format!("{}: ", line_of(&text, start));
        let problems = folder.problems(&text);
        assert!(
            !problems.is_empty() && problems.iter().all(|p| p.starts_with(&line)),
            "{problems:#?}"
        );
    }
}

#[test]
fn a_pattern_that_cannot_be_searched_for_is_a_problem_at_its_line() {
    let text = format!(
        "{SOUND}[[policy.baseline.pattern]]\nname = \"a\"\nmatch = 'A-\\d{{4}}'\n\
         [[policy.baseline.pattern]]\nname = \"b\"\nmatch = 'B-\\d+'\n"
    );
    let line = text.lines().count() - 2;
    assert_eq!(
        Folder::new().problems(&text),
        [format!(
            "{line}: policy `baseline`, pattern `b`: `B-\\d+` cannot be searched for: a value could be \
             of any length | bound what repeats: `{{1,64}}` for `+`, `{{0,64}}` for `*`"
        )]
    );
}

#[test]
fn all_problems_show_at_once_in_the_order_of_their_lines() {
    let text = SOUND
        .replacen("\"edge-1\"", "\"edge 1\"", 1)
        .replacen("protocol = \"postgres\"", "protocol = \"x\"", 1)
        .replacen("[\"baseline\"]", "[\"x\"]", 1);
    let problems = Folder::new().problems(&text);
    let lines: Vec<usize> =
        problems.iter().map(|p| p.split(':').next().unwrap().parse().unwrap()).collect();
    assert_eq!(lines.len(), 3, "a broken target is still a target: {problems:#?}");
    assert!(lines.is_sorted());
}

#[test]
fn broken_toml_is_reported_alone_and_whole() {
    let problems = Folder::new().problems("[node\nname = \"x\"\nx = \n[[target]]\ny = = 1\n");
    assert!(problems.len() >= 2, "{problems:#?}");
    assert!(!problems.iter().any(|problem| problem.contains("is missing |")), "{problems:#?}");
}

#[test]
fn a_file_that_is_not_there_is_a_problem_without_a_line() {
    let problems = load(Path::new("/nonexistent/narrows.toml")).unwrap_err();
    assert_eq!(problems.len(), 1);
    assert_eq!(problems[0].line, 0);
    assert!(problems[0].to_string().contains("/nonexistent/narrows.toml: cannot read the file"));
}

#[test]
fn what_is_defined_twice_is_refused_with_its_first_place() {
    let folder = Folder::new();
    let twice = |extra: &str| folder.problems(&format!("{SOUND}{extra}"));
    let issuer = "[[issuer]]\nname = \"ci\"\nissuer = \"https://b.example\"\naudiences = [\"n\"]\n";
    let problems = twice(issuer);
    assert!(problems[0].contains("the issuer ci is defined twice"), "{problems:#?}");
    assert!(problems[0].contains("narrows.toml:4"), "{problems:#?}");
    let same_url = issuer.replace("\"ci\"", "\"b\"").replace("b.example", "ci.example");
    assert!(twice(&same_url)[0].contains("issuer ci has the same URL"));
    let connection = &SOUND[SOUND.find("[[connection]]").unwrap()..SOUND.find("[policy").unwrap()];
    assert!(twice(connection)[0].contains("the connection deploy@shop-db is defined twice"));
}

#[test]
fn ports_that_clash_are_refused() {
    let folder = Folder::new();
    folder.put("c.pem", "");
    let tls = "tls = { cert = \"c.pem\", key = \"c.pem\" }";
    let listener = |bind: &str| {
        format!("{SOUND}[[listener]]\ntarget = \"shop-db\"\nbind = \"{bind}\"\n{tls}\n")
    };
    for bind in ["127.0.0.1:6432", "0.0.0.0:6432", "[::]:6432"] {
        let problems = folder.problems(&listener(bind));
        assert!(problems[0].contains("is taken by another listener"), "{bind}: {problems:#?}");
    }
    for bind in ["127.0.0.1:6433", "127.0.0.2:6432", "10.0.0.1:0"] {
        assert_eq!(folder.problems(&listener(bind)), Vec::<String>::new(), "{bind}");
    }
    let admin =
        SOUND.replacen("[[issuer]]", "[node.admin]\nbind = \"127.0.0.1:6432\"\n[[issuer]]", 1);
    assert!(folder.problems(&admin)[0].contains("is taken by the admin address"));
}

#[test]
fn what_is_idle_or_weak_is_warned_of() {
    let folder = Folder::new();
    let text = SOUND.replace("127.0.0.1:5432", "10.0.0.5:5432").replace(
        "[policy.baseline]",
        "[[service_account]]\nname = \"idle\"\nmatch = [{ issuer = \"ci\", claims.sub = \"x\" }]\n\
         [[target]]\nname = \"alone\"\nprotocol = \"postgres\"\naddress = \"db:5432\"\n\
         tls.mode = \"require\"\n[policy.unused]\n[policy.baseline]",
    );
    let config = folder.load(&text).unwrap();
    let warnings: Vec<&str> = config.warnings.iter().map(|w| w.message.as_str()).collect();
    for expected in [
        "cross the network unencrypted",
        "service account idle has no connection",
        "is taken for the target",
        "target alone has no listener",
        "target alone has no connection",
        "policy unused is used by no connection",
    ] {
        assert!(
            warnings.iter().any(|warning| warning.contains(expected)),
            "{expected}: {warnings:#?}"
        );
    }
    assert_eq!(warnings.len(), 6);
}

#[test]
fn included_files_are_read_as_one_configuration() {
    let folder = Folder::new();
    let (before, policy) = SOUND.split_at(SOUND.find("[policy").unwrap());
    folder.put("conf.d/10-policy.toml", policy);
    folder.put("conf.d/20-more.toml", "[policy.extra]\ndefault = \"pass\"\n");
    folder.put("conf.d/.hidden.toml", "nonsense");
    folder.put("conf.d/notes.txt", "nonsense");
    let main = format!("include = [\"conf.d/*.toml\"]\n{before}");
    let config = folder.load(&main).unwrap();
    assert_eq!(config.files.len(), 3);
    assert_eq!(config.policies.names().count(), 2);
    let version = config.version;
    folder.put("conf.d/20-more.toml", "[policy.extra]\ndefault = \"deny\"\n");
    assert_ne!(folder.load(&main).unwrap().version, version, "every file counts");

    folder.put("conf.d/20-more.toml", "[policy.baseline]\n[node]\nname = \"b\"\n");
    let problems = load(&folder.put("narrows.toml", &main)).unwrap_err();
    let said: Vec<String> = problems.iter().map(ToString::to_string).collect();
    assert!(
        said.iter().any(|p| p.contains("20-more.toml:1: the policy baseline is defined twice"))
    );
    assert!(said.iter().any(|p| p.contains("20-more.toml:2: `node` is defined twice")));

    let itself = format!("include = [\"narrows.toml\"]\n{SOUND}");
    assert!(folder.problems(&itself)[0].contains("included twice"));
    let absent = format!("include = [\"absent.toml\"]\n{SOUND}");
    assert!(folder.problems(&absent)[0].contains("cannot read the included file"));
}

#[test]
fn problems_of_rules_find_their_lines() {
    let text = format!(
        "{SOUND}[[policy.baseline.rule]]\nid = \"r1\"\nwhen = {{ effects.only = [\"reed\"] }}\n\
         action = \"allow\"\n"
    );
    let problems = Folder::new().problems(&text);
    let line = format!("{}: ", line_of(&text, "[[policy.baseline.rule]]"));
    assert!(problems.len() == 1 && problems[0].starts_with(&line), "{problems:#?}");
}

#[test]
fn nested_claims_and_numbers_are_compared_as_text() {
    let text = SOUND.replace(
        "claims = { repository = \"acme/shop\" }",
        "claims = { kubernetes.io.namespace = \"prod\", run = 7, admin = true, \"a.b\" = \"c*\" }",
    );
    let config = Folder::new().load(&text).unwrap();
    let mut claims: Claims =
        [("kubernetes.io.namespace", "prod"), ("run", "7"), ("admin", "true"), ("a.b", "cd")]
            .map(|(name, value)| (name.to_owned(), ClaimValue::Text(value.to_owned())))
            .into();
    assert!(config.accounts[0].admits(&"ci".into(), &claims));
    claims.remove("run");
    assert!(!config.accounts[0].admits(&"ci".into(), &claims));
}

#[test]
fn the_vault_is_found_in_an_unfinished_configuration() {
    let folder = Folder::new();
    let path =
        folder.put("narrows.toml", "[node]\nstate_dir = \"state\"\nnonsense = 1\n[[target]]\n");
    let vault = vault_of(&path).unwrap();
    assert_eq!(vault.file(), folder.0.path().join("state/vault.age"));
    let vault = vault_of(&folder.put("narrows.toml", "[node.vault]\nfile = \"v.age\"\n")).unwrap();
    assert_eq!(vault.file(), folder.0.path().join("v.age"));
}

#[test]
fn durations_and_sizes_carry_units() {
    assert_eq!(duration_ms("200ms"), Ok(200));
    assert_eq!(duration_ms("15m"), Ok(900_000));
    assert_eq!(duration_ms("1 h"), Ok(3_600_000));
    assert_eq!(duration_ms("90d"), Ok(90 * 86_400_000));
    assert_eq!(size_bytes("64MiB"), Ok(64 << 20));
    assert_eq!(size_bytes("0B"), Ok(0));
    for text in ["15", "15 minutes", "15M", "1.5h", "5mb", "5MB"] {
        assert_eq!(duration_ms(text), Err(UnitError::Unit), "{text}");
    }
    for text in ["", "m", "-5s", "MiB", " 5s", "é"] {
        assert_eq!(duration_ms(text), Err(UnitError::NoNumber), "{text}");
        assert_eq!(size_bytes(text), Err(UnitError::NoNumber), "{text}");
    }
    assert_eq!(duration_ms("99999999999999999999s"), Err(UnitError::TooLarge));
    assert_eq!(duration_ms("999999999999d"), Err(UnitError::TooLarge));
    assert_eq!(size_bytes("18446744073709551615TiB"), Err(UnitError::TooLarge));
}

#[test]
fn only_near_words_are_suggested() {
    let names = ["audiences", "algorithms", "ca"];
    assert_eq!(closest("audience", names.into_iter()), Some("audiences"));
    assert_eq!(closest("algoritms", names.into_iter()), Some("algorithms"));
    assert_eq!(closest("ac", names.into_iter()), None);
    assert_eq!(closest("entirely-else", names.into_iter()), None);
    assert_eq!(closest(&"a".repeat(1000), names.into_iter()), None);
}

/// The shipped file with its paths moved into `folder`, where every file that it names is made.
fn shipped(folder: &Folder, text: &str) -> String {
    let root = folder.0.path().display();
    let text = text.replace("\"/etc/narrows/", &format!("\"{root}/etc/"));
    for quoted in text.split('"').filter(|quoted| quoted.starts_with(&root.to_string())) {
        let path = Path::new(quoted);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, "").unwrap();
    }
    fs::create_dir_all(folder.0.path().join("conf.d")).unwrap();
    text
}

/// Full names of all keys of a table, those in lists of tables too.
fn paths(prefix: &str, value: &toml::Value, found: &mut BTreeSet<String>) {
    if let Some(table) = value.as_table() {
        for (key, value) in table {
            let path = if prefix.is_empty() { key.clone() } else { format!("{prefix}.{key}") };
            paths(&path, value, found);
            found.insert(path);
        }
    }
    for item in value.as_array().into_iter().flatten() {
        paths(prefix, item, found);
    }
}

#[test]
fn an_issuer_of_bots_and_humans_is_warned_of() {
    let folder = Folder::new();
    let group = "[[group]]\nname = \"dba\"\nmatch = [{ issuer = \"ci\", claims.sub = \"a\" }]\n";
    let text = SOUND.replacen("[[issuer]]", &format!("{group}[[issuer]]"), 1);
    let config = load(&folder.put("narrows.toml", &text)).unwrap();
    let warned = config.warnings.iter().map(|warning| warning.message.as_str()).collect::<Vec<_>>();
    assert_eq!(warned, ["group dba and a service account take tokens of ci"]);
    assert_eq!(config.groups[0].rules.len(), 1);
}

#[test]
fn the_shipped_configuration_loads_and_names_every_key() {
    let folder = Folder::new();
    let text = shipped(&folder, include_str!("../../config/narrows.toml"));
    let (config, asked) = load_noting_keys(&folder.put("narrows.toml", &text));
    let config = config.unwrap();
    assert_eq!(config.warnings, []);
    assert_eq!(config.sinks, [Sink::File { path: "/var/log/narrows/events.jsonl".into() }]);

    let mut shown = BTreeSet::new();
    paths("", &toml::Value::Table(text.parse().unwrap()), &mut shown);
    // Keys that exclude others of the same table are shown in comments.
    for example in text.lines().filter_map(|line| line.strip_prefix("#   ")) {
        let example: toml::Table = example.parse().unwrap();
        paths("connection.credential", &toml::Value::Table(example), &mut shown);
    }
    assert!(asked.len() > 50, "{asked:?}");
    // Where secrets lie is shown at the password.
    let at_password = |key: &str| {
        let place =
            ["notifier.secret.", "notifier.url."].iter().find_map(|at| key.strip_prefix(at));
        place
            .is_some_and(|place| shown.contains(&format!("connection.credential.password.{place}")))
    };
    let hidden = asked.difference(&shown).filter(|key| !at_password(key));
    let hidden: Vec<&String> = hidden.collect();
    assert!(hidden.is_empty(), "config/narrows.toml does not show {hidden:?}");
}

#[test]
fn every_key_of_the_shipped_configuration_has_a_comment() {
    let mut seen = BTreeSet::new();
    let mut section = "";
    let mut explained = false;
    for line in include_str!("../../config/narrows.toml").lines() {
        if line.starts_with('[') {
            section = line.trim_matches(['[', ']']);
            // A comment above a header speaks of the section, not of its first key.
            explained = false;
        } else if line.starts_with('#') {
            explained = true;
        } else if let Some((key, _)) = line.split_once(" = ") {
            let first_time = seen.insert((section, key));
            assert!(explained || !first_time, "{section}.{key} has no comment");
            explained = false;
        }
    }
    assert!(seen.len() > 40);
}

#[test]
fn every_shipped_example_loads() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("config");
    let mut examples = 0;
    for entry in fs::read_dir(root.join("examples")).unwrap() {
        let path = entry.unwrap().path();
        let folder = Folder::new();
        let text = shipped(&folder, &fs::read_to_string(&path).unwrap());
        for policy in fs::read_dir(root.join("policies")).unwrap() {
            let policy = policy.unwrap();
            let text = fs::read_to_string(policy.path()).unwrap();
            folder.put(&format!("policies/{}", policy.file_name().to_str().unwrap()), &text);
        }
        let config = load(&folder.put("examples/narrows.toml", &text));
        let problems = config.as_ref().err().cloned().unwrap_or_default();
        assert_eq!(problems, [], "{}", path.display());
        assert_eq!(config.unwrap().warnings, [], "{}", path.display());
        examples += 1;
    }
    assert!(examples >= 2);
}
