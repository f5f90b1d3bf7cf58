//! The file as people write it, right and wrong.

use super::*;

const WHOLE: &str = r#"
[identity.web]
key = "pkcs11:token=web;object=web-key?pin-source=file:/run/pin"
certificate = "certs/web.pem"
intermediates = "/etc/pki/chain.pem"
pkcs11-lib = "/usr/lib/softhsm/libsofthsm2.so"
trust-anchor-arn = "arn:aws:rolesanywhere:eu-west-1:123456789012:trust-anchor/ta"
profile-arn = "arn:aws:rolesanywhere:eu-west-1:123456789012:profile/p"
role-arn = "arn:aws:iam::123456789012:role/web"
role-session-name = "host-1"
session-duration = 3_600
region = "eu-west-1"
endpoint = "https://localhost:8443"
pin-source = "credential:web.pin"
tpm-password-source = "file:secret"

[identity."batch.1"]
key = 'handle:0x81000101'

[consumer.shop]
identity = "web"
token-file = "tokens/shop"

[consumer.other]
role = "batch"
token-file = "/run/keyanchor/other/token"
"#;

fn parse(text: &str) -> Result<Config, ConfigError> {
    Config::parse(text, Path::new("/etc/keyanchor/config.toml"))
}

/// The error without the path, which begins it.
fn error(text: &str) -> String {
    let error = parse(text).unwrap_err().to_string();
    error.strip_prefix("/etc/keyanchor/config.toml:").unwrap().to_owned()
}

#[test]
fn every_setting_arrives_with_its_type() {
    let config = parse(WHOLE).unwrap();
    let web = &config.identities["web"];
    assert!(matches!(&web.key, Some(KeyReference::Pkcs11(_))));
    assert!(
        matches!(&web.certificate, Some(CertificateReference::File(path)) if path == Path::new("/etc/keyanchor/certs/web.pem"))
    );
    assert_eq!(web.intermediates.as_deref(), Some(Path::new("/etc/pki/chain.pem")));
    assert_eq!(web.role_arn.as_deref(), Some("arn:aws:iam::123456789012:role/web"));
    assert_eq!(web.session_duration, Some(3600));
    assert_eq!(web.endpoint.as_deref(), Some("https://localhost:8443"));
    assert!(matches!(
        &web.secrets[..],
        [(SecretKind::UserPin, SecretSource::Credential(name)), (SecretKind::TpmKeyPassword, SecretSource::File(path))]
            if name == "web.pin" && path == Path::new("/etc/keyanchor/secret")
    ));
    assert!(matches!(config.identities["batch.1"].key, Some(KeyReference::Handle(_))));
    assert_eq!(config.consumers["shop"].of, ConsumerOf::Identity("web".into()));
    assert_eq!(config.consumers["shop"].token_file, Path::new("/etc/keyanchor/tokens/shop"));
    assert_eq!(config.consumers["other"].of, ConsumerOf::Role("batch".into()));
}

#[test]
fn a_file_without_anything_is_a_file() {
    let config = parse("# nothing yet\n").unwrap();
    assert!(config.identities.is_empty() && config.consumers.is_empty());
}

#[test]
fn an_unknown_key_is_named_with_its_line() {
    for (text, wanted) in [
        (
            "[identity.a]\nregion = 'x'\nrolearn = 'y'\n",
            "3: unknown key rolearn in [identity.a]: did you mean role-arn?",
        ),
        ("[identity.a]\nrole_arn = 'y'\n", "2: unknown key role_arn in [identity.a]: did you mean role-arn?"),
        ("\n\nidentities = 1\n", "3: unknown key identities: wanted one of identity, consumer"),
        ("[identity.a]\n[profile.b]\n", "2: unknown key profile: wanted one of identity, consumer"),
        (
            "[identity.a]\n[consumer.b]\nrole = 'r'\ntoken-file = 't'\nport = 1\n",
            "5: unknown key port in [consumer.b]: wanted one of identity, role, token-file",
        ),
    ] {
        assert_eq!(error(text), wanted);
    }
    let pin = error("[identity.a]\npin = '123456'\n");
    assert!(pin.starts_with("2: unknown key pin in [identity.a]: wanted one of pin-source,"), "{pin}");
}

#[test]
fn a_value_of_another_type_is_named_with_its_line() {
    for (text, wanted) in [
        ("[identity.a]\nregion = 1\n", "2: wanted a string for region, found an integer"),
        ("[identity.a]\nkey = ['x']\n", "2: wanted a string for key, found an array"),
        ("[identity.a]\nregion = ' '\n", "2: region is empty: leave it out instead"),
        (
            "[identity.a]\nsession-duration = '1h'\n",
            "2: wanted a whole number from 900 to 43200 for session-duration, found a string",
        ),
        (
            "[identity.a]\n\nsession-duration = 60\n",
            "3: wanted a whole number from 900 to 43200 for session-duration, found 60",
        ),
        ("identity = 'a'\n", "1: wanted a table for identity, found a string"),
        ("[identity]\na = 1\n", "2: wanted a table for [identity.a], found an integer"),
        ("[[identity.a]]\n", "1: wanted a table for [identity.a], found an array"),
        ("[identity.'a/b']\n", "1: wanted a name of letters, digits, '-', '_' and '.' in [identity.a/b]"),
    ] {
        assert_eq!(error(text), wanted);
    }
    for duration in ["-1", "99999999999999999999", "0x384000"] {
        let error = error(&format!("[identity.a]\nsession-duration = {duration}\n"));
        assert!(error.starts_with("2: wanted a whole number from 900 to 43200"), "{error}");
    }
}

#[test]
fn a_secret_is_refused_and_not_repeated() {
    for line in [
        "key = 'pkcs11:token=a?pin-value=123456'",
        "certificate = 'PKCS11:token=a?module-name=x&pin-value=123456'",
        "key = 'pkcs11:token=a;pin-value=123456'",
        "pin-source = '123456'",
        "pin-source = 'pin:123456'",
        "key = '''-----BEGIN PRIVATE KEY-----\n123456'''",
        "pin = '123456",
        "region = 123456x",
        "password = '123456'",
    ] {
        let error = error(&format!("[identity.a]\n{line}\n"));
        assert!(error.starts_with("2: ") && !error.contains("123456"), "{line}: {error}");
    }
}

#[test]
fn toml_that_is_none_is_an_error_with_its_line() {
    for (text, line) in
        [("[identity.a\n", "1: "), ("[identity.a]\nregion = 'x'\nregion = 'y'\n", "3: "), ("\n= 1", "2: ")]
    {
        assert!(error(text).starts_with(line), "{text}: {}", error(text));
    }
}

#[test]
fn a_consumer_gets_one_role() {
    for (text, wanted) in [
        ("\n[consumer.a]\ntoken-file = 't'\n", "2: wanted either identity or role in [consumer.a]"),
        (
            "[identity.i]\n[consumer.a]\nidentity = 'i'\nrole = 'r'\ntoken-file = 't'\n",
            "2: wanted either identity or role in [consumer.a]",
        ),
        ("[consumer.a]\nrole = 'r'\n", "1: wanted token-file in [consumer.a]"),
        (
            "[consumer.a]\ntoken-file = 't'\nidentity = 'web'\n",
            "3: identity names \"web\", and there is no [identity.web]",
        ),
    ] {
        assert_eq!(error(text), wanted);
    }
}

#[test]
fn a_home_directory_may_be_written_as_in_a_shell() {
    let home = std::env::var("HOME").unwrap();
    let config = parse("[identity.a]\nkey = '~/key.pem'\n").unwrap();
    assert_eq!(config.identities["a"].key.as_ref().unwrap().to_string(), format!("{home}/key.pem"));
}

#[test]
fn only_a_file_that_somebody_named_must_exist() {
    let folder = tempfile::tempdir().unwrap();
    let mut location = Location { path: folder.path().join("config.toml"), named: false };
    assert!(Config::load(&location).unwrap().identities.is_empty());
    location.named = true;
    let error = Config::load(&location).unwrap_err().to_string();
    assert!(error.contains("config.toml: cannot read it: No such file"), "{error}");

    std::fs::write(&location.path, "[identity.web]\n[identity.batch]\n").unwrap();
    let config = Config::load(&location).unwrap();
    assert!(config.identity("web", &location).is_ok());
    let error = config.identity("wbe", &location).unwrap_err().to_string();
    assert!(error.ends_with("config.toml: wanted [identity.wbe], found batch, web"), "{error}");
}

#[test]
fn a_file_without_an_end_is_given_up() {
    let location = Location { path: "/dev/zero".into(), named: true };
    let error = Config::load(&location).unwrap_err().to_string();
    assert!(error.contains("wanted at most 1048576 octets"), "{error}");
}
