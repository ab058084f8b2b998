//! The command line. Its help is the CLI reference: `docs/reference/cli.md` is generated from here.

mod given;
mod http;

use std::net::SocketAddr;
use std::path::PathBuf;

use bytesize::ByteSize;
use clap::{Args, Parser, Subcommand, ValueEnum};
use jumelle_engine::Memory;

pub use given::Given;
pub use http::{Http, HttpFile};

/// An open-source customer data platform: collect, identify, profile, segment, consent, activate, measure.
#[derive(Parser, Debug)]
#[command(name = "jumelle", version, propagate_version = true, after_help = EXIT_CODES)]
pub struct Arguments {
    /// Options of every command.
    #[command(flatten)]
    pub global: Global,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

const EXIT_CODES: &str = "Exit codes: 0 done · 1 failed · 2 the command line is not understood · 3 a file or request was refused \
                          (its problems are listed) · 4 not found · 5 the server is not reachable or refuses the token";

/// Options of every command that talks to a server or a directory.
#[derive(Args, Debug, Clone)]
pub struct Global {
    /// Address of the running server.
    #[arg(long, global = true, env = "JUMELLE_SERVER", default_value = "http://127.0.0.1:8080")]
    pub server: String,
    /// Token of the running server.
    #[arg(long, global = true, env = "JUMELLE_ADMIN_TOKEN", hide_env_values = true)]
    pub token: Option<String>,
    /// Answer in JSON, for machines.
    #[arg(long, global = true)]
    pub json: bool,
    /// Colour for people.
    #[arg(long, global = true, env = "JUMELLE_COLOR", default_value = "auto")]
    pub color: Color,
}

/// When to use colour.
#[derive(ValueEnum, Debug, Clone, Copy, PartialEq, Eq)]
pub enum Color {
    /// On a terminal.
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// The commands.
#[derive(Subcommand, Debug)]
pub enum Command {
    /// Start the server.
    #[command(after_help = "Example: jumelle serve --data ./data --workspace workspace.yaml")]
    Serve(Box<Serve>),
    /// Check a workspace file, show what would change, and apply it whole or not at all.
    #[command(after_help = "Example: jumelle apply workspace.yaml --dry-run")]
    Apply(Apply),
    /// Import a CSV, Parquet or JSON lines file; resumable, and a second import changes nothing.
    #[command(after_help = "Example: jumelle import orders.parquet --source till --mapping mapping.yaml")]
    Import(Import),
    /// Take results in that a tool only exports: call outcomes, what came of e-mails. A second time changes nothing.
    #[command(
        after_help = "Example: jumelle results dialler calls.csv --column phone=Number --column type=Outcome --word Reached=answered"
    )]
    Results(Results),
    /// Write events or profiles as JSON lines.
    #[command(after_help = "Example: jumelle export profiles --segment sneakers_undecided --to members.jsonl")]
    Export(Export),
    /// Show one person, by any identifier.
    #[command(after_help = "Example: jumelle profile email:ana@example.org --explain")]
    Profile(Profile),
    /// Look at segments: who would be in one, and when.
    #[command(subcommand, after_help = "Example: jumelle segment preview loyal --at 2011-09-01")]
    Segment(Segment),
    /// Read a TC or GPP string, and say what the policy makes of it.
    #[command(subcommand, after_help = "Example: jumelle consent decode DBABLA~BVQqAAAACgA.QA --json")]
    Consent(Consent),
    /// Connectors: what Jumelle can send to, and how to write one.
    #[command(
        subcommand,
        after_help = "Example: jumelle connector preview brevo --settings settings.yaml --messages messages.json"
    )]
    Connector(Connector),
    /// Erase a person from history and tables, and tell the tools that had received her.
    #[command(after_help = "Example: jumelle erase email:ana@example.org --yes")]
    Erase(Erase),
    /// A person's rights: access, rectification, restriction, objection, and the requests with their deadlines.
    #[command(subcommand, after_help = "Example: jumelle privacy access email:ana@example.org --format csv --to ana.csv")]
    Privacy(Privacy),
    /// Signed links: unsubscribe, preference centre, rights.
    #[command(subcommand, after_help = "Example: jumelle link create email:ana@example.org --scope preferences")]
    Link(Link),
    /// The record of processing activities (GDPR, article 30), from the definitions.
    #[command(after_help = "Example: jumelle record-of-processing --format html --lang fr --to record.html")]
    RecordOfProcessing(RecordOfProcessing),
    /// The consent ledger: what was chosen, what was let out, and whether anybody has changed it.
    #[command(subcommand, after_help = "Example: jumelle ledger verify --data ./data")]
    Ledger(Ledger),
    /// Tokens of the API: who may call it, with which role, until when.
    #[command(subcommand, after_help = "Example: jumelle token create \"call centre\" --role agent")]
    Token(Token),
    /// Secrets of destinations: a key for the server, and secrets sealed with it.
    #[command(subcommand, after_help = "Example: jumelle secret seal crm < secret.txt")]
    Secret(Secret),
    /// Replay the history of a stopped directory into fresh tables, and say whether they are the same byte for byte.
    #[command(after_help = "Example: jumelle rebuild --data ./data")]
    Rebuild(Rebuild),
    /// Check a stopped directory: every file, block and row read, every checksum compared.
    #[command(after_help = "Example: jumelle doctor --data ./data")]
    Doctor(Directory),
    /// Back the history up into a directory, while the server runs; what is there already is not copied again.
    #[command(after_help = "Example: jumelle backup /mnt/backup/jumelle\n\
                            Example: jumelle backup /mnt/backup/jumelle --verify")]
    Backup(Backup),
    /// Make a data directory from a backup, as of its end or of an instant.
    #[command(after_help = "Example: jumelle restore /mnt/backup/jumelle --data ./restored --until 2026-03-01T08:00:00Z")]
    Restore(Restore),
    /// Open a simulated shop: live on a server of its own, or as a load for a file or another server.
    #[command(after_help = "Example: jumelle demo\nExample: jumelle demo --people 1000 --to-file events.jsonl --truth truth")]
    Demo(Demo),
    /// Print shell completions.
    #[command(after_help = "Example: jumelle completions bash > /etc/bash_completion.d/jumelle")]
    Completions(Completions),
    /// Print the CLI reference (Markdown).
    #[command(hide = true)]
    CliReference,
    /// Print the OpenAPI description (JSON).
    #[command(hide = true)]
    Openapi,
    /// Print the table of roles (Markdown).
    #[command(hide = true)]
    RolesReference,
}

/// `serve`
#[derive(Args, Debug, Clone)]
pub struct Serve {
    /// The data directory; made if it is not there.
    #[arg(long, env = "JUMELLE_DATA", default_value = "./data")]
    pub data: PathBuf,
    /// Address to listen on.
    #[arg(long, env = "JUMELLE_LISTEN", default_value = "127.0.0.1:8080")]
    pub listen: SocketAddr,
    /// A workspace file to apply at the start.
    #[arg(long, env = "JUMELLE_WORKSPACE")]
    pub workspace: Option<PathBuf>,
    /// Let the workspace file remove destinations also where people are still in them.
    #[arg(long, env = "JUMELLE_LEAVE_BEHIND")]
    pub leave_behind: bool,
    /// The administrator's token; without it an empty directory gets one, printed once.
    #[arg(long, env = "JUMELLE_ADMIN_TOKEN", hide_env_values = true)]
    pub admin_token: Option<String>,
    /// What moves time: the wall, or the received events (for tests, demos and back-tests). Fixed when the directory is made.
    #[arg(long, env = "JUMELLE_CLOCK")]
    pub clock: Option<Clock>,
    /// A TOML file with these settings; flags and environment variables come before it.
    #[arg(long, env = "JUMELLE_CONFIG")]
    pub config: Option<PathBuf>,
    /// What the server keeps in memory, about: 600MB, 2GiB.
    #[arg(long, env = "JUMELLE_MEMORY", default_value = "1536MiB", value_parser = memory)]
    pub memory: ByteSize,
    /// People kept in memory, about; by default a share of it.
    #[arg(long, env = "JUMELLE_CACHED_PEOPLE")]
    pub cached_people: Option<usize>,
    /// Bytes of one event at most.
    #[arg(long, env = "JUMELLE_EVENT_BYTES", default_value_t = 32 * 1024)]
    pub event_bytes: usize,
    /// Bytes of one collection request at most, after decompression.
    #[arg(long, env = "JUMELLE_BATCH_BYTES", default_value_t = 500 * 1024)]
    pub batch_bytes: usize,
    /// Message ids are remembered this many hours.
    #[arg(long, env = "JUMELLE_DEDUP_HOURS", default_value_t = 24)]
    pub dedup_hours: u32,
    /// And this many of them at most; by default what a share of the memory has room for.
    #[arg(long, env = "JUMELLE_DEDUP_IDS")]
    pub dedup_ids: Option<usize>,
    /// File with the Ed25519 key (PKCS #8, PEM) that signs the roots of the ledger; without it they are not signed.
    #[arg(long, env = "JUMELLE_LEDGER_KEY")]
    pub ledger_key: Option<PathBuf>,
    /// File with the key that seals and opens the secrets of destinations (`jumelle secret key`); several, one a line: the first
    /// one seals. Or in the environment, as JUMELLE_SECRETS_KEY.
    #[arg(long, env = "JUMELLE_SECRETS_KEY_FILE")]
    pub secrets_key_file: Option<PathBuf>,
    /// Or a command that prints it, for instance one that asks a KMS; run by sh at the start.
    #[arg(long, env = "JUMELLE_SECRETS_KEY_COMMAND")]
    pub secrets_key_command: Option<String>,
    /// A folder of connectors of one's own; by default `connectors` beside the workspace file, if there is one.
    #[arg(long, env = "JUMELLE_CONNECTORS")]
    pub connectors: Option<PathBuf>,
    /// The folder below which destinations put files on this machine (to: "folder:NAME"); by default `files` in the data directory.
    #[arg(long, env = "JUMELLE_FILES")]
    pub files: Option<PathBuf>,
    /// Alarms about tools: where they are told, and when.
    #[command(flatten)]
    pub alarms: AlarmArguments,
    /// Logs as JSON lines.
    #[arg(long, env = "JUMELLE_LOG_JSON")]
    pub log_json: bool,
    /// Send traces to this OpenTelemetry collector (OTLP over HTTP), for example http://127.0.0.1:4318.
    #[arg(long, env = "JUMELLE_OTLP_ENDPOINT")]
    pub otlp_endpoint: Option<String>,
    /// Share of the traces that are sent, from 0 to 1, where the caller has not decided.
    #[arg(long, env = "JUMELLE_TRACE_RATIO", default_value_t = 0.01, value_parser = share)]
    pub trace_ratio: f64,
    /// Limits of HTTP, and TLS.
    #[command(flatten)]
    pub http: Http,
}

/// Bytes with their unit, not too few.
pub fn memory(text: &str) -> Result<ByteSize, String> {
    let least = ByteSize::b(Memory::LEAST_BYTES);
    let size: ByteSize = text.parse().map_err(|_| format!("{text:?} is no size; write 600MB or 2GiB"))?;
    if size < least {
        return Err(format!("{size} is too little: {least} at least"));
    }
    Ok(size)
}

fn share(text: &str) -> Result<f64, String> {
    text.parse().ok().filter(|share| (0.0..=1.0).contains(share)).ok_or_else(|| "a share is a number from 0 to 1".to_owned())
}

/// Alarms about tools.
#[derive(Args, Debug, Clone)]
pub struct AlarmArguments {
    /// Tell this web address when something is wrong with a tool, for instance that it does not confirm removals in the time it has.
    #[arg(long, env = "JUMELLE_ALARM_URL")]
    pub alarm_url: Option<String>,
    /// The secret that signs what is told there (Standard Webhooks).
    #[arg(long, env = "JUMELLE_ALARM_SECRET", hide_env_values = true)]
    pub alarm_secret: Option<String>,
    /// Tell a channel of Slack: the address of an incoming webhook.
    #[arg(long, env = "JUMELLE_ALARM_SLACK", hide_env_values = true)]
    pub alarm_slack: Option<String>,
    /// Tell a channel of Microsoft Teams: the address of a workflow "When a Teams webhook request is received".
    #[arg(long, env = "JUMELLE_ALARM_TEAMS", hide_env_values = true)]
    pub alarm_teams: Option<String>,
    /// Tell by e-mail, over this server: smtps://mail.example.org:465, or smtp:// without a password.
    #[arg(long, env = "JUMELLE_ALARM_MAIL_SERVER")]
    pub alarm_mail_server: Option<String>,
    /// User at the mail server.
    #[arg(long, env = "JUMELLE_ALARM_MAIL_USER")]
    pub alarm_mail_user: Option<String>,
    /// Password at the mail server.
    #[arg(long, env = "JUMELLE_ALARM_MAIL_PASSWORD", hide_env_values = true)]
    pub alarm_mail_password: Option<String>,
    /// Sender of the e-mails.
    #[arg(long, env = "JUMELLE_ALARM_MAIL_FROM")]
    pub alarm_mail_from: Option<String>,
    /// Who gets them; several with commas between them.
    #[arg(long, env = "JUMELLE_ALARM_MAIL_TO")]
    pub alarm_mail_to: Option<String>,
    /// How often it is told again until it is mended.
    #[arg(long, env = "JUMELLE_ALARM_EVERY", default_value = "24h")]
    pub alarm_every: String,
    /// Tell when less than this share of messages gets through, from 0 to 1: 0.9, or 0.9,mailer=0.8,archive=off.
    #[arg(long, env = "JUMELLE_ALARM_DELIVERED_BELOW")]
    pub alarm_delivered_below: Option<String>,
    /// Over which time the share is measured: an hour at most.
    #[arg(long, env = "JUMELLE_ALARM_DELIVERED_OVER", default_value = "30m")]
    pub alarm_delivered_over: String,
    /// Tell when a tool was sent nothing for so long though messages wait: 15m, or 15m,mailer=1h,archive=off.
    #[arg(long, env = "JUMELLE_ALARM_SILENT_AFTER")]
    pub alarm_silent_after: Option<String>,
}

/// What moves time.
#[derive(ValueEnum, Debug, Clone, Copy, PartialEq, Eq)]
pub enum Clock {
    /// The clock on the wall.
    Wall,
    /// The latest event time received.
    Events,
}

/// `apply`
#[derive(Args, Debug)]
pub struct Apply {
    /// The workspace file.
    pub file: PathBuf,
    /// Only show what would change.
    #[arg(long)]
    pub dry_run: bool,
    /// Remove destinations also where people are still in them.
    #[arg(long)]
    pub leave_behind: bool,
}

/// A directory instead of a running server.
#[derive(Args, Debug)]
pub struct Directory {
    /// The data directory of a stopped server.
    #[arg(long, env = "JUMELLE_DATA", default_value = "./data")]
    pub data: PathBuf,
}

/// `rebuild`
#[derive(Args, Debug)]
pub struct Rebuild {
    #[command(flatten)]
    pub directory: Directory,
    /// Where the history is damaged, go on with what stands before it: what comes after is lost for good.
    #[arg(long)]
    pub accept_loss: bool,
}

/// `import`
#[derive(Args, Debug)]
pub struct Import {
    /// The file: .csv, .parquet, .jsonl, also gzipped.
    pub file: PathBuf,
    /// Key of the source that its events come from.
    #[arg(long)]
    pub source: String,
    /// How rows become events; JSON lines that are events already need none.
    #[arg(long)]
    pub mapping: Option<PathBuf>,
    /// Only events up to this instant.
    #[arg(long)]
    pub until: Option<String>,
    /// The data directory of a stopped server, instead of a running one.
    #[arg(long)]
    pub data: Option<PathBuf>,
}

/// `jumelle results`
#[derive(Args, Debug)]
pub struct Results {
    /// Key of the destination whose messages they are about.
    pub destination: String,
    /// A CSV with a header; comma, semicolon or tab between the cells.
    pub file: PathBuf,
    /// Which column holds a field: FIELD=COLUMN; fields are type, email, phone, delivery, at, channel, campaign, link and id.
    #[arg(long = "column", value_name = "FIELD=COLUMN", value_parser = pair)]
    pub columns: Vec<(String, String)>,
    /// What a word of the tool means: WORD=TYPE; types are those of the format standard (delivered, clicked, answered, …).
    #[arg(long = "word", value_name = "WORD=TYPE", value_parser = pair)]
    pub words: Vec<(String, String)>,
    /// The type of every row.
    #[arg(long = "type", value_name = "TYPE")]
    pub all: Option<String>,
    /// How times are written, for instance %d/%m/%Y %H:%M; ISO 8601 if left out.
    #[arg(long)]
    pub time: Option<String>,
    /// The zone of times without one.
    #[arg(long, default_value = "UTC")]
    pub timezone: String,
}

fn pair(text: &str) -> Result<(String, String), String> {
    let (left, right) = text.split_once('=').ok_or_else(|| format!("{text:?} has no ="))?;
    Ok((left.to_owned(), right.to_owned()))
}

/// `export`
#[derive(Args, Debug)]
pub struct Export {
    /// What to write.
    pub what: Exported,
    /// Only members of this segment (profiles).
    #[arg(long)]
    pub segment: Option<String>,
    /// File to write; standard output without it.
    #[arg(long)]
    pub to: Option<PathBuf>,
    /// The data directory of a stopped server, instead of a running one.
    #[arg(long)]
    pub data: Option<PathBuf>,
}

/// What can be exported.
#[derive(ValueEnum, Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exported {
    /// The history's events, in order.
    Events,
    /// People as they are now.
    Profiles,
    /// Addresses that must not be contacted, hashed; with --to a dated manifest is written beside.
    Oppositions,
}

/// `profile`
#[derive(Args, Debug)]
pub struct Profile {
    /// NAMESPACE:VALUE, or a profile id.
    pub identifier: String,
    /// Say why each segment and gate decision stands.
    #[arg(long)]
    pub explain: bool,
    /// Language of explanations: fr or en. Default: the workspace's.
    #[arg(long)]
    pub lang: Option<String>,
}

/// `segment`
#[derive(Subcommand, Debug)]
pub enum Segment {
    /// Count who would be in a segment (a key, or a file with a rule) at an instant.
    #[command(after_help = "Example: jumelle segment preview candles --at 2011-09-01")]
    Preview {
        /// Key of a segment, or a JSON file with a rule.
        segment: String,
        /// The instant; now without it.
        #[arg(long)]
        at: Option<String>,
    },
    /// List the segments with their counts.
    #[command(after_help = "Example: jumelle segment list")]
    List,
}

/// `token`
#[derive(Subcommand, Debug)]
pub enum Token {
    /// Make a token; it is shown once.
    #[command(after_help = "Example: jumelle token create \"call centre\" --role agent --expires 2027-01-01T00:00:00Z")]
    Create {
        /// What people call it, for instance who has it.
        name: String,
        /// What it may do; see docs/reference/roles.md.
        #[arg(long)]
        role: TokenRole,
        /// Instant at which it ends; never without it.
        #[arg(long)]
        expires: Option<String>,
    },
    /// List the tokens, without their secrets.
    #[command(after_help = "Example: jumelle token list")]
    List,
    /// End a token, and its sessions in the console, at once.
    #[command(after_help = "Example: jumelle token revoke tok_0123456789abcdef")]
    Revoke {
        /// Its id, from `jumelle token list`.
        id: String,
    },
}

/// `secret`
#[derive(Subcommand, Debug)]
pub enum Secret {
    /// Make a key; it is printed, and kept nowhere.
    #[command(after_help = "Example: jumelle secret key > secrets.key")]
    Key,
    /// Seal what comes by standard input with the server's key, for one destination; prints what to write in the definitions.
    #[command(after_help = "Example: jumelle secret seal crm < secret.txt")]
    Seal {
        /// Key of the destination: it opens nowhere else.
        destination: String,
    },
}

/// `ledger`
#[derive(Subcommand, Debug)]
pub enum Ledger {
    /// Look for every changed, removed, inserted or moved entry.
    #[command(after_help = "Example: jumelle ledger verify --roots exported/roots.jsonl")]
    Verify {
        /// Ed25519 public key that must have signed the roots, hexadecimal. May be given several times, after a change of key.
        #[arg(long, value_name = "HEX")]
        key: Vec<String>,
        /// Roots that were exported before (roots.jsonl): each must still hold.
        #[arg(long, value_name = "FILE")]
        roots: Option<PathBuf>,
        /// The data directory of a stopped server, instead of a running one.
        #[arg(long)]
        data: Option<PathBuf>,
    },
    /// List the roots of the days, and of today as it stands.
    #[command(after_help = "Example: jumelle ledger roots")]
    Roots {
        /// The data directory of a stopped server, instead of a running one.
        #[arg(long)]
        data: Option<PathBuf>,
    },
    /// Write the roots to files, to be kept elsewhere or time-stamped; they name nobody.
    #[command(after_help = "Example: jumelle ledger export --to exported")]
    Export {
        /// Folder to write to.
        #[arg(long, value_name = "FOLDER")]
        to: PathBuf,
        /// The data directory of a stopped server, instead of a running one.
        #[arg(long)]
        data: Option<PathBuf>,
    },
    /// The proof for one person: what she chose and what was sent under it, as JSON or as a document to print.
    #[command(after_help = "Example: jumelle ledger proof email:ana@example.org --pdf proof.pdf --lang fr")]
    Proof {
        /// NAMESPACE:VALUE, or a profile id.
        identifier: String,
        /// Write a page to this file instead of JSON to standard output.
        #[arg(long, value_name = "FILE", conflicts_with = "pdf")]
        html: Option<PathBuf>,
        /// Write a PDF with the JSON attached to this file.
        #[arg(long, value_name = "FILE")]
        pdf: Option<PathBuf>,
        /// Language of the document: fr or en. Default: the workspace's.
        #[arg(long)]
        lang: Option<String>,
    },
}

/// What a token may do.
#[derive(ValueEnum, Debug, Clone, Copy, PartialEq, Eq)]
pub enum TokenRole {
    /// Everything.
    Admin,
    /// Segments, previews, members, activations, deliveries.
    Marketer,
    /// The whole of one person, consents, erasure.
    Privacy,
    /// Find one person and see her profile.
    Agent,
    /// Numbers and definitions; nothing about a person.
    Read,
}

impl TokenRole {
    /// As the API writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            TokenRole::Admin => "admin",
            TokenRole::Marketer => "marketer",
            TokenRole::Privacy => "privacy",
            TokenRole::Agent => "agent",
            TokenRole::Read => "read",
        }
    }
}

/// `consent`
#[derive(Subcommand, Debug)]
pub enum Consent {
    /// Show a string field by field, and what it means for each purpose and channel.
    #[command(after_help = "Example: jumelle consent decode DBABLA~BVQqAAAACgA.QA\n\
                            Example: jumelle consent decode DBABLA~BVQqAAAACgA.QA --workspace workspace.yaml")]
    Decode {
        /// A TC string (it begins with C) or a GPP string (with D).
        string: String,
        /// The policy of this workspace file, without a server. Else that of the running server, if there is a token; else none.
        #[arg(long)]
        workspace: Option<PathBuf>,
    },
    /// Compare what a tool holds with who may be there, and mend it.
    Reconcile {
        /// Key of the destination.
        destination: String,
        /// What the tool exported: CSV, JSON or JSON lines; plain or hashed names. Without it the list that the destination names.
        #[arg(long)]
        export: Option<PathBuf>,
        /// The column or field that holds the names.
        #[arg(long)]
        column: Option<String>,
        /// Queue removals and additions; each passes the gate again.
        #[arg(long)]
        mend: bool,
    },
    /// Take in an opposition list: one address or number a line, or a CSV or JSON file.
    Suppress {
        /// The file.
        file: PathBuf,
        /// What the list is called, for the proof. Default: the file's name.
        #[arg(long)]
        list: Option<String>,
        /// Channels that it closes: phone, call_center, sms or email; may be repeated.
        #[arg(long = "channel", required = true)]
        channels: Vec<String>,
        /// The column or field that holds the addresses.
        #[arg(long)]
        column: Option<String>,
        /// The list holds SHA-256 hashes of the normalised addresses.
        #[arg(long)]
        sha256: bool,
        /// When the list was made (ISO 8601). Default: now.
        #[arg(long)]
        at: Option<String>,
    },
    /// Ask the gate: may this tool write to this address now?
    Allowed {
        /// NAMESPACE:VALUE
        identifier: String,
        /// Key of the destination.
        #[arg(long)]
        destination: String,
        /// Key of the purpose.
        #[arg(long)]
        purpose: String,
        /// Channel.
        #[arg(long)]
        channel: String,
        /// With a signed permit.
        #[arg(long)]
        permit: bool,
    },
    /// Permits that were given.
    #[command(subcommand)]
    Permit(Permit),
}

/// `consent permit`
#[derive(Subcommand, Debug)]
pub enum Permit {
    /// Check the signature and the time of a permit, without a server.
    Verify {
        /// The permit.
        permit: String,
        /// The ledger's public key (64 hexadecimal digits), as `jumelle ledger export` gives it with the roots.
        #[arg(long)]
        public_key: String,
        /// Check the signature of one that is over, too.
        #[arg(long)]
        expired: bool,
    },
}

/// `privacy`
#[derive(Subcommand, Debug)]
pub enum Privacy {
    /// A copy of everything about a person, or of what she provided.
    Access {
        /// NAMESPACE:VALUE
        identifier: String,
        /// Only what she provided (GDPR, article 20).
        #[arg(long)]
        portable: bool,
        /// json, csv or html.
        #[arg(long, default_value = "json")]
        format: String,
        /// fr or en. Default: the workspace's.
        #[arg(long)]
        lang: Option<String>,
        /// File to write. Default: standard output.
        #[arg(long)]
        to: Option<PathBuf>,
    },
    /// Keep a person's data and do not use it.
    Restrict {
        /// NAMESPACE:VALUE
        identifier: String,
    },
    /// End a restriction.
    Lift {
        /// NAMESPACE:VALUE
        identifier: String,
    },
    /// No marketing any more, whatever its basis.
    Object {
        /// NAMESPACE:VALUE
        identifier: String,
        /// Only this purpose.
        #[arg(long)]
        purpose: Option<String>,
    },
    /// Put traits right (NAME=VALUE, the value as JSON or as text), or wrong identifiers.
    Rectify {
        /// NAMESPACE:VALUE
        identifier: String,
        /// NAME=VALUE
        #[arg(required_unless_present = "replace")]
        traits: Vec<String>,
        /// A wrong identifier and the right one: email:ana@exmaple.org=email:ana@example.org
        #[arg(long, value_name = "WRONG=RIGHT")]
        replace: Vec<String>,
    },
    /// A person's choices as consent records (ISO/IEC TS 27560, JSON-LD).
    Receipts {
        /// NAMESPACE:VALUE
        identifier: String,
    },
    /// What people asked, the nearest deadline first.
    Requests,
    /// People who do nothing: whose time is over or ends soon, and how many were erased for it.
    Retention {
        /// Days of the list of the erased.
        #[arg(long, default_value_t = 30)]
        days: u16,
    },
    /// Say how it is known that it is she: account, callback, in_person, document or staff.
    Identify {
        /// Of a request.
        id: String,
        /// How.
        how: String,
    },
    /// Answer later, by 1 or 2 months: complexity or number.
    Extend {
        /// Of a request.
        id: String,
        /// 1 or 2.
        months: u8,
        /// complexity or number.
        reason: String,
    },
    /// Do what was asked, or say that it is done.
    Fulfil {
        /// Of a request.
        id: String,
    },
    /// Do not follow a request: identity, unfounded, excessive, legal_obligation, legal_claims or withdrawn.
    Refuse {
        /// Of a request.
        id: String,
        /// Why.
        reason: String,
    },
}

/// `link`
#[derive(Subcommand, Debug)]
pub enum Link {
    /// Make a link for a message.
    Create {
        /// NAMESPACE:VALUE
        identifier: String,
        /// unsubscribe, preferences or rights.
        #[arg(long)]
        scope: String,
        /// What an unsubscribe link refuses.
        #[arg(long)]
        purpose: Option<String>,
        /// On which channel. Default: all.
        #[arg(long)]
        channel: Option<String>,
        /// How long it lives, such as 30d.
        #[arg(long)]
        expires_in: Option<String>,
    },
    /// Seal links with a new key from now on.
    Rotate {
        /// End every link that was sent so far.
        #[arg(long)]
        revoke: bool,
    },
}

/// `record-of-processing`
#[derive(Args, Debug)]
pub struct RecordOfProcessing {
    /// json or html.
    #[arg(long, default_value = "json")]
    pub format: String,
    /// fr or en. Default: the workspace's.
    #[arg(long)]
    pub lang: Option<String>,
    /// File to write. Default: standard output.
    #[arg(long)]
    pub to: Option<PathBuf>,
}

/// Where a team's own connectors are.
#[derive(Args, Debug, Clone)]
pub struct OwnConnectors {
    /// A folder of connectors of one's own; `connectors` beside it if there is one.
    #[arg(long, env = "JUMELLE_CONNECTORS")]
    pub connectors: Option<PathBuf>,
}

/// `connector`
#[derive(Subcommand, Debug)]
pub enum Connector {
    /// The connectors there are, and how each was checked.
    List {
        #[command(flatten)]
        own: OwnConnectors,
    },
    /// Write the folder of a new one, which passes check and test.
    #[command(after_help = "Example: jumelle connector new acme --connectors ./connectors")]
    New {
        /// Its key: small letters, digits and dashes.
        key: String,
        #[command(flatten)]
        own: OwnConnectors,
    },
    /// Check the manifest, the README, the icon and which cases there are. Exit code 3: something does not hold.
    Check {
        /// A connector's key, or its folder; all of them by default.
        key: Option<String>,
        #[command(flatten)]
        own: OwnConnectors,
    },
    /// Run its cases: messages in, exact requests out; answers in, what Jumelle does. Exit code 1: a case fails.
    Test {
        /// A connector's key, or its folder; all of them by default.
        key: Option<String>,
        #[command(flatten)]
        own: OwnConnectors,
    },
    /// Print the exact requests for messages, without sending anything.
    #[command(after_help = "Example: jumelle connector preview brevo --settings settings.yaml --messages messages.json --json")]
    Preview {
        /// A connector's key, or its folder.
        key: String,
        /// JSON or YAML: the settings of the destination.
        #[arg(long)]
        settings: Option<PathBuf>,
        /// JSON, JSON lines or YAML: messages as a webhook receives them; one, or a list. `-` reads standard input.
        #[arg(long)]
        messages: PathBuf,
        /// Of telephone numbers without country code.
        #[arg(long, default_value = "FR")]
        country: String,
        /// Write given secrets out, in place of a mask.
        #[arg(long)]
        show_secrets: bool,
        /// The instant of sending (RFC 3339); now by default.
        #[arg(long)]
        at: Option<String>,
        #[command(flatten)]
        own: OwnConnectors,
    },
    /// Make the connector's test call to the tool itself: are the settings right? Sends nobody's data.
    Try {
        /// A connector's key, or its folder.
        key: String,
        /// JSON or YAML: the settings of the destination; {env: NAME} reads a secret.
        #[arg(long)]
        settings: PathBuf,
        /// Another host than the tool's own; a private one too.
        #[arg(long)]
        base_url: Option<String>,
        #[command(flatten)]
        own: OwnConnectors,
    },
    /// Print the JSON Schema of connector.yaml (or of a case), for editors.
    Schema {
        /// Of a case.
        #[arg(long)]
        case: bool,
    },
    /// Print docs/connectors.md.
    #[command(hide = true)]
    Reference,
}

/// `erase`
#[derive(Args, Debug)]
pub struct Erase {
    /// NAMESPACE:VALUE
    pub identifier: String,
    /// Do not ask.
    #[arg(long)]
    pub yes: bool,
}

/// `backup`
#[derive(Args, Debug)]
pub struct Backup {
    /// Where it goes: a directory, made if it is not there, or s3://BUCKET/PREFIX.
    #[arg(value_name = "PLACE")]
    pub place: String,
    /// Back nothing up: read the whole backup and compare every checksum.
    #[arg(long)]
    pub verify: bool,
    /// The data directory of a stopped server, instead of a running one.
    #[arg(long, conflicts_with = "verify")]
    pub data: Option<PathBuf>,
    #[command(flatten)]
    pub storage: Storage,
}

/// Object storage. Credentials and region come from AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_REGION and their like.
#[derive(Args, Debug)]
pub struct Storage {
    /// Address of object storage that speaks like S3 and is not Amazon's, for instance https://s3.example.org; AWS_ENDPOINT_URL
    /// is read too.
    #[arg(long, env = "JUMELLE_S3_ENDPOINT", value_name = "URL")]
    pub s3_endpoint: Option<String>,
}

/// `restore`
#[derive(Args, Debug)]
pub struct Restore {
    /// Where the backup is: a directory, or s3://BUCKET/PREFIX.
    #[arg(value_name = "PLACE")]
    pub place: String,
    /// The data directory to make; it must not exist, or be empty.
    #[arg(long)]
    pub data: PathBuf,
    /// Only what had arrived by this instant.
    #[arg(long)]
    pub until: Option<String>,
    /// A newer backup of the same history: who was erased by then is left out too. May be given several times.
    #[arg(long, value_name = "PLACE")]
    pub erasures: Vec<String>,
    #[command(flatten)]
    pub storage: Storage,
}

/// `demo`
#[derive(Args, Debug)]
pub struct Demo {
    /// Write the shop's events to this file as JSON lines, in the order of their arrival; gzipped if it ends in .gz; `-` is
    /// standard output.
    #[arg(long, conflicts_with_all = ["to_server", "story"])]
    pub to_file: Option<PathBuf>,
    /// Send the shop's events to this server.
    #[arg(long, conflicts_with = "story")]
    pub to_server: Option<String>,
    /// People of the shop. Default: 20,000 to a file or a server, 8,000 for the living shop.
    #[arg(long)]
    pub people: Option<u32>,
    /// First day of the shop. Default: 60 days before --to; for the living shop 30 days before now.
    #[arg(long, value_name = "DATE")]
    pub from: Option<String>,
    /// Day that it ends before. Default: 2026-03-01.
    #[arg(long, value_name = "DATE")]
    pub to: Option<String>,
    /// The same seed gives the same events.
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Simulated seconds in a real one. To a server: as fast as possible without it; with it, events carry the compressed time of
    /// the wall.
    #[arg(long)]
    pub speed: Option<u32>,
    /// Folder for the truth behind the events, as Parquet.
    #[arg(long, value_name = "FOLDER")]
    pub truth: Option<PathBuf>,
    /// Tell the story of one person becoming known, step by step, instead of a whole shop.
    #[arg(long)]
    pub story: bool,
    /// Stop after the story.
    #[arg(long, requires = "story")]
    pub once: bool,
    /// The data directory; a fresh temporary one without it.
    #[arg(long)]
    pub data: Option<PathBuf>,
    /// Address to listen on; the next free port if it is taken.
    #[arg(long, default_value = "127.0.0.1:8080")]
    pub listen: SocketAddr,
    /// Language: fr or en. Default: that of LANG.
    #[arg(long)]
    pub lang: Option<Language>,
}

/// Languages that people are spoken to.
#[derive(ValueEnum, Debug, Clone, Copy, PartialEq, Eq)]
pub enum Language {
    /// French.
    Fr,
    /// English.
    En,
}

/// `completions`
#[derive(Args, Debug)]
pub struct Completions {
    /// The shell.
    pub shell: clap_complete::Shell,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_a_size_and_not_too_little() {
        assert_eq!(memory("600MB").map(|size| size.as_u64()), Ok(600_000_000));
        assert_eq!(memory("2GiB").map(|size| size.as_u64()), Ok(2 << 30));
        assert_eq!(memory("lots"), Err("\"lots\" is no size; write 600MB or 2GiB".into()));
        assert_eq!(memory("64MB"), Err("61.0 MiB is too little: 448.0 MiB at least".into()));
    }
}
