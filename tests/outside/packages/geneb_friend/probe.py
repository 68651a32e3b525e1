"""A probe: the one of tests/outside under another name."""

from dataclasses import replace

from tests.outside.nearest_centroid import KIND as CENTROID

KIND = replace(CENTROID, name="friend-centroid")
