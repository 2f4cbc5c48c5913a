"""
The exceptions of this package.

::

    AirflowException
    `-- TallyfyError                        Airflow retries the task
        |-- TallyfyRateLimitError           429
        |-- TallyfyServerError              5xx
        |-- TallyfyTransportError           no complete answer
        |-- TallyfyResponseError            2xx without what was asked for, or a redirect
        |-- TallyfyUnknownOutcomeError      unknown whether the request was applied
        |-- TallyfyBulkError                some items of a bulk task failed
        `-- PermanentTallyfyError           also an AirflowFailException: no retries
            |-- TallyfyConfigurationError   the connection is wrong
            |-- TallyfyAuthError            401
            |-- TallyfyPermissionError      402, 403
            |-- TallyfyNotFoundError        404
            |-- TallyfyValidationError      a bad argument, or another 4xx
            `-- TallyfyBulkRejectedError    also a TallyfyBulkError: a retry would fail, too
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar, TypeVar

from airflow_provider_tallyfy.airflow_errors import AirflowException, AirflowFailException
from airflow_provider_tallyfy.api.text import MAX_MESSAGE, truncated

__all__ = [
    "PermanentTallyfyError",
    "TallyfyAuthError",
    "TallyfyBulkError",
    "TallyfyBulkRejectedError",
    "TallyfyConfigurationError",
    "TallyfyError",
    "TallyfyNotFoundError",
    "TallyfyPermissionError",
    "TallyfyRateLimitError",
    "TallyfyResponseError",
    "TallyfyServerError",
    "TallyfyTransportError",
    "TallyfyUnknownOutcomeError",
    "TallyfyValidationError",
]

ErrorT = TypeVar("ErrorT", bound="TallyfyError")


class TallyfyError(AirflowException):
    """
    Root of everything this package raises about Tallyfy. Airflow retries the task, unless the error is permanent.

    :param message: what failed, what Tallyfy answered and what to do, a sentence a line; never a secret.
    :param method: HTTP method of the request.
    :param path: path of the request.
    :param status: HTTP status of the answer, ``None`` if there was none.
    :param code: Tallyfy's error code, for example ``RESOURCE_NOT_FOUND``.
    :param request_id: value of the answer's ``X-Request-Id`` header, for Tallyfy support.
    :param run_id: the run it is about.
    :param retry_after: seconds Tallyfy asked to wait.
    :param fields: problem texts by field name, where Tallyfy rejected fields.
    """

    #: Whether the request may have changed something in Tallyfy nonetheless: in this attempt or one before.
    may_be_applied = False

    #: Whether trying the same again is pointless.
    permanent: ClassVar[bool] = False

    def __init__(
        self,
        message: str,
        *,
        method: str | None = None,
        path: str | None = None,
        status: int | None = None,
        code: str | None = None,
        request_id: str | None = None,
        run_id: str | None = None,
        retry_after: float | None = None,
        fields: Mapping[str, Sequence[str]] | None = None,
    ) -> None:
        super().__init__(truncated(message, MAX_MESSAGE))
        self.method = method
        self.path = path
        self.status = status
        self.code = code
        self.request_id = request_id
        self.run_id = run_id
        self.retry_after = retry_after
        self.fields = dict(fields or {})

    def recast(self, kind: type[ErrorT], message: str) -> ErrorT:
        """
        Make an error of another kind and message, with the same facts about the request.

        :meta private:
        """
        error = kind(message)
        vars(error).update(vars(self))
        return error


class PermanentTallyfyError(TallyfyError, AirflowFailException):
    """Trying the same again is pointless: Airflow fails the task at once, without retries."""

    permanent = True


class TallyfyConfigurationError(PermanentTallyfyError):
    """The connection is incomplete, malformed, or does not point at the Tallyfy API."""


class TallyfyAuthError(PermanentTallyfyError):
    """Tallyfy does not accept the token or the client credentials (401)."""


class TallyfyPermissionError(PermanentTallyfyError):
    """Tallyfy knows the user and declines: missing role, other organization, or the plan's limit (402, 403)."""


class TallyfyNotFoundError(PermanentTallyfyError):
    """The run, template or organization does not exist (404)."""


class TallyfyValidationError(PermanentTallyfyError):
    """The request is not acceptable as it is: a bad argument, or 4xx with the offending ``fields``."""


class TallyfyRateLimitError(TallyfyError):
    """Tallyfy asks to slow down (429) for longer than the retry budget allows; see ``retry_after``."""


class TallyfyServerError(TallyfyError):
    """Tallyfy failed (5xx) until the retry budget was used up."""


class TallyfyTransportError(TallyfyError):
    """No complete answer arrived: name, connection, TLS, timeout or size."""


class TallyfyResponseError(TallyfyError):
    """An answer that claims success and is not what the documentation promises, or a redirect."""


class TallyfyUnknownOutcomeError(TallyfyError):
    """A request that must not be repeated may or may not have been applied; look before trying again."""


class TallyfyBulkError(TallyfyError):
    """Of many runs some are not as they were asked for; a retry of the task takes up those."""


class TallyfyBulkRejectedError(TallyfyBulkError, PermanentTallyfyError):
    """Of many runs some cannot be as they were asked for, however often it is tried."""
