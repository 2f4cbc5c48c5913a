"""A person at the sandbox's pages, without a browser: reads forms, fills them in and presses their buttons."""

from __future__ import annotations

from html.parser import HTMLParser
from typing import Any
from urllib.parse import urljoin

import requests

from airflow_provider_tallyfy.sandbox import Sandbox


class Form:
    """A form of a page: where it stands, what its inputs hold, and its buttons by what they say."""

    def __init__(self, place: str, attributes: dict[str, str]) -> None:
        self.place = place
        self.method = attributes.get("method", "get")
        self.action = attributes.get("action", "")
        self.inputs: list[tuple[str, str]] = []
        self.buttons: dict[str, tuple[str, str]] = {}


class PageReader(HTMLParser):
    """Collects text, links, forms and the labels of inputs of a page."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.text = ""
        self.links: dict[str, str] = {}
        self.labels: dict[str, str] = {}
        self.forms: list[Form] = []
        self._place = ""
        self._open: list[tuple[str, dict[str, str], int]] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        attributes = {name: value or "" for name, value in attrs}
        self._open.append((tag, attributes, len(self.text)))
        if tag == "form":
            self.forms.append(Form(self._place, attributes))
        elif tag == "input":
            if attributes.get("type") != "checkbox" or "checked" in attributes:
                self.forms[-1].inputs.append((attributes["name"], attributes.get("value", "")))
            if "aria-label" in attributes:
                self.labels[attributes["aria-label"]] = attributes["name"]
        elif tag in ("textarea", "select"):
            self.forms[-1].inputs.append((attributes["name"], ""))
        elif tag == "option" and "selected" in attributes:
            self.forms[-1].inputs[-1] = (self.forms[-1].inputs[-1][0], attributes.get("value", ""))

    def handle_data(self, data: str) -> None:
        self.text += data

    def handle_endtag(self, tag: str) -> None:
        while self._open:
            opened, attributes, start = self._open.pop()
            if opened == tag:
                break
        else:
            return
        said = " ".join(self.text[start:].split())
        if tag in ("h1", "h2", "h3"):
            self._place = said
        elif tag == "a":
            self.links[said] = attributes["href"]
        elif tag == "label" and "for" in attributes:
            self.labels[said.removesuffix(" (required)")] = attributes["for"]
        elif tag == "button":
            self.forms[-1].buttons[said] = (attributes.get("name", ""), attributes.get("value", ""))


class Browser:
    """Shows one page after the other."""

    def __init__(self, sandbox: Sandbox) -> None:
        self.sandbox = sandbox
        self.headers = {"Sec-Fetch-Site": "same-origin"}
        self.answer = requests.Response()

    def open(self, path: str, **options: Any) -> PageReader:
        return self._show("GET", urljoin(self.sandbox.url, path), **options)

    def press(self, button: str, place: str = "", fields: dict[str, Any] | None = None) -> PageReader:
        """Fill in a form and press a button of it.

        :param place: Beginning of the heading that the form stands under.
        :param fields: What to write, by the label of the input; a list for what is there several times.
        """
        form = next(f for f in self.page.forms if button in f.buttons and f.place.startswith(place))
        written = {self.page.labels.get(label, label): value for label, value in (fields or {}).items()}
        sent = [pair for pair in form.inputs if pair[0] not in written]
        for name, value in written.items():
            sent += [(name, each) for each in (value if isinstance(value, list) else [value])]
        sent.append(form.buttons[button])
        place_of_form = urljoin(self.answer.url, form.action)
        if form.method == "get":
            return self._show("GET", place_of_form, params=sent)
        return self._show("POST", place_of_form, data=sent)

    def buttons(self, place: str = "") -> set[str]:
        return {button for form in self.page.forms if form.place.startswith(place) for button in form.buttons}

    def _show(self, method: str, url: str, **options: Any) -> PageReader:
        with requests.Session() as session:
            session.trust_env = False
            headers = self.headers | options.pop("headers", {})
            self.answer = session.request(method, url, timeout=10, headers=headers, **options)
        self.page = PageReader(self.answer.text)
        return self.page
