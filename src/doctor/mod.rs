//! Walks the whole road from device to credential, read-only, and says of each step what was found and how good that is. Its
//! checks give facts; words, layout and remedies belong to the command line.
//!
//! A file is a family of checks, each a function of what it was given; `walk` gives them what they need and knows what stands on
//! what.

pub mod certificate;
pub mod chain;
pub mod clock;
pub mod configuration;
pub mod device;
pub mod environment;
mod finding;
mod identity;
pub mod key;
pub mod network;
pub mod secrets;
pub mod session;
mod walk;

pub use finding::{Check, Fact, Finding, Standing};
pub use walk::{Named, Road, walk};
