//! The live state of one group, and how it is saved and read again.

use openmls::group::{GroupId, MlsGroup, PastEpochDeletion, StagedCommit};
use openmls::prelude::{
    ContentType, LeafNodeIndex, MlsMessageBodyIn, MlsMessageIn, ProcessedMessageContent,
    ProtocolMessage, Sender,
    tls_codec::{Deserialize as _, Serialize as _},
};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::SystemTime;
use zeroize::Zeroizing;

use crate::commit::{self, Staged};
use crate::error::{Error, Result, from_processing, guarded};
use crate::extension::{self, ExtensionMap};
use crate::key_package::identity;
use crate::random::Random;
use crate::signature::LeafKey;
use crate::storage::{Map, Provider, Value, decode, encode};

/// Above the library's own keys, which begin with the length of a label.
const ABOUT_KEY: &[u8] = b"\xffabout";
const MANIFEST_KEY: &[u8] = b"\xffmanifest";

/// What belongs to a group and OpenMLS does not keep.
#[derive(Clone, Serialize, Deserialize)]
pub struct About {
    library_version: String,
    group_id: Vec<u8>,
    signature_private: Zeroizing<[u8; 32]>,
    past_epochs_max: usize,
    /// Epochs whose message secrets are still there, oldest first.
    ///
    /// Kept here because OpenMLS does not tell a forgotten epoch from a used key.
    past_epochs: VecDeque<u64>,
}

/// A member as the tree shows it.
pub struct MemberView {
    pub leaf: u32,
    pub signature_key: Vec<u8>,
    pub credential: Vec<u8>,
    pub extensions: ExtensionMap,
}

impl MemberView {
    pub fn of(index: u32, leaf: &openmls::treesync::LeafNode) -> Result<Self> {
        Ok(Self {
            leaf: index,
            signature_key: leaf.signature_key().as_slice().to_vec(),
            credential: identity(leaf.credential())?,
            extensions: extension::from_leaf(leaf),
        })
    }
}

pub struct Plain {
    pub sender: u32,
    pub epoch: u64,
    pub plaintext: Vec<u8>,
    pub authenticated_data: Vec<u8>,
}

/// A key and its new value; None: the key is gone.
pub type Change = (Vec<u8>, Option<Arc<Value>>);

pub struct LiveGroup {
    pub group: MlsGroup,
    pub provider: Provider,
    about: About,
    key: LeafKey,
    /// What the caller has been given to save.
    saved: Map,
}

impl LiveGroup {
    /// A group that was just made or joined; nothing of it is saved yet.
    pub fn new(
        group: MlsGroup,
        provider: Provider,
        key: LeafKey,
        past_epochs_max: usize,
    ) -> Result<Self> {
        let about = About {
            library_version: crate::LIBRARY_VERSION.to_owned(),
            group_id: group.group_id().to_vec(),
            signature_private: Zeroizing::new(*key.seed()),
            past_epochs_max,
            past_epochs: VecDeque::new(),
        };
        let live = Self {
            group,
            provider,
            about,
            key,
            saved: Map::new(),
        };
        live.write_about()?;
        Ok(live)
    }

    /// Reads what [`Self::snapshot`] or the sum of all [`Self::changes`] gave.
    pub fn load(random: &Random, state: impl Iterator<Item = (Vec<u8>, Vec<u8>)>) -> Result<Self> {
        let saved: Map = state.map(|(key, value)| (key, Value::new(value))).collect();
        let mut map = saved.clone();
        let about: About = map
            .get(ABOUT_KEY)
            .and_then(|value| decode(value.bytes()).ok())
            .ok_or_else(|| Error::unreadable("This is not the state of a group."))?;
        if about.library_version != crate::LIBRARY_VERSION {
            return Err(Error::unreadable(format!(
                "The state was written by {} and this is {}.",
                about.library_version,
                crate::LIBRARY_VERSION
            )));
        }
        let manifest = map.remove(MANIFEST_KEY);
        if manifest.is_none_or(|manifest| manifest.bytes() != manifest_of(&map)) {
            return Err(Error::unreadable(
                "The state is damaged, or put together from different moments.",
            ));
        }
        let key = LeafKey::from_slice(about.signature_private.as_slice())?;
        let provider = Provider::new(random, map)?;
        let group = load_group(&provider, &about.group_id)?;
        Ok(Self {
            group,
            provider,
            about,
            key,
            saved,
        })
    }

    pub fn group_id(&self) -> &[u8] {
        &self.about.group_id
    }

    pub fn epoch(&self) -> u64 {
        self.group.epoch().as_u64()
    }

    pub fn own_leaf(&self) -> u32 {
        self.group.own_leaf_index().u32()
    }

    pub fn key(&self) -> &LeafKey {
        &self.key
    }

    pub fn check_active(&self) -> Result<()> {
        if self.group.is_active() {
            Ok(())
        } else {
            Err(Error::Inactive)
        }
    }

    pub fn member_count(&self) -> usize {
        self.group.treesync().full_leaves().count()
    }

    pub fn members(&self) -> Result<Vec<MemberView>> {
        self.group
            .treesync()
            .full_leaves()
            .map(|(index, leaf)| MemberView::of(index.u32(), leaf))
            .collect()
    }

    pub fn member(&self, leaf: u32) -> Result<Option<MemberView>> {
        self.group
            .public_group()
            .leaf(LeafNodeIndex::new(leaf))
            .map(|node| MemberView::of(leaf, node))
            .transpose()
    }

    pub fn context_extensions(&self) -> Result<ExtensionMap> {
        extension::from_context(self.group.extensions())
    }

    pub fn authenticator(&self) -> Result<Vec<u8>> {
        self.check_active()?;
        Ok(self.group.epoch_authenticator().as_slice().to_vec())
    }

    pub fn export_secret(&self, label: &str, context: &[u8], length: usize) -> Result<Vec<u8>> {
        self.check_active()?;
        self.group
            .export_secret(&self.provider.crypto, label, context, length)
            .map_err(Error::input)
    }

    pub fn ratchet_tree(&self) -> Result<Vec<u8>> {
        self.group
            .export_ratchet_tree()
            .tls_serialize_detached()
            .map_err(Error::defect)
    }

    pub fn encrypt(&mut self, plaintext: &[u8], authenticated_data: &[u8]) -> Result<Vec<u8>> {
        self.check_active()?;
        let Self {
            group,
            provider,
            key,
            ..
        } = self;
        group.set_aad(authenticated_data.to_vec());
        provider
            .store
            .deferring(|| group.create_message(provider, key, plaintext))
            .map_err(Error::defect)?
            .tls_serialize_detached()
            .map_err(Error::defect)
    }

    pub fn decrypt(&mut self, message: &[u8]) -> Result<Plain> {
        self.check_active()?;
        let message = MlsMessageIn::tls_deserialize_exact(message).map_err(Error::invalid)?;
        let MlsMessageBodyIn::PrivateMessage(message) = message.extract() else {
            return Err(Error::invalid("Not a PrivateMessage."));
        };
        let message = ProtocolMessage::PrivateMessage(message);
        if message.content_type() != ContentType::Application {
            return Err(Error::invalid("Handshakes come as PublicMessage."));
        }
        if message.group_id().as_slice() != self.group_id() {
            return Err(Error::invalid("The message is of another group."));
        }
        let epoch = message.epoch().as_u64();
        if epoch != self.epoch() && !self.about.past_epochs.contains(&epoch) {
            return Err(Error::WrongEpoch);
        }
        let Self {
            group, provider, ..
        } = self;
        let processed = provider
            .store
            .deferring(|| group.process_message(provider, message))
            .map_err(from_processing)?;
        let &Sender::Member(sender) = processed.sender() else {
            return Err(Error::invalid("The sender is no member."));
        };
        let authenticated_data = processed.aad().to_vec();
        match processed.into_content() {
            ProcessedMessageContent::ApplicationMessage(message) => Ok(Plain {
                sender: sender.u32(),
                epoch,
                plaintext: message.into_bytes(),
                authenticated_data,
            }),
            // Anybody in the group can claim the own leaf, for nothing was verified: never an echo.
            ProcessedMessageContent::OwnPrivateMessage => Err(Error::OwnMessage),
            _ => Err(Error::invalid("Not an application message.")),
        }
    }

    pub fn forget_past_epochs(&mut self, keep: usize) -> Result<()> {
        let Self {
            group, provider, ..
        } = self;
        // A cutoff before all time deletes nothing by age: only the number counts.
        let policy =
            PastEpochDeletion::before_timestamp(SystemTime::UNIX_EPOCH).max_past_epochs(keep);
        provider
            .store
            .deferring(|| group.delete_past_epoch_secrets(provider, policy))
            .map_err(Error::defect)?;
        while self.about.past_epochs.len() > keep {
            self.about.past_epochs.pop_front();
        }
        self.write_about()
    }

    /// Moves to the next epoch, or changes nothing. Gives the leaves that are different then, by
    /// index, a blank one as None; nothing if the group goes on without this member.
    pub fn merge(
        &mut self,
        staged: StagedCommit,
        committer: u32,
        new_key: Option<LeafKey>,
    ) -> Result<BTreeMap<u32, Option<MemberView>>> {
        self.check_active()?;
        let epoch = self.epoch();
        let removes_self = staged.self_removed();
        let mut changed = commit::leaves_changed(&staged, committer)?;
        let added = commit::keys_added(&staged);
        self.flush()?;
        let before = self.provider.store.map();
        if let Err(error) = self.group.merge_staged_commit(&self.provider, staged) {
            self.provider.store.restore(before);
            self.group = load_group(&self.provider, &self.about.group_id)?;
            return Err(Error::input(error));
        }
        if let Some(key) = new_key {
            self.about.signature_private = Zeroizing::new(*key.seed());
            self.key = key;
        }
        if !removes_self && self.about.past_epochs_max > 0 {
            self.about.past_epochs.push_back(epoch);
            if self.about.past_epochs.len() > self.about.past_epochs_max {
                self.about.past_epochs.pop_front();
            }
        }
        self.write_about()?;
        if removes_self {
            return Ok(BTreeMap::new());
        }
        let leaves = self.group.treesync().full_leaves();
        let filled = leaves.filter(|(_, leaf)| added.contains(leaf.signature_key().as_slice()));
        changed.extend(filled.map(|(index, _)| index.u32()));
        let seen = |leaf| Ok((leaf, self.member(leaf)?));
        changed.into_iter().map(seen).collect()
    }

    /// What a commit would make of the group, which stays as it is.
    pub fn stage(&mut self, commit: &[u8]) -> Result<Staged> {
        self.check_active()?;
        let authenticator = self.authenticator()?;
        let Self {
            group,
            provider,
            about,
            ..
        } = self;
        let place = Place {
            provider,
            group_id: &about.group_id,
            epoch: group.epoch().as_u64(),
            own_leaf: group.own_leaf_index().u32(),
            authenticator: &authenticator,
        };
        // OpenMLS only reads the group here, so a panic leaves nothing half changed.
        guarded(|| commit::stage(group, &place, commit))
    }

    /// A copy of the stored state to try things on.
    ///
    /// Its message secrets may be older than the live ones; handshakes do not use what is newer.
    pub fn copy(&self) -> Result<GroupCopy> {
        Ok(GroupCopy {
            provider: Provider::new(&self.provider.random, self.provider.store.map())?,
            group_id: self.about.group_id.clone(),
            key: self.key.clone(),
            epoch: self.epoch(),
            own_leaf: self.own_leaf(),
            authenticator: self.authenticator()?,
        })
    }

    /// What must be saved since the last call, by ascending key.
    pub fn changes(&mut self) -> Result<Vec<Change>> {
        let current = self.whole()?;
        let gone = self
            .saved
            .keys()
            .filter(|key| !current.contains_key(*key))
            .map(|key| (key.clone(), None));
        let changed = current
            .iter()
            .filter(|(key, value)| {
                self.saved
                    .get(*key)
                    .is_none_or(|saved| saved.bytes() != value.bytes())
            })
            .map(|(key, value)| (key.clone(), Some(Arc::clone(value))));
        let mut changes: Vec<_> = gone.chain(changed).collect();
        changes.sort_by(|(one, _), (other, _)| one.cmp(other));
        self.saved = current;
        Ok(changes)
    }

    pub fn snapshot(&mut self) -> Result<Map> {
        self.whole()
    }

    fn whole(&mut self) -> Result<Map> {
        self.flush()?;
        let mut map = self.provider.store.map();
        let manifest = manifest_of(&map);
        map.insert(MANIFEST_KEY.to_vec(), Value::new(manifest.to_vec()));
        Ok(map)
    }

    /// Writes message secrets that were deferred.
    fn flush(&mut self) -> Result<()> {
        let Self {
            group, provider, ..
        } = self;
        if provider.store.has_deferred() {
            // OpenMLS writes them when a policy is set; setting the same one has no other effect.
            let policy = group.past_epoch_deletion_policy().clone();
            group
                .set_past_epoch_deletion_policy(provider, policy)
                .map_err(Error::defect)?;
            provider.store.mark_flushed();
        }
        Ok(())
    }

    fn write_about(&self) -> Result<()> {
        let about = encode(&self.about).map_err(Error::defect)?;
        self.provider.store.insert(ABOUT_KEY, about);
        Ok(())
    }
}

/// Part of a group's state, cut loose from the live one.
pub struct GroupCopy {
    pub provider: Provider,
    pub key: LeafKey,
    pub group_id: Vec<u8>,
    pub epoch: u64,
    pub own_leaf: u32,
    pub authenticator: Vec<u8>,
}

/// Where a handshake is read: in which group, in which epoch of it, by whom.
pub struct Place<'a> {
    pub provider: &'a Provider,
    pub group_id: &'a [u8],
    pub epoch: u64,
    pub own_leaf: u32,
    pub authenticator: &'a [u8],
}

impl GroupCopy {
    pub fn place(&self) -> Place<'_> {
        Place {
            provider: &self.provider,
            group_id: &self.group_id,
            epoch: self.epoch,
            own_leaf: self.own_leaf,
            authenticator: &self.authenticator,
        }
    }

    /// The same with other randomness and another store.
    pub fn anew(&self, random: &Random, map: Map) -> Result<Self> {
        Ok(Self {
            provider: Provider::new(random, map)?,
            key: self.key.clone(),
            group_id: self.group_id.clone(),
            authenticator: self.authenticator.clone(),
            ..*self
        })
    }

    pub fn group(&self) -> Result<MlsGroup> {
        load_group(&self.provider, &self.group_id)
    }
}

fn load_group(provider: &Provider, group_id: &[u8]) -> Result<MlsGroup> {
    MlsGroup::load(&provider.store, &GroupId::from_slice(group_id))
        .map_err(Error::unreadable)?
        .ok_or_else(|| Error::unreadable("A part of the state is missing."))
}

/// Binds all values to each other: a state of mixed or damaged parts is refused.
fn manifest_of(map: &Map) -> [u8; 32] {
    let mut hash = Sha256::new();
    for (key, value) in map {
        hash.update((key.len() as u64).to_be_bytes());
        hash.update(key);
        hash.update(value.digest());
    }
    hash.finalize().into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commit::Wanted;
    use crate::people::{group_of, nothing};

    #[test]
    fn rule_2_a_merge_that_fails_half_way_leaves_map_and_group_as_they_were() -> Result<()> {
        let mut members = group_of(2, &Random::System)?;
        let (first, second) = members.split_at_mut(1);
        let (first, second) = (&first[0], &mut second[0]);
        let wanted = Wanted {
            force_path: true,
            ..nothing()
        };
        let commit = commit::build(&first.copy()?, &wanted)?.commit;
        let staged = second.stage(&commit)?;
        // Without the own encryption keys OpenMLS fails after it has begun to change the group.
        let mut map = second.provider.store.map();
        map.retain(|key, _| !key.windows(15).any(|label| label == b"epoch_key_pairs"));
        second.provider.store.restore(map);
        let before = manifest_of(&second.provider.store.map());
        let authenticator = second.authenticator()?;
        assert!(second.merge(staged.commit, 0, None).is_err());
        assert_eq!(manifest_of(&second.provider.store.map()), before);
        assert_eq!(second.authenticator()?, authenticator);
        assert_eq!(second.epoch(), 1);
        Ok(())
    }
}
