//! Which library file is the module: flag, URI, default, p11-kit's proxy, and the folders that names are searched in.
//! Loads nothing.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::super::device::Pkcs11Options;
use super::super::error::{Advice, KeyError, KeyErrorKind};
use super::error::package_of;
use super::uri::ModuleName;

/// p11-kit's module that shows the tokens of all configured modules.
const PROXY: &str = "p11-kit-proxy";

/// A library file that exists.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Located {
    /// As it was named or found: what people know it by.
    pub(super) path: PathBuf,
    /// Without links: what tells whether it is loaded already.
    pub(super) real: PathBuf,
}

/// The library that serves a URI.
pub(super) fn module(options: &Pkcs11Options, named: &ModuleName) -> Result<Located, KeyError> {
    if let Some(module) = &options.module {
        return given(module);
    }
    match (&named.path, &named.name) {
        (Some(path), name) if path.is_dir() => in_folder(path, name.as_deref()),
        (Some(path), _) => given(path),
        (None, Some(name)) => by_name(name),
        (None, None) => match &options.default_module {
            Some(module) => given(module),
            None => by_name(PROXY).map_err(|error| {
                error.context("no PKCS#11 module was named, and p11-kit's proxy for all of them is missing")
            }),
        },
    }
}

/// A file that a person named. Without a directory it is searched like a name: the dynamic linker would do so.
fn given(module: &Path) -> Result<Located, KeyError> {
    let bare = module.components().count() == 1 && !module.exists();
    match module.to_str() {
        Some(name) if bare => search(name, &[name.to_owned()]),
        _ => resolved(module),
    }
}

fn by_name(name: &str) -> Result<Located, KeyError> {
    search(name, &files_of(name))
}

fn files_of(name: &str) -> [String; 2] {
    [format!("{name}.so"), format!("lib{name}.so")]
}

/// A folder that `module-path` names: the library in it is `module-name`'s.
fn in_folder(folder: &Path, name: Option<&str>) -> Result<Located, KeyError> {
    let not_found = |wanted: &str| {
        let found = libraries(folder);
        let found = if found.is_empty() { "none".to_owned() } else { found.join(", ") };
        KeyError::new(
            KeyErrorKind::NotFound,
            format!("module-path is the folder {}: wanted {wanted}, found these libraries: {found}", folder.display()),
        )
    };
    let Some(name) = name else { return Err(not_found("module-name beside it")) };
    let files = files_of(name);
    match files.iter().map(|file| folder.join(file)).find(|path| path.exists()) {
        Some(path) => resolved(&path),
        None => Err(not_found(&files.join(" or "))),
    }
}

/// The first few libraries in a folder, for an error.
fn libraries(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let names = entries.map(|entry| entry.file_name().to_string_lossy().into_owned());
    let sorted: BTreeSet<_> = names.filter(|name| name.ends_with(".so")).collect();
    sorted.into_iter().take(20).collect()
}

fn search(name: &str, files: &[String]) -> Result<Located, KeyError> {
    let folders = folders(name);
    let candidates = folders.iter().flat_map(|folder| files.iter().map(move |file| folder.join(file)));
    if let Some(path) = candidates.into_iter().find(|path| path.exists()) {
        return resolved(&path);
    }
    let searched: Vec<_> = folders.iter().map(|folder| folder.display().to_string()).collect();
    let error = KeyError::new(
        KeyErrorKind::Unreachable,
        format!("wanted the PKCS#11 module {}, found it in none of {}", files.join(" or "), searched.join(", ")),
    );
    Err(with_package(error, name))
}

/// The name of a module that is there, or the package that brings the one that is not.
fn with_package(error: KeyError, name: &str) -> KeyError {
    let advice = match similar(name) {
        Some(module) => Advice::ChooseModule { similar: Some(module) },
        None => package_of(name).unwrap_or(Advice::ChooseModule { similar: None }),
    };
    error.with_advice(advice)
}

/// A module with nearly this name, in the form in which the name was given: with or without folder, `lib` and `.so`.
fn similar(name: &str) -> Option<String> {
    let wanted = stem(name.rsplit('/').next().unwrap_or(name));
    let of_modules = |folder: &PathBuf| {
        let last = folder.file_name().map(|last| last.to_string_lossy().into_owned()).unwrap_or_default();
        last == "pkcs11" || wanted.starts_with(&last)
    };
    let modules = folders(wanted).into_iter().filter(of_modules);
    let files = modules.flat_map(|folder| libraries(&folder).into_iter().map(move |file| folder.join(file)));
    let distance = |file: &Path| Some(strsim::osa_distance(stem(&file.file_name()?.to_string_lossy()), wanted));
    let (near, file) = files.filter_map(|file| Some((distance(&file)?, file))).min()?;
    let is_path = name.contains('/');
    match (near, wanted.len()) {
        // The same module, or nearly so, in another folder.
        (0..=2, 5..) if is_path => Some(file.display().to_string()),
        (1..=2, 5..) => Some(match name.ends_with(".so") {
            true => file.file_name()?.to_string_lossy().into_owned(),
            false => stem(&file.file_name()?.to_string_lossy()).to_owned(),
        }),
        _ => None,
    }
}

/// What people call a library: its file's name without `lib` and `.so`.
fn stem(file: &str) -> &str {
    let file = file.strip_suffix(".so").unwrap_or(file);
    file.strip_prefix("lib").unwrap_or(file)
}

/// p11-kit's module folder, the library folders, and a folder of the module's own name, with or without its version
/// (libsofthsm2.so lives in `softhsm/`).
fn folders(name: &str) -> Vec<PathBuf> {
    let own = name.trim_end_matches(".so").trim_start_matches("lib");
    let unversioned = own.trim_end_matches(|character: char| character.is_ascii_digit());
    let mut folders = Vec::new();
    for library in [multiarch(), "/usr/lib64".into(), "/usr/lib".into(), "/usr/local/lib".into()] {
        for folder in [library.join("pkcs11"), library.clone(), library.join(own), library.join(unversioned)] {
            if folder.is_dir() && !folders.contains(&folder) {
                folders.push(folder);
            }
        }
    }
    folders
}

/// Debian's library folder for this machine.
fn multiarch() -> PathBuf {
    let triplet = match std::env::consts::ARCH {
        "x86" => "i386-linux-gnu".to_owned(),
        "arm" => "arm-linux-gnueabihf".to_owned(),
        "powerpc64" => "powerpc64le-linux-gnu".to_owned(),
        other => format!("{other}-linux-gnu"),
    };
    Path::new("/usr/lib").join(triplet)
}

fn resolved(path: &Path) -> Result<Located, KeyError> {
    let real = fs::canonicalize(path).and_then(|real| match fs::metadata(&real)?.is_dir() {
        true => Err(io::Error::from(io::ErrorKind::IsADirectory)),
        false => Ok(real),
    });
    real.map(|real| Located { path: path.to_owned(), real }).map_err(|error| {
        let name = path.display().to_string();
        let kind = match error.kind() {
            io::ErrorKind::PermissionDenied => KeyErrorKind::Permission,
            _ => KeyErrorKind::Unreachable,
        };
        let error = KeyError::new(kind, format!("wanted the PKCS#11 module {name}, cannot find it: {error}"));
        with_package(error, &name)
    })
}

#[cfg(test)]
mod tests {
    use super::super::super::error::Advice;
    use super::*;

    fn named(path: Option<&Path>, name: Option<&str>) -> ModuleName {
        ModuleName { path: path.map(Path::to_owned), name: name.map(str::to_owned) }
    }

    fn options(module: Option<&Path>, default_module: Option<&Path>) -> Pkcs11Options {
        Pkcs11Options {
            module: module.map(Path::to_owned),
            default_module: default_module.map(Path::to_owned),
            ..Pkcs11Options::default()
        }
    }

    /// A folder with files that have a module's name.
    fn folder() -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        for name in ["libtest1.so", "test2.so", "default.so"] {
            fs::write(folder.path().join(name), "").unwrap();
        }
        let path = folder.path().canonicalize().unwrap();
        (folder, path)
    }

    #[test]
    fn flag_then_uri_then_default() {
        let (_keep, folder) = folder();
        let (flag, uri, default) = (folder.join("libtest1.so"), folder.join("test2.so"), folder.join("default.so"));
        let module = |options: Pkcs11Options, named| module(&options, named).map(|located| located.path);
        let by_uri = named(Some(&uri), None);
        assert_eq!(module(options(Some(&flag), Some(&default)), &by_uri).unwrap(), flag);
        assert_eq!(module(options(None, Some(&default)), &by_uri).unwrap(), uri);
        assert_eq!(module(options(None, Some(&default)), &named(None, None)).unwrap(), default);
    }

    #[test]
    fn one_library_by_two_paths_is_one_module() {
        let (_keep, folder) = folder();
        let link = folder.join("link.so");
        std::os::unix::fs::symlink(folder.join("test2.so"), &link).unwrap();
        assert_eq!(
            module(&options(Some(&link), None), &named(None, None)).unwrap(),
            Located { path: link, real: folder.join("test2.so") }
        );
    }

    #[test]
    fn a_folder_is_searched_with_and_without_the_prefix() {
        let (_keep, folder) = folder();
        let none = options(None, None);
        let find = |name| module(&none, &named(Some(&folder), Some(name))).map(|located| located.path);
        assert_eq!(find("test1").unwrap(), folder.join("libtest1.so"));
        assert_eq!(find("test2").unwrap(), folder.join("test2.so"));
        let error = find("test3").unwrap_err().to_string();
        assert!(
            error.contains("wanted test3.so or libtest3.so, found these libraries: default.so, libtest1.so"),
            "{error}"
        );
        let error = module(&none, &named(Some(&folder), None)).unwrap_err().to_string();
        assert!(error.contains("wanted module-name beside it"), "{error}");
    }

    #[test]
    fn a_missing_module_says_where_it_was_sought_and_what_brings_it() {
        let error = module(&options(Some(Path::new("/nonexistent/libtpm2_pkcs11.so.9")), None), &named(None, None))
            .unwrap_err();
        assert_eq!(error.kind(), KeyErrorKind::Unreachable);
        assert!(error.to_string().contains("/nonexistent/libtpm2_pkcs11.so.9"), "{error}");
        assert_eq!(error.advice(), Some(&Advice::Install { package: "libtpm2-pkcs11-1" }));

        let error = module(&options(None, None), &named(None, Some("no-such-module"))).unwrap_err().to_string();
        assert!(error.contains("no-such-module.so or libno-such-module.so, found it in none of"), "{error}");
        assert!(error.contains("/usr/lib"), "{error}");
    }
}
