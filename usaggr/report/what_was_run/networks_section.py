"""The networks that were trained: what is special about them in words, and how many parameters they have."""

from usaggr.document.display_names import grouping_label
from usaggr.document.elements import Block, Cell, TextTable, literal
from usaggr.report import table_cells
from usaggr.report.material import Material
from usaggr.results.stored_study import StudyFacts

_COUNTS = ("total", "active for one task", "trained")


def describe_network(study: StudyFacts) -> str:
    """How the network is normalised or conditioned on the task, to stand after its encoder: `group normalisation`."""
    parts = []
    norm = study.setting("model.norm")
    if norm is not None:
        parts.append(f"{literal(norm)} normalisation")
    conditioning = study.setting("model.conditioning")
    if conditioning is not None:
        parts.append(f"{_conditioning(study, conditioning)} in {_blocks(study)}")
    frozen = study.setting("model.freeze")
    if frozen is not None:
        named = {"none": "nothing frozen", "early": "the blocks before these frozen", "backbone": "backbone frozen",
                 "encoder": "encoder frozen"}  # fmt: skip
        parts.append(named.get(frozen, f"frozen: {literal(frozen)}"))
    return ", ".join(parts) or "normalisation of no record"


def _conditioning(study: StudyFacts, name: object) -> str:
    match name:
        case "experts":
            count, top = study.setting("model.experts.count"), study.setting("model.experts.top_k")
            router = study.setting("model.experts.router")
            sees = {"task": "its router sees token and task", "token": "its router sees the token alone",
                    "uniform": "all weigh alike"}  # fmt: skip
            return f"{literal(count)} experts ({literal(top)} for a token; {sees.get(router, literal(router))})"
        case "lora":
            return f"low-rank adapters of each task's own (LoRA, rank {literal(study.setting('model.lora_rank'))})"
        case "film":
            return "scales and shifts of each task's own (FiLM)"
        case "none":
            return "the same MLP for all tasks"
        case _:
            return literal(name)


def _blocks(study: StudyFacts) -> str:
    blocks = study.setting("model.conditioned_blocks")
    if not isinstance(blocks, list | tuple) or len(blocks) != 2:
        return "the later half of the transformer's blocks"
    return f"transformer blocks {literal(blocks[0])} to {literal(blocks[1])}"


def write_networks(material: Material) -> Block | None:
    """A row a variant and grouping: models, and parameters of all of them and of the largest; none where none is done.

    Parameters do not depend on the amount of training data: a model counts whose run is done at any scale.
    """
    rows = []
    several = len(material.study.variants) > 1
    for variant, grouping in dict.fromkeys((v, g) for v, _, g in material.comparison.settings):
        sizes: dict[tuple[str, ...], tuple[int | None, ...] | None] = {}
        for run in material.collection.runs:
            if run.row.variant != variant or grouping not in run.row.groupings:
                continue
            sizes.setdefault(run.row.tasks, None)
            if run.result is not None:
                cost = run.result.cost
                sizes[run.row.tasks] = (cost.parameters, cost.active_parameters, cost.trained_parameters)
        known = [size for size in sizes.values() if size is not None]
        whole = sum(size[0] or 0 for size in known) if len(known) == len(sizes) else None
        largest = max(known, key=lambda size: size[0] or 0, default=(None,) * len(_COUNTS))
        head = [Cell(variant)] if several else []
        counts = [len(sizes), whole, *largest]
        rows.append((*head, Cell(grouping_label(grouping)), *(table_cells.count(number) for number in counts)))
    if not material.comparison.runs_done:
        return None
    names = ("models", "parameters of all", *_COUNTS)
    caption = (
        "Networks: parameters of all models of a grouping, and of its largest one: in total, those that serve one task "
        "(without other tasks' heads and embeddings, and with as many experts as serve a token), and those that are "
        "trained."
    )
    columns = (*(("variant",) if several else ()), "grouping", *names)
    return TextTable(columns, tuple(rows), names, name="networks", caption=caption)
