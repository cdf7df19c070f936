"""Our heads in task models of transformers: where each part goes, and whether both compute the same."""

from __future__ import annotations

import copy
import inspect
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from transformers import PretrainedConfig, PreTrainedModel
from transformers.models.auto import modeling_auto as auto

from xtransfer.encoder import Encoder
from xtransfer.errors import ConfigError
from xtransfer.heads import ClassificationHead, Head, MaskedLMHead, MultipleChoiceHead, SpanHead, TaggingHead
from xtransfer.inner import LAYERS
from xtransfer.pretrained import PLAIN, position_limit
from xtransfer.pretrained_lm import ACTIVATIONS, PLACES

NAMED = (ClassificationHead, TaggingHead)
"""Heads whose outputs have names."""
DROPOUTS = ("classifier_dropout", "cls_dropout")
"""Where a configuration has the dropout of a head, not of the encoder."""
LENGTH = 8
"""Tokens of the text on which two models are compared."""
TOLERANCE, SMALL = 1e-4, 0.1
"""Difference of two numbers that is but rounding, as a share of the largest number, or of this if that is smaller."""
POOLED: tuple[Mapping[str, str], ...] = (
    {"dense": "classifier.dense", "out_proj": "classifier.out_proj"},  # RoBERTa, XLM-R, MPNet; ELECTRA has GELU
    {"dense": "{base}.pooler.dense", "out_proj": "classifier"},  # BERT, and all that choose among options
    {"dense": "pooler.dense", "out_proj": "classifier"},  # DeBERTa
)


class TaskModel(NamedTuple):
    """A kind of task model that transformers has, and where the parts of our head are in it.

    Attributes:
        head: Our head.
        auto: The Auto class that loads it.
        classes: Configuration class -> model class.
        places: Part of our head -> its name there; the first whose names are all there is meant.
        tag: What the hub calls such a task.
    """

    head: type[Head]
    auto: Any
    classes: Mapping[Any, Any]
    places: tuple[Mapping[str, str], ...]
    tag: str


TASK_MODELS = (
    TaskModel(
        ClassificationHead,
        auto.AutoModelForSequenceClassification,
        auto.MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING,
        POOLED,
        "text-classification",
    ),
    TaskModel(
        SpanHead,
        auto.AutoModelForQuestionAnswering,
        auto.MODEL_FOR_QUESTION_ANSWERING_MAPPING,
        ({"out_proj": "qa_outputs"},),
        "question-answering",
    ),
    TaskModel(
        TaggingHead,
        auto.AutoModelForTokenClassification,
        auto.MODEL_FOR_TOKEN_CLASSIFICATION_MAPPING,
        ({"out_proj": "classifier"},),
        "token-classification",
    ),
    TaskModel(
        MultipleChoiceHead,
        auto.AutoModelForMultipleChoice,
        auto.MODEL_FOR_MULTIPLE_CHOICE_MAPPING,
        POOLED,
        "multiple-choice",
    ),
    TaskModel(
        MaskedLMHead,
        auto.AutoModelForMaskedLM,
        auto.MODEL_FOR_MASKED_LM_MAPPING,
        tuple({"dense": place.dense, "norm": place.norm, "bias": place.bias} for place in PLACES),
        "fill-mask",
    ),
)


class NotHeldError(ConfigError):
    """No model of transformers computes the same as an encoder with a head of ours; the message says why."""


def task_model(body: PreTrainedModel, head: Head) -> PreTrainedModel:
    """Return the task model of transformers that holds an encoder and a head, with the same logits and label names.

    Its weights share their memory with those given. At padding the logits of spans are what the layer gives there;
    ours are set to -1e4.

    Args:
        body: The encoder, as ``AutoModel`` loads it.
        head: The head; one for masked words is tied to the encoder's word embeddings.

    Raises:
        NotHeldError: There is no such model, or it computes something else.
        ConfigError: The head is of a class that this library does not know.
    """
    kind = kind_of(head)
    name, config = type(head).__name__, copy.deepcopy(body.config)
    if getattr(head, "pooling", "first") != "first":
        raise NotHeldError(
            f"{name} pools by the {getattr(head, 'pooling', '')}, the models of {kind.auto.__name__} by the first token"
        )
    model_class = kind.classes.get(type(config), None)
    if model_class is None:
        raise NotHeldError(f"transformers has no {kind.auto.__name__} for a {config.model_type}")
    describe(config, head)
    places = places_in(model_class, config, kind)
    own, prefix = body.state_dict(), model_class.base_model_prefix
    weights = {f"{prefix}.{key}": tensor for key, tensor in own.items() if not key.startswith("pooler.")}
    weights |= {renamed(key, places): tensor for key, tensor in head.state_dict().items()}
    model, report = model_class.from_pretrained(
        None, config=config, state_dict=weights, output_loading_info=True, ignore_mismatched_sizes=True, **PLAIN
    )
    # ModernBERT has biases in all norms or in none; those that the encoder lacks begin as 0.
    biases = getattr(config, "norm_bias", False)
    missing = [key for key in report["missing_keys"] if not (biases and key.endswith("norm.bias"))]
    if different := {*missing, *report["unexpected_keys"], *(key for key, *_ in report["mismatched_keys"])}:
        shown = ", ".join(sorted(different)[:4])
        raise NotHeldError(f"{model_class.__name__} has other parts than {name}: {shown}")
    compare(model, body, head)
    loaded: PreTrainedModel = model
    return loaded


def shortened(encoder: Encoder, layer: int | None = None) -> PreTrainedModel:
    """Return an encoder of transformers whose last hidden states are those after a layer of ours.

    Args:
        encoder: The encoder.
        layer: The layer, the embeddings counting as 0; default the last.

    Raises:
        NotHeldError: Without the layers above it would give something else, as where a norm follows the last one.
    """
    body = encoder.model
    if layer is None or layer == encoder.depth:
        return body
    if layer == 0:
        raise NotHeldError("layer 0 is the embeddings, and an encoder without layers is none")
    config = copy.deepcopy(body.config)
    config.num_hidden_layers = layer
    if getattr(config, "layer_types", None):
        config.layer_types = config.layer_types[:layer]
    weights = {key: tensor for key, tensor in body.state_dict().items() if not _above(key, layer)}
    model_class: Any = type(body)
    pools = "add_pooling_layer" in inspect.signature(model_class).parameters
    options = {**PLAIN, **({"add_pooling_layer": False} if pools else {})}
    short: PreTrainedModel = model_class.from_pretrained(None, config=config, state_dict=weights, **options)
    ids, mask = _text(config)
    with _still(encoder, short):
        expected = encoder(ids, mask, layer=layer)
        found = short(input_ids=ids, attention_mask=mask).last_hidden_state
    if not _equal(found[mask == 1], expected[mask == 1]):
        raise NotHeldError(f"a {config.model_type} without the layers above layer {layer} gives other states than that")
    return short


def kind_of(head: Head) -> TaskModel:
    """Return the kind of task model that a head belongs to.

    Raises:
        NotHeldError: There is none: vectors are no logits.
        ConfigError: The head is of a class of the user's own.
    """
    kind = next((kind for kind in TASK_MODELS if type(head) is kind.head), None)
    if kind is not None:
        return kind
    name = type(head).__name__
    if type(head).__module__.startswith("xtransfer.heads."):
        raise NotHeldError(f"transformers has no task model with a {name}")
    raise ConfigError(
        f"{name} is a class of your own, for which transformers has no model; the stage's encoder/ is one that "
        f"AutoModel loads, and {name}.from_pretrained loads the head: pass on both folders, and your class"
    )


def describe(config: PretrainedConfig, head: Head) -> None:
    """Write into a model's configuration what it has to know of a head: labels, dropout, activations."""
    # What stands there may be of a task the encoder was trained on before.
    names = (list(head.labels) or numbered(head.num_labels)) if isinstance(head, NAMED) else numbered(2)
    config.id2label = dict(enumerate(names))
    config.label2id = {name: number for number, name in enumerate(names)}
    config.problem_type = "single_label_classification" if isinstance(head, ClassificationHead) else None
    for field in DROPOUTS:
        if hasattr(config, field):
            setattr(config, field, head.dropout.p)
    if config.model_type in ("deberta", "deberta-v2"):
        config.pooler_hidden_act = "tanh"
        config.pooler_dropout = head.dropout.p if isinstance(head, ClassificationHead) else 0.0
    if config.model_type == "modernbert" and isinstance(head, MaskedLMHead):
        config.classifier_bias = config.norm_bias = True
        config.classifier_activation = next(name for name, ours in ACTIVATIONS.items() if ours == head.activation)


def numbered(number: int) -> list[str]:
    """Return the names that transformers gives to labels without any."""
    return [f"LABEL_{n}" for n in range(number)]


def places_in(model_class: Any, config: PretrainedConfig, kind: TaskModel) -> dict[str, str]:
    """Return where a model keeps the parts of our head."""
    with torch.device("meta"):
        there = list(model_class(config).state_dict())
    for places in kind.places:
        found = {ours: theirs.format(base=model_class.base_model_prefix) for ours, theirs in places.items()}
        if all(any(f"{key}.".startswith(f"{theirs}.") for key in there) for theirs in found.values()):
            return found
    own = dict.fromkeys(
        key.rpartition(".")[0] for key in there if not key.startswith(f"{model_class.base_model_prefix}.")
    )
    raise NotHeldError(f"{model_class.__name__} has another head ({', '.join(own)}) than {kind.head.__name__}")


def renamed(key: str, places: Mapping[str, str]) -> str:
    """Return the name in a task model of a weight of our head."""
    part, dot, rest = key.partition(".")
    return f"{places[part]}{dot}{rest}"


def _above(key: str, layer: int) -> bool:
    """Say whether a weight is one of the layers above another."""
    found = re.match(rf"(?:{'|'.join(map(re.escape, LAYERS))})\.(\d+)\.", key)
    return found is not None and int(found[1]) >= layer


def compare(model: PreTrainedModel, body: nn.Module, head: Head) -> None:
    """Check that a task model gives the logits of an encoder and a head, on a padded batch of random words.

    Raises:
        NotHeldError: It gives others.
    """
    ids, mask = _text(model.config)
    with _still(model, body, head):
        hidden = body(input_ids=ids, attention_mask=mask).last_hidden_state
        if isinstance(head, MultipleChoiceHead):
            hidden, ids, mask = (tensor.unsqueeze(0) for tensor in (hidden, ids, mask))
        expected, output = head(hidden, mask).logits, model(input_ids=ids, attention_mask=mask)
        found = output.logits if "logits" in output else torch.stack([output.start_logits, output.end_logits], -1)
    if expected.dim() == 3:  # one for each token: those of padding mean nothing
        expected, found = expected[mask == 1], found[mask == 1]
    if not _equal(found, expected):
        name = type(head).__name__
        raise NotHeldError(f"{type(model).__name__} computes something else from the same weights than {name}")


def _equal(found: Tensor, expected: Tensor) -> bool:
    room = TOLERANCE * max(SMALL, float(expected.abs().max()))
    return found.shape == expected.shape and bool(((found - expected).abs() <= room).all())


def _text(config: PretrainedConfig) -> tuple[Tensor, Tensor]:
    """Return random words ``(2, T)`` and their mask, the second text being shorter."""
    padding, size = getattr(config, "pad_token_id", None) or 0, config.vocab_size
    low, high = (padding + 1, size) if padding < size // 2 else (0, padding)
    length = min(LENGTH, position_limit(config))
    ids = torch.randint(low, high, (2, length), generator=torch.Generator().manual_seed(0))
    mask = torch.ones_like(ids)
    mask[1, length // 2 :] = 0
    return ids.masked_fill(mask == 0, padding), mask


@contextmanager
def _still(*modules: nn.Module) -> Iterator[None]:
    """Compute without dropout and gradients; afterwards the modules are in the mode they were in."""
    before = [module.training for module in modules]
    try:
        with torch.no_grad():
            for module in modules:
                module.eval()
            yield
    finally:
        for module, training in zip(modules, before, strict=True):
            module.train(training)
