// Code to read, to copy and to save: one text at a time, the others behind tabs. What is long stays in the kernel until
// somebody copies or saves it.

const THANKS_MS = 1500;
const PATIENCE_MS = 60_000;

function make(tag, className, text) {
  const element = document.createElement(tag);
  element.className = className;
  if (text !== undefined) {
    element.textContent = text;
  }
  return element;
}

function button(text) {
  const made = make("button", "smx-action", text);
  made.type = "button";
  return made;
}

async function copyText(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    // There is no clipboard on pages that came over http from another machine; the old way still works there.
    const area = make("textarea", "smx-offscreen");
    area.value = text;
    document.body.append(area);
    area.select();
    const done = document.execCommand("copy");
    area.remove();
    return done;
  }
}

function saveFile(data, name) {
  const address = URL.createObjectURL(new Blob([data]));
  const link = make("a", "smx-offscreen");
  link.href = address;
  link.download = name;
  document.body.append(link);
  link.click();
  link.remove();
  setTimeout(() => URL.revokeObjectURL(address), PATIENCE_MS);
}

function render({ model, el }) {
  const id = `smx-code-${Math.random().toString(36).slice(2)}`; // each widget has this module to itself
  let chosen = 0;
  let requests = 0;
  const waiting = new Map(); // what is asked of the kernel
  const timers = new Map();
  el.classList.add("smx-code-view");
  const bar = make("div", "smx-code-bar");
  const tabs = make("div", "smx-tabs");
  tabs.setAttribute("role", "tablist");
  const copy = button("Copy");
  const save = button("Save");
  const actions = make("div", "smx-code-actions");
  actions.append(copy, save);
  bar.append(tabs, actions);
  const panel = make("div", "smx-code-panel");
  panel.id = id;
  const pre = make("pre", "smx-code");
  pre.tabIndex = 0;
  const note = make("p", "smx-note");
  panel.append(pre, note);
  el.append(bar, panel);

  const follows = () => model.get("follows");
  const show = () => {
    const codes = model.get("codes");
    if (follows()) {
      chosen = model.get("chosen");
    }
    chosen = Math.min(chosen, Math.max(codes.length - 1, 0));
    const { label, text, note: remark, bad, file } = codes[chosen] ?? { label: "", text: "", note: "", file: "" };
    while (tabs.children.length > codes.length) {
      tabs.lastChild.remove();
    }
    codes.forEach((code, index) => {
      let tab = tabs.children[index];
      if (tab === undefined) {
        tab = make("button", "smx-tab");
        tab.type = "button";
        tab.setAttribute("role", "tab");
        tab.setAttribute("aria-controls", id);
        tab.addEventListener("click", () => choose(index));
        tabs.append(tab);
      }
      tab.textContent = code.label;
    });
    showChosen();
    tabs.setAttribute("aria-label", model.get("label"));
    panel.setAttribute("role", "tabpanel");
    panel.setAttribute("aria-label", label);
    panel.classList.remove("smx-waiting");
    copy.setAttribute("aria-label", `Copy ${label}`);
    save.setAttribute("aria-label", `Save ${label}`);
    save.title = file;
    copy.disabled = save.disabled = !text;
    save.hidden = !file;
    if (pre.textContent !== text) {
      pre.textContent = text;
    }
    pre.setAttribute("aria-label", label);
    pre.hidden = !text;
    note.textContent = bad ? `▲ ${remark}` : remark;
    note.classList.toggle("smx-warning", Boolean(bad));
    note.hidden = !remark;
  };
  const showChosen = () => {
    [...tabs.children].forEach((tab, index) => {
      tab.setAttribute("aria-selected", String(index === chosen));
      tab.tabIndex = index === chosen ? 0 : -1;
    });
  };
  const choose = (index) => {
    const all = tabs.children.length;
    const before = chosen;
    chosen = (index + all) % all;
    if (!follows()) {
      show();
    } else if (chosen !== before) {
      // The text of the tab before stays until the kernel has made the new one, so that nothing jumps.
      showChosen();
      panel.classList.add("smx-waiting");
      model.send({ kind: "choose", place: chosen });
    }
  };
  tabs.addEventListener("keydown", (event) => {
    const steps = { ArrowRight: chosen + 1, ArrowLeft: chosen - 1, Home: 0, End: -1 };
    if (event.key in steps) {
      event.preventDefault();
      event.stopPropagation();
      choose(steps[event.key]);
      tabs.children[chosen].focus();
    }
  });

  const thank = (which, name, said) => {
    which.textContent = said;
    clearTimeout(timers.get(which));
    timers.set(which, setTimeout(() => (which.textContent = name), THANKS_MS));
  };
  const whole = (kind) =>
    new Promise((resolve, reject) => {
      const code = model.get("codes")[chosen];
      if (kind === "copy" ? !code.cut : !code.made) {
        resolve(new TextEncoder().encode(code.text));
        return;
      }
      const request = (requests += 1);
      waiting.set(request, { resolve, reject });
      setTimeout(() => waiting.delete(request) && reject(new Error("the kernel is busy")), PATIENCE_MS);
      model.send({ kind, place: chosen, request });
    });
  const hear = (message, buffers) => {
    if (message.kind !== "whole" || !waiting.has(message.request)) {
      return;
    }
    const { resolve, reject } = waiting.get(message.request);
    waiting.delete(message.request);
    if (message.problem) {
      reject(new Error(message.problem));
      return;
    }
    const view = buffers[0];
    resolve(new Uint8Array(view.buffer ?? view, view.byteOffset ?? 0, view.byteLength));
  };
  const fail = (error) => {
    note.textContent = `▲ ${error.message}`;
    note.hidden = false;
  };
  copy.addEventListener("click", async () => {
    try {
      const done = await copyText(new TextDecoder().decode(await whole("copy")));
      thank(copy, "Copy", done ? "Copied" : "Press Ctrl+C");
      if (!done) {
        getSelection().selectAllChildren(pre);
      }
    } catch (error) {
      fail(error);
    }
  });
  save.addEventListener("click", async () => {
    const { file } = model.get("codes")[chosen];
    try {
      saveFile(await whole("save"), file);
      thank(save, "Save", "Saved");
    } catch (error) {
      fail(error);
    }
  });
  model.on("msg:custom", hear);
  model.on("change:codes change:label change:chosen", show);
  show();
  const hide = () => {
    el.hidden = model.get("hidden");
  };
  model.on("change:hidden", hide);
  hide();
  return () => {
    model.off("msg:custom", hear);
    timers.forEach(clearTimeout);
  };
}

export default { render };
