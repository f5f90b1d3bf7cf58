//! A line to a TPM carries one bare command, then its response: over a character device or a Unix socket. Knows no command.

use std::io::{self, Read, Write};

/// Size of the header of every command and response: tag, size, code (TPM 2.0 part 1 §18).
const HEADER: usize = 10;

/// No TPM sends more (TPM_PT_MAX_RESPONSE_SIZE is 4096 in the PC client profile).
const LONGEST_RESPONSE: usize = 4096;

/// Carries commands to a TPM one at a time.
pub(super) trait Line: Send {
    /// Sends one whole command.
    fn transmit(&mut self, command: &[u8]) -> io::Result<()>;

    /// Waits for the whole response to it.
    fn receive(&mut self) -> io::Result<Vec<u8>>;
}

/// A stream of bare commands and responses: the kernel's devices, and the server socket of swtpm.
pub(super) struct StreamLine<S>(S);

impl<S: Read + Write + Send> StreamLine<S> {
    pub(super) fn new(stream: S) -> Self {
        Self(stream)
    }
}

impl<S: Read + Write + Send> Line for StreamLine<S> {
    fn transmit(&mut self, command: &[u8]) -> io::Result<()> {
        // The kernel's device takes a command in one write only.
        self.0.write_all(command)
    }

    fn receive(&mut self) -> io::Result<Vec<u8>> {
        // Older kernels drop what a first read leaves, so the first read offers room for all of it.
        let mut response = vec![0; LONGEST_RESPONSE];
        let mut filled = 0;
        loop {
            let room = response.get_mut(filled..).unwrap_or_default();
            let count = match self.0.read(room) {
                Ok(0) => return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "it closed the connection")),
                Ok(count) => count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Err(io::ErrorKind::TimedOut.into()),
                Err(error) => return Err(error),
            };
            filled += count;
            match claimed_size(&response, filled) {
                Some(size) if !(HEADER..=LONGEST_RESPONSE).contains(&size) || filled > size => {
                    return Err(io::Error::new(io::ErrorKind::InvalidData, "its response has a wrong length"));
                }
                Some(size) if filled == size => {
                    response.truncate(size);
                    return Ok(response);
                }
                _ => {}
            }
        }
    }
}

/// The size that a response's header claims, once the header is there.
fn claimed_size(response: &[u8], filled: usize) -> Option<usize> {
    let size = response.get(2..6).filter(|_| filled >= HEADER)?;
    size.try_into().ok().map(|size| u32::from_be_bytes(size) as usize)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::VecDeque;

    /// Gives one piece per read.
    struct Pieces(VecDeque<Vec<u8>>);

    impl Read for Pieces {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let piece = self.0.pop_front().unwrap_or_default();
            buffer[..piece.len()].copy_from_slice(&piece);
            Ok(piece.len())
        }
    }

    impl Write for Pieces {
        fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
            Ok(buffer.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn received(pieces: &[&[u8]]) -> io::Result<Vec<u8>> {
        StreamLine::new(Pieces(pieces.iter().map(|piece| piece.to_vec()).collect())).receive()
    }

    const RESPONSE: &[u8] = &[0x80, 1, 0, 0, 0, 12, 0, 0, 0, 0, 7, 7];

    #[test]
    fn a_response_may_come_in_pieces() {
        assert_eq!(received(&[RESPONSE]).unwrap(), RESPONSE);
        assert_eq!(received(&[&RESPONSE[..3], &RESPONSE[3..11], &RESPONSE[11..]]).unwrap(), RESPONSE);
    }

    #[test]
    fn a_response_that_ends_early_or_lies_about_its_length_is_an_error() {
        assert_eq!(received(&[&RESPONSE[..8]]).unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
        let longer = [RESPONSE, &[0]].concat();
        assert_eq!(received(&[&longer]).unwrap_err().kind(), io::ErrorKind::InvalidData);
        let huge = [0x80, 1, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0];
        assert_eq!(received(&[&huge]).unwrap_err().kind(), io::ErrorKind::InvalidData);
        let short = [0x80, 1, 0, 0, 0, 2, 0, 0, 0, 0];
        assert_eq!(received(&[&short]).unwrap_err().kind(), io::ErrorKind::InvalidData);
    }
}
