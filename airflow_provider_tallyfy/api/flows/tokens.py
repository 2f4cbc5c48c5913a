"""Get a token."""

from __future__ import annotations

from airflow_provider_tallyfy.api import calls
from airflow_provider_tallyfy.api.errors import TallyfyConfigurationError
from airflow_provider_tallyfy.api.exchange import Flow
from airflow_provider_tallyfy.api.models import ClientCredentials


def new_token(credentials: ClientCredentials, organization_id: str | None) -> Flow[str]:
    """
    Get a token with client credentials: the application's, or the user's that they name.

    :param credentials: the client credentials.
    :param organization_id: the user's organization.
    :raises TallyfyConfigurationError: if there is a user and no organization.
    """
    token: str = yield calls.application_token(credentials)
    if credentials.user_email is None:
        return token
    if organization_id is None:
        raise TallyfyConfigurationError(
            "The connection's extra user_email needs organization_id in the connection's extra as well."
        )
    user_token: str = yield calls.user_token(organization_id, credentials.user_email, token)
    return user_token
