"""What a server has in memory: swaps between two requests, and never a version that failed."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from fairway.bundle.bundle import Bundle
from fairway.bundle.names import Reference
from fairway.errors import (
    AliasNotFound,
    ArtifactDigest,
    FairwayError,
    InternalError,
    ModelNotFound,
    ModelNotReady,
    NameInvalid,
    StoreUnavailable,
    UsageError,
    VersionNotFound,
)
from fairway.inference import pool as pool_module
from fairway.inference.loaded import LoadedModel, load_model
from fairway.inference.pool import MAX_EXTRA, MAX_KNOWN, Pool
from fairway.inference.sources import BundleSource, Entry, Look, Refusal, RegistrySource
from fairway.messages import Call, Target
from fairway.registry.registry import Registry, open_registry

Make = Callable[..., Any]


class Shelf:
    """A source in memory: models, their versions and aliases, all of which a test may change."""

    def __init__(self, bundle: Bundle) -> None:
        self.versions: dict[str, int] = {"coffee": 1}
        self.moved: dict[str, int] = {}
        self.broken: set[int] = set()
        self.is_down = self.is_read_only = False
        self.refusals: list[Refusal] = []
        self.attached = ""
        self.gone: set[int] = set()
        self.open_fails: FairwayError | None = None
        self.changes = 0
        self.closed = 0
        self._bundle = bundle

    def change(self, **versions: int) -> None:
        """Move references; `coffee_production` stands for `coffee@production`."""
        for name, version in versions.items():
            model, _, alias = name.partition("_")
            if alias:
                self.moved[f"{model}@{alias}"] = version
            else:
                self.versions[model] = version
        self.changes += 1

    def look(self, names: Sequence[Reference]) -> Look:
        found: dict[str, Entry | FairwayError] = {}
        wanted = list(names) or [Reference(model) for model in self.versions]
        for name in wanted:
            is_bare = name.version is None and name.alias is None
            aliases = [t.partition("@")[2] for t in self.moved if is_bare and t.startswith(f"{name.model}@")]
            for reference in (name, *(Reference(name.model, alias=alias) for alias in aliases)):
                try:
                    found[str(reference)] = self.resolve(reference)
                except (ModelNotFound, AliasNotFound, VersionNotFound) as error:
                    found[str(reference)] = error
        return Look(tuple(map(str, wanted)), found)

    def refuse(self, refusal: Refusal) -> None:
        if self.is_read_only:
            raise StoreUnavailable("the shelf cannot be written to")
        self.refusals.append(refusal)

    def resolve(self, reference: Reference) -> Entry:
        if self.is_down:
            raise StoreUnavailable("the shelf is away")
        if reference.model not in self.versions:
            raise ModelNotFound(reference.model)
        version = reference.version
        if reference.alias is not None:
            version = self.moved.get(str(reference))
            if version is None:
                raise AliasNotFound(reference.model, reference.alias)
        if version is None:
            version = self.moved.get(f"{reference.model}@production", self.versions[reference.model])
        if not 0 < version <= 99 or version in self.gone:
            raise VersionNotFound(reference.model, version)
        return Entry(reference.model, version, f"digest-{version}", self.attached)

    def open(self, entry: Entry) -> Bundle:
        if self.open_fails is not None:
            raise self.open_fails
        if entry.version in self.broken:
            raise ArtifactDigest("model.bin differs from what was packed")
        return self._bundle

    def token(self) -> object:
        if self.is_down:
            raise StoreUnavailable("the shelf is away")
        return self.changes

    def close(self) -> None:
        self.closed += 1


class Loader:
    """Loads a scripted model, and counts."""

    def __init__(self, scripted: Make) -> None:
        self.loaded: list[int] = []
        self.fail: BaseException | None = None
        self.holds: dict[int, threading.Event] = {}
        self.watch: Callable[[], Any] | None = None
        self.watched: list[Any] = []
        self._scripted = scripted

    def __call__(self, entry: Entry, _: Bundle) -> LoadedModel:
        if self.fail is not None:
            raise self.fail
        if entry.version in self.holds:
            assert self.holds[entry.version].wait(10)
        if self.watch is not None:
            self.watched.append(self.watch())
        self.loaded.append(entry.version)
        model: LoadedModel = self._scripted(lambda columns: [float(entry.version)] * len(columns))
        model.name, model.version = entry.model, entry.version
        model.reference = f"{entry.model}:{entry.version}"
        return model


class World:
    """A pool with a source, a loader and a log."""

    def __init__(self, scripted: Make, *names: str, **options: Any) -> None:
        self.shelf = Shelf(Bundle(None, lambda _: b""))  # type: ignore[arg-type]  # never opened
        self.load = Loader(scripted)
        self.events: list[tuple[str, dict[str, Any]]] = []
        self.pool = Pool(self.shelf, self.load, names=names, notify=self.notify, **options)

    def notify(self, event: str, **fields: Any) -> None:
        self.events.append((event, fields))

    def named(self, event: str) -> list[dict[str, Any]]:
        """Return the fields of every event of one name."""
        return [fields for name, fields in self.events if name == event]

    async def choose(self, reference: str = "") -> str:
        """Return the reference of the version that answers a call."""
        call = Call("POST", "/predict", "", lambda _: "", b"")
        return (await self.pool.choose(Target(call, reference))).reference

    def ask(self, reference: str = "") -> str:
        """Choose in a loop of its own."""
        return asyncio.run(self.choose(reference))

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait, with a deadline."""
        end = asyncio.get_running_loop().time() + 10
        while not condition():
            assert asyncio.get_running_loop().time() < end, "it did not happen in time"
            await asyncio.sleep(0.002)

    @contextlib.asynccontextmanager
    async def watching(self) -> Any:
        """Follow the source for the time of a block."""
        task = asyncio.create_task(self.pool.watch(0.002))
        try:
            yield
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task


@pytest.fixture
def world(scripted: Make) -> Make:
    """Give a function that makes a loaded world."""

    def make(
        *names: str, load: bool = True, options: Mapping[str, Any] | None = None, **versions: int
    ) -> World:
        made = World(scripted, *names, **(options or {}))
        made.shelf.change(**versions)
        if load:
            made.pool.load_all()
        return made

    return make


# -- what is served --


def test_every_model_of_the_source_is_served_by_default(world: Make) -> None:
    """By its name and by each alias; the first is the default."""
    here = world(coffee=2, tea=1, coffee_production=1, coffee_challenger=2)
    assert here.ask() == "coffee:1"
    assert here.ask("coffee") == "coffee:1"
    assert here.ask("coffee@challenger") == "coffee:2"
    assert here.ask("tea") == "tea:1"
    assert here.pool.served_models() == ["coffee", "tea"]
    assert [model.reference for model in here.pool.served()] == ["coffee:1", "tea:1"]
    assert here.pool.aliases("coffee") == {"production": 1, "challenger": 2}
    assert sorted(here.load.loaded) == [1, 1, 2]


def test_named_models_alone_are_served(world: Make) -> None:
    """Whoever asks for another is told what is served here."""
    here = world("tea", coffee=2, tea=1)
    assert here.ask() == "tea:1"
    with pytest.raises(ModelNotFound, match="there is no model 'coffee'") as caught:
        here.ask("coffee")
    assert caught.value.hint == "served here: tea"
    with pytest.raises(ModelNotFound):
        here.ask("coffee:1")


@pytest.mark.parametrize("name", ["coffee:1", "coffee@challenger"])
def test_a_model_served_by_one_version_answers_to_its_bare_name(world: Make, name: str) -> None:
    """There is only this one that could be meant."""
    here = world(name, coffee=2, coffee_challenger=1)
    assert here.ask() == here.ask("coffee") == here.ask(name) == "coffee:1"


def test_a_name_outside_the_grammar_is_refused(world: Make) -> None:
    """Before anything looks it up."""
    with pytest.raises(NameInvalid):
        world("../coffee", load=False)
    with pytest.raises(NameInvalid):
        world().ask("../coffee")


def test_what_was_not_loaded_is_not_ready(world: Make) -> None:
    """An empty source, or one that was not asked yet."""
    here = world(load=False)
    assert not here.pool.is_ready()
    with pytest.raises(ModelNotReady, match="no model is ready to answer"):
        here.ask()
    here.shelf.versions.clear()
    here.pool.load_all()
    assert not here.pool.is_ready()
    assert here.pool.status() == {}


def test_what_cannot_be_loaded_at_the_start_stops_it(world: Make) -> None:
    """The first error is raised to whoever starts the server, and not logged besides."""
    here = world(load=False)
    here.shelf.broken = {1}
    with pytest.raises(ArtifactDigest):
        here.pool.load_all()
    assert here.named("model.failed") == []
    with pytest.raises(ModelNotFound):
        world("milk")
    here = world(load=False)
    here.load.fail = ZeroDivisionError("a fault of ours")
    with pytest.raises(InternalError) as caught:
        here.pool.load_all()
    assert isinstance(caught.value.__cause__, ZeroDivisionError)


# -- moves --


def test_a_moved_alias_is_served_soon(world: Make) -> None:
    """The new version is loaded first; the old one goes; the log tells."""
    here = world(coffee=2, coffee_production=1)

    async def run() -> None:
        async with here.watching():
            here.shelf.change(coffee_production=2)
            await here.until(lambda: here.named("model.swapped") != [])
            assert await here.choose() == "coffee:2"
            assert await here.choose("coffee@production") == "coffee:2"
            here.shelf.change(coffee_production=1)
            await here.until(lambda: here.pool.served()[0].version == 1)

    asyncio.run(run())
    assert {"reference": "coffee", "before": 1, "now": 2} in here.named("model.swapped")
    assert here.load.loaded == [1, 2, 1]
    assert here.pool.loaded() == 1


def test_a_version_that_fails_never_serves(world: Make) -> None:
    """The one before goes on; health says so; when it is whole again it is taken."""
    here = world(coffee=1)

    async def run() -> None:
        async with here.watching():
            here.shelf.broken = {2}
            here.shelf.change(coffee=2)
            await here.until(lambda: here.named("model.failed") != [])
            assert await here.choose("coffee") == "coffee:1"
            assert here.pool.is_ready()
            assert here.pool.status() == {
                "coffee": {
                    "status": "degraded",
                    "version": 1,
                    "code": "artifact_digest",
                    "reason": "coffee:2 is refused: The file is not the one that was packed",
                }
            }
            here.shelf.broken = set()
            here.shelf.change(coffee=1)
            await here.until(lambda: here.pool.status()["coffee"]["status"] == "ready")
            here.shelf.change(coffee=2)  # somebody wants it again: no need to wait
            await here.until(lambda: here.pool.served()[0].version == 2)

    asyncio.run(run())
    assert here.pool.status() == {"coffee": {"status": "ready", "version": 2}}
    (failure,) = here.named("model.failed")
    assert (failure["reference"], failure["code"]) == ("coffee", "artifact_digest")


def test_a_failure_is_tried_again_by_itself(world: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """A busy database or a disk may be well a moment later, without anybody moving anything."""
    monkeypatch.setattr(pool_module, "RETRY_S", 0.05)
    here = world(coffee=1)

    async def run() -> None:
        async with here.watching():
            here.shelf.broken = {2}
            here.shelf.change(coffee=2)
            await here.until(lambda: here.named("model.failed") != [])
            here.shelf.broken = set()
            await here.until(lambda: here.pool.served()[0].version == 2)

    asyncio.run(run())


def test_a_new_alias_that_fails_is_seen_in_the_status(world: Make) -> None:
    """Nothing required is missing, and still something is wrong."""
    here = world(coffee=1)

    async def run() -> None:
        async with here.watching():
            here.shelf.broken = {2}
            here.shelf.change(coffee_challenger=2)
            await here.until(lambda: here.named("model.failed") != [])

    asyncio.run(run())
    assert here.pool.is_ready()
    assert here.pool.status()["coffee@challenger"]["status"] == "failed"
    assert here.pool.status()["coffee"] == {"status": "ready", "version": 1}


def test_a_source_that_is_away_stops_nothing(world: Make) -> None:
    """What is in memory serves on; when the source is back it is followed again."""
    here = world(coffee=1)

    async def run() -> None:
        async with here.watching():
            here.shelf.is_down = True
            await here.until(lambda: here.named("registry.failed") != [])
            assert await here.choose("coffee") == "coffee:1"
            here.shelf.is_down = False
            here.shelf.change(coffee=2)
            await here.until(lambda: here.pool.served()[0].version == 2)

    asyncio.run(run())
    assert len(here.named("registry.failed")) <= 3


def test_a_model_that_appears_is_served_when_all_are(world: Make) -> None:
    """The first push to a running server."""
    here = world(coffee=1)

    async def run() -> None:
        async with here.watching():
            here.shelf.change(tea=1)
            await here.until(lambda: "tea" in here.pool.served_models())
            assert await here.choose("tea") == "tea:1"

    asyncio.run(run())


# -- versions that callers name --


def test_a_version_is_loaded_when_a_caller_names_it(world: Make) -> None:
    """Once; and what is served already is not loaded again."""
    here = world(coffee=3)
    assert here.ask("coffee:1") == "coffee:1"
    assert here.ask("coffee:1") == "coffee:1"
    assert here.ask("coffee:3") == "coffee:3"
    assert here.load.loaded == [3, 1]
    found = here.pool.get("coffee:1")
    assert found is not None
    assert found.reference == "coffee:1"
    assert here.pool.get("coffee:2") is None
    assert here.pool.get("coffee") is here.pool.served()[0]


def test_only_the_latest_of_them_stay(world: Make) -> None:
    """The one that was not asked for longest goes first."""
    here = world(coffee=99)
    for version in range(1, MAX_EXTRA + 1):
        here.ask(f"coffee:{version}")
    here.ask("coffee:1")
    here.ask("coffee:50")
    assert here.pool.get("coffee:1") is not None
    assert here.pool.get("coffee:2") is None
    assert here.pool.loaded() == MAX_EXTRA + 1
    here.load.loaded.clear()
    here.ask("coffee:2")
    assert here.load.loaded == [2]


def test_what_references_stand_for_is_kept_in_mind_within_limits(world: Make) -> None:
    """Whoever names very many of them costs no memory, and no time when something moves."""
    here = world(coffee=99)
    for version in range(1, MAX_KNOWN + 10):
        here.ask(f"coffee:{version}")
    assert len(here.pool._resolved) == MAX_KNOWN


def test_callers_who_name_it_at_once_load_it_once(world: Make) -> None:
    """The second waits for the first."""
    here = world(coffee=3)

    async def run() -> list[str]:
        return await asyncio.gather(*(here.choose("coffee:1") for _ in range(5)))

    assert asyncio.run(run()) == ["coffee:1"] * 5
    assert here.load.loaded == [3, 1]


def test_an_alias_that_is_not_watched_is_looked_up_each_time(world: Make) -> None:
    """A server of one version still answers for the others, and never with a stale one."""
    here = world("coffee:1", coffee=3, coffee_challenger=2)
    assert here.ask("coffee@challenger") == "coffee:2"
    here.shelf.change(coffee_challenger=3)
    assert here.ask("coffee@challenger") == "coffee:3"


@pytest.mark.parametrize(
    ("reference", "error"),
    [("coffee:100", VersionNotFound), ("coffee@gone", AliasNotFound), ("milk", ModelNotFound)],
)
def test_what_does_not_exist_is_said(world: Make, reference: str, error: type[FairwayError]) -> None:
    """With the error of the registry."""
    with pytest.raises(error):
        world(coffee=1).ask(reference)


def test_a_named_version_that_cannot_be_loaded_is_not_ready(world: Make) -> None:
    """Why is for the log; it is not tried again with every call."""
    here = world(coffee=2)
    here.shelf.broken = {1}
    for _ in range(3):
        with pytest.raises(ModelNotReady, match="coffee:1 cannot be loaded") as caught:
            here.ask("coffee:1")
        assert caught.value.hint == "the server's log holds the cause"
    (failure,) = here.named("model.failed")
    assert failure["detail"] == "model.bin differs from what was packed"
    here.shelf.broken = set()
    here.pool._refused.clear()  # stands for the seconds after which it is tried again
    assert here.ask("coffee:1") == "coffee:1"


def test_a_named_version_that_is_deleted_is_forgotten(world: Make) -> None:
    """It is not there for the next caller, although it is in memory."""
    here = world(coffee=3)

    async def run() -> None:
        async with here.watching():
            assert await here.choose("coffee:1") == "coffee:1"
            assert await here.choose("coffee:2") == "coffee:2"
            here.shelf.gone = {1}
            here.shelf.change()
            await here.until(lambda: here.pool.get("coffee:1") is None)
            with pytest.raises(VersionNotFound):
                await here.choose("coffee:1")
            assert here.pool.get("coffee:2") is not None

    asyncio.run(run())


# -- refusals --


def test_a_refusal_is_put_on_record_once(world: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """However often it is tried, and again when somebody moves to it again."""
    monkeypatch.setattr(pool_module, "RETRY_S", 0.01)
    here = world(coffee=1, coffee_production=1)

    async def run() -> None:
        async with here.watching():
            here.shelf.broken = {2}
            here.shelf.change(coffee_production=2)
            await here.until(lambda: len(here.named("model.failed")) >= 6)  # of two references
            assert [(r.entry.version, r.alias, r.code) for r in here.shelf.refusals] == [
                (2, "production", "artifact_digest")
            ]
            here.shelf.change(coffee_production=1)
            await here.until(lambda: here.pool.status()["coffee"]["status"] == "ready")
            here.shelf.change(coffee_production=2)
            await here.until(lambda: len(here.shelf.refusals) == 2)

    asyncio.run(run())
    assert here.pool.tally()["refusals", "coffee", 2] >= 3


def test_one_worker_of_several_puts_it_on_record(world: Make) -> None:
    """The others refuse it as well, and keep silent."""
    here = world(coffee=1)
    here.pool.look_again(keeps_record=False)

    async def run() -> None:
        async with here.watching():
            here.shelf.broken = {2}
            here.shelf.change(coffee=2)
            await here.until(lambda: here.named("model.failed") != [])
            await here.until(lambda: not here.pool._tasks)

    asyncio.run(run())
    assert here.shelf.refusals == []


def test_a_history_that_cannot_be_written_costs_nothing(world: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """The log says so, and the next try says it again."""
    monkeypatch.setattr(pool_module, "RETRY_S", 0.01)
    here = world(coffee=1)
    here.shelf.is_read_only = True

    async def run() -> None:
        async with here.watching():
            here.shelf.broken = {2}
            here.shelf.change(coffee=2)
            await here.until(lambda: here.named("refusal.unrecorded") != [])
            assert await here.choose() == "coffee:1"
            here.shelf.is_read_only = False
            await here.until(lambda: len(here.shelf.refusals) == 1)

    asyncio.run(run())


def test_a_version_that_loads_too_slowly_is_refused(world: Make) -> None:
    """The live one goes on, others are loaded meanwhile; it is tried when it is pointed to again."""
    here = world(coffee=1, tea=1, options={"load_timeout_s": 0.1})
    here.load.holds[2] = threading.Event()

    async def run() -> None:
        async with here.watching():
            here.shelf.change(coffee=2, tea=3)
            await here.until(lambda: here.named("model.swapped") != [])
            assert await here.choose("tea") == "tea:3"
            await here.until(lambda: here.pool.status()["coffee"]["status"] == "degraded")
            assert await here.choose() == "coffee:1"
            assert here.pool.status()["coffee"]["code"] == "load_timeout"
            await here.until(lambda: here.shelf.refusals != [])
            here.load.holds[2].set()
            here.shelf.change(coffee=1)
            await here.until(lambda: here.pool.status()["coffee"]["status"] == "ready")
            here.shelf.change(coffee=2)
            await here.until(lambda: here.pool.served()[0].version == 2)

    asyncio.run(run())
    assert len([f for f in here.named("model.failed") if f["reference"] == "coffee"]) == 1


def test_code_that_ends_the_process_is_an_error_as_any(world: Make) -> None:
    """`sys.exit` in a model's own module refuses the version, and ends nothing."""
    here = world(coffee=1)

    async def run() -> None:
        async with here.watching():
            here.load.fail = SystemExit(3)
            here.shelf.change(coffee=2)
            await here.until(lambda: here.pool.status()["coffee"]["status"] == "degraded")
            assert await here.choose() == "coffee:1"

    asyncio.run(run())
    assert here.pool.status()["coffee"]["code"] == "internal_error"


def test_a_store_that_is_away_is_no_fault_of_the_version(
    world: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing goes on record, and it is tried again soon."""
    monkeypatch.setattr(pool_module, "_SOON_S", 0.01)
    here = world(coffee=1)

    async def run() -> None:
        async with here.watching():
            here.shelf.open_fails = StoreUnavailable("no files today")
            here.shelf.change(coffee=2)
            await here.until(lambda: len(here.named("model.failed")) > 1)
            assert here.pool.status()["coffee"]["code"] == "registry_unavailable"
            here.shelf.open_fails = None
            await here.until(lambda: here.pool.served()[0].version == 2)

    asyncio.run(run())
    assert here.shelf.refusals == []


def test_a_reference_that_stands_for_nothing_any_more_is_told(world: Make) -> None:
    """What answered last goes on."""
    here = world("coffee:1", coffee=2)

    async def run() -> None:
        async with here.watching():
            here.shelf.gone = {1}
            here.shelf.change()
            await here.until(lambda: here.named("model.failed") != [])
            assert await here.choose("coffee:1") == "coffee:1"

    asyncio.run(run())
    assert here.pool.status()["coffee:1"] == {
        "status": "degraded",
        "version": 1,
        "code": "version_not_found",
        "reason": "There is no such version",
    }


def test_a_forked_pool_begins_though_what_has_moved_is_broken(world: Make) -> None:
    """What the master had loaded answers."""
    here = world(coffee=1)
    here.shelf.broken = {2}
    here.shelf.change(coffee=2)
    here.pool.look_again()
    assert here.ask() == "coffee:1"
    assert here.pool.status()["coffee"]["status"] == "degraded"


def test_a_forked_pool_begins_though_what_has_moved_hangs(world: Make) -> None:
    """After the time that loading may take."""
    here = world(coffee=1, options={"load_timeout_s": 0.05})
    here.load.holds[2] = threading.Event()
    here.shelf.change(coffee=2)
    here.pool.look_again()
    here.load.holds[2].set()
    assert here.ask() == "coffee:1"
    assert here.pool.status()["coffee"]["code"] == "load_timeout"


def test_a_version_of_which_workers_have_died_is_not_loaded(world: Make) -> None:
    """One may have been killed for another reason; two make it the version's fault, which is told."""
    here = world(coffee=1)
    here.shelf.change(coffee=2)
    mark = Entry("coffee", 2, "digest-2").mark
    marks = [0.0, 0.0]
    here.load.watch = lambda: list(marks)
    here.pool.look_again(crashes={mark: 2}, marks=marks)
    assert here.ask() == "coffee:1"
    assert here.pool.status()["coffee"]["code"] == "load_crashed"

    async def run() -> None:
        async with here.watching():
            await here.until(lambda: here.shelf.refusals != [])

    asyncio.run(run())
    assert here.shelf.refusals[0].code == "load_crashed"

    here.pool.look_again(crashes={Entry("coffee", 3, "digest-3").mark: 1}, marks=marks)
    here.shelf.change(coffee=3)
    here.pool.look_again(crashes={Entry("coffee", 3, "digest-3").mark: 1}, marks=marks)
    assert here.ask() == "coffee:3"
    assert here.load.watched == [[float(Entry("coffee", 3, "digest-3").mark), 0.0]]
    assert marks == [0.0, 0.0]


# -- what is attached --


def test_what_is_attached_later_is_taken(world: Make) -> None:
    """The same version is loaded again beside itself."""
    here = world(coffee=1)

    async def run() -> None:
        async with here.watching():
            here.shelf.attached = "compiled=1"
            here.shelf.change()
            await here.until(lambda: here.named("model.swapped") != [])

    asyncio.run(run())
    assert here.load.loaded == [1, 1]
    assert here.pool.loaded() == 1


# -- more models than memory --


def crowded(world: Make, **options: Any) -> World:
    """Return a world of three models with room for two versions."""
    made: World = world(coffee=1, milk=2, tea=3, options={"max_loaded": 2, **options})
    return made


def test_what_there_is_no_room_for_is_loaded_when_it_is_asked_for(world: Make) -> None:
    """All are listed and ready; the one that was not asked for longest makes room."""
    here = crowded(world)
    assert here.pool.is_ready()
    assert here.pool.unloaded() == ["tea"]
    assert here.pool.status()["tea"] == {"status": "unloaded", "version": 3}
    assert here.pool.listed()[2] == Entry("tea", 3, "digest-3")
    assert here.ask("milk") == "milk:2"
    assert here.ask("coffee") == "coffee:1"
    assert here.ask("tea") == "tea:3"
    assert here.pool.unloaded() == ["milk"]
    assert here.pool.served_models() == ["coffee", "milk", "tea"]
    assert here.ask("milk") == "milk:2"
    assert here.pool.unloaded() == ["coffee"]
    assert here.ask() == "coffee:1"
    assert here.load.loaded == [1, 2, 3, 2, 1]
    assert (here.pool.loaded(), here.pool.tally()["unloads", "milk", 2]) == (2, 1)
    assert [event["model"] for event in here.named("model.unloaded")] == ["milk", "coffee", "tea"]


def test_those_who_ask_for_it_at_once_wait_for_one_load(world: Make) -> None:
    """Of each version."""
    here = crowded(world)

    async def run() -> list[str]:
        return await asyncio.gather(*(here.choose(name) for name in ("tea", "coffee", "tea", "milk", "tea")))

    assert asyncio.run(run()) == ["tea:3", "coffee:1", "tea:3", "milk:2", "tea:3"]
    assert here.load.loaded == [1, 2, 3]


def test_a_call_waits_no_longer_than_a_prediction_may_take(world: Make) -> None:
    """The version goes on being loaded, for the next one."""
    here = crowded(world, patience_s=0.05)
    here.load.holds[3] = threading.Event()

    async def run() -> None:
        with pytest.raises(ModelNotReady, match="tea:3 is still being loaded"):
            await here.choose("tea")
        here.load.holds[3].set()
        await here.until(lambda: 3 in here.load.loaded)
        assert await here.choose("tea") == "tea:3"

    asyncio.run(run())


def test_an_unloaded_version_that_is_broken_is_told(world: Make) -> None:
    """Nobody had looked at it before: health says so as soon as somebody did."""
    here = crowded(world)
    here.shelf.broken = {3}
    with pytest.raises(ModelNotReady, match="tea:3 cannot be loaded"):
        here.ask("tea")
    assert here.pool.status()["tea"]["status"] == "failed"
    assert not here.pool.is_ready()
    here.shelf.broken = set()
    here.pool._refused.clear()  # stands for the seconds after which it is tried again
    assert here.ask("tea") == "tea:3"
    assert here.pool.is_ready()


def test_a_moved_alias_is_proven_at_once_also_without_room(world: Make) -> None:
    """Whatever was unloaded: what answers has passed its golden examples, and what fails never does."""
    here = crowded(world)

    async def run() -> None:
        async with here.watching():
            here.shelf.change(tea=4)
            await here.until(lambda: here.pool.status()["tea"]["version"] == 4)
            assert here.load.loaded == [1, 2, 4]
            here.shelf.broken = {5}
            here.shelf.change(tea=5)
            await here.until(lambda: here.pool.status()["tea"]["status"] == "degraded")
            assert await here.choose("tea") == "tea:4"

    asyncio.run(run())


def test_an_alias_may_move_to_a_version_that_another_one_has_unloaded(world: Make) -> None:
    """It is loaded for the one, and serves the other as well."""
    here = world(coffee=1, coffee_production=1, coffee_challenger=2, options={"max_loaded": 1})
    assert here.pool.loaded() == 1

    async def run() -> None:
        async with here.watching():
            here.shelf.change(coffee_production=2)
            await here.until(lambda: here.pool.status()["coffee"]["version"] == 2)
            assert await here.choose("coffee@challenger") == "coffee:2"

    asyncio.run(run())
    assert here.load.loaded == [1, 2]


def test_a_page_of_an_unloaded_model_loads_it(world: Make) -> None:
    """What is not served is left to whoever says so."""
    here = crowded(world)
    asyncio.run(here.pool.load_listed("tea"))
    asyncio.run(here.pool.load_listed("water"))
    assert here.pool.get("tea") is not None


# -- away --


def test_a_source_that_is_away_is_said_and_not_hammered(world: Make) -> None:
    """Since when, and once; what is known of references that are not followed is good enough meanwhile."""
    here = world("coffee:1", coffee=3, coffee_challenger=2)

    async def run() -> None:
        assert await here.choose("coffee@challenger") == "coffee:2"
        async with here.watching():
            here.shelf.is_down = True
            await here.until(lambda: here.pool.away_since() != "")
            assert here.pool.is_ready()
            assert await here.choose("coffee@challenger") == "coffee:2"
            assert await here.choose("coffee:1") == "coffee:1"
            with pytest.raises(StoreUnavailable):
                await here.choose("coffee:9")
            here.shelf.is_down = False
            await here.until(lambda: here.pool.away_since() == "")

    asyncio.run(run())
    (failed,) = here.named("registry.failed")
    assert failed["since"]
    assert len(here.named("registry.recovered")) == 1


def test_a_source_that_fails_a_caller_gives_what_it_last_said(world: Make) -> None:
    """Before anybody has noticed that it is away."""
    here = world("coffee:1", coffee=3, coffee_challenger=2)
    assert here.ask("coffee@challenger") == "coffee:2"
    here.shelf.is_down = True
    assert here.ask("coffee@challenger") == "coffee:2"


# -- sources --


@pytest.fixture
def registry(home: Path, bundles: Make) -> Iterator[Registry]:
    """Give a registry with two versions of a model."""
    opened = open_registry(home)
    for slope in (1.0, 2.0):
        opened.register(bundles(slope), actor="ada")
    yield opened
    opened.close()


def test_a_forked_pool_serves_what_has_moved_since_it_was_loaded(world: Make) -> None:
    """Before its first request, not soon after it; what is loaded already is not loaded again."""
    here = world(coffee=2, tea=1)
    here.pool.let_go()
    assert here.shelf.closed == 1
    here.shelf.change(coffee=3)
    here.pool.look_again()
    assert here.ask("coffee") == "coffee:3"
    assert here.load.loaded == [2, 1, 3]
    assert [swap["now"] for swap in here.named("model.swapped")] == [3]


def test_a_forked_pool_serves_though_the_source_is_away(world: Make) -> None:
    """What was loaded answers, the log says why it may be old, and the source is asked again."""
    here = world(coffee=2)
    here.shelf.change(coffee=3)
    here.shelf.is_down = True
    here.pool.look_again()
    assert here.ask("coffee") == "coffee:2"
    assert len(here.named("registry.failed")) == 1
    here.shelf.is_down = False

    async def follow() -> None:
        async with here.watching():
            await here.until(lambda: bool(here.named("model.swapped")))

    asyncio.run(follow())
    assert here.ask("coffee") == "coffee:3"


@pytest.mark.usefixtures("registry")
def test_a_registry_is_opened_when_it_is_asked_and_closed_before_a_fork(home: Path) -> None:
    """No connection lives from `close` to the next question."""
    opened: list[Registry] = []

    def open_again() -> Registry:
        opened.append(open_registry(home))
        return opened[-1]

    source = RegistrySource(open_again)
    assert opened == []
    assert source.look([]).required == source.look([]).required == ("coffee",)
    source.close()
    source.close()
    assert len(opened) == 1
    assert source.look([]).required == ("coffee",)
    source.close()
    assert len(opened) == 2


def test_a_pool_follows_a_real_registry(registry: Registry) -> None:
    """What `fairway serve` does: real bundles, real moves."""
    pool = Pool(
        RegistrySource(lambda: registry),
        lambda entry, bundle: load_model(bundle, name=entry.model, version=entry.version),
        notify=lambda *_args, **_fields: None,
    )
    pool.load_all()
    assert pool.served()[0].reference == "coffee:2"
    before = RegistrySource(lambda: registry).token()
    registry.move_alias("coffee", "production", 1, actor="ada")
    assert RegistrySource(lambda: registry).token() != before
    pool.look_again()
    assert pool.served()[0].reference == "coffee:1"
    assert pool.aliases("coffee") == {"production": 1}


def test_bundle_files_are_a_source_without_numbers(bundles: Make) -> None:
    """They never change, and have neither versions nor aliases."""
    source = BundleSource([bundles(1.0), bundles(2.0, "tea")])
    assert source.look([]).required == ("coffee", "tea")
    entry = source.resolve(Reference("tea"))
    assert source.look([Reference("tea")]).found == {"tea": entry}
    assert entry == Entry("tea", 0, bundles(2.0, "tea").digest)
    assert source.open(entry) is bundles(2.0, "tea")
    assert source.token() == source.token()
    for reference, error in (
        (Reference("milk"), ModelNotFound),
        (Reference("tea", alias="production"), ModelNotFound),
        (Reference("tea", version=3), VersionNotFound),
    ):
        with pytest.raises(error):
            source.resolve(reference)


def test_two_bundles_of_one_name_are_refused(bundles: Make) -> None:
    """Which of them would answer?"""
    with pytest.raises(UsageError, match="two bundles are called 'coffee'"):
        BundleSource([bundles(1.0), bundles(2.0)])


def test_the_pool_knows_no_registry() -> None:
    """It is handed its source: serving a file loads no database library."""
    assert "registry" not in vars(pool_module)
