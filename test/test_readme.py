# SPDX-License-Identifier: Apache-2.0
"""The README says what is so."""

import re
from pathlib import Path

import yaml

from caer_ros.node_settings import NodeSettings
from caer_ros.settings import describe

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def parameter_table():
    rows = ["| parameter | default | allowed | live | |", "|---|---|---|---|---|"]
    for s in describe(NodeSettings):
        default = yaml.safe_dump(s.default, default_flow_style=True).split("\n")[0]
        allowed = ", ".join(s.choices)
        if s.minimum is not None or s.maximum is not None:
            allowed = f"{s.minimum:g} to {s.maximum:g}"
        live = "yes" if s.live else ""
        rows.append(f"| `{s.name}` | `{default}` | {allowed} | {live} | {s.description} |")
    return "\n".join(rows)


def with_current_table(text):
    begin, end = "<!-- parameters -->\n", "\n<!-- end of parameters -->"
    before, rest = text.split(begin)
    return before + begin + parameter_table() + end + rest.split(end)[1]


def test_the_parameter_table_is_what_the_node_has():
    assert with_current_table(README) == README, "update it: .venv/bin/python test/test_readme.py"


def test_every_link_leads_somewhere():
    links = re.findall(r"\]\(([^)]+)\)", README)
    assert links
    missing = [link for link in links if "://" not in link and not (ROOT / link).exists()]
    assert not missing


def test_the_commands_named_are_those_of_make_and_caer():
    targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert set(re.findall(r"^    make ([a-z-]+)", README, re.MULTILINE)) <= set(targets)


if __name__ == "__main__":
    (ROOT / "README.md").write_text(with_current_table(README), encoding="utf-8")
