// A labelled text field that says what is wrong with its text, beside it.

const PAUSE_MS = 150;

function make(tag, className, text) {
  const element = document.createElement(tag);
  element.className = className;
  if (text !== undefined) {
    element.textContent = text;
  }
  return element;
}

function render({ model, el }) {
  const id = `smx-field-${Math.random().toString(36).slice(2)}`; // each widget has this module to itself
  const label = make("label", "smx-label");
  label.htmlFor = id;
  const input = make("input", "smx-input");
  Object.assign(input, { id, type: "text", autocomplete: "off", spellcheck: false });
  const problem = make("p", "smx-problem");
  problem.id = `${id}-problem`;
  problem.setAttribute("role", "status");
  input.setAttribute("aria-describedby", problem.id);
  el.classList.add("smx-field");
  el.append(label, input, problem);

  // Sent as messages, not as a trait: traits wait while the kernel is busy and would arrive after a click that follows.
  let timer = 0;
  const tell = (kind) => {
    clearTimeout(timer);
    timer = 0;
    model.send({ kind, text: input.value, turn: model.get("turn") });
  };
  input.addEventListener("input", () => {
    input.dataset.smxTyped = model.get("field_id"); // a click on a button takes it along, see button.js
    clearTimeout(timer);
    timer = setTimeout(() => tell("typed"), PAUSE_MS);
  });
  input.addEventListener("blur", () => {
    if (timer) {
      tell("typed");
    }
  });
  input.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && !event.isComposing) {
      event.preventDefault();
      event.stopPropagation();
      tell("submit");
    } else if (event.key === "Escape") {
      event.stopPropagation();
      tell("escape");
    } else if (!event.ctrlKey && !event.metaKey) {
      event.stopPropagation();
    }
  });

  const showLabels = () => {
    label.textContent = model.get("label");
    input.placeholder = model.get("placeholder");
  };
  // A form is filled before it opens, so its field may still be out of sight.
  const focusWhenSeen = (frames) => {
    if (input.offsetParent === null && frames > 0) {
      requestAnimationFrame(() => focusWhenSeen(frames - 1));
    } else {
      input.focus();
      input.select();
    }
  };
  const showText = () => {
    if (timer && !model.get("focused")) {
      return; // a suggestion that came while somebody types
    }
    clearTimeout(timer);
    timer = 0;
    input.value = model.get("text");
    delete input.dataset.smxTyped;
    if (model.get("focused")) {
      focusWhenSeen(60);
    }
  };
  const showProblem = () => {
    const text = model.get("problem");
    problem.textContent = text ? `▲ ${text}` : model.get("hint");
    problem.classList.toggle("smx-bad", Boolean(text));
    problem.hidden = !problem.textContent;
    input.setAttribute("aria-invalid", text ? "true" : "false");
  };
  model.on("change:label change:placeholder", showLabels);
  model.on("change:turn", showText);
  model.on("change:problem change:hint", showProblem);
  showLabels();
  showText();
  showProblem();
  const hide = () => {
    el.hidden = model.get("hidden");
  };
  model.on("change:hidden", hide);
  hide();
  return () => clearTimeout(timer);
}

export default { render };
