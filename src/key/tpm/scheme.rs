//! Which hash a TPM is told with TPM2_Sign, and the digest in the length that the TPM wants for it. Pure.

use super::super::algorithm::{Curve, HashAlgorithm, KeyAlgorithm};
use super::super::error::{KeyError, KeyErrorKind};
use super::public::{self, Scheme};

/// A hash to name, and the digest to go with it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Choice {
    pub(super) hash: HashAlgorithm,
    pub(super) digest: Vec<u8>,
}

/// The choices in the order in which to try them; each makes a signature over the same digest.
///
/// RSASSA signs the hash's name too, so that there is no choice. ECDSA does not know the hash: it uses the leftmost bits of
/// the digest, as many as the curve's order has (FIPS 186-5 §6.4.1). TPMs want a digest of the named hash's length, and
/// some take only the hash of the curve's strength.
pub(super) fn choices(
    scheme: Scheme,
    algorithm: KeyAlgorithm,
    hash: HashAlgorithm,
    digest: &[u8],
) -> Result<Vec<Choice>, KeyError> {
    let fixed = match scheme {
        Scheme::Fixed(id) => Some(public::hash_of(id).ok_or_else(|| unfit(hash, &format!("hash 0x{id:04x}")))?),
        Scheme::Free | Scheme::Other(_) => None,
    };
    match algorithm {
        KeyAlgorithm::Rsa { .. } => match fixed {
            Some(fixed) if fixed != hash => Err(unfit(hash, &fixed.to_string())),
            _ => Ok(vec![Choice { hash, digest: digest.to_vec() }]),
        },
        KeyAlgorithm::Ec(curve) => {
            let named = match fixed {
                Some(fixed) => vec![fixed],
                None if strength(curve) == hash => vec![hash],
                None => vec![strength(curve), hash],
            };
            let choices: Vec<Choice> = named
                .into_iter()
                .filter_map(|named| Some(Choice { hash: named, digest: fitted(digest, curve, named)? }))
                .collect();
            if choices.is_empty() {
                return Err(unfit(hash, &fixed.map_or_else(|| curve.to_string(), |fixed| fixed.to_string())));
            }
            Ok(choices)
        }
    }
}

/// The hash of a curve's strength (NIST SP 800-57 part 1 §5.6).
const fn strength(curve: Curve) -> HashAlgorithm {
    match curve {
        Curve::P256 => HashAlgorithm::Sha256,
        Curve::P384 => HashAlgorithm::Sha384,
        Curve::P521 => HashAlgorithm::Sha512,
    }
}

/// The digest in the named hash's length, such that the curve uses the same number; `None` where there is none such.
fn fitted(digest: &[u8], curve: Curve, named: HashAlgorithm) -> Option<Vec<u8>> {
    let len = named.digest_len();
    if digest.len() == len {
        return Some(digest.to_vec());
    }
    // The octets that the curve uses of our digest, and those it will use of the TPM's.
    let used = digest.get(..digest.len().min(curve.field_len()))?;
    let mut fitted = public::padded(used, len.min(curve.field_len()))?;
    fitted.resize(len, 0);
    Some(fitted)
}

fn unfit(wanted: HashAlgorithm, fixed: &str) -> KeyError {
    KeyError::new(
        KeyErrorKind::Unsupported,
        format!("wanted a signature with {wanted}, found a TPM key whose scheme is fixed to {fixed}"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHA384: u16 = 0x000c;

    fn first(scheme: Scheme, algorithm: KeyAlgorithm, hash: HashAlgorithm, digest: &[u8]) -> Choice {
        choices(scheme, algorithm, hash, digest).unwrap().remove(0)
    }

    #[test]
    fn sha_256_on_a_larger_curve_is_padded_on_the_left() {
        for (curve, hash) in [(Curve::P384, HashAlgorithm::Sha384), (Curve::P521, HashAlgorithm::Sha512)] {
            let choice = first(Scheme::Free, KeyAlgorithm::Ec(curve), HashAlgorithm::Sha256, &[7; 32]);
            assert_eq!(choice.hash, hash);
            let zeros = hash.digest_len() - 32;
            assert_eq!(choice.digest, [vec![0; zeros], vec![7; 32]].concat());
        }
    }

    #[test]
    fn the_inputs_own_hash_is_the_second_choice() {
        let choices = choices(Scheme::Free, KeyAlgorithm::Ec(Curve::P384), HashAlgorithm::Sha256, &[7; 32]).unwrap();
        assert_eq!(choices[1], Choice { hash: HashAlgorithm::Sha256, digest: vec![7; 32] });
    }

    #[test]
    fn a_longer_digest_is_cut_where_the_curve_would_cut_it() {
        let digest: Vec<u8> = (0..64).collect();
        let choice = first(Scheme::Free, KeyAlgorithm::Ec(Curve::P256), HashAlgorithm::Sha512, &digest);
        assert_eq!(choice.digest, digest[..32]);
        // SHA-384 fixed in a P-256 key: the curve uses the first 32 octets of the 48.
        let choice = first(Scheme::Fixed(SHA384), KeyAlgorithm::Ec(Curve::P256), HashAlgorithm::Sha256, &[7; 32]);
        assert_eq!(choice.digest, [vec![7; 32], vec![0; 16]].concat());
    }

    #[test]
    fn a_digest_that_the_fixed_hash_cannot_hold_is_refused() {
        let ec = KeyAlgorithm::Ec(Curve::P384);
        let error = choices(Scheme::Fixed(0x000b), ec, HashAlgorithm::Sha384, &[7; 48]).unwrap_err();
        assert!(error.to_string().contains("fixed to SHA-256"), "{error}");
        let rsa = KeyAlgorithm::Rsa { bits: 2048 };
        assert!(choices(Scheme::Fixed(SHA384), rsa, HashAlgorithm::Sha256, &[7; 32]).is_err());
    }
}
