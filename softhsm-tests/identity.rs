//! Key, leaf and chain from a token: what is chosen, what is sent, and what it costs.

mod costs;

use std::path::Path;

use jiff::Timestamp;
use keyanchor::identity::{Identity, IdentityError, IdentityReference, open_key};
use keyanchor::key::{
    Advice, CertificateReference, Device, Devices, HashAlgorithm, KeyError, KeyErrorKind, KeyReference, Pkcs11Options,
    SecretKind, SigningInput,
};

use crate::support::conformance::{Expected, conforms, device_options};
use crate::support::fault::Fault;
use crate::support::key::{Key, KeyFile};
use crate::support::own_process::in_own_process;
use crate::support::pki::{Ca, Certificate, bundle};
use crate::support::softhsm::{SoftHsm, TEST_USER_PIN, Token, WRONG_TEST_PIN};
use crate::support::spy::Spy;
use crate::support::{Environment, Folder};

const URI: &str = "pkcs11:token=mine";

/// The files that a scenario is told of; it runs in a process that knows nothing else.
const FOLDER: &str = "KEYANCHOR_TEST_FOLDER";

fn devices(module: &Path) -> Devices {
    let pkcs11 = Pkcs11Options { module: Some(module.to_owned()), ..Pkcs11Options::default() };
    Devices::new(device_options(&[(SecretKind::UserPin, TEST_USER_PIN)], pkcs11))
}

fn certificate(reference: &str) -> Option<CertificateReference> {
    Some(reference.parse().unwrap())
}

fn key(reference: &str) -> Option<KeyReference> {
    Some(reference.parse().unwrap())
}

fn by_uri(uri: &str) -> IdentityReference {
    IdentityReference { certificate: certificate(uri), ..IdentityReference::default() }
}

fn open(wanted: &IdentityReference) -> Result<Identity, IdentityError> {
    Identity::open(&mut devices(&SoftHsm::module()), wanted, true, Timestamp::now())
}

fn signs(identity: &Identity) {
    let input = SigningInput::new(b"a request".to_vec(), HashAlgorithm::Sha256);
    identity.key.gather_secrets().unwrap();
    let signature = identity.key.sign(&input).unwrap();
    identity.leaf.public_key().unwrap().verify(&input, &signature).unwrap();
}

fn subjects(chain: &[keyanchor::x509::Certificate]) -> Vec<String> {
    chain.iter().map(|certificate| certificate.subject().to_string()).collect()
}

fn refusal(outcome: Result<Identity, IdentityError>) -> KeyError {
    match outcome.err().expect("it was not refused") {
        IdentityError::Key(error) => error,
        IdentityError::Certificate(error) => panic!("{error}"),
    }
}

/// Files for the scenario, and the environment that leads to them and to the token.
fn with_files(hsm: &SoftHsm, files: &[(&str, String)]) -> (Folder, Environment) {
    let folder = Folder::new();
    for (name, content) in files {
        folder.write(name, content);
    }
    let environment = with_folder(hsm.env(), &folder);
    (folder, environment)
}

fn with_folder(environment: Environment, folder: &Folder) -> Environment {
    [environment, vec![(FOLDER.into(), folder.path().into())]].concat()
}

fn file(name: &str) -> String {
    Path::new(&std::env::var_os(FOLDER).unwrap()).join(name).display().to_string()
}

/// A token with a leaf and its key, and the CA of which the leaf is.
fn token_with_leaf(ca: &Ca) -> (SoftHsm, Token, Certificate) {
    let hsm = SoftHsm::new();
    let token = hsm.token("mine");
    let leaf = token.identity(Key::Ec256, "01", "leaf", ca);
    (hsm, token, leaf)
}

#[test]
fn one_uri_names_key_and_certificate_whatever_type_it_says() {
    let prepare = || {
        let (hsm, ..) = token_with_leaf(&Ca::root("Root"));
        (hsm.env(), hsm)
    };
    in_own_process(prepare, || {
        let uri = format!("{URI};type=cert");
        signs(&open(&by_uri(&uri)).unwrap());
        signs(&open(&IdentityReference { key: key(&uri), ..by_uri(&uri) }).unwrap());
        assert!(open_key(&mut devices(&SoftHsm::module()), &by_uri(&uri)).unwrap().public_key().is_some());
    });
}

#[test]
fn intermediates_on_the_token_are_sent_and_other_certificates_are_not() {
    let prepare = || {
        let root = Ca::root("Root");
        let upper = root.intermediate("Upper");
        let lower = upper.intermediate("Lower");
        let (hsm, token, _) = token_with_leaf(&lower);
        let other = KeyFile::generate(Key::Ec256);
        token.import_certificate(&root.leaf("unrelated", other.public_key()), "09", "unrelated");
        token.import_certificate(&root.certificate, "0a", "root");
        token.import_certificate(&upper.certificate, "0b", "upper");
        token.import_certificate(&lower.certificate, "0c", "lower");
        (hsm.env(), hsm)
    };
    in_own_process(prepare, || {
        // By a URI that selects all of them, and by one that selects the leaf alone.
        for uri in [URI.to_owned(), format!("{URI};object=leaf")] {
            let identity = open(&by_uri(&uri)).unwrap();
            assert_eq!(identity.leaf.subject().to_string(), "CN=leaf");
            assert_eq!(subjects(&identity.chain), ["CN=Lower", "CN=Upper"]);
            signs(&identity);
        }
    });
}

#[test]
fn a_chain_is_joined_from_token_and_file() {
    let prepare = || {
        let root = Ca::root("Root");
        let upper = root.intermediate("Upper");
        let lower = upper.intermediate("Lower");
        let (hsm, token, leaf) = token_with_leaf(&lower);
        token.import_certificate(&upper.certificate, "0b", "upper");
        let files = [("bundle.pem", bundle([&lower.certificate, &root.certificate])), ("leaf.pem", leaf.pem())];
        let (folder, environment) = with_files(&hsm, &files);
        (environment, (hsm, folder))
    };
    in_own_process(prepare, || {
        let intermediates = Some(file("bundle.pem").into());
        let on_token =
            IdentityReference { intermediates: intermediates.clone(), ..by_uri(&format!("{URI};object=leaf")) };
        let in_file = IdentityReference { key: key(URI), certificate: certificate(&file("leaf.pem")), intermediates };
        for wanted in [on_token, in_file] {
            let identity = open(&wanted).unwrap();
            assert_eq!(subjects(&identity.chain), ["CN=Lower", "CN=Upper"]);
            signs(&identity);
        }
    });
}

#[test]
fn of_several_certificates_the_one_with_a_key_is_taken() {
    let prepare = || {
        let ca = Ca::root("Root");
        let (hsm, token, _) = token_with_leaf(&ca);
        let other = KeyFile::generate(Key::Ec256);
        token.import_certificate(&ca.leaf("keyless", other.public_key()), "02", "keyless");
        let (folder, environment) = with_files(&hsm, &[("other.key", std::fs::read_to_string(other.path()).unwrap())]);
        (environment, (hsm, folder))
    };
    in_own_process(prepare, || {
        let identity = open(&by_uri(URI)).unwrap();
        assert_eq!(identity.leaf.subject().to_string(), "CN=leaf");
        signs(&identity);
        // A key that is elsewhere chooses as well.
        let identity = open(&IdentityReference { key: key(&file("other.key")), ..by_uri(URI) }).unwrap();
        assert_eq!(identity.leaf.subject().to_string(), "CN=keyless");
        signs(&identity);
    });
}

#[test]
fn two_pairs_are_ambiguous_and_each_reference_can_be_pasted_back() {
    let prepare = || {
        let ca = Ca::root("Root");
        let (hsm, token, _) = token_with_leaf(&ca);
        token.identity(Key::Rsa2048, "02", "second", &ca);
        (hsm.env(), hsm)
    };
    in_own_process(prepare, || {
        let error = refusal(open(&by_uri(URI)));
        assert_eq!(error.kind(), KeyErrorKind::Ambiguous);
        let Some(Advice::ChooseOne { references }) = error.advice() else { panic!("{error}") };
        let chosen: Vec<_> =
            references.iter().map(|reference| open(&by_uri(reference)).unwrap().leaf.subject().to_string()).collect();
        assert_eq!(chosen.len(), 2);
        assert!(chosen.contains(&"CN=leaf".to_owned()) && chosen.contains(&"CN=second".to_owned()), "{chosen:?}");
    });
}

#[test]
fn a_certificate_file_of_another_key_than_the_token_s_is_refused() {
    let prepare = || {
        let ca = Ca::root("Root");
        let (hsm, ..) = token_with_leaf(&ca);
        let (other, other_key) = ca.leaf_with_key("other", Key::Ec256);
        let files = [("other.pem", other.pem()), ("other.key", std::fs::read_to_string(other_key.path()).unwrap())];
        let (folder, environment) = with_files(&hsm, &files);
        (environment, (hsm, folder))
    };
    in_own_process(prepare, || {
        let of_file = IdentityReference { key: key(URI), ..by_uri(&file("other.pem")) };
        let of_token = IdentityReference { key: key(&file("other.key")), ..by_uri(URI) };
        for wanted in [of_file, of_token] {
            let error = refusal(open(&wanted));
            assert_eq!(error.kind(), KeyErrorKind::Mismatch, "{error}");
        }
    });
}

#[test]
fn a_certificate_that_roles_anywhere_refuses_costs_no_login() {
    let prepare = || {
        let ca = Ca::root("Root");
        let (hsm, spy) = (SoftHsm::new(), Spy::before(SoftHsm::module()));
        let token = hsm.token("mine");
        token.generate(Key::Ec256, "01", "leaf");
        let expired = ca.issue(&crate::support::pki::Draft::leaf("leaf").expired(), &token.public_key("01"));
        token.import_certificate(&expired, "01", "leaf");
        ([hsm.env(), spy.env()].concat(), (hsm, spy))
    };
    let scenario = || {
        let mut devices = devices(&Spy::module());
        let error = Identity::open(&mut devices, &by_uri(URI), true, Timestamp::now()).err().unwrap();
        assert!(error.to_string().contains("it expired at"), "{error}");
        devices.close();
    };
    let Some((_hsm, spy)) = in_own_process(prepare, scenario) else { return };
    assert_eq!(spy.calls().of("C_Login"), 0);
}

#[test]
fn every_supported_key_on_a_token_conforms() {
    let prepare = || {
        let hsm = SoftHsm::new();
        let token = hsm.token("mine");
        let files: Vec<_> = (1..)
            .zip(Key::SUPPORTED)
            .map(|(number, kind)| {
                let id = format!("{number:02x}");
                token.generate(kind, &id, &id);
                let hex: String = token.public_key(&id).iter().map(|octet| format!("{octet:02x}")).collect();
                (id, hex)
            })
            .collect();
        let files: Vec<_> = files.iter().map(|(id, hex)| (id.as_str(), hex.clone())).collect();
        let (folder, environment) = with_files(&hsm, &files);
        (environment, (hsm, folder))
    };
    in_own_process(prepare, || {
        let device = |reference: &str| -> Box<dyn Device> {
            // The module stays loaded as long as the process.
            let devices = Box::leak(Box::new(devices(&SoftHsm::module())));
            devices.open(&reference.parse::<KeyReference>().unwrap()).unwrap()
        };
        for number in 1..=Key::SUPPORTED.len() as u8 {
            let hex = std::fs::read_to_string(file(&format!("{number:02x}"))).unwrap();
            let public_key: Vec<u8> =
                (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect();
            let expected = Expected { public_key: &public_key, id: Some(vec![number]), reopen: &device };
            conforms(&*device(&format!("{URI};id=%{number:02x}")), &expected);
        }
    });
}

#[test]
fn the_pin_of_the_key_s_uri_goes_before_the_certificate_s() {
    let prepare = || {
        let (hsm, ..) = token_with_leaf(&Ca::root("Root"));
        let fault = Fault::of(&hsm);
        (fault.env(), (hsm, fault))
    };
    let scenario = || {
        let with_pin = |pin: &str| format!("{URI}?pin-value={pin}");
        let pkcs11 = Pkcs11Options { module: Some(Fault::module()), ..Pkcs11Options::default() };
        let mut devices = Devices::new(device_options(&[], pkcs11));
        // Though they select the same, and though they do not.
        for certificate in [URI, "pkcs11:token=mine;object=leaf"] {
            let certificate = format!("{certificate}?pin-value={WRONG_TEST_PIN}");
            let wanted = IdentityReference { key: key(&with_pin(TEST_USER_PIN)), ..by_uri(&certificate) };
            signs(&Identity::open(&mut devices, &wanted, true, Timestamp::now()).unwrap());
        }
        devices.close();
    };
    let Some((_hsm, fault)) = in_own_process(prepare, scenario) else { return };
    assert_eq!((fault.user_pins_tried(), fault.wrong_pins()), (1, 0));
}
