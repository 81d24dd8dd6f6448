//! Welcomes: opened first, joined once the tree is there.

use openmls::group::{MIXED_PLAINTEXT_WIRE_FORMAT_POLICY, MlsGroupJoinConfig, ProcessedWelcome};
use openmls::prelude::group_info::VerifiableGroupInfo;
use openmls::prelude::tls_codec::{Deserialize as _, Serialize as _, Size as _, VLBytes};
use openmls::prelude::{
    JoinBuilder, MlsMessageBodyIn, MlsMessageIn, RatchetTreeIn, SenderRatchetConfiguration,
};
use openmls_traits::storage::StorageProvider as _;
use zeroize::Zeroizing;

use crate::error::{Error, Result};
use crate::extension::{self, ExtensionMap};
use crate::key_package;
use crate::random::Random;
use crate::state::LiveGroup;
use crate::storage::{Map, Provider};

/// How far messages may be late, early, or behind.
#[derive(Clone, Copy)]
pub struct Windows {
    pub past_epochs: usize,
    /// For each sender, how many messages before the newest one may still come.
    pub out_of_order: u32,
    /// For each sender, how many messages may be missing before the next one.
    pub forward: u32,
}

impl Windows {
    /// Refuses what would keep or compute without bound.
    pub fn check(self) -> Result<Self> {
        if self.past_epochs > 100 || self.out_of_order > 1_000 || self.forward > 100_000 {
            return Err(Error::input(
                "At most 100 past epochs, 1,000 out of order and 100,000 forward.",
            ));
        }
        Ok(self)
    }

    pub fn ratchet(self) -> SenderRatchetConfiguration {
        // OpenMLS counts the newest message's own place too.
        SenderRatchetConfiguration::new(self.out_of_order + 1, self.forward)
    }

    fn join_config(self) -> MlsGroupJoinConfig {
        MlsGroupJoinConfig::builder()
            .wire_format_policy(MIXED_PLAINTEXT_WIRE_FORMAT_POLICY)
            .max_past_epochs(self.past_epochs)
            .sender_ratchet_configuration(self.ratchet())
            .use_ratchet_tree_extension(false)
            .build()
    }
}

/// Everything needed to open a welcome, again and again.
///
/// OpenMLS consumes the key package with the first look, even if joining fails then. So each
/// attempt starts from these bytes with a storage of its own.
pub struct Invitation {
    random: Random,
    welcome: Vec<u8>,
    key_package_private: Zeroizing<Vec<u8>>,
    windows: Windows,
}

/// What a welcome says before the tree is there to prove it.
pub struct Announced {
    pub group_id: Vec<u8>,
    pub epoch: u64,
    pub group_info_extensions: ExtensionMap,
    pub context_extensions: ExtensionMap,
    pub committer: u32,
}

impl Invitation {
    pub fn new(
        random: &Random,
        welcome: &[u8],
        key_package_private: &[u8],
        windows: Windows,
    ) -> Self {
        Self {
            random: random.clone(),
            welcome: welcome.to_vec(),
            key_package_private: Zeroizing::new(key_package_private.to_vec()),
            windows,
        }
    }

    pub fn announced(&self) -> Result<Announced> {
        let provider = Provider::new(&self.random, Map::new())?;
        let (processed, _) = self.open(&provider)?;
        let info = processed.unverified_group_info();
        Ok(Announced {
            group_id: info.group_id().to_vec(),
            epoch: info.epoch().as_u64(),
            group_info_extensions: extension::from_group_info(info.extensions()),
            context_extensions: extension::from_context(info.group_context().extensions())?,
            committer: signer(info)?,
        })
    }

    pub fn join(&self, ratchet_tree: &[u8]) -> Result<LiveGroup> {
        let provider = Provider::new(&self.random, Map::new())?;
        let tree = RatchetTreeIn::tls_deserialize_exact(ratchet_tree).map_err(Error::invalid)?;
        let (processed, opened) = self.open(&provider)?;
        let staged = JoinBuilder::new(&provider, processed)
            .skip_lifetime_validation()
            .with_ratchet_tree(tree)
            .build()
            .map_err(Error::invalid)?;
        // RFC 9420 §12.4.3.1: the leaf must be that of the key package, not only have its key.
        if staged.own_leaf_node() != Some(opened.bundle.key_package().leaf_node()) {
            return Err(Error::invalid(
                "The tree does not hold the leaf of the key package.",
            ));
        }
        let group = staged.into_group(&provider).map_err(Error::invalid)?;
        LiveGroup::new(group, provider, opened.key, self.windows.past_epochs)
    }

    fn open(&self, provider: &Provider) -> Result<(ProcessedWelcome, Opened)> {
        let (key, bundle) = key_package::open_private(&self.key_package_private)?;
        let reference = bundle
            .key_package()
            .hash_ref(&provider.crypto)
            .map_err(Error::defect)?;
        provider
            .store
            .write_key_package(&reference, &bundle)
            .map_err(Error::defect)?;
        let message = MlsMessageIn::tls_deserialize_exact(&self.welcome).map_err(Error::invalid)?;
        let MlsMessageBodyIn::Welcome(welcome) = message.extract() else {
            return Err(Error::invalid("Not a Welcome."));
        };
        let processed =
            ProcessedWelcome::new_from_welcome(provider, &self.windows.join_config(), welcome)
                .map_err(Error::invalid)?;
        let info = processed.unverified_group_info();
        if info.extensions().ratchet_tree().is_some() {
            return Err(Error::invalid("The welcome carries a tree of its own."));
        }
        if !processed.psks().is_empty() {
            return Err(Error::invalid("The welcome needs a pre-shared key."));
        }
        Ok((processed, Opened { key, bundle }))
    }
}

struct Opened {
    key: crate::signature::LeafKey,
    bundle: openmls::prelude::KeyPackageBundle,
}

/// The signer field of a GroupInfo, which OpenMLS keeps to itself until the tree is there.
///
/// It stands behind the context, the extensions and the confirmation tag (RFC 9420 §12.4.3).
fn signer(info: &VerifiableGroupInfo) -> Result<u32> {
    let encoded = info.tls_serialize_detached().map_err(Error::defect)?;
    let skipped =
        info.group_context().tls_serialized_len() + info.extensions().tls_serialized_len();
    let mut rest = encoded.get(skipped..).unwrap_or_default();
    VLBytes::tls_deserialize(&mut rest).map_err(Error::defect)?;
    u32::tls_deserialize(&mut rest).map_err(Error::defect)
}
