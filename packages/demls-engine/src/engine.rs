//! The Python classes where everything begins: the engine, and a welcome that was opened.

use std::sync::{Mutex, PoisonError};

use openmls::group::{GroupId, MIXED_PLAINTEXT_WIRE_FORMAT_POLICY, MlsGroupCreateConfig};
use pyo3::prelude::*;
use pyo3::pybacked::{PyBackedBytes, PyBackedStr};
use pyo3::types::{PyBytes, PyMapping};

use crate::arguments::{self, Number};
use crate::error::{Error, Result, guarded};
use crate::extension::{self, ExtensionMap};
use crate::group::MlsGroup;
use crate::key_package;
use crate::pool;
use crate::random::Random;
use crate::signature::{self, LeafKey};
use crate::state::LiveGroup;
use crate::storage::{Map, Provider};
use crate::views::{KeyPackage, NewKeyPackage, SignatureKey, bytes};
use crate::welcome::{Announced, Invitation, Windows};
use crate::{SUITE, seal};

const RANDOM_SIZE_BYTES_MAX: usize = 1 << 24;

/// About as much of a tree is of one member, to guess how many there are.
const LEAF_BYTES: usize = 300;

/// Cryptography and randomness (suite MLS_128_DHKEMX25519_AES128GCM_SHA256_Ed25519).
#[pyclass(frozen, module = "demls_engine")]
pub struct Engine {
    random: Random,
    /// With which was signed last.
    signer: Mutex<Option<LeafKey>>,
}

/// Runs `work` without the GIL.
fn detached<T: Send>(py: Python<'_>, work: impl FnOnce() -> Result<T> + Send) -> PyResult<T> {
    Ok(py.detach(|| guarded(work))?)
}

#[pymethods]
impl Engine {
    #[new]
    #[pyo3(signature = (seed = None))]
    fn new(seed: Option<&[u8]>) -> PyResult<Self> {
        let seed = seed.map(arguments::seed).transpose()?;
        Ok(Self {
            random: Random::new(seed),
            signer: Mutex::default(),
        })
    }

    fn random<'py>(&self, py: Python<'py>, count: Number<usize>) -> PyResult<Bound<'py, PyBytes>> {
        if count.0 > RANDOM_SIZE_BYTES_MAX {
            return Err(Error::input("At most 16 MiB of random bytes at once.").into());
        }
        let random = detached(py, || self.random.vec(count.0))?;
        Ok(PyBytes::new(py, &random))
    }

    fn signature_key(&self, py: Python<'_>) -> PyResult<SignatureKey> {
        let key = LeafKey::from_slice(&self.random.array::<32>()?)?;
        Ok(SignatureKey {
            private: bytes(py, key.seed()),
            public: bytes(py, &key.public()),
        })
    }

    fn sign<'py>(
        &self,
        py: Python<'py>,
        private: &[u8],
        label: &str,
        content: &[u8],
    ) -> PyResult<Bound<'py, PyBytes>> {
        let signature = detached(py, || {
            let mut signer = self.signer.lock().unwrap_or_else(PoisonError::into_inner);
            let key = match signer.take() {
                Some(key) if key.seed() == private => key,
                _ => LeafKey::from_slice(private)?,
            };
            signature::sign(signer.insert(key), label, content)
        })?;
        Ok(PyBytes::new(py, &signature))
    }

    fn verify(
        &self,
        py: Python<'_>,
        public: &[u8],
        label: &str,
        content: &[u8],
        signature: &[u8],
    ) -> PyResult<bool> {
        detached(py, || {
            Ok(signature::verify(public, label, content, signature))
        })
    }

    fn verify_batch(
        &self,
        py: Python<'_>,
        items: Vec<(PyBackedBytes, PyBackedStr, PyBackedBytes, PyBackedBytes)>,
    ) -> PyResult<Vec<bool>> {
        detached(py, || {
            Ok(signature::verify_batch(items.iter().map(
                |(public, label, content, signature)| {
                    (
                        public.as_ref(),
                        label.as_ref(),
                        content.as_ref(),
                        signature.as_ref(),
                    )
                },
            )))
        })
    }

    fn seal<'py>(
        &self,
        py: Python<'py>,
        key: &[u8],
        plaintext: &[u8],
        associated_data: &[u8],
    ) -> PyResult<Bound<'py, PyBytes>> {
        let sealed = detached(py, || {
            seal::seal(&self.random, key, plaintext, associated_data)
        })?;
        Ok(PyBytes::new(py, &sealed))
    }

    fn unseal<'py>(
        &self,
        py: Python<'py>,
        key: &[u8],
        sealed: &[u8],
        associated_data: &[u8],
    ) -> PyResult<Option<Bound<'py, PyBytes>>> {
        let plaintext = detached(py, || seal::unseal(key, sealed, associated_data))?;
        Ok(plaintext.map(|plaintext| PyBytes::new(py, &plaintext)))
    }

    fn unseal_many<'py>(
        &self,
        py: Python<'py>,
        key: &[u8],
        sealed: Vec<PyBackedBytes>,
        associated_data: &[u8],
    ) -> PyResult<Vec<Option<Bound<'py, PyBytes>>>> {
        let opened = detached(py, || seal::unseal_many(key, &sealed, associated_data))?;
        Ok(opened
            .into_iter()
            .map(|plaintext| plaintext.map(|plaintext| PyBytes::new(py, &plaintext)))
            .collect())
    }

    #[pyo3(signature = (*, signature_private, credential, extensions, supported))]
    fn key_package(
        &self,
        py: Python<'_>,
        signature_private: &[u8],
        credential: &[u8],
        extensions: &Bound<'_, PyMapping>,
        supported: Vec<Number<u16>>,
    ) -> PyResult<NewKeyPackage> {
        let extensions = arguments::extensions(extensions)?;
        let supported = arguments::numbers(&supported);
        let key = LeafKey::from_slice(signature_private)?;
        let (public, private) = detached(py, || {
            let provider = Provider::new(&self.random, Map::new())?;
            key_package::create(&provider, &key, credential, &extensions, &supported)
        })?;
        Ok(NewKeyPackage {
            public: KeyPackage::new(py, public)?,
            private: bytes(py, &private),
        })
    }

    fn parse_key_package(&self, py: Python<'_>, encoded: &[u8]) -> PyResult<Py<KeyPackage>> {
        let described = detached(py, || {
            let provider = Provider::new(&self.random, Map::new())?;
            let parsed = key_package::parse(encoded, &provider.crypto)?;
            key_package::describe(&parsed, &provider.crypto)
        })?;
        KeyPackage::new(py, described)
    }

    #[pyo3(signature = (
        *, group_id, signature_private, credential, extensions, supported, context_extensions,
        past_epochs = Number(3), out_of_order = Number(16), forward = Number(1000)
    ))]
    #[allow(clippy::too_many_arguments)]
    fn create_group(
        &self,
        py: Python<'_>,
        group_id: &[u8],
        signature_private: &[u8],
        credential: &[u8],
        extensions: &Bound<'_, PyMapping>,
        supported: Vec<Number<u16>>,
        context_extensions: &Bound<'_, PyMapping>,
        past_epochs: Number<usize>,
        out_of_order: Number<u32>,
        forward: Number<u32>,
    ) -> PyResult<MlsGroup> {
        let founder = Founder {
            group_id,
            key: LeafKey::from_slice(signature_private)?,
            credential,
            extensions: arguments::extensions(extensions)?,
            supported: arguments::numbers(&supported),
            context_extensions: arguments::extensions(context_extensions)?,
            windows: windows(past_epochs, out_of_order, forward)?,
        };
        let live = detached(py, || pool::run(1, || found(&self.random, founder)))?;
        Ok(MlsGroup::new(live))
    }

    #[pyo3(signature = (
        welcome, key_package_private, *,
        past_epochs = Number(3), out_of_order = Number(16), forward = Number(1000)
    ))]
    fn open_welcome(
        &self,
        py: Python<'_>,
        welcome: &[u8],
        key_package_private: &[u8],
        past_epochs: Number<usize>,
        out_of_order: Number<u32>,
        forward: Number<u32>,
    ) -> PyResult<OpenedWelcome> {
        let windows = windows(past_epochs, out_of_order, forward)?;
        let (invitation, announced) = detached(py, || {
            let invitation = Invitation::new(&self.random, welcome, key_package_private, windows);
            let announced = invitation.announced()?;
            Ok((invitation, announced))
        })?;
        Ok(OpenedWelcome::new(py, invitation, announced))
    }

    fn load_group(&self, py: Python<'_>, state: &Bound<'_, PyMapping>) -> PyResult<MlsGroup> {
        let mut entries: Vec<(Vec<u8>, Vec<u8>)> = Vec::new();
        for item in state.items()? {
            let (key, value): (Bound<'_, PyBytes>, Bound<'_, PyBytes>) = item.extract()?;
            entries.push((key.as_bytes().to_vec(), value.as_bytes().to_vec()));
        }
        let live = py.detach(|| guarded(|| LiveGroup::load(&self.random, entries.into_iter())))?;
        Ok(MlsGroup::new(live))
    }
}

fn windows(
    past_epochs: Number<usize>,
    out_of_order: Number<u32>,
    forward: Number<u32>,
) -> Result<Windows> {
    Windows {
        past_epochs: past_epochs.0,
        out_of_order: out_of_order.0,
        forward: forward.0,
    }
    .check()
}

/// Who founds a group, and which.
pub struct Founder<'a> {
    pub group_id: &'a [u8],
    pub key: LeafKey,
    pub credential: &'a [u8],
    pub extensions: ExtensionMap,
    pub supported: Vec<u16>,
    pub context_extensions: ExtensionMap,
    pub windows: Windows,
}

pub fn found(random: &Random, founder: Founder) -> Result<LiveGroup> {
    let provider = Provider::new(random, Map::new())?;
    let config = MlsGroupCreateConfig::builder()
        .ciphersuite(SUITE)
        .wire_format_policy(MIXED_PLAINTEXT_WIRE_FORMAT_POLICY)
        .lifetime(key_package::eternal())
        .max_past_epochs(founder.windows.past_epochs)
        .sender_ratchet_configuration(founder.windows.ratchet())
        .use_ratchet_tree_extension(false)
        .capabilities(extension::capabilities(
            &founder.supported,
            &founder.extensions,
        )?)
        .with_leaf_node_extensions(extension::to_leaf(&founder.extensions)?)
        .map_err(Error::input)?
        .with_group_context_extensions(extension::to_context(&founder.context_extensions)?)
        .build();
    let group = openmls::group::MlsGroup::new_with_group_id(
        &provider,
        &founder.key,
        &config,
        GroupId::from_slice(founder.group_id),
        key_package::credential_with_key(founder.credential, &founder.key),
    )
    .map_err(Error::input)?;
    LiveGroup::new(group, provider, founder.key, founder.windows.past_epochs)
}

/// A welcome whose secrets were opened; nothing is stored anywhere yet.
#[pyclass(frozen, module = "demls_engine")]
pub struct OpenedWelcome {
    invitation: Invitation,
    #[pyo3(get)]
    group_id: Py<PyBytes>,
    #[pyo3(get)]
    epoch: u64,
    #[pyo3(get)]
    group_info_extensions: ExtensionMap,
    #[pyo3(get)]
    context_extensions: ExtensionMap,
    #[pyo3(get)]
    committer: u32,
}

impl OpenedWelcome {
    fn new(py: Python<'_>, invitation: Invitation, announced: Announced) -> Self {
        Self {
            invitation,
            group_id: bytes(py, &announced.group_id),
            epoch: announced.epoch,
            group_info_extensions: announced.group_info_extensions,
            context_extensions: announced.context_extensions,
            committer: announced.committer,
        }
    }
}

#[pymethods]
impl OpenedWelcome {
    fn join(&self, py: Python<'_>, ratchet_tree: &[u8]) -> PyResult<MlsGroup> {
        let live = detached(py, || {
            pool::run(ratchet_tree.len() / LEAF_BYTES, || {
                self.invitation.join(ratchet_tree)
            })
        })?;
        Ok(MlsGroup::new(live))
    }
}
