//! Walks the whole road from device to credential, read-only, and says of each step what was found and how good that is. Its
//! checks give facts; words, layout and remedies belong to the command line.
//!
//! A file is a family of checks, each a function of what it was given, and `fact` has what each can find; `walk` gives them what they
//! need and knows what stands on what.

pub mod certificate;
pub mod chain;
mod check;
pub mod clock;
pub mod configuration;
pub mod device;
pub mod environment;
pub mod fact;
mod finding;
mod identity;
pub mod key;
pub mod network;
mod road;
pub mod secrets;
pub mod session;
mod walk;

pub use check::Check;
pub use fact::Fact;
pub use finding::{Finding, Standing};
pub use road::{Named, Road};
pub use walk::walk;
