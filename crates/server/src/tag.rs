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
        .map(|purpose| (purpose.key.clone(), json!({"basis": purpose.basis, "gcm": purpose.gcm, "gpc": purpose.gpc})))
        .collect();
    // One table for both sides: the tag translates what it reads in a data layer, whatever the vocabulary of its source.
    let events: Map<String, Value> = GA4_EVENTS.into_iter().map(|(ga4, name)| (ga4.to_owned(), name.into())).collect();
    let properties: Map<String, Value> = GA4_PROPERTIES.into_iter().map(|(ga4, name)| (ga4.to_owned(), name.into())).collect();
    json!({
        "requires": requires, "purposes": purposes, "cookie_days": COOKIE_DAYS,
        "ga4": {"events": events, "properties": properties, "one_product": GA4_ONE_PRODUCT, "amounts": MONEY_PROPERTIES},
    })
}
