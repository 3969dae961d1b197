"""Keep what this version writes, for the versions after it: `python -m tests.formats`.

Makes the next folder, if formats or rules differ from the newest folder's. Folders of before are never written again;
one that was in no release may be removed by hand.
"""

from __future__ import annotations

import sys

from . import fixture


def main() -> int:
    """Exit status: 0 done, or nothing to do."""
    found = fixture.folders()
    if found and fixture.about(found[-1])["numbers"] == fixture.numbers():
        print(f"{found[-1].name} has the formats and rules of this version: nothing to do")
        return 0
    folder = fixture.ROOM / str(1 + max((int(path.name) for path in found), default=0))
    fixture.make(folder)
    print(f"made {folder.name}: {sum(path.stat().st_size for path in folder.rglob('*') if path.is_file()):,} bytes")
    return 0


if __name__ == "__main__":
    sys.exit(main())
