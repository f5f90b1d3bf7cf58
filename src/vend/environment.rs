//! The environment variables in which the AWS SDKs look for credentials, for a command or for a shell.

use std::io::{self, Write};

use zeroize::Zeroizing;

use crate::credentials::Credentials;
use crate::files::shell_word;

/// What takes precedence over these variables in some SDK, or would be mixed with them: a command that is given credentials in its
/// environment must not find these there.
///
/// botocore takes AWS_SECURITY_TOKEN before AWS_SESSION_TOKEN; the SDK for JavaScript leaves static credentials alone where a
/// profile is named.
pub const IN_THE_WAY: [&str; 3] = ["AWS_SECURITY_TOKEN", "AWS_PROFILE", "AWS_DEFAULT_PROFILE"];

/// The names of what [`variables`] gives.
pub const NAMES: [&str; 4] =
    ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_CREDENTIAL_EXPIRATION"];

/// Names and values. The expiration is what the AWS CLI writes and botocore does not read.
pub fn variables(credentials: &Credentials) -> [(&'static str, &str); 4] {
    let [id, secret, token, expiration] = NAMES;
    [
        (id, &credentials.access_key_id),
        (secret, &credentials.secret_access_key),
        (token, &credentials.session_token),
        (expiration, &credentials.expiration),
    ]
}

/// Writes `export NAME=VALUE` lines for a POSIX shell, by one write. Credentials that lack a field are an error, and nothing is
/// written.
pub fn write(credentials: &Credentials, output: &mut impl Write) -> io::Result<()> {
    if let Some(field) = credentials.empty_field() {
        return Err(io::Error::new(io::ErrorKind::InvalidData, format!("wanted whole credentials, found no {field}")));
    }
    let words = variables(credentials).map(|(name, value)| (name, Zeroizing::new(shell_word(value))));
    // Full capacity at once: a growing text would leave pieces of the secrets behind.
    let capacity = words.iter().map(|(name, word)| "export =\n".len() + name.len() + word.len()).sum();
    let mut text = Zeroizing::new(String::with_capacity(capacity));
    for (name, word) in &words {
        ["export ", name, "=", word, "\n"].into_iter().for_each(|part| text.push_str(part));
    }
    output.write_all(text.as_bytes())?;
    output.flush()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn credentials(secret: &str) -> Credentials {
        Credentials {
            access_key_id: "ASIATEST".to_owned(),
            secret_access_key: Zeroizing::new(secret.to_owned()),
            session_token: Zeroizing::new("test-token==".to_owned()),
            expiration: "2026-01-02T03:04:05Z".to_owned(),
        }
    }

    #[test]
    fn a_shell_gets_words_that_it_takes_as_they_are() {
        let mut text = Vec::new();
        write(&credentials("test/$(secret)'"), &mut text).unwrap();
        assert_eq!(
            String::from_utf8(text).unwrap(),
            "export AWS_ACCESS_KEY_ID=ASIATEST\nexport AWS_SECRET_ACCESS_KEY='test/$(secret)'\\'''\n\
             export AWS_SESSION_TOKEN=test-token==\nexport AWS_CREDENTIAL_EXPIRATION=2026-01-02T03:04:05Z\n"
        );
    }

    #[test]
    fn credentials_that_lack_a_field_are_not_written() {
        let mut text = Vec::new();
        assert!(write(&credentials(""), &mut text).is_err());
        assert!(text.is_empty());
    }
}
