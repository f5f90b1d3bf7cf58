//! The credentials file under everything that happens to files: several writers, readers, sudden death, full disks, other
//! people's modes and links. The processes are this test binary again, doing what `update` does.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use keyanchor::credentials::Credentials;
use keyanchor::vend::credentials_file::{Entry, update};
use rustix::process::Signal;

use crate::support::Folder;
use crate::support::command::{Outcome, Run};

/// Credentials whose three parts belong together, so that a reader sees a mixture.
fn entry(profile: &str, round: u32) -> Entry {
    let credentials = Credentials {
        access_key_id: format!("AKID{round}"),
        secret_access_key: format!("test-secret-{round}").into(),
        session_token: format!("test-token-{round}").into(),
        expiration: "2026-01-01T00:00:00Z".into(),
    };
    Entry::new(profile.parse().unwrap(), &credentials).unwrap()
}

fn section(profile: &str, round: u32) -> String {
    format!(
        "[{profile}]\naws_access_key_id = AKID{round}\naws_secret_access_key = test-secret-{round}\n\
         aws_session_token = test-token-{round}\n"
    )
}

/// The round of a profile's credentials in a file that must be whole.
#[track_caller]
fn round(content: &str, profile: &str) -> u32 {
    let (_, body) = content.split_once(&format!("[{profile}]\naws_access_key_id = AKID")).unwrap();
    let round = body.lines().next().unwrap().parse().unwrap();
    assert!(content.contains(&section(profile, round)), "a mixture in {content}");
    round
}

/// Not a test: what the other process of a test does. The environment says what.
#[test]
#[ignore = "runs in a process of its own, started by the tests beside it"]
fn child() {
    let variable = |name: &str| std::env::var(name).unwrap();
    let (file, profile) = (variable("CREDENTIALS"), variable("PROFILE"));
    for round in 1..=variable("ROUNDS").parse().unwrap() {
        if let Err(error) = update(Path::new(&file), &[entry(&profile, round)]) {
            eprintln!("error: {error}");
            std::process::exit(1);
        }
    }
}

const CHILD: [&str; 4] = ["--exact", "credentials_file::child", "--ignored", "--nocapture"];

fn child_of(program: Run, file: &Path, profile: &str, rounds: u32) -> Run {
    program.env("CREDENTIALS", file).env("PROFILE", profile).env("ROUNDS", rounds.to_string())
}

fn updater(file: &Path, profile: &str, rounds: u32) -> Run {
    child_of(Run::program(std::env::current_exe().unwrap()).args(CHILD), file, profile, rounds)
}

#[track_caller]
fn fails_saying(outcome: &Outcome, text: &str) {
    assert_eq!(outcome.status.code(), Some(1), "{outcome}");
    outcome.stderr_contains("error: cannot ").stderr_contains(text).stderr_lacks("panicked");
}

#[test]
fn two_updaters_and_a_reader_for_a_thousand_rounds() {
    const ROUNDS: u32 = 1_000;
    const LIMIT: Duration = Duration::from_secs(300);
    let folder = Folder::new();
    let other = format!("[other]\nnote = {}\n", "x".repeat(20_000));
    let file = folder.write("credentials", format!("{}\n{other}\n{}", section("a", 0), section("b", 0)));
    let writers = ["a", "b"].map(|profile| updater(&file, profile, ROUNDS).limit(LIMIT).spawn());
    let started = Instant::now();
    let (mut seen, mut reads) = ([0, 0], 0_u32);
    while seen != [ROUNDS, ROUNDS] {
        assert!(started.elapsed() < LIMIT, "the updaters are at {seen:?} of {ROUNDS}");
        let content = fs::read_to_string(&file).unwrap();
        assert!(content.contains(&other), "somebody's lines are gone");
        let now = ["a", "b"].map(|profile| round(&content, profile));
        assert!(now[0] >= seen[0] && now[1] >= seen[1], "{now:?} after {seen:?}: an update was lost");
        (seen, reads) = (now, reads + 1);
    }
    for writer in writers {
        writer.wait().succeeds();
    }
    assert!(reads > ROUNDS, "only {reads} reads");
}

/// Kills the updater where it makes the n-th of the calls that an update consists of. `false` when it made no n-th one.
fn killed_at(file: &Path, call: &str, n: u32) -> bool {
    let calls = "flock,unlink,unlinkat,write,fchmod,fchown,fsync,rename,renameat,renameat2";
    assert!(calls.contains(call));
    let strace = Run::program("strace")
        .args(["-f", "-qq", "-o", "/dev/null", "-e", &format!("trace={calls}")])
        .args(["-e", &format!("inject={call}:signal=KILL:when={n}")])
        .arg(std::env::current_exe().unwrap())
        .args(CHILD);
    let outcome = child_of(strace, file, "default", 1).run();
    if !outcome.status.success() {
        return true;
    }
    outcome.succeeds();
    false
}

#[test]
fn a_sudden_death_leaves_the_old_file_or_the_new_one() {
    let old = format!("# mine\n{}region = eu-west-1\n", section("default", 0));
    let new = old.replace(&section("default", 0), &section("default", 1));
    let mut deaths = 0;
    for call in ["flock", "unlink", "write", "fchmod", "fsync", "rename"] {
        let (folder, mut n) = (Folder::new(), 1);
        let file = folder.write("credentials", &old);
        while killed_at(&file, call, n) {
            let content = fs::read_to_string(&file).unwrap();
            assert!(content == old || content == new, "after death at {call} {n}:\n{content}");
            fs::write(&file, &old).unwrap();
            (n, deaths) = (n + 1, deaths + 1);
        }
        // Neither the lock of the dead nor what they left is in the way.
        assert_eq!(fs::read_to_string(&file).unwrap(), new, "after {n} deaths at {call}");
        let left: Vec<_> = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(left.len(), 2, "the file and its lock: {left:?}");
    }
    assert!(deaths >= 6, "only {deaths} deaths");
}

#[test]
fn a_lock_that_a_dead_process_held_is_free() {
    let folder = Folder::new();
    let file = folder.join("credentials");
    let lock = folder.write("credentials.lock", "");
    let held = folder.join("held");
    let script = format!("echo >'{}'; sleep 600", held.display());
    let holder = Run::program("flock").arg(&lock).args(["sh", "-c", &script]).spawn();
    let started = Instant::now();
    while !held.exists() {
        assert!(started.elapsed() < Duration::from_secs(10), "flock(1) does not get the lock");
        thread::yield_now();
    }
    holder.signal(Signal::KILL);
    let _ = holder.wait();
    updater(&file, "default", 1).run().succeeds();
    assert_eq!(fs::read_to_string(&file).unwrap(), section("default", 1));
}

#[test]
fn a_full_disk_leaves_the_old_file() {
    let folder = Folder::new();
    let old = format!("{}note = {}\n", section("default", 0), "x".repeat(4_000));
    let file = folder.write("credentials", &old);
    let fill = "cp \"$SOURCE\" disk/credentials && head -c 4096 /dev/zero >disk/filler";
    let line = format!("{fill}; \"$@\"; code=$?; ls -A disk >&2; cat disk/credentials; exit $code");
    if let Some(run) = updater(Path::new("disk/credentials"), "default", 1).on_small_disk(&line) {
        let outcome = run.env("SOURCE", &file).run();
        fails_saying(&outcome, "No space left on device");
        assert!(outcome.text().ends_with(&old), "{outcome}");
        outcome.stderr_contains("credentials\ncredentials.lock\nfiller\n").stderr_lacks(".keyanchor");
    }
    // A limit that ends the write in the same place, for those who may not mount.
    let outcome = updater(&file, "default", 1).in_shell("trap '' XFSZ; ulimit -f 4; \"$@\"").run();
    fails_saying(&outcome, "File too large");
    assert_eq!(fs::read_to_string(&file).unwrap(), old);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2, "the file and its lock");
}

#[test]
fn a_read_only_file_stays_as_it_is() {
    let folder = Folder::new();
    let file = folder.write("credentials", section("default", 0));
    fs::set_permissions(folder.path(), PermissionsExt::from_mode(0o777)).unwrap();
    fs::set_permissions(&file, PermissionsExt::from_mode(0o444)).unwrap();
    let outcome = updater(&file, "default", 1).unprivileged().run();
    fails_saying(&outcome, "Permission denied");
    outcome.stderr_contains(&format!("cannot write {}", file.display()));
    assert_eq!(fs::read_to_string(&file).unwrap(), section("default", 0));
}

#[test]
fn a_read_only_directory_is_said() {
    let folder = Folder::new();
    fs::set_permissions(folder.path(), PermissionsExt::from_mode(0o755)).unwrap();
    fs::create_dir(folder.join("aws")).unwrap();
    fs::set_permissions(folder.join("aws"), PermissionsExt::from_mode(0o555)).unwrap();
    for file in ["aws/credentials", "aws/deeper/credentials"] {
        let outcome = updater(&folder.join(file), "default", 1).unprivileged().run();
        fails_saying(&outcome, "Permission denied");
        outcome.stderr_contains(folder.join("aws").to_str().unwrap());
    }
}

#[test]
fn mode_owner_and_links_stay() {
    let folder = Folder::new();
    let real = folder.write("real", section("default", 0));
    fs::set_permissions(&real, PermissionsExt::from_mode(0o640)).unwrap();
    let is_root = fs::metadata(&real).unwrap().uid() == 0;
    if is_root {
        chown(&real, Some(1234), Some(2345)).unwrap();
    }
    let before = fs::metadata(&real).unwrap();
    fs::create_dir(folder.join("home")).unwrap();
    symlink("../first", folder.join("home/credentials")).unwrap();
    symlink("real", folder.join("first")).unwrap();
    update(&folder.join("home/credentials"), &[entry("default", 1)]).unwrap();
    let after = fs::metadata(&real).unwrap();
    assert_eq!((after.mode(), after.uid(), after.gid()), (before.mode(), before.uid(), before.gid()));
    assert_eq!(fs::read_to_string(&real).unwrap(), section("default", 1));
    assert_eq!(fs::read_link(folder.join("home/credentials")).unwrap(), Path::new("../first"));
    assert_eq!(fs::read_link(folder.join("first")).unwrap(), Path::new("real"));
    assert_eq!(fs::read_dir(folder.join("home")).unwrap().count(), 1, "the lock is beside the file, not the link");
}

#[test]
fn a_link_that_leads_nowhere_yet_is_followed_and_one_in_circles_is_not() {
    let folder = Folder::new();
    symlink("later/credentials", folder.join("credentials")).unwrap();
    update(&folder.join("credentials"), &[entry("default", 1)]).unwrap();
    assert_eq!(fs::read_to_string(folder.join("later/credentials")).unwrap(), section("default", 1));
    symlink("round", folder.join("round")).unwrap();
    let error = update(&folder.join("round"), &[entry("default", 1)]).unwrap_err().to_string();
    assert!(error.starts_with("wanted a file, found links without an end at "), "{error}");
}

#[test]
fn what_is_missing_is_made_for_the_person_alone() {
    let folder = Folder::new();
    let file = folder.join("home/.aws/credentials");
    update(&file, &[entry("a", 1), entry("b", 2)]).unwrap();
    assert_eq!(fs::read_to_string(&file).unwrap(), format!("{}\n{}", section("a", 1), section("b", 2)));
    let mode = |path: &Path| fs::metadata(path).unwrap().mode() & 0o7777;
    assert_eq!((mode(&file), mode(file.parent().unwrap())), (0o600, 0o700));
}

#[test]
fn a_file_that_would_not_change_is_not_touched() {
    let folder = Folder::new();
    let file = folder.write("credentials", section("default", 1));
    let before = fs::metadata(&file).unwrap().ino();
    update(&file, &[entry("default", 1)]).unwrap();
    assert_eq!(fs::metadata(&file).unwrap().ino(), before);
    update(&file, &[entry("default", 2)]).unwrap();
    assert_ne!(fs::metadata(&file).unwrap().ino(), before, "it is replaced, not rewritten");
}
