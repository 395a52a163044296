"""The results as tables: Markdown that can be read as it is."""
import re
import statistics

COLUMNS = (
    ("PyTorch 1", "pytorch 1"), ("PyTorch 2", "pytorch 2"), ("library 1", "library 1"), ("library 2", "library 2"),
    ("TCP", "tcp"), ("UDS", "uds"), ("shm", "shm"), ("limit 2", "limit"), ("bare gRPC TCP", "echo tcp"),
    ("bare gRPC UDS", "echo uds"),
)
OTHERS = (("OpenBLAS 1", "openblas 1"), ("OpenBLAS 2", "openblas 2"), ("memory 1", "memory 1"), ("memory 2", "memory 2"),
          ("gather TCP", "gather tcp"), ("gather UDS", "gather uds"))


def table(header, rows):
    """A Markdown table with aligned columns; all but the first are right-aligned."""
    cells = [[str(cell) for cell in row] for row in (header, *rows)]
    widths = [max(3, *(len(row[i]) for row in cells)) for i in range(len(header))]

    def line(row):
        return "| " + " | ".join(c.ljust(w) if i == 0 else c.rjust(w) for i, (c, w) in enumerate(zip(row, widths))) + " |"

    rule = "|" + "|".join("-" * (w + 2) if i == 0 else "-" * (w + 1) + ":" for i, w in enumerate(widths)) + "|"
    return "\n".join([line(cells[0]), rule, *map(line, cells[1:])])


def milliseconds(seconds):
    """With three digits that count: 0.00123, 1.23, 123, 1230."""
    if seconds is None:
        return "-"
    ms = seconds * 1e3
    digits = 0
    while digits < 5 and ms * 10**digits < 100:
        digits += 1
    return f"{ms:.{digits}f}"


def size(count):
    if count is None:
        return "-"
    for unit, bytes_of_unit in (("GB", 1e9), ("MB", 1e6), ("KB", 1e3)):
        if count >= bytes_of_unit:
            return f"{count / bytes_of_unit:.3g} {unit}"
    return f"{count} B"


def summary(seconds):
    """What is kept of repeated measurements."""
    return {"min": min(seconds), "median": statistics.median(seconds), "count": len(seconds)}


def judge(workload, result):
    """Each promise of the workload with its measured value and whether it was reached; "-" where it was not measured."""
    medians = {variant: s["median"] for variant, s in result["times"].items()}
    verdicts = []
    for promise in workload.promises:
        try:
            value = promise.value(medians, result["sizes"])
        except KeyError:
            verdicts.append({"promise": promise.text, "value": None, "unit": promise.unit, "verdict": "-"})
            continue
        verdict = "reached" if promise.kept(value) else "missed"
        verdicts.append({"promise": promise.text, "value": value, "unit": promise.unit, "verdict": verdict})
    return verdicts


def number(value, unit):
    return "-" if value is None else f"{value:.3g}{unit}" if value < 1000 else f"{value:.0f}{unit}"


def times_table(results, columns, statistic):
    rows = []
    for result in results:
        times = result["times"]
        for suffix, label in (("", ""), (" x32", ", 32 at a time, per call"), (" forward", ", by Forward"),
                              (" block", ", in blocks")):
            if suffix and not any(variant.endswith(suffix) for variant in times):
                continue
            cells = [milliseconds(times[v + suffix][statistic] if v + suffix in times else None) for _, v in columns]
            if any(cell != "-" for cell in cells):
                rows.append([result["workload"] + label, *cells])
    return table(["workload", *(name for name, _ in columns)], rows) if rows else ""


def markdown(run):
    """The whole report of a run, as run.py collects it."""
    results = run["results"]
    verdicts = [(r["workload"], v) for r in results for v in r["promises"]]
    counts = {kind: sum(v["verdict"] == kind for _, v in verdicts) for kind in ("reached", "missed", "-")}
    lines = ["A quick run: the operands are small, the verdicts say nothing.", ""] if run["quick"] else []
    lines += ["## Promises", "",
             table(["workload", "promise", "measured", "verdict"],
                   [[w, v["promise"], number(v["value"], v["unit"]), v["verdict"]] for w, v in verdicts]), "",
             f"{counts['reached']} reached, {counts['missed']} missed, {counts['-']} not measured.", "",
             "## Times, the median in ms", "", times_table(results, COLUMNS, "median"), "",
             "## Times, the minimum in ms", "", times_table(results, COLUMNS, "min"), ""]
    others = times_table(results, OTHERS, "median")
    if others:
        lines += ["## What they are compared with, the median in ms", "", others, ""]
    lines += ["## Bytes of a call over TCP, and the server's peak memory", "",
              table(["workload", "request", "response", "server's peak memory", "what the limit is"],
                    [[r["workload"], size(r["sizes"].get("request_bytes")), size(r["sizes"].get("response_bytes")),
                      size(r["sizes"].get("peak_memory")), r.get("limit", "-")] for r in results]), ""]
    formulations = [[r["workload"], variant.removeprefix("pytorch "), milliseconds(seconds["median"]),
                     *(number(seconds["median"] / r["times"][ours]["median"], "x") for ours in ("library 2", "tcp"))]
                    for r in results for variant, seconds in r["times"].items() if re.match("pytorch .*,", variant)]
    if formulations:
        lines += ["## Other formulations in PyTorch than the functional module's, and how much faster ours are", "",
                  table(["workload", "threads, formulation", "median, ms", "library 2", "TCP"], formulations), ""]
    if run.get("linearity"):
        lines += ["## Cost by size, in ns per byte of operand", "", linearity_table(run["linearity"]), ""]
    lines += ["## Machine", "", *(f"- {name}: {value}" for name, value in run["machine"].items()), ""]
    return "\n".join(lines)


def linearity_table(points):
    variants = list(dict.fromkeys((p["function"], p["variant"]) for p in points))
    sizes = sorted({p["bytes"] for p in points})
    cost = {(p["function"], p["variant"], p["bytes"]): p["median"] / p["bytes"] * 1e9 for p in points}
    rows = [[size(s), *(f"{cost[(*v, s)]:.3f}" if (*v, s) in cost else "-" for v in variants)] for s in sizes]
    return table(["operand", *(f"{f}, {v}" for f, v in variants)], rows)
