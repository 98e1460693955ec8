"""The style sheet of the panels, as a view without a face; it also keeps plain keys from the notebook."""

from __future__ import annotations

import anywidget

from explorer.widgets.assets import read_asset


class Sheet(anywidget.AnyWidget):
    """Stands in every panel that is shown on its own, and once in the Explorer."""

    _esm = read_asset("sheet.js")
    _css = read_asset("panels.css")
