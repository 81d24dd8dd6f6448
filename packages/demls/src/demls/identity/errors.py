"""What identity raises: each text is a whole sentence that says what to do next.

::

    IdentityError           a key or password that cannot be used
    ├── WrongPassword           the keystore does not open with this password
    ├── KeystoreMissing         there is no such key file yet
    ├── KeystoreExists          a key file is there already and is never overwritten
    ├── KeystoreDamaged         the file is not a keystore, or not a whole one
    └── PasswordUnavailable     no password could be had from where it was to come from
"""

from __future__ import annotations

from demls.protocol.errors import DemlsError


class IdentityError(DemlsError):
    """A key or password that cannot be used; the text says which and what to do."""


class WrongPassword(IdentityError):
    """Try again with the right password; it cannot be recovered."""


class KeystoreMissing(IdentityError):
    """Create or import an identity first."""


class KeystoreExists(IdentityError):
    """Keep the identity that is there, or choose another data folder."""


class KeystoreDamaged(IdentityError):
    """Restore the file from a backup."""


class PasswordUnavailable(IdentityError):
    """Give a password at the prompt or through DEMLS_PASSWORD_FILE."""
