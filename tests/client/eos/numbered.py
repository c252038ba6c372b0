"""What is wrong with a copy of numbered records, or with running totals of them: lost, twice, out of order, not ours. Pure."""

KEYS = 5        # of each partition, as TotalsApp.java divides its numbers
SHOWN = 5       # of each kind; the rest is counted


def value(partition, number):
    """The text of a partition's record with this number."""
    return f"{partition}-{number}"


def faults(rows, counts):
    """@rows: (partition, text) as a reader was given them; @counts: of each partition how many there must be, numbered from 0.
    Return: what is wrong, in words; [] when each record is there once, in order."""
    got = {p: [] for p in counts}
    out = []
    foreign = []
    for partition, text in rows:
        home, _, number = text.partition("-")
        if home != str(partition) or partition not in counts or not number.isdigit() or int(number) >= counts[partition]:
            foreign.append(f"{text} in partition {partition}")
        else:
            got[partition].append(int(number))
    if foreign:
        out.append(_some("not ours", foreign))
    for partition, numbers in got.items():
        out += _faults_of(partition, numbers, counts[partition])
    return out


def _faults_of(partition, numbers, count):
    seen = {}
    for n in numbers:
        seen[n] = seen.get(n, 0) + 1
    lost = [value(partition, n) for n in range(count) if n not in seen]
    twice = [value(partition, n) for n, times in sorted(seen.items()) if times > 1]
    once = list(dict.fromkeys(numbers))     # a repetition is told as such, not as disorder too
    early = [value(partition, b) for a, b in zip(once, once[1:]) if b < a]
    return [_some(what, which) for what, which in (("lost", lost), ("twice", twice), ("out of order", early)) if which]


def _some(what, which):
    more = f" and {len(which) - SHOWN} more" if len(which) > SHOWN else ""
    return f"{what}: {', '.join(which[:SHOWN])}{more}"


def totals(counts):
    """{key: (count, sum)} in the end, of TotalsApp's keys, for partitions that have @counts records numbered from 0."""
    out = {}
    for partition, count in counts.items():
        for rest in range(KEYS):
            numbers = range(rest, count, KEYS)
            if numbers:
                out[f"{partition}.{rest}"] = (len(numbers), sum(numbers) + len(numbers))
    return out


def totals_faults(lines, counts):
    """@lines: "KEY COUNT SUM" as TotalsApp sends them, each key's in order. From one to the next the count grows by one, and the
    sum by the number of the record that was added, plus one. Return: as faults()."""
    keys = {key: i for i, key in enumerate(totals(counts))}
    now, rows, out = dict.fromkeys(keys, (0, 0)), [], []
    for line in lines:
        key, count, total = line.split(" ")
        if key not in keys:
            out.append(f"not ours: {line}")
            continue
        partition, rest = map(int, key.split("."))
        number = int(total) - now[key][1] - 1
        if int(count) != now[key][0] + 1:
            out.append(f"{key} counts {count} after {now[key][0]}")
        elif number % KEYS != rest or not 0 <= number < counts[partition]:
            out.append(f"{key} has grown by {number}, which is not its own")
        else:
            rows.append((keys[key], value(keys[key], number // KEYS)))
        now[key] = int(count), int(total)
    order = {i: totals(counts)[key][0] for key, i in keys.items()}
    return out[:SHOWN] + [f"{fault} (keys by number: {', '.join(keys)})" for fault in faults(rows, order)]
