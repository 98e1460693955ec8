"""What the views with a script of their own have in common."""

from __future__ import annotations

import anywidget
import traitlets


class View(anywidget.AnyWidget):
    """A view with a script of its own.

    Attributes:
        hidden: Whether it is hidden. The views of anywidget don't follow ``add_class``, as others do.
    """

    hidden = traitlets.Bool(False).tag(sync=True)
