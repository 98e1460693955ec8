// A button that chooses a file, and takes one that is dropped on it. The file goes to the kernel in parts: what sends
// the messages of a notebook takes no large ones.

const PART_BYTES = 4 << 20;

function make(tag, className, text) {
  const element = document.createElement(tag);
  element.className = className;
  if (text !== undefined) {
    element.textContent = text;
  }
  return element;
}

function render({ model, el }) {
  el.classList.add("smx-file-drop");
  const choose = make("button", "smx-action");
  choose.type = "button";
  const input = make("input", "smx-offscreen");
  Object.assign(input, { type: "file", tabIndex: -1 });
  input.setAttribute("aria-hidden", "true");
  const picture = make("img", "smx-picture");
  const status = make("span", "smx-muted smx-drop-status");
  status.setAttribute("role", "status");
  el.append(picture, choose, input, status);

  const say = (text) => {
    status.textContent = text;
    status.hidden = !text;
  };
  const send = async (file) => {
    const most = model.get("most_bytes");
    if (file.size > most) {
      say(`${file.name} is larger than ${Math.floor(most / 2 ** 20)} MiB`);
      return;
    }
    const upload = Math.random().toString(36).slice(2);
    const count = Math.max(1, Math.ceil(file.size / PART_BYTES));
    for (let place = 0; place < count; place += 1) {
      const part = await file.slice(place * PART_BYTES, (place + 1) * PART_BYTES).arrayBuffer();
      say(count > 1 ? `${Math.round((100 * place) / count)} % of ${file.name}` : "");
      model.send({ kind: "part", upload, name: file.name, place, count }, undefined, [part]);
    }
    say("");
  };
  choose.addEventListener("click", () => input.click());
  input.addEventListener("change", () => {
    const [file] = input.files;
    input.value = ""; // so that the same file can be given again
    if (file !== undefined) {
      send(file);
    }
  });

  // The whole row takes a file, so that one need not aim.
  let target = el;
  const over = (event) => {
    if (event.dataTransfer?.types.includes("Files")) {
      event.preventDefault();
      event.stopPropagation();
      event.dataTransfer.dropEffect = "copy";
      target.classList.add("smx-drop-here");
    }
  };
  const leave = (event) => {
    if (!target.contains(event.relatedTarget)) {
      target.classList.remove("smx-drop-here");
    }
  };
  const drop = (event) => {
    const [file] = event.dataTransfer?.files ?? [];
    target.classList.remove("smx-drop-here");
    if (file !== undefined) {
      event.preventDefault();
      event.stopPropagation(); // JupyterLab would upload it, or put it into the cell
      send(file);
    }
  };
  const listen = (which) => {
    for (const [name, hear] of [["dragenter", over], ["dragover", over], ["dragleave", leave], ["drop", drop]]) {
      target[which](name, hear, true);
    }
  };
  const frame = requestAnimationFrame(() => {
    target = el.closest(".smx-value-row") ?? el;
    listen("addEventListener");
  });

  const show = () => {
    choose.textContent = model.get("label");
    choose.setAttribute("aria-label", model.get("name"));
    choose.title = "Choose a file, or drop one here";
    picture.hidden = !model.get("picture");
    picture.alt = model.get("alt");
    if (model.get("picture")) {
      picture.src = model.get("picture");
    } else {
      picture.removeAttribute("src");
    }
  };
  model.on("change:label change:name change:picture change:alt", show);
  show();
  say("");
  const hide = () => {
    el.hidden = model.get("hidden");
  };
  model.on("change:hidden", hide);
  hide();
  return () => {
    cancelAnimationFrame(frame);
    listen("removeEventListener");
  };
}

export default { render };
