"""Group messaging that nobody owns: MLS groups governed by their members (LIP-104, LIP-73, RFC 9420)."""
