//! What leaves as files: rows of what the gate has let through, how they are written, and where they are put.
//!
//! Architecture invariant: a [`Row`] is made of a [`jumelle_consent::Cleared`] and of nothing else, a [`Written`] file of such rows,
//! and a [`Place`] takes nothing but that and its manifest.

mod manifest;
mod name;
mod place;
mod row;
mod spool;
mod write;

pub use manifest::Manifest;
pub use name::{Naming, file_name};
pub use place::{Network, Place, PlaceError, Session, trusting_the_machine};
pub use row::{Row, columns_of, refused_cells};
pub use spool::{Spool, SpoolReader};
pub use write::{SheetWriter, Written};
