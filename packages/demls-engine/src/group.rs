//! The Python class of a group: locks, the GIL, and panics; what it does is in `state` and `commit`.

use std::borrow::Cow;
use std::sync::{Mutex, PoisonError};

use openmls::prelude::KeyPackage as VerifiedKeyPackage;
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedBytes;
use pyo3::types::{PyBytes, PyDict, PyList, PyMapping};

use crate::arguments::{self, Number};
use crate::commit::{self, LeafChange, Staged, Wanted};
use crate::error::{Error, Result, guarded};
use crate::exclusive::Exclusive;
use crate::extension::ExtensionMap;
use crate::fitting;
use crate::pool;
use crate::signature::LeafKey;
use crate::state::{GroupCopy, LiveGroup};
use crate::views::{Decrypted, KeyPackage, Member, bytes};

/// The live state of one group. One call at a time: others wait, except those that work on copies.
#[pyclass(frozen, module = "demls_engine")]
pub struct MlsGroup {
    live: Exclusive<LiveGroup>,
}

impl MlsGroup {
    pub fn new(live: LiveGroup) -> Self {
        Self {
            live: Exclusive::new(live),
        }
    }

    /// Runs `work` on the live state without the GIL.
    fn with<T: Send>(
        &self,
        py: Python<'_>,
        work: impl FnOnce(&mut LiveGroup) -> Result<T> + Send,
    ) -> PyResult<T> {
        Ok(py.detach(|| self.live.run(work))?)
    }

    /// Runs `work` on a copy, without the GIL and without holding up the live group.
    fn with_copy<T: Send>(
        &self,
        py: Python<'_>,
        work: impl FnOnce(&GroupCopy) -> Result<T> + Send,
    ) -> PyResult<T> {
        let (members, copy) = self.with(py, |live| Ok((live.member_count(), live.copy()?)))?;
        Ok(py.detach(|| guarded(|| pool::run(members, move || work(&copy))))?)
    }
}

#[pymethods]
impl MlsGroup {
    #[getter]
    fn group_id<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyBytes>> {
        let group_id = self.with(py, |live| Ok(live.group_id().to_vec()))?;
        Ok(PyBytes::new(py, &group_id))
    }

    #[getter]
    fn epoch(&self, py: Python<'_>) -> PyResult<u64> {
        self.with(py, |live| Ok(live.epoch()))
    }

    #[getter]
    fn own_leaf(&self, py: Python<'_>) -> PyResult<u32> {
        self.with(py, |live| Ok(live.own_leaf()))
    }

    #[getter]
    fn is_active(&self, py: Python<'_>) -> PyResult<bool> {
        self.with(py, |live| Ok(live.group.is_active()))
    }

    #[getter]
    fn member_count(&self, py: Python<'_>) -> PyResult<usize> {
        self.with(py, |live| Ok(live.member_count()))
    }

    fn members(&self, py: Python<'_>) -> PyResult<Vec<Member>> {
        let members = self.with(py, |live| live.members())?;
        Ok(members
            .into_iter()
            .map(|view| Member::new(py, view))
            .collect())
    }

    fn member(&self, py: Python<'_>, leaf: Number<i128>) -> PyResult<Option<Member>> {
        let Ok(leaf) = u32::try_from(leaf.0) else {
            return Ok(None);
        };
        let view = self.with(py, |live| live.member(leaf))?;
        Ok(view.map(|view| Member::new(py, view)))
    }

    fn context_extensions(&self, py: Python<'_>) -> PyResult<ExtensionMap> {
        self.with(py, |live| live.context_extensions())
    }

    fn authenticator<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyBytes>> {
        let authenticator = self.with(py, |live| live.authenticator())?;
        Ok(PyBytes::new(py, &authenticator))
    }

    fn export_secret<'py>(
        &self,
        py: Python<'py>,
        label: &str,
        context: &[u8],
        length: Number<usize>,
    ) -> PyResult<Bound<'py, PyBytes>> {
        let secret = self.with(py, |live| live.export_secret(label, context, length.0))?;
        Ok(PyBytes::new(py, &secret))
    }

    fn can_add(&self, py: Python<'_>, key_packages: Vec<Addable<'_>>) -> PyResult<bool> {
        let packages = key_packages
            .iter()
            .map(|package| package.verified(py))
            .collect::<PyResult<Option<Vec<_>>>>()?;
        self.with(py, |live| {
            live.check_active()?;
            packages.map_or(Ok(false), |packages| fitting::can_add(live, &packages))
        })
    }

    #[pyo3(signature = (
        *, adds = vec![], removes = vec![], updates = vec![], context_extensions = None,
        authenticated_data = b"".as_slice(), group_info_extensions = None, force_path = false
    ))]
    #[allow(clippy::too_many_arguments)]
    fn propose_commit(
        &self,
        py: Python<'_>,
        adds: Vec<PyBackedBytes>,
        removes: Vec<Number<u32>>,
        updates: Vec<PyBackedBytes>,
        context_extensions: Option<&Bound<'_, PyMapping>>,
        authenticated_data: &[u8],
        group_info_extensions: Option<&Bound<'_, PyMapping>>,
        force_path: bool,
    ) -> PyResult<Candidate> {
        let wanted = Wanted {
            adds: adds.iter().map(AsRef::as_ref).collect(),
            removes: arguments::numbers(&removes),
            updates: updates.iter().map(AsRef::as_ref).collect(),
            context_extensions: arguments::optional_extensions(context_extensions)?,
            authenticated_data,
            group_info_extensions: arguments::optional_extensions(group_info_extensions)?
                .unwrap_or_default(),
            force_path,
        };
        let built = self.with_copy(py, |copy| commit::build(copy, &wanted))?;
        Ok(Candidate {
            commit: bytes(py, &built.commit),
            welcome: built.welcome.map(|welcome| bytes(py, &welcome)),
            staged: bytes(py, &built.staged),
        })
    }

    #[pyo3(signature = (*, extensions = None, signature_private = None))]
    fn propose_update<'py>(
        &self,
        py: Python<'py>,
        extensions: Option<&Bound<'_, PyMapping>>,
        signature_private: Option<&[u8]>,
    ) -> PyResult<(Bound<'py, PyBytes>, Bound<'py, PyBytes>)> {
        let change = LeafChange {
            extensions: arguments::optional_extensions(extensions)?,
            new_key: signature_private.map(LeafKey::from_slice).transpose()?,
        };
        let (proposal, secrets) =
            self.with_copy(py, |copy| commit::propose_update(copy, change))?;
        Ok((PyBytes::new(py, &proposal), PyBytes::new(py, &secrets)))
    }

    fn read_update(&self, py: Python<'_>, proposal: &[u8]) -> PyResult<Member> {
        let view = self.with_copy(py, |copy| commit::read_update(copy, proposal))?;
        Ok(Member::new(py, view))
    }

    #[pyo3(signature = (commit, updates = vec![], own_update = None))]
    fn stage(
        &self,
        py: Python<'_>,
        commit: &[u8],
        updates: Vec<PyBackedBytes>,
        own_update: Option<&[u8]>,
    ) -> PyResult<StagedCommit> {
        let staged = if updates.is_empty() && own_update.is_none() {
            // The inner result, whatever it is, says nothing of the live group.
            self.with(py, |live| {
                Ok(pool::run(live.member_count(), || live.stage(commit)))
            })??
        } else {
            let updates: Vec<&[u8]> = updates.iter().map(AsRef::as_ref).collect();
            self.with_copy(py, |copy| {
                commit::stage_with_updates(copy, commit, &updates, own_update)
            })?
        };
        StagedCommit::new(py, staged)
    }

    fn merge<'py>(&self, py: Python<'py>, commit: Mergeable<'_>) -> PyResult<Bound<'py, PyDict>> {
        let changed = match commit {
            Mergeable::Received(received) => {
                let received = received.get();
                self.with(py, |live| {
                    let staged = received.take_for(&live.authenticator()?)?;
                    pool::run(live.member_count(), move || {
                        live.merge(staged.commit, received.committer, staged.new_key)
                    })
                })
            }
            Mergeable::Own(staged) => {
                let staged = staged.as_bytes();
                self.with(py, |live| {
                    pool::run(live.member_count(), move || {
                        let authenticator = live.authenticator()?;
                        let commit = commit::open_candidate(staged, &authenticator)?;
                        live.merge(commit, live.own_leaf(), None)
                    })
                })
            }
        }?;
        let leaves = PyDict::new(py);
        for (leaf, view) in changed {
            leaves.set_item(leaf, view.map(|view| Member::new(py, view)))?;
        }
        Ok(leaves)
    }

    #[pyo3(signature = (plaintext, authenticated_data = b"".as_slice()))]
    fn encrypt<'py>(
        &self,
        py: Python<'py>,
        plaintext: &[u8],
        authenticated_data: &[u8],
    ) -> PyResult<Bound<'py, PyBytes>> {
        let message = self.with(py, |live| live.encrypt(plaintext, authenticated_data))?;
        Ok(PyBytes::new(py, &message))
    }

    fn decrypt(&self, py: Python<'_>, message: &[u8]) -> PyResult<Decrypted> {
        let plain = self.with(py, |live| live.decrypt(message))?;
        Ok(Decrypted::new(py, &plain))
    }

    fn decrypt_batch<'py>(
        &self,
        py: Python<'py>,
        messages: Vec<PyBackedBytes>,
    ) -> PyResult<Bound<'py, PyList>> {
        let results = self.with(py, |live| {
            Ok(messages
                .iter()
                .map(|message| live.decrypt(message))
                .collect::<Vec<_>>())
        })?;
        let list = PyList::empty(py);
        for result in results {
            match result {
                Ok(plain) => list.append(Decrypted::new(py, &plain))?,
                Err(error) => list.append(PyErr::from(error).into_value(py))?,
            }
        }
        Ok(list)
    }

    fn forget_past_epochs(&self, py: Python<'_>, keep: Number<usize>) -> PyResult<()> {
        self.with(py, |live| live.forget_past_epochs(keep.0))
    }

    fn ratchet_tree<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyBytes>> {
        let tree = self.with(py, |live| live.ratchet_tree())?;
        Ok(PyBytes::new(py, &tree))
    }

    fn changes<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyList>> {
        let changes = self.with(py, LiveGroup::changes)?;
        let list = PyList::empty(py);
        for (key, value) in changes {
            let value = value.map(|value| PyBytes::new(py, value.bytes()));
            list.append((PyBytes::new(py, &key), value))?;
        }
        Ok(list)
    }

    fn snapshot<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let map = self.with(py, LiveGroup::snapshot)?;
        let dict = PyDict::new(py);
        for (key, value) in &map {
            dict.set_item(PyBytes::new(py, key), PyBytes::new(py, value.bytes()))?;
        }
        Ok(dict)
    }
}

/// What `can_add` takes.
#[derive(FromPyObject)]
enum Addable<'py> {
    Verified(Bound<'py, KeyPackage>),
    Encoded(PyBackedBytes),
}

impl Addable<'_> {
    /// None: it can be added to no group.
    fn verified(&self, py: Python<'_>) -> PyResult<Option<Cow<'_, VerifiedKeyPackage>>> {
        match self {
            Self::Verified(package) => Ok(Some(Cow::Borrowed(&package.get().verified))),
            Self::Encoded(encoded) => {
                let parsed = py.detach(|| guarded(|| Ok(fitting::parse(encoded))))?;
                Ok(parsed.map(Cow::Owned))
            }
        }
    }
}

/// What `merge` takes.
#[derive(FromPyObject)]
enum Mergeable<'py> {
    Received(Bound<'py, StagedCommit>),
    Own(Bound<'py, PyBytes>),
}

/// An own commit that was built and not merged.
#[pyclass(frozen, get_all, module = "demls_engine")]
pub struct Candidate {
    commit: Py<PyBytes>,
    welcome: Option<Py<PyBytes>>,
    staged: Py<PyBytes>,
}

/// A received commit, checked by RFC 9420 and not merged.
#[pyclass(frozen, module = "demls_engine")]
pub struct StagedCommit {
    mergeable: Mutex<Option<PendingMerge>>,
    #[pyo3(get)]
    committer: u32,
    adds: Vec<Py<KeyPackage>>,
    #[pyo3(get)]
    removes: Vec<u32>,
    #[pyo3(get)]
    updates: Vec<u32>,
    updated_leaves: Vec<Py<Member>>,
    #[pyo3(get)]
    context_extensions: Option<ExtensionMap>,
    #[pyo3(get)]
    other_proposals: Vec<String>,
    #[pyo3(get)]
    has_path: bool,
    #[pyo3(get)]
    path_signature_key: Option<Py<PyBytes>>,
    #[pyo3(get)]
    path_credential: Option<Py<PyBytes>>,
    #[pyo3(get)]
    path_extensions: Option<ExtensionMap>,
    #[pyo3(get)]
    authenticated_data: Py<PyBytes>,
    #[pyo3(get)]
    removes_self: bool,
    #[pyo3(get)]
    epoch: u64,
    #[pyo3(get)]
    authenticator: Py<PyBytes>,
}

struct PendingMerge {
    base: Vec<u8>,
    commit: openmls::group::StagedCommit,
    new_key: Option<LeafKey>,
}

impl StagedCommit {
    fn new(py: Python<'_>, staged: Staged) -> PyResult<Self> {
        let report = staged.report;
        let path = report.path_leaf;
        Ok(Self {
            mergeable: Mutex::new(Some(PendingMerge {
                base: staged.base,
                commit: staged.commit,
                new_key: staged.new_key,
            })),
            committer: report.committer,
            adds: report
                .adds
                .into_iter()
                .map(|described| KeyPackage::new(py, described))
                .collect::<PyResult<_>>()?,
            removes: report.removes,
            updates: report.updates.iter().map(|member| member.leaf).collect(),
            updated_leaves: report
                .updates
                .into_iter()
                .map(|view| Py::new(py, Member::new(py, view)))
                .collect::<PyResult<_>>()?,
            context_extensions: report.context_extensions,
            other_proposals: report.other_proposals,
            has_path: path.is_some(),
            path_signature_key: path.as_ref().map(|leaf| bytes(py, &leaf.signature_key)),
            path_credential: path.as_ref().map(|leaf| bytes(py, &leaf.credential)),
            path_extensions: path.map(|leaf| leaf.extensions),
            authenticated_data: bytes(py, &report.authenticated_data),
            removes_self: report.removes_self,
            epoch: report.epoch,
            authenticator: bytes(py, &report.authenticator),
        })
    }
}

impl StagedCommit {
    /// The commit, once, if it was staged on the state with this authenticator.
    fn take_for(&self, authenticator: &[u8]) -> Result<PendingMerge> {
        let mut slot = self
            .mergeable
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        match slot.take() {
            Some(staged) if staged.base == authenticator => Ok(staged),
            other => {
                *slot = other;
                Err(Error::WrongState(
                    "The commit was staged on another state, or is merged.",
                ))
            }
        }
    }
}

#[pymethods]
impl StagedCommit {
    #[getter]
    fn adds(&self, py: Python<'_>) -> Vec<Py<KeyPackage>> {
        self.adds.iter().map(|added| added.clone_ref(py)).collect()
    }

    #[getter]
    fn updated_leaves(&self, py: Python<'_>) -> Vec<Py<Member>> {
        self.updated_leaves
            .iter()
            .map(|member| member.clone_ref(py))
            .collect()
    }
}
