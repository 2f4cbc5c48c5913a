"""Arguments are checked here, before they become part of a request."""

from __future__ import annotations

from airflow_provider_tallyfy.api.errors import TallyfyConfigurationError, TallyfyValidationError
from airflow_provider_tallyfy.api.models import RunStatus

_LONGEST_ID = 255


def checked_id(value: object, name: str = "run_id") -> str:
    """
    Check an id before it becomes part of a path.

    :param value: what the user gave; numbers are accepted, since native template rendering makes them.
    :param name: name of the parameter, for the message.
    :raises TallyfyValidationError: if it is empty, or could leave its place in the path.
    """
    text = str(value) if isinstance(value, int) and not isinstance(value, bool) else value
    if not isinstance(text, str):
        problem = "it is missing" if text is None else f"it is a {type(text).__name__}, not text"
    elif not text.strip():
        problem = "it is empty"
    elif text in ("None", "null"):
        problem = "a template rendered it for a missing value (did the upstream task push it?)"
    elif any(character.isspace() or not character.isprintable() for character in text):
        problem = "it contains white space or control characters"
    elif "/" in text or "\\" in text or text in (".", ".."):
        problem = "it contains a path, not an id"
    elif len(text) > _LONGEST_ID:
        problem = f"it is longer than {_LONGEST_ID} characters"
    else:
        return text
    raise TallyfyValidationError(
        f"{name} {str(value)[:80]!r} is not usable: {problem}. Tallyfy ids are 32 hexadecimal digits, as in the "
        f"address of the run in the web app.",
        fields={name: [problem]},
    )


def checked_status(value: str, name: str) -> str:
    """
    Check the name of a run status.

    :param value: what the user gave.
    :param name: name of the parameter, for the message.
    :raises TallyfyValidationError: if it is not one, naming those that are.
    """
    try:
        return RunStatus(value).value
    except ValueError:
        known = ", ".join(status.value for status in RunStatus)
        raise TallyfyValidationError(
            f"{name} {value!r} is not a status of a Tallyfy run. Valid: {known}.", fields={name: ["unknown"]}
        ) from None


def required_organization(organization_id: object) -> str:
    """
    Check that there is an organization id.

    :raises TallyfyConfigurationError: if neither the task nor the connection gives one.
    """
    if organization_id in (None, ""):
        raise TallyfyConfigurationError(
            "No Tallyfy organization is given: put organization_id into the connection's extra, or give the task one."
        )
    return checked_id(organization_id, "organization_id")
