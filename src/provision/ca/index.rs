//! What the events say together: which certificates there are, which are revoked, which number the last CRL had. Pure: knows no
//! file and no clock.

use std::collections::HashMap;

use jiff::Timestamp;

use super::error::{Refusal, RefusalKind};
use super::record::{Crl, Event, Issued, Issuer};
use crate::x509::SerialNumber;
use crate::x509::build::RevocationReason;

/// Everything that was issued.
#[derive(Debug, Default)]
pub struct Index {
    entries: Vec<Entry>,
    places: HashMap<String, usize>,
    crls: Vec<Crl>,
}

/// A certificate, and what has become of it.
#[derive(Clone, Debug)]
pub struct Entry {
    /// As it was issued.
    pub issued: Issued,
    /// When it was revoked and why.
    pub revoked: Option<(Timestamp, RevocationReason)>,
}

impl Entry {
    /// The serial number.
    pub fn serial(&self) -> Option<SerialNumber> {
        let hex = &self.issued.serial;
        let octet = |at: usize| u8::from_str_radix(hex.get(at..at + 2)?, 16).ok();
        let octets: Option<Vec<u8>> = (0..hex.len()).step_by(2).map(octet).collect();
        Some(SerialNumber::from_twos_complement(&[vec![0], octets?].concat()))
    }

    /// Neither revoked nor over.
    pub fn is_good(&self, now: Timestamp) -> bool {
        self.revoked.is_none() && now <= self.issued.not_after
    }
}

impl Index {
    /// Takes an event in. Fails, and changes nothing, where it contradicts those before it.
    pub(super) fn apply(&mut self, event: Event) -> Result<(), String> {
        match event {
            Event::Issued(issued) => {
                if !is_serial_number(&issued.serial) {
                    return Err(format!("'{}' is no serial number", issued.serial.escape_debug()));
                }
                if self.places.contains_key(&issued.serial) {
                    return Err(format!("the serial number {} was issued before", issued.serial));
                }
                self.places.insert(issued.serial.clone(), self.entries.len());
                self.entries.push(Entry { issued, revoked: None });
            }
            Event::Revoked { serial, at, reason } => {
                let place = self.places.get(&serial).copied();
                let entry = place.and_then(|place| self.entries.get_mut(place));
                let entry = entry.ok_or_else(|| format!("the serial number {serial} was never issued"))?;
                if entry.revoked.replace((at, reason)).is_some() {
                    return Err(format!("the serial number {serial} was revoked before"));
                }
            }
            Event::Crl(crl) => match self.crls.iter_mut().find(|last| last.issuer == crl.issuer) {
                Some(last) if last.number >= crl.number => {
                    return Err(format!("the CRL {} comes after the CRL {}", crl.number, last.number));
                }
                Some(last) => *last = crl,
                None => self.crls.push(crl),
            },
        }
        Ok(())
    }

    /// Everything, in the order of issuing.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// Whether a serial number, in upper-case hexadecimal, was given out.
    pub fn has(&self, serial: &str) -> bool {
        self.places.contains_key(serial)
    }

    /// The certificate with this serial number, in upper-case hexadecimal.
    pub fn by_serial(&self, serial: &str) -> Option<&Entry> {
        self.entries.get(*self.places.get(serial)?)
    }

    /// The certificate that a person means by this number: hexadecimal, with colons or `0x` where they like, else decimal as AWS
    /// shows it.
    pub fn meant_by(&self, text: &str) -> Option<&Entry> {
        let digits =
            text.trim_start_matches("0x").trim_start_matches("0X").replace([':', ' '], "").to_ascii_uppercase();
        let even = if digits.len() % 2 == 1 { format!("0{digits}") } else { digits };
        let hex = even.trim_start_matches("00");
        self.by_serial(hex).or_else(|| {
            let decimal = text.trim();
            let is_it = |entry: &&Entry| entry.serial().is_some_and(|serial| serial.decimal() == decimal);
            self.entries.iter().find(is_it)
        })
    }

    /// The leaves of a subject that are neither revoked nor over.
    pub fn good_of<'a>(&'a self, subject: &str, now: Timestamp) -> impl Iterator<Item = &'a Entry> {
        let wanted: Vec<char> = canonical(subject).collect();
        let is_it =
            move |entry: &&Entry| entry.is_good(now) && canonical(&entry.issued.subject).eq(wanted.iter().copied());
        self.entries.iter().filter(is_it)
    }

    /// Refuses a subject that has good certificates, none of them for this key: whoever knows it by its name would not know
    /// which of the two machines they talk of. A key that has one already is renewed, whatever other keys the subject has.
    pub(super) fn admit(&self, subject: &str, key: &str, now: Timestamp) -> Result<(), Refusal> {
        if self.good_of(subject, now).any(|entry| entry.issued.key == key) {
            return Ok(());
        }
        let Some(other) = self.good_of(subject, now).next() else { return Ok(()) };
        let message = format!(
            "wanted a subject without a valid certificate, or the key of that certificate, found {subject} certified for another \
             key (serial number {}, valid until {})",
            other.issued.serial, other.issued.not_after
        );
        Err(Refusal::new(RefusalKind::NameTaken { serial: other.issued.serial.clone() }, message))
    }

    /// The last CRL of an issuer.
    pub fn last_crl(&self, issuer: Issuer) -> Option<&Crl> {
        self.crls.iter().find(|crl| crl.issuer == issuer)
    }

    /// What belongs on the next CRL of an issuer. One that is over stays until it was on a CRL that was made after its end
    /// (RFC 5280 §3.3).
    pub fn to_be_listed(&self, issuer: Issuer) -> impl Iterator<Item = &Entry> {
        let since = self.last_crl(issuer).map_or(Timestamp::MIN, |crl| crl.at);
        let is_listed = move |entry: &&Entry| {
            entry.revoked.is_some_and(|(at, _)| at >= since || entry.issued.not_after >= since)
                && entry.issued.issuer == issuer
        };
        self.entries.iter().filter(is_listed)
    }
}

/// Case and white space do not tell names apart (RFC 5280 §7.1).
fn canonical(subject: &str) -> impl Iterator<Item = char> {
    subject.split_whitespace().flat_map(|word| word.chars().flat_map(char::to_lowercase).chain([' ']))
}

/// Whether this is a serial number as [`SerialNumber::hex`] writes positive ones.
fn is_serial_number(hex: &str) -> bool {
    let is_digit = |octet: u8| octet.is_ascii_digit() || (b'A'..=b'F').contains(&octet);
    !hex.is_empty() && hex.len().is_multiple_of(2) && !hex.starts_with("00") && hex.bytes().all(is_digit)
}

#[cfg(test)]
mod tests {
    use super::super::record::Role;
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn issued(serial: &str, subject: &str, key: &str) -> Event {
        Event::Issued(Issued {
            serial: serial.to_owned(),
            role: Role::Leaf,
            issuer: Issuer::Root,
            subject: subject.to_owned(),
            key: key.to_owned(),
            not_before: at(0),
            not_after: at(1000),
            at: at(0),
        })
    }

    fn revoked(serial: &str, second: i64) -> Event {
        Event::Revoked { serial: serial.to_owned(), at: at(second), reason: RevocationReason::Unspecified }
    }

    fn crl(number: u64, second: i64) -> Event {
        Event::Crl(Crl { issuer: Issuer::Root, number, at: at(second), next_update: at(second + 100) })
    }

    fn index(events: impl IntoIterator<Item = Event>) -> Index {
        let mut index = Index::default();
        events.into_iter().for_each(|event| index.apply(event).unwrap());
        index
    }

    #[test]
    fn a_name_is_renewed_by_its_own_key_and_taken_by_no_other() {
        let index = index([issued("0A", "CN=web, O=Example", "k1"), issued("0B", "CN=old", "k1"), revoked("0B", 5)]);
        assert!(index.admit("cn=Web,  o=example", "k1", at(10)).is_ok());
        let refusal = index.admit("cn=Web, o=example", "k2", at(10)).unwrap_err();
        assert!(refusal.to_string().contains("serial number 0A"), "{refusal}");
        assert!(index.admit("CN=web, O=Example", "k2", at(1001)).is_ok(), "the certificate is over");
        assert!(index.admit("CN=old", "k2", at(10)).is_ok(), "the certificate is revoked");
    }

    #[test]
    fn each_of_two_keys_of_a_subject_is_renewed_and_a_third_is_not() {
        let index = index([issued("0A", "CN=web", "k1"), issued("0B", "CN=web", "k2")]);
        for key in ["k1", "k2"] {
            assert!(index.admit("CN=web", key, at(10)).is_ok(), "{key}");
        }
        let refusal = index.admit("CN=web", "k3", at(10)).unwrap_err();
        assert_eq!(*refusal.kind(), RefusalKind::NameTaken { serial: "0A".to_owned() });
    }

    #[test]
    fn a_serial_number_is_understood_as_people_write_it() {
        let mut index = index([issued("0AFF", "CN=a", "k"), issued("10", "CN=b", "k")]);
        for text in ["", "0", "00AA", "aa", "A", "AG"] {
            assert!(index.apply(issued(text, "CN=c", "k")).is_err(), "{text}");
        }
        for text in ["0AFF", "aff", "0x0aff", "0A:FF", "00:0a:ff", "2815"] {
            assert_eq!(index.meant_by(text).unwrap().issued.subject, "CN=a", "{text}");
        }
        assert_eq!(index.meant_by("16").unwrap().issued.subject, "CN=b");
        for text in ["", "0", "zz", "::"] {
            assert!(index.meant_by(text).is_none(), "{text}");
        }
    }

    #[test]
    fn what_is_over_stays_on_one_more_crl() {
        let mut index = index([issued("0A", "CN=a", "k"), revoked("0A", 10)]);
        let listed = |index: &Index| index.to_be_listed(Issuer::Root).count();
        for (number, second, wanted) in [(1, 20, 1), (2, 990, 1), (3, 1100, 1), (4, 1200, 0)] {
            assert_eq!(listed(&index), wanted, "CRL {number}");
            index.apply(crl(number, second)).unwrap();
        }
        assert_eq!(index.to_be_listed(Issuer::Intermediate).count(), 0);
    }

    #[test]
    fn events_that_contradict_each_other_are_refused() {
        let mut index = index([issued("0A", "CN=a", "k"), revoked("0A", 1), crl(7, 1)]);
        for event in [issued("0A", "CN=b", "k"), revoked("0A", 2), revoked("0B", 2), crl(7, 2)] {
            assert!(index.apply(event).is_err());
        }
    }
}
