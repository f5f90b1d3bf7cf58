//! Files that people name: read with a bound, split into PEM blocks, recognised by their content. Does not know what a
//! file is wanted for.

mod format;
mod pem;
mod read;

pub use format::{Format, shell_word, unused_name};
pub use pem::{Block, PemError, blocks};
pub use read::{FileContent, FileError, FileErrorKind, read, read_octets};
