"""The card of an exported model: how to use it, its scores by language, and how they came about."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from xtransfer.pretrained import OFFLINE
from xtransfer.results import Results, Row, markdown
from xtransfer.run_table import table
from xtransfer.versions import versions

USE = {
    "text-classification": """\
from transformers import pipeline

classify = pipeline("text-classification", model="{name}")
classify({{"text": "One text.", "text_pair": "The other, where the task is on pairs."}}, truncation=True)""",
    "token-classification": """\
from transformers import pipeline

tag = pipeline("token-classification", model="{name}", aggregation_strategy="first")
tag("A sentence.")""",
    "fill-mask": """\
from transformers import pipeline

fill = pipeline("fill-mask", model="{name}")
fill(f"A {{fill.tokenizer.mask_token}} sentence.")""",
    "question-answering": """\
import torch
from transformers import AutoModelForQuestionAnswering, AutoTokenizer

tokenizer = AutoTokenizer.from_pretrained("{name}")
model = AutoModelForQuestionAnswering.from_pretrained("{name}")
passage = "The passage."
inputs = tokenizer("The question?", passage, return_tensors="pt")
with torch.no_grad():
    output = model(**inputs)
inside = torch.tensor([side == 1 for side in inputs.sequence_ids(0)])  # the passage; position 0 stands for no answer
legal = (inside & inside[:, None]).triu().tril(29)  # at most 30 tokens
scores = (output.start_logits[0, :, None] + output.end_logits[0]).where(legal, -torch.inf)
start, end = divmod(int(scores.argmax()), len(scores))
answer = passage[inputs.token_to_chars(start).start : inputs.token_to_chars(end).end].strip()""",
    "multiple-choice": """\
import torch
from transformers import AutoModelForMultipleChoice, AutoTokenizer

tokenizer = AutoTokenizer.from_pretrained("{name}")
model = AutoModelForMultipleChoice.from_pretrained("{name}")
options = ["One option.", "Another."]
inputs = tokenizer(["The prompt."] * len(options), options, padding=True, return_tensors="pt")
with torch.no_grad():
    best = model(**{{key: value.unsqueeze(0) for key, value in inputs.items()}}).logits.argmax(-1)""",
    "sentence-similarity": """\
from sentence_transformers import SentenceTransformer

vectors = SentenceTransformer("{name}").encode(["One sentence.", "Ein Satz."])""",
    "feature-extraction": """\
from transformers import AutoModel, AutoTokenizer
from xtransfer.heads import Head

tokenizer, encoder = AutoTokenizer.from_pretrained("{name}"), AutoModel.from_pretrained("{name}")
head = Head.from_pretrained("{name}/heads/{head}")  # a folder on this machine
inputs = tokenizer("A text.", return_tensors="pt")
states = encoder(**inputs{inner}
head(states, inputs["attention_mask"]).logits""",
}
"""What the hub calls a task -> how such a model is used."""
HUB_NAME = re.compile(r"[\w.-]+(/[\w.-]+)?")


class Told(NamedTuple):
    """What a card says of a model besides its scores.

    Attributes:
        name: Its name on the hub, or that of its folder.
        model: Its class in transformers.
        tag: What the hub calls its task.
        encoder: The pretrained encoder it comes from.
        head: Name of the head.
        head_class: Its class here.
        labels: Names of its outputs.
        layer: The layer of the pretrained encoder that it reads.
        read_inside: Whether that is not the last layer of this model.
        note: Why there is no task model.
    """

    name: str
    model: str
    tag: str
    encoder: str
    head: str
    head_class: str
    labels: Sequence[str]
    layer: int
    read_inside: bool
    note: str


def public_name(encoder: str) -> str:
    """Return an encoder's name as others may read it: of a folder, its last part."""
    local = Path(encoder).expanduser()
    return local.name if local.is_absolute() or local.is_dir() or encoder.startswith((".", "~")) else encoder


def card(told: Told, rows: Results) -> str:
    """Return a model card in Markdown, with the hub's fields at its head; the licence is left to who publishes it."""
    from huggingface_hub import ModelCardData

    tests = rows.where(split="test")
    on_hub = public_name(told.encoder) == told.encoder != OFFLINE and HUB_NAME.fullmatch(told.encoder)
    fields = ModelCardData(
        language=(tests if len(tests) else rows).languages() or None,
        base_model=told.encoder if on_hub else None,
        library_name="sentence-transformers" if told.tag == "sentence-similarity" else "transformers",
        pipeline_tag=told.tag,
        tags=["xtransfer", "cross-lingual-transfer"],
    )
    inner = f", output_hidden_states=True).hidden_states[{told.layer}]"
    use = USE[told.tag].format(
        name=told.name, head=told.head, inner=inner if told.read_inside else ").last_hidden_state"
    )
    parts = [
        f"---\n{fields.to_yaml().rstrip()}\n---",
        f"# {told.name.rpartition('/')[2]}",
        f"`{told.model}`, fine-tuned and scored with xtransfer {versions()['xtransfer']}.",
        *([f"{told.note}."] if told.note else []),
        f"## Use\n\n```python\n{use}\n```",
        f"## Scores\n\n{_scores(rows)}",
        f"## How it came about\n\n{_history(told, rows)}",
        "## Licence\n\nNone is named here: it depends on the licences of the encoder and of the data sets, and is the "
        "choice of who publishes this model (`license` at the head of this file).",
    ]
    return "\n\n".join(parts) + "\n"


def _scores(rows: Results) -> str:
    if not len(rows):
        return "No rows with gold labels were scored."
    return (
        f"{table(rows)}\n\nmean: over the languages of a row; gap: English less the mean of the others. Every score, "
        "with what was counted on the way, is in `results.jsonl`."
    )


def _history(told: Told, rows: Results) -> str:
    """Return where weights and data come from."""
    lines = [f"pretrained encoder: `{public_name(told.encoder)}`, layer {told.layer} is read (the embeddings are 0)"]
    lines.append(f"head: `{told.head}`, a {told.head_class}")
    if told.labels:
        lines.append(f"labels: {', '.join(told.labels)}")
    if not len(rows):
        return "\n".join(f"- {line}" for line in lines)
    row = rows.rows[-1]
    lines += _training(row)
    lines.append("versions: " + ", ".join(f"{name} {version}" for name, version in row.versions.items()))
    scored = {(r.task, r.split, r.language): (str(r.n), r.origin, r.variant) for r in rows if r.main}
    header = ["task", "rows", "language", "scored", "data", "score's definition"]
    data = markdown(header, [[*key, *value] for key, value in scored.items()], left=(0, 1, 2, 4, 5))
    return "\n".join(f"- {line}" for line in lines) + f"\n\nThe data that were scored:\n\n{data}"


def _training(row: Row) -> list[str]:
    """Return how the weights were trained, as far as a result row tells."""
    stages = [f"{stage} ({task})" for stage, task in zip(row.chain, row.trained, strict=False)]
    lines = [f"trained in the stages: {', then '.join(stages) or 'none: the pretrained encoder as it is'}"]
    if row.stage not in row.chain:
        lines.append(f"scored in the stage {row.stage}, which trains nothing")
    tokens = f" on {row.tokens:,} tokens" if row.tokens else ""
    lines.append(f"run {row.run}, seed {row.seed}, {row.steps} steps{tokens} in the last stage; kept: {row.selected}")
    if row.reused_from:
        lines.append(f"that stage was trained by the run and stage {row.reused_from}")
    more = {"protocol": row.protocol, "pooling": row.pooling, "adapters": row.adapters, "threshold": row.threshold}
    more["scored in"] = row.precision
    lines += [f"{name}: {value}" for name, value in more.items() if value]
    if row.training:
        lines.append(f"training data: `{json.dumps(row.training, ensure_ascii=False)}`")
    lines.append(f"digest of configuration, data and history: {row.config}, scored {row.time}")
    return lines
