//! Maison Lumière, a French shop for fashion and sports that does not exist: a web shop, an app, two stores, a call centre, and the
//! people who go there. It makes the events that such a shop sends, in the order of their arrival, and writes down the truth
//! behind them.
//!
//! For the demo, for tests that hold Jumelle to the truth, and as a load generator. Architecture invariant: knows nothing of
//! Jumelle's other crates, so that what is compared with them was not computed by them; no clock, no unseeded chance, no iteration
//! over hash maps: the same plan gives the same bytes.
//!
//! Cost: one event is composed in about a microsecond and a half, most of it copying of fixed text. Memory: some 60 bytes a
//! person, and the events that wait for their simulated arrival.

pub mod calendar;
pub mod catalogue;
mod consent;
mod context;
mod dice;
mod line;
mod mail;
pub mod parameters;
pub mod person;
pub mod reference;
mod service;
mod shop;
mod store;
mod trouble;
mod truth;
mod visit;

pub use line::{Compression, Line, Source};
pub use shop::{Plan, Shop};
pub use truth::TruthError;
