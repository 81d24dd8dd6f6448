//! Commits: built as candidates on a copy of the group, and received and staged.

use std::collections::HashSet;

use openmls::group::{MlsGroup, StagedCommit};
use openmls::prelude::tls_codec::{Deserialize as _, Serialize as _};
use openmls::prelude::{
    ContentType, LeafNodeIndex, LeafNodeParameters, MlsMessageBodyIn, MlsMessageIn,
    NewSignerBundle, ProcessMessageError, ProcessedMessageContent, Proposal, ProtocolMessage,
    QueuedProposal, Sender, StageCommitError,
};
use zeroize::Zeroizing;

use crate::envelope;
use crate::error::{Error, Result, from_processing};
use crate::extension::{self, ExtensionMap};
use crate::key_package::{self, Described};
use crate::keys;
use crate::signature::LeafKey;
use crate::state::{GroupCopy, MemberView, Place};
use crate::storage::{Map, decode, encode};

const CANDIDATE_KIND: &[u8; 4] = b"DEca";
const UPDATE_KIND: &[u8; 4] = b"DEup";

/// Four are in order after 24 attempts on average, five after 120.
const ORDER_TRIES: usize = 1_000;

/// What a candidate shall contain.
pub struct Wanted<'a> {
    pub adds: Vec<&'a [u8]>,
    pub removes: Vec<u32>,
    pub updates: Vec<&'a [u8]>,
    pub context_extensions: Option<ExtensionMap>,
    pub authenticated_data: &'a [u8],
    pub group_info_extensions: ExtensionMap,
    pub force_path: bool,
}

pub struct Built {
    pub commit: Vec<u8>,
    pub welcome: Option<Vec<u8>>,
    pub staged: Zeroizing<Vec<u8>>,
}

/// With a seed, the same call makes the same commit in every process.
pub fn build(copy: &GroupCopy, wanted: &Wanted) -> Result<Built> {
    let random = &copy.provider.random;
    if !random.is_seeded() || wanted.removes.len() + wanted.updates.len() < 2 {
        return Ok(build_in_any_order(copy, wanted)?.0);
    }
    // OpenMLS puts Removes and Updates in the order of a hash map, another in each process. So it is
    // done again, with the same randomness, until they come by leaf: only where runs are repeated.
    let before = copy.provider.store.map();
    for _ in 0..ORDER_TRIES {
        let attempt = copy.anew(&random.fork(), before.clone())?;
        let (built, is_by_leaf) = build_in_any_order(&attempt, wanted)?;
        if is_by_leaf {
            random.take_over(&attempt.provider.random);
            return Ok(built);
        }
    }
    Ok(build_in_any_order(copy, wanted)?.0)
}

fn build_in_any_order(copy: &GroupCopy, wanted: &Wanted) -> Result<(Built, bool)> {
    let mut group = copy.group()?;
    let GroupCopy { provider, key, .. } = copy;
    let mut adds = Vec::with_capacity(wanted.adds.len());
    for encoded in &wanted.adds {
        adds.push(key_package::parse(encoded, &provider.crypto).map_err(Error::blame_caller)?);
    }
    for update in &wanted.updates {
        let proposal = verify_update(copy, &mut group, update).map_err(Error::blame_caller)?;
        group
            .store_pending_proposal(&provider.store, proposal)
            .map_err(Error::defect)?;
    }
    let count = wanted.adds.len()
        + wanted.removes.len()
        + wanted.updates.len()
        + usize::from(wanted.context_extensions.is_some());

    group.set_aad(wanted.authenticated_data.to_vec());
    let mut builder = group
        .commit_builder()
        // The copy's store holds the chosen updates and nothing else.
        .consume_proposal_store(!wanted.updates.is_empty())
        .force_self_update(wanted.force_path)
        .propose_adds(adds)
        .propose_removals(wanted.removes.iter().copied().map(LeafNodeIndex::new));
    if let Some(extensions) = &wanted.context_extensions {
        builder = builder
            .propose_group_context_extensions(extension::to_context(extensions)?)
            .map_err(Error::input)?;
    }
    let mut builder = builder.load_psks(&provider.store).map_err(Error::defect)?;
    if !wanted.adds.is_empty() && !wanted.group_info_extensions.is_empty() {
        builder = builder
            .create_group_info_with_extensions(extension::to_group_info(
                &wanted.group_info_extensions,
            )?)
            .map_err(Error::input)?;
    }
    let (commit, welcome, _group_info) = builder
        .build(&provider.random, &provider.crypto, key, |_| true)
        .map_err(Error::input)?
        .stage_commit(provider)
        .map_err(Error::defect)?
        .into_messages();
    let staged = group
        .pending_commit()
        .ok_or_else(|| Error::defect("A built commit is not pending."))?;
    // OpenMLS drops what does not go together (say, an Update of a leaf that is removed).
    if staged.queued_proposals().count() != count {
        return Err(Error::input("The proposals do not go together."));
    }
    let is_by_leaf = leaves_concerned(staged)?.is_sorted();
    let content = encode(&(&copy.authenticator, staged)).map_err(Error::defect)?;
    let built = Built {
        commit: commit.tls_serialize_detached().map_err(Error::defect)?,
        welcome: welcome
            .map(|welcome| welcome.tls_serialize_detached())
            .transpose()
            .map_err(Error::defect)?,
        staged: envelope::close(CANDIDATE_KIND, &Zeroizing::new(content)),
    };
    Ok((built, is_by_leaf))
}

/// Of the Removes and Updates, as they stand in a commit.
fn leaves_concerned(staged: &StagedCommit) -> Result<Vec<u32>> {
    staged
        .queued_proposals()
        .filter_map(|queued| match queued.proposal() {
            Proposal::Remove(remove) => Some(Ok(remove.removed().u32())),
            Proposal::Update(_) => Some(sender_leaf(queued)),
            _ => None,
        })
        .collect()
}

/// The leaves that a commit changes or empties; those that its Adds fill are not among them.
///
/// `committer`: whose path it may carry.
pub fn leaves_changed(staged: &StagedCommit, committer: u32) -> Result<Vec<u32>> {
    let mut leaves = leaves_concerned(staged)?;
    leaves.extend(staged.update_path_leaf_node().map(|_| committer));
    Ok(leaves)
}

/// The signature keys of those whom a commit adds.
pub fn keys_added(staged: &StagedCommit) -> HashSet<Vec<u8>> {
    staged
        .add_proposals()
        .map(|queued| {
            let leaf = queued.add_proposal().key_package().leaf_node();
            leaf.signature_key().as_slice().to_vec()
        })
        .collect()
}

/// The commit in [`Built::staged`], if it was built on the state with this authenticator.
pub fn open_candidate(staged: &[u8], authenticator: &[u8]) -> Result<StagedCommit> {
    let content = envelope::open(CANDIDATE_KIND, staged)
        .ok_or_else(|| Error::input("This is not a candidate of this version."))?;
    let (base, staged): (Vec<u8>, StagedCommit) =
        decode(content).map_err(|_| Error::input("This is not a candidate of this version."))?;
    if base != authenticator {
        return Err(Error::WrongState(
            "The candidate was built on another state; build or stage it again.",
        ));
    }
    Ok(staged)
}

/// A received commit that holds by RFC 9420.
pub struct Staged {
    pub base: Vec<u8>,
    pub commit: StagedCommit,
    /// For an own Update with another signature key.
    pub new_key: Option<LeafKey>,
    pub report: Report,
}

/// What a received commit says.
pub struct Report {
    pub committer: u32,
    pub adds: Vec<Described>,
    pub removes: Vec<u32>,
    pub updates: Vec<MemberView>,
    pub context_extensions: Option<ExtensionMap>,
    pub other_proposals: Vec<String>,
    pub path_leaf: Option<MemberView>,
    pub authenticated_data: Vec<u8>,
    pub removes_self: bool,
    pub epoch: u64,
    pub authenticator: Vec<u8>,
}

/// Checks a commit that carries no Update by reference. The group is only read.
pub fn stage(group: &mut MlsGroup, place: &Place, encoded: &[u8]) -> Result<Staged> {
    let message = read_handshake(place, encoded, ContentType::Commit)?;
    let (commit, report) = process(group, place, encoded, message)?;
    Ok(Staged {
        base: place.authenticator.to_vec(),
        commit,
        new_key: None,
        report,
    })
}

/// The same on a copy, of a commit that may carry some of these Updates.
pub fn stage_with_updates(
    copy: &GroupCopy,
    encoded: &[u8],
    updates: &[&[u8]],
    own_update: Option<&[u8]>,
) -> Result<Staged> {
    let place = copy.place();
    let message = read_handshake(&place, encoded, ContentType::Commit)?;
    let new_key = own_update
        .map(|secrets| restore_own_update(copy, secrets))
        .transpose()?
        .flatten();
    let mut group = copy.group()?;
    for update in updates {
        // One that does not verify cannot be in a valid commit, so it need not be reported.
        if let Ok(proposal) = verify_update(copy, &mut group, update) {
            group
                .store_pending_proposal(&copy.provider.store, proposal)
                .map_err(Error::defect)?;
        }
    }
    let (commit, report) = process(&mut group, &place, encoded, message)?;
    let own_update_is_in = report
        .updates
        .iter()
        .any(|member| member.leaf == copy.own_leaf);
    Ok(Staged {
        base: place.authenticator.to_vec(),
        commit,
        new_key: new_key.filter(|_| own_update_is_in),
        report,
    })
}

/// What `message`, read from `encoded`, would make of the group.
fn process(
    group: &mut MlsGroup,
    place: &Place,
    encoded: &[u8],
    message: ProtocolMessage,
) -> Result<(StagedCommit, Report)> {
    let processed =
        group
            .process_message(place.provider, message)
            .map_err(|error| match error {
                ProcessMessageError::InvalidCommit(StageCommitError::OwnCommitMismatch) => {
                    Error::OwnMessage
                }
                other => from_processing(other),
            })?;
    let &Sender::Member(committer) = processed.sender() else {
        return Err(Error::invalid("The committer is no member."));
    };
    if committer.u32() == place.own_leaf {
        return Err(Error::OwnMessage);
    }
    let authenticated_data = processed.aad().to_vec();
    let ProcessedMessageContent::StagedCommitMessage(commit) = processed.into_content() else {
        return Err(Error::invalid("Not a commit."));
    };
    if let Some(leaf) = commit.update_path_leaf_node() {
        keys::check_path(encoded, leaf)?;
    }
    let report = report(place, &commit, committer.u32(), authenticated_data)?;
    Ok((*commit, report))
}

fn report(
    place: &Place,
    commit: &StagedCommit,
    committer: u32,
    authenticated_data: Vec<u8>,
) -> Result<Report> {
    let mut report = Report {
        committer,
        adds: Vec::new(),
        removes: Vec::new(),
        updates: Vec::new(),
        context_extensions: None,
        other_proposals: Vec::new(),
        path_leaf: commit
            .update_path_leaf_node()
            .map(|leaf| MemberView::of(committer, leaf))
            .transpose()?,
        authenticated_data,
        removes_self: commit.self_removed(),
        epoch: commit.epoch().as_u64(),
        authenticator: commit
            .epoch_authenticator()
            .map(|authenticator| authenticator.as_slice().to_vec())
            .unwrap_or_default(),
    };
    for queued in commit.queued_proposals() {
        match queued.proposal() {
            Proposal::Add(add) => {
                let key_package = add.key_package();
                if !key_package::is_eternal(key_package) {
                    return Err(Error::invalid("An added key package has a lifetime."));
                }
                keys::check_key_package(key_package)?;
                let described = key_package::describe(key_package, &place.provider.crypto)?;
                report.adds.push(described);
            }
            Proposal::Remove(remove) => report.removes.push(remove.removed().u32()),
            Proposal::Update(update) => {
                let leaf = sender_leaf(queued)?;
                report
                    .updates
                    .push(MemberView::of(leaf, update.leaf_node())?);
            }
            Proposal::GroupContextExtensions(proposal) => {
                let extensions = extension::from_context(proposal.extensions())?;
                report.context_extensions = Some(extensions);
            }
            Proposal::PreSharedKey(_) => report.other_proposals.push("psk".to_owned()),
            Proposal::ReInit(_) => report.other_proposals.push("reinit".to_owned()),
            Proposal::ExternalInit(_) => report.other_proposals.push("external_init".to_owned()),
            Proposal::SelfRemove => report.other_proposals.push("self_remove".to_owned()),
            Proposal::Custom(_) => report.other_proposals.push("custom".to_owned()),
        }
    }
    // Removes and Updates come in the order of a hash map (a new one each run): nobody may see it.
    report.removes.sort_unstable();
    report.updates.sort_unstable_by_key(|member| member.leaf);
    Ok(report)
}

fn sender_leaf(queued: &QueuedProposal) -> Result<u32> {
    match queued.sender() {
        Sender::Member(leaf) => Ok(leaf.u32()),
        _ => Err(Error::invalid("An Update comes from its member.")),
    }
}

/// A PublicMessage of this group, epoch and content, from another member (as it claims).
fn read_handshake(
    place: &Place,
    message: &[u8],
    content_type: ContentType,
) -> Result<ProtocolMessage> {
    let message = MlsMessageIn::tls_deserialize_exact(message).map_err(Error::invalid)?;
    let MlsMessageBodyIn::PublicMessage(message) = message.extract() else {
        return Err(Error::invalid("Handshakes come as PublicMessage."));
    };
    if message.content_type() != content_type {
        return Err(Error::invalid("The message is of another kind."));
    }
    if message.group_id().as_slice() != place.group_id {
        return Err(Error::invalid("The message is of another group."));
    }
    if message.epoch().as_u64() != place.epoch {
        return Err(Error::WrongEpoch);
    }
    match message.sender() {
        Sender::Member(leaf) if leaf.u32() == place.own_leaf => Err(Error::OwnMessage),
        Sender::Member(_) => Ok(message.into()),
        _ => Err(Error::invalid("Only members' handshakes are taken.")),
    }
}

/// What an Update proposal of another member would make of its leaf.
pub fn read_update(copy: &GroupCopy, update: &[u8]) -> Result<MemberView> {
    let mut group = copy.group()?;
    let queued = verify_update(copy, &mut group, update)?;
    match queued.proposal() {
        Proposal::Update(update) => MemberView::of(sender_leaf(&queued)?, update.leaf_node()),
        _ => Err(Error::invalid("Not an Update.")),
    }
}

fn verify_update(copy: &GroupCopy, group: &mut MlsGroup, update: &[u8]) -> Result<QueuedProposal> {
    let message = read_handshake(&copy.place(), update, ContentType::Proposal)?;
    let not_an_update = || Error::invalid("Only Updates are committed by reference.");
    let processed = group
        .process_message(&copy.provider, message)
        .map_err(from_processing)?;
    match processed.into_content() {
        ProcessedMessageContent::ProposalMessage(queued) => {
            let Proposal::Update(update) = queued.proposal() else {
                return Err(not_an_update());
            };
            keys::check_leaf(update.leaf_node())?;
            Ok(*queued)
        }
        _ => Err(not_an_update()),
    }
}

/// How an own leaf is to change with an Update besides its encryption key.
pub struct LeafChange {
    pub extensions: Option<ExtensionMap>,
    pub new_key: Option<LeafKey>,
}

/// An Update of the own leaf: the proposal, and the secrets to keep until it is committed.
pub fn propose_update(
    copy: &GroupCopy,
    change: LeafChange,
) -> Result<(Vec<u8>, Zeroizing<Vec<u8>>)> {
    let GroupCopy { provider, key, .. } = copy;
    let mut group = copy.group()?;
    let before = provider.store.map();
    let mut parameters = LeafNodeParameters::builder();
    if let Some(extensions) = &change.extensions {
        parameters = parameters.with_extensions(extension::to_leaf(extensions)?);
    }
    let parameters = parameters.build();
    let (message, _reference) = match &change.new_key {
        None => group.propose_self_update(provider, key, parameters),
        Some(new_key) => {
            let credential = key_package::identity(group.credential().map_err(Error::defect)?)?;
            group.propose_self_update_with_new_signer(
                provider,
                key,
                NewSignerBundle {
                    signer: new_key,
                    credential_with_key: key_package::credential_with_key(&credential, new_key),
                },
                parameters,
            )
        }
    }
    .map_err(Error::input)?;
    let secrets = UpdateSecrets {
        base: copy.authenticator.clone(),
        entries: added_entries(&before, &provider.store.map()),
        new_key: change.new_key.map(|key| *key.seed()),
    };
    let content = Zeroizing::new(encode(&secrets).map_err(Error::defect)?);
    Ok((
        message.tls_serialize_detached().map_err(Error::defect)?,
        envelope::close(UPDATE_KIND, &content),
    ))
}

/// What OpenMLS stored for a pending Update: given back when a commit with it is checked, so that
/// the live group never holds a proposal, which would block its messages.
#[derive(serde::Serialize, serde::Deserialize)]
struct UpdateSecrets {
    base: Vec<u8>,
    entries: Vec<(Vec<u8>, Vec<u8>)>,
    new_key: Option<[u8; 32]>,
}

impl Drop for UpdateSecrets {
    fn drop(&mut self) {
        use zeroize::Zeroize;
        for (_, value) in &mut self.entries {
            value.zeroize();
        }
        self.new_key.zeroize();
    }
}

fn added_entries(before: &Map, after: &Map) -> Vec<(Vec<u8>, Vec<u8>)> {
    after
        .iter()
        .filter(|(key, value)| {
            before
                .get(*key)
                .is_none_or(|old| old.bytes() != value.bytes())
        })
        .map(|(key, value)| (key.clone(), value.bytes().to_vec()))
        .collect()
}

fn restore_own_update(copy: &GroupCopy, secrets: &[u8]) -> Result<Option<LeafKey>> {
    let damaged = || Error::input("These are not the secrets of an Update of this version.");
    let content = envelope::open(UPDATE_KIND, secrets).ok_or_else(damaged)?;
    let secrets: UpdateSecrets = decode(content).map_err(|_| damaged())?;
    if secrets.base != copy.authenticator {
        return Err(Error::input(
            "The Update was proposed in another epoch; it can no longer be committed.",
        ));
    }
    copy.provider.store.extend(secrets.entries.iter().cloned());
    secrets
        .new_key
        .map(|seed| LeafKey::from_slice(&seed))
        .transpose()
}
