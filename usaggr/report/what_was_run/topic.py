"""Topic of the study's settings, data and runs."""

from usaggr.document.elements import Section
from usaggr.report.material import Material, make_section
from usaggr.report.topic import Topic
from usaggr.report.what_was_run.chapter import write_run, write_settings
from usaggr.report.what_was_run.convergence_section import write_validity
from usaggr.report.what_was_run.data_section import write_data
from usaggr.report.what_was_run.exposure_section import write_exposure
from usaggr.report.what_was_run.run_limits import describe_run_limits
from usaggr.report.what_was_run.run_methods import describe_design, describe_validity


def _write_chapter(material: Material) -> Section | None:
    writers = (write_settings, write_data, write_run, write_exposure, write_validity)
    return make_section("Study settings and runs", sections=tuple(write(material) for write in writers))


TOPIC = Topic(_write_chapter, design=describe_design, methods=describe_validity, limits=describe_run_limits)
