//! How the program behaves when a TPM, a person or the system misbehaves: silence, a cut line, signals, permissions.

use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::time::{Duration, Instant};

use keyanchor::key::{Advice, KeyErrorKind};
use rustix::process::Signal;

use super::{Bench, NO_PASSWORD, OWNER, SIGNING, pem, signs};
use crate::support::command::{Run, Running};
use crate::support::swtpm::Swtpm;
use crate::support::tap::{CREATE_PRIMARY, FLUSH_CONTEXT, LOAD, SIGN, START_AUTH_SESSION, Tap, Trick};

/// A TPM and a key file under its owner hierarchy, whose primary must be made each time.
fn tpm_with_file() -> (Swtpm, Vec<u8>) {
    let tpm = Swtpm::start();
    tpm.make_srk("0x81000001");
    let key = tpm.make_key("0x81000001", "ecc256", SIGNING, "");
    tpm.tpm2("evictcontrol -Q -C o -c 0x81000001");
    let file = pem(NO_PASSWORD, OWNER, &key.public(), &key.private());
    (tpm, file)
}

#[test]
fn a_busy_tpm_is_asked_again_a_bounded_number_of_times() {
    const RETRY: u32 = 0x922;
    const TESTING: u32 = 0x90a;
    const YIELDED: u32 = 0x908;
    let (tpm, file) = tpm_with_file();
    for code in [RETRY, TESTING, YIELDED] {
        let tap = Tap::with_trick(&tpm.socket(), SIGN, Trick::Answer { code, times: 3 });
        signs(Bench::at(tap.tcti()).pem(&file)).unwrap();
    }
    let tap = Tap::with_trick(&tpm.socket(), SIGN, Trick::Answer { code: RETRY, times: u32::MAX });
    let error = signs(Bench::at(tap.tcti()).pem(&file)).unwrap_err();
    assert!(error.to_string().contains("TPM_RC_RETRY"), "{error}");
    let tries = tap.seen().iter().filter(|seen| seen.code == SIGN).count();
    assert!((2..=10).contains(&tries), "{tries} tries");
    drop(tap);
    assert_eq!(tpm.left_behind(), "");
}

#[test]
fn a_tpm_that_goes_between_two_commands_is_told() {
    let (tpm, file) = tpm_with_file();
    for code in [CREATE_PRIMARY, LOAD, SIGN] {
        let tap = Tap::with_trick(&tpm.socket(), code, Trick::Cut);
        let error = signs(Bench::at(tap.tcti()).pem(&file)).unwrap_err();
        assert_eq!(error.kind(), KeyErrorKind::Unreachable, "{error}");
        assert!(error.to_string().contains("the TPM is gone"), "{error}");
    }
}

#[test]
fn an_error_half_way_leaves_nothing_behind() {
    const FAILURE: u32 = 0x101;
    let (tpm, file) = tpm_with_file();
    for code in [LOAD, SIGN, START_AUTH_SESSION] {
        let tap = Tap::with_trick(&tpm.socket(), code, Trick::Answer { code: FAILURE, times: 1 });
        let _ = signs(Bench::at(tap.tcti()).pem(&file));
        drop(tap);
        assert_eq!(tpm.left_behind(), "", "after a failed 0x{code:x}");
    }
}

#[test]
fn a_silent_tpm_is_given_up_and_its_command_named() {
    let (tpm, file) = tpm_with_file();
    let tap = Tap::with_trick(&tpm.socket(), SIGN, Trick::Hold);
    let mut bench = Bench::at(tap.tcti());
    bench.options.limit = Duration::from_millis(700);
    let started = Instant::now();
    let error = signs(bench.pem(&file)).unwrap_err();
    assert_eq!(error.kind(), KeyErrorKind::Timeout);
    assert!(error.to_string().contains("did not answer TPM2_Sign within 0.7 s"), "{error}");
    assert!(started.elapsed() < Duration::from_secs(5));
}

#[test]
fn a_tpm_that_is_not_there_is_unreachable() {
    let mut tpm = Swtpm::start();
    let socket = tpm.socket();
    tpm.stop();
    let error = signs(Bench::at(socket.to_str().unwrap()).handle("handle:0x81000101")).unwrap_err();
    assert_eq!(error.kind(), KeyErrorKind::Unreachable);
    assert!(error.to_string().contains("found nothing there"), "{error}");
    std::os::unix::net::UnixListener::bind(&socket).unwrap();
    let error = signs(Bench::at(socket.to_str().unwrap()).handle("handle:0x81000101")).unwrap_err();
    assert!(error.to_string().contains("nobody listening"), "{error}");
    let error = signs(Bench::at("swtpm:path=/nonexistent").handle("handle:0x81000101")).unwrap_err();
    assert_eq!(error.kind(), KeyErrorKind::Unreachable);
    let error = signs(Bench::at("nonsense:").handle("handle:0x81000101")).unwrap_err();
    assert_eq!(error.kind(), KeyErrorKind::Unreachable);
}

#[test]
fn a_key_survives_a_restart_of_the_tpm_between_signatures() {
    let (mut tpm, file) = tpm_with_file();
    let key = Bench::at(tpm.tcti()).pem(&file).unwrap();
    let input = keyanchor::key::SigningInput::new(b"test message".to_vec(), keyanchor::key::HashAlgorithm::Sha256);
    key.sign(&input).unwrap();
    tpm.restart();
    key.sign(&input).unwrap();
}

/// Not a test: what the tests below run as a process of its own. Prints how the signature ended.
#[test]
#[ignore = "run by other tests"]
fn a_child_signs() {
    let variable = |name| std::env::var(name).unwrap();
    let bench = Bench::at(variable("TEST_TCTI"));
    let outcome = match std::env::var("TEST_FILE") {
        Ok(path) => signs(bench.file(Path::new(&path))),
        Err(_) => signs(bench.handle("handle:0x81000101")),
    };
    let error = match outcome {
        Ok(()) => return,
        Err(error) => error,
    };
    let advice = match error.advice() {
        Some(Advice::JoinGroup { group }) => format!("join {group}"),
        Some(Advice::Install { package }) => format!("install {package}"),
        _ => String::new(),
    };
    println!("CHILD {:?}: {error} [{advice}]", error.kind());
}

fn child(tcti: &str, file: Option<&Path>) -> Run {
    let run = Run::program(std::env::current_exe().unwrap())
        .args(["--exact", "tpm::conduct::a_child_signs", "--ignored", "--nocapture"])
        .env("TEST_TCTI", tcti);
    match file {
        Some(file) => run.env("TEST_FILE", file),
        None => run,
    }
}

#[test]
fn a_signal_waits_until_the_tpm_is_clean() {
    for signal in [Signal::INT, Signal::TERM, Signal::HUP] {
        for held in [CREATE_PRIMARY, LOAD, SIGN, FLUSH_CONTEXT] {
            let (tpm, file) = tpm_with_file();
            let path = tpm.path("file.pem");
            std::fs::write(&path, file).unwrap();
            let tap = Tap::with_trick(&tpm.socket(), held, Trick::Hold);
            let running = child(&tap.tcti(), Some(&path)).heeding_signals().spawn();
            tap.wait_for_hold();
            signal_and_wait(&running, signal);
            tap.release();
            let outcome = running.wait();
            assert_eq!(outcome.status.signal(), Some(signal.as_raw()), "{outcome}");
            let after: Vec<u32> = tap.seen().iter().map(|seen| seen.code).skip_while(|code| *code != held).collect();
            assert!(after[1..].iter().all(|code| *code == FLUSH_CONTEXT), "nothing but cleaning after it: {after:x?}");
            drop(tap);
            assert_eq!(tpm.left_behind(), "", "signal {} during 0x{held:x}", signal.as_raw());
        }
    }
}

/// Not a test: signs on another thread, and ends when the file appears that it is told.
#[test]
#[ignore = "run by another test"]
fn a_child_signs_until_it_ends() {
    let variable = |name| std::env::var(name).unwrap();
    let (tcti, file, go) = (variable("TEST_TCTI"), variable("TEST_FILE"), variable("TEST_GO"));
    std::thread::spawn(move || signs(Bench::at(tcti).file(Path::new(&file))));
    while !Path::new(&go).exists() {
        std::thread::yield_now();
    }
    keyanchor::process::signals::finish(Duration::from_secs(20));
    std::process::exit(0);
}

#[test]
fn a_server_that_ends_waits_until_the_tpm_is_clean() {
    let (tpm, file) = tpm_with_file();
    let path = tpm.path("file.pem");
    std::fs::write(&path, file).unwrap();
    let tap = Tap::with_trick(&tpm.socket(), LOAD, Trick::Hold);
    let running = Run::program(std::env::current_exe().unwrap())
        .args(["--exact", "tpm::conduct::a_child_signs_until_it_ends", "--ignored", "--nocapture"])
        .env("TEST_TCTI", tap.tcti())
        .env("TEST_FILE", &path)
        .env("TEST_GO", tpm.path("go"))
        .spawn();
    tap.wait_for_hold();
    std::fs::write(tpm.path("go"), "").unwrap();
    tap.release();
    running.wait().succeeds();
    drop(tap);
    assert_eq!(tpm.left_behind(), "");
}

/// Sends the signal and waits until its handler has run: the main thread, which the kernel prefers for it, waits for the test's
/// thread, wakes for the handler and goes back to waiting, which counts as a switch.
fn signal_and_wait(running: &Running, signal: Signal) {
    let switches = || {
        let status = std::fs::read_to_string(format!("/proc/{}/status", running.id())).unwrap();
        let line = status.lines().find(|line| line.starts_with("voluntary_ctxt_switches")).unwrap();
        line.rsplit('\t').next().unwrap().parse::<u64>().unwrap()
    };
    let before = switches();
    running.signal(signal);
    while switches() == before {
        std::thread::yield_now();
    }
}

#[test]
fn a_permission_problem_names_the_group_to_join() {
    // Debian's number of a group that has nothing to do with TPMs.
    let (name, group) = ("games", 60);
    let folder = crate::support::Folder::new();
    std::fs::set_permissions(folder.path(), PermissionsExt::from_mode(0o755)).unwrap();
    let socket = folder.join("tpm");
    let _listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
    std::fs::set_permissions(&socket, PermissionsExt::from_mode(0o660)).unwrap();
    if std::os::unix::fs::chown(&socket, None, Some(group)).is_err() {
        // Without root there is nobody else to be.
        return;
    }
    let outcome = child(socket.to_str().unwrap(), None).unprivileged().run();
    let said = String::from_utf8_lossy(&outcome.stdout).into_owned();
    assert!(said.contains("CHILD Permission"), "{outcome}");
    assert!(said.contains(&format!("for the group {name}")) && said.contains(&format!("join {name}")), "{outcome}");
}

#[test]
fn without_the_library_the_package_that_brings_it_is_named() {
    let folder = crate::support::Folder::new();
    // What the loader finds first, and cannot load.
    folder.write("libtss2-esys.so.0", "");
    let outcome = child("device:/nonexistent", None).env("LD_LIBRARY_PATH", folder.path()).run();
    let said = String::from_utf8_lossy(&outcome.stdout).into_owned();
    assert!(said.contains("CHILD Unreachable"), "{outcome}");
    assert!(said.contains("libtss2-esys.so.0") && said.contains("install tpm2-tools"), "{outcome}");
}
