//! RFC 9420 for Python, over OpenMLS: a thin, typed face that knows nothing of governance.
//!
//! It keeps nothing of its own: what must last comes back to the caller as bytes.

mod arguments;
mod commit;
mod engine;
mod envelope;
mod error;
mod exclusive;
mod extension;
mod fitting;
mod group;
mod hpke;
mod key_package;
mod keys;
#[cfg(test)]
mod people;
mod pool;
mod random;
mod seal;
mod signature;
mod state;
mod storage;
mod timeless;
#[cfg(test)]
mod vectors;
mod views;
mod welcome;

use openmls_traits::types::Ciphersuite;
use pyo3::prelude::*;

/// The one suite of this package.
const SUITE: Ciphersuite = Ciphersuite::MLS_128_DHKEMX25519_AES128GCM_SHA256_Ed25519;

/// Stored beside every state: the encoding follows the library's structures field by field.
const LIBRARY_VERSION: &str = "openmls 0.9.2";

#[pymodule(name = "_engine")]
fn native_module(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add("LIBRARY_VERSION", LIBRARY_VERSION)?;
    error::register(module)?;
    module.add_class::<views::SignatureKey>()?;
    module.add_class::<views::KeyPackage>()?;
    module.add_class::<views::NewKeyPackage>()?;
    module.add_class::<views::Member>()?;
    module.add_class::<views::Decrypted>()?;
    module.add_class::<group::Candidate>()?;
    module.add_class::<group::StagedCommit>()?;
    module.add_class::<group::MlsGroup>()?;
    module.add_class::<engine::OpenedWelcome>()?;
    module.add_class::<engine::Engine>()
}
