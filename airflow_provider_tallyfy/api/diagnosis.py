"""How an answer, or its absence, becomes an error: of which kind, what was said, and what to do about it."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from itertools import islice
from typing import Any

from airflow_provider_tallyfy.api.call import Answer, Call, Loss
from airflow_provider_tallyfy.api.credentials import Actor
from airflow_provider_tallyfy.api.errors import (
    TallyfyAuthError,
    TallyfyConfigurationError,
    TallyfyError,
    TallyfyNotFoundError,
    TallyfyPermissionError,
    TallyfyRateLimitError,
    TallyfyResponseError,
    TallyfyServerError,
    TallyfyTransportError,
    TallyfyUnknownOutcomeError,
    TallyfyValidationError,
)
from airflow_provider_tallyfy.api.text import one_line, truncated

_FIELDS_LIMIT = 900
_FIELDS_DEPTH = 8
_MAX_FIELDS = 100
_CODE_LIMIT = 100
_SERVER_INTERNALS = re.compile(r"SQLSTATE|Illuminate\\|vendor/|Stack trace|#0 |/var/www|\.php\b", re.IGNORECASE)

# 401 does not always speak of the token: these come from objects and account rules (the credential is fine).
_UNAUTHORIZED_OBJECT = re.compile(r"^Unauthorized(\.| action.*)?$|^Saml Is Not Enabled", re.IGNORECASE)


def error_from_answer(call: Call[Any], answer: Answer, actor: Actor = "person") -> TallyfyError:
    """Turn an answer other than 2xx into the error to raise; the advice depends on who the connection acts as."""
    code, text, fields = _read_error_body(answer)
    kind, hint = _classify(call, answer, code, text, actor)
    said = " ".join(part for part in (str(answer.status), code, f'"{text}"' if text else None) if part)
    listed = f" [{_render_fields(fields)}]" if fields else ""
    return kind(
        _message(call, f"Tallyfy answered {said}{listed} {_to(call, answer)}.", hint),
        code=code,
        fields=fields,
        **_facts(call, answer),
    )


def error_from_loss(call: Call[Any], loss: Loss, host: str) -> TallyfyError:
    """Turn a missing answer into the error to raise; ``host`` is the server that was asked."""
    what, hint = _LOSSES[loss.reason]
    detail = f" ({loss.detail})" if loss.detail else ""
    return TallyfyTransportError(
        _message(call, f"{what.format(host=host)}{detail} on {call.method} {call.target}.", hint), **_facts(call)
    )


def unexpected_answer(call: Call[Any], answer: Answer, problem: str) -> TallyfyResponseError:
    """Describe a 2xx answer that does not hold what was asked for; ``problem`` is what is wrong with it."""
    said = f"{answer.status}, but not with the documented JSON ({_without_internals(problem)})"
    message = _message(call, f"Tallyfy answered {said} {_to(call, answer)}.", _ADDRESS_HINT)
    return TallyfyResponseError(message, **_facts(call, answer))


def unknown_outcome(cause: TallyfyError) -> TallyfyUnknownOutcomeError:
    """Say that a request which must not be repeated may have been applied; ``cause`` is why that is not known."""
    return cause.recast(
        TallyfyUnknownOutcomeError,
        f"{cause}\nThe request was not repeated, because it may have been applied.\nLook in Tallyfy first.",
    )


def after_attempts(error: TallyfyError, attempts: int, elapsed: float) -> TallyfyError:
    """Add to an error's message how often and how long it was tried."""
    if attempts > 1:
        error.args = (f"{error}\nTried {attempts} times in {elapsed:.0f} s.",)
    return error


_CREDENTIALS_HINT = (
    "The connection's token is not valid any more.\n"
    "Personal tokens last six months, and end when their user logs out of the web app.\n"
    "Create a new one under Settings > Integrations > REST API, and put it into the connection."
)
_CLIENT_HINT = (
    "The connection's login and password are not the id and the secret of a client that Tallyfy Support issued,\n"
    "or its extra token_url belongs to another Tallyfy."
)
_RENEWED_HINT = (
    "The token was just issued for the connection's client credentials.\n"
    "Check that the connection's host and its extra token_url belong to the same Tallyfy."
)
_ACCESS_HINT = (
    "Check the organization id.\nCheck that the token's user is a member with a role that allows this (not light)."
)
_APPLICATION_HINT = (
    "An application's own token may not do everything.\n"
    "To act as a user, name a member in the connection's extra user_email.\n"
    "Check the organization id."
)
_NAMED_USER_HINT = (
    "Check the organization id.\n"
    "Check that the user whom the connection's extra user_email names is a member with a role that allows this "
    "(not light)."
)
_NO_ENDPOINT_HINT = "There is no such endpoint.\nThe connection's {setting} is probably not {endpoint}."
_ADDRESS_HINT = "Check that the connection's {setting} is {endpoint} and that no proxy answers in its place."
_NETWORK_HINT = "Check the connection's {setting}, DNS, proxy and firewall from this machine."

_BY_STATUS: dict[int, tuple[type[TallyfyError], str]] = {
    401: (TallyfyAuthError, _CREDENTIALS_HINT),
    402: (TallyfyPermissionError, "The organization's plan does not allow it.\nAsk its administrator."),
    403: (TallyfyPermissionError, _ACCESS_HINT),
    404: (TallyfyNotFoundError, "Check the id and the organization."),
    429: (TallyfyRateLimitError, "Try again later, or spread the load: fewer tasks at once, longer intervals."),
}
_BY_ACTOR: dict[tuple[int, Actor], str] = {
    (401, "application"): _RENEWED_HINT,
    (401, "user"): _RENEWED_HINT,
    (403, "application"): _APPLICATION_HINT,
    (403, "user"): _NAMED_USER_HINT,
}
_BY_STATUS_OF_TOKEN_ENDPOINT: dict[int, tuple[type[TallyfyError], str]] = {
    401: (TallyfyAuthError, _CLIENT_HINT),
    403: (TallyfyPermissionError, _CLIENT_HINT),
    404: (TallyfyConfigurationError, _NO_ENDPOINT_HINT),
    405: (TallyfyConfigurationError, _NO_ENDPOINT_HINT),
}
_BY_CLASS: dict[int, tuple[type[TallyfyError], str]] = {
    4: (TallyfyValidationError, "Correct the request."),
    5: (TallyfyServerError, "Try again later.\nTallyfy Support can use the request id."),
}
_REDIRECT = (
    TallyfyResponseError,
    "Redirects are not followed, so that the token goes nowhere else.\nCorrect the connection's {setting}.",
)

_LOSSES: dict[str, tuple[str, str]] = {
    "dns": ("The name {host} could not be resolved", _NETWORK_HINT),
    "refused": ("{host} refused the connection", _NETWORK_HINT),
    "tls": (
        "No secure (TLS) connection to {host} could be made",
        "Check the certificate, and the connection's extra `verify` if a company proxy signs it.",
    ),
    "proxy": ("The proxy on the way to {host} failed", "Check the connection's extra `proxies` and the environment."),
    "connect_timeout": ("{host} did not accept a connection in time", _NETWORK_HINT),
    "timeout": (
        "{host} did not answer in time",
        "Tallyfy may be slow.\nThe connection's extra `timeout` sets the limit.",
    ),
    "reset": ("The connection to {host} broke before the answer was complete", "Try again later."),
    "too_large": (
        "The answer of {host} was refused because it is too large",
        "Ask for less, or raise the connection's extra `max_response_bytes`.",
    ),
}


def _classify(
    call: Call[Any], answer: Answer, code: str | None, text: str, actor: Actor
) -> tuple[type[TallyfyError], str]:
    status = answer.status
    if call.form is not None and status in _BY_STATUS_OF_TOKEN_ENDPOINT:
        return _BY_STATUS_OF_TOKEN_ENDPOINT[status]
    if status == 401 and (code == "UNAUTHORIZED" or _UNAUTHORIZED_OBJECT.match(text)):
        status = 403
    if status == 404 and (code == "ENDPOINT_NOT_FOUND" or _is_html(answer)):
        return TallyfyConfigurationError, _NO_ENDPOINT_HINT
    kind, hint = _BY_STATUS.get(status) or _BY_CLASS.get(status // 100) or _REDIRECT
    return kind, _BY_ACTOR.get((status, actor), hint)


def _message(call: Call[Any], said: str, hint: str) -> str:
    return f"Could not {call.action}.\n{said}\n{hint.format(**_address(call))}"


def _address(call: Call[Any]) -> dict[str, str]:
    """Name what the connection says about where a call goes, and what that should be."""
    if call.form is not None:
        return {
            "setting": "extra token_url",
            "endpoint": "the token endpoint (https://account.tallyfy.com/oauth/token)",
        }
    return {"setting": "host", "endpoint": "the API base URL (https://go.tallyfy.com/api or https://api.tallyfy.com)"}


def _facts(call: Call[Any], answer: Answer | None = None) -> dict[str, Any]:
    return {
        "method": call.method,
        "path": call.target,
        "run_id": call.run_id,
        "status": answer.status if answer else None,
        "request_id": _request_id(answer) if answer else None,
    }


def _request_id(answer: Answer) -> str | None:
    text = answer.headers.get("x-request-id")
    return one_line(text, _CODE_LIMIT) if text else None


def _to(call: Call[Any], answer: Answer) -> str:
    request_id = _request_id(answer)
    return f"to {call.method} {call.target}" + (f" (request id {request_id})" if request_id else "")


def _read_error_body(answer: Answer) -> tuple[str | None, str, dict[str, list[str]]]:
    """Find code, message and field problems in any of the shapes that Tallyfy's errors have."""
    if _is_html(answer):
        return None, "an HTML page", {}
    try:
        body = answer.json()
    except ValueError:
        return None, _without_internals(answer.body.decode(json.detect_encoding(answer.body), errors="replace")), {}
    if not isinstance(body, Mapping):
        return None, "", {}
    error = body.get("error")
    if isinstance(error, Mapping):
        body = {**error, "errors": body.get("errors")}
    code = body.get("code")
    message = body.get("message") or (error if isinstance(error, str) else "")
    shown_code = one_line(code, _CODE_LIMIT) if isinstance(code, str) else None
    return shown_code, _without_internals(str(message)), _flatten(body.get("errors"))


def _is_html(answer: Answer) -> bool:
    return answer.body.lstrip()[:1] == b"<"


def _without_internals(text: str) -> str:
    """Keep one short line of a server's message, and nothing of its stack traces and SQL."""
    return "(internals of the server, not shown)" if _SERVER_INTERNALS.search(text) else one_line(text)


def _flatten(errors: object, name: str = "", depth: int = 0) -> dict[str, list[str]]:
    """Reduce the nested lists and objects of ``errors`` to texts by dotted field name."""
    if depth > _FIELDS_DEPTH:
        return {name: ["(nested too deeply)"]}
    if isinstance(errors, Mapping):
        parts = [
            _flatten(value, one_line(f"{name}.{key}" if name else key, _CODE_LIMIT), depth + 1)
            for key, value in islice(errors.items(), _MAX_FIELDS)
        ]
    elif isinstance(errors, list):
        parts = [_flatten(value, name, depth + 1) for value in errors[:_MAX_FIELDS]]
    else:
        return {} if errors is None else {name: [_without_internals(str(errors))]}
    merged: dict[str, list[str]] = {}
    for part in parts:
        for field, texts in part.items():
            merged.setdefault(field, []).extend(texts)
    return merged


def _render_fields(fields: Mapping[str, Sequence[str]]) -> str:
    text = "; ".join(f"{name}: {', '.join(texts)}" for name, texts in fields.items())
    return truncated(text, _FIELDS_LIMIT)
