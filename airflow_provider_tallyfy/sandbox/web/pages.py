"""The pages and their buttons. A button calls the API's own endpoint, so the API shows what the page did."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from importlib.resources import files
from typing import Any
from urllib.parse import parse_qs, quote, unquote

from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.routing import Match, Route, Router
from starlette.types import Receive, Scope, Send

from airflow_provider_tallyfy.sandbox import routes_runs, routes_tasks
from airflow_provider_tallyfy.sandbox.guards import foreign_host, is_same_origin
from airflow_provider_tallyfy.sandbox.ids_and_times import Json, stamp
from airflow_provider_tallyfy.sandbox.present import kickoff_values
from airflow_provider_tallyfy.sandbox.process import DONE, Run
from airflow_provider_tallyfy.sandbox.request import Call, Handler
from airflow_provider_tallyfy.sandbox.responses import Answer, Refusal, missing
from airflow_provider_tallyfy.sandbox.selection import page
from airflow_provider_tallyfy.sandbox.state import SandboxState
from airflow_provider_tallyfy.sandbox.web.fields import NO_INPUT, Form, input_name, read_fields, shown

_ROWS = 50
_POLICY = "default-src 'none'; style-src 'self'; img-src data:; form-action 'self'; frame-ancestors 'none'"
_HEADERS = {
    "content-security-policy": _POLICY,
    "referrer-policy": "same-origin",
    "x-content-type-options": "nosniff",
    "cache-control": "no-store",
}

Params = Mapping[str, str]
#: Gives a page's template and what it shows; gets what the path names, and what the browser sent.
Show = Callable[[Params, Form], tuple[str, Json]]
#: Does what a button says, and gives the path and the part of the page that it leads to.
Act = Callable[[Params, Form], str]


def _complete_run(call: Call) -> Answer:
    """Complete all tasks and resolve all problems, to save clicks; Tallyfy has no such button."""
    call.store.complete(call.run())
    return Answer.empty()


_ON_RUN: dict[str, Handler] = {
    "archive": routes_runs.archive_run,
    "restore": routes_runs.activate_run,
    "complete": _complete_run,
    "comment": routes_tasks.comment_run,
    "report": routes_tasks.report_run,
    "resolve": routes_tasks.resolve_on_run,
}
_ON_TASK: dict[str, Handler] = {
    "reopen": routes_tasks.reopen_task,
    "comment": routes_tasks.comment_task,
    "report": routes_tasks.report_task,
}
#: Buttons that finish a task, and what they tell the API besides its id.
_FINISH: dict[str, Json] = {"complete": {}, "approve": {"is_approved": True}, "reject": {"is_approved": False}}


class WebApp:
    """The web app of one sandbox, for people on this machine: pages of other sites cannot use its forms.

    :param any_host: Answer whatever name the request came under; otherwise only this machine's own names.
    """

    def __init__(self, state: SandboxState, *, any_host: bool = False) -> None:
        self._state = state
        self._any_host = any_host
        loader = PackageLoader("airflow_provider_tallyfy.sandbox.web")
        self._templates = Environment(
            loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
        )
        self._templates.filters |= {"shown": shown, "minute": _minute, "address": self._address}
        self._templates.globals |= {"input_name": input_name, "NO_INPUT": NO_INPUT, "DONE": DONE, "status_of": _status}
        self._router = Router(
            [
                Route("/style.css", _style),
                self._route("/", self._runs),
                self._route("/{org}/processes/{run}", self._run, self._act_on_run),
                self._route("/{org}/processes/{run}/tasks/{task}", self._run, self._act_on_task),
                self._route("/{org}/templates/{template}", self._template, self._launch),
            ]
        )

    def serves(self, scope: Scope) -> bool:
        """Whether a path is one of the web app's."""
        return any(route.matches(scope)[0] is not Match.NONE for route in self._router.routes)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        await self._router(scope, receive, send)

    def _route(self, path: str, show: Show, act: Act | None = None) -> Route:
        async def endpoint(request: Request) -> Response:
            if not self._any_host and (problem := foreign_host(request)):
                return PlainTextResponse(problem, 403)
            if request.method == "POST" and not is_same_origin(request):
                return PlainTextResponse("This form was sent from another site. Nothing was changed.", 403)
            sent = await request.body() or request.scope["query_string"]
            form = parse_qs(sent.decode(errors="replace"), keep_blank_values=True)
            params = {name: unquote(text) for name, text in request.path_params.items()}
            with self._state.lock:
                self._state.store.complete_due_runs()
                return self._answer(show, act if request.method == "POST" else None, params, form)

        return Route(path, endpoint, methods=["GET", "POST"] if act else ["GET"])

    def _answer(self, show: Show, act: Act | None, params: Params, form: Form) -> Response:
        """Act and lead to what came of it, or show a page, with the reason if the act was refused."""
        status, problems = 200, []
        try:
            if act:
                return RedirectResponse(act(params, form), 303)
        except Refusal as refusal:
            status, problems = refusal.status, _problems(refusal)
        try:
            name, context = show(params, form)
        except Refusal as refusal:
            status, problems, name, context = refusal.status, _problems(refusal), "refused.html", {}
        everywhere = {"problems": problems, "organization": self._state.organization_id, "user": self._state.user}
        text = self._templates.get_template(name).render(everywhere | context)
        return Response(text.encode(errors="replace"), status, _HEADERS, "text/html")

    # -- what pages show ------------------------------------------------------------------------------------

    def _runs(self, params: Params, form: Form) -> tuple[str, Json]:
        store, query, status, number = self._state.store, *(_last(form, name) for name in ("q", "status", "page"))
        runs = sorted(store.runs.values(), key=lambda run: str(run.data["last_updated"]), reverse=True)
        found = [
            run
            for run in runs
            if query.casefold() in f"{run.data['name']}\n{run.id}".casefold() and status in ("", _status(run))
        ]
        shown_runs, meta = page(found, {"page": number}, self._state.behavior, "", size=_ROWS)
        return "runs.html", {
            "runs": shown_runs,
            "pagination": meta["meta"]["pagination"],
            "query": query,
            "status": status,
            "statuses": sorted({_status(run) for run in runs}),
            "templates": [template for template in store.templates.values() if not template["archived_at"]],
        }

    def _run(self, params: Params, form: Form) -> tuple[str, Json]:
        store, run = self._state.store, self._known_run(params)
        rows = [row for row in store.activity if row["run_id"] == run.id]
        return "run.html", {
            "run": run,
            "status": _status(run),
            "here": self._address("processes", run.id),
            "kickoff": kickoff_values(run, store),
            "people": {number: user["full_name"] for number, user in store.users.items()},
            "activity": [row | {"at": stamp(row["at"])} for row in reversed(rows[-_ROWS:])],
        }

    def _template(self, params: Params, form: Form) -> tuple[str, Json]:
        template = self._known_template(params)
        values = read_fields(template["prerun"], form)
        return "template.html", {"template": template, "name": _last(form, "name"), "values": values}

    # -- what buttons do ------------------------------------------------------------------------------------

    def _act_on_run(self, params: Params, form: Form) -> str:
        do, run = _last(form, "do"), self._known_run(params)
        if do in _ON_RUN:
            self._ask(_ON_RUN[do], params, form)
        return self._address("processes", run.id)

    def _act_on_task(self, params: Params, form: Form) -> str:
        do, task = _last(form, "do"), self._known_run(params).task(params["task"])
        if task is None:
            raise missing()
        values = read_fields(task["form_fields"], form)
        changed = {name: value for name, value in values.items() if value != task["taskdata"].get(name)}
        if changed:
            self._ask(routes_tasks.update_task, params, taskdata=task["taskdata"] | changed)
        if do in _FINISH:
            self._ask(routes_tasks.complete_task, params, task_id=task["id"], **_FINISH[do])
        elif do in _ON_TASK:
            self._ask(_ON_TASK[do], params, form)
        return f"{self._address('processes', params['run'])}#{quote(task['id'])}"

    def _launch(self, params: Params, form: Form) -> str:
        template = self._known_template(params)
        values = read_fields(template["prerun"], form)
        body = {"checklist_id": template["id"], "name": _last(form, "name"), "prerun": values}
        return self._address("processes", self._ask(routes_runs.launch_run, params, **body)["data"]["id"])

    def _ask(self, handler: Handler, params: Params, form: Form | None = None, **body: Any) -> Json:
        """Let an endpoint of the API act, as the member whom the page belongs to."""
        body |= {name: texts[-1] for name, texts in (form or {}).items()}
        call = Call(self._state, "", dict(params), {}, {}, json.dumps(body).encode(), self._state.user["id"])
        answer: Json = json.loads(handler(call).body or b"{}")
        return answer

    def _known_run(self, params: Params) -> Run:
        run = self._state.store.runs.get(params["run"])
        if run is None or params["org"] != self._state.organization_id:
            raise missing()
        return run

    def _known_template(self, params: Params) -> Json:
        template = self._state.store.templates.get(params["template"])
        if template is None or params["org"] != self._state.organization_id:
            raise missing()
        return template

    def _address(self, *segments: str) -> str:
        return "/".join(["", *(quote(segment, "") for segment in (self._state.organization_id, *segments))])


async def _style(request: Request) -> Response:
    return Response((files(__package__) / "style.css").read_bytes(), media_type="text/css")


def _last(form: Form, name: str) -> str:
    return form.get(name, [""])[-1]


def _status(run: Run) -> str:
    """Return what a person calls the run's state, whatever this world's API calls an archived one."""
    return "archived" if run.archived else str(run.data["status"])


def _minute(moment: str) -> str:
    return f"{moment[:10]} {moment[11:16]}"


def _problems(refusal: Refusal) -> list[str]:
    """Return what the API complains of, a sentence for each field if it names fields."""
    told = json.loads(refusal.answer.body)
    return [text for texts in told.get("errors", {}).values() for text in texts] or [told["message"]]
