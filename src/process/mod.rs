//! The life of the process: edges to the C library for what std does not do before and after everything else, when a signal
//! comes, and for sockets that somebody else has opened.

pub mod end;
pub mod signals;
pub mod sockets;
pub mod start;
