// The attention explorer in the browser: controls, maps on canvases, players. What is computed from data
// comes from Python (`scene`, `clip`, `found`, `fitting`, `status`); sliders answer here at once.

const MEGABYTES = 20; // of a file; Python checks it again
const PART = 2 ** 21; // bytes of one message: servers refuse big ones
const STEP = 0.05; // seconds, of the time slider
const RECORDED = 10; // seconds at most
const CONTROLS = ["button", "select", "input", "canvas", "audio"];
const SCALES = { probability: "probability", maximum: "share of the map's maximum" };
const KINDS = ["own sound", "another class", "mixture", "silence"];

const GONE = "Python is gone: run the cell of the explorer again.";
const SILENT =
  "No answer from Python yet: another cell is running, or the kernel was restarted; then run this cell again.";

let count = 0; // of views, for unique ids

/** Make an element with attributes (functions are listeners) and children. */
function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === "function") element.addEventListener(name, value);
    else if (value === true) element.setAttribute(name, "");
    else if (value !== false && value != null) element.setAttribute(name, value);
  }
  // Else JupyterLab takes the arrow keys for its own shortcuts; the focused element itself must say no.
  if (CONTROLS.includes(tag)) element.setAttribute("data-lm-suppress-shortcuts", "true");
  element.append(...children);
  return element;
}

/** Keep plain keys from the notebook around: VS Code and others listen further up. */
function kept(event) {
  if (!event.ctrlKey && !event.metaKey && !event.altKey && event.key !== "Tab") event.stopPropagation();
}

/** Give an element these children; one that plays or has the focus is not moved, for that would end both. */
function arrange(parent, children) {
  const there = [...parent.children];
  if (children.length === there.length && children.every((child, k) => there[k] === child)) return;
  const busy = (child) =>
    child.contains(document.activeElement) || [...child.querySelectorAll("audio")].some((audio) => !audio.paused);
  const place = children.findIndex((child) => child.parentNode === parent && busy(child));
  if (place < 0) return parent.replaceChildren(...children);
  for (const child of there) if (!children.includes(child)) child.remove();
  children[place].before(...children.slice(0, place));
  children[place].after(...children.slice(place + 1));
}

/** Call `f` once, `wait` milliseconds after the last of several calls; until then it is `waiting`. */
function later(f, wait) {
  let timer;
  const call = (...values) => {
    call.cancel();
    call.waiting = true;
    timer = setTimeout(() => {
      call.waiting = false;
      f(...values);
    }, wait);
  };
  call.cancel = () => {
    clearTimeout(timer);
    call.waiting = false;
  };
  return call;
}

// ---------------------------------------------------------------- maps

/** Interpolate a grid (h, w) bilinearly to side x side pixels, cells' centres in the middle of their area. */
function enlarge(heat, [h, w], side) {
  const field = new Float32Array(side * side);
  const axis = (n) =>
    Array.from({ length: side }, (_, k) => {
      const at = Math.max(0, ((k + 0.5) * n) / side - 0.5);
      const low = Math.min(Math.floor(at), n - 1);
      return [low, Math.min(low + 1, n - 1), at - low];
    });
  const [ys, xs] = [axis(h), axis(w)];
  for (let y = 0, k = 0; y < side; y++) {
    const [top, bottom, v] = ys[y];
    for (let x = 0; x < side; x++, k++) {
      const [left, right, u] = xs[x];
      const above = heat[top * w + left] * (1 - u) + heat[top * w + right] * u;
      const below = heat[bottom * w + left] * (1 - u) + heat[bottom * w + right] * u;
      field[k] = above * (1 - v) + below * v;
    }
  }
  return field;
}

/** Unpack a mask, eight pixels a byte, to side x side numbers 0 and 1. */
function unpack(text, side) {
  const bytes = Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
  return Float32Array.from({ length: side * side }, (_, k) => (bytes[k >> 3] >> (7 - (k & 7))) & 1);
}

/** Average every pixel with its neighbours, so that an outline has no stairs; for drawing alone. */
function smooth(mask, side) {
  const along = (values, step, place) =>
    values.map((value, k) => {
      const at = place(k);
      const [before, after] = [at > 0 ? values[k - step] : value, at < side - 1 ? values[k + step] : value];
      return (before + 2 * value + after) / 4;
    });
  return along(along(mask, 1, (k) => k % side), side, (k) => Math.floor(k / side));
}

/**
 * Follow the line where a field of side x side pixels crosses a level.
 *
 * Each square of four pixels' centres adds one or two pieces; pieces that share an edge of the grid are
 * joined, so that dashes run on. Outside the picture the field counts as below, which closes all lines.
 */
function contours(field, side, level) {
  const value = (x, y) => (x < 0 || y < 0 || x >= side || y >= side ? -Infinity : field[y * side + x]);
  const width = side + 2;
  const points = new Map(); // edge of the grid -> where the line crosses it
  const links = new Map(); // edge -> edges it is joined with
  const cross = (x, y, dx, dy) => {
    const key = 2 * ((y + 1) * width + x + 1) + dy;
    if (!points.has(key)) {
      const [a, b] = [value(x, y), value(x + dx, y + dy)];
      const part = Number.isFinite(a) && Number.isFinite(b) ? (level - a) / (b - a) : 0.5;
      points.set(key, [x + 0.5 + part * dx, y + 0.5 + part * dy]);
    }
    return key;
  };
  const join = (a, b) => {
    for (const [from, to] of [[a, b], [b, a]]) {
      if (!links.has(from)) links.set(from, []);
      links.get(from).push(to);
    }
  };
  for (let y = -1; y < side; y++) {
    for (let x = -1; x < side; x++) {
      const kind =
        (value(x, y) > level ? 1 : 0) | (value(x + 1, y) > level ? 2 : 0) |
        (value(x + 1, y + 1) > level ? 4 : 0) | (value(x, y + 1) > level ? 8 : 0);
      if (kind === 0 || kind === 15) continue;
      const edges = {
        top: () => cross(x, y, 1, 0),
        right: () => cross(x + 1, y, 0, 1),
        bottom: () => cross(x, y + 1, 1, 0),
        left: () => cross(x, y, 0, 1),
      };
      for (const [a, b] of PIECES[kind]) join(edges[a](), edges[b]());
    }
  }
  const lines = [];
  const seen = new Set();
  for (const start of links.keys()) {
    if (seen.has(start)) continue;
    const line = [];
    for (let at = start; at !== undefined; at = links.get(at).find((k) => !seen.has(k))) {
      seen.add(at);
      line.push(points.get(at));
    }
    lines.push(line);
  }
  return lines;
}

// Which edges of a square the line joins; the bits are corners above the level: 1 top left, 2 top right,
// 4 bottom right, 8 bottom left.
const PIECES = {
  1: [["left", "top"]], 2: [["top", "right"]], 3: [["left", "right"]], 4: [["right", "bottom"]],
  5: [["left", "top"], ["right", "bottom"]], 6: [["top", "bottom"]], 7: [["left", "bottom"]],
  8: [["bottom", "left"]], 9: [["top", "bottom"]], 10: [["top", "right"], ["bottom", "left"]],
  11: [["right", "bottom"]], 12: [["left", "right"]], 13: [["top", "right"]], 14: [["left", "top"]],
};

/** One picture with its map: a canvas that draws itself, and can be asked cell by cell. */
class MapView {
  constructor(app) {
    this.app = app;
    this.cursor = null; // [row, column] of the cell that the keyboard is at
    this.canvas = make("canvas", {
      tabindex: 0,
      role: "application",
      "aria-roledescription": "picture that can be asked cell by cell",
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

  /** Take what a canvas shows; the picture may be left out if it stays. */
  async show(told) {
    const side = told.side;
    this.told = told;
    this.field = enlarge(told.heat, told.grid, side);
    this.top = this.field.reduce((a, b) => Math.max(a, b), -Infinity);
    if (told.scale === "maximum") this.field = this.field.map((v) => (this.top > 0 ? v / this.top : 0));
    this.mask = told.mask ? unpack(told.mask, side) : null;
    this.solid = this.mask ? contours(smooth(this.mask, side), side, 0.5) : [];
    if (told.image && told.image !== this.uri) {
      this.canvas.setAttribute("aria-busy", "true");
      const pixels = await this.app.pixels(told.image, side);
      if (this.told !== told && this.told.image) return; // a newer picture came meanwhile
      [this.pixels, this.uri] = [pixels, told.image];
    }
    this.canvas.removeAttribute("aria-busy");
    this.draw();
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
      const said = value > threshold;
      inside += said && this.mask[k];
      union += said || this.mask[k] ? 1 : 0;
    });
    return inside / union;
  }

  draw() {
    const { told, pixels, canvas } = this;
    if (!told || !pixels || !canvas.clientWidth) return;
    const size = Math.round(canvas.clientWidth * (window.devicePixelRatio || 1));
    if (canvas.width !== size) canvas.width = canvas.height = size;
    const pen = canvas.getContext("2d");
    pen.imageSmoothingQuality = "high";
    pen.drawImage(this.blend(), 0, 0, size, size);
    const scale = size / told.side;
    const unit = Math.max(1, size / 300);
    const threshold = this.app.threshold();
    const dashed = contours(this.field, told.side, threshold);
    this.lines(pen, dashed, scale, unit, [6 * unit, 5 * unit]);
    this.lines(pen, this.solid, scale, unit, []);
    this.marks(pen, size, unit);
    this.describe(threshold);
  }

  /** Mix picture and map; the picture turns grey as the map gets stronger, so that colour says one thing. */
  blend() {
    const { told, pixels, field, stage } = this;
    const opacity = this.app.opacity();
    const grey = Math.min(1, 2 * opacity);
    const colours = this.app.colours;
    stage.width = stage.height = told.side;
    const mixed = new ImageData(told.side, told.side);
    for (let k = 0; k < field.length; k++) {
      const place = 4 * k;
      const light = 0.299 * pixels[place] + 0.587 * pixels[place + 1] + 0.114 * pixels[place + 2];
      const lifted = 64 + 0.75 * light;
      const colour = colours[Math.max(0, Math.min(255, Math.round(255 * field[k])))];
      for (let c = 0; c < 3; c++) {
        const seen = pixels[place + c] * (1 - grey) + lifted * grey;
        mixed.data[place + c] = seen * (1 - opacity) + colour[c] * opacity;
      }
      mixed.data[place + 3] = 255;
    }
    stage.getContext("2d").putImageData(mixed, 0, 0);
    return stage;
  }

  lines(pen, lines, scale, unit, dash) {
    for (const [colour, width] of [["#000", 4.2], ["#fff", 2]]) {
      pen.save();
      Object.assign(pen, { strokeStyle: colour, lineWidth: width * unit, lineJoin: "round" });
      pen.setLineDash(dash);
      pen.beginPath();
      for (const line of lines) {
        line.forEach(([x, y], k) => pen[k ? "lineTo" : "moveTo"](x * scale, y * scale));
        if (line.length > 2) pen.closePath();
      }
      pen.stroke();
      pen.restore();
    }
  }

  /** A cross on the highest cell, a ring on the spot that was asked, a frame round the keyboard's cell. */
  marks(pen, size, unit) {
    const [h, w] = this.told.grid;
    const centre = ([row, column]) => [((column + 0.5) * size) / w, ((row + 0.5) * size) / h];
    const stroke = (draw) => {
      for (const [colour, width] of [["#000", 5], ["#fff", 2.2]]) {
        Object.assign(pen, { strokeStyle: colour, lineWidth: width * unit });
        pen.beginPath();
        draw();
        pen.stroke();
      }
    };
    const [px, py] = centre(this.peak());
    const arm = 6 * unit;
    const crossed = () => {
      pen.moveTo(px - arm, py - arm);
      pen.lineTo(px + arm, py + arm);
      pen.moveTo(px + arm, py - arm);
      pen.lineTo(px - arm, py + arm);
    };
    if (!this.told.flat) stroke(crossed);
    const spot = this.app.spot();
    if (spot.length) {
      const [sx, sy] = centre(this.cell(spot));
      stroke(() => pen.arc(sx, sy, 9 * unit, 0, 7));
    }
    if (this.cursor && document.activeElement === this.canvas) {
      const [row, column] = this.cursor;
      stroke(() => pen.rect((column * size) / w, (row * size) / h, size / w, size / h));
    }
  }

  cell([y, x]) {
    const [h, w] = this.told.grid;
    return [Math.min(h - 1, Math.max(0, Math.floor(y * h))), Math.min(w - 1, Math.max(0, Math.floor(x * w)))];
  }

  /** Say in the caption, and to those who do not see it, what the canvas shows. */
  describe(threshold) {
    const { told } = this;
    const [row, column] = this.peak();
    const iou = this.iou(threshold);
    const value = Number(Math.max(...told.heat).toPrecision(3));
    const overlap = iou === null ? "no IoU" : `IoU ${iou.toFixed(2)}`;
    const said = `${told.flat ? `${value}, the same everywhere` : `peak ${value}`}, ${overlap}`;
    const highest = told.flat ? "" : `, highest in row ${row + 1}, column ${column + 1}`;
    const scale = make("div", { class: "llx-score" }, `colour: ${SCALES[told.scale]}`);
    this.caption.replaceChildren(make("strong", {}, told.title), ` ${said}`, scale);
    const here = this.cursor
      ? ` Cursor in row ${this.cursor[0] + 1}, column ${this.cursor[1] + 1}: ${this.valueAt(this.cursor)}.`
      : "";
    this.canvas.setAttribute(
      "aria-label",
      `picture with the map of ${told.title}: ${said}${highest}.` +
        `${here} Arrow keys move to a cell, Enter asks for the sounds that fit it.`,
    );
  }

  valueAt([row, column]) {
    return Number(this.told.heat[row * this.told.grid[1] + column].toPrecision(3));
  }

  moved(cursor) {
    this.cursor = cursor;
    this.draw();
  }

  pressed(event) {
    const step = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] }[event.key];
    const [h, w] = this.told.grid;
    if (step) {
      const [row, column] = this.cursor;
      const next = [row + step[0], column + step[1]];
      this.moved([Math.min(h - 1, Math.max(0, next[0])), Math.min(w - 1, Math.max(0, next[1]))]);
      this.app.say(`row ${this.cursor[0] + 1}, column ${this.cursor[1] + 1}: ${this.valueAt(this.cursor)}`);
    } else if (event.key === "Enter" || event.key === " ") {
      const [row, column] = this.cursor;
      this.app.ask([(row + 0.5) / h, (column + 0.5) / w]);
    } else if (event.key === "Escape") {
      this.app.ask([]);
    } else return;
    event.preventDefault();
    event.stopPropagation(); // the notebook has shortcuts of its own
  }

  clicked(event) {
    const box = this.canvas.getBoundingClientRect();
    const spot = [(event.clientY - box.top) / box.height, (event.clientX - box.left) / box.width];
    const [row, column] = this.cell(spot);
    const [h, w] = this.told.grid;
    this.cursor = [row, column];
    this.app.ask([(row + 0.5) / h, (column + 0.5) / w]);
  }
}

// ---------------------------------------------------------------- sounds of the reader

/** Pack samples in [-1, 1] as a wav file of 16 bits. */
function wav(samples, rate) {
  const view = new DataView(new ArrayBuffer(44 + 2 * samples.length));
  const text = (at, letters) => [...letters].forEach((c, k) => view.setUint8(at + k, c.charCodeAt(0)));
  text(0, "RIFF");
  view.setUint32(4, 36 + 2 * samples.length, true);
  text(8, "WAVEfmt ");
  view.setUint32(16, 16, true);
  view.setUint16(20, 1, true); // PCM
  view.setUint16(22, 1, true); // one channel
  view.setUint32(24, rate, true);
  view.setUint32(28, 2 * rate, true);
  view.setUint16(32, 2, true);
  view.setUint16(34, 16, true);
  text(36, "data");
  view.setUint32(40, 2 * samples.length, true);
  samples.forEach((x, k) => view.setInt16(44 + 2 * k, Math.max(-1, Math.min(1, x)) * 32767, true));
  return view.buffer;
}

/** Turn whatever the browser recorded into a wav file: the mean of its channels. */
async function recorded(blob) {
  const context = new AudioContext();
  try {
    const sound = await context.decodeAudioData(await blob.arrayBuffer());
    const mixed = new Float32Array(sound.length);
    for (let c = 0; c < sound.numberOfChannels; c++) {
      sound.getChannelData(c).forEach((x, k) => (mixed[k] += x / sound.numberOfChannels));
    }
    return wav(mixed, sound.sampleRate);
  } finally {
    context.close();
  }
}

const IN_VS_CODE =
  "VS Code gives notebooks no microphone: open the lesson in JupyterLab, or upload a sound";
const NO_MICROPHONE = {
  NotAllowedError: "the browser may not use the microphone: allow it for this page, or upload a sound",
  NotFoundError: "no microphone was found: plug one in, or upload a sound",
  NotReadableError: "another program uses the microphone: close it, or upload a sound",
};

// ---------------------------------------------------------------- the page

class App {
  constructor(model, el) {
    Object.assign(this, { model, el, id: `llx-${++count}`, views: new Map(), film: null });
    Object.assign(this, { images: new Map(), rows: new Map(), off: [] });
    this.menu = model.get("menu");
    this.colours = this.menu.colours;
    this.build();
    this.listen();
    this.choices();
    this.scene();
    this.clip();
    this.lists();
    this.spots();
    this.said();
  }

  threshold() {
    return Number(this.controls.threshold.value);
  }

  opacity() {
    return Number(this.controls.opacity.value);
  }

  spot() {
    return this.model.get("spot");
  }

  set(values) {
    const differs = ([name, value]) => JSON.stringify(this.model.get(name)) !== JSON.stringify(value);
    const asks = Object.entries(values).some((pair) => pair[0] !== "opacity" && differs(pair));
    for (const [name, value] of Object.entries(values)) this.model.set(name, value);
    this.model.save_changes();
    this.said(); // what was said of the cursor or of a file is over, even if the answer stays the same
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
    const silent = () => this.say(`${SILENT} Shown is: ${this.controls.canvases.dataset.caption}.`);
    this.silence = setTimeout(silent, wait);
  }

  say(text) {
    this.controls.status.textContent = text;
  }

  ask(spot) {
    this.set({ spot });
    this.views.forEach((view) => view.draw());
  }

  /** Decode a picture once and return its pixels, side x side. */
  pixels(uri, side) {
    if (!this.images.has(uri)) {
      if (this.images.size > 200) this.images.clear();
      const decoded = new Promise((done, failed) => {
        const image = new Image();
        image.onload = () => done(image);
        image.onerror = () => failed(new Error("a picture could not be decoded"));
        image.src = uri;
      }).then((image) => {
        const pen = make("canvas", { width: side, height: side }).getContext("2d");
        pen.drawImage(image, 0, 0, side, side);
        return pen.getImageData(0, 0, side, side).data;
      });
      this.images.set(uri, decoded);
    }
    return this.images.get(uri);
  }

  // ---- what stands on the page

  build() {
    const { id, menu } = this;
    const c = (this.controls = {});
    const named = (name, control, extra = "") => {
      c[name] = control;
      control.id = `${id}-${name.replaceAll(" ", "-")}`;
      return make("div", { class: `llx-field ${extra}` }, make("label", { for: control.id }, name), control);
    };
    const button = (name, click, extra = "") =>
      (c[name] = make("button", { type: "button", class: extra, click }, name));
    const arrow = (name, sign, step) => {
      const made = button(name, () => this.step(step), "llx-arrow");
      made.setAttribute("aria-label", name);
      made.replaceChildren(make("span", { "aria-hidden": "true" }, sign));
      return made;
    };
    const range = (name, step, input) =>
      make("input", { type: "range", min: 0, max: 1, step, value: this.model.get(name), input });
    const output = (name) =>
      (c[`${name} value`] = make("output", { for: `${id}-${name}`, "aria-hidden": "true" }));
    const file = (name, kind, accept) =>
      named(name, make("input", { type: "file", accept, change: (e) => this.upload(e.target, kind) }));

    const choose = make("select", { change: () => this.set({ picture: Number(c.picture.value) }) });
    const hear = make("select", { change: () => this.set({ sound: c.sound.value }) });
    const other = make("select", { change: () => this.set({ other: c["other class"].value }) });
    other.append(...menu.classes.map((name) => make("option", { value: name }, name)));
    const send = (this.sending = {
      threshold: later(() => this.set({ threshold: this.threshold() }), 120),
      opacity: later(() => this.set({ opacity: this.opacity() }), 250),
      time: (this.sendTime = later((time) => this.set({ time }), 90)),
    });
    const redraw = (name) => () => {
      this.values();
      this.views.forEach((view) => view.draw());
      send[name]();
    };
    const time = make("input", { type: "range", min: 0, max: 1, step: STEP, value: 0 });
    time.addEventListener("input", () => this.slid());

    const top = make(
      "div", { class: "llx-row" },
      arrow("previous picture", "‹", -1), named("picture", choose, "llx-wide"),
      arrow("next picture", "›", 1), named("sound", hear), named("other class", other),
    );
    const playing = make(
      "div", { class: "llx-row" },
      button("play", () => this.play()),
      make("div", { class: "llx-field llx-slider" },
        make("label", { for: `${id}-time` }, "time"), (c.time = time), output("time")),
      button("whole sound", () => this.whole()),
    );
    time.id = `${id}-time`;
    const slider = (name, step) => {
      const made = range(name, step, redraw(name));
      made.id = `${id}-${name}`;
      c[name] = made;
      return make("div", { class: "llx-field llx-slider" },
        make("label", { for: made.id }, name), made, output(name));
    };
    const sliders = make("div", { class: "llx-row" }, slider("opacity", 0.01), slider("threshold", 0.01));
    c.listeners = new Map();
    const boxes = menu.listeners.map((title) => {
      const box = make("input", { type: "checkbox", change: () => this.compare() });
      c.listeners.set(title, box);
      return make("label", { class: "llx-check" }, box, ` ${title}`);
    });
    const compare = make("fieldset", { class: "llx-row" }, make("legend", {}, "compare"), ...boxes);
    const bring = make(
      "div", { class: "llx-row llx-bring" },
      file("upload a photo", "photo", "image/jpeg,image/png"),
      file("upload a sound", "sound", "audio/*,.wav,.flac,.ogg,.mp3"),
      button("record", () => this.record()),
    );
    c.canvases = make("div", { class: "llx-canvases" });
    c.status = make("div", { class: "llx-status", role: "status", "aria-live": "polite" });
    const paused = () => this.playing && !c.audio.ended && this.play(); // by a key of the keyboard, or another player
    c.audio = make("audio", { ended: () => this.ended(), pause: paused });
    const region = (name) => {
      c[name] = make("div", { class: "llx-lists" });
      const heading = make("h4", { id: `${id}-${name.replaceAll(" ", "-")}` }, name);
      const about = { "aria-labelledby": heading.id, role: "region", class: "llx-region" };
      return make("section", about, heading, c[name]);
    };
    this.root = make(
      "section", { class: "llx", role: "region", "aria-label": "attention explorer", keydown: kept },
      top, playing, c.canvases, this.legend(), sliders, compare, c.status, bring,
      region("sounds that fit this spot"), region("nearest sounds"), region("nearest pictures"), c.audio,
    );
    this.root.addEventListener("play", (event) => this.alone(event.target), true);
    this.el.replaceChildren(this.root);
  }

  /** One sound at a time: what starts stops all others. */
  alone(player) {
    for (const other of this.root.querySelectorAll("audio")) if (other !== player) other.pause();
  }

  legend() {
    const named = { role: "img", "aria-label": "colours from 0, dark, to 1, light" };
    const bar = make("span", { class: "llx-bar", ...named });
    const stops = [0, 64, 128, 192, 255].map((k) => `rgb(${this.colours[k].join(",")})`);
    bar.style.background = `linear-gradient(to right, ${stops.join(",")})`;
    const mark = (kind, text) =>
      make("span", {}, make("span", { class: `llx-mark llx-${kind}`, "aria-hidden": "true" }), ` ${text}`);
    return make(
      "div", { class: "llx-legend" },
      make("span", {}, "0 ", bar, " 1"),
      mark("solid", "what sounds"), mark("dashed", "map above the threshold"),
      mark("cross", "highest cell"), mark("ring", "spot asked"),
    );
  }

  // ---- from Python

  listen() {
    const on = (names, f) => {
      const call = () => f.call(this);
      for (const name of names) {
        this.model.on(`change:${name}`, call);
        this.off.push(() => this.model.off(`change:${name}`, call));
      }
    };
    on(["picture", "sound", "other", "time", "shown", "brought", "threshold", "opacity"], this.choices);
    on(["threshold", "opacity"], () => this.views.forEach((view) => view.draw()));
    on(["scene"], this.scene);
    on(["clip"], this.clip);
    on(["found"], this.lists);
    on(["fitting", "spot"], this.spots);
    on(["status"], this.said);
    const received = (told) => {
      clearTimeout(this.silence);
      this.root.removeAttribute("aria-busy");
      if (told.type === "film") this.filmed(told);
      if (told.type === "said") this.answered(told.of);
    };
    this.model.on("msg:custom", received);
    this.off.push(() => this.model.off("msg:custom", received));
  }

  /** Bring the controls to what Python says is chosen. */
  choices() {
    const { model, menu, controls: c } = this;
    const brought = model.get("brought");
    const groups = new Map();
    menu.pictures.forEach(({ caption, group }, k) => {
      if (!groups.has(group)) groups.set(group, make("optgroup", { label: group }));
      groups.get(group).append(make("option", { value: k }, caption));
    });
    const own = brought.photo ? [make("option", { value: -1 }, `uploaded: ${brought.photo}`)] : [];
    const listed = `${menu.pictures.length} ${brought.photo ?? ""}`;
    if (this.listed !== listed) {
      c.picture.replaceChildren(...own, ...groups.values());
      this.listed = listed;
    }
    const kinds = [...KINDS, ...["uploaded", "recorded"].filter((kind) => brought[kind])];
    if (c.sound.options.length !== kinds.length) {
      c.sound.replaceChildren(...kinds.map((kind) => make("option", { value: kind }, kind)));
    }
    const sound = model.get("sound");
    c.picture.value = model.get("picture");
    c.sound.value = sound;
    c["other class"].value = model.get("other");
    c["other class"].disabled = !["another class", "mixture"].includes(sound);
    for (const option of c.sound.options) {
      option.disabled = model.get("picture") < 0 && ["own sound", "mixture"].includes(option.value);
    }
    for (const name of ["threshold", "opacity"]) {
      if (!this.sending[name].waiting) c[name].value = model.get(name); // else Python does not know yet
    }
    const shown = model.get("shown");
    c.listeners.forEach((box, title) => (box.checked = shown.includes(title)));
    this.timed();
    this.values();
  }

  values() {
    const { controls: c } = this;
    for (const name of ["threshold", "opacity"]) {
      c[`${name} value`].textContent = Number(c[name].value).toFixed(2);
    }
    const whole = this.model.get("time") < 0 && c.audio.paused && !this.sliding;
    const text = whole ? "whole sound" : `${Number(c.time.value).toFixed(2)} s`;
    c["time value"].textContent = text;
    c.time.setAttribute("aria-valuetext", text);
    c["whole sound"].setAttribute("aria-disabled", whole); // not `disabled`: that would take the focus away
  }

  scene() {
    const { canvases, key, caption } = this.model.get("scene");
    if (!canvases) return;
    if (this.film?.key !== key) this.film = null;
    if (this.playing && this.playing !== key) this.stop();
    this.controls.canvases.dataset.caption = caption;
    const titles = canvases.map((told) => told.title);
    for (const [title, view] of this.views) {
      if (titles.includes(title)) continue;
      view.observer.disconnect();
      view.figure.remove();
      this.views.delete(title);
    }
    for (const told of canvases) {
      if (!this.views.has(told.title)) this.views.set(told.title, new MapView(this));
      this.views.get(told.title).show(told);
    }
    const figures = titles.map((title) => this.views.get(title).figure);
    if (figures.some((figure, k) => this.controls.canvases.children[k] !== figure)) {
      this.controls.canvases.replaceChildren(...figures);
    }
    if (!titles.length) this.controls.canvases.textContent = "Choose a listener below to see its map.";
    this.key = key;
  }

  clip() {
    const { audio, seconds } = this.model.get("clip");
    const { controls: c } = this;
    this.stop();
    if (audio) c.audio.src = audio;
    else c.audio.removeAttribute("src");
    c.time.max = seconds || 1;
    for (const control of [c.play, c.time]) control.disabled = !audio;
    this.timed();
  }

  timed() {
    const time = this.model.get("time");
    const { controls: c } = this;
    if (!this.playing && !this.sliding) c.time.value = time < 0 ? 0 : time;
  }

  said() {
    this.say(this.model.get("status"));
  }

  lists() {
    const { sounds = [], pictures = [] } = this.model.get("found");
    this.fill("nearest sounds", sounds);
    this.fill("nearest pictures", pictures);
  }

  spots() {
    const asked = this.model.get("spot").length > 0;
    const hint = "Click a spot in a picture, or move to it with Tab, arrow keys and Enter.";
    if (asked) this.fill("sounds that fit this spot", this.model.get("fitting"));
    else this.fill("sounds that fit this spot", [], make("p", { class: "llx-hint" }, hint));
    this.views.forEach((view) => view.draw());
  }

  /** Show the lists of a region; rows that were there before stay, so that a sound plays on. */
  fill(name, lists, ...hints) {
    const before = this.rows.get(name) ?? new Map();
    const now = new Map();
    for (const { title, measure, tiles, note } of lists) {
      const row = before.get(title) ?? this.row(title);
      row.measure.textContent = ` ${measure}`;
      row.note.textContent = note ?? "";
      row.note.hidden = !note;
      row.list.hidden = !tiles.length;
      const items = new Map();
      for (const tile of tiles) {
        let key = `${tile.caption} ${tile.image} ${tile.audio}`;
        while (items.has(key)) key += " again";
        items.set(key, this.judged(row.items.get(key) ?? this.tile(tile), tile));
      }
      row.items = items;
      arrange(row.list, [...items.values()]);
      now.set(title, row);
    }
    this.rows.set(name, now);
    arrange(this.controls[name], [...[...now.values()].map((row) => row.element), ...hints]);
  }

  row(title) {
    const row = { measure: make("span"), note: make("p", { class: "llx-hint" }), list: make("ol"), items: new Map() };
    const heading = make("div", { class: "llx-title" }, make("strong", {}, title), row.measure);
    row.element = make("div", { class: "llx-list" }, heading, row.note, row.list);
    return row;
  }

  judged(item, { score, right }) {
    const verdict = right == null ? "" : right ? "right" : "wrong";
    item.className = verdict;
    item.querySelector(".llx-score").textContent = verdict ? `${score}, ${verdict}` : score;
    return item;
  }

  tile({ caption, image, audio }) {
    const item = make("li");
    if (image) item.append(make("img", { src: image, alt: `picture: ${caption}` }));
    item.append(make("div", { class: "llx-caption" }, caption, make("div", { class: "llx-score" })));
    if (audio) {
      const few = "nodownload noplaybackrate noremoteplayback"; // else there is no room for the play button
      const how = { controls: true, preload: "none", controlslist: few };
      item.append(make("audio", { ...how, src: audio, "aria-label": `sound: ${caption}` }));
    }
    return item;
  }

  // ---- from the reader

  step(by) {
    const many = this.menu.pictures.length;
    const now = this.model.get("picture");
    this.set({ picture: now < 0 ? (by > 0 ? 0 : many - 1) : (now + by + many) % many });
  }

  compare() {
    const chosen = this.menu.listeners.filter((title) => this.controls.listeners.get(title).checked);
    this.set({ shown: chosen });
  }

  slid() {
    const time = Number(this.controls.time.value);
    const { audio } = this.controls;
    this.sliding = true;
    if (this.film) this.frame(time);
    if (!audio.paused) audio.currentTime = time;
    else this.sendTime(time);
    this.values();
    clearTimeout(this.slidingTimer);
    this.slidingTimer = setTimeout(() => (this.sliding = false), 400);
  }

  whole() {
    if (this.controls["whole sound"].getAttribute("aria-disabled") === "true") return;
    this.stop();
    this.sendTime.cancel();
    this.sliding = false;
    this.back(-1);
  }

  /** Leave the film: show the maps of a time, also if Python has nothing new to say. */
  back(time) {
    const same = this.model.get("time") === time;
    this.set({ time });
    if (same) this.scene();
    this.timed();
    this.values();
  }

  // ---- the film

  play() {
    const { controls: c } = this;
    if (this.playing) {
      const time = Math.round(c.audio.currentTime / STEP) * STEP;
      this.stop();
      return this.back(time);
    }
    if (this.waiting) return;
    if (this.film?.key === this.key) return this.roll();
    this.waiting = true;
    this.say("The maps of every moment are being made …");
    if (!this.tell({ type: "film" })) this.waiting = false;
  }

  filmed(told) {
    if (told.key !== this.key) return;
    this.film = told;
    told.canvases.flat().forEach(({ image, side }) => image && this.pixels(image, side));
    if (!this.waiting) return;
    this.waiting = false;
    this.said();
    this.roll();
  }

  /** Python has read a message: its line stands, whether it is a new one or not. */
  answered(of) {
    if (of === "film") this.waiting = false;
    this.said();
  }

  async roll() {
    const { controls: c } = this;
    const start = Math.max(0, this.model.get("time"));
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
    const step = times[1] - times[0];
    const k = Math.min(times.length - 1, Math.max(0, Math.round(time / step)));
    if (this.shownFrame === k && this.playing) return;
    this.shownFrame = k;
    for (const frames of canvases) this.views.get(frames[k].title)?.show(frames[k]);
  }

  stop() {
    const { controls: c } = this;
    this.playing = null;
    this.shownFrame = null;
    c.audio.pause();
    c.play.textContent = "play";
  }

  /** After the last moment the picture is as it was before. */
  ended() {
    this.stop();
    this.back(-1);
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
      try {
        const bytes = await this.readable(chosen, kind);
        if (bytes.byteLength <= MEGABYTES * 1e6) this.bring(bytes, chosen.name, kind);
        else this.say(`${chosen.name}: the sound is too long; choose one of 60 s at most.`);
      } catch {
        this.say(`${chosen.name}: the browser could not read the file; choose it again.`);
      }
    }
    input.value = ""; // the same file can be chosen again
  }

  /** A file as Python reads it: m4a, webm or aac, as telephones record, is turned into wav here. */
  async readable(file, kind) {
    if (kind === "sound" && !/\.(wav|flac|ogg|mp3)$/i.test(file.name)) {
      try {
        return await recorded(file);
      } catch {
        // no sound: Python says so
      }
    }
    return file.arrayBuffer();
  }

  bring(bytes, name, kind) {
    const parts = Math.max(1, Math.ceil(bytes.byteLength / PART));
    for (let part = 0; part < parts; part++) {
      const piece = bytes.slice(part * PART, (part + 1) * PART);
      if (!this.tell({ type: "file", kind, name, part, parts }, [piece])) return;
    }
  }

  async record() {
    if (this.recorder) return this.recorder.stop();
    const inCode = document.body.dataset.vscodeThemeKind !== undefined;
    if (!navigator.mediaDevices?.getUserMedia || !window.MediaRecorder) {
      const none = "there is no microphone on this page (it needs https or localhost): upload a sound";
      return this.say(`${inCode ? IN_VS_CODE : none}.`);
    }
    if (this.asking) return;
    this.asking = true;
    let stream;
    try {
      // else the browser takes an instrument for noise and removes it
      const plain = { echoCancellation: false, noiseSuppression: false, autoGainControl: false };
      stream = await navigator.mediaDevices.getUserMedia({ audio: plain });
      if (this.closed) stream.getTracks().forEach((track) => track.stop());
      else this.recordFrom(stream);
    } catch (error) {
      stream?.getTracks().forEach((track) => track.stop());
      this.recorder = null;
      const known = inCode && error.name === "NotAllowedError" ? IN_VS_CODE : NO_MICROPHONE[error.name];
      this.say(`${known ?? `the microphone gave no sound (${error.message}): upload one`}.`);
    } finally {
      this.asking = false;
    }
  }

  recordFrom(stream) {
    const { controls: c } = this;
    const recorder = (this.recorder = new MediaRecorder(stream));
    const pieces = [];
    recorder.ondataavailable = (event) => pieces.push(event.data);
    recorder.onstop = async () => {
      clearTimeout(timer);
      stream.getTracks().forEach((track) => track.stop());
      this.recorder = null;
      c.record.textContent = "record";
      if (this.closed) return;
      try {
        const file = await recorded(new Blob(pieces, { type: recorder.mimeType }));
        this.bring(file, "recording.wav", "recording");
      } catch {
        this.say("the recording holds no sound that can be decoded: record once more, for a second or longer.");
      }
    };
    const timer = setTimeout(() => recorder.state === "recording" && recorder.stop(), 1000 * RECORDED);
    recorder.start();
    c.record.textContent = "stop recording";
    this.say(`Recording, ${RECORDED} seconds at most; press the button again to stop.`);
  }

  close() {
    this.closed = true;
    clearTimeout(this.silence);
    this.stop();
    if (this.recorder?.state === "recording") this.recorder.stop();
    this.views.forEach((view) => view.observer.disconnect());
    this.off.forEach((off) => off());
  }
}

function render({ model, el }) {
  const app = new App(model, el);
  return () => app.close();
}

export default { render };
