"""What `make life` shows for a minute, for some seconds: nothing is lost, nothing half done is seen."""

from pathlib import Path

import pytest

from tests.life.run import live


@pytest.mark.usefixtures("s3_environment")
def test_processes_that_are_killed_lose_nothing_and_leave_nothing_half_done(store_url: str, tmp_path: Path) -> None:
    life = live(store_url, tmp_path, processes=4, duration_s=6, seed=1)

    assert life.problems == []
    assert life.killed > 1
    assert life.watched.readings > 0
    assert all(life.counts[kind, "done"] for kind in ("publish", "promote"))
