"""Topics of the report in reading order, the answer first."""

from usaggr.report.across_tasks.topic import TOPIC as ACROSS_TASKS
from usaggr.report.affinity.topic import TOPIC as AFFINITY
from usaggr.report.answer.topic import TOPIC as ANSWER
from usaggr.report.claims.topic import TOPIC as CLAIMS
from usaggr.report.controls.topic import TOPIC as CONTROLS
from usaggr.report.differences.topic import TOPIC as DIFFERENCES
from usaggr.report.routing.topic import TOPIC as ROUTING
from usaggr.report.scale.topic import TOPIC as SCALE
from usaggr.report.staged.topic import TOPIC as STAGED
from usaggr.report.tasks.topic import TOPIC as TASKS
from usaggr.report.variants.topic import TOPIC as VARIANTS
from usaggr.report.what_was_run.topic import TOPIC as WHAT_WAS_RUN

TOPICS = (
    ANSWER,
    CLAIMS,
    DIFFERENCES,
    SCALE,
    CONTROLS,
    STAGED,
    AFFINITY,
    ROUTING,
    VARIANTS,
    ACROSS_TASKS,
    TASKS,
    WHAT_WAS_RUN,
)
