"""Bytes on the wire: schemas, strict decoding into frozen dataclasses, encoding."""
