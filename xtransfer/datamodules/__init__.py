"""The tasks. English intermediate tasks first, then targets in many languages, then tasks of one's own."""

from xtransfer.datamodules.base import TaskDataModule
from xtransfer.datamodules.ccg import CCG
from xtransfer.datamodules.commonsense import XCOPA, CommonsenseQA
from xtransfer.datamodules.custom import CustomTask
from xtransfer.datamodules.demo import DemoNLI, DemoQA
from xtransfer.datamodules.nli import MNLI, XNLI
from xtransfer.datamodules.qa import SQuAD, SQuAD2, TyDiQA, XQuAD
from xtransfer.datamodules.retrieval import BUCC2018, LAReQA, MewsliPairs, MewsliX, SQuADRetrieval, Tatoeba
from xtransfer.datamodules.tagging import PANX, UDPOS

__all__ = [
    "BUCC2018",
    "CCG",
    "MNLI",
    "PANX",
    "UDPOS",
    "XCOPA",
    "XNLI",
    "CommonsenseQA",
    "CustomTask",
    "DemoNLI",
    "DemoQA",
    "LAReQA",
    "MewsliPairs",
    "MewsliX",
    "SQuAD",
    "SQuAD2",
    "SQuADRetrieval",
    "TaskDataModule",
    "Tatoeba",
    "TyDiQA",
    "XQuAD",
]
