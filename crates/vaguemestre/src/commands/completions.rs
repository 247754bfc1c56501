//! `vaguemestre completions`: what a shell needs to complete the command line.

use clap::CommandFactory;
use clap_complete::Shell;

use crate::failure::Failure;

/// See the module.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  vaguemestre completions bash > ~/.local/share/bash-completion/completions/vaguemestre\n  \
    vaguemestre completions zsh > ~/.zfunc/_vaguemestre\n  vaguemestre completions fish > ~/.config/fish/completions/vaguemestre.fish"
)]
pub struct Args {
    /// The shell.
    #[arg(value_enum)]
    shell: Shell,
}

/// Prints them.
pub fn run(args: &Args) -> Result<(), Failure> {
    use std::io::Write;
    let mut text = Vec::new();
    clap_complete::generate(args.shell, &mut crate::Cli::command(), "vaguemestre", &mut text);
    // Whoever reads may have gone (`| head`).
    let _ = std::io::stdout().write_all(&text);
    Ok(())
}
