//! `[[notifier]]`: who hears of requests for approval.

use crate::config::section::{Place, Section, optional};
use crate::config::target::secret_source;
use crate::config::{Notifier, NotifierKind, NotifierUrl};
use crate::identity::trustworthy_url;

pub fn notifier<'a>(section: Section<'a>) -> Option<(Notifier, Place<'a>)> {
    let place = section.place.clone();
    let name = section.require("name", "the name that events and the log use");
    let name = name.and_then(|field| field.name());
    let kinds = [("webhook", NotifierKind::Webhook), ("slack", NotifierKind::Slack)];
    let kind = section.require("kind", "\"webhook\" or \"slack\"");
    let kind = kind.and_then(|field| field.choice(&kinds));
    let hint = "where to post: \"https://…\", or where that lies, such as { vault = \"…\" }";
    let url = section.require("url", hint).and_then(|field| match field.is_text() {
        false => secret_source(field.section()?).map(NotifierUrl::Secret),
        true => {
            let usable = |text: &str| trustworthy_url(text).is_ok().then(|| text.to_owned());
            let hint = "use an https URL; http is for loopback addresses";
            field.parsed(usable, "a URL to post to", hint).map(NotifierUrl::Plain)
        }
    });
    let secret = section.find("secret").map(|field| secret_source(field.section()?));
    let ca = section.find("ca").map(|field| field.existing_file());
    match (kind, &secret) {
        (Some(NotifierKind::Webhook), None) => {
            let hint = "say where the key lies that signs the messages: secret = { vault = \"…\" }";
            place.problem("`notifier.secret` is missing", hint);
        }
        (Some(NotifierKind::Slack), Some(_)) => {
            let hint = "Slack's address is the secret: url = { vault = \"…\" }";
            place.problem("Slack checks no signature", hint);
        }
        (Some(NotifierKind::Webhook), Some(_)) | (Some(NotifierKind::Slack), None) | (None, _) => {}
    }
    section.finish();
    let notifier = Notifier {
        name: name?.into(),
        kind: kind?,
        url: url?,
        secret: optional(secret)?,
        ca: optional(ca)?,
    };
    Some((notifier, place))
}
