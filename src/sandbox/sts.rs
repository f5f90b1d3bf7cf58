//! STS GetCallerIdentity: tells who holds credentials that were vended here, after verifying the SigV4 signature made with
//! them. Takes the clock; knows no connection.

use aws_lc_rs::{constant_time, hmac};
use hyper::StatusCode;
use jiff::Timestamp;

use super::arrived::{Arrived, percent_decode, raw_pairs};
use super::authorization::{Authorization, SigningTime};
use super::canonical::string_to_sign;
use super::refusal::{Flaw, Refusal};
use super::vended::{Identity, Ledger, Vended};

const ALGORITHM: &str = "AWS4-HMAC-SHA256";
const ACTION: &str = "GetCallerIdentity";
const VERSION: &str = "2011-06-15";

/// Answers whose credentials signed the request, at the instant `now`.
pub fn caller_identity(ledger: &Ledger, arrived: &Arrived, now: Timestamp) -> Result<Identity, Refusal> {
    require_action(arrived)?;
    let header = arrived.header("authorization").map_err(|flaw| {
        Refusal::new(
            StatusCode::FORBIDDEN,
            "MissingAuthenticationToken",
            "Request is missing Authentication Token",
            flaw,
        )
    })?;
    let incomplete =
        |flaw: Flaw| Refusal::new(StatusCode::BAD_REQUEST, "IncompleteSignature", flaw.to_string(), flaw.to_string());
    let authorization = Authorization::parse(header).map_err(incomplete)?;
    let time = SigningTime::read(arrived).map_err(incomplete)?;
    if authorization.algorithm != ALGORITHM {
        let found = &authorization.algorithm;
        return Err(incomplete(Flaw::new(format!("wanted algorithm {ALGORITHM}, found {found:?}"))));
    }
    let amazon = arrived.headers().keys().map(|name| name.as_str()).filter(|name| name.starts_with("x-amz-"));
    authorization.require_signed(&amazon.chain(["host"]).collect::<Vec<_>>()).map_err(mismatch)?;
    authorization.scope.require("sts", &time).map_err(mismatch)?;
    time.require_near(now)
        .map_err(|flaw| Refusal::new(StatusCode::FORBIDDEN, "SignatureDoesNotMatch", flaw.to_string(), flaw))?;
    let vended = find(ledger, arrived, &authorization.principal)?;
    require_signature(arrived, &authorization, &time, &vended)?;
    if vended.expiration <= now {
        let reason = format!("{} expired at {}", vended.access_key_id, vended.expiration);
        let message = "The security token included in the request is expired";
        return Err(Refusal::new(StatusCode::FORBIDDEN, "ExpiredToken", message, reason));
    }
    Ok(vended.identity)
}

/// The action stands in the query of a GET, and in the form that a POST carries.
fn require_action(arrived: &Arrived) -> Result<(), Refusal> {
    let form = if arrived.method() == "GET" {
        arrived.query()
    } else {
        std::str::from_utf8(arrived.body()).map_err(Refusal::validation)?
    };
    let value = |wanted: &str| {
        let (_, value) = raw_pairs(form).find(|(name, _)| *name == wanted)?;
        String::from_utf8(percent_decode(value).ok()?).ok()
    };
    let (action, version) = (value("Action").unwrap_or_default(), value("Version").unwrap_or_default());
    if action == ACTION && version == VERSION {
        return Ok(());
    }
    let message = format!("Could not find operation {action} for version {version}");
    let reason = format!("wanted {ACTION} of {VERSION}, found {action:?} of {version:?}");
    Err(Refusal::new(StatusCode::BAD_REQUEST, "InvalidAction", message, reason))
}

/// Access key id and session token together name credentials.
fn find(ledger: &Ledger, arrived: &Arrived, access_key_id: &str) -> Result<Vended, Refusal> {
    let invalid = |reason: &str| {
        let message = "The security token included in the request is invalid.";
        Refusal::new(StatusCode::FORBIDDEN, "InvalidClientTokenId", message, reason)
    };
    let vended = ledger.find(access_key_id).ok_or_else(|| invalid("the access key id was not vended here"))?;
    let token = arrived.header("x-amz-security-token").map_err(|flaw| invalid(&flaw.to_string()))?;
    constant_time::verify_slices_are_equal(token.as_bytes(), vended.session_token.as_bytes())
        .map_err(|_| invalid("the session token is not the one that was vended with the access key id"))?;
    Ok(vended)
}

fn require_signature(
    arrived: &Arrived,
    authorization: &Authorization,
    time: &SigningTime,
    vended: &Vended,
) -> Result<(), Refusal> {
    let signed = string_to_sign(arrived, authorization, time).map_err(mismatch)?;
    hmac::verify(&signing_key(vended, authorization), &signed, &authorization.signature)
        .map_err(|_| mismatch(Flaw::new("wanted a signature that verifies, found one that does not")))
}

/// `HMAC(HMAC(HMAC(HMAC("AWS4" ‖ secret, date), region), service), "aws4_request")`.
fn signing_key(vended: &Vended, authorization: &Authorization) -> hmac::Key {
    let scope = &authorization.scope;
    let secret = format!("AWS4{}", vended.secret_access_key);
    [&scope.date, &scope.region, &scope.service, "aws4_request"]
        .iter()
        .fold(hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes()), |key, part| {
            hmac::Key::new(hmac::HMAC_SHA256, hmac::sign(&key, part.as_bytes()).as_ref())
        })
}

fn mismatch(flaw: Flaw) -> Refusal {
    let message = "The request signature we calculated does not match the signature you provided. Check your AWS Secret \
                   Access Key and signing method. Consult the service documentation for details.";
    Refusal::new(StatusCode::FORBIDDEN, "SignatureDoesNotMatch", message, flaw)
}
