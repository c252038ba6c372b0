"""What raft-mutants.py and cluster-mutants.py share: rows of planted bugs, the choice among them, and the sum.

A row is (name, file below the sources, what is there, what is put in its place).
"""

import sys


def _fits(mutant, text_of):
    name, file, old, _ = mutant
    count = text_of(file).count(old)
    if count != 1:
        print(f"DOES NOT FIT   {name}: {file} has it {count} times", flush=True)
    return count == 1


def choose(mutants, names, text_of):
    """Those that @names are parts of the names of; none: all. Ends with status 1 when one does not fit the source any more."""
    chosen = [m for m in mutants if not names or any(n in m[0] for n in names)]
    if not all([_fits(m, text_of) for m in chosen]):
        sys.exit(1)
    return chosen


def told(name, found, *lines):
    """Print the verdict; @found is given back."""
    print(f"{'found' if found else 'NOT FOUND':9}  {name}", *(f"             {line}" for line in lines), sep="\n", flush=True)
    return bool(found)


def end(found):
    """@found: one bool for each row. Status 1 when a bug was found by nobody."""
    print(f"{sum(found)} of {len(found)} planted bugs found")
    sys.exit(0 if all(found) else 1)
