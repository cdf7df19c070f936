"""Sources: where rows come from, one class a file format, and the hub."""

from xtransfer.sources.bucc import Bucc
from xtransfer.sources.files import File, FileSource, choose
from xtransfer.sources.hub import Hub
from xtransfer.sources.mewsli import Mewsli
from xtransfer.sources.pairs import ParallelLines
from xtransfer.sources.sentences import AnswerSentences
from xtransfer.sources.squad import SquadJson
from xtransfer.sources.tables import Csv, JsonLines, Tsv
from xtransfer.sources.tagged import Conll, ConllU
from xtransfer.sources.xquad_r import XquadR

__all__ = [
    "AnswerSentences",
    "Bucc",
    "Conll",
    "ConllU",
    "Csv",
    "File",
    "FileSource",
    "Hub",
    "JsonLines",
    "Mewsli",
    "ParallelLines",
    "SquadJson",
    "Tsv",
    "XquadR",
    "choose",
]
