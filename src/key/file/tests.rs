//! Key files in every form that openssl writes, and what is said about those that are not read.

use std::fs;
use std::path::{Path, PathBuf};

use super::super::algorithm::HashAlgorithm;
use super::super::device::{CertificateOfKey, Device, SigningKey, WantedKey};
use super::super::signing::SigningInput;
use super::*;
use crate::x509::test_pki::Pki;

const HASHES: [(HashAlgorithm, &str); 3] =
    [(HashAlgorithm::Sha256, "sha256"), (HashAlgorithm::Sha384, "sha384"), (HashAlgorithm::Sha512, "sha512")];

/// `openssl genpkey` arguments of every key that is read here.
const ALGORITHMS: [(&str, &str); 4] = [
    ("RSA -pkeyopt rsa_keygen_bits:2048", "RSA-2048"),
    ("EC -pkeyopt ec_paramgen_curve:P-256", "P-256"),
    ("EC -pkeyopt ec_paramgen_curve:P-384", "P-384"),
    ("EC -pkeyopt ec_paramgen_curve:P-521", "P-521"),
];

fn generate(pki: &Pki, algorithm: &str) -> PathBuf {
    pki.new_key(&format!("openssl genpkey -algorithm {algorithm} -out $OUT"))
}

fn read(path: &Path) -> Result<KeyFile, KeyError> {
    KeyFile::from_content(path, &files::read(path)?)
}

fn software(path: &Path) -> SoftwareKey {
    match read(path).unwrap() {
        KeyFile::Software(key) => key,
        KeyFile::Tss2(_) => panic!("a TPM key"),
    }
}

fn refusal(path: &Path) -> KeyError {
    read(path).err().unwrap()
}

/// Verifies with openssl, which shares no code with the signer.
fn verify(pki: &Pki, key: &Path, digest: &str, message: &[u8], signature: &[u8]) {
    let (text, signed) = (pki.path("message"), pki.path("signature"));
    fs::write(&text, message).unwrap();
    fs::write(&signed, signature).unwrap();
    let files: [(&str, &Path); 3] = [("KEY", key), ("TEXT", &text), ("SIGNED", &signed)];
    pki.run(&format!("openssl dgst -{digest} -prverify $KEY -signature $SIGNED $TEXT"), &files);
}

#[test]
fn every_key_signs_with_every_hash_as_openssl_verifies() {
    let pki = Pki::new();
    for (arguments, name) in ALGORITHMS {
        let path = generate(&pki, arguments);
        let key = software(&path);
        assert_eq!(SigningKey::public_key(&key).unwrap().algorithm().to_string(), name);
        for (hash, digest) in HASHES {
            let input = SigningInput::new(b"a message".to_vec(), hash);
            let signature = key.sign(&input).unwrap();
            SigningKey::public_key(&key).unwrap().verify(&input, &signature).unwrap();
            verify(&pki, &path, digest, b"a message", signature.as_bytes());
        }
    }
}

#[test]
fn every_form_holds_the_same_key() {
    let pki = Pki::new();
    for (arguments, name) in ALGORITHMS {
        let pkcs8 = generate(&pki, arguments);
        let wanted = SigningKey::public_key(&software(&pkcs8)).unwrap().clone();
        let mut forms = vec!["openssl pkey -in $KEY -traditional -out $OUT"];
        if name != "RSA-2048" {
            forms.push("openssl ecparam -name P-256 > $OUT; openssl pkey -in $KEY -traditional >> $OUT");
            forms.push("openssl ec -in $KEY -no_public -out $OUT");
            forms.push("openssl ec -in $KEY -conv_form compressed -out $OUT");
            forms.push("openssl ec -in $KEY -no_public | openssl pkey -out $OUT");
        }
        forms.push("openssl req -x509 -key $KEY -subj /CN=x > $OUT; cat $KEY >> $OUT");
        for form in forms {
            let path = pki.path("form.pem");
            pki.run(form, &[("KEY", &pkcs8), ("OUT", &path)]);
            assert_eq!(SigningKey::public_key(&software(&path)), Some(&wanted), "{name}: {form}");
        }
    }
}

#[test]
fn encrypted_and_foreign_forms_are_named_with_a_command_that_works() {
    let pki = Pki::new();
    let key = generate(&pki, ALGORITHMS[1].0);
    let wanted = SigningKey::public_key(&software(&key)).unwrap().clone();
    for (form, found) in [
        ("openssl pkcs8 -topk8 -in $KEY -passout pass:test-pass -out $OUT", "an encrypted one (ENCRYPTED PRIVATE KEY)"),
        ("openssl ec -in $KEY -aes128 -passout pass:test-pass -out $OUT", "an encrypted one (EC PRIVATE KEY)"),
        (
            "openssl pkcs8 -topk8 -in $KEY -passout pass:test-pass -outform DER -out $OUT",
            "an encrypted private key in DER",
        ),
        ("openssl pkcs8 -topk8 -nocrypt -in $KEY -outform DER -out $OUT", "a private key in DER"),
        ("openssl ec -in $KEY -outform DER -out $OUT", "a private key in DER"),
        (
            "openssl req -x509 -key $KEY -subj /CN=x | openssl pkcs12 -export -inkey $KEY -passout pass:test-pass -out $OUT",
            "PKCS#12",
        ),
        ("cp $KEY $OUT; chmod 600 $OUT; ssh-keygen -q -p -N test-pass -f $OUT", "an OpenSSH key"),
    ] {
        let path = pki.path("form.key");
        pki.run(form, &[("KEY", &key), ("OUT", &path)]);
        let error = refusal(&path);
        assert_eq!(error.kind(), KeyErrorKind::Unsupported, "{error}");
        assert!(error.to_string().ends_with(found), "{form}: {error}");
        let Some(Advice::Convert { command }) = error.advice() else { panic!("{form}: no advice") };
        // The advice is worth something only if it works; a person would type the password.
        let typed = ["pkey", "pkcs8", "pkcs12"].iter().fold(command.clone(), |command, verb| {
            command.replace(&format!("openssl {verb} "), &format!("openssl {verb} -passin pass:test-pass "))
        });
        pki.run(&typed.replace("ssh-keygen -p ", "ssh-keygen -q -p -P test-pass "), &[]);
        let converted = command.split(' ').rev().find(|word| word.ends_with(".pem")).unwrap();
        assert_eq!(SigningKey::public_key(&software(Path::new(converted))), Some(&wanted), "{command}");
    }
}

#[test]
fn keys_of_other_algorithms_are_named() {
    let pki = Pki::new();
    for (arguments, found) in [
        ("ED25519", "wanted an RSA or EC private key, found Ed25519 (1.3.101.112)"),
        ("EC -pkeyopt ec_paramgen_curve:secp256k1", "found curve secp256k1 (1.3.132.0.10)"),
        ("RSA -pkeyopt rsa_keygen_bits:1024", "wanted an RSA key of 2048 to 8192 bits, found 1024"),
        ("RSA-PSS -pkeyopt rsa_keygen_bits:2048", "found id-RSASSA-PSS (1.2.840.113549.1.1.10)"),
        ("EC -pkeyopt ec_paramgen_curve:P-256 -pkeyopt ec_param_enc:explicit", "found parameters that name no curve"),
    ] {
        let error = refusal(&generate(&pki, arguments));
        assert_eq!(error.kind(), KeyErrorKind::Unsupported);
        assert!(error.to_string().contains(found), "{arguments}: {error}");
    }
}

#[test]
fn a_file_without_a_key_says_what_it_has() {
    let pki = Pki::new();
    let leaf = pki.root("Root").leaf("host");
    let error = refusal(&leaf.path);
    assert_eq!(error.kind(), KeyErrorKind::NotFound);
    assert!(error.to_string().ends_with("wanted a private key, found only CERTIFICATE"), "{error}");
    let public = pki.path("public.pem");
    pki.run("openssl pkey -in $KEY -pubout -out $OUT", &[("KEY", &leaf.key), ("OUT", &public)]);
    assert!(refusal(&public).to_string().ends_with("found only PUBLIC KEY"));
    for (content, found) in [("", "an empty file"), ("garbage\n", "text without PEM in it")] {
        fs::write(&public, content).unwrap();
        assert!(refusal(&public).to_string().ends_with(found));
    }
    assert_eq!(refusal(&pki.path("absent")).kind(), KeyErrorKind::Unreachable);
    assert_eq!(refusal(&pki.path("")).kind(), KeyErrorKind::Unreachable);
}

#[test]
fn a_tpm_key_is_handed_on_as_it_is() {
    let pki = Pki::new();
    let path = pki.path("tpm.pem");
    let block = "-----BEGIN TSS2 PRIVATE KEY-----\nAQID\n-----END TSS2 PRIVATE KEY-----\n";
    fs::write(&path, format!("a remark\n{block}")).unwrap();
    let Ok(KeyFile::Tss2(pem)) = read(&path) else { panic!("not a TPM key") };
    assert_eq!(pem, block.as_bytes());
}

#[test]
fn a_certificate_of_another_key_is_refused() {
    let pki = Pki::new();
    let (mine, other) = (software(&generate(&pki, ALGORITHMS[1].0)), software(&generate(&pki, ALGORITHMS[0].0)));
    let wanted = |key: &SoftwareKey| WantedKey {
        certificate: Some(CertificateOfKey { public_key: SigningKey::public_key(key).unwrap().clone(), id: None }),
        inferred: false,
    };
    mine.open_key(&wanted(&mine)).unwrap();
    mine.open_key(&WantedKey::default()).unwrap();
    let error = mine.open_key(&wanted(&other)).err().unwrap();
    assert_eq!(error.kind(), KeyErrorKind::Mismatch);
    let message = error.to_string();
    assert!(message.contains("RSA-2048 key with SHA-256 fingerprint") && message.contains("(P-256 key"), "{message}");
}

/// The signature of the published example: RSA signatures have no random part.
#[test]
fn an_rsa_signature_is_exact() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("softhsm-tests/vectors/identities");
    let text = "AWS4-X509-RSA-SHA256\n20260102T030405Z\n20260102/us-east-1/rolesanywhere/aws4_request\n9f9269658f6116ebaf94d4c7a64d5402959ae8f299ca17f3349b034d9b46a943";
    let signature = software(&folder.join("rsa.test-key.pem"))
        .sign(&SigningInput::new(text.into(), HashAlgorithm::Sha256))
        .unwrap();
    let hex: String = signature.as_bytes().iter().map(|octet| format!("{octet:02x}")).collect();
    assert_eq!(
        hex,
        "d26cbaf93550af64a6b0bc055ee490397cf2051a32d6a6a8b328caa89807eaa78ad0ef0bbf51d8528ee41e1720e26406e7a09ca4c31ac4fc6a26cb7def89c3c49e97a1c53cc6f4213ca20f27cc2cd191d07c5c8744a4d9e5ff965d83ab3bcd4b9f75f9cbf745afb9413b49427c33e1d272487ae7a430498bc1b1d333033a9b4599c4cbcb6253ac944f9c63a042196d68e9dd533e81d1be21e62df3988372ea953292a5b7c3c01c6284da8c16d3d7ee573e68d1088bcbca052eb993be5f224e3b96780b3db613ec8450eef2153da06b2c9d71a4fea94c114722f74d009f344dfe14decb06cbad1136a8960f479775a8a68c4dd0df2ddab7681b7ac7ef1d1fab73"
    );
}

#[test]
fn nothing_of_the_key_shows_in_debug() {
    let pki = Pki::new();
    let key = software(&generate(&pki, ALGORITHMS[1].0));
    assert!(format!("{key:?}").starts_with("SoftwareKey(P-256 in /"));
}

#[test]
fn damaged_key_files_never_panic() {
    let pki = Pki::new();
    for (arguments, form) in
        [(ALGORITHMS[1].0, ""), (ALGORITHMS[1].0, "-traditional"), (ALGORITHMS[0].0, "-traditional")]
    {
        let key = generate(&pki, arguments);
        let path = pki.path("form.pem");
        pki.run(&format!("openssl pkey -in $KEY {form} -out $OUT"), &[("KEY", &key), ("OUT", &path)]);
        let text = fs::read(&path).unwrap();
        let label = files::blocks(&text).unwrap()[0].label.to_owned();
        let der = files::blocks(&text).unwrap()[0].decode().unwrap().to_vec();
        for at in 0..der.len() {
            let _ = decode::key(&label, &der[..at]);
            let mut damaged = der.clone();
            damaged[at] ^= 1 << (at % 8);
            let _ = decode::key(&label, &damaged);
            let _ = Format::of(&damaged);
        }
        for at in 0..text.len() {
            let content = FileContent { octets: text[..at].to_vec().into(), mode: None };
            let _ = KeyFile::from_content(&path, &content);
        }
    }
}
