"""Topic: the published claims, tested on this study's data."""

from usaggr.report.claims.chapter import write_claims
from usaggr.report.topic import Topic

TOPIC = Topic(write_claims)
