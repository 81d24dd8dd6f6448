//! Can these key packages be added to the present tree, all of them in one commit?
//!
//! What RFC 9420 §7.3, §10.1 and §12.2 ask of Adds, without building a commit: OpenMLS answers this
//! only of whole commits, which it builds and encrypts.

use std::borrow::Cow;
use std::collections::HashSet;

use openmls::extensions::{ExtensionType, RequiredCapabilitiesExtension};
use openmls::messages::proposals::ProposalType;
use openmls::prelude::{
    Capabilities, CredentialType, KeyPackage, ProtocolVersion, VerifiableCiphersuite,
};
use openmls::treesync::{EncryptionKey, LeafNode};

use crate::error::Result;
use crate::hpke::Crypto;
use crate::key_package;
use crate::keys;
use crate::state::LiveGroup;

/// None: it cannot be added to any group.
pub fn parse(encoded: &[u8]) -> Option<KeyPackage> {
    key_package::parse(encoded, &Crypto::new(None)).ok()
}

pub fn can_add(live: &LiveGroup, packages: &[Cow<KeyPackage>]) -> Result<bool> {
    Ok(are_keys_unique(live, packages)?
        && packages
            .iter()
            .all(|package| is_supported(live, package.leaf_node())))
}

/// Nobody has a key of somebody else, and no init key is an encryption key.
///
/// The leaves' keys are compared with the few new ones, none of them copied or encoded.
fn are_keys_unique(live: &LiveGroup, packages: &[Cow<KeyPackage>]) -> Result<bool> {
    let mut signature_keys: HashSet<&[u8]> = HashSet::new();
    let mut encryption_keys: HashSet<&EncryptionKey> = HashSet::new();
    let mut init_keys: HashSet<EncryptionKey> = HashSet::new();
    for package in packages {
        let leaf = package.leaf_node();
        if !signature_keys.insert(leaf.signature_key().as_slice())
            || !encryption_keys.insert(leaf.encryption_key())
            || !init_keys.insert(keys::init_key(package)?)
        {
            return Ok(false);
        }
    }
    let mut leaves = live.group.treesync().full_leaves().map(|(_, leaf)| leaf);
    Ok(!init_keys.iter().any(|key| encryption_keys.contains(key))
        && leaves.all(|leaf| {
            !signature_keys.contains(leaf.signature_key().as_slice())
                && !encryption_keys.contains(leaf.encryption_key())
                && !init_keys.contains(leaf.encryption_key())
        }))
}

/// The leaf supports what the group uses, what it uses itself, and so does the group.
fn is_supported(live: &LiveGroup, leaf: &LeafNode) -> bool {
    let group = &live.group;
    let capabilities = leaf.capabilities();
    let credential = leaf.credential().credential_type();
    let mut others = group.treesync().full_leaves().map(|(_, other)| other);
    capabilities.versions().contains(&ProtocolVersion::Mls10)
        && capabilities
            .ciphersuites()
            .contains(&VerifiableCiphersuite::from(crate::SUITE))
        && has_credential(capabilities, credential)
        && leaf
            .extensions()
            .iter()
            .all(|extension| may_have(capabilities, extension.extension_type()))
        && group
            .extensions()
            .iter()
            .all(|extension| has_extension(capabilities, extension.extension_type()))
        && group
            .extensions()
            .required_capabilities()
            .is_none_or(|required| has_required(capabilities, required))
        && others.all(|other| {
            other.capabilities().credentials().contains(&credential)
                && has_credential(capabilities, other.credential().credential_type())
        })
}

fn has_required(capabilities: &Capabilities, required: &RequiredCapabilitiesExtension) -> bool {
    let mut extensions = required.extension_types().iter();
    let mut proposals = required.proposal_types().iter();
    let mut credentials = required.credential_types().iter();
    extensions.all(|number| has_extension(capabilities, *number))
        && proposals.all(|number| has_proposal(capabilities, *number))
        && credentials.all(|number| has_credential(capabilities, *number))
}

fn may_have(capabilities: &Capabilities, extension: ExtensionType) -> bool {
    let has_a_place_in_leaves = match extension {
        ExtensionType::ApplicationId | ExtensionType::Grease(_) | ExtensionType::Unknown(_) => true,
        ExtensionType::RatchetTree
        | ExtensionType::RequiredCapabilities
        | ExtensionType::ExternalPub
        | ExtensionType::ExternalSenders
        | ExtensionType::LastResort => false,
    };
    has_a_place_in_leaves && has_extension(capabilities, extension)
}

/// Those of RFC 9420 itself need not be listed (§7.2).
fn has_extension(capabilities: &Capabilities, extension: ExtensionType) -> bool {
    match extension {
        ExtensionType::ApplicationId
        | ExtensionType::RatchetTree
        | ExtensionType::RequiredCapabilities
        | ExtensionType::ExternalPub
        | ExtensionType::ExternalSenders => true,
        ExtensionType::LastResort | ExtensionType::Grease(_) | ExtensionType::Unknown(_) => {
            capabilities.extensions().contains(&extension)
        }
    }
}

/// As for extensions.
fn has_proposal(capabilities: &Capabilities, proposal: ProposalType) -> bool {
    match proposal {
        ProposalType::Add
        | ProposalType::Update
        | ProposalType::Remove
        | ProposalType::PreSharedKey
        | ProposalType::Reinit
        | ProposalType::ExternalInit
        | ProposalType::GroupContextExtensions => true,
        ProposalType::SelfRemove | ProposalType::Grease(_) | ProposalType::Custom(_) => {
            capabilities.proposals().contains(&proposal)
        }
    }
}

fn has_credential(capabilities: &Capabilities, credential: CredentialType) -> bool {
    capabilities.credentials().contains(&credential)
}
