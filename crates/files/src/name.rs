//! Names of files from their templates.

use jiff::tz::TimeZone;
use jumelle_model::time::Timestamp;
use jumelle_model::workspace::Activation;
use jumelle_model::workspace::file::{Compress, Content};

/// What fills the holes of a template.
pub struct Naming<'a> {
    /// Whose file it is.
    pub activation: &'a Activation,
    /// Everybody, or what has changed.
    pub content: Content,
    /// The instant of the file.
    pub at: Timestamp,
    /// In which dates and times are written.
    pub zone: &'a TimeZone,
}

/// A template with its holes filled: `{destination}`, `{activation}`, `{segment}`, `{content}`, `{date}` (2026-11-28), `{time}`
/// (060000), `{stamp}` (20261128T060000); and the end that the compression asks for.
pub fn file_name(template: &str, naming: &Naming<'_>, compress: Compress) -> String {
    let at = jiff::Timestamp::from_microsecond(naming.at.0).unwrap_or_default().to_zoned_datetime(naming.zone.clone());
    let mut name = template.to_owned();
    for (hole, text) in [
        ("{destination}", naming.activation.destination.clone()),
        ("{activation}", naming.activation.key.clone()),
        ("{segment}", naming.activation.segment.clone()),
        ("{content}", naming.content.as_str().to_owned()),
        ("{date}", at.strftime("%Y-%m-%d").to_string()),
        ("{time}", at.strftime("%H%M%S").to_string()),
        ("{stamp}", at.strftime("%Y%m%dT%H%M%S").to_string()),
    ] {
        name = name.replace(hole, &text);
    }
    name.push_str(match compress {
        Compress::None => "",
        Compress::Gzip => ".gz",
        Compress::Zstd => ".zst",
    });
    name
}
