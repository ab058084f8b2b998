//! `retention:` of purposes: how long after her last act a person's data serves a purpose, and `policy.retention`: what happens when it
//! serves none any more.

use super::{Acts, Label};
use crate::Workspace;
use crate::rule::Rule;
use crate::time::{Span, Timestamp};
use crate::workspace::Purpose;

/// Key of the segment of people whom no purpose keeps any more; it comes with `policy.retention`.
pub const RETENTION_OVER: &str = "retention_over";

impl Purpose {
    /// When it ceases to keep her, unless she does something before; `None`: it says no retention, or nothing began it.
    pub fn keeps_until(&self, acts: &Acts) -> Option<Timestamp> {
        Some(acts.newest()? + self.terms.retention?)
    }
}

impl Workspace {
    /// Whether a purpose says how long it keeps people.
    pub fn has_retention(&self) -> bool {
        self.purposes.iter().any(|purpose| purpose.terms.retention.is_some())
    }

    /// How long after her last act some purpose keeps her; `None`: one keeps her for good, or there is none.
    pub fn kept_for(&self) -> Option<Span> {
        let spans: Option<Vec<Span>> = self.purposes.iter().map(|purpose| purpose.terms.retention).collect();
        spans?.into_iter().max()
    }

    /// When no purpose keeps her any more and the policy looks at that.
    pub fn retention_ends_at(&self, acts: &Acts) -> Option<Timestamp> {
        self.policy.retention.and(Some(acts.newest()? + self.kept_for()?))
    }
}

/// That none of these purposes keeps her any more.
pub(crate) fn over<'p>(purposes: impl IntoIterator<Item = &'p str>) -> Rule {
    Rule::All(purposes.into_iter().map(|purpose| Rule::RetentionOver { purpose: purpose.to_owned() }).collect())
}

pub(crate) fn label() -> Label {
    Label { fr: Some("Au terme de toutes les durées de conservation".into()), en: Some("Past every retention".into()) }
}
