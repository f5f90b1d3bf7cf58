//! Scenarios that call the library itself and need a process of their own, because environment variables and loaded PKCS#11
//! modules belong to the process: the test binary runs itself again for that one test.

use std::ffi::OsString;
use std::io::Write as _;

use super::Environment;
use super::command::Run;

/// Names the scenario that a process was started for.
const SCENARIO: &str = "KEYANCHOR_TEST_SCENARIO";

/// Runs `prepare` here, and `scenario` in a process of its own with the environment that `prepare` gave. Then gives the other
/// thing that `prepare` gave, such as tokens that must live until then and that can be asked what happened.
///
/// Gives `None` in the other process, where the test has nothing more to do. The closure `scenario` must stand in the test
/// function itself, whose name is found by it.
#[track_caller]
pub fn in_own_process<T, S: FnOnce()>(prepare: impl FnOnce() -> (Environment, T), scenario: S) -> Option<T> {
    let test = test_name(std::any::type_name::<S>());
    if std::env::var_os(SCENARIO) == Some(OsString::from(test)) {
        scenario();
        return None;
    }
    let (environment, kept) = prepare();
    run(Run::program(std::env::current_exe().unwrap()), test, environment);
    Some(kept)
}

/// Runs the scenario in a process and a network of its own, in which there is a loopback device and nothing else. Where the
/// system does not permit that, the test is skipped, and its name said past the capture of test output.
#[track_caller]
pub fn in_own_network<S: FnOnce()>(scenario: S) {
    let test = test_name(std::any::type_name::<S>());
    if std::env::var_os(SCENARIO) == Some(OsString::from(test)) {
        return scenario();
    }
    // Whoever is not root is it in a user namespace, where there may be any.
    for unshare in [&["--net"][..], &["--net", "--map-root-user"]] {
        let own_network = || Run::program("unshare").args(unshare);
        if own_network().arg("true").run().status.success() {
            let up = ["sh", "-c", "ip link set lo up && exec \"$@\"", "sh"];
            return run(own_network().args(up).arg(std::env::current_exe().unwrap()), test, Environment::new());
        }
    }
    let _ = writeln!(std::io::stderr(), "skipped {test}: it may not have a network of its own");
}

#[track_caller]
fn run(program: Run, test: &str, environment: Environment) {
    let arguments = [test, "--exact", "--include-ignored", "--nocapture", "--test-threads=1"];
    let outcome = program.args(arguments).envs(environment).env(SCENARIO, test).run();
    outcome.ends_with(0);
    assert!(outcome.text().contains("1 passed"), "no test is named {test}\n{outcome}");
}

/// `softhsm::tokens::a_test::{{closure}}` is a closure in the test `tokens::a_test`.
fn test_name(closure: &'static str) -> &'static str {
    let path = closure.split_once("::").map_or(closure, |(_crate, path)| path);
    path.split_once("::{{closure}}").map_or(path, |(test, _)| test)
}
