//! The pages of `docs/reference/` that are made from the code, and the test that they are up to date.

use std::fmt::Write as _;

use clap::Command;

use crate::args::Cli;

/// How wide the help stands on the page.
const WIDTH: usize = 100;

/// The help of every command as a page: `docs/reference/cli.md`.
#[must_use]
pub fn cli() -> String {
    let mut page = String::from(
        "# The command `wharf`\n\n\
         Made from the command's own help; do not edit. The global options of `wharf` work with every command. \
         What the exit codes mean stands in [exit-codes.md](exit-codes.md).\n",
    );
    let mut root = Cli::definition().term_width(WIDTH);
    root.build();
    section(&mut page, &root, "wharf");
    page
}

fn section(page: &mut String, command: &Command, path: &str) {
    let help = without_global_options(command.clone(), path)
        .render_long_help()
        .to_string();
    let _ = write!(page, "\n## `{path}`\n\n```text\n");
    for line in help.lines() {
        let _ = writeln!(page, "{}", line.trim_end());
    }
    page.push_str("```\n");
    for child in command.get_subcommands().filter(|child| !child.is_hide_set()) {
        section(page, child, &format!("{path} {}", child.get_name()));
    }
}

/// They are shown once, with the command itself.
fn without_global_options(command: Command, path: &str) -> Command {
    let below = path.contains(' ');
    let hide = |argument: clap::Arg| {
        let hidden = argument.is_hide_set() || (below && argument.is_global_set());
        argument.hide(hidden)
    };
    command.mut_args(hide).term_width(WIDTH)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    /// Compares a page with the file, or writes it when `WHARF_UPDATE` is set.
    fn check(name: &str, page: &str) {
        let path = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("../../docs/reference")
            .join(name);
        if std::env::var_os("WHARF_UPDATE").is_some() {
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(&path, page).unwrap();
        }
        let written = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(
            written == page,
            "docs/reference/{name} is out of date; write it again with\n    \
             WHARF_UPDATE=1 cargo test -p wharf-cli reference\n{}",
            first_difference(&written, page)
        );
    }

    fn first_difference(written: &str, page: &str) -> String {
        let pairs = written
            .lines()
            .map(Some)
            .chain(std::iter::repeat(None))
            .zip(page.lines());
        let different = pairs.enumerate().find(|(_, (old, new))| *old != Some(new));
        different.map_or_else(String::new, |(at, (old, new))| {
            format!(
                "line {}:\n  written: {}\n  now:     {new}",
                at + 1,
                old.unwrap_or("(nothing)")
            )
        })
    }

    #[test]
    fn the_reference_of_the_command_is_up_to_date() {
        check("cli.md", &cli());
    }

    #[test]
    fn the_reference_of_the_exit_codes_is_up_to_date() {
        check("exit-codes.md", &crate::exit_code::reference());
    }
}
