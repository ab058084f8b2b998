//! The OpenAPI 3.1 description, from one table of the paths.

use serde_json::{Map, Value, json};

struct Path {
    method: &'static str,
    path: &'static str,
    tag: &'static str,
    summary: &'static str,
    /// Query parameters: name, what it says.
    query: &'static [(&'static str, &'static str)],
    /// Schema of the body, if there is one.
    body: Option<&'static str>,
    /// Schema of the answer.
    answer: &'static str,
    access: Access,
}

#[derive(Clone, Copy, PartialEq)]
enum Access {
    WriteKey,
    Admin,
    Open,
}

const LIST: &[(&str, &str)] = &[("limit", "Items of a page, 1 to 1000"), ("cursor", "Where the last page ended")];

#[expect(clippy::too_many_arguments, reason = "one row of the table below")]
const fn path(
    method: &'static str,
    path: &'static str,
    tag: &'static str,
    summary: &'static str,
    query: &'static [(&'static str, &'static str)],
    body: Option<&'static str>,
    answer: &'static str,
    access: Access,
) -> Path {
    Path { method, path, tag, summary, query, body, answer, access }
}

const PATHS: &[Path] = &[
    path("post", "/v1/track", "Collect", "Something happened", &[], Some("Event"), "Collected", Access::WriteKey),
    path("post", "/v1/identify", "Collect", "Who it is, and traits", &[], Some("Event"), "Collected", Access::WriteKey),
    path("post", "/v1/page", "Collect", "A page was seen", &[], Some("Event"), "Collected", Access::WriteKey),
    path("post", "/v1/screen", "Collect", "An app screen was seen", &[], Some("Event"), "Collected", Access::WriteKey),
    path("post", "/v1/group", "Collect", "Belongs to an account", &[], Some("Event"), "Collected", Access::WriteKey),
    path("post", "/v1/alias", "Collect", "Two ids are one person", &[], Some("Event"), "Collected", Access::WriteKey),
    path("post", "/v1/batch", "Collect", "Many events, one durable step", &[], Some("Batch"), "Collected", Access::WriteKey),
    path("post", "/v1/import", "Collect", "As batch, for past events", &[], Some("Batch"), "Collected", Access::WriteKey),
    path(
        "get",
        "/v1/pixel/{kind}",
        "Collect",
        "One event in a picture's address",
        &[("data", "The event's JSON in base64"), ("writeKey", "The write key, if it is not in the event")],
        None,
        "Gif",
        Access::Open,
    ),
    path(
        "get",
        "/v1/projects/{write_key}/settings",
        "Collect",
        "What Segment's browser SDK and our tag (`jumelle`) ask for at their start",
        &[],
        None,
        "Any",
        Access::Open,
    ),
    path(
        "get",
        "/v1/profiles",
        "People",
        "Search by identifier or trait",
        &[("query", "NAMESPACE:VALUE, a value, or a profile id"), ("limit", "People at most")],
        None,
        "List",
        Access::Admin,
    ),
    path(
        "get",
        "/v1/profiles/{id}",
        "People",
        "One person, by NAMESPACE:VALUE or profile id",
        &[],
        None,
        "Profile",
        Access::Admin,
    ),
    path("get", "/v1/profiles/{id}/events", "People", "Her events, the newest first", LIST, None, "List", Access::Admin),
    path("get", "/v1/profiles/{id}/segments", "People", "Her segments, entries and exits", &[], None, "List", Access::Admin),
    path("get", "/v1/profiles/{id}/consents", "People", "What she chose", &[], None, "List", Access::Admin),
    path(
        "get",
        "/v1/profiles/{id}/deliveries",
        "People",
        "What was sent about her, or held back",
        LIST,
        None,
        "List",
        Access::Admin,
    ),
    path(
        "get",
        "/v1/profiles/{id}/explain",
        "People",
        "Why each segment and gate decision stands",
        &[("lang", "fr or en")],
        None,
        "Any",
        Access::Admin,
    ),
    path("get", "/v1/workspace", "Definitions", "All definitions; secrets are not shown", &[], None, "Any", Access::Admin),
    path(
        "put",
        "/v1/workspace",
        "Definitions",
        "Apply a workspace.yaml, whole or not at all",
        &[("dry_run", "true: only show what would change")],
        Some("Yaml"),
        "Difference",
        Access::Admin,
    ),
    path(
        "get",
        "/v1/{collection}",
        "Definitions",
        "Definitions of a collection (sources, identifiers, purposes, traits, segments, destinations, activations)",
        &[],
        None,
        "List",
        Access::Admin,
    ),
    path(
        "get",
        "/v1/{collection}/{key}",
        "Definitions",
        "One definition; a segment with its count, a destination with its circuit",
        &[],
        None,
        "Any",
        Access::Admin,
    ),
    path(
        "put",
        "/v1/{collection}/{key}",
        "Definitions",
        "Put one definition, in the shape of workspace.yaml",
        &[("dry_run", "true: only show what would change")],
        Some("Any"),
        "Difference",
        Access::Admin,
    ),
    path(
        "delete",
        "/v1/{collection}/{key}",
        "Definitions",
        "Remove one definition that no other names",
        &[],
        None,
        "Difference",
        Access::Admin,
    ),
    path(
        "post",
        "/v1/segments/preview",
        "Segments",
        "Who would be in a segment at an instant",
        &[],
        Some("PreviewRequest"),
        "Preview",
        Access::Admin,
    ),
    path("get", "/v1/segments/{key}/members", "Segments", "Members of a segment", LIST, None, "List", Access::Admin),
    path(
        "post",
        "/v1/consents",
        "Consent",
        "Record choices; answered when the gate knows of them",
        &[],
        Some("ConsentRequest"),
        "Collected",
        Access::Admin,
    ),
    path(
        "post",
        "/v1/privacy/erase",
        "Consent",
        "Erase a person, and tell the tools that had received her",
        &[],
        Some("EraseRequest"),
        "Any",
        Access::Admin,
    ),
    path("get", "/v1/quarantine", "Quarantine", "What was not understood", LIST, None, "List", Access::Admin),
    path("get", "/v1/quarantine/{id}", "Quarantine", "One item", &[], None, "Any", Access::Admin),
    path(
        "post",
        "/v1/quarantine/{id}/retry",
        "Quarantine",
        "Try again, with a corrected body if one is sent",
        &[],
        Some("Any"),
        "Collected",
        Access::Admin,
    ),
    path("delete", "/v1/quarantine/{id}", "Quarantine", "Throw it away", &[], None, "Any", Access::Admin),
    path(
        "get",
        "/v1/deliveries",
        "Deliveries",
        "The outbox",
        &[
            ("destination", "Key of a destination"),
            ("state", "queued, sent, blocked, failed or dead"),
            ("limit", "Items of a page, 1 to 1000"),
            ("cursor", "Where the last page ended"),
        ],
        None,
        "List",
        Access::Admin,
    ),
    path("get", "/v1/deliveries/{id}", "Deliveries", "One delivery", &[], None, "Delivery", Access::Admin),
    path(
        "post",
        "/v1/deliveries/{id}/retry",
        "Deliveries",
        "Queue a dead or blocked one again; it passes the gate again",
        &[],
        None,
        "Delivery",
        Access::Admin,
    ),
    path(
        "post",
        "/v1/destinations/{key}/retry",
        "Deliveries",
        "Close the circuit and try at once",
        &[],
        None,
        "Any",
        Access::Admin,
    ),
    path(
        "get",
        "/v1/export/{what}",
        "Export",
        "events or profiles, as JSON lines",
        &[("segment", "Only members of this segment (profiles)"), ("from", "Only from this position of the history on (events)")],
        None,
        "Lines",
        Access::Admin,
    ),
    path(
        "post",
        "/v1/imports/{source}",
        "Import",
        "A batch of a file, with how far the import has come",
        &[
            ("import", "Fingerprint of the file and its mapping"),
            ("events", "Events of the file sent so far, this batch included"),
            ("done", "true with the last batch"),
        ],
        Some("Batch"),
        "Collected",
        Access::Admin,
    ),
    path("get", "/v1/imports/{source}/{id}", "Import", "How far an import has come", &[], None, "Any", Access::Admin),
    path("get", "/healthz", "Operations", "The process runs", &[], None, "Any", Access::Open),
    path("get", "/readyz", "Operations", "It takes events and folds them", &[], None, "Any", Access::Open),
    path("get", "/metrics", "Operations", "Prometheus text", &[], None, "Text", Access::Open),
];

/// The description of every path of this API.
pub fn openapi() -> Value {
    let mut paths: Map<String, Value> = Map::new();
    for entry in PATHS {
        let item = paths.entry(entry.path).or_insert_with(|| json!({}));
        item[entry.method] = operation(entry);
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Jumelle", "version": env!("CARGO_PKG_VERSION"), "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
            "description": "Collect, identify, profile, segment, consent, activate, measure. Errors are problem details (RFC 9457).",
        },
        "paths": paths,
        "components": {"schemas": schemas(), "securitySchemes": {
            "token": {"type": "http", "scheme": "bearer", "description": "The administrator's token"},
            "write_key": {"type": "http", "scheme": "basic", "description": "The source's write key as user name, no password; or `writeKey` in the body"},
        }},
    })
}

fn operation(entry: &Path) -> Value {
    let mut parameters: Vec<Value> = entry
        .path
        .split('/')
        .filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'))
        .map(|name| json!({"name": name, "in": "path", "required": true, "schema": {"type": "string"}}))
        .collect();
    parameters.extend(entry.query.iter().map(|(name, description)| {
        json!({"name": name, "in": "query", "required": false, "description": description, "schema": {"type": "string"}})
    }));
    let content = match entry.answer {
        "Gif" => json!({"image/gif": {}}),
        "Text" => json!({"text/plain": {}}),
        "Lines" => json!({"application/x-ndjson": {}}),
        name => json!({"application/json": {"schema": {"$ref": format!("#/components/schemas/{name}")}}}),
    };
    let problem = |description: &str| json!({"description": description, "content": {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}});
    let mut responses = json!({"200": {"description": "Done", "content": content}, "400": problem("Not understood: field, rule, and what would be right")});
    if entry.access != Access::Open {
        responses["401"] = problem("No valid key or token");
        responses["503"] = problem("Overloaded or stopping; try again after Retry-After");
    }
    if entry.path.contains('{') {
        responses["404"] = problem("There is no such thing");
    }
    if entry.method == "put" || entry.method == "delete" {
        responses["422"] = problem("The definitions do not hold: every problem with line and column");
    }
    if entry.body.is_some() {
        responses["413"] = problem("The body is too large");
    }
    let mut operation = json!({"summary": entry.summary, "tags": [entry.tag], "parameters": parameters, "responses": responses});
    match entry.access {
        Access::WriteKey => operation["security"] = json!([{"write_key": []}, {}]),
        Access::Admin => operation["security"] = json!([{"token": []}]),
        Access::Open => {}
    }
    if let Some(body) = entry.body {
        operation["requestBody"] = match body {
            "Yaml" => json!({"content": {"application/yaml": {"schema": {"type": "string"}}}}),
            name => json!({"content": {"application/json": {"schema": {"$ref": format!("#/components/schemas/{name}")}}}}),
        };
    }
    operation
}

fn schemas() -> Value {
    let text = json!({"type": "string"});
    let instant = json!({"type": "string", "format": "date-time"});
    json!({
        "Any": {},
        "Event": {"type": "object", "description": "As the Segment specification has it", "properties": {
            "type": text, "event": text, "userId": text, "anonymousId": text, "messageId": text, "timestamp": instant, "sentAt": instant,
            "properties": {"type": "object"}, "traits": {"type": "object"}, "context": {"type": "object"}, "writeKey": text,
        }},
        "Batch": {"type": "object", "required": ["batch"], "properties": {
            "batch": {"type": "array", "items": {"$ref": "#/components/schemas/Event"}}, "sentAt": instant, "writeKey": text, "context": {"type": "object"},
        }},
        "Collected": {"type": "object", "properties": {
            "success": {"type": "boolean"}, "accepted": {"type": "integer"}, "duplicates": {"type": "integer"},
            "rejected": {"type": "array", "items": {"type": "object", "properties": {
                "index": {"type": "integer"}, "field": text, "rule": text, "message": text, "quarantine": text,
            }}},
        }},
        "Profile": {"type": "object", "properties": {
            "id": text, "identifiers": {"type": "array"}, "traits": {"type": "object"}, "provenance": {"type": "object"},
            "computed": {"type": "object"}, "affinities": {"type": "object"}, "scores": {"type": "object"}, "segments": {"type": "array"},
            "consents": {"type": "array"}, "first_seen": instant, "last_seen": instant, "events": {"type": "integer"},
        }},
        "Delivery": {"type": "object", "properties": {
            "id": text, "activation": text, "destination": text, "profile": text, "type": text,
            "state": {"type": "string", "enum": ["queued", "sent", "blocked", "failed", "dead"]}, "reason": {"type": ["string", "null"]},
            "attempts": {"type": "integer"}, "at": instant,
        }},
        "List": {"type": "object", "properties": {"items": {"type": "array"}, "next": {"type": ["string", "null"]}}},
        "Difference": {"type": "object", "properties": {"applied": {"type": "boolean"}, "changes": {"type": "array"}, "text": text}},
        "PreviewRequest": {"type": "object", "properties": {"segment": text, "rule": {"type": "object"}, "at": instant}},
        "Preview": {"type": "object", "properties": {"at": instant, "count": {"type": "integer"}, "people": {"type": "integer"}, "sample": {"type": "array", "items": text}}},
        "ConsentRequest": {"type": "object", "required": ["identifiers", "consents"], "properties": {
            "identifiers": {"type": "object"}, "consents": {"type": "array"}, "source": text, "messageId": text,
        }},
        "EraseRequest": {"type": "object", "required": ["identifier"], "properties": {"identifier": text}},
        "Problem": {"type": "object", "required": ["type", "title", "status", "detail"], "properties": {
            "type": text, "title": text, "status": {"type": "integer"}, "detail": text, "field": text, "rule": text, "errors": {"type": "array"},
        }},
    })
}
