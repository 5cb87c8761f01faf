//! Keeps the house: which room may use which, where `unsafe` and protocol names may stand, how
//! long things may grow, and what may only become fewer. Reads source text, not types: it sees
//! paths that begin with `crate::`, so importing a room in any other spelling is refused as well.
//!
//! Every finding is `file:line: what is wrong; what to do`.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::path::PathBuf;

/// A room, and what it may use: rooms that stand above it in this table. `room/part` allows only
/// paths that begin with `crate::room::part`.
struct Row {
    room: &'static str,
    uses: &'static [&'static str],
}

/// Bottom first. Adjust it when a real need shows, in a commit of its own with the reason.
const HOUSE: &[Row] = &[
    Row { room: "limits", uses: &[] },
    Row { room: "model", uses: &["limits"] },
    Row { room: "io", uses: &["limits", "model"] },
    Row { room: "scan", uses: &["limits", "model"] },
    Row { room: "wire", uses: &["io/buf", "limits", "model"] },
    Row { room: "judge", uses: &["limits", "model", "scan"] },
    // What is protected is the policies' to say.
    Row { room: "mask", uses: &["judge/policy", "limits", "model", "scan", "wire"] },
    Row { room: "record", uses: &["io/buf", "limits", "model"] },
    Row { room: "identity", uses: &["limits", "model"] },
    Row { room: "observe", uses: &["limits", "model"] },
    Row {
        room: "session",
        uses: &["io/buf", "judge", "limits", "mask", "model", "record", "scan", "wire"],
    },
    Row {
        room: "config",
        uses: &["identity", "judge", "limits", "mask", "model", "observe", "record"],
    },
    Row {
        room: "worker",
        uses: &[
            "config", "io", "limits", "mask", "model", "record", "session",
            // It answers what a session asks for: a token's admission (the gate is offline and
            // bounded), facts (the classifier's caches belong to the thread), the wire's own words.
            "identity", "judge", "wire",
            // It counts what it relays; metrics are counters, not calls into slow things.
            "observe",
        ],
    },
    Row { room: "lane", uses: &["limits", "model", "session", "worker/mailbox"] },
    Row {
        room: "control",
        uses: &[
            "config", "identity", "judge", "limits", "model", "observe", "record",
            // It reads the catalogues that masks go by, from targets that want TLS.
            "io/tls", "mask",
        ],
    },
    Row {
        room: "cli",
        uses: &[
            "config", "control", "identity", "io", "judge", "lane", "limits", "mask", "model",
            "observe", "record", "scan", "session", "wire", "worker",
        ],
    },
];

/// Files that stand beside the rooms and may name any of them.
const DOORS: &[&str] = &["src/lib.rs", "src/main.rs", "src/fuzzing.rs", "src/fuzzing/passage.rs"];

/// Where the compiler cannot see every invariant, a person has to; so the places are few.
const UNSAFE_ROOMS: &[&str] = &["src/io/", "src/scan/"];

/// Words by which code would know a protocol: found anywhere in an identifier or a string.
const PROTOCOL_WORDS: &[&str] = &["postgres", "pgsql", "psql", "pg_"];

/// Who may know a protocol by name, and why.
const MAY_NAME_A_PROTOCOL: &[(&str, &str)] = &[
    ("src/wire/", "it speaks them"),
    ("src/lane/", "it speaks them"),
    ("src/config/", "targets are declared with one"),
    ("src/model/", "the enum that all others match on"),
    ("src/fuzzing", "one entry point a protocol"),
    ("src/judge/policy/condition.rs", "which schema holds a server's own functions"),
    ("src/mask/catalogue", "what one server's catalogue holds"),
    ("src/control/catalogue/", "reads it from that server"),
    ("src/control/estimate.rs", "asks that server what it would do"),
    ("src/judge/classify/", "a dialect of SQL is a language, chosen by model::command::Language"),
    ("src/judge/functions/", "a list of one dialect's functions"),
    ("src/cli/play", "draws the result messages of a recorded session"),
    ("src/cli/demo", "starts a real server and its own client"),
];

/// `#[expect(..)]` in src/. It may only fall: lower it when it does.
const EXPECTS: usize = 2;
/// `unsafe` in src/: blocks, functions and impls. It may only fall: lower it when it does.
const UNSAFES: usize = 33;

const FILE_LINES_MAX: usize = 600;
const FUNCTION_LINES_MAX: usize = 100;

// ---- the rules ------------------------------------------------------------------------------

/// `crate::` paths that the table does not allow.
fn edges(file: &Source) -> Vec<String> {
    if DOORS.contains(&file.path.as_str()) {
        return Vec::new();
    }
    let room = file.room();
    let Some(row) = HOUSE.iter().find(|row| row.room == room) else {
        return vec![file.at(0, &format!("no room is called {room}; add a row to HOUSE"))];
    };
    let mut found = Vec::new();
    for start in words(&file.code, "crate") {
        let after = file.code.get(start + "crate".len()..).unwrap_or_default().trim_start();
        let Some(path) = after.strip_prefix("::") else {
            if after.starts_with("as ") {
                found.push(file.at(start, "the crate is renamed; name the room in full"));
            }
            continue;
        };
        let mut segments = path.trim_start().splitn(3, "::").map(leading_word);
        let used = segments.next().unwrap_or_default();
        let part = segments.next().unwrap_or_default();
        if used.is_empty() {
            found.push(file.at(start, "rooms are imported together; write one `use` a line"));
        } else if used != room && !row.uses.iter().any(|allowed| allows(allowed, used, part)) {
            let partly = row.uses.iter().find(|allowed| allowed.split('/').next() == Some(used));
            let what = match partly {
                Some(allowed) => format!(
                    "{room} may use only crate::{} of {used}; name that path",
                    allowed.replace('/', "::")
                ),
                None => format!(
                    "{room} may not use {used}; pass what it needs as an argument or a model type"
                ),
            };
            found.push(file.at(start, &what));
        }
    }
    found.extend(climbs(file));
    found
}

fn allows(allowed: &str, used: &str, part: &str) -> bool {
    match allowed.split_once('/') {
        Some((room, only)) => room == used && only == part,
        None => allowed == used,
    }
}

/// `super::super::` chains that leave the room.
fn climbs(file: &Source) -> Vec<String> {
    let inner = file.path.strip_prefix("src/").unwrap_or(&file.path);
    let leaf = usize::from(!inner.ends_with("mod.rs"));
    let depth = inner.matches('/').count() + leaf;
    let chain = "super::".repeat(depth);
    words(&file.code, "super")
        .into_iter()
        .filter(|start| file.code.get(*start..).is_some_and(|rest| rest.starts_with(&chain)))
        .map(|start| file.at(start, "`super` climbs out of the room; name it by `crate::`"))
        .collect()
}

fn unsafe_places(file: &Source) -> Vec<String> {
    if UNSAFE_ROOMS.iter().any(|room| file.path.starts_with(room)) {
        return Vec::new();
    }
    words(&file.code, "unsafe")
        .into_iter()
        .map(|start| file.at(start, "`unsafe` outside src/io and src/scan; move it there"))
        .collect()
}

fn protocol_names(file: &Source) -> Vec<String> {
    if MAY_NAME_A_PROTOCOL.iter().any(|(place, _)| file.path.starts_with(place)) || file.is_test {
        return Vec::new();
    }
    let text = file.code_and_text.to_ascii_lowercase();
    let mut found = Vec::new();
    for word in PROTOCOL_WORDS {
        for (start, _) in text.match_indices(word) {
            let inside = text.get(..start).unwrap_or_default();
            if *word == "pg_" && inside.ends_with(|c: char| c.is_ascii_alphanumeric()) {
                continue;
            }
            found.push(file.at(
                start,
                &format!("`{word}` names a protocol; ask wire or model for what differs"),
            ));
        }
    }
    found
}

fn lengths(file: &Source) -> Vec<String> {
    if file.is_test {
        return Vec::new();
    }
    let code = without_inline_tests(&file.code);
    let mut found = Vec::new();
    let lines = code_lines(&code);
    if lines > FILE_LINES_MAX {
        found.push(file.at(
            0,
            &format!("{lines} lines of code, {FILE_LINES_MAX} are enough; it holds two ideas"),
        ));
    }
    for start in words(&code, "fn") {
        let rest = code.get(start..).unwrap_or_default();
        let Some(body) = body(rest) else { continue };
        let lines = code_lines(body);
        if lines > FUNCTION_LINES_MAX {
            let name = leading_word(rest.get("fn".len()..).unwrap_or_default().trim_start());
            found.push(file.at(
                start,
                &format!("fn {name} has {lines} lines, {FUNCTION_LINES_MAX} are enough; split it"),
            ));
        }
    }
    found
}

fn headers(file: &Source) -> Vec<String> {
    if file.is_test || file.text.starts_with("//!") {
        return Vec::new();
    }
    vec![file.at(0, "no `//!` first; say what the file knows and what it does not")]
}

fn deferred_work(file: &Source) -> Vec<String> {
    let mut found = Vec::new();
    for word in ["TODO", "FIXME", "XXX", "HACK"] {
        for start in words(&file.comments, word) {
            found.push(file.at(start, &format!("{word}: do it, or describe the limit as it is")));
        }
    }
    for (start, _) in file.comments.match_indices('#') {
        let number = file.comments.get(start + 1..).unwrap_or_default();
        let before = file.comments.get(..start).unwrap_or_default();
        if number.starts_with(|c: char| c.is_ascii_digit()) && before.ends_with([' ', '(']) {
            found.push(file.at(start, "an issue number; say the reason itself"));
        }
    }
    found
}

fn text_errors(file: &Source) -> Vec<String> {
    let mut found = Vec::new();
    for (start, _) in file.code.match_indices(", String>") {
        let line = file.code.get(..start).unwrap_or_default().rsplit('\n').next();
        if line.is_some_and(|line| line.contains("Result<")) {
            found.push(file.at(start, "an error that is a `String`; make it an enum"));
        }
    }
    found
}

fn undocumented_limits(file: &Source) -> Vec<String> {
    let mut found = Vec::new();
    let mut documented = false;
    for (number, line) in file.text.lines().enumerate() {
        if line.starts_with("pub const ") && !documented {
            found.push(format!(
                "{}:{}: a bound without its reason; write it above as `///`",
                file.path,
                number + 1
            ));
        }
        // A reason covers the bounds that stand directly below it: a minimum and its maximum.
        documented = line.starts_with("///") || (documented && !line.trim().is_empty());
    }
    found
}

/// Decision pages are numbered without gaps and answer the same four questions.
fn decision_pages(pages: &[(String, String)]) -> Vec<String> {
    let mut found = Vec::new();
    for (index, (name, text)) in pages.iter().enumerate() {
        let number = format!("{:04}", index + 1);
        if !name.starts_with(&format!("{number}-")) {
            found.push(format!("docs/decisions/{name}:1: expected number {number}; renumber it"));
        }
        if !text.starts_with(&format!("# {number} ")) {
            found.push(format!("docs/decisions/{name}:1: begin with `# {number} <title>`"));
        }
        for section in ["## Context", "## Choice", "## Cost", "## When to look again"] {
            if !text.lines().any(|line| line == section) {
                found.push(format!("docs/decisions/{name}:1: has no `{section}`; add it"));
            }
        }
    }
    found
}

/// Places that a page names, by link or as a source path in backticks, and that are not there.
fn lost_places(page: &str, text: &str, exists: &dyn Fn(&str) -> bool) -> Vec<String> {
    let folder = page.rsplit_once('/').map_or("", |(folder, _)| folder);
    let mut found = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let links = line.split("](").skip(1).filter_map(|after| after.split([')', '#']).next());
        let linked = links
            .filter(|link| !link.is_empty() && !link.contains("://"))
            .map(|link| resolved(folder, link));
        let quoted = line.split('`').skip(1).step_by(2);
        let sources = quoted
            .filter(|path| path.starts_with("src/") && !path.contains(['*', ' ']))
            .map(str::to_owned);
        for place in linked.chain(sources).filter(|place| !exists(place)) {
            found.push(format!("{page}:{}: {place} is not there; mend the page", index + 1));
        }
    }
    found
}

/// `link` as seen from `folder`, from the root of the tree.
fn resolved(folder: &str, link: &str) -> String {
    let mut parts: Vec<&str> = folder.split('/').filter(|part| !part.is_empty()).collect();
    for part in link.split('/') {
        match part {
            ".." => drop(parts.pop()),
            "." | "" => {}
            part => parts.push(part),
        }
    }
    parts.join("/")
}

/// A count that may only fall: more is refused, fewer asks for the constant to follow.
fn ratchet(what: &str, constant: &str, found: &[String], allowed: usize) -> Vec<String> {
    let count = found.len();
    if count == allowed {
        return Vec::new();
    }
    let advice = if count > allowed { "do without it" } else { "lower the constant" };
    let mut lines =
        vec![format!("tests/tidy.rs: {count} {what}, {constant} says {allowed}; {advice}")];
    if count > allowed {
        lines.extend_from_slice(found);
    }
    lines
}

// ---- source text ----------------------------------------------------------------------------

#[derive(Clone, Copy, PartialEq)]
enum Part {
    Code,
    Comment,
    Text,
}

/// A file, and three views of it with the same offsets and line ends.
struct Source {
    path: String,
    text: String,
    /// Comments and the contents of string and character literals are blank.
    code: String,
    /// Comments are blank.
    code_and_text: String,
    /// All but comments is blank.
    comments: String,
    is_test: bool,
}

impl Source {
    fn new(path: &str, text: &str) -> Self {
        let parts = parts(text);
        let view = |keep: &[Part]| {
            let mut view = String::with_capacity(text.len());
            for (part, piece) in &parts {
                if keep.contains(part) {
                    view.push_str(piece);
                } else {
                    view.extend(piece.bytes().map(|b| if b == b'\n' { '\n' } else { ' ' }));
                }
            }
            view
        };
        Self {
            path: path.to_owned(),
            code: view(&[Part::Code]),
            code_and_text: view(&[Part::Code, Part::Text]),
            comments: view(&[Part::Comment]),
            text: text.to_owned(),
            is_test: false,
        }
    }

    fn room(&self) -> &str {
        let inner = self.path.strip_prefix("src/").unwrap_or(&self.path);
        let first = inner.split('/').next().unwrap_or_default();
        first.strip_suffix(".rs").unwrap_or(first)
    }

    fn at(&self, offset: usize, what: &str) -> String {
        let line = self.text.bytes().take(offset).filter(|b| *b == b'\n').count() + 1;
        format!("{}:{line}: {what}", self.path)
    }
}

fn parts(mut rest: &str) -> Vec<(Part, &str)> {
    let mut parts = Vec::new();
    while let Some(first) = rest.chars().next() {
        let (part, length) = if rest.starts_with("//") {
            (Part::Comment, rest.find('\n').unwrap_or(rest.len()))
        } else if rest.starts_with("/*") {
            (Part::Comment, block_comment(rest))
        } else if let Some(length) = raw_string(rest) {
            (Part::Text, length)
        } else if first == '"' {
            (Part::Text, quoted(rest, '"'))
        } else if first == '\'' && is_character(rest) {
            (Part::Text, quoted(rest, '\''))
        } else if is_word(first) {
            (Part::Code, leading_word(rest).len())
        } else {
            (Part::Code, first.len_utf8())
        };
        let (piece, tail) = rest.split_at(length);
        parts.push((part, piece));
        rest = tail;
    }
    parts
}

/// Length of a block comment; they nest.
fn block_comment(text: &str) -> usize {
    let mut depth = 0_usize;
    let mut offset = 0;
    while let Some(rest) = text.get(offset..) {
        if rest.starts_with("/*") {
            depth += 1;
            offset += 2;
        } else if rest.starts_with("*/") {
            depth -= 1;
            offset += 2;
            if depth == 0 {
                return offset;
            }
        } else {
            offset += rest.chars().next().map_or(text.len(), char::len_utf8);
        }
    }
    text.len()
}

fn raw_string(text: &str) -> Option<usize> {
    let prefix = ["r", "br", "cr"].into_iter().find(|prefix| {
        text.strip_prefix(prefix).is_some_and(|rest| rest.trim_start_matches('#').starts_with('"'))
    })?;
    let rest = text.get(prefix.len()..)?;
    let hashes = rest.len() - rest.trim_start_matches('#').len();
    let close = format!("\"{}", "#".repeat(hashes));
    let open = prefix.len() + hashes + 1;
    let inside = text.get(open..)?.find(&close)?;
    Some(open + inside + close.len())
}

/// Length of a literal from its opening quote to its closing one.
fn quoted(text: &str, quote: char) -> usize {
    let mut escaped = false;
    for (offset, c) in text.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            _ if c == quote => return offset + c.len_utf8(),
            _ => {}
        }
    }
    text.len()
}

/// Tells `'x'` from the lifetime `'x`.
fn is_character(text: &str) -> bool {
    let mut after = text.chars().skip(1);
    match after.next() {
        Some('\\') => true,
        Some(_) => after.next() == Some('\''),
        None => false,
    }
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

fn leading_word(text: &str) -> &str {
    text.split(|c: char| !is_word(c)).next().unwrap_or_default()
}

/// Offsets at which `word` stands as a whole word.
fn words(text: &str, word: &str) -> Vec<usize> {
    text.match_indices(word)
        .filter(|(start, _)| {
            let before = text.get(..*start).unwrap_or_default().chars().next_back();
            let after = text.get(start + word.len()..).unwrap_or_default().chars().next();
            !before.is_some_and(is_word) && !after.is_some_and(is_word)
        })
        .map(|(start, _)| start)
        .collect()
}

fn code_lines(code: &str) -> usize {
    code.lines().filter(|line| !line.trim().is_empty()).count()
}

/// From the beginning of an item to the end of its braces; `None` if a `;` ends it first.
fn body(item: &str) -> Option<&str> {
    let mut depth = 0_usize;
    let mut braces = 0_usize;
    for (offset, c) in item.char_indices() {
        match c {
            '(' | '[' => depth += 1,
            ')' | ']' => depth = depth.checked_sub(1)?,
            '{' => braces += 1,
            '}' => {
                braces = braces.checked_sub(1)?;
                if braces == 0 && depth == 0 {
                    return item.get(..=offset);
                }
            }
            ';' if depth == 0 && braces == 0 => return None,
            _ => {}
        }
    }
    None
}

/// `code` with every inline `#[cfg(test)]` item left out.
fn without_inline_tests(code: &str) -> String {
    let mut kept = String::new();
    let mut rest = code;
    while let Some((before, after)) = rest.split_once("#[cfg(test)]") {
        kept.push_str(before);
        let skipped = body(after).unwrap_or_default();
        kept.extend(skipped.chars().filter(|c| *c == '\n'));
        rest = after.get(skipped.len()..).unwrap_or_default();
    }
    kept.push_str(rest);
    kept
}

/// Paths, without `.rs`, of the modules that a file declares for tests only.
fn test_modules(file: &Source) -> Vec<String> {
    let stem = file.path.strip_suffix(".rs").unwrap_or(&file.path);
    let parent = match stem.rsplit_once('/') {
        Some((parent, "mod" | "lib" | "main")) => parent,
        _ => stem,
    };
    let mut modules = Vec::new();
    for after in file.code.split("#[cfg(test)]").skip(1) {
        let declaration = after.split(';').next().unwrap_or_default();
        if let Some((_, name)) = declaration.rsplit_once("mod ")
            && !declaration.contains('{')
        {
            modules.push(format!("{parent}/{}", leading_word(name)));
        }
    }
    modules
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn files_below(folder: &Path, ending: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let Ok(entries) = fs::read_dir(folder) else { return found };
    for entry in entries.flatten() {
        let path = entry.path();
        if path.is_dir() {
            found.extend(files_below(&path, ending));
        } else if path.to_string_lossy().ends_with(ending) {
            found.push(path);
        }
    }
    found.sort();
    found
}

/// Every source file below src/, test files marked as such.
fn sources() -> Vec<Source> {
    let root = root();
    let mut sources: Vec<Source> = files_below(&root.join("src"), ".rs")
        .into_iter()
        .filter_map(|path| {
            let text = fs::read_to_string(&path).ok()?;
            let name = path.strip_prefix(&root).ok()?.to_string_lossy().into_owned();
            Some(Source::new(&name, &text))
        })
        .collect();
    let tests: BTreeSet<String> = sources.iter().flat_map(test_modules).collect();
    for source in &mut sources {
        source.is_test = tests.iter().any(|module| {
            source.path == format!("{module}.rs") || source.path.starts_with(&format!("{module}/"))
        });
    }
    sources
}

/// All that `rule` finds in src/.
fn across(rule: fn(&Source) -> Vec<String>) -> Vec<String> {
    sources().iter().flat_map(rule).collect()
}

#[track_caller]
fn assert_none(found: &[String]) {
    assert!(found.is_empty(), "\n{}\n", found.join("\n"));
}

// ---- the house as it is ---------------------------------------------------------------------

#[test]
fn rooms_use_only_rooms_below_them() {
    assert_none(&across(edges));
}

#[test]
fn the_table_has_no_cycle() {
    let mut below = BTreeSet::new();
    for row in HOUSE {
        for used in row.uses {
            let used = used.split('/').next().unwrap_or_default();
            assert!(below.contains(used), "{} uses {used}, which stands above it", row.room);
        }
        below.insert(row.room);
    }
}

#[test]
fn the_tree_has_sources_to_check() {
    assert!(sources().len() > 10);
}

#[test]
fn unsafe_stands_in_io_and_scan_only() {
    assert_none(&across(unsafe_places));
}

#[test]
fn only_the_listed_places_name_a_protocol() {
    assert_none(&across(protocol_names));
}

#[test]
fn files_and_functions_hold_one_idea() {
    assert_none(&across(lengths));
}

#[test]
fn files_say_what_they_know() {
    assert_none(&across(headers));
}

#[test]
fn nothing_is_deferred_in_a_comment() {
    assert_none(&across(deferred_work));
}

#[test]
fn errors_are_enums() {
    assert_none(&across(text_errors));
}

#[test]
fn every_bound_has_its_reason() {
    let sources = sources();
    let limits = sources.iter().find(|file| file.path == "src/limits.rs").unwrap();
    assert_none(&undocumented_limits(limits));
}

#[test]
fn silenced_lints_only_become_fewer() {
    let expects = across(|file| {
        file.code
            .match_indices("[expect(")
            .map(|(start, _)| file.at(start, "a lint is silenced"))
            .collect()
    });
    assert_none(&ratchet("silenced lints", "EXPECTS", &expects, EXPECTS));
}

#[test]
fn unsafe_only_becomes_less() {
    let unsafes = across(|file| {
        words(&file.code, "unsafe").into_iter().map(|start| file.at(start, "unsafe")).collect()
    });
    assert_none(&ratchet("uses of `unsafe`", "UNSAFES", &unsafes, UNSAFES));
}

#[test]
fn decisions_are_numbered_and_complete() {
    let pages: Vec<(String, String)> = files_below(&root().join("docs/decisions"), ".md")
        .into_iter()
        .filter_map(|path| {
            let name = path.file_name()?.to_string_lossy().into_owned();
            Some((name, fs::read_to_string(&path).ok()?))
        })
        .collect();
    assert_none(&decision_pages(&pages));
}

#[test]
fn pages_name_places_that_exist() {
    let root = root();
    let top = fs::read_dir(&root).into_iter().flatten().flatten().map(|entry| entry.path());
    let mut pages: Vec<PathBuf> =
        top.filter(|path| path.extension().is_some_and(|ending| ending == "md")).collect();
    for folder in ["docs", "deploy", "bench", "fuzz", "demo", "config"] {
        pages.extend(files_below(&root.join(folder), ".md"));
    }
    assert!(!pages.is_empty());
    let mut found = Vec::new();
    for page in pages {
        let name = page.strip_prefix(&root).unwrap().to_string_lossy().into_owned();
        let text = fs::read_to_string(&page).unwrap();
        found.extend(lost_places(&name, &text, &|place| root.join(place).exists()));
    }
    assert_none(&found);
}

// ---- the rules do find what they forbid -----------------------------------------------------

/// What `rule` says of one file; lines only, without the path.
fn finds(rule: fn(&Source) -> Vec<String>, path: &str, text: &str) -> Vec<String> {
    rule(&Source::new(path, text))
}

#[test]
fn a_forbidden_edge_is_found_with_its_line() {
    let found = finds(edges, "src/wire/frame.rs", "//! x\nuse crate::judge::Facts;\n");
    assert_eq!(found.len(), 1);
    assert!(found[0].starts_with("src/wire/frame.rs:2: wire may not use judge;"), "{found:?}");
    assert_eq!(finds(edges, "src/wire/frame.rs", "fn f() { crate::worker::go() }").len(), 1);
    assert_eq!(finds(edges, "src/nowhere/a.rs", "").len(), 1);
}

#[test]
fn a_part_of_a_room_is_not_the_room() {
    assert_none(&finds(edges, "src/wire/frame.rs", "use crate::io::buf::Chunk;"));
    assert_none(&finds(edges, "src/wire/frame.rs", "use crate::io::buf;"));
    assert_eq!(finds(edges, "src/wire/frame.rs", "use crate::io::tls::Tls;").len(), 1);
    assert_eq!(finds(edges, "src/wire/frame.rs", "use crate::io::{buf, tls};").len(), 1);
}

#[test]
fn other_spellings_of_an_import_are_refused() {
    assert_eq!(finds(edges, "src/wire/a.rs", "use crate::{judge, model};").len(), 1);
    assert_eq!(finds(edges, "src/wire/a.rs", "use crate::*;").len(), 1);
    assert_eq!(finds(edges, "src/wire/a.rs", "use crate as all;").len(), 1);
    assert_eq!(finds(edges, "src/wire/a.rs", "use super::super::judge;").len(), 1);
    assert_eq!(finds(edges, "src/wire/mod.rs", "use super::judge;").len(), 1);
    assert_none(&finds(edges, "src/wire/a.rs", "use super::frame::Frame;"));
    assert_none(&finds(edges, "src/wire/p/a.rs", "use super::super::Step;"));
}

#[test]
fn comments_and_strings_are_not_code() {
    let quiet = concat!(
        "// crate::judge unsafe\n/* a /* nested */ unsafe */\n",
        "const A: &str = \"unsafe crate::judge\";\n",
        "const B: &str = r#\"unsafe \" crate::judge\"#;\n",
        "const C: char = '\"'; const D: char = '\\''; fn f<'a>(x: &'a str) {}\n",
    );
    assert_none(&finds(edges, "src/wire/a.rs", quiet));
    assert_none(&finds(unsafe_places, "src/wire/a.rs", quiet));
    let loud = format!("{quiet}unsafe fn f() {{}}");
    assert_eq!(finds(unsafe_places, "src/wire/a.rs", &loud).len(), 1);
    assert_none(&finds(unsafe_places, "src/io/a.rs", &loud));
}

#[test]
fn a_protocol_is_found_in_names_and_strings() {
    assert_eq!(finds(protocol_names, "src/session/a.rs", "Protocol::Postgres").len(), 1);
    assert_eq!(finds(protocol_names, "src/session/a.rs", "let a = \"pg_catalog\";").len(), 1);
    assert_none(&finds(protocol_names, "src/session/a.rs", "// as PostgreSQL does\nlet a = 1;"));
    assert_none(&finds(protocol_names, "src/session/a.rs", "let bpg_ = 1;"));
    assert_none(&finds(protocol_names, "src/wire/a.rs", "Protocol::Postgres"));
}

#[test]
fn long_files_and_functions_are_found() {
    let long = "a();\n".repeat(FUNCTION_LINES_MAX);
    let function = format!("fn f(x: [u8; 2]) {{\n{long}}}\n");
    assert_eq!(finds(lengths, "src/io/a.rs", &function).len(), 1);
    assert_none(&finds(lengths, "src/io/a.rs", &format!("#[cfg(test)]\nmod t {{\n{function}}}")));
    let file = "const A: u8 = 1;\n".repeat(FILE_LINES_MAX);
    assert_none(&finds(lengths, "src/io/a.rs", &format!("// free\n\n{file}")));
    assert_eq!(finds(lengths, "src/io/a.rs", &format!("{file}const B: u8 = 1;")).len(), 1);
}

#[test]
fn deferred_work_and_issue_numbers_are_found() {
    assert_eq!(finds(deferred_work, "src/io/a.rs", "// TODO later").len(), 1);
    assert_eq!(finds(deferred_work, "src/io/a.rs", "// see #12").len(), 1);
    assert_none(&finds(deferred_work, "src/io/a.rs", "let a = \"TODO #12\"; // #[expect]"));
}

#[test]
fn a_bare_bound_a_text_error_and_a_missing_header_are_found() {
    let limits = "/// Why.\npub const A: u8 = 1;\npub const B: u8 = 1;\n\npub const C: u8 = 1;\n";
    let found = finds(undocumented_limits, "src/limits.rs", limits);
    assert_eq!(found.len(), 1);
    assert!(found[0].starts_with("src/limits.rs:5:"), "{found:?}");
    assert_eq!(finds(text_errors, "src/io/a.rs", "fn f() -> Result<(), String> {}").len(), 1);
    assert_none(&finds(text_errors, "src/io/a.rs", "fn f() -> BTreeMap<u8, String> {}"));
    assert_eq!(finds(headers, "src/io/a.rs", "use std::fmt;").len(), 1);
}

#[test]
fn a_ratchet_refuses_both_more_and_fewer() {
    let found = vec!["src/io/a.rs:1: unsafe".to_owned()];
    assert_none(&ratchet("unsafe", "UNSAFES", &found, 1));
    assert_eq!(ratchet("unsafe", "UNSAFES", &found, 0).len(), 2);
    assert_eq!(ratchet("unsafe", "UNSAFES", &found, 2).len(), 1);
}

#[test]
fn a_misnumbered_or_incomplete_decision_is_found() {
    let whole = "# 0001 x\n## Context\n## Choice\n## Cost\n## When to look again\n";
    let page = |name: &str, text: &str| vec![(name.to_owned(), text.to_owned())];
    assert_none(&decision_pages(&page("0001-x.md", whole)));
    assert_eq!(decision_pages(&page("0002-x.md", whole)).len(), 1);
    assert_eq!(decision_pages(&page("0001-x.md", "# 0001 x\n## Context\n")).len(), 3);
}

#[test]
fn a_lost_place_is_found() {
    let exists = |place: &str| ["docs/a.md", "src/io/mod.rs"].contains(&place);
    let good = "[a](a.md#x) [b](https://b) [c](../docs/a.md)\n`src/io/mod.rs` `src/*/x`";
    assert_none(&lost_places("docs/b.md", good, &exists));
    let found = lost_places("docs/b.md", "\n[a](../a.md) `src/io/none.rs`", &exists);
    assert_eq!(found.len(), 2);
    assert!(found[0].starts_with("docs/b.md:2: a.md is not there;"), "{found:?}");
}

#[test]
fn modules_for_tests_only_are_known() {
    let file = Source::new("src/io/mod.rs", "#[cfg(test)]\nmod tests;\npub mod buf;");
    assert_eq!(test_modules(&file), ["src/io/tests"]);
    let file = Source::new("src/io/buf.rs", "#[cfg(test)]\npub(crate) mod tests;");
    assert_eq!(test_modules(&file), ["src/io/buf/tests"]);
}
