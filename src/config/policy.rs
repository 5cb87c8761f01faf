//! `[policy.NAME]` tables. Knows their names; `judge` knows what stands in them.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use crate::config::section::{Place, Section};
use crate::judge::policy::{Library, PolicyDocument};
use crate::model::approval::Reviewer;
use crate::model::target::PolicyName;

/// One policy of a file, as written.
pub struct Policy<'a> {
    pub name: PolicyName,
    document: PolicyDocument,
    /// Where its rules stand, by id.
    rules: BTreeMap<String, Place<'a>>,
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
            let rules = rule_places(&field.section()?);
            Some((Policy { name: name.into(), document, rules }, field.place))
        })
        .collect()
}

/// File and line of rules and masks, by policy and id.
pub fn places(
    policies: &[(Policy<'_>, Place<'_>)],
) -> BTreeMap<(PolicyName, String), (PathBuf, usize)> {
    let places = policies.iter().flat_map(|(policy, _)| {
        let rules = policy.rules.iter();
        rules.map(|(id, place)| ((Arc::clone(&policy.name), id.clone()), place.stands()))
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
        places.insert(Arc::clone(&policy.name), (place, policy.rules));
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
        let Some((policy, rules)) = places.get(&problem.policy) else { continue };
        let place = problem.rule.as_ref().and_then(|id| rules.get(&**id)).unwrap_or(policy);
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

fn rule_places<'a>(policy: &Section<'a>) -> BTreeMap<String, Place<'a>> {
    let sections = |key| policy.find(key).map(|field| field.sections()).unwrap_or_default();
    let id = |rule: &Section<'a>| Some(rule.find("id")?.text()?.to_owned());
    let rules = sections("rule");
    let rules = rules.iter().filter_map(|rule| Some((id(rule)?, rule.place.clone())));
    let masks = sections("mask");
    let masks = masks.iter().enumerate().map(|(index, mask)| {
        (id(mask).unwrap_or_else(|| format!("mask-{}", index + 1)), mask.place.clone())
    });
    rules.chain(masks).collect()
}

/// Names of the policies of one file.
pub fn names(section: &Section<'_>) -> Vec<String> {
    let named = section.find("policy").and_then(|field| field.section());
    named.iter().flat_map(Section::free_keys).map(|(name, _)| name.to_owned()).collect()
}
