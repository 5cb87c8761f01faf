//! Which tokens may act as which service account: patterns over flattened claims.
//! Rules are positive only, so a claim that is absent or of an odd shape never lets anyone in.

use std::sync::Arc;

use crate::model::identity::{AccountName, ClaimValue, Claims, IssuerName};

/// A service account: any one of its rules lets a token act as it.
#[derive(Clone, Debug)]
pub struct Account {
    pub name: AccountName,
    pub rules: Vec<ClaimRule>,
}

impl Account {
    /// True if a token of `issuer` with these claims may act as this account.
    #[must_use]
    pub fn admits(&self, issuer: &IssuerName, claims: &Claims) -> bool {
        self.rules.iter().any(|rule| rule.matches(issuer, claims))
    }
}

/// A `[[group]]`: humans who decide on what is held.
#[derive(Clone, Debug)]
pub struct Group {
    pub name: Arc<str>,
    /// Local users, by name or number.
    pub users: Vec<String>,
    /// Whose tokens belong to it.
    pub rules: Vec<ClaimRule>,
}

impl Group {
    /// True if the bearer of a token of `issuer` with these claims belongs to it.
    #[must_use]
    pub fn has_bearer(&self, issuer: &IssuerName, claims: &Claims) -> bool {
        self.rules.iter().any(|rule| rule.matches(issuer, claims))
    }
}

/// Claims that one issuer's token must carry, all of them. Without any, every token of the issuer
/// matches; configuration lets that through only where it is said in so many words.
#[derive(Clone, Debug)]
pub struct ClaimRule {
    pub issuer: IssuerName,
    /// Flattened claim name, and the patterns of which one must match.
    pub claims: Vec<(String, Vec<Pattern>)>,
}

impl ClaimRule {
    /// False if every token of the issuer matches.
    #[must_use]
    pub fn restricts(&self) -> bool {
        self.claims.iter().any(|(_, patterns)| !patterns.iter().any(Pattern::is_universal))
    }

    #[must_use]
    pub fn matches(&self, issuer: &IssuerName, claims: &Claims) -> bool {
        self.issuer == *issuer
            && self.claims.iter().all(|(name, patterns)| {
                claims.get(name).is_some_and(|value| patterns.iter().any(|p| p.matches(value)))
            })
    }
}

/// Text that a claim's value must match from its first character to its last: `*` stands for any
/// run of characters (`/` too), `?` for one, a backslash takes the next one literally.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern {
    pieces: Vec<Piece>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Piece {
    Literal(char),
    AnyOne,
    AnyRun,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PatternError {
    #[error("the pattern ends in a backslash, which takes the next character literally")]
    EndsInBackslash,
}

impl Pattern {
    pub fn parse(text: &str) -> Result<Self, PatternError> {
        let mut pieces = Vec::new();
        let mut characters = text.chars();
        while let Some(character) = characters.next() {
            pieces.push(match character {
                '*' if pieces.last() == Some(&Piece::AnyRun) => continue,
                '*' => Piece::AnyRun,
                '?' => Piece::AnyOne,
                '\\' => Piece::Literal(characters.next().ok_or(PatternError::EndsInBackslash)?),
                other => Piece::Literal(other),
            });
        }
        Ok(Self { pieces })
    }

    /// True if everything matches: a rule of nothing but such patterns restricts nobody.
    #[must_use]
    pub fn is_universal(&self) -> bool {
        self.pieces == [Piece::AnyRun]
    }

    /// True if the text matches, or any member of the list does.
    #[must_use]
    pub fn matches(&self, value: &ClaimValue) -> bool {
        match value {
            ClaimValue::Text(text) => self.matches_text(text),
            ClaimValue::List(members) => members.iter().any(|text| self.matches_text(text)),
        }
    }

    /// Goes back only to the last run, so the work is bounded by pattern times text.
    #[must_use]
    pub fn matches_text(&self, text: &str) -> bool {
        let mut pieces = self.pieces.as_slice();
        let mut rest = text.chars();
        let mut last_run: Option<(&[Piece], std::str::Chars<'_>)> = None;
        loop {
            let mut after = rest.clone();
            match (pieces.split_first(), after.next()) {
                (None, None) => return true,
                (Some((Piece::AnyRun, more)), _) => {
                    last_run = Some((more, rest.clone()));
                    pieces = more;
                    continue;
                }
                (Some((Piece::AnyOne, more)), Some(_)) => {
                    pieces = more;
                    rest = after;
                    continue;
                }
                (Some((Piece::Literal(wanted), more)), Some(found)) if *wanted == found => {
                    pieces = more;
                    rest = after;
                    continue;
                }
                (None | Some((Piece::AnyOne | Piece::Literal(_), _)), _) => {}
            }
            let Some((more, mut from)) = last_run.take() else { return false };
            if from.next().is_none() {
                return false;
            }
            pieces = more;
            rest = from.clone();
            last_run = Some((more, from));
        }
    }
}
