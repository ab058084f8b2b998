//! How requests travel: by the scheme of their address. A manifest says what is told in any case; what is on the wire is `activate`'s.

/// A protocol that requests travel by.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Wire {
    /// Requests as they are written: method, address, headers, body.
    Http,
    /// One e-mail: the body is `{id, from, reply_to, to, subject, text, html, headers}`.
    Smtp,
    /// Rows of a table: the body is `{table, columns, leavers, rows: [{column: value}]}`.
    Postgresql,
}

/// Schemes of addresses.
const SCHEMES: [(&str, Wire); 5] =
    [("https", Wire::Http), ("http", Wire::Http), ("smtps", Wire::Smtp), ("smtp", Wire::Smtp), ("postgresql", Wire::Postgresql)];

impl Wire {
    /// That of an address.
    pub fn of(url: &str) -> Option<Wire> {
        Wire::of_scheme(url.split_once("://")?.0)
    }

    /// That of a scheme, `smtps`.
    pub(crate) fn of_scheme(scheme: &str) -> Option<Wire> {
        SCHEMES.iter().find(|(name, _)| *name == scheme).map(|(_, wire)| *wire)
    }

    /// What a request may ask for. `NOOP` asks nothing about anybody: for test calls.
    pub(crate) fn methods(self) -> &'static [&'static str] {
        match self {
            Wire::Http => &["GET", "POST", "PUT", "PATCH", "DELETE"],
            Wire::Smtp => &["MAIL", "NOOP"],
            Wire::Postgresql => &["UPSERT", "LEAVE", "DELETE", "NOOP"],
        }
    }
}
