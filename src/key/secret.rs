//! Secrets and where they come from: a source is asked only when a device wants the secret, in the order command line,
//! reference, environment, systemd credential, prompt. Knows no device and no words of a prompt.

mod kept;
pub(super) mod kind;
mod look;

use std::env;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;

use zeroize::Zeroizing;

use super::error::{Advice, KeyError, KeyErrorKind};
use crate::files;
use kept::Kept;
pub use kind::{SecretKind, SecretNames, SecretOwner};
pub use look::SourceState;

/// Longest secret that is read from a file or descriptor; a wrong path such as /dev/zero must not fill the memory.
const LONGEST_SECRET: usize = 4096;

/// A PIN or password: cannot be cloned or printed, and is wiped when it is dropped. May be empty.
pub struct Secret {
    octets: Zeroizing<Vec<u8>>,
    origin: Option<String>,
}

impl Secret {
    /// Takes the octets over; the caller's buffer becomes the wiped one.
    pub fn new(octets: Vec<u8>) -> Self {
        Self { octets: Zeroizing::new(octets), origin: None }
    }

    /// Says where it comes from, in words, for a message that it is wrong.
    #[must_use]
    pub fn with_origin(self, origin: impl Into<String>) -> Self {
        Self { origin: Some(origin.into()), ..self }
    }

    /// Where it comes from; `None` for one that somebody has typed.
    pub fn origin(&self) -> Option<&str> {
        self.origin.as_deref()
    }

    /// The octets, for the call that hands them to a device.
    pub fn expose(&self) -> &[u8] {
        &self.octets
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

/// Where a secret comes from. The textual forms are `file:PATH`, `fd:N`, `env:NAME`, `credential:NAME` and `prompt`.
#[derive(Clone, Debug)]
pub enum SecretSource {
    /// The value itself, as `pin-value` or the peer's `--tpm-key-password` give it.
    Given(Arc<Secret>),
    /// A file or FIFO, which has a minute to give it; one line end at its end is not part of the secret.
    File(PathBuf),
    /// An open descriptor, read to its end.
    Descriptor(i32),
    /// An environment variable.
    Variable(String),
    /// A file in the directory that systemd names in CREDENTIALS_DIRECTORY.
    Credential(String),
    /// The person at the terminal.
    Prompt,
}

/// The same place to ask; a value that was given is the same only as itself.
impl PartialEq for SecretSource {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Given(one), Self::Given(two)) => Arc::ptr_eq(one, two),
            (Self::File(one), Self::File(two)) => one == two,
            (Self::Descriptor(one), Self::Descriptor(two)) => one == two,
            (Self::Variable(one), Self::Variable(two)) | (Self::Credential(one), Self::Credential(two)) => one == two,
            (Self::Prompt, Self::Prompt) => true,
            _ => false,
        }
    }
}

impl SecretSource {
    /// Whether it gives the secret one time only.
    fn is_read_once(&self) -> bool {
        match self {
            Self::Prompt | Self::Descriptor(_) => true,
            Self::File(path) => path.metadata().is_ok_and(|found| !found.is_file()),
            Self::Given(_) | Self::Variable(_) | Self::Credential(_) => false,
        }
    }
}

impl FromStr for SecretSource {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, KeyError> {
        let malformed = || {
            KeyError::new(
                KeyErrorKind::Reference,
                "wanted a secret source (file:PATH, fd:N, env:NAME, credential:NAME or prompt), found none of these",
            )
            .with_advice(Advice::NameSource)
        };
        if text == "prompt" {
            return Ok(Self::Prompt);
        }
        match text.split_once(':') {
            Some(("file", path)) if !path.is_empty() => Ok(Self::File(path.into())),
            Some(("fd", number)) => number.parse().map(Self::Descriptor).map_err(|_| malformed()),
            Some(("env", name)) if !name.is_empty() => Ok(Self::Variable(name.to_owned())),
            Some(("credential", name)) if !name.is_empty() && !name.contains('/') => {
                Ok(Self::Credential(name.to_owned()))
            }
            // The text is not repeated: a person who mistook the flag may have typed the secret itself.
            _ => Err(malformed()),
        }
    }
}

/// What a prompt is about.
#[derive(Debug)]
pub struct SecretRequest<'a> {
    /// Which secret.
    pub kind: SecretKind,
    /// The device that wants it, in words.
    pub device: &'a str,
    /// What the device says about its tries, where it says something.
    pub warning: Option<&'a str>,
}

/// The person at the machine, if there is one. Words and terminal belong to whoever implements it.
pub trait Attendant: Send + Sync {
    /// Asks for a secret; `None` where nobody can be asked.
    fn ask(&self, request: &SecretRequest<'_>) -> io::Result<Option<Secret>>;
    /// The device has its own keypad, and now waits for the secret there.
    fn enter_on_device(&self, request: &SecretRequest<'_>);
    /// The device has been silent for half a second: it may want a touch.
    fn device_is_slow(&self, device: &str);
    /// The device has answered after [`device_is_slow`](Self::device_is_slow) or
    /// [`enter_on_device`](Self::enter_on_device).
    fn device_answered(&self);
}

/// The sources that the command line chose, and the person to ask.
pub struct Secrets {
    attendant: Arc<dyn Attendant>,
    owner: SecretOwner,
    chosen: Vec<(SecretKind, SecretSource)>,
    lives_long: bool,
    kept: Kept,
}

impl Secrets {
    /// No source chosen yet.
    pub fn new(attendant: Arc<dyn Attendant>) -> Self {
        Self::of(SecretOwner::Identity, attendant)
    }

    /// The same for the key of this owner.
    pub fn of(owner: SecretOwner, attendant: Arc<dyn Attendant>) -> Self {
        Self { attendant, owner, chosen: Vec::new(), lives_long: false, kept: Kept::default() }
    }

    /// What a secret of this owner is called.
    pub fn names(&self, kind: SecretKind) -> SecretNames {
        kind.names(self.owner)
    }

    /// For a process that lives long: what a source gives only once (a prompt, a pipe, a descriptor) is kept for the next time it
    /// is wanted, until a device refuses it.
    pub fn keep_what_is_read_once(&mut self) {
        self.lives_long = true;
    }

    /// The device refused this secret: it is not kept any more.
    pub fn forget(&self, kind: SecretKind, secret: &Secret) {
        self.kept.forget(kind, secret);
    }

    /// The device refused this secret: it is not kept any more, and [`was_refused`](Self::was_refused) knows it.
    pub fn refuse(&self, kind: SecretKind, device: &str, secret: &Arc<Secret>) {
        self.forget(kind, secret);
        self.kept.refuse(kind, device, secret);
    }

    /// Whether this device has refused this secret of this process before: it must not be tried again.
    pub fn was_refused(&self, kind: SecretKind, device: &str, secret: &Secret) -> bool {
        self.kept.is_refused(kind, device, secret)
    }

    /// The command line's choice for one secret. The last choice for a kind wins.
    pub fn choose(&mut self, kind: SecretKind, source: SecretSource) {
        self.chosen.retain(|(chosen, _)| *chosen != kind);
        self.chosen.push((kind, source));
    }

    /// The person to ask and to tell.
    pub fn attendant(&self) -> &dyn Attendant {
        &*self.attendant
    }

    /// Whether the command line chose a source for this secret.
    pub fn is_chosen(&self, kind: SecretKind) -> bool {
        self.chosen.iter().any(|(chosen, _)| *chosen == kind)
    }

    /// Whether a source other than the prompt gives this secret: command line, environment variable or systemd credential.
    pub fn is_at_hand(&self, kind: SecretKind) -> bool {
        let names = self.names(kind);
        self.is_chosen(kind)
            || env::var_os(names.variable).is_some()
            || credential_path(names.credential).is_some_and(|path| path.exists())
    }

    /// The source that will be asked for this secret; `from_reference` is what the device's reference names.
    pub fn source(&self, kind: SecretKind, from_reference: Option<&SecretSource>) -> SecretSource {
        let chosen = self.chosen.iter().find(|(chosen, _)| *chosen == kind).map(|(_, source)| source);
        chosen.or(from_reference).cloned().unwrap_or_else(|| default_source(self.names(kind)))
    }

    /// Asks the first source that there is: command line, reference, environment variable, systemd credential, prompt.
    ///
    /// Each call asks anew, so that a FIFO is read once per call and a prompt is shown once per call, unless such things are
    /// [kept](Self::keep_what_is_read_once).
    pub fn obtain(
        &self,
        request: &SecretRequest<'_>,
        from_reference: Option<&SecretSource>,
    ) -> Result<Arc<Secret>, KeyError> {
        let source = self.source(request.kind, from_reference);
        let by_choice = self.is_chosen(request.kind) || from_reference.is_some();
        if !self.lives_long || !source.is_read_once() {
            return self.read(&source, request, by_choice);
        }
        if let Some(secret) = self.kept.find(request.kind, request.device) {
            return Ok(secret);
        }
        let secret = self.read(&source, request, by_choice)?;
        self.kept.keep(request.kind, request.device, &secret);
        Ok(secret)
    }

    fn read(
        &self,
        source: &SecretSource,
        request: &SecretRequest<'_>,
        by_choice: bool,
    ) -> Result<Arc<Secret>, KeyError> {
        let secret = match source {
            SecretSource::Given(secret) => return Ok(Arc::clone(secret)),
            SecretSource::File(path) => {
                let secret = read_file(path).map_err(|error| unreadable_file(request.kind, path, &error))?;
                secret.with_origin(format!("the file {}", path.display()))
            }
            SecretSource::Descriptor(number) => {
                // The kernel's own name for a descriptor: opening it needs no unsafe and leaves the original open.
                let path = PathBuf::from(format!("/dev/fd/{number}"));
                let secret = read_file(&path)
                    .map_err(|error| unreadable(request.kind, &format_args!("descriptor {number}"), &error))
                    .map_err(|error| error.with_advice(Advice::OpenDescriptor { number: *number }))?;
                secret.with_origin(format!("descriptor {number}"))
            }
            SecretSource::Variable(name) => Secret::new(
                env::var_os(name)
                    .ok_or_else(|| {
                        KeyError::new(
                            KeyErrorKind::SecretMissing,
                            format!("wanted the {} in the environment variable {name}, found it unset", request.kind),
                        )
                        .with_advice(Advice::SetVariable { name: name.clone() })
                    })?
                    .into_encoded_bytes(),
            )
            .with_origin(format!("the environment variable {name}")),
            SecretSource::Credential(name) => {
                let path = credential_path(name).ok_or_else(|| {
                    KeyError::new(
                        KeyErrorKind::SecretMissing,
                        format!("wanted systemd's credential {name}, found CREDENTIALS_DIRECTORY unset"),
                    )
                    .with_advice(Advice::LoadCredential { name: name.clone() })
                })?;
                let secret = read_file(&path).map_err(|error| unreadable_file(request.kind, &path, &error))?;
                secret.with_origin(format!("systemd's credential {name}"))
            }
            SecretSource::Prompt => self.prompt(request, by_choice)?,
        };
        Ok(Arc::new(secret))
    }

    /// `by_choice`: flag or file say so, and what the environment holds is not asked.
    fn prompt(&self, request: &SecretRequest<'_>, by_choice: bool) -> Result<Secret, KeyError> {
        let names = self.names(request.kind);
        let (found, variable) = match by_choice {
            true => ("the source that was chosen is the prompt", None),
            false => ("no source gives it", Some(names.variable)),
        };
        let missing = |why: &str| {
            KeyError::new(
                KeyErrorKind::SecretMissing,
                format!("{} wants the {}, {found} and {why}", request.device, request.kind),
            )
            .with_advice(Advice::GiveSecret { flag: names.flag, variable })
        };
        match self.attendant.ask(request) {
            Ok(Some(secret)) => Ok(secret),
            Ok(None) => Err(missing("there is no terminal to ask on")),
            Err(error) => Err(missing("the terminal could not be read").with_source(error)),
        }
    }
}

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Secrets").field("chosen", &self.chosen).finish_non_exhaustive()
    }
}

/// What is asked where nobody chose a source: environment variable, systemd credential, prompt.
fn default_source(names: SecretNames) -> SecretSource {
    if env::var_os(names.variable).is_some() {
        return SecretSource::Variable(names.variable.to_owned());
    }
    match credential_path(names.credential).is_some_and(|path| path.exists()) {
        true => SecretSource::Credential(names.credential.to_owned()),
        false => SecretSource::Prompt,
    }
}

fn credential_path(name: &str) -> Option<PathBuf> {
    env::var_os("CREDENTIALS_DIRECTORY").map(|directory| PathBuf::from(directory).join(name))
}

fn unreadable(kind: SecretKind, what: &dyn fmt::Display, error: &io::Error) -> KeyError {
    KeyError::new(KeyErrorKind::SecretMissing, format!("cannot read the {kind} from {what}: {error}"))
}

fn unreadable_file(kind: SecretKind, path: &Path, error: &io::Error) -> KeyError {
    let failure = unreadable(kind, &path.display(), error);
    match error.kind() {
        io::ErrorKind::NotFound => failure.with_advice(Advice::WriteSecret { path: path.to_owned() }),
        io::ErrorKind::PermissionDenied => failure.with_advice(Advice::Run { command: files::way_to(path) }),
        _ => failure,
    }
}

/// Reads a secret without its one line end, never leaving a copy in an unwiped buffer.
fn read_file(path: &Path) -> io::Result<Secret> {
    let mut octets = files::read_octets(path, LONGEST_SECRET)?;
    if octets.ends_with(b"\n") {
        octets.pop();
        if octets.ends_with(b"\r") {
            octets.pop();
        }
    }
    Ok(Secret { octets, origin: None })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Nobody at the terminal.
    struct Nobody;

    impl Attendant for Nobody {
        fn ask(&self, _: &SecretRequest<'_>) -> io::Result<Option<Secret>> {
            Ok(None)
        }
        fn enter_on_device(&self, _: &SecretRequest<'_>) {}
        fn device_is_slow(&self, _: &str) {}
        fn device_answered(&self) {}
    }

    fn request() -> SecretRequest<'static> {
        SecretRequest { kind: SecretKind::ContextPin, device: "token 'test'", warning: None }
    }

    #[test]
    fn the_command_line_wins_over_the_reference() {
        let mut secrets = Secrets::new(Arc::new(Nobody));
        let given = |text: &str| SecretSource::Given(Arc::new(Secret::new(text.into())));
        assert_eq!(secrets.obtain(&request(), Some(&given("test-uri-pin"))).unwrap().expose(), b"test-uri-pin");
        secrets.choose(SecretKind::ContextPin, given("test-flag-pin"));
        assert_eq!(secrets.obtain(&request(), Some(&given("test-uri-pin"))).unwrap().expose(), b"test-flag-pin");
    }

    /// Types another secret each time.
    struct Typist(std::sync::atomic::AtomicU32);

    impl Attendant for Typist {
        fn ask(&self, _: &SecretRequest<'_>) -> io::Result<Option<Secret>> {
            let number = self.0.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            Ok(Some(Secret::new(format!("test-typed-{number}").into_bytes())))
        }
        fn enter_on_device(&self, _: &SecretRequest<'_>) {}
        fn device_is_slow(&self, _: &str) {}
        fn device_answered(&self) {}
    }

    #[test]
    fn what_was_typed_is_kept_by_who_lives_long_until_it_is_refused() {
        let mut secrets = Secrets::new(Arc::new(Typist(0.into())));
        let ask = |secrets: &Secrets| secrets.obtain(&request(), Some(&SecretSource::Prompt)).unwrap();
        assert_ne!(ask(&secrets).expose(), ask(&secrets).expose());
        secrets.keep_what_is_read_once();
        let first = ask(&secrets);
        assert_eq!(ask(&secrets).expose(), first.expose());
        let other = SecretRequest { device: "another token", ..request() };
        assert_ne!(secrets.obtain(&other, None).unwrap().expose(), first.expose());
        secrets.refuse(SecretKind::ContextPin, "token 'test'", &first);
        assert!(secrets.was_refused(SecretKind::ContextPin, "token 'test'", &first));
        assert!(!secrets.was_refused(SecretKind::UserPin, "token 'test'", &first));
        assert_ne!(ask(&secrets).expose(), first.expose());
    }

    #[test]
    fn one_line_end_is_not_part_of_a_pin() {
        let file = tempfile::NamedTempFile::new().unwrap();
        for (content, wanted) in
            [("pin\n", "pin"), ("pin\r\n", "pin"), ("pin\n\n", "pin\n"), ("pin ", "pin "), ("", "")]
        {
            std::fs::write(file.path(), content).unwrap();
            assert_eq!(read_file(file.path()).unwrap().expose(), wanted.as_bytes());
        }
    }

    #[test]
    fn an_endless_file_ends() {
        assert!(read_file(Path::new("/dev/zero")).is_err());
    }

    #[test]
    fn nobody_to_ask_is_said_with_the_flag_that_helps() {
        let mut secrets = Secrets::new(Arc::new(Nobody));
        let flag = "--context-pin-source";
        let error = secrets.obtain(&request(), None).unwrap_err();
        assert_eq!(error.kind(), KeyErrorKind::SecretMissing);
        assert_eq!(error.advice(), Some(&Advice::GiveSecret { flag, variable: Some("KEYANCHOR_CONTEXT_PIN") }));
        // The variable is not asked where a source was chosen.
        secrets.choose(SecretKind::ContextPin, SecretSource::Prompt);
        let error = secrets.obtain(&request(), None).unwrap_err();
        assert!(error.to_string().contains("the source that was chosen is the prompt"), "{error}");
        assert_eq!(error.advice(), Some(&Advice::GiveSecret { flag, variable: None }));
    }

    #[test]
    fn a_mistaken_source_is_not_repeated_in_the_error() {
        let error = "test-secret-123456".parse::<SecretSource>().unwrap_err();
        assert!(!error.to_string().contains("123456"));
    }

    #[test]
    fn a_secret_does_not_show_in_debug() {
        let source = SecretSource::Given(Arc::new(Secret::new(b"test-hidden".to_vec())));
        assert!(!format!("{source:?}").contains("test-hidden"));
        assert!(!format!("{source:?}").contains("116"));
    }
}
