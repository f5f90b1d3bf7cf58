//! The pages of the documentation are what they say: the commands of some run here, in the order in which they stand, and print
//! what stands there; every call of `keyanchor` on every page is a command line.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use keyanchor::config::Config;

use crate::support::Folder;
#[cfg(feature = "tpm")]
use crate::support::command::is_there;
use crate::support::command::{Outcome, Run, pinned_client};
use crate::support::page::{Block, Page, Step, matches};
use crate::support::shell::keyanchor_calls;

/// A page has some twenty commands, a few of which wait for a second.
const LIMIT: Duration = Duration::from_secs(120);

/// What stands before the number of a command and its exit code (ASCII: record separator).
const MARK: char = '\u{1e}';

/// What somebody has at home who tries a page.
const AT_HOME: [(&str, &str); 3] = [
    (".aws/config", "[profile web]\ncredential_process = /bin/false\n"),
    (".aws/credentials", "[web]\naws_access_key_id = AKIATEST\naws_secret_access_key = test-not-a-secret\n"),
    (".config/keyanchor/config.toml", "[identity.web]\nkey = \"mine.pem\"\n"),
];

/// Runs the page's commands in one shell, as a person who has used both programs before; each must succeed and print what the page
/// says, and what is at home stays as it is: so pages can be tried one after the other.
fn run(page: &Page, aws: Option<PathBuf>) {
    let steps: Vec<Step> = page.blocks.iter().filter(|block| block.needs.is_none()).flat_map(steps).collect();
    assert!(!steps.is_empty(), "{}: no command is run", page.path.display());
    let (home, temporary) = (Folder::new(), Folder::new());
    for (name, content) in AT_HOME {
        fs::create_dir_all(home.join(name).parent().unwrap()).unwrap();
        home.write(name, content);
    }
    let outcome = in_one_shell(&steps, &home, &temporary, aws.as_deref());
    check(page, &steps, &outcome);
    for (name, content) in AT_HOME {
        let found = fs::read_to_string(home.join(name)).unwrap_or_default();
        assert_eq!(found, content, "{}: {name} of the person", page.path.display());
    }
    for (folder, names) in
        [(home.path(), 2), (&home.join(".aws"), 2), (&home.join(".config"), 1), (temporary.path(), 0)]
    {
        let left: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(left.len(), names, "{}: what is left in {}: {left:?}", page.path.display(), folder.display());
    }
}

fn check(page: &Page, steps: &[Step], outcome: &Outcome) {
    let said = outcome.text();
    let mut rest = said;
    for (number, step) in steps.iter().enumerate() {
        let at = format!("{}: $ {}", page.at(step.line), step.command);
        let (printed, after) = rest.split_once(MARK).unwrap_or_else(|| panic!("{at}\nnever ended; it printed\n{rest}"));
        let (end, after) = after.split_once('\n').unwrap();
        let code = end.strip_prefix(&format!("{number} ")).unwrap_or_else(|| panic!("{at}\nwas lost in\n{said}"));
        assert_eq!(code, "0", "{at}\nended with {code} and printed\n{printed}");
        // The mark stands on a line of its own: what a command prints need not end its line.
        let printed = printed.strip_suffix('\n').unwrap_or(printed);
        let lines: Vec<&str> = printed.strip_suffix('\n').unwrap_or(printed).lines().collect();
        let wanted = step.printed.join("\n");
        assert!(matches(&step.printed, &lines), "{at}\nprinted\n{printed}\nand the page says\n{wanted}");
        rest = after;
    }
}

/// What a block does: a console's commands, a script as one, a file that is written.
fn steps(block: &Block) -> Vec<Step> {
    let silent = |command| vec![Step { line: block.line, command, printed: Vec::new() }];
    match (&block.file, block.kind.as_str()) {
        (Some(name), _) => silent(format!("cat >'{name}' <<'END OF BLOCK'\n{}END OF BLOCK", block.text)),
        (None, "console") => block.steps(),
        (None, "sh") => silent(block.text.clone()),
        _ => Vec::new(),
    }
}

fn in_one_shell(steps: &[Step], home: &Folder, temporary: &Folder, aws: Option<&Path>) -> Outcome {
    // What a page starts ends with it, also where a step fails. SDKs give the metadata service a second, which a busy machine may
    // take to start a thread.
    let mut script = "exec 2>&1\n\
        trap 'kill $(jobs -p) 2>/dev/null' EXIT\n\
        aws() { AWS_METADATA_SERVICE_TIMEOUT=10 command aws \"$@\"; }\n\
        cd \"$FOLDER\"\n"
        .to_owned();
    for (number, Step { command, .. }) in steps.iter().enumerate() {
        script.push_str(&format!(
            "{command}\ncode=$?; printf '\\n\\036%s %s\\n' {number} $code; [ $code = 0 ] || exit 0\n"
        ));
    }
    let folder = Folder::new();
    let script = folder.write("script", script);
    let ours = Path::new(env!("CARGO_BIN_EXE_keyanchor")).parent().unwrap().to_owned();
    // Before the distribution's, which may be too old for what the pages say.
    let clients = Folder::new();
    if let Some(aws) = aws {
        std::os::unix::fs::symlink(aws, clients.join("aws")).unwrap();
    }
    let others = std::env::var_os("PATH").unwrap();
    let path = [ours, clients.path().to_owned()].into_iter().chain(std::env::split_paths(&others));
    let path = std::env::join_paths(path);
    Run::program("bash")
        .args(["--noprofile", "--norc"])
        .arg(script)
        .env("PATH", path.unwrap())
        .env("LC_ALL", "C.UTF-8")
        .env("FOLDER", folder.path())
        .env("TMPDIR", temporary.path())
        .env("HOME", home.path())
        .env("AWS_CONFIG_FILE", home.join(".aws/config"))
        .env("XDG_CONFIG_HOME", home.join(".config"))
        .limit(LIMIT)
        .run()
}

/// Every page of the documentation, by its path in the checkout.
fn pages() -> Vec<Page> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut pages = vec![PathBuf::from("README.md")];
    for folder in ["docs", "docs/tutorials"] {
        let files = fs::read_dir(root.join(folder)).unwrap().map(|entry| entry.unwrap().path());
        let files = files.filter(|file| file.extension().is_some_and(|extension| extension == "md"));
        pages.extend(files.map(|file| file.strip_prefix(root).unwrap().to_owned()));
    }
    pages.iter().map(Page::read).collect()
}

/// The strings of a YAML document, wherever they stand, and the arguments of containers as command lines. By Python, for which
/// there is a reader.
fn strings_of_yaml(block: &Block, at: &str) -> String {
    let reader = r#"
import shlex, sys, yaml
def walk(node):
    if isinstance(node, dict):
        if 'keyanchor' in str(node.get('image', '')) and 'args' in node:
            print(shlex.join(['keyanchor', *node['args']]))
        for value in node.values(): walk(value)
    elif isinstance(node, list):
        for value in node: walk(value)
    elif isinstance(node, str): print(node)
for document in yaml.safe_load_all(sys.argv[1]): walk(document)
"#;
    let python = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/clients/python/bin/python");
    let python = if python.exists() { python } else { "python3".into() };
    let read = Run::program(python).args(["-c", reader, &block.text]).run();
    assert!(read.status.success(), "{at}: no YAML\n{read}");
    read.text().to_owned()
}

#[test]
fn every_call_on_every_page_is_a_command_line() {
    let has_yaml = Run::program("python3").args(["-c", "import yaml"]).run().status.success();
    let mut count = 0;
    for page in pages() {
        for block in &page.blocks {
            let at = page.at(block.line);
            let text = match block.kind.as_str() {
                "" | "console" | "sh" | "ini" => block.shell(),
                "yaml" if has_yaml => strings_of_yaml(block, &at),
                _ => continue,
            };
            // The name alone is a name.
            for words in keyanchor_calls(&text).into_iter().filter(|words| words.len() > 1) {
                keyanchor::cli::check(&words).unwrap_or_else(|failure| panic!("{at}: {}: {failure}", words.join(" ")));
                count += 1;
            }
        }
    }
    assert!(count > 30, "only {count} calls were found");
}

/// The AWS CLI that the pages want.
fn aws(test: &str) -> Option<PathBuf> {
    pinned_client("python/bin/aws", test)
}

#[test]
fn the_way_from_aws_signing_helper_to_a_token_is_as_described() {
    let Some(aws) = aws("the_way_from_aws_signing_helper_to_a_token_is_as_described") else { return };
    run(&Page::read("docs/tutorials/from-aws-signing-helper.md"), Some(aws));
}

#[test]
fn the_way_from_an_empty_token_to_a_credential_is_as_described() {
    let Some(aws) = aws("the_way_from_an_empty_token_to_a_credential_is_as_described") else { return };
    run(&Page::read("docs/tutorials/offline.md"), Some(aws));
}

#[test]
#[cfg(feature = "tpm")]
fn the_way_of_a_server_to_credentials_bound_to_its_tpm_is_as_described() {
    let test = "the_way_of_a_server_to_credentials_bound_to_its_tpm_is_as_described";
    let Some(aws) = aws(test) else { return };
    if is_there("systemd-analyze", test) {
        run(&Page::read("docs/tutorials/tpm-server.md"), Some(aws));
    }
}

#[test]
#[cfg(feature = "tpm")]
fn the_script_of_a_pipeline_does_what_its_page_says() {
    let Some(aws) = aws("the_script_of_a_pipeline_does_what_its_page_says") else { return };
    run(&Page::read("docs/tutorials/ci.md"), Some(aws));
}

#[test]
fn the_identity_of_a_sidecar_is_written_as_described() {
    run(&Page::read("docs/tutorials/kubernetes.md"), None);
}

#[test]
fn every_identity_on_every_page_can_be_read() {
    let is_ours = |block: &&Block| block.kind == "toml" && block.text.contains("[identity.");
    for page in pages() {
        for block in page.blocks.iter().filter(is_ours) {
            let read = Config::parse(&block.text, &page.path);
            read.unwrap_or_else(|error| panic!("{}: {error}", page.at(block.line)));
        }
    }
}
