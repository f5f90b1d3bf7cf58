//! The `Authorization` header of SigV4 and SigV4-X509: three named parts in fixed order. Checks the form and what the form
//! alone can tell; whether the signature is right is for who knows the key.

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;

use super::arrived::{Arrived, unhex};
use super::refusal::Flaw;

/// How far `X-Amz-Date` may be from the service's clock, before or after.
pub const CLOCK_TOLERANCE_SECONDS: i64 = 300;

/// What the client says it signed.
#[derive(Debug, PartialEq, Eq)]
pub struct Authorization {
    /// The word before the parts, such as `AWS4-X509-RSA-SHA256`.
    pub algorithm: String,
    /// What precedes the scope in `Credential`: a certificate's serial number in decimal, or an access key id.
    pub principal: String,
    /// Date, region and service that the signature is for.
    pub scope: Scope,
    /// Lower-case names in ascending order, none twice.
    pub signed_headers: Vec<String>,
    /// The signature's octets.
    pub signature: Vec<u8>,
}

/// `YYYYMMDD/region/service/aws4_request`.
#[derive(Debug, PartialEq, Eq)]
pub struct Scope {
    /// `YYYYMMDD`.
    pub date: String,
    /// The region that the request is for.
    pub region: String,
    /// The service's name in signatures.
    pub service: String,
}

/// When the request says it was signed.
pub struct SigningTime {
    /// The header's text, which is part of the string to sign.
    pub text: String,
    /// The instant it names.
    pub instant: Timestamp,
}

impl Authorization {
    /// Reads `ALGORITHM Credential=…, SignedHeaders=…, Signature=…`.
    pub fn parse(value: &str) -> Result<Self, Flaw> {
        let malformed =
            || Flaw::new("wanted an Authorization of the form ALGORITHM Credential=…, SignedHeaders=…, Signature=…");
        let (algorithm, parts) = value.split_once(' ').ok_or_else(malformed)?;
        let mut parts = parts.split(", ");
        let mut part = |name: &str| parts.next().and_then(|part| part.strip_prefix(name)).ok_or_else(malformed);
        let credential = part("Credential=")?;
        let signed_headers = part("SignedHeaders=")?;
        let signature = part("Signature=")?;
        if parts.next().is_some() {
            return Err(malformed());
        }
        let (principal, scope) =
            credential.split_once('/').ok_or_else(|| Flaw::new("wanted Credential=PRINCIPAL/SCOPE, found no scope"))?;
        Ok(Self {
            algorithm: algorithm.to_owned(),
            principal: principal.to_owned(),
            scope: Scope::parse(scope)?,
            signed_headers: parse_signed_headers(signed_headers)?,
            signature: parse_signature(signature)?,
        })
    }

    /// Each of these headers must be signed.
    pub fn require_signed(&self, names: &[&str]) -> Result<(), Flaw> {
        match names.iter().find(|name| !self.signed_headers.iter().any(|signed| signed == **name)) {
            Some(name) => Err(Flaw::new(format!("wanted header {name} in SignedHeaders, found it missing"))),
            None => Ok(()),
        }
    }
}

impl Scope {
    fn parse(scope: &str) -> Result<Self, Flaw> {
        let parts: Vec<&str> = scope.split('/').collect();
        match parts.as_slice() {
            [date, region, service, "aws4_request"] if !region.is_empty() => {
                Ok(Self { date: (*date).to_owned(), region: (*region).to_owned(), service: (*service).to_owned() })
            }
            _ => Err(Flaw::new(format!("wanted scope DATE/REGION/SERVICE/aws4_request, found {scope:?}"))),
        }
    }

    /// The scope must be for this service on the day of the signing time.
    pub fn require(&self, service: &str, time: &SigningTime) -> Result<(), Flaw> {
        if self.service != service {
            return Err(Flaw::new(format!("wanted service {service} in the scope, found {:?}", self.service)));
        }
        if !time.text.starts_with(&self.date) || self.date.len() != 8 {
            return Err(Flaw::new(format!(
                "wanted the day of X-Amz-Date {} in the scope, found {:?}",
                time.text, self.date
            )));
        }
        Ok(())
    }
}

impl std::fmt::Display for Scope {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}/{}/aws4_request", self.date, self.region, self.service)
    }
}

impl SigningTime {
    /// From `X-Amz-Date`.
    pub fn read(arrived: &Arrived) -> Result<Self, Flaw> {
        let text = arrived.header("x-amz-date")?;
        let instant = basic_date_time(text)
            .ok_or_else(|| Flaw::new(format!("wanted X-Amz-Date as YYYYMMDDTHHMMSSZ, found {text:?}")))?;
        Ok(Self { text: text.to_owned(), instant })
    }

    /// The signing time must be near `now`. An error is worded as the service words it, and is meant for the answer too.
    pub fn require_near(&self, now: Timestamp) -> Result<(), Flaw> {
        let lead = self.instant.as_second() - now.as_second();
        let now = |offset: i64| format_basic(now.as_second() + offset);
        if lead < -CLOCK_TOLERANCE_SECONDS {
            let limit = now(-CLOCK_TOLERANCE_SECONDS);
            return Err(Flaw::new(format!(
                "Signature expired: {} is now earlier than {limit} ({} - 5 min.)",
                self.text,
                now(0)
            )));
        }
        if lead > CLOCK_TOLERANCE_SECONDS {
            let limit = now(CLOCK_TOLERANCE_SECONDS);
            return Err(Flaw::new(format!(
                "Signature not yet current: {} is still later than {limit} ({} + 5 min.)",
                self.text,
                now(0)
            )));
        }
        Ok(())
    }
}

/// `YYYYMMDDTHHMMSSZ`, and nothing else that ISO 8601 allows.
fn basic_date_time(text: &str) -> Option<Timestamp> {
    let shape = |(index, octet): (usize, u8)| match index {
        8 => octet == b'T',
        15 => octet == b'Z',
        _ => octet.is_ascii_digit(),
    };
    if text.len() != 16 || !text.bytes().enumerate().all(shape) {
        return None;
    }
    let number = |range: std::ops::Range<usize>| text.get(range)?.parse::<i16>().ok();
    let small = |start: usize| i8::try_from(number(start..start + 2)?).ok();
    let date_time = DateTime::new(number(0..4)?, small(4)?, small(6)?, small(9)?, small(11)?, small(13)?, 0).ok()?;
    Some(date_time.to_zoned(TimeZone::UTC).ok()?.timestamp())
}

fn format_basic(second: i64) -> String {
    Timestamp::from_second(second).unwrap_or_default().strftime("%Y%m%dT%H%M%SZ").to_string()
}

fn parse_signed_headers(list: &str) -> Result<Vec<String>, Flaw> {
    let names: Vec<String> = list.split(';').map(str::to_owned).collect();
    if names.iter().any(|name| name.is_empty() || name.bytes().any(|octet| octet.is_ascii_uppercase())) {
        return Err(Flaw::new(format!("wanted lower-case names joined by ; in SignedHeaders, found {list:?}")));
    }
    if !names.is_sorted_by(|earlier, later| earlier < later) {
        return Err(Flaw::new(format!("wanted SignedHeaders sorted, each name once, found {list:?}")));
    }
    Ok(names)
}

fn parse_signature(hex: &str) -> Result<Vec<u8>, Flaw> {
    let malformed = || Flaw::new("wanted the signature in lower-case hexadecimal");
    if hex.is_empty() || hex.bytes().any(|octet| octet.is_ascii_uppercase()) {
        return Err(malformed());
    }
    unhex(hex.as_bytes()).ok_or_else(malformed)
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "AWS4-X509-RSA-SHA256 Credential=42/20260102/eu-west-1/rolesanywhere/aws4_request, SignedHeaders=a;b, Signature=0aff";

    #[test]
    fn reads_the_three_parts() {
        let read = Authorization::parse(GOOD).unwrap();
        assert_eq!(read.algorithm, "AWS4-X509-RSA-SHA256");
        assert_eq!(read.principal, "42");
        assert_eq!(read.scope.to_string(), "20260102/eu-west-1/rolesanywhere/aws4_request");
        assert_eq!(read.signed_headers, ["a", "b"]);
        assert_eq!(read.signature, [0x0a, 0xff]);
    }

    #[test]
    fn refuses_every_other_form() {
        let spoiled = [
            ("Credential=42/", "Credential=42"),
            ("Credential=", "credential="),
            (", SignedHeaders=a;b", ""),
            (", Signature=0aff", ""),
            (", Signed", ",Signed"),
            ("aws4_request", "aws4"),
            ("/eu-west-1/", "//"),
            ("=a;b", "=b;a"),
            ("=a;b", "=a;a"),
            ("=a;b", "=A;b"),
            ("=a;b", "=a;"),
            ("=0aff", "=0AFF"),
            ("=0aff", "=0af"),
            ("=0aff", "=0agf"),
            ("=0aff", "="),
            ("=0aff", "=0aff, More=1"),
        ];
        for (from, to) in spoiled {
            let text = GOOD.replace(from, to);
            assert_ne!(text, GOOD);
            assert!(Authorization::parse(&text).is_err(), "{text}");
        }
    }

    #[test]
    fn reads_only_the_basic_form_of_a_date() {
        assert_eq!(basic_date_time("20260102T030405Z").unwrap().to_string(), "2026-01-02T03:04:05Z");
        for text in [
            "20260102T030405",
            "2026-01-02T03:04:05Z",
            "20261302T030405Z",
            "20260102T250405Z",
            "2026010 T030405Z",
            "é0260102T03045Z",
        ] {
            assert_eq!(basic_date_time(text), None, "{text}");
        }
    }

    #[test]
    fn the_scope_is_for_one_service_on_the_day_of_signing() {
        let text = "20260102T030405Z".to_owned();
        let time = SigningTime { instant: basic_date_time(&text).unwrap(), text };
        let scope = |text: &str| Scope::parse(text).unwrap();
        assert_eq!(scope("20260102/eu-west-1/sts/aws4_request").require("sts", &time), Ok(()));
        for wrong in [
            "20260103/r/sts/aws4_request",
            "2026/r/sts/aws4_request",
            "/r/sts/aws4_request",
            "20260102/r/s3/aws4_request",
        ] {
            assert!(scope(wrong).require("sts", &time).is_err(), "{wrong}");
        }
    }

    #[test]
    fn allows_five_minutes_either_way_and_no_second_more() {
        let time =
            SigningTime { text: "20260102T030405Z".to_owned(), instant: basic_date_time("20260102T030405Z").unwrap() };
        let at = |offset: i64| Timestamp::from_second(time.instant.as_second() + offset).unwrap();
        for offset in [-300, 0, 300] {
            assert_eq!(time.require_near(at(offset)), Ok(()));
        }
        assert!(time.require_near(at(301)).unwrap_err().to_string().starts_with(
            "Signature expired: 20260102T030405Z is now earlier than 20260102T030406Z (20260102T030906Z - 5 min.)"
        ));
        assert!(time.require_near(at(-301)).unwrap_err().to_string().starts_with("Signature not yet current"));
    }
}
