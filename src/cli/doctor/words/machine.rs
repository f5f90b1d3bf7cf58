//! What stands on this machine beside key and certificate: the configuration file, and the environment.

use std::path::PathBuf;

use super::{Words, listed, word};
use crate::cli::Failure;
use crate::doctor::fact::ConfigurationFact;
use crate::doctor::fact::EnvironmentFact;
use crate::files::{Access, Changers};

pub(super) fn configuration(fact: ConfigurationFact) -> Words {
    match fact {
        ConfigurationFact::NoPlace => Words::new("there is none: neither HOME nor KEYANCHOR_CONFIG is set"),
        ConfigurationFact::Absent(location) => {
            Words::new(format!("there is none at {}, and none is named", location.path.display()))
        }
        ConfigurationFact::Read { location, identities, consumers } => {
            let names = if identities.is_empty() { "no identities".to_owned() } else { listed(&identities) };
            Words::new(format!("{}: {names}; {consumers} consumers", location.path.display()))
                .detail("path", location.path.display().to_string())
                .detail("identities", identities)
        }
        ConfigurationFact::Unusable(location, error) => {
            let words = Words::from(Failure::from(error));
            let edit = || format!("mend it: ${{EDITOR:-vi}} {}", word(&location.path));
            Words { mend: words.mend.or_else(|| Some(edit())), ..words }
        }
        ConfigurationFact::Access(access) => permissions(&access),
    }
}

/// Who may read and change the configuration file.
fn permissions(access: &Access) -> Words {
    let path = word(&access.path);
    let words = match &access.changed_by {
        Some(changers) => changed(access, changers),
        None if access.read_by_all => Words::new(format!(
            "mode {:04o}: every account can read it, and learns names and ARNs; it holds no secret",
            access.mode
        ))
        .mend(format!("chmod 600 {path}")),
        None => Words::new(format!("mode {:04o}: nobody else can change it", access.mode)),
    };
    words.detail("mode", format!("{:04o}", access.mode)).detail("owner", access.owner)
}

/// Who else can put other content there, and the command that ends it.
pub(super) fn changed(access: &Access, changers: &Changers) -> Words {
    let path = word(&access.path);
    match changers {
        Changers::Owner(owner) => {
            Words::new(format!("it belongs to another account (uid {owner}), which can change it"))
                .mend(format!("sudo chown \"$(id -u)\" {path}"))
        }
        Changers::Mode => Words::new(format!("mode {:04o}: other accounts can change it", access.mode))
            .mend(format!("chmod go-w {path}")),
        Changers::Folder(folder) => {
            Words::new(format!("other accounts can put another file in its place, in the folder {}", folder.display()))
                .mend(format!("chmod go-w {}", word(folder)))
        }
    }
}

pub(super) fn environment(fact: EnvironmentFact) -> Words {
    match fact {
        EnvironmentFact::Settings(names) if names.is_empty() => Words::new("no variable changes what the commands do"),
        EnvironmentFact::Settings(names) => {
            Words::new(format!("these are set and count: {}", listed(&names))).detail("variables", names)
        }
        EnvironmentFact::NoCredentials => Words::new("no variable gives SDKs other credentials"),
        EnvironmentFact::Credentials(names) => {
            Words::new(format!("SDKs take the credentials of {} and never ask for those of a profile", listed(&names)))
                .mend(format!("unset {}", names.join(" ")))
                .detail("variables", names)
        }
        EnvironmentFact::Profile { profile, process, before } => {
            profile_words(profile.as_str(), process, before).detail("profile", profile.as_str())
        }
    }
}

fn profile_words(profile: &str, process: Option<String>, before: Option<(PathBuf, Vec<(String, usize)>)>) -> Words {
    let asks = process.map(|program| format!("the profile {profile} asks {program}"));
    match (asks, before) {
        (None, None) => Words::new(format!("no file gives the profile {profile} credentials")),
        (Some(asks), None) => Words::new(asks),
        (asks, Some((path, settings))) => {
            let names: Vec<_> = settings.iter().map(|(name, line)| format!("{name} (line {line})")).collect();
            let line = settings.first().map_or(1, |(_, line)| *line);
            let first = format!("{} gives it {}", path.display(), listed(&names));
            let found = match asks {
                Some(asks) => format!("{asks}, but {first}, which SDKs take first"),
                None => format!("the profile {profile} asks nobody: {first}"),
            };
            Words::new(found).mend(format!("take the lines out: ${{EDITOR:-vi}} +{line} {}", word(&path)))
        }
    }
}
