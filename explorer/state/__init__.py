"""One observable state: what is open, chosen and drafted; intents are methods, with undo and redo."""

from explorer.state.explorer_state import ExplorerState
from explorer.state.telling import InlineExecutor, TellingState

__all__ = ["ExplorerState", "InlineExecutor", "TellingState"]
