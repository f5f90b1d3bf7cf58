//! What a person has written into the file that keeps SDKs from the credentials that are put there. Pure; it is left as it is,
//! and said.

use std::fmt;

use super::edit::sections;
use crate::files::profiles::{Kind, ProfileName, split};

/// Why the AWS CLI and boto3 will not use the credentials of a profile, whatever they are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Obstacle {
    /// The header is indented or has white space in its brackets, where botocore takes it for another one or for none.
    Header(ProfileName),
    /// botocore prefers `aws_security_token`, an old name that other tools write, to `aws_session_token`.
    SecurityToken(ProfileName),
}

impl fmt::Display for Obstacle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Header(profile) => {
                write!(f, "the AWS CLI and boto3 do not find the profile {profile} under its header; write [{profile}]")
            }
            Self::SecurityToken(profile) => write!(
                f,
                "the AWS CLI and boto3 take aws_security_token of the profile {profile} before the new aws_session_token; \
                 remove that line"
            ),
        }
    }
}

/// The obstacles that stand in a file for a profile.
pub fn obstacles(file: &[u8], profile: &ProfileName) -> Vec<Obstacle> {
    let lines = split(file);
    let sections = sections(&lines, profile);
    let mut found = Vec::new();
    if !sections.is_empty() && !sections.iter().any(|section| section.is_exact) {
        found.push(Obstacle::Header(profile.clone()));
    }
    let mut body = sections.iter().flat_map(|section| lines.get(section.start..section.end).unwrap_or_default());
    if body
        .any(|line| matches!(line.kind(), Kind::Setting { key, .. } if key.eq_ignore_ascii_case(b"aws_security_token")))
    {
        found.push(Obstacle::SecurityToken(profile.clone()));
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_botocore_does_not_read_is_said() {
        let profile: ProfileName = "default".parse().unwrap();
        let header = [Obstacle::Header(profile.clone())];
        let token = [Obstacle::SecurityToken(profile.clone())];
        for (file, expected) in [
            ("", &[][..]),
            ("[default] # mine\na = b\n", &[]),
            ("[ default ]\n", &header),
            (" [default]\n", &header),
            ("[ default ]\n[default]\n", &[]),
            ("[default]\nAWS_SECURITY_TOKEN = old\n", &token),
            ("[default]\n#aws_security_token = old\n[z]\naws_security_token = old\n", &[]),
        ] {
            assert_eq!(obstacles(file.as_bytes(), &profile), expected, "{file}");
        }
        assert!(token[0].to_string().contains("before the new aws_session_token; remove that line"));
    }
}
