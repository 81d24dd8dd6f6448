//! The outer seal: XChaCha20-Poly1305 with a random nonce in front.

use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{Key, XChaCha20Poly1305, XNonce};

use crate::error::{Error, Result};
use crate::random::Random;

const NONCE_SIZE_BYTES: usize = 24;

fn cipher(key: &[u8]) -> Result<XChaCha20Poly1305> {
    if key.len() != 32 {
        return Err(Error::input("A sealing key has 32 bytes."));
    }
    Ok(XChaCha20Poly1305::new(Key::from_slice(key)))
}

pub fn seal(
    random: &Random,
    key: &[u8],
    plaintext: &[u8],
    associated_data: &[u8],
) -> Result<Vec<u8>> {
    let cipher = cipher(key)?;
    let nonce: [u8; NONCE_SIZE_BYTES] = random.array()?;
    let payload = Payload {
        msg: plaintext,
        aad: associated_data,
    };
    let ciphertext = cipher
        .encrypt(XNonce::from_slice(&nonce), payload)
        .map_err(|_| Error::input("The plaintext is too long to be sealed."))?;
    Ok([nonce.as_slice(), &ciphertext].concat())
}

pub fn unseal(key: &[u8], sealed: &[u8], associated_data: &[u8]) -> Result<Option<Vec<u8>>> {
    Ok(open(&cipher(key)?, sealed, associated_data))
}

/// What [`unseal`] gives of each.
pub fn unseal_many(
    key: &[u8],
    sealed: &[impl AsRef<[u8]>],
    associated_data: &[u8],
) -> Result<Vec<Option<Vec<u8>>>> {
    let cipher = cipher(key)?;
    Ok(sealed
        .iter()
        .map(|sealed| open(&cipher, sealed.as_ref(), associated_data))
        .collect())
}

fn open(cipher: &XChaCha20Poly1305, sealed: &[u8], associated_data: &[u8]) -> Option<Vec<u8>> {
    let (nonce, ciphertext) = sealed.split_at_checked(NONCE_SIZE_BYTES)?;
    let payload = Payload {
        msg: ciphertext,
        aad: associated_data,
    };
    cipher.decrypt(XNonce::from_slice(nonce), payload).ok()
}
