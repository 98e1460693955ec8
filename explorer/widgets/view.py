"""What the views with a script of their own have in common."""

from __future__ import annotations

import uuid
from typing import Any, ClassVar
from weakref import WeakValueDictionary

import anywidget
import traitlets


class View(anywidget.AnyWidget):
    """A view with a script of its own.

    Attributes:
        hidden: Whether it is hidden. The views of anywidget don't follow ``add_class``, as others do.
    """

    hidden = traitlets.Bool(False).tag(sync=True)


class TextView(View):
    """A labelled view that one types into, and that says beside itself what is wrong with the text.

    Attributes:
        field_id: The name by which the page tells what was typed into which field.
        label: Its accessible name.
        placeholder: What stands in it while it is empty.
        problem: What is wrong with the text; empty when nothing is.
        hint: What stands in the problem's place while there is none.
        text: What was last put into it.
        turn: How often something was put into it, by which the page knows what is new.
        focused: Whether the cursor shall go into it then.
        value: What is in it as far as the kernel knows.
    """

    field_id = traitlets.Unicode().tag(sync=True)
    label = traitlets.Unicode().tag(sync=True)
    placeholder = traitlets.Unicode().tag(sync=True)
    problem = traitlets.Unicode().tag(sync=True)
    hint = traitlets.Unicode().tag(sync=True)
    text = traitlets.Unicode().tag(sync=True)
    turn = traitlets.Int(0).tag(sync=True)
    focused = traitlets.Bool(False).tag(sync=True)
    value = traitlets.Unicode()

    _by_id: ClassVar[WeakValueDictionary[str, TextView]] = WeakValueDictionary()

    def __init__(self, **traits: Any) -> None:
        """Makes a view with an identity of its own.

        Args:
            **traits: Attributes of the view.
        """
        super().__init__(field_id=uuid.uuid4().hex, **traits)
        self._by_id[self.field_id] = self

    @classmethod
    def with_id(cls, field_id: str) -> TextView | None:
        """The view that the page means, or None where it is gone."""
        return cls._by_id.get(field_id)

    def take(self, text: str) -> None:
        """Takes over what was typed, whether or not the page has told of it before."""
        raise NotImplementedError
