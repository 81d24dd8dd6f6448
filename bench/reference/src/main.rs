//! How much do the same actions cost a group of the reference node (`de-mls` 4.1.0)?
//!
//!     demls-bench-reference RUNS MEMBERS...
//!
//! Every member is real, the network is a queue, the clock is virtual and goes in steps of a second. The processor time
//! inside the calls of all members is summed; of several runs the smallest counts. One line of JSON a group size.

use std::collections::VecDeque;
use std::time::Duration;

use alloy::signers::local::PrivateKeySigner;
use de_mls::defaults::{DefaultConsensusPlugin, DefaultPeerScoring, InMemoryPeerScoreStorage};
use de_mls::{
    Conversation, ConversationConfig, ConversationEvent, DispatchOutcome, MockClock, ScoringConfig,
};
use hashgraph_like_consensus::signing::EthereumConsensusSigner;
use openmls::credentials::{BasicCredential, CredentialWithKey};
use openmls::group::MlsGroupCreateConfig;
use openmls::prelude::tls_codec::Serialize;
use openmls::prelude::{Ciphersuite, KeyPackage};
use openmls_basic_credential::SignatureKeyPair;
use openmls_rust_crypto::OpenMlsRustCrypto;

type Talk = Conversation<DefaultConsensusPlugin, InMemoryPeerScoreStorage, MockClock>;

const SUITE: Ciphersuite = Ciphersuite::MLS_128_DHKEMX25519_AES128GCM_SHA256_Ed25519;
const STEP: Duration = Duration::from_secs(1);
const STEPS_MAX: usize = 600;
const START: Duration = Duration::from_secs(1_800_000_000);
/// Said one after the other in an epoch. In the first of a member the keys of its leaf are derived.
const CHATS: usize = 4;

/// Of everything since it was last taken.
#[derive(Clone, Copy, Default)]
struct Cost {
    nanoseconds: u64,
    messages: usize,
    bytes: usize,
}

impl Cost {
    fn json(&self) -> String {
        let milliseconds = self.nanoseconds as f64 / 1e6;
        let (messages, bytes) = (self.messages, self.bytes);
        format!("{{\"cpu_ms\": {milliseconds:.3}, \"messages\": {messages}, \"bytes\": {bytes}}}")
    }
}

struct Person {
    name: Vec<u8>,
    provider: OpenMlsRustCrypto,
    signer: SignatureKeyPair,
    consensus: DefaultConsensusPlugin,
    talk: Option<Talk>,
    is_out: bool,
    says_nothing: bool,
}

impl Person {
    fn new(number: usize) -> Self {
        Self {
            name: (number as u64).to_be_bytes().to_vec(),
            provider: OpenMlsRustCrypto::default(),
            signer: SignatureKeyPair::new(SUITE.signature_algorithm()).expect("a key"),
            consensus: DefaultConsensusPlugin::new(EthereumConsensusSigner::new(
                PrivateKeySigner::random(),
            )),
            talk: None,
            is_out: false,
            says_nothing: false,
        }
    }

    fn credential(&self) -> CredentialWithKey {
        CredentialWithKey {
            credential: BasicCredential::new(self.name.clone()).into(),
            signature_key: self.signer.to_public_vec().into(),
        }
    }

    fn key_package(&self) -> Vec<u8> {
        KeyPackage::builder()
            .build(SUITE, &self.provider, &self.signer, self.credential())
            .expect("a key package")
            .key_package()
            .tls_serialize_detached()
            .expect("its bytes")
    }

    fn epoch(&self) -> Option<u64> {
        match &self.talk {
            Some(talk) if !self.is_out => Some(talk.mls_group().epoch().as_u64()),
            _ => None,
        }
    }
}

struct Group {
    people: Vec<Person>,
    clock: MockClock,
    queue: VecDeque<(usize, Vec<u8>)>,
    cost: Cost,
    elections: usize,
}

fn scoring() -> DefaultPeerScoring {
    DefaultPeerScoring::new(
        InMemoryPeerScoreStorage::default(),
        Default::default(),
        ScoringConfig::default(),
    )
}

fn processor_time() -> u64 {
    let mut time = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: the pointer is to a valid timespec that outlives the call.
    unsafe { libc::clock_gettime(libc::CLOCK_PROCESS_CPUTIME_ID, &mut time) };
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

impl Group {
    /// A group of so many, all in the first commit.
    fn of(size: usize) -> Self {
        let mut people: Vec<Person> = (0..size).map(Person::new).collect();
        let packages: Vec<Vec<u8>> = people[1..].iter().map(Person::key_package).collect();
        let packages: Vec<&[u8]> = packages.iter().map(Vec::as_slice).collect();
        let clock = MockClock::at(START);
        let founder = &mut people[0];
        let config = MlsGroupCreateConfig::builder()
            .use_ratchet_tree_extension(true)
            .build();
        founder.talk = Some(
            Talk::create(
                "group",
                &founder.provider,
                founder.credential(),
                &config,
                &founder.signer,
                &founder.consensus,
                scoring(),
                clock.clone(),
                &founder.name,
                ConversationConfig::default(),
                &packages,
            )
            .expect("a group"),
        );
        let mut group = Self {
            people,
            clock,
            queue: VecDeque::new(),
            cost: Cost::default(),
            elections: 0,
        };
        group.take(0);
        group.settle(|group| group.members().len() == size);
        group
    }

    fn members(&self) -> Vec<usize> {
        (0..self.people.len())
            .filter(|&number| self.people[number].epoch().is_some())
            .collect()
    }

    fn epoch(&self) -> Option<u64> {
        let mut epochs = self.people.iter().filter_map(Person::epoch);
        let first = epochs.next()?;
        epochs.all(|epoch| epoch == first).then_some(first)
    }

    fn take_cost(&mut self) -> Cost {
        std::mem::take(&mut self.cost)
    }

    /// What a member's calls have brought: messages to all, welcomes, and votes that it is asked for.
    fn take(&mut self, number: usize) {
        let Some(talk) = &self.people[number].talk else {
            return;
        };
        let (events, outbound) = (talk.drain_events(), talk.drain_outbound());
        for message in outbound {
            self.cost.messages += 1;
            self.cost.bytes += message.payload.len();
            self.queue.push_back((number, message.payload));
        }
        for event in events {
            match event {
                ConversationEvent::WelcomeReady {
                    welcome,
                    minted_locally: true,
                } => {
                    for joiner in 0..self.people.len() {
                        if self.people[joiner].talk.is_none() {
                            self.join(
                                joiner,
                                &welcome.welcome_bytes,
                                &welcome.conversation_sync_bytes,
                            );
                        }
                    }
                }
                ConversationEvent::VoteRequested { proposal_id, .. }
                    if !self.people[number].says_nothing =>
                {
                    self.call(number, |person, talk| {
                        let _ = talk.vote(&person.provider, &person.signer, proposal_id, true);
                        false
                    });
                }
                ConversationEvent::ConsensusReached { approved: true, .. } => self.elections += 1,
                _ => {}
            }
        }
    }

    fn join(&mut self, number: usize, welcome: &[u8], sync: &[u8]) {
        let clock = self.clock.clone();
        let person = &mut self.people[number];
        let began = processor_time();
        person.talk = Talk::join(
            &person.provider,
            &person.signer,
            welcome,
            sync,
            &person.consensus,
            scoring(),
            clock,
            &person.name,
            ConversationConfig::default(),
        )
        .expect("a welcome that can be read");
        self.cost.nanoseconds += processor_time() - began;
        self.take(number);
    }

    /// One call of a member, its time counted; says whether the member is out after it.
    fn call(&mut self, number: usize, act: impl FnOnce(&Person, &mut Talk) -> bool) {
        let Some(mut talk) = self.people[number].talk.take() else {
            return;
        };
        let began = processor_time();
        let is_out = act(&self.people[number], &mut talk);
        self.cost.nanoseconds += processor_time() - began;
        self.people[number].talk = Some(talk);
        self.people[number].is_out |= is_out;
        self.take(number);
    }

    fn deliver(&mut self) {
        while let Some((sender, payload)) = self.queue.pop_front() {
            let name = self.people[sender].name.clone();
            for number in 0..self.people.len() {
                if number != sender && self.people[number].epoch().is_some() {
                    self.call(number, |person, talk| {
                        let done =
                            talk.process_inbound(&person.provider, &person.signer, &name, &payload);
                        matches!(done, Ok(DispatchOutcome::LeaveRequested))
                    });
                }
            }
        }
    }

    fn poll(&mut self) {
        for number in self.members() {
            self.call(number, |person, talk| {
                talk.poll(&person.provider, &person.signer).leave_requested
            });
        }
    }

    /// Let time pass until it is done; what is on its way then stays there.
    fn settle(&mut self, is_done: impl Fn(&Self) -> bool) {
        for _ in 0..STEPS_MAX {
            if is_done(self) {
                return;
            }
            self.deliver();
            if is_done(self) {
                return;
            }
            self.clock.advance(STEP);
            self.poll();
        }
        panic!("the group does not settle");
    }

    /// Let everything come to rest that follows by itself.
    fn rest(&mut self) {
        for _ in 0..30 {
            self.deliver();
            self.clock.advance(STEP);
            self.poll();
        }
        self.deliver();
    }

    fn chat(&mut self) {
        self.call(0, |person, talk| {
            talk.send_message(
                &person.provider,
                &person.signer,
                b"hello, everybody".to_vec(),
            )
            .expect("it is said");
            false
        });
        self.deliver();
    }

    fn add(&mut self) {
        self.people.push(Person::new(self.people.len()));
        let (newcomer, epoch) = (self.people.len() - 1, self.epoch().expect("agreement"));
        let package = self.people[newcomer].key_package();
        self.call(0, |person, talk| {
            talk.add_member(&person.provider, &person.signer, &package)
                .expect("it is proposed");
            false
        });
        self.settle(|group| {
            group.epoch().is_some_and(|now| now > epoch) && group.people[newcomer].talk.is_some()
        });
    }

    /// The newest is removed; it does not vote.
    fn remove(&mut self) {
        let (target, epoch) = (self.people.len() - 1, self.epoch().expect("agreement"));
        self.people[target].says_nothing = true;
        let handle = self.people[target]
            .talk
            .as_ref()
            .expect("a member")
            .own_id();
        self.call(0, |person, talk| {
            talk.remove_member(&person.provider, &person.signer, &handle)
                .expect("it is proposed");
            false
        });
        self.settle(|group| {
            group.people[target].is_out && group.epoch().is_some_and(|now| now > epoch)
        });
    }
}

fn main() {
    let numbers: Vec<usize> = std::env::args()
        .skip(1)
        .filter_map(|text| text.parse().ok())
        .collect();
    let Some((&runs, sizes)) = numbers.split_first() else {
        eprintln!("Give the number of runs, then group sizes of at least 3.");
        std::process::exit(2);
    };
    for &size in sizes {
        let mut group = Group::of(size);
        group.rest();
        let mut costs: [Vec<Cost>; 4] = Default::default();
        for _ in 0..runs {
            for _ in 0..CHATS {
                group.take_cost();
                group.chat();
                costs[3].push(group.take_cost());
            }
            group.add();
            costs[0].push(group.take_cost());
            group.rest();
            group.take_cost();
            group.remove();
            costs[1].push(group.take_cost());
            // The list of two stewards is used up after two epochs: the election follows by itself.
            let held = group.elections;
            group.settle(|group| group.elections >= held + size);
            costs[2].push(group.take_cost());
            group.rest();
        }
        let best = |kind: usize| {
            costs[kind]
                .iter()
                .min_by_key(|cost| cost.nanoseconds)
                .expect("a run")
                .json()
        };
        println!(
            "{{\"members\": {size}, \"add\": {}, \"remove\": {}, \"election\": {}, \"chat\": {}}}",
            best(0),
            best(1),
            best(2),
            best(3)
        );
    }
}
