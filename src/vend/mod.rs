//! Outputs: the forms in which credentials reach those who use them. Knows no devices.

pub mod credentials_file;
pub mod process;
