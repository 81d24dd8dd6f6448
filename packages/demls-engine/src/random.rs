//! The one source of randomness, seedable so that a simulation can be run again.

use std::sync::{Arc, Mutex, PoisonError};

use openmls_traits::random::OpenMlsRand;
use rand_chacha::ChaCha20Rng;
use rand_core::{Rng, SeedableRng};

use crate::error::{Error, Result};

/// Where random bytes come from.
///
/// Without a seed every draw asks the operating system. Nothing is buffered, so a forked process
/// or a restored virtual machine never repeats a nonce.
#[derive(Clone)]
pub enum Random {
    System,
    Seeded(Arc<Mutex<ChaCha20Rng>>),
}

#[derive(Debug)]
pub struct NoRandomness;

impl std::fmt::Display for NoRandomness {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("The operating system gave no randomness.")
    }
}

impl std::error::Error for NoRandomness {}

impl Random {
    pub fn new(seed: Option<[u8; 32]>) -> Self {
        match seed {
            None => Self::System,
            Some(seed) => Self::Seeded(Arc::new(Mutex::new(ChaCha20Rng::from_seed(seed)))),
        }
    }

    pub fn is_seeded(&self) -> bool {
        matches!(self, Self::Seeded(_))
    }

    /// A generator of its own that goes on from here; the operating system's is everybody's.
    pub fn fork(&self) -> Self {
        match self {
            Self::System => Self::System,
            Self::Seeded(generator) => Self::Seeded(Arc::new(Mutex::new(state_of(generator)))),
        }
    }

    /// Go on where a fork has come to.
    pub fn take_over(&self, fork: &Self) {
        if let (Self::Seeded(own), Self::Seeded(other)) = (self, fork) {
            let state = state_of(other);
            *own.lock().unwrap_or_else(PoisonError::into_inner) = state;
        }
    }

    pub fn fill(&self, bytes: &mut [u8]) -> std::result::Result<(), NoRandomness> {
        match self {
            Self::System => getrandom::fill(bytes).map_err(|_| NoRandomness),
            Self::Seeded(generator) => {
                generator
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .fill_bytes(bytes);
                Ok(())
            }
        }
    }

    pub fn array<const N: usize>(&self) -> Result<[u8; N]> {
        let mut bytes = [0; N];
        self.fill(&mut bytes).map_err(Error::defect)?;
        Ok(bytes)
    }

    pub fn vec(&self, count: usize) -> Result<Vec<u8>> {
        let mut bytes = vec![0; count];
        self.fill(&mut bytes).map_err(Error::defect)?;
        Ok(bytes)
    }
}

fn state_of(generator: &Mutex<ChaCha20Rng>) -> ChaCha20Rng {
    generator
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .clone()
}

impl OpenMlsRand for Random {
    type Error = NoRandomness;

    fn random_array<const N: usize>(&self) -> std::result::Result<[u8; N], NoRandomness> {
        let mut bytes = [0; N];
        self.fill(&mut bytes)?;
        Ok(bytes)
    }

    fn random_vec(&self, len: usize) -> std::result::Result<Vec<u8>, NoRandomness> {
        let mut bytes = vec![0; len];
        self.fill(&mut bytes)?;
        Ok(bytes)
    }
}
