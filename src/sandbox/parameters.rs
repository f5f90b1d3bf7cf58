//! The parameters of CreateSession: where they may stand, and what they may be.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use serde::Deserialize;

use super::arrived::Arrived;
use super::refusal::Flaw;

const DURATION_SECONDS: RangeInclusive<i64> = 900..=43_200;
const SESSION_NAME_LEN: RangeInclusive<usize> = 2..=64;
const MAX_ARN_LEN: usize = 1011;
const MAX_INSTANCE_PROPERTIES: usize = 50;
const INSTANCE_PROPERTY_LEN: RangeInclusive<usize> = 1..=200;

/// What a well-formed request asks for.
#[derive(Debug, PartialEq, Eq)]
pub struct Parameters {
    /// The trust anchor.
    pub trust_anchor: ResourceArn,
    /// The profile.
    pub profile: ResourceArn,
    /// The role.
    pub role: RoleArn,
    /// 900 to 43200, if given.
    pub duration_seconds: Option<u32>,
    /// In the form that STS takes, if given.
    pub role_session_name: Option<String>,
}

/// `arn:PARTITION:rolesanywhere:REGION:ACCOUNT:KIND/ID`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResourceArn {
    /// As it came.
    pub text: String,
    /// `aws`, `aws-cn`, …
    pub partition: String,
    /// The region it is in.
    pub region: String,
    /// Twelve digits.
    pub account: String,
}

/// `arn:PARTITION:iam::ACCOUNT:role/[PATH/]NAME`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RoleArn {
    /// As it came.
    pub text: String,
    /// `aws`, `aws-cn`, …
    pub partition: String,
    /// Twelve digits.
    pub account: String,
    /// Without the path.
    pub name: String,
}

/// The JSON body. Members it does not know are ignored, as the service does.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Body {
    trust_anchor_arn: Option<String>,
    profile_arn: Option<String>,
    role_arn: Option<String>,
    duration_seconds: Option<i64>,
    role_session_name: Option<String>,
    instance_properties: Option<BTreeMap<String, String>>,
}

impl Parameters {
    /// Reads the query and the body of a request.
    pub fn read(arrived: &Arrived) -> Result<Self, Flaw> {
        let query = arrived.query_pairs()?;
        let body = Body::read(arrived.body())?;
        let arn = |name: &str, in_body: &Option<String>| -> Result<String, Flaw> {
            let mut given: Vec<&String> =
                query.iter().filter(|(key, _)| key == name).map(|(_, value)| value).chain(in_body).collect();
            match (given.pop(), given.is_empty()) {
                (Some(arn), true) if arn.len() <= MAX_ARN_LEN => Ok(arn.clone()),
                (Some(_), true) => {
                    Err(Flaw::new(format!("wanted at most {MAX_ARN_LEN} characters in {name}, found more")))
                }
                (Some(_), false) => {
                    Err(Flaw::new(format!("wanted {name} once, in the query or in the body, found it twice")))
                }
                (None, _) => Err(Flaw::new(format!("wanted {name} in the query or in the body, found none"))),
            }
        };
        body.require_instance_properties()?;
        Ok(Self {
            trust_anchor: ResourceArn::parse(
                "trustAnchorArn",
                "trust-anchor",
                &arn("trustAnchorArn", &body.trust_anchor_arn)?,
            )?,
            profile: ResourceArn::parse("profileArn", "profile", &arn("profileArn", &body.profile_arn)?)?,
            role: RoleArn::parse(&arn("roleArn", &body.role_arn)?)?,
            duration_seconds: body.duration_seconds.map(duration).transpose()?,
            role_session_name: body.role_session_name.map(session_name).transpose()?,
        })
    }
}

impl Body {
    fn read(octets: &[u8]) -> Result<Self, Flaw> {
        if octets.is_empty() {
            return Ok(Self::default());
        }
        // Members by position in an array are serde's own idea.
        if octets.trim_ascii_start().first() != Some(&b'{') {
            return Err(Flaw::new("wanted the parameters in a JSON object, found something else"));
        }
        serde_json::from_slice(octets)
            .map_err(|error| Flaw::new(format!("wanted the parameters in a JSON object, found {error}")))
    }

    fn require_instance_properties(&self) -> Result<(), Flaw> {
        let properties = self.instance_properties.iter().flatten();
        let too_long = |text: &String| !INSTANCE_PROPERTY_LEN.contains(&text.chars().count());
        if properties.clone().count() > MAX_INSTANCE_PROPERTIES {
            return Err(Flaw::new(format!("wanted at most {MAX_INSTANCE_PROPERTIES} instanceProperties, found more")));
        }
        if properties.clone().any(|(key, value)| too_long(key) || too_long(value)) {
            return Err(Flaw::new("wanted instanceProperties of 1 to 200 characters, found another length"));
        }
        Ok(())
    }
}

impl ResourceArn {
    fn parse(parameter: &str, kind: &str, text: &str) -> Result<Self, Flaw> {
        let malformed = || {
            Flaw::new(format!(
                "wanted {parameter} arn:PARTITION:rolesanywhere:REGION:ACCOUNT:{kind}/ID, found {text:?}"
            ))
        };
        let parts: Vec<&str> = text.split(':').collect();
        let ["arn", partition, "rolesanywhere", region, account, resource] = parts.as_slice() else {
            return Err(malformed());
        };
        let id = resource.strip_prefix(kind).and_then(|rest| rest.strip_prefix('/'));
        if !is_partition(partition) || !is_region(region) || !is_account(account) || !id.is_some_and(is_id) {
            return Err(malformed());
        }
        Ok(Self {
            text: text.to_owned(),
            partition: (*partition).to_owned(),
            region: (*region).to_owned(),
            account: (*account).to_owned(),
        })
    }
}

impl RoleArn {
    fn parse(text: &str) -> Result<Self, Flaw> {
        let malformed =
            || Flaw::new(format!("wanted roleArn arn:PARTITION:iam::ACCOUNT:role/[PATH/]NAME, found {text:?}"));
        let parts: Vec<&str> = text.splitn(6, ':').collect();
        let ["arn", partition, "iam", "", account, resource] = parts.as_slice() else {
            return Err(malformed());
        };
        let path_and_name = resource.strip_prefix("role/").ok_or_else(malformed)?;
        let name = path_and_name.rsplit('/').next().unwrap_or_default();
        let path_is_printable = path_and_name.bytes().all(|octet| octet.is_ascii_graphic());
        let name_is_valid = (1..=64).contains(&name.len()) && name.chars().all(is_name_character);
        if !is_partition(partition) || !is_account(account) || !path_is_printable || !name_is_valid {
            return Err(malformed());
        }
        Ok(Self {
            text: text.to_owned(),
            partition: (*partition).to_owned(),
            account: (*account).to_owned(),
            name: name.to_owned(),
        })
    }
}

fn duration(seconds: i64) -> Result<u32, Flaw> {
    match u32::try_from(seconds) {
        Ok(valid) if DURATION_SECONDS.contains(&seconds) => Ok(valid),
        _ => Err(Flaw::new(format!(
            "wanted durationSeconds between {} and {}, found {seconds}",
            DURATION_SECONDS.start(),
            DURATION_SECONDS.end()
        ))),
    }
}

fn session_name(name: String) -> Result<String, Flaw> {
    if SESSION_NAME_LEN.contains(&name.chars().count()) && name.chars().all(is_name_character) {
        return Ok(name);
    }
    Err(Flaw::new(format!("wanted roleSessionName of 2 to 64 characters of [\\w+=,.@-], found {name:?}")))
}

fn is_name_character(character: char) -> bool {
    character.is_ascii_alphanumeric() || "_+=,.@-".contains(character)
}

fn is_partition(text: &str) -> bool {
    text.strip_prefix("aws").is_some_and(|rest| rest.is_empty() || (rest.starts_with('-') && is_region(rest)))
}

fn is_region(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|octet| octet.is_ascii_lowercase() || octet.is_ascii_digit() || octet == b'-')
}

fn is_account(text: &str) -> bool {
    text.len() == 12 && text.bytes().all(|octet| octet.is_ascii_digit())
}

/// The form of a UUID; its digits may be any letters, as in the examples of AWS's own documentation.
fn is_id(text: &str) -> bool {
    let lengths = text.split('-').map(str::len);
    lengths.eq([8, 4, 4, 4, 12]) && text.bytes().all(|octet| octet.is_ascii_alphanumeric() || octet == b'-')
}

#[cfg(test)]
mod tests {
    use super::*;
    use hyper::Request;
    use hyper::body::Bytes;

    const ANCHOR: &str =
        "arn:aws:rolesanywhere:us-east-1:111122223333:trust-anchor/11111111-2222-4333-8444-555555555555";
    const PROFILE: &str = "arn:aws:rolesanywhere:us-east-1:111122223333:profile/41cl0bae-6783-40d4-ab20-65dc5d922e45";
    const ROLE: &str = "arn:aws:iam::111122223333:role/team/Example+Role";

    fn read(query: &str, body: &str) -> Result<Parameters, Flaw> {
        let request =
            Request::post(format!("/sessions?{query}")).body(Bytes::copy_from_slice(body.as_bytes())).unwrap();
        Parameters::read(&Arrived::new(request))
    }

    fn body(more: &str) -> String {
        format!(r#"{{"trustAnchorArn":"{ANCHOR}","profileArn":"{PROFILE}","roleArn":"{ROLE}"{more}}}"#)
    }

    #[test]
    fn takes_the_arns_from_the_query_or_from_the_body() {
        let in_body = read("", &body("")).unwrap();
        let query = format!(
            "trustAnchorArn={ANCHOR}&profileArn={}&roleArn={}",
            PROFILE.replace(':', "%3A"),
            ROLE.replace('+', "%2B")
        );
        assert_eq!(read(&query, "").unwrap(), in_body);
        assert_eq!(in_body.role.name, "Example+Role");
        assert_eq!(in_body.duration_seconds, None);
    }

    #[test]
    fn takes_the_documented_ranges_and_ignores_what_it_does_not_know() {
        for seconds in [900, 43_200] {
            let parameters = read("", &body(&format!(r#","durationSeconds":{seconds},"sessionName":"old""#))).unwrap();
            assert_eq!(parameters.duration_seconds, Some(seconds));
        }
        let named = read("", &body(r#","roleSessionName":"a_+=,.@-Z9","instanceProperties":{"a":"b"}"#)).unwrap();
        assert_eq!(named.role_session_name.as_deref(), Some("a_+=,.@-Z9"));
    }

    #[test]
    fn refuses_what_the_documentation_excludes() {
        let long = "x".repeat(65);
        let more = [
            r#","durationSeconds":899"#,
            r#","durationSeconds":43201"#,
            r#","durationSeconds":-900"#,
            r#","durationSeconds":"900""#,
            r#","durationSeconds":900.5"#,
            r#","roleSessionName":"a""#,
            r#","roleSessionName":"a b""#,
            &format!(r#","roleSessionName":"{long}""#),
            r#","instanceProperties":{"a":""}"#,
            r#","instanceProperties":{"a":1}"#,
            &format!(r#","roleArn":"{ROLE}""#),
        ];
        for more in more {
            assert!(read("", &body(more)).is_err(), "{more}");
        }
        assert!(read(&format!("roleArn={ROLE}"), &body("")).is_err(), "in the query and in the body");
        let query = format!("trustAnchorArn={ANCHOR}&profileArn={PROFILE}&roleArn={ROLE}");
        assert!(read(&query, " {}").is_ok());
        for broken in ["[]", "{", "{}{}", "null", "\u{0}"] {
            assert!(read(&query, broken).is_err(), "{broken}");
        }
    }

    #[test]
    fn refuses_malformed_arns() {
        let spoil = |from: &str, to: &str| read("", &body("").replace(from, to));
        for (from, to) in [
            ("trust-anchor/", "trust_anchor/"),
            ("arn:aws:rolesanywhere", "arn:gcp:rolesanywhere"),
            ("us-east-1", ""),
            ("us-east-1", "US-EAST-1"),
            ("111122223333:trust", "11112222333:trust"),
            ("-555555555555", "-55555555555"),
            ("555555555555", "55555555555!"),
            (":role/", "::role/"),
            ("iam::", "iam:us-east-1:"),
            ("Example+Role", ""),
            ("Example+Role", "Example Role"),
            ("\"roleArn\"", "\"rolearn\""),
        ] {
            assert!(spoil(from, to).is_err(), "{from} → {to}");
        }
        assert!(spoil("Example+Role", &"r".repeat(65)).is_err());
    }
}
