// The page that `connote serve` gives at `/`: it asks the server's own routes and shows what they answer.
//
// Texts and answers are put in as text (`textContent`), never as markup. Colours are set through the style
// sheet and custom properties, as the server's Content-Security-Policy allows no style attribute in markup.
"use strict";

/** Beyond it the table is no longer read by anybody; programs send as many texts as they like. */
const MOST_TEXTS = 200;
const KEY = "connote-api-key";
const $ = (id) => document.getElementById(id);

/** Tokens a text may have, by model; only of the models that say so. */
const limits = new Map();
/** What ends the requests under way. */
let running = null;
/** What the table shows. */
let shown = { texts: [], cosines: [], cells: [], at: null };

function make(tag, { text, className, ...attributes } = {}, ...children) {
  const element = document.createElement(tag);
  if (className) element.className = className;
  if (text !== undefined) element.textContent = text;
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

const count = (number, what) => `${number.toLocaleString("en")} ${what}${number === 1 ? "" : "s"}`;
const milliseconds = (time) =>
  `${time < 1 ? time.toFixed(2) : time < 10 ? time.toFixed(1) : Math.round(time).toLocaleString("en")}\u00a0ms`;

// ---- Asking the server

class Failure extends Error {
  constructor(message, status) {
    super(message);
    this.status = status;
  }
}

// A browser may forbid a page to keep anything; then the key is typed again after a reload.
function keptKey(key) {
  try {
    if (key !== undefined) sessionStorage.setItem(KEY, key);
    return sessionStorage.getItem(KEY) ?? "";
  } catch {
    return "";
  }
}

async function ask(path, { body, signal } = {}) {
  const headers = { Accept: "application/json" };
  const key = $("key").value.trim();
  if (key) {
    if (!/^[\x21-\x7e]+$/.test(key))
      throw new Failure("The API key has characters that no key has: spaces, or letters beyond ASCII.");
    headers.Authorization = `Bearer ${key}`;
  }
  if (body) headers["Content-Type"] = "application/json";
  const begin = performance.now();
  let response, text;
  try {
    response = await fetch(path, {
      method: body ? "POST" : "GET",
      headers,
      signal,
      body: body && JSON.stringify(body),
    });
    text = await response.text();
  } catch {
    // Or it was aborted, but then nobody waits for the answer.
    throw new Failure("The server could not be reached. Is it still running?");
  }
  const time = performance.now() - begin;
  let json;
  try {
    json = JSON.parse(text);
  } catch {
    // What is not JSON is told by its status below.
  }
  if (!response.ok) throw new Failure(reason(response, json), response.status);
  if (json === undefined) throw new Failure(`The server's answer from ${path} is not JSON.`);
  return { json, time, headers: response.headers };
}

/** The server's words as they are true here: this page counts texts from 1, and cuts none. */
const onThisPage = (words) =>
  words
    .replace(/^input (\d+): /, (_, index) => `Text ${Number(index) + 1}: `)
    .replace(/, or let it be cut with "truncate": true$/, "");

/** Why the server refused, in its own words: the errors of OpenAI's shape, and those of TEI's. */
function reason(response, json) {
  const said = json?.error?.message ?? json?.error ?? json?.message;
  const words =
    typeof said === "string" && said ? said : `The server answered with status ${response.status}.`;
  const wait = response.headers.get("Retry-After");
  return wait ? `${words} Try again in ${wait} s.` : words;
}

async function readModels() {
  const models = (await ask("v1/models")).json.data ?? [];
  $("model").replaceChildren(...models.map(({ id }) => make("option", { text: id, value: id })));
  $("model-field").hidden = models.length < 2;
  for (const model of models) if (model.max_model_len > 0) limits.set(model.id, model.max_model_len);
  // TEI's route tells the limit of one model.
  if (models.length === 1 && !limits.size) {
    const limit = (await ask("info")).json.max_input_length;
    if (limit > 0) limits.set(models[0].id, limit);
  }
}

async function greet() {
  try {
    await readModels();
    tellModel();
  } catch (error) {
    if (error.status === 401) askForKey();
    $("server").textContent = error.status === 401 ? "This server wants an API key." : error.message;
  }
}

function tellModel() {
  const limit = limits.get($("model").value);
  $("server").textContent = $("model").value + (limit ? `, up to ${count(limit, "token")} a text` : "");
}

function askForKey() {
  $("key-field").hidden = $("key-hint").hidden = false;
}

/** The vector of a number array, or of its bytes in base64. */
function vector(embedding) {
  if (Array.isArray(embedding)) return Float32Array.from(embedding);
  const bytes = Uint8Array.from(atob(embedding), (letter) => letter.charCodeAt(0));
  const view = new DataView(bytes.buffer);
  return Float32Array.from({ length: bytes.length / 4 }, (_, at) => view.getFloat32(4 * at, true));
}

// ---- Comparing

const readTexts = () =>
  $("texts")
    .value.split("\n")
    .filter((line) => line.trim());

function tell(status, errors = []) {
  $("status").textContent = status;
  $("error").textContent = [...new Set(errors)].join("\n");
}

async function compare() {
  running?.abort();
  const mine = (running = new AbortController());
  const texts = readTexts();
  $("results").setAttribute("aria-busy", "false");
  if (!texts.length) return tell("", ["There is nothing to compare: write at least one text, one a line."]);
  if (texts.length > MOST_TEXTS) {
    return tell("", [
      `These are ${count(texts.length, "text")}, and this page shows ${MOST_TEXTS} at most; leave some out.`,
    ]);
  }
  tell(`Comparing ${count(texts.length, "text")} …`);
  $("results").setAttribute("aria-busy", "true");
  if (!$("model").options.length) {
    // The server was not there when the page was opened, or wanted a key.
    await greet();
    if (mine !== running) return;
  }
  const model = $("model").value;
  const task = $("task").value;
  const common = model ? { model } : {};
  const { signal } = mine;
  const [embedded, tokenized] = await Promise.allSettled([
    ask("v1/embeddings", {
      signal,
      body: { input: texts, encoding_format: "base64", ...common, ...(task && { task }) },
    }),
    ask("tokenize", {
      signal,
      body: { inputs: texts, add_special_tokens: true, ...common, ...(task && { prompt_name: task }) },
    }),
  ]);
  if (mine !== running) return;
  running = null;
  $("results").setAttribute("aria-busy", "false");

  // The tokens help with the commonest error, a text that is too long: they are shown even when there are no vectors.
  const errors = [
    show(embedded, "similarity", showAnswer, texts),
    show(tokenized, "tokens", showTokens, texts),
  ];
  $("answer").hidden = $("similarity").hidden;
  const failures = errors.filter(Boolean);
  tell(
    failures.length ? "" : `Compared ${count(texts.length, "text")}.`,
    failures.map((error) => onThisPage(error.message)),
  );
  if (failures.some((error) => error.status === 401)) {
    askForKey();
    $("key").focus();
  }
}

/** Fills a section, or hides it and gives the error. */
function show(outcome, section, fill, texts) {
  let { reason: error } = outcome;
  if (outcome.status === "fulfilled") {
    try {
      fill(outcome.value, texts);
    } catch (unexpected) {
      console.warn(unexpected);
      error =
        unexpected instanceof Failure
          ? unexpected
          : new Failure("The server's answer is not in the shape this page knows.");
    }
  }
  $(section).hidden = Boolean(error);
  return error;
}

function showAnswer({ json, time, headers }, texts) {
  const items = [...json.data].sort((a, b) => a.index - b.index);
  if (items.length !== texts.length)
    throw new Failure(`The server gave ${items.length} vectors for ${count(texts.length, "text")}.`);
  const vectors = items.map((item) => vector(item.embedding));
  showMatrix(texts, cosines(vectors));

  const timing = [...(headers.get("Server-Timing") ?? "").matchAll(/([\w-]+)[^,]*?;\s*dur=([\d.]+)/g)];
  const spent = timing.map(([, name, duration]) => `${name} ${milliseconds(Number(duration))}`).join(", ");
  const used = json.usage?.prompt_tokens;
  const fingerprint = headers.get("X-Embedding-Fingerprint");
  const facts = [
    ["Model", headers.get("X-Model") ?? json.model],
    ["Vectors", `${texts.length} × ${vectors[0].length}`],
    ["Tokens used", used?.toLocaleString("en")],
    ["Time", milliseconds(time), spent],
    [
      "Fingerprint",
      fingerprint && make("code", { text: fingerprint }),
      "vectors with the same one can be compared",
    ],
  ];
  const known = facts.filter(([, value]) => value !== undefined && value !== null);
  $("facts").replaceChildren(
    ...known.map(([name, value, note]) => {
      const told = make("dd", {}, value);
      if (note) told.append(make("span", { text: note, className: "note" }));
      return make("div", {}, make("dt", { text: name }), told);
    }),
  );
}

function cosines(vectors) {
  const dot = (a, b) => a.reduce((sum, value, at) => sum + value * b[at], 0);
  const lengths = vectors.map((one) => Math.sqrt(dot(one, one)));
  if (!lengths.every((length) => length > 0 && length < Infinity))
    throw new Failure("The server gave a vector that has no direction.");
  const rows = vectors.map(() => []);
  for (const [row, one] of vectors.entries()) {
    for (let column = 0; column <= row; column++) {
      const cosine = dot(one, vectors[column]) / (lengths[row] * lengths[column]);
      rows[row][column] = rows[column][row] = Math.min(1, Math.max(-1, cosine));
    }
  }
  return rows;
}

// ---- The table

/** Two decimals, and no minus before what rounds to zero. */
const decimals = (value) =>
  value
    .toFixed(2)
    .replace(/^-0\.00$/, "0.00")
    .replace("-", "−");

function showMatrix(texts, values) {
  const short = (text) => (text.length > 120 ? `${text.slice(0, 120)}…` : text);
  const head = make("tr", {}, make("td"));
  texts.forEach((text, at) => {
    head.append(
      make(
        "th",
        { scope: "col" },
        make("span", { text: at + 1, className: "number" }),
        make("span", { text: ` ${short(text)}`, className: "unseen" }),
      ),
    );
  });
  const body = make("tbody");
  const cells = values.map((row, at) => {
    const name = make(
      "span",
      { className: "name" },
      make("span", { text: at + 1, className: "number" }),
      make("bdi", { text: short(texts[at]) }),
    );
    const tds = row.map((value, column) =>
      make("td", {
        text: decimals(value),
        className: "heat",
        tabindex: at || column ? -1 : 0,
        "data-row": at,
        "data-column": column,
      }),
    );
    body.append(make("tr", {}, make("th", { scope: "row" }, name), ...tds));
    return tds;
  });
  shown = { texts, cosines: values, cells, at: null };
  paint();
  $("matrix").classList.toggle("many", texts.length > 24);
  $("matrix").replaceChildren(make("thead", {}, head), body);
  point(...closest(values));
}

/** Colours by a scale that is the same for every answer, or by one that uses all colours for this one. */
function paint() {
  const others = shown.cosines.flatMap((row, at) => row.filter((_, column) => column !== at));
  const least = others.reduce((a, b) => Math.min(a, b), 1);
  const most = others.reduce((a, b) => Math.max(a, b), -1);
  const stretch = $("stretch").checked && most - least > 1e-3;
  const [low, high] = stretch ? [least, most] : [least < 0 ? -1 : 0, 1];
  const colour = (element, value) => {
    const part = stretch ? (value - low) / (high - low) : Math.abs(value);
    element.style.setProperty("--t", Math.min(1, Math.max(0, part)).toFixed(3));
    element.classList.toggle("below", !stretch && value < 0);
    return element;
  };
  shown.colour = colour;
  shown.cells.forEach((row, at) => row.forEach((cell, column) => colour(cell, shown.cosines[at][column])));
  const steps = Array.from({ length: 33 }, (_, at) => low + ((high - low) * at) / 32);
  const bar = make(
    "span",
    { className: "bar" },
    ...steps.map((value) => colour(make("span", { className: "heat" }), value)),
  );
  $("legend").replaceChildren(decimals(low), bar, decimals(high));
  if (shown.at) point(...shown.at);
}

/** Row and column of the two texts that are most alike. */
function closest(values) {
  let best = [0, 0];
  let most = -Infinity;
  for (let row = 0; row < values.length; row++) {
    for (let column = row + 1; column < values.length; column++) {
      if (values[row][column] > most) [best, most] = [[row, column], values[row][column]];
    }
  }
  return best;
}

/** Shows the texts of a cell. */
function point(row, column) {
  const { texts, cosines: values, cells } = shown;
  $("matrix")
    .querySelectorAll(".at")
    .forEach((element) => element.classList.remove("at"));
  const heads = [$("matrix").tHead.rows[0].cells[column + 1], $("matrix").tBodies[0].rows[row].cells[0]];
  for (const element of [cells[row][column], ...heads]) element.classList.add("at");
  $("pair-value").textContent = decimals(values[row][column]);
  $("pair-value").className = "heat";
  shown.colour($("pair-value"), values[row][column]);
  $("pair-row").textContent = row + 1;
  $("pair-row-text").textContent = texts[row];
  $("pair-column").textContent = column + 1;
  $("pair-column-text").textContent = texts[column];
  shown.at = [row, column];
}

function pointAt({ target }) {
  const cell = target.closest("td[data-row]");
  if (cell) point(Number(cell.dataset.row), Number(cell.dataset.column));
}

/** One cell takes the focus by Tab, the others by the arrow keys: 40,000 stops would trap who has no mouse. */
function walk(event) {
  const cell = event.target.closest("td[data-row]");
  const last = shown.texts.length - 1;
  if (!cell || event.altKey || event.metaKey) return;
  let [row, column] = [Number(cell.dataset.row), Number(cell.dataset.column)];
  const far = event.ctrlKey;
  switch (event.key) {
    case "ArrowUp":
      row -= 1;
      break;
    case "ArrowDown":
      row += 1;
      break;
    case "ArrowLeft":
      column -= 1;
      break;
    case "ArrowRight":
      column += 1;
      break;
    case "Home":
      [row, column] = [far ? 0 : row, 0];
      break;
    case "End":
      [row, column] = [far ? last : row, last];
      break;
    default:
      return;
  }
  event.preventDefault();
  const next = shown.cells[row]?.[column];
  if (!next) return;
  cell.tabIndex = -1;
  next.tabIndex = 0;
  next.focus();
}

// ---- The tokens

/** Blanks as signs that can be seen. */
const visible = (text) => text.replace(/ /g, "␣").replace(/\n/g, "↵").replace(/\t/g, "⇥");

function showTokens({ json }, texts) {
  if (json.length !== texts.length)
    throw new Failure(`The server gave tokens of ${json.length} texts for ${count(texts.length, "text")}.`);
  const limit = limits.get($("model").value);
  const special = json.flat().filter((token) => token.special).length;
  const all = json.flat().length;
  $("tokens-sum").textContent =
    `${count(all, "token")} in all, ${special} of them special` +
    (limit ? `. The model takes ${limit.toLocaleString("en")} a text.` : ".");
  $("token-lists").replaceChildren(
    ...json.map((tokens, at) => {
      const over = limit !== undefined && tokens.length > limit;
      const amount =
        limit && !over
          ? `${tokens.length.toLocaleString("en")} of ${count(limit, "token")}`
          : count(tokens.length, "token");
      const title = make("h3", {}, make("span", { text: at + 1, className: "number" }), amount);
      if (over)
        title.append(
          make("span", {
            text: `${(tokens.length - limit).toLocaleString("en")} too many`,
            className: "over",
          }),
        );
      return make(
        "li",
        {},
        title,
        make("ul", { className: "chips", "aria-label": `Tokens of text ${at + 1}` }, ...tokens.map(chip)),
      );
    }),
  );
}

function chip({ id, text, special }) {
  const token = make(
    "li",
    { "data-id": id, title: special ? `special token ${id}` : `token ${id}` },
    make("code", { text: visible(text), dir: "auto" }),
    make("small", { text: id }),
  );
  if (special) {
    token.className = "special";
    token.append(make("span", { text: " (special)", className: "unseen" }));
  }
  return token;
}

// ---- What the person does

function tellCount() {
  const texts = readTexts().length;
  $("count").textContent = `${count(texts, "text")}, ${MOST_TEXTS} at most`;
}

$("form").addEventListener("submit", (event) => {
  event.preventDefault();
  compare();
});
$("texts").addEventListener("input", tellCount);
$("texts").addEventListener("keydown", (event) => {
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) $("form").requestSubmit();
});
$("key").addEventListener("change", () => keptKey($("key").value.trim()));
$("model").addEventListener("change", tellModel);
$("stretch").addEventListener("change", paint);
$("ids").addEventListener("change", () => $("tokens").classList.toggle("with-ids", $("ids").checked));
$("matrix").addEventListener("pointerover", pointAt);
$("matrix").addEventListener("focusin", pointAt);
$("matrix").addEventListener("keydown", walk);

$("key").value = keptKey();
if ($("key").value) askForKey();
tellCount();
greet();
