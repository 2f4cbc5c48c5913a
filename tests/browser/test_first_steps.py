"""What a new user does, in this order: connect, trigger, wait, complete the run as a person, see the task succeed."""

from __future__ import annotations

from playwright.sync_api import Page, expect

from tests.browser.conftest import PICTURES

DAG = "example_tallyfy_restore_in_pipeline"
#: Run "Onboarding - Hooli" of the seed, which is archived.
RUN = "c27460eb5b3c719bb613fb83cc4e5427"


def take_picture(page: Page, name: str) -> None:
    page.mouse.move(0, 0)
    page.wait_for_timeout(500)  # for the end of a transition, which nothing announces
    page.screenshot(path=PICTURES / f"{name}.png", full_page=True)


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
    airflow.wait_for_dags([])  # an import error would end here
    airflow.wait_for(f"{DAG} is there", lambda: DAG in {dag["dag_id"] for dag in airflow.get("/dags")["dags"]})
    page.goto(f"{airflow.url}/dags/{DAG}")
    page.get_by_role("button", name="Trigger").click()
    dialog = page.get_by_role("dialog")
    dialog.locator("[name=element_run_id]").fill(RUN)
    take_picture(page, "trigger")
    dialog.get_by_role("button", name="Trigger", exact=True).last.click()
    airflow.wait_for("the DAG run is there", lambda: airflow.get(f"/dags/{DAG}/dagRuns")["dag_runs"])
    [dag_run] = airflow.get(f"/dags/{DAG}/dagRuns")["dag_runs"]
    task = f"{airflow.url}/dags/{DAG}/runs/{dag_run['dag_run_id']}/tasks/wait_for_people"
    airflow.wait_for_task_states(
        DAG,
        dag_run["dag_run_id"],
        lambda tasks: any(each["task_id"] == "wait_for_people" and each["state"] == "deferred" for each in tasks),
    )
    page.goto(f"{task}/details")
    expect(page.get_by_test_id("state-badge").filter(has_text="Deferred").first).to_be_visible()
    link = page.get_by_role("link", name="Open run in Tallyfy")
    expect(link).to_be_visible()
    take_picture(page, "waiting_for_people")
    with page.context.expect_page() as opened:
        link.click()
    tab = opened.value
    tab.set_viewport_size({"width": 1100, "height": 900})
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

    assert airflow.wait_for_dag_run(DAG, dag_run["dag_run_id"]) == "success"
    page.goto(task)
    expect(page.get_by_test_id("state-badge").filter(has_text="Success").first).to_be_visible()
    expect(page.get_by_text("is complete").first).to_be_visible()
    take_picture(page, "log")
    log = page.get_by_test_id("virtual-scroll-container").inner_text()
    lines = [line for line in log.splitlines() if DAG not in line]  # Airflow's own lines name it, and are longer
    assert any(RUN in line for line in lines)
    assert [line for line in lines if len(line) > 128] == []  # so many are seen at this width


def test_the_pages_of_the_sandbox_fit_a_telephone(page, tallyfy):
    page.set_viewport_size({"width": 400, "height": 800})
    for path in ("/", f"/{tallyfy.organization_id}/processes/{RUN}"):
        page.goto(f"{tallyfy.url}{path}")
        assert page.evaluate("document.documentElement.scrollWidth") <= 400
