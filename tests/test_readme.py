"""What the README shows is so; `tests/documentation` runs every code block of it and of the other pages."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks(language):
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


def test_the_head_can_be_taken_elsewhere(tiny_encoder, tmp_path):
    import shutil

    from xtransfer.heads import SpanHead

    shutil.copytree(tiny_encoder, tmp_path / "encoder")
    SpanHead(32).save_pretrained(tmp_path / "heads" / "tydiqa")
    code = next(block for block in blocks("python") if "SpanHead" in block)
    script = "\n".join(
        [
            "import sys",
            "sys.modules.update(dict.fromkeys(['lightning', 'pytorch_lightning', 'datasets', 'torchmetrics']))",
            f"stage = {str(tmp_path)!r}",
            code,
            "print(tuple(start_and_end.shape), inputs['input_ids'].shape[1])",
        ]
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    shape, length = done.stdout.strip().rsplit(" ", 1)
    assert shape == f"(1, {length}, 2)"


def test_the_configuration_shown_is_the_one_shipped():
    shown = yaml.safe_load(blocks("yaml")[0])
    assert shown == yaml.safe_load((ROOT / "configs" / "mnli_then_tydiqa.yaml").read_text())


def test_links_of_the_documentation_lead_somewhere():
    for page in [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md", *(ROOT / "docs").glob("*.md")]:
        for target in re.findall(r"\]\(([^)#]+)", page.read_text(encoding="utf-8")):
            if not target.startswith("http"):
                assert (page.parent / target).exists(), f"{page.name}: {target}"


MULTITASK = (ROOT / "docs" / "multitask.md").read_text(encoding="utf-8")


def test_the_sampler_can_be_taken_elsewhere():
    (code,) = re.findall(r"```python\n(.*?)```", MULTITASK, re.DOTALL)
    script = f"import sys; sys.modules.update(dict.fromkeys(['lightning', 'transformers', 'datasets']))\n{code}"
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    batches = [yaml.safe_load(line) for line in done.stdout.splitlines()]
    assert len(batches) == 12
    assert all(set(batch) <= set("abcd") or set(batch) <= set("xy") for batch in batches)
