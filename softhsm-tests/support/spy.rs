//! The PKCS#11 calls of a program, as OpenSC's pkcs11-spy saw them on their way to the real module.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::{Environment, Folder, find_file, variable};

/// pkcs11-spy before a module.
pub struct Spy {
    folder: Folder,
    module: PathBuf,
}

impl Spy {
    pub fn before(module: impl AsRef<Path>) -> Self {
        Self { folder: Folder::new(), module: module.as_ref().to_owned() }
    }

    /// The module that the program loads in place of the real one.
    pub fn module() -> PathBuf {
        find_file(
            "pkcs11-spy.so",
            "opensc",
            &[
                "/usr/lib/x86_64-linux-gnu/pkcs11-spy.so",
                "/usr/lib/x86_64-linux-gnu/pkcs11/pkcs11-spy.so",
                "/usr/lib/aarch64-linux-gnu/pkcs11-spy.so",
                "/usr/lib/aarch64-linux-gnu/pkcs11/pkcs11-spy.so",
                "/usr/lib64/pkcs11-spy.so",
            ],
        )
    }

    /// What pkcs11-spy needs beside what the token needs.
    pub fn env(&self) -> Environment {
        vec![variable("PKCS11SPY", &self.module), variable("PKCS11SPY_OUTPUT", self.log())]
    }

    /// The calls until now.
    pub fn calls(&self) -> Calls {
        Calls::from_log(&std::fs::read_to_string(self.log()).unwrap_or_default())
    }

    fn log(&self) -> PathBuf {
        self.folder.join("spy.log")
    }
}

/// How often each function was called.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Calls(BTreeMap<String, usize>);

impl Calls {
    /// Calls of this function.
    pub fn of(&self, function: &str) -> usize {
        self.0.get(function).copied().unwrap_or_default()
    }

    /// All calls that were recorded.
    pub fn total(&self) -> usize {
        self.0.values().sum()
    }

    /// Counts names, one for each call.
    pub(super) fn count(names: impl IntoIterator<Item = impl Into<String>>) -> Self {
        let mut calls = BTreeMap::new();
        for name in names {
            *calls.entry(name.into()).or_default() += 1;
        }
        Self(calls)
    }

    /// A call is a line such as `3: C_GetSlotList`.
    fn from_log(log: &str) -> Self {
        let entries = log.lines().filter_map(|line| line.split_once(": "));
        let is_call = |(number, name): &(&str, &str)| number.parse::<usize>().is_ok() && name.starts_with("C_");
        Self::count(entries.filter(is_call).map(|(_, name)| name.trim()))
    }
}
