//! Public areas (TPMT_PUBLIC, TPM 2.0 part 2 §12.2.4): what a key is and may do, its name, and the templates of the primary
//! keys that key files rely on. Pure: knows no TPM and no file.

use aws_lc_rs::digest;

use super::super::algorithm::{Curve, HashAlgorithm, KeyAlgorithm};
use super::super::error::{Advice, KeyError, KeyErrorKind};
use super::super::inventory::TpmKeyAttributes;
use super::super::public::PublicKey;
use super::marshal::{self, Reader};
use super::name::Name;

const ALG_RSA: u16 = 0x0001;
const ALG_SHA1: u16 = 0x0004;
const ALG_KEYEDHASH: u16 = 0x0008;
const ALG_SHA256: u16 = 0x000b;
const ALG_SHA384: u16 = 0x000c;
const ALG_SHA512: u16 = 0x000d;
const ALG_NULL: u16 = 0x0010;
const ALG_RSASSA: u16 = 0x0014;
const ALG_RSAES: u16 = 0x0015;
const ALG_RSAPSS: u16 = 0x0016;
const ALG_ECDSA: u16 = 0x0018;
const ALG_ECDAA: u16 = 0x001a;
const ALG_ECC: u16 = 0x0023;
const ALG_SYMCIPHER: u16 = 0x0025;

const FIXED_TPM: u32 = 1 << 1;
const FIXED_PARENT: u32 = 1 << 4;
const SENSITIVE_DATA_ORIGIN: u32 = 1 << 5;
const USER_WITH_AUTH: u32 = 1 << 6;
const NO_DA: u32 = 1 << 10;
const RESTRICTED: u32 = 1 << 16;
const DECRYPT: u32 = 1 << 17;
const SIGN: u32 = 1 << 18;

/// TPM_ALG_ID of a hash.
pub(super) const fn hash_id(hash: HashAlgorithm) -> u16 {
    match hash {
        HashAlgorithm::Sha256 => ALG_SHA256,
        HashAlgorithm::Sha384 => ALG_SHA384,
        HashAlgorithm::Sha512 => ALG_SHA512,
    }
}

/// The hash of a TPM_ALG_ID, among those that signatures here use.
pub(super) const fn hash_of(id: u16) -> Option<HashAlgorithm> {
    match id {
        ALG_SHA256 => Some(HashAlgorithm::Sha256),
        ALG_SHA384 => Some(HashAlgorithm::Sha384),
        ALG_SHA512 => Some(HashAlgorithm::Sha512),
        _ => None,
    }
}

/// The digest of these octets under a TPM_ALG_ID that names and policies use; `None` for one that is unknown here.
pub(super) fn hash_with(id: u16, octets: &[u8]) -> Option<Vec<u8>> {
    let algorithm = match id {
        ALG_SHA1 => &digest::SHA1_FOR_LEGACY_USE_ONLY,
        ALG_SHA256 => &digest::SHA256,
        ALG_SHA384 => &digest::SHA384,
        ALG_SHA512 => &digest::SHA512,
        _ => return None,
    };
    Some(digest::digest(algorithm, octets).as_ref().to_vec())
}

/// The primary keys that a key file means when its parent is a hierarchy: the TCG's templates H-2 and H-1, whose `unique`
/// is empty (draft-bottomley-tpm2-keys §3.1; EK Credential Profile §B.4.5 and §B.4.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Template {
    /// ECC P-256, the default.
    Ecc,
    /// RSA-2048, where the file says `rsaParent`.
    Rsa,
}

impl Template {
    /// TPMT_PUBLIC up to `unique`.
    const fn up_to_unique(self) -> &'static [u8] {
        match self {
            Self::Ecc => &[
                0x00, 0x23, 0x00, 0x0b, 0x00, 0x03, 0x04, 0x72, 0x00, 0x00, 0x00, 0x06, 0x00, 0x80, 0x00, 0x43, 0x00,
                0x10, 0x00, 0x03, 0x00, 0x10,
            ],
            Self::Rsa => &[
                0x00, 0x01, 0x00, 0x0b, 0x00, 0x03, 0x04, 0x72, 0x00, 0x00, 0x00, 0x06, 0x00, 0x80, 0x00, 0x43, 0x00,
                0x10, 0x08, 0x00, 0x00, 0x00, 0x00, 0x00,
            ],
        }
    }

    /// The whole TPMT_PUBLIC for TPM2_CreatePrimary.
    pub(super) fn area(self) -> Vec<u8> {
        let unique: &[u8] = match self {
            Self::Ecc => &[0; 4],
            Self::Rsa => &[0; 2],
        };
        [self.up_to_unique(), unique].concat()
    }

    /// Whether a key was made by this template: its public area is the template's apart from `unique`.
    pub(super) fn fits(self, area: &PublicArea) -> bool {
        area.octets.starts_with(self.up_to_unique())
    }

    /// As people call it.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Ecc => "P-256",
            Self::Rsa => "RSA-2048",
        }
    }
}

/// The signing scheme that is fixed in a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scheme {
    /// None: the caller names one with each signature.
    Free,
    /// RSASSA-PKCS1-v1_5 or ECDSA with this TPM_ALG_ID for the hash.
    Fixed(u16),
    /// Another one, by its TPM_ALG_ID.
    Other(u16),
}

#[derive(Clone, Debug)]
enum Unique {
    Rsa { exponent: u32, modulus: Vec<u8> },
    Ecc { curve: u16, x: Vec<u8>, y: Vec<u8> },
    Other(u16),
}

/// A public area, with its octets as the TPM or the file has them.
#[derive(Clone, Debug)]
pub(super) struct PublicArea {
    octets: Vec<u8>,
    name_hash: u16,
    attributes: u32,
    auth_policy: Vec<u8>,
    scheme: Scheme,
    unique: Unique,
}

impl PublicArea {
    /// From a TPMT_PUBLIC that fills the buffer; `None` where it is none.
    pub(super) fn parse(octets: &[u8]) -> Option<Self> {
        let mut reader = Reader::new(octets);
        let kind = reader.u16()?;
        let name_hash = reader.u16()?;
        let attributes = reader.u32()?;
        let auth_policy = reader.sized()?.to_vec();
        let (scheme, unique) = match kind {
            ALG_RSA => rsa(&mut reader)?,
            ALG_ECC => ecc(&mut reader)?,
            other => {
                // Their parameters matter to nobody here.
                reader.take(reader.rest().len())?;
                (Scheme::Free, Unique::Other(other))
            }
        };
        reader.is_empty().then(|| Self { octets: octets.to_vec(), name_hash, attributes, auth_policy, scheme, unique })
    }

    /// The template of a new signing key that never leaves its TPM: fixedTPM, fixedParent, sensitiveDataOrigin, sign only,
    /// and exempt from dictionary-attack protection where it has no password to protect.
    pub(super) fn signing_template(algorithm: KeyAlgorithm, with_password: bool) -> Result<Vec<u8>, KeyError> {
        let mut attributes = FIXED_TPM | FIXED_PARENT | SENSITIVE_DATA_ORIGIN | USER_WITH_AUTH | SIGN;
        if !with_password {
            attributes |= NO_DA;
        }
        let kind = match algorithm {
            KeyAlgorithm::Rsa { .. } => ALG_RSA,
            KeyAlgorithm::Ec(_) => ALG_ECC,
        };
        let mut area = [kind.to_be_bytes(), ALG_SHA256.to_be_bytes()].concat();
        area.extend(attributes.to_be_bytes());
        // No policy, no symmetric algorithm, no fixed scheme.
        area.extend([0, 0]);
        area.extend([ALG_NULL.to_be_bytes(), ALG_NULL.to_be_bytes()].concat());
        match algorithm {
            KeyAlgorithm::Rsa { bits: bits @ (2048 | 3072 | 4096) } => {
                area.extend((bits as u16).to_be_bytes());
                // Exponent 0 means 65537; `unique` is empty.
                area.extend([0; 6]);
            }
            KeyAlgorithm::Ec(curve) => {
                area.extend(curve_id(curve).to_be_bytes());
                // No key derivation; `unique` is empty.
                area.extend(ALG_NULL.to_be_bytes());
                area.extend([0; 4]);
            }
            other => {
                return Err(KeyError::new(
                    KeyErrorKind::Unsupported,
                    format!("wanted RSA-2048, RSA-3072, RSA-4096, P-256, P-384 or P-521 for a TPM key, found {other}"),
                ));
            }
        }
        Ok(area)
    }

    /// The octets of the TPMT_PUBLIC.
    pub(super) fn octets(&self) -> &[u8] {
        &self.octets
    }

    /// The object's name. `None` for a hash that is unknown here.
    pub(super) fn name(&self) -> Option<Name> {
        let digest = hash_with(self.name_hash, &self.octets)?;
        Some(Name::new(self.name_hash, &digest))
    }

    /// TPM_ALG_ID of the hash of the name, which policies use too.
    pub(super) fn name_hash(&self) -> u16 {
        self.name_hash
    }

    /// The digest of the policy that authorises the key's use; empty where there is none.
    pub(super) fn auth_policy(&self) -> &[u8] {
        &self.auth_policy
    }

    /// Whether wrong passwords for this object do not count towards lockout.
    pub(super) fn is_exempt_from_lockout(&self) -> bool {
        self.attributes & NO_DA != 0
    }

    /// Whether the password alone, without a policy, authorises the key's use.
    pub(super) fn is_usable_by_password(&self) -> bool {
        self.attributes & USER_WITH_AUTH != 0
    }

    /// What the object is protected by and may do.
    pub(super) fn attributes(&self) -> TpmKeyAttributes {
        let has = |attribute| self.attributes & attribute != 0;
        TpmKeyAttributes {
            fixed_tpm: has(FIXED_TPM),
            fixed_parent: has(FIXED_PARENT),
            sensitive_data_origin: has(SENSITIVE_DATA_ORIGIN),
            user_with_auth: has(USER_WITH_AUTH),
            no_da: has(NO_DA),
            sign: has(SIGN),
            decrypt: has(DECRYPT),
            restricted: has(RESTRICTED),
        }
    }

    /// What kind of object it is, as people call it.
    pub(super) fn kind_name(&self) -> String {
        match &self.unique {
            Unique::Rsa { .. } => "RSA".to_owned(),
            Unique::Ecc { .. } => "EC".to_owned(),
            Unique::Other(ALG_KEYEDHASH) => "sealed data or an HMAC key".to_owned(),
            Unique::Other(ALG_SYMCIPHER) => "a symmetric key".to_owned(),
            Unique::Other(other) => format!("TPM object type 0x{other:04x}"),
        }
    }

    /// The scheme that is fixed in the key.
    pub(super) fn scheme(&self) -> Scheme {
        self.scheme
    }

    /// The public key.
    pub(super) fn public_key(&self) -> Result<PublicKey, KeyError> {
        match &self.unique {
            // Exponent 0 stands for the default (part 2 §12.2.3.5).
            Unique::Rsa { exponent: 0, modulus } => PublicKey::from_rsa(modulus, &65537u32.to_be_bytes()),
            Unique::Rsa { exponent, modulus } => PublicKey::from_rsa(modulus, &exponent.to_be_bytes()),
            Unique::Ecc { curve, x, y } => {
                let curve = curve_of(*curve).ok_or_else(|| {
                    unusable(format!("wanted a TPM key on P-256, P-384 or P-521, found TPM curve 0x{curve:04x}"))
                })?;
                let mut point = vec![0x04];
                for coordinate in [x, y] {
                    point.extend(padded(coordinate, curve.field_len()).ok_or_else(|| {
                        unusable(format!("wanted coordinates of {} octets for {curve}", curve.field_len()))
                    })?);
                }
                PublicKey::from_ec(curve, &point)
            }
            Unique::Other(ALG_KEYEDHASH) => {
                Err(unusable("wanted an RSA or EC key, found a keyed hash object such as sealed data".to_owned()))
            }
            Unique::Other(ALG_SYMCIPHER) => Err(unusable("wanted an RSA or EC key, found a symmetric key".to_owned())),
            Unique::Other(other) => {
                Err(unusable(format!("wanted an RSA or EC key, found TPM object type 0x{other:04x}")))
            }
        }
    }

    /// The public key, where the key may sign what this program gives it; otherwise the reason and what to do.
    pub(super) fn signing_key(&self) -> Result<PublicKey, KeyError> {
        let public_key = self.public_key()?;
        if self.attributes & SIGN == 0 {
            return Err(unusable(
                "the key may only decrypt, not sign (its attribute sign is clear, and attributes never change): \
                 make a key with sign"
                    .to_owned(),
            )
            .with_advice(Advice::Run { command: ANOTHER_KEY.to_owned() }));
        }
        if self.attributes & RESTRICTED != 0 {
            return Err(unusable(
                "the key is restricted: it signs only what its TPM made itself, as attestation keys do: make an \
                 unrestricted key"
                    .to_owned(),
            )
            .with_advice(Advice::Run { command: ANOTHER_KEY.to_owned() }));
        }
        if let Scheme::Other(scheme) = self.scheme {
            let name = match scheme {
                ALG_RSAPSS => "RSASSA-PSS".to_owned(),
                ALG_RSAES => "RSAES".to_owned(),
                ALG_ECDAA => "ECDAA".to_owned(),
                other => format!("0x{other:04x}"),
            };
            return Err(unusable(format!(
                "the key's scheme is fixed to {name}: wanted RSASSA for RSA, ECDSA for EC, or none fixed"
            )));
        }
        Ok(public_key)
    }
}

/// tpm2-tools' command for a key that fits.
const ANOTHER_KEY: &str = "tpm2_create -C 0x81000001 -G ecc256:ecdsa -a 'fixedtpm|fixedparent|sensitivedataorigin|userwithauth|noda|sign' \
     -u key.pub -r key.priv";

fn rsa(reader: &mut Reader<'_>) -> Option<(Scheme, Unique)> {
    symmetric(reader)?;
    let scheme = match reader.u16()? {
        ALG_NULL => Scheme::Free,
        ALG_RSASSA => Scheme::Fixed(reader.u16()?),
        ALG_RSAES => Scheme::Other(ALG_RSAES),
        other => {
            reader.u16()?;
            Scheme::Other(other)
        }
    };
    let _bits = reader.u16()?;
    let exponent = reader.u32()?;
    let modulus = reader.sized()?.to_vec();
    Some((scheme, Unique::Rsa { exponent, modulus }))
}

fn ecc(reader: &mut Reader<'_>) -> Option<(Scheme, Unique)> {
    symmetric(reader)?;
    let scheme = match reader.u16()? {
        ALG_NULL => Scheme::Free,
        ALG_ECDSA => Scheme::Fixed(reader.u16()?),
        ALG_ECDAA => {
            reader.u32()?;
            Scheme::Other(ALG_ECDAA)
        }
        other => {
            reader.u16()?;
            Scheme::Other(other)
        }
    };
    let curve = reader.u16()?;
    if reader.u16()? != ALG_NULL {
        reader.u16()?;
    }
    let x = reader.sized()?.to_vec();
    let y = reader.sized()?.to_vec();
    Some((scheme, Unique::Ecc { curve, x, y }))
}

/// TPMT_SYM_DEF_OBJECT: the algorithm, and unless that is null its key size and mode.
fn symmetric(reader: &mut Reader<'_>) -> Option<()> {
    if reader.u16()? != ALG_NULL {
        reader.u32()?;
    }
    Some(())
}

const fn curve_id(curve: Curve) -> u16 {
    match curve {
        Curve::P256 => 0x0003,
        Curve::P384 => 0x0004,
        Curve::P521 => 0x0005,
    }
}

fn curve_of(id: u16) -> Option<Curve> {
    Curve::ALL.into_iter().find(|curve| curve_id(*curve) == id)
}

/// The integer in exactly as many octets: TPMs differ in whether they keep leading zeros.
pub(super) fn padded(integer: &[u8], len: usize) -> Option<Vec<u8>> {
    let zeros = integer.iter().take_while(|octet| **octet == 0).count();
    let digits = integer.get(zeros..)?;
    let padding = len.checked_sub(digits.len())?;
    Some([&vec![0; padding], digits].concat())
}

fn unusable(message: String) -> KeyError {
    KeyError::new(KeyErrorKind::Unsupported, message)
}

/// The public area inside a TPM2B_PUBLIC that fills the buffer.
pub(super) fn parse_sized(octets: &[u8]) -> Option<PublicArea> {
    PublicArea::parse(marshal::only_sized(octets)?)
}

#[cfg(test)]
mod tests;
