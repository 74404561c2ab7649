"""What travels between the layers: rows in every shape that models want, and ids that sort."""

from __future__ import annotations

import re
import threading
import uuid

import numpy as np

from fairway.messages import Columns, Outputs, Timing, new_id

COLUMNS = Columns(("a", "b"), [[1.5, 2], [None, 3]])


def test_rows_are_readable_in_every_shape() -> None:
    """Columns, one column, records, and a matrix in which a missing value is NaN."""
    assert len(COLUMNS) == 2
    assert COLUMNS.column(1) == [2, 3]
    assert COLUMNS.columns() == {"a": [1.5, None], "b": [2, 3]}
    assert COLUMNS.records() == [{"a": 1.5, "b": 2}, {"a": None, "b": 3}]
    np.testing.assert_array_equal(COLUMNS.matrix(), [[1.5, 2], [np.nan, 3]])
    assert COLUMNS.matrix().dtype == np.float64


def test_no_rows_have_all_their_columns() -> None:
    """A model of frames gets an empty one."""
    empty = Columns(("a", "b"), [])
    assert empty.columns() == {"a": [], "b": []}
    assert empty.records() == []
    assert len(empty.matrix()) == 0


def test_outputs_have_the_length_of_their_values() -> None:
    """One value per row."""
    assert len(Outputs({"y": [1, 2, 3]})) == 3


def test_timing_is_a_server_timing_header() -> None:
    """Milliseconds with a microsecond's precision, and what they come to."""
    timing = Timing(0.0)
    timing.read, timing.predict = 0.00125, 1.0
    assert timing.header() == (
        b"read;dur=1.250, queue;dur=0.000, predict;dur=1000.000, encode;dur=0.000, total;dur=1001.250"
    )


def test_ids_are_uuids_of_version_seven() -> None:
    """Of the RFC's variant."""
    assert uuid.UUID(new_id()).version == 7
    assert uuid.UUID(new_id()).variant == uuid.RFC_4122
    assert re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", new_id())


def test_ids_sort_in_the_order_in_which_they_were_made() -> None:
    """Also within a millisecond, and unique across threads."""
    made = [new_id() for _ in range(5000)]
    assert made == sorted(made)
    lists: list[list[str]] = [[] for _ in range(4)]
    threads = [
        threading.Thread(target=lambda mine=mine: mine.extend(new_id() for _ in range(500))) for mine in lists
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({one for mine in lists for one in mine}) == 2000
    assert all(mine == sorted(mine) for mine in lists)
