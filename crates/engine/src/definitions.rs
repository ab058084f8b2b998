//! The definitions in force, compiled.

use jumelle_model::Workspace;
use jumelle_model::ids::Position;
use jumelle_model::time::Timestamp;
use jumelle_segment::Plan;

/// A workspace with its compiled plan, and where in the history it took effect.
pub struct Definitions {
    /// What the team wrote.
    pub workspace: Workspace,
    /// Compiled.
    pub plan: Plan,
    /// Position of the `apply`; 0 before the first one.
    pub position: Position,
    /// Instant of the `apply`.
    pub at: Timestamp,
}

impl Definitions {
    /// Compiles.
    pub fn new(workspace: Workspace, position: Position, at: Timestamp) -> Definitions {
        let plan = Plan::compile(&workspace);
        Definitions { workspace, plan, position, at }
    }
}
