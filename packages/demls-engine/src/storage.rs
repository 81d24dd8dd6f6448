//! Where OpenMLS keeps a group: one map in memory of shared byte values.
//!
//! Cloning the map is cheap, so a clone is a snapshot and a copy of a group to try things on. What
//! must be saved is the difference of two maps. Values are encoded with postcard; only the join
//! configuration is JSON, because its format cannot be read back by position.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use openmls_traits::OpenMlsProvider;
use openmls_traits::storage::{CURRENT_VERSION, StorageProvider, traits};
use serde::Serialize;
use serde::de::DeserializeOwned;
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use crate::error::Result as EngineResult;
use crate::hpke::Crypto;
use crate::random::Random;
use crate::timeless;

/// A saved value; wiped when the last map that holds it is gone.
pub struct Value {
    bytes: Zeroizing<Vec<u8>>,
    digest: OnceLock<[u8; 32]>,
}

impl Value {
    pub fn new(bytes: Vec<u8>) -> Arc<Self> {
        Arc::new(Self {
            bytes: Zeroizing::new(bytes),
            digest: OnceLock::new(),
        })
    }

    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// SHA-256, computed once however many maps share the value.
    pub fn digest(&self) -> &[u8; 32] {
        self.digest
            .get_or_init(|| Sha256::digest(self.bytes()).into())
    }
}

pub type Map = BTreeMap<Vec<u8>, Arc<Value>>;

#[derive(Debug)]
pub enum StorageError {
    Encode,
    Decode,
}

impl std::fmt::Display for StorageError {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(match self {
            Self::Encode => "A value could not be encoded.",
            Self::Decode => "A stored value could not be read.",
        })
    }
}

impl std::error::Error for StorageError {}

type Result<T> = std::result::Result<T, StorageError>;

pub fn encode(value: &impl Serialize) -> Result<Vec<u8>> {
    timeless::to_vec(value).map_err(|_| StorageError::Encode)
}

/// Refuses bytes that are left over.
pub fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T> {
    match postcard::take_from_bytes(bytes) {
        Ok((value, [])) => Ok(value),
        _ => Err(StorageError::Decode),
    }
}

/// The storage of one group, or of one copy of it.
#[derive(Default)]
pub struct Store {
    map: RefCell<Map>,
    /// While set, message secrets are not written: they are large (2.6 MB at 10,000 members) and
    /// change with every message.
    defers_message_secrets: Cell<bool>,
    has_deferred: Cell<bool>,
}

impl Store {
    pub fn new(map: Map) -> Self {
        Self {
            map: RefCell::new(map),
            ..Self::default()
        }
    }

    pub fn map(&self) -> Map {
        self.map.borrow().clone()
    }

    pub fn restore(&self, map: Map) {
        self.map.replace(map);
        self.has_deferred.set(false);
    }

    pub fn insert(&self, key: &[u8], value: Vec<u8>) {
        self.map
            .borrow_mut()
            .insert(key.to_vec(), Value::new(value));
    }

    pub fn extend(&self, entries: impl IntoIterator<Item = (Vec<u8>, Vec<u8>)>) {
        let mut map = self.map.borrow_mut();
        for (key, value) in entries {
            map.insert(key, Value::new(value));
        }
    }

    /// Runs `work` while message secrets stay in the group object and are not written.
    pub fn deferring<T>(&self, work: impl FnOnce() -> T) -> T {
        self.defers_message_secrets.set(true);
        let result = work();
        self.defers_message_secrets.set(false);
        result
    }

    pub fn has_deferred(&self) -> bool {
        self.has_deferred.get()
    }

    pub fn mark_flushed(&self) {
        self.has_deferred.set(false);
    }

    fn key(label: &str, key: &impl Serialize) -> Result<Vec<u8>> {
        encode(&(label, key))
    }

    fn put(&self, label: &str, key: &impl Serialize, value: &impl Serialize) -> Result<()> {
        self.insert(&Self::key(label, key)?, encode(value)?);
        Ok(())
    }

    fn get<T: DeserializeOwned>(&self, label: &str, key: &impl Serialize) -> Result<Option<T>> {
        let key = Self::key(label, key)?;
        self.map
            .borrow()
            .get(&key)
            .map(|value| decode(value.bytes()))
            .transpose()
    }

    fn delete(&self, label: &str, key: &impl Serialize) -> Result<()> {
        self.map.borrow_mut().remove(&Self::key(label, key)?);
        Ok(())
    }

    /// A list is one value: the encoded items in order.
    fn list(&self, label: &str, key: &impl Serialize) -> Result<Vec<Vec<u8>>> {
        Ok(self.get(label, key)?.unwrap_or_default())
    }
}

/// What OpenMLS asks for in every call.
pub struct Provider {
    pub crypto: Crypto,
    pub random: Random,
    pub store: Store,
}

impl Provider {
    pub fn new(random: &Random, map: Map) -> EngineResult<Self> {
        let ephemeral_seed = random.is_seeded().then(|| random.array()).transpose()?;
        Ok(Self {
            crypto: Crypto::new(ephemeral_seed),
            random: random.clone(),
            store: Store::new(map),
        })
    }
}

impl OpenMlsProvider for Provider {
    type CryptoProvider = Crypto;
    type RandProvider = Random;
    type StorageProvider = Store;

    fn storage(&self) -> &Store {
        &self.store
    }

    fn crypto(&self) -> &Crypto {
        &self.crypto
    }

    fn rand(&self) -> &Random {
        &self.random
    }
}

const JOIN_CONFIG: &str = "join_config";
const OWN_LEAF_NODES: &str = "own_leaf_nodes";
const PROPOSALS: &str = "proposals";
const TREE: &str = "tree";
const INTERIM_TRANSCRIPT_HASH: &str = "interim_transcript_hash";
const CONTEXT: &str = "context";
const CONFIRMATION_TAG: &str = "confirmation_tag";
const GROUP_STATE: &str = "group_state";
const MESSAGE_SECRETS: &str = "message_secrets";
const RESUMPTION_PSKS: &str = "resumption_psks";
const OWN_LEAF_INDEX: &str = "own_leaf_index";
const EPOCH_SECRETS: &str = "epoch_secrets";
const SIGNATURE_KEY_PAIR: &str = "signature_key_pair";
const ENCRYPTION_KEY_PAIR: &str = "encryption_key_pair";
const EPOCH_KEY_PAIRS: &str = "epoch_key_pairs";
const KEY_PACKAGE: &str = "key_package";
const PSK: &str = "psk";

const V: u16 = CURRENT_VERSION;

impl StorageProvider<V> for Store {
    type Error = StorageError;

    fn write_mls_join_config<G: traits::GroupId<V>, C: traits::MlsGroupJoinConfig<V>>(
        &self,
        group_id: &G,
        config: &C,
    ) -> Result<()> {
        let json = serde_json::to_vec(config).map_err(|_| StorageError::Encode)?;
        self.insert(&Self::key(JOIN_CONFIG, group_id)?, json);
        Ok(())
    }

    fn append_own_leaf_node<G: traits::GroupId<V>, L: traits::LeafNode<V>>(
        &self,
        group_id: &G,
        leaf_node: &L,
    ) -> Result<()> {
        let mut leaves = self.list(OWN_LEAF_NODES, group_id)?;
        leaves.push(encode(leaf_node)?);
        self.put(OWN_LEAF_NODES, group_id, &leaves)
    }

    fn queue_proposal<
        G: traits::GroupId<V>,
        R: traits::ProposalRef<V>,
        Q: traits::QueuedProposal<V>,
    >(
        &self,
        group_id: &G,
        proposal_ref: &R,
        proposal: &Q,
    ) -> Result<()> {
        let mut proposals: Vec<(Vec<u8>, Vec<u8>)> =
            self.get(PROPOSALS, group_id)?.unwrap_or_default();
        proposals.push((encode(proposal_ref)?, encode(proposal)?));
        self.put(PROPOSALS, group_id, &proposals)
    }

    fn write_tree<G: traits::GroupId<V>, T: traits::TreeSync<V>>(
        &self,
        group_id: &G,
        tree: &T,
    ) -> Result<()> {
        self.put(TREE, group_id, tree)
    }

    fn write_interim_transcript_hash<G: traits::GroupId<V>, H: traits::InterimTranscriptHash<V>>(
        &self,
        group_id: &G,
        interim_transcript_hash: &H,
    ) -> Result<()> {
        self.put(INTERIM_TRANSCRIPT_HASH, group_id, interim_transcript_hash)
    }

    fn write_context<G: traits::GroupId<V>, C: traits::GroupContext<V>>(
        &self,
        group_id: &G,
        group_context: &C,
    ) -> Result<()> {
        self.put(CONTEXT, group_id, group_context)
    }

    fn write_confirmation_tag<G: traits::GroupId<V>, C: traits::ConfirmationTag<V>>(
        &self,
        group_id: &G,
        confirmation_tag: &C,
    ) -> Result<()> {
        self.put(CONFIRMATION_TAG, group_id, confirmation_tag)
    }

    fn write_group_state<S: traits::GroupState<V>, G: traits::GroupId<V>>(
        &self,
        group_id: &G,
        group_state: &S,
    ) -> Result<()> {
        self.put(GROUP_STATE, group_id, group_state)
    }

    fn write_message_secrets<G: traits::GroupId<V>, M: traits::MessageSecrets<V>>(
        &self,
        group_id: &G,
        message_secrets: &M,
    ) -> Result<()> {
        if self.defers_message_secrets.get() {
            self.has_deferred.set(true);
            return Ok(());
        }
        self.put(MESSAGE_SECRETS, group_id, message_secrets)
    }

    fn write_resumption_psk_store<G: traits::GroupId<V>, R: traits::ResumptionPskStore<V>>(
        &self,
        group_id: &G,
        resumption_psk_store: &R,
    ) -> Result<()> {
        self.put(RESUMPTION_PSKS, group_id, resumption_psk_store)
    }

    fn write_own_leaf_index<G: traits::GroupId<V>, L: traits::LeafNodeIndex<V>>(
        &self,
        group_id: &G,
        own_leaf_index: &L,
    ) -> Result<()> {
        self.put(OWN_LEAF_INDEX, group_id, own_leaf_index)
    }

    fn write_group_epoch_secrets<G: traits::GroupId<V>, E: traits::GroupEpochSecrets<V>>(
        &self,
        group_id: &G,
        group_epoch_secrets: &E,
    ) -> Result<()> {
        self.put(EPOCH_SECRETS, group_id, group_epoch_secrets)
    }

    fn write_signature_key_pair<
        P: traits::SignaturePublicKey<V>,
        K: traits::SignatureKeyPair<V>,
    >(
        &self,
        public_key: &P,
        signature_key_pair: &K,
    ) -> Result<()> {
        self.put(SIGNATURE_KEY_PAIR, public_key, signature_key_pair)
    }

    fn write_encryption_key_pair<P: traits::EncryptionKey<V>, K: traits::HpkeKeyPair<V>>(
        &self,
        public_key: &P,
        key_pair: &K,
    ) -> Result<()> {
        self.put(ENCRYPTION_KEY_PAIR, public_key, key_pair)
    }

    fn write_encryption_epoch_key_pairs<
        G: traits::GroupId<V>,
        E: traits::EpochKey<V>,
        K: traits::HpkeKeyPair<V>,
    >(
        &self,
        group_id: &G,
        epoch: &E,
        leaf_index: u32,
        key_pairs: &[K],
    ) -> Result<()> {
        self.put(EPOCH_KEY_PAIRS, &(group_id, epoch, leaf_index), &key_pairs)
    }

    fn write_key_package<H: traits::HashReference<V>, K: traits::KeyPackage<V>>(
        &self,
        hash_ref: &H,
        key_package: &K,
    ) -> Result<()> {
        self.put(KEY_PACKAGE, hash_ref, key_package)
    }

    fn write_psk<P: traits::PskId<V>, B: traits::PskBundle<V>>(
        &self,
        psk_id: &P,
        psk: &B,
    ) -> Result<()> {
        self.put(PSK, psk_id, psk)
    }

    fn mls_group_join_config<G: traits::GroupId<V>, C: traits::MlsGroupJoinConfig<V>>(
        &self,
        group_id: &G,
    ) -> Result<Option<C>> {
        let key = Self::key(JOIN_CONFIG, group_id)?;
        self.map
            .borrow()
            .get(&key)
            .map(|json| serde_json::from_slice(json.bytes()).map_err(|_| StorageError::Decode))
            .transpose()
    }

    fn own_leaf_nodes<G: traits::GroupId<V>, L: traits::LeafNode<V>>(
        &self,
        group_id: &G,
    ) -> Result<Vec<L>> {
        self.list(OWN_LEAF_NODES, group_id)?
            .iter()
            .map(|leaf| decode(leaf))
            .collect()
    }

    fn queued_proposal_refs<G: traits::GroupId<V>, R: traits::ProposalRef<V>>(
        &self,
        group_id: &G,
    ) -> Result<Vec<R>> {
        let proposals: Vec<(Vec<u8>, Vec<u8>)> = self.get(PROPOSALS, group_id)?.unwrap_or_default();
        proposals
            .iter()
            .map(|(reference, _)| decode(reference))
            .collect()
    }

    fn queued_proposals<
        G: traits::GroupId<V>,
        R: traits::ProposalRef<V>,
        Q: traits::QueuedProposal<V>,
    >(
        &self,
        group_id: &G,
    ) -> Result<Vec<(R, Q)>> {
        let proposals: Vec<(Vec<u8>, Vec<u8>)> = self.get(PROPOSALS, group_id)?.unwrap_or_default();
        proposals
            .iter()
            .map(|(reference, proposal)| Ok((decode(reference)?, decode(proposal)?)))
            .collect()
    }

    fn tree<G: traits::GroupId<V>, T: traits::TreeSync<V>>(
        &self,
        group_id: &G,
    ) -> Result<Option<T>> {
        self.get(TREE, group_id)
    }

    fn group_context<G: traits::GroupId<V>, C: traits::GroupContext<V>>(
        &self,
        group_id: &G,
    ) -> Result<Option<C>> {
        self.get(CONTEXT, group_id)
    }

    fn interim_transcript_hash<G: traits::GroupId<V>, H: traits::InterimTranscriptHash<V>>(
        &self,
        group_id: &G,
    ) -> Result<Option<H>> {
        self.get(INTERIM_TRANSCRIPT_HASH, group_id)
    }

    fn confirmation_tag<G: traits::GroupId<V>, C: traits::ConfirmationTag<V>>(
        &self,
        group_id: &G,
    ) -> Result<Option<C>> {
        self.get(CONFIRMATION_TAG, group_id)
    }

    fn group_state<S: traits::GroupState<V>, G: traits::GroupId<V>>(
        &self,
        group_id: &G,
    ) -> Result<Option<S>> {
        self.get(GROUP_STATE, group_id)
    }

    fn message_secrets<G: traits::GroupId<V>, M: traits::MessageSecrets<V>>(
        &self,
        group_id: &G,
    ) -> Result<Option<M>> {
        self.get(MESSAGE_SECRETS, group_id)
    }

    fn resumption_psk_store<G: traits::GroupId<V>, R: traits::ResumptionPskStore<V>>(
        &self,
        group_id: &G,
    ) -> Result<Option<R>> {
        self.get(RESUMPTION_PSKS, group_id)
    }

    fn own_leaf_index<G: traits::GroupId<V>, L: traits::LeafNodeIndex<V>>(
        &self,
        group_id: &G,
    ) -> Result<Option<L>> {
        self.get(OWN_LEAF_INDEX, group_id)
    }

    fn group_epoch_secrets<G: traits::GroupId<V>, E: traits::GroupEpochSecrets<V>>(
        &self,
        group_id: &G,
    ) -> Result<Option<E>> {
        self.get(EPOCH_SECRETS, group_id)
    }

    fn signature_key_pair<P: traits::SignaturePublicKey<V>, K: traits::SignatureKeyPair<V>>(
        &self,
        public_key: &P,
    ) -> Result<Option<K>> {
        self.get(SIGNATURE_KEY_PAIR, public_key)
    }

    fn encryption_key_pair<K: traits::HpkeKeyPair<V>, P: traits::EncryptionKey<V>>(
        &self,
        public_key: &P,
    ) -> Result<Option<K>> {
        self.get(ENCRYPTION_KEY_PAIR, public_key)
    }

    fn encryption_epoch_key_pairs<
        G: traits::GroupId<V>,
        E: traits::EpochKey<V>,
        K: traits::HpkeKeyPair<V>,
    >(
        &self,
        group_id: &G,
        epoch: &E,
        leaf_index: u32,
    ) -> Result<Vec<K>> {
        Ok(self
            .get(EPOCH_KEY_PAIRS, &(group_id, epoch, leaf_index))?
            .unwrap_or_default())
    }

    fn key_package<H: traits::HashReference<V>, K: traits::KeyPackage<V>>(
        &self,
        hash_ref: &H,
    ) -> Result<Option<K>> {
        self.get(KEY_PACKAGE, hash_ref)
    }

    fn psk<B: traits::PskBundle<V>, P: traits::PskId<V>>(&self, psk_id: &P) -> Result<Option<B>> {
        self.get(PSK, psk_id)
    }

    fn remove_proposal<G: traits::GroupId<V>, R: traits::ProposalRef<V>>(
        &self,
        group_id: &G,
        proposal_ref: &R,
    ) -> Result<()> {
        let reference = encode(proposal_ref)?;
        let mut proposals: Vec<(Vec<u8>, Vec<u8>)> =
            self.get(PROPOSALS, group_id)?.unwrap_or_default();
        proposals.retain(|(stored, _)| *stored != reference);
        self.put(PROPOSALS, group_id, &proposals)
    }

    fn delete_own_leaf_nodes<G: traits::GroupId<V>>(&self, group_id: &G) -> Result<()> {
        self.delete(OWN_LEAF_NODES, group_id)
    }

    fn delete_group_config<G: traits::GroupId<V>>(&self, group_id: &G) -> Result<()> {
        self.delete(JOIN_CONFIG, group_id)
    }

    fn delete_tree<G: traits::GroupId<V>>(&self, group_id: &G) -> Result<()> {
        self.delete(TREE, group_id)
    }

    fn delete_confirmation_tag<G: traits::GroupId<V>>(&self, group_id: &G) -> Result<()> {
        self.delete(CONFIRMATION_TAG, group_id)
    }

    fn delete_group_state<G: traits::GroupId<V>>(&self, group_id: &G) -> Result<()> {
        self.delete(GROUP_STATE, group_id)
    }

    fn delete_context<G: traits::GroupId<V>>(&self, group_id: &G) -> Result<()> {
        self.delete(CONTEXT, group_id)
    }

    fn delete_interim_transcript_hash<G: traits::GroupId<V>>(&self, group_id: &G) -> Result<()> {
        self.delete(INTERIM_TRANSCRIPT_HASH, group_id)
    }

    fn delete_message_secrets<G: traits::GroupId<V>>(&self, group_id: &G) -> Result<()> {
        self.delete(MESSAGE_SECRETS, group_id)
    }

    fn delete_all_resumption_psk_secrets<G: traits::GroupId<V>>(&self, group_id: &G) -> Result<()> {
        self.delete(RESUMPTION_PSKS, group_id)
    }

    fn delete_own_leaf_index<G: traits::GroupId<V>>(&self, group_id: &G) -> Result<()> {
        self.delete(OWN_LEAF_INDEX, group_id)
    }

    fn delete_group_epoch_secrets<G: traits::GroupId<V>>(&self, group_id: &G) -> Result<()> {
        self.delete(EPOCH_SECRETS, group_id)
    }

    fn clear_proposal_queue<G: traits::GroupId<V>, R: traits::ProposalRef<V>>(
        &self,
        group_id: &G,
    ) -> Result<()> {
        self.delete(PROPOSALS, group_id)
    }

    fn delete_signature_key_pair<P: traits::SignaturePublicKey<V>>(
        &self,
        public_key: &P,
    ) -> Result<()> {
        self.delete(SIGNATURE_KEY_PAIR, public_key)
    }

    fn delete_encryption_key_pair<P: traits::EncryptionKey<V>>(
        &self,
        public_key: &P,
    ) -> Result<()> {
        self.delete(ENCRYPTION_KEY_PAIR, public_key)
    }

    fn delete_encryption_epoch_key_pairs<G: traits::GroupId<V>, E: traits::EpochKey<V>>(
        &self,
        group_id: &G,
        epoch: &E,
        leaf_index: u32,
    ) -> Result<()> {
        self.delete(EPOCH_KEY_PAIRS, &(group_id, epoch, leaf_index))
    }

    fn delete_key_package<H: traits::HashReference<V>>(&self, hash_ref: &H) -> Result<()> {
        self.delete(KEY_PACKAGE, hash_ref)
    }

    fn delete_psk<P: traits::PskId<V>>(&self, psk_id: &P) -> Result<()> {
        self.delete(PSK, psk_id)
    }
}
