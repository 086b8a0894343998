"""Runs every test_*.py beside it and closes with 'N passed, M failed' alone on a line.

A test that is skipped counts as failed: a missing client must not look like a success.
Arguments choose tests by name (any that contains one of them); none runs all.
"""

import pathlib
import sys
import time
import unittest


class Result(unittest.TestResult):
    """One line a test, with its time; the trouble at the end."""

    def startTest(self, test):
        super().startTest(test)
        self.began = time.monotonic()

    def say(self, word, test):
        print(f"{word:6} {test.id()} ({time.monotonic() - self.began:.1f} s)", flush=True)

    def addSuccess(self, test):
        super().addSuccess(test)
        self.say("ok", test)

    def addFailure(self, test, err):
        super().addFailure(test, err)
        self.say("FAILED", test)

    def addError(self, test, err):
        super().addError(test, err)
        self.began = getattr(self, "began", time.monotonic())
        self.say("ERROR", test)

    def addSkip(self, test, reason):
        super().addSkip(test, reason)
        self.failures.append((test, f"skipped: {reason}"))
        self.say("SKIP", test)


def chosen(suite, words):
    for test in suite:
        if isinstance(test, unittest.TestSuite):
            yield from chosen(test, words)
        elif not words or any(word in test.id() for word in words):
            yield test


def main(words):
    here = pathlib.Path(__file__).parent
    found = unittest.defaultTestLoader.discover(str(here), pattern="test_*.py")
    tests = list(chosen(found, words))
    result = Result()
    begun = time.monotonic()
    unittest.TestSuite(tests).run(result)
    trouble = result.failures + result.errors
    for test, text in trouble:
        print(f"\n---- {test.id()}\n{text}")
    failed = len(trouble)
    print(f"<== real clients: {time.monotonic() - begun:.0f} s")
    print(f"\n{max(result.testsRun - failed, 0)} passed, {failed} failed")
    return 1 if failed or not result.testsRun else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
