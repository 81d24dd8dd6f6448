//! One group member built on mls-rs, driven by lines of JSON.
//!
//! Each line on standard input names an act; the answer is one line on standard output. All bytes
//! are in hexadecimal. The tests of demls-engine play its other members against this one.

use std::io::{BufRead, Write};
use std::time::Duration;

use mls_rs::client_builder::{MlsConfig, PaddingMode};
use mls_rs::extension::built_in::RequiredCapabilitiesExt;
use mls_rs::extension::{ExtensionType, MlsExtension};
use mls_rs::group::mls_rules::{CommitOptions, DefaultMlsRules, EncryptionOptions};
use mls_rs::group::{ExportedTree, ReceivedMessage};
use mls_rs::identity::SigningIdentity;
use mls_rs::identity::basic::{BasicCredential, BasicIdentityProvider};
use mls_rs::time::MlsTime;
use mls_rs::{
    CipherSuite, CipherSuiteProvider, Client, CryptoProvider, Extension, ExtensionList, Group,
    MlsMessage,
};
use mls_rs_crypto_rustcrypto::RustCryptoProvider;
use serde_json::{Value, json};

const SUITE: CipherSuite = CipherSuite::CURVE25519_AES128;
/// With the longest lifetime: key packages are valid at all times, for demls-engine takes no others.
const BEGINNING_S: u64 = 0;
const FOR_EVER_S: u64 = u64::MAX;
/// The extension types that the tests use.
const SUPPORTED: std::ops::RangeInclusive<u16> = 0xf001..=0xf004;

type Anyhow<T> = Result<T, Box<dyn std::error::Error>>;

fn main() -> Anyhow<()> {
    // An argument sets the lifetime of key packages in seconds.
    let lifetime_s = match std::env::args().nth(1) {
        Some(seconds) => seconds.parse()?,
        None => FOR_EVER_S,
    };
    let client = client(Duration::from_secs(lifetime_s))?;
    let mut group = None;
    for line in std::io::stdin().lock().lines() {
        let request: Value = serde_json::from_str(&line?)?;
        let answer = act(&client, &mut group, &request)
            .unwrap_or_else(|error| json!({ "error": error.to_string() }));
        println!("{answer}");
        std::io::stdout().flush()?;
    }
    Ok(())
}

fn client(lifetime: Duration) -> Anyhow<Client<impl MlsConfig>> {
    let crypto = RustCryptoProvider::default();
    let suite = crypto.cipher_suite_provider(SUITE).ok_or("no such suite")?;
    let (secret, public) = suite.signature_key_generate()?;
    let credential = BasicCredential::new(format!("mls-rs {}", std::process::id()).into_bytes())
        .into_credential();
    let rules = DefaultMlsRules::new()
        .with_commit_options(CommitOptions::new().with_ratchet_tree_extension(false))
        .with_encryption_options(EncryptionOptions::new(false, PaddingMode::None));
    Ok(Client::builder()
        .crypto_provider(crypto)
        .identity_provider(BasicIdentityProvider)
        .extension_types(SUPPORTED.map(ExtensionType::new))
        .key_package_lifetime(lifetime)
        .mls_rules(rules)
        .signing_identity(SigningIdentity::new(credential, public), secret, SUITE)
        .build())
}

fn act<C: MlsConfig>(
    client: &Client<C>,
    slot: &mut Option<Group<C>>,
    request: &Value,
) -> Anyhow<Value> {
    let name = request["do"].as_str().ok_or("no act is named")?;
    match name {
        "key_package" => {
            let message = client.generate_key_package_message(
                ExtensionList::new(),
                extensions(&request["extensions"])?,
                Some(MlsTime::from(BEGINNING_S)),
            )?;
            // Version and wire format stand in front of the bare key package.
            let bare = message.to_bytes()?.split_off(4);
            return Ok(json!({ "key_package": hex(&bare) }));
        }
        "create" => {
            let context = extensions(&request["context"])?;
            let mut context_and_required = context.clone();
            let types: Vec<ExtensionType> = context.iter().map(Extension::extension_type).collect();
            context_and_required.set(
                RequiredCapabilitiesExt {
                    extensions: types,
                    ..Default::default()
                }
                .into_extension()?,
            );
            *slot = Some(client.create_group_with_id(
                bytes(&request["group_id"])?,
                context_and_required,
                ExtensionList::new(),
                Some(MlsTime::from(BEGINNING_S)),
            )?);
            return Ok(json!({}));
        }
        "join" => {
            let tree = bytes(&request["tree"])?;
            let welcome = MlsMessage::from_bytes(&bytes(&request["welcome"])?)?;
            let (group, info) =
                client.join_group(Some(ExportedTree::from_bytes(&tree)?), &welcome, None)?;
            let told: Vec<Value> = info
                .group_info_extensions
                .iter()
                .map(|one| json!([one.extension_type().raw_value(), hex(one.extension_data())]))
                .collect();
            *slot = Some(group);
            return Ok(json!({ "group_info": told }));
        }
        _ => {}
    }
    let group = slot.as_mut().ok_or("in no group")?;
    match name {
        "process" => {
            let message = MlsMessage::from_bytes(&bytes(&request["message"])?)?;
            Ok(match group.process_incoming_message(message)? {
                ReceivedMessage::ApplicationMessage(message) => json!({
                    "sender": message.sender_index,
                    "plaintext": hex(message.data()),
                    "authenticated_data": hex(&message.authenticated_data),
                }),
                ReceivedMessage::Commit(commit) => json!({
                    "committer": commit.committer,
                    "authenticated_data": hex(&commit.authenticated_data),
                }),
                ReceivedMessage::Proposal(_) => json!({ "proposal": true }),
                _ => json!({}),
            })
        }
        "encrypt" => {
            let message = group.encrypt_application_message(
                &bytes(&request["plaintext"])?,
                bytes(&request["authenticated_data"])?,
            )?;
            Ok(json!({ "message": hex(&message.to_bytes()?) }))
        }
        "propose_update" => {
            let message = group.propose_update(Vec::new())?;
            Ok(json!({ "message": hex(&message.to_bytes()?) }))
        }
        "commit" => {
            let mut builder = group
                .commit_builder()
                .authenticated_data(bytes(&request["authenticated_data"])?)
                .set_group_info_ext(extensions(&request["group_info"])?);
            for key_package in request["adds"].as_array().into_iter().flatten() {
                // Version 1 and wire format 5: an MLSMessage with a key package.
                let message = [&[0, 1, 0, 5], bytes(key_package)?.as_slice()].concat();
                builder = builder.add_member(MlsMessage::from_bytes(&message)?)?;
            }
            for leaf in request["removes"].as_array().into_iter().flatten() {
                builder = builder.remove_member(u32::try_from(leaf.as_u64().ok_or("no leaf")?)?)?;
            }
            let output = builder.build()?;
            group.apply_pending_commit()?;
            let welcomes = output
                .welcome_messages
                .iter()
                .map(|welcome| Ok(hex(&welcome.to_bytes()?)))
                .collect::<Anyhow<Vec<String>>>()?;
            Ok(json!({ "commit": hex(&output.commit_message.to_bytes()?), "welcomes": welcomes }))
        }
        "state" => Ok(json!({
            "epoch": group.current_epoch(),
            "authenticator": hex(&group.epoch_authenticator()?),
            "exported": hex(&group.export_secret(b"label", b"context", 32)?),
            "tree": hex(&group.export_tree().to_bytes()?),
            "members": group.roster().members_iter().count(),
        })),
        _ => Err("no such act".into()),
    }
}

fn extensions(pairs: &Value) -> Anyhow<ExtensionList> {
    let mut list = ExtensionList::new();
    for pair in pairs.as_array().into_iter().flatten() {
        let number = u16::try_from(pair[0].as_u64().ok_or("no extension type")?)?;
        list.set(Extension::new(ExtensionType::new(number), bytes(&pair[1])?));
    }
    Ok(list)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn bytes(text: &Value) -> Anyhow<Vec<u8>> {
    let text = text.as_str().unwrap_or_default();
    (0..text.len())
        .step_by(2)
        .map(|start| {
            let pair = text
                .get(start..start + 2)
                .ok_or("an odd number of digits")?;
            Ok(u8::from_str_radix(pair, 16)?)
        })
        .collect()
}
