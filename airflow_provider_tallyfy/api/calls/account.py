"""Who asks: the token's user, and tokens."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from airflow_provider_tallyfy.api.call import Call
from airflow_provider_tallyfy.api.calls.paths import in_organization, path
from airflow_provider_tallyfy.api.credentials import ClientCredentials
from airflow_provider_tallyfy.api.inputs.checks import checked_id
from airflow_provider_tallyfy.api.models.envelope import read_item, read_token


def current_user(organization_id: str | None) -> Call[Mapping[str, Any]]:
    """``GET /organizations/{org}/me``, or ``GET /me`` without an organization: proves the token."""
    if organization_id is None:
        return Call("read the token's user", "GET", "/me", parse=read_item)
    return Call(
        action=f"read the token's user in organization {organization_id}",
        method="GET",
        path=in_organization(organization_id, "me"),
        parse=read_item,
    )


def application_token(credentials: ClientCredentials) -> Call[str]:
    """``POST {token_url}`` (documentation page "Client credentials flow"); repeating it only makes another token."""
    form = {
        "grant_type": "client_credentials",
        "client_id": credentials.client_id,
        "client_secret": credentials.client_secret,
        "scope": "*",
    }
    return Call(
        action="get an application token with the client credentials",
        method="POST",
        path="",
        parse=read_token,
        form=form,
        base_url=credentials.token_url,
        bearer="",
        changes_nothing=True,
    )


def user_token(organization_id: str, user_email: str, application_token: str) -> Call[str]:
    """``POST /applications/{org}/users/{email}/token`` (page "Access API as a third-party application")."""
    return Call(
        action=f"exchange the application token for one of user {user_email}",
        method="POST",
        path=path("applications", checked_id(organization_id, "organization_id"), "users", user_email, "token"),
        parse=read_token,
        bearer=application_token,
        changes_nothing=True,
    )
