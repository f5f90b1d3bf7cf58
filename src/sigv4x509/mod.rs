//! SigV4-X509: canonical request, string to sign, Authorization header. Pure: no clock, no key, no client.
//!
//! The scheme is that of the IAM Roles Anywhere User Guide, "Signing process": AWS Signature Version 4 without the key
//! derivation. The string to sign is signed with the certificate's private key, and the certificate travels in a header.
//!
//! [`prepare`] gives the input for the key; [`Prepared::finish`] takes what the key made of it.

mod canonical;
mod prepared;

pub use canonical::query_string;
pub use prepared::{Prepared, Request, Signer, prepare};
