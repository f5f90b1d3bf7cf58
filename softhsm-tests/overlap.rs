//! The connection is opened while the device signs: shown by the order of events, with a device that takes its time.

use std::net::TcpListener;
use std::sync::mpsc::channel;
use std::thread;
use std::time::Duration;

use cryptoki_sys::CKR_DEVICE_ERROR;
use rustix::process::Signal;

use crate::support::command::{Outcome, keyanchor};
use crate::support::fault::{Fault, Which};
use crate::support::key::Key;
use crate::support::pki::Ca;
use crate::support::sandbox::{ARNS, Printed, Sandbox};
use crate::support::softhsm::{SoftHsm, TEST_USER_PIN};
use crate::support::text;

/// A credential from a device that takes a second to sign, asked of a service with these faults.
fn slow_signature(faults: &[&str]) -> (Outcome, Sandbox, Fault) {
    let ca = Ca::root("Root");
    let token = SoftHsm::new().token("t");
    token.identity(Key::Ec256, "01", "host", &ca);
    let sandbox = Sandbox::trusting_with(&ca, faults);
    let fault = Fault::of(token.hsm()).delay("C_Sign", Duration::from_secs(1));
    let module = Fault::module();
    let arguments = ["--pkcs11", "pkcs11:token=t", "--pkcs11-lib", text(&module), "--debug"];
    let run = sandbox.credential_process(arguments).envs(fault.env());
    let outcome = run.env("KEYANCHOR_PIN", TEST_USER_PIN).run();
    (outcome, sandbox, fault)
}

#[track_caller]
fn place(outcome: &Outcome, phase: &str) -> usize {
    let line = format!("debug: phase {phase}: ");
    outcome.stderr.find(&line).unwrap_or_else(|| panic!("no phase {phase}\n{outcome}"))
}

#[test]
fn tcp_and_tls_are_open_before_a_slow_signature_is_done() {
    let (outcome, sandbox, _) = slow_signature(&[]);
    Printed::by(&outcome);
    let phases = ["connect", "tls", "sign", "post"].map(|phase| place(&outcome, phase));
    assert!(phases.is_sorted(), "{phases:?}\n{outcome}");
    assert_eq!(sandbox.connections(), 1);
}

#[test]
fn a_connection_is_opened_although_the_signature_is_never_done() {
    let ca = Ca::root("Root");
    let token = SoftHsm::new().token("t");
    token.identity(Key::Ec256, "01", "host", &ca);
    let fault = Fault::of(token.hsm()).delay("C_Sign", Duration::from_secs(600));
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("https://{}", listener.local_addr().unwrap());
    let running = keyanchor(["credential-process", "--pkcs11", "pkcs11:token=t", "--endpoint", &endpoint])
        .args(ARNS)
        .envs(fault.env())
        .env("KEYANCHOR_PKCS11_LIB", Fault::module())
        .env("KEYANCHOR_PIN", TEST_USER_PIN)
        .spawn();
    let (sender, accepted) = channel();
    thread::spawn(move || sender.send(listener.accept().is_ok()));
    assert!(accepted.recv_timeout(Duration::from_secs(20)).unwrap());
    running.signal(Signal::KILL);
}

#[test]
fn a_connection_that_died_while_the_device_signed_is_replaced_and_costs_no_signature() {
    let (outcome, sandbox, fault) = slow_signature(&["--fault", "close-tls:1"]);
    Printed::by(&outcome);
    outcome.stderr_contains("opening another connection").stderr_lacks("trying again");
    assert_eq!(fault.calls().of("C_Sign"), 1);
    assert_eq!(sandbox.connections(), 2);
}

#[test]
fn a_device_that_fails_is_not_kept_waiting_by_a_service_that_hangs() {
    let ca = Ca::root("Root");
    let token = SoftHsm::new().token("t");
    token.identity(Key::Ec256, "01", "host", &ca);
    let sandbox = Sandbox::trusting_with(&ca, &["--fault", "hang-tls"]);
    let fault = Fault::of(token.hsm()).error("C_Sign", Which::Every, CKR_DEVICE_ERROR);
    let module = Fault::module();
    let run = sandbox.credential_process(["--pkcs11", "pkcs11:token=t", "--pkcs11-lib", text(&module)]);
    let outcome = run.args(["--timeout", "600"]).envs(fault.env()).env("KEYANCHOR_PIN", TEST_USER_PIN).run();
    outcome.fails_with(3).stderr_contains("CKR_DEVICE_ERROR from C_Sign");
}
