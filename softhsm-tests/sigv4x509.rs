//! The SigV4-X509 vectors: every stage of every case, in order, against files that other software made.

use std::fs;
use std::path::{Path, PathBuf};

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{RSA_PKCS1_SHA256, RsaKeyPair};
use der::Document;
use keyanchor::key::{KeyAlgorithm, Signature};
use keyanchor::sigv4x509::{Prepared, Request, Signer, prepare};
use keyanchor::x509::Certificate;
use serde::Deserialize;

#[derive(Deserialize)]
struct Case {
    identity: String,
    chain: Vec<String>,
    region: String,
    time: String,
    method: String,
    path: String,
    query: Vec<(String, String)>,
    headers: Vec<(String, String)>,
    body: String,
}

fn vectors() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("softhsm-tests/vectors")
}

fn pem(name: &str) -> Vec<u8> {
    let text = fs::read_to_string(vectors().join("identities").join(name)).unwrap();
    Document::from_pem(&text).unwrap().1.as_bytes().to_vec()
}

fn borrowed(pairs: &[(String, String)]) -> Vec<(&str, &str)> {
    pairs.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect()
}

fn prepare_case(case: &Case, leaf: &Certificate) -> Prepared {
    let chain: Vec<Vec<u8>> = case.chain.iter().map(|name| pem(&format!("{name}.pem"))).collect();
    let chain: Vec<&[u8]> = chain.iter().map(Vec::as_slice).collect();
    let request = Request {
        method: &case.method,
        path: &case.path,
        query: &borrowed(&case.query),
        headers: &borrowed(&case.headers),
        body: case.body.as_bytes(),
    };
    let signer = Signer {
        algorithm: leaf.public_key().unwrap().algorithm(),
        serial: &leaf.serial_decimal(),
        leaf: leaf.der(),
        chain: &chain,
    };
    prepare(&request, case.time.parse().unwrap(), &case.region, &signer)
}

fn check(name: &str) {
    let stage = |file: &str| fs::read_to_string(vectors().join(name).join(file)).unwrap();
    let case: Case = serde_json::from_str(&stage("request.json")).unwrap();
    let leaf = Certificate::from_der(&pem(&format!("{}.pem", case.identity))).unwrap();
    let prepared = prepare_case(&case, &leaf);

    assert_eq!(prepared.canonical_request(), stage("canonical-request"), "canonical request of {name}");
    assert_eq!(prepared.string_to_sign(), stage("string-to-sign"), "string to sign of {name}");
    assert_eq!(prepared.signing_input().message(), stage("string-to-sign").as_bytes(), "signing input of {name}");

    let authorization = stage("authorization");
    let recorded = unhex(authorization.rsplit("Signature=").next().unwrap());
    let public_key = leaf.public_key().unwrap();
    let signature = match public_key.algorithm() {
        KeyAlgorithm::Rsa { .. } => {
            // PKCS#1 v1.5 is deterministic: signing again must give the recorded octets.
            let again = rsa_signature(&case.identity, prepared.signing_input().message());
            assert_eq!(again, recorded, "signature of {name}");
            Signature::from_rsa(recorded)
        }
        _ => Signature::from_ecdsa_der(recorded),
    };
    public_key.verify(prepared.signing_input(), &signature).unwrap();

    let headers = prepared.finish(&signature);
    let (last, value) = headers.last().unwrap();
    assert_eq!((*last, value.as_str()), ("authorization", authorization.as_str()), "authorization of {name}");
}

fn rsa_signature(identity: &str, message: &[u8]) -> Vec<u8> {
    let key = RsaKeyPair::from_pkcs8(&pem(&format!("{identity}.test-key.pem"))).unwrap();
    let mut signature = vec![0; key.public_modulus_len()];
    key.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), message, &mut signature).unwrap();
    signature
}

fn unhex(text: &str) -> Vec<u8> {
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
}

#[test]
fn every_stage_of_every_vector_is_as_recorded() {
    let mut cases = 0;
    for entry in fs::read_dir(vectors()).unwrap() {
        let path = entry.unwrap().path();
        if path.join("request.json").exists() {
            check(path.file_name().unwrap().to_str().unwrap());
            cases += 1;
        }
    }
    assert!(cases >= 6, "wanted every case, found {cases}");
}
