"""What the package shows: names, the tree of errors, and the version beside every state."""

import pickle
import re
from inspect import isclass
from pathlib import Path

import demls_engine
import pytest
from demls_engine import (
    LIBRARY_VERSION,
    Engine,
    EngineError,
    InvalidMessage,
    UnreadableState,
)
from demls_engine.contract import Person

ERRORS = {
    "EngineError": "Exception",
    "InvalidMessage": "EngineError",
    "WrongEpoch": "InvalidMessage",
    "AlreadyUsed": "InvalidMessage",
    "OwnMessage": "InvalidMessage",
    "WrongState": "EngineError",
    "Inactive": "EngineError",
    "InvalidInput": "EngineError",
    "UnreadableState": "EngineError",
    "EnginePanic": "EngineError",
}
CLASSES = {
    "Candidate",
    "Decrypted",
    "Engine",
    "KeyPackage",
    "Member",
    "MlsGroup",
    "NewKeyPackage",
    "OpenedWelcome",
    "SignatureKey",
    "StagedCommit",
}


def test_the_public_names_are_these() -> None:
    assert set(demls_engine.__all__) == {*ERRORS, *CLASSES, "LIBRARY_VERSION"}
    for name in CLASSES:
        assert isclass(getattr(demls_engine, name))
        assert getattr(demls_engine, name).__module__ == "demls_engine"
        assert getattr(demls_engine, name).__doc__


def test_errors_form_a_tree_by_what_to_do_next() -> None:
    for name, base in ERRORS.items():
        error = getattr(demls_engine, name)
        assert error.__base__.__name__ == base
        assert error.__doc__
        assert isinstance(pickle.loads(pickle.dumps(error("why"))), EngineError)


def test_the_library_and_its_version_are_named() -> None:
    assert LIBRARY_VERSION == "openmls 0.9.2"


def test_a_state_of_another_version_is_named_in_the_error() -> None:
    person = Person(Engine(), "somebody")
    state = person.found().snapshot()
    (about,) = (key for key, value in state.items() if LIBRARY_VERSION.encode() in value)
    state[about] = state[about].replace(b"openmls 0.9.2", b"openmls 0.9.9")
    with pytest.raises(UnreadableState, match=r"written by openmls 0\.9\.9"):
        person.engine.load_group(state)


def test_messages_of_errors_are_sentences() -> None:
    group = Person(Engine(), "somebody").found()
    message = group.encrypt(b"text")
    group = Person(Engine(), "somebody").found()
    message = group.encrypt(b"text")
    with pytest.raises(InvalidMessage, match=r"^Handshakes come as PublicMessage\.$"):
        group.stage(message)


def test_attributes_cannot_be_set() -> None:
    key = Engine().signature_key()
    with pytest.raises(AttributeError):
        key.private = b""
    person = Person(Engine(), "somebody")
    public = person.key_package().public
    public.extensions.clear()
    assert public.extensions == person.extensions


def test_the_example_in_the_readme_runs() -> None:
    readme = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")
    (example,) = re.findall(r"```python\n(.*?)```", readme, re.DOTALL)
    exec(compile(example, "README.md", "exec"), {})
