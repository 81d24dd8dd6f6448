"""What the core raises: only for misuse of its interface and for people's requests that cannot be carried out.

    DemlsError
    ├── RequestRefused      what a person asked for is not possible now; the sentence says what to do
    │   ├── UnknownMember       no such member in this group
    │   ├── UnknownProposal     no such proposal, or already decided
    │   ├── NotAMember          the own node is not (or no longer) in the group
    │   ├── TooMuch             a limit of the policy is reached
    │   └── BadInvite           an invite link or key package that cannot be used
    └── BadSnapshot         stored state that this version cannot read

Hostile input from the network never raises: it ends in a ``Rejected`` event.
"""


class DemlsError(Exception):
    """Root of everything this package raises on purpose."""


class RequestRefused(DemlsError):
    """A request that cannot be carried out now. The text is a whole sentence for people; nothing has changed."""


class UnknownMember(RequestRefused):
    """Check the address against the group's members."""


class UnknownProposal(RequestRefused):
    """List the proposals again: it may have been decided or withdrawn."""


class NotAMember(RequestRefused):
    """Join the group (again) through an invite link."""


class TooMuch(RequestRefused):
    """Wait until what is open has been decided, or ask the group to change its policy."""


class BadInvite(RequestRefused):
    """Ask the person for a new invite link or contact."""


class BadSnapshot(DemlsError):
    """The stored state was written by another version or is damaged; restore a backup or resync."""
