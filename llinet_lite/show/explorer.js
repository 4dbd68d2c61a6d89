// The attention explorer in the browser: controls, maps on canvases, players. What is computed from data
// comes from Python (`menu`, `scene`, `clip`, `lists`, `status`); sliders answer here at once.

const MEGABYTES = 20, PART = 2 ** 21; // of a file, checked by Python again; bytes of one message, for servers refuse big ones
const STEP = 0.05, RECORDED = 10; // seconds: of the time slider, and of a recording at most
const CHOSEN = ["picture", "sound", "other", "time", "shown", "threshold", "opacity", "spot"];
const SHOWN = ["menu", "scene", "clip", "lists", "status"]; // what Python says
const CONTROLS = ["button", "select", "input", "canvas", "audio"];
const SCALES = { probability: "probability", maximum: "share of the map's maximum" };
const GONE = "Python is gone: run the cell of the explorer again.";
const SILENT =
  "No answer from Python yet: another cell is running, or the kernel was restarted; then run this cell again.";
const IN_VS_CODE = "VS Code gives notebooks no microphone: open the lesson in JupyterLab, or upload a sound";
const NO_MICROPHONE = {
  NotAllowedError: "the browser may not use the microphone: allow it for this page, or upload a sound",
  NotFoundError: "no microphone was found: plug one in, or upload a sound",
  TypeError: "there is no microphone on this page (it needs https or localhost): upload a sound",
  NotReadableError: "another program uses the microphone: close it, or upload a sound",
};

let count = 0; // of views, for unique ids

/** Make an element with attributes (functions are listeners) and children. */
function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === "function") element.addEventListener(name, value);
    else if (value !== false && value != null) element.setAttribute(name, value === true ? "" : value);
  }
  // Else JupyterLab takes the arrow keys for its own shortcuts; the focused element itself must say no.
  if (CONTROLS.includes(tag)) element.setAttribute("data-lm-suppress-shortcuts", "true");
  element.append(...children);
  return element;
}

/** Call `f` once, `wait` milliseconds after the last of several calls; until then it is `waiting`. */
function later(f, wait) {
  const call = () => {
    clearTimeout(call.waiting);
    call.waiting = setTimeout(() => ((call.waiting = null), f()), wait);
  };
  call.cancel = () => (call.waiting = clearTimeout(call.waiting));
  return call;
}

const clamp = (k, n) => Math.min(n - 1, Math.max(0, k));

// ---------------------------------------------------------------- maps

/** Interpolate a grid (h, w) bilinearly to side x side pixels, cells' centers in the middle of their area. */
function enlarge(heat, [h, w], side) {
  const axis = (n) =>
    Array.from({ length: side }, (_, k) => {
      const at = Math.max(0, ((k + 0.5) * n) / side - 0.5);
      const low = Math.min(Math.floor(at), n - 1);
      return [low, Math.min(low + 1, n - 1), at - low];
    });
  const xs = axis(w), field = new Float32Array(side * side);
  axis(h).forEach(([top, bottom, v], y) =>
    xs.forEach(([left, right, u], x) => {
      const along = (row) => heat[row * w + left] * (1 - u) + heat[row * w + right] * u;
      field[y * side + x] = along(top) * (1 - v) + along(bottom) * v;
    }));
  return field;
}

/** Unpack a mask, eight pixels a byte, to side x side numbers 0 and 1. */
function unpack(text, side) {
  const bytes = Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
  return Float32Array.from({ length: side * side }, (_, k) => (bytes[k >> 3] >> (7 - (k & 7))) & 1);
}

// The lines in a square, each from an edge to an edge (0 top, 1 right, 2 bottom, 3 left) with what is above the
// level at its right; the bits are corners above it: 1 top left, 2 top right, 4 bottom right, 8 bottom left.
const PIECES = [[], [[0, 3]], [[1, 0]], [[1, 3]], [[2, 1]], [[0, 3], [2, 1]], [[2, 0]], [[2, 3]], [[3, 2]],
  [[0, 2]], [[1, 0], [3, 2]], [[1, 2]], [[3, 1]], [[0, 1]], [[3, 0]], []];

/**
 * Follow the lines where a field of side x side pixels crosses a level, so that dashes run on from square to
 * square. Outside the field counts as below: all lines are closed, and each edge has one line in and one out.
 */
function contours(field, side, level) {
  const value = (x, y) => (x < 0 || y < 0 || x >= side || y >= side ? -Infinity : field[y * side + x]);
  const points = new Map(), next = new Map(); // edge of the grid -> where the line crosses it; -> the edge after it
  const cross = (x, y, dx, dy) => {
    const key = 2 * ((y + 1) * (side + 2) + x + 1) + dy, a = value(x, y), b = value(x + dx, y + dy);
    const part = Number.isFinite(a) && Number.isFinite(b) ? (level - a) / (b - a) : 0.5;
    points.set(key, [x + 0.5 + part * dx, y + 0.5 + part * dy]);
    return key;
  };
  for (let y = -1; y < side; y++) {
    for (let x = -1; x < side; x++) {
      const corners = [value(x, y), value(x + 1, y), value(x + 1, y + 1), value(x, y + 1)];
      const kind = corners.reduce((bits, each, k) => bits | ((each > level) << k), 0);
      const edges = [[x, y, 1, 0], [x + 1, y, 0, 1], [x, y + 1, 1, 0], [x, y, 0, 1]];
      for (const [from, to] of PIECES[kind]) next.set(cross(...edges[from]), cross(...edges[to]));
    }
  }
  const lines = [];
  for (const start of points.keys()) {
    const line = [];
    for (let at = start; next.has(at); ) {
      line.push(points.get(at));
      const after = next.get(at);
      next.delete(at);
      at = after;
    }
    if (line.length) lines.push(line);
  }
  return lines;
}

/** Move every point of a closed line between its neighbors, so that the outline of a mask has no stairs. */
function smooth(line) {
  const [n, mean] = [line.length, (a, b, c) => (a + 2 * b + c) / 4];
  return line.map((at, k) => at.map((v, axis) => mean(line[(k + n - 1) % n][axis], v, line[(k + 1) % n][axis])));
}

/** One picture with its map: a canvas that draws itself, and can be asked cell by cell. */
class MapView {
  constructor(app) {
    this.app = app;
    this.cursor = null; // [row, column] of the cell that the keyboard is at
    this.canvas = make("canvas", {
      tabindex: 0, role: "application", "aria-roledescription": "picture that can be asked cell by cell",
      click: (event) => this.clicked(event),
      keydown: (event) => this.pressed(event),
      focus: () => this.moved(this.cursor ?? this.peak()),
      blur: () => this.draw(),
    });
    this.caption = make("figcaption");
    this.figure = make("figure", { class: "llx-figure" }, this.canvas, this.caption);
    this.stage = make("canvas"); // the picture pixel by pixel, before it is enlarged
    this.observer = new ResizeObserver(() => this.draw());
    this.observer.observe(this.canvas);
  }

  /** Take what a canvas shows. */
  async show(told) {
    if (told === this.told) return;
    const side = told.side;
    this.told = told;
    this.field = enlarge(told.heat, told.grid, side);
    const top = this.field.reduce((a, b) => Math.max(a, b), -Infinity);
    if (told.scale === "maximum") this.field = this.field.map((v) => (top > 0 ? v / top : 0));
    this.mask = told.mask ? unpack(told.mask, side) : null;
    this.solid = this.mask ? contours(this.mask, side, 0.5).map(smooth).map(smooth) : [];
    this.canvas.setAttribute("aria-busy", "true");
    const pixels = await this.app.pixels(told.image, side);
    if (this.told !== told) return; // a newer picture came meanwhile
    this.pixels = pixels;
    this.canvas.removeAttribute("aria-busy");
    this.draw();
  }

  close() {
    this.observer.disconnect();
  }

  peak() {
    const { heat, grid } = this.told;
    const k = heat.indexOf(Math.max(...heat));
    return [Math.floor(k / grid[1]), k % grid[1]];
  }

  iou(threshold) {
    if (!this.mask) return null;
    let [inside, union] = [0, 0];
    this.field.forEach((value, k) => {
      inside += value > threshold && this.mask[k];
      union += value > threshold || this.mask[k] ? 1 : 0;
    });
    return inside / union;
  }

  draw() {
    const { told, pixels, canvas } = this;
    if (!told || !pixels || !canvas.clientWidth) return;
    const size = Math.round(canvas.clientWidth * (window.devicePixelRatio || 1));
    if (canvas.width !== size) canvas.width = canvas.height = size;
    const pen = canvas.getContext("2d"), unit = Math.max(1, size / 300);
    pen.imageSmoothingQuality = "high";
    pen.drawImage(this.blend(), 0, 0, size, size);
    const threshold = this.app.value("threshold");
    this.outline(pen, contours(this.field, told.side, threshold), size, unit, [6 * unit, 5 * unit]);
    this.outline(pen, this.solid, size, unit, []);
    this.marks(pen, size, unit);
    this.describe(threshold);
  }

  /** Mix picture and map; the picture turns grey as the map gets stronger, so that color says one thing. */
  blend() {
    const { told, pixels, field, stage } = this, { colours } = this.app.menu;
    const opacity = this.app.value("opacity"), grey = Math.min(1, 2 * opacity);
    stage.width = stage.height = told.side;
    const mixed = new ImageData(told.side, told.side);
    for (let k = 0; k < field.length; k++) {
      const at = 4 * k, light = 0.299 * pixels[at] + 0.587 * pixels[at + 1] + 0.114 * pixels[at + 2];
      const colour = colours[clamp(Math.round(255 * field[k]), 256)], lifted = 64 + 0.75 * light;
      for (let c = 0; c < 3; c++) {
        mixed.data[at + c] = (pixels[at + c] * (1 - grey) + lifted * grey) * (1 - opacity) + colour[c] * opacity;
      }
      mixed.data[at + 3] = 255;
    }
    stage.getContext("2d").putImageData(mixed, 0, 0);
    return stage;
  }

  /** Draw white on black, so that it is seen on every ground. */
  stroke(pen, path, wide, narrow, dash = []) {
    pen.lineJoin = "round";
    pen.setLineDash(dash);
    for (const [strokeStyle, lineWidth] of [["#000", wide], ["#fff", narrow]]) {
      Object.assign(pen, { strokeStyle, lineWidth });
      pen.stroke(path);
    }
  }

  outline(pen, lines, size, unit, dash) {
    const path = new Path2D(), scale = size / this.told.side;
    for (const line of lines) {
      line.forEach(([x, y], k) => path[k ? "lineTo" : "moveTo"](x * scale, y * scale));
      path.closePath();
    }
    this.stroke(pen, path, 4.2 * unit, 2 * unit, dash);
  }

  /** A cross on the highest cell, a ring on the spot that was asked, a frame round the keyboard's cell. */
  marks(pen, size, unit) {
    const [h, w] = this.told.grid, arm = 6 * unit, spot = this.app.spot(), cross = new Path2D(), others = new Path2D();
    const center = ([row, column]) => [((column + 0.5) * size) / w, ((row + 0.5) * size) / h];
    const [x, y] = center(this.peak());
    if (!this.told.flat) cross.addPath(new Path2D(
      `M${x - arm} ${y - arm} L${x + arm} ${y + arm} M${x - arm} ${y + arm} L${x + arm} ${y - arm}`));
    this.stroke(pen, cross, 5 * unit, 2.2 * unit);
    if (spot.length) others.arc(...center(this.cell(spot)), 9 * unit, 0, 7);
    if (this.cursor && document.activeElement === this.canvas) {
      const [row, column] = this.cursor;
      others.rect((column * size) / w, (row * size) / h, size / w, size / h);
    }
    this.stroke(pen, others, 5 * unit, 2.2 * unit);
  }

  cell([y, x]) {
    const [h, w] = this.told.grid;
    return [clamp(Math.floor(y * h), h), clamp(Math.floor(x * w), w)];
  }

  /** Say in the caption, and to those who do not see it, what the canvas shows. */
  describe(threshold) {
    const { told, cursor } = this, [row, column] = this.peak(), iou = this.iou(threshold);
    const value = Number(Math.max(...told.heat).toPrecision(3));
    const overlap = iou === null ? "no IoU" : `IoU ${iou.toFixed(2)}`;
    const said = `${told.flat ? `${value}, the same everywhere` : `peak ${value}`}, ${overlap}`;
    const highest = told.flat ? "" : `, highest in row ${row + 1}, column ${column + 1}`;
    const scale = make("div", { class: "llx-score" }, `colour: ${SCALES[told.scale]}`);
    this.caption.replaceChildren(make("strong", {}, told.title), ` ${said}`, scale);
    const here = cursor ? ` Cursor in ${this.named(cursor)}.` : "";
    this.canvas.setAttribute(
      "aria-label", `picture with the map of ${told.title}: ${said}${highest}.${here} ` +
        "Arrow keys move to a cell, Enter asks for the sounds that fit it.");
  }

  named([row, column]) {
    const value = Number(this.told.heat[row * this.told.grid[1] + column].toPrecision(3));
    return `row ${row + 1}, column ${column + 1}: ${value}`;
  }

  moved(cursor) {
    this.cursor = cursor;
    this.draw();
  }

  /** Ask for the sounds of a cell, in the middle of it. */
  ask([row, column]) {
    const [h, w] = this.told.grid;
    this.app.ask([(row + 0.5) / h, (column + 0.5) / w]);
  }

  pressed(event) {
    const step = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] }[event.key];
    if (step) {
      this.moved(this.cursor.map((at, k) => clamp(at + step[k], this.told.grid[k])));
      this.app.say(this.named(this.cursor));
    } else if (event.key === "Enter" || event.key === " ") this.ask(this.cursor);
    else if (event.key === "Escape") this.app.ask([]);
    else return;
    event.preventDefault();
    event.stopPropagation(); // the notebook has shortcuts of its own
  }

  clicked(event) {
    const box = this.canvas.getBoundingClientRect();
    this.cursor = this.cell([(event.clientY - box.top) / box.height, (event.clientX - box.left) / box.width]);
    this.ask(this.cursor);
  }
}

// ---------------------------------------------------------------- the page

class App {
  constructor(model, el) {
    Object.assign(this, { model, el, id: `llx-${++count}`, views: new Map(), film: null, images: new Map(), drawn: {} });
    this.menu = model.get("menu");
    this.build();
    this.events = { "change:answered": () => this.answered(), "msg:custom": ({ film }) => this.filmed(film) };
    for (const name of [...CHOSEN, ...SHOWN]) this.events[`change:${name}`] = () => this.show();
    for (const [event, f] of Object.entries(this.events)) model.on(event, f);
    this.show();
  }

  value(slider) {
    return Number(this.controls[slider].value);
  }

  spot() {
    return this.model.get("spot");
  }

  /** Tell Python what the reader has chosen. */
  set(name, value) {
    const asks = name !== "opacity" && JSON.stringify(this.model.get(name)) !== JSON.stringify(value);
    this.model.set(name, value);
    this.model.save_changes();
    this.say(this.model.get("status")); // what was said of the cursor or of a file is over
    if (asks) this.expect(1500);
  }

  /** Send Python a message; whether it could be sent. */
  tell(content, buffers) {
    try {
      this.model.send(content, undefined, buffers);
    } catch {
      this.say(GONE);
      return false;
    }
    this.expect(10000); // files and films take their time
    return true;
  }

  /** Say so if Python does not answer: a cell is running, or its kernel is gone. */
  expect(wait) {
    clearTimeout(this.silence);
    this.root.setAttribute("aria-busy", "true");
    const silent = () => this.say(`${SILENT} Shown is: ${this.model.get("status").split("\n")[0]}`);
    this.silence = setTimeout(silent, wait);
  }

  say(text) {
    this.controls.status.textContent = text;
  }

  redraw() {
    this.views.forEach((view) => view.draw());
  }

  ask(spot) {
    this.set("spot", spot);
    this.redraw();
  }

  /** Decode a picture once and return its pixels, side x side. */
  pixels(uri, side) {
    if (!this.images.has(uri)) {
      if (this.images.size > 200) this.images.clear();
      const image = make("img", { src: uri });
      this.images.set(uri, image.decode().then(() => {
        const pen = make("canvas", { width: side, height: side }).getContext("2d");
        pen.drawImage(image, 0, 0, side, side);
        return pen.getImageData(0, 0, side, side).data;
      }));
    }
    return this.images.get(uri);
  }

  // ---- what stands on the page

  build() {
    const { id, menu } = this, c = (this.controls = {});
    const row = (...children) => make("div", { class: "llx-row" }, ...children);
    const named = (name, control, extra = "", ...more) => {
      c[name] = control;
      control.id = `${id}-${name.replaceAll(" ", "-")}`;
      return make("div", { class: `llx-field ${extra}` }, make("label", { for: control.id }, name), control, ...more);
    };
    const select = (name, change, extra) => named(name, make("select", { change }), extra);
    const button = (name, click) => (c[name] = make("button", { type: "button", click }, name));
    const arrow = (name, sign, step) => {
      const about = { type: "button", class: "llx-arrow", "aria-label": name, click: () => this.step(step) };
      return (c[name] = make("button", about, make("span", { "aria-hidden": "true" }, sign)));
    };
    const slider = (name, step, value, input) => {
      const output = (c[`${name} value`] = make("output", { for: `${id}-${name}`, "aria-hidden": "true" }));
      const range = make("input", { type: "range", min: 0, max: 1, step, value, input });
      return named(name, range, "llx-slider", output);
    };
    const file = (name, kind, accept) =>
      named(name, make("input", { type: "file", accept, change: (event) => this.upload(event.target, kind) }));
    const sent = (name, wait) => later(() => this.set(name, this.value(name)), wait);
    this.sending = { threshold: sent("threshold", 120), opacity: sent("opacity", 250), time: sent("time", 90) };
    const look = (name) => slider(name, 0.01, this.model.get(name), () => {
      this.values();
      this.redraw();
      this.sending[name]();
    });
    this.regions = {};
    const region = (name, ...hints) => {
      c[name] = make("div", { class: "llx-lists" });
      this.regions[name] = []; // rows
      const heading = make("h4", { id: `${id}-${name.replaceAll(" ", "-")}` }, name);
      const about = { "aria-labelledby": heading.id, role: "region", class: "llx-region" };
      return make("section", about, heading, ...hints, c[name]);
    };
    c.hint = make("p", { class: "llx-hint" }, "Click a spot in a picture, or move to it with Tab, arrow keys and Enter.");
    const top = row(
      arrow("previous picture", "‹", -1),
      select("picture", () => this.set("picture", this.value("picture")), "llx-wide"),
      arrow("next picture", "›", 1),
      select("sound", () => this.set("sound", c.sound.value)),
      select("other class", () => this.set("other", c["other class"].value)));
    const playing = row(
      button("play", () => this.play()), slider("time", STEP, 0, () => this.slid()),
      button("whole sound", () => c["whole sound"].getAttribute("aria-disabled") === "true" || this.leave(-1)));
    c.listeners = new Map(menu.listeners.map((title) =>
      [title, make("input", { type: "checkbox", change: () => this.compare() })]));
    const boxes = [...c.listeners].map(([title, box]) => make("label", { class: "llx-check" }, box, ` ${title}`));
    const compare = make("fieldset", { class: "llx-row" }, make("legend", {}, "compare"), ...boxes);
    const bring = make(
      "div", { class: "llx-row llx-bring" }, file("upload a photo", "photo", "image/jpeg,image/png"),
      file("upload a sound", "uploaded", "audio/*,.wav,.flac,.ogg,.mp3,.m4a"), button("record", () => this.record()));
    c.canvases = make("div", { class: "llx-canvases" });
    c.status = make("div", { class: "llx-status", role: "status", "aria-live": "polite" });
    const paused = () => this.playing && !c.audio.ended && this.play(); // by a key, or another player
    c.audio = make("audio", { ended: () => this.leave(-1), pause: paused });
    // Plain keys stay here: VS Code and others listen further up.
    const keydown = (event) =>
      event.ctrlKey || event.metaKey || event.altKey || event.key === "Tab" || event.stopPropagation();
    this.root = make(
      "section", { class: "llx", role: "region", "aria-label": "attention explorer", keydown },
      top, playing, c.canvases, this.legend(), row(look("opacity"), look("threshold")), compare, c.status, bring,
      region("sounds that fit this spot", c.hint), region("nearest sounds"), region("nearest pictures"), c.audio);
    const alone = ({ target }) => { // one sound at a time: what starts stops all others
      for (const other of this.root.querySelectorAll("audio")) if (other !== target) other.pause();
    };
    this.root.addEventListener("play", alone, true);
    this.el.replaceChildren(this.root);
  }

  legend() {
    const bar = make("span", { class: "llx-bar", role: "img", "aria-label": "colours from 0, dark, to 1, light" });
    const stops = [0, 64, 128, 192, 255].map((k) => `rgb(${this.menu.colours[k].join(",")})`);
    bar.style.background = `linear-gradient(to right, ${stops.join(",")})`;
    const marks = { solid: "what sounds", dashed: "map above the threshold", cross: "highest cell", ring: "spot asked" };
    const told = Object.entries(marks).map(([kind, text]) =>
      make("span", {}, make("span", { class: `llx-mark llx-${kind}`, "aria-hidden": "true" }), ` ${text}`));
    return make("div", { class: "llx-legend" }, make("span", {}, "0 ", bar, " 1"), ...told);
  }

  // ---- from Python

  /** Bring the page to what Python says is chosen and shown; what has not changed is not touched. */
  show() {
    for (const name of SHOWN) {
      const value = this.model.get(name);
      if (this.drawn[name] === value) continue;
      this.drawn[name] = value;
      this[`show_${name}`](value);
    }
    const { model, controls: c } = this, sound = model.get("sound");
    c.picture.value = model.get("picture");
    c.sound.value = sound;
    c["other class"].value = model.get("other");
    c["other class"].disabled = !["another class", "mixture"].includes(sound);
    for (const each of c.sound.options) {
      each.disabled = model.get("picture") < 0 && ["own sound", "mixture"].includes(each.value);
    }
    for (const name of ["threshold", "opacity"]) {
      if (!this.sending[name].waiting) c[name].value = model.get(name); // else Python does not know yet
    }
    c.listeners.forEach((box, title) => (box.checked = model.get("shown").includes(title)));
    c.hint.hidden = this.spot().length > 0;
    if (!this.playing && !this.sending.time.waiting) c.time.value = Math.max(0, model.get("time"));
    this.values();
    this.redraw();
  }

  show_menu({ pictures, sounds, classes }) {
    const option = (value, text) => make("option", { value }, text), groups = new Map(), c = this.controls;
    for (const [value, caption, group] of pictures) {
      if (!groups.has(group)) groups.set(group, group ? make("optgroup", { label: group }) : new DocumentFragment());
      groups.get(group).append(option(value, caption));
    }
    c.picture.replaceChildren(...groups.values());
    c.sound.replaceChildren(...sounds.map((kind) => option(kind, kind)));
    c["other class"].replaceChildren(...classes.map((name) => option(name, name)));
  }

  values() {
    const { controls: c } = this;
    for (const name of ["threshold", "opacity"]) c[`${name} value`].textContent = this.value(name).toFixed(2);
    const whole = this.model.get("time") < 0 && c.audio.paused && !this.sending.time.waiting;
    const text = (c["time value"].textContent = whole ? "whole sound" : `${this.value("time").toFixed(2)} s`);
    c.time.setAttribute("aria-valuetext", text);
    c["whole sound"].setAttribute("aria-disabled", whole); // not `disabled`: that would take the focus away
  }

  show_scene({ canvases = [], key }) {
    if (this.film?.key !== key) this.film = null;
    if (this.playing && this.playing !== key) this.stop();
    const titles = canvases.map((told) => told.title), place = this.controls.canvases;
    for (const [title, view] of this.views) {
      if (titles.includes(title)) continue;
      view.close();
      this.views.delete(title);
    }
    for (const told of canvases) {
      if (!this.views.has(told.title)) this.views.set(told.title, new MapView(this));
      this.views.get(told.title).show(told);
    }
    const figures = titles.map((title) => this.views.get(title).figure);
    if (figures.some((figure, k) => figure !== place.children[k])) place.replaceChildren(...figures); // keeps the focus
    if (!titles.length) place.textContent = "Choose a listener below to see its map.";
    this.key = key;
  }

  show_clip({ audio, seconds }) {
    const { controls: c } = this;
    this.stop();
    if (audio) c.audio.src = audio;
    else c.audio.removeAttribute("src");
    c.time.max = seconds || 1;
    for (const control of [c.play, c.time]) control.disabled = !audio;
  }

  show_status(status) {
    this.say(status);
  }

  /** Let Python's line stand, whether it is a new one or not. */
  answered() {
    clearTimeout(this.silence);
    this.root.removeAttribute("aria-busy");
    this.say(this.model.get("status"));
  }

  /** Show the lists; a row that stays the same is not touched, so that a sound of it plays on. */
  show_lists(lists) {
    for (const [name, rows] of Object.entries(this.regions)) {
      const told = lists[name] ?? [];
      told.forEach((row, k) => {
        const key = JSON.stringify(row);
        if (rows[k]?.key === key) return;
        const element = this.row(row);
        if (rows[k]) rows[k].element.replaceWith(element);
        else this.controls[name].append(element);
        rows[k] = { key, element };
      });
      rows.splice(told.length).forEach(({ element }) => element.remove());
    }
  }

  row({ title, measure, tiles }) {
    const deaf = "No sound takes part in this map: each fits a spot as well as any other.";
    const heading = make("div", { class: "llx-title" }, make("strong", {}, title), ` ${measure}`);
    const items = tiles.length ? make("ol", {}, ...tiles.map((tile) => this.tile(tile))) : make("p", { class: "llx-hint" }, deaf);
    return make("div", { class: "llx-list" }, heading, items);
  }

  tile({ caption, image, audio, score, right }) {
    const verdict = right == null ? "" : right ? "right" : "wrong", item = make("li", { class: verdict });
    if (image) item.append(make("img", { src: image, alt: `picture: ${caption}` }));
    const said = make("div", { class: "llx-score" }, verdict ? `${score}, ${verdict}` : score);
    item.append(make("div", { class: "llx-caption" }, caption, said));
    const few = "nodownload noplaybackrate noremoteplayback"; // else there is no room for the play button
    const how = { controls: true, preload: "none", controlslist: few, "aria-label": `sound: ${caption}` };
    if (audio) item.append(make("audio", { ...how, src: audio }));
    return item;
  }

  // ---- from the reader

  step(by) {
    const many = this.model.get("menu").pictures.filter(([k]) => k >= 0).length, now = this.model.get("picture");
    this.set("picture", now < 0 ? (by > 0 ? 0 : many - 1) : (now + by + many) % many);
  }

  compare() {
    this.set("shown", this.menu.listeners.filter((title) => this.controls.listeners.get(title).checked));
  }

  slid() {
    const time = this.value("time");
    if (this.film) this.frame(time);
    if (this.playing) this.controls.audio.currentTime = time;
    else this.sending.time();
    this.values();
  }

  /** Leave the film: show the maps of a time, also if Python has nothing new to say. */
  leave(time) {
    this.stop();
    this.sending.time.cancel();
    this.set("time", time);
    this.show_scene(this.model.get("scene"));
    this.show();
  }

  // ---- the film

  play() {
    if (this.playing) return this.leave(Math.round(this.controls.audio.currentTime / STEP) * STEP);
    if (this.waiting) return;
    if (this.film?.key === this.key) return this.roll();
    this.waiting = true;
    this.say("The maps of every moment are being made …");
    if (!this.tell({ type: "film" })) this.waiting = false;
  }

  filmed(film) {
    const asked = this.waiting;
    this.waiting = false;
    if (film?.key !== this.key) return;
    this.film = film;
    for (const { image, side } of film.canvases.flat()) this.pixels(image, side);
    if (asked) this.roll();
  }

  async roll() {
    const { controls: c } = this, start = Math.max(0, this.model.get("time"));
    c.audio.currentTime = start < c.audio.duration - 0.1 ? start : 0;
    this.playing = this.key;
    c.play.textContent = "pause";
    try {
      await c.audio.play();
    } catch {
      this.stop();
      return this.say("the browser did not play the sound: press play once more");
    }
    const follow = () => {
      if (!this.playing) return;
      c.time.value = c.audio.currentTime;
      this.frame(c.audio.currentTime);
      this.values();
      requestAnimationFrame(follow);
    };
    follow();
  }

  /** Show the maps of the moment of the film that is nearest. */
  frame(time) {
    const { times, canvases } = this.film;
    const k = clamp(Math.round(time / (times[1] - times[0])), times.length);
    for (const frames of canvases) this.views.get(frames[k].title)?.show(frames[k]);
  }

  stop() {
    this.playing = null;
    this.controls.audio.pause();
    this.controls.play.textContent = "play";
  }

  // ---- files and microphone

  async upload(input, kind) {
    const [chosen] = input.files;
    if (!chosen) return;
    if (chosen.size > MEGABYTES * 1e6) {
      const size = (chosen.size / 1e6).toFixed(0);
      this.say(`${chosen.name}: the file has ${size} MB, more than ${MEGABYTES}; choose a smaller one.`);
    } else {
      this.say(`${chosen.name} is being read …`);
      await this.bring(chosen, chosen.name, kind).catch(() =>
        this.say(`${chosen.name}: the browser could not read the file; choose it again.`));
    }
    input.value = ""; // the same file can be chosen again
  }

  /** Send a file in parts. */
  async bring(file, name, kind) {
    const bytes = await file.arrayBuffer(), parts = Math.max(1, Math.ceil(bytes.byteLength / PART));
    for (let part = 0; part < parts; part++) {
      const piece = bytes.slice(part * PART, (part + 1) * PART);
      if (!this.tell({ type: "file", kind, name, part, parts }, [piece])) return;
    }
  }

  async record() {
    if (this.recorder) return this.recorder.stop();
    const { record } = this.controls, pieces = [];
    this.recorder = { stop() {} }; // while the browser asks for the microphone
    let stream, timer;
    try {
      // else the browser takes an instrument for noise and removes it
      const audio = { echoCancellation: false, noiseSuppression: false, autoGainControl: false };
      stream = await navigator.mediaDevices.getUserMedia({ audio });
      // not ogg, of which Firefox leaves out the last page
      const mimeType = ["audio/webm", "audio/mp4"].find((type) => MediaRecorder.isTypeSupported(type));
      const recorder = (this.recorder = new MediaRecorder(stream, { mimeType }));
      const ended = new Promise((done) => (recorder.onstop = done));
      recorder.ondataavailable = (event) => pieces.push(event.data);
      recorder.start();
      if (this.closed) recorder.stop();
      timer = setTimeout(() => recorder.stop(), 1000 * RECORDED);
      record.textContent = "stop recording";
      this.say(`Recording, ${RECORDED} seconds at most; press the button again to stop.`);
      await ended;
      if (!this.closed) await this.bring(new Blob(pieces), "recording", "recorded");
    } catch (error) {
      const known = document.body.dataset.vscodeThemeKind ? IN_VS_CODE : NO_MICROPHONE[error.name];
      this.say(`${known ?? `the microphone gave no sound (${error.message}): upload one`}.`);
    } finally {
      clearTimeout(timer);
      stream?.getTracks().forEach((track) => track.stop());
      this.recorder = null;
      record.textContent = "record";
    }
  }

  close() {
    this.closed = true;
    clearTimeout(this.silence);
    this.stop();
    this.recorder?.stop();
    this.views.forEach((view) => view.close());
    for (const [event, f] of Object.entries(this.events)) this.model.off(event, f);
  }
}

function render({ model, el }) {
  const app = new App(model, el);
  return () => app.close();
}

export default { render };
