//! `keyanchor completions`: what a shell completes after `keyanchor`, from the command definitions.

use clap::{Arg, ArgAction, Command, ValueHint};
use clap_complete::aot::{Bash, Fish, Generator, Zsh, generate};

use super::Failure;
use super::output::print;
use super::values::is_switch;

const EXAMPLES: &str = "\
Examples:
  For this account, from the next shell on:
    keyanchor completions bash > ~/.local/share/bash-completion/completions/keyanchor
    keyanchor completions zsh > ~/.zfunc/_keyanchor    # with fpath+=~/.zfunc before compinit
    keyanchor completions fish > ~/.config/fish/completions/keyanchor.fish
  For the shell at hand:
    source <(keyanchor completions bash)";

/// Print the completions of a shell
#[derive(clap::Args, Debug)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// Shell that they are for: bash, zsh or fish
    #[arg(value_name = "SHELL", hide_possible_values = true)]
    shell: Shell,
}

#[derive(clap::ValueEnum, Clone, Copy, Debug)]
enum Shell {
    Bash,
    Zsh,
    Fish,
}

/// Prints a script for the shell to read.
pub fn run(args: &Args, commands: &Command) -> Result<(), Failure> {
    let commands = completed(commands);
    print(match args.shell {
        Shell::Bash => script(Bash, commands),
        Shell::Zsh => script(Zsh, commands),
        Shell::Fish => script(Fish, commands),
    })
}

fn script(shell: impl Generator, mut commands: Command) -> Vec<u8> {
    let name = commands.get_name().to_owned();
    let mut script = Vec::new();
    generate(shell, &mut commands, name, &mut script);
    script
}

/// The tree as a shell is to see it: without what is hidden, and without the command `help`, which would repeat every other.
fn completed(command: &Command) -> Command {
    // clap adds its own to the copy too.
    let is_of_clap = |arg: &&Arg| ["help", "version"].contains(&arg.get_id().as_str());
    let args = command.get_arguments().filter(|arg| !arg.is_hide_set() && !is_of_clap(arg));
    let commands = command.get_subcommands().filter(|command| !command.is_hide_set() && command.get_name() != "help");
    // clap takes static names alone, unless each string of every command is to cost a little more. The program ends after this.
    Command::new(&*command.get_name().to_owned().leak())
        .about(command.get_about().cloned().unwrap_or_default())
        .disable_help_subcommand(true)
        .args(args.cloned().map(hinted))
        .subcommands(commands.map(completed))
}

/// What kind of value follows. A switch is offered without the value that nobody writes.
fn hinted(arg: Arg) -> Arg {
    if is_switch(&arg) {
        return arg.require_equals(false).hide_default_value(false).num_args(0).action(ArgAction::SetTrue);
    }
    let names = arg.get_value_names().unwrap_or_default();
    let names_any_of = |kinds: &[&str]| names.iter().flat_map(|name| name.split('|')).any(|name| kinds.contains(&name));
    if names_any_of(&["FILE", "PATH"]) {
        arg.value_hint(ValueHint::FilePath)
    } else if names_any_of(&["DIR"]) {
        arg.value_hint(ValueHint::DirPath)
    } else if names_any_of(&["COMMAND"]) {
        let hint = if arg.is_positional() { ValueHint::CommandWithArguments } else { ValueHint::CommandString };
        arg.value_hint(hint)
    } else {
        arg.value_hint(ValueHint::Other)
    }
}
