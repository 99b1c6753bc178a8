"""``python -m training``: train the service's forecast and write its weights and its card, the same bytes each time.

Samples come from markets that the service's own core has matched (`training.tape`); the held-out ones from other seeds.
Needs torch and safetensors, which the ml variants have; `make train` runs it in the image of one, so that arithmetic, too, is
that of a locked program. One thread, double precision, and none of a processor's own instruction sets.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from cift.domain.instruments import INSTRUMENTS
from training import samples

HERE = Path(__file__).resolve().parent.parent
#: Seeds of markets: to learn from, to decide by when to stop (and, once, by which horizon), and to tell how good it is.
TRAINED_ON, DECIDED_BY, HELD_OUT = range(1, 11), range(201, 203), range(101, 104)
TURNS = 600
#: Before torch is imported: which code it chooses, and how many threads, would otherwise depend on the machine.
_EVERYWHERE_THE_SAME = {"ATEN_CPU_CAPABILITY": "default", "OMP_NUM_THREADS": "1", "MKL_CBWR": "COMPATIBLE"}


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m training", description=__doc__)
    parser.add_argument(
        "--out", type=Path, default=HERE / "cift/models", help="folder to write to (default: %(default)s)"
    )
    parser.add_argument(
        "--quick", action="store_true", help="a fiftieth of the work, to see that it runs: no model to ship"
    )
    options = parser.parse_args(argv)
    os.environ.update(_EVERYWHERE_THE_SAME)
    try:
        from training import card, model
    except ModuleNotFoundError as error:
        print(f"training: {error.name} is not installed here; make train runs this where it is", file=sys.stderr)
        return 1
    turns, epochs = (60, 20) if options.quick else (TURNS, model.EPOCHS)
    seeds = [chosen[:1] if options.quick else chosen for chosen in (TRAINED_ON, DECIDED_BY, HELD_OUT)]
    learned, decided, unseen = (samples.market(INSTRUMENTS.values(), chosen, turns) for chosen in seeds)
    print(f"{len(learned.features)} samples to learn from, {len(unseen.features)} held out", flush=True)
    tensors = model.trained(learned, decided, epochs)
    scores = model.scored(tensors, learned, unseen)
    for name, value in scores.items():
        print(f"{name:48} {value:.4f}")
    options.out.mkdir(parents=True, exist_ok=True)
    weights = model.encoded(tensors)
    (options.out / "forecast.safetensors").write_bytes(weights)
    (options.out / "forecast.modelcard.json").write_bytes(card.encoded(weights, scores, learned, unseen))
    return 0


if __name__ == "__main__":
    sys.exit(main())
