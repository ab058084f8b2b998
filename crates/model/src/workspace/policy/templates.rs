//! The templates that ship with the house. An edition, once shipped, stays as it is: the history names it, and a replay must read
//! the same rules. A change of the law is a new edition.

/// A template: rules of one legal order, as a starting point for a lawyer's reading. No legal advice.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Template {
    /// `france`
    pub name: &'static str,
    /// Year and month.
    pub edition: &'static str,
    /// `rules:` as in `policy`.
    pub text: &'static str,
}

/// All editions, the newest of each name first.
pub const TEMPLATES: [Template; 7] = [
    Template { name: "france", edition: "2026-11", text: include_str!("templates/france-2026-11.yaml") },
    Template { name: "france", edition: "2026-08", text: include_str!("templates/france-2026-08.yaml") },
    Template { name: "eu", edition: "2026-08", text: include_str!("templates/eu-2026-08.yaml") },
    Template { name: "uk", edition: "2026-11", text: include_str!("templates/uk-2026-11.yaml") },
    Template { name: "uk", edition: "2026-08", text: include_str!("templates/uk-2026-08.yaml") },
    Template { name: "switzerland", edition: "2026-08", text: include_str!("templates/switzerland-2026-08.yaml") },
    Template { name: "us", edition: "2026-08", text: include_str!("templates/us-2026-08.yaml") },
];

/// By name (the newest edition), or by `name@edition`.
pub fn template(name: &str) -> Option<&'static Template> {
    let (name, edition) = name.split_once('@').map_or((name, None), |(name, edition)| (name, Some(edition)));
    TEMPLATES.iter().find(|known| known.name == name && edition.is_none_or(|edition| edition == known.edition))
}
