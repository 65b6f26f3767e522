"""What surrounds the code agrees with itself: metadata, pinned versions, commands, documents."""

from __future__ import annotations

import os
import re
import subprocess
import tomllib
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).resolve().parent.parent
TARGETS = ("link", "test", "lint", "bench", "clean")
DOCUMENTS = [
    path.relative_to(ROOT).as_posix()
    for path in [
        *sorted(ROOT.glob("*.md")),
        *sorted((ROOT / "docs").rglob("*.md")),
        *sorted((ROOT / "flowgraphs").rglob("*.md")),
    ]
]


def read(path: str) -> str:
    """Text of a file of the project."""
    return (ROOT / path).read_text(encoding="utf-8")


def pyproject() -> dict[str, Any]:
    """The project's settings."""
    return tomllib.loads(read("pyproject.toml"))


def pins() -> dict[str, Version]:
    """Normalised name and pinned version of every line of the constraints."""
    lines = [line for line in read("constraints.txt").splitlines() if line and not line.startswith("#")]
    pinned = [re.fullmatch(r"([A-Za-z0-9_.-]+)==(\S+)", line) for line in lines]
    named: dict[str, Version] = {canonicalize_name(match[1]): Version(match[2]) for match in pinned if match}
    assert len(named) == len(lines), "every line reads name==version, and no name stands twice"
    return named


def requirements() -> dict[str, list[Requirement]]:
    """What each extra needs; "" holds what everybody needs."""
    project = pyproject()["project"]
    groups = {"": project["dependencies"], **project["optional-dependencies"]}
    return {extra: [Requirement(text) for text in texts] for extra, texts in groups.items()}


def test_every_package_is_listed() -> None:
    folders = [path.parent for top in ("blocks", "isac_models") for path in (ROOT / top).rglob("__init__.py")]
    assert sorted(pyproject()["tool"]["setuptools"]["packages"]) == sorted(
        ".".join(folder.relative_to(ROOT).parts) for folder in folders
    )


def test_every_file_of_a_package_is_shipped() -> None:
    patterns = pyproject()["tool"]["setuptools"]["package-data"]
    shipped = {
        path
        for package, globs in patterns.items()
        for glob in globs
        for path in (ROOT / package.replace(".", "/")).glob(glob)
    }
    present = {
        path
        for top in ("blocks", "isac_models")
        for path in (ROOT / top).rglob("*")
        if path.is_file() and path.suffix != ".py" and "__pycache__" not in path.parts
    }
    assert shipped == present


@pytest.mark.parametrize("extra", sorted(requirements()))
def test_pinned_versions_are_within_the_stated_ranges(extra: str) -> None:
    for requirement in requirements()[extra]:
        if requirement.name != "isac-blocks":
            assert requirement.specifier.contains(pins()[canonicalize_name(requirement.name)]), str(
                requirement
            )


def test_everything_that_gets_installed_is_pinned() -> None:
    pinned = pins()
    waiting = [
        r
        for extra, group in requirements().items()
        if extra != "learn"
        for r in group
        if r.name != "isac-blocks"
    ]
    seen: set[str] = set()
    while waiting:
        requirement = waiting.pop()
        name = canonicalize_name(requirement.name)
        assert name in pinned, f"constraints.txt lacks {name}"
        if name not in seen:
            seen.add(name)
            further = [Requirement(text) for text in metadata.requires(name) or []]
            extras = ["", *requirement.extras]
            waiting += [
                r for r in further if not r.marker or any(r.marker.evaluate({"extra": e}) for e in extras)
            ]


def test_core_and_extras_do_not_repeat_each_other() -> None:
    names = [r.name for group in requirements().values() for r in group]
    assert len(names) == len(set(names))


def test_ruff_is_the_same_before_a_commit_and_in_the_checks() -> None:
    revision = re.search(r"ruff-pre-commit\n\s+rev: v(\S+)", read(".pre-commit-config.yaml"))
    assert revision
    assert Version(revision[1]) == pins()["ruff"]


def test_the_oldest_python_is_stated_once_and_for_all() -> None:
    settings = pyproject()
    assert settings["project"]["requires-python"] == ">=3.11"
    assert settings["tool"]["ruff"]["target-version"] == "py311"
    assert settings["tool"]["mypy"]["python_version"] == "3.11"
    assert "sys.version_info < (3, 11)" in read("Makefile")


def test_the_licence_is_named_and_present() -> None:
    project = pyproject()["project"]
    assert project["license"] == "Apache-2.0"
    assert all((ROOT / name).is_file() for name in project["license-files"])
    assert "Apache License" in read("LICENSE")
    assert "END OF TERMS AND CONDITIONS" in read("LICENSE")


def test_the_changelog_knows_the_version() -> None:
    assert f"## [{pyproject()['project']['version']}]" in read("CHANGELOG.md")


@pytest.mark.parametrize("target", TARGETS)
def test_make_knows_the_target(target: str) -> None:
    assert re.search(rf"^{target}:", read("Makefile"), re.MULTILINE)
    assert re.search(rf"^\.PHONY:.*\b{target}\b", read("Makefile"), re.MULTILINE)
    assert f"make {target}" in read("Makefile"), "make help shows it"


def test_files_named_in_the_makefile_exist() -> None:
    named = re.findall(r"\b(?:flowgraphs|benchmarks)/[\w./-]+", read("Makefile"))
    assert named
    assert [name for name in named if not (ROOT / name).is_file()] == []


def test_the_checks_can_be_run() -> None:
    script = ROOT / ".ci" / "run"
    assert os.access(script, os.X_OK)
    subprocess.run(["bash", "-n", str(script)], check=True)
    assert "make test" in read("README.md"), "the README names the command that tests"
    assert {"make lint", "make test"} <= set(read(".ci/run").splitlines())


def heading_anchors(text: str) -> set[str]:
    """The anchors that a Markdown page offers, as code hosts make them."""
    headings = re.findall(r"^#+ +(.*?) *$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("document", DOCUMENTS)
def test_links_lead_somewhere(document: str) -> None:
    text = re.sub(r"^```.*?^```", "", read(document), flags=re.MULTILINE | re.DOTALL)
    links = re.findall(r"\]\(([^)\s]+)[^)]*\)", text) + re.findall(r"(?:src|href)=\"([^\"]+)\"", text)
    for link in links:
        if re.match(r"[a-z]+:", link):
            continue
        path, _, anchor = link.partition("#")
        target = (ROOT / document).parent / path if path else ROOT / document
        assert target.exists(), f"{document} links to {link}"
        if anchor and target.suffix == ".md":
            assert anchor in heading_anchors(target.read_text(encoding="utf-8")), (
                f"{document} links to {link}"
            )


@pytest.mark.parametrize("document", DOCUMENTS)
def test_files_named_in_documents_exist(document: str) -> None:
    # Names with capitals (blocks/NAME.py) stand for whatever the reader puts there.
    folders = "blocks|isac_models|flowgraphs|tests|benchmarks|docs"
    named = set(
        re.findall(rf"(?<![\w./-])(?:{folders})/[a-z0-9_./-]*[a-z0-9_](?![\w.*<{{-])", read(document))
    )
    assert [name for name in sorted(named) if not (ROOT / name).exists()] == []
