"""From a key to a served model: sign, carry to another home, trust, push, require."""

from __future__ import annotations

import dataclasses
import json
import os
import pickle
from pathlib import Path
from typing import Any

import msgspec
import pytest

import fairway as fw
from fairway.bundle.admission import check_signed
from fairway.bundle.attachment import build_attachment
from fairway.bundle.bundle import Bundle, open_bundle
from fairway.bundle.manifest import FileEntry
from fairway.cli.main import main
from fairway.errors import KeyNotTrusted, NotSigned, PackedModelDiffers, UntrustedBundle
from fairway.registry.registry import open_registry
from fairway.testing import running_server

from .conftest import iris_model, iris_table, wait_until

pytest.importorskip("sklearn")


@pytest.fixture(scope="module")
def maker(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a folder with a home that holds iris:1 and iris:2, the first signed, and a key."""
    folder = tmp_path_factory.mktemp("maker")
    for _ in range(2):
        fw.push(iris_model(), name="iris", example=iris_table(), home=folder / "home")
    fw.create_signing_key(folder / "release.key")
    fw.sign("iris:1", key=folder / "release.key", home=folder / "home")
    fw.pull("iris:1", folder / "signed.fairway", home=folder / "home")
    fw.pull("iris:2", folder / "unsigned.fairway", home=folder / "home")
    return folder


def test_a_signed_bundle_is_served_where_its_key_is_trusted(maker: Path, home: Path) -> None:
    """And nowhere else; the compiled predictor goes along, and serves."""
    path = maker / "signed.fairway"
    with pytest.raises(UntrustedBundle, match="signed by a key that is not trusted here"):
        fw.load(path, home=home)
    fw.trust_key(maker / "release.key.pub", home=home)
    assert fw.load(path, home=home).predictor_name != "native"
    version = fw.push(path, home=home)
    assert version.digest == open_bundle(path).digest
    found = fw.verify("iris", home=home)
    assert (found.signed, found.known, found.seals[0].key_name) == (True, False, "release")
    fw.distrust_key("release", home=home)
    with pytest.raises(UntrustedBundle):
        fw.load(path, home=home)


def test_a_foreign_bundle_without_a_signature_comes_in_by_push_alone(maker: Path, home: Path) -> None:
    """As a foreign model file would: checked, proven here, and compiled here."""
    path = maker / "unsigned.fairway"
    with pytest.raises(UntrustedBundle, match="was packed elsewhere") as caught:
        fw.load(path, home=home)
    assert "push it" in caught.value.hint
    version = fw.push(path, home=home)
    with open_registry(home) as registry:
        stored = registry.open(version)
    theirs = open_bundle(path)
    assert stored.digest == theirs.digest
    assert stored.attachments["compiled"].digest != theirs.attachments["compiled"].digest
    assert fw.load("iris", home=home).predictor_name != "native"


def rebuilt(path: Path, files: dict[str, bytes], **facts: Any) -> Bundle:
    """Return a bundle like the one at a path with other files; every hash is right."""
    bundle = open_bundle(path)
    contents = {name: bundle.read(name) for name in bundle.manifest.files} | files
    entries = {name: FileEntry.of(data) for name, data in sorted(contents.items())}
    manifest = msgspec.structs.replace(bundle.manifest, files=entries, **facts)
    return dataclasses.replace(bundle, manifest=manifest, files=contents.__getitem__, attachments={})


def test_a_foreign_bundle_with_code_is_refused(maker: Path, home: Path, tmp_path: Path) -> None:
    """A module is a program, whatever the model file is."""
    spoilt = rebuilt(maker / "unsigned.fairway", {"code/helper.py": b"raise SystemExit('ran')\n"})
    path = spoilt.save(tmp_path / "spoilt.fairway")
    with pytest.raises(UntrustedBundle, match=r"brings Python modules of its own: helper\.py"):
        fw.push(path, home=home)
    assert not (home / "registry.db").exists()


def test_a_foreign_bundle_that_names_a_function_is_refused(maker: Path, home: Path, tmp_path: Path) -> None:
    """One that is installed here does harm enough: it would be called with what the author chose."""
    options = {**open_bundle(maker / "unsigned.fairway").manifest.options, "after": ["os:system"]}
    path = rebuilt(maker / "unsigned.fairway", {}, options=options).save(tmp_path / "spoilt.fairway")
    with pytest.raises(UntrustedBundle, match="has the function 'os:system' called"):
        fw.push(path, home=home)


class Evil:
    """Makes a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return os.system, (f"touch {self.path}",)


def test_a_foreign_bundle_that_could_run_code_is_refused(maker: Path, home: Path, tmp_path: Path) -> None:
    """Also where its author has allowed that; it is not run to find out."""
    pytest.importorskip("fairway.bundle.safety.opcodes", reason="the gate does not read pickles yet")
    (name,) = open_bundle(maker / "unsigned.fairway").model_paths
    evil = pickle.dumps(Evil(tmp_path / "marker"), protocol=4)
    trusted = ["os.system", "posix.system"]
    path = rebuilt(maker / "unsigned.fairway", {name: evil}, trusted=trusted).save(tmp_path / "evil.fairway")
    with pytest.raises(UntrustedBundle, match=r"was packed elsewhere, and .*system"):
        fw.push(path, home=home)
    assert not (tmp_path / "marker").exists()
    assert not (home / "registry.db").exists()


def test_a_foreign_bundle_that_answers_otherwise_here_is_refused(
    maker: Path, home: Path, tmp_path: Path
) -> None:
    """Its golden examples decide, as they do for what is packed here."""
    golden = json.loads(open_bundle(maker / "unsigned.fairway").read("golden.json"))
    golden["expected"] = {name: list(reversed(values)) for name, values in golden["expected"].items()}
    golden["probabilities"] = None
    spoilt = rebuilt(maker / "unsigned.fairway", {"golden.json": json.dumps(golden).encode()})
    with pytest.raises(PackedModelDiffers):
        fw.push(spoilt.save(tmp_path / "spoilt.fairway"), home=home)


def test_a_server_that_requires_a_key_refuses_what_it_has_not_signed(maker: Path, tmp_path: Path) -> None:
    """At start, by an alias that moves, by number; also what its own home has packed."""
    home = maker / "home"
    with pytest.raises(KeyNotTrusted):
        fw.serve("iris:1", require_signed_by=["release"], home=home)
    fw.trust_key(maker / "release.key.pub", home=home)
    for reference in ("iris:2", str(maker / "unsigned.fairway")):
        with pytest.raises(NotSigned, match="is not signed; release must have signed it"):
            fw.serve(reference, require_signed_by=["release"], home=home)
    fw.alias("iris:1", "production", home=home)
    with running_server("iris", "--require-signed-by", "release", home=home) as server:
        assert server.ask("/predict", {"features": [5.1, 3.5, 1.4, 0.2]}).status == 200
        assert server.ask("/models/iris:2/predict", {"features": [5.1, 3.5, 1.4, 0.2]}).status == 503
        fw.alias("iris:2", "production", home=home)
        wait_until(lambda: server.ask("/health").json()["status"] == "degraded", deadline_s=60)
        assert server.ask("/health").json()["models"]["iris"]["code"] == "bundle_not_signed"
        assert server.ask("/predict", {"features": [5.1, 3.5, 1.4, 0.2]}).headers["fairway-model"] == "iris:1"
        fw.sign("iris:2", key=maker / "release.key", home=home)
        wait_until(lambda: server.ask("/health").json()["status"] == "healthy", deadline_s=60)
        assert server.ask("/predict", {"features": [5.1, 3.5, 1.4, 0.2]}).headers["fairway-model"] == "iris:2"
        # What is signed is all of it: a predictor made later is refused until it is signed, too.
        fw.compile("iris:1", home=home)
        fw.alias("iris:1", "production", home=home)
        wait_until(lambda: server.ask("/health").json()["status"] == "degraded", deadline_s=60)


def test_a_predictor_from_elsewhere_beside_a_signed_model_is_refused(
    maker: Path, home: Path, tmp_path: Path
) -> None:
    """Its hashes are right and the model is signed, yet it would decide what is answered."""
    fw.trust_key(maker / "release.key.pub", home=home)
    bundle = open_bundle(maker / "signed.fairway")
    foreign = build_attachment(bundle.digest, "compiled", {"report.json": b"{}"})
    spoilt = bundle.with_attachments([*bundle.attachments.values(), foreign])
    path = spoilt.save(tmp_path / "spoilt.fairway")
    for act in (fw.load, fw.push):
        with pytest.raises(UntrustedBundle, match="the attachment 'compiled'"):
            act(path, home=home)
    with pytest.raises(NotSigned, match="its attachment 'compiled' is not covered"):
        check_signed(home, open_bundle(path), ["release"])
    found = fw.verify(path, home=home)
    assert (found.signed, found.seals[0].uncovered) == (False, ("compiled",))


def test_compiling_a_signed_bundle_keeps_its_signature(maker: Path, home: Path) -> None:
    """It vouches for the model as before, and not for what was made here."""
    fw.trust_key(maker / "release.key.pub", home=home)
    path = home.parent / "copy.fairway"
    path.write_bytes((maker / "signed.fairway").read_bytes())
    fw.compile(path, home=home)
    found = fw.verify(path, home=home)
    assert (found.signed, found.seals[0].uncovered) == (False, ("compiled",))
    assert fw.load(path, home=home).predictor_name != "native"


def test_without_the_compiled_predictor_the_signature_holds(maker: Path, home: Path) -> None:
    """What is not there decides nothing: the model answers itself."""
    fw.trust_key(maker / "release.key.pub", home=home)
    fw.push(maker / "signed.fairway", compile="off", home=home)
    assert fw.verify("iris", home=home).signed
    assert fw.load("iris", home=home).predictor_name == "native"


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str]:
    code = main(list(arguments))
    out, err = capsys.readouterr()
    assert "Traceback" not in err
    return code, out + err


def test_the_command_line_signs_and_verifies(
    maker: Path, home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit 3 until a trusted key has signed; every step says what it did."""
    (tmp_path / "words").write_text("correct horse\n", encoding="utf-8")
    key, path = str(tmp_path / "release.key"), str(tmp_path / "iris")
    protected = ("--passphrase-file", str(tmp_path / "words"))
    fw.pull("iris:2", path, home=maker / "home")
    at = ("--home", str(home))
    made = run(capsys, "signing-key", "create", key, *protected)
    key_id = made[1].partition("Key id  ")[2].split()[0]
    assert made[0] == 0
    assert "BEGIN PUBLIC KEY" in made[1]
    assert "PRIVATE" not in made[1]
    assert run(capsys, "signing-key", "create", key)[0] == 2
    assert run(capsys, "sign", path, "--key", key, *protected, *at)[0] == 1, "it is foreign here"
    assert run(capsys, "sign", path, "--key", key, "--home", str(maker / "home"))[0] == 2, "no passphrase"
    signed = run(capsys, "sign", path, "--key", key, *protected, "--home", str(maker / "home"))
    assert signed == (0, f"Signed {path} with the key {key_id}\n")
    code, told = run(capsys, "verify", path, *at)
    assert code == 3
    assert f"by the key {key_id}, which is not trusted here" in told
    assert run(capsys, "trust", "list", *at)[1].startswith("No key is trusted")
    assert run(capsys, "trust", "add", key, *at)[0] == 2, "the wrong half"
    assert run(capsys, "trust", "add", f"{key}.pub", "--name", "ours", *at)[0] == 0
    assert key_id in run(capsys, "trust", "list", *at)[1]
    code, told = run(capsys, "verify", path, *at)
    assert code == 0
    assert f"by ours ({key_id})" in told
    assert run(capsys, "trust", "remove", key_id[:10], *at) == (0, f"Trusted no longer: ours ({key_id})\n")
    assert run(capsys, "verify", path, *at)[0] == 3
    assert json.loads(run(capsys, "--json", "verify", path, *at)[1])["seals"][0]["state"] == "unknown_key"
