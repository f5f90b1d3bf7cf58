//! The command of a `credential_process`, such as one of `aws_signing_helper`, taken apart. Pure; knows no flags.
//!
//! The AWS CLI and boto3 split the line into words themselves, other SDKs give it to a shell. What both read alike is read here;
//! what only a shell would do with it, such as `$HOME`, is refused. Lines that a backslash joins are joined as a shell does it: the
//! AWS CLI hands the backslash to the program, which then misses its flags.

/// A program and its arguments. Cannot be printed: a word may be a PIN.
pub struct ProcessLine {
    /// As it is named in the line.
    pub program: String,
    /// What stands behind `credential-process`.
    pub flags: Vec<String>,
}

/// Why a line cannot be taken over. None of its words is repeated: one may be a PIN.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LineError {
    /// There is nothing in it.
    Empty,
    /// A quotation mark is not closed.
    Unclosed,
    /// Something that only a shell would replace.
    Expansion(char),
    /// It runs another command of the program.
    OtherCommand(&'static str),
    /// It is no `PROGRAM credential-process …`.
    NoCommand,
}

/// Commands of the peer and of this program that give no credentials to a `credential_process`.
const OTHER_COMMANDS: [&str; 6] = ["serve", "update", "exec", "sign-string", "read-certificate-data", "version"];

/// Reads the command, or the whole setting `credential_process = COMMAND`.
pub fn read(text: &str) -> Result<ProcessLine, LineError> {
    let text = text.trim();
    let text =
        text.strip_prefix("credential_process").and_then(|rest| rest.trim_start().strip_prefix('=')).unwrap_or(text);
    let mut words = shlex::split(text).ok_or(LineError::Unclosed)?.into_iter();
    let program = words.next().ok_or(LineError::Empty)?;
    let command = words.next().ok_or(LineError::NoCommand)?;
    if command != "credential-process" {
        let other = OTHER_COMMANDS.into_iter().find(|other| *other == command);
        return Err(other.map_or(LineError::NoCommand, LineError::OtherCommand));
    }
    let flags: Vec<String> = words.collect();
    match flags.iter().flat_map(|word| word.chars()).find(|c| matches!(c, '$' | '`')) {
        Some(c) => Err(LineError::Expansion(c)),
        None => Ok(ProcessLine { program, flags }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(text: &str) -> Option<LineError> {
        read(text).err()
    }

    #[track_caller]
    fn flags(text: &str, expected: &[&str]) {
        let line = read(text).unwrap();
        assert_eq!(
            (line.program.as_str(), line.flags),
            ("/opt/aws_signing_helper", expected.iter().map(|word| (*word).to_owned()).collect())
        );
    }

    #[test]
    fn words_are_split_as_botocore_and_shells_do() {
        flags("/opt/aws_signing_helper credential-process", &[]);
        flags("credential_process=/opt/aws_signing_helper credential-process --debug\r\n", &["--debug"]);
        flags(
            r#"  /opt/aws_signing_helper   credential-process --certificate "pkcs11:token=a b" --private-key='/my keys/k.pem' a\ b "" "#,
            &["--certificate", "pkcs11:token=a b", "--private-key=/my keys/k.pem", "a b", ""],
        );
    }

    #[test]
    fn lines_that_a_backslash_was_to_join_are_joined() {
        flags(
            "/opt/aws_signing_helper credential-process \\\n--certificate /c.pem \\\n--region eu-west-1",
            &["--certificate", "/c.pem", "--region", "eu-west-1"],
        );
    }

    #[test]
    fn what_is_no_such_line_is_told_apart() {
        assert_eq!(error(" \n"), Some(LineError::Empty));
        assert_eq!(error("p credential-process --certificate 'x"), Some(LineError::Unclosed));
        assert_eq!(error("p credential-process --certificate $HOME/x"), Some(LineError::Expansion('$')));
        assert_eq!(error("p credential-process --region `r`"), Some(LineError::Expansion('`')));
        assert_eq!(error("aws_signing_helper serve --port 1"), Some(LineError::OtherCommand("serve")));
        for text in [
            "aws_signing_helper",
            "sudo aws_signing_helper credential-process",
            "sh -c 'p credential-process'",
            "p --debug",
        ] {
            assert_eq!(error(text), Some(LineError::NoCommand), "{text}");
        }
    }
}
