"""The model's card: a CycloneDX component of type machine-learning-model (ECMA-424, "modelCard"), as the SBOM takes it in."""

from __future__ import annotations

import json
from collections.abc import Mapping
from hashlib import sha256
from typing import Any

from cift.domain.forecast import FEATURES, HORIZON, TARGETS, WINDOW
from training.model import EPOCHS, NAME
from training.samples import Samples


def encoded(weights: bytes, scores: Mapping[str, float], learned: Samples, unseen: Samples) -> bytes:
    """The card's bytes."""
    return json.dumps(_component(weights, scores, learned, unseen), indent=1, sort_keys=True).encode() + b"\n"


def _component(weights: bytes, scores: Mapping[str, float], learned: Samples, unseen: Samples) -> dict[str, Any]:
    name, _, version = NAME.rpartition("-")
    return {
        "type": "machine-learning-model",
        "name": name,
        "version": version,
        "description": f"Mid-price move and order-flow imbalance over the next {HORIZON} changes of an order book",
        "licenses": [{"license": {"id": "Apache-2.0"}}],
        "hashes": [{"alg": "SHA-256", "content": sha256(weights).hexdigest()}],
        "modelCard": {
            "modelParameters": {
                "approach": {"type": "supervised"},
                "task": "tabular-regression",
                "architectureFamily": "multilayer perceptron",
                "modelArchitecture": "13-16-16-2, tanh, inputs standardised and cut at five deviations",
                "inputs": [{"format": f"{len(FEATURES)} numbers of the last {WINDOW} changes: {', '.join(FEATURES)}"}],
                "outputs": [{"format": f"{len(TARGETS)} numbers: {', '.join(TARGETS)}"}],
                "datasets": [
                    {
                        "type": "dataset",
                        "name": "simulated markets",
                        "description": f"{len(learned.features)} samples of markets that this service's matching core made of "
                        f"its own simulator's orders (training/tape.py), at most {EPOCHS} passes; {len(unseen.features)} samples of "
                        "markets with other seeds were held out for the metrics. No data of people, no real market.",
                    }
                ],
            },
            "quantitativeAnalysis": {
                "performanceMetrics": [
                    {"type": name, "value": f"{value:.4f}", "slice": "held-out markets"}
                    for name, value in scores.items()
                ]
            },
            "considerations": {
                "useCases": ["showing how a model ships, signed and described, with the service that uses it"],
                "technicalLimitations": [
                    _verdict(scores),
                    "it has seen one simulated maker and a few takers, and says nothing about a real market",
                    "what it was trained on is what `cift simulate` makes: it must beat its baselines there, and need not elsewhere",
                ],
            },
        },
    }


def _verdict(scores: Mapping[str, float]) -> str:
    """Whether it is better than what it is compared with, in words that follow from the figures."""
    said = []
    for target in TARGETS:
        error = scores[f"{target} RMSE, model"]
        for baseline in ("nothing changes", "linear"):
            other = scores[f"{target} RMSE, {baseline}"]
            better = "less" if error < other else "NOT less"
            said.append(f"{target}: error {error:.4f} is {better} than {other:.4f} of the baseline '{baseline}'")
    return "; ".join(said)
