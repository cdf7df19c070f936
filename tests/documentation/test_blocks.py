"""Every code block of the documentation is right: shell blocks are read by the command line, Python blocks run."""

from __future__ import annotations

import importlib.util
import os
import re
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from tests.documentation.pages import OTHER, PAGES, ROOT, TESTED, Block, blocks, every
from xtransfer import cli
from xtransfer.config import Plan, read
from xtransfer.errors import ConfigError
from xtransfer.stage_cli import parse

RECORD = """
set -euo pipefail
record() { { printf '%s\\037' "$@"; printf '\\036'; } >> "$CALLS"; }
for name in xtransfer pip make python git hf jupyter srun; do eval "$name() { record $name \\"\\$@\\"; }"; done
"""
"""A shell in which these commands do nothing but say what they were given."""

BEGINS = {
    "fit": "pipeline.run",
    "fit --check": "pipeline.prepare",
    "validate": "pipeline.evaluate",
    "layers": "pipeline.layers",
    "plan": "planning.plan",
    "score": "evaluator.score",
    "labels": "labels.write_labels",
    "table": "tables_cli.lay_out",
    "table --significance": "results.Results.gains",
    "sweep": "sweeps.sweeping.conduct",
    "sweep --check": "sweeps.checking.checked",
    "compare": "compare.common_tasks",
    "export": "exporting.export",
    "align": "alignment.measure",
    "align --rows": "alignment.read",
    "tasks --mix": "mix_cli.mixes",
}
"""The function with which a command begins its work: what comes before it reads the command line."""


class BegunError(Exception):
    """A command has understood its words; these are the arguments of its work."""


def no_work(*arguments, **settings):
    raise BegunError(arguments, settings)


def shell_pages() -> list[Path]:
    return [path for path in PAGES if any(block.language == "sh" for block in blocks(path))]


def calls(page: Path, folder: Path) -> Iterator[list[str]]:
    """Run the shell blocks of a page in one shell that only records what programs are given; yield that."""
    python = folder / ".venv" / "bin" / "python"
    python.parent.mkdir(parents=True, exist_ok=True)
    python.write_text('#!/bin/bash\n{ printf "%s\\037" python "$@"; printf "\\036"; } >> "$CALLS"\n')
    python.chmod(0o755)
    recorded = folder / "calls"
    recorded.unlink(missing_ok=True)
    shell = [b for b in blocks(page) if b.language == "sh" and not b.needs]
    script = "\n".join([RECORD, *(f"{block.before}\n{block.code}" for block in shell)])
    done = subprocess.run(
        ["bash", "-c", script], cwd=folder, env={**os.environ, "CALLS": str(recorded)}, capture_output=True, text=True
    )
    assert done.returncode == 0, f"{page.name}: {done.stderr}"
    words = recorded.read_text(encoding="utf-8") if recorded.exists() else ""
    for call in words.split("\036")[:-1]:
        yield call.split("\037")[:-1]


def check_stages(plan: Plan, folder: Path, seen: set[str]) -> None:
    for stage in plan.stages:
        if (text := repr((stage.config, stage.parts))) not in seen:
            seen.add(text)
            parse(stage, folder)


def check_command(words: list[str], folder: Path, seen: set[str], monkeypatch) -> None:
    """Let the command line read the words, up to where the command's work would begin."""
    for name in BEGINS.values():
        monkeypatch.setattr(f"xtransfer.{name}", no_work)
    try:
        status = cli.main(words)
    except BegunError as begun:
        first, *others = begun.args[0] or ((),)
        if isinstance(first, Plan):
            check_stages(first, folder, seen)
        elif words[0] == "plan":
            for files in first:
                check_stages(read(files, *others), folder, seen)
        elif words[0] == "sweep":
            for cell in getattr(first, "cells", first):
                check_stages(cell.plan, folder, seen)
    else:
        assert status == 0, f"xtransfer {shlex.join(words)}: the standard error says why"


@pytest.mark.parametrize("page", shell_pages(), ids=lambda page: page.name)
def test_commands_are_understood(page, reader, monkeypatch, capsys):
    seen: set[str] = set()
    for program, *words in calls(page, reader):
        if program == "xtransfer":
            check_command(words, reader, seen, monkeypatch)
        elif program == "make":
            targets = re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
            assert {word for word in words if "=" not in word} <= set(targets), words
        elif program == "python" and words[0] == "-m":
            assert importlib.util.find_spec(words[1]), words
        elif program == "python":
            assert (ROOT / words[0]).is_file(), words
        elif program == "pip":
            extras = re.findall(r"xtransfer\[([\w,-]+)\]", " ".join(words))
            declared = (ROOT / "pyproject.toml").read_text()
            assert all(f"\n{name} = [" in declared for extra in extras for name in extra.split(",")), words
    capsys.readouterr()


def name_of(block: Block) -> str:
    return block.place


@pytest.mark.parametrize("block", [block for block in every("yaml") if not block.needs], ids=name_of)
def test_configurations_can_be_parsed(block, reader):
    path = reader / "shown.yaml"
    path.write_text(block.code, encoding="utf-8")
    check_stages(read([path]), reader, set())


@pytest.mark.parametrize("block", [block for block in every("python") if not block.needs], ids=name_of)
def test_python_runs(block, reader, monkeypatch, capsys):
    monkeypatch.syspath_prepend(str(reader))
    exec(compile(f"{block.before}\n{block.code}", block.place, "exec"), {"__name__": block.place})
    assert "print(" not in block.code or capsys.readouterr().out.strip(), f"{block.place} prints nothing"


def test_every_block_says_what_it_is():
    for path in PAGES:
        for block in blocks(path):
            assert block.language in (*TESTED, *OTHER), f"{block.place}: ```{block.language}"


def test_what_cannot_be_tried_is_written_correctly():
    for language in TESTED:
        for block in (block for block in every(language) if block.needs):
            if language == "sh":
                done = subprocess.run(["bash", "-n"], input=block.code, capture_output=True, text=True)
                assert not done.stderr, block.place
            elif language == "yaml":
                yaml.safe_load(block.code)
            else:
                compile(block.code, block.place, "exec")


@pytest.mark.parametrize(
    "words",
    [
        "fit --config mnli_then_tydiqa.yaml --stages.mnli.data.data_dri DIR",
        "fit --config mnli_then_tidyqa.yaml",
        "table runs/mnli --colums language",
        "plan mnli_then_tydiqa.yaml --trainer.max_epoch 1",
        "ft",
    ],
)
def test_a_wrong_command_would_be_found(words, reader, monkeypatch):
    with pytest.raises((AssertionError, ConfigError)):
        check_command(words.split(), reader, set(), monkeypatch)
