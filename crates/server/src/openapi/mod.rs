//! The OpenAPI 3.1 description, from one table of the paths.

use serde_json::{Map, Value, json};

use crate::definitions::COLLECTIONS;
use crate::roles::GRANTS;

struct Path {
    method: &'static str,
    path: &'static str,
    tag: &'static str,
    summary: &'static str,
    /// Query parameters: name, what it says.
    query: &'static [(&'static str, &'static str)],
    /// Schema of the body, if there is one.
    body: Option<&'static str>,
    /// Schema of the answer; `[]X`: a page of a list of X.
    answer: &'static str,
    access: Access,
}

#[derive(Clone, Copy, PartialEq)]
enum Access {
    WriteKey,
    Admin,
    Open,
}

const QUARANTINE: &[(&str, &str)] = &[
    ("rule", "Name of a rule, as in the metrics; set_aside_user_agent and set_aside_rate: what is set aside"),
    ("source", "Key of a source"),
    ("limit", "Items of a page, 1 to 1000"),
    ("cursor", "Where the last page ended"),
];
const APPLY: &[(&str, &str)] = &[
    ("dry_run", "true: only show what would change"),
    ("leave_behind", "true: remove a destination also where people are still in it"),
];
const OPPOSITIONS: &[(&str, &str)] = &[
    ("purpose", "Key of a purpose; all if left out"),
    ("channel", "email, sms, phone or call_center; all if left out"),
    ("format", "jsonl or csv"),
    ("plain", "true: the addresses themselves as well"),
];
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
        &[
            ("query", "NAMESPACE:VALUE, a value, or a profile id; TRAIT:VALUE where no identifier fits"),
            ("limit", "Items of a page, 1 to 1000"),
            ("cursor", "Where the last page ended; a page of a search by trait may be short and have a next one"),
        ],
        None,
        "[]Profile",
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
    path("get", "/v1/profiles/{id}/events", "People", "Her events, the newest first", LIST, None, "[]StoredEvent", Access::Admin),
    path(
        "get",
        "/v1/profiles/{id}/segments",
        "People",
        "Her segments, entries and exits",
        &[],
        None,
        "ProfileSegments",
        Access::Admin,
    ),
    path("get", "/v1/profiles/{id}/consents", "People", "What she chose", &[], None, "[]Consent", Access::Admin),
    path(
        "get",
        "/v1/profiles/{id}/deliveries",
        "People",
        "What was sent about her, or held back",
        LIST,
        None,
        "[]Delivery",
        Access::Admin,
    ),
    path(
        "get",
        "/v1/profiles/{id}/explain",
        "People",
        "Why each segment and gate decision stands",
        &[("lang", "fr or en")],
        None,
        "Explanation",
        Access::Admin,
    ),
    path(
        "get",
        "/v1/profiles/{id}/joins",
        "People",
        "How her identifiers came together, and how she was taken apart",
        &[],
        None,
        "Joins",
        Access::Admin,
    ),
    path(
        "post",
        "/v1/profiles/{id}/split",
        "People",
        "Take two people apart who were found to be one by mistake; with dry_run only say what each would be",
        &[],
        Some("SplitRequest"),
        "SplitAnswer",
        Access::Admin,
    ),
    path(
        "get",
        "/v1/overview",
        "Overview",
        "What flows, who is recognised, what left, what was held back",
        &[],
        None,
        "Overview",
        Access::Admin,
    ),
    path(
        "get",
        "/v1/health/details",
        "Operations",
        "How far behind, how long the steps take, what waits, what was dropped, what the disk holds",
        &[],
        None,
        "Health",
        Access::Admin,
    ),
    path(
        "get",
        "/v1/live",
        "Overview",
        "Entries of the history as they are folded, with what each did (server-sent events: effect, skipped)",
        &[("recent", "How many of the last ones come first, 0 to 1000; default 100")],
        None,
        "Stream",
        Access::Admin,
    ),
    path(
        "get",
        "/v1/live/{position}",
        "Overview",
        "What one entry did, while it is among the last 5,000",
        &[],
        None,
        "Effect",
        Access::Admin,
    ),
    path(
        "post",
        "/v1/session",
        "Session",
        "Sign the console in: a token for a cookie",
        &[],
        Some("SessionRequest"),
        "Nothing",
        Access::Open,
    ),
    path("get", "/v1/session", "Session", "Who is signed in", &[], None, "Session", Access::Admin),
    path("delete", "/v1/session", "Session", "Sign out", &[], None, "Nothing", Access::Open),
    path("get", "/v1/tokens", "Tokens", "Who may call, without their secrets", &[], None, "[]Token", Access::Admin),
    path(
        "post",
        "/v1/tokens",
        "Tokens",
        "Make a token; its secret is in this answer and nowhere else",
        &[],
        Some("TokenRequest"),
        "MadeToken",
        Access::Admin,
    ),
    path(
        "delete",
        "/v1/tokens/{id}",
        "Tokens",
        "End a token, its sessions and its streams, at once",
        &[],
        None,
        "Any",
        Access::Admin,
    ),
    path("get", "/v1/segments", "Segments", "Segments with their counts", &[], None, "[]Segment", Access::Admin),
    path("get", "/v1/segments/{key}", "Segments", "One segment", &[], None, "Segment", Access::Admin),
    path(
        "get",
        "/v1/destinations",
        "Deliveries",
        "Destinations with what goes through them",
        &[],
        None,
        "[]Destination",
        Access::Admin,
    ),
    path("get", "/v1/destinations/{key}", "Deliveries", "One destination", &[], None, "Destination", Access::Admin),
    path(
        "post",
        "/v1/destinations/{key}/replay",
        "Deliveries",
        "Queue what is dead or blocked again, up to 10,000 a call; each passes the gate again",
        &[],
        Some("ReplayRequest"),
        "Replayed",
        Access::Admin,
    ),
    path(
        "get",
        "/v1/connectors",
        "Definitions",
        "The connectors there are, how each was checked, and what a destination of it is given",
        &[],
        None,
        "[]Connector",
        Access::Admin,
    ),
    path(
        "get",
        "/v1/connectors/{key}",
        "Definitions",
        "One connector, with how to get its credentials (Markdown, fr and en)",
        &[],
        None,
        "Connector",
        Access::Admin,
    ),
    path(
        "post",
        "/v1/connectors/{key}/test",
        "Definitions",
        "Try a destination that is not there yet: a call without anybody's data",
        &[],
        Some("TestRequest"),
        "Trial",
        Access::Admin,
    ),
    path(
        "post",
        "/v1/destinations/{key}/test",
        "Deliveries",
        "Try a destination: a call without anybody's data",
        &[],
        None,
        "Trial",
        Access::Admin,
    ),
    path(
        "post",
        "/v1/activations/preview",
        "Definitions",
        "What would leave for one person by an activation that may not be in force, and what the gate says",
        &[],
        Some("DraftRequest"),
        "Look",
        Access::Admin,
    ),
    path(
        "post",
        "/v1/activations/audience",
        "Definitions",
        "Whom an activation would reach that may not be in force, and why not the others",
        &[],
        Some("DraftRequest"),
        "Audience",
        Access::Admin,
    ),
    path("get", "/v1/workspace", "Definitions", "All definitions; secrets are not shown", &[], None, "Any", Access::Admin),
    path(
        "put",
        "/v1/workspace",
        "Definitions",
        "Apply a workspace.yaml, whole or not at all",
        APPLY,
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
        "[]Definition",
        Access::Admin,
    ),
    path(
        "get",
        "/v1/{collection}/{key}",
        "Definitions",
        "One definition; a segment with its count, a destination with its circuit",
        &[],
        None,
        "Definition",
        Access::Admin,
    ),
    path(
        "put",
        "/v1/{collection}/{key}",
        "Definitions",
        "Put one definition, in the shape of workspace.yaml",
        APPLY,
        Some("Any"),
        "Difference",
        Access::Admin,
    ),
    path(
        "delete",
        "/v1/{collection}/{key}",
        "Definitions",
        "Remove one definition that no other names",
        APPLY,
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
    path("get", "/v1/segments/{key}/members", "Segments", "Members of a segment", LIST, None, "[]Member", Access::Admin),
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
        "/v1/consents/decode",
        "Consent",
        "A TC or GPP string field by field, and what the policy makes of it",
        &[],
        Some("DecodeRequest"),
        "DecodedString",
        Access::Admin,
    ),
    path(
        "post",
        "/v1/privacy/erase",
        "Privacy",
        "Erase a person, and tell the tools that had received her",
        &[],
        Some("EraseRequest"),
        "Erased",
        Access::Admin,
    ),
    path(
        "post",
        "/v1/privacy/access",
        "Privacy",
        "A copy of all data of a person, or of what she provided; as JSON, CSV or a document",
        &[],
        Some("AccessRequest"),
        "Any",
        Access::Admin,
    ),
    path(
        "post",
        "/v1/privacy/restrict",
        "Privacy",
        "Keep a person's data and do not use it, or end that",
        &[],
        Some("RestrictRequest"),
        "RightAnswer",
        Access::Admin,
    ),
    path(
        "post",
        "/v1/privacy/object",
        "Privacy",
        "No marketing any more, whatever its basis; or not one purpose",
        &[],
        Some("ObjectRequest"),
        "RightAnswer",
        Access::Admin,
    ),
    path(
        "post",
        "/v1/privacy/rectify",
        "Privacy",
        "Put traits and identifiers right, and tell the tools that have them",
        &[],
        Some("RectifyRequest"),
        "RightAnswer",
        Access::Admin,
    ),
    path(
        "get",
        "/v1/privacy/requests",
        "Privacy",
        "What people asked about their rights, the nearest deadline first",
        &[],
        None,
        "[]RightsRequest",
        Access::Admin,
    ),
    path("get", "/v1/privacy/requests/{id}", "Privacy", "One request", &[], None, "RightsRequest", Access::Admin),
    path(
        "post",
        "/v1/privacy/requests/{id}",
        "Privacy",
        "A step: identify, extend, refuse or fulfil",
        &[],
        Some("RequestStep"),
        "RightsRequest",
        Access::Admin,
    ),
    path(
        "get",
        "/v1/privacy/receipts",
        "Privacy",
        "A person's choices as consent records (ISO/IEC TS 27560) in JSON-LD with the Data Privacy Vocabulary",
        &[("identifier", "NAMESPACE:VALUE or a profile id")],
        None,
        "Any",
        Access::Admin,
    ),
    path(
        "get",
        "/v1/privacy/record",
        "Privacy",
        "The record of processing activities (GDPR, article 30), from the definitions",
        &[("format", "json (default) or html, a document to print"), ("lang", "fr or en")],
        None,
        "Any",
        Access::Admin,
    ),
    path(
        "post",
        "/v1/secrets/seal",
        "Definitions",
        "Seal a secret for a destination: the text to write as {sealed: …}",
        &[],
        Some("SealRequest"),
        "Sealed",
        Access::Admin,
    ),
    path(
        "post",
        "/v1/links",
        "Links",
        "A signed link for a message: unsubscribe, preferences or rights",
        &[],
        Some("LinkRequest"),
        "Link",
        Access::Admin,
    ),
    path(
        "post",
        "/v1/links/keys",
        "Links",
        "Seal links with a new key from now on; revoke ends those sent so far",
        &[],
        Some("RotateRequest"),
        "Any",
        Access::Admin,
    ),
    path(
        "get",
        "/l/{token}",
        "Links",
        "The page behind a signed link; changes nothing",
        &[("lang", "fr or en")],
        None,
        "Page",
        Access::Open,
    ),
    path(
        "post",
        "/l/{token}",
        "Links",
        "One click (RFC 8058), or the form of the page",
        &[("lang", "fr or en")],
        Some("Form"),
        "Page",
        Access::Open,
    ),
    path(
        "get",
        "/v1/privacy/consents",
        "Privacy",
        "Who granted and refused, who can be reached, which grants grow old, and what was chosen each day",
        &[
            ("days", "Days of the trend, 1 to 366; 30 if left out"),
            ("fresh", "true: count anew if the last count is older than 5 s"),
        ],
        None,
        "ConsentOversight",
        Access::Admin,
    ),
    path(
        "get",
        "/v1/privacy/consents/people",
        "Privacy",
        "Who is behind a number of weak or ageing grants. A page looks at 20,000 people at most, so it may be short before the last",
        &[
            ("purpose", "Key of the purpose"),
            ("channel", "Left out: the purpose as a whole"),
            ("age", "weak, old_text, expired, expiring or old"),
            ("limit", "People of a page, 1 to 500; 50 if left out"),
            ("cursor", "Where the last page ended"),
        ],
        None,
        "[]AgedConsent",
        Access::Admin,
    ),
    path(
        "get",
        "/v1/privacy/retention",
        "Privacy",
        "People who do nothing: whose time is over, ends within 30 or 90 days, and how many were erased for it each day",
        &[
            ("days", "Days of the list of the erased, 1 to 366; 30 if left out"),
            ("fresh", "true: count anew if the last count is older than 5 s"),
        ],
        None,
        "Retention",
        Access::Admin,
    ),
    path(
        "get",
        "/v1/privacy/retention/people",
        "Privacy",
        "Whose time as a prospect is over, or ends soon, or whom no purpose keeps any more",
        &[
            ("state", "lapsed (default), lapsing or retention_over"),
            ("limit", "Items of a page, 1 to 1,000; 100 if left out"),
            ("cursor", "Where the last page ended"),
        ],
        None,
        "[]Lapsed",
        Access::Admin,
    ),
    path(
        "get",
        "/v1/privacy/tools",
        "Privacy",
        "Removals per tool, tools that cannot be told, drift, and what the gate held back",
        &[("days", "Days counted, 1 to 366; 30 if left out")],
        None,
        "ToolOversight",
        Access::Admin,
    ),
    path(
        "get",
        "/v1/privacy/reductions",
        "Privacy",
        "How many events came to less than they were because their purpose was refused, each day, and the rules that did it",
        &[
            ("days", "Newest days with any, 1 to 366; 30 if left out"),
            ("source", "Key of a source"),
            ("purpose", "Key of a purpose"),
        ],
        None,
        "Reductions",
        Access::Admin,
    ),
    path(
        "get",
        "/v1/privacy/policies",
        "Privacy",
        "Versions of the definitions, the newest first: who brought them, and what they changed",
        &[("limit", "Versions of a page, 1 to 49; 20 if left out"), ("cursor", "Where the last page ended")],
        None,
        "[]PolicyVersion",
        Access::Admin,
    ),
    path(
        "get",
        "/v1/privacy/proof",
        "Privacy",
        "What a person chose and what was sent under it, each entry with its way to the root of its day",
        &[
            ("identifier", "NAMESPACE:VALUE or a profile id"),
            ("format", "json (default), html (a page to print) or pdf (with the JSON attached)"),
            ("lang", "Language of the document: fr or en"),
        ],
        None,
        "Proof",
        Access::Admin,
    ),
    path(
        "get",
        "/v1/ledger/roots",
        "Privacy",
        "Roots of the ledger's days, and of today as it stands",
        &[],
        None,
        "[]LedgerRoot",
        Access::Admin,
    ),
    path(
        "post",
        "/v1/ledger/verify",
        "Privacy",
        "Look for every changed, removed, inserted or moved entry of the ledger",
        &[],
        Some("LedgerAgainst"),
        "LedgerVerified",
        Access::Admin,
    ),
    path(
        "get",
        "/v1/quarantine",
        "Quarantine",
        "What was not understood, and what is set aside",
        QUARANTINE,
        None,
        "[]Quarantined",
        Access::Admin,
    ),
    path(
        "post",
        "/v1/quarantine/retry",
        "Quarantine",
        "Try a page of items of a rule again as they are; call with `next` until it is null",
        QUARANTINE,
        None,
        "Any",
        Access::Admin,
    ),
    path("get", "/v1/quarantine/{id}", "Quarantine", "One item", &[], None, "Quarantined", Access::Admin),
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
            ("activation", "Key of an activation"),
            ("profile", "Id of a person"),
            ("from", "That came to stand there at this instant or later"),
            ("to", "That came to stand there before this instant"),
            ("reason", "A code of the gate (`denied`), or words of the reason"),
            ("limit", "Items of a page, 1 to 1000"),
            ("cursor", "Where the last page ended; a page may be short and have a next one"),
        ],
        None,
        "[]Delivery",
        Access::Admin,
    ),
    path(
        "get",
        "/v1/deliveries/{id}",
        "Deliveries",
        "One delivery, with every step that it has gone",
        &[],
        None,
        "Delivery",
        Access::Admin,
    ),
    path(
        "post",
        "/v1/deliveries/retry",
        "Deliveries",
        "Queue the dead or blocked ones that fit again, the oldest first, up to 10,000 a call; each passes the gate again",
        &[],
        Some("RetryRequest"),
        "Retried",
        Access::Admin,
    ),
    path(
        "get",
        "/v1/results",
        "Deliveries",
        "What came of messages, from queued to converted: by destination and activation, and by day",
        &[
            ("destination", "Key of a destination"),
            ("activation", "Key of an activation"),
            ("from", "First day, 2026-11-01; the last 30 days if left out"),
            ("to", "Last day; today if left out"),
        ],
        None,
        "Results",
        Access::Admin,
    ),
    path(
        "post",
        "/v1/destinations/{key}/results",
        "Deliveries",
        "Results that a tool only exports, in the format standard of inbound; the same ones again change nothing",
        &[],
        Some("Inbound"),
        "Reported",
        Access::Admin,
    ),
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
        "get",
        "/v1/backup",
        "Export",
        "The history for a backup, as frames; `jumelle backup` keeps them",
        &[
            ("history", "Which history the backup is of (hexadecimal); with from and received, or none of them"),
            ("from", "The position that it has come to"),
            ("received", "Arrival of its last entry, in microseconds since 1970"),
        ],
        None,
        "Frames",
        Access::Admin,
    ),
    path(
        "get",
        "/v1/backup/ledger",
        "Export",
        "Files of the ledger for a backup; `jumelle backup` keeps them",
        &[("after", "The last day, of those that are over, that the backup has")],
        None,
        "Frames",
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
    path(
        "get",
        "/v1/profiles/{id}/tools",
        "Consent",
        "Tools that have or had a person, and how far her leaving them is",
        &[],
        None,
        "[]ToolStanding",
        Access::Admin,
    ),
    path(
        "get",
        "/v1/allowed",
        "Consent",
        "May this tool write to this address now? With a signed permit if asked",
        &[
            ("destination", "Key of a destination"),
            ("purpose", "Key of a purpose"),
            ("channel", "email, sms, phone, …"),
            ("id", "NAMESPACE:VALUE, the name that the message would use"),
            ("permit", "true: a permit signed with the ledger's key"),
            ("permit_seconds", "How long it is valid, 1 to 3600; 300 if left out"),
        ],
        None,
        "Allowed",
        Access::Admin,
    ),
    path(
        "post",
        "/v1/allowed",
        "Consent",
        "The same for up to 1,000 names",
        &[],
        Some("AllowedRequest"),
        "[]Allowed",
        Access::Admin,
    ),
    path(
        "get",
        "/v1/oppositions",
        "Consent",
        "Addresses that must not be contacted, hashed unless plain=true",
        OPPOSITIONS,
        None,
        "Lines",
        Access::Admin,
    ),
    path(
        "post",
        "/v1/oppositions",
        "Consent",
        "Takes in an opposition list, plain or hashed",
        &[],
        Some("OppositionList"),
        "Any",
        Access::Admin,
    ),
    path(
        "get",
        "/v1/oppositions/manifest",
        "Consent",
        "Date, rows and SHA-256 of that table",
        OPPOSITIONS,
        None,
        "Any",
        Access::Admin,
    ),
    path("get", "/v1/destinations/{key}/people", "Consent", "Who is in a tool still", &[], None, "Any", Access::Admin),
    path(
        "post",
        "/v1/destinations/{key}/reconcile",
        "Consent",
        "Compares what a tool holds with who may be there",
        &[("mend", "true: removals and additions are queued, through the gate"), ("column", "The field that holds the names")],
        Some("ToolExport"),
        "Comparison",
        Access::Admin,
    ),
    path(
        "get",
        "/v1/destinations/{key}/reconciliations",
        "Consent",
        "What earlier comparisons came to, the newest first",
        &[],
        None,
        "[]Reconciliation",
        Access::Admin,
    ),
    path(
        "post",
        "/v1/inbound/{destination}",
        "Consent",
        "What a tool reports of its messages: delivered, opened, clicked, bounces, complaints, unsubscribes, STOP, calls; proved by the tool's own signature",
        &[],
        Some("Inbound"),
        "Reported",
        Access::Open,
    ),
    path(
        "get",
        "/.well-known/gpc.json",
        "Consent",
        "Whether Global Privacy Control means something here",
        &[],
        None,
        "Any",
        Access::Open,
    ),
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
            "token": {"type": "http", "scheme": "bearer", "description": "A token of `jumelle token create`, or the administrator's first one; `x-roles` of a call says which roles may make it"},
            "write_key": {"type": "http", "scheme": "basic", "description": "The source's write key as user name, no password; or `writeKey` in the body"},
        }},
    })
}

/// A shape by its name; `[]Name` is a page of a list of them.
fn shape(name: &str) -> Value {
    match name.strip_prefix("[]") {
        Some(item) => json!({"type": "object", "required": ["items", "next"], "properties": {
            "items": {"type": "array", "items": {"$ref": format!("#/components/schemas/{item}")}},
            "next": {"type": ["string", "null"], "description": "Cursor of the next page"},
        }}),
        None => json!({"$ref": format!("#/components/schemas/{name}")}),
    }
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
        "Page" => json!({"text/html": {"schema": {"type": "string"}}}),
        "Frames" => json!({"application/vnd.jumelle.backup": {}}),
        "Text" => json!({"text/plain": {}}),
        "Lines" => json!({"application/x-ndjson": {}}),
        "Nothing" => Value::Null,
        "Stream" => json!({"text/event-stream": {}}),
        "Html" => json!({"text/html": {}}),
        name => json!({"application/json": {"schema": shape(name)}}),
    };
    let problem = |description: &str| json!({"description": description, "content": {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}});
    let done = match entry.answer {
        "Nothing" => ("204", json!({"description": "Done"})),
        "MadeToken" => ("201", json!({"description": "Made", "content": content})),
        _ => ("200", json!({"description": "Done", "content": content})),
    };
    let mut responses = json!({done.0: done.1, "400": problem("Not understood: field, rule, and what would be right")});
    if entry.access != Access::Open {
        responses["401"] = problem("No valid key or token");
        responses["429"] = problem("Too many requests of this key, token or address; try again after Retry-After");
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
        Access::Admin => {
            operation["security"] = json!([{"token": []}]);
            operation["responses"]["403"] = problem("Not with this token's role");
            operation["x-roles"] = roles_of(entry);
        }
        Access::Open => {}
    }
    if let Some(body) = entry.body {
        operation["requestBody"] = match body {
            "Form" => json!({"content": {"application/x-www-form-urlencoded": {"schema": {"type": "object"}}}}),
            "Yaml" => json!({"content": {"application/yaml": {"schema": {"type": "string"}}}}),
            name => json!({"content": {"application/json": {"schema": {"$ref": format!("#/components/schemas/{name}")}}}}),
        };
    }
    operation
}

/// Roles that may make a call, from the table that decides; of a templated collection, by collection.
fn roles_of(entry: &Path) -> Value {
    let granted = |path: &str| GRANTS.iter().find(|grant| grant.method == entry.method && grant.path == path);
    match entry.path.strip_prefix("/v1/{collection}") {
        None => granted(entry.path).map_or(json!([]), |grant| json!(grant.roles())),
        Some(rest) => COLLECTIONS
            .iter()
            .filter_map(|collection| {
                Some(((*collection).to_owned(), json!(granted(&format!("/v1/{collection}{rest}"))?.roles())))
            })
            .collect::<serde_json::Map<String, Value>>()
            .into(),
    }
}

/// The shapes, as data beside this file.
fn schemas() -> Value {
    // A unit test reads them; an error here would be one of this very build.
    serde_json::from_str(include_str!("schemas.json")).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The two tables speak of the same calls: none is described and denied to everybody, none is granted and not described.
    #[test]
    fn every_call_is_in_the_table_of_roles() {
        let expand = |path: &str| match path.strip_prefix("/v1/{collection}") {
            None => vec![path.to_owned()],
            Some(rest) => COLLECTIONS.iter().map(|collection| format!("/v1/{collection}{rest}")).collect(),
        };
        let described: std::collections::BTreeSet<(&str, String)> = PATHS
            .iter()
            .filter(|entry| entry.access == Access::Admin)
            .flat_map(|entry| expand(entry.path).into_iter().map(|path| (entry.method, path)))
            .collect();
        let granted = GRANTS.iter().map(|grant| (grant.method, grant.path.to_owned())).collect();
        assert_eq!(described, granted);
    }

    /// Every `$ref` of the description names a shape that is there.
    #[test]
    fn every_reference_leads_somewhere() {
        let whole = openapi();
        let shapes = whole["components"]["schemas"].as_object().expect("schemas.json is an object");
        assert!(shapes.len() > 20);
        let text = whole.to_string();
        for reference in text.split("#/components/schemas/").skip(1) {
            let name = reference.split('"').next().unwrap_or_default();
            assert!(shapes.contains_key(name), "{name} is not in schemas.json");
        }
    }
}
