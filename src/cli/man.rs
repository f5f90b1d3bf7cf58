//! `keyanchor man`: the manual pages, from the command definitions.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use clap::Command;
use clap_mangen::Man;
use clap_mangen::roff::{Roff, bold, roman};

use super::output::print;
use super::{Failure, FailureKind};

const EXAMPLES: &str = "\
Examples:
  Read the main page:
    keyanchor man | man -l -
  Install a page for each command:
    sudo keyanchor man --dir /usr/local/share/man/man1";

/// Section of commands.
const SECTION: &str = "1";

/// What the codes mean, for the main page; the order of [`FailureKind`].
const EXIT_STATUS: [(&str, &str); 10] = [
    ("0", "Success."),
    ("1", "Anything that has no code of its own, such as an output that cannot be written."),
    ("2", "The command line or the configuration file."),
    ("3", "A key, token, TPM or key file."),
    ("4", "A PIN or password."),
    ("5", "AWS refused the request."),
    ("6", "The network, the proxy or TLS."),
    ("7", "A certificate or a chain."),
    ("126", "exec cannot run its command."),
    ("127", "exec does not find its command."),
];

/// Print the manual page, or write one for each command
#[derive(clap::Args, Debug)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// Write a page for each command into this directory, which is made where it is missing
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
}

/// Pages of the same names in the directory are replaced.
pub fn run(args: &Args, mut commands: Command) -> Result<(), Failure> {
    commands = commands.disable_help_subcommand(true);
    commands.build();
    let Some(directory) = &args.dir else { return print(page(&commands, None)) };
    fs::create_dir_all(directory).map_err(|error| cannot("make the directory", directory, &error))?;
    write_pages(directory, &commands, None)
}

fn write_pages(directory: &Path, command: &Command, parent: Option<&str>) -> Result<(), Failure> {
    let path = directory.join(format!("{}.{SECTION}", name(command)));
    fs::write(&path, page(command, parent)).map_err(|error| cannot("write", &path, &error))?;
    let commands = command.get_subcommands().filter(|command| !command.is_hide_set());
    commands.into_iter().try_for_each(|below| write_pages(directory, below, Some(name(command))))
}

/// `keyanchor-cache-list` of `keyanchor cache list`.
fn name(command: &Command) -> &str {
    command.get_display_name().unwrap_or_else(|| command.get_name())
}

/// The page of a command; `parent` is the name of the page above it.
fn page(command: &Command, parent: Option<&str>) -> String {
    let man = Man::new(command.clone()).section(SECTION);
    let mut page = rendered(|page| {
        writeln!(page, "{}", title(command))?;
        man.render_name_section(page)?;
        man.render_synopsis_section(page)?;
        man.render_description_section(page)?;
        man.render_options_section(page)?;
        if command.get_subcommands().any(|command| !command.is_hide_set()) {
            man.render_subcommands_section(page)?;
        }
        Ok(())
    });
    page.push_str(&examples(command));
    page.push_str(&exit_status(parent.is_some()));
    page.push_str(&see_also(parent));
    in_ascii(&page)
}

/// The title line, without a date: the same source gives the same page. roff's own leaves an empty argument out.
fn title(command: &Command) -> String {
    let version = concat!(env!("CARGO_PKG_NAME"), " ", env!("CARGO_PKG_VERSION"));
    format!(".TH \"{}\" \"{SECTION}\" \"\" \"{version}\" \"User Commands\"", name(command).to_uppercase())
}

fn rendered(write: impl FnOnce(&mut Vec<u8>) -> io::Result<()>) -> String {
    let mut page = Vec::new();
    // Memory takes everything.
    let _ = write(&mut page);
    String::from_utf8_lossy(&page).into_owned()
}

/// Other characters by their numbers: what is read in which encoding depends on the formatter (groff_char(7)).
fn in_ascii(page: &str) -> String {
    let escaped = |letter: char| match letter.is_ascii() {
        true => letter.to_string(),
        false => format!("\\[u{:04X}]", u32::from(letter)),
    };
    page.chars().map(escaped).collect()
}

/// The help's examples, as they stand there.
fn examples(command: &Command) -> String {
    let Some(text) = command.get_after_help().map(ToString::to_string) else { return String::new() };
    let mut section = Roff::new();
    section.control("SH", ["EXAMPLES"]).control("nf", []);
    for line in text.lines().skip(1) {
        section.text([roman(line)]);
    }
    section.control("fi", []);
    section.render()
}

fn exit_status(of_command: bool) -> String {
    let mut section = Roff::new();
    section.control("SH", ["EXIT STATUS"]);
    if of_command {
        section.text([roman("0 for success, else by the kind of failure: see "), bold("keyanchor"), roman("(1).")]);
        return section.render();
    }
    for (code, meaning) in EXIT_STATUS {
        section.control("TP", []).text([bold(code)]).text([roman(meaning)]);
    }
    section.render()
}

fn see_also(parent: Option<&str>) -> String {
    let Some(parent) = parent else { return String::new() };
    let mut section = Roff::new();
    section.control("SH", ["SEE ALSO"]);
    section.text([bold(parent), roman(format!("({SECTION})"))]);
    section.render()
}

fn cannot(what: &str, path: &Path, error: &io::Error) -> Failure {
    Failure::new(FailureKind::Other, format!("cannot {what} {}: {error}", path.display()))
}
