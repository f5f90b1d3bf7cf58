//! What is asked of CreateSession: checked here, so that the service need not be asked to find a mistake.

use serde::Serialize;

use super::arn::{Arn, ArnKind};
use super::error::RequestError;
use super::region::Region;

/// Seconds that the service takes as `durationSeconds`.
const DURATION: std::ops::RangeInclusive<u32> = 900..=43_200;

/// A session to be created: three resources that fit together, and the wishes for it.
#[derive(Clone, Debug)]
pub struct CreateSession {
    trust_anchor: Arn,
    profile: Arn,
    role: Arn,
    region: Region,
    duration_seconds: Option<u32>,
    role_session_name: Option<String>,
}

/// The body on the wire. The ARNs travel here and not in the query, because of the `=` that a role's name may hold: the User
/// Guide encodes it twice in a canonical query, the SDKs once. Members are in alphabetical order: JSON gives order no
/// meaning, but the body is hashed, and one order makes a request reproducible.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Body<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    duration_seconds: Option<u32>,
    profile_arn: &'a str,
    role_arn: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    role_session_name: Option<&'a str>,
    trust_anchor_arn: &'a str,
}

impl CreateSession {
    /// Reads the three ARNs and checks that they fit together. Trust anchor and profile must be in one region and partition;
    /// the service also wants all three in one account, but says so itself: a difference is only warned about.
    pub fn new(trust_anchor_arn: &str, profile_arn: &str, role_arn: &str) -> Result<Self, RequestError> {
        let trust_anchor = Arn::parse(ArnKind::TrustAnchor, trust_anchor_arn)?;
        let profile = Arn::parse(ArnKind::Profile, profile_arn)?;
        let role = Arn::parse(ArnKind::Role, role_arn)?;
        let region = Region::parse(trust_anchor.region(), "--trust-anchor-arn")?;
        if profile.region() != trust_anchor.region() {
            return Err(RequestError::new(format!(
                "wanted trust anchor and profile in one region, found --trust-anchor-arn in {} and --profile-arn in {}",
                trust_anchor.region(),
                profile.region()
            )));
        }
        for (other, flag) in [(&profile, "--profile-arn"), (&role, "--role-arn")] {
            if other.partition() != trust_anchor.partition() {
                return Err(RequestError::new(format!(
                    "wanted all ARNs in one partition, found --trust-anchor-arn in {} and {flag} in {}",
                    trust_anchor.partition(),
                    other.partition()
                )));
            }
            if other.account() != trust_anchor.account() {
                log::warn!(
                    "--trust-anchor-arn is in account {}, {flag} in {}: the service wants all in one",
                    trust_anchor.account(),
                    other.account()
                );
            }
        }
        Ok(Self { trust_anchor, profile, role, region, duration_seconds: None, role_session_name: None })
    }

    /// Asks for a lifetime of 900 to 43200 seconds; without it the profile decides.
    pub fn with_duration(mut self, seconds: u32) -> Result<Self, RequestError> {
        if !DURATION.contains(&seconds) {
            return Err(RequestError::new(format!(
                "--session-duration: wanted {} to {} seconds, found {seconds}",
                DURATION.start(),
                DURATION.end()
            )));
        }
        self.duration_seconds = Some(seconds);
        Ok(self)
    }

    /// Names the session, by the rules of sts:AssumeRole; without it the leaf's serial number does. The profile must allow it.
    pub fn with_role_session_name(mut self, name: &str) -> Result<Self, RequestError> {
        let is_allowed = |octet: u8| octet.is_ascii_alphanumeric() || b"_+=,.@-".contains(&octet);
        if !(2..=64).contains(&name.len()) || !name.bytes().all(is_allowed) {
            return Err(RequestError::new(format!(
                "--role-session-name: wanted 2 to 64 of the characters A-Z a-z 0-9 _ + = , . @ -, found {name:?}"
            )));
        }
        self.role_session_name = Some(name.to_owned());
        Ok(self)
    }

    /// The role's ARN.
    pub fn role_arn(&self) -> &str {
        self.role.as_str()
    }

    /// The trust anchor's region by its name.
    pub fn region_name(&self) -> &str {
        self.region.as_str()
    }

    /// The accounts that the ARNs name, each once, the trust anchor's first. The service wants all in one.
    pub fn accounts(&self) -> Vec<&str> {
        let mut accounts = vec![self.trust_anchor.account()];
        for other in [self.profile.account(), self.role.account()] {
            if !accounts.contains(&other) {
                accounts.push(other);
            }
        }
        accounts
    }

    /// The trust anchor's region.
    pub(super) fn region(&self) -> &Region {
        &self.region
    }

    /// The JSON that is sent.
    pub(super) fn body(&self) -> Vec<u8> {
        let body = Body {
            duration_seconds: self.duration_seconds,
            profile_arn: self.profile.as_str(),
            role_arn: self.role.as_str(),
            role_session_name: self.role_session_name.as_deref(),
            trust_anchor_arn: self.trust_anchor.as_str(),
        };
        // Strings and numbers always serialise.
        serde_json::to_vec(&body).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ANCHOR: &str =
        "arn:aws:rolesanywhere:us-east-1:111122223333:trust-anchor/11111111-2222-4333-8444-555555555555";
    const PROFILE: &str = "arn:aws:rolesanywhere:us-east-1:111122223333:profile/0f1e2d3c-4b5a-4978-8695-a4b3c2d1e0f1";
    const ROLE: &str = "arn:aws:iam::111122223333:role/ExampleRole";

    fn session() -> CreateSession {
        CreateSession::new(ANCHOR, PROFILE, ROLE).unwrap()
    }

    #[test]
    fn the_body_is_that_of_the_vectors() {
        let vector = concat!(env!("CARGO_MANIFEST_DIR"), "/softhsm-tests/vectors/rsa-body/request.json");
        let vector: serde_json::Value = serde_json::from_slice(&std::fs::read(vector).unwrap()).unwrap();
        let body = session().with_duration(900).unwrap().body();
        assert_eq!(String::from_utf8(body).unwrap(), vector["body"].as_str().unwrap());
    }

    #[test]
    fn what_is_not_asked_for_is_not_sent() {
        let body = String::from_utf8(session().body()).unwrap();
        assert!(!body.contains("duration") && !body.contains("roleSessionName"), "{body}");
        let named = session().with_role_session_name("web-01").unwrap().body();
        assert!(String::from_utf8(named).unwrap().contains(r#""roleSessionName":"web-01""#));
    }

    #[test]
    fn regions_and_partitions_must_agree() {
        let error = CreateSession::new(ANCHOR, &PROFILE.replace("us-east-1", "eu-west-1"), ROLE).unwrap_err();
        assert_eq!(
            error.to_string(),
            "wanted trust anchor and profile in one region, found --trust-anchor-arn in us-east-1 and --profile-arn in eu-west-1"
        );
        let error = CreateSession::new(ANCHOR, PROFILE, &ROLE.replace("arn:aws", "arn:aws-cn")).unwrap_err();
        assert!(error.to_string().contains("--role-arn in aws-cn"), "{error}");
        let odd = |arn: &str| arn.replace("us-east-1", "us.east.1");
        assert!(CreateSession::new(&odd(ANCHOR), &odd(PROFILE), ROLE).is_err());
    }

    #[test]
    fn durations_and_names_outside_the_rules_are_refused_here() {
        for seconds in [0, 899, 43_201] {
            assert!(session().with_duration(seconds).is_err(), "{seconds}");
        }
        for seconds in [900, 43_200] {
            assert!(session().with_duration(seconds).is_ok(), "{seconds}");
        }
        for name in ["", "x", "with space", "sl/ash", "ümlaut", &"x".repeat(65)] {
            assert!(session().with_role_session_name(name).is_err(), "{name}");
        }
        for name in ["ab", "_+=,.@-", &"x".repeat(64)] {
            assert!(session().with_role_session_name(name).is_ok(), "{name}");
        }
    }
}
