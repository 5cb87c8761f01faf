//! `[policy.NAME]` tables. Knows their names; `judge` knows what stands in them.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use crate::config::section::{Place, Section};
use crate::judge::policy::{Library, Part, PolicyDocument};
use crate::model::approval::Reviewer;
use crate::model::target::PolicyName;

/// One policy of a file, as written.
pub struct Policy<'a> {
    pub name: PolicyName,
    document: PolicyDocument,
    /// Where its parts stand.
    parts: BTreeMap<Part, Place<'a>>,
}

/// The policies of one file.
pub fn policies<'a>(section: &Section<'a>) -> Vec<(Policy<'a>, Place<'a>)> {
    let Some(named) = section.find("policy").and_then(|field| field.section()) else {
        return Vec::new();
    };
    named
        .free_keys()
        .filter_map(|(name, field)| {
            let document = field.described()?;
            let parts = part_places(&field.section()?);
            Some((Policy { name: name.into(), document, parts }, field.place))
        })
        .collect()
}

/// File and line of rules and masks, by policy and id.
pub fn places(
    policies: &[(Policy<'_>, Place<'_>)],
) -> BTreeMap<(PolicyName, String), (PathBuf, usize)> {
    let places = policies.iter().flat_map(|(policy, _)| {
        policy.parts.iter().filter_map(|(part, place)| match part {
            Part::Rule(id) => Some(((Arc::clone(&policy.name), id.to_string()), place.stands())),
            Part::Pattern(_) => None,
        })
    });
    places.collect()
}

/// Compiles all policies. `None` where a rule does not mean what its author may think: that is
/// noted at the rule's place. Without `groups`, reviewers are taken as they stand.
pub fn compile(
    policies: Vec<(Policy<'_>, Place<'_>)>,
    version: &str,
    groups: Option<&[&str]>,
) -> Option<Arc<Library>> {
    let mut places = BTreeMap::new();
    let mut documents = BTreeMap::new();
    for (policy, place) in policies {
        places.insert(Arc::clone(&policy.name), (place, policy.parts));
        documents.insert(policy.name, policy.document);
    }
    let (library, problems) = match Library::new(version.into(), documents) {
        Ok(library) => {
            let problems = library.check();
            (Some(Arc::new(library)), problems)
        }
        Err(problems) => (None, problems),
    };
    for problem in &problems {
        let Some((policy, parts)) = places.get(&problem.policy) else { continue };
        let place = problem.part.as_ref().and_then(|part| parts.get(part)).unwrap_or(policy);
        place.problem(problem.to_string(), problem.fault.hint().unwrap_or_default());
    }
    let mut known = true;
    for (policy, reviewer) in library.iter().flat_map(|library| library.reviewers()) {
        if let Reviewer::Group(name) = reviewer
            && groups.is_some_and(|groups| !groups.contains(&name.as_str()))
            && let Some((place, _)) = places.get(policy)
        {
            let hint = "define it: [[group]] with name and users";
            place.problem(format!("policy `{policy}`: there is no group `{name}`"), hint);
            known = false;
        }
    }
    library.filter(|_| problems.is_empty() && known)
}

fn part_places<'a>(policy: &Section<'a>) -> BTreeMap<Part, Place<'a>> {
    let sections = |key| policy.find(key).map(|field| field.sections()).unwrap_or_default();
    let text = |part: &Section<'a>, key| Some(part.find(key)?.text()?.to_owned());
    let id = |part: &Section<'a>| text(part, "id");
    let rules = sections("rule");
    let rules = rules.iter().filter_map(|it| Some((Part::Rule(id(it)?.into()), it.place.clone())));
    let masks = sections("mask");
    let masks = masks.iter().enumerate().map(|(index, mask)| {
        let id = id(mask).unwrap_or_else(|| format!("mask-{}", index + 1));
        (Part::Rule(id.into()), mask.place.clone())
    });
    let patterns = sections("pattern");
    let patterns = patterns
        .iter()
        .filter_map(|it| Some((Part::Pattern(text(it, "name")?.into()), it.place.clone())));
    rules.chain(masks).chain(patterns).collect()
}

/// Names of the policies of one file.
pub fn names(section: &Section<'_>) -> Vec<String> {
    let named = section.find("policy").and_then(|field| field.section());
    named.iter().flat_map(Section::free_keys).map(|(name, _)| name.to_owned()).collect()
}
