"""Metrics in CloudWatch's Embedded Metric Format (EMF): one line of JSON on stdout each.

Specification: https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html
powertools' own writer was used before; it took 55 us a line, a quarter of what a small request may cost.
"""

import sys
import time
from collections.abc import Mapping

import msgspec

__all__ = ["write_metrics"]

_encode = msgspec.json.Encoder().encode


def write_metrics(
    namespace: str,
    dimensions: Mapping[str, str],
    counts: Mapping[str, int],
    milliseconds: Mapping[str, float],
    metadata: Mapping[str, str],
) -> None:
    """Write one line.

    Args:
        namespace: Of the metrics.
        dimensions: At most 30, one set of them.
        counts: Metrics that are counted, by name; at most 100 with `milliseconds`.
        milliseconds: Metrics that are durations.
        metadata: What can be searched for in the log, and is no dimension.
    """
    metrics = [{"Name": name, "Unit": "Count"} for name in counts]
    metrics += [{"Name": name, "Unit": "Milliseconds"} for name in milliseconds]
    directive = {"Namespace": namespace, "Dimensions": [[*dimensions]], "Metrics": metrics}
    header = {"Timestamp": int(time.time() * 1000), "CloudWatchMetrics": [directive]}
    line = {"_aws": header, **dimensions, **metadata, **counts, **milliseconds}
    sys.stdout.write(_encode(line).decode() + "\n")
    sys.stdout.flush()
