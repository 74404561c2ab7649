"""From a promotion to a proof, as a stranger types it: what is read, what a program gets, exit codes."""

from __future__ import annotations

import csv
import io
import json
import re
import sqlite3
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from fairway.bundle.bundle import Bundle, build_bundle
from fairway.bundle.golden import GoldenExamples
from fairway.bundle.signature import Input, Output, Signature
from fairway.cli.main import main
from fairway.inference.sources import HEAD_INTERVAL_S, RegistrySource
from fairway.registry.registry import Registry, open_registry

HOSTILE = (
    '=HYPERLINK("http://example.org","free")',
    "+1", "-1", "@SUM(A1)", "\t=1", "\r=1",
    "\x1b[31mred\x1b[0m",
    "a\nb\rc",
    "abc\u202egnp.exe",
    "<script>alert(1)</script>",
    "größer ☕ 日本",
)  # fmt: skip


def bundle_of(content: object) -> Bundle:
    signature = Signature((Input("a", "number", typical=1.0),), (Output("rating", "score", "number"),))
    files = {
        "signature.json": json.dumps(signature.to_dict()).encode(),
        "golden.json": json.dumps(GoldenExamples(({"a": 1.0},), {}, None, 0.0).to_dict()).encode(),
        "model/model.bin": f"weights {content}".encode(),
    }
    facts = {"created": "2026-01-01T00:00:00Z", "model_type": "Ridge", "python": "3.11.7", "fairway": "0.1.0"}
    return build_bundle(files, name="coffee", flavor="sklearn", **facts)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """Give a home folder with coffee:1 to coffee:4, of which none is live."""
    with open_registry(tmp_path / "home") as registry:
        for number in range(1, 5):
            registry.register(bundle_of(number), actor="ada")
    return tmp_path / "home"


class Shell:
    """Runs the command line in this process and remembers what it printed."""

    def __init__(self, home: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self._home = home
        self._capsys = capsys
        self.err = ""

    def __call__(self, *arguments: str, code: int = 0) -> str:
        self._capsys.readouterr()
        ended = main([*arguments, "--home", str(self._home)])
        out, self.err = self._capsys.readouterr()
        assert ended == code, out + self.err
        return out

    def json(self, *arguments: str, code: int = 0) -> Any:
        return json.loads(self(*arguments, "--json", code=code))


@pytest.fixture
def shell(home: Path, capsys: pytest.CaptureFixture[str]) -> Shell:
    return Shell(home, capsys)


def test_the_life_of_a_version(shell: Shell) -> None:
    """Every step says what was, what is, why it may be, and how to undo it."""
    assert shell("promote", "coffee:1").splitlines() == [
        "coffee@production was not set",
        "coffee@production is  coffee:1",
        "Gate: no rule asks for anything",
        "Undo: fairway alias coffee@production --remove",
    ]
    assert shell("promote", "coffee:2", "--dry-run").splitlines() == [
        "coffee@production is       coffee:1",
        "coffee@production would be coffee:2",
        "Gate: no client of coffee:1 breaks",
        "Nothing was changed.",
    ]
    assert shell("promote", "coffee:2", "--reason", "better on the March data").splitlines() == [
        "coffee@production was coffee:1",
        "coffee@production is  coffee:2",
        "Gate: no client of coffee:1 breaks",
        "Undo: fairway rollback coffee",
    ]
    assert shell("promote", "coffee:2").startswith("coffee@production points to coffee:2 already; nothing")
    assert shell("rollback", "coffee").splitlines()[:2] == [
        "coffee@production was coffee:2",
        "coffee@production is  coffee:1",
    ]
    told = [line.split("  ", 2)[2] for line in shell("show", "coffee", "--history").splitlines()]
    assert told[4:] == [
        "promoted coffee:1 to coffee@production",
        "promoted coffee@production from coffee:1 to coffee:2 (better on the March data)",
        "rolled back coffee@production from coffee:2 to coffee:1",
    ]


def test_two_people_and_a_protected_alias(shell: Shell, home: Path) -> None:
    """The refusals are exit code 3, and each says who has to run what."""
    shell("promote", "coffee:1")
    assert shell("protect", "coffee@production", "--approvals", "1").splitlines() == [
        "coffee@production is protected: only fairway promote and fairway rollback move it",
        "A promotion needs the approval of one other person",
        "Undo: fairway protect coffee@production --off",
    ]
    shell("alias", "coffee:2", "production", code=1)
    assert "Try: fairway promote coffee:2; or end the protection first" in shell.err
    shell("promote", "coffee:2", code=3)
    assert "Try: let somebody other than " in shell.err
    with open_registry(home) as registry:
        registry.record("approve", model="coffee", version=2, alias="production", actor="grace")
    assert "approved by grace" in shell("promote", "coffee:2")
    assert shell("rollback", "coffee").splitlines()[-1] == "Undo: fairway promote coffee:2"
    assert shell("approve", "coffee:2").startswith("coffee:2 is approved for coffee@production by ")
    assert shell("protect", "coffee@production", "--off").startswith("coffee@production is not protected")
    shell("protect", "coffee", code=2)
    shell("protect", "coffee@production", "--off", "--approvals", "1", code=2)
    assert [event["kind"] for event in shell.json("audit", "coffee", "--kind", "protect")] == ["protect"] * 2


def test_rules_of_the_settings_count(shell: Shell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As fairway.toml has them, for this model or for all."""
    (tmp_path / "fairway.toml").write_text("[gate.default]\nrequire_check = true\n")
    monkeypatch.chdir(tmp_path)
    shell("promote", "coffee:1", code=3)
    assert "it was never checked" in shell.err
    assert "Try: fairway check coffee:1 --data UNSEEN.csv" in shell.err
    (tmp_path / "fairway.toml").write_text("[gate.coffee]\nrequires_approval = true\n")
    shell("promote", "coffee:1", code=3)
    assert "needs the approval of one other person" in shell.err


def test_a_deleted_version_keeps_its_story(shell: Shell) -> None:
    """Its number is not given again, and whoever asks for it is told."""
    shell("promote", "coffee:1")
    shell("delete", "coffee:1", "--yes", code=1)
    assert "coffee@production points to it" in shell.err
    shell("delete", "coffee:2", code=2)
    assert "Try: fairway delete coffee:2 --yes" in shell.err
    shell("delete", "coffee", "--yes", code=2)
    assert "names no version by its number" in shell.err
    assert shell("delete", "coffee:2", "--yes", "--reason", "wrong file").splitlines() == [
        "Deleted coffee:2; its number is never given again",
        "Its story: fairway show coffee --history",
    ]
    shell("show", "coffee:2", code=1)
    assert re.search(r"Try: it was deleted at 2\d{3}-.*; its story: fairway show coffee --history", shell.err)
    assert shell("show", "coffee", "--history").splitlines()[-1].endswith("deleted coffee:2 (wrong file)")
    assert shell.json("delete", "coffee:3", "--yes")["deleted"] == "coffee:3"


def test_what_was_live_when(shell: Shell) -> None:
    """Before the first event, now, and how a time without an offset was read."""
    shell("promote", "coffee:2", "--reason", "better")
    lines = shell("show", "coffee", "--at", "0s").splitlines()
    assert re.fullmatch(r"At \d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC coffee was coffee:2", lines[0])
    assert lines[1] == "Versions  1, 2, 3, 4"
    assert re.match(r"production +coffee:2 +\d{4}-.* UTC +\S+ +better$", lines[-1])
    before = shell("show", "coffee", "--at", "2020-05-03T12:00")
    assert re.match(
        r"At 2020-05-0\d \d\d:\d\d:00 UTC \(2020-05-03T12:00 as local time, UTC[+-]\d{4}\) "
        r"there was no coffee; its first version came at 2",
        before,
    )
    assert "local time" not in shell("show", "coffee", "--at", "2020-05-03T12:00Z")
    found = shell.json("show", "coffee", "--at", "0s")
    assert (found["live"], found["aliases"], found["existed"]) == (2, {"production": 2}, True)
    shell("show", "coffee", "--at", "soon", code=2)
    shell("show", "coffee", "--at", "0s", "--card", code=2)


def test_what_programs_get(shell: Shell) -> None:
    """Every verb has a JSON form."""
    shell("promote", "coffee:1")
    promoted = shell.json("promote", "coffee:2")
    assert (promoted["from"], promoted["to"], promoted["undo"]) == (
        "coffee:1",
        "coffee:2",
        "fairway rollback coffee",
    )
    assert shell.json("promote", "coffee:3", "--dry-run")["dry_run"] is True
    assert shell.json("approve", "coffee:3")["reference"] == "coffee:3"
    assert shell.json("protect", "coffee@production", "--approvals", "2")["approvals"] == 2
    shell("promote", "coffee:3", "--json", code=3)
    problem = json.loads(shell.err)
    assert (problem["code"], problem["status"]) == ("approval_missing", 409)
    assert shell.json("rollback", "coffee")["to"] == "coffee:1"
    proof = shell.json("audit", "verify")
    assert (proof["holds"], proof["broken"]) == (True, None)


# -- the record ------------------------------------------------------------------------------------------


def test_the_record_is_proven_and_a_kept_head_finds_what_was_cut_off(shell: Shell, home: Path) -> None:
    """Exit code 3 and the first broken event."""
    shell("promote", "coffee:1")
    out = shell("audit", "verify")
    head = re.search(r"^Head: (5:[0-9a-f]{64})$", out, re.MULTILINE)
    assert head is not None
    assert out.startswith("5 events, each as it was recorded\n")
    shell("promote", "coffee:2")
    assert "and event 5 is the one that was kept" in shell("audit", "verify", "--head", head[1])
    with sqlite3.connect(home / "registry.db") as database:
        database.execute("UPDATE events SET actor = 'eve' WHERE seq = 3")
    assert shell("audit", "verify", code=3).startswith("The record is broken at event 3: ")
    assert shell.json("audit", "verify", code=3)["broken"]["seq"] == 3
    shell("audit", "verify", "--head", "5", code=2)


def test_the_record_is_read_by_model_time_actor_and_kind(shell: Shell) -> None:
    """Without a verb it is shown."""
    shell("promote", "coffee:1", "--reason", "first")
    lines = shell("audit").splitlines()
    assert lines[0].split() == ["SEQ", "WHEN", "WHO", "WHAT", "WHY"]
    assert re.match(r"^5 .* promoted coffee:1 to coffee@production +first$", lines[-1])
    assert shell("audit", "show", "coffee") == shell("audit", "coffee") == shell("audit")
    assert len(shell.json("audit", "--actor", "ada")) == 4
    assert [
        event["seq"] for event in shell.json("audit", "coffee", "--kind", "promote", "--since", "1h")
    ] == [5]
    assert shell("audit", "--actor", "nobody") == "Nothing of the kind was recorded.\n"
    shell("audit", "tea", code=1)
    shell("audit", "--since", "soon", code=2)


@pytest.mark.parametrize("text", HOSTILE)
def test_a_hostile_reason_stays_a_text(shell: Shell, text: str) -> None:
    """On a terminal, in a spreadsheet and in JSON."""
    shell("promote", "coffee:1", "--reason", text)
    for out in (shell("audit"), shell("show", "coffee", "--history"), shell("show", "coffee", "--at", "0s")):
        assert not set(out) & {"\x1b", "\r", "\t", "\u202e", "\x07"}
        assert len(out.splitlines()) < 10
    cell = next(csv.DictReader(io.StringIO(shell("audit", "--kind", "promote", "--csv"))))["reason"]
    assert not cell.startswith(("=", "+", "-", "@", "\t", "\r"))
    assert cell.isprintable()
    assert shell.json("audit", "--kind", "promote")[0]["reason"] == text
    assert shell.json("audit", "verify")["holds"]


def test_a_reason_that_is_too_long_changes_nothing(shell: Shell) -> None:
    """Refused before anything is written, and 2,000 characters are taken."""
    shell("promote", "coffee:1", "--reason", "x" * 2001, code=2)
    assert "the reason has 2001 characters; the limit is 2000" in shell.err
    for verb in (["approve", "coffee:1"], ["protect", "coffee@production"], ["delete", "coffee:2", "--yes"]):
        shell(*verb, "--reason", "x" * 2001, code=2)
    assert len(shell.json("audit")) == 4
    shell("promote", "coffee:1", "--reason", "x" * 2000)


def test_a_spreadsheet_gets_every_column(shell: Shell) -> None:
    """Details as JSON in one cell; an empty cell for what there is not."""
    shell("promote", "coffee:1")
    shell("promote", "coffee:2")
    rows = list(csv.DictReader(io.StringIO(shell("audit", "--csv"))))
    assert [row["seq"] for row in rows] == ["1", "2", "3", "4", "5", "6"]
    assert (rows[-1]["from_version"], rows[-1]["to_version"], rows[-1]["version"]) == ("1", "2", "")
    assert json.loads(rows[-1]["details"]) == {"gate": ["no client of coffee:1 breaks"]}
    shell("audit", "--csv", "--json", code=2)


# -- several at once -------------------------------------------------------------------------------------

RACER = """
import sys
from pathlib import Path
from fairway.errors import Conflict
from fairway.lifecycle.promote import promote
from fairway.registry.registry import Registry, open_registry

class Patient(Registry):
    def promote(self, *given, **named):
        print("decided", flush=True)
        sys.stdin.readline()
        return super().promote(*given, **named)

opened = open_registry(Path(sys.argv[1]))
try:
    promote(Patient(opened.metadata, opened.artifacts), sys.argv[2], actor=sys.argv[2])
    print("won", flush=True)
except Conflict as error:
    print(error.detail, flush=True)
"""


def test_of_two_promotions_at_once_one_wins(home: Path) -> None:
    """Both were decided upon the same live version; the other one is told what is live now."""
    with open_registry(home) as registry:
        registry.promote("coffee", 1, actor="ada", expected=None)
    racers = [
        subprocess.Popen(
            [sys.executable, "-c", RACER, str(home), reference],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for reference in ("coffee:2", "coffee:3", "coffee:4")
    ]
    assert all(racer.stdout and racer.stdout.readline() == "decided\n" for racer in racers)
    ended = [""] * len(racers)

    def finish(place: int) -> None:
        ended[place] = racers[place].communicate("go\n", timeout=60)[0].strip()

    threads = [threading.Thread(target=finish, args=(place,)) for place in range(len(racers))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert ended.count("won") == 1
    with open_registry(home) as registry:
        winner = registry.resolve("coffee@production")
        assert winner.version == ended.index("won") + 2
        assert [event.kind for event in registry.history("coffee")].count("promote") == 2
        assert registry.verify_audit() is None
    told = f"coffee@production points to {winner.reference}, not to coffee:1: somebody else has moved it"
    assert sorted(text for text in ended if text != "won") == [told, told]


# -- the head in the log ---------------------------------------------------------------------------------


def test_the_head_of_the_record_is_told_at_the_start_and_when_it_changes(home: Path) -> None:
    """At most once a minute, and never the same head twice."""
    told: list[Any] = []
    now = [0.0]
    source = RegistrySource(
        lambda: open_registry(home),
        notify=lambda name, **fields: told.append((name, fields)),
        clock=lambda: now[0],
    )
    try:
        with open_registry(home) as registry:
            for _ in range(3):
                source.token()
            head = registry.head()
            assert told == [("audit.head", {"seq": head.seq, "hash": head.hash})]
            registry.promote("coffee", 1, actor="ada", expected=None)
            registry.promote("coffee", 2, actor="ada", expected=1)
            source.token()
            assert len(told) == 1
            now[0] = HEAD_INTERVAL_S
            source.token()
            assert [fields["seq"] for _, fields in told] == [4, 6]
            now[0] = 10 * HEAD_INTERVAL_S
            source.token()
            assert len(told) == 2
            assert isinstance(registry, Registry)
    finally:
        source.close()
