//! Tables of URIs: what they mean, what is refused and how it is said.

use super::*;

fn parse(text: &str) -> Uri {
    text.parse().unwrap()
}

fn refused(text: &str) -> String {
    let error = text.parse::<Uri>().unwrap_err();
    assert_eq!(error.kind(), KeyErrorKind::Reference, "{text}");
    error.to_string()
}

fn pin(uri: &Uri) -> Option<String> {
    match uri.pin.as_ref()? {
        SecretSource::Given(secret) => Some(String::from_utf8(secret.expose().to_vec()).unwrap()),
        SecretSource::File(path) => Some(format!("<{}>", path.display())),
        other => panic!("{other:?}"),
    }
}

#[test]
fn every_attribute_of_rfc_7512_is_read() {
    let uri = parse(
        "pkcs11:token=The%20Software%20PKCS%2311%20Softtoken;manufacturer=Snake%20Oil,%20Inc.;model=1.0;serial=4a:3b;\
         slot-id=327;slot-description=Reader%200;slot-manufacturer=Acme;library-description=Lib;library-manufacturer=Lm;\
         library-version=3.1;object=my-certificate;type=cert;id=%69%95%3E%5C%F4%BD%EC%91\
         ?pin-source=file:/etc/token_pin&module-name=softhsm2&module-path=/usr/lib/libhsm.so",
    );
    let octets = |text: &str| Some(text.as_bytes().to_vec());
    assert_eq!(
        *uri.token,
        TokenSelector {
            token: octets("The Software PKCS#11 Softtoken"),
            manufacturer: octets("Snake Oil, Inc."),
            model: octets("1.0"),
            serial: octets("4a:3b"),
            slot_id: Some(327),
            slot_description: octets("Reader 0"),
            slot_manufacturer: octets("Acme"),
            library_description: octets("Lib"),
            library_manufacturer: octets("Lm"),
            library_version: Some((3, 1)),
        }
    );
    assert_eq!(uri.object, octets("my-certificate"));
    assert_eq!(uri.class, Some(ObjectType::Cert));
    assert_eq!(uri.id.as_deref(), Some(&b"\x69\x95\x3e\x5c\xf4\xbd\xec\x91"[..]));
    assert_eq!(pin(&uri).as_deref(), Some("</etc/token_pin>"));
    assert_eq!(uri.module.name.as_deref(), Some("softhsm2"));
    assert_eq!(uri.module.path.as_deref(), Some(std::path::Path::new("/usr/lib/libhsm.so")));
}

#[test]
fn nothing_selects_everything() {
    for text in ["pkcs11:", "PKCS11:", "pkcs11:?", "Pkcs11: "] {
        assert!(Uri::is_one(text));
        assert_eq!(parse(text).to_string(), "pkcs11:");
    }
}

#[test]
fn only_the_scheme_makes_a_uri() {
    for text in ["pkcs11", "pkcs12:", "/etc/pkcs11:key.pem", "key.pem", ""] {
        assert!(!Uri::is_one(text), "{text}");
        assert!(refused(text).ends_with("wanted the scheme pkcs11:"));
    }
    assert!(Uri::is_one("\n pkcs11:token=a"));
}

#[test]
fn slot_zero_is_a_slot() {
    assert_eq!(parse("pkcs11:slot-id=0").token.slot_id, Some(0));
}

#[test]
fn an_empty_value_is_not_an_absent_one() {
    let uri = parse("pkcs11:serial=;object=");
    assert_eq!(uri.token.serial.as_deref(), Some(&b""[..]));
    assert_eq!(uri.object.as_deref(), Some(&b""[..]));
    assert_eq!(uri.token.model, None);
}

#[test]
fn white_space_is_left_out_wherever_it_stands() {
    let uri = parse(" pkcs11:token=a%20b;\n   object=c d \t;id=%0 1\n");
    assert_eq!(uri.to_string(), "pkcs11:token=a%20b;id=%01;object=cd");
}

#[test]
fn escapes_and_bare_characters_are_the_same() {
    let bare = parse("pkcs11:token=a:b[c]@!$'()*+,=&;object=ü/x");
    let escaped = parse("pkcs11:token=a%3ab%5Bc%5d%40%21%24%27%28%29%2a%2B%2c%3d%26;object=%c3%bc%2Fx");
    assert_eq!(bare.token, escaped.token);
    assert_eq!(bare.object, escaped.object);
    assert_eq!(escaped.token.token.as_deref(), Some(&b"a:b[c]@!$'()*+,=&"[..]));
}

#[test]
fn a_decoded_separator_does_not_separate() {
    let uri = parse("pkcs11:token=a%3Bobject%3Db%3Fc");
    assert_eq!(uri.token.token.as_deref(), Some(&b"a;object=b?c"[..]));
    assert_eq!(uri.object, None);
}

#[test]
fn pins_are_taken_on_either_side_of_the_question_mark() {
    for (text, wanted) in [
        ("pkcs11:token=a?pin-value=1234", "1234"),
        ("pkcs11:token=a;pin-value=1234", "1234"),
        ("pkcs11:pin-value=1%203%2B4", "1 3+4"),
        ("pkcs11:?pin-value=", ""),
        ("pkcs11:?pin-source=/run/pin", "</run/pin>"),
        ("pkcs11:?pin-source=file:/run/pin", "</run/pin>"),
        ("pkcs11:?pin-source=file:///run/a%20pin", "</run/a pin>"),
        ("pkcs11:?pin-source=FILE://localhost/run/pin", "</run/pin>"),
        ("pkcs11:pinfile=/run/pin", "</run/pin>"),
        ("pkcs11:pin-source=%2Frun%2Fpin", "</run/pin>"),
    ] {
        assert_eq!(pin(&parse(text)).as_deref(), Some(wanted), "{text}");
    }
}

#[test]
fn what_is_not_known_matches_nothing_in_the_path_and_is_ignored_in_the_query() {
    let uri = parse("pkcs11:token=a;x-vendor_1=v?x-other=w&pin-value=1");
    assert_eq!(uri.unknown, ["x-vendor_1"]);
    assert_eq!(uri.to_string(), "pkcs11:token=a");
}

#[test]
fn bad_text_is_refused_at_its_place() {
    let prefix = "cannot read the pkcs11 URI: ";
    for (text, wanted) in [
        ("pkcs11:token", "wanted name=value at character 8, found no '='"),
        ("pkcs11:token=a;b;c=d", "wanted name=value at character 16, found no '='"),
        ("pkcs11:=a", "wanted an attribute's name before the '=' at character 8"),
        ("pkcs11:token=a;;object=b", "wanted an attribute at character 16, found ';'"),
        ("pkcs11:;token=a", "wanted an attribute at character 8, found ';'"),
        (
            "pkcs11:to%6Ben=a",
            "wanted letters, digits, '-' and '_' in the attribute's name, found another character at 10",
        ),
        ("pkcs11:token=%zz", "wanted two hexadecimal digits behind the '%' at character 14 in token"),
        ("pkcs11:token=a%", "wanted two hexadecimal digits behind the '%' at character 15 in token"),
        ("pkcs11:token=a%4", "wanted two hexadecimal digits behind the '%' at character 15 in token"),
        ("pkcs11:id=%+1", "wanted two hexadecimal digits behind the '%' at character 11 in id"),
        ("pkcs11:token=a;token=b", "token at character 16 is given a second time"),
        ("pkcs11:pin-value=1?pin-value=2", "pin-value at character 20 is given a second time"),
        ("pkcs11:x=1;x=2", "x at character 12 is given a second time"),
        ("pkcs11:slot-id=one", "slot-id at character 8 wants a decimal number, found 'one'"),
        ("pkcs11:slot-id=", "slot-id at character 8 wants a decimal number, found ''"),
        ("pkcs11:slot-id=+1", "slot-id at character 8 wants a decimal number, found '+1'"),
        ("pkcs11:slot-id=18446744073709551616", "wants a decimal number, found '18446744073709551616'"),
        ("pkcs11:library-version=1.2.3", "wants a decimal number, found '2.3'"),
        ("pkcs11:library-version=256", "wants a decimal number, found '256'"),
        ("pkcs11:type=key", "type at character 8 wants public, private, cert, secret-key or data, found 'key'"),
        ("pkcs11:?object=a", "object at character 9 belongs before the '?'"),
        ("pkcs11:module-path=/a", "module-path at character 8 belongs behind the '?'"),
        ("pkcs11:?module-path=", "module-path at character 9 is empty"),
        ("pkcs11:?module-path=/a%00b", "module-path at character 9 holds a NUL character"),
        ("pkcs11:?module-name=%ff", "module-name at character 9 is not UTF-8"),
        ("pkcs11:?module-name=a/b", "wants a library's name without a directory, found 'a/b'; a path is module-path's"),
        ("pkcs11:?pin-source=pin.txt", "pin-source at character 9 wants a file: URI on this host or an absolute path"),
        ("pkcs11:?pin-source=file:pin", "pin-source at character 9 wants a file: URI on this host or an absolute path"),
        ("pkcs11:?pin-source=file://nas/pin", "wants a file: URI on this host or an absolute path"),
        ("pkcs11:?pin-source=", "pin-source at character 9 is empty"),
        ("pkcs11:?pin-source=|/bin/pass", "pin-source at character 9 names a command, which is not run"),
        ("pkcs11:?pin-value=1&pin-source=/p", "pin-source at character 21 is a second source of the PIN"),
        ("pkcs11:pinfile=/p?pin-source=/p", "pin-source at character 19 is a second source of the PIN"),
        ("\n pkcs11:token=a;type=x", "type at character 18 wants"),
    ] {
        let found = refused(text);
        assert!(found.starts_with(prefix) && found.contains(wanted), "{text}: {found}");
    }
    assert!(refused(&format!("pkcs11:token={}", "a".repeat(20_000))).contains("wanted at most 16384 octets"));
}

#[test]
fn no_error_and_no_print_shows_a_pin() {
    for text in [
        "pkcs11:pin-value=test-991%zz",
        "pkcs11:pin-value=test-991;pin-value=test-991",
        "pkcs11:?pin-value=test-991&pin-source=/p",
        "pkcs11:?pin-value=a&pin-source=|test-991",
        "pkcs11:?pin-value=a&test-991",
        "pkcs11:?pin-source=test-991",
        "pkcs11:pin+value=test-991",
    ] {
        assert!(!refused(text).contains("991"), "{text}");
    }
    // The second URI's mistyped name makes the PIN an unknown attribute's value.
    for text in ["pkcs11:token=a?pin-value=test-991", "pkcs11:token=a;pin-valve=test-991"] {
        let uri = parse(text);
        assert_eq!(uri.to_string(), "pkcs11:token=a");
        assert!(!format!("{uri:?}").contains("991"));
    }
}

#[test]
fn what_is_printed_can_be_pasted_back() {
    for text in [
        "pkcs11:token=a%3Bb;manufacturer=m;model=o;serial=s;slot-id=0;slot-description=d;slot-manufacturer=n;\
         library-description=l;library-manufacturer=k;library-version=2.0;id=%00%FF;object=%C3%BC;type=secret-key\
         ?module-name=softhsm2&module-path=/usr/lib/a%26b.so",
        "pkcs11:serial=;object=",
    ] {
        assert_eq!(parse(text).to_string(), text);
        assert_eq!(parse(&parse(text).to_string()).to_string(), text);
    }
}

#[test]
fn one_uri_may_name_key_and_certificate() {
    assert_eq!(parse("pkcs11:token=a;type=cert").without_type().to_string(), "pkcs11:token=a");
}
