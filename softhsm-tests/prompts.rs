//! What a person at a terminal sees and types: prompts that do not echo, one try, a terminal that is left as it was, and lines
//! that come and go while a device waits for somebody.

use std::io::ErrorKind;
use std::net::TcpListener;
use std::time::Duration;

use cryptoki_sys::{CKA_ALWAYS_AUTHENTICATE, CKF_USER_PIN_COUNT_LOW};
use rustix::process::Signal;

use crate::support::command::{Run, keyanchor};
use crate::support::fault::Fault;
use crate::support::key::Key;
use crate::support::pki::Ca;
use crate::support::sandbox::{ARNS, Printed, Sandbox};
use crate::support::softhsm::{SoftHsm, TEST_USER_PIN, Token, WRONG_TEST_PIN};
use crate::support::terminal::Terminal;
use crate::support::{Folder, text, variable};

const PROMPT: &str = "User PIN for token 'prompts'";
const CONTEXT_PROMPT: &str = "Context PIN for token 'prompts'";
const URI: &str = "pkcs11:token=prompts;object=host";
const ERASE_LINE: &str = "\r\u{1b}[K";

/// A token with one identity behind the fault module, and a service that grants it a session.
struct Scene {
    token: Token,
    sandbox: Sandbox,
}

impl Scene {
    fn new() -> Self {
        Self::with(|token, ca| drop(token.identity(Key::Ec256, "01", "host", ca)))
    }

    /// Its key wants a context login for each signature.
    fn always_authenticate() -> Self {
        Self::with(|token, ca| {
            token.generate_always_authenticate(Key::Ec256, "01", "host");
            token.import_certificate(&ca.leaf("host", &token.public_key("01")), "01", "host");
        })
    }

    fn with(fill: impl FnOnce(&Token, &Ca)) -> Self {
        let ca = Ca::root("Root");
        let token = SoftHsm::new().token("prompts");
        fill(&token, &ca);
        Self { token, sandbox: Sandbox::trusting(&ca) }
    }

    fn fault(&self) -> Fault {
        Fault::of(self.token.hsm())
    }

    fn ask(&self, fault: &Fault) -> Run {
        let module = Fault::module();
        self.sandbox.credential_process(["--pkcs11", URI, "--pkcs11-lib", text(&module)]).envs(fault.env())
    }
}

#[test]
fn a_pin_is_typed_at_the_terminal_while_stdout_is_a_pipe() {
    let scene = Scene::new();
    let fault = scene.fault();
    let mut terminal = scene.ask(&fault).on_terminal();
    terminal.sees(PROMPT).types(TEST_USER_PIN);
    let outcome = terminal.wait();
    Printed::by(&outcome);
    // The prompt, the end of its line, and nothing that was typed.
    outcome.stderr_lacks(TEST_USER_PIN);
    assert_eq!((fault.user_pins_tried(), fault.wrong_pins()), (1, 0));
}

#[test]
fn typing_can_be_corrected() {
    let scene = Scene::new();
    let fault = scene.fault();
    let mut terminal = scene.ask(&fault).on_terminal();
    terminal.sees(PROMPT).presses("nonsense\x15x\x7f").types(TEST_USER_PIN);
    Printed::by(&terminal.wait());
}

#[test]
fn a_wrong_pin_is_tried_once_and_not_asked_for_again() {
    let scene = Scene::new();
    let fault = scene.fault();
    let mut terminal = scene.ask(&fault).on_terminal();
    terminal.sees(PROMPT).types(WRONG_TEST_PIN);
    let outcome = terminal.wait();
    outcome.fails_with(4).stderr_contains("CKR_PIN_INCORRECT from C_Login").stderr_lacks(WRONG_TEST_PIN);
    assert_eq!(outcome.stderr.matches(PROMPT).count(), 1, "{outcome}");
    assert_eq!((fault.user_pins_tried(), fault.wrong_pins()), (1, 1));
    assert_eq!(scene.sandbox.connections(), 0, "the connection is not opened before the PIN is known");
}

#[test]
fn an_empty_pin_is_a_pin() {
    let scene = Scene::new();
    let fault = scene.fault();
    let mut terminal = scene.ask(&fault).on_terminal();
    terminal.sees(PROMPT).types("");
    terminal.wait().fails_with(4);
    // SoftHSM has no token with an empty PIN: that it was asked is what can be seen.
    assert_eq!(fault.user_pins_tried(), 1);
}

/// A prompt below a shell, as people have one. It lives on when a signal ends the command, and tells how that ended and the state in
/// which the terminal was left.
fn prompt_below_a_shell(fault: &Fault) -> Terminal {
    const SHELL: &str = "trap : INT TERM HUP QUIT; \"$@\"; echo \"ended with $?\" >&2; stty -a >&2";
    let arguments = ["credential-process", "--pkcs11", URI].into_iter().chain(ARNS);
    let mut terminal = Run::program("sh")
        .args(["-c", SHELL, "sh", env!("CARGO_BIN_EXE_keyanchor")])
        .args(arguments)
        .envs(fault.env())
        .env("KEYANCHOR_PKCS11_LIB", Fault::module())
        .on_terminal();
    terminal.sees(PROMPT);
    terminal
}

#[track_caller]
fn is_as_it_was(terminal: Terminal) {
    let outcome = terminal.wait();
    let settings: Vec<_> = outcome.stderr.split_whitespace().map(|word| word.trim_end_matches(';')).collect();
    for setting in ["echo", "icanon", "isig"] {
        assert!(settings.contains(&setting), "{setting} is off\n{outcome}");
    }
    outcome.stderr_lacks("half");
}

#[test]
fn an_interrupt_at_the_prompt_ends_and_the_terminal_echoes_again() {
    let scene = Scene::new();
    let fault = scene.fault();
    let mut terminal = prompt_below_a_shell(&fault);
    terminal.presses("half\x03").sees("ended with 4");
    is_as_it_was(terminal);
    assert_eq!(fault.user_pins_tried(), 0);
}

#[test]
fn a_signal_at_the_prompt_ends_and_the_terminal_echoes_again() {
    let scene = Scene::new();
    for signal in [Signal::INT, Signal::TERM, Signal::HUP, Signal::QUIT] {
        let fault = scene.fault();
        let mut terminal = prompt_below_a_shell(&fault);
        terminal.presses("half").signal(signal);
        terminal.sees(&format!("ended with {}", 128 + signal.as_raw()));
        is_as_it_was(terminal);
        assert_eq!(fault.user_pins_tried(), 0);
    }
}

#[test]
fn a_stop_at_the_prompt_leaves_the_shell_a_terminal_that_echoes() {
    let scene = Scene::new();
    let fault = scene.fault();
    // Job control gives the command a process group of its own, as an interactive shell does.
    let shell = "set -m; sh -c '(until [ -e now ]; do sleep 0.02; done; kill -TSTP $$) & exec \"$@\"' sh \"$@\"
        echo \"stopped with $?\" >&2; stty -a >&2; fg; echo \"ended with $?\" >&2";
    let run = keyanchor(["credential-process", "--pkcs11", URI]).args(ARNS).envs(fault.env());
    let run = run.env("KEYANCHOR_PKCS11_LIB", Fault::module()).in_shell(shell);
    let now = run.home().join("now");
    let mut terminal = run.on_terminal();
    terminal.sees(PROMPT).presses("half");
    std::fs::write(now, "").unwrap();
    terminal.sees(&format!("stopped with {}", 128 + Signal::TSTP.as_raw())).sees("ended with 4");
    is_as_it_was(terminal);
    assert_eq!(fault.user_pins_tried(), 0);
}

#[test]
fn a_session_without_a_terminal_and_without_a_source_says_how_to_give_a_pin() {
    let scene = Scene::new();
    let fault = scene.fault();
    // In a session of its own there is no terminal to open, wherever these tests run.
    let outcome = Run::program("setsid")
        .args(["--wait", env!("CARGO_BIN_EXE_keyanchor"), "credential-process", "--pkcs11", URI])
        .args(ARNS)
        .envs(fault.env())
        .env("KEYANCHOR_PKCS11_LIB", Fault::module())
        .run();
    outcome.fails_with(4).stderr_contains("token 'prompts'").stderr_contains("no terminal");
    outcome.stderr_contains("hint: ").stderr_contains("--pin-source").stderr_contains("KEYANCHOR_PIN");
    assert_eq!(fault.user_pins_tried(), 0);
}

#[test]
fn a_session_without_a_terminal_whose_identity_says_prompt_is_told_that_and_no_variable_that_would_not_be_asked() {
    let scene = Scene::new();
    let fault = scene.fault();
    let folder = Folder::new();
    let config = folder.write("config.toml", format!("[identity.web]\nkey = '{URI}'\npin-source = 'prompt'\n"));
    let outcome = Run::program("setsid")
        .args(["--wait", env!("CARGO_BIN_EXE_keyanchor"), "credential-process", "--identity", "web", "--config"])
        .arg(&config)
        .args(ARNS)
        .envs(fault.env())
        .env("KEYANCHOR_PKCS11_LIB", Fault::module())
        .env("KEYANCHOR_PIN", TEST_USER_PIN)
        .run();
    outcome.fails_with(4).stderr_contains("the source that was chosen is the prompt").stderr_contains("no terminal");
    outcome.stderr_contains("hint: give it another way: --pin-source file:PATH").stderr_lacks("KEYANCHOR_PIN");
    assert_eq!(fault.user_pins_tried(), 0);
}

#[test]
fn what_the_token_says_of_its_tries_stands_in_the_prompt() {
    let scene = Scene::new();
    let fault = scene.fault().flags(CKF_USER_PIN_COUNT_LOW, 0);
    let mut terminal = scene.ask(&fault).on_terminal();
    terminal.sees(PROMPT).sees("a wrong PIN was entered since the last right one").types(TEST_USER_PIN);
    Printed::by(&terminal.wait());
}

#[test]
fn the_prompt_can_be_chosen_although_the_environment_has_a_pin() {
    let scene = Scene::new();
    let fault = scene.fault();
    let run = scene.ask(&fault).args(["--pin-source", "prompt"]).env("KEYANCHOR_PIN", WRONG_TEST_PIN);
    let mut terminal = run.on_terminal();
    terminal.sees(PROMPT).types(TEST_USER_PIN);
    Printed::by(&terminal.wait());
    assert_eq!(fault.wrong_pins(), 0);
}

#[test]
fn nothing_is_connected_while_a_prompt_waits() {
    let scene = Scene::always_authenticate();
    let fault = scene.fault();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let endpoint = format!("https://{}", listener.local_addr().unwrap());
    let mut terminal = keyanchor(["credential-process", "--pkcs11", URI, "--endpoint", &endpoint])
        .args(ARNS)
        .envs(fault.env())
        .env("KEYANCHOR_PKCS11_LIB", Fault::module())
        .on_terminal();
    let nobody = || {
        // Longer than a connection takes that is under way already.
        std::thread::sleep(Duration::from_millis(300));
        listener.accept().is_err_and(|error| error.kind() == ErrorKind::WouldBlock)
    };
    terminal.sees(PROMPT);
    assert!(nobody(), "connected before the user PIN is known");
    terminal.types(TEST_USER_PIN).sees(CONTEXT_PROMPT);
    assert!(nobody(), "connected before the context PIN is known");
    // Only now, and while the key is signing.
    terminal.types(TEST_USER_PIN);
    listener.set_nonblocking(false).unwrap();
    listener.accept().unwrap();
}

#[test]
fn a_key_that_wants_a_pin_for_each_signature_asks_for_both() {
    let scene = Scene::always_authenticate();
    let fault = scene.fault();
    let mut terminal = scene.ask(&fault).on_terminal();
    terminal.sees(PROMPT).types(TEST_USER_PIN).sees(CONTEXT_PROMPT).types(TEST_USER_PIN);
    Printed::by(&terminal.wait());
    assert_eq!((fault.user_pins_tried(), fault.context_pins_tried()), (1, 1));
}

#[test]
fn a_wrong_context_pin_is_tried_once() {
    let scene = Scene::always_authenticate();
    let fault = scene.fault();
    let mut terminal = scene.ask(&fault).on_terminal();
    terminal.sees(PROMPT).types(TEST_USER_PIN).sees(CONTEXT_PROMPT).types(WRONG_TEST_PIN);
    let outcome = terminal.wait();
    outcome.fails_with(4).stderr_contains("context PIN").stderr_contains("CKR_PIN_INCORRECT");
    assert_eq!(outcome.stderr.matches(CONTEXT_PROMPT).count(), 1, "{outcome}");
    assert_eq!((fault.context_pins_tried(), fault.wrong_pins()), (1, 1));
}

#[test]
fn the_user_pin_is_used_again_where_that_is_allowed() {
    let scene = Scene::always_authenticate();
    let fault = scene.fault();
    let mut terminal = scene.ask(&fault).arg("--reuse-pin").on_terminal();
    terminal.sees(PROMPT).types(TEST_USER_PIN);
    let outcome = terminal.wait();
    Printed::by(&outcome);
    outcome.stderr_lacks("Context PIN");
    assert_eq!((fault.user_pins_tried(), fault.context_pins_tried()), (1, 1));
}

#[test]
fn the_context_pin_has_sources_of_its_own() {
    let scene = Scene::always_authenticate();
    let right = variable("RIGHT", TEST_USER_PIN);
    let ask = |fault: &Fault| scene.ask(fault).args(["--pin-source", "env:RIGHT"]).envs(vec![right.clone()]);
    for how in ["--context-pin-source", "KEYANCHOR_CONTEXT_PIN"] {
        let fault = scene.fault();
        let run = match how {
            "KEYANCHOR_CONTEXT_PIN" => ask(&fault).env(how, TEST_USER_PIN),
            flag => ask(&fault).args([flag, "env:RIGHT"]).env("KEYANCHOR_CONTEXT_PIN", WRONG_TEST_PIN),
        };
        Printed::by(&run.run());
        assert_eq!((fault.context_pins_tried(), fault.wrong_pins()), (1, 0), "{how}");
    }
    let fault = scene.fault();
    let both = ask(&fault).args(["--reuse-pin", "--context-pin-source", "env:RIGHT"]).run();
    both.fails_with(2).stderr_contains("--reuse-pin").stderr_contains("--context-pin-source");
}

#[test]
fn somebody_types_at_the_keypad_and_a_line_says_where() {
    let scene = Scene::new();
    let fault = scene.fault().pin_pad(TEST_USER_PIN);
    let mut terminal = scene.ask(&fault).on_terminal();
    terminal.sees("Type the user PIN on the keypad of token 'prompts'").sees(ERASE_LINE);
    let outcome = terminal.wait();
    Printed::by(&outcome);
    outcome.stderr_lacks(PROMPT);
    assert_eq!((fault.pins_typed_on_pad(), fault.user_pins_tried()), (1, 1));
}

#[test]
fn a_wrong_pin_at_the_keypad_is_not_asked_for_again() {
    let scene = Scene::new();
    let fault = scene.fault().pin_pad(WRONG_TEST_PIN);
    let outcome = scene.ask(&fault).on_terminal().wait();
    outcome.fails_with(4);
    assert_eq!((fault.pins_typed_on_pad(), fault.wrong_pins()), (1, 1));
}

#[test]
fn a_slow_device_may_want_a_touch_and_the_line_that_says_so_is_erased() {
    let scene = Scene::new();
    let fault = scene.fault().delay("C_Sign", Duration::from_millis(1200));
    let mut terminal = scene.ask(&fault).env("KEYANCHOR_PIN", TEST_USER_PIN).on_terminal();
    terminal.sees("Waiting for token 'prompts': it may want a touch").sees(ERASE_LINE);
    let outcome = terminal.wait();
    Printed::by(&outcome);
    assert_eq!(outcome.stderr.matches("touch").count(), 1, "{outcome}");
}

#[test]
fn a_touch_is_waited_for_no_longer_than_the_token_s_limit() {
    let scene = Scene::new();
    let fault = scene.fault().delay("C_Sign", Duration::from_secs(600));
    let run = scene.ask(&fault).args(["--token-timeout", "1.5"]).env("KEYANCHOR_PIN", TEST_USER_PIN);
    let mut terminal = run.on_terminal();
    terminal.sees("it may want a touch").sees(ERASE_LINE);
    let outcome = terminal.wait();
    outcome.fails_with(3).stderr_contains("C_Sign").stderr_contains("libkeyanchor_fault_module.so");
}

#[test]
fn the_time_at_a_prompt_is_nobody_s_limit() {
    let scene = Scene::new();
    let fault = scene.fault();
    let run = scene.ask(&fault).args(["--token-timeout", "1", "--timeout", "1"]);
    let mut terminal = run.on_terminal();
    terminal.sees(PROMPT);
    std::thread::sleep(Duration::from_millis(1500));
    terminal.types(TEST_USER_PIN);
    Printed::by(&terminal.wait());
}

#[test]
fn a_token_that_wants_no_login_asks_nobody() {
    let scene = Scene::new();
    let fault = scene.fault().no_login(TEST_USER_PIN);
    let outcome = scene.ask(&fault).on_terminal().wait();
    Printed::by(&outcome);
    assert_eq!(outcome.stderr, "");
    assert_eq!(fault.calls().of("C_Login"), 0);
}

#[test]
fn a_key_that_does_not_say_so_is_not_asked_for_a_context_pin() {
    let scene = Scene::always_authenticate();
    let fault = scene.fault().hide(CKA_ALWAYS_AUTHENTICATE);
    let outcome = scene.ask(&fault).env("KEYANCHOR_PIN", TEST_USER_PIN).on_terminal().wait();
    outcome.fails_with(3).stderr_lacks(CONTEXT_PROMPT);
    assert_eq!(fault.context_pins_tried(), 0);
}
