//! Opaque private values that callers keep: what kind, by which version, and undamaged.
//!
//! Their content is postcard, which reads almost any bytes as something; the checksum makes a
//! damaged or mistaken value an error and never a different secret.

use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

const CHECKSUM_SIZE_BYTES: usize = 32;

fn checksum(kind: &[u8; 4], content: &[u8]) -> [u8; CHECKSUM_SIZE_BYTES] {
    let mut hash = Sha256::new();
    hash.update(kind);
    hash.update(crate::LIBRARY_VERSION.as_bytes());
    hash.update(content);
    hash.finalize().into()
}

pub fn close(kind: &[u8; 4], content: &[u8]) -> Zeroizing<Vec<u8>> {
    let checksum = checksum(kind, content);
    Zeroizing::new([kind.as_slice(), &checksum, content].concat())
}

/// None if this is not what [`close`] of this version made.
pub fn open<'a>(kind: &[u8; 4], envelope: &'a [u8]) -> Option<&'a [u8]> {
    let (checked, content) = envelope
        .strip_prefix(kind.as_slice())?
        .split_at_checked(CHECKSUM_SIZE_BYTES)?;
    (checked == checksum(kind, content)).then_some(content)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_envelope_opens_only_whole_and_as_its_kind() {
        let closed = close(b"kind", b"content");
        assert_eq!(open(b"kind", &closed), Some(b"content".as_slice()));
        assert_eq!(open(b"else", &closed), None);
        for end in 0..closed.len() {
            assert_eq!(open(b"kind", &closed[..end]), None);
        }
        for position in 0..closed.len() {
            let mut changed = closed.to_vec();
            changed[position] ^= 1;
            assert_eq!(open(b"kind", &changed), None);
        }
    }
}
