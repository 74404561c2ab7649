"""fairway with a bundle file instead of the registry, which is what an image of a model starts."""

from __future__ import annotations

from rivals.base import Site
from rivals.fairway import Fairway, workers


class FairwayFile(Fairway):
    """Only its start differs from the registry's, so only that is measured."""

    name = "fairway_file"
    title = "**fairway**, bundle file"
    environment = "fairway"
    starts_only = True

    def prepare(self, site: Site) -> None:
        """Register the model and take it out as one file."""
        super().prepare(site)
        if not (site.folder / "model.fairway").exists():
            site.run("fairway", "pull", "model", "model.fairway", environ=self.environ(site))

    def command(self, site: Site) -> list[str]:
        """Return the command line of `fairway serve`."""
        return ["fairway", "serve", "model.fairway", "--port", str(site.port), *workers(site.bin)]


RIVAL = FairwayFile()
