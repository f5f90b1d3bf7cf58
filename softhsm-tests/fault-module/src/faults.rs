//! The faults that the environment asks for. Numbers are those of PKCS#11, decimal or 0x…; lists are separated by commas.
//!
//! | variable `KEYANCHOR_FAULT_…` | fault |
//! |---|---|
//! | `MODULE=PATH` | the real module |
//! | `JOURNAL=PATH` | one line per call is appended here, and others for errors and PINs |
//! | `DELAY=C_Sign:100` | every call of the function takes this many milliseconds more |
//! | `ERROR=C_Sign:2:0x30` | call 2 (or `2+`, that and later ones) answers this and does nothing |
//! | `SET_FLAGS=0x40000`, `CLEAR_FLAGS=0x4` | flags of every initialised token |
//! | `PAD_PIN=PIN` | the token has a PIN pad on which somebody types this PIN |
//! | `SILENT_PIN=PIN` | the token needs no login: the module logs in by itself with this PIN |
//! | `CONTEXT_PIN=PIN` | every private key wants a context login with this PIN for each signature |
//! | `AWAY=C_Sign:1:2` | after call 1 the token is away until C_GetSlotList was called twice; without the `:2` for ever |
//! | `HIDE=0x120,0x181` | attributes that no object shows |
//! | `REFUSE=0x1041` | mechanisms that the token has not |
//! | `TABOO=0x162` | attributes that the template of no new object may have |
//! | `EXPORTABLE=1` | new keys are extractable, whatever their template says |
//! | `LONG_DIGEST=1` | CKM_ECDSA takes no input that is shorter than the field |
//! | `CRASH=C_Finalize:abort` | the process ends in this function by abort or segv, or hangs; `exit` is a handler of exit(3) |

use std::env;
use std::str::FromStr;
use std::time::Duration;

use cryptoki_sys::{CK_ATTRIBUTE_TYPE, CK_FLAGS, CK_MECHANISM_TYPE, CK_RV};

const PREFIX: &str = "KEYANCHOR_FAULT_";

/// What to do wrong.
#[derive(Debug, Default)]
pub struct Faults {
    pub module: String,
    pub journal: Option<String>,
    pub delays: Vec<Delay>,
    pub errors: Vec<Failure>,
    pub set_flags: CK_FLAGS,
    pub clear_flags: CK_FLAGS,
    pub pad_pin: Option<String>,
    pub silent_pin: Option<String>,
    pub context_pin: Option<String>,
    pub away: Option<Away>,
    pub hidden: Vec<CK_ATTRIBUTE_TYPE>,
    pub refused: Vec<CK_MECHANISM_TYPE>,
    pub taboo: Vec<CK_ATTRIBUTE_TYPE>,
    pub exportable: bool,
    pub long_digest: bool,
    pub crash: Option<Crash>,
}

/// A slow function.
#[derive(Debug, PartialEq, Eq)]
pub struct Delay {
    pub function: String,
    pub time: Duration,
}

/// A function that fails.
#[derive(Debug, PartialEq, Eq)]
pub struct Failure {
    pub function: String,
    pub call: usize,
    pub and_later: bool,
    pub answer: CK_RV,
}

/// A token that is taken away after a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Away {
    pub function: String,
    pub call: usize,
    /// It is back after this many calls of C_GetSlotList.
    pub lists: Option<usize>,
}

/// A place where the process ends by a signal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Crash {
    pub place: String,
    pub how: HowToCrash,
}

/// By which signal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HowToCrash {
    Abort,
    Segv,
    /// Not at all: it never ends.
    Hang,
}

impl Faults {
    pub fn from_environment() -> Result<Self, String> {
        Self::read(|name| env::var(format!("{PREFIX}{name}")).ok())
    }

    fn read(variable: impl Fn(&str) -> Option<String>) -> Result<Self, String> {
        let number = |name| variable(name).map_or(Ok(0), |text| parse_number(&text).ok_or_else(|| malformed(name)));
        Ok(Self {
            module: variable("MODULE").ok_or_else(|| format!("{PREFIX}MODULE names no module"))?,
            journal: variable("JOURNAL"),
            delays: list(&variable, "DELAY", |text| text.parse().ok())?,
            errors: list(&variable, "ERROR", |text| text.parse().ok())?,
            set_flags: number("SET_FLAGS")?,
            clear_flags: number("CLEAR_FLAGS")?,
            pad_pin: variable("PAD_PIN"),
            silent_pin: variable("SILENT_PIN"),
            context_pin: variable("CONTEXT_PIN"),
            away: list(&variable, "AWAY", |text| text.parse().ok())?.pop(),
            hidden: list(&variable, "HIDE", parse_number)?,
            refused: list(&variable, "REFUSE", parse_number)?,
            taboo: list(&variable, "TABOO", parse_number)?,
            exportable: variable("EXPORTABLE").is_some(),
            long_digest: variable("LONG_DIGEST").is_some(),
            crash: list(&variable, "CRASH", |text| text.parse().ok())?.pop(),
        })
    }

    /// How much longer the function takes.
    pub fn delay(&self, function: &str) -> Duration {
        self.delays.iter().filter(|delay| delay.function == function).map(|delay| delay.time).sum()
    }

    /// What this call answers instead of being made.
    pub fn error(&self, function: &str, call: usize) -> Option<CK_RV> {
        let fails = |failure: &&Failure| {
            failure.function == function && (failure.call == call || failure.and_later && failure.call < call)
        };
        self.errors.iter().find(fails).map(|failure| failure.answer)
    }
}

impl FromStr for Delay {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let (function, milliseconds) = text.split_once(':').ok_or(())?;
        let time = Duration::from_millis(milliseconds.parse().map_err(drop)?);
        Ok(Self { function: function.to_owned(), time })
    }
}

impl FromStr for Failure {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let mut parts = text.splitn(3, ':');
        let (function, call, answer) = (parts.next().ok_or(())?, parts.next().ok_or(())?, parts.next().ok_or(())?);
        Ok(Self {
            function: function.to_owned(),
            call: call.trim_end_matches('+').parse().map_err(drop)?,
            and_later: call.ends_with('+'),
            answer: parse_number(answer).ok_or(())?,
        })
    }
}

impl FromStr for Away {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let mut parts = text.splitn(3, ':');
        let (function, call) = (parts.next().ok_or(())?, parts.next().ok_or(())?);
        let lists = parts.next().map(str::parse).transpose().map_err(drop)?;
        Ok(Self { function: function.to_owned(), call: call.parse().map_err(drop)?, lists })
    }
}

impl FromStr for Crash {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let (place, how) = match text.split_once(':').ok_or(())? {
            (place, "abort") => (place, HowToCrash::Abort),
            (place, "segv") => (place, HowToCrash::Segv),
            (place, "hang") => (place, HowToCrash::Hang),
            _ => return Err(()),
        };
        Ok(Self { place: place.to_owned(), how })
    }
}

/// The parts of a list, or which variable cannot be read: a fault that is not injected would let a test pass.
fn list<T>(
    variable: impl Fn(&str) -> Option<String>,
    name: &str,
    parse: impl Fn(&str) -> Option<T>,
) -> Result<Vec<T>, String> {
    let text = variable(name).unwrap_or_default();
    text.split(',').filter(|part| !part.is_empty()).map(|part| parse(part).ok_or_else(|| malformed(name))).collect()
}

fn malformed(name: &str) -> String {
    format!("{PREFIX}{name} cannot be read")
}

/// All numbers of PKCS#11 are CK_ULONG.
fn parse_number(text: &str) -> Option<CK_RV> {
    match text.strip_prefix("0x") {
        Some(digits) => CK_RV::from_str_radix(digits, 16).ok(),
        None => text.parse().ok(),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn faults(variables: &[(&str, &str)]) -> Result<Faults, String> {
        let all = [&[("MODULE", "/real.so")], variables].concat();
        Faults::read(|name| all.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned()))
    }

    #[test]
    fn nothing_is_wrong_unless_the_environment_says_so() {
        let faults = faults(&[]).unwrap();
        assert_eq!(faults.delay("C_Sign"), Duration::ZERO);
        assert_eq!(faults.error("C_Sign", 1), None);
        assert_eq!((faults.set_flags, faults.clear_flags), (0, 0));
    }

    #[test]
    fn an_error_comes_at_its_call() {
        let faults = faults(&[("ERROR", "C_Sign:2:0x30,C_Login:2+:164")]).unwrap();
        assert_eq!([1, 2, 3].map(|call| faults.error("C_Sign", call)), [None, Some(0x30), None]);
        assert_eq!([1, 2, 3].map(|call| faults.error("C_Login", call)), [None, Some(164), Some(164)]);
    }

    #[test]
    fn a_mistake_in_the_environment_is_not_passed_over() {
        for (name, value) in
            [("ERROR", "C_Sign:2"), ("DELAY", "C_Sign"), ("SET_FLAGS", "low"), ("AWAY", "C_Sign:x"), ("CRASH", "exit")]
        {
            assert!(faults(&[(name, value)]).unwrap_err().contains(name), "{name}={value}");
        }
        assert!(Faults::read(|_| None).is_err());
    }

    #[test]
    fn a_token_may_stay_away() {
        let away = |text| faults(&[("AWAY", text)]).unwrap().away.unwrap().lists;
        assert_eq!(away("C_Sign:1:2"), Some(2));
        assert_eq!(away("C_Sign:1"), None);
    }
}
