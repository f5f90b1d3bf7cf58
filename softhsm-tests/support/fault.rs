//! Faults of a token: the fault-injecting module before SoftHSM, told what to do and asked what it saw.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use cryptoki_sys::{CK_ATTRIBUTE_TYPE, CK_FLAGS, CK_MECHANISM_TYPE, CK_RV, CKF_USER_PIN_LOCKED, CKR_PIN_LOCKED};

use super::softhsm::SoftHsm;
use super::spy::Calls;
use super::{Environment, Folder, variable};

/// Which calls of a function fail; the first is number 1.
#[derive(Clone, Copy, Debug)]
pub enum Which {
    Nth(usize),
    From(usize),
    Every,
}

/// The faults of one token. Load [`Fault::module`] with the environment [`env`](Self::env).
#[must_use]
pub struct Fault {
    folder: Folder,
    token: Environment,
    /// Variables without their prefix; lists grow.
    told: BTreeMap<&'static str, String>,
}

impl Fault {
    /// No fault yet: everything is forwarded and counted.
    pub fn of(hsm: &SoftHsm) -> Self {
        Self { folder: Folder::new(), token: hsm.env(), told: BTreeMap::new() }
    }

    /// The module that the program loads in place of the real one.
    pub fn module() -> PathBuf {
        let here = std::env::current_exe().unwrap();
        let module = here.with_file_name("libkeyanchor_fault_module.so");
        assert!(module.exists(), "cargo has not built {}", module.display());
        module
    }

    /// Every call of the function takes longer.
    pub fn delay(self, function: &str, time: Duration) -> Self {
        self.also("DELAY", &format!("{function}:{}", time.as_millis()))
    }

    /// These calls answer the error and do nothing.
    pub fn error(self, function: &str, which: Which, answer: CK_RV) -> Self {
        let which = match which {
            Which::Nth(call) => call.to_string(),
            Which::From(call) => format!("{call}+"),
            Which::Every => "1+".to_owned(),
        };
        self.also("ERROR", &format!("{function}:{which}:{answer}"))
    }

    /// The token has these flags and none of those.
    pub fn flags(self, set: CK_FLAGS, cleared: CK_FLAGS) -> Self {
        self.told("SET_FLAGS", set.to_string()).told("CLEAR_FLAGS", cleared.to_string())
    }

    /// The user PIN is locked.
    pub fn locked(self) -> Self {
        self.flags(CKF_USER_PIN_LOCKED, 0).error("C_Login", Which::Every, CKR_PIN_LOCKED)
    }

    /// The token has a PIN pad, on which somebody types this.
    pub fn pin_pad(self, typed: &str) -> Self {
        self.told("PAD_PIN", typed.to_owned())
    }

    /// The token needs no login, because it logs itself in with this PIN.
    pub fn no_login(self, pin: &str) -> Self {
        self.told("SILENT_PIN", pin.to_owned())
    }

    /// Every private key wants a context login with this PIN for each signature.
    pub fn context_pin(self, pin: &str) -> Self {
        self.told("CONTEXT_PIN", pin.to_owned())
    }

    /// The token goes away after this call and is back in another slot after so many calls of C_GetSlotList; `None` for
    /// never.
    pub fn away_after(self, function: &str, call: usize, lists: Option<usize>) -> Self {
        let back = lists.map(|lists| format!(":{lists}")).unwrap_or_default();
        self.told("AWAY", format!("{function}:{call}{back}"))
    }

    /// No object shows this attribute.
    pub fn hide(self, attribute: CK_ATTRIBUTE_TYPE) -> Self {
        self.also("HIDE", &attribute.to_string())
    }

    /// The token lacks this mechanism.
    pub fn refuse(self, mechanism: CK_MECHANISM_TYPE) -> Self {
        self.also("REFUSE", &mechanism.to_string())
    }

    /// The token takes no template of a new object with this attribute.
    pub fn taboo(self, attribute: CK_ATTRIBUTE_TYPE) -> Self {
        self.also("TABOO", &attribute.to_string())
    }

    /// The token makes every key extractable, whatever it is told.
    pub fn exportable(self) -> Self {
        self.told("EXPORTABLE", "1".to_owned())
    }

    /// CKM_ECDSA takes no input that is shorter than the field.
    pub fn long_digest(self) -> Self {
        self.told("LONG_DIGEST", "1".to_owned())
    }

    /// The process ends in this function, or in `exit`, by `abort` or `segv`; or it hangs there (`hang`).
    pub fn crash(self, place: &str, how: &str) -> Self {
        self.told("CRASH", format!("{place}:{how}"))
    }

    /// What the module and the token want.
    pub fn env(&self) -> Environment {
        let told = |(name, value): (&&str, &String)| variable(&format!("KEYANCHOR_FAULT_{name}"), value);
        let own = [
            variable("KEYANCHOR_FAULT_MODULE", SoftHsm::module()),
            variable("KEYANCHOR_FAULT_JOURNAL", self.journal()),
        ];
        self.token.iter().cloned().chain(own).chain(self.told.iter().map(told)).collect()
    }

    /// The calls until now, of all processes that were given this environment.
    pub fn calls(&self) -> Calls {
        Calls::count(self.lines().filter(|line| line.starts_with("C_") && !line.contains(' ')))
    }

    /// How often the function answered this error.
    pub fn answered(&self, function: &str, error: CK_RV) -> usize {
        self.count(&format!("{function} answered {error:#x}"))
    }

    /// How often the device compared a user PIN.
    pub fn user_pins_tried(&self) -> usize {
        self.count("user PIN tried")
    }

    /// How often the device compared a context PIN.
    pub fn context_pins_tried(&self) -> usize {
        self.count("context PIN tried")
    }

    /// How often a PIN was wrong.
    pub fn wrong_pins(&self) -> usize {
        self.count("wrong PIN")
    }

    /// How often somebody typed on the PIN pad.
    pub fn pins_typed_on_pad(&self) -> usize {
        self.count("PIN typed on the pad")
    }

    /// Calls and events in their order.
    pub fn lines(&self) -> impl Iterator<Item = String> {
        let journal = std::fs::read_to_string(self.journal()).unwrap_or_default();
        journal.lines().map(str::to_owned).collect::<Vec<_>>().into_iter()
    }

    fn count(&self, event: &str) -> usize {
        self.lines().filter(|line| line == event).count()
    }

    fn journal(&self) -> PathBuf {
        self.folder.join("journal")
    }

    fn told(mut self, name: &'static str, value: String) -> Self {
        self.told.insert(name, value);
        self
    }

    fn also(mut self, name: &'static str, value: &str) -> Self {
        let list = self.told.entry(name).or_default();
        if !list.is_empty() {
            list.push(',');
        }
        list.push_str(value);
        self
    }
}
