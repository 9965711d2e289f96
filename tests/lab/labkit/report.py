# SPDX-License-Identifier: GPL-3.0-or-later
"""The object that `vmferry migrate --json` ends with: schema vmferry.migrate/1.

A move that was refused before anything began has no stages, and its figures are null. The outcome is
null when nobody was there to tell it.
"""

import json

SCHEMA = "vmferry.migrate/1"
OUTCOMES = ("runs-on-destination", "continues-on-source", "paused-waiting", "vm-down")
STAGES = ("setup", "memory", "state", "storage", "resume", "network")
NUMBER = (int, float)

MEMBERS = {
    "schema": (str,), "vm": (str,), "from": (str,), "to": (str,), "outcome": (str, type(None)),
    "stages": (list,), "downtime_ms": NUMBER + (type(None),), "handover_ms": NUMBER + (type(None),),
    "total_ms": NUMBER + (type(None),), "memory_bytes": (int, type(None)),
    "epoch": (int, type(None)), "error": (dict, type(None)),
}
ALWAYS_KNOWN = ("total_ms", "memory_bytes", "epoch")     # once a move has begun
KNOWN_AFTER_MOVE = ("downtime_ms", "handover_ms")


def parse(output):
    """The last JSON object of the command's output, which must end with it"""
    start = output.find("{")
    if start < 0:
        raise ValueError(f"no JSON object in {output!r}")
    report, end = json.JSONDecoder().raw_decode(output[start:])
    rest = output[start + end:].strip()
    if rest:
        raise ValueError(f"the output goes on behind the object: {rest!r}")
    return report


def faults(report):
    """What is wrong with the object's shape; an empty list when nothing is"""
    found = []
    for name, types in MEMBERS.items():
        if name not in report:
            found.append(f"member {name!r} is missing")
        elif not isinstance(report[name], types) or isinstance(report[name], bool):
            found.append(f"member {name!r} is {report[name]!r}")
    found += [f"unknown member {name!r}" for name in report if name not in MEMBERS]
    if found:
        return found
    if report["schema"] != SCHEMA:
        found.append(f"schema is {report['schema']!r}")
    untold = report["outcome"] is None and report["error"] is not None and not report["stages"]
    if report["outcome"] not in OUTCOMES and not untold:
        found.append(f"outcome is {report['outcome']!r}")
    if (report["error"] is None) != (report["outcome"] == "runs-on-destination"):
        found.append(f"outcome {report['outcome']!r} with error {report['error']!r}")
    if report["error"] is not None and not all(report["error"].get(k) for k in ("code", "message")):
        found.append(f"error {report['error']!r} lacks code or message")
    known = ALWAYS_KNOWN if report["stages"] else ()
    if report["outcome"] == "runs-on-destination":
        known = ALWAYS_KNOWN + KNOWN_AFTER_MOVE
    found += [f"member {name!r} is null" for name in known if report[name] is None]
    return found + _stage_faults(report)


def _stage_faults(report):
    found, names = [], []
    for stage in report["stages"]:
        if not isinstance(stage, dict) or set(stage) != {"name", "ms"}:
            return [f"a stage is {stage!r}"]
        names.append(stage["name"])
        if not isinstance(stage["ms"], NUMBER) or stage["ms"] < 0:
            found.append(f"stage {stage['name']!r} took {stage['ms']!r} ms")
    if tuple(names) != STAGES[:len(names)]:
        found.append(f"stages are {names}")
    if report["outcome"] == "runs-on-destination" and len(names) != len(STAGES):
        found.append(f"a finished move has the stages {names} only")
    if not found and names and sum(s["ms"] for s in report["stages"]) > report["total_ms"] * 1.01 + 1:
        found.append("the stages took longer than the whole")
    return found
