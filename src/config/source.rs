//! The files of a configuration: the main one and those that it includes. Knows text and lines;
//! of keys, only `include`.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use toml::de::{DeTable, DeValue};

use crate::config::Diagnostic;
use crate::identity::Pattern;
use crate::limits::{CONFIG_FILE_BYTES_MAX, CONFIG_FILES_MAX};

/// One file, as read.
#[derive(Debug)]
pub struct Source {
    pub path: PathBuf,
    pub text: String,
    line_starts: Vec<usize>,
}

impl Source {
    pub fn read(path: &Path) -> io::Result<Self> {
        let mut text = String::new();
        File::open(path)?.take(CONFIG_FILE_BYTES_MAX + 1).read_to_string(&mut text)?;
        if text.len() as u64 > CONFIG_FILE_BYTES_MAX {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        Ok(Self::new(path.to_owned(), text))
    }

    pub fn new(path: PathBuf, text: String) -> Self {
        let after_newlines = text.match_indices('\n').map(|(at, _)| at + 1);
        let line_starts = std::iter::once(0).chain(after_newlines).collect();
        Self { path, text, line_starts }
    }

    /// The line, from 1, on which the byte at `offset` stands.
    pub fn line(&self, offset: usize) -> usize {
        self.line_starts.partition_point(|start| *start <= offset)
    }

    /// `path` as seen from this file.
    pub fn beside(&self, path: &str) -> PathBuf {
        self.path.parent().unwrap_or(Path::new("")).join(path)
    }
}

/// Reads `main` and everything that it includes, each file once, in the order of their naming.
pub fn read_all(main: &Path, problems: &mut Vec<Diagnostic>) -> Vec<Source> {
    let whole_file = |file: &Path, message: String, hint: &str| Diagnostic {
        file: file.to_owned(),
        line: 0,
        message,
        hint: Some(hint.to_owned()),
    };
    let main_file = match Source::read(main) {
        Ok(source) => source,
        Err(error) => {
            let hint = "name the configuration with -c FILE; config/narrows.toml is a start";
            problems.push(whole_file(main, format!("cannot read the file: {error}"), hint));
            return Vec::new();
        }
    };
    let mut sources = vec![main_file];
    let mut next = 0;
    while let Some(source) = sources.get(next) {
        next += 1;
        for path in includes(source, problems) {
            if sources.iter().any(|known| same_file(&known.path, &path)) {
                let message = "the file is included twice".to_owned();
                problems.push(whole_file(&path, message, "name it once"));
            } else if sources.len() == CONFIG_FILES_MAX {
                let message = format!("more than {CONFIG_FILES_MAX} files are included");
                problems.push(whole_file(&path, message, "join some of them"));
                return sources;
            } else {
                match Source::read(&path) {
                    Ok(source) => sources.push(source),
                    Err(error) => {
                        let message = format!("cannot read the included file: {error}");
                        let hint = "includes are relative to the file that names them";
                        problems.push(whole_file(&path, message, hint));
                    }
                }
            }
        }
    }
    sources
}

/// The paths that `include` names; `*` and `?` may stand in the last part. Anything in it that is
/// not a list of text is reported when the file is read for good.
fn includes(source: &Source, problems: &mut Vec<Diagnostic>) -> Vec<PathBuf> {
    let (table, _) = DeTable::parse_recoverable(&source.text);
    let Some((_, value)) = table.get_ref().iter().find(|(key, _)| key.get_ref() == "include")
    else {
        return Vec::new();
    };
    let line = source.line(value.span().start);
    let Some(items) = value.get_ref().as_array() else { return Vec::new() };
    let mut paths = Vec::new();
    for item in items {
        let DeValue::String(text) = item.get_ref() else { continue };
        let path = source.beside(text);
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if !name.contains(['*', '?']) {
            paths.push(path);
            continue;
        }
        match matching(&path, name) {
            Ok(found) => paths.extend(found),
            Err(error) => problems.push(Diagnostic {
                file: source.path.clone(),
                line,
                message: format!("cannot list {}: {error}", path.display()),
                hint: Some("make the folder, or take the include out".to_owned()),
            }),
        }
    }
    paths
}

fn matching(path: &Path, name: &str) -> io::Result<Vec<PathBuf>> {
    let pattern = Pattern::parse(name).map_err(io::Error::other)?;
    let folder = path.parent().filter(|folder| *folder != Path::new("")).unwrap_or(Path::new("."));
    let mut found = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name();
        if name.to_str().is_some_and(|name| !name.starts_with('.') && pattern.matches_text(name)) {
            found.push(entry.path());
        }
        if found.len() > CONFIG_FILES_MAX {
            break;
        }
    }
    found.sort();
    Ok(found)
}

fn same_file(one: &Path, other: &Path) -> bool {
    match (one.canonicalize(), other.canonicalize()) {
        (Ok(one), Ok(other)) => one == other,
        (Err(_), _) | (_, Err(_)) => one == other,
    }
}
