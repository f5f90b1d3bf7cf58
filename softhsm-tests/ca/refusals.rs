//! Bad input: refused with the place and the reason, and nothing half done.

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::Path;

use crate::support::key::{Key, KeyFile};
use crate::support::{openssl, text};

use super::Scene;

fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<_> =
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn a_request_whose_signature_is_broken_is_refused() {
    let scene = Scene::new();
    let key = KeyFile::generate(Key::Ec256);
    let path = scene.path("request.der");
    openssl(&["req", "-new", "-key", text(key.path()), "-subj", "/CN=x", "-outform", "DER", "-out", text(&path)]);
    let mut der = fs::read(&path).unwrap();
    *der.last_mut().unwrap() ^= 1;
    fs::write(&path, der).unwrap();
    let outcome = scene.run("issue", &["--csr", text(&path)]).run();
    outcome.fails_with(7).stderr_contains("signed by the key that it is for");
    assert_eq!(scene.listed().len(), 1);
}

#[test]
fn a_subject_or_name_that_cannot_be_read_is_pointed_at() {
    let scene = Scene::new();
    let key = KeyFile::generate(Key::Ec256);
    let issue = |more: &[&str]| scene.run("issue", &["--private-key", text(key.path())]).args(more).run();
    let outcome = issue(&["--subject", "CN=web,Q"]);
    outcome.fails_with(2).stderr_contains("--subject").stderr_contains("  CN=web,Q\n").stderr_contains("^");
    issue(&["--subject", "CN=web", "--dns", "a b"]).fails_with(2).stderr_contains("--dns").stderr_contains("^");
    issue(&[]).fails_with(2).stderr_contains("--subject");
    issue(&["--subject", "CN=web", "--days", "0"]).fails_with(2).stderr_contains("--days");
    let nothing = scene.run("issue", &["--subject", "CN=web"]).run();
    nothing.fails_with(2);
    scene.run("init", &["--subject", "CN=a=b,"]).run().fails_with(2).stderr_contains("--subject").stderr_contains("^");
}

#[test]
fn a_request_and_a_key_are_not_certified_at_once() {
    let scene = Scene::new();
    let key = KeyFile::generate(Key::Ec256);
    let both = ["--csr", "request.pem", "--private-key", text(key.path())];
    scene.run("issue", &both).run().fails_with(2).stderr_contains("found both");
}

#[test]
fn an_authority_is_made_once() {
    let scene = Scene::new();
    let root = fs::read(scene.file("root.pem")).unwrap();
    let again = scene.run("init", &["--subject", "CN=Other"]).run();
    again.fails_with(2).stderr_contains("found an authority in");
    assert_eq!(fs::read(scene.file("root.pem")).unwrap(), root);
}

#[test]
fn a_directory_with_something_else_in_it_stays_as_it_is() {
    let scene = Scene::empty();
    fs::create_dir(scene.path("ca")).unwrap();
    fs::write(scene.file("notes"), "mine").unwrap();
    let init = |more: &[&str]| scene.run("init", &["--subject", "CN=Root"]).args(more).run();
    init(&[]).fails_with(2).stderr_contains("found notes in");
    assert_eq!(names(&scene.path("ca")), ["notes"]);
    fs::remove_file(scene.file("notes")).unwrap();
    // An empty one will do, and so will one with the key that is named.
    let key = KeyFile::generate(Key::Ec256);
    fs::copy(key.path(), scene.file("mine.key")).unwrap();
    init(&["--private-key", text(&scene.file("mine.key"))]).succeeds();
    assert_eq!(fs::metadata(scene.path("ca")).unwrap().permissions().mode() & 0o7777, 0o700);
    assert!(fs::read_to_string(scene.file("ca.toml")).unwrap().contains("key = \"mine.key\"\n"));
    assert_eq!(names(&scene.path("ca")), ["ca.toml", "index.jsonl", "index.lock", "mine.key", "root.pem"]);
    scene.issue("web", &[]);
}

#[test]
fn an_authority_that_cannot_be_made_leaves_nothing() {
    let scene = Scene::empty();
    let init = |more: &[&str]| scene.run("init", &["--subject", "CN=Root"]).args(more).run();
    init(&["--private-key", "/nonexistent.key"]).fails_with(3);
    init(&["--intermediate-subject", "cn=root"]).fails_with(2).stderr_contains("another subject");
    let key = KeyFile::generate(Key::Ec256);
    let same = ["--private-key", text(key.path()), "--intermediate-key", text(key.path())];
    init(&same).fails_with(2).stderr_contains("--intermediate-subject");
    let same = [&same[..], &["--intermediate-subject", "CN=Clients"]].concat();
    init(&same).fails_with(2).stderr_contains("another key");
    let small = KeyFile::generate(Key::Ed25519);
    init(&["--private-key", text(small.path())]).fails_with(3);
    assert!(!scene.path("ca").exists());
}

#[test]
fn a_directory_without_an_authority_says_how_to_make_one() {
    let scene = Scene::empty();
    for verb in ["issue", "crl", "list"] {
        let outcome = scene.run(verb, &[]).run();
        outcome.fails_with(2).stderr_contains("no ca.toml there").stderr_contains("hint: make one: keyanchor ca init");
    }
}

#[test]
fn somebody_else_s_directory_is_not_used() {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let scene = Scene::new();
    fs::set_permissions(scene.folder.path(), PermissionsExt::from_mode(0o755)).unwrap();
    let stranger = scene.run("list", &[]).unprivileged().run();
    stranger.fails_with(2).stderr_contains("hint: name another directory with --ca");
    // Root may look into everybody's: it would leave files behind there that their owner cannot write.
    chown(scene.path("ca"), Some(65534), None).unwrap();
    let root = scene.run("issue", &["--subject", "CN=x"]).run();
    root.fails_with(2).stderr_contains("found it to be user 65534's").stderr_contains("see whose it is: ls -ld ");
    chown(scene.path("ca"), Some(0), None).unwrap();
    fs::set_permissions(scene.path("ca"), PermissionsExt::from_mode(0o777)).unwrap();
    scene.run("crl", &[]).run().fails_with(2).stderr_contains("nobody else can write in").stderr_contains("mode 0777");
}

#[test]
fn a_place_that_is_no_directory_or_open_to_others_is_refused_with_what_mends_it() {
    let scene = Scene::empty();
    let path = scene.path("ca");
    fs::write(&path, "mine").unwrap();
    for verb in ["init", "list"] {
        let outcome = scene.run(verb, if verb == "init" { &["--subject", "CN=Root"] } else { &[] }).run();
        outcome.fails_with(2).stderr_contains("wanted a directory, found something else at ");
        outcome.stderr_contains("hint: name another directory with --ca");
    }
    assert_eq!(fs::read(&path).unwrap(), b"mine");
    fs::remove_file(&path).unwrap();
    fs::create_dir(&path).unwrap();
    fs::set_permissions(&path, PermissionsExt::from_mode(0o777)).unwrap();
    let init = || scene.run("init", &["--subject", "CN=Root"]).run();
    let outcome = init();
    let mend = format!("chmod go-w {}", text(&path));
    outcome.fails_with(2).stderr_contains("with mode 0777").stderr_contains(&mend);
    crate::support::command::Run::program("sh").args(["-c", &mend]).run().succeeds();
    init().succeeds();
}

#[test]
fn a_damaged_line_of_the_index_stops_everything_until_it_is_mended() {
    let scene = Scene::new();
    scene.issue("web", &[]);
    let path = scene.file("index.jsonl");
    let good = fs::read_to_string(&path).unwrap();
    fs::write(&path, good.replacen("\"serial\"", "\"cereal\"", 1)).unwrap();
    let key = KeyFile::generate(Key::Ec256);
    let issue = || scene.run("issue", &["--subject", "CN=x", "--private-key", text(key.path())]).run();
    issue().fails_with(1).stderr_contains("index.jsonl:1: ").stderr_contains("hint: bring back");
    scene.run("crl", &[]).run().fails_with(1);
    fs::remove_file(&path).unwrap();
    issue().fails_with(1).stderr_contains("cannot open");
    fs::write(&path, good).unwrap();
    issue().succeeds();
}

#[test]
fn a_mistake_in_the_settings_is_told_with_its_line() {
    let scene = Scene::new();
    let path = scene.file("ca.toml");
    let good = fs::read_to_string(&path).unwrap();
    fs::write(&path, good.replace("crl-days", "crl_days")).unwrap();
    let outcome = scene.run("crl", &[]).run();
    outcome.fails_with(2).stderr_contains("ca.toml:3: unknown key crl_days: did you mean crl-days?");
}

#[test]
fn an_authority_that_is_over_signs_nothing() {
    let scene = Scene::empty();
    // The settings of a real one, with a certificate that has run out in its place.
    let made = Scene::new();
    fs::create_dir(scene.path("ca")).unwrap();
    for name in ["ca.toml", "index.jsonl", "root.key"] {
        fs::copy(made.file(name), scene.file(name)).unwrap();
    }
    fs::set_permissions(scene.path("ca"), PermissionsExt::from_mode(0o700)).unwrap();
    let (key, certificate) = (made.file("root.key"), scene.file("root.pem"));
    openssl(&[
        "x509",
        "-in",
        text(&made.file("root.pem")),
        "-signkey",
        text(&key),
        "-days",
        "-1",
        "-out",
        text(&certificate),
    ]);
    let client = KeyFile::generate(Key::Ec256);
    let outcome = scene.run("issue", &["--subject", "CN=x", "--private-key", text(client.path())]).run();
    outcome.fails_with(7).stderr_contains("the root CN=Test Root").stderr_contains("is good from");
    scene.run("crl", &[]).run().fails_with(7);
}
