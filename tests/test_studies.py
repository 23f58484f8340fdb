"""Every file in conf/ and sweeps/ composes, opens with a description, and gives a network that can be built."""

from pathlib import Path

import pytest
from omegaconf import OmegaConf

from usaggr.config.compose import apply_variant, compose_study
from usaggr.config.folders import GROUPS
from usaggr.config.json_schema import list_sections, read_schema, walk_keys
from usaggr.config.model import M2DinoConfig
from usaggr.config.study import StudyConfig
from usaggr.data.samples import Dataset, Sample
from usaggr.sweep.planning.study_groupings import make_groupings
from usaggr.tasks import CATALOGUE, TASK_TYPES

REPOSITORY = Path(__file__).parent.parent
STUDIES = sorted(path.stem for path in (REPOSITORY / "sweeps").glob("*.yaml"))
CHOICES = sorted(
    (group, path.stem)
    for group in GROUPS
    for path in (REPOSITORY / "conf" / group).glob("*.yaml")
    if not path.stem.startswith("_")
)
GROUPINGS = sorted(path.stem for path in (REPOSITORY / "conf" / "grouping").glob("*.yaml"))
ALL_FILES = sorted([*(REPOSITORY / "conf").rglob("*.yaml"), *(REPOSITORY / "sweeps").glob("*.yaml")])

FIRST_VALUES = (
    "sweep",
    "data/_base",
    "model/tiny",
    "model/mh_mtl",
    "model/m2dino",
    "training/default",
    "executor/local",
    "report/default",
    "logger/none",
    "logger/mlflow",
    "logger/wandb",
)
"""Files of conf/ that give keys their first value; other files change some of these values."""


def compose(study: str, *overrides: str) -> StudyConfig:
    """Return a shipped study; data in files get a root, which users have to set."""
    return compose_study(study, ["data.root=DIR", *overrides])


def test_every_group_has_a_choice_and_there_is_a_default_study() -> None:
    assert {group for group, _ in CHOICES} == set(GROUPS)
    assert "demo" in STUDIES


@pytest.mark.parametrize("study", STUDIES)
def test_a_study_composes_and_has_the_name_of_its_file(study: str) -> None:
    assert compose(study).name == study


@pytest.mark.parametrize("study", STUDIES)
def test_a_study_opens_with_the_command_that_runs_it(study: str) -> None:
    command = "# usaggr sweep" + ("" if study == "demo" else f" {study}")
    assert (REPOSITORY / "sweeps" / f"{study}.yaml").read_text().startswith(command)


@pytest.mark.parametrize(("group", "choice"), CHOICES)
def test_every_choice_of_every_group_composes(group: str, choice: str) -> None:
    study = compose("demo", f"{group}={choice}")
    content = OmegaConf.to_container(OmegaConf.load(REPOSITORY / "conf" / group / f"{choice}.yaml"))
    assert isinstance(content, dict)
    content.pop("defaults", None)
    section = study.model_dump() if group == "scale" else study.model_dump()[group]
    assert content, "a file without values configures nothing"
    for key, value in content.items():
        assert section[key] == value or isinstance(value, dict), f"{group}={choice} does not set {key}"


@pytest.mark.parametrize("grouping", GROUPINGS)
def test_every_grouping_is_a_partition_of_the_catalogue(grouping: str) -> None:
    names = dict.fromkeys(["task_specific", "clinical", grouping])
    study = compose_study("demo", [f"groupings=[{','.join(names)}]"])
    samples = tuple(tiny_sample(task_id, number) for number, task_id in enumerate(CATALOGUE))
    groupings = make_groupings(study, CATALOGUE, Dataset(Path(), CATALOGUE, samples, ()))
    assert grouping in groupings or f"{grouping}_5" in groupings
    for partition in groupings.values():
        assert sorted(task for block in partition.blocks.values() for task in block) == sorted(CATALOGUE)


def tiny_sample(task_id: str, number: int) -> Sample:
    """Return a sample with its own image."""
    return Sample(task_id, f"{number}", Path(f"{number}"), f"{number}", f"image {number}", "", 8, 8, "index.csv", 2)


@pytest.mark.parametrize("path", ALL_FILES, ids=lambda path: str(path.relative_to(REPOSITORY)))
def test_every_file_opens_with_a_comment(path: Path) -> None:
    assert path.read_text().startswith("# ")


@pytest.mark.parametrize("path", FIRST_VALUES)
def test_every_key_is_explained_at_its_first_value(path: str) -> None:
    lines = (REPOSITORY / "conf" / f"{path}.yaml").read_text().splitlines()
    body = lines[lines.index("  - _self_") + 1 :] if "  - _self_" in lines else lines
    unexplained = [
        line
        for before, line in zip(["", *body], body, strict=False)
        if ":" in line and not line.strip().startswith(("#", "-")) and not before.strip().startswith("#")
    ]
    assert unexplained == []


def test_no_key_of_the_schema_has_a_default_in_code() -> None:
    """All values are in conf/, where users see them."""
    schema = read_schema(StudyConfig)
    sections = [schema, *(section for _, node in walk_keys(schema) for section in list_sections(node))]
    assert len(sections) > 10
    assert [(section["title"], set(section["properties"]) - set(section["required"])) for section in sections] == [
        (section["title"], set()) for section in sections
    ]


def test_the_demo_has_all_types_in_at_least_three_clinical_groups() -> None:
    study = compose("demo")
    tasks = [CATALOGUE[task] for task in study.data.synthetic.tasks]
    assert len(tasks) >= 8
    assert {task.type for task in tasks} == set(TASK_TYPES)
    assert len({task.clinical_group for task in tasks}) >= 3
    assert len(study.scales) == 2
    assert len(study.seeds) == 3


@pytest.mark.parametrize("study", STUDIES)
def test_the_networks_of_a_study_can_be_built(study: str) -> None:
    from usaggr.models.checking import check_network

    composed = compose(study)
    tasks = [CATALOGUE[task] for task in composed.data.synthetic.tasks]
    for overrides in composed.variants.values():
        variant = apply_variant(composed, overrides)
        without = variant.model.model_copy(update={"weights": None})  # no download in a test
        if without.name == "mh_mtl" and without.norm == "frozen":
            without = without.model_copy(update={"norm": "group"})
        assert check_network(without, tasks, variant.data.input_size).download is None


@pytest.mark.parametrize("model", [choice for group, choice in CHOICES if group == "model"])
def test_every_model_can_be_built(model: str) -> None:
    from usaggr.models.checking import check_network

    tasks = [next(task for task in CATALOGUE.values() if task.type == task_type) for task_type in TASK_TYPES]
    assert check_network(compose("demo", f"model={model}").model, tasks, (64, 64)).download is None


def test_the_papers_study_has_the_settings_of_the_paper() -> None:
    from usaggr.models.vit import get_conditioned_range

    study = compose("paper")
    assert study.groupings == ["task_specific", "clinical", "unified"]
    assert study.tasks is None
    assert study.data.input_size == (256, 256)
    model = study.model
    assert isinstance(model, M2DinoConfig)
    assert model.encoder == "vit_base_patch16_dinov3"
    assert model.experts.top_k == model.experts.count
    assert [i + 1 for i in get_conditioned_range(model, 12)] == [7, 8, 9, 10, 11, 12]


def test_the_wide_variant_has_as_many_active_parameters_as_the_network_with_experts() -> None:
    from usaggr.models.build_network import build_network
    from usaggr.models.parameters import count_parameters

    study = compose("m2dino_ablation", "model=m2dino_tiny", "model.weights=null")
    active = {
        name: count_parameters(build_network(apply_variant(study, overrides).model, [CATALOGUE["lung"]], 0)).active
        for name, overrides in study.variants.items()
    }
    assert active["wide"] == pytest.approx(active["base"], rel=0.02)
    assert active["dense"] < 0.95 * active["base"]
