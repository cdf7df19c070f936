"""CCG supertagging: the syntactic category of every word."""

from __future__ import annotations

from typing import ClassVar

from xtransfer.datamodules.base import TaskDataModule
from xtransfer.sources import CcgBank, Conll, TaggedLines
from xtransfer.task import Task


class CCG(TaskDataModule):
    """The category of every word in combinatory categorial grammar, one of several hundred; English.

    Hockenmaier and Steedman 2007, "CCGbank: A Corpus of CCG Derivations and Dependency Structures Extracted from the
    Penn Treebank". Languages: en. Licence: the Linguistic Data Consortium's (LDC2005T13); there is no free copy, so it
    is read from local files only. Metric: accuracy over words. Reads CCGbank's own files (sections 02 to 21 for
    training, 00 for development, 23 for testing), the same joined to three files (``train.auto`` or
    ``wsj_02-21.auto``, and so on), jiant's ``ccg.train``, ``ccg.dev`` and ``ccg.test`` (a sentence a line: words, tab,
    categories), and the free Parallel Meaning Bank (Abzianidze et al. 2017), whose categories are written otherwise.
    jiant's own preparation of CCGbank splits it differently: 00 to 18, 19 to 21, 22 to 24. The labels are the
    categories of the training rows; a category that is not among them is scored as a wrong prediction.
    """

    task: ClassVar[Task] = Task(
        name="ccg",
        kind="tagging",
        fields={"tokens": "tokens", "tags": "tags"},
        labels_from_train=True,
        unlabelled=("",),
        metric="accuracy",
        files=(
            CcgBank(
                paths={
                    "train": "wsj_0[2-9]??.auto|wsj_1???.auto|wsj_2[01]??.auto",
                    "validation": "wsj_00??.auto",
                    "test": "wsj_23??.auto",
                },
                many=True,
            ),
            CcgBank(
                paths={
                    "train": "train.auto|wsj_02-21.auto",
                    "validation": "dev.auto|wsj_00.auto",
                    "test": "test.auto|wsj_23.auto",
                }
            ),
            TaggedLines(paths={"train": "ccg.train", "validation": "ccg.dev", "test": "ccg.test"}),
            Conll(
                paths={
                    "train": "{language}/gold/train.conll",
                    "validation": "{language}/gold/dev.conll",
                    "test": "{language}/gold/test.conll",
                },
                tag_column=4,
                comments=True,
            ),
        ),
        home="https://catalog.ldc.upenn.edu/LDC2005T13, or for the free data https://pmb.let.rug.nl",
    )
