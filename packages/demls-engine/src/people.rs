//! Groups for this crate's own tests.

use crate::commit::{self, Wanted};
use crate::engine::{Founder, found};
use crate::error::Result;
use crate::extension::ExtensionMap;
use crate::key_package;
use crate::random::Random;
use crate::signature::LeafKey;
use crate::state::LiveGroup;
use crate::storage::{Map, Provider};
use crate::welcome::{Invitation, Windows};

const WINDOWS: Windows = Windows {
    past_epochs: 3,
    out_of_order: 16,
    forward: 1_000,
};

pub fn nothing<'a>() -> Wanted<'a> {
    Wanted {
        adds: Vec::new(),
        removes: Vec::new(),
        updates: Vec::new(),
        context_extensions: None,
        authenticated_data: b"",
        group_info_extensions: ExtensionMap::new(),
        force_path: false,
    }
}

/// The members of one group at epoch 1, by leaf.
pub fn group_of(count: u8, random: &Random) -> Result<Vec<LiveGroup>> {
    let founder = Founder {
        group_id: b"group",
        key: LeafKey::from_slice(&[1; 32])?,
        credential: b"founder",
        extensions: ExtensionMap::new(),
        supported: Vec::new(),
        context_extensions: ExtensionMap::new(),
        windows: WINDOWS,
    };
    let mut first = found(random, founder)?;
    let provider = Provider::new(random, Map::new())?;
    let mut joiners = Vec::new();
    for number in 2..=count {
        let key = LeafKey::from_slice(&[number; 32])?;
        let extensions = ExtensionMap::new();
        joiners.push(key_package::create(
            &provider,
            &key,
            b"joiner",
            &extensions,
            &[],
        )?);
    }
    let wanted = Wanted {
        adds: joiners
            .iter()
            .map(|(public, _)| public.encoded.as_slice())
            .collect(),
        ..nothing()
    };
    let built = commit::build(&first.copy()?, &wanted)?;
    let staged = commit::open_candidate(&built.staged, &first.authenticator()?)?;
    let own_leaf = first.own_leaf();
    first.merge(staged, own_leaf, None)?;
    let welcome = built.welcome.unwrap_or_default();
    let tree = first.ratchet_tree()?;
    let mut members = vec![first];
    for (_, private) in &joiners {
        members.push(Invitation::new(random, &welcome, private, WINDOWS).join(&tree)?);
    }
    Ok(members)
}
