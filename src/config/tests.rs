/// One mistake after the other, and what is said of it.
mod faults;
/// The files that operators begin with.
mod shipped;

use std::fs;
use std::path::Path;

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
