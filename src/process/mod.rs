//! The life of the process: edges to the C library for what std does not do before and after everything else.

pub mod end;
pub mod start;
