"""Compare what the server answers for the test articles with what the training script predicted for them."""

from __future__ import annotations

import json
import sys
import urllib.request
from pathlib import Path


def main() -> None:
    """Ask about every test article in one call, and count the answers that are the same."""
    url, build = sys.argv[1], Path("build")
    articles = [json.loads(line) for line in (build / "test.ndjson").read_text("utf-8").splitlines()]
    expected = [json.loads(line) for line in (build / "test_expected.ndjson").read_text("utf-8").splitlines()]
    request = urllib.request.Request(
        f"{url}/predict",
        data=json.dumps(articles).encode(),
        headers={"content-type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=60) as reply:
        served = json.load(reply)["predictions"]
    same = sum(answer == offline for answer, offline in zip(served, expected, strict=True))
    print(f"{same} of {len(expected)} articles are answered as the training script predicted them")
    raise SystemExit(same != len(expected))


if __name__ == "__main__":
    main()
