//! What an event says about who it is.

use jumelle_model::event::{Event, EventKind, lookup};
use jumelle_model::identifier::Identifier;
use jumelle_model::{Json, Workspace};

use crate::normalize::{Rejection, normalize};

/// Identifiers of one event at most; more are set aside.
pub const EVIDENCE_MAX: usize = 32;

/// The identifiers of one event, normalised, the most trusted first, without repeats.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Evidence {
    /// What names the person.
    pub identifiers: Vec<Identifier>,
    /// What was set aside, and why.
    pub ignored: Vec<Ignored>,
    /// `previousId` of an alias call, as sent: a user id if one is known by this value, else an anonymous id.
    pub previous: Option<String>,
}

/// A value that was not taken as an identifier.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Ignored {
    /// Its namespace.
    pub namespace: String,
    /// Why.
    pub rejection: Rejection,
}

/// Reads `userId`, `anonymousId`, `traits.email|phone` (also below `context`), `context.externalIds`. Namespaces that the
/// workspace does not declare are not evidence.
pub fn evidence(workspace: &Workspace, event: &Event<'_>) -> Evidence {
    let mut found = Evidence::default();
    let mut ranked: Vec<(usize, Identifier)> = Vec::with_capacity(4);
    let mut take = |namespace: &str, raw: &str| {
        let Some((rank, rule)) = workspace.namespace(namespace) else { return };
        match normalize(rule, &workspace.settings.country, raw) {
            Ok(value) => ranked.push((rank, Identifier::new(namespace, value))),
            Err(rejection) => found.ignored.push(Ignored { namespace: namespace.to_owned(), rejection }),
        }
    };
    if let Some(user_id) = &event.user_id {
        take("user_id", user_id);
    }
    if let Some(anonymous_id) = &event.anonymous_id {
        take("anonymous_id", anonymous_id);
    }
    let context_traits = lookup(&event.context, "traits");
    for namespace in ["email", "phone"] {
        for traits in [(event.kind != EventKind::Group).then_some(&event.traits), context_traits].into_iter().flatten() {
            if let Some(Json::Str(value)) = lookup(traits, namespace) {
                take(namespace, value);
            }
        }
    }
    if let Some(Json::Array(external)) = lookup(&event.context, "externalIds") {
        for entry in external {
            if let (Some(Json::Str(namespace)), Some(value)) = (lookup(entry, "type"), lookup(entry, "id")) {
                match value {
                    Json::Str(value) => take(namespace, value),
                    Json::Number(_) => take(namespace, &value.to_string()),
                    _ => {}
                }
            }
        }
    }
    ranked.sort();
    ranked.dedup();
    found.identifiers = ranked.into_iter().map(|(_, identifier)| identifier).take(EVIDENCE_MAX).collect();
    if event.kind == EventKind::Alias {
        found.previous = event.previous_id.as_deref().map(str::to_owned);
    }
    found
}

/// One identifier as an operator or an API call writes it, normalised; `Err` says why it names nobody.
pub fn identifier_of(workspace: &Workspace, namespace: &str, raw: &str) -> Result<Identifier, String> {
    let Some((_, rule)) = workspace.namespace(namespace) else {
        let known: Vec<&str> = workspace.identifiers.iter().map(|rule| rule.key.as_str()).collect();
        return Err(format!("{namespace:?} is not a namespace of this workspace; it has {}", known.join(", ")));
    };
    normalize(rule, &workspace.settings.country, raw)
        .map(|value| Identifier::new(namespace, value))
        .map_err(|rejection| format!("{namespace}: {rejection}"))
}
