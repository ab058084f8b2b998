//! `connector.yaml`, as it is written. Unknown fields are refused; what it means is checked by [`crate::Connector::load`].

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::normalize::{Hash, Normalizer};

/// One connector.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// Its key; the folder's name.
    pub connector: String,
    /// Version of this manifest.
    pub version: u32,
    /// What the tool is called.
    pub name: String,
    /// What this does, in both languages.
    pub about: Both,
    /// What kind of tool it is.
    pub kind: Kind,
    /// How this was checked, and against what.
    pub checked: Vec<Checked>,
    /// Channels of an activation that it serves (`email`, `social` …). Empty: all.
    #[serde(default)]
    pub channels: Vec<String>,
    /// What a destination of it is given.
    #[serde(default)]
    pub settings: BTreeMap<String, Setting>,
    /// How requests prove who they come from.
    pub auth: Auth,
    /// Fields of an activation's `map` that are read, and how they are written. Others go where the body says `attributes`.
    #[serde(default)]
    pub fields: BTreeMap<String, Field>,
    /// Which fields a person needs: `email`, `any(email, phone)`, `all(email, id)`. None: no field.
    #[serde(default)]
    pub require: Option<String>,
    /// What the tool is told of the person's consent.
    pub consent: Consent,
    /// What is sent: `add`, and `update`, `remove`, `withdraw`, `erase`.
    pub ops: BTreeMap<OpName, Op>,
    /// How people come out of the tool again.
    pub removal: Removal,
    /// How many people a request carries.
    #[serde(default)]
    pub batch: Batch,
    /// How many requests the tool allows.
    #[serde(default)]
    pub rate: Rate,
    /// What answers mean: the first rule that holds; after them those of HTTP (2xx ok, 401 auth, 429 wait, 403 and 404 config …).
    #[serde(default)]
    pub outcome: Vec<Outcome>,
    /// A request without anybody's data that shows whether the settings are right.
    #[serde(default)]
    pub test: Option<Request>,
}

/// A text in both languages of the house.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Both {
    /// French.
    pub fr: String,
    /// English.
    pub en: String,
}

/// What kind of tool it is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// E-mail and marketing automation.
    Email,
    /// Customer relationship management.
    Crm,
    /// SMS and push.
    Messaging,
    /// Audiences of advertising.
    Ads,
    /// Events of advertising: conversions.
    Conversions,
    /// On site and search.
    Onsite,
    /// Call centre and service.
    Service,
    /// Analytics.
    Analytics,
    /// Webhooks and other plumbing.
    Plumbing,
}

/// How a connector was checked.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Checked {
    /// Against what.
    pub by: CheckedBy,
    /// The page, package or specification.
    pub source: String,
    /// When it was read, `2026-11-28`.
    pub on: String,
    /// What was found there, or was not.
    #[serde(default)]
    pub note: Option<String>,
}

/// Strength of a check.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum CheckedBy {
    /// A request to the tool itself.
    RealServer,
    /// Compared with another implementation's requests by a test.
    OutsideSuite,
    /// The vendor's own library or API description was read.
    VendorLibrary,
    /// The vendor's documentation was read.
    Documentation,
    /// Another project's code was read.
    PeerCode,
    /// From general knowledge; nothing was read.
    Unchecked,
}

/// One setting of a destination.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Setting {
    /// What is written.
    #[serde(rename = "type", default)]
    pub kind: SettingType,
    /// Must be given.
    #[serde(default)]
    pub required: bool,
    /// Stands where nothing is given.
    #[serde(default)]
    pub default: Option<Value>,
    /// Never shown again; `{env: NAME}` reads it at the moment of use.
    #[serde(default)]
    pub secret: bool,
    /// A regular expression that the whole text matches.
    #[serde(default)]
    pub test: Option<String>,
    /// The texts to choose from.
    #[serde(default)]
    pub one_of: Vec<String>,
    /// Of type `url`: how the address may begin, `https` and `http` if nothing is said; with `smtps` or `postgresql` requests travel
    /// by that.
    #[serde(default)]
    pub schemes: Vec<String>,
    /// What it is, in both languages.
    pub label: Both,
    /// An example.
    #[serde(default)]
    pub example: Option<String>,
}

/// Type of a setting.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SettingType {
    /// A text.
    #[default]
    String,
    /// A whole number.
    Integer,
    /// true or false.
    Boolean,
    /// An address: only for tools that the team runs itself.
    Url,
    /// A text with holes about the person, which a body takes by `$fill`: `Hello ${data.first_name|or there}`.
    Template,
    /// Fields of the activation's `map` that leave, separated by commas: `email, city`. One that is mapped and neither read by name
    /// nor named here is refused.
    Fields,
}

/// How requests prove who they come from. Values are texts with holes into `settings`.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Auth {
    /// Nothing, or what the request itself says.
    None {
        /// Why none is needed.
        reason: String,
    },
    /// `Authorization: Bearer …`
    Bearer {
        /// The token.
        token: String,
    },
    /// `Authorization: Basic …`
    Basic {
        /// User.
        user: String,
        /// Password.
        password: String,
    },
    /// Headers of the tool's own.
    Header {
        /// By name.
        headers: BTreeMap<String, String>,
    },
    /// Parameters of the address.
    Query {
        /// By name.
        parameters: BTreeMap<String, String>,
    },
    /// OAuth 2.0, client credentials (RFC 6749, 4.4).
    #[serde(rename = "oauth2_client")]
    Oauth2Client {
        /// Where tokens come from.
        token_url: String,
        /// Client id.
        client_id: String,
        /// Client secret.
        client_secret: String,
        /// Scopes.
        #[serde(default)]
        scopes: Vec<String>,
        /// Further parameters.
        #[serde(default)]
        extra: BTreeMap<String, String>,
        /// The client's credentials stand in `Authorization: Basic`, not in the body.
        #[serde(default)]
        in_header: bool,
        /// The token request's body is JSON, not a form.
        #[serde(default)]
        json: bool,
        /// The header that carries the token, `Authorization` by default; with another one the bare token.
        #[serde(default)]
        header: Option<String>,
    },
    /// OAuth 2.0, refresh token (RFC 6749, 6).
    #[serde(rename = "oauth2_refresh")]
    Oauth2Refresh {
        /// Where tokens come from.
        token_url: String,
        /// Client id.
        client_id: String,
        /// Client secret.
        client_secret: String,
        /// Refresh token.
        refresh_token: String,
        /// Further parameters.
        #[serde(default)]
        extra: BTreeMap<String, String>,
        /// The client's credentials stand in `Authorization: Basic`, not in the body.
        #[serde(default)]
        in_header: bool,
        /// The header that carries the token, `Authorization` by default; with another one the bare token.
        #[serde(default)]
        header: Option<String>,
    },
    /// OAuth 2.0, JWT bearer (RFC 7523), signed with RS256.
    #[serde(rename = "oauth2_jwt")]
    Oauth2Jwt {
        /// Where tokens come from.
        token_url: String,
        /// `iss`.
        issuer: String,
        /// `sub`, if any.
        #[serde(default)]
        subject: Option<String>,
        /// `aud`; the token's address by default.
        #[serde(default)]
        audience: Option<String>,
        /// Private key, PEM (PKCS #8).
        private_key: String,
        /// Scopes.
        #[serde(default)]
        scopes: Vec<String>,
    },
    /// A token for a key, in a way of the tool's own: asked for once while it holds, sent as `Authorization: Bearer …`.
    TokenForKey {
        /// Where tokens come from.
        token_url: String,
        /// `POST`, or `GET` where the key stands in a header.
        method: String,
        /// Headers of the request for it.
        #[serde(default)]
        headers: BTreeMap<String, String>,
        /// Members of its JSON body; none: no body.
        #[serde(default)]
        body: BTreeMap<String, String>,
        /// Where the token stands in the answer: `$.token`.
        token: String,
        /// How long it holds, by the tool's own word: `24h`.
        holds: String,
    },
    /// OAuth 1.0a, HMAC-SHA1 (RFC 5849).
    #[serde(rename = "oauth1")]
    Oauth1 {
        /// Consumer key.
        consumer_key: String,
        /// Consumer secret.
        consumer_secret: String,
        /// Token.
        token: String,
        /// Token secret.
        token_secret: String,
    },
    /// HMAC of the body, base64, in a header.
    Hmac {
        /// Digest.
        digest: Digest,
        /// Header that carries it.
        header: String,
        /// The key.
        secret: String,
        /// Further headers.
        #[serde(default)]
        headers: BTreeMap<String, String>,
    },
    /// Standard Webhooks: `webhook-id`, `webhook-timestamp`, `webhook-signature`.
    StandardWebhooks {
        /// The key; `whsec_` and base64.
        secret: String,
    },
    /// WS-Security UsernameToken in `X-WSSE` (Emarsys): base64 of the hexadecimal SHA-1 of nonce, instant and secret.
    Wsse {
        /// User.
        user: String,
        /// Secret.
        secret: String,
    },
    /// OVHcloud: `$1$` and the SHA-1 of secret, consumer, method, address, body and time.
    Ovh {
        /// Application key.
        application_key: String,
        /// Application secret.
        application_secret: String,
        /// Consumer key.
        consumer_key: String,
    },
}

/// A digest.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Digest {
    /// SHA-1.
    Sha1,
    /// SHA-256.
    Sha256,
}

/// One field of a row.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Field {
    /// The field of the activation's `map` that it is read from; its own name by default.
    #[serde(default)]
    pub from: Option<String>,
    /// How it is written.
    #[serde(default)]
    pub normalize: Option<Normalizer>,
    /// How it is hashed after that.
    #[serde(default)]
    pub hash: Option<Hash>,
    /// The field of the `map` that holds it hashed already; taken when it is there and looks like such a hash.
    #[serde(default)]
    pub hashed_from: Option<String>,
    /// Keeps its JSON type (numbers, lists), not made a text. Only without `normalize` and `hash`.
    #[serde(default)]
    pub raw: bool,
}

/// What the tool is told of the person's consent: fields, or why there is none.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Consent {
    /// By the name that bodies use (`consent.NAME`).
    #[serde(default)]
    pub fields: BTreeMap<String, ConsentField>,
    /// Members of the tool's own that carry consent: a literal in one of them refuses to load.
    #[serde(default)]
    pub names: Vec<String>,
    /// Why the tool is told nothing.
    #[serde(default)]
    pub none: Option<String>,
}

/// One consent field: what each state is written as. A state that is not named is left out.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ConsentField {
    /// What it says.
    pub gate: GateSignal,
    /// Only for messages of this channel.
    #[serde(default)]
    pub channel: Option<String>,
    /// A grant stands.
    #[serde(default)]
    pub granted: Option<Value>,
    /// The legal basis asks for no grant.
    #[serde(default)]
    pub basis: Option<Value>,
    /// She left the segment.
    #[serde(default)]
    pub left: Option<Value>,
    /// She withdrew.
    #[serde(default)]
    pub withdrawn: Option<Value>,
    /// She was erased.
    #[serde(default)]
    pub erased: Option<Value>,
}

/// What the gate knows.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum GateSignal {
    /// How the message passed the gate, written by state.
    State,
    /// Since when the grant stands.
    Since,
    /// The ledger's receipt of the grant.
    Receipt,
    /// The purpose's key.
    Purpose,
    /// The channel.
    Channel,
    /// The TC string on which the grant rests, as it came; only where the destination says `strings: [tcf]`.
    Tcf,
    /// The GPP string, likewise: `strings: [gpp]`.
    Gpp,
}

/// Names of operations.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OpName {
    /// She became a member.
    Add,
    /// Her fields changed; like `add` where not given.
    Update,
    /// She is a member no longer.
    Remove,
    /// She withdrew her consent; like `remove` where not given.
    Withdraw,
    /// She was erased.
    Erase,
}

impl OpName {
    /// On the wire and in manifests.
    pub fn as_str(self) -> &'static str {
        match self {
            OpName::Add => "add",
            OpName::Update => "update",
            OpName::Remove => "remove",
            OpName::Withdraw => "withdraw",
            OpName::Erase => "erase",
        }
    }

    /// Takes a person back.
    pub fn takes_back(self) -> bool {
        matches!(self, OpName::Remove | OpName::Withdraw | OpName::Erase)
    }
}

/// One operation.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Op {
    /// Another operation that it is like.
    #[serde(default)]
    pub like: Option<OpName>,
    /// Values that templates read as `op.NAME`; with `like` they stand in place of the other's.
    #[serde(default)]
    pub with: BTreeMap<String, Value>,
    /// With `like`: another method for the last request.
    #[serde(default)]
    pub method: Option<String>,
    /// Asked per person before: the tool's own id.
    #[serde(default)]
    pub lookup: Option<Lookup>,
    /// The requests, in order; the last one is the one whose answer tells about each person.
    #[serde(default)]
    pub steps: Vec<Step>,
    /// A single request.
    #[serde(default)]
    pub request: Option<Request>,
    /// Why nothing is sent, and what is to be done instead.
    #[serde(default)]
    pub none: Option<String>,
    /// People of one request of this operation, where it is another number.
    #[serde(default)]
    pub rows: Option<usize>,
}

/// Asks for the tool's own id of a person.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Lookup {
    /// The request, about one row.
    pub request: Request,
    /// Where the id stands in the answer.
    pub value: String,
    /// Read as `row.NAME` afterwards.
    #[serde(rename = "as")]
    pub name: String,
    /// A person whom the tool does not know.
    pub missing: Missing,
}

/// What is done about a person whom the tool does not know.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Missing {
    /// There is nothing to take back: done.
    Done,
    /// Refused.
    Drop,
    /// Goes on without the id.
    Continue,
}

/// One of several requests.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Step {
    /// What is sent.
    pub request: Request,
    /// Kept for later steps as `step.NAME`: where each stands in the answer.
    #[serde(default)]
    pub save: BTreeMap<String, String>,
    /// Repeated until the answer says so.
    #[serde(default)]
    pub poll: Option<Poll>,
    /// Taken only when her row has this field, or `not FIELD`: what a lookup found. One person a request.
    #[serde(default)]
    pub when: Option<String>,
}

/// Repeats a step.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Poll {
    /// Done when this holds.
    pub until: String,
    /// Between two requests, `5s`.
    pub every: String,
    /// Requests at most.
    pub times: u32,
}

/// A request.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Request {
    /// HTTP method; of another wire what it knows (`MAIL`, `UPSERT`).
    pub method: String,
    /// Address; holes are percent-encoded. The host is written out, or a setting with `one_of` or a narrow `test`.
    pub url: String,
    /// Further headers.
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    /// Parameters of the address.
    #[serde(default)]
    pub query: Vec<Parameter>,
    /// The body.
    #[serde(default)]
    pub body: Option<Body>,
}

/// A parameter of an address.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Parameter {
    /// Name.
    pub name: String,
    /// Value: a template. Left out where it is missing.
    pub value: Value,
}

/// A body.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Body {
    /// JSON.
    Json(Value),
    /// `application/x-www-form-urlencoded`: lists and maps in it are JSON texts.
    Form(Value),
    /// RFC 4180.
    Csv(Vec<Parameter>),
    /// One line of text per row.
    Lines(Value),
    /// One line of JSON per row.
    Jsonl(Value),
    /// XML: members are elements, `@name` attributes, `#text` text.
    Xml(Value),
}

/// How people come out again.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Removal {
    /// How.
    pub mode: RemovalMode,
    /// How long it takes at most, by the tool's own word.
    #[serde(default)]
    pub longest_delay: Option<String>,
    /// Why there is none, or what else is to be known.
    #[serde(default)]
    pub reason: Option<String>,
}

/// How people come out again.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum RemovalMode {
    /// By a request about them.
    Row,
    /// They are absent from the next whole file.
    ReplaceFile,
    /// By themselves, after a time.
    Expiry,
    /// They do not.
    None,
}

/// How many people a request carries.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Batch {
    /// People, at most.
    pub rows: usize,
    /// Bytes of a body, at most: `500KB`, `5MB`.
    pub bytes: Option<String>,
    /// How long a request waits for more people: `5s`.
    pub linger: String,
    /// Values that must be the same in one request (`row.type`, `consent.ad_user_data`, `message.activation`).
    pub group_by: Vec<String>,
}

impl Default for Batch {
    fn default() -> Batch {
        Batch { rows: 1, bytes: None, linger: "0s".into(), group_by: Vec::new() }
    }
}

/// How many requests the tool allows.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Rate {
    /// `10/s`, `250/min`, `100/h`. Empty: nothing is known.
    pub limit: Option<String>,
    /// A setting in which a destination says another limit, in the same form.
    pub setting: Option<String>,
    /// Requests at once. Default 2.
    pub concurrency: Option<u32>,
    /// Header that says how many are left.
    pub remaining: Option<String>,
    /// Header that says in how many seconds there are more.
    pub reset: Option<String>,
}

/// What an answer means.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Outcome {
    /// When.
    pub when: String,
    /// What.
    pub then: Then,
    /// Which people it names.
    #[serde(default)]
    pub rows: Option<RowErrors>,
    /// Where the reason stands.
    #[serde(default)]
    pub message: Option<String>,
}

/// What an answer means.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Then {
    /// Taken, but for those named.
    Ok,
    /// Those named are refused, and because of them nobody was taken: the others go again.
    Row,
    /// Again, after a while.
    Retry,
    /// Again, when the tool says.
    Wait,
    /// A fresh token, once; then `config`.
    Auth,
    /// Halved, until the guilty one is found.
    Split,
    /// The destination stops and an operator looks.
    Config,
    /// Refused for good.
    Drop,
    /// These people again, after a while: the tool is there, it is about them.
    Again,
    /// Refused for good, because nothing reaches the address: nobody writes to it until that is lifted.
    Bounce,
    /// Refused for good, because the tool holds a STOP of the number: nobody writes to it until she says otherwise.
    Stop,
}

/// Which people an answer names.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RowErrors {
    /// The list of errors.
    pub errors: String,
    /// Only those of which this path is there or, with `is`, has this value.
    #[serde(default)]
    pub only: Option<String>,
    /// See `only`.
    #[serde(default)]
    pub is: Option<Value>,
    /// Where an error has its place in this request.
    #[serde(default)]
    pub index: Option<String>,
    /// The number that the tool gives the first person of a request. Default 0.
    #[serde(default)]
    pub first: usize,
    /// The number within that text: its first group.
    #[serde(default)]
    pub index_regex: Option<String>,
    /// Each place in the list is the person's place: the list answers row by row.
    #[serde(default)]
    pub by_place: bool,
    /// Where an error has a value that the person's row has as `field`.
    #[serde(default)]
    pub key: Option<String>,
    /// The row's field.
    #[serde(default)]
    pub field: Option<String>,
    /// Where an error has its reason.
    #[serde(default)]
    pub message: Option<String>,
    /// The reasons (parts of them) that are worth another try; the rest are refused for good.
    #[serde(default)]
    pub retry: Vec<String>,
}
