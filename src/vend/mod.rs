//! Outputs: the forms in which credentials reach those who use them. Knows no devices.

pub mod cache;
pub mod credentials_file;
pub mod environment;
mod pace;
pub mod process;
pub mod schedule;
pub mod server;
mod source;
pub mod update;

pub use source::{Vend, VendError, VendErrorKind, Vended};
