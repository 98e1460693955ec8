"""Changed files of Keras, looked into one after the other in one process: a script of its own, since HDF5 is C.

``python tests/keras_mutations.py FOLDER FIRST COUNT SEED FILE…`` writes a line for each: its number, and what came of
it as JSON. Whoever started it begins anew after the last number where one brings the process down.
"""

from __future__ import annotations

import io
import json
import random
import signal
import sys
import warnings
import zipfile
from pathlib import Path

from explorer.runtime.keras_files_child import answer, limit_memory

_LONGEST_S = 5
_PIECES = (b"\0", b"\xff", b"\x89HDF", b"TREE", b"HEAP", b"SNOD", b"OHDR", b"{", b"}", b'"Lambda"', b"Dense", b"../")


def changed(data: bytes, chance: random.Random) -> bytes:
    """A file with something changed: cut short, bytes or bits changed, pieces put in, moved or taken out."""
    found = bytearray(data)
    for _ in range(chance.choice((1, 1, 1, 2, 5, 20))):
        if not found:
            break
        at = chance.randrange(len(found))
        kind = chance.randrange(6)
        if kind == 0:
            del found[at:]
        elif kind == 1:
            found[at] ^= 1 << chance.randrange(8)
        elif kind == 2:
            found[at] = chance.choice((0, 1, 0x7F, 0x80, 0xFF, chance.randrange(256)))
        elif kind == 3:
            piece = chance.choice(_PIECES)
            found[at : at + len(piece)] = piece
        elif kind == 4:
            other, length = chance.randrange(len(found)), chance.randrange(1, 64)
            found[at : at + length] = found[other : other + length]
        else:
            found[at : at + 8] = chance.randrange(1 << 64).to_bytes(8, "little")
    return bytes(found)


def changed_archive(data: bytes, chance: random.Random) -> bytes:
    """A ``.keras`` file with a change in one of its members, so that it still is an archive; or in the archive."""
    if chance.random() < 0.3:
        return changed(data, chance)
    target = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as archive, zipfile.ZipFile(target, "w") as new, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        names = archive.namelist()
        victim = chance.choice(names)
        for name in names:
            member = archive.read(name)
            new.writestr(name, changed(member, chance) if name == victim else member)
    return target.getvalue()


def main() -> None:
    """Looks into one changed file after the other."""
    folder, first, count, seed, *paths = sys.argv[1:]
    limit_memory(4 << 30)
    sources = [(Path(path).suffix, Path(path).read_bytes()) for path in paths]
    for number in range(int(first), int(count)):
        chance = random.Random(f"{seed} {number}")
        ending, data = sources[number % len(sources)]
        file = Path(folder, f"changed{ending}")
        file.write_bytes((changed_archive if ending == ".keras" else changed)(data, chance))
        sys.stdout.write(f"{number} begins\n")
        sys.stdout.flush()
        signal.alarm(_LONGEST_S)  # HDF5 may go round in circles, where no Python handler would run: so the process ends
        found = json.dumps(answer(file, Path(folder)))
        sys.stdout.write(f"{number} {found}\n")


if __name__ == "__main__":
    main()
