//! The life of the process: edges to the C library for what std does not do before and after everything else, and
//! when a signal comes.

pub mod end;
pub mod signals;
pub mod start;
