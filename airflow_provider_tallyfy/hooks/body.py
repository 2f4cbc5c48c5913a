"""The body of an answer, decompressed as it arrives, and never larger than the connection allows."""

from __future__ import annotations

import zlib
from collections.abc import Mapping

from airflow_provider_tallyfy.api.call import Answer, Loss
from airflow_provider_tallyfy.connection import TallyfySettings

#: What both drivers ask for, and all that is decompressed.
ACCEPTED_ENCODINGS = "gzip, deflate"

_GZIP = 16 + zlib.MAX_WBITS
_ZLIB = zlib.MAX_WBITS
_RAW_DEFLATE = -zlib.MAX_WBITS


class Body:
    """
    Collects the body of one answer from the bytes on the wire.

    One gzip or deflate encoding is decompressed, deflate with or without the zlib header. An answer in another
    encoding, or in several, is not read. Bytes after the end of the compressed data are ignored.
    """

    def __init__(self, headers: Mapping[str, str], settings: TallyfySettings) -> None:
        self._headers = headers
        self._settings = settings
        self._encoding = headers.get("Content-Encoding", "").strip().lower()
        self._is_compressed = self._encoding in ("gzip", "x-gzip", "deflate")
        self._unreadable = ""
        if not self._is_compressed and self._encoding not in ("", "identity"):
            self._unreadable = f"its body has the encoding {self._encoding!r}, and only gzip or deflate is accepted"
        self._decompressor: zlib._Decompress | None = None
        self._content = bytearray()
        self._received = 0
        self._is_too_large = False
        self._is_broken = False

    @property
    def wants_more(self) -> bool:
        """Whether the rest of the body is needed."""
        return not (self._unreadable or self._is_too_large or self._is_broken)

    def add(self, data: bytes) -> None:
        """Take the next bytes (not empty), without the framing of chunks."""
        self._received += len(data)
        try:
            self._content += self._decompressed(data) if self._is_compressed else data
        except zlib.error:
            self._is_broken = True
        # Compressed bytes count as well: they may decompress to nothing without end.
        self._is_too_large = max(self._received, len(self._content)) > self._settings.max_response_bytes

    def outcome(self, status: int) -> Answer | Loss:
        """Make the neutral form of the answer."""
        if self._is_too_large:
            return Loss("too_large", sent=True, detail=f"over {self._settings.max_response_bytes} bytes")
        if self._is_broken or (self._decompressor is not None and not self._decompressor.eof):
            return Loss("reset", sent=True, detail=f"its {self._encoding} data is invalid or incomplete")
        headers = {name.lower(): value for name, value in self._headers.items()}
        return Answer(status, headers, bytes(self._content), self._unreadable)

    def _decompressed(self, data: bytes) -> bytes:
        if self._decompressor is None:
            self._decompressor = zlib.decompressobj(self._format(data))
        if self._decompressor.eof:
            return b""
        return self._decompressor.decompress(data, self._settings.max_response_bytes - len(self._content) + 1)

    def _format(self, data: bytes) -> int:
        if self._encoding != "deflate":
            return _GZIP
        return _ZLIB if data[0] & 0x0F == zlib.DEFLATED else _RAW_DEFLATE
