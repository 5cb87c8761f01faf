use super::*;

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
