//! Rows of a PostgreSQL table. A request is one statement, so it is there whole or not at all; a repeat of the same deliveries
//! changes nothing.
//!
//! Rows travel as one JSON text and take the types of the table's own columns (`json_populate_recordset`), so that the table decides
//! what a date or a number is. `postgresql://` asks for TLS and goes no further without it, except within a network of one's own.

use std::time::Duration;

use jumelle_connect::Response;
use jumelle_files::trusting_the_machine;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use tokio::net::TcpStream;
use tokio_postgres::config::SslMode;
use tokio_postgres::error::SqlState;
use tokio_postgres::tls::MakeTlsConnect;
use tokio_postgres::types::Type;
use tokio_postgres::{Client, Config, Error};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::{CONNECT_TIMEOUT, Failure, Kept, Login, Server, answer, credentials};

/// One statement.
const STATEMENT_TIMEOUT: Duration = Duration::from_secs(60);
const PORT: u16 = 5432;
/// Columns that say whose row it is: a primary key, or a unique one.
const KEY: [&str; 2] = ["activation", "key"];
/// Which delivery wrote a row.
const DELIVERY: &str = "delivery";
/// What else every table has.
const OWN: [&str; 6] = [DELIVERY, "purpose", "consent", "consent_at", "updated_at", "removed_at"];

/// The body of a request.
#[derive(Deserialize)]
struct Rows {
    /// `table`, or `schema.table`.
    table: String,
    /// Columns that fields of the person stand in, separated by commas. All of them are written each time: a field that she has no
    /// more is empty.
    columns: String,
    /// What becomes of the row of somebody who leaves.
    #[serde(default)]
    leavers: Leavers,
    /// Whose row it is, which delivery wrote it, and what else is known of each, by column.
    #[serde(default)]
    rows: Vec<Map<String, Value>>,
}

/// What becomes of the row of somebody who leaves.
#[derive(Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Leavers {
    /// It is deleted.
    #[default]
    Delete,
    /// It stays with nothing in it but whose it is and when she left.
    Mark,
}

/// A database's connections.
#[derive(Default)]
pub(crate) struct Postgresql {
    kept: Kept<Client>,
}

impl Postgresql {
    /// Writes rows, takes them out, or looks whether the table is as it should be (`NOOP`). `None`: `still` said no, and nothing was
    /// said about anybody.
    pub(crate) async fn exchange(
        &self,
        url: &str,
        authorization: Option<&str>,
        (method, body): (&str, &[u8]),
        allow_private: bool,
        still: impl FnOnce() -> bool + Send,
    ) -> Option<Response> {
        let Some(server) = Server::of(url, |_| PORT) else {
            return Some(Failure::Refused("the address of the server cannot be read".into()).response());
        };
        let rows: Rows = match serde_json::from_slice(body) {
            Ok(rows) => rows,
            Err(error) => return Some(answer(400, &json!({"message": error.to_string()}))),
        };
        let statement = statement(method, &rows);
        let text = Value::Array(rows.rows.into_iter().map(Value::Object).collect()).to_string();
        let login = (server, authorization.map(str::to_owned));
        let client = match self.connection(&login, allow_private).await {
            Ok(client) => client,
            Err(failure) => return Some(failure.response()),
        };
        // Names columns and nobody: what an operator has to mend is found before the gate is asked.
        let prepared = match client.prepare_typed(&statement, &[Type::TEXT]).await {
            Ok(prepared) => prepared,
            Err(error) => return Some(judged(&error)),
        };
        // Invariant: the gate is asked with the connection there, and the first byte about her follows its yes.
        let response = match still() {
            true => match tokio::time::timeout(STATEMENT_TIMEOUT, client.execute(&prepared, &[&text])).await {
                Ok(Ok(rows)) => Some(answer(200, &json!({"rows": rows}))),
                Ok(Err(error)) => Some(judged(&error)),
                Err(_) => return Some(Failure::Away("the database did not answer in time".into()).response()),
            },
            false => None,
        };
        self.kept.keep(login, client);
        response
    }

    async fn connection(&self, login: &Login, allow_private: bool) -> Result<Client, Failure> {
        while let Some(kept) = self.kept.take(login) {
            // An empty statement: whether it is there still.
            if tokio::time::timeout(CONNECT_TIMEOUT, kept.simple_query("")).await.is_ok_and(|answered| answered.is_ok()) {
                return Ok(kept);
            }
        }
        connect(&login.0, login.1.as_deref(), allow_private).await
    }
}

async fn connect(server: &Server, authorization: Option<&str>, allow_private: bool) -> Result<Client, Failure> {
    let addresses = server.addresses(allow_private).await?;
    let mut config = Config::new();
    config.host(&server.host).dbname(&server.path).application_name("jumelle");
    config.ssl_mode(if allow_private { SslMode::Prefer } else { SslMode::Require });
    let (user, password) = credentials(authorization).unwrap_or_default();
    config.user(&user).password(password);
    let away = |error: &dyn std::fmt::Display| Failure::Away(format!("{}: {error}", server.host));
    let connected = tokio::time::timeout(CONNECT_TIMEOUT, TcpStream::connect(addresses.as_slice())).await;
    let stream = connected.map_err(|_| away(&"it did not answer"))?.map_err(|error| away(&error))?;
    // Without it small packets wait; a statement works either way.
    let _ = stream.set_nodelay(true);
    let mut tls = MakeRustlsConnect::new((*trusting_the_machine().map_err(Failure::Refused)?).clone());
    let tls = MakeTlsConnect::<TcpStream>::make_tls_connect(&mut tls, &server.host);
    let tls = tls.map_err(|error| Failure::Refused(format!("TLS: {error}")))?;
    let opened = tokio::time::timeout(CONNECT_TIMEOUT, config.connect_raw(stream, tls)).await;
    let (client, connection) = opened.map_err(|_| away(&"it did not answer"))?.map_err(|error| match error.code() {
        Some(code) if !is_momentary(code) => Failure::Refused(written(&error)),
        _ if is_about_tls(&error) => Failure::Refused(written(&error)),
        _ => Failure::Away(written(&error)),
    })?;
    tokio::spawn(async move {
        if let Err(error) = connection.await {
            tracing::debug!(%error, "a database closed its connection");
        }
    });
    Ok(client)
}

/// One statement. Its text depends on the definitions alone; all that is about people is its one parameter.
fn statement(method: &str, rows: &Rows) -> String {
    let table = rows.table.split('.').map(quoted).collect::<Vec<_>>().join(".");
    let given = format!("json_populate_recordset(NULL::{table}, $1::text::json) AS given");
    let same = KEY.map(|column| format!("kept.{0} = given.{0}", quoted(column))).join(" AND ");
    let delivery = quoted(DELIVERY);
    let fields = rows.columns.split(',').map(str::trim).filter(|column| !column.is_empty() && !KEY.contains(column));
    let columns: Vec<String> = KEY.into_iter().chain(OWN).chain(fields).map(quoted).collect();
    let all = |of: &str| columns.iter().map(|column| format!("{of}.{column}")).collect::<Vec<_>>().join(", ");
    match (method, rows.leavers) {
        // A delivery that is repeated finds its own mark and changes nothing: no trigger fires twice for it.
        ("UPSERT", _) => format!(
            "INSERT INTO {table} AS kept ({}) SELECT {} FROM {given} ON CONFLICT ({}) DO UPDATE SET {} WHERE kept.{delivery} IS DISTINCT FROM EXCLUDED.{delivery}",
            columns.join(", "),
            all("given"),
            KEY.map(quoted).join(", "),
            columns.iter().map(|column| format!("{column} = EXCLUDED.{column}")).collect::<Vec<_>>().join(", "),
        ),
        ("LEAVE", Leavers::Mark) => format!(
            "UPDATE {table} AS kept SET {} FROM {given} WHERE {same} AND kept.{delivery} IS DISTINCT FROM given.{delivery}",
            columns.iter().map(|column| format!("{column} = given.{column}")).collect::<Vec<_>>().join(", "),
        ),
        ("LEAVE" | "DELETE", _) => format!("DELETE FROM {table} AS kept USING {given} WHERE {same}"),
        _ => format!("SELECT {} FROM {table} AS kept, {given} WHERE false", all("kept")),
    }
}

fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// What PostgreSQL says, as a status that manifests know: 400 it is about these rows, 403 an operator has to look, 503 not now.
fn judged(error: &Error) -> Response {
    let Some(database) = error.as_db_error() else {
        return match error.is_closed() || std::error::Error::source(error).is_some_and(|source| source.is::<std::io::Error>()) {
            true => Failure::Away(written(error)).response(),
            // Rows that cannot be written as what the server asks for.
            false => answer(400, &json!({"message": written(error)})),
        };
    };
    let code = database.code();
    let status = match code.code().get(..2) {
        _ if is_momentary(code) => 503,
        // Data exceptions, broken constraints, and one row twice in a request.
        Some("21" | "22" | "23") => 400,
        _ => 403,
    };
    // Not the detail: it repeats the row.
    answer(status, &json!({"code": code.code(), "message": format!("{} {}", code.code(), database.message())}))
}

/// Connection trouble, too few resources, a stop by an operator, serialisation and deadlocks: later it works.
fn is_momentary(code: &SqlState) -> bool {
    matches!(code.code().get(..2), Some("08" | "53" | "57" | "40" | "55" | "25"))
}

/// A certificate that is not trusted, or no TLS at all: waiting does not help.
fn is_about_tls(error: &Error) -> bool {
    let mut source = std::error::Error::source(error);
    while let Some(inner) = source {
        let io = inner.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
        if io.is_some_and(|of| of.is::<rustls::Error>()) || inner.to_string().contains("does not support TLS") {
            return true;
        }
        source = inner.source();
    }
    false
}

fn written(error: &Error) -> String {
    match (error.as_db_error(), std::error::Error::source(error)) {
        (Some(database), _) => format!("{} {}", database.code().code(), database.message()),
        (None, Some(source)) => format!("{error}: {source}"),
        (None, None) => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows() -> Rows {
        Rows { table: "crm.people".into(), columns: "key, Ville \"x\"".into(), leavers: Leavers::Delete, rows: Vec::new() }
    }

    #[test]
    fn names_are_quoted_and_a_repeat_changes_nothing() {
        let text = statement("UPSERT", &rows());
        assert!(text.starts_with("INSERT INTO \"crm\".\"people\" AS kept (\"activation\", \"key\", \"delivery\", "), "{text}");
        assert!(text.contains("\"Ville \"\"x\"\"\" = EXCLUDED.\"Ville \"\"x\"\"\""), "{text}");
        assert!(text.contains("ON CONFLICT (\"activation\", \"key\")"), "{text}");
        assert!(text.ends_with("WHERE kept.\"delivery\" IS DISTINCT FROM EXCLUDED.\"delivery\""), "{text}");
    }

    #[test]
    fn a_removal_is_of_her_row_alone() {
        assert_eq!(
            statement("DELETE", &rows()),
            "DELETE FROM \"crm\".\"people\" AS kept USING json_populate_recordset(NULL::\"crm\".\"people\", $1::text::json) AS given \
             WHERE kept.\"activation\" = given.\"activation\" AND kept.\"key\" = given.\"key\""
        );
    }
}
