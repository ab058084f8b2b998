//! What is left of an event whose purpose is refused: an event of nobody, or the choice that it carries.
//!
//! Both are built from what may stay, never by taking away what may not: a member that nobody thought of is gone.

use jumelle_model::event::{Event, EventKind, lookup};
use jumelle_model::time::Timestamp;
use jumelle_model::{Json, Workspace};
use serde_json::{Map, Value, json};

use crate::decode::Collected;
use crate::signals::{SEC_GPC, is_choice};
use crate::vocabulary::GA4_EVENTS;

/// Properties of an event of nobody: wares, money and pages. No order number, no search, no title.
pub const KEPT_PROPERTIES: [&str; 13] = [
    "product_id",
    "sku",
    "category",
    "brand",
    "variant",
    "price",
    "quantity",
    "currency",
    "total",
    "revenue",
    "value",
    "path",
    "referrer",
];
/// Where a campaign led; `content` and `term` may be made for one person.
pub const KEPT_CAMPAIGN: [&str; 3] = ["source", "medium", "name"];
/// Products of an event of nobody, at most.
const PRODUCTS_MAX: usize = 100;
/// Characters of a text that may stay.
const TEXT_CHARS_MAX: usize = 64;
/// Digits in a row that a text may have: more of them may be a telephone, a card or an account.
const DIGITS_MAX: usize = 5;
/// Names of calls without one, and of the Segment specification beside those of [`GA4_EVENTS`].
const KNOWN_EVENTS: [&str; 25] = [
    "Page Viewed",
    "Screen Viewed",
    "identify",
    "group",
    "alias",
    "Products Filtered",
    "Product Shared",
    "Product Reviewed",
    "Cart Shared",
    "Checkout Step Viewed",
    "Order Updated",
    "Order Cancelled",
    "Coupon Entered",
    "Coupon Applied",
    "Coupon Denied",
    "Coupon Removed",
    "Email Delivered",
    "Email Opened",
    "Email Link Clicked",
    "Email Bounced",
    "Application Opened",
    "Application Installed",
    "Application Updated",
    "Consent Updated",
    "Segment Consent Preference Updated",
];
/// How events are counted whose name is no word of the specification or of the workspace: it may name somebody.
pub const OTHER_EVENT: &str = "(other)";

/// The name that an event is counted under.
pub fn counted_name<'e>(event: &'e Event<'_>, workspace: &Workspace) -> &'e str {
    let name = if event.name.is_empty() { event.kind.as_str() } else { event.name.as_ref() };
    let is_known = KNOWN_EVENTS.contains(&name)
        || GA4_EVENTS.iter().any(|(_, translated)| *translated == name)
        || workspace.names_event(name);
    if is_known { name } else { OTHER_EVENT }
}

/// The same as an event of nobody, in the vocabulary that rules know. `None`: a call that only says who somebody is, or an event
/// whose name may name somebody.
///
/// `message_id`: made for it. `names`: values that name the person; a text that holds one of them goes.
pub fn of_nobody(event: &Event<'_>, workspace: &Workspace, names: &[&str], message_id: String) -> Option<Collected> {
    let name = counted_name(event, workspace);
    if name == OTHER_EVENT || !matches!(event.kind, EventKind::Track | EventKind::Page | EventKind::Screen) {
        return None;
    }
    let names: Vec<String> = names.iter().filter(|name| name.chars().count() > 2).map(|name| name.to_lowercase()).collect();
    let mut properties = described(&event.properties, &names);
    if let Some(Json::Array(products)) = lookup(&event.properties, "products") {
        let products = products.iter().take(PRODUCTS_MAX).map(|product| Value::Object(described(product, &names)));
        properties
            .insert("products".into(), products.filter(|product| product.as_object().is_some_and(|of| !of.is_empty())).collect());
    }
    let page = lookup(&event.context, "page").map(|page| described(page, &names)).unwrap_or_default();
    for field in ["path", "referrer"] {
        if let Some(value) = page.get(field)
            && !properties.contains_key(field)
        {
            properties.insert(field.into(), value.clone());
        }
    }
    let campaign = lookup(&event.context, "campaign");
    let campaign: Map<String, Value> =
        KEPT_CAMPAIGN.iter().filter_map(|field| Some(((*field).to_owned(), plain(lookup(campaign?, field)?, &names)?))).collect();
    let mut body = json!({"type": event.kind.as_str(), "properties": properties});
    if event.kind == EventKind::Track {
        body["event"] = name.into();
    }
    if !campaign.is_empty() {
        body["context"] = json!({"campaign": campaign});
    }
    Some(Collected {
        kind: event.kind,
        message_id,
        time: hour_of(event.time),
        body: body.to_string(),
        has_consents: false,
        claims: crate::Claims::default(),
    })
}

/// The beginning of its hour.
fn hour_of(time: Timestamp) -> Timestamp {
    const HOUR_US: i64 = 3_600_000_000;
    Timestamp(time.0.div_euclid(HOUR_US) * HOUR_US)
}

fn described(object: &Json<'_>, names: &[String]) -> Map<String, Value> {
    KEPT_PROPERTIES
        .iter()
        .filter_map(|field| {
            let value = lookup(object, field)?;
            let kept = match (*field, value) {
                ("path", Json::Str(path)) => Value::from(path_alone(path, names)),
                ("referrer", Json::Str(url)) => Value::from(host_of(url)?),
                ("path" | "referrer", _) => return None,
                // A ware's number is as long as it likes.
                ("product_id" | "sku" | "variant", Json::Str(ware)) => {
                    names_none_of(ware, names).then(|| ware.as_ref().into())?
                }
                _ => plain(value, names)?,
            };
            Some(((*field).to_owned(), kept))
        })
        .collect()
}

/// A number, true or false, or a short text in which nobody is named.
fn plain(value: &Json<'_>, names: &[String]) -> Option<Value> {
    match value {
        Json::Bool(flag) => Some((*flag).into()),
        Json::Number(_) => {
            let text = value.to_string();
            (!names.contains(&text)).then(|| serde_json::from_str(&text).ok()).flatten()
        }
        Json::Str(text) => names_nobody(text, names).then(|| text.as_ref().into()),
        _ => None,
    }
}

fn names_none_of(text: &str, names: &[String]) -> bool {
    let lower = text.to_lowercase();
    text.chars().count() <= TEXT_CHARS_MAX
        && !text.contains('@')
        && !lower.contains("%40")
        && !names.iter().any(|name| lower.contains(name.as_str()))
}

fn names_nobody(text: &str, names: &[String]) -> bool {
    let mut row = 0;
    let has_long_number = text.chars().any(|c| {
        row = if c.is_ascii_digit() { row + 1 } else { 0 };
        row > DIGITS_MAX
    });
    !has_long_number && names_none_of(text, names)
}

/// `/account/ana@example.org/orders?token=x`: `/account/*/orders`. What looks like an id of its own is not shown.
fn path_alone(path: &str, names: &[String]) -> String {
    let path = path.split(['?', '#', ';']).next().unwrap_or_default();
    let path = match path.split_once("://") {
        Some((_, rest)) => rest.find('/').map_or("/", |slash| &rest[slash..]),
        None => path,
    };
    // `nike-air-max-90` is a name of many words, `a8f3k2c9d1e7` one word of letters and digits.
    let is_token = |part: &str| {
        part.split(['-', '_', '.']).any(|word| word.chars().count() > 10 && word.chars().any(|c| c.is_ascii_digit()))
    };
    let parts = path.split('/').take(20).map(|part| if names_nobody(part, names) && !is_token(part) { part } else { "*" });
    parts.collect::<Vec<_>>().join("/")
}

/// `https://user@www.example.org:8443/x?y`: `www.example.org`.
fn host_of(url: &str) -> Option<&str> {
    let rest = url.split_once("://")?.1;
    let authority = rest.split(['/', '?', '#']).next()?;
    let host = authority.rsplit('@').next()?.split(':').next()?;
    let is_host = !host.is_empty() && host.len() <= 253 && host.chars().all(|c| c.is_ascii_alphanumeric() || ".-".contains(c));
    is_host.then_some(host)
}

/// The choice that an event carries, and whose it is: nothing else of it. Its message id stays, by which its proof names it.
///
/// What it comes to is as in the whole event: the members that it is read from are the same. `of_person`: not all of it is a
/// device's, so that she is named as in the whole event; else the device is.
pub fn choice_alone(event: &Event<'_>, stored: &Collected, of_person: bool) -> Collected {
    let of_person = of_person || event.anonymous_id.is_none();
    let mut body = Map::from_iter([("type".to_owned(), json!("track"))]);
    body.insert("event".into(), json!(if is_choice(event) { event.name.as_ref() } else { "Consent Signal" }));
    let user_id = event.user_id.as_ref().filter(|_| of_person);
    for (field, id) in [("userId", user_id), ("anonymousId", event.anonymous_id.as_ref())] {
        if let Some(id) = id {
            body.insert(field.into(), json!(id));
        }
    }
    let mut context = Map::new();
    let persons = ["externalIds"].into_iter().filter(|_| of_person);
    for field in ["consent", "consents", "gpc", SEC_GPC].into_iter().chain(persons) {
        if let Some(value) = lookup(&event.context, field) {
            context.insert(field.into(), json_of(value));
        }
    }
    if let Some(name) = lookup(&event.context, "library.name") {
        context.insert("library".into(), json!({"name": json_of(name)}));
    }
    let of_call = (event.kind != EventKind::Group).then_some(&event.traits);
    let mut traits = Map::new();
    for field in ["email", "phone"].into_iter().filter(|_| of_person) {
        let found = of_call.and_then(|of| lookup(of, field)).or_else(|| lookup(&event.context, &format!("traits.{field}")));
        if let Some(value) = found {
            traits.insert(field.into(), json_of(value));
        }
    }
    if !traits.is_empty() {
        context.insert("traits".into(), Value::Object(traits));
    }
    body.insert("context".into(), Value::Object(context));
    Collected {
        kind: EventKind::Track,
        message_id: stored.message_id.clone(),
        time: stored.time,
        body: Value::Object(body).to_string(),
        has_consents: true,
        claims: crate::Claims::default(),
    }
}

fn json_of(value: &Json<'_>) -> Value {
    serde_json::from_str(&value.to_string()).unwrap_or(Value::Null)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::read_event;
    use jumelle_model::workspace::Vocabulary;
    use proptest::prelude::*;

    fn read(body: &str, kind: EventKind) -> Event<'_> {
        let times = (Timestamp(7_200_000_001), Timestamp(7_300_000_000));
        read_event(kind, "site", "m1", times, body, Vocabulary::Segment).unwrap()
    }

    fn nobody(event: &Event<'_>, names: &[&str]) -> Option<Collected> {
        of_nobody(event, &Workspace::empty(), names, "made".into())
    }

    #[test]
    fn paths_and_hosts_without_ids() {
        let names = ["ana martin".to_owned(), "u-77".into()];
        for (path, left) in [
            ("/shoes/nike-air-max-90-black?gclid=x#top", "/shoes/nike-air-max-90-black"),
            ("https://shop.example.org/a/b;jsessionid=1", "/a/b"),
            ("https://shop.example.org", "/"),
            ("/account/ana@example.org/orders/1234567", "/account/*/orders/*"),
            ("/account/ana%40example.org", "/account/*"),
            ("/u/U-77/x", "/u/*/x"),
            ("/reset/a8f3k2c9d1e7", "/reset/*"),
            ("/f/0f8fad5b-d9cb-469f-a165-70867728950e", "/f/*"),
        ] {
            assert_eq!(path_alone(path, &names), left, "{path}");
        }
        for (url, host) in [
            ("https://user:secret@www.example.org:8443/in?to=ana", Some("www.example.org")),
            ("https://exa mple.org/", None),
            ("android-app://com.example.app/x", Some("com.example.app")),
            ("about:blank", None),
        ] {
            assert_eq!(host_of(url), host, "{url}");
        }
    }

    #[test]
    fn names_of_calls_and_of_people() {
        let workspace = Workspace::parse("traits: {fits: {count: Fitting Booked}}").unwrap();
        for (event, name) in [
            (r#"{"event":"Order Completed"}"#, "Order Completed"),
            (r#"{"event":"Fitting Booked"}"#, "Fitting Booked"),
            (r#"{"event":"Ana Martin bought"}"#, OTHER_EVENT),
        ] {
            let event = read(event, EventKind::Track);
            assert_eq!(counted_name(&event, &workspace), name);
            assert_eq!(of_nobody(&event, &workspace, &[], "made".into()).is_some(), name != OTHER_EVENT);
        }
        let identify = read("{}", EventKind::Identify);
        assert_eq!(counted_name(&identify, &workspace), "identify");
        assert_eq!(nobody(&identify, &[]), None);
    }

    proptest! {
        /// Whatever an event holds, wherever: of what names the person, nothing is left in the event of nobody, and no number or
        /// text that is not on the list.
        #[test]
        fn nothing_that_names_her_is_left(
            name in "[a-z]{3,12}",
            around in "[ -~]{0,12}",
            field in proptest::sample::select(KEPT_PROPERTIES.to_vec()),
            other in "[a-z_]{1,10}",
        ) {
            prop_assume!(!KEPT_PROPERTIES.contains(&other.as_str()) && other != "products");
            let text = format!("{around}{name}{around}");
            let ware = json!({field: text, other.as_str(): text});
            let whole = json!({
                "event": "Product Viewed", "anonymousId": name, "messageId": text, "userId": text, "traits": {"email": text},
                "properties": {field: text, other.as_str(): text, "products": [ware]},
                "context": {"ip": text, "page": {field: text, "title": text}, "campaign": {"source": text, "content": text},
                    "traits": {other.as_str(): text}, other.as_str(): text},
            })
            .to_string();
            let event = read(&whole, EventKind::Track);
            let left = nobody(&event, &[&name]).unwrap();
            let told: Value = serde_json::from_str(&left.body).unwrap();
            let hosts = [&told["properties"]["referrer"], &told["properties"]["products"][0]["referrer"]];
            // Where somebody came from is a host, whatever it is called.
            let named = told.to_string().replace("Product Viewed", "").matches(&name).count();
            let in_hosts = hosts.iter().filter_map(|host| host.as_str()).map(|host| host.matches(&name).count()).sum::<usize>();
            let words = ["type", "track", "event", "properties", "products", "context", "campaign", "source", field];
            let in_words = words.iter().any(|word| word.contains(name.as_str()));
            prop_assert!(in_words || named == in_hosts, "{told}");
            prop_assert!(left.message_id == "made" && left.time == Timestamp(7_200_000_000) && !left.has_consents);
        }
    }
}
