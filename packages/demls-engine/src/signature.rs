//! Signatures by leaf keys: MLS's own (through OpenMLS) and ours with labels.
//!
//! Ours are verified by the ZIP 215 rules, because only there a single verification and a batch
//! give the same verdict for every input; with other rules members could disagree about a crafted
//! signature.

use ed25519_zebra::{Signature, SigningKey, VerificationKey, VerificationKeyBytes, batch};
use openmls_traits::signatures::{Signer, SignerError};
use openmls_traits::types::SignatureScheme;
use rand_core_06::OsRng;
use zeroize::Zeroizing;

use crate::error::{Error, Result};

/// The private half of a leaf key: an Ed25519 seed, and what follows from it.
#[derive(Clone)]
pub struct LeafKey {
    seed: Zeroizing<[u8; 32]>,
    signing: Zeroizing<SigningKey>,
}

impl LeafKey {
    pub fn from_slice(seed: &[u8]) -> Result<Self> {
        let seed = <[u8; 32]>::try_from(seed)
            .map_err(|_| Error::input("A private signature key has 32 bytes."))?;
        Ok(Self {
            signing: Zeroizing::new(SigningKey::from(seed)),
            seed: Zeroizing::new(seed),
        })
    }

    pub fn seed(&self) -> &[u8; 32] {
        &self.seed
    }

    pub fn public(&self) -> [u8; 32] {
        self.signing.verification_key().into()
    }
}

impl Signer for LeafKey {
    fn sign(&self, payload: &[u8]) -> std::result::Result<Vec<u8>, SignerError> {
        Ok(self.signing.sign(payload).to_bytes().to_vec())
    }

    fn signature_scheme(&self) -> SignatureScheme {
        SignatureScheme::ED25519
    }
}

/// SignWithLabel (RFC 9420 §5.1.2).
pub fn sign(key: &LeafKey, label: &str, content: &[u8]) -> Result<[u8; 64]> {
    let signed = sign_content(label, content)
        .ok_or_else(|| Error::input("The content is too long to be signed."))?;
    Ok(key.signing.sign(&signed).to_bytes())
}

/// VerifyWithLabel (RFC 9420 §5.1.2) by the ZIP 215 rules.
pub fn verify(public: &[u8], label: &str, content: &[u8], signature: &[u8]) -> bool {
    Statement::read(public, label, content, signature).is_some_and(|statement| statement.holds())
}

/// One verdict for each statement, equal to that of [`verify`].
pub fn verify_batch<'a>(
    items: impl Iterator<Item = (&'a [u8], &'a str, &'a [u8], &'a [u8])>,
) -> Vec<bool> {
    let statements: Vec<Option<Statement>> = items
        .map(|(public, label, content, signature)| {
            Statement::read(public, label, content, signature)
        })
        .collect();
    let mut batch = batch::Verifier::new();
    for statement in statements.iter().flatten() {
        batch.queue((statement.public, statement.signature, &statement.signed));
    }
    // The batch's coefficients come from the system even for a seeded engine: they decide nothing.
    let all_hold = batch.verify(OsRng).is_ok();
    statements
        .iter()
        .map(|statement| {
            statement
                .as_ref()
                .is_some_and(|statement| all_hold || statement.holds())
        })
        .collect()
}

/// A signature with what it is over; well-formed, but not yet verified.
struct Statement {
    public: VerificationKeyBytes,
    signature: Signature,
    signed: Vec<u8>,
}

impl Statement {
    fn read(public: &[u8], label: &str, content: &[u8], signature: &[u8]) -> Option<Self> {
        Some(Self {
            public: VerificationKeyBytes::try_from(public).ok()?,
            signature: Signature::try_from(signature).ok()?,
            signed: sign_content(label, content)?,
        })
    }

    fn holds(&self) -> bool {
        VerificationKey::try_from(self.public)
            .is_ok_and(|key| key.verify(&self.signature, &self.signed).is_ok())
    }
}

/// The TLS struct `{opaque label<V> = "MLS 1.0 " + label; opaque content<V>}`.
fn sign_content(label: &str, content: &[u8]) -> Option<Vec<u8>> {
    let label = ["MLS 1.0 ", label].concat();
    let mut encoded = Vec::with_capacity(label.len() + content.len() + 8);
    write_opaque(&mut encoded, label.as_bytes())?;
    write_opaque(&mut encoded, content)?;
    Some(encoded)
}

/// A variable-size vector with the length prefix of RFC 9420 §2.1.2.
fn write_opaque(encoded: &mut Vec<u8>, bytes: &[u8]) -> Option<()> {
    let length = u32::try_from(bytes.len()).ok()?;
    match length {
        0..=0x3f => encoded.push(length as u8),
        0x40..=0x3fff => encoded.extend((length as u16 | 0x4000).to_be_bytes()),
        0x4000..=0x3fff_ffff => encoded.extend((length | 0x8000_0000).to_be_bytes()),
        _ => return None,
    }
    encoded.extend(bytes);
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_are_prefixed_as_rfc_9420_says() {
        // The examples of RFC 9420 §2.1.2, by way of RFC 9000 §A.1.
        for (length, prefix) in [
            (37, [0x25].as_slice()),
            (63, &[0x3f]),
            (64, &[0x40, 0x40]),
            (15_293, &[0x7b, 0xbd]),
            (16_384, &[0x80, 0x00, 0x40, 0x00]),
        ] {
            let mut encoded = Vec::new();
            write_opaque(&mut encoded, &vec![7; length]).expect("it fits");
            assert_eq!(encoded.get(..prefix.len()), Some(prefix));
            assert_eq!(encoded.len(), prefix.len() + length);
        }
    }
}
