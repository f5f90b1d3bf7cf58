//! What a key is: references, devices, opened keys, signing input, secrets. Knows neither AWS nor HTTP nor words to people.
//!
//! Three things are kept apart: a [reference](KeyReference) names; an opened [`Device`] holds the one session and the one
//! login; an opened [`SigningKey`] knows its public half and signs.

mod algorithm;
mod approach;
mod certificate_store;
mod device;
mod devices;
mod error;
mod file;
mod generation;
mod inventory;
pub mod pkcs11;
mod public;
mod reference;
mod secret;
mod signing;
#[cfg(feature = "tpm")]
pub mod tpm;
#[cfg(not(feature = "tpm"))]
#[path = "tpm/absent.rs"]
pub mod tpm;

pub use algorithm::{Curve, HashAlgorithm, KeyAlgorithm};
pub use approach::{Approach, Landmark, ModuleNamedBy, ProxiedModule, Stage, Step, Tries, WantedSecret};
pub use certificate_store::{CertificateStore, NewCertificate, Others};
pub use device::{
    CertificateOfKey, Device, DeviceOptions, Listing, Pkcs11Options, SigningKey, StoredCertificate, StoredKey,
    TpmOptions, WantedKey,
};
pub use devices::Devices;
pub use error::{Advice, KeyError, KeyErrorKind};
pub use file::generate_pem as generate_key_file;
pub use generation::{GeneratedKey, KeyGeneration, NewKey, NewTpmKey};
pub use inventory::{
    Abilities, CertificateEntry, Contents, DeviceInfo, Inventory, KeyAttributes, KeyEntry, KeyKind, Mechanism,
    PinState, TokenInfo, TokenKeyAttributes, TpmInfo, TpmKeyAttributes,
};
pub use public::PublicKey;
pub use reference::{CertificateReference, KeyReference};
pub use secret::{
    Attendant, Secret, SecretKind, SecretNames, SecretOwner, SecretRequest, SecretSource, Secrets, SourceState,
};
pub use signing::{Signature, SigningInput};
