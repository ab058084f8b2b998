//! Consent strings of the IAB: TC strings (TCF 2.2 and 2.3) and GPP strings, read strictly.
//!
//! Sources: IAB Tech Lab, "Transparency and Consent String with Global Vendor & CMP List Formats" (version 2, as of TCF 2.3), and
//! "Global Privacy Platform String" with its section specifications. What is not exactly so is [`Malformed`], with what is wrong;
//! nothing that is malformed grants anything. What a string means for a workspace's purposes is in [`crate::signals`].

mod bits;
mod gpp;
mod ids;
mod known;
mod tcf;
mod us;

pub use gpp::{GppSection, GppString};
pub use ids::{Few, Ids};
pub use tcf::{Defect, PublisherTc, Restriction, RestrictionType, TcString};
pub use us::{UsSection, Value};

/// Bytes of a string, at most. A bit field with a bit for each of 65,535 vendors has 10,923.
pub const STRING_BYTES_MAX: usize = 65_536;

/// What is wrong with a string: `core: vendorConsents is cut off: …`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Malformed {
    /// The part: `core`, `vendorsDisclosed`, `publisherTC`, `header`, `usnat` …
    pub part: String,
    /// What is wrong there.
    pub problem: String,
}

impl Malformed {
    pub(crate) fn new(part: impl Into<String>, problem: impl Into<String>) -> Malformed {
        Malformed { part: part.into(), problem: problem.into() }
    }

    /// Inside of another part.
    fn inside(self, part: &str) -> Malformed {
        Malformed { part: format!("{part}.{}", self.part), problem: self.problem }
    }
}

impl std::fmt::Display for Malformed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.part, self.problem)
    }
}

impl std::error::Error for Malformed {}

fn check_length(text: &str) -> Result<(), Malformed> {
    match text.len() {
        0 => Err(Malformed::new("string", "is empty")),
        bytes if bytes > STRING_BYTES_MAX => {
            Err(Malformed::new("string", format!("has {bytes} bytes; {STRING_BYTES_MAX} at most are read")))
        }
        _ => Ok(()),
    }
}
