//! Policies in key files (TPM 2.0 part 3 §23; draft-bottomley-tpm2-keys §4.1): which of them are carried out, what digest
//! they amount to, and which register keeps a PCR policy from being met. Pure: the session is another file's.

use super::super::error::{KeyError, KeyErrorKind};
use super::marshal::Reader;
use super::public::{self, PublicArea};

const CC_SIGN: u32 = 0x0000_015d;
const CC_POLICY_AUTH_VALUE: u32 = 0x0000_016b;
const CC_POLICY_COMMAND_CODE: u32 = 0x0000_016c;
const CC_POLICY_PCR: u32 = 0x0000_017f;
const CC_POLICY_PASSWORD: u32 = 0x0000_018c;

/// Of so many registers every set is tried in search of those that differ.
const MOST_REGISTERS: usize = 10;

/// One policy command of a key file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// PolicyAuthValue or PolicyPassword: the key's password is wanted. Both give the same digest, and PolicyAuthValue keeps
    /// the password off the wire, so it serves for both (part 3 §23.18).
    Password,
    /// PolicyCommandCode: only TPM2_Sign.
    SignOnly,
    /// PolicyPCR: registers have the values that they had when the key was made.
    Pcr(PcrPolicy),
}

/// Body of a PolicyPCR.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct PcrPolicy {
    /// Digest over the selected registers' values, under the key's name hash.
    pub(super) digest: Vec<u8>,
    /// The registers.
    pub(super) selection: Vec<Bank>,
}

/// TPMS_PCR_SELECTION.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Bank {
    /// TPM_ALG_ID of the bank.
    pub(super) hash: u16,
    /// Bit n % 8 of octet n / 8 selects register n.
    pub(super) bitmap: Vec<u8>,
}

impl Bank {
    /// Numbers of the selected registers, in the order in which a TPM digests them.
    pub(super) fn registers(&self) -> impl Iterator<Item = usize> {
        (0..self.bitmap.len() * 8).filter(|n| self.bitmap.get(n / 8).is_some_and(|octet| octet >> (n % 8) & 1 == 1))
    }

    /// The bank's name as people write it.
    pub(super) fn name(&self) -> String {
        match self.hash {
            0x0004 => "sha1".to_owned(),
            0x000b => "sha256".to_owned(),
            0x000c => "sha384".to_owned(),
            0x000d => "sha512".to_owned(),
            other => format!("0x{other:04x}"),
        }
    }
}

/// Understands the entries of a key file, in order; others than the supported are refused by name.
pub(super) fn read(entries: &[(u32, &[u8])]) -> Result<Vec<Step>, KeyError> {
    entries.iter().map(|(code, body)| step(*code, body)).collect()
}

fn step(code: u32, body: &[u8]) -> Result<Step, KeyError> {
    match code {
        CC_POLICY_AUTH_VALUE | CC_POLICY_PASSWORD if body.is_empty() => Ok(Step::Password),
        CC_POLICY_AUTH_VALUE | CC_POLICY_PASSWORD => Err(damaged("PolicyAuthValue has a body")),
        CC_POLICY_COMMAND_CODE => match <[u8; 4]>::try_from(body).map(u32::from_be_bytes) {
            Ok(CC_SIGN) => Ok(Step::SignOnly),
            Ok(other) => Err(KeyError::new(
                KeyErrorKind::Unsupported,
                format!("the key's policy allows only TPM command 0x{other:03x}, not TPM2_Sign (0x15d)"),
            )),
            Err(_) => Err(damaged("PolicyCommandCode has no command code")),
        },
        CC_POLICY_PCR => {
            PcrPolicy::parse(body).map(Step::Pcr).ok_or_else(|| damaged("PolicyPCR has no digest and selection"))
        }
        other => Err(KeyError::new(
            KeyErrorKind::Unsupported,
            format!(
                "the key's policy wants {}; supported are PolicyAuthValue, PolicyPassword, PolicyPCR and \
                 PolicyCommandCode",
                command_name(other)
            ),
        )),
    }
}

/// Whether the steps amount to the policy that the key demands, so that a damaged file is told from an unmet policy before
/// the TPM is asked.
pub(super) fn check(steps: &[Step], public: &PublicArea) -> Result<(), KeyError> {
    if steps.is_empty() {
        if public.is_usable_by_password() {
            return Ok(());
        }
        return Err(KeyError::new(
            KeyErrorKind::Unsupported,
            "the key can be used by a policy only (its attribute userWithAuth is clear), and the key file holds no policy",
        ));
    }
    let digest =
        digest(steps, public.name_hash()).ok_or_else(|| damaged("the policy is for a hash that is not supported"))?;
    if digest == public.auth_policy() {
        return Ok(());
    }
    Err(damaged("the policy in the file is not the one that the key demands"))
}

/// The policyDigest that a session has after these steps: each extends it by its command code and arguments.
fn digest(steps: &[Step], hash: u16) -> Option<Vec<u8>> {
    let mut digest = vec![0; public::hash_with(hash, &[])?.len()];
    for step in steps {
        match step {
            Step::Password => digest.extend(CC_POLICY_AUTH_VALUE.to_be_bytes()),
            Step::SignOnly => {
                digest.extend(CC_POLICY_COMMAND_CODE.to_be_bytes());
                digest.extend(CC_SIGN.to_be_bytes());
            }
            Step::Pcr(pcr) => {
                digest.extend(CC_POLICY_PCR.to_be_bytes());
                digest.extend(pcr.marshalled_selection()?);
                digest.extend(&pcr.digest);
            }
        }
        digest = public::hash_with(hash, &digest)?;
    }
    Some(digest)
}

impl PcrPolicy {
    /// pcrDigest, then pcrs, as TPM2_PolicyPCR has them; or the other way round with a bare digest, as openssl_tpm2_engine
    /// writes them. Only one of the readings ends where the body ends.
    fn parse(body: &[u8]) -> Option<Self> {
        Self::parse_standard(body).or_else(|| Self::parse_engine(body))
    }

    fn parse_standard(body: &[u8]) -> Option<Self> {
        let mut reader = Reader::new(body);
        let digest = reader.sized()?.to_vec();
        let selection = parse_selection(&mut reader)?;
        (reader.is_empty() && !digest.is_empty()).then_some(Self { digest, selection })
    }

    fn parse_engine(body: &[u8]) -> Option<Self> {
        let mut reader = Reader::new(body);
        let selection = parse_selection(&mut reader)?;
        let digest = reader.rest().to_vec();
        matches!(digest.len(), 20 | 32 | 48 | 64).then_some(Self { digest, selection })
    }

    /// TPML_PCR_SELECTION.
    pub(super) fn marshalled_selection(&self) -> Option<Vec<u8>> {
        let mut octets = u32::try_from(self.selection.len()).ok()?.to_be_bytes().to_vec();
        for bank in &self.selection {
            octets.extend(bank.hash.to_be_bytes());
            octets.push(u8::try_from(bank.bitmap.len()).ok()?);
            octets.extend(&bank.bitmap);
        }
        Some(octets)
    }

    /// Why the policy is not met, given the registers' present values in the order of the selection.
    ///
    /// The policy holds one digest over all registers. With one register it is the one that differs; with several, those can
    /// be told that were as after a reset when the key was made, since putting them back gives that digest.
    pub(super) fn explain(&self, name_hash: u16, values: &[Vec<u8>]) -> String {
        let registers: Vec<String> = self
            .selection
            .iter()
            .flat_map(|bank| bank.registers().map(|n| format!("{} register {n}", bank.name())))
            .collect();
        if values.len() != registers.len() {
            return format!("this TPM keeps no values for some of {}", registers.join(", "));
        }
        let now: Vec<String> =
            registers.iter().zip(values).map(|(name, value)| format!("{name} (now {})", hex(value))).collect();
        if let [now] = now.as_slice() {
            return format!("{now} differs");
        }
        match self.extended_since(name_hash, values) {
            Some(set) => {
                let differing: Vec<&str> =
                    (0..).zip(&now).filter(|(at, _)| set >> at & 1 == 1).map(|(_, now)| now.as_str()).collect();
                let verb = if differing.len() == 1 { "differs" } else { "differ" };
                format!("{} {verb}: not extended yet when the key was made", differing.join(", "))
            }
            None => format!(
                "one or more of these differ (the policy holds one digest over all, so that nobody can tell which): {}",
                now.join(", ")
            ),
        }
    }

    /// The set of registers, as few as possible, whose values at reset lead to the policy's digest: zeros, or ones for those of
    /// a dynamic launch.
    fn extended_since(&self, name_hash: u16, values: &[Vec<u8>]) -> Option<u32> {
        let mut sets: Vec<u32> = (1..1 << values.len().min(MOST_REGISTERS)).collect();
        sets.sort_by_key(|set| set.count_ones());
        sets.into_iter().find(|set| {
            [0x00, 0xff].into_iter().any(|reset| {
                let then = values.iter().enumerate().flat_map(|(at, value)| {
                    let is_reset = at < MOST_REGISTERS && set >> at & 1 == 1;
                    if is_reset { vec![reset; value.len()] } else { value.clone() }
                });
                public::hash_with(name_hash, &then.collect::<Vec<u8>>()).is_some_and(|digest| digest == self.digest)
            })
        })
    }
}

fn parse_selection(reader: &mut Reader<'_>) -> Option<Vec<Bank>> {
    // No TPM has more than 16 banks (TPM2_NUM_PCR_BANKS).
    let count = reader.u32().filter(|count| (1..=16).contains(count))?;
    (0..count)
        .map(|_| {
            let hash = reader.u16()?;
            let len = reader.u8().filter(|len| *len <= 4)?;
            Some(Bank { hash, bitmap: reader.take(len.into())?.to_vec() })
        })
        .collect()
}

fn hex(octets: &[u8]) -> String {
    octets.iter().map(|octet| format!("{octet:02x}")).collect()
}

fn command_name(code: u32) -> String {
    let name = match code {
        0x149 => "PolicyNV",
        0x151 => "PolicySecret",
        0x160 => "PolicySigned",
        0x16a => "PolicyAuthorize",
        0x16d => "PolicyCounterTimer",
        0x16e => "PolicyCpHash",
        0x16f => "PolicyLocality",
        0x170 => "PolicyNameHash",
        0x171 => "PolicyOR",
        0x172 => "PolicyTicket",
        0x187 => "PolicyPhysicalPresence",
        0x188 => "PolicyDuplicationSelect",
        0x18f => "PolicyNvWritten",
        0x190 => "PolicyTemplate",
        0x192 => "PolicyAuthorizeNV",
        other => return format!("TPM command 0x{other:03x}"),
    };
    name.to_owned()
}

fn damaged(why: &str) -> KeyError {
    KeyError::new(KeyErrorKind::Unsupported, format!("wanted a TPM key file, found one that is damaged: {why}"))
}

#[cfg(test)]
mod tests {
    use super::super::marshal;
    use super::*;

    const SHA256: u16 = 0x000b;

    /// The two bodies of the same PolicyPCR, for tests of the file format.
    fn bodies(pcr: &PcrPolicy) -> [Vec<u8>; 2] {
        let selection = pcr.marshalled_selection().unwrap();
        [[marshal::sized(&pcr.digest).unwrap(), selection.clone()].concat(), [selection, pcr.digest.clone()].concat()]
    }

    fn pcr(values: &[Vec<u8>], bitmap: [u8; 3]) -> PcrPolicy {
        PcrPolicy {
            digest: public::hash_with(SHA256, &values.concat()).unwrap(),
            selection: vec![Bank { hash: SHA256, bitmap: bitmap.to_vec() }],
        }
    }

    #[test]
    fn the_digest_of_policy_auth_value_is_the_published_one() {
        let digest = digest(&[Step::Password], SHA256).unwrap();
        assert_eq!(hex(&digest), "8fcd2169ab92694e0c633f1ab772842b8241bbc20288981fc7ac1eddc1fddb0e");
    }

    #[test]
    fn both_orders_of_a_pcr_policy_are_read() {
        let wanted = pcr(&[vec![1; 32]], [0x80, 0, 0]);
        for body in bodies(&wanted) {
            assert_eq!(read(&[(CC_POLICY_PCR, &body)]).unwrap(), [Step::Pcr(wanted.clone())]);
        }
    }

    #[test]
    fn other_policies_are_refused_by_name() {
        let refusal = |code| read(&[(code, &[][..])]).unwrap_err().to_string();
        assert!(refusal(0x16a).contains("PolicyAuthorize;"));
        assert!(refusal(0x151).contains("PolicySecret"));
        assert!(refusal(0x1ff).contains("0x1ff"));
        let other_command = read(&[(CC_POLICY_COMMAND_CODE, &[0, 0, 1, 0x59][..])]).unwrap_err().to_string();
        assert!(other_command.contains("0x159"), "{other_command}");
    }

    #[test]
    fn the_register_that_differs_is_named() {
        let then = vec![vec![0; 32], vec![2; 32]];
        let two = pcr(&then, [0x81, 0, 0]);
        let explained = two.explain(SHA256, &[vec![9; 32], vec![2; 32]]);
        assert_eq!(
            explained,
            format!("sha256 register 0 (now {}) differs: not extended yet when the key was made", "09".repeat(32))
        );
        let both = pcr(&[vec![0; 32], vec![0; 32], vec![3; 32]], [0x07, 0, 0]);
        let explained = both.explain(SHA256, &[vec![1; 32], vec![2; 32], vec![3; 32]]);
        assert!(explained.contains("register 0 (now 01") && explained.contains("register 1 (now 02"), "{explained}");
        assert!(!explained.contains("register 2") && explained.contains(") differ:"), "{explained}");
        let one = pcr(&[vec![5; 32]], [0, 0, 0x80]);
        assert!(one.explain(SHA256, &[vec![6; 32]]).starts_with("sha256 register 23 (now 0606"));
        let unknown = two.explain(SHA256, &[vec![9; 32], vec![8; 32]]);
        assert!(unknown.contains("register 0 (now 09") && unknown.contains("register 7 (now 08"), "{unknown}");
    }
}
