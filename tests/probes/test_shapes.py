"""How a pass over X is cut: whatever the matrix, blocks fill what rows are padded to."""

from __future__ import annotations

import pytest

from geneb_jax_probes.matrix.gram_sample import GRAM_ROWS
from geneb_jax_probes.shapes import block_rows_for, blocks_for, row_capacity


@pytest.mark.parametrize("platform", ["cpu", "gpu"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("width", [1, 3, 31, 64, 256, 512, 1000, 1024, 2560, 8192])
@pytest.mark.parametrize("columns", [1, 3, 700])
def test_blocks_fill_what_rows_are_padded_to(
    width: int, columns: int, dtype: str, platform: str
) -> None:
    for rows in (1, 100, 1483, 16_385, 131_073, 400_000):
        cut = blocks_for(rows, width, columns, platform, dtype)
        floor = max(block_rows_for(width, platform), GRAM_ROWS)
        assert row_capacity(rows, floor, platform) % cut.rows == 0
        assert cut.at_once >= 1


def test_products_of_a_small_float32_matrix_stay_in_the_second_level_cache() -> None:
    for width in (64, 256, 512, 768):
        cut = blocks_for(4000, width, 1, "cpu", "float32")
        assert 192 <= cut.rows * cut.at_once
        assert cut.rows * cut.at_once * width * 4 <= 1 << 20
    assert blocks_for(10_000, 1024, 1, "cpu", "float32").at_once == 24
