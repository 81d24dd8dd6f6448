//! The working group's vectors that need what the Python face hides: a key package's secrets.
//!
//! They run where DEMLS_MLS_VECTORS names a folder with the files of
//! github.com/mlswg/mls-implementations, `test-vectors/`.

use openmls::prelude::tls_codec::{Deserialize as _, Serialize as _};
use openmls::prelude::{KeyPackageBundle, MlsMessageBodyIn, MlsMessageIn};
use serde_json::Value;

use crate::error::Error;
use crate::key_package::seal_private;
use crate::random::Random;
use crate::signature::LeafKey;
use crate::storage::{decode, encode};
use crate::welcome::{Invitation, Windows};

const WINDOWS: Windows = Windows {
    past_epochs: 3,
    out_of_order: 16,
    forward: 1_000,
};

fn bytes(text: &Value) -> Vec<u8> {
    let text = text.as_str().expect("hexadecimal text");
    (0..text.len())
        .step_by(2)
        .map(|start| u8::from_str_radix(&text[start..start + 2], 16).expect("two digits"))
        .collect()
}

/// OpenMLS has no constructor for a bundle of given keys; in the storage format it is these three.
///
/// The key package is not validated: those of the vectors are out of date by now.
fn bundle(vector: &Value) -> KeyPackageBundle {
    let message = MlsMessageIn::tls_deserialize_exact(bytes(&vector["key_package"]));
    let MlsMessageBodyIn::KeyPackage(key_package) = message.expect("a message").extract() else {
        panic!("not a key package");
    };
    let parts = (
        key_package,
        bytes(&vector["init_priv"]),
        bytes(&vector["encryption_priv"]),
    );
    decode(&encode(&parts).expect("encodable")).expect("the parts of a bundle")
}

#[test]
fn passive_clients_join_with_the_tree_outside_and_all_other_welcomes_are_refused() {
    let Ok(folder) = std::env::var("DEMLS_MLS_VECTORS") else {
        return;
    };
    let file = std::fs::File::open(format!("{folder}/passive-client-welcome.json"));
    let vectors: Vec<Value> = serde_json::from_reader(file.expect("the file")).expect("JSON");
    let (mut joined, mut refused) = (0, 0);
    for vector in vectors.iter().filter(|one| one["cipher_suite"] == 1) {
        let key = LeafKey::from_slice(&bytes(&vector["signature_priv"])).expect("a key");
        let private = seal_private(&key, &bundle(vector)).expect("sealed");
        let welcome = bytes(&vector["welcome"]);
        let invitation = Invitation::new(&Random::System, &welcome, &private, WINDOWS);
        let has_tree_outside = !vector["ratchet_tree"].is_null();
        let needs_psk = vector["external_psks"] != Value::Array(Vec::new());
        if has_tree_outside && !needs_psk {
            let live = invitation
                .join(&bytes(&vector["ratchet_tree"]))
                .expect("the vector's group");
            assert_eq!(
                live.authenticator().expect("an active group"),
                bytes(&vector["initial_epoch_authenticator"])
            );
            joined += 1;
        } else {
            assert!(matches!(
                invitation.announced(),
                Err(Error::InvalidMessage(_))
            ));
            refused += 1;
        }
    }
    assert_eq!((joined, refused), (2, 6));
}

#[test]
fn trees_and_key_packages_of_the_vectors_are_read_and_written_alike() {
    let Ok(folder) = std::env::var("DEMLS_MLS_VECTORS") else {
        return;
    };
    let file = std::fs::File::open(format!("{folder}/messages.json"));
    let vectors: Vec<Value> = serde_json::from_reader(file.expect("the file")).expect("JSON");
    for vector in &vectors {
        for name in ["public_message_commit", "private_message", "mls_welcome"] {
            let encoded = bytes(&vector[name]);
            MlsMessageIn::tls_deserialize_exact(&encoded).expect("a message");
        }
        let encoded = bytes(&vector["ratchet_tree"]);
        let tree = openmls::prelude::RatchetTreeIn::tls_deserialize_exact(&encoded);
        let written = tree.expect("a tree").tls_serialize_detached();
        assert_eq!(written.expect("a tree"), encoded);
    }
    assert!(!vectors.is_empty());
}
