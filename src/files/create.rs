//! A new file, whole or not at all, and never in the place of another.

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use super::shared;

/// Makes a file with these permission bits, less those of the umask. Fails with [`io::ErrorKind::AlreadyExists`] where anything has the name, a link too; whoever reads
/// finds no file or the whole, also after a crash.
pub fn create(path: &Path, content: &[u8], mode: u32) -> io::Result<()> {
    let temporary = tempfile::Builder::new()
        .prefix(".keyanchor-")
        .permissions(Permissions::from_mode(mode))
        .tempfile_in(shared::directory(path))?;
    fs::write(&temporary, content)?;
    temporary.as_file().sync_all()?;
    temporary.persist_noclobber(path)?;
    shared::sync_directory(path)
}
