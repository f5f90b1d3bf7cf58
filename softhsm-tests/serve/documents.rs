//! The unit file and the manifest of `docs/serving.md`: other people's tools read them, and the program takes their flags.

use std::io::Write as _;
use std::process::{Command, Stdio};

use crate::support::command::{Run, keyanchor};
use crate::support::{Folder, text};

const PAGE: &str = include_str!("../../docs/serving.md");

/// The first block of this language in the page.
fn block(language: &str) -> &'static str {
    block_after("", language)
}

/// The first after this text.
fn block_after(text: &str, language: &str) -> &'static str {
    let (_, rest) = PAGE.split_once(text).unwrap();
    let (_, rest) = rest.split_once(&format!("```{language}\n")).unwrap();
    rest.split_once("```").unwrap().0
}

pub fn is_there(tool: &str, test: &str) -> bool {
    let there = Command::new(tool).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
    let there = there.is_ok_and(|status| status.success());
    if !there {
        let _ = writeln!(std::io::stderr(), "skipped {test}: {tool} is not installed");
    }
    there
}

/// What follows `keyanchor` in a line, with the configuration in the place of the one that is not there.
fn takes_flags(arguments: &[&str]) {
    let folder = Folder::new();
    let config = folder.write("config.toml", "");
    let here = arguments.iter().map(|word| if word.ends_with("/config.toml") { text(&config) } else { word });
    let outcome = keyanchor(here.collect::<Vec<_>>()).run();
    // It reads them all and the file, in which there is nothing.
    outcome.ends_with(2).stderr_contains("wanted a key or a certificate");
}

#[test]
fn systemd_takes_the_unit_file_and_finds_little_to_expose() {
    let unit = block("ini");
    let line = unit.lines().find_map(|line| line.strip_prefix("ExecStart=/usr/local/bin/keyanchor ")).unwrap();
    takes_flags(&line.split(' ').collect::<Vec<_>>());
    if !is_there("systemd-analyze", "systemd_takes_the_unit_file_and_finds_little_to_expose") {
        return;
    }
    let folder = Folder::new();
    let here = unit.replace("/usr/local/bin/keyanchor", env!("CARGO_BIN_EXE_keyanchor"));
    let file = folder.write("keyanchor.service", here);
    let verified = Run::program("systemd-analyze").args(["verify", "--man=no", text(&file)]).run();
    assert!(!verified.stderr.contains("keyanchor.service"), "{verified}");
    verified.succeeds();
    let socket = folder.write("keyanchor.socket", block_after("keyanchor.socket`", "ini"));
    let verified = Run::program("systemd-analyze").args(["verify", "--man=no", text(&socket)]).run();
    assert!(!verified.stderr.contains("keyanchor"), "{verified}");
    // Exposure from 0 to 10; "OK" ends at 2.5 for what needs the network and a device.
    let arguments = ["security", "--offline=true", "--threshold=25", text(&file)];
    Run::program("systemd-analyze").args(arguments).run().succeeds();
}

#[test]
fn the_manifest_is_a_pod_whose_sidecar_takes_its_flags() {
    let folder = Folder::new();
    let manifest = folder.write("pod.yaml", block("yaml"));
    let python = concat!(env!("CARGO_MANIFEST_DIR"), "/target/clients/python/bin/python3");
    if !is_there(python, "the_manifest_is_a_pod_whose_sidecar_takes_its_flags") {
        return;
    }
    let script = "import json, sys, yaml; print(json.dumps(yaml.safe_load(open(sys.argv[1]))))";
    let pod = Run::program(python).args(["-c", script, text(&manifest)]).run().succeeds().json();
    let sidecar = &pod["spec"]["initContainers"][0];
    let arguments: Vec<_> = sidecar["args"].as_array().unwrap().iter().map(|word| word.as_str().unwrap()).collect();
    takes_flags(&arguments);
    assert_eq!(sidecar["restartPolicy"], "Always", "what makes an init container a sidecar");
    let port = sidecar["readinessProbe"]["httpGet"]["port"].to_string();
    assert!(arguments.last().unwrap().ends_with(&format!(":{port}")), "{sidecar}");
    // The variables are those that env prints.
    let config = folder.write("config.toml", "[consumer.shop]\nrole = 'r'\ntoken-file = '/run/keyanchor/shop/token'\n");
    let printed = keyanchor(["env", "--consumer", "shop", "--format", "pod", "--config", text(&config)]).run();
    let indented = printed.succeeds().text().lines().map(|line| format!("        {line}\n")).collect::<String>();
    assert!(block("yaml").contains(&indented), "{indented}");
}
