"""The OpenAPI document and its page say what the contract says."""

from __future__ import annotations

import json
from html.parser import HTMLParser
from typing import Any

import pytest
from labelmesh_gateway import openapi, reference
from labelmesh_gateway.contract import contract_files, services_of
from labelmesh_gateway.refusals import REFUSALS
from openapi_spec_validator import validate


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    return openapi.document()


def operations(document: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {operation["operationId"]: operation for verbs in document["paths"].values() for operation in verbs.values()}


def body_of(document: dict[str, Any], name: str) -> dict[str, Any]:
    schema: dict[str, Any] = operations(document)[name]["requestBody"]["content"]["application/json"]["schema"]
    return schema


def test_the_document_is_valid(document: dict[str, Any]) -> None:
    validate(document)
    json.dumps(document)


def test_every_method_with_a_json_path_is_told_with_its_comment(document: dict[str, Any]) -> None:
    told = operations(document)
    for service in services_of(contract_files()):
        for method in service.methods:
            name = f"{service.name.rpartition('.')[2]}_{method.name}"
            assert (name in told) is bool(method.rules)
            if method.rules:
                assert method.comment in told[name]["description"]


def test_a_method_with_two_paths_is_told_at_both(document: dict[str, Any]) -> None:
    ids = [document["paths"][path]["post"]["operationId"] for path in ("/predict", "/inference/predict")]
    assert ids == ["ClassicService_ClassicPredict", "ClassicService_ClassicPredict_2"]
    image = document["components"]["schemas"]["labelmesh.inference.v1.ClassicPredictRequest"]["properties"]["image"]
    assert image["items"] == {"type": "array", "items": {}}


def test_what_only_the_model_server_speaks_is_not_told(document: dict[str, Any]) -> None:
    assert "tfserving" not in json.dumps(document)
    assert "tfserving" not in json.dumps(reference.page(document))


def test_only_open_methods_need_no_session_and_only_scoped_ones_take_keys(document: dict[str, Any]) -> None:
    told = operations(document)
    assert told["SessionService_SignIn"]["security"] == []
    assert {"key": []} in told["ProjectService_ListProjects"]["security"]
    assert told["UserService_CreateUser"]["security"] == [{"session": []}, {"cookie": []}]


def test_limits_of_the_contract_are_limits_of_the_schema(document: dict[str, Any]) -> None:
    schemas = document["components"]["schemas"]
    user = schemas["labelmesh.auth.v1.CreateUserRequest"]
    assert user["properties"]["name"] == {"type": "string", "minLength": 1, "maxLength": 64, "pattern": "^[A-Za-z0-9._@+-]+$"}
    assert set(user["required"]) == {"requestId", "name", "password", "role"}
    assert user["properties"]["projectIds"]["maxItems"] == 400
    assert user["properties"]["projectIds"]["items"]["format"] == "uuid"
    image = schemas["labelmesh.labeling.v1.NewImage"]["properties"]["content"]
    assert (image["format"], image["maxLength"]) == ("byte", 22369624)
    rate = schemas["labelmesh.labeling.v1.CreateProjectRequest"]["properties"]["repeatRate"]
    assert (rate["minimum"], rate["maximum"]) == (0, 0.5)


def test_values_are_typed_as_the_json_mapping_writes_them(document: dict[str, Any]) -> None:
    project = document["components"]["schemas"]["labelmesh.labeling.v1.Project"]["properties"]
    assert project["imagesCount"] == {"type": "string", "format": "int64", "pattern": r"^-?\d+$"}
    assert project["createTime"]["format"] == "date-time"
    assert project["leaseDuration"]["type"] == "string"
    assert project["state"] == {"$ref": "#/components/schemas/labelmesh.labeling.v1.ProjectState"}
    event = document["components"]["schemas"]["labelmesh.auth.v1.AuditEvent"]["properties"]["details"]
    assert event["additionalProperties"] == {"type": "string"}


def test_fields_of_the_path_are_parameters_and_not_part_of_the_body(document: dict[str, Any]) -> None:
    operation = operations(document)["AnnotationService_SkipImage"]
    assert [(each["name"], each["in"]) for each in operation["parameters"]] == [("projectId", "path"), ("leaseId", "path")]
    assert not {"projectId", "leaseId"} & set(body_of(document, "AnnotationService_SkipImage")["properties"])


def test_fields_of_a_read_are_query_parameters(document: dict[str, Any]) -> None:
    parameters = {each["name"]: each for each in operations(document)["AnnotationService_ListAnnotations"]["parameters"]}
    assert parameters["pageSize"]["in"] == "query"
    assert parameters["imageId"]["required"] is False


def test_what_may_be_given_once_says_so(document: dict[str, Any]) -> None:
    assert "At most one of lease, nothing." in document["components"]["schemas"]["labelmesh.labeling.v1.Next"]["description"]


class Seen(HTMLParser):
    """Collects what the page's policy would forbid, and the places that links point to."""

    def __init__(self) -> None:
        super().__init__()
        self.ids: list[str] = []
        self.targets: set[str] = set()
        self.forbidden: list[str] = []
        self._in_script = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.ids += [given["id"] or ""] if "id" in given else []
        self.forbidden += [name for name in given if name == "style" or name.startswith("on")]
        for name in ("src", "href"):
            value = given.get(name) or "/"
            if value.startswith("#"):
                self.targets.add(value[1:])
            elif not value.startswith("/") and value != "data:,":
                self.forbidden.append(value)
        self._in_script = tag in ("script", "style")

    def handle_data(self, data: str) -> None:
        if self._in_script and data.strip():
            self.forbidden.append(data)

    def handle_endtag(self, tag: str) -> None:
        self._in_script = False


def test_the_page_keeps_to_its_policy_and_its_links_lead_somewhere(document: dict[str, Any]) -> None:
    page = reference.page(document)
    assert set(page) == {"index.html", "reference.css", "reference.js"}
    seen = Seen()
    seen.feed(page["index.html"])
    assert seen.forbidden == []
    assert len(seen.ids) == len(set(seen.ids))
    assert seen.targets <= set(seen.ids)


def test_comments_cannot_bring_markup_into_the_page() -> None:
    assert reference.prose("<script>alert(1)</script> `<b>`") == "<p>&lt;script&gt;alert(1)&lt;/script&gt; <code>&lt;b&gt;</code></p>"


@pytest.mark.parametrize("refusal", REFUSALS, ids=lambda refusal: refusal.reason)
def test_refusals_of_the_edge_can_stand_in_a_format_string(refusal: Any) -> None:
    assert "%" not in refusal.encoded_json
    assert json.loads(refusal.encoded_json)["details"][0]["reason"] == refusal.reason
