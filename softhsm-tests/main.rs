//! Tests against real tokens, one binary so that they link once.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod support;

mod aws_cli;
mod aws_template;
mod build_settings;
mod ca;
mod cache;
mod certificate;
mod chains;
mod completions;
mod configuration;
mod configure;
mod credential_process;
mod credentials_file;
mod csr;
mod doctor;
mod drop_in;
mod exec;
mod expiry;
mod failures;
mod fault_module_works;
mod generate;
mod help;
mod identity;
mod importing;
mod key_file;
mod listing;
mod man;
mod overlap;
mod pins;
mod pkcs11_backend;
mod preflight;
mod prompts;
mod renew;
mod sandbox;
mod serve;
mod service;
mod sigv4x509;
mod support_works;
#[cfg(feature = "tpm")]
mod tpm;
mod tutorials;
mod update;
