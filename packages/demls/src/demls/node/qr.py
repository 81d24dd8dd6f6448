"""A text as a picture that a phone can read."""

from __future__ import annotations

import io

import segno


def qr_svg(text: str) -> str:
    """An SVG document without style attributes, for an ``<img>``; empty if the text is too long for a QR code."""
    try:
        code = segno.make_qr(text, error="l")
    except segno.DataOverflowError:
        return ""
    out = io.BytesIO()
    code.save(
        out, kind="svg", scale=4, border=4, dark="#000", light="#fff", xmldecl=False, svgclass=None, lineclass=None
    )
    return out.getvalue().decode().strip()
