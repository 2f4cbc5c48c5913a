"""What a new user does: connect, wait for people who complete a run, as on the Start page, ask people who decide."""

from __future__ import annotations

from playwright.sync_api import Locator, Page, expect

from demo.local_airflow import LocalAirflow
from tests.browser.conftest import PICTURES

DAG = "review"
APPROVAL_DAG = "example_tallyfy_approval_gate"
#: Run "Onboarding - Hooli" of the seed, which is archived.
RUN = "c27460eb5b3c719bb613fb83cc4e5427"


def take_picture(page: Page, name: str) -> None:
    page.mouse.move(0, 0)
    page.wait_for_timeout(500)  # for the end of a transition, which nothing announces
    page.screenshot(path=PICTURES / f"{name}.png", full_page=True)


def open_trigger(page: Page, airflow: LocalAirflow, dag_id: str) -> Locator:
    """Open the dialog that triggers a DAG."""
    airflow.wait_for_dags([])  # an import error would end here
    airflow.wait_for(f"{dag_id} is there", lambda: dag_id in {dag["dag_id"] for dag in airflow.get("/dags")["dags"]})
    page.goto(f"{airflow.url}/dags/{dag_id}")
    page.get_by_role("button", name="Trigger").click()
    return page.get_by_role("dialog")


def press_trigger(dialog: Locator, airflow: LocalAirflow, dag_id: str) -> str:
    """Trigger the DAG whose dialog is open, and return the id of the DAG run."""
    before = len(airflow.get(f"/dags/{dag_id}/dagRuns")["dag_runs"])
    dialog.get_by_role("button", name="Trigger", exact=True).last.click()
    airflow.wait_for("the DAG run is there", lambda: len(airflow.get(f"/dags/{dag_id}/dagRuns")["dag_runs"]) > before)
    return str(airflow.get(f"/dags/{dag_id}/dagRuns", order_by="-id")["dag_runs"][0]["dag_run_id"])


def link_of_waiting_task(page: Page, airflow: LocalAirflow, dag_id: str, dag_run: str, task_id: str) -> Locator:
    """Wait until a task is deferred, and return the link to its run in Tallyfy."""
    airflow.wait_for_task_states(
        dag_id, dag_run, lambda tasks: (task_id, "deferred") in {(each["task_id"], each["state"]) for each in tasks}
    )
    page.goto(f"{airflow.url}/dags/{dag_id}/runs/{dag_run}/tasks/{task_id}/details")
    expect(page.get_by_test_id("state-badge").filter(has_text="Deferred").first).to_be_visible()
    link = page.get_by_role("link", name="Open run in Tallyfy")
    expect(link).to_be_visible()
    return link


def follow(page: Page, link: Locator) -> Page:
    """Follow the link to a run; the page of the sandbox opens in a tab of its own."""
    with page.context.expect_page() as opened:
        link.click()
    opened.value.set_viewport_size({"width": 1100, "height": 900})
    return opened.value


def decide(tab: Page, button: str, shown: str) -> None:
    """Approve or reject on the page of a question, and close its tab."""
    tab.get_by_role("button", name=button).click()
    expect(tab.get_by_text(shown, exact=True)).to_be_visible()
    tab.close()


def test_a_connection_is_made_in_the_form(page, airflow, tallyfy):
    page.goto(f"{airflow.url}/connections")
    page.get_by_role("button", name="Add Connection").click()
    form = page.get_by_role("dialog")
    form.get_by_label("Connection ID").fill("tallyfy_default")
    form.get_by_role("combobox").click()
    page.keyboard.type("Tallyfy")
    page.keyboard.press("Enter")
    form.locator("[name=host]").fill(tallyfy.base_url)
    form.locator("[name=password]").fill(tallyfy.token)
    form.locator("[name=port]").fill(str(tallyfy.port))
    take_picture(page, "connection_form")
    form.get_by_role("button", name="Extra Fields", exact=True).click()
    form.locator("[name=element_web_url]").fill(tallyfy.url)
    form.locator("[name=element_organization_id]").fill(tallyfy.organization_id)
    form.get_by_text("Extra Fields", exact=True).evaluate("heading => heading.scrollIntoView()")
    take_picture(page, "connection_form_extra")
    form.get_by_role("button", name="Save").click()
    expect(page.get_by_role("cell", name="tallyfy_default")).to_be_visible()


def test_the_test_button_says_who_is_connected(page, airflow, tallyfy):
    page.goto(f"{airflow.url}/connections")
    page.get_by_role("button", name="Test Connection").click()
    expect(page.get_by_text(f"Connected to organization {tallyfy.organization_id}")).to_be_visible()
    take_picture(page, "connection_test")


def test_a_task_waits_for_people_who_complete_the_run(page, airflow, tallyfy):
    dialog = open_trigger(page, airflow, DAG)
    dialog.locator("[name=element_run_id]").fill(RUN)
    take_picture(page, "trigger")
    dag_run = press_trigger(dialog, airflow, DAG)
    link = link_of_waiting_task(page, airflow, DAG, dag_run, "wait_for_people")
    take_picture(page, "waiting_for_people")
    tab = follow(page, link)
    expect(tab.get_by_role("heading", name="Onboarding - Hooli")).to_be_visible()
    tab.get_by_label("Tax number").fill("DE 123456789")
    tab.get_by_role("button", name="Save").click()
    expect(tab.get_by_label("Tax number")).to_have_value("DE 123456789")
    take_picture(tab, "sandbox_run")
    tab.get_by_role("button", name="Complete all tasks").click()
    expect(tab.get_by_text("4 of 4")).to_be_visible()
    tab.goto(tallyfy.url)
    take_picture(tab, "sandbox_runs")
    tab.close()

    assert airflow.wait_for_dag_run(DAG, dag_run) == "success"
    page.goto(f"{airflow.url}/dags/{DAG}/runs/{dag_run}/tasks/wait_for_people")
    expect(page.get_by_test_id("state-badge").filter(has_text="Success").first).to_be_visible()
    expect(page.get_by_text("is complete").first).to_be_visible()
    take_picture(page, "log")
    log = page.get_by_test_id("virtual-scroll-container").inner_text()
    lines = [line for line in log.splitlines() if DAG not in line]  # Airflow's own lines name it, and are longer
    assert any(RUN in line for line in lines)
    assert [line for line in lines if len(line) > 128] == []  # so many are seen at this width


def test_the_dag_goes_on_as_people_decide(page, airflow, tallyfy):
    dag_run = press_trigger(open_trigger(page, airflow, APPROVAL_DAG), airflow, APPROVAL_DAG)
    tab = follow(page, link_of_waiting_task(page, airflow, APPROVAL_DAG, dag_run, "approve"))
    expect(tab.get_by_role("heading", name="Deploy version 2.0?", level=1)).to_be_visible()
    tab.set_viewport_size({"width": 1100, "height": 640})
    take_picture(tab, "question")
    decide(tab, "Approve", "approved")
    decide(follow(page, link_of_waiting_task(page, airflow, APPROVAL_DAG, dag_run, "verify")), "Reject", "rejected")
    assert airflow.wait_for_dag_run(APPROVAL_DAG, dag_run) == "success"
    page.goto(f"{airflow.url}/dags/{APPROVAL_DAG}/runs/{dag_run}")
    for task_id, state in {"approve": "Success", "announce": "Skipped", "roll_back": "Success"}.items():
        expect(page.get_by_role("row").filter(has_text=task_id).filter(has_text=state)).to_be_visible()
    take_picture(page, "decided")


def test_a_rejection_skips_what_comes_after_it(page, airflow, tallyfy):
    dag_run = press_trigger(open_trigger(page, airflow, APPROVAL_DAG), airflow, APPROVAL_DAG)
    decide(follow(page, link_of_waiting_task(page, airflow, APPROVAL_DAG, dag_run, "approve")), "Reject", "rejected")
    assert airflow.wait_for_dag_run(APPROVAL_DAG, dag_run) == "success"
    states = {task["task_id"]: task["state"] for task in airflow.task_instances(APPROVAL_DAG, dag_run)}
    assert states.pop("approve") == "success"
    assert set(states.values()) == {"skipped"}


def test_the_pages_of_the_sandbox_fit_a_telephone(page, tallyfy):
    page.set_viewport_size({"width": 400, "height": 800})
    for path in ("/", f"/{tallyfy.organization_id}/processes/{RUN}"):
        page.goto(f"{tallyfy.url}{path}")
        assert page.evaluate("document.documentElement.scrollWidth") <= 400
