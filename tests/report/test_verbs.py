"""stats, report, compare and recommend as a user calls them."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from geneb_jax.benchmark import DatasetPin
from geneb_jax.cli.main import command
from geneb_jax.errors import DataError, GenebError, SelectionError
from geneb_jax.results import EmbeddingFacts, ModelFacts, write_run_record, write_scores_csv
from tests.run_records import run_record


def call(*arguments: object) -> Result:
    result = CliRunner().invoke(command, [str(a) for a in arguments], standalone_mode=False)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


@pytest.fixture(scope="module")
def run_folder(tmp_path_factory, geneb, make_rows) -> Path:
    """The output folder of a run with two models on the whole benchmark."""
    out = tmp_path_factory.mktemp("run")
    write_scores_csv(
        out, [*make_rows(geneb, "lab-a", level=0.6), *make_rows(geneb, "lab-b", level=0.2)]
    )
    models = (
        ModelFacts(name, params=params, embedding=EmbeddingFacts(speed * 10, 0, seconds=10.0))
        for name, params, speed in (("lab-a", 30_000_000, 800), ("lab-b", 10_000_000, 90))
    )
    write_run_record(out, run_record(*models, suite="geneb", dataset=geneb.dataset))
    return out


def single(folder: Path, geneb, make_rows, model_id: str, level: float, **run) -> Path:
    write_scores_csv(folder, make_rows(geneb, model_id, level=level))
    write_run_record(folder, run_record(suite="geneb", **run))
    return folder


def test_stats_json_of_the_published_scores() -> None:
    found = json.loads(call("stats", "--json").stdout)
    assert round(found["scaling"]["macro"]["rho"], 4) == 0.5648
    assert found["smaller_beats_larger"]["count"] == 31


def test_stats_options(tmp_path, run_folder) -> None:
    pairs = tmp_path / "pairs.csv"
    pairs.write_text("model_a,model_b,factor\nlab-a,lab-b,mine\n", encoding="utf-8")
    found = json.loads(
        call(
            *("stats", run_folder, "--json", "--sizes", "readme", "--factor", "10"),
            *("--without", "MutBERT", "--spread", "0.2", "--pairs", pairs),
        ).stdout
    )
    assert found["scaling"]["macro"]["models"] == 42
    assert found["scaling"]["macro_without"]["left_out"] == ["MutBERT"]
    assert found["smaller_beats_larger"]["factor"] == 10
    assert found["models"]["eccdnamamba_weights"]["params"] == 537_000_000
    assert found["controlled_pairs"][-1]["model_a"] == "lab-a"
    assert {s["model_id"] for s in found["seed_spread"]} == {"lab-a", "lab-b"}
    alone = json.loads(call("stats", run_folder, "--json", "--no-published").stdout)
    assert set(alone["models"]) == {"lab-a", "lab-b"} and not alone["published"]


def test_metrics_of_decision_values(tmp_path, geneb, make_rows) -> None:
    levels = {"lab-a": (0.9, 0.2), "lab-b": (0.7, 0.1)}  # the first ranks by AUROC, not by Brier
    rows = [
        row
        for name, (auroc, brier) in levels.items()
        for row in make_rows(geneb, name, auroc=auroc, auprc=0.5, brier=brier)
    ]
    write_scores_csv(tmp_path, rows)
    write_run_record(
        tmp_path, run_record(*map(ModelFacts, levels), suite="geneb", dataset=geneb.dataset)
    )
    found = json.loads(call("stats", tmp_path, "--json", "--metric", "auroc").stdout)
    board = {one["model_id"]: (one["rank"], one["macro"]["full"]) for one in found["leaderboard"]}
    assert board == {"lab-a": (1, pytest.approx(0.9)), "lab-b": (2, pytest.approx(0.7))}
    assert "stand alone" in "".join(found["notices"])
    means = {one["model_id"]: one for one in found["metric_means"] if one["regime"] == "full"}
    assert means["lab-a"]["brier"] == pytest.approx(0.2) and means["lab-a"]["tasks"] == 100
    turned = json.loads(call("stats", tmp_path, "--json", "--metric", "neg_brier").stdout)
    assert [one["model_id"] for one in turned["leaderboard"]] == ["lab-b", "lab-a"]
    (pair,) = json.loads(
        call("compare", "lab-a", "lab-b", "--run", tmp_path, "--metric", "auroc", "--json").stdout
    )
    assert pair["difference"] == pytest.approx(0.2) and pair["metric"] == "auroc"
    advice = call("recommend", "--run", tmp_path, "--metric", "auprc", "-c", "Promoters").stdout
    assert "auprc" in advice
    call("report", tmp_path, "--metric", "auroc")
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "AUROC" in page and "Six scores side by side" in page
    with pytest.raises(DataError, match="nobody published auroc"):
        call("stats", "--metric", "auroc")
    write_scores_csv(tmp_path, make_rows(geneb, "lab-a"))
    with pytest.raises(DataError, match=r"no score of the runs has auroc.*--fresh"):
        call("stats", tmp_path, "--metric", "auroc")


def test_stats_for_people_and_refusals() -> None:
    shown = call("stats").stdout
    assert "rho of log size and macro\t0.5648" in shown and "high-variance tasks\t13" in shown
    with pytest.raises(SelectionError, match="MutBERT"):
        call("stats", "--without", "mutbert")
    with pytest.raises(SelectionError, match="no scores of a regime '5shot'"):
        call("stats", "--regime", "5shot")


def test_stats_exports_every_format(tmp_path) -> None:
    call("stats", "--export", tmp_path, *(f"--format={s}" for s in ("csv", "parquet", "md", "tex")))
    names = {path.stem for path in tmp_path.iterdir()}
    assert {"leaderboard", "scores", "categories", "scaling", "controlled-pairs", "choice"} <= names
    assert len(list(tmp_path.iterdir())) == 4 * len(names)
    with (tmp_path / "scores.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 12_300
    with (tmp_path / "leaderboard.csv").open(encoding="utf-8", newline="") as file:
        first = next(csv.DictReader(file))
    assert (first["rank"], first["display"]) == ("1", "GENERator-Eukaryote-3B")


def test_report_goes_into_the_run_or_where_told(tmp_path, run_folder) -> None:
    assert call("report", run_folder).stdout.strip() == f"report: {run_folder / 'report.html'}"
    assert (run_folder / "figures" / "figure-2-pareto.svg").is_file()
    call("report", run_folder, "--out", tmp_path / "there", "--no-published")
    text = (tmp_path / "there" / "report.html").read_text(encoding="utf-8")
    assert "lab-a" in text and "GENERator" not in text


def test_report_without_a_run_is_of_the_published(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    call("report")
    assert "GENERator-Eukaryote-3B" in Path("geneb-report/report.html").read_text(encoding="utf-8")


def test_compare_published_models_and_exit_codes() -> None:
    better = call("compare", "MutBERT", "GROVER", "--json", "--fail-if-worse")
    (found,) = json.loads(better.stdout)
    assert round(found["difference"], 3) == 0.038  # the paper's controlled pair, turned round
    assert found["interval"]["low"] > 0 and found["ahead"] == 86
    assert better.return_value == 0
    worse = call("compare", "GROVER", "MutBERT", "--fail-if-worse")
    assert worse.return_value == 1
    assert call("compare", "GROVER", "MutBERT").return_value == 0
    assert (
        call("compare", "GROVER", "MutBERT", "--fail-if-worse", "--margin", "0.05").return_value
        == 0
    )
    # Not to be told apart is not worse.
    assert call("compare", "DNABERT-2", "NT-v2-100M-MS", "--fail-if-worse").return_value == 0
    assert call("compare", "NT-v2-100M-MS", "DNABERT-2", "--fail-if-worse").return_value == 0


def test_compare_a_run_with_a_published_model_and_with_another_run(
    tmp_path, run_folder, geneb, make_rows
) -> None:
    (found,) = json.loads(call("compare", "lab-a", "MutBERT", "--run", run_folder, "--json").stdout)
    assert (found["model_a"], found["model_b"], found["tasks"]) == ("lab-a", "MutBERT", 100)
    folders = []
    for name, level in (("new", 0.5), ("old", 0.52)):
        (tmp_path / name).mkdir()
        folders.append(single(tmp_path / name, geneb, make_rows, "lab-c", level))
    new, old = folders
    # The same noise, so the new run is lower by 0.02 on every task: small, and certain.
    result = call("compare", new, old, "--fail-if-worse", "--json")
    (found,) = json.loads(result.stdout)
    assert round(found["difference"], 3) == -0.02 and found["behind"] == 100
    assert result.return_value == 1
    assert call("compare", old, new, "--fail-if-worse").return_value == 0
    (turned,) = json.loads(call("compare", new, "MutBERT", "--json").stdout)
    assert turned["model_a"] == "lab-c"


def test_variants_of_a_model_go_by_their_labels(tmp_path, geneb, make_rows) -> None:
    labels = ("net", "net (untrained)", "net @layer 6 cls")
    variants = ((), ("untrained",), ("@layer 6", "cls"))
    rows = [
        row
        for label, level in zip(labels, (0.6, 0.1, 0.5), strict=True)
        for row in make_rows(geneb, label, level=level)
    ]
    facts = [
        ModelFacts(
            label,
            "The Net",
            name="net",
            variant=variant,
            params=5_000_000,
            weights="random" if "untrained" in variant else "pretrained",
        )
        for label, variant in zip(labels, variants, strict=True)
    ]
    write_scores_csv(tmp_path, rows)
    write_run_record(tmp_path, run_record(*facts, suite="geneb"))
    (found,) = json.loads(
        call("compare", "net", "net (untrained)", "--run", tmp_path, "--json").stdout
    )
    assert (found["model_a"], found["model_b"]) == labels[:2]
    assert found["interval"]["low"] > 0
    # The displayed name, variant included, is as good as the label.
    (again,) = json.loads(
        call("compare", "net", "The Net @layer 6 cls", "--run", tmp_path, "--json").stdout
    )
    assert again["model_b"] == labels[2]
    document = json.loads(call("stats", tmp_path, "--json").stdout)
    own = {(one["model_id"], one["task_id"]): one for one in document["own_scores"]}
    for (label, task_id), one in own.items():
        control = None if label == labels[1] else own[labels[1], task_id]["mcc"]
        assert one["untrained"] == control
    assert document["models"][labels[1]]["display"] == "The Net (untrained)"
    text = Path(call("report", tmp_path).stdout.strip().removeprefix("report: ")).read_text("utf-8")
    assert "The Net @layer 6 cls" in text and "<th" in text and ">untrained<" in text


def test_compare_refuses_what_cannot_be_compared(tmp_path, run_folder, geneb, make_rows) -> None:
    with pytest.raises(SelectionError, match="the run has 2 models"):
        call("compare", run_folder, "MutBERT")
    with pytest.raises(SelectionError, match="'Nobody'"):
        call("compare", "Nobody", "MutBERT")
    (tmp_path / "other").mkdir()
    other = single(
        tmp_path / "other", geneb, make_rows, "lab-a", 0.5, dataset=DatasetPin("x/y", "0" * 40)
    )
    with pytest.raises(DataError, match="different data set revisions"):
        call("compare", run_folder, other)
    (tmp_path / "apart").mkdir()
    apart = single(tmp_path / "apart", geneb, make_rows, "unrelated", 0.5)
    with pytest.raises(SelectionError, match="no model in common"):
        call("compare", run_folder, apart)


def test_recommend() -> None:
    result = call("recommend", "-c", "splice sites", "--max-params", "300M", "--json")
    found = json.loads(result.stdout)
    assert found["best"]["model_id"] == "splicebert-1024nt"
    assert found["unlimited"]["model_id"] == "nucleotide-transformer-2.5b-multi-species"
    assert found["smallest_equal"] == "splicebert-1024nt"
    shown = call("recommend", "--category", "TF Binding")
    assert shown.stdout.splitlines()[1].startswith("Enformer\t250M\t0.698\t")
    with pytest.raises(SelectionError, match="TF Binding"):
        call("recommend", "--category", "TF bindin")


def test_recommend_names_a_trained_model_and_tells_of_baselines(tmp_path, geneb, make_rows) -> None:
    rows = [
        *make_rows(geneb, "counts", level=0.95),
        *make_rows(geneb, "mine", level=0.6),
        *make_rows(geneb, "drawn", level=0.1),
    ]
    facts = (
        ModelFacts("mine", params=10**7),
        ModelFacts("counts", weights="none"),
        ModelFacts("drawn", weights="random", params=10**7),
    )
    write_scores_csv(tmp_path, rows)
    write_run_record(tmp_path, run_record(*facts, suite="geneb", dataset=geneb.dataset))
    arguments = ("recommend", "--run", tmp_path, "--no-published", "--max-params", "100M")
    shown = call(*arguments)
    head, first, *rest = shown.stdout.splitlines()
    assert head.endswith("\tequal\tbaseline")
    assert first.startswith("mine\t10M\t") and first.endswith("\tyes\t")
    assert [line.split("\t")[0] for line in rest] == ["counts", "drawn"]
    assert [line.split("\t")[-1] for line in rest] == ["k-mers", "untrained"]
    assert "is worse than a baseline: counts (" in shown.stderr
    found = json.loads(call(*arguments, "--json").stdout)
    assert found["best"]["model_id"] == found["unlimited"]["model_id"] == "mine"
    assert found["not_beaten"] == ["counts"]
    assert [one["model_id"] for one in found["baselines"]] == ["counts", "drawn"]
    plain = call("recommend", "-c", "TF Binding")
    assert "baseline" not in plain.stdout + plain.stderr


def test_recommend_by_throughput_of_a_run(run_folder) -> None:
    found = json.loads(
        call("recommend", "--run", run_folder, "--min-sequences-per-second", 100, "--json").stdout
    )
    assert [c["model_id"] for c in found["candidates"]] == ["lab-a"]
    assert len(found["left_out"]) == 41


@pytest.mark.parametrize(
    ("text", "size"),
    [("100M", 1e8), ("1.2B", 1.2e9), ("86000000", 8.6e7), ("1e8", 1e8), ("5k", 5e3)],
)
def test_sizes_in_words(text, size) -> None:
    from geneb_jax.cli.panel_options import SIZE

    assert SIZE.convert(text, None, None) == size


@pytest.mark.parametrize("text", ["", "M", "-5M", "1.2T", "nan", "inf"])
def test_sizes_that_are_none(text) -> None:
    from click import UsageError

    with pytest.raises(UsageError, match="is not a number of parameters"):
        call("recommend", "--max-params", text)


def test_every_error_is_the_users_to_mend(tmp_path) -> None:
    with pytest.raises(GenebError, match=r"scores\.csv: cannot be read"):
        call("stats", tmp_path)
