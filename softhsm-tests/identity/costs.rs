//! PKCS#11 calls of an identity and one signature, as pkcs11-spy counts them: one login, one signature, a fixed number of
//! calls for one pair with one certificate, at most two for each further certificate, none for what the URI excludes.

use super::*;

/// One key pair and one certificate, beside the empty slot that SoftHSM always shows.
const ONE_CERTIFICATE: usize = 19;
/// Where the URI leaves certificates out, the leaf's issuer is searched among them.
const ONE_SEARCH: usize = 3;

type Counted = (Environment, (SoftHsm, Spy));

/// A token with a pair and its leaf under the CA, and what is put beside them.
fn token_with(kind: Key, ca: &Ca, beside: impl FnOnce(&Token)) -> Counted {
    let (hsm, spy) = (SoftHsm::new(), Spy::before(SoftHsm::module()));
    let token = hsm.token("mine");
    token.identity(kind, "01", "leaf", ca);
    beside(&token);
    ([hsm.env(), spy.env()].concat(), (hsm, spy))
}

fn further_leaves(token: &Token, kind: Key, count: usize) {
    let ca = Ca::root("Other Root");
    for id in (0xa0..).take(count).map(|id: u8| format!("{id:02x}")) {
        token.import_certificate(&ca.leaf_with_key(&id, kind).0, &id, &id);
    }
}

/// One identity and one signature by this URI, whose leaf is `CN=leaf`.
fn one_signature(uri: &str) {
    let mut devices = devices(&Spy::module());
    let identity = Identity::open(&mut devices, &by_uri(uri), true, Timestamp::now()).unwrap();
    assert_eq!(identity.leaf.subject().to_string(), "CN=leaf");
    signs(&identity);
    drop(identity);
    devices.close();
}

#[track_caller]
fn costs_at_most(spy: &Spy, most: usize) {
    let calls = spy.calls();
    assert_eq!(["C_Login", "C_SignInit", "C_Sign"].map(|name| calls.of(name)), [1; 3], "{calls:?}");
    assert!(calls.total() <= most, "{} calls: {calls:?}", calls.total());
}

#[test]
fn one_ec_pair_and_its_certificate() {
    let prepare = || token_with(Key::Ec256, &Ca::root("Root"), |_| ());
    let Some((_hsm, spy)) = in_own_process(prepare, || one_signature(URI)) else { return };
    costs_at_most(&spy, ONE_CERTIFICATE);
}

#[test]
fn one_rsa_pair_and_its_certificate() {
    let prepare = || token_with(Key::Rsa2048, &Ca::root("Root"), |_| ());
    let Some((_hsm, spy)) = in_own_process(prepare, || one_signature(URI)) else { return };
    costs_at_most(&spy, ONE_CERTIFICATE);
}

#[test]
fn one_further_leaf_beside_an_ec_pair() {
    let prepare = || token_with(Key::Ec256, &Ca::root("Root"), |token| further_leaves(token, Key::Ec256, 1));
    let Some((_hsm, spy)) = in_own_process(prepare, || one_signature(URI)) else { return };
    costs_at_most(&spy, ONE_CERTIFICATE + 2);
}

#[test]
fn five_further_leaves_beside_an_ec_pair() {
    let prepare = || token_with(Key::Ec256, &Ca::root("Root"), |token| further_leaves(token, Key::Ec256, 5));
    let Some((_hsm, spy)) = in_own_process(prepare, || one_signature(URI)) else { return };
    costs_at_most(&spy, ONE_CERTIFICATE + 2 * 5);
}

#[test]
fn five_further_leaves_of_another_algorithm_beside_an_rsa_pair() {
    let prepare = || token_with(Key::Rsa2048, &Ca::root("Root"), |token| further_leaves(token, Key::Ec256, 5));
    let Some((_hsm, spy)) = in_own_process(prepare, || one_signature(URI)) else { return };
    costs_at_most(&spy, ONE_CERTIFICATE + 2 * 5);
}

#[test]
fn a_whole_chain_and_an_unrelated_leaf_on_the_token() {
    let prepare = || {
        let root = Ca::root("Root");
        let issuing = root.intermediate("Issuing");
        token_with(Key::Ec256, &issuing, |token| {
            token.import_certificate(&issuing.certificate, "0a", "issuing");
            token.import_certificate(&root.certificate, "0b", "root");
            further_leaves(token, Key::Ec256, 1);
        })
    };
    let Some((_hsm, spy)) = in_own_process(prepare, || one_signature(URI)) else { return };
    costs_at_most(&spy, ONE_CERTIFICATE + 2 * 3);
}

#[test]
fn a_chain_beside_a_leaf_that_is_named() {
    let prepare = || {
        let root = Ca::root("Root");
        let issuing = root.intermediate("Issuing");
        token_with(Key::Rsa2048, &issuing, |token| {
            token.import_certificate(&issuing.certificate, "0a", "issuing");
            token.import_certificate(&root.certificate, "0b", "root");
        })
    };
    let scenario = || one_signature(&format!("{URI};object=leaf"));
    let Some((_hsm, spy)) = in_own_process(prepare, scenario) else { return };
    costs_at_most(&spy, ONE_CERTIFICATE + 2 * (ONE_SEARCH + 1));
}

#[test]
fn other_pairs_and_certificates_cost_nothing_where_the_uri_excludes_them() {
    let prepare = || {
        let ca = Ca::root("Root");
        token_with(Key::Ec256, &ca, |token| {
            token.identity(Key::Ec256, "02", "second", &ca);
            token.identity(Key::Rsa2048, "03", "third", &ca);
            further_leaves(token, Key::Ec256, 3);
        })
    };
    let scenario = || one_signature(&format!("{URI};id=%01"));
    let Some((_hsm, spy)) = in_own_process(prepare, scenario) else { return };
    costs_at_most(&spy, ONE_CERTIFICATE + ONE_SEARCH);
}

#[test]
fn a_server_that_opens_its_identity_again_sees_what_has_changed_on_the_token() {
    let prepare = || {
        let (folder, root) = (Folder::new(), Ca::root("Root"));
        let (issuing, hsm) = (root.intermediate("Issuing"), SoftHsm::new());
        let token = hsm.token("mine");
        token.identity(Key::Ec256, "01", "leaf", &issuing);
        std::fs::copy(issuing.certificate.der_path(), folder.join("issuing.der")).unwrap();
        (with_folder(hsm.env(), &folder), (hsm, folder))
    };
    let scenario = || {
        let mut devices = devices(&SoftHsm::module());
        let mut chain = || {
            let identity = Identity::open(&mut devices, &by_uri(URI), true, Timestamp::now()).unwrap();
            signs(&identity);
            subjects(&identity.chain)
        };
        assert_eq!(chain(), Vec::<String>::new());
        let issuing = file("issuing.der");
        let module = SoftHsm::module();
        let tool = ["--token-label", "mine", "--login", "--pin", TEST_USER_PIN, "--write-object", &issuing];
        let written = std::process::Command::new("pkcs11-tool")
            .args(["--module", module.to_str().unwrap()])
            .args(tool)
            .args(["--type", "cert", "--id", "0a", "--label", "issuing"])
            .output()
            .unwrap();
        assert!(written.status.success(), "{written:?}");
        assert_eq!(chain(), ["CN=Issuing"]);
    };
    in_own_process(prepare, scenario);
}
