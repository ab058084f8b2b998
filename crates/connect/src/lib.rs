//! Declarative connectors: a manifest says what a tool is told, and how; this says what leaves, and what answers mean.
//!
//! Pure: no I/O, no clock, no async. `activate` sends what is rendered here. Architecture invariant: only what carries a message that
//! the gate has let through, or nobody's data, may be sent ([`MaySend`]); a [`Sample`] of a preview is another type, and its requests
//! do not go out (the doc test of `Transport` in `activate`).

pub mod auth;
mod cases;
mod catalogue;
mod check;
mod connector;
mod exchange;
pub mod manifest;
pub mod normalize;
mod outcome;
mod path;
mod problem;
mod request;
mod row;
pub mod settings;
mod template;
mod wire;
mod workspace;

pub use cases::{Case, CaseResult, run_cases};
pub use catalogue::{Broken, Catalogue, built_in_files};
pub use check::{MANIFEST_BYTES_MAX, ROWS_MAX, parse_duration};
pub use connector::{Connector, Files, Require};
pub use exchange::{Exchange, Next, preview, rehearse};
pub use manifest::OpName;
pub use outcome::{Ending, Response, RowEnd};
pub use problem::{Fault, Faults};
pub use request::{Moment, RenderError, Request, batches, last_of_each, render_test};
pub use row::{Gated, Incoming, MaySend, Nobody, Row, Sample, op_of};
pub use settings::{Secrets, Settings};
pub use wire::Wire;
pub use workspace::check_workspace;

/// JSON Schema of `connector.yaml`, for editors.
pub fn schema() -> serde_json::Value {
    let schema = schemars::schema_for!(manifest::Manifest);
    serde_json::to_value(schema).unwrap_or_default()
}

/// JSON Schema of a case.
pub fn case_schema() -> serde_json::Value {
    serde_json::to_value(schemars::schema_for!(Case)).unwrap_or_default()
}
