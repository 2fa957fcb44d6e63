// Explore raw files. Names of files, classes and steps are only ever set as text.
import { ask, make } from "./common.js";

const $ = (id) => document.getElementById(id);
const canvas = $("canvas"), screen_ = $("screen"), wipe = $("wipe");
const pen = canvas.getContext("2d");
const MOST = 1.5e6; // pixels that are asked for at a time
const LARGEST_ZOOM = 64; // of the screen for one of the frame

// What is shown. `asked` says which file, camera, ISP and signature, and `values` which sliders
// were moved. center and scale: of the view, in pixels of the frame and of the screen for each.
const asked = { file: "", camera: "", isp: "bi,s,me", signature: "" };
let info = null, values = {}, folder = "", isMasked = true;
let center = [0, 0], scale = 1;
let after = null, before = null; // pictures: an offscreen canvas and which part it is
let pinned = null; // the question that "before" shows, without the region
let wipeAt = 0.5, pointed = null, answer = null;

// ---- asking -------------------------------------------------------------------------------------

// Answers one question at a time; of those that wait, only the last.
class Latest {
  constructor(name, show) {
    this.name = name;
    this.show = show;
    this.next = null;
    this.busy = false;
  }
  async ask(question, ...more) {
    this.next = [question, ...more];
    if (this.busy) return;
    this.busy = true;
    while (this.next) {
      const [now, ...rest] = this.next;
      this.next = null;
      try {
        this.show(await ask(this.name, now), now, ...rest);
        if (!this.next) problem("");
      } catch (error) {
        if (!this.next) problem(error);
      }
    }
    this.busy = false;
  }
}

function problem(error) {
  const text = error instanceof TypeError ? "The server does not answer; is it still running?" : error.message ?? error;
  $("problem").textContent = text;
  $("problem").hidden = !text;
  canvas.dataset.problem = text ? "yes" : "";
  if (!text) return;
  waiting({});
  canvas.classList.add("stale");
  earlier();
}

let resting = 0;

const views = new Latest("view", (found, question, begun) => {
  if (question.file !== asked.file) return;
  waiting(found.about);
  if ("pending" in found.about) {
    resting = setTimeout(() => views.ask(question, begun), 250);
    return;
  }
  after = picture(found, question);
  draw();
  tell(found.about);
  clearTimeout(resting);
  if (found.about.rough) resting = setTimeout(() => exacts.ask({ ...question, exact: true }, key(question)), 150);
  // The task after the next frame runs when that is painted.
  requestAnimationFrame(() => setTimeout(() => {
    const ms = performance.now() - begun;
    $("time").textContent = `${Math.round(ms)} ms, of which the server ${Math.round(found.about.ms)}`;
    histogram(found);
    canvas.dataset.painted = String(Number(canvas.dataset.painted ?? 0) + 1);
    canvas.dispatchEvent(new CustomEvent("painted", { detail: { ms, server: found.about.ms } }));
  }));
  judgeSoon();
});
// What was measured roughly while a slider moved, exactly.
const exacts = new Latest("view", (found, question, of) => {
  if (!after || after.key !== of || !covers(found.about, region())) return;
  after = { ...picture(found, question), key: of };
  draw();
  tell(found.about);
  histogram(found);
  canvas.dataset.exact = String(Number(canvas.dataset.exact ?? 0) + 1);
  judgeSoon();
});
const befores = new Latest("view", (found, question) => {
  if ("pending" in found.about) {
    setTimeout(() => befores.next || befores.ask(question), 400);
    return;
  }
  before = picture(found, question);
  draw();
});
const pixels = new Latest("pixel", showPixel);
const judges = new Latest("judge", showAnswer);

function picture({ about, bytes }, question) {
  const { width, height, planes } = about;
  const n = width * height, rgba = new Uint32Array(n);
  if (planes === 1) for (let i = 0; i < n; i++) rgba[i] = 0xff000000 | (bytes[i] * 0x010101);
  else for (let i = 0; i < n; i++) rgba[i] = 0xff000000 | (bytes[i + 2 * n] << 16) | (bytes[i + n] << 8) | bytes[i];
  const made = new OffscreenCanvas(width, height);
  made.getContext("2d").putImageData(new ImageData(new Uint8ClampedArray(rgba.buffer), width, height), 0, 0);
  return { canvas: made, about, key: key(question) };
}

const key = ({ top, left, height, width, ...rest }) => JSON.stringify(rest);

function earlier() {
  $("told").textContent = after ? "What is shown is the view before." : "";
  $("time").textContent = "";
}

// A black box takes its time; until then its last view stays, pale.
function waiting({ pending, usual, reference }) {
  const waits = pending !== undefined;
  if (waits) {
    $("reference").value = reference;
    earlier();
  }
  $("busy").hidden = !waits;
  canvas.classList.toggle("stale", waits);
  if (!waits) return;
  const bar = $("busy").querySelector("progress"), of = usual ? ` of about ${Math.max(1, Math.round(usual))}` : "";
  if (usual) bar.value = Math.min(0.97, pending / usual);
  else bar.removeAttribute("value");
  $("busy").querySelector("span").textContent = `${asked.isp.split(":")[0]} develops the frame: ${Math.round(pending)} s${of}`;
}

// ---- the view -----------------------------------------------------------------------------------

const isLast = () => $("stage").selectedIndex === $("stage").length - 1;

function question() {
  return { ...asked, values, stage: $("stage").value };
}

function region() {
  const w = canvas.clientWidth / scale, h = canvas.clientHeight / scale;
  const left = Math.max(0, Math.floor(center[0] - w / 2)), top = Math.max(0, Math.floor(center[1] - h / 2));
  const right = Math.min(info.width, Math.ceil(center[0] + w / 2)), bottom = Math.min(info.height, Math.ceil(center[1] + h / 2));
  const width = Math.max(1, right - left), height = Math.max(1, bottom - top);
  const ratio = Math.min(window.devicePixelRatio || 1, 2);
  let factor = Math.max(1, Math.round(1 / (scale * ratio)));
  while ((width / factor) * (height / factor) > MOST) factor++;
  return { top, left, width, height, factor: Math.min(factor, info.largest_factor) };
}

function update(begun = performance.now()) {
  if (!info) return;
  const where = region();
  clearTimeout(resting);
  views.ask({ ...question(), ...where, lift: true, exact: false }, begun);
  if (comparing() && pinned) {
    const wanted = { ...pinned, ...where, lift: true };
    if (!before || key(wanted) !== before.key || !covers(before.about, where)) befores.ask(wanted);
  }
  const percent = 100 * scale * (window.devicePixelRatio || 1);
  $("zoom").textContent = `${percent >= 10 ? Math.round(percent) : percent.toFixed(1)} %`;
}

function tell({ factor, rough, reference }) {
  $("reference").value = reference ?? "";
  if (info.box && isLast()) {
    $("told").textContent = factor > 1 ? `Zoomed out: pixels are means of ${factor}×${factor} of the program's picture.` : "Every pixel is the program's.";
    return;
  }
  const reduced = factor > 1
    ? `Zoomed out: developed from the mosaic reduced ${factor} times, so that filters act on reduced pixels. Zoom to 1:1 for every pixel.`
    : "Every pixel is developed as in the whole frame.";
  const whole = info.whole.length ? ` ${info.whole.join(", ")} needs the whole frame, which takes longer.` : "";
  const lifted = isLast() ? "" : " This stage is shown with a gamma of 2.2.";
  $("told").textContent = (rough ? "Provisional: the white balance is estimated from a reduced frame until the whole one is measured." : reduced + whole) + lifted;
}

function covers(about, where) {
  const { factor } = about;
  return factor === where.factor && about.top * factor <= where.top && about.left * factor <= where.left &&
    (about.top + about.height) * factor >= where.top + where.height - factor && (about.left + about.width) * factor >= where.left + where.width - factor;
}

const toScreen = (x, y) => [(x - center[0]) * scale + canvas.clientWidth / 2, (y - center[1]) * scale + canvas.clientHeight / 2];
const toFrame = (x, y) => [(x - canvas.clientWidth / 2) / scale + center[0], (y - canvas.clientHeight / 2) / scale + center[1]];
const comparing = () => $("compare").getAttribute("aria-pressed") === "true";

function paint(one) {
  if (!one) return;
  const { top, left, width, height, factor } = one.about;
  const [x, y] = toScreen(left * factor, top * factor);
  pen.imageSmoothingEnabled = scale * factor < 2;
  pen.imageSmoothingQuality = "medium";
  pen.drawImage(one.canvas, x, y, width * factor * scale, height * factor * scale);
}

function draw() {
  const ratio = window.devicePixelRatio || 1;
  const w = canvas.clientWidth, h = canvas.clientHeight;
  if (canvas.width !== Math.round(w * ratio) || canvas.height !== Math.round(h * ratio)) {
    canvas.width = Math.round(w * ratio);
    canvas.height = Math.round(h * ratio);
  }
  pen.setTransform(ratio, 0, 0, ratio, 0, 0);
  pen.clearRect(0, 0, w, h);
  if (!info) return;
  paint(after);
  const split = comparing() && before;
  if (split) {
    pen.save();
    pen.beginPath();
    pen.rect(0, 0, w * wipeAt, h);
    pen.clip();
    pen.clearRect(0, 0, w, h);
    paint(before);
    pen.restore();
  }
  wipe.hidden = $("tag-before").hidden = $("tag-after").hidden = !split;
  wipe.style.left = `${100 * wipeAt}%`;
  wipe.setAttribute("aria-valuenow", String(Math.round(100 * wipeAt)));
  if (answer?.part) outline(answer);
  if (pointed && scale >= 3) {
    const [x, y] = toScreen(pointed[1], pointed[0]);
    pen.lineWidth = 1;
    pen.strokeStyle = "#000";
    pen.strokeRect(x - 1.5, y - 1.5, scale + 3, scale + 3);
    pen.strokeStyle = "#fff";
    pen.strokeRect(x - 0.5, y - 0.5, scale + 1, scale + 1);
  }
}

function outline({ part: [top, left, height, width], drawn }) {
  const [x, y] = toScreen(left, top);
  if (drawn && isMasked) {
    pen.imageSmoothingEnabled = false;
    pen.drawImage(drawn, x, y, width * scale, height * scale);
  }
  if (height < info.height || width < info.width) {
    pen.strokeStyle = "#56b4e9";
    pen.setLineDash([6, 4]);
    pen.lineWidth = 1.5;
    pen.strokeRect(x, y, width * scale, height * scale);
    pen.setLineDash([]);
  }
}

function zoom(times, at = [canvas.clientWidth / 2, canvas.clientHeight / 2]) {
  if (!info) return;
  const fixed = toFrame(...at);
  const least = 0.5 * Math.min(canvas.clientWidth / info.width, canvas.clientHeight / info.height, 1);
  scale = Math.min(LARGEST_ZOOM, Math.max(least, scale * times));
  const moved = toFrame(...at);
  pan(fixed[0] - moved[0], fixed[1] - moved[1]);
}

function pan(x, y) {
  center = [Math.min(info.width, Math.max(0, center[0] + x)), Math.min(info.height, Math.max(0, center[1] + y))];
  draw(); // what is there, until the new view is
  update();
}

function fit() {
  if (!info) return;
  center = [info.width / 2, info.height / 2];
  scale = Math.min(canvas.clientWidth / info.width, canvas.clientHeight / info.height, LARGEST_ZOOM);
  draw();
  update();
}

function histogram({ about, bytes }) {
  const n = about.width * about.height;
  const box = $("histogram"), at = box.getContext("2d"), { width, height } = box;
  const style = getComputedStyle(document.documentElement);
  const colors = about.planes === 1 ? [style.getPropertyValue("--muted")] : ["#d64545", "#3f9b4f", "#4a7fd6"];
  at.clearRect(0, 0, width, height);
  let low = 0, high = 0;
  const counts = colors.map((_, plane) => {
    const count = new Uint32Array(256);
    for (let i = plane * n; i < (plane + 1) * n; i++) count[bytes[i]]++;
    low += count[0];
    high += count[255];
    return count;
  });
  const most = Math.max(1, ...counts.map((count) => Math.max(...count.subarray(1, 255))));
  counts.forEach((count, plane) => {
    at.strokeStyle = at.fillStyle = colors[plane];
    at.lineWidth = 2;
    at.beginPath();
    at.moveTo(0, height);
    for (let i = 0; i < 256; i++) at.lineTo((i / 255) * width, height - 1 - (height - 6) * Math.min(1, Math.sqrt(count[i] / most)));
    at.stroke();
    at.lineTo(width, height);
    at.globalAlpha = 0.15;
    at.fill();
    at.globalAlpha = 1;
  });
  const share = (count) => `${((100 * count) / (n * colors.length)).toFixed(1)} %`;
  $("clipped").textContent = `of the visible part, ${share(low)} at 0 and ${share(high)} at 1`;
}

function showPixel(found, now) {
  if (now.file !== asked.file) return;
  $("where").textContent = `row ${found.row}, column ${found.column}: ${found.color}, DN ${found.dn}`;
  const digits = (v) => (Math.abs(v) < 10 ? v.toFixed(4) : v.toPrecision(5)).replace("-", "\u2212");
  $("values").replaceChildren(
    ...found.stages.map(([name, shown]) => {
      const row = document.createElement("tr");
      row.append(make("td", name.replaceAll("_", " ")), ...shown.map((v) => make("td", digits(v))));
      if (shown.length === 1) row.lastChild.colSpan = 3;
      return row;
    }),
  );
}

function point(event) {
  if (!info) return;
  const box = canvas.getBoundingClientRect();
  const [x, y] = toFrame(event.clientX - box.left, event.clientY - box.top).map(Math.floor);
  if (x < 0 || y < 0 || x >= info.width || y >= info.height) return;
  pointed = [y, x];
  draw();
  pixels.ask({ ...question(), row: y, column: x });
}

// ---- the model and the envelope -----------------------------------------------------------------

let judged = 0, soon = 0;

function judgeSoon() {
  if (!info || (!asked.signature && $("answer").hidden)) return;
  clearTimeout(soon);
  // Views go first; while sliders move, the model follows a few times a second.
  const wait = Math.max(40, 300 - (performance.now() - judged));
  soon = setTimeout(() => {
    judged = performance.now();
    const row = Math.min(info.height - 1, Math.floor(center[1])), column = Math.min(info.width - 1, Math.floor(center[0]));
    judges.ask({ ...question(), row, column, exact: Boolean(after && !after.about.rough) });
  }, wait);
}

function showAnswer(found, now) {
  if (now.file !== asked.file) return;
  answer = found.answer;
  if (answer) {
    const sorted = [...answer.shares].sort((a, b) => b[1] - a[1]).slice(0, 5);
    $("shares").replaceChildren(
      ...sorted.map(([name, share], i) => {
        const row = make("div", "", "share"), meter = make("meter", "");
        meter.value = share;
        const label = make(i ? "span" : "b", name);
        label.title = name;
        row.append(label, meter, make("span", `${(100 * share).toFixed(1)} %`));
        return row;
      }),
    );
    const [, , height, width] = answer.part;
    const of = height < info.height || width < info.width ? `the ${height}×${width} tile in the middle of the view` : "the whole frame";
    $("confidence").textContent = answer.of_pixels
      ? `Shares of the pixels of ${of}; mean confidence of a pixel ${(100 * answer.confidence).toFixed(1)} %.`
      : `Of ${of}. Confidence is the network's own (softmax); nothing says that it is calibrated.`;
    $("masked").hidden = !answer.of_pixels;
    if (answer.of_pixels) answer.drawn = edges(answer.mask, height, width);
  }
  $("verdict").hidden = !found.verdict;
  if (found.verdict) {
    const { inside, lines } = found.verdict;
    $("inside").textContent = inside === null ? "The signature does not apply" : inside ? "Inside the envelope" : "Outside the envelope";
    $("inside").className = inside ? "right" : "wrong";
    $("outside").replaceChildren(...lines.map((line) => make("li", line)));
  }
  draw();
}

function edges(hex, height, width) {
  const bit = (i) => (parseInt(hex[i >> 2], 16) >> (3 - (i & 3))) & 1;
  const made = new OffscreenCanvas(width, height), rgba = new Uint32Array(width * height);
  for (let y = 0; y < height; y++)
    for (let x = 0; x < width; x++) {
      const i = y * width + x;
      if (!bit(i)) continue;
      const inner = x > 0 && x < width - 1 && y > 0 && y < height - 1 && bit(i - 1) && bit(i + 1) && bit(i - width) && bit(i + width);
      rgba[i] = inner ? 0x28005ed5 : 0xff005ed5; // vermilion, as in the reports
    }
  made.getContext("2d").putImageData(new ImageData(new Uint8ClampedArray(rgba.buffer), width, height), 0, 0);
  return made;
}

// ---- sliders ------------------------------------------------------------------------------------

const shown = (v) => String(Number(v.toPrecision(5)));
const widgets = new Map(); // by name: how to show a value, and to mark the envelope

function slider(one) {
  const row = make("div", "", "slider"), label = make("label", ""), id = `s-${widgets.size}`;
  label.append(make("span", one.label), make("small", one.unit));
  label.htmlFor = id;
  label.title = `${one.name}${one.bound ? `, ${one.bound}` : ""}`;
  const track = make("div", "", "track"), range = document.createElement("input"), number = document.createElement("input");
  Object.assign(range, { type: "range", id, min: one.low, max: one.high, step: "any", value: one.value });
  Object.assign(number, { type: "number", step: "any", value: shown(one.value), className: "number" });
  number.setAttribute("aria-label", `${one.label}, value`);
  range.dataset.name = one.name;
  const place = (v) => `${Math.min(100, Math.max(0, (100 * (v - one.low)) / (one.high - one.low)))}%`;
  const band = (kind, [low, high], title) => {
    const made = make("i", "", `band ${kind}`);
    made.style.left = place(low);
    made.style.width = `calc(${place(high)} - ${place(low)})`;
    made.title = title;
    track.append(made);
  };
  track.append(range);
  if (one.drift) band("drift", one.drift, `declared drift: ${shown(one.drift[0])} to ${shown(one.drift[1])}`);
  row.append(label, track, number);
  const show = (v, from) => {
    const moved = one.name in values;
    if (from !== number) number.value = shown(v);
    if (from !== range) range.value = v;
    row.classList.toggle("moved", moved);
    row.closest(".step")?.classList.toggle("moved", Object.keys(values).some((n) => n.startsWith(`${one.name.split(".")[0]}.`)));
  };
  const move = (from) => {
    const v = Number(from.value);
    if (from.value === "" || !Number.isFinite(v)) return;
    if (v === one.value) delete values[one.name];
    else values[one.name] = v;
    show(v, from);
    changed();
  };
  range.addEventListener("input", () => move(range));
  number.addEventListener("input", () => move(number));
  range.addEventListener("dblclick", () => reset((name) => name === one.name));
  const mark = (axis, several) => {
    track.querySelectorAll(".alone, .together").forEach((old) => old.remove());
    if (!axis) return row.classList.remove("outside");
    band("alone", axis.alone, `envelope, if it alone moves: ${axis.alone.map(shown).join(" to ")}`);
    band("together", axis.together, `envelope, if several move: ${axis.together.map(shown).join(" to ")}`);
    const [low, high] = several ? axis.together : axis.alone, v = values[one.name] ?? one.value;
    row.classList.toggle("outside", v < low || v > high);
  };
  widgets.set(one.name, { show, mark, value: one.value, row });
  show(values[one.name] ?? one.value);
  return row;
}

// A setting that is one of several; its value is the place in their order.
function choice(one) {
  const row = make("div", "", "slider chosen"), label = make("label", ""), id = `s-${widgets.size}`, select = document.createElement("select");
  label.append(make("span", one.label));
  label.htmlFor = select.id = id;
  select.dataset.name = one.name;
  one.choices.forEach((name, place) => select.append(Object.assign(make("option", name), { value: place })));
  const show = (v) => {
    select.value = String(v);
    row.classList.toggle("moved", one.name in values);
    row.closest(".step")?.classList.toggle("moved", Object.keys(values).some((n) => n.startsWith(`${one.name.split(".")[0]}.`)));
  };
  select.addEventListener("change", () => {
    const v = Number(select.value);
    if (v === one.value) delete values[one.name];
    else values[one.name] = v;
    show(v);
    changed();
  });
  row.append(label, select);
  widgets.set(one.name, { show, mark: () => {}, value: one.value, row });
  show(values[one.name] ?? one.value);
  return row;
}

function buildSliders() {
  widgets.clear();
  const steps = info.steps.map((step) => {
    const box = make("section", "", "step"), head = make("h3", step.step.replaceAll("_", " "));
    const again = make("button", "Reset");
    again.type = "button";
    again.addEventListener("click", () => reset((name) => name.startsWith(`${step.step}.`)));
    head.append(make("small", step.kind), again);
    box.append(head);
    const options = Object.entries(step.options).filter(([name]) => name !== "cfa").map(([name, v]) => `${name.replaceAll("_", " ")} ${v}`);
    if (!step.numbers.length) box.append(make("p", options.join(", ") || "No numbers.", "note"));
    for (const number of step.numbers) {
      number.knobs.forEach((one) => box.append(slider(one)));
      if (!number.knobs.length && number.entries.length <= 4) {
        number.entries.forEach((one) => box.append(one.choices ? choice(one) : slider(one)));
        continue;
      }
      const more = document.createElement("details");
      more.append(make("summary", `${number.entries.length} entries of ${number.name.replaceAll("_", " ")} (${number.shape.join("×")})`));
      more.addEventListener("toggle", () => { // kernels have many; they are made when they are wanted
        if (more.childElementCount > 1) return;
        const grid = make("div", "", number.entries.length > 6 ? "grid" : "");
        more.append(grid);
        grid.append(...number.entries.map(slider));
        marks();
      });
      box.append(more);
    }
    return box;
  });
  const legend = make("p", "", "legend");
  if (!info.box) legend.append(make("i", "", "band drift"), "declared drift");
  if (info.envelope) legend.append(" ", make("i", "", "band alone"), "envelope alone ", make("i", "", "band together"), "together");
  $("sliders").replaceChildren(legend, ...steps);
  marks();
}

function marks() {
  const several = Object.keys(values).length > 1;
  for (const [name, widget] of widgets) widget.mark(info.envelope?.axes[name], several);
}

let later = 0;

function changed() {
  update();
  $("reset").disabled = !Object.keys(values).length;
  marks();
  clearTimeout(later); // the view goes first
  later = setTimeout(() => pointed && info && pixels.ask({ ...question(), row: pointed[0], column: pointed[1] }), 150);
}

function reset(which) {
  values = Object.fromEntries(Object.entries(values).filter(([name]) => !which(name)));
  for (const [name, widget] of widgets) if (which(name)) widget.show(widget.value);
  changed();
}

// ---- choosing -----------------------------------------------------------------------------------

function options(select, groups, value) {
  select.replaceChildren(
    ...groups.filter(([, list]) => list.length).map(([title, list]) => {
      const entries = list.map(([v, text]) => Object.assign(make("option", text), { value: v }));
      if (!title) return entries;
      const group = document.createElement("optgroup");
      group.label = title;
      group.append(...entries);
      return [group];
    }).flat(),
  );
  select.value = value;
  if (select.selectedIndex < 0) select.selectedIndex = 0;
}

let known = null;

async function browse(name) {
  try {
    known = await ask("browse", { folder: name });
  } catch (error) {
    problem(error);
    return;
  }
  folder = name;
  $("path").textContent = `${folder || "."}/`;
  const entries = [];
  const entry = (text, kind, act) => {
    const item = document.createElement("li"), button = make("button", text, kind);
    button.type = "button";
    button.addEventListener("click", act);
    item.append(button);
    entries.push(item);
    return button;
  };
  if (folder) entry("..", "folder", () => browse(folder.split("/").slice(0, -1).join("/")));
  known.folders.forEach((one) => entry(one.split("/").pop(), "folder", () => browse(one)));
  known.raws.forEach((one) => {
    const button = entry(one.split("/").pop(), "", () => choose({ file: one }));
    button.dataset.file = one;
    if (one === asked.file) button.setAttribute("aria-current", "true");
  });
  if (known.left_out) entries.push(make("p", "There are more; only the first 2000 are listed."));
  if (!entries.length) entries.push(make("p", "No raw files and no folders here."));
  $("entries").replaceChildren(...entries);
  lists();
  $("answer").hidden = !known.network;
  $("model").textContent = known.network;
}

function lists() {
  const plain = (names) => names.map((name) => [name, name]);
  options($("camera"), [["", [["", "of the file or its folder"]]], ["Shipped", plain(known.shipped)], ["Files", plain(known.cameras)]], asked.camera);
  const names = info?.isp_names ?? known.isp_names;
  options($("isp"), [["Table 1", names.map(([n, words]) => [n, words ? `${n} (${words})` : n])], ["ISP files", plain(known.isps)], ["Black boxes", plain(known.boxes)]], asked.isp);
  options($("signature"), [["", [["", "none"]]], ["", plain(known.signatures)]], asked.signature);
  $("camera").disabled = known.isps.includes(asked.isp);
}

// Open a file with camera, ISP and signature. A new file starts with the whole frame; another ISP
// keeps what is in view.
async function choose(change) {
  const wanted = { ...asked, ...change };
  const isNew = wanted.file !== asked.file;
  Object.assign(asked, wanted);
  for (const button of document.querySelectorAll("#entries [data-file]")) button.toggleAttribute("aria-current", button.dataset.file === asked.file);
  if (!asked.file) return lists();
  location.hash = encodeURIComponent(JSON.stringify({ file: asked.file, camera: asked.camera, isp: asked.isp, signature: asked.signature }));
  $("hint").textContent = "Reading …";
  $("hint").hidden = Boolean(info);
  let found;
  try {
    found = await ask("open", asked);
  } catch (error) {
    if (JSON.stringify(wanted) !== JSON.stringify(asked)) return;
    problem(error);
    close();
    return;
  }
  if (JSON.stringify(wanted) !== JSON.stringify(asked)) return; // another choice came after it
  problem("");
  const sameSize = info && info.width === found.width && info.height === found.height;
  const stage = $("stage").value, wasLast = !info || isLast();
  const kept = "signature" in change && Object.keys(change).length === 1;
  if (!kept) values = {};
  info = found;
  if (isNew) after = before = answer = pointed = null;
  options($("stage"), [["", info.stages.map((name) => [name, name.replaceAll("_", " ")])]], stage);
  if (wasLast || !info.stages.includes(stage)) $("stage").selectedIndex = info.stages.length - 1;
  if (isNew || !pinned || pinned.file !== asked.file) pin(false);
  $("file-name").textContent = `${asked.file} (${info.height}×${info.width}, ${info.cfa}, camera ${info.camera})`;
  $("notes").textContent = info.notes.join(" ");
  $("notes").hidden = !info.notes.length;
  if (isNew) $("files").open = window.innerWidth > 860;
  $("hint").hidden = true;
  $("ends").hidden = false;
  $("save").hidden = info.box;
  $("as").hidden = !info.box;
  $("saved").textContent = "";
  for (const id of ["stage", "out", "in", "fit", "one", "compare", "pin"]) $(id).disabled = false;
  $("reset").disabled = !Object.keys(values).length;
  lists();
  buildSliders();
  if (isNew && !sameSize) fit();
  else update();
}

function close() {
  info = after = before = answer = pointed = null;
  $("hint").textContent = "Choose a raw file.";
  $("hint").hidden = false;
  waiting({});
  $("ends").hidden = true;
  $("told").textContent = $("time").textContent = $("file-name").textContent = "";
  $("sliders").replaceChildren();
  for (const id of ["stage", "out", "in", "fit", "one", "compare", "pin"]) $(id).disabled = true;
  wipe.hidden = $("tag-before").hidden = $("tag-after").hidden = true;
  lists();
  draw();
}

function pin(now = true) {
  pinned = { ...question(), values: { ...values } };
  const name = pinned.isp.split("/").pop(), count = Object.keys(values).length;
  $("tag-before").textContent = `before: ${name}${count ? ", moved" : ""}`;
  before = null;
  if (now) {
    $("compare").setAttribute("aria-pressed", "true");
    update();
  }
}

// ---- events -------------------------------------------------------------------------------------

const fingers = new Map();
let dragged = false;

canvas.addEventListener("pointerdown", (event) => {
  canvas.setPointerCapture(event.pointerId);
  fingers.set(event.pointerId, [event.clientX, event.clientY]);
  dragged = false;
});
canvas.addEventListener("pointermove", (event) => {
  const was = fingers.get(event.pointerId);
  if (!info) return;
  if (!was) return point(event);
  const now = [event.clientX, event.clientY];
  if (!dragged && fingers.size === 1 && Math.hypot(now[0] - was[0], now[1] - was[1]) < 4) return;
  dragged = true;
  canvas.classList.add("panning");
  if (fingers.size === 2) {
    const other = [...fingers].find(([id]) => id !== event.pointerId)[1], box = canvas.getBoundingClientRect();
    const spread = (a) => Math.hypot(a[0] - other[0], a[1] - other[1]);
    const middle = [(now[0] + other[0]) / 2 - box.left, (now[1] + other[1]) / 2 - box.top];
    zoom(spread(now) / Math.max(1, spread(was)), middle);
  }
  pan((was[0] - now[0]) / scale / fingers.size, (was[1] - now[1]) / scale / fingers.size);
  fingers.set(event.pointerId, now);
});
for (const kind of ["pointerup", "pointercancel"])
  canvas.addEventListener(kind, (event) => {
    fingers.delete(event.pointerId);
    canvas.classList.remove("panning");
    if (kind === "pointerup" && !dragged) point(event);
  });
canvas.addEventListener("wheel", (event) => {
  event.preventDefault();
  const box = canvas.getBoundingClientRect();
  zoom(Math.exp(-event.deltaY * (event.deltaMode ? 0.05 : 0.0015)), [event.clientX - box.left, event.clientY - box.top]);
}, { passive: false });

$("in").addEventListener("click", () => zoom(2));
$("out").addEventListener("click", () => zoom(0.5));
$("fit").addEventListener("click", fit);
$("one").addEventListener("click", () => zoom(1 / (window.devicePixelRatio || 1) / scale));
$("compare").addEventListener("click", () => {
  $("compare").setAttribute("aria-pressed", String(!comparing()));
  draw();
  update();
});
$("pin").addEventListener("click", () => pin());
canvas.addEventListener("keydown", (event) => {
  const step = 60 / scale;
  const act = {
    "+": () => zoom(2), "=": () => zoom(2), "-": () => zoom(0.5), 0: fit, 1: () => $("one").click(), c: () => $("compare").click(),
    ArrowLeft: () => pan(-step, 0), ArrowRight: () => pan(step, 0), ArrowUp: () => pan(0, -step), ArrowDown: () => pan(0, step),
  }[event.key];
  if (!info || !act || event.ctrlKey || event.metaKey) return;
  event.preventDefault();
  act();
});

function wipeTo(x) {
  wipeAt = Math.min(1, Math.max(0, x));
  draw();
}
wipe.addEventListener("pointerdown", (event) => wipe.setPointerCapture(event.pointerId));
wipe.addEventListener("pointermove", (event) => {
  if (!wipe.hasPointerCapture(event.pointerId)) return;
  const box = canvas.getBoundingClientRect();
  wipeTo((event.clientX - box.left) / box.width);
});
wipe.addEventListener("keydown", (event) => {
  const by = { ArrowLeft: -0.05, ArrowRight: 0.05 }[event.key];
  if (by) wipeTo(wipeAt + by);
});

$("stage").addEventListener("change", () => update());
$("camera").addEventListener("change", () => choose({ camera: $("camera").value }));
$("isp").addEventListener("change", () => choose({ isp: $("isp").value }));
$("signature").addEventListener("change", () => choose({ signature: $("signature").value }));
$("reset").addEventListener("click", () => reset(() => true));
$("mask").addEventListener("change", () => {
  isMasked = $("mask").checked;
  draw();
});

$("copy").addEventListener("click", async () => {
  $("reference").select();
  try {
    await navigator.clipboard.writeText($("reference").value);
    $("saved").textContent = "Copied; it names this setting wherever an ISP is named, such as develop --isp.";
  } catch { // a browser that doesn't let us; it is selected
    $("saved").textContent = "Selected; copy it with Ctrl-C.";
  }
});

$("save").addEventListener("submit", async (event) => {
  event.preventDefault();
  if (!info) return;
  const wanted = { ...question(), name: $("name").value.trim(), folder };
  try {
    let found = await ask("save", wanted);
    if (found.exists && !found.saved) {
      if (!window.confirm(`${found.exists} exists already. Replace it?`)) return;
      found = await ask("save", { ...wanted, replace: true });
    }
    $("saved").textContent = found.saved ? `Saved ${found.saved}; it is in the list of ISPs.` : `${found.exists} can't be replaced; choose another name.`;
    problem("");
    await browse(folder);
  } catch (error) {
    $("saved").textContent = "";
    problem(error);
  }
});

new ResizeObserver(() => {
  draw();
  update();
}).observe(screen_);
window.matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => update());

(async () => {
  let start = {};
  try {
    start = JSON.parse(decodeURIComponent(location.hash.slice(1)));
  } catch { /* there is none */ }
  const text = (value) => (typeof value === "string" ? value : "");
  const file = text(start.file);
  await browse(file.includes("/") ? file.split("/").slice(0, -1).join("/") : "");
  if (file) choose({ file, camera: text(start.camera), isp: text(start.isp) || asked.isp, signature: text(start.signature) });
})();
