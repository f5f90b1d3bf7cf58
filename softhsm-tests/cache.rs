//! `credential-process --cache` and `cache`: one signature for many calls, no device for a hit, and nothing that others wrote.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::process::Signal;

use crate::support::command::{Outcome, Run, keyanchor, pinned_client};
use crate::support::fault::Fault;
use crate::support::key::Key;
use crate::support::pki::Ca;
use crate::support::sandbox::{ARNS, Printed, Sandbox};
use crate::support::softhsm::{SoftHsm, TEST_USER_PIN, Token};
use crate::support::{Folder, text, until};

/// A key on a token that counts its calls, a service, and a runtime directory.
struct Scene {
    sandbox: Sandbox,
    fault: Fault,
    folder: Folder,
    token: Token,
}

impl Scene {
    fn new() -> Self {
        Self::with(&[])
    }

    fn with(more: &[&str]) -> Self {
        let ca = Ca::root("Root");
        let token = SoftHsm::new().token("t");
        token.identity(Key::Ec256, "01", "host", &ca);
        let scene = Self {
            sandbox: Sandbox::trusting_with(&ca, more),
            fault: Fault::of(token.hsm()),
            folder: Folder::new(),
            token,
        };
        fs::set_permissions(scene.folder.path(), PermissionsExt::from_mode(0o700)).unwrap();
        scene
    }

    fn ask(&self, arguments: &[&str]) -> Run {
        let module = Fault::module();
        let flags = ["--cache", "--pkcs11", "pkcs11:token=t;object=host", "--pkcs11-lib", text(&module)];
        let run = self.sandbox.credential_process(flags).args(arguments).envs(self.fault.env());
        run.env("KEYANCHOR_PIN", TEST_USER_PIN).env("XDG_RUNTIME_DIR", self.folder.path())
    }

    fn directory(&self) -> PathBuf {
        self.folder.join("keyanchor")
    }

    /// The one entry.
    fn entry(&self) -> PathBuf {
        let files = fs::read_dir(self.directory()).unwrap().map(|file| file.unwrap().path());
        let mut entries = files.filter(|path| path.extension().is_some_and(|extension| extension == "json"));
        entries.next().unwrap()
    }

    fn cache(&self, action: &str) -> Outcome {
        keyanchor(["cache", action]).env("XDG_RUNTIME_DIR", self.folder.path()).run()
    }
}

fn id(outcome: &Outcome) -> String {
    Printed::by(outcome).access_key_id
}

#[test]
fn fifty_commands_at_once_make_one_signature() {
    let scene = Scene::new();
    let running: Vec<_> = (0..50).map(|_| scene.ask(&[]).spawn()).collect();
    let ids: Vec<_> = running.into_iter().map(|command| id(&command.wait())).collect();
    assert!(ids.iter().all(|other| *other == ids[0]), "{ids:?}");
    let calls = scene.fault.calls();
    assert_eq!((calls.of("C_Sign"), calls.of("C_Login"), scene.sandbox.requests("/sessions").len()), (1, 1, 1));
}

#[test]
fn fifty_aws_commands_at_once_make_one_signature() {
    const TEST: &str = "fifty_aws_commands_at_once_make_one_signature";
    let Some(aws) = pinned_client("python/bin/aws", TEST) else { return };
    let scene = Scene::new();
    let module = Fault::module();
    let flags = ["--cache", "--pkcs11", "pkcs11:token=t;object=host", "--pkcs11-lib", text(&module)];
    let here = ["--endpoint", scene.sandbox.endpoint(), "--ca-bundle", text(scene.sandbox.ca())];
    let command = [env!("CARGO_BIN_EXE_keyanchor"), "credential-process"];
    let line = command.into_iter().chain(flags).chain(here).chain(ARNS).collect::<Vec<_>>().join(" ");
    let config = scene.folder.write("config", format!("[default]\nregion = eu-west-1\ncredential_process = {line}\n"));
    let ask = || {
        let run = Run::program(&aws).args(["sts", "get-caller-identity", "--query", "Arn", "--output", "text"]);
        let run = run.env("AWS_CONFIG_FILE", &config).env("AWS_CA_BUNDLE", scene.sandbox.ca());
        let run = run.env("AWS_ENDPOINT_URL_STS", scene.sandbox.endpoint()).env("KEYANCHOR_PIN", TEST_USER_PIN);
        // Fifty Pythons share the processors that there are.
        run.env("XDG_RUNTIME_DIR", scene.folder.path()).envs(scene.fault.env()).limit(Duration::from_secs(180))
    };
    let running: Vec<_> = (0..50).map(|_| ask().spawn()).collect();
    for command in running {
        let outcome = command.wait();
        assert!(outcome.succeeds().text().contains(":assumed-role/ExampleRole/"), "{outcome}");
    }
    let calls = scene.fault.calls();
    assert_eq!((calls.of("C_Sign"), calls.of("C_Login"), scene.sandbox.requests("/sessions").len()), (1, 1, 1));
    assert_eq!(scene.sandbox.requests("/").len(), 50);
}

#[test]
fn those_who_wait_for_a_wrong_pin_do_not_try_it_again() {
    let scene = Scene::new();
    let running: Vec<_> = (0..50).map(|_| scene.ask(&[]).env("KEYANCHOR_PIN", "test-wrong").spawn()).collect();
    let outcomes: Vec<_> = running.into_iter().map(|command| command.wait()).collect();
    for outcome in &outcomes {
        outcome.fails_with(4).stderr_contains("tried once and not again");
    }
    let who_waited = outcomes.iter().filter(|outcome| outcome.stderr.contains("another process that fetched")).count();
    // One that was started late, after the failure, tries itself: it did not wait.
    assert_eq!(who_waited + scene.fault.wrong_pins(), 50);
    assert!(scene.fault.wrong_pins() < 50);
}

#[test]
fn a_hit_opens_no_device() {
    let scene = Scene::new();
    let first = id(&scene.ask(&[]).run());
    let calls = scene.fault.calls().total();
    assert_eq!(id(&scene.ask(&[]).run()), first);
    assert_eq!(scene.fault.calls().total(), calls, "the token was asked");
    // What is not there is not missed either.
    let (module, aside) = (scene.folder.join("module.so"), scene.folder.join("aside.so"));
    fs::copy(Fault::module(), &module).unwrap();
    let other = id(&scene.ask(&["--pkcs11-lib", text(&module)]).run());
    fs::rename(&module, aside).unwrap();
    assert_eq!(id(&scene.ask(&["--pkcs11-lib", text(&module)]).run()), other);
    assert_ne!(first, other, "another module may have another token");
}

#[test]
fn what_is_asked_for_decides_the_entry() {
    let scene = Scene::with(&["--accept-role-session-name"]);
    let first = id(&scene.ask(&[]).run());
    for flags in [
        &["--role-arn", "arn:aws:iam::111122223333:role/Other"][..],
        &["--session-duration", "900"],
        &["--role-session-name", "web-01"],
        &["--pkcs11", "pkcs11:token=t"],
    ] {
        assert_ne!(id(&scene.ask(flags).run()), first, "{flags:?}");
    }
    assert_eq!(id(&scene.ask(&["--pin-source", "file:/nonexistent"]).run()), first);
    let without = scene.ask(&["--cache=false"]).run();
    assert_ne!(id(&without), first);
}

#[test]
fn an_entry_is_for_the_person_alone_and_can_be_listed_and_cleared() {
    let scene = Scene::new();
    let printed = Printed::by(&scene.ask(&[]).run());
    let mode = |path: &Path| fs::metadata(path).unwrap().mode() & 0o7777;
    assert_eq!((mode(&scene.entry()), mode(&scene.directory())), (0o600, 0o700));
    let listed = scene.cache("list");
    let lines: Vec<_> = listed.succeeds().text().lines().collect();
    assert_eq!(lines.len(), 1, "{listed}");
    assert!(lines[0].contains(&format!("until {}", printed.expiration)), "{listed}");
    assert!(lines[0].ends_with("role/ExampleRole with pkcs11:token=t;object=host"), "{listed}");
    for secret in [&printed.secret_access_key, &printed.session_token] {
        assert!(!listed.text().contains(secret.as_str()), "{listed}");
    }
    assert_eq!(scene.cache("clear").succeeds().text(), "");
    assert_eq!(scene.cache("list").succeeds().text(), "");
    assert_ne!(id(&scene.ask(&[]).run()), printed.access_key_id);
}

#[test]
fn a_damaged_entry_is_said_and_replaced() {
    let scene = Scene::new();
    let first = id(&scene.ask(&[]).run());
    let whole = fs::read(scene.entry()).unwrap();
    fs::write(scene.entry(), &whole[..whole.len() / 2]).unwrap();
    scene.cache("list").succeeds().stdout_contains("damaged");
    let outcome = scene.ask(&[]).run();
    assert_ne!(id(&outcome), first);
    outcome.stderr_contains("warning: a cache entry is ignored: ").stderr_contains("found it damaged");
    let third = scene.ask(&[]).run();
    assert_eq!((id(&third), third.stderr.as_str()), (id(&outcome), ""));
}

#[test]
fn an_entry_that_others_could_have_written_is_not_used() {
    let scene = Scene::new();
    let first = id(&scene.ask(&[]).run());
    fs::set_permissions(scene.entry(), PermissionsExt::from_mode(0o666)).unwrap();
    let outcome = scene.ask(&[]).run();
    assert_ne!(id(&outcome), first);
    outcome.stderr_contains("wanted").stderr_contains("to be yours with mode 0600, found a file of user");
    if rustix::process::geteuid().is_root() {
        chown(scene.entry(), Some(65534), None).unwrap();
        let foreign = scene.ask(&[]).run();
        assert_ne!(id(&foreign), id(&outcome));
        foreign.stderr_contains("of user 65534");
    }
    // Nor is a directory that others can get into; the credentials come all the same.
    fs::set_permissions(scene.directory(), PermissionsExt::from_mode(0o755)).unwrap();
    let open = scene.ask(&[]).run();
    Printed::by(&open);
    open.stderr_contains("warning: the cache is not used: wanted").stderr_contains("mode 0755");
}

/// Whether the process has come to the lock, which it holds open while it waits.
fn is_at_the_lock(process: u32) -> bool {
    let open = fs::read_dir(format!("/proc/{process}/fd")).unwrap();
    let mut files = open.filter_map(|entry| fs::read_link(entry.unwrap().path()).ok());
    files.any(|file| file.extension().is_some_and(|extension| extension == "lock"))
}

#[test]
fn a_process_that_died_keeps_nobody_waiting() {
    let scene = Scene::new();
    let slow = Fault::of(scene.token.hsm()).delay("C_Sign", Duration::from_secs(600));
    let holder = scene.ask(&[]).envs(slow.env()).spawn();
    until("the signature that never ends", || slow.calls().of("C_Sign") == 1);
    let waiting: Vec<_> = (0..5).map(|_| scene.ask(&[]).spawn()).collect();
    until("their wait for the lock", || waiting.iter().all(|command| is_at_the_lock(command.id())));
    holder.signal(Signal::KILL);
    let _ = holder.wait();
    let ids: Vec<_> = waiting.into_iter().map(|command| id(&command.wait())).collect();
    assert!(ids.iter().all(|other| *other == ids[0]), "{ids:?}");
    assert_eq!((scene.fault.calls().of("C_Sign"), scene.sandbox.requests("/sessions").len()), (1, 1));
}

#[test]
fn a_full_disk_costs_the_entry_and_not_the_credentials() {
    let scene = Scene::with(&["--lifetime", "2"]);
    let ask = scene.ask(&[]);
    let disk = ask.home().join("disk");
    let fill = "cp disk/keyanchor/*.json before; head -c 12288 /dev/zero >disk/filler 2>filled; sleep 2";
    let line = format!("\"$@\" >first && {fill}; \"$@\" && cmp before disk/keyanchor/*.json && ls disk/keyanchor >&2");
    let Some(run) = ask.env("XDG_RUNTIME_DIR", &disk).on_small_disk(&line) else { return };
    let outcome = run.run();
    Printed::by(&outcome);
    outcome.stderr_contains("warning: the cache is not written: ").stderr_contains("No space left on device");
    let left: Vec<_> = outcome.stderr.lines().filter(|line| !line.starts_with("warning: ")).collect();
    assert!(left.len() == 2 && left[0].ends_with(".json") && left[1].ends_with(".lock"), "{outcome}");
    assert_eq!(scene.sandbox.requests("/sessions").len(), 2);
}

#[test]
fn credentials_that_are_nearly_over_are_made_anew() {
    let scene = Scene::with(&["--lifetime", "2"]);
    let first = id(&scene.ask(&[]).run());
    crate::support::until("their end", || id(&scene.ask(&[]).run()) != first);
}

#[test]
fn without_a_runtime_directory_the_cache_is_in_the_state_home() {
    let scene = Scene::new();
    let run = scene.ask(&[]).env("XDG_RUNTIME_DIR", "").env("XDG_STATE_HOME", scene.folder.join("state"));
    Printed::by(&run.run());
    assert!(fs::read_dir(scene.folder.join("state/keyanchor")).unwrap().count() > 0);
}

#[test]
fn a_shell_can_take_them() {
    let scene = Scene::new();
    let program = scene.ask(&["--format", "env"]).run();
    let line = format!("{}\nenv", program.succeeds().text());
    let shell = Run::program("sh").args(["-c", &line]).run();
    let printed = Printed::by(&scene.ask(&[]).run());
    for (name, value) in [
        ("AWS_ACCESS_KEY_ID", &printed.access_key_id),
        ("AWS_SECRET_ACCESS_KEY", &printed.secret_access_key),
        ("AWS_SESSION_TOKEN", &printed.session_token),
        ("AWS_CREDENTIAL_EXPIRATION", &printed.expiration),
    ] {
        shell.stdout_contains(&format!("{name}={value}\n"));
    }
    scene.ask(&["--format", "yaml"]).run().fails_with(2).stderr_contains("--format: wanted json or env, found 'yaml'");
}
