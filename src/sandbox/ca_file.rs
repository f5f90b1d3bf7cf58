//! The file that holds the CA certificate for clients: where it was asked for, or in a private folder that is removed at the end.

use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use super::vended::random_text;

/// A written CA certificate. On drop a folder that was made for it is removed.
pub struct CaFile {
    path: PathBuf,
    folder: Option<PathBuf>,
}

impl CaFile {
    /// Writes `pem` to `wanted`, else into a new private folder.
    pub fn write(wanted: Option<&Path>, pem: &str) -> io::Result<Self> {
        let suffix = random_text(12).map_err(|flaw| io::Error::other(flaw.to_string()))?;
        let Some(wanted) = wanted else {
            let folder = std::env::temp_dir().join(format!("keyanchor-sandbox-{suffix}"));
            DirBuilder::new().mode(0o700).create(&folder)?;
            let file = Self { path: folder.join("ca.pem"), folder: Some(folder) };
            fs::write(&file.path, pem)?;
            return Ok(file);
        };
        // Replaced whole, so that a client never reads half of it.
        let mut beside = wanted.as_os_str().to_owned();
        beside.push(format!(".{suffix}"));
        fs::write(&beside, pem)?;
        if let Err(error) = fs::rename(&beside, wanted) {
            let _ = fs::remove_file(&beside);
            return Err(error);
        }
        Ok(Self { path: std::path::absolute(wanted)?, folder: None })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for CaFile {
    fn drop(&mut self) {
        if let Some(folder) = &self.folder {
            // Only what was put there goes; an error leaves a file that holds nothing secret.
            let _ = fs::remove_file(&self.path).and_then(|()| fs::remove_dir(folder));
        }
    }
}
