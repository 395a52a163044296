"""Calls every RPC of spikeserve from Python.

    run.py ADDRESS            tests a running server
    run.py PATH/spikeserve    starts this server, tests it, and ends it with SIGTERM

--stubs FOLDER is where the generated Python modules go (a temporary folder when absent).
"""
import argparse
import contextlib
import os
import pathlib
import sys
import tempfile
import unittest

import harness


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("server")
    parser.add_argument("--stubs")
    arguments = parser.parse_args()
    with contextlib.ExitStack() as stack:
        address = arguments.server
        binary = address if os.access(address, os.X_OK) else None
        if binary:
            address = stack.enter_context(harness.running_server(binary))
        harness.set_up(address, arguments.stubs or stack.enter_context(tempfile.TemporaryDirectory()), binary)
        tests = unittest.defaultTestLoader.discover(pathlib.Path(__file__).parent)
        passed = unittest.TextTestRunner(verbosity=2, stream=sys.stdout).run(tests).wasSuccessful()
        never_called = harness.rpcs() - harness.call.called
        if never_called:
            print(f"No test called {', '.join(sorted(never_called))}")
        harness.channel.close()
    return 0 if passed and not never_called else 1


if __name__ == "__main__":
    sys.exit(main())
