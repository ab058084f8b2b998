//! What the documentation is generated from.

use clap::CommandFactory as _;

use crate::arguments::{Arguments, Completions};

/// Shell completions.
pub fn completions(completions: &Completions) -> anyhow::Result<()> {
    clap_complete::generate(completions.shell, &mut Arguments::command(), "jumelle", &mut std::io::stdout());
    Ok(())
}

/// `docs/reference/cli.md`
pub fn cli() -> anyhow::Result<()> {
    print!("{}", clap_markdown::help_markdown::<Arguments>());
    Ok(())
}

/// `docs/reference/openapi.json`
pub fn openapi() -> anyhow::Result<()> {
    println!("{:#}", jumelle_server::openapi());
    Ok(())
}

/// `docs/reference/roles.md`
pub fn roles() -> anyhow::Result<()> {
    print!("{}", jumelle_server::roles_page());
    Ok(())
}
