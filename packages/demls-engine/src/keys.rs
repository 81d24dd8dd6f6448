//! Can something be encrypted to this key? (RFC 9180 §7.1.4)
//!
//! A signature says nothing of a key that it covers. With a point of low order X25519 always gives
//! the all-zero secret, which HPKE refuses: whoever brought such a key into the tree would make
//! every later path of every member fail. OpenMLS notices only then, so keys are looked at before.

use openmls::prelude::KeyPackage;
use openmls::prelude::tls_codec::{self, Deserialize as _, Serialize as _, Size as _, VLBytes};
use openmls::treesync::{EncryptionKey, LeafNode};

use crate::error::{Error, Result};

/// The points of low order on the curve and its twist, as their u may be written below 2^255: 0, 1,
/// the two of order 8, p - 1, p, p + 1. X25519 makes every secret a multiple of the cofactors, so
/// that with these all give zero, and with another none does (RFC 7748 §6.1, §7).
const LOW_ORDER: [[u8; 32]; 7] = [
    [
        0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
        0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
        0x00, 0x00,
    ],
    [
        0x01, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
        0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
        0x00, 0x00,
    ],
    [
        0xe0, 0xeb, 0x7a, 0x7c, 0x3b, 0x41, 0xb8, 0xae, 0x16, 0x56, 0xe3, 0xfa, 0xf1, 0x9f, 0xc4,
        0x6a, 0xda, 0x09, 0x8d, 0xeb, 0x9c, 0x32, 0xb1, 0xfd, 0x86, 0x62, 0x05, 0x16, 0x5f, 0x49,
        0xb8, 0x00,
    ],
    [
        0x5f, 0x9c, 0x95, 0xbc, 0xa3, 0x50, 0x8c, 0x24, 0xb1, 0xd0, 0xb1, 0x55, 0x9c, 0x83, 0xef,
        0x5b, 0x04, 0x44, 0x5c, 0xc4, 0x58, 0x1c, 0x8e, 0x86, 0xd8, 0x22, 0x4e, 0xdd, 0xd0, 0x9f,
        0x11, 0x57,
    ],
    [
        0xec, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
        0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
        0xff, 0x7f,
    ],
    [
        0xed, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
        0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
        0xff, 0x7f,
    ],
    [
        0xee, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
        0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
        0xff, 0x7f,
    ],
];

/// `key`: an HPKE public key of the suite's KEM, as it stands in MLS structures.
pub fn can_be_encrypted_to(key: &[u8]) -> bool {
    let Ok(mut point) = <[u8; 32]>::try_from(key) else {
        return false;
    };
    point[31] &= 0x7f; // X25519 ignores the bit
    !LOW_ORDER.contains(&point)
}

pub fn check_key_package(key_package: &KeyPackage) -> Result<()> {
    check(key_package.hpke_init_key().as_slice())?;
    check_leaf(key_package.leaf_node())
}

pub fn check_leaf(leaf: &LeafNode) -> Result<()> {
    check(&encryption_key(leaf.encryption_key())?)
}

/// All keys of the UpdatePath in a commit that OpenMLS has taken.
///
/// The nodes are read from the message, because OpenMLS keeps them to itself. It compares only
/// those with the secrets that a member can derive: from its common ancestor with the committer
/// upwards.
///
/// `commit`: MLSMessage with a PublicMessage of a member (RFC 9420 §6, §7.6, §12.4); `leaf`: that
/// of its path.
pub fn check_path(commit: &[u8], leaf: &LeafNode) -> Result<()> {
    check_leaf(leaf)?;
    let encoded = path_nodes(commit, leaf).map_err(Error::invalid)?;
    let mut nodes = encoded.as_slice();
    while !nodes.is_empty() {
        let key = VLBytes::tls_deserialize(&mut nodes).map_err(Error::invalid)?;
        let _encrypted_path_secrets =
            VLBytes::tls_deserialize(&mut nodes).map_err(Error::invalid)?;
        check(key.as_slice())?;
    }
    Ok(())
}

/// The encoded nodes that follow the leaf.
fn path_nodes(commit: &[u8], leaf: &LeafNode) -> std::result::Result<VLBytes, tls_codec::Error> {
    let mut rest = commit;
    let _version = u16::tls_deserialize(&mut rest)?;
    let _wire_format = u16::tls_deserialize(&mut rest)?;
    let _group_id = VLBytes::tls_deserialize(&mut rest)?;
    let _epoch = u64::tls_deserialize(&mut rest)?;
    let _sender_type = u8::tls_deserialize(&mut rest)?;
    let _sender = u32::tls_deserialize(&mut rest)?;
    let _authenticated_data = VLBytes::tls_deserialize(&mut rest)?;
    let _content_type = u8::tls_deserialize(&mut rest)?;
    let _proposals = VLBytes::tls_deserialize(&mut rest)?;
    let _has_path = u8::tls_deserialize(&mut rest)?;
    let mut nodes = rest.get(leaf.tls_serialized_len()..).unwrap_or_default();
    VLBytes::tls_deserialize(&mut nodes)
}

/// Its init key, in the form in which it can be compared with leaves' encryption keys.
pub fn init_key(key_package: &KeyPackage) -> Result<EncryptionKey> {
    let init_key = key_package.hpke_init_key();
    let encoded = init_key.tls_serialize_detached().map_err(Error::defect)?;
    EncryptionKey::tls_deserialize_exact(&encoded).map_err(Error::defect)
}

/// OpenMLS gives an encryption key's bytes to nobody, except encoded.
fn encryption_key(key: &EncryptionKey) -> Result<Vec<u8>> {
    let encoded = key.tls_serialize_detached().map_err(Error::defect)?;
    VLBytes::tls_deserialize_exact(&encoded)
        .map(Into::into)
        .map_err(Error::defect)
}

fn check(key: &[u8]) -> Result<()> {
    if can_be_encrypted_to(key) {
        Ok(())
    } else {
        Err(Error::invalid(
            "Nothing can be encrypted to one of the keys.",
        ))
    }
}

#[cfg(test)]
mod tests {
    use hpke_rs_crypto::HpkeCrypto;
    use hpke_rs_crypto::types::KemAlgorithm;
    use hpke_rs_rust_crypto::HpkeRustCrypto;

    use super::*;
    use crate::commit::{self, LeafChange, Wanted};
    use crate::extension::ExtensionMap;
    use crate::key_package;
    use crate::people::{group_of, nothing};
    use crate::pool;
    use crate::random::Random;
    use crate::signature::LeafKey;
    use crate::state::GroupCopy;
    use crate::storage::{Map, Provider};

    fn refusal<T>(result: Result<T>) -> String {
        match result {
            Err(Error::InvalidMessage(reason)) => reason,
            Err(other) => format!("{other:?}"),
            Ok(_) => "taken".to_owned(),
        }
    }

    const REFUSED: &str = "Nothing can be encrypted to one of the keys.";

    #[test]
    fn nothing_can_be_encrypted_to_points_of_low_order_nor_to_keys_of_another_size() {
        let mut base_point = [0; 32];
        base_point[0] = 9;
        assert!(can_be_encrypted_to(&base_point));
        base_point[31] = 0x80;
        assert!(can_be_encrypted_to(&base_point), "X25519 ignores the bit");
        for first in [0, 1] {
            let mut key = [0; 32];
            key[0] = first;
            assert!(!can_be_encrypted_to(&key));
        }
        let mut largest = [0xff; 32];
        for last in [0x7f, 0xff] {
            largest[31] = last;
            for first in [0xec, 0xed, 0xee] {
                largest[0] = first;
                assert!(!can_be_encrypted_to(&largest));
            }
        }
        for size in [0, 31, 33, 64] {
            assert!(!can_be_encrypted_to(&vec![9; size]));
        }
    }

    #[test]
    fn it_is_what_hpke_says_of_a_secret() {
        let is_taken =
            |key: &[u8]| HpkeRustCrypto::dh(KemAlgorithm::DhKem25519, key, &[1; 32]).is_ok();
        for point in LOW_ORDER {
            for place in 0..32 {
                for change in [0, 1, 0x80, 0xff] {
                    let mut key = point;
                    key[place] ^= change;
                    assert_eq!(can_be_encrypted_to(&key), is_taken(&key), "{key:?}");
                }
            }
        }
    }

    /// A member whose own engine spoils the key that it derives after `sound` others.
    fn malicious(copy: GroupCopy, sound: usize) -> GroupCopy {
        copy.provider.crypto.spoil_key_after(sound);
        copy
    }

    fn path_alone<'a>() -> Wanted<'a> {
        Wanted {
            force_path: true,
            ..nothing()
        }
    }

    #[test]
    fn a_path_with_such_a_key_is_refused_by_those_who_cannot_derive_it() -> Result<()> {
        let members = group_of(4, &Random::System)?;
        // The node above the two first leaves; the leaf, which comes after the root.
        for (sound, expected) in [(0, REFUSED), (2, REFUSED), (9, "taken")] {
            let committer = malicious(members[0].copy()?, sound);
            let built = pool::run(4, move || commit::build(&committer, &path_alone()))?;
            for member in &members[2..] {
                let staged = commit::stage_with_updates(&member.copy()?, &built.commit, &[], None);
                assert_eq!(refusal(staged), expected, "after {sound} sound keys");
            }
        }
        Ok(())
    }

    #[test]
    fn an_update_with_such_a_key_is_refused_also_by_those_who_follow_a_commit() -> Result<()> {
        let members = group_of(3, &Random::System)?;
        for (sound, expected) in [(0, REFUSED), (9, "taken")] {
            let change = LeafChange {
                extensions: None,
                new_key: None,
            };
            let (update, _) =
                commit::propose_update(&malicious(members[1].copy()?, sound), change)?;
            assert_eq!(
                refusal(commit::read_update(&members[0].copy()?, &update)),
                expected
            );
        }
        Ok(())
    }

    #[test]
    fn a_key_package_with_such_a_key_is_refused() -> Result<()> {
        // The init key comes first, then the leaf's encryption key.
        for (sound, expected) in [(0, REFUSED), (1, REFUSED), (9, "taken")] {
            let provider = Provider::new(&Random::System, Map::new())?;
            provider.crypto.spoil_key_after(sound);
            let key = LeafKey::from_slice(&[7; 32])?;
            let (public, _) = key_package::create(&provider, &key, b"", &ExtensionMap::new(), &[])?;
            let parsed = key_package::parse(&public.encoded, &provider.crypto);
            assert_eq!(refusal(parsed), expected, "after {sound} sound keys");
        }
        Ok(())
    }

    #[test]
    fn a_commit_that_adds_a_leaf_with_such_a_key_is_refused() -> Result<()> {
        let members = group_of(2, &Random::System)?;
        for (sound, expected) in [(1, REFUSED), (9, "taken")] {
            let GroupCopy { provider, key, .. } = malicious(members[0].copy()?, sound);
            let added = KeyPackage::builder()
                .key_package_lifetime(key_package::eternal())
                .build(
                    crate::SUITE,
                    &provider,
                    &LeafKey::from_slice(&[7; 32])?,
                    key_package::credential_with_key(b"", &LeafKey::from_slice(&[7; 32])?),
                )
                .map_err(Error::defect)?;
            let mut group = members[0].copy()?.group()?;
            let (commit, ..) = group
                .commit_builder()
                .propose_adds([added.key_package().clone()])
                .load_psks(&provider.store)
                .map_err(Error::defect)?
                .build(&provider.random, &provider.crypto, &key, |_| true)
                .map_err(Error::defect)?
                .stage_commit(&provider)
                .map_err(Error::defect)?
                .into_messages();
            let commit = commit.tls_serialize_detached().map_err(Error::defect)?;
            let staged = commit::stage_with_updates(&members[1].copy()?, &commit, &[], None);
            assert_eq!(refusal(staged), expected);
        }
        Ok(())
    }
}
