"""Who may reach what needs no token: programs and people on this machine, not the web pages that they look at."""

from __future__ import annotations

import re
from ipaddress import ip_address

from starlette.requests import Request

# An IPv6 address in brackets, or a name or an IPv4 address; then the port.
_HOST = re.compile(r"(?:\[([0-9a-fA-F:.]+)\]|([A-Za-z0-9.-]+))(?::\d+)?")


def is_loopback(host: str) -> bool:
    """Whether a name or an address is this machine's own."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def foreign_host(request: Request) -> str | None:
    """Say what is wrong with the name a request came under, if it is no name of this machine (DNS rebinding)."""
    host = request.headers.get("host", "")
    name = _HOST.fullmatch(host)
    if name and is_loopback(name[1] or name[2]):
        return None
    return f"Host {host!r} is not this machine. Start the sandbox with a host of its own to allow it."


def is_same_origin(request: Request) -> bool:
    """Whether a form was sent from one of the sandbox's own pages, as browsers say."""
    site = request.headers.get("sec-fetch-site")
    if site is not None:
        return site == "same-origin"
    # Browsers leave Sec-Fetch-Site out where the address is neither encrypted nor loopback.
    return request.headers.get("origin") == f"http://{request.headers.get('host', '')}"
