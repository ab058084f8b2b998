//! Who is this? Normalisation of identifiers, and the decision which people an event's identifiers name.
//!
//! Architecture invariant: knows nothing of profiles' content, storage or HTTP. A decision is a function of the evidence, the
//! workspace's rules and the graph so far; so the same evidence in the same order gives the same people.

mod evidence;
mod normalize;
mod resolve;

pub use evidence::{Evidence, Ignored, evidence, identifier_of};
pub use normalize::{Rejection, glob, normalize};
pub use resolve::{Graph, Refusal, Resolution, resolve};
