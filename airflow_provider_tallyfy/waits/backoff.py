"""How long to wait after failures, and when to give up reading the Airflow connection."""

from __future__ import annotations

from dataclasses import dataclass, field

from airflow_provider_tallyfy.api.errors import TallyfyError, TallyfyTransportError

_LONGEST_PAUSE = 60.0


def backoff(tries: int, chance: float) -> float:
    """Seconds to wait after so many failures in a row."""
    return min(_LONGEST_PAUSE, 2.0 ** min(tries - 1, 10)) * (0.5 + chance / 2)


@dataclass
class ConnectionReads:
    """
    Decides whether an Airflow connection that could not be read is read again, on workers and in the triggerer.

    :param refusal: what a missing, incomplete or malformed connection raises.
    :param refusal_grace: seconds until that is believed: a secrets backend that is down may look like it.
    :param limit: seconds after which any other failure is final.
    """

    conn_id: str
    refusal: type[Exception]
    refusal_grace: float
    limit: float
    tries: int = field(default=0, init=False)

    def pause_after(self, error: Exception, elapsed: float, chance: float) -> float:
        """Give the seconds until the next read; raise if there is no time for one, or none would help."""
        if isinstance(error, self.refusal) and elapsed >= self.refusal_grace:
            raise error
        self.tries += 1
        pause = backoff(self.tries, chance)
        if elapsed + pause > self.limit:
            raise TallyfyTransportError(
                f"The Airflow connection {self.conn_id!r} could not be read: {type(error).__name__}."
            ) from error
        return pause


def unreadable(error: Exception) -> str:
    """Say that the connection could not be read and will be read again."""
    reason = str(error) if isinstance(error, TallyfyError) else type(error).__name__
    return f"The Airflow connection cannot be read at the moment, still waiting.\n{reason}"
