"""Files: a run as JSON, which can be read back, and as JUnit XML."""

from pathlib import Path
from xml.etree import ElementTree

import msgspec

from conformance.outcome import DEPENDENCY, FAIL, HARNESS, INCONCLUSIVE, INFO, SETUP, SKIP, WARN
from conformance.report.summary import by_section, counts
from conformance.runner import Run


def write_json(run: Run, path: Path) -> None:
    """The whole run with all transcripts, and `counts`."""
    table = msgspec.to_builtins(run)
    table["counts"] = counts(run.results)
    path.write_bytes(msgspec.json.format(msgspec.json.encode(table), indent=1) + b"\n")


def read_json(path: Path) -> Run:
    """Raises ValueError, OSError."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=Run)
    except (msgspec.DecodeError, msgspec.ValidationError) as error:
        raise ValueError(f"{path} is not the JSON of a run: {error}") from error


def write_junit(run: Run, path: Path) -> None:
    """A suite for each section.

    A fail is a failure; trouble of ours or of the set-up an error; skip and inconclusive are skipped; warn and info pass with output.
    """
    root = ElementTree.Element("testsuites", name=f"conformance of {run.target} {run.target_version}".strip(), time=f"{run.seconds:.3f}")
    for section, results in by_section(run.results).items():
        numbers = counts(results)
        errors = sum(numbers.get(outcome, 0) for outcome in (HARNESS, SETUP, DEPENDENCY))
        skipped = sum(numbers.get(outcome, 0) for outcome in (SKIP, INCONCLUSIVE))
        attributes = {"tests": len(results), "failures": numbers.get(FAIL, 0), "errors": errors, "skipped": skipped}
        suite = ElementTree.SubElement(
            root, "testsuite", {"name": section, "timestamp": run.date.rstrip("Z"), **{name: str(n) for name, n in attributes.items()}}
        )
        for result in results:
            case = ElementTree.SubElement(suite, "testcase", classname=section, name=result.id, time=f"{result.seconds:.3f}")
            kind = {FAIL: "failure", HARNESS: "error", SETUP: "error", DEPENDENCY: "error", SKIP: "skipped", INCONCLUSIVE: "skipped"}.get(result.outcome)
            if kind:
                ElementTree.SubElement(case, kind, message=_clean(result.reason), type=result.outcome).text = _clean(result.sentence)
            elif result.outcome in (WARN, INFO):
                ElementTree.SubElement(case, "system-out").text = _clean(f"{result.outcome}: {result.reason}")
    ElementTree.indent(root)
    ElementTree.ElementTree(root).write(path, encoding="utf-8", xml_declaration=True)


def _clean(text: str) -> str:
    """Without what XML cannot hold."""
    return "".join(letter if letter in "\t\n" or letter >= " " else f"\\x{ord(letter):02x}" for letter in text)
