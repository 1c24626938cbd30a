"""How good a model is on pictures that it has not learned from."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from labelmesh_training.values import Labels

#: What the mesh keeps of a version: so many metrics at most, these included.
MAX_CONFUSIONS = 60
_LEAST_PROBABILITY = 1e-7


@dataclass(frozen=True)
class Evaluation:
    """`accuracy`, and `recall` of each class that occurs, 0 to 1; `loss` is the mean of -ln(probability of what it shows);
    `confusions` counts the pictures of one class that were taken for another, most frequent first."""

    images: int
    accuracy: float
    loss: float
    recall: dict[int, float]
    confusions: dict[tuple[int, int], int]

    def metrics(self) -> dict[str, float]:
        """By the names that the mesh keeps them under; `confusion_4_as_9` counts pictures."""
        named = {"accuracy": self.accuracy, "loss": self.loss, "held_out_images": float(self.images)}
        named |= {f"recall_{label}": share for label, share in self.recall.items()}
        frequent = list(self.confusions.items())[:MAX_CONFUSIONS]
        return named | {f"confusion_{shown}_as_{taken}": float(count) for (shown, taken), count in frequent}


def evaluate(probabilities: NDArray[np.float32], labels: Labels) -> Evaluation:
    """Of [n, classes] for what n pictures show. Raises ValueError for no pictures."""
    if not len(labels):
        raise ValueError("there are no pictures to measure with")
    answers = probabilities.argmax(axis=1)
    right = answers == labels
    of_shown = probabilities[np.arange(len(labels)), labels]
    recall = {int(label): float(right[labels == label].mean()) for label in np.unique(labels)}
    pairs: dict[tuple[int, int], int] = {}
    for shown, taken in zip(labels[~right], answers[~right], strict=True):
        pair = int(shown), int(taken)
        pairs[pair] = pairs.get(pair, 0) + 1
    confusions = dict(sorted(pairs.items(), key=lambda item: (-item[1], item[0])))
    loss = float(-np.log(np.maximum(of_shown, _LEAST_PROBABILITY)).mean())
    return Evaluation(len(labels), float(right.mean()), loss, recall, confusions)
