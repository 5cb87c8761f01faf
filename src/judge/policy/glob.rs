//! Patterns in which `*` stands for any text, none included. Nothing else is special.

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Glob(Box<str>);

impl Glob {
    pub(super) fn new(pattern: &str) -> Self {
        Self(pattern.into())
    }

    pub(super) fn as_str(&self) -> &str {
        &self.0
    }

    /// True for the pattern that matches everything.
    pub(super) fn is_any(&self) -> bool {
        &*self.0 == "*"
    }

    /// It may match more than one text.
    pub(super) fn has_star(&self) -> bool {
        self.0.contains('*')
    }

    /// Greedy from both ends: what stands between two stars is found at its first place, which
    /// leaves the most for the rest.
    pub(super) fn matches(&self, text: &str) -> bool {
        let mut parts = self.0.split('*');
        let Some(first) = parts.next() else { return text.is_empty() };
        let Some(mut rest) = text.strip_prefix(first) else { return false };
        let Some(last) = parts.next_back() else { return rest.is_empty() };
        for part in parts {
            match rest.find(part) {
                Some(at) => rest = rest.get(at + part.len()..).unwrap_or_default(),
                None => return false,
            }
        }
        rest.ends_with(last)
    }
}

#[cfg(test)]
mod tests {
    use super::Glob;

    #[test]
    fn a_star_stands_for_any_text() {
        for (pattern, text, expected) in [
            ("", "", true),
            ("", "a", false),
            ("*", "", true),
            ("a", "a", true),
            ("a", "ab", false),
            ("a*", "a", true),
            ("*a", "ba", true),
            ("a*a", "a", false),
            ("a*a", "aa", true),
            ("a*b*c", "a-b-b-c", true),
            ("a*b*c", "a-c-b", false),
            ("refs/tags/v*", "refs/tags/v1.2", true),
            ("*ab*ab", "abab", true),
            ("*ab*ab", "aab", false),
        ] {
            assert_eq!(Glob::new(pattern).matches(text), expected, "{pattern} on {text}");
        }
    }
}
