# SPDX-License-Identifier: Apache-2.0
"""README, workflows and citation say what is so."""

import re
from pathlib import Path
from xml.etree import ElementTree

import pytest
import yaml

from caer_ros.node_settings import to_markdown

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_page_of_parameters_is_what_the_node_has():
    page = (ROOT / "docs" / "parameters.md").read_text(encoding="utf-8")
    assert page == to_markdown() + "\n", "make parameters"


def test_the_readme_is_short():
    assert len(README.splitlines()) < 150


PAGES = [
    *ROOT.glob("*.md"),
    *(page for room in ("docs", "models", "benchmarks") for page in (ROOT / room).rglob("*.md")),
]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_leads_somewhere(page):
    links = re.findall(r"\]\(([^)#]+)[^)]*\)", page.read_text(encoding="utf-8"))
    missing = [link for link in links if "://" not in link and not (page.parent / link).exists()]
    assert not missing


TARGETS = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))


def test_the_commands_named_are_those_of_make_and_caer():
    assert set(re.findall(r"^    make ([a-z-]+)", README, re.MULTILINE)) <= TARGETS


def workflow(name):
    return yaml.safe_load((ROOT / ".github" / "workflows" / f"{name}.yaml").read_text())


def test_the_workflow_for_wheels_runs_the_commands_of_the_readme_on_every_python():
    (job,) = workflow("wheels")["jobs"].values()
    commands = [step["run"] for step in job["steps"] if "run" in step]
    assert commands == ["make demo", "make test"]
    assert all(f"    {command}\n" in README for command in commands)
    check = (ROOT / "scripts" / "check_machine.sh").read_text()
    assert " | ".join(job["strategy"]["matrix"]["python"]) + ")" in check


def test_the_workflow_for_apt_installs_what_the_readme_installs():
    (job,) = workflow("apt")["jobs"].values()
    hook = job["steps"][-1]["env"]["AFTER_INSTALL_TARGET_DEPENDENCIES"]
    files = re.findall(r"pip install (.*?)(requirements/\S+)", hook)
    assert all((ROOT / path).is_file() for _, path in files)
    for options, path in files[:2]:
        assert f"    pip install {options}src/caer_ros/{path}\n" in README
    distributions = [name.title() for name in job["strategy"]["matrix"]["ros"]]
    assert all(name in README for name in distributions)


def test_citation_and_changelog_are_of_this_version():
    version = ElementTree.parse(ROOT / "package.xml").findtext("version")
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert citation["version"] == version
    heading = f"{version} ({citation['date-released']})"
    assert f"\n{heading}\n{'-' * len(heading)}\n" in (ROOT / "CHANGELOG.rst").read_text()
