//! The device, and the PINs and passwords that it wants.

use std::path::Path;

use super::{Words, listed, machine, word};
use crate::cli::words::remedy;
use crate::cli::{Failure, FailureKind};
use crate::doctor::fact::DeviceFact;
use crate::doctor::fact::SecretFact;
use crate::files::Access;
use crate::key::{Advice, Landmark, ModuleNamedBy, ProxiedModule, SecretKind, SourceState, TokenInfo, Tries};

pub(super) fn device(fact: DeviceFact) -> Words {
    match fact {
        DeviceFact::Found(landmark) => landmark_words(landmark),
        DeviceFact::Failed { error, library } => {
            let words = Words::from(Failure::from(error));
            match (&words.mend, library) {
                (None, Some(library)) => {
                    words.mend(format!("see what it says of itself: pkcs11-tool --module {} -L", word(&library)))
                }
                _ => words,
            }
        }
    }
}

fn landmark_words(landmark: Landmark) -> Words {
    match landmark {
        Landmark::SoftwareKey(None) => Words::new("a key that this process signs with"),
        Landmark::SoftwareKey(Some(access)) => software_key(&access),
        Landmark::TpmKeyFile { access, .. } => {
            let path = access.map(|access| access.path.display().to_string()).unwrap_or_default();
            Words::new(format!("{path}: a key that only its TPM can use"))
        }
        Landmark::Module { path, named_by } => {
            let by = match named_by {
                ModuleNamedBy::Settings => "named by --pkcs11-lib or the configuration file",
                ModuleNamedBy::Reference => "named by the URI",
                ModuleNamedBy::Environment => "named by KEYANCHOR_PKCS11_LIB",
                ModuleNamedBy::Nobody => "taken because no module is named; --pkcs11-lib names one",
            };
            Words::new(format!("the PKCS#11 module {}, {by}", path.display()))
                .detail("path", path.display().to_string())
        }
        Landmark::Proxied(modules) => proxied(&modules),
        Landmark::Started { description } => Words::new(description),
        Landmark::TpmLibrary => Words::new("tpm2-tss can be loaded"),
        Landmark::Tpm { place, named_by, .. } => Words::new(format!("{place} answers; named by {named_by}")),
        Landmark::Tokens(tokens) => tokens_words(&tokens),
    }
}

fn software_key(access: &Access) -> Words {
    let path = word(&access.path);
    let words = match &access.changed_by {
        _ if !access.is_regular => Words::new(format!("{path} can be read only once, and was not looked into")),
        _ if access.read_by_all => {
            Words::new(format!("{path}, mode {:04o}: every account can read this private key", access.mode))
                .mend(format!("chmod 600 {path}"))
        }
        Some(changers) => machine::changed(access, changers),
        None => Words::new(format!("{path}: a private key in a file can be copied"))
            .mend("make one that cannot: keyanchor generate --private-key 'pkcs11:token=NAME;object=LABEL'"),
    };
    words.kind(FailureKind::Key).detail("mode", format!("{:04o}", access.mode))
}

fn proxied(modules: &[ProxiedModule]) -> Words {
    let described = |module: &ProxiedModule| match (&module.path, module.exists, module.enabled) {
        (_, _, false) => format!("{} (left out by its own configuration)", module.name),
        (Some(path), false, true) => format!("{} ({} is missing)", module.name, path.display()),
        (None, _, true) => format!("{} (names no library)", module.name),
        (Some(_), true, true) => module.name.clone(),
    };
    let all: Vec<_> = modules.iter().map(described).collect();
    let found = if all.is_empty() { "nothing".to_owned() } else { listed(&all) };
    let words = Words::new(format!("p11-kit's proxy is configured to load {found}"))
        .kind(FailureKind::Key)
        .detail("modules", all);
    match modules.iter().all(|module| module.exists && module.enabled) && !modules.is_empty() {
        true => words,
        false => words.mend("name the module with --pkcs11-lib; see what is configured: p11-kit list-modules"),
    }
}

fn tokens_words(tokens: &[TokenInfo]) -> Words {
    let login = |token: &TokenInfo| match (token.login_required, token.keypad) {
        (false, _) => "wants no login",
        (true, true) => "wants a login at its own keypad",
        (true, false) => "wants a login with a PIN",
    };
    let references: Vec<_> = tokens.iter().map(|token| token.reference.clone()).collect();
    let words = match tokens {
        [only] => Words::new(format!("{}, which {}", only.name(), login(only))),
        several => {
            let names: Vec<_> = several.iter().map(|token| token.name()).collect();
            Words::new(format!("the reference selects {} tokens: {}", several.len(), listed(&names)))
                .mend(format!("name one of these:\n  {}", references.join("\n  ")))
        }
    };
    words.detail("tokens", references)
}

pub(super) fn secret(fact: SecretFact) -> Words {
    let words = match fact {
        SecretFact::Tries { device, tries, library, final_allowed } => {
            tries_words(&device, tries, library.as_deref(), final_allowed)
        }
        SecretFact::Source { kind, state, certain } => source(kind, state, certain),
    };
    words.kind(FailureKind::Secret)
}

fn tries_words(device: &str, tries: Tries, library: Option<&Path>, final_allowed: bool) -> Words {
    let unlock = || match library {
        Some(library) => format!(
            "its administrator unlocks it: pkcs11-tool --module {} --login --login-type so --init-pin",
            word(library)
        ),
        None => "tpm2_dictionarylockout --clear-lockout".to_owned(),
    };
    match tries {
        Tries::Untroubled => Words::new(format!("{device} tells of no wrong PIN")),
        Tries::Left(left) => {
            Words::new(format!("{device} allows {left} more wrong passwords")).detail("tries_left", left)
        }
        Tries::Unset => Words::new(format!("{device} tells of no user PIN that was set"))
            .mend("its administrator sets it: pkcs11-tool --module MODULE --login --login-type so --init-pin"),
        Tries::ToBeChanged => {
            Words::new(format!("{device} wants its PIN changed: it is the one from the factory, or has expired"))
                .mend("pkcs11-tool --module MODULE --login --change-pin")
        }
        Tries::Troubled => Words::new(format!("{device}: a wrong PIN was entered since the last right one")),
        Tries::Final if final_allowed => {
            Words::new(format!("{device}: one more wrong PIN locks it; --use-final-try allows that"))
        }
        Tries::Final => Words::new(format!("{device}: one more wrong PIN locks it, and none is tried"))
            .mend("to go on all the same, add --use-final-try"),
        Tries::Locked => Words::new(format!("{device} is locked: too many wrong PINs or passwords")).mend(unlock()),
    }
}

fn source(kind: SecretKind, state: SourceState, certain: bool) -> Words {
    let (flag, variable) = (kind.flag(), kind.variable());
    let give = || format!("give it with {flag} file:PATH or in the environment variable {variable}");
    let wanted = if certain { "" } else { ", where the key has one" };
    match state {
        SourceState::Given => {
            Words::new(format!("the {kind} stands on the command line, where every account can see it"))
                .mend(format!("put it into a file: {flag} file:PATH"))
        }
        SourceState::File(path, Err(error)) => {
            Words::new(format!("the {kind} is to come from {}: {error}", path.display()))
                .mend(remedy(&Advice::WriteSecret { path }))
        }
        SourceState::File(_, Ok(access)) => file(kind, &access),
        SourceState::Descriptor(number, true) => {
            Words::new(format!("the {kind} comes from descriptor {number}{wanted}"))
        }
        SourceState::Descriptor(number, false) => {
            Words::new(format!("the {kind} is to come from descriptor {number}, which is not open"))
                .mend(remedy(&Advice::OpenDescriptor { number }))
        }
        SourceState::Variable(name, true) => Words::new(format!("the {kind} comes from the variable {name}{wanted}")),
        SourceState::Variable(name, false) => {
            Words::new(format!("the {kind} is to come from the variable {name}, which is not set"))
                .mend(remedy(&Advice::SetVariable { name }))
        }
        SourceState::NoCredentials(name) => Words::new(format!(
            "the {kind} is to come from systemd's credential {name}, and CREDENTIALS_DIRECTORY is not set"
        ))
        .mend(remedy(&Advice::LoadCredential { name })),
        SourceState::Prompt(true) => Words::new(format!("the {kind} is asked for on the terminal{wanted}")),
        SourceState::Prompt(false) => {
            Words::new(format!("no source gives the {kind}{wanted}, and there is no terminal to ask on")).mend(give())
        }
    }
}

fn file(kind: SecretKind, access: &Access) -> Words {
    let path = word(&access.path);
    let (found, mode) = (access.path.display(), access.mode);
    match (access.readable, access.read_by_all) {
        (false, _) => Words::new(format!("the {kind} is to come from {found}, which this account may not read"))
            .mend(format!("see what is in the way: namei -l {path}")),
        (true, true) => Words::new(format!("every account can read the {kind} in {found} (mode {mode:04o})"))
            .mend(format!("chmod 600 {path}")),
        (true, false) => Words::new(format!("the {kind} comes from {found} (mode {mode:04o})")),
    }
    .detail("mode", format!("{mode:04o}"))
}
