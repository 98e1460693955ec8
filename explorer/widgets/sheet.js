// Brings the style sheet of the panels and keeps their keys from the notebook around them.

const PATIENCE = 600; // animation frames until a view that never gets attached is given up

function keepKeys(event) {
  // In command mode a notebook takes plain keys (arrows, Enter, d d) for its own, wherever the focus is.
  if (!event.ctrlKey && !event.metaKey && !event.altKey) {
    event.stopPropagation();
  }
}

function render({ el }) {
  el.classList.add("smx-sheet");
  let root = null;
  let button = null; // the last that had the focus
  let frame = 0;
  let tries = 0;

  const remember = (event) => {
    if (event.target.matches("button")) {
      button = event.target;
    }
  };
  const keepFocus = (event) => {
    // A form that closes takes the focus with it; the next key would go to the notebook, which may delete a cell.
    if (event.relatedTarget === null && event.target !== root) {
      const lost = event.target;
      requestAnimationFrame(() => {
        const active = root.ownerDocument.activeElement;
        if (active === root.ownerDocument.body && lost.getClientRects().length === 0 && root.isConnected) {
          (button?.isConnected && button.getClientRects().length && !button.disabled ? button : root).focus({
            preventScroll: true,
          });
        }
      });
    }
  };
  const find = () => {
    root = el.closest(".smx-root");
    if (root !== null) {
      root.tabIndex = -1;
      root.addEventListener("keydown", keepKeys);
      root.addEventListener("focusin", remember);
      root.addEventListener("focusout", keepFocus);
    } else if ((tries += 1) < PATIENCE) {
      frame = requestAnimationFrame(find);
    }
  };
  find();
  return () => {
    cancelAnimationFrame(frame);
    root?.removeEventListener("keydown", keepKeys);
    root?.removeEventListener("focusin", remember);
    root?.removeEventListener("focusout", keepFocus);
  };
}

export default { render };
