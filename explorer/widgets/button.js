// A button whose click brings along what was typed: in JupyterLab the messages of two widgets may be heard by two
// threads of the kernel, so that a click alone can overtake the text that was typed before it.

function render({ model, el }) {
  const button = document.createElement("button");
  button.type = "button";
  const show = () => {
    button.textContent = model.get("description");
    button.title = model.get("tooltip");
    button.disabled = model.get("disabled");
    button.className = `jupyter-button${model.get("kind") ? ` smx-${model.get("kind")}` : ""}`;
    el.hidden = model.get("hidden");
  };
  // Leaving a field may change what stands above the button. It is still the one that was pressed, wherever it has gone.
  button.addEventListener("pointerdown", (event) => {
    if (event.button === 0) {
      button.setPointerCapture(event.pointerId);
    }
  });
  button.addEventListener("click", () => {
    const typed = {};
    for (const input of (el.closest(".smx-root") ?? document).querySelectorAll("[data-smx-typed]")) {
      typed[input.dataset.smxTyped] = input.value;
    }
    model.send({ kind: "click", typed });
  });
  model.on("change:description change:tooltip change:disabled change:kind change:hidden", show);
  show();
  el.classList.add("smx-button");
  el.append(button);
}

export default { render };
