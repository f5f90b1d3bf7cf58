//! From a request to the input of a signature, and from a signature to the headers that are sent.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use sha2::{Digest, Sha256};

use super::canonical::{self, Headers};
use crate::key::{HashAlgorithm, KeyAlgorithm, Signature, SigningInput};

/// The service's name in the credential scope.
const SERVICE: &str = "rolesanywhere";

/// A request that is to be signed.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// Upper-case.
    pub method: &'a str,
    /// Path of the URL as it is sent: percent-encoded once.
    pub path: &'a str,
    /// Names and values of the query, not encoded.
    pub query: &'a [(&'a str, &'a str)],
    /// The headers to sign beside those that signing adds; `host` must be among them.
    pub headers: &'a [(&'a str, &'a str)],
    /// The whole body.
    pub body: &'a [u8],
}

/// Whose signature it will be.
#[derive(Clone, Copy, Debug)]
pub struct Signer<'a> {
    /// The leaf's key.
    pub algorithm: KeyAlgorithm,
    /// The leaf's serial number in decimal.
    pub serial: &'a str,
    /// DER of the leaf.
    pub leaf: &'a [u8],
    /// DER of the leaf's issuer, then of that one's issuer and so on; without leaf and root.
    pub chain: &'a [&'a [u8]],
}

/// A request with everything but its signature.
#[derive(Debug)]
pub struct Prepared {
    canonical_request: String,
    input: SigningInput,
    string_to_sign: String,
    /// The Authorization header up to and including `Signature=`.
    authorization: String,
    /// The headers that signing adds, but Authorization.
    headers: Vec<(&'static str, String)>,
}

/// Builds the canonical request and the string to sign for this moment and region.
pub fn prepare(request: &Request<'_>, time: Timestamp, region: &str, signer: &Signer<'_>) -> Prepared {
    let time = time.to_zoned(TimeZone::UTC);
    let amz_date = time.strftime("%Y%m%dT%H%M%SZ").to_string();
    let scope = format!("{}/{region}/{SERVICE}/aws4_request", time.strftime("%Y%m%d"));

    let mut added = vec![("x-amz-date", amz_date.clone()), ("x-amz-x509", STANDARD.encode(signer.leaf))];
    if !signer.chain.is_empty() {
        let chain: Vec<String> = signer.chain.iter().map(|der| STANDARD.encode(der)).collect();
        added.push(("x-amz-x509-chain", chain.join(",")));
    }

    let signed =
        Headers::new(request.headers.iter().copied().chain(added.iter().map(|(name, value)| (*name, value.as_str()))));
    let canonical_request = canonical::request(request, &signed, &sha256_hex(request.body));
    let algorithm = algorithm_name(signer.algorithm);
    let string_to_sign = format!("{algorithm}\n{amz_date}\n{scope}\n{}", sha256_hex(canonical_request.as_bytes()));
    let authorization =
        format!("{algorithm} Credential={}/{scope}, SignedHeaders={}, Signature=", signer.serial, signed.names());
    // SHA-256 whatever the curve or modulus: the algorithm's name says so.
    let input = SigningInput::new(string_to_sign.clone().into_bytes(), HashAlgorithm::Sha256);
    Prepared { canonical_request, input, string_to_sign, authorization, headers: added }
}

impl Prepared {
    /// What the service will rebuild from the request.
    pub fn canonical_request(&self) -> &str {
        &self.canonical_request
    }

    /// The message that the key signs.
    pub fn string_to_sign(&self) -> &str {
        &self.string_to_sign
    }

    /// The same as an input for a key.
    pub fn signing_input(&self) -> &SigningInput {
        &self.input
    }

    /// The headers that make the request a signed one, Authorization last, to be sent beside those that were signed.
    pub fn finish(mut self, signature: &Signature) -> Vec<(&'static str, String)> {
        self.authorization.push_str(&hex(signature.as_bytes()));
        self.headers.push(("authorization", self.authorization));
        self.headers
    }
}

fn algorithm_name(algorithm: KeyAlgorithm) -> &'static str {
    match algorithm {
        KeyAlgorithm::Rsa { .. } => "AWS4-X509-RSA-SHA256",
        KeyAlgorithm::Ec(_) => "AWS4-X509-ECDSA-SHA256",
    }
}

fn sha256_hex(octets: &[u8]) -> String {
    hex(&Sha256::digest(octets))
}

fn hex(octets: &[u8]) -> String {
    octets.iter().map(|octet| format!("{octet:02x}")).collect()
}
