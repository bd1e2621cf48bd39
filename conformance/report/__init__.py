"""Reports of a run: for a console, as JSON, as JUnit XML, as static HTML pages, and the matrix of several targets."""
