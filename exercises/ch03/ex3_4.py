"""3.4: convergence, and accuracy in training, validation and test."""

from __future__ import annotations

from typing import Any

import tilework as tw

TITLE = "Convergence, and accuracy in training, validation and test"
QUESTION = """
What do convergence, training accuracy, validation accuracy and test accuracy tell, and how do they differ? Show
the curves of a real training, and what early stopping makes of it.
"""
NOTICE = """
Convergence is about the loss on the examples trained with: it goes to nothing here, and that says little. The
training accuracy follows it to 100 %, as 266,610 parameters can store 800 digits.

The validation accuracy is measured on examples that no gradient has seen. It stops rising while the loss still
falls: what is learnt after that is those 800 digits, not digits. Choosing by it (when to stop, which weights to
keep, which rate) is allowed.

The test accuracy may be looked at once, at the end. Whatever was chosen by the validation set fits that set a
little too well, so the test's is the honest figure; with few examples to validate with, the two differ by
chance too: the share of 200 is known to about two percentage points only.

Early stopping ends a training when the validation accuracy has not risen for some epochs, and keeps the best
weights. It saves time, and costs no accuracy that could be told from chance.
"""
EXAMPLES, PATIENCE, EPOCHS = 1000, 5, 40
RECIPE = {
    "title": "784-300-100-10 on a few digits",
    "batch": 32,
    "epochs": EPOCHS,
    "network": {"layers": [784, 300, 100, 10]},
    "data": {"kind": "digits", "validation": 0.2},
    "optimiser": {"method": "momentum", "rate": 0.02},
}


def answer(examples: int = EXAMPLES, epochs: int = EPOCHS) -> dict[str, Any]:
    """The curves of a training to the end, and what it gave; the same with early stopping."""
    digits = tw.digits(fetch=False)
    train, validation = digits.train.take(range(examples)).split(0.2, 0)
    data = tw.Data(train, digits.test, digits.source, validation)
    whole = tw.fit(RECIPE, data=data, epochs=epochs)
    stopped = tw.fit({**RECIPE, "patience": PATIENCE}, data=data, epochs=epochs)
    # The test accuracy after each epoch, which nothing may be chosen by: the same training, validated with the test.
    seen = tw.fit(RECIPE, data=tw.Data(train, digits.test, digits.source, digits.test), epochs=epochs)
    return {
        "data": digits.source,
        "examples": {"training": len(train), "validation": len(validation), "test": len(digits.test)},
        "loss": [record.loss for record in whole.history],
        "accuracy": {
            "training": [record.train_accuracy for record in whole.history],
            "validation": [record.validation_accuracy for record in whole.history],
            "test": [record.validation_accuracy for record in seen.history],
        },
        "early": {"epochs": stopped.epochs, "kept": stopped.kept, "test": stopped.accuracy, "patience": PATIENCE},
    }


def text(answer: dict[str, Any]) -> str:
    """Some epochs in a table, and what early stopping gave."""
    curves, count = answer["accuracy"], len(answer["loss"])
    shown = sorted({0, 1, 2, 4, 7, 11, answer["early"]["kept"] - 1, count // 2, count - 1} & set(range(count)))
    rows = [
        (str(i + 1), f"{answer['loss'][i]:.4f}", *(f"{100 * curve[i]:.1f} %" for curve in curves.values()))
        for i in shown
    ]
    early = answer["early"]
    sizes = ", ".join(f"{count:,} for {part}" for part, count in answer["examples"].items())
    return (
        f"{answer['data']}\nof these {sizes}\n\n{tw.table(('epoch', 'loss', *curves), rows)}\n\n"
        f"Early stopping, patience {early['patience']}: ends after epoch {early['epochs']}, keeps the weights of epoch "
        f"{early['kept']}, test accuracy {100 * early['test']:.1f} %;\n"
        f"all {count} epochs: test accuracy {100 * curves['test'][-1]:.1f} %."
    )


def draw(answer: dict[str, Any], path: str) -> None:
    """The three accuracies by epoch."""
    curves = {
        part: [(epoch, 100 * share) for epoch, share in enumerate(curve, 1)]
        for part, curve in answer["accuracy"].items()
    }
    title = "Accuracy in training, validation and test"
    tw.draw_curves({"": curves}, path, title=title, x="epoch", y="accuracy, %")
