//! What people read of an advice: the hint behind an error of a key, a certificate or a file.

use crate::files::shell_word;
use crate::key::Advice;

/// The command, or what to change in the one that failed.
pub fn remedy(advice: &Advice) -> String {
    match advice {
        Advice::ListToken { module } => {
            format!("see what is there: keyanchor list --pkcs11-lib {}", shell_word(module))
        }
        Advice::Install { package } => format!("sudo apt-get install {package}"),
        Advice::JoinGroup { group } => format!("join the group and log in again: sudo usermod -aG {group} \"$USER\""),
        Advice::ChooseOne { references } => {
            let words: Vec<_> = references.iter().map(|reference| shell_word(reference)).collect();
            format!("name one of these:\n  {}", words.join("\n  "))
        }
        Advice::Convert { command } => format!("convert it: {command}"),
        Advice::NameKey => {
            "name the key: --private-key FILE, or 'pkcs11:token=NAME;object=LABEL' on a token".to_owned()
        }
        Advice::NameBy { flag, reference } => format!("name it so: {flag} {}", shell_word(reference)),
        Advice::GiveSecret { flag, variable: Some(variable) } => {
            format!("give it with {flag} file:PATH or in the environment variable {variable}")
        }
        Advice::GiveSecret { flag, variable: None } => format!("give it another way: {flag} file:PATH"),
        Advice::TypeSecret { flag } => format!("give the right one; to be asked for it: {flag} prompt"),
        Advice::NameSource => "a file is named by its path behind file:, as in file:/run/secrets/pin".to_owned(),
        Advice::WriteSecret { path } => {
            format!("write it there: (umask 077; cat > {})", shell_word(&path.display().to_string()))
        }
        Advice::SetVariable { name } => format!("read -rs {name} && export {name}"),
        Advice::OpenDescriptor { number } => format!("open it in the shell: {number}< FILE"),
        Advice::LoadCredential { name } => format!("put into the unit: LoadCredential={name}:PATH"),
        Advice::ChooseModule { similar: Some(module) } => format!("did you mean {}?", shell_word(module)),
        Advice::ChooseModule { similar: None } => {
            "name it with --pkcs11-lib; see what is configured: p11-kit list-modules".to_owned()
        }
        Advice::Allow { flag: flag @ "--no-preflight" } => {
            format!("have a certificate issued that AWS takes; to send the request all the same, add {flag}")
        }
        Advice::Allow { flag } => format!("to go on all the same, add {flag}"),
        Advice::Run { command } => command.clone(),
    }
}
