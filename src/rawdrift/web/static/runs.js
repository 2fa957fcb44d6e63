// The list of runs, and the page of one. Names are only ever set as text.
import { ask, make } from "./common.js";

const state = document.getElementById("state");

const duration = (s) =>
  s < 90 ? `${Math.round(s)} s` : s < 5400 ? `${Math.round(s / 60)} min` : `${(s / 3600).toFixed(1)} h`;

function bar(done, units) {
  const made = document.createElement("progress");
  if (units) {
    made.max = units;
    made.value = done;
  }
  return made;
}

function row(one) {
  const made = document.createElement("tr");
  const name = make("td", "");
  if (one.page) {
    const link = make("a", "");
    const parts = one.run.split("/");
    parts.forEach((part, i) => link.append(part + (i < parts.length - 1 ? "/" : ""), document.createElement("wbr")));
    link.href = `/run?run=${encodeURIComponent(one.run)}`;
    name.append(link);
  } else name.textContent = one.run;
  const units = make("td", "");
  if (one.state === "running") units.append(bar(one.done, one.units), " ");
  units.append(`${one.done} of ${one.units ?? "?"}`);
  const left = one.left_s ? `about ${duration(one.left_s)} left` : "";
  made.append(
    name,
    make("td", one.control || "?"),
    make("td", one.state, `state ${one.state}`),
    units,
    make("td", one.changed.replace("T", " ").slice(0, 16)),
    make("td", one.headline || left),
  );
  return made;
}

async function list() {
  const { runs } = await ask("runs", {});
  document.querySelector(".runs").hidden = !runs.length;
  document.querySelector(".runs tbody").replaceChildren(...runs.map(row));
  const running = runs.filter((one) => one.state === "running").length;
  state.textContent = runs.length
    ? `${runs.length} run${runs.length > 1 ? "s" : ""}, ${running} running. The list follows them; times are UTC.`
    : "There are no runs in this folder yet. A run that is started with --out in it appears here.";
}

let changed = null;

async function one(name) {
  const problem = document.getElementById("problem");
  const frame = document.querySelector("iframe");
  const found = await ask("run", { run: name });
  problem.hidden = true;
  const at = found.status;
  const progress = document.querySelector("#run progress");
  progress.hidden = at?.state !== "running";
  if (at) {
    if (at.units) {
      progress.max = at.units;
      progress.value = at.done;
    } else progress.removeAttribute("value");
    const left = at.left_s ? `, about ${duration(at.left_s)} left` : "";
    const doing = at.state === "running" && at.doing ? `: ${at.doing}` : "";
    state.textContent = `${at.state}, ${at.done} of ${at.units ?? "?"} units${left}${doing}`;
  }
  if (found.changed === null) {
    problem.textContent = "This run has no page yet; it appears with its first results.";
    problem.hidden = false;
  } else if (found.changed !== changed) {
    changed = found.changed;
    frame.hidden = false;
    frame.src = `/report?run=${encodeURIComponent(name)}&at=${changed}`;
  }
}

const run = document.getElementById("run")?.dataset.run;

async function follow() {
  try {
    if (!document.hidden) await (run === undefined ? list() : one(run));
  } catch (error) {
    const at = document.getElementById("problem") ?? state;
    at.textContent = error instanceof TypeError ? "The server does not answer; is it still running?" : error.message;
    at.hidden = false;
  }
  setTimeout(follow, 2000);
}

follow();
