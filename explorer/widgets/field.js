// A labelled text field, of one line or of several, that says what is wrong with its text, beside it.

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
  const lines = model.get("lines");
  const input = make(lines > 1 ? "textarea" : "input", "smx-input");
  Object.assign(input, { id, autocomplete: "off", spellcheck: false });
  Object.assign(input, lines > 1 ? { rows: lines } : { type: "text" });
  const problem = make("p", "smx-problem");
  problem.id = `${id}-problem`;
  problem.setAttribute("role", "status");
  input.setAttribute("aria-describedby", problem.id);
  el.classList.add("smx-field");
  el.append(label, input, problem);

  // Sent as messages, not as a trait: traits wait while the kernel is busy and would arrive after a click that follows.
  let timer = 0;
  let typing = false; // whether somebody is at it: begun, and neither handed over nor left
  const tell = (kind) => {
    clearTimeout(timer);
    timer = 0;
    model.send({ kind, text: input.value, turn: model.get("turn") });
  };
  const changed = () => {
    input.dataset.smxTyped = model.get("field_id"); // a click on a button takes it along, see button.js
    clearTimeout(timer);
    timer = setTimeout(() => tell("typed"), PAUSE_MS);
  };
  input.addEventListener("input", () => {
    typing = true;
    changed();
  });
  input.addEventListener("blur", () => {
    typing = false;
    if (timer) {
      tell("typed");
    }
  });
  input.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && !event.isComposing && (lines < 2 || event.ctrlKey || event.metaKey)) {
      event.preventDefault();
      event.stopPropagation();
      typing = false;
      tell("submit");
    } else if (event.key === "Escape") {
      event.stopPropagation();
      typing = false;
      tell("escape");
    } else if (!event.ctrlKey && !event.metaKey) {
      event.stopPropagation();
    }
  });

  if (model.get("loads")) {
    const file = make("input", "smx-offscreen");
    Object.assign(file, { type: "file", accept: model.get("loads"), tabIndex: -1 });
    file.setAttribute("aria-hidden", "true");
    const load = make("button", "smx-action", "Load a file …");
    load.type = "button";
    load.addEventListener("click", () => file.click());
    file.addEventListener("change", async () => {
      const [chosen] = file.files;
      file.value = ""; // so that the same file can be loaded again
      if (chosen !== undefined) {
        input.value = await chosen.text();
        changed();
      }
    });
    problem.before(load, file);
  }

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
    if (typing && !model.get("focused")) {
      tell("typed"); // a suggestion that came while somebody types: what is typed stands against it
      return;
    }
    clearTimeout(timer);
    timer = 0;
    typing = false;
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
