//! CreateSession: who signed the request, whether it may, and what it gets. Takes the clock; knows no connection.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use jiff::Timestamp;
use serde_json::{Value, json};

use super::arrived::Arrived;
use super::authorization::{Authorization, SigningTime};
use super::canonical::string_to_sign;
use super::certificate::Certificate;
use super::chain::{MAX_INTERMEDIATES, require_path};
use super::parameters::Parameters;
use super::refusal::{Flaw, Refusal};
use super::signature::Hash;
use super::vended::{Identity, Vended, random_text, uuid};

/// What this endpoint trusts, has and allows.
#[derive(Clone)]
pub struct Policy {
    /// Certificates of the trust anchors; every trust anchor ARN stands for all of them.
    pub trust_anchors: Vec<Certificate>,
    /// The region of the endpoint; without one it stands in for every region.
    pub region: Option<String>,
    /// The trust anchors that exist; empty: any.
    pub trust_anchor_arns: Vec<String>,
    /// The profiles that exist; empty: any.
    pub profile_arns: Vec<String>,
    /// The roles that can be assumed; empty: any.
    pub role_arns: Vec<String>,
    /// The profiles' `acceptRoleSessionName`.
    pub accept_role_session_name: bool,
    /// The profiles' `durationSeconds`, which a request can only shorten.
    pub profile_duration_seconds: u32,
    /// The roles' `MaxSessionDuration`.
    pub max_session_duration_seconds: u32,
    /// How long credentials are valid whatever was asked for, for rehearsing expiry.
    pub lifetime_seconds: Option<u32>,
}

/// The certificates that came with a request.
pub struct Presented {
    /// From `X-Amz-X509`.
    pub leaf: Certificate,
    intermediates: Vec<Certificate>,
}

/// A session that is granted.
#[derive(Debug)]
pub struct Grant {
    /// Whose the credentials shall be.
    pub identity: Identity,
    /// When they shall end.
    pub expiration: Timestamp,
    role_arn: String,
    source_identity: String,
    subject_arn: String,
}

impl Presented {
    /// Reads `X-Amz-X509` and `X-Amz-X509-Chain`.
    pub fn read(arrived: &Arrived) -> Result<Self, Refusal> {
        let leaf = arrived.header("x-amz-x509").and_then(decode).map_err(Refusal::insufficient_certificate)?;
        let chain = arrived.optional_header("x-amz-x509-chain").map_err(Refusal::untrusted)?;
        let sent = chain.into_iter().flat_map(|chain| chain.split(','));
        let intermediates: Vec<Certificate> = sent.map(decode).collect::<Result<_, _>>().map_err(Refusal::untrusted)?;
        if intermediates.len() > MAX_INTERMEDIATES {
            let found = intermediates.len();
            return Err(Refusal::untrusted(format!(
                "wanted at most {MAX_INTERMEDIATES} certificates in the chain, found {found}"
            )));
        }
        Ok(Self { leaf, intermediates })
    }

    /// Judges the request at the instant `now`: first who asks, then for what, then whether it may.
    pub fn judge(&self, policy: &Policy, arrived: &Arrived, now: Timestamp) -> Result<Grant, Refusal> {
        let region = self.require_signature(policy, arrived, now)?;
        let parameters = Parameters::read(arrived).map_err(Refusal::validation)?;
        policy.require_existing(&parameters, &region)?;
        self.leaf.require_end_entity(now).map_err(Refusal::insufficient_certificate)?;
        require_path(&self.leaf, &self.intermediates, &policy.trust_anchors, now).map_err(Refusal::untrusted)?;
        let duration = policy.require_allowed(&parameters)?;
        let expiration = Timestamp::from_second(now.as_second() + i64::from(duration)).map_err(Refusal::validation)?;
        self.grant(parameters, &region, expiration).map_err(Refusal::internal)
    }

    /// Checks the signature and everything it binds; gives the region that the request is for.
    fn require_signature(&self, policy: &Policy, arrived: &Arrived, now: Timestamp) -> Result<String, Refusal> {
        let authorization = Authorization::parse(arrived.header("authorization").map_err(missing_token)?)
            .map_err(Refusal::invalid_signature)?;
        let time = SigningTime::read(arrived).map_err(Refusal::invalid_signature)?;
        let key = self.leaf.public_key().map_err(Refusal::insufficient_certificate)?;
        self.require_bound(key.request_algorithm(), &authorization, arrived, &time)
            .map_err(Refusal::invalid_signature)?;
        policy.require_region(&authorization.scope.region).map_err(Refusal::invalid_signature)?;
        time.require_near(now).map_err(|flaw| Refusal::access_denied(flaw.to_string(), flaw))?;
        let signed = string_to_sign(arrived, &authorization, &time).map_err(Refusal::invalid_signature)?;
        key.verify(Hash::Sha256, &signed, &authorization.signature).map_err(Refusal::invalid_signature)?;
        Ok(authorization.scope.region)
    }

    /// Algorithm, serial number, scope and signed headers must be those of this leaf and this request.
    fn require_bound(
        &self,
        algorithm: &str,
        authorization: &Authorization,
        arrived: &Arrived,
        time: &SigningTime,
    ) -> Result<(), Flaw> {
        if authorization.algorithm != algorithm {
            return Err(Flaw::new(format!(
                "wanted algorithm {algorithm} for the leaf's key, found {:?}",
                authorization.algorithm
            )));
        }
        if octets_of_decimal(&authorization.principal).as_deref() != Some(self.leaf.serial()) {
            return Err(Flaw::new(format!(
                "wanted the leaf's serial number 0x{} in decimal in Credential, found {:?}",
                self.leaf.serial_hex(),
                authorization.principal
            )));
        }
        authorization.scope.require("rolesanywhere", time)?;
        authorization.require_signed(&["content-type", "host", "x-amz-date", "x-amz-x509"])?;
        if arrived.headers().contains_key("x-amz-x509-chain") {
            authorization.require_signed(&["x-amz-x509-chain"])?;
        }
        Ok(())
    }

    fn grant(&self, parameters: Parameters, region: &str, expiration: Timestamp) -> Result<Grant, Flaw> {
        let role = parameters.role;
        let session = parameters.role_session_name.unwrap_or_else(|| self.leaf.serial_hex());
        let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, self.leaf.der());
        let subject_id: [u8; 16] = digest.as_ref().first_chunk().copied().unwrap_or_default();
        let identity = Identity {
            arn: format!("arn:{}:sts::{}:assumed-role/{}/{session}", role.partition, role.account, role.name),
            user_id: format!("AROASANDBOX{}:{session}", random_text(10)?),
            account: role.account.clone(),
        };
        Ok(Grant {
            identity,
            expiration,
            role_arn: role.text,
            source_identity: self.source_identity(),
            subject_arn: format!(
                "arn:{}:rolesanywhere:{region}:{}:subject/{}",
                role.partition,
                role.account,
                uuid(subject_id)
            ),
        })
    }

    /// `CN=` and the common name where STS's 64 characters allow it, the bare common name, else the serial number.
    fn source_identity(&self) -> String {
        match self.leaf.common_name() {
            Some(name) if name.chars().count() <= 61 => format!("CN={name}"),
            Some(name) => name,
            None => format!("ID={}", self.leaf.serial_hex()),
        }
    }
}

impl Policy {
    fn require_region(&self, found: &str) -> Result<(), Flaw> {
        match &self.region {
            Some(wanted) if wanted != found => {
                Err(Flaw::new(format!("wanted region {wanted} in the scope, found {found:?}")))
            }
            _ => Ok(()),
        }
    }

    /// Trust anchor and profile must exist in the endpoint's region, in one account.
    fn require_existing(&self, parameters: &Parameters, region: &str) -> Result<(), Refusal> {
        let known = [
            ("Trust anchor", &parameters.trust_anchor, &self.trust_anchor_arns),
            ("Profile", &parameters.profile, &self.profile_arns),
        ];
        for (kind, arn, existing) in known {
            let absent = |reason: String| Refusal::not_found(format!("{kind} {} not found", arn.text), reason);
            if arn.region != region {
                return Err(absent(format!(
                    "wanted {} in the request's region {region}, found region {}",
                    arn.text, arn.region
                )));
            }
            if !existing.is_empty() && !existing.contains(&arn.text) {
                return Err(absent(format!("{} is not among those this endpoint was given", arn.text)));
            }
        }
        if parameters.profile.account != parameters.trust_anchor.account {
            let message = format!("Profile {} not found", parameters.profile.text);
            return Err(Refusal::not_found(message, "wanted trust anchor and profile in one account, found two"));
        }
        Ok(())
    }

    /// Whether the role may be assumed in this way; gives the seconds that the session lasts.
    fn require_allowed(&self, parameters: &Parameters) -> Result<u32, Refusal> {
        let role = &parameters.role;
        let refused = |more: &str, reason: String| {
            Refusal::access_denied(format!("Unable to assume role for {}.{more}", role.text), reason)
        };
        if parameters.role_session_name.is_some() && !self.accept_role_session_name {
            return Err(Refusal::access_denied(
                "Not authorized to set roleSessionName.",
                "the profile does not accept a roleSessionName (--accept-role-session-name)",
            ));
        }
        if role.account != parameters.profile.account || role.partition != parameters.profile.partition {
            return Err(refused("", "wanted the role in the profile's account, found another".to_owned()));
        }
        if !self.role_arns.is_empty() && !self.role_arns.contains(&role.text) {
            return Err(refused("", format!("{} is not among those this endpoint was given", role.text)));
        }
        let asked = parameters.duration_seconds.unwrap_or(self.profile_duration_seconds);
        let duration = asked.min(self.profile_duration_seconds);
        if duration > self.max_session_duration_seconds {
            let more = " The requested DurationSeconds exceeds the MaxSessionDuration set for this role.";
            return Err(refused(more, format!("{duration} s exceed {} s", self.max_session_duration_seconds)));
        }
        Ok(self.lifetime_seconds.unwrap_or(duration))
    }
}

impl Grant {
    /// The answer's body.
    pub fn answer(&self, vended: &Vended) -> Value {
        json!({
            "credentialSet": [{
                "assumedRoleUser": { "arn": self.identity.arn, "assumedRoleId": self.identity.user_id },
                "credentials": {
                    "accessKeyId": vended.access_key_id,
                    "secretAccessKey": vended.secret_access_key,
                    "sessionToken": vended.session_token,
                    "expiration": vended.expiration.to_string(),
                },
                "packedPolicySize": 10,
                "roleArn": self.role_arn,
                "sourceIdentity": self.source_identity,
            }],
            "subjectArn": self.subject_arn,
        })
    }
}

/// Standard Base64 of DER, padded and without line breaks.
fn decode(base64: &str) -> Result<Certificate, Flaw> {
    let der = BASE64_STANDARD
        .decode(base64)
        .map_err(|error| Flaw::new(format!("wanted a certificate in standard Base64, found {error}")))?;
    Certificate::from_der(&der)
}

/// The octets, big-endian, of a number in canonical decimal. Converts the client's text rather than the serial number, so that a
/// mistake of the client's own conversion shows.
fn octets_of_decimal(text: &str) -> Option<Vec<u8>> {
    // A serial number of 21 octets has at most 51 digits.
    if text.is_empty() || text.len() > 51 || text.starts_with('0') {
        return None;
    }
    let mut octets: Vec<u8> = Vec::new();
    for digit in text.chars() {
        let mut carry = digit.to_digit(10)?;
        for octet in octets.iter_mut().rev() {
            carry += u32::from(*octet) * 10;
            *octet = carry.to_be_bytes()[3];
            carry >>= 8;
        }
        if carry > 0 {
            octets.insert(0, carry.to_be_bytes()[3]);
        }
    }
    Some(octets)
}

fn missing_token(flaw: Flaw) -> Refusal {
    Refusal::access_denied("Missing Authentication Token", flaw)
}
