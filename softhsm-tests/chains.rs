//! Which certificates are sent beside the leaf: the true issuer path, whatever else there is and whatever order it came in. Read
//! from the canonical request, and accepted by a service that follows the path itself.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::support::command::Outcome;
use crate::support::key::{Key, KeyFile};
use crate::support::pki::{Ca, Certificate, Draft, bundle};
use crate::support::sandbox::{Printed, Sandbox};
use crate::support::softhsm::{SoftHsm, TEST_USER_PIN};
use crate::support::text;

const DAY: i64 = 24 * 3600;

/// A leaf under a chain of CAs, the root first.
struct Path {
    authorities: Vec<Ca>,
    leaf: Certificate,
    key: KeyFile,
    sandbox: Sandbox,
}

impl Path {
    /// With so many intermediates.
    fn of(intermediates: usize) -> Self {
        let mut authorities = vec![Ca::root("Root")];
        for number in 1..=intermediates {
            authorities.push(authorities[number - 1].intermediate(&format!("CA {number}")));
        }
        let (leaf, key) = authorities[intermediates].leaf_with_key("host", Key::Ec256);
        let sandbox = Sandbox::trusting(&authorities[0]);
        Self { authorities, leaf, key, sandbox }
    }

    /// The certificate of an authority, counted from the root.
    fn at(&self, number: usize) -> &Certificate {
        &self.authorities[number].certificate
    }

    /// Asks with these certificates as intermediates, in this order.
    fn ask(&self, intermediates: &[&Certificate], more: &[&str]) -> Outcome {
        let (certificate, key) = (self.leaf.pem_path(), self.key.path());
        let file = self.key.folder().write("intermediates.pem", bundle(intermediates.iter().copied()));
        let files = ["--certificate", text(&certificate), "--private-key", text(key), "--intermediates", text(&file)];
        self.sandbox.credential_process(files).args(more).run()
    }

    /// Asks with these, is granted, and sends those: the leaf's issuer first.
    #[track_caller]
    fn sends(&self, given: &[&Certificate], wanted: &[&Certificate]) {
        let outcome = self.ask(given, &["--debug"]);
        Printed::by(&outcome);
        assert_eq!(chain(&outcome), encoded(wanted), "{outcome}");
    }
}

fn encoded(certificates: &[&Certificate]) -> Option<String> {
    let encoded: Vec<_> = certificates.iter().map(|certificate| STANDARD.encode(&certificate.der)).collect();
    (!encoded.is_empty()).then(|| encoded.join(","))
}

/// X-Amz-X509-Chain of the canonical request that `--debug` shows.
fn chain(outcome: &Outcome) -> Option<String> {
    assert!(outcome.stderr.contains("\nx-amz-x509:"), "no canonical request\n{outcome}");
    outcome.stderr.lines().find_map(|line| line.strip_prefix("x-amz-x509-chain:")).map(str::to_owned)
}

#[test]
fn the_order_of_the_intermediates_does_not_matter() {
    let path = Path::of(3);
    let wanted = [path.at(3), path.at(2), path.at(1)];
    for order in [[1, 2, 3], [3, 2, 1], [2, 3, 1], [3, 1, 2]] {
        path.sends(&order.map(|number| path.at(number)), &wanted);
    }
}

#[test]
fn leaf_root_and_duplicates_are_not_sent() {
    let path = Path::of(2);
    let given = [&path.leaf, path.at(0), path.at(1), path.at(2), path.at(1), &path.leaf, path.at(0)];
    path.sends(&given, &[path.at(2), path.at(1)]);
    let direct = Path::of(0);
    direct.sends(&[direct.at(0)], &[]);
}

#[test]
fn what_is_not_on_the_path_is_left_out_and_verbose_says_so() {
    let path = Path::of(1);
    let stranger = Ca::root("Stranger").intermediate("Stranger CA").certificate;
    // The right name and another key.
    let impostor = Ca::root("CA 1").certificate;
    let given = [&stranger, &impostor, path.at(1)];
    path.sends(&given, &[path.at(1)]);

    let outcome = path.ask(&given, &["--verbose"]);
    let left_out = outcome.stderr.lines().find(|line| line.contains("left out")).unwrap_or_default();
    assert!(left_out.contains("'CN=Stranger CA'") && left_out.contains("'CN=CA 1'"), "{outcome}");
    outcome.stderr_contains("sending 'CN=CA 1'");
    assert_eq!(path.ask(&given, &[]).stderr, "", "only under --verbose");
}

#[test]
fn a_gap_sends_what_there_is() {
    let path = Path::of(3);
    let outcome = path.ask(&[path.at(3), path.at(1)], &["--debug"]);
    outcome.fails_with(5).stderr_contains("Untrusted signing certificate");
    assert_eq!(chain(&outcome), encoded(&[path.at(3)]), "{outcome}");
    outcome.stderr_contains("it ends before CN=CA 2");

    // An anchor below the gap is enough, as Roles Anywhere takes intermediates for anchors.
    let anchor = path.at(2).pem_path();
    let sandbox = Sandbox::start(["--trust-anchor", text(&anchor)]);
    let path = Path { sandbox, ..path };
    path.sends(&[path.at(3), path.at(1)], &[path.at(3)]);
}

#[test]
fn of_two_paths_the_one_with_a_root_is_sent_whatever_expires_later() {
    let path = Path::of(1);
    let other = Ca::root("Other Root");
    let longer_lived = other.issue(&Draft::ca("CA 1").valid(-DAY, 3000 * DAY), path.authorities[1].public_key());
    for given in [[&longer_lived, path.at(1), path.at(0)], [path.at(0), path.at(1), &longer_lived]] {
        path.sends(&given, &[path.at(1)]);
    }
}

#[test]
fn of_two_paths_without_a_root_the_one_that_expires_later_is_sent() {
    let path = Path::of(1);
    let renewed =
        path.authorities[0].issue(&Draft::ca("CA 1").valid(-DAY, 3000 * DAY), path.authorities[1].public_key());
    for given in [[path.at(1), &renewed], [&renewed, path.at(1)]] {
        path.sends(&given, &[&renewed]);
    }
}

#[test]
fn authorities_that_certify_each_other_do_not_lead_in_circles() {
    let path = Path::of(2);
    let back = path.authorities[2].cross_sign(&path.authorities[1]);
    let forth = path.authorities[1].cross_sign(&path.authorities[2]);
    let outcome = path.ask(&[&back, &forth, path.at(0), path.at(1), path.at(2)], &["--debug"]);
    Printed::by(&outcome);
    assert_eq!(chain(&outcome).unwrap().split(',').count(), 2, "{outcome}");
}

#[test]
fn five_are_sent_and_six_are_an_error_before_anything_is() {
    let five = Path::of(5);
    five.sends(&[1, 2, 3, 4, 5].map(|number| five.at(number)), &[5, 4, 3, 2, 1].map(|number| five.at(number)));
    let six = Path::of(6);
    let outcome = six.ask(&[1, 2, 3, 4, 5, 6].map(|number| six.at(number)), &[]);
    outcome.fails_with(7).stderr_contains("at most 5").stderr_contains("6");
    assert_eq!(six.sandbox.connections(), 0);
}

#[test]
fn a_chain_is_joined_from_the_certificate_file_and_its_intermediates() {
    let path = Path::of(2);
    let both = path.key.folder().write("leaf.pem", bundle([&path.leaf, path.at(1)]));
    let upper = path.at(2).pem_path();
    let files = ["--certificate", text(&both), "--private-key", text(path.key.path()), "--intermediates", text(&upper)];
    let outcome = path.sandbox.credential_process(files).arg("--debug").run();
    Printed::by(&outcome);
    assert_eq!(chain(&outcome), encoded(&[path.at(2), path.at(1)]), "{outcome}");
}

#[test]
fn intermediates_on_a_token_are_sent_and_its_other_certificates_are_not() {
    let root = Ca::root("Root");
    let upper = root.intermediate("Upper");
    let lower = upper.intermediate("Lower");
    let token = SoftHsm::new().token("t");
    let leaf = token.identity(Key::Ec256, "01", "host", &lower);
    token.identity(Key::Ec256, "02", "other", &lower);
    token.import_certificate(&root.certificate, "0a", "root");
    token.import_certificate(&upper.certificate, "0b", "upper");
    token.import_certificate(&lower.certificate, "0c", "lower");
    let sandbox = Sandbox::trusting(&root);
    let (module, certificate) = (SoftHsm::module(), leaf.pem_path());
    let uri = "pkcs11:token=t;object=host";
    for named in [&["--pkcs11", uri][..], &["--certificate", text(&certificate), "--private-key", uri]] {
        let run = sandbox.credential_process(named).args(["--pkcs11-lib", text(&module), "--debug"]);
        let outcome = run.envs(token.env()).env("KEYANCHOR_PIN", TEST_USER_PIN).run();
        Printed::by(&outcome);
        assert_eq!(chain(&outcome), encoded(&[&lower.certificate, &upper.certificate]), "{outcome}");
    }
}

#[test]
fn intermediates_that_are_none_are_an_error() {
    let path = Path::of(1);
    let (certificate, key) = (path.leaf.pem_path(), path.key.path());
    let ask = |intermediates: &str| {
        let files = ["--certificate", text(&certificate), "--private-key", text(key), "--intermediates", intermediates];
        path.sandbox.credential_process(files).run()
    };
    ask("/nonexistent.pem").fails_with(7).stderr_contains("/nonexistent.pem");
    let empty = path.key.folder().write("empty.pem", "no certificate here\n");
    ask(text(&empty)).fails_with(7).stderr_contains("empty.pem");
}
