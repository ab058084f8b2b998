//! Which settings somebody has given: the order flag, environment, file, default needs to tell a default from the same value given.

use std::collections::HashSet;

use clap::ArgMatches;
use clap::parser::ValueSource;

/// Names of the arguments of a subcommand that came from a flag or the environment.
#[derive(Debug, Default)]
pub struct Given(HashSet<String>);

impl Given {
    /// As clap found them.
    pub fn of(arguments: &ArgMatches) -> Given {
        let Some((_, command)) = arguments.subcommand() else { return Given::default() };
        let is_given = |name: &&str| {
            // Asked for its own names only: a group of arguments has no source.
            command.try_contains_id(name).is_ok()
                && command.value_source(name).is_some_and(|source| source != ValueSource::DefaultValue)
        };
        Given(command.ids().map(clap::Id::as_str).filter(is_given).map(str::to_owned).collect())
    }

    /// A flag or the environment gave it.
    pub fn has(&self, name: &str) -> bool {
        self.0.contains(name)
    }
}
