//! From an empty device to a certified key: signing requests, a small certificate authority, renewal, and what AWS and the machine
//! must be told. Works on keys and certificates through the traits of `key`; knows no backend by name.

pub mod aws_config;
pub mod aws_setup;
pub mod ca;
pub mod identity_entry;
mod import;
pub mod process_line;
mod public_half;
pub mod renew;
pub mod request;
pub mod sign;

pub use import::{admit as admit_certificate, import as import_certificate};
pub use public_half::public_half;
