"""Each notebook runs from top to bottom with the code as it is; what its text claims, its cells assert."""

from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

FOLDER = Path(__file__).resolve().parents[2] / "notebooks"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))
HEADINGS = ("## Summary", "## Exercises", "## Where this is in the code")


def test_there_are_notebooks() -> None:
    assert NOTEBOOKS


@pytest.mark.timeout(300)
@pytest.mark.filterwarnings("default")  # those of the kernel's own libraries
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_runs_as_it_stands(path: Path) -> None:
    notebook = nbformat.read(path, as_version=4)  # type: ignore[no-untyped-call]
    NotebookClient(notebook, timeout=240, kernel_name="python3", resources={"metadata": {"path": str(FOLDER)}}).execute()
    pictures = [output for cell in notebook.cells for output in cell.get("outputs", ()) if "image/png" in output.get("data", {})]
    assert pictures, "a notebook shows at least one picture"


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_begins_with_a_question_and_ends_where_the_code_is(path: Path) -> None:
    cells = nbformat.read(path, as_version=4).cells  # type: ignore[no-untyped-call]
    assert "**Question.**" in cells[0].source
    last = "\n".join(cell.source for cell in cells[-3:] if cell.cell_type == "markdown")
    positions = [last.find(heading) for heading in HEADINGS]
    assert -1 not in positions and positions == sorted(positions)
    assert all(cell.outputs for cell in cells if cell.cell_type == "code" and "print(" in cell.source.splitlines()[-1]), "kept as it was executed"
