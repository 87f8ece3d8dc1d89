"""Starts the inference function as Lambda's runtime client does, and writes down what one event took.

`export.cold_start` starts it by its path: as a module of a package it would import the package first, which is no part
of a cold start. stdout is the function's own.
"""

import os
import sys


def main(event_file: str, result_file: str, cpus: str) -> None:
    """Answer the event in one file, and write answer, spans and what served it into another; both are JSON.

    Args:
        event_file: Path of the event.
        result_file: Where to write.
        cpus: How many of this machine's processors to use, "0": all.
    """
    if int(cpus) and hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: int(cpus)])
    import json  # as the runtime client does before it imports the function
    from types import SimpleNamespace

    with open(event_file, "rb") as file:  # noqa: PTH123 - the runtime client imports no pathlib
        event = json.load(file)
    context = SimpleNamespace(aws_request_id="profile", get_remaining_time_in_millis=lambda: _TIME_MS)

    from handlers import inference  # the composition root, which Lambda imports by its name as well

    with inference.timeline.span("answer"):
        answer = inference.handler(event, context)
    from handlers.settings import default_threads

    loaded = inference.models.loaded
    result = {
        "answer": answer,
        "spans": inference.timeline.spans,
        "versions": [[model.version, model.variant.name] for model in loaded],
        "cpus": default_threads({}),  # as many as it may use
        "threads": inference.settings.threads,
    }
    with open(result_file, "w", encoding="utf-8") as file:  # noqa: PTH123 - as above
        json.dump(result, file)


_TIME_MS = 600_000  # of the invocation: how long a cold start takes is what is asked

if __name__ == "__main__":
    main(*sys.argv[1:])
