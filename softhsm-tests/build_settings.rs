//! The settings in `.cargo/config.toml` took effect in the program under test: nothing else would notice their loss.

use crate::support::command::tool;

const PROGRAM: &str = env!("CARGO_BIN_EXE_keyanchor");

/// A generator that collects CPU jitter would cost each process tens of milliseconds at its first random number.
#[test]
fn no_cpu_jitter_is_collected() {
    let symbols = String::from_utf8(tool("nm", [PROGRAM], Vec::new())).unwrap();
    assert!(symbols.contains("_RAND_bytes"), "AWS-LC's generator is in the program, and its symbols can be read");
    let jitter: Vec<_> = symbols.lines().filter(|symbol| symbol.contains("_jent_")).collect();
    assert!(jitter.is_empty(), "built without AWS_LC_SYS_NO_JITTER_ENTROPY=1: {jitter:?}");
}

/// The same binary starts on machines without libtss2.
#[test]
fn no_tpm_library_is_needed_to_start() {
    let dynamic = String::from_utf8(tool("readelf", ["--dynamic", PROGRAM], Vec::new())).unwrap();
    let needed: Vec<_> = dynamic.lines().filter(|line| line.contains("(NEEDED)")).collect();
    assert!(!needed.is_empty(), "{dynamic}");
    assert!(!needed.iter().any(|line| line.contains("tss2")), "{needed:?}");
}
