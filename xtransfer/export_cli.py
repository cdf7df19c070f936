"""The command ``export``: a finished stage as a folder for transformers, on this machine or on the hub."""

from __future__ import annotations

from xtransfer.errors import ConfigError
from xtransfer.options import split, wants_help

HELP = """\
usage: xtransfer export RUN --to DIR [--stage NAME] [--head NAME] [--push OWNER/NAME [--public]]

Writes a finished stage as a folder that transformers loads, with tokenizer, label names, scores by language and a model
card: its task model (AutoModelForSequenceClassification and so on) where there is one that gives the same logits, which
is tried; otherwise the encoder, with our head beside it. RUN is a run's folder, or that of one of its stages.

  --to DIR             the folder to be written; there must be nothing in it
  --stage NAME         the stage; needed if the run has several
  --head NAME          the head; needed if the stage has several
  --push OWNER/NAME    send it to this model repository of the Hugging Face hub as well, which is made private
  --public             let everyone see it there

  xtransfer export runs/demo --stage qa --to demo-qa
"""


def export(words: list[str]) -> int:
    """Run ``xtransfer export``; return the exit status."""
    if wants_help(words):
        print(HELP, end="")
        return 0
    names, options = split(words, ("to", "stage", "head", "push"), ("public",))
    if len(names) != 1 or "to" not in options:
        raise ConfigError("export needs a run and a folder: xtransfer export RUN --to DIR")
    if "public" in options and "push" not in options:
        raise ConfigError("--public says who may see it on the hub: name a repository there by --push OWNER/NAME")
    from xtransfer import exporting
    from xtransfer.run_cli import quiet

    quiet()
    done = exporting.export(
        names[0], options["to"], options.get("stage"), options.get("head"), options.get("push"), "public" in options
    )
    print(f"{done.folder}: {done.model}, tokenizer and model card")
    if done.note:
        print(f"note: {done.note}")
    if done.url:
        print(f"sent to {done.url}; name a licence in its model card")
    return 0
