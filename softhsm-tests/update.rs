//! `update` through the binary: what it keeps of a file that others write too, how it goes on after a failure, how it ends.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::thread;

use rustix::process::Signal;

use crate::support::command::{Run, Running};
use crate::support::fault::Fault;
use crate::support::key::{Key, KeyFile};
use crate::support::pki::{Ca, Certificate};
use crate::support::sandbox::Sandbox;
use crate::support::softhsm::{SoftHsm, TEST_USER_PIN};
use crate::support::{Folder, text, until};

/// What stands for the three lines of new credentials in the files of these tests.
const NEW: &str = "aws_access_key_id = NEW\naws_secret_access_key = NEW\naws_session_token = NEW\n";

struct Scene {
    ca: Ca,
    leaf: Certificate,
    key: KeyFile,
    sandbox: Sandbox,
    folder: Folder,
}

impl Scene {
    fn new() -> Self {
        Self::with(&[])
    }

    fn with(more: &[&str]) -> Self {
        let ca = Ca::root("Root");
        let (leaf, key) = ca.leaf_with_key("host", Key::Ec256);
        let sandbox = Sandbox::trusting_with(&ca, more);
        Self { ca, leaf, key, sandbox, folder: Folder::new() }
    }

    fn file(&self) -> PathBuf {
        self.folder.join("credentials")
    }

    fn update(&self, arguments: &[&str]) -> Run {
        let certificate = self.leaf.pem_path();
        let files = ["--certificate", text(&certificate), "--private-key", text(self.key.path())];
        self.sandbox.command("update", files).args(arguments).env("AWS_SHARED_CREDENTIALS_FILE", self.file())
    }

    fn sessions(&self) -> usize {
        self.sandbox.requests("/sessions").len()
    }

    /// Refreshes at once, and waits until that has been answered.
    fn refresh(&self, updater: &Running) {
        let before = self.sessions();
        updater.signal(Signal::HUP);
        until("a refresh", || self.sessions() > before);
    }
}

fn read(file: &Path) -> String {
    fs::read_to_string(file).unwrap_or_default()
}

/// The access key id of a profile; empty where there is none.
fn key_id(file: &Path, profile: &str) -> String {
    let content = read(file);
    let section = content.split_once(&format!("[{profile}]\n")).map_or("", |(_, section)| section);
    let line = section.lines().find_map(|line| line.strip_prefix("aws_access_key_id = "));
    line.unwrap_or_default().to_owned()
}

/// The content with `NEW` in place of what the sandbox vends.
fn normalised(content: &str) -> String {
    let vended = ["aws_access_key_id = ASIASANDBOX", "aws_secret_access_key = sandbox-not-a-secret-"];
    let line = |line: &str| {
        let end = line.len() - line.trim_end_matches(['\r', '\n']).len();
        let is_token = line.trim_start().starts_with("aws_session_token = ") && line.trim().len() > 60;
        if !is_token && !vended.iter().any(|prefix| line.trim_start().starts_with(prefix)) {
            return line.to_owned();
        }
        let (key, _) = line.split_once(" = ").unwrap();
        format!("{key} = NEW{}", &line[line.len() - end..])
    };
    content.split_inclusive('\n').map(line).collect()
}

#[test]
fn nothing_of_a_file_is_lost() {
    let scene = Scene::new();
    let long = format!("note = {}\n", "x".repeat(70_000));
    let old = NEW.replace("NEW", "old");
    let crlf = NEW.replace('\n', "\r\n");
    let table = [
        ("a new file", String::new(), format!("[default]\n{NEW}")),
        (
            "the last line of the last profile",
            format!("[default]\n{old}region = x"),
            format!("[default]\n{NEW}region = x"),
        ),
        ("a comment as the last line", format!("[default]\n{old}# mine"), format!("[default]\n{NEW}# mine")),
        ("the next header as the last line", "[default]\n[next]".into(), format!("[default]\n{NEW}[next]")),
        ("the profile's header as the last line", "[default]".into(), format!("[default]\n{NEW}")),
        ("spaces in the header", "[ default ]\na = b\n".into(), format!("[ default ]\na = b\n{NEW}")),
        ("a comment behind the header", "[default] # mine\n".into(), format!("[default] # mine\n{NEW}")),
        ("a long line", format!("[default]\n{long}[z]\n{long}"), format!("[default]\n{long}{NEW}[z]\n{long}")),
        (
            "a key that begins like ours",
            "[default]\naws_session_token_note = hello\n".into(),
            format!("[default]\naws_session_token_note = hello\n{NEW}"),
        ),
        (
            "an indented key and one in capitals",
            "[default]\n  AWS_ACCESS_KEY_ID=old\n  aws_secret_access_key=old\n  aws_session_token=old\n".into(),
            format!("[default]\n  {}", NEW.trim_end().replace('\n', "\n  ") + "\n"),
        ),
        (
            "the blank line before the next profile",
            "[default]\nregion = x\n\n[z]\na = b\n".into(),
            format!("[default]\nregion = x\n{NEW}\n[z]\na = b\n"),
        ),
        ("line ends of Windows", "[default]\r\na = b\r\n".into(), format!("[default]\r\na = b\r\n{crlf}")),
    ];
    for (what, before, after) in table {
        fs::write(scene.file(), before).unwrap();
        let outcome = scene.update(&["--once"]).run();
        assert_eq!(outcome.succeeds().text(), "", "{what}");
        outcome.stderr_lacks("written");
        assert_eq!(normalised(&read(&scene.file())), after, "{what}");
    }
}

#[test]
fn what_is_missing_is_made_for_the_person_alone() {
    let scene = Scene::new();
    let run = scene.update(&["--once"]).env("AWS_SHARED_CREDENTIALS_FILE", "").unprivileged();
    for path in [scene.leaf.pem_path(), scene.key.path().to_owned()] {
        fs::set_permissions(&path, PermissionsExt::from_mode(0o644)).unwrap();
        fs::set_permissions(path.parent().unwrap(), PermissionsExt::from_mode(0o755)).unwrap();
    }
    fs::set_permissions(scene.sandbox.ca(), PermissionsExt::from_mode(0o644)).unwrap();
    for folder in [scene.sandbox.ca().parent().unwrap(), scene.sandbox.folder()] {
        fs::set_permissions(folder, PermissionsExt::from_mode(0o755)).unwrap();
    }
    let home = run.home().to_owned();
    let running = run.spawn();
    let mut modes = None;
    until("the file", || {
        let mode = |path: &Path| fs::metadata(path).map(|found| found.mode() & 0o7777).ok();
        modes = mode(&home.join(".aws")).zip(mode(&home.join(".aws/credentials"))).or(modes);
        modes.is_some()
    });
    assert_eq!(modes, Some((0o700, 0o600)));
    running.wait().succeeds();
}

#[test]
fn mode_and_link_of_a_file_stay() {
    let scene = Scene::new();
    let real = scene.folder.write("real", "[other]\na = b\n");
    fs::set_permissions(&real, PermissionsExt::from_mode(0o644)).unwrap();
    symlink("real", scene.file()).unwrap();
    scene.update(&["--once"]).run().succeeds();
    assert_eq!(fs::metadata(&real).unwrap().mode() & 0o7777, 0o644);
    assert_eq!(fs::read_link(scene.file()).unwrap(), Path::new("real"));
    assert_eq!(normalised(&read(&real)), format!("[other]\na = b\n\n[default]\n{NEW}"));
}

#[test]
fn many_updates_at_once_lose_no_profile() {
    let scene = Scene::new();
    fs::write(scene.file(), "[mine]\nnote = keep\n").unwrap();
    for _ in 0..5 {
        let names = ["a", "b", "c", "d"];
        let running = names.map(|name| scene.update(&["--once", "--profile", name]).spawn());
        for updater in running {
            updater.wait().succeeds();
        }
        let content = read(&scene.file());
        assert!(content.starts_with("[mine]\nnote = keep\n"), "{content}");
        assert!(names.iter().all(|name| content.contains(&format!("[{name}]\naws_access_key_id = ASIA"))), "{content}");
    }
}

#[test]
fn profiles_have_roles_of_their_own() {
    let scene = Scene::new();
    let profiles = ["--profile", "web=arn:aws:iam::111122223333:role/Web", "--profile", "plain"];
    scene.update(&["--once"]).args(profiles).run().succeeds();
    let requests = scene.sandbox.requests("/sessions");
    assert!(requests[0].contains("/Web/") && requests[1].contains("/ExampleRole/"), "{requests:?}");
    for (profile, request) in ["web", "plain"].into_iter().zip(requests) {
        assert!(request.contains(&key_id(&scene.file(), profile)), "{request}\n{}", read(&scene.file()));
    }
    let twice = scene.update(&["--once", "--profile", "a", "--profile", "a=arn:aws:iam::111122223333:role/R"]).run();
    twice.fails_with(2).stderr_contains("found a twice");
    scene.update(&["--once", "--profile", "a]b"]).run().fails_with(2).stderr_contains("--profile: wanted the name");
}

#[test]
fn two_roles_cost_one_login() {
    let scene = Scene::new();
    let token = SoftHsm::new().token("t");
    token.identity(Key::Ec256, "01", "host", &scene.ca);
    let fault = Fault::of(token.hsm());
    let flags =
        ["--once", "--pkcs11", "pkcs11:token=t;object=host", "--pkcs11-lib", text(&Fault::module())].map(str::to_owned);
    let outcome = scene
        .sandbox
        .command("update", flags)
        .args(["--profile", "a", "--profile", "b=arn:aws:iam::111122223333:role/B"])
        .envs(fault.env())
        .env("KEYANCHOR_PIN", TEST_USER_PIN)
        .env("AWS_SHARED_CREDENTIALS_FILE", scene.file())
        .run();
    outcome.succeeds();
    let calls = fault.calls();
    assert_eq!((calls.of("C_Initialize"), calls.of("C_Login"), calls.of("C_Sign")), (1, 1, 2));
}

#[test]
fn a_signal_ends_it_and_that_is_no_failure() {
    for signal in [Signal::TERM, Signal::INT] {
        let scene = Scene::new();
        let updater = scene.update(&[]).spawn();
        until("the file", || scene.file().exists());
        updater.signal(signal);
        let outcome = updater.wait();
        outcome.ends_with(0);
        let next = outcome.stderr.strip_prefix("profile default: written, next refresh at ");
        let next: jiff::Timestamp = next.unwrap_or_else(|| panic!("{outcome}")).trim_end().parse().unwrap();
        assert!(next > jiff::Timestamp::now() && outcome.stdout.is_empty(), "{outcome}");
    }
}

#[test]
fn a_refusal_at_the_start_ends_it_and_leaves_the_file() {
    let scene = Scene::with(&["--fault", "403:1"]);
    fs::write(scene.file(), "[default]\naws_access_key_id = mine\n").unwrap();
    scene.update(&[]).run().fails_with(5).stderr_contains("error: profile default: ");
    assert_eq!(read(&scene.file()), "[default]\naws_access_key_id = mine\n");
}

#[test]
fn credentials_that_live_for_a_minute_are_not_fetched_without_a_pause() {
    let scene = Scene::with(&["--lifetime", "60"]);
    let updater = scene.update(&[]).spawn();
    until("the file", || scene.file().exists());
    thread::sleep(std::time::Duration::from_secs(2));
    assert_eq!(scene.sessions(), 1, "a renewal before half of their life");
    updater.signal(Signal::TERM);
    updater.wait().ends_with(0);
}

#[test]
fn a_full_disk_leaves_the_old_file_and_is_a_failure() {
    let scene = Scene::new();
    let old = format!("[default]\naws_access_key_id = mine\nnote = {}\n", "x".repeat(4_000));
    fs::write(scene.file(), &old).unwrap();
    let fill = "cp \"$SOURCE\" disk/credentials && head -c 4096 /dev/zero >disk/filler";
    let line = format!("{fill}; \"$@\"; code=$?; ls -A disk >&2; cat disk/credentials; exit $code");
    let update = scene.update(&["--once"]).env("AWS_SHARED_CREDENTIALS_FILE", "disk/credentials");
    if let Some(run) = update.on_small_disk(&line) {
        let outcome = run.env("SOURCE", scene.file()).run();
        outcome
            .ends_with(1)
            .stderr_contains("error: profile default: cannot ")
            .stderr_contains("No space left on device");
        assert_eq!(outcome.text(), old, "{outcome}");
        outcome.stderr_contains("\ncredentials\ncredentials.lock\nfiller\n").stderr_lacks(".keyanchor");
    }
    // A limit that ends the write in the same place, for those who may not mount.
    let outcome = scene.update(&["--once"]).in_shell("trap '' XFSZ; ulimit -f 4; exec \"$@\"").run();
    outcome.fails_with(1).stderr_contains("File too large");
    assert_eq!(read(&scene.file()), old);
}

#[test]
fn with_keep_trying_it_goes_on_after_a_failure_at_the_start() {
    let scene = Scene::with(&["--fault", "403:2"]);
    let updater = scene.update(&["--keep-trying"]).spawn();
    until("the file", || scene.file().exists());
    assert_eq!(scene.sessions(), 3);
    updater.signal(Signal::TERM);
    updater.wait().ends_with(0).stderr_contains("warning: profile default: ").stderr_contains("next try at ");
}

#[test]
fn a_refresh_that_fails_keeps_what_is_there() {
    let mut scene = Scene::new();
    let updater = scene.update(&["--timeout", "2"]).spawn();
    until("the file", || scene.file().exists());
    let before = read(&scene.file());
    scene.sandbox.end_by(Signal::TERM);
    updater.signal(Signal::HUP);
    until("the failure", || updater.has_said("not refreshed (1 in a row), the file is as it was; next try at "));
    updater.signal(Signal::TERM);
    updater.wait().ends_with(0);
    assert_eq!(read(&scene.file()), before);
}

#[test]
fn a_renewed_certificate_is_used_without_a_restart_and_half_of_a_pair_is_not() {
    let scene = Scene::new();
    let (certificate, key) = (scene.folder.join("leaf.pem"), scene.folder.join("key.pem"));
    fs::copy(scene.leaf.pem_path(), &certificate).unwrap();
    fs::copy(scene.key.path(), &key).unwrap();
    let (new_leaf, new_key) = scene.ca.leaf_with_key("renewed", Key::Ec384);
    let files = ["--certificate", text(&certificate), "--private-key", text(&key)];
    let run = scene.sandbox.command("update", files).env("AWS_SHARED_CREDENTIALS_FILE", scene.file());
    let updater = run.spawn();
    until("the file", || scene.file().exists());
    let leaf = || scene.sandbox.requests("/sessions").pop().unwrap();

    fs::copy(new_leaf.pem_path(), &certificate).unwrap();
    scene.refresh(&updater);
    assert!(leaf().contains("leaf=\"CN=host\""), "the certificate of another key was sent: {}", leaf());
    fs::copy(new_key.path(), &key).unwrap();
    scene.refresh(&updater);
    assert!(leaf().contains("leaf=\"CN=renewed\""), "{}", leaf());
    updater.signal(Signal::TERM);
    let outcome = updater.wait();
    outcome.ends_with(0).stderr_contains("the certificate and key from before go on: ").stderr_contains("CN=renewed");
}

#[test]
fn a_token_that_went_away_is_found_again_without_a_wasted_pin() {
    let scene = Scene::new();
    let token = SoftHsm::new().token("t");
    token.identity(Key::Ec256, "01", "host", &scene.ca);
    let fault = Fault::of(token.hsm()).away_after("C_Sign", 1, Some(2));
    let module = Fault::module();
    let flags = ["--pkcs11", "pkcs11:token=t;object=host", "--pkcs11-lib", text(&module)];
    let run = scene.sandbox.command("update", flags).envs(fault.env()).env("KEYANCHOR_PIN", TEST_USER_PIN);
    let updater = run.env("AWS_SHARED_CREDENTIALS_FILE", scene.file()).spawn();
    until("the file", || scene.file().exists());
    let first = key_id(&scene.file(), "default");
    until("the token's return", || {
        updater.signal(Signal::HUP);
        thread::sleep(std::time::Duration::from_millis(200));
        scene.sessions() > 1
    });
    until("newer credentials", || key_id(&scene.file(), "default") != first);
    assert_eq!(fault.wrong_pins(), 0);
    updater.signal(Signal::TERM);
    updater.wait().ends_with(0).stderr_contains("not refreshed");
}

#[test]
fn two_profiles_go_on_where_one_role_is_refused() {
    let scene = Scene::with(&["--role-arn", "arn:aws:iam::111122223333:role/ExampleRole"]);
    let profiles = ["--profile", "a=arn:aws:iam::111122223333:role/Unknown", "--profile", "b"];
    let outcome = scene.update(&["--once"]).args(profiles).run();
    outcome.fails_with(5).stderr_contains("error: profile a: ");
    assert!(read(&scene.file()).starts_with("[b]\n"), "{}", read(&scene.file()));
    let trying = scene.update(&["--keep-trying"]).args(profiles).spawn();
    let before = key_id(&scene.file(), "b");
    until("the other profile", || key_id(&scene.file(), "b") != before);
    until("the failure", || trying.has_said("warning: profile a: "));
    trying.signal(Signal::TERM);
    trying.wait().ends_with(0);
}
