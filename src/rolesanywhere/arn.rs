//! The three ARNs of a session: parsed, with errors that name the flag. Knows no region's meaning.

use std::fmt;

use super::error::RequestError;

/// The longest ARN that the service's model takes.
const LONGEST: usize = 1011;

/// Which resource an ARN names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ArnKind {
    TrustAnchor,
    Profile,
    Role,
}

impl ArnKind {
    const ALL: [Self; 3] = [Self::TrustAnchor, Self::Profile, Self::Role];

    fn flag(self) -> &'static str {
        match self {
            Self::TrustAnchor => "--trust-anchor-arn",
            Self::Profile => "--profile-arn",
            Self::Role => "--role-arn",
        }
    }

    fn shape(self) -> &'static str {
        match self {
            Self::TrustAnchor => "arn:PARTITION:rolesanywhere:REGION:ACCOUNT:trust-anchor/ID",
            Self::Profile => "arn:PARTITION:rolesanywhere:REGION:ACCOUNT:profile/ID",
            Self::Role => "arn:PARTITION:iam::ACCOUNT:role/[PATH/]NAME",
        }
    }

    fn service(self) -> &'static str {
        match self {
            Self::TrustAnchor | Self::Profile => "rolesanywhere",
            Self::Role => "iam",
        }
    }

    fn resource_type(self) -> &'static str {
        match self {
            Self::TrustAnchor => "trust-anchor",
            Self::Profile => "profile",
            Self::Role => "role",
        }
    }
}

impl fmt::Display for ArnKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::TrustAnchor => "a trust anchor",
            Self::Profile => "a profile",
            Self::Role => "a role",
        })
    }
}

/// An ARN of a known kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Arn {
    text: String,
    partition: String,
    /// Empty for a role.
    region: String,
    account: String,
}

impl Arn {
    /// Reads the value of the flag that this kind has.
    pub(super) fn parse(kind: ArnKind, text: &str) -> Result<Self, RequestError> {
        Self::read(kind, text)
            .map_err(|found| format!("{}: wanted {}, found {found}", kind.flag(), kind.shape()))
            .map_err(|message| RequestError::new(message).with_flag(kind.flag()))
    }

    pub(super) fn as_str(&self) -> &str {
        &self.text
    }

    pub(super) fn partition(&self) -> &str {
        &self.partition
    }

    pub(super) fn region(&self) -> &str {
        &self.region
    }

    pub(super) fn account(&self) -> &str {
        &self.account
    }

    /// The error is what was found.
    fn read(kind: ArnKind, text: &str) -> Result<Self, String> {
        if text.is_empty() {
            return Err("nothing".to_owned());
        }
        if text.len() > LONGEST {
            return Err(format!("{} octets, where an ARN has at most {LONGEST}", text.len()));
        }
        let parts: Vec<&str> = text.splitn(6, ':').collect();
        let [prefix, partition, service, region, account, resource] = parts.as_slice() else {
            return Err(format!("{text:?}, which has not six parts"));
        };
        if *prefix != "arn" || partition.is_empty() {
            return Err(format!("{text:?}, which does not begin with arn:PARTITION"));
        }
        let (resource_type, id) = resource.split_once('/').unwrap_or((resource, ""));
        if (*service, resource_type) != (kind.service(), kind.resource_type()) {
            let other = ArnKind::ALL
                .into_iter()
                .find(|other| (*service, resource_type) == (other.service(), other.resource_type()));
            return Err(match other {
                Some(other) => format!("the ARN of {other}, {text:?}"),
                None => format!("the ARN of a {resource_type:?} of the service {service:?}, {text:?}"),
            });
        }
        match (kind, region.is_empty()) {
            (ArnKind::Role, false) => return Err(format!("{text:?}, which has a region")),
            (ArnKind::TrustAnchor | ArnKind::Profile, true) => return Err(format!("{text:?}, which has no region")),
            _ => {}
        }
        if account.len() != 12 || !account.bytes().all(|octet| octet.is_ascii_digit()) {
            return Err(format!("{text:?}, whose account is not twelve digits"));
        }
        if id.is_empty() || id.ends_with('/') || !id.bytes().all(is_resource_octet) {
            return Err(format!("{text:?}, which ends in no {resource_type}"));
        }
        Ok(Self {
            text: text.to_owned(),
            partition: (*partition).to_owned(),
            region: (*region).to_owned(),
            account: (*account).to_owned(),
        })
    }
}

/// What IAM allows in paths and names; the UUIDs of the other two are among it.
fn is_resource_octet(octet: u8) -> bool {
    octet.is_ascii_graphic()
}

#[cfg(test)]
mod tests {
    use super::*;

    const ANCHOR: &str =
        "arn:aws:rolesanywhere:us-east-1:111122223333:trust-anchor/11111111-2222-4333-8444-555555555555";
    const PROFILE: &str = "arn:aws:rolesanywhere:us-east-1:111122223333:profile/0f1e2d3c-4b5a-4978-8695-a4b3c2d1e0f1";
    const ROLE: &str = "arn:aws:iam::111122223333:role/team/Example+Role=1";

    #[test]
    fn well_formed_arns_are_read() {
        for (kind, text) in [(ArnKind::TrustAnchor, ANCHOR), (ArnKind::Profile, PROFILE), (ArnKind::Role, ROLE)] {
            let arn = Arn::parse(kind, text).unwrap();
            assert_eq!((arn.as_str(), arn.account(), arn.partition()), (text, "111122223333", "aws"));
        }
        assert_eq!(Arn::parse(ArnKind::TrustAnchor, ANCHOR).unwrap().region(), "us-east-1");
    }

    #[test]
    fn each_error_names_the_flag_and_what_was_found() {
        let table = [
            (
                ArnKind::TrustAnchor,
                "",
                "--trust-anchor-arn: wanted arn:PARTITION:rolesanywhere:REGION:ACCOUNT:trust-anchor/ID, found nothing",
            ),
            (ArnKind::TrustAnchor, PROFILE, "found the ARN of a profile, "),
            (
                ArnKind::Profile,
                ROLE,
                "--profile-arn: wanted arn:PARTITION:rolesanywhere:REGION:ACCOUNT:profile/ID, found the ARN of a role, ",
            ),
            (ArnKind::Role, "arn:aws:iam::111122223333:user/me", "found the ARN of a \"user\" of the service \"iam\""),
            (ArnKind::Role, "ExampleRole", "which has not six parts"),
            (ArnKind::Role, "urn:aws:iam::111122223333:role/x", "does not begin with arn:PARTITION"),
            (ArnKind::Role, "arn:aws:iam:us-east-1:111122223333:role/x", "which has a region"),
            (ArnKind::Profile, "arn:aws:rolesanywhere::111122223333:profile/x", "which has no region"),
            (ArnKind::Role, "arn:aws:iam::1111:role/x", "whose account is not twelve digits"),
            (ArnKind::Role, "arn:aws:iam::111122223333:role/", "which ends in no role"),
            (ArnKind::Role, "arn:aws:iam::111122223333:role/team/", "which ends in no role"),
            (ArnKind::Role, "arn:aws:iam::111122223333:role/a\nb", "a\\nb"),
        ];
        for (kind, text, wanted) in table {
            let error = Arn::parse(kind, text).unwrap_err().to_string();
            assert!(error.contains(wanted), "{text:?}: {error}");
        }
        let long = format!("{ROLE}{}", "x".repeat(1011));
        assert!(Arn::parse(ArnKind::Role, &long).unwrap_err().to_string().contains("at most 1011"));
    }
}
