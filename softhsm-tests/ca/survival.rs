//! Deaths at any moment, many at once, and many in all.

use std::collections::HashSet;
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::support::command::Run;
use crate::support::fault::Fault;
use crate::support::key::{Key, KeyFile};
use crate::support::softhsm::{SoftHsm, TEST_USER_PIN};
use crate::support::text;

use super::{Scene, serial_of};

/// Writes lines for this many certificates, as if they had been issued, and perhaps revoked.
pub fn fill(scene: &Scene, number: u32, revoked: bool) {
    let mut lines = String::new();
    for place in 0..number {
        let serial = format!("4000{place:036X}");
        lines.push_str(&format!(
            r#"{{"event":"issued","serial":"{serial}","role":"leaf","issuer":"root","subject":"CN=host-{place}.example.net,OU=Filler,O=Example","key":"{place:064x}","not-before":"2026-01-01T00:00:00Z","not-after":"2035-01-01T00:00:00Z","at":"2026-01-01T00:00:00Z"}}"#
        ));
        lines.push('\n');
        if revoked {
            lines.push_str(&format!(
                r#"{{"event":"revoked","serial":"{serial}","at":"2026-02-01T00:00:00Z","reason":"superseded"}}"#
            ));
            lines.push('\n');
        }
    }
    OpenOptions::new().append(true).open(scene.file("index.jsonl")).unwrap().write_all(lines.as_bytes()).unwrap();
}

fn serials(scene: &Scene) -> Vec<String> {
    scene.listed().iter().map(|entry| entry["serial"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn whoever_is_killed_while_issuing_leaves_every_certificate_that_got_out_in_the_index() {
    let scene = Scene::new();
    let key = KeyFile::generate(Key::Ec256);
    let issue = || scene.run("issue", &["--subject", "CN=web", "--private-key", text(key.path())]);
    let whole = issue().run().succeeds().took;
    let (mut got_out, mut killed) = (0, 0);
    // From the start to a little after the usual end, so that every step is hit.
    for step in 0..60_u32 {
        let running = issue().spawn();
        std::thread::sleep(whole * step / 50);
        running.signal(Signal::KILL);
        let outcome = running.wait();
        killed += u32::from(!outcome.status.success());
        if outcome.stdout.ends_with(b"-----END CERTIFICATE-----\n") {
            got_out += 1;
            let leaf = scene.folder.write(format!("{step}.pem"), &outcome.stdout);
            assert!(serials(&scene).contains(&serial_of(&leaf)), "step {step}: got out without a record");
        }
        // Whatever is there is whole.
        let index = fs::read_to_string(scene.file("index.jsonl")).unwrap();
        assert!(index.lines().all(|line| serde_json::from_str::<serde_json::Value>(line).is_ok()), "{index}");
    }
    assert!(killed > 5, "nobody was killed in time");
    let last = scene.folder.write("last.pem", issue().run().succeeds().text());
    let serials = serials(&scene);
    assert!(serials.contains(&serial_of(&last)) && serials.len() > got_out);
    assert_eq!(serials.iter().collect::<HashSet<_>>().len(), serials.len());
    scene.crls();
    scene.verified(&last).ends_with(0);
}

#[test]
fn a_torn_last_line_is_said_and_mended() {
    let scene = Scene::new();
    let leaf = serial_of(&scene.issue("web", &[]));
    let path = scene.file("index.jsonl");
    let whole = fs::read_to_string(&path).unwrap();
    let last = whole.lines().last().unwrap();
    for length in [1, last.len() / 2, last.len()] {
        fs::write(&path, format!("{whole}{}", &last[..length])).unwrap();
        assert!(serials(&scene).contains(&leaf));
        let outcome = scene.run("revoke", &["--serial", &leaf]).run();
        outcome.succeeds().stderr_contains("took away a line that a process did not finish");
        let mended = fs::read_to_string(&path).unwrap();
        let added = mended.strip_prefix(&whole).unwrap();
        assert!(added.starts_with(r#"{"event":"revoked""#) && added.lines().count() == 1, "{added}");
    }
}

#[test]
fn a_certificate_that_cannot_be_written_down_does_not_get_out() {
    let scene = Scene::new();
    let key = KeyFile::generate(Key::Ec256);
    let arguments =
        ["ca", "issue", "--ca", text(&scene.path("ca")), "--subject", "CN=web", "--private-key"].map(str::to_owned);
    // The index cannot grow beyond a block, as on a full disk: a line begins and does not end.
    let issue = |limit: &str| {
        let line = format!("trap '' XFSZ; ulimit -f {limit}; exec \"$0\" \"$@\"");
        let run = Run::program("sh").args(["-c", &line, env!("CARGO_BIN_EXE_keyanchor")]);
        run.args(&arguments).arg(key.path()).run()
    };
    let mut known = serials(&scene);
    // The block of a shell has 512 or 1024 octets.
    let refused = (0..5).map(|_| issue("1")).find(|outcome| {
        let is_full = !outcome.status.success();
        known = if is_full { known.clone() } else { serials(&scene) };
        is_full
    });
    refused.unwrap().fails_with(1).stderr_contains("cannot write to").stderr_contains("index.jsonl");
    assert_eq!(serials(&scene), known);
    assert!(!fs::read(scene.file("index.jsonl")).unwrap().ends_with(b"\n"), "nothing was begun");
    issue("unlimited").succeeds().stderr_contains("took away a line that a process did not finish");
    assert_eq!(serials(&scene).len(), known.len() + 1);
}

#[test]
fn many_who_issue_at_once_all_get_numbers_of_their_own() {
    let scene = Scene::new();
    let keys: Vec<_> = (0..24).map(|_| KeyFile::generate(Key::Ec256)).collect();
    let subjects: Vec<_> = (0..24).map(|number| format!("CN=web-{number}")).collect();
    let running: Vec<_> = keys
        .iter()
        .zip(&subjects)
        .map(|(key, subject)| {
            let order = ["--subject", subject, "--private-key", text(key.path())];
            scene.run("issue", &order).limit(Duration::from_secs(120)).spawn()
        })
        .collect();
    let mut printed = HashSet::new();
    for (number, command) in running.into_iter().enumerate() {
        let leaf = scene.folder.write(format!("{number}.pem"), command.wait().succeeds().text());
        printed.insert(serial_of(&leaf));
    }
    let mut issued: HashSet<_> = serials(&scene).into_iter().collect();
    let root = serial_of(&scene.file("root.pem"));
    assert!(issued.remove(&root));
    assert_eq!((printed.len(), &printed), (24, &issued));
}

#[test]
fn of_many_who_want_one_name_with_keys_of_their_own_one_gets_it() {
    let root = KeyFile::generate(Key::Ec256);
    // SoftHSM rewrites a token at each login, so that everybody has the key on one of their own. It signs slowly: while one has
    // it sign, all the others have come.
    let slow_tokens: Vec<_> = (0..8)
        .map(|_| {
            let token = SoftHsm::new().token("authority");
            token.import_key(&root.pkcs8_der(), "01", "root");
            (Fault::of(token.hsm()).delay("C_Sign", Duration::from_millis(500)), token)
        })
        .collect();
    let with_key = |run: Run, fault: &Fault| {
        run.envs(fault.env()).env("KEYANCHOR_PKCS11_LIB", Fault::module()).env("KEYANCHOR_CA_PIN", TEST_USER_PIN)
    };
    let scene = Scene::empty();
    let init = ["--subject", "CN=Test Root", "--private-key", "pkcs11:token=authority;object=root"];
    with_key(scene.run("init", &init), &slow_tokens[0].0).run().succeeds();
    let running: Vec<_> = slow_tokens
        .iter()
        .map(|(fault, _)| {
            let key = KeyFile::generate(Key::Ec256);
            let run = scene.run("issue", &["--subject", "CN=web", "--private-key", text(key.path())]);
            (with_key(run, fault).spawn(), key)
        })
        .collect();
    let outcomes: Vec<_> = running.into_iter().map(|(command, _)| command.wait()).collect();
    assert_eq!(outcomes.iter().filter(|outcome| outcome.status.success()).count(), 1);
    assert_eq!(outcomes.iter().filter(|outcome| outcome.status.code() == Some(2)).count(), 7, "{outcomes:?}");
    assert_eq!(serials(&scene).len(), 2);
    let signatures: usize = slow_tokens.iter().map(|(fault, _)| fault.calls().of("C_Sign")).sum();
    assert_eq!(signatures, 2, "somebody signed what was refused");
}

#[test]
fn of_many_who_make_one_authority_one_does() {
    let scene = Scene::empty();
    let init = |number: u32| {
        let (root, clients) = (format!("CN=Root {number}"), format!("CN=Clients {number}"));
        scene.run("init", &["--subject", &root, "--intermediate-subject", &clients]).spawn()
    };
    let running: Vec<_> = (0..8).map(init).collect();
    let outcomes: Vec<_> = running.into_iter().map(|command| command.wait()).collect();
    assert_eq!(outcomes.iter().filter(|outcome| outcome.status.success()).count(), 1, "{outcomes:?}");
    assert_eq!(serials(&scene).len(), 2);
    let leaf = scene.issue("web", &[]);
    scene.crls();
    scene.verified(&leaf).ends_with(0);
}

#[test]
fn a_hundred_thousand_certificates_are_no_burden() {
    let scene = Scene::new();
    fill(&scene, 100_000, false);
    let started = Instant::now();
    scene.issue("one-more", &[]);
    scene.run("revoke", &["--serial", "40000000000000000000000000000000000186A0"]).run().fails_with(2);
    scene.run("revoke", &["--serial", "400000000000000000000000000000000001869F"]).run().succeeds();
    scene.run("crl", &[]).run().succeeds();
    // Four commands of the slow build, each of which reads it whole at least once.
    assert!(started.elapsed() < Duration::from_secs(60), "{:?}", started.elapsed());
}
