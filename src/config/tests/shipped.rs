use std::collections::BTreeSet;

use super::*;
use crate::config::load::load_noting_keys;

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
fn the_shipped_configuration_loads_and_names_every_key() {
    let folder = Folder::new();
    let text = shipped(&folder, include_str!("../../../config/narrows.toml"));
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
    for line in include_str!("../../../config/narrows.toml").lines() {
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
