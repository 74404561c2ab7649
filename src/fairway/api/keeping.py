"""What keeps a registry: clean-up, backup, and the exchange of versions without a network."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING

from fairway.api._common import actor, open_registry, settings_of
from fairway.errors import UsageError

if TYPE_CHECKING:
    from fairway.lifecycle.exchange import Exported, Imported
    from fairway.registry.backup import Backup
    from fairway.registry.collecting import Collected


def gc(
    *,
    older_than_h: float = 24.0,
    dry_run: bool = False,
    reason: str = "",
    home: str | Path | None = None,
) -> Collected:
    """Remove stored files that no version refers to any more, such as those of deleted versions.

    Others may push meanwhile.

    Args:
        older_than_h: Hours that have to have passed since a file was stored.
        dry_run: Whether to remove nothing and only tell.
        reason: Why; kept in the record.
        home: Folder of the registry.

    Raises:
        ArtifactDigest: A manifest is missing or damaged; nothing is removed that it may refer to.
    """
    from fairway.registry.collecting import collect

    if not (math.isfinite(older_than_h) and older_than_h >= 0):
        raise UsageError(f"{older_than_h} is not an age in hours", hint="--older-than 24")
    with open_registry(settings_of(home)) as registry:
        return collect(
            registry, older_than_s=older_than_h * 3600, dry_run=dry_run, actor=actor(), reason=reason
        )


def backup(path: str | Path, *, home: str | Path | None = None) -> Backup:
    """Write everything that the registry holds to *path*, while others go on using it.

    It goes back into a registry of any kind: what was kept in SQLite and a folder can be restored into
    PostgreSQL and an object store, and the other way round.

    Args:
        path: A file if it ends in `.zip`, else a folder. Nothing is there yet.
        home: Folder of the registry.

    Raises:
        ArtifactDigest: A stored file is missing or damaged.
        StorageFull: There is no space left; nothing is at *path*.
    """
    from fairway.registry.backup import back_up

    with open_registry(settings_of(home)) as registry:
        return back_up(registry, Path(path), actor=actor())


def restore(path: str | Path, *, home: str | Path | None = None) -> Backup:
    """Fill an empty registry from a backup: all of it, verified, or nothing.

    Keys that are trusted here and settings are no part of a registry and of no backup.

    Args:
        path: What `backup` has written.
        home: Folder of the registry.

    Raises:
        RegistryNotEmpty: Something is in the registry; it stays as it is.
        ArtifactCorrupt: There is no backup at *path*, or it is damaged.
        ArtifactDigest: A byte of it is not what was written.
        RegistryInvalid: Its record of events does not hold.
    """
    from fairway.registry import backup as whole

    with open_registry(settings_of(home)) as registry:
        return whole.restore(registry, Path(path), actor=actor())


def export_versions(*references: str, path: str | Path, home: str | Path | None = None) -> Exported:
    """Write versions with their attachments and signatures into one file, for another registry.

    Args:
        *references: What to export, such as `coffee:3`.
        path: The file. Nothing is there yet.
        home: Folder of the registry.

    Raises:
        RegistryError: A reference stands for nothing.
        ArtifactDigest: A stored file is missing or damaged.
    """
    from fairway.lifecycle import exchange

    with open_registry(settings_of(home)) as registry:
        return exchange.export_versions(registry, references, Path(path), actor=actor())


def import_versions(
    path: str | Path,
    *,
    reason: str = "",
    compile: str = "auto",  # noqa: A002 - see pack
    home: str | Path | None = None,
) -> list[Imported]:
    """Register the versions of an exported file that are not here yet; where one is refused, none is.

    They get the next numbers of their models here; their history says where they come from. No alias moves.

    Args:
        path: What `export_versions` has written.
        reason: Why; kept in the history.
        compile: See `push`. What nobody vouches for is always compiled anew.
        home: Folder of the registry.

    Raises:
        ArtifactCorrupt: It is no such file, or it is damaged.
        ArtifactDigest: A byte of it is not what was exported.
        UntrustedBundle: No key that this home trusts has signed a version, and its model could run code.
        PackedModelDiffers: Nobody vouches for a version, and it does not answer here as it did there.
    """
    from fairway.lifecycle import exchange
    from fairway.lifecycle.compiling import check_mode

    mode = check_mode(compile)
    settings = settings_of(home)
    with open_registry(settings) as registry:
        return exchange.import_versions(
            registry, Path(path), home=settings.home, actor=actor(), reason=reason, mode=mode
        )
