"""Sources: where rows come from, one class a file format, and the hub."""

from xtransfer.sources.files import File, FileSource, choose
from xtransfer.sources.hub import Hub
from xtransfer.sources.joined import Joined, locate
from xtransfer.sources.pairs import ParallelLines
from xtransfer.sources.squad import SquadJson
from xtransfer.sources.supertags import CcgBank, TaggedLines
from xtransfer.sources.tables import Csv, JsonLines, Tsv
from xtransfer.sources.tagged import Conll, ConllU

__all__ = [
    "CcgBank",
    "Conll",
    "ConllU",
    "Csv",
    "File",
    "FileSource",
    "Hub",
    "Joined",
    "JsonLines",
    "ParallelLines",
    "SquadJson",
    "TaggedLines",
    "Tsv",
    "choose",
    "locate",
]
