"""Every setting of fairway: one frozen tree, read once, and the only reader of the environment.

```
Settings
+ home                  folder of the registry
+ registry  artifacts   where its rows and its files are, if not there
+ artifacts_cache_bytes how much copies of the files may take there
+ server                models  host  port  allowed_hosts  workers  predictor  max_loaded  load_timeout_s
                        require_signed_by  auth  keys_file  public_form  trusted_proxies
+ limits                max_body_bytes  max_rows  max_json_depth  max_text_chars  gzip_requests
                        predict_timeout_s  max_queue
+ batching              mode  max_rows  window_ms
+ explain               budget_s  max_rows  max_queue
+ log                   access  inputs  level
+ trust                 policy
+ platforms             sagemaker_accept  sagemaker_multi_model  sagemaker_models
                        vertex_predict_route  vertex_health_route
+ remote                server
+ gates                 rules by model (see `gates.py`); only in the file
```

A value comes from the first of: command-line flag, variable of the platform that runs the server (see
`PLATFORM_VARIABLES`), environment variable `FAIRWAY_SECTION_FIELD`, the nearest `fairway.toml` upward from
the working directory, default. A name that is unknown in any of them is an error.
Functions elsewhere receive the values that they need, never the tree.
"""

from __future__ import annotations

import math
import os
import re
import sys
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import MISSING, Field, dataclass, field, fields
from pathlib import Path
from typing import Any, NoReturn, TypeAlias

from fairway.errors import SettingsError
from fairway.gates import GateRules, read_gates

FILE_NAME = "fairway.toml"
HOME_FOLDER = ".fairway"

Origins: TypeAlias = Mapping[str, str]
"""Where the value of each setting came from, by dotted key such as `server.port`."""

# Variables that tests and examples own; every other FAIRWAY_* name must be a setting.
_API_KEY = "FAIRWAY_API_KEY"
_FOREIGN_VARIABLES = re.compile(rf"FAIRWAY_DATA|FAIRWAY_TEST_.*|{_API_KEY}")


def _setting(
    default: Any,
    doc: str,
    *,
    minimum: float | None = None,
    maximum: float | None = None,
    choices: tuple[str, ...] = (),
    not_empty: bool = False,
    secret: bool = False,
) -> Any:
    metadata = {
        "doc": doc,
        "minimum": minimum,
        "maximum": maximum,
        "choices": choices,
        "not_empty": not_empty,
        "secret": secret,
    }
    return field(default=default, metadata=metadata)


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerSettings:
    """Where the server listens, whom it answers and with what."""

    models: tuple[str, ...] = _setting(
        (), "What `fairway serve` serves if it names nothing: references, or paths of bundles."
    )
    host: str = _setting("127.0.0.1", "Address to listen on; `0.0.0.0` accepts calls from other machines.")
    port: int = _setting(
        5000, "TCP port to listen on; 0 lets the system choose one.", minimum=0, maximum=65535
    )
    allowed_hosts: tuple[str, ...] = _setting(
        (),
        "Names that the Host header may hold, beside loopback names and `server.host`; `*` allows any.",
    )
    workers: int = _setting(
        1,
        "Processes that answer calls, with the models in memory that they share; Windows has one.",
        minimum=1,
        maximum=256,
    )
    predictor: str = _setting(
        "auto",
        "Predictor that answers: `auto` takes the fastest one that was proven and can be loaded.",
        choices=("auto", "native", "numpy", "onnx"),
    )
    max_loaded: int = _setting(
        0,
        "Most versions that stay in memory; the one that was not asked for longest goes first, and comes "
        "back when it is asked for. With 0 all that are served stay.",
        minimum=0,
        maximum=1_000_000,
    )
    load_timeout_s: float = _setting(
        120.0,
        "Seconds within which a version must be loaded and proven while the server runs, or it is refused.",
        minimum=1,
        maximum=86_400,
    )
    require_signed_by: tuple[str, ...] = _setting(
        (),
        "Names or ids of trusted keys; a version is served only if one of them has signed all of it. "
        "Unset, nothing need be signed; set to nothing, it is refused.",
        not_empty=True,
    )
    auth: str = _setting(
        "auto",
        "Whether callers need an API key: `auto` asks for one as soon as there is one, and is refused on an "
        "address that other machines reach while there is none; `off` never asks, `on` always.",
        choices=("auto", "on", "off"),
    )
    keys_file: Path | None = _setting(  # noqa: RUF009 - as for `home`
        None, "File of API keys, followed when it changes; they count beside those of the registry."
    )
    public_form: bool = _setting(
        default=False, doc="Open the models' pages with their forms to callers without a key."
    )
    trusted_proxies: tuple[str, ...] = _setting(
        (),
        "Addresses or networks of proxies before the server; what they say of a caller's address and of "
        "HTTPS is believed.",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class LimitsSettings:
    """How much one call may ask for."""

    max_body_bytes: int = _setting(10 * 2**20, "Largest request body in bytes.", minimum=1, maximum=2**40)
    max_rows: int = _setting(10_000, "Most rows in one call.", minimum=1, maximum=2**31)
    max_json_depth: int = _setting(32, "Deepest nesting of a JSON body.", minimum=1, maximum=500)
    max_text_chars: int = _setting(
        1_000_000, "Longest text in one value, in characters.", minimum=1, maximum=2**31
    )
    gzip_requests: bool = _setting(
        default=False,
        doc="Read bodies with `Content-Encoding: gzip`, up to `limits.max_body_bytes` and to 100 times their "
        "length, once unpacked.",
    )
    predict_timeout_s: float = _setting(
        60.0,
        "Seconds after which a call that is still being predicted is given up.",
        minimum=0.001,
        maximum=86_400,
    )
    max_queue: int = _setting(
        64,
        "Most calls of one model that run or wait beside the event loop; further ones get 503.",
        minimum=1,
        maximum=100_000,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchingSettings:
    """Whether calls that come together are predicted together."""

    mode: str = _setting(
        "auto",
        "`auto` batches the calls of models that were measured to gain from it and whose rows are answered "
        "alike, bit for bit, alone and among others; `on` batches every model's.",
        choices=("auto", "off", "on"),
    )
    max_rows: int = _setting(
        256, "Most rows in a batch; a call with more goes alone.", minimum=1, maximum=1_000_000
    )
    window_ms: float = _setting(
        0.0,
        "Milliseconds that a batch is kept open for more calls; with 0 nobody waits for company.",
        minimum=0,
        maximum=10_000,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class ExplainSettings:
    """How much an explanation may cost."""

    budget_s: float = _setting(
        2.0,
        "Seconds that the explanations of one call may take together; what was reached by then is answered.",
        minimum=0.01,
        maximum=3600,
    )
    max_rows: int = _setting(10, "Most rows of a call that is explained.", minimum=1, maximum=10_000)
    max_queue: int = _setting(
        8, "Most calls that are explained or wait for it; further ones get 503.", minimum=1, maximum=10_000
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class LogSettings:
    """What the server writes to its log."""

    access: bool = _setting(default=True, doc="Write one line per call.")
    inputs: bool = _setting(default=False, doc="Include the input values in the line of a call.")
    level: str = _setting(
        "info", "Least important events that are written.", choices=("debug", "info", "warning", "error")
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class TrustSettings:
    """Which model files may be loaded."""

    policy: str = _setting(
        "allowlist",
        "`allowlist` loads pickles of known types, and of those that `--trust` names; `safe-only` loads only "
        "formats that run no code.",
        choices=("safe-only", "allowlist"),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class PlatformsSettings:
    """What a platform that runs the server in a container asks for."""

    sagemaker_accept: str = _setting(
        "application/json",
        "Form of the replies of `/invocations` if a call does not ask for one.",
        choices=("application/json", "application/jsonlines", "text/csv"),
    )
    sagemaker_multi_model: bool = _setting(
        default=False, doc="Serve what SageMaker loads by `POST /models`, and nothing else; for one process."
    )
    sagemaker_models: Path = _setting(  # noqa: RUF009 - as for `home`
        Path("/opt/ml/models"), "Folder in which SageMaker puts the models of a multi-model endpoint."
    )
    vertex_predict_route: str = _setting("", "Path at which Vertex AI sends its instances.")
    vertex_health_route: str = _setting("", "Path at which Vertex AI asks whether the server is ready.")


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoteSettings:
    """The server whose registry the verbs are about, instead of that of the home folder."""

    server: str = _setting("", "Address of the server, such as `https://models.example.org`.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The whole tree."""

    home: Path = _setting(  # noqa: RUF009 - without a default; the rule does not know `_setting`
        MISSING,
        "Folder of the registry. Default: the nearest `.fairway` folder upward from the working directory, "
        "else the user's data folder.",
    )
    registry: str = _setting(
        "",
        "Database of the registry, such as `postgresql://user@host/name`. Default: `registry.db` in the home "
        "folder.",
        secret=True,
    )
    artifacts: str = _setting(
        "",
        "Object store of the registry's files, such as `s3://bucket/prefix`. Default: `artifacts/` in the "
        "home folder.",
        secret=True,
    )
    artifacts_cache_bytes: int = _setting(
        10 * 2**30,
        "How much copies of files of the object store may take in the home folder. 0 keeps none.",
        minimum=0,
        maximum=2**50,
    )
    server: ServerSettings = field(default_factory=ServerSettings)
    limits: LimitsSettings = field(default_factory=LimitsSettings)
    batching: BatchingSettings = field(default_factory=BatchingSettings)
    explain: ExplainSettings = field(default_factory=ExplainSettings)
    log: LogSettings = field(default_factory=LogSettings)
    trust: TrustSettings = field(default_factory=TrustSettings)
    platforms: PlatformsSettings = field(default_factory=PlatformsSettings)
    remote: RemoteSettings = field(default_factory=RemoteSettings)
    gates: Mapping[str, GateRules] = field(default_factory=dict)


_SECTIONS: dict[str, type[Any]] = {
    "server": ServerSettings,
    "limits": LimitsSettings,
    "batching": BatchingSettings,
    "explain": ExplainSettings,
    "log": LogSettings,
    "trust": TrustSettings,
    "platforms": PlatformsSettings,
    "remote": RemoteSettings,
}
_GATE = "gate"
"""The table of the file that `gates.py` reads; it is no setting that a flag or a variable could hold."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SettingDescription:
    """One setting as documentation and `fairway settings` show it.

    Attributes:
        key: Dotted key, as in `fairway.toml`: `server.port`.
        variable: Environment variable that sets it: `FAIRWAY_SERVER_PORT`.
        kind: What the value must be, in words: `an integer from 0 to 65535`.
        default: Default as text; empty when there is none to show.
        doc: What the setting decides.
        value: Value in force as text, or the default when no tree was given.
        origin: Where the value came from, or `default`.
    """

    key: str
    variable: str
    kind: str
    default: str
    doc: str
    value: str
    origin: str


def load_settings(
    *,
    flags: Mapping[str, Any] | None = None,
    environ: Mapping[str, str] = os.environ,
    cwd: Path | None = None,
) -> tuple[Settings, Origins]:
    """Read the settings from every source, once.

    Args:
        flags: Values of command-line flags by dotted key (`{"server.port": "8000"}`), as text or already
            converted. A None is a flag that was not given.
        environ: Environment variables.
        cwd: Working directory; where the search for `fairway.toml` and `.fairway` begins.

    Returns:
        The tree, and for every key where its value came from: `flag --port`, `FAIRWAY_SERVER_PORT`,
        `/project/fairway.toml line 3` or `default`.

    Raises:
        SettingsError: A name is unknown, or a value has another type or lies out of range.

    Example:
        >>> settings, origins = load_settings(flags={"server.port": "8000"}, environ={})
        >>> settings.server.port, origins["server.port"]
        (8000, 'flag --port')
    """
    folder = Path.cwd() if cwd is None else cwd
    known = dict(_all_fields())
    found: dict[str, _Given] = {}
    sources = (
        _from_file(folder, known),
        _from_environment(environ, known),
        _from_platform(environ),
        _from_flags(flags or {}, known),
    )
    for source in sources:
        found.update(source)
    values: dict[str, Any] = {key: _convert(key, known[key], given, folder) for key, given in found.items()}
    origins = {key: found[key].origin if key in found else "default" for key in known}
    if "home" not in values:
        values["home"] = _default_home(folder, environ)
    sections = {name: kind(**_section_values(values, name)) for name, kind in _SECTIONS.items()}
    top = {key: values[key] for key in values if "." not in key}
    return Settings(gates=_read_gates(folder), **top, **sections), origins


def settings_file(cwd: Path | None = None) -> Path:
    """Return the nearest `fairway.toml` upward from the working directory, or where a new one belongs."""
    folder = Path.cwd() if cwd is None else cwd
    return _upward(folder, FILE_NAME, Path.is_file) or folder / FILE_NAME


def child_environment(values: Mapping[str, str]) -> dict[str, str]:
    """Return this process' environment for a child that runs with some settings changed.

    Args:
        values: Settings as text, by key such as `server.workers`.
    """
    variables = {entry.key: entry.variable for entry in describe_settings()}
    return {**os.environ, **{variables[key]: value for key, value in values.items()}}


def api_key(environ: Mapping[str, str] = os.environ) -> str | None:
    """Return the API key that clients send if none is given to them, from `FAIRWAY_API_KEY`.

    It is no setting: a secret is neither written into `fairway.toml` nor shown by `fairway settings`.
    """
    return environ.get(_API_KEY, "").strip() or None


def handed_on(names: Collection[str], environ: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Return the variables of these names that are set: all that a restricted process is to know of them."""
    return {name: environ[name] for name in names if name in environ}


def prefer(name: str, value: str) -> None:
    """Set a variable that a library reads while it is imported, unless the user has set it."""
    os.environ.setdefault(name, value)


def describe_settings(
    settings: Settings | None = None, origins: Origins | None = None
) -> list[SettingDescription]:
    """Describe every setting, in the order of the tree, with its value in *settings* if that is given."""
    shown = []
    for key, item in _all_fields():
        default = "" if item.default is MISSING else _as_text(item.default)
        value = default if settings is None else _as_text(_value_of(settings, key))
        if item.metadata["secret"]:
            value = masked(value)
        shown.append(
            SettingDescription(
                key=key,
                variable=_variable(key),
                kind=_kind(item),
                default=default,
                doc=item.metadata["doc"],
                value=value,
                origin=(origins or {}).get(key, "default"),
            )
        )
    return shown


def masked(address: str) -> str:
    """Return an address without the password that it may hold, so that it can be shown."""
    hidden = re.sub(r"(://[^/@:]*:)[^/]*@", r"\1***@", address)
    return re.sub(r"(?i)([?&][^=&]*(?:pass|secret|token|key)[^=&]*=)[^&]*", r"\1***", hidden)


def render_reference() -> str:
    """Return the text of `docs/reference/settings.md`."""
    lines = [
        "# Settings",
        "",
        "Generated from `fairway/settings.py`. `fairway settings` prints every value and where it came from.",
        "",
        "A value comes from the first of: command-line flag, variable of a platform, environment variable,",
        "the nearest `fairway.toml` upward from the working directory, default. Unknown names are errors.",
        "Variables of platforms, which Vertex AI and SageMaker set in a container:",
        "",
        "| variable | setting |",
        "|---|---|",
        *(f"| `{name}` | `{key}` |" for name, key in PLATFORM_VARIABLES.items()),
        "",
        "The tables `[gate.NAME]` of the file are the [rules of gates](gate-rules.md): `gates` in Python.",
        "",
        "Clients take the API key that they send from the variable `FAIRWAY_API_KEY`. It is no setting: it",
        "is shown nowhere, and stands in no file of settings.",
    ]
    section = None
    for entry in describe_settings():
        head = entry.key.rpartition(".")[0]
        if head != section:
            section = head
            title = f"`[{head}]`: {_SECTIONS[head].__doc__}" if head else "Top level"
            lines += [
                "",
                f"## {title}",
                "",
                "| key | variable | value | default | meaning |",
                "|---|---|---|---|---|",
            ]
        default = f"`{entry.default}`" if entry.default else ""
        lines.append(f"| `{entry.key}` | `{entry.variable}` | {entry.kind} | {default} | {entry.doc} |")
    return "\n".join(lines) + "\n"


@dataclass(frozen=True, slots=True)
class _Given:
    """A raw value, where it came from, and the folder that a relative path in it starts from."""

    raw: Any
    origin: str
    folder: Path | None = None


def _all_fields() -> Iterator[tuple[str, Field[Any]]]:
    for item in fields(Settings):
        if item.name not in _SECTIONS and item.name != "gates":
            yield item.name, item
        for inner in fields(_SECTIONS[item.name]) if item.name in _SECTIONS else ():
            yield f"{item.name}.{inner.name}", inner


PLATFORM_VARIABLES = {
    "AIP_HTTP_PORT": "server.port",
    "SAGEMAKER_BIND_TO_PORT": "server.port",
    "AIP_PREDICT_ROUTE": "platforms.vertex_predict_route",
    "AIP_HEALTH_ROUTE": "platforms.vertex_health_route",
    "SAGEMAKER_DEFAULT_INVOCATIONS_ACCEPT": "platforms.sagemaker_accept",
    "SAGEMAKER_MULTI_MODEL": "platforms.sagemaker_multi_model",
}
"""Variables that Vertex AI and SageMaker set in a container, and the settings that they are; the last counts.

They come before fairway's own variables, which an image sets for whatever platform it may run on.
"""

_SHORT_VARIABLES = {"remote.server": "FAIRWAY_SERVER"}
"""Variables whose names leave the section out, because they are typed often."""


def _variable(key: str) -> str:
    return _SHORT_VARIABLES.get(key) or "FAIRWAY_" + key.replace(".", "_").upper()


def _section_values(values: Mapping[str, Any], section: str) -> dict[str, Any]:
    return {key.partition(".")[2]: value for key, value in values.items() if key.startswith(section + ".")}


def _value_of(settings: Settings, key: str) -> Any:
    value: Any = settings
    for part in key.split("."):
        value = getattr(value, part)
    return value


def _from_flags(flags: Mapping[str, Any], known: Mapping[str, Field[Any]]) -> dict[str, _Given]:
    found = {}
    for key, raw in flags.items():
        if key not in known:
            _refuse_unknown(key, "a flag", known)
        if raw is not None:
            found[key] = _Given(raw, f"flag --{key.rpartition('.')[2].replace('_', '-')}")
    return found


def _from_environment(environ: Mapping[str, str], known: Mapping[str, Field[Any]]) -> dict[str, _Given]:
    keys = {_variable(key): key for key in known}
    found = {}
    for name, raw in environ.items():
        if name in keys:
            found[keys[name]] = _Given(raw, name)
        elif name.startswith("FAIRWAY_") and not _FOREIGN_VARIABLES.fullmatch(name):
            _refuse_unknown(name, "the environment", keys)
    return found


def _from_platform(environ: Mapping[str, str]) -> dict[str, _Given]:
    # A platform may set a variable to nothing.
    return {
        key: _Given(environ[name].strip(), name)
        for name, key in PLATFORM_VARIABLES.items()
        if environ.get(name, "").strip()
    }


def _read_gates(folder: Path) -> dict[str, GateRules]:
    path, text, tree = _read_file(folder)
    if path is None or _GATE not in tree:
        return {}
    return read_gates(tree[_GATE], place=lambda key: f"{path} {_place(text, key)}", folder=path.parent)


def _from_file(folder: Path, known: Mapping[str, Field[Any]]) -> dict[str, _Given]:
    path, text, tree = _read_file(folder)
    found: dict[str, _Given] = {}
    if path is None:
        return found
    for key, raw in _leaves(tree):
        if key not in known:
            _refuse_unknown(key, str(path), known)
        found[key] = _Given(raw, f"{path} {_place(text, key)}", path.parent)
    return found


def _read_file(folder: Path) -> tuple[Path | None, str, dict[str, Any]]:
    """Return the nearest file, its text and what it says."""
    path = _upward(folder, FILE_NAME, Path.is_file)
    if path is None:
        return None, "", {}
    import tomllib

    try:
        text = path.read_bytes().decode()
        tree = tomllib.loads(text)
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        message = f"{path} cannot be read as TOML: {error}"
        raise SettingsError(message, hint="see the settings with: fairway settings --help") from error
    return path, text, tree


def _leaves(tree: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for name, value in tree.items():
        if name in _SECTIONS and isinstance(value, dict):
            yield from ((f"{name}.{inner}", raw) for inner, raw in value.items())
        elif name != _GATE:
            yield name, value


def _place(text: str, key: str) -> str:
    """Say where *key* stands in a TOML text: its line, or its section when it is written in another way."""
    section, _, name = key.rpartition(".")
    wanted = {(section, name), ("", key)}
    current = ""
    for number, line in enumerate(text.splitlines(), start=1):
        if header := re.match(r"\s*\[\s*([^\[\]]+?)\s*\]", line):
            current = header[1]
        elif (assigned := re.match(r"\s*([\w.\-]+)\s*=", line)) and (current, assigned[1]) in wanted:
            return f"line {number}"
    return f"section [{section}]" if section else "top level"


def _upward(folder: Path, name: str, test: Callable[[Path], bool]) -> Path | None:
    start = folder.absolute()
    return next((place / name for place in (start, *start.parents) if test(place / name)), None)


def _default_home(folder: Path, environ: Mapping[str, str]) -> Path:
    nearest = _upward(folder, HOME_FOLDER, Path.is_dir)
    if nearest is not None:
        return nearest
    user = environ.get("HOME") or environ.get("USERPROFILE") or os.path.expanduser("~")  # noqa: PTH111 - never raises
    if sys.platform == "darwin":
        return Path(user, "Library", "Application Support", "fairway")
    if sys.platform == "win32":
        return Path(environ.get("LOCALAPPDATA") or Path(user, "AppData", "Local"), "fairway")
    data = environ.get("XDG_DATA_HOME", "")
    # The XDG base directory specification: a relative path is to be ignored.
    return Path(data if data.startswith("/") else Path(user, ".local", "share"), "fairway")


_TRUE = frozenset({"true", "yes", "on", "1"})
_FALSE = frozenset({"false", "no", "off", "0"})


def _convert(key: str, item: Field[Any], given: _Given, cwd: Path) -> Any:
    read = _READERS[str(item.type)]
    try:
        value = read(given.raw)
    except ValueError:
        _refuse_value(key, item, given)
    if isinstance(value, Path):
        return _absolute(value, given.folder or cwd)
    low, high, choices = (item.metadata[name] for name in ("minimum", "maximum", "choices"))
    if (low is not None and value < low) or (high is not None and value > high):
        _refuse_value(key, item, given)
    if choices and value not in choices:
        _refuse_value(key, item, given)
    if item.metadata["not_empty"] and not value:
        # A variable that a script left empty must not switch off what it was to ask for.
        _refuse_value(key, item, given)
    return value


def _absolute(path: Path, folder: Path) -> Path:
    try:
        return (folder.absolute() / path.expanduser()).absolute()
    except RuntimeError as error:  # "~somebody" who is not a user of this machine
        message = f"home is {str(path)!r}, whose user folder cannot be found"
        raise SettingsError(message, hint="use an absolute path") from error


def _read_text(raw: Any) -> str:
    if not isinstance(raw, str) or not raw.strip() or not raw.isprintable():
        raise ValueError
    return raw.strip()


def _read_integer(raw: Any) -> int:
    if isinstance(raw, str) and re.fullmatch(r"\s*[+-]?[0-9]{1,18}\s*", raw):
        return int(raw)
    if isinstance(raw, int) and not isinstance(raw, bool):
        return raw
    raise ValueError


def _read_number(raw: Any) -> float:
    if isinstance(raw, bool) or not isinstance(raw, str | int | float):
        raise ValueError  # noqa: TRY004 - the caller turns it into a SettingsError
    value = float(raw)
    if not math.isfinite(value):
        raise ValueError
    return value


def _read_boolean(raw: Any) -> bool:
    if isinstance(raw, bool):
        return raw
    word = raw.strip().lower() if isinstance(raw, str) else ""
    if word not in _TRUE | _FALSE:
        raise ValueError
    return word in _TRUE


def _read_names(raw: Any) -> tuple[str, ...]:
    if isinstance(raw, str):
        return tuple(_read_text(part) for part in raw.split(",") if part.strip())
    if isinstance(raw, list | tuple):
        return tuple(map(_read_text, raw))
    raise ValueError


def _read_path(raw: Any) -> Path:
    if isinstance(raw, Path):
        return raw
    if not isinstance(raw, str) or not raw or "\0" in raw:
        raise ValueError
    return Path(raw)


# Keyed by the annotation of the field, which is a text under `from __future__ import annotations`.
_READERS: dict[str, Callable[[Any], Any]] = {
    "str": _read_text,
    "int": _read_integer,
    "float": _read_number,
    "bool": _read_boolean,
    "tuple[str, ...]": _read_names,
    "Path": _read_path,
    "Path | None": _read_path,
}
_KINDS = {
    "str": "a text",
    "int": "an integer",
    "float": "a number",
    "bool": "true or false",
    "tuple[str, ...]": "a list of texts (comma-separated in a variable)",
    "Path": "a path",
    "Path | None": "a path",
}


def _kind(item: Field[Any]) -> str:
    low, high, choices = (item.metadata[name] for name in ("minimum", "maximum", "choices"))
    if choices:
        return f"one of {', '.join(choices)}"
    span = f" from {low} to {high}" if low is not None else ""
    return _KINDS[str(item.type)] + span


def _as_text(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    return ",".join(value) if isinstance(value, tuple) else str(value)


def _refuse_value(key: str, item: Field[Any], given: _Given) -> NoReturn:
    shown = given.raw if isinstance(given.raw, str) else _as_text(given.raw)
    shown = shown if len(shown) <= 60 else shown[:57] + "..."
    raise SettingsError(
        f"{key} must be {_kind(item)}, not {shown!a} (from {given.origin})",
        hint="see every setting and where it comes from with: fairway settings",
    ) from None


def _refuse_unknown(name: str, place: str, known: Mapping[str, object]) -> NoReturn:
    from difflib import get_close_matches

    shown = name if len(name) <= 80 else name[:77] + "..."
    close = get_close_matches(name, known, n=1)
    # A field without its section ("port") or in the wrong one ("log.port") is the most common slip.
    separator = "_" if name.startswith("FAIRWAY_") else "."
    last = name.removeprefix("FAIRWAY_").rpartition(".")[2]
    close = close or [other for other in known if other.endswith(separator + last)]
    hint = f"did you mean {close[0]}?" if close else f"the settings are {', '.join(known)}"
    raise SettingsError(f"there is no setting {shown!a} (from {place})", hint=hint)
