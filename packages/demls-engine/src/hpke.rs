//! OpenMLS's cryptography, with an HPKE whose ephemeral keys follow the engine's seed.
//!
//! `openmls_rust_crypto` draws HPKE's ephemeral keys from the operating system, so a seeded engine
//! would still build another commit in every run. Everything is delegated to it except, for a
//! seeded engine, the two calls that encapsulate, and the verification of signatures, which it does
//! with the same library but makes the key anew for each.

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use ed25519_dalek::{Signature, VerifyingKey};
use hpke_rs::{Hpke, HpkePublicKey, Mode};
use hpke_rs_crypto::error::Error as HpkeCryptoError;
use hpke_rs_crypto::types::{AeadAlgorithm, KdfAlgorithm, KemAlgorithm};
use hpke_rs_crypto::{HpkeCrypto, HpkeTestRng};
use hpke_rs_rust_crypto::HpkeRustCrypto;
use openmls_rust_crypto::RustCrypto;
use openmls_traits::crypto::OpenMlsCrypto;
use openmls_traits::types::{
    AeadType, Ciphersuite, CryptoError, ExporterSecret, HashType, HpkeAeadType, HpkeCiphertext,
    HpkeConfig, HpkeKdfType, HpkeKemType, HpkeKeyPair, KemOutput, SignatureScheme,
};
use rand_chacha::ChaCha20Rng;
use rand_core::{Infallible, SeedableRng, TryCryptoRng, TryRng};
use sha2::{Digest, Sha256};
use zeroize::{Zeroize, Zeroizing};

use openmls::prelude::tls_codec::SecretVLBytes;

/// Cryptography for one operation.
pub struct Crypto {
    library: RustCrypto,
    /// Fresh for each operation; None: ephemeral keys come from the operating system.
    ephemeral_seed: Option<Zeroizing<[u8; 32]>>,
    /// Signature keys as points: to make one takes a tenth of a verification.
    known_keys: Mutex<HashMap<[u8; 32], VerifyingKey>>,
    #[cfg(test)]
    sound_keys: std::sync::atomic::AtomicUsize,
}

/// Of a group's members only few speak at a time.
const KNOWN_KEYS_MAX: usize = 64;

impl Crypto {
    pub fn new(ephemeral_seed: Option<[u8; 32]>) -> Self {
        Self {
            library: RustCrypto::default(),
            ephemeral_seed: ephemeral_seed.map(Zeroizing::new),
            known_keys: Mutex::default(),
            #[cfg(test)]
            sound_keys: usize::MAX.into(),
        }
    }

    fn known_key(&self, public: &[u8]) -> Result<VerifyingKey, CryptoError> {
        let public = <[u8; 32]>::try_from(public).map_err(|_| CryptoError::CryptoLibraryError)?;
        let mut known = self
            .known_keys
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(key) = known.get(&public) {
            return Ok(*key);
        }
        let key = VerifyingKey::from_bytes(&public).map_err(|_| CryptoError::CryptoLibraryError)?;
        if known.len() >= KNOWN_KEYS_MAX {
            known.clear();
        }
        known.insert(public, key);
        Ok(key)
    }

    /// To the key pair that is derived after `sound` others nothing can be encrypted.
    #[cfg(test)]
    pub fn spoil_key_after(&self, sound: usize) {
        self.sound_keys
            .store(sound, std::sync::atomic::Ordering::SeqCst);
    }

    /// HPKE whose ephemeral key depends on the seed and on everything that is encrypted.
    ///
    /// The calls of one commit run on several threads in any order: deriving from the input instead
    /// of drawing in turn makes the result independent of it, and never uses an ephemeral key for
    /// two different inputs.
    fn seeded_hpke(
        seed: &[u8; 32],
        config: HpkeConfig,
        inputs: [&[u8]; 4],
    ) -> Result<Hpke<SeededHpke>, CryptoError> {
        let mut hash = Sha256::new();
        hash.update(seed);
        for input in inputs {
            hash.update((input.len() as u64).to_be_bytes());
            hash.update(input);
        }
        let (kem, kdf, aead) = algorithms(config)?;
        NEXT_SEED.set(Zeroizing::new(hash.finalize().into()));
        Ok(Hpke::new(Mode::Base, kem, kdf, aead))
    }
}

/// Only the suites' algorithms that this package uses; OpenMLS never asks for others.
fn algorithms(
    config: HpkeConfig,
) -> Result<(KemAlgorithm, KdfAlgorithm, AeadAlgorithm), CryptoError> {
    match config {
        HpkeConfig(HpkeKemType::DhKem25519, HpkeKdfType::HkdfSha256, HpkeAeadType::AesGcm128) => {
            Ok((
                KemAlgorithm::DhKem25519,
                KdfAlgorithm::HkdfSha256,
                AeadAlgorithm::Aes128Gcm,
            ))
        }
        _ => Err(CryptoError::UnsupportedCiphersuite),
    }
}

impl OpenMlsCrypto for Crypto {
    fn supports(&self, ciphersuite: Ciphersuite) -> Result<(), CryptoError> {
        match ciphersuite {
            crate::SUITE => Ok(()),
            _ => Err(CryptoError::UnsupportedCiphersuite),
        }
    }

    fn supported_ciphersuites(&self) -> Vec<Ciphersuite> {
        vec![crate::SUITE]
    }

    fn hkdf_extract(
        &self,
        hash_type: HashType,
        salt: &[u8],
        ikm: &[u8],
    ) -> Result<SecretVLBytes, CryptoError> {
        self.library.hkdf_extract(hash_type, salt, ikm)
    }

    fn hmac(
        &self,
        hash_type: HashType,
        key: &[u8],
        message: &[u8],
    ) -> Result<SecretVLBytes, CryptoError> {
        self.library.hmac(hash_type, key, message)
    }

    fn hkdf_expand(
        &self,
        hash_type: HashType,
        prk: &[u8],
        info: &[u8],
        okm_len: usize,
    ) -> Result<SecretVLBytes, CryptoError> {
        self.library.hkdf_expand(hash_type, prk, info, okm_len)
    }

    fn hash(&self, hash_type: HashType, data: &[u8]) -> Result<Vec<u8>, CryptoError> {
        self.library.hash(hash_type, data)
    }

    fn aead_encrypt(
        &self,
        alg: AeadType,
        key: &[u8],
        data: &[u8],
        nonce: &[u8],
        aad: &[u8],
    ) -> Result<Vec<u8>, CryptoError> {
        self.library.aead_encrypt(alg, key, data, nonce, aad)
    }

    fn aead_decrypt(
        &self,
        alg: AeadType,
        key: &[u8],
        ct_tag: &[u8],
        nonce: &[u8],
        aad: &[u8],
    ) -> Result<Vec<u8>, CryptoError> {
        self.library.aead_decrypt(alg, key, ct_tag, nonce, aad)
    }

    fn signature_key_gen(&self, alg: SignatureScheme) -> Result<(Vec<u8>, Vec<u8>), CryptoError> {
        self.library.signature_key_gen(alg)
    }

    fn verify_signature(
        &self,
        alg: SignatureScheme,
        data: &[u8],
        pk: &[u8],
        signature: &[u8],
    ) -> Result<(), CryptoError> {
        if alg != SignatureScheme::ED25519 {
            return self.library.verify_signature(alg, data, pk, signature);
        }
        let signature =
            Signature::from_slice(signature).map_err(|_| CryptoError::CryptoLibraryError)?;
        self.known_key(pk)?
            .verify_strict(data, &signature)
            .map_err(|_| CryptoError::InvalidSignature)
    }

    fn sign(&self, alg: SignatureScheme, data: &[u8], key: &[u8]) -> Result<Vec<u8>, CryptoError> {
        self.library.sign(alg, data, key)
    }

    fn hpke_seal(
        &self,
        config: HpkeConfig,
        pk_r: &[u8],
        info: &[u8],
        aad: &[u8],
        ptxt: &[u8],
    ) -> Result<HpkeCiphertext, CryptoError> {
        let Some(seed) = &self.ephemeral_seed else {
            return self.library.hpke_seal(config, pk_r, info, aad, ptxt);
        };
        let (kem_output, ciphertext) = Self::seeded_hpke(seed, config, [pk_r, info, aad, ptxt])?
            .seal(
                &HpkePublicKey::from(pk_r),
                info,
                aad,
                ptxt,
                None,
                None,
                None,
            )
            .map_err(|_| CryptoError::HpkeEncryptionError)?;
        Ok(HpkeCiphertext {
            kem_output: kem_output.into(),
            ciphertext: ciphertext.into(),
        })
    }

    fn hpke_open(
        &self,
        config: HpkeConfig,
        input: &HpkeCiphertext,
        sk_r: &[u8],
        info: &[u8],
        aad: &[u8],
    ) -> Result<Vec<u8>, CryptoError> {
        self.library.hpke_open(config, input, sk_r, info, aad)
    }

    fn hpke_setup_sender_and_export(
        &self,
        config: HpkeConfig,
        pk_r: &[u8],
        info: &[u8],
        exporter_context: &[u8],
        exporter_length: usize,
    ) -> Result<(KemOutput, ExporterSecret), CryptoError> {
        let Some(seed) = &self.ephemeral_seed else {
            return self.library.hpke_setup_sender_and_export(
                config,
                pk_r,
                info,
                exporter_context,
                exporter_length,
            );
        };
        let (kem_output, context) =
            Self::seeded_hpke(seed, config, [pk_r, info, exporter_context, &[]])?
                .setup_sender(&HpkePublicKey::from(pk_r), info, None, None, None)
                .map_err(|_| CryptoError::SenderSetupError)?;
        let exported = context
            .export(exporter_context, exporter_length)
            .map_err(|_| CryptoError::ExporterError)?;
        Ok((kem_output, exported.into()))
    }

    fn hpke_setup_receiver_and_export(
        &self,
        config: HpkeConfig,
        enc: &[u8],
        sk_r: &[u8],
        info: &[u8],
        exporter_context: &[u8],
        exporter_length: usize,
    ) -> Result<ExporterSecret, CryptoError> {
        self.library.hpke_setup_receiver_and_export(
            config,
            enc,
            sk_r,
            info,
            exporter_context,
            exporter_length,
        )
    }

    fn derive_hpke_keypair(
        &self,
        config: HpkeConfig,
        ikm: &[u8],
    ) -> Result<HpkeKeyPair, CryptoError> {
        let pair = self.library.derive_hpke_keypair(config, ikm)?;
        #[cfg(test)]
        if self
            .sound_keys
            .fetch_sub(1, std::sync::atomic::Ordering::SeqCst)
            == 0
        {
            let public = vec![0; 32];
            return Ok(HpkeKeyPair { public, ..pair });
        }
        Ok(pair)
    }
}

thread_local! {
    // HpkeCrypto::prng takes no argument; the seed for it waits here, set by the same thread in the
    // line before.
    static NEXT_SEED: RefCell<Zeroizing<[u8; 32]>> = RefCell::new(Zeroizing::new([0; 32]));
}

/// `HpkeRustCrypto` with another generator.
#[derive(Debug)]
struct SeededHpke;

struct SeededGenerator(ChaCha20Rng);

impl TryRng for SeededGenerator {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        self.0.try_next_u32()
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        self.0.try_next_u64()
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Infallible> {
        self.0.try_fill_bytes(bytes)
    }
}

impl TryCryptoRng for SeededGenerator {}

impl Zeroize for SeededGenerator {
    fn zeroize(&mut self) {
        self.0 = ChaCha20Rng::from_seed([0; 32]);
    }
}

impl HpkeTestRng for SeededGenerator {
    type Error = Infallible;

    fn try_fill_test_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Infallible> {
        self.0.try_fill_bytes(bytes)
    }

    fn seed(&mut self, _seed: &[u8]) {}
}

impl HpkeCrypto for SeededHpke {
    type HpkePrng = SeededGenerator;

    fn name() -> String {
        HpkeRustCrypto::name()
    }

    fn supports_kdf(alg: KdfAlgorithm) -> Result<(), HpkeCryptoError> {
        HpkeRustCrypto::supports_kdf(alg)
    }

    fn supports_kem(alg: KemAlgorithm) -> Result<(), HpkeCryptoError> {
        HpkeRustCrypto::supports_kem(alg)
    }

    fn supports_aead(alg: AeadAlgorithm) -> Result<(), HpkeCryptoError> {
        HpkeRustCrypto::supports_aead(alg)
    }

    fn prng() -> SeededGenerator {
        SeededGenerator(ChaCha20Rng::from_seed(NEXT_SEED.with_borrow(|seed| **seed)))
    }

    fn kdf_extract(alg: KdfAlgorithm, salt: &[u8], ikm: &[u8]) -> Result<Vec<u8>, HpkeCryptoError> {
        HpkeRustCrypto::kdf_extract(alg, salt, ikm)
    }

    fn kdf_expand(
        alg: KdfAlgorithm,
        prk: &[u8],
        info: &[u8],
        output_size: usize,
    ) -> Result<Vec<u8>, HpkeCryptoError> {
        HpkeRustCrypto::kdf_expand(alg, prk, info, output_size)
    }

    fn dh(alg: KemAlgorithm, pk: &[u8], sk: &[u8]) -> Result<Vec<u8>, HpkeCryptoError> {
        HpkeRustCrypto::dh(alg, pk, sk)
    }

    fn secret_to_public(alg: KemAlgorithm, sk: &[u8]) -> Result<Vec<u8>, HpkeCryptoError> {
        HpkeRustCrypto::secret_to_public(alg, sk)
    }

    fn kem_key_gen(
        alg: KemAlgorithm,
        prng: &mut SeededGenerator,
    ) -> Result<(Vec<u8>, Vec<u8>), HpkeCryptoError> {
        let mut secret = vec![0; 32];
        let Ok(()) = prng.try_fill_bytes(&mut secret);
        let public = Self::secret_to_public(alg, &secret)?;
        Ok((public, secret))
    }

    fn kem_key_gen_derand(
        alg: KemAlgorithm,
        seed: &[u8],
    ) -> Result<(Vec<u8>, Vec<u8>), HpkeCryptoError> {
        HpkeRustCrypto::kem_key_gen_derand(alg, seed)
    }

    fn kem_encaps(
        _alg: KemAlgorithm,
        _pk_r: &[u8],
        _prng: &mut SeededGenerator,
    ) -> Result<(Vec<u8>, Vec<u8>), HpkeCryptoError> {
        Err(HpkeCryptoError::UnsupportedKemOperation)
    }

    fn kem_decaps(alg: KemAlgorithm, ct: &[u8], sk_r: &[u8]) -> Result<Vec<u8>, HpkeCryptoError> {
        HpkeRustCrypto::kem_decaps(alg, ct, sk_r)
    }

    fn dh_validate_sk(alg: KemAlgorithm, sk: &[u8]) -> Result<Vec<u8>, HpkeCryptoError> {
        HpkeRustCrypto::dh_validate_sk(alg, sk)
    }

    fn aead_seal(
        alg: AeadAlgorithm,
        key: &[u8],
        nonce: &[u8],
        aad: &[u8],
        msg: &[u8],
    ) -> Result<Vec<u8>, HpkeCryptoError> {
        HpkeRustCrypto::aead_seal(alg, key, nonce, aad, msg)
    }

    fn aead_open(
        alg: AeadAlgorithm,
        key: &[u8],
        nonce: &[u8],
        aad: &[u8],
        msg: &[u8],
    ) -> Result<Vec<u8>, HpkeCryptoError> {
        HpkeRustCrypto::aead_open(alg, key, nonce, aad, msg)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::signature::LeafKey;
    use openmls_traits::signatures::Signer;

    /// The library's verdict, and ours twice: with a key that is new, and with one that is known.
    fn verdicts(
        crypto: &Crypto,
        data: &[u8],
        public: &[u8],
        signature: &[u8],
    ) -> [Result<(), CryptoError>; 3] {
        let ours = || crypto.verify_signature(SignatureScheme::ED25519, data, public, signature);
        let library = RustCrypto::default();
        let theirs = library.verify_signature(SignatureScheme::ED25519, data, public, signature);
        [theirs, ours(), ours()]
    }

    #[test]
    fn signatures_are_judged_as_by_the_library() {
        let crypto = Crypto::new(None);
        let mut held = 0;
        for number in 0..=u8::try_from(KNOWN_KEYS_MAX).unwrap_or(u8::MAX) {
            let key = LeafKey::from_slice(&[number; 32]).ok();
            let (Some(public), Some(signature)) = (
                key.as_ref().map(LeafKey::public),
                key.as_ref().and_then(|key| key.sign(b"said").ok()),
            ) else {
                panic!("a key that signs nothing");
            };
            let mut flipped = signature.clone();
            flipped[usize::from(number) % 64] ^= 1;
            let cases: [(&[u8], &[u8], &[u8]); 7] = [
                (b"said", &public, &signature),
                (b"not said", &public, &signature),
                (b"said", &public, &flipped),
                (b"said", &public, &signature[1..]),
                (b"said", &public[1..], &signature),
                (b"said", &[number; 32], &signature), // half of these are no points
                (b"said", &[0; 32], &[0; 64]), // a point of low order: strict rules refuse it
            ];
            for (data, public, signature) in cases {
                let [theirs, first, again] = verdicts(&crypto, data, public, signature);
                assert_eq!(theirs, first);
                assert_eq!(theirs, again);
                held += usize::from(theirs.is_ok());
            }
        }
        assert_eq!(held, KNOWN_KEYS_MAX + 1);
    }
}
