"""The tasks. English intermediate tasks first, then targets in many languages, then tasks of one's own."""

from xtransfer.datamodules.base import TaskDataModule
from xtransfer.datamodules.ccg import CCG
from xtransfer.datamodules.commonsense import COPA, SIQA, XCOPA, CommonsenseQA, CosmosQA, HellaSwag
from xtransfer.datamodules.custom import CustomTask
from xtransfer.datamodules.demo import DemoNLI, DemoQA
from xtransfer.datamodules.mlm import MLM
from xtransfer.datamodules.multitask import MultiTask
from xtransfer.datamodules.nli import ANLI, ANLIR1, ANLIR2, ANLIR3, MNLI, SNLI, XNLI, ANLIPlus, MNLIMismatched
from xtransfer.datamodules.paraphrase import PAWS, PAWSX, QQP
from xtransfer.datamodules.qa import MLQA, SQuAD, SQuAD2, TyDiQA, XQuAD
from xtransfer.datamodules.retrieval import BUCC2018, LAReQA, MewsliPairs, MewsliX, SQuADRetrieval, Tatoeba
from xtransfer.datamodules.tagging import PANX, UDPOS

__all__ = [
    "ANLI",
    "ANLIR1",
    "ANLIR2",
    "ANLIR3",
    "BUCC2018",
    "CCG",
    "COPA",
    "MLM",
    "MLQA",
    "MNLI",
    "PANX",
    "PAWS",
    "PAWSX",
    "QQP",
    "SIQA",
    "SNLI",
    "UDPOS",
    "XCOPA",
    "XNLI",
    "ANLIPlus",
    "CommonsenseQA",
    "CosmosQA",
    "CustomTask",
    "DemoNLI",
    "DemoQA",
    "HellaSwag",
    "LAReQA",
    "MNLIMismatched",
    "MewsliPairs",
    "MewsliX",
    "MultiTask",
    "SQuAD",
    "SQuAD2",
    "SQuADRetrieval",
    "TaskDataModule",
    "Tatoeba",
    "TyDiQA",
    "XQuAD",
]
