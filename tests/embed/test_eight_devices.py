"""Eight devices embed to the bit as one does, each with the batches of a device alone."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

_CHILD = Path(__file__).with_name("devices_child.py")
_ROOT = Path(__file__).parents[2]
_WINDOW = {
    **{"input_length": 2560, "trunk_width": 24, "head_count": 2, "key_width": 4, "value_width": 12},
    **{"relative_feature_width": 12, "target_length": 6, "output_width": 48},
    "stage_widths": [12, 12, 12, 16, 20, 20, 24],
}
#: Published model to sizes that compile in seconds; the first by layers, the others by loops over
#: rows, by transforms and by scans, which no partitioner divides.
MODELS: dict[str, dict[str, Any]] = {
    "tiny-nt-v2": {},
    "hyenadna-medium-160k-seqlen-hf": {
        **{"hidden_size": 12, "inner_size": 20, "filter_width": 6, "max_tokens": 2002},
        "layer_count": 2,
    },
    "enformer-official-rough": _WINDOW | {"layer_count": 2},
    "caduceus-ph_seqlen-1k_d_model-256_n_layer-4_lr-8e-3": {
        **{"hidden_size": 16, "inner_size": 32, "time_step_rank": 2, "layer_count": 2}
    },
}


@pytest.mark.parametrize(
    "model",
    [
        "tiny-nt-v2",
        "hyenadna-medium-160k-seqlen-hf",
        *(pytest.param(name, marks=pytest.mark.sweep) for name in list(MODELS)[2:]),
    ],
)
@pytest.mark.fault("F54")
def test_eight_devices_embed_to_the_bit_as_one(model: str) -> None:
    done = subprocess.run(
        [sys.executable, str(_CHILD), model, json.dumps(MODELS[model])],
        cwd=_ROOT,
        env=os.environ | {"XLA_FLAGS": "--xla_force_host_platform_device_count=8"},
        capture_output=True,
        text=True,
        timeout=900,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    told = json.loads(done.stdout)
    assert told["ok"] and told["same"]
    # The budget is one of a device: eight devices take eight times the rows, an eighth each.
    one, eight = told["shapes"]["1"], told["shapes"]["8"]
    assert eight == [[length, 8 * rows] for length, rows in one]
    rows, parts = told["parts"]["8"]
    assert parts == 8 and len(rows) == 1
