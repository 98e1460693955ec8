// A table that filters, sorts, selects and acts, and shows only the rows in sight when there are many.

const VIRTUAL_FROM = 200; // rows
const FILTER_FROM = 10; // rows
const ROW_PX = 30;
const LONG = 28; // characters; a longer cell may take several lines
const MARGIN = 8; // rows beyond the edges of what is in sight

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

const textOf = (cell) => (Array.isArray(cell) ? cell[0] : cell ?? "");
const valueOf = (cell) => (Array.isArray(cell) ? cell[1] : cell ?? "");

function compare(one, other) {
  const [a, b] = [valueOf(one), valueOf(other)];
  if (typeof a === "number" && typeof b === "number") {
    return a - b;
  }
  return String(a).localeCompare(String(b), undefined, { numeric: true });
}

function render({ model, el }) {
  const id = `smx-table-${Math.random().toString(36).slice(2)}`; // each widget has this module to itself
  let order = []; // places in the rows, as shown
  let sorted = { column: -1, down: false };
  let usual = [];
  let shown = [0, 0];

  el.classList.add("smx-table-view");
  const tools = make("div", "smx-table-tools");
  const filterLabel = make("label", "smx-label");
  filterLabel.htmlFor = `${id}-filter`;
  const filter = make("input", "smx-input");
  Object.assign(filter, { id: `${id}-filter`, type: "search", autocomplete: "off", spellcheck: false });
  const status = make("span", "smx-muted");
  status.setAttribute("role", "status");
  tools.append(filterLabel, filter, status);
  const box = make("div", "smx-scroll");
  const table = make("table", "smx-table");
  const head = make("thead");
  const body = make("tbody");
  table.append(head, body);
  box.append(table);
  const empty = make("p", "smx-note");
  el.append(tools, box, empty);

  const rows = () => model.get("rows");
  const isVirtual = () => order.length > VIRTUAL_FROM;

  const arrange = () => {
    const wanted = filter.value.trim().toLowerCase();
    order = rows().map((_, place) => place);
    if (wanted) {
      order = order.filter((place) => rows()[place].cells.some((cell) => String(textOf(cell)).toLowerCase().includes(wanted)));
    }
    if (sorted.column >= 0) {
      order.sort((one, other) => compare(rows()[one].cells[sorted.column], rows()[other].cells[sorted.column]));
      if (sorted.down) {
        order.reverse();
      }
    }
    tools.hidden = rows().length < FILTER_FROM;
    status.textContent = wanted ? `${order.length} of ${rows().length}` : `${rows().length} rows`;
    empty.textContent = rows().length ? "" : model.get("empty");
    empty.hidden = rows().length > 0;
    box.hidden = rows().length === 0;
  };

  const showHead = () => {
    // Which columns say in every row what they say as a rule; a narrow page leaves those out.
    usual = model.get("columns").map(
      (one, column) => one.usual !== null && rows().every((row) => String(textOf(row.cells[column])) === one.usual),
    );
    const line = make("tr");
    model.get("columns").forEach(({ label, kind }, column) => {
      const cell = make("th", kind === "number" ? "smx-number" : "");
      cell.classList.toggle("smx-usual", usual[column]);
      cell.scope = "col";
      const on = sorted.column === column;
      cell.setAttribute("aria-sort", on ? (sorted.down ? "descending" : "ascending") : "none");
      const button = make("button", "smx-sort", label);
      button.type = "button";
      button.addEventListener("click", () => {
        // First up, then down, then as it was in the file.
        if (!on) {
          sorted = { column, down: false };
        } else {
          sorted = sorted.down ? { column: -1, down: false } : { column, down: true };
        }
        show();
        head.rows[0].cells[column].firstChild.focus();
      });
      cell.append(button);
      line.append(cell);
    });
    if (rows().some((row) => row.actions.length)) {
      const cell = make("th", "smx-actions");
      cell.append(make("span", "smx-offscreen", "actions"));
      line.append(cell);
    }
    head.replaceChildren(line);
  };

  const select = (place) => {
    if (model.get("selectable") && rows()[place] !== undefined) {
      model.set("selected", rows()[place].id);
      model.save_changes();
    }
  };

  const makeRow = (position) => {
    const place = order[position];
    const row = rows()[place];
    const line = make("tr");
    line.dataset.id = row.id;
    line.setAttribute("aria-rowindex", String(position + 2));
    model.get("columns").forEach(({ kind, header }, column) => {
      const text = String(textOf(row.cells[column]));
      const cell = make(header ? "th" : "td", `smx-${kind}${text.length > LONG ? " smx-long" : ""}`, text);
      cell.classList.toggle("smx-usual", usual[column]);
      if (header) {
        cell.scope = "row";
      }
      line.append(cell);
    });
    if (rows().some((other) => other.actions.length)) {
      const cell = make("td", "smx-actions");
      for (const { action, label, name } of row.actions) {
        const button = make("button", "smx-action", label);
        button.type = "button";
        button.dataset.action = action;
        button.setAttribute("aria-label", name);
        button.addEventListener("click", (event) => {
          event.stopPropagation();
          model.send({ kind: "action", action, id: row.id });
        });
        cell.append(button);
      }
      line.append(cell);
    }
    if (model.get("selectable")) {
      line.addEventListener("click", () => {
        select(place);
        line.focus({ preventScroll: true });
      });
    }
    return line;
  };

  const makeNote = (position) => {
    const { note } = rows()[order[position]];
    const line = make("tr", "smx-row-note");
    const cell = make("td", `smx-${note.level}`, note.text);
    cell.colSpan = model.get("columns").length + 1;
    line.append(cell);
    return line;
  };

  const makeGap = (height) => {
    const line = make("tr", "smx-gap");
    line.setAttribute("aria-hidden", "true");
    line.style.height = `${height}px`;
    return line;
  };

  const showBody = () => {
    const virtual = isVirtual();
    box.classList.toggle("smx-virtual", virtual);
    let [first, last] = [0, order.length];
    if (virtual) {
      first = Math.max(0, Math.floor(box.scrollTop / ROW_PX) - MARGIN);
      last = Math.min(order.length, first + Math.ceil((box.clientHeight || 360) / ROW_PX) + 2 * MARGIN);
    }
    shown = [first, last];
    const lines = [];
    for (let position = first; position < last; position += 1) {
      lines.push(makeRow(position));
      if (rows()[order[position]].note && !virtual) {
        lines.push(makeNote(position));
      }
    }
    if (virtual) {
      lines.unshift(makeGap(first * ROW_PX));
      lines.push(makeGap((order.length - last) * ROW_PX));
    }
    const focused = body.contains(el.getRootNode().activeElement) ? el.getRootNode().activeElement : null;
    const focusedId = focused?.closest("tr")?.dataset.id;
    const focusedAction = focused?.dataset.action;
    body.replaceChildren(...lines);
    markSelected();
    if (focusedId !== undefined) {
      const line = lineOf(focusedId);
      const button = [...(line?.querySelectorAll("button") ?? [])].find((one) => one.dataset.action === focusedAction);
      (button ?? line)?.focus({ preventScroll: true });
    }
  };

  const lineOf = (rowId) => [...body.rows].find((line) => line.dataset.id === rowId);

  const markSelected = () => {
    if (!model.get("selectable")) {
      return;
    }
    const selected = model.get("selected");
    const lines = [...body.rows].filter((line) => line.dataset.id !== undefined);
    const chosen = lines.find((line) => line.dataset.id === selected);
    for (const line of lines) {
      line.setAttribute("aria-selected", String(line === chosen));
      line.tabIndex = line === (chosen ?? lines[0]) ? 0 : -1;
    }
  };

  const show = () => {
    arrange();
    table.setAttribute("aria-label", model.get("label"));
    table.setAttribute("aria-rowcount", String(order.length + 1));
    if (model.get("selectable")) {
      table.setAttribute("role", "grid");
    }
    filterLabel.textContent = `Filter ${model.get("label").toLowerCase()}`;
    showHead();
    showBody();
  };

  body.addEventListener("keydown", (event) => {
    const line = event.target.closest("tr");
    if (!model.get("selectable") || event.target !== line || event.ctrlKey || event.metaKey || event.altKey) {
      return;
    }
    const position = order.findIndex((place) => rows()[place].id === line.dataset.id);
    const last = order.length - 1;
    const goals = { ArrowDown: position + 1, ArrowUp: position - 1, Home: 0, End: last, Enter: position, " ": position };
    if (!(event.key in goals)) {
      return;
    }
    event.preventDefault();
    event.stopPropagation();
    const goal = Math.min(Math.max(goals[event.key], 0), last);
    if (isVirtual() && (goal < shown[0] + 1 || goal >= shown[1] - 1)) {
      box.scrollTop = Math.max(0, goal * ROW_PX - box.clientHeight / 2);
      showBody();
    }
    select(order[goal]);
    const target = lineOf(rows()[order[goal]].id);
    target?.focus();
    target?.scrollIntoView({ block: "nearest" });
  });
  filter.addEventListener("input", () => {
    box.scrollTop = 0;
    show();
  });
  filter.addEventListener("keydown", (event) => event.stopPropagation());
  let frame = 0;
  box.addEventListener("scroll", () => {
    if (isVirtual() && !frame) {
      frame = requestAnimationFrame(() => {
        frame = 0;
        showBody();
      });
    }
  });
  model.on("change:rows change:columns change:label change:empty", show);
  model.on("change:selected", markSelected);
  show();
  const hide = () => {
    el.hidden = model.get("hidden");
  };
  model.on("change:hidden", hide);
  hide();
  return () => cancelAnimationFrame(frame);
}

export default { render };
