//! Commands whose definitions are made when they are called: a start costs what one command costs, not what all of them do.

use std::ops::Deref;

use clap::{ArgMatches, Args, Command, Error, FromArgMatches};

use super::values::with_switches;

/// The arguments of a command, defined when the command is looked at, with switches that stand alone.
pub struct Lazy<A>(Box<A>);

impl<A> Lazy<A> {
    /// The arguments themselves.
    pub fn into_inner(self) -> A {
        *self.0
    }
}

impl<A> Deref for Lazy<A> {
    type Target = A;

    fn deref(&self) -> &A {
        &self.0
    }
}

impl<A: Args> Args for Lazy<A> {
    fn augment_args(command: Command) -> Command {
        command.defer(|command| with_switches(A::augment_args(command)))
    }

    fn augment_args_for_update(command: Command) -> Command {
        command.defer(|command| with_switches(A::augment_args_for_update(command)))
    }
}

impl<A: FromArgMatches> FromArgMatches for Lazy<A> {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, Error> {
        A::from_arg_matches(matches).map(|args| Self(Box::new(args)))
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), Error> {
        self.0.update_from_arg_matches(matches)
    }
}
