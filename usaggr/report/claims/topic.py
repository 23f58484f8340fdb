"""The published claims, on this study."""

from usaggr.report.claims.chapter import write_claims
from usaggr.report.topic import Topic

TOPIC = Topic(write_claims)
