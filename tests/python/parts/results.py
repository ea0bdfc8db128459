"""Runs test cases, tells each outcome, and counts."""

import json
import logging
import os
import platform
import unittest
from importlib.metadata import version


class RecordingResult(unittest.TextTestResult):
    """Adds a line for each feature to the file that HUBLINE_MATRIX_RESULTS names."""

    def _record(self, test, outcome, detail=""):
        file = os.environ.get("HUBLINE_MATRIX_RESULTS")
        if not file or not hasattr(test, "NAME"):
            return
        line = {
            "client": test.NAME,
            "version": version(test.NAME),
            "environment": f"Python {'.'.join(platform.python_version_tuple()[:2])}",
            "transport": test.TRANSPORT,
            "protocol": test.PROTOCOL,
            "feature": test._testMethodName.removeprefix("test_").replace("_", " "),
            "outcome": outcome,
            "detail": detail,
        }
        with open(file, "a", encoding="utf-8") as results:
            results.write(json.dumps(line) + "\n")

    def addSuccess(self, test):
        super().addSuccess(test)
        self._record(test, "passed")

    def addFailure(self, test, err):
        super().addFailure(test, err)
        self._record(test, "failed", str(err[1]))

    def addError(self, test, err):
        super().addError(test, err)
        self._record(test, "failed", str(err[1]))

    def addSkip(self, test, reason):
        super().addSkip(test, reason)
        self._record(test, "skipped", reason)


def main(directory=os.path.dirname(os.path.dirname(__file__))):
    """Runs the tests of a directory."""
    # What the clients log about connections that tests cut would bury the outcomes.
    logging.disable(logging.CRITICAL)
    tests = unittest.defaultTestLoader.discover(str(directory))
    result = unittest.TextTestRunner(resultclass=RecordingResult, verbosity=2, warnings="ignore").run(tests)
    failed, skipped = len(result.failures) + len(result.errors), len(result.skipped)
    print(f"{result.testsRun - failed - skipped} passed, {failed} failed, {skipped} skipped")
    raise SystemExit(0 if result.wasSuccessful() and result.testsRun > 0 else 1)
