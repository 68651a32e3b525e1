"""Draw DNA from stated biology, for the demo suite; nothing here was ever read from an organism."""

from __future__ import annotations

from geneb_jax.data.simulation.genes import coding_frames, plant_transcripts, splice_sites
from geneb_jax.data.simulation.genomes import (
    methylated_contexts,
    nucleosome_phasing,
    phage_fragments,
    species_chains,
)
from geneb_jax.data.simulation.regulation import (
    composite_sites,
    cpg_islands,
    ctcf_sites,
    open_chromatin,
    site_clusters,
    tata_promoters,
)

__all__ = [
    "coding_frames",
    "composite_sites",
    "cpg_islands",
    "ctcf_sites",
    "methylated_contexts",
    "nucleosome_phasing",
    "open_chromatin",
    "phage_fragments",
    "plant_transcripts",
    "site_clusters",
    "species_chains",
    "splice_sites",
    "tata_promoters",
]
