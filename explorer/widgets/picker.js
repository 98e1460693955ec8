// Finds one among many names: the kernel searches and sends the best few. The pattern is
// https://www.w3.org/WAI/ARIA/apg/patterns/combobox/examples/combobox-autocomplete-list/

const PAUSE_MS = 120;

function make(tag, className, text) {
  const element = document.createElement(tag);
  element.className = className;
  if (text !== undefined) {
    element.textContent = text;
  }
  return element;
}

function render({ model, el }) {
  const id = `smx-picker-${Math.random().toString(36).slice(2)}`; // each widget has this module to itself
  let request = 0;
  let items = [];
  let active = -1;
  let timer = 0;
  let awaited = false; // whether what is listed is about to be replaced
  let steps = 0; // arrow keys that were pressed meanwhile

  el.classList.add("smx-picker");
  const label = make("label", "smx-label");
  label.htmlFor = id;
  const line = make("div", "smx-picker-line");
  const input = make("input", "smx-input");
  Object.assign(input, { id, type: "text", autocomplete: "off", spellcheck: false });
  input.setAttribute("role", "combobox");
  input.setAttribute("aria-autocomplete", "list");
  input.setAttribute("aria-controls", `${id}-list`);
  const kind = make("select", "smx-select");
  line.append(input, kind);
  const problem = make("p", "smx-problem");
  problem.id = `${id}-problem`;
  problem.setAttribute("role", "status");
  input.setAttribute("aria-describedby", problem.id);
  const list = make("ul", "smx-list");
  list.id = `${id}-list`;
  list.setAttribute("role", "listbox");
  el.append(label, line, list, problem);

  const open = (yes) => {
    list.hidden = !yes;
    input.setAttribute("aria-expanded", String(yes));
    if (!yes) {
      activate(-1);
    }
  };
  const activate = (index) => {
    list.children[active]?.setAttribute("aria-selected", "false");
    active = index;
    const option = list.children[active];
    if (option === undefined) {
      input.removeAttribute("aria-activedescendant");
      return;
    }
    option.setAttribute("aria-selected", "true");
    option.scrollIntoView({ block: "nearest" });
    input.setAttribute("aria-activedescendant", option.id);
  };
  const search = () => {
    clearTimeout(timer);
    timer = 0;
    request += 1;
    awaited = true;
    model.send({ kind: "search", request, text: input.value, dtype: kind.value });
  };
  // The end of a long name says most, so it is the end that is seen.
  const showName = (name) => {
    input.value = name;
    input.title = name;
    input.scrollLeft = input.scrollWidth;
  };
  const choose = (index) => {
    if (items[index] !== undefined) {
      clearTimeout(timer);
      timer = 0;
      awaited = false;
      showName(items[index].whole);
      model.send({ kind: "choose", request, index });
      open(false);
    }
  };
  const showItems = () => {
    list.replaceChildren(
      ...items.map((item, index) => {
        const option = make("li", "smx-option");
        option.id = `${id}-${index}`;
        option.setAttribute("role", "option");
        option.setAttribute("aria-selected", "false");
        option.title = item.whole;
        option.append(make("span", "smx-mono", item.name), make("span", "smx-muted", item.about));
        option.addEventListener("mousedown", (event) => event.preventDefault()); // the focus stays in the field
        option.addEventListener("click", () => choose(index));
        return option;
      }),
    );
    active = -1;
  };

  input.addEventListener("input", () => {
    input.title = "";
    input.dataset.smxTyped = model.get("field_id"); // a click on a button takes it along, see button.js
    clearTimeout(timer);
    request += 1; // answers to what was typed before are stale
    awaited = true;
    steps = 0;
    activate(-1);
    timer = setTimeout(search, PAUSE_MS);
  });
  input.addEventListener("focus", search);
  input.addEventListener("blur", () => {
    if (timer) {
      search(); // what was typed counts, though nobody waits for the answer
    }
    request += 0.5; // what still comes is too late
    awaited = false;
    open(false);
  });
  kind.addEventListener("change", () => {
    search();
    input.focus();
  });
  input.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) {
      return;
    }
    event.stopPropagation();
    const closed = list.hidden;
    if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      event.preventDefault();
      const step = event.key === "ArrowDown" ? 1 : -1;
      if (awaited) {
        steps += step;
      } else if (closed) {
        search();
      } else if (items.length) {
        activate(active < 0 && step < 0 ? items.length - 1 : (active + step + items.length) % items.length);
      }
    } else if (event.key === "Enter" && !event.isComposing) {
      event.preventDefault();
      if (!closed && active >= 0) {
        choose(active);
      } else {
        clearTimeout(timer);
        timer = 0;
        open(false);
        model.send({ kind: "submit", text: input.value });
      }
    } else if (event.key === "Escape") {
      if (closed) {
        model.send({ kind: "escape" });
      }
      open(false);
    }
  });
  model.on("msg:custom", (message) => {
    if (message.kind === "results" && message.request === request) {
      items = message.items;
      awaited = false;
      showItems();
      open(items.length > 0 && input.matches(":focus"));
      if (steps && items.length && !list.hidden) {
        activate((((steps > 0 ? steps - 1 : steps) % items.length) + items.length) % items.length);
      }
      steps = 0;
    }
  });

  const showLabels = () => {
    label.textContent = model.get("label");
    list.setAttribute("aria-label", model.get("label"));
    kind.setAttribute("aria-label", "Filter tensors by dtype");
    input.placeholder = model.get("placeholder");
  };
  const showDtypes = () => {
    kind.replaceChildren(
      ...model.get("dtypes").map(([value, text]) => {
        const option = make("option", "", text);
        option.value = value;
        return option;
      }),
    );
    kind.value = model.get("dtype");
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
    showName(model.get("text"));
    delete input.dataset.smxTyped;
    kind.value = model.get("dtype");
    open(false);
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
  model.on("change:dtypes", showDtypes);
  model.on("change:turn", showText);
  model.on("change:problem change:hint", showProblem);
  showLabels();
  showDtypes();
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
