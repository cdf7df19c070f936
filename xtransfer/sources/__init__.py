"""Sources: where rows come from, one class a file format, and the hub."""

from xtransfer.sources.files import File, FileSource, choose
from xtransfer.sources.hub import Hub
from xtransfer.sources.pairs import ParallelLines
from xtransfer.sources.squad import SquadJson
from xtransfer.sources.tables import Csv, JsonLines, Tsv
from xtransfer.sources.tagged import Conll, ConllU

__all__ = [
    "Conll",
    "ConllU",
    "Csv",
    "File",
    "FileSource",
    "Hub",
    "JsonLines",
    "ParallelLines",
    "SquadJson",
    "Tsv",
    "choose",
]
