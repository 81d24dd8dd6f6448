//! Key packages: made, checked, and their secrets kept as one opaque value.

use openmls::prelude::tls_codec::{Deserialize as _, Serialize as _};
use openmls::prelude::{
    BasicCredential, Credential, CredentialWithKey, KeyPackage, KeyPackageBundle, KeyPackageIn,
    Lifetime, ProtocolVersion, SignaturePublicKey,
};
use openmls_traits::crypto::OpenMlsCrypto;
use zeroize::Zeroizing;

use crate::envelope;
use crate::error::{Error, Result};
use crate::extension::{self, ExtensionMap};
use crate::keys;
use crate::signature::LeafKey;
use crate::storage::{Provider, decode, encode};

const PRIVATE_KIND: &[u8; 4] = b"DEkp";

/// Valid at all times, so that no verdict of OpenMLS depends on the wall clock, which it reads.
///
/// When somebody may be added is decided by the caller, with the caller's clock.
pub fn eternal() -> Lifetime {
    Lifetime::init(0, u64::MAX)
}

pub fn is_eternal(key_package: &KeyPackage) -> bool {
    *key_package.life_time() == eternal()
}

pub fn credential_with_key(credential: &[u8], key: &LeafKey) -> CredentialWithKey {
    CredentialWithKey {
        credential: BasicCredential::new(credential.to_vec()).into(),
        signature_key: SignaturePublicKey::from(key.public().as_slice()),
    }
}

/// The identity of a basic credential.
pub fn identity(credential: &Credential) -> Result<Vec<u8>> {
    BasicCredential::try_from(credential.clone())
        .map(|basic| basic.identity().to_vec())
        .map_err(|_| Error::invalid("The credential is not a basic one."))
}

/// What a verified key package says.
pub struct Described {
    pub verified: KeyPackage,
    pub encoded: Vec<u8>,
    pub reference: Vec<u8>,
    pub signature_key: Vec<u8>,
    pub credential: Vec<u8>,
    pub extensions: ExtensionMap,
    pub lifetime: Lifetime,
}

pub fn describe(key_package: &KeyPackage, crypto: &impl OpenMlsCrypto) -> Result<Described> {
    let leaf = key_package.leaf_node();
    Ok(Described {
        encoded: key_package
            .tls_serialize_detached()
            .map_err(Error::defect)?,
        reference: key_package
            .hash_ref(crypto)
            .map_err(Error::defect)?
            .as_slice()
            .to_vec(),
        signature_key: leaf.signature_key().as_slice().to_vec(),
        credential: identity(leaf.credential())?,
        extensions: extension::from_leaf(leaf),
        lifetime: *key_package.life_time(),
        verified: key_package.clone(),
    })
}

/// A new key package with its secrets.
pub fn create(
    provider: &Provider,
    key: &LeafKey,
    credential: &[u8],
    extensions: &ExtensionMap,
    supported: &[u16],
) -> Result<(Described, Zeroizing<Vec<u8>>)> {
    let bundle = KeyPackage::builder()
        .key_package_lifetime(eternal())
        .leaf_node_capabilities(extension::capabilities(supported, extensions)?)
        .leaf_node_extensions(extension::to_leaf(extensions)?)
        .build(
            crate::SUITE,
            provider,
            key,
            credential_with_key(credential, key),
        )
        .map_err(Error::input)?;
    let described = describe(bundle.key_package(), &provider.crypto)?;
    Ok((described, seal_private(key, &bundle)?))
}

/// The opaque secrets of a key package.
pub fn seal_private(key: &LeafKey, bundle: &KeyPackageBundle) -> Result<Zeroizing<Vec<u8>>> {
    let secrets = Zeroizing::new(encode(&(key.seed(), bundle)).map_err(Error::defect)?);
    Ok(envelope::close(PRIVATE_KIND, &secrets))
}

pub fn open_private(private: &[u8]) -> Result<(LeafKey, KeyPackageBundle)> {
    let damaged = || Error::input("These are not the secrets of a key package of this version.");
    let secrets = envelope::open(PRIVATE_KIND, private).ok_or_else(damaged)?;
    let (seed, bundle): (Zeroizing<[u8; 32]>, KeyPackageBundle) =
        decode(secrets).map_err(|_| damaged())?;
    Ok((LeafKey::from_slice(seed.as_slice())?, bundle))
}

/// Verifies a key package from the network, and that something can be encrypted to its keys.
pub fn parse(encoded: &[u8], crypto: &impl OpenMlsCrypto) -> Result<KeyPackage> {
    let unverified = KeyPackageIn::tls_deserialize_exact(encoded).map_err(Error::invalid)?;
    let key_package = unverified
        .validate(crypto, ProtocolVersion::Mls10)
        .map_err(Error::invalid)?;
    if key_package.ciphersuite() != crate::SUITE {
        return Err(Error::invalid("The key package is of another suite."));
    }
    if !is_eternal(&key_package) {
        return Err(Error::invalid(
            "The key package has a lifetime; only eternal ones are taken.",
        ));
    }
    identity(key_package.leaf_node().credential())?;
    keys::check_key_package(&key_package)?;
    Ok(key_package)
}
