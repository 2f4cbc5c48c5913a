"""The CA certificates that are trusted, chosen by the same rule for both hooks."""

from __future__ import annotations

import logging
import os
import ssl
from functools import lru_cache

import certifi

from airflow_provider_tallyfy.api.errors import TallyfyConfigurationError

log = logging.getLogger(__name__)

#: Environment variables that name CA certificates; the first that is set counts.
VARIABLES = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE", "SSL_CERT_DIR")


def trusted_certificates(verify: bool | str) -> bool | str:
    """Choose the CA certificates: a path, ``True`` for certifi's, or ``False`` to verify nothing."""
    if verify is False:
        log.warning("The connection's extra `verify` is false: no TLS certificate is verified.")
    if verify is not True:
        return verify
    for variable in VARIABLES:
        if path := os.environ.get(variable):
            try:
                tls_context(path)
            except (OSError, ValueError):
                raise TallyfyConfigurationError(
                    f"The environment variable {variable} ({path!r}) does not name CA certificates.\n"
                    f"Nothing was sent.\nCorrect it, or name such a file in the connection's extra `verify`."
                ) from None
            return path
    return True


def tls_context(trusted: bool | str) -> ssl.SSLContext:
    """Give the TLS context for what :func:`trusted_certificates` returned; a process loads certificates once."""
    if trusted is False:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        return context
    path = certifi.where() if trusted is True else trusted
    return _loaded(path, os.stat(path).st_mtime_ns)


@lru_cache(maxsize=8)
def _loaded(path: str, changed: int) -> ssl.SSLContext:
    """Load a file or a directory, again when it has changed since."""
    if os.path.isdir(path):
        return ssl.create_default_context(capath=path)
    return ssl.create_default_context(cafile=path)
