"""4.12: an image classifier, and its top-5 accuracy."""

from __future__ import annotations

import os
from typing import Any

import tilework as tw

TITLE = "An image classifier for folders in ImageNet's layout, and its top-5 accuracy"
QUESTION = """
Train a convolutional network on images that lie in folders as ImageNet's do, train/CLASS/FILE and test/CLASS/FILE,
and measure its top-5 accuracy: the share of test images whose class is among the five that it finds likeliest. 85 %
is the goal.
"""
NOTICE = """
The recipe `images` takes any such folder: `tilework train images --data FOLDER`. The number of classes is that of the
folders. For `tilework exercise 4.12 --full` the environment variable TILEWORK_IMAGES names the folder or tar file.

The answer stored here is for 18,000 images of CIFAR-10, 32 pixels wide. With ten classes a guess is among five
already half of the time, so the top-5 accuracy flatters: look at the top-1 beside it. With ImageNet's thousand
classes a guess would be right in 0.5 % of cases.

A few epochs are enough for the goal here. More of them, wider stages and more images raise the top-1.
"""
FOLDER = "TILEWORK_IMAGES"
EPOCHS = 5


def answer(epochs: int = EPOCHS) -> dict[str, Any]:
    """The accuracies after training, and the validation accuracy by epoch."""
    trained = tw.fit("images", data=os.environ.get(FOLDER), epochs=epochs)
    return {
        "data": trained.source,
        "classes": trained.graph.tensors[trained.graph.outputs[0]].shape[1],
        "parameters": sum(array.size for array in trained.weights.values()),
        "epochs": trained.epochs,
        "validation": [record.validation_accuracy for record in trained.history],
        "top1": trained.accuracy,
        "top5": trained.top5,
    }


def text(answer: dict[str, Any]) -> str:
    """A line for each epoch, and the test's two accuracies."""
    rows = [(str(epoch), f"{100 * share:.1f} %") for epoch, share in enumerate(answer["validation"], 1)]
    top5 = "" if answer["top5"] is None else f"; among the five likeliest: {100 * answer['top5']:.2f} %"
    return (
        f"{answer['data']}\n{answer['parameters']:,} parameters, {answer['classes']} classes\n\n"
        f"{tw.table(('epoch', 'validation accuracy'), rows, left=0)}\n\n"
        f"Test images whose class is the likeliest: {100 * answer['top1']:.2f} %{top5}."
    )
