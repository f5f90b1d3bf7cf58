//! Damaged key files, the wrong TPM, missing parents: a clear error, and nothing left behind.

use keyanchor::key::{CertificateOfKey, KeyErrorKind, WantedKey, tpm};

use super::{Bench, NO_PASSWORD, OWNER, SIGNING, SRK, pem, signs};
use crate::support::swtpm::Swtpm;
use crate::support::tap::Tap;

#[test]
fn a_key_of_another_tpm_is_told_with_the_parents_that_were_tried() {
    let (ours, theirs) = (Swtpm::start(), Swtpm::start());
    for tpm in [&ours, &theirs] {
        tpm.make_srk("0x81000001");
    }
    let key = theirs.make_key("0x81000001", "ecc256", SIGNING, "");
    for (parent, tried) in [
        (SRK, "tried the persistent key 0x81000001"),
        (OWNER, "tried the persistent key 0x81000001 and the owner hierarchy's P-256 primary key"),
    ] {
        let file = pem(NO_PASSWORD, parent, &key.public(), &key.private());
        let error = signs(Bench::at(ours.tcti()).pem(&file)).unwrap_err();
        assert_eq!(error.kind(), KeyErrorKind::Unsupported);
        let said = error.to_string();
        assert!(said.contains("does not belong to this TPM, or its hierarchy was cleared"), "{said}");
        assert!(said.contains(tried), "{said}");
        assert!(said.contains("TPM_RC_INTEGRITY"), "{said}");
    }
    assert_eq!(ours.left_behind(), "");
    assert_eq!(ours.lockout_counter(), 0);
}

#[test]
fn a_missing_parent_is_not_found() {
    let tpm = Swtpm::start();
    tpm.make_srk("0x81000001");
    let key = tpm.make_key("0x81000001", "ecc256", SIGNING, "");
    tpm.tpm2("evictcontrol -Q -C o -c 0x81000001");
    let error = signs(Bench::at(tpm.tcti()).pem(&pem(NO_PASSWORD, SRK, &key.public(), &key.private()))).unwrap_err();
    assert_eq!(error.kind(), KeyErrorKind::NotFound);
    assert!(error.to_string().contains("parent is the persistent key 0x81000001"), "{error}");
}

#[test]
fn a_parent_that_is_no_storage_key_is_told() {
    let tpm = Swtpm::start();
    tpm.make_srk("0x81000002");
    let key = tpm.make_key("0x81000002", "ecc256", SIGNING, "");
    tpm.persist("0x81000002", "", "0x81000001");
    let error = signs(Bench::at(tpm.tcti()).pem(&pem(NO_PASSWORD, SRK, &key.public(), &key.private()))).unwrap_err();
    assert!(error.to_string().contains("storage key"), "{error}");
    assert_eq!(tpm.left_behind(), "");
}

#[test]
fn a_truncated_private_half_is_refused_by_the_codec_or_the_tpm() {
    let tpm = Swtpm::start();
    tpm.make_srk("0x81000001");
    let key = tpm.make_key("0x81000001", "ecc256", SIGNING, "");
    for len in [0, 1, 2, 40, key.private().len() - 1] {
        // As it is, the length field lies; shortened with its length field, only the TPM can tell.
        let cut = key.private()[..len].to_vec();
        assert!(signs(Bench::at(tpm.tcti()).pem(&pem(NO_PASSWORD, SRK, &key.public(), &cut))).is_err());
        let honest = [&(len as u16).to_be_bytes()[..], &cut].concat();
        assert!(signs(Bench::at(tpm.tcti()).pem(&pem(NO_PASSWORD, SRK, &key.public(), &honest))).is_err());
    }
    let oversized = [&4000u16.to_be_bytes()[..], &[7; 4000]].concat();
    let error = signs(Bench::at(tpm.tcti()).pem(&pem(NO_PASSWORD, SRK, &key.public(), &oversized))).unwrap_err();
    assert!(error.to_string().contains("larger than a TPM takes"), "{error}");
    assert_eq!(tpm.left_behind(), "");
}

#[test]
fn a_flipped_bit_anywhere_is_an_error_and_leaves_nothing() {
    let tpm = Swtpm::start();
    tpm.make_srk("0x81000001");
    let key = tpm.make_key("0x81000001", "ecc256", SIGNING, "");
    let bench = Bench::at(tpm.socket().to_str().unwrap());
    let flip = |octets: Vec<u8>, bit: usize| {
        let mut octets = octets;
        octets[bit / 8] ^= 1 << (bit % 8);
        octets
    };
    for bit in (0..key.public().len() * 8).step_by(3) {
        let file = pem(NO_PASSWORD, SRK, &flip(key.public(), bit), &key.private());
        assert!(signs(bench.pem(&file)).is_err(), "bit {bit} of the public half");
    }
    for bit in (0..key.private().len() * 8).step_by(7) {
        let file = pem(NO_PASSWORD, SRK, &key.public(), &flip(key.private(), bit));
        assert!(signs(bench.pem(&file)).is_err(), "bit {bit} of the private half");
    }
    assert_eq!(tpm.left_behind(), "");
    assert_eq!(tpm.lockout_counter(), 0);
}

#[test]
fn the_key_of_another_certificate_is_refused_before_it_signs() {
    let tpm = Swtpm::start();
    tpm.make_srk("0x81000001");
    let mut files = ["ecc256", "rsa2048"].into_iter().map(|algorithm| {
        let key = tpm.make_key("0x81000001", algorithm, SIGNING, "");
        pem(NO_PASSWORD, SRK, &key.public(), &key.private())
    });
    let (file, other) = (files.next().unwrap(), files.next().unwrap());
    let tap = Tap::on(&tpm.socket());
    let bench = Bench::at(tap.tcti());
    let public_key = bench.pem(&other).unwrap().public_key().unwrap().clone();
    let wanted = WantedKey { certificate: Some(CertificateOfKey { public_key, id: None }), inferred: false };
    let device = tpm::open_key_file("key.pem", &file, &bench.options).unwrap();
    let error = device.open_key(&wanted).err().unwrap();
    assert_eq!(error.kind(), KeyErrorKind::Mismatch);
    assert!(tap.seen().is_empty());
}
