"""Behaviour of the settings: the order of sources, where values came from, and errors that name the cure."""

import dataclasses
import os
import subprocess
import sys
from pathlib import Path

import pytest

from fairway.errors import SettingsError
from fairway.settings import Settings, describe_settings, load_settings, render_reference


def error_of(*, environ: dict[str, str] | None = None, cwd: Path, **flags: object) -> SettingsError:
    with pytest.raises(SettingsError) as caught:
        load_settings(
            flags={k.replace("__", "."): v for k, v in flags.items()}, environ=environ or {}, cwd=cwd
        )
    return caught.value


def write(folder: Path, text: str) -> Path:
    path = folder / "fairway.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_defaults_hold_without_any_source(tmp_path: Path) -> None:
    """Without flags, variables and a file every value is its default."""
    settings, origins = load_settings(environ={"HOME": "/u"}, cwd=tmp_path)
    assert settings.server.host == "127.0.0.1"
    assert settings.server.port == 5000
    assert settings.server.allowed_hosts == ()
    assert settings.limits.max_body_bytes == 10 * 2**20
    assert settings.limits.predict_timeout_s == 60.0
    assert settings.log.access is True
    assert settings.log.inputs is False
    assert set(origins.values()) == {"default"}


def test_flag_beats_variable_beats_file_beats_default(tmp_path: Path) -> None:
    """There is one order of sources."""
    path = write(tmp_path, "[server]\nport = 1\nhost = 'a'\n\n[limits]\nmax_rows = 7\n")
    environ = {"FAIRWAY_SERVER_PORT": "2", "FAIRWAY_SERVER_HOST": "b"}
    settings, origins = load_settings(flags={"server.port": "3"}, environ=environ, cwd=tmp_path)
    assert (settings.server.port, origins["server.port"]) == (3, "flag --port")
    assert (settings.server.host, origins["server.host"]) == ("b", "FAIRWAY_SERVER_HOST")
    assert (settings.limits.max_rows, origins["limits.max_rows"]) == (7, f"{path} line 6")
    assert origins["limits.max_json_depth"] == "default"


def test_a_platform_says_which_port_and_routes(tmp_path: Path) -> None:
    """Its variables beat those that an image sets, and a flag beats both; an empty one says nothing."""
    image = {"FAIRWAY_SERVER_PORT": "8080", "AIP_HEALTH_ROUTE": "", "SAGEMAKER_BIND_TO_PORT": " "}
    vertex = image | {"AIP_HTTP_PORT": "7080", "AIP_PREDICT_ROUTE": "/v1/x:predict"}
    settings, origins = load_settings(environ=vertex, cwd=tmp_path)
    assert (settings.server.port, origins["server.port"]) == (7080, "AIP_HTTP_PORT")
    assert settings.platforms.vertex_predict_route == "/v1/x:predict"
    assert settings.platforms.vertex_health_route == ""
    both = vertex | {"SAGEMAKER_BIND_TO_PORT": "9000"}
    assert load_settings(environ=both, cwd=tmp_path)[0].server.port == 9000
    assert load_settings(flags={"server.port": "1"}, environ=both, cwd=tmp_path)[0].server.port == 1
    assert load_settings(environ=image, cwd=tmp_path)[0].server.port == 8080
    with pytest.raises(SettingsError, match="AIP_HTTP_PORT"):
        load_settings(environ={"AIP_HTTP_PORT": "http"}, cwd=tmp_path)
    with pytest.raises(SettingsError, match="SAGEMAKER_DEFAULT_INVOCATIONS_ACCEPT"):
        load_settings(environ={"SAGEMAKER_DEFAULT_INVOCATIONS_ACCEPT": "image/png"}, cwd=tmp_path)


def test_a_flag_that_was_not_given_changes_nothing(tmp_path: Path) -> None:
    """None stands for an absent flag."""
    settings, origins = load_settings(flags={"server.port": None}, environ={}, cwd=tmp_path)
    assert (settings.server.port, origins["server.port"]) == (5000, "default")


def test_the_file_is_found_upward(tmp_path: Path) -> None:
    """The nearest fairway.toml above the working directory counts, and its home is relative to it."""
    write(tmp_path, "home = 'registry'\n")
    inner = tmp_path / "a" / "b"
    inner.mkdir(parents=True)
    settings, origins = load_settings(environ={}, cwd=inner)
    assert settings.home == tmp_path / "registry"
    assert origins["home"] == f"{tmp_path / 'fairway.toml'} line 1"


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("server.port = 8\n", "line 1"),
        ("# note\n[ server ]\n  port=8 # why\n", "line 3"),
        ("server = {port = 8}\n", "section [server]"),
        ("[log]\naccess = true\n[server]\nport = 8\n", "line 4"),
    ],
)
def test_the_origin_names_the_line_of_the_file(tmp_path: Path, text: str, place: str) -> None:
    """However TOML was written, the origin leads to the place."""
    path = write(tmp_path, text)
    settings, origins = load_settings(environ={}, cwd=tmp_path)
    assert (settings.server.port, origins["server.port"]) == (8, f"{path} {place}")


def test_home_is_the_nearest_fairway_folder(tmp_path: Path) -> None:
    """A `.fairway` folder in the project holds its registry."""
    (tmp_path / ".fairway").mkdir()
    (tmp_path / "src").mkdir()
    settings, _ = load_settings(environ={}, cwd=tmp_path / "src")
    assert settings.home == tmp_path / ".fairway"


@pytest.mark.skipif(sys.platform != "linux", reason="the folder of user data differs by platform")
def test_home_is_else_in_the_users_data_folder(tmp_path: Path) -> None:
    """Without a `.fairway` folder the XDG data folder is used."""
    settings, _ = load_settings(environ={"HOME": "/home/u"}, cwd=tmp_path)
    assert settings.home == Path("/home/u/.local/share/fairway")
    settings, _ = load_settings(environ={"HOME": "/home/u", "XDG_DATA_HOME": "/data"}, cwd=tmp_path)
    assert settings.home == Path("/data/fairway")


def test_a_relative_home_starts_at_the_working_directory(tmp_path: Path) -> None:
    """FAIRWAY_HOME=registry means the folder here."""
    settings, _ = load_settings(environ={"FAIRWAY_HOME": "registry"}, cwd=tmp_path)
    assert settings.home == tmp_path / "registry"


@pytest.mark.parametrize(
    ("variable", "key", "text", "value"),
    [
        ("FAIRWAY_LOG_ACCESS", "log.access", "off", False),
        ("FAIRWAY_LOG_INPUTS", "log.inputs", "TRUE", True),
        (
            "FAIRWAY_SERVER_ALLOWED_HOSTS",
            "server.allowed_hosts",
            "a.example, b.example",
            ("a.example", "b.example"),
        ),
        ("FAIRWAY_LIMITS_PREDICT_TIMEOUT_S", "limits.predict_timeout_s", "2.5", 2.5),
        ("FAIRWAY_SERVER_PORT", "server.port", " 0 ", 0),
    ],
)
def test_variables_are_read_as_their_type(
    tmp_path: Path, variable: str, key: str, text: str, value: object
) -> None:
    """Text from the environment becomes the type of the field."""
    settings, origins = load_settings(environ={variable: text}, cwd=tmp_path)
    section, name = key.split(".")
    assert getattr(getattr(settings, section), name) == value
    assert origins[key] == variable


@pytest.mark.parametrize(
    ("variable", "text", "expected"),
    [
        ("FAIRWAY_SERVER_PORT", "70000", "server.port must be an integer from 0 to 65535, not '70000'"),
        ("FAIRWAY_SERVER_PORT", "-1", "from 0 to 65535"),
        ("FAIRWAY_SERVER_PORT", "80.0", "an integer"),
        ("FAIRWAY_SERVER_PORT", "٨٠", "an integer"),
        ("FAIRWAY_LIMITS_MAX_ROWS", "0", "limits.max_rows must be an integer from 1"),
        ("FAIRWAY_LIMITS_PREDICT_TIMEOUT_S", "inf", "limits.predict_timeout_s must be a number"),
        ("FAIRWAY_LIMITS_PREDICT_TIMEOUT_S", "nan", "limits.predict_timeout_s must be a number"),
        ("FAIRWAY_LOG_ACCESS", "maybe", "log.access must be true or false, not 'maybe'"),
        ("FAIRWAY_LOG_LEVEL", "loud", "log.level must be one of debug, info, warning, error"),
        ("FAIRWAY_SERVER_HOST", "a\nb", "server.host must be a text"),
        ("FAIRWAY_HOME", "", "home must be a path"),
    ],
)
def test_a_bad_value_names_key_value_type_and_place(
    tmp_path: Path, variable: str, text: str, expected: str
) -> None:
    """The message says which setting, what came, what was expected, and from where."""
    error = error_of(environ={variable: text}, cwd=tmp_path)
    assert expected in error.detail
    assert f"(from {variable})" in error.detail
    assert error.exit_code == 2


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("[server]\nport = '80'\n", None),
        ("[server]\nport = true\n", "an integer"),
        ("[server]\nallowed_hosts = 3\n", "a list of texts"),
        ("[server]\nallowed_hosts = [3]\n", "a list of texts"),
        ("[log]\naccess = 1\n", "true or false"),
        ("home = 3\n", "a path"),
    ],
)
def test_values_of_the_file_have_types_of_their_own(tmp_path: Path, text: str, expected: str | None) -> None:
    """TOML has types; a number written as text is still unmistakable, the rest is not."""
    write(tmp_path, text)
    if expected is None:
        assert load_settings(environ={}, cwd=tmp_path)[0].server.port == 80
    else:
        assert expected in error_of(cwd=tmp_path).detail


@pytest.mark.parametrize(
    ("name", "suggested"),
    [
        ("FAIRWAY_SERVER_PROT", "FAIRWAY_SERVER_PORT"),
        ("FAIRWAY_PORT", "FAIRWAY_SERVER_PORT"),
        ("FAIRWAY_HOEM", "FAIRWAY_HOME"),
    ],
)
def test_an_unknown_variable_is_refused_with_a_suggestion(tmp_path: Path, name: str, suggested: str) -> None:
    """A misspelt variable is an error, not silence."""
    error = error_of(environ={name: "1"}, cwd=tmp_path)
    assert f"there is no setting '{name}'" in error.detail
    assert error.hint == f"did you mean {suggested}?"


@pytest.mark.parametrize(
    ("text", "name", "suggested"),
    [
        ("[server]\nprot = 1\n", "server.prot", "server.port"),
        ("[sever]\nport = 1\n", "sever", "server"),
        ("port = 1\n", "port", "server.port"),
    ],
)
def test_an_unknown_key_of_the_file_is_refused(tmp_path: Path, text: str, name: str, suggested: str) -> None:
    """A misspelt key or section is an error that names the file."""
    path = write(tmp_path, text)
    error = error_of(cwd=tmp_path)
    assert f"there is no setting '{name}'" in error.detail
    assert str(path) in error.detail
    assert error.hint.startswith(f"did you mean {suggested}")


def test_variables_of_tests_and_data_are_left_alone(tmp_path: Path) -> None:
    """FAIRWAY_DATA and FAIRWAY_TEST_* belong to others."""
    load_settings(environ={"FAIRWAY_DATA": "/d", "FAIRWAY_TEST_POSTGRES": "x"}, cwd=tmp_path)


@pytest.mark.parametrize("content", [b"[server\n", b"\xff\xfe", b"a = 1\na = 2\n"])
def test_a_broken_file_is_named(tmp_path: Path, content: bytes) -> None:
    """A file that is not TOML is a settings error, not a traceback."""
    (tmp_path / "fairway.toml").write_bytes(content)
    error = error_of(cwd=tmp_path)
    assert str(tmp_path / "fairway.toml") in error.detail


def test_an_unknown_flag_key_is_refused(tmp_path: Path) -> None:
    """Callers cannot misspell a key either."""
    assert error_of(cwd=tmp_path, server__prot="1").hint == "did you mean server.port?"


def test_the_tree_is_frozen() -> None:
    """Nobody changes a setting after start."""
    settings = Settings(home=Path("/h"))
    with pytest.raises(dataclasses.FrozenInstanceError):
        settings.home = Path("/other")  # type: ignore[misc]


def test_every_setting_is_described(tmp_path: Path) -> None:
    """Each has a sentence, a variable and a kind; values and origins show when given."""
    settings, origins = load_settings(flags={"server.port": 8}, environ={}, cwd=tmp_path)
    described = {entry.key: entry for entry in describe_settings(settings, origins)}
    assert set(described) == set(origins)
    assert all(entry.doc.endswith(".") and entry.kind for entry in described.values())
    assert (described["server.port"].value, described["server.port"].origin) == ("8", "flag --port")
    assert described["server.port"].variable == "FAIRWAY_SERVER_PORT"
    assert described["server.port"].default == "5000"
    assert described["log.access"].value == "true"


def test_the_reference_names_every_setting() -> None:
    """The generated page is complete."""
    text = render_reference()
    for entry in describe_settings():
        assert f"`{entry.key}`" in text
        assert f"`{entry.variable}`" in text


def test_no_other_module_reads_the_environment() -> None:
    """The settings are the only reader of os.environ; `testing.py` hands it on to a server, unread."""
    source = Path(load_settings.__code__.co_filename).parent
    readers = {
        path.name for path in source.rglob("*.py") if "os.environ" in path.read_text(encoding="utf-8")
        or "os.getenv" in path.read_text(encoding="utf-8")
    }  # fmt: skip
    assert readers <= {"settings.py", "testing.py"}


def test_a_misspelt_variable_is_seen_in_the_real_environment(tmp_path: Path) -> None:
    """The environment of the process is what counts by default."""
    code = "from fairway.settings import load_settings; load_settings()"
    environ = {**os.environ, "FAIRWAY_SERVER_PROT": "1"}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environ, cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert "FAIRWAY_SERVER_PROT" in done.stderr
