"""The code blocks of the documentation, and the comments on how each is tested; CONTRIBUTING.md has the rules."""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
TESTED = ("sh", "yaml", "python")
OTHER = ("text", "toml")
"""Output, and files that are not ours to run."""

FENCE = re.compile(
    r"^(?P<indent> *)```(?P<language>\w*)[^\n]*\n(?P<code>.*?)^(?P=indent)```$", re.MULTILINE | re.DOTALL
)
COMMENT = re.compile(r"<!-- (?P<word>needs|before)(?:: (?P<value>(?:(?!-->).)*?))? -->\s*\Z")


class Block(NamedTuple):
    """A code block.

    Attributes:
        page: Where it stands, below the root.
        line: Its first line there.
        language: What stands after the fence.
        code: Its text.
        needs: What it takes that tests have not; "" if nothing.
        before: What is run before it, and not shown.
    """

    page: str
    line: int
    language: str
    code: str
    needs: str = ""
    before: str = ""

    @property
    def place(self) -> str:
        return f"{self.page}:{self.line}"


def blocks(path: Path) -> list[Block]:
    """Return the code blocks of a page in their order."""
    text, found = path.read_text(encoding="utf-8"), []
    for fence in FENCE.finditer(text):
        said, above = {}, text[: fence.start()]
        while comment := COMMENT.search(above):
            said[comment["word"]] = comment["value"] or ""
            above = above[: comment.start()]
        code = re.sub(f"^{fence['indent']}", "", fence["code"], flags=re.MULTILINE)
        line = text[: fence.start()].count("\n") + 2
        page = path.relative_to(ROOT).as_posix()
        needs, before = said.get("needs", ""), said.get("before", "")
        found.append(Block(page, line, fence["language"], code, needs, before))
    return found


def every(language: str) -> list[Block]:
    """Return all blocks of a language."""
    return [block for path in PAGES for block in blocks(path) if block.language == language]
