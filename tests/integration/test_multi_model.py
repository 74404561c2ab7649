"""A multi-model endpoint of SageMaker: the platform loads, calls and unloads models on a real server."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import fairway as fw
from fairway.testing import Answer, RunningServer, running_server

from .conftest import iris_model, iris_table, wait_until

JSON = {"content-type": "application/json"}
ROW = b"6.0,2.9,4.5,1.5\n"
OPAQUE = "3B0C_55e1"  # no name that a model could have here


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a folder as the platform fills it, beside the home that has packed what is in it."""
    pytest.importorskip("sklearn")
    folder = tmp_path_factory.mktemp("multi")
    packed = folder / "iris.fairway"
    fw.pack(iris_model(), packed, name="iris", example=iris_table(), home=folder / "home")
    for name in ("first", "second", OPAQUE):
        place = folder / "models" / name / "model"
        place.mkdir(parents=True)
        shutil.copy(packed, place)
    (folder / "models" / "empty" / "model").mkdir(parents=True)
    damaged = folder / "models" / "damaged" / "model"
    damaged.mkdir(parents=True)
    (damaged / "iris.fairway").write_bytes(packed.read_bytes()[:-2000])
    (folder / "models" / "linked").mkdir()
    (folder / "models" / "linked" / "model").symlink_to(folder / "models" / "first" / "model")
    return folder


@pytest.fixture(scope="module")
def endpoint(models: Path) -> Iterator[RunningServer]:
    """Give a multi-model endpoint that may hold two models."""
    environ = {
        "SAGEMAKER_MULTI_MODEL": "true",
        "FAIRWAY_PLATFORMS_SAGEMAKER_MODELS": str(models / "models"),
        "FAIRWAY_SERVER_MAX_LOADED": "2",
    }
    with running_server(home=models / "home", environ=environ) as started:
        yield started


@pytest.fixture
def server(endpoint: RunningServer) -> Iterator[RunningServer]:
    """Give the endpoint without any model, and leave it so."""
    yield endpoint
    for model in endpoint.ask("/models").json()["models"]:
        endpoint.ask(f"/models/{model['modelName']}", method="DELETE")


def load(server: RunningServer, models: Path, name: str, url: str = "") -> Answer:
    url = url or str(models / "models" / name / "model")
    return server.ask("/models", {"model_name": name, "url": url}, headers=JSON)


def invoke(server: RunningServer, name: str) -> Answer:
    return server.ask(f"/models/{name}/invoke", ROW, headers={"content-type": "text/csv"})


def code_of(answer: Answer) -> tuple[int, str]:
    return answer.status, answer.json()["problem"]["code"]


def test_a_model_comes_answers_and_goes(server: RunningServer, models: Path) -> None:
    """The whole life; an endpoint without any model is healthy."""
    assert server.ask("/ping").status == 200
    assert server.ask("/models").json() == {"models": []}
    assert code_of(invoke(server, "first")) == (404, "model_not_found")
    assert invoke(server, "first").json()["type"] == "ModelNotFoundException"

    assert load(server, models, "first").status == 200
    assert invoke(server, "first").json() == {"predictions": [{"prediction": 1}]}
    described = {"modelName": "first", "modelUrl": str(models / "models" / "first" / "model")}
    assert server.ask("/models").json() == {"models": [described]}
    assert server.ask("/models/first").json() == described
    assert server.ask("/models/first", headers={"accept": "text/html"}).json() == described

    assert server.ask("/models/first", method="DELETE").status == 200
    assert code_of(invoke(server, "first")) == (404, "model_not_found")
    assert code_of(server.ask("/models/first")) == (404, "model_not_found")
    assert code_of(server.ask("/models/first", method="DELETE")) == (404, "model_not_found")
    loaded = wait_until(lambda: "fairway_models_loaded 0" in server.ask("/metrics").body.decode() or None)
    assert loaded


def test_the_platform_is_told_when_a_model_is_loaded_or_there_is_no_room(
    server: RunningServer, models: Path
) -> None:
    """409 and 507, upon which it unloads another one; a name that is none here serves all the same."""
    assert load(server, models, "first").status == 200
    assert code_of(load(server, models, "first")) == (409, "conflict")
    assert load(server, models, OPAQUE).status == 200
    assert invoke(server, OPAQUE).json() == {"predictions": [{"prediction": 1}]}
    full = load(server, models, "second")
    assert code_of(full) == (507, "memory_full")
    assert full.json()["type"] == "InsufficientStorageException"
    assert server.ask("/models/first", method="DELETE").status == 200
    assert load(server, models, "second").status == 200
    assert invoke(server, "second").status == 200


@pytest.mark.parametrize(
    ("name", "url", "status"),
    [
        ("first", "/etc", 400),
        ("first", "{models}/second/model", 400),
        ("first", "{models}/first/model/../../second/model", 400),
        ("../home", "{models}/../home/model", 400),
        ("..", "{models}/../model", 400),
        ("", "{models}//model", 400),
        ("a\0b", "{models}/a\0b/model", 400),
        ("first", "s3://bucket/first", 400),
        ("first", "file://{models}/first/model", 400),
        ("linked", "", 400),
        ("nowhere", "", 422),
        ("empty", "", 422),
        ("damaged", "", 422),
    ],
)
def test_nothing_outside_of_the_folder_is_opened_and_no_damaged_model_served(
    server: RunningServer, models: Path, name: str, url: str, status: int
) -> None:
    """Paths that lead elsewhere, links, folders without a model, a model that is cut off."""
    answer = load(server, models, name, url.replace("{models}", str(models / "models")))
    assert answer.status == status, answer.body
    assert server.ask("/models").json() == {"models": []}
    assert server.ask("/ping").status == 200


@pytest.mark.parametrize(
    "body", [b"", b"{}", b"[]", b'{"model_name":1,"url":"x"}', b"\xff", b" " * 20_000, b"[" * 9000]
)
def test_a_request_that_names_no_model_is_refused(server: RunningServer, body: bytes) -> None:
    """Bodies of other forms."""
    assert code_of(server.ask("/models", body, headers=JSON))[0] == 400


def test_without_the_setting_the_routes_are_native(models: Path) -> None:
    """Nobody loads a model by a path where that was not asked for."""
    with running_server(models / "iris.fairway", home=models / "home") as server:
        assert server.ask("/models").json()["models"][0]["name"] == "iris"
        assert load(server, models, "first").status == 405
        assert server.ask("/models/iris", method="DELETE").status == 405
        assert invoke(server, "iris").status == 404


@pytest.mark.parametrize(
    ("names", "environ"), [(["iris.fairway"], {}), ([], {"FAIRWAY_SERVER_WORKERS": "2"})]
)
def test_settings_that_contradict_each_other_stop_the_start(
    models: Path, names: list[str], environ: dict[str, Any]
) -> None:
    """Models that are named, and several processes."""
    references = [models / name for name in names]
    with (
        pytest.raises(TimeoutError, match="multi-model"),
        running_server(*references, home=models / "home", environ={"SAGEMAKER_MULTI_MODEL": "1"} | environ),
    ):
        pass


def test_many_models_are_listed_in_pages(models: Path) -> None:
    """A page holds a hundred; the token leads to the next."""
    import asyncio

    from fairway.server.multi_model import PAGE, MultiModel

    nothing: Any = None
    endpoint = MultiModel(nothing, nothing, folder=models, protocol=nothing)
    endpoint._urls = {f"m{n}": f"/m{n}" for n in range(PAGE + 1)}

    def page(token: str) -> dict[str, Any]:
        from starlette.requests import Request

        scope = {"type": "http", "query_string": f"next_page_token={token}".encode(), "headers": []}
        return asyncio.run(endpoint._list(Request(scope)))

    first = page("")
    assert (len(first["models"]), first["nextPageToken"]) == (PAGE, str(PAGE))
    assert page(first["nextPageToken"]) == {"models": [{"modelName": f"m{PAGE}", "modelUrl": f"/m{PAGE}"}]}
    assert page("-1") == page("x") == first
    assert json.dumps(page("999999999")) == '{"models": []}'
