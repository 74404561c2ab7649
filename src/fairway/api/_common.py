"""What every verb needs: the settings, the registry of the home, who is acting."""

from __future__ import annotations

import asyncio
import contextlib
import getpass
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from fairway.settings import Settings, api_key, load_settings

if TYPE_CHECKING:
    from fairway.client.management import RemoteRegistry
    from fairway.registry.registry import Registry


Result = TypeVar("Result")


def settings_of(home: str | Path | None, flags: Mapping[str, Any] | None = None) -> Settings:
    given = {key: value for key, value in (flags or {}).items() if value is not None}
    if home is not None:
        given["home"] = str(home)
    settings, _ = load_settings(flags=given)
    return settings


@contextlib.contextmanager
def open_registry(settings: Settings) -> Iterator[Registry]:
    from fairway.assemble import open_stores

    registry = open_stores(settings)
    try:
        yield registry
    finally:
        registry.close()


@contextlib.contextmanager
def backend(
    home: str | Path | None, server: str | None = None, key: str | None = None
) -> Iterator[Registry | RemoteRegistry]:
    """Open the registry that a verb is about: that of a server, if one is named, else that of the home.

    A server is named by the argument, else by the setting `remote.server`, which a stated home outweighs.
    """
    settings = settings_of(home)
    url = _address(settings, home, server)
    if not url:
        with open_registry(settings) as registry:
            yield registry
        return
    from fairway.client.management import RemoteRegistry

    with RemoteRegistry(url, key=key or api_key()) as there:
        yield there


def is_remote(home: str | Path | None, server: str | None) -> bool:
    """Tell whether `backend` would open the registry of a server."""
    return bool(_address(settings_of(home), home, server))


def _address(settings: Settings, home: str | Path | None, server: str | None) -> str:
    return server or (settings.remote.server if home is None else "")


@contextlib.contextmanager
def open_to_look_up(settings: Settings) -> Iterator[Registry]:
    """Open the registry for a version and its bundle, without what only a server or a change needs."""
    if settings.registry or settings.artifacts:
        with open_registry(settings) as registry:
            yield registry
        return
    from fairway.registry.registry import open_to_look_up

    with open_to_look_up(settings.home) as registry:
        yield registry


def outside_loop(run: Callable[[], Result]) -> Result:
    """Call what runs an event loop of its own, also where a loop runs already, as in a notebook."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return run()
    with ThreadPoolExecutor(max_workers=1) as thread:
        return thread.submit(run).result()


def actor() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's user may have no name
        return "unknown"


def default_name(model: Any) -> str:
    return Path(model).stem.lower() if isinstance(model, str | Path) else ""
