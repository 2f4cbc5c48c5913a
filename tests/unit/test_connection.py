"""Valid connections, and the errors of invalid ones."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import certifi
import httpx
import pytest
import requests
from airflow.models import Connection as StoredConnection
from airflow.providers.common.compat.sdk import Connection
from hypothesis import given
from hypothesis import settings as settings_of_hypothesis
from hypothesis import strategies as st
from urllib3.util import parse_url

from airflow_provider_tallyfy.api.credentials import ClientCredentials
from airflow_provider_tallyfy.api.errors import TallyfyConfigurationError
from airflow_provider_tallyfy.connection import TallyfySettings, read_settings
from airflow_provider_tallyfy.connection_extras import EXTRAS

CLIENT = {"login": "17", "password": "s3cret"}


def settings(extra: dict[str, Any] | str | None = None, **fields: Any) -> TallyfySettings:
    text = json.dumps(extra) if isinstance(extra, dict) else extra
    return read_settings(
        Connection(**{"conn_id": "c", "conn_type": "tallyfy", "password": "t0ken", **fields, "extra": text})
    )


def from_uri(uri: str) -> TallyfySettings:
    return read_settings(StoredConnection(conn_id="c", uri=uri))


def test_a_token_is_all_that_a_connection_needs():
    known = settings()
    assert known.base_url == "https://go.tallyfy.com/api"
    assert (known.timeout, known.retry_budget, known.max_response_bytes) == (30.0, 120.0, 32 * 1024 * 1024)
    assert (known.verify, known.read_only, known.proxies, known.organization_id) == (True, False, {}, None)
    assert (known.credentials, known.web_url) == ("t0ken", "https://go.tallyfy.com")


@pytest.mark.parametrize(
    ("fields", "base_url"),
    [
        ({"host": "https://go.tallyfy.com/api"}, "https://go.tallyfy.com/api"),
        ({"host": "https://go.tallyfy.com/api/"}, "https://go.tallyfy.com/api"),
        ({"host": "https://api.tallyfy.com"}, "https://api.tallyfy.com"),
        ({"host": "https://api.tallyfy.com/"}, "https://api.tallyfy.com"),
        ({"host": "api.tallyfy.com"}, "https://api.tallyfy.com"),
        ({"host": " go.tallyfy.com/api "}, "https://go.tallyfy.com/api"),
        ({"host": "go.tallyfy.com", "schema": "api"}, "https://go.tallyfy.com/api"),
        ({"host": "go.tallyfy.com", "schema": "https"}, "https://go.tallyfy.com"),
        ({"host": "127.0.0.1", "schema": "http", "port": 8765}, "http://127.0.0.1:8765"),
        ({"host": "https://tallyfy.example", "port": 8443, "schema": "api"}, "https://tallyfy.example:8443/api"),
        ({"host": "https://tallyfy.example:8443/api", "port": 9}, "https://tallyfy.example:8443/api"),
        ({"host": "https://tallyfy.example/api", "port": 443}, "https://tallyfy.example/api"),
        ({"host": "https://tallyfy.example/api", "port": 0}, "https://tallyfy.example/api"),
        ({"host": "http://localhost/api", "port": 443}, "http://localhost:443/api"),
        ({"host": "http://[::1]:8765/api"}, "http://[::1]:8765/api"),
        ({"host": "http://[::1]/api", "port": 8765}, "http://[::1]:8765/api"),
        ({"host": "http://localhost:8765"}, "http://localhost:8765"),
        ({"host": ""}, "https://go.tallyfy.com/api"),
        ({"host": "  "}, "https://go.tallyfy.com/api"),
    ],
)
def test_the_base_url_is_made_from_the_fields(fields, base_url):
    assert settings(**fields).base_url == base_url


@pytest.mark.parametrize(
    "host",
    [
        "ftp://go.tallyfy.com",
        "https:////",
        "https:///api",
        "https://go.tallyfy.com:port/api",
        "https://go.tallyfy.com:99999/api",
        "https://go..tallyfy.com",
        f"https://{'a' * 64}.com",
        "https://[::1",
        "https://go tallyfy.com",
        "https://go.tallyfy.com/a\nb",
        "https://go.tallyfy.com/\x00",
        "https://go.tallyfy.com/api?x=1",
        "https://go.tallyfy.com/api#top",
        "http://evil.com\\.localhost/",
        "http://evil.com%5C.localhost/",
        "http://evil.com%2f.localhost/",
        "http://evil.com;.localhost/",
        "https://go.tallyfy.com\\@evil.com",
        "https://go.tallyfy.com/a\\b",
        "https://go,tallyfy.com",
        "https://go_tallyfy!.com",
        "https://[::1%25lo]",
        "https://[::1%lo]",
        "https://[v1.x]",
        "https://a[::1]",
        "https://[::1]a",
        "https://[::1][::1]",
        "https://999.1.1.1",
        "https://127.1",
        "https://2130706433",
        "https://0x7f.1",
        "https://1.2.3.4.5",
        "https://xn--zzzzzz---.invalid",
        "https://☃.invalid",
        "https://ﬁ.invalid",
        f"https://go.tallyfy.com/{'a' * 70_000}",
    ],
)
def test_an_invalid_host_is_refused_and_not_quoted(host):
    with pytest.raises(
        TallyfyConfigurationError, match=r"^The Tallyfy connection cannot be used: its host "
    ) as refusal:
        settings(host=host)
    assert host not in str(refusal.value)


@pytest.mark.parametrize("name", ["token_url", "web_url"])
@pytest.mark.parametrize(
    "url", ["http://evil.com\\.localhost/", "https://☃.invalid", f"https://x.invalid/{'a' * 9000}"]
)
def test_other_addresses_are_checked_alike(name, url):
    with pytest.raises(TallyfyConfigurationError, match=f"its {name} is"):
        settings({"auth": "client_credentials", name: url}, **CLIENT)
    with pytest.raises(TallyfyConfigurationError, match="its extra proxies for https is not a URL"):
        settings({"proxies": {"https": url}})


@pytest.mark.parametrize(
    "host", ["bücher.example", "xn--bcher-kva.example", "a_b.example", "go.tallyfy.com.", "1.2.3.4"]
)
def test_hosts_may_be_international_or_addresses(host):
    assert settings(host=f"https://{host}/api").base_url == f"https://{host}/api"


PIECES = [
    "a",
    "Z",
    "1",
    "127",
    ".",
    "-",
    "_",
    ":",
    ":80",
    "@",
    "%41",
    "\\",
    ";",
    ",",
    "/",
    "[",
    "]",
    "[::1]",
    "?",
    "#",
    "!",
]
PIECES += [
    "~",
    "'",
    "(",
    "*",
    "&",
    "=",
    "+",
    "$",
    " ",
    "ü",
    "☃",
    "。",
    "ﬁ",
    "xn--",
    "xn--bcher-kva",
    "localhost",
    ".com",
]


@settings_of_hypothesis(max_examples=300)
@given(st.lists(st.sampled_from(PIECES), min_size=1, max_size=6).map("".join))
def test_both_http_libraries_read_an_accepted_host_alike(rest):
    try:
        base_url = settings({"allow_http": True}, host=f"http://{rest}").base_url
    except TallyfyConfigurationError:
        return
    prepared = requests.Request("GET", f"{base_url}/me").prepare()
    by_requests = parse_url(prepared.url)
    by_httpx = httpx.Request("GET", f"{base_url}/me").url
    assert by_requests.host.strip("[]") == by_httpx.raw_host.decode()
    assert (by_requests.port or 80) == (by_httpx.port or 80)
    assert by_requests.auth is None
    assert by_httpx.userinfo == b""


@pytest.mark.parametrize("host", ["https://ada:hunter2@go.tallyfy.com", "https://ada:hunter2@go.tallyfy.com:x"])
def test_a_password_in_the_host_is_refused_and_not_quoted(host):
    with pytest.raises(TallyfyConfigurationError, match="its host") as refusal:
        settings(host=host)
    assert "hunter2" not in str(refusal.value)


@pytest.mark.parametrize(
    "host", ["http://tallyfy.example", "http://10.0.0.1", "http://localhost.example", "http://0.0.0.0"]
)
def test_plain_http_is_refused_for_another_machine_unless_allowed(host):
    with pytest.raises(TallyfyConfigurationError, match="would send the token unencrypted"):
        settings(host=host)
    assert settings({"allow_http": True}, host=host).base_url == host
    with pytest.raises(TallyfyConfigurationError, match="token_url would send the token unencrypted"):
        settings({"auth": "client_credentials", "token_url": host}, **CLIENT)


@pytest.mark.parametrize(
    "host", ["http://127.0.0.1:1", "http://localhost:1", "http://api.localhost:1", "http://[::1]:1"]
)
def test_plain_http_on_this_machine_needs_no_permission(host):
    assert settings(host=host).base_url == host


@pytest.mark.parametrize(
    ("host", "web_url"),
    [
        ("https://go.tallyfy.com/api", "https://go.tallyfy.com"),
        ("https://api.tallyfy.com", "https://go.tallyfy.com"),
        ("https://api.tallyfy.com:443", "https://go.tallyfy.com"),
        ("https://API.tallyfy.com", "https://go.tallyfy.com"),
        ("https://staging.go.tallyfy.com/api", "https://staging.go.tallyfy.com"),
        ("https://staging-api.tallyfy.com", "https://staging.go.tallyfy.com"),
        ("http://127.0.0.1:8765/api", "http://127.0.0.1:8765"),
    ],
)
def test_links_lead_to_the_web_app_of_the_api(host, web_url):
    assert settings(host=host).web_url == web_url


def test_links_lead_to_the_web_url_of_the_connection():
    known = settings({"web_url": "https://tallyfy.example/app/"})
    assert known.run_url("o/1", "r 1") == "https://tallyfy.example/app/o%2F1/processes/r%201"
    with pytest.raises(TallyfyConfigurationError, match="its web_url"):
        settings({"web_url": "javascript:alert(1)"})


GOOD_EXTRAS: list[tuple[str, Any, Any]] = [
    ("organization_id", " abc ", "abc"),
    ("timeout", 5, 5.0),
    ("timeout", "2.5", 2.5),
    ("retry_budget", 0, 0.0),
    ("retry_budget", "60", 60.0),
    ("max_response_bytes", "1024", 1024),
    ("max_response_bytes", 1024, 1024),
    ("wait_requests_per_minute", "60", 60),
    ("credentials_grace", "0", 0.0),
    ("verify", False, False),
    ("verify", "false", False),
    ("verify", "true", True),
    ("verify", "1", True),
    ("verify", certifi.where(), certifi.where()),
    ("proxies", {"https": "http://proxy:3128"}, {"https": "http://proxy:3128"}),
    ("proxies", '{"all": "http://proxy:3128"}', {"all": "http://proxy:3128"}),
    ("read_only", "true", True),
    ("read_only", "no", False),
]


@pytest.mark.parametrize(("key", "value", "meaning"), GOOD_EXTRAS)
def test_an_extra_means_the_same_typed_and_as_text(key, value, meaning):
    known = getattr(settings({key: value}), key)
    assert (known, type(known)) == (meaning, type(meaning))
    assert getattr(settings({f"extra__tallyfy__{key}": value}), key) == meaning


@pytest.mark.parametrize("key", EXTRAS)
@pytest.mark.parametrize("nothing", [None, ""])
def test_an_extra_left_empty_in_the_form_has_its_default(key, nothing):
    assert settings({key: nothing}) == settings()


BAD_EXTRAS: list[tuple[str, Any]] = [
    ("organization_id", 5),
    ("organization_id", ["abc"]),
    ("auth", "oauth"),
    ("auth", True),
    ("token_url", 5),
    ("user_email", "ada"),
    ("user_email", "ada@example.com/../x"),
    ("user_email", "ada @example.com"),
    ("timeout", 0),
    ("timeout", -1),
    ("timeout", "soon"),
    ("timeout", True),
    ("timeout", [30]),
    ("timeout", "nan"),
    ("timeout", "inf"),
    ("timeout", 1e300),
    ("retry_budget", -0.1),
    ("retry_budget", {}),
    ("max_response_bytes", 0),
    ("max_response_bytes", 0.5),
    ("wait_requests_per_minute", 0),
    ("credentials_grace", -1),
    ("web_url", False),
    ("verify", "/no/such/bundle.pem"),
    ("verify", "/"),
    ("verify", __file__),
    ("verify", 5),
    ("proxies", "http://proxy:3128"),
    ("proxies", ["http://proxy:3128"]),
    ("proxies", {"https": 5}),
    ("proxies", {"https": "proxy:3128"}),
    ("proxies", {"https": "http://[proxy"}),
    ("proxies", {"go.tallyfy.com": "http://proxy:3128"}),
    ("allow_http", "maybe"),
    ("allow_http", 2),
    ("read_only", "x"),
]


@pytest.mark.parametrize(("key", "value"), BAD_EXTRAS)
def test_a_malformed_extra_is_refused_naming_its_key(key, value):
    with pytest.raises(
        TallyfyConfigurationError, match=rf"^The Tallyfy connection cannot be used: its (extra )?{key}\b"
    ):
        settings({key: value})


def test_an_unknown_extra_is_refused_with_the_known_ones():
    with pytest.raises(
        TallyfyConfigurationError, match=r"unknown keys: organisation_id, tiemout\.\nKnown: organization_id, auth"
    ) as refusal:
        settings({"tiemout": 3, "organisation_id": "hunter2"})
    assert "hunter2" not in str(refusal.value)


def test_every_extra_is_tested_here():
    assert {key for key, *_ in GOOD_EXTRAS + BAD_EXTRAS} == set(EXTRAS)


def test_the_documentation_has_the_table_of_extras_word_for_word():
    page = (Path(__file__).parents[2] / "docs" / "connection.md").read_text(encoding="utf-8")
    rows = [f"| `{key}` | {extra.meaning} | {extra.default} |" for key, extra in EXTRAS.items()]
    assert "\n".join(rows) in page


@pytest.mark.parametrize("extra", ["{not json", "[1]", '"text"', "5"])
def test_an_extra_other_than_a_json_object_is_refused(extra):
    connection = Connection(conn_id="c", conn_type="tallyfy", password="t0ken")
    object.__setattr__(connection, "_extra" if hasattr(connection, "_extra") else "extra", extra)
    with pytest.raises(TallyfyConfigurationError, match="its extra is not"):
        read_settings(connection)


@pytest.mark.parametrize("password", [None, "", "  "])
def test_an_error_for_an_empty_password_says_what_belongs_there(password):
    with pytest.raises(TallyfyConfigurationError, match="its password is empty"):
        settings(password=password)


@pytest.mark.parametrize("password", ["two words", "line\nbreak", "tokén", "nul\x00"])
def test_a_token_that_a_header_cannot_carry_is_refused_and_not_quoted(password):
    with pytest.raises(
        TallyfyConfigurationError, match="its password contains characters that no token has"
    ) as refusal:
        settings(password=password)
    assert password not in str(refusal.value)


def test_white_space_around_a_pasted_token_is_removed():
    assert settings(password=" t0ken\n").credentials == "t0ken"


def test_client_credentials_are_login_and_password():
    known = settings({"auth": "client_credentials"}, **CLIENT)
    assert known.credentials == ClientCredentials("17", "s3cret", "https://account.tallyfy.com/oauth/token")
    own = {"auth": "client_credentials", "token_url": "https://go.tallyfy.com/oauth/token", "user_email": "a@b.c"}
    assert settings(own, **CLIENT).credentials == ClientCredentials(
        "17", "s3cret", "https://go.tallyfy.com/oauth/token", "a@b.c"
    )


@pytest.mark.parametrize("missing", ["login", "password"])
def test_client_credentials_need_both(missing):
    with pytest.raises(TallyfyConfigurationError, match="login and password are not both given"):
        settings({"auth": "client_credentials"}, **CLIENT | {missing: ""})


def test_the_repr_of_settings_holds_no_secret_and_every_secret_is_masked():
    proxies = {"https": "http://ada:hun%2Fter2@proxy:3128"}
    token = settings({"proxies": proxies}, password="t0ken")
    client = settings({"auth": "client_credentials", "proxies": proxies}, **CLIENT)
    for known, secret in ((token, "t0ken"), (client, "s3cret")):
        assert set(known.secrets) == {secret, "hun%2Fter2", "hun/ter2"}
        assert not any(hidden in repr(known) for hidden in known.secrets)


@pytest.mark.parametrize("token", ["t0ken", "a+b/c==", "p%40ss", "a:b@c?d#e&f", "eyJ.eyJ.s-_"])
def test_a_token_with_special_characters_survives_the_uri_form(token):
    original = Connection(conn_id="c", conn_type="tallyfy", host="https://api.tallyfy.com", password=token)
    assert from_uri(original.get_uri()).credentials == token
    assert from_uri(original.get_uri()).base_url == "https://api.tallyfy.com"


def test_extras_of_a_uri_are_text_and_mean_the_same():
    uri = "tallyfy://:t0ken@go.tallyfy.com/api?organization_id=abc&timeout=5&verify=false&read_only=true"
    known = from_uri(uri)
    assert (known.base_url, known.organization_id) == ("https://go.tallyfy.com/api", "abc")
    assert (known.timeout, known.verify, known.read_only) == (5.0, False, True)
