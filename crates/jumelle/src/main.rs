//! Jumelle: one binary. Parse, match on the command, one call each.

mod arguments;
mod client;
mod commands;
mod output;
mod secrets_key;
mod telemetry;

use std::process::ExitCode;

use clap::{CommandFactory as _, FromArgMatches as _};

use arguments::{Arguments, Command, Given};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let found = Arguments::command().get_matches();
    let arguments = Arguments::from_arg_matches(&found).unwrap_or_else(|error| error.exit());
    output::set_colour(&arguments.global);
    let outcome = match &arguments.command {
        Command::Serve(serve) => commands::serve::run(serve, &Given::of(&found)),
        Command::Apply(apply) => commands::apply::run(&arguments.global, apply),
        Command::Import(import) => commands::import::run(&arguments.global, import),
        Command::Results(results) => commands::results::run(&arguments.global, results),
        Command::Export(export) => commands::export::run(&arguments.global, export),
        Command::Profile(profile) => commands::profile::run(&arguments.global, profile),
        Command::Segment(segment) => commands::segment::run(&arguments.global, segment),
        Command::Consent(consent) => commands::consent::run(&arguments.global, consent),
        Command::Connector(connector) => commands::connector::run(&arguments.global, connector),
        Command::Erase(erase) => commands::erase::run(&arguments.global, erase),
        Command::Privacy(privacy) => commands::privacy::run(&arguments.global, privacy),
        Command::Link(link) => commands::link::run(&arguments.global, link),
        Command::RecordOfProcessing(record) => commands::privacy::record(&arguments.global, record),
        Command::Ledger(ledger) => commands::ledger::run(&arguments.global, ledger),
        Command::Secret(secret) => commands::secret::run(&arguments.global, secret),
        Command::Token(token) => commands::token::run(&arguments.global, token),
        Command::Rebuild(rebuild) => commands::rebuild::run(&arguments.global, rebuild),
        Command::Doctor(doctor) => commands::doctor::run(&arguments.global, doctor),
        Command::Backup(backup) => commands::backup::run(&arguments.global, backup),
        Command::Restore(restore) => commands::restore::run(&arguments.global, restore),
        Command::Demo(demo) => commands::demo::run(demo),
        Command::Completions(completions) => commands::reference::completions(completions),
        Command::CliReference => commands::reference::cli(),
        Command::Openapi => commands::reference::openapi(),
        Command::RolesReference => commands::reference::roles(),
    };
    output::finish(&arguments.global, outcome)
}
