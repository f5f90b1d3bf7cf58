//! Files that people name: read with a bound, split into PEM blocks, recognised by their content; files that are made where
//! none is; and files that people own, replaced whole under a lock. Does not know what a file is wanted for.

mod access;
mod create;
mod format;
mod pem;
pub mod profiles;
mod read;
pub mod rewrite;
pub mod shared;

pub use access::{Access, Changers};
pub use create::create;
pub use format::{Format, shell_word, unused_name};
pub use pem::{Block, PemError, blocks, pem};
pub use read::{FileContent, FileError, FileErrorKind, read, read_octets, way_to};
pub use shared::SharedFileError;
