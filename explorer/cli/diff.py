"""``diff``: what changed between two versions, and whether clients break."""

from __future__ import annotations

import argparse
import os

from explorer.cli.printing import print_text, tag_list
from explorer.errors import quoted


def diff(options: argparse.Namespace) -> int:
    """Compares two versions; the exit status is the verdict."""
    from explorer.diagnosing.compatibility import compatibility
    from explorer.savedmodel.opening import open_saved_model

    versions = options.from_version, options.to_version
    if options.other is None:
        versions = _two_versions(options.path, *versions)
    before = open_saved_model(options.path, versions[0])
    after = open_saved_model(options.path if options.other is None else options.other, versions[1])
    found = compatibility(before, after, None if options.tags is None else tag_list(options.tags))
    if options.json:
        import json

        print(json.dumps(found.to_dict(), indent=2))
    else:
        from explorer.editing.diff import diff as changes
        from explorer.render.text import changes_text
        from explorer.render.verdicts import verdict_text

        print_text(f"{changes_text(changes(before, after))}\n\n{verdict_text(found)}")
    return {"same": 0, "compatible": 1, "breaking": 3}[found.verdict]


def _two_versions(path: str, first: int | None, second: int | None) -> tuple[int, int]:
    """The two newest versions under a base path, as far as none is asked for.

    Raises:
        SourceError: There is no base path with two versions.
    """
    from explorer.errors import UnknownVersionError
    from explorer.savedmodel.folder import find_model, list_versions

    base = os.path.expanduser(path)
    versions = list_versions(base) if os.path.isdir(base) else ()
    numbers = sorted({version.number for version in versions if version.is_model})
    if not numbers:
        find_model(path)  # says what is there in place of versions, unless that is a model
    if second is None and numbers:
        second = numbers[-1]
    if first is None:
        first = next((number for number in reversed(numbers) if second is None or number < second), None)
    if first is None or second is None:
        known = ", ".join(map(str, numbers)) or "none"
        raise UnknownVersionError(
            f"{quoted(path)} has no two versions to compare, available: {known}; give a second path", path, numbers
        )
    return first, second
