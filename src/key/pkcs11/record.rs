//! What is known of an opened key between two uses of it.

use super::super::algorithm::Curve;
use super::super::public::PublicKey;
use super::info::Identity;
use super::raw::Object;

/// An opened key: what uses it, and what finds it again after its token was away. A handle is good only in the session it
/// was found in; later it may name another key.
#[derive(Clone, Debug)]
pub(super) struct KeyRecord {
    pub(super) token: Identity,
    pub(super) id: Option<Vec<u8>>,
    pub(super) label: Option<Vec<u8>>,
    pub(super) public_key: Option<PublicKey>,
    pub(super) signer: Signer,
    pub(super) always_authenticate: bool,
    pub(super) handle: Object,
    /// Number of the session that `handle` belongs to.
    pub(super) session: u64,
    /// Which of the forms of the input this token takes.
    pub(super) form: usize,
}

/// How a key signs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Signer {
    Rsa,
    Ec(Curve),
}
