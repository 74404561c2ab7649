"""`fairway list`: the models of the registry."""

from __future__ import annotations

from fairway.cli.options import Face, verb
from fairway.cli.output import moment, print_json, print_table, say


@verb("list", example="fairway list\nfairway list --server https://models.example.org", remote=True)
def command(face: Face, /) -> None:
    """Print the models with their versions and aliases."""
    from fairway import api

    models = api.list_models(**face.place)
    if face.as_json:
        print_json(models)
    elif not models:
        say("The registry holds no model yet.", "Begin with: fairway demo, or fairway push MODEL")
    else:
        print_table(
            ["MODEL", "LATEST", "VERSIONS", "ALIASES", "SINCE"],
            [
                (
                    model.name,
                    f"{model.name}:{model.latest}",
                    model.n_versions,
                    ", ".join(f"{alias} = {version}" for alias, version in model.aliases.items()),
                    moment(model.created_at),
                )
                for model in models
            ],
        )
