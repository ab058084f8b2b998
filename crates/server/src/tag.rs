//! What the browser tag needs to know of a workspace: whom it must ask before it stores or sends anything, and how to read an
//! existing data layer.

use jumelle_collect::{GA4_EVENTS, GA4_ONE_PRODUCT, GA4_PROPERTIES};
use jumelle_model::Workspace;
use jumelle_model::rule::MONEY_PROPERTIES;
use jumelle_model::workspace::Source;
use serde_json::{Map, Value, json};

/// Days that the browser keeps its id and the choices made in it: 13 months, the longest that CNIL accepts for audience
/// measurement. Not prolonged by visits.
const COOKIE_DAYS: u32 = 395;

/// The `jumelle` object of a source's settings. `requires` is empty where the tag must stay off.
pub(crate) fn settings(workspace: &Workspace, source: &Source) -> Value {
    let requires: Vec<&str> = workspace.tag_requires(source).iter().map(|purpose| purpose.key.as_str()).collect();
    let purposes: Map<String, Value> = workspace
        .purposes
        .iter()
        .map(|purpose| {
            let mut said = json!({"basis": purpose.basis, "gcm": purpose.gcm, "gpc": purpose.gpc});
            if let Some(choice) = workspace.strings.categories.iter().find(|choice| choice.purpose == purpose.key) {
                let channels: Vec<&str> = choice.channels.iter().map(|channel| channel.as_str()).collect();
                let channels = if channels.is_empty() { vec![""] } else { channels };
                said["categories"] = channels.into_iter().map(|channel| (channel.to_owned(), json!(choice.categories))).collect();
            }
            (purpose.key.clone(), said)
        })
        .collect();
    // One table for both sides: the tag translates what it reads in a data layer, whatever the vocabulary of its source.
    let events: Map<String, Value> = GA4_EVENTS.into_iter().map(|(ga4, name)| (ga4.to_owned(), name.into())).collect();
    let properties: Map<String, Value> = GA4_PROPERTIES.into_iter().map(|(ga4, name)| (ga4.to_owned(), name.into())).collect();
    json!({
        "requires": requires, "purposes": purposes, "cookie_days": COOKIE_DAYS,
        "ga4": {"events": events, "properties": properties, "one_product": GA4_ONE_PRODUCT, "amounts": MONEY_PROPERTIES},
    })
}
