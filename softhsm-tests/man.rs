//! The manual pages: one for each command, which formatters render without a warning.

use std::fs;
use std::path::PathBuf;

use crate::support::command::{Run, is_there, keyanchor};
use crate::support::{Folder, text};

/// The pages, and the folder that they are in.
fn pages() -> (Folder, Vec<PathBuf>) {
    let folder = Folder::new();
    let directory = folder.join("share/man/man1");
    let outcome = keyanchor(["man", "--dir", text(&directory)]).run();
    assert_eq!((outcome.succeeds().text(), outcome.stderr.as_str()), ("", ""));
    let mut pages: Vec<_> = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()).collect();
    pages.sort();
    (folder, pages)
}

#[test]
fn there_is_a_page_for_each_command() {
    let (_folder, pages) = pages();
    let names: Vec<_> = pages.iter().map(|page| page.file_name().unwrap().to_str().unwrap()).collect();
    for name in ["keyanchor.1", "keyanchor-credential-process.1", "keyanchor-cache.1", "keyanchor-cache-list.1"] {
        assert!(names.contains(&name), "no {name} among {names:?}");
    }
    assert!(!names.iter().any(|name| name.contains("help")), "{names:?}");
    let main = keyanchor(["man"]).run();
    assert_eq!(main.succeeds().stdout, fs::read(&pages[names.len() - 1]).unwrap());
}

#[test]
fn groff_renders_each_page_without_a_warning() {
    if !is_there("groff", "groff_renders_each_page_without_a_warning") {
        return;
    }
    let (_folder, pages) = pages();
    for page in pages {
        let outcome = Run::program("groff").args(["-man", "-ww", "-z", "-Tutf8", text(&page)]).run();
        assert_eq!(outcome.succeeds().stderr, "", "{outcome}");
    }
}

#[test]
fn mandoc_finds_nothing_to_warn_of() {
    if !is_there("mandoc", "mandoc_finds_nothing_to_warn_of") {
        return;
    }
    let (_folder, pages) = pages();
    let outcome = Run::program("mandoc").args(["-T", "lint", "-W", "warning"]).args(&pages).run();
    // The pages have no date: the same source gives the same pages.
    let warnings: Vec<_> = outcome.text().lines().filter(|line| !line.contains("missing date")).collect();
    assert!(warnings.is_empty(), "{warnings:#?}");
}

#[test]
fn a_page_says_what_the_help_says() {
    if !is_there("groff", "a_page_says_what_the_help_says") {
        return;
    }
    let (_folder, pages) = pages();
    let page = pages.iter().find(|page| page.ends_with("keyanchor-credential-process.1")).unwrap();
    let rendered = Run::program("groff").args(["-man", "-Tutf8", "-P-cbou", "-rLL=200n", text(page)]).run();
    let typed = rendered.succeeds().text().replace(['\u{2010}', '\u{2212}'], "-");
    for part in [
        "KEYANCHOR-CREDENTIAL-PROCESS(1)",
        "  [--cache]  [--format]",
        "KEY AND CERTIFICATE",
        "--pkcs11-lib <PATH>",
        "PKCS#11 module [default: the URI's, else KEYANCHOR_PKCS11_LIB, else p11-kit-proxy]",
        "EXAMPLES\n",
        "           eval \"$(keyanchor credential-process --identity web --format env)\"",
        "SEE ALSO\n",
    ] {
        assert!(typed.contains(part), "no '{part}' in\n{typed}");
    }
}

#[test]
fn pages_that_cannot_be_written_are_a_failure() {
    let folder = Folder::new();
    let file = folder.write("file", "");
    keyanchor(["man", "--dir", text(&file)]).run().fails_with(1).stderr_contains("cannot make the directory");
}
