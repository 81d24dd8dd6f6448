//! Do all of these signatures hold? Many at once, by the ZIP 215 rules.
//!
//! The equation is that of ed25519-zebra, which makes points of all keys anew in every batch. Here
//! the same few hundred members sign again and again, so their keys are remembered as points.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use curve25519_dalek::constants::ED25519_BASEPOINT_POINT;
use curve25519_dalek::edwards::{CompressedEdwardsY, EdwardsPoint};
use curve25519_dalek::scalar::Scalar;
use curve25519_dalek::traits::{IsIdentity, VartimeMultiscalarMul};
use rand_core_06::{OsRng, RngCore};
use sha2::{Digest, Sha512};

/// So many keys are remembered (about 200 bytes each); then it begins anew.
const KEYS_MAX: usize = 4096;

/// A signature by a key, well-formed as far as its size goes.
pub struct Signed<'a> {
    pub key: [u8; 32],
    pub signature: [u8; 64],
    pub content: &'a [u8],
}

/// Keys that were seen before, as points.
#[derive(Default)]
pub struct KnownKeys(Mutex<HashMap<[u8; 32], EdwardsPoint>>);

impl KnownKeys {
    /// Says whether all hold by ZIP 215; if not, ask of each. Wrong once in 2^128 times.
    ///
    /// `8 * (sum(z_i s_i) B - sum(z_i R_i) - sum(z_i k_i A_i)) = 0` for random z_i of 128 bits.
    pub fn all_hold(&self, statements: &[Signed]) -> bool {
        self.check(statements).unwrap_or(false)
    }

    fn check(&self, statements: &[Signed]) -> Option<bool> {
        let mut places: HashMap<[u8; 32], usize> = HashMap::with_capacity(statements.len());
        let mut keys: Vec<[u8; 32]> = Vec::with_capacity(statements.len());
        let mut points = Vec::with_capacity(2 * statements.len() + 1);
        let mut of_nonces = Vec::with_capacity(statements.len());
        let mut of_keys: Vec<Scalar> = Vec::with_capacity(statements.len());
        let mut of_base = Scalar::ZERO;
        // These coefficients come from the system even for a seeded engine: they decide nothing.
        let mut random = vec![0; 16 * statements.len()];
        OsRng.fill_bytes(&mut random);
        for (statement, random) in statements.iter().zip(random.chunks_exact(16)) {
            let (nonce, response) = halves(&statement.signature);
            points.push(CompressedEdwardsY(nonce).decompress()?);
            let response = Option::<Scalar>::from(Scalar::from_canonical_bytes(response))?;
            let z = Scalar::from(u128::from_le_bytes(random.try_into().ok()?));
            let place = *places.entry(statement.key).or_insert_with(|| {
                keys.push(statement.key);
                of_keys.push(Scalar::ZERO);
                keys.len() - 1
            });
            *of_keys.get_mut(place)? += z * challenge(&nonce, statement);
            of_nonces.push(z);
            of_base -= z * response;
        }
        self.extend(&mut points, &keys)?;
        points.push(ED25519_BASEPOINT_POINT);
        let sum = EdwardsPoint::vartime_multiscalar_mul(
            of_nonces.iter().chain(&of_keys).chain([&of_base]),
            &points,
        );
        Some(sum.mul_by_cofactor().is_identity())
    }

    /// Adds the points of these keys; None if one is no point.
    fn extend(&self, points: &mut Vec<EdwardsPoint>, keys: &[[u8; 32]]) -> Option<()> {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for key in keys {
            let point = match known.get(key) {
                Some(point) => *point,
                None => {
                    let point = CompressedEdwardsY(*key).decompress()?;
                    if known.len() >= KEYS_MAX {
                        known.clear();
                    }
                    known.insert(*key, point);
                    point
                }
            };
            points.push(point);
        }
        Some(())
    }
}

fn halves(signature: &[u8; 64]) -> ([u8; 32], [u8; 32]) {
    let (mut nonce, mut response) = ([0; 32], [0; 32]);
    nonce.copy_from_slice(&signature[..32]);
    response.copy_from_slice(&signature[32..]);
    (nonce, response)
}

fn challenge(nonce: &[u8; 32], statement: &Signed) -> Scalar {
    let hash = Sha512::new()
        .chain_update(nonce)
        .chain_update(statement.key)
        .chain_update(statement.content)
        .finalize();
    Scalar::from_bytes_mod_order_wide(&hash.into())
}
