//! keyanchor: AWS credentials from private keys that never leave the hardware. `docs/design.md` shows the house.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing))]

pub mod cli;
pub mod config;
pub mod credentials;
pub mod doctor;
pub mod files;
pub mod identity;
pub mod key;
pub mod process;
pub mod provision;
pub mod rolesanywhere;
pub mod sandbox;
pub mod session;
pub mod sigv4x509;
pub mod vend;
pub mod x509;
