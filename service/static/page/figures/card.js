// The card of a version as a page to read, over the view that it was opened from.

import { count, element } from "../element.js";
import { confusionTable } from "./confusion.js";

/** Opens the card `story` in the dialogue of the page; Back, Escape and the button close it. */
export function openCard(story) {
  const dialog = document.getElementById("reading");
  document.getElementById("reading-title").textContent = `Version ${story.version}`;
  document.getElementById("reading-text").replaceChildren(...part(story), whole(story));
  history.pushState(null, "", `#card-${encodeURIComponent(story.version)}`);
  const close = () => dialog.close();
  addEventListener("popstate", close, { once: true });
  dialog.addEventListener(
    "close",
    () => {
      removeEventListener("popstate", close);
      if (location.hash.startsWith("#card-")) history.back();
    },
    { once: true },
  );
  dialog.showModal();
  dialog.scrollTop = 0;
}

function whole(story) {
  const text = element("pre", { tabindex: 0 }, JSON.stringify(story, null, 1));
  return element("details", {}, element("summary", {}, "The whole card, as JSON"), text);
}

/** The members of an object: plain values in a table, further objects in sections. */
function part(object, level = 3) {
  const entries = Object.entries(object).filter(([, value]) => value !== null);
  const plain = entries.filter(([, value]) => !isNested(value));
  const rows = plain.map(([name, value]) =>
    element(
      "tr",
      {},
      element("th", { scope: "row" }, title(name)),
      element("td", {}, Array.isArray(value) ? value.map(words).join(", ") : words(value)),
    ),
  );
  const table = rows.length ? [element("table", { class: "rows" }, element("tbody", {}, ...rows))] : [];
  const nested = entries
    .filter(([, value]) => isNested(value))
    .map(([name, value]) => section(name, value, Math.min(level, 6)));
  return [...table, ...nested];
}

function section(name, value, level) {
  let content;
  if (name === "confusion_matrix") content = [scrolling(name, confusionTable(value))];
  else if (Array.isArray(value)) content = [list(name, value)];
  else content = part(value, level + 1);
  return element("section", {}, element(`h${level}`, {}, title(name)), ...content);
}

/** Objects alike, or rows of numbers, as a table that is folded. */
function list(name, items) {
  const columns = [...new Set(items.flatMap((one) => Object.keys(Object(one))))];
  const head = columns.map((column) => element("th", { scope: "col" }, title(column)));
  const rows = items.map((one) =>
    element("tr", {}, ...columns.map((column) => element("td", {}, words(Object(one)[column])))),
  );
  const table = element(
    "table",
    { class: "wide" },
    element("thead", {}, element("tr", {}, ...head)),
    element("tbody", {}, ...rows),
  );
  return element("details", {}, element("summary", {}, `${items.length} rows`), scrolling(name, table));
}

function scrolling(name, table) {
  const place = { class: "scrolls", tabindex: 0, role: "region", "aria-label": title(name) };
  return element("div", place, table);
}

function isNested(value) {
  return typeof value === "object" && !(Array.isArray(value) && value.every((one) => typeof one !== "object"));
}

function title(name) {
  const text = name.replaceAll("_", " ");
  return text.slice(0, 1).toUpperCase() + text.slice(1);
}

function words(value) {
  if (typeof value === "boolean") return value ? "yes" : "no";
  if (typeof value === "number") return Number.isInteger(value) ? count(value) : String(Number(value.toPrecision(5)));
  if (value !== null && typeof value === "object") return JSON.stringify(value);
  return String(value ?? "");
}
