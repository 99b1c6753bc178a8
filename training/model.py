"""Training and scoring of the forecast's perceptron."""

from __future__ import annotations

import itertools
import json

import torch
from safetensors.torch import save

from cift.adapters import model as served
from cift.domain.forecast import FEATURES, TARGETS
from training.samples import Samples

NAME = "cift-forecast-1"
EPOCHS = 300
_WIDTH = 16
_SEED = 20260101
_RATE, _DECAY = 0.005, 1e-2


def trained(samples: Samples, decided: Samples, epochs: int) -> dict[str, torch.Tensor]:
    """The tensors that `cift.adapters.model.evaluated` takes, in single precision: those of the pass with which the samples
    in ``decided``, which nothing is learned from, were forecast best."""
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    torch.backends.mkldnn.enabled = False  # type: ignore[assignment, unused-ignore]
    chance = torch.Generator().manual_seed(_SEED)
    (x, y), (other_x, other_y) = _matrices(samples), _matrices(decided)
    tensors = {
        "mean": x.mean(0),
        "scale": x.std(0).clamp(min=1e-6),
        "target_mean": y.mean(0),
        "target_scale": y.std(0).clamp(min=1e-6),
    }
    sizes = (len(FEATURES), _WIDTH, _WIDTH, len(TARGETS))
    learned = []
    for number, (before, after) in enumerate(itertools.pairwise(sizes)):
        weight = torch.randn(after, before, generator=chance, dtype=torch.float64) / before**0.5
        tensors[f"{number}.weight"] = weight.requires_grad_()
        tensors[f"{number}.bias"] = torch.zeros(after, dtype=torch.float64).requires_grad_()
        learned += [tensors[f"{number}.weight"], tensors[f"{number}.bias"]]
    steps = torch.optim.AdamW(learned, lr=_RATE, weight_decay=_DECAY, foreach=False)
    slower = torch.optim.lr_scheduler.CosineAnnealingLR(steps, epochs)
    best, least = tensors, float("inf")
    for _ in range(epochs):
        steps.zero_grad()
        _error(tensors, x, y).backward()
        steps.step()
        slower.step()
        with torch.no_grad():
            error = float(_error(tensors, other_x, other_y))
        if error < least:
            best, least = {name: tensor.detach().clone() for name, tensor in tensors.items()}, error
    return {name: tensor.detach().to(torch.float32).contiguous() for name, tensor in best.items()}


def _error(tensors: dict[str, torch.Tensor], x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """The mean square of standardised errors."""
    wrong = (served.evaluated(tensors, x) - y) / tensors["target_scale"]
    return (wrong * wrong).mean()


def scored(tensors: dict[str, torch.Tensor], learned: Samples, unseen: Samples) -> dict[str, float]:
    """Root-mean-square errors on held-out samples, beside those of two baselines, and how often the direction was right.

    ``nothing changes`` forecasts the mean of what was learned from; ``linear`` is least squares on the same features.
    """
    x, y = _matrices(unseen)
    known, what = _matrices(learned)
    guesses = {
        "model": served.evaluated({name: tensor.to(torch.float64) for name, tensor in tensors.items()}, x),
        "nothing changes": what.mean(0).expand_as(y),
        "linear": _extended(x) @ _least_squares(_extended(known), what),
    }
    found: dict[str, float] = {}
    for column, target in enumerate(TARGETS):
        for name, guess in guesses.items():
            found[f"{target} RMSE, {name}"] = float(((guess - y)[:, column] ** 2).mean().sqrt())
        for name in ("model", "linear"):
            moved = y[:, column] != 0
            right = guesses[name][moved, column].sign() == y[moved, column].sign()
            found[f"{target} direction right, {name}"] = float(right.to(torch.float64).mean())
    return found


def _extended(x: torch.Tensor) -> torch.Tensor:
    return torch.cat([x, torch.ones(len(x), 1, dtype=x.dtype)], 1)


def _least_squares(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    # By the normal equations: LAPACK's other ways differ from build to build in the last bits.
    return torch.linalg.solve(x.T @ x + 1e-9 * torch.eye(x.shape[1], dtype=x.dtype), x.T @ y)


def _matrices(samples: Samples) -> tuple[torch.Tensor, torch.Tensor]:
    return torch.tensor(samples.features, dtype=torch.float64), torch.tensor(samples.targets, dtype=torch.float64)


def encoded(tensors: dict[str, torch.Tensor]) -> bytes:
    """The weights as safetensors; with one entry of metadata, as their order is not the same from run to run."""
    about = {"name": NAME, **served.described()}
    data: bytes = save(tensors, {"cift": json.dumps(about, sort_keys=True)})
    return data
