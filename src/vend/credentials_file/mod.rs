//! The shared credentials file of the AWS SDKs.

mod edit;
mod lines;
#[cfg(test)]
mod losses;

pub use edit::{Entry, ProfileName, Unwritable, edit};
