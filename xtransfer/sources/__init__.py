"""Sources: where rows come from, one class a file format, and the hub."""

from xtransfer.sources.bucc import Bucc
from xtransfer.sources.files import File, FileSource, choose, native_names
from xtransfer.sources.hub import Hub
from xtransfer.sources.joined import Joined, locate
from xtransfer.sources.lines import TextLines
from xtransfer.sources.mewsli import Mewsli
from xtransfer.sources.pairs import ParallelLines
from xtransfer.sources.sentences import AnswerSentences
from xtransfer.sources.squad import SquadJson
from xtransfer.sources.supertags import CcgBank, TaggedLines
from xtransfer.sources.tables import Csv, JsonLines, Tsv
from xtransfer.sources.tagged import Conll, ConllU
from xtransfer.sources.xquad_r import XquadR

__all__ = [
    "AnswerSentences",
    "Bucc",
    "CcgBank",
    "Conll",
    "ConllU",
    "Csv",
    "File",
    "FileSource",
    "Hub",
    "Joined",
    "JsonLines",
    "Mewsli",
    "ParallelLines",
    "SquadJson",
    "TaggedLines",
    "TextLines",
    "Tsv",
    "XquadR",
    "choose",
    "locate",
    "native_names",
]
