"""Who may ask, and where tokens are issued. Source: documentation page "authentication"."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl

from airflow_provider_tallyfy.sandbox.accepted_credentials import USER_LIFETIME, Token
from airflow_provider_tallyfy.sandbox.responses import Answer, Refusal, forbidden, missing, unauthorized, wrong_path

if TYPE_CHECKING:
    from airflow_provider_tallyfy.sandbox.request import Call


def check_client_header(call: Call) -> None:
    """Refuse a request without ``X-Tallyfy-Client`` the way the router does: it finds no endpoint."""
    client = call.headers.get("x-tallyfy-client", "")
    if not client or (client != "APIClient" and not call.behavior.any_client_header):
        raise wrong_path()


def check(call: Call) -> Token:
    """Refuse a request whose headers, token or organization are wrong; return its token."""
    check_client_header(call)
    token = call.state.credentials.find(call.headers.get("authorization", ""))
    if token is None:
        raise unauthorized(call.behavior.unauthorized)
    organization = call.params.get("org")
    if organization is not None and organization != call.state.organization_id:
        if len(organization) == 32 and set(organization) <= set("0123456789abcdef"):
            raise forbidden("You don't have application's permissions for this organization!")
        raise missing()
    return token


def check_workflow(call: Call) -> Token:
    """Do the same for an endpoint that needs a user, and refuse applications where this sandbox does."""
    token = check(call)
    if token.kind == "application" and not call.behavior.application_token_on_runs:
        raise forbidden("This action is unauthorized.")
    return token


def issue_application_token(call: Call) -> Answer:
    """``POST /oauth/token``: client credentials, form-encoded, no refresh token."""
    if "application/x-www-form-urlencoded" not in call.headers.get("content-type", ""):
        raise Refusal(400, {"error": "unsupported_grant_type", "message": "The request must be form-encoded."})
    form = _form(call.body)
    if form.get("grant_type") != "client_credentials":
        raise Refusal(400, {"error": "unsupported_grant_type"})
    credentials = call.state.credentials
    given = _client(call.headers.get("authorization", "")) or (form.get("client_id"), form.get("client_secret"))
    if given != (credentials.client_id, credentials.client_secret):
        raise Refusal(401, {"error": "invalid_client"})
    lifetime = credentials.application_lifetime
    token = credentials.issue("application", None, lifetime)
    return Answer.json({"token_type": "Bearer", "expires_in": int(lifetime), "access_token": token})


def _form(body: bytes) -> dict[str, str]:
    try:
        return dict(parse_qsl(body.decode()))
    except ValueError:
        message = "The request is missing a required parameter, or is otherwise malformed."
        raise Refusal(400, {"error": "invalid_request", "message": message}) from None


def _client(authorization: str) -> tuple[str, str] | None:
    scheme, _, text = authorization.partition(" ")
    if scheme.casefold() != "basic":
        return None
    try:
        client, _, secret = base64.b64decode(text).decode().partition(":")
    except ValueError:
        return "", ""
    return client, secret


def issue_user_token(call: Call) -> Answer:
    """``POST /applications/{org}/users/{email}/token``: an application gets a user's token."""
    if check(call).kind != "application":
        raise forbidden("This action is unauthorized.")
    email = call.params["email"]
    user = next((user for user in call.store.users.values() if user["email"] == email), None)
    if user is None:
        raise missing()
    token = call.state.credentials.issue("user", user["id"], USER_LIFETIME)
    return Answer.json({"token_type": "Bearer", "expires_in": USER_LIFETIME, "access_token": token})
