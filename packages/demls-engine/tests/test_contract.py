"""The real engine keeps the contract of engines."""

from demls_engine import Engine
from demls_engine.contract import EngineContract


class TestEngine(EngineContract):
    def make_engine(self, seed: bytes) -> Engine:
        return Engine(seed)


class TestUnseededEngine(EngineContract):
    """The same with the system's randomness."""

    def make_engine(self, seed: bytes) -> Engine:
        return Engine() if len(seed) == 32 else Engine(seed)

    def test_a_seed_determines_everything(self) -> None:
        """Without one, nothing repeats."""
        assert Engine().random(32) != Engine().random(32)
