# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json
from pathlib import Path

import pytest

from caer_ros.benchmark.report import PARTS
from caer_ros.benchmark.run import choose_scenarios
from caer_ros.cli import main


def test_all_sizes_crowds_and_networks_are_measured() -> None:
    scenarios = choose_scenarios(threads=2, quick=False)
    seen = {(s.width, s.persons, s.engine.weights) for s in scenarios}
    assert seen >= {
        (width, persons, weights)
        for width in (640, 1280)
        for persons in (1, 5, 10)
        for weights in ("caer_net_s", "caer_net")
    }
    assert len({scenario.name for scenario in scenarios}) == len(scenarios)
    assert {scenario.engine.threads for scenario in scenarios} == {2}


@pytest.mark.slow
def test_quick_figures_with_the_real_node(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    files = {kind: tmp_path / f"figures.{kind}" for kind in ("json", "png", "markdown")}
    options = [word for kind, path in files.items() for word in (f"--{kind}", str(path))]
    assert main(["benchmark", "--quick", "--node", "--threads", "1", *options]) == 0
    report = json.loads(files["json"].read_text())
    assert report["ratios"]["caer_net_s/openvino_vs_torch"] > 1
    assert report["ratios"]["caer_net/openvino_vs_torch"] > 1
    assert [round(row["persons_found"]) for row in report["pipeline"]] == [1, 5]
    assert all(row["answered"] + row["dropped"] == row["images"] for row in report["node"])
    assert all(row["answered"] > 0 for row in report["node"])
    for row in report["node"]:
        assert sum(row["cpu_ms"][part] for part in PARTS) == pytest.approx(row["cpu_ms"]["total"])
        assert row["cpu_ms"]["transport"] > 0
    assert files["markdown"].read_text().strip() in capsys.readouterr().out
    assert files["png"].stat().st_size > 1000
