"""The commands `score` and `labels`: what they print, write and refuse."""

from __future__ import annotations

import csv
import json
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from xtransfer.benchmarks import XTREME
from xtransfer.cli import main

DATA = Path(__file__).parents[1] / "data"


@pytest.fixture
def folders(tmp_path: Path) -> tuple[str, str]:
    """PAWS-X in all its languages, half right in English and right elsewhere."""
    for language in XTREME.task("pawsx").languages:
        for side, text in (("p", "0\n1\n" if language == "en" else "1\n1\n"), ("l", "1\n1\n")):
            path = tmp_path / side / "pawsx" / f"test-{language}.tsv"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
    return str(tmp_path / "p"), str(tmp_path / "l")


def test_the_table(folders: tuple[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["score", *folders]) == 0
    out = capsys.readouterr().out
    assert "XTREME, in percent; tags scored like seqeval 0.0.12" in out
    assert "| pawsx    | accuracy |    7 of 7 | 92.86 |        92.86 | -50.00 |" in out
    assert "| xnli     | accuracy |   0 of 15 |     – |            – |      – |" in out
    assert "| classification |     – | not formed: xnli incomplete" in out
    assert "| en       |          50.00 |" in out
    assert "no predictions and no labels: xnli in all 15 languages" in out


def test_json_and_csv_agree_unrounded(
    folders: tuple[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["score", *folders, "--format", "json"]) == 0
    plain = json.loads(capsys.readouterr().out)
    file = tmp_path / "scores.csv"
    assert main(["score", *folders, "--format=csv", f"--output={file}", "--seqeval", "1.x"]) == 0
    assert capsys.readouterr().out == ""
    rows = {(row["task"], row["score"], row["language"]): row for row in csv.DictReader(file.open())}
    assert float(rows["pawsx", "accuracy", "mean"]["value"]) == plain["tasks"]["pawsx"]["means"]["accuracy"]
    assert plain["tasks"]["pawsx"]["avg_metric"] == pytest.approx(650 / 7, abs=1e-12)
    assert (rows["pawsx", "accuracy", "en"]["value"], rows["pawsx", "accuracy", "en"]["n"]) == ("50.0", "2")
    assert float(rows["pawsx", "gap", ""]["value"]) == plain["tasks"]["pawsx"]["gap"] == -50
    assert not any(score == "average" for _, score, _ in rows)
    assert ["xnli", "ar", "no predictions and no labels"] in plain["missing"]


def test_a_mean_that_lacks_languages_says_so_in_csv(
    folders: tuple[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    Path(folders[0], "pawsx", "test-en.tsv").unlink()
    assert main(["score", *folders, "--format", "csv"]) == 0
    out = capsys.readouterr().out
    assert "xtreme,pawsx,accuracy,,mean of 6 of 7 languages,100.0,12" in out
    assert "avg_metric" not in out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["score", "p"], "score needs two folders, found 1"),
        (["score", "p", "l", "--formt", "csv"], "unknown option '--formt'; did you mean '--format'"),
        (["score", "p", "l", "--format", "jsn"], "unknown format 'jsn'; did you mean 'json'"),
        (["score", "p", "l", "--format"], "option '--format' needs a value"),
        (["score", "p", "l", "--format", "csv", "--format=json"], "option '--format' is there twice"),
        (["score", "p", "l", "--benchmark", "xglue"], "unknown benchmark 'xglue'; known: xtreme, xtreme-r"),
        (["score", "p", "l"], "p: expected folders named after tasks"),
        (["labels"], "labels needs one folder, found 0"),
        (["labels", "out", "--data.datadir", "x"], "unknown option '--data.datadir'; did you mean '--data.data_dir'"),
        (["labels", "out", "--tasks", "[]"], "option '--tasks' names nothing"),
        (["labels", "out", "--data.data_dir", "nowhere"], "data.data_dir: no folder nowhere"),
    ],
)
def test_wrong_words(words: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(words) == 2
    said = capsys.readouterr()
    assert message in said.err
    assert said.out == ""


def test_output_into_a_folder_that_is_not_there(
    folders: tuple[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["score", *folders, "--output", str(tmp_path / "x" / "y.md")]) == 2
    assert "--output: no folder" in capsys.readouterr().err


def test_labels_are_written_and_listed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["labels", str(tmp_path / "out"), "--benchmark", "xtreme", "--data.data_dir", str(DATA)]
    assert main([*words, "--tasks", "[xnli, xquad]", "--languages=de,en,fr"]) == 0
    out = capsys.readouterr().out
    assert "| xnli  |    2 of 3 | de en   |    6 |" in out
    assert "no labels: xnli fr: " in out
    written = sorted(path.relative_to(tmp_path / "out").as_posix() for path in (tmp_path / "out").rglob("*.*"))
    assert written == ["xnli/test-de.tsv", "xnli/test-en.tsv", "xquad/test-de.json", "xquad/test-en.json"]
    assert main([*words, "--tasks", "xnli", "--languages", "de", "--folder.xnli", "formats/xnli-xtreme"]) == 2
    assert "3 of 3 rows have no gold label" in capsys.readouterr().out


@pytest.mark.parametrize("command", ["score", "labels"])
def test_help_answers_at_once_and_names_every_option(command: str) -> None:
    code = f"import sys; from xtransfer.cli import main; main(['{command}', '-h']); print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    options = {"score": ("benchmark", "seqeval", "format", "output"), "labels": ("benchmark", "data.data_dir")}
    assert all(f"--{option} " in done.stdout for option in options[command])
    assert done.stdout.endswith("False\n")


def test_the_commands_of_the_documentation(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    page = (Path(__file__).parents[2] / "docs" / "scoring.md").read_text(encoding="utf-8")
    block = [shlex.split(line) for line in re.findall(r"^ +(xtransfer .*)", page, re.MULTILINE)]
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data").symlink_to(DATA, target_is_directory=True)
    done = []
    for _, command, *words in block:
        if command in ("score", "labels"):
            assert main([command, *words]) == 0
            done.append(command)
        if command == "labels":
            shutil.copytree("labels/xnli", "submission/xnli")
    assert done == ["labels", "score", "score"]
    assert "xtreme,xnli,accuracy,,de,100.0,3" in (tmp_path / "scores.csv").read_text()
