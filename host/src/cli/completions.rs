//! `soloist completions` and `soloist manual`: what packages install beside the program.

use std::io;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, anyhow};
use clap::ValueEnum;
use clap_complete::Shell as Generated;
use clap_mangen::Man;
use soloist_core::text::printable_path;

use super::Failure;
use super::output::{print, write};

/// Print what makes a shell complete the commands and options of soloist
///
///   bash: soloist completions bash > /etc/bash_completion.d/soloist
///   zsh:  soloist completions zsh > "${fpath[1]}/_soloist"
///   fish: soloist completions fish > ~/.config/fish/completions/soloist.fish
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub(super) struct Completions {
    /// The shell
    shell: Shell,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Shell {
    Bash,
    Zsh,
    Fish,
}

impl Completions {
    pub(super) fn execute(self) -> Result<(), Failure> {
        let shell = match self.shell {
            Shell::Bash => Generated::Bash,
            Shell::Zsh => Generated::Zsh,
            Shell::Fish => Generated::Fish,
        };
        let mut script = Vec::new();
        clap_complete::generate(shell, &mut super::command(), "soloist", &mut script);
        write(&String::from_utf8_lossy(&script)).map(drop)
    }
}

/// Write the man pages of soloist and of its commands into a directory
///
/// soloist.1, and soloist-COMMAND.1 for each command.
#[derive(Debug, clap::Args)]
pub(super) struct Manual {
    /// The directory, which is made if it is missing
    #[arg(value_name = "DIRECTORY")]
    directory: PathBuf,
}

impl Manual {
    pub(super) fn execute(self) -> Result<(), Failure> {
        let directory = &self.directory;
        if directory.exists() && !directory.is_dir() {
            let shown = printable_path(directory);
            let what = anyhow!("{shown} is a file: name a directory for the pages");
            return Err(Failure::Invalid(what));
        }
        let written = std::fs::create_dir_all(directory).and_then(|()| {
            let mut command = super::command().disable_help_subcommand(true);
            command.build();
            pages(&command, "soloist", directory)
        });
        let count = written
            .with_context(|| format!("cannot write into {}", directory.display()))
            .map_err(Failure::RunTime)?;
        print(&format!("{count} pages in {}\n", directory.display())).map(drop)
    }
}

/// When what the pages tell was last revised. A page without a date is none to `mandoc`, and the day of a build would make each build
/// another one.
const REVISED: &str = "2026-11-28";

/// Writes the page of a command, and those of the commands below it; says how many.
fn pages(command: &clap::Command, name: &str, directory: &Path) -> io::Result<usize> {
    let mut page = Vec::new();
    let titled = command.clone().display_name(name.to_owned());
    Man::new(titled)
        .title(name.to_uppercase())
        .section("1")
        .date(REVISED)
        .source(concat!("soloist ", env!("CARGO_PKG_VERSION")))
        .manual("Soloist")
        .render(&mut page)?;
    // `mandoc` complains of breaks around an empty line, which is a space by itself.
    let page = String::from_utf8_lossy(&page).replace("\n.br\n\n.br\n", "\n.sp\n");
    std::fs::write(directory.join(format!("{name}.1")), page)?;
    let mut count = 1;
    for below in command.get_subcommands().filter(|it| !it.is_hide_set()) {
        count += pages(below, &format!("{name}-{}", below.get_name()), directory)?;
    }
    Ok(count)
}
