//! Extensions of private use, as a map from type to content.
//!
//! The face of this package knows no others. Where a group carries any (in its context, where they
//! would change what the group means), they are shown under their own number and not hidden.

use std::collections::BTreeMap;

use openmls::messages::group_info::GroupInfo;
use openmls::prelude::tls_codec::{Deserialize as _, Serialize as _, VLBytes};
use openmls::prelude::{
    Capabilities, CredentialType, Extension, ExtensionType, Extensions, GroupContext, LeafNode,
    ProtocolVersion, RequiredCapabilitiesExtension, UnknownExtension,
};

use crate::error::{Error, Result};

pub type ExtensionMap = BTreeMap<u16, Vec<u8>>;

/// The numbers that RFC 9420 §17.3 leaves to private use.
const PRIVATE_USE: std::ops::RangeInclusive<u16> = 0xf000..=0xffff;

fn check_private(number: u16) -> Result<()> {
    if PRIVATE_USE.contains(&number) {
        Ok(())
    } else {
        Err(Error::input(format!(
            "Extension type {number:#06x} is outside the private range 0xF000 to 0xFFFF."
        )))
    }
}

fn to_list(map: &ExtensionMap) -> Result<Vec<Extension>> {
    map.iter()
        .map(|(&number, content)| {
            check_private(number)?;
            Ok(Extension::Unknown(
                number,
                UnknownExtension(content.clone()),
            ))
        })
        .collect()
}

fn private_only<'a>(extensions: impl Iterator<Item = &'a Extension>) -> ExtensionMap {
    extensions
        .filter_map(|extension| match extension {
            Extension::Unknown(number, UnknownExtension(content))
                if PRIVATE_USE.contains(number) =>
            {
                Some((*number, content.clone()))
            }
            _ => None,
        })
        .collect()
}

pub fn to_leaf(map: &ExtensionMap) -> Result<Extensions<LeafNode>> {
    Extensions::from_vec(to_list(map)?).map_err(Error::input)
}

pub fn from_leaf(leaf: &LeafNode) -> ExtensionMap {
    private_only(leaf.extensions().iter())
}

pub fn to_group_info(map: &ExtensionMap) -> Result<Vec<Extension>> {
    to_list(map)
}

pub fn from_group_info(extensions: &Extensions<GroupInfo>) -> ExtensionMap {
    private_only(extensions.iter())
}

/// The GroupContext's extensions for `map`: each is required of every member.
pub fn to_context(map: &ExtensionMap) -> Result<Extensions<GroupContext>> {
    let mut list = to_list(map)?;
    if let Some(required) = required_by(map) {
        list.insert(0, Extension::RequiredCapabilities(required));
    }
    Extensions::from_vec(list).map_err(Error::input)
}

/// The reverse of [`to_context`].
///
/// Anything that [`to_context`] would not have put there appears under its number (say, 3 for other
/// required capabilities, or 5 for external senders), so that a comparison of maps notices it.
pub fn from_context(extensions: &Extensions<GroupContext>) -> Result<ExtensionMap> {
    let mut map = private_only(extensions.iter());
    let required = required_by(&map);
    if extensions.required_capabilities() != required.as_ref() {
        map.insert(ExtensionType::RequiredCapabilities.into(), Vec::new());
    }
    for extension in extensions.iter() {
        match extension {
            Extension::Unknown(number, _) if PRIVATE_USE.contains(number) => {}
            Extension::RequiredCapabilities(found) if Some(found) == required.as_ref() => {}
            other => {
                map.insert(other.extension_type().into(), content(other)?);
            }
        }
    }
    Ok(map)
}

fn content(extension: &Extension) -> Result<Vec<u8>> {
    let encoded = extension.tls_serialize_detached().map_err(Error::defect)?;
    let (_number, mut rest) = encoded
        .split_at_checked(2)
        .ok_or_else(|| Error::defect("An encoded extension has no type."))?;
    let content = VLBytes::tls_deserialize(&mut rest).map_err(Error::defect)?;
    Ok(content.into())
}

fn required_by(map: &ExtensionMap) -> Option<RequiredCapabilitiesExtension> {
    let types: Vec<ExtensionType> = map.keys().copied().map(ExtensionType::from).collect();
    (!types.is_empty()).then(|| RequiredCapabilitiesExtension::new(&types, &[], &[]))
}

/// What a leaf with these extensions says it supports.
pub fn capabilities(supported: &[u16], extensions: &ExtensionMap) -> Result<Capabilities> {
    let mut numbers: Vec<u16> = supported.iter().chain(extensions.keys()).copied().collect();
    numbers.sort_unstable();
    numbers.dedup();
    let mut types = Vec::with_capacity(numbers.len());
    for number in numbers {
        check_private(number)?;
        types.push(ExtensionType::from(number));
    }
    Ok(Capabilities::new(
        Some(&[ProtocolVersion::Mls10]),
        Some(&[crate::SUITE]),
        Some(&types),
        None,
        Some(&[CredentialType::Basic]),
    ))
}
