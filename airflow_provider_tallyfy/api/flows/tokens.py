"""Get a token."""

from __future__ import annotations

from airflow_provider_tallyfy.api import calls
from airflow_provider_tallyfy.api.call import Flow
from airflow_provider_tallyfy.api.credentials import ClientCredentials
from airflow_provider_tallyfy.api.inputs.checks import required_organization


def new_token(credentials: ClientCredentials, organization_id: str | None) -> Flow[str]:
    """Get a token with client credentials: the application's, or the user's that they name."""
    if credentials.user_email is None:
        token: str = yield calls.application_token(credentials)
        return token
    of_user = required_organization(organization_id)
    token = yield calls.application_token(credentials)
    user_token: str = yield calls.user_token(of_user, credentials.user_email, token)
    return user_token
