# SPDX-License-Identifier: Apache-2.0
"""Samples, what they come to, and tables of them. Pure."""

import math
import statistics

# Values are kept in seconds, bytes or as they are; shown in these.
UNITS = {"us": 1000000, "ms": 1000, "s": 1, "MiB": 1 / (1 << 20), "s/GiB": 1, "%": 100}
OURS = "vmm"


def percentile95(values):
    """The smallest value that 95 % of them do not exceed."""
    return sorted(values)[math.ceil(0.95 * len(values)) - 1]


def figure(value):
    """Three digits that count, and no more."""
    if value == 0:
        return "0"
    digits = max(0, 2 - math.floor(math.log10(abs(value))))
    return f"{value:.{min(digits, 3)}f}"


class Results:
    """@samples: (benchmark, case, measure, unit) to contestant to values, as they came."""

    def __init__(self):
        self.samples = {}
        self.absent = []   # (benchmark, contestant, reason): not built yet, not here
        self.failures = []  # (benchmark, contestant, reason)

    def add(self, benchmark, case, measure, unit, contestant, value):
        key = benchmark, case, measure, unit
        self.samples.setdefault(key, {}).setdefault(contestant, []).append(value)

    def fail(self, benchmark, contestant, reason):
        self._note(self.failures, benchmark, contestant, reason)

    def leave_out(self, benchmark, contestant, reason):
        self._note(self.absent, benchmark, contestant, reason)

    @staticmethod
    def _note(where, *row):
        if row not in where:
            where.append(row)

    def rows(self):
        for (benchmark, case, measure, unit), by_name in self.samples.items():
            ours = best_of_ours(by_name)
            for name, values in by_name.items():
                median = statistics.median(values)
                yield {"benchmark": benchmark, "case": case, "measure": measure, "unit": unit,
                       "contestant": name, "samples": len(values),
                       "median": median * UNITS[unit],
                       "p95": percentile95(values) * UNITS[unit],
                       "ratio": median / ours if ours else None,
                       "values": [v * UNITS[unit] for v in values]}

    def document(self, machine):
        return {"machine": machine, "rows": list(self.rows()),
                "absent": [list(r) for r in self.absent],
                "failures": [list(r) for r in self.failures]}


def is_ours(name):
    return name == OURS or name.startswith(OURS + " ") or name.startswith(OURS + ",")


def best_of_ours(by_name):
    """The smallest median among the ways in which this program does it: what others are set
    against. None when it does not."""
    medians = [statistics.median(v) for name, v in by_name.items() if is_ours(name)]
    return min(medians) if medians else None


def groups(rows, *keys):
    """Rows by the values of @keys, in the order of their first."""
    found = {}
    for row in rows:
        found.setdefault(tuple(row[k] for k in keys), []).append(row)
    return found


def text_table(rows):
    lines = []
    for (benchmark, case, measure, unit), of in groups(
            rows, "benchmark", "case", "measure", "unit").items():
        title = ", ".join(t for t in (f"{benchmark} {case}".strip(), measure) if t)
        lines.append(f"\n{title}, {unit}\n  {'':34} {'median':>9} {'95 %':>9}    x vmm  samples")
        for r in of:
            ratio = f"{r['ratio']:8.2f}" if r["ratio"] is not None else "       -"
            lines.append(f"  {r['contestant']:34} {figure(r['median']):>9} {figure(r['p95']):>9} "
                         f"{ratio}  {r['samples']:7}")
    return "\n".join(lines)


def cell(row):
    if not row:
        return "–"
    ratio = f" ({figure(row['ratio'])}x)" if row["ratio"] is not None else ""
    return f"{figure(row['median'])} / {figure(row['p95'])}{ratio}"


def markdown_table(rows):
    """A table for rows of one benchmark and measure: contestants down, cases across; in each cell
    median, 95th percentile and ratio."""
    cases = list(dict.fromkeys(r["case"] for r in rows))
    names = list(dict.fromkeys(r["contestant"] for r in rows))
    cells = {(r["contestant"], r["case"]): r for r in rows}
    lines = ["| | " + " | ".join(c or rows[0]["unit"] for c in cases) + " |",
             "|---|" + "---:|" * len(cases)]
    for name in names:
        of = [cells.get((name, case)) for case in cases]
        lines.append(f"| {name} | " + " | ".join(map(cell, of)) + " |")
    return "\n".join(lines) + "\n"
