//! From an HTTP answer to credentials or to an error that says what was found instead. Pure: the time is passed in.

use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use ureq::http::HeaderMap;
use zeroize::Zeroizing;

use super::clock::ClockSkew;
use super::error::{AnswerError, Cause, ServiceError};
use super::meaning::Meaning;
use super::transport::HttpAnswer;
use crate::credentials::Credentials;

/// The most that is shown of another's words.
const LONGEST_SHOWN: usize = 1000;

/// What is shown of a body that is not the service's.
const LONGEST_SNIPPET: usize = 120;

/// The members that are read of a success; others are ignored.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Success {
    #[serde(default)]
    credential_set: Option<Vec<CredentialSet>>,
}

#[derive(Deserialize)]
struct CredentialSet {
    #[serde(default)]
    credentials: Option<SetCredentials>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[derive(Default)]
struct SetCredentials {
    access_key_id: Option<String>,
    secret_access_key: Option<Zeroizing<String>>,
    session_token: Option<Zeroizing<String>>,
    expiration: Option<String>,
}

/// What `--debug` shows of a success: the members that CreateSession documents, but for the secrets, which are not even read.
#[derive(Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
struct ShownSuccess {
    #[serde(default)]
    credential_set: Vec<ShownSet>,
    subject_arn: Option<String>,
}

#[derive(Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
struct ShownSet {
    assumed_role_user: Option<ShownUser>,
    credentials: Option<ShownCredentials>,
    packed_policy_size: Option<i64>,
    role_arn: Option<String>,
    source_identity: Option<String>,
}

#[derive(Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
struct ShownUser {
    arn: Option<String>,
    assumed_role_id: Option<String>,
}

#[derive(Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
struct ShownCredentials {
    access_key_id: Option<String>,
    expiration: Option<String>,
}

/// Reads an answer that came from `host` when the local clock showed `now`.
pub(super) fn interpret(answer: &HttpAnswer, host: &str, now: Timestamp) -> Result<Credentials, Cause> {
    let header = |name: &str| header(&answer.headers, name);
    let request_id = header("x-amzn-requestid");
    let named = request_id.as_deref().unwrap_or("none");
    let clock = header("date").and_then(|date| ClockSkew::measure(&date, now));
    if (200..300).contains(&answer.status) {
        let credentials = read_success(&answer.body, now).map_err(|message| {
            Cause::from(AnswerError {
                host: host.to_owned(),
                status: answer.status,
                message,
                request_id: request_id.clone(),
                clock,
            })
        })?;
        log::debug!(
            "response: HTTP {}, request id {named}, without secrets {}",
            answer.status,
            without_secrets(&answer.body)
        );
        if let Some(clock) = clock {
            log::warn!("{clock}");
        }
        return Ok(credentials);
    }
    log::debug!("response: HTTP {}, request id {named}, body {}", answer.status, shown(&answer.body, LONGEST_SHOWN));

    let (code, message) = read_failure(answer);
    let meaning = Meaning::of(answer.status, code.as_deref(), message.as_deref());
    let message = message.or_else(|| Some(describe_foreign(answer)));
    let retry_after = header("x-amz-retry-after").and_then(|text| text.parse().ok()).map(Duration::from_millis);
    let host = host.to_owned();
    Err(Cause::from(ServiceError {
        host,
        status: answer.status,
        code,
        message,
        request_id,
        meaning,
        clock,
        retry_after,
    }))
}

/// The error is what was wanted and what was found. It never repeats a part of the body: that may hold secrets.
fn read_success(body: &[u8], now: Timestamp) -> Result<Credentials, String> {
    let success: Success = serde_json::from_slice(body).map_err(|error| {
        let found = match error.classify() {
            serde_json::error::Category::Eof => "an end before its time",
            serde_json::error::Category::Data => "JSON of another shape",
            _ => "something else",
        };
        format!("wanted CreateSession's JSON, found {found} at line {} column {}", error.line(), error.column())
    })?;
    let set = success.credential_set.ok_or("wanted a credentialSet, found none")?;
    let first = set.into_iter().next().ok_or("wanted credentials in credentialSet, found it empty")?;
    let found = first.credentials.ok_or("wanted credentials in credentialSet, found none")?;
    let credentials = Credentials {
        access_key_id: found.access_key_id.unwrap_or_default(),
        secret_access_key: found.secret_access_key.unwrap_or_default(),
        session_token: found.session_token.unwrap_or_default(),
        expiration: found.expiration.unwrap_or_default(),
    };
    if let Some(field) = credentials.empty_field() {
        return Err(format!("wanted whole credentials, found no {field}"));
    }
    let expiration = shown(credentials.expiration.as_bytes(), LONGEST_SNIPPET);
    match credentials.expiration.parse::<Timestamp>() {
        Err(_) => Err(format!("wanted an expiration as in RFC 3339, found {expiration}")),
        Ok(time) if time <= now => Err(format!("wanted an expiration in the future, found {expiration}")),
        Ok(_) => Ok(credentials),
    }
}

/// A success as JSON, for the log.
fn without_secrets(body: &[u8]) -> String {
    let shown: Option<ShownSuccess> = serde_json::from_slice(body).ok();
    let text = shown.and_then(|shown| serde_json::to_string(&shown).ok());
    clean(&text.unwrap_or_else(|| "JSON of another shape".to_owned()), LONGEST_SHOWN)
}

/// Code and message of an error, where AWS's restJson1 protocol places them.
fn read_failure(answer: &HttpAnswer) -> (Option<String>, Option<String>) {
    let body: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
    let member = |names: [&str; 2]| {
        let text = names.iter().find_map(|name| body.get(name)?.as_str())?;
        Some(clean(text, LONGEST_SHOWN)).filter(|text| !text.is_empty())
    };
    let code = header(&answer.headers, "x-amzn-errortype").or_else(|| member(["code", "__type"])).map(|code| {
        let code = code.split(':').next().unwrap_or_default();
        code.split_once('#').map_or(code, |(_, name)| name).to_owned()
    });
    (code.filter(|code| !code.is_empty()), member(["message", "Message"]))
}

/// What an answer without AWS's message is.
fn describe_foreign(answer: &HttpAnswer) -> String {
    if let Some(location) = header(&answer.headers, "location") {
        return format!("a redirect to {location}, which is not followed");
    }
    if answer.body.is_empty() {
        return "no message".to_owned();
    }
    let kind = header(&answer.headers, "content-type").unwrap_or_else(|| "no content type".to_owned());
    format!(
        "no message that can be read but {} octets, {kind}, beginning {}",
        answer.body.len(),
        shown(&answer.body, LONGEST_SNIPPET)
    )
}

fn header(headers: &HeaderMap, name: &str) -> Option<String> {
    headers.get(name).map(|value| clean(&String::from_utf8_lossy(value.as_bytes()), LONGEST_SHOWN))
}

/// Another's words, fit for a terminal and for one line.
fn clean(text: &str, longest: usize) -> String {
    text.chars().take(longest).map(|letter| if letter.is_control() { ' ' } else { letter }).collect()
}

/// Octets as they begin, quoted.
fn shown(octets: &[u8], longest: usize) -> String {
    let text = String::from_utf8_lossy(octets);
    let beginning: String = text.chars().take(longest).collect();
    let more = if beginning.len() < text.len() { "…" } else { "" };
    format!("{beginning:?}{more}")
}

#[cfg(test)]
mod tests {
    use ureq::http::HeaderValue;

    use super::*;

    const NOW: &str = "2026-01-02T03:04:05Z";

    fn answer(status: u16, headers: &[(&'static str, &'static str)], body: &str) -> Result<Credentials, Cause> {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.insert(*name, HeaderValue::from_static(value));
        }
        let answer = HttpAnswer { status, headers: map, body: Zeroizing::new(body.as_bytes().to_vec()) };
        interpret(&answer, "host.example", NOW.parse().unwrap())
    }

    fn success(access_key: &str, token: &str, expiration: &str) -> String {
        format!(
            r#"{{"credentialSet":[{{"new":{{"x":[1]}},"credentials":{{"accessKeyId":"{access_key}","secretAccessKey":"test-secret","sessionToken":"{token}","expiration":"{expiration}"}}}}],"subjectArn":"s"}}"#
        )
    }

    fn refusal(status: u16, headers: &[(&'static str, &'static str)], body: &str) -> ServiceError {
        match answer(status, headers, body).unwrap_err() {
            Cause::Service(error) => *error,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn credentials_are_read_and_the_expiration_is_copied() {
        for status in [200, 201, 299] {
            let found = answer(status, &[], &success("ASIA", "t", "2026-01-02T03:04:06.500+00:00")).unwrap();
            assert_eq!(found.expiration, "2026-01-02T03:04:06.500+00:00");
            assert_eq!(found.secret_access_key.as_str(), "test-secret");
        }
    }

    #[test]
    fn the_log_shows_a_success_without_its_secrets() {
        let body = success("ASIA", "test-token", "2027-01-01T00:00:00Z");
        let body = body.replace(
            r#""new":{"x":[1]}"#,
            r#""roleArn":"r","assumedRoleUser":{"arn":"a/s"},"sessionToken":"test-token""#,
        );
        let shown = without_secrets(body.as_bytes());
        for known in ["ASIA", "2027-01-01T00:00:00Z", r#""roleArn":"r""#, r#""arn":"a/s""#, r#""subjectArn":"s""#] {
            assert!(shown.contains(known), "{shown}");
        }
        assert!(!shown.contains("test-"), "{shown}");
        assert_eq!(without_secrets(br#"["test-secret"]"#), "JSON of another shape");
    }

    #[test]
    fn no_success_is_without_credentials() {
        let whole = success("ASIA", "t", "2027-01-01T00:00:00Z");
        let table = [
            ("{}".to_owned(), "wanted a credentialSet, found none"),
            (r#"{"credentialSet":null}"#.to_owned(), "wanted a credentialSet, found none"),
            (r#"{"credentialSet":[]}"#.to_owned(), "found it empty"),
            (r#"{"credentialSet":[{}]}"#.to_owned(), "wanted credentials in credentialSet, found none"),
            (r#"{"credentialSet":[{"credentials":{}}]}"#.to_owned(), "found no accessKeyId"),
            (r#"{"credentialSet":[{"credentials":"test-secret"}]}"#.to_owned(), "found JSON of another shape"),
            (success("", "t", "2027-01-01T00:00:00Z"), "found no accessKeyId"),
            (success("ASIA", "", "2027-01-01T00:00:00Z"), "found no sessionToken"),
            (success("ASIA", "t", ""), "found no expiration"),
            (success("ASIA", "t", "tomorrow"), "wanted an expiration as in RFC 3339, found \"tomorrow\""),
            (success("ASIA", "t", NOW), "wanted an expiration in the future"),
            (whole[..whole.len() - 30].to_owned(), "found an end before its time"),
            ("<html>".to_owned(), "found something else at line 1 column 1"),
            (String::new(), "found an end before its time"),
        ];
        for (body, wanted) in table {
            let Cause::Answer(error) = answer(201, &[], &body).unwrap_err() else { panic!("{body}") };
            let error = error.to_string();
            assert!(error.starts_with("host.example answered HTTP 201 without usable credentials: "), "{error}");
            assert!(error.contains(wanted) && !error.contains("test-secret"), "{body}: {error}");
        }
    }

    #[test]
    fn octets_that_are_no_utf_8_are_an_error() {
        let body = Zeroizing::new(b"{\"credentialSet\":[{\"credentials\":{\"accessKeyId\":\"\xff\"}}]}".to_vec());
        let answer = HttpAnswer { status: 201, headers: HeaderMap::new(), body };
        assert!(matches!(interpret(&answer, "h", NOW.parse().unwrap()), Err(Cause::Answer(_))));
    }

    #[test]
    fn an_aws_error_shows_status_code_message_and_request_id() {
        let error = refusal(
            403,
            &[("x-amzn-errortype", "AccessDeniedException:http://internal/"), ("x-amzn-requestid", "0000-test")],
            r#"{"message":"Untrusted certificate. Insufficient certificate"}"#,
        );
        assert_eq!(
            error.to_string(),
            "host.example answered HTTP 403 AccessDeniedException: Untrusted certificate. Insufficient certificate (request id 0000-test)"
        );
        assert_eq!(error.meaning(), Meaning::InsufficientCertificate);
    }

    #[test]
    fn the_code_may_be_in_the_body() {
        for body in [
            r#"{"code":"ValidationException","Message":"m"}"#,
            r#"{"__type":"com.amazonaws#ValidationException","message":"m"}"#,
        ] {
            let error = refusal(400, &[], body);
            assert_eq!((error.code(), error.message()), (Some("ValidationException"), Some("m")), "{body}");
        }
    }

    #[test]
    fn a_page_of_html_does_not_hide_the_status() {
        let error = refusal(403, &[("content-type", "text/html")], "<html>\n<title>Blocked\u{1b}[31m by proxy");
        assert_eq!(error.meaning(), Meaning::NotTheService);
        assert_eq!(
            error.to_string(),
            "host.example answered HTTP 403: no message that can be read but 35 octets, text/html, beginning \
             \"<html>\\n<title>Blocked\\u{1b}[31m by proxy\""
        );
    }

    #[test]
    fn a_redirect_is_said_and_its_target_named() {
        let error = refusal(307, &[("location", "https://other.example/sessions")], "");
        assert_eq!(error.meaning(), Meaning::Redirect);
        assert!(
            error.to_string().ends_with("a redirect to https://other.example/sessions, which is not followed"),
            "{error}"
        );
    }

    #[test]
    fn control_characters_of_a_message_do_not_reach_the_terminal() {
        let error = refusal(403, &[("x-amzn-errortype", "X")], r#"{"message":"a\u001b[2Jb\nc"}"#);
        assert_eq!(error.message(), Some("a [2Jb c"));
    }

    #[test]
    fn a_clock_that_is_off_is_named() {
        let error = refusal(
            403,
            &[("date", "Fri, 02 Jan 2026 02:04:05 GMT"), ("x-amzn-errortype", "AccessDeniedException")],
            r#"{"message":"Invalid signature"}"#,
        );
        assert!(
            error.to_string().contains("Invalid signature; this machine's clock is 3600 s ahead of the server's"),
            "{error}"
        );
        assert_eq!(error.clock().unwrap().seconds_ahead(), 3600);
    }
}
