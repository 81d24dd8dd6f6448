//! The small read-only classes that Python sees.

use pyo3::prelude::*;
use pyo3::types::PyBytes;

use crate::extension::ExtensionMap;
use crate::key_package::Described;
use crate::state::{MemberView, Plain};

/// An Ed25519 leaf key pair.
#[pyclass(frozen, get_all, module = "demls_engine")]
pub struct SignatureKey {
    pub private: Py<PyBytes>,
    pub public: Py<PyBytes>,
}

/// What a verified key package says (RFC 9420 §10).
#[pyclass(frozen, module = "demls_engine")]
pub struct KeyPackage {
    /// Verified, and not read again to be added.
    pub verified: openmls::prelude::KeyPackage,
    #[pyo3(get)]
    encoded: Py<PyBytes>,
    #[pyo3(get)]
    reference: Py<PyBytes>,
    #[pyo3(get)]
    signature_key: Py<PyBytes>,
    #[pyo3(get)]
    credential: Py<PyBytes>,
    #[pyo3(get)]
    extensions: ExtensionMap,
    #[pyo3(get)]
    not_before: u64,
    #[pyo3(get)]
    not_after: u64,
}

impl KeyPackage {
    pub fn new(py: Python<'_>, described: Described) -> PyResult<Py<Self>> {
        Py::new(
            py,
            Self {
                encoded: bytes(py, &described.encoded),
                reference: bytes(py, &described.reference),
                signature_key: bytes(py, &described.signature_key),
                credential: bytes(py, &described.credential),
                extensions: described.extensions,
                not_before: described.lifetime.not_before(),
                not_after: described.lifetime.not_after(),
                verified: described.verified,
            },
        )
    }
}

#[pymethods]
impl KeyPackage {
    fn __repr__(&self, py: Python<'_>) -> String {
        format!("<KeyPackage {}>", hex(self.reference.as_bytes(py)))
    }
}

/// A fresh key package with its secrets.
#[pyclass(frozen, get_all, module = "demls_engine")]
pub struct NewKeyPackage {
    pub public: Py<KeyPackage>,
    pub private: Py<PyBytes>,
}

/// One leaf of the ratchet tree.
#[pyclass(frozen, get_all, module = "demls_engine")]
pub struct Member {
    leaf: u32,
    signature_key: Py<PyBytes>,
    credential: Py<PyBytes>,
    extensions: ExtensionMap,
}

impl Member {
    pub fn new(py: Python<'_>, view: MemberView) -> Self {
        Self {
            leaf: view.leaf,
            signature_key: bytes(py, &view.signature_key),
            credential: bytes(py, &view.credential),
            extensions: view.extensions,
        }
    }
}

#[pymethods]
impl Member {
    fn __repr__(&self, py: Python<'_>) -> String {
        let key = hex(self.signature_key.as_bytes(py));
        format!("<Member leaf={} signature_key={key}>", self.leaf)
    }
}

/// A decrypted application message.
#[pyclass(frozen, get_all, module = "demls_engine")]
pub struct Decrypted {
    sender: u32,
    epoch: u64,
    plaintext: Py<PyBytes>,
    authenticated_data: Py<PyBytes>,
}

impl Decrypted {
    pub fn new(py: Python<'_>, plain: &Plain) -> Self {
        Self {
            sender: plain.sender,
            epoch: plain.epoch,
            plaintext: bytes(py, &plain.plaintext),
            authenticated_data: bytes(py, &plain.authenticated_data),
        }
    }
}

pub fn bytes(py: Python<'_>, bytes: &[u8]) -> Py<PyBytes> {
    PyBytes::new(py, bytes).unbind()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
