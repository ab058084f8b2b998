//! One module per command.

pub mod apply;
pub mod backup;
pub mod connector;
pub mod consent;
pub mod demo;
pub mod doctor;
pub mod erase;
pub mod export;
pub mod import;
pub mod ledger;
pub mod link;
pub mod privacy;
pub mod profile;
pub mod rebuild;
pub mod reference;
pub mod restore;
pub mod results;
pub mod secret;
pub mod segment;
pub mod serve;
pub mod token;
