"""What a run found: the table on the terminal and docs/CLIENTS.md, both made from the same results."""
import dataclasses


@dataclasses.dataclass
class Result:
    """One client's outcome. @checks maps the name of a check to (outcome, why)."""
    client: object
    title: str = ""
    checks: dict = dataclasses.field(default_factory=dict)
    trouble: str = ""       # why the program as a whole failed
    missing: str = ""       # why the client could not be run on this machine
    seconds: float = 0.0

    def count(self, outcome):
        return sum(1 for got, _ in self.checks.values() if got == outcome)

    @property
    def passed(self):
        return self.count("ok")

    @property
    def failed(self):
        return self.count("not ok") + bool(self.trouble)

    @property
    def skipped(self):
        return self.count("skip") + bool(self.missing)


def parse(result, text):
    """Read a client program's output into @result."""
    for line in text.splitlines():
        if line.startswith("# ") and not result.title:
            result.title = line[2:].strip()
        for outcome in ("not ok", "ok", "skip"):
            if line.startswith(outcome + " "):
                name, _, why = line[len(outcome) + 1:].partition(":")
                result.checks[name.strip()] = (outcome, why.strip())
                break


def table(results):
    rows = [("client", "version", "passed", "failed", "skipped", "time")]
    for r in results:
        version = r.title or (f"not run: {r.missing[:60]}" if r.missing else "")
        rows.append((r.client.name, version, str(r.passed), str(r.failed), str(r.skipped), f"{r.seconds:.0f} s"))
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    out = []
    for row in rows:
        cells = [cell.ljust(w) if i < 2 else cell.rjust(w) for i, (cell, w) in enumerate(zip(row, widths))]
        out.append("  ".join(cells).rstrip())
    return "\n".join(out)


def failures(results):
    out = []
    for r in results:
        if r.trouble:
            out.append(f"{r.client.name}: {r.trouble}")
        out += [f"{r.client.name}: not ok {name}: {why}" for name, (got, why) in r.checks.items() if got == "not ok"]
        if r.missing:
            out.append(f"{r.client.name}: skipped: {r.missing}")
    return out


DOC_HEAD = """# Clients that were tested

Written by `tests/client/run --write-doc` from the results of a run of all clients against chronikd; do not edit.
Each program under `tests/client` is an unmodified client that does what its users do; a check passes only if what was
read back is what was sent. The same programs pass against Apache Kafka 4.3.1, which is how we know that they are right.

"""

DOC_CHECKS = """
## Check by check

`+` passed, `-` failed, `.` not offered by this client or release, blank: not part of this client's program.

"""


def document(results, broker_version):
    out = [DOC_HEAD, f"Broker: {broker_version}\n\n",
           "| client | version that was tested | passed | failed | not offered |\n|---|---|---:|---:|---:|\n"]
    for r in results:
        out.append(f"| {r.client.what} | {r.title or 'not run: ' + r.missing} | {r.passed} | {r.failed} | "
                   f"{r.count('skip')} |\n")
    names = []
    for r in results:
        names += [n for n in r.checks if n not in names]
    out += [DOC_CHECKS, "| check |" + "".join(f" {r.client.name} |" for r in results) + "\n|---|" +
            ":-:|" * len(results) + "\n"]
    sign = {"ok": "+", "not ok": "-", "skip": "."}
    for name in names:
        out.append(f"| {name} |" + "".join(f" {sign.get(r.checks.get(name, ('',))[0], '')} |" for r in results) + "\n")
    skips = [(r.client.name, name, why) for r in results for name, (got, why) in r.checks.items() if got == "skip"]
    if skips:
        out.append("\n## Not offered\n\n")
        out += [f"- {client}, {name}: {why}\n" for client, name, why in skips]
    return "".join(out)
