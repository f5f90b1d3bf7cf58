//! The TPM's own encoding: big-endian integers and buffers that begin with their length (TPM 2.0 part 2 §10.4). Pure.

/// Takes fields off the front of a buffer; `None` where the buffer ends before the field does.
pub(super) struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    pub(super) fn new(octets: &'a [u8]) -> Self {
        Self(octets)
    }

    pub(super) fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (field, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(field)
    }

    pub(super) fn u8(&mut self) -> Option<u8> {
        let [octet] = self.take(1)? else { return None };
        Some(*octet)
    }

    pub(super) fn u16(&mut self) -> Option<u16> {
        self.take(2)?.try_into().ok().map(u16::from_be_bytes)
    }

    pub(super) fn u32(&mut self) -> Option<u32> {
        self.take(4)?.try_into().ok().map(u32::from_be_bytes)
    }

    /// The contents of a TPM2B: a 16-bit length, then as many octets.
    pub(super) fn sized(&mut self) -> Option<&'a [u8]> {
        let count = self.u16()?;
        self.take(count.into())
    }

    pub(super) fn rest(&self) -> &'a [u8] {
        self.0
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// A TPM2B that holds these octets; `None` where they are more than a 16-bit length can say.
pub(super) fn sized(octets: &[u8]) -> Option<Vec<u8>> {
    let count = u16::try_from(octets.len()).ok()?;
    Some([&count.to_be_bytes(), octets].concat())
}

/// The contents of a TPM2B that fills the whole buffer.
pub(super) fn only_sized(octets: &[u8]) -> Option<&[u8]> {
    let mut reader = Reader::new(octets);
    let contents = reader.sized()?;
    reader.is_empty().then_some(contents)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sized_buffer_is_read_as_it_was_written() {
        let buffer = sized(b"abc").unwrap();
        assert_eq!(buffer, [0, 3, b'a', b'b', b'c']);
        assert_eq!(only_sized(&buffer), Some(b"abc".as_slice()));
    }

    #[test]
    fn a_length_that_does_not_fit_is_noticed() {
        assert_eq!(only_sized(&[0, 4, 1, 2, 3]), None);
        assert_eq!(only_sized(&[0, 2, 1, 2, 3]), None);
        assert_eq!(sized(&[0; 0x1_0000]), None);
        assert_eq!(Reader::new(&[1]).u16(), None);
    }
}
