//! p11-kit's configuration (pkcs11.conf(5)): which modules its proxy loads. Pure but for reading the files.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::super::approach::ProxiedModule;
use crate::files;

/// The program name by which module files let the proxy in or keep it out.
const PROXY: &str = "p11-kit-proxy";

/// Module files of packages, then those of the administrator; a later file of the same name takes the place of an earlier one.
const SYSTEM: [&str; 2] = ["/usr/share/p11-kit/modules", "/etc/pkcs11/modules"];

/// Longest configuration file; they have a few lines.
const LONGEST: usize = 64 * 1024;

/// Most module files that are read.
const MOST: usize = 200;

/// The modules of this machine and of the person whose home this is. `library` is the proxy's own file: relative paths of modules
/// are in the folder `pkcs11` beside it.
pub(super) fn modules(library: &Path, home: Option<&Path>) -> Vec<ProxiedModule> {
    let mut folders: Vec<PathBuf> = SYSTEM.iter().map(PathBuf::from).collect();
    folders.extend(home.map(|home| home.join(".config/pkcs11/modules")));
    let beside = library.parent().unwrap_or(Path::new("/usr/lib")).join("pkcs11");
    read(&folders, &beside)
}

fn read(folders: &[PathBuf], beside: &Path) -> Vec<ProxiedModule> {
    let mut found = BTreeMap::new();
    for file in folders.iter().flat_map(|folder| module_files(folder)) {
        let Some(name) = file.file_stem().map(|name| name.to_string_lossy().into_owned()) else { continue };
        let Ok(octets) = files::read_octets(&file, LONGEST) else { continue };
        found.insert(name.clone(), module(name, &String::from_utf8_lossy(&octets), beside));
    }
    found.into_values().collect()
}

fn module_files(folder: &Path) -> Vec<PathBuf> {
    let entries = folder.read_dir().into_iter().flatten().flatten().map(|entry| entry.path());
    entries.filter(|path| path.extension().is_some_and(|suffix| suffix == "module")).take(MOST).collect()
}

fn module(name: String, text: &str, beside: &Path) -> ProxiedModule {
    let value = |wanted: &str| {
        let settings =
            text.lines().filter(|line| !line.trim_start().starts_with('#')).filter_map(|line| line.split_once(':'));
        settings.filter(|(key, _)| key.trim() == wanted).map(|(_, value)| value.trim().to_owned()).next_back()
    };
    let lists_proxy = |list: String| list.split([',', ' ', '\t']).any(|program| program == PROXY);
    let path = value("module").filter(|path| !path.is_empty()).map(|path| beside.join(path));
    let exists = path.as_ref().is_some_and(|path| path.exists());
    let enabled = value("enable-in").is_none_or(lists_proxy) && !value("disable-in").is_some_and(lists_proxy);
    ProxiedModule { name, path, exists, enabled }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_say_which_modules_the_proxy_loads() {
        let folder = tempfile::tempdir().unwrap();
        let (system, own) = (folder.path().join("system"), folder.path().join("own"));
        for folder in [&system, &own] {
            std::fs::create_dir(folder).unwrap();
        }
        let library = folder.path().join("there.so");
        std::fs::write(&library, "").unwrap();
        std::fs::write(system.join("a.module"), "module: there.so\n# module: other.so\n").unwrap();
        std::fs::write(system.join("b.module"), "module: absent.so\ndisable-in: firefox, p11-kit-proxy\n").unwrap();
        std::fs::write(system.join("c.module"), "module: there.so\n").unwrap();
        std::fs::write(own.join("c.module"), "module: /other/c.so\nenable-in: ssh\n").unwrap();
        std::fs::write(own.join("notes.txt"), "module: notes.so\n").unwrap();
        let found = read(&[system, own, folder.path().join("absent")], folder.path());
        let shown: Vec<_> = found.iter().map(|it| (it.name.as_str(), it.exists, it.enabled)).collect();
        assert_eq!(shown, [("a", true, true), ("b", false, false), ("c", false, false)]);
        assert_eq!(found[0].path.as_deref(), Some(library.as_path()));
        assert_eq!(found[2].path.as_deref(), Some(Path::new("/other/c.so")));
    }
}
