"""A name works where an id does, if it is unambiguous; each list is read once, and only if there are names."""

from __future__ import annotations

import asyncio
from collections import Counter

import pytest

from airflow_provider_tallyfy.api import flows
from airflow_provider_tallyfy.api.errors import TallyfyPermissionError, TallyfyValidationError
from airflow_provider_tallyfy.hooks.tallyfy import TallyfyHook
from airflow_provider_tallyfy.hooks.tallyfy_async import TallyfyAsyncHook

ID = "0123456789ABCDEF0123456789abcdef"


@pytest.fixture
def hook(tallyfy):
    with TallyfyHook() as hook:
        yield hook


def requested(tallyfy) -> Counter[str]:
    return Counter(request.path.rpartition("/")[2] for request in tallyfy.requests)


@pytest.mark.usefixtures("worlds")
def test_names_become_ids_with_one_list_for_each_kind(tallyfy, hook):
    template, tag = tallyfy.add_template("Customer onboarding")["id"], tallyfy.add_tag("Audit")["id"]
    ann, bob = tallyfy.add_user("ann@x.example", "Ann Lee"), tallyfy.add_user("bob@x.example", "Bob Ray")
    group, folder = tallyfy.add_group("Finance")["id"], tallyfy.add_folder("2026")["id"]
    inner = tallyfy.add_folder("Q1", parent_id=folder)["id"]
    tallyfy.add_folder("Q1", folder_type="checklist")

    resolved = hook.with_ids(
        {
            "template_id": "customer  ONBOARDING",
            "tags": "Audit, " + ID,
            "folder": "2026",
            "folders": ["Q1"],
            "groups": ["Finance"],
            "users": ["ann@x.example", 7],
            "owners": {"users": ["Bob Ray"], "guests": ["ann@x.example"], "groups": "['Finance']"},
            "owner_id": "ANN@x.example",
            "tasks": {"step": {"deadline": "2026-01-01", "owners": {"users": ["bob@x.example"]}}},
            "roles": {ID: {"groups": ["Finance"]}},
            "query": "Audit",
            "kickoff": {"users": ["Ann Lee"]},
        }
    )

    ann_id, bob_id = str(ann["id"]), str(bob["id"])
    assert resolved == {
        "template_id": template,
        "tags": [tag, ID],
        "folder": folder,
        "folders": [inner],
        "groups": [group],
        "users": [ann_id, "7"],
        "owners": {"users": [bob_id], "guests": ["ann@x.example"], "groups": [group]},
        "owner_id": ann_id,
        "tasks": {"step": {"deadline": "2026-01-01", "owners": {"users": [bob_id]}}},
        "roles": {ID: {"groups": [group]}},
        "query": "Audit",
        "kickoff": {"users": ["Ann Lee"]},
    }
    assert requested(tallyfy) == {"checklists": 1, "tags": 1, "folders": 1, "users": 1, "groups": 1}


def test_ids_and_what_is_not_given_ask_tallyfy_for_nothing(tallyfy, hook):
    given = {"template_id": ID, "tags": [ID], "owners": "7, 8", "folder": None, "groups": [], "tag_id": "None"}
    assert hook.with_ids(given) == given | {"owners": ["7", "8"]}
    assert not tallyfy.requests


def test_what_has_the_shape_of_an_id_is_an_id_even_if_something_is_called_so(tallyfy, hook):
    tallyfy.add_tag(ID)
    tallyfy.add_user("ann@x.example", "1234")
    assert hook.with_ids({"tags": [ID], "owners": ["1234"]}) == {"tags": [ID], "owners": ["1234"]}
    assert not tallyfy.requests


@pytest.mark.usefixtures("worlds")
def test_all_unknown_and_ambiguous_names_are_told_at_once_with_the_nearest(tallyfy, hook):
    tallyfy.add_template("Customer onboarding")
    twins = [tallyfy.add_tag("Audit")["id"], tallyfy.add_tag("Audit")["id"]]
    tallyfy.add_user("ann@x.example")

    with pytest.raises(TallyfyValidationError) as refused:
        hook.with_ids(
            {"template_id": "Customer onbording", "tags": ["Audit"], "owners": ["amn@x.example"], "folder": "zzz"}
        )

    assert str(refused.value) == (
        "template_id='Customer onbording' names none of the templates.\nDid you mean 'Customer onboarding'?\n"
        f"tags='Audit' stands for 2 tags.\nUse one of the ids {twins[0]}, {twins[1]}.\n"
        "owners='amn@x.example' names none of the users.\nDid you mean 'ann@x.example'?\n"
        "folder='zzz' names none of the folders.\nTallyfyHook.list_folders() gives those that there are.\n"
        "Nothing was changed."
    )


def test_an_exact_name_wins_over_the_same_in_other_letters(tallyfy, hook):
    upper, lower = tallyfy.add_tag("VIP")["id"], tallyfy.add_tag("vip")["id"]
    assert hook.with_ids({"tags": ["VIP", "vip"]}) == {"tags": [upper, lower]}
    with pytest.raises(TallyfyValidationError, match="tags='Vip' stands for 2 tags"):
        hook.with_ids({"tags": ["Vip"]})


def test_the_hook_keeps_its_lists_and_reads_one_again_for_a_name_that_it_lacks(tallyfy, hook):
    audit = tallyfy.add_tag("Audit")["id"]
    assert [hook.with_ids({"tags": ["Audit"]})["tags"] for _ in range(3)] == [[audit]] * 3
    assert requested(tallyfy) == {"tags": 1}
    new = tallyfy.add_tag("New")["id"]
    assert hook.with_ids({"tags": ["New", "Audit"]}) == {"tags": [new, audit]}
    assert requested(tallyfy) == {"tags": 2}


def test_an_archived_template_has_no_name(tallyfy, hook):
    tallyfy.add_template("Old", archived=True)
    with pytest.raises(TallyfyValidationError, match="template_id='Old' names none of the templates"):
        hook.with_ids({"template_id": "Old"})


def test_a_list_that_the_token_may_not_see_is_told(tallyfy, hook):
    tallyfy.faults.add(path="/users", status=403, body={"message": "This action is unauthorized."})
    with pytest.raises(TallyfyPermissionError, match="Could not list users"):
        hook.with_ids({"owners": ["ann@x.example"]})


def test_the_asynchronous_driver_resolves_the_same(tallyfy):
    tag = tallyfy.add_tag("Audit")["id"]

    async def resolve() -> dict[str, list[str]]:
        async with await TallyfyAsyncHook.connect("tallyfy_default") as hook:
            return await hook.execute(flows.resolve_names(hook.organization_id(None), {"tags": "Audit"}, {}))

    assert asyncio.run(resolve()) == {"tags": [tag]}


@pytest.mark.usefixtures("worlds")
def test_users_groups_and_folders_are_listed_as_plain_dicts(tallyfy, hook):
    ann = tallyfy.add_user("ann@x.example", "Ann Lee")["id"]
    group, folder = tallyfy.add_group("Finance")["id"], tallyfy.add_folder("2026")["id"]
    inner = tallyfy.add_folder("Q1", parent_id=folder)["id"]
    assert {"id": ann, "name": "Ann Lee", "email": "ann@x.example"} in hook.list_users()
    assert [user["id"] for user in hook.list_users(query="ann@")] == [ann]
    assert hook.list_users(query="ann@", raw=True)[0]["raw"]["role"] == "standard"
    assert hook.list_groups() == [{"id": group, "name": "Finance"}]
    assert hook.list_folders() == [{"id": folder, "name": "2026"}, {"id": inner, "name": "Q1"}]
