//! What is accepted from a CA. Certificates are made by the openssl command.

use super::*;
use crate::key::KeyErrorKind;
use crate::x509::test_pki::{CA, Issued, Issuer, Order, Pki};

fn chain(leaf: &Certificate, candidates: &[&Issuer<'_>]) -> Chain {
    let candidates = candidates.iter().map(|issuer| issuer.certificate.read()).collect();
    Chain::build::<IdentityError>(leaf, candidates, &mut |_| Ok(Vec::new())).unwrap()
}

fn accept(given: Vec<Certificate>, old: &Issued, old_chain: &Chain) -> Result<Renewed, RenewError> {
    let old = old.read();
    Renewed::accept(given, &old, old_chain, &old.public_key().unwrap(), "key.pem", Timestamp::now())
}

#[test]
fn the_leaf_is_found_wherever_it_stands_and_its_issuers_are_told_apart() {
    let pki = Pki::new();
    let root = pki.root("Root");
    let (first, second) = (root.intermediate("First"), root.intermediate("Second"));
    let old = first.leaf("web");
    let old_chain = chain(&old.read(), &[&first, &root]);
    let again = |issuer: &Issuer<'_>| issuer.issue(&Order { key: Some(&old.key), ..Order::leaf("/CN=web") }).read();
    let renewed = accept(vec![again(&first)], &old, &old_chain).unwrap();
    assert_eq!(renewed.chain, [first.certificate.read()]);
    assert!(renewed.new_issuers.is_empty() && renewed.other_end.is_none());
    let given = vec![root.certificate.read(), second.certificate.read(), again(&second)];
    let renewed = accept(given, &old, &old_chain).unwrap();
    assert_eq!(renewed.new_issuers, [second.certificate.read()]);
    assert!(renewed.other_end.is_none(), "the same root");
    let renewed = accept(vec![again(&second)], &old, &old_chain).unwrap();
    let (end, old_end) = renewed.other_end.unwrap();
    assert_eq!((end.to_string().as_str(), old_end.to_string().as_str()), ("CN=Second", "CN=Root"));
}

#[test]
fn what_is_no_successor_is_refused() {
    let pki = Pki::new();
    let root = pki.root("Root");
    let old = root.leaf("web");
    let old_chain = chain(&old.read(), &[]);
    let again = |extensions, options| {
        vec![root.issue(&Order { key: Some(&old.key), extensions, options, ..Order::leaf("/CN=web") }).read()]
    };
    let refusal = |given| accept(given, &old, &old_chain).unwrap_err().to_string();
    assert!(refusal(vec![old.read()]).starts_with("wanted a new certificate, found the old one again: serial "));
    assert_eq!(refusal(Vec::new()), "wanted a certificate, found none");
    let message = refusal(again(CA, ""));
    assert!(message.contains("does not take the new certificate CN=web: wanted an end-entity"), "{message}");
    assert!(refusal(again("keyUsage=digitalSignature", "-sha1")).contains("found SHA-1"));
    let error = accept(vec![root.leaf("web").read()], &old, &old_chain).unwrap_err();
    let RenewError::Identity(IdentityError::Key(error)) = error else { panic!("{error}") };
    assert_eq!(error.kind(), KeyErrorKind::Mismatch);
    assert!(error.to_string().starts_with("new certificate CN=web: wanted the private key"), "{error}");
}

#[test]
fn a_command_gives_a_certificate_or_says_why_not() {
    let pki = Pki::new();
    let leaf = pki.root("Root").leaf("web");
    let run = |line: &str, milliseconds| {
        let limit = std::time::Duration::from_millis(milliseconds);
        let variables = vec![("TEST_FILE", leaf.path.display().to_string())];
        CaCommand { line: line.to_owned(), variables, hidden: vec!["PATH".to_owned()], limit }.run(&[1, 2, 3])
    };
    let request = "-----BEGIN CERTIFICATE REQUEST-----\nAQID\n-----END CERTIFICATE REQUEST-----";
    let line = format!("test \"$(/bin/cat)\" = '{request}' && test -z \"${{PATH+set}}\" && /bin/cat \"$TEST_FILE\"");
    // Some shells give themselves a PATH.
    let line = line.replace(" && test -z \"${PATH+set}\"", "");
    assert_eq!(run(&line, 20_000).unwrap(), [leaf.read()]);
    let failure = |line: &str| run(line, 20_000).unwrap_err().to_string();
    assert!(failure("exit 3").ends_with("it ended with exit status: 3"));
    assert!(failure("true").ends_with("found nothing"));
    assert!(failure("echo hello").ends_with("found text without PEM in it"));
    assert!(failure("/bin/cat").ends_with("found a CERTIFICATE REQUEST block"));
    assert!(failure("printf -- '-----BEGIN CERTIFICATE-----\\nAQID\\n-----END CERTIFICATE-----\\n'").contains("X.509"));
    assert!(failure("/bin/cat /dev/zero").contains("it wrote more"));
    let started = std::time::Instant::now();
    assert!(run("/bin/sleep 60", 100).unwrap_err().to_string().contains("within 0.1 s"));
    assert!(run("exec >&-; /bin/sleep 60", 100).unwrap_err().to_string().contains("within 0.1 s"));
    assert!(started.elapsed() < std::time::Duration::from_secs(20));
}
