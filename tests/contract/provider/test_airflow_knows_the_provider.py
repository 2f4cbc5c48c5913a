"""Airflow's own registry of providers, in this process."""

from __future__ import annotations

import airflow
import pytest
from airflow.providers_manager import ProvidersManager

from airflow_provider_tallyfy import __version__
from airflow_provider_tallyfy.connection_extras import EXTRAS


@pytest.fixture(scope="module")
def manager() -> ProvidersManager:
    return ProvidersManager()


def test_airflow_lists_the_provider_with_its_version(manager):
    assert manager.providers["airflow-provider-tallyfy"].version == __version__


def test_airflow_finds_the_hook_by_connection_type_and_can_test_it(manager):
    hook = manager.hooks["tallyfy"]
    assert hook is not None
    assert hook.hook_class_name == "airflow_provider_tallyfy.hooks.tallyfy.TallyfyHook"
    assert (hook.connection_id_attribute_name, hook.hook_name) == ("tallyfy_conn_id", "Tallyfy")
    assert hook.connection_testable


def test_airflow_knows_the_link(manager):
    assert "airflow_provider_tallyfy.links.tallyfy.TallyfyRunLink" in manager.extra_links_class_names


def test_airflow_can_draw_the_connection_form(manager):
    if airflow.__version__ < "3.2":
        pytest.importorskip("flask_appbuilder", reason="before Airflow 3.2 the FAB provider brings forms")
    fields = [name for name in manager.connection_form_widgets if name.startswith("extra__tallyfy__")]
    assert {name.removeprefix("extra__tallyfy__") for name in fields} == set(EXTRAS)
    assert manager.field_behaviours["tallyfy"]["relabeling"]["host"] == "API base URL"


@pytest.mark.skipif(airflow.__version__ < "3.2", reason="Airflow < 3.2 has no form made from the metadata")
def test_the_form_of_the_web_interface_shows_url_token_and_organization():
    from airflow.api_fastapi.core_api.services.ui.connections import HookMetaService

    (form,) = [form for form in HookMetaService.hook_meta_data() if form.connection_type == "tallyfy"]
    shown = {name: (field.title, field.placeholder) for name, field in form.standard_fields if field is not None}
    assert form.hook_name == "Tallyfy"
    assert shown["host"] == ("API base URL", "https://go.tallyfy.com/api")
    assert shown["password"] == ("Access token or client secret", "personal access token")
    assert form.standard_fields.url_schema.hidden
    assert set(form.extra_fields) == set(EXTRAS)
    assert form.extra_fields["organization_id"]["description"].startswith("32 characters")
