//! Who may do what: one table of endpoint × role. What is not in it is nobody's.

use std::fmt;

use axum::http::Method;
use serde::{Deserialize, Serialize};

/// What a token is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Everything.
    Admin,
    /// Segments, activations and what they sent.
    Marketer,
    /// People's rights: the whole of one person, consents, erasure.
    Privacy,
    /// One person at a time, as a call centre needs it.
    Agent,
    /// Numbers and definitions; nothing about a person.
    Read,
}

impl Role {
    /// All of them, the widest first.
    pub const ALL: [Role; 5] = [Role::Admin, Role::Marketer, Role::Privacy, Role::Agent, Role::Read];

    /// As the API writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            Role::Admin => "admin",
            Role::Marketer => "marketer",
            Role::Privacy => "privacy",
            Role::Agent => "agent",
            Role::Read => "read",
        }
    }

    /// From its name.
    pub fn parse(name: &str) -> Option<Role> {
        Role::ALL.into_iter().find(|role| role.as_str() == name)
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// One row: who besides the administrator may make a call.
pub(crate) struct Grant {
    pub(crate) method: &'static str,
    pub(crate) path: &'static str,
    others: &'static [Role],
}

impl Grant {
    pub(crate) fn allows(&self, role: Role) -> bool {
        role == Role::Admin || self.others.contains(&role)
    }

    pub(crate) fn roles(&self) -> Vec<&'static str> {
        Role::ALL.into_iter().filter(|role| self.allows(*role)).map(Role::as_str).collect()
    }
}

const fn grant(method: &'static str, path: &'static str, others: &'static [Role]) -> Grant {
    Grant { method, path, others }
}

const NOBODY_ELSE: &[Role] = &[];
const EVERYBODY: &[Role] = &[Role::Marketer, Role::Privacy, Role::Agent, Role::Read];
/// Definitions and numbers, in which nobody is named.
const DEFINITIONS: &[Role] = &[Role::Marketer, Role::Privacy, Role::Read];
/// Whom marketing groups and how much it sends: whoever watches over consent has no part in it.
const MARKETING: &[Role] = &[Role::Marketer, Role::Read];
const MARKETER: &[Role] = &[Role::Marketer];
const PRIVACY: &[Role] = &[Role::Privacy];
const ONE_PERSON: &[Role] = &[Role::Privacy, Role::Agent];
const DELIVERIES: &[Role] = &[Role::Marketer, Role::Privacy];

/// `{collection}` of the routes is written out here: a segment is the marketer's business, a destination is not.
pub(crate) const GRANTS: &[Grant] = &[
    grant("get", "/v1/session", EVERYBODY),
    grant("get", "/v1/tokens", NOBODY_ELSE),
    grant("post", "/v1/tokens", NOBODY_ELSE),
    grant("delete", "/v1/tokens/{id}", NOBODY_ELSE),
    // People. A marketer works with segments, not with persons; whoever answers an access request sees all that there is.
    grant("get", "/v1/profiles", ONE_PERSON),
    grant("get", "/v1/profiles/{id}", ONE_PERSON),
    grant("get", "/v1/profiles/{id}/segments", ONE_PERSON),
    grant("get", "/v1/profiles/{id}/consents", ONE_PERSON),
    grant("get", "/v1/profiles/{id}/events", PRIVACY),
    grant("get", "/v1/profiles/{id}/deliveries", PRIVACY),
    grant("get", "/v1/profiles/{id}/explain", PRIVACY),
    grant("get", "/v1/profiles/{id}/joins", PRIVACY),
    grant("get", "/v1/profiles/{id}/tools", PRIVACY),
    grant("post", "/v1/profiles/{id}/split", PRIVACY),
    // The gate, asked by a tool or by somebody at a telephone: yes or no about one address that the caller has.
    grant("get", "/v1/allowed", ONE_PERSON),
    grant("post", "/v1/allowed", ONE_PERSON),
    grant("get", "/v1/oppositions", PRIVACY),
    grant("post", "/v1/oppositions", PRIVACY),
    grant("get", "/v1/oppositions/manifest", PRIVACY),
    grant("get", "/v1/destinations/{key}/people", PRIVACY),
    grant("post", "/v1/destinations/{key}/reconcile", PRIVACY),
    grant("get", "/v1/destinations/{key}/reconciliations", DELIVERIES),
    grant("post", "/v1/consents", PRIVACY),
    // Nothing of a person is read or written: the string comes with the call.
    grant("post", "/v1/consents/decode", ONE_PERSON),
    grant("post", "/v1/privacy/access", PRIVACY),
    grant("post", "/v1/privacy/erase", PRIVACY),
    grant("post", "/v1/privacy/restrict", PRIVACY),
    grant("post", "/v1/privacy/object", PRIVACY),
    grant("post", "/v1/privacy/rectify", PRIVACY),
    grant("get", "/v1/privacy/requests", PRIVACY),
    grant("get", "/v1/privacy/requests/{id}", PRIVACY),
    grant("post", "/v1/privacy/requests/{id}", PRIVACY),
    grant("get", "/v1/privacy/receipts", PRIVACY),
    // Made of definitions.
    grant("get", "/v1/privacy/record", DEFINITIONS),
    // Counts of consents, tools, and who changed the policy; nobody is named.
    grant("get", "/v1/privacy/consents", PRIVACY),
    grant("get", "/v1/privacy/consents/people", PRIVACY),
    grant("get", "/v1/privacy/retention", PRIVACY),
    grant("get", "/v1/privacy/retention/people", PRIVACY),
    grant("get", "/v1/privacy/tools", PRIVACY),
    grant("get", "/v1/privacy/policies", PRIVACY),
    // Sums of an audience, which whoever works with them reads too.
    grant("get", "/v1/privacy/reductions", DEFINITIONS),
    // A link is as good as the person's own hand; the key of all of them is the administrator's.
    grant("post", "/v1/secrets/seal", NOBODY_ELSE),
    grant("post", "/v1/links", PRIVACY),
    grant("post", "/v1/links/keys", NOBODY_ELSE),
    // The ledger: the proof is about one person, roots and what verifying finds name nobody.
    grant("get", "/v1/privacy/proof", PRIVACY),
    grant("get", "/v1/ledger/roots", PRIVACY),
    grant("post", "/v1/ledger/verify", PRIVACY),
    // What flows. The live stream carries the events themselves.
    grant("get", "/v1/overview", MARKETING),
    grant("get", "/v1/health/details", DEFINITIONS),
    grant("get", "/v1/live", NOBODY_ELSE),
    grant("get", "/v1/live/{position}", NOBODY_ELSE),
    // Segments and traits: also left out of `GET /v1/workspace` for whoever may not read them here. A preview answers any question about anybody, so it is no reading of numbers.
    grant("post", "/v1/segments/preview", MARKETER),
    grant("get", "/v1/segments/{key}/members", MARKETER),
    grant("get", "/v1/segments", MARKETING),
    grant("get", "/v1/segments/{key}", MARKETING),
    grant("put", "/v1/segments/{key}", MARKETER),
    grant("delete", "/v1/segments/{key}", MARKETER),
    grant("get", "/v1/traits", MARKETING),
    grant("get", "/v1/traits/{key}", MARKETING),
    grant("put", "/v1/traits/{key}", MARKETER),
    grant("delete", "/v1/traits/{key}", MARKETER),
    grant("get", "/v1/activations", DEFINITIONS),
    grant("get", "/v1/activations/{key}", DEFINITIONS),
    grant("put", "/v1/activations/{key}", MARKETER),
    grant("delete", "/v1/activations/{key}", MARKETER),
    // A marketer looks at members of the segment alone, of whom the tool would be told the same: `drafts.rs`.
    grant("post", "/v1/activations/preview", MARKETER),
    grant("post", "/v1/activations/audience", MARKETER),
    // What decides who a person is, what may be done, and where data goes is the administrator's.
    grant("get", "/v1/connectors", DEFINITIONS),
    grant("get", "/v1/connectors/{key}", DEFINITIONS),
    // With settings of the caller's own it goes wherever the caller says.
    grant("post", "/v1/connectors/{key}/test", NOBODY_ELSE),
    grant("post", "/v1/destinations/{key}/test", MARKETER),
    grant("get", "/v1/workspace", DEFINITIONS),
    grant("put", "/v1/workspace", NOBODY_ELSE),
    grant("get", "/v1/sources", DEFINITIONS),
    grant("get", "/v1/sources/{key}", DEFINITIONS),
    grant("put", "/v1/sources/{key}", NOBODY_ELSE),
    grant("delete", "/v1/sources/{key}", NOBODY_ELSE),
    grant("get", "/v1/identifiers", DEFINITIONS),
    grant("get", "/v1/identifiers/{key}", DEFINITIONS),
    grant("put", "/v1/identifiers/{key}", NOBODY_ELSE),
    grant("delete", "/v1/identifiers/{key}", NOBODY_ELSE),
    grant("get", "/v1/purposes", DEFINITIONS),
    grant("get", "/v1/purposes/{key}", DEFINITIONS),
    grant("put", "/v1/purposes/{key}", NOBODY_ELSE),
    grant("delete", "/v1/purposes/{key}", NOBODY_ELSE),
    grant("get", "/v1/destinations", DEFINITIONS),
    grant("get", "/v1/destinations/{key}", DEFINITIONS),
    grant("put", "/v1/destinations/{key}", NOBODY_ELSE),
    grant("delete", "/v1/destinations/{key}", NOBODY_ELSE),
    // The outbox names people by their profile ids.
    grant("get", "/v1/results", MARKETING),
    grant("post", "/v1/destinations/{key}/results", MARKETER),
    grant("get", "/v1/deliveries", DELIVERIES),
    grant("get", "/v1/deliveries/{id}", DELIVERIES),
    grant("post", "/v1/deliveries/retry", MARKETER),
    grant("post", "/v1/deliveries/{id}/retry", MARKETER),
    grant("post", "/v1/destinations/{key}/retry", MARKETER),
    grant("post", "/v1/destinations/{key}/replay", MARKETER),
    // Whole bodies, whole tables.
    grant("get", "/v1/quarantine", NOBODY_ELSE),
    grant("post", "/v1/quarantine/retry", NOBODY_ELSE),
    grant("get", "/v1/quarantine/{id}", NOBODY_ELSE),
    grant("delete", "/v1/quarantine/{id}", NOBODY_ELSE),
    grant("post", "/v1/quarantine/{id}/retry", NOBODY_ELSE),
    grant("get", "/v1/export/{what}", NOBODY_ELSE),
    grant("get", "/v1/backup", NOBODY_ELSE),
    grant("get", "/v1/backup/ledger", NOBODY_ELSE),
    grant("post", "/v1/imports/{source}", NOBODY_ELSE),
    grant("get", "/v1/imports/{source}/{id}", NOBODY_ELSE),
];

/// What the table says of a call.
pub(crate) enum Entry {
    Granted(&'static Grant),
    /// The path is there, this method is not.
    OtherMethod,
    Unlisted,
}

/// The row of a route (`/v1/{collection}/{key}`) as it was asked for (`/v1/segments/lookers`).
pub(crate) fn entry(method: &Method, route: &str, asked: &str) -> Entry {
    // Written in another way than plainly (`%73egments`), a collection is not found here, and what is not found is denied.
    let route = match route.strip_prefix("/v1/{collection}") {
        Some(rest) => {
            let collection = asked.strip_prefix("/v1/").unwrap_or_default().split('/').next().unwrap_or_default();
            std::borrow::Cow::Owned(format!("/v1/{collection}{rest}"))
        }
        None => std::borrow::Cow::Borrowed(route),
    };
    let method = if *method == Method::HEAD { "get" } else { method.as_str() };
    let mut of_path = GRANTS.iter().filter(|grant| grant.path == route).peekable();
    if of_path.peek().is_none() {
        return Entry::Unlisted;
    }
    of_path.find(|grant| grant.method.eq_ignore_ascii_case(method)).map_or(Entry::OtherMethod, Entry::Granted)
}

/// `docs/reference/roles.md`.
pub fn roles_page() -> String {
    let mut page = String::from(
        "# Roles\n\n\
         Which role may make which call; generated from the table that decides (`crates/server/src/roles.rs`). What is not in it is\n\
         denied to everyone. `tests/security.py` tries every path of `/openapi.json` with every role and compares. What the roles are\n\
         for is in [Security](../guide/security.md#roles).\n\n| call |",
    );
    for role in Role::ALL {
        page.push_str(&format!(" {role} |"));
    }
    page.push_str("\n| --- | --- | --- | --- | --- | --- |\n");
    for grant in GRANTS {
        page.push_str(&format!("| `{} {}` |", grant.method.to_uppercase(), grant.path));
        for role in Role::ALL {
            page.push_str(if grant.allows(role) { " yes |" } else { " – |" });
        }
        page.push('\n');
    }
    page.push_str(
        "\nWithout a token: collection (`/v1/track` …, with a write key), signing in and out (`POST`, `DELETE /v1/session`), \
         `/healthz`, `/readyz`,\n`/metrics`, `/openapi.json`, `/docs`, `/tag.js` and the console's files.\n",
    );
    page
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allowed(role: Role, method: Method, route: &str, asked: &str) -> bool {
        matches!(entry(&method, route, asked), Entry::Granted(grant) if grant.allows(role))
    }

    #[test]
    fn a_collection_is_judged_by_its_own_row() {
        let route = "/v1/{collection}/{key}";
        assert!(allowed(Role::Marketer, Method::PUT, route, "/v1/segments/x"));
        assert!(!allowed(Role::Marketer, Method::PUT, route, "/v1/destinations/x"));
        assert!(allowed(Role::Admin, Method::PUT, route, "/v1/destinations/x"));
        assert!(allowed(Role::Read, Method::HEAD, route, "/v1/segments/x"));
    }

    #[test]
    fn what_is_not_in_the_table_is_denied_to_everyone() {
        for role in Role::ALL {
            for asked in ["/v1/secrets/x", "/v1/%73egments/x", "/v1//x", "/v1/{collection}/x"] {
                assert!(!allowed(role, Method::GET, "/v1/{collection}/{key}", asked), "{role} {asked}");
            }
            assert!(!allowed(role, Method::GET, "/v1/new", "/v1/new"));
            assert!(!allowed(role, Method::PATCH, "/v1/session", "/v1/session"));
        }
    }

    #[test]
    fn no_call_has_two_rows() {
        let mut calls: Vec<_> = GRANTS.iter().map(|grant| (grant.method, grant.path)).collect();
        calls.sort_unstable();
        let all = calls.len();
        calls.dedup();
        assert_eq!(calls.len(), all);
    }
}
