//! What can go wrong, and how it reaches Python.
//!
//! Inside the crate there is one enum; each variant is one exception class. OpenMLS has some
//! hundred error variants: they are sorted into ours by what the caller has to do next, and their
//! texts only help a person who reads a log.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};

use openmls::framing::errors::MessageDecryptionError;
use openmls::prelude::{MlsGroupStateError, ProcessMessageError, ValidationError};
use pyo3::PyErr;
use pyo3::create_exception;
use pyo3::exceptions::PyException;
use pyo3::prelude::*;

create_exception!(
    demls_engine,
    EngineError,
    PyException,
    "Root of all errors of this package."
);
create_exception!(
    demls_engine,
    InvalidMessage,
    EngineError,
    "Bytes from the network that are malformed or do not verify. Nothing has changed."
);
create_exception!(
    demls_engine,
    WrongEpoch,
    InvalidMessage,
    "A well-formed message of an epoch that this state cannot read. Nothing has changed."
);
create_exception!(
    demls_engine,
    AlreadyUsed,
    InvalidMessage,
    "The key of this message was used before: a replay, or too old. Nothing has changed."
);
create_exception!(
    demls_engine,
    OwnMessage,
    InvalidMessage,
    "The message claims the own leaf as its sender, unauthenticated. Nothing has changed."
);
create_exception!(
    demls_engine,
    WrongState,
    EngineError,
    "A staged commit belongs to another state than the live one; stage it again."
);
create_exception!(
    demls_engine,
    Inactive,
    EngineError,
    "The own leaf is no longer in the group; only reading of old state is possible."
);
create_exception!(
    demls_engine,
    InvalidInput,
    EngineError,
    "The caller passed something that cannot be used (say, a key of the wrong size)."
);
create_exception!(
    demls_engine,
    UnreadableState,
    EngineError,
    "A stored state was written by another version or is damaged; resync the group."
);
create_exception!(
    demls_engine,
    EnginePanic,
    EngineError,
    "A defect in the native code. Drop the group object and load it again."
);

#[derive(Debug, Clone)]
pub enum Error {
    InvalidMessage(String),
    WrongEpoch,
    AlreadyUsed,
    OwnMessage,
    WrongState(&'static str),
    Inactive,
    InvalidInput(String),
    UnreadableState(String),
    Panic(String),
}

pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    /// The bytes came from the network and are not what they should be.
    pub fn invalid(reason: impl ToString) -> Self {
        Self::InvalidMessage(reason.to_string())
    }

    /// The caller's argument is at fault.
    pub fn input(reason: impl ToString) -> Self {
        Self::InvalidInput(reason.to_string())
    }

    pub fn unreadable(reason: impl ToString) -> Self {
        Self::UnreadableState(reason.to_string())
    }

    /// Something failed that cannot fail: treated like a panic, because the state may be half done.
    pub fn defect(reason: impl ToString) -> Self {
        Self::Panic(reason.to_string())
    }

    /// The same reason, but the caller is to blame and not the network.
    pub fn blame_caller(self) -> Self {
        match self {
            Self::InvalidMessage(reason) => Self::InvalidInput(reason),
            Self::WrongEpoch => Self::input("The proposal is of another epoch."),
            Self::OwnMessage => Self::input("A committer cannot commit an Update of its own."),
            other => other,
        }
    }
}

impl From<Error> for PyErr {
    fn from(error: Error) -> Self {
        match error {
            Error::InvalidMessage(reason) => InvalidMessage::new_err(reason),
            Error::WrongEpoch => {
                WrongEpoch::new_err("The message is of an epoch that this state cannot read.")
            }
            Error::AlreadyUsed => {
                AlreadyUsed::new_err("The key of this message was used before, or it is too old.")
            }
            Error::OwnMessage => {
                OwnMessage::new_err("The message claims to come from the own leaf.")
            }
            Error::WrongState(reason) => WrongState::new_err(reason),
            Error::Inactive => Inactive::new_err("The own leaf is no longer in the group."),
            Error::InvalidInput(reason) => InvalidInput::new_err(reason),
            Error::UnreadableState(reason) => UnreadableState::new_err(reason),
            Error::Panic(reason) => EnginePanic::new_err(reason),
        }
    }
}

/// Sorts what OpenMLS says of a received message.
///
/// Whether the epoch's secrets are still there must have been asked before: OpenMLS gives the same
/// error for a forgotten epoch and for a key that is too old.
pub fn from_processing<StorageError: std::error::Error>(
    error: ProcessMessageError<StorageError>,
) -> Error {
    match &error {
        ProcessMessageError::GroupStateError(MlsGroupStateError::UseAfterEviction) => {
            Error::Inactive
        }
        ProcessMessageError::ValidationError(
            ValidationError::WrongEpoch | ValidationError::NoPastEpochData,
        ) => Error::WrongEpoch,
        ProcessMessageError::ValidationError(ValidationError::UnableToDecrypt(
            MessageDecryptionError::SecretTreeError(reason),
        )) if is_used_key(&reason) => Error::AlreadyUsed,
        ProcessMessageError::StorageError(_) => Error::defect(error),
        _ => Error::invalid(error),
    }
}

/// OpenMLS does not let others name this error's type; its variants' names are what is left.
fn is_used_key(reason: &impl std::fmt::Debug) -> bool {
    matches!(
        format!("{reason:?}").as_str(),
        "SecretReuseError" | "TooDistantInThePast"
    )
}

/// Runs `work` and turns a panic into [`Error::Panic`].
///
/// What `work` borrows may be left half changed by a panic; whoever calls this for live state marks
/// that state as broken.
pub fn guarded<T>(work: impl FnOnce() -> Result<T>) -> Result<T> {
    catch_unwind(AssertUnwindSafe(work))
        .unwrap_or_else(|payload| Err(Error::Panic(describe_panic(payload.as_ref()))))
}

fn describe_panic(payload: &(dyn Any + Send)) -> String {
    let text = payload
        .downcast_ref::<&str>()
        .map(ToString::to_string)
        .or_else(|| payload.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "no message".to_owned());
    format!("The native code panicked: {text}")
}

pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    let py = module.py();
    module.add("EngineError", py.get_type::<EngineError>())?;
    module.add("InvalidMessage", py.get_type::<InvalidMessage>())?;
    module.add("WrongEpoch", py.get_type::<WrongEpoch>())?;
    module.add("AlreadyUsed", py.get_type::<AlreadyUsed>())?;
    module.add("OwnMessage", py.get_type::<OwnMessage>())?;
    module.add("WrongState", py.get_type::<WrongState>())?;
    module.add("Inactive", py.get_type::<Inactive>())?;
    module.add("InvalidInput", py.get_type::<InvalidInput>())?;
    module.add("UnreadableState", py.get_type::<UnreadableState>())?;
    module.add("EnginePanic", py.get_type::<EnginePanic>())
}
