"""What does a node count, and how does Prometheus read it?"""

from __future__ import annotations

from dataclasses import dataclass, field

_HELP = {
    "envelopes_received": "Envelopes handed to the core.",
    "envelopes_rejected": "Envelopes the core refused, by reason.",
    "envelopes_published": "Envelopes the relay has accepted.",
    "envelopes_refused": "Envelopes the relay will never accept.",
    "transactions": "Transactions written to the database.",
    "storage_failures": "Transactions that failed.",
    "core_failures": "Envelopes on which the core failed; each is a defect to report.",
    "readers_cut": "Event sockets cut because they were too slow.",
}


@dataclass(slots=True)
class Counters:
    """Counts since the node was started. Belongs to the event loop."""

    _counts: dict[tuple[str, str], int] = field(default_factory=dict)

    def add(self, name: str, amount: int = 1, *, reason: str = "") -> None:
        assert name in _HELP
        key = (name, reason)
        self._counts[key] = self._counts.get(key, 0) + amount

    def count(self, name: str) -> int:
        """The sum over all reasons."""
        return sum(amount for (counted, _), amount in self._counts.items() if counted == name)

    def text(self, gauges: dict[str, tuple[str, float]]) -> str:
        """The Prometheus text format; ``gauges``: name to (help, value now)."""
        lines = []
        for name, (explanation, value) in sorted(gauges.items()):
            lines += [f"# HELP demls_{name} {explanation}", f"# TYPE demls_{name} gauge", f"demls_{name} {value:g}"]
        for name, explanation in sorted(_HELP.items()):
            lines += [f"# HELP demls_{name}_total {explanation}", f"# TYPE demls_{name}_total counter"]
            counted = sorted((reason, amount) for (key, reason), amount in self._counts.items() if key == name)
            for reason, amount in counted or [("", 0)]:
                label = f'{{reason="{reason}"}}' if reason else ""
                lines.append(f"demls_{name}_total{label} {amount}")
        return "\n".join(lines) + "\n"
