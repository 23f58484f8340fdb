"""Description of the trained networks: normalization, conditioning on the task, and numbers of parameters."""

from usaggr.document.display_names import grouping_label
from usaggr.document.elements import Block, Cell, TextTable, escape_markdown
from usaggr.report import table_cells
from usaggr.report.material import Material
from usaggr.results.stored_study import StudyFacts

_COUNTS = ("total", "active", "trained")


def describe_network(study: StudyFacts) -> str:
    """Return the network's normalization, conditioning and frozen layers, such as `group normalization`.

    The text follows the name of the encoder in a sentence.
    """
    features = []
    norm = study.get_setting("model.norm")
    if norm is not None:
        features.append(f"{escape_markdown(norm)} normalization")
    conditioning = study.get_setting("model.conditioning")
    if conditioning is not None:
        where = "" if conditioning == "none" else f" in {_name_blocks(study)}"
        features.append(f"{_describe_conditioning(study, conditioning)}{where}")
    frozen = study.get_setting("model.freeze")
    if frozen is not None:
        named = {
            "none": "no layers frozen",
            "early": "blocks before the conditioned ones frozen",
            "backbone": "backbone frozen",
            "encoder": "encoder frozen",
        }
        features.append(named.get(frozen, f"frozen: {escape_markdown(frozen)}"))
    return ", ".join(features) or "settings not recorded"


def _describe_conditioning(study: StudyFacts, name: object) -> str:
    match name:
        case "experts":
            count, top = study.get_setting("model.experts.count"), study.get_setting("model.experts.top_k")
            router = study.get_setting("model.experts.router")
            routing = {"task": "routed by token and task", "token": "routing depends on the token only",
                       "uniform": "all weighted equally"}  # fmt: skip
            description = routing.get(router, escape_markdown(router))
            return f"{escape_markdown(count)} experts ({escape_markdown(top)} per token, {description})"
        case "lora":
            return (
                f"task-specific low-rank adapters (LoRA, rank {escape_markdown(study.get_setting('model.lora_rank'))})"
            )
        case "film":
            return "task-specific scales and shifts (FiLM)"
        case "none":
            return "the same MLP for all tasks"
        case _:
            return escape_markdown(name)


def _name_blocks(study: StudyFacts) -> str:
    blocks = study.get_setting("model.conditioned_blocks")
    if not isinstance(blocks, list | tuple) or len(blocks) != 2:
        return "the second half of the transformer blocks"
    return f"transformer blocks {escape_markdown(blocks[0])} to {escape_markdown(blocks[1])}"


def write_networks(material: Material) -> Block | None:
    """Return a table of models and parameters, with a row per variant and grouping; None if no run has finished.

    Parameters do not depend on the amount of training data, so a run that has finished at any scale counts.
    """
    lines = []
    has_variants = len(material.study.variants) > 1
    for variant, grouping in dict.fromkeys((v, g) for v, _, g in material.comparison.settings):
        sizes: dict[tuple[str, ...], tuple[int | None, ...] | None] = {}
        for run in material.collection.runs:
            if run.row.variant != variant or grouping not in run.row.groupings:
                continue
            # A block without a finished run stays None, so that the sum over models is known to be incomplete.
            sizes.setdefault(run.row.tasks, None)
            if run.result is not None:
                cost = run.result.cost
                sizes[run.row.tasks] = (cost.parameters, cost.active_parameters, cost.trained_parameters)
        counted = [size for size in sizes.values() if size is not None]
        numbers = [size[0] for size in counted if size[0] is not None]  # runs of older versions may lack the number
        total = sum(numbers) if len(numbers) == len(sizes) else None
        largest = max(counted, key=lambda size: size[0] or 0, default=(None,) * len(_COUNTS))
        variant_cells = [Cell(variant)] if has_variants else []
        counts = [len(sizes), total, *largest]
        lines.append(
            (
                *variant_cells,
                Cell(grouping_label(grouping)),
                *(table_cells.make_count_cell(number) for number in counts),
            )
        )
    if not material.comparison.runs_done:
        return None
    names = ("models", "parameters of all models", *(f"largest model: {name}" for name in _COUNTS))
    caption = (
        "Parameters of all models of a grouping, and of its largest model. Active parameters are those used for the "
        "prediction of one task: without the heads and embeddings of other tasks, and with only the experts "
        "used for a token. Trained parameters are those that are not frozen."
    )
    columns = (*(("variant",) if has_variants else ()), "grouping", *names)
    return TextTable(columns, tuple(lines), names, name="networks", caption=caption)
