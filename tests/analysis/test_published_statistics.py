"""Every recomputed statistic of the paper, from the shipped scores, to its printed digits.

The numbers on the right were recomputed from the released scores with pandas and scipy, apart from
this project; where the paper prints another number, the test's comment says so. Row numbers are
those of the table in docs/statistics.md.
"""

from __future__ import annotations

import csv
from decimal import ROUND_HALF_UP, Decimal
from pathlib import Path

import numpy as np
import pytest

from geneb_jax.analysis import (
    OUT_OF_DOMAIN_CORPORA,
    ScoreCube,
    aggregate,
    category_leaders,
    contrasts,
    end_bands,
    few_shot_degradation,
    in_domain,
    label_groups,
    mean_macro,
    micro_macro,
    pair_differences,
    published_cube,
    published_pairs,
    published_probe_subset,
    regime_agreement,
    retention,
    scaling,
    size_gap,
    size_tiers,
    smaller_beats_larger,
    specialisation,
    task_spread,
    win_counts,
)

EVO = "evo-1-131k-base"
AGGREGATES = Path(__file__).with_name("published_aggregates.csv")

# The last column is the rank agreement of full data with 10-shot. For DNA methylation two models
# tie at 10-shot in exact arithmetic, which gives 0.498; float sums that break the tie give 0.496.
PER_CATEGORY = """
Histone Mod.   30 0.4473 0.2192 0.0882 19.7 0.579 0.0001 0.655 0.773
Promoters      22 0.6930 0.4804 0.2687 38.8 0.487 0.0014 0.598 0.848
Enhancers       8 0.4463 0.2784 0.1337 30.0 0.490 0.0013 0.593 0.638
DNA Methyl.     8 0.2190 0.0555 0.0148  6.8 0.345 0.0295 0.448 0.498
Splice Sites    7 0.4408 0.1429 0.0598 13.6 0.537 0.0004 0.655 0.765
lncRNA          6 0.2578 0.0522 0.0225  8.7 0.568 0.0001 0.671 0.897
Mouse Enh.      5 0.4765 0.1552 0.0516 10.8 0.474 0.0020 0.580 0.901
TF Binding      5 0.5508 0.2060 0.0777 14.1 0.356 0.0243 0.460 0.881
Species Clf.    3 0.6218 0.4168 0.1871 30.1 0.304 0.0566 0.405 0.905
Regulatory      2 0.4075 0.1544 0.0739 18.1 0.376 0.0169 0.478 0.580
Virus/Phage     2 0.4163 0.1194 0.0273  6.5 0.433 0.0052 0.528 0.832
Coding/NC       1 0.8033 0.5900 0.2270 28.3 0.482 0.0016 0.573 0.855
Chromatin Acc.  1 0.5653 0.4137 0.1490 26.4 0.238 0.1399 0.325 0.376
""".strip().splitlines()


@pytest.fixture(scope="module")
def cube() -> ScoreCube:
    return published_cube()


def printed(value: float, digits: int, sign: str = "") -> str:
    """A decimal fraction as people print it: halves away from zero, and no negative zero."""
    exact = Decimal(repr(round(float(value), 12)))
    text = f"{exact.quantize(Decimal(1).scaleb(-digits), rounding=ROUND_HALF_UP):{sign}f}"
    return text.replace("-", sign) if float(text) == 0 else text


def score(cube: ScoreCube, model_id: str, category: str, regime: str = "full") -> float:
    means = aggregate(cube)
    place = cube.model_index(model_id), cube.regime_index(regime)
    if category == "macro":
        return float(means.macro[place])
    return float(means.category[*place, cube.category_index(category)])


def test_every_published_aggregate(cube: ScoreCube, tolerance) -> None:
    means = aggregate(cube)
    names = {name: means.category[:, :, k] for k, name in enumerate(means.categories)}
    names |= {"macro": means.macro, "micro": means.micro}
    rows = list(csv.DictReader(AGGREGATES.read_text(encoding="utf-8").splitlines()))
    assert len(rows) == 120
    for row in rows:
        place = cube.model_index(row["model_id"]), cube.regime_index(row["regime"])
        for name, ours in names.items():
            # Both sides are rounded: the scores to 4 decimals, the aggregates to 4 decimals.
            assert abs(ours[place] - float(row[name])) <= tolerance(
                "published_aggregate", "float64"
            )


@pytest.mark.parametrize(
    ("sizes", "all_models", "without_evo"),
    [
        ("best", "0.5648", "0.6852"),
        ("meta", "0.5652", "0.6856"),
        ("paper", "0.5653", "0.6858"),
        ("readme", "0.5735", "0.6946"),
    ],
)
def test_rows_1_and_2_scaling_by_size_column(sizes, all_models, without_evo) -> None:
    cube = published_cube(sizes)
    assert printed(scaling(cube, "full").macro.rho, 4) == all_models
    assert printed(scaling(cube, "full", without=[EVO]).macro.rho, 4) == without_evo


def test_row_1_p_value(cube: ScoreCube) -> None:
    assert f"{scaling(cube, 'full').macro.p:.1e}" == "1.5e-04"


def test_row_3_category_scaling(cube: ScoreCube) -> None:
    found = scaling(cube, "full").categories
    significant = {name: c.rho for name, c in found.items() if c.p < 0.05}
    assert len(found) == 13
    assert len(significant) == 11
    assert printed(min(significant.values()), 4) == "0.3446"
    assert min(significant, key=significant.get) == "DNA Methyl."
    assert printed(max(significant.values()), 4) == "0.5794"
    assert max(significant, key=significant.get) == "Histone Mod."
    # "0.345 to 0.579" is the range of the significant ones: two others are lower.
    assert found["Species Clf."].rho < 0.345 and found["Chromatin Acc."].rho < 0.345
    meta = scaling(published_cube("meta"), "full").categories
    assert printed(meta["DNA Methyl."].rho, 4) == "0.3471"
    assert printed(meta["Histone Mod."].rho, 4) == "0.5792"


@pytest.mark.parametrize(
    ("regime", "rho"), [("full", "0.9882"), ("10shot", "0.960"), ("1shot", "0.904")]
)
def test_row_4_micro_against_macro(cube: ScoreCube, regime, rho) -> None:
    correlation, _ = micro_macro(cube, regime)
    assert printed(correlation.rho, len(rho) - 2) == rho


def test_row_5_mean_macro(cube: ScoreCube) -> None:
    means = mean_macro(cube)
    assert {name: printed(value, 4) for name, value in means.items()} == {
        "full": "0.4881",
        "10shot": "0.2526",
        "1shot": "0.1062",
    }


def test_row_6_high_variance_tasks(cube: ScoreCube) -> None:
    spread = task_spread(cube, "full")
    assert sum(task.sd > 0.12 for task in spread) == 13
    assert spread[0].task_id == "leannmlindsey_GUE_fungi_species_20"
    assert printed(spread[0].sd, 3) == "0.216"
    plain = cube.in_regime("full").std(axis=0, ddof=0)
    assert int((plain > 0.12).sum()) == 13


def test_row_7_wins(cube: ScoreCube) -> None:
    wins = win_counts(cube, "full")
    assert sum(wins.values()) == 100  # no ties
    assert wins["LucaOne-default-step36M"] == 20
    assert max(wins.values()) == 20
    assert sum(count > 0 for count in wins.values()) == 16  # it and 15 others
    assert wins["GENERator-eukaryote-3b-base"] == 17


def test_row_8_best_small_model(cube: ScoreCube) -> None:
    assert printed(score(cube, "MutBERT", "macro"), 4) == "0.5294"
    small = cube.select_models(cube.params < 1e8)
    macro = aggregate(small).macro[:, 0]
    assert small.model_ids[int(np.argmax(macro))] == "MutBERT"
    leaders = category_leaders(small, "full")
    assert sum(names == ("MutBERT",) for names in leaders.values()) == 8


def test_row_9_mutbert_against_eccdnamamba(cube: ScoreCube) -> None:
    a, b = (score(cube, name, "macro") for name in ("MutBERT", "eccdnamamba_weights"))
    assert printed(b, 4) == "0.4193"
    assert printed(a - b, 4, "+") == "+0.1100"
    ratio = {
        sizes: published_cube(sizes).params[cube.model_index("eccdnamamba_weights")] / 86e6
        for sizes in ("best", "readme")
    }
    assert {name: printed(value, 1) for name, value in ratio.items()} == {
        "best": "11.6",
        "readme": "6.2",
    }


def test_row_10_is_another_pair_than_stated_in_summaries(cube: ScoreCube) -> None:
    virus = "Virus/Phage"
    assert printed(score(cube, "GenomeOcean-500M", virus), 4) == "0.6568"
    assert printed(score(cube, "eccdnamamba_weights", virus), 4) == "0.3016"
    omni, mamba = "Omni-DNA-1B", "eccdnamamba_weights"
    for category, expected in (
        ("Splice Sites", "0.604/0.252"),
        ("Mouse Enh.", "0.675/0.370"),
    ):
        both = score(cube, omni, category), score(cube, mamba, category)
        assert f"{both[0]:.3f}/{both[1]:.3f}" == expected
    assert printed(score(cube, omni, virus), 3) != "0.657"


@pytest.mark.parametrize(
    ("sizes", "pairs"), [("best", 31), ("meta", 31), ("paper", 31), ("readme", 25)]
)
def test_row_11_smaller_beats_larger_in_domain(sizes, pairs) -> None:
    cube = in_domain(published_cube(sizes), OUT_OF_DOMAIN_CORPORA)
    assert len(cube.models) == 36
    assert len(smaller_beats_larger(cube, "full")) == pairs


def test_row_11_micro_and_all_models(cube: ScoreCube) -> None:
    inside = in_domain(cube, OUT_OF_DOMAIN_CORPORA)
    assert len(smaller_beats_larger(inside, "full", aggregate_by="micro")) == 31
    assert len(smaller_beats_larger(cube, "full")) == 74


def test_row_12_retention(cube: ScoreCube) -> None:
    kept = retention(cube)
    assert printed(100 * kept["Promoters"]["1shot"], 1) == "38.8"
    assert printed(100 * kept["Species Clf."]["1shot"], 1) == "30.1"


def test_row_13_few_shot_losses(cube: ScoreCube) -> None:
    losses = few_shot_degradation(cube)
    one = sorted(losses["1shot"], key=lambda loss: loss.absolute)
    assert (one[0].model_id, printed(one[0].absolute, 4)) == (EVO, "0.1964")
    assert (one[-1].model_id, printed(one[-1].absolute, 4)) == (
        "GENERator-eukaryote-3b-base",
        "0.4886",
    )
    ten = {loss.model_id: loss.absolute for loss in losses["10shot"]}
    assert printed(ten[EVO], 3) == "0.104"
    assert printed(ten["GENERator-eukaryote-3b-base"], 3) == "0.279"
    largest = max(ten, key=ten.get)
    assert largest == "nucleotide-transformer-v2-250m-multi-species"
    assert printed(ten[largest], 4) == "0.2895"


def test_row_14_enformer(cube: ScoreCube) -> None:
    means = aggregate(cube).category[:, 0]
    row = cube.model_index("enformer-official-rough")
    found = {}
    for name in ("TF Binding", "Enhancers", "Regulatory", "Mouse Enh.", "Chromatin Acc."):
        column = means[:, cube.category_index(name)]
        found[name] = (printed(column[row], 4), int((column > column[row]).sum()) + 1)
    assert found == {
        "TF Binding": ("0.6983", 1),
        "Enhancers": ("0.5385", 1),
        "Regulatory": ("0.6039", 1),
        "Mouse Enh.": ("0.6737", 2),
        "Chromatin Acc.": ("0.7110", 3),
    }


def test_row_15_probe_subset(cube: ScoreCube, tolerance) -> None:
    subset = published_probe_subset()
    assert (len(subset.models), len(subset.tasks)) == (11, 13)
    chosen = cube.keep_tasks(np.isin([task.task_id for task in cube.tasks], subset.tasks))
    assert len(chosen.categories) == 13
    means = aggregate(chosen).micro[:, 0]
    apart = []
    for name, stated in zip(subset.models, subset.linear, strict=True):
        ours = means[cube.model_index(name)]
        # The table is the authors' separate run, printed to three decimals.
        if abs(ours - stated) > tolerance("published_probe_subset", "float64"):
            apart.append((name, printed(ours, 4), stated))
    # The one value of the paper's table that the released scores do not give.
    assert apart == [("hyenadna-large-1m-seqlen-hf", "0.4564", 0.427)]


def test_row_16_controlled_pairs(cube: ScoreCube, tolerance) -> None:
    differences = pair_differences(cube, published_pairs(), "full")
    assert len(differences) == 30
    for entry in differences:
        stated = float(entry.pair.stated)
        assert abs(entry.macro - stated) <= tolerance("published_pair", "float64")
    factors = [entry.pair.factor for entry in differences]
    assert [factors.count(name) for name in ("architecture", "pretraining", "tokenization")] == [
        9,
        9,
        12,
    ]


def test_row_17_multi_species_against_human(cube: ScoreCube) -> None:
    (found,) = [
        entry
        for entry in contrasts(cube, pair_differences(cube, published_pairs(), "full"))
        if entry.factor == "pretraining"
        and {entry.label_a, entry.label_b} == {"multi-species", "human"}
    ]
    assert (found.label_a, found.pairs) == ("multi-species", 6)
    assert (printed(found.macro, 4, "+"), found.macro_positive) == ("+0.0121", 4)
    expected = {
        "Chromatin Acc.": ("+0.062", 6),
        "Splice Sites": ("+0.038", 4),
        "Species Clf.": ("+0.031", 3),
        "Mouse Enh.": ("+0.024", 4),  # the paper prints +0.023
        "lncRNA": ("+0.022", 5),
        "Histone Mod.": ("+0.009", 4),
        "Regulatory": ("+0.008", 3),
        "DNA Methyl.": ("+0.005", 2),
        "Coding/NC": ("+0.000", 3),
        "Enhancers": ("-0.001", 3),
        "Promoters": ("-0.001", 2),
        "TF Binding": ("-0.005", 2),
        "Virus/Phage": ("-0.034", 2),
    }
    ours = {
        name: (printed(found.category[name], 3, "+"), found.category_positive[name])
        for name in expected
    }
    assert ours == expected


def test_row_18_new_leaders(cube: ScoreCube) -> None:
    changed = {entry.regime: len(entry.new_leaders) for entry in regime_agreement(cube)}
    assert changed == {"10shot": 8, "1shot": 11}


def test_row_19_size_tiers(cube: ScoreCube) -> None:
    tiers = [(tier.count, printed(tier.mean, 3)) for tier in size_tiers(cube, "full")]
    assert tiers == [(11, "0.443"), (16, "0.485"), (6, "0.526"), (7, "0.533")]


def test_row_20_size_gap(cube: ScoreCube) -> None:
    gap = size_gap(cube, "full")
    assert (gap.large, gap.small, printed(gap.gap, 4)) == (11, 18, "0.0643")
    means = aggregate(cube).macro[:, 0]
    assert printed(means[cube.params >= 1e9].mean(), 4) == "0.5268"
    assert printed(means[cube.params < 2e8].mean(), 4) == "0.4625"
    without = cube.select_models(np.array([name != EVO for name in cube.model_ids]))
    assert printed(size_gap(without, "full").gap, 3) == "0.087"


def test_row_21_hard_tasks(cube: ScoreCube) -> None:
    means = sorted(task.mean for task in task_spread(cube, "full"))
    assert sum(mean < 0.35 for mean in means) == 28
    assert [printed(mean, 3) for mean in means[:3]] == ["0.061", "0.103", "0.107"]


def test_row_22_macro_minus_micro(cube: ScoreCube) -> None:
    assert printed(micro_macro(cube, "full")[1], 4) == "0.0087"
    means = aggregate(cube)
    gap = means.macro[:, 0] - means.micro[:, 0]
    expected = {
        EVO: "-0.0439",
        "caduceus-ps_seqlen-131k_d_model-256_n_layer-16": "-0.0279",
        "PlantCaduceus_l32": "-0.0241",
        "DNABERT-S": "+0.0085",  # the paper prints +0.008, cut instead of rounded
    }
    assert {name: printed(gap[cube.model_index(name)], 4, "+") for name in expected} == expected


def test_row_23_multi_species_against_microbial(cube: ScoreCube) -> None:
    differences = pair_differences(cube, published_pairs(), "full")
    (found,) = [
        entry
        for entry in contrasts(cube, differences)
        if "multi-species-microbial" in (entry.label_a, entry.label_b)
    ]
    assert (found.label_a, found.pairs, printed(found.macro, 4, "+")) == (
        "multi-species",
        2,
        "+0.0844",
    )
    assert printed(found.category["Splice Sites"], 3, "+") == "+0.222"
    assert printed(found.category["Species Clf."], 3, "+") == "+0.130"
    single = [printed(d.macro, 4) for d in differences if d.pair.model_b == "DNABERT-S"]
    assert single == ["0.0881", "0.0807"]


def test_row_24_bpe_against_kmer(cube: ScoreCube) -> None:
    differences = pair_differences(cube, published_pairs(), "full")
    found = {
        entry.within: (entry.pairs, printed(entry.macro, 4, "+"))
        for entry in contrasts(cube, differences, within_architecture=True)
        if (entry.factor, entry.label_a, entry.label_b) == ("tokenization", "BPE", "k-mer")
    }
    assert found["T-dec"] == (3, "+0.0203")
    # Genomics-FM is BPE+k-mer in the paper's table; the paper counts its two pairs as k-mer.
    mixed = [
        entry
        for entry in differences
        if entry.pair.factor == "tokenization"
        and entry.label_a == "BPE"
        and entry.label_b in ("k-mer", "BPE+k-mer")
        and cube.models[cube.model_index(entry.pair.model_a)].architecture == "T-enc"
    ]
    assert len(mixed) == 5
    assert printed(np.mean([entry.macro for entry in mixed]), 4, "+") == "+0.0065"


def test_row_25_relative_drop(cube: ScoreCube) -> None:
    ten = {loss.model_id: loss.relative for loss in few_shot_degradation(cube)["10shot"]}
    assert min(ten, key=ten.get) == EVO
    assert printed(100 * ten[EVO], 1) == "34.9"
    assert max(ten, key=ten.get) == "BioFM-265M"
    assert printed(100 * ten["BioFM-265M"], 1) == "64.6"
    assert printed(100 * np.median(list(ten.values())), 1) == "48.0"


def test_row_26_end_bands(cube: ScoreCube) -> None:
    corpus = end_bands(cube, "full", "corpus")
    assert corpus.slots == 39
    assert (corpus.top["multi-species"], corpus.top["eukaryotic-genes"]) == (20, 12)
    assert (corpus.bottom["human"], corpus.bottom["prokaryotic"]) == (29, 6)
    assert corpus.top["human"] == 1
    architecture = end_bands(cube, "full", "architecture")
    # As in the paper's text on high-variance tasks.
    assert (architecture.top["T-dec"], architecture.top["T-enc"]) == (18, 15)
    assert [architecture.bottom[n] for n in ("Mamba-SSM", "Hybrid-Mamba-MoE", "StripedHyena")] == [
        17,
        7,
        6,
    ]


def test_row_27_and_28_inversions_by_category(cube: ScoreCube) -> None:
    for sizes in ("best", "meta", "paper"):
        species = smaller_beats_larger(published_cube(sizes), "full", aggregate_by="Species Clf.")
        assert len(species) == 126
    largest = max(
        (
            (pair.gap, name, pair.smaller, pair.larger)
            for name in cube.categories
            for pair in smaller_beats_larger(cube, "full", aggregate_by=name)
        ),
    )
    assert (printed(largest[0], 3), *largest[1:]) == (
        "0.525",
        "TF Binding",
        "enformer-official-rough",
        EVO,
    )


def test_row_29_lncrna_by_corpus(cube: ScoreCube) -> None:
    groups = {group.label: group for group in label_groups(cube, "corpus", regime="full")}
    assert (groups["human"].count, printed(groups["human"].category["lncRNA"], 4)) == (12, "0.1570")
    plant = groups["plant-genomes"]
    assert (plant.count, printed(plant.category["lncRNA"], 4)) == (2, "0.3467")


def test_row_30_specialisation(cube: ScoreCube) -> None:
    first = [
        (entry.model_id, entry.category, printed(entry.gain, 1))
        for entry in specialisation(cube, "full")[:4]
    ]
    assert first == [
        ("BioFM-265M", "DNA Methyl.", "26.3"),
        ("PlantCaduceus_l32", "lncRNA", "19.0"),
        ("JanusDNA_72_w", "Chromatin Acc.", "17.9"),
        ("eccdnamamba_weights", "Chromatin Acc.", "16.5"),
    ]


@pytest.mark.parametrize("line", PER_CATEGORY)
def test_per_category_table(cube: ScoreCube, line: str) -> None:
    name, *figures = line[:15].strip(), *line[15:].split()
    tasks, full, ten, one, kept, rho, p, without, agreement = figures
    k = cube.category_index(name)
    means = aggregate(cube).category[:, :, k].mean(axis=0)
    found = scaling(cube, "full").categories[name]
    assert str(int((cube.category_of_task == k).sum())) == tasks
    assert [printed(mean, 4) for mean in means] == [full, ten, one]
    assert printed(100 * retention(cube)[name]["1shot"], 1) == kept
    assert (printed(found.rho, 3), printed(found.p, 4)) == (rho, p)
    assert printed(scaling(cube, "full", without=[EVO]).categories[name].rho, 3) == without
    assert printed(regime_agreement(cube)[0].categories[name].rho, 3) == agreement


def test_properties_of_the_released_scores(cube: ScoreCube) -> None:
    scores = cube.mcc
    assert int((scores[:, 0] == 0.0).sum()) == 16
    assert [int((scores[:, k] < 0).sum()) for k in range(3)] == [8, 87, 474]
    agreement = {entry.regime: printed(entry.macro.rho, 3) for entry in regime_agreement(cube)}
    assert agreement == {"10shot": "0.920", "1shot": "0.517"}
