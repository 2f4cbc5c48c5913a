"""What Airflow reads about the package without importing it."""

from __future__ import annotations

import json
import re
from importlib import import_module
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import airflow
import jsonschema
import pytest

from airflow_provider_tallyfy.connection_extras import EXTRAS
from airflow_provider_tallyfy.hooks.tallyfy import TallyfyHook
from airflow_provider_tallyfy.provider_info import get_provider_info

INFO = get_provider_info()
(CONNECTION_TYPE,) = INFO["connection-types"]
HOME = Path(airflow.__file__).parent
#: Since Airflow 3.2 the metadata can describe the fields of a connection form.
DESCRIBES_FORMS = "conn-fields" in (HOME / "provider.yaml.schema.json").read_text()


def schema(name: str) -> Any:
    return json.loads((HOME / name).read_text())


def test_the_metadata_is_valid_for_airflow():
    jsonschema.validate(INFO, schema("provider_info.schema.json"))


@pytest.mark.skipif(not DESCRIBES_FORMS, reason="Airflow < 3.2 does not read the form from the metadata")
def test_the_connection_form_is_valid_for_airflow():
    whole = schema("provider.yaml.schema.json")
    part = {**whole["properties"]["connection-types"], "definitions": whole.get("definitions", {})}
    jsonschema.validate(INFO["connection-types"], part)
    misspelt = [{**CONNECTION_TYPE, "conn-fields": {"timeout": {"lable": "Timeout"}}}]
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(misspelt, part)


def test_the_entry_point_gives_this_metadata():
    found = [point for point in entry_points(group="apache_airflow_provider") if "tallyfy" in point.value]
    assert [point.load()() for point in found] == [INFO]
    assert found[0].dist is not None
    assert found[0].dist.name == INFO["package-name"]


def test_the_description_reads_right_where_airflow_takes_its_markup_away():
    shown = re.sub("[`_<>]", "", INFO["description"].strip(" \n."))  # as Airflow's list of providers does
    assert shown == "Launch, restore, archive and wait for runs of human workflows in Tallyfy https://tallyfy.com"


def test_the_hook_is_what_the_metadata_says():
    module, _, name = CONNECTION_TYPE["hook-class-name"].rpartition(".")
    assert getattr(import_module(module), name) is TallyfyHook
    assert (TallyfyHook.conn_type, TallyfyHook.hook_name) == ("tallyfy", "Tallyfy")
    assert (CONNECTION_TYPE["connection-type"], CONNECTION_TYPE["hook-name"]) == ("tallyfy", "Tallyfy")
    assert TallyfyHook().tallyfy_conn_id == TallyfyHook.default_conn_name == "tallyfy_default"


@pytest.mark.parametrize("kind", ["hooks", "operators", "sensors", "triggers"])
def test_the_modules_it_names_exist(kind):
    for entry in INFO[kind]:
        for module in entry["python-modules"]:
            assert import_module(module)


def test_the_links_it_names_exist():
    for path in INFO["extra-links"]:
        module, _, name = path.rpartition(".")
        assert getattr(import_module(module), name)().name


def test_the_notifiers_it_names_exist_under_that_name():
    for path in INFO["notifications"]:
        module, _, name = path.rpartition(".")
        notifier = getattr(import_module(module), name)
        assert f"{notifier.__module__}.{notifier.__qualname__}" == path


def test_the_commands_it_names_exist_in_one_group():
    [path] = INFO["cli"]
    module, _, name = path.rpartition(".")
    [group] = getattr(import_module(module), name)()
    assert group.name == "tallyfy"


def test_the_form_has_the_fields_that_a_connection_may_have_each_with_label_and_help():
    fields = CONNECTION_TYPE["conn-fields"]
    assert set(fields) == set(EXTRAS)
    assert all(field["label"] and field["description"] for field in fields.values())
    assert all("null" in field["schema"]["type"] for field in fields.values()), "a field without null is required"


def test_the_standard_fields_say_what_belongs_into_them():
    behavior = CONNECTION_TYPE["ui-field-behaviour"]
    assert behavior["relabeling"]["host"] == "API base URL"
    assert behavior["placeholders"]["host"] == "https://go.tallyfy.com/api"
    assert "password" in behavior["relabeling"]
    assert behavior["hidden-fields"] == ["schema"]  # the Test button of Airflow 3.3 refuses connections without a port


def test_the_python_form_of_older_airflow_agrees_with_the_metadata():
    behavior = TallyfyHook.get_ui_field_behaviour()
    assert behavior == {key.replace("-", "_"): value for key, value in CONNECTION_TYPE["ui-field-behaviour"].items()}


def test_the_python_form_of_older_airflow_has_the_same_fields():
    pytest.importorskip("flask_appbuilder", reason="Airflow 2.11 and the FAB provider bring forms")
    kinds = {"boolean": "BooleanField", "integer": "IntegerField"}
    widgets = TallyfyHook.get_connection_form_widgets()
    assert {name: (widget.kwargs["label"], widget.field_class.__name__) for name, widget in widgets.items()} == {
        name: (field["label"], kinds.get(field["schema"]["type"][0], "StringField"))
        for name, field in CONNECTION_TYPE["conn-fields"].items()
    }
