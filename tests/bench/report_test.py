"""The benchmark's tables and verdicts."""
import pathlib
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "bench"))
import report
from workloads import WORKLOADS, Promise, Workload, overhead, speedup


def result(workload, **medians):
    times = {name.replace("_", " "): {"min": s, "median": s, "count": 1} for name, s in medians.items()}
    return {"workload": workload.name, "times": times, "sizes": {"input_bytes": 8_000_000}}


def workload(*promises):
    return Workload("w", "spike_cluster", {}, None, promises)


class Verdicts(unittest.TestCase):
    def judged(self, promise, **medians):
        w = workload(promise)
        (verdict,) = report.judge(w, result(w, **medians))
        return verdict["verdict"], verdict["value"]

    def test_a_speedup_is_the_slow_time_over_the_fast_one(self):
        self.assertEqual(self.judged(speedup("pytorch 2", "tcp", 8), pytorch_2=0.8, tcp=0.1), ("reached", 8.0))
        self.assertEqual(self.judged(speedup("pytorch 2", "tcp", 8), pytorch_2=0.7, tcp=0.1)[0], "missed")

    def test_an_overhead_is_our_time_over_the_sum_of_the_limits(self):
        promise = overhead("library 2", ("openblas 2", "memory 2"), 1.15)
        self.assertEqual(self.judged(promise, library_2=2.2, openblas_2=1.5, memory_2=0.5), ("reached", 1.1))
        self.assertEqual(self.judged(promise, library_2=2.4, openblas_2=1.5, memory_2=0.5)[0], "missed")

    def test_what_was_not_measured_has_no_verdict(self):
        self.assertEqual(self.judged(speedup("pytorch 2", "tcp", 8), tcp=0.1), ("-", None))
        self.assertEqual(self.judged(overhead("shm", ("library 2",), 1.3), library_2=0.1), ("-", None))

    def test_a_promise_at_its_bound_is_reached(self):
        self.assertTrue(Promise("", None, at_least=2).kept(2))
        self.assertTrue(Promise("", None, at_most=2).kept(2))
        self.assertFalse(Promise("", None, at_least=2).kept(1.99))
        self.assertFalse(Promise("", None, at_most=2).kept(2.01))

    def test_rates_are_of_the_operand(self):
        (w,) = [w for w in WORKLOADS if w.name == "spike_cluster 100 x 10,000"]
        verdicts = {v["promise"]: v for v in report.judge(w, result(w, library_1=0.001))}
        rate = verdicts["library 1: at least 4 GB of voltages a second"]
        self.assertEqual((rate["value"], rate["verdict"]), (8.0, "reached"))

    def test_every_workload_promises_something_and_has_a_name_of_its_own(self):
        self.assertTrue(all(w.promises for w in WORKLOADS))
        self.assertEqual(len({w.name for w in WORKLOADS}), len(WORKLOADS))


class Tables(unittest.TestCase):
    def test_columns_are_aligned(self):
        self.assertEqual(report.table(["a", "bb"], [["long one", 1], ["x", 12345]]),
                         "| a        |    bb |\n|----------|------:|\n| long one |     1 |\n| x        | 12345 |")

    def test_milliseconds_have_three_digits_that_count(self):
        for seconds, text in ((None, "-"), (1.5, "1500"), (0.1234, "123"), (0.01234, "12.3"), (0.001234, "1.23"),
                              (0.0001234, "0.123"), (0.00001234, "0.0123"), (1e-9, "0.00000")):
            self.assertEqual(report.milliseconds(seconds), text)

    def test_sizes_have_units(self):
        for count, text in ((None, "-"), (12, "12 B"), (4000, "4 KB"), (33_554_432, "33.6 MB"), (8e9, "8 GB")):
            self.assertEqual(report.size(count), text)

    def test_a_summary_has_the_minimum_and_the_median(self):
        self.assertEqual(report.summary([3.0, 1.0, 2.0]), {"min": 1.0, "median": 2.0, "count": 3})

    def test_the_report_has_each_verdict_and_counts_them(self):
        w = workload(speedup("pytorch 2", "tcp", 8), speedup("pytorch 2", "uds", 8), overhead("shm", ("library 2",), 1.3))
        r = result(w, pytorch_2=0.8, tcp=0.1, uds=0.2)
        r["promises"] = report.judge(w, r)
        text = report.markdown({"machine": {"CPU": "fast"}, "quick": False, "results": [r]})
        self.assertIn("1 reached, 1 missed, 1 not measured.", text)
        self.assertRegex(text, r"\| w +\| tcp: at least 8x as fast as pytorch 2 \| +8x \| reached \|")
        self.assertRegex(text, r"\| w +\| uds: at least 8x as fast as pytorch 2 \| +4x \|  missed \|")
        self.assertRegex(text, r"\| w +\| +- \| +800 \| +- \| +- \| +100 \| +200 \| +- \|")
        self.assertIn("- CPU: fast", text)
        self.assertNotIn("A quick run", text)


if __name__ == "__main__":
    unittest.main()
