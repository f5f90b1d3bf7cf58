//! Who may read and change a file, told by owners and modes; reads no content. Does not know what a file is wanted for.

use std::fs::{self, Metadata};
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use rustix::fs::{Access as Wish, AtFlags, CWD, accessat};

/// A file and whom its permissions let in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Access {
    /// As it was named.
    pub path: PathBuf,
    /// Permission bits.
    pub mode: u32,
    /// User id of the owner.
    pub owner: u32,
    /// Whether this process may read it.
    pub readable: bool,
    /// Whether it is a regular file; a pipe can be read only once.
    pub is_regular: bool,
    /// Every account can read it: its mode lets them, and so does each folder above it.
    pub read_by_all: bool,
    /// Who else than this account and root can change it or put another file in its place.
    pub changed_by: Option<Changers>,
}

/// Who can change a file that is not theirs to change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Changers {
    /// Its owner, another account.
    Owner(u32),
    /// A group or everybody, by the file's mode.
    Mode,
    /// Whoever may write to this folder, or owns it.
    Folder(PathBuf),
}

impl Access {
    /// Looks at the file and the folders above it. Fails where there is none, or where this account cannot see it.
    pub fn of(path: &Path) -> io::Result<Self> {
        let found = fs::metadata(path)?;
        let real = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
        let readable = accessat(CWD, path, Wish::READ_OK, AtFlags::EACCESS).is_ok();
        let folders: Vec<_> =
            real.ancestors().skip(1).filter_map(|folder| Some((folder, folder.metadata().ok()?))).collect();
        let open_to_all = folders.iter().all(|(_, folder)| folder.mode() & 0o001 != 0);
        Ok(Self {
            path: path.to_owned(),
            mode: found.mode() & 0o7777,
            owner: found.uid(),
            readable,
            is_regular: found.is_file(),
            read_by_all: found.mode() & 0o004 != 0 && open_to_all,
            changed_by: changers(&found, &folders),
        })
    }
}

fn changers(file: &Metadata, folders: &[(&Path, Metadata)]) -> Option<Changers> {
    let account = rustix::process::geteuid().as_raw();
    let is_ours = |owner: u32| owner == 0 || owner == account;
    if !is_ours(file.uid()) {
        return Some(Changers::Owner(file.uid()));
    }
    if file.mode() & 0o022 != 0 && !file.file_type().is_char_device() {
        return Some(Changers::Mode);
    }
    // In a folder with the sticky bit, such as /tmp, nobody can take away what is another's.
    let opens = |folder: &Metadata| !is_ours(folder.uid()) || folder.mode() & 0o022 != 0 && folder.mode() & 0o1000 == 0;
    folders.iter().find(|(_, folder)| opens(folder)).map(|(path, _)| Changers::Folder((*path).to_owned()))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn set(path: &Path, mode: u32) {
        fs::set_permissions(path, PermissionsExt::from_mode(mode)).unwrap();
    }

    #[test]
    fn a_mode_lets_in_only_those_whom_the_folders_let_in() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        fs::write(&file, "").unwrap();
        for (folder_mode, file_mode, read_by_all, changed_by) in [
            (0o700, 0o644, false, None),
            (0o711, 0o644, true, None),
            (0o711, 0o640, false, None),
            (0o711, 0o660, false, Some(Changers::Mode)),
            (0o777, 0o600, false, Some(Changers::Folder(folder.path().canonicalize().unwrap()))),
            (0o1777, 0o600, false, None),
        ] {
            set(folder.path(), folder_mode);
            set(&file, file_mode);
            let access = Access::of(&file).unwrap();
            assert_eq!(access.mode, file_mode);
            assert!(access.readable && access.is_regular);
            assert_eq!(
                (access.read_by_all, access.changed_by),
                (read_by_all, changed_by),
                "{folder_mode:o} {file_mode:o}"
            );
        }
        assert!(Access::of(&folder.path().join("absent")).is_err());
    }
}
