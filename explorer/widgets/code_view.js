// Code to read and to copy: one text at a time, the others behind tabs.

const THANKS_MS = 1500;

function make(tag, className, text) {
  const element = document.createElement(tag);
  element.className = className;
  if (text !== undefined) {
    element.textContent = text;
  }
  return element;
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

function render({ model, el }) {
  const id = `smx-code-${Math.random().toString(36).slice(2)}`; // each widget has this module to itself
  let chosen = 0;
  let timer = 0;
  el.classList.add("smx-code-view");
  const bar = make("div", "smx-code-bar");
  const tabs = make("div", "smx-tabs");
  tabs.setAttribute("role", "tablist");
  const copy = make("button", "smx-action");
  copy.type = "button";
  bar.append(tabs, copy);
  const panel = make("div", "smx-code-panel");
  panel.id = id;
  const pre = make("pre", "smx-code");
  pre.tabIndex = 0;
  const note = make("p", "smx-note");
  panel.append(pre, note);
  el.append(bar, panel);

  const show = () => {
    const codes = model.get("codes");
    chosen = Math.min(chosen, Math.max(codes.length - 1, 0));
    const { label, text, note: remark } = codes[chosen] ?? { label: "", text: "", note: "" };
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
      tab.setAttribute("aria-selected", String(index === chosen));
      tab.tabIndex = index === chosen ? 0 : -1;
    });
    tabs.setAttribute("aria-label", model.get("label"));
    panel.setAttribute("role", "tabpanel");
    panel.setAttribute("aria-label", label);
    if (!timer) {
      copy.textContent = "Copy";
    }
    copy.setAttribute("aria-label", `Copy ${label}`);
    copy.disabled = !text;
    if (pre.textContent !== text) {
      pre.textContent = text;
    }
    pre.setAttribute("aria-label", label);
    pre.hidden = !text;
    note.textContent = remark;
    note.hidden = !remark;
  };
  const choose = (index) => {
    const all = tabs.children.length;
    chosen = (index + all) % all;
    show();
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
  copy.addEventListener("click", async () => {
    const done = await copyText(pre.textContent);
    copy.textContent = done ? "Copied" : "Press Ctrl+C";
    if (!done) {
      getSelection().selectAllChildren(pre);
    }
    clearTimeout(timer);
    timer = setTimeout(() => {
      timer = 0;
      copy.textContent = "Copy";
    }, THANKS_MS);
  });
  model.on("change:codes change:label", show);
  show();
  const hide = () => {
    el.hidden = model.get("hidden");
  };
  model.on("change:hidden", hide);
  hide();
  return () => clearTimeout(timer);
}

export default { render };
