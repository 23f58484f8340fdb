"""Message about a study of one task, which has no groupings to compare."""

import shlex
from collections.abc import Sequence

from usaggr.sweep.planning.study_plan import Plan


def explain_single_task(plan: Plan, words: Sequence[str] = ()) -> str:
    """Return what a study of one task cannot and can do; empty if it has several tasks.

    Args:
        plan: Runs of the study.
        words: Arguments of the command, which the commands in the message repeat.
    """
    task_ids = {task_id for run in plan.runs for task_id in run.spec.tasks}
    if len(task_ids) != 1:
        return ""
    study = plan.study
    arguments = "".join(f" {shlex.quote(word)}" for word in words)
    if len(study.variants) > 1:
        compared = "; this study still compares its variants"
    elif len(study.scales) > 1:
        compared = "; this study still shows the scores at its scales"
    else:
        compared = ""
    return (
        f"nothing to compare: the only task is {task_ids.pop()}, so all groupings are the same model{compared}. With "
        f"one task, `usaggr train{arguments}` trains a model, `usaggr sweep{arguments} scale=ladder` shows its "
        "score with less training data, and variants compare settings; a second task (`usaggr data index`) makes "
        "groupings comparable"
    )
