//! A TOML table, read key by key. Every key that is asked for is thereby known; `finish` refuses
//! the rest. Problems are noted with their line and reading goes on, so that all show at once.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::ops::Range;
use std::path::PathBuf;

use serde::de::DeserializeOwned;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::config::Diagnostic;
use crate::config::source::Source;
use crate::limits::CONFIG_NAME_BYTES_MAX;
use crate::model::units;

/// Where problems and known keys are gathered.
#[derive(Default)]
pub struct Notes {
    problems: RefCell<Vec<Diagnostic>>,
    warnings: RefCell<Vec<Diagnostic>>,
    /// Full names of all keys that were asked for, such as `node.log.level`.
    asked: RefCell<BTreeSet<String>>,
}

impl Notes {
    pub fn starting_with(problems: Vec<Diagnostic>) -> Self {
        Self { problems: RefCell::new(problems), ..Self::default() }
    }

    pub fn problem(&self, diagnostic: Diagnostic) {
        self.problems.borrow_mut().push(diagnostic);
    }

    pub fn is_empty(&self) -> bool {
        self.problems.borrow().is_empty()
    }

    pub fn into_parts(self) -> (Vec<Diagnostic>, Vec<Diagnostic>, BTreeSet<String>) {
        (self.problems.into_inner(), self.warnings.into_inner(), self.asked.into_inner())
    }
}

/// A place in a file, to speak about.
#[derive(Clone)]
pub struct Place<'a> {
    source: &'a Source,
    span: Range<usize>,
    notes: &'a Notes,
}

impl Place<'_> {
    pub fn problem(&self, message: impl Into<String>, hint: impl Into<String>) {
        self.notes.problem(self.diagnostic(message.into(), hint.into()));
    }

    pub fn warning(&self, message: impl Into<String>, hint: impl Into<String>) {
        let diagnostic = self.diagnostic(message.into(), hint.into());
        self.notes.warnings.borrow_mut().push(diagnostic);
    }

    /// `file:line`, for speaking about this place from another one.
    pub fn name(&self) -> String {
        format!("{}:{}", self.source.path.display(), self.line())
    }

    /// File and line.
    pub fn stands(&self) -> (PathBuf, usize) {
        (self.source.path.clone(), self.line())
    }

    /// Counts from 1.
    pub fn line(&self) -> usize {
        self.source.line(self.span.start)
    }

    fn diagnostic(&self, message: String, hint: String) -> Diagnostic {
        Diagnostic {
            file: self.source.path.clone(),
            line: self.line(),
            message,
            hint: (!hint.is_empty()).then_some(hint),
        }
    }
}

/// A table and the keys that have been asked of it.
pub struct Section<'a> {
    pub place: Place<'a>,
    path: String,
    table: &'a DeTable<'a>,
    known: RefCell<Vec<&'static str>>,
}

impl<'a> Section<'a> {
    pub fn root(source: &'a Source, table: &'a DeTable<'a>, notes: &'a Notes) -> Self {
        let place = Place { source, span: 0..0, notes };
        Self { place, path: String::new(), table, known: RefCell::default() }
    }

    /// The value of `key`, if it stands there.
    pub fn find(&self, key: &'static str) -> Option<Field<'a>> {
        self.known.borrow_mut().push(key);
        let path = self.path_of(key);
        self.place.notes.asked.borrow_mut().insert(path.clone());
        let (name, value) = self.table.iter().find(|(name, _)| name.get_ref() == key)?;
        Some(self.field(path, name.span(), value))
    }

    /// As `find`; that it is missing is a problem.
    pub fn require(&self, key: &'static str, hint: &str) -> Option<Field<'a>> {
        let found = self.find(key);
        if found.is_none() {
            self.place.problem(format!("`{}` is missing", self.path_of(key)), hint);
        }
        found
    }

    /// Keys that the manual describes and this version does not have.
    pub fn refuse_later(&self, keys: &[&'static str]) {
        for key in keys {
            self.known.borrow_mut().push(key);
            if let Some((name, value)) = self.table.iter().find(|(name, _)| name.get_ref() == key) {
                self.field(self.path_of(key), name.span(), value).refuse_later();
            }
        }
    }

    /// All keys with their values, whatever they are called.
    pub fn free_keys(&self) -> impl Iterator<Item = (&'a str, Field<'a>)> {
        self.table.iter().map(|(name, value)| {
            let text: &'a str = name.get_ref();
            (text, self.field(self.path_of(text), name.span(), value))
        })
    }

    /// The text of `name`, whatever may be wrong with it.
    pub fn peek_name(&self) -> Option<String> {
        let (_, value) = self.table.iter().find(|(name, _)| name.get_ref() == "name")?;
        value.get_ref().as_str().map(str::to_owned)
    }

    /// Refuses every key that nobody asked for.
    pub fn finish(self) {
        let known = self.known.borrow();
        for (name, _) in self.table.iter() {
            let text: &str = name.get_ref();
            if known.contains(&text) {
                continue;
            }
            let place = Place { span: name.span(), ..self.place.clone() };
            let hint = match closest(text, known.iter().copied()) {
                Some(meant) => format!("did you mean `{meant}`?"),
                None => format!("known here: {}", known.join(", ")),
            };
            place.problem(format!("`{}` is not known", self.path_of(text)), hint);
        }
    }

    fn path_of(&self, key: &str) -> String {
        if self.path.is_empty() { key.to_owned() } else { format!("{}.{key}", self.path) }
    }

    fn field(&self, path: String, key: Range<usize>, value: &'a Spanned<DeValue<'a>>) -> Field<'a> {
        // A table made by headers has its key's line; everything else has its value's.
        let span = if value.get_ref().is_table() { key } else { value.span() };
        Field { place: Place { span, ..self.place.clone() }, path, value }
    }
}

/// One value and where it stands.
pub struct Field<'a> {
    pub place: Place<'a>,
    path: String,
    value: &'a Spanned<DeValue<'a>>,
}

impl<'a> Field<'a> {
    pub fn text(&self) -> Option<&'a str> {
        let DeValue::String(text) = self.value.get_ref() else {
            return self.wrong_kind("text in quotes");
        };
        Some(text)
    }

    /// Text of which something may be made, as `parse` says.
    pub fn parsed<T>(
        &self,
        parse: impl FnOnce(&str) -> Option<T>,
        wanted: &str,
        hint: &str,
    ) -> Option<T> {
        let parsed = parse(self.text()?);
        if parsed.is_none() {
            self.place.problem(format!("`{}` is not {wanted}", self.path), hint);
        }
        parsed
    }

    /// A name that others refer to by.
    pub fn name(&self) -> Option<&'a str> {
        let text = self.text()?;
        let fits = text.len() <= CONFIG_NAME_BYTES_MAX
            && text.starts_with(|first: char| first.is_ascii_alphanumeric())
            && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte));
        if !fits {
            let hint = format!(
                "use letters, digits, `.`, `_` and `-`, a letter or digit first, at most \
                 {CONFIG_NAME_BYTES_MAX} characters"
            );
            self.place.problem(format!("`{}` is not a usable name", self.path), hint);
        }
        fits.then_some(text)
    }

    pub fn truth(&self) -> Option<bool> {
        let DeValue::Boolean(truth) = self.value.get_ref() else {
            return self.wrong_kind("true or false");
        };
        Some(*truth)
    }

    pub fn integer(&self, range: Range<u64>) -> Option<u64> {
        let DeValue::Integer(integer) = self.value.get_ref() else {
            return self.wrong_kind("a whole number");
        };
        let number = u64::from_str_radix(integer.as_str(), integer.radix()).ok();
        let number = number.filter(|number| range.contains(number));
        if number.is_none() {
            let message = format!("`{}` is out of bounds", self.path);
            let last = range.end.saturating_sub(1);
            self.place.problem(message, format!("use {} to {last}", range.start));
        }
        number
    }

    /// True for text, as opposed to a table or number that may stand here too.
    pub fn is_text(&self) -> bool {
        self.value.get_ref().is_str()
    }

    pub fn duration_ms(&self) -> Option<u64> {
        let parsed = units::duration_ms(self.text()?);
        self.or_problem(parsed, units::DURATION_HINT)
    }

    pub fn size_bytes(&self, range: Range<u64>) -> Option<u64> {
        let parsed = units::size_bytes(self.text()?);
        let bytes = self.or_problem(parsed, units::SIZE_HINT)?;
        if range.contains(&bytes) {
            return Some(bytes);
        }
        let hint = format!("use {} to {} bytes", range.start, range.end.saturating_sub(1));
        self.place.problem(format!("`{}` is out of bounds", self.path), hint);
        None
    }

    pub fn choice<T: Copy>(&self, choices: &[(&str, T)]) -> Option<T> {
        let text = self.text()?;
        let found = choices.iter().find(|(name, _)| *name == text);
        if found.is_none() {
            let names: Vec<&str> = choices.iter().map(|(name, _)| *name).collect();
            let hint = match closest(text, names.iter().copied()) {
                Some(meant) => format!("did you mean \"{meant}\"?"),
                None => format!("one of: {}", names.join(", ")),
            };
            self.place.problem(format!("`{}` cannot be \"{text}\"", self.path), hint);
        }
        found.map(|(_, value)| *value)
    }

    /// One of the names that are defined elsewhere.
    pub fn resolved(&self, names: &[String], what: &str) -> Option<&'a str> {
        let text = self.text()?;
        if names.iter().any(|name| name == text) {
            return Some(text);
        }
        let hint = match closest(text, names.iter().map(String::as_str)) {
            Some(meant) => format!("did you mean \"{meant}\"?"),
            None if names.is_empty() => format!("none is defined; add one named \"{text}\""),
            None => format!("known: {}", names.join(", ")),
        };
        self.place.problem(format!("there is no {what} \"{text}\""), hint);
        None
    }

    /// A list with at least one member.
    pub fn list(&self) -> Option<Vec<Field<'a>>> {
        let DeValue::Array(items) = self.value.get_ref() else {
            return self.wrong_kind("a list");
        };
        if items.is_empty() {
            self.place.problem(
                format!("`{}` is empty", self.path),
                "name at least one, or leave the key out",
            );
            return None;
        }
        Some(items.iter().map(|item| self.item(item)).collect())
    }

    /// A list of text with at least one member. Members of another kind are reported and left out.
    pub fn texts(&self) -> Option<Vec<&'a str>> {
        Some(self.list()?.iter().filter_map(Field::text).collect())
    }

    /// The members of a list, or the value itself: for keys that take one or several.
    pub fn one_or_list(&self) -> Option<Vec<Field<'a>>> {
        if self.value.get_ref().is_array() {
            return self.list();
        }
        Some(vec![self.item(self.value)])
    }

    /// A scalar as claims are compared: text, or the spelling of a number or truth.
    pub fn scalar(&self) -> Option<String> {
        let value = self.value.get_ref();
        if let DeValue::String(text) = value {
            return Some(text.to_string());
        }
        if let DeValue::Boolean(truth) = value {
            return Some(truth.to_string());
        }
        if let DeValue::Integer(integer) = value
            && integer.radix() == 10
        {
            return Some(integer.to_string());
        }
        self.wrong_kind("text, a whole number, true or false")
    }

    pub fn is_list(&self) -> bool {
        self.value.get_ref().is_array()
    }

    pub fn is_table(&self) -> bool {
        self.value.get_ref().is_table()
    }

    pub fn section(&self) -> Option<Section<'a>> {
        let DeValue::Table(table) = self.value.get_ref() else {
            return self.wrong_kind("a table");
        };
        let place = self.place.clone();
        Some(Section { place, path: self.path.clone(), table, known: RefCell::default() })
    }

    /// Tables of a list, as `[[name]]` makes them.
    pub fn sections(&self) -> Vec<Section<'a>> {
        self.list().unwrap_or_default().iter().filter_map(Field::section).collect()
    }

    /// A path relative to the file in which it stands.
    pub fn path(&self) -> Option<PathBuf> {
        self.text().map(|text| self.place.source.beside(text))
    }

    /// A path of a file that is there.
    pub fn existing_file(&self) -> Option<PathBuf> {
        let path = self.path()?;
        match std::fs::metadata(&path) {
            Ok(about) if about.is_file() => return Some(path),
            Ok(_) => self.place.problem(format!("{} is not a file", path.display()), ""),
            Err(error) => self.place.problem(
                format!("`{}` names {}: {error}", self.path, path.display()),
                "relative paths are relative to this file",
            ),
        }
        None
    }

    /// The value as a type that describes its own keys. One problem at most, on its line.
    pub fn described<T: DeserializeOwned>(&self) -> Option<T> {
        let reader = toml::de::ValueDeserializer::from(self.value.clone());
        match T::deserialize(reader) {
            Ok(value) => Some(value),
            Err(error) => {
                let span = error.span().unwrap_or_else(|| self.place.span.clone());
                let place = Place { span, ..self.place.clone() };
                place.problem(format!("`{}`: {}", self.path, error.message()), "");
                None
            }
        }
    }

    pub fn refuse_later(&self) {
        self.place
            .problem(format!("`{}` is not available in this version", self.path), "take it out");
    }

    fn item(&self, value: &'a Spanned<DeValue<'a>>) -> Field<'a> {
        let place = Place { span: value.span(), ..self.place.clone() };
        Field { place, path: self.path.clone(), value }
    }

    fn or_problem<T>(&self, parsed: Result<T, units::UnitError>, hint: &str) -> Option<T> {
        parsed.map_err(|error| self.place.problem(format!("`{}`: {error}", self.path), hint)).ok()
    }

    fn wrong_kind<T>(&self, wanted: &str) -> Option<T> {
        let found = self.value.get_ref().type_str();
        self.place.problem(format!("`{}` is not {wanted}", self.path), format!("found: {found}"));
        None
    }
}

/// Outer: the key stands there. Inner: what stands there makes sense.
pub fn optional<T>(found: Option<Option<T>>) -> Option<Option<T>> {
    found.map_or(Some(None), |sensible| sensible.map(Some))
}

/// The candidate that `word` was most likely meant to be, if any is near enough.
pub fn closest<'c>(word: &str, candidates: impl Iterator<Item = &'c str>) -> Option<&'c str> {
    candidates
        .map(|candidate| (distance(word, candidate), candidate))
        .filter(|(distance, candidate)| *distance <= 1 + candidate.len() / 4)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// Insertions, deletions and replacements that lead from one word to the other (Levenshtein).
fn distance(one: &str, other: &str) -> usize {
    // Words that long are not slips of the finger.
    const CHARACTERS_MAX: usize = 64;
    if one.len().max(other.len()) > CHARACTERS_MAX {
        return usize::MAX;
    }
    let mut row: Vec<usize> = (0..=other.chars().count()).collect();
    for (line, left) in one.chars().enumerate() {
        let mut diagonal = line;
        let mut before = line + 1;
        if let Some(first) = row.first_mut() {
            *first = before;
        }
        for (cell, right) in row.iter_mut().skip(1).zip(other.chars()) {
            let replaced = diagonal + usize::from(left != right);
            diagonal = *cell;
            before = replaced.min(before + 1).min(*cell + 1);
            *cell = before;
        }
    }
    row.last().copied().unwrap_or(0)
}
