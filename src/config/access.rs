//! Sections about people and bots: `[[issuer]]`, `[[service_account]]`, `[[group]]`.

use crate::config::section::{Field, Place, Section, optional};
use crate::config::target::Names;
use crate::identity::{
    Account, Algorithm, ClaimRule, Group, Issuer, KeySource, Pattern, trustworthy_url,
};
use crate::model::identity::IssuerName;

pub fn issuer<'a>(section: Section<'a>) -> Option<(Issuer, Place<'a>)> {
    let place = section.place.clone();
    let name = section.require("name", "the name that service accounts refer to");
    let name = name.and_then(|field| field.name());
    let keys = key_source(&section);
    let url_field = section.require("issuer", "the exact text of the tokens' iss claim");
    let url = url_field.and_then(|field| match keys {
        // A host that is never asked may be called anything.
        Some(KeySource::File(_) | KeySource::Uri(_)) => field.text(),
        Some(KeySource::Discovery) | None => url(&field),
    });
    let audiences = section
        .require("audiences", "what tokens for Narrows carry as aud, such as [\"narrows\"]")
        .and_then(|field| field.texts())
        .map(|audiences| audiences.into_iter().map(str::to_owned).collect());
    let reviewer_audiences = section.find("reviewer_audiences").map(|field| field.texts());
    let ca = section.find("ca").map(|field| {
        if matches!(keys, Some(KeySource::File(_))) {
            field.place.problem("`issuer.ca` has no use beside `jwks_file`", "take it out");
        }
        field.existing_file()
    });
    let algorithms = section
        .find("algorithms")
        .map_or_else(|| Some(Algorithm::DEFAULT.to_vec()), |field| algorithms(&field));
    let age_ms_max = section.find("max_age").map(|field| field.duration_ms());
    section.finish();
    let issuer = Issuer {
        name: name?.into(),
        url: url?.to_owned(),
        audiences: audiences?,
        reviewer_audiences: optional(reviewer_audiences)?
            .unwrap_or_default()
            .into_iter()
            .map(str::to_owned)
            .collect(),
        keys: keys?,
        ca: optional(ca)?,
        algorithms: algorithms?,
        age_s_max: optional(age_ms_max)?.map(|ms| ms / 1000),
    };
    Some((issuer, place))
}

fn key_source(section: &Section<'_>) -> Option<KeySource> {
    let uri = section.find("jwks_uri");
    let file = section.find("jwks_file");
    match (uri, file) {
        (None, None) => Some(KeySource::Discovery),
        (Some(field), None) => url(&field).map(|url| KeySource::Uri(url.to_owned())),
        (None, Some(field)) => field.existing_file().map(KeySource::File),
        (Some(_), Some(field)) => {
            field.place.problem(
                "`jwks_uri` and `jwks_file` exclude each other",
                "keep one of them, or neither to use the issuer's discovery document",
            );
            None
        }
    }
}

fn url<'a>(field: &Field<'a>) -> Option<&'a str> {
    let text = field.text()?;
    match trustworthy_url(text) {
        Ok(_) => Some(text),
        Err(error) => {
            let hint = "use an https URL; http is for loopback addresses";
            field.place.problem(format!("keys cannot be fetched from this: {error}"), hint);
            None
        }
    }
}

fn algorithms(field: &Field<'_>) -> Option<Vec<Algorithm>> {
    let fields = field.list()?;
    let symmetric = |field: &Field<'_>| {
        let text = field.text()?;
        let refused =
            text.eq_ignore_ascii_case("none") || text.to_ascii_uppercase().starts_with("HS");
        if refused {
            let hint = "use asymmetric algorithms: whoever can check these can also sign";
            field.place.problem(format!("\"{text}\" proves nothing about the issuer"), hint);
        }
        (!refused).then_some(())
    };
    fields
        .iter()
        .map(|field| symmetric(field).and_then(|()| field.choice(&Algorithm::NAMES)))
        .collect()
}

pub fn group<'a>(section: Section<'a>, names: &Names) -> Option<(Group, Place<'a>)> {
    let place = section.place.clone();
    let name = section.require("name", "the name that rules refer to as group:NAME");
    let name = name.and_then(|field| field.name());
    let users = section.find("users").map(|field| field.texts());
    let members = section.find("match").map(|field| {
        field
            .list()?
            .iter()
            .map(|field| member(field.section()?, names))
            .collect::<Option<Vec<_>>>()
    });
    if users.is_none() && members.is_none() {
        let hint = "name local users: users = [\"…\"]; or say whose tokens: \
                    match = [{ issuer = \"…\", claims = { groups = \"…\" } }]";
        place.problem("the group has no members", hint);
    }
    section.finish();
    let users = optional(users)?.unwrap_or_default().into_iter().map(str::to_owned).collect();
    let rules = optional(members)?.unwrap_or_default();
    Some((Group { name: name?.into(), users, rules }, place))
}

pub fn account<'a>(section: Section<'a>, names: &Names) -> Option<(Account, Place<'a>)> {
    let place = section.place.clone();
    let name = section.require("name", "the user name that bots log in with");
    let name = name.and_then(|field| field.name());
    let hint = "say whose tokens with which claims may act as it: \
                match = [{ issuer = \"…\", claims = { sub = \"…\" } }]";
    let rules: Option<Vec<ClaimRule>> = section.require("match", hint).and_then(|field| {
        field.list()?.iter().map(|field| rule(field.section()?, names)).collect()
    });
    section.finish();
    Some((Account { name: name?.into(), rules: rules? }, place))
}

/// A bot's tokens, by their claims or all of an issuer.
fn rule(section: Section<'_>, names: &Names) -> Option<ClaimRule> {
    let any_token = section.find("any_token_of_issuer").map_or(Some(false), |field| field.truth());
    let place = section.place.clone();
    let (rule, any_token) = (claim_rule(section, names)?, any_token?);
    match (rule.restricts(), any_token) {
        (true, false) | (false, true) => Some(rule),
        (false, false) => {
            let hint = "name claims that tell the right tokens from others, or write \
                        any_token_of_issuer = true";
            place.problem("the rule lets every token of the issuer in", hint);
            None
        }
        (true, true) => {
            let hint = "take one of them out";
            place.problem("`claims` and `any_token_of_issuer = true` contradict each other", hint);
            None
        }
    }
}

/// Humans' tokens, by their claims.
fn member(section: Section<'_>, names: &Names) -> Option<ClaimRule> {
    let place = section.place.clone();
    let rule = claim_rule(section, names)?;
    let restricts = rule.restricts();
    if !restricts {
        let hint = "name claims that tell its members from others";
        place.problem("everybody of the issuer would belong to the group", hint);
    }
    restricts.then_some(rule)
}

fn claim_rule(section: Section<'_>, names: &Names) -> Option<ClaimRule> {
    let issuer = section
        .require("issuer", "the name of an [[issuer]]")
        .and_then(|field| field.resolved(&names.issuers, "issuer").map(IssuerName::from));
    let claims = match section.find("claims") {
        None => Some(Vec::new()),
        Some(field) => field.section().and_then(|section| {
            let mut claims = Vec::new();
            flatten(&section, "", &mut claims).then_some(claims)
        }),
    };
    section.finish();
    Some(ClaimRule { issuer: issuer?, claims: claims? })
}

/// Claims by their flattened names. Nested tables are how TOML reads dotted keys. False if
/// something was reported.
fn flatten(section: &Section<'_>, prefix: &str, claims: &mut Vec<(String, Vec<Pattern>)>) -> bool {
    let mut sound = true;
    for (key, field) in section.free_keys() {
        let name = if prefix.is_empty() { key.to_owned() } else { format!("{prefix}.{key}") };
        if field.is_table() {
            sound &= field.section().is_some_and(|section| flatten(&section, &name, claims));
        } else if let Some(patterns) = patterns(&field) {
            claims.push((name, patterns));
        } else {
            sound = false;
        }
    }
    sound
}

fn patterns(field: &Field<'_>) -> Option<Vec<Pattern>> {
    let pattern = |field: &Field<'_>| {
        let parsed = Pattern::parse(&field.scalar()?);
        let hint = "write \\\\ in a basic string for one literal backslash";
        parsed.map_err(|error| field.place.problem(error.to_string(), hint)).ok()
    };
    field.one_or_list()?.iter().map(pattern).collect()
}
