//! Tests against real tokens, one binary so that they link once.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod support;

mod fault_module_works;
mod pkcs11_backend;
mod key_file;
mod support_works;
mod sigv4x509;
mod sandbox;
mod support;
