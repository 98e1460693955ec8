// Shows what a signature runs: boxes and lines whose places come from the kernel. Here they are zoomed, moved, walked
// along by keys, and folded. Every text goes in as text.

const SVG = "http://www.w3.org/2000/svg";
const PAUSE_MS = 150;
const STILL_PX = 4; // a press that moves less is a click
const ZOOMS = [0.25, 0.35, 0.5, 0.65, 0.8, 1, 1.25, 1.5, 2, 3];
const SMALLEST_FIT = 0.75; // what is smaller can't be read

function make(tag, className, text) {
  const element = document.createElement(tag);
  if (className) {
    element.className = className;
  }
  if (text !== undefined) {
    element.textContent = text;
  }
  return element;
}

function draw(tag, attributes, text) {
  const element = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) {
    element.setAttribute(name, String(value));
  }
  if (text !== undefined) {
    element.textContent = text;
  }
  return element;
}

function render({ model, el }) {
  const id = `smx-drawing-${Math.random().toString(36).slice(2)}`; // each widget has this module to itself
  let drawing = { boxes: [], links: [], width: 0, height: 0 };
  let boxes = new Map(); // id → what the kernel said
  let shapes = new Map(); // id → the element that has the focus
  let lines = []; // [link, element]
  let chosen = "";
  let zoom = 1;
  let isFitted = true; // until somebody zooms
  let anchor = null; // [id, left, top]: the box that stays where it is when others come and go
  let request = 0;
  let found = [];
  let active = -1;
  let searchTimer = 0;
  let chooseTimer = 0;

  el.classList.add("smx-drawing-view");
  const tools = make("div", "smx-drawing-tools");
  const searchBox = make("div", "smx-drawing-search");
  const searchLabel = make("label", "smx-label", "Search by name or op");
  searchLabel.htmlFor = `${id}-search`;
  const search = make("input", "smx-input");
  Object.assign(search, { id: `${id}-search`, type: "text", autocomplete: "off", spellcheck: false });
  search.placeholder = "MatMul, dense/kernel …";
  search.setAttribute("role", "combobox");
  search.setAttribute("aria-autocomplete", "list");
  search.setAttribute("aria-controls", `${id}-list`);
  search.setAttribute("aria-expanded", "false");
  const list = make("ul", "smx-list");
  list.id = `${id}-list`;
  list.setAttribute("role", "listbox");
  list.setAttribute("aria-label", "What was found");
  list.hidden = true;
  searchBox.append(searchLabel, search, list);
  const buttons = make("div", "smx-drawing-buttons");
  buttons.setAttribute("role", "group");
  buttons.setAttribute("aria-label", "View");
  const button = (text, name, onClick) => {
    const made = make("button", "smx-action", text);
    made.type = "button";
    made.title = name;
    made.setAttribute("aria-label", name);
    made.addEventListener("click", onClick);
    buttons.append(made);
    return made;
  };
  button("−", "Zoom out (-)", () => step(-1));
  const percent = make("span", "smx-muted smx-drawing-percent");
  buttons.append(percent);
  button("+", "Zoom in (+)", () => step(1));
  button("Fit", "Fit to the width (0)", () => fit());
  button("Fold all", "Fold all that was unfolded", () => model.send({ kind: "fold_all" }));
  const orderLabel = make("label", "smx-drawing-order");
  const order = make("input");
  order.type = "checkbox";
  order.addEventListener("change", () => model.send({ kind: "orders", on: order.checked }));
  orderLabel.append(order, make("span", "", "control edges"));
  orderLabel.title = "Dashed lines that carry no value and only say what runs first";
  const status = make("span", "smx-muted smx-drawing-status");
  status.setAttribute("role", "status");
  tools.append(searchBox, buttons, orderLabel, status);

  const scroll = make("div", "smx-drawing-box");
  const svg = draw("svg", { role: "tree", "aria-describedby": `${id}-keys` });
  scroll.append(svg);
  const keys = make(
    "p",
    "smx-muted smx-drawing-keys",
    "Arrow keys follow the lines, Enter unfolds and folds, Escape goes to the frame around, + − 0 zoom.",
  );
  keys.id = `${id}-keys`;
  const details = make("dl", "smx-drawing-details");
  details.setAttribute("aria-live", "polite");
  const empty = make("p", "smx-note");
  el.append(tools, empty, scroll, keys, details);

  // ---------------------------------------------------------------- zoom

  const showZoom = () => {
    svg.setAttribute("width", String(Math.max(1, drawing.width * zoom)));
    svg.setAttribute("height", String(Math.max(1, drawing.height * zoom)));
    percent.textContent = `${Math.round(zoom * 100)} %`;
  };
  // The point of the picture that is at a place of the box stays there.
  const zoomTo = (value, x = scroll.clientWidth / 2, y = scroll.clientHeight / 2) => {
    const [left, top] = [(scroll.scrollLeft + x) / zoom, (scroll.scrollTop + y) / zoom];
    zoom = Math.min(Math.max(value, ZOOMS[0]), ZOOMS[ZOOMS.length - 1]);
    showZoom();
    scroll.scrollLeft = left * zoom - x;
    scroll.scrollTop = top * zoom - y;
  };
  const step = (direction) => {
    isFitted = false;
    const next = direction > 0 ? ZOOMS.find((one) => one > zoom + 0.01) : ZOOMS.findLast((one) => one < zoom - 0.01);
    zoomTo(next ?? zoom);
  };
  const fit = () => {
    isFitted = true;
    if (scroll.clientWidth > 40 && drawing.width > 0) {
      zoom = Math.min(1, Math.max(SMALLEST_FIT, (scroll.clientWidth - 4) / drawing.width));
    }
    showZoom();
    scroll.scrollLeft = (scroll.scrollWidth - scroll.clientWidth) / 2;
  };
  scroll.addEventListener(
    "wheel",
    (event) => {
      if (event.ctrlKey || event.metaKey) {
        event.preventDefault();
        isFitted = false;
        const around = scroll.getBoundingClientRect();
        zoomTo(zoom * Math.exp(-event.deltaY / 400), event.clientX - around.left, event.clientY - around.top);
      }
    },
    { passive: false },
  );

  // ---------------------------------------------------------------- drag

  let press = null;
  let wasDragged = false;
  scroll.addEventListener("pointerdown", (event) => {
    wasDragged = false;
    if (event.button === 0 && event.pointerType !== "touch" && svg.contains(event.target)) {
      press = { x: event.clientX, y: event.clientY, left: scroll.scrollLeft, top: scroll.scrollTop };
    }
  });
  scroll.addEventListener("pointermove", (event) => {
    if (press === null) {
      return;
    }
    const [x, y] = [event.clientX - press.x, event.clientY - press.y];
    if (!wasDragged && Math.hypot(x, y) > STILL_PX) {
      wasDragged = true;
      scroll.setPointerCapture(event.pointerId);
      scroll.classList.add("smx-dragged");
    }
    if (wasDragged) {
      scroll.scrollLeft = press.left - x;
      scroll.scrollTop = press.top - y;
    }
  });
  const release = () => {
    press = null;
    scroll.classList.remove("smx-dragged");
  };
  scroll.addEventListener("pointerup", release);
  scroll.addEventListener("pointercancel", release);

  // ---------------------------------------------------------------- what is chosen

  const showDetails = () => {
    const box = boxes.get(chosen);
    details.replaceChildren(
      ...(box?.details ?? []).flatMap(([label, text]) => [make("dt", "", label), make("dd", "", text)]),
    );
    details.hidden = box === undefined;
  };
  const mark = () => {
    for (const [key, shape] of shapes) {
      shape.setAttribute("aria-selected", String(key === chosen));
      shape.setAttribute("tabindex", key === chosen ? "0" : "-1");
    }
    if (!shapes.has(chosen)) {
      shapes.values().next().value?.setAttribute("tabindex", "0");
    }
    for (const [link, shape] of lines) {
      shape.classList.toggle("smx-on", chosen !== "" && (link.source === chosen || link.target === chosen));
    }
    showDetails();
  };
  const choose = (key, isTold = true) => {
    if (key === chosen) {
      return;
    }
    chosen = key;
    mark();
    clearTimeout(chooseTimer);
    if (isTold) {
      chooseTimer = setTimeout(() => model.send({ kind: "choose", id: chosen }), PAUSE_MS);
    }
  };
  const reveal = (key) => {
    const box = boxes.get(key);
    if (box === undefined) {
      return;
    }
    const margin = 24;
    // Of a frame its head.
    const height = box.unfolded ? Math.min(box.height, 60) : box.height;
    const [left, right] = [box.x * zoom - margin, (box.x + box.width) * zoom + margin];
    const [top, bottom] = [box.y * zoom - margin, (box.y + height) * zoom + margin];
    if (left < scroll.scrollLeft || right > scroll.scrollLeft + scroll.clientWidth) {
      scroll.scrollLeft = (left + right - scroll.clientWidth) / 2;
    }
    if (top < scroll.scrollTop || bottom > scroll.scrollTop + scroll.clientHeight) {
      scroll.scrollTop = (top + bottom - scroll.clientHeight) / 2;
    }
  };
  const focus = (key) => {
    choose(key);
    shapes.get(key)?.focus({ preventScroll: true });
    reveal(key);
  };
  const toggle = (key) => {
    const box = boxes.get(key);
    if (box?.folds) {
      clearTimeout(chooseTimer);
      const place = shapes.get(key).getBoundingClientRect();
      anchor = [key, place.left, place.top];
      isFitted = false; // another size would move all that is looked at
      model.send({ kind: box.unfolded ? "fold" : "unfold", id: key });
    }
  };

  // ---------------------------------------------------------------- keys

  const middle = (box) => [box.x + box.width / 2, box.y + (box.unfolded ? 13 : box.height / 2)];
  const nearest = (keys, from) => {
    const [x, y] = middle(from);
    const far = (key) => {
      const [otherX, otherY] = middle(boxes.get(key));
      return Math.abs(otherX - x) + Math.abs(otherY - y);
    };
    return [...new Set(keys)].sort((one, other) => far(one) - far(other))[0];
  };
  const beside = (box, direction) => {
    const [x, y] = middle(box);
    const there = drawing.boxes.filter((other) => {
      const [otherX, otherY] = middle(other);
      return other !== box && (otherX - x) * direction > 1 && Math.abs(otherY - y) <= Math.max(box.height, other.unfolded ? 26 : other.height);
    });
    return nearest(there.map((other) => other.id), box);
  };
  const goalOf = (key, box) => {
    if (key === "ArrowDown" && box.unfolded) {
      return drawing.boxes.find((other) => other.parent === box.id)?.id;
    }
    if (key === "ArrowDown" || key === "ArrowUp") {
      const [from, to] = key === "ArrowDown" ? ["source", "target"] : ["target", "source"];
      const goals = drawing.links.filter((link) => link[from] === box.id).map((link) => link[to]);
      return goals.length ? nearest(goals, box) : undefined;
    }
    if (key === "ArrowLeft" || key === "ArrowRight") {
      return beside(box, key === "ArrowRight" ? 1 : -1);
    }
    if (key === "Home" || key === "End") {
      return (key === "Home" ? drawing.boxes[0] : drawing.boxes[drawing.boxes.length - 1])?.id;
    }
    return key === "Escape" && box.parent ? box.parent : undefined;
  };
  // Not on the picture itself: Chromium gives the focus to an svg that listens to it.
  scroll.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) {
      return;
    }
    const box = boxes.get(event.target.dataset?.id);
    const goal = box && goalOf(event.key, box);
    if (goal !== undefined) {
      focus(goal);
    } else if (box && (event.key === "Enter" || event.key === " ")) {
      toggle(box.id);
    } else if (event.key === "+" || event.key === "=" || event.key === "-") {
      step(event.key === "-" ? -1 : 1);
    } else if (event.key === "0") {
      fit();
    } else if (!event.key.startsWith("Arrow")) {
      return;
    }
    event.preventDefault();
    event.stopPropagation();
  });
  scroll.addEventListener("focusin", (event) => {
    const key = event.target.dataset?.id;
    if (key) {
      choose(key);
    }
  });
  scroll.addEventListener("click", (event) => {
    const shape = event.target.closest("[data-id]");
    if (shape === null || wasDragged) {
      return;
    }
    const key = shape.dataset.id;
    choose(key);
    shape.focus({ preventScroll: true });
    // A frame folds by its head alone: its ground is where one drags.
    if (!boxes.get(key).unfolded || event.target.classList.contains("smx-drawing-head")) {
      toggle(key);
    }
  });

  // ---------------------------------------------------------------- drawing

  const rectOf = (box) =>
    draw("rect", { x: box.x, y: box.y, width: box.width, height: box.height, rx: box.rx, class: "smx-drawing-ground" });
  const shapeOf = (box) => {
    const shape = draw("g", {
      class: `smx-drawing-item smx-kind-${box.kind}${box.unfolded ? " smx-drawing-frame" : ""}`,
      role: "treeitem",
      tabindex: -1,
      "aria-level": box.level,
      "aria-label": box.words,
      "aria-selected": "false",
      "data-id": box.id,
    });
    if (box.folds) {
      shape.setAttribute("aria-expanded", String(box.unfolded));
    }
    shape.append(rectOf(box));
    if (box.unfolded) {
      shape.append(draw("rect", { x: box.x, y: box.y, width: box.width, height: 26, rx: box.rx, class: "smx-drawing-head" }));
    } else {
      const x = box.x + box.width / 2;
      let y = box.y + (box.height - 12 - 15 * box.lines.length) / 2 + 10;
      shape.append(draw("text", { x, y, class: "smx-drawing-title" }, `${box.folds ? "+ " : ""}${box.title}`));
      for (const line of box.lines) {
        y += 15;
        shape.append(draw("text", { x, y }, line));
      }
    }
    shape.append(draw("title", {}, box.details.map(([label, text]) => `${label}: ${text}`).join("\n") || box.words));
    shapes.set(box.id, shape);
    return shape;
  };
  const lineOf = (link) => {
    const shape = draw("g", { class: link.order ? "smx-drawing-line smx-drawing-ordered" : "smx-drawing-line", "aria-hidden": "true" });
    shape.append(
      draw("path", { d: link.d, class: "smx-drawing-wide" }),
      draw("path", { d: link.d, class: "smx-drawing-way" }),
      draw("path", { d: link.arrow, class: "smx-drawing-arrow" }),
      draw("title", {}, link.about),
    );
    lines.push([link, shape]);
    return shape;
  };
  const headOf = (box) =>
    draw("text", { x: box.x + 10, y: box.y + 17, class: "smx-drawing-head-text", "aria-hidden": "true" }, `− ${box.head}`);

  const show = () => {
    const hadFocus = svg.contains(svg.ownerDocument.activeElement);
    const before = [scroll.scrollLeft, scroll.scrollTop];
    drawing = model.get("drawing");
    boxes = new Map((drawing.boxes ?? []).map((box) => [box.id, box]));
    shapes = new Map();
    lines = [];
    const isThere = boxes.size > 0;
    for (const part of [tools, scroll, keys]) {
      part.hidden = !isThere;
    }
    empty.textContent = model.get("empty");
    empty.hidden = isThere || !empty.textContent;
    if (!isThere) {
      svg.replaceChildren();
      chosen = "";
      showDetails();
      return;
    }
    svg.setAttribute("viewBox", `0 0 ${drawing.width} ${drawing.height}`);
    svg.setAttribute("aria-label", `${drawing.title}. ${drawing.about}`);
    // Shapes come in the order of reading, each frame before what is in it; frames are seen through.
    svg.replaceChildren(
      ...drawing.links.map(lineOf),
      ...drawing.boxes.map(shapeOf),
      ...drawing.boxes.filter((box) => box.unfolded).map(headOf),
    );
    if (!boxes.has(chosen)) {
      chosen = "";
    }
    if (isFitted) {
      fit();
    } else {
      showZoom();
    }
    markFound();
    mark();
    if (!isFitted) {
      [scroll.scrollLeft, scroll.scrollTop] = before;
    }
    if (anchor !== null && shapes.has(anchor[0])) {
      const place = shapes.get(anchor[0]).getBoundingClientRect();
      scroll.scrollLeft += place.left - anchor[1];
      scroll.scrollTop += place.top - anchor[2];
    }
    anchor = null;
    if (hadFocus) {
      (shapes.get(chosen) ?? shapes.values().next().value)?.focus({ preventScroll: true });
    }
  };
  // Only with a goal: a choice that was made here and comes back late must not undo the next one.
  const showGoal = () => {
    if (boxes.has(model.get("chosen"))) {
      choose(model.get("chosen"), false);
      shapes.get(chosen).focus({ preventScroll: true });
      reveal(chosen);
    }
  };

  // ---------------------------------------------------------------- search

  const open = (yes) => {
    list.hidden = !yes;
    search.setAttribute("aria-expanded", String(yes));
    if (!yes) {
      activate(-1);
    }
  };
  const activate = (index) => {
    list.children[active]?.setAttribute("aria-selected", "false");
    active = index;
    const option = list.children[active];
    if (option === undefined) {
      search.removeAttribute("aria-activedescendant");
      return;
    }
    option.setAttribute("aria-selected", "true");
    option.scrollIntoView({ block: "nearest" });
    search.setAttribute("aria-activedescendant", option.id);
  };
  const markFound = () => {
    const hits = new Set(search.value.trim() ? found.map((one) => one.id) : []);
    for (const [key, shape] of shapes) {
      shape.classList.toggle("smx-drawing-hit", hits.has(key));
    }
  };
  const go = (index) => {
    if (found[index] !== undefined) {
      open(false);
      model.send({ kind: "go", request, index });
    }
  };
  const lookUp = () => {
    clearTimeout(searchTimer);
    searchTimer = 0;
    request += 1;
    model.send({ kind: "search", request, text: search.value });
  };
  search.addEventListener("input", () => {
    clearTimeout(searchTimer);
    request += 1; // answers to what was typed before are stale
    searchTimer = setTimeout(lookUp, PAUSE_MS);
  });
  search.addEventListener("focus", () => {
    if (found.length && search.value.trim()) {
      open(true);
    }
  });
  search.addEventListener("blur", () => open(false));
  search.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) {
      return;
    }
    event.stopPropagation();
    if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      event.preventDefault();
      const direction = event.key === "ArrowDown" ? 1 : -1;
      if (list.hidden) {
        open(found.length > 0);
      } else {
        activate(active < 0 && direction < 0 ? found.length - 1 : (active + direction + found.length) % found.length);
      }
    } else if (event.key === "Enter" && !event.isComposing) {
      event.preventDefault();
      if (searchTimer) {
        lookUp();
      } else {
        go(Math.max(active, 0));
      }
    } else if (event.key === "Escape") {
      open(false);
    }
  });
  const onMessage = (message) => {
    if (message.kind !== "results" || message.request !== request) {
      return;
    }
    found = message.items;
    list.replaceChildren(
      ...found.map((item, index) => {
        const option = make("li", "smx-option");
        option.id = `${id}-${index}`;
        option.setAttribute("role", "option");
        option.setAttribute("aria-selected", "false");
        option.title = item.name;
        option.append(make("span", "smx-mono", item.name), make("span", "smx-muted", item.about));
        option.addEventListener("mousedown", (event) => event.preventDefault()); // the focus stays in the field
        option.addEventListener("click", () => go(index));
        return option;
      }),
    );
    active = -1;
    status.textContent = search.value.trim() ? message.status : model.get("status");
    markFound();
    open(found.length > 0 && search.matches(":focus"));
  };

  // ---------------------------------------------------------------- from the kernel

  const showStatus = () => {
    status.textContent = model.get("status");
    order.checked = model.get("orders");
    svg.setAttribute("aria-busy", String(model.get("busy")));
    scroll.classList.toggle("smx-busy", model.get("busy"));
    empty.textContent = model.get("empty");
  };
  const hide = () => {
    el.hidden = model.get("hidden");
  };
  model.on("msg:custom", onMessage);
  model.on("change:drawing", show);
  model.on("change:goal", showGoal);
  model.on("change:status change:orders change:busy change:empty", showStatus);
  model.on("change:hidden", hide);
  show();
  showStatus();
  hide();
  // Its width is known only when it is in the page, and changes with that.
  const watcher = new ResizeObserver(() => {
    if (isFitted) {
      fit();
    }
  });
  watcher.observe(el);
  return () => {
    watcher.disconnect();
    clearTimeout(searchTimer);
    clearTimeout(chooseTimer);
  };
}

export default { render };
